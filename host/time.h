/*
 * time.h - the host's clocks.
 */
#ifndef HOST_TIME_H
#define HOST_TIME_H

#include <stdint.h>

#include "core/clock.h"

struct loop;

/* Nanoseconds since some fixed moment, never going back, standing while the host is suspended. */
uint64_t host_monotonic(void);

/* Nanoseconds since 1970-01-01 00:00 UTC. */
uint64_t host_wall(void);

/* Real time; `loop` is woken when the earliest deadline moves nearer, NULL for nobody. */
struct clock_source host_clock_source(struct loop *loop);

#endif
