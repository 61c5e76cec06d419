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
#include "cpu/jit/jit.h"

#define LINE      64u
#define MAX_LINES 2048u
#define BUCKETS   4096u
#define MAX_PAGES 16u
#define MAX_SAID  16u
#define TRIES     3u
#define NO_REASON UNCHECKED_COUNT

/* A line of memory that was written. */
struct line {
    uint8_t *host;
    uint64_t phys;
    uint64_t written;                  /* bit n: byte n, by a body of the interpreter */
    uint8_t before[LINE], after[LINE]; /* interpreted */
};

/* A page that was written, and its entry in translated code's table for writing. */
struct page {
    uint64_t linear;
    uint8_t *host; /* NULL: it isn't plain memory */
    struct jit_page *entry, old;
};

struct outcome {
    struct cpu_state s;
    uint64_t lf_result, lf_aux, retired;
    __typeof__(((struct cpu *)0)->fault) fault;
    bool faulted;
};

struct checker {
    void (*differs)(void *opaque, const struct cpu_difference *difference);
    void *opaque;
    uint32_t often;
    bool ended;    /* a difference was found */
    uint8_t *once; /* by row: why an instruction must not be executed twice, or NO_REASON */

    enum { PASS_NONE, PASS_INTERPRETED, PASS_TRANSLATED } pass;
    unsigned reason; /* why this block can't be compared */
    bool chip;       /* translated code accessed one */
    jmp_buf outer;   /* cpu_run's */
    struct outcome before, interpreted, translated;

    struct line line[MAX_LINES];
    unsigned line_count;
    uint16_t bucket[BUCKETS]; /* a line's number plus 1 */
    struct page page[MAX_PAGES];
    unsigned page_count;
    struct page stack; /* where RSP points */
    bool stack_known;
    char text[4096];
};

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

/* --- Memory ------------------------------------------------------------------------------------------- */

static unsigned bucket_of(const uint8_t *host)
{
    return (unsigned)((uintptr_t)host / LINE) & (BUCKETS - 1);
}

static struct line *find_line(struct checker *c, const uint8_t *host)
{
    for (unsigned b = bucket_of(host); c->bucket[b]; b = (b + 1) & (BUCKETS - 1))
        if (c->line[c->bucket[b] - 1].host == host)
            return &c->line[c->bucket[b] - 1];
    return NULL;
}

static struct line *add_line(struct checker *c, uint8_t *host, uint64_t phys)
{
    struct line *l = &c->line[c->line_count];
    unsigned b = bucket_of(host);

    if (c->line_count == MAX_LINES)
        return NULL;
    while (c->bucket[b])
        b = (b + 1) & (BUCKETS - 1);
    c->bucket[b] = (uint16_t)++c->line_count;
    l->host = host;
    l->phys = phys;
    l->written = 0;
    memcpy(l->before, host, LINE);
    memcpy(l->after, host, LINE);
    return l;
}

static void forget_lines(struct checker *c)
{
    if (c->line_count > BUCKETS / 16) {
        memset(c->bucket, 0, sizeof(c->bucket));
    } else {
        for (unsigned n = 0; n < c->line_count; n++)
            for (unsigned b = bucket_of(c->line[n].host); c->bucket[b]; b = (b + 1) & (BUCKETS - 1))
                c->bucket[b] = 0;
    }
    c->line_count = 0;
}

/* A page on the host, if the TLB knows it to be plain memory that may be written. */
static uint8_t *plain_memory(const struct cpu *cpu, uint64_t page)
{
    const struct tlb *tlb =
        (const struct tlb *)(const void *)((char *)cpu->tlb - offsetof(struct tlb, entry));
    const struct tlb_side *s = &tlb->side[page >> 12 & (TLB_SIZE - 1)];

    if (s->tag != tlb_tag(cpu, page) || !(s->allow & 1u << ACCESS_WRITE) || !s->region ||
        s->region->kind != REGION_RAM || s->offset + BUS_PAGE > s->region->size ||
        __atomic_load_n(&s->region->page_flags[s->offset >> 12], __ATOMIC_SEQ_CST) & (PAGE_CODE | PAGE_TRACK))
        return NULL;
    return s->region->host + s->offset;
}

