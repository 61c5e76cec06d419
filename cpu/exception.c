/*
 * exception.c - raising exceptions (the only longjmp) and delivering events: exceptions, interrupts, INT n
 * (SDM 3A chapter 6; chapter 20 for virtual-8086 mode).
 *
 * raise() notes the exception in cpu->fault and jumps to cpu_run, which calls deliver_fault(). While an event
 * is being delivered in_delivery is set and cpu->fault still names it, so that an exception raised meanwhile
 * lands in raise() again and is combined with the first one there: both are handled one after the other, or
 * become a double fault, or shut the processor down. A delivery reads its gate, checks everything and writes
 * its frame first; registers change last, so an exception on the way finds the state that the first one
 * found.
 */
#include "cpu/history.h"
#include "cpu/protect.h"
#include "cpu/stop.h"

/* --- Raising ------------------------------------------------------------------------------------- */

#define NO_EVENT (-1)

static bool contributory(int vector)
{
    return vector == EX_DE || (vector >= EX_TS && vector <= EX_GP);
}

/* Exceptions after which the instruction is not restarted; all others are faults. */
static bool trap_or_abort(int vector)
{
    return vector == EX_NMI || vector == EX_BP || vector == EX_OF || vector == EX_DF || vector == EX_MC;
}

static void record(struct cpu *cpu, int vector, bool has_error, uint32_t error)
{
    const struct cpu_state *s = &cpu->s;
    unsigned max = sizeof(cpu->chain) / sizeof(cpu->chain[0]);
    struct cpu_fault *f;

    if (cpu->chain_length == max) { /* keep the original one */
        memmove(&cpu->chain[1], &cpu->chain[2], (max - 2) * sizeof(cpu->chain[0]));
        cpu->chain_length--;
    }
    f = &cpu->chain[cpu->chain_length++];
    f->vector = (uint8_t)vector;
    f->has_error = has_error;
    f->error = error;
    f->cs = s->seg[CS].selector;
    f->cs_base = cpu->long64 ? 0 : s->seg[CS].base;
    f->rip = s->rip;
    f->cr2 = s->cr2;
    f->rsp = s->gpr[RSP];
    f->bits = (uint8_t)(8u << (cpu->mode & MODE_BITS));
}

static _Noreturn void leave(struct cpu *cpu)
{
    longjmp(cpu->env, 1);
}

/* Combines an exception with the event whose delivery it interrupted (SDM 3A table 6-5). */
static bool is_double_fault(const struct cpu *cpu, int second)
{
    int first = cpu->fault.vector;

    if (cpu->fault.external || cpu->fault.soft) /* benign, whatever the number */
        return false;
    return (contributory(first) && contributory(second)) ||
           (first == EX_PF && (contributory(second) || second == EX_PF));
}

static _Noreturn void shutdown(struct cpu *cpu)
{
    cpu->s.activity = CPU_SHUTDOWN;
    forget_fault(cpu);
    cpu->alone = false;
    leave(cpu);
}

void forget_fault(struct cpu *cpu)
{
    cpu->fault.vector = NO_EVENT;
    cpu->in_delivery = false;
}

void begin_anew(struct cpu *cpu, const struct insn *i)
{
    cpu->s.rip += i->off;
    if (!cpu->long64)
        cpu->s.rip = (uint32_t)cpu->s.rip;
    cpu->retired -= i->rest + 1u;
    leave(cpu);
}

void begin_at_boundary(struct cpu *cpu)
{
    leave(cpu);
}

static _Noreturn void raise(struct cpu *cpu, const struct insn *i, int vector, bool has_error, uint32_t error)
{
    bool boundary = !i;

    /* The attempt itself counts as an instruction, so that time passes even if nothing but faults happens. */
    if (boundary) {
        cpu->retired++;
    } else {
        cpu->s.rip += i->off;
        if (!cpu->long64)
            cpu->s.rip = (uint32_t)cpu->s.rip;
        cpu->retired -= i->rest;
        cpu->s.pending_debug = 0; /* data breakpoints are traps, of instructions that end well */
    }
    if (!cpu->in_delivery) {
        cpu->chain_length = 0;
        record(cpu, vector, has_error, error);
    } else {
        bool was_double = cpu->fault.vector == EX_DF && !cpu->fault.external && !cpu->fault.soft;

        /* EXT: not the program's own doing. INT n, INT3 and INTO are (SDM 3A 6.13). */
        if (vector >= EX_TS && vector <= EX_GP && !cpu->fault.soft)
            error |= 1;
        if (cpu->fault.external || cpu->fault.soft)
            cpu->chain_length = 0;
        record(cpu, vector, has_error, error);
        if (was_double)
            shutdown(cpu);
        if (is_double_fault(cpu, vector)) {
            vector = EX_DF;
            has_error = true;
            error = 0;
            record(cpu, vector, has_error, error);
        }
    }
    cpu->fault.vector = vector;
    cpu->fault.has_error = has_error;
    cpu->fault.error = error;
    cpu->fault.external = cpu->fault.soft = false;
    cpu->fault.resume = !trap_or_abort(vector) && !(vector == EX_DB && boundary);
    leave(cpu);
}

