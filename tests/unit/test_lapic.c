/* The local APIC, against SDM 3A chapter 10: two of them on a bus, with a clock whose hands the test turns.
 */
#include "core/clock.h"
#include "devices/lapic.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* Register offsets in the page. */
#define ID      0x020
#define VERSION 0x030
#define TPR     0x080
#define APR     0x090
#define PPR     0x0A0
#define EOI     0x0B0
#define LDR     0x0D0
#define DFR     0x0E0
#define SVR     0x0F0
#define ISR     0x100
#define TMR     0x180
#define IRR     0x200
#define ESR     0x280
#define ICR     0x300
#define ICRH    0x310
#define LVTT    0x320
#define LINT0   0x350
#define LINT1   0x360
#define LVTERR  0x370
#define INITIAL 0x380
#define CURRENT 0x390
#define DIVIDE  0x3E0

#define BASE_MSR_XAPIC  (LAPIC_BASE | 1u << 11 | 1u << 8)
#define BASE_MSR_X2APIC (BASE_MSR_XAPIC | 1u << 10)

struct package {
    struct lapic *lapic;
    struct intc intc;
    bool intr, moved_enabled;
    unsigned intr_changes, nmi, smi, init, sipi, extint;
    uint8_t sipi_vector;
    uint64_t moved_base;
};

static uint64_t hands;
static struct clock *timebase;
static struct apic_bus *bus;
static struct package cpu[2];
static unsigned eois;
static uint8_t eoi_vector;

static uint64_t now(void *opaque)
{
    return *(uint64_t *)opaque;
}

static void on_intr(void *opaque, int n, bool level)
{
    struct package *p = opaque;

    (void)n;
    p->intr = level;
    p->intr_changes++;
}

static void on_pulse(void *opaque, int n, bool level)
{
    struct package *p = opaque;
    unsigned *counts[] = {&p->nmi, &p->smi, &p->init};

    *counts[n] += level;
}

static void on_sipi(void *opaque, uint8_t vector)
{
    struct package *p = opaque;

    p->sipi++;
    p->sipi_vector = vector;
}

static int on_extint(void *opaque)
{
    ((struct package *)opaque)->extint++;
    return 0x0F;
}

static void on_moved(void *opaque, uint64_t base, bool enabled)
{
    struct package *p = opaque;

    p->moved_base = base;
    p->moved_enabled = enabled;
}

static void on_eoi(void *opaque, uint8_t vector)
{
    (void)opaque;
    eois++;
    eoi_vector = vector;
}

static uint32_t get(unsigned n, unsigned offset)
{
    return lapic_mmio_read(cpu[n].lapic, offset, 4);
}

static void set(unsigned n, unsigned offset, uint32_t value)
{
    lapic_mmio_write(cpu[n].lapic, offset, value, 4);
}

static int ack(unsigned n)
{
    return cpu[n].intc.ops->acknowledge(cpu[n].intc.opaque);
}

static bool rdmsr(unsigned n, uint32_t index, uint64_t *value)
{
    return cpu[n].intc.ops->read_msr(cpu[n].intc.opaque, index, value);
}

static bool wrmsr(unsigned n, uint32_t index, uint64_t value)
{
    return cpu[n].intc.ops->write_msr(cpu[n].intc.opaque, index, value);
}

static bool set_base(unsigned n, uint64_t value)
{
    return cpu[n].intc.ops->set_base(cpu[n].intc.opaque, value);
}

static void advance(uint64_t ns)
{
    hands += ns;
    clock_run(timebase);
}

static bool bit(unsigned n, unsigned set_offset, unsigned vector)
{
    return get(n, set_offset + vector / 32 * 16) >> vector % 32 & 1;
}

static void send_fixed(unsigned n, uint8_t vector, bool level)
{
    struct apic_message message = {.dest = n, .mode = APIC_FIXED, .vector = vector, .level = level};

    ck_assert(apic_bus_send(bus, &message));
}

static void setup(void)
{
    struct clock_source source = {.now = now, .opaque = &hands};

    hands = 0;
    eois = 0;
    memset(cpu, 0, sizeof(cpu));
    timebase = clock_new(&source);
    clock_start(timebase);
    bus = apic_bus_new();
    apic_bus_on_eoi(bus, on_eoi, NULL);
    for (int n = 0; n < 2; n++) {
        struct lapic_wires wires = {
            .intr = {on_intr, &cpu[n], 0},
            .nmi = {on_pulse, &cpu[n], 0},
            .smi = {on_pulse, &cpu[n], 1},
            .init = {on_pulse, &cpu[n], 2},
            .sipi = on_sipi,
            .sipi_opaque = &cpu[n],
            .extint = on_extint,
            .extint_opaque = &cpu[n],
            .moved = on_moved,
            .moved_opaque = &cpu[n],
        };
        cpu[n].lapic = lapic_new(timebase, bus, n, 40, &wires, NULL);
        cpu[n].intc = lapic_intc(cpu[n].lapic);
    }
}

