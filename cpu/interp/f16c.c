/*
 * f16c.c - F16C: VCVTPH2PS and VCVTPS2PH.
 */
#include "cpu/interp/avx.h"
#include "cpu/interp/soft_float.h"

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
    v128 r = widen(&f, source);

    soft_finish(cpu, i, f.flags);
    return r;
}

static __attribute__((noinline)) void widen_y(struct cpu *cpu, const struct insn *i, v128 source)
{
    struct soft_float f = {cpu->s.mxcsr, 0};
    v128 low = widen(&f, source), high = widen(&f, low64(source[1]));

    soft_finish(cpu, i, f.flags);
    set_y(cpu, i->reg, low, high);
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
    struct v256 source = get_y(cpu, i->reg);
    struct soft_float f = {cpu->s.mxcsr, 0};
    v128 r;

    if (!(i->imm & 4))
        f.control = (f.control & ~MXCSR_RC) | ((unsigned)i->imm & 3) << 13;
    r = low64(narrow(&f, source.low));
    if (i->osize == VEC_Y)
        r[1] = narrow(&f, source.high);
    soft_finish(cpu, i, f.flags);
    return r;
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
