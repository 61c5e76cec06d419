/*
 * soft_float.c - IEEE arithmetic in integers. See soft_float.h.
 *
 * One algorithm serves all formats: it is inlined with a constant struct format, and values are the low bits
 * of 64.
 */
#include "cpu/interp/soft_float.h"
#include "cpu/interp/sse.h"

typedef unsigned __int128 u128;

struct format {
    unsigned fraction; /* bits of it */
    unsigned exponent;
};

#define HALF   ((struct format){10, 5})
#define SINGLE ((struct format){23, 8})
#define DOUBLE ((struct format){52, 11})

/* A finite number is mantissa * 2^exponent. */
struct unpacked {
    bool sign, nan, signaling, infinite, denormal;
    uint64_t mantissa;
    int exponent;
};

ALWAYS_INLINE uint64_t top_exponent(struct format k)
{
    return (1ull << k.exponent) - 1;
}

ALWAYS_INLINE int bias(struct format k)
{
    return (1 << (k.exponent - 1)) - 1;
}

ALWAYS_INLINE uint64_t pack(struct format k, bool sign, uint64_t exponent, uint64_t fraction)
{
    return (uint64_t)sign << (k.exponent + k.fraction) | exponent << k.fraction | fraction;
}

ALWAYS_INLINE uint64_t infinity(struct format k, bool sign)
{
    return pack(k, sign, top_exponent(k), 0);
}

ALWAYS_INLINE uint64_t quiet(struct format k, uint64_t v)
{
    return v | 1ull << (k.fraction - 1);
}

static const unsigned to_nearest = 0, down = 1, up = 2;

ALWAYS_INLINE unsigned rounding(const struct soft_float *f)
{
    return (f->control & MXCSR_RC) >> 13;
}

/* The default NaN. */
ALWAYS_INLINE uint64_t invalid(struct soft_float *f, struct format k)
{
    f->flags |= FSW_IE;
    return quiet(k, infinity(k, true));
}

ALWAYS_INLINE struct unpacked unpack(struct format k, uint64_t v, bool daz)
{
    uint64_t exponent = v >> k.fraction & top_exponent(k), fraction = v & ((1ull << k.fraction) - 1);
    struct unpacked u = {.sign = v >> (k.exponent + k.fraction) & 1};

    if (exponent == top_exponent(k)) {
        u.infinite = !fraction;
        u.nan = fraction;
        u.signaling = fraction && !(fraction >> (k.fraction - 1));
    } else {
        u.denormal = !exponent && fraction && !daz;
        u.mantissa = exponent ? fraction | 1ull << k.fraction : daz ? 0 : fraction;
        u.exponent = (int)(exponent ? exponent : 1) - bias(k) - (int)k.fraction;
    }
    return u;
}

ALWAYS_INLINE unsigned leading_zeros(u128 m)
{
    return m >> 64 ? (unsigned)__builtin_clzll((uint64_t)(m >> 64))
                   : 64 + (unsigned)__builtin_clzll((uint64_t)m);
}

/* Whether what lies below the last bit kept rounds it up; `below` has the first lost bit on top. */
ALWAYS_INLINE bool rounds_up(const struct soft_float *f, bool sign, bool odd, u128 below)
{
    const u128 half = (u128)1 << 127;
    unsigned mode = rounding(f);

    if (mode == to_nearest)
        return below > half || (below == half && odd);
    return below && mode == (sign ? down : up);
}

/* m >> count with the bits lost in *below; count 1 or more. */
ALWAYS_INLINE uint64_t split(u128 m, unsigned count, u128 *below)
{
    if (count < 128) {
        *below = m << (128 - count);
        return (uint64_t)(m >> count);
    }
    *below = count == 128 ? m : m != 0;
    return 0;
}

static uint64_t overflow(struct soft_float *f, struct format k, bool sign, bool inexact)
{
    unsigned mode = rounding(f);

    f->flags |= FSW_OE;
    if (inexact || (f->control & FSW_OE << 7))
        f->flags |= FSW_PE;
    if (mode == to_nearest || mode == (sign ? down : up))
        return infinity(k, sign);
    return infinity(k, sign) - 1;
}

