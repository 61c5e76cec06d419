/*
 * check.c - translated code in lockstep with the interpreter.
 *
 * Each time a block would run, the interpreter executes its instructions first, with every write to RAM
 * noted; then what was written is undone, the state put back, and the translated code runs. Registers, flags,
 * the exception raised, the count of instructions, and memory around all that was written must be the same.
 * What the guest goes on with is the interpreter's result, so one difference is found before it can cause
 * others.
 *
 * The TLB gives no host addresses for writing while there is a checker, so that the interpreter's writes all
 * pass check_write(). Translated code finds entries for the pages that the interpreter wrote, and stores
 * natively; a store to any other page takes the slow path, and is noted. Memory is compared by lines of 64
 * bytes: those written, whole.
 *
 * Some instructions must not be executed twice, or give something else the second time: ports, time, control
 * registers. A block is compared up to the first of these, and they are interpreted. An access to a chip is
 * seen only when it happens: then the interpreter's result stands and nothing is compared.
 *
 * A difference counts when it is there three times in a row: a device may have written to the same lines, and
 * another thread's call for attention ends string instructions early.
 */
#include <stdlib.h>
#include <string.h>

#include "cpu/interp/body.h"
#include "cpu/jit/check.h"

/* --- Instructions that run once only ------------------------------------------------------------------ */

static unsigned reason_of_row(const struct opcode_row *row)
{
    static const struct {
        const char *name;
        unsigned reason;
    } table[] = {
        {"in", UNCHECKED_PORT},     {"out", UNCHECKED_PORT},       {"ins", UNCHECKED_PORT},
        {"insb", UNCHECKED_PORT},   {"outs", UNCHECKED_PORT},      {"outsb", UNCHECKED_PORT},
        {"rdtsc", UNCHECKED_TIME},  {"rdtscp", UNCHECKED_TIME},    {"rdpmc", UNCHECKED_TIME},
        {"rdrand", UNCHECKED_TIME}, {"rdseed", UNCHECKED_TIME},    {"int", UNCHECKED_SYSTEM},
        {"int1", UNCHECKED_SYSTEM}, {"int3", UNCHECKED_SYSTEM},    {"into", UNCHECKED_SYSTEM},
        {"iret", UNCHECKED_SYSTEM}, {"syscall", UNCHECKED_SYSTEM}, {"sysenter", UNCHECKED_SYSTEM},
        {"retf", UNCHECKED_SYSTEM}, {"wrpkru", UNCHECKED_SYSTEM},  {"xrstor", UNCHECKED_SYSTEM},
        {"rsm", UNCHECKED_SYSTEM},
    };

    if (!strcmp(row->name, "swapgs"))
        return NO_REASON;
    if (row->attr & A_CPL0)
        return UNCHECKED_SYSTEM;
    if (row->operand[0] == O_Ap || row->operand[0] == O_Mp) /* far jumps and calls */
        return UNCHECKED_SYSTEM;
    for (unsigned n = 0; n < sizeof(table) / sizeof(table[0]); n++)
        if (!strcmp(row->name, table[n].name))
            return table[n].reason;
    return NO_REASON;
}

static unsigned reason_of(const struct checker *c, const struct insn *i)
{
    return i->row == UINT16_MAX ? NO_REASON : c->once[i->row];
}

bool check_stops(const struct cpu *cpu, const struct insn *i)
{
    return cpu->checker->pass == PASS_TRANSLATED && reason_of(cpu->checker, i) != NO_REASON;
}

/* --- The two passes ----------------------------------------------------------------------------------- */

static void take(struct cpu *cpu, struct outcome *o, bool faulted)
{
    o->s = cpu->s;
    o->s.rflags = get_rflags(cpu);
    o->lf_result = cpu->lf_result;
    o->lf_aux = cpu->lf_aux;
    o->retired = cpu->retired;
    o->fault = cpu->fault;
    o->faulted = faulted;
}

static void put(struct cpu *cpu, const struct outcome *o)
{
    bool mode = cpu->s.cpl != o->s.cpl || (cpu->s.rflags ^ o->s.rflags) & (FLAG_AC | FLAG_VM) ||
                cpu->s.cr0 != o->s.cr0 || memcmp(cpu->s.seg, o->s.seg, sizeof(o->s.seg));

    cpu->s = o->s;
    cpu->lf_result = o->lf_result;
    cpu->lf_aux = o->lf_aux;
    cpu->retired = o->retired;
    cpu->fault = o->fault;
    if (mode)
        update_mode(cpu);
}

