/*
 * muldiv.c - multiplication and division.
 */
#include "cpu/jit/translate.h"

/* MUL and IMUL define CF and OF; `low` is the result's lower half. */
static void multiplied(struct trans *t, unsigned size, struct place low)
{
    t->host_flags = FLAGS_ARITH;
    if (!flags_stored(t, FLAGS_ARITH))
        return;
    emit_op(&t->e, E_0F, 0x92, 0, SLOT(JT(cf)));
    emit_store(&t->e, SLOT(JT(a)), low.reg);
    flags_kind(t, JF_MUL, size, 0);
}

static void emit_imul(struct trans *t, const struct insn *i)
{
    const struct opcode_row *row = &opcode_rows[i->row];
    struct place e = e_place(t, i, i->osize, false), g = guest(i->reg);
    unsigned reg = g.kind == P_REG ? g.reg : H_TMP, flags = size_flags(i->osize);

    if (row->map == 0) {
        emit_op(&t->e, flags, row->opcode, reg, e);
        emit8(&t->e, (uint8_t)i->imm);
        if (row->opcode == 0x69) {
            emit8(&t->e, (uint8_t)(i->imm >> 8));
            if (i->osize != SIZE_W) {
                emit8(&t->e, (uint8_t)(i->imm >> 16));
                emit8(&t->e, (uint8_t)(i->imm >> 24));
            }
        }
    } else {
        if (g.kind == P_SLOT)
            load_tmp(t, g, i->osize);
        emit_op(&t->e, flags | E_0F, 0xaf, reg, e);
    }
    if (g.kind == P_SLOT)
        store_tmp(t, g, i->osize);
    multiplied(t, i->osize, REG(reg));
}

static void emit_mul(struct trans *t, const struct insn *i) /* MUL, IMUL with one operand */
{
    unsigned size = operand_size(i, 0), n = opcode_rows[i->row].sel >> 5 & 7;
    struct place e = e_place(t, i, size, false);

    emit_op(&t->e, size_flags(size) | rex8(size, e, high_rm(i)), 0xf6 | opcode_bit(size), n, e);
    multiplied(t, size, REG(H_RAX));
}

/*
 * DIV and IDIV of 16 to 64 bits where it is easy to see that the quotient fits: else the body decides.
 * Unsigned: the upper half is less than the divisor. Signed: the dividend is an extended lower half, and the
 * divisor neither 0 nor -1.
 */
static void emit_div(struct trans *t, const struct insn *i)
{
    unsigned n = opcode_rows[i->row].sel >> 5 & 7, flags = size_flags(i->osize);
    struct place e = e_place(t, i, i->osize, false);
    struct emit *m = &t->e;
    uint8_t *hard[2] = {NULL, NULL}, *done;

    if (e.kind != P_REG) {
        emit_op(m, flags, 0x8b, H_ADDR, e);
        e = REG(H_ADDR);
    }
    if (n == 6) {
        emit_op(m, flags, 0x3b, H_RDX, e);
        hard[0] = emit_jcc(m, CC_AE, NULL);
    } else {
        emit_op(m, flags, 0x8b, H_TMP, REG(H_RAX));
        emit_op(m, flags, 0xc1, 7, REG(H_TMP));
        emit8(m, (8u << i->osize) - 1);
        emit_op(m, flags, 0x3b, H_TMP, REG(H_RDX));
        hard[0] = emit_jcc(m, CC_NE, NULL);
        emit_lea(m, flags & E_W, H_TMP, e.reg, NO_INDEX, 0, 1);
        emit_alu_imm(m, flags, 7, REG(H_TMP), 1);
        hard[1] = emit_jcc(m, CC_BE, NULL);
    }
    emit_op(m, flags, 0xf7, n, e);
    done = emit_jmp(m, NULL);
    emit_land(m, hard[0]);
    if (hard[1])
        emit_land(m, hard[1]);
    emit_mov_imm(m, H_TMP, new_site(t, i));
    emit_jmp(m, t->jit->body);
    emit_land(m, done);
    t->host_flags = 0; /* all undefined: what is kept stays */
}

/* DIV of AX by a byte, likewise. */
static void emit_div_byte(struct trans *t, const struct insn *i)
{
    struct place e = e_place(t, i, SIZE_B, false);
    struct emit *m = &t->e;
    uint8_t *hard, *done;

    if (high_rm(i)) {
        emit_op(m, E_0F, 0xb7, H_ADDR, REG(e.reg - 4));
        emit_op(m, 0, 0xc1, 5, REG(H_ADDR));
        emit8(m, 8);
    } else {
        emit_op(m, E_0F | rex8(SIZE_B, e, false), 0xb6, H_ADDR, e);
    }
    emit_op(m, E_0F, 0xb7, H_TMP, REG(H_RAX));
    emit_op(m, 0, 0xc1, 5, REG(H_TMP));
    emit8(m, 8);
    emit_op(m, 0, 0x3b, H_TMP, REG(H_ADDR));
    hard = emit_jcc(m, CC_AE, NULL);
    emit_op(m, 0, 0xf6, 6, REG(H_ADDR));
    done = emit_jmp(m, NULL);
    emit_land(m, hard);
    emit_mov_imm(m, H_TMP, new_site(t, i));
    emit_jmp(m, t->jit->body);
    emit_land(m, done);
    t->host_flags = 0;
}

/* clang-format off */
const struct rule muldiv_rules[] = {
    {0, 0xf6, 0xf7, 4, PFX_ANY, 0, emit_mul, 0},
    {0, 0xf6, 0xf7, 5, PFX_ANY, 0, emit_mul, 0},
    {0, 0xf6, 0xf6, 6, PFX_ANY, R_EXITS | R_CLOBBERS, emit_div_byte, 0},
    {0, 0xf7, 0xf7, 6, PFX_ANY, R_EXITS | R_CLOBBERS, emit_div, 0},
    {0, 0xf7, 0xf7, 7, PFX_ANY, R_EXITS | R_CLOBBERS, emit_div, 0},
    {0, 0x69, 0x69, -1, PFX_ANY, 0, emit_imul, 0},
    {0, 0x6b, 0x6b, -1, PFX_ANY, 0, emit_imul, 0},
    {1, 0xaf, 0xaf, -1, PFX_ANY, 0, emit_imul, 0},
    {0, 0, 0, 0, 0, 0, NULL, 0},
};
/* clang-format on */
