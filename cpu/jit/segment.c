/*
 * segment.c - segments of translated code that isn't 64-bit code.
 *
 * 32-bit code in flat segments has blocks that rely on them. All other code (16-bit code, and any with a CS,
 * SS, DS or ES that isn't flat) has segmented blocks: made for one RIP in a CS of one base and limit, so that
 * the checks against CS's limit and the wrapping of branches at 16 bits are done at translation; and for all
 * possible data segments, whose base is added at each access, after a look at jt.reach. FS, GS and a CS
 * override are done so in flat 32-bit code too.
 *
 * jt.reach says of a segment, for reads and for writes: offsets below this are within its limit and its
 * rights allow the access. Where that isn't so easy to say (segments that expand down) or nothing is allowed
 * it is 0, and the instruction's body decides.
 */
#include "cpu/interp/access.h"
#include "cpu/jit/translate.h"

/* --- Which block serves ------------------------------------------------------------------------------- */

/* A segment whose limit and rights no access of any size runs into. */
static bool reaches_all(const struct segment *s)
{
    return (s->attr & (SEG_UNUSABLE | SEG_CODE | SEG_EXPDOWN | SEG_WRITABLE)) == SEG_WRITABLE &&
           s->limit == UINT32_MAX;
}

static bool is_flat(const struct segment *s)
{
    return !s->base && reaches_all(s);
}

static bool all_flat(const struct cpu *cpu)
{
    const struct segment *seg = cpu->s.seg;

    return !seg[CS].base && seg[CS].limit == UINT32_MAX && is_flat(&seg[ES]) && is_flat(&seg[SS]) &&
           is_flat(&seg[DS]);
}

bool jit_segments_fit(const struct cpu *cpu, const struct jit_block *block)
{
    const struct segment *cs = &cpu->s.seg[CS];

    if (block->cpl != cpu->s.cpl)
        return false;
    if (block->segmented)
        return block->rip == cpu->s.rip && block->base == cs->base && block->limit == cs->limit;
    return !block->flat32 || all_flat(cpu);
}

struct jit_block *jit_block_of(const struct cpu *cpu, struct trace *t)
{
    struct jit_block **at = &t->block, *block;

    while (*at && !jit_segments_fit(cpu, *at))
        at = &(*at)->other;
    block = *at;
    if (block && at != &t->block) {
        *at = block->other;
        block->other = t->block;
        t->block = block;
    }
    return block;
}

bool jit_take_segments(const struct cpu *cpu, struct jit_block *block)
{
    const struct trace *t = block->trace;
    const struct segment *cs = &cpu->s.seg[CS];
    uint32_t mode = t->mode & ~(uint32_t)(MODE_USER | MODE_SMAP_AC);

    block->cpl = cpu->s.cpl;
    block->flat32 = mode == (SIZE_D | MODE_SS32) && all_flat(cpu);
    block->segmented = !block->flat32 && mode != SIZE_Q;
    if (!block->segmented)
        return true;
    block->rip = (uint32_t)cpu->s.rip;
    block->base = (uint32_t)cs->base;
    block->limit = cs->limit;
    return block->rip <= block->limit && block->limit - block->rip >= t->bytes;
}

unsigned jit_code_segment(struct jit *jit, const struct jit_block *block)
{
    struct jit_code_segment wanted = {block->base, block->limit,
                                      block->trace->mode | (uint32_t)block->cpl << 8, true};
    unsigned n = (block->base >> 4 ^ block->base >> 16 ^ block->limit ^ wanted.mode << 4) % JIT_CODE_SEGMENTS;

    for (;; n = (n + 1) % JIT_CODE_SEGMENTS) {
        struct jit_code_segment *s = &jit->code_segments[n];

        if (s->used && s->base == wanted.base && s->limit == wanted.limit && s->mode == wanted.mode)
            return n + 1;
        if (!s->used) {
            if (jit->code_segment_count == JIT_CODE_SEGMENTS / 2)
                return 0;
            jit->code_segment_count++;
            *s = wanted;
            return n + 1;
        }
    }
}

