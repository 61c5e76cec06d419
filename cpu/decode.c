/*
 * decode.c - guest bytes to struct insn, by the rows of opcodes.def.
 *
 * A decoder is built for one CPU model: rows whose feature the model lacks are left out, so that their
 * encodings raise #UD like any other that doesn't exist. Decoding never looks at guest state other than the
 * mode it is given, and what it can't encode it turns into an instruction that faults when it runs.
 */
#include <stdlib.h>
#include <string.h>

#include "cpu/internal.h"
#include "cpu/interp/bodies.h"

#define MAPS       7
#define MAX_LENGTH 15 /* SDM 2A 2.3.11 */

struct decoder {
    uint16_t first[MAPS][256]; /* index into rows */
    uint16_t count[MAPS][256];
    const struct opcode_row *rows[];
};

static bool row_covers(const struct opcode_row *row, unsigned map, unsigned opcode)
{
    return row->map == map && row->opcode == (row->sel & SEL_PLUS_R ? opcode & ~7u : opcode);
}

/* VEX-encoded vector instructions of other features need AVX too. */
static bool row_exists(const struct cpu *cpu, const struct opcode_row *row)
{
    return has_feature(cpu, row->feature) && (!(row->attr & A_VEC) || has_feature(cpu, F_AVX));
}

struct decoder *decoder_new(const struct cpu *cpu)
{
    /* A row that covers eight opcodes is listed under each. */
    struct decoder *d = calloc(1, sizeof(*d) + 8 * opcode_row_count * sizeof(d->rows[0]));
    unsigned used = 0;

    if (!d)
        return NULL;
    for (unsigned map = 0; map < MAPS; map++) {
        for (unsigned opcode = 0; opcode < 256; opcode++) {
            d->first[map][opcode] = (uint16_t)used;
            for (unsigned r = 0; r < opcode_row_count; r++)
                if (row_covers(&opcode_rows[r], map, opcode) && row_exists(cpu, &opcode_rows[r]))
                    d->rows[used++] = &opcode_rows[r];
            d->count[map][opcode] = (uint16_t)(used - d->first[map][opcode]);
        }
    }
    return d;
}

void decoder_free(struct decoder *decoder)
{
    free(decoder);
}

/* What one instruction's decoding works on. */
struct cursor {
    const uint8_t *bytes;
    unsigned size, pos;
    bool short_of_bytes, too_long;
    uint32_t mode;
    unsigned bits; /* SIZE_W, SIZE_D or SIZE_Q */
    bool opsize, adsize, rep, repne, lock, has_rex;
    unsigned rex; /* also VEX's W, R, X, B */
    bool vex, l, vex_late; /* vex_late: after a prefix that makes it undefined */
    unsigned vvvv, vector_index;
    bool has_sib;
    int seg_override;
    bool has_modrm;
    unsigned mod, reg, rm; /* ModRM fields without REX */
};

#define REX_W 8u
#define REX_R 4u
#define REX_X 2u
#define REX_B 1u

/* The next `n` bytes as a little-endian number; 0 and a flag when they aren't there. */
static uint64_t take(struct cursor *c, unsigned n)
{
    uint64_t v = 0;

    /* All fifteen bytes are fetched, and may fault, before the length counts. */
    if (c->pos + n > c->size && c->size < MAX_LENGTH) {
        c->short_of_bytes = true;
        return 0;
    }
    if (c->pos + n > MAX_LENGTH) {
        c->too_long = true;
        return 0;
    }
    memcpy(&v, c->bytes + c->pos, n);
    c->pos += n;
    return v;
}

static int64_t take_signed(struct cursor *c, unsigned n)
{
    unsigned shift = 64 - 8 * n;

    return (int64_t)(take(c, n) << shift) >> shift;
}

