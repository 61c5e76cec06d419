/* ACPI fixed hardware, against ACPI 6.3 chapter 4.8. */
#include "core/clock.h"
#include "devices/acpi_pm.h"

#include <check.h>
#include <stdlib.h>

#define STS 0x600
#define EN  0x602
#define CNT 0x604
#define TMR 0x608
#define GPE 0x60C

static uint64_t hands;
static struct clock *timebase;
static struct bus *ports;
static struct acpi_pm *pm;
static bool sci;
static unsigned poweroffs, smis;

static uint64_t now(void *opaque)
{
    return *(uint64_t *)opaque;
}

static void on_wire(void *opaque, int n, bool level)
{
    (void)opaque;
    if (n == 0)
        sci = level;
    else if (n == 1)
        poweroffs += level;
    else
        smis += level;
}

static void setup(void)
{
    struct clock_source source = {.now = now, .opaque = &hands};
    struct acpi_pm_wires wires = {
        .sci = {on_wire, NULL, 0}, .poweroff = {on_wire, NULL, 1}, .smi = {on_wire, NULL, 2}};

    hands = poweroffs = smis = 0;
    sci = false;
    timebase = clock_new(&source);
    clock_start(timebase);
    ports = bus_new("ports", 0x10000, NULL);
    pm = acpi_pm_new(timebase, ports, &wires, NULL);
}

static void teardown(void)
{
    acpi_pm_class.free(pm);
    bus_free(ports);
    clock_free(timebase);
}

static void at(uint64_t ns)
{
    hands = ns;
    clock_run(timebase);
}

START_TEST(enable_and_disable)
{
    ck_assert_uint_eq(bus_read(ports, CNT, 2), 0);
    bus_write(ports, 0xB2, 0xF1, 1);
    ck_assert_uint_eq(bus_read(ports, CNT, 2), 1);
    ck_assert_uint_eq(bus_read(ports, 0xB2, 1), 0xF1);
    bus_write(ports, CNT, 0, 2); /* SCI_EN is firmware's */
    ck_assert_uint_eq(bus_read(ports, CNT, 2), 1);
    bus_write(ports, 0xB2, 0xF0, 1);
    ck_assert_uint_eq(bus_read(ports, CNT, 2), 0);
    ck_assert_uint_eq(smis, 0);
    bus_write(ports, 0xB3, 0x5A, 1);
    ck_assert_uint_eq(bus_read(ports, 0xB3, 1), 0x5A);
    bus_write(ports, 0xB2, 0x12, 1);
    ck_assert_uint_eq(smis, 1);
}
END_TEST

START_TEST(power_button)
{
    ck_assert(!acpi_pm_power_button(pm)); /* nobody listens */
    ck_assert_uint_eq(bus_read(ports, STS, 2), 0x100);
    bus_write(ports, STS, 0x100, 2);
    ck_assert_uint_eq(bus_read(ports, STS, 2), 0);
    bus_write(ports, 0xB2, 0xF1, 1);
    bus_write(ports, EN, 0x100, 2);
    ck_assert(acpi_pm_power_button(pm));
    ck_assert(sci);
    bus_write(ports, EN, 0, 2); /* a level: follows enable */
    ck_assert(!sci);
    bus_write(ports, EN + 1, 0x01, 1);
    ck_assert(sci);
    bus_write(ports, STS, 0xFEFF, 2); /* only ones clear */
    ck_assert(sci);
    bus_write(ports, STS + 1, 0x01, 1);
    ck_assert(!sci);
    bus_write(ports, EN, 0xFFFF, 2);
    ck_assert_uint_eq(bus_read(ports, EN, 2), 0x521);
}
END_TEST

START_TEST(soft_off)
{
    bus_write(ports, CNT, 0x3C00 & ~0x2000, 2); /* type without enable */
    ck_assert_uint_eq(poweroffs, 0);
    ck_assert_uint_eq(bus_read(ports, CNT, 2), 0x1C00);
    bus_write(ports, CNT, 1u << 13 | 5u << 10, 2); /* not S5 */
    ck_assert_uint_eq(poweroffs, 0);
    bus_write(ports, CNT, 1u << 13, 2);
    ck_assert_uint_eq(poweroffs, 1);
    ck_assert_uint_eq(bus_read(ports, CNT, 2), 0); /* SLP_EN reads 0 */
    bus_write(ports, CNT + 1, 0x20, 1);
    ck_assert_uint_eq(poweroffs, 2);
}
END_TEST

/* 4.8.3.3: 3.579545 MHz, 24 bits, status whenever the top bit changes: each 2.3435 s. */
START_TEST(timer_counts)
{
    ck_assert_uint_eq(bus_read(ports, TMR, 4), 0);
    at(NS_PER_SEC);
    ck_assert_uint_eq(bus_read(ports, TMR, 4), 3579545);
    ck_assert_uint_eq(bus_read(ports, TMR, 2), 3579545 & 0xFFFF);
    ck_assert_uint_eq(bus_read(ports, TMR + 2, 1), 3579545 >> 16);
    bus_write(ports, TMR, 0, 4);
    at(4 * NS_PER_SEC);
    ck_assert_uint_eq(bus_read(ports, TMR, 4), 4 * 3579545);
    at(5 * NS_PER_SEC);
    ck_assert_uint_eq(bus_read(ports, TMR, 4), 5 * 3579545 - (1 << 24));
}
END_TEST

