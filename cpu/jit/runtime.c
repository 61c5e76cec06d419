/*
 * runtime.c - what translated code calls when it can't go on by itself.
 *
 * The guest's registers are in struct cpu here, and a fault leaves by longjmp. Flags are brought to the interpreter's
 * form first; translated code finds them in either.
 */
#include "cpu/fpu.h"
#include "cpu/interp/body.h"
#include "cpu/jit/jit.h"

/* --- The x87 ------------------------------------------------------------------------------------------ */

void jit_sync_x87(struct cpu *cpu)
{
    struct jit_tables *jt = &cpu->jt;
    struct cpu_state *s = &cpu->s;
    uint16_t fop = s->fop, fcs = s->fcs, fds = s->fds;
    uint64_t fip = s->fip, fdp = s->fdp;

    if (!jt->x87_image)
        return;
    fpu_load_env(s, jt->image, true, FPU_PROTECTED);
    fpu_load_registers(s, jt->image + 28);
    if (jt->x87_site) {
        const struct jit_site *site = &cpu->jit->sites[jt->x87_site];
        const struct insn *i = site->insn;

        fop = i->imm & 0x7ff;
        fip = jt->x87_page + site->block->page_offset + i->off;
        if (site->block->segmented)
            fip = (uint32_t)fip;
        fcs = s->seg[CS].selector;
    }
    if (jt->x87_data_site) {
        fdp = jt->x87_data;
        fds = s->seg[cpu->jit->sites[jt->x87_data_site].insn->seg].selector;
    }
    s->fop = fop;
    s->fip = fip;
    s->fcs = fcs;
    s->fdp = fdp;
    s->fds = fds;
    jt->x87_site = jt->x87_data_site = 0;
    jt->x87_image = 0;
}

static void make_image(struct cpu *cpu)
{
    fpu_store_env(&cpu->s, cpu->jt.image, true, FPU_PROTECTED);
    fpu_store_registers(&cpu->s, cpu->jt.image + 28);
    cpu->jt.x87_image = 1;
}

/* Translated code that was using the x87 goes on. */
static void refresh_x87(struct cpu *cpu)
{
    if (cpu->jt.x87_saved && !cpu->jt.x87_image)
        make_image(cpu);
}

bool jit_x87_allowed(const struct cpu *cpu)
{
    return !(cpu->s.cr0 & (CR0_EM | CR0_TS)) && (cpu->s.fcw & FSW_EXCEPTIONS) == FSW_EXCEPTIONS;
}

bool jit_may_load_x87(struct cpu *cpu, uint32_t n)
{
    const struct jit_site *site = &cpu->jit->sites[n];

    cpu->jt.target = site->resume;
    if (likely(jit_x87_allowed(cpu))) {
        make_image(cpu);
        return true;
    }
    cpu->s.rip = jit_block_rip(cpu, site->block);
    return false;
}

static struct jit_block *block_here(struct cpu *cpu);

/* --- Memory ------------------------------------------------------------------------------------------- */

/* The interpreter's idea of where the CPU is: in the block's trace, all of whose instructions are counted. */
static void arrive(struct cpu *cpu, const struct jit_block *block)
{
    jit_sync_flags(cpu);
    jit_sync_x87(cpu);
    cpu->trace = block->trace;
    cpu->s.rip = jit_block_rip(cpu, block);
    cpu->retired += block->cut;
    cpu->jt.stale = 0;
}

static BODY(body_returned)
{
    (void)i;
    cpu->jt.returned = 1;
}

