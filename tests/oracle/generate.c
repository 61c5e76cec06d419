/*
 * generate.c - a case from a seed and a number, always the same one.
 */
#include <stdlib.h>
#include <string.h>

#include "cpu/fpu.h"
#include "tests/oracle/oracle.h"

#define POOL (64u << 10)

static bool name_listed(const char *list, const char *name)
{
    size_t length = strlen(name);

    for (const char *p = list; (p = strstr(p, name)) != NULL; p += length)
        if ((p == list || p[-1] == ',') && (p[length] == ',' || !p[length]))
            return true;
    return false;
}

bool generator_init(struct generator *g)
{
    struct random r = {1};

    g->pool = malloc(POOL + DATA_SIZE + PAGE);
    for (unsigned m = 0; m < 2; m++) {
        g->list[m] = calloc(opcode_row_count, sizeof(uint16_t));
        g->count[m] = 0;
        if (!g->list[m] || !g->pool)
            return false;
        for (unsigned n = 0; n < opcode_row_count; n++)
            if (g->facts[n].usable && row_in_mode(&opcode_rows[n], m ? 64 : 32) &&
                (!g->feature || name_listed(g->feature, feature_name(opcode_rows[n].feature))) &&
                (!g->only || name_listed(g->only, opcode_rows[n].name)))
                g->list[m][g->count[m]++] = (uint16_t)n;
    }
    for (unsigned n = 0; n < POOL + DATA_SIZE + PAGE; n += 64)
        edge_fill(&r, one_in(&r, 2) ? VALUE_INTEGER : (enum value_kind)below(&r, 4), g->pool + n, 64);
    return g->count[0] + g->count[1] > 0;
}

void generator_free(struct generator *g)
{
    free(g->pool);
    free(g->list[0]);
    free(g->list[1]);
}

const uint8_t *generator_const_page(const struct generator *g)
{
    return g->pool + POOL + DATA_SIZE;
}

/* Segments over CODE and DATA, with their limits. */
static void start_in_ldt(struct builder *b)
{
    static const uint8_t data[] = {LDT_DATA16, LDT_DATA16, LDT_DATA32, LDT_CONST, LDT_DOWN16,
                                   LDT_DOWN32, LDT_PAGES,  LDT_SMALL,  LDT_CODE16};
    static const uint8_t stack[] = {LDT_DATA16, LDT_DATA32, LDT_DOWN16, LDT_DOWN32, LDT_SMALL};
    static const uint8_t code[] = {LDT_CODE32, LDT_CODE32, LDT_EXECUTE};
    struct random *r = &b->random;
    struct machine *m = &b->c->start;
    unsigned usual = b->c->bits == 16 ? LDT_DATA16 : LDT_DATA32;

    b->c->code_base = CODE;
    b->c->data_base = DATA;
    m->seg[CS] = LDT_SELECTOR(b->c->bits == 16 ? LDT_CODE16 : code[below(r, sizeof(code))]);
    for (unsigned n = 0; n < SEG_COUNT; n++)
        if (n != CS)
            m->seg[n] = LDT_SELECTOR(one_in(r, 2) ? usual
                                     : n == SS    ? stack[below(r, sizeof(stack))]
                                                  : data[below(r, sizeof(data))]);
    if (one_in(r, 8))
        m->seg[one_in(r, 2) ? DS : ES] = 0;
    if (!b->features->fsgsbase)
        m->seg[FS] = m->seg[GS] = 0;
    m->fs_base = selector_base(m->seg[FS]);
    m->gs_base = selector_base(m->seg[GS]);
}

static void start_segments(struct builder *b)
{
    struct machine *m = &b->c->start;

    m->seg[CS] = b->c->bits == 64 ? USER_CS64 : USER_CS32;
    m->seg[SS] = USER_DS;
    m->seg[DS] = m->seg[ES] = b->c->bits == 32 ? USER_DS : one_in(&b->random, 4) ? USER_DS : 0;
    m->seg[FS] = m->seg[GS] = b->c->bits == 32 && b->features->fsgsbase ? USER_DS : 0;
    if (b->features->ldt && (b->c->bits == 16 || (b->c->bits == 32 && one_in(&b->random, 2))))
        start_in_ldt(b);
}

