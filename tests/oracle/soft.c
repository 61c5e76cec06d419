/*
 * soft.c - a case by the interpreter, or by translated code.
 *
 * The processor is in long mode at CPL 3 with Linux's selectors. Its kernel half holds what delivery needs:
 * GDT, IDT, TSS, a stack, and for each vector a HLT, so that the first exception stops it with the whole
 * frame on that stack.
 */
#include <stdlib.h>
#include <string.h>

#include "accel/software.h"
#include "cpu/fpu.h"
#include "cpu/interp/flags.h"
#include "cpu/jit/jit.h"
#include "tests/oracle/oracle.h"

#define RAM_SIZE   0x200000u
#define KERNEL     0xffff900000000000ull /* linear; physical address 0 */
#define GDT        0x1000u
#define IDT        0x2000u
#define TSS        0x3000u
#define STACK_TOP  0x5000u
#define HANDLERS   0x6000u /* vector n's at 16 * n */
#define SYSTEM     0x7000u /* where SYSCALL and SYSENTER lead */
#define LDT        0x8000u
#define TABLES     0x10000u /* page tables, as they are needed */
#define CODE_PHYS  0x100000u
#define DATA_PHYS  0x102000u
#define CONST_PHYS 0x104000u

#define PTE_P  1ull
#define PTE_W  2ull
#define PTE_U  4ull
#define PTE_NX (1ull << 63)

struct soft {
    const struct soft_engine *engine;
    struct cpu *cpu;
    struct bus *memory, *ports;
    struct clock *clock;
    pthread_mutex_t lock;
    struct log log;
    uint8_t *ram;
    uint32_t next_table;
    struct cpu_state start; /* what all cases share */
    struct outcome again;   /* of a run but the first */
    struct soft_work work[CODE_SIZES];
};

/* --- Engines -------------------------------------------------------------------------------------- */

/* Nothing from caches: the slow way of everything. */
static enum cpu_exit run_steps(struct cpu *cpu, uint64_t budget)
{
    enum cpu_exit exit = CPU_EXIT_KICK;

    while (budget-- && exit == CPU_EXIT_KICK)
        exit = cpu_step(cpu);
    return exit;
}

#define JIT_MEMORY (4u << 20) /* so little that it fills up now and then */

static bool prepare_jit(struct cpu *cpu, char *why, size_t size)
{
    return engine_jit.attach(cpu, &(struct engine_options){.code_size = JIT_MEMORY}, why, size);
}

/* All is translated as it is met; in one case of eight it is interpreted first, and translated on the way. */
static void begin_jit(struct cpu *cpu, const struct test_case *c)
{
    cpu->jit->hot = c->number % 8 == 7 ? 3 : 1;
    if (c->number % 4 == 1)
        tlb_flush_all(cpu);
}

static enum cpu_exit run_jit(struct cpu *cpu, uint64_t budget)
{
    enum cpu_exit exit = cpu_run(cpu, budget);

    if (!native_has_fsgsbase()) /* native.c can't set GS back */
        cpu->jit->code.set_gs(NULL);
    return exit;
}

/*
 * Translated code comes to a place first without a block there, then with one that it isn't linked to yet,
 * then by the link: hence three runs of a program.
 */
static const struct soft_engine soft_engines[] = {
    {.name = "interpreter", .runs = {1, 1}, .cases = 16, .run = cpu_run},
    {.name = "steps", .runs = {1, 1}, .cases = 16, .run = run_steps},
    {.name = "jit",
     .runs = {2, 3},
     .cases = 1,
     .exact = true,
     .prepare = prepare_jit,
     .begin = begin_jit,
     .run = run_jit},
};

const struct soft_engine *soft_engine_find(const char *name)
{
    for (unsigned n = 0; n < sizeof(soft_engines) / sizeof(soft_engines[0]); n++)
        if (!strcmp(soft_engines[n].name, name))
            return &soft_engines[n];
    return NULL;
}

/* --- The processor -------------------------------------------------------------------------------- */

static uint64_t no_time(void *opaque)
{
    (void)opaque;
    return 0;
}

