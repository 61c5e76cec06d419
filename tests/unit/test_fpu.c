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

/* Zeros, units, limits, denormals, a pseudo-denormal, infinities, NaNs, unsupported forms, numbers near formats' edges. */
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
        v = (struct value){oracle_random(&o) | 1ull << 63, (uint16_t)(0x3ff0 + (r >> 8) % 64 + (r >> 48 & 0x8000))};
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
        s->fx[4] = (kind & 8) ? (uint8_t)~(1u << (((fsw >> 11) - 1) & 7)) : 0xff;
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
            oracle_check(&o, row->name, bytes, size, 0xffff, FLAGS_ARITH);
        }
    }
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
    tcase_add_test(tc, rows_match_the_host);
#endif
    suite_add_tcase(suite, tc);
    return suite;
}
