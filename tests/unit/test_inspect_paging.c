/*
 * test_inspect_paging.c - info paging: what it says of tables made by hand, and that it agrees with the
 * processor on random ones, for every kind of paging, access and privilege.
 */
#include "cpu/system.h"
#include "debug/inspect_paging.h"
#include "tests/oracle/random.h"
#include "tests/unit/cpu_rig.h"

#define OK       (-1)
#define PML5     0xc000u
#define TABLES   0x10000u /* random tables lie here */
#define PCD_BITS 0x18u

static struct rig *r;
static struct cpu *cpu;
static char *text;
static size_t text_size;

static void setup(void)
{
    r = rig_new("max", 0);
    cpu = r->cpu;
    rig_long_mode(r);
}

static void teardown(void)
{
    rig_free(r);
    free(text);
    text = NULL;
}

static struct paging_view view(void)
{
    cpu_push(cpu);
    return paging_view_of(cpu, r->memory);
}

static const char *explain(uint64_t linear)
{
    struct paging_view v = view();
    FILE *out;

    free(text);
    out = open_memstream(&text, &text_size);
    paging_explain(&v, linear, out);
    fclose(out);
    return text;
}

static void says(const char *what)
{
    ck_assert_msg(strstr(text, what), "\"%s\" is not in:\n%s", what, text);
}

START_TEST(four_levels)
{
    rig_put64(r, RIG_PT + 8 * 3, 0x5000 | 0x63);
    explain(0x3123);
    says("0000000000003123 by 4-level paging, CR3 8000");
    says("PML4[0] at 8000 is 000000000000");
    says("PDPT[0] at 9000");
    says("PD[0] at a000");
    says(
        "PT[3] at b018 is 0000000000005063: present, supervisor, writable, accessed, dirty; a page of 4 KiB");
    says("physical 5123");
    says("a supervisor's write is allowed");
    says("a user's read faults with #PF(0005): PT[3] is the supervisor's");
}
END_TEST

START_TEST(where_the_fetch_faults)
{
    cpu->s.efer |= EFER_NXE;
    rig_put64(r, RIG_PDPT, RIG_PD | 7 | 1ull << 63);
    explain(0x3000);
    says("PDPT[0] at 9000 is 800000000000a007: present, user, writable, NX");
    says("a supervisor's read is allowed");
    says("a supervisor's fetch faults with #PF(0011): PDPT[0] has NX");
    says("a user's fetch faults with #PF(0015): PDPT[0] has NX");
}
END_TEST

START_TEST(absent_and_reserved)
{
    rig_put64(r, RIG_PT + 8 * 3, 0xfffffffffffffffe);
    explain(0x3000);
    says("PT[3] at b018 is fffffffffffffffe: not present");
    says("a user's write faults with #PF(0006): PT[3] is not present");
    rig_put64(r, RIG_PML4 + 8, RIG_PDPT | 0x87);
    explain(1ull << 39);
    says("reserved bits are set: 7");
    says("faults with #PF(0009): PML4[1] has reserved bits set");
    cpu->s.efer &= ~(uint64_t)EFER_NXE;
    rig_put64(r, RIG_PML4 + 8, RIG_PDPT | 7 | 1ull << 63);
    explain(1ull << 39);
    says("reserved bits are set: 63 (NX, but EFER.NXE is off)");
    explain(1ull << 47);
    says("not canonical: bits 63 to 47");
    says("faults with #GP(0), through SS with #SS(0)");
}
END_TEST

START_TEST(large_pages)
{
    rig_put64(r, RIG_PD + 8, 0x40000000 | 0x1e3);
    explain(0x200000 + 0x12345);
    says("PD[1] at a008 is 00000000400001e3: present, supervisor, writable, accessed, dirty");
    says("a page of 2 MiB");
    says("physical 40012345");
    rig_put64(r, RIG_PDPT + 8, 0x80000000 | 0x83);
    explain(0x40000000 + 0x1234567);
    says("a page of 1 GiB");
    says("physical 81234567");
}
END_TEST

