/* The clock and its timers, with hands that the test turns; and the log. */
#include "core/clock.h"
#include "core/log.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

struct hands {
    uint64_t now;
    unsigned told;
};

static uint64_t hands_now(void *opaque)
{
    return ((struct hands *)opaque)->now;
}

static uint64_t hands_wall(void *opaque)
{
    return ((struct hands *)opaque)->now + 1000 * NS_PER_SEC;
}

static void hands_deadline(void *opaque)
{
    ((struct hands *)opaque)->told++;
}

static struct hands hands;
static struct clock *guest;
static char fired[128];

struct bell {
    struct timer timer;
    char letter;
    uint64_t period;
    unsigned rings;
};

static void ring(void *opaque)
{
    struct bell *bell = opaque;
    size_t length = strlen(fired);

    bell->rings++;
    if (length + 1 < sizeof(fired)) {
        fired[length] = bell->letter;
        fired[length + 1] = 0;
    }
    if (bell->period)
        timer_arm(&bell->timer, clock_now(guest) > 5000 ? bell->period : bell->period * (bell->rings + 1));
}

static void bell_init(struct bell *bell, char letter)
{
    memset(bell, 0, sizeof(*bell));
    bell->letter = letter;
    timer_init(&bell->timer, guest, "bell", ring, bell);
}

static void setup(void)
{
    hands = (struct hands){.now = 12345};
    fired[0] = 0;
    guest = clock_new(&(struct clock_source){hands_now, hands_wall, hands_deadline, &hands});
}

static void teardown(void)
{
    clock_free(guest);
}

START_TEST(starts_stops_and_sets)
{
    ck_assert_uint_eq(clock_now(guest), 0);
    hands.now += 100;
    ck_assert_uint_eq(clock_now(guest), 0);
    ck_assert(!clock_running(guest));
    clock_start(guest);
    hands.now += 70;
    ck_assert_uint_eq(clock_now(guest), 70);
    clock_start(guest);
    ck_assert_uint_eq(clock_now(guest), 70);
    clock_stop(guest);
    hands.now += 1000;
    ck_assert_uint_eq(clock_now(guest), 70);
    clock_stop(guest);
    clock_start(guest);
    hands.now += 5;
    ck_assert_uint_eq(clock_now(guest), 75);
    clock_set(guest, 5000);
    ck_assert_uint_eq(clock_now(guest), 5000);
    hands.now += 5;
    ck_assert_uint_eq(clock_now(guest), 5005);
    ck_assert_uint_eq(clock_wall(guest), hands.now + 1000 * NS_PER_SEC);
}
END_TEST

START_TEST(timers_ring_in_order)
{
    struct bell a, b, c, d;

    bell_init(&a, 'a');
    bell_init(&b, 'b');
    bell_init(&c, 'c');
    bell_init(&d, 'd');
    clock_start(guest);
    ck_assert_uint_eq(clock_next(guest), CLOCK_NEVER);
    timer_arm(&c.timer, 300);
    timer_arm(&a.timer, 100);
    timer_arm(&b.timer, 200);
    timer_arm(&d.timer, 200); /* with b, after it */
    ck_assert_uint_eq(clock_next(guest), 100);
    hands.now += 99;
    clock_run(guest);
    ck_assert_str_eq(fired, "");
    hands.now += 1;
    clock_run(guest);
    ck_assert_str_eq(fired, "a");
    ck_assert_uint_eq(a.timer.when, CLOCK_NEVER);
    hands.now += 500;
    clock_run(guest);
    ck_assert_str_eq(fired, "abdc");
    clock_run(guest);
    ck_assert_str_eq(fired, "abdc");
    ck_assert_uint_eq(clock_next(guest), CLOCK_NEVER);
}
END_TEST

START_TEST(moves_and_disarms)
{
    struct bell a, b;

    bell_init(&a, 'a');
    bell_init(&b, 'b');
    clock_start(guest);
    timer_disarm(&a.timer);
    timer_arm(&a.timer, 100);
    timer_arm(&b.timer, 200);
    timer_arm(&a.timer, 300);
    ck_assert_uint_eq(clock_next(guest), 200);
    timer_arm(&b.timer, CLOCK_NEVER);
    ck_assert_uint_eq(clock_next(guest), 300);
    timer_disarm(&a.timer);
    timer_disarm(&a.timer);
    hands.now += 1000;
    clock_run(guest);
    ck_assert_str_eq(fired, "");
    /* In the past: at once. */
    timer_arm(&a.timer, 5);
    clock_run(guest);
    ck_assert_str_eq(fired, "a");
}
END_TEST

START_TEST(late_periods_catch_up)
{
    struct bell a;

    bell_init(&a, 'a');
    clock_start(guest);
    a.period = 1000;
    timer_arm(&a.timer, 1000);
    hands.now += 4500;
    clock_run(guest);
    ck_assert_uint_eq(a.rings, 4);
    ck_assert_uint_eq(clock_next(guest), 5000);
}
END_TEST

START_TEST(timer_always_in_the_past_lets_go)
{
    struct bell a;

    bell_init(&a, 'a');
    clock_start(guest);
    a.period = 1;
    timer_arm(&a.timer, 1);
    hands.now += 10000;
    clock_run(guest);
    ck_assert_uint_gt(a.rings, 1);
    ck_assert_uint_le(clock_next(guest), clock_now(guest));
}
END_TEST