/* Consumes prefixes; returns the first byte that is none. */
static unsigned take_prefixes(struct cursor *c)
{
    for (;;) {
        unsigned byte = (unsigned)take(c, 1);

        if (c->short_of_bytes || c->too_long)
            return 0;
        switch (byte) {
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e:
            /* ES, CS, SS, DS do nothing in 64-bit mode, but don't undo an FS or GS before them. */
            if (c->bits != SIZE_Q)
                c->seg_override = (byte - 0x26) >> 3;
            break;
        case 0x64:
        case 0x65:
            c->seg_override = byte - 0x64 + FS;
            break;
        case 0x66:
            c->opsize = true;
            break;
        case 0x67:
            c->adsize = true;
            break;
        case 0xf0:
            c->lock = true;
            break;
        case 0xf2:
            c->repne = true;
            c->rep = false;
            break;
        case 0xf3:
            c->rep = true;
            c->repne = false;
            break;
        default:
            if (c->bits != SIZE_Q || (byte & 0xf0) != 0x40)
                return byte;
            /* REX counts only directly before the opcode. */
            c->has_rex = true;
            c->rex = byte & 15;
            continue;
        }
        c->has_rex = false;
        c->rex = 0;
    }
}

/*
 * VEX (SDM 2A 2.3): C5 and C4 are LDS and LES outside 64-bit mode, unless what follows would be their register form
 * (which in real and virtual-8086 mode is undefined). Returns false when this is no VEX prefix; nothing is consumed
 * then. *bad: a REX stands before it, or its map doesn't exist. Other prefixes that may not stand there are undefined
 * only after all bytes were fetched.
 */
static bool take_vex(struct cursor *c, unsigned first, unsigned *map, bool *bad)
{
    unsigned start = c->pos, byte, last;

    *bad = c->has_rex;
    if (*bad)
        return true;
    byte = (unsigned)take(c, 1);
    if (c->short_of_bytes || c->too_long)
        return true;
    if ((c->bits != SIZE_Q && (byte & 0xc0) != 0xc0) || (c->mode & MODE_REAL)) {
        c->pos = start;
        return false;
    }
    c->vex_late = c->opsize || c->rep || c->repne;
    last = first == 0xc4 ? (unsigned)take(c, 1) : byte;
    c->vex = true;
    c->rex = byte & 0x80 ? 0 : REX_R;
    *map = VEX + 1;
    if (first == 0xc4) {
        c->rex |= (byte & 0x40 ? 0 : REX_X) | (byte & 0x20 ? 0 : REX_B) | (last & 0x80 ? REX_W : 0);
        *map = VEX + (byte & 31);
        if (*map <= VEX || *map >= MAPS) {
            *map = 0;
            *bad = true;
        }
    }
    c->l = last & 4;
    c->vvvv = ~last >> 3 & 15;
    c->opsize = (last & 3) == 1;
    c->rep = (last & 3) == 2;
    c->repne = (last & 3) == 3;
    if (c->bits != SIZE_Q)
        c->rex &= REX_W;
    return true;
}

static bool vex_matches(const struct cursor *c, const struct opcode_row *row)
{
    bool w = c->rex & REX_W;

    if ((row->sel & SEL_W0 && w) || (row->sel & SEL_W1 && !w))
        return false;
    return !(row->sel & SEL_L0 && c->l) && !(row->sel & SEL_L1 && !c->l);
}

/* Whether an operand names VEX.vvvv. */
static bool uses_vvvv(const struct opcode_row *row)
{
    for (unsigned n = 0; n < 4; n++)
        if (row->operand[n] == O_Hx || row->operand[n] == O_By)
            return true;
    return false;
}

static bool prefix_matches(const struct cursor *c, unsigned prefix)
{
    switch (prefix) {
    case PFX_ANY:
        return true;
    case PFX_NONE:
        return !c->opsize && !c->rep && !c->repne;
    case PFX_66:
        return c->opsize && !c->rep && !c->repne;
    case PFX_F3:
        return c->rep;
    default:
        return c->repne;
    }
}