static void start_registers(struct builder *b)
{
    struct random *r = &b->random;
    struct machine *m = &b->c->start;

    for (unsigned n = 0; n < 16; n++) {
        m->gpr[n] = one_in(r, 4) ? DATA + below(r, DATA_SIZE) : edge_integer(r);
        if (b->c->bits != 64)
            m->gpr[n] = n < 8 ? (uint32_t)m->gpr[n] : 0;
    }
    m->rflags = FLAG_1 | FLAG_IF | (random64(r) & FLAGS_ARITH);
    if (one_in(r, 8))
        m->rflags |= FLAG_DF;
    if (one_in(r, 24))
        m->rflags |= FLAG_AC;
    if (one_in(r, 24))
        m->rflags |= FLAG_ID;
    start_segments(b);
    if (b->c->bits == 64 && b->features->fsgsbase) {
        m->fs_base = one_in(r, 2) ? below(r, 1u << 24) : DATA - below(r, 4096);
        m->gs_base = one_in(r, 2) ? DATA_HIGH - below(r, 1u << 31) : edge_integer(r) & 0x7fffffffff;
    }
    memcpy(b->gpr, m->gpr, sizeof(b->gpr));
}

/* x87 and MXCSR: mostly with all exceptions masked, and with something on the stack. */
void start_floating(struct builder *b, enum value_kind kind)
{
    struct random *r = &b->random;
    uint8_t *fx = b->c->start.fx;
    uint16_t fcw = 0x37f, fsw, tag = 0;
    uint32_t mxcsr = 0x1f80;

    if (one_in(r, 2))
        fcw = (uint16_t)((fcw & 0xff) | (random64(r) & 0xf00));
    if (one_in(r, 4))
        fcw = (uint16_t)((fcw & ~0x3fu) | (random64(r) & 0x3f));
    fsw = (uint16_t)(random64(r) & 0x7840);
    if (one_in(r, 4))
        fsw |= (uint16_t)(random64(r) & 0x3f & (one_in(r, 4) ? 0x3fu : fcw));
    if (fsw & ~fcw & 0x3f)
        fsw |= 0x8080;
    if (!(fsw & 1))
        fsw &= (uint16_t)~0x40u;
    tag = one_in(r, 2) ? 0xff : (uint16_t)(random64(r) & 0xff);
    memcpy(fx + FX_FCW, &fcw, 2);
    memcpy(fx + FX_FSW, &fsw, 2);
    fx[FX_TAG] = (uint8_t)tag;
    for (unsigned n = 0; n < 8; n++)
        edge_f80(r, fx + FX_ST + 16 * n);
    if (one_in(r, 2))
        mxcsr = (mxcsr & ~0xe07fu) | (uint32_t)(random64(r) & 0xe07f);
    if (one_in(r, 6))
        mxcsr = (mxcsr & ~0x1f80u) | (uint32_t)(random64(r) & 0x1f80);
    memcpy(fx + FX_MXCSR, &mxcsr, 4);
    for (unsigned n = 0; n < 16; n++)
        edge_fill(r, one_in(r, 4) ? VALUE_INTEGER : kind, fx + FX_XMM + 16 * n, 16);
    if (b->features->avx)
        for (unsigned n = 0; n < 16; n++)
            edge_fill(r, one_in(r, 4) ? VALUE_INTEGER : kind, b->c->start.ymm_high + 16 * n, 16);
    b->c->start.xsave_header[0] = b->features->avx ? 7 : 3;
}

/*
 * What reads a flag that an instruction before left undefined can't be compared, nor what stores the x87's
 * pointers after an instruction that may have set them (compare.c).
 */
bool reads_undefined(const struct builder *b, const struct opcode_row *row)
{
    return (row->flags_read & b->c->undefined_flags) ||
           (b->x87 && b->facts[row - opcode_rows].stores_pointers);
}

void account_flags(struct builder *b, const struct opcode_row *row, bool certain)
{
    uint32_t defined = row->flags_written;

    /* A count of zero leaves the flags as they were; a branch may have jumped over this. */
    if ((row->attr & A_REP) || b->facts[row - opcode_rows].kind == KIND_SHIFT || !certain)
        defined = 0;
    b->c->undefined_flags = (b->c->undefined_flags & ~defined) | row->flags_undefined;
    b->c->undefined_on_the_way |= row->flags_undefined;
}