/* --- Data segments ------------------------------------------------------------------------------------ */

bool jit_loads_segment(const struct insn *i)
{
    const struct opcode_row *row = &opcode_rows[i->row];
    unsigned opcode = row->opcode;

    if (i->row == UINT16_MAX)
        return false;
    if (row->map == 0)
        return opcode == 0x07 || opcode == 0x17 || opcode == 0x1f || opcode == 0x8e || opcode == 0xc4 ||
               opcode == 0xc5;
    return row->map == 1 &&
           (opcode == 0xa1 || opcode == 0xa9 || opcode == 0xb2 || opcode == 0xb4 || opcode == 0xb5);
}

/* While there is a checker all attempts have to be alike: no windows. */
static uint32_t misses(const struct cpu *cpu, uint32_t count)
{
    return cpu->checker ? UINT32_MAX : count;
}

static void close_windows(struct cpu *cpu, unsigned seg)
{
    for (unsigned write = 0; write < 2; write++) {
        cpu->jt.window[write][seg].run.first = JIT_NO_WINDOW;
        cpu->jt.window[write][seg].left = misses(cpu, JIT_WINDOW_LOADED);
    }
}

void jit_close_windows(struct cpu *cpu)
{
    for (unsigned n = 0; n < SEG_COUNT; n++)
        close_windows(cpu, n);
}

/* As segment_check() in cpu/segment.c. */
static void find_reach(struct cpu *cpu, unsigned n)
{
    const struct segment *s = &cpu->s.seg[n];
    bool real = cpu->mode & MODE_REAL;
    uint64_t end = (uint64_t)s->limit + 1;

    if (s->attr & SEG_UNUSABLE || (s->attr & (SEG_CODE | SEG_EXPDOWN)) == SEG_EXPDOWN)
        end = 0;
    cpu->jt.reach[0][n] = real || (s->attr & (SEG_CODE | SEG_READABLE)) != SEG_CODE ? end : 0;
    cpu->jt.reach[1][n] = real || (s->attr & (SEG_CODE | SEG_WRITABLE)) == SEG_WRITABLE ? end : 0;
}

void jit_reach(struct cpu *cpu)
{
    bool other_mode = cpu->jt.seen_mode != cpu->mode;

    cpu->jt.seen_mode = cpu->mode;
    for (unsigned n = 0; n < SEG_COUNT; n++) {
        const struct segment *s = &cpu->s.seg[n];
        struct segment *seen = &cpu->jt.seen[n];

        if (s->base == seen->base && s->limit == seen->limit && s->attr == seen->attr && !other_mode)
            continue;
        *seen = *s;
        find_reach(cpu, n);
        close_windows(cpu, n);
    }
}

bool has_checked_segment(const struct trans *t, unsigned seg)
{
    return t->block->segmented || (t->block->flat32 && (seg == CS || seg >= FS));
}

/* --- Accesses ----------------------------------------------------------------------------------------- */

#define MAX_WINDOW 64u /* pages */

static bool next_to_it(const struct cpu *cpu, uint64_t page, bool write, uint64_t addend)
{
    const struct tlb_entry *e = tlb_slot(cpu, page);

    return page < 1ull << 32 && (write ? e->write : e->read) == tlb_tag(cpu, page) && e->addend == addend;
}

/* The window around an offset, as far as the interpreter's TLB knows the pages. */
static void find_window(struct cpu *cpu, unsigned seg, bool write, uint64_t offset)
{
    uint64_t linear = (uint32_t)(cpu->s.seg[seg].base + offset), first = linear & ~(uint64_t)(BUS_PAGE - 1);
    uint64_t addend = tlb_slot(cpu, linear)->addend, end = first + BUS_PAGE;
    unsigned pages = 0;

    if (!next_to_it(cpu, first, write, addend))
        return;
    for (; pages < MAX_WINDOW && first && next_to_it(cpu, first - BUS_PAGE, write, addend); pages++)
        first -= BUS_PAGE;
    for (; pages < MAX_WINDOW && next_to_it(cpu, end, write, addend); pages++)
        end += BUS_PAGE;
    /* From addresses to offsets, of which none is negative. */
    first = linear - first > offset ? 0 : offset - (linear - first);
    end = offset + (end - linear);
    if (end > cpu->jt.reach[write][seg])
        end = cpu->jt.reach[write][seg];
    jit_set_run(&cpu->jt.window[write][seg].run, first, linear - offset + first + addend, end - first);
}

