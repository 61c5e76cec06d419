/*
 * ticker.c - a timerfd in the event loop.
 */
#include <stdint.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "host/ticker.h"

struct ticker {
    int fd;
    struct loop_watch *watch;
    void (*fn)(void *opaque);
    void *opaque;
};

static void beat(void *opaque, short revents)
{
    struct ticker *t = opaque;
    uint64_t beats;

    (void)revents;
    if (read(t->fd, &beats, sizeof(beats)) == sizeof(beats))
        t->fn(t->opaque);
}

struct ticker *ticker_new(struct loop *loop, unsigned hz, void (*fn)(void *opaque), void *opaque)
{
    struct timespec period = {.tv_sec = hz == 1, .tv_nsec = hz == 1 ? 0 : (long)(NS_PER_SEC / hz)};
    struct itimerspec times = {.it_interval = period, .it_value = period};
    struct ticker *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    t->fn = fn;
    t->opaque = opaque;
    t->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (t->fd >= 0 && !timerfd_settime(t->fd, 0, &times, NULL))
        t->watch = loop_watch_fd(loop, t->fd, POLLIN, beat, t);
    if (!t->watch) {
        ticker_free(t);
        return NULL;
    }
    return t;
}

void ticker_free(struct ticker *t)
{
    if (!t)
        return;
    loop_unwatch(t->watch);
    if (t->fd >= 0)
        close(t->fd);
    free(t);
}
