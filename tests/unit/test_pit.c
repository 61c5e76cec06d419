/*
 * test_pit.c - the 8254 and port 0x61. Alone: tests/unit/unit pit
 */
#include <check.h>

#include "devices/pit.h"
#include "tests/unit/board.h"

#define CONTROL 0x43
#define SPEAKER 0x61
#define OUT2    0x20

struct rig {
    struct board board;
    struct line irq0;
    struct pit *pit;
};

static void rig_init(struct rig *rig)
{
    memset(rig, 0, sizeof(*rig));
    board_init(&rig->board);
    rig->irq0.board = &rig->board;
    rig->pit = pit_new(rig->board.clock, rig->board.ports, line_irq(&rig->irq0), &rig->board.log);
    ck_assert_ptr_nonnull(rig->pit);
}

static void rig_free(struct rig *rig)
{
    pit_class.free(rig->pit);
    board_free(&rig->board);
}

/* Lets exactly `ticks` oscillator ticks pass, from tick boundary to tick boundary. */
static void tick(struct rig *rig, uint64_t ticks)
{
    uint64_t at = clock_ns_to_ticks(rig->board.now, PIT_HZ) + ticks;

    board_advance(&rig->board, clock_ticks_to_ns(at, PIT_HZ) - rig->board.now);
}

static void program(struct rig *rig, unsigned channel, unsigned mode, uint16_t count)
{
    out(&rig->board, CONTROL, channel << 6 | 0x30 | mode << 1);
    out(&rig->board, 0x40 + channel, count);
    out(&rig->board, 0x40 + channel, count >> 8);
}

static uint16_t latched(struct rig *rig, unsigned channel)
{
    uint8_t low;

    out(&rig->board, CONTROL, channel << 6);
    low = in(&rig->board, 0x40 + channel);
    return in(&rig->board, 0x40 + channel) << 8 | low;
}

static bool out2(struct rig *rig)
{
    return in(&rig->board, SPEAKER) & OUT2;
}

static void gate2(struct rig *rig, bool level)
{
    out(&rig->board, SPEAKER, level);
}

START_TEST(mode_0_counts_down_and_stays_high)
{
    struct rig rig;

    rig_init(&rig);
    gate2(&rig, true);
    program(&rig, 2, 0, 5);
    tick(&rig, 1); /* loads */
    for (int left = 5; left > 0; left--) {
        ck_assert_uint_eq(latched(&rig, 2), left);
        ck_assert(!out2(&rig));
        tick(&rig, 1);
    }
    ck_assert(out2(&rig));
    tick(&rig, 1);
    ck_assert_uint_eq(latched(&rig, 2), 0xFFFF);
    tick(&rig, 0x20000);
    ck_assert(out2(&rig));
    rig_free(&rig);
}
END_TEST

START_TEST(mode_0_gate_holds)
{
    struct rig rig;

    rig_init(&rig);
    gate2(&rig, true);
    program(&rig, 2, 0, 100);
    tick(&rig, 1 + 40);
    gate2(&rig, false);
    tick(&rig, 1000);
    ck_assert_uint_eq(latched(&rig, 2), 60);
    gate2(&rig, true);
    tick(&rig, 59);
    ck_assert(!out2(&rig));
    tick(&rig, 1);
    ck_assert(out2(&rig));
    gate2(&rig, false);
    ck_assert_msg(out2(&rig), "the gate has no influence on OUT");
    rig_free(&rig);
}
END_TEST

START_TEST(mode_0_first_byte_stops)
{
    struct rig rig;

    rig_init(&rig);
    gate2(&rig, true);
    program(&rig, 2, 0, 3);
    tick(&rig, 10);
    ck_assert(out2(&rig));
    out(&rig.board, 0x42, 0x10);
    ck_assert(!out2(&rig));
    tick(&rig, 1000);
    ck_assert(!out2(&rig));
    out(&rig.board, 0x42, 0);
    tick(&rig, 16);
    ck_assert(!out2(&rig));
    tick(&rig, 1);
    ck_assert(out2(&rig));
    rig_free(&rig);
}
END_TEST

