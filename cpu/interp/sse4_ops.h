/*
 * sse4_ops.h - the operations of SSE4.1 and SSE4.2 on register values, in C: hosts need no more than SSE2.
 *
 * As in sse_ops.h they are functions op_NAME, which bodies of legacy and VEX encodings share. What rounds is
 * in sse4_float.c.
 */
#ifndef CPU_INTERP_SSE4_OPS_H
#define CPU_INTERP_SSE4_OPS_H

#include <stdlib.h>

#include "cpu/interp/sse_ops.h"

#define COUNT(field) (sizeof(((union vec *)0)->field) / sizeof(((union vec *)0)->field[0]))

/* Each element r.field[k] is `expr` of a, b and k. */
#define EACH(name, field, expr)                                                                              \
    static inline v128 op_##name(v128 first, v128 second)                                                    \
    {                                                                                                        \
        union vec a = {.v = first}, b = {.v = second}, r;                                                    \
                                                                                                             \
        for (unsigned k = 0; k < COUNT(field); k++)                                                          \
            r.field[k] = (__typeof__(r.field[0]))(expr);                                                     \
        return r.v;                                                                                          \
    }
#define LESSER(name, field)  EACH(name, field, a.field[k] < b.field[k] ? a.field[k] : b.field[k])
#define GREATER(name, field) EACH(name, field, a.field[k] > b.field[k] ? a.field[k] : b.field[k])

LESSER(pminsb, i8)
LESSER(pminuw, u16)
LESSER(pminsd, i32)
LESSER(pminud, u32)
GREATER(pmaxsb, i8)
GREATER(pmaxuw, u16)
GREATER(pmaxsd, i32)
GREATER(pmaxud, u32)

EACH(pmulld, u32, a.u32[k] * b.u32[k])

/* Quadwords from what SSE2 has for dwords. */
static inline v128 op_pcmpeqq(v128 a, v128 b)
{
    v128 equal = op_pcmpeqd(a, b);

    return -(equal >> 63 & equal);
}

static inline v128 op_pcmpgtq(v128 a, v128 b)
{
    v128 greater = op_pcmpgtd(a, b) | (op_pcmpeqd(a, b) & (b - a));

    return -(greater >> 63);
}

/* The unsigned product takes each negative factor for 2^32 more than it is. */
static inline v128 op_pmuldq(v128 a, v128 b)
{
    v128 negative_a = -(a >> 31 & 1), negative_b = -(b >> 31 & 1);

    return op_pmuludq(a, b) - (((negative_a & b) + (negative_b & a)) << 32);
}

/* Negative values first: with those gone, the signed pack saturates around 0x8000. */
static inline v128 op_packusdw(v128 a, v128 b)
{
    const v128 middle = {0x0000800000008000, 0x0000800000008000},
               top = {0x8000800080008000, 0x8000800080008000};

    a &= ~op_pcmpgtd(low64(0), a);
    b &= ~op_pcmpgtd(low64(0), b);
    return op_packssdw(op_psubd(a, middle), op_psubd(b, middle)) ^ top;
}

/* --- Extensions of the second operand's low elements --------------------------------------------- */

#define EXTEND(sign, bw, wd, dq)                                                                             \
    static inline v128 op_pmov##sign##xbw(v128 v)                                                            \
    {                                                                                                        \
        return op_punpcklbw(v, bw);                                                                          \
    }                                                                                                        \
    static inline v128 op_pmov##sign##xwd(v128 v)                                                            \
    {                                                                                                        \
        return op_punpcklwd(v, wd);                                                                          \
    }                                                                                                        \
    static inline v128 op_pmov##sign##xdq(v128 v)                                                            \
    {                                                                                                        \
        return op_punpckldq(v, dq);                                                                          \
    }                                                                                                        \
    static inline v128 op_pmov##sign##xbd(v128 v)                                                            \
    {                                                                                                        \
        return op_pmov##sign##xwd(op_pmov##sign##xbw(v));                                                    \
    }                                                                                                        \
    static inline v128 op_pmov##sign##xwq(v128 v)                                                            \
    {                                                                                                        \
        return op_pmov##sign##xdq(op_pmov##sign##xwd(v));                                                    \
    }                                                                                                        \
    static inline v128 op_pmov##sign##xbq(v128 v)                                                            \
    {                                                                                                        \
        return op_pmov##sign##xwq(op_pmov##sign##xbw(v));                                                    \
    }

EXTEND(s, op_pcmpgtb(low64(0), v), op_pcmpgtw(low64(0), v), op_pcmpgtd(low64(0), v))
EXTEND(z, low64(0), low64(0), low64(0))

/* --- Elements chosen by bits --------------------------------------------------------------------- */

