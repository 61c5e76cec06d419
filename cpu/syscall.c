/*
 * syscall.c - SYSCALL, SYSRET, SYSENTER and SYSEXIT as AMD's processors do them (APM 3, instruction
 * reference).
 *
 * No descriptor is read: the segment registers get fixed contents. Where AMD differs from Intel: SYSCALL
 * works outside 64-bit mode too, SYSENTER and SYSEXIT exist only outside long mode, SYSRET leaves the hidden
 * part of SS alone and lets a non-canonical RIP fault in ring 3.
 */
#include "cpu/protect.h"

#define CODE_ATTR (SEG_P | SEG_S | SEG_CODE | SEG_READABLE | SEG_ACCESSED | SEG_G)
#define DATA_ATTR (SEG_P | SEG_S | SEG_WRITABLE | SEG_ACCESSED | SEG_G | SEG_DB)

static void flat_segment(struct segment *segment, uint64_t selector, uint32_t attr)
{
    segment->selector = (uint16_t)selector;
    segment->base = 0;
    segment->limit = UINT32_MAX;
    segment->attr = attr;
}

/* SYSCALL and SYSRET trap by the TF that they leave, so that the kernel's entry can mask it (APM 3). */
static void trap_by_new_flags(struct cpu *cpu)
{
    cpu->trap_after = false;
    if (cpu->s.rflags & FLAG_TF)
        cpu->s.pending_debug |= DR6_BS;
}

void fast_call(struct cpu *cpu, const struct insn *i, uint64_t next)
{
    struct cpu_state *s = &cpu->s;
    uint64_t rflags = get_rflags(cpu), rip;
    uint16_t cs = (s->star >> 32) & 0xfffc;

    if (!(s->efer & EFER_SCE))
        ud(cpu, i);
    if (long_mode(cpu)) {
        s->gpr[RCX] = next;
        s->gpr[R11] = rflags & ~(uint64_t)FLAG_RF;
        rip = cpu->long64 ? s->lstar : s->cstar;
        put_rflags(cpu, rflags & ~s->sfmask & ~(uint64_t)FLAG_RF);
        flat_segment(&s->seg[CS], cs, CODE_ATTR | SEG_L);
    } else {
        s->gpr[RCX] = (uint32_t)next;
        rip = (uint32_t)s->star;
        put_rflags(cpu, rflags & ~(uint64_t)(FLAG_VM | FLAG_IF | FLAG_RF));
        flat_segment(&s->seg[CS], cs, CODE_ATTR | SEG_DB);
    }
    flat_segment(&s->seg[SS], cs + 8u, DATA_ATTR);
    s->cpl = 0;
    trap_by_new_flags(cpu);
    update_mode(cpu);
    s->rip = rip;
}

void fast_return(struct cpu *cpu, const struct insn *i)
{
    struct cpu_state *s = &cpu->s;
    uint64_t selector = s->star >> 48, rip = (uint32_t)s->gpr[RCX];
    struct segment *ss = &s->seg[SS];

    if (!(s->efer & EFER_SCE))
        ud(cpu, i);
    if (real_mode(cpu) || s->cpl != 0)
        gp0(cpu, i);
    if (cpu->long64 && i->osize == SIZE_Q) {
        rip = s->gpr[RCX];
        flat_segment(&s->seg[CS], (selector + 16) | 3, CODE_ATTR | SEG_DPL | SEG_L);
    } else {
        flat_segment(&s->seg[CS], selector | 3, CODE_ATTR | SEG_DPL | SEG_DB);
    }
    ss->selector = (uint16_t)(selector + 8);
    ss->attr |= SEG_DPL; /* the one place that says CPL 3; limit and the rest stay as they were */
    if (cpu->long64)
        put_rflags(cpu, s->gpr[R11] & ~(uint64_t)(FLAG_RF | FLAG_VM));
    else
        s->rflags |= FLAG_IF;
    s->cpl = 3;
    trap_by_new_flags(cpu);
    update_mode(cpu);
    s->rip = rip;
}

void legacy_fast_call(struct cpu *cpu, const struct insn *i)
{
    struct cpu_state *s = &cpu->s;
    uint16_t cs = s->sysenter_cs & 0xfffc;

    if (long_mode(cpu))
        ud(cpu, i);
    if (real_mode(cpu) || !cs)
        gp0(cpu, i);
    s->rflags &= ~(uint64_t)(FLAG_VM | FLAG_IF | FLAG_RF);
    flat_segment(&s->seg[CS], cs, CODE_ATTR | SEG_DB);
    flat_segment(&s->seg[SS], cs + 8u, DATA_ATTR);
    s->gpr[RSP] = (uint32_t)s->sysenter_esp;
    s->cpl = 0;
    update_mode(cpu);
    s->rip = (uint32_t)s->sysenter_eip;
}

void legacy_fast_return(struct cpu *cpu, const struct insn *i)
{
    struct cpu_state *s = &cpu->s;
    uint16_t cs = s->sysenter_cs & 0xfffc;

    if (long_mode(cpu))
        ud(cpu, i);
    if (real_mode(cpu) || s->cpl != 0 || !cs)
        gp0(cpu, i);
    flat_segment(&s->seg[CS], (cs + 16u) | 3, CODE_ATTR | SEG_DPL | SEG_DB);
    flat_segment(&s->seg[SS], (cs + 24u) | 3, DATA_ATTR | SEG_DPL);
    s->gpr[RSP] = (uint32_t)s->gpr[RCX];
    s->cpl = 3;
    update_mode(cpu);
    s->rip = (uint32_t)s->gpr[RDX];
}
