/* MMX, SSE, SSE2, SSE3 and SSSE3 against the host: every row of opcodes_sse.def in its register and memory
 * forms. */
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

/* Elements worth meeting: zeros, units, limits, denormals, infinities, NaNs of both kinds, numbers that don't
 * fit. */
static const uint32_t singles[] = {0,          0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000,
                                   0x7fc00001, 0x7f800001, 0xffa00000, 1,          0x80000001, 0x007fffff,
                                   0x00800000, 0x00800001, 0x7f7fffff, 0x4f000000, 0xcf000000, 0x5f000000,
                                   0x3f7fffff, 0x3f000001, 0x4b000001, 0x3fc00000};
static const uint64_t doubles[] = {0,
                                   0x8000000000000000,
                                   0x3ff0000000000000,
                                   0xbff0000000000000,
                                   0x7ff0000000000000,
                                   0xfff0000000000000,
                                   0x7ff8000000000001,
                                   0x7ff0000000000001,
                                   1,
                                   0x800fffffffffffff,
                                   0x0010000000000000,
                                   0x7fefffffffffffff,
                                   0x41e0000000000000,
                                   0xc1e0000000200000,
                                   0x43e0000000000000,
                                   0x3fefffffffffffff,
                                   0x380fffffffffffff,
                                   0x47f0000000000000,
                                   0x3ff8000000000000,
                                   0x3690000000000000};

#define PICK(table) ((table)[oracle_random(&o) % (sizeof(table) / sizeof((table)[0]))])

static uint64_t random_element(unsigned kind)
{
    switch (kind % 4) {
    case 0:
        return PICK(singles) | (uint64_t)PICK(singles) << 32;
    case 1:
        return PICK(doubles);
    case 2:
        /* singles of like size, so that sums and quotients are interesting */
        return (oracle_random(&o) & 0x81ffffff81ffffff) + 0x3e0000003e000000;
    default:
        return oracle_random(&o);
    }
}

static void random_state(unsigned kind)
{
    struct oracle_state *s = &o.start;
    uint64_t q[64];
    uint32_t mxcsr;

    memset(s, 0, sizeof(*s));
    for (unsigned n = 0; n < 64; n++)
        q[n] = random_element(kind);
    memcpy(s->data, q, sizeof(q));
    for (unsigned n = 0; n < 64; n++)
        q[n] = random_element(kind);
    memcpy(s->fx, q, sizeof(q));
    /* No x87 exception pending, the top anywhere. */
    q[0] = 0x037f | (oracle_random(&o) & 0x3800) << 16 | (oracle_random(&o) & 0xff) << 32;
    q[3] = 0;
    memcpy(s->fx, q, 8);
    memset(s->fx + 416, 0, 96);
    mxcsr = MXCSR_DEFAULT;
    if (kind & 4)
        mxcsr = (uint32_t)oracle_random(&o) & MXCSR_WRITABLE;
    if (kind & 8)
        mxcsr |= MXCSR_MASKS;
    memcpy(s->fx + 24, &mxcsr, 4);
    for (unsigned n = 0; n < 8; n++) {
        memset(s->fx + 32 + 16 * n + 10, 0, 6);
    }
    s->rax = oracle_random(&o);
    s->rcx = random_element(kind);
    s->rdx = oracle_random(&o);
    s->rflags = 2 | (oracle_random(&o) & FLAGS_ARITH);
}

/* Unmasked overflow and underflow: PE may tell of a result that was never rounded to its format; see
 * sse_float_slow(). */
static bool beyond_format(void)
{
    uint32_t before, native;

    memcpy(&before, o.start.fx + 24, 4);
    memcpy(&native, o.native.fx + 24, 4);
    return o.native.vector == EX_XM && (native & ~before >> 7 & (FSW_OE | FSW_UE));
}

static bool skipped(const struct opcode_row *row)
{
    static const char *const names[] = {"fxsave",     "fxrstor",    "ldmxcsr",    "stmxcsr",   "clflush",
                                        "clflushopt", "maskmovq",   "maskmovdqu", "prefetchw", "prefetchnta",
                                        "prefetcht0", "prefetcht1", "prefetcht2"};

    if (row->feature != F_MMX && row->feature != F_SSE && row->feature != F_SSE2 && row->feature != F_SSE3 &&
        row->feature != F_SSSE3)
        return true;
    for (unsigned n = 0; n < sizeof(names) / sizeof(names[0]); n++)
        if (!strcmp(row->name, names[n]))
            return true;
    return false;
}

