/*
 * move.c - moves of all kinds, and the stack.
 */
#include "cpu/jit/translate.h"

/* --- Moves ------------------------------------------------------------------------------------------- */

/* Register or place to a guest register. */
static void move_to(struct trans *t, struct place dest, bool dest_high, struct place from, bool from_high, unsigned size)
{
    struct emit *e = &t->e;
    unsigned rex = rex8(size, dest, dest_high) | rex8(size, from, from_high);

    if (dest.kind == P_REG) {
        emit_op(e, size_flags(size) | rex, 0x8a | opcode_bit(size), dest.reg, from);
    } else if (from.kind == P_REG && size != SIZE_D) {
        emit_op(e, size_flags(size) | rex, 0x88 | opcode_bit(size), from.reg, dest);
    } else {
        load_tmp(t, from, size);
        store_tmp(t, dest, size);
    }
}

/* AH to BH and memory, whose address takes a prefix with which they have no name: as AL to BL, turned about. */
static void move_high(struct trans *t, const struct insn *i, bool to_memory)
{
    unsigned reg = guest(i->reg).reg - 4;

    for (unsigned n = 0; n < 2; n++) {
        emit_op(&t->e, E_W, 0xc1, n ? 0 : 1, REG(reg)); /* ROR, ROL */
        emit8(&t->e, 8);
        if (!n)
            emit_op(&t->e, 0, to_memory ? 0x88 : 0x8a, reg, MEM(H_ADDR, 0));
    }
}

static void emit_mov(struct trans *t, const struct insn *i)
{
    unsigned size = operand_size(i, 0);
    bool to_e = is_dest_e(i), mem = i->flags & INSN_MEM;
    struct place e = e_place(t, i, size, to_e), g = guest(i->reg);

    if (mem && size == SIZE_B && is_high(i->reg)) {
        move_high(t, i, to_e);
    } else if (!to_e) {
        move_to(t, g, is_high(i->reg), e, high_rm(i), size);
    } else if (!mem) {
        move_to(t, e, is_high(i->rm), g, is_high(i->reg), size);
    } else {
        if (g.kind == P_SLOT) {
            load_tmp(t, g, size);
            g = REG(H_TMP);
        }
        emit_op(&t->e, size_flags(size) | rex8(size, g, is_high(i->reg)), 0x88 | opcode_bit(size), g.reg, e);
    }
}

/* The accumulator from or to a fixed address. */
static void emit_mov_fixed(struct trans *t, const struct insn *i)
{
    unsigned opcode = opcode_rows[i->row].opcode, size = opcode & 1 ? i->osize : SIZE_B;

    emit_fixed_address(t, i);
    emit_lookup(t, i, 1u << size, opcode >= 0xa2);
    emit_op(&t->e, size_flags(size), (opcode >= 0xa2 ? 0x88 : 0x8a) | opcode_bit(size), H_RAX, MEM(H_ADDR, 0));
}

static void emit_mov_immediate(struct trans *t, const struct insn *i)
{
    unsigned size = operand_size(i, 0);
    struct place dest = e_place(t, i, size, true);
    struct emit *e = &t->e;

    if (dest.kind == P_REG && size == SIZE_Q) {
        emit_mov_imm(e, dest.reg, (uint64_t)i->imm);
    } else if (dest.kind == P_REG && size == SIZE_D) {
        emit_mov_imm(e, dest.reg, (uint32_t)i->imm);
    } else if (dest.kind == P_SLOT && size >= SIZE_D) {
        uint64_t value = size == SIZE_Q ? (uint64_t)i->imm : (uint32_t)i->imm;

        if ((int64_t)value == (int32_t)value) {
            emit_store_imm(e, dest, (int32_t)value);
        } else {
            emit_mov_imm(e, H_TMP, value);
            emit_store(e, dest, H_TMP);
        }
    } else if (size == SIZE_B) {
        emit_op(e, rex8(size, dest, high_rm(i)), 0xc6, 0, dest);
        emit8(e, (uint8_t)i->imm);
    } else {
        emit_op(e, size_flags(size), 0xc7, 0, dest);
        emit8(e, (uint8_t)i->imm);
        emit8(e, (uint8_t)(i->imm >> 8));
        if (size != SIZE_W) {
            emit8(e, (uint8_t)(i->imm >> 16));
            emit8(e, (uint8_t)(i->imm >> 24));
        }
    }
}

