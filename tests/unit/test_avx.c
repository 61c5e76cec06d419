/* AVX and AVX2: results known by hand, rules of the encoding, masks, gathers and exceptions; and every row of
 * the VEX maps against the host, where it has AVX2. */
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

/* --- Against the host ---------------------------------------------------------------------------- */

static const uint32_t singles[] = {0,          0x80000000, ONE,        0xbf800000, 0x7f800000, 0xff800000,
                                   0x7fc00001, 0x7f800001, 0xffa00000, 1,          0x80000001, 0x007fffff,
                                   0x00800000, 0x00800001, 0x7f7fffff, 0x4f000000, 0xcf000000, 0x5f000000,
                                   0x3f7fffff, 0x3f000001, 0x4b000001, 0x3fc00000};
static const uint64_t doubles[] = {0,
                                   0x8000000000000000,
                                   0x3ff0000000000000,
                                   0xbff0000000000000,
                                   0x7ff0000000000000,
                                   0x7ff8000000000001,
                                   0x7ff0000000000001,
                                   1,
                                   0x800fffffffffffff,
                                   0x0010000000000000,
                                   0x7fefffffffffffff,
                                   0x41e0000000000000,
                                   0xc1e0000000200000,
                                   0x43e0000000000000,
                                   0x380fffffffffffff,
                                   0x47f0000000000000,
                                   0x3690000000000000};

#define PICK(table) ((table)[oracle_random(&o) % (sizeof(table) / sizeof((table)[0]))])

static uint64_t random_element(unsigned kind)
{
    switch (kind % 4) {
    case 0:
        return PICK(singles) | (uint64_t)PICK(singles) << 32;
    case 1:
        return PICK(doubles);
    case 2: /* singles of like size, so that sums and quotients are interesting */
        return (oracle_random(&o) & 0x81ffffff81ffffff) + 0x3e0000003e000000;
    default:
        return oracle_random(&o);
    }
}

static void random_state(unsigned kind)
{
    struct avx_state *s = &o.start;
    uint64_t q[64];

    for (unsigned n = 0; n < 64; n++)
        q[n] = random_element(kind);
    memcpy(s->data, q, sizeof(q));
    for (unsigned n = 0; n < 64; n++)
        q[n] = random_element(kind);
    memcpy(s->ymm, q, sizeof(q));
    s->mxcsr = MXCSR_DEFAULT;
    if (kind & 4)
        s->mxcsr = oracle_random(&o) & MXCSR_WRITABLE;
    if (kind & 8)
        s->mxcsr |= MXCSR_MASKS;
    s->rax = oracle_random(&o);
    s->rcx = random_element(kind);
    s->rdx = oracle_random(&o);
    s->rflags = 2 | (oracle_random(&o) & FLAGS_ARITH);
}

static bool has_operand(const struct opcode_row *row, unsigned operand)
{
    return row->operand[0] == operand || row->operand[1] == operand || row->operand[2] == operand ||
           row->operand[3] == operand;
}

static bool skipped(const struct opcode_row *row)
{
    /* What MXCSR holds is data here, and RDI is the host's own. */
    static const char *const names[] = {"vldmxcsr", "vmaskmovdqu"};

    if (row->map < VEX + 1 || (row->feature != F_AVX && row->feature != F_AVX2) || has_operand(row, O_Mvm))
        return true;
    for (unsigned n = 0; n < sizeof(names) / sizeof(names[0]); n++)
        if (!strcmp(row->name, names[n]))
            return true;
    return false;
}

