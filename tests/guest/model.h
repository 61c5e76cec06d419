/*
 * model.h - arithmetic as the manual describes it, a bit at a time, to compare a CPU's with; and values worth
 * trying.
 */
#ifndef GUEST_MODEL_H
#define GUEST_MODEL_H

#include "lib.h"

static const uint64_t edges[] = {
    0,
    1,
    2,
    9,
    0x0F,
    0x10,
    0x7F,
    0x80,
    0xFF,
    0x100,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    0x100000000,
    0x7FFFFFFFFFFFFFFF,
    0x8000000000000000,
    0xFFFFFFFFFFFFFFFF,
    0x5555555555555555,
    0x0123456789ABCDEF,
};
#define EDGES (sizeof edges / sizeof edges[0])

static inline uint64_t mask(unsigned width)
{
    return width == 64 ? ~0ull : (1ull << width) - 1;
}

static inline bool top(uint64_t value, unsigned width)
{
    return value >> (width - 1) & 1;
}

static inline uint64_t sign_extend(uint64_t value, unsigned width)
{
    return top(value, width) ? value | ~mask(width) : value & mask(width);
}

/* What a register holds after `result` was written to its low `width` bits. */
static inline uint64_t merge(uint64_t old, uint64_t result, unsigned width)
{
    return width >= 32 ? result & mask(width) : (old & ~mask(width)) | (result & mask(width));
}

static inline uint64_t flags_szp(uint64_t result, unsigned width)
{
    uint64_t flags = 0;
    unsigned ones = 0;
    for (unsigned i = 0; i < 8; i++)
        ones += result >> i & 1;
    if (!(ones & 1))
        flags |= FLAG_PF;
    if (!(result & mask(width)))
        flags |= FLAG_ZF;
    if (top(result, width))
        flags |= FLAG_SF;
    return flags;
}

/* Adds bit by bit; the carries out of bit 3 and of the last two bits are AF, CF and OF. */
static inline uint64_t model_add(uint64_t a, uint64_t b, unsigned carry, unsigned width, uint64_t *flags)
{
    uint64_t result = 0;
    unsigned before_last = 0;
    *flags = 0;
    for (unsigned i = 0; i < width; i++) {
        unsigned x = a >> i & 1, y = b >> i & 1;
        result |= (uint64_t)(x ^ y ^ carry) << i;
        before_last = carry;
        carry = (x & y) | (x & carry) | (y & carry);
        if (i == 3 && carry)
            *flags |= FLAG_AF;
    }
    *flags |= flags_szp(result, width) | (carry ? FLAG_CF : 0) | (carry != before_last ? FLAG_OF : 0);
    return result;
}

/* a - b - borrow is a + ~b + !borrow, with AF and CF inverted. */
static inline uint64_t model_sub(uint64_t a, uint64_t b, unsigned borrow, unsigned width, uint64_t *flags)
{
    uint64_t result = model_add(a, ~b, !borrow, width, flags);
    *flags ^= FLAG_AF | FLAG_CF;
    return result;
}

#endif
