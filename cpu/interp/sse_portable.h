/*
 * sse_portable.h - the operations of sse_ops.h in plain C, for hosts that are not x86-64 (and, with
 * OXBOW_PORTABLE_SSE, for testing on those that are).
 *
 * Floating point relies on IEEE arithmetic and <fenv.h>. What that can't say is not there: denormal operands
 * raise no DE, and DAZ and FTZ have no effect. RCPPS and RSQRTPS are exact to the last bit.
 */
#ifndef CPU_INTERP_SSE_PORTABLE_H
#define CPU_INTERP_SSE_PORTABLE_H

#include <fenv.h>
#include <math.h>
#include <string.h>

#include "cpu/internal.h"
#include "cpu/interp/vec.h"

#define COUNT(field) (sizeof(((union vec *)0)->field) / sizeof(((union vec *)0)->field[0]))

/* --- Integers ------------------------------------------------------------------------------------ */

/* Each element r.field[k] is `expr` of a, b and k. */
#define LANES(name, field, expr)                                                                             \
    static inline v128 op_##name(v128 first, v128 second)                                                    \
    {                                                                                                        \
        union vec a = {.v = first}, b = {.v = second}, r;                                                    \
                                                                                                             \
        for (unsigned k = 0; k < COUNT(field); k++)                                                          \
            r.field[k] = (__typeof__(r.field[0]))(expr);                                                     \
        (void)a, (void)b;                                                                                    \
        return r.v;                                                                                          \
    }

static inline int32_t clamp(int32_t v, int32_t low, int32_t high)
{
    return v < low ? low : v > high ? high : v;
}

#define SAT8(v)   clamp(v, INT8_MIN, INT8_MAX)
#define SAT16(v)  clamp(v, INT16_MIN, INT16_MAX)
#define SATU8(v)  clamp(v, 0, UINT8_MAX)
#define SATU16(v) clamp(v, 0, UINT16_MAX)

/* A shift count is a whole quadword; logical shifts by the width or more give zero, arithmetic ones the sign.
 */
#define SHIFT(expr, width) (b.u64[0] < (width) ? (expr) : 0)
#define SHIFT_COUNT(width) (b.u64[0] < (width) ? b.u64[0] : (width)-1)

