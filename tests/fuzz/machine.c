/*
 * machine.c - a processor with 256 KiB of memory, a chip and a ROM, ready for any mode.
 *
 * Memory: IVT at 0, the tables below, handlers (HLT, or return) for each vector, a stack, CODE, DATA, page
 * tables for each kind of paging. Pages map to themselves, except some near the end of RAM, which are
 * missing, read-only, the supervisor's, or not for code.
 */
#include <stdlib.h>
#include <string.h>

#include "cpu/interp/flags.h"
#include "tests/fuzz/fuzz.h"

#define RAM_SIZE 0x40000u
#define GDT      0x1000u
#define IDT32    0x1800u
#define IDT64    0x2000u
#define TSS32    0x3000u
#define TSS64    0x3200u
#define TSS16    0x3400u
#define TASK2    0x3600u /* the other end of task switches */
#define LDT      0x3800u
#define BITMAP   0x100u /* in TSS32: I/O permissions, and 32 bytes before it those of interrupts */
#define HANDLERS 0x5000u
#define STACK    0x9000u /* its top, for CPL 0; for others 0x1000 higher */
#define CODE     0x10000u
#define CODE_END 0x20000u
#define DATA     0x20000u
#define TABLES   0x30000u /* 16 pages */
#define ODD_PAGE 0x2c000u /* four pages of each other kind */
#define CHIP     0x40000u
#define ROM      0x41000u

#define PTE_P  1ull
#define PTE_W  2ull
#define PTE_U  4ull
#define PTE_NX (1ull << 63)

/* Selectors */
enum {
    CODE32 = 0x08,
    DATA32 = 0x10,
    CODE64 = 0x18,
    CODE16 = 0x20,
    DATA16 = 0x28,
    USER_CODE32 = 0x33,
    USER_DATA32 = 0x3b,
    USER_CODE64 = 0x43,
    USER_CODE16 = 0x4b,
    USER_DATA16 = 0x53,
    SEL_LDT = 0x58,
    SEL_TSS = 0x68,
    SEL_TSS16 = 0x78,
    SEL_TASK2 = 0x80,
    GATE32 = 0x88,
    GATE16 = 0x90,
    GATE64 = 0x98,
    GATE_TASK = 0xa8,
    DOWN32 = 0xb0,
    CONFORMING = 0xb8,
    EXECUTE = 0xc0,
    ABSENT = 0xc8,
    SHORT32 = 0xd0,
    GDT_END = 0xd8
};

struct fuzz_machine {
    struct cpu *cpu;
    struct bus *memory, *ports;
    struct clock *clock;
    pthread_mutex_t lock;
    struct log log;
    uint8_t *ram, *fresh; /* as each input finds it, before the patches */
    uint8_t rom[4096];
    uint8_t returning[3][4096]; /* handlers that return: for real mode, for 32 bits, for 64 */
    uint64_t now, apic_base, x2apic, deadline;
    unsigned cr8;
};

/* --- What is around the processor ---------------------------------------------------------------- */

static uint64_t now(void *opaque)
{
    return ((struct fuzz_machine *)opaque)->now += 10;
}

static uint64_t chip_read(void *dev, uint64_t addr, unsigned size)
{
    (void)size;
    return ((struct fuzz_machine *)dev)->now++ * 0x0101010101010101ull + addr;
}

static void chip_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    (void)size;
    ((struct fuzz_machine *)dev)->now += addr + (value & 7);
}

static int acknowledge(void *intc)
{
    return (int)(((struct fuzz_machine *)intc)->now & 0xff);
}

static unsigned get_cr8(void *intc)
{
    return ((struct fuzz_machine *)intc)->cr8;
}

static void set_cr8(void *intc, unsigned cr8)
{
    ((struct fuzz_machine *)intc)->cr8 = cr8;
}

static bool x2apic_read(void *intc, uint32_t index, uint64_t *value)
{
    *value = ((struct fuzz_machine *)intc)->x2apic;
    return index & 1;
}

