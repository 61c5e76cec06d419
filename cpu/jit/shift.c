/*
 * shift.c - shifts, rotates, and single bits.
 */
#include "cpu/jit/translate.h"

/* --- Shifts ------------------------------------------------------------------------------------------ */

/* SHL, SHR, SAR by a count that is known and not 0. */
static void shift_known(struct trans *t, const struct insn *i, unsigned n, unsigned count)
{
    unsigned size = operand_size(i, 0);
    struct place dest = e_place(t, i, size, true), work = dest;
    bool keep = flags_stored(t, FLAGS_ARITH), recipe = count < 8u << size, high = high_rm(i);

    if (keep && recipe) {
        keep_place(t, JT(a), dest, size, high);
        flags_kind(t, n == 5 ? JF_SHR : n == 7 ? JF_SAR : JF_SHL, size, count);
    }
    if (dest.kind == P_SLOT) {
        load_tmp(t, dest, size);
        work = REG(H_TMP);
    }
    emit_op(&t->e, size_flags(size) | (rex8(size, work, high)), 0xc0 | opcode_bit(size), n,
            work);
    emit8(&t->e, count);
    if (dest.kind == P_SLOT)
        store_tmp(t, dest, size);
    t->host_flags = FLAGS_ARITH;
    if (!recipe)
        flags_save_image(t);
}

/* The shift or rotate `n` itself, by CL or by a count. */
static void shift_raw(struct trans *t, const struct insn *i, struct place dest, unsigned n, int count)
{
    unsigned size = operand_size(i, 0);
    struct place work = dest;

    if (dest.kind == P_SLOT) {
        load_tmp(t, dest, size);
        work = REG(H_TMP);
    }
    emit_op(&t->e, size_flags(size) | rex8(size, work, high_rm(i)), (count < 0 ? 0xd2 : 0xc0) | opcode_bit(size), n, work);
    if (count >= 0)
        emit8(&t->e, (unsigned)count);
    if (dest.kind == P_SLOT)
        store_tmp(t, dest, size);
}

/*
 * SHL, SHR, SAR by CL: no flags change when the count is 0. The count is kept with the operand, unless it is more than
 * the operand has bits, which only 8- and 16-bit ones can see.
 */
static void shift_by_cl(struct trans *t, const struct insn *i, unsigned n)
{
    unsigned size = operand_size(i, 0);
    struct place dest = e_place(t, i, size, true);
    struct emit *e = &t->e;
    uint8_t *zero;

    if (!flags_needed(t, FLAGS_ARITH)) {
        shift_raw(t, i, dest, n, -1);
        t->host_flags = 0;
        return;
    }
    if (size < SIZE_D) {
        flags_load(t, FLAGS_ARITH);
        shift_raw(t, i, dest, n, -1);
        flags_save_image(t);
        return;
    }
    emit_op(e, 0, 0xf6, 0, REG(H_RCX));
    emit8(e, size == SIZE_Q ? 63 : 31);
    zero = emit_jcc(e, CC_E, NULL);
    keep_place(t, JT(a), dest, size, false);
    emit_store_imm32(e, SLOT(JT(kind)), (n == 5 ? JF_SHR : n == 7 ? JF_SAR : JF_SHL) | size << 6);
    emit_op(e, 0, 0x8b, H_TMP, REG(H_RCX));
    emit_alu_imm(e, 0, 4, REG(H_TMP), size == SIZE_Q ? 63 : 31);
    emit_op(e, 0, 0x88, H_TMP, SLOT(JT(kind.count)));
    shift_raw(t, i, dest, n, -1);
    emit_land(e, zero);
    if (size == SIZE_D && dest.kind != P_MEM) /* even a shift by 0 clears the upper half */
        dest.kind == P_REG ? emit_op(e, 0, 0x8b, dest.reg, dest) : (load_tmp(t, dest, size), store_tmp(t, dest, size));
    t->kind_known = false;
    t->kind = (struct jit_kind){0};
    t->host_flags = 0;
}

/* ROL, ROR, RCL, RCR: CF, and OF where the count is 1 (undefined elsewhere, left as it was). */
static void rotate(struct trans *t, const struct insn *i, unsigned n, int count)
{
    unsigned size = operand_size(i, 0);
    struct place dest = e_place(t, i, size, true);

    if (count == 0 && size >= SIZE_D && dest.kind == P_MEM)
        return;
    if ((count == 1 && flags_needed(t, FLAG_CF | FLAG_OF)) || (count < 0 && flags_needed(t, FLAGS_ARITH))) {
        flags_load(t, FLAGS_ARITH);
        shift_raw(t, i, dest, n, count);
        flags_save_image(t);
        return;
    }
    if (n == 2 || n == 3)
        flags_load(t, FLAG_CF);
    if (count <= 0) {
        shift_raw(t, i, dest, n, count);
        return;
    }
    shift_raw(t, i, dest, n, count);
    t->host_flags = (t->host_flags & ~(uint32_t)FLAG_OF) | FLAG_CF;
    if (size < SIZE_D && !(count & (8 * (1 << size) - 1))) { /* a whole turn: CF is a bit, or for RCL maybe untouched */
        if (n < 2 || flags_needed(t, FLAG_CF))
            flags_carry(t);
        return;
    }
    flags_carry(t);
}

