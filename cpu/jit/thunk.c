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

/* All of an XMM register that the guest can see, between the host's and struct cpu. */
static void move_xmm(const struct jit *jit, struct emit *e, unsigned n, bool store)
{
    struct place p = SLOT(S(zmm) + 64 * (int32_t)n);

    if (jit->ymm)
        emit_vex(e, E_L, 1, store ? 0x29 : 0x28, n, 0, p);
    else
        emit_op(e, E_0F, store ? 0x29 : 0x28, n, p);
}

static void load_xmm(const struct jit *jit, struct emit *e)
{
    emit_op(e, E_0F, 0xae, 2, SLOT(S(mxcsr)));
    for (unsigned n = 0; n < 16; n++)
        move_xmm(jit, e, n, false);
    emit_store_imm8(e, SLOT(JT(xmm_live)), 1);
}

/* Puts XMM registers away if they hold the guest's. `saved`: remembers that. Clobbers R14. */
static void save_xmm(const struct jit *jit, struct emit *e, bool saved)
{
    uint8_t *skip;

    emit_op(e, 0, 0x80, 7, SLOT(JT(xmm_live)));
    emit8(e, 0);
    skip = emit_jcc(e, CC_E, NULL);
    for (unsigned n = 0; n < 16; n++)
        move_xmm(jit, e, n, true);
    if (jit->ymm) { /* VZEROUPPER: C code is faster so */
        emit8(e, 0xc5);
        emit8(e, 0xf8);
        emit8(e, 0x77);
    }
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

static void load_x87(const struct jit *jit, struct emit *e)
{
    (void)jit;
    emit_op(e, 0, 0xdd, 4, SLOT(JT(image))); /* FRSTOR */
    emit_store_imm8(e, SLOT(JT(x87_image)), 0);
    emit_store_imm8(e, SLOT(JT(x87_live)), 1);
}

/* As save_xmm(). FNSAVE leaves the x87 as C code expects it. */
static void save_x87(struct emit *e, bool saved)
{
    uint8_t *skip;

    emit_op(e, 0, 0x80, 7, SLOT(JT(x87_live)));
    emit8(e, 0);
    skip = emit_jcc(e, CC_E, NULL);
    emit_op(e, 0, 0xdd, 6, SLOT(JT(image)));
    emit_store_imm8(e, SLOT(JT(x87_image)), 1);
    emit_store_imm8(e, SLOT(JT(x87_live)), 0);
    if (saved)
        emit_store_imm8(e, SLOT(JT(x87_saved)), 1);
    emit_land(e, skip);
}

static void restore_x87(const struct jit *jit, struct emit *e)
{
    uint8_t *skip;

    emit_op(e, 0, 0x80, 7, SLOT(JT(x87_saved)));
    emit8(e, 0);
    skip = emit_jcc(e, CC_E, NULL);
    emit_store_imm8(e, SLOT(JT(x87_saved)), 0);
    load_x87(jit, e);
    emit_land(e, skip);
}

static void restore_xmm(const struct jit *jit, struct emit *e)
{
    uint8_t *skip;

    emit_op(e, 0, 0x80, 7, SLOT(JT(xmm_saved)));
    emit8(e, 0);
    skip = emit_jcc(e, CC_E, NULL);
    emit_store_imm8(e, SLOT(JT(xmm_saved)), 0);
    load_xmm(jit, e);
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
    emit_store_imm8(e, SLOT(JT(x87_saved)), 0);
    load_registers(e);
    jump_field(e, JT(target));
}

/*
 * To a C function (cpu, r13, r14) that says where to go on. What it returns is gone to with r14 = jt.value; for NULL
 * translated code is left.
 */
static const uint8_t *make_call(const struct jit *jit, struct emit *e, const void *function)
{
    const uint8_t *here = emit_here(e);
    uint8_t *leave;

    save_registers(e);
    save_xmm(jit, e, true);
    save_x87(e, true);
    emit_load(e, H_RDI, SLOT(JT(self)));
    emit_op(e, 0, 0x8b, H_RSI, REG(H_TMP));
    emit_load(e, H_RDX, REG(H_ADDR));
    emit_call_c(e, function);
    emit_op(e, E_W, 0x85, H_RAX, REG(H_RAX));
    leave = emit_jcc(e, CC_E, NULL);
    emit_store(e, SLOT(JT(target)), H_RAX);
    restore_xmm(jit, e);
    restore_x87(jit, e);
    load_registers(e);
    emit_load(e, H_ADDR, SLOT(JT(value)));
    jump_field(e, JT(target));
    emit_land(e, leave);
    emit_store_imm8(e, SLOT(JT(xmm_saved)), 0);
    pop_callee_saved(e);
    return here;
}

/* Of a page as a struct jit_run. */
static int32_t page_count(int n)
{
    return (int32_t)BUS_PAGE - (1 << n) + 1;
}

/*
 * Before slow: is the page in the interpreter's TLB? Then it goes into the table that was looked up, or becomes the
 * stack's page, and the access goes on; no C is called and no register moved.
 */
static const uint8_t *make_quick(struct jit *jit, struct emit *e, unsigned context, unsigned way)
{
    static const uint8_t used[] = {H_RAX, H_RCX, H_RDX, H_RSI};
    const uint8_t *here = emit_here(e);
    bool stack = way >= WAY_STACK_READ, write = way & 1;
    int32_t table = stack ? JT(stack[context]) : write ? JT(write[context]) : JT(read[context]);
    uint8_t *miss, *full;

    for (unsigned n = 0; n < sizeof(used); n++)
        emit_store(e, SLOT(GUEST(used[n])), used[n]);
    emit_op(e, E_W, 0x69, H_RDX, REG(H_TMP)); /* rdx: the site */
    emit32(e, sizeof(struct jit_site));
    emit_mov_imm(e, H_RAX, (uint64_t)(uintptr_t)jit->sites);
    emit_op(e, E_W, 0x03, H_RDX, REG(H_RAX));
    emit_op(e, E_W, 0x8b, H_RCX, REG(H_ADDR)); /* rcx: the TLB's entry */
    emit_op(e, E_W, 0xc1, 5, REG(H_RCX));
    emit8(e, 12);
    emit_alu_imm(e, 0, 4, REG(H_RCX), TLB_SIZE - 1);
    emit_op(e, 0, 0x69, H_RCX, REG(H_RCX));
    emit32(e, sizeof(struct tlb_entry));
    emit_op(e, E_W, 0x03, H_RCX, SLOT(offsetof(struct cpu, tlb)));
    emit_op(e, E_0F, 0xb6, H_RAX, MEM(H_RDX, offsetof(struct jit_site, size))); /* rax: the tag wanted */
    emit_lea(e, E_W, H_RAX, H_RAX, H_ADDR, 0, -1);
    emit_alu_imm(e, E_W, 4, REG(H_RAX), -(int32_t)BUS_PAGE);
    emit_op(e, E_W, 0x8b, H_RSI, REG(H_ADDR));
    emit_op(e, E_W, 0xc1, 5, REG(H_RSI));
    emit8(e, 60);
    emit_alu_imm(e, 0, 4, REG(H_RSI), 8);
    emit_op(e, E_W, 0x0b, H_RAX, TABLE(H_RSI, offsetof(struct cpu, tlb_gen)));
    emit_op(e, E_W, 0x3b, H_RAX,
            MEM(H_RCX, write || stack ? offsetof(struct tlb_entry, write) : offsetof(struct tlb_entry, read)));
    miss = emit_jcc(e, CC_NE, NULL);
    emit_op(e, E_W, 0x8b, H_RAX, REG(H_ADDR)); /* rax: the linear page; rcx: the host's */
    emit_alu_imm(e, E_W, 4, REG(H_RAX), -(int32_t)BUS_PAGE);
    emit_op(e, E_W, 0x8b, H_RCX, MEM(H_RCX, offsetof(struct tlb_entry, addend)));
    emit_op(e, E_W, 0x03, H_RCX, REG(H_RAX));
    emit_op(e, E_W, 0x8b, H_RDX, MEM(H_RDX, offsetof(struct jit_site, resume)));
    emit_store(e, SLOT(JT(target)), H_RDX);
    if (stack) {
        emit_store(e, SLOT(table), H_RAX);
        emit_store(e, SLOT(table + 8), H_RCX);
        for (int n = 0; n < 6; n++)
            emit_store_imm(e, SLOT(table + (int32_t)offsetof(struct jit_run, count) + 8 * n), page_count(n));
    } else {
        emit_op(e, 0, 0x8b, H_RSI, REG(H_ADDR));
        emit_op(e, 0, 0xc1, 5, REG(H_RSI));
        emit8(e, 8);
        emit_op(e, 0, 0x81, 4, REG(H_RSI));
        emit32(e, (JIT_TLB_SIZE - 1) * sizeof(struct jit_page));
        emit_store(e, TABLE(H_RSI, table), H_RAX);
        emit_store(e, TABLE(H_RSI, table + 8), H_RCX);
        /* As jit_filled(). */
        emit_op(e, 0, 0xc1, 4, REG(H_RSI));
        emit8(e, 12);
        emit_op(e, 0, 0x81, 1, REG(H_RSI));
        emit32(e, (write ? JIT_WRITE : JIT_READ) | context << 8);
        emit_op(e, E_W, 0x8b, H_RDX, REG(H_ADDR));
        emit_op(e, E_W, 0xc1, 5, REG(H_RDX));
        emit8(e, 63);
        emit_op(e, E_W, 0x69, H_RDX, REG(H_RDX));
        emit32(e, sizeof(struct jit_filled));
        emit_mov_imm(e, H_RAX, (uint64_t)(uintptr_t)&jit->filled[0]);
        emit_op(e, E_W, 0x03, H_RAX, REG(H_RDX));
        emit_op(e, 0, 0x8b, H_RDX, MEM(H_RAX, offsetof(struct jit_filled, count)));
        emit_alu_imm(e, 0, 7, REG(H_RDX), sizeof(jit->filled[0].slot) / sizeof(jit->filled[0].slot[0]));
        full = emit_jcc(e, CC_AE, NULL);
        emit_lea(e, E_W, H_RDX, H_RAX, H_RDX, 2, offsetof(struct jit_filled, slot));
        emit_op(e, 0, 0x89, H_RSI, MEM(H_RDX, 0));
        emit_land(e, full);
        emit_op(e, 0, 0xff, 0, MEM(H_RAX, offsetof(struct jit_filled, count)));
    }
    emit_alu_imm(e, 0, 4, REG(H_ADDR), BUS_PAGE - 1);
    emit_op(e, E_W, 0x03, H_ADDR, REG(H_RCX));
    for (unsigned n = 0; n < sizeof(used); n++)
        emit_load(e, used[n], SLOT(GUEST(used[n])));
    jump_field(e, JT(target));
    emit_land(e, miss);
    for (unsigned n = 0; n < sizeof(used); n++)
        emit_load(e, used[n], SLOT(GUEST(used[n])));
    emit_jmp(e, jit->slow);
    return here;
}

/*
 * Before quick: is the page in the table? Then it becomes the near entry's, unless that has often changed, and the access
 * goes on.
 */
static const uint8_t *make_near(struct jit *jit, struct emit *e, unsigned context, unsigned way)
{
    static const uint8_t used[] = {H_RAX, H_RCX, H_RDX, H_RSI};
    const uint8_t *here = emit_here(e);
    int32_t table = way == WAY_WRITE ? JT(write[context]) : JT(read[context]);
    uint8_t *miss[2], *useless;

    for (unsigned n = 0; n < sizeof(used); n++)
        emit_store(e, SLOT(GUEST(used[n])), used[n]);
    emit_store(e, SLOT(JT(value)), H_TMP);
    emit_op(e, E_W, 0x69, H_RDX, REG(H_TMP)); /* rdx: the site */
    emit32(e, sizeof(struct jit_site));
    emit_mov_imm(e, H_RAX, (uint64_t)(uintptr_t)jit->sites);
    emit_op(e, E_W, 0x03, H_RDX, REG(H_RAX));
    emit_op(e, 0, 0x8b, H_RAX, MEM(H_RDX, offsetof(struct jit_site, near))); /* rax: the near entry */
    emit_op(e, E_W, 0x03, H_ADDR, TABLE(H_RAX, 0));
    emit_table_index(e, jit->bmi2, H_RCX); /* rcx: the table's, r13: the offset in its page */
    emit_op(e, E_W, 0x8b, H_TMP, REG(H_ADDR));
    emit_op(e, E_W, 0x2b, H_TMP, TABLE(H_RCX, table));
    emit_op(e, E_0F, 0xb6, H_RSI, MEM(H_RDX, offsetof(struct jit_site, size)));
    emit_op(e, E_W, 0x03, H_RSI, REG(H_TMP));
    miss[0] = emit_jcc(e, CC_B, NULL);
    emit_alu_imm(e, E_W, 7, REG(H_RSI), (int32_t)BUS_PAGE);
    miss[1] = emit_jcc(e, CC_A, NULL);
    emit_op(e, 0, 0x83, 5, TABLE(H_RAX, offsetof(struct jit_near, left)));
    emit8(e, 1);
    useless = emit_jcc(e, CC_B, NULL);
    emit_op(e, E_W, 0x8b, H_RSI, TABLE(H_RCX, table));
    emit_op(e, E_W, 0x89, H_RSI, TABLE(H_RAX, 0));
    emit_op(e, E_W, 0x8b, H_RSI, TABLE(H_RCX, table + 8));
    emit_op(e, E_W, 0x89, H_RSI, TABLE(H_RAX, 8));
    for (int n = 0; n < 6; n++)
        emit_store_imm(e, TABLE(H_RAX, (int32_t)offsetof(struct jit_run, count) + 8 * n), page_count(n));
    emit_op(e, E_W, 0x8b, H_RSI, REG(H_ADDR));
    emit_op(e, 0, 0xc1, 5, REG(H_RSI));
    emit8(e, 12);
    emit_alu_imm(e, 0, 4, REG(H_RSI), JIT_NEAR_PAGES - 1);
    emit_op(e, E_0F, 0xab, H_RSI, SLOT(JT(near_pages))); /* BTS */
    emit_op(e, E_W, 0x8b, H_RSI, TABLE(H_RCX, table + 8));
    emit_lea(e, E_W, H_ADDR, H_TMP, H_RSI, 0, 0);
    emit_op(e, E_W, 0x8b, H_RDX, MEM(H_RDX, offsetof(struct jit_site, resume)));
    emit_store(e, SLOT(JT(target)), H_RDX);
    for (unsigned n = 0; n < sizeof(used); n++)
        emit_load(e, used[n], SLOT(GUEST(used[n])));
    jump_field(e, JT(target));
    for (unsigned k = 0; k < 2; k++) {
        emit_land(e, k ? useless : miss[0]);
        if (!k)
            emit_land(e, miss[1]);
        for (unsigned n = 0; n < sizeof(used); n++)
            emit_load(e, used[n], SLOT(GUEST(used[n])));
        emit_load(e, H_TMP, SLOT(JT(value)));
        emit_jmp(e, k ? jit->useless : jit->quick[context][way]);
    }
    return here;
}

/* The flags that a comparison or a logical operation left, which most conditions ask for: repeats it and returns. */
static void repeat_operation(struct emit *e, unsigned op, unsigned size)
{
    unsigned flags = size == SIZE_Q ? E_W : size == SIZE_W ? E_66 : 0, opcode = size == SIZE_B ? 0 : 1;
    uint8_t *other;

    emit_op(e, 0, 0x81, 7, REG(H_TMP));
    emit32(e, op | size << 6);
    other = emit_jcc(e, CC_NE, NULL);
    emit_load(e, H_TMP, SLOT(JT(a)));
    if (op == JF_SUB)
        emit_op(e, flags, 0x3a | opcode, H_TMP, SLOT(JT(b)));
    else
        emit_op(e, flags, 0x84 | opcode, H_TMP, REG(H_TMP));
    emit8(e, 0xc3);
    emit_land(e, other);
}

/*
 * Called from translated code; all registers but r13 and the flags are as before, which come from the operation repeated
 * or the function's answer. The function uses general registers alone.
 */
static const uint8_t *make_flags(struct emit *e)
{
    static const uint8_t clobbered[] = {H_RAX, H_RCX, H_RDX, H_RSI, H_RDI, 8, 9, 10, 11};
    static const uint8_t sizes[] = {SIZE_D, SIZE_Q, SIZE_B, SIZE_W};
    const uint8_t *here = emit_here(e);

    emit_op(e, 0, 0x8b, H_TMP, SLOT(JT(kind)));
    for (unsigned n = 0; n < sizeof(sizes); n++) {
        repeat_operation(e, JF_SUB, sizes[n]);
        repeat_operation(e, JF_LOGIC, sizes[n]);
    }

    for (unsigned n = 0; n < sizeof(clobbered); n++)
        emit_store(e, SLOT(GUEST(clobbered[n])), clobbered[n]);
    emit_alu_imm(e, E_W, 5, REG(H_RSP), 8); /* the return address made it odd */
    emit_load(e, H_RDI, SLOT(JT(self)));
    emit_call_c(e, (const void *)(uintptr_t)jit_flags_image);
    emit_store(e, SLOT(JT(value)), H_RAX);
    for (unsigned n = 0; n < sizeof(clobbered); n++)
        emit_load(e, clobbered[n], SLOT(GUEST(clobbered[n])));
    emit_op(e, 0, 0xff, 6, SLOT(JT(value))); /* PUSH, POPFQ */
    emit8(e, 0x9d);
    emit_lea(e, E_W, H_RSP, H_RSP, NO_INDEX, 0, 8);
    emit8(e, 0xc3);
    return here;
}

/*
 * Loads XMM registers, or the x87, if the guest may use them now (`allowed` says so). r13: site of the block's start; goes
 * to its `resume`.
 */
static const uint8_t *make_unit(const struct jit *jit, struct emit *e, bool (*allowed)(struct cpu *cpu, uint32_t site),
                                void (*load)(const struct jit *jit, struct emit *e))
{
    const uint8_t *here = emit_here(e);
    uint8_t *leave;

    save_registers(e);
    save_xmm(jit, e, true);
    save_x87(e, true);
    emit_load(e, H_RDI, SLOT(JT(self)));
    emit_op(e, 0, 0x8b, H_RSI, REG(H_TMP));
    emit_call_c(e, (const void *)(uintptr_t)allowed);
    emit_op(e, 0, 0x84, H_RAX, REG(H_RAX));
    leave = emit_jcc(e, CC_E, NULL);
    restore_xmm(jit, e);
    restore_x87(jit, e);
    load(jit, e);
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
    save_xmm(jit, e, false);
    save_x87(e, false);
    pop_callee_saved(e);
    jit->slow = make_call(jit, e, (const void *)(uintptr_t)jit_slow);
    jit->useless = make_call(jit, e, (const void *)(uintptr_t)jit_useless);
    jit->window = make_call(jit, e, (const void *)(uintptr_t)jit_window);
    jit->body = make_call(jit, e, (const void *)(uintptr_t)jit_body);
    jit->resolve = make_call(jit, e, (const void *)(uintptr_t)jit_resolve);
    jit->indirect = make_call(jit, e, (const void *)(uintptr_t)jit_indirect);
    for (unsigned c = 0; c < JIT_CONTEXTS; c++)
        for (unsigned way = 0; way < JIT_WAYS; way++)
            jit->quick[c][way] = make_quick(jit, e, c, way);
    for (unsigned c = 0; c < JIT_CONTEXTS; c++)
        for (unsigned way = WAY_READ; way <= WAY_WRITE; way++)
            jit->near[c][way] = make_near(jit, e, c, way);
    jit->flags = make_flags(e);
    jit->xmm = make_unit(jit, e, jit_may_load_xmm, load_xmm);
    jit->x87 = make_unit(jit, e, jit_may_load_x87, load_x87);
}
