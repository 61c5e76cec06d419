/* FMA and F16C, and the arithmetic in integers behind them and behind SSE4.1's rounding. */
#include <check.h>

#if defined(__x86_64__)
#include "cpu/interp/soft_float.h"
#include "tests/unit/vec_oracle.h"

static struct oracle o;

static void setup(void)
{
    vec_oracle_new(&o);
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

static void set_xmm(unsigned n, uint64_t low, uint64_t high)
{
    memcpy(o.start.fx + 160 + 16 * n, &low, 8);
    memcpy(o.start.fx + 168 + 16 * n, &high, 8);
}

static uint64_t xmm0(void)
{
    uint64_t r;

    memcpy(&r, o.body.fx + 160, 8);
    return r;
}

static void set_mxcsr(uint32_t mxcsr)
{
    memcpy(o.start.fx + 24, &mxcsr, 4);
}

static uint32_t mxcsr_after(void)
{
    uint32_t mxcsr;

    memcpy(&mxcsr, o.body.fx + 24, 4);
    return mxcsr;
}

/* --- FMA ----------------------------------------------------------------------------------------- */

START_TEST(rows_match_the_host)
{
    for (unsigned r = 0; r < opcode_row_count; r++)
        if (opcode_rows[r].feature == F_FMA && vec_host_has(&opcode_rows[r]))
            vec_check_row(&o, &opcode_rows[r], 1500);
}
END_TEST

START_TEST(lanes_are_alike)
{
    for (unsigned r = 0; r < opcode_row_count; r++)
        if (opcode_rows[r].feature == F_FMA && vec_has_operand(&opcode_rows[r], O_Wx))
            vec_check_lanes(&o, &opcode_rows[r], 0, 60);
}
END_TEST

/* xmm0 = 2, xmm1 = 3, xmm2 = 5 in both elements: the forms, the signs, and who is added in which element. */
START_TEST(forms_and_signs)
{
    static const struct {
        uint8_t opcode;
        double low, high;
    } knowns[] = {{0x98, 13, 13},   {0xa8, 11, 11},   {0xb8, 17, 17}, {0x9a, 7, 7},     {0xaa, 1, 1},
                  {0xba, 13, 13},   {0x9c, -7, -7},   {0xac, -1, -1}, {0xbc, -13, -13}, {0x9e, -13, -13},
                  {0xae, -11, -11}, {0xbe, -17, -17}, {0x96, 7, 13},  {0xa6, 1, 11},    {0xb6, 13, 17},
                  {0x97, 13, 7},    {0xa7, 11, 1},    {0xb7, 17, 13}, {0x99, 13, 2},    {0xad, -1, 2},
                  {0xbb, 13, 2}};
    const double values[3] = {2, 3, 5};

    for (unsigned n = 0; n < sizeof(knowns) / sizeof(knowns[0]); n++) {
        uint8_t code[] = {0xc4, 0xe2, 0xf1, knowns[n].opcode, 0xc2};
        double r[2];

        for (unsigned masks = 0; masks < 2; masks++) { /* with UM clear it is worked out in integers */
            vec_random_state(&o, 4);
            set_mxcsr(masks ? MXCSR_DEFAULT & ~(FSW_UE << 7) : MXCSR_DEFAULT);
            for (unsigned x = 0; x < 3; x++) {
                memcpy(o.start.fx + 160 + 16 * x, &values[x], 8);
                memcpy(o.start.fx + 168 + 16 * x, &values[x], 8);
            }
            oracle_body(&o, code, sizeof(code));
            ck_assert_int_eq(o.body.vector, -1);
            memcpy(r, o.body.fx + 160, 16);
            ck_assert_msg(r[0] == knowns[n].low && r[1] == knowns[n].high, "%02x: %g %g", knowns[n].opcode,
                          r[0], r[1]);
            ck_assert_uint_eq(mxcsr_after() & MXCSR_FLAGS, 0);
        }
    }
}
END_TEST

/* vfmadd213sd %xmm2, %xmm1, %xmm0: xmm1 * xmm0 + xmm2 */
#define FMADD213SD "\xc4\xe2\xf1\xa9\xc2"

static void check_fma(uint64_t x, uint64_t y, uint64_t z, uint32_t control, uint64_t r, uint32_t flags)
{
    struct soft_float f = {control, 0};

    vec_random_state(&o, 4);
    set_mxcsr(control);
    set_xmm(0, y, 0);
    set_xmm(1, x, 0);
    set_xmm(2, z, 0);
    ck_assert_int_eq(EXECUTE(FMADD213SD), -1);
    ck_assert_uint_eq(xmm0(), r);
    ck_assert_uint_eq(mxcsr_after(), control | flags);
    ck_assert_uint_eq(soft_fma64(&f, x, y, z, 0), r);
    ck_assert_uint_eq(f.flags, flags);
}

START_TEST(rounded_once)
{
    const uint32_t nearest = MXCSR_DEFAULT, down = MXCSR_DEFAULT | 1 << 13, up = MXCSR_DEFAULT | 2 << 13;
    const uint64_t one = 0x3ff0000000000000, past_one = 0x3ff0000000000001, less = 0x3fefffffffffffff;
    const uint64_t minus_one = 0xbff0000000000000, least = 1, normal = 0x0010000000000000;

    check_fma(past_one, less, minus_one, nearest, 0x3c9fffffffffffff - 0x0000000000000001,
              0);                                                                      /* 2^-53 - 2^-105 */
    check_fma(past_one, past_one, 0xbff0000000000002, nearest, 0x3970000000000000, 0); /* 2^-104 */
    check_fma(one, one, 0x3c90000000000000, up, past_one, FSW_PE);
    check_fma(one, one, 0x3ca0000000000000, nearest, one, FSW_PE); /* a tie: to even */
    check_fma(one, one, 0x3ca0000000000001, nearest, past_one, FSW_PE);
    check_fma(one, one, minus_one, nearest, 0, 0);
    check_fma(one, one, minus_one, down, 0x8000000000000000, 0);
    check_fma(normal, 0x3fe0000000000000, 0, nearest, 0x0008000000000000, 0); /* tiny and exact */
    check_fma(normal, 0x3fe0000000000000, 0, nearest | MXCSR_FTZ, 0, FSW_UE | FSW_PE);
    check_fma(normal, less, 0, nearest, normal, FSW_PE | FSW_UE); /* tiny before it is rounded to its place */
    check_fma(least, 0x3fe0000000000000, 0, nearest, 0, FSW_DE | FSW_UE | FSW_PE);
    check_fma(least, one, one, nearest | MXCSR_DAZ, one, 0);
    check_fma(0x7fefffffffffffff, 0x4000000000000000, 0, nearest, 0x7ff0000000000000, FSW_OE | FSW_PE);
    check_fma(0x7fefffffffffffff, 0x4000000000000000, 0, down, 0x7fefffffffffffff, FSW_OE | FSW_PE);
    /* No overflow: the sum comes back before anything is rounded. */
    check_fma(0x7fefffffffffffff, 0x4000000000000000, 0xffefffffffffffff, nearest, 0x7fefffffffffffff, 0);
}
END_TEST

START_TEST(nans_and_infinities)
{
    const uint64_t q1 = 0x7ff8000000000001, q2 = 0xfff8000000000002, q3 = 0x7ff8000000000003,
                   none = 0xfff8000000000000;
    const uint64_t s3 = 0x7ff0000000000003, inf = 0x7ff0000000000000, minus_inf = 0xfff0000000000000,
                   least = 1;

    check_fma(q1, q2, q3, MXCSR_DEFAULT, q1, 0);
    check_fma(0, q2, q3, MXCSR_DEFAULT, q2, 0);
    check_fma(q1, q2, s3, MXCSR_DEFAULT, q1, FSW_IE);
    check_fma(least, 0, s3, MXCSR_DEFAULT, q3, FSW_IE); /* no DE beside a NaN */
    check_fma(0, inf, q3, MXCSR_DEFAULT, q3, 0);
    check_fma(0, inf, least, MXCSR_DEFAULT, none, FSW_IE);
    check_fma(least, inf, minus_inf, MXCSR_DEFAULT, none, FSW_IE);
    check_fma(least, inf, inf, MXCSR_DEFAULT, inf, FSW_DE);
    check_fma(least, inf, 0, MXCSR_DEFAULT | MXCSR_DAZ, none, FSW_IE);
}
END_TEST

/* Unmasked: PE as if exponents had no end, the destination kept. */
START_TEST(unmasked_exceptions)
{
    vec_random_state(&o, 4);
    set_mxcsr(MXCSR_DEFAULT & ~(FSW_UE << 7));
    set_xmm(0, 0x0010000000000000, 7);
    set_xmm(1, 0x3fe0000000000000, 0);
    set_xmm(2, 0, 0);
    ck_assert_int_eq(EXECUTE(FMADD213SD), EX_XM);
    ck_assert_uint_eq(mxcsr_after() & MXCSR_FLAGS, FSW_UE);
    ck_assert_mem_eq(o.body.fx + 160, o.start.fx + 160, 16);
    set_mxcsr(MXCSR_DEFAULT & ~(FSW_OE << 7));
    set_xmm(0, 0x7fe0000000000000, 7);
    set_xmm(1, 0x4008000000000000, 0);
    ck_assert_int_eq(EXECUTE(FMADD213SD), EX_XM);
    ck_assert_uint_eq(mxcsr_after() & MXCSR_FLAGS, FSW_OE);
    set_xmm(2, 1, 0);
    ck_assert_int_eq(EXECUTE(FMADD213SD), EX_XM);
    ck_assert_uint_eq(mxcsr_after() & MXCSR_FLAGS, FSW_OE | FSW_PE | FSW_DE);
    set_mxcsr(MXCSR_DEFAULT & ~(FSW_DE << 7));
    ck_assert_int_eq(EXECUTE(FMADD213SD), EX_XM);
    ck_assert_uint_eq(mxcsr_after() & MXCSR_FLAGS, FSW_DE); /* found before anything is computed */
    o.cpu->s.cr4 &= ~(uint64_t)CR4_OSXMMEXCPT;
    ck_assert_int_eq(EXECUTE(FMADD213SD), EX_UD);
}
END_TEST

/* What hosts without FMA get: the body, which uses the host's FMA where there is one, agrees. */
START_TEST(integers_match_the_body)
{
    for (unsigned k = 0; k < 40000; k++) {
        uint64_t x = vec_element(&o, k), y = vec_element(&o, k), z = vec_element(&o, k);
        uint32_t control = (uint32_t)((oracle_random(&o) & (MXCSR_RC | MXCSR_DAZ | MXCSR_FTZ)) | MXCSR_MASKS);
        struct soft_float f = {control, 0};
        uint64_t r;

        vec_random_state(&o, 4);
        set_mxcsr(control);
        set_xmm(0, y, 0);
        set_xmm(1, x, 0);
        set_xmm(2, z, 0);
        ck_assert_int_eq(EXECUTE(FMADD213SD), -1);
        r = soft_fma64(&f, x, y, z, 0);
        ck_assert_msg(xmm0() == r && mxcsr_after() == (control | f.flags),
                      "%016lx %016lx %016lx by %04x: %016lx %02x", x, y, z, control, r, f.flags);
        f.flags = 0;
        ck_assert_int_eq(EXECUTE("\xc4\xe2\x71\xaf\xc2"), -1); /* vfnmsub213ss */
        r = soft_fma32(&f, (uint32_t)x, (uint32_t)y, (uint32_t)z, NEGATE_PRODUCT | NEGATE_ADDEND);
        ck_assert_msg((uint32_t)xmm0() == r && mxcsr_after() == (control | f.flags),
                      "%08x %08x %08x by %04x: %08x %02x", (uint32_t)x, (uint32_t)y, (uint32_t)z, control,
                      (uint32_t)r, f.flags);
    }
}
END_TEST

/* --- F16C ---------------------------------------------------------------------------------------- */

START_TEST(halves_come_back)
{
    for (unsigned v = 0; v < 0x10000; v++) {
        bool nan = (v & 0x7c00) == 0x7c00 && (v & 0x3ff), signaling = nan && !(v & 0x200);
        struct soft_float f = {MXCSR_DEFAULT | MXCSR_DAZ | MXCSR_FTZ, 0}; /* neither matters to halves */
        uint32_t wide = soft_from_half(&f, (uint16_t)v);

        ck_assert_uint_eq(f.flags, signaling ? FSW_IE : 0);
        f.flags = 0;
        ck_assert_uint_eq(soft_to_half(&f, wide), signaling ? v | 0x200 : v);
        ck_assert_uint_eq(f.flags, 0);
    }
}
END_TEST

START_TEST(halves_are_rounded)
{
    static const struct {
        uint32_t v;
        unsigned mode;
        uint16_t r;
        unsigned flags;
    } knowns[] = {{0x3f800000, 0, 0x3c00, 0},
                  {0x3f801000, 0, 0x3c00, FSW_PE}, /* a tie: to even */
                  {0x3f803000, 0, 0x3c02, FSW_PE},
                  {0x3f801001, 0, 0x3c01, FSW_PE},
                  {0xbf800001, 1, 0xbc01, FSW_PE},
                  {0xbf800001, 2, 0xbc00, FSW_PE},
                  {0x477fefff, 0, 0x7bff, FSW_PE},
                  {0x477ff000, 0, 0x7c00, FSW_OE | FSW_PE},
                  {0x477ff000, 3, 0x7bff, FSW_PE},
                  {0x47800000, 3, 0x7bff, FSW_OE | FSW_PE},
                  {0x33800000, 0, 0x0001, 0},
                  {0x33000000, 0, 0x0000, FSW_UE | FSW_PE},
                  {0x33000001, 0, 0x0001, FSW_UE | FSW_PE},
                  {0x387fffff, 0, 0x0400, FSW_PE}, /* not tiny once rounded */
                  {0x00000001, 2, 0x0001, FSW_DE | FSW_UE | FSW_PE},
                  {0x7fa00000, 0, 0x7f00, FSW_IE},
                  {0xff800000, 0, 0xfc00, 0}};

    for (unsigned n = 0; n < sizeof(knowns) / sizeof(knowns[0]); n++) {
        uint8_t code[] = {0xc4, 0xe3, 0x79,
                          0x1d, 0xc8, (uint8_t)knowns[n].mode}; /* vcvtps2ph $mode, %xmm1, %xmm0 */
        uint64_t r = knowns[n].r * 0x0001000100010001ull;

        vec_random_state(&o, 4);
        set_mxcsr(MXCSR_DEFAULT | MXCSR_FTZ | MXCSR_RC); /* neither matters */
        set_xmm(1, knowns[n].v * 0x100000001ull, knowns[n].v * 0x100000001ull);
        oracle_body(&o, code, sizeof(code));
        ck_assert_int_eq(o.body.vector, -1);
        ck_assert_msg(xmm0() == r, "%08x: %016lx", knowns[n].v, xmm0());
        ck_assert_uint_eq(mxcsr_after() & MXCSR_FLAGS, knowns[n].flags);
        ck_assert_uint_eq(o.cpu->s.zmm[0].u64[1], 0);
    }
}
END_TEST

START_TEST(halves_in_memory)
{
    vec_random_state(&o, 4);
    set_mxcsr(MXCSR_DEFAULT);
    set_xmm(1, 0x400000003f800000, 0x4080000040400000);
    o.cpu->s.zmm[1].u64[2] = 0x40c0000040a00000;
    o.cpu->s.zmm[1].u64[3] = 0x4100000040e00000;
    ck_assert_int_eq(EXECUTE("\xc4\xe3\x7d\x1d\x4e\x01\x00"), -1); /* vcvtps2ph $0, %ymm1, 1(%rsi) */
    ck_assert_mem_eq(o.body.data + 1, "\x00\x3c\x00\x40\x00\x42\x00\x44\x00\x45\x00\x46\x00\x47\x00\x48", 16);
    ck_assert_uint_eq(o.body.data[17], o.start.data[17]);
    memcpy(o.start.data, o.body.data, 17);
    ck_assert_int_eq(EXECUTE("\xc4\xe2\x7d\x13\x46\x01"), -1); /* vcvtph2ps 1(%rsi), %ymm0 */
    ck_assert_mem_eq(o.cpu->s.zmm[0].u8, o.start.fx + 176, 16);
    ck_assert_uint_eq(o.cpu->s.zmm[0].u64[3], 0x4100000040e00000);
    ck_assert_int_eq(EXECUTE("\xc4\xe2\x79\x13\x46\x01"), -1);
    ck_assert_uint_eq(o.cpu->s.zmm[0].u64[2], 0);
    set_mxcsr(MXCSR_DEFAULT & ~(FSW_PE << 7));
    set_xmm(1, 0x3f800001, 0);
    ck_assert_int_eq(EXECUTE("\xc4\xe3\x79\x1d\x0e\x00"), EX_XM); /* nothing is stored then */
    ck_assert_mem_eq(o.body.data, o.start.data, 32);
}
END_TEST
#endif

Suite *fma_suite(void);

Suite *fma_suite(void)
{
    Suite *suite = suite_create("fma");
    TCase *tc = tcase_create("fma");

#if defined(__x86_64__)
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, rows_match_the_host);
    tcase_add_test(tc, lanes_are_alike);
    tcase_add_test(tc, forms_and_signs);
    tcase_add_test(tc, rounded_once);
    tcase_add_test(tc, nans_and_infinities);
    tcase_add_test(tc, unmasked_exceptions);
    tcase_add_test(tc, integers_match_the_body);
    tcase_add_test(tc, halves_come_back);
    tcase_add_test(tc, halves_are_rounded);
    tcase_add_test(tc, halves_in_memory);
#endif
    suite_add_tcase(suite, tc);
    return suite;
}