static void emit_shift(struct trans *t, const struct insn *i)
{
    unsigned opcode = opcode_rows[i->row].opcode, n = opcode_rows[i->row].sel >> 5 & 7;
    unsigned size = operand_size(i, 0), count;

    if (opcode >= 0xd2) {
        if (n < 4)
            rotate(t, i, n, -1);
        else
            shift_by_cl(t, i, n);
        return;
    }
    count = opcode >= 0xd0 ? 1 : (uint8_t)i->imm & (size == SIZE_Q ? 63 : 31);
    if (n < 4)
        rotate(t, i, n, (int)count);
    else if (count)
        shift_known(t, i, n, count);
    else
        shift_raw(t, i, e_place(t, i, size, true), n, 0);
}

/* --- Bits -------------------------------------------------------------------------------------------- */

/* BT and its kin on registers: CF; ZF stays, the others are undefined and stay where they are kept. */
static void emit_bits(struct trans *t, const struct insn *i)
{
    const struct opcode_row *row = &opcode_rows[i->row];
    bool immediate = row->opcode == 0xba, test = row->opcode == 0xa3 || (immediate && (row->sel >> 5 & 7) == 4);
    struct place r = guest(i->rm), work = r;
    unsigned reg = immediate ? row->sel >> 5 & 7 : 0, flags = size_flags(i->osize) | E_0F;

    if (r.kind == P_SLOT) {
        load_tmp(t, r, i->osize);
        work = REG(H_TMP);
    }
    if (!immediate) {
        struct place g = guest(i->reg);

        if (g.kind == P_SLOT) {
            emit_load(&t->e, H_ADDR, g);
            g = REG(H_ADDR);
        }
        reg = g.reg;
    }
    emit_op(&t->e, flags, row->opcode, reg, work);
    if (immediate)
        emit8(&t->e, (uint8_t)i->imm);
    if (r.kind == P_SLOT && !test)
        store_tmp(t, r, i->osize);
    t->host_flags = (t->host_flags & FLAG_ZF) | FLAG_CF;
    flags_carry(t);
}

static void emit_scan(struct trans *t, const struct insn *i)
{
    const struct opcode_row *row = &opcode_rows[i->row];
    struct place e = e_place(t, i, i->osize, false), g = guest(i->reg);
    unsigned reg = g.kind == P_REG ? g.reg : H_TMP;

    if (g.kind == P_SLOT) /* whole: BSF and BSR of 0 leave all of it */
        emit_load(&t->e, H_TMP, g);
    emit_op(&t->e, size_flags(i->osize) | E_0F | (row->prefix == PFX_F3 ? E_F3 : 0), row->opcode, reg, e);
    if (g.kind == P_SLOT)
        store_tmp(t, g, i->osize);
    t->host_flags = FLAGS_ARITH;
    flags_save_image(t);
}

/* SHLD, SHRD with a count: flags as they come. */
static void emit_double_shift(struct trans *t, const struct insn *i)
{
    const struct opcode_row *row = &opcode_rows[i->row];
    struct place r = guest(i->rm), work = r, g = guest(i->reg);
    bool merges = flags_needed(t, FLAGS_ARITH);

    if (merges)
        flags_load(t, FLAGS_ARITH);
    if (r.kind == P_SLOT) {
        load_tmp(t, r, i->osize);
        work = REG(H_TMP);
    }
    if (g.kind == P_SLOT) {
        emit_load(&t->e, H_ADDR, g);
        g = REG(H_ADDR);
    }
    emit_op(&t->e, size_flags(i->osize) | E_0F, row->opcode, g.reg, work);
    if ((row->opcode & 1) == 0)
        emit8(&t->e, (uint8_t)i->imm);
    if (r.kind == P_SLOT)
        store_tmp(t, r, i->osize);
    t->host_flags = merges ? FLAGS_ARITH : 0;
    if (merges)
        flags_save_image(t);
}

/* clang-format off */
const struct rule shift_rules[] = {
    {0, 0xc0, 0xc1, -1, PFX_ANY, R_SHIFT, emit_shift, 0},
    {0, 0xd0, 0xd3, -1, PFX_ANY, R_SHIFT, emit_shift, 0},
    {1, 0xa3, 0xa3, -1, PFX_ANY, R_REGISTER, emit_bits, 0},
    {1, 0xab, 0xab, -1, PFX_ANY, R_REGISTER, emit_bits, 0},
    {1, 0xb3, 0xb3, -1, PFX_ANY, R_REGISTER, emit_bits, 0},
    {1, 0xba, 0xbb, -1, PFX_ANY, R_REGISTER, emit_bits, 0},
    {1, 0xa4, 0xa5, -1, PFX_ANY, R_MAYBE | R_REGISTER | R_CLOBBERS, emit_double_shift, 0},
    {1, 0xac, 0xad, -1, PFX_ANY, R_MAYBE | R_REGISTER | R_CLOBBERS, emit_double_shift, 0},
    {1, 0xb8, 0xb8, -1, PFX_F3, R_HOST, emit_scan, 0},
    {1, 0xbc, 0xbd, -1, PFX_F3, R_HOST, emit_scan, 0},
    {1, 0xbc, 0xbd, -1, PFX_ANY, 0, emit_scan, 0},
    {0, 0, 0, 0, 0, 0, NULL, 0},
};
/* clang-format on */