LANES(paddb, u8, a.u8[k] + b.u8[k])
LANES(paddw, u16, a.u16[k] + b.u16[k])
LANES(paddd, u32, a.u32[k] + b.u32[k])
LANES(paddq, u64, a.u64[k] + b.u64[k])
LANES(paddsb, i8, SAT8(a.i8[k] + b.i8[k]))
LANES(paddsw, i16, SAT16(a.i16[k] + b.i16[k]))
LANES(paddusb, u8, SATU8(a.u8[k] + b.u8[k]))
LANES(paddusw, u16, SATU16(a.u16[k] + b.u16[k]))
LANES(psubb, u8, a.u8[k] - b.u8[k])
LANES(psubw, u16, a.u16[k] - b.u16[k])
LANES(psubd, u32, a.u32[k] - b.u32[k])
LANES(psubq, u64, a.u64[k] - b.u64[k])
LANES(psubsb, i8, SAT8(a.i8[k] - b.i8[k]))
LANES(psubsw, i16, SAT16(a.i16[k] - b.i16[k]))
LANES(psubusb, u8, SATU8(a.u8[k] - b.u8[k]))
LANES(psubusw, u16, SATU16(a.u16[k] - b.u16[k]))
LANES(pand, u64, a.u64[k] & b.u64[k])
LANES(pandn, u64, ~a.u64[k] & b.u64[k])
LANES(por, u64, a.u64[k] | b.u64[k])
LANES(pxor, u64, a.u64[k] ^ b.u64[k])
LANES(pcmpeqb, i8, -(a.u8[k] == b.u8[k]))
LANES(pcmpeqw, i16, -(a.u16[k] == b.u16[k]))
LANES(pcmpeqd, i32, -(a.u32[k] == b.u32[k]))
LANES(pcmpgtb, i8, -(a.i8[k] > b.i8[k]))
LANES(pcmpgtw, i16, -(a.i16[k] > b.i16[k]))
LANES(pcmpgtd, i32, -(a.i32[k] > b.i32[k]))
LANES(pmullw, u16, a.i16[k] * b.i16[k])
LANES(pmulhw, u16, a.i16[k] * b.i16[k] >> 16)
LANES(pmulhuw, u16, (uint32_t)a.u16[k] * b.u16[k] >> 16)
LANES(pmuludq, u64, (uint64_t)a.u32[2 * k] * b.u32[2 * k])
LANES(pmaddwd, u32, (uint32_t)(a.i16[2 * k] * b.i16[2 * k]) + (uint32_t)(a.i16[2 * k + 1] * b.i16[2 * k + 1]))
LANES(pavgb, u8, (a.u8[k] + b.u8[k] + 1) >> 1)
LANES(pavgw, u16, (a.u16[k] + b.u16[k] + 1) >> 1)
LANES(pminub, u8, a.u8[k] < b.u8[k] ? a.u8[k] : b.u8[k])
LANES(pminsw, i16, a.i16[k] < b.i16[k] ? a.i16[k] : b.i16[k])
LANES(pmaxub, u8, a.u8[k] > b.u8[k] ? a.u8[k] : b.u8[k])
LANES(pmaxsw, i16, a.i16[k] > b.i16[k] ? a.i16[k] : b.i16[k])
LANES(psllw, u16, SHIFT(a.u16[k] << b.u64[0], 16))
LANES(pslld, u32, SHIFT(a.u32[k] << b.u64[0], 32))
LANES(psllq, u64, SHIFT(a.u64[k] << b.u64[0], 64))
LANES(psrlw, u16, SHIFT(a.u16[k] >> b.u64[0], 16))
LANES(psrld, u32, SHIFT(a.u32[k] >> b.u64[0], 32))
LANES(psrlq, u64, SHIFT(a.u64[k] >> b.u64[0], 64))
LANES(psraw, i16, a.i16[k] >> SHIFT_COUNT(16))
LANES(psrad, i32, a.i32[k] >> SHIFT_COUNT(32))
LANES(psignb, u8, b.i8[k] < 0 ? -a.u8[k] : b.i8[k] ? a.u8[k] : 0)
LANES(psignw, u16, b.i16[k] < 0 ? -a.u16[k] : b.i16[k] ? a.u16[k] : 0)
LANES(psignd, u32, b.i32[k] < 0 ? -a.u32[k] : b.i32[k] ? a.u32[k] : 0)
LANES(pmulhrsw, i16, ((a.i16[k] * b.i16[k] >> 14) + 1) >> 1)
LANES(pabsb, u8, b.i8[k] < 0 ? -b.u8[k] : b.u8[k])
LANES(pabsw, u16, b.i16[k] < 0 ? -b.u16[k] : b.u16[k])
LANES(pabsd, u32, b.i32[k] < 0 ? -b.u32[k] : b.u32[k])
LANES(pmaddubsw, i16, SAT16(a.u8[2 * k] * b.i8[2 * k] + a.u8[2 * k + 1] * b.i8[2 * k + 1]))

/* The k-th element of `field` in a followed by b. */
#define BOTH(field, n) ((n) < COUNT(field) ? a.field[(n) % COUNT(field)] : b.field[(n) % COUNT(field)])

LANES(packsswb, i8, SAT8(BOTH(i16, k)))
LANES(packssdw, i16, SAT16(BOTH(i32, k)))
LANES(packuswb, u8, SATU8(BOTH(i16, k)))
LANES(phaddw, u16, BOTH(u16, 2 * k) + BOTH(u16, 2 * k + 1))
LANES(phaddd, u32, BOTH(u32, 2 * k) + BOTH(u32, 2 * k + 1))
LANES(phaddsw, i16, SAT16(BOTH(i16, 2 * k) + BOTH(i16, 2 * k + 1)))
LANES(phsubw, u16, BOTH(u16, 2 * k) - BOTH(u16, 2 * k + 1))
LANES(phsubd, u32, BOTH(u32, 2 * k) - BOTH(u32, 2 * k + 1))
LANES(phsubsw, i16, SAT16(BOTH(i16, 2 * k) - BOTH(i16, 2 * k + 1)))

#define LOW(field)  (k & 1 ? b.field[k / 2] : a.field[k / 2])
#define HIGH(field) (k & 1 ? b.field[(k + COUNT(field)) / 2] : a.field[(k + COUNT(field)) / 2])

