/*
 * test_bmi.c - BMI1, BMI2, ADX and CRC32 (SDM 2A, 2B; their pseudo-code is the reference).
 */
#include "tests/unit/cpu_rig.h"

static struct rig *r;
static struct cpu_state *s;

static void setup(void)
{
    r = rig_new("max", 0);
    rig_long_mode(r);
    s = &r->cpu->s;
}

static void teardown(void)
{
    rig_free(r);
}

/* Runs at RIG_CODE with RAX, RCX, RDX, RBX as given; then FLAGS as they were at the start but for what
 * changed. */
#define CODE(flags, rax, rcx, rdx, rbx, ...)                                                                 \
    do {                                                                                                     \
        s->gpr[RAX] = (rax);                                                                                 \
        s->gpr[RCX] = (rcx);                                                                                 \
        s->gpr[RDX] = (rdx);                                                                                 \
        s->gpr[RBX] = (rbx);                                                                                 \
        s->rip = RIG_CODE;                                                                                   \
        s->rflags = 2 | (flags);                                                                             \
        cpu_push(r->cpu);                                                                                    \
        ck_assert_int_ne(RUN(r, __VA_ARGS__), CPU_EXIT_SHUTDOWN);                                            \
    } while (0)

#define DEFINED (FLAG_CF | FLAG_ZF | FLAG_SF | FLAG_OF)
#define ALL     (FLAGS_ARITH)

static void flags_are(uint64_t mask, uint64_t flags)
{
    ck_assert_uint_eq(s->rflags & mask, flags);
}

START_TEST(andn)
{
    CODE(ALL, 0, 0xff00ff00ff00ff00, 0, 0x8123456789abcdef, 0xc4, 0xe2, 0xf0, 0xf2,
         0xc3); /* andn rax, rcx, rbx */
    ck_assert_uint_eq(s->gpr[RAX], 0x0023006700ab00ef);
    flags_are(DEFINED, 0);
    CODE(ALL, ~0ull, 0x7fffffff, 0, 0xffffffff, 0xc4, 0xe2, 0x70, 0xf2, 0xc3); /* andn eax, ecx, ebx */
    ck_assert_uint_eq(s->gpr[RAX], 0x80000000);
    flags_are(DEFINED, FLAG_SF);
    CODE(ALL, 1, ~0ull, 0, 5, 0xc4, 0xe2, 0xf0, 0xf2, 0xc3);
    ck_assert_uint_eq(s->gpr[RAX], 0);
    flags_are(DEFINED, FLAG_ZF);
}
END_TEST

START_TEST(lowest_bits)
{
    CODE(0, 0, 0, 0, 0x50, 0xc4, 0xe2, 0xf8, 0xf3, 0xcb); /* blsr rax, rbx */
    ck_assert_uint_eq(s->gpr[RAX], 0x40);
    flags_are(DEFINED, 0);
    CODE(0, 5, 0, 0, 0, 0xc4, 0xe2, 0xf8, 0xf3, 0xcb);
    ck_assert_uint_eq(s->gpr[RAX], 0);
    flags_are(DEFINED, FLAG_ZF | FLAG_CF);
    CODE(0, 0, 0, 0, 0x50, 0xc4, 0xe2, 0xf8, 0xf3, 0xd3); /* blsmsk rax, rbx */
    ck_assert_uint_eq(s->gpr[RAX], 0x1f);
    flags_are(DEFINED, 0);
    CODE(0, 0, 0, 0, 0xf00000000, 0xc4, 0xe2, 0x78, 0xf3, 0xd3); /* blsmsk eax, ebx */
    ck_assert_uint_eq(s->gpr[RAX], 0xffffffff);
    flags_are(DEFINED, FLAG_CF | FLAG_SF);
    CODE(0, 0, 0, 0, 0x50, 0xc4, 0xe2, 0xf8, 0xf3, 0xdb); /* blsi rax, rbx */
    ck_assert_uint_eq(s->gpr[RAX], 0x10);
    flags_are(DEFINED, FLAG_CF);
    CODE(0, 5, 0, 0, 0, 0xc4, 0xe2, 0xf8, 0xf3, 0xdb);
    ck_assert_uint_eq(s->gpr[RAX], 0);
    flags_are(DEFINED, FLAG_ZF);
}
END_TEST

