/*
 * crypto.h - the operations of AES, PCLMULQDQ, SHA and GFNI instructions on register values.
 *
 * portable_NAME is the operation in C. op_NAME runs the host's own instruction where there is one, found out
 * when it runs, and else portable_NAME. Operands are as in the manual: the first is the destination of the
 * legacy form.
 */
#ifndef CPU_INTERP_CRYPTO_H
#define CPU_INTERP_CRYPTO_H

#include "cpu/interp/vec.h"

v128 portable_aesenc(v128 state, v128 key);
v128 portable_aesenclast(v128 state, v128 key);
v128 portable_aesdec(v128 state, v128 key);
v128 portable_aesdeclast(v128 state, v128 key);
v128 portable_aesimc(v128 key);
v128 portable_aeskeygenassist(v128 key, unsigned imm);
/* `imm` bit 0 picks the quadword of `a`, bit 4 that of `b`. */
v128 portable_pclmulqdq(v128 a, v128 b, unsigned imm);
/* The low two bits of `imm` pick the function and constant. */
v128 portable_sha1rnds4(v128 state, v128 words, unsigned imm);
v128 portable_sha1nexte(v128 state, v128 words);
v128 portable_sha1msg1(v128 a, v128 b);
v128 portable_sha1msg2(v128 a, v128 b);
v128 portable_sha256rnds2(v128 cdgh, v128 abef, v128 wk);
v128 portable_sha256msg1(v128 a, v128 b);
v128 portable_sha256msg2(v128 a, v128 b);
v128 portable_gf2p8mulb(v128 a, v128 b);
/* The bytes of `a` times the matrix in the same half of `b`, and `imm` added. */
v128 portable_gf2p8affineqb(v128 a, v128 b, unsigned imm);
v128 portable_gf2p8affineinvqb(v128 a, v128 b, unsigned imm);

#if OXBOW_HOST_SSE
#define HOST_OP(feature, text)                                                                               \
    if (__builtin_cpu_supports(feature)) {                                                                   \
        __asm__(text : "+x"(a) : "x"(b));                                                                    \
        return a;                                                                                            \
    }
#else
#define HOST_OP(feature, text)
#endif

#define CRYPTO_OP(name, feature)                                                                             \
    ALWAYS_INLINE v128 op_##name(v128 a, v128 b)                                                             \
    {                                                                                                        \
        HOST_OP(feature, #name " %1, %0")                                                                    \
        return portable_##name(a, b);                                                                        \
    }

CRYPTO_OP(aesenc, "aes")
CRYPTO_OP(aesenclast, "aes")
CRYPTO_OP(aesdec, "aes")
CRYPTO_OP(aesdeclast, "aes")
CRYPTO_OP(gf2p8mulb, "gfni")

#undef CRYPTO_OP

ALWAYS_INLINE v128 op_aesimc(v128 b)
{
    v128 a = b;

    HOST_OP("aes", "aesimc %1, %0")
    return portable_aesimc(a);
}

/* The host's forms take only a constant: what is variable is applied outside. */

static inline v128 op_aeskeygenassist_0(v128 b)
{
    v128 a = b;

    HOST_OP("aes", "aeskeygenassist $0, %1, %0")
    return portable_aeskeygenassist(a, 0);
}

ALWAYS_INLINE v128 op_aeskeygenassist(v128 b, unsigned imm)
{
    uint64_t round = (uint64_t)(imm & 0xff) << 32;

    return op_aeskeygenassist_0(b) ^ (v128) { round, round };
}

static inline v128 op_pclmullqlqdq(v128 a, v128 b)
{
    HOST_OP("pclmul", "pclmulqdq $0, %1, %0")
    return portable_pclmulqdq(a, b, 0);
}

ALWAYS_INLINE v128 op_pclmulqdq(v128 a, v128 b, unsigned imm)
{
    return op_pclmullqlqdq(low64(imm & 1 ? a[1] : a[0]), low64(imm & 16 ? b[1] : b[0]));
}

#define GF2P8_OP(name)                                                                                       \
    static inline v128 op_##name##_0(v128 a, v128 b)                                                         \
    {                                                                                                        \
        HOST_OP("gfni", #name " $0, %1, %0")                                                                 \
        return portable_##name(a, b, 0);                                                                     \
    }                                                                                                        \
    ALWAYS_INLINE v128 op_##name(v128 a, v128 b, unsigned imm)                                               \
    {                                                                                                        \
        uint64_t add = (imm & 0xff) * 0x0101010101010101ull;                                                 \
                                                                                                             \
        return op_##name##_0(a, b) ^ (v128) { add, add };                                                    \
    }

GF2P8_OP(gf2p8affineqb)
GF2P8_OP(gf2p8affineinvqb)

#undef GF2P8_OP
#undef HOST_OP

#endif
