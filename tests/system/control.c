/*
 * control.c - the control socket of a running machine: the dialogues that the QMP specification shows,
 * several clients at once, and clients that send nonsense, too much, or don't read. Runs in the build folder.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "tests/system/drive.h"
#include "tests/system/tap.h"

#define PATIENCE 60.0

struct client {
    int fd;
    char *line;  /* the last one read */
    char *event; /* that ask() passed by; NULL: none */
    char *in;
    size_t count, room;
};

static struct tap tap;
static char path[100];

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static bool wait_for(int fd, short events, double seconds)
{
    struct pollfd slot = {.fd = fd, .events = events};

    return poll(&slot, 1, (int)(seconds * 1000)) > 0;
}

/* The next line without its end; NULL: none came in time, or the other end closed. */
static const char *hear(struct client *c, double seconds)
{
    double end = now() + seconds;

    for (;;) {
        char *newline = c->count ? memchr(c->in, '\n', c->count) : NULL;

        if (newline) {
            size_t size = (size_t)(newline - c->in);

            free(c->line);
            c->line = strndup(c->in, size && newline[-1] == '\r' ? size - 1 : size);
            c->count -= size + 1;
            memmove(c->in, newline + 1, c->count);
            return c->line;
        }
        if (c->room - c->count < 65536)
            c->in = realloc(c->in, c->room += 65536);
        if (!wait_for(c->fd, POLLIN, end > now() ? end - now() : 0))
            return NULL;
        ssize_t got = recv(c->fd, c->in + c->count, c->room - c->count, 0);
        if (got <= 0)
            return NULL;
        c->count += (size_t)got;
    }
}

static bool say(struct client *c, const char *text, size_t size)
{
    while (size) {
        ssize_t sent = send(c->fd, text, size, MSG_NOSIGNAL);

        if (sent < 0 && (errno == EAGAIN || errno == EINTR) && wait_for(c->fd, POLLOUT, PATIENCE))
            continue;
        if (sent < 0)
            return false;
        text += sent;
        size -= (size_t)sent;
    }
    return true;
}

static bool is_event(const char *line)
{
    return strstr(line, "\"event\"");
}

/* The answer to a line; the last event before it is kept. */
static const char *ask(struct client *c, const char *text)
{
    const char *line;

    if (!say(c, text, strlen(text)))
        return "";
    while ((line = hear(c, PATIENCE)) && is_event(line)) {
        free(c->event);
        c->event = strdup(line);
    }
    return line ? line : "";
}

/* The event that ask() kept, or else waits for one, of this name; gives its line. */
static const char *event(struct client *c, const char *name)
{
    const char *line = c->event;
    char pattern[60];

    snprintf(pattern, sizeof(pattern), "\"event\": \"%s\"", name);
    for (; !line || !strstr(line, pattern); line = c->line)
        if (!hear(c, PATIENCE))
            return "";
    return line;
}

static bool call(struct client *c)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    *c = (struct client){.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    return c->fd >= 0 && connect(c->fd, (struct sockaddr *)&address, sizeof(address)) == 0;
}

static void hang_up(struct client *c)
{
    close(c->fd);
    free(c->in);
    free(c->line);
    free(c->event);
}

static bool has(const char *line, const char *what)
{
    if (strstr(line, what))
        return true;
    tap_note("heard", line);
    return false;
}

static bool begin(struct client *c)
{
    return call(c) && hear(c, PATIENCE) && has(ask(c, "{\"execute\":\"qmp_capabilities\"}\n"), "\"return\"");
}

/* Whether it is still answered. */
static bool alive(struct client *c)
{
    return has(ask(c, "{ \"execute\": \"query-target\", \"id\": \"alive\" }\n"), "\"id\": \"alive\"");
}

/* --- The specification's dialogues --------------------------------------------------------------- */