static void setup_enabled(void)
{
    setup();
    for (int n = 0; n < 2; n++)
        set(n, SVR, 0x1FF);
}

static void teardown(void)
{
    for (int n = 0; n < 2; n++)
        lapic_class.free(cpu[n].lapic);
    apic_bus_free(bus);
    clock_free(timebase);
}

START_TEST(reset_state)
{
    ck_assert_uint_eq(get(0, ID), 0);
    ck_assert_uint_eq(get(1, ID), 0x01000000);
    ck_assert_uint_eq(get(0, VERSION), 0x50014);
    ck_assert_uint_eq(get(0, SVR), 0xFF);
    ck_assert_uint_eq(get(0, DFR), 0xFFFFFFFF);
    ck_assert_uint_eq(get(0, LDR), 0);
    ck_assert_uint_eq(get(0, TPR), 0);
    for (unsigned offset = LVTT; offset <= LVTERR; offset += 16)
        ck_assert_uint_eq(get(0, offset), 0x10000);
    ck_assert_uint_eq(cpu[0].intc.ops->get_base(cpu[0].lapic), 0xFEE00900);
    ck_assert_uint_eq(cpu[1].intc.ops->get_base(cpu[1].lapic), 0xFEE00800);
    ck_assert(cpu[0].moved_enabled);
    ck_assert_uint_eq(cpu[0].moved_base, 0xFEE00000);
}
END_TEST

/* 10.8.3, 10.8.4: one vector a bit, class by class, PPR as the higher of TPR and what is in service. */
START_TEST(priorities)
{
    send_fixed(0, 0x41, false);
    ck_assert(cpu[0].intr);
    ck_assert(bit(0, IRR, 0x41));
    ck_assert_int_eq(ack(0), 0x41);
    ck_assert(!bit(0, IRR, 0x41));
    ck_assert(bit(0, ISR, 0x41));
    ck_assert_uint_eq(get(0, PPR), 0x40);
    ck_assert(!cpu[0].intr);

    send_fixed(0, 0x4F, false); /* same class: waits */
    ck_assert(!cpu[0].intr);
    send_fixed(0, 0x50, false); /* higher: nests */
    ck_assert(cpu[0].intr);
    ck_assert_int_eq(ack(0), 0x50);
    set(0, EOI, 0);
    ck_assert(!bit(0, ISR, 0x50));
    ck_assert(bit(0, ISR, 0x41));
    ck_assert(!cpu[0].intr);
    set(0, EOI, 0);
    ck_assert(cpu[0].intr);
    ck_assert_int_eq(ack(0), 0x4F);

    set(0, TPR, 0x45);
    ck_assert_uint_eq(get(0, PPR), 0x45); /* TPR's class equals the one in service: TPR whole */
    set(0, TPR, 0x3F);
    ck_assert_uint_eq(get(0, PPR), 0x40);
    set(0, EOI, 0);
    set(0, EOI, 0); /* nothing in service: no effect */
    ck_assert_uint_eq(get(0, PPR), 0x3F);
    ck_assert_uint_eq(eois, 0);
}
END_TEST

START_TEST(spurious)
{
    ck_assert_int_eq(ack(0), -1);
    set(0, SVR, 0x1EE);
    send_fixed(0, 0x55, false);
    set(0, TPR, 0x50);
    ck_assert(!cpu[0].intr);
    ck_assert_int_eq(ack(0), 0xEE);
    ck_assert(!bit(0, ISR, 0xEE));
    ck_assert(bit(0, IRR, 0x55));
    cpu[0].intc.ops->set_cr8(cpu[0].lapic, 4);
    ck_assert_uint_eq(get(0, TPR), 0x40);
    ck_assert_uint_eq(cpu[0].intc.ops->get_cr8(cpu[0].lapic), 4);
    ck_assert(cpu[0].intr);
    ck_assert_int_eq(ack(0), 0x55);
}
END_TEST