static int no_interrupt(void *opaque)
{
    (void)opaque;
    return -1;
}

static unsigned get_cr8(void *opaque)
{
    (void)opaque;
    return 0;
}

static void put64(struct soft *s, uint32_t phys, uint64_t value)
{
    memcpy(s->ram + phys, &value, 8);
}

static void map_page(struct soft *s, uint64_t linear, uint32_t phys, uint64_t flags)
{
    uint64_t table = TABLES, entry;

    for (unsigned shift = 39; shift > 12; shift -= 9) {
        uint32_t at = (uint32_t)table + 8 * (linear >> shift & 511);

        memcpy(&entry, s->ram + at, 8);
        if (!(entry & PTE_P)) {
            entry = s->next_table | PTE_P | PTE_W | PTE_U;
            s->next_table += PAGE;
            put64(s, at, entry);
        }
        table = entry & 0xfffff000;
    }
    put64(s, (uint32_t)table + 8 * (linear >> 12 & 511), phys | flags | PTE_P);
}

static void map(struct soft *s, uint64_t linear, uint32_t phys, uint64_t size, uint64_t flags)
{
    for (uint64_t n = 0; n < size; n += PAGE)
        map_page(s, linear + n, phys + (uint32_t)n, flags);
}

/* Linux's GDT, as far as programs can see it. */
static void make_gdt(struct soft *s)
{
    static const uint64_t descriptors[] = {
        0,
        0x00cf9b000000ffff, /* 08 kernel, 32 bits */
        0x00af9b000000ffff, /* 10 kernel code */
        0x00cf93000000ffff, /* 18 kernel data */
        0x00cffb000000ffff, /* 23 user, 32 bits */
        0x00cff3000000ffff, /* 2b user data */
        0x00affb000000ffff, /* 33 user code */
    };
    uint64_t base = KERNEL + TSS;

    for (unsigned n = 0; n < 7; n++)
        put64(s, GDT + 8 * n, descriptors[n]);
    for (unsigned n = 0; n < LDT_COUNT; n++)
        put64(s, LDT + 8 * n, ldt_descriptor(n));
    put64(s, GDT + 0x78, 0x0040f50000000000 | native_cpu_limit()); /* 7b: tells the CPU's number */
    put64(s, GDT + 0x40, 0x67 | (base & 0xffffff) << 16 | 0x8bull << 40 | (base >> 24 & 0xff) << 56);
    put64(s, GDT + 0x48, base >> 32);
}

static void make_idt(struct soft *s)
{
    for (unsigned v = 0; v < 256; v++) {
        uint64_t handler = KERNEL + HANDLERS + 16 * v, dpl = v == EX_BP || v == EX_OF || v == 0x80 ? 3 : 0;

        put64(s, IDT + 16 * v,
              (handler & 0xffff) | 0x10ull << 16 | (0x8e | dpl << 5) << 40 | (handler >> 16 & 0xffff) << 48);
        put64(s, IDT + 16 * v + 8, handler >> 32);
        s->ram[HANDLERS + 16 * v] = 0xf4; /* HLT */
    }
    s->ram[SYSTEM] = 0xf4;
}

static void make_start(struct soft *s)
{
    struct cpu_state *t = &s->start;

    *t = s->cpu->s;
    t->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
    t->cr3 = TABLES;
    t->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_FSGSBASE | CR4_UMIP | CR4_PGE;
    t->xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX;
    if (has_feature(s->cpu, F_XSAVE))
        t->cr4 |= CR4_OSXSAVE;
    t->efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE;
    t->gdtr = (struct table_reg){KERNEL + GDT, 0x7f};
    t->idtr = (struct table_reg){KERNEL + IDT, 0xfff};
    t->tr = (struct segment){.selector = 0x40, .base = KERNEL + TSS, .limit = 0x67, .attr = SEG_P | 11};
    t->ldtr = (struct segment){
        .selector = 0x50, .base = KERNEL + LDT, .limit = 8 * LDT_COUNT - 1, .attr = SEG_P | 2};
    t->lstar = t->cstar = t->sysenter_eip = KERNEL + SYSTEM;
    t->star = 0x0023001000000000ull;
    t->sysenter_cs = 0x10;
    t->sysenter_esp = KERNEL + STACK_TOP;
    t->cpl = 3;
    t->activity = CPU_RUNNING;
}