LANES(punpcklbw, u8, LOW(u8))
LANES(punpcklwd, u16, LOW(u16))
LANES(punpckldq, u32, LOW(u32))
LANES(punpcklqdq, u64, LOW(u64))
LANES(punpckhbw, u8, HIGH(u8))
LANES(punpckhwd, u16, HIGH(u16))
LANES(punpckhdq, u32, HIGH(u32))
LANES(punpckhqdq, u64, HIGH(u64))
LANES(unpcklps, u32, LOW(u32))
LANES(unpcklpd, u64, LOW(u64))
LANES(unpckhps, u32, HIGH(u32))
LANES(unpckhpd, u64, HIGH(u64))
LANES(pshufb, u8, b.u8[k] & 0x80 ? 0 : a.u8[b.u8[k] & 15])
LANES(movss, u32, k ? a.u32[k] : b.u32[k])
LANES(movsd, u64, k ? a.u64[k] : b.u64[k])

static inline v128 op_psadbw(v128 first, v128 second)
{
    union vec a = {.v = first}, b = {.v = second}, r = {.v = {0, 0}};

    for (unsigned k = 0; k < 16; k++)
        r.u64[k / 8] += (uint64_t)(a.u8[k] > b.u8[k] ? a.u8[k] - b.u8[k] : b.u8[k] - a.u8[k]);
    return r.v;
}

#define SIGNS(name, field, bit)                                                                              \
    static inline uint32_t op_##name(v128 value)                                                             \
    {                                                                                                        \
        union vec a = {.v = value};                                                                          \
        uint32_t r = 0;                                                                                      \
                                                                                                             \
        for (unsigned k = 0; k < COUNT(field); k++)                                                          \
            r |= (uint32_t)(a.field[k] >> (bit)) << k;                                                       \
        return r;                                                                                            \
    }
SIGNS(pmovmskb, u8, 7)
SIGNS(movmskps, u32, 31)
SIGNS(movmskpd, u64, 63)

/* --- Floating point ------------------------------------------------------------------------------ */

