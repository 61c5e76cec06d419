/*
 * cpu_rig.h - a processor with 2 MiB of RAM, hand-turned time, a port that records, and a made-up interrupt
 * controller.
 *
 * rig_long_mode() puts it into flat 64-bit mode, each 4 KiB page mapped to itself by the table at RIG_PT.
 * EXCEPTION(r, e) is the vector that the expression raised, -1 when none.
 */
#ifndef TESTS_UNIT_CPU_RIG_H
#define TESTS_UNIT_CPU_RIG_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/internal.h"

#define RIG_RAM  0x200000u
#define RIG_PML4 0x8000u
#define RIG_PDPT 0x9000u
#define RIG_PD   0xa000u
#define RIG_PT   0xb000u
#define RIG_CODE 0x1000u
#define RIG_PORT 0x100u

struct rig {
    struct cpu *cpu;
    struct bus *memory, *ports;
    struct clock *clock;
    pthread_mutex_t lock;
    struct log log;
    uint8_t *ram, *flags;
    uint64_t now;        /* what the clock's source says */
    uint8_t written[64]; /* bytes written to RIG_PORT */
    unsigned written_count;
    uint8_t next_read; /* reading RIG_PORT counts up */
    bool kick_on_write;
    unsigned cr8;
    uint64_t apic_base, x2apic_value, deadline_ns, deadline_raw;
};

static inline uint64_t rig_now(void *opaque)
{
    return ((struct rig *)opaque)->now;
}

static inline uint64_t rig_port_read(void *dev, uint64_t addr, unsigned size)
{
    (void)addr;
    (void)size;
    return ((struct rig *)dev)->next_read++;
}

static inline void rig_port_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct rig *r = dev;

    (void)addr;
    (void)size;
    if (r->written_count < sizeof(r->written))
        r->written[r->written_count++] = (uint8_t)value;
    if (r->kick_on_write)
        cpu_kick(r->cpu);
}

static inline int rig_acknowledge(void *intc)
{
    (void)intc;
    return -1;
}

static inline unsigned rig_get_cr8(void *intc)
{
    return ((struct rig *)intc)->cr8;
}

static inline void rig_set_cr8(void *intc, unsigned cr8)
{
    ((struct rig *)intc)->cr8 = cr8;
}

static inline bool rig_read_msr(void *intc, uint32_t index, uint64_t *value)
{
    *value = ((struct rig *)intc)->x2apic_value;
    return index == 0x808;
}

static inline bool rig_write_msr(void *intc, uint32_t index, uint64_t value)
{
    ((struct rig *)intc)->x2apic_value = value;
    return index == 0x808;
}

static inline uint64_t rig_get_base(void *intc)
{
    return ((struct rig *)intc)->apic_base;
}

static inline bool rig_set_base(void *intc, uint64_t value)
{
    if (value & 0xff)
        return false;
    ((struct rig *)intc)->apic_base = value;
    return true;
}

static inline void rig_set_deadline(void *intc, uint64_t deadline, uint64_t raw)
{
    struct rig *r = intc;

    r->deadline_ns = deadline;
    r->deadline_raw = raw;
}

static inline uint64_t rig_get_deadline(void *intc)
{
    return ((struct rig *)intc)->deadline_raw;
}

