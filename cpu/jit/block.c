/*
 * block.c - blocks of translated code: made, linked, dropped; and where interpreted code enters them.
 *
 * New traces begin with body_warm, which counts how often they run; when that is often enough they are compiled and
 * begin with body_translated.
 */
#include <stdlib.h>
#include <string.h>

#include "cpu/fpu.h"
#include "cpu/interp/bodies.h"
#include "cpu/interp/body.h"
#include "cpu/jit/jit.h"

#define HOT 24u /* runs in the interpreter before a trace is compiled */
#define MAX_BLOCKS_OF_TRACE 4u

/* Which features of the guest's instructions the host has, so that they can run as themselves. */
static void look_at_host(struct jit *jit)
{
    bool *host = jit->host;

    __builtin_cpu_init();
    host[F_BASE] = host[F_CMOV] = host[F_SSE] = host[F_SSE2] = true;
    host[F_SSE3] = __builtin_cpu_supports("sse3");
    host[F_SSSE3] = __builtin_cpu_supports("ssse3");
    host[F_SSE41] = __builtin_cpu_supports("sse4.1");
    host[F_SSE42] = __builtin_cpu_supports("sse4.2");
    host[F_POPCNT] = __builtin_cpu_supports("popcnt");
    host[F_AES] = __builtin_cpu_supports("aes");
    host[F_PCLMULQDQ] = __builtin_cpu_supports("pclmul");
    host[F_BMI1] = __builtin_cpu_supports("bmi");
    host[F_BMI2] = __builtin_cpu_supports("bmi2");
    host[F_ABM] = host[F_BMI2]; /* all that have BMI2 have LZCNT, and not all compilers know its name */
    host[F_GFNI] = __builtin_cpu_supports("gfni");
    host[F_AVX] = __builtin_cpu_supports("avx");
    host[F_AVX2] = __builtin_cpu_supports("avx2");
    host[F_FMA] = __builtin_cpu_supports("fma");
    host[F_F16C] = host[F_AVX2]; /* likewise */
    host[F_VPCLMULQDQ] = host[F_AVX] && __builtin_cpu_supports("vpclmulqdq");
    jit->bmi2 = host[F_BMI2];
}

bool cpu_use_jit(struct cpu *cpu, const struct cpu_code *code)
{
    struct jit *jit = calloc(1, sizeof(*jit));
    struct emit e;

    if (!jit)
        return false;
    jit->sites = calloc(MAX_SITES, sizeof(*jit->sites));
    jit->exits = calloc(MAX_EXITS, sizeof(*jit->exits));
    jit->blocks = calloc(MAX_BLOCKS, sizeof(*jit->blocks));
    if (!jit->sites || !jit->exits || !jit->blocks || !jit_report_new(jit)) {
        free(jit->sites);
        free(jit->exits);
        free(jit->blocks);
        free(jit);
        return false;
    }
    jit->hot = HOT;
    jit->write = code->write;
    jit->exec = code->exec;
    jit->size = code->size;
    jit->code = *code;
    look_at_host(jit);
    jit->ymm = jit->host[F_AVX] && has_feature(cpu, F_AVX);
    e = (struct emit){.at = jit->write, .end = jit->write + jit->size, .to_exec = jit->exec - jit->write};
    jit_make_thunks(jit, &e);
    jit->keep = jit->used = (size_t)(e.at - jit->write + 63) & ~(size_t)63;
    cpu->jt.self = cpu;
    cpu->jit = jit;
    jit_clear_tables(cpu);
    trace_flush(cpu);
    jit->stats = (struct cpu_jit_stats){0};
    return true;
}

void cpu_rest_jit(struct cpu *cpu)
{
    if (!cpu->jit)
        return;
    check_end(cpu);
    cpu->resting_jit = cpu->jit;
    cpu->jit = NULL;
    trace_flush(cpu); /* traces begin with their own bodies again */
}

bool cpu_wake_jit(struct cpu *cpu)
{
    if (!cpu->resting_jit)
        return false;
    cpu->jit = cpu->resting_jit;
    cpu->resting_jit = NULL;
    trace_flush(cpu);
    return true;
}

void cpu_end_jit(struct cpu *cpu)
{
    struct jit *jit;

    cpu_rest_jit(cpu);
    jit = cpu->resting_jit;
    cpu->resting_jit = NULL;
    if (!jit)
        return;
    jit->code.release(&jit->code);
    free(jit->sites);
    free(jit->exits);
    free(jit->blocks);
    jit_report_free(jit);
    free(jit);
}

uint64_t jit_clock(const struct cpu *cpu)
{
    return cpu->jit ? jit_now(cpu->jit) : 0;
}

