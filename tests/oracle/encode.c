/*
 * encode.c - an instruction from a row: its prefixes, and its bytes.
 */
#include <string.h>

#include "tests/oracle/encode.h"

/* 66, F2, F3, where they are part of the opcode, or change the operand size, or repeat, or do nothing. */
static void choose_opcode_prefixes(struct builder *b, struct parts *p)
{
    struct random *r = &b->random;
    const struct opcode_row *row = p->row;

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
}

/* REX, and the operand size that follows. */
static void choose_size(struct builder *b, struct parts *p)
{
    struct random *r = &b->random;
    const struct opcode_row *row = p->row;
    unsigned natural = b->c->bits == 16                                    ? SIZE_W
                       : b->c->bits == 64 && (row->attr & (A_D64 | A_F64)) ? SIZE_Q
                                                                           : SIZE_D;

    if (b->c->bits == 64) {
        p->rex_w = one_in(r, 3);
        p->force_rex = one_in(r, 8);
    }
    p->osize = natural;
    if (p->rex_w || (b->c->bits == 64 && (row->attr & A_F64)))
        p->osize = SIZE_Q;
    else if (p->opsize && row->prefix != PFX_66)
        p->osize = b->c->bits == 16 ? SIZE_D : SIZE_W;
}

static void choose_prefixes(struct builder *b, struct parts *p)
{
    struct random *r = &b->random;
    const struct opcode_row *row = p->row;

    if (row->map > VEX) {
        choose_vex(b, p);
    } else {
        choose_opcode_prefixes(b, p);
        choose_size(b, p);
    }
    if (b->program && p->opsize &&
        (row_has(row, O_Jb) || row_has(row, O_Jz) || p->facts->kind == KIND_BRANCH))
        p->opsize = one_in(r, 16); /* RIP would lose its upper bits */
    p->adsize = one_in(r, b->calm ? 32 : 8);
    p->segment = -1;
    if (one_in(r, b->calm ? 32 : 8))
        p->segment = (int)(b->c->bits == 64 ? FS + below(r, 2) : below(r, 6));
    else if (one_in(r, 16))
        p->segment = (int)below(r, 4);
    p->lock = (row->attr & A_LOCK) ? one_in(r, 5) : !b->calm && one_in(r, 300);
    if (row->operand[0] == O_Cy || row->operand[1] == O_Cy)
        p->lock = false; /* AMD's processors reach CR8 so */
    p->asize = b->c->bits == 64                  ? (p->adsize ? SIZE_D : SIZE_Q)
               : p->adsize == (b->c->bits == 32) ? SIZE_W
                                                 : SIZE_D;
}

/* Registers that this instruction may have changed for those after it. */
static void mark_dirty(struct builder *b, const struct parts *p)
{
    b->dirty |= 1u << RAX | 1u << RCX | 1u << RDX | 1u << RSP | 1u << RSI | 1u << RDI;
    if (p->facts->kind == KIND_LEAVE || p->facts->kind == KIND_STACK)
        b->dirty |= 1u << RBP;
    if (p->has_modrm)
        b->dirty |= (uint16_t)(1u << p->reg);
    if ((p->row->sel & SEL_PLUS_R) || (p->has_modrm && !p->is_mem))
        b->dirty |= (uint16_t)(1u << p->rm);
    if (row_has(p->row, O_By))
        b->dirty |= (uint16_t)(1u << p->vvvv);
    /* AH to BH belong to the first four. */
    if (b->dirty & 0xf0)
        b->dirty |= 1u << RBX;
}

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

    if (p->vex) {
        uint8_t bytes[3];
        unsigned length = vex_bytes(b, p, bytes);

        for (unsigned n = 0; n < length; n++)
            put(w, bytes[n], 1);
        put(w, p->opcode, 1);
        return;
    }
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
        put(w,
            p->scale << 6 | (p->index == NOTHING ? 4 : p->index & 7) << 3 |
                (p->base == NOTHING ? 5 : p->base & 7),
            1);
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
    satisfy_first(b, &p);
    /* Implied registers come first, so that addressing is made to fit them. */
    if (!(row->sel & SEL_FORM))
        satisfy(b, &p);
    if (row->sel & SEL_FORM) {
        choose_modrm(b, &p);
    } else if (row->sel & SEL_PLUS_R) {
        p.rm = below(&b->random, b->c->bits == 64 ? 16 : 8);
        p.opcode |= p.rm & 7;
    }
    if (b->calm && !p.is_mem)
        p.lock = false;
    choose_immediates(b, &p);
    if (row->sel & SEL_FORM)
        satisfy(b, &p);
    if (p.vex)
        adjust_vex(b, &p);

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
    b->imm_size = p.imm_size;
    mark_dirty(b, &p);
}
