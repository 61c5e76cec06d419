/*
 * address.c - memory operands: the linear address, and the look-up of the page it is in.
 */
#include "cpu/jit/translate.h"

struct place guest(unsigned offset)
{
    static const int8_t host[16] = {H_RAX, H_RCX, H_RDX, H_RBX, H_SP, H_RBP, H_RSI, H_RDI,
                                    8,     9,     10,    11,    -1,   -1,    -1,    -1};
    unsigned n = (offset - (unsigned)GUEST(0)) / 8;

    if (host[n] < 0)
        return SLOT(offset);
    return REG(host[n] + (is_high(offset) ? 4 : 0));
}

static bool is_gpr(unsigned offset)
{
    return offset - (unsigned)GUEST(0) < 16 * 8;
}

bool address_supported(const struct insn *i)
{
    if (!(i->index == ZERO_OFFSET || is_gpr(i->index)))
        return false;
    return is_gpr(i->base) || i->base == ZERO_OFFSET || (i->base == RIP_OFFSET && i->index == ZERO_OFFSET &&
                                                         i->asize == SIZE_Q && i->disp < INT32_MAX - 4096);
}

/* base + index << scale + disp to r14. May use r13. */
static void effective_address(struct trans *t, const struct insn *i)
{
    struct emit *e = &t->e;
    unsigned flags = i->asize == SIZE_Q ? E_W : 0;
    struct place base, index;

    if (i->base == RIP_OFFSET) {
        emit_load(e, H_ADDR, SLOT(JT(code_page)));
        emit_lea(e, E_W, H_ADDR, H_ADDR, NO_INDEX, 0, i->disp + t->block->page_offset);
        return;
    }
    if (i->index != ZERO_OFFSET) {
        index = guest(i->index);
        if (index.kind == P_SLOT) {
            emit_load(e, H_TMP, index);
            index = REG(H_TMP);
        }
        if (i->base == ZERO_OFFSET) {
            emit_lea_index(e, flags, H_ADDR, index.reg, i->scale, i->disp);
            return;
        }
        base = guest(i->base);
        if (base.kind == P_SLOT) {
            emit_load(e, H_ADDR, base);
            base = REG(H_ADDR);
        }
        /* R12 as an index encodes like no index only without REX.X, so it may be one. */
        emit_lea(e, flags, H_ADDR, base.reg, index.reg, i->scale, i->disp);
        return;
    }
    if (i->base == ZERO_OFFSET) {
        if (flags)
            emit_op(e, E_W, 0xc7, 0, REG(H_ADDR)), emit32(e, (uint32_t)i->disp);
        else
            emit_mov_imm(e, H_ADDR, i->asize == SIZE_W ? (uint16_t)i->disp : (uint32_t)i->disp);
        return;
    }
    base = guest(i->base);
    if (base.kind == P_SLOT) {
        emit_load(e, H_ADDR, base);
        base = REG(H_ADDR);
        if (!i->disp && flags)
            return;
    }
    emit_lea(e, flags, H_ADDR, base.reg, NO_INDEX, 0, i->disp);
}

/* 64-bit code has FS's and GS's base in i->segbase. */
static void add_base(struct trans *t, const struct insn *i)
{
    if (i->segbase == ZERO_OFFSET)
        return;
    emit_load(&t->e, H_TMP, SLOT(i->segbase));
    emit_lea(&t->e, E_W, H_ADDR, H_ADDR, H_TMP, 0, 0);
}

/* The address of a MOV between the accumulator and a fixed place. */
void emit_fixed_address(struct trans *t, const struct insn *i)
{
    emit_mov_imm(&t->e, H_ADDR, t->word == 4 ? (uint32_t)i->imm : (uint64_t)i->imm);
    add_base(t, i);
}

void emit_address(struct trans *t, const struct insn *i)
{
    effective_address(t, i);
    if (i->asize == SIZE_W && i->base != ZERO_OFFSET)
        emit_op(&t->e, E_0F, 0xb7, H_ADDR, REG(H_ADDR)); /* MOVZX */
    add_base(t, i);
}

void emit_add(struct trans *t, unsigned size, unsigned to, unsigned from, int disp)
{
    if (size == SIZE_W)
        emit8(&t->e, 0x66); /* the upper part stays */
    emit_lea(&t->e, size == SIZE_Q ? E_W : 0, to, from, NO_INDEX, 0, disp);
}

/* A register as an offset, truncated to `size`, to r14. */
static void offset_at(struct trans *t, unsigned size, unsigned reg, int disp)
{
    if (disp) {
        emit_lea(&t->e, size == SIZE_Q ? E_W : 0, H_ADDR, reg, NO_INDEX, 0, disp);
        reg = H_ADDR;
    }
    if (size == SIZE_W)
        emit_op(&t->e, E_0F, 0xb7, H_ADDR, REG(reg));
    else if (!disp)
        emit_op(&t->e, size == SIZE_Q ? E_W : 0, 0x8b, H_ADDR, REG(reg));
}

uint8_t *emit_run(struct trans *t, int32_t run, unsigned size)
{
    struct emit *e = &t->e;
    unsigned n = 0;
    uint8_t *miss;

    while (1u << n < size)
        n++;
    emit_op(e, E_W, 0x2b, H_ADDR, SLOT(run + (int32_t)offsetof(struct jit_run, first)));
    emit_op(e, E_W, 0x3b, H_ADDR, SLOT(run + (int32_t)offsetof(struct jit_run, count) + 8 * (int32_t)n));
    miss = emit_jcc(e, CC_AE, NULL);
    emit_op(e, E_W, 0x03, H_ADDR, SLOT(run + (int32_t)offsetof(struct jit_run, host)));
    return miss;
}

