/*
 * encode.c - an instruction from a row: prefixes, ModRM in all its forms, immediates; and registers and memory such
 * that it finds its operands.
 */
#include <string.h>

#include "tests/oracle/oracle.h"

#define NOTHING 16u /* no base, no index */

/* What is put together, before it becomes bytes. */
struct parts {
    const struct opcode_row *row;
    const struct row_facts *facts;
    unsigned map, opcode;
    bool opsize, adsize, lock;
    unsigned rep; /* 0, F2, F3 */
    int segment;  /* override, -1: none */
    bool has_modrm, has_sib, is_mem, rip_relative;
    unsigned mod, reg, rm; /* reg and rm with their REX bits */
    unsigned scale, index, base;
    unsigned disp_size;
    int32_t disp;
    bool rex_w, force_rex;
    unsigned osize, asize; /* SIZE_* */
    unsigned imm_size;
    uint64_t imm;
};

static uint64_t truncate_to(uint64_t v, unsigned size)
{
    return size == SIZE_Q ? v : v & ((1ull << (8u << size)) - 1);
}

void set_register(struct builder *b, unsigned reg, uint64_t value)
{
    if (b->c->bits != 64)
        value = (uint32_t)value;
    if (!(b->settled >> reg & 1))
        b->c->start.gpr[reg] = value;
    b->settled |= (uint16_t)(1u << reg);
}

/* Sets only what the operand size covers. */
static void set_low(struct builder *b, unsigned reg, unsigned size, uint64_t value)
{
    uint64_t mask = truncate_to(UINT64_MAX, size);

    set_register(b, reg, (b->c->start.gpr[reg] & ~mask) | (value & mask));
}

void put_memory(struct builder *b, uint64_t linear, const void *bytes, unsigned size)
{
    static const uint64_t windows[] = {DATA, DATA_HIGH, DATA_TOP, DATA_LOW};

    for (unsigned w = 0; w < 4; w++)
        for (unsigned n = 0; n < size; n++)
            if (linear + n - windows[w] < DATA_SIZE)
                b->c->data[linear + n - windows[w]] = ((const uint8_t *)bytes)[n];
}

