/*
 * test_bochs_debug.c - the ports by which a guest talks to its debugger, by Bochs's description of them.
 */
#include <check.h>

#include "devices/bochs_debug.h"

static struct bus *ports;
static struct bochs_debug *device;
static unsigned stops, forgotten, watches;
static uint32_t from, to;

static void stop(void *opaque)
{
    (void)opaque;
    stops++;
}

static void watch(void *opaque, uint32_t start, uint32_t end)
{
    (void)opaque;
    watches++;
    from = start;
    to = end;
}

static void forget(void *opaque)
{
    (void)opaque;
    forgotten++;
}

static void setup(void)
{
    struct bochs_debug_wires wires = {.stop = stop, .watch = watch, .forget = forget};

    stops = forgotten = watches = 0;
    ports = bus_new("ports", 0x10000, NULL);
    device = bochs_debug_new(ports, &wires, NULL);
    ck_assert_ptr_nonnull(device);
    bochs_debug_class.reset(device);
    forgotten = 0;
}

static void teardown(void)
{
    bochs_debug_class.free(device);
    bus_free(ports);
}

static void command(uint16_t value)
{
    bus_write(ports, 0x8A00, value, 2);
}

START_TEST(nothing_before_it_is_enabled)
{
    command(0x8AE0);
    command(0x8AFF);
    ck_assert_uint_eq(bus_read(ports, 0x8A00, 2), 0);
    ck_assert_uint_eq(stops + forgotten, 0);
    command(0x8A00);
    ck_assert_uint_eq(bus_read(ports, 0x8A00, 2), 0x8A00);
    command(0x8AE0);
    ck_assert_uint_eq(stops, 1);
    bus_write(ports, 0x8A00, 0xE0, 1); /* words only */
    ck_assert_uint_eq(stops, 1);
    command(0x8AFF);
    ck_assert_uint_eq(forgotten, 1);
    command(0x8AE0);
    ck_assert_uint_eq(stops, 1);
    ck_assert_uint_eq(bus_read(ports, 0x8A00, 2), 0);
}
END_TEST

/* Two words make an address; the registers are 0 again afterwards. */
START_TEST(watches_memory)
{
    command(0x8A00);
    command(0x8A01);
    bus_write(ports, 0x8A01, 0x0012, 2);
    bus_write(ports, 0x8A01, 0x3456, 2);
    command(0x8A02);
    bus_write(ports, 0x8A01, 0xFFFF, 2);
    bus_write(ports, 0x8A01, 0x0012, 2);
    bus_write(ports, 0x8A01, 0x4000, 2);
    command(0x8A80);
    ck_assert_uint_eq(watches, 1);
    ck_assert_uint_eq(from, 0x123456);
    ck_assert_uint_eq(to, 0x124000);
    command(0x8A80); /* of nothing */
    ck_assert_uint_eq(watches, 1);
    command(0x8AE3); /* no traces here, and no harm */
    command(0x1234);
    bochs_debug_class.reset(device);
    ck_assert_uint_eq(forgotten, 1);
    ck_assert_uint_eq(bus_read(ports, 0x8A00, 2), 0);
}
END_TEST

Suite *bochs_debug_suite(void)
{
    Suite *s = suite_create("bochs_debug");
    TCase *t = tcase_create("bochs_debug");

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, nothing_before_it_is_enabled);
    tcase_add_test(t, watches_memory);
    suite_add_tcase(s, t);
    return s;
}
