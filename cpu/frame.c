/*
 * frame.c - frames on the stack of an interrupt, call gate or task, perhaps another ring's.
 *
 * The frame is checked and written while the old SS, RSP and CPL are still in force, so that whatever faults
 * on the way leaves nothing to undo; commit_stack() then installs the new stack.
 */
#include "cpu/protect.h"

void current_stack(const struct cpu *cpu, struct stack *stack)
{
    stack->ss = cpu->s.seg[SS];
    stack->mask = address_mask(stack_size(cpu));
    stack->sp = cpu->s.gpr[RSP];
    stack->error = 0;
    stack->flat = cpu->long64;
    stack->super = false;
}

void inner_stack(struct cpu *cpu, const struct insn *i, unsigned dpl, struct stack *stack)
{
    uint16_t ss;
    uint64_t d;

    tss_stack(cpu, i, dpl, &ss, &stack->sp);
    stack->super = true;
    stack->flat = long_mode(cpu);
    if (stack->flat) {
        null_stack_segment(&stack->ss, dpl);
        stack->mask = UINT64_MAX;
        stack->error = 0;
        return;
    }
    if (null_selector(ss))
        fault(cpu, i, EX_TS, 0);
    d = read_descriptor(cpu, i, ss, EX_TS);
    if ((ss & 3u) != dpl || desc_dpl(d) != dpl || !is_writable_data(d))
        fault(cpu, i, EX_TS, selector_error(ss));
    if (!desc_present(d))
        fault(cpu, i, EX_SS, selector_error(ss));
    set_accessed(cpu, i, ss, &d);
    unpack_descriptor(&stack->ss, ss, d);
    stack->mask = stack->ss.attr & SEG_DB ? UINT32_MAX : UINT16_MAX;
    stack->error = selector_error(ss);
}

static bool fits(const struct stack *stack, uint64_t offset, unsigned size)
{
    return !(stack->ss.attr & SEG_UNUSABLE) && within_limit(&stack->ss, offset, 1u << size);
}

void stack_room(struct cpu *cpu, const struct insn *i, const struct stack *stack, unsigned size,
                unsigned count)
{
    uint64_t sp = stack->sp;

    if (stack->flat)
        return;
    while (count--) {
        sp -= 1u << size;
        if (!fits(stack, sp & stack->mask, size))
            fault(cpu, i, EX_SS, stack->error);
    }
}

void stack_push(struct cpu *cpu, const struct insn *i, struct stack *stack, unsigned size, uint64_t value)
{
    uint64_t sp = stack->sp - (1u << size), linear = sp & stack->mask;

    if (!stack->flat) {
        if (!fits(stack, linear, size))
            fault(cpu, i, EX_SS, stack->error);
        linear = (uint32_t)(stack->ss.base + linear);
    }
    if (stack->super) {
        if (stack->flat && !canonical(cpu, linear))
            fault(cpu, i, EX_SS, stack->error);
        super_write(cpu, i, linear, value, 1u << size);
    } else {
        if (unlikely(cpu->mode & MODE_AC) && linear & ((1u << size) - 1))
            alignment_fault(cpu, i, SS, linear, 1u << size);
        linear_write(cpu, i, SS, linear, value, 1u << size);
    }
    stack->sp = sp;
}

void stack_push64(struct cpu *cpu, const struct insn *i, struct stack *stack, const uint64_t *words,
                  unsigned count)
{
    const struct tlb_entry *tlb = stack->super ? cpu->tlbs[TLB_SUPER].entry : cpu->tlb;
    uint64_t sp = stack->sp - 8 * count;
    const struct tlb_entry *e = &tlb[sp >> 12 & (TLB_SIZE - 1)];

    if (likely(e->write == tlb_tag(cpu, sp) && (sp & 0xfff) <= 0x1000 - 8 * count) &&
        !(unlikely(cpu->mode & MODE_AC) && sp & 7)) {
        memcpy((void *)(uintptr_t)(sp + e->addend), words, 8 * count);
        stack->sp = sp;
        return;
    }
    while (count--)
        stack_push(cpu, i, stack, SIZE_Q, words[count]);
}

void commit_stack(struct cpu *cpu, const struct stack *stack)
{
    uint64_t *rsp = &cpu->s.gpr[RSP];

    cpu->s.seg[SS] = stack->ss;
    if (stack->mask == UINT16_MAX)
        *rsp = (*rsp & ~0xffffull) | (uint16_t)stack->sp;
    else
        *rsp = stack->sp & stack->mask;
}