/* An address for an operand of `size` bytes that `asize` can reach; mostly where it succeeds, and aligned. */
uint64_t pick_target(struct builder *b, unsigned asize, unsigned size, unsigned align)
{
    struct random *r = &b->random;
    uint64_t window = DATA, offset;

    if (b->c->bits == 64 && asize == SIZE_Q && one_in(r, 4))
        window = DATA_HIGH;
    else if (asize >= SIZE_D && !b->c->data_base && one_in(r, 8))
        window = DATA_TOP;
    if (asize == SIZE_W && !b->c->data_base)
        window = DATA_LOW;
    switch (below(r, 24)) {
    case 0: /* over its end, or before its start */
        return window + DATA_SIZE - below(r, size + 2);
    case 1:
        return window - below(r, size + 2);
    case 2: /* across the pages' border */
    case 3:
        return window + PAGE - below(r, size + 1);
    case 4:
        return CONST + below(r, (unsigned)PAGE - size);
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
    offset = below(r, (unsigned)DATA_SIZE - 600);
    if (!one_in(r, 8) && align)
        offset &= ~(uint64_t)(align - 1);
    return window + offset;
}

/* An offset in the code segment: the end of the case, anywhere in the code pages, or anywhere. */
uint64_t pick_code(struct builder *b)
{
    uint64_t linear;

    if (one_in(&b->random, 12))
        return pick_target(b, b->c->bits == 64 ? SIZE_Q : SIZE_D, 1, 0);
    linear = one_in(&b->random, 2) ? b->c->entry + b->c->length + 15 : CODE + 64 + below(&b->random, CODE_SIZE - 64);
    return linear - b->c->code_base;
}

/* --- Choices ------------------------------------------------------------------------------------- */

static void choose_prefixes(struct builder *b, struct parts *p)
{
    struct random *r = &b->random;
    const struct opcode_row *row = p->row;
    unsigned natural = b->c->bits == 16 ? SIZE_W : b->c->bits == 64 && (row->attr & (A_D64 | A_F64)) ? SIZE_Q : SIZE_D;

    switch (row->prefix) {
    case PFX_ANY:
        p->opsize = one_in(r, 4);
        if ((row->attr & A_REP) ? one_in(r, 2) : p->facts->any_prefix && one_in(r, 16))
            p->rep = one_in(r, 2) ? 0xf2 : 0xf3;
        break;
    case PFX_66:
        p->opsize = true;
        break;
    case PFX_F3:
    case PFX_F2:
        p->rep = row->prefix == PFX_F3 ? 0xf3 : 0xf2;
        p->opsize = one_in(r, 16);
        break;
    default:
        break;
    }
    p->adsize = one_in(r, 8);
    p->segment = -1;
    if (one_in(r, 8))
        p->segment = (int)(b->c->bits == 64 ? FS + below(r, 2) : below(r, 6));
    else if (one_in(r, 16))
        p->segment = (int)below(r, 4);
    p->lock = (row->attr & A_LOCK) ? one_in(r, 5) : one_in(r, 300);
    if (row->operand[0] == O_Cy || row->operand[1] == O_Cy)
        p->lock = false; /* AMD's processors reach CR8 so */
    if (b->c->bits == 64) {
        p->rex_w = one_in(r, 3);
        p->force_rex = one_in(r, 8);
    }
    p->osize = natural;
    if (p->rex_w || (b->c->bits == 64 && (row->attr & A_F64)))
        p->osize = SIZE_Q;
    else if (p->opsize && row->prefix != PFX_66)
        p->osize = b->c->bits == 16 ? SIZE_D : SIZE_W;
    p->asize = b->c->bits == 64 ? (p->adsize ? SIZE_D : SIZE_Q) : p->adsize == (b->c->bits == 32) ? SIZE_W : SIZE_D;
}

static uint64_t segment_base(const struct builder *b, const struct parts *p)
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
    unsigned size = 16;

    *align = 0;
    for (unsigned n = 0; n < 4; n++) {
        switch (p->row->operand[n]) {
        case O_Eb: case O_Mb:
            return 1;
        case O_Ew: case O_Mw:
            return 2;
        case O_Ed: case O_Md: case O_Wss: case O_Qd:
            return 4;
        case O_Eq: case O_Mq: case O_Wsd: case O_Wq: case O_Qq:
            return 8;
        case O_Ev: case O_Mv:
            return 1u << p->osize;
        case O_Ey: case O_My:
            return p->rex_w ? 8 : 4;
        case O_Wx: case O_Mdq:
            *align = 16;
            return 16;
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
            *align = p->facts->kind == KIND_COMPARE_EXCHANGE ? 16 : 0;
            return 16;
        }
    }
    return size;
}

/* Registers that may serve as a base in this place. */
static unsigned pick_base(struct builder *b)
{
    unsigned n;

    if (b->c->row_count <= 1 && !b->dirty)
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
        set_register(b, indices[p->rm], b->c->start.gpr[indices[p->rm]]);
        want = (uint16_t)(want - b->c->start.gpr[indices[p->rm]]);
    }
    set_low(b, bases[p->rm], SIZE_W, want);
}