/* An instruction where the interpreter is to stop. */
static BODY(body_stop)
{
    cpu->retired -= i->rest + 1u;
    LEAVE(rip_of(cpu, i));
}

/* Runs the trace by either; true when it raised an exception, which isn't delivered yet. */
static __attribute__((noinline)) bool run(struct cpu *cpu, struct trace *t, bool translated)
{
    if (setjmp(cpu->env)) {
        jit_left(cpu);
        return true;
    }
    cpu->trace = t;
    if (translated)
        jit_run_block(cpu, t);
    else
        t->first(cpu, t->insn);
    return false;
}

/* Interprets up to the instruction in slot `stop`. */
static bool interpret(struct cpu *cpu, struct trace *t, unsigned stop)
{
    insn_fn *kept = stop < t->slots ? t->insn[stop].fn : NULL;
    uint64_t flushes = cpu->stats.trace_flushes;
    bool faulted;

    if (kept)
        t->insn[stop].fn = body_stop;
    atomic_store_explicit(&cpu->stop_at, 1, memory_order_relaxed); /* no further than this trace */
    faulted = run(cpu, t, false);
    if (kept && cpu->stats.trace_flushes == flushes && t->insn[stop].fn == body_stop)
        t->insn[stop].fn = kept;
    return faulted;
}

static bool translated(struct cpu *cpu, struct trace *t)
{
    struct checker *c = cpu->checker;
    bool faulted;

    c->pass = PASS_TRANSLATED;
    c->chip = false;
    check_open_pages(cpu, t->block->context);
    atomic_store_explicit(&cpu->stop_at, UINT64_MAX, memory_order_relaxed);
    faulted = run(cpu, t, true);
    c->pass = PASS_NONE;
    check_close_pages(cpu);
    return faulted;
}

/* --- A block ------------------------------------------------------------------------------------------ */

/* The slot behind the instructions to compare; or, when the first of them run once only, behind these. */
static unsigned slots_to_run(const struct checker *c, const struct trace *t, unsigned *reason)
{
    unsigned slot = 0, count = 0;

    *reason = reason_of(c, &t->insn[0]);
    while (count < t->count) {
        bool once = reason_of(c, &t->insn[slot]) != NO_REASON;

        if (once != (*reason != NO_REASON) || (!once && count == t->block->count))
            return slot;
        slot += t->insn[slot].flags & INSN_LINKED ? 2 : 1;
        count++;
    }
    return t->slots; /* to the trace's end */
}

static bool due(const struct checker *c, struct trace *t)
{
    return ++t->heat <= c->often || t->heat % c->often == 0;
}

/* The slot of a trace's instruction number `count`. */
static unsigned slot_of(const struct trace *t, uint64_t count)
{
    unsigned slot = 0;

    while (count--)
        slot += t->insn[slot].flags & INSN_LINKED ? 2 : 1;
    return slot;
}

/*
 * Compares up to slot *stop. SETTLED: the state is the interpreter's. EARLY: the translated code left in the
 * middle (as it may, to have an instruction interpreted), where *stop is now.
 */
enum result { SETTLED, DIFFERS, EARLY };

static enum result attempt(struct cpu *cpu, struct trace *t, unsigned *stop)
{
    struct checker *c = cpu->checker;
    const struct jit_block *block = t->block;
    uint64_t flushes = cpu->stats.trace_flushes, executed, did;
    uint32_t undefined;