START_TEST(level_eoi_is_broadcast)
{
    send_fixed(0, 0x61, true);
    ck_assert(bit(0, TMR, 0x61));
    ck_assert_int_eq(ack(0), 0x61);
    set(0, EOI, 0);
    ck_assert_uint_eq(eois, 1);
    ck_assert_uint_eq(eoi_vector, 0x61);
    send_fixed(0, 0x61, false);
    ck_assert(!bit(0, TMR, 0x61));
    ack(0);
    set(0, EOI, 0);
    ck_assert_uint_eq(eois, 1);
}
END_TEST

/* 10.4.7.2 */
START_TEST(software_disable)
{
    struct apic_message message = {.dest = 0, .mode = APIC_FIXED, .vector = 0x33};

    set(0, LINT1, 0x400);
    ck_assert_uint_eq(get(0, LINT1), 0x400);
    send_fixed(0, 0x32, false);
    set(0, SVR, 0xFF);
    ck_assert_uint_eq(get(0, LINT1), 0x10400);
    set(0, LINT1, 0x400); /* the mask can't be cleared */
    ck_assert_uint_eq(get(0, LINT1), 0x10400);
    ck_assert(!apic_bus_send(bus, &message));
    ck_assert(!bit(0, IRR, 0x33));
    ck_assert_int_eq(ack(0), 0x32); /* held, not lost */
    message.mode = APIC_NMI;
    ck_assert(apic_bus_send(bus, &message));
    ck_assert_uint_eq(cpu[0].nmi, 1);
}
END_TEST

START_TEST(errors)
{
    struct apic_message message = {.dest = 0, .mode = APIC_FIXED, .vector = 0x0F};

    set(0, LVTERR, 0xFE);
    apic_bus_send(bus, &message);
    ck_assert_uint_eq(get(0, ESR), 0); /* shown by the next write */
    ck_assert_int_eq(ack(0), 0xFE);
    set(0, EOI, 0);
    set(0, ESR, 0);
    ck_assert_uint_eq(get(0, ESR), 1u << 6);
    set(0, ESR, 0);
    ck_assert_uint_eq(get(0, ESR), 0);
    set(0, ICR, 0x4 | 1u << 18); /* self, vector 4 */
    set(0, ESR, 0);
    ck_assert_uint_eq(get(0, ESR), 1u << 5);
    get(0, 0x040);
    set(0, ESR, 0);
    ck_assert_uint_eq(get(0, ESR), 1u << 7);
    set(0, LVTERR, 0x05); /* an error vector that is itself illegal must not loop */
    set(0, 0x3F0, 0);
    set(0, ESR, 0);
    ck_assert_uint_eq(get(0, ESR), 1u << 7 | 1u << 6);
}
END_TEST

START_TEST(logical_destinations)
{
    struct apic_message message = {.dest = 0x02, .logical = true, .mode = APIC_FIXED, .vector = 0x70};

    set(0, LDR, 0x01000000);
    set(1, LDR, 0x02FFFFFF);
    ck_assert_uint_eq(get(1, LDR), 0x02000000);
    ck_assert(apic_bus_send(bus, &message));
    ck_assert(!cpu[0].intr && cpu[1].intr);
    message.dest = 0xFF;
    message.vector = 0x71;
    apic_bus_send(bus, &message);
    ck_assert(bit(0, IRR, 0x71) && bit(1, IRR, 0x71));

    for (int n = 0; n < 2; n++) {
        set(n, DFR, 0);
        ck_assert_uint_eq(get(n, DFR), 0x0FFFFFFF);
        set(n, LDR, (n ? 0x21u : 0x11u) << 24);
    }
    message.vector = 0x72;
    message.dest = 0x21; /* cluster 2, member 0 */
    apic_bus_send(bus, &message);
    ck_assert(!bit(0, IRR, 0x72) && bit(1, IRR, 0x72));
    message.vector = 0x73;
    message.dest = 0xF1; /* member 0 of all clusters */
    apic_bus_send(bus, &message);
    ck_assert(bit(0, IRR, 0x73) && bit(1, IRR, 0x73));
    message.dest = 0x31;
    ck_assert(!apic_bus_send(bus, &message));
}
END_TEST