void fault(struct cpu *cpu, const struct insn *i, int vector, uint32_t error)
{
    raise(cpu, i, vector, true, error);
}

void fault0(struct cpu *cpu, const struct insn *i, int vector)
{
    raise(cpu, i, vector, false, 0);
}

void fault_page(struct cpu *cpu, const struct insn *i, uint64_t linear, uint32_t error)
{
    cpu->s.cr2 = linear;
    raise(cpu, i, EX_PF, true, error);
}

/* --- Delivery: what the modes share -------------------------------------------------------------- */

/* The event under way is cpu->fault; this is what else its delivery needs. */
struct delivery {
    const struct insn *i; /* NULL: s.rip is exact */
    uint64_t next;        /* RIP to return to */
    uint64_t image;       /* of RFLAGS, as pushed */
};

/* Error code that names the gate. */
static uint32_t gate_error(const struct cpu *cpu)
{
    return (uint32_t)cpu->fault.vector * 8 + 2;
}

/* Reads the gate `size` bytes into the IDT and checks what all modes check; *high is the second half in long
 * mode. */
static uint64_t read_gate(struct cpu *cpu, const struct insn *i, unsigned size, uint32_t types,
                          uint64_t *high)
{
    uint32_t offset = (uint32_t)cpu->fault.vector * size;
    uint64_t linear, gate;

    if (offset + size - 1 > cpu->s.idtr.limit)
        fault(cpu, i, EX_GP, gate_error(cpu));
    linear = table_linear(cpu, cpu->s.idtr.base + offset);
    gate = super_read64(cpu, i, linear);
    if (size == 16)
        *high = super_read64(cpu, i, linear + 8);
    if (!(types >> desc_type(gate) & 1) || (cpu->fault.soft && desc_dpl(gate) < cpu->s.cpl))
        fault(cpu, i, EX_GP, gate_error(cpu));
    if (!desc_present(gate))
        fault(cpu, i, EX_NP, gate_error(cpu));
    return gate;
}

/* The handler's code segment; *cpl is the ring it runs at. */
static uint64_t read_handler_cs(struct cpu *cpu, const struct insn *i, uint16_t selector, unsigned *cpl)
{
    uint64_t d;
    bool bad;

    if (null_selector(selector))
        gp0(cpu, i);
    d = read_descriptor(cpu, i, selector, EX_GP);
    bad = !is_code(d) || desc_dpl(d) > cpu->s.cpl;
    if (long_mode(cpu))
        bad |= (desc_attr(d) & (SEG_L | SEG_DB)) != SEG_L;
    if (bad)
        fault(cpu, i, EX_GP, selector_error(selector));
    if (!desc_present(d))
        fault(cpu, i, EX_NP, selector_error(selector));
    *cpl = is_conforming(d) ? cpu->s.cpl : desc_dpl(d);
    set_accessed(cpu, i, selector, &d);
    return d;
}

static void enter_handler(struct cpu *cpu, uint64_t rip, bool interrupt_gate)
{
    cpu->s.rflags &= ~(uint64_t)(FLAG_TF | FLAG_NT | FLAG_RF | FLAG_VM | (interrupt_gate ? FLAG_IF : 0));
    update_mode(cpu);
    cpu->s.rip = rip;
}

/* --- Real mode, and virtual-8086 mode's own handlers --------------------------------------------- */