START_TEST(bit_fields)
{
    CODE(ALL, 0, 0x0804, 0, 0x123456, 0xc4, 0xe2, 0xf0, 0xf7, 0xc3); /* bextr rax, rbx, rcx */
    ck_assert_uint_eq(s->gpr[RAX], 0x45);
    flags_are(FLAG_CF | FLAG_OF | FLAG_ZF, 0);
    CODE(ALL, 0, 0x0840, 0, ~0ull, 0xc4, 0xe2, 0xf0, 0xf7, 0xc3); /* from bit 64 */
    ck_assert_uint_eq(s->gpr[RAX], 0);
    flags_are(FLAG_CF | FLAG_OF | FLAG_ZF, FLAG_ZF);
    CODE(ALL, 0, 0xff04, 0, 0xf000000000000000, 0xc4, 0xe2, 0xf0, 0xf7, 0xc3); /* more than there are */
    ck_assert_uint_eq(s->gpr[RAX], 0x0f00000000000000);
    CODE(ALL, 0, 0xabcdef0020, 0, ~0ull, 0xc4, 0xe2, 0x70, 0xf7, 0xc3); /* none */
    ck_assert_uint_eq(s->gpr[RAX], 0);

    CODE(ALL, 0, 0xff08, 0, 0x123456, 0xc4, 0xe2, 0xf0, 0xf5, 0xc3); /* bzhi rax, rbx, rcx: 7:0 count */
    ck_assert_uint_eq(s->gpr[RAX], 0x56);
    flags_are(DEFINED, 0);
    CODE(0, 0, 64, 0, 1ull << 63, 0xc4, 0xe2, 0xf0, 0xf5, 0xc3);
    ck_assert_uint_eq(s->gpr[RAX], 1ull << 63);
    flags_are(DEFINED, FLAG_CF | FLAG_SF);
    CODE(0, 0, 31, 0, 0xffffffff80000000, 0xc4, 0xe2, 0x70, 0xf5, 0xc3);
    ck_assert_uint_eq(s->gpr[RAX], 0);
    flags_are(DEFINED, FLAG_ZF);
}
END_TEST

/* Bit by bit, as the manual's loops. */
static uint64_t deposit(uint64_t value, uint64_t mask)
{
    uint64_t result = 0;

    for (unsigned m = 0, k = 0; m < 64; m++)
        if (mask >> m & 1)
            result |= (value >> k++ & 1) << m;
    return result;
}

static uint64_t extract(uint64_t value, uint64_t mask)
{
    uint64_t result = 0;

    for (unsigned m = 0, k = 0; m < 64; m++)
        if (mask >> m & 1)
            result |= (value >> m & 1) << k++;
    return result;
}

START_TEST(scatter_and_gather)
{
    uint64_t v = 0x0123456789abcdef, m = 0xfedc8001;

    for (unsigned n = 0; n < 64; n++) {
        CODE(ALL, 0, v, 0, m, 0xc4, 0xe2, 0xf3, 0xf5, 0xc3); /* pdep rax, rcx, rbx */
        ck_assert_uint_eq(s->gpr[RAX], deposit(v, m));
        CODE(ALL, 0, v, 0, m, 0xc4, 0xe2, 0xf2, 0xf5, 0xc3); /* pext rax, rcx, rbx */
        ck_assert_uint_eq(s->gpr[RAX], extract(v, m));
        CODE(ALL, 0, v, 0, m, 0xc4, 0xe2, 0x73, 0xf5, 0xc3); /* 32 bits */
        ck_assert_uint_eq(s->gpr[RAX], deposit(v, (uint32_t)m));
        CODE(ALL, 0, v, 0, m, 0xc4, 0xe2, 0x72, 0xf5, 0xc3);
        ck_assert_uint_eq(s->gpr[RAX], extract(v, (uint32_t)m));
        flags_are(ALL, ALL);
        v = v * 6364136223846793005u + 1442695040888963407u;
        m = (m ^ v) * 0x9e3779b97f4a7c15u;
    }
}
END_TEST

