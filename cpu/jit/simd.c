/*
 * simd.c - SSE instructions as themselves: the guest's XMM registers are the host's, its MXCSR too.
 */
#include "cpu/jit/translate.h"

static unsigned xmm_number(unsigned offset)
{
    return (offset - (unsigned)S(zmm)) / 64;
}

/* Bytes of a memory operand. */
static unsigned memory_size(const struct insn *i, unsigned operand)
{
    switch (operand) {
    case O_Wss:
    case O_Md:
    case O_Ed:
        return 4;
    case O_Wsd:
    case O_Wq:
    case O_Mq:
        return 8;
    case O_Ey:
    case O_My:
        return i->osize == SIZE_Q ? 8 : 4;
    case O_Ew:
    case O_Mw:
        return 2;
    default:
        return 16;
    }
}

static bool is_rm(unsigned operand)
{
    return (operand >= O_Eb && operand <= O_Ey) || (operand >= O_M && operand <= O_Mt) || operand == O_Wx ||
           operand == O_Wss || operand == O_Wsd || operand == O_Wq || operand == O_Ux;
}

static bool unaligned(const struct opcode_row *row)
{
    if (row->map != 1)
        return false;
    return row->opcode == 0x10 || row->opcode == 0x11 || (row->prefix == PFX_F3 && (row->opcode == 0x6f || row->opcode == 0x7f)) ||
           row->opcode == 0xf0;
}

/* The operand in ModRM.rm. */
static struct place rm_place(struct trans *t, const struct insn *i, unsigned operand, bool write)
{
    const struct opcode_row *row = &opcode_rows[i->row];
    unsigned size = memory_size(i, operand);

    if (i->flags & INSN_MEM) {
        struct later *l = NULL;

        emit_address(t, i);
        if (size == 16 && !unaligned(row)) {
            emit_op(&t->e, E_REX, 0xf6, 0, REG(H_ADDR));
            emit8(&t->e, 15);
            l = emit_later(t, emit_jcc(&t->e, CC_NE, NULL), LATER_SLOW);
            l->site = new_site(t, i);
            l->table = NOT_LOOKED_UP;
            t->jit->sites[l->site].size = 16;
            t->jit->sites[l->site].way = write ? WAY_WRITE : WAY_READ;
            t->jit->sites[l->site].aligned = true;
        }
        emit_lookup(t, i, size, write);
        return MEM(H_ADDR, 0);
    }
    if (i->rm >= (unsigned)S(zmm))
        return REG(xmm_number(i->rm));
    return guest(i->rm);
}

static void emit_simd(struct trans *t, const struct insn *i)
{
    static const uint8_t prefixes[] = {[PFX_ANY] = 0, [PFX_NONE] = 0, [PFX_66] = E_66, [PFX_F3] = E_F3, [PFX_F2] = E_F2};
    const struct opcode_row *row = &opcode_rows[i->row];
    unsigned flags = prefixes[row->prefix] | (row->map == 1 ? E_0F : row->map == 2 ? E_0F | E_0F38 : E_0F | E_0F3A);
    unsigned n = is_rm(row->operand[0]) ? 0 : 1, reg, rm_operand = row->operand[n];
    bool to_rm = n == 0 && row->operand[1] != O_Ib; /* shifts by an immediate have nothing but rm */
    struct place rm = rm_place(t, i, rm_operand, n == 0 && i->flags & INSN_MEM), result = rm;
    bool wide = i->osize == SIZE_Q && ((rm_operand >= O_Eb && rm_operand <= O_Ey) || row->operand[0] == O_Gy ||
                                       rm_operand == O_My);
    uint32_t read, written;

    if (wide)
        flags |= E_W;
    if (row->sel & SEL_HAS_EXT) {
        reg = row->sel >> 5 & 7;
    } else if (i->reg >= (unsigned)S(zmm)) {
        reg = xmm_number(i->reg);
    } else { /* a general register */
        result = guest(i->reg);
        reg = result.kind == P_REG ? result.reg : H_TMP;
        if (n == 0 && result.kind == P_SLOT)
            emit_load(&t->e, H_TMP, result); /* MOVNTI */
    }
    if (!(i->flags & INSN_MEM) && rm.kind == P_SLOT) {
        if (n == 1)
            emit_load(&t->e, H_TMP, rm);
        rm = REG(H_TMP);
    }
    emit_op(&t->e, flags, row->opcode, reg, rm);
    for (unsigned k = 0; k < 4; k++)
        if (row->operand[k] == O_Ib)
            emit8(&t->e, (uint8_t)i->imm);
    /* A general register in struct cpu: the host zero-extended it in r13. */
    if (result.kind == P_SLOT && (n == 1 || to_rm) && !(n == 0 && i->flags & INSN_MEM) &&
        !(n == 1 && i->reg >= (unsigned)S(zmm)))
        emit_store(&t->e, result, H_TMP);
    row_flags(i, &read, &written);
    if (written) {
        t->host_flags = FLAGS_ARITH;
        flags_save_image(t);
    }
}

/* clang-format off */
#define SIMD(first, last, prefix) {1, first, last, -1, prefix, R_XMM, emit_simd, 0}
const struct rule simd_rules[] = {
    SIMD(0x10, 0x17, PFX_ANY), SIMD(0x28, 0x29, PFX_ANY),
    SIMD(0x2a, 0x2a, PFX_F3), SIMD(0x2a, 0x2a, PFX_F2),
    SIMD(0x2b, 0x2b, PFX_ANY),
    SIMD(0x2c, 0x2d, PFX_F3), SIMD(0x2c, 0x2d, PFX_F2),
    SIMD(0x2e, 0x2f, PFX_ANY), SIMD(0x50, 0x5f, PFX_ANY),
    SIMD(0x60, 0x76, PFX_66), SIMD(0x6f, 0x70, PFX_F3), SIMD(0x70, 0x70, PFX_F2),
    SIMD(0x7c, 0x7f, PFX_66), SIMD(0x7c, 0x7d, PFX_F2), SIMD(0x7e, 0x7f, PFX_F3),
    SIMD(0xc2, 0xc2, PFX_ANY), SIMD(0xc4, 0xc5, PFX_66), SIMD(0xc6, 0xc6, PFX_ANY),
    SIMD(0xd0, 0xd5, PFX_66), SIMD(0xd0, 0xd0, PFX_F2), SIMD(0xd6, 0xf6, PFX_66), SIMD(0xe6, 0xe6, PFX_F3),
    SIMD(0xe6, 0xe6, PFX_F2), SIMD(0xf0, 0xf0, PFX_F2), SIMD(0xf8, 0xfe, PFX_66),
    {0, 0, 0, 0, 0, 0, NULL, 0},
};
/* clang-format on */