static bool has_operand(const struct opcode_row *row, unsigned operand)
{
    return row->operand[0] == operand || row->operand[1] == operand || row->operand[2] == operand ||
           row->operand[3] == operand;
}

static bool general_operand(const struct opcode_row *row)
{
    return has_operand(row, O_Ey) || has_operand(row, O_Ed) || has_operand(row, O_Gd) ||
           has_operand(row, O_Gy);
}

static unsigned encode(const struct opcode_row *row, bool memory, bool rexw, unsigned reg, unsigned rm,
                       uint8_t imm, uint8_t *out)
{
    static const uint8_t prefix[] = {0, 0, 0x66, 0xf3, 0xf2};
    unsigned n = 0;

    if (prefix[row->prefix])
        out[n++] = prefix[row->prefix];
    if (rexw)
        out[n++] = 0x48;
    out[n++] = 0x0f;
    if (row->map > 1)
        out[n++] = row->map == 2 ? 0x38 : 0x3a;
    out[n++] = row->opcode;
    if (row->sel & SEL_FORM) {
        if (row->sel & SEL_HAS_EXT)
            reg = row->sel >> 5 & 7;
        out[n++] = (uint8_t)(memory ? reg << 3 | RSI : 0xc0 | reg << 3 | rm);
    }
    if (has_operand(row, O_Ib))
        out[n++] = imm;
    return n;
}

static void check_row(const struct opcode_row *row, unsigned rounds)
{
    for (unsigned k = 0; k < rounds; k++) {
        bool memory = (row->sel & SEL_FORM) == SEL_MEM || ((row->sel & SEL_FORM) == SEL_ANY && (k & 1));
        bool rexw = general_operand(row) && (oracle_random(&o) & 1);
        /* Registers that are general ones stay in RAX, RCX and RDX. */
        unsigned limit = general_operand(row) ? 3 : 8;
        unsigned reg = (unsigned)(oracle_random(&o) % limit), rm = (unsigned)(oracle_random(&o) % limit);
        uint8_t bytes[15], imm = (uint8_t)oracle_random(&o);
        unsigned size = encode(row, memory, rexw, reg, rm, (k & 8) ? imm : imm & 31, bytes);

        random_state(k >> 1);
        oracle_native(&o, bytes, size);
        oracle_body(&o, bytes, size);
        if (beyond_format()) {
            o.native.fx[24] &= (uint8_t)~FSW_PE;
            o.body.fx[24] &= (uint8_t)~FSW_PE;
        }
        if (!oracle_equal(&o, 0xffff, FLAGS_ARITH))
            oracle_check(&o, row->name, bytes, size, 0xffff, FLAGS_ARITH);
    }
}

START_TEST(rows_match_the_host)
{
    for (unsigned r = 0; r < opcode_row_count; r++)
        if (!skipped(&opcode_rows[r]))
            check_row(&opcode_rows[r], 400);
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
    random_state(3);
    ck_assert_int_eq(EXECUTE("\x0f\x28\x06"), -1);            /* movaps (%rsi), %xmm0 */
    ck_assert_int_eq(EXECUTE("\x0f\x28\x46\x08"), EX_GP);     /* 8(%rsi) */
    ck_assert_int_eq(EXECUTE("\x0f\x10\x46\x08"), -1);        /* movups */
    ck_assert_int_eq(EXECUTE("\x66\x0f\xef\x46\x01"), EX_GP); /* pxor */
    ck_assert_int_eq(EXECUTE("\x0f\x2b\x46\x04"), EX_GP);     /* movntps */
    o.cpu->s.cr0 |= CR0_TS;
    ck_assert_int_eq(EXECUTE("\x0f\x28\x46\x08"), EX_NM);
    ck_assert_int_eq(EXECUTE("\x0f\xef\x06"), EX_NM); /* pxor on MMX */
    ck_assert_int_eq(EXECUTE("\x0f\xc3\x06"), -1);    /* movnti needs no SSE state */
    ck_assert_int_eq(EXECUTE("\x0f\xae\x06"), EX_NM); /* fxsave */
    o.cpu->s.cr4 &= ~(uint64_t)CR4_OSFXSR;
    ck_assert_int_eq(EXECUTE("\x0f\x28\xc1"), EX_UD);
    ck_assert_int_eq(EXECUTE("\x0f\xef\x06"), EX_NM);
    o.cpu->s.cr0 &= ~(uint64_t)CR0_TS;
    ck_assert_int_eq(EXECUTE("\x0f\xef\x06"), -1);
    ck_assert_int_eq(EXECUTE("\x0f\xae\x06"), -1);
    o.cpu->s.cr4 |= CR4_OSFXSR;
    o.cpu->s.cr0 |= CR0_EM;
    ck_assert_int_eq(EXECUTE("\x0f\x28\xc1"), EX_UD);
    ck_assert_int_eq(EXECUTE("\x0f\xef\x06"), EX_UD);
}
END_TEST

