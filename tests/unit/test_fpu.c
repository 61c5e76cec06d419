/* x87 against the host: every row of opcodes_fpu.def in each of its forms, and the images of the state. */
#include <check.h>

#if defined(__x86_64__)
#include "tests/unit/fpu_oracle.h"

static struct oracle o;

static void setup(void)
{
    oracle_new(&o);
}

static void teardown(void)
{
    oracle_free(&o);
}

struct value {
    uint64_t mantissa;
    uint16_t exponent;
};

/* Zeros, units, limits, denormals, a pseudo-denormal, infinities, NaNs, unsupported forms, numbers near
 * formats' edges. */
static const struct value values[] = {
    {0, 0},
    {0, 0x8000},
    {0x8000000000000000, 0x3fff},
    {0x8000000000000000, 0xbfff},
    {0x8000000000000000, 0x7fff},
    {0x8000000000000000, 0xffff},
    {0xc000000000000000, 0x7fff},
    {0xc000000000000001, 0xffff},
    {0x8000000000000001, 0x7fff},
    {0xa000000000000000, 0xffff},
    {1, 0},
    {0x7fffffffffffffff, 0x8000},
    {0x8000000000000000, 0},
    {0x8000000000000000, 1},
    {0x8000000000000001, 0x8001},
    {0xffffffffffffffff, 0x7ffe},
    {0xffffffffffffffff, 0xfffe},
    {0x4000000000000000, 0x4000},
    {0, 0x7fff},
    {0xc90fdaa22168c235, 0x4000},
    {0xc90fdaa22168c235, 0x3ffe},
    {0x8000000000000000, 0x403d},
    {0xffffffffffffffff, 0x403d},
    {0xfffffffffffffe00, 0xc01d},
    {0xffff000000000000, 0x400d},
    {0xfffffffffffffc00, 0x43fe},
    {0x8000000000000000, 0x3c00},
    {0xffffffffffffffff, 0x407e},
    {0x8000000000000001, 0x3f80},
    {0x8000000000000000, 0x4005},
    {0xb504f333f9de6484, 0x3fff},
    {0xb504f333f9de6485, 0x3ffe},
    {0x8000000000000000, 0x7000},
    {0x9000000000000000, 0x1000},
    {0xfa00000000000000, 0x400c},
    {0xfa00000000000000, 0xc00d},
};

static void random_value(uint8_t *at)
{
    unsigned count = sizeof(values) / sizeof(values[0]);
    uint64_t r = oracle_random(&o);
    struct value v = values[oracle_random(&o) % count];

    if ((r & 7) == 0)
        v = (struct value){oracle_random(&o), (uint16_t)oracle_random(&o)};
    else if ((r & 7) < 3) /* of ordinary size */
        v = (struct value){oracle_random(&o) | 1ull << 63,
                           (uint16_t)(0x3ff0 + (r >> 8) % 64 + (r >> 48 & 0x8000))};
    memset(at, 0, 16);
    memcpy(at, &v.mantissa, 8);
    memcpy(at + 8, &v.exponent, 2);
}

static const uint64_t memory_values[] = {0,
                                         0x8000000000000000,
                                         0x3f8000003f800000,
                                         0x7f8000007f800000,
                                         0xff800001ff800001,
                                         0x7ff0000000000000,
                                         0x7ff0000000000001,
                                         0x7ff8000000000001,
                                         1,
                                         0x8000000080000001,
                                         0x000fffffffffffff,
                                         0x0010000000000000,
                                         0x7fefffffffffffff,
                                         0x3ff0000000000000,
                                         0x7fc000017f7fffff,
                                         0xffffffffffffffff};