void jit_reset(struct cpu *cpu, uint64_t since)
{
    struct jit *jit = cpu->jit;
    uint64_t took;

    if (!jit)
        return;
    jit->used = jit->keep;
    jit->exit_count = jit->block_count = 0;
    jit->site_count = 1; /* 0 says: none */
    jit->code_segment_count = 0;
    memset(jit->code_segments, 0, sizeof(jit->code_segments));
    jit->resets++;
    jit_clear_tables(cpu);
    jit->stats.resets++;
    took = jit_now(jit) - since;
    if (took > jit->stats.longest_reset)
        jit->stats.longest_reset = took;
}

void jit_begin(struct cpu *cpu)
{
    if (cpu->jit)
        cpu->jit->code.set_gs(cpu);
}

/* --- Tables that translated code looks things up in --------------------------------------------------- */

/* A slot that matches nothing: its page belongs to another slot. */
static void clear_slot(struct cpu *cpu, unsigned table, unsigned context, unsigned n)
{
    struct jit_tables *jt = &cpu->jt;

    switch (table) {
    case JIT_READ:
        jt->read[context][n].page = (uint64_t)(n ^ 1) << 12;
        break;
    case JIT_WRITE:
        jt->write[context][n].page = (uint64_t)(n ^ 1) << 12;
        break;
    case JIT_FETCH:
        jt->fetch[context][n].page = (uint64_t)(n ^ 1) << 12;
        break;
    default:
        jt->targets[context][n] = (struct jit_target){.rip = n == jit_target_slot(0)};
    }
}

/* Near entries of pages whose address has `bits` under `mask`; with a mask of 0, all for the first time. */
static void clear_near(struct cpu *cpu, uint64_t mask, uint64_t bits)
{
    struct jit_near *near = &cpu->jt.near[0][0][0];
    uint64_t *pages = cpu->jt.near_pages, some = 0;

    for (unsigned n = 0; n < JIT_NEAR_PAGES / 64; n++)
        some |= pages[n];
    if (!some && mask)
        return;
    memset(pages, 0, sizeof(cpu->jt.near_pages));
    for (unsigned n = 0; n < 2 * JIT_CONTEXTS * JIT_NEAR; n++) {
        uint64_t page = near[n].page.first, bit = page >> 12 & (JIT_NEAR_PAGES - 1);

        if ((page & mask) == bits)
            near[n].page = (struct jit_run){0};
        else if (near[n].page.count[0])
            pages[bit >> 6] |= 1ull << (bit & 63);
    }
}

void jit_set_run(struct jit_run *run, uint64_t first, uint64_t host, uint64_t length)
{
    run->first = first;
    run->host = host;
    for (unsigned n = 0; n < sizeof(run->count) / sizeof(run->count[0]); n++)
        run->count[n] = length >> n ? length - (1u << n) + 1 : 0;
}

void jit_clear_near(struct cpu *cpu)
{
    clear_near(cpu, 1, 0);
}

static void clear_stacks(struct cpu *cpu)
{
    memset(cpu->jt.stack, 0, sizeof(cpu->jt.stack));
    jit_close_windows(cpu);
}

void jit_clear_tables(struct cpu *cpu)
{
    clear_stacks(cpu);
    clear_near(cpu, 0, 0);
    for (unsigned c = 0; c < JIT_CONTEXTS; c++) {
        for (unsigned n = 0; n < JIT_TLB_SIZE; n++) {
            clear_slot(cpu, JIT_READ, c, n);
            clear_slot(cpu, JIT_WRITE, c, n);
        }
        for (unsigned n = 0; n < JIT_FETCH_SIZE; n++)
            clear_slot(cpu, JIT_FETCH, c, n);
        for (unsigned n = 0; n < JIT_TARGETS; n++) {
            clear_slot(cpu, JIT_TARGET, c, n);
            clear_slot(cpu, JIT_TARGET, c + JIT_CONTEXTS, n);
        }
    }
    for (unsigned h = 0; h < 2; h++) {
        cpu->jit->filled[h].count = 0;
        memset(cpu->jit->filled[h].target_pages, 0, sizeof(cpu->jit->filled[h].target_pages));
    }
}

static unsigned page_hash(uint64_t linear)
{
    return (unsigned)(linear >> 12 ^ linear >> 24) & 4095;
}

void jit_filled(struct cpu *cpu, unsigned table, unsigned context, unsigned n, uint64_t linear)
{
    struct jit_filled *f = &cpu->jit->filled[linear >> 63];

    if (f->count < sizeof(f->slot) / sizeof(f->slot[0])) {
        f->slot[f->count].table = (uint8_t)table;
        f->slot[f->count].context = (uint8_t)context;
        f->slot[f->count].slot = (uint16_t)n;
    }
    f->count++;
    if (table == JIT_TARGET)
        f->target_pages[page_hash(linear) >> 6] |= 1ull << (page_hash(linear) & 63);
}

