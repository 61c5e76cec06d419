/*
 * test_la57.c - 5-level paging: CR4.LA57, the walk, canonical addresses of 57 bits, CPUID (SDM 3A 4.5).
 */
#include "cpu/system.h"
#include "tests/unit/cpu_rig.h"

#define OK       (-1)
#define PML5     0xc000u
#define FAR_AWAY (5ull << 48) /* an address that only 57 bits reach */

static struct rig *r;
static struct cpu *cpu;

static void setup(void)
{
    r = rig_new("max", 0);
    cpu = r->cpu;
    rig_long_mode(r);
    rig_put64(r, PML5, RIG_PML4 | 7);
    rig_put64(r, PML5 + 8 * 5, RIG_PML4 | 7);
    rig_put64(r, PML5 + 8 * 511, RIG_PML4 | 7);
    cpu->s.cr3 = PML5;
    cpu->s.cr4 |= CR4_LA57;
    cpu_push(cpu);
}

static void teardown(void)
{
    rig_free(r);
}

static int rd(uint64_t at)
{
    return EXCEPTION(r, linear_read(cpu, NULL, DS, at, 8));
}

START_TEST(five_levels)
{
    rig_put64(r, 0x3000, 0x1122334455667788);
    ck_assert_uint_eq(linear_read(cpu, NULL, DS, 0x3000, 8), 0x1122334455667788);
    ck_assert_uint_eq(linear_read(cpu, NULL, DS, FAR_AWAY + 0x3000, 8), 0x1122334455667788);
    ck_assert_uint_eq(linear_read(cpu, NULL, DS, 0xffff000000003000, 8), 0x1122334455667788);
    ck_assert_int_eq(rd(6ull << 48), EX_PF); /* not present */
    ck_assert_uint_eq(cpu->fault.error, 0);
    ck_assert_uint_eq(cpu->s.cr2, 6ull << 48);
    ck_assert_uint_eq(cpu_translate(cpu, FAR_AWAY + 0x3123), 0x3123);
    ck_assert_uint_eq(r->ram[PML5 + 8 * 5] & 0x20, 0x20); /* accessed */
}
END_TEST

START_TEST(canonical_addresses)
{
    ck_assert_int_eq(rd(0x00ffffffffffffff), EX_GP); /* runs out of the lower half */
    ck_assert_int_eq(rd(0x0100000000000000), EX_GP);
    ck_assert_int_eq(rd(0xfeffffffffffff00), EX_GP);
    ck_assert_int_eq(rd(0xff00000000000000), EX_PF);
    ck_assert_int_eq(EXCEPTION(r, linear_read(cpu, NULL, SS, 1ull << 57, 8)), EX_SS);
}
END_TEST

START_TEST(reserved_bits)
{
    rig_put64(r, PML5 + 8 * 7, RIG_PML4 | 0x80 | 7); /* PS in a PML5 entry */
    ck_assert_int_eq(rd(7ull << 48), EX_PF);
    ck_assert_uint_eq(cpu->fault.error, PF_P | PF_RSVD);
    rig_put64(r, PML5 + 8 * 7, 1ull << 51 | RIG_PML4 | 7);
    ck_assert_int_eq(rd(7ull << 48), EX_PF);
    ck_assert_uint_eq(cpu->fault.error, PF_P | PF_RSVD);
}
END_TEST

START_TEST(rights_of_the_fifth_level_count)
{
    rig_put64(r, PML5 + 8 * 7, RIG_PML4 | 5); /* not writable */
    ck_assert_int_eq(rd(7ull << 48), OK);
    ck_assert_int_eq(EXCEPTION(r, linear_write(cpu, NULL, DS, 7ull << 48, 0, 1)), EX_PF);
    ck_assert_uint_eq(cpu->fault.error, PF_P | PF_W);
}
END_TEST

START_TEST(changes_outside_long_mode_only)
{
    ck_assert_int_eq(EXCEPTION(r, write_cr4(cpu, NULL, CR4_PAE)), EX_GP);
    ck_assert_int_eq(EXCEPTION(r, write_cr4(cpu, NULL, CR4_PAE | CR4_LA57 | CR4_PGE)), OK);
    rig_free(r);
    r = rig_new("max", 0);
    cpu = r->cpu;
    ck_assert_int_eq(EXCEPTION(r, write_cr4(cpu, NULL, CR4_PAE | CR4_LA57)), OK);
    ck_assert_int_eq(EXCEPTION(r, write_cr4(cpu, NULL, CR4_PAE)), OK);
    rig_long_mode(r);
    ck_assert_int_eq(EXCEPTION(r, write_cr4(cpu, NULL, CR4_PAE | CR4_LA57)), EX_GP);
    rig_free(r);
    r = rig_new("max,-la57", 0);
    cpu = r->cpu;
    ck_assert_int_eq(EXCEPTION(r, write_cr4(cpu, NULL, CR4_LA57)), EX_GP);
}
END_TEST

