/*
 * protected.c - the CPU and its tables for tests of the protection machinery.
 */
#include "tests/unit/protected.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"

/* --- A machine of one CPU and RAM ---------------------------------------------------------------- */

static uint64_t no_time(void *opaque)
{
    (void)opaque;
    return 0;
}

static int no_vector(void *intc)
{
    (void)intc;
    return -1;
}

static uint64_t apic_base(void *intc)
{
    (void)intc;
    return 0xfee00900;
}

static const struct intc_ops no_intc = {.acknowledge = no_vector, .get_base = apic_base};

struct box *box_new(void)
{
    static const struct clock_source source = {.now = no_time, .wall = no_time};
    struct box *box = calloc(1, sizeof(*box));
    pthread_mutexattr_t attr;
    struct cpu_config config = {0};
    char why[128];

    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&box->lock, &attr);
    pthread_mutexattr_destroy(&attr);
    box->ram = aligned_alloc(4096, RAM_SIZE);
    memset(box->ram, 0, RAM_SIZE);
    box->memory = bus_new("memory", 1ull << 40, &box->lock);
    box->ports = bus_new("ports", 65536, &box->lock);
    bus_map_ram(box->memory, "ram", 0, RAM_SIZE, box->ram);
    box->clock = clock_new(&source);
    config.memory = box->memory;
    config.ports = box->ports;
    config.clock = box->clock;
    config.lock = &box->lock;
    config.intc = (struct intc){&no_intc, NULL};
    box->cpu = cpu_new(&config, why, sizeof(why));
    ck_assert_msg(box->cpu != NULL, "%s", why);
    box->s = cpu_state(box->cpu);
    return box;
}

void box_free(struct box *box)
{
    cpu_free(box->cpu);
    bus_free(box->memory);
    bus_free(box->ports);
    clock_free(box->clock);
    pthread_mutex_destroy(&box->lock);
    free(box->ram);
    free(box);
}

uint64_t box_get(struct box *box, uint32_t at, unsigned size)
{
    uint64_t value = 0;

    memcpy(&value, box->ram + at, size);
    return value;
}

void box_put(struct box *box, uint32_t at, uint64_t value, unsigned size)
{
    bus_write(box->memory, at, value, size);
}

void box_code(struct box *box, uint32_t at, const char *bytes, unsigned size)
{
    bus_write_block(box->memory, at, bytes, size);
}

/* --- Tables -------------------------------------------------------------------------------------- */

/* `attr` in descriptor layout; with G the limit is given in bytes and must end in fff. */
uint64_t segment_descriptor(uint32_t base, uint32_t limit, uint32_t attr)
{
    if (attr & SEG_G)
        limit >>= 12;
    return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)(attr & 0xff) << 40 |
           (uint64_t)(limit >> 16 & 15) << 48 | (uint64_t)(attr >> 12 & 15) << 52 |
           (uint64_t)(base >> 24) << 56;
}

static void put_descriptor(struct box *box, uint16_t selector, uint32_t base, uint32_t limit, uint32_t attr)
{
    box_put(box, AT_GDT + (selector & 0xfff8), segment_descriptor(base, limit, attr), 8);
}

static void build_gdt(struct box *box, bool is_long)
{
    const uint32_t flat = UINT32_MAX;

    put_descriptor(box, S_CODE0, 0, flat, 0xc09b);
    put_descriptor(box, S_DATA0, 0, flat, 0xc093);
    put_descriptor(box, S_CODE3, 0, flat, 0xc0fb);
    put_descriptor(box, S_DATA3, 0, flat, 0xc0f3);
    put_descriptor(box, S_TSS, AT_TSS, 0x1ff, 0x008b);
    put_descriptor(box, S_CODE0_64, 0, flat, 0xa09b);
    put_descriptor(box, S_CODE3_64, 0, flat, 0xa0fb);
    put_descriptor(box, S_CONFORMING, 0, flat, is_long ? 0xa09f : 0xc09f);
    put_descriptor(box, S_TSS1, AT_TSS1, 0x1ff, 0x0089);
    put_descriptor(box, S_ABSENT, 0, flat, 0xc073);
    put_descriptor(box, S_EXPDOWN, 0x40000, 0xfff, 0x40f7);
    put_descriptor(box, S_LDT, AT_LDT, 0xff, 0x0082);
    put_descriptor(box, S_READONLY, 0, flat, 0xc0f1);
    put_descriptor(box, S_EXECONLY, 0, flat, 0xc0f9);
    put_descriptor(box, S_DATA3_16, 0x30000, 0xffff, 0x00f3);
    put_descriptor(box, S_TSS16, AT_TSS1, 0x1ff, 0x0081);
    box_put(box, AT_GDT + S_TASK_GATE, (uint64_t)S_TSS1 << 16 | 0x85ull << 40, 8);
}

