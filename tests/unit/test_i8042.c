/* The keyboard controller without keyboard, system control port A, and the debug ports. */
#include "devices/debug_port.h"
#include "devices/i8042.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct bus *ports;
static struct i8042 *kbc;
static struct debug_port *debug;
static bool irq1, irq12, a20;
static unsigned resets;
static char text[2][16];
static size_t length[2];

static void on_wire(void *opaque, int n, bool level)
{
    (void)opaque;
    switch (n) {
    case 0:
        irq1 = level;
        break;
    case 1:
        irq12 = level;
        break;
    case 2:
        resets += level;
        break;
    default:
        a20 = level;
    }
}

static void collect(int which, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        text[which][length[which]++ % 15] = data[i];
}

static void write_console(struct chardev *chr, const uint8_t *data, size_t size)
{
    (void)chr;
    collect(0, data, size);
}

static void write_firmware(struct chardev *chr, const uint8_t *data, size_t size)
{
    (void)chr;
    collect(1, data, size);
}

static struct chardev console = {.write = write_console}, firmware = {.write = write_firmware};

static void setup(void)
{
    struct i8042_wires wires = {.irq_keyboard = {on_wire, NULL, 0},
                                .irq_mouse = {on_wire, NULL, 1},
                                .reset = {on_wire, NULL, 2},
                                .a20 = {on_wire, NULL, 3}};
    struct debug_port_wires debug_wires = {.console = &console, .firmware = &firmware};

    resets = 0;
    irq1 = irq12 = a20 = false;
    memset(text, 0, sizeof(text));
    memset(length, 0, sizeof(length));
    ports = bus_new("ports", 0x10000, NULL);
    kbc = i8042_new(ports, &wires, NULL);
    debug = debug_port_new(ports, &debug_wires);
}

static void teardown(void)
{
    i8042_class.free(kbc);
    debug_port_class.free(debug);
    bus_free(ports);
}

static void command(uint8_t value)
{
    bus_write(ports, 0x64, value, 1);
}

static void data(uint8_t value)
{
    bus_write(ports, 0x60, value, 1);
}

static uint8_t status(void)
{
    return bus_read(ports, 0x64, 1);
}

/* The answer, -1 when there is none. */
static int answer(void)
{
    return status() & 1 ? (int)bus_read(ports, 0x60, 1) : -1;
}

START_TEST(controller_commands)
{
    ck_assert_int_eq(answer(), -1);
    command(0xAA);
    ck_assert_uint_eq(status() & 0x0D, 0x0D); /* full, system flag, last was a command */
    ck_assert_int_eq(answer(), 0x55);
    ck_assert_int_eq(answer(), -1);
    command(0xAB);
    ck_assert_int_eq(answer(), 0);
    command(0xA9);
    ck_assert_int_eq(answer(), 0);
    command(0x60);
    data(0x47);
    ck_assert_uint_eq(status() & 0x08, 0);
    command(0x20);
    ck_assert_int_eq(answer(), 0x47);
    command(0xA7);
    command(0xAD);
    command(0x20);
    ck_assert_int_eq(answer(), 0x77);
    command(0xA8);
    command(0xAE);
    command(0x20);
    ck_assert_int_eq(answer(), 0x47);
    command(0x7F);
    data(0x99);
    command(0x3F);
    ck_assert_int_eq(answer(), 0x99);
}
END_TEST

START_TEST(nothing_plugged_in)
{
    command(0x60);
    data(0x03);                               /* both interrupts on */
    data(0xFF);                               /* keyboard reset */
    ck_assert_uint_eq(status() & 0x61, 0x41); /* time-out, keyboard */
    ck_assert(irq1 && !irq12);
    ck_assert_int_eq(answer(), 0xFE);
    ck_assert(!irq1);
    ck_assert_uint_eq(status() & 0x61, 0);
    command(0xD4);
    data(0xF2);
    ck_assert_uint_eq(status() & 0x61, 0x61);
    ck_assert(!irq1 && irq12);
    ck_assert_int_eq(answer(), 0xFE);
    ck_assert_int_eq(answer(), -1);
    command(0xD3); /* loop-back works */
    data(0x5A);
    ck_assert_uint_eq(status() & 0x61, 0x21);
    ck_assert_int_eq(answer(), 0x5A);
}
END_TEST