/* Through the table of far pointers at `table`; `image` has been adapted by the caller. */
static void deliver_vector_table(struct cpu *cpu, const struct delivery *d, uint64_t table, uint64_t clear)
{
    uint32_t offset = (uint32_t)cpu->fault.vector * 4;
    struct stack stack;
    uint32_t target;

    target = (uint32_t)super_read(cpu, d->i, (uint32_t)(table + offset), 4);
    current_stack(cpu, &stack);
    stack_room(cpu, d->i, &stack, SIZE_W, 3);
    stack_push(cpu, d->i, &stack, SIZE_W, d->image);
    stack_push(cpu, d->i, &stack, SIZE_W, cpu->s.seg[CS].selector);
    stack_push(cpu, d->i, &stack, SIZE_W, d->next);
    commit_stack(cpu, &stack);
    cpu->s.rflags &= ~clear;
    load_segment_real(cpu, CS, (uint16_t)(target >> 16));
    update_mode(cpu);
    cpu->s.rip = (uint16_t)target;
}

static void deliver_real(struct cpu *cpu, const struct delivery *d)
{
    if ((uint32_t)cpu->fault.vector * 4 + 3 > cpu->s.idtr.limit)
        fault(cpu, d->i, EX_GP, gate_error(cpu));
    deliver_vector_table(cpu, d, cpu->s.idtr.base, FLAG_IF | FLAG_TF | FLAG_AC | FLAG_RF);
}

/* --- Protected mode ------------------------------------------------------------------------------ */

static void deliver_task_gate(struct cpu *cpu, const struct delivery *d, uint64_t gate)
{
    uint16_t selector = (uint16_t)(gate >> 16);
    uint64_t tss;

    if (selector & SELECTOR_TI || null_selector(selector))
        fault(cpu, d->i, EX_GP, selector_error(selector));
    tss = read_descriptor(cpu, d->i, selector, EX_GP);
    if (desc_type(tss) != SYS_TSS16 && desc_type(tss) != SYS_TSS32)
        fault(cpu, d->i, EX_GP, selector_error(selector));
    if (!desc_present(tss))
        fault(cpu, d->i, EX_NP, selector_error(selector));
    if (cpu->fault.resume)
        cpu->s.rflags |= FLAG_RF;
    task_switch(cpu, d->i, selector, tss, TASK_GATE, d->next, cpu->fault.has_error, cpu->fault.error);
}

/* The frame, from the top: data segments of virtual-8086 mode, old stack, flags, return address, error code.
 */
static void push_frame(struct cpu *cpu, const struct delivery *d, struct stack *stack, unsigned size)
{
    static const uint8_t vm86_segments[] = {GS, FS, DS, ES};
    const struct insn *i = d->i;

    if (vm86_mode(cpu)) {
        for (unsigned n = 0; n < sizeof(vm86_segments); n++)
            stack_push(cpu, i, stack, size, cpu->s.seg[vm86_segments[n]].selector);
    }
    if (stack->super) {
        stack_push(cpu, i, stack, size, cpu->s.seg[SS].selector);
        stack_push(cpu, i, stack, size, cpu->s.gpr[RSP]);
    }
    stack_push(cpu, i, stack, size, d->image);
    stack_push(cpu, i, stack, size, cpu->s.seg[CS].selector);
    stack_push(cpu, i, stack, size, d->next);
    if (cpu->fault.has_error)
        stack_push(cpu, i, stack, size, cpu->fault.error);
}

static void deliver_protected(struct cpu *cpu, const struct delivery *d)
{
    const uint32_t types =
        1u << SYS_TASK_GATE | 1u << SYS_INT16 | 1u << SYS_TRAP16 | 1u << SYS_INT32 | 1u << SYS_TRAP32;
    uint64_t gate = read_gate(cpu, d->i, 8, types, NULL), cs, offset;
    uint16_t selector = (uint16_t)(gate >> 16);
    unsigned size, cpl, words;
    bool vm86 = vm86_mode(cpu);
    struct stack stack;

    if (desc_type(gate) == SYS_TASK_GATE) {
        deliver_task_gate(cpu, d, gate);
        return;
    }
    size = desc_type(gate) & 8 ? SIZE_D : SIZE_W;
    offset = gate & 0xffff;
    if (size == SIZE_D)
        offset |= gate >> 32 & 0xffff0000;
    cs = read_handler_cs(cpu, d->i, selector, &cpl);
    if (vm86 && cpl != 0)
        fault(cpu, d->i, EX_GP, selector_error(selector));
    if (cpl < cpu->s.cpl) {
        inner_stack(cpu, d->i, cpl, &stack);
        words = vm86 ? 9 : 5;
    } else {
        current_stack(cpu, &stack);
        words = 3;
    }
    stack_room(cpu, d->i, &stack, size, words + cpu->fault.has_error);
    check_code_offset(cpu, d->i, cs, offset);
    push_frame(cpu, d, &stack, size);

    commit_stack(cpu, &stack);
    if (vm86) {
        null_segment(&cpu->s.seg[ES], 0);
        null_segment(&cpu->s.seg[DS], 0);
        null_segment(&cpu->s.seg[FS], 0);
        null_segment(&cpu->s.seg[GS], 0);
    }
    commit_cs(cpu, selector, cs, cpl);
    enter_handler(cpu, offset, !(desc_type(gate) & 1));
}