const uint8_t *jit_window(struct cpu *cpu, uint32_t n, uint64_t offset)
{
    const struct jit_site *site = &cpu->jit->sites[n];
    bool write = site->way & 1;

    cpu->jt.window[write][site->seg].left = JIT_WINDOW_MISSES;
    if (offset + site->size > cpu->jt.reach[write][site->seg])
        return jit_body(cpu, n);
    find_window(cpu, site->seg, write, offset);
    return jit_slow(cpu, n, (uint32_t)(cpu->s.seg[site->seg].base + offset));
}

void emit_window(struct trans *t, const struct insn *i, unsigned seg, unsigned size, bool write)
{
    uint32_t site = new_site(t, i);
    struct later *l = emit_later(t, NULL, LATER_WINDOW);

    l->site = site;
    t->jit->sites[site].seg = (uint8_t)seg;
    t->jit->sites[site].size = (uint8_t)size;
    t->jit->sites[site].way = write ? WAY_WRITE : WAY_READ;
    l->rel = emit_run(t, JT(window[write][seg].run), size);
    t->jit->sites[site].resume = emit_here(&t->e);
    t->host_flags = 0;
}

void emit_beside_window(struct trans *t, const struct later *l)
{
    const struct jit_site *site = &t->jit->sites[l->site];
    bool write = site->way & 1;
    int32_t window = JT(window[write][site->seg]);
    int32_t table = write ? JT(write[t->block->context]) : JT(read[t->block->context]);
    struct emit *e = &t->e;
    uint8_t *look, *beyond, *miss;

    emit_land(e, l->rel);
    emit_op(e, E_W, 0x03, H_ADDR, SLOT(window + (int32_t)offsetof(struct jit_window, run.first)));
    emit_op(e, 0, 0x83, 5, SLOT(window + (int32_t)offsetof(struct jit_window, left)));
    emit8(e, 1);
    look = emit_jcc(e, CC_B, NULL);
    emit_lea(e, E_W, H_TMP, H_ADDR, NO_INDEX, 0, site->size);
    emit_op(e, E_W, 0x3b, H_TMP, SLOT(JT(reach[write][site->seg])));
    beyond = emit_jcc(e, CC_A, NULL);
    emit_op(e, 0, 0x03, H_ADDR, SLOT(SEGBASE_OFFSET(site->seg)));
    emit_table_index(e, t->jit->bmi2, H_TMP);
    emit_op(e, E_W, 0x2b, H_ADDR, TABLE(H_TMP, table));
    emit_alu_imm(e, E_W, 7, REG(H_ADDR), (int32_t)(BUS_PAGE - site->size));
    miss = emit_jcc(e, CC_A, NULL);
    emit_op(e, E_W, 0x03, H_ADDR, TABLE(H_TMP, table + 8));
    emit_jmp(e, site->resume);
    emit_land(e, miss);
    emit_op(e, E_W, 0x03, H_ADDR, TABLE(H_TMP, table));
    emit_thunk(t, l->site, t->jit->quick[t->block->context][site->way]);
    emit_land(e, look);
    emit_thunk(t, l->site, t->jit->window);
    emit_land(e, beyond);
    emit_thunk(t, l->site, t->jit->body);
}