static void dialogues(struct client *c)
{
    const char *line;

    tap_ok(&tap,
           call(c) && (line = hear(c, PATIENCE)) && has(line, "{ \"QMP\": { \"version\": { \"qemu\": {") &&
               has(line, "\"capabilities\": [ ]"),
           "greeting");
    tap_ok(&tap, has(ask(c, "{ \"execute\": \"stop\" }\n"), "CommandNotFound"),
           "nothing before capabilities are negotiated");
    tap_ok(&tap, !strcmp(ask(c, "{ \"execute\": \"qmp_capabilities\" }\n"), "{ \"return\": { } }"),
           "capabilities negotiation");
    tap_ok(&tap, !strcmp(ask(c, "{ \"execute\": \"stop\" }\n"), "{ \"return\": { } }"),
           "simple 'stop' execution");
    tap_ok(&tap,
           has(ask(c, "{ \"execute\": \"query-kvm\", \"id\": \"example\" }\n"), "\"id\": \"example\"") &&
               has(c->line, "\"enabled\": ") && has(c->line, "\"present\": "),
           "KVM information");
    tap_ok(&tap, has(ask(c, "{ \"execute\": }\n"), "{ \"error\": { \"class\": \"GenericError\", \"desc\": "),
           "parsing error");
    ask(c, "{ \"execute\": \"system_powerdown\" }\n");
    tap_ok(&tap,
           has(event(c, "POWERDOWN"), "{ \"timestamp\": { \"seconds\": ") &&
               has(event(c, "POWERDOWN"), "\"microseconds\": "),
           "powerdown event");
    tap_ok(&tap,
           has(ask(c, "{ \"exec-oob\": \"migrate-pause\", \"id\": 42 }\n"), "\"error\"") &&
               has(c->line, "\"id\": 42"),
           "out-of-band execution, which isn't offered, is refused");
}

static void running(struct client *c)
{
    tap_ok(&tap,
           has(ask(c, "{ \"execute\": \"query-status\" }\n"), "\"status\": \"paused\", \"running\": false"),
           "paused");
    ask(c, "{ \"execute\": \"cont\" }\n");
    tap_ok(&tap, has(event(c, "RESUME"), "RESUME"), "an event says that the machine goes on");
    tap_ok(&tap,
           has(ask(c, "{ \"execute\": \"query-status\" }\n"), "\"status\": \"running\", \"running\": true"),
           "running");
    tap_ok(&tap, has(ask(c, "{\"execute\":\"query-cpus-fast\"}"), "\"target\": \"x86_64\""),
           "a message needs no end of line");
    tap_ok(
        &tap,
        has(ask(c,
                "{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"info status\"}}\n"),
            "{ \"return\": \"The machine is running.\\n\" }"),
        "human-monitor-command");
}

/* --- Clients that mean no good ------------------------------------------------------------------- */

static void several(struct client *c)
{
    struct client other, silent;

    tap_ok(&tap, begin(&other) && call(&silent) && hear(&silent, PATIENCE) && alive(c) && alive(&other),
           "several clients at once");
    ask(&other, "{\"execute\":\"stop\"}\n");
    tap_ok(&tap, has(event(c, "STOP"), "STOP"), "all of them hear of events");
    ask(&other, "{\"execute\":\"cont\"}\n");
    tap_ok(&tap, has(ask(&silent, "{\"execute\":\"qmp_capabilities\"}\n"), "{ \"return\": { } }"),
           "but not before they have negotiated");
    hang_up(&other);
    say(&silent, "{\"execute\":\"qu", 14);
    hang_up(&silent);
    tap_ok(&tap, alive(c), "one that leaves in the middle of a message is no harm");
}

/* Answers to the whole text, and how many of them, until alive() answers. */
static unsigned answers(struct client *c)
{
    static const char last[] = "\n{\"execute\":\"query-name\",\"id\":\"end\"}\n";
    unsigned count = 0;
    const char *line;

    say(c, last, sizeof(last) - 1);
    while ((line = hear(c, PATIENCE)) && !strstr(line, "\"id\": \"end\""))
        count += !is_event(line);
    return line ? count : 999;
}