/* --- Long mode ----------------------------------------------------------------------------------- */

static void deliver_long(struct cpu *cpu, const struct delivery *d)
{
    const struct insn *i = d->i;
    uint64_t high, gate = read_gate(cpu, i, 16, 1u << SYS_INT32 | 1u << SYS_TRAP32, &high), cs, rip;
    uint16_t selector = (uint16_t)(gate >> 16);
    unsigned cpl, ist = gate >> 32 & 7, n = 0;
    uint64_t frame[6];
    struct stack stack = {.flat = true, .mask = UINT64_MAX};

    cs = read_handler_cs(cpu, i, selector, &cpl);
    rip = (gate & 0xffff) | (gate >> 32 & 0xffff0000) | high << 32;
    stack.super = cpl < cpu->s.cpl;
    if (ist) {
        stack.sp = tss_ist(cpu, i, ist);
    } else if (stack.super) {
        uint16_t ss;
        tss_stack(cpu, i, cpl, &ss, &stack.sp);
    } else {
        stack.sp = cpu->s.gpr[RSP];
    }
    if (stack.super)
        null_stack_segment(&stack.ss, cpl);
    else
        stack.ss = cpu->s.seg[SS]; /* the ring stays, and so does SS, even when IST changes the stack */
    if (!canonical(cpu, rip))
        gp0(cpu, i);
    stack.sp &= ~15ull;

    if (cpu->fault.has_error)
        frame[n++] = cpu->fault.error;
    frame[n++] = d->next;
    frame[n++] = cpu->s.seg[CS].selector;
    frame[n++] = d->image;
    frame[n++] = cpu->s.gpr[RSP];
    frame[n++] = cpu->s.seg[SS].selector;
    stack_push64(cpu, i, &stack, frame, n);

    cpu->s.gpr[RSP] = stack.sp;
    cpu->s.seg[SS] = stack.ss;
    commit_cs(cpu, selector, cs, cpl);
    enter_handler(cpu, rip, !(desc_type(gate) & 1));
}

/* --- Entry points -------------------------------------------------------------------------------- */

static void deliver(struct cpu *cpu, const struct insn *i, uint64_t next)
{
    struct delivery d = {.i = i, .next = next, .image = get_rflags(cpu)};
    struct cpu_place from = history_place(cpu, i);

    if (cpu->fault.resume)
        d.image |= FLAG_RF;
    if (long_mode(cpu))
        deliver_long(cpu, &d);
    else if (real_mode(cpu))
        deliver_real(cpu, &d);
    else
        deliver_protected(cpu, &d);
    history_add(cpu,
                i                       ? CPU_PAST_SOFTWARE
                : cpu->fault.external   ? CPU_PAST_INTERRUPT
                                        : CPU_PAST_EXCEPTION,
                &from);
}

static void delivered(struct cpu *cpu)
{
    cpu->in_delivery = false;
    cpu->fault.vector = NO_EVENT;
    cpu->s.shadow = 0;
    if (unlikely(cpu->stops))
        stop_stack(cpu);
    if (cpu->s.activity == CPU_HALTED)
        cpu->s.activity = CPU_RUNNING;
}

static void interrupt_delivered(struct cpu *cpu, int vector)
{
    struct stop_event e = {.address = (uint64_t)vector, .size = 1};

    if (unlikely(cpu->stops))
        stop_event(cpu, NULL, CPU_STOP_INTERRUPT, &e);
    delivered(cpu);
}

