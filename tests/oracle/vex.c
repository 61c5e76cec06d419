/*
 * vex.c - what VEX-encoded instructions have of their own: the prefix (SDM 2A 2.3), and addresses made with a
 * vector of indices.
 */
#include <string.h>

#include "tests/oracle/encode.h"

void choose_vex(struct builder *b, struct parts *p)
{
    struct random *r = &b->random;
    unsigned sel = p->row->sel;

    p->vex = true;
    p->pp = p->row->prefix == PFX_66 ? 1 : p->row->prefix == PFX_F3 ? 2 : p->row->prefix == PFX_F2 ? 3 : 0;
    if (p->row->prefix == PFX_ANY)
        p->pp = below(r, 4);
    p->rex_w = sel & SEL_W1 ? true : sel & SEL_W0 ? false : one_in(r, 2);
    p->vex_l = sel & SEL_L1 ? true : sel & SEL_L0 ? false : one_in(r, 2);
    if (row_has(p->row, O_Hx) || row_has(p->row, O_By))
        p->vvvv = below(r, b->c->bits == 64 ? 16 : 8);
    p->osize = b->c->bits == 64 && p->rex_w ? SIZE_Q : SIZE_D;
}

/* Bits that make it another instruction, or none. */
static void misfit(struct builder *b, struct parts *p)
{
    struct random *r = &b->random;

    b->c->misfit = true;
    switch (below(r, 6)) {
    case 0:
        p->rex_w = !p->rex_w;
        break;
    case 1:
        p->vex_l = !p->vex_l;
        break;
    case 2:
        p->pp = below(r, 4);
        break;
    case 3: /* prefixes that may not stand before it */
        p->opsize = true;
        break;
    case 4:
        p->rep = one_in(r, 2) ? 0xf2 : 0xf3;
        break;
    default: /* a register where none is named */
        p->vvvv = below(r, b->c->bits == 64 ? 16 : 8);
        break;
    }
}

void adjust_vex(struct builder *b, struct parts *p)
{
    if (!b->calm && one_in(&b->random, 24))
        misfit(b, p);
}

unsigned vex_bytes(struct builder *b, const struct parts *p, uint8_t bytes[3])
{
    struct random *r = &b->random;
    bool wide = b->c->bits == 64, base_used = p->has_sib ? p->base != NOTHING : !p->rip_relative;
    unsigned rm = p->has_sib ? p->base : p->rm;
    bool reg = p->reg & 8, index = p->has_sib && p->index != NOTHING && p->index & 8;
    bool base = base_used && rm & 8;
    uint8_t last = (uint8_t)((~p->vvvv & 15) << 3 | (unsigned)p->vex_l << 2 | p->pp);

    if (!index && !base && !p->rex_w && p->map == VEX + 1 && one_in(r, 2)) {
        bytes[0] = 0xc5;
        bytes[1] = (uint8_t)((reg ? 0 : 0x80) | last);
        return 2;
    }
    /* Bits without effect. */
    if (wide && !p->has_sib)
        index = one_in(r, 4);
    if ((wide && !base_used) || !wide)
        base = one_in(r, 4);
    if (!wide && one_in(r, p->vvvv ? 4 : 100)) /* but all of it counts where no register is named */
        last ^= 0x40;
    bytes[0] = 0xc4;
    bytes[1] = (uint8_t)((reg ? 0 : 0x80) | (index ? 0 : 0x40) | (base ? 0 : 0x20) | (p->map - VEX));
    bytes[2] = (uint8_t)((p->rex_w ? 0x80 : 0) | last);
    return 3;
}

void set_vector(struct builder *b, unsigned reg, unsigned at, const void *bytes, unsigned size)
{
    struct machine *m = &b->c->start;

    if (b->program) /* as it comes */
        return;
    for (unsigned n = 0; n < size; n++) {
        uint8_t byte = ((const uint8_t *)bytes)[n];

        if (at + n < 16)
            m->fx[FX_XMM + 16 * reg + at + n] = byte;
        else
            m->ymm_high[16 * reg + at + n - 16] = byte;
    }
}

/* Elements that are taken have their top bit set. */
static void set_mask(struct builder *b, unsigned reg)
{
    struct random *r = &b->random;
    unsigned size = one_in(r, 2) ? 4 : 8;
    bool all = one_in(r, 3);

    for (unsigned at = 0; at < 32; at += size) {
        uint64_t v = random64(r), top = 1ull << (8 * size - 1);

        v = all ? v | top : one_in(r, 3) ? v & ~top : v;
        set_vector(b, reg, at, &v, size);
    }
}

void need_mask(struct builder *b, struct parts *p)
{
    set_mask(b, p->vvvv);
}

/* Offsets from the base that lead into DATA, but for a few. */
void need_indices(struct builder *b, struct parts *p)
{
    const char *name = strstr(p->row->name, "gather");
    struct random *r = &b->random;
    unsigned size = name && name[6] == 'q' ? 8 : 4, registers = b->c->bits == 64 ? 16 : 8;
    bool all = !one_in(r, 4);

    if (!p->has_vsib)
        return;
    /* Source, index and mask must be three registers. */
    if (!one_in(r, 12)) {
        while (p->reg == p->index)
            p->reg = below(r, registers);
        while (p->vvvv == p->reg || p->vvvv == p->index)
            p->vvvv = below(r, registers);
    }
    set_mask(b, p->vvvv);
    for (unsigned at = 0; at < 32; at += size) {
        int64_t v = (int64_t)(below(r, 4000)) - 2000;

        v >>= p->scale;
        if (!all && one_in(r, 8))
            v = (int64_t)edge_integer(r);
        else if (p->asize != SIZE_Q && size == 8 && one_in(r, 2)) /* truncated with the address */
            v = (int64_t)((uint32_t)v | random64(r) << 32);
        set_vector(b, p->index, at, &v, size);
    }
}
