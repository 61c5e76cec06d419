/*
 * far.c - far jumps, calls and returns (SDM 2, CALL, JMP, RET; SDM 3A 5.8).
 *
 * Each function checks all, writes its stack frame, and then changes CS, SS, CPL and at last RIP.
 */
#include "cpu/protect.h"
#include "cpu/interp/body.h"

void check_code_offset(struct cpu *cpu, const struct insn *i, uint64_t code, uint64_t offset)
{
    if (is_code64(cpu, code) ? !canonical(cpu, offset) : offset > desc_limit(code))
        gp0(cpu, i);
}

static _Noreturn void gp_selector(struct cpu *cpu, const struct insn *i, uint16_t selector)
{
    fault(cpu, i, EX_GP, selector_error(selector));
}

static void require_present(struct cpu *cpu, const struct insn *i, uint16_t selector, uint64_t descriptor)
{
    if (!desc_present(descriptor))
        fault(cpu, i, EX_NP, selector_error(selector));
}

/* Long mode has no code segments with both L and D set (SDM 3A 5.2.1). */
static void require_valid_size(struct cpu *cpu, const struct insn *i, uint16_t selector, uint64_t code)
{
    if (long_mode(cpu) && (desc_attr(code) & (SEG_L | SEG_DB)) == (SEG_L | SEG_DB))
        gp_selector(cpu, i, selector);
}

/* Real and virtual-8086 mode: any selector will do, the limit is the old one. */
static bool real_segments(const struct cpu *cpu)
{
    return real_mode(cpu) || vm86_mode(cpu);
}

static void check_real_offset(struct cpu *cpu, const struct insn *i, uint64_t offset)
{
    if (offset > cpu->s.seg[CS].limit)
        gp0(cpu, i);
}

static void enter_real(struct cpu *cpu, uint16_t selector, uint64_t offset)
{
    load_segment_real(cpu, CS, selector);
    update_mode(cpu);
    cpu->s.rip = offset;
}

static void enter_code(struct cpu *cpu, const struct insn *i, uint16_t selector, uint64_t code, unsigned cpl,
                       uint64_t offset)
{
    set_accessed(cpu, i, selector, &code);
    commit_cs(cpu, selector, code, cpl);
    update_mode(cpu);
    cpu->s.rip = offset;
}

/* --- Targets of JMP and CALL --------------------------------------------------------------------- */

/* A code segment named directly: no change of ring. */
static void check_direct(struct cpu *cpu, const struct insn *i, uint16_t selector, uint64_t code)
{
    unsigned dpl = desc_dpl(code), cpl = cpu->s.cpl;

    require_valid_size(cpu, i, selector, code);
    if (is_conforming(code) ? dpl > cpl : ((selector & 3u) > cpl || dpl != cpl))
        gp_selector(cpu, i, selector);
    require_present(cpu, i, selector, code);
}

struct gate {
    uint16_t selector; /* target */
    uint64_t offset;
    uint64_t code; /* target's descriptor */
    unsigned size; /* SIZE_W, SIZE_D, SIZE_Q */
    unsigned params;
};

static void check_gate_access(struct cpu *cpu, const struct insn *i, uint16_t selector, uint64_t descriptor)
{
    unsigned dpl = desc_dpl(descriptor);

    if (dpl < cpu->s.cpl || dpl < (selector & 3u))
        gp_selector(cpu, i, selector);
}

/* Reads and checks a call gate and the code segment behind it, except for the ring rule of that segment. */
static void read_call_gate(struct cpu *cpu, const struct insn *i, uint16_t selector, uint64_t descriptor,
                           struct gate *gate)
{
    uint64_t high = 0;

    check_gate_access(cpu, i, selector, descriptor);
    if (long_mode(cpu))
        high = read_descriptor_high(cpu, i, selector);
    require_present(cpu, i, selector, descriptor);
    gate->size = long_mode(cpu) ? SIZE_Q : desc_type(descriptor) == SYS_CALL32 ? SIZE_D : SIZE_W;
    gate->selector = (uint16_t)(descriptor >> 16);
    gate->params = descriptor >> 32 & 31;
    gate->offset = descriptor & 0xffff;
    if (gate->size != SIZE_W)
        gate->offset |= (descriptor >> 32 & 0xffff0000) | high << 32;
    if (null_selector(gate->selector))
        gp0(cpu, i);
    gate->code = read_descriptor(cpu, i, gate->selector, EX_GP);
    if (!is_code(gate->code) || desc_dpl(gate->code) > cpu->s.cpl ||
        (long_mode(cpu) && (desc_attr(gate->code) & (SEG_L | SEG_DB)) != SEG_L))
        gp_selector(cpu, i, gate->selector);
}

static bool is_call_gate(const struct cpu *cpu, uint64_t descriptor)
{
    unsigned type = desc_type(descriptor);

    return type == SYS_CALL32 || (type == SYS_CALL16 && !long_mode(cpu));
}

/* Task gates and TSSs; returns only when it was one. Anything that is left is a bad selector. */
static void far_task(struct cpu *cpu, const struct insn *i, uint16_t selector, uint64_t descriptor,
                     enum task_reason reason, uint64_t next)
{
    unsigned type = desc_type(descriptor);

