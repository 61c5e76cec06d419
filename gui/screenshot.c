/*
 * screenshot.c - see screenshot.h.
 */
#include "gui/screenshot.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gui/png.h"

#define NAMES 100 /* screenshots in one second */

struct screenshot {
    struct surface copy;
    pthread_t thread;
    bool done; /* atomic */
    bool written;
    char path[64], why[200];
};

/* Makes an empty file with a new name. */
static bool reserve(char *path, size_t size, char *why, size_t why_size)
{
    char date[32];
    time_t now = time(NULL);
    struct tm local;

    localtime_r(&now, &local);
    strftime(date, sizeof(date), "%Y-%m-%d-%H%M%S", &local);
    for (int n = 1; n <= NAMES; n++) {
        if (n == 1)
            snprintf(path, size, "oxbow-%s.png", date);
        else
            snprintf(path, size, "oxbow-%s-%d.png", date, n);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0) {
            close(fd);
            return true;
        }
        if (errno != EEXIST)
            break;
    }
    snprintf(why, why_size, "Cannot write %s: %s", path, strerror(errno));
    return false;
}

static void *write_it(void *opaque)
{
    struct screenshot *screenshot = opaque;

    screenshot->written =
        png_write(&screenshot->copy, screenshot->path, screenshot->why, sizeof(screenshot->why));
    __atomic_store_n(&screenshot->done, true, __ATOMIC_RELEASE);
    return NULL;
}

struct screenshot *screenshot_start(const struct surface *surface, char *why, size_t why_size)
{
    if (!surface || surface->width <= 0 || surface->height <= 0) {
        snprintf(why, why_size, "The guest's screen is off.");
        return NULL;
    }
    size_t size = sizeof(uint32_t) * (size_t)surface->width * (size_t)surface->height;
    struct screenshot *screenshot = calloc(1, sizeof(*screenshot));
    uint32_t *pixels = malloc(size);

    snprintf(why, why_size, "Out of memory");
    if (screenshot && pixels && reserve(screenshot->path, sizeof(screenshot->path), why, why_size)) {
        memcpy(pixels, surface->pixels, size);
        screenshot->copy = (struct surface){surface->width, surface->height, pixels};
        if (!pthread_create(&screenshot->thread, NULL, write_it, screenshot))
            return screenshot;
        snprintf(why, why_size, "The host has no thread for a screenshot.");
        unlink(screenshot->path);
    }
    free(pixels);
    free(screenshot);
    return NULL;
}

bool screenshot_done(const struct screenshot *screenshot)
{
    return __atomic_load_n(&screenshot->done, __ATOMIC_ACQUIRE);
}

void screenshot_end(struct screenshot *screenshot, char *note, size_t note_size)
{
    pthread_join(screenshot->thread, NULL);
    if (note && screenshot->written)
        snprintf(note, note_size, "Screenshot: %s", screenshot->path);
    else if (note)
        snprintf(note, note_size, "Cannot write %s: %s", screenshot->path, screenshot->why);
    free(screenshot->copy.pixels);
    free(screenshot);
}
