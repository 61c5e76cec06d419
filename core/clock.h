/*
 * clock.h - the only source of time, and the queue of what happens when.
 *
 * Time is nanoseconds since the machine was switched on, as a 64-bit count (584 years). Where it comes from
 * is the source given at creation: the host's monotonic clock (host/), or a count of guest instructions, or a
 * test that turns the hands itself. Stopping the clock (pause) freezes time for the guest.
 *
 * Devices arm named timers; the event loop asks for the next deadline, sleeps, and calls clock_run().
 *
 * Locking: timers are armed, disarmed and run with the machine lock held. clock_now() may be called without
 * it.
 */
#ifndef CORE_CLOCK_H
#define CORE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define CLOCK_NEVER UINT64_MAX
#define NS_PER_SEC  1000000000ull

struct timer {
    const char *name;
    void (*fn)(void *opaque); /* called once when due, disarmed; may arm again */
    void *opaque;
    uint64_t when; /* clock ns, CLOCK_NEVER when disarmed */
    unsigned slot; /* place in the queue; the clock's own */
    struct clock *clock;
};

struct clock_source {
    uint64_t (*now)(void *opaque);  /* ns from any fixed origin, never going back */
    uint64_t (*wall)(void *opaque); /* ns since 1970-01-01 00:00 UTC */
    void (*deadline)(void *opaque); /* told when the earliest deadline moved nearer; may be NULL */
    void *opaque;
};

/* A stopped clock at 0 ns; clock_start() lets it go. NULL when memory ran out. */
struct clock *clock_new(const struct clock_source *source);
void clock_free(struct clock *clock);

void clock_start(struct clock *clock);
void clock_stop(struct clock *clock);
bool clock_running(struct clock *clock);

/* Guest nanoseconds since power-on. */
uint64_t clock_now(struct clock *clock);

/* Wall-clock time for battery-backed clocks: ns since 1970 UTC. */
uint64_t clock_wall(struct clock *clock);

/* Sets a loaded snapshot's time. */
void clock_set(struct clock *clock, uint64_t now);

/*
 * Ticks of a `hz` oscillator in `ns`, rounded down, and the ns at which tick number `ticks` falls, rounded up
 * (CLOCK_NEVER past the end of time). So ns_to_ticks(ticks_to_ns(t)) is t for oscillators up to 1 GHz.
 */
uint64_t clock_ns_to_ticks(uint64_t ns, uint64_t hz);
uint64_t clock_ticks_to_ns(uint64_t ticks, uint64_t hz);

void timer_init(struct timer *timer, struct clock *clock, const char *name, void (*fn)(void *), void *opaque);
/* Fires at or after `when` (clock ns); in the past means at once. Re-arming moves it. CLOCK_NEVER disarms. */
void timer_arm(struct timer *timer, uint64_t when);
void timer_disarm(struct timer *timer);

/*
 * The earliest deadline, or CLOCK_NEVER; and: run all timers that are due, those included that a callback
 * arms for a time already past. Machine lock held. Neither asks whether the clock goes: whoever drives the
 * clock leaves a stopped one alone.
 */
uint64_t clock_next(struct clock *clock);
void clock_run(struct clock *clock);

#endif
