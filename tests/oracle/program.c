/*
 * program.c - longer cases: many instructions, branches ahead, loops, and stores into the program itself.
 *
 * What an instruction needs in registers is put there by MOVs before it, so that programs get far. Branches
 * lead ahead to the start of an instruction, by fixups that are resolved when it is there. A loop counts down
 * in memory, by SUB, which defines all flags that its next turn may read; random code may still make one
 * endless: the soft side runs first, and finds out.
 *
 * Code that changes itself does so at sites: an arithmetic instruction with an immediate, of which other
 * stores change the immediate, the operation, or the register. So the program stays one whose flags are
 * known. Wild ones change any byte.
 */
#include <string.h>

#include "tests/oracle/encode.h"

#define MAX_FIXUPS 64
#define MAX_SITES  8
#define ROOM       120u /* for an instruction with all that is put before it */
#define COUNTERS   (DATA + DATA_SIZE - 64)

enum fixup_kind { FIX_RELATIVE, FIX_VALUE, FIX_MEMORY };

struct fixup {
    uint8_t kind; /* enum fixup_kind */
    uint8_t size; /* of the bytes to fill in, or of the slot in memory */
    uint16_t at;  /* in the case's bytes */
    uint64_t linear;
    unsigned due; /* instructions until its target */
};

struct program {
    struct fixup fixup[MAX_FIXUPS];
    unsigned fixups;
    uint16_t site[MAX_SITES]; /* where sites begin; their immediates lie 2 behind */
    unsigned sites;
    uint16_t early_store[MAX_SITES]; /* stores to the next site: where their displacement lies */
    unsigned early_stores;
    unsigned loop_start, loop_due; /* instructions until its end; 0: in no loop */
    unsigned loops;
    bool flat, wild;
};

static void put(struct builder *b, uint64_t v, unsigned size)
{
    struct test_case *c = b->c;

    for (unsigned n = 0; n < size && c->length < MAX_BYTES; n++)
        c->bytes[c->length++] = n < 8 ? (uint8_t)(v >> (8 * n)) : 0;
}

static void patch(struct builder *b, unsigned at, uint64_t v, unsigned size)
{
    for (unsigned n = 0; n < size && at + n < MAX_BYTES; n++)
        b->c->bytes[at + n] = (uint8_t)(v >> (8 * n));
}

unsigned program_move(struct builder *b, unsigned reg, uint64_t value, bool full, unsigned *size)
{
    unsigned length = 4;

    if (b->c->bits == 64 && (full || (value >> 32 && (int64_t)value != (int32_t)value))) {
        put(b, 0x48 | reg >> 3, 1);
        put(b, 0xb8 | (reg & 7), 1);
        length = 8;
    } else if (b->c->bits == 64 && value >> 32) {
        put(b, 0x48 | reg >> 3, 1);
        put(b, 0xc7, 1);
        put(b, 0xc0 | (reg & 7), 1);
    } else {
        if (b->c->bits == 16)
            put(b, 0x66, 1);
        if (reg & 8)
            put(b, 0x41, 1);
        put(b, 0xb8 | (reg & 7), 1);
    }
    put(b, value, length);
    if (size)
        *size = length;
    return b->c->length - length;
}

static void add_fixup(struct builder *b, enum fixup_kind kind, unsigned at, uint64_t linear, unsigned size)
{
    struct program *p = b->program;

    if (p->fixups < MAX_FIXUPS)
        p->fixup[p->fixups++] = (struct fixup){(uint8_t)kind, (uint8_t)size, (uint16_t)at, linear,
                                               1 + below(&b->random, size == 1 ? 2 : 5)};
}

void program_branch(struct builder *b, unsigned reg, uint64_t linear)
{
    if (reg < 16) {
        unsigned size, at = program_move(b, reg, 0, true, &size);

        add_fixup(b, FIX_VALUE, at, 0, size);
    } else {
        add_fixup(b, FIX_MEMORY, 0, linear, b->c->bits == 64 ? 8 : b->c->bits == 32 ? 4 : 2);
    }
}

