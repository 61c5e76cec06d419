/* The I/O APIC, against the 82093AA data sheet, with one local APIC behind it to take and end its interrupts.
 */
#include "core/clock.h"
#include "devices/ioapic.h"
#include "devices/lapic.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define MASKED 0x10000u
#define LEVEL  0x8000u
#define RIRR   0x4000u

static struct clock *timebase;
static struct bus *memory;
static struct apic_bus *apics;
static struct lapic *lapic;
static struct intc intc;
static struct ioapic *ioapic;
static unsigned nmi;

static uint64_t now(void *opaque)
{
    (void)opaque;
    return 0;
}

static void on_nmi(void *opaque, int n, bool level)
{
    (void)opaque;
    (void)n;
    nmi += level;
}

static uint32_t get(uint8_t reg)
{
    bus_write(memory, IOAPIC_BASE, reg, 4);
    return bus_read(memory, IOAPIC_BASE + 0x10, 4);
}

static void set(uint8_t reg, uint32_t value)
{
    bus_write(memory, IOAPIC_BASE, reg, 4);
    bus_write(memory, IOAPIC_BASE + 0x10, value, 4);
}

static void set_pin(unsigned pin, uint32_t low)
{
    set(0x10 + 2 * pin, low);
}

static uint32_t get_pin(unsigned pin)
{
    return get(0x10 + 2 * pin);
}

static void drive(unsigned pin, bool level)
{
    struct irq irq = ioapic_input(ioapic, pin);

    irq_set(&irq, level);
}

static int ack(void)
{
    return intc.ops->acknowledge(intc.opaque);
}

static void eoi(void)
{
    lapic_mmio_write(lapic, 0xB0, 0, 4);
}

static void setup(void)
{
    struct clock_source source = {.now = now};
    struct lapic_wires wires = {.nmi = {on_nmi, NULL, 0}};

    nmi = 0;
    timebase = clock_new(&source);
    memory = bus_new("memory", 1ull << 40, NULL);
    apics = apic_bus_new();
    lapic = lapic_new(timebase, apics, 0, 40, &wires, NULL);
    intc = lapic_intc(lapic);
    lapic_mmio_write(lapic, 0xF0, 0x1FF, 4);
    ioapic = ioapic_new(memory, apics, NULL);
}

static void teardown(void)
{
    ioapic_class.free(ioapic);
    lapic_class.free(lapic);
    apic_bus_free(apics);
    bus_free(memory);
    clock_free(timebase);
}

START_TEST(registers)
{
    ck_assert_uint_eq(get(1), 0x00170020); /* 24 pins */
    for (unsigned pin = 0; pin < 24; pin++) {
        ck_assert_uint_eq(get(0x10 + 2 * pin), MASKED);
        ck_assert_uint_eq(get(0x11 + 2 * pin), 0);
    }
    set(0, 0xFFFFFFFF);
    ck_assert_uint_eq(get(0), 0x0F000000);
    ck_assert_uint_eq(get(2), 0x0F000000);
    set(1, 0);
    ck_assert_uint_eq(get(1), 0x00170020);
    set(0x3F, 0xFFFFFFFF);
    ck_assert_uint_eq(get(0x3F), 0xFF000000);
    set(0x3E, 0xFFFFFFFF);
    ck_assert_uint_eq(get(0x3E), 0x0001AFFF); /* status and remote IRR are read only */
    ck_assert_uint_eq(get(0x40), 0);
    set(0x40, 5);
    bus_write(memory, IOAPIC_BASE, 0x01, 1);
    ck_assert_uint_eq(bus_read(memory, IOAPIC_BASE, 4), 1);
    ck_assert_uint_eq(bus_read(memory, IOAPIC_BASE + 0x12, 1), 0x17);
}
END_TEST

START_TEST(edges)
{
    drive(4, true);
    drive(4, false); /* masked: lost */
    set_pin(4, 0x34);
    ck_assert_int_eq(ack(), -1);
    drive(4, true);
    drive(4, true); /* no new edge */
    ck_assert_int_eq(ack(), 0x34);
    ck_assert_int_eq(ack(), -1);
    eoi();
    ck_assert_int_eq(ack(), -1);
    drive(4, false);
    drive(4, true);
    ck_assert_int_eq(ack(), 0x34);
    ck_assert_uint_eq(get_pin(4), 0x34); /* edges have no remote IRR */
}
END_TEST

START_TEST(levels)
{
    set_pin(9, LEVEL | 0x49);
    drive(9, true);
    ck_assert_uint_eq(get_pin(9), RIRR | LEVEL | 0x49);
    ck_assert_int_eq(ack(), 0x49);
    ck_assert_int_eq(ack(), -1);
    eoi(); /* still high: comes again */
    ck_assert_int_eq(ack(), 0x49);
    drive(9, false);
    drive(9, true); /* not while its EOI is awaited */
    drive(9, false);
    ck_assert_uint_eq(get_pin(9), RIRR | LEVEL | 0x49);
    eoi();
    ck_assert_uint_eq(get_pin(9), LEVEL | 0x49);
    ck_assert_int_eq(ack(), -1);

    set_pin(9, MASKED | LEVEL | 0x49);
    drive(9, true);
    ck_assert_int_eq(ack(), -1);
    set_pin(9, LEVEL | 0x49); /* unmasked while high */
    ck_assert_int_eq(ack(), 0x49);
}
END_TEST