/* Runs an instruction by its body. Where to go on in the block: `next`, or NULL when it has to be left. */
static const uint8_t *run_body(struct cpu *cpu, const struct jit_site *site)
{
    const struct jit_block *block = site->block;
    const struct insn *i = site->insn;
    bool branches = i->row == UINT16_MAX || opcode_rows[i->row].attr & (A_END | A_LINK);
    struct insn *copy = cpu->jit->copy;
    uint64_t next, stop_at = atomic_load_explicit(&cpu->stop_at, memory_order_relaxed);

    if (unlikely(cpu->checker) && check_stops(cpu, i)) {
        cpu->retired -= i->rest + 1u;
        cpu->s.rip += i->off;
        return NULL;
    }
    cpu->jit->stats.bodies++;
    cpu->jit->body_runs[i->row == UINT16_MAX ? opcode_row_count : i->row]++;
    copy[0] = *i;
    if (i == block->trace->insn)
        copy[0].fn = block->trace->first;
    memset(&copy[1], 0, 2 * sizeof(copy[1]));
    copy[i->flags & INSN_LINKED ? 2 : 1].fn = body_returned;
    cpu->jt.returned = 0;
    next = next_rip(cpu, i);
    if (branches)
        atomic_store_explicit(&cpu->stop_at, 0, memory_order_relaxed); /* branch to the loop, not onwards */
    copy[0].fn(cpu, copy);
    if (!cpu->jt.returned)
        return NULL;
    if (branches) { /* it didn't: stop_at as it was, unless somebody wants the CPU meanwhile */
        atomic_store(&cpu->stop_at, stop_at);
        if (atomic_load(&cpu->attention))
            atomic_store(&cpu->stop_at, 0);
    }
    if (site->next && !cpu->jt.stale && (!cpu->jt.xmm_saved || jit_xmm_allowed(cpu)) &&
        (!cpu->jt.x87_saved || jit_x87_allowed(cpu))) {
        cpu->retired -= block->cut;
        refresh_x87(cpu);
        if (block->segmented && jit_loads_segment(i))
            jit_reach(cpu);
        return site->next;
    }
    cpu->retired -= i->rest;
    cpu->s.rip = next;
    return NULL;
}

/* The body left, for the loop to look around: when there is nothing to see, go on without it. */
static const uint8_t *go_on(struct cpu *cpu)
{
    struct jit_block *block;

    if (cpu->checker || !cpu_may_go_on(cpu))
        return NULL;
    block = block_here(cpu);
    if (!block)
        return NULL;
    cpu->jt.xmm_saved &= jit_xmm_allowed(cpu);
    cpu->jt.ymm_allowed = jit_ymm_allowed(cpu);
    cpu->jt.x87_saved &= jit_x87_allowed(cpu);
    refresh_x87(cpu);
    return block->code;
}

const uint8_t *jit_body(struct cpu *cpu, uint32_t n)
{
    const struct jit_site *site = &cpu->jit->sites[n];

    const uint8_t *next;

    arrive(cpu, site->block);
    next = run_body(cpu, site);
    return next ? next : go_on(cpu);
}

static void remember(struct cpu *cpu, const struct jit_site *site, uint64_t linear, const void *host)
{
    unsigned slot = linear >> 12 & (JIT_TLB_SIZE - 1), context = site->block->context;
    uint64_t page = linear & ~(uint64_t)(BUS_PAGE - 1), at = (uint64_t)(uintptr_t)host - (linear - page);

    if (site->way == WAY_READ || site->way == WAY_WRITE) {
        bool write = site->way == WAY_WRITE;

        *(write ? &cpu->jt.write[context][slot] : &cpu->jt.read[context][slot]) = (struct jit_page){page, at};
        jit_filled(cpu, write ? JIT_WRITE : JIT_READ, context, slot, linear);
    } else if (site->way == WAY_STACK_WRITE || tlb_write_host(cpu, linear, 1)) {
        jit_set_run(&cpu->jt.stack[context], page, at, BUS_PAGE);
    }
}

/* Flat 32-bit code: the access runs over the end of its segment, which is that of all addresses. */
static bool beyond_limit(const struct cpu *cpu, const struct jit_site *site, uint64_t linear)
{
    uint32_t offset = (uint32_t)(linear - cpu->s.seg[site->seg].base);

    return site->block->flat32 && offset > UINT32_MAX - (site->size - 1u);
}