START_TEST(mode_1_one_shot_retriggers)
{
    struct rig rig;

    rig_init(&rig);
    program(&rig, 2, 1, 10);
    tick(&rig, 100);
    ck_assert(out2(&rig));
    gate2(&rig, true);
    ck_assert(out2(&rig));
    tick(&rig, 1);
    ck_assert(!out2(&rig));
    tick(&rig, 6);
    gate2(&rig, false);
    gate2(&rig, true);
    tick(&rig, 10);
    ck_assert(!out2(&rig));
    tick(&rig, 1);
    ck_assert(out2(&rig));
    tick(&rig, 70000);
    ck_assert(out2(&rig));
    rig_free(&rig);
}
END_TEST

START_TEST(mode_2_divides_without_drift)
{
    struct rig rig;
    uint64_t start;

    rig_init(&rig);
    program(&rig, 0, 2, 11932); /* 100 Hz, nearly */
    tick(&rig, 1);
    start = clock_ns_to_ticks(rig.board.now, PIT_HZ);
    for (unsigned n = 1; n <= 1000; n++) {
        unsigned before = rig.irq0.rises;

        tick(&rig, 11932);
        ck_assert_uint_eq(rig.irq0.rises, before + 1);
        ck_assert_uint_eq(rig.irq0.rose_at, clock_ticks_to_ns(start + n * 11932ull, PIT_HZ));
    }
    rig_free(&rig);
}
END_TEST

START_TEST(mode_2_waveform)
{
    static const uint16_t count[] = {4, 3, 2, 1, 4, 3, 2, 1, 4};
    struct rig rig;

    rig_init(&rig);
    gate2(&rig, true);
    program(&rig, 2, 2, 4);
    ck_assert(out2(&rig));
    tick(&rig, 1);
    for (unsigned i = 0; i < sizeof(count) / sizeof(*count); i++) {
        ck_assert_uint_eq(latched(&rig, 2), count[i]);
        ck_assert_int_eq(out2(&rig), count[i] != 1);
        tick(&rig, 1);
    }
    gate2(&rig, false);
    tick(&rig, 3);
    ck_assert_msg(out2(&rig), "a shut gate holds OUT high");
    gate2(&rig, true);
    tick(&rig, 1);
    ck_assert_uint_eq(latched(&rig, 2), 4);
    rig_free(&rig);
}
END_TEST

START_TEST(mode_2_new_count_waits_for_the_period)
{
    struct rig rig;

    rig_init(&rig);
    program(&rig, 0, 2, 1000);
    tick(&rig, 1 + 400);
    out(&rig.board, 0x40, 50);
    out(&rig.board, 0x40, 0);
    ck_assert_uint_eq(latched(&rig, 0), 600);
    tick(&rig, 599);
    ck_assert_uint_eq(rig.irq0.rises, 1); /* OUT rose when the control word was written */
    tick(&rig, 1);
    ck_assert_uint_eq(rig.irq0.rises, 2);
    ck_assert_uint_eq(latched(&rig, 0), 50);
    tick(&rig, 500);
    ck_assert_uint_eq(rig.irq0.rises, 12);
    rig_free(&rig);
}
END_TEST

START_TEST(mode_3_even_and_odd)
{
    static const uint8_t even[] = {6, 4, 2, 6, 4, 2, 6}, odd[] = {4, 2, 0, 4, 2, 4};
    struct rig rig;

    rig_init(&rig);
    gate2(&rig, true);
    program(&rig, 2, 3, 6);
    tick(&rig, 1);
    for (unsigned i = 0; i < sizeof(even); i++) {
        ck_assert_uint_eq(latched(&rig, 2), even[i]);
        ck_assert_int_eq(out2(&rig), i % 6 < 3);
        tick(&rig, 1);
    }
    program(&rig, 2, 3, 5);
    tick(&rig, 1);
    for (unsigned i = 0; i < sizeof(odd); i++) {
        ck_assert_uint_eq(latched(&rig, 2), odd[i]);
        ck_assert_int_eq(out2(&rig), i % 5 < 3);
        tick(&rig, 1);
    }
    rig_free(&rig);
}
END_TEST