START_TEST(mulx_keeps_flags_and_high_wins)
{
    CODE(ALL, 0, 0, 0xffffffffffffffff, 0xfffffffffffffffe, 0xc4, 0xe2, 0xf3, 0xf6,
         0xc3); /* mulx rax, rcx, rbx */
    ck_assert_uint_eq(s->gpr[RAX], 0xfffffffffffffffd);
    ck_assert_uint_eq(s->gpr[RCX], 2);
    flags_are(ALL, ALL);
    CODE(0, 0, ~0ull, 0xf00000003, 0x80000000, 0xc4, 0xe2, 0x73, 0xf6, 0xc3); /* mulx eax, ecx, ebx */
    ck_assert_uint_eq(s->gpr[RAX], 1);
    ck_assert_uint_eq(s->gpr[RCX], 0x80000000);
    CODE(0, 0, ~0ull, 4, 0xc000000000000000, 0xc4, 0xe2, 0xfb, 0xf6, 0xc3); /* mulx rax, rax, rbx */
    ck_assert_uint_eq(s->gpr[RAX], 3);
}
END_TEST

START_TEST(shifts_without_flags)
{
    CODE(ALL, 0, 0, 0, 0x8000000000000001, 0xc4, 0xe3, 0xfb, 0xf0, 0xc3, 0x41); /* rorx rax, rbx, 65 */
    ck_assert_uint_eq(s->gpr[RAX], 0xc000000000000000);
    CODE(ALL, 0, 0, 0, 0x80000001, 0xc4, 0xe3, 0x7b, 0xf0, 0xc3, 0x20); /* rorx eax, ebx, 32 */
    ck_assert_uint_eq(s->gpr[RAX], 0x80000001);
    CODE(ALL, ~0ull, 0xffffffffffffff24, 0, 0x80000000, 0xc4, 0xe2, 0x72, 0xf7,
         0xc3); /* sarx eax, ebx, ecx */
    ck_assert_uint_eq(s->gpr[RAX], 0xf8000000);
    CODE(ALL, 0, 0x7f, 0, 3, 0xc4, 0xe2, 0xf1, 0xf7, 0xc3); /* shlx rax, rbx, rcx */
    ck_assert_uint_eq(s->gpr[RAX], 1ull << 63);
    CODE(ALL, 0, 0x3f, 0, ~0ull, 0xc4, 0xe2, 0xf3, 0xf7, 0xc3); /* shrx rax, rbx, rcx */
    ck_assert_uint_eq(s->gpr[RAX], 1);
    flags_are(ALL, ALL);
}
END_TEST

START_TEST(two_carry_chains)
{
    CODE(FLAG_CF, ~0ull, 0, 0, 0, 0x66, 0x48, 0x0f, 0x38, 0xf6, 0xc3); /* adcx rax, rbx */
    ck_assert_uint_eq(s->gpr[RAX], 0);
    flags_are(ALL, FLAG_CF);
    CODE(FLAG_OF | FLAG_SF, ~0ull, 0, 0, 0, 0xf3, 0x48, 0x0f, 0x38, 0xf6, 0xc3); /* adox rax, rbx */
    ck_assert_uint_eq(s->gpr[RAX], 0);
    flags_are(ALL, FLAG_OF | FLAG_SF);
    CODE(ALL & ~FLAG_OF, 0xf7fffffff, 0, 0, 1, 0x66, 0x0f, 0x38, 0xf6,
         0xc3); /* adcx eax, ebx: signed overflow */
    ck_assert_uint_eq(s->gpr[RAX], 0x80000001);
    flags_are(ALL, ALL & ~(FLAG_OF | FLAG_CF));
    CODE(FLAG_OF, ~0ull, 0, 0, ~0ull, 0xf3, 0x0f, 0x38, 0xf6, 0xc3); /* adox eax, ebx */
    ck_assert_uint_eq(s->gpr[RAX], 0xffffffff);
    flags_are(ALL, FLAG_OF);
    CODE(FLAG_OF | FLAG_CF, 1, 0, 0, 2, 0x66, 0xf3, 0x0f, 0x38, 0xf6,
         0xc3); /* 66 changes nothing behind F3 */
    ck_assert_uint_eq(s->gpr[RAX], 4);
    flags_are(ALL, FLAG_CF);
}
END_TEST