static bool x2apic_write(void *intc, uint32_t index, uint64_t value)
{
    ((struct fuzz_machine *)intc)->x2apic = value;
    return index & 1;
}

static uint64_t get_base(void *intc)
{
    return ((struct fuzz_machine *)intc)->apic_base;
}

static bool set_base(void *intc, uint64_t value)
{
    ((struct fuzz_machine *)intc)->apic_base = value;
    return !(value & 0xff);
}

static void set_deadline(void *intc, uint64_t deadline, uint64_t raw)
{
    (void)deadline;
    ((struct fuzz_machine *)intc)->deadline = raw;
}

static uint64_t get_deadline(void *intc)
{
    return ((struct fuzz_machine *)intc)->deadline;
}

/* --- Memory as an input finds it ------------------------------------------------------------------ */

static void put16(struct fuzz_machine *m, uint32_t at, uint64_t v)
{
    memcpy(m->fresh + at, &v, 2);
}

static void put32(struct fuzz_machine *m, uint32_t at, uint64_t v)
{
    memcpy(m->fresh + at, &v, 4);
}

static void put64(struct fuzz_machine *m, uint32_t at, uint64_t v)
{
    memcpy(m->fresh + at, &v, 8);
}

static uint64_t descriptor(uint32_t base, uint32_t limit, unsigned attr)
{
    return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)(attr & 0xf0ff) << 40 |
           (uint64_t)(limit >> 16) << 48 | (uint64_t)(base >> 24) << 56;
}

static uint64_t gate(unsigned selector, uint32_t offset, unsigned type, unsigned count)
{
    return (offset & 0xffff) | (uint64_t)selector << 16 | (uint64_t)count << 32 | (uint64_t)type << 40 |
           (uint64_t)(offset >> 16) << 48;
}

static void make_gdt(struct fuzz_machine *m)
{
    static const struct {
        uint16_t selector;
        uint32_t base, limit, attr;
    } list[] = {
        {CODE32, 0, 0xfffff, 0xc09b},        {DATA32, 0, 0xfffff, 0xc093},
        {CODE64, 0, 0xfffff, 0xa09b},        {CODE16, 0, 0xffff, 0x009b},
        {DATA16, DATA, 0xffff, 0x0093},      {USER_CODE32, 0, 0xfffff, 0xc0fb},
        {USER_DATA32, 0, 0xfffff, 0xc0f3},   {USER_CODE64, 0, 0xfffff, 0xa0fb},
        {USER_CODE16, CODE, 0xffff, 0x00fb}, {USER_DATA16, DATA, 0xfff, 0x00f3},
        {SEL_LDT, LDT, 0x7f, 0x0082},        {SEL_TSS, TSS32, 0x167, 0x0089},
        {SEL_TSS16, TSS16, 0x2b, 0x0081},    {SEL_TASK2, TASK2, 0x67, 0x0089},
        {DOWN32, DATA, 0xfff, 0x4097},       {CONFORMING, 0, 0xfffff, 0xc09f},
        {EXECUTE, 0, 0xfffff, 0xc099},       {ABSENT, 0, 0xfffff, 0x4013},
        {SHORT32, DATA, 0x7ff, 0x40f3},
    };

    for (unsigned n = 0; n < sizeof(list) / sizeof(list[0]); n++)
        put64(m, GDT + (list[n].selector & ~7u), descriptor(list[n].base, list[n].limit, list[n].attr));
    put64(m, GDT + GATE32, gate(CODE32, CODE, 0xec, 2));
    put64(m, GDT + GATE16, gate(CODE16, 0x5000, 0xe4, 1));
    put64(m, GDT + GATE64, gate(CODE64, CODE, 0xec, 0));
    put64(m, GDT + GATE_TASK, gate(SEL_TASK2, 0, 0xe5, 0));
    memcpy(m->fresh + LDT, m->fresh + GDT, 0x58);
}