START_TEST(mmx_waits_for_x87_exceptions)
{
    random_state(3);
    o.start.fx[0] = 0x7e; /* IM clear */
    o.start.fx[2] = 0x81; /* ES and IE */
    ck_assert_int_eq(EXECUTE("\x0f\xef\xc1"), EX_MF);
    ck_assert_int_eq(EXECUTE("\x66\x0f\xef\xc1"), -1); /* SSE doesn't */
    ck_assert_int_eq(EXECUTE("\x0f\x2a\xc1"), EX_MF);  /* cvtpi2ps from a register does */
    o.cpu->s.cr0 &= ~(uint64_t)CR0_NE;
    ck_assert_int_eq(EXECUTE("\x0f\xef\xc1"), -1); /* as with IGNNE# asserted */
}
END_TEST

START_TEST(xm_needs_osxmmexcpt)
{
    uint32_t mxcsr = 0x1d80; /* ZM clear */

    random_state(0);
    memset(o.start.fx + 160, 0, 32);
    o.start.fx[160 + 2] = 0x80; /* xmm0 = 1.0f, xmm1 = 0 */
    o.start.fx[160 + 3] = 0x3f;
    memcpy(o.start.fx + 24, &mxcsr, 4);
    ck_assert_int_eq(EXECUTE("\xf3\x0f\x5e\xc1"), EX_XM); /* divss */
    ck_assert_uint_eq(o.cpu->s.mxcsr, 0x1d84);
    ck_assert_mem_eq(o.body.fx + 160, o.start.fx + 160, 16);
    o.cpu->s.cr4 &= ~(uint64_t)CR4_OSXMMEXCPT;
    ck_assert_int_eq(EXECUTE("\xf3\x0f\x5e\xc1"), EX_UD);
}
END_TEST

START_TEST(mxcsr_has_reserved_bits)
{
    uint32_t value = 0x1fbf;

    random_state(3);
    memcpy(o.start.data, &value, 4);
    ck_assert_int_eq(EXECUTE("\x0f\xae\x16"), -1); /* ldmxcsr (%rsi) */
    ck_assert_uint_eq(o.cpu->s.mxcsr, 0x1fbf);
    value = 0x11f80;
    memcpy(o.start.data, &value, 4);
    ck_assert_int_eq(EXECUTE("\x0f\xae\x16"), EX_GP);
    ck_assert_int_eq(EXECUTE("\x0f\xae\x1e"), -1); /* stmxcsr */
    ck_assert_mem_eq(o.body.data, o.start.fx + 24, 4);
}
END_TEST

/* Flags that the host raised in other work must not show up in the guest's MXCSR. */
START_TEST(host_flags_stay_out)
{
    uint32_t mxcsr = MXCSR_DEFAULT;
    volatile double three = 3.0, third;

    random_state(3);
    memset(o.start.fx + 160, 0, 32);
    memcpy(o.start.fx + 24, &mxcsr, 4);
    third = 1.0 / three;
    (void)third;
    ck_assert_int_eq(EXECUTE("\xf2\x0f\x58\xc1"), -1); /* addsd of zeros */
    ck_assert_uint_eq(o.cpu->s.mxcsr, MXCSR_DEFAULT);
}
END_TEST

