/*
 * lapic_timer.c - the local APIC's timer: one-shot, periodic and TSC-deadline (SDM 3A 10.5.4).
 *
 * The counter is not counted. `count` is what it held at clock time `count_time`; what it holds now, and when
 * it reaches zero, follows. A periodic timer reloads at the exact time it expired, however late the host was,
 * so it does not drift.
 */
#include "devices/lapic_internal.h"

/* Interrupts of a faster periodic timer merge, lest a guest drown the event loop. The count stays exact. */
#define TIMER_MIN_NS 1000u

enum timer_mode { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_TSC_DEADLINE };

static enum timer_mode timer_mode(const struct lapic *lapic)
{
    return LVT_TIMER_MODE(lapic->lvt[LVT_TIMER]);
}

/* Nanoseconds a tick: the bus clock is 1 GHz. The divider's bits are 3, 1 and 0; 111b divides by 1. */
static uint64_t tick_ns(const struct lapic *lapic)
{
    unsigned shift = (lapic->divide & 3) | (lapic->divide >> 1 & 4);

    return 1u << ((shift + 1) & 7);
}

static uint64_t timer_expiry(const struct lapic *lapic)
{
    return lapic->count_time + lapic->count * tick_ns(lapic);
}

static void timer_rearm(struct lapic *lapic, uint64_t not_before)
{
    uint64_t when = CLOCK_NEVER;

    if (timer_mode(lapic) == TIMER_TSC_DEADLINE) {
        if (lapic->deadline_raw)
            when = lapic->deadline;
    } else if (lapic->count) {
        when = timer_expiry(lapic);
    }
    timer_arm(&lapic->timer, when < not_before ? not_before : when);
}

/* Moves count and count_time past all the reloads (or the stop) that have happened by `now`. */
static void timer_catch_up(struct lapic *lapic, uint64_t now)
{
    uint64_t expiry = timer_expiry(lapic), period = lapic->initial * tick_ns(lapic);

    if (!lapic->count || now < expiry)
        return;
    if (timer_mode(lapic) == TIMER_PERIODIC && period) {
        lapic->count = lapic->initial;
        lapic->count_time = expiry + (now - expiry) / period * period;
    } else {
        lapic->count = 0;
    }
}

uint32_t lapic_timer_current(const struct lapic *lapic)
{
    struct lapic then = *lapic;
    uint64_t now = clock_now(lapic->clock);

    if (timer_mode(lapic) == TIMER_TSC_DEADLINE)
        return 0;
    timer_catch_up(&then, now);
    return then.count ? then.count - (uint32_t)((now - then.count_time) / tick_ns(lapic)) : 0;
}

static void timer_expired(void *opaque)
{
    struct lapic *lapic = opaque;
    uint64_t now = clock_now(lapic->clock);

    if (timer_mode(lapic) == TIMER_TSC_DEADLINE)
        lapic->deadline = lapic->deadline_raw = 0;
    else
        timer_catch_up(lapic, now);
    timer_rearm(lapic, now + TIMER_MIN_NS);
    lapic_local_interrupt(lapic, LVT_TIMER);
}

void lapic_timer_set_initial(struct lapic *lapic, uint32_t value)
{
    if (timer_mode(lapic) == TIMER_TSC_DEADLINE)
        return;
    lapic->initial = lapic->count = value;
    lapic->count_time = clock_now(lapic->clock);
    timer_rearm(lapic, 0);
}

/* The count goes on from where it is, at the new rate. */
void lapic_timer_set_divide(struct lapic *lapic, uint32_t value)
{
    lapic->count = lapic_timer_current(lapic);
    lapic->count_time = clock_now(lapic->clock);
    lapic->divide = value;
    timer_rearm(lapic, 0);
}

/*
 * Entering and leaving TSC-deadline mode disarms (SDM 3A 10.5.4.1); one-shot and periodic share the running
 * count.
 */
void lapic_timer_set_lvt(struct lapic *lapic, uint32_t value)
{
    enum timer_mode old = timer_mode(lapic), new = LVT_TIMER_MODE(value);

    if (old != new)
        timer_catch_up(lapic, clock_now(lapic->clock));
    lapic->lvt[LVT_TIMER] = value;
    if (old == new)
        return;
    if (old >= TIMER_TSC_DEADLINE || new >= TIMER_TSC_DEADLINE) {
        lapic->initial = lapic->count = 0;
        lapic->deadline = lapic->deadline_raw = 0;
    }
    timer_rearm(lapic, 0);
}

void lapic_timer_set_tsc_deadline(void *opaque, uint64_t deadline, uint64_t raw)
{
    struct lapic *lapic = opaque;

    if (!lapic_enabled(lapic) || timer_mode(lapic) != TIMER_TSC_DEADLINE)
        return;
    lapic->deadline = raw ? deadline : 0;
    lapic->deadline_raw = raw;
    /* One that has passed interrupts before the WRMSR's next instruction, not when the event loop looks. */
    if (raw && deadline <= clock_now(lapic->clock))
        timer_expired(lapic);
    else
        timer_rearm(lapic, 0);
}

uint64_t lapic_timer_get_tsc_deadline(void *opaque)
{
    struct lapic *lapic = opaque;

    return lapic->deadline_raw;
}

void lapic_timer_init(struct lapic *lapic)
{
    timer_init(&lapic->timer, lapic->clock, "lapic timer", timer_expired, lapic);
}

void lapic_timer_reset(struct lapic *lapic)
{
    lapic->initial = lapic->count = lapic->divide = 0;
    lapic->count_time = lapic->deadline = lapic->deadline_raw = 0;
    timer_disarm(&lapic->timer);
}

void lapic_timer_settle(struct lapic *lapic)
{
    uint64_t now = clock_now(lapic->clock);

    if (timer_mode(lapic) == TIMER_TSC_DEADLINE ? lapic->deadline_raw && lapic->deadline <= now
                                                : lapic->count && timer_expiry(lapic) <= now)
        timer_expired(lapic);
}

/* The count goes on from where it is now; a deadline is to be written anew, by who knows how the TSC goes. */
void lapic_timer_taken_back(struct lapic *lapic, const struct apic_registers *registers)
{
    lapic->divide = registers->divide;
    lapic->initial = registers->initial;
    lapic->count = registers->current;
    lapic->count_time = clock_now(lapic->clock);
    lapic->deadline = lapic->deadline_raw = 0;
    timer_rearm(lapic, 0);
}

void lapic_timer_loaded(struct lapic *lapic)
{
    timer_rearm(lapic, 0);
}
