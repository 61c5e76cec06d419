/*
 * branch.c - near branches, and how blocks lead to each other.
 *
 * A direct jump within the page is patched to its target's block. One that leaves the page first looks up that the
 * target's page is mapped where it was, and sets jt.code_page. Returns and indirect jumps look their target up by RIP.
 *
 * In segmented code RIPs are constants, and code_page isn't used.
 */
#include "cpu/jit/translate.h"

int32_t branch_target(const struct trans *t, const struct insn *i)
{
    uint32_t rip;

    if (!t->block->segmented)
        return (int32_t)((uint32_t)i->imm + t->block->page_offset);
    rip = t->block->rip + (uint32_t)i->imm;
    return (int32_t)((i->osize == SIZE_W ? (uint16_t)rip : rip) - t->page_rip);
}

static bool is_relative(const struct insn *i)
{
    unsigned operand = i->row == UINT16_MAX ? O_NONE : opcode_rows[i->row].operand[0];

    return operand == O_Jb || operand == O_Jz;
}

bool branches_near(const struct trans *t, const struct insn *i)
{
    return is_relative(i) && !(branch_target(t, i) & ~(int32_t)(BUS_PAGE - 1));
}

bool branch_within_limit(const struct trans *t, const struct insn *i)
{
    return !t->block->segmented || !is_relative(i) || t->page_rip + (uint32_t)branch_target(t, i) <= t->block->limit;
}

void emit_rip(struct trans *t, unsigned reg, int32_t offset)
{
    if (t->block->segmented) {
        emit_mov_imm(&t->e, reg, t->page_rip + (uint32_t)offset);
        return;
    }
    emit_load(&t->e, reg, SLOT(JT(code_page)));
    if (offset)
        emit_lea(&t->e, t->word == 8 ? E_W : 0, reg, reg, NO_INDEX, 0, offset);
}

void emit_leave_at(struct trans *t, int32_t offset)
{
    emit_rip(t, H_ADDR, offset);
    emit_store(&t->e, SLOT(S(rip)), H_ADDR);
    emit_jmp(&t->e, t->jit->leave);
}

static struct jit_exit *new_exit(struct trans *t, int32_t offset)
{
    struct jit_exit *x = &t->jit->exits[t->jit->exit_count++];

    t->block->exit_count++;
    *x = (struct jit_exit){.from = t->block, .offset = offset};
    return x;
}

/* The stub of an exit that leads nowhere yet; the jump at x->rel goes there. */
void emit_stub(struct trans *t, struct jit_exit *x)
{
    x->stub = emit_here(&t->e);
    emit_mov_imm(&t->e, H_TMP, (uint64_t)(x - t->jit->exits));
    emit_jmp(&t->e, t->jit->resolve);
    set_rel32(&t->e, x->rel, x->stub);
}

/* The linear address of a page of segmented code, `page` from the block's; and where jt.fetch has it. */
static uint32_t linear_page(const struct trans *t, int32_t page)
{
    return t->block->base + t->page_rip + (uint32_t)page;
}

static int32_t fetch_entry(const struct trans *t, int32_t page)
{
    return JT(fetch[t->block->context][linear_page(t, page) >> 12 & (JIT_FETCH_SIZE - 1)]);
}

void emit_page_check(struct trans *t, int32_t page)
{
    struct emit *e = &t->e;

    if (t->block->segmented) {
        emit_mov_imm(e, H_ADDR, linear_page(t, page));
        emit_op(e, E_W, 0x3b, H_ADDR, SLOT(fetch_entry(t, page)));
        return;
    }
    emit_rip(t, H_ADDR, page);
    emit_op(e, 0, 0x8b, H_TMP, REG(H_ADDR));
    emit_op(e, 0, 0xc1, 5, REG(H_TMP));
    emit8(e, 8);
    emit_op(e, 0, 0x81, 4, REG(H_TMP));
    emit32(e, (JIT_FETCH_SIZE - 1) * sizeof(struct jit_fetch));
    emit_op(e, E_W, 0x3b, H_ADDR, TABLE(H_TMP, JT(fetch[t->block->context])));
}