    check_forget_lines(c);
    c->pass = PASS_INTERPRETED;
    c->reason = NO_REASON;
    cpu->retired += t->count;
    take(cpu, &c->interpreted, interpret(cpu, t, *stop));
    c->pass = PASS_NONE;
    if (c->reason == NO_REASON && (cpu->stats.trace_flushes != flushes || t->block != block))
        c->reason = UNCHECKED_CODE;
    executed = cpu->retired - c->before.retired - c->interpreted.faulted;
    if (c->reason == NO_REASON && !check_undefined_flags(t, executed, &undefined))
        c->reason = UNCHECKED_FLAGS;
    if (c->reason != NO_REASON) {
        cpu->stats.check.unchecked[c->reason]++;
        return SETTLED;
    }
    for (unsigned n = 0; n < c->line_count; n++)
        memcpy(c->line[n].after, c->line[n].host, LINE);
    check_undo_writes(c);
    put(cpu, &c->before);
    cpu->retired += t->count;
    take(cpu, &c->translated, translated(cpu, t));
    did = c->translated.retired - c->before.retired;
    if (!c->translated.faulted && did && did < executed + c->interpreted.faulted) {
        *stop = slot_of(t, did);
        return EARLY;
    }
    if (!check_same(c, undefined))
        return DIFFERS;
    cpu->stats.check.blocks++;
    cpu->stats.check.instructions += executed;
    cpu->stats.check.faults += c->interpreted.faulted;
    put(cpu, &c->interpreted);
    return SETTLED;
}

static void compare(struct cpu *cpu, struct trace *t, unsigned stop)
{
    struct checker *c = cpu->checker;
    unsigned differences = 0, end = stop;
    enum result result;

    cpu->retired -= t->count;
    take(cpu, &c->before, false);
    c->page_count = 0; /* once known they stay, so that the same accesses are slow in each attempt */
    c->stack_known = false;
    while ((result = attempt(cpu, t, &end)) != SETTLED) {
        differences += result == DIFFERS;
        if (differences == TRIES) {
            check_report(cpu, t);
            for (unsigned n = 0; n < c->line_count; n++)
                memcpy(c->line[n].host, c->line[n].after, LINE);
            put(cpu, &c->interpreted);
            return;
        }
        if (result == DIFFERS)
            end = stop;
        check_undo_writes(c);
        put(cpu, &c->before);
    }
    cpu->stats.check.unchecked[UNCHECKED_OUTSIDE] += differences;
}

void check_block(struct cpu *cpu, struct trace *t)
{
    struct checker *c = cpu->checker;
    unsigned reason, stop = slots_to_run(c, t, &reason);
    bool faulted;

    if (reason == NO_REASON && !jit_may_enter(cpu, t->block))
        reason = UNCHECKED_SSE;
    else if (reason == NO_REASON && (c->ended || !due(c, t)))
        reason = UNCHECKED_OFTEN;
    if (reason == UNCHECKED_SSE || reason == UNCHECKED_OFTEN) {
        cpu->stats.check.unchecked[reason]++;
        t->first(cpu, t->insn);
        return;
    }
    memcpy(&c->outer, &cpu->env, sizeof(c->outer));
    if (reason == NO_REASON) {
        compare(cpu, t, stop);
        faulted = c->interpreted.faulted;
    } else {
        cpu->stats.check.unchecked[reason]++;
        faulted = interpret(cpu, t, stop);
    }
    memcpy(&cpu->env, &c->outer, sizeof(c->outer));
    if (faulted)
        longjmp(cpu->env, 1);
}

bool cpu_check(struct cpu *cpu, uint32_t often,
               void (*differs)(void *opaque, const struct cpu_difference *difference), void *opaque)
{
    struct checker *c;

    if (posix_memalign((void **)&c, _Alignof(struct checker), sizeof(*c)))
        return false;
    memset(c, 0, sizeof(*c));
    c->once = malloc(opcode_row_count);
    if (!c->once) {
        free(c);
        return false;
    }
    for (unsigned n = 0; n < opcode_row_count; n++)
        c->once[n] = (uint8_t)reason_of_row(&opcode_rows[n]);
    c->often = often ? often : 1;
    c->differs = differs;
    c->opaque = opaque;
    cpu->checker = c;
    cpu->jit->hot = 2;
    trace_flush(cpu);
    tlb_flush_all(cpu);
    jit_clear_tables(cpu);
    /* Entries come and go all the time here: nobody shall ask whether they are any use, as each attempt has
     * to be alike. */
    for (unsigned context = 0; context < JIT_CONTEXTS; context++)
        for (unsigned n = 0; n < 2 * JIT_NEAR; n++)
            cpu->jt.near[context][n / JIT_NEAR][n % JIT_NEAR].left = UINT32_MAX;
    return true;
}

void check_end(struct cpu *cpu)
{
    if (!cpu->checker)
        return;
    free(cpu->checker->once);
    free(cpu->checker);
    cpu->checker = NULL;
}
