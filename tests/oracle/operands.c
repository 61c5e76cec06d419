/*
 * operands.c - addresses in all forms of ModRM and SIB, made to lead where an operand shall lie; immediates.
 */
#include <string.h>

#include "tests/oracle/encode.h"

/* An address for an operand of `size` bytes that `asize` can reach; mostly where it succeeds, and aligned. */
uint64_t pick_target(struct builder *b, unsigned asize, unsigned size, unsigned align)
{
    struct random *r = &b->random;
    uint64_t window = DATA, offset;
    bool calm = b->calm && !one_in(r, 64);

    if (b->c->bits == 64 && asize == SIZE_Q && one_in(r, calm ? 12 : 4))
        window = DATA_HIGH;
    else if (asize >= SIZE_D && !b->c->data_base && one_in(r, 8))
        window = DATA_TOP;
    if (asize == SIZE_W && !b->c->data_base)
        window = DATA_LOW;
    switch (calm ? 24 : below(r, 24)) {
    case 0: /* over its end, or before its start */
        return window + DATA_SIZE - below(r, size + 2);
    case 1:
        return window - below(r, size + 2);
    case 2: /* across the pages' border */
    case 3:
        return window + PAGE - below(r, size + 1);
    case 4:
        return CONST + below(r, (unsigned)PAGE + 1 - size);
    case 5:
        return CODE + below(r, CODE_SIZE);
    case 6:
        if (asize == SIZE_Q && b->c->bits == 64) {
            static const uint64_t far_away[] = {0x800000000000,     0xffff800000000000, 0xffff7fffffffffff,
                                                0x7fffffffffff,     0xfffffffffffffff0, 0x8000000000000000,
                                                0xffff880000000000, 0x7ffffffff000};
            return far_away[below(r, 8)] + below(r, 17) - 8;
        }
        return edge_integer(r);
    }
    offset = below(r, (unsigned)DATA_SIZE - (size > 600 ? size : 600));
    if ((calm || !one_in(r, 8)) && align)
        offset &= ~(uint64_t)(align - 1);
    return window + offset;
}

/* An offset in the code segment: the end of the case, anywhere in the code pages, or anywhere. */
uint64_t pick_code(struct builder *b)
{
    uint64_t linear;

    if (!b->calm && one_in(&b->random, 12))
        return pick_target(b, b->c->bits == 64 ? SIZE_Q : SIZE_D, 1, 0);
    linear = one_in(&b->random, 2) ? b->c->entry + b->c->length + 15
                                   : CODE + 64 + below(&b->random, CODE_SIZE - 64);
    return linear - b->c->code_base;
}

uint64_t segment_base(const struct builder *b, const struct parts *p)
{
    if (b->c->bits == 64 && p->segment == FS)
        return b->c->start.fs_base;
    if (b->c->bits == 64 && p->segment == GS)
        return b->c->start.gs_base;
    return p->segment == CS ? b->c->code_base : b->c->data_base;
}

/* Bytes that the memory operand may cover, and how it is best aligned. */
static unsigned memory_size(const struct parts *p, unsigned *align)
{
    unsigned size = (p->row->attr & A_VEC) && p->vex_l ? 32 : 16;

    *align = 0;
    for (unsigned n = 0; n < 4; n++) {
        switch (p->row->operand[n]) {
        case O_Eb:
        case O_Mb:
            return 1;
        case O_Ew:
        case O_Mw:
            return 2;
        case O_Ed:
        case O_Md:
        case O_Wss:
        case O_Qd:
            return 4;
        case O_Eq:
        case O_Mq:
        case O_Wsd:
        case O_Wq:
        case O_Qq:
            return 8;
        case O_Ev:
        case O_Mv:
            return 1u << p->osize;
        case O_Ey:
        case O_My:
            return p->rex_w ? 8 : 4;
        case O_Wx:
            *align = size;
            return size;
        case O_Wdq:
        case O_Mdq:
            *align = 16;
            return 16;
        case O_Wh:
            return size / 2;
        case O_Wf:
            return size / 4;
        case O_We:
            return size / 8;
        case O_Mvm: /* the middle of where the elements lie */
            return 4096;
        case O_Mt:
            return 10;
        case O_M14_28:
            return 28;
        case O_M94_108:
            return 108;
        case O_M512:
            *align = 16;
            return 512;
        case O_M:
            *align = p->facts->kind == KIND_COMPARE_EXCHANGE ? 16
                     : p->facts->kind == KIND_XSAVE          ? 64
                     : (p->row->attr & A_VEC)                ? size
                                                             : 0;
            return p->facts->kind == KIND_XSAVE ? XSAVE_SIZE : size;
        }
    }
    return size;
}

