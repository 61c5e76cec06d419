/*
 * mmx.c - MMX instructions, with those that SSE, SSE2 and SSSE3 added to them.
 *
 * They run as XMM operations on the low halves: lane by lane alike (INTEGER_LANES), or with both operands
 * joined in one register where the instruction takes elements from one and then the other (INTEGER_PAIRS).
 */
#include "cpu/interp/sse.h"

#define LANES(name)                                                                                          \
    DO(name##_mmx)                                                                                           \
    {                                                                                                        \
        mmx_set(cpu, i->reg, op_##name(low64(get64(cpu, i->reg)), source)[0]);                               \
    }                                                                                                        \
    MMX_BODIES(name##_mmx, q)

INTEGER_LANES(LANES)
INTEGER_SHIFTS(LANES)

#define PAIRS(name)                                                                                          \
    DO(name##_mmx)                                                                                           \
    {                                                                                                        \
        v128 both = {get64(cpu, i->reg), source[0]};                                                         \
                                                                                                             \
        mmx_set(cpu, i->reg, op_##name(both, both)[0]);                                                      \
    }                                                                                                        \
    MMX_BODIES(name##_mmx, q)

INTEGER_PAIRS(PAIRS)

/* The low unpack of two XMM registers has the MMX low unpack in its low half and the high one in its high
 * half. */
#define UNPACK(name, op, half, kind)                                                                         \
    DO(name##_mmx)                                                                                           \
    {                                                                                                        \
        mmx_set(cpu, i->reg, op_##op(low64(get64(cpu, i->reg)), source)[half]);                              \
    }                                                                                                        \
    MMX_BODIES(name##_mmx, kind)

UNPACK(punpcklbw, punpcklbw, 0, d) /* reads 32 bits of memory only */
UNPACK(punpcklwd, punpcklwd, 0, d)
UNPACK(punpckldq, punpckldq, 0, d)
UNPACK(punpckhbw, punpcklbw, 1, q)
UNPACK(punpckhwd, punpcklwd, 1, q)
UNPACK(punpckhdq, punpckldq, 1, q)

#define SHIFT_IMMEDIATE(name)                                                                                \
    BODY(name##_mmx_imm)                                                                                     \
    {                                                                                                        \
        mmx_check(cpu, i);                                                                                   \
        mmx_enter(cpu);                                                                                      \
        mmx_set(cpu, i->rm, op_##name(low64(get64(cpu, i->rm)), low64((uint8_t)i->imm))[0]);                 \
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

/* --- Shuffles, inserts, masks -------------------------------------------------------------------- */

DO(pshufb_mmx)
{
    /* The index has three bits here; the "clear" bit stays. */
    mmx_set(cpu, i->reg, op_pshufb(low64(get64(cpu, i->reg)), source & 0x8787878787878787)[0]);
}
MMX_BODIES(pshufb_mmx, q)

DO(palignr_mmx)
{
    unsigned __int128 both = (unsigned __int128)get64(cpu, i->reg) << 64 | source[0];
    unsigned count = (uint8_t)i->imm;

    mmx_set(cpu, i->reg, count > 15 ? 0 : (uint64_t)(both >> 8 * count));
}
MMX_BODIES(palignr_mmx, q)

DO(pshufw_mmx)
{
    mmx_set(cpu, i->reg, shuffle_words(source[0], (unsigned)i->imm));
}
MMX_BODIES(pshufw_mmx, q)

static inline void insert_word(struct cpu *cpu, const struct insn *i, uint16_t word)
{
    unsigned shift = 16 * (i->imm & 3);

    mmx_enter(cpu);
    mmx_set(cpu, i->reg, (get64(cpu, i->reg) & ~(0xffffull << shift)) | (uint64_t)word << shift);
}

BODY(pinsrw_mmx_r)
{
    mmx_check(cpu, i);
    insert_word(cpu, i, get16(cpu, i->rm));
    NEXT;
}

BODY(pinsrw_mmx_m)
{
    mmx_check(cpu, i);
    insert_word(cpu, i, ld16(cpu, i, i->seg, ea64(cpu, i)));
    NEXT;
}

GENERAL_BODY(pinsrw_mmx_g)
{
    mmx_check(cpu, i);
    insert_word(cpu, i, (uint16_t)mem_read(cpu, i, 2));
    NEXT;
}

BODY(pextrw_mmx)
{
    mmx_check(cpu, i);
    mmx_enter(cpu);
    set32(cpu, i->reg, (uint16_t)(get64(cpu, i->rm) >> 16 * (i->imm & 3)));
    NEXT;
}

BODY(pmovmskb_mmx)
{
    mmx_check(cpu, i);
    mmx_enter(cpu);
    set32(cpu, i->reg, op_pmovmskb(low64(get64(cpu, i->rm))));
    NEXT;
}

BODY(maskmovq)
{
    mmx_check(cpu, i);
    sse_masked_store(cpu, i, low64(get64(cpu, i->reg)), op_pmovmskb(low64(get64(cpu, i->rm))), 8);
    mmx_enter(cpu);
    NEXT;
}

/* --- Moves --------------------------------------------------------------------------------------- */

DO(movq_mmx_load)
{
    mmx_set(cpu, i->reg, source[0]);
}
MMX_BODIES(movq_mmx_load, q)

BODY(movq_mmx_store_r)
{
    mmx_check(cpu, i);
    mmx_enter(cpu);
    mmx_set(cpu, i->rm, get64(cpu, i->reg));
    NEXT;
}
MMX_STORE_BODIES(movq_mmx_store, q, low64(get64(cpu, i->reg))) /* MOVNTQ too */

/* MOVD and, with REX.W, MOVQ between E and an MMX register. */
BODY(movd_mmx_load_r)
{
    mmx_check(cpu, i);
    mmx_enter(cpu);
    mmx_set(cpu, i->reg, i->osize == SIZE_Q ? get64(cpu, i->rm) : get32(cpu, i->rm));
    NEXT;
}

GENERAL_BODY(movd_mmx_load_g)
{
    uint64_t value;

    mmx_check(cpu, i);
    value = mem_read(cpu, i, i->osize == SIZE_Q ? 8 : 4);
    mmx_enter(cpu);
    mmx_set(cpu, i->reg, value);
    NEXT;
}

BODY(movd_mmx_load_m)
{
    movd_mmx_load_g(cpu, i);
}

BODY(movd_mmx_store_r)
{
    mmx_check(cpu, i);
    mmx_enter(cpu);
    if (i->osize == SIZE_Q)
        set64(cpu, i->rm, get64(cpu, i->reg));
    else
        set32(cpu, i->rm, get32(cpu, i->reg));
    NEXT;
}

GENERAL_BODY(movd_mmx_store_g)
{
    mmx_check(cpu, i);
    mem_write(cpu, i, i->osize == SIZE_Q ? 8 : 4, get64(cpu, i->reg));
    mmx_enter(cpu);
    NEXT;
}

BODY(movd_mmx_store_m)
{
    movd_mmx_store_g(cpu, i);
}

BODY(movq2dq)
{
    sse_check(cpu, i);
    mmx_check(cpu, i);
    mmx_enter(cpu);
    *xmm(cpu, i->reg) = low64(get64(cpu, i->rm));
    NEXT;
}

BODY(movdq2q)
{
    sse_check(cpu, i);
    mmx_check(cpu, i);
    mmx_enter(cpu);
    mmx_set(cpu, i->reg, (*xmm(cpu, i->rm))[0]);
    NEXT;
}

BODY(emms)
{
    mmx_check(cpu, i);
    cpu->s.fptag = 0;
    cpu->s.fsw &= (uint16_t)~FSW_TOP;
    NEXT;
}
