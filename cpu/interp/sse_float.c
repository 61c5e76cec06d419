/*
 * sse_float.c - SSE and SSE2 floating-point arithmetic, comparisons and logic, and exceptions by MXCSR.
 */
#include <string.h>

#include "cpu/interp/sse.h"

#if OXBOW_HOST_SSE
unsigned host_mxcsr(void)
{
    unsigned csr;

    __asm__ volatile("stmxcsr %0" : "=m"(csr));
    return csr;
}

void host_set_mxcsr(unsigned value)
{
    __asm__ volatile("ldmxcsr %0" : : "m"(value));
}
#else
unsigned host_mxcsr(void)
{
    int flags = fetestexcept(FE_ALL_EXCEPT);

    return (flags & FE_INVALID ? FSW_IE : 0) | (flags & FE_DIVBYZERO ? FSW_ZE : 0) |
           (flags & FE_OVERFLOW ? FSW_OE : 0) | (flags & FE_UNDERFLOW ? FSW_UE : 0) |
           (flags & FE_INEXACT ? FSW_PE : 0);
}

void host_set_mxcsr(unsigned value)
{
    static const int rounding[] = {FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO};

    feclearexcept(FE_ALL_EXCEPT);
    fesetround(rounding[(value & MXCSR_RC) >> 13]);
}
#endif

__attribute__((noinline)) v128 sse_load_slow(struct cpu *cpu, const struct insn *i, uint64_t linear)
{
    const v128_any *p = tlb_read_host(cpu, linear, 16);
    v128 value;

    if (likely(p != NULL))
        return *p;
    linear_read_block(cpu, i, i->seg, linear, &value, sizeof(value));
    return value;
}

__attribute__((noinline)) void sse_store_slow(struct cpu *cpu, const struct insn *i, uint64_t linear,
                                              v128 value)
{
    v128_any *p = tlb_write_host(cpu, linear, 16);

    if (likely(p != NULL))
        *p = value;
    else
        linear_write_block(cpu, i, i->seg, linear, &value, sizeof(value));
}

static bool tiny32(uint32_t v)
{
    return !(v & 0x7f800000) && (v & 0x007fffff);
}

static bool tiny64(uint64_t v)
{
    return !(v & 0x7ff0000000000000) && (v & 0x000fffffffffffff);
}

static bool has_tiny(v128 v, enum sse_result result)
{
    union vec r = {.v = v};

    switch (result) {
    case RESULT_SS:
        return tiny32(r.u32[0]);
    case RESULT_PS:
        return tiny32(r.u32[0]) || tiny32(r.u32[1]) || tiny32(r.u32[2]) || tiny32(r.u32[3]);
    case RESULT_SD:
        return tiny64(r.u64[0]);
    case RESULT_PD:
        return tiny64(r.u64[0]) || tiny64(r.u64[1]);
    default:
        return false;
    }
}

/* --- Inexactness beside an unmasked overflow or underflow ------------------------------------------- */

/* The value with an exponent of 0; zeros, infinities and NaNs as they are. */
static uint32_t mantissa32(uint32_t v, bool daz)
{
    unsigned exponent = v >> 23 & 0xff;
    uint32_t fraction = v & 0x7fffff;

    if (exponent == 0xff || (!exponent && (!fraction || daz)))
        return v;
    if (!exponent)
        fraction = fraction << (__builtin_clz(fraction) - 8) & 0x7fffff;
    return (v & 1u << 31) | 127u << 23 | fraction;
}

static uint64_t mantissa64(uint64_t v, bool daz)
{
    unsigned exponent = v >> 52 & 0x7ff;
    uint64_t fraction = v & 0xfffffffffffff;

    if (exponent == 0x7ff || (!exponent && (!fraction || daz)))
        return v;
    if (!exponent)
        fraction = fraction << (__builtin_clzll(fraction) - 11) & 0xfffffffffffff;
    return (v & 1ull << 63) | 1023ull << 52 | fraction;
}