START_TEST(nearer_deadlines_are_told)
{
    struct bell a, b;

    bell_init(&a, 'a');
    bell_init(&b, 'b');
    clock_start(guest);
    hands.told = 0;
    timer_arm(&a.timer, 500);
    ck_assert_uint_eq(hands.told, 1);
    timer_arm(&b.timer, 600);
    ck_assert_uint_eq(hands.told, 1);
    timer_arm(&b.timer, 400);
    ck_assert_uint_eq(hands.told, 2);
}
END_TEST

START_TEST(random_heap_is_sorted)
{
    static struct bell bells[300];
    uint64_t last = 0;
    uint32_t x = 1;

    for (unsigned i = 0; i < 300; i++) {
        bell_init(&bells[i], 'x');
        x = x * 1664525 + 1013904223;
        timer_arm(&bells[i].timer, x >> 20);
    }
    for (unsigned i = 0; i < 300; i += 3)
        timer_disarm(&bells[i].timer);
    for (unsigned i = 1; i < 300; i += 3) {
        x = x * 1664525 + 1013904223;
        timer_arm(&bells[i].timer, x >> 20);
    }
    while (clock_next(guest) != CLOCK_NEVER) {
        ck_assert_uint_ge(clock_next(guest), last);
        last = clock_next(guest);
        clock_set(guest, last);
        clock_run(guest);
    }
    for (unsigned i = 0; i < 300; i++)
        ck_assert_uint_eq(bells[i].rings, i % 3 ? 1 : 0);
}
END_TEST

START_TEST(ticks_are_exact)
{
    /* The PIT's 1193182 Hz: after 100 years still exact. */
    uint64_t century = 100ull * 365 * 86400;

    ck_assert_uint_eq(clock_ns_to_ticks(century * NS_PER_SEC, 1193182), century * 1193182);
    ck_assert_uint_eq(clock_ticks_to_ns(century * 1193182, 1193182), century * NS_PER_SEC);
    ck_assert_uint_eq(clock_ns_to_ticks(838, 1193182), 0);
    ck_assert_uint_eq(clock_ns_to_ticks(839, 1193182), 1);
    ck_assert_uint_eq(clock_ticks_to_ns(1, 1193182), 839);
    ck_assert_uint_eq(clock_ticks_to_ns(0, 1193182), 0);
    ck_assert_uint_eq(clock_ticks_to_ns(UINT64_MAX, 1), CLOCK_NEVER);
    ck_assert_uint_eq(clock_ticks_to_ns(1, 0), CLOCK_NEVER);
    ck_assert_uint_eq(clock_ns_to_ticks(UINT64_MAX, NS_PER_SEC), UINT64_MAX);
    uint64_t rates[] = {32768, 1193182, 3579545, 14318180, 100000000, NS_PER_SEC};
    for (unsigned i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        for (uint64_t t = 1; t < UINT64_C(1) << 40; t = t * 3 + 1) {
            uint64_t ns = clock_ticks_to_ns(t, rates[i]);
            ck_assert_uint_eq(clock_ns_to_ticks(ns, rates[i]), t);
            ck_assert_uint_eq(clock_ns_to_ticks(ns - 1, rates[i]), t - 1);
        }
    }
}
END_TEST

static void keep_line(void *opaque, enum log_level level, const char *line)
{
    sprintf(opaque, "%s/%.100s", log_level_name(level), line);
}

START_TEST(log_lines)
{
    struct log log;
    char *text = NULL, tapped[128] = "";
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    log_init(&log, out);
    log_at(NULL, LOG_ERROR, "nobody", "hears this");
    log_at(&log, LOG_WARN, "disk", "%d bytes %s", 5, "short");
    log_at(&log, LOG_GUEST, "pit", "mode 9");
    fflush(out);
    ck_assert_str_eq(text, "disk: 5 bytes short\n");
    log.tap = keep_line;
    log.tap_opaque = tapped;
    log.enabled |= 1u << LOG_GUEST;
    log_at(&log, LOG_GUEST, "pit", "mode %d\n\033[2J", 9);
    fflush(out);
    ck_assert_str_eq(text, "disk: 5 bytes short\npit: mode 9??[2J\n");
    ck_assert_str_eq(tapped, "guest/pit: mode 9??[2J");
    log_at(&log, LOG_INFO, "x", "%0600d", 7);
    fclose(out);
    ck_assert_uint_eq(size, strlen("disk: 5 bytes short\npit: mode 9??[2J\n") + 604);
    ck_assert_int_eq(text[size - 2], '7');
    free(text);
}
END_TEST

START_TEST(log_names)
{
    for (int i = 0; i < LOG_LEVELS; i++)
        ck_assert_int_eq(log_level_from_name(log_level_name((enum log_level)i)), i);
    ck_assert_str_eq(log_level_name(LOG_GUEST), "guest");
    ck_assert_int_eq(log_level_from_name("loud"), -1);
}
END_TEST

Suite *core_clock_suite(void);

Suite *core_clock_suite(void)
{
    Suite *suite = suite_create("core_clock");
    TCase *tc = tcase_create("clock");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, starts_stops_and_sets);
    tcase_add_test(tc, timers_ring_in_order);
    tcase_add_test(tc, moves_and_disarms);
    tcase_add_test(tc, late_periods_catch_up);
    tcase_add_test(tc, timer_always_in_the_past_lets_go);
    tcase_add_test(tc, nearer_deadlines_are_told);
    tcase_add_test(tc, random_heap_is_sorted);
    tcase_add_test(tc, ticks_are_exact);
    suite_add_tcase(suite, tc);
    TCase *lines = tcase_create("log");
    tcase_add_test(lines, log_lines);
    tcase_add_test(lines, log_names);
    suite_add_tcase(suite, lines);
    return suite;
}
