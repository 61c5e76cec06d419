/*
 * stop.c - stops: what a debugger wants the CPU to stop at (cpu.h, "Stops").
 *
 * Nothing is asked at instructions or accesses that no stop concerns:
 *
 * - Execution. The low 12 bits of a linear address are those of its physical one. So code with a stop's 12
 * bits, in whatever page, begins a trace of its own, whose first body (body_stop) compares the whole linear
 * address. Such a trace is never translated.
 * - Data. Pages that are watched have no fast TLB entries, so every access to them comes by paging.c's slow
 * paths.
 * - The rest (ports, control registers, exceptions) is asked where the event is rare anyway.
 *
 * What stops after an instruction must not stop in the middle of it, nor let those behind it in the trace
 * run. So the first time it is noticed the instruction is taken back as by a fault, and begun anew by itself
 * (stop_event()).
 */
#include <stdlib.h>
#include <string.h>

#include "cpu/interp/body.h"
#include "cpu/stop.h"

#define PAGE_OFFSETS 4096u
#define FEW          16u /* changed addresses, up to which not all traces are dropped */

struct stops {
    struct cpu_stop *list; /* sorted by order() */
    unsigned count, room;
    unsigned first[CPU_STOP_KINDS + 1]; /* where the kinds begin */

    bool changed; /* traces are not yet as the list says */
    bool magic;   /* they are for these: */
    uint64_t offsets[PAGE_OFFSETS / 64];

    struct cpu_stopped hits[CPU_STOP_HITS];
    unsigned hit_count;
    bool reported; /* hits were told by cpu_run() */

    bool held;              /* the exception in cpu->fault waits for the CPU to go on */
    bool passing;           /* and is being delivered now */
    uint64_t unfinished;    /* where a repeated instruction was left in the middle ... */
    uint64_t unfinished_at; /* ... when so many instructions had been retired */
};

/* --- The list ----------------------------------------------------------------------------------------------
 */

static int order(const struct cpu_stop *a, const struct cpu_stop *b)
{
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if (a->address != b->address)
        return a->address < b->address ? -1 : 1;
    if (a->size != b->size)
        return a->size < b->size ? -1 : 1;
    if (a->physical != b->physical)
        return a->physical ? 1 : -1;
    if (a->owner != b->owner)
        return (uintptr_t)a->owner < (uintptr_t)b->owner ? -1 : 1;
    return 0;
}

