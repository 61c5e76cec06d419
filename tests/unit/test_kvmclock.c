/*
 * test_kvmclock.c - kvm-clock: what the guest finds in its memory, read as guests read it (the layouts are
 * those of Linux's Documentation/virt/kvm/x86/msr.rst), and hypercalls.
 */
#include "tests/unit/cpu_rig.h"

#define OK     (-1)
#define TIME   0x4000u
#define WALL   0x5000u
#define SYSTEM 0x4b564d01u

static struct rig *r;

static void setup(void)
{
    r = rig_new(NULL, 0);
}

static void teardown(void)
{
    rig_free(r);
}

static int wr(uint32_t index, uint64_t value)
{
    return EXCEPTION(r, write_msr(r->cpu, NULL, index, value));
}

static uint64_t at(uint32_t address, unsigned size)
{
    uint64_t value = 0;

    memcpy(&value, r->ram + address, size);
    return value;
}

/* As a guest reads it: from the TSC, by the point and the scale at `address`. */
static uint64_t guest_time(uint32_t address)
{
    uint64_t ticks = read_tsc(r->cpu) - at(address + 8, 8);
    int8_t shift = (int8_t)at(address + 28, 1);

    ck_assert_uint_eq(at(address, 4) & 1, 0);
    ticks = shift < 0 ? ticks >> -shift : ticks << shift;
    return at(address + 16, 8) + (uint64_t)((unsigned __int128)ticks * at(address + 24, 4) >> 32);
}

START_TEST(goes_by_the_tsc)
{
    static const uint64_t hz[] = {1000000000, 3000000000, 2595123456, 1500000, 999999999, 4200000001};

    for (unsigned n = 0; n < sizeof(hz) / sizeof(hz[0]); n++) {
        rig_free(r);
        r = rig_new(NULL, hz[n]);
        r->now = 5000000;
        ck_assert_int_eq(wr(SYSTEM, TIME | 1), OK);
        ck_assert_uint_eq(at(TIME + 29, 1), 1); /* stable */
        ck_assert_uint_eq(guest_time(TIME), 5000000);
        r->now += 3600 * NS_PER_SEC; /* an hour: exact to a tick, and a ten thousand millionth */
        ck_assert_uint_le(guest_time(TIME), r->now);
        ck_assert_uint_ge(guest_time(TIME) + 1000 + NS_PER_SEC / hz[n], r->now);
    }
}
END_TEST

START_TEST(follows_jumps)
{
    uint64_t version;

    r->now = 1000;
    ck_assert_int_eq(wr(0x12, TIME | 1), OK); /* the older number */
    version = at(TIME, 4);
    r->now = 2000;
    ck_assert_int_eq(wr(0x10, 0x123456789abc), OK);
    ck_assert_uint_eq(guest_time(TIME), 2000);
    ck_assert_uint_ne(at(TIME, 4), version);
    ck_assert_int_eq(wr(0x3b, 7), OK);
    ck_assert_uint_eq(guest_time(TIME), 2000);
    /* An engine with a clock of its own has been there. */
    r->cpu->s.kvm_clock_offset = 500;
    cpu_renew_clock(r->cpu);
    ck_assert_uint_eq(guest_time(TIME), 2500);
    r->now = 3000;
    ck_assert_uint_eq(guest_time(TIME), 3500);
}
END_TEST

START_TEST(says_when_the_machine_was_switched_on)
{
    memset(r->ram + WALL, 0xff, 12);
    r->now = 7 * NS_PER_SEC + 5; /* which is the rig's wall clock, too */
    r->cpu->s.kvm_clock_offset = (uint64_t)-2 * NS_PER_SEC;
    ck_assert_int_eq(wr(0x4b564d00, WALL), OK);
    ck_assert_uint_eq(at(WALL, 4) & 1, 0);
    ck_assert_uint_eq(at(WALL + 4, 4), 2);
    ck_assert_uint_eq(at(WALL + 8, 4), 0);
}
END_TEST

START_TEST(nothing_is_written_unasked)
{
    ck_assert_int_eq(wr(SYSTEM, TIME), OK); /* not enabled */
    ck_assert_uint_eq(at(TIME, 8) | at(TIME + 8, 8) | at(TIME + 24, 8), 0);
    ck_assert_uint_eq(read_msr(r->cpu, NULL, SYSTEM), TIME);
    ck_assert_uint_eq(read_msr(r->cpu, NULL, 0x12), TIME);
    ck_assert_int_eq(wr(SYSTEM, TIME | 1), OK);
    cpu_reset(r->cpu, false);
    ck_assert_uint_eq(read_msr(r->cpu, NULL, SYSTEM), 0);
    r->log.enabled = 0;
    ck_assert_int_eq(wr(SYSTEM, 0xfffffffff001), OK); /* no RAM there, nor behind the last page */
    ck_assert_int_eq(wr(SYSTEM, RIG_RAM - 16 + 1), OK);
    ck_assert_int_eq(wr(0x11, RIG_RAM - 4), OK);
    ck_assert_uint_eq(at(RIG_RAM - 16, 8) | at(RIG_RAM - 8, 8), 0);
    rig_free(r);
    r = rig_new("qemu64,-kvmclock", 0);
    ck_assert_int_eq(wr(SYSTEM, TIME | 1), EX_GP);
    ck_assert_int_eq(wr(0x11, WALL), EX_GP);
}
END_TEST

START_TEST(hypercalls_are_refused)
{
    static const uint8_t calls[] = {0x0f, 0x01, 0xc1, 0x0f, 0x01, 0xd9};

    rig_long_mode(r);
    memcpy(r->ram + RIG_CODE, calls, sizeof(calls));
    for (unsigned n = 0; n < 2; n++) {
        r->cpu->s.gpr[RAX] = 9;
        cpu_step(r->cpu);
        ck_assert_int_eq((int64_t)r->cpu->s.gpr[RAX], -1000);
        ck_assert_uint_eq(r->cpu->s.rip, RIG_CODE + 3 * (n + 1));
    }
    rig_long_mode(r);
    set_cpl(r->cpu, 3);
    cpu_step(r->cpu);
    ck_assert_int_eq((int64_t)r->cpu->s.gpr[RAX], -1);
}
END_TEST

Suite *kvmclock_suite(void)
{
    Suite *suite = suite_create("kvmclock");
    TCase *tc = tcase_create("kvmclock");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, goes_by_the_tsc);
    tcase_add_test(tc, follows_jumps);
    tcase_add_test(tc, says_when_the_machine_was_switched_on);
    tcase_add_test(tc, nothing_is_written_unasked);
    tcase_add_test(tc, hypercalls_are_refused);
    suite_add_tcase(suite, tc);
    return suite;
}