static void nonsense(void)
{
    static char block[1 << 20];
    struct client c;
    unsigned seed = 12345;

    begin(&c);
    for (size_t n = 0; n < sizeof(block); n++) {
        seed = seed * 1103515245 + 12345;
        block[n] = (char)(seed >> 16);
        if (block[n] == '\n')
            block[n] = 'x';
    }
    say(&c, block, sizeof(block));
    tap_ok(&tap, answers(&c) == 1, "a line of garbage gets one error");

    memset(block, 'x', sizeof(block));
    say(&c, "{\"execute\":\"", 12);
    for (unsigned n = 0; n < 100; n++)
        say(&c, block, sizeof(block));
    tap_ok(&tap, answers(&c) == 1, "a line of 100 MB gets one error");

    memset(block, '[', sizeof(block));
    say(&c, "{\"execute\":", 11);
    say(&c, block, sizeof(block));
    tap_ok(&tap, answers(&c) == 1, "a million arrays in each other get one error");
    tap_ok(&tap, alive(&c), "and the client is answered again");
    hang_up(&c);
}

/* Sends until nobody takes it any more, or it is clear that somebody always will. */
static bool fills_up(struct client *c)
{
    static const char request[] = "{\"execute\":\"query-commands\"}\n";

    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    for (size_t sent = 0; sent < (64u << 20); sent += sizeof(request) - 1) {
        ssize_t done = send(c->fd, request, sizeof(request) - 1, MSG_NOSIGNAL);

        if (done < 0 && errno == EAGAIN && !wait_for(c->fd, POLLOUT, 0.5))
            return true;
        if (done < 0 && errno != EAGAIN)
            return false;
    }
    return false;
}

static void deaf(struct client *c)
{
    struct client flood;

    begin(&flood);
    tap_ok(&tap, fills_up(&flood), "who doesn't read isn't listened to");
    tap_ok(&tap, alive(c), "others are");
    tap_ok(&tap, hear(&flood, PATIENCE) && has(flood.line, "query-version"),
           "and it is answered when it reads");
    hang_up(&flood);
    tap_ok(&tap, alive(c), "it can leave");
}

static void endings(struct client *c, struct drive *guest)
{
    struct stat info;

    ask(c, "{\"execute\":\"system_reset\"}\n");
    tap_ok(&tap, has(event(c, "RESET"), "\"guest\": false"), "reset");
    tap_ok(&tap, drive_expect(guest, "ready", PATIENCE), "the guest starts anew");
    tap_ok(&tap, has(ask(c, "{\"execute\":\"quit\"}\n"), "{ \"return\": { } }"), "quit is answered");
    tap_ok(&tap, has(event(c, "SHUTDOWN"), "\"guest\": false, \"reason\": \"host-qmp-quit\""),
           "an event says why it ends");
    tap_ok(&tap, !hear(c, PATIENCE) && drive_wait(guest, PATIENCE) == 0, "the run ends with status 0");
    tap_ok(&tap, stat(path, &info) < 0, "the socket is removed");
}

int main(void)
{
    char folder[] = "/tmp/oxbow-control-XXXXXX", spec[120];
    const char *argv[] = {"./oxbow", "tests/system/echo.elf", "--headless", "--control", spec, NULL};
    struct drive guest;
    struct client client;
    struct stat info;

    if (getenv("OXBOW"))
        argv[0] = getenv("OXBOW");
    if (!mkdtemp(folder))
        return tap_skip_all("there is no place for a socket in /tmp");
    snprintf(path, sizeof(path), "%s/socket", folder);
    snprintf(spec, sizeof(spec), "unix:%s", path);
    if (!drive_start(&guest, argv, false) || !drive_expect(&guest, "ready", PATIENCE)) {
        tap_ok(&tap, false, "the guest runs");
        tap_note("printed", guest.text ? guest.text : "");
    } else {
        tap_ok(&tap, stat(path, &info) == 0 && (info.st_mode & 0777) == 0600,
               "the socket is the user's alone");
        dialogues(&client);
        running(&client);
        several(&client);
        nonsense();
        deaf(&client);
        endings(&client, &guest);
        hang_up(&client);
    }
    drive_free(&guest);
    unlink(path);
    rmdir(folder);
    return tap_done(&tap);
}
