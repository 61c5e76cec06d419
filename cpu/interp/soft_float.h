/*
 * soft_float.h - IEEE arithmetic in integers, with MXCSR's modes and flags: what the host can't be asked for.
 *
 * A struct soft_float takes the guest's MXCSR in and collects the exception flags that the operations raise.
 * Masked exceptions give the manual's results (SDM 1 4.9.1); with an unmasked overflow or underflow the value
 * returned means nothing, and PE tells whether rounding with an unlimited exponent would have been inexact
 * (SDM 1 4.9.1.4, 4.9.1.5). soft_finish() then raises or commits. Tininess is found after rounding. A NaN
 * operand is returned quiet, the first one in the order of the arguments, and keeps DE from being raised.
 */
#ifndef CPU_INTERP_SOFT_FLOAT_H
#define CPU_INTERP_SOFT_FLOAT_H

#include "cpu/fpu.h"

struct soft_float {
    unsigned control; /* MXCSR; its flags don't matter */
    unsigned flags;   /* MXCSR_FLAGS raised so far */
};

/* What soft_fma negates; never a NaN. */
#define NEGATE_PRODUCT 1u
#define NEGATE_ADDEND  2u

/* x * y + z, rounded once. */
uint32_t soft_fma32(struct soft_float *f, uint32_t x, uint32_t y, uint32_t z, unsigned negate);
uint64_t soft_fma64(struct soft_float *f, uint64_t x, uint64_t y, uint64_t z, unsigned negate);

uint32_t soft_add32(struct soft_float *f, uint32_t a, uint32_t b);
uint64_t soft_add64(struct soft_float *f, uint64_t a, uint64_t b);
uint32_t soft_mul32(struct soft_float *f, uint32_t a, uint32_t b);
uint64_t soft_mul64(struct soft_float *f, uint64_t a, uint64_t b);

/* To an integral value in the same format, by the rounding mode in `control`; raises IE and PE only. */
uint32_t soft_round32(struct soft_float *f, uint32_t v);
uint64_t soft_round64(struct soft_float *f, uint64_t v);

/* Between half and single precision. Halves know neither DAZ nor FTZ, and their denormals raise no DE. */
uint32_t soft_from_half(struct soft_float *f, uint16_t v);
uint16_t soft_to_half(struct soft_float *f, uint32_t v);

#endif
