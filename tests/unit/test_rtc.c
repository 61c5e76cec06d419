/*
 * test_rtc.c - the MC146818A and CMOS RAM. Alone: tests/unit/unit rtc
 */
#include <check.h>

#include "devices/rtc.h"
#include "tests/unit/board.h"

#define MS 1000000ull
#define A  0x0A
#define B  0x0B
#define C  0x0C
#define D  0x0D

/* 2024-02-28 23:59:50 UTC, a Wednesday in a leap year. */
#define START_SECONDS 1709164790ull

struct rig {
    struct board board;
    struct line irq8;
    struct rtc *rtc;
};

static void rig_init(struct rig *rig)
{
    memset(rig, 0, sizeof(*rig));
    board_init(&rig->board);
    rig->board.wall = START_SECONDS * NS_PER_SEC;
    rig->irq8.board = &rig->board;
    rig->rtc = rtc_new(rig->board.clock, rig->board.ports, line_irq(&rig->irq8), &rig->board.log);
    ck_assert_ptr_nonnull(rig->rtc);
}

static void rig_free(struct rig *rig)
{
    rtc_class.free(rig->rtc);
    board_free(&rig->board);
}

static uint8_t get(struct rig *rig, uint8_t index)
{
    out(&rig->board, 0x70, index);
    return in(&rig->board, 0x71);
}

static void set(struct rig *rig, uint8_t index, uint8_t value)
{
    out(&rig->board, 0x70, index);
    out(&rig->board, 0x71, value);
}

/* Registers as hexadecimal digits: century, year, month, day, hours, minutes, seconds. */
static uint64_t shown(struct rig *rig)
{
    static const uint8_t index[] = {0x32, 9, 8, 7, 4, 2, 0};
    uint64_t value = 0;

    for (unsigned i = 0; i < sizeof(index); i++)
        value = value << 8 | get(rig, index[i]);
    return value;
}

START_TEST(shows_wall_time_in_bcd)
{
    struct rig rig;

    rig_init(&rig);
    ck_assert_uint_eq(get(&rig, B), 0x02);
    ck_assert_uint_eq(get(&rig, D), 0x80);
    ck_assert_uint_eq(shown(&rig), 0x20240228235950);
    ck_assert_uint_eq(get(&rig, 6), 4);
    ck_assert_uint_eq(get(&rig, 0x37), 0x20);
    board_advance(&rig.board, 10 * NS_PER_SEC);
    ck_assert_uint_eq(shown(&rig), 0x20240229000000);
    ck_assert_uint_eq(get(&rig, 6), 5);
    board_advance(&rig.board, 86400 * NS_PER_SEC);
    ck_assert_uint_eq(shown(&rig), 0x20240301000000);
    rig_free(&rig);
}
END_TEST

START_TEST(calendar)
{
    static const struct {
        uint64_t seconds, shown;
        uint8_t weekday;
    } row[] = {
        {0, 0x19700101000000, 5},          {951782400, 0x20000229000000, 3},
        {4107542399, 0x21000228235959, 1}, {4107542400, 0x21000301000000, 2},
        {1735689599, 0x20241231235959, 3}, {253402300799, 0x99991231235959, 6},
    };

    for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
        struct rig rig;

        if (row[i].seconds > UINT64_MAX / NS_PER_SEC)
            continue; /* beyond what a wall clock in ns can say; set_and_keep goes there */
        rig_init(&rig);
        rig.board.wall = row[i].seconds * NS_PER_SEC;
        ck_assert_uint_eq(shown(&rig), row[i].shown);
        ck_assert_uint_eq(get(&rig, 6), row[i].weekday);
        rig_free(&rig);
    }
}
END_TEST

START_TEST(data_modes)
{
    struct rig rig;

    rig_init(&rig);
    set(&rig, B, 0x06);
    ck_assert_uint_eq(shown(&rig), 0x1418021C173B32);
    set(&rig, B, 0x00);
    ck_assert_uint_eq(get(&rig, 4), 0x91); /* 11 pm */
    board_advance(&rig.board, 10 * NS_PER_SEC);
    ck_assert_uint_eq(get(&rig, 4), 0x12); /* midnight */
    board_advance(&rig.board, 43200 * NS_PER_SEC);
    ck_assert_uint_eq(get(&rig, 4), 0x92); /* noon */
    set(&rig, B, 0x04);
    ck_assert_uint_eq(get(&rig, 4), 0x8C);
    rig_free(&rig);
}
END_TEST

static void set_all(struct rig *rig, uint64_t value, uint8_t weekday)
{
    static const uint8_t index[] = {0, 2, 4, 7, 8, 9, 0x32};

    for (unsigned i = 0; i < sizeof(index); i++, value >>= 8)
        set(rig, index[i], value);
    set(rig, 6, weekday);
}

