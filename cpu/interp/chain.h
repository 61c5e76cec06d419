/*
 * chain.h - from one trace to the next.
 */
#ifndef CPU_INTERP_CHAIN_H
#define CPU_INTERP_CHAIN_H

#include "cpu/history.h"
#include "cpu/interp/body.h"

/* Runs a trace. Its instructions are counted as done; a branch out of it, or a fault, takes back what wasn't.
 */
static forced_inline void enter(struct cpu *cpu, struct trace *t)
{
    history_code(cpu, t);
    cpu->trace = t;
    cpu->retired += t->count;
    t->insn[0].fn(cpu, t->insn);
}

/* The target of a near branch is not remembered: check it (SDM 2A JMP: #GP(0) at the branch), find the trace.
 */
void jump_slow(struct cpu *cpu, const struct insn *i, uint64_t rip);

/* Near branch to `rip` in any page. The last thing a body does; takes back what the trace has left. */
static forced_inline void jump(struct cpu *cpu, const struct insn *i, uint64_t rip)
{
    const struct link *l = (const struct link *)(i + 1);

    if (OXBOW_CHAIN && likely(l->rip == rip && l->gen == cpu->link_gen) &&
        likely(cpu->retired < atomic_load_explicit(&cpu->stop_at, memory_order_relaxed))) {
        struct trace *t = l->trace;

        cpu->s.rip = rip;
        cpu->retired -= i->rest;
        enter(cpu, t);
        return;
    }
    jump_slow(cpu, i, rip);
}

/* Near branch by i->imm within the trace's own page, whose mapping therefore stands: only the code can have
 * changed. */
static forced_inline void jump_near(struct cpu *cpu, const struct insn *i)
{
    const struct link *l = (const struct link *)(i + 1);

    if (OXBOW_CHAIN && likely(l->gen == cpu->code_gen) &&
        likely(cpu->retired < atomic_load_explicit(&cpu->stop_at, memory_order_relaxed))) {
        struct trace *t = l->trace;

        cpu->s.rip += (uint64_t)i->imm;
        cpu->retired -= i->rest;
        enter(cpu, t);
        return;
    }
    jump_slow(cpu, i, cpu->s.rip + (uint64_t)i->imm);
}

#endif