static bool modrm_matches(const struct cursor *c, const struct opcode_row *row)
{
    unsigned sel = row->sel;
    bool is_reg = c->mod == 3 || (row->attr & A_MODRM_REG);

    if ((sel & SEL_FORM) == SEL_MEM ? is_reg : (sel & SEL_FORM) == SEL_REG ? !is_reg : false)
        return false;
    if ((sel & SEL_HAS_EXT) && (sel >> 5 & 7) != c->reg)
        return false;
    return !(sel & SEL_HAS_RM) || (sel & 7) == c->rm;
}

static bool take_modrm(struct cursor *c)
{
    unsigned byte;

    if (c->has_modrm)
        return true;
    byte = (unsigned)take(c, 1);
    c->mod = byte >> 6;
    c->reg = byte >> 3 & 7;
    c->rm = byte & 7;
    c->has_modrm = true;
    return !c->short_of_bytes && !c->too_long;
}

/* Picks the row; reads ModRM when the opcode has one. NULL: #UD. */
static const struct opcode_row *find_row(const struct decoder *d, struct cursor *c, unsigned map,
                                         unsigned opcode)
{
    const struct opcode_row *const *rows = &d->rows[d->first[map][opcode]];
    unsigned count = d->count[map][opcode];

    for (unsigned n = 0; n < count; n++) {
        const struct opcode_row *row = rows[n];

        if ((row->attr & A_NO64) && c->bits == SIZE_Q)
            continue;
        if ((row->attr & A_ONLY64) && c->bits != SIZE_Q)
            continue;
        if (!prefix_matches(c, row->prefix) || ((row->attr & A_NO_REXB) && (c->rex & REX_B)))
            continue;
        if (c->vex && !vex_matches(c, row))
            continue;
        if (row->sel & SEL_FORM) {
            if (!take_modrm(c))
                return NULL;
            if (!modrm_matches(c, row))
                continue;
        }
        return row;
    }
    return NULL;
}

static uint16_t gpr8(const struct cursor *c, unsigned n)
{
    /* Without REX, 4 to 7 are AH, CH, DH, BH. */
    return !c->has_rex && n >= 4 && n < 8 ? (uint16_t)(REG_OFFSET(n - 4) + 1) : REG_OFFSET(n);
}

/* 16-bit addressing forms, SDM 2A table 2-1. */
static void address16(struct cursor *c, struct insn *i)
{
    static const struct {
        uint8_t base, index;
    } form[8] = {{RBX, RSI}, {RBX, RDI}, {RBP, RSI}, {RBP, RDI}, {RSI, 16}, {RDI, 16}, {RBP, 16}, {RBX, 16}};

    if (c->mod == 0 && c->rm == 6) {
        i->disp = (int32_t)take_signed(c, 2);
        return;
    }
    i->base = REG_OFFSET(form[c->rm].base);
    if (form[c->rm].index < 16)
        i->index = REG_OFFSET(form[c->rm].index);
    if (form[c->rm].base == RBP)
        i->seg = SS;
    if (c->mod)
        i->disp = (int32_t)take_signed(c, c->mod);
}

/* 32- and 64-bit forms, tables 2-2 and 2-3. Returns true when the displacement is relative to RIP. */
static bool address32(struct cursor *c, struct insn *i)
{
    bool rip_relative = false;
    unsigned base = c->rm;

    if (base == 4) {
        unsigned sib = (unsigned)take(c, 1);
        unsigned index = (sib >> 3 & 7) | (c->rex & REX_X ? 8 : 0);

        base = sib & 7;
        c->has_sib = true;
        c->vector_index = index;
        i->scale = (uint8_t)(sib >> 6);
        if (index != 4)
            i->index = REG_OFFSET(index);
        if (base == 5 && c->mod == 0) {
            i->disp = (int32_t)take_signed(c, 4);
            return false;
        }
    } else if (base == 5 && c->mod == 0) {
        i->disp = (int32_t)take_signed(c, 4);
        if (c->bits == SIZE_Q)
            rip_relative = true;
        return rip_relative;
    }
    if (base == RSP || base == RBP)
        i->seg = (c->rex & REX_B) ? i->seg : SS;
    i->base = REG_OFFSET(base | (c->rex & REX_B ? 8 : 0));
    if (c->mod)
        i->disp = (int32_t)take_signed(c, c->mod == 1 ? 1 : 4);
    return rip_relative;
}