/* All ones where an immediate has a one: words by bits 7:0, dwords by bits 3:0, quadwords by bits 1:0. */
static inline v128 words_of_bits(unsigned bits)
{
    const v128 weights = {0x0008000400020001, 0x0080004000200010};
    uint64_t copies = (bits & 0xff) * 0x0001000100010001ull;

    return op_pcmpeqw((v128){copies, copies} & weights, weights);
}

static inline v128 dwords_of_bits(unsigned bits)
{
    const v128 weights = {0x0000000200000001, 0x0000000800000004};
    uint64_t copies = (bits & 15) * 0x0000000100000001ull;

    return op_pcmpeqd((v128){copies, copies} & weights, weights);
}

static inline v128 qwords_of_bits(unsigned bits)
{
    return (v128){-(uint64_t)(bits & 1), -(uint64_t)(bits >> 1 & 1)};
}

ALWAYS_INLINE v128 blended(v128 a, v128 b, v128 mask)
{
    return (a & ~mask) | (b & mask);
}

static inline v128 op_pblendw(v128 a, v128 b, unsigned imm)
{
    return blended(a, b, words_of_bits(imm));
}

static inline v128 op_blendps(v128 a, v128 b, unsigned imm)
{
    return blended(a, b, dwords_of_bits(imm));
}

static inline v128 op_blendpd(v128 a, v128 b, unsigned imm)
{
    return blended(a, b, qwords_of_bits(imm));
}

/* By the top bits of a mask's elements. */
static inline v128 op_pblendvb(v128 a, v128 b, v128 mask)
{
    return blended(a, b, op_pcmpgtb(low64(0), mask));
}

static inline v128 op_blendvps(v128 a, v128 b, v128 mask)
{
    return blended(a, b, op_pcmpgtd(low64(0), mask));
}

static inline v128 op_blendvpd(v128 a, v128 b, v128 mask)
{
    return blended(a, b, -(mask >> 63));
}