START_TEST(reset_and_a20)
{
    ck_assert(a20); /* after reset the CPU fetches from the top */
    command(0xD0);
    ck_assert_int_eq(answer() & 3, 3);
    command(0xD1);
    data(0xDD);
    ck_assert(!a20);
    bus_write(ports, 0x92, 0x02, 1);
    ck_assert(a20);
    ck_assert_uint_eq(bus_read(ports, 0x92, 1), 0x02);
    bus_write(ports, 0x92, 0x00, 1);
    ck_assert(!a20);
    command(0xDF);
    ck_assert(a20);
    command(0xDD);
    ck_assert(!a20);
    ck_assert_uint_eq(resets, 0);
    command(0xFF); /* pulses nothing */
    ck_assert_uint_eq(resets, 0);
    command(0xFE);
    ck_assert_uint_eq(resets, 1);
    command(0xD1);
    data(0x02);
    ck_assert_uint_eq(resets, 2);
    bus_write(ports, 0x92, 0x01, 1);
    ck_assert_uint_eq(resets, 3);
    bus_write(ports, 0x92, 0x01, 1); /* no rising edge */
    ck_assert_uint_eq(resets, 3);
    i8042_class.reset(kbc);
    ck_assert(a20);
}
END_TEST

START_TEST(debug_ports)
{
    bus_write(ports, 0xE9, 'o', 1);
    bus_write(ports, 0xE9, 'x', 1);
    bus_write(ports, 0x402, 'f', 1);
    ck_assert_str_eq(text[0], "ox");
    ck_assert_str_eq(text[1], "f");
    ck_assert_uint_eq(bus_read(ports, 0xE9, 1), 0xE9);
    ck_assert_uint_eq(bus_read(ports, 0x402, 1), 0xE9);
}
END_TEST

START_TEST(debug_ports_unwired)
{
    struct debug_port_wires none = {0};
    struct bus *bare = bus_new("bare", 0x10000, NULL);
    struct debug_port *port = debug_port_new(bare, &none);

    bus_write(bare, 0xE9, 'x', 1);
    bus_write(bare, 0x402, 'x', 1);
    ck_assert_uint_eq(bus_read(bare, 0xE9, 1), 0xE9);
    debug_port_class.free(port);
    bus_free(bare);
}
END_TEST

/* An interrupt line is up only while there is something to read. */
START_TEST(random_accesses)
{
    static const uint16_t port[] = {0x60, 0x64, 0x64, 0x60, 0x92, 0xE9, 0x402, 0xF4};
    uint64_t seed = 5;

    for (unsigned i = 0; i < 100000; i++) {
        uint32_t a;

        seed = seed * 6364136223846793005u + 1442695040888963407u;
        a = seed >> 32;
        if (a & 8)
            bus_write(ports, port[a & 7], a >> 8, 1u << (a >> 16 & 3));
        else
            bus_read(ports, port[a & 7], 1u << (a >> 16 & 3));
        ck_assert(!(irq1 && irq12));
        ck_assert(!(irq1 || irq12) || (status() & 1));
    }
}
END_TEST

Suite *i8042_suite(void)
{
    Suite *suite = suite_create("i8042");
    TCase *tcase = tcase_create("i8042");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, controller_commands);
    tcase_add_test(tcase, nothing_plugged_in);
    tcase_add_test(tcase, reset_and_a20);
    tcase_add_test(tcase, debug_ports);
    tcase_add_test(tcase, debug_ports_unwired);
    tcase_add_test(tcase, random_accesses);
    suite_add_tcase(suite, tcase);
    return suite;
}
