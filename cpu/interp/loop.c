/*
 * loop.c - cpu_run: traces, and what happens between them.
 *
 * Faults arrive here by longjmp and are delivered; interrupts, traps and requests from outside are looked at
 * whenever a trace chain ends. Whoever wants the CPU's attention sets a bit in cpu->attention and then
 * stop_at to 0, which breaks the chain at the next trace boundary; the loop sets stop_at again before it
 * reads the bits, so that none is lost.
 */
#include "cpu/interp/chain.h"
#include "cpu/stop.h"

/* Attention that can't be acted on now: an interrupt while IF is clear, an NMI inside an NMI's handler. */
static uint32_t actionable(const struct cpu *cpu)
{
    uint32_t bits = atomic_load(&cpu->attention);

    if (!(cpu->s.rflags & FLAG_IF))
        bits &= ~(uint32_t)ATT_INTR;
    if (cpu->s.activity == CPU_WAIT_SIPI)
        bits &= ~(uint32_t)(ATT_INTR | ATT_SMI);
    else
        bits &= ~(uint32_t)ATT_SIPI;
    return bits;
}

bool cpu_has_work(struct cpu *cpu)
{
    return (actionable(cpu) & ~(uint32_t)ATT_KICK) || (cpu->s.nmi_pending && !cpu->s.nmi_blocked);
}

void cpu_take_attention(struct cpu *cpu, uint32_t bits)
{
    atomic_fetch_and(&cpu->attention, ~(bits & (ATT_CODE | ATT_MAP | ATT_A20 | ATT_TRACK)));
    if (bits & ATT_A20) {
        cpu->a20_mask = atomic_load(&cpu->a20) ? UINT64_MAX : ~(1ull << 20);
        tlb_flush_all(cpu);
    }
    if (bits & (ATT_MAP | ATT_TRACK))
        tlb_flush_all(cpu);
    if (bits & (ATT_MAP | ATT_CODE))
        trace_flush(cpu);
}

/* An NMI or interrupt, if one is due now. Delivery may fault, which leads back to cpu_run. */
static void take_interrupt(struct cpu *cpu, uint32_t bits)
{
    if (bits & ATT_NMI) {
        atomic_fetch_and(&cpu->attention, ~(uint32_t)ATT_NMI);
        cpu->s.nmi_pending = 1;
    }
    if (cpu->s.nmi_pending && !cpu->s.nmi_blocked) {
        cpu->s.nmi_pending = 0;
        cpu->s.activity = CPU_RUNNING;
        deliver_interrupt(cpu, EX_NMI);
    } else if (bits & ATT_INTR) {
        int vector;

        pthread_mutex_lock(cpu->lock);
        vector = cpu->intc.ops->acknowledge(cpu->intc.opaque);
        pthread_mutex_unlock(cpu->lock);
        if (vector < 0)
            return;
        cpu->s.activity = CPU_RUNNING;
        deliver_interrupt(cpu, vector);
    }
}

static void take_init_sipi(struct cpu *cpu, uint32_t bits)
{
    if (bits & ATT_INIT) {
        atomic_fetch_and(&cpu->attention, ~(uint32_t)ATT_INIT);
        cpu_reset(cpu, true);
    } else if (bits & ATT_SIPI) {
        uint16_t selector = (uint16_t)(atomic_load(&cpu->sipi_vector) << 8);

        atomic_fetch_and(&cpu->attention, ~(uint32_t)ATT_SIPI);
        load_segment_real(cpu, CS, selector);
        cpu->s.rip = 0;
        cpu->s.activity = CPU_RUNNING;
        update_mode(cpu);
    }
}

/*
 * One instruction, decoded anew, with what is checked at each when debugging: its own breakpoint before it (a
 * fault), and a #DB due after it when TF was set before it.
 */
static void run_single(struct cpu *cpu)
{
    uint64_t linear = cpu->long64 ? cpu->s.rip : (uint32_t)(cpu->s.seg[CS].base + cpu->s.rip), hits;
    uint64_t events = cpu->stats.interrupts + cpu->stats.exceptions;

    if (unlikely(cpu->stops) && !cpu->alone && stop_execute(cpu))
        return;
    if (breakpoints_armed(cpu) && !(cpu->s.rflags & FLAG_RF) && (hits = breakpoint_execute(cpu, linear))) {
        set_debug_status(cpu, hits);
        fault0(cpu, NULL, EX_DB);
    }
    cpu->s.rflags &=
        ~(uint64_t)FLAG_RF; /* it holds back one instruction's breakpoint; a fault pushes it set */
    cpu->single = true;
    cpu->trap_after = cpu->s.rflags & FLAG_TF;
    atomic_store_explicit(&cpu->stop_at, 0, memory_order_relaxed);
    enter(cpu, trace_single(cpu));
    cpu->single = false;
    /* INT n cleared TF itself: no trap (SDM 3A 17.3.1.4). MOV SS holds it back by an instruction. */
    if (cpu->trap_after && events == cpu->stats.interrupts + cpu->stats.exceptions && !(cpu->s.shadow & 2))
        cpu->s.pending_debug |= DR6_BS;
}

/* "Both the VIF and VIP flags are set at the beginning of an instruction": #GP(0) (SDM 3A 20.3.2, 20.4). */
static bool virtual_interrupt_due(const struct cpu *cpu)
{
    return (~cpu->s.rflags & (FLAG_VIF | FLAG_VIP)) == 0 && (cpu->s.rflags & FLAG_IOPL) != FLAG_IOPL &&
           cpu->s.cpl == 3 && cpu->s.cr4 & (vm86_mode(cpu) ? CR4_VME : CR4_PVI);
}