uint8_t *emit_frame_check(struct trans *t, int32_t page, uint32_t frame)
{
    struct place entry = t->block->segmented ? SLOT(fetch_entry(t, page) + 8)
                                             : TABLE(H_TMP, JT(fetch[t->block->context]) + 8);

    emit_op(&t->e, 0, 0x81, 7, entry);
    emit32(&t->e, frame);
    return t->e.at - 4;
}

void emit_goto(struct trans *t, int32_t offset)
{
    struct emit *e = &t->e;
    struct jit_exit *x = new_exit(t, offset);
    int32_t page = offset & ~(int32_t)(BUS_PAGE - 1);
    uint8_t *other_page, *other_frame;

    if (!page) {
        x->rel = emit_jmp(e, NULL);
        emit_stub(t, x);
        return;
    }
    emit_page_check(t, page);
    other_page = emit_jcc(e, CC_NE, NULL);
    x->frame = emit_frame_check(t, page, UINT32_MAX);
    other_frame = emit_jcc(e, CC_NE, NULL);
    if (!t->block->segmented)
        emit_store(e, SLOT(JT(code_page)), H_ADDR);
    x->rel = emit_jmp(e, NULL);
    emit_land(e, other_page);
    emit_land(e, other_frame);
    emit_stub(t, x);
}

/* After the last instruction of a block that ends early the rest of the trace's is not counted, so nothing to undo. */
static unsigned not_done(const struct trans *t)
{
    return t->n - 1 - t->at;
}

/* A conditional branch by the host's flags. */
static void branch_if(struct trans *t, const struct insn *i, unsigned cc)
{
    struct later *l;

    if (!not_done(t) && branches_near(t, i)) { /* to its target at once */
        struct jit_exit *x = new_exit(t, branch_target(t, i));

        x->rel = emit_jcc(&t->e, cc, NULL);
        emit_later(t, x->rel, LATER_STUB)->exit = x;
        return;
    }
    l = emit_later(t, emit_jcc(&t->e, cc, NULL), LATER_TAKEN);
    l->offset = branch_target(t, i);
    l->rest = not_done(t);
}

static void emit_jcc_insn(struct trans *t, const struct insn *i)
{
    unsigned cc = opcode_rows[i->row].opcode & 15;

    flags_load(t, condition_flags(cc));
    branch_if(t, i, cc);
}

static void exchange_counter(struct trans *t)
{
    emit_op(&t->e, E_W, 0x87, H_RCX, REG(H_TMP));
}

/* JCXZ, JECXZ, JRCXZ. Flags stay, so that it is the host's; which has none that looks at CX. */
static void emit_jcxz(struct trans *t, const struct insn *i)
{
    struct emit *e = &t->e;
    uint8_t *skip;
    struct later *l;

    if (i->asize == SIZE_W) {
        emit_op(e, E_0F, 0xb7, H_TMP, REG(H_RCX));
        exchange_counter(t);
    }
    /* It reaches a byte's distance only: over a jump. ECX with an address-size prefix. */
    if (i->asize == SIZE_D)
        emit8(e, 0x67);
    emit8(e, 0xe3);
    emit8(e, i->asize == SIZE_W ? 5 : 2);
    if (i->asize == SIZE_W)
        exchange_counter(t); /* 3 bytes */
    emit8(e, 0xeb);
    skip = e->at;
    emit8(e, 0);
    if (i->asize == SIZE_W)
        exchange_counter(t);
    l = emit_later(t, emit_jmp(e, NULL), LATER_TAKEN);
    l->offset = branch_target(t, i);
    l->rest = not_done(t);
    if (!e->full)
        *skip = (uint8_t)(e->at - skip - 1);
}