static unsigned address_size(const struct cursor *c)
{
    if (c->bits == SIZE_Q)
        return c->adsize ? SIZE_D : SIZE_Q;
    return (c->bits == SIZE_D) != c->adsize ? SIZE_D : SIZE_W;
}

/*
 * VEX-encoded instructions that don't exist are fetched to where they would end, which may fault, before that is
 * found: all of map 2 and 3 and those of map 1 whose opcode exists, 77 aside, have ModRM; those of map 3 and a few of
 * map 1 an immediate.
 */
static void take_undefined_vex(struct cursor *c, unsigned map, unsigned opcode, struct insn *i)
{
    if ((map == VEX + 1 && opcode == 0x77) || !take_modrm(c))
        return;
    if (c->mod != 3) {
        if (address_size(c) == SIZE_W)
            address16(c, i);
        else
            address32(c, i);
    }
    if (map == VEX + 3 || (map == VEX + 1 && ((opcode >= 0x70 && opcode <= 0x73) || opcode == 0xc2 ||
                                              (opcode >= 0xc4 && opcode <= 0xc6))))
        take(c, 1);
}

/* Sets the register that an operand names, and reads its immediate. */
static void take_operand(struct cursor *c, unsigned operand, unsigned opcode, struct insn *i)
{
    unsigned reg = c->reg | (c->rex & REX_R ? 8 : 0), rm = c->rm | (c->rex & REX_B ? 8 : 0);
    unsigned low = (opcode & 7) | (c->rex & REX_B ? 8 : 0);

    switch (operand) {
    case O_Eb:
        i->rm = gpr8(c, rm);
        break;
    case O_Ew:
    case O_Ed:
    case O_Eq:
    case O_Ev:
    case O_Ey:
    case O_Rv:
    case O_Ry:
        i->rm = REG_OFFSET(rm);
        break;
    case O_Gb:
        i->reg = gpr8(c, reg);
        break;
    case O_Gw:
    case O_Gd:
    case O_Gv:
    case O_Gy:
        i->reg = REG_OFFSET(reg);
        break;
    case O_Zb:
        i->rm = gpr8(c, low);
        break;
    case O_Zv:
    case O_Zy:
        i->rm = REG_OFFSET(low);
        break;
    case O_Sw:
        i->reg = (uint16_t)c->reg; /* REX.R is ignored */
        break;
    case O_Cy:
    case O_Dy:
        i->reg = (uint16_t)reg;
        break;
    case O_Vx:
        i->reg = XMM_OFFSET(reg);
        break;
    case O_Wx:
    case O_Wss:
    case O_Wsd:
    case O_Wq:
    case O_Ux:
    case O_Wdq:
    case O_Wh:
    case O_Wf:
    case O_We:
        i->rm = XMM_OFFSET(rm);
        break;
    case O_Mvm: /* the index is a vector register, and 4 is one like any other */
        i->index = XMM_OFFSET(c->vector_index);
        break;
    case O_Pq:
        i->reg = (uint16_t)(offsetof(struct cpu, s.st) + sizeof(struct f80) * c->reg);
        break;
    case O_Qq:
    case O_Qd:
    case O_Nq:
        i->rm = (uint16_t)(offsetof(struct cpu, s.st) + sizeof(struct f80) * c->rm);
        break;
    case O_STi:
        i->rm = (uint16_t)c->rm;
        break;
    case O_Ib:
    case O_Lx:
    case O_sIb:
        i->imm = take_signed(c, 1);
        break;
    case O_Iw:
        i->imm = (int64_t)take(c, 2);
        break;
    case O_Iz:
        i->imm = take_signed(c, i->osize == SIZE_W ? 2 : 4);
        break;
    case O_Iv:
        i->imm = take_signed(c, 1u << i->osize);
        break;
    case O_Jb:
        i->imm = take_signed(c, 1);
        break;
    case O_Jz:
        i->imm = take_signed(c, i->osize == SIZE_W ? 2 : 4);
        break;
    case O_Ap:
        i->imm = (int64_t)take(c, i->osize == SIZE_W ? 2 : 4);
        i->imm |= (int64_t)(take(c, 2) << 32);
        break;
    case O_Ob:
    case O_Ov:
        i->imm = (int64_t)take(c, 1u << i->asize);
        break;
    case O_AL:
    case O_AX:
    case O_eAX:
    case O_rAX:
        if (i->rm == ZERO_OFFSET)
            i->rm = REG_OFFSET(RAX);
        break;
    default: /* implied, or memory only */
        break;
    }
}