START_TEST(mode_3_new_count_waits_for_half)
{
    struct rig rig;

    rig_init(&rig);
    gate2(&rig, true);
    program(&rig, 2, 3, 100);
    tick(&rig, 1 + 10);
    out(&rig.board, 0x42, 20);
    out(&rig.board, 0x42, 0);
    tick(&rig, 39);
    ck_assert(out2(&rig));
    tick(&rig, 1); /* the new count's low half */
    ck_assert(!out2(&rig));
    ck_assert_uint_eq(latched(&rig, 2), 20);
    tick(&rig, 9);
    ck_assert(!out2(&rig));
    tick(&rig, 1);
    ck_assert(out2(&rig));
    tick(&rig, 10);
    ck_assert(!out2(&rig));
    rig_free(&rig);
}
END_TEST

START_TEST(mode_3_interrupts_once_a_period)
{
    struct rig rig;

    rig_init(&rig);
    program(&rig, 0, 3, 0); /* 65536, as firmware leaves it: 18.2 Hz */
    tick(&rig, 1 + 65536);
    ck_assert_uint_eq(rig.irq0.rises, 2);
    board_advance(&rig.board, 10 * NS_PER_SEC);
    ck_assert_uint_eq(rig.irq0.rises, 2 + 182);
    rig_free(&rig);
}
END_TEST

START_TEST(mode_4_strobes_once)
{
    struct rig rig;

    rig_init(&rig);
    program(&rig, 0, 4, 7);
    ck_assert(rig.irq0.level);
    tick(&rig, 1 + 7);
    ck_assert_uint_eq(rig.irq0.rises, 1);
    tick(&rig, 1);
    ck_assert_uint_eq(rig.irq0.rises, 2);
    tick(&rig, 200000);
    ck_assert_uint_eq(rig.irq0.rises, 2);
    gate2(&rig, true);
    program(&rig, 2, 4, 7);
    tick(&rig, 1 + 6);
    ck_assert(out2(&rig));
    tick(&rig, 1);
    ck_assert(!out2(&rig));
    tick(&rig, 1);
    ck_assert(out2(&rig));
    rig_free(&rig);
}
END_TEST

START_TEST(mode_5_strobes_after_a_trigger)
{
    struct rig rig;

    rig_init(&rig);
    program(&rig, 2, 5, 7);
    tick(&rig, 50);
    ck_assert(out2(&rig));
    gate2(&rig, true);
    tick(&rig, 1 + 6);
    ck_assert(out2(&rig));
    tick(&rig, 1);
    ck_assert(!out2(&rig));
    tick(&rig, 1);
    ck_assert(out2(&rig));
    rig_free(&rig);
}
END_TEST

START_TEST(bcd)
{
    struct rig rig;

    rig_init(&rig);
    gate2(&rig, true);
    out(&rig.board, CONTROL, 0xB1);
    out(&rig.board, 0x42, 0x00);
    out(&rig.board, 0x42, 0x10); /* one thousand */
    tick(&rig, 1 + 1);
    ck_assert_uint_eq(latched(&rig, 2), 0x0999);
    tick(&rig, 998);
    ck_assert(!out2(&rig));
    tick(&rig, 1);
    ck_assert(out2(&rig));
    tick(&rig, 1);
    ck_assert_uint_eq(latched(&rig, 2), 0x9999);
    rig_free(&rig);
}
END_TEST

START_TEST(one_byte_access)
{
    struct rig rig;

    rig_init(&rig);
    gate2(&rig, true);
    out(&rig.board, CONTROL, 0x90); /* low byte only */
    out(&rig.board, 0x42, 9);
    tick(&rig, 1 + 3);
    ck_assert_uint_eq(in(&rig.board, 0x42), 6);
    ck_assert_uint_eq(in(&rig.board, 0x42), 6);
    out(&rig.board, CONTROL, 0xA0); /* high byte only */
    out(&rig.board, 0x42, 0x12);
    tick(&rig, 1);
    ck_assert_uint_eq(in(&rig.board, 0x42), 0x12);
    tick(&rig, 1);
    ck_assert_uint_eq(in(&rig.board, 0x42), 0x11);
    rig_free(&rig);
}
END_TEST

START_TEST(latch_holds_until_read)
{
    struct rig rig;

    rig_init(&rig);
    program(&rig, 0, 2, 0x4321);
    tick(&rig, 1 + 0x21);
    out(&rig.board, CONTROL, 0x00);
    tick(&rig, 0x100);
    out(&rig.board, CONTROL, 0x00); /* the first latch wins */
    ck_assert_uint_eq(in(&rig.board, 0x40), 0x00);
    ck_assert_uint_eq(in(&rig.board, 0x40), 0x43);
    ck_assert_uint_eq(in(&rig.board, 0x40), 0x00);
    ck_assert_uint_eq(in(&rig.board, 0x40), 0x42);
    rig_free(&rig);
}
END_TEST

