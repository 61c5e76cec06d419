/*
 * segments_program.c - see segments_program.h.
 */
#include <string.h>

#include "tests/unit/segments_program.h"

/* SplitMix (Steele, Lea, Flood). */
uint64_t segments_random(struct program *p)
{
    uint64_t z = p->random += 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static unsigned below(struct program *p, unsigned n)
{
    return (unsigned)(segments_random(p) >> 32) % n;
}

static bool one_in(struct program *p, unsigned n)
{
    return !below(p, n);
}

static void byte(struct program *p, unsigned value)
{
    p->code[p->size++] = (uint8_t)value;
}

static void bytes(struct program *p, uint64_t value, unsigned n)
{
    for (; n--; value >>= 8)
        byte(p, value & 0xff);
}

/* --- Segments ----------------------------------------------------------------------------------------- */

static uint64_t descriptor(uint32_t base, uint32_t limit, uint32_t attr)
{
    if (limit > 0xfffff) {
        limit >>= 12;
        attr |= SEG_G;
    }
    return (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)(attr & 0xf0ff) << 40 |
           (uint64_t)(limit >> 16 & 15) << 48 | (uint64_t)(base >> 24) << 56;
}

static struct segment segment(uint16_t selector, uint64_t d)
{
    uint32_t attr = (uint32_t)(d >> 40) & 0xf0ff, limit = (uint32_t)((d & 0xffff) | (d >> 32 & 0xf0000));

    return (struct segment){.base = (d >> 16 & 0xffffff) | (d >> 32 & 0xff000000),
                            .limit = attr & SEG_G ? limit << 12 | 0xfff : limit,
                            .attr = attr,
                            .selector = selector};
}

static uint32_t random_limit(struct program *p)
{
    switch (below(p, 8)) {
    case 0:
        return 0x1000 + below(p, 0x3000);
    case 1:
        return 0xfffff000 | 0xfff;
    case 2:
        return 0x7fffffff;
    default:
        return 0xffff;
    }
}

static uint64_t random_data(struct program *p, unsigned dpl)
{
    uint32_t attr = SEG_P | SEG_S | SEG_ACCESSED | dpl << SEG_DPL_SHIFT, base = AT_DATA + below(p, 0x40000);

    if (one_in(p, 3))
        base &= ~0xfffu;
    if (one_in(p, 12)) /* expands down, from 64 KiB or 4 GiB */
        return descriptor(base, below(p, 0x800),
                          attr | SEG_WRITABLE | SEG_EXPDOWN | (one_in(p, 2) ? SEG_DB : 0));
    if (one_in(p, 12)) /* code, with or without the right to read it */
        return descriptor(base, random_limit(p), attr | SEG_CODE | (one_in(p, 3) ? 0 : SEG_READABLE));
    return descriptor(base, random_limit(p),
                      attr | (one_in(p, 10) ? 0 : SEG_WRITABLE) | (one_in(p, 2) ? SEG_DB : 0));
}

/* A stack, which is writable, with room at 0x7000. */
static uint64_t random_stack(struct program *p, unsigned dpl)
{
    uint32_t attr = SEG_P | SEG_S | SEG_ACCESSED | SEG_WRITABLE | dpl << SEG_DPL_SHIFT;

    if (one_in(p, 2))
        attr |= SEG_DB;
    if (one_in(p, 8))
        return descriptor(AT_DATA + below(p, 0x40000), 0x100, attr | SEG_EXPDOWN);
    return descriptor(AT_DATA + below(p, 0x40000),
                      one_in(p, 4)   ? 0x7000 + below(p, 64)
                      : one_in(p, 2) ? 0xffff
                                     : UINT32_MAX,
                      attr);
}

static void real_segments(struct program *p, uint32_t rip)
{
    uint32_t attr = SEG_P | SEG_S | SEG_WRITABLE | SEG_ACCESSED | (p->kind == V86 ? SEG_DPL : 0);
    struct segment *seg = p->s.seg;

    for (unsigned n = 0; n < DATA_SELECTORS; n++)
        p->selectors[n] = (uint16_t)((AT_DATA + below(p, 0x40000)) >> 4);
    for (unsigned n = 0; n < SEG_COUNT; n++) {
        uint16_t selector = n == CS ? (uint16_t)((p->linear - rip) >> 4) : p->selectors[n];

        seg[n] = (struct segment){
            .base = (uint32_t)selector << 4, .limit = 0xffff, .attr = attr, .selector = selector};
        if (p->kind == UNREAL && one_in(p, 2)) {
            seg[n].limit = n == CS || one_in(p, 3) ? random_limit(p) | 0xffff : random_limit(p);
            seg[n].attr |= n != CS && one_in(p, 2) ? SEG_DB | SEG_G : 0;
        }
    }
    p->s.rip = p->linear - seg[CS].base;
    p->other_shift = 0x10 * (1 + below(p, 4));
    p->other_code = (uint16_t)(seg[CS].selector - p->other_shift / 16);
}

static void protected_segments(struct program *p, uint32_t rip)
{
    unsigned dpl = one_in(p, 2) ? 3 : one_in(p, 4) ? 1 + below(p, 2) : 0;
    uint32_t base = p->kind == FLAT32 ? 0 : p->linear - rip, limit;
    uint32_t attr = SEG_P | SEG_S | SEG_CODE | SEG_ACCESSED | dpl << SEG_DPL_SHIFT |
                    (one_in(p, 8) ? 0 : SEG_READABLE) | (p->bits == 32 ? SEG_DB : 0);
    struct segment *seg = p->s.seg;

    p->s.rip = p->linear - base;
    limit = p->kind == FLAT32 ? UINT32_MAX
            : one_in(p, 6)    ? (uint32_t)p->s.rip + 10 + below(p, 100)
            : one_in(p, 2)    ? 0xffff
                              : random_limit(p) | 0xffff;
    p->gdt[0] = 0;
    p->gdt[1] = descriptor(base, limit, attr);
    p->other_shift = 1 + below(p, 100);
    p->gdt[2] = descriptor(base - p->other_shift, limit, attr);
    p->other_code = (uint16_t)(2 << 3 | dpl);
    for (unsigned n = 0; n < DATA_SELECTORS; n++) {
        p->gdt[3 + n] = n == SS ? random_stack(p, dpl) : random_data(p, dpl);
        if (p->kind == FLAT32 && n < 4)
            p->gdt[3 + n] = descriptor(
                0, UINT32_MAX, SEG_P | SEG_S | SEG_ACCESSED | SEG_WRITABLE | SEG_DB | dpl << SEG_DPL_SHIFT);
        p->selectors[n] = (uint16_t)((3 + n) << 3 | dpl);
        if (n < SEG_COUNT)
            seg[n] = segment(p->selectors[n], p->gdt[3 + n]);
    }
    seg[CS] = segment((uint16_t)(1 << 3 | dpl), p->gdt[1]);
    p->s.cpl = (uint8_t)dpl;
    if (p->kind != FLAT32 && one_in(p, 12))
        seg[one_in(p, 2) ? ES : FS] = (struct segment){.attr = SEG_UNUSABLE};
}

/* --- The program -------------------------------------------------------------------------------------- */

/* CMP eAX, eCX: all flags are defined. */
static void define_flags(struct program *p)
{
    bytes(p, 0xc839, 2);
}

/* MOV register, immediate, of 32 bits or of 16. */
static void load(struct program *p, unsigned reg, uint32_t value, bool wide)
{
    if (wide != (p->bits == 32))
        byte(p, 0x66);
    byte(p, 0xb8 | reg);
    bytes(p, value, wide ? 4 : 2);
}

struct sizes {
    bool o32, a32;
    unsigned good; /* a register with a good offset, or 8 */
};

static unsigned pick(struct program *p)
{
    static const uint8_t quiet[] = {0, 2, 3, 5, 6, 7};

    return p->quiet || one_in(p, 2) ? quiet[below(p, 6)] : below(p, 8) == RSP ? 0 : below(p, 4);
}

/* Prefixes; before them what gives a memory operand a good offset. */
static struct sizes begin(struct program *p, bool memory, bool lock)
{
    static const uint8_t overrides[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65}, bases[] = {3, 5, 6, 7};
    struct sizes s = {
        .o32 = (p->bits == 32) != one_in(p, 4), .a32 = (p->bits == 32) != one_in(p, 5), .good = 8};

    if (memory && (s.a32 ? !one_in(p, 8) : one_in(p, 3))) {
        s.good = bases[below(p, 4)];
        load(p, s.good,
             p->kind == FLAT32 ? AT_DATA + below(p, 0x8000)
             : one_in(p, 10)   ? 0xfff0 + below(p, 20)
                               : below(p, 0x1800),
             s.a32 || one_in(p, 2));
    }
    if (lock)
        byte(p, 0xf0);
    if (memory && one_in(p, 4))
        byte(p, overrides[below(p, 6)]);
    if (s.o32 != (p->bits == 32))
        byte(p, 0x66);
    if (s.a32 != (p->bits == 32))
        byte(p, 0x67);
    return s;
}

static void modrm(struct program *p, struct sizes s, unsigned reg, bool memory)
{
    static const uint8_t forms16[8] = {[3] = 7, [5] = 6, [6] = 4, [7] = 5}; /* BX, BP, SI, DI */
    unsigned mod = below(p, 3), rm;

    if (!memory) {
        byte(p, 0xc0 | reg << 3 | pick(p));
        return;
    }
    if (!s.a32) {
        rm = s.good < 8 ? forms16[s.good] : below(p, 8);
        if (rm == 6 && !mod && s.good < 8)
            mod = 1;
        byte(p, mod << 6 | reg << 3 | rm);
        bytes(p, below(p, 0x1000), mod == 1 ? 1 : mod == 2 || rm == 6 ? 2 : 0);
        return;
    }
    if (s.good == 8) { /* an address */
        byte(p, reg << 3 | 5);
        bytes(p, p->kind == FLAT32 ? AT_DATA + below(p, 0x8000) : below(p, 0x1800), 4);
        return;
    }
    if (s.good == 5 && !mod)
        mod = 1;
    if (one_in(p, 5)) { /* with an index, mostly a big one */
        byte(p, mod << 6 | reg << 3 | 4);
        byte(p, below(p, 4) << 6 | (one_in(p, 2) ? 4 : below(p, 8)) << 3 | s.good);
    } else {
        byte(p, mod << 6 | reg << 3 | s.good);
    }
    bytes(p, mod == 2 ? (uint32_t)(below(p, 0x200) - 0x100) : below(p, 256), mod == 1 ? 1 : mod == 2 ? 4 : 0);
}

/* Instructions with ModRM. */
struct form {
    uint16_t opcode; /* 0Fxx: of two bytes */
    int8_t ext;      /* ModRM.reg, -1: any register, -2: any segment register */
    uint8_t immediate, undefined,
        where; /* 1: a byte, 2: as the operand; flags afterwards; ANY, REGISTER, MEMORY */
};

enum { ANY, REGISTER, MEMORY };

/* clang-format off */
static const struct form forms[] = {
    {0x00, -1, 0, 0, 0}, {0x01, -1, 0, 0, 0}, {0x02, -1, 0, 0, 0}, {0x03, -1, 0, 0, 0}, {0x09, -1, 0, 0, 0},
    {0x11, -1, 0, 0, 0}, {0x12, -1, 0, 0, 0}, {0x19, -1, 0, 0, 0}, {0x1b, -1, 0, 0, 0}, {0x20, -1, 0, 0, 0},
    {0x23, -1, 0, 0, 0}, {0x29, -1, 0, 0, 0}, {0x2a, -1, 0, 0, 0}, {0x31, -1, 0, 0, 0}, {0x33, -1, 0, 0, 0},
    {0x38, -1, 0, 0, 0}, {0x39, -1, 0, 0, 0}, {0x3b, -1, 0, 0, 0}, {0x80, 0, 1, 0, 0}, {0x80, 7, 1, 0, 0},
    {0x81, 0, 2, 0, 0}, {0x81, 5, 2, 0, 0}, {0x81, 2, 2, 0, 0}, {0x83, 4, 1, 0, 0}, {0x83, 0, 1, 0, 0},
    {0x83, 3, 1, 0, 0}, {0x83, 7, 1, 0, 0}, {0x84, -1, 0, 0, 0}, {0x85, -1, 0, 0, 0}, {0x86, -1, 0, 0, 0},
    {0x87, -1, 0, 0, 0}, {0x88, -1, 0, 0, 0}, {0x89, -1, 0, 0, 0}, {0x8a, -1, 0, 0, 0}, {0x8b, -1, 0, 0, 0},
    {0x89, -1, 0, 0, 2}, {0x8b, -1, 0, 0, 2}, {0x88, -1, 0, 0, 2}, {0x8a, -1, 0, 0, 2}, {0x8c, -2, 0, 0, 0},
    {0x8d, -1, 0, 0, 2}, {0xc0, 4, 1, 1, 0}, {0xc1, 5, 1, 1, 0}, {0xc1, 0, 1, 1, 0}, {0xc1, 2, 1, 1, 0},
    {0xd0, 4, 0, 1, 0}, {0xd1, 7, 0, 1, 0}, {0xd1, 3, 0, 1, 0}, {0xd3, 4, 0, 1, 0}, {0xd3, 7, 0, 1, 0},
    {0xd3, 1, 0, 1, 0}, {0xc6, 0, 1, 0, 0}, {0xc7, 0, 2, 0, 0}, {0xf6, 0, 1, 0, 0}, {0xf7, 0, 2, 0, 0},
    {0xf6, 2, 0, 0, 0}, {0xf7, 2, 0, 0, 0}, {0xf7, 3, 0, 0, 0}, {0xf6, 4, 0, 1, 0}, {0xf7, 4, 0, 1, 0},
    {0xf7, 5, 0, 1, 0}, {0xfe, 0, 0, 0, 0}, {0xfe, 1, 0, 0, 0}, {0xff, 0, 0, 0, 0}, {0xff, 1, 0, 0, 0},
    {0xff, 6, 0, 0, 0}, {0xff, 6, 0, 0, 2}, {0x8f, 0, 0, 0, 2}, {0x69, -1, 2, 1, 0}, {0x6b, -1, 1, 1, 0},
    {0x0faf, -1, 0, 1, 0}, {0x0fb6, -1, 0, 0, 0}, {0x0fb7, -1, 0, 0, 0}, {0x0fbe, -1, 0, 0, 0},
    {0x0fbf, -1, 0, 0, 0}, {0x0f44, -1, 0, 0, 0}, {0x0f42, -1, 0, 0, 0}, {0x0f4c, -1, 0, 0, 0},
    {0x0f92, 0, 0, 0, 0}, {0x0f95, 0, 0, 0, 0}, {0x0f9f, 0, 0, 0, 0}, {0x0fa3, -1, 0, 1, 1},
    {0x0fab, -1, 0, 1, 0}, {0x0fba, 5, 1, 1, 0}, {0x0fba, 4, 1, 1, 0}, {0x0fa4, -1, 1, 1, 0},
    {0x0fbc, -1, 0, 1, 0}, {0x0fb1, -1, 0, 0, 0}, {0x0fc1, -1, 0, 0, 0}, {0x0f10, -1, 0, 0, 2},
    {0x0f11, -1, 0, 0, 2}, {0x0f58, -1, 0, 0, 1}, {0x0f54, -1, 0, 0, 1}, {0x0f28, -1, 0, 0, 2},
    {0xd9, 0, 0, 0, 2}, {0xdd, 3, 0, 0, 2}, {0xd8, 1, 0, 0, 2}, {0xf6, 6, 0, 1, 0}, {0xf7, 6, 0, 1, 0},
    {0xf7, 7, 0, 1, 0},
};
/* clang-format on */

static void gen_form(struct program *p)
{
    const struct form *f = &forms[below(p, sizeof(forms) / sizeof(forms[0]))];
    bool memory = f->where == MEMORY || (f->where == ANY && one_in(p, 2));
    bool lock = memory && f->where == ANY && one_in(p, 8) &&
                (f->opcode < 0x38 ? !(f->opcode & 2)
                                  : f->opcode == 0x0fb1 || f->opcode == 0x0fc1 || f->opcode == 0xff);
    struct sizes s = begin(p, memory, lock && f->ext < 2);
    unsigned reg = f->ext >= 0                         ? (unsigned)f->ext
                   : f->ext == -2                      ? below(p, 6)
                   : f->opcode & 1 || f->opcode > 0xff ? pick(p)
                                                       : below(p, 8);

    if (p->quiet && f->ext == -1 && (reg & 3) == 1 && reg < 6)
        reg = 0;
    if (f->opcode > 0xff)
        byte(p, 0x0f);
    byte(p, f->opcode & 0xff);
    modrm(p, s, reg, memory);
    bytes(p, segments_random(p), f->immediate == 2 ? s.o32 ? 4 : 2 : f->immediate);
    if (f->undefined)
        define_flags(p);
}

/* Short ones, whose operands are implied. */
static void gen_short(struct program *p)
{
    static const uint8_t plain[] = {0x98, 0x99, 0x90, 0xf5, 0xf8, 0xf9, 0xfc, 0xfc, 0xfd,
                                    0x9e, 0xac, 0xad, 0xaa, 0xab, 0xa4, 0xa5, 0xae, 0xa7,
                                    0xd7, 0x27, 0x91, 0x93, 0x96, 0xad, 0xa5, 0xab};
    struct sizes s;

    switch (below(p, 8)) {
    case 0: /* MOV eAX, [fixed] and back */
        s = begin(p, false, false);
        byte(p, 0xa0 | below(p, 4));
        bytes(p, p->kind == FLAT32 ? AT_DATA + below(p, 0x2000) : below(p, 0x1800), s.a32 ? 4 : 2);
        return;
    case 1: /* MOV, INC, DEC, ADD register or eAX, immediate */
        load(p, pick(p), (uint32_t)segments_random(p), one_in(p, 2));
        return;
    case 2:
        begin(p, false, false);
        byte(p, 0x40 | below(p, 2) << 3 | pick(p));
        return;
    case 3:
        s = begin(p, false, false);
        byte(p, 0x05 | below(p, 8) << 3);
        bytes(p, segments_random(p), s.o32 ? 4 : 2);
        return;
    case 4: /* string instructions, sometimes repeated */
        if (!p->quiet && one_in(p, 3)) {
            load(p, RCX, below(p, 9), true);
            byte(p, 0xf3);
        }
        s = begin(p, false, false);
        byte(p, plain[10 + below(p, 8)]);
        define_flags(p);
        return;
    default:
        begin(p, false, false);
        byte(p, plain[below(p, sizeof(plain))]);
        define_flags(p); /* DAA */
    }
}

static void gen_stack(struct program *p)
{
    static const uint8_t push_segment[] = {0x06, 0x0e, 0x16, 0x1e};
    struct sizes s;
    bool flags = one_in(p, 12);

    if (flags)
        define_flags(p);
    s = begin(p, false, false);
    switch (flags ? 7 : below(p, 7)) {
    case 0:
    case 1:
        byte(p, 0x50 | below(p, 8));
        break;
    case 2:
    case 3:
        byte(p, 0x58 | (p->quiet ? 0 : pick(p)));
        break;
    case 4:
        byte(p, one_in(p, 2) ? 0x68 : 0x6a);
        bytes(p, segments_random(p), p->code[p->size - 1] == 0x6a ? 1 : s.o32 ? 4 : 2);
        break;
    case 5:
        if (one_in(p, 3))
            bytes(p, one_in(p, 2) ? 0xa00f : 0xa80f, 2);
        else
            byte(p, push_segment[below(p, 4)]);
        break;
    case 6:
        if (p->quiet || one_in(p, 2)) {
            byte(p, 0x60);
        } else { /* ENTER, LEAVE */
            bytes(p, 0xc8 | below(p, 32) << 8 | below(p, 3) << 24, 4);
            byte(p, 0xc9);
        }
        break;
    default: /* PUSHF, POPF: as they are */
        byte(p, 0x9c);
        if (s.o32 != (p->bits == 32))
            byte(p, 0x66);
        byte(p, 0x9d);
    }
}

/* A segment register but CS: mostly loaded with what there is. */
static void gen_segment(struct program *p)
{
    static const uint8_t registers[] = {ES, ES, DS, DS, FS, GS},
                         pops[] = {[ES] = 0x07, [DS] = 0x1f, [FS] = 0xa1, [GS] = 0xa9};
    unsigned seg = registers[below(p, 6)];
    uint16_t selector = one_in(p, 20) ? 0 : p->selectors[below(p, DATA_SELECTORS)];

    if (p->kind == FLAT32 && seg < FS)
        selector = p->selectors[0];
    switch (below(p, 5)) {
    case 0: /* PUSH, POP */
        byte(p, 0x68);
        bytes(p, selector, p->bits == 32 ? 4 : 2);
        if (seg >= FS)
            byte(p, 0x0f);
        byte(p, pops[seg]);
        break;
    case 1: /* MOV seg, [offset] */
        load(p, RBX, p->kind == FLAT32 ? AT_DATA + 0x100 : 0x100, p->bits == 32);
        bytes(p, p->bits == 32 ? 0x03c736 : 0x07c736, 3); /* MOV [ss:(e)bx], selector */
        bytes(p, selector, p->bits == 32 ? 4 : 2);
        bytes(p, 0x8e36, 2);
        byte(p, seg << 3 | (p->bits == 32 ? 3 : 7));
        break;
    case 2: /* LES and others; the frame is given back */
        if (p->bits == 16)
            bytes(p, 0x68 | (uint64_t)selector << 8 | (uint64_t)0x68 << 24 | (uint64_t)below(p, 0x1000) << 32,
                  6);
        else
            bytes(p, 0x68, 1), bytes(p, selector, 4), bytes(p, 0x68, 1), bytes(p, below(p, 0x1000), 4);
        bytes(p, 0xe589, 2); /* MOV eBP, eSP */
        if (seg >= FS)
            bytes(p, 0x0f | (seg == FS ? 0xb4 : 0xb5) << 8, 2);
        else
            byte(p, seg == ES ? 0xc4 : 0xc5);
        bytes(p, p->bits == 16 ? 0x76 : 0x75, 1); /* eSI, [eBP] */
        byte(p, 0);
        bytes(p, 0xc483 | (p->bits / 4) << 16, 3);
        break;
    default:
        load(p, RAX, selector, false);
        bytes(p, 0x8e | (0xc0 | seg << 3) << 8, 2);
    }
}

static void gen_some(struct program *p, unsigned count);

static void gen_branch(struct program *p)
{
    unsigned from, kind = below(p, 10);
    bool quiet = p->quiet, o32 = p->kind == FLAT32 || (p->bits == 32) != one_in(p, 6);
    uint32_t at;

    if (kind < 4 || quiet) { /* Jcc, JCXZ over something */
        if (one_in(p, 6))
            byte(p, p->kind != FLAT32 && one_in(p, 2) ? 0x66 : 0x67);
        byte(p, one_in(p, 5) ? 0xe3 : 0x70 | below(p, 16));
        byte(p, 0);
        from = p->size;
        gen_some(p, below(p, 4));
        p->code[from - 1] = (uint8_t)(p->size - from);
    } else if (kind < 6) { /* LOOP */
        load(p, RCX, 1 + below(p, 6), true);
        from = p->size;
        p->quiet = true;
        gen_some(p, 1 + below(p, 3));
        p->quiet = quiet;
        if (one_in(p, 5))
            byte(p, 0x67);
        byte(p, 0xe0 | below(p, 3));
        byte(p, 0);
        p->code[p->size - 1] = (uint8_t)(from - p->size);
    } else if (kind == 6) { /* CALL over the JMP over what is called */
        unsigned n = o32 ? 4 : 2;

        if (o32 != (p->bits == 32))
            byte(p, 0x66);
        byte(p, 0xe8);
        bytes(p, 2, n);
        byte(p, 0xeb);
        byte(p, 0);
        from = p->size;
        gen_some(p, below(p, 3));
        if (o32 != (p->bits == 32))
            byte(p, 0x66);
        if (one_in(p, 3))
            bytes(p, 0xc2 | below(p, 2) << 9, 3);
        else
            byte(p, 0xc3);
        p->code[from - 1] = (uint8_t)(p->size - from);
    } else if (kind == 7) { /* through a register: CALL, whose return address is dropped, or JMP */
        bool call = one_in(p, 2);

        at = (uint32_t)p->s.rip + p->size + (o32 ? 5 : 3) + (o32 != (p->bits == 32) ? 2 : 0) + 2;
        load(p, RBX, at, o32);
        if (o32 != (p->bits == 32))
            byte(p, 0x66);
        byte(p, 0xff);
        byte(p, call ? 0xd3 : 0xe3);
        if (call)
            bytes(p, 0xc483 | (o32 ? 4 : 2) << 16, 3);
    } else if (kind == 8) { /* far, to what follows in the other code segment, and back */
        unsigned n = p->bits == 32 ? 4 : 2;

        byte(p, 0xea);
        at = (uint32_t)p->s.rip + p->size + n + 2 + p->other_shift;
        bytes(p, at, n);
        bytes(p, p->other_code, 2);
        gen_some(p, below(p, 4));
        byte(p, 0xea);
        bytes(p, p->s.rip + p->size + n + 2, n);
        bytes(p, p->s.seg[CS].selector, 2);
    } else if (p->kind <= V86) { /* the next MOV's immediate, in this code */
        bytes(p, 0x06c62e, 3);
        bytes(p, p->s.rip + p->size + 4, 2);
        byte(p, below(p, 256));
        bytes(p, 0xb0, 2);
    }
}

static void gen_some(struct program *p, unsigned count)
{
    while (count--) {
        unsigned n = below(p, 16);

        if (n < 9)
            gen_form(p);
        else if (n < 12)
            gen_short(p);
        else if (n < 14)
            gen_stack(p);
        else if (p->quiet)
            gen_form(p);
        else
            gen_segment(p);
    }
}

void segments_registers(struct program *p)
{
    for (unsigned n = 0; n < 8; n++) {
        p->s.gpr[n] = (uint32_t)segments_random(p);
        if (one_in(p, 2))
            p->s.gpr[n] &= 0x1fff;
        p->s.zmm[n].u64[0] = segments_random(p);
        p->s.zmm[n].u64[1] = segments_random(p);
    }
    p->s.gpr[RSP] =
        (p->s.seg[SS].attr & SEG_DB || p->bits == 32 ? 0 : segments_random(p) & 0xffff0000u) | 0x7000;
    if (one_in(p, 10))
        p->s.gpr[RSP] = below(p, 40);
    if (p->kind == FLAT32)
        p->s.gpr[RSP] = AT_DATA + 0x7000;
}

void segments_make(struct program *p, enum kind kind, uint64_t seed)
{
    uint32_t rip;

    memset(p, 0, sizeof(*p));
    p->kind = kind;
    p->random = seed;
    p->bits = kind >= CODE32 ? 32 : 16;
    p->linear = AT_CODE + below(p, 0x3000);
    rip = one_in(p, 16) ? 0xff00 + below(p, 0x100) : 0x100 + below(p, 0x2000);
    p->s.cr0 = CR0_ET | CR0_NE | (kind >= V86 ? CR0_PE : 0);
    p->s.cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT;
    p->s.rflags = FLAG_1;
    if (kind <= V86)
        real_segments(p, rip & ~15u);
    else
        protected_segments(p, rip);
    if (kind == V86) {
        p->s.cpl = 3;
        p->s.rflags |= FLAG_VM | (one_in(p, 2) ? FLAG_IOPL : 0);
    }
    if (kind >= V86 && one_in(p, 3))
        p->s.cr0 |= CR0_PG | CR0_WP;
    for (unsigned n = 5 + below(p, 12); n--;)
        if (one_in(p, 3))
            gen_branch(p);
        else
            gen_some(p, 1 + below(p, 3));
    define_flags(p);
    byte(p, 0xf4);
}