/* Registers that may serve as a base in this place. */
static unsigned pick_base(struct builder *b)
{
    unsigned n;

    if ((b->c->row_count <= 1 && !b->dirty) || b->program)
        return below(&b->random, b->c->bits == 64 ? 16 : 8);
    for (unsigned tries = 0; tries < 8; tries++) {
        n = b->c->bits == 64 ? below(&b->random, 10) : below(&b->random, 2);
        n = n == 0 ? RBX : n == 1 ? RBP : n + 6;
        if (!(b->dirty >> n & 1))
            return n;
    }
    return NOTHING;
}

static int32_t random_disp(struct random *r, unsigned size)
{
    if (size == 1)
        return (int8_t)random64(r);
    if (size == 2)
        return (int16_t)random64(r);
    return size ? one_in(r, 2) ? (int32_t)random64(r) : (int32_t)below(r, 8192) - 4096 : 0;
}

/* 16-bit forms: the base register is made to fit. */
static void address16(struct builder *b, struct parts *p, uint64_t target)
{
    static const uint8_t bases[] = {RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX}, indices[] = {RSI, RDI, RSI, RDI};
    struct random *r = &b->random;
    uint16_t want;

    p->mod = below(r, 3);
    p->rm = below(r, 8);
    p->disp_size = p->mod;
    if (p->mod == 0 && p->rm == 6) {
        p->disp_size = 2;
        p->disp = (int16_t)target;
        return;
    }
    p->disp = random_disp(r, p->disp_size);
    want = (uint16_t)(target - (uint64_t)p->disp);
    if (p->rm < 4) {
        set_register(b, indices[p->rm], b->gpr[indices[p->rm]]);
        want = (uint16_t)(want - b->gpr[indices[p->rm]]);
    }
    set_low(b, bases[p->rm], SIZE_W, want);
}

/* Base and index have been chosen; makes base + index * scale + disp the target. */
static void solve(struct builder *b, struct parts *p, uint64_t target)
{
    uint64_t sum = target;

    if (p->index != NOTHING) {
        if (p->base == NOTHING && (b->program || one_in(&b->random, 2))) /* it alone must reach */
            set_register(b, p->index, (target >> p->scale) - below(&b->random, 1000));
        else
            set_register(b, p->index, b->program ? edge_integer(&b->random) : b->gpr[p->index]);
        sum -= b->gpr[p->index] << p->scale;
    }
    if (p->base == NOTHING) {
        p->disp = (int32_t)sum;
    } else if (!(b->settled >> p->base & 1) && p->base != p->index) {
        p->disp = random_disp(&b->random, p->disp_size);
        sum -= (uint64_t)(int64_t)p->disp;
        if (p->asize == SIZE_D && b->c->bits == 64)
            sum = (uint32_t)sum | random64(&b->random) << 32;
        set_register(b, p->base, sum);
    } else {
        /* Its value serves something else: the displacement must do, if it can. */
        sum -= b->gpr[p->base];
        if (p->disp_size == 4)
            p->disp = (int32_t)sum;
        else if (p->disp_size == 1)
            p->disp = (int8_t)sum;
    }
}

static void address32(struct builder *b, struct parts *p, uint64_t target)
{
    struct random *r = &b->random;
    unsigned registers = b->c->bits == 64 ? 16 : 8;

    p->base = pick_base(b);
    p->index = NOTHING;
    if (one_in(r, 3) || p->base == NOTHING) {
        p->index = below(r, registers);
        if (p->index == RSP || (b->dirty >> p->index & 1 && !b->program))
            p->index = NOTHING;
    }
    if (one_in(r, 8))
        p->base = NOTHING;
    p->scale = below(r, 4);
    if (p->base == NOTHING && p->index == NOTHING && b->c->bits == 64 && !one_in(r, 3)) {
        p->rip_relative = true;
        p->rm = 5;
        p->disp_size = 4;
        p->disp = (int32_t)target;
        return;
    }
    p->mod = p->base == NOTHING ? 0 : below(r, 3);
    if (p->mod == 0 && p->base != NOTHING && (p->base & 7) == RBP)
        p->mod = 1;
    p->disp_size = p->base == NOTHING ? 4 : p->mod == 2 ? 4 : p->mod;
    p->has_sib = p->index != NOTHING || p->base == NOTHING || (p->base & 7) == RSP || one_in(r, 8);
    if (p->base == NOTHING && p->index == NOTHING && b->c->bits != 64 && one_in(r, 2))
        p->has_sib = false;
    p->rm = p->has_sib ? RSP : p->base == NOTHING ? RBP : p->base;
    solve(b, p, target);
}