static unsigned operand_size(const struct cursor *c, const struct opcode_row *row)
{
    bool opsize = c->opsize && row->prefix != PFX_66;

    if (row->attr & A_VEC)
        return c->l ? VEC_Y : VEC_X;
    if (c->vex)
        return c->bits == SIZE_Q && (c->rex & REX_W) ? SIZE_Q : SIZE_D;
    if (c->bits != SIZE_Q)
        return (c->bits == SIZE_D) != opsize ? SIZE_D : SIZE_W;
    if ((row->attr & A_F64) || (c->rex & REX_W))
        return SIZE_Q;
    return opsize ? SIZE_W : row->attr & A_D64 ? SIZE_Q : SIZE_D;
}

/* An instruction that only raises: for encodings that don't exist or are too long. */
static unsigned bad_insn(struct insn *i, insn_fn *fn, unsigned length, unsigned *attr)
{
    i->fn = fn;
    i->len = (uint8_t)length;
    i->row = UINT16_MAX;
    *attr = A_END;
    return length;
}

/* Which of a row's bodies serves: see struct opcode_row. */
static unsigned pick_form(const struct cursor *c, const struct opcode_row *row, const struct insn *i,
                          unsigned page_offset)
{
    if (row->operand[0] == O_Jb || row->operand[0] == O_Jz) {
        if (c->bits != SIZE_Q || i->osize != SIZE_Q)
            return 2;
        return (uint64_t)i->imm + page_offset < 4096 ? 0 : 1;
    }
    if (!(i->flags & INSN_MEM))
        return 0;
    return c->bits == SIZE_Q && i->asize == SIZE_Q && !(c->mode & MODE_AC) && !c->lock ? 1 : 2;
}