/* Handlers are 16 bytes each: HLT. */
static void make_handlers(struct fuzz_machine *m)
{
    for (unsigned v = 0; v < 256; v++) {
        uint32_t at = HANDLERS + 16 * v;
        unsigned dpl = v % 3 ? 0x60 : 0, type = v % 5 ? 0x8e : 0x8f;

        put32(m, 4 * v, HANDLERS << 12 | 16 * v);
        put64(m, IDT32 + 8 * v,
              gate(v % 7 == 6 ? CODE16 : CODE32, at, v % 7 == 6 ? dpl | 0x86 : dpl | type, 0));
        put64(m, IDT64 + 16 * v, gate(CODE64, at, dpl | type, v % 11 == 8));
        m->fresh[at] = 0xf4;
    }
}

/* IRET; behind an ADD to the stack pointer where there is an error code. */
static void make_returning(struct fuzz_machine *m)
{
    static const uint8_t iret32[] = {0x83, 0xc4, 0x04, 0xcf}, iret64[] = {0x48, 0x83, 0xc4, 0x08, 0x48, 0xcf};

    for (unsigned kind = 0; kind < 3; kind++) {
        const uint8_t *from = kind == 2 ? iret64 : iret32;
        unsigned length = kind == 2 ? sizeof(iret64) : sizeof(iret32);

        for (unsigned v = 0; v < 256; v++) {
            bool error = kind && v < 32 && (0x60227d00u >> v & 1);
            unsigned skip = error ? 0 : length == sizeof(iret32) ? 3 : 4;

            memcpy(m->returning[kind] + 16 * v, from + skip, length - skip);
        }
    }
}

static void make_tss(struct fuzz_machine *m)
{
    for (unsigned n = 0; n < 3; n++) {
        put32(m, TSS32 + 4 + 8 * n, STACK);
        put32(m, TSS32 + 8 + 8 * n, DATA32 | n);
        put64(m, TSS64 + 4 + 8 * n, STACK);
        put16(m, TSS16 + 2 + 4 * n, STACK & 0xfff0);
        put16(m, TSS16 + 4 + 4 * n, DATA32 | n);
    }
    put64(m, TSS64 + 0x24, STACK - 0x800); /* IST1 */
    put16(m, TSS32 + 0x66, BITMAP);
    put16(m, TSS64 + 0x66, BITMAP);
    memset(m->fresh + TSS32 + BITMAP, 0x5a, 0x68);
    for (unsigned n = 0; n < 6; n++) /* of the tasks to come */
        put16(m, TASK2 + 0x48 + 4 * n, n == CS ? CODE32 : DATA32);
    put32(m, TASK2 + 0x20, CODE);
    put32(m, TASK2 + 0x38, STACK);
    put32(m, TASK2 + 0x24, 2);
    put16(m, TSS16 + 0x0e, 0x5000);
    put16(m, TSS16 + 0x10, 2);
    put16(m, TSS16 + 0x1a, STACK & 0xfff0);
    for (unsigned n = 0; n < 4; n++)
        put16(m, TSS16 + 0x22 + 2 * n, n == CS ? CODE16 : DATA16);
}

static uint64_t page_flags(uint32_t page)
{
    switch ((page - ODD_PAGE) >> 12) {
    case 0:
        return 0;
    case 1:
        return PTE_P | PTE_U;
    case 2:
        return PTE_P | PTE_W;
    case 3:
        return PTE_P | PTE_W | PTE_U | PTE_NX;
    default:
        return page == CODE_END - 4096 ? 0 : PTE_P | PTE_W | PTE_U;
    }
}

/* Page 0: PML5, 1: PML4, 2: PDPT, 3: PD, 4 and 5: PTs; 6: PDPT of PAE; 8: a directory of 32-bit entries, 9:
 * its table. */
