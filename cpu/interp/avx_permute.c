/*
 * avx_permute.c - VEX-encoded broadcasts, halves of YMM registers, permutations and blends.
 */
#include "cpu/interp/avx.h"

/* --- Broadcasts ---------------------------------------------------------------------------------- */

#define BROADCAST_BODIES(name, kind, expr)                                                                   \
    AVX_X_BODIES(name##_x, kind, expr)                                                                       \
    DO(name##_y)                                                                                             \
    {                                                                                                        \
        v128 r = name##_x_lane(source, source, 0, 0);                                                        \
                                                                                                             \
        set_y(cpu, i->reg, r, r);                                                                            \
    }                                                                                                        \
    AVX_FORMS(name##_y, kind)

static inline v128 twice(uint64_t v)
{
    return (v128){v, v};
}

BROADCAST_BODIES(vpbroadcastb, b, twice((uint8_t)b[0] * 0x0101010101010101u))
BROADCAST_BODIES(vpbroadcastw, w, twice((uint16_t)b[0] * 0x0001000100010001u))
BROADCAST_BODIES(vpbroadcastd, d, twice((uint32_t)b[0] * 0x0000000100000001u)) /* VBROADCASTSS too */
BROADCAST_BODIES(vpbroadcastq, q, twice(b[0]))                                 /* VBROADCASTSD too */

DO(vbroadcastf128)
{
    set_y(cpu, i->reg, source, source);
}
AVX_FORMS(vbroadcastf128, u)

/* --- Halves -------------------------------------------------------------------------------------- */

DO(vinsertf128)
{
    struct v256 a = GET_HY;

    if (i->imm & 1)
        set_y(cpu, i->reg, a.low, source);
    else
        set_y(cpu, i->reg, source, a.high);
}
AVX_FORMS(vinsertf128, u)

static inline v128 picked_half(const struct cpu *cpu, const struct insn *i)
{
    struct v256 a = get_y(cpu, i->reg);

    return i->imm & 1 ? a.high : a.low;
}

BODY(vextractf128_r)
{
    avx_check(cpu, i);
    set_x(cpu, i->rm, picked_half(cpu, i));
    NEXT;
}
AVX_STORE_FORMS(vextractf128, u, picked_half(cpu, i))

/* Four bits of the immediate a half: which of the four halves of both sources, or (bit 3) zero. */
static inline v128 any_half(struct v256 a, struct v256 b, unsigned pick)
{
    struct v256 from = pick & 2 ? b : a;

    return pick & 8 ? low64(0) : pick & 1 ? from.high : from.low;
}

DO_Y(vperm2f128)
{
    struct v256 a = GET_HY;

    set_y(cpu, i->reg, any_half(a, source, IMM8), any_half(a, source, IMM8 >> 4));
}
AVX_FORMS(vperm2f128, y)

/* --- Within lanes -------------------------------------------------------------------------------- */

static inline v128 permute_dwords(v128 value, v128 control)
{
    union vec a = {.v = value}, b = {.v = control}, r;

    for (unsigned k = 0; k < 4; k++)
        r.u32[k] = a.u32[b.u32[k] & 3];
    return r.v;
}

AVX_BODIES(vpermilps, permute_dwords(a, b))
AVX_BODIES(vpermilpd, ((v128){a[b[0] >> 1 & 1], a[b[1] >> 1 & 1]}))
AVX_BODIES(vpermilps_imm, shuffle_dwords(b, b, imm))
AVX_BODIES(vpermilpd_imm, ((v128){b[imm >> 2 * lane & 1], b[imm >> (2 * lane + 1) & 1]}))

/* --- Across lanes (AVX2) ------------------------------------------------------------------------- */

DO_Y(vpermd) /* VPERMPS too */
{
    union elements from = {source}, control = {GET_HY}, r;

    for (unsigned k = 0; k < 8; k++)
        r.u32[k] = from.u32[control.u32[k] & 7];
    set_y(cpu, i->reg, r.v.low, r.v.high);
}
AVX_FORMS(vpermd, y)

DO_Y(vpermq) /* VPERMPD too */
{
    union elements from = {source};
    unsigned imm = IMM8;

    set_y(cpu, i->reg, (v128){from.u64[imm & 3], from.u64[imm >> 2 & 3]},
          (v128){from.u64[imm >> 4 & 3], from.u64[imm >> 6]});
}
AVX_FORMS(vpermq, y)

/* --- Blends -------------------------------------------------------------------------------------- */

/* Elements of b where the immediate's bit is set, else of a. */
static inline v128 blend_dwords(v128 a, v128 b, unsigned imm)
{
    v128 mask = {(imm & 1 ? 0xffffffffu : 0) | (imm & 2 ? 0xffffffffull << 32 : 0),
                 (imm & 4 ? 0xffffffffu : 0) | (imm & 8 ? 0xffffffffull << 32 : 0)};

    return (a & ~mask) | (b & mask);
}

AVX_BODIES(vpblendd, blend_dwords(a, b, imm >> 4 * lane))