/* RIP, calls and returns go where 57 bits reach. */
START_TEST(code_far_away)
{
    static const uint8_t code[] = {0xb8, 1,    0, 0, 0, /* mov eax, 1 */
                                   0xff, 0xd3,          /* call rbx */
                                   0xb9, 3,    0, 0, 0, /* mov ecx, 3 */
                                   0xeb, 0xfe};
    static const uint8_t callee[] = {0xba, 2, 0, 0, 0, 0xc3}; /* mov edx, 2; ret */

    bus_write_block(r->memory, 0x2000, callee, sizeof(callee));
    bus_write_block(r->memory, RIG_CODE, code, sizeof(code));
    cpu->s.rip = FAR_AWAY + RIG_CODE;
    cpu->s.gpr[RBX] = 0xff00000000002000;
    rig_put64(r, PML5 + 8 * 256, RIG_PML4 | 7);
    cpu->s.gpr[RSP] = FAR_AWAY + 0x7000;
    cpu_run(cpu, 100);
    ck_assert_uint_eq(cpu->s.gpr[RAX], 1);
    ck_assert_uint_eq(cpu->s.gpr[RDX], 2);
    ck_assert_uint_eq(cpu->s.gpr[RCX], 3);
    ck_assert_uint_eq(cpu->s.rip, FAR_AWAY + RIG_CODE + 12);
}
END_TEST

/* MSRs and bases are checked by the processor's width, addresses by the mode's. */
START_TEST(width_of_the_processor)
{
    rig_free(r);
    r = rig_new("max", 0);
    cpu = r->cpu;
    rig_long_mode(r); /* four levels */
    ck_assert_int_eq(rd(FAR_AWAY), EX_GP);
    ck_assert_int_eq(EXCEPTION(r, write_msr(cpu, NULL, 0xc0000102, FAR_AWAY)), OK);
    ck_assert_int_eq(EXCEPTION(r, write_msr(cpu, NULL, 0xc0000082, 0xff00000000000000)), OK);
    ck_assert_int_eq(EXCEPTION(r, write_msr(cpu, NULL, 0xc0000102, 1ull << 57)), EX_GP);
    rig_free(r);
    r = rig_new("max,-la57", 0);
    cpu = r->cpu;
    rig_long_mode(r);
    ck_assert_int_eq(EXCEPTION(r, write_msr(cpu, NULL, 0xc0000102, FAR_AWAY)), EX_GP);
}
END_TEST

START_TEST(told_by_cpuid)
{
    uint32_t out[4];

    cpuid(cpu, 7, 0, out);
    ck_assert_uint_eq(out[2] >> 16 & 1, 1);
    cpuid(cpu, 0x80000008, 0, out);
    ck_assert_uint_eq(out[0] >> 8 & 0xff, 57);
}
END_TEST

/* INVLPG and INVPCID take addresses of 57 bits, and drop what was remembered. */
START_TEST(invalidation)
{
    ck_assert_int_eq(rd(FAR_AWAY + 0x3000), OK);
    rig_put64(r, RIG_PT + 8 * 3, 0x4000 | 7);
    rig_put64(r, 0x4000, 77);
    cpu->s.gpr[RBX] = FAR_AWAY + 0x3000;
    RUN(r, 0x0f, 0x01, 0x3b); /* invlpg [rbx] */
    ck_assert_uint_eq(linear_read(cpu, NULL, DS, FAR_AWAY + 0x3000, 8), 77);
    rig_put64(r, RIG_PT + 8 * 3, 0x5000 | 7);
    rig_put64(r, 0x5000, 78);
    rig_put64(r, 0x6000, 0);
    rig_put64(r, 0x6008, FAR_AWAY + 0x3000);
    cpu->s.rip = RIG_CODE;
    cpu->s.gpr[RBX] = 0x6000;
    cpu->s.gpr[RAX] = 0;
    RUN(r, 0x66, 0x0f, 0x38, 0x82, 0x03); /* invpcid rax, [rbx] */
    ck_assert_uint_eq(linear_read(cpu, NULL, DS, FAR_AWAY + 0x3000, 8), 78);
}
END_TEST

Suite *la57_suite(void)
{
    Suite *suite = suite_create("la57");
    TCase *tc = tcase_create("la57");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, five_levels);
    tcase_add_test(tc, canonical_addresses);
    tcase_add_test(tc, reserved_bits);
    tcase_add_test(tc, rights_of_the_fifth_level_count);
    tcase_add_test(tc, changes_outside_long_mode_only);
    tcase_add_test(tc, code_far_away);
    tcase_add_test(tc, width_of_the_processor);
    tcase_add_test(tc, told_by_cpuid);
    tcase_add_test(tc, invalidation);
    suite_add_tcase(suite, tc);
    return suite;
}
