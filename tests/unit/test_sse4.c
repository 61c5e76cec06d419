/* SSE4.1 and SSE4.2, legacy and VEX-encoded: known results, and every row against the host. */
#include <check.h>

#if defined(__x86_64__)
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

static bool of_sse4(const struct opcode_row *row)
{
    return (row->feature == F_SSE41 || row->feature == F_SSE42) && strcmp(row->name, "crc32");
}

/* VEX-encoded rows of instructions that SSE4 has too. */
static bool vex_of_sse4(const struct opcode_row *row)
{
    if (row->map != VEX + 2 && row->map != VEX + 3)
        return false;
    for (unsigned n = 0; n < opcode_row_count; n++)
        if (of_sse4(&opcode_rows[n]) && !strcmp(opcode_rows[n].name, row->name + 1))
            return true;
    return false;
}

START_TEST(rows_match_the_host)
{
    unsigned rows = 0;

    for (unsigned r = 0; r < opcode_row_count; r++) {
        const struct opcode_row *row = &opcode_rows[r];

        if ((of_sse4(row) || vex_of_sse4(row)) && vec_host_has(row)) {
            vec_check_row(&o, row, 600);
            rows++;
        }
    }
    if (__builtin_cpu_supports("avx2"))
        ck_assert_uint_gt(rows, 100);
}
END_TEST

START_TEST(lanes_are_alike)
{
    static const struct {
        const char *name;
        unsigned shift;
    } vectors[] = {{"vpminsb", 0},   {"vpmaxud", 0},   {"vpcmpeqq", 0}, {"vpcmpgtq", 0}, {"vpmuldq", 0},
                   {"vpmulld", 0},   {"vpackusdw", 0}, {"vpblendw", 0}, {"vblendps", 4}, {"vblendpd", 2},
                   {"vmpsadbw", 3},  {"vroundps", 0},  {"vroundpd", 0}, {"vdpps", 0},    {"vpblendvb", 0},
                   {"vblendvps", 0}, {"vblendvpd", 0}};

    for (unsigned n = 0; n < sizeof(vectors) / sizeof(vectors[0]); n++)
        for (unsigned r = 0; r < opcode_row_count; r++)
            if (!strcmp(opcode_rows[r].name, vectors[n].name) && !(opcode_rows[r].sel & SEL_L0))
                vec_check_lanes(&o, &opcode_rows[r], vectors[n].shift, 200);
}
END_TEST

/* --- Known results: xmm0 = operation(xmm0, xmm1) -------------------------------------------------- */

struct known {
    const char *what, *code;
    unsigned size;
    uint64_t a[2], b[2], r[2];
};
#define CODE(bytes) bytes, sizeof(bytes) - 1