/* Base and index have been chosen; makes base + index * scale + disp the target. */
static void solve(struct builder *b, struct parts *p, uint64_t target)
{
    struct machine *m = &b->c->start;
    uint64_t sum = target;

    if (p->index != NOTHING) {
        set_register(b, p->index, m->gpr[p->index]);
        sum -= m->gpr[p->index] << p->scale;
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
        sum -= m->gpr[p->base];
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
        if (p->index == RSP || (b->dirty >> p->index & 1))
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

static void choose_memory(struct builder *b, struct parts *p)
{
    unsigned align, size = memory_size(p, &align);
    uint64_t target, operand;

    p->is_mem = true;
    target = pick_target(b, p->asize, size, align);
    operand = target - segment_base(b, p);
    b->target = target;
    if (p->asize == SIZE_W)
        address16(b, p, operand);
    else
        address32(b, p, operand);
    /* What it finds there. */
    if (!one_in(&b->random, 4)) {
        uint8_t bytes[32];

        edge_fill(&b->random, (enum value_kind)p->facts->values, bytes, sizeof(bytes));
        put_memory(b, target, bytes, sizeof(bytes));
    }
}

static void choose_modrm(struct builder *b, struct parts *p)
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

static void choose_immediates(struct builder *b, struct parts *p)
{
    struct random *r = &b->random;

    for (unsigned n = 0; n < 4; n++) {
        unsigned size = 0;
        uint64_t v = edge_integer(r);

        switch (p->row->operand[n]) {
        case O_Ib: case O_sIb:
            size = 1;
            break;
        case O_Iw:
            size = 2;
            if (p->facts->kind == KIND_RETURN || p->facts->kind == KIND_FAR_RETURN || p->facts->kind == KIND_STACK)
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
            v |= (uint64_t)(one_in(r, 8) ? random64(r) & 0xffff : one_in(r, 3) ? USER_CS64 : USER_CS32)
                 << (p->osize == SIZE_W ? 16 : 32);
            break;
        case O_Ob: case O_Ov:
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

/* --- What kinds of instructions need ------------------------------------------------------------- */

static void put64(struct builder *b, uint64_t linear, uint64_t value)
{
    put_memory(b, linear, &value, 8);
}

static void need_stack(struct builder *b, struct parts *p)
{
    if (!(b->settled >> RSP & 1)) {
        uint64_t sp = pick_target(b, b->c->bits == 64 ? SIZE_Q : SIZE_D, 16, 8) - b->c->data_base;

        if (selector_bits(b->c->start.seg[SS]) == 16)
            sp = (uint16_t)sp | random64(&b->random) << 16;
        set_register(b, RSP, sp);
    }
    (void)p;
}

/* Linear address of the stack's top. */
static uint64_t stack_top(const struct builder *b)
{
    uint64_t sp = b->c->start.gpr[RSP];

    return b->c->data_base + (selector_bits(b->c->start.seg[SS]) == 16 ? (uint16_t)sp : sp);
}

/* A dividend that doesn't overflow, in half of the cases. */
static void need_dividend(struct builder *b, struct parts *p)
{
    struct random *r = &b->random;
    uint64_t low = edge_integer(r);

    if (one_in(r, 3) || b->c->row_count > 1)
        return;
    set_register(b, RAX, low);
    set_register(b, RDX, one_in(r, 2) ? (uint64_t)((int64_t)low >> 63) : one_in(r, 2) ? 0 : below(r, 8));
    if ((p->row->opcode & 1) == 0) /* AX by a byte */
        b->c->start.gpr[RAX] = (low & ~0xffffull) | below(r, 1u << (4 + below(r, 12)));
}

/* What the address size doesn't cover is garbage. */
static void set_string_register(struct builder *b, const struct parts *p, unsigned reg, uint64_t value)
{
    uint64_t mask = truncate_to(UINT64_MAX, p->asize);

    set_register(b, reg, (value & mask) | (random64(&b->random) & ~mask));
}

static void need_string(struct builder *b, struct parts *p)
{
    struct random *r = &b->random;
    uint64_t count = one_in(r, 8) ? edge_integer(r) : below(r, 20), from, to;

    from = pick_target(b, p->asize, 16, 8);
    to = pick_target(b, p->asize, 16, 8);
    if (one_in(r, 4)) /* overlapping */
        to = from + below(r, 33) - 16;
    set_string_register(b, p, RCX, count);
    set_string_register(b, p, RSI, from - segment_base(b, p));
    set_string_register(b, p, RDI, to - b->c->data_base);
    b->target = to;
    if (one_in(r, 2)) { /* equal bytes at both for CMPS, in the accumulator for SCAS */
        uint8_t same[64];

        memset(same, (int)random64(r), sizeof(same));
        put_memory(b, from, same, sizeof(same));
        put_memory(b, to, same, 1 + below(r, sizeof(same)));
        memcpy(&b->c->start.gpr[RAX], same, b->c->bits == 64 ? 8 : 4);
    }
}

static uint16_t pick_selector(struct builder *b, bool code)
{
    struct random *r = &b->random;
    static const uint16_t selectors[] = {0, 1, 3, 0x10, 0x18, 0x23, 0x2b, 0x33, 0x28, 0x2a, 0x20, 0x40, 0x43, 0x48,
                                         0x53, 0x63, 0x6b, 0x73, 0x80, 0xffff, 7, 0xf, 0x2f, 0x37, 8, 0xb};

    if (b->features->ldt && one_in(r, b->c->code_base ? 2 : 6))
        return (uint16_t)(below(r, LDT_COUNT + 1) << 3 | 4 | (one_in(r, 8) ? below(r, 4) : 3));
    if (code && !one_in(r, 4))
        return one_in(r, 2) ? USER_CS64 : USER_CS32;
    return one_in(r, 3) ? USER_DS : selectors[below(r, sizeof(selectors) / sizeof(selectors[0]))];
}

/* A frame for IRET or RETF at the stack's top: RIP, CS, and more. */
static void need_frame(struct builder *b, struct parts *p)
{
    struct random *r = &b->random;
    unsigned slot = 1u << p->osize;
    uint64_t sp = stack_top(b), frame[5] = {pick_code(b), pick_selector(b, true)};

    if (p->facts->kind == KIND_IRET) {
        frame[2] = (random64(r) & (FLAGS_ARITH | FLAG_DF | FLAG_AC | FLAG_ID)) | 2 | FLAG_IF;
        frame[3] = pick_target(b, SIZE_D, 8, 8);
        frame[4] = one_in(r, 4) ? pick_selector(b, false) : USER_DS;
    } else {
        frame[2] = pick_target(b, SIZE_D, 8, 8);
        frame[3] = USER_DS;
    }
    for (unsigned n = 0; n < 5; n++)
        put_memory(b, sp + n * slot, &frame[n], slot);
}

static void need_far_pointer(struct builder *b, struct parts *p, bool code)
{
    uint64_t offset = code ? pick_code(b) : random64(&b->random);
    uint16_t selector = pick_selector(b, code);
    unsigned size = 1u << p->osize;

    put_memory(b, b->target, &offset, size);
    put_memory(b, b->target + size, &selector, 2);
}

static void need_selector(struct builder *b, struct parts *p)
{
    uint16_t selector = pick_selector(b, false);
    bool pointer = p->row->operand[1] == O_Mp;

    if (pointer)
        need_far_pointer(b, p, false);
    else if (p->is_mem)
        put_memory(b, b->target, &selector, 2);
    else if (p->has_modrm)
        set_low(b, p->rm, SIZE_W, selector);
    if (!p->has_modrm) {
        need_stack(b, p);
        put_memory(b, stack_top(b), &selector, 2);
    }
}

static void need_fxsave_image(struct builder *b)
{
    uint8_t image[512];

    memcpy(image, b->c->start.fx, sizeof(image));
    edge_fill(&b->random, VALUE_INTEGER, image + FX_XMM, 256);
    image[FX_MXCSR + 2] = image[FX_MXCSR + 3] = 0;
    if (one_in(&b->random, 8))
        image[FX_MXCSR + 3] = 1;
    put_memory(b, b->target, image, sizeof(image));
}

static void satisfy(struct builder *b, struct parts *p)
{
    struct random *r = &b->random;
    uint64_t v;

    switch (p->facts->kind) {
    case KIND_DIVIDE:
        need_dividend(b, p);
        break;
    case KIND_BIT_STRING:
        if (p->is_mem && !one_in(r, 6))
            set_register(b, p->reg, (b->c->start.gpr[p->reg] & ~truncate_to(UINT64_MAX, p->osize)) |
                                        truncate_to((uint64_t)below(r, 4096) - 2048, p->osize));
        break;
    case KIND_STRING:
        need_string(b, p);
        break;
    case KIND_STACK:
        need_stack(b, p);
        break;
    case KIND_POP_FLAGS:
        need_stack(b, p);
        v = random64(r) & ~(uint64_t)FLAG_TF;
        put64(b, stack_top(b), v);
        break;
    case KIND_LEAVE:
        set_register(b, RBP, pick_target(b, b->c->bits == 64 ? SIZE_Q : SIZE_D, 8, 8) - b->c->data_base);
        break;
    case KIND_XLAT:
        set_register(b, RBX, pick_target(b, p->asize, 1, 0) - segment_base(b, p));
        break;
    case KIND_COMPARE_EXCHANGE:
        if (one_in(r, 2) && p->is_mem) {
            v = edge_integer(r);
            put64(b, b->target, v);
            set_register(b, RAX, v);
            if (p->map == 1 && p->opcode == 0xc7) {
                set_register(b, RDX, p->osize == SIZE_Q ? v : v >> 32);
                put64(b, b->target + 8, v);
            }
        }
        break;
    case KIND_BRANCH:
        v = pick_code(b);
        if (p->is_mem)
            put64(b, b->target, v);
        else
            set_register(b, p->rm, v);
        need_stack(b, p);
        break;
    case KIND_RETURN:
        need_stack(b, p);
        put64(b, stack_top(b), pick_code(b));
        break;
    case KIND_FAR:
        need_stack(b, p);
        need_far_pointer(b, p, true);
        break;
    case KIND_FAR_RETURN:
    case KIND_IRET:
        need_stack(b, p);
        need_frame(b, p);
        break;
    case KIND_SEGMENT:
        need_selector(b, p);
        break;
    case KIND_MASKED_STORE:
        v = pick_target(b, p->asize, 16, 8) - segment_base(b, p);
        set_register(b, RDI, v);
        break;
    case KIND_LOOP:
        set_low(b, RCX, p->asize, one_in(r, 3) ? below(r, 3) : edge_integer(r));
        break;
    case KIND_SHIFT:
        if (p->row->operand[1] == O_CL || p->row->operand[2] == O_CL)
            set_low(b, RCX, SIZE_B, one_in(r, 2) ? below(r, 66) : random64(r));
        break;
    case KIND_LOAD_MXCSR:
        v = random64(r) & (one_in(r, 6) ? 0xfffdffff : 0xffff);
        put_memory(b, b->target, &v, 4);
        break;
    case KIND_FXRSTOR:
        need_fxsave_image(b);
        break;
    default:
        if (p->row->operand[0] == O_Jz || p->row->operand[0] == O_Jb || p->row->operand[0] == O_Ap)
            need_stack(b, p); /* CALL */
        break;
    }
}

/* Registers that this instruction may have changed for those after it. */
static void mark_dirty(struct builder *b, const struct parts *p)
{
    b->dirty |= 1u << RAX | 1u << RCX | 1u << RDX | 1u << RSP | 1u << RSI | 1u << RDI;
    if (p->facts->kind == KIND_LEAVE || p->facts->kind == KIND_STACK)
        b->dirty |= 1u << RBP;
    if (p->has_modrm)
        b->dirty |= (uint16_t)(1u << p->reg);
    if (p->has_modrm && !p->is_mem)
        b->dirty |= (uint16_t)(1u << p->rm);
    if (p->row->sel & SEL_PLUS_R)
        b->dirty |= (uint16_t)(1u << p->rm);
    /* AH to BH belong to the first four. */
    if (b->dirty & 0xf0)
        b->dirty |= 1u << RBX;
}

/* --- Bytes --------------------------------------------------------------------------------------- */

struct writer {
    uint8_t bytes[32];
    unsigned length;
};

static void put(struct writer *w, uint64_t v, unsigned size)
{
    for (unsigned n = 0; n < size && w->length < sizeof(w->bytes); n++)
        w->bytes[w->length++] = n < 8 ? (uint8_t)(v >> (8 * n)) : 0;
}

static void write_prefixes(struct builder *b, const struct parts *p, struct writer *w)
{
    static const uint8_t segment_prefix[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65};
    uint8_t list[6];
    unsigned n = 0;

    if (p->opsize)
        list[n++] = 0x66;
    if (p->adsize)
        list[n++] = 0x67;
    if (p->lock)
        list[n++] = 0xf0;
    if (p->rep)
        list[n++] = (uint8_t)p->rep;
    if (p->segment >= 0)
        list[n++] = segment_prefix[p->segment];
    if (n && one_in(&b->random, 64)) {
        list[n] = list[below(&b->random, n)];
        n++;
    }
    for (unsigned k = n; k > 1; k--) { /* in any order */
        unsigned j = below(&b->random, k);
        uint8_t other = list[j];

        list[j] = list[k - 1];
        list[k - 1] = other;
    }
    if (n && b->c->bits == 64 && one_in(&b->random, 100)) { /* a REX that doesn't count */
        put(w, 0x40 | below(&b->random, 16), 1);
    }
    for (unsigned k = 0; k < n; k++)
        put(w, list[k], 1);
}

static void write_opcode(struct builder *b, const struct parts *p, struct writer *w)
{
    unsigned rex = 0x40;

    if (p->rex_w)
        rex |= 8;
    if (p->has_modrm && p->reg & 8)
        rex |= 4;
    if (p->has_sib && p->index != NOTHING && p->index & 8)
        rex |= 2;
    if (p->has_sib ? p->base != NOTHING && p->base & 8 : p->rm & 8)
        rex |= 1;
    if (b->c->bits == 64 && p->force_rex && !p->has_sib && one_in(&b->random, 2))
        rex |= 2; /* without effect */
    if (b->c->bits == 64 && (rex != 0x40 || p->force_rex))
        put(w, rex, 1);
    if (p->map)
        put(w, 0x0f, 1);
    if (p->map >= 2)
        put(w, p->map == 2 ? 0x38 : 0x3a, 1);
    put(w, p->opcode, 1);
}

static void write_modrm(const struct parts *p, struct writer *w, unsigned *disp_at)
{
    unsigned mod = p->mod;

    put(w, mod << 6 | (p->reg & 7) << 3 | (p->rm & 7), 1);
    if (p->has_sib)
        put(w, p->scale << 6 | (p->index == NOTHING ? 4 : p->index & 7) << 3 | (p->base == NOTHING ? 5 : p->base & 7), 1);
    *disp_at = w->length;
    put(w, (uint32_t)p->disp, p->disp_size);
}

void encode(struct builder *b, const struct opcode_row *row)
{
    struct parts p = {.row = row,
                      .facts = &b->facts[row - opcode_rows],
                      .map = row->map,
                      .opcode = row->opcode,
                      .index = NOTHING,
                      .base = NOTHING};
    struct writer w = {.length = 0};
    unsigned disp_at = 0;

    b->target = DATA;
    choose_prefixes(b, &p);
    /* Implied registers come first, so that addressing is made to fit them. */
    if (!(row->sel & SEL_FORM))
        satisfy(b, &p);
    if (row->sel & SEL_FORM) {
        choose_modrm(b, &p);
    } else if (row->sel & SEL_PLUS_R) {
        p.rm = below(&b->random, b->c->bits == 64 ? 16 : 8);
        p.opcode |= p.rm & 7;
    }
    choose_immediates(b, &p);
    if (row->sel & SEL_FORM)
        satisfy(b, &p);

    write_prefixes(b, &p, &w);
    write_opcode(b, &p, &w);
    if (p.has_modrm)
        write_modrm(&p, &w, &disp_at);
    put(&w, p.imm, p.imm_size);
    if (p.rip_relative) {
        uint64_t next = b->c->entry + b->c->length + w.length;
        uint32_t disp = (uint32_t)(b->target - segment_base(b, &p) - next);

        memcpy(w.bytes + disp_at, &disp, 4);
    }
    memcpy(b->c->bytes + b->c->length, w.bytes, w.length);
    b->c->length += w.length;
    mark_dirty(b, &p);
}