START_TEST(lowest_priority)
{
    struct apic_message message = {.dest = 3, .logical = true, .mode = APIC_LOWEST, .vector = 0x80};

    set(0, LDR, 1u << 24);
    set(1, LDR, 2u << 24);
    set(0, TPR, 0x20);
    ck_assert_uint_eq(get(0, APR), 0x20);
    apic_bus_send(bus, &message);
    ck_assert(!bit(0, IRR, 0x80) && bit(1, IRR, 0x80));
    ck_assert_uint_eq(get(1, APR), 0x80);
    message.vector = 0x81;
    apic_bus_send(bus, &message);
    ck_assert(bit(0, IRR, 0x81) && !bit(1, IRR, 0x81));
    set(1, SVR, 0xFF); /* disabled ones don't take part */
    set(0, TPR, 0xF0);
    message.vector = 0x82;
    ck_assert(apic_bus_send(bus, &message));
    ck_assert(bit(0, IRR, 0x82));
}
END_TEST

START_TEST(ipis)
{
    set(0, ICRH, 1u << 24);
    set(0, ICR, 0x4500); /* INIT, assert */
    ck_assert_uint_eq(cpu[1].init, 1);
    ck_assert_uint_eq(get(1, SVR), 0xFF);
    set(0, ICR, 0x8500); /* INIT level de-assert: nothing */
    ck_assert_uint_eq(cpu[1].init, 1);
    set(0, ICR, 0x4608);
    ck_assert_uint_eq(cpu[1].sipi, 1);
    ck_assert_uint_eq(cpu[1].sipi_vector, 0x08);
    ck_assert_uint_eq(cpu[0].sipi, 0);
    ck_assert_uint_eq(get(0, ICR), 0x4608); /* idle */
    ck_assert_uint_eq(get(0, ICRH), 1u << 24);

    set(1, SVR, 0x1FF);
    set(0, ICR, 0x44000 | 0x90); /* self */
    ck_assert(bit(0, IRR, 0x90) && !bit(1, IRR, 0x90));
    set(0, ICR, 0x84000 | 0x91); /* all */
    ck_assert(bit(0, IRR, 0x91) && bit(1, IRR, 0x91));
    set(0, ICR, 0xC4000 | 0x92); /* all but self */
    ck_assert(!bit(0, IRR, 0x92) && bit(1, IRR, 0x92));
    set(0, ICR, 0xC4400); /* NMI to the others */
    ck_assert(cpu[0].nmi == 0 && cpu[1].nmi == 1);
    set(0, ICR, 0xC4200);
    ck_assert(cpu[0].smi == 0 && cpu[1].smi == 1);
    set(0, ICRH, 0xFF000000); /* physical broadcast */
    set(0, ICR, 0x4093);
    ck_assert(bit(0, IRR, 0x93) && bit(1, IRR, 0x93));
}
END_TEST

START_TEST(message_signalled)
{
    ck_assert(apic_bus_msi(bus, 0xFEE01000, 0x4034));
    ck_assert(!bit(0, IRR, 0x34) && bit(1, IRR, 0x34));
    ck_assert(apic_bus_msi(bus, 0xFEEFF000, 0x35));
    ck_assert(bit(0, IRR, 0x35) && bit(1, IRR, 0x35));
    set(0, LDR, 1u << 24);
    set(1, LDR, 2u << 24);
    ck_assert(apic_bus_msi(bus, 0xFEE0300C, 0x36)); /* logical, redirectable: one of both */
    ck_assert(bit(0, IRR, 0x36) != bit(1, IRR, 0x36));
    ck_assert(apic_bus_msi(bus, 0xFEE00000, 0xC037));
    ck_assert(bit(0, TMR, 0x37));
    ck_assert(!apic_bus_msi(bus, 0xFEE09000, 0x38));
}
END_TEST

START_TEST(virtual_wire)
{
    struct irq lint0 = lapic_lint(cpu[0].lapic, 0), lint1 = lapic_lint(cpu[0].lapic, 1);

    irq_set(&lint0, true);
    ck_assert(!cpu[0].intr); /* masked after reset */
    lapic_virtual_wire(cpu[0].lapic);
    ck_assert_uint_eq(get(0, LINT0), 0x700);
    ck_assert_uint_eq(get(0, LINT1), 0x400);
    ck_assert(cpu[0].intr);
    ck_assert_int_eq(ack(0), 0x0F); /* below 16 is fine from an 8259, and not in service here */
    ck_assert_uint_eq(cpu[0].extint, 1);
    ck_assert_uint_eq(get(0, PPR), 0);
    set(0, TPR, 0xFF); /* ExtINT passes priorities by */
    ck_assert(cpu[0].intr);
    irq_set(&lint0, false);
    ck_assert(!cpu[0].intr);
    irq_pulse(&lint1);
    ck_assert_uint_eq(cpu[0].nmi, 1);
    set(0, LINT1, 0x10400);
    irq_pulse(&lint1);
    ck_assert_uint_eq(cpu[0].nmi, 1);
}
END_TEST

