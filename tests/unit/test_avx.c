/* AVX and AVX2: results known by hand, rules of the encoding, masks, gathers and exceptions. */
#include "tests/unit/avx_oracle.h"

static struct avx_oracle o;

static void setup(void)
{
    oracle_new(&o);
}

static void teardown(void)
{
    oracle_free(&o);
}

static int run(const char *code, unsigned size)
{
    oracle_body(&o, (const uint8_t *)code, size);
    return o.body.vector;
}
#define EXECUTE(code) run(code, sizeof(code) - 1)

static void set_dwords(void *to, const uint32_t v[8])
{
    memcpy(to, v, 32);
}
#define SET(to, ...) set_dwords(to, (const uint32_t[8]){__VA_ARGS__})

static void expect_dwords(const char *what, const uint8_t *ymm, const uint32_t v[8])
{
    uint32_t have[8];

    memcpy(have, ymm, 32);
    for (unsigned n = 0; n < 8; n++)
        ck_assert_msg(have[n] == v[n], "%s: dword %u is %08x, not %08x", what, n, have[n], v[n]);
}
#define EXPECT(what, ymm, ...) expect_dwords(what, ymm, (const uint32_t[8]){__VA_ARGS__})

/* --- Results known by hand ----------------------------------------------------------------------- */

#define ONE   0x3f800000u
#define TWO   0x40000000u
#define THREE 0x40400000u
#define FOUR  0x40800000u

#define CODE(bytes) bytes, sizeof(bytes) - 1

