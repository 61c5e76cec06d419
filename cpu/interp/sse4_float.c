/*
 * sse4_float.c - SSE4.1's floating-point instructions that round: ROUNDPS and its kin, DPPS and DPPD, in
 * legacy and VEX encodings.
 */
#include "cpu/interp/avx.h"
#include "cpu/interp/soft_float.h"
#include "cpu/interp/sse4_ops.h"

/* --- ROUNDPS, ROUNDPD, ROUNDSS, ROUNDSD ---------------------------------------------------------- */

/* The immediate (SDM 2B, ROUNDPD): rounding mode, unless it is MXCSR's; no PE. */
#define ROUND_BY_MXCSR 4u
#define ROUND_QUIETLY  8u

static struct soft_float round_begin(const struct cpu *cpu, unsigned imm)
{
    unsigned mxcsr = cpu->s.mxcsr;

    if (!(imm & ROUND_BY_MXCSR))
        mxcsr = (mxcsr & ~MXCSR_RC) | (imm & 3) << 13;
    return (struct soft_float){mxcsr, 0};
}

static void round_end(struct cpu *cpu, const struct insn *i, const struct soft_float *f)
{
    sse_float_end(cpu, i, i->imm & ROUND_QUIETLY ? f->flags & ~(unsigned)FSW_PE : f->flags);
}

/*
 * The host's own, where it has SSE4.1, for a guest MXCSR of default control bits: false when that can't be,
 * or when the host has a flag afterwards that the guest hasn't.
 */