/* MOVZX, MOVSX (arg: log2 of the source's bytes), MOVSXD. */
static void emit_extend(struct trans *t, const struct insn *i)
{
    unsigned from = t->rule[t->at]->arg, opcode = opcode_rows[i->row].opcode;
    struct place e = e_place(t, i, from, false), g = guest(i->reg);
    unsigned flags = size_flags(i->osize) | (opcode == 0x63 ? 0 : E_0F) | rex8(from, e, high_rm(i));

    emit_op(&t->e, flags, opcode, g.kind == P_REG ? g.reg : H_TMP, e);
    if (g.kind == P_SLOT)
        store_tmp(t, g, i->osize);
}

static void emit_lea_insn(struct trans *t, const struct insn *i)
{
    struct place g = guest(i->reg);
    struct insn flat = *i;

    flat.segbase = ZERO_OFFSET;
    if (g.kind == P_REG && i->osize >= SIZE_D && i->asize == SIZE_Q && i->base != RIP_OFFSET && i->base != ZERO_OFFSET &&
        guest(i->base).kind == P_REG && (i->index == ZERO_OFFSET || guest(i->index).kind == P_REG)) {
        emit_lea(&t->e, size_flags(i->osize), g.reg, guest(i->base).reg, i->index == ZERO_OFFSET ? NO_INDEX : guest(i->index).reg, i->scale,
                 i->disp);
        return;
    }
    emit_address(t, &flat);
    if (g.kind == P_REG)
        emit_op(&t->e, size_flags(i->osize), 0x89, H_ADDR, g);
    else if (i->osize == SIZE_D) {
        emit_op(&t->e, 0, 0x8b, H_ADDR, REG(H_ADDR));
        emit_store(&t->e, g, H_ADDR);
    } else
        emit_op(&t->e, size_flags(i->osize), 0x89, H_ADDR, g);
}

static void emit_cmov(struct trans *t, const struct insn *i)
{
    struct place e = e_place(t, i, i->osize, false), g = guest(i->reg);
    unsigned cc = opcode_rows[i->row].opcode & 15;

    flags_load(t, condition_flags(cc));
    if (g.kind == P_REG) {
        emit_op(&t->e, size_flags(i->osize) | E_0F, 0x40 | cc, g.reg, e);
        return;
    }
    load_tmp(t, g, i->osize);
    emit_op(&t->e, size_flags(i->osize) | E_0F, 0x40 | cc, H_TMP, e);
    store_tmp(t, g, i->osize);
}

static void emit_setcc(struct trans *t, const struct insn *i)
{
    struct place e = e_place(t, i, SIZE_B, true);

    flags_load(t, condition_flags(opcode_rows[i->row].opcode & 15));
    emit_op(&t->e, E_0F | rex8(SIZE_B, e, high_rm(i)), 0x90 | (opcode_rows[i->row].opcode & 15), 0,
            e);
    if (i->flags & INSN_MEM)
        t->host_flags = 0; /* the slow path comes here without them */
}