/* Element `n` of `size` bytes replaced by the low bytes of `value`; n counts modulo their number. */
static inline v128 insert_element(v128 to, uint64_t value, unsigned n, unsigned size)
{
    static const uint64_t copies[9] = {[1] = 0x0101010101010101, [4] = 0x0000000100000001, [8] = 1};
    static const uint8_t ones[9][32] = {[1] = {[16] = 0xff},
                                        [4] = {[16] = 0xff, 0xff, 0xff, 0xff},
                                        [8] = {[16] = 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    v128 mask = *(const v128_any *)&ones[size][16 - size * (n & (16 / size - 1))];

    value = (size < 8 ? value & ((1ull << 8 * (size & 7)) - 1) : value) * copies[size];
    return blended(to, (v128){value, value}, mask);
}

/* INSERTPS without its choice of source. */
static inline v128 op_insertps(v128 to, uint32_t value, unsigned imm)
{
    return insert_element(to, value, imm >> 4, 4) & ~dwords_of_bits(imm);
}

/* --- Others -------------------------------------------------------------------------------------- */

/* Eight sums of four absolute differences: a's bytes from 0 or 4 on, moving, against four of b's. */
static inline v128 op_mpsadbw(v128 first, v128 second, unsigned imm)
{
    union vec a = {.v = first}, b = {.v = second}, r;
    const uint8_t *moving = &a.u8[imm & 4], *fixed = &b.u8[4 * (imm & 3)];

    for (unsigned k = 0; k < 8; k++) {
        unsigned sum = 0;

        for (unsigned n = 0; n < 4; n++)
            sum += (unsigned)abs(moving[k + n] - fixed[n]);
        r.u16[k] = (uint16_t)sum;
    }
    return r.v;
}

/* The smallest word and, above it, its index. */
static inline v128 op_phminposuw(v128 source)
{
    union vec s = {.v = source};
    unsigned at = 0;

    for (unsigned k = 1; k < 8; k++)
        if (s.u16[k] < s.u16[at])
            at = k;
    return low64(s.u16[at] | at << 16);
}

/* PTEST's flags: nothing of b in a; nothing of b outside a. */
static inline uint32_t op_ptest(v128 a, v128 b)
{
    v128 in = a & b, out = ~a & b;

    return (in[0] | in[1] ? 0 : FLAG_ZF) | (out[0] | out[1] ? 0 : FLAG_CF);
}

/* --- Strings: PCMPESTRI and its kin (SDM 2B, 4.1) ------------------------------------------------- */

/* The immediate. */
#define STRING_WORDS    0x01u
#define STRING_SIGNED   0x02u
#define STRING_ANY      0x00u /* how elements are compared */
#define STRING_RANGES   0x04u
#define STRING_EACH     0x08u
#define STRING_ORDERED  0x0cu
#define STRING_NEGATE   0x10u
#define STRING_VALID    0x20u /* negate within the string's length only */
#define STRING_LAST     0x40u /* index: of the last one */
#define STRING_EXPANDED 0x40u /* mask: an element each, not a bit */

ALWAYS_INLINE unsigned string_elements(unsigned imm)
{
    return imm & STRING_WORDS ? 8 : 16;
}

/* A bit for each element, from a vector of elements that are all ones or zeros. */
ALWAYS_INLINE unsigned string_bits(v128 v, unsigned imm)
{
    return op_pmovmskb(imm & STRING_WORDS ? op_packsswb(v, low64(0)) : v);
}

/* A vector of copies of element k. */
ALWAYS_INLINE v128 string_copies(v128 v, unsigned k, unsigned imm)
{
    union vec s = {.v = v};
    uint64_t q =
        imm & STRING_WORDS ? s.u16[k & 7] * 0x0001000100010001ull : s.u8[k & 15] * 0x0101010101010101ull;

    return (v128){q, q};
}

ALWAYS_INLINE unsigned string_equal(v128 a, v128 b, unsigned imm)
{
    return string_bits(imm & STRING_WORDS ? op_pcmpeqw(a, b) : op_pcmpeqb(a, b), imm);
}

ALWAYS_INLINE unsigned string_greater(v128 a, v128 b, unsigned imm)
{
    uint64_t top = imm & STRING_SIGNED ? 0 : imm & STRING_WORDS ? 0x8000800080008000 : 0x8080808080808080;
    v128 flip = {top, top};

    return string_bits(imm & STRING_WORDS ? op_pcmpgtw(a ^ flip, b ^ flip) : op_pcmpgtb(a ^ flip, b ^ flip),
                       imm);
}

/* The manual's IntRes2: a bit for each element of b; the strings are `a_length` and `b_length` elements long.
 */
static inline unsigned op_string_compare(v128 a, v128 b, unsigned a_length, unsigned b_length, unsigned imm)
{
    unsigned count = string_elements(imm), all = (1u << count) - 1;
    unsigned a_valid = (1u << a_length) - 1, b_valid = (1u << b_length) - 1, bits = 0;

    switch (imm & STRING_ORDERED) {
    case STRING_ANY:
        for (unsigned k = 0; k < a_length; k++)
            bits |= string_equal(string_copies(a, k, imm), b, imm);
        bits &= b_valid;
        break;
    case STRING_RANGES:
        for (unsigned k = 0; k + 1 < a_length; k += 2)
            bits |= ~(string_greater(string_copies(a, k, imm), b, imm) |
                      string_greater(b, string_copies(a, k + 1, imm), imm));
        bits &= b_valid;
        break;
    case STRING_EACH:
        bits = (string_equal(a, b, imm) & a_valid & b_valid) | (all & ~(a_valid | b_valid));
        break;
    case STRING_ORDERED:
        bits = all;
        for (unsigned k = 0; k < a_length; k++) /* what would lie behind b's register counts as equal */
            bits &= (string_equal(string_copies(a, k, imm), b, imm) & b_valid) >> k | all << (count - k);
        break;
    }
    if (imm & STRING_NEGATE)
        bits ^= imm & STRING_VALID ? b_valid : all;
    return bits & all;
}

ALWAYS_INLINE unsigned string_index(unsigned bits, unsigned imm)
{
    if (!bits)
        return string_elements(imm);
    return (unsigned)(imm & STRING_LAST ? 31 - __builtin_clz(bits) : __builtin_ctz(bits));
}

static inline v128 string_mask(unsigned bits, unsigned imm)
{
    union vec r = {.v = low64(bits)};

    if (imm & STRING_EXPANDED && imm & STRING_WORDS) {
        for (unsigned k = 0; k < 8; k++)
            r.i16[k] = (int16_t) - (bits >> k & 1);
    } else if (imm & STRING_EXPANDED) {
        for (unsigned k = 0; k < 16; k++)
            r.i8[k] = (int8_t) - (bits >> k & 1);
    }
    return r.v;
}

/* CF any, OF the first, SF and ZF: a and b end within their registers. */
ALWAYS_INLINE uint32_t string_flags(unsigned bits, unsigned a_length, unsigned b_length, unsigned imm)
{
    unsigned count = string_elements(imm);

    return (bits ? FLAG_CF : 0) | (bits & 1 ? FLAG_OF : 0) | (a_length < count ? FLAG_SF : 0) |
           (b_length < count ? FLAG_ZF : 0);
}

/* Elements before the first zero. */
ALWAYS_INLINE unsigned string_length(v128 v, unsigned imm)
{
    return (unsigned)__builtin_ctz(string_equal(v, low64(0), imm) | 1u << string_elements(imm));
}

/* The length that a register gives: its absolute value, at most the elements of a vector register. */
ALWAYS_INLINE unsigned string_length_given(int64_t value, unsigned imm)
{
    int64_t count = string_elements(imm);

    return (unsigned)(value > count || value < -count ? count : value < 0 ? -value : value);
}

#undef COUNT
#undef EACH
#undef LESSER
#undef GREATER
#undef EXTEND

#endif