/* All that there is, but for what changes other instructions, and the host has not. */
static const char *model(void)
{
    return native_has_la57() ? "max" : "max,-la57";
}

struct soft *soft_new(const struct soft_engine *engine, const uint8_t *const_page, bool low)
{
    static const struct intc_ops intc_ops = {.acknowledge = no_interrupt, .get_cr8 = get_cr8};
    struct clock_source source = {no_time, no_time, NULL, NULL};
    struct soft *s = aligned_alloc(64, sizeof(*s)); /* as cpu_state wants it */
    pthread_mutexattr_t attr;
    char why[200];

    memset(s, 0, sizeof(*s));
    s->engine = engine;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&s->lock, &attr);
    pthread_mutexattr_destroy(&attr);
    log_init(&s->log, stderr);
    s->log.enabled = 0;
    s->ram = aligned_alloc(PAGE, RAM_SIZE);
    memset(s->ram, 0, RAM_SIZE);
    s->memory = bus_new("memory", 1ull << 40, &s->lock);
    s->ports = bus_new("ports", 1u << 16, &s->lock);
    bus_map_ram(s->memory, "ram", 0, RAM_SIZE, s->ram);
    s->clock = clock_new(&source);
    clock_start(s->clock);
    s->cpu = cpu_new(&(struct cpu_config){.count = 1,
                                          .memory = s->memory,
                                          .ports = s->ports,
                                          .clock = s->clock,
                                          .lock = &s->lock,
                                          .log = &s->log,
                                          .intc = {&intc_ops, s},
                                          .model = model()},
                     why, sizeof(why));
    if (!s->cpu) {
        fprintf(stderr, "oracle: %s\n", why);
        exit(1);
    }
    if (engine->prepare && !engine->prepare(s->cpu, why, sizeof(why))) {
        printf("1..0 # SKIP %s\n", why);
        exit(0);
    }
    s->next_table = TABLES + PAGE;
    map(s, KERNEL, 0, TABLES, PTE_W);
    map(s, CODE, CODE_PHYS, CODE_SIZE, PTE_U | PTE_W);
    map(s, DATA, DATA_PHYS, DATA_SIZE, PTE_U | PTE_W | PTE_NX);
    map(s, CONST, CONST_PHYS, PAGE, PTE_U | PTE_NX);
    map(s, DATA_HIGH, DATA_PHYS, DATA_SIZE, PTE_U | PTE_W | PTE_NX);
    map(s, DATA_TOP, DATA_PHYS, DATA_SIZE, PTE_U | PTE_W | PTE_NX);
    if (low)
        map(s, DATA_LOW, DATA_PHYS, DATA_SIZE, PTE_U | PTE_W | PTE_NX);
    memcpy(s->ram + CONST_PHYS, const_page, PAGE);
    memset(s->ram + CODE_PHYS, 0xcc, CODE_SIZE);
    make_gdt(s);
    make_idt(s);
    put64(s, TSS + 4, KERNEL + STACK_TOP);
    s->ram[TSS + 0x66] = 0x68; /* no I/O permissions */
    make_start(s);
    s->cpu->s = s->start;
    cpu_push(s->cpu);
    return s;
}

void soft_free(struct soft *s)
{
    cpu_free(s->cpu);
    clock_free(s->clock);
    bus_free(s->memory);
    bus_free(s->ports);
    pthread_mutex_destroy(&s->lock);
    free(s->ram);
    free(s);
}

const struct cpu *soft_cpu(const struct soft *s)
{
    return s->cpu;
}

static void load_selector(struct soft *s, struct cpu_state *t, unsigned seg, uint16_t selector)
{
    uint64_t d;

    if ((selector & ~3u) == 0) {
        t->seg[seg] = (struct segment){.selector = selector, .attr = SEG_UNUSABLE};
        return;
    }
    memcpy(&d, s->ram + (selector & 4 ? LDT : GDT) + (selector & ~7u), 8);
    unpack_descriptor(&t->seg[seg], selector, d);
}