/* m * 2^exponent, not zero, to the format. */
ALWAYS_INLINE uint64_t round_pack(struct soft_float *f, struct format k, bool sign, u128 m, int exponent)
{
    unsigned zeros = leading_zeros(m), precision = k.fraction + 1;
    int e = exponent + 127 - (int)zeros, least = 1 - bias(k); /* 2^e <= value < 2^(e + 1) */
    bool carry;
    uint64_t kept;
    u128 below;

    m <<= zeros;
    kept = split(m, 128 - precision, &below);
    carry = rounds_up(f, sign, kept & 1, below);
    kept += carry;
    if (kept >> precision) {
        kept >>= 1;
        e++;
    }
    if (unlikely(e > bias(k)))
        return overflow(f, k, sign, below);
    if (likely(e >= least)) {
        if (below)
            f->flags |= FSW_PE;
        return pack(k, sign, (uint64_t)(e - least), 0) + kept;
    }

    /* Tiny. */
    if (!(f->control & FSW_UE << 7)) {
        f->flags |= below ? FSW_UE | FSW_PE : FSW_UE;
        return pack(k, sign, 0, 0);
    }
    if (f->control & MXCSR_FTZ) {
        f->flags |= FSW_UE | FSW_PE;
        return pack(k, sign, 0, 0);
    }
    e = exponent + 127 - (int)zeros;
    kept = split(m, 128 - precision + (unsigned)(least - e), &below);
    if (below)
        f->flags |= FSW_UE | FSW_PE;
    kept += rounds_up(f, sign, kept & 1, below);
    return pack(k, sign, 0, 0) + kept;
}

/* An exact zero as a sum: negative when both parts are, else by the rounding mode. */
ALWAYS_INLINE uint64_t zero_sum(const struct soft_float *f, struct format k, bool a, bool b)
{
    return pack(k, a == b ? a : rounding(f) == down, 0, 0);
}

/* m with its top bit at bit 125, exponent adjusted; 0 stays. */
ALWAYS_INLINE u128 lift(u128 m, int *exponent)
{
    unsigned zeros = leading_zeros(m) - 2;

    *exponent -= (int)zeros;
    return m << zeros;
}

/* m >> count with every bit lost kept as a sticky bit 0. */
ALWAYS_INLINE u128 shift_sticky(u128 m, unsigned count)
{
    if (count > 127)
        return m != 0;
    return m >> count | (count && m << (128 - count));
}

/*
 * Product and addend are lifted to bit 125, then the smaller one is shifted down to the other's exponent.
 * Bits are lost in that only when it is many bits smaller, so that the difference still has all the bits that
 * rounding looks at.
 */
ALWAYS_INLINE uint64_t sum(struct soft_float *f, struct format k, bool sign, u128 m, int exponent,
                           bool z_sign, uint64_t z_mantissa, int z_exponent)
{
    u128 z = z_mantissa;

    if (!m && !z)
        return zero_sum(f, k, sign, z_sign);
    if (!m)
        return round_pack(f, k, z_sign, z, z_exponent);
    if (!z)
        return round_pack(f, k, sign, m, exponent);
    m = lift(m, &exponent);
    z = lift(z, &z_exponent);
    if (exponent >= z_exponent) {
        z = shift_sticky(z, (unsigned)(exponent - z_exponent));
    } else {
        m = shift_sticky(m, (unsigned)(z_exponent - exponent));
        exponent = z_exponent;
    }
    if (sign == z_sign)
        return round_pack(f, k, sign, m + z, exponent);
    if (m == z)
        return zero_sum(f, k, sign, z_sign);
    if (m > z)
        return round_pack(f, k, sign, m - z, exponent);
    return round_pack(f, k, z_sign, z - m, exponent);
}

/* x * y + z, or x * y alone. */
ALWAYS_INLINE uint64_t multiply_add(struct soft_float *f, struct format k, uint64_t x, uint64_t y, uint64_t z,
                                    bool add, unsigned negate)
{
    bool daz = f->control & MXCSR_DAZ;
    struct unpacked a = unpack(k, x, daz), b = unpack(k, y, daz), c = unpack(k, add ? z : 0, daz);
    bool sign = a.sign ^ b.sign ^ (negate & NEGATE_PRODUCT);
    bool z_sign = c.sign ^ (negate & NEGATE_ADDEND ? 1 : 0);
    bool a_zero = !a.infinite && !a.mantissa, b_zero = !b.infinite && !b.mantissa;

    if (unlikely(a.nan || b.nan || c.nan)) {
        if (a.signaling || b.signaling || c.signaling)
            f->flags |= FSW_IE;
        return quiet(k, a.nan ? x : b.nan ? y : z);
    }
    if (unlikely((a.infinite && b_zero) || (a_zero && b.infinite)))
        return invalid(f, k);
    if (unlikely((a.infinite || b.infinite) && c.infinite && sign != z_sign))
        return invalid(f, k);
    if (a.denormal || b.denormal || c.denormal)
        f->flags |= FSW_DE;
    if (unlikely(a.infinite || b.infinite))
        return infinity(k, sign);
    if (unlikely(c.infinite))
        return infinity(k, z_sign);
    if (add)
        return sum(f, k, sign, (u128)a.mantissa * b.mantissa, a.exponent + b.exponent, z_sign, c.mantissa,
                   c.exponent);
    if (!a.mantissa || !b.mantissa)
        return pack(k, sign, 0, 0);
    return round_pack(f, k, sign, (u128)a.mantissa * b.mantissa, a.exponent + b.exponent);
}

