/*
 * string.c - MOVS, STOS and LODS once, upwards, as the copying loops of decompressors have them. With REP, or
 * with DF set, their bodies do it.
 */
#include "cpu/jit/translate.h"

static unsigned element_size(const struct insn *i)
{
    return opcode_rows[i->row].opcode & 1 ? i->osize : SIZE_B;
}

static void go_up(struct trans *t, const struct insn *i)
{
    struct emit *e = &t->e;
    uint8_t *up;

    emit_op(e, 0, 0xf7, 0, SLOT(S(rflags))); /* TEST */
    emit32(e, FLAG_DF);
    up = emit_jcc(e, CC_E, NULL);
    emit_mov_imm(e, H_TMP, new_site(t, i));
    emit_jmp(e, t->jit->body);
    emit_land(e, up);
}

static void advance(struct trans *t, const struct insn *i, unsigned reg)
{
    emit_add(t, i->asize, reg, reg, 1 << element_size(i));
}

static void emit_movs(struct trans *t, const struct insn *i)
{
    unsigned size = element_size(i);
    struct emit *e = &t->e;

    go_up(t, i);
    emit_string_lookup(t, i, i->seg, H_RSI, 1u << size, false);
    load_tmp(t, MEM(H_ADDR, 0), size);
    emit_store(e, SLOT(JT(branch)), H_TMP);
    emit_string_lookup(t, i, ES, H_RDI, 1u << size, true);
    emit_load(e, H_TMP, SLOT(JT(branch)));
    emit_op(e, size_flags(size), 0x88 | opcode_bit(size), H_TMP, MEM(H_ADDR, 0));
    advance(t, i, H_RSI);
    advance(t, i, H_RDI);
}

static void emit_stos(struct trans *t, const struct insn *i)
{
    unsigned size = element_size(i);

    go_up(t, i);
    emit_string_lookup(t, i, ES, H_RDI, 1u << size, true);
    emit_op(&t->e, size_flags(size), 0x88 | opcode_bit(size), H_RAX, MEM(H_ADDR, 0));
    advance(t, i, H_RDI);
}

static void emit_lods(struct trans *t, const struct insn *i)
{
    unsigned size = element_size(i);

    go_up(t, i);
    emit_string_lookup(t, i, i->seg, H_RSI, 1u << size, false);
    emit_op(&t->e, size_flags(size), 0x8a | opcode_bit(size), H_RAX, MEM(H_ADDR, 0));
    advance(t, i, H_RSI);
}

/* clang-format off */
const struct rule string_rules[] = {
    {0, 0xa4, 0xa5, -1, PFX_ANY, R_ONCE | R_EXITS | R_CLOBBERS, emit_movs, 0},
    {0, 0xaa, 0xab, -1, PFX_ANY, R_ONCE | R_EXITS | R_CLOBBERS, emit_stos, 0},
    {0, 0xac, 0xad, -1, PFX_ANY, R_ONCE | R_EXITS | R_CLOBBERS, emit_lods, 0},
    {0, 0, 0, 0, 0, 0, NULL, 0},
};
/* clang-format on */