static void make_tables(struct fuzz_machine *m)
{
    for (unsigned level = 0; level < 4; level++)
        for (unsigned n = 0; n < 512; n += 256) /* in both halves */
            put64(m, TABLES + 4096 * level + 8 * n, (TABLES + 4096 * (level + 1)) | PTE_P | PTE_W | PTE_U);
    put64(m, TABLES + 0x3008, 0xe3); /* a large page, for the supervisor */
    put64(m, TABLES + 0x2008, 0x40000000 | 0xe7);
    for (unsigned n = 0; n < 4; n++)
        put64(m, TABLES + 0x6000 + 8 * n, n == 1 ? 0 : (TABLES + 0x3000) | PTE_P);
    put32(m, TABLES + 0x8000, (TABLES + 0x9000) | PTE_P | PTE_W | PTE_U);
    put32(m, TABLES + 0x8000 + 4 * 512, 0xe7);
    for (unsigned n = 0; n < 512; n++) {
        uint64_t flags = page_flags(4096 * n);

        put64(m, TABLES + 0x4000 + 8 * n, (4096ull * n) | flags);
        put32(m, TABLES + 0x9000 + 4 * n, (4096ull * n) | (flags & 7));
    }
}

struct fuzz_machine *fuzz_machine_new(void)
{
    static const struct bus_ops chip = {chip_read, chip_write, 4};
    static const struct intc_ops intc_ops = {acknowledge, get_cr8,  set_cr8,      x2apic_read, x2apic_write,
                                             get_base,    set_base, set_deadline, get_deadline};
    struct fuzz_machine *m = calloc(1, sizeof(*m));
    struct clock_source source = {now, now, NULL, m};
    pthread_mutexattr_t attr;
    char why[200];

    if (!m)
        return NULL;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&m->lock, &attr);
    pthread_mutexattr_destroy(&attr);
    log_init(&m->log, stderr);
    m->log.enabled = 0;
    m->ram = aligned_alloc(4096, RAM_SIZE);
    m->fresh = calloc(1, RAM_SIZE);
    memset(m->rom, 0x90, sizeof(m->rom));
    m->memory = bus_new("memory", 1ull << 40, &m->lock);
    m->ports = bus_new("ports", 1u << 16, &m->lock);
    bus_map_ram(m->memory, "ram", 0, RAM_SIZE, m->ram);
    bus_map(m->memory, "chip", CHIP, 4096, &chip, m);
    bus_map_rom(m->memory, "rom", ROM, 4096, m->rom);
    bus_map(m->ports, "chip", 0, 0x8000, &chip, m);
    m->clock = clock_new(&source);
    clock_start(m->clock);
    m->cpu = cpu_new(&(struct cpu_config){.count = 1,
                                          .memory = m->memory,
                                          .ports = m->ports,
                                          .clock = m->clock,
                                          .lock = &m->lock,
                                          .log = &m->log,
                                          .intc = {&intc_ops, m},
                                          .model = "max"},
                     why, sizeof(why));
    make_gdt(m);
    make_handlers(m);
    make_returning(m);
    make_tss(m);
    make_tables(m);
    return m;
}

void fuzz_machine_free(struct fuzz_machine *m)
{
    cpu_free(m->cpu);
    clock_free(m->clock);
    bus_free(m->memory);
    bus_free(m->ports);
    pthread_mutex_destroy(&m->lock);
    free(m->ram);
    free(m->fresh);
    free(m);
}

struct cpu *fuzz_cpu(const struct fuzz_machine *m)
{
    return m->cpu;
}

void fuzz_event(struct fuzz_machine *m, unsigned n)
{
    switch (n % 16) {
    case 0:
        cpu_nmi(m->cpu);
        break;
    case 1:
        cpu_a20(m->cpu, n & 16);
        break;
    case 2:
        if (n & 0x60)
            break;
        cpu_init(m->cpu);
        cpu_sipi(m->cpu, CODE >> 12);
        break;
    case 3:
        cpu_smi(m->cpu);
        break;
    default:
        cpu_intr(m->cpu, n & 16);
        break;
    }
}

/* --- An input's state ------------------------------------------------------------------------------ */