START_TEST(who_may)
{
    cpu->s.cr0 |= CR0_WP;
    cpu->s.cr4 |= CR4_SMEP | CR4_SMAP;
    rig_put64(r, RIG_PT + 8 * 3, 0x5000 | 0x65);
    explain(0x3000);
    says("a supervisor's read faults with #PF(0001): CR4.SMAP");
    says("a supervisor's fetch faults with #PF(0011): CR4.SMEP");
    says("a user's read is allowed");
    says("a user's write faults with #PF(0007): PT[3] is read-only");
    cpu->s.rflags |= FLAG_AC;
    explain(0x3000);
    says("a supervisor's read is allowed");
    says("a supervisor's write faults with #PF(0003): PT[3] is read-only, and CR0.WP binds the supervisor "
         "too");
    cpu->s.cr4 |= CR4_PKE;
    cpu->s.pkru = 1u << 2 * 5;
    rig_put64(r, RIG_PT + 8 * 3, 0x5000 | 0x67 | 5ull << 59);
    explain(0x3000);
    says("protection key 5");
    says("a user's read faults with #PF(0025): PKRU denies all access to its protection key");
}
END_TEST

START_TEST(other_kinds)
{
    cpu->s.cr3 = PML5;
    cpu->s.cr4 |= CR4_LA57;
    rig_put64(r, PML5 + 8 * 5, RIG_PML4 | 7);
    explain(5ull << 48 | 0x3000);
    says("5-level paging");
    says("PML5[5] at c028");
    says("physical 3000");
    cpu->s.efer = 0;
    cpu->s.cr4 = CR4_PAE;
    cpu->s.pdpte[2] = RIG_PD | 1;
    explain(0x80003000);
    says("PAE paging");
    says("PDPTE[2] is 000000000000a001");
    says("physical 3000");
    cpu->s.cr4 = CR4_PSE;
    cpu->s.cr3 = 0xe000;
    rig_put64(r, 0xe000, 0x00400083);
    explain(0x123456);
    says("32-bit paging");
    says("PD[0] at e000 is 00400083");
    says("a page of 4 MiB");
    says("physical 523456");
    cpu->s.cr0 &= ~(uint64_t)CR0_PG;
    explain(0x123456);
    says("Paging is off");
}
END_TEST

START_TEST(lists)
{
    struct paging_view v = view();
    FILE *out = open_memstream(&text, &text_size);

    paging_list(&v, false, out);
    fclose(out);
    says("0000000000000000-0000000000200000           200000 ");
    says("2048 KiB are mapped");
}
END_TEST

/* --- The processor as judge ---------------------------------------------------------------------- */

static uint64_t random_entry(struct random *random, bool last)
{
    uint64_t entry = TABLES + (uint64_t)below(random, 16) * 0x1000;

    entry |= one_in(random, 8) ? 0 : 1;
    entry |= one_in(random, 4) ? 0 : 6;
    entry |= random64(random) & 0x78 & ~(uint64_t)PCD_BITS;
    if (one_in(random, last ? 3 : 6))
        entry |= 0x80;
    if (one_in(random, 5))
        entry |= 1ull << 63;
    if (one_in(random, 6))
        entry |= (random64(random) & 15) << 59;
    if (one_in(random, 12))
        entry |= 1ull << below(random, 64);
    return entry;
}