/* Fixups that are due lead here; a short one also when it soon couldn't any more. */
static void resolve(struct builder *b, bool all)
{
    struct program *p = b->program;
    struct test_case *c = b->c;
    unsigned left = 0;

    for (unsigned n = 0; n < p->fixups; n++) {
        struct fixup *f = &p->fixup[n];
        unsigned distance = c->length - (f->at + f->size);
        uint64_t here = c->entry - c->code_base + c->length;

        if (--f->due && !all && !(f->kind == FIX_RELATIVE && f->size == 1 && distance > 40)) {
            p->fixup[left++] = *f;
        } else if (f->kind == FIX_RELATIVE) {
            patch(b, f->at, f->size == 1 && distance > 127 ? 0 : distance, f->size);
        } else if (f->kind == FIX_VALUE) {
            patch(b, f->at, here, f->size);
        } else {
            put_memory(b, f->linear, &here, f->size);
        }
    }
    p->fixups = left;
}

/* --- Loops ---------------------------------------------------------------------------------------- */

static void start_loop(struct builder *b)
{
    struct program *p = b->program;
    uint32_t turns = one_in(&b->random, 4) ? 20 + below(&b->random, 60) : below(&b->random, 6);

    put_memory(b, COUNTERS + 4 * (p->loops & 15), &turns, 4);
    p->loop_start = b->c->length;
    p->loop_due = 2 + below(&b->random, 6);
}

/* SUB of 1 from the counter; JNS back. */
static void end_loop(struct builder *b)
{
    struct program *p = b->program;
    uint64_t counter = COUNTERS + 4 * (p->loops & 15) - b->c->data_base;
    unsigned wide = b->c->bits == 16 ? 2 : 4;

    p->loop_due = 0;
    p->loops++;
    if (b->c->bits == 16)
        put(b, 0x66, 1);
    put(b, 0x83, 1);
    if (b->c->bits == 64)
        put(b, 0x252c, 2);
    else
        put(b, b->c->bits == 16 ? 0x2e : 0x2d, 1);
    put(b, counter, wide);
    put(b, 1, 1);
    put(b, 0x890f, 2);
    put(b, p->loop_start - (b->c->length + wide), wide);
    if (!p->fixups)
        b->c->undefined_flags = 0;
}

/* --- Code that changes itself --------------------------------------------------------------------- */

static const uint8_t site_operations[] = {0, 1, 4, 5, 6, 7}; /* not those that read CF */

static uint8_t site_modrm(struct builder *b)
{
    return (uint8_t)(0xc0 | site_operations[below(&b->random, 6)] << 3 | below(&b->random, 4));
}

/* A store of a byte or four; returns where its displacement lies, which is relative or absolute. */
static unsigned put_store(struct builder *b, uint64_t value, unsigned size)
{
    unsigned at;

    put(b, size == 1 ? 0xc6 : 0xc7, 1);
    put(b, 5, 1);
    at = b->c->length;
    put(b, 0, 4);
    put(b, value, size);
    return at;
}

static void aim_store(struct builder *b, unsigned at, unsigned to)
{
    unsigned size = b->c->bytes[at - 2] == 0xc6 ? 1 : 4;

    patch(b, at, b->c->bits == 64 ? to - (at + 4 + size) : b->c->entry + to, 4);
}

/* What a store to a site changes it to: the whole immediate, a byte of it, or what it does. */
static unsigned put_site_store(struct builder *b, unsigned *offset)
{
    switch (below(&b->random, 3)) {
    case 0:
        *offset = 2;
        return put_store(b, random64(&b->random), 4);
    case 1:
        *offset = 2 + below(&b->random, 4);
        return put_store(b, random64(&b->random), 1);
    default:
        *offset = 1;
        return put_store(b, site_modrm(b), 1);
    }
}

static void put_site(struct builder *b)
{
    struct program *p = b->program;
    unsigned at = b->c->length;

    put(b, 0x81, 1);
    put(b, site_modrm(b), 1);
    put(b, random64(&b->random), 4);
    b->dirty |= 0xf;
    b->c->undefined_flags |= FLAG_AF;
    b->c->undefined_on_the_way |= FLAG_AF;
    for (unsigned n = 0; n < p->early_stores; n++)
        aim_store(b, p->early_store[n], at + (p->early_store[n] & 1 ? 1 : 2));
    p->early_stores = 0;
    if (p->sites < MAX_SITES)
        p->site[p->sites++] = (uint16_t)at;
}