    if (long_mode(cpu) || (type != SYS_TASK_GATE && type != SYS_TSS16 && type != SYS_TSS32))
        gp_selector(cpu, i, selector);
    check_gate_access(cpu, i, selector, descriptor);
    if (type == SYS_TASK_GATE) {
        require_present(cpu, i, selector, descriptor);
        selector = (uint16_t)(descriptor >> 16);
        if (null_selector(selector) || selector & SELECTOR_TI)
            gp_selector(cpu, i, selector);
        descriptor = read_descriptor(cpu, i, selector, EX_GP);
        if (desc_type(descriptor) != SYS_TSS16 && desc_type(descriptor) != SYS_TSS32)
            gp_selector(cpu, i, selector);
    } else if (selector & SELECTOR_TI) {
        gp_selector(cpu, i, selector);
    }
    require_present(cpu, i, selector, descriptor);
    task_switch(cpu, i, selector, descriptor, reason, next, false, 0);
}

/* --- JMP ----------------------------------------------------------------------------------------- */

void far_jump(struct cpu *cpu, const struct insn *i, uint16_t selector, uint64_t offset)
{
    struct gate gate;
    uint64_t d;

    if (real_segments(cpu)) {
        check_real_offset(cpu, i, offset);
        enter_real(cpu, selector, offset);
        return;
    }
    if (null_selector(selector))
        gp0(cpu, i);
    d = read_descriptor(cpu, i, selector, EX_GP);
    if (is_code(d)) {
        check_direct(cpu, i, selector, d);
        check_code_offset(cpu, i, d, offset);
        enter_code(cpu, i, selector, d, cpu->s.cpl, offset);
        return;
    }
    if (!is_call_gate(cpu, d)) {
        far_task(cpu, i, selector, d, TASK_JUMP, next_rip(cpu, i));
        return;
    }
    read_call_gate(cpu, i, selector, d, &gate);
    if (!is_conforming(gate.code) && desc_dpl(gate.code) != cpu->s.cpl)
        gp_selector(cpu, i, gate.selector);
    require_present(cpu, i, gate.selector, gate.code);
    check_code_offset(cpu, i, gate.code, gate.offset);
    enter_code(cpu, i, gate.selector, gate.code, cpu->s.cpl, gate.offset);
}

/* --- CALL ---------------------------------------------------------------------------------------- */

static void push_return(struct cpu *cpu, const struct insn *i, struct stack *stack, unsigned size,
                        uint64_t next)
{
    stack_push(cpu, i, stack, size, cpu->s.seg[CS].selector);
    stack_push(cpu, i, stack, size, next);
}

static void call_real(struct cpu *cpu, const struct insn *i, uint16_t selector, uint64_t offset,
                      uint64_t next)
{
    struct stack stack;

    current_stack(cpu, &stack);
    stack_room(cpu, i, &stack, i->osize, 2);
    check_real_offset(cpu, i, offset);
    push_return(cpu, i, &stack, i->osize, next);
    commit_stack(cpu, &stack);
    enter_real(cpu, selector, offset);
}

/* Without a change of ring; `size` is the operand's or the gate's. */
static void call_same(struct cpu *cpu, const struct insn *i, uint16_t selector, uint64_t code,
                      uint64_t offset, unsigned size, uint64_t next)
{
    struct stack stack;

    current_stack(cpu, &stack);
    stack_room(cpu, i, &stack, size, 2);
    check_code_offset(cpu, i, code, offset);
    push_return(cpu, i, &stack, size, next);
    set_accessed(cpu, i, selector, &code);
    commit_stack(cpu, &stack);
    enter_code(cpu, i, selector, code, cpu->s.cpl, offset);
}

/* Through a gate to an inner ring: the TSS's stack, with the caller's stack pointer and parameters on it. */
static void call_inner(struct cpu *cpu, const struct insn *i, struct gate *gate, uint64_t next)
{
    unsigned cpl = desc_dpl(gate->code), size = gate->size;
    uint64_t params[31], old = cpu->s.gpr[RSP];
    struct stack stack;

    inner_stack(cpu, i, cpl, &stack);
    if (size == SIZE_Q) {
        const uint64_t frame[4] = {next, cpu->s.seg[CS].selector, old, cpu->s.seg[SS].selector};
        check_code_offset(cpu, i, gate->code, gate->offset);
        stack_push64(cpu, i, &stack, frame, 4);
    } else {
        stack_room(cpu, i, &stack, size, 4 + gate->params);
        check_code_offset(cpu, i, gate->code, gate->offset);
        for (unsigned n = 0; n < gate->params; n++)
            params[n] = stack_read(cpu, i, old + (n << size), size);
        stack_push(cpu, i, &stack, size, cpu->s.seg[SS].selector);
        stack_push(cpu, i, &stack, size, old);
        for (unsigned n = gate->params; n--;)
            stack_push(cpu, i, &stack, size, params[n]);
        push_return(cpu, i, &stack, size, next);
    }
    set_accessed(cpu, i, gate->selector, &gate->code);
    commit_stack(cpu, &stack);
    enter_code(cpu, i, gate->selector, gate->code, cpl, gate->offset);
}