void set_gate(struct box *box, unsigned vector, unsigned type, unsigned dpl, uint16_t cs, unsigned ist)
{
    uint64_t at = handler(vector), attr = 0x80 | dpl << 5 | type;
    uint64_t gate = (at & 0xffff) | (uint64_t)cs << 16 | (uint64_t)ist << 32 | attr << 40 | at >> 16 << 48;

    if (box->s->efer & EFER_LMA) {
        box_put(box, AT_IDT + vector * 16, gate, 8);
        box_put(box, AT_IDT + vector * 16 + 8, 0, 8);
    } else {
        box_put(box, AT_IDT + vector * 8, gate, 8);
    }
}

void put_call_gate(struct box *box, unsigned type, unsigned dpl, uint16_t cs, unsigned params)
{
    uint64_t at = AT_CODE1;

    box_put(box, AT_GDT + S_GATE,
            (at & 0xffff) | (uint64_t)cs << 16 | (uint64_t)params << 32 | (0x80ull | dpl << 5 | type) << 40 |
                at >> 16 << 48,
            8);
    box_put(box, AT_GDT + S_GATE + 8, 0, 8);
}

void remove_gate(struct box *box, unsigned vector)
{
    unsigned size = box->s->efer & EFER_LMA ? 16 : 8;

    box_put(box, AT_IDT + vector * size + 5, box_get(box, AT_IDT + vector * size + 5, 1) & 0x7f, 1);
}

static void load(struct box *box, struct segment *segment, uint16_t selector)
{
    uint64_t d = box_get(box, AT_GDT + (selector & 0xfff8), 8);
    uint32_t limit = (uint32_t)((d & 0xffff) | (d >> 32 & 0xf0000));

    segment->selector = selector;
    segment->base = (d >> 16 & 0xffffff) | (d >> 32 & 0xff000000);
    segment->attr = d >> 40 & 0xf0ff;
    segment->limit = segment->attr & SEG_G ? limit << 12 | 0xfff : limit;
}

static void start(struct box *box, uint16_t cs, uint16_t ss, unsigned cpl)
{
    struct cpu_state *s = box->s;
    static const uint8_t data[] = {ES, DS, FS, GS};

    s->gdtr = (struct table_reg){AT_GDT, GDT_LIMIT};
    s->idtr = (struct table_reg){AT_IDT, 0xfff};
    load(box, &s->tr, S_TSS);
    load(box, &s->seg[CS], cs);
    load(box, &s->seg[SS], ss);
    for (unsigned n = 0; n < 4; n++)
        load(box, &s->seg[data[n]], S_DATA3);
    s->ldtr = (struct segment){.attr = SEG_UNUSABLE};
    s->cpl = (uint8_t)cpl;
    s->rip = AT_CODE;
    s->rflags = FLAG_1;
    s->gpr[RSP] = cpl == 3 ? STACK3 : STACK0 - 0x800;
    for (unsigned v = 0; v < 64; v++)
        set_gate(box, v, 14, 0, s->efer & EFER_LMA ? S_CODE0_64 : S_CODE0, 0);
    cpu_push(box->cpu);
}

void start_protected(struct box *box, unsigned cpl)
{
    box->s->cr0 = CR0_PE | CR0_ET;
    build_gdt(box, false);
    box_put(box, AT_TSS + 4, STACK0, 4);
    box_put(box, AT_TSS + 8, S_DATA0, 2);
    box_put(box, AT_TSS + 0x66, 0x68, 2);
    start(box, cpl ? S_CODE3 : S_CODE0, cpl ? S_DATA3 : S_DATA0, cpl);
}

