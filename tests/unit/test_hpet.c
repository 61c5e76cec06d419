/*
 * test_hpet.c - the high precision event timers. Alone: tests/unit/unit hpet
 */
#include <check.h>

#include "devices/hpet.h"
#include "tests/unit/board.h"

#define CAPABILITIES  0x000
#define CONFIG        0x010
#define STATUS        0x020
#define COUNTER       0x0F0
#define TN_CONFIG(n)  (0x100 + 0x20 * (n))
#define TN_COMPARE(n) (0x108 + 0x20 * (n))

#define ENABLE    0x001
#define LEGACY    0x002
#define LEVEL     0x002
#define INTERRUPT 0x004
#define PERIODIC  0x008
#define VAL_SET   0x040
#define NARROW    0x100 /* 32 bits */
#define ROUTE(n)  ((n) << 9)

struct rig {
    struct board board;
    struct line route[HPET_ROUTES], irq0, irq8;
    struct hpet *hpet;
};

static struct hpet *make(struct rig *rig, struct bus *mem)
{
    struct irq routes[HPET_ROUTES];

    for (int i = 0; i < HPET_ROUTES; i++) {
        rig->route[i].board = &rig->board;
        routes[i] = line_irq(&rig->route[i]);
    }
    rig->irq0.board = rig->irq8.board = &rig->board;
    return hpet_new(rig->board.clock, mem, routes, line_irq(&rig->irq0), line_irq(&rig->irq8),
                    &rig->board.log);
}

static void rig_init(struct rig *rig)
{
    memset(rig, 0, sizeof(*rig));
    board_init(&rig->board);
    rig->hpet = make(rig, rig->board.mem);
    ck_assert_ptr_nonnull(rig->hpet);
}

static void rig_free(struct rig *rig)
{
    hpet_class.free(rig->hpet);
    board_free(&rig->board);
}

static uint64_t get(struct rig *rig, unsigned reg)
{
    return bus_read(rig->board.mem, HPET_BASE + reg, 8);
}

static void set(struct rig *rig, unsigned reg, uint64_t value)
{
    bus_write(rig->board.mem, HPET_BASE + reg, value, 8);
}

static uint32_t get32(struct rig *rig, unsigned reg)
{
    return bus_read(rig->board.mem, HPET_BASE + reg, 4);
}

static void set32(struct rig *rig, unsigned reg, uint32_t value)
{
    bus_write(rig->board.mem, HPET_BASE + reg, value, 4);
}

static void ticks(struct rig *rig, uint64_t count)
{
    board_advance(&rig->board, count * 10);
}

START_TEST(capabilities)
{
    struct rig rig;

    rig_init(&rig);
    ck_assert_uint_eq(get(&rig, CAPABILITIES), 0x009896808086A201);
    ck_assert_uint_eq(get32(&rig, CAPABILITIES + 4), 10000000);
    set(&rig, CAPABILITIES, 0);
    ck_assert_uint_eq(get32(&rig, CAPABILITIES), 0x8086A201);
    ck_assert_uint_eq(get(&rig, TN_CONFIG(0)), 0x00F0000000000030);
    ck_assert_uint_eq(get(&rig, TN_CONFIG(2)), 0x00F0080000000030);
    ck_assert_uint_eq(get(&rig, TN_COMPARE(1)), UINT64_MAX);
    ck_assert_uint_eq(get(&rig, 0x3F8), 0);
    rig_free(&rig);
}
END_TEST

START_TEST(counter)
{
    struct rig rig;

    rig_init(&rig);
    ticks(&rig, 100);
    ck_assert_uint_eq(get(&rig, COUNTER), 0);
    set(&rig, COUNTER, 0xFFFFFFF0);
    set(&rig, CONFIG, ENABLE);
    ticks(&rig, 0x20);
    ck_assert_uint_eq(get(&rig, COUNTER), 0x100000010);
    ck_assert_uint_eq(get32(&rig, COUNTER), 0x10);
    ck_assert_uint_eq(get32(&rig, COUNTER + 4), 1);
    set(&rig, CONFIG, 0);
    ticks(&rig, 50);
    ck_assert_uint_eq(get(&rig, COUNTER), 0x100000010);
    set32(&rig, COUNTER + 4, 7);
    ck_assert_uint_eq(get(&rig, COUNTER), 0x700000010);
    set(&rig, CONFIG, ENABLE);
    board_advance(&rig.board, 15);
    set(&rig, CONFIG, ENABLE | LEGACY);
    board_advance(&rig.board, 5);
    ck_assert_msg(get(&rig, COUNTER) == 0x700000012, "writing the configuration costs no time");
    rig_free(&rig);
}
END_TEST