START_TEST(extint_message)
{
    struct apic_message message = {.dest = 0, .mode = APIC_EXTINT};

    apic_bus_send(bus, &message);
    ck_assert(cpu[0].intr);
    ck_assert_int_eq(ack(0), 0x0F);
    ck_assert(!cpu[0].intr);
}
END_TEST

START_TEST(lint_fixed)
{
    struct irq lint0 = lapic_lint(cpu[0].lapic, 0), lint1 = lapic_lint(cpu[0].lapic, 1);

    set(0, LINT0, 0x8044); /* level */
    irq_set(&lint0, true);
    ck_assert_uint_eq(get(0, LINT0), 0xC044);
    ck_assert_int_eq(ack(0), 0x44);
    set(0, EOI, 0); /* still high: again */
    ck_assert_int_eq(ack(0), 0x44);
    irq_set(&lint0, false);
    set(0, EOI, 0);
    ck_assert(!cpu[0].intr);
    ck_assert_uint_eq(get(0, LINT0), 0x8044);

    set(0, LINT1, 0x8046); /* LINT1 is an edge whatever it says */
    irq_set(&lint1, true);
    ck_assert_int_eq(ack(0), 0x46);
    set(0, EOI, 0);
    ck_assert(!cpu[0].intr);
}
END_TEST

START_TEST(global_disable)
{
    struct irq lint0 = lapic_lint(cpu[0].lapic, 0), lint1 = lapic_lint(cpu[0].lapic, 1);
    struct apic_message message = {.dest = 0, .mode = APIC_NMI};

    set(0, TPR, 0x30);
    ck_assert(set_base(0, LAPIC_BASE | 1u << 8));
    ck_assert(!cpu[0].moved_enabled);
    ck_assert_uint_eq(get(0, VERSION), 0xFFFFFFFF);
    ck_assert(!apic_bus_send(bus, &message));
    irq_set(&lint0, true); /* the pins are INTR and NMI */
    ck_assert(cpu[0].intr);
    ck_assert_int_eq(ack(0), 0x0F);
    irq_set(&lint0, false);
    irq_pulse(&lint1);
    ck_assert_uint_eq(cpu[0].nmi, 1);
    ck_assert(set_base(0, BASE_MSR_XAPIC));
    ck_assert_uint_eq(get(0, TPR), 0);
    ck_assert_uint_eq(get(0, SVR), 0xFF);
}
END_TEST

/* 10.12.5, figure 10-27 */
START_TEST(base_transitions)
{
    uint64_t base = LAPIC_BASE | 1u << 8, en = 1u << 11, extd = 1u << 10;

    ck_assert(!set_base(0, base | extd));   /* invalid state */
    ck_assert(!set_base(0, base | en | 1)); /* reserved bits */
    ck_assert(!set_base(0, base | en | 1u << 9));
    ck_assert(!set_base(0, base | en | 1ull << 40)); /* past MAXPHYADDR */
    ck_assert(set_base(0, base | en | 1ull << 39));
    ck_assert_uint_eq(cpu[0].moved_base, LAPIC_BASE | 1ull << 39);
    ck_assert(set_base(0, base | en | extd));
    ck_assert(!cpu[0].moved_enabled);
    ck_assert(!set_base(0, base | en)); /* not back */
    ck_assert(!set_base(0, base | extd));
    ck_assert(set_base(0, base));
    ck_assert(!set_base(0, base | en | extd)); /* not straight in */
    ck_assert(set_base(0, base | en));
    ck_assert_uint_eq(cpu[0].intc.ops->get_base(cpu[0].lapic), base | en);
}
END_TEST

START_TEST(timer_one_shot)
{
    set(0, LVTT, 0x50);
    set(0, DIVIDE, 0xB); /* by 1 */
    set(0, INITIAL, 1000);
    ck_assert_uint_eq(get(0, CURRENT), 1000);
    advance(300);
    ck_assert_uint_eq(get(0, CURRENT), 700);
    advance(699);
    ck_assert(!cpu[0].intr);
    ck_assert_uint_eq(get(0, CURRENT), 1);
    advance(1);
    ck_assert_uint_eq(get(0, CURRENT), 0);
    ck_assert_int_eq(ack(0), 0x50);
    set(0, EOI, 0);
    advance(100000);
    ck_assert(!cpu[0].intr);
    set(0, INITIAL, 1000);
    set(0, INITIAL, 0); /* stops */
    advance(2000);
    ck_assert(!cpu[0].intr);
    ck_assert_uint_eq(clock_next(timebase), CLOCK_NEVER);
}
END_TEST