void start_long(struct box *box, unsigned cpl)
{
    struct cpu_state *s = box->s;

    s->cr0 = CR0_PE | CR0_ET | CR0_PG | CR0_WP;
    s->cr4 = CR4_PAE;
    s->efer = EFER_LME | EFER_LMA | EFER_SCE;
    s->cr3 = AT_PML4;
    box_put(box, AT_PML4, (AT_PML4 + 0x1000) | 7, 8);
    box_put(box, AT_PML4 + 0x1000, (AT_PML4 + 0x2000) | 7, 8);
    box_put(box, AT_PML4 + 0x2000, 0x87, 8); /* 2 MiB, one to one, for everyone */
    build_gdt(box, true);
    box_put(box, AT_GDT + S_TSS + 8, 0, 8);
    box_put(box, AT_GDT + S_LDT + 8, 0, 8);
    box_put(box, AT_TSS + 4, STACK0, 8);
    box_put(box, AT_TSS + 0x24, STACK_IST, 8);
    box_put(box, AT_TSS + 0x66, 0x68, 2);
    start(box, cpl ? S_CODE3_64 : S_CODE0_64, cpl ? S_DATA3 : S_DATA0, cpl);
}

static void real_segment(struct box *box, unsigned seg, uint16_t selector, uint32_t attr)
{
    box->s->seg[seg] = (struct segment){(uint64_t)selector << 4, 0xffff, attr, selector};
}

void start_vm86(struct box *box, unsigned iopl)
{
    start_protected(box, 3);
    for (unsigned n = 0; n < SEG_COUNT; n++)
        real_segment(box, n, (uint16_t)(0x4000 + n), 0xf3);
    real_segment(box, CS, 0x1000, 0xf3);
    real_segment(box, SS, 0x3000, 0xf3);
    box->s->rip = 0;
    box->s->gpr[RSP] = 0x1000;
    box->s->rflags = FLAG_1 | FLAG_VM | iopl << 12;
    cpu_push(box->cpu);
}

void start_real(struct box *box)
{
    cpu_reset(box->cpu, false);
    for (unsigned n = 0; n < SEG_COUNT; n++)
        real_segment(box, n, 0x3000, 0x93);
    real_segment(box, CS, 0x1000, 0x93);
    box->s->rip = 0;
    box->s->gpr[RSP] = 0x1000;
    box->s->idtr = (struct table_reg){0, 0x3ff};
    for (unsigned v = 0; v < 256; v++)
        box_put(box, v * 4, 0x18000000u | v * 16, 4); /* 1800:xx0 is handler(v) */
    cpu_push(box->cpu);
}

/* --- Stepping ------------------------------------------------------------------------------------ */

static uint64_t base_of(struct box *box, unsigned seg)
{
    return cpu_code_bits(box->s) == 64 ? 0 : box->s->seg[seg].base;
}

void step(struct box *box)
{
    cpu_step(box->cpu);
    cpu_pull(box->cpu);
}

void exec(struct box *box, const char *bytes, unsigned size)
{
    box_code(box, (uint32_t)(base_of(box, CS) + box->s->rip), bytes, size);
    step(box);
}

uint64_t stacked(struct box *box, unsigned n, unsigned size)
{
    return box_get(box, (uint32_t)(base_of(box, SS) + box->s->gpr[RSP] + n * size), size);
}

void expect_fault0(struct box *box, unsigned vector)
{
    ck_assert_msg(base_of(box, CS) + box->s->rip == handler(vector), "expected %s, but RIP is %llx",
                  cpu_exception_name(vector), (unsigned long long)box->s->rip);
}

void expect_fault(struct box *box, unsigned vector, uint32_t error)
{
    expect_fault0(box, vector);
    ck_assert_uint_eq(stacked(box, 0, box->s->efer & EFER_LMA ? 8 : 4), error);
}

void box_cases(Suite *suite, const char *name, SFun setup, SFun teardown, const TTest *const *tests,
               unsigned count)
{
    TCase *tcase = tcase_create(name);

    tcase_add_checked_fixture(tcase, setup, teardown);
    for (unsigned n = 0; n < count; n++)
        tcase_add_test(tcase, tests[n]);
    suite_add_tcase(suite, tcase);
}