static void change_code(struct builder *b)
{
    struct program *p = b->program;
    struct random *r = &b->random;
    unsigned offset, at;

    if (p->wild && one_in(r, 2)) {
        at = put_store(b, random64(r), one_in(r, 2) ? 1 : 4);
        aim_store(b, at, below(r, b->c->length + 64));
        b->c->changed = true;
    } else if (p->sites && one_in(r, 2)) {
        at = put_site_store(b, &offset);
        aim_store(b, at, p->site[below(r, p->sites)] + offset);
    } else if (p->early_stores < MAX_SITES && one_in(r, 2)) {
        /* To the next site: by where the displacement lies it knows what it changes. */
        if ((b->c->length + 2) & 1)
            at = put_store(b, site_modrm(b), 1);
        else
            at = put_store(b, random64(r), one_in(r, 2) ? 1 : 4);
        p->early_store[p->early_stores++] = (uint16_t)at;
    } else {
        put_site(b);
    }
}

/* --- The whole ------------------------------------------------------------------------------------ */

static void put_row(const struct generator *g, struct builder *b)
{
    struct program *p = b->program;
    struct test_case *c = b->c;
    unsigned mode = c->bits == 64, index = g->list[mode][below(&b->random, g->count[mode])];
    const struct opcode_row *row = &opcode_rows[index];

    if (!g->facts[index].odds || !one_in(&b->random, g->facts[index].odds) || reads_undefined(b, row))
        return;
    c->row[c->row_count] = (uint16_t)index;
    c->offset[c->row_count++] = (uint16_t)c->length;
    b->settled = 0;
    b->calm = !one_in(&b->random, 40);
    encode(b, row);
    if (row->operand[0] == O_Jb || row->operand[0] == O_Jz)
        add_fixup(b, FIX_RELATIVE, c->length - b->imm_size, 0, b->imm_size);
    account_flags(b, row, !p->fixups);
}

/* Flat segments, where there are others. */
static void calm_segments(struct builder *b)
{
    struct machine *m = &b->c->start;

    if (!b->c->data_base || one_in(&b->random, 8))
        return;
    for (unsigned n = 0; n < SEG_COUNT; n++)
        if (n != CS && n != FS && n != GS)
            m->seg[n] = LDT_SELECTOR(b->c->bits == 16 ? LDT_DATA16 : LDT_DATA32);
}

void make_program(const struct generator *g, struct builder *b)
{
    struct random *r = &b->random;
    struct program p = {0};
    unsigned want = 8 + below(r, 33);
    uint32_t mxcsr = 0x1f80;

    b->program = &p;
    b->calm = true;
    p.flat = !b->c->data_base;
    p.wild = one_in(r, 6);
    b->c->entry = one_in(r, 8) ? CODE + PAGE - below(r, 600) : CODE + 64 + below(r, 3000);
    start_floating(b, (enum value_kind)below(r, 3));
    b->c->start.fx[FX_FCW] |= 0x3f;
    b->c->start.fx[FX_FSW] &= 0x7f;
    b->c->start.fx[FX_FSW + 1] &= 0x7f;
    if (!one_in(r, 8))
        memcpy(b->c->start.fx + FX_MXCSR, &mxcsr, 4);
    calm_segments(b);
    b->c->start.gpr[RSP] = b->gpr[RSP] = DATA + 4096 - b->c->data_base;
    for (unsigned tries = 0; tries < 4 * want && b->c->row_count < want; tries++) {
        if (b->c->length + ROOM > MAX_BYTES)
            break;
        resolve(b, false);
        if (p.loop_due && --p.loop_due == 0)
            end_loop(b);
        else if (!p.loop_due && one_in(r, 10))
            start_loop(b);
        if (p.flat && one_in(r, 9))
            change_code(b);
        put_row(g, b);
    }
    if (p.loop_due)
        end_loop(b);
    while (p.early_stores)
        put_site(b);
    resolve(b, true);
}