static const struct known knowns[] = {
    {"pmulld",
     CODE("\x66\x0f\x38\x40\xc1"),
     {0xffffffff00000003, 0x8000000000010000},
     {0x0000000500000007, 0x0000000200010000},
     {0xfffffffb00000015, 0}},
    {"pmuldq",
     CODE("\x66\x0f\x38\x28\xc1"),
     {0x00000007ffffffff, 0x80000000},
     {0x0000000900000002, 0x80000000},
     {0xfffffffffffffffe, 0x4000000000000000}},
    {"packusdw",
     CODE("\x66\x0f\x38\x2b\xc1"),
     {0x0001000080000000, 0x00007fff0000ffff},
     {0xffffffff00000001, 0x7fffffff00010001},
     {0x7fffffffffff0000, 0xffffffff00000001}},
    {"pcmpgtq",
     CODE("\x66\x0f\x38\x37\xc1"),
     {0x8000000000000000, 0x0000000100000000},
     {1, 0x00000000ffffffff},
     {0, UINT64_MAX}},
    {"pcmpeqq",
     CODE("\x66\x0f\x38\x29\xc1"),
     {0x1122334455667788, 0x1122334455667788},
     {0x1122334455667788, 0x0122334455667788},
     {UINT64_MAX, 0}},
    {"phminposuw", CODE("\x66\x0f\x38\x41\xc1"), {1, 2}, {0x0005000400030002, 0x0009000200080007}, {2, 0}},
    {"phminposuw",
     CODE("\x66\x0f\x38\x41\xc1"),
     {1, 2},
     {0x8000800080008000, 0x7fff800080008000},
     {0x00077fff, 0}},
    {"pmovsxbq", CODE("\x66\x0f\x38\x22\xc1"), {0, 0}, {0x7f80, 0}, {0xffffffffffffff80, 0x7f}},
    {"pmovzxwd",
     CODE("\x66\x0f\x38\x33\xc1"),
     {0, 0},
     {0x8000ffff00017fff, 0},
     {0x0000000100007fff, 0x000080000000ffff}},
    /* a's bytes from 4, b's from 8: 0 1 2 3 4 ... against 0a 0a 0a 0a */
    {"mpsadbw 6",
     CODE("\x66\x0f\x3a\x42\xc1\x06"),
     {0x0302010000000000, 0x0b0a090807060504},
     {0, 0x0a0a0a0a},
     {0x0016001a001e0022, 0x0006000a000e0012}},
    {"pblendw a5",
     CODE("\x66\x0f\x3a\x0e\xc1\xa5"),
     {0x4444333322221111, 0x8888777766665555},
     {0xddddccccbbbbaaaa, 0x2222111100ffeeee},
     {0x4444cccc2222aaaa, 0x2222777700ff5555}},
    {"insertps",
     CODE("\x66\x0f\x3a\x21\xc1\xd1"),
     {0x2222222211111111, 0x4444444433333333},
     {0xbbbbbbbbaaaaaaaa, 0xddddddddcccccccc},
     {0xdddddddd00000000, 0x4444444433333333}},
    {"roundps up",
     CODE("\x66\x0f\x3a\x08\xc1\x02"),
     {0, 0},
     {0xbf000000bfc00000, 0x4b0000013e800000},
     {0x80000000bf800000, 0x4b0000013f800000}},
    {"roundsd even",
     CODE("\x66\x0f\x3a\x0b\xc1\x00"),
     {1, 2},
     {0x4004000000000000, 3},
     {0x4000000000000000, 2}},
    {"dpps 71",
     CODE("\x66\x0f\x3a\x40\xc1\x71"),
     {0x400000003f800000, 0x4080000040400000},
     {0x400000003f800000, 0x7f80000040400000},
     {0x41600000, 0}},
    {"dppd 32",
     CODE("\x66\x0f\x3a\x41\xc1\x32"),
     {0x4000000000000000, 0x4008000000000000},
     {0x4010000000000000, 0x4014000000000000},
     {0, 0x4037000000000000}},
    /* "bc" among "abcd": unsigned bytes, equal any, mask of bytes */
    {"pcmpistrm any",
     CODE("\x66\x0f\x3a\x62\xc1\x40"),
     {0x6362, 0},
     {0x0000000064636261, 0},
     {0x0000000000ffff00, 0}},
    /* words equal each, up to both ends */
    {"pcmpistrm each",
     CODE("\x66\x0f\x3a\x62\xc1\x49"),
     {0x0000000300020001, 0},
     {0x0000000300050001, 0},
     {0xffffffff0000ffff, UINT64_MAX}},
};

START_TEST(known_results)
{
    for (unsigned n = 0; n < sizeof(knowns) / sizeof(knowns[0]); n++) {
        const struct known *k = &knowns[n];
        uint64_t r[2];

        vec_random_state(&o, 4);
        set_xmm(0, k->a[0], k->a[1]);
        set_xmm(1, k->b[0], k->b[1]);
        ck_assert_int_eq(run(k->code, k->size), -1);
        memcpy(r, o.body.fx + 160, 16);
        ck_assert_msg(r[0] == k->r[0] && r[1] == k->r[1], "%s: %016lx %016lx", k->what, r[1], r[0]);
    }
}
END_TEST

static uint32_t mxcsr_after(void)
{
    uint32_t mxcsr;

    memcpy(&mxcsr, o.body.fx + 24, 4);
    return mxcsr;
}

static void set_mxcsr(uint32_t mxcsr)
{
    memcpy(o.start.fx + 24, &mxcsr, 4);
}

