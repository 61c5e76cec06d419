/*
 * vec.h - 128-bit values, and what the operations on them are.
 */
#ifndef CPU_INTERP_VEC_H
#define CPU_INTERP_VEC_H

#include <stdbool.h>
#include <stdint.h>

/* Whether the host's own SSE runs them, or C (which OXBOW_PORTABLE_SSE asks for on any host). */
#if defined(__x86_64__) && !defined(OXBOW_PORTABLE_SSE)
#define OXBOW_HOST_SSE 1
#else
#define OXBOW_HOST_SSE 0
#endif

typedef uint64_t v128 __attribute__((vector_size(16), may_alias));
typedef uint64_t v128_any __attribute__((vector_size(16), may_alias, aligned(1)));

/* The same by its elements. */
union vec {
    v128 v;
    uint8_t u8[16];
    int8_t i8[16];
    uint16_t u16[8];
    int16_t i16[8];
    uint32_t u32[4];
    int32_t i32[4];
    uint64_t u64[2];
    int64_t i64[2];
    float f32[4];
    double f64[2];
};

#define ALWAYS_INLINE static inline __attribute__((always_inline))

ALWAYS_INLINE v128 low64(uint64_t value)
{
    return (v128){value, 0};
}

/* A floating-point operation under the host's MXCSR; what has no `imm` or `a` ignores them. */
typedef v128 sse_op(v128 a, v128 b, unsigned imm);

#endif