START_TEST(read_back)
{
    struct rig rig;

    rig_init(&rig);
    gate2(&rig, true);
    out(&rig.board, CONTROL, 0xB6);
    out(&rig.board, CONTROL, 0xE8);                /* status of channel 2 */
    ck_assert_uint_eq(in(&rig.board, 0x42), 0xF6); /* OUT high, null count, both bytes, mode 3 */
    out(&rig.board, 0x42, 0x00);
    out(&rig.board, 0x42, 0x02);
    tick(&rig, 1 + 0x100);
    out(&rig.board, CONTROL, 0xC8); /* status, then count */
    ck_assert_uint_eq(in(&rig.board, 0x42), 0x36);
    ck_assert_uint_eq(in(&rig.board, 0x42), 0x00);
    ck_assert_uint_eq(in(&rig.board, 0x42), 0x02);
    rig_free(&rig);
}
END_TEST

/* The loop by which a PC kernel measures its TSC: read the high byte until it changes. */
START_TEST(calibration_by_reading_the_high_byte)
{
    struct rig rig;
    uint64_t first = 0;
    int last = 0xFF;

    rig_init(&rig);
    out(&rig.board, SPEAKER, 0x01);
    out(&rig.board, CONTROL, 0xB0);
    out(&rig.board, 0x42, 0xFF);
    out(&rig.board, 0x42, 0xFF);
    in(&rig.board, 0x42);
    in(&rig.board, 0x42);
    while (last > 0xF0) {
        int high;

        board_advance(&rig.board, 1000);
        in(&rig.board, 0x42);
        high = in(&rig.board, 0x42);
        ck_assert(high == last || high == last - 1);
        if (high != last && !first)
            first = rig.board.now;
        last = high;
    }
    /* 14 changes of the high byte are 14 * 256 ticks. */
    ck_assert_uint_le(llabs((long long)(rig.board.now - first) - 14 * 256 * 1000000000ll / (long long)PIT_HZ),
                      2000);
    rig_free(&rig);
}
END_TEST

START_TEST(calibration_by_out2)
{
    struct rig rig;
    uint64_t start;
    uint16_t count = PIT_HZ / 20;

    rig_init(&rig);
    out(&rig.board, SPEAKER, (in(&rig.board, SPEAKER) & ~2) | 1);
    program(&rig, 2, 0, count);
    start = rig.board.now;
    while (!out2(&rig))
        board_advance(&rig.board, 1000);
    ck_assert_uint_le(rig.board.now - start - 50000000, 3000);
    rig_free(&rig);
}
END_TEST

START_TEST(refresh_toggles)
{
    struct rig rig;
    unsigned changes = 0;
    uint8_t last;

    rig_init(&rig);
    last = in(&rig.board, SPEAKER) & 0x10;
    for (int us = 0; us < 1509; us++) {
        board_advance(&rig.board, 1000);
        changes += (in(&rig.board, SPEAKER) & 0x10) != last;
        last = in(&rig.board, SPEAKER) & 0x10;
    }
    ck_assert_uint_eq(changes, 100);
    rig_free(&rig);
}
END_TEST

START_TEST(late_event_loop_gets_one_edge_and_no_drift)
{
    struct rig rig;
    uint64_t start;

    rig_init(&rig);
    program(&rig, 0, 2, 1000);
    tick(&rig, 1);
    start = clock_ns_to_ticks(rig.board.now, PIT_HZ);
    rig.board.now = clock_ticks_to_ns(start + 10500, PIT_HZ); /* nobody ran the timers */
    clock_run(rig.board.clock);
    ck_assert_uint_eq(rig.irq0.rises, 2);
    tick(&rig, 499);
    ck_assert_uint_eq(rig.irq0.rises, 2);
    tick(&rig, 1);
    ck_assert_uint_eq(rig.irq0.rises, 3);
    rig_free(&rig);
}
END_TEST

