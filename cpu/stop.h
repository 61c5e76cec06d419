/*
 * stop.h - stops, as the rest of cpu/ sees them. All of it is called with cpu->stops there, but for
 * stops_free(), stops_due(), stop_attention() and stop_forget_exception().
 */
#ifndef CPU_STOP_H
#define CPU_STOP_H

#include "cpu/internal.h"

/* Something that a stop may be for. */
struct stop_event {
    uint64_t address, size; /* linear address, port, vector; size 1 at least */
    uint64_t physical;
    uint64_t value;
    bool write, has_error;
    uint32_t error;
};

/*
 * An event of instruction `i`, before it has done anything that can't be repeated. If a stop is for it, the
 * CPU stops after the instruction; it may be begun anew for that, by itself: then this doesn't return. `i`
 * NULL: of what is between instructions.
 */
void stop_event(struct cpu *cpu, const struct insn *i, enum cpu_stop_kind kind, const struct stop_event *e);
void stop_access(struct cpu *cpu, const struct insn *i, const struct stop_event *e);
/* What the event brought, where that is known only now: of what was noted of the kind. */
void stop_value(struct cpu *cpu, enum cpu_stop_kind kind, uint64_t value);
/* What `i` is going to do can't be repeated: it is run by itself. Returns if it already is. */
void stop_alone(struct cpu *cpu, const struct insn *i);

/* Whether data in the page is watched: it gets no fast TLB entry. */
bool stop_in_page(struct cpu *cpu, uint64_t linear, uint64_t physical);
/* Whether the instruction at RIP is one to stop before; noted if so. */
bool stop_execute(struct cpu *cpu);
/* Code is to be fetched from where there is no memory: begins anew if that is to stop at. */
void stop_nowhere(struct cpu *cpu);
/* An access to what isn't memory, at `linear`, before it is made. */
void stop_chip(struct cpu *cpu, const struct insn *i, uint64_t linear, const struct stop_event *e);
/* The stack pointer is where an event's frame was pushed. */
void stop_stack(struct cpu *cpu);
/* Whether the exception in cpu->fault is to wait until the CPU goes on. */
bool stop_exception(struct cpu *cpu);
/* The state was changed: an instruction that faulted is tried again instead; a trap waits on, unless
 * forgotten too. */
void stop_forget_exception(struct cpu *cpu, bool trap_too);
/* RIP is at a repeated instruction that was begun. */
void stop_unfinished(struct cpu *cpu);

/* Of the loop: the CPU goes on; delivers the exception that waited, if one did; whether to stop. */
void stops_begin(struct cpu *cpu);
bool stops_deliver(struct cpu *cpu);
bool stops_due(struct cpu *cpu);
void stop_attention(struct cpu *cpu);
void stops_free(struct cpu *cpu);

/* Of decoding: whether a trace has to end before an instruction at this offset in its page. */
bool stop_splits(const struct cpu *cpu, unsigned offset);
/* Whether the instruction, decoded to *i, is the magic one; it gets a body that says so, and begins a trace.
 */
bool stop_magic(const struct cpu *cpu, uint32_t mode, const uint8_t *bytes, unsigned length, struct insn *i);
/* Whether the new trace may begin with a stop: its first body asks. */
bool stop_guards(const struct cpu *cpu, struct trace *t);

#endif