const uint8_t *jit_slow(struct cpu *cpu, uint32_t n, uint64_t linear)
{
    const struct jit_site *site = &cpu->jit->sites[n];
    const struct insn *i = site->insn;
    unsigned seg = site->seg;
    bool write = site->way & 1;
    void *host = write ? tlb_write_host(cpu, linear, site->size) : tlb_read_host(cpu, linear, site->size);

    if (likely(host && !site->aligned)) {
        cpu->jit->stats.slow_plain++;
        remember(cpu, site, linear, host);
        cpu->jt.value = (uint64_t)(uintptr_t)host;
        return site->resume;
    }
    arrive(cpu, site->block);
    cpu->jit->stats.slow_other++; /* until it turns out to be plain */
    if (unlikely(beyond_limit(cpu, site, linear)))
        return run_body(cpu, site);
    if (site->aligned || write) {
        if (!site->aligned) {
            probe_write(cpu, i, seg, linear, site->size);
            host = tlb_write_host(cpu, linear, site->size);
        }
        if (!host || site->aligned)
            return run_body(cpu, site);
    } else {
        linear_read_block(cpu, i, seg, linear, cpu->jt.bounce, site->size);
        host = tlb_read_host(cpu, linear, site->size);
    }
    cpu->retired -= site->block->cut;
    refresh_x87(cpu);
    if (host) {
        cpu->jit->stats.slow_other--;
        cpu->jit->stats.slow_walk++;
        remember(cpu, site, linear, host);
    } else {
        host = cpu->jt.bounce;
    }
    cpu->jt.value = (uint64_t)(uintptr_t)host;
    return site->resume;
}

/*
 * A near entry that changes again and again: the access that was to change it next shall look into the table at once.
 * When it happens only now and then, an entry that is right in between is worth it.
 */
const uint8_t *jit_useless(struct cpu *cpu, uint32_t n, uint64_t linear)
{
    const struct jit_site *site = &cpu->jit->sites[n];
    struct jit_near *near = (struct jit_near *)(void *)((char *)cpu + site->near);

    if (cpu->retired - near->since < JIT_NEAR_CHANGES * JIT_NEAR_WORTH && !cpu->checker) {
        struct trace *t = site->block->trace;
        uint32_t bit = 1u << (t->count - 1 - site->insn->rest);

        if (!(t->far & bit))
            jit_translate_again(cpu, site->block);
        t->far |= bit;
    }
    near->since = cpu->retired;
    near->left = JIT_NEAR_CHANGES;
    return jit_slow(cpu, n, linear);
}

/* --- Where to go -------------------------------------------------------------------------------------- */

/* A page of code is at this physical page. */
static void know_page(struct cpu *cpu, unsigned context, uint64_t page, uint64_t frame)
{
    struct jit_fetch *f = &cpu->jt.fetch[context][page >> 12 & (JIT_FETCH_SIZE - 1)];

    if (f->page == page && f->frame == frame)
        return;
    *f = (struct jit_fetch){page, frame};
    jit_filled(cpu, JIT_FETCH, context, page >> 12 & (JIT_FETCH_SIZE - 1), page);
}

void jit_know_pages(struct cpu *cpu, const struct trace *t)
{
    uint64_t linear = jit_linear(cpu, cpu->s.rip), page = linear & ~(uint64_t)(BUS_PAGE - 1), next = page + BUS_PAGE;
    unsigned context = jit_context(t->mode);

    cpu->jt.code_page = cpu->s.rip - (linear & (BUS_PAGE - 1));
    know_page(cpu, context, page, t->phys >> 12);
    if (t->phys2 != NO_PAGE)
        know_page(cpu, context, cpu->long64 ? next : (uint32_t)next, t->phys2 >> 12);
}

/* The block for s.rip, or NULL; leaves the tables knowing its page. May raise the faults of a fetch. */
static struct jit_block *block_here(struct cpu *cpu)
{
    struct jit_block *block;
    struct trace *t;

