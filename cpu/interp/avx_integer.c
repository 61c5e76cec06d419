/*
 * avx_integer.c - VEX-encoded integer operations lane by lane, logic, shifts, shuffles and inserts.
 */
#include "cpu/interp/avx.h"

#define PLAIN(name) AVX_BODIES(v##name, op_##name(a, b))

INTEGER_LANES(PLAIN) /* VANDPS and its kin are VPAND and its kin */
INTEGER_PAIRS(PLAIN)
INTEGER_XMM_ONLY(PLAIN)
FLOAT_UNPACK(PLAIN)

/* --- Shifts by one count ------------------------------------------------------------------------- */

/* The count is the low half of an XMM register or of 16 bytes of memory; VEX.vvvv's register is shifted. */
#define SHIFT_BODIES(name)                                                                                   \
    AVX_X_BODIES(v##name##_x, u, op_##name(a, b))                                                            \
    DO(v##name##_y)                                                                                          \
    {                                                                                                        \
        struct v256 a = GET_HY;                                                                              \
                                                                                                             \
        set_y(cpu, i->reg, op_##name(a.low, source), op_##name(a.high, source));                             \
    }                                                                                                        \
    AVX_FORMS(v##name##_y, u)                                                                                \
    SHIFT_IMMEDIATE(v##name##_imm, op_##name(source, low64(IMM8)))

/* By an immediate: the destination is VEX.vvvv's register, the source ModRM.rm's. */
#define SHIFT_IMMEDIATE(name, expr)                                                                          \
    ALWAYS_INLINE v128 name##_lane(const struct insn *i, v128 source)                                        \
    {                                                                                                        \
        return expr;                                                                                         \
    }                                                                                                        \
    BODY(name##_x)                                                                                           \
    {                                                                                                        \
        avx_check(cpu, i);                                                                                   \
        set_x(cpu, h_reg(i), name##_lane(i, get_x(cpu, i->rm)));                                             \
        NEXT;                                                                                                \
    }                                                                                                        \
    BODY(name##_y)                                                                                           \
    {                                                                                                        \
        struct v256 source = get_y(cpu, i->rm);                                                              \
                                                                                                             \
        avx_check(cpu, i);                                                                                   \
        set_y(cpu, h_reg(i), name##_lane(i, source.low), name##_lane(i, source.high));                       \
        NEXT;                                                                                                \
    }

INTEGER_SHIFTS(SHIFT_BODIES)

static inline v128 shift_bytes_left(v128 v, unsigned count)
{
    return count > 15 ? low64(0) : extract_bytes(v, low64(0), 16 - count);
}

SHIFT_IMMEDIATE(vpsrldq_imm, extract_bytes(low64(0), source, IMM8))
SHIFT_IMMEDIATE(vpslldq_imm, shift_bytes_left(source, IMM8))

AVX_BODIES(vpalignr, extract_bytes(a, b, imm))

/* --- Shifts, each element by its own count (AVX2) ------------------------------------------------ */

/* Logical shifts by the width or more give zero, arithmetic ones the sign. */
#define SHIFT_EACH(name, elements, field, expr)                                                              \
    static inline v128 name##_each(v128 first, v128 second)                                                  \
    {                                                                                                        \
        union vec a = {.v = first}, b = {.v = second}, r;                                                    \
                                                                                                             \
        for (unsigned k = 0; k < (elements); k++)                                                            \
            r.field[k] = expr;                                                                               \
        return r.v;                                                                                          \
    }                                                                                                        \
    AVX_BODIES(name, name##_each(a, b))

SHIFT_EACH(vpsllvd, 4, u32, b.u32[k] < 32 ? a.u32[k] << b.u32[k] : 0)
SHIFT_EACH(vpsrlvd, 4, u32, b.u32[k] < 32 ? a.u32[k] >> b.u32[k] : 0)
SHIFT_EACH(vpsravd, 4, i32, a.i32[k] >> (b.u32[k] < 32 ? b.u32[k] : 31))
SHIFT_EACH(vpsllvq, 2, u64, b.u64[k] < 64 ? a.u64[k] << b.u64[k] : 0)
SHIFT_EACH(vpsrlvq, 2, u64, b.u64[k] < 64 ? a.u64[k] >> b.u64[k] : 0)

/* --- Shuffles by an immediate -------------------------------------------------------------------- */

AVX_BODIES(vpshufd, shuffle_dwords(b, b, imm))
AVX_BODIES(vshufps, shuffle_dwords(a, b, imm))
AVX_BODIES(vshufpd, ((v128){a[imm >> 2 * lane & 1], b[imm >> (2 * lane + 1) & 1]}))
AVX_BODIES(vpshuflw, ((v128){shuffle_words(b[0], imm), b[1]}))
AVX_BODIES(vpshufhw, ((v128){b[0], shuffle_words(b[1], imm)}))

/* --- Words in and out ---------------------------------------------------------------------------- */

static inline v128 with_word(v128 v, unsigned n, uint16_t word)
{
    union vec r = {.v = v};

    r.u16[n & 7] = word;
    return r.v;
}

BODY(vpinsrw_r)
{
    avx_check(cpu, i);
    set_x(cpu, i->reg, with_word(GET_HX, IMM8, get16(cpu, i->rm)));
    NEXT;
}

DO(vpinsrw)
{
    set_x(cpu, i->reg, with_word(GET_HX, IMM8, (uint16_t)source[0]));
}
AVX_MEM_FORMS(vpinsrw, w)

BODY(vpextrw)
{
    avx_check(cpu, i);
    set32(cpu, i->reg, get16(cpu, (uint16_t)(i->rm + 2 * (i->imm & 7))));
    NEXT;
}