static unsigned encode(const struct opcode_row *row, bool memory, unsigned r, uint8_t *out)
{
    static const uint8_t pp[] = {0, 0, 1, 2, 3};
    bool general_rm = has_operand(row, O_Ey) || has_operand(row, O_Ed);
    bool general_reg = has_operand(row, O_Gy) || has_operand(row, O_Gd);
    unsigned reg = r & 15, rm = r >> 4 & 15, vvvv = has_operand(row, O_Hx) ? r >> 8 & 15 : 0, n = 0;
    bool l = row->sel & SEL_L1 ? true : row->sel & SEL_L0 ? false : r >> 12 & 1;
    bool w = row->sel & SEL_W1 ? true : row->sel & SEL_W0 ? false : r >> 13 & 1;

    if (general_reg)
        reg %= 3; /* RAX, RCX or RDX */
    if (general_rm)
        rm %= 3;
    if (row->sel & SEL_HAS_EXT)
        reg = row->sel >> 5 & 7;
    if (memory)
        rm = RSI;
    out[n++] = 0xc4;
    out[n++] = (uint8_t)((reg & 8 ? 0 : 0x80) | 0x40 | (rm & 8 ? 0 : 0x20) | (row->map - VEX));
    out[n++] = (uint8_t)((w ? 0x80 : 0) | (~vvvv & 15) << 3 | (l ? 4 : 0) | pp[row->prefix]);
    out[n++] = row->opcode;
    if (row->sel & SEL_FORM)
        out[n++] = (uint8_t)(memory ? 0x40 | (reg & 7) << 3 | RSI : 0xc0 | (reg & 7) << 3 | (rm & 7));
    if (memory)
        out[n++] = (uint8_t)(r >> 14 & 0x60); /* displacement */
    if (has_operand(row, O_Ib) || has_operand(row, O_Lx))
        out[n++] = (uint8_t)(r >> 24);
    return n;
}

/* Unmasked overflow and underflow: PE may tell of a result that was never rounded to its format. */
static uint32_t judged_mxcsr(void)
{
    return (o.start.mxcsr & (FSW_OE | FSW_UE) << 7) == (FSW_OE | FSW_UE) << 7 ? ~0u : ~FSW_PE;
}

START_TEST(rows_match_the_host)
{
    if (!oracle_host(&o))
        return;
    for (unsigned n = 0; n < opcode_row_count; n++) {
        const struct opcode_row *row = &opcode_rows[n];

        for (unsigned k = 0; k < 300 && !skipped(row); k++) {
            bool memory = (row->sel & SEL_FORM) == SEL_MEM || ((row->sel & SEL_FORM) == SEL_ANY && (k & 1));
            uint8_t bytes[15];
            unsigned size = encode(row, memory, (unsigned)oracle_random(&o), bytes);

            random_state(k >> 1);
            oracle_check(&o, row->name, bytes, size, judged_mxcsr());
        }
    }
}
END_TEST

/* [RSI + index * scale + 128] with indices that stay in the data. */
START_TEST(gathers_match_the_host)
{
    if (!oracle_host(&o))
        return;
    for (unsigned k = 0; k < 4000; k++) {
        unsigned r = (unsigned)oracle_random(&o), scale = r & 3, w = r >> 2 & 1, l = r >> 3 & 1;
        unsigned opcode = 0x90 + (r >> 4 & 3), index = r >> 6 & 15, mask = (index + 1 + (r >> 10 & 7)) & 15;
        unsigned to = (mask + 1 + (r >> 13 & 3)) & 15;
        uint8_t bytes[] = {0xc4,
                           (uint8_t)((to & 8 ? 0 : 0x80) | (index & 8 ? 0 : 0x40) | 0x22),
                           (uint8_t)(w << 7 | (~mask & 15) << 3 | l << 2 | 1),
                           (uint8_t)opcode,
                           (uint8_t)(0x84 | (to & 7) << 3),
                           (uint8_t)(scale << 6 | (index & 7) << 3 | RSI),
                           0,
                           1,
                           0,
                           0};

        if (to == index)
            continue;
        random_state(3);
        for (unsigned n = 0; n < 4; n++) {
            int64_t at = (int64_t)(oracle_random(&o) % 248) - 124;
            int32_t low = (int32_t)at >> scale, high = (int32_t)(oracle_random(&o) % 120) >> scale;
            uint64_t q = opcode & 1 ? (uint64_t)(int64_t)low : (uint32_t)low | (uint64_t)(uint32_t)high << 32;

            memcpy(o.start.ymm[index] + 8 * n, &q, 8);
        }
        oracle_check(&o, "gather", bytes, sizeof(bytes), ~0u);
    }
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
    tcase_add_test(tc, rows_match_the_host);
    tcase_add_test(tc, gathers_match_the_host);
    suite_add_tcase(suite, tc);
    return suite;
}