/* Remembers where translated code may store. */
static void note_page(struct cpu *cpu, uint64_t linear)
{
    struct checker *c = cpu->checker;
    uint64_t page = linear & ~(uint64_t)(BUS_PAGE - 1);

    for (unsigned n = 0; n < c->page_count; n++)
        if (c->page[n].linear == page)
            return;
    if (c->page_count < MAX_PAGES)
        c->page[c->page_count++] = (struct page){.linear = page, .host = plain_memory(cpu, page)};
}

void check_write(struct cpu *cpu, void *host, uint64_t phys, uint64_t linear, unsigned size)
{
    struct checker *c = cpu->checker;
    uint8_t *at = host;

    if (c->pass == PASS_NONE || c->reason != NO_REASON)
        return;
    if (c->pass == PASS_INTERPRETED && linear != NO_PAGE)
        note_page(cpu, linear);
    while (size) {
        unsigned first = (unsigned)((uintptr_t)at & (LINE - 1)),
                 n = size < LINE - first ? size : LINE - first;
        struct line *l = find_line(c, at - first);

        if (!l)
            l = add_line(c, at - first, phys - first);
        if (!l) {
            c->reason = UNCHECKED_LARGE;
            return;
        }
        l->written |= UINT64_MAX >> (LINE - n) << first;
        at += n;
        phys += n;
        size -= n;
    }
}

/* Accessed and dirty bits stay set when writes are undone: the TLB knows that they are. */
void check_bits_set(struct cpu *cpu, const void *host, uint64_t bits, unsigned size)
{
    struct checker *c = cpu->checker;
    unsigned in_line = (unsigned)((uintptr_t)host & (LINE - 1));
    struct line *l = c->pass == PASS_NONE ? NULL : find_line(c, (const uint8_t *)host - in_line);

    for (unsigned n = 0; l && n < size && in_line + n < LINE; n++) {
        l->before[in_line + n] |= (uint8_t)(bits >> 8 * n);
        l->after[in_line + n] |= (uint8_t)(bits >> 8 * n);
    }
}

void check_chip(struct cpu *cpu)
{
    struct checker *c = cpu->checker;

    if (c->pass == PASS_INTERPRETED)
        c->reason = UNCHECKED_CHIP;
    c->chip |= c->pass == PASS_TRANSLATED;
}

static void undo_writes(struct checker *c)
{
    for (unsigned n = 0; n < c->line_count; n++) {
        struct line *l = &c->line[n];

        for (unsigned b = 0; b < LINE; b++)
            if (l->written >> b & 1)
                l->host[b] = l->before[b];
    }
}

static void open_page(struct page *p, struct jit_page *entry)
{
    p->entry = entry;
    p->old = *entry;
    if (p->host)
        *entry = (struct jit_page){p->linear, (uint64_t)(uintptr_t)p->host};
}

/* Those that were written, and the one that RSP points to, where translated code finds it for pushes and
 * pops. */
static void open_pages(struct cpu *cpu, unsigned context)
{
    struct checker *c = cpu->checker;
    uint64_t sp = cpu->s.gpr[RSP] & address_mask(stack_size(cpu));
    uint64_t page = (cpu->long64 ? sp : (uint32_t)(cpu->s.seg[SS].base + sp)) & ~(uint64_t)(BUS_PAGE - 1);

    if (!c->stack_known)
        c->stack = (struct page){.linear = page, .host = plain_memory(cpu, page)};
    c->stack_known = true;
    open_page(&c->stack, &cpu->jt.stack[context]);
    for (unsigned n = 0; n < c->page_count; n++)
        open_page(&c->page[n], &cpu->jt.write[context][c->page[n].linear >> 12 & (JIT_TLB_SIZE - 1)]);
}

