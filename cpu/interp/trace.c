/*
 * trace.c - the cache of decoded traces.
 *
 * Keyed by physical address and mode, so that a trace survives address space switches and is shared by all
 * who map its page. Which 64-byte granules of a page hold decoded code is noted per page; a write to such a
 * page takes the slow path (the TLB has no write entry for it), and only a write into such a granule looks at
 * traces at all. What overlaps the bytes written is dropped.
 *
 * Memory comes from an arena that is emptied as a whole when it is full.
 */
#include <stdlib.h>
#include <string.h>

#include "cpu/interp/bodies.h"
#include "cpu/interp/chain.h"
#include "cpu/stop.h"

#define TRACE_INSNS  32u                   /* instructions of a trace at most */
#define TRACE_SLOTS  (2 * TRACE_INSNS + 2) /* with links and the end */
#define HASH_SIZE    65536u
#define PAGE_BUCKETS 4096u
#define ARENA_SIZE   (48u << 20)
#define GRANULE      64u

struct code_page {
    uint64_t page; /* physical address */
    uint64_t mask; /* granules that hold code */
    struct trace *traces;
    struct code_page *next;
};

struct trace_cache {
    struct trace *hash[HASH_SIZE];
    struct code_page *pages[PAGE_BUCKETS];
    uint64_t flushes;
    size_t used;
    uint8_t *arena;
    union {
        struct trace trace;
        uint8_t space[sizeof(struct trace) + TRACE_SLOTS * sizeof(struct insn)];
    } single;
};

bool trace_cache_new(struct cpu *cpu)
{
    struct trace_cache *c = calloc(1, sizeof(*c));

    if (c)
        c->arena = malloc(ARENA_SIZE);
    if (!c || !c->arena) {
        free(c);
        return false;
    }
    cpu->cache = c;
    return true;
}

void trace_cache_free(struct cpu *cpu)
{
    if (cpu->cache)
        free(cpu->cache->arena);
    free(cpu->cache);
    cpu->cache = NULL;
}

static void *arena_take(struct trace_cache *c, size_t size)
{
    void *p = c->arena + c->used;

    c->used += (size + 15) & ~(size_t)15;
    return p;
}

static unsigned hash_of(uint64_t phys, uint32_t mode)
{
    return (unsigned)((phys ^ phys >> 16 ^ (uint64_t)mode << 11) & (HASH_SIZE - 1));
}

static unsigned bucket_of(uint64_t page)
{
    return (unsigned)((page >> 12 ^ page >> 24) & (PAGE_BUCKETS - 1));
}

static struct code_page *find_page(const struct trace_cache *c, uint64_t page)
{
    struct code_page *p = c->pages[bucket_of(page)];

    while (p && p->page != page)
        p = p->next;
    return p;
}

static void set_page_flag(struct cpu *cpu, uint64_t page, bool code)
{
    uint64_t offset;
    struct region *r = bus_find(cpu->memory, page, &offset);

    if (!r || r->kind != REGION_RAM)
        return;
    if (code)
        __atomic_fetch_or(&r->page_flags[offset >> 12], PAGE_CODE, __ATOMIC_SEQ_CST);
    else
        __atomic_fetch_and(&r->page_flags[offset >> 12], (uint8_t)~PAGE_CODE, __ATOMIC_SEQ_CST);
}

void trace_flush(struct cpu *cpu)
{
    struct trace_cache *c = cpu->cache;
    uint64_t since = jit_clock(cpu);

    for (unsigned b = 0; b < PAGE_BUCKETS; b++)
        for (struct code_page *p = c->pages[b]; p; p = p->next)
            set_page_flag(cpu, p->page, false);
    memset(c->hash, 0, sizeof(c->hash));
    memset(c->pages, 0, sizeof(c->pages));
    c->used = 0;
    c->flushes++;
    cpu->stats.trace_flushes++;
    cpu->code_gen++;
    cpu->link_gen++;
    jit_reset(cpu, since);
}