START_TEST(rounding_reports)
{
    vec_random_state(&o, 4);
    set_mxcsr(MXCSR_DEFAULT);
    set_xmm(1, 0x3fc00000, 0);
    ck_assert_int_eq(EXECUTE("\x66\x0f\x3a\x0a\xc1\x00"), -1); /* roundss $0, %xmm1, %xmm0 */
    ck_assert_uint_eq(mxcsr_after(), MXCSR_DEFAULT | FSW_PE);
    ck_assert_int_eq(EXECUTE("\x66\x0f\x3a\x0a\xc1\x08"), -1);
    ck_assert_uint_eq(mxcsr_after(), MXCSR_DEFAULT);
    set_mxcsr(MXCSR_DEFAULT & ~(FSW_PE << 7));
    ck_assert_int_eq(EXECUTE("\x66\x0f\x3a\x0a\xc1\x00"), EX_XM);
    ck_assert_int_eq(EXECUTE("\x66\x0f\x3a\x0a\xc1\x08"), -1);
    set_xmm(1, 0x7f800001, 0); /* signaling */
    set_mxcsr(MXCSR_DEFAULT);
    ck_assert_int_eq(EXECUTE("\x66\x0f\x3a\x0a\xc1\x08"), -1);
    ck_assert_uint_eq(mxcsr_after(), MXCSR_DEFAULT | FSW_IE);
    set_xmm(1, 1, 0); /* a denormal raises no DE, and with DAZ is an exact zero */
    ck_assert_int_eq(EXECUTE("\x66\x0f\x3a\x0a\xc1\x02"), -1);
    ck_assert_uint_eq(mxcsr_after(), MXCSR_DEFAULT | FSW_PE);
    set_mxcsr(MXCSR_DEFAULT | MXCSR_DAZ);
    ck_assert_int_eq(EXECUTE("\x66\x0f\x3a\x0a\xc1\x02"), -1);
    ck_assert_uint_eq(mxcsr_after(), MXCSR_DEFAULT | MXCSR_DAZ);
}
END_TEST

START_TEST(products_fault_before_sums)
{
    vec_random_state(&o, 4);
    set_mxcsr(MXCSR_DEFAULT & ~(FSW_OE << 7));
    set_xmm(0, 0x7f7fffff7f7fffff, 0);
    set_xmm(1, 0x7f7fffff3f800000, 0);
    ck_assert_int_eq(EXECUTE("\x66\x0f\x3a\x40\xc1\x3f"), EX_XM); /* a product overflows */
    ck_assert_uint_eq(mxcsr_after() & MXCSR_FLAGS, FSW_OE | FSW_PE);
    ck_assert_mem_eq(o.body.fx + 160, o.start.fx + 160, 16);
    set_xmm(1, 0x3f8000003f800000, 0);
    ck_assert_int_eq(EXECUTE("\x66\x0f\x3a\x40\xc1\x3f"), EX_XM); /* the sum */
    ck_assert_uint_eq(mxcsr_after() & MXCSR_FLAGS, FSW_OE);
    ck_assert_int_eq(EXECUTE("\x66\x0f\x3a\x40\xc1\x1f"), -1); /* of one product */
}
END_TEST

START_TEST(strings_have_lengths)
{
    vec_random_state(&o, 4);
    set_xmm(0, 0x4141414141414141, 0x4141414141414141);
    set_xmm(1, 0x4141414141414141, 0x4141414141414141);
    o.start.rax = 0xffffffff00000003; /* EAX says 3, RAX more than there is */
    o.start.rdx = (uint64_t)-5;
    ck_assert_int_eq(EXECUTE("\x66\x0f\x3a\x61\xc1\x18"), -1); /* pcmpestri: equal each, negated */
    ck_assert_uint_eq(o.body.rcx, 3);
    ck_assert_uint_eq(o.body.rflags & FLAGS_ARITH, FLAG_CF | FLAG_SF | FLAG_ZF);
    ck_assert_int_eq(EXECUTE("\x66\x48\x0f\x3a\x61\xc1\x18"), -1);
    ck_assert_uint_eq(o.body.rcx, 5);
    ck_assert_uint_eq(o.body.rflags & FLAGS_ARITH, FLAG_CF | FLAG_ZF);
    o.start.rax = o.start.rdx = 0x80000000;
    ck_assert_int_eq(EXECUTE("\x66\x0f\x3a\x61\xc1\x58"), -1); /* both whole: nothing differs */
    ck_assert_uint_eq(o.body.rcx, 16);
    ck_assert_uint_eq(o.body.rflags & FLAGS_ARITH, 0);
    set_xmm(0, 0, 0); /* the empty string is everywhere */
    ck_assert_int_eq(EXECUTE("\x66\x0f\x3a\x63\xc1\x0c"), -1);
    ck_assert_uint_eq(o.body.rcx, 0);
    ck_assert_uint_eq(o.body.rflags & FLAGS_ARITH, FLAG_CF | FLAG_OF | FLAG_SF);
}
END_TEST

START_TEST(ptest_sets_flags)
{
    vec_random_state(&o, 4);
    o.start.rflags |= FLAGS_ARITH;
    set_xmm(0, 0xf0, 0);
    set_xmm(1, 0x0f, 0);
    ck_assert_int_eq(EXECUTE("\x66\x0f\x38\x17\xc1"), -1);
    ck_assert_uint_eq(o.body.rflags & FLAGS_ARITH, FLAG_ZF);
    set_xmm(1, 0x30, 0);
    ck_assert_int_eq(EXECUTE("\x66\x0f\x38\x17\xc1"), -1);
    ck_assert_uint_eq(o.body.rflags & FLAGS_ARITH, FLAG_CF);
    o.cpu->s.zmm[0].u64[3] = 1;
    o.cpu->s.zmm[1].u64[3] = 3;
    ck_assert_int_eq(EXECUTE("\xc4\xe2\x7d\x17\xc1"), -1); /* vptest: the upper lanes spoil both */
    ck_assert_uint_eq(o.body.rflags & FLAGS_ARITH, 0);
}
END_TEST