/* What a mode starts with; the rest follows from it. */
static const struct mode {
    uint32_t cr0, cr4, efer, cr3;
    uint16_t cs, ss, ds, tss;
    bool vm86;
} modes[FUZZ_MODES] = {
    [FUZZ_REAL] = {.cr0 = 0},
    [FUZZ_PROT16] = {.cr0 = CR0_PE, .cs = CODE16, .ss = DATA16, .ds = DATA16, .tss = TSS16},
    [FUZZ_PROT32] = {.cr0 = CR0_PE, .cs = CODE32, .ss = DATA32, .ds = DATA32, .tss = TSS32},
    [FUZZ_PROT32_LIMITS] = {.cr0 = CR0_PE, .cs = EXECUTE, .ss = DOWN32, .ds = SHORT32, .tss = TSS32},
    [FUZZ_PAGED32] = {CR0_PE | CR0_PG | CR0_WP, CR4_PSE, 0, TABLES + 0x8000, CODE32, DATA32, DATA32, TSS32,
                      false},
    [FUZZ_PAGED32_USER] = {CR0_PE | CR0_PG, CR4_PSE | CR4_PGE, 0, TABLES + 0x8000, USER_CODE32, USER_DATA32,
                           USER_DATA32, TSS32, false},
    [FUZZ_PAE] = {CR0_PE | CR0_PG, CR4_PAE, EFER_NXE, TABLES + 0x6000, CODE32, DATA32, DATA32, TSS32, false},
    [FUZZ_VM86] = {CR0_PE | CR0_PG, 0, 0, TABLES + 0x8000, 0, 0, 0, TSS32, true},
    [FUZZ_LONG] = {CR0_PE | CR0_PG | CR0_WP, CR4_PAE | CR4_PGE, EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE,
                   TABLES + 0x1000, CODE64, DATA32, DATA32, TSS64, false},
    [FUZZ_LONG_USER] = {CR0_PE | CR0_PG, CR4_PAE, EFER_LME | EFER_LMA | EFER_SCE, TABLES + 0x1000,
                        USER_CODE64, USER_DATA32, USER_DATA32, TSS64, false},
    [FUZZ_COMPAT32] = {CR0_PE | CR0_PG, CR4_PAE, EFER_LME | EFER_LMA | EFER_SCE, TABLES + 0x1000, CODE32,
                       DATA32, DATA32, TSS64, false},
    [FUZZ_COMPAT16_USER] = {CR0_PE | CR0_PG, CR4_PAE, EFER_LME | EFER_LMA, TABLES + 0x1000, USER_CODE16,
                            USER_DATA16, USER_DATA16, TSS64, false},
    [FUZZ_LA57] = {CR0_PE | CR0_PG, CR4_PAE | CR4_LA57, EFER_LME | EFER_LMA | EFER_NXE, TABLES, CODE64,
                   DATA32, DATA32, TSS64, false},
};

static void load_selector(struct fuzz_machine *m, unsigned seg, uint16_t selector)
{
    uint64_t d;

    memcpy(&d, m->ram + GDT + (selector & ~7u), 8);
    unpack_descriptor(&m->cpu->s.seg[seg], selector, d);
}

static void set_segments(struct fuzz_machine *m, const struct mode *mode)
{
    struct cpu_state *s = &m->cpu->s;

    for (unsigned n = 0; n < SEG_COUNT; n++) {
        if (mode->vm86 || !(mode->cr0 & CR0_PE))
            s->seg[n] = (struct segment){.selector = n == CS ? CODE >> 4 : DATA >> 4,
                                         .base = n == CS ? CODE : DATA,
                                         .limit = 0xffff,
                                         .attr = SEG_P | SEG_S | SEG_WRITABLE | SEG_ACCESSED |
                                                 (mode->vm86 ? SEG_DPL : 0)};
        else
            load_selector(m, n, n == CS ? mode->cs : n == SS ? mode->ss : mode->ds);
    }
    s->cpl = mode->vm86 ? 3 : mode->cs & 3;
    s->gdtr = (struct table_reg){GDT, GDT_END - 1};
    s->idtr = (struct table_reg){mode->efer ? IDT64 : mode->cr0 ? IDT32 : 0, mode->efer ? 0xfff : 0x7ff};
    s->ldtr = (struct segment){.selector = SEL_LDT, .base = LDT, .limit = 0x7f, .attr = SEG_P | 2};
    s->tr = (struct segment){.selector = mode->tss == TSS16 ? SEL_TSS16 : SEL_TSS,
                             .base = mode->tss,
                             .limit = mode->tss == TSS16 ? 0x2b : 0x167,
                             .attr = SEG_P | (mode->tss == TSS16 ? 3 : 11)};
}