START_TEST(timer_overflow)
{
    uint64_t half = clock_ticks_to_ns(1 << 23, 3579545);

    ck_assert_uint_eq(clock_next(timebase), CLOCK_NEVER); /* nobody asked */
    at(half - 1);
    ck_assert_uint_eq(bus_read(ports, STS, 2), 0);
    at(half);
    ck_assert_uint_eq(bus_read(ports, STS, 2), 1);
    bus_write(ports, STS, 1, 2);
    ck_assert_uint_eq(bus_read(ports, STS, 2), 0);

    bus_write(ports, 0xB2, 0xF1, 1);
    bus_write(ports, EN, 1, 2);
    ck_assert_uint_eq(clock_next(timebase), clock_ticks_to_ns(1 << 24, 3579545));
    at(clock_next(timebase));
    ck_assert(sci);
    ck_assert_uint_eq(clock_next(timebase), CLOCK_NEVER); /* pending: no need to wake */
    bus_write(ports, STS, 1, 2);
    ck_assert(!sci);
    ck_assert_uint_eq(clock_next(timebase), clock_ticks_to_ns(3u << 23, 3579545));
}
END_TEST

START_TEST(general_purpose_events)
{
    struct irq line = acpi_pm_gpe(pm, 9);

    bus_write(ports, 0xB2, 0xF1, 1);
    irq_pulse(&line);
    ck_assert(!sci);
    ck_assert_uint_eq(bus_read(ports, GPE, 2), 1u << 9);
    bus_write(ports, GPE + 3, 0x02, 1);
    ck_assert(sci);
    ck_assert_uint_eq(bus_read(ports, GPE, 4), 0x02000200);
    bus_write(ports, GPE, 0x200, 2);
    ck_assert(!sci);
    ck_assert_ptr_null(acpi_pm_gpe(pm, 16).fn);
}
END_TEST

START_TEST(state_travels)
{
    struct state_buf buf = {0};
    char why[128];

    bus_write(ports, 0xB2, 0xF1, 1);
    bus_write(ports, EN, 0x101, 2);
    acpi_pm_power_button(pm);
    ck_assert(fields_save(acpi_pm_class.state, pm, &buf));
    acpi_pm_class.reset(pm);
    ck_assert(!sci);
    ck_assert_uint_eq(clock_next(timebase), CLOCK_NEVER);
    ck_assert_uint_gt(fields_load(acpi_pm_class.state, pm, buf.data, buf.size, why, sizeof(why)), 0);
    acpi_pm_class.loaded(pm);
    ck_assert(sci);
    ck_assert_uint_ne(clock_next(timebase), CLOCK_NEVER);
    free(buf.data);
}
END_TEST

/* SCI is always what the registers say it is (4.8.4). */
START_TEST(random_accesses)
{
    uint64_t seed = 3;

    for (unsigned i = 0; i < 100000; i++) {
        uint32_t a;
        struct irq line;

        seed = seed * 6364136223846793005u + 1442695040888963407u;
        a = seed >> 32;
        line = acpi_pm_gpe(pm, a >> 8 & 15);
        switch (a % 5) {
        case 0:
            bus_write(ports, 0x5FE + (a >> 8) % 20, seed >> 8, 1u << (a >> 16 & 3));
            break;
        case 1:
            bus_write(ports, 0xB2, (a >> 8 & 7) ? 0xF1 : a >> 16, 1);
            break;
        case 2:
            irq_set(&line, a >> 16 & 1);
            break;
        case 3:
            at(hands + (a >> (seed & 31)));
            break;
        default:
            bus_read(ports, 0x5FE + (a >> 8) % 20, 1u << (a >> 16 & 3));
        }
        if (a & 0x100)
            acpi_pm_power_button(pm);
        uint32_t gpe = bus_read(ports, GPE, 4);
        bool wanted =
            (bus_read(ports, STS, 2) & bus_read(ports, EN, 2) & 0x521) || (gpe & gpe >> 16 & 0xFFFF);
        ck_assert(sci == (wanted && (bus_read(ports, CNT, 1) & 1)));
    }
}
END_TEST

Suite *acpi_pm_suite(void)
{
    Suite *suite = suite_create("acpi_pm");
    TCase *tcase = tcase_create("acpi_pm");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, enable_and_disable);
    tcase_add_test(tcase, power_button);
    tcase_add_test(tcase, soft_off);
    tcase_add_test(tcase, timer_counts);
    tcase_add_test(tcase, timer_overflow);
    tcase_add_test(tcase, general_purpose_events);
    tcase_add_test(tcase, state_travels);
    tcase_add_test(tcase, random_accesses);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return suite;
}
