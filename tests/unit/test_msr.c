/*
 * test_msr.c - model-specific registers: reserved bits, canonical addresses, the TSC family (SDM 4, 3A 12.11,
 * 3B 18.17).
 */
#include "tests/unit/cpu_rig.h"

#define OK (-1)

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

static int rd(uint32_t index)
{
    return EXCEPTION(r, read_msr(r->cpu, NULL, index));
}

static uint64_t get(uint32_t index)
{
    volatile uint64_t value = 0;

    ck_assert_int_eq(EXCEPTION(r, value = read_msr(r->cpu, NULL, index)), OK);
    return value;
}

START_TEST(unknown_registers_fault)
{
    ck_assert_int_eq(rd(0x12345), EX_GP);
    ck_assert_int_eq(wr(0x12345, 0), EX_GP);
    ck_assert_int_eq(rd(0xc0010111), EX_GP); /* SMBASE */
    ck_assert_int_eq(rd(0x48), EX_GP);       /* SPEC_CTRL isn't offered */
    ck_assert_int_eq(rd(0xc0010200), EX_GP); /* performance counters beyond the old four */
    ck_assert_uint_eq(r->cpu->fault.error, 0);
}
END_TEST

START_TEST(system_call_registers)
{
    static const uint32_t canonical_ones[] = {0x175,      0x176,      0xc0000082, 0xc0000083,
                                              0xc0000100, 0xc0000101, 0xc0000102};

    for (unsigned n = 0; n < sizeof(canonical_ones) / sizeof(canonical_ones[0]); n++) {
        ck_assert_int_eq(wr(canonical_ones[n], 0xffff812345678000), OK);
        ck_assert_uint_eq(get(canonical_ones[n]), 0xffff812345678000);
        ck_assert_int_eq(wr(canonical_ones[n], 0x0000800000000000), EX_GP);
        ck_assert_uint_eq(get(canonical_ones[n]), 0xffff812345678000);
    }
    ck_assert_uint_eq(r->cpu->s.seg[FS].base, 0xffff812345678000);
    ck_assert_int_eq(wr(0xc0000081, 0x0123456789abcdef), OK);
    ck_assert_uint_eq(r->cpu->s.star, 0x0123456789abcdef);
    ck_assert_int_eq(wr(0xc0000084, 1ull << 32), EX_GP);
    ck_assert_int_eq(wr(0xc0000103, 1ull << 32), EX_GP);
    ck_assert_int_eq(wr(0xc0000103, 7), OK);
    ck_assert_uint_eq(r->cpu->s.tsc_aux, 7);
}
END_TEST

START_TEST(efer_rules)
{
    ck_assert_int_eq(wr(0xc0000080, EFER_SCE | EFER_LME | EFER_NXE), OK);
    ck_assert_uint_eq(get(0xc0000080), EFER_SCE | EFER_LME | EFER_NXE);
    ck_assert_int_eq(wr(0xc0000080, 1u << 1), EX_GP);
    ck_assert_int_eq(wr(0xc0000080, 1u << 14), EX_GP); /* FFXSR isn't offered */
    /* LMA can't be written */
    ck_assert_int_eq(wr(0xc0000080, EFER_LME | EFER_LMA), OK);
    ck_assert_uint_eq(get(0xc0000080), EFER_LME);
    /* LME stays while paging is on; writing LMA back is fine */
    rig_long_mode(r);
    ck_assert_int_eq(wr(0xc0000080, EFER_NXE), EX_GP);
    ck_assert_uint_eq(get(0xc0000080), EFER_LME | EFER_LMA);
    ck_assert_int_eq(wr(0xc0000080, EFER_LME | EFER_LMA | EFER_NXE), OK);
    ck_assert_int_eq(wr(0xc0000080, EFER_LME | EFER_SCE), OK);
    ck_assert_uint_eq(get(0xc0000080), EFER_LME | EFER_LMA | EFER_SCE);
}
END_TEST

