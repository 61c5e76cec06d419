/* Interrupt controllers on loan: what an engine gets, what it is told meanwhile, and what the models go on
 * with. */
#include "core/clock.h"
#include "devices/ioapic.h"
#include "devices/lapic.h"
#include "devices/pic.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define PERIODIC (1u << 17)
#define MASKED   0x10000u
#define LEVEL    0x8000u
#define RIRR     0x4000u

static uint64_t time_now;
static struct clock *timebase;
static struct bus *memory, *ports;
static struct apic_bus *apics;
static struct lapic *lapic;
static struct intc intc;
static struct ioapic *ioapic;
static struct pic *pic;
static bool intr;

/* The tenant, and what it was told. */
static uint32_t address, data;
static unsigned messages, lines, changes;
static enum irqchip chip;
static unsigned pin;
static bool high, accepts;

static bool on_message(void *opaque, uint32_t to, uint32_t what)
{
    (void)opaque;
    address = to;
    data = what;
    messages++;
    return accepts;
}

static void on_line(void *opaque, enum irqchip which, unsigned n, bool level)
{
    (void)opaque;
    chip = which;
    pin = n;
    high = level;
    lines++;
}

static void on_change(void *opaque)
{
    (void)opaque;
    changes++;
}

static const struct irqchip_tenant tenant = {NULL, on_message, on_line, on_change};

static uint64_t now(void *opaque)
{
    (void)opaque;
    return time_now;
}

static void on_intr(void *opaque, int n, bool level)
{
    (void)opaque, (void)n;
    intr = level;
}

static int extint(void *opaque)
{
    (void)opaque;
    return pic_acknowledge(pic);
}

static void setup(void)
{
    struct lapic_wires wires = {.intr = {on_intr, NULL, 0}, .extint = extint};
    struct clock_source source = {.now = now};

    time_now = 0;
    messages = lines = changes = 0;
    accepts = true;
    timebase = clock_new(&source);
    clock_start(timebase);
    memory = bus_new("memory", 1ull << 40, NULL);
    ports = bus_new("ports", 1ull << 16, NULL);
    apics = apic_bus_new();
    lapic = lapic_new(timebase, apics, 0, 40, &wires, NULL);
    ioapic = ioapic_new(memory, apics, NULL);
    pic = pic_new(ports, lapic_lint(lapic, 0), NULL);
    intc = lapic_intc(lapic);
    lapic_mmio_write(lapic, 0xF0, 0x1FF, 4);
}

static void teardown(void)
{
    pic_class.free(pic);
    ioapic_class.free(ioapic);
    lapic_class.free(lapic);
    apic_bus_free(apics);
    bus_free(ports);
    bus_free(memory);
    clock_free(timebase);
}

static void ioapic_set(unsigned n, uint64_t entry)
{
    for (unsigned half = 0; half < 2; half++) {
        bus_write(memory, IOAPIC_BASE, 0x10 + 2 * n + half, 4);
        bus_write(memory, IOAPIC_BASE + 0x10, (uint32_t)(entry >> 32 * half), 4);
    }
}

static void drive(struct irq irq, bool level)
{
    irq_set(&irq, level);
}

START_TEST(apic_keeps_its_registers)
{
    struct apic_registers lent, again;

    lapic_mmio_write(lapic, 0x80, 0x20, 4);
    lapic_mmio_write(lapic, 0xD0, 0x03000000, 4);
    lapic_mmio_write(lapic, 0x350, 0x700, 4);
    apic_bus_send(apics, &(struct apic_message){.vector = 0x15});
    apic_bus_send(apics, &(struct apic_message){.vector = 0x71, .level = true});
    ck_assert(intr);
    ck_assert_int_eq(intc.ops->acknowledge(lapic), 0x71);
    intc.ops->lend(lapic, &tenant, &lent);
    ck_assert_uint_eq(lent.tpr, 0x20);
    ck_assert_uint_eq(lent.ldr, 0x03000000);
    ck_assert_uint_eq(lent.svr, 0x1FF);
    ck_assert_uint_eq(lent.lvt[3], 0x700);
    ck_assert_uint_eq(lent.isr[3], 1u << 0x11);
    ck_assert_uint_eq(lent.tmr[3], 1u << 0x11);
    ck_assert_uint_eq(lent.irr[0], 1u << 0x15);
    again = lent;
    again.irr[2] |= 1u << 1; /* came meanwhile: 0x41 */
    again.isr[3] = 0;
    intc.ops->take_back(lapic, &again);
    ck_assert(intr);
    ck_assert_int_eq(intc.ops->acknowledge(lapic), 0x41);
    ck_assert_uint_eq(lapic_mmio_read(lapic, 0x80, 4), 0x20);
    ck_assert_uint_eq(lapic_mmio_read(lapic, 0x200, 4), 1u << 0x15);
}
END_TEST