START_TEST(set_and_keep)
{
    struct rig rig;

    rig_init(&rig);
    board_advance(&rig.board, 300 * MS);
    set(&rig, B, 0x82);
    set_all(&rig, 0x99991231235958, 3);
    board_advance(&rig.board, 5000 * MS);
    ck_assert_uint_eq(shown(&rig), 0x99991231235958);
    set(&rig, B, 0x02);
    ck_assert_uint_eq(shown(&rig), 0x99991231235958);
    /* SET doesn't stop the divider: the second ends where it would have. */
    board_advance(&rig.board, 699 * MS);
    ck_assert_uint_eq(get(&rig, 0), 0x58);
    board_advance(&rig.board, 1 * MS);
    ck_assert_uint_eq(shown(&rig), 0x99991231235959);
    ck_assert_msg(get(&rig, 6) == 3, "the weekday is what was written");
    rig_free(&rig);
}
END_TEST

START_TEST(divider_reset_starts_half_a_second_before_the_update)
{
    struct rig rig;

    rig_init(&rig);
    board_advance(&rig.board, 123 * MS);
    set(&rig, B, 0x82);
    set(&rig, A, 0x76);
    set_all(&rig, 0x20010911084600, 3);
    set(&rig, B, 0x02);
    board_advance(&rig.board, 10 * NS_PER_SEC);
    ck_assert_uint_eq(shown(&rig), 0x20010911084600);
    set(&rig, A, 0x26);
    board_advance(&rig.board, 499 * MS);
    ck_assert_uint_eq(get(&rig, 0), 0x00);
    board_advance(&rig.board, 1 * MS);
    ck_assert_uint_eq(get(&rig, 0), 0x01);
    rig_free(&rig);
}
END_TEST

START_TEST(writes_while_running_take_effect)
{
    struct rig rig;

    rig_init(&rig);
    set(&rig, 4, 0x05);
    set(&rig, 9, 0x99);
    ck_assert_uint_eq(shown(&rig), 0x20990228055950);
    set(&rig, 0x37, 0x19);
    ck_assert_uint_eq(get(&rig, 0x32), 0x19);
    rig_free(&rig);
}
END_TEST

START_TEST(update_in_progress)
{
    struct rig rig;

    rig_init(&rig);
    ck_assert_uint_eq(get(&rig, A), 0x26);
    board_advance(&rig.board, 997 * MS);
    ck_assert_uint_eq(get(&rig, A), 0x26);
    board_advance(&rig.board, 1 * MS);
    ck_assert_uint_eq(get(&rig, A), 0xA6);
    board_advance(&rig.board, 2 * MS);
    ck_assert_uint_eq(get(&rig, A), 0x26);
    set(&rig, B, 0x82);
    board_advance(&rig.board, 999 * MS);
    ck_assert_msg(get(&rig, A) == 0x26, "no updates while SET");
    set(&rig, A, 0xFF);
    ck_assert_msg(!(get(&rig, A) & 0x80), "UIP is read-only");
    rig_free(&rig);
}
END_TEST

START_TEST(update_ended_interrupt)
{
    struct rig rig;

    rig_init(&rig);
    set(&rig, B, 0x12);
    board_advance(&rig.board, 999 * MS);
    ck_assert(!rig.irq8.level);
    board_advance(&rig.board, 1 * MS);
    ck_assert(rig.irq8.level);
    ck_assert_uint_eq(rig.irq8.rose_at, NS_PER_SEC);
    ck_assert_uint_eq(get(&rig, C) & 0xB0, 0x90);
    ck_assert(!rig.irq8.level);
    ck_assert_uint_eq(get(&rig, C), 0);
    board_advance(&rig.board, 3 * NS_PER_SEC);
    ck_assert_msg(rig.irq8.rises == 2, "the line stays high until register C is read");
    set(&rig, B, 0x92);
    ck_assert_msg(get(&rig, B) == 0x82, "SET clears UIE");
    rig_free(&rig);
}
END_TEST

START_TEST(flags_come_without_enables)
{
    struct rig rig;

    rig_init(&rig);
    get(&rig, C);
    board_advance(&rig.board, 1 * NS_PER_SEC);
    ck_assert(!rig.irq8.level);
    ck_assert_uint_eq(get(&rig, C), 0x50); /* PF, UF; no IRQF */
    board_advance(&rig.board, 1 * NS_PER_SEC);
    set(&rig, B, 0x12);
    ck_assert_msg(rig.irq8.level, "an enabled flag that is set interrupts at once");
    rig_free(&rig);
}
END_TEST