void jit_forget_half(struct cpu *cpu, bool high)
{
    struct jit_filled *f;

    if (!cpu->jit)
        return;
    f = &cpu->jit->filled[high];
    clear_stacks(cpu);
    clear_near(cpu, 1ull << 63, (uint64_t)high << 63);
    if (f->count > sizeof(f->slot) / sizeof(f->slot[0])) {
        jit_clear_tables(cpu);
        return;
    }
    for (unsigned k = 0; k < f->count; k++)
        clear_slot(cpu, f->slot[k].table, f->slot[k].context, f->slot[k].slot);
    f->count = 0;
    memset(f->target_pages, 0, sizeof(f->target_pages));
}

/* Whether an entry of jt.targets is for the page of `linear`. Of segmented code any may be. */
static bool may_lead_to(const struct jit_target *target, unsigned table, uint64_t linear)
{
    return (target->rip ^ linear) < BUS_PAGE || (table >= JIT_CONTEXTS && target->rip >> 32);
}

void jit_forget_page(struct cpu *cpu, uint64_t linear)
{
    unsigned hash = page_hash(linear), near = linear >> 12 & (JIT_NEAR_PAGES - 1);

    if (!cpu->jit)
        return;
    clear_stacks(cpu);
    if (cpu->jt.near_pages[near >> 6] >> (near & 63) & 1)
        clear_near(cpu, ~(uint64_t)(BUS_PAGE - 1), linear & ~(uint64_t)(BUS_PAGE - 1));
    for (unsigned c = 0; c < JIT_CONTEXTS; c++) {
        clear_slot(cpu, JIT_READ, c, linear >> 12 & (JIT_TLB_SIZE - 1));
        clear_slot(cpu, JIT_WRITE, c, linear >> 12 & (JIT_TLB_SIZE - 1));
        clear_slot(cpu, JIT_FETCH, c, linear >> 12 & (JIT_FETCH_SIZE - 1));
    }
    if (!(cpu->jit->filled[linear >> 63].target_pages[hash >> 6] >> (hash & 63) & 1))
        return;
    for (unsigned c = 0; c < 2 * JIT_CONTEXTS; c++)
        for (unsigned n = 0; n < JIT_TARGETS; n++)
            if (may_lead_to(&cpu->jt.targets[c][n], c, linear))
                clear_slot(cpu, JIT_TARGET, c, n);
}

void jit_forget_writes(struct cpu *cpu)
{
    if (!cpu->jit)
        return;
    clear_stacks(cpu);
    jit_clear_near(cpu);
    for (unsigned c = 0; c < JIT_CONTEXTS; c++)
        for (unsigned n = 0; n < JIT_TLB_SIZE; n++)
            clear_slot(cpu, JIT_WRITE, c, n);
}

/* --- Links -------------------------------------------------------------------------------------------- */

static void patch(struct jit *jit, const struct jit_exit *x, const uint8_t *target, uint32_t frame)
{
    struct emit e = {.to_exec = jit->exec - jit->write};

    if (x->frame)
        memcpy(x->frame, &frame, sizeof(frame));
    set_rel32(&e, x->rel, target);
}

void jit_link(struct cpu *cpu, struct jit_exit *x, struct jit_block *to)
{
    if (x->to)
        return;
    x->to = to;
    x->next = to->incoming;
    to->incoming = x;
    patch(cpu->jit, x, x->from == to ? to->again : to->code, (uint32_t)(to->trace->phys >> 12));
}

/* Nothing leads to the block any more. More than two addresses are not remembered. */
static void forget_target(struct cpu *cpu, const struct jit_block *block)
{
    const struct jit_target *targets = cpu->jt.targets[jit_targets(block)];
    bool many = block->target_count > JIT_BLOCK_TARGETS;
    unsigned count = many ? JIT_TARGETS : block->target_count;

    for (unsigned k = 0; k < count; k++) {
        unsigned n = many ? k : block->target[k];

        if (targets[n].code == block->code)
            clear_slot(cpu, JIT_TARGET, jit_targets(block), n);
    }
}

void jit_add_target(struct cpu *cpu, struct jit_block *block, uint64_t rip)
{
    unsigned n = jit_target_slot(rip), known = 0;

    cpu->jt.targets[jit_targets(block)][n] = (struct jit_target){jit_target_key(block, rip), block->code};
    jit_filled(cpu, JIT_TARGET, jit_targets(block), n, jit_linear(cpu, rip));
    while (known < block->target_count && known < JIT_BLOCK_TARGETS && block->target[known] != n)
        known++;
    if (known < JIT_BLOCK_TARGETS)
        block->target[known] = (uint16_t)n;
    if (known == block->target_count)
        block->target_count++;
}