static void random_state(unsigned kind)
{
    struct oracle_state *s = &o.start;
    uint16_t fcw = FCW_INIT, fsw;
    uint32_t mxcsr = MXCSR_DEFAULT;
    uint64_t q;

    memset(s, 0, sizeof(*s));
    for (unsigned n = 0; n < 8; n++)
        random_value(s->fx + 32 + 16 * n);
    if (kind & 1)
        fcw = (uint16_t)(oracle_random(&o) & (FCW_PC | FCW_RC)) | FSW_EXCEPTIONS | FCW_RESERVED_ONE;
    if (kind & 2)
        fcw = (uint16_t)((fcw & ~FSW_EXCEPTIONS) | (oracle_random(&o) & FSW_EXCEPTIONS));
    if ((fcw & FCW_PC) == 0x100) /* reserved */
        fcw |= FCW_PC;
    /* No exception pending: sticky flags only where masked. */
    fsw = (uint16_t)(oracle_random(&o) & (FSW_TOP | FSW_CC | (fcw & FSW_EXCEPTIONS) | FSW_SF));
    if (!(fsw & FSW_IE))
        fsw &= (uint16_t)~FSW_SF;
    memcpy(s->fx, &fcw, 2);
    memcpy(s->fx + 2, &fsw, 2);
    s->fx[4] = kind & 4 ? (uint8_t)oracle_random(&o) : kind & 8 ? 0x7f : 0xff;
    if (!(kind & 4)) /* room for a push under the top */
        s->fx[4] = (kind & 8) ? (uint8_t) ~(1u << (((fsw >> 11) - 1) & 7)) : 0xff;
    memcpy(s->fx + 24, &mxcsr, 4);
    if (kind & 16) {
        random_value(s->data);
    } else {
        q = memory_values[oracle_random(&o) % (sizeof(memory_values) / sizeof(memory_values[0]))];
        memcpy(s->data, &q, 8);
    }
    if (kind & 32) {
        for (unsigned n = 0; n < 9; n++)
            s->data[n] = (uint8_t)((oracle_random(&o) % 10) << 4 | oracle_random(&o) % 10);
        s->data[9] = oracle_random(&o) & 0x80;
    }
    s->rax = oracle_random(&o);
    s->rflags = 2 | (oracle_random(&o) & FLAGS_ARITH);
}

/* Environments hold pointers that processors keep by different rules; state images have their own tests. */
static bool skipped(const struct opcode_row *row)
{
    static const char *const names[] = {"fldenv", "fnstenv", "frstor", "fnsave", "fldcw"};

    if (row->map || (row->opcode != 0x9b && (row->opcode & 0xf8) != 0xd8))
        return true;
    for (unsigned n = 0; n < sizeof(names) / sizeof(names[0]); n++)
        if (!strcmp(row->name, names[n]))
            return true;
    return false;
}

static unsigned encode(const struct opcode_row *row, unsigned sti, uint8_t *out)
{
    unsigned ext = row->sel >> 5 & 7;

    out[0] = row->opcode;
    if (!(row->sel & SEL_FORM))
        return 1;
    if ((row->sel & SEL_FORM) == SEL_MEM)
        out[1] = (uint8_t)(ext << 3 | RSI);
    else
        out[1] = (uint8_t)(0xc0 | ext << 3 | (row->sel & SEL_HAS_RM ? row->sel & 7 : sti));
    return 2;
}

#ifndef ROUNDS
#define ROUNDS 640
#endif

/* What the manuals leave open of FSW: C1 where nothing is rounded. This processor's choice is not every
 * host's. */
static uint16_t compared_bits(const struct opcode_row *row)
{
    static const char *const names[] = {"fcmov", "fcomi", "fucomi", "ffree", "fincstp", "fdecstp", "fstp1"};

    for (unsigned n = 0; n < sizeof(names) / sizeof(names[0]); n++)
        if (!strncmp(row->name, names[n], strlen(names[n])))
            return (uint16_t)~FSW_C1;
    return 0xffff;
}

START_TEST(rows_match_the_host)
{
    for (unsigned r = 0; r < opcode_row_count; r++) {
        const struct opcode_row *row = &opcode_rows[r];

        if (skipped(row))
            continue;
        for (unsigned k = 0; k < ROUNDS; k++) {
            uint8_t bytes[2];
            unsigned size = encode(row, (unsigned)(oracle_random(&o) & 7), bytes);

            random_state(k);
            oracle_check(&o, row->name, bytes, size, compared_bits(row), FLAGS_ARITH);
        }
    }
}
END_TEST

/* Control word, environment and state, from any bytes; what they say of the last instruction is tested below.
 */