/* YMM1 is a, YMM2 b; the result is YMM0. */
static const struct known {
    const char *name, *code;
    unsigned size;
    uint32_t a[8], b[8], r[8];
} known[] = {
    {"vpaddd xmm",
     CODE("\xc5\xf1\xfe\xc2"),
     {1, 2, 3, 4, 5, 6, 7, 8},
     {10, 20, 30, 40, 1, 1, 1, 1},
     {11, 22, 33, 44}},
    {"vpaddd ymm",
     CODE("\xc5\xf5\xfe\xc2"),
     {1, 2, 3, 0xffffffff, 5, 6, 7, 8},
     {10, 20, 30, 1, 1, 2, 3, 4},
     {11, 22, 33, 0, 6, 8, 10, 12}},
    {"vaddps ymm",
     CODE("\xc5\xf4\x58\xc2"),
     {ONE, TWO, ONE, 0, ONE, ONE, ONE, TWO},
     {ONE, ONE, THREE, ONE, 0, ONE, TWO, TWO},
     {TWO, THREE, FOUR, ONE, ONE, TWO, THREE, FOUR}},
    {"vaddss",
     CODE("\xc5\xf2\x58\xc2"),
     {ONE, 7, 8, 9, 10, 11, 12, 13},
     {TWO, 1, 1, 1, 1, 1, 1, 1},
     {THREE, 7, 8, 9}},
    {"vmovhlps", CODE("\xc5\xf0\x12\xc2"), {1, 2, 3, 4, 5, 6, 7, 8}, {9, 10, 11, 12}, {11, 12, 3, 4}},
    {"vpermilps ymm, 1b",
     CODE("\xc4\xe3\x7d\x04\xc2\x1b"),
     {0},
     {1, 2, 3, 4, 5, 6, 7, 8},
     {4, 3, 2, 1, 8, 7, 6, 5}},
    {"vpermilpd ymm",
     CODE("\xc4\xe2\x75\x0d\xc2"),
     {1, 2, 3, 4, 5, 6, 7, 8},
     {2, 0, 0, 0, 1, 0, 2, 0},
     {3, 4, 1, 2, 5, 6, 7, 8}},
    {"vperm2f128, 03 (low from b's high)",
     CODE("\xc4\xe3\x75\x06\xc2\x03"),
     {1, 2, 3, 4, 5, 6, 7, 8},
     {9, 10, 11, 12, 13, 14, 15, 16},
     {13, 14, 15, 16, 1, 2, 3, 4}},
    {"vperm2i128, 28 (zero low)",
     CODE("\xc4\xe3\x75\x46\xc2\x28"),
     {1, 2, 3, 4, 5, 6, 7, 8},
     {9, 10, 11, 12, 13, 14, 15, 16},
     {0, 0, 0, 0, 9, 10, 11, 12}},
    {"vpermd",
     CODE("\xc4\xe2\x75\x36\xc2"),
     {7, 6, 5, 4, 11, 0, 0, 1},
     {1, 2, 3, 4, 5, 6, 7, 8},
     {8, 7, 6, 5, 4, 1, 1, 2}},
    {"vpermq, 1b", CODE("\xc4\xe3\xfd\x00\xc2\x1b"), {0}, {1, 2, 3, 4, 5, 6, 7, 8}, {7, 8, 5, 6, 3, 4, 1, 2}},
    {"vinserti128, 1",
     CODE("\xc4\xe3\x75\x38\xc2\x01"),
     {1, 2, 3, 4, 5, 6, 7, 8},
     {9, 10, 11, 12, 13, 14, 15, 16},
     {1, 2, 3, 4, 9, 10, 11, 12}},
    {"vpbroadcastb",
     CODE("\xc4\xe2\x7d\x78\xc2"),
     {0},
     {0x12345678},
     {0x78787878, 0x78787878, 0x78787878, 0x78787878, 0x78787878, 0x78787878, 0x78787878, 0x78787878}},
    {"vpblendd ymm, a5",
     CODE("\xc4\xe3\x75\x02\xc2\xa5"),
     {1, 2, 3, 4, 5, 6, 7, 8},
     {11, 12, 13, 14, 15, 16, 17, 18},
     {11, 2, 13, 4, 5, 16, 7, 18}},
    {"vpsllvd xmm",
     CODE("\xc4\xe2\x71\x47\xc2"),
     {1, 1, 1, 1},
     {0, 31, 32, 0xffffffff},
     {1, 0x80000000, 0, 0}},
    {"vpsravd ymm",
     CODE("\xc4\xe2\x75\x46\xc2"),
     {0x80000000, 0x80000000, 0x80000000, 0x7fffffff, 0x40, 0x40, 0xffffff00, 8},
     {31, 32, 0x80000000, 99, 3, 6, 4, 3},
     {0xffffffff, 0xffffffff, 0xffffffff, 0, 8, 1, 0xfffffff0, 1}},
    {"vpsrldq ymm, 5 (each lane)",
     CODE("\xc5\xfd\x73\xda\x05"),
     {0},
     {0x03020100, 0x07060504, 0x0b0a0908, 0x0f0e0d0c, 0x13121110, 0x17161514, 0x1b1a1918, 0x1f1e1d1c},
     {0x08070605, 0x0c0b0a09, 0x000f0e0d, 0, 0x18171615, 0x1c1b1a19, 0x001f1e1d, 0}},
    {"vpalignr ymm, 12",
     CODE("\xc4\xe3\x75\x0f\xc2\x0c"),
     {1, 2, 3, 4, 5, 6, 7, 8},
     {9, 10, 11, 12, 13, 14, 15, 16},
     {12, 1, 2, 3, 16, 5, 6, 7}},
    {"vcvtpd2ps ymm",
     CODE("\xc5\xfd\x5a\xc2"),
     {0},
     {0, 0x3ff00000, 0, 0x40000000, 0, 0x40080000, 0, 0x40100000},
     {ONE, TWO, THREE, FOUR}},
    {"vcvtdq2pd ymm",
     CODE("\xc5\xfe\xe6\xc2"),
     {0},
     {1, 2, 3, 4, 99, 99, 99, 99},
     {0, 0x3ff00000, 0, 0x40000000, 0, 0x40080000, 0, 0x40100000}},
};

START_TEST(known_results)
{
    const struct known *k = &known[_i];

    memcpy(o.start.ymm[1], k->a, 32);
    memcpy(o.start.ymm[2], k->b, 32);
    memset(o.start.ymm[0], 0xee, 32);
    ck_assert_int_eq(run(k->code, k->size), -1);
    expect_dwords(k->name, o.body.ymm[0], k->r);
    for (unsigned n = 32; n < 64; n++)
        ck_assert_msg(o.cpu->s.zmm[0].u8[n] == 0, "%s leaves bits above 255", k->name);
    ck_assert_uint_eq(o.cpu->s.zmm[1].u8[63], 0x5a);
}
END_TEST