/* Granules of `page` that bytes [start, end) of physical memory touch. */
static uint64_t granule_mask(uint64_t page, uint64_t start, uint64_t end)
{
    unsigned first, last;

    if (start < page)
        start = page;
    if (end > page + BUS_PAGE)
        end = page + BUS_PAGE;
    if (start >= end)
        return 0;
    first = (unsigned)(start - page) / GRANULE;
    last = (unsigned)(end - 1 - page) / GRANULE;
    return (UINT64_MAX >> (63 - last)) & (UINT64_MAX << first);
}

/* The bytes of a trace in `page`, which is its first or its second. */
static void extent(const struct trace *t, uint64_t page, uint64_t *start, uint64_t *end)
{
    unsigned in_first = t->phys2 == NO_PAGE ? t->bytes : (unsigned)(BUS_PAGE - (t->phys & (BUS_PAGE - 1)));

    if ((t->phys & ~(uint64_t)(BUS_PAGE - 1)) == page) {
        *start = t->phys;
        *end = t->phys + in_first;
    } else {
        *start = t->phys2;
        *end = t->phys2 + t->bytes - in_first;
    }
}

/* The slot after that of instruction `n`, which may have a link behind it. */
static unsigned next_slot(const struct trace *t, unsigned n)
{
    return n + (t->insn[n].flags & INSN_LINKED ? 2 : 1);
}

static struct trace **next_in_page(struct trace *t, uint64_t page)
{
    return (t->phys & ~(uint64_t)(BUS_PAGE - 1)) == page ? &t->page_next : &t->page2_next;
}

/* Enters a trace into its page's list; the page is now one that holds code. */
static void add_to_page(struct cpu *cpu, struct trace *t, uint64_t page)
{
    struct trace_cache *c = cpu->cache;
    struct code_page *p = find_page(c, page);
    uint64_t start, end;

    if (!p) {
        p = arena_take(c, sizeof(*p));
        *p = (struct code_page){.page = page, .next = c->pages[bucket_of(page)]};
        c->pages[bucket_of(page)] = p;
    }
    if (!p->mask) {
        set_page_flag(cpu, page, true);
        tlb_code_page(cpu, page);
    }
    extent(t, page, &start, &end);
    p->mask |= granule_mask(page, start, end);
    *next_in_page(t, page) = p->traces;
    p->traces = t;
}

static void remove_from_page(struct trace_cache *c, struct trace *t, uint64_t page)
{
    struct code_page *p = find_page(c, page);
    struct trace **link = p ? &p->traces : NULL;

    while (link && *link && *link != t)
        link = next_in_page(*link, page);
    if (link && *link)
        *link = *next_in_page(t, page);
}

/* Forgets a trace. If it is the one running, what is left of it must not run either. */
static void drop(struct cpu *cpu, struct trace *t)
{
    struct trace_cache *c = cpu->cache;
    struct trace **link = &c->hash[hash_of(t->phys, t->mode)];

    while (*link && *link != t)
        link = &(*link)->hash_next;
    if (*link)
        *link = t->hash_next;
    remove_from_page(c, t, t->phys & ~(uint64_t)(BUS_PAGE - 1));
    if (t->phys2 != NO_PAGE)
        remove_from_page(c, t, t->phys2);
    if (t == cpu->trace)
        for (unsigned n = 0, left = t->count; left; n = next_slot(t, n), left--)
            t->insn[n].fn = body_stale;
    jit_drop(cpu, t);
    cpu->stats.trace_invalidations++;
}

static void written_in_page(struct cpu *cpu, uint64_t page, uint64_t first, uint64_t last)
{
    struct code_page *p = find_page(cpu->cache, page);
    uint64_t mask = 0, start, end;
    struct trace *t, *next;

    if (!p || !(p->mask & granule_mask(page, first, last)))
        return;
    for (t = p->traces; t; t = next) {
        next = *next_in_page(t, page);
        extent(t, page, &start, &end);
        if (start < last && end > first)
            drop(cpu, t);
        else
            mask |= granule_mask(page, start, end);
    }
    p->mask = mask;
    if (!mask)
        set_page_flag(cpu, page, false);
    cpu->code_gen++;
    cpu->link_gen++;
}

