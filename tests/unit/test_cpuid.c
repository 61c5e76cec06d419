/*
 * test_cpuid.c - CPU models by name, and the leaves of CPUID (SDM 2A CPUID, APM 3 appendix E).
 */
#include "cpu/models.h"
#include "tests/unit/cpu_rig.h"

static struct rig *r;
static uint32_t out[4];

static void setup(void)
{
    r = rig_new(NULL, 0);
}

static void teardown(void)
{
    rig_free(r);
}

static void leaf(uint32_t n, uint32_t sub)
{
    cpuid(r->cpu, n, sub, out);
}

static bool model(const char *name, char *why)
{
    why[0] = '\0';
    return cpuid_set_model(r->cpu, name, why, 200);
}

START_TEST(vendor_and_limits)
{
    leaf(0, 0);
    ck_assert_mem_eq(&out[1], "Auth", 4);
    ck_assert_mem_eq(&out[3], "enti", 4);
    ck_assert_mem_eq(&out[2], "cAMD", 4);
    ck_assert_uint_ge(out[0], 0xb);
    leaf(out[0] + 1, 0); /* AMD: zeros beyond the last */
    ck_assert_uint_eq(out[0] | out[1] | out[2] | out[3], 0);
    leaf(0x80000000, 0);
    ck_assert_uint_ge(out[0], 0x80000008);
    ck_assert_mem_eq(&out[1], "Auth", 4);
    leaf(0x40000000, 0);
    ck_assert_uint_ge(out[0], 0x40000001);
    ck_assert_mem_eq(&out[1], "KVMKVMKVM\0\0\0", 12);
}
END_TEST

/* Linux looks for bits 3 (clock), 24 (stable), and takes 5 to 7 for a steal time, EOIs and wake-ups by memory. */
START_TEST(hypervisor_leaves)
{
    char why[200];

    leaf(0x40000001, 0);
    ck_assert_uint_eq(out[0], 0x0100000b);
    leaf(0x40000010, 0);
    ck_assert_uint_eq(out[0], r->cpu->tsc_hz / 1000);
    leaf(0x40000011, 0);
    ck_assert_uint_eq(out[0] | out[1] | out[2] | out[3], 0);
    ck_assert(model("qemu64,-kvmclock", why));
    leaf(0x40000000, 0);
    ck_assert_uint_eq(out[0], 0x40000000);
    ck_assert_mem_eq(&out[1], "OxbowOxbow\0\0", 12);
    leaf(0x40000001, 0);
    ck_assert_uint_eq(out[0], 0);
    ck_assert(model("qemu64,-hypervisor", why));
    leaf(0x40000000, 0);
    ck_assert_uint_eq(out[0] | out[1] | out[2] | out[3], 0);
}
END_TEST

START_TEST(family_and_brand)
{
    char brand[49] = "";

    leaf(1, 0);
    ck_assert_uint_eq((out[0] >> 8 & 15) + (out[0] >> 20 & 255), 0x19);
    for (unsigned n = 0; n < 3; n++) {
        leaf(0x80000002 + n, 0);
        memcpy(brand + 16 * n, out, 16);
    }
    ck_assert_str_eq(brand, "Oxbow Virtual CPU");
}
END_TEST

START_TEST(x86_64_baseline_is_there)
{
    leaf(1, 0);
    /* FPU TSC MSR PAE CX8 SEP PGE CMOV PAT CLFLUSH MMX FXSR SSE SSE2 */
    ck_assert_uint_eq(out[3] & 0x0789a971, 0x0789a971 & 0xffffffff);
    ck_assert_uint_eq(out[2] >> 13 & 1, 1);                          /* CMPXCHG16B */
    ck_assert_uint_eq(out[2] & (1u << 26 | 1u << 27 | 1u << 28), 0); /* no XSAVE, no AVX */
    leaf(0x80000001, 0);
    ck_assert_uint_eq(out[3] & (1u << 29 | 1u << 20 | 1u << 11), 1u << 29 | 1u << 20 | 1u << 11);
    ck_assert_uint_eq(out[3] & 1, 1); /* AMD repeats leaf 1 */
    leaf(0x80000008, 0);
    ck_assert_uint_eq(out[0] & 0xffff, 0x3028);
    ck_assert_uint_eq(phys_bits(r->cpu), 40);
    leaf(7, 1);
    ck_assert_uint_eq(out[0] | out[1] | out[2] | out[3], 0);
}
END_TEST

START_TEST(apic_bit_follows_the_enable)
{
    leaf(1, 0);
    ck_assert_uint_eq(out[3] >> 9 & 1, 1);
    r->apic_base = 0xfee00000;
    leaf(1, 0);
    ck_assert_uint_eq(out[3] >> 9 & 1, 0);
    leaf(0x80000001, 0);
    ck_assert_uint_eq(out[3] >> 9 & 1, 0);
}
END_TEST