/* All 32 predicates (SDM 2A, CMPPD, table 3-1) by a bit each for A > B, A < B, A = B, unordered, and whether
 * a quiet NaN is invalid. */
static const char *const predicates[32] = {
    "0010-", "0100S", "0110S", "0001-", "1101-", "1011S", "1001S", "1110-", "0011-", "0101S", "0111S",
    "0000-", "1100-", "1010S", "1000S", "1111-", "0010S", "0100-", "0110-", "0001S", "1101S", "1011-",
    "1001-", "1110S", "0011S", "0101-", "0111-", "0000S", "1100S", "1010-", "1000-", "1111S",
};

START_TEST(compare_predicates)
{
    char code[] = "\xc5\xf0\xc2\xc2\x00";
    const char *p = predicates[_i];
    uint32_t have[4];

    SET(o.start.ymm[1], TWO, ONE, ONE, 0x7fc00000);
    SET(o.start.ymm[2], ONE, TWO, ONE, ONE);
    code[4] = (char)_i;
    ck_assert_int_eq(run(code, 5), -1);
    memcpy(have, o.body.ymm[0], 16);
    for (unsigned n = 0; n < 4; n++)
        ck_assert_msg(have[n] == (p[n] == '1' ? 0xffffffff : 0), "predicate %d relation %u: %08x", _i, n,
                      have[n]);
    ck_assert_uint_eq(o.body.mxcsr & MXCSR_FLAGS, p[4] == 'S' ? FSW_IE : 0);
}
END_TEST

/* --- Checks -------------------------------------------------------------------------------------- */

START_TEST(checks_come_in_order)
{
    ck_assert_int_eq(EXECUTE("\xc5\xfc\x28\x06"), -1);        /* vmovaps (%rsi), %ymm0 */
    ck_assert_int_eq(EXECUTE("\xc5\xfc\x28\x46\x10"), EX_GP); /* 16(%rsi) */
    ck_assert_int_eq(EXECUTE("\xc5\xf8\x28\x46\x10"), -1);    /* the same with xmm0 */
    ck_assert_int_eq(EXECUTE("\xc5\xf8\x28\x46\x08"), EX_GP);
    ck_assert_int_eq(EXECUTE("\xc5\xfc\x29\x46\x10"), EX_GP);     /* the store */
    ck_assert_int_eq(EXECUTE("\xc5\xfd\xe7\x46\x10"), EX_GP);     /* vmovntdq */
    ck_assert_int_eq(EXECUTE("\xc4\xe2\x7d\x2a\x46\x10"), EX_GP); /* vmovntdqa */
    ck_assert_int_eq(EXECUTE("\xc5\xfc\x10\x46\x01"), -1);        /* vmovups */
    ck_assert_int_eq(EXECUTE("\xc5\xf5\xfe\x46\x01"), -1);        /* vpaddd */
    o.cpu->s.cr0 |= CR0_EM;                                       /* is not looked at */
    o.cpu->s.cr4 &= ~(uint64_t)CR4_OSFXSR;
    ck_assert_int_eq(EXECUTE("\xc5\xfc\x28\x06"), -1);
    o.cpu->s.cr0 |= CR0_TS;
    ck_assert_int_eq(EXECUTE("\xc5\xfc\x28\x46\x10"), EX_NM);
    ck_assert_int_eq(EXECUTE("\xc5\xf8\x77"), EX_NM); /* vzeroupper */
    o.cpu->s.xcr0 = XCR0_X87 | XCR0_SSE;
    ck_assert_int_eq(EXECUTE("\xc5\xfc\x28\x46\x10"), EX_UD);
    ck_assert_int_eq(EXECUTE("\xc5\xf8\x28\xc1"), EX_UD);
    o.cpu->s.xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX;
    o.cpu->s.cr4 &= ~(uint64_t)CR4_OSXSAVE;
    ck_assert_int_eq(EXECUTE("\xc5\xf8\x28\xc1"), EX_UD);
}
END_TEST