uint32_t soft_fma32(struct soft_float *f, uint32_t x, uint32_t y, uint32_t z, unsigned negate)
{
    return (uint32_t)multiply_add(f, SINGLE, x, y, z, true, negate);
}

uint64_t soft_fma64(struct soft_float *f, uint64_t x, uint64_t y, uint64_t z, unsigned negate)
{
    return multiply_add(f, DOUBLE, x, y, z, true, negate);
}

uint32_t soft_add32(struct soft_float *f, uint32_t a, uint32_t b)
{
    return (uint32_t)multiply_add(f, SINGLE, a, pack(SINGLE, false, (uint64_t)bias(SINGLE), 0), b, true, 0);
}

uint64_t soft_add64(struct soft_float *f, uint64_t a, uint64_t b)
{
    return multiply_add(f, DOUBLE, a, pack(DOUBLE, false, (uint64_t)bias(DOUBLE), 0), b, true, 0);
}

uint32_t soft_mul32(struct soft_float *f, uint32_t a, uint32_t b)
{
    return (uint32_t)multiply_add(f, SINGLE, a, b, 0, false, 0);
}

uint64_t soft_mul64(struct soft_float *f, uint64_t a, uint64_t b)
{
    return multiply_add(f, DOUBLE, a, b, 0, false, 0);
}

/* --- Integral values ----------------------------------------------------------------------------- */

ALWAYS_INLINE uint64_t round_integral(struct soft_float *f, struct format k, uint64_t v)
{
    struct unpacked u = unpack(k, v, f->control & MXCSR_DAZ);
    unsigned places = u.exponent < 0 ? (unsigned)-u.exponent : 0; /* of the mantissa behind the point */
    uint64_t whole;
    u128 below;

    if (u.nan) {
        if (u.signaling)
            f->flags |= FSW_IE;
        return quiet(k, v);
    }
    if (u.infinite || !places)
        return v;
    whole = split(u.mantissa, places, &below);
    if (below)
        f->flags |= FSW_PE;
    whole += rounds_up(f, u.sign, whole & 1, below);
    if (!whole)
        return pack(k, u.sign, 0, 0);
    if (places > k.fraction)
        return pack(k, u.sign, (uint64_t)bias(k), 0); /* one */
    /* A carry into the next power of two goes from the fraction into the exponent. */
    return pack(k, u.sign, (uint64_t)(bias(k) + (int)k.fraction - (int)places - 1), 0) + (whole << places);
}

uint32_t soft_round32(struct soft_float *f, uint32_t v)
{
    return (uint32_t)round_integral(f, SINGLE, v);
}

uint64_t soft_round64(struct soft_float *f, uint64_t v)
{
    return round_integral(f, DOUBLE, v);
}

/* --- Half precision ------------------------------------------------------------------------------ */

uint32_t soft_from_half(struct soft_float *f, uint16_t v)
{
    struct unpacked u = unpack(HALF, v, false);

    if (u.nan) {
        if (u.signaling)
            f->flags |= FSW_IE;
        return (uint32_t)(pack(SINGLE, u.sign, top_exponent(SINGLE), (quiet(HALF, v) & 0x3ffull) << 13));
    }
    if (u.infinite)
        return (uint32_t)infinity(SINGLE, u.sign);
    if (!u.mantissa)
        return (uint32_t)pack(SINGLE, u.sign, 0, 0);
    return (uint32_t)round_pack(f, SINGLE, u.sign, u.mantissa, u.exponent); /* exact */
}

uint16_t soft_to_half(struct soft_float *f, uint32_t v)
{
    struct soft_float g = {f->control & ~MXCSR_FTZ, 0};
    struct unpacked u = unpack(SINGLE, v, f->control & MXCSR_DAZ);
    uint64_t r;

    if (u.nan) {
        if (u.signaling)
            f->flags |= FSW_IE;
        return (uint16_t)pack(HALF, u.sign, top_exponent(HALF), quiet(SINGLE, v) >> 13 & 0x3ff);
    }
    if (u.infinite)
        return (uint16_t)infinity(HALF, u.sign);
    if (u.denormal)
        f->flags |= FSW_DE;
    r = u.mantissa ? round_pack(&g, HALF, u.sign, u.mantissa, u.exponent) : pack(HALF, u.sign, 0, 0);
    f->flags |= g.flags;
    return (uint16_t)r;
}