/* LOOP, LOOPZ, LOOPNZ: they leave the flags alone, but here the host's are lost. */
static void emit_loop(struct trans *t, const struct insn *i)
{
    unsigned opcode = opcode_rows[i->row].opcode;
    struct emit *e = &t->e;
    uint8_t *out = NULL;

    emit_add(t, i->asize, H_RCX, H_RCX, -1);
    if (opcode != 0xe2) {
        flags_load(t, FLAG_ZF);
        out = emit_jcc(e, opcode == 0xe1 ? CC_NE : CC_E, NULL);
    }
    emit_op(e, size_flags(i->asize), 0x85, H_RCX, REG(H_RCX));
    t->host_flags = 0;
    branch_if(t, i, CC_NE);
    if (out)
        emit_land(e, out);
}

static void emit_jmp_insn(struct trans *t, const struct insn *i)
{
    emit_goto(t, branch_target(t, i));
    t->ended = true;
}

/* To the RIP in r14. `pop`: what RSP grows by on the way. */
static void emit_indirect(struct trans *t, const struct insn *i, int pop)
{
    struct emit *e = &t->e;
    int32_t table = JT(targets[jit_targets(t->block)]);
    uint32_t site = new_site(t, i);
    uint8_t *miss, *other_segment = NULL;

    t->jit->sites[site].pop = pop;
    emit_op(e, 0, 0x69, H_TMP, REG(H_ADDR)); /* jit_target_slot(), times 16 */
    emit32(e, JIT_TARGET_HASH);
    emit_op(e, 0, 0xc1, 5, REG(H_TMP));
    emit8(e, 20);
    emit_op(e, 0, 0xc1, 4, REG(H_TMP));
    emit8(e, 4);
    if (t->block->segmented) { /* jit_target_key(): of 64 bits, which the table has as two halves of 32 */
        emit_op(e, 0, 0x81, 7, TABLE(H_TMP, table + 4));
        emit32(e, t->block->code_segment);
        other_segment = emit_jcc(e, CC_NE, NULL);
    }
    emit_op(e, t->block->segmented ? 0 : E_W, 0x3b, H_ADDR, TABLE(H_TMP, table));
    miss = emit_jcc(e, CC_NE, NULL);
    if (pop)
        emit_add(t, t->stack, H_SP, H_SP, pop);
    if (!t->block->segmented) {
        emit_alu_imm(e, E_W, 4, REG(H_ADDR), -(int32_t)BUS_PAGE);
        emit_store(e, SLOT(JT(code_page)), H_ADDR);
    }
    emit_op(e, 0, 0xff, 4, TABLE(H_TMP, table + 8));
    emit_land(e, miss);
    if (other_segment)
        emit_land(e, other_segment);
    emit_mov_imm(e, H_TMP, site);
    emit_jmp(e, t->jit->indirect);
    t->ended = true;
}

/* Pushes the address of what follows. */
static void emit_push_return(struct trans *t, const struct insn *i)
{
    int size = 1 << i->osize;

    emit_stack_lookup(t, i, -size, (unsigned)size, true);
    emit_rip(t, H_TMP, t->block->page_offset + i->off + i->len);
    emit_op(&t->e, size_flags(i->osize), 0x89, H_TMP, MEM(H_ADDR, 0));
    emit_add(t, t->stack, H_SP, H_SP, -size);
}

static void emit_call_insn(struct trans *t, const struct insn *i)
{
    emit_push_return(t, i);
    emit_goto(t, branch_target(t, i));
    t->ended = true;
}

/* The operand of an indirect branch to r14. */
static void emit_target(struct trans *t, const struct insn *i)
{
    struct place from = MEM(H_ADDR, 0);

    if (i->flags & INSN_MEM)
        emit_operand(t, i, 1u << i->osize, false);
    else
        from = guest(i->rm);
    if (i->osize == SIZE_W)
        emit_op(&t->e, E_0F, 0xb7, H_ADDR, from);
    else
        emit_op(&t->e, size_flags(i->osize), 0x8b, H_ADDR, from);
}