START_TEST(shared_vector_and_eoi_register)
{
    set_pin(10, LEVEL | 0x55);
    set_pin(11, LEVEL | 0x55);
    drive(10, true);
    drive(11, true);
    ck_assert_int_eq(ack(), 0x55);
    drive(10, false);
    eoi(); /* ends both, and pin 11 asks again */
    ck_assert_uint_eq(get_pin(10), LEVEL | 0x55);
    ck_assert_uint_eq(get_pin(11), RIRR | LEVEL | 0x55);
    drive(11, false);
    bus_write(memory, IOAPIC_BASE + 0x40, 0x54, 4);
    ck_assert_uint_eq(get_pin(11), RIRR | LEVEL | 0x55);
    bus_write(memory, IOAPIC_BASE + 0x40, 0x55, 4);
    ck_assert_uint_eq(get_pin(11), LEVEL | 0x55);
}
END_TEST

START_TEST(going_to_edge_drops_remote_irr)
{
    set_pin(10, LEVEL | 0x55);
    drive(10, true);
    ck_assert(get_pin(10) & RIRR);
    set_pin(10, MASKED | 0x55);
    ck_assert_uint_eq(get_pin(10), MASKED | 0x55);
    set_pin(10, MASKED | LEVEL | 0x55);
    ck_assert_uint_eq(get_pin(10), MASKED | LEVEL | 0x55);
}
END_TEST

/* Without a taker there is nothing to wait the EOI of. */
START_TEST(nobody_takes_it)
{
    set(0x11 + 2 * 12, 7u << 24);
    set_pin(12, LEVEL | 0x60);
    drive(12, true);
    ck_assert_uint_eq(get_pin(12), LEVEL | 0x60);
    set(0x11 + 2 * 12, 0);
    ck_assert_int_eq(ack(), 0x60);
}
END_TEST

START_TEST(destinations_and_modes)
{
    set(0x11 + 2 * 3, 0xFFu << 24);
    set_pin(3, 0x61); /* physical broadcast */
    drive(3, true);
    ck_assert_int_eq(ack(), 0x61);
    eoi();
    lapic_mmio_write(lapic, 0xD0, 0x04000000, 4);
    set(0x11 + 2 * 5, 0x04u << 24);
    set_pin(5, 0x962); /* logical, lowest priority */
    drive(5, true);
    ck_assert_int_eq(ack(), 0x62);
    set_pin(6, 0x400);
    drive(6, true);
    ck_assert_uint_eq(nmi, 1);
    set_pin(7, 0x363); /* reserved mode */
    drive(7, true);
    ck_assert_int_eq(ack(), -1);
    ck_assert_ptr_null(ioapic_input(ioapic, 24).fn);
}
END_TEST

START_TEST(state_travels)
{
    struct state_buf buf = {0};
    char why[128];

    set_pin(9, LEVEL | 0x49);
    drive(9, true);
    ck_assert(fields_save(ioapic_class.state, ioapic, &buf));
    ioapic_class.reset(ioapic);
    ck_assert_uint_eq(get_pin(9), MASKED);
    ck_assert_uint_gt(fields_load(ioapic_class.state, ioapic, buf.data, buf.size, why, sizeof(why)), 0);
    ck_assert_uint_eq(get_pin(9), RIRR | LEVEL | 0x49);
    free(buf.data);
}
END_TEST

/* Whatever the guest programs: a level pin that waits for its EOI always gets rid of it. */
START_TEST(random_accesses)
{
    uint64_t seed = 7;

    for (unsigned i = 0; i < 200000; i++) {
        uint32_t a, b;

        seed = seed * 6364136223846793005u + 1442695040888963407u;
        a = seed >> 32;
        b = seed >> 16;
        switch (a % 6) {
        case 0:
            bus_write(memory, IOAPIC_BASE + (a >> 8 & 0x7F), b, 1u << (a >> 16 & 3));
            break;
        case 1:
            bus_read(memory, IOAPIC_BASE + (a >> 8 & 0xFFF), 1u << (a >> 20 & 3));
            break;
        case 2:
            set(a >> 8, b & ~MASKED);
            break;
        case 3:
        case 4:
            drive((a >> 8) % 24, b & 1);
            break;
        default:
            ack();
            eoi();
        }
    }
    for (unsigned vector = 0; vector < 256; vector++)
        for (unsigned pin = 0; pin < 24; pin++) {
            drive(pin, false);
            bus_write(memory, IOAPIC_BASE + 0x40, vector, 4);
        }
    for (unsigned pin = 0; pin < 24; pin++)
        ck_assert_uint_eq(get_pin(pin) & RIRR, 0);
}
END_TEST

Suite *ioapic_suite(void)
{
    Suite *suite = suite_create("ioapic");
    TCase *tcase = tcase_create("ioapic");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, registers);
    tcase_add_test(tcase, edges);
    tcase_add_test(tcase, levels);
    tcase_add_test(tcase, shared_vector_and_eoi_register);
    tcase_add_test(tcase, going_to_edge_drops_remote_irr);
    tcase_add_test(tcase, nobody_takes_it);
    tcase_add_test(tcase, destinations_and_modes);
    tcase_add_test(tcase, state_travels);
    tcase_add_test(tcase, random_accesses);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return suite;
}