/* Only what differs, so that what is known of the rest is kept. */
static void load_code(struct soft *s, const struct test_case *c)
{
    uint8_t code[CODE_SIZE];

    memset(code, 0xcc, CODE_SIZE);
    memcpy(code + (c->entry - CODE), c->bytes, c->length);
    for (unsigned at = 0; at < CODE_SIZE; at += 64)
        if (memcmp(s->ram + CODE_PHYS + at, code + at, 64) != 0)
            bus_write_block(s->memory, CODE_PHYS + at, code + at, 64);
}

static void load(struct soft *s, const struct test_case *c)
{
    struct cpu *cpu = s->cpu;
    struct cpu_state *t = &cpu->s;
    const struct machine *m = &c->start;

    memcpy(s->ram + DATA_PHYS, c->data, DATA_SIZE);
    load_code(s, c);

    *t = s->start;
    memcpy(t->gpr, m->gpr, sizeof(t->gpr));
    t->rip = m->rip;
    t->rflags = m->rflags;
    for (unsigned n = 0; n < SEG_COUNT; n++)
        load_selector(s, t, n, m->seg[n]);
    t->seg[FS].base = m->fs_base;
    t->seg[GS].base = m->gs_base;
    fpu_fxrstor(t, m->fx, true, 16);
    for (unsigned n = 0; n < 16; n++)
        memcpy(&t->zmm[n].u8[16], m->ymm_high + 16 * n, 16);
    set_arith_flags(cpu, (uint32_t)t->rflags);
    cpu->random_count = 0;
    update_mode(cpu);
}

static uint64_t stack64(const struct soft *s, uint64_t linear)
{
    uint64_t v;

    memcpy(&v, s->ram + (linear - KERNEL), 8);
    return v;
}

static bool has_error_code(unsigned vector)
{
    return vector < 32 && (0x60227d00u >> vector & 1);
}

/* The state that was interrupted, out of the frame. */
static void unload(struct soft *s, struct outcome *out)
{
    const struct cpu_state *t = &s->cpu->s;
    struct machine *m = &out->machine;
    uint64_t frame = t->gpr[RSP];

    out->vector = (unsigned)(t->rip - 1 - (KERNEL + HANDLERS)) / 16;
    if (has_error_code(out->vector)) {
        out->error = (uint32_t)stack64(s, frame);
        frame += 8;
    }
    out->cr2 = t->cr2;
    memcpy(m->gpr, t->gpr, sizeof(m->gpr));
    m->rip = stack64(s, frame);
    m->rflags = stack64(s, frame + 16);
    m->gpr[RSP] = stack64(s, frame + 24);
    for (unsigned n = 0; n < SEG_COUNT; n++)
        m->seg[n] = t->seg[n].selector;
    m->seg[CS] = (uint16_t)stack64(s, frame + 8);
    m->seg[SS] = (uint16_t)stack64(s, frame + 32);
    m->fs_base = t->seg[FS].base;
    m->gs_base = t->seg[GS].base;
    fpu_fxsave(t, m->fx, true, 16);
    for (unsigned n = 0; n < 16; n++)
        memcpy(m->ymm_high + 16 * n, &t->zmm[n].u8[16], 16);
}

/* What translated code has done; none: all 0. */
static struct soft_work work_of(const struct cpu *cpu)
{
    struct soft_work w = {.instructions = cpu->retired};

    if (cpu->jit) {
        const struct cpu_jit_stats *j = &cpu->jit->stats;

        w.translated = j->retired;
        w.bodies = j->bodies;
        w.blocks = j->blocks;
        w.entered = j->entered;
        w.dropped = j->dropped;
        w.resets = j->resets;
    }
    return w;
}

static void add_work(struct soft_work *sum, const struct soft_work *before, const struct soft_work *after)
{
    for (unsigned n = 0; n < sizeof(*sum) / sizeof(uint64_t); n++)
        ((uint64_t *)sum)[n] += ((const uint64_t *)after)[n] - ((const uint64_t *)before)[n];
}