START_TEST(timer_dividers)
{
    static const struct {
        uint8_t code, by;
    } row[] = {{0, 2}, {1, 4}, {2, 8}, {3, 16}, {8, 32}, {9, 64}, {10, 128}, {11, 1}};

    set(0, LVTT, 0x10050);
    for (unsigned i = 0; i < 8; i++) {
        set(0, DIVIDE, row[i].code);
        set(0, INITIAL, 0xFFFFFFFF);
        advance(1280);
        ck_assert_uint_eq(get(0, CURRENT), 0xFFFFFFFF - 1280 / row[i].by);
    }
    set(0, DIVIDE, 0);
    set(0, INITIAL, 1000);
    advance(1000); /* 500 ticks */
    set(0, DIVIDE, 0xB);
    ck_assert_uint_eq(get(0, CURRENT), 500);
    advance(100);
    ck_assert_uint_eq(get(0, CURRENT), 400);
}
END_TEST

/* The host comes late every time; the ticks must not shift. */
START_TEST(timer_periodic_without_drift)
{
    unsigned ticks = 0;

    set(0, LVTT, 0x20050);
    set(0, DIVIDE, 0xB);
    set(0, INITIAL, 1000000);
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t next = clock_next(timebase);

        ck_assert_uint_eq(next, (i + 1) * 1000000ull);
        hands = next + 777;
        clock_run(timebase);
        ck_assert_uint_eq(get(0, CURRENT), 1000000 - 777);
        if (ack(0) == 0x50)
            ticks++;
        set(0, EOI, 0);
    }
    ck_assert_uint_eq(ticks, 1000);
    advance(10500000 - 777); /* missed ones merge */
    ck_assert_uint_eq(get(0, CURRENT), 500000);
    ck_assert_uint_eq(clock_next(timebase), 1011000000);
}
END_TEST

START_TEST(timer_fastest_period)
{
    set(0, LVTT, 0x20050);
    set(0, DIVIDE, 0xB);
    set(0, INITIAL, 1);
    advance(10);
    ck_assert(cpu[0].intr);
    ck_assert_uint_eq(clock_next(timebase), hands + 1000); /* the guest can't keep the host busy */
}
END_TEST

START_TEST(timer_tsc_deadline)
{
    const struct intc_ops *ops = cpu[0].intc.ops;

    ops->set_tsc_deadline(cpu[0].lapic, 500, 12345); /* ignored in the other modes */
    ck_assert_uint_eq(ops->get_tsc_deadline(cpu[0].lapic), 0);
    set(0, LVTT, 0x40051);
    set(0, INITIAL, 100); /* ignored in this one */
    ck_assert_uint_eq(get(0, INITIAL), 0);
    ops->set_tsc_deadline(cpu[0].lapic, 500, 12345);
    ck_assert_uint_eq(ops->get_tsc_deadline(cpu[0].lapic), 12345);
    ck_assert_uint_eq(get(0, CURRENT), 0);
    advance(499);
    ck_assert(!cpu[0].intr);
    advance(1);
    ck_assert_int_eq(ack(0), 0x51);
    set(0, EOI, 0);
    ck_assert_uint_eq(ops->get_tsc_deadline(cpu[0].lapic), 0);
    ops->set_tsc_deadline(cpu[0].lapic, 600, 20000);
    ops->set_tsc_deadline(cpu[0].lapic, 0, 0);
    advance(1000);
    ck_assert(!cpu[0].intr);
    ops->set_tsc_deadline(cpu[0].lapic, 5000, 20000);
    set(0, LVTT, 0x51); /* leaving the mode disarms */
    advance(10000);
    ck_assert(!cpu[0].intr);
    set(0, LVTT, 0x40051);
    ops->set_tsc_deadline(cpu[0].lapic, 7, 1); /* already past: at once, before any event is looked at */
    ck_assert(cpu[0].intr);
    ck_assert_uint_eq(ops->get_tsc_deadline(cpu[0].lapic), 0);
    ck_assert_int_eq(ack(0), 0x51);
    set(0, EOI, 0);
    advance(10000);
    ck_assert(!cpu[0].intr); /* and only once */
}
END_TEST