static void emit_jmp_indirect(struct trans *t, const struct insn *i)
{
    emit_target(t, i);
    emit_indirect(t, i, 0);
}

/* A target in r14 that can't be is for the body to refuse, before anything is pushed (SDM 2A CALL). */
static void check_target(struct trans *t, const struct insn *i)
{
    struct emit *e = &t->e;
    uint8_t *fine;

    if (t->block->flat32)
        return;
    if (t->block->segmented) {
        emit_op(e, 0, 0x81, 7, REG(H_ADDR));
        emit32(e, t->block->limit);
    } else {
        emit_op(e, E_W, 0x8b, H_TMP, REG(H_ADDR)); /* bits 63 to 47 alike: 0 or 1 after SAR and INC */
        emit_op(e, E_W, 0xc1, 7, REG(H_TMP));
        emit8(e, 47);
        emit_lea(e, E_W, H_TMP, H_TMP, NO_INDEX, 0, 1);
        emit_alu_imm(e, E_W, 7, REG(H_TMP), 1);
    }
    fine = emit_jcc(e, CC_BE, NULL);
    emit_mov_imm(e, H_TMP, new_site(t, i));
    emit_jmp(e, t->jit->body);
    emit_land(e, fine);
    t->host_flags = 0;
}

static void emit_call_indirect(struct trans *t, const struct insn *i)
{
    emit_target(t, i);
    check_target(t, i);
    emit_store(&t->e, SLOT(JT(branch)), H_ADDR);
    emit_push_return(t, i);
    emit_load(&t->e, H_ADDR, SLOT(JT(branch)));
    emit_indirect(t, i, 0);
}

static void emit_ret(struct trans *t, const struct insn *i)
{
    int size = 1 << i->osize;

    emit_stack_lookup(t, i, 0, (unsigned)size, false);
    if (i->osize == SIZE_W)
        emit_op(&t->e, E_0F, 0xb7, H_ADDR, MEM(H_ADDR, 0));
    else
        emit_op(&t->e, size_flags(i->osize), 0x8b, H_ADDR, MEM(H_ADDR, 0));
    emit_indirect(t, i, size + (opcode_rows[i->row].opcode == 0xc2 ? (int)(uint16_t)i->imm : 0));
}

/* clang-format off */
const struct rule branch_rules[] = {
    {1, 0x80, 0x8f, -1, PFX_ANY, R_READS | R_BRANCH, emit_jcc_insn, 0},
    {0, 0x70, 0x7f, -1, PFX_ANY, R_READS | R_BRANCH, emit_jcc_insn, 0},
    {0, 0xe0, 0xe1, -1, PFX_ANY, R_READS | R_BRANCH | R_CLOBBERS | R_PLAIN, emit_loop, 0},
    {0, 0xe2, 0xe2, -1, PFX_ANY, R_BRANCH | R_CLOBBERS, emit_loop, 0},
    {0, 0xe3, 0xe3, -1, PFX_ANY, R_BRANCH, emit_jcxz, 0},
    {0, 0xe9, 0xe9, -1, PFX_ANY, R_BRANCH | R_LAST, emit_jmp_insn, 0},
    {0, 0xeb, 0xeb, -1, PFX_ANY, R_BRANCH | R_LAST, emit_jmp_insn, 0},
    {0, 0xe8, 0xe8, -1, PFX_ANY, R_BRANCH | R_STACK | R_LAST, emit_call_insn, 0},
    {0, 0xff, 0xff, 2, PFX_ANY, R_BRANCH | R_STACK | R_LAST, emit_call_indirect, 0},
    {0, 0xff, 0xff, 4, PFX_ANY, R_BRANCH | R_LAST, emit_jmp_indirect, 0},
    {0, 0xc2, 0xc3, -1, PFX_ANY, R_BRANCH | R_STACK | R_LAST, emit_ret, 0},
    {0, 0, 0, 0, 0, 0, NULL, 0},
};
/* clang-format on */
