/*
 * thunk.c - the ways into translated code, out of it, and from it to C.
 *
 * The stack is aligned to 16 inside translated code. C code finds the guest's registers in struct cpu and may leave by
 * longjmp; what it finds changed there is loaded again afterwards.
 */
#include "cpu/fpu.h"
#include "cpu/jit/jit.h"

static const uint8_t pinned[] = {0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11};

static void save_registers(struct emit *e)
{
    for (unsigned n = 0; n < sizeof(pinned); n++)
        emit_store(e, SLOT(GUEST(pinned[n])), pinned[n]);
    emit_store(e, SLOT(GUEST(RSP)), H_SP);
    emit_store(e, SLOT(offsetof(struct cpu, retired)), H_COUNT);
}

static void load_registers(struct emit *e)
{
    for (unsigned n = 0; n < sizeof(pinned); n++)
        emit_load(e, pinned[n], SLOT(GUEST(pinned[n])));
    emit_load(e, H_SP, SLOT(GUEST(RSP)));
    emit_load(e, H_COUNT, SLOT(offsetof(struct cpu, retired)));
}

static void pop_callee_saved(struct emit *e)
{
    static const uint8_t pops[] = {0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b, 0xc3};

    emit_alu_imm(e, E_W, 0, REG(H_RSP), 8);
    for (unsigned n = 0; n < sizeof(pops); n++)
        emit8(e, pops[n]);
}

static void emit_call_c(struct emit *e, const void *function)
{
    emit_mov_imm(e, H_RAX, (uint64_t)(uintptr_t)function);
    emit_op(e, 0, 0xff, 2, REG(H_RAX));
}

static void jump_field(struct emit *e, int32_t field)
{
    emit_op(e, 0, 0xff, 4, SLOT(field));
}

static void load_xmm(struct emit *e)
{
    emit_op(e, E_0F, 0xae, 2, SLOT(S(mxcsr)));
    for (unsigned n = 0; n < 16; n++)
        emit_op(e, E_0F, 0x28, n, SLOT(S(zmm) + 64 * (int32_t)n));
    emit_store_imm8(e, SLOT(JT(xmm_live)), 1);
}

/* Puts XMM registers away if they hold the guest's. `saved`: remembers that. Clobbers R14. */
static void save_xmm(struct emit *e, bool saved)
{
    uint8_t *skip;

    emit_op(e, 0, 0x80, 7, SLOT(JT(xmm_live)));
    emit8(e, 0);
    skip = emit_jcc(e, CC_E, NULL);
    for (unsigned n = 0; n < 16; n++)
        emit_op(e, E_0F, 0x29, n, SLOT(S(zmm) + 64 * (int32_t)n));
    emit_op(e, E_0F, 0xae, 3, SLOT(S(mxcsr)));
    emit_alu_imm(e, E_W, 5, REG(H_RSP), 16);
    emit_op(e, 0, 0xc7, 0, MEM(H_RSP, 0));
    emit32(e, MXCSR_DEFAULT);
    emit_op(e, E_0F, 0xae, 2, MEM(H_RSP, 0));
    emit_alu_imm(e, E_W, 0, REG(H_RSP), 16);
    emit_store_imm8(e, SLOT(JT(xmm_live)), 0);
    if (saved)
        emit_store_imm8(e, SLOT(JT(xmm_saved)), 1);
    emit_land(e, skip);
}

static void restore_xmm(struct emit *e)
{
    uint8_t *skip;

    emit_op(e, 0, 0x80, 7, SLOT(JT(xmm_saved)));
    emit8(e, 0);
    skip = emit_jcc(e, CC_E, NULL);
    emit_store_imm8(e, SLOT(JT(xmm_saved)), 0);
    load_xmm(e);
    emit_land(e, skip);
}