START_TEST(images_match_the_host)
{
    static const struct {
        const char *name;
        const char *code;
        unsigned size;
        unsigned pointers, pointers_size; /* in the image */
    } insns[] = {
        {"fldcw", "\xd9\x2e", 2, 0, 0},         {"fldenv", "\xd9\x26", 2, 0, 0},
        {"fldenv16", "\x66\xd9\x26", 3, 0, 0},  {"frstor", "\xdd\x26", 2, 0, 0},
        {"frstor16", "\x66\xdd\x26", 3, 0, 0},  {"fnstenv", "\xd9\x36", 2, 12, 14},
        {"fnstenv16", "\x66\xd9\x36", 3, 6, 8}, {"fnsave", "\xdd\x36", 2, 12, 14},
        {"fnsave16", "\x66\xdd\x36", 3, 6, 8},
    };

    for (unsigned n = 0; n < sizeof(insns) / sizeof(insns[0]); n++) {
        for (unsigned k = 0; k < 500; k++) {
            random_state(k);
            for (unsigned b = 0; b < 128; b++)
                o.start.data[b] = (uint8_t)oracle_random(&o);
            oracle_native(&o, (const uint8_t *)insns[n].code, insns[n].size);
            oracle_body(&o, (const uint8_t *)insns[n].code, insns[n].size);
            memset(o.native.data + insns[n].pointers, 0, insns[n].pointers_size);
            memset(o.body.data + insns[n].pointers, 0, insns[n].pointers_size);
            if (!oracle_equal(&o, 0xffff, FLAGS_ARITH))
                oracle_check(&o, insns[n].name, (const uint8_t *)insns[n].code, insns[n].size, 0xffff,
                             FLAGS_ARITH);
        }
    }
}
END_TEST

/* Runs the body alone from o.start. */
static int run(const char *code, unsigned size)
{
    oracle_body(&o, (const uint8_t *)code, size);
    return o.body.vector;
}
#define EXECUTE(code) run(code, sizeof(code) - 1)

START_TEST(checks_come_in_order)
{
    random_state(0);
    o.start.fx[0] = 0x7e; /* an invalid operation is pending */
    o.start.fx[2] = 0x81;
    ck_assert_int_eq(EXECUTE("\xd9\xe8"), EX_MF); /* fld1 */
    ck_assert_int_eq(EXECUTE("\x9b"), EX_MF);     /* fwait */
    ck_assert_int_eq(EXECUTE("\xd9\x2e"), EX_MF); /* fldcw */
    ck_assert_int_eq(EXECUTE("\xdf\xe0"), -1);    /* fnstsw %ax */
    ck_assert_uint_eq(o.body.rax & 0x80ff, 0x8081);
    ck_assert_int_eq(EXECUTE("\xdb\xe2"), -1); /* fnclex */
    ck_assert_uint_eq(o.cpu->s.fsw & 0x80ff, 0);
    ck_assert_int_eq(EXECUTE("\xdb\xe3"), -1); /* fninit */
    ck_assert_uint_eq(o.cpu->s.fcw, 0x37f);
    ck_assert_uint_eq(o.cpu->s.fptag, 0);
    o.cpu->s.cr0 &= ~(uint64_t)CR0_NE; /* IGNNE# */
    ck_assert_int_eq(EXECUTE("\xd9\xd0"), -1);
    o.cpu->s.cr0 |= CR0_NE | CR0_TS;
    ck_assert_int_eq(EXECUTE("\xd9\xe8"), EX_NM);
    ck_assert_int_eq(EXECUTE("\xdb\xe3"), EX_NM);
    ck_assert_int_eq(EXECUTE("\x9b"), EX_NM);
    o.cpu->s.cr0 &= ~(uint64_t)CR0_MP;
    ck_assert_int_eq(EXECUTE("\x9b"), EX_MF); /* TS means nothing to FWAIT without MP */
    o.cpu->s.cr0 = (o.cpu->s.cr0 & ~(uint64_t)CR0_TS) | CR0_EM;
    ck_assert_int_eq(EXECUTE("\xd9\xe8"), EX_NM);
    ck_assert_int_eq(EXECUTE("\x9b"), EX_MF);
}
END_TEST

