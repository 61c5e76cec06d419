/* screen.c - see screen.h. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/system/screen.h"

#define SHOT_SECONDS  PATIENCE(20) /* a picture takes no longer, however busy the host */
#define SHOT_RETRY    1.0          /* before that, the request may have come too early */
#define SHOT_INTERVAL 0.25         /* between pictures */

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

char *source_file(const char *folder, const char *name)
{
    const char *source = getenv("srcdir");
    char *path;

    if (asprintf(&path, "%s/%s/%s", source ? source : "..", folder, name) < 0)
        abort();
    return path;
}

bool screen_start(struct screen *screen, const char *const arguments[], bool on_terminal)
{
    const char *argv[SCREEN_ARGUMENTS + 4] = {getenv("OXBOW"), "--screenshot", screen->shot};
    int fd;

    memset(screen, 0, sizeof(*screen));
    strcpy(screen->shot, "/tmp/oxbow-screen-XXXXXX");
    fd = mkstemp(screen->shot);
    if (fd < 0)
        return false;
    close(fd);
    if (!argv[0])
        argv[0] = "./oxbow";
    for (int n = 0; n < SCREEN_ARGUMENTS && arguments[n]; n++)
        argv[n + 3] = arguments[n];
    return drive_start(&screen->drive, argv, on_terminal);
}

void screen_free(struct screen *screen)
{
    drive_free(&screen->drive);
    unlink(screen->shot);
}

/* Whether the program handles SIGUSR1, which would kill it in its first moments. */
static bool hears(pid_t pid)
{
    char path[40], line[200];
    unsigned long long caught = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    file = fopen(path, "r");
    while (file && fgets(line, sizeof(line), file))
        sscanf(line, "SigCgt: %llx", &caught);
    if (file)
        fclose(file);
    return caught >> (SIGUSR1 - 1) & 1;
}

bool screen_shoot(struct screen *screen)
{
    double end = now() + SHOT_SECONDS, again = 0;

    unlink(screen->shot);
    while (access(screen->shot, R_OK)) {
        if (screen->drive.ended || now() > end)
            return false;
        if (now() > again && hears(screen->drive.pid)) {
            kill(screen->drive.pid, SIGUSR1);
            again = now() + SHOT_RETRY;
        }
        drive_listen(&screen->drive, 0.01);
    }
    return true;
}

static bool shows_now(struct screen *screen, const struct picture *golden, const struct comparison *how)
{
    struct picture seen;

    snprintf(screen->why, sizeof(screen->why), "no picture of the screen comes");
    bool same = screen_shoot(screen) && picture_read(&seen, screen->shot, screen->why, sizeof(screen->why));
    if (same) {
        same = picture_same(golden, &seen, how, screen->why, sizeof(screen->why));
        picture_free(&seen);
    }
    return same;
}

/* Keeps the last picture for whoever wants to know what was wrong. */
static void keep(const struct screen *screen, const char *name)
{
    char *path, data[4096];
    size_t size;
    FILE *from = fopen(screen->shot, "rb"), *to;

    if (asprintf(&path, "tests/system/%s.seen.png", name) < 0)
        abort();
    to = from ? fopen(path, "wb") : NULL;
    while (to && (size = fread(data, 1, sizeof(data), from)) > 0)
        fwrite(data, 1, size, to);
    if (to && !fclose(to))
        tap_note("what the screen showed last is in", path);
    if (from)
        fclose(from);
    free(path);
}

bool screen_shows(struct tap *tap, struct screen *screen, const struct golden *golden, double seconds)
{
    char *name, *path;
    struct picture picture;
    double end = now() + seconds;

    if (asprintf(&name, "%s.png", golden->name) < 0)
        abort();
    path = source_file("tests/golden", name);
    free(name);
    bool same = false;
    if (picture_read(&picture, path, screen->why, sizeof(screen->why))) {
        same = shows_now(screen, &picture, &golden->how);
        while (!same && now() < end && !screen->drive.ended) {
            drive_listen(&screen->drive, SHOT_INTERVAL);
            same = shows_now(screen, &picture, &golden->how);
        }
        picture_free(&picture);
    } else {
        screen_shoot(screen);
    }
    if (!tap_ok(tap, same, "the screen shows %s.png", golden->name)) {
        tap_note("the last picture", screen->why);
        keep(screen, golden->name);
    }
    free(path);
    return same;
}
