/*
 * integer.c - general-purpose instructions: the same operation on the host, its operands renamed.
 *
 * Where a guest register lives in struct cpu it is worked on in r13. A memory operand's host address is in r14.
 */
#include "cpu/jit/translate.h"

static bool is_dest_e(const struct insn *i)
{
    unsigned o = opcode_rows[i->row].operand[0];

    return o == O_Eb || o == O_Ev || o == O_Ew || o == O_Ey || o == O_Zb || o == O_Zv || o == O_Zy || o == O_AL || o == O_rAX ||
           o == O_eAX || o == O_AX || o == O_Rv || o == O_Ry || o == O_Ed || o == O_Eq;
}

/* Size of an operand: of a byte operand 0, else the instruction's. */
unsigned operand_size(const struct insn *i, unsigned n)
{
    unsigned o = opcode_rows[i->row].operand[n];

    return o == O_Eb || o == O_Gb || o == O_Zb || o == O_AL ? SIZE_B : i->osize;
}

/* REX for SPL to DIL, which without it are AH to BH. */
unsigned rex8(unsigned size, struct place p, bool high)
{
    return size == SIZE_B && p.kind == P_REG && p.reg >= 4 && p.reg < 8 && !high ? E_REX : 0;
}

bool high_rm(const struct insn *i)
{
    return !(i->flags & INSN_MEM) && is_high(i->rm);
}

unsigned opcode_bit(unsigned size)
{
    return size == SIZE_B ? 0 : 1;
}

/* The E operand as a place, its address looked up if it is memory. */
struct place e_place(struct trans *t, const struct insn *i, unsigned size, bool write)
{
    if (!(i->flags & INSN_MEM))
        return guest(i->rm);
    emit_address(t, i);
    emit_lookup(t, i, 1u << size, write);
    return MEM(H_ADDR, 0);
}

/* Writes r13 to a guest register that lives in struct cpu; 32-bit results are zero-extended. */
void store_tmp(struct trans *t, struct place p, unsigned size)
{
    emit_op(&t->e, size == SIZE_D ? E_W : size_flags(size) | (size == SIZE_B ? E_REX : 0), 0x88 | opcode_bit(size), H_TMP, p);
}

void load_tmp(struct trans *t, struct place p, unsigned size)
{
    if (size == SIZE_B || size == SIZE_W)
        emit_op(&t->e, E_0F, size == SIZE_B ? 0xb6 : 0xb7, H_TMP, p); /* MOVZX: no false dependence */
    else
        emit_op(&t->e, size_flags(size), 0x8b, H_TMP, p);
}

/* Stores a register's value as a flags operand; its upper part may be anything. */
static void keep_register(struct trans *t, int32_t slot, unsigned reg, bool high)
{
    if (high)
        emit_op(&t->e, 0, 0x88, reg, SLOT(slot));
    else
        emit_store(&t->e, SLOT(slot), reg);
}

void keep_place(struct trans *t, int32_t slot, struct place p, unsigned size, bool high)
{
    if (p.kind == P_REG) {
        keep_register(t, slot, p.reg, high);
    } else {
        load_tmp(t, p, size);
        emit_store(&t->e, SLOT(slot), H_TMP);
    }
}

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

