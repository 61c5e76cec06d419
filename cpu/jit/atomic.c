/*
 * atomic.c - read-modify-write of memory as one operation: with LOCK, which XCHG implies, and what is mostly used so.
 * They are the host's own, locked where the guest's are.
 */
#include "cpu/jit/translate.h"

static void lock(struct trans *t, const struct insn *i)
{
    if (i->flags & INSN_LOCK)
        emit8(&t->e, 0xf0);
}

/* The G operand in a host register; r13 holds it if it lives in struct cpu. */
static unsigned g_register(struct trans *t, const struct insn *i, unsigned size)
{
    struct place g = guest(i->reg);

    if (g.kind == P_REG)
        return g.reg;
    load_tmp(t, g, size);
    return H_TMP;
}

static unsigned g_rex(const struct insn *i, unsigned size)
{
    return rex8(size, guest(i->reg), is_high(i->reg));
}

static void g_changed(struct trans *t, const struct insn *i, unsigned size)
{
    if (guest(i->reg).kind == P_SLOT)
        store_tmp(t, guest(i->reg), size);
}

/* ADD to XOR with a register or an immediate; NEG, NOT. */
static void emit_operation(struct trans *t, const struct insn *i)
{
    const struct opcode_row *row = &opcode_rows[i->row];
    unsigned size = operand_size(i, 0), n = row->sel >> 5 & 7;
    bool carry = row->flags_read & FLAG_CF;
    struct place e = e_place(t, i, size, true);
    struct emit *m = &t->e;

    if (row->sel & SEL_HAS_EXT) {
        if (carry)
            flags_load(t, FLAG_CF);
        lock(t, i);
        emit_op(m, size_flags(size), row->opcode == 0x82 ? 0x80 : row->opcode, n, e); /* 82 is none in 64-bit code */
        if (row->opcode <= 0x83) {
            unsigned bytes = row->opcode == 0x81 ? size == SIZE_W ? 2 : 4 : 1;

            for (unsigned k = 0; k < bytes; k++)
                emit8(m, (uint8_t)(i->imm >> 8 * k));
        }
    } else {
        unsigned reg = g_register(t, i, size);

        if (carry && reg == H_TMP) {
            emit_store(m, SLOT(JT(branch)), H_TMP);
            flags_load(t, FLAG_CF);
            emit_load(m, H_TMP, SLOT(JT(branch)));
        } else if (carry) {
            flags_load(t, FLAG_CF);
        }
        lock(t, i);
        emit_op(m, size_flags(size) | g_rex(i, size), row->opcode, reg, e);
    }
    if (row->flags_written) { /* NOT makes none */
        t->host_flags = FLAGS_ARITH;
        flags_save_image(t);
    }
}

/* As XADD of 1 or -1, whose flags are INC's and DEC's but for CF and DEC's AF. */
static void emit_step(struct trans *t, const struct insn *i)
{
    unsigned size = operand_size(i, 0);
    bool dec = opcode_rows[i->row].sel >> 5 & 7;
    struct place e = e_place(t, i, size, true);

    emit_op(&t->e, E_W, 0xc7, 0, REG(H_TMP));
    emit32(&t->e, dec ? UINT32_MAX : 1);
    lock(t, i);
    emit_op(&t->e, size_flags(size) | E_0F, 0xc0 | opcode_bit(size), H_TMP, e);
    if (flags_stored(t, FLAGS_ARITH & ~FLAG_CF)) {
        emit_lea(&t->e, E_W, H_TMP, H_TMP, NO_INDEX, 0, dec ? -1 : 1);
        emit_store(&t->e, SLOT(JT(stepped)), H_TMP);
        flags_step(t, dec, size);
    }
    t->host_flags = FLAG_ZF | FLAG_SF | FLAG_PF | FLAG_OF | (dec ? 0 : FLAG_AF);
}

