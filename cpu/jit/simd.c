/*
 * simd.c - SSE instructions as themselves: the guest's XMM registers are the host's, its MXCSR too.
 */
#include "cpu/fpu.h"
#include "cpu/jit/translate.h"

static unsigned xmm_number(unsigned offset)
{
    return (offset - (unsigned)S(zmm)) / 64;
}

/* PINSRB, PINSRW, PEXTRB, PEXTRW name a 32-bit register, or that many bytes of memory; else 0. */
static unsigned narrow_size(const struct opcode_row *row)
{
    unsigned map = row->map <= VEX ? row->map : row->map - VEX;

    if (map == 1)
        return row->opcode == 0xc4 ? 2 : 0;
    if (map != 3)
        return 0;
    return row->opcode == 0x14 || row->opcode == 0x20 ? 1 : row->opcode == 0x15 ? 2 : 0;
}

/* Bytes of a memory operand. */
static unsigned memory_size(const struct insn *i, unsigned operand)
{
    unsigned vector = opcode_rows[i->row].attr & A_VEC && i->osize == VEC_Y ? 32 : 16;

    switch (operand) {
    case O_Wss:
    case O_Md:
        return 4;
    case O_Ed:
        return narrow_size(&opcode_rows[i->row]) ? narrow_size(&opcode_rows[i->row]) : 4;
    case O_Wsd:
    case O_Wq:
    case O_Mq:
    case O_Eq:
        return 8;
    case O_Ey:
    case O_My:
        return i->osize == SIZE_Q ? 8 : 4;
    case O_Ew:
    case O_Mw:
        return 2;
    case O_Eb:
    case O_Mb:
        return 1;
    case O_Wdq:
    case O_Mdq:
        return 16;
    case O_Wx:
        return vector;
    case O_Wh:
        return vector / 2;
    case O_Wf:
        return vector / 4;
    case O_We:
        return vector / 8;
    default: /* none that a rule takes */
        return 0;
    }
}

static bool is_rm(unsigned operand)
{
    return (operand >= O_Eb && operand <= O_Ey) || (operand >= O_M && operand <= O_Mt) ||
           (operand >= O_Wx && operand <= O_Ux) || (operand >= O_Wdq && operand <= O_We);
}

/* Legacy ones all but a few; of the VEX-encoded ones VMOVAPS, VMOVAPD, VMOVDQA and the non-temporal moves. */
static bool unaligned(const struct opcode_row *row)
{
    unsigned opcode = row->opcode;

    if (row->map == VEX + 1)
        return !(opcode == 0x28 || opcode == 0x29 || opcode == 0x2b || opcode == 0xe7 ||
                 (row->prefix == PFX_66 && (opcode == 0x6f || opcode == 0x7f)));
    if (row->map == VEX + 2)
        return opcode != 0x2a;
    if (row->map != 1)
        return row->map > VEX || row->feature == F_SHA;
    return opcode == 0x10 || opcode == 0x11 || (row->prefix == PFX_F3 && (opcode == 0x6f || opcode == 0x7f)) || opcode == 0xf0;
}

/* The operand in ModRM.rm. */
static struct place rm_place(struct trans *t, const struct insn *i, unsigned operand, bool write)
{
    const struct opcode_row *row = &opcode_rows[i->row];
    unsigned size = memory_size(i, operand);