void emit_alignment(struct trans *t, const struct insn *i, unsigned seg, unsigned size)
{
    struct emit *e = &t->e;

    emit_op(e, 0, 0x8b, H_TMP, SLOT(SEGBASE_OFFSET(seg)));
    emit_op(e, 0, 0x03, H_TMP, REG(H_ADDR));
    emit_op(e, E_REX, 0xf6, 0, REG(H_TMP)); /* TEST */
    emit8(e, size - 1);
    emit_later(t, emit_jcc(e, CC_NE, NULL), LATER_BODY)->site = new_site(t, i);
    t->host_flags = 0;
}

/* --- Segment registers -------------------------------------------------------------------------------- */

static int32_t selector_of(unsigned seg)
{
    return (int32_t)(SEGBASE_OFFSET(seg) + offsetof(struct segment, selector) -
                     offsetof(struct segment, base));
}

static int32_t attr_of(unsigned seg)
{
    return (int32_t)(SEGBASE_OFFSET(seg) + offsetof(struct segment, attr) - offsetof(struct segment, base));
}

/* The one that an instruction names by its opcode. */
static unsigned named(const struct opcode_row *row)
{
    if (row->map == 0 && row->opcode >= 0xc4)
        return row->opcode == 0xc4 ? ES : DS;
    if (row->map == 0)
        return row->opcode >> 3 & 3;
    return row->opcode & 8 || row->opcode == 0xb5 ? GS : FS;
}

static void emit_push_segment(struct trans *t, const struct insn *i)
{
    int size = 1 << i->osize;

    emit_stack_lookup(t, i, -size, (unsigned)size, true);
    load_tmp(t, SLOT(selector_of(named(&opcode_rows[i->row]))), SIZE_W);
    emit_op(&t->e, size_flags(i->osize), 0x89, H_TMP, MEM(H_ADDR, 0));
    emit_add(t, t->stack, H_SP, H_SP, -size);
}

static void emit_from_segment(struct trans *t, const struct insn *i)
{
    struct place e = e_place(t, i, SIZE_W, true);

    load_tmp(t, SLOT(selector_of(i->reg)), SIZE_W);
    if (e.kind == P_MEM)
        emit_op(&t->e, E_66, 0x89, H_TMP, e);
    else
        store_tmp(t, e, i->osize == SIZE_W ? SIZE_W : SIZE_D);
}

/*
 * Loads in real and virtual-8086 mode: base and selector change, no rights and no limit
 * (load_segment_real()). That is so if the segment is what such modes have; else, or while the x87 wants to
 * know of FDP's selector, the body does it.
 */
static void begin_load(struct trans *t, const struct insn *i, unsigned seg)
{
    struct emit *e = &t->e;
    uint32_t attr = SEG_P | SEG_S | SEG_WRITABLE | SEG_ACCESSED;

    if (t->block->cpl == 3)
        attr |= SEG_DPL;
    emit_op(e, 0, 0x81, 7, SLOT(attr_of(seg)));
    emit32(e, attr);
    emit_later(t, emit_jcc(e, CC_NE, NULL), LATER_BODY)->site = new_site(t, i);
    if (t->block->cpl == 3) {
        emit_op(e, E_W, 0x81, 7, SLOT(JT(reach[1][seg])));
        emit32(e, 0x10000);
        emit_later(t, emit_jcc(e, CC_NE, NULL), LATER_BODY)->site = new_site(t, i);
    }
    emit_op(e, 0, 0x80, 7, SLOT(JT(x87_live)));
    emit8(e, 0);
    emit_later(t, emit_jcc(e, CC_NE, NULL), LATER_BODY)->site = new_site(t, i);
}

/* The selector is in r13. As jit_reach() would, it closes the segment's windows. */
static void end_load(struct trans *t, unsigned seg)
{
    struct emit *e = &t->e;

    emit_op(e, E_66, 0x89, H_TMP, SLOT(selector_of(seg)));
    emit_op(e, 0, 0xc1, 4, REG(H_TMP)); /* SHL */
    emit8(e, 4);
    emit_store(e, SLOT(SEGBASE_OFFSET(seg)), H_TMP);
    emit_store(e, SLOT(JT(seen[seg].base)), H_TMP);
    for (unsigned write = 0; write < 2; write++) {
        emit_store_imm32(e, SLOT(JT(window[write][seg].run.first) + 4), JIT_NO_WINDOW >> 32);
        emit_store_imm32(e, SLOT(JT(window[write][seg].left)), misses(t->cpu, JIT_WINDOW_LOADED));
    }
    t->host_flags = 0;
}