START_TEST(stopping_channel_0)
{
    struct rig rig;

    rig_init(&rig);
    program(&rig, 0, 2, 1000);
    tick(&rig, 5000);
    out(&rig.board, CONTROL, 0x30); /* mode 0, and no count */
    ck_assert(!rig.irq0.level);
    ck_assert_uint_eq(clock_next(rig.board.clock), CLOCK_NEVER);
    program(&rig, 0, 2, 1); /* illegal: no edges, and no endless stream of events */
    ck_assert_uint_eq(clock_next(rig.board.clock), CLOCK_NEVER);
    rig_free(&rig);
}
END_TEST

START_TEST(snapshot_goes_on)
{
    struct rig rig;
    struct board board;
    struct line irq0 = {0};
    struct pit *copy;

    rig_init(&rig);
    board_init(&board);
    copy = pit_new(rig.board.clock, board.ports, line_irq(&irq0), NULL);
    program(&rig, 0, 2, 5000);
    program(&rig, 2, 3, 777);
    tick(&rig, 12345);
    board_copy_state(&pit_class, rig.pit, copy);
    ck_assert(irq0.level);
    irq0.rises = rig.irq0.rises = 0;
    tick(&rig, 50000);
    ck_assert_uint_eq(irq0.rises, 10);
    ck_assert_uint_eq(rig.irq0.rises, 10);
    pit_class.free(copy);
    board_free(&board);
    rig_free(&rig);
}
END_TEST

START_TEST(fuzz)
{
    struct rig rig;
    struct board board;
    struct pit *copy;
    uint64_t rises = 0;

    rig_init(&rig);
    for (int i = 0; i < 400000; i++) {
        uint32_t r = board_random(&rig.board);
        uint16_t port = r & 15 ? 0x40 + (r >> 4 & 3) : SPEAKER;

        if (r >> 8 & 1)
            out(&rig.board, port, r >> 16);
        else
            in(&rig.board, port);
        rig.board.now += board_random_step(&rig.board) >> 12;
        if (r >> 9 & 1)
            clock_run(rig.board.clock);
        rises += rig.irq0.rises;
        ck_assert_msg(clock_next(rig.board.clock) > rig.board.now || !(r >> 9 & 1),
                      "an event stays in the past");
    }
    ck_assert_uint_gt(rises, 0);
    board_init(&board);
    copy = pit_new(rig.board.clock, board.ports, (struct irq){0}, NULL);
    clock_run(rig.board.clock);
    board_copy_state(&pit_class, rig.pit, copy);
    pit_class.free(copy);
    board_free(&board);
    rig_free(&rig);
}
END_TEST

Suite *pit_suite(void)
{
    Suite *suite = suite_create("pit");
    TCase *modes = tcase_create("modes"), *access = tcase_create("access"), *board = tcase_create("board");
    TCase *random = tcase_create("random");

    tcase_add_test(modes, mode_0_counts_down_and_stays_high);
    tcase_add_test(modes, mode_0_gate_holds);
    tcase_add_test(modes, mode_0_first_byte_stops);
    tcase_add_test(modes, mode_1_one_shot_retriggers);
    tcase_add_test(modes, mode_2_divides_without_drift);
    tcase_add_test(modes, mode_2_waveform);
    tcase_add_test(modes, mode_2_new_count_waits_for_the_period);
    tcase_add_test(modes, mode_3_even_and_odd);
    tcase_add_test(modes, mode_3_new_count_waits_for_half);
    tcase_add_test(modes, mode_3_interrupts_once_a_period);
    tcase_add_test(modes, mode_4_strobes_once);
    tcase_add_test(modes, mode_5_strobes_after_a_trigger);
    suite_add_tcase(suite, modes);
    tcase_add_test(access, bcd);
    tcase_add_test(access, one_byte_access);
    tcase_add_test(access, latch_holds_until_read);
    tcase_add_test(access, read_back);
    suite_add_tcase(suite, access);
    tcase_add_test(board, calibration_by_reading_the_high_byte);
    tcase_add_test(board, calibration_by_out2);
    tcase_add_test(board, refresh_toggles);
    tcase_add_test(board, late_event_loop_gets_one_edge_and_no_drift);
    tcase_add_test(board, stopping_channel_0);
    tcase_add_test(board, snapshot_goes_on);
    suite_add_tcase(suite, board);
    tcase_set_timeout(random, 60);
    tcase_add_test(random, fuzz);
    suite_add_tcase(suite, random);
    return suite;
}