/* Element `n` of v among ones; `scaled`: its mantissa. */
static v128 alone(v128 v, unsigned n, bool wide, bool scaled, bool daz)
{
    union vec from = {.v = v}, r;

    for (unsigned k = 0; k < (wide ? 2 : 4); k++) {
        if (wide)
            r.u64[k] = k != n ? 1023ull << 52 : scaled ? mantissa64(from.u64[k], daz) : from.u64[k];
        else
            r.u32[k] = k != n ? 127u << 23 : scaled ? mantissa32(from.u32[k], daz) : from.u32[k];
    }
    return r.v;
}

/* Half of each element but the smallest, for which nothing overflows. */
static v128 halved(v128 v, bool wide)
{
    union vec r = {.v = v};

    for (unsigned k = 0; k < (wide ? 2 : 4); k++) {
        unsigned exponent = wide ? r.u64[k] >> 52 & 0x7ff : r.u32[k] >> 23 & 0xff;

        if (exponent > 1 && exponent < (wide ? 0x7ffu : 0xffu)) {
            if (wide)
                r.u64[k] -= 1ull << 52;
            else
                r.u32[k] -= 1u << 23;
        }
    }
    return r.v;
}

/*
 * With overflow or underflow unmasked, PE tells whether the result would be inexact if exponents had no limits (SDM 1
 * 4.9.1.4, 4.9.1.5). Products and quotients show it by their operands' mantissas, conversions too, element by element;
 * sums that overflow by half their operands. Sums that underflow are exact.
 */
static unsigned unlimited_pe(const struct insn *i, v128 a, v128 b, unsigned imm, sse_op *op,
                             enum sse_result result, unsigned control, unsigned unmasked, unsigned flags)
{
    unsigned opcode = opcode_rows[i->row].opcode, count, pe = 0;
    bool to_wide = result == RESULT_SD || result == RESULT_PD, converts = opcode == 0x5a;
    bool wide = to_wide || converts, daz = control & MXCSR_DAZ;

    if (opcode != 0x59 && opcode != 0x5e && !converts) {
        if (!(flags & unmasked & FSW_OE))
            return FSW_PE;
        host_set_mxcsr(control);
        op(halved(a, wide), halved(b, wide), imm);
        return host_mxcsr_flags() & FSW_PE;
    }
    count = result == RESULT_SS || result == RESULT_SD ? 1 : wide ? 2 : 4;
    for (unsigned n = 0; n < count; n++) {
        v128 r;

        host_set_mxcsr(control);
        r = op(alone(a, n, wide, false, daz), alone(b, n, wide, false, daz), imm);
        flags = host_mxcsr_flags() | (has_tiny(r, result) ? FSW_UE : 0);
        if (flags & unmasked & (FSW_OE | FSW_UE)) {
            host_set_mxcsr(control);
            op(alone(a, n, wide, true, daz), alone(b, n, wide, true, daz), imm);
            flags = host_mxcsr_flags();
        }
        pe |= flags & FSW_PE;
    }
    return pe;
}

unsigned sse_float_begin(const struct cpu *cpu)
{
    unsigned control = (cpu->s.mxcsr & (MXCSR_RC | MXCSR_DAZ | MXCSR_FTZ)) | MXCSR_MASKS;

    /* Flush to zero works only while underflow is masked (SDM 1 10.2.3.3). */
    if (!(cpu->s.mxcsr & FSW_UE << 7))
        control &= ~MXCSR_FTZ;
    host_set_mxcsr(control);
    return control;
}

