/* time.c - CLOCK_MONOTONIC and CLOCK_REALTIME as a source of time. */
#include "host/time.h"

#include <time.h>

#include "host/loop.h"

static uint64_t read_clock(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * NS_PER_SEC + (uint64_t)t.tv_nsec;
}

uint64_t host_monotonic(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

uint64_t host_wall(void)
{
    return read_clock(CLOCK_REALTIME);
}

static uint64_t source_now(void *opaque)
{
    (void)opaque;
    return host_monotonic();
}

static uint64_t source_wall(void *opaque)
{
    (void)opaque;
    return host_wall();
}

struct clock_source host_clock_source(struct loop *loop)
{
    return (struct clock_source){
        .now = source_now, .wall = source_wall, .deadline = loop ? loop_deadline : NULL, .opaque = loop};
}
