/*
 * alu.c - arithmetic and logic: ADD to CMP, TEST, INC, DEC, NEG, NOT, and the carry flag by itself.
 */
#include "cpu/jit/translate.h"

/* --- ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST ----------------------------------------------------- */

enum { ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST };
static const uint8_t kept_as[] = {JF_ADD, JF_LOGIC, JF_ADC, JF_SBB, JF_LOGIC, JF_SUB, JF_LOGIC, JF_SUB, JF_LOGIC};

/* The source: a register, a place, or an immediate. */
struct source {
    bool immediate, high;
    int32_t value;
    struct place p;
};

/* op dest, source: dest is a register or memory; only one of them memory. */
static void alu_raw(struct trans *t, unsigned op, unsigned size, struct place dest, unsigned dest_rex,
                    const struct source *s)
{
    struct emit *e = &t->e;
    unsigned flags = size_flags(size) | dest_rex;

    if (s->immediate) {
        if (op == TEST) {
            emit_op(e, flags, 0xf6 | opcode_bit(size), 0, dest);
        } else if (size != SIZE_B && s->value >= -128 && s->value < 128) {
            emit_op(e, flags, 0x83, op, dest);
            emit8(e, (uint8_t)s->value);
            return;
        } else {
            emit_op(e, flags, 0x80 | opcode_bit(size), op, dest);
        }
        if (size == SIZE_B) {
            emit8(e, (uint8_t)s->value);
        } else if (size == SIZE_W) {
            emit8(e, (uint8_t)s->value);
            emit8(e, (uint8_t)(s->value >> 8));
        } else {
            emit32(e, (uint32_t)s->value);
        }
        return;
    }
    flags |= rex8(size, s->p, s->high);
    if (s->p.kind == P_REG)
        emit_op(e, flags, (op == TEST ? 0x84 : op << 3) | opcode_bit(size), s->p.reg, dest);
    else
        emit_op(e, flags, (op == TEST ? 0x84 : op << 3 | 2) | opcode_bit(size), dest.reg, s->p);
}

static void alu(struct trans *t, const struct insn *i, unsigned op, unsigned size, struct place dest, bool dest_high,
                struct source s)
{
    struct emit *e = &t->e;
    bool written = op != CMP && op != TEST, keep, logic = kept_as[op] == JF_LOGIC;
    bool same = !s.immediate && s.p.kind == dest.kind && s.p.reg == dest.reg && s.p.offset == dest.offset &&
                dest.kind != P_MEM && s.high == dest_high;
    struct place work = dest;

    (void)i;
    if (op == ADC || op == SBB)
        flags_load(t, FLAG_CF);
    keep = flags_stored(t, FLAGS_ARITH);
    if (keep && (op == ADC || op == SBB))
        emit_op(e, E_0F, 0x92, 0, SLOT(JT(cf)));
    if (keep && !logic) {
        keep_place(t, JT(a), dest, size, dest_high);
        if (s.immediate)
            emit_store_imm(e, SLOT(JT(b)), s.value);
        else
            keep_place(t, JT(b), s.p, size, s.high);
        flags_kind(t, kept_as[op], size, 0);
    }
    /* Neither may be two memory operands, nor a result of 32 bits in a 64-bit slot. */
    if (dest.kind == P_SLOT || (op == TEST && keep && !same && !dest_high && !s.high)) {
        load_tmp(t, dest, size);
        work = REG(H_TMP);
        dest_high = false;
        if (same)
            s.p = work;
    } else if (dest.kind == P_MEM && !s.immediate && s.p.kind == P_SLOT) {
        load_tmp(t, s.p, size);
        s.p = REG(H_TMP);
    }
    if (op == TEST && keep && !same && work.reg == H_TMP && work.kind == P_REG) {
        alu_raw(t, AND, size, work, 0, &s);
        emit_store(e, SLOT(JT(a)), H_TMP);
        flags_kind(t, JF_LOGIC, size, 0);
    } else {
        alu_raw(t, op, size, work, rex8(size, work, dest_high), &s);
        if (written && dest.kind == P_SLOT)
            store_tmp(t, dest, size);
        if (keep && op == TEST && !same) {
            t->host_flags = FLAGS_ARITH;
            flags_save_image(t);
        } else if (keep && logic) {
            keep_place(t, JT(a), work, size, dest_high);
            flags_kind(t, JF_LOGIC, size, 0);
        }
    }
    t->host_flags = FLAGS_ARITH;
}

static void emit_alu_eg(struct trans *t, const struct insn *i) /* and G, E */
{
    unsigned op = t->rule[t->at]->arg == TEST ? TEST : opcode_rows[i->row].opcode >> 3 & 7, size = operand_size(i, 0);
    bool to_e = is_dest_e(i);
    struct place e = e_place(t, i, size, to_e && op != CMP && op != TEST), g = guest(i->reg);

    if (to_e)
        alu(t, i, op, size, e, high_rm(i), (struct source){.p = g, .high = is_high(i->reg)});
    else
        alu(t, i, op, size, g, is_high(i->reg),
            (struct source){.p = e, .high = high_rm(i)});
}