unsigned decode(const struct cpu *cpu, uint32_t mode, const uint8_t *bytes, unsigned size, unsigned off,
                unsigned page_offset, struct insn *i, unsigned *attr)
{
    struct cursor c = {
        .bytes = bytes, .size = size, .mode = mode, .bits = mode & MODE_BITS, .seg_override = -1};
    const struct opcode_row *row;
    unsigned map = 0, opcode, form;
    bool rip_relative = false, bad_vex = false;

    memset(i, 0, sizeof(*i));
    i->off = (uint8_t)off;
    i->base = i->index = i->segbase = ZERO_OFFSET;
    i->reg = i->rm = ZERO_OFFSET;
    i->seg = DS;

    opcode = take_prefixes(&c);
    if (opcode == 0x0f && !c.too_long && !c.short_of_bytes) {
        map = 1;
        opcode = (unsigned)take(&c, 1);
        if (opcode == 0x38 || opcode == 0x3a) {
            map = opcode == 0x38 ? 2 : 3;
            opcode = (unsigned)take(&c, 1);
        }
    } else if ((opcode == 0xc4 || opcode == 0xc5) && take_vex(&c, opcode, &map, &bad_vex)) {
        if (!bad_vex)
            opcode = (unsigned)take(&c, 1);
    }
    row = c.too_long || c.short_of_bytes || bad_vex ? NULL : find_row(cpu->decoder, &c, map, opcode);
    if (!row && c.vex && !bad_vex && !c.too_long && !c.short_of_bytes &&
        (map > VEX + 1 || cpu->decoder->count[map][opcode]))
        take_undefined_vex(&c, map, opcode, i);
    if (c.too_long)
        return bad_insn(i, body_too_long, MAX_LENGTH, attr);
    if (c.short_of_bytes)
        return 0;
    if (!row)
        return bad_insn(i, body_undefined, c.pos, attr);

    i->row = (uint16_t)(row - opcode_rows);
    i->vreg = c.vvvv & (c.bits == SIZE_Q ? 15 : 7); /* but where it is not used all four bits count */
    i->osize = operand_size(&c, row) & 15;
    i->asize = address_size(&c) & 15;
    i->flags = (c.rep ? INSN_REP : 0) | (c.repne ? INSN_REPNE : 0) | (c.lock ? INSN_LOCK : 0) |
               (c.has_rex ? INSN_REX : 0) | (c.vex ? INSN_VEX : 0);
    if ((row->sel & SEL_FORM) && c.mod != 3 && !(row->attr & A_MODRM_REG)) {
        i->flags |= INSN_MEM;
        if (i->asize == SIZE_W)
            address16(&c, i);
        else
            rip_relative = address32(&c, i);
    }
    if (c.seg_override >= 0)
        i->seg = (uint8_t)c.seg_override;
    if (c.bits == SIZE_Q && i->seg >= FS)
        i->segbase = SEGBASE_OFFSET(i->seg);
    for (unsigned n = 0; n < 4 && row->operand[n]; n++) {
        if (n == 1 && row->operand[0] == O_Iw) /* ENTER: its second immediate goes above the first */
            i->imm |= (int64_t)(take(&c, 1) << 16);
        else
            take_operand(&c, row->operand[n], opcode, i);
    }

    if (map == 0 && (row->attr & A_X87)) /* what FOP remembers */
        i->imm = (opcode & 7) << 8 | c.mod << 6 | c.reg << 3 | c.rm;

    if (c.too_long)
        return bad_insn(i, body_too_long, MAX_LENGTH, attr);
    if (c.short_of_bytes)
        return 0;
    if (c.lock && (!(row->attr & A_LOCK) || !(i->flags & INSN_MEM)))
        return bad_insn(i, body_undefined, c.pos, attr);
    if (c.vex && (c.vex_late || (c.vvvv && !uses_vvvv(row)))) /* after all bytes were fetched */
        return bad_insn(i, body_undefined, c.pos, attr);
    if (row->operand[1] == O_Mvm && !c.has_sib) /* VSIB addressing needs its byte (SDM 2A 2.3.12) */
        return bad_insn(i, body_undefined, c.pos, attr);

    i->len = (uint8_t)c.pos;
    *attr = row->attr;
    if (row->operand[0] == O_Jb || row->operand[0] == O_Jz)
        i->imm += off + c.pos;
    if (rip_relative) {
        int32_t sum;

        i->base = RIP_OFFSET;
        if (!__builtin_add_overflow(i->disp, (int32_t)(off + c.pos), &sum)) {
            i->disp = sum;
        } else {
            /* Out of 32 bits: the length goes into the index, which can say only 0 to 15, so start a trace
             * here. */
            i->index = SMALL_OFFSET(c.pos);
            *attr |= A_STARTS;
        }
    }
    form = pick_form(&c, row, i, page_offset);
    if (form == 0 && (row->attr & A_LINK) && (row->operand[0] == O_Jb || row->operand[0] == O_Jz))
        i->flags |= INSN_NEAR;
    i->fn = row->fn[form][i->osize - 1];
    return c.pos;
}