static void random_state(struct random *random)
{
    static const uint64_t features[] = {CR4_SMEP, CR4_SMAP, CR4_PKE, CR4_PGE};
    unsigned kind = below(random, 4);

    cpu->s.cr0 = (cpu->s.cr0 & ~(uint64_t)CR0_WP) | (one_in(random, 2) ? CR0_WP : 0) | CR0_PG | CR0_PE;
    cpu->s.cr4 = 0;
    for (unsigned n = 0; n < 4; n++)
        if (one_in(random, 2))
            cpu->s.cr4 |= features[n];
    cpu->s.efer = one_in(random, 3) ? 0 : EFER_NXE;
    if (kind < 2)
        cpu->s.efer |= EFER_LME | EFER_LMA;
    if (kind < 3)
        cpu->s.cr4 |= CR4_PAE;
    if (kind == 1)
        cpu->s.cr4 |= CR4_LA57;
    if (kind == 3 && one_in(random, 2))
        cpu->s.cr4 |= CR4_PSE;
    cpu->s.pkru = (uint32_t)random64(random) & (uint32_t)random64(random);
    cpu->s.cr3 = TABLES + (uint64_t)below(random, 16) * 0x1000;
    for (unsigned n = 0; n < 4; n++)
        cpu->s.pdpte[n] = (TABLES + (uint64_t)below(random, 16) * 0x1000) | (one_in(random, 8) ? 0 : 1);
    cpu->s.rflags = FLAG_1 | (one_in(random, 2) ? FLAG_AC : 0);
    cpu->s.seg[CS].attr = (cpu->s.seg[CS].attr & ~(SEG_L | SEG_DB)) | (kind < 2 ? SEG_L : SEG_DB);
}

static int try_access(uint64_t linear, enum paging_access access)
{
    switch (access) {
    case PAGING_READ:
        return EXCEPTION(r, linear_read(cpu, NULL, DS, linear, 1));
    case PAGING_WRITE:
        return EXCEPTION(r, probe_write(cpu, NULL, DS, linear, 1));
    default:
        return EXCEPTION(r, fetch_translate(cpu, NULL, linear));
    }
}

START_TEST(agrees_with_the_processor)
{
    struct random random = {7};
    unsigned mapped = 0, faults = 0;

    for (unsigned n = 0; n < 16 * 512; n++)
        rig_put64(r, TABLES + 8 * n, random_entry(&random, one_in(&random, 2)));
    for (unsigned n = 0; n < 40000; n++) {
        enum paging_access access = below(&random, 3);
        uint64_t linear = random64(&random);
        bool user = one_in(&random, 2);
        char why[200];
        int error, vector;

        rig_put64(r, TABLES + 8 * below(&random, 16 * 512), random_entry(&random, true));
        random_state(&random);
        linear = cpu->s.efer & EFER_LMA ? (uint64_t)((int64_t)(linear << 16) >> 16) : linear & UINT32_MAX;
        cpu->s.cpl = user ? 3 : 0;
        struct paging_view v = view();
        struct paging_walk walk;

        paging_walk(&v, linear, &walk);
        bool allowed = paging_allows(&v, &walk, access, user, &error, why, sizeof(why));
        uint64_t physical = cpu_translate(cpu, linear);
        vector = try_access(linear, access);
        if (allowed) {
            ck_assert_msg(vector == OK, "%u: %lx access %d user %d: #%d", n, linear, access, user, vector);
            mapped++;
        } else {
            ck_assert_msg(vector == EX_PF, "%u: %lx access %d user %d: %d, but %s", n, linear, access, user,
                          vector, why);
            ck_assert_msg(cpu->fault.error == (unsigned)error, "%u: %x is %x, %s", n, error, cpu->fault.error,
                          why);
            faults++;
        }
        if (physical != UINT64_MAX)
            ck_assert_uint_eq(walk.physical, physical);
    }
    ck_assert_uint_gt(mapped, 2000);
    ck_assert_uint_gt(faults, 4000);
}
END_TEST

Suite *inspect_paging_suite(void)
{
    Suite *suite = suite_create("inspect_paging");
    TCase *tc = tcase_create("inspect_paging");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, four_levels);
    tcase_add_test(tc, where_the_fetch_faults);
    tcase_add_test(tc, absent_and_reserved);
    tcase_add_test(tc, large_pages);
    tcase_add_test(tc, who_may);
    tcase_add_test(tc, other_kinds);
    tcase_add_test(tc, lists);
    tcase_add_test(tc, agrees_with_the_processor);
    suite_add_tcase(suite, tc);
    return suite;
}