static void emit_alu_imm_insn(struct trans *t, const struct insn *i)
{
    const struct opcode_row *row = &opcode_rows[i->row];
    unsigned op = t->rule[t->at]->arg == TEST ? TEST : row->sel & SEL_HAS_EXT ? row->sel >> 5 & 7 : row->opcode >> 3 & 7;
    unsigned size = operand_size(i, 0);
    struct place e = e_place(t, i, size, op != CMP && op != TEST);

    alu(t, i, op, size, e, high_rm(i),
        (struct source){.immediate = true, .value = (int32_t)i->imm});
}

/* --- INC, DEC, NEG, NOT ------------------------------------------------------------------------------ */

/* op E as group 3, 4 or 5 has it, on r13 where E is a slot. */
static struct place unary(struct trans *t, const struct insn *i, unsigned size, unsigned opcode, unsigned n,
                          struct place dest)
{
    bool high = high_rm(i);
    struct place work = dest;

    if (dest.kind == P_SLOT) {
        load_tmp(t, dest, size);
        work = REG(H_TMP);
    }
    emit_op(&t->e, size_flags(size) | (rex8(size, work, high)), opcode | opcode_bit(size),
            n, work);
    if (dest.kind == P_SLOT)
        store_tmp(t, dest, size);
    return work;
}

static void emit_inc_dec(struct trans *t, const struct insn *i)
{
    const uint32_t made = FLAGS_ARITH & ~FLAG_CF;
    unsigned opcode = opcode_rows[i->row].opcode, size = operand_size(i, 0);
    unsigned n = opcode < 0x50 ? opcode >> 3 & 1 : opcode_rows[i->row].sel >> 5 & 7;
    struct place dest = e_place(t, i, size, true), work;

    work = unary(t, i, size, 0xfe, n, dest);
    if (flags_stored(t, made)) {
        keep_place(t, JT(stepped), work, size, high_rm(i));
        flags_step(t, n, size);
    }
    t->host_flags |= made;
}

static void emit_neg(struct trans *t, const struct insn *i)
{
    unsigned size = operand_size(i, 0);
    struct place dest = e_place(t, i, size, true);

    if (flags_stored(t, FLAGS_ARITH)) {
        keep_place(t, JT(a), dest, size, high_rm(i));
        flags_kind(t, JF_NEG, size, 0);
    }
    unary(t, i, size, 0xf6, 3, dest);
    t->host_flags = FLAGS_ARITH;
}

static void emit_not(struct trans *t, const struct insn *i)
{
    unsigned size = operand_size(i, 0);

    unary(t, i, size, 0xf6, 2, e_place(t, i, size, true));
}

/* --- The carry flag ---------------------------------------------------------------------------------- */

/* CLC, STC, CMC */
static void emit_carry(struct trans *t, const struct insn *i)
{
    if (!flags_needed(t, FLAG_CF))
        return;
    if (opcode_rows[i->row].opcode == 0xf5)
        flags_load(t, FLAG_CF);
    emit8(&t->e, opcode_rows[i->row].opcode);
    t->host_flags |= FLAG_CF;
    flags_carry(t);
}

/* clang-format off */
#define ALU_ROWS(base) {0, (base), (base) + 3, -1, PFX_ANY, 0, emit_alu_eg, 0}, \
                       {0, (base) + 4, (base) + 5, -1, PFX_ANY, 0, emit_alu_imm_insn, 0}
const struct rule alu_rules[] = {
    ALU_ROWS(0x00), ALU_ROWS(0x08), ALU_ROWS(0x10), ALU_ROWS(0x18),
    ALU_ROWS(0x20), ALU_ROWS(0x28), ALU_ROWS(0x30), ALU_ROWS(0x38),
    {0, 0x40, 0x4f, -1, PFX_ANY, 0, emit_inc_dec, 0},
    {0, 0x80, 0x83, -1, PFX_ANY, 0, emit_alu_imm_insn, 0},
    {0, 0x84, 0x85, -1, PFX_ANY, 0, emit_alu_eg, TEST},
    {0, 0xa8, 0xa9, -1, PFX_ANY, 0, emit_alu_imm_insn, TEST},
    {0, 0xf6, 0xf7, 0, PFX_ANY, 0, emit_alu_imm_insn, TEST},
    {0, 0xf6, 0xf7, 1, PFX_ANY, 0, emit_alu_imm_insn, TEST},
    {0, 0xf6, 0xf7, 2, PFX_ANY, 0, emit_not, 0},
    {0, 0xf6, 0xf7, 3, PFX_ANY, 0, emit_neg, 0},
    {0, 0xfe, 0xff, 0, PFX_ANY, 0, emit_inc_dec, 0},
    {0, 0xfe, 0xff, 1, PFX_ANY, 0, emit_inc_dec, 0},
    {0, 0xf5, 0xf5, -1, PFX_ANY, R_CLOBBERS, emit_carry, 0},
    {0, 0xf8, 0xf9, -1, PFX_ANY, 0, emit_carry, 0},
    {0, 0, 0, 0, 0, 0, NULL, 0},
};
/* clang-format on */