static void emit_mov(struct trans *t, const struct insn *i)
{
    unsigned size = operand_size(i, 0);
    bool to_e = is_dest_e(i), mem = i->flags & INSN_MEM;
    struct place e = e_place(t, i, size, to_e), g = guest(i->reg);

    if (!to_e) {
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

/* Where the next item goes, and then RSP. */
static void stack_place(struct trans *t, const struct insn *i)
{
    emit_lea(&t->e, t->wide, H_ADDR, H_SP, NO_INDEX, 0, -(int32_t)t->word);
    emit_stack_lookup(t, i, t->word, true);
}

static void stack_grown(struct trans *t)
{
    emit_lea(&t->e, t->wide, H_SP, H_SP, NO_INDEX, 0, -(int32_t)t->word);
}

static void emit_push(struct trans *t, const struct insn *i)
{
    const struct opcode_row *row = &opcode_rows[i->row];
    struct emit *e = &t->e;

    stack_place(t, i);
    if (row->opcode == 0x68 || row->opcode == 0x6a) {
        emit_op(e, t->wide, 0xc7, 0, MEM(H_ADDR, 0));
        emit32(e, (uint32_t)i->imm);
    } else {
        struct place r = guest(i->rm);

        if (r.kind == P_SLOT) {
            emit_load(e, H_TMP, r);
            r = REG(H_TMP);
        }
        emit_op(e, t->wide, 0x89, r.reg, MEM(H_ADDR, 0));
    }
    stack_grown(t);
}

static void emit_push_memory(struct trans *t, const struct insn *i)
{
    struct emit *e = &t->e;

    emit_address(t, i);
    emit_lookup(t, i, t->word, false);
    emit_op(e, t->wide, 0x8b, H_TMP, MEM(H_ADDR, 0));
    emit_store(e, SLOT(JT(branch)), H_TMP);
    stack_place(t, i);
    emit_load(e, H_TMP, SLOT(JT(branch)));
    emit_op(e, t->wide, 0x89, H_TMP, MEM(H_ADDR, 0));
    stack_grown(t);
}

static void emit_pop(struct trans *t, const struct insn *i)
{
    struct place r = guest(i->rm);
    struct emit *e = &t->e;

    emit_op(e, t->wide, 0x8b, H_ADDR, REG(H_SP));
    emit_stack_lookup(t, i, t->word, false);
    emit_lea(e, t->wide, H_SP, H_SP, NO_INDEX, 0, (int32_t)t->word);
    if (r.kind == P_REG) {
        emit_op(e, t->wide, 0x8b, r.reg, MEM(H_ADDR, 0));
    } else {
        emit_load(e, H_TMP, MEM(H_ADDR, 0));
        emit_store(e, r, H_TMP);
    }
}

static void emit_leave_insn(struct trans *t, const struct insn *i)
{
    struct emit *e = &t->e;

    emit_op(e, t->wide, 0x8b, H_ADDR, REG(H_RBP));
    emit_lookup(t, i, t->word, false);
    emit_lea(e, t->wide, H_SP, H_RBP, NO_INDEX, 0, (int32_t)t->word);
    emit_op(e, t->wide, 0x8b, H_RBP, MEM(H_ADDR, 0));
}

/* --- Multiplication and division --------------------------------------------------------------------- */

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
 * DIV and IDIV of 32 and 64 bits where it is easy to see that the quotient fits: else the body decides. Unsigned: the
 * upper half is less than the divisor. Signed: the dividend is an extended lower half, and the divisor neither 0 nor -1.
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
        emit8(m, i->osize == SIZE_Q ? 63 : 31);
        emit_op(m, flags, 0x3b, H_TMP, REG(H_RDX));
        hard[0] = emit_jcc(m, CC_NE, NULL);
        emit_lea(m, flags, H_TMP, e.reg, NO_INDEX, 0, 1);
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

/* --- Sign extensions of the accumulator, flags, bits ------------------------------------------------- */

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

    if (g.kind == P_SLOT)
        load_tmp(t, g, i->osize);
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
const struct rule integer_rules[] = {
    {0, 0x88, 0x8b, -1, PFX_ANY, 0, emit_mov, 0},
    {0, 0xa0, 0xa3, -1, PFX_ANY, R_EXITS | R_CLOBBERS, emit_mov_fixed, 0},
    {0, 0x40, 0x4f, -1, PFX_ANY, 0, emit_inc_dec, 0},
    ALU_ROWS(0x00), ALU_ROWS(0x08), ALU_ROWS(0x10), ALU_ROWS(0x18),
    ALU_ROWS(0x20), ALU_ROWS(0x28), ALU_ROWS(0x30), ALU_ROWS(0x38),
    {0, 0x80, 0x83, -1, PFX_ANY, 0, emit_alu_imm_insn, 0},
    {0, 0x84, 0x85, -1, PFX_ANY, 0, emit_alu_eg, TEST},
    {0, 0xa8, 0xa9, -1, PFX_ANY, 0, emit_alu_imm_insn, TEST},
    {0, 0xf6, 0xf7, 0, PFX_ANY, 0, emit_alu_imm_insn, TEST},
    {0, 0xf6, 0xf7, 1, PFX_ANY, 0, emit_alu_imm_insn, TEST},
    {0, 0xf6, 0xf7, 2, PFX_ANY, 0, emit_not, 0},
    {0, 0xf6, 0xf7, 3, PFX_ANY, 0, emit_neg, 0},
    {0, 0xf6, 0xf7, 4, PFX_ANY, 0, emit_mul, 0},
    {0, 0xf6, 0xf7, 5, PFX_ANY, 0, emit_mul, 0},
    {0, 0xf7, 0xf7, 6, PFX_ANY, R_EXITS | R_CLOBBERS | R_WIDE, emit_div, 0},
    {0, 0xf7, 0xf7, 7, PFX_ANY, R_EXITS | R_CLOBBERS | R_WIDE, emit_div, 0},
    {0, 0xfe, 0xff, 0, PFX_ANY, 0, emit_inc_dec, 0},
    {0, 0xfe, 0xff, 1, PFX_ANY, 0, emit_inc_dec, 0},
    {0, 0xc0, 0xc1, -1, PFX_ANY, R_SHIFT, emit_shift, 0},
    {0, 0xd0, 0xd3, -1, PFX_ANY, R_SHIFT, emit_shift, 0},
    {0, 0xc6, 0xc7, 0, PFX_ANY, 0, emit_mov_immediate, 0},
    {0, 0xb0, 0xbf, -1, PFX_ANY, 0, emit_mov_immediate, 0},
    {1, 0xb6, 0xb6, -1, PFX_ANY, 0, emit_extend, SIZE_B},
    {1, 0xb7, 0xb7, -1, PFX_ANY, 0, emit_extend, SIZE_W},
    {1, 0xbe, 0xbe, -1, PFX_ANY, 0, emit_extend, SIZE_B},
    {1, 0xbf, 0xbf, -1, PFX_ANY, 0, emit_extend, SIZE_W},
    {0, 0x63, 0x63, -1, PFX_ANY, R_WIDE, emit_extend, SIZE_D},
    {0, 0x8d, 0x8d, -1, PFX_ANY, R_NOMEM, emit_lea_insn, 0},
    {1, 0x40, 0x4f, -1, PFX_ANY, R_READS, emit_cmov, 0},
    {1, 0x90, 0x9f, -1, PFX_ANY, R_READS, emit_setcc, 0},
    {0, 0xff, 0xff, 6, PFX_ANY, R_STACK | R_MEMORY, emit_push_memory, 0},
    {0, 0x50, 0x57, -1, PFX_ANY, R_STACK, emit_push, 0},
    {0, 0x58, 0x5f, -1, PFX_ANY, R_STACK, emit_pop, 0},
    {0, 0x68, 0x68, -1, PFX_ANY, R_STACK, emit_push, 0},
    {0, 0x6a, 0x6a, -1, PFX_ANY, R_STACK, emit_push, 0},
    {0, 0xc9, 0xc9, -1, PFX_ANY, R_STACK, emit_leave_insn, 0},
    {0, 0x69, 0x69, -1, PFX_ANY, 0, emit_imul, 0},
    {0, 0x6b, 0x6b, -1, PFX_ANY, 0, emit_imul, 0},
    {1, 0xaf, 0xaf, -1, PFX_ANY, 0, emit_imul, 0},
    {1, 0xa3, 0xa3, -1, PFX_ANY, R_REGISTER, emit_bits, 0},
    {1, 0xab, 0xab, -1, PFX_ANY, R_REGISTER, emit_bits, 0},
    {1, 0xb3, 0xb3, -1, PFX_ANY, R_REGISTER, emit_bits, 0},
    {1, 0xba, 0xbb, -1, PFX_ANY, R_REGISTER, emit_bits, 0},
    {1, 0xa4, 0xa5, -1, PFX_ANY, R_MAYBE | R_REGISTER | R_CLOBBERS, emit_double_shift, 0},
    {1, 0xac, 0xad, -1, PFX_ANY, R_MAYBE | R_REGISTER | R_CLOBBERS, emit_double_shift, 0},
    {1, 0xb8, 0xb8, -1, PFX_F3, R_HOST, emit_scan, 0},
    {1, 0xbc, 0xbd, -1, PFX_F3, R_HOST, emit_scan, 0},
    {1, 0xbc, 0xbd, -1, PFX_ANY, 0, emit_scan, 0},
    {0, 0x87, 0x87, -1, PFX_ANY, R_REGISTER, emit_xchg, 0},
    {0, 0x98, 0x99, -1, PFX_ANY, 0, emit_same, 0},
    {0, 0x90, 0x90, -1, PFX_ANY, 0, emit_xchg, 0},
    {1, 0xc8, 0xcf, -1, PFX_ANY, 0, emit_bswap, 0},
    {1, 0x1e, 0x1f, -1, PFX_ANY, R_NOMEM, emit_nop, 0},
    {1, 0x0d, 0x0d, -1, PFX_ANY, R_NOMEM, emit_nop, 0},
    {1, 0x18, 0x18, -1, PFX_ANY, R_NOMEM, emit_nop, 0},
    {0, 0xf5, 0xf5, -1, PFX_ANY, R_CLOBBERS, emit_carry, 0},
    {0, 0xf8, 0xf9, -1, PFX_ANY, 0, emit_carry, 0},
    {0, 0, 0, 0, 0, 0, NULL, 0},
};
/* clang-format on */
