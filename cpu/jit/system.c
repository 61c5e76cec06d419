/*
 * system.c - what kernels do all the time and needs no more than the CPU's own state. At CPL 0; elsewhere the
 * bodies check the privilege.
 */
#include "cpu/jit/translate.h"

static int32_t gs_base(void)
{
    return (int32_t)SEGBASE_OFFSET(GS);
}

static void emit_swapgs(struct trans *t, const struct insn *i)
{
    struct emit *e = &t->e;

    (void)i;
    emit_load(e, H_TMP, SLOT(gs_base()));
    emit_load(e, H_ADDR, SLOT(S(kernel_gs_base)));
    emit_store(e, SLOT(S(kernel_gs_base)), H_TMP);
    emit_store(e, SLOT(gs_base()), H_ADDR);
}

static void emit_cli(struct trans *t, const struct insn *i)
{
    (void)i;
    emit_op(&t->e, 0, 0x81, 4, SLOT(S(rflags)));
    emit32(&t->e, ~FLAG_IF);
    t->host_flags = 0;
}

static void emit_direction(struct trans *t, const struct insn *i) /* CLD, STD */
{
    bool set = opcode_rows[i->row].opcode & 1;

    emit_op(&t->e, 0, 0x81, set ? 1 : 4, SLOT(S(rflags)));
    emit32(&t->e, set ? FLAG_DF : ~FLAG_DF);
    t->host_flags = 0;
}

/*
 * An interrupt that waits is for the loop to take, after the next instruction. One that comes later is
 * noticed where the next block begins, so the shadow is noted as the interpreter does; the loop forgets it.
 * Should nothing lead to the loop for a while, it delays an interrupt by an instruction.
 */
static void emit_sti(struct trans *t, const struct insn *i)
{
    struct emit *e = &t->e;
    uint8_t *quiet, *enabled;

    emit_op(e, 0, 0x83, 7, SLOT(offsetof(struct cpu, attention)));
    emit8(e, 0);
    quiet = emit_jcc(e, CC_E, NULL);
    emit_mov_imm(e, H_TMP, new_site(t, i)); /* its body leaves */
    emit_jmp(e, t->jit->body);
    emit_land(e, quiet);
    emit_op(e, 0, 0xf7, 0, SLOT(S(rflags))); /* TEST */
    emit32(e, FLAG_IF);
    enabled = emit_jcc(e, CC_NE, NULL);
    emit_op(e, 0, 0x80, 1, SLOT(S(shadow)));
    emit8(e, 1);
    emit_op(e, 0, 0x81, 1, SLOT(S(rflags)));
    emit32(e, FLAG_IF);
    emit_land(e, enabled);
    t->host_flags = 0;
}

/* clang-format off */
const struct rule system_rules[] = {
    {1, 0x01, 0x01, 7 << 3, PFX_ANY, R_CPL0 | R_REGISTER, emit_swapgs, 0},
    {0, 0xfc, 0xfd, -1, PFX_ANY, R_CLOBBERS, emit_direction, 0},
    {0, 0xfa, 0xfa, -1, PFX_ANY, R_CPL0 | R_CLOBBERS, emit_cli, 0},
    {0, 0xfb, 0xfb, -1, PFX_ANY, R_CPL0 | R_CLOBBERS | R_EXITS | R_ENDS, emit_sti, 0},
    {0, 0, 0, 0, 0, 0, NULL, 0},
};
/* clang-format on */
