/*
 * xsave_bodies.c - XSAVE, XSAVEOPT, XSAVEC, XSAVES, XRSTOR, XRSTORS; XGETBV and XSETBV (SDM 2).
 *
 * Their checks are made in the order CR4.OSXSAVE (#UD), privilege (#GP), CR0.TS (#NM), operand. CR0.EM and
 * pending x87 exceptions don't matter.
 */
#include "cpu/interp/body.h"
#include "cpu/xsave.h"

static inline uint64_t edx_eax(const struct cpu *cpu)
{
    return cpu->s.gpr[RDX] << 32 | (uint32_t)cpu->s.gpr[RAX];
}

static inline void require_osxsave(struct cpu *cpu, const struct insn *i)
{
    if (!(cpu->s.cr4 & CR4_OSXSAVE))
        ud(cpu, i);
}

/* Checks what all share; returns the components asked for that are enabled. */
static uint64_t requested(struct cpu *cpu, const struct insn *i, bool supervisor)
{
    require_osxsave(cpu, i);
    if (supervisor && cpu->s.cpl != 0)
        gp0(cpu, i);
    if (cpu->s.cr0 & CR0_TS)
        fault0(cpu, i, EX_NM);
    return edx_eax(cpu) & (cpu->s.xcr0 | (supervisor ? cpu->s.xss : 0));
}

BODY(xsave)
{
    xsave_store(cpu, i, requested(cpu, i, false), XSAVE_PLAIN);
    NEXT;
}

BODY(xsaveopt)
{
    xsave_store(cpu, i, requested(cpu, i, false), XSAVE_OPT);
    NEXT;
}

BODY(xsavec)
{
    xsave_store(cpu, i, requested(cpu, i, false), XSAVE_COMPACTED);
    NEXT;
}

BODY(xsaves)
{
    xsave_store(cpu, i, requested(cpu, i, true), XSAVE_COMPACTED);
    NEXT;
}

BODY(xrstor)
{
    xsave_load(cpu, i, requested(cpu, i, false), false);
    NEXT;
}

BODY(xrstors)
{
    xsave_load(cpu, i, requested(cpu, i, true), true);
    NEXT;
}

BODY(xgetbv)
{
    uint32_t index = (uint32_t)cpu->s.gpr[RCX];
    uint64_t value = cpu->s.xcr0;

    require_osxsave(cpu, i);
    if (index == 1 && has_feature(cpu, F_XGETBV1))
        value &= xsave_in_use(cpu);
    else if (index != 0)
        gp0(cpu, i);
    cpu->s.gpr[RAX] = (uint32_t)value;
    cpu->s.gpr[RDX] = value >> 32;
    NEXT;
}

BODY(xsetbv)
{
    require_osxsave(cpu, i);
    if (cpu->s.cpl != 0 || (uint32_t)cpu->s.gpr[RCX] != 0 || !xcr0_valid(cpu, edx_eax(cpu)))
        gp0(cpu, i);
    cpu->s.xcr0 = edx_eax(cpu);
    LEAVE(next_rip(cpu, i));
}
