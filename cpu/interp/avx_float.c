/*
 * avx_float.c - VEX-encoded floating-point arithmetic and comparisons, with the 32 predicates of VCMPPS.
 */
#include "cpu/interp/avx.h"

/* --- Arithmetic ---------------------------------------------------------------------------------- */

/* The table's kind tells packed operations, x, from scalar ones. */
#define ARITHMETIC(name, kind, result)   ARITHMETIC_##kind(name, kind, result)
#define ARITHMETIC_x(name, kind, result) AVX_FLOAT_BODIES(v##name, op_##name, 0, result)
#define ARITHMETIC_d(name, kind, result) AVX_FLOAT_SCALAR(v##name, kind, op_##name, 0, result)
#define ARITHMETIC_q(name, kind, result) AVX_FLOAT_SCALAR(v##name, kind, op_##name, 0, result)

FLOAT_ARITHMETIC(ARITHMETIC)

AVX_BODIES(vrcpps, op_rcpps(a, b))
AVX_BODIES(vrsqrtps, op_rsqrtps(a, b))
AVX_X_BODIES(vrcpss, d, op_rcpss(a, b))
AVX_X_BODIES(vrsqrtss, d, op_rsqrtss(a, b))

/* --- Comparisons by predicate -------------------------------------------------------------------- */

/*
 * A predicate (SDM 2A, CMPPD, table 3-1) is true for some of the relations less, equal, greater and
 * unordered. The first eight are SSE's. Bit 3 changes equality of unordered operands, and turns what was by
 * "less" into "greater"; bit 4 changes whether quiet NaNs are invalid too.
 */
enum { LESS = 1, EQUAL = 2, GREATER = 4, UNORDERED = 8, SIGNALS = 16 };

static const uint8_t predicates[16] = {
    EQUAL,
    LESS | SIGNALS,
    LESS | EQUAL | SIGNALS,
    UNORDERED,
    LESS | GREATER | UNORDERED,
    EQUAL | GREATER | UNORDERED | SIGNALS,
    GREATER | UNORDERED | SIGNALS,
    LESS | EQUAL | GREATER,
    EQUAL | UNORDERED,
    LESS | UNORDERED | SIGNALS,
    LESS | EQUAL | UNORDERED | SIGNALS,
    0,
    LESS | GREATER,
    EQUAL | GREATER | SIGNALS,
    GREATER | SIGNALS,
    LESS | EQUAL | GREATER | UNORDERED,
};

/*
 * By SSE's comparisons: 3 finds unordered elements and is invalid for signalling NaNs only, 1 for all. With
 * zeros in place of the unordered ones, 1 and 0 tell less from equal and raise nothing that wasn't raised
 * before.
 */
#define COMPARE_BY_PREDICATE(name, op, merged)                                                               \
    static __attribute__((noinline)) v128 name##_new(v128 a, v128 b, unsigned imm)                           \
    {                                                                                                        \
        unsigned truth = predicates[imm & 15] ^ (imm & 16 ? SIGNALS : 0);                                    \
        v128 unordered = op(a, b, 3), x = a & ~unordered, y = b & ~unordered;                                \
        v128 less, equal, greater, r;                                                                        \
                                                                                                             \
        if (truth & SIGNALS)                                                                                 \
            op(a, b, 1);                                                                                     \
        less = op(x, y, 1) & ~unordered;                                                                     \
        equal = op(x, y, 0) & ~unordered;                                                                    \
        greater = ~(less | equal | unordered);                                                               \
        r = (truth & LESS ? less : low64(0)) | (truth & EQUAL ? equal : low64(0)) |                          \
            (truth & UNORDERED ? unordered : low64(0)) | (truth & GREATER ? greater : low64(0));             \
        return merged;                                                                                       \
    }                                                                                                        \
    static inline v128 name(v128 a, v128 b, unsigned imm)                                                    \
    {                                                                                                        \
        return likely((imm & 31) < 8) ? op(a, b, imm) : name##_new(a, b, imm);                               \
    }

COMPARE_BY_PREDICATE(op_vcmpps, op_cmpps, r)
COMPARE_BY_PREDICATE(op_vcmppd, op_cmppd, r)
COMPARE_BY_PREDICATE(op_vcmpss, op_cmpss, op_movss(a, r))
COMPARE_BY_PREDICATE(op_vcmpsd, op_cmpsd, op_movsd(a, r))

AVX_FLOAT_BODIES(vcmpps, op_vcmpps, IMM8, RESULT_NONE)
AVX_FLOAT_BODIES(vcmppd, op_vcmppd, IMM8, RESULT_NONE)
AVX_FLOAT_SCALAR(vcmpss, d, op_vcmpss, IMM8, RESULT_NONE)
AVX_FLOAT_SCALAR(vcmpsd, q, op_vcmpsd, IMM8, RESULT_NONE)

/* --- Comparisons to flags ------------------------------------------------------------------------ */

/* ZF, PF and CF by the comparison; OF, SF and AF cleared. */
#define COMPARE(name, kind)                                                                                  \
    AVX_FLOAT_X(v##name, kind, op_##name, get_x(cpu, i->reg), 0, RESULT_NONE,                                \
                set_arith_flags(cpu, (uint32_t)r[0]))

COMPARE(comiss, d)
COMPARE(comisd, q)
COMPARE(ucomiss, d)
COMPARE(ucomisd, q)

/* VTESTPS, VTESTPD: ZF when no sign bit is set in both operands, CF when none is in the second alone; no
 * exceptions. */
#define TEST_SIGNS(name, op)                                                                                 \
    DO(name##_x)                                                                                             \
    {                                                                                                        \
        v128 a = get_x(cpu, i->reg);                                                                         \
                                                                                                             \
        set_arith_flags(cpu, (op(a & source) ? 0 : FLAG_ZF) | (op(~a & source) ? 0 : FLAG_CF));              \
    }                                                                                                        \
    DO_Y(name##_y)                                                                                           \
    {                                                                                                        \
        struct v256 a = get_y(cpu, i->reg);                                                                  \
        uint32_t both = op(a.low & source.low) | op(a.high & source.high);                                   \
        uint32_t second = op(~a.low & source.low) | op(~a.high & source.high);                               \
                                                                                                             \
        set_arith_flags(cpu, (both ? 0 : FLAG_ZF) | (second ? 0 : FLAG_CF));                                 \
    }                                                                                                        \
    AVX_FORMS(name##_x, u)                                                                                   \
    AVX_FORMS(name##_y, y)

TEST_SIGNS(vtestps, op_movmskps)
TEST_SIGNS(vtestpd, op_movmskpd)
