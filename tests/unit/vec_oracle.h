/*
 * vec_oracle.h - rows of opcodes.def with XMM and YMM operands: encoded, run by their bodies, and compared
 * with the host and lane by lane. For x86-64 hosts only.
 */
#ifndef TESTS_UNIT_VEC_ORACLE_H
#define TESTS_UNIT_VEC_ORACLE_H

#include "tests/unit/fpu_oracle.h"

/* An encoding of a row. Registers are 0 to 7, general ones 0 to 2: RAX, RCX, RDX. Memory is at [RSI]. */
struct encoding {
    bool memory, w, l;
    unsigned reg, rm, vvvv;
    uint8_t imm;
};

static inline void vec_oracle_new(struct oracle *o)
{
    oracle_new(o);
    o->cpu->s.cr4 |= CR4_OSXSAVE;
    o->cpu->s.xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX;
}

static inline bool vec_has_operand(const struct opcode_row *row, unsigned operand)
{
    for (unsigned n = 0; n < 4; n++)
        if (row->operand[n] == operand)
            return true;
    return false;
}

static inline bool vec_general(const struct opcode_row *row)
{
    return vec_has_operand(row, O_Ed) || vec_has_operand(row, O_Ey);
}

static inline bool vec_host_has(const struct opcode_row *row)
{
    switch (row->feature) {
    case F_SSE41:
        return __builtin_cpu_supports("sse4.1");
    case F_SSE42:
        return __builtin_cpu_supports("sse4.2");
    case F_AVX:
        return __builtin_cpu_supports("avx");
    case F_AVX2:
        return __builtin_cpu_supports("avx2");
    case F_FMA:
        return __builtin_cpu_supports("fma");
    default:
        return false;
    }
}

/* Its bytes, and how many; rows here all have 66 as part of the opcode, in the maps 0F 38 and 0F 3A. */
static inline unsigned vec_encode(const struct opcode_row *row, const struct encoding *e, uint8_t *out)
{
    unsigned n = 0;

    if (row->map > VEX) {
        out[n++] = 0xc4;
        out[n++] = (uint8_t)(0xe0 | (row->map - VEX));
        out[n++] = (uint8_t)(e->w << 7 | (~e->vvvv & 15) << 3 | e->l << 2 | 1);
    } else {
        out[n++] = 0x66;
        if (e->w)
            out[n++] = 0x48;
        out[n++] = 0x0f;
        out[n++] = row->map == 2 ? 0x38 : 0x3a;
    }
    out[n++] = row->opcode;
    out[n++] = (uint8_t)(e->memory ? e->reg << 3 | RSI : 0xc0 | e->reg << 3 | e->rm);
    if (vec_has_operand(row, O_Ib) || vec_has_operand(row, O_Lx))
        out[n++] = e->imm;
    return n;
}

static inline struct encoding vec_choose(struct oracle *o, const struct opcode_row *row, bool l)
{
    unsigned limit = vec_general(row) ? 3 : 8;
    uint64_t r = oracle_random(o);
    struct encoding e = {.l = l,
                         .reg = (unsigned)(r & 0xff) % limit,
                         .rm = (unsigned)(r >> 8 & 0xff) % limit,
                         .imm = (uint8_t)(r >> 16),
                         .w = r >> 24 & 1};

    e.memory = (row->sel & SEL_FORM) == SEL_MEM || ((row->sel & SEL_FORM) == SEL_ANY && (r >> 25 & 1));
    if (row->sel & (SEL_W0 | SEL_W1))
        e.w = row->sel & SEL_W1;
    else if (row->map < VEX && !vec_general(row))
        e.w = row->feature == F_SSE42 && e.w;
    if (vec_has_operand(row, O_Hx))
        e.vvvv = (unsigned)(r >> 26 & 7);
    if (vec_has_operand(row, O_Lx))
        e.imm &= 0x7f;
    return e;
}

/* Elements worth meeting, as halves, singles, doubles and letters. */
static inline uint64_t vec_element(struct oracle *o, unsigned kind)
{
    static const uint32_t singles[] = {
        0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00001, 0x7f800001, 0xffa00000,
        1, 0x807fffff, 0x00800000, 0x7f7fffff, 0x3f7fffff, 0x3f000000, 0x4b000001, 0x3fc00000, 0x34000000};
    static const uint64_t doubles[] = {0,
                                       0x8000000000000000,
                                       0x3ff0000000000000,
                                       0xfff0000000000000,
                                       0x7ff8000000000001,
                                       0x7ff0000000000001,
                                       0x800fffffffffffff,
                                       1,
                                       0x7fefffffffffffff,
                                       0x3fe0000000000000,
                                       0x4330000000000001,
                                       0x3ca0000000000000};
    uint64_t r = oracle_random(o);

    switch (kind % 5) {
    case 0:
        return singles[r % 18] | (uint64_t)singles[(r >> 8) % 18] << 32;
    case 1:
        return doubles[r % 12];
    case 2: /* of like size, so that sums cancel */
        return (r & 0x81ffffff81ffffff) + 0x3e0000003e000000;
    case 3: /* few letters, some zeros */
        return r & 0x0301000203010200;
    default:
        return r;
    }
}