/* Its check value: CRC-32C of "123456789" is E3069283. */
START_TEST(crc32c)
{
    memcpy(r->ram + 0x3000, "123456789", 9);
    CODE(ALL, 0xffffffffffffffff, 0x3000, 0, 0, 0xf2, 0x48, 0x0f, 0x38, 0xf1,
         0x01,                                /* crc32 rax, qword [rcx] */
         0xf2, 0x0f, 0x38, 0xf0, 0x41, 0x08); /* crc32 eax, byte [rcx + 8] */
    ck_assert_uint_eq(s->gpr[RAX], (uint32_t)~0xe3069283);
    flags_are(ALL, ALL);
    CODE(0, 0xffffffff, 0x3000, 0, 0, 0xf2, 0x48, 0x0f, 0x38, 0xf0, 0x01, /* crc32 rax, byte [rcx] */
         0x66, 0xf2, 0x0f, 0x38, 0xf1, 0x41, 0x01,                        /* crc32 eax, word [rcx + 1] */
         0xf2, 0x0f, 0x38, 0xf1, 0x41, 0x03,                              /* crc32 eax, dword [rcx + 3] */
         0x66, 0xf2, 0x48, 0x0f, 0x38, 0xf0, 0x41, 0x07, 0xf2, 0x0f, 0x38, 0xf0, 0x41, 0x08);
    ck_assert_uint_eq(s->gpr[RAX], (uint32_t)~0xe3069283);
    CODE(0, 0, 0, 0, 0x8000, 0xf2, 0x0f, 0x38, 0xf0, 0xc7); /* crc32 eax, bh */
    ck_assert_uint_ne(s->gpr[RAX], 0);
}
END_TEST

/* Memory operands, and nothing done when they fault. */
START_TEST(memory_operands)
{
    rig_put64(r, 0x3ffc, 0x1122334455667788);
    CODE(0, 0x3ffc, 0x0810, 0, 0, 0xc4, 0xe2, 0xf0, 0xf7,
         0x10); /* bextr rdx, [rax], rcx: over a page's end */
    ck_assert_uint_eq(s->gpr[RDX], 0x66);
    s->idtr.limit = 0;
    s->gpr[RAX] = 1ull << 30;
    s->gpr[RDX] = 7;
    s->gpr[RCX] = 9;
    s->rip = RIG_CODE;
    cpu_push(r->cpu);
    RUN(r, 0xc4, 0xe2, 0xf3, 0xf6, 0x10); /* mulx rdx, rcx, [rax] */
    ck_assert_int_eq(r->cpu->chain[0].vector, EX_PF);
    ck_assert_uint_eq(s->gpr[RDX], 7);
    ck_assert_uint_eq(s->gpr[RCX], 9);
}
END_TEST

/* #UD: VEX.L set; vvvv not 1111b where nothing is there; LOCK; real mode. */
START_TEST(encodings_that_do_not_exist)
{
    static const uint8_t codes[][7] = {
        {0xc4, 0xe2, 0xf4, 0xf2, 0xc3},       /* andn with L */
        {0xc4, 0xe3, 0xf3, 0xf0, 0xc3, 0x01}, /* rorx with vvvv */
        {0xc4, 0xe2, 0xf8, 0xf3, 0xc3},       /* 0F 38 F3 /0 */
        {0xf0, 0xc4, 0xe2, 0xf0, 0xf2, 0x03}, /* lock andn */
        {0x66, 0xc4, 0xe2, 0xf0, 0xf2, 0xc3}, /* 66 */
        {0x48, 0xc4, 0xe2, 0xf0, 0xf2, 0xc3}, /* REX */
    };

    s->idtr.limit = 0;
    for (unsigned n = 0; n < sizeof(codes) / sizeof(codes[0]); n++) {
        s->rip = RIG_CODE;
        cpu_push(r->cpu);
        rig_run(r, codes[n], sizeof(codes[n]));
        ck_assert_int_eq(r->cpu->chain[0].vector, EX_UD);
        teardown();
        setup();
        s->idtr.limit = 0;
    }
    teardown();
    r = rig_new("max", 0);
    s = &r->cpu->s;
    rig_real_mode(r);
    s->idtr.limit = 0;
    RUN(r, 0xc4, 0xe2, 0x70, 0xf2, 0xc3);
    ck_assert_int_eq(r->cpu->chain[0].vector, EX_UD);
}
END_TEST

Suite *bmi_suite(void)
{
    Suite *suite = suite_create("bmi");
    TCase *tc = tcase_create("bmi");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, andn);
    tcase_add_test(tc, lowest_bits);
    tcase_add_test(tc, bit_fields);
    tcase_add_test(tc, scatter_and_gather);
    tcase_add_test(tc, mulx_keeps_flags_and_high_wins);
    tcase_add_test(tc, shifts_without_flags);
    tcase_add_test(tc, two_carry_chains);
    tcase_add_test(tc, crc32c);
    tcase_add_test(tc, memory_operands);
    tcase_add_test(tc, encodings_that_do_not_exist);
    suite_add_tcase(suite, tc);
    return suite;
}
