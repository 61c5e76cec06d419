/*
 * sse_integer.c - SSE2 and SSSE3 integer operations on XMM registers, shifts by immediates, shuffles, inserts
 * and logic.
 */
#include "cpu/interp/sse.h"

#define PLAIN(name)                                                                                          \
    DO(name)                                                                                                 \
    {                                                                                                        \
        v128 *to = xmm(cpu, i->reg);                                                                         \
                                                                                                             \
        *to = op_##name(*to, source);                                                                        \
    }                                                                                                        \
    SSE_BODIES(name, x)

INTEGER_LANES(PLAIN)
INTEGER_SHIFTS(PLAIN)
INTEGER_PAIRS(PLAIN)
INTEGER_XMM_ONLY(PLAIN)
FLOAT_UNPACK(PLAIN)

/* --- Shifts by an immediate ---------------------------------------------------------------------- */

#define SHIFT_IMMEDIATE(name)                                                                                \
    BODY(name##_imm)                                                                                         \
    {                                                                                                        \
        v128 *at = xmm(cpu, i->rm);                                                                          \
                                                                                                             \
        sse_check(cpu, i);                                                                                   \
        *at = op_##name(*at, low64((uint8_t)i->imm));                                                        \
        NEXT;                                                                                                \
    }

SHIFT_IMMEDIATE(psllw)
SHIFT_IMMEDIATE(pslld)
SHIFT_IMMEDIATE(psllq)
SHIFT_IMMEDIATE(psrlw)
SHIFT_IMMEDIATE(psrld)
SHIFT_IMMEDIATE(psrlq)
SHIFT_IMMEDIATE(psraw)
SHIFT_IMMEDIATE(psrad)

BODY(psrldq_imm)
{
    v128 *at = xmm(cpu, i->rm);

    sse_check(cpu, i);
    *at = extract_bytes(low64(0), *at, (uint8_t)i->imm);
    NEXT;
}

BODY(pslldq_imm)
{
    v128 *at = xmm(cpu, i->rm);
    unsigned count = (uint8_t)i->imm;

    sse_check(cpu, i);
    *at = count > 15 ? low64(0) : extract_bytes(*at, low64(0), 16 - count);
    NEXT;
}

DO(palignr)
{
    v128 *to = xmm(cpu, i->reg);

    *to = extract_bytes(*to, source, (uint8_t)i->imm);
}
SSE_BODIES(palignr, x)

/* --- Shuffles by an immediate -------------------------------------------------------------------- */

DO(pshufd)
{
    *xmm(cpu, i->reg) = shuffle_dwords(source, source, (unsigned)i->imm);
}
SSE_BODIES(pshufd, x)

DO(pshuflw)
{
    *xmm(cpu, i->reg) = (v128){shuffle_words(source[0], (unsigned)i->imm), source[1]};
}
SSE_BODIES(pshuflw, x)

DO(pshufhw)
{
    *xmm(cpu, i->reg) = (v128){source[0], shuffle_words(source[1], (unsigned)i->imm)};
}
SSE_BODIES(pshufhw, x)

DO(shufps)
{
    *xmm(cpu, i->reg) = shuffle_dwords(*xmm(cpu, i->reg), source, (unsigned)i->imm);
}
SSE_BODIES(shufps, x)

DO(shufpd)
{
    v128 a = *xmm(cpu, i->reg);

    *xmm(cpu, i->reg) = (v128){i->imm & 1 ? a[1] : a[0], i->imm & 2 ? source[1] : source[0]};
}
SSE_BODIES(shufpd, x)

/* --- Words in and out ---------------------------------------------------------------------------- */

static inline void insert_word(struct cpu *cpu, const struct insn *i, uint16_t word)
{
    v128 *to = xmm(cpu, i->reg);
    unsigned n = i->imm & 7, shift = 16 * (n & 3);
    uint64_t low = (*to)[0], high = (*to)[1];

    if (n < 4)
        low = (low & ~(0xffffull << shift)) | (uint64_t)word << shift;
    else
        high = (high & ~(0xffffull << shift)) | (uint64_t)word << shift;
    *to = (v128){low, high};
}

BODY(pinsrw_r)
{
    sse_check(cpu, i);
    insert_word(cpu, i, get16(cpu, i->rm));
    NEXT;
}

BODY(pinsrw_m)
{
    sse_check(cpu, i);
    insert_word(cpu, i, ld16(cpu, i, i->seg, ea64(cpu, i)));
    NEXT;
}

BODY(pinsrw_g)
{
    sse_check(cpu, i);
    insert_word(cpu, i, (uint16_t)mem_read(cpu, i, 2));
    NEXT;
}

BODY(pextrw)
{
    sse_check(cpu, i);
    set32(cpu, i->reg, get16(cpu, (uint16_t)(i->rm + 2 * (i->imm & 7))));
    NEXT;
}
