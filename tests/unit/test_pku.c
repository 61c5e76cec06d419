/*
 * test_pku.c - protection keys (SDM 3A 4.6.2, 4.7): RDPKRU and WRPKRU, who is kept from what, error codes,
 * and that translations follow PKRU.
 */
#include "cpu/system.h"
#include "tests/unit/cpu_rig.h"

#define OK   (-1)
#define PAGE 0x30000u /* its key is 5 */
#define KEY  5u
#define AD   (1u << 2 * KEY)
#define WD   (2u << 2 * KEY)

static struct rig *r;
static struct cpu *cpu;

static void map(uint32_t page, uint64_t bits)
{
    rig_put64(r, RIG_PT + 8 * (page >> 12), page | bits);
    tlb_flush_all(cpu);
}

static void setup(void)
{
    r = rig_new("max", 0);
    cpu = r->cpu;
    rig_long_mode(r);
    cpu->s.cr4 |= CR4_PKE;
    map(PAGE, (uint64_t)KEY << 59 | 7);
}

static void teardown(void)
{
    rig_free(r);
}

static void be(unsigned cpl)
{
    cpu->s.cpl = (uint8_t)cpl;
    update_mode(cpu);
}

static int rd(uint64_t at)
{
    return EXCEPTION(r, linear_read(cpu, NULL, DS, at, 4));
}

static int wr(uint64_t at)
{
    return EXCEPTION(r, linear_write(cpu, NULL, DS, at, 0, 4));
}

START_TEST(user_accesses)
{
    be(3);
    ck_assert_int_eq(rd(PAGE), OK);
    ck_assert_int_eq(wr(PAGE), OK);
    write_pkru(cpu, WD);
    ck_assert_int_eq(rd(PAGE), OK);
    ck_assert_int_eq(wr(PAGE), EX_PF);
    ck_assert_uint_eq(cpu->fault.error, PF_P | PF_W | PF_U | PF_PK);
    ck_assert_uint_eq(cpu->s.cr2, PAGE);
    write_pkru(cpu, AD);
    ck_assert_int_eq(rd(PAGE), EX_PF);
    ck_assert_uint_eq(cpu->fault.error, PF_P | PF_U | PF_PK);
    ck_assert_int_eq(wr(PAGE), EX_PF);
    ck_assert_int_eq(rd(PAGE + 0x1000), OK);                              /* key 0 */
    ck_assert_int_eq(EXCEPTION(r, fetch_translate(cpu, NULL, PAGE)), OK); /* code is not data */
    write_pkru(cpu, ~(AD | WD));
    ck_assert_int_eq(wr(PAGE), OK);
    ck_assert_int_eq(rd(PAGE + 0x1000), EX_PF);
}
END_TEST

START_TEST(supervisor_accesses)
{
    write_pkru(cpu, WD);
    ck_assert_int_eq(rd(PAGE), OK);
    ck_assert_int_eq(wr(PAGE), EX_PF); /* CR0.WP is set */
    ck_assert_uint_eq(cpu->fault.error, PF_P | PF_W | PF_PK);
    write_cr0(cpu, NULL, cpu->s.cr0 & ~(uint64_t)CR0_WP);
    ck_assert_int_eq(wr(PAGE), OK);
    write_pkru(cpu, AD);
    ck_assert_int_eq(rd(PAGE), EX_PF);  /* WP or not */
    map(PAGE, (uint64_t)KEY << 59 | 3); /* a supervisor's page has no key */
    ck_assert_int_eq(rd(PAGE), OK);
    ck_assert_int_eq(wr(PAGE), OK);
}
END_TEST

/* The bit is set whenever the key forbids it, whatever else does. */
START_TEST(error_code_with_other_reasons)
{
    be(3);
    map(PAGE, (uint64_t)KEY << 59 | 5); /* read-only */
    write_pkru(cpu, WD);
    ck_assert_int_eq(wr(PAGE), EX_PF);
    ck_assert_uint_eq(cpu->fault.error, PF_P | PF_W | PF_U | PF_PK);
    write_pkru(cpu, 0);
    ck_assert_int_eq(wr(PAGE), EX_PF);
    ck_assert_uint_eq(cpu->fault.error, PF_P | PF_W | PF_U);
    map(PAGE, (uint64_t)KEY << 59 | 6); /* not present */
    write_pkru(cpu, AD | WD);
    ck_assert_int_eq(wr(PAGE), EX_PF);
    ck_assert_uint_eq(cpu->fault.error, PF_W | PF_U);
}
END_TEST

/* PTEs by address, not by PCID: what PKRU says holds in the context that comes back, too. */
START_TEST(every_context_follows)
{
    write_cr4(cpu, NULL, cpu->s.cr4 | CR4_PCIDE);
    be(3);
    ck_assert_int_eq(wr(PAGE), OK);
    write_cr3(cpu, NULL, RIG_PML4 | 1);
    ck_assert_int_eq(wr(PAGE), OK);
    write_pkru(cpu, AD);
    ck_assert_int_eq(rd(PAGE), EX_PF);
    write_cr3(cpu, NULL, 1ull << 63 | RIG_PML4);
    ck_assert_int_eq(rd(PAGE), EX_PF);
}
END_TEST