static void emit_xadd(struct trans *t, const struct insn *i)
{
    unsigned size = operand_size(i, 0), reg;
    struct place e = e_place(t, i, size, true);
    bool keep = flags_stored(t, FLAGS_ARITH), high = is_high(i->reg);

    reg = g_register(t, i, size);
    if (keep)
        keep_place(t, JT(b), REG(reg), size, high);
    lock(t, i);
    emit_op(&t->e, size_flags(size) | E_0F | g_rex(i, size), 0xc0 | opcode_bit(size), reg, e);
    if (keep) {
        keep_place(t, JT(a), REG(reg), size, high);
        flags_kind(t, JF_ADD, size, 0);
    }
    g_changed(t, i, size);
    t->host_flags = FLAGS_ARITH;
}

/* After it the accumulator equals what memory held, whether or not it did before. */
static void emit_cmpxchg(struct trans *t, const struct insn *i)
{
    unsigned size = operand_size(i, 0);
    struct place e = e_place(t, i, size, true);
    bool keep = flags_stored(t, FLAGS_ARITH);
    unsigned reg = g_register(t, i, size);

    if (keep)
        emit_store(&t->e, SLOT(JT(a)), H_RAX);
    lock(t, i);
    emit_op(&t->e, size_flags(size) | E_0F | g_rex(i, size), 0xb0 | opcode_bit(size), reg, e);
    if (keep) {
        emit_store(&t->e, SLOT(JT(b)), H_RAX);
        flags_kind(t, JF_SUB, size, 0);
    }
    t->host_flags = FLAGS_ARITH;
}

static void emit_xchg_memory(struct trans *t, const struct insn *i)
{
    unsigned size = operand_size(i, 0), reg;
    struct place e = e_place(t, i, size, true);

    reg = g_register(t, i, size);
    emit_op(&t->e, size_flags(size) | g_rex(i, size), 0x86 | opcode_bit(size), reg, e);
    g_changed(t, i, size);
}

/* BT, BTS, BTR, BTC of a bit by its number: it is within the operand. */
static void emit_bit(struct trans *t, const struct insn *i)
{
    unsigned n = opcode_rows[i->row].sel >> 5 & 7;
    struct place e = e_place(t, i, i->osize, n != 4);

    lock(t, i);
    emit_op(&t->e, size_flags(i->osize) | E_0F, 0xba, n, e);
    emit8(&t->e, (uint8_t)i->imm);
    t->host_flags = FLAG_CF;
    flags_carry(t);
}

/* clang-format off */
#define OPERATION(opcode) {0, opcode, (opcode) + 1, -1, PFX_ANY, R_MEMORY, emit_operation, 0}
const struct rule atomic_rules[] = {
    {1, 0xb0, 0xb1, -1, PFX_ANY, R_MEMORY, emit_cmpxchg, 0},
    {1, 0xc0, 0xc1, -1, PFX_ANY, R_MEMORY, emit_xadd, 0},
    {0, 0x86, 0x87, -1, PFX_ANY, R_MEMORY, emit_xchg_memory, 0},
    {0, 0xfe, 0xff, 0, PFX_ANY, R_MEMORY, emit_step, 0},
    {0, 0xfe, 0xff, 1, PFX_ANY, R_MEMORY, emit_step, 0},
    {1, 0xba, 0xba, -1, PFX_ANY, R_MEMORY, emit_bit, 0},
    OPERATION(0x00), OPERATION(0x08), OPERATION(0x10), OPERATION(0x18),
    OPERATION(0x20), OPERATION(0x28), OPERATION(0x30),
    {0, 0x80, 0x83, -1, PFX_ANY, R_MEMORY, emit_operation, 0},
    {0, 0xf6, 0xf7, 2, PFX_ANY, R_MEMORY, emit_operation, 0},
    {0, 0xf6, 0xf7, 3, PFX_ANY, R_MEMORY, emit_operation, 0},
    {0, 0, 0, 0, 0, 0, NULL, 0},
};
/* clang-format on */