START_TEST(encodings_that_do_not_exist)
{
    ck_assert_int_eq(EXECUTE("\xc5\xf0\x28\xc1"), EX_UD);         /* vmovaps with vvvv */
    ck_assert_int_eq(EXECUTE("\xc5\xfd\x6e\xc1"), EX_UD);         /* vmovd with L */
    ck_assert_int_eq(EXECUTE("\xc5\xf5\x12\x06"), EX_UD);         /* vmovlpd with L */
    ck_assert_int_eq(EXECUTE("\xc4\xe2\xf5\x0c\xc2"), EX_UD);     /* vpermilps with W */
    ck_assert_int_eq(EXECUTE("\xc4\xe3\x71\x06\xc2\x00"), EX_UD); /* vperm2f128 without L */
    ck_assert_int_eq(EXECUTE("\xc4\xe2\x79\x19\xc2"), EX_UD);     /* vbroadcastsd of 128 bits */
    ck_assert_int_eq(EXECUTE("\xc4\xe2\x7d\x1a\xc2"), EX_UD);     /* vbroadcastf128 of a register */
    ck_assert_int_eq(EXECUTE("\xc4\xe2\x75\x2c\xc2"), EX_UD);     /* vmaskmovps of registers */
    ck_assert_int_eq(EXECUTE("\xc4\xe2\x69\x90\x04\x0e"), -1);    /* vpgatherdd xmm0, xmm1 as index, xmm2 */
    ck_assert_int_eq(EXECUTE("\xc4\xe2\x69\x90\x14\x0e"), EX_UD); /* destination = mask */
    ck_assert_int_eq(EXECUTE("\xc4\xe2\x69\x90\x0c\x0e"), EX_UD); /* destination = index */
    ck_assert_int_eq(EXECUTE("\xc4\xe2\x71\x90\x04\x0e"), EX_UD); /* mask = index */
    ck_assert_int_eq(EXECUTE("\xc4\xe2\x69\x90\x06"), EX_UD);     /* no SIB */
    ck_assert_int_eq(EXECUTE("\xc4\xe2\x69\x90\xc1"), EX_UD);     /* no memory */
}
END_TEST

/* Outside 64-bit mode there are eight registers to clear, and an immediate's top bit names none. */
START_TEST(eight_registers_in_32_bits)
{
    for (unsigned n = 0; n < 16; n++)
        memset(o.start.ymm[n], 0x11 * (int)n + 1, 32);
    o.cpu->long64 = false;
    oracle_body_in(&o, SIZE_D, (const uint8_t *)"\xc5\xfc\x77", 3);
    ck_assert_int_eq(o.body.vector, -1);
    ck_assert_uint_eq(o.cpu->s.zmm[7].u64[0] | o.cpu->s.zmm[7].u64[7], 0);
    ck_assert_mem_eq(o.body.ymm[8], o.start.ymm[8], 32);
    oracle_body_in(&o, SIZE_D, (const uint8_t *)"\xc5\xf8\x77", 3);
    ck_assert_mem_eq(o.body.ymm[7], o.start.ymm[7], 16);
    ck_assert_uint_eq(o.cpu->s.zmm[7].u64[2] | o.cpu->s.zmm[7].u64[7], 0);
    ck_assert_mem_eq(o.body.ymm[8], o.start.ymm[8], 32);
    memset(o.start.ymm[3], 0x80, 32);
    memset(o.start.ymm[11], 0, 32);
    oracle_body_in(&o, SIZE_D, (const uint8_t *)"\xc4\xe3\x75\x4a\xc2\xb0", 6); /* vblendvps ymm0, 1, 2, 3 */
    ck_assert_mem_eq(o.body.ymm[0], o.start.ymm[2], 32);
    o.cpu->long64 = true;
    EXECUTE("\xc4\xe3\x75\x4a\xc2\xb0");
    ck_assert_mem_eq(o.body.ymm[0], o.start.ymm[1], 32);
}
END_TEST

/* --- Floating-point exceptions of two lanes ------------------------------------------------------ */