void sse_float_end(struct cpu *cpu, const struct insn *i, unsigned flags)
{
    unsigned unmasked = ~cpu->s.mxcsr >> 7 & MXCSR_FLAGS;

    host_set_mxcsr(MXCSR_DEFAULT);
    /* Unmasked invalid, denormal and divide errors are found before anything is computed (SDM 1 11.5.3). */
    if (flags & unmasked & (FSW_IE | FSW_DE | FSW_ZE))
        flags &= FSW_IE | FSW_DE | FSW_ZE;
    cpu->s.mxcsr |= flags;
    if (unlikely(flags & unmasked))
        fault0(cpu, i, cpu->s.cr4 & CR4_OSXMMEXCPT ? EX_XM : EX_UD);
}

void sse_float_lanes(struct cpu *cpu, const struct insn *i, const v128 *a, const v128 *b, v128 *r, unsigned lanes,
                     unsigned imm, sse_op *op, enum sse_result result)
{
    unsigned unmasked = ~cpu->s.mxcsr >> 7 & MXCSR_FLAGS, control = sse_float_begin(cpu), flags, pe = 0;

    for (unsigned n = 0; n < lanes; n++)
        r[n] = op(a[n], b[n], imm);
    flags = host_mxcsr_flags();
    /* Unmasked underflow is signalled for tiny results, exact ones too (SDM 1 4.9.1.5). */
    for (unsigned n = 0; n < lanes && (unmasked & FSW_UE); n++)
        if (has_tiny(r[n], result))
            flags |= FSW_UE;
    if (unlikely(flags & unmasked & (FSW_OE | FSW_UE)) && (flags & FSW_PE)) {
        for (unsigned n = 0; n < lanes; n++)
            pe |= unlimited_pe(i, a[n], b[n], imm, op, result, control, unmasked, flags);
        flags = (flags & ~(unsigned)FSW_PE) | pe;
    }
    sse_float_end(cpu, i, flags);
}

v128 sse_float_slow(struct cpu *cpu, const struct insn *i, v128 a, v128 b, unsigned imm, sse_op *op,
                    enum sse_result result)
{
    v128 r;

    sse_float_lanes(cpu, i, &a, &b, &r, 1, imm, op, result);
    return r;
}

/* --- Arithmetic ---------------------------------------------------------------------------------- */

#define ARITHMETIC(name, kind, result)                                                                       \
    FLOAT_BODIES(name, kind, op_##name, *xmm(cpu, i->reg), 0, result, *xmm(cpu, i->reg) = r)

FLOAT_ARITHMETIC(ARITHMETIC)

#define APPROXIMATION(name, kind)                                                                            \
    DO(name)                                                                                                 \
    {                                                                                                        \
        v128 *to = xmm(cpu, i->reg);                                                                         \
                                                                                                             \
        *to = op_##name(*to, source);                                                                        \
    }                                                                                                        \
    SSE_BODIES(name, kind)

APPROXIMATION(rcpps, x)
APPROXIMATION(rcpss, d)
APPROXIMATION(rsqrtps, x)
APPROXIMATION(rsqrtss, d)

/* --- Comparisons --------------------------------------------------------------------------------- */

#define PREDICATE(name, op, kind)                                                                            \
    FLOAT_BODIES(name, kind, op, *xmm(cpu, i->reg), (unsigned)i->imm & 7, RESULT_NONE, *xmm(cpu, i->reg) = r)

PREDICATE(cmpps, op_cmpps, x)
PREDICATE(cmpss, op_cmpss, d)
PREDICATE(cmppd, op_cmppd, x)
PREDICATE(cmpsd_xmm, op_cmpsd, q) /* the string instruction has the plain name */

/* ZF, PF and CF by the comparison; OF, SF and AF cleared. */
#define COMPARE(name, kind)                                                                                  \
    FLOAT_BODIES(name, kind, op_##name, *xmm(cpu, i->reg), 0, RESULT_NONE,                                   \
                 set_arith_flags(cpu, (uint32_t)r[0]))

COMPARE(comiss, d)
COMPARE(comisd, q)
COMPARE(ucomiss, d)
COMPARE(ucomisd, q)
