/*
 * sse_convert.c - SSE and SSE2 conversions between floating-point formats, integers, general and MMX
 * registers.
 */
#include "cpu/interp/sse.h"

#define CONVERT(name, kind, result)                                                                          \
    FLOAT_BODIES(name, kind, op_##name, *xmm(cpu, i->reg), 0, result, *xmm(cpu, i->reg) = r)

FLOAT_CONVERT(CONVERT)

/* --- To a general register of 32 or 64 bits ------------------------------------------------------ */

#define TO_GPR(name, kind)                                                                                   \
    FLOAT_TRY(name##32, op_##name##32, source, 0, RESULT_NONE, set32(cpu, i->reg, (uint32_t)r[0]))           \
    FLOAT_TRY(name##64, op_##name##64, source, 0, RESULT_NONE, set64(cpu, i->reg, r[0]))                     \
    ALWAYS_INLINE void name##_either(struct cpu *cpu, const struct insn *i, v128 source)                     \
    {                                                                                                        \
        if (i->osize == SIZE_Q)                                                                              \
            name##64_try(cpu, i, source);                                                                    \
        else                                                                                                 \
            name##32_try(cpu, i, source);                                                                    \
    }                                                                                                        \
    BODY(name##_r)                                                                                           \
    {                                                                                                        \
        sse_check(cpu, i);                                                                                   \
        name##_either(cpu, i, *xmm(cpu, i->rm));                                                             \
    }                                                                                                        \
    GENERAL_BODY(name##_g)                                                                                   \
    {                                                                                                        \
        sse_check(cpu, i);                                                                                   \
        name##_either(cpu, i, load_##kind(cpu, i));                                                          \
    }                                                                                                        \
    BODY(name##_m)                                                                                           \
    {                                                                                                        \
        const void *host = tlb_read_host(cpu, ea64(cpu, i), BYTES_##kind);                                   \
                                                                                                             \
        if (unlikely(!host || sse_blocked(cpu))) {                                                           \
            name##_g(cpu, i);                                                                                \
            return;                                                                                          \
        }                                                                                                    \
        name##_either(cpu, i, host_get_##kind(host));                                                        \
    }

TO_GPR(cvtss2si, d)
TO_GPR(cvttss2si, d)
TO_GPR(cvtsd2si, q)
TO_GPR(cvttsd2si, q)

/* --- From a general register or memory of 32 or 64 bits ------------------------------------------ */

#define FROM_GPR(name)                                                                                       \
    FLOAT_TRY(name##32, op_##name##32, *xmm(cpu, i->reg), 0, RESULT_NONE, *xmm(cpu, i->reg) = r)             \
    FLOAT_TRY(name##64, op_##name##64, *xmm(cpu, i->reg), 0, RESULT_NONE, *xmm(cpu, i->reg) = r)             \
    BODY(name##_r)                                                                                           \
    {                                                                                                        \
        sse_check(cpu, i);                                                                                   \
        if (i->osize == SIZE_Q)                                                                              \
            name##64_try(cpu, i, low64(get64(cpu, i->rm)));                                                  \
        else                                                                                                 \
            name##32_try(cpu, i, low64(get32(cpu, i->rm)));                                                  \
    }                                                                                                        \
    GENERAL_BODY(name##_g)                                                                                   \
    {                                                                                                        \
        sse_check(cpu, i);                                                                                   \
        if (i->osize == SIZE_Q)                                                                              \
            name##64_try(cpu, i, load_q(cpu, i));                                                            \
        else                                                                                                 \
            name##32_try(cpu, i, load_d(cpu, i));                                                            \
    }                                                                                                        \
    BODY(name##_m)                                                                                           \
    {                                                                                                        \
        const void *host = tlb_read_host(cpu, ea64(cpu, i), 8);                                              \
                                                                                                             \
        if (unlikely(!host || sse_blocked(cpu))) {                                                           \
            name##_g(cpu, i);                                                                                \
            return;                                                                                          \
        }                                                                                                    \
        if (i->osize == SIZE_Q)                                                                              \
            name##64_try(cpu, i, host_get_q(host));                                                          \
        else                                                                                                 \
            name##32_try(cpu, i, host_get_d(host));                                                          \
    }

FROM_GPR(cvtsi2ss)
FROM_GPR(cvtsi2sd)

/* --- MMX registers ------------------------------------------------------------------------------- */

/*
 * From an MMX register these are MMX instructions too; from memory, on AMD's processors, not. Unused lanes
 * are zero, which raises nothing. The x87 state is MMX's even when the conversion ends in #XM.
 */
static v128 mmx_source(struct cpu *cpu, const struct insn *i)
{
    sse_check(cpu, i);
    if (i->flags & INSN_MEM)
        return load_q(cpu, i);
    mmx_check(cpu, i);
    mmx_enter(cpu);
    return low64(get64(cpu, i->rm));
}

BODY(cvtpi2ps)
{
    v128 *to = xmm(cpu, i->reg);
    v128 r = sse_float_slow(cpu, i, low64(0), mmx_source(cpu, i), 0, op_cvtdq2ps, RESULT_NONE);

    *to = (v128){r[0], (*to)[1]};
    NEXT;
}

BODY(cvtpi2pd)
{
    v128 r = sse_float_slow(cpu, i, low64(0), mmx_source(cpu, i), 0, op_cvtdq2pd, RESULT_NONE);

    *xmm(cpu, i->reg) = r;
    NEXT;
}

#define TO_MMX(name, op, kind, pick)                                                                         \
    BODY(name)                                                                                               \
    {                                                                                                        \
        v128 source, r;                                                                                      \
                                                                                                             \
        sse_check(cpu, i);                                                                                   \
        mmx_check(cpu, i);                                                                                   \
        source = i->flags & INSN_MEM ? load_##kind(cpu, i) : *xmm(cpu, i->rm);                               \
        mmx_enter(cpu);                                                                                      \
        r = sse_float_slow(cpu, i, low64(0), pick, 0, op, RESULT_NONE);                                      \
        mmx_set(cpu, i->reg, r[0]);                                                                          \
        NEXT;                                                                                                \
    }

TO_MMX(cvtps2pi, op_cvtps2dq, q, low64(source[0]))
TO_MMX(cvttps2pi, op_cvttps2dq, q, low64(source[0]))
TO_MMX(cvtpd2pi, op_cvtpd2dq, x, source)
TO_MMX(cvttpd2pi, op_cvttpd2dq, x, source)