START_TEST(one_shot_edge)
{
    struct rig rig;

    rig_init(&rig);
    set(&rig, TN_CONFIG(0), INTERRUPT | ROUTE(20));
    set(&rig, TN_COMPARE(0), 1000);
    set(&rig, CONFIG, ENABLE);
    ticks(&rig, 999);
    ck_assert_uint_eq(rig.route[20].rises, 0);
    ticks(&rig, 1);
    ck_assert_uint_eq(rig.route[20].rises, 1);
    ck_assert(!rig.route[20].level);
    ck_assert_uint_eq(get(&rig, STATUS), 0);
    ticks(&rig, 1ull << 33);
    ck_assert_uint_eq(rig.route[20].rises, 1);
    set(&rig, TN_COMPARE(0), get(&rig, COUNTER));
    ck_assert_msg(rig.route[20].rises == 2, "equal is a match");
    set(&rig, TN_COMPARE(0), get(&rig, COUNTER) - 1);
    ticks(&rig, 1000000);
    ck_assert_msg(rig.route[20].rises == 2, "passed is not");
    ck_assert_uint_eq(get(&rig, TN_COMPARE(0)), get(&rig, COUNTER) - 1000001);
    rig_free(&rig);
}
END_TEST

START_TEST(narrow_timer_comes_round)
{
    struct rig rig;

    rig_init(&rig);
    set(&rig, COUNTER, 0x5FFFFFFF0);
    set(&rig, TN_CONFIG(1), INTERRUPT | NARROW | ROUTE(21));
    set(&rig, TN_COMPARE(1), 0xABCD00000010);
    ck_assert_uint_eq(get(&rig, TN_COMPARE(1)), 0x10);
    set(&rig, CONFIG, ENABLE);
    ticks(&rig, 0x20);
    ck_assert_uint_eq(rig.route[21].rises, 1);
    ticks(&rig, 0xFFFFFFFF);
    ck_assert_uint_eq(rig.route[21].rises, 1);
    ticks(&rig, 1);
    ck_assert_uint_eq(rig.route[21].rises, 2);
    rig_free(&rig);
}
END_TEST

START_TEST(periodic)
{
    struct rig rig;

    rig_init(&rig);
    set32(&rig, TN_CONFIG(0), INTERRUPT | PERIODIC | VAL_SET | NARROW);
    ck_assert_uint_eq(get32(&rig, TN_CONFIG(0)), INTERRUPT | PERIODIC | NARROW | 0x30);
    set32(&rig, TN_COMPARE(0), 5000);
    set32(&rig, TN_COMPARE(0), 1000); /* VAL_SET is used up: the period only */
    ck_assert_uint_eq(get32(&rig, TN_COMPARE(0)), 5000);
    set32(&rig, CONFIG, ENABLE | LEGACY);
    ticks(&rig, 4999);
    ck_assert_uint_eq(rig.irq0.rises, 0);
    for (unsigned n = 1; n <= 1000; n++) {
        ticks(&rig, n == 1 ? 1 : 1000);
        ck_assert_uint_eq(rig.irq0.rises, n);
        ck_assert_uint_eq(rig.irq0.rose_at, (4000 + n * 1000) * 10);
    }
    ck_assert_uint_eq(get32(&rig, TN_COMPARE(0)), 4000 + 1001 * 1000);
    rig_free(&rig);
}
END_TEST

START_TEST(periodic_with_one_write)
{
    struct rig rig;

    rig_init(&rig);
    set(&rig, TN_CONFIG(2), INTERRUPT | PERIODIC | VAL_SET | ROUTE(11));
    set32(&rig, TN_COMPARE(2), 2500); /* in halves: VAL_SET goes for both */
    set32(&rig, TN_COMPARE(2) + 4, 0);
    ck_assert_uint_eq(get(&rig, TN_COMPARE(2)), 2500);
    set(&rig, CONFIG, ENABLE);
    ticks(&rig, 10000);
    ck_assert_uint_eq(rig.route[11].rises, 4);
    rig_free(&rig);
}
END_TEST

