/* Every row of the VEX maps that is AVX or AVX2, and gathers, against the host, where it has AVX2. */
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

/* Elements worth meeting. */
static const uint32_t singles[] = {0,          0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000,
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

Suite *avx_host_suite(void);

Suite *avx_host_suite(void)
{
    Suite *suite = suite_create("avx_host");
    TCase *tc = tcase_create("avx_host");

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, rows_match_the_host);
    tcase_add_test(tc, gathers_match_the_host);
    suite_add_tcase(suite, tc);
    return suite;
}