static void close_pages(struct cpu *cpu)
{
    struct checker *c = cpu->checker;

    jit_clear_near(cpu); /* may know a page from what is closed here */
    for (unsigned n = c->page_count; n--;) /* two may share an entry */
        *c->page[n].entry = c->page[n].old;
    *c->stack.entry = c->stack.old;
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
    open_pages(cpu, t->block->context);
    atomic_store_explicit(&cpu->stop_at, UINT64_MAX, memory_order_relaxed);
    faulted = run(cpu, t, true);
    c->pass = PASS_NONE;
    close_pages(cpu);
    return faulted;
}

/* --- Comparing ---------------------------------------------------------------------------------------- */

/*
 * Flags that nobody can rely on after the first `count` instructions of the trace. False when one of these
 * reads such a flag, so that everything may depend on it.
 */
static bool undefined_flags(const struct trace *t, uint64_t count, uint32_t *undefined)
{
    *undefined = 0;
    for (unsigned slot = 0; count--; slot += t->insn[slot].flags & INSN_LINKED ? 2 : 1) {
        const struct insn *i = &t->insn[slot];
        const struct opcode_row *row = &opcode_rows[i->row];
        bool shift = (row->map == 0 && (row->opcode & 0xee) == 0xc0) ||
                     (row->map == 0 && (row->opcode & 0xfe) == 0xd2) ||
                     (row->map == 1 && (row->opcode & 0xf6) == 0xa4);

        if (i->row == UINT16_MAX)
            continue;
        if (row->flags_read & *undefined)
            return false;
        if (!shift && !(i->flags & (INSN_REP | INSN_REPNE))) /* they may write none */
            *undefined &= ~row->flags_written;
        *undefined |= row->flags_undefined;
    }
    return true;
}

static void say(struct checker *c, const char *name, uint64_t interpreted, uint64_t translated)
{
    size_t length = strlen(c->text);

    snprintf(c->text + length, sizeof(c->text) - length, "%s: interpreted %016llx, translated %016llx\n",
             name, (unsigned long long)interpreted, (unsigned long long)translated);
}

static void compare_state(struct checker *c, uint32_t undefined)
{
    static const char *const names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                          "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    const struct outcome *a = &c->interpreted;
    struct outcome *b = &c->translated;
    uint64_t rflags = b->s.rflags;
    char name[80];

    if (((a->s.rflags ^ rflags) & ~(uint64_t)undefined))
        say(c, "rflags", a->s.rflags & ~(uint64_t)undefined, rflags & ~(uint64_t)undefined);
    if (a->retired != b->retired)
        say(c, "instructions", a->retired - c->before.retired, b->retired - c->before.retired);
    if (a->faulted != b->faulted || (a->faulted && a->fault.vector != b->fault.vector))
        say(c, "exception", (uint64_t)(a->faulted ? a->fault.vector : -1),
            (uint64_t)(b->faulted ? b->fault.vector : -1));
    else if (a->faulted && (a->fault.error != b->fault.error || a->fault.has_error != b->fault.has_error))
        say(c, "error code", a->fault.error, b->fault.error);
    b->s.rflags = a->s.rflags;
    if (memcmp(&a->s, &b->s, sizeof(a->s)) &&
        !fields_equal(cpu_state_fields, &a->s, &b->s, name, sizeof(name))) {
        size_t length;

        for (unsigned n = 0; n < 16; n++)
            if (a->s.gpr[n] != b->s.gpr[n])
                say(c, names[n], a->s.gpr[n], b->s.gpr[n]);
        if (a->s.rip != b->s.rip)
            say(c, "rip", a->s.rip, b->s.rip);
        if (a->s.mxcsr != b->s.mxcsr)
            say(c, "mxcsr", a->s.mxcsr, b->s.mxcsr);
        for (unsigned n = 0; n < 16 * 8; n++)
            if (a->s.zmm[n / 8].u64[n % 8] != b->s.zmm[n / 8].u64[n % 8]) {
                snprintf(name, sizeof(name), "xmm%u, quadword %u", n / 8, n % 8);
                say(c, name, a->s.zmm[n / 8].u64[n % 8], b->s.zmm[n / 8].u64[n % 8]);
            }
        length = strlen(c->text);
        fields_equal(cpu_state_fields, &a->s, &b->s, name, sizeof(name));
        if (!length || c->text[length - 1] == '\n')
            snprintf(c->text + length, sizeof(c->text) - length,
                     "the first field of the state that differs: %s\n", name);
    }
    b->s.rflags = rflags;
}