START_TEST(late_event_loop_gets_one_edge_and_no_drift)
{
    struct rig rig;

    rig_init(&rig);
    set(&rig, TN_CONFIG(0), INTERRUPT | PERIODIC | VAL_SET | ROUTE(20));
    set(&rig, TN_COMPARE(0), 1000);
    set(&rig, CONFIG, ENABLE);
    rig.board.now += 105000; /* nobody ran the timers */
    clock_run(rig.board.clock);
    ck_assert_uint_eq(rig.route[20].rises, 1);
    ck_assert_uint_eq(get(&rig, TN_COMPARE(0)), 11000);
    ticks(&rig, 500);
    ck_assert_uint_eq(rig.route[20].rises, 2);
    rig_free(&rig);
}
END_TEST

START_TEST(level_interrupts_until_status_is_cleared)
{
    struct rig rig;

    rig_init(&rig);
    set(&rig, TN_CONFIG(1), INTERRUPT | LEVEL | PERIODIC | VAL_SET | ROUTE(22));
    set(&rig, TN_COMPARE(1), 10000);
    set(&rig, CONFIG, ENABLE);
    ticks(&rig, 10000);
    ck_assert(rig.route[22].level);
    ck_assert_uint_eq(get(&rig, STATUS), 2);
    set(&rig, STATUS, 5);
    ck_assert(rig.route[22].level);
    set(&rig, STATUS, 2);
    ck_assert(!rig.route[22].level);
    ticks(&rig, 10000);
    ck_assert(rig.route[22].level);
    set(&rig, TN_CONFIG(1), INTERRUPT | LEVEL | PERIODIC | ROUTE(23));
    ck_assert(!rig.route[22].level && rig.route[23].level);
    set(&rig, CONFIG, 0);
    ck_assert(!rig.route[23].level);
    rig_free(&rig);
}
END_TEST

START_TEST(routes_that_are_not_there_do_not_stick)
{
    struct rig rig;

    rig_init(&rig);
    set(&rig, TN_CONFIG(0), ROUTE(20));
    set(&rig, TN_CONFIG(0), INTERRUPT | ROUTE(11));
    ck_assert_uint_eq(get32(&rig, TN_CONFIG(0)), INTERRUPT | ROUTE(20) | 0x30);
    set(&rig, TN_CONFIG(2), INTERRUPT | ROUTE(31) | 0xFFFF0000C000);
    ck_assert_uint_eq(get(&rig, TN_CONFIG(2)), 0x00F0080000000030 | INTERRUPT);
    rig_free(&rig);
}
END_TEST

START_TEST(legacy_replacement_cuts_off_pit_and_rtc)
{
    struct rig rig;
    struct irq pit, rtc;

    rig_init(&rig);
    pit = hpet_pit_input(rig.hpet);
    rtc = hpet_rtc_input(rig.hpet);
    irq_pulse(&pit);
    irq_set(&rtc, true);
    ck_assert_uint_eq(rig.irq0.rises, 1);
    ck_assert(rig.irq8.level);
    set(&rig, TN_CONFIG(0), INTERRUPT);
    set(&rig, TN_CONFIG(1), INTERRUPT);
    set(&rig, TN_COMPARE(0), 100);
    set(&rig, TN_COMPARE(1), 200);
    set(&rig, CONFIG, ENABLE | LEGACY);
    ck_assert(!rig.irq8.level);
    irq_pulse(&pit);
    ck_assert_uint_eq(rig.irq0.rises, 1);
    ticks(&rig, 100);
    ck_assert_uint_eq(rig.irq0.rises, 2);
    ck_assert_uint_eq(rig.irq8.rises, 1);
    ticks(&rig, 100);
    ck_assert_uint_eq(rig.irq8.rises, 2);
    set(&rig, CONFIG, ENABLE);
    ck_assert_msg(rig.irq8.level, "the RTC's line is still up");
    rig_free(&rig);
}
END_TEST

START_TEST(odd_accesses)
{
    struct rig rig;

    rig_init(&rig);
    ck_assert_uint_eq(bus_read(rig.board.mem, HPET_BASE + 2, 2), 0x8086);
    ck_assert_uint_eq(bus_read(rig.board.mem, HPET_BASE + 7, 1), 0);
    ck_assert_uint_eq(bus_read(rig.board.mem, HPET_BASE + 6, 1), 0x98);
    bus_write(rig.board.mem, HPET_BASE + CONFIG, ENABLE, 1);
    ck_assert_uint_eq(get(&rig, CONFIG), 0);
    rig_free(&rig);
}
END_TEST