void trace_drop_offset(struct cpu *cpu, unsigned offset)
{
    struct trace_cache *c = cpu->cache;

    for (unsigned b = 0; b < PAGE_BUCKETS; b++)
        for (struct code_page *p = c->pages[b]; p; p = p->next)
            written_in_page(cpu, p->page, p->page + offset, p->page + offset + 1);
}

void trace_written(struct cpu *cpu, uint64_t phys, uint64_t size)
{
    uint64_t end = phys + size;

    for (uint64_t page = phys & ~(uint64_t)(BUS_PAGE - 1); page < end; page += BUS_PAGE)
        written_in_page(cpu, page, phys, end);
}

/* Ends a trace that doesn't end in an instruction marked A_END: go on with what follows. */
static void append_end(struct trace *t, unsigned *slot, unsigned off, unsigned page_offset)
{
    struct insn *end = &t->insn[*slot];
    bool near = (t->mode & MODE_BITS) == SIZE_Q && page_offset + off < BUS_PAGE;

    memset(end, 0, 2 * sizeof(*end)); /* the link too */
    end->fn = near ? body_end_near : body_end;
    end->imm = off;
    end->off = (uint8_t)off;
    end->flags = INSN_LINKED | (near ? INSN_NEAR : 0);
    *slot += 2;
}

/*
 * Decodes up to `max` instructions from bytes[0..size), which start at `page_offset` of their page, into t.
 * False when not even the first is complete in `size`.
 */
static bool decode_trace(struct cpu *cpu, struct trace *t, const uint8_t *bytes, unsigned size,
                         unsigned page_offset, unsigned max)
{
    unsigned off = 0, slot = 0, attr = 0, count = 0;

    while (count < max && off < 240) {
        unsigned left = size - off, length;

        if (unlikely(cpu->stops) && off && stop_splits(cpu, page_offset + off)) {
            attr = 0;
            break;
        }
        length = left ? decode(cpu, t->mode, bytes + off, left < 16 ? left : 16, off, page_offset,
                               &t->insn[slot], &attr)
                      : 0;
        if (!length || ((attr & A_STARTS) && off)) {
            attr = 0;
            break;
        }
        if (unlikely(cpu->stops) && stop_magic(cpu, t->mode, bytes + off, length, &t->insn[slot])) {
            max = 1; /* alone in its trace, which is then never translated */
            if (off)
                break;
        }
        if (attr & A_LINK) {
            t->insn[slot++].flags |= INSN_LINKED;
            memset(&t->insn[slot], 0, sizeof(t->insn[slot]));
        }
        slot++;
        count++;
        off += length;
        if ((attr & A_END) || (unlikely(cpu->cover.ran) && (attr & A_LINK)))
            break;
    }
    if (!count)
        return false;
    t->count = (uint16_t)count;
    t->bytes = (uint16_t)off;
    for (unsigned n = 0, left = count; n < slot; n = next_slot(t, n))
        t->insn[n].rest = (uint8_t)--left;
    if (!(attr & A_END))
        append_end(t, &slot, off, page_offset);
    t->slots = (uint16_t)slot;
    return true;
}

/* Bytes that may be fetched from s.rip on before CS's limit; 64-bit mode has none. */
static uint64_t limit_left(const struct cpu *cpu)
{
    return cpu->long64 ? UINT64_MAX : (uint64_t)cpu->s.seg[CS].limit - cpu->s.rip + 1;
}

static uint64_t code_linear(const struct cpu *cpu, uint64_t rip)
{
    return cpu->long64 ? rip : (uint32_t)(cpu->s.seg[CS].base + rip);
}

/* Host address of a page's bytes when it is RAM or ROM. */
static const uint8_t *page_host(struct cpu *cpu, uint64_t page)
{
    uint64_t offset;
    struct region *r = bus_find(cpu->memory, page, &offset);

    return r && r->kind != REGION_IO && offset + BUS_PAGE <= r->size ? r->host + offset : NULL;
}