/* Where the code lies, linear: at the start of CODE, or up to the end of the last page before a missing one.
 */
static uint32_t code_place(const uint8_t *input, size_t code_size)
{
    return input[1] & FUZZ_AT_END ? CODE_END - 4096 - (uint32_t)code_size : CODE;
}

static uint64_t register_value(unsigned kind, unsigned n)
{
    uint64_t z = (kind * 16 + n + 1) * 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 29) * 0xbf58476d1ce4e5b9ull;
    z ^= z >> 32;
    switch (z & 7) {
    case 0:
        return z;
    case 1:
        return (uint64_t)((int64_t)z >> (z >> 8 & 63));
    case 2:
        return z >> 8 & 0xff;
    case 3:
        return (uint64_t)-1 << (z >> 8 & 63);
    case 4:
        return DATA + 0xffe0 + (z >> 8 & 63);
    default:
        return DATA + (z >> 8 & 0xfff8);
    }
}

static void set_floating(struct cpu_state *s, unsigned kind, unsigned bits)
{
    s->fcw = bits & 1 ? 0x37f : 0x340;
    s->fsw = bits & 2 ? 0x3800 : 0;
    s->fptag = (uint8_t)(bits & 4 ? kind : 0);
    s->mxcsr = bits & 8 ? 0x1f80 : 0x8000u | (kind << 7 & 0x7f80);
    for (unsigned n = 0; n < 8; n++)
        s->st[n] = (struct f80){register_value(kind + 1, n), (uint16_t)register_value(kind + 2, n)};
    for (unsigned n = 0; n < 16; n++)
        for (unsigned k = 0; k < 4; k++)
            s->zmm[n].u64[k] = register_value(kind + 3 + k, n);
}

/* Bits that inputs change: as many of them as leave the mode what it is. */
static void set_control(struct cpu *cpu, const struct mode *mode, const uint8_t *input)
{
    struct cpu_state *s = &cpu->s;
    unsigned a = input[2], b = input[3];

    s->cr0 = mode->cr0 | CR0_ET | (a & 1 ? 0 : CR0_NE) | (a & 2 ? CR0_TS : 0) | (a & 4 ? CR0_EM : 0) |
             (a & 8 ? CR0_AM : 0);
    s->cr4 = mode->cr4 | (a & 16 ? 0 : CR4_OSFXSR | CR4_OSXMMEXCPT) | (b & 1 ? CR4_VME | CR4_PVI : 0) |
             (b & 2 ? CR4_UMIP | CR4_SMEP | CR4_SMAP : 0) | (b & 4 ? CR4_DE : 0);
    if (has_feature(cpu, F_XSAVE) && !(a & 32)) {
        s->cr4 |= CR4_OSXSAVE;
        s->xcr0 = XCR0_X87 | XCR0_SSE | (has_feature(cpu, F_AVX) ? XCR0_AVX : 0);
    }
    if (mode->efer)
        s->cr4 |= CR4_FSGSBASE | (b & 8 ? CR4_PCIDE : 0);
    s->efer = mode->efer;
    s->cr3 = mode->cr3;
    s->rflags = FLAG_1 | (a & 64 ? FLAG_TF : 0) | (a & 128 ? FLAG_AC : 0) | (b & 16 ? FLAG_IF : 0) |
                (b & 32 ? FLAG_IOPL : 0) | (b & 64 ? FLAG_DF | FLAG_NT : 0) | (mode->vm86 ? FLAG_VM : 0);
    if (b & 128) { /* breakpoints: code, a word written, a byte read or written, a port */
        s->dr[0] = CODE + 3;
        s->dr[1] = s->dr[2] = DATA + 64;
        s->dr[3] = 0x60;
        s->dr[7] = 0x2375055f;
    }
    s->star = 0x0030000800000000ull;
    s->lstar = s->cstar = s->sysenter_eip = CODE;
    s->sysenter_cs = CODE32;
    s->sysenter_esp = STACK;
}