START_TEST(shortest_period_leaves_the_host_time)
{
    struct rig rig;

    rig_init(&rig);
    set(&rig, TN_CONFIG(0), INTERRUPT | PERIODIC | VAL_SET | ROUTE(20));
    set(&rig, TN_COMPARE(0), 1);
    set(&rig, CONFIG, ENABLE);
    board_advance(&rig.board, 1000000);
    ck_assert_uint_ge(rig.route[20].rises, 50);
    ck_assert_uint_le(rig.route[20].rises, 200);
    rig_free(&rig);
}
END_TEST

START_TEST(snapshot_goes_on)
{
    struct rig rig, other;
    struct board board;
    struct hpet *copy;

    rig_init(&rig);
    memset(&other, 0, sizeof(other));
    other.board.clock = rig.board.clock;
    board_init(&board);
    copy = make(&other, board.mem);
    set(&rig, TN_CONFIG(0), INTERRUPT | PERIODIC | VAL_SET | ROUTE(20));
    set(&rig, TN_COMPARE(0), 1000);
    set(&rig, CONFIG, ENABLE);
    ticks(&rig, 1500);
    get(&rig, STATUS); /* brings the chip up to now */
    board_copy_state(&hpet_class, rig.hpet, copy);
    ticks(&rig, 5000);
    ck_assert_uint_eq(other.route[20].rises, 5);
    hpet_class.free(copy);
    board_free(&board);
    rig_free(&rig);
}
END_TEST

START_TEST(fuzz)
{
    static const unsigned reg[] = {CONFIG,       STATUS,        COUNTER,      TN_CONFIG(0),  TN_COMPARE(0),
                                   TN_CONFIG(1), TN_COMPARE(1), TN_CONFIG(2), TN_COMPARE(2), CAPABILITIES};
    struct rig rig, other;
    struct board board;
    struct hpet *copy;

    rig_init(&rig);
    for (int i = 0; i < 500000; i++) {
        uint32_t r = board_random(&rig.board);
        uint64_t addr = HPET_BASE + (r & 15 ? reg[(r >> 4) % 10] + (r >> 8 & 4) : r >> 8 & 0x3FF);
        uint64_t value = (uint64_t)board_random(&rig.board) << 32 | board_random(&rig.board);
        unsigned size = r & 48 ? 4u << (r >> 20 & 1) : 1u << (r >> 20 & 3);

        if (r >> 22 & 1)
            value = get(&rig, COUNTER) + (value >> 32 >> (r >> 23 & 31));
        if (r >> 28 & 1)
            bus_write(rig.board.mem, addr, value, size);
        else
            bus_read(rig.board.mem, addr, size);
        rig.board.now += board_random_step(&rig.board) >> 4;
        if (r >> 29 & 1)
            clock_run(rig.board.clock);
    }
    memset(&other, 0, sizeof(other));
    other.board.clock = rig.board.clock;
    board_init(&board);
    copy = make(&other, board.mem);
    get(&rig, STATUS);
    board_copy_state(&hpet_class, rig.hpet, copy);
    for (int i = 0; i < HPET_ROUTES; i++)
        ck_assert_int_eq(rig.route[i].level, other.route[i].level);
    hpet_class.free(copy);
    board_free(&board);
    rig_free(&rig);
}
END_TEST

Suite *hpet_suite(void)
{
    Suite *suite = suite_create("hpet");
    TCase *registers = tcase_create("registers"), *timers = tcase_create("timers"),
          *lines = tcase_create("lines");
    TCase *random = tcase_create("random");

    tcase_add_test(registers, capabilities);
    tcase_add_test(registers, counter);
    tcase_add_test(registers, routes_that_are_not_there_do_not_stick);
    tcase_add_test(registers, odd_accesses);
    suite_add_tcase(suite, registers);
    tcase_add_test(timers, one_shot_edge);
    tcase_add_test(timers, narrow_timer_comes_round);
    tcase_add_test(timers, periodic);
    tcase_add_test(timers, periodic_with_one_write);
    tcase_add_test(timers, late_event_loop_gets_one_edge_and_no_drift);
    tcase_add_test(timers, shortest_period_leaves_the_host_time);
    tcase_add_test(timers, snapshot_goes_on);
    suite_add_tcase(suite, timers);
    tcase_add_test(lines, level_interrupts_until_status_is_cleared);
    tcase_add_test(lines, legacy_replacement_cuts_off_pit_and_rtc);
    suite_add_tcase(suite, lines);
    tcase_set_timeout(random, 60);
    tcase_add_test(random, fuzz);
    suite_add_tcase(suite, random);
    return suite;
}