void far_call(struct cpu *cpu, const struct insn *i, uint16_t selector, uint64_t offset, uint64_t next)
{
    struct gate gate;
    uint64_t d;

    if (real_segments(cpu)) {
        call_real(cpu, i, selector, offset, next);
        return;
    }
    if (null_selector(selector))
        gp0(cpu, i);
    d = read_descriptor(cpu, i, selector, EX_GP);
    if (is_code(d)) {
        check_direct(cpu, i, selector, d);
        call_same(cpu, i, selector, d, offset, i->osize, next);
        return;
    }
    if (!is_call_gate(cpu, d)) {
        far_task(cpu, i, selector, d, TASK_CALL, next);
        return;
    }
    read_call_gate(cpu, i, selector, d, &gate);
    require_present(cpu, i, gate.selector, gate.code);
    if (!is_conforming(gate.code) && desc_dpl(gate.code) < cpu->s.cpl)
        call_inner(cpu, i, &gate, next);
    else
        call_same(cpu, i, gate.selector, gate.code, gate.offset, gate.size, next);
}

/* --- What RET and IRET share --------------------------------------------------------------------- */

uint64_t read_return_cs(struct cpu *cpu, const struct insn *i, uint16_t selector)
{
    unsigned rpl = selector & 3u;
    uint64_t d;

    if (null_selector(selector))
        gp0(cpu, i);
    d = read_descriptor(cpu, i, selector, EX_GP);
    if (!is_code(d) || rpl < cpu->s.cpl || (is_conforming(d) ? desc_dpl(d) > rpl : desc_dpl(d) != rpl))
        gp_selector(cpu, i, selector);
    require_valid_size(cpu, i, selector, d);
    require_present(cpu, i, selector, d);
    set_accessed(cpu, i, selector, &d);
    return d;
}

void read_return_ss(struct cpu *cpu, const struct insn *i, uint16_t selector, unsigned rpl, uint64_t code,
                    struct segment *ss)
{
    uint64_t d;

    if (null_selector(selector)) {
        if (!is_code64(cpu, code) || rpl == 3)
            gp0(cpu, i);
        null_stack_segment(ss, rpl);
        ss->selector = selector;
        return;
    }
    d = read_descriptor(cpu, i, selector, EX_GP);
    if ((selector & 3u) != rpl || !is_writable_data(d) || desc_dpl(d) != rpl)
        gp_selector(cpu, i, selector);
    if (!desc_present(d))
        fault(cpu, i, EX_SS, selector_error(selector));
    set_accessed(cpu, i, selector, &d);
    unpack_descriptor(ss, selector, d);
}

void set_returned_sp(struct cpu *cpu, uint64_t code, uint64_t sp)
{
    /* A 16-bit stack takes 16 bits; the rest of ESP keeps what the inner ring had there. */
    unsigned size = is_code64(cpu, code) ? SIZE_Q : cpu->s.seg[SS].attr & SEG_DB ? SIZE_D : SIZE_W;

    gpr_set(cpu, RSP, size, sp);
}

/* --- RET ----------------------------------------------------------------------------------------- */

static void return_outer(struct cpu *cpu, const struct insn *i, uint16_t selector, uint64_t code,
                         uint64_t rip, unsigned pop_bytes)
{
    unsigned size = i->osize, step = 1u << size, rpl = selector & 3u;
    uint64_t at = cpu->s.gpr[RSP] + 2 * step + pop_bytes;
    uint64_t sp = stack_read(cpu, i, at, size);
    uint16_t ss = (uint16_t)stack_read(cpu, i, at + step, size);
    struct segment stack;

    read_return_ss(cpu, i, ss, rpl, code, &stack);
    check_code_offset(cpu, i, code, rip);

    cpu->s.seg[SS] = stack;
    set_returned_sp(cpu, code, sp + pop_bytes);
    commit_cs(cpu, selector, code, rpl);
    drop_inner_segments(cpu);
    update_mode(cpu);
    cpu->s.rip = rip;
}

void far_return(struct cpu *cpu, const struct insn *i, unsigned pop_bytes)
{
    unsigned size = i->osize, step = 1u << size;
    uint64_t sp = cpu->s.gpr[RSP], rip = stack_read(cpu, i, sp, size), d;
    uint16_t selector = (uint16_t)stack_read(cpu, i, sp + step, size);

    if (real_segments(cpu)) {
        check_real_offset(cpu, i, rip);
        set_sp(cpu, sp + 2 * step + pop_bytes);
        enter_real(cpu, selector, rip);
        return;
    }
    d = read_return_cs(cpu, i, selector);
    if ((selector & 3u) > cpu->s.cpl) {
        return_outer(cpu, i, selector, d, rip, pop_bytes);
        return;
    }
    check_code_offset(cpu, i, d, rip);
    set_sp(cpu, sp + 2 * step + pop_bytes);
    enter_code(cpu, i, selector, d, cpu->s.cpl, rip);
}