#if OXBOW_HOST_SSE
#define host_has_round() __builtin_cpu_supports("sse4.1")
#define ROUND_CASE(name, n)                                                                                  \
    case n:                                                                                                  \
        __asm__ volatile(#name " $" #n ", %1, %0" : "+x"(to) : "x"(source));                                 \
        break;
#define ROUND_OP(name)                                                                                       \
    static inline v128 op_##name(v128 to, v128 source, unsigned imm)                                         \
    {                                                                                                        \
        switch (imm & ROUND_BY_MXCSR ? imm & ROUND_QUIETLY : imm & 11) {                                     \
            ROUND_CASE(name, 0)                                                                              \
            ROUND_CASE(name, 1)                                                                              \
            ROUND_CASE(name, 2)                                                                              \
            ROUND_CASE(name, 3)                                                                              \
            ROUND_CASE(name, 8)                                                                              \
            ROUND_CASE(name, 9)                                                                              \
            ROUND_CASE(name, 10)                                                                             \
            ROUND_CASE(name, 11)                                                                             \
        }                                                                                                    \
        return to;                                                                                           \
    }
#else
#define host_has_round() false
#define ROUND_OP(name)                                                                                       \
    static inline v128 op_##name(v128 to, v128 source, unsigned imm)                                         \
    {                                                                                                        \
        (void)source, (void)imm;                                                                             \
        return to;                                                                                           \
    }
#endif

ROUND_OP(roundps)
ROUND_OP(roundpd)
ROUND_OP(roundss)
ROUND_OP(roundsd)

/* `to` with its first `count` elements those of `source`, rounded. */
static v128 round_singles(struct soft_float *f, v128 to, v128 source, unsigned count)
{
    union vec r = {.v = to}, s = {.v = source};

    for (unsigned k = 0; k < count; k++)
        r.u32[k] = soft_round32(f, s.u32[k]);
    return r.v;
}

static v128 round_doubles(struct soft_float *f, v128 to, v128 source, unsigned count)
{
    union vec r = {.v = to}, s = {.v = source};

    for (unsigned k = 0; k < count; k++)
        r.u64[k] = soft_round64(f, s.u64[k]);
    return r.v;
}

/* name and vname of 128 bits, `count` elements by `round`. */
#define ROUND_X(name, vname, kind, vkind, round, count)                                                      \
    static __attribute__((noinline))                                                                         \
    v128 name##_rounded(struct cpu *cpu, const struct insn *i, v128 to, v128 source)                         \
    {                                                                                                        \
        struct soft_float f = round_begin(cpu, IMM8);                                                        \
        v128 r;                                                                                              \
                                                                                                             \
        if (host_has_round() && sse_float_fast(cpu, to, source, IMM8, op_##name, &r))                        \
            return r;                                                                                        \
        r = round(&f, to, source, count);                                                                    \
        round_end(cpu, i, &f);                                                                               \
        return r;                                                                                            \
    }                                                                                                        \
    DO(name)                                                                                                 \
    {                                                                                                        \
        *xmm(cpu, i->reg) = name##_rounded(cpu, i, *xmm(cpu, i->reg), source);                               \
    }                                                                                                        \
    SSE_BODIES(name, kind)                                                                                   \
    DO(vname)                                                                                                \
    {                                                                                                        \
        set_x(cpu, i->reg, name##_rounded(cpu, i, GET_HX, source));                                          \
    }                                                                                                        \
    AVX_FORMS(vname, vkind)

#define ROUND_Y(name, op, round, count)                                                                      \
    static __attribute__((noinline)) void name##_commit(struct cpu *cpu, const struct insn *i, v128 low,     \
                                                        v128 high)                                           \
    {                                                                                                        \
        struct soft_float f = round_begin(cpu, IMM8);                                                        \
        struct v256 source = {low, high}, r;                                                                 \
                                                                                                             \
        if (!host_has_round() || !avx_float_fast(cpu, source, source, IMM8, op, &r)) {                       \
            r.low = round(&f, low, low, count);                                                              \
            r.high = round(&f, high, high, count);                                                           \
            round_end(cpu, i, &f);                                                                           \
        }                                                                                                    \
        set_y(cpu, i->reg, r.low, r.high);                                                                   \
    }                                                                                                        \
    DO_Y(name)                                                                                               \
    {                                                                                                        \
        name##_commit(cpu, i, source.low, source.high);                                                      \
    }                                                                                                        \
    AVX_FORMS(name, y)

ROUND_X(roundps, vroundps_x, x, u, round_singles, 4)
ROUND_X(roundpd, vroundpd_x, x, u, round_doubles, 2)
ROUND_X(roundss, vroundss, d, d, round_singles, 1)
ROUND_X(roundsd, vroundsd, q, q, round_doubles, 1)
ROUND_Y(vroundps_y, op_roundps, round_singles, 4)
ROUND_Y(vroundpd_y, op_roundpd, round_doubles, 2)

/* --- DPPS, DPPD ---------------------------------------------------------------------------------- */

/* Elements that the immediate leaves out are zero: as factors (bits 7:4), and in the result (bits 3:0). */
static inline v128 chosen_singles(v128 v, unsigned bits)
{
    return v & dwords_of_bits(bits);
}

static inline v128 chosen_doubles(v128 v, unsigned bits)
{
    return v & qwords_of_bits(bits);
}

static inline v128 op_dpps(v128 a, v128 b, unsigned imm)
{
    union vec p = {.v = op_mulps(chosen_singles(a, imm >> 4), chosen_singles(b, imm >> 4), 0)}, s;

    s.v = op_addps((v128){p.u32[0] | (uint64_t)p.u32[2] << 32, 0},
                   (v128){p.u32[1] | (uint64_t)p.u32[3] << 32, 0}, 0);
    s.v = op_addps(low64(s.u32[0]), low64(s.u32[1]), 0);
    return chosen_singles((v128){s.u32[0] * 0x100000001ull, s.u32[0] * 0x100000001ull}, imm);
}

static inline v128 op_dppd(v128 a, v128 b, unsigned imm)
{
    v128 p = op_mulpd(chosen_doubles(a, imm >> 4), chosen_doubles(b, imm >> 4), 0);
    v128 s = op_addpd(low64(p[0]), low64(p[1]), 0);

    return chosen_doubles((v128){s[0], s[0]}, imm);
}

/* Exceptions are raised after the products and after each sum: later operations don't happen then (SDM 2A,
 * DPPS). */
static void dot_singles(struct cpu *cpu, const struct insn *i, const v128 *a, const v128 *b, v128 *r,
                        unsigned lanes)
{
    struct soft_float f = {cpu->s.mxcsr, 0};
    uint32_t p[2][4], s[2][2], dot;

    for (unsigned n = 0; n < lanes; n++) {
        union vec x = {.v = chosen_singles(a[n], IMM8 >> 4)}, y = {.v = chosen_singles(b[n], IMM8 >> 4)};

        for (unsigned k = 0; k < 4; k++)
            p[n][k] = soft_mul32(&f, x.u32[k], y.u32[k]);
    }
    sse_float_end(cpu, i, f.flags);
    f.flags = 0;
    for (unsigned n = 0; n < lanes; n++)
        for (unsigned k = 0; k < 2; k++)
            s[n][k] = soft_add32(&f, p[n][2 * k], p[n][2 * k + 1]);
    sse_float_end(cpu, i, f.flags);
    f.flags = 0;
    for (unsigned n = 0; n < lanes; n++) {
        dot = soft_add32(&f, s[n][0], s[n][1]);
        r[n] = chosen_singles((v128){dot * 0x100000001ull, dot * 0x100000001ull}, IMM8);
    }
    sse_float_end(cpu, i, f.flags);
}

static __attribute__((noinline)) v128 dpps_slow(struct cpu *cpu, const struct insn *i, v128 a, v128 b)
{
    v128 r;

    dot_singles(cpu, i, &a, &b, &r, 1);
    return r;
}

static __attribute__((noinline)) v128 dppd_slow(struct cpu *cpu, const struct insn *i, v128 a, v128 b)
{
    struct soft_float f = {cpu->s.mxcsr, 0};
    v128 x = chosen_doubles(a, IMM8 >> 4), y = chosen_doubles(b, IMM8 >> 4);
    uint64_t p[2], dot;

    p[0] = soft_mul64(&f, x[0], y[0]);
    p[1] = soft_mul64(&f, x[1], y[1]);
    sse_float_end(cpu, i, f.flags);
    f.flags = 0;
    dot = soft_add64(&f, p[0], p[1]);
    sse_float_end(cpu, i, f.flags);
    return chosen_doubles((v128){dot, dot}, IMM8);
}

#define DOT(name)                                                                                            \
    ALWAYS_INLINE v128 name##_any(struct cpu *cpu, const struct insn *i, v128 a, v128 b)                     \
    {                                                                                                        \
        v128 r;                                                                                              \
                                                                                                             \
        return OXBOW_HOST_SSE && likely(sse_float_fast(cpu, a, b, IMM8, op_##name, &r))                      \
                   ? r                                                                                       \
                   : name##_slow(cpu, i, a, b);                                                              \
    }                                                                                                        \
    DO(name)                                                                                                 \
    {                                                                                                        \
        *xmm(cpu, i->reg) = name##_any(cpu, i, *xmm(cpu, i->reg), source);                                   \
    }                                                                                                        \
    SSE_BODIES(name, x)

DOT(dpps)
DOT(dppd)

DO(vdppd)
{
    set_x(cpu, i->reg, dppd_any(cpu, i, GET_HX, source));
}
AVX_FORMS(vdppd, u)

DO(vdpps_x)
{
    set_x(cpu, i->reg, dpps_any(cpu, i, GET_HX, source));
}
AVX_FORMS(vdpps_x, u)

static __attribute__((noinline)) void vdpps_y_slow(struct cpu *cpu, const struct insn *i, v128 low, v128 high)
{
    struct v256 h = GET_HY;
    v128 a[2] = {h.low, h.high}, b[2] = {low, high}, r[2];

    dot_singles(cpu, i, a, b, r, 2);
    set_y(cpu, i->reg, r[0], r[1]);
}

DO_Y(vdpps_y)
{
    struct v256 r;

    if (OXBOW_HOST_SSE && likely(avx_float_fast(cpu, GET_HY, source, IMM8, op_dpps, &r)))
        set_y(cpu, i->reg, r.low, r.high);
    else
        vdpps_y_slow(cpu, i, source.low, source.high);
}
AVX_FORMS(vdpps_y, y)