START_TEST(alarm_once_a_day)
{
    struct rig rig;

    rig_init(&rig);
    set(&rig, 5, 0x00);
    set(&rig, 3, 0x00);
    set(&rig, 1, 0x05);
    set(&rig, B, 0x22);
    get(&rig, C);
    board_advance(&rig.board, 14999 * MS);
    ck_assert(!rig.irq8.level);
    board_advance(&rig.board, 1 * MS);
    ck_assert(rig.irq8.level);
    ck_assert_uint_eq(get(&rig, C) & 0xA0, 0xA0);
    board_advance(&rig.board, 86399 * NS_PER_SEC);
    ck_assert(!rig.irq8.level);
    board_advance(&rig.board, 1 * NS_PER_SEC);
    ck_assert(rig.irq8.level);
    rig_free(&rig);
}
END_TEST

START_TEST(alarm_with_wildcards)
{
    struct rig rig;

    rig_init(&rig);
    set(&rig, 5, 0xC0);
    set(&rig, 3, 0xFF);
    set(&rig, 1, 0x30);
    set(&rig, B, 0x22);
    for (int i = 0; i < 10; i++) {
        board_advance(&rig.board, 60 * NS_PER_SEC);
        ck_assert_uint_eq(get(&rig, C) & 0xA0, 0xA0);
    }
    ck_assert_uint_eq(rig.irq8.rises, 10);
    rig_free(&rig);
}
END_TEST

START_TEST(alarm_is_noticed_by_polling)
{
    struct rig rig;

    rig_init(&rig);
    set(&rig, 5, 0x00);
    set(&rig, 3, 0x00);
    set(&rig, 1, 0x05);
    get(&rig, C);
    board_advance(&rig.board, 14 * NS_PER_SEC);
    ck_assert_uint_eq(get(&rig, C) & 0x20, 0);
    board_advance(&rig.board, 3600 * NS_PER_SEC);
    ck_assert_uint_eq(get(&rig, C) & 0x20, 0x20);
    ck_assert_uint_eq(clock_next(rig.board.clock), CLOCK_NEVER);
    rig_free(&rig);
}
END_TEST

START_TEST(periodic_rates)
{
    static const unsigned hz[] = {256, 128, 8192, 4096, 2048, 1024, 512, 256, 128, 64, 32, 16, 8, 4, 2};

    for (unsigned rate = 1; rate <= 15; rate++) {
        struct rig rig;
        unsigned count = 0;

        rig_init(&rig);
        set(&rig, A, 0x20 | rate);
        set(&rig, B, 0x42);
        get(&rig, C);
        while (clock_next(rig.board.clock) <= 2 * NS_PER_SEC) {
            board_advance(&rig.board, clock_next(rig.board.clock) - rig.board.now);
            ck_assert(rig.irq8.level);
            ck_assert_uint_eq(get(&rig, C) & 0xC0, 0xC0);
            count++;
        }
        ck_assert_uint_eq(count, 2 * hz[rate - 1]);
        rig_free(&rig);
    }
}
END_TEST

START_TEST(periodic_off)
{
    struct rig rig;

    rig_init(&rig);
    set(&rig, A, 0x20);
    set(&rig, B, 0x42);
    get(&rig, C);
    board_advance(&rig.board, 10 * NS_PER_SEC);
    ck_assert(!rig.irq8.level);
    ck_assert_uint_eq(get(&rig, C) & 0x40, 0);
    rig_free(&rig);
}
END_TEST

START_TEST(reset_keeps_what_the_battery_keeps)
{
    struct rig rig;

    rig_init(&rig);
    set(&rig, 4, 0x03);
    set(&rig, 0x40, 0x5A);
    set(&rig, B, 0x7E);
    board_advance(&rig.board, 2 * NS_PER_SEC);
    ck_assert(rig.irq8.level);
    rtc_class.reset(rig.rtc);
    ck_assert(!rig.irq8.level);
    ck_assert_uint_eq(get(&rig, B), 0x06);
    ck_assert_uint_eq(get(&rig, C), 0);
    ck_assert_uint_eq(get(&rig, 4), 3);
    ck_assert_uint_eq(get(&rig, 0x40), 0x5A);
    rig_free(&rig);
}
END_TEST

