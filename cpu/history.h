/*
 * history.h - what the CPU went through last, as the rest of cpu/ writes it down (cpu.h, "The history").
 */
#ifndef CPU_HISTORY_H
#define CPU_HISTORY_H

#include "cpu/internal.h"

bool history_new(struct cpu *cpu); /* false when memory ran out */
void history_free(struct cpu *cpu);

/* Where instruction `i` of the running trace is; NULL: the instruction boundary at RIP. */
struct cpu_place history_place(const struct cpu *cpu, const struct insn *i);

/* An event has led from there to where the CPU is now. An exception's or interrupt's number is cpu->fault's.
 */
void history_add(struct cpu *cpu, enum cpu_past_kind kind, const struct cpu_place *from);

/* The state was set from outside. */
void history_outside(struct cpu *cpu);

/*
 * A trace is entered at RIP, coming from another one: the one place where near branches are seen; translated
 * code does the same (translate.c). While branches aren't kept, history_at is NULL.
 */
static forced_inline void history_code(struct cpu *cpu, const struct trace *t)
{
    uint64_t *at = cpu->history_at;

    if (likely(!at) || t == cpu->trace)
        return;
    *at = cpu->s.rip;
    cpu->history_at = (uint64_t *)((uintptr_t)(at + 1) & cpu->history_wrap);
}

#endif