static void compare_memory(struct checker *c)
{
    unsigned said = 0;
    char name[80];

    for (unsigned n = 0; n < c->line_count; n++) {
        const struct line *l = &c->line[n];

        if (!memcmp(l->host, l->after, LINE))
            continue;
        for (unsigned b = 0; b < LINE; b += 8) {
            uint64_t want, got;

            memcpy(&want, l->after + b, 8);
            memcpy(&got, l->host + b, 8);
            snprintf(name, sizeof(name), "memory at %llx", (unsigned long long)(l->phys + b));
            if (want != got && said++ < MAX_SAID)
                say(c, name, want, got);
        }
    }
}

static bool same(struct checker *c, uint32_t undefined)
{
    c->text[0] = '\0';
    compare_state(c, undefined);
    compare_memory(c);
    if (c->chip)
        snprintf(c->text + strlen(c->text), sizeof(c->text) - strlen(c->text),
                 "translated code accessed a chip\n");
    return !c->text[0];
}

static void report(struct cpu *cpu, const struct trace *t)
{
    struct checker *c = cpu->checker;
    uint8_t guest[256];
    struct cpu_difference d = {.what = c->text,
                               .before = &c->before.s,
                               .interpreted = &c->interpreted.s,
                               .translated = &c->translated.s,
                               .guest = guest,
                               .host = t->block->code,
                               .guest_size = cpu_peek(cpu, c->before.s.rip, guest, t->bytes),
                               .host_size = t->block->size};

    c->ended = true;
    c->differs(c->opaque, &d);
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

    forget_lines(c);
    c->pass = PASS_INTERPRETED;
    c->reason = NO_REASON;
    cpu->retired += t->count;
    take(cpu, &c->interpreted, interpret(cpu, t, *stop));
    c->pass = PASS_NONE;
    if (c->reason == NO_REASON && (cpu->stats.trace_flushes != flushes || t->block != block))
        c->reason = UNCHECKED_CODE;
    executed = cpu->retired - c->before.retired - c->interpreted.faulted;
    if (c->reason == NO_REASON && !undefined_flags(t, executed, &undefined))
        c->reason = UNCHECKED_FLAGS;
    if (c->reason != NO_REASON) {
        cpu->stats.check.unchecked[c->reason]++;
        return SETTLED;
    }
    for (unsigned n = 0; n < c->line_count; n++)
        memcpy(c->line[n].after, c->line[n].host, LINE);
    undo_writes(c);
    put(cpu, &c->before);
    cpu->retired += t->count;
    take(cpu, &c->translated, translated(cpu, t));
    did = c->translated.retired - c->before.retired;
    if (!c->translated.faulted && did && did < executed + c->interpreted.faulted) {
        *stop = slot_of(t, did);
        return EARLY;
    }
    if (!same(c, undefined))
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
            report(cpu, t);
            for (unsigned n = 0; n < c->line_count; n++)
                memcpy(c->line[n].host, c->line[n].after, LINE);
            put(cpu, &c->interpreted);
            return;
        }
        if (result == DIFFERS)
            end = stop;
        undo_writes(c);
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
    /* Entries come and go all the time here: nobody shall ask whether they are any use, as each attempt has to be alike. */
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