static void emit_xchg(struct trans *t, const struct insn *i) /* registers only */
{
    unsigned size = i->osize;
    struct place a = guest(i->rm), b = opcode_rows[i->row].opcode >= 0x90 ? guest((unsigned)GUEST(RAX)) : guest(i->reg);

    if (opcode_rows[i->row].opcode >= 0x90 && i->rm == (unsigned)GUEST(RAX))
        return; /* NOP */
    if (a.kind == P_SLOT) {
        struct place swap = a;

        a = b;
        b = swap;
    }
    load_tmp(t, b, size);
    if (a.kind == P_SLOT) {
        emit_op(&t->e, size_flags(size), 0x8b, H_ADDR, a);
        store_tmp(t, a, size);
    } else {
        emit_op(&t->e, size_flags(size), 0x87, a.reg, REG(H_TMP));
        if (b.kind == P_REG) {
            emit_op(&t->e, size_flags(size), 0x89, H_TMP, b);
        } else {
            if (size == SIZE_D)
                emit_op(&t->e, 0, 0x8b, H_TMP, REG(H_TMP));
            store_tmp(t, b, size);
        }
        return;
    }
    emit_op(&t->e, size == SIZE_D ? E_W : size_flags(size), 0x89, H_ADDR, b);
}

/* --- The stack --------------------------------------------------------------------------------------- */

static int item_size(const struct insn *i)
{
    return 1 << i->osize;
}

/* Where the next item goes, and then RSP. */
static void stack_place(struct trans *t, const struct insn *i)
{
    emit_stack_lookup(t, i, -item_size(i), (unsigned)item_size(i), true);
}

static void stack_grown(struct trans *t, const struct insn *i)
{
    emit_add(t, t->stack, H_SP, H_SP, -item_size(i));
}

static void emit_push(struct trans *t, const struct insn *i)
{
    const struct opcode_row *row = &opcode_rows[i->row];
    unsigned flags = size_flags(i->osize);
    struct emit *e = &t->e;

    stack_place(t, i);
    if (row->opcode == 0x68 || row->opcode == 0x6a) {
        emit_op(e, flags, 0xc7, 0, MEM(H_ADDR, 0));
        for (unsigned n = 0; n < (i->osize == SIZE_W ? 2 : 4); n++)
            emit8(e, (uint8_t)(i->imm >> 8 * n));
    } else {
        struct place r = guest(i->rm);

        if (r.kind == P_SLOT) {
            emit_load(e, H_TMP, r);
            r = REG(H_TMP);
        }
        emit_op(e, flags, 0x89, r.reg, MEM(H_ADDR, 0));
    }
    stack_grown(t, i);
}

static void emit_push_memory(struct trans *t, const struct insn *i)
{
    unsigned flags = size_flags(i->osize);
    struct emit *e = &t->e;

    emit_operand(t, i, (unsigned)item_size(i), false);
    emit_op(e, flags, 0x8b, H_TMP, MEM(H_ADDR, 0));
    emit_store(e, SLOT(JT(branch)), H_TMP);
    stack_place(t, i);
    emit_load(e, H_TMP, SLOT(JT(branch)));
    emit_op(e, flags, 0x89, H_TMP, MEM(H_ADDR, 0));
    stack_grown(t, i);
}

static void emit_pop(struct trans *t, const struct insn *i)
{
    struct place r = guest(i->rm);
    struct emit *e = &t->e;

    emit_stack_lookup(t, i, 0, (unsigned)item_size(i), false);
    emit_add(t, t->stack, H_SP, H_SP, item_size(i));
    if (r.kind == P_REG) {
        emit_op(e, size_flags(i->osize), 0x8b, r.reg, MEM(H_ADDR, 0));
    } else {
        load_tmp(t, MEM(H_ADDR, 0), i->osize);
        store_tmp(t, r, i->osize);
    }
}

static void emit_leave_insn(struct trans *t, const struct insn *i)
{
    emit_frame_lookup(t, i, (unsigned)item_size(i));
    emit_add(t, t->stack, H_SP, H_RBP, item_size(i));
    emit_op(&t->e, size_flags(i->osize), 0x8b, H_RBP, MEM(H_ADDR, 0));
}

/* --- The accumulator, byte order, nothing ------------------------------------------------------------ */