/* The tenant finds the APICs; nothing becomes pending here. */
START_TEST(messages_go_to_the_tenant)
{
    struct apic_registers lent;

    intc.ops->lend(lapic, &tenant, &lent);
    ck_assert(apic_bus_send(
        apics, &(struct apic_message){.dest = 3, .logical = true, .level = true, .mode = 1, .vector = 0x51}));
    ck_assert_uint_eq(address, 0xFEE03004);
    ck_assert_uint_eq(data, 0xC151);
    ck_assert(apic_bus_msi(apics, 0xFEE00000, 0x62));
    ck_assert_uint_eq(address, 0xFEE00000);
    ck_assert_uint_eq(data, 0x62);
    accepts = false;
    ck_assert(!apic_bus_send(apics, &(struct apic_message){.dest = APIC_BROADCAST, .vector = 0x63}));
    ck_assert_uint_eq(address, 0xFEEFF000);
    ck_assert_uint_eq(messages, 3);
    ck_assert(!apic_bus_send(apics, &(struct apic_message){.dest = 0x100, .vector = 0x63}));
    ck_assert_uint_eq(messages, 3);
    ck_assert(!intr);
    intc.ops->take_back(lapic, &lent);
    ck_assert(apic_bus_send(apics, &(struct apic_message){.vector = 0x64}));
    ck_assert_uint_eq(messages, 3);
    ck_assert(intr);
}
END_TEST

/* The 8259s' line is INTR then, whatever LINT0 says here. */
START_TEST(intr_is_the_8259s)
{
    static const uint8_t words[4] = {0x11, 0x30, 4, 1};
    struct apic_registers lent;

    for (unsigned n = 0; n < 4; n++)
        bus_write(ports, 0x20 + (n != 0), words[n], 1);
    bus_write(ports, 0x21, 0, 1);
    intc.ops->lend(lapic, &tenant, &lent);
    ck_assert(!intr);
    drive(pic_input(pic, 4), true);
    ck_assert(intr);
    ck_assert_int_eq(intc.ops->acknowledge(lapic), 0x34);
    ck_assert(!intr);
}
END_TEST

/* It stands while the tenant has it, and goes on from the count that comes back. */
START_TEST(timer_goes_along)
{
    struct apic_registers lent;

    lapic_mmio_write(lapic, 0x3E0, 11, 4);
    lapic_mmio_write(lapic, 0x320, 0x55, 4);
    lapic_mmio_write(lapic, 0x380, 1000, 4);
    time_now = 400;
    intc.ops->lend(lapic, &tenant, &lent);
    ck_assert_uint_eq(lent.initial, 1000);
    ck_assert_uint_eq(lent.current, 600);
    time_now = 5000;
    clock_run(timebase);
    ck_assert(!intr);
    lent.current = 50;
    intc.ops->take_back(lapic, &lent);
    ck_assert_uint_eq(lapic_mmio_read(lapic, 0x390, 4), 50);
    time_now = 5049;
    clock_run(timebase);
    ck_assert(!intr);
    time_now = 5050;
    clock_run(timebase);
    ck_assert_int_eq(intc.ops->acknowledge(lapic), 0x55);
}
END_TEST

/* One that is due when it is lent has fired: the tenant gets the request, and not the count of 0. */
START_TEST(timer_that_is_due)
{
    struct apic_registers lent;

    lapic_mmio_write(lapic, 0x3E0, 11, 4);
    lapic_mmio_write(lapic, 0x320, 0x55 | PERIODIC, 4);
    lapic_mmio_write(lapic, 0x380, 1000, 4);
    time_now = 1200;
    intc.ops->lend(lapic, &tenant, &lent);
    ck_assert_uint_eq(lent.irr[2], 1u << 0x15);
    ck_assert_uint_eq(lent.current, 800);
    intc.ops->take_back(lapic, &lent);
    time_now = 2000;
    ck_assert_int_eq(intc.ops->acknowledge(lapic), 0x55);
    clock_run(timebase);
    lapic_mmio_write(lapic, 0xB0, 0, 4);
    ck_assert_int_eq(intc.ops->acknowledge(lapic), 0x55);
}
END_TEST