/* void enter(struct cpu *cpu, const uint8_t *code) */
static void make_enter(struct jit *jit, struct emit *e)
{
    static const uint8_t pushes[] = {0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57};

    jit->enter = (void (*)(struct cpu *, const uint8_t *))(uintptr_t)emit_here(e);
    for (unsigned n = 0; n < sizeof(pushes); n++)
        emit8(e, pushes[n]);
    emit_alu_imm(e, E_W, 5, REG(H_RSP), 8);
    emit_store(e, SLOT(JT(target)), H_RSI);
    emit_store_imm8(e, SLOT(JT(xmm_saved)), 0);
    load_registers(e);
    jump_field(e, JT(target));
}

/*
 * To a C function (cpu, r13, r14) that says where to go on. What it returns is gone to with r14 = jt.value; for NULL
 * translated code is left.
 */
static const uint8_t *make_call(struct emit *e, const void *function)
{
    const uint8_t *here = emit_here(e);
    uint8_t *leave;

    save_registers(e);
    save_xmm(e, true);
    emit_load(e, H_RDI, SLOT(JT(self)));
    emit_op(e, 0, 0x8b, H_RSI, REG(H_TMP));
    emit_load(e, H_RDX, REG(H_ADDR));
    emit_call_c(e, function);
    emit_op(e, E_W, 0x85, H_RAX, REG(H_RAX));
    leave = emit_jcc(e, CC_E, NULL);
    emit_store(e, SLOT(JT(target)), H_RAX);
    restore_xmm(e);
    load_registers(e);
    emit_load(e, H_ADDR, SLOT(JT(value)));
    jump_field(e, JT(target));
    emit_land(e, leave);
    emit_store_imm8(e, SLOT(JT(xmm_saved)), 0);
    pop_callee_saved(e);
    return here;
}

/* Called from translated code; all registers but the flags are as before, which come from the function's answer. */
static const uint8_t *make_flags(struct emit *e)
{
    const uint8_t *here = emit_here(e);

    save_registers(e);
    emit_alu_imm(e, E_W, 5, REG(H_RSP), 8); /* the return address made it odd */
    save_xmm(e, true);
    emit_load(e, H_RDI, SLOT(JT(self)));
    emit_call_c(e, (const void *)(uintptr_t)jit_flags_image);
    restore_xmm(e);
    emit_store(e, SLOT(JT(value)), H_RAX);
    load_registers(e);
    emit_op(e, 0, 0xff, 6, SLOT(JT(value))); /* PUSH, POPFQ */
    emit8(e, 0x9d);
    emit_lea(e, E_W, H_RSP, H_RSP, NO_INDEX, 0, 8);
    emit8(e, 0xc3);
    return here;
}

/* Loads XMM registers if the guest may use them now. r13: site of the block's start; goes to its `resume`. */
static const uint8_t *make_xmm(struct emit *e)
{
    const uint8_t *here = emit_here(e);
    uint8_t *leave;

    save_registers(e);
    emit_load(e, H_RDI, SLOT(JT(self)));
    emit_op(e, 0, 0x8b, H_RSI, REG(H_TMP));
    emit_call_c(e, (const void *)(uintptr_t)jit_may_load_xmm);
    emit_op(e, 0, 0x84, H_RAX, REG(H_RAX));
    leave = emit_jcc(e, CC_E, NULL);
    load_xmm(e);
    load_registers(e);
    jump_field(e, JT(target));
    emit_land(e, leave);
    pop_callee_saved(e);
    return here;
}

void jit_make_thunks(struct jit *jit, struct emit *e)
{
    make_enter(jit, e);
    jit->leave = emit_here(e);
    save_registers(e);
    save_xmm(e, false);
    pop_callee_saved(e);
    jit->slow = make_call(e, (const void *)(uintptr_t)jit_slow);
    jit->body = make_call(e, (const void *)(uintptr_t)jit_body);
    jit->resolve = make_call(e, (const void *)(uintptr_t)jit_resolve);
    jit->indirect = make_call(e, (const void *)(uintptr_t)jit_indirect);
    jit->flags = make_flags(e);
    jit->xmm = make_xmm(e);
}