/* With a vector of indices: the base and the displacement lead to the middle. */
static void address_vsib(struct builder *b, struct parts *p, uint64_t target)
{
    struct random *r = &b->random;

    p->base = one_in(r, 8) ? NOTHING : pick_base(b);
    p->scale = below(r, 4);
    p->mod = p->base == NOTHING ? 0 : below(r, 3);
    if (p->mod == 0 && p->base != NOTHING && (p->base & 7) == RBP)
        p->mod = 1;
    p->disp_size = p->base == NOTHING ? 4 : p->mod == 2 ? 4 : p->mod;
    p->rm = RSP;
    p->has_sib = p->has_vsib = true;
    solve(b, p, target);
    p->index = below(r, b->c->bits == 64 ? 16 : 8);
}

static void choose_memory(struct builder *b, struct parts *p)
{
    struct random *r = &b->random;
    unsigned align, size = memory_size(p, &align);
    uint64_t target, operand;

    p->is_mem = true;
    target = pick_target(b, p->asize, size, align);
    operand = target - segment_base(b, p);
    b->target = target;
    if (p->asize == SIZE_W)
        address16(b, p, operand);
    else if (row_has(p->row, O_Mvm) && !one_in(r, 32))
        address_vsib(b, p, operand + 2048);
    else
        address32(b, p, operand);
    /* What it finds there. */
    if (!one_in(r, 4)) {
        uint8_t bytes[32];

        edge_fill(r, (enum value_kind)p->facts->values, bytes, sizeof(bytes));
        put_memory(b, target, bytes, sizeof(bytes));
    }
}

void choose_modrm(struct builder *b, struct parts *p)
{
    struct random *r = &b->random;
    unsigned sel = p->row->sel, form = sel & SEL_FORM, registers = b->c->bits == 64 ? 16 : 8;

    p->has_modrm = true;
    p->reg = below(r, registers);
    if (p->row->operand[0] == O_Sw || p->row->operand[1] == O_Sw)
        p->reg &= 7;
    if (sel & SEL_HAS_EXT)
        p->reg = (sel >> 5 & 7) | (p->reg & 8);
    if (form == SEL_REG || (form == SEL_ANY && one_in(r, 3))) {
        p->mod = 3;
        p->rm = below(r, registers);
        if (sel & SEL_HAS_RM)
            p->rm = (sel & 7) | (p->rm & 8);
        if (p->row->attr & A_MODRM_REG)
            p->mod = below(r, 4);
    } else if (p->row->attr & A_MODRM_REG) {
        p->mod = below(r, 4);
        p->rm = below(r, registers);
    } else {
        choose_memory(b, p);
    }
}

void choose_immediates(struct builder *b, struct parts *p)
{
    struct random *r = &b->random;

    for (unsigned n = 0; n < 4; n++) {
        unsigned size = 0;
        uint64_t v = edge_integer(r);

        switch (p->row->operand[n]) {
        case O_Ib:
        case O_sIb:
        case O_Lx:
            size = 1;
            break;
        case O_Iw:
            size = 2;
            if (p->facts->kind == KIND_RETURN || p->facts->kind == KIND_FAR_RETURN ||
                p->facts->kind == KIND_STACK)
                v = one_in(r, 4) ? v : below(r, 256);
            break;
        case O_Iz:
            size = p->osize == SIZE_W ? 2 : 4;
            break;
        case O_Iv:
            size = 1u << p->osize;
            break;
        case O_Jb:
            size = 1;
            v = one_in(r, 8) ? v : below(r, 24);
            break;
        case O_Jz:
            size = p->osize == SIZE_W ? 2 : 4;
            v = one_in(r, 8) ? v : one_in(r, 2) ? below(r, 24) : pick_code(b) + b->c->code_base - b->c->entry;
            break;
        case O_Ap:
            size = p->osize == SIZE_W ? 4 : 6;
            v = truncate_to(pick_code(b), p->osize);
            v |= (uint64_t)(one_in(r, 8)   ? random64(r) & 0xffff
                            : one_in(r, 3) ? USER_CS64
                                           : USER_CS32)
                 << (p->osize == SIZE_W ? 16 : 32);
            break;
        case O_Ob:
        case O_Ov:
            size = 1u << p->asize;
            b->target = pick_target(b, p->asize, 8, 0);
            v = b->target - segment_base(b, p);
            break;
        default:
            break;
        }
        if (!size)
            continue;
        if (size < 8)
            v &= (1ull << (8 * size)) - 1;
        p->imm |= p->imm_size < 8 ? v << (8 * p->imm_size) : 0;
        p->imm_size += size;
    }
}