/* The first in the list that is not before `stop`. */
static unsigned place(const struct stops *s, const struct cpu_stop *stop)
{
    unsigned low = 0, high = s->count;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (order(&s->list[middle], stop) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void changed(struct cpu *cpu, enum cpu_stop_kind kind)
{
    struct stops *s = cpu->stops;
    unsigned n = 0;

    for (unsigned k = 0; k <= CPU_STOP_KINDS; k++) {
        while (n < s->count && s->list[n].kind < k)
            n++;
        s->first[k] = n;
    }
    if (kind <= CPU_STOP_ACCESS)
        tlb_flush_all(cpu);
    if (kind != CPU_STOP_EXECUTE && kind != CPU_STOP_MAGIC)
        return;
    s->changed = true;
    stop_attention(cpu);
}

void stop_attention(struct cpu *cpu)
{
    atomic_fetch_or(&cpu->attention, ATT_STOP);
    atomic_store(&cpu->stop_at, 0);
}

static struct cpu_stop normal(const struct cpu_stop *stop)
{
    struct cpu_stop n = *stop;

    if (!n.size || n.kind == CPU_STOP_EXECUTE)
        n.size = 1;
    if (n.size - 1 > UINT64_MAX - n.address) /* up to the last byte */
        n.size = UINT64_MAX - n.address + 1;
    return n;
}

bool cpu_stop_add(struct cpu *cpu, const struct cpu_stop *stop)
{
    struct cpu_stop new = normal(stop);
    struct stops *s = cpu->stops;
    unsigned at;

    if (!s)
        s = cpu->stops = calloc(1, sizeof(*s));
    if (!s)
        return false;
    at = place(s, &new);
    if (at < s->count && !order(&s->list[at], &new))
        return true;
    if (s->count == s->room) {
        unsigned room = s->room ? 2 * s->room : 16;
        struct cpu_stop *list = realloc(s->list, room * sizeof(*list));

        if (!list)
            return false;
        s->list = list;
        s->room = room;
    }
    memmove(&s->list[at + 1], &s->list[at], (s->count - at) * sizeof(*s->list));
    s->list[at] = new;
    s->count++;
    changed(cpu, new.kind);
    return true;
}

bool cpu_stop_remove(struct cpu *cpu, const struct cpu_stop *stop)
{
    struct cpu_stop old = normal(stop);
    struct stops *s = cpu->stops;
    unsigned at = s ? place(s, &old) : 0;

    if (!s || at == s->count || order(&s->list[at], &old))
        return false;
    s->count--;
    memmove(&s->list[at], &s->list[at + 1], (s->count - at) * sizeof(*s->list));
    changed(cpu, old.kind);
    return true;
}

void cpu_stop_remove_all(struct cpu *cpu, const void *owner)
{
    struct stops *s = cpu->stops;

    for (unsigned n = s ? s->count : 0; n--;)
        if (s->list[n].owner == owner) {
            struct cpu_stop stop = s->list[n];

            cpu_stop_remove(cpu, &stop);
        }
}

bool cpu_has_stops(const struct cpu *cpu)
{
    return cpu->stops && cpu->stops->count;
}

unsigned cpu_stops(const struct cpu *cpu, struct cpu_stop *list, unsigned max)
{
    unsigned count = cpu->stops ? cpu->stops->count : 0;

    if (count > max)
        count = max;
    if (count)
        memcpy(list, cpu->stops->list, count * sizeof(*list));
    return count;
}

void stops_free(struct cpu *cpu)
{
    if (cpu->stops)
        free(cpu->stops->list);
    free(cpu->stops);
    cpu->stops = NULL;
}

/* --- Hits --------------------------------------------------------------------------------------------------
 */

static bool covers(const struct cpu_stop *stop, uint64_t address, uint64_t size)
{
    return address < stop->address ? stop->address - address < size : address - stop->address < stop->size;
}

/* Whether any of the kinds [from, to] is for this; they are noted if so asked. */
static bool look_up(struct cpu *cpu, unsigned from, unsigned to, const struct stop_event *e, bool note)
{
    struct stops *s = cpu->stops;
    bool any = false;

    for (unsigned n = s->first[from]; n < s->first[to + 1]; n++) {
        const struct cpu_stop *stop = &s->list[n];
        unsigned k = 0;

        if (!covers(stop, stop->physical ? e->physical : e->address, e->size))
            continue;
        if (!note)
            return true;
        any = true;
        while (k < s->hit_count && order(&s->hits[k].stop, stop))
            k++;
        if (k < s->hit_count || k == CPU_STOP_HITS)
            continue;
        s->hits[k] = (struct cpu_stopped){.stop = *stop,
                                          .address = e->address,
                                          .value = e->value,
                                          .write = e->write,
                                          .has_error = e->has_error,
                                          .error = e->error};
        s->hit_count++;
    }
    if (any)
        stop_attention(cpu);
    return any;
}

/* An event of instruction `i`: noted, or the instruction is first taken back to be run by itself. */
static void stop_kinds(struct cpu *cpu, const struct insn *i, unsigned from, unsigned to,
                       const struct stop_event *e)
{
    if (!look_up(cpu, from, to, e, false))
        return;
    stop_alone(cpu, i);
    look_up(cpu, from, to, e, true);
}

void stop_alone(struct cpu *cpu, const struct insn *i)
{
    if (cpu->single || cpu->in_delivery || !i)
        return;
    cpu->alone = true;
    stop_attention(cpu);
    begin_anew(cpu, i);
}

void stop_event(struct cpu *cpu, const struct insn *i, enum cpu_stop_kind kind, const struct stop_event *e)
{
    stop_kinds(cpu, i, kind, kind, e);
}

void stop_value(struct cpu *cpu, enum cpu_stop_kind kind, uint64_t value)
{
    struct stops *s = cpu->stops;

    for (unsigned n = 0; n < s->hit_count; n++)
        if (s->hits[n].stop.kind == kind)
            s->hits[n].value = value;
}

void stop_access(struct cpu *cpu, const struct insn *i, const struct stop_event *e)
{
    if (e->write)
        stop_kinds(cpu, i, CPU_STOP_WRITE, CPU_STOP_WRITE, e);
    else
        stop_kinds(cpu, i, CPU_STOP_READ, CPU_STOP_READ, e);
    stop_kinds(cpu, i, CPU_STOP_ACCESS, CPU_STOP_ACCESS, e);
}

bool stop_in_page(struct cpu *cpu, uint64_t linear, uint64_t physical)
{
    struct stop_event e = {.address = linear, .physical = physical, .size = PAGE_OFFSETS};

    return look_up(cpu, CPU_STOP_WRITE, CPU_STOP_ACCESS, &e, false);
}

static uint64_t linear_rip(const struct cpu *cpu)
{
    return cpu->long64 ? cpu->s.rip : (uint32_t)(cpu->s.seg[CS].base + cpu->s.rip);
}

bool stop_execute(struct cpu *cpu)
{
    struct stops *s = cpu->stops;
    uint64_t linear = linear_rip(cpu);
    struct cpu_stop first = {.kind = CPU_STOP_EXECUTE, .address = linear};
    struct stop_event e = {.address = linear, .size = 1};
    unsigned at = place(s, &first);

    if (at == s->first[CPU_STOP_EXECUTE + 1] || s->list[at].address != linear)
        return false;
    return look_up(cpu, CPU_STOP_EXECUTE, CPU_STOP_EXECUTE, &e, true);
}

/* --- Nonsense ----------------------------------------------------------------------------------------------
 */

#define STACK_NEAR 64u /* bytes around RSP, within which an access is one to the stack */

void stop_nowhere(struct cpu *cpu)
{
    struct stop_event e = {.address = CPU_NONSENSE_CODE, .size = 1, .value = linear_rip(cpu)};

    if (cpu->alone || !look_up(cpu, CPU_STOP_NONSENSE, CPU_STOP_NONSENSE, &e, true))
        return;
    begin_at_boundary(cpu);
}

static uint64_t linear_stack(const struct cpu *cpu)
{
    const struct segment *ss = &cpu->s.seg[SS];
    uint64_t rsp = cpu->s.gpr[RSP];

    return cpu->long64 ? rsp : (uint32_t)(ss->base + (ss->attr & SEG_DB ? (uint32_t)rsp : (uint16_t)rsp));
}

void stop_chip(struct cpu *cpu, const struct insn *i, uint64_t linear, const struct stop_event *e)
{
    struct stop_event stack = {.address = CPU_NONSENSE_STACK, .size = 1, .value = linear};

    stop_event(cpu, i, CPU_STOP_CHIP, e);
    if (linear - linear_stack(cpu) + STACK_NEAR < 2 * STACK_NEAR)
        stop_event(cpu, i, CPU_STOP_NONSENSE, &stack);
}

void stop_stack(struct cpu *cpu)
{
    struct stop_event e = {.address = CPU_NONSENSE_STACK, .size = 1, .value = linear_stack(cpu)};
    uint64_t offset, physical;
    struct region *r;

    if (!look_up(cpu, CPU_STOP_NONSENSE, CPU_STOP_NONSENSE, &e, false))
        return;
    physical = cpu_translate(cpu, e.value);
    r = physical == UINT64_MAX ? NULL : bus_find(cpu->memory, physical, &offset);
    if (!r || r->kind == REGION_IO)
        look_up(cpu, CPU_STOP_NONSENSE, CPU_STOP_NONSENSE, &e, true);
}

bool stop_exception(struct cpu *cpu)
{
    struct stops *s = cpu->stops;
    struct stop_event e = {.address = (uint64_t)cpu->fault.vector,
                           .size = 1,
                           .has_error = cpu->fault.has_error,
                           .error = cpu->fault.error};

    if (s->passing || !look_up(cpu, CPU_STOP_EXCEPTION, CPU_STOP_EXCEPTION, &e, true)) {
        s->passing = false; /* what comes of its delivery is another */
        return false;
    }
    s->held = true;
    return true;
}

void stop_forget_exception(struct cpu *cpu, bool trap_too)
{
    struct stops *s = cpu->stops;

    if (!s || !s->held || !(cpu->fault.resume || trap_too))
        return;
    s->held = false;
    forget_fault(cpu);
}

void stop_unfinished(struct cpu *cpu)
{
    cpu->stops->unfinished = linear_rip(cpu);
    cpu->stops->unfinished_at = cpu->retired;
}

unsigned cpu_stopped(const struct cpu *cpu, struct cpu_stopped *hits, unsigned max)
{
    unsigned count = cpu->stops && cpu->stops->reported ? cpu->stops->hit_count : 0;

    for (unsigned n = 0; n < count && n < max; n++)
        hits[n] = cpu->stops->hits[n];
    return count < max ? count : max;
}

/* --- The loop ----------------------------------------------------------------------------------------------
 */

/* Traces are made to be as the list says. */
static void apply(struct cpu *cpu)
{
    struct stops *s = cpu->stops;
    uint64_t offsets[PAGE_OFFSETS / 64] = {0}, differ[PAGE_OFFSETS / 64];
    bool magic = s->first[CPU_STOP_MAGIC] < s->first[CPU_STOP_MAGIC + 1];
    unsigned count = 0;

    s->changed = false;
    for (unsigned n = s->first[CPU_STOP_EXECUTE]; n < s->first[CPU_STOP_EXECUTE + 1]; n++) {
        unsigned offset = s->list[n].address & (PAGE_OFFSETS - 1);

        offsets[offset / 64] |= 1ull << offset % 64;
    }
    for (unsigned w = 0; w < PAGE_OFFSETS / 64; w++) {
        differ[w] = offsets[w] ^ s->offsets[w];
        count += (unsigned)__builtin_popcountll(differ[w]);
    }
    memcpy(s->offsets, offsets, sizeof(offsets));
    if (magic != s->magic || count > FEW) {
        s->magic = magic;
        trace_flush(cpu);
        return;
    }
    for (unsigned w = 0; w < PAGE_OFFSETS / 64; w++)
        for (; differ[w]; differ[w] &= differ[w] - 1)
            trace_drop_offset(cpu, w * 64 + (unsigned)__builtin_ctzll(differ[w]));
}

void stops_begin(struct cpu *cpu)
{
    struct stops *s = cpu->stops;

    if (cpu->alone) /* it was kicked before it came to it */
        stop_attention(cpu);
    if (!s->reported)
        return;
    s->reported = false;
    for (unsigned n = 0; n < s->hit_count; n++)
        if ((s->hits[n].stop.kind == CPU_STOP_EXECUTE && s->hits[n].address == linear_rip(cpu)) ||
            (s->hits[n].stop.kind == CPU_STOP_NONSENSE && s->hits[n].address == CPU_NONSENSE_CODE)) {
            cpu->alone = true;
            stop_attention(cpu);
        }
    s->hit_count = 0;
}

bool stops_deliver(struct cpu *cpu)
{
    struct stops *s = cpu->stops;

    if (!s->held || s->hit_count) /* it wasn't told yet */
        return false;
    s->held = false;
    s->passing = true;
    deliver_fault(cpu);
    return true;
}

bool stops_due(struct cpu *cpu)
{
    struct stops *s = cpu->stops;

    atomic_fetch_and(&cpu->attention, ~(uint32_t)ATT_STOP);
    if (!s)
        return false;
    if (s->changed)
        apply(cpu);
    if (!s->hit_count || s->reported)
        return false;
    s->reported = true;
    return true;
}

/* --- Traces ------------------------------------------------------------------------------------------------
 */

void cpu_stop_magic(struct cpu *cpu)
{
    struct stop_event e = {.size = 1};

    if (cpu->stops)
        look_up(cpu, CPU_STOP_MAGIC, CPU_STOP_MAGIC, &e, true);
}

/* XCHG BX,BX, which does nothing. */
static BODY(body_magic)
{
    cpu_stop_magic(cpu);
    NEXT;
}

static BODY(body_stop)
{
    struct stops *s = cpu->stops;
    struct trace *t = cpu->trace;
    bool begun = s->unfinished_at == cpu->retired - t->count && s->unfinished == linear_rip(cpu);

    if (likely(cpu->alone || begun || !stop_execute(cpu))) {
        t->first(cpu, i);
        return;
    }
    cpu->retired -= t->count;
}

bool stop_splits(const struct cpu *cpu, unsigned offset)
{
    offset &= PAGE_OFFSETS - 1;
    return cpu->stops->offsets[offset / 64] >> offset % 64 & 1;
}

bool stop_magic(const struct cpu *cpu, uint32_t mode, const uint8_t *bytes, unsigned length, struct insn *i)
{
    static const uint8_t magic[] = {0x66, 0x87, 0xdb};
    unsigned skip = (mode & MODE_BITS) == SIZE_W; /* 16-bit code needs no prefix */

    if (!cpu->stops->magic || length != sizeof(magic) - skip || memcmp(bytes, magic + skip, length))
        return false;
    i->fn = body_magic;
    return true;
}

bool stop_guards(const struct cpu *cpu, struct trace *t)
{
    bool magic = t->insn[0].fn == body_magic;

    if (!stop_splits(cpu, (unsigned)t->phys))
        return magic;
    t->first = t->insn[0].fn;
    t->insn[0].fn = body_stop;
    return true;
}