START_TEST(maskmov_stores_selected_bytes)
{
    uint8_t mask[16] = {0x80, 0, 0xff, 0x7f, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0x80, 0};

    random_state(3);
    memcpy(o.start.fx + 160 + 16, mask, 16); /* xmm1 */
    o.start.rdi = ORACLE_DATA + 3;
    ck_assert_int_eq(EXECUTE("\x66\x0f\xf7\xc1"), -1);
    for (unsigned n = 0; n < 16; n++)
        ck_assert_uint_eq(o.body.data[3 + n], mask[n] & 0x80 ? o.start.fx[160 + n] : o.start.data[3 + n]);
    ck_assert_uint_eq(o.body.data[2], o.start.data[2]);

    memcpy(o.start.fx + 32 + 16, mask, 8); /* mm1 (TOP is anywhere) */
    memset(o.start.fx + 2, 0, 2);
    ck_assert_int_eq(EXECUTE("\x0f\xf7\xc1"), -1);
    for (unsigned n = 0; n < 8; n++)
        ck_assert_uint_eq(o.body.data[3 + n], mask[n] & 0x80 ? o.start.fx[32 + n] : o.start.data[3 + n]);
    ck_assert_uint_eq(o.body.fx[4], 0xff);
}
END_TEST

START_TEST(fxsave_and_back)
{
    struct cpu_state before;

    random_state(3);
    ck_assert_int_eq(EXECUTE("\x48\x0f\xae\x06"), -1); /* fxsave64 (%rsi) */
    ck_assert_mem_eq(o.body.data + 32, o.start.fx + 32, 384);
    ck_assert_mem_eq(o.body.data, o.start.fx, 5);
    ck_assert_mem_eq(o.body.data + 28, "\xff\xff\0\0", 4);
    ck_assert_mem_eq(o.body.data + 416, o.start.data + 416, 96); /* left alone */
    before = o.cpu->s;
    memcpy(o.start.data, o.body.data, 512);
    memset(o.start.fx + 32, 0, 384);
    ck_assert_int_eq(EXECUTE("\x48\x0f\xae\x0e"), -1); /* fxrstor64 */
    ck_assert_mem_eq(o.cpu->s.st, before.st, sizeof(before.st));
    ck_assert_mem_eq(o.cpu->s.zmm[15].u8, before.zmm[15].u8, 16);
    ck_assert_uint_eq(o.cpu->s.fsw, before.fsw);
    ck_assert_uint_eq(o.cpu->s.fptag, before.fptag);
    o.start.data[26] = 1; /* reserved bit of MXCSR */
    ck_assert_int_eq(EXECUTE("\x48\x0f\xae\x0e"), EX_GP);
    ck_assert_int_eq(EXECUTE("\x48\x0f\xae\x46\x08"), EX_GP);
}
END_TEST

/* Legacy SSE leaves what is above 128 bits. */
START_TEST(upper_bits_stay)
{
    random_state(3);
    o.cpu->s.zmm[0].u64[2] = 0x1122334455667788;
    o.cpu->s.zmm[0].u64[7] = 0x99aabbccddeeff00;
    ck_assert_int_eq(EXECUTE("\xf3\x0f\x10\x06"), -1);
    ck_assert_int_eq(EXECUTE("\x66\x0f\xef\xc0"), -1);
    ck_assert_uint_eq(o.cpu->s.zmm[0].u64[1], 0);
    ck_assert_uint_eq(o.cpu->s.zmm[0].u64[2], 0x1122334455667788);
    ck_assert_uint_eq(o.cpu->s.zmm[0].u64[7], 0x99aabbccddeeff00);
}
END_TEST
#endif

Suite *sse_suite(void);

Suite *sse_suite(void)
{
    Suite *suite = suite_create("sse");
    TCase *tc = tcase_create("sse");

#if defined(__x86_64__)
    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, rows_match_the_host);
    tcase_add_test(tc, checks_come_in_order);
    tcase_add_test(tc, mmx_waits_for_x87_exceptions);
    tcase_add_test(tc, xm_needs_osxmmexcpt);
    tcase_add_test(tc, mxcsr_has_reserved_bits);
    tcase_add_test(tc, host_flags_stay_out);
    tcase_add_test(tc, maskmov_stores_selected_bytes);
    tcase_add_test(tc, fxsave_and_back);
    tcase_add_test(tc, upper_bits_stay);
#endif
    suite_add_tcase(suite, tc);
    return suite;
}