START_TEST(memory_types)
{
    ck_assert_int_eq(wr(0x277, 0x0407050600070106), OK);
    ck_assert_uint_eq(get(0x277), 0x0407050600070106);
    ck_assert_int_eq(wr(0x277, 0x02), EX_GP);
    ck_assert_int_eq(wr(0x277, 0x08ull << 56), EX_GP);

    ck_assert_uint_eq(get(0xfe) & 0xff, 8);
    ck_assert_int_eq(wr(0xfe, 0), EX_GP);
    ck_assert_int_eq(wr(0x2ff, 0xc06), OK);
    ck_assert_int_eq(wr(0x2ff, 0xc07), EX_GP);
    ck_assert_int_eq(wr(0x2ff, 0x1006), EX_GP);
    ck_assert_int_eq(wr(0x26f, 0x0606060606060606), OK);
    ck_assert_int_eq(wr(0x26f, 0x07), EX_GP); /* UC- is the PAT's alone */
    ck_assert_uint_eq(get(0x26f), 0x0606060606060606);
    ck_assert_int_eq(rd(0x251), EX_GP);

    ck_assert_int_eq(wr(0x20e, 0xc0000006), OK);
    ck_assert_int_eq(wr(0x20f, 0xffc0000800), OK);
    ck_assert_uint_eq(get(0x20e), 0xc0000006);
    ck_assert_uint_eq(get(0x20f), 0xffc0000800);
    ck_assert_int_eq(wr(0x200, 0x106), EX_GP);
    ck_assert_int_eq(wr(0x201, 0x801), EX_GP);
    ck_assert_int_eq(wr(0x201, 1ull << 40), EX_GP); /* 40 address bits */
    ck_assert_int_eq(rd(0x210), EX_GP);
}
END_TEST

START_TEST(time_stamp_counter)
{
    r->now = 1000;
    ck_assert_uint_eq(get(0x10), 1000);
    ck_assert_int_eq(wr(0x10, 5), OK); /* and TSC_ADJUST follows */
    ck_assert_uint_eq(get(0x10), 5);
    ck_assert_uint_eq(get(0x3b), (uint64_t)-995);
    ck_assert_int_eq(wr(0x3b, 0), OK);
    ck_assert_uint_eq(get(0x10), 1000);
    r->now = 1500;
    ck_assert_uint_eq(get(0x10), 1500);
}
END_TEST

START_TEST(deadline_in_clock_time)
{
    r->now = 1000;
    ck_assert_int_eq(wr(0x6e0, 4000), OK);
    ck_assert_uint_eq(r->deadline_ns, 4000);
    ck_assert_uint_eq(r->deadline_raw, 4000);
    ck_assert_uint_eq(get(0x6e0), 4000);
    /* The TSC is set 500 ahead: an armed deadline comes 500 sooner */
    ck_assert_int_eq(wr(0x10, 1500), OK);
    ck_assert_uint_eq(r->deadline_ns, 3500);
    /* In the past: now */
    ck_assert_int_eq(wr(0x6e0, 3), OK);
    ck_assert_uint_eq(r->deadline_ns, 1000);
    /* Beyond the end of time */
    ck_assert_int_eq(wr(0x10, 0), OK);
    ck_assert_int_eq(wr(0x6e0, UINT64_MAX), OK);
    ck_assert_uint_eq(r->deadline_ns, CLOCK_NEVER);
    ck_assert_int_eq(wr(0x6e0, 0), OK);
    ck_assert_uint_eq(r->deadline_ns, 0);
    ck_assert_uint_eq(get(0x6e0), 0);
}
END_TEST

START_TEST(deadline_at_other_rates)
{
    rig_free(r);
    r = rig_new(NULL, 3000000000u);
    r->now = 1000;
    ck_assert_uint_eq(get(0x10), 3000);
    ck_assert_int_eq(wr(0x6e0, 6001), OK);
    ck_assert_uint_eq(r->deadline_ns, 2001); /* the first ns at which the TSC is there */
}
END_TEST

