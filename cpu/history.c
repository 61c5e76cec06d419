/*
 * history.c - what the CPU went through last.
 *
 * Events (exceptions, interrupts, far transfers, system calls) are rare enough to be written down always,
 * each with where it led from and to. Near branches aren't: for them there is a ring with the RIP of each
 * piece of code that was entered, 8 bytes and no more, since each traversal of translated code writes one.
 * Where in the piece the branch was, a reader finds in the code. Among the pieces there are marks, at the
 * place of each event; and as events say in which segment the code before them ran, the reader knows the
 * linear address of every RIP.
 *
 * The ring's size is a power of two, and its address a multiple of twice that: clearing one bit wraps it
 * around.
 */
#include <stdlib.h>

#include "cpu/history.h"

/* In the ring: no RIP, as it isn't canonical. */
#define MARK       (1ull << 62) /* with an event's number, modulo 2^32 */
#define NEVER      (MARK | 1ull << 32)
#define IS_MARK(e) ((e) >> 62 == 1)

#define RING_MIN 64u /* entries */

struct history {
    uint64_t count;                         /* of events so far */
    struct cpu_past event[CPU_PAST_EVENTS]; /* number n at n % CPU_PAST_EVENTS */
    uint64_t *ring;
    size_t size; /* bytes */
};

bool history_new(struct cpu *cpu)
{
    cpu->history = calloc(1, sizeof(*cpu->history));
    return cpu->history;
}

void history_free(struct cpu *cpu)
{
    if (cpu->history)
        free(cpu->history->ring);
    free(cpu->history);
    cpu->history = NULL;
    cpu->history_at = NULL;
}

static void write_entry(struct cpu *cpu, uint64_t entry)
{
    *cpu->history_at = entry;
    cpu->history_at = (uint64_t *)((uintptr_t)(cpu->history_at + 1) & cpu->history_wrap);
}

bool cpu_keep_branches(struct cpu *cpu, unsigned count)
{
    struct history *h = cpu->history;
    size_t size = RING_MIN * sizeof(uint64_t);
    void *ring = NULL;

    if (count > CPU_PAST_BRANCHES)
        count = CPU_PAST_BRANCHES;
    while (size < count * sizeof(uint64_t))
        size *= 2;
    if (count && posix_memalign(&ring, 2 * size, size))
        return false;
    free(h->ring);
    h->ring = ring;
    h->size = count ? size : 0;
    for (size_t n = 0; n < h->size / sizeof(uint64_t); n++)
        h->ring[n] = NEVER;
    cpu->history_at = h->ring;
    cpu->history_wrap = ~(uint64_t)size;
    for (uint64_t n = h->count > RING_MIN ? h->count - RING_MIN : 0; count && n < h->count; n++)
        write_entry(cpu, MARK | (uint32_t)n); /* what was before */
    trace_flush(cpu);                         /* translated code writes the ring, or doesn't */
    return true;
}

bool cpu_keeps_branches(const struct cpu *cpu)
{
    return cpu->history_at;
}

/* --- Writing ----------------------------------------------------------------------------------------- */

static struct cpu_place place_at(const struct cpu *cpu, uint64_t rip)
{
    return (struct cpu_place){.rip = rip,
                              .linear = cpu->long64 ? rip : (uint32_t)(cpu->s.seg[CS].base + rip),
                              .cs = cpu->s.seg[CS].selector,
                              .bits = (uint8_t)(8u << (cpu->mode & MODE_BITS))};
}

struct cpu_place history_place(const struct cpu *cpu, const struct insn *i)
{
    uint64_t rip = cpu->s.rip + (i ? i->off : 0);

    return place_at(cpu, cpu->long64 ? rip : (uint32_t)rip);
}

static struct cpu_past *next_event(struct cpu *cpu, enum cpu_past_kind kind)
{
    struct history *h = cpu->history;
    struct cpu_past *past = &h->event[h->count % CPU_PAST_EVENTS];

    if (cpu->history_at)
        write_entry(cpu, MARK | (uint32_t)h->count);
    h->count++;
    *past = (struct cpu_past){.kind = kind, .instructions = cpu->retired, .to = place_at(cpu, cpu->s.rip)};
    return past;
}

void history_add(struct cpu *cpu, enum cpu_past_kind kind, const struct cpu_place *from)
{
    struct cpu_past *past = next_event(cpu, kind);

    past->from = *from;
    if (kind > CPU_PAST_SOFTWARE)
        return;
    past->vector = (uint8_t)cpu->fault.vector;
    past->has_error = cpu->fault.has_error;
    past->error = cpu->fault.error;
}

void history_outside(struct cpu *cpu)
{
    struct history *h = cpu->history;
    struct cpu_past *last = &h->event[(h->count - 1) % CPU_PAST_EVENTS];

    if (h->count && last->kind == CPU_PAST_OUTSIDE && last->instructions == cpu->retired)
        last->to = place_at(cpu, cpu->s.rip);
    else
        next_event(cpu, CPU_PAST_OUTSIDE);
}

/* --- Reading ----------------------------------------------------------------------------------------- */

/* The last events, newest first, and with them the pieces of code between; `place` is where it all led. */
static unsigned backwards(const struct cpu *cpu, struct cpu_place place, struct cpu_past *past, unsigned max)
{
    const struct history *h = cpu->history;
    size_t entries = h->size / sizeof(uint64_t), at = (size_t)(cpu->history_at - h->ring);
    unsigned n = 0;

    for (size_t k = 0; k < entries && n < max; k++) {
        uint64_t entry = h->ring[(at - 1 - k) % entries];

        if (entry == NEVER)
            break;
        if (IS_MARK(entry)) {
            uint32_t ago = (uint32_t)h->count - (uint32_t)entry;

            if (ago > CPU_PAST_EVENTS) /* what ran before it ran in an unknown segment */
                break;
            past[n] = h->event[(h->count - ago) % CPU_PAST_EVENTS];
            place = past[n++].from;
        } else {
            uint64_t base = place.linear - place.rip;

            place.rip = entry;
            place.linear = place.bits == 64 ? entry : (uint32_t)(base + entry);
            past[n++] = (struct cpu_past){.kind = CPU_PAST_CODE, .to = place};
        }
    }
    return n;
}

unsigned cpu_history(const struct cpu *cpu, struct cpu_past *past, unsigned max)
{
    const struct history *h = cpu->history;
    unsigned n = 0;

    if (h->ring)
        n = backwards(cpu, place_at(cpu, cpu->s.rip), past, max);
    else
        for (; n < max && n < CPU_PAST_EVENTS && n < h->count; n++)
            past[n] = h->event[(h->count - 1 - n) % CPU_PAST_EVENTS];
    for (unsigned a = 0, b = n; a + 1 < b; a++) { /* the oldest first */
        struct cpu_past swapped = past[a];

        past[a] = past[--b];
        past[b] = swapped;
    }
    return n;
}
