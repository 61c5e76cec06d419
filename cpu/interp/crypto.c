/*
 * crypto.c - AES, PCLMULQDQ, SHA and GFNI instructions, legacy and VEX-encoded.
 */
#include "cpu/interp/avx.h"
#include "cpu/interp/crypto.h"

/* --- Legacy -------------------------------------------------------------------------------------- */

/* `expr` of `a`, the destination, `source`, in memory of this kind, and `imm`. */
#define LEGACY(name, kind, expr)                                                                             \
    DO(name)                                                                                                 \
    {                                                                                                        \
        v128 a = *xmm(cpu, i->reg);                                                                          \
        unsigned imm = IMM8;                                                                                 \
                                                                                                             \
        (void)a, (void)imm;                                                                                  \
        *xmm(cpu, i->reg) = expr;                                                                            \
    }                                                                                                        \
    SSE_BODIES(name, kind)

LEGACY(aesenc, x, op_aesenc(a, source))
LEGACY(aesenclast, x, op_aesenclast(a, source))
LEGACY(aesdec, x, op_aesdec(a, source))
LEGACY(aesdeclast, x, op_aesdeclast(a, source))
LEGACY(aesimc, x, op_aesimc(source))
LEGACY(aeskeygenassist, x, op_aeskeygenassist(source, imm))
LEGACY(pclmulqdq, x, op_pclmulqdq(a, source, imm))
LEGACY(gf2p8mulb, x, op_gf2p8mulb(a, source))
LEGACY(gf2p8affineqb, x, op_gf2p8affineqb(a, source, imm))
LEGACY(gf2p8affineinvqb, x, op_gf2p8affineinvqb(a, source, imm))

/* Intel's processors want their memory operand aligned (SDM 2A table 2-21), AMD's take it as it is. */
LEGACY(sha1rnds4, u, portable_sha1rnds4(a, source, imm))
LEGACY(sha1nexte, u, portable_sha1nexte(a, source))
LEGACY(sha1msg1, u, portable_sha1msg1(a, source))
LEGACY(sha1msg2, u, portable_sha1msg2(a, source))
LEGACY(sha256rnds2, u, portable_sha256rnds2(a, source, *xmm(cpu, XMM_OFFSET(0))))
LEGACY(sha256msg1, u, portable_sha256msg1(a, source))
LEGACY(sha256msg2, u, portable_sha256msg2(a, source))

/* --- VEX ----------------------------------------------------------------------------------------- */

AVX_BODIES(vaesenc, op_aesenc(a, b))
AVX_BODIES(vaesenclast, op_aesenclast(a, b))
AVX_BODIES(vaesdec, op_aesdec(a, b))
AVX_BODIES(vaesdeclast, op_aesdeclast(a, b))
AVX_X_BODIES(vaesimc, u, op_aesimc(b))
AVX_X_BODIES(vaeskeygenassist, u, op_aeskeygenassist(b, imm))
AVX_BODIES(vpclmulqdq, op_pclmulqdq(a, b, imm))
AVX_BODIES(vgf2p8mulb, op_gf2p8mulb(a, b))
AVX_BODIES(vgf2p8affineqb, op_gf2p8affineqb(a, b, imm))
AVX_BODIES(vgf2p8affineinvqb, op_gf2p8affineinvqb(a, b, imm))