/*
 * What must be looked at before the next instruction. Returns true when *exit says to leave cpu_run, false to
 * go on.
 */
static bool between(struct cpu *cpu, enum cpu_exit *exit)
{
    uint32_t bits = actionable(cpu);
    unsigned shadow = cpu->s.shadow;

    if (bits & (ATT_CODE | ATT_MAP | ATT_A20 | ATT_TRACK))
        cpu_take_attention(cpu, bits);
    if (bits & ATT_STOP && stops_due(cpu)) {
        *exit = CPU_EXIT_STOPPED;
        return true;
    }
    if (cpu->s.activity == CPU_SHUTDOWN) {
        *exit = CPU_EXIT_SHUTDOWN;
        return true;
    }
    if (bits & ATT_KICK) {
        atomic_fetch_and(&cpu->attention, ~(uint32_t)ATT_KICK);
        *exit = CPU_EXIT_KICK;
        return true;
    }
    if (cpu->retired >= cpu->budget_end) {
        *exit = CPU_EXIT_KICK;
        return true;
    }
    if (bits & (ATT_INIT | ATT_SIPI)) {
        take_init_sipi(cpu, bits);
        return false;
    }
    if (cpu->s.event_pending) {
        deliver_pending(cpu);
        return false;
    }
    if (cpu->s.pending_debug && !(shadow & 2)) {
        set_debug_status(cpu, cpu->s.pending_debug);
        cpu->s.pending_debug = 0;
        cpu->s.activity = CPU_RUNNING;
        fault0(cpu, NULL, EX_DB);
    }
    if (!(shadow || cpu->alone) || cpu->s.activity != CPU_RUNNING)
        take_interrupt(cpu, bits);
    if (cpu->s.activity != CPU_RUNNING) {
        *exit = CPU_EXIT_HALT;
        return true;
    }
    if (virtual_interrupt_due(cpu))
        fault(cpu, NULL, EX_GP, 0);
    return false;
}

bool cpu_may_go_on(struct cpu *cpu)
{
    atomic_store(&cpu->stop_at, cpu->budget_end);
    return !(actionable(cpu) || cpu->s.activity || cpu->s.pending_debug || cpu->s.nmi_pending ||
             cpu->retired >= cpu->budget_end || cpu->s.shadow ||
             (cpu->s.rflags & (FLAG_TF | FLAG_RF | FLAG_VIP)) || breakpoints_armed(cpu) || cpu->single);
}

enum cpu_exit cpu_run(struct cpu *cpu, uint64_t budget)
{
    enum cpu_exit exit;

    cpu->budget_end = cpu->retired + (budget ? budget : 1);
    cpu->thread = pthread_self();
    jit_begin(cpu);
    if (setjmp(cpu->env)) {
        jit_left(cpu);
        cpu->single = false;
        deliver_fault(cpu);
    } else if (unlikely(cpu->stops)) {
        stops_begin(cpu);
        stops_deliver(cpu);
    }
    for (;;) {
        atomic_store(&cpu->stop_at, cpu->budget_end);
        if (unlikely(actionable(cpu) || cpu->s.activity || cpu->s.pending_debug || cpu->s.nmi_pending ||
                     cpu->s.event_pending || cpu->s.rflags & FLAG_VIP || cpu->retired >= cpu->budget_end)) {
            if (between(cpu, &exit))
                return exit;
            if (unlikely(atomic_load(&cpu->attention) & ATT_STOP))
                continue; /* an event was delivered that is to stop at */
            if (unlikely(cpu->alone)) {
                cpu->s.shadow = 0;
                run_single(cpu);
                cpu->alone = false;
                continue;
            }
        }
        if (unlikely(cpu->s.shadow || (cpu->s.rflags & (FLAG_TF | FLAG_RF)) || breakpoints_armed(cpu))) {
            bool careful = !cpu->s.shadow || (cpu->s.rflags & FLAG_TF) || breakpoints_armed(cpu) ||
                           atomic_load(&cpu->attention);

            cpu->s.shadow = 0;
            if (careful) {
                run_single(cpu);
                continue;
            }
        }
        enter(cpu, trace_find(cpu));
    }
}

/* One instruction, before which there is no stop, nor an interrupt if `quiet`; or one event. */
static enum cpu_exit step(struct cpu *cpu, bool quiet)
{
    enum cpu_exit exit;
    uint64_t interrupts = cpu->stats.interrupts;

    cpu->budget_end = cpu->retired + 1;
    cpu->thread = pthread_self();
    if (setjmp(cpu->env)) {
        cpu->single = false;
        deliver_fault(cpu);
        return CPU_EXIT_KICK;
    }
    if (unlikely(cpu->stops) && stops_deliver(cpu))
        return CPU_EXIT_KICK;
    cpu->alone = quiet;
    if (between(cpu, &exit)) {
        cpu->alone = false;
        return exit;
    }
    if (cpu->stats.interrupts != interrupts)
        return CPU_EXIT_KICK;
    cpu->s.shadow = 0;
    cpu->alone = true;
    run_single(cpu);
    cpu->alone = false;
    return CPU_EXIT_KICK;
}

enum cpu_exit cpu_step(struct cpu *cpu)
{
    return step(cpu, false);
}

enum cpu_exit cpu_step_over(struct cpu *cpu)
{
    enum cpu_exit exit;

    if (cpu->stops)
        stops_begin(cpu);
    atomic_fetch_and(&cpu->attention, ~(uint32_t)ATT_KICK);
    exit = step(cpu, true);
    return exit == CPU_EXIT_KICK && stops_due(cpu) ? CPU_EXIT_STOPPED : exit;
}