START_TEST(x2apic_registers)
{
    uint64_t value;

    ck_assert(!rdmsr(1, 0x802, &value)); /* not in xAPIC mode */
    ck_assert(set_base(1, LAPIC_BASE | 0xC00));
    ck_assert(rdmsr(1, 0x802, &value) && value == 1);
    ck_assert(rdmsr(1, 0x803, &value) && value == 0x50014);
    ck_assert(rdmsr(1, 0x80D, &value) && value == 2); /* cluster 0, bit 1 */
    ck_assert(!wrmsr(1, 0x80D, 0));
    ck_assert(!wrmsr(1, 0x802, 0));
    ck_assert(!rdmsr(1, 0x80E, &value)); /* no DFR */
    ck_assert(!rdmsr(1, 0x831, &value)); /* no ICR high */
    ck_assert(!rdmsr(1, 0x809, &value)); /* no APR */
    ck_assert(!rdmsr(1, 0x80B, &value)); /* EOI is write only */
    ck_assert(!rdmsr(1, 0x83F, &value)); /* and self IPI */
    ck_assert(!rdmsr(1, 0x82F, &value)); /* no CMCI with five LVT entries above the first */
    ck_assert(!wrmsr(1, 0x80B, 1));
    ck_assert(wrmsr(1, 0x80B, 0));
    ck_assert(!wrmsr(1, 0x828, 1));
    ck_assert(!wrmsr(1, 0x808, 0x100));
    ck_assert(wrmsr(1, 0x808, 0x20));
    ck_assert(!wrmsr(1, 0x80F, 0x2FF));
    ck_assert(wrmsr(1, 0x80F, 0x1FF));
    ck_assert(!wrmsr(1, 0x832, 0x80000));
    ck_assert(!wrmsr(1, 0x832, 1ull << 32));
    ck_assert(wrmsr(1, 0x832, 0x400EC));
    ck_assert(!wrmsr(1, 0x837, 0x400));
    ck_assert(!wrmsr(1, 0x83E, 4));
    ck_assert(!wrmsr(1, 0x810, 0));
    ck_assert(!wrmsr(1, 0x840, 0));
    ck_assert(!rdmsr(1, 0x8FF, &value));
    ck_assert_uint_eq(get(1, VERSION), 0xFFFFFFFF); /* the page is gone */
}
END_TEST

START_TEST(x2apic_ipis)
{
    uint64_t value;

    for (int n = 0; n < 2; n++) {
        ck_assert(set_base(n, (n ? LAPIC_BASE : LAPIC_BASE | 0x100) | 0xC00));
        ck_assert(wrmsr(n, 0x80F, 0x1FF));
    }
    ck_assert(!wrmsr(0, 0x830, 1ull << 32 | 0x2041)); /* bit 13 is reserved */
    ck_assert(wrmsr(0, 0x830, 1ull << 32 | 0x41));
    ck_assert_int_eq(ack(1), 0x41);
    ck_assert(rdmsr(0, 0x830, &value) && value == (1ull << 32 | 0x41));
    ck_assert(wrmsr(0, 0x830, 3ull << 32 | 0x851)); /* logical: both */
    ck_assert_int_eq(ack(0), 0x51);
    ck_assert_int_eq(ack(1), 0x51);
    ck_assert(wrmsr(0, 0x830, 0x10001ull << 32 | 0x861)); /* cluster 1: nobody */
    ck_assert_int_eq(ack(0), -1);
    ck_assert(wrmsr(0, 0x830, 0xFFFFFFFFull << 32 | 0x71));
    ck_assert_int_eq(ack(0), 0x71);
    ck_assert_int_eq(ack(1), 0x71);
    ck_assert(wrmsr(0, 0x83F, 0x81));
    ck_assert_int_eq(ack(0), 0x81);
    ck_assert(rdmsr(0, 0x814, &value) && value == 2);
}
END_TEST

START_TEST(state_travels)
{
    struct state_buf buf = {0}, again = {0};
    char why[128];

    set(0, TPR, 0x20);
    set(0, LVTT, 0x20050);
    set(0, INITIAL, 5000);
    send_fixed(0, 0x77, true);
    ck_assert(fields_save(lapic_class.state, cpu[0].lapic, &buf));
    lapic_class.reset(cpu[0].lapic);
    ck_assert(!cpu[0].intr);
    ck_assert_uint_eq(clock_next(timebase), CLOCK_NEVER);
    ck_assert_uint_gt(fields_load(lapic_class.state, cpu[0].lapic, buf.data, buf.size, why, sizeof(why)), 0);
    lapic_class.loaded(cpu[0].lapic);
    ck_assert(fields_save(lapic_class.state, cpu[0].lapic, &again));
    ck_assert(buf.size == again.size && !memcmp(buf.data, again.data, buf.size));
    ck_assert(cpu[0].intr);
    ck_assert_uint_eq(clock_next(timebase), 10000); /* divided by 2 */
    ck_assert_int_eq(ack(0), 0x77);
    free(buf.data);
    free(again.data);
}
END_TEST

