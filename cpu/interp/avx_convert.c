/*
 * avx_convert.c - VEX-encoded conversions between floating-point formats, integers and general registers.
 */
#include "cpu/interp/avx.h"

/* --- Elements that keep their size --------------------------------------------------------------- */

AVX_FLOAT_BODIES(vcvtdq2ps, op_cvtdq2ps, 0, RESULT_NONE)
AVX_FLOAT_BODIES(vcvtps2dq, op_cvtps2dq, 0, RESULT_NONE)
AVX_FLOAT_BODIES(vcvttps2dq, op_cvttps2dq, 0, RESULT_NONE)

/* --- Wider and narrower -------------------------------------------------------------------------- */

/* From half a vector to a whole one. */
#define WIDEN(name)                                                                                          \
    AVX_FLOAT_X(v##name##_x, q, op_##name, GET_HX, 0, RESULT_NONE, set_x(cpu, i->reg, r))                    \
    AVX_FLOAT_Y(v##name##_y, u, op_##name, GET_HY, ((struct v256){source, low64(source[1])}), 0,             \
                RESULT_NONE, set_y(cpu, i->reg, r.low, r.high))

WIDEN(cvtps2pd)
WIDEN(cvtdq2pd)

/* From a whole vector to half a one: the destination is an XMM register. */
#define NARROW(name, result)                                                                                 \
    AVX_FLOAT_X(v##name##_x, u, op_##name, GET_HX, 0, result, set_x(cpu, i->reg, r))                         \
    AVX_FLOAT_Y(v##name##_y, y, op_##name, GET_HY, source, 0, result,                                        \
                set_x(cpu, i->reg, (v128){r.low[0], r.high[0]}))

NARROW(cvtpd2ps, RESULT_PS)
NARROW(cvtpd2dq, RESULT_NONE)
NARROW(cvttpd2dq, RESULT_NONE)

AVX_FLOAT_SCALAR(vcvtss2sd, d, op_cvtss2sd, 0, RESULT_NONE)
AVX_FLOAT_SCALAR(vcvtsd2ss, q, op_cvtsd2ss, 0, RESULT_SS)

/* --- To a general register of 32 or 64 bits ------------------------------------------------------ */

/* The bodies by VEX.W, and those that pick one. */
#define EITHER(name, form)                                                                                   \
    BODY(name##_##form)                                                                                      \
    {                                                                                                        \
        if (i->osize == SIZE_Q)                                                                              \
            name##64_##form(cpu, i);                                                                         \
        else                                                                                                 \
            name##32_##form(cpu, i);                                                                         \
    }

#define TO_GPR(name, kind)                                                                                   \
    AVX_FLOAT_X(v##name##32, kind, op_##name##32, source, 0, RESULT_NONE,                                    \
                set32(cpu, i->reg, (uint32_t)r[0]))                                                          \
    AVX_FLOAT_X(v##name##64, kind, op_##name##64, source, 0, RESULT_NONE, set64(cpu, i->reg, r[0]))          \
    EITHER(v##name, r)                                                                                       \
    EITHER(v##name, m)                                                                                       \
    EITHER(v##name, g)

TO_GPR(cvtss2si, d)
TO_GPR(cvttss2si, d)
TO_GPR(cvtsd2si, q)
TO_GPR(cvttsd2si, q)

/* --- From a general register or memory of 32 or 64 bits ------------------------------------------ */

#define FROM_GPR(name, bits, kind)                                                                           \
    FLOAT_TRY(name##bits, op_##name##bits, GET_HX, 0, RESULT_NONE, set_x(cpu, i->reg, r))                    \
    BODY(v##name##bits##_r)                                                                                  \
    {                                                                                                        \
        avx_check(cpu, i);                                                                                   \
        name##bits##_try(cpu, i, low64(get##bits(cpu, i->rm)));                                              \
    }                                                                                                        \
    GENERAL_BODY(v##name##bits##_g)                                                                          \
    {                                                                                                        \
        avx_check(cpu, i);                                                                                   \
        name##bits##_slow(cpu, i, load_##kind(cpu, i));                                                      \
    }                                                                                                        \
    BODY(v##name##bits##_m)                                                                                  \
    {                                                                                                        \
        const void *host = tlb_read_host(cpu, ea64(cpu, i), BYTES_##kind);                                   \
                                                                                                             \
        if (unlikely(!host || avx_blocked(cpu))) {                                                           \
            v##name##bits##_g(cpu, i);                                                                       \
            return;                                                                                          \
        }                                                                                                    \
        name##bits##_try(cpu, i, host_get_##kind(host));                                                     \
    }

FROM_GPR(cvtsi2ss, 32, d)
FROM_GPR(cvtsi2ss, 64, q)
FROM_GPR(cvtsi2sd, 32, d)
FROM_GPR(cvtsi2sd, 64, q)

EITHER(vcvtsi2ss, r)
EITHER(vcvtsi2ss, m)
EITHER(vcvtsi2ss, g)
EITHER(vcvtsi2sd, r)
EITHER(vcvtsi2sd, m)
EITHER(vcvtsi2sd, g)