START_TEST(exceptions_of_both_lanes_are_one)
{
    /* 1/3 in the low lane is inexact, 1/0 in the high one divides by zero. */
    SET(o.start.ymm[1], ONE, ONE, ONE, ONE, ONE, ONE, ONE, ONE);
    SET(o.start.ymm[2], THREE, ONE, ONE, ONE, ONE, ONE, ONE, 0);
    ck_assert_int_eq(EXECUTE("\xc5\xf4\x5e\xc2"), -1); /* vdivps ymm0, ymm1, ymm2 */
    ck_assert_uint_eq(o.body.mxcsr, MXCSR_DEFAULT | FSW_PE | FSW_ZE);
    EXPECT("vdivps", o.body.ymm[0], 0x3eaaaaab, ONE, ONE, ONE, ONE, ONE, ONE, 0x7f800000);

    /* Unmasked, it is found before anything is computed: no PE, no result. */
    o.start.mxcsr = MXCSR_DEFAULT & ~(FSW_ZE << 7);
    memset(o.start.ymm[0], 0xee, 32);
    ck_assert_int_eq(EXECUTE("\xc5\xf4\x5e\xc2"), EX_XM);
    ck_assert_uint_eq(o.body.mxcsr, (MXCSR_DEFAULT & ~(FSW_ZE << 7)) | FSW_ZE);
    ck_assert_mem_eq(o.body.ymm[0], o.start.ymm[0], 32);

    /* Inexactness unmasked: both are noted. */
    o.start.mxcsr = MXCSR_DEFAULT & ~(FSW_PE << 7);
    ck_assert_int_eq(EXECUTE("\xc5\xf4\x5e\xc2"), EX_XM);
    ck_assert_uint_eq(o.body.mxcsr, (MXCSR_DEFAULT & ~(FSW_PE << 7)) | FSW_ZE | FSW_PE);
    o.cpu->s.cr4 &= ~(uint64_t)CR4_OSXMMEXCPT;
    ck_assert_int_eq(EXECUTE("\xc5\xf4\x5e\xc2"), EX_UD);
}
END_TEST

/* --- Masks and gathers at a page's edge ---------------------------------------------------------- */

#define EDGE 0x20000u /* this page is not there, the one before it is */

static void make_edge(void)
{
    for (uint32_t n = 0; n < 1024; n++)
        memcpy(o.rig->ram + EDGE - 4096 + 4 * n, &(uint32_t){0x1000 + n}, 4);
    rig_put64(o.rig, RIG_PT + 8 * (EDGE >> 12), 0);
    o.start.rax = EDGE;
}

START_TEST(masked_moves_touch_what_is_picked)
{
    make_edge();
    SET(o.start.ymm[0], 1, 2, 3, 4, 5, 6, 7, 8);
    SET(o.start.ymm[1], 0x80000000, 0xffffffff, 0x7fffffff, 0, 0, 0, 0, 0);
    ck_assert_int_eq(EXECUTE("\xc4\xe2\x75\x2c\x40\xf8"), -1); /* vmaskmovps -8(%rax), %ymm1, %ymm0 */
    EXPECT("load", o.body.ymm[0], 0x13fe, 0x13ff, 0, 0, 0, 0, 0, 0);
    ck_assert_int_eq(EXECUTE("\xc4\xe2\x75\x2c\x40\xfc"), EX_PF);
    ck_assert_uint_eq(o.cpu->s.cr2, EDGE);
    ck_assert_mem_eq(o.body.ymm[0], o.start.ymm[0], 32);
    ck_assert_int_eq(EXECUTE("\xc4\xe2\x75\x2c\x40\xfa"), EX_PF); /* -6: the second element crosses */
    ck_assert_uint_eq(o.cpu->s.cr2, EDGE);

    /* A store writes nothing unless it can write all. */
    ck_assert_int_eq(EXECUTE("\xc4\xe2\x75\x2e\x40\xfc"), EX_PF);
    ck_assert_mem_eq(o.rig->ram + EDGE - 4, "\xff\x13\0\0", 4);
    ck_assert_int_eq(EXECUTE("\xc4\xe2\x75\x2e\x40\xf8"), -1);
    ck_assert_mem_eq(o.rig->ram + EDGE - 12, "\xfd\x13\0\0\1\0\0\0\2\0\0\0", 12);

    /* Nothing is picked: no address is wrong. Picked ones that aren't canonical are #GP. */
    SET(o.start.ymm[1], 0);
    o.start.rax = 0x800000000000;
    ck_assert_int_eq(EXECUTE("\xc4\xe2\x75\x2c\x00"), -1);
    ck_assert_int_eq(EXECUTE("\xc4\xe2\xf5\x8e\x00"), -1); /* vpmaskmovq %ymm0, %ymm1, (%rax) */
    SET(o.start.ymm[1], 0, 0, 0, 0, 0, 0, 0, 0x80000000);
    ck_assert_int_eq(EXECUTE("\xc4\xe2\xf5\x8e\x00"), EX_GP);
}
END_TEST

