/* The test device: a latch, a memory, and lines that the guest pulls. */
#include "devices/test_device.h"
#include "tests/unit/board.h"

#define MEMORY 0xFF000000u

static struct board board;
static struct test_device *dev;
static bool level[TEST_DEVICE_LINES];

static void on_line(void *opaque, int n, bool high)
{
    (void)opaque;
    level[n] = high;
}

static void setup(void)
{
    struct irq line[TEST_DEVICE_LINES];

    board_init(&board);
    memset(level, 0, sizeof(level));
    for (int n = 0; n < TEST_DEVICE_LINES; n++)
        line[n] = (struct irq){on_line, NULL, n};
    dev = test_device_new(board.ports, board.mem, line);
    ck_assert_ptr_nonnull(dev);
    test_device_class.reset(dev);
}

static void teardown(void)
{
    test_device_class.free(dev);
    board_free(&board);
}

START_TEST(the_latch_takes_any_width)
{
    bus_write(board.ports, 0xE0, 0x12345678, 4);
    ck_assert_uint_eq(bus_read(board.ports, 0xE0, 4), 0x12345678);
    bus_write(board.ports, 0xE1, 0xAB, 1);
    ck_assert_uint_eq(bus_read(board.ports, 0xE0, 2), 0xAB78);
    ck_assert_uint_eq(bus_read(board.ports, 0xE2, 2), 0x1234);
    /* The bytes behind it belong to nobody's latch. */
    bus_write(board.ports, 0xE3, 0x99BB, 2);
    ck_assert_uint_eq(bus_read(board.ports, 0xE0, 4), 0xBB34AB78);
    test_device_class.reset(dev);
    ck_assert_uint_eq(bus_read(board.ports, 0xE0, 4), 0);
}
END_TEST

START_TEST(the_memory_keeps_what_is_written)
{
    bus_write(board.mem, MEMORY + 0x123, 0x1122334455667788, 8);
    ck_assert_uint_eq(bus_read(board.mem, MEMORY + 0x123, 8), 0x1122334455667788);
    ck_assert_uint_eq(bus_read(board.mem, MEMORY + 0x126, 2), 0x4455);
    bus_write(board.mem, MEMORY + TEST_DEVICE_MEMORY - 1, 0xCCDD, 2);
    ck_assert_uint_eq(bus_read(board.mem, MEMORY + TEST_DEVICE_MEMORY - 1, 2), 0xFFDD);
}
END_TEST

START_TEST(lines_follow_their_ports)
{
    bus_write(board.ports, 0x2000, 1, 1);
    bus_write(board.ports, 0x2010, 0x100, 4);
    for (int n = 0; n < TEST_DEVICE_LINES; n++)
        ck_assert(level[n] == (n == 0 || n == 16));
    ck_assert_uint_eq(bus_read(board.ports, 0x2010, 1), 1);
    bus_write(board.ports, 0x2000, 0, 1);
    ck_assert(!level[0] && level[16]);
    test_device_class.reset(dev);
    ck_assert(!level[16]);
}
END_TEST

START_TEST(loading_drives_the_lines)
{
    struct state_buf buf = {0};
    char why[200];

    bus_write(board.ports, 0x2009, 1, 1);
    ck_assert(fields_save(test_device_class.state, dev, &buf));
    test_device_class.reset(dev);
    ck_assert(!level[9]);
    ck_assert_uint_eq(fields_load(test_device_class.state, dev, buf.data, buf.size, why, sizeof(why)),
                      buf.size);
    test_device_class.loaded(dev);
    ck_assert(level[9]);
    free(buf.data);
}
END_TEST

Suite *test_device_suite(void)
{
    Suite *suite = suite_create("test_device");
    TCase *tcase = tcase_create("test_device");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, the_latch_takes_any_width);
    tcase_add_test(tcase, the_memory_keeps_what_is_written);
    tcase_add_test(tcase, lines_follow_their_ports);
    tcase_add_test(tcase, loading_drives_the_lines);
    suite_add_tcase(suite, tcase);
    return suite;
}