static void unlink_block(struct cpu *cpu, struct jit_block *block)
{
    struct jit_block **at = &block->trace->block;

    for (struct jit_exit *x = block->incoming; x; x = x->next) {
        x->to = NULL;
        patch(cpu->jit, x, x->stub, UINT32_MAX);
    }
    block->incoming = NULL;
    forget_target(cpu, block);
    while (*at && *at != block)
        at = &(*at)->other;
    if (*at)
        *at = block->other;
}

void jit_drop(struct cpu *cpu, struct trace *t)
{
    if (t == cpu->trace)
        cpu->jt.stale = 1;
    while (t->block) {
        cpu->jit->stats.dropped++;
        unlink_block(cpu, t->block);
    }
}

void jit_translate_again(struct cpu *cpu, struct jit_block *block)
{
    unlink_block(cpu, block);
}

/* --- Compiling and entering --------------------------------------------------------------------------- */

/* Makes the trace's block for the segments as they are now. */
static enum made { MADE, NOT_SUITABLE, NO_ROOM } compile(struct cpu *cpu, struct trace *t)
{
    struct jit *jit = cpu->jit;
    struct jit_block *block = &jit->blocks[jit->block_count];
    struct jit_block *last = t->block;
    unsigned others = 0;
    uint64_t since = jit_now(jit);

    if (jit->block_count == MAX_BLOCKS)
        return NO_ROOM;
    *block = (struct jit_block){
        .trace = t, .page_offset = t->phys & (BUS_PAGE - 1), .context = (uint8_t)jit_context(t->mode)};
    if (!jit_take_segments(cpu, block))
        return NOT_SUITABLE;
    for (; last; last = last->other, others++)
        if (others == MAX_BLOCKS_OF_TRACE - 1) {
            if (++t->heat % HOT) /* is this one worth another's place? */
                return NOT_SUITABLE;
            unlink_block(cpu, last);
            break;
        }
    if (!jit_translate(cpu, jit, block))
        return NO_ROOM;
    jit->block_count++;
    block->other = t->block;
    t->block = block;
    jit_translated(cpu, block, since);
    return MADE;
}

bool jit_may_enter(const struct cpu *cpu, const struct jit_block *block)
{
    return jit_segments_fit(cpu, block) && (!block->xmm || jit_xmm_allowed(cpu)) &&
           (!block->ymm || jit_ymm_allowed(cpu)) && (!block->x87 || jit_x87_allowed(cpu));
}

void jit_left(struct cpu *cpu)
{
    struct jit *jit = cpu->jit;

    if (!jit || !jit->inside)
        return;
    jit->inside = false;
    jit->stats.retired += cpu->retired - jit->entered_at;
}

void jit_run_block(struct cpu *cpu, struct trace *t)
{
    cpu->jit->stats.entered++;
    cpu->retired -= t->count;
    jit_know_pages(cpu, t);
    if (!cpu->long64)
        jit_reach(cpu);
    cpu->jt.kind = (struct jit_kind){.op = JF_LAZY};
    cpu->jit->inside = true;
    cpu->jit->entered_at = cpu->retired;
    cpu->jit->enter(cpu, t->block->code);
    jit_left(cpu);
    jit_sync_flags(cpu);
    jit_sync_x87(cpu);
}

/* The trace in cpu->trace is hot: runs its block, and what that leads to. */
BODY(body_translated)
{
    struct trace *t = cpu->trace;

    if (unlikely(!jit_block_of(cpu, t))) {
        enum made made = compile(cpu, t);

        if (made == NO_ROOM) { /* begin anew, with this trace too */
            cpu->retired -= t->count;
            trace_flush(cpu);
            return;
        }
        if (made == NOT_SUITABLE) {
            t->first(cpu, i);
            return;
        }
    }
    if (unlikely(cpu->checker))
        check_block(cpu, t);
    else if (likely(jit_may_enter(cpu, t->block)))
        jit_run_block(cpu, t);
    else
        t->first(cpu, i);
}

BODY(body_warm)
{
    struct trace *t = cpu->trace;

    if (likely(++t->heat < (cpu->jit ? cpu->jit->hot : HOT))) {
        t->first(cpu, i);
        return;
    }
    t->insn[0].fn = cpu->jit ? body_translated : t->first;
    t->insn[0].fn(cpu, i);
}

void jit_new_trace(struct cpu *cpu, struct trace *t)
{
    t->block = NULL;
    t->heat = 0;
    t->first = t->insn[0].fn;
    if (cpu->jit && jit_mode(t->mode))
        t->insn[0].fn = body_warm;
}