static uint32_t random32(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 32;
}

/* What must hold whatever a guest does: INTR says what acknowledge() will do. The sanitizers see the rest. */
START_TEST(random_accesses)
{
    uint64_t seed = 1, value;

    for (unsigned i = 0; i < 200000; i++) {
        unsigned n = random32(&seed) & 1, offset = random32(&seed) & 0x3FF;
        uint32_t a = random32(&seed), b = random32(&seed);
        struct irq lint = lapic_lint(cpu[n].lapic, a & 1);
        struct apic_message message = {a & 3, b & 1, b & 2, b >> 8 & 7, b >> 16};

        switch (random32(&seed) % 12) {
        case 0 ... 3:
            lapic_mmio_write(cpu[n].lapic, offset & 0x3F0, a, 4);
            break;
        case 4:
            lapic_mmio_write(cpu[n].lapic, offset * 4, a, 1u << (b & 1));
            lapic_mmio_read(cpu[n].lapic, offset * 4 + (b & 3), 1u << (a % 3));
            break;
        case 5:
            wrmsr(n, 0x800 + (offset & 0x4F), a & b & random32(&seed));
            rdmsr(n, 0x800 + (offset & 0xFF), &value);
            break;
        case 6:
            set_base(n, (LAPIC_BASE | (a & 0xC00)) | (uint64_t)(b & 1) << 39);
            break;
        case 7:
            irq_set(&lint, b & 1);
            break;
        case 8:
            apic_bus_send(bus, &message);
            break;
        case 9:
            cpu[n].intc.ops->set_tsc_deadline(cpu[n].lapic, a & 4 ? b : UINT64_MAX - b, a & 3);
            cpu[n].intc.ops->set_cr8(cpu[n].lapic, b);
            break;
        case 10:
            advance(a >> (b & 31));
            break;
        default:
            value = cpu[n].intr;
            ck_assert(ack(n) >= 0 || !value);
        }
    }
}
END_TEST

Suite *lapic_suite(void)
{
    Suite *suite = suite_create("lapic");
    TCase *reset = tcase_create("reset"), *enabled = tcase_create("enabled"), *timer = tcase_create("timer");
    TCase *x2apic = tcase_create("x2apic"), *fuzz = tcase_create("fuzz");

    tcase_add_checked_fixture(reset, setup, teardown);
    tcase_add_test(reset, reset_state);
    tcase_add_test(reset, virtual_wire);
    tcase_add_test(reset, base_transitions);
    suite_add_tcase(suite, reset);
    tcase_add_checked_fixture(enabled, setup_enabled, teardown);
    tcase_add_test(enabled, priorities);
    tcase_add_test(enabled, spurious);
    tcase_add_test(enabled, level_eoi_is_broadcast);
    tcase_add_test(enabled, software_disable);
    tcase_add_test(enabled, errors);
    tcase_add_test(enabled, logical_destinations);
    tcase_add_test(enabled, lowest_priority);
    tcase_add_test(enabled, ipis);
    tcase_add_test(enabled, message_signalled);
    tcase_add_test(enabled, extint_message);
    tcase_add_test(enabled, lint_fixed);
    tcase_add_test(enabled, global_disable);
    tcase_add_test(enabled, state_travels);
    suite_add_tcase(suite, enabled);
    tcase_add_checked_fixture(timer, setup_enabled, teardown);
    tcase_add_test(timer, timer_one_shot);
    tcase_add_test(timer, timer_dividers);
    tcase_add_test(timer, timer_periodic_without_drift);
    tcase_add_test(timer, timer_fastest_period);
    tcase_add_test(timer, timer_tsc_deadline);
    suite_add_tcase(suite, timer);
    tcase_add_checked_fixture(x2apic, setup, teardown);
    tcase_add_test(x2apic, x2apic_registers);
    tcase_add_test(x2apic, x2apic_ipis);
    suite_add_tcase(suite, x2apic);
    tcase_add_checked_fixture(fuzz, setup_enabled, teardown);
    tcase_add_test(fuzz, random_accesses);
    tcase_set_timeout(fuzz, 60);
    suite_add_tcase(suite, fuzz);
    return suite;
}
