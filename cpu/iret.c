/*
 * iret.c - IRET in all its kinds (SDM 2, IRET; SDM 3A 20.2 for virtual-8086 mode).
 */
#include "cpu/protect.h"
#include "cpu/interp/body.h"

/* Reads `count` items from the stack's top without popping them. */
static void peek(struct cpu *cpu, const struct insn *i, unsigned size, uint64_t *items, unsigned count)
{
    uint64_t sp = cpu->s.gpr[RSP];

    if (size == SIZE_Q && cpu->long64 && !(cpu->mode & MODE_AC)) {
        const void *host = tlb_read_host(cpu, sp, 8 * count);
        if (likely(host && (sp & 0xfff) <= 0x1000 - 8 * count)) {
            memcpy(items, host, 8 * count);
            return;
        }
    }
    for (unsigned n = 0; n < count; n++)
        items[n] = stack_read(cpu, i, sp + (n << size), size);
}

/* RFLAGS after popping `image` at operand size `size`: what the ring may change. */
static uint64_t returned_flags(struct cpu *cpu, uint64_t image, unsigned size)
{
    uint64_t mask = FLAGS_ARITH | FLAG_TF | FLAG_DF | FLAG_NT, old = cpu->s.rflags;
    unsigned cpl = cpu->s.cpl;

    if (size != SIZE_W)
        mask |= FLAG_RF | FLAG_AC | FLAG_ID;
    if (cpl <= (old & FLAG_IOPL) >> 12)
        mask |= FLAG_IF;
    if (cpl == 0)
        mask |= FLAG_IOPL | (size != SIZE_W ? FLAG_VIF | FLAG_VIP : 0);
    return (old & ~mask) | (image & mask);
}

static void return_real(struct cpu *cpu, const struct insn *i)
{
    unsigned size = i->osize;
    uint64_t frame[3], keep = FLAG_VIP | FLAG_VIF | FLAG_VM;

    peek(cpu, i, size, frame, 3);
    if (frame[0] > cpu->s.seg[CS].limit)
        gp0(cpu, i);
    if (size == SIZE_W)
        keep |= ~(uint64_t)UINT16_MAX;
    set_sp(cpu, cpu->s.gpr[RSP] + (3u << size));
    put_rflags(cpu, (cpu->s.rflags & keep) | (frame[2] & ~keep));
    load_segment_real(cpu, CS, (uint16_t)frame[1]);
    update_mode(cpu);
    cpu->s.rip = frame[0];
}

/* Within virtual-8086 mode: with IOPL 3 freely, else only under VME, in 16 bits, on VIF instead of IF. */
static void return_within_vm86(struct cpu *cpu, const struct insn *i)
{
    bool iopl3 = (cpu->s.rflags & FLAG_IOPL) == FLAG_IOPL;
    unsigned size = i->osize;
    uint64_t frame[3], image, mask;

    if (!iopl3 && (!(cpu->s.cr4 & CR4_VME) || size != SIZE_W))
        gp0(cpu, i);
    peek(cpu, i, size, frame, 3);
    image = frame[2];
    if (frame[0] > cpu->s.seg[CS].limit)
        gp0(cpu, i);
    mask = FLAGS_ARITH | FLAG_TF | FLAG_DF | FLAG_NT;
    if (size != SIZE_W)
        mask |= FLAG_RF | FLAG_AC | FLAG_ID;
    if (iopl3) {
        mask |= FLAG_IF;
    } else {
        if (image & FLAG_TF || (image & FLAG_IF && cpu->s.rflags & FLAG_VIP))
            gp0(cpu, i);
        mask |= FLAG_VIF;
        image = (image & ~(uint64_t)FLAG_VIF) | (image & FLAG_IF ? FLAG_VIF : 0);
    }
    set_sp(cpu, cpu->s.gpr[RSP] + (3u << size));
    put_rflags(cpu, (cpu->s.rflags & ~mask) | (image & mask));
    load_segment_real(cpu, CS, (uint16_t)frame[1]);
    update_mode(cpu);
    cpu->s.rip = frame[0];
}