static void run_once(struct soft *s, const struct test_case *c, struct outcome *out)
{
    struct cpu *cpu = s->cpu;
    struct soft_work before, after;
    enum cpu_exit exit;

    load(s, c);
    memset(out, 0, offsetof(struct outcome, code));
    before = work_of(cpu);
    exit = s->engine->run(cpu, budget_of(c));
    after = work_of(cpu);
    add_work(&s->work[c->bits / 32], &before, &after);
    out->instructions = after.instructions - before.instructions;
    memcpy(out->data, s->ram + DATA_PHYS, DATA_SIZE);
    memcpy(out->code, s->ram + CODE_PHYS, CODE_SIZE);
    out->end = exit == CPU_EXIT_HALT ? END_EXCEPTION : exit == CPU_EXIT_KICK ? END_NEVER : END_SHUTDOWN;
    if (exit == CPU_EXIT_HALT && cpu->s.rip == KERNEL + SYSTEM + 1)
        out->end = END_KERNEL;
    if (out->end == END_EXCEPTION) {
        unload(s, out);
        if (out->vector == 0x80 || out->machine.rflags & FLAG_TF || cpu->s.dr[6] & 1u << 14)
            out->end = END_KERNEL;
    }
}

void soft_run(struct soft *s, const struct test_case *c, struct outcome *out)
{
    if (s->engine->begin)
        s->engine->begin(s->cpu, c);
    run_once(s, c, out);
    for (unsigned n = 1; n < s->engine->runs[c->program] && out->end != END_NEVER; n++) {
        run_once(s, c, &s->again);
        if (memcmp(out, &s->again, sizeof(*out)) != 0) {
            *out = s->again;
            return;
        }
    }
}

const struct soft_work *soft_work(const struct soft *s)
{
    return s->work;
}

void soft_decode(struct soft *s, const struct test_case *c, const struct outcome *at, struct insn *insn)
{
    uint64_t offset = at->machine.rip + selector_base(at->machine.seg[CS]) - CODE;
    unsigned bits = selector_bits(at->machine.seg[CS]), attr;
    uint32_t mode = bits == 64 ? SIZE_Q : bits == 32 ? SIZE_D : SIZE_W;

    (void)c;
    insn->fn = NULL;
    if (offset < CODE_SIZE)
        decode(s->cpu, mode, at->code + offset, (unsigned)(CODE_SIZE - offset < 15 ? CODE_SIZE - offset : 15),
               0, 0, insn, &attr);
}

void soft_walk(struct soft *s, const struct test_case *c,
               bool (*visit)(void *opaque, const struct insn *i, const struct cpu_state *at), void *opaque)
{
    struct cpu *cpu = s->cpu;
    uint64_t before = 0;

    load(s, c);
    for (unsigned n = 0; n < 4 * PROGRAM_BUDGET && cpu->s.cpl == 3; n++) {
        uint64_t at = cpu->s.rip + (cpu->long64 ? 0 : cpu->s.seg[CS].base) - CODE;
        struct insn i;
        unsigned attr;

        i.row = UINT16_MAX;
        if (at < CODE_SIZE && !decode(cpu, cpu->mode, s->ram + CODE_PHYS + at,
                                      (unsigned)(CODE_SIZE - at < 15 ? CODE_SIZE - at : 15), 0, 0, &i, &attr))
            i.row = UINT16_MAX;
        if (cpu->s.rip != before && !visit(opaque, &i, &cpu->s))
            break;
        before = cpu->s.rip;
        if (cpu_step(cpu) == CPU_EXIT_HALT)
            break;
    }
}

struct executed {
    uint16_t *rows;
    unsigned count, max;
};

static bool note_row(void *opaque, const struct insn *i, const struct cpu_state *at)
{
    struct executed *e = opaque;

    (void)at;
    e->rows[e->count++] = i->row;
    return e->count < e->max;
}

unsigned soft_executed(struct soft *s, const struct test_case *c, uint16_t *rows, unsigned max)
{
    struct executed e = {rows, 0, max};

    soft_walk(s, c, note_row, &e);
    return e.count;
}