/* Whether no memory is there. */
static bool nowhere(struct cpu *cpu, uint64_t phys)
{
    uint64_t offset;
    const struct region *r = bus_find(cpu->memory, phys, &offset);

    return !r || r->kind == REGION_IO;
}

/*
 * One instruction, fetched byte by byte as far as it needs: at a page's edge, at the limit of CS, or from a
 * chip. In *phys2 the second page when it has one.
 */
static void decode_careful(struct cpu *cpu, struct trace *t, uint64_t phys, uint64_t *phys2)
{
    uint8_t bytes[16];
    uint64_t left = limit_left(cpu), linear = code_linear(cpu, cpu->s.rip), at = phys;
    unsigned n = 0;

    *phys2 = NO_PAGE;
    if (unlikely(cpu->stops) && nowhere(cpu, phys))
        stop_nowhere(cpu);
    do { /* 15 bytes decode to something in any case: to #GP if to nothing else */
        if (n >= left)
            fault(cpu, NULL, EX_GP, 0);
        if (n && ((linear + n) & (BUS_PAGE - 1)) == 0) {
            at = fetch_translate(cpu, NULL, code_linear(cpu, cpu->s.rip + n));
            *phys2 = at;
        }
        bytes[n++] = (uint8_t)bus_read(cpu->memory, at++, 1);
    } while (!decode_trace(cpu, t, bytes, n, (unsigned)(phys & (BUS_PAGE - 1)), 1));
}

static uint64_t fetch_address(struct cpu *cpu)
{
    uint64_t linear = code_linear(cpu, cpu->s.rip);

    if (!cpu->long64 && unlikely(cpu->s.rip > cpu->s.seg[CS].limit))
        fault(cpu, NULL, EX_GP, 0);
    if (unlikely((linear & ~(uint64_t)(BUS_PAGE - 1)) != cpu->fetch_page)) {
        uint64_t phys = fetch_translate(cpu, NULL, linear);

        cpu->fetch_page = linear & ~(uint64_t)(BUS_PAGE - 1);
        cpu->fetch_phys = phys & ~(uint64_t)(BUS_PAGE - 1);
    }
    return cpu->fetch_phys | (linear & (BUS_PAGE - 1));
}

static void cover(struct cpu *cpu, const struct trace *t)
{
    if (unlikely(cpu->cover.ran))
        cpu->cover.ran(cpu->cover.opaque, code_linear(cpu, cpu->s.rip), t->bytes, t->mode & MODE_USER);
}

struct trace *trace_single(struct cpu *cpu)
{
    struct trace *t = &cpu->cache->single.trace;
    uint64_t phys = fetch_address(cpu), phys2;

    t->mode = cpu->mode;
    t->phys = phys;
    t->phys2 = NO_PAGE;
    decode_careful(cpu, t, phys, &phys2);
    if (unlikely(cpu->stops))
        stop_guards(cpu, t);
    cover(cpu, t);
    cpu->trace = NULL; /* it has always the same place, and something else in it */
    return t;
}

/* A cached trace that hangs over its page's edge is right only while the second page is mapped where it was.
 */
static bool second_page_stands(struct cpu *cpu, const struct trace *t)
{
    uint64_t edge = (cpu->s.rip | (BUS_PAGE - 1)) + 1;

    if (!cpu->long64)
        edge = cpu->s.rip + (BUS_PAGE - (t->phys & (BUS_PAGE - 1)));
    return fetch_translate(cpu, NULL, code_linear(cpu, edge)) == t->phys2;
}

void cpu_cover(struct cpu *cpu, const struct cpu_cover *cover)
{
    cpu->cover = *cover;
    trace_flush(cpu);
}

static struct trace *new_trace(struct cpu *cpu, uint64_t phys)
{
    struct trace_cache *c = cpu->cache;
    uint64_t page = phys & ~(uint64_t)(BUS_PAGE - 1), left = limit_left(cpu);
    unsigned in_page = BUS_PAGE - (unsigned)(phys & (BUS_PAGE - 1)), h = hash_of(phys, cpu->mode);
    const uint8_t *host = page_host(cpu, page);
    uint64_t phys2 = NO_PAGE;
    struct trace *t;