static void emit_same(struct trans *t, const struct insn *i) /* CBW, CWDE, CDQE; CWD, CDQ, CQO */
{
    unsigned flags = size_flags(i->osize);

    if (flags & E_66)
        emit8(&t->e, 0x66);
    if (flags & E_W)
        emit8(&t->e, 0x48);
    emit8(&t->e, opcode_rows[i->row].opcode);
}

static void emit_nop(struct trans *t, const struct insn *i)
{
    (void)t;
    (void)i;
}

static void emit_bswap(struct trans *t, const struct insn *i)
{
    struct place r = guest(i->rm);
    unsigned reg = r.kind == P_REG ? r.reg : H_TMP;

    if (r.kind == P_SLOT)
        load_tmp(t, r, i->osize);
    emit8(&t->e, 0x40 | (i->osize == SIZE_Q ? 8 : 0) | (reg & 8 ? 1 : 0));
    emit8(&t->e, 0x0f);
    emit8(&t->e, 0xc8 | (reg & 7));
    if (r.kind == P_SLOT)
        store_tmp(t, r, i->osize);
}

/* clang-format off */
const struct rule move_rules[] = {
    {0, 0x88, 0x8b, -1, PFX_ANY, 0, emit_mov, 0},
    {0, 0xa0, 0xa3, -1, PFX_ANY, R_EXITS | R_CLOBBERS, emit_mov_fixed, 0},
    {0, 0xc6, 0xc7, 0, PFX_ANY, 0, emit_mov_immediate, 0},
    {0, 0xb0, 0xbf, -1, PFX_ANY, 0, emit_mov_immediate, 0},
    {1, 0xb6, 0xb6, -1, PFX_ANY, 0, emit_extend, SIZE_B},
    {1, 0xb7, 0xb7, -1, PFX_ANY, 0, emit_extend, SIZE_W},
    {1, 0xbe, 0xbe, -1, PFX_ANY, 0, emit_extend, SIZE_B},
    {1, 0xbf, 0xbf, -1, PFX_ANY, 0, emit_extend, SIZE_W},
    {0, 0x63, 0x63, -1, PFX_ANY, R_WIDE | R_64, emit_extend, SIZE_D}, /* elsewhere it is ARPL */
    {0, 0x8d, 0x8d, -1, PFX_ANY, R_NOMEM, emit_lea_insn, 0},
    {1, 0x40, 0x4f, -1, PFX_ANY, R_READS, emit_cmov, 0},
    {1, 0x90, 0x9f, -1, PFX_ANY, R_READS, emit_setcc, 0},
    {0, 0xff, 0xff, 6, PFX_ANY, R_STACK | R_MEMORY, emit_push_memory, 0},
    {0, 0x50, 0x57, -1, PFX_ANY, R_STACK, emit_push, 0},
    {0, 0x58, 0x5f, -1, PFX_ANY, R_STACK, emit_pop, 0},
    {0, 0x68, 0x68, -1, PFX_ANY, R_STACK, emit_push, 0},
    {0, 0x6a, 0x6a, -1, PFX_ANY, R_STACK, emit_push, 0},
    {0, 0xc9, 0xc9, -1, PFX_ANY, R_STACK, emit_leave_insn, 0},
    {0, 0x87, 0x87, -1, PFX_ANY, R_REGISTER, emit_xchg, 0},
    {0, 0x98, 0x99, -1, PFX_ANY, 0, emit_same, 0},
    {0, 0x90, 0x90, -1, PFX_ANY, 0, emit_xchg, 0},
    {1, 0xc8, 0xcf, -1, PFX_ANY, R_WIDE, emit_bswap, 0},
    {1, 0x1e, 0x1f, -1, PFX_ANY, R_NOMEM, emit_nop, 0},
    {1, 0x0d, 0x0d, -1, PFX_ANY, R_NOMEM, emit_nop, 0},
    {1, 0x18, 0x18, -1, PFX_ANY, R_NOMEM, emit_nop, 0},
    {0, 0, 0, 0, 0, 0, NULL, 0},
};
/* clang-format on */