static unsigned pick_row_count(const struct generator *g, struct random *r)
{
    if (g->rows)
        return g->rows;
    return one_in(r, 3) ? 2 + below(r, 7) : 1;
}

static uint64_t pick_entry(struct random *r)
{
    switch (below(r, 16)) {
    case 0: /* across the two pages, or over the end of the second */
        return CODE + PAGE - below(r, 24);
    case 1:
        return CODE + CODE_SIZE - 1 - below(r, 40);
    default:
        return CODE + 128 + below(r, 3000);
    }
}

/* Turns the instructions into others, or into none: the decoders must agree on that too. */
static void change_bytes(struct builder *b)
{
    static const uint8_t prefixes[] = {0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x26, 0x2e,
                                       0x36, 0x3e, 0x64, 0x65, 0x40, 0x48, 0x4f};
    struct random *r = &b->random;
    struct test_case *c = b->c;

    c->changed = true;
    for (unsigned times = 1 + below(r, 3); times; times--) {
        unsigned at = below(r, c->length < 12 ? c->length : 12);

        switch (below(r, 4)) {
        case 0:
            c->bytes[at] = (uint8_t)random64(r);
            break;
        case 1:
            c->bytes[at] ^= (uint8_t)(1u << below(r, 8));
            break;
        case 2: /* up to more prefixes than an instruction may have */
            for (unsigned n = one_in(r, 8) ? 16 : 1; n && c->length < sizeof(c->bytes); n--) {
                memmove(c->bytes + at + 1, c->bytes + at, c->length++ - at);
                c->bytes[at] = prefixes[below(r, sizeof(prefixes))];
            }
            break;
        default:
            if (c->length > 1)
                memmove(c->bytes + at, c->bytes + at + 1, --c->length - at);
            break;
        }
    }
}

static void make_row_of_rows(const struct generator *g, struct builder *b)
{
    struct test_case *c = b->c;
    unsigned want = pick_row_count(g, &b->random), mode = c->bits == 64, made = 0;
    bool branched = false;

    c->entry = pick_entry(&b->random);
    c->row_count = want;
    for (unsigned n = 0; n < want; n++) {
        unsigned index = g->list[mode][below(&b->random, g->count[mode])];
        const struct opcode_row *row = &opcode_rows[index];

        if (n == 0)
            start_floating(b, (enum value_kind)g->facts[index].values);
        if (n && (reads_undefined(b, row) || g->facts[c->row[made - 1]].last ||
                  g->facts[index].kind == KIND_XSAVE)) {
            c->row_count--;
            continue;
        }
        c->row[made] = (uint16_t)index;
        c->offset[made++] = (uint16_t)c->length;
        encode(b, row);
        account_flags(b, row, !branched);
        b->x87 |= (row->map == 0 && (row->attr & A_X87)) || g->facts[index].kind == KIND_FXRSTOR;
        branched |= row->attr & (A_LINK | A_END);
    }
    if (one_in(&b->random, 12))
        change_bytes(b);
}

void generate(const struct generator *g, struct test_case *c, uint64_t seed, uint64_t number, bool program)
{
    struct builder b = {.c = c, .facts = g->facts, .features = g->features};
    unsigned mode, room;

    memset(c, 0, offsetof(struct test_case, data));
    c->seed = seed;
    c->number = number;
    c->program = program;
    b.random.state = seed * 0xd1342543de82ef95ull + number * 0x2545f4914f6cdd1dull + program;
    (void)random64(&b.random);
    mode = g->bits ? g->bits == 64 : below(&b.random, 5) >= 2;
    if (!g->count[mode])
        mode = !mode;
    c->bits = mode ? 64 : g->bits ? g->bits : g->features->ldt && one_in(&b.random, 3) ? 16 : 32;
    memcpy(c->data, g->pool + below(&b.random, POOL / 16) * 16, DATA_SIZE);
    start_registers(&b);
    if (program)
        make_program(g, &b);
    else
        make_row_of_rows(g, &b);
    /* What doesn't fit before the end of the code is cut off there. */
    room = (unsigned)(CODE + CODE_SIZE - c->entry);
    if (c->length > room)
        c->length = room;
    c->start.rip = c->entry - c->code_base;
}