void deliver_fault(struct cpu *cpu)
{
    if (cpu->fault.vector == NO_EVENT) /* it was shut down, or an instruction is begun anew */
        return;
    cpu->alone = false;
    if (unlikely(cpu->stops) && stop_exception(cpu))
        return;
    cpu->in_delivery = true;
    cpu->stats.exceptions++;
    deliver(cpu, NULL, cpu->s.rip);
    if (cpu->fault.vector == EX_DB)
        cpu->s.dr[7] &= ~(1ull << 13); /* GD, so that the handler can reach the debug registers */
    delivered(cpu);
}

void deliver_interrupt(struct cpu *cpu, int vector)
{
    cpu->in_delivery = true;
    cpu->stats.interrupts++;
    cpu->fault.vector = vector;
    cpu->fault.has_error = false;
    cpu->fault.external = true;
    cpu->fault.soft = cpu->fault.resume = false;
    if (vector == EX_NMI)
        cpu->s.nmi_blocked = 1;
    deliver(cpu, NULL, cpu->s.rip);
    interrupt_delivered(cpu, vector);
}

void deliver_pending(struct cpu *cpu)
{
    struct cpu_state *s = &cpu->s;

    s->event_pending = 0;
    if (s->event_type != EVENT_EXCEPTION)
        deliver_interrupt(cpu, s->event_vector);
    else if (s->event_has_error)
        fault(cpu, NULL, s->event_vector, s->event_error);
    else
        fault0(cpu, NULL, s->event_vector);
}

static void start_software(struct cpu *cpu, int vector, bool soft)
{
    cpu->in_delivery = true;
    cpu->stats.interrupts++;
    cpu->fault.vector = vector;
    cpu->fault.has_error = false;
    cpu->fault.external = !soft; /* ICEBP counts as a hardware event: no DPL check, EXT set */
    cpu->fault.soft = soft;
    cpu->fault.resume = false;
}

void software_interrupt(struct cpu *cpu, const struct insn *i, int vector, uint64_t next, bool icebp)
{
    start_software(cpu, vector, !icebp);
    deliver(cpu, i, next);
    /* One #DB for ICEBP and for what MOV SS before it had held back. */
    if (icebp && cpu->s.pending_debug) {
        set_debug_status(cpu, cpu->s.pending_debug);
        cpu->s.pending_debug = 0;
    }
    interrupt_delivered(cpu, vector);
}

void software_interrupt_n(struct cpu *cpu, const struct insn *i, int vector, uint64_t next)
{
    struct delivery d = {.i = i, .next = next};
    struct cpu_place from = history_place(cpu, i);
    bool iopl3 = (cpu->s.rflags & FLAG_IOPL) == FLAG_IOPL;
    uint64_t clear = FLAG_TF | FLAG_RF;

    if (!vm86_mode(cpu) || (iopl3 && !(cpu->s.cr4 & CR4_VME))) {
        software_interrupt(cpu, i, vector, next, false);
        return;
    }
    /* SDM 3A table 20-2, by CR4.VME, IOPL and the redirection bitmap. */
    if (!(cpu->s.cr4 & CR4_VME))
        gp0(cpu, i);
    if (interrupt_redirected(cpu, i, (unsigned)vector)) {
        if (!iopl3)
            gp0(cpu, i);
        software_interrupt(cpu, i, vector, next, false);
        return;
    }
    d.image = get_rflags(cpu);
    if (iopl3) {
        clear |= FLAG_IF;
    } else {
        clear |= FLAG_VIF;
        d.image = (d.image & ~(uint64_t)FLAG_IF) | FLAG_IOPL | (d.image & FLAG_VIF ? FLAG_IF : 0);
    }
    start_software(cpu, vector, true);
    deliver_vector_table(cpu, &d, 0, clear);
    history_add(cpu, CPU_PAST_SOFTWARE, &from);
    interrupt_delivered(cpu, vector);
}

/* --- For reports --------------------------------------------------------------------------------- */

unsigned cpu_chain(const struct cpu *cpu, struct cpu_fault *chain, unsigned max)
{
    unsigned n = cpu->chain_length < max ? cpu->chain_length : max;

    memcpy(chain, cpu->chain, n * sizeof(*chain));
    return n;
}

const char *cpu_exception_name(unsigned vector)
{
    static const char *const names[] = {
        "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "#9",  "#TS",
        "#NP", "#SS", "#GP", "#PF", "#15", "#MF", "#AC", "#MC", "#XM", "#VE", "#CP",
    };

    if (vector < sizeof(names) / sizeof(names[0]))
        return names[vector];
    return vector < 32 ? "reserved exception" : "interrupt";
}