void emit_table_index(struct emit *e, bool bmi2, unsigned reg)
{
    if (bmi2) { /* RORX reg, r14, 8 */
        emit_vex(e, E_W | E_F2, 3, 0xf0, reg, 0, REG(H_ADDR));
        emit8(e, 8);
    } else {
        emit_op(e, E_W, 0x8b, reg, REG(H_ADDR));
        emit_op(e, E_W, 0xc1, 5, REG(reg));
        emit8(e, 8);
    }
    emit_op(e, 0, 0x81, 4, REG(reg));
    emit32(e, (JIT_TLB_SIZE - 1) * sizeof(struct jit_page));
}

static void table_lookup(struct trans *t, unsigned size, struct later *l, int32_t table)
{
    struct emit *e = &t->e;

    emit_table_index(e, t->jit->bmi2, H_TMP);
    emit_op(e, E_W, 0x2b, H_ADDR, TABLE(H_TMP, table));
    emit_alu_imm(e, E_W, 7, REG(H_ADDR), (int32_t)(BUS_PAGE - size));
    l->rel = emit_jcc(e, CC_A, NULL);
    emit_op(e, E_W, 0x03, H_ADDR, TABLE(H_TMP, table + 8));
}

/*
 * The near entry of an operand: accesses of a block that make their addresses alike have one, and so do those of a page
 * of code that address the same page relative to RIP.
 */
static int32_t near_entry(struct trans *t, const struct insn *i, bool write)
{
    uint64_t phys = t->block->trace->phys;
    unsigned n = 0, slot;

    if (i->base == RIP_OFFSET) {
        uint64_t page = (phys >> 12) + (uint64_t)(int64_t)((i->disp + (int32_t)t->block->page_offset) >> 12);

        slot = (unsigned)(page * 0x9e3779b97f4a7c15 >> 32);
    } else {
        uint64_t key = (uint64_t)(int64_t)(i->disp >> 12) << 40 ^ (uint64_t)i->seg << 36 ^ (uint64_t)i->base << 18 ^
                       (uint64_t)i->index << 2 ^ i->scale;

        while (n < t->near_count && t->near[n] != key)
            n++;
        if (n == t->near_count)
            t->near[t->near_count++] = key;
        slot = (unsigned)(phys * 0x9e3779b97f4a7c15 >> 32) + n;
    }
    return JT(near[t->block->context][write][slot % JIT_NEAR]);
}

static struct jit_site *lookup(struct trans *t, const struct insn *i, unsigned size, bool write, bool stack)
{
    unsigned context = t->block->context;
    uint32_t site = new_site(t, i);
    struct later *l = emit_later(t, NULL, LATER_SLOW);

    l->site = site;
    l->stack = stack;
    if (stack) {
        l->table = JT(stack[context]);
        l->rel = emit_run(t, l->table, size);
    } else {
        l->table = write ? JT(write[context]) : JT(read[context]);
        l->near = t->block->loops && !(t->block->trace->far >> (t->block->trace->count - 1 - i->rest) & 1);
        if (l->near) {
            t->jit->sites[site].near = near_entry(t, i, write);
            l->rel = emit_run(t, t->jit->sites[site].near, size);
        } else {
            table_lookup(t, size, l, l->table);
        }
    }
    t->host_flags = 0;
    t->jit->sites[site].size = (uint8_t)size;
    t->jit->sites[site].way = stack ? write ? WAY_STACK_WRITE : WAY_STACK_READ : write ? WAY_WRITE : WAY_READ;
    t->jit->sites[site].resume = emit_here(&t->e);
    return &t->jit->sites[site];
}

/* Operands in the stack's frame are looked for in the stack's page. */
void emit_lookup(struct trans *t, const struct insn *i, unsigned size, bool write)
{
    if (has_checked_segment(t, i->seg))
        emit_window(t, i, i->seg, size, write);
    else
        lookup(t, i, size, write,
               i->base == (unsigned)GUEST(RSP) && i->index == ZERO_OFFSET && i->segbase == ZERO_OFFSET);
}

void emit_operand(struct trans *t, const struct insn *i, unsigned size, bool write)
{
    emit_address(t, i);
    emit_lookup(t, i, size, write);
}

/* An item of `seg` whose offset is in r14. */
static void item_lookup(struct trans *t, const struct insn *i, unsigned seg, unsigned size, bool write, bool stack)
{
    if (has_checked_segment(t, seg))
        emit_window(t, i, seg, size, write);
    else
        lookup(t, i, size, write, stack)->seg = (uint8_t)seg;
}

void emit_string_lookup(struct trans *t, const struct insn *i, unsigned seg, unsigned reg, unsigned size, bool write)
{
    offset_at(t, i->asize, reg, 0);
    item_lookup(t, i, seg, size, write, false);
}

void emit_stack_lookup(struct trans *t, const struct insn *i, int disp, unsigned size, bool write)
{
    offset_at(t, t->stack, H_SP, disp);
    item_lookup(t, i, SS, size, write, true);
}

void emit_frame_lookup(struct trans *t, const struct insn *i, unsigned size)
{
    offset_at(t, t->stack, H_RBP, 0);
    item_lookup(t, i, SS, size, false, false);
}