START_TEST(interrupt_controller)
{
    ck_assert_uint_eq(get(0x1b), 0xfee00900);
    ck_assert_int_eq(wr(0x1b, 0xfee00d00), OK);
    ck_assert_uint_eq(r->apic_base, 0xfee00d00);
    ck_assert_int_eq(wr(0x1b, 1), EX_GP);
    ck_assert_int_eq(wr(0x1b, 1ull << 40 | 0x900), EX_GP);
    ck_assert_int_eq(wr(0x808, 0x30), OK);
    ck_assert_uint_eq(get(0x808), 0x30);
    ck_assert_int_eq(rd(0x8ff), EX_GP);
    ck_assert_int_eq(wr(0x801, 0), EX_GP);
}
END_TEST

START_TEST(machine_check_banks_are_silent)
{
    unsigned banks = get(0x179) & 0xff;

    ck_assert_uint_ge(banks, 1);
    for (uint32_t n = 0; n < 4 * banks; n++) {
        ck_assert_uint_eq(get(0x400 + n), 0);
        ck_assert_int_eq(wr(0x400 + n, 0), OK);
    }
    ck_assert_int_eq(wr(0x404, UINT64_MAX), OK); /* CTL and ADDR keep what is written, MISC doesn't */
    ck_assert_int_eq(wr(0x406, 0xaaaa00000000), OK);
    ck_assert_int_eq(wr(0x407, UINT64_MAX), OK);
    ck_assert_uint_eq(get(0x404), UINT64_MAX);
    ck_assert_uint_eq(get(0x406), 0xaaaa00000000);
    ck_assert_uint_eq(get(0x407), 0);
    ck_assert_uint_eq(get(0x400), 0);
    ck_assert_int_eq(wr(0x401, 1), EX_GP);
    ck_assert_int_eq(rd(0x400 + 4 * banks), EX_GP);
    ck_assert_int_eq(wr(0x17a, 4), OK);
    ck_assert_uint_eq(get(0x17a), 4);
    ck_assert_int_eq(wr(0x17a, 8), EX_GP);
}
END_TEST

START_TEST(features_take_their_registers_along)
{
    rig_free(r);
    r = rig_new("base", 0);
    ck_assert_int_eq(rd(0x3b), EX_GP);
    ck_assert_int_eq(rd(0x6e0), EX_GP);
    ck_assert_int_eq(rd(0x808), EX_GP);
    ck_assert_int_eq(rd(0xc0000103), EX_GP);
    ck_assert_int_eq(rd(0x1b), OK);
    ck_assert_int_eq(wr(0x1b, 0xfee00d00), EX_GP); /* no x2APIC to switch to */
}
END_TEST

START_TEST(registers_that_kernels_expect)
{
    ck_assert_uint_eq(get(0xc0010015) >> 24 & 1, 1); /* HWCR.TscFreqSel */
    ck_assert_uint_eq(get(0xc0010010), 0);
    ck_assert_uint_eq(get(0xc0011029) >> 1 & 1, 1); /* LFENCE is serialising */
    ck_assert_int_eq(wr(0xc001001f, 1ull << 46), OK);
    ck_assert_int_eq(wr(0x1d9, 0), OK);
    ck_assert_int_eq(wr(0x1d9, 1), EX_GP);
    ck_assert_int_eq(rd(0x8b), OK);
    ck_assert_int_eq(wr(0xc0010000, 0x410076), OK); /* counts cycles, but nothing counts */
    ck_assert_uint_eq(get(0xc0010007), 0);
}
END_TEST

Suite *msr_suite(void)
{
    Suite *suite = suite_create("msr");
    TCase *tc = tcase_create("msr");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, unknown_registers_fault);
    tcase_add_test(tc, system_call_registers);
    tcase_add_test(tc, efer_rules);
    tcase_add_test(tc, memory_types);
    tcase_add_test(tc, time_stamp_counter);
    tcase_add_test(tc, deadline_in_clock_time);
    tcase_add_test(tc, deadline_at_other_rates);
    tcase_add_test(tc, interrupt_controller);
    tcase_add_test(tc, machine_check_banks_are_silent);
    tcase_add_test(tc, features_take_their_registers_along);
    tcase_add_test(tc, registers_that_kernels_expect);
    suite_add_tcase(suite, tc);
    return suite;
}