/* From ring 0 into virtual-8086 mode: EIP CS EFLAGS ESP SS ES DS FS GS. */
static void return_to_vm86(struct cpu *cpu, const struct insn *i)
{
    static const uint8_t order[] = {SS, ES, DS, FS, GS};
    uint64_t frame[9];

    peek(cpu, i, SIZE_D, frame, 9);
    if (frame[0] > 0xffff)
        gp0(cpu, i);
    put_rflags(cpu, frame[2]);
    load_segment_real(cpu, CS, (uint16_t)frame[1]);
    for (unsigned n = 0; n < sizeof(order); n++)
        load_segment_real(cpu, order[n], (uint16_t)frame[4 + n]);
    cpu->s.gpr[RSP] = frame[3];
    set_cpl(cpu, 3);
    cpu->s.rip = frame[0];
}

/* NT is set: back to the task that the TSS's link names. */
static void return_task(struct cpu *cpu, const struct insn *i)
{
    uint16_t link = (uint16_t)super_read(cpu, i, table_linear(cpu, cpu->s.tr.base), 2);
    uint64_t d;

    if (link & SELECTOR_TI || null_selector(link))
        fault(cpu, i, EX_TS, selector_error(link));
    d = read_descriptor(cpu, i, link, EX_TS);
    if (desc_type(d) != (SYS_TSS16 | SYS_TSS_BUSY) && desc_type(d) != (SYS_TSS32 | SYS_TSS_BUSY))
        fault(cpu, i, EX_TS, selector_error(link));
    if (!desc_present(d))
        fault(cpu, i, EX_NP, selector_error(link));
    task_switch(cpu, i, link, d, TASK_IRET, next_rip(cpu, i), false, 0);
}

static void return_protected(struct cpu *cpu, const struct insn *i)
{
    unsigned size = i->osize, cpl = cpu->s.cpl, rpl;
    uint64_t frame[5], code, rflags;
    struct segment ss;
    uint16_t selector;
    bool with_stack;

    peek(cpu, i, size, frame, cpu->long64 ? 5 : 3);
    if (size == SIZE_D && frame[2] & FLAG_VM && cpl == 0 && !long_mode(cpu)) {
        return_to_vm86(cpu, i);
        return;
    }
    selector = (uint16_t)frame[1];
    rpl = selector & 3u;
    code = read_return_cs(cpu, i, selector);
    with_stack = cpu->long64 || rpl > cpl; /* 64-bit mode always returns to another stack */
    if (with_stack) {
        if (!cpu->long64)
            peek(cpu, i, size, frame, 5);
        read_return_ss(cpu, i, (uint16_t)frame[4], rpl, code, &ss);
    }
    check_code_offset(cpu, i, code, frame[0]);

    rflags = returned_flags(cpu, frame[2], size);
    if (with_stack) {
        cpu->s.seg[SS] = ss;
        set_returned_sp(cpu, code, frame[3]);
    } else {
        set_sp(cpu, cpu->s.gpr[RSP] + (3u << size));
    }
    put_rflags(cpu, rflags);
    commit_cs(cpu, selector, code, rpl);
    if (rpl > cpl)
        drop_inner_segments(cpu);
    update_mode(cpu);
    cpu->s.rip = frame[0];
}

void interrupt_return(struct cpu *cpu, const struct insn *i)
{
    cpu->s.nmi_blocked = 0; /* also when the IRET faults (SDM 3A 6.7.1) */
    if (real_mode(cpu)) {
        return_real(cpu, i);
    } else if (vm86_mode(cpu)) {
        return_within_vm86(cpu, i);
    } else if (cpu->s.rflags & FLAG_NT) {
        if (long_mode(cpu))
            gp0(cpu, i);
        return_task(cpu, i);
    } else {
        return_protected(cpu, i);
    }
}