    if (cpu->retired >= atomic_load_explicit(&cpu->stop_at, memory_order_relaxed) || cpu->checker)
        return NULL;
    t = trace_find(cpu);
    block = jit_block_of(cpu, t);
    if (!block || !jit_may_enter(cpu, block))
        return NULL;
    jit_know_pages(cpu, t);
    if (!cpu->long64)
        jit_reach(cpu);
    return block;
}

const uint8_t *jit_resolve(struct cpu *cpu, uint32_t n)
{
    struct jit_exit *x = &cpu->jit->exits[n];
    struct jit_block *block;
    uint64_t resets = cpu->jit->resets;

    cpu->jit->stats.resolved++;
    jit_sync_flags(cpu);
    jit_sync_x87(cpu);
    cpu->s.rip = jit_block_rip(cpu, x->from) - x->from->page_offset + (uint64_t)(int64_t)x->offset;
    if (!cpu->long64)
        cpu->s.rip = (uint32_t)cpu->s.rip;
    if (x->to && jit_may_enter(cpu, x->to) && cpu->retired < atomic_load_explicit(&cpu->stop_at, memory_order_relaxed)) {
        /* Linked: only the page has to be found again. */
        uint64_t phys = fetch_translate(cpu, NULL, jit_linear(cpu, cpu->s.rip));

        if (phys == x->to->trace->phys && x->to->trace->phys2 == NO_PAGE) {
            jit_know_pages(cpu, x->to->trace);
            refresh_x87(cpu);
            return x->to->code;
        }
    }
    block = block_here(cpu);
    if (!block || cpu->jit->resets != resets)
        return NULL;
    refresh_x87(cpu);
    if (block->segmented == x->from->segmented) /* else the segments became flat in between, or not any more */
        jit_link(cpu, x, block);
    return block->code;
}

const uint8_t *jit_indirect(struct cpu *cpu, uint32_t n, uint64_t rip)
{
    const struct jit_site *site = &cpu->jit->sites[n];
    const struct insn *i = site->insn;
    struct jit_block *block;
    uint64_t resets = cpu->jit->resets;

    cpu->jit->stats.indirect++;
    jit_sync_flags(cpu);
    jit_sync_x87(cpu);
    if (unlikely(cpu->long64 ? !canonical(cpu, rip) : rip > cpu->s.seg[CS].limit)) { /* before RSP has changed (SDM 2A CALL, RET) */
        if (opcode_rows[i->row].opcode == 0xff && (opcode_rows[i->row].sel >> 5 & 7) == 2)
            cpu->s.gpr[RSP] += 8;
        arrive(cpu, site->block);
        gp0(cpu, i);
    }
    set_sp(cpu, cpu->s.gpr[RSP] + (uint64_t)(int64_t)site->pop);
    cpu->s.rip = rip;
    block = block_here(cpu);
    if (!block || cpu->jit->resets != resets)
        return NULL;
    refresh_x87(cpu);
    jit_add_target(cpu, block, rip);
    return block->code;
}

/* --- XMM registers ------------------------------------------------------------------------------------ */

bool jit_xmm_allowed(const struct cpu *cpu)
{
    return !sse_blocked(cpu) && (cpu->s.mxcsr & MXCSR_MASKS) == MXCSR_MASKS;
}

bool jit_ymm_allowed(const struct cpu *cpu)
{
    return !avx_blocked(cpu);
}

bool jit_may_load_xmm(struct cpu *cpu, uint32_t n)
{
    const struct jit_site *site = &cpu->jit->sites[n];

    cpu->jt.target = site->resume;
    if (likely(jit_xmm_allowed(cpu))) {
        cpu->jt.ymm_allowed = jit_ymm_allowed(cpu);
        return true;
    }
    cpu->s.rip = jit_block_rip(cpu, site->block);
    return false;
}
