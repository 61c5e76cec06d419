/*
 * x87.c - x87 instructions as themselves, while all exceptions are masked: the host's x87 holds the guest's state. What the
 * host would remember of FIP, FDP and FOP is its own, so the last instruction is remembered for the guest.
 */
#include "cpu/jit/translate.h"

/* Bytes of memory operands by opcode - D8 and ModRM.reg; 0: left to the interpreter. */
static const uint8_t memory_size[8][8] = {
    {4, 4, 4, 4, 4, 4, 4, 4}, {4, 0, 4, 4, 0, 2, 0, 2}, {4, 4, 4, 4, 4, 4, 4, 4}, {4, 4, 4, 4, 0, 10, 0, 10},
    {8, 8, 8, 8, 8, 8, 8, 8}, {8, 8, 8, 8, 0, 0, 0, 2}, {2, 2, 2, 2, 2, 2, 2, 2}, {2, 2, 2, 2, 10, 8, 10, 8}};

/* Bit n: ModRM.reg n stores. */
static const uint8_t stores[8] = {0, 0x8c, 0, 0x8e, 0, 0x8e, 0, 0xce};

static unsigned modrm_of(const struct insn *i)
{
    return (uint8_t)i->imm;
}

/* FNSTCW, FNSTSW and FLDCW leave the pointers alone. */
static bool is_control(unsigned opcode, unsigned modrm)
{
    unsigned n = modrm >> 3 & 7;

    if (modrm < 0xc0)
        return (opcode == 1 && (n == 5 || n == 7)) || (opcode == 5 && n == 7);
    return opcode == 7 && modrm == 0xe0;
}

bool x87_supported(const struct insn *i)
{
    unsigned opcode = (unsigned)i->imm >> 8 & 7, modrm = modrm_of(i);

    if (opcode_rows[i->row].opcode == 0x9b)
        return true;
    if (i->flags & INSN_MEM)
        return memory_size[opcode][modrm >> 3 & 7] && i->segbase == ZERO_OFFSET;
    return !(opcode == 3 && modrm >= 0xe0 && modrm < 0xe8); /* FNCLEX, FNINIT */
}

/* FLDCW of a word that unmasks something is left to the body. */
static void check_masks(struct trans *t, const struct insn *i)
{
    struct emit *e = &t->e;
    uint8_t *fine;

    emit_op(e, E_0F, 0xb7, H_TMP, MEM(H_ADDR, 0));
    emit_op(e, 0, 0xf7, 2, REG(H_TMP));
    emit_op(e, E_REX, 0xf6, 0, REG(H_TMP));
    emit8(e, 0x3f);
    fine = emit_jcc(e, CC_E, NULL);
    emit_mov_imm(e, H_TMP, new_site(t, i));
    emit_jmp(e, t->jit->body);
    emit_land(e, fine);
}

static void emit_x87(struct trans *t, const struct insn *i)
{
    unsigned opcode = (unsigned)i->imm >> 8 & 7, modrm = modrm_of(i), n = modrm >> 3 & 7;
    struct emit *e = &t->e;
    uint32_t read, written;

    row_flags(i, &read, &written);
    if (read) /* FCMOVcc */
        flags_load(t, read);
    if (i->flags & INSN_MEM) {
        emit_operand(t, i, memory_size[opcode][n], stores[opcode] >> n & 1);
        if (opcode == 1 && n == 5)
            check_masks(t, i);
        emit_op(e, 0, 0xd8 | opcode, n, MEM(H_ADDR, 0));
    } else {
        emit8(e, 0xd8 | opcode);
        emit8(e, modrm);
    }
    if (!is_control(opcode, modrm)) {
        uint32_t site = new_site(t, i);

        if (i->flags & INSN_MEM) {
            struct insn offset = *i; /* FDP is what the segment's base is added to */

            offset.segbase = ZERO_OFFSET;
            emit_address(t, &offset);
            emit_store(e, SLOT(JT(x87_data)), H_ADDR);
            emit_store_imm32(e, SLOT(JT(x87_data_site)), site);
        }
        if (!t->x87_page) {
            emit_rip(t, H_TMP, 0);
            emit_store(e, SLOT(JT(x87_page)), H_TMP);
            t->x87_page = !(i->flags & INSN_MEM); /* its body may run instead of this */
        }
        emit_store_imm32(e, SLOT(JT(x87_site)), site);
    }
    if (written) {
        t->host_flags = FLAGS_ARITH;
        flags_save_image(t);
    }
}

static void emit_wait(struct trans *t, const struct insn *i)
{
    (void)t;
    (void)i; /* nothing is unmasked, so nothing is pending */
}

/* clang-format off */
const struct rule x87_rules[] = {
    {0, 0xd8, 0xdf, -1, PFX_ANY, R_X87, emit_x87, 0},
    {0, 0x9b, 0x9b, -1, PFX_ANY, R_X87, emit_wait, 0},
    {0, 0, 0, 0, 0, 0, NULL, 0},
};
/* clang-format on */