START_TEST(ioapic_lines_and_entries)
{
    struct ioapic_registers lent;

    ioapic_set(5, 0x41 | LEVEL);
    ioapic_set(6, 0x42);
    drive(ioapic_input(ioapic, 5), true);
    ck_assert(intr);
    ioapic_lend(ioapic, &tenant, &lent);
    ck_assert_uint_eq(lent.lines, 1u << 5);
    ck_assert_uint_eq(lent.entry[5], 0x41 | LEVEL | RIRR);
    drive(ioapic_input(ioapic, 5), true); /* it was high */
    ck_assert_uint_eq(lines, 0);
    drive(ioapic_input(ioapic, 6), true);
    ck_assert_uint_eq(lines, 1);
    ck_assert(chip == IRQCHIP_IOAPIC && pin == 6 && high);
    drive(ioapic_input(ioapic, 5), false);
    ck_assert(lines == 2 && pin == 5 && !high);
    lent.entry[5] = 0x41 | LEVEL | MASKED;
    lent.select = 0x1A;
    ioapic_take_back(ioapic, &lent);
    ck_assert_uint_eq(bus_read(memory, IOAPIC_BASE + 0x10, 4), 0x41 | LEVEL | MASKED);
    drive(ioapic_input(ioapic, 6), false);
    ck_assert_uint_eq(lines, 2);
}
END_TEST

START_TEST(ioapic_is_watched)
{
    struct ioapic_registers seen;

    ioapic_watch(ioapic, &tenant);
    ioapic_set(7, 0x43 | LEVEL | MASKED);
    ck_assert_uint_ge(changes, 1);
    ioapic_get_registers(ioapic, &seen);
    ck_assert_uint_eq(seen.entry[7], 0x43 | LEVEL | MASKED);
    changes = 0;
    ioapic_watch(ioapic, NULL);
    ioapic_set(7, MASKED);
    ck_assert_uint_eq(changes, 0);
}
END_TEST

/* In the midst of an initialisation, and with a request behind the cascade. */
START_TEST(pic_registers_and_lines)
{
    static const uint8_t words[2][4] = {{0x11, 0x20, 4, 1}, {0x11, 0x28, 2, 1}};
    struct pic_registers lent[2];

    for (unsigned n = 0; n < 8; n++)
        bus_write(ports, (n & 4 ? 0xA0 : 0x20) + (n % 4 != 0), words[n / 4][n % 4], 1);
    bus_write(ports, 0x21, 0, 1);
    bus_write(ports, 0xA1, 0, 1);
    drive(pic_input(pic, 10), true);
    lapic_mmio_write(lapic, 0x350, 0x700, 4);
    ck_assert(intr);
    pic_lend(pic, &tenant, lent);
    ck_assert(!intr);
    ck_assert_uint_eq(lent[0].base, 0x20);
    ck_assert_uint_eq(lent[1].base, 0x28);
    ck_assert_uint_eq(lent[1].irr, 1 << 2);
    ck_assert_uint_eq(lent[1].line, 1 << 2);
    ck_assert_uint_eq(lent[1].step, 0);
    drive(pic_input(pic, 3), true);
    ck_assert(lines == 1 && chip == IRQCHIP_PIC && pin == 3 && high);
    drive(pic_input(pic, 3), true);
    ck_assert_uint_eq(lines, 1);
    lent[0].irr = 1 << 3; /* as it came in there */
    pic_take_back(pic, lent);
    ck_assert(intr);
    ck_assert_int_eq(pic_acknowledge(pic), 0x2A);
    bus_write(ports, 0xA0, 0x20, 1);
    bus_write(ports, 0x20, 0x20, 1);
    ck_assert_int_eq(pic_acknowledge(pic), 0x23);
    bus_write(ports, 0x20, 0x11, 1);
    pic_lend(pic, &tenant, lent);
    ck_assert_uint_eq(lent[0].step, 2);
    lent[0].step = 4; /* ICW2 and ICW3 went there */
    lent[0].base = 0x50;
    lent[0].icw4_follows = true;
    pic_take_back(pic, lent);
    bus_write(ports, 0x21, 3, 1); /* ICW4: ends by itself */
    bus_write(ports, 0x21, 0xF7, 1);
    ck_assert_uint_eq(bus_read(ports, 0x21, 1), 0xF7);
    drive(pic_input(pic, 3), false);
    drive(pic_input(pic, 3), true);
    ck_assert_int_eq(pic_acknowledge(pic), 0x53);
}
END_TEST

Suite *irqchip_loan_suite(void);
Suite *irqchip_loan_suite(void)
{
    Suite *suite = suite_create("irqchip_loan");
    TCase *tc = tcase_create("loan");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, apic_keeps_its_registers);
    tcase_add_test(tc, messages_go_to_the_tenant);
    tcase_add_test(tc, intr_is_the_8259s);
    tcase_add_test(tc, timer_goes_along);
    tcase_add_test(tc, timer_that_is_due);
    tcase_add_test(tc, ioapic_lines_and_entries);
    tcase_add_test(tc, ioapic_is_watched);
    tcase_add_test(tc, pic_registers_and_lines);
    suite_add_tcase(suite, tc);
    return suite;
}