/* Also where the kernel's half is mapped for the user. */
START_TEST(upper_half)
{
    const uint64_t high = 0xffff800000000000ull + PAGE;

    rig_put64(r, RIG_PML4 + 8 * 256, RIG_PDPT | 7);
    be(3);
    ck_assert_int_eq(wr(high), OK);
    write_pkru(cpu, WD);
    ck_assert_int_eq(wr(high), EX_PF);
    write_pkru(cpu, 0);
    ck_assert_int_eq(wr(high), OK);
}
END_TEST

START_TEST(without_pke_there_are_no_keys)
{
    write_pkru(cpu, AD | WD);
    be(3);
    ck_assert_int_eq(rd(PAGE), EX_PF);
    be(0);
    write_cr4(cpu, NULL, cpu->s.cr4 & ~(uint64_t)CR4_PKE);
    be(3);
    ck_assert_int_eq(rd(PAGE), OK);
    ck_assert_int_eq(wr(PAGE), OK);
}
END_TEST

START_TEST(a_debugger_sees_all)
{
    write_pkru(cpu, AD);
    ck_assert_uint_eq(cpu_translate(cpu, PAGE), PAGE);
}
END_TEST

/* No walk is needed for keys that nothing is mapped with. */
START_TEST(changes_that_concern_nobody_cost_nothing)
{
    uint64_t flushes;

    be(3);
    ck_assert_int_eq(rd(PAGE), OK);
    flushes = cpu->stats.tlb_flushes;
    write_pkru(cpu, 3u << 14);
    ck_assert_uint_eq(cpu->stats.tlb_flushes, flushes);
    write_pkru(cpu, WD);
    ck_assert_uint_eq(cpu->stats.tlb_flushes, flushes + 1);
}
END_TEST

static int run(const uint8_t *code, unsigned size)
{
    struct cpu_fault chain[6];
    int vector = OK;

    cpu->s.rip = RIG_CODE;
    if (rig_run(r, code, size) == CPU_EXIT_SHUTDOWN) {
        ck_assert_uint_ge(cpu_chain(cpu, chain, 6), 1);
        vector = chain[0].vector;
        cpu->s.activity = CPU_RUNNING;
    }
    return vector;
}
#define EXEC(...) run((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))
#define RDPKRU    0x0f, 0x01, 0xee
#define WRPKRU    0x0f, 0x01, 0xef

START_TEST(instructions)
{
    uint32_t out[4];

    cpu->s.gpr[RAX] = 0xffffffff12345670;
    cpu->s.gpr[RCX] = 0xffffffff00000000;
    cpu->s.gpr[RDX] = 0xffffffff00000000;
    ck_assert_int_eq(EXEC(WRPKRU), OK);
    ck_assert_uint_eq(cpu->s.pkru, 0x12345670);
    cpu->s.gpr[RAX] = cpu->s.gpr[RDX] = UINT64_MAX;
    ck_assert_int_eq(EXEC(RDPKRU), OK);
    ck_assert_uint_eq(cpu->s.gpr[RAX], 0x12345670);
    ck_assert_uint_eq(cpu->s.gpr[RDX], 0);
    cpu->s.gpr[RDX] = 1;
    ck_assert_int_eq(EXEC(WRPKRU), EX_GP);
    cpu->s.gpr[RDX] = 0;
    cpu->s.gpr[RCX] = 1;
    ck_assert_int_eq(EXEC(WRPKRU), EX_GP);
    ck_assert_int_eq(EXEC(RDPKRU), EX_GP);
    ck_assert_int_eq(EXEC(0x66, RDPKRU), EX_UD);
    cpuid(cpu, 7, 0, out);
    ck_assert_uint_eq(out[2] >> 3 & 3, 3); /* PKU, OSPKE */
    cpu->s.cr4 &= ~(uint64_t)CR4_PKE;
    ck_assert_int_eq(EXEC(RDPKRU), EX_UD);
    ck_assert_int_eq(EXEC(WRPKRU), EX_UD);
    cpuid(cpu, 7, 0, out);
    ck_assert_uint_eq(out[2] >> 3 & 3, 1);
}
END_TEST

START_TEST(needs_its_feature)
{
    rig_free(r);
    r = rig_new("max,-pku", 0);
    cpu = r->cpu;
    rig_long_mode(r);
    ck_assert_int_eq(EXCEPTION(r, write_cr4(cpu, NULL, CR4_PAE | CR4_PKE)), EX_GP);
}
END_TEST

Suite *pku_suite(void)
{
    Suite *suite = suite_create("pku");
    TCase *tc = tcase_create("pku");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, user_accesses);
    tcase_add_test(tc, supervisor_accesses);
    tcase_add_test(tc, error_code_with_other_reasons);
    tcase_add_test(tc, every_context_follows);
    tcase_add_test(tc, upper_half);
    tcase_add_test(tc, without_pke_there_are_no_keys);
    tcase_add_test(tc, a_debugger_sees_all);
    tcase_add_test(tc, changes_that_concern_nobody_cost_nothing);
    tcase_add_test(tc, instructions);
    tcase_add_test(tc, needs_its_feature);
    suite_add_tcase(suite, tc);
    return suite;
}