START_TEST(extensions_fill_256_bits)
{
    static const uint16_t words[16] = {0xff80, 0xff81, 0xff82, 0xff83, 0xff84, 0xff85, 0xff86, 0xff87,
                                       0xff88, 0xff89, 0xff8a, 0xff8b, 0xff8c, 0xff8d, 0xff8e, 0xff8f};

    vec_random_state(&o, 4);
    set_xmm(1, 0x8786858483828180, 0x8f8e8d8c8b8a8988);
    memcpy(o.start.data, o.start.fx + 160 + 16, 16);
    ck_assert_int_eq(EXECUTE("\xc4\xe2\x7d\x20\xc1"), -1); /* vpmovsxbw %xmm1, %ymm0 */
    ck_assert_mem_eq(o.cpu->s.zmm[0].u8, words, 32);
    ck_assert_int_eq(EXECUTE("\xc4\xe2\x7d\x20\x06"), -1);
    ck_assert_mem_eq(o.cpu->s.zmm[0].u8, words, 32);
    ck_assert_int_eq(EXECUTE("\xc4\xe2\x7d\x32\xc1"), -1); /* vpmovzxbq */
    ck_assert_uint_eq(o.cpu->s.zmm[0].u64[3], 0x83);
    ck_assert_int_eq(EXECUTE("\xc4\xe2\x7d\x24\x06"), -1); /* vpmovsxwq */
    ck_assert_uint_eq(o.cpu->s.zmm[0].u64[3], 0xffffffffffff8786);
}
END_TEST

START_TEST(checks_come_in_order)
{
    vec_random_state(&o, 4);
    ck_assert_int_eq(EXECUTE("\x66\x0f\x38\x40\x46\x08"), EX_GP);  /* pmulld 8(%rsi), %xmm0 */
    ck_assert_int_eq(EXECUTE("\xc4\xe2\x79\x40\x46\x08"), -1);     /* vpmulld */
    ck_assert_int_eq(EXECUTE("\x66\x0f\x38\x20\x46\x01"), -1);     /* pmovsxbw */
    ck_assert_int_eq(EXECUTE("\x66\x0f\x38\x2a\x46\x08"), EX_GP);  /* movntdqa */
    ck_assert_int_eq(EXECUTE("\xc4\xe2\x7d\x2a\x46\x10"), EX_GP);  /* vmovntdqa, 256 bits */
    ck_assert_int_eq(EXECUTE("\x66\x0f\x3a\x63\x46\x01\x0c"), -1); /* pcmpistri */
    ck_assert_int_eq(EXECUTE("\xc4\xe3\xf9\x16\xc0\x01"), -1);     /* vpextrq */
    ck_assert_int_eq(EXECUTE("\xc4\xe3\x7d\x16\xc0\x01"), EX_UD);  /* with VEX.L */
    ck_assert_int_eq(EXECUTE("\xc4\xe3\xf9\x4a\xc1\x20"), EX_UD);  /* vblendvps with VEX.W */
    o.cpu->s.cr0 |= CR0_TS;
    ck_assert_int_eq(EXECUTE("\x66\x0f\x3a\x14\x46\x01\x00"), EX_NM); /* pextrb */
    o.cpu->s.xcr0 &= ~(uint64_t)XCR0_AVX;
    ck_assert_int_eq(EXECUTE("\xc4\xe2\x79\x40\x46\x08"), EX_UD);
}
END_TEST
#endif

Suite *sse4_suite(void);

Suite *sse4_suite(void)
{
    Suite *suite = suite_create("sse4");
    TCase *tc = tcase_create("sse4");

#if defined(__x86_64__)
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, rows_match_the_host);
    tcase_add_test(tc, lanes_are_alike);
    tcase_add_test(tc, known_results);
    tcase_add_test(tc, rounding_reports);
    tcase_add_test(tc, products_fault_before_sums);
    tcase_add_test(tc, strings_have_lengths);
    tcase_add_test(tc, ptest_sets_flags);
    tcase_add_test(tc, extensions_fill_256_bits);
    tcase_add_test(tc, checks_come_in_order);
#endif
    suite_add_tcase(suite, tc);
    return suite;
}
