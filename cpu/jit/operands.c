/*
 * operands.c - operands of general-purpose instructions: the same instruction on the host has them renamed.
 *
 * Where a guest register lives in struct cpu it is worked on in r13. A memory operand's host address is in r14.
 */
#include "cpu/jit/translate.h"

bool is_dest_e(const struct insn *i)
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
    emit_operand(t, i, 1u << size, write);
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
