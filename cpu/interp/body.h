/*
 * body.h - what every instruction body includes, and how it ends.
 *
 * A body is `BODY(name) { ... NEXT; }`. It ends in one of:
 *
 *     NEXT                go on with the trace's next instruction (a tail call)
 *     LEAVE(rip)          set RIP and leave to cpu_run's loop, which looks at interrupts, mode and traps
 * again: for instructions marked A_END that are not plain jumps jump(cpu, i, rip)   (as the last statement)
 * go to `rip` through the link in the slot after this instruction: near branches
 *
 * While a trace runs, s.rip is the RIP of the trace's start. rip_of() and next_rip() say where an instruction
 * is and what follows it.
 *
 * Bodies in gcc and clang at -O2 call each other by jumps; in builds without optimisation they nest, at most
 * a trace deep, and OXBOW_CHAIN is off so that the next trace starts from the loop again.
 */
#ifndef CPU_INTERP_BODY_H
#define CPU_INTERP_BODY_H

#include "cpu/interp/access.h"
#include "cpu/interp/flags.h"

#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(OXBOW_SANITIZED)
#define OXBOW_CHAIN 1
#else
#define OXBOW_CHAIN 0
#endif

#define BODY(name)                                                                                           \
    insn_fn name;                                                                                            \
    void name(struct cpu *cpu, const struct insn *i)

#define NEXT                                                                                                 \
    do {                                                                                                     \
        const struct insn *next_insn = i + 1;                                                                \
        next_insn->fn(cpu, next_insn);                                                                       \
        return;                                                                                              \
    } while (0)

#define LEAVE(new_rip)                                                                                       \
    do {                                                                                                     \
        cpu->s.rip = (new_rip);                                                                              \
        return;                                                                                              \
    } while (0)

/* RIP of this instruction and of the next; in 16- and 32-bit code an offset of 32 bits. */
static inline uint64_t rip_of(const struct cpu *cpu, const struct insn *i)
{
    uint64_t rip = cpu->s.rip + i->off;

    return cpu->long64 ? rip : (uint32_t)rip;
}

static inline uint64_t next_rip(const struct cpu *cpu, const struct insn *i)
{
    uint64_t rip = cpu->s.rip + i->off + i->len;

    return cpu->long64 ? rip : (uint32_t)rip;
}

#endif