/* A rig whose CPU is as after RESET; `model` as --cpu takes it. */
static inline struct rig *rig_new(const char *model, uint64_t tsc_hz)
{
    static const struct bus_ops port_ops = {rig_port_read, rig_port_write, 4};
    static const struct intc_ops intc_ops = {rig_acknowledge, rig_get_cr8,      rig_set_cr8,
                                             rig_read_msr,    rig_write_msr,    rig_get_base,
                                             rig_set_base,    rig_set_deadline, rig_get_deadline,
                                             NULL,            NULL};
    struct rig *r = calloc(1, sizeof(*r));
    struct clock_source source = {rig_now, rig_now, NULL, r};
    pthread_mutexattr_t attr;
    char why[200] = "";

    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&r->lock, &attr);
    pthread_mutexattr_destroy(&attr);
    log_init(&r->log, stderr);
    r->ram = aligned_alloc(4096, RIG_RAM);
    memset(r->ram, 0, RIG_RAM);
    r->memory = bus_new("memory", 1ull << 40, &r->lock);
    r->ports = bus_new("ports", 1u << 16, &r->lock);
    bus_map_ram(r->memory, "ram", 0, RIG_RAM, r->ram);
    bus_map(r->ports, "port", RIG_PORT, 4, &port_ops, r);
    r->clock = clock_new(&source);
    clock_start(r->clock);
    r->apic_base = 0xfee00900;
    r->cpu = cpu_new(&(struct cpu_config){.count = 1,
                                          .memory = r->memory,
                                          .ports = r->ports,
                                          .clock = r->clock,
                                          .lock = &r->lock,
                                          .log = &r->log,
                                          .intc = {&intc_ops, r},
                                          .model = model,
                                          .tsc_hz = tsc_hz},
                     why, sizeof(why));
    ck_assert_msg(r->cpu != NULL, "%s", why);
    return r;
}

static inline void rig_free(struct rig *r)
{
    cpu_free(r->cpu);
    clock_free(r->clock);
    bus_free(r->memory);
    bus_free(r->ports);
    pthread_mutex_destroy(&r->lock);
    free(r->ram);
    free(r);
}

static inline void rig_put64(struct rig *r, uint32_t addr, uint64_t value)
{
    memcpy(r->ram + addr, &value, sizeof(value));
}

/* Flat 64-bit mode at CPL 0, RIP at RIG_CODE, the stack below it. */
static inline void rig_long_mode(struct rig *r)
{
    struct cpu_state *s = &r->cpu->s;

    rig_put64(r, RIG_PML4, RIG_PDPT | 7);
    rig_put64(r, RIG_PDPT, RIG_PD | 7);
    rig_put64(r, RIG_PD, RIG_PT | 7);
    for (uint32_t n = 0; n < 512; n++)
        rig_put64(r, RIG_PT + 8 * n, n << 12 | 7);
    s->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
    s->cr4 = CR4_PAE;
    s->cr3 = RIG_PML4;
    s->efer = EFER_LME | EFER_LMA;
    s->seg[CS].selector = 8;
    s->seg[CS].base = 0;
    s->seg[CS].attr = SEG_P | SEG_S | SEG_CODE | SEG_READABLE | SEG_ACCESSED | SEG_L | SEG_G;
    s->rip = RIG_CODE;
    s->gpr[RSP] = RIG_CODE;
    cpu_push(r->cpu);
}

/* Real mode with all bases 0, RIP at RIG_CODE. */
static inline void rig_real_mode(struct rig *r)
{
    r->cpu->s.seg[CS].selector = 0;
    r->cpu->s.seg[CS].base = 0;
    r->cpu->s.rip = RIG_CODE;
    r->cpu->s.gpr[RSP] = RIG_CODE;
    cpu_push(r->cpu);
}

/* Runs the code from RIG_CODE, until it loops at the JMP that is put behind it, or exits. */
static inline enum cpu_exit rig_run(struct rig *r, const uint8_t *code, unsigned size)
{
    enum cpu_exit exit;

    bus_write_block(r->memory, RIG_CODE, code, size); /* the CPU must hear of new code */
    bus_write_block(r->memory, RIG_CODE + size, "\xeb\xfe", 2);
    exit = cpu_run(r->cpu, 1000);
    cpu_pull(r->cpu);
    return exit;
}
#define RUN(r, ...) rig_run(r, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

#define EXCEPTION(r, expression)                                                                             \
    ({                                                                                                       \
        struct cpu *volatile rig_cpu_ = (r)->cpu;                                                            \
        volatile int vector_ = -1;                                                                           \
        if (setjmp(rig_cpu_->env) == 0) {                                                                    \
            (void)(expression);                                                                              \
        } else {                                                                                             \
            vector_ = rig_cpu_->fault.vector;                                                                \
            rig_cpu_->fault.vector = -1;                                                                     \
        }                                                                                                    \
        (int)vector_;                                                                                        \
    })

#endif
