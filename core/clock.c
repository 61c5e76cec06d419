/*
 * clock.c - guest time, and the timers in a binary heap.
 *
 * Guest time is base + (source - source_base) while the clock goes and base while it stands. The three are
 * read without the machine lock, by any thread, so a sequence count guards them: odd while they are being
 * changed.
 *
 * The heap's root is the timer due first; of timers due at the same time the one armed first. A timer's slot
 * is its index in the heap and means nothing while the timer is disarmed (when == CLOCK_NEVER).
 */
#include "core/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Callbacks one clock_run() makes at most. A periodic timer that fell behind catches up within one call; a
 * guest that programs a period shorter than its own handling must not keep the caller here for ever. What is
 * left over is still due, so clock_next() brings the caller back.
 */
#define RUN_LIMIT 65536u

struct entry {
    uint64_t when;
    uint64_t order; /* of arming, breaks ties */
    struct timer *timer;
};

struct clock {
    struct clock_source source;

    unsigned sequence; /* guards the next three */
    bool running;
    uint64_t base;        /* guest ns when the clock was last started, stopped or set */
    uint64_t source_base; /* the source's time then */

    struct entry *heap;
    unsigned count, capacity;
    uint64_t order;
};

struct clock *clock_new(const struct clock_source *source)
{
    struct clock *clock = calloc(1, sizeof(*clock));

    if (clock)
        clock->source = *source;
    return clock;
}

void clock_free(struct clock *clock)
{
    if (!clock)
        return;
    free(clock->heap);
    free(clock);
}

static uint64_t source_now(struct clock *clock)
{
    return clock->source.now ? clock->source.now(clock->source.opaque) : 0;
}

static void tell_deadline(struct clock *clock)
{
    if (clock->source.deadline)
        clock->source.deadline(clock->source.opaque);
}

/* Writers hold the machine lock, so there is one at a time. */
static void set_time(struct clock *clock, bool running, uint64_t base, uint64_t source_base)
{
    __atomic_store_n(&clock->sequence, clock->sequence + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    __atomic_store_n(&clock->running, running, __ATOMIC_RELAXED);
    __atomic_store_n(&clock->base, base, __ATOMIC_RELAXED);
    __atomic_store_n(&clock->source_base, source_base, __ATOMIC_RELAXED);
    __atomic_store_n(&clock->sequence, clock->sequence + 1, __ATOMIC_RELEASE);
}

uint64_t clock_now(struct clock *clock)
{
    for (;;) {
        unsigned sequence = __atomic_load_n(&clock->sequence, __ATOMIC_ACQUIRE);
        bool running = __atomic_load_n(&clock->running, __ATOMIC_RELAXED);
        uint64_t base = __atomic_load_n(&clock->base, __ATOMIC_RELAXED);
        uint64_t source_base = __atomic_load_n(&clock->source_base, __ATOMIC_RELAXED);
        uint64_t now = running ? source_now(clock) : 0;

        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (sequence & 1 || sequence != __atomic_load_n(&clock->sequence, __ATOMIC_RELAXED))
            continue;
        if (!running || now < source_base)
            return base;
        return base + (now - source_base);
    }
}

bool clock_running(struct clock *clock)
{
    return __atomic_load_n(&clock->running, __ATOMIC_RELAXED);
}

void clock_start(struct clock *clock)
{
    if (clock->running)
        return;
    set_time(clock, true, clock->base, source_now(clock));
    tell_deadline(clock);
}

void clock_stop(struct clock *clock)
{
    if (clock->running)
        set_time(clock, false, clock_now(clock), 0);
}

void clock_set(struct clock *clock, uint64_t now)
{
    set_time(clock, clock->running, now, clock->running ? source_now(clock) : 0);
    tell_deadline(clock);
}

uint64_t clock_wall(struct clock *clock)
{
    return clock->source.wall ? clock->source.wall(clock->source.opaque) : 0;
}

uint64_t clock_ns_to_ticks(uint64_t ns, uint64_t hz)
{
    return (uint64_t)((unsigned __int128)ns * hz / NS_PER_SEC);
}

uint64_t clock_ticks_to_ns(uint64_t ticks, uint64_t hz)
{
    if (!hz)
        return CLOCK_NEVER;
    unsigned __int128 ns = ((unsigned __int128)ticks * NS_PER_SEC + hz - 1) / hz;
    return ns < CLOCK_NEVER ? (uint64_t)ns : CLOCK_NEVER;
}

/* --- the heap ------------------------------------------------------------------------------------ */

static bool before(const struct entry *a, const struct entry *b)
{
    return a->when != b->when ? a->when < b->when : a->order < b->order;
}

static void place(struct clock *clock, unsigned slot, struct entry entry)
{
    clock->heap[slot] = entry;
    entry.timer->slot = slot;
}

/* Puts `entry` where the hole at `slot` allows, towards the root or the leaves. */
static void sift(struct clock *clock, unsigned slot, struct entry entry)
{
    while (slot && before(&entry, &clock->heap[(slot - 1) / 2])) {
        place(clock, slot, clock->heap[(slot - 1) / 2]);
        slot = (slot - 1) / 2;
    }
    for (;;) {
        unsigned child = 2 * slot + 1;
        if (child + 1 < clock->count && before(&clock->heap[child + 1], &clock->heap[child]))
            child++;
        if (child >= clock->count || !before(&clock->heap[child], &entry))
            break;
        place(clock, slot, clock->heap[child]);
        slot = child;
    }
    place(clock, slot, entry);
}

/* Timers are few and made by the machine, never by the guest, so this grows a few times while a machine is
 * built. */
static void make_room(struct clock *clock)
{
    if (clock->count < clock->capacity)
        return;
    unsigned capacity = clock->capacity ? 2 * clock->capacity : 32;
    struct entry *heap = realloc(clock->heap, capacity * sizeof(*heap));
    if (!heap) {
        fputs("clock: no memory for another timer\n", stderr);
        abort();
    }
    clock->heap = heap;
    clock->capacity = capacity;
}

void timer_init(struct timer *timer, struct clock *clock, const char *name, void (*fn)(void *), void *opaque)
{
    *timer = (struct timer){.name = name, .fn = fn, .opaque = opaque, .when = CLOCK_NEVER, .clock = clock};
}

void timer_disarm(struct timer *timer)
{
    struct clock *clock = timer->clock;

    if (!clock || timer->when == CLOCK_NEVER)
        return;
    timer->when = CLOCK_NEVER;
    struct entry last = clock->heap[--clock->count];
    if (last.timer != timer)
        sift(clock, timer->slot, last);
}

void timer_arm(struct timer *timer, uint64_t when)
{
    struct clock *clock = timer->clock;

    if (!clock)
        return;
    if (when == CLOCK_NEVER) {
        timer_disarm(timer);
        return;
    }
    uint64_t earliest = clock_next(clock);
    struct entry entry = {.when = when, .order = clock->order++, .timer = timer};
    if (timer->when == CLOCK_NEVER) {
        make_room(clock);
        timer->slot = clock->count++;
    }
    timer->when = when;
    sift(clock, timer->slot, entry);
    if (when < earliest)
        tell_deadline(clock);
}

uint64_t clock_next(struct clock *clock)
{
    return clock->count ? clock->heap[0].when : CLOCK_NEVER;
}

void clock_run(struct clock *clock)
{
    uint64_t now = clock_now(clock);

    for (unsigned i = 0; i < RUN_LIMIT && clock->count && clock->heap[0].when <= now; i++) {
        struct timer *timer = clock->heap[0].timer;
        timer_disarm(timer);
        timer->fn(timer->opaque);
    }
}