/* SDM 1 8.1.10: where things are in each of the four layouts. */
START_TEST(environment_layouts)
{
    struct cpu_state s = {.fcw = 0x37f, .fsw = 0x3800, .fptag = 0x80, .fop = 0x1e8};
    uint8_t image[28];
    uint16_t w[14];

    s.fip = 0x12345;
    s.fcs = 0x4000;
    s.fdp = 0x6789;
    s.fds = 0x1000;
    s.st[7] = (struct f80){1ull << 63, 0x3fff};
    ck_assert_uint_eq(fpu_store_env(&s, image, false, FPU_PROTECTED), 14);
    memcpy(w, image, 14);
    ck_assert_uint_eq(w[2], 0x3fff);
    ck_assert_uint_eq(w[3], 0x2345);
    ck_assert_uint_eq(w[4], 0x4000);
    ck_assert_uint_eq(w[5], 0x6789);
    ck_assert_uint_eq(w[6], 0x1000);
    fpu_store_env(&s, image, false, FPU_REAL);
    memcpy(w, image, 14);
    ck_assert_uint_eq(w[3], 0x2345); /* 40000 + 12345 */
    ck_assert_uint_eq(w[4], 0x51e8);
    ck_assert_uint_eq(w[5], 0x6789);
    ck_assert_uint_eq(w[6], 0x1000); /* 10000 + 6789 */
    ck_assert_uint_eq(fpu_store_env(&s, image, true, FPU_PROTECTED), 28);
    memcpy(w, image, 28);
    ck_assert_uint_eq(w[6], 0x2345);
    ck_assert_uint_eq(w[7], 1);
    ck_assert_uint_eq(w[8], 0x4000);
    ck_assert_uint_eq(w[9], 0x1e8);
    ck_assert_uint_eq(w[12], 0x1000);
    fpu_store_env(&s, image, true, FPU_REAL);
    memcpy(w, image, 28);
    ck_assert_uint_eq(w[6], 0x2345);
    ck_assert_uint_eq(w[8], 0x51e8);
    ck_assert_uint_eq(w[9], 0);
    ck_assert_uint_eq(w[10], 0x6789);
    ck_assert_uint_eq(w[12], 0x1000);
    fpu_load_env(&s, image, true, FPU_REAL);
    ck_assert_uint_eq(s.fip, 0x52345);
    ck_assert_uint_eq(s.fdp, 0x16789);
    ck_assert_uint_eq(s.fop, 0x1e8);
    ck_assert_uint_eq(s.fptag, 0x80);
}
END_TEST

/* Instructions that compute note where they are; control instructions leave that alone. */
START_TEST(pointers_follow)
{
    random_state(8);
    o.cpu->s.seg[CS].selector = 0x33;
    o.cpu->s.seg[DS].selector = 0x2b;
    ck_assert_int_eq(EXECUTE("\xdc\x46\x08"), -1); /* faddl 8(%rsi) */
    ck_assert_uint_eq(o.cpu->s.fip, 0x1000);
    ck_assert_uint_eq(o.cpu->s.fcs, 0x33);
    ck_assert_uint_eq(o.cpu->s.fdp, ORACLE_DATA + 8);
    ck_assert_uint_eq(o.cpu->s.fds, 0x2b);
    ck_assert_int_eq(EXECUTE("\xd9\x7e\x10"), -1); /* fnstcw 16(%rsi): what the FXSAVE image had */
    ck_assert_uint_eq(o.cpu->s.fip, 0);
    ck_assert_uint_eq(o.cpu->s.fdp, 0);
}
END_TEST
#endif

Suite *fpu_suite(void);

Suite *fpu_suite(void)
{
    Suite *suite = suite_create("fpu");
    TCase *tc = tcase_create("fpu");

#if defined(__x86_64__)
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, rows_match_the_host);
    tcase_add_test(tc, images_match_the_host);
    tcase_add_test(tc, checks_come_in_order);
    tcase_add_test(tc, environment_layouts);
    tcase_add_test(tc, pointers_follow);
#endif
    suite_add_tcase(suite, tc);
    return suite;
}