    if (!host)
        return trace_single(cpu);
    if (c->used + sizeof(*t) + TRACE_SLOTS * sizeof(struct insn) + 2 * sizeof(struct code_page) + 64 >
        ARENA_SIZE)
        trace_flush(cpu);
    t = (struct trace *)(c->arena + c->used);
    *t = (struct trace){.phys = phys, .phys2 = NO_PAGE, .mode = cpu->mode};
    if (!decode_trace(cpu, t, host + (phys & (BUS_PAGE - 1)), left < in_page ? (unsigned)left : in_page,
                      (unsigned)(phys & (BUS_PAGE - 1)), TRACE_INSNS)) {
        if (left <= in_page)
            return trace_single(cpu);
        decode_careful(cpu, t, phys, &phys2);
        t->phys2 = phys2;
        if (phys2 == NO_PAGE || phys2 == page || !page_host(cpu, phys2))
            return trace_single(cpu);
    }
    arena_take(c, sizeof(*t) + t->slots * sizeof(struct insn));
    t->hash_next = c->hash[h];
    c->hash[h] = t;
    add_to_page(cpu, t, page);
    if (phys2 != NO_PAGE)
        add_to_page(cpu, t, phys2);
    if (likely(!cpu->stops) || !stop_guards(cpu, t))
        jit_new_trace(cpu, t);
    cover(cpu, t);
    cpu->stats.traces++;
    cpu->stats.trace_bytes = c->used;
    return t;
}

struct trace *trace_find(struct cpu *cpu)
{
    uint64_t phys = fetch_address(cpu);
    struct trace *t = cpu->cache->hash[hash_of(phys, cpu->mode)];

    while (t && (t->phys != phys || t->mode != cpu->mode))
        t = t->hash_next;
    if (unlikely(!t))
        return new_trace(cpu, phys);
    if (unlikely(!cpu->long64 && t->bytes > limit_left(cpu)))
        return trace_single(cpu);
    if (unlikely(t->phys2 != NO_PAGE && !second_page_stands(cpu, t))) {
        drop(cpu, t);
        return new_trace(cpu, phys);
    }
    return t;
}

/* As trace_find, by way of the targets lately branched to. NULL unless `rip` is one in this mode. */
static inline struct trace *known_target(const struct cpu *cpu, const struct target *target, uint64_t rip)
{
    return target->rip == rip && target->gen == cpu->link_gen && target->trace->mode == cpu->mode
               ? target->trace
               : NULL;
}

void jump_slow(struct cpu *cpu, const struct insn *i, uint64_t rip)
{
    struct target *target = &cpu->targets[(rip ^ rip >> 10) & (TARGETS - 1)];
    struct trace *t = known_target(cpu, target, rip);
    struct link *l = (struct link *)(i + 1);

    if (!t && (cpu->long64 ? !canonical(cpu, rip) : rip > cpu->s.seg[CS].limit))
        fault(cpu, i, EX_GP, 0);
    cpu->retired -= i->rest;
    cpu->s.rip = rip;
    if (!OXBOW_CHAIN || cpu->retired >= atomic_load_explicit(&cpu->stop_at, memory_order_relaxed))
        return;
    if (!t) {
        uint64_t flushes = cpu->cache->flushes;

        t = trace_find(cpu);
        /* The link's slot is gone after a flush; and some traces hold this once only. */
        if (cpu->cache->flushes != flushes || t->phys2 != NO_PAGE || t == &cpu->cache->single.trace) {
            enter(cpu, t);
            return;
        }
        *target = (struct target){.rip = rip, .trace = t, .gen = cpu->link_gen};
    }
    l->rip = rip;
    l->trace = t;
    l->gen = i->flags & INSN_NEAR ? cpu->code_gen : cpu->link_gen;
    enter(cpu, t);
}