static void set_handlers(struct fuzz_machine *m, const struct mode *mode, unsigned options)
{
    if (options & FUZZ_RETURN)
        memcpy(m->ram + HANDLERS, m->returning[mode->efer ? 2 : mode->cr0 ? 1 : 0], 4096);
    if (options & FUZZ_TASK_GATE) {
        uint64_t task = gate(SEL_TASK2, 0, 0xe5, 0);

        memcpy(m->ram + IDT32 + 8 * EX_UD, &task, 8);
        memcpy(m->ram + IDT32 + 8 * EX_DF, &task, 8);
    }
}

size_t fuzz_code_start(const uint8_t *input, size_t size)
{
    size_t start = FUZZ_HEADER + 4 * (size_t)(input[5] & 15);

    return start < size ? start : size;
}

void fuzz_prepare(struct fuzz_machine *m, const uint8_t *input, size_t size)
{
    struct cpu *cpu = m->cpu;
    unsigned number = input[0] % FUZZ_MODES;
    const struct mode *mode;
    size_t start = fuzz_code_start(input, size), code_size = size - start;
    uint32_t place;

    if (number == FUZZ_LA57 && !has_feature(cpu, F_LA57))
        number = FUZZ_LONG;
    mode = &modes[number];
    if (code_size > FUZZ_MAX_CODE)
        code_size = FUZZ_MAX_CODE;
    place = code_place(input, code_size);
    memcpy(m->ram, m->fresh, RAM_SIZE);
    set_handlers(m, mode, input[1]);
    for (size_t at = FUZZ_HEADER; at + 4 <= start; at += 4) {
        uint16_t where;

        memcpy(&where, input + at, 2);
        m->ram[4u * where + (input[at + 2] & 3)] = input[at + 3];
    }
    memcpy(m->ram + place, input + start, code_size);
    m->ram[place + code_size] = 0xf4;
    m->now = 0;
    m->cr8 = 0;
    m->apic_base = 0xfee00900;

    atomic_store(&cpu->attention, 0);
    cpu_a20(cpu, true);
    cpu_reset(cpu, false);
    set_control(cpu, mode, input);
    set_segments(m, mode);
    set_floating(&cpu->s, input[4], input[2] ^ input[3]);
    for (unsigned n = 0; n < 16; n++) {
        cpu->s.gpr[n] = register_value(input[4], n);
        if (!mode->efer)
            cpu->s.gpr[n] &= mode->cr0 && !mode->vm86 ? UINT32_MAX : 0xffff;
    }
    cpu->s.gpr[RSP] = mode->cr0 && !mode->vm86 ? STACK + 0x1000 : 0x8000;
    cpu->s.rip = place - cpu->s.seg[CS].base;
    if (!(cpu->s.seg[CS].attr & SEG_L)) /* EIP wraps */
        cpu->s.rip = (uint32_t)cpu->s.rip;
    cpu->s.tsc_offset = 0;
    cpu->retired = 0;
    cpu->random_count = 0;
    trace_flush(cpu);
    cpu_push(cpu);
    if (mode->cr0 & CR0_PG && mode->cr4 & CR4_PAE && !mode->efer)
        load_pdptes(cpu, cpu->s.cr3);
}