static void emit_to_segment(struct trans *t, const struct insn *i)
{
    begin_load(t, i, i->reg);
    load_tmp(t, e_place(t, i, SIZE_W, false), SIZE_W);
    end_load(t, i->reg);
}

static void emit_pop_segment(struct trans *t, const struct insn *i)
{
    unsigned seg = named(&opcode_rows[i->row]);

    begin_load(t, i, seg);
    emit_stack_lookup(t, i, 0, 1u << i->osize, false);
    load_tmp(t, MEM(H_ADDR, 0), SIZE_W);
    emit_add(t, t->stack, H_SP, H_SP, 1 << i->osize);
    end_load(t, seg);
}

/* LES, LDS, LFS, LGS: offset and selector by one look-up, unless a 16-bit address wraps between them. */
static void emit_load_pointer(struct trans *t, const struct insn *i)
{
    unsigned seg = named(&opcode_rows[i->row]), size = 1u << i->osize;
    struct emit *e = &t->e;

    begin_load(t, i, seg);
    emit_address(t, i);
    if (i->asize == SIZE_W) {
        emit_op(e, 0, 0x81, 7, REG(H_ADDR));
        emit32(e, 0x10000 - size - 2);
        emit_later(t, emit_jcc(e, CC_A, NULL), LATER_BODY)->site = new_site(t, i);
    }
    emit_lookup(t, i, size + 2, false);
    load_tmp(t, MEM(H_ADDR, (int32_t)size), SIZE_W);
    emit_op(e, size_flags(i->osize), 0x8b, guest(i->reg).reg, MEM(H_ADDR, 0));
    end_load(t, seg);
}

/* clang-format off */
#define R_LOAD (R_REAL | R_EXITS | R_CLOBBERS)
const struct rule segment_rules[] = {
    {0, 0x06, 0x06, -1, PFX_ANY, R_STACK, emit_push_segment, 0},
    {0, 0x0e, 0x0e, -1, PFX_ANY, R_STACK, emit_push_segment, 0},
    {0, 0x16, 0x16, -1, PFX_ANY, R_STACK, emit_push_segment, 0},
    {0, 0x1e, 0x1e, -1, PFX_ANY, R_STACK, emit_push_segment, 0},
    {1, 0xa0, 0xa0, -1, PFX_ANY, R_STACK, emit_push_segment, 0},
    {1, 0xa8, 0xa8, -1, PFX_ANY, R_STACK, emit_push_segment, 0},
    {0, 0x8c, 0x8c, -1, PFX_ANY, 0, emit_from_segment, 0},
    {0, 0x8e, 0x8e, -1, PFX_ANY, R_LOAD, emit_to_segment, 0},
    {0, 0x07, 0x07, -1, PFX_ANY, R_LOAD | R_STACK, emit_pop_segment, 0},
    {0, 0x1f, 0x1f, -1, PFX_ANY, R_LOAD | R_STACK, emit_pop_segment, 0},
    {1, 0xa1, 0xa1, -1, PFX_ANY, R_LOAD | R_STACK, emit_pop_segment, 0},
    {1, 0xa9, 0xa9, -1, PFX_ANY, R_LOAD | R_STACK, emit_pop_segment, 0},
    {0, 0xc4, 0xc5, -1, PFX_ANY, R_LOAD | R_MEMORY, emit_load_pointer, 0},
    {1, 0xb4, 0xb5, -1, PFX_ANY, R_LOAD | R_MEMORY, emit_load_pointer, 0},
    {0, 0, 0, 0, 0, 0, NULL, 0},
};
/* clang-format on */