static inline void vec_random_state(struct oracle *o, unsigned kind)
{
    struct oracle_state *s = &o->start;
    uint64_t q[64];
    uint32_t mxcsr = MXCSR_DEFAULT;

    memset(s, 0, sizeof(*s));
    for (unsigned n = 0; n < 64; n++)
        q[n] = vec_element(o, kind);
    memcpy(s->data, q, sizeof(q));
    for (unsigned n = 0; n < 64; n++)
        q[n] = n < 20 ? 0 : vec_element(o, kind);
    q[0] = 0x037f;
    memcpy(s->fx, q, sizeof(q));
    memset(s->fx + 416, 0, 96);
    if (kind & 8)
        mxcsr = (uint32_t)oracle_random(o) & MXCSR_WRITABLE;
    if (kind & 16)
        mxcsr |= MXCSR_MASKS;
    memcpy(s->fx + 24, &mxcsr, 4);
    s->rax = oracle_random(o) % 40 - 20;
    s->rcx = oracle_random(o);
    s->rdx = kind & 32 ? oracle_random(o) : oracle_random(o) % 40 - 20;
    s->rflags = 2 | (oracle_random(o) & FLAGS_ARITH);
}

/* As on the host; of 256 bits the lower half. */
static inline void vec_check_row(struct oracle *o, const struct opcode_row *row, unsigned rounds)
{
    for (unsigned k = 0; k < rounds; k++) {
        struct encoding e = vec_choose(o, row, row->sel & SEL_L1);
        uint8_t bytes[15];
        unsigned size = vec_encode(row, &e, bytes);

        vec_random_state(o, k);
        oracle_check(o, row->name, bytes, size, 0xffff, FLAGS_ARITH);
    }
}

/* --- Lanes --------------------------------------------------------------------------------------- */

static inline void vec_exchange_lanes(struct oracle *o, uint64_t upper[8][2])
{
    for (unsigned n = 0; n < 8; n++) {
        uint64_t q[2];

        memcpy(q, o->start.fx + 160 + 16 * n, 16);
        memcpy(o->start.fx + 160 + 16 * n, upper[n], 16);
        memcpy(upper[n], q, 16);
    }
    memmove(o->start.data, o->start.data + 16, 16);
}

/* The row with 256 bits does in each lane what it does with 128; `shift` is how far the upper lane's bits of
 * the immediate lie above the lower one's. */
static inline void vec_check_lanes(struct oracle *o, const struct opcode_row *row, unsigned shift,
                                   unsigned rounds)
{
    for (unsigned k = 0; k < rounds; k++) {
        struct encoding e = vec_choose(o, row, true);
        uint64_t upper[8][2], both[4], lane[4];
        uint8_t bytes[15];

        vec_random_state(o, (k & 7) | 24);
        for (unsigned n = 0; n < 8; n++) {
            upper[n][0] = vec_element(o, k);
            upper[n][1] = vec_element(o, k);
            memcpy(&o->cpu->s.zmm[n].u64[2], upper[n], 16);
        }
        oracle_body(o, bytes, vec_encode(row, &e, bytes));
        ck_assert_int_eq(o->body.vector, -1);
        memcpy(both, &o->cpu->s.zmm[e.reg], 32);
        e.l = false;
        oracle_body(o, bytes, vec_encode(row, &e, bytes));
        memcpy(lane, &o->cpu->s.zmm[e.reg], 32);
        ck_assert_msg(!memcmp(both, lane, 16), "%s: the lower lane", row->name);
        ck_assert_msg(!lane[2] && !lane[3], "%s: 128 bits clear the rest", row->name);
        vec_exchange_lanes(o, upper);
        if (!vec_has_operand(row, O_Lx))
            e.imm >>= shift;
        oracle_body(o, bytes, vec_encode(row, &e, bytes));
        ck_assert_msg(!memcmp(both + 2, &o->cpu->s.zmm[e.reg], 16), "%s: the upper lane", row->name);
    }
}

#endif
