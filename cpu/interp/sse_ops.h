/*
 * sse_ops.h - the operations of SSE and MMX instructions on register values, by the host's own instructions.
 *
 * OP: integer operations, pure. FLOAT_OP: those that look at and set MXCSR; volatile, so that they stay
 * between the accesses to the host's MXCSR around them. FLOAT_PURE: approximations that do neither.
 *
 * Results of RCPPS and RSQRTPS are the host's: the architecture only bounds their error.
 */
#ifndef CPU_INTERP_SSE_OPS_H
#define CPU_INTERP_SSE_OPS_H

#include "cpu/internal.h"
#include "cpu/interp/vec.h"

#if OXBOW_HOST_SSE

#define OP(name)                                                                                             \
    ALWAYS_INLINE v128 op_##name(v128 a, v128 b)                                                             \
    {                                                                                                        \
        __asm__(#name " %1, %0" : "+x"(a) : "x"(b));                                                         \
        return a;                                                                                            \
    }
#define FLOAT_PURE(name) OP(name)
#define FLOAT_OP(name)                                                                                       \
    static inline v128 op_##name(v128 a, v128 b, unsigned imm)                                               \
    {                                                                                                        \
        (void)imm;                                                                                           \
        __asm__ volatile(#name " %1, %0" : "+x"(a) : "x"(b));                                                \
        return a;                                                                                            \
    }

/* CMPPS and its kin by predicate. */
#define CMP_OP(name)                                                                                         \
    static inline v128 op_##name(v128 a, v128 b, unsigned imm)                                               \
    {                                                                                                        \
        switch (imm & 7) {                                                                                   \
            CMP_CASE(name, 0)                                                                                \
            CMP_CASE(name, 1)                                                                                \
            CMP_CASE(name, 2)                                                                                \
            CMP_CASE(name, 3)                                                                                \
            CMP_CASE(name, 4)                                                                                \
            CMP_CASE(name, 5)                                                                                \
            CMP_CASE(name, 6)                                                                                \
            CMP_CASE(name, 7)                                                                                \
        }                                                                                                    \
        return a;                                                                                            \
    }
#define CMP_CASE(name, n)                                                                                    \
    case n:                                                                                                  \
        __asm__ volatile(#name " $" #n ", %1, %0" : "+x"(a) : "x"(b));                                       \
        break;

/* COMISS and its kin: the flags they leave, in element 0. */
#define COMPARE_OP(name)                                                                                     \
    static inline v128 op_##name(v128 a, v128 b, unsigned imm)                                               \
    {                                                                                                        \
        bool z, p, c;                                                                                        \
                                                                                                             \
        (void)imm;                                                                                           \
        __asm__ volatile(#name " %4, %3" : "=@ccz"(z), "=@ccp"(p), "=@ccc"(c) : "x"(a), "x"(b));             \
        return low64((z ? FLAG_ZF : 0) | (p ? FLAG_PF : 0) | (c ? FLAG_CF : 0));                             \
    }

/* XMM to general register, in element 0; general register (b's element 0) to XMM. */
#define TO_GPR_OP(name, insn, type)                                                                          \
    static inline v128 op_##name(v128 a, v128 b, unsigned imm)                                               \
    {                                                                                                        \
        type r;                                                                                              \
                                                                                                             \
        (void)a;                                                                                             \
        (void)imm;                                                                                           \
        __asm__ volatile(insn " %1, %0" : "=r"(r) : "x"(b));                                                 \
        return low64(r);                                                                                     \
    }
#define FROM_GPR_OP(name, insn, type)                                                                        \
    static inline v128 op_##name(v128 a, v128 b, unsigned imm)                                               \
    {                                                                                                        \
        (void)imm;                                                                                           \
        __asm__ volatile(insn " %1, %0" : "+x"(a) : "r"((type)b[0]));                                        \
        return a;                                                                                            \
    }
/* Sign bits or byte mask to a general register. */
#define MASK_OP(name)                                                                                        \
    ALWAYS_INLINE uint32_t op_##name(v128 a)                                                                 \
    {                                                                                                        \
        uint32_t r;                                                                                          \
                                                                                                             \
        __asm__(#name " %1, %0" : "=r"(r) : "x"(a));                                                         \
        return r;                                                                                            \
    }

MASK_OP(pmovmskb)
MASK_OP(movmskps)
MASK_OP(movmskpd)

CMP_OP(cmpps)
CMP_OP(cmpss)
CMP_OP(cmppd)
CMP_OP(cmpsd)
COMPARE_OP(comiss)
COMPARE_OP(comisd)
COMPARE_OP(ucomiss)
COMPARE_OP(ucomisd)
TO_GPR_OP(cvtss2si32, "cvtss2si", uint32_t)
TO_GPR_OP(cvtss2si64, "cvtss2si", uint64_t)
TO_GPR_OP(cvtsd2si32, "cvtsd2si", uint32_t)
TO_GPR_OP(cvtsd2si64, "cvtsd2si", uint64_t)
TO_GPR_OP(cvttss2si32, "cvttss2si", uint32_t)
TO_GPR_OP(cvttss2si64, "cvttss2si", uint64_t)
TO_GPR_OP(cvttsd2si32, "cvttsd2si", uint32_t)
TO_GPR_OP(cvttsd2si64, "cvttsd2si", uint64_t)
FROM_GPR_OP(cvtsi2ss32, "cvtsi2ssl", uint32_t)
FROM_GPR_OP(cvtsi2ss64, "cvtsi2ssq", uint64_t)
FROM_GPR_OP(cvtsi2sd32, "cvtsi2sdl", uint32_t)
FROM_GPR_OP(cvtsi2sd64, "cvtsi2sdq", uint64_t)

#else
#include "cpu/interp/sse_portable.h"
#endif

/*
 * The tables. Each instruction that is nothing but its operation is a row here and needs no body by hand.
 */

/* clang-format off */
/* name, kind of the source in memory, what the result holds */
#define FLOAT_ARITHMETIC(X)                                                                                 \
    X(addps, x, RESULT_PS)    X(addss, d, RESULT_SS)    X(addpd, x, RESULT_PD)    X(addsd, q, RESULT_SD)    \
    X(subps, x, RESULT_PS)    X(subss, d, RESULT_SS)    X(subpd, x, RESULT_PD)    X(subsd, q, RESULT_SD)    \
    X(mulps, x, RESULT_PS)    X(mulss, d, RESULT_SS)    X(mulpd, x, RESULT_PD)    X(mulsd, q, RESULT_SD)    \
    X(divps, x, RESULT_PS)    X(divss, d, RESULT_SS)    X(divpd, x, RESULT_PD)    X(divsd, q, RESULT_SD)    \
    X(sqrtps, x, RESULT_NONE) X(sqrtss, d, RESULT_NONE) X(sqrtpd, x, RESULT_NONE) X(sqrtsd, q, RESULT_NONE) \
    X(minps, x, RESULT_NONE)  X(minss, d, RESULT_NONE)  X(minpd, x, RESULT_NONE)  X(minsd, q, RESULT_NONE)  \
    X(maxps, x, RESULT_NONE)  X(maxss, d, RESULT_NONE)  X(maxpd, x, RESULT_NONE)  X(maxsd, q, RESULT_NONE)  \
    X(haddps, x, RESULT_PS)   X(haddpd, x, RESULT_PD)   X(hsubps, x, RESULT_PS)   X(hsubpd, x, RESULT_PD)   \
    X(addsubps, x, RESULT_PS) X(addsubpd, x, RESULT_PD)

#define FLOAT_CONVERT(X)                                                                                    \
    X(cvtps2pd, q, RESULT_NONE)  X(cvtpd2ps, x, RESULT_PS)                                                  \
    X(cvtss2sd, d, RESULT_NONE)  X(cvtsd2ss, q, RESULT_SS)                                                  \
    X(cvtdq2ps, x, RESULT_NONE)  X(cvtps2dq, x, RESULT_NONE)  X(cvttps2dq, x, RESULT_NONE)                  \
    X(cvtdq2pd, q, RESULT_NONE)  X(cvtpd2dq, x, RESULT_NONE)  X(cvttpd2dq, x, RESULT_NONE)

/* By the count that the low half of the second operand is. */
#define INTEGER_SHIFTS(X)                                                                                   \
    X(psllw) X(pslld) X(psllq) X(psrlw) X(psrld) X(psrlq) X(psraw) X(psrad)

/* Lane by lane: the MMX form is the low half of the XMM one, of shifts too. */
#define INTEGER_LANES(X)                                                                                    \
    X(paddb) X(paddw) X(paddd) X(paddq) X(paddsb) X(paddsw) X(paddusb) X(paddusw)                           \
    X(psubb) X(psubw) X(psubd) X(psubq) X(psubsb) X(psubsw) X(psubusb) X(psubusw)                           \
    X(pand) X(pandn) X(por) X(pxor)                                                                         \
    X(pcmpeqb) X(pcmpeqw) X(pcmpeqd) X(pcmpgtb) X(pcmpgtw) X(pcmpgtd)                                       \
    X(pmullw) X(pmulhw) X(pmulhuw) X(pmuludq) X(pmaddwd) X(psadbw) X(pavgb) X(pavgw)                        \
    X(pminub) X(pminsw) X(pmaxub) X(pmaxsw)                                                                 \
    X(psignb) X(psignw) X(psignd) X(pmulhrsw) X(pabsb) X(pabsw) X(pabsd) X(pmaddubsw)

/* Elements from both sources in turn: the MMX form works on the two operands joined in one register. */
#define INTEGER_PAIRS(X)                                                                                    \
    X(packsswb) X(packssdw) X(packuswb)                                                                     \
    X(phaddw) X(phaddd) X(phaddsw) X(phsubw) X(phsubd) X(phsubsw)

#define INTEGER_XMM_ONLY(X)                                                                                 \
    X(punpcklbw) X(punpcklwd) X(punpckldq) X(punpcklqdq)                                                    \
    X(punpckhbw) X(punpckhwd) X(punpckhdq) X(punpckhqdq)                                                    \
    X(pshufb)

#define FLOAT_UNPACK(X) X(unpcklps) X(unpckhps) X(unpcklpd) X(unpckhpd)
/* clang-format on */

#if OXBOW_HOST_SSE
INTEGER_LANES(OP)
INTEGER_SHIFTS(OP)
INTEGER_PAIRS(OP)
INTEGER_XMM_ONLY(OP)
FLOAT_UNPACK(OP)
OP(movss)
OP(movsd)
FLOAT_PURE(rcpps)
FLOAT_PURE(rcpss)
FLOAT_PURE(rsqrtps)
FLOAT_PURE(rsqrtss)
#define FLOAT_OP_ROW(name, kind, result) FLOAT_OP(name)
FLOAT_ARITHMETIC(FLOAT_OP_ROW)
FLOAT_CONVERT(FLOAT_OP_ROW)
#undef FLOAT_OP_ROW
#endif

#endif