START_TEST(a_gather_goes_on_where_it_faulted)
{
    make_edge();
    SET(o.start.ymm[0], 1, 2, 3, 4, 5, 6, 7, 8);
    SET(o.start.ymm[1], 0x80000001, 0x7fffffff, 0x80000001, 0x7fffffff, 0x80000001, 0x80000001, 0,
        0x80000001);
    SET(o.start.ymm[2], (uint32_t)-4, 99, (uint32_t)-3, 99, 1, (uint32_t)-2, 99, (uint32_t)-1);
    ck_assert_int_eq(EXECUTE("\xc4\xe2\x75\x90\x04\x90"), EX_PF); /* vpgatherdd (%rax,%ymm2,4) */
    ck_assert_uint_eq(o.cpu->s.cr2, EDGE + 4);
    EXPECT("partial result", o.body.ymm[0], 0x13fc, 2, 0x13fd, 4, 5, 6, 7, 8);
    EXPECT("partial mask", o.body.ymm[1], 0, 0, 0, 0, 0x80000001, 0x80000001, 0, 0x80000001);

    memcpy(o.start.ymm, o.body.ymm, sizeof(o.start.ymm));
    SET(o.start.ymm[2], 55, 55, 55, 55, (uint32_t)-8, (uint32_t)-2, 99, (uint32_t)-1);
    ck_assert_int_eq(EXECUTE("\xc4\xe2\x75\x90\x04\x90"), -1);
    EXPECT("result", o.body.ymm[0], 0x13fc, 2, 0x13fd, 4, 0x13f8, 0x13fe, 7, 0x13ff);
    EXPECT("mask", o.body.ymm[1], 0, 0, 0, 0, 0, 0, 0, 0);
    ck_assert_uint_eq(o.cpu->s.zmm[0].u64[4] | o.cpu->s.zmm[1].u64[7], 0);

    /* Four qword indices, four dwords: an XMM register. */
    SET(o.start.ymm[1], ~0u, 0, ~0u, ~0u, ~0u, ~0u, ~0u, ~0u);
    SET(o.start.ymm[2], (uint32_t)-4, ~0u, 0, 1, (uint32_t)-3, ~0u, (uint32_t)-2, ~0u);
    ck_assert_int_eq(EXECUTE("\xc4\xe2\x75\x91\x04\x90"), -1);
    EXPECT("vpgatherqd", o.body.ymm[0], 0x13fc, 2, 0x13fd, 0x13fe, 0, 0, 0, 0);
    EXPECT("its mask", o.body.ymm[1], 0, 0, 0, 0, 0, 0, 0, 0);
}
END_TEST

Suite *avx_suite(void);

Suite *avx_suite(void)
{
    Suite *suite = suite_create("avx");
    TCase *tc = tcase_create("avx");

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, known_results, 0, sizeof(known) / sizeof(known[0]));
    tcase_add_loop_test(tc, compare_predicates, 0, 32);
    tcase_add_test(tc, checks_come_in_order);
    tcase_add_test(tc, encodings_that_do_not_exist);
    tcase_add_test(tc, eight_registers_in_32_bits);
    tcase_add_test(tc, exceptions_of_both_lanes_are_one);
    tcase_add_test(tc, masked_moves_touch_what_is_picked);
    tcase_add_test(tc, a_gather_goes_on_where_it_faulted);
    suite_add_tcase(suite, tc);
    return suite;
}