START_TEST(ram_banks_and_nmi_mask)
{
    struct rig rig;

    rig_init(&rig);
    rtc_set_cmos(rig.rtc, 0x15, 0x80);
    rtc_set_cmos(rig.rtc, 0x95, 0x77);
    rtc_set_cmos(rig.rtc, 0x00, 0x33); /* the clock's own */
    ck_assert_uint_eq(get(&rig, 0x15), 0x80);
    ck_assert_uint_eq(get(&rig, 0x00), 0x50);
    ck_assert(!rtc_nmi_masked(rig.rtc));
    ck_assert_uint_eq(get(&rig, 0x95), 0x80);
    ck_assert(rtc_nmi_masked(rig.rtc));
    out(&rig.board, 0x72, 0x15);
    ck_assert_uint_eq(in(&rig.board, 0x73), 0x77);
    out(&rig.board, 0x73, 0x78);
    ck_assert_uint_eq(in(&rig.board, 0x73), 0x78);
    ck_assert_uint_eq(get(&rig, 0x15), 0x80);
    rig_free(&rig);
}
END_TEST

START_TEST(nonsense_in_the_registers)
{
    struct rig rig;

    rig_init(&rig);
    set(&rig, B, 0x82);
    set_all(&rig, 0xFFFFFFFFFFFFFF, 0xFF);
    set(&rig, B, 0x02);
    ck_assert_uint_le(get(&rig, 8), 0x12);
    set(&rig, B, 0x82);
    set_all(&rig, 0, 0);
    set(&rig, B, 0x02);
    ck_assert_uint_ge(get(&rig, 8), 1);
    ck_assert_uint_ge(get(&rig, 7), 1);
    rig_free(&rig);
}
END_TEST

START_TEST(wall_clock_set_back)
{
    struct rig rig;

    rig_init(&rig);
    set(&rig, B, 0x12);
    board_advance(&rig.board, 1500 * MS);
    get(&rig, C);
    rig.board.wall -= 3600 * NS_PER_SEC;
    board_advance(&rig.board, 2000 * MS);
    ck_assert(rig.irq8.level);
    ck_assert_uint_eq(shown(&rig), 0x20240228225953);
    rig_free(&rig);
}
END_TEST

START_TEST(fuzz)
{
    struct rig rig;
    struct board board;
    struct line irq8 = {0};
    struct rtc *copy;

    rig_init(&rig);
    for (int i = 0; i < 300000; i++) {
        uint32_t r = board_random(&rig.board);
        uint8_t index = r & 7 ? (r >> 8) % 14 : r >> 8;

        out(&rig.board, 0x70 + (r >> 3 & 2), index);
        if (r >> 5 & 1)
            out(&rig.board, 0x71 + (r >> 3 & 2), r >> 16);
        else
            in(&rig.board, 0x71 + (r >> 3 & 2));
        rig.board.now += board_random_step(&rig.board) >> 8;
        if (!(r >> 24 & 15))
            rig.board.wall = (uint64_t)board_random(&rig.board) << 30;
        if (r >> 6 & 1)
            clock_run(rig.board.clock);
    }
    board_init(&board);
    copy = rtc_new(rig.board.clock, board.ports, line_irq(&irq8), NULL);
    clock_run(rig.board.clock);
    in(&rig.board, 0x71);
    rtc_class.loaded(rig.rtc);
    board_copy_state(&rtc_class, rig.rtc, copy);
    ck_assert_int_eq(irq8.level, rig.irq8.level);
    rtc_class.free(copy);
    board_free(&board);
    rig_free(&rig);
}
END_TEST

Suite *rtc_suite(void)
{
    Suite *suite = suite_create("rtc");
    TCase *time = tcase_create("time"), *interrupts = tcase_create("interrupts"), *ram = tcase_create("ram");
    TCase *random = tcase_create("random");

    tcase_add_test(time, shows_wall_time_in_bcd);
    tcase_add_test(time, calendar);
    tcase_add_test(time, data_modes);
    tcase_add_test(time, set_and_keep);
    tcase_add_test(time, divider_reset_starts_half_a_second_before_the_update);
    tcase_add_test(time, writes_while_running_take_effect);
    tcase_add_test(time, update_in_progress);
    tcase_add_test(time, nonsense_in_the_registers);
    tcase_add_test(time, wall_clock_set_back);
    suite_add_tcase(suite, time);
    tcase_add_test(interrupts, update_ended_interrupt);
    tcase_add_test(interrupts, flags_come_without_enables);
    tcase_add_test(interrupts, alarm_once_a_day);
    tcase_add_test(interrupts, alarm_with_wildcards);
    tcase_add_test(interrupts, alarm_is_noticed_by_polling);
    tcase_add_test(interrupts, periodic_rates);
    tcase_add_test(interrupts, periodic_off);
    suite_add_tcase(suite, interrupts);
    tcase_add_test(ram, reset_keeps_what_the_battery_keeps);
    tcase_add_test(ram, ram_banks_and_nmi_mask);
    suite_add_tcase(suite, ram);
    tcase_set_timeout(random, 60);
    tcase_add_test(random, fuzz);
    suite_add_tcase(suite, random);
    return suite;
}