/* The two formats: type, bits, the quiet bit, infinity, and the NaN of invalid operations. */
#define FORMAT(s, type, word, quiet, infinity, indefinite)                                                   \
    static inline type s##_of(word w)                                                                        \
    {                                                                                                        \
        type v;                                                                                              \
                                                                                                             \
        memcpy(&v, &w, sizeof(v));                                                                           \
        return v;                                                                                            \
    }                                                                                                        \
    static inline word s##_bits(type v)                                                                      \
    {                                                                                                        \
        word w;                                                                                              \
                                                                                                             \
        memcpy(&w, &v, sizeof(w));                                                                           \
        return w;                                                                                            \
    }                                                                                                        \
    static inline bool s##_nan(word w)                                                                       \
    {                                                                                                        \
        return (w & (word)~0 >> 1) > (infinity);                                                             \
    }                                                                                                        \
    static inline word s##_quiet(word w) /* raises IE for a signalling one */                                \
    {                                                                                                        \
        if (!(w & (quiet)))                                                                                  \
            feraiseexcept(FE_INVALID);                                                                       \
        return w | (quiet);                                                                                  \
    }                                                                                                        \
    /* x86's choice: the first operand's NaN, else the second's; the default one when there was none. */     \
    static inline word s##_result(word a, word b, bool nan_a, bool nan_b, type v)                            \
    {                                                                                                        \
        if (nan_a) {                                                                                         \
            if (nan_b)                                                                                       \
                s##_quiet(b);                                                                                \
            return s##_quiet(a);                                                                             \
        }                                                                                                    \
        return nan_b ? s##_quiet(b) : v != v ? (indefinite) : s##_bits(v);                                   \
    }                                                                                                        \
    S_OP(s, type, word, add, x + y)                                                                          \
    S_OP(s, type, word, sub, x - y)                                                                          \
    S_OP(s, type, word, mul, x *y)                                                                           \
    S_OP(s, type, word, div, x / y)                                                                          \
    static inline word s##_sqrt(word a, word b)                                                              \
    {                                                                                                        \
        volatile type y = s##_of(b);                                                                         \
                                                                                                             \
        (void)a;                                                                                             \
        return s##_nan(b) ? s##_quiet(b) : s##_result(b, b, false, false, (type)s##_root(y));                \
    }                                                                                                        \
    /* NaNs, and zeros of either sign, give the second operand; any NaN is invalid. */                       \
    static inline word s##_min(word a, word b)                                                               \
    {                                                                                                        \
        if (s##_nan(a) || s##_nan(b))                                                                        \
            return feraiseexcept(FE_INVALID), b;                                                             \
        return s##_of(a) < s##_of(b) ? a : b;                                                                \
    }                                                                                                        \
    static inline word s##_max(word a, word b)                                                               \
    {                                                                                                        \
        if (s##_nan(a) || s##_nan(b))                                                                        \
            return feraiseexcept(FE_INVALID), b;                                                             \
        return s##_of(a) > s##_of(b) ? a : b;                                                                \
    }                                                                                                        \
    /* CMPPS's predicates; those that order raise IE for quiet NaNs too. */                                  \
    static inline word s##_cmp(word a, word b, unsigned predicate)                                           \
    {                                                                                                        \
        bool unordered = s##_nan(a) || s##_nan(b), r;                                                        \
        unsigned p = predicate & 3;                                                                          \
                                                                                                             \
        if (unordered) {                                                                                     \
            if (p == 1 || p == 2 || (s##_nan(a) && !(a & (quiet))) || (s##_nan(b) && !(b & (quiet))))        \
                feraiseexcept(FE_INVALID);                                                                   \
            r = p == 3;                                                                                      \
        } else {                                                                                             \
            r = p == 0   ? s##_of(a) == s##_of(b)                                                            \
                : p == 1 ? s##_of(a) < s##_of(b)                                                             \
                         : p == 2 && s##_of(a) <= s##_of(b);                                                 \
        }                                                                                                    \
        return r != (predicate >> 2 & 1) ? (word)~0 : 0;                                                     \
    }                                                                                                        \
    static inline v128 s##_compare(word a, word b, bool ordered)                                             \
    {                                                                                                        \
        if (s##_nan(a) || s##_nan(b)) {                                                                      \
            if (ordered || (s##_nan(a) && !(a & (quiet))) || (s##_nan(b) && !(b & (quiet))))                 \
                feraiseexcept(FE_INVALID);                                                                   \
            return low64(FLAG_ZF | FLAG_PF | FLAG_CF);                                                       \
        }                                                                                                    \
        return low64(s##_of(a) == s##_of(b) ? FLAG_ZF : s##_of(a) < s##_of(b) ? FLAG_CF : 0);                \
    }                                                                                                        \
    /* To integers, by the rounding mode or chopped; what doesn't fit is invalid, and then not inexact too.  \
     */                                                                                                      \
    static inline uint32_t s##_to32(word a, bool chop)                                                       \
    {                                                                                                        \
        volatile type v = s##_of(a);                                                                         \
        double whole = v > -2147483649.0 && v < 2147483648.0 ? (chop ? trunc(v) : nearbyint(v)) : 0x1p31;    \
                                                                                                             \
        if (whole < -0x1p31 || whole >= 0x1p31)                                                              \
            return feraiseexcept(FE_INVALID), 0x80000000;                                                    \
        if (whole != v)                                                                                      \
            feraiseexcept(FE_INEXACT);                                                                       \
        return (uint32_t)(int32_t)whole;                                                                     \
    }                                                                                                        \
    static inline uint64_t s##_to64(word a, bool chop)                                                       \
    {                                                                                                        \
        volatile type v = s##_of(a);                                                                         \
        double whole = v >= -0x1p63 && v < 0x1p63 ? (chop ? trunc(v) : nearbyint(v)) : 0x1p63;               \
                                                                                                             \
        if (whole >= 0x1p63)                                                                                 \
            return feraiseexcept(FE_INVALID), 1ull << 63;                                                    \
        if (whole != v)                                                                                      \
            feraiseexcept(FE_INEXACT);                                                                       \
        return (uint64_t)(int64_t)whole;                                                                     \
    }

#define S_OP(s, type, word, name, expr)                                                                      \
    static inline word s##_##name(word a, word b)                                                            \
    {                                                                                                        \
        bool nan_a = s##_nan(a), nan_b = s##_nan(b);                                                         \
        volatile type x = nan_a || nan_b ? 1 : s##_of(a), y = nan_a || nan_b ? 1 : s##_of(b), r = expr;      \
                                                                                                             \
        return s##_result(a, b, nan_a, nan_b, r);                                                            \
    }

#define f32_root(v) sqrtf(v)
#define f64_root(v) sqrt(v)
FORMAT(f32, float, uint32_t, 0x00400000u, 0x7f800000u, 0xffc00000u)
FORMAT(f64, double, uint64_t, 0x0008000000000000u, 0x7ff0000000000000u, 0xfff8000000000000u)

/* NaN payloads keep their upper bits. */
static inline uint64_t f32_widen(uint32_t a)
{
    if (f32_nan(a))
        return (uint64_t)(a & 0x80000000) << 32 | 0x7ff0000000000000 |
               (uint64_t)(f32_quiet(a) & 0x7fffff) << 29;
    return f64_bits((double)f32_of(a));
}

static inline uint32_t f64_narrow(uint64_t a)
{
    volatile double v = f64_of(a);

    if (f64_nan(a))
        return (uint32_t)(a >> 32 & 0x80000000) | 0x7f800000 | (uint32_t)(f64_quiet(a) >> 29 & 0x7fffff);
    return f32_bits((float)v);
}

static inline uint32_t f32_from(int64_t n)
{
    volatile int64_t v = n;

    return f32_bits((float)v);
}

static inline uint64_t f64_from(int64_t n)
{
    volatile int64_t v = n;

    return f64_bits((double)v);
}

/* As LANES, for all elements or the first alone. */
#define FLOAT_LANES(name, field, expr)                                                                       \
    static inline v128 op_##name(v128 first, v128 second, unsigned imm)                                      \
    {                                                                                                        \
        union vec a = {.v = first}, b = {.v = second}, r = {.v = {0, 0}};                                    \
                                                                                                             \
        for (unsigned k = 0; k < COUNT(field); k++)                                                          \
            r.field[k] = (__typeof__(r.field[0]))(expr);                                                     \
        (void)a, (void)b, (void)imm;                                                                         \
        return r.v;                                                                                          \
    }
#define FLOAT_FIRST(name, field, expr)                                                                       \
    static inline v128 op_##name(v128 first, v128 second, unsigned imm)                                      \
    {                                                                                                        \
        union vec a = {.v = first}, b = {.v = second};                                                       \
                                                                                                             \
        a.field[0] = (__typeof__(a.field[0]))(expr);                                                         \
        (void)b, (void)imm;                                                                                  \
        return a.v;                                                                                          \
    }
#define FOUR(name)                                                                                           \
    FLOAT_LANES(name##ps, u32, f32_##name(a.u32[k], b.u32[k]))                                               \
    FLOAT_FIRST(name##ss, u32, f32_##name(a.u32[0], b.u32[0]))                                               \
    FLOAT_LANES(name##pd, u64, f64_##name(a.u64[k], b.u64[k]))                                               \
    FLOAT_FIRST(name##sd, u64, f64_##name(a.u64[0], b.u64[0]))

FOUR(add)
FOUR(sub)
FOUR(mul)
FOUR(div)
FOUR(sqrt)
FOUR(min)
FOUR(max)
FLOAT_LANES(addsubps, u32, k & 1 ? f32_add(a.u32[k], b.u32[k]) : f32_sub(a.u32[k], b.u32[k]))
FLOAT_LANES(addsubpd, u64, k & 1 ? f64_add(a.u64[k], b.u64[k]) : f64_sub(a.u64[k], b.u64[k]))
FLOAT_LANES(haddps, u32, f32_add(BOTH(u32, 2 * k), BOTH(u32, 2 * k + 1)))
FLOAT_LANES(haddpd, u64, f64_add(BOTH(u64, 2 * k), BOTH(u64, 2 * k + 1)))
FLOAT_LANES(hsubps, u32, f32_sub(BOTH(u32, 2 * k), BOTH(u32, 2 * k + 1)))
FLOAT_LANES(hsubpd, u64, f64_sub(BOTH(u64, 2 * k), BOTH(u64, 2 * k + 1)))
FLOAT_LANES(cmpps, u32, f32_cmp(a.u32[k], b.u32[k], imm))
FLOAT_FIRST(cmpss, u32, f32_cmp(a.u32[0], b.u32[0], imm))
FLOAT_LANES(cmppd, u64, f64_cmp(a.u64[k], b.u64[k], imm))
FLOAT_FIRST(cmpsd, u64, f64_cmp(a.u64[0], b.u64[0], imm))
FLOAT_LANES(cvtps2pd, u64, f32_widen(b.u32[k]))
FLOAT_FIRST(cvtss2sd, u64, f32_widen(b.u32[0]))
FLOAT_LANES(cvtpd2ps, u32, k < 2 ? f64_narrow(b.u64[k & 1]) : 0)
FLOAT_FIRST(cvtsd2ss, u32, f64_narrow(b.u64[0]))
FLOAT_LANES(cvtdq2ps, u32, f32_from(b.i32[k]))
FLOAT_LANES(cvtps2dq, u32, f32_to32(b.u32[k], false))
FLOAT_LANES(cvttps2dq, u32, f32_to32(b.u32[k], true))
FLOAT_LANES(cvtdq2pd, u64, f64_from(b.i32[k]))
FLOAT_LANES(cvtpd2dq, u32, k < 2 ? f64_to32(b.u64[k & 1], false) : 0)
FLOAT_LANES(cvttpd2dq, u32, k < 2 ? f64_to32(b.u64[k & 1], true) : 0)
FLOAT_FIRST(cvtsi2ss32, u32, f32_from(b.i32[0]))
FLOAT_FIRST(cvtsi2ss64, u32, f32_from(b.i64[0]))
FLOAT_FIRST(cvtsi2sd32, u64, f64_from(b.i32[0]))
FLOAT_FIRST(cvtsi2sd64, u64, f64_from(b.i64[0]))
FLOAT_FIRST(cvtss2si32, u64, f32_to32(b.u32[0], false))
FLOAT_FIRST(cvtss2si64, u64, f32_to64(b.u32[0], false))
FLOAT_FIRST(cvtsd2si32, u64, f64_to32(b.u64[0], false))
FLOAT_FIRST(cvtsd2si64, u64, f64_to64(b.u64[0], false))
FLOAT_FIRST(cvttss2si32, u64, f32_to32(b.u32[0], true))
FLOAT_FIRST(cvttss2si64, u64, f32_to64(b.u32[0], true))
FLOAT_FIRST(cvttsd2si32, u64, f64_to32(b.u64[0], true))
FLOAT_FIRST(cvttsd2si64, u64, f64_to64(b.u64[0], true))

#define FLAGS(name, field, s, ordered)                                                                       \
    static inline v128 op_##name(v128 first, v128 second, unsigned imm)                                      \
    {                                                                                                        \
        union vec a = {.v = first}, b = {.v = second};                                                       \
                                                                                                             \
        (void)imm;                                                                                           \
        return s##_compare(a.field[0], b.field[0], ordered);                                                 \
    }
FLAGS(comiss, u32, f32, true)
FLAGS(comisd, u64, f64, true)
FLAGS(ucomiss, u32, f32, false)
FLAGS(ucomisd, u64, f64, false)

/* Approximations set no flags; NaNs come out quiet. */
static inline uint32_t f32_rcp(uint32_t b)
{
    return f32_nan(b) ? b | 0x00400000 : f32_bits(1.0f / f32_of(b));
}

static inline uint32_t f32_rsqrt(uint32_t b)
{
    if (f32_nan(b))
        return b | 0x00400000;
    return b << 1 && b >> 31 ? 0xffc00000 : f32_bits(1.0f / sqrtf(f32_of(b)));
}

LANES(rcpps, u32, f32_rcp(b.u32[k]))
LANES(rcpss, u32, k ? a.u32[k] : f32_rcp(b.u32[k]))
LANES(rsqrtps, u32, f32_rsqrt(b.u32[k]))
LANES(rsqrtss, u32, k ? a.u32[k] : f32_rsqrt(b.u32[k]))

#undef COUNT
#undef LANES
#undef LOW
#undef HIGH
#undef BOTH
#undef FORMAT
#undef FOUR
#undef FLAGS
#undef SIGNS

#endif
