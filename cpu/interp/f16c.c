/*
 * f16c.c - F16C: VCVTPH2PS and VCVTPS2PH.
 *
 * Hosts that have them run them, while MXCSR's control bits are the default ones; else it is integer
 * arithmetic.
 */
#include "cpu/interp/avx.h"
#include "cpu/interp/soft_float.h"

#if OXBOW_HOST_SSE
/* No processor has AVX2 without F16C, and compilers know only the former by name. */
#define host_has_f16c() __builtin_cpu_supports("avx2")

static inline v128 op_cvtph2ps(v128 a, v128 source, unsigned imm)
{
    (void)imm;
    __asm__ volatile("vcvtph2ps %1, %0" : "=x"(a) : "x"(source));
    return a;
}

#define NARROW_CASE(n)                                                                                       \
    case n:                                                                                                  \
        __asm__ volatile("vcvtps2ph $" #n ", %1, %0" : "=x"(a) : "x"(source));                               \
        break;

static inline v128 op_cvtps2ph(v128 a, v128 source, unsigned imm)
{
    switch (imm & 4 ? 0 : imm & 3) {
        NARROW_CASE(0)
        NARROW_CASE(1)
        NARROW_CASE(2)
        NARROW_CASE(3)
    }
    return a;
}
#else
#define host_has_f16c() false

static inline v128 op_cvtph2ps(v128 a, v128 source, unsigned imm)
{
    (void)source, (void)imm;
    return a;
}

static inline v128 op_cvtps2ph(v128 a, v128 source, unsigned imm)
{
    (void)source, (void)imm;
    return a;
}
#endif

/* Four singles from the low half of `source`. */
static v128 widen(struct soft_float *f, v128 source)
{
    union vec s = {.v = source}, r;

    for (unsigned k = 0; k < 4; k++)
        r.u32[k] = soft_from_half(f, s.u16[k]);
    return r.v;
}

/* Four halves. */
static uint64_t narrow(struct soft_float *f, v128 source)
{
    union vec s = {.v = source}, r = {.v = low64(0)};

    for (unsigned k = 0; k < 4; k++)
        r.u16[k] = soft_to_half(f, s.u32[k]);
    return r.u64[0];
}

/* --- VCVTPH2PS ----------------------------------------------------------------------------------- */

static __attribute__((noinline)) v128 widen_x(struct cpu *cpu, const struct insn *i, v128 source)
{
    struct soft_float f = {cpu->s.mxcsr, 0};
    v128 r;

    if (host_has_f16c() && sse_float_fast(cpu, source, source, 0, op_cvtph2ps, &r))
        return r;
    r = widen(&f, source);
    sse_float_end(cpu, i, f.flags);
    return r;
}

static __attribute__((noinline)) void widen_y(struct cpu *cpu, const struct insn *i, v128 source)
{
    struct v256 halves = {source, low64(source[1])}, r = halves;
    struct soft_float f = {cpu->s.mxcsr, 0};

    if (!host_has_f16c() || !avx_float_fast(cpu, halves, halves, 0, op_cvtph2ps, &r)) {
        r.low = widen(&f, halves.low);
        r.high = widen(&f, halves.high);
        sse_float_end(cpu, i, f.flags);
    }
    set_y(cpu, i->reg, r.low, r.high);
}

DO(vcvtph2ps_x)
{
    set_x(cpu, i->reg, widen_x(cpu, i, source));
}
AVX_FORMS(vcvtph2ps_x, q)

DO(vcvtph2ps_y)
{
    widen_y(cpu, i, source);
}
AVX_FORMS(vcvtph2ps_y, u)

/* --- VCVTPS2PH ----------------------------------------------------------------------------------- */

/* The halves of four or eight singles, rounded by the immediate: 0 to 3 a mode, 4 MXCSR's. */
static __attribute__((noinline)) v128 narrowed(struct cpu *cpu, const struct insn *i)
{
    struct v256 source = get_y(cpu, i->reg), r;
    struct soft_float f = {cpu->s.mxcsr, 0};
    v128 halves;

    if (i->osize != VEC_Y)
        source.high = low64(0);
    if (host_has_f16c() && avx_float_fast(cpu, source, source, IMM8, op_cvtps2ph, &r))
        return (v128){r.low[0], r.high[0]};
    if (!(i->imm & 4))
        f.control = (f.control & ~MXCSR_RC) | ((unsigned)i->imm & 3) << 13;
    halves[0] = narrow(&f, source.low);
    halves[1] = narrow(&f, source.high);
    sse_float_end(cpu, i, f.flags);
    return halves;
}

/* Faults of the memory operand come before exceptions of the conversion, which change MXCSR. */
static __attribute__((noinline)) void store_x(struct cpu *cpu, const struct insn *i)
{
    uint64_t linear;

    avx_check(cpu, i);
    linear = mem_linear(cpu, i, 8, ACCESS_WRITE);
    probe_write(cpu, i, i->seg, linear, 8);
    st64(cpu, i, i->seg, linear, narrowed(cpu, i)[0]);
}

static __attribute__((noinline)) void store_y(struct cpu *cpu, const struct insn *i)
{
    uint64_t linear;

    avx_check(cpu, i);
    linear = linear_u(cpu, i, ACCESS_WRITE);
    probe_write(cpu, i, i->seg, linear, 16);
    sse_store_slow(cpu, i, linear, narrowed(cpu, i));
}

#define NARROW(name, store)                                                                                  \
    BODY(name##_r)                                                                                           \
    {                                                                                                        \
        avx_check(cpu, i);                                                                                   \
        set_x(cpu, i->rm, narrowed(cpu, i));                                                                 \
        NEXT;                                                                                                \
    }                                                                                                        \
    BODY(name##_m)                                                                                           \
    {                                                                                                        \
        store(cpu, i);                                                                                       \
        NEXT;                                                                                                \
    }                                                                                                        \
    BODY(name##_g)                                                                                           \
    {                                                                                                        \
        store(cpu, i);                                                                                       \
        NEXT;                                                                                                \
    }

NARROW(vcvtps2ph_x, store_x)
NARROW(vcvtps2ph_y, store_y)