    if (i->flags & INSN_MEM) {
        struct later *l = NULL;

        emit_address(t, i);
        if (size >= 16 && !unaligned(row) && has_checked_segment(t, i->seg)) {
            emit_alignment(t, i, i->seg, size);
        } else if (size >= 16 && !unaligned(row)) {
            emit_op(&t->e, E_REX, 0xf6, 0, REG(H_ADDR));
            emit8(&t->e, size - 1);
            l = emit_later(t, emit_jcc(&t->e, CC_NE, NULL), LATER_SLOW);
            l->site = new_site(t, i);
            l->table = NOT_LOOKED_UP;
            t->jit->sites[l->site].size = (uint8_t)size;
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

static unsigned prefix_flags(const struct opcode_row *row)
{
    static const uint8_t flags[] = {[PFX_ANY] = 0, [PFX_NONE] = 0, [PFX_66] = E_66, [PFX_F3] = E_F3, [PFX_F2] = E_F2};

    return flags[row->prefix];
}

/* Which of the row's operands is in ModRM.rm. */
static unsigned rm_index(const struct opcode_row *row)
{
    unsigned n = 0;

    while (n < 4 && !is_rm(row->operand[n]))
        n++;
    return n;
}

static bool names(const struct opcode_row *row, unsigned operand)
{
    return row->operand[0] == operand || row->operand[1] == operand || row->operand[2] == operand ||
           row->operand[3] == operand;
}

/*
 * What rules for whole ranges of VEX opcodes take: instructions whose only side is their operands. Of VEX-encoded ones on
 * general registers those with one result.
 */
bool simd_supported(const struct jit *jit, const struct insn *i)
{
    const struct opcode_row *row = &opcode_rows[i->row];
    unsigned n = rm_index(row);

    if (row->map <= VEX)
        return jit->host[row->feature] && !((i->flags & INSN_MEM) && (n == 4 || !memory_size(i, row->operand[n])));
    if (row->map == VEX + 1 && row->opcode == 0x77)
        return jit->ymm;
    if (!jit->host[row->feature] || (row->attr & A_VEC && i->osize == VEC_Y && !jit->ymm) || names(row, O_Mvm))
        return false;
    if (n == 4 || ((i->flags & INSN_MEM) && !memory_size(i, row->operand[n])))
        return false;
    if (names(row, O_By))
        return row->operand[0] == O_Gy && !(row->map == VEX + 2 && row->opcode == 0xf6); /* not MULX */
    return jit->ymm;
}

static void emit_simd(struct trans *t, const struct insn *i)
{
    const struct opcode_row *row = &opcode_rows[i->row];
    bool vex = row->map > VEX, mem = i->flags & INSN_MEM;
    unsigned flags = prefix_flags(row), n = rm_index(row), reg, rm_operand = row->operand[n];
    struct place rm, result;
    uint32_t read, written;

    if (n == 4) { /* shifts by an immediate name nothing but rm: Ux */
        n = 0;
        rm_operand = O_Ux;
    }
    rm = rm_place(t, i, rm_operand, n == 0 && mem);
    result = rm;
    if (!(row->attr & A_VEC) && i->osize == SIZE_Q && (names(row, O_Ey) || names(row, O_Gy) || names(row, O_My) || names(row, O_Eq)))
        flags |= E_W;
    if (row->sel & SEL_W1)
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
    if (!mem && rm.kind == P_SLOT) {
        if (n != 0)
            emit_load(&t->e, H_TMP, rm);
        rm = REG(H_TMP);
    }
    if (vex)
        emit_vex(&t->e, flags | (row->attr & A_VEC && i->osize == VEC_Y ? E_L : 0), row->map - VEX, row->opcode, reg,
                 names(row, O_Hx) ? i->vreg : 0, rm);
    else
        emit_op(&t->e, flags | (row->map == 1 ? E_0F : row->map == 2 ? E_0F | E_0F38 : E_0F | E_0F3A), row->opcode, reg, rm);
    if (names(row, O_Ib))
        emit8(&t->e, (uint8_t)i->imm);
    else if (names(row, O_Lx)) /* a register, of which there are eight in 32-bit code */
        emit8(&t->e, (uint8_t)i->imm & (t->word == 8 ? 0xff : 0x7f));
    /* A general register in struct cpu: the host zero-extended it in r13. */
    if (result.kind == P_SLOT && !(n == 0 && mem) && !(n != 0 && i->reg >= (unsigned)S(zmm)))
        emit_store(&t->e, result, H_TMP);
    row_flags(i, &read, &written);
    if (written) {
        t->host_flags = FLAGS_ARITH;
        flags_save_image(t);
    }
}

static void emit_stmxcsr(struct trans *t, const struct insn *i)
{
    emit_op(&t->e, E_0F, 0xae, 3, rm_place(t, i, O_Md, true));
}

/* A value that unmasks something, or has a reserved bit, is for the body. */
static void emit_ldmxcsr(struct trans *t, const struct insn *i)
{
    struct place p = rm_place(t, i, O_Md, false);
    struct emit *e = &t->e;
    uint8_t *fine;

    emit_op(e, 0, 0x8b, H_TMP, p);
    emit_alu_imm(e, 0, 4, REG(H_TMP), (int32_t)(0xffff0000 | MXCSR_MASKS));
    emit_alu_imm(e, 0, 7, REG(H_TMP), MXCSR_MASKS);
    fine = emit_jcc(e, CC_E, NULL);
    emit_mov_imm(e, H_TMP, new_site(t, i));
    emit_jmp(e, t->jit->body);
    emit_land(e, fine);
    emit_op(e, E_0F, 0xae, 2, p);
}

/* In 32-bit code of the first eight registers alone: VXORPS of each with itself, or VMOVAPS to itself. */
static void emit_vzero(struct trans *t, const struct insn *i)
{
    bool all = opcode_rows[i->row].sel & SEL_L1;

    for (unsigned n = 0; n < 8 && t->word == 4; n++)
        emit_vex(&t->e, 0, 1, all ? 0x57 : 0x28, n, all ? n : 0, REG(n));
    if (t->word == 4)
        return;
    emit8(&t->e, 0xc5);
    emit8(&t->e, all ? 0xfc : 0xf8);
    emit8(&t->e, 0x77);
}

/* VEX-encoded instructions on general registers: G, and of E and VEX.vvvv one or both. */
static void emit_vex_integer(struct trans *t, const struct insn *i)
{
    const struct opcode_row *row = &opcode_rows[i->row];
    struct place e, g = guest(i->reg), b = guest((unsigned)GUEST(i->vreg));
    unsigned reg = g.kind == P_REG ? g.reg : H_TMP, v = b.reg;
    uint32_t read, written;

    row_flags(i, &read, &written);
    e = e_place(t, i, i->osize, false);
    if (!names(row, O_By)) {
        v = 0;
    } else if (b.kind == P_SLOT) {
        v = i->flags & INSN_MEM ? H_TMP : H_ADDR;
        emit_load(&t->e, v, b);
    }
    if (e.kind == P_SLOT) {
        emit_load(&t->e, H_TMP, e);
        e = REG(H_TMP);
    }
    emit_vex(&t->e, prefix_flags(row) | size_flags(i->osize), row->map - VEX, row->opcode, reg, v, e);
    if (names(row, O_Ib))
        emit8(&t->e, (uint8_t)i->imm);
    if (g.kind == P_SLOT)
        store_tmp(t, g, i->osize);
    if (written) {
        t->host_flags = FLAGS_ARITH;
        flags_save_image(t);
    }
}

/* clang-format off */
#define SIMD(first, last, prefix) {1, first, last, -1, prefix, R_XMM, emit_simd, 0}
#define SIMD_38(first, last) {2, first, last, -1, PFX_66, R_XMM, emit_simd, 0}
#define SIMD_3A(first, last) {3, first, last, -1, PFX_66, R_XMM, emit_simd, 0}
#define AVX(map, first, last) {VEX + (map), first, last, -1, PFX_ANY, R_XMM | R_YMM, emit_simd, 0}
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
    {1, 0xae, 0xae, 2, PFX_NONE, R_XMM | R_EXITS | R_CLOBBERS, emit_ldmxcsr, 0},
    {1, 0xae, 0xae, 3, PFX_NONE, R_XMM, emit_stmxcsr, 0},
    SIMD(0xe6, 0xe6, PFX_F2), SIMD(0xf0, 0xf0, PFX_F2), SIMD(0xf8, 0xfe, PFX_66),
    /* Legacy SSSE3 to GFNI; not PCMPxSTRx, which make registers and flags of their own. */
    SIMD_38(0x00, 0x0b), SIMD_38(0x10, 0x40), SIMD_38(0xcf, 0xdf),
    SIMD_3A(0x08, 0x0f), SIMD_3A(0x14, 0x44), SIMD_3A(0xce, 0xdf),
    AVX(1, 0x10, 0x17), AVX(1, 0x28, 0x2f), AVX(1, 0x50, 0x76), AVX(1, 0x7c, 0x7f), AVX(1, 0xc2, 0xc6),
    AVX(1, 0xd0, 0xf6), AVX(1, 0xf8, 0xfe),
    AVX(2, 0x00, 0x2b), AVX(2, 0x30, 0x5a), AVX(2, 0x78, 0x79), AVX(2, 0x96, 0xbf), AVX(2, 0xcf, 0xdf),
    AVX(3, 0x00, 0x4c), AVX(3, 0xce, 0xdf),
    {VEX + 1, 0x77, 0x77, -1, PFX_ANY, R_XMM | R_YMM, emit_vzero, 0},
    {VEX + 2, 0xf2, 0xf7, -1, PFX_ANY, 0, emit_vex_integer, 0},
    {VEX + 3, 0xf0, 0xf0, -1, PFX_F2, 0, emit_vex_integer, 0},
    {0, 0, 0, 0, 0, 0, NULL, 0},
};
/* clang-format on */
