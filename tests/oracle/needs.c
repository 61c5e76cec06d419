/*
 * needs.c - what instructions need beyond their operands to do more than fault: stacks, counts, frames,
 * selectors.
 */
#include <string.h>

#include "cpu/internal.h"
#include "tests/oracle/encode.h"

void set_register(struct builder *b, unsigned reg, uint64_t value)
{
    if (b->c->bits != 64)
        value = (uint32_t)value;
    if (!(b->settled >> reg & 1)) {
        b->gpr[reg] = value;
        if (b->program)
            program_move(b, reg, value, false, NULL);
        else
            b->c->start.gpr[reg] = value;
    }
    b->settled |= (uint16_t)(1u << reg);
}

void set_low(struct builder *b, unsigned reg, unsigned size, uint64_t value)
{
    uint64_t mask = truncate_to(UINT64_MAX, size);

    set_register(b, reg, (b->gpr[reg] & ~mask) | (value & mask));
}

void put_memory(struct builder *b, uint64_t linear, const void *bytes, unsigned size)
{
    static const uint64_t windows[] = {DATA, DATA_HIGH, DATA_TOP, DATA_LOW};

    for (unsigned w = 0; w < 4; w++)
        for (unsigned n = 0; n < size; n++)
            if (linear + n - windows[w] < DATA_SIZE)
                b->c->data[linear + n - windows[w]] = ((const uint8_t *)bytes)[n];
}

static void put64(struct builder *b, uint64_t linear, uint64_t value)
{
    put_memory(b, linear, &value, 8);
}

static void need_stack(struct builder *b, struct parts *p)
{
    if (b->program && one_in(&b->random, 2)) /* it may stand well already */
        b->settled |= 1u << RSP;
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
    uint64_t sp = b->gpr[RSP];

    return b->c->data_base + (selector_bits(b->c->start.seg[SS]) == 16 ? (uint16_t)sp : sp);
}

/* A dividend that doesn't overflow, in half of the cases. */
static void need_dividend(struct builder *b, struct parts *p)
{
    struct random *r = &b->random;
    uint64_t low = edge_integer(r);

    if ((!b->calm && one_in(r, 3)) || (b->c->row_count > 1 && !b->program))
        return;
    if ((p->row->opcode & 1) == 0) /* AX by a byte */
        low = (low & ~0xffffull) | below(r, 1u << (4 + below(r, 12)));
    set_register(b, RAX, low);
    set_register(b, RDX, one_in(r, 2) ? (uint64_t)((int64_t)low >> 63) : one_in(r, 2) ? 0 : below(r, 8));
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
    uint64_t count = !b->calm && one_in(r, 8) ? edge_integer(r) : below(r, 20), from, to;

    from = pick_target(b, p->asize, 16, 8);
    to = pick_target(b, p->asize, 16, 8);
    if (b->program || b->c->row_count > 1) /* that they overlap shall be seen (known.c) */
        to = from + below(r, 2000) - 1000;
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
        set_register(b, RAX, same[0] * 0x0101010101010101ull);
    }
}

static uint16_t pick_selector(struct builder *b, bool code)
{
    struct random *r = &b->random;
    static const uint16_t selectors[] = {0,    1,      3,    0x10, 0x18, 0x23, 0x2b, 0x33, 0x28,
                                         0x2a, 0x20,   0x40, 0x43, 0x48, 0x53, 0x63, 0x6b, 0x73,
                                         0x80, 0xffff, 7,    0xf,  0x2f, 0x37, 8,    0xb};

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

/* Lengths of PCMPESTRI and PCMPESTRM, of both signs, and beyond a register's elements. */
static void need_lengths(struct builder *b)
{
    set_register(b, RAX, one_in(&b->random, 6) ? edge_integer(&b->random) : below(&b->random, 40) - 20ull);
    set_register(b, RDX, one_in(&b->random, 6) ? edge_integer(&b->random) : below(&b->random, 40) - 20ull);
}

/*
 * Which components, of those that the host and the model have, and an image of them. XRSTOR's checks of the
 * header meet all but zeros in an eighth of the cases.
 */
static void need_xsave(struct builder *b, struct parts *p)
{
    struct random *r = &b->random;
    uint8_t image[XSAVE_SIZE] = {0};
    uint64_t present = random64(r) & 7, zero = 0;

    if (strncmp(p->row->name, "xrstor", 6)) {
        if (!one_in(r, 4))
            put_memory(b, b->target + 512, &present, 8);
        if (one_in(r, 2))
            put_memory(b, b->target + 520, &zero, 8);
        return;
    }
    memcpy(image, b->c->start.fx, 512);
    edge_fill(r, VALUE_INTEGER, image + FX_XMM, 256);
    edge_fill(r, VALUE_INTEGER, image + 576, 256);
    image[FX_MXCSR + 2] = 0;
    image[FX_MXCSR + 3] = one_in(r, 8);
    memcpy(image + 512, &present, 8);
    if (b->features->cpu[F_XSAVEC] && one_in(r, 3)) {
        uint64_t format = (random64(r) & 7) | (one_in(r, 8) ? 0 : present) | 1ull << 63;

        memcpy(image + 520, &format, 8);
    }
    if (one_in(r, 16))
        image[512 + below(r, 64)] = (uint8_t)(1u << below(r, 8));
    put_memory(b, b->target, image, sizeof(image));
}

void satisfy_first(struct builder *b, struct parts *p)
{
    if (p->facts->kind != KIND_XSAVE)
        return;
    set_register(b, RAX, random64(&b->random) & ~(b->features->xcr0 & ~7ull));
    set_register(b, RDX, random64(&b->random) & ~(b->features->xcr0 >> 32));
}

void satisfy(struct builder *b, struct parts *p)
{
    struct random *r = &b->random;
    uint64_t v;

    switch (p->facts->kind) {
    case KIND_DIVIDE:
        need_dividend(b, p);
        break;
    case KIND_BIT_STRING:
        if (p->is_mem && !one_in(r, 6))
            set_register(b, p->reg,
                         (b->gpr[p->reg] & ~truncate_to(UINT64_MAX, p->osize)) |
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
    case KIND_LINE:
        set_register(b, RAX, pick_target(b, p->asize, 64, 0) - segment_base(b, p));
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
        if (b->program)
            program_branch(b, p->is_mem ? 16 : p->rm, b->target);
        else if (p->is_mem)
            put64(b, b->target, v);
        else
            set_register(b, p->rm, v);
        need_stack(b, p);
        break;
    case KIND_RETURN:
        need_stack(b, p);
        if (b->program)
            program_branch(b, 16, stack_top(b));
        else
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
    case KIND_XSAVE:
        need_xsave(b, p);
        break;
    case KIND_GATHER:
        need_indices(b, p);
        break;
    case KIND_MASK:
        need_mask(b, p);
        break;
    case KIND_COMPARE_TEXT:
        need_lengths(b);
        break;
    default:
        if (p->row->operand[0] == O_Jz || p->row->operand[0] == O_Jb || p->row->operand[0] == O_Ap)
            need_stack(b, p); /* CALL */
        break;
    }
}