START_TEST(topology_of_four)
{
    r->cpu->count = 4;
    r->cpu->id = 3;
    leaf(1, 0);
    ck_assert_uint_eq(out[1] >> 24, 3);
    ck_assert_uint_eq(out[1] >> 16 & 255, 4);
    ck_assert_uint_eq(out[3] >> 28 & 1, 1);
    leaf(0xb, 0);
    ck_assert_uint_eq(out[0], 0);
    ck_assert_uint_eq(out[1], 1);
    ck_assert_uint_eq(out[2], 0x100);
    ck_assert_uint_eq(out[3], 3);
    leaf(0xb, 1);
    ck_assert_uint_eq(out[0], 2);
    ck_assert_uint_eq(out[1], 4);
    ck_assert_uint_eq(out[2], 0x201);
    leaf(0xb, 2);
    ck_assert_uint_eq(out[1], 0);
    ck_assert_uint_eq(out[2], 2);
    leaf(0x80000008, 0);
    ck_assert_uint_eq(out[2], 0x2003);
    leaf(0x8000001d, 3);
    ck_assert_uint_eq(out[0] >> 14 & 0xfff, 3); /* the last level is shared by four */
}
END_TEST

START_TEST(caches_agree_between_leaves)
{
    uint32_t kib;

    leaf(0x8000001d, 2);
    kib = ((out[1] >> 22) + 1) * ((out[1] & 0xfff) + 1) * (out[2] + 1) / 1024;
    leaf(0x80000006, 0);
    ck_assert_uint_eq(kib, out[2] >> 16);
    leaf(0x8000001d, 3);
    kib = ((out[1] >> 22) + 1) * ((out[1] & 0xfff) + 1) * (out[2] + 1) / 1024;
    leaf(0x80000006, 0);
    ck_assert_uint_eq(kib, (out[3] >> 18) * 512);
    leaf(0x8000001d, 0);
    kib = ((out[1] >> 22) + 1) * ((out[1] & 0xfff) + 1) * (out[2] + 1) / 1024;
    leaf(0x80000005, 0);
    ck_assert_uint_eq(kib, out[2] >> 24);
    leaf(0x8000001d, 4);
    ck_assert_uint_eq(out[0], 0);
}
END_TEST

START_TEST(models_and_changes)
{
    char why[200];

    ck_assert(model("base", why));
    leaf(7, 0);
    ck_assert_uint_eq(out[1], 0);
    ck_assert(model("qemu64,-smap,-hypervisor", why));
    leaf(7, 0);
    ck_assert_uint_eq(out[1] >> 20 & 1, 0);
    ck_assert_uint_eq(out[1] >> 7 & 1, 1);
    leaf(0x40000000, 0);
    ck_assert_uint_eq(out[0], 0);
    ck_assert(model("-nx", why));
    leaf(0x80000001, 0);
    ck_assert_uint_eq(out[3] >> 20 & 1, 0);
    ck_assert(model("base,+smep", why));
    leaf(7, 0);
    ck_assert_uint_eq(out[1], 1u << 7);
    ck_assert(model("max", why));
}
END_TEST

START_TEST(dependents_go_along)
{
    char why[200];

    ck_assert(model("qemu64,-pae", why)); /* and with it NX, long mode and all that is of it */
    leaf(0x80000001, 0);
    ck_assert_uint_eq(out[3] & (1u << 20 | 1u << 26 | 1u << 29), 0);
    leaf(1, 0);
    ck_assert_uint_eq(out[2] & (1u << 13 | 1u << 17), 0);
    leaf(7, 0);
    ck_assert_uint_eq(out[1] & (1u << 0 | 1u << 10), 0);
}
END_TEST

START_TEST(unknown_names_are_answered)
{
    char why[200];

    ck_assert(!model("qmeu64", why));
    ck_assert_ptr_nonnull(strstr(why, "did you mean \"qemu64\""));
    ck_assert(!model("pentium-nonsense", why));
    ck_assert_ptr_nonnull(strstr(why, "qemu64, base, v2, v3, max and host"));
    ck_assert(!model("qemu64,+smapp", why));
    ck_assert_ptr_nonnull(strstr(why, "\"smap\""));
    ck_assert(!model("qemu64,+avx512f", why));
    ck_assert_ptr_nonnull(strstr(why, "not implemented"));
    ck_assert(!model("qemu64,smap", why));
    ck_assert_ptr_nonnull(strstr(why, "+smap"));
    ck_assert(!model("qemu64,+", why));
    /* and leave the features alone */
    leaf(7, 0);
    ck_assert_uint_eq(out[1] >> 20 & 1, 1);
}
END_TEST

START_TEST(listing_names_models)
{
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);

    cpu_list_models(f);
    fclose(f);
    ck_assert_ptr_nonnull(strstr(text, "qemu64"));
    ck_assert_ptr_nonnull(strstr(text, "base"));
    ck_assert_ptr_nonnull(strstr(text, "fsgsbase"));
    ck_assert_ptr_nonnull(strstr(text, "Not in this version: avx512f"));
    free(text);
}
END_TEST

Suite *cpuid_suite(void)
{
    Suite *suite = suite_create("cpuid");
    TCase *tc = tcase_create("cpuid");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, vendor_and_limits);
    tcase_add_test(tc, hypervisor_leaves);
    tcase_add_test(tc, family_and_brand);
    tcase_add_test(tc, x86_64_baseline_is_there);
    tcase_add_test(tc, apic_bit_follows_the_enable);
    tcase_add_test(tc, topology_of_four);
    tcase_add_test(tc, caches_agree_between_leaves);
    tcase_add_test(tc, models_and_changes);
    tcase_add_test(tc, dependents_go_along);
    tcase_add_test(tc, unknown_names_are_answered);
    tcase_add_test(tc, listing_names_models);
    suite_add_tcase(suite, tc);
    return suite;
}
