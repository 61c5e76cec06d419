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

v128 sse_float_slow(struct cpu *cpu, const struct insn *i, v128 a, v128 b, unsigned imm, sse_op *op,
                    enum sse_result result)
{
    unsigned guest = cpu->s.mxcsr, unmasked = ~guest >> 7 & MXCSR_FLAGS, control, flags;
    v128 r;

    control = (guest & (MXCSR_RC | MXCSR_DAZ | MXCSR_FTZ)) | MXCSR_MASKS;
    /* Flush to zero works only while underflow is masked (SDM 1 10.2.3.3). */
    if (unmasked & FSW_UE)
        control &= ~MXCSR_FTZ;
    host_set_mxcsr(control);
    r = op(a, b, imm);
    flags = host_mxcsr_flags();
    if (control != MXCSR_DEFAULT)
        host_set_mxcsr(MXCSR_DEFAULT);

    /* Unmasked underflow is signalled for tiny results, exact ones too (SDM 1 4.9.1.5). */
    if (unlikely(unmasked & FSW_UE) && has_tiny(r, result))
        flags |= FSW_UE;
    /* Unmasked invalid, denormal and divide errors are found before anything is computed (SDM 1 11.5.3). */
    if (flags & unmasked & (FSW_IE | FSW_DE | FSW_ZE))
        flags &= FSW_IE | FSW_DE | FSW_ZE;
    cpu->s.mxcsr |= flags;
    if (unlikely(flags & unmasked))
        fault0(cpu, i, cpu->s.cr4 & CR4_OSXMMEXCPT ? EX_XM : EX_UD);
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
