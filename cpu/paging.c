/*
 * paging.c - page walks, and the software TLB that remembers them (SDM 3A chapter 4).
 *
 * A walk checks the reserved bits, finds the leaf, checks the access, and only then sets accessed and dirty
 * bits. The TLB holds plain memory in its entries, for the inline fast paths, and every translation in its
 * side table, for accesses to chips and to pages that hold code.
 *
 * Generations: each PCID has the generation in which its entries are tagged; flushing it means giving it a
 * new one. The upper half of the addresses, where kernels live, has one of its own for all PCIDs, which a
 * change of CR3 leaves alone as long as only global pages were translated there. When the numbers run out
 * everything is cleared. Global pages in the lower half are tagged like others: flushed more often than on
 * silicon, which is allowed.
 *
 * Protection keys: what PKRU said is built into the entries, so that a hit needs no look at it. Which keys
 * have entries is remembered, and a change of PKRU that concerns none of them costs nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "cpu/interp/access.h"
#include "cpu/stop.h"

#define GENERATIONS 0xfffu /* 1 to 0xffe are given out */

struct pcid_table {
    uint16_t gen[4096]; /* 0: none yet */
    uint16_t next;
    bool private_high; /* there may be entries of the upper half that are not global */
    uint16_t keys;     /* bit n: there may be entries of user pages with protection key n, */
    bool keyed_high;   /* in the upper half too */
    /* Which 2 MiB and 1 GiB areas have entries of large pages: INVLPG drops a whole large page. Hashed. */
    uint8_t large_2m[1024], large_1g[1024];
};

struct walk {
    uint64_t phys;      /* of the byte */
    uint64_t page_size; /* of the mapping */
    bool writable, user, no_execute, dirty, global;
    uint8_t key; /* protection key */
};

bool canonical(const struct cpu *cpu, uint64_t linear)
{
    unsigned shift = cpu->s.cr4 & CR4_LA57 ? 7 : 16;

    return (uint64_t)((int64_t)(linear << shift) >> shift) == linear;
}

bool canonical_value(const struct cpu *cpu, uint64_t linear)
{
    unsigned shift = has_feature(cpu, F_LA57) ? 7 : 16;

    return (uint64_t)((int64_t)(linear << shift) >> shift) == linear;
}

/* --- Walks --------------------------------------------------------------------------------------- */

struct level {
    uint8_t shift;    /* lowest bit of the linear address that the level's index takes */
    bool leaf_always; /* a page table: every entry is a leaf */
    bool large;       /* PS makes an entry a leaf */
};

static const struct level levels_57[] = {
    {48, false, false}, {39, false, false}, {30, false, true}, {21, false, true}, {12, true, false}};
static const struct level *const levels_48 = levels_57 + 1;
static const struct level levels_pae[] = {{21, false, true}, {12, true, false}};
static const struct level levels_32[] = {{22, false, true}, {12, true, false}};

/* Reads a table entry. Where no RAM answers the entry reads as the bus does, all ones. */
static uint64_t read_entry(struct cpu *cpu, uint64_t addr, unsigned size)
{
    return bus_read(cpu->memory, addr & cpu->a20_mask, size);
}

/*
 * Sets bits in a table entry as a locked operation, if it still is what the walk saw; false when another CPU
 * changed it: walk again.
 */
static bool set_bits(struct cpu *cpu, uint64_t addr, unsigned size, uint64_t old, uint64_t bits)
{
    uint64_t offset;
    struct region *r = bus_find(cpu->memory, addr & cpu->a20_mask, &offset);
    bool done;

    if (!r || r->kind != REGION_RAM)
        return true; /* tables in ROM keep their bits */
    if (size == 8) {
        done = __atomic_compare_exchange_n((uint64_t *)(void *)(r->host + offset), &old, old | bits, false,
                                           __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    } else {
        uint32_t old32 = (uint32_t)old;

        done = __atomic_compare_exchange_n((uint32_t *)(void *)(r->host + offset), &old32,
                                           (uint32_t)(old | bits), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
    if (done && unlikely(cpu->checker))
        check_bits_set(cpu, r->host + offset, bits, size);
    if (done && r->page_flags[offset >> 12])
        bus_ram_written(cpu->memory, r, offset, size);
    return done;
}

static uint64_t reserved_bits(const struct cpu *cpu, const struct level *l, uint64_t entry, bool long_format)
{
    uint64_t beyond = ~0ull << phys_bits(cpu), reserved;
    bool leaf = l->leaf_always || (l->large && (entry & PTE_PS));

    if (!long_format) {
        /*
         * 32-bit paging: 4 MiB pages take bits 20:13 as address bits 39:32, as far as there are such
         * (PSE-36); the others up to 21 are reserved (SDM 3A 4.3).
         */
        unsigned width = has_feature(cpu, F_PSE36) ? phys_bits(cpu) : 32;
        unsigned lowest = 13 + (width > 40 ? 8 : width - 32);

        return leaf && !l->leaf_always ? (1u << 22) - (1u << lowest) : 0;
    }
    reserved = beyond & ~(0x7ffull << 52) & ~PTE_NX;
    if (!long_mode(cpu))
        reserved |= 0x7ffull << 52; /* PAE: 62:52 are reserved too */
    if (!(cpu->s.efer & EFER_NXE))
        reserved |= PTE_NX;
    if (leaf && !l->leaf_always)
        reserved |= ((1ull << l->shift) - 1) & ~0x1fffull; /* below the page's size, above PAT */
    else if (!l->leaf_always && !l->large)
        reserved |= PTE_PS; /* PML4E; PML5E */
    if (l->shift == 30 && leaf && !has_feature(cpu, F_PDPE1GB))
        reserved |= PTE_PS;
    return reserved;
}

static bool keys_in_use(const struct cpu *cpu)
{
    return cpu->s.cr4 & CR4_PKE && long_mode(cpu);
}

/*
 * Protection keys: whether PKRU forbids a data access to a user page, even when others forbid it too (SDM 3A
 * 4.6.2). WD binds the supervisor only under CR0.WP.
 */
static bool key_denies(const struct cpu *cpu, const struct walk *w, enum access access, bool user)
{
    unsigned rights;

    if (likely(!keys_in_use(cpu)) || !w->user || access == ACCESS_FETCH)
        return false;
    rights = cpu->s.pkru >> 2 * w->key & 3;
    return rights & 1 || (rights & 2 && access == ACCESS_WRITE && (user || cpu->s.cr0 & CR0_WP));
}

/* Whether a user or supervisor may access what the tables map so; protection keys apart. */
static bool allowed(const struct cpu *cpu, const struct walk *w, enum access access, bool user,
                    bool smap_applies)
{
    if (user) {
        if (!w->user)
            return false;
        if (access == ACCESS_WRITE)
            return w->writable;
        return access != ACCESS_FETCH || !w->no_execute;
    }
    if (access == ACCESS_FETCH)
        return !w->no_execute && !(w->user && (cpu->s.cr4 & CR4_SMEP));
    if (w->user && smap_applies)
        return false;
    return access != ACCESS_WRITE || w->writable || !(cpu->s.cr0 & CR0_WP);
}

static uint32_t fault_code(const struct cpu *cpu, enum access access, bool user)
{
    uint32_t code = (user ? PF_U : 0) | (access == ACCESS_WRITE ? PF_W : 0);

    /* The I bit is set only when NX or SMEP is in use (SDM 3A 4.7). */
    if (access == ACCESS_FETCH &&
        ((cpu->s.cr4 & CR4_SMEP) || ((cpu->s.cr4 & CR4_PAE) && (cpu->s.efer & EFER_NXE))))
        code |= PF_FETCH;
    return code;
}

enum walk_result { WALK_OK, WALK_FAULT, WALK_AGAIN };

/*
 * Translates a linear address. `commit` sets accessed and dirty bits; a debugger's look doesn't. On
 * WALK_FAULT *code is the page-fault error code.
 */
static enum walk_result walk_tables(struct cpu *cpu, uint64_t linear, enum access access, bool user,
                                    bool smap_applies, bool commit, struct walk *w, uint32_t *code)
{
    bool pae = cpu->s.cr4 & CR4_PAE, lm = long_mode(cpu);
    const struct level *l = lm ? cpu->s.cr4 & CR4_LA57 ? levels_57 : levels_48 : pae ? levels_pae : levels_32;
    unsigned size = pae ? 8 : 4;
    uint64_t index_mask = pae ? 511 : 1023, table, addr[5], entry[5], seen, frame;
    unsigned n = 0, depth;

    *w = (struct walk){.writable = true, .user = true};
    *code = fault_code(cpu, access, user);
    if (lm) {
        table = cpu->s.cr3 & 0x000ffffffffff000ull;
    } else if (pae) {
        uint64_t pdpte = cpu->s.pdpte[linear >> 30 & 3];

        if (!(pdpte & PTE_P))
            return WALK_FAULT;
        table = pdpte & 0x000ffffffffff000ull;
    } else {
        table = cpu->s.cr3 & 0xfffff000u;
    }
    for (;; n++) {
        addr[n] = table + (linear >> l[n].shift & index_mask) * size;
        entry[n] = read_entry(cpu, addr[n], size);
        if (!(entry[n] & PTE_P))
            return WALK_FAULT;
        seen = entry[n]; /* without PSE, 32-bit paging ignores PS */
        if (!pae && !(cpu->s.cr4 & CR4_PSE) && l[n].large)
            seen &= ~PTE_PS;
        if (seen & reserved_bits(cpu, &l[n], seen, pae)) {
            *code |= PF_P | PF_RSVD;
            return WALK_FAULT;
        }
        w->writable &= (entry[n] & PTE_W) != 0;
        w->user &= (entry[n] & PTE_U) != 0;
        w->no_execute |= pae && (entry[n] & PTE_NX);
        if (l[n].leaf_always || (l[n].large && (seen & PTE_PS)))
            break;
        table = entry[n] & (pae ? 0x000ffffffffff000ull : 0xfffff000u);
    }
    depth = n + 1;
    w->page_size = 1ull << l[n].shift;
    frame = entry[n] & (pae ? 0x000ffffffffff000ull : 0xfffff000u) & ~(w->page_size - 1);
    if (!pae && l[n].shift == 22)
        frame |= (entry[n] >> 13 & 0xff) << 32;
    w->phys = frame | (linear & (w->page_size - 1));
    w->key = lm ? entry[n] >> 59 & 15 : 0;
    if (commit && unlikely(key_denies(cpu, w, access, user))) {
        *code |= PF_P | PF_PK;
        return WALK_FAULT;
    }
    if (!allowed(cpu, w, access, user, smap_applies)) {
        *code |= PF_P;
        return WALK_FAULT;
    }
    w->dirty = entry[n] & PTE_D;
    w->global = (entry[n] & PTE_G) && (cpu->s.cr4 & CR4_PGE);
    if (commit) {
        for (n = 0; n < depth; n++) {
            uint64_t bits = PTE_A | (n == depth - 1 && access == ACCESS_WRITE ? PTE_D : 0);

            if ((entry[n] & bits) != bits && !set_bits(cpu, addr[n], size, entry[n], bits))
                return WALK_AGAIN;
        }
        w->dirty |= access == ACCESS_WRITE;
    }
    return WALK_OK;
}

static bool walk(struct cpu *cpu, uint64_t linear, enum access access, bool user, bool smap_applies,
                 bool commit, struct walk *w, uint32_t *code)
{
    enum walk_result result;

    if (!(cpu->s.cr0 & CR0_PG)) {
        *w = (struct walk){.phys = linear & UINT32_MAX,
                           .page_size = BUS_PAGE,
                           .writable = true,
                           .user = true,
                           .dirty = true};
        return true;
    }
    do
        result = walk_tables(cpu, linear, access, user, smap_applies, commit, w, code);
    while (result == WALK_AGAIN);
    return result == WALK_OK;
}

bool load_pdptes(struct cpu *cpu, uint64_t cr3)
{
    uint64_t entry[4], reserved = (~0ull << phys_bits(cpu)) | 0x1e6; /* SDM 3A 4.4.1 */

    for (unsigned n = 0; n < 4; n++) {
        entry[n] = read_entry(cpu, (cr3 & 0xffffffe0u) + 8 * n, 8);
        if ((entry[n] & PTE_P) && (entry[n] & reserved))
            return false;
    }
    memcpy(cpu->s.pdpte, entry, sizeof(entry));
    return true;
}

uint64_t cpu_translate(struct cpu *cpu, uint64_t linear)
{
    struct walk w;
    uint32_t code;

    if (long_mode(cpu) && !canonical(cpu, linear))
        return UINT64_MAX;
    return walk(cpu, linear, ACCESS_READ, false, false, false, &w, &code) ? w.phys & cpu->a20_mask
                                                                          : UINT64_MAX;
}

size_t cpu_peek(struct cpu *cpu, uint64_t linear, void *data, size_t size)
{
    size_t done = 0;

    while (done < size) {
        uint64_t at = linear + done, phys = cpu_translate(cpu, at), offset;
        size_t n = BUS_PAGE - (at & (BUS_PAGE - 1));
        struct region *r = phys == UINT64_MAX ? NULL : bus_find(cpu->memory, phys, &offset);

        if (!r || r->kind == REGION_IO)
            break;
        if (n > size - done)
            n = size - done;
        bus_read_block(cpu->memory, phys, (uint8_t *)data + done, n);
        done += n;
    }
    return done;
}

/* --- The TLB ------------------------------------------------------------------------------------- */

static void clear_slot(struct tlb *tlb, unsigned n)
{
    tlb->entry[n].read = tlb->entry[n].write = tlb->entry[n].fetch = TLB_NONE;
    tlb->side[n].tag = TLB_NONE;
}

static void clear_tlbs(struct cpu *cpu)
{
    for (unsigned t = 0; t < TLB_COUNT; t++)
        for (unsigned n = 0; n < TLB_SIZE; n++)
            clear_slot(&cpu->tlbs[t], n);
    memset(cpu->pcids->large_2m, 0, sizeof(cpu->pcids->large_2m));
    memset(cpu->pcids->large_1g, 0, sizeof(cpu->pcids->large_1g));
}

bool tlb_new(struct cpu *cpu)
{
    cpu->tlbs = calloc(TLB_COUNT, sizeof(*cpu->tlbs));
    cpu->pcids = calloc(1, sizeof(*cpu->pcids));
    if (!cpu->tlbs || !cpu->pcids)
        return false;
    tlb_flush_all(cpu);
    return true;
}

void tlb_free(struct cpu *cpu)
{
    free(cpu->tlbs);
    free(cpu->pcids);
}

static unsigned current_pcid(const struct cpu *cpu)
{
    return cpu->s.cr4 & CR4_PCIDE ? cpu->s.cr3 & 0xfff : 0;
}

static void mapping_changed(struct cpu *cpu)
{
    cpu->link_gen++;
    cpu->fetch_page = NO_PAGE;
}

/* A number that no entry is tagged with. */
static uint16_t new_generation(struct cpu *cpu)
{
    struct pcid_table *p = cpu->pcids;

    if (!p->next || p->next >= GENERATIONS - 1) {
        clear_tlbs(cpu);
        memset(p->gen, 0, sizeof(p->gen));
        p->next = 1;
        cpu->tlb_gen[1] = p->next++;
        jit_forget_half(cpu, true);
    }
    return p->next++;
}

static void flush_high(struct cpu *cpu)
{
    cpu->tlb_gen[1] = new_generation(cpu);
    cpu->pcids->private_high = false;
    jit_forget_half(cpu, true);
}

/* Takes the current PCID's generation into use. */
static void use_generation(struct cpu *cpu)
{
    uint16_t *gen = &cpu->pcids->gen[current_pcid(cpu)];

    if (cpu->pcids->private_high)
        flush_high(cpu);
    if (!*gen)
        *gen = new_generation(cpu);
    cpu->tlb_gen[0] = *gen;
    jit_forget_half(cpu, false);
    mapping_changed(cpu);
}

void tlb_flush_all(struct cpu *cpu)
{
    memset(cpu->pcids->gen, 0, sizeof(cpu->pcids->gen));
    cpu->pcids->private_high = true;
    use_generation(cpu);
    cpu->stats.tlb_flushes++;
}

void write_pkru(struct cpu *cpu, uint32_t value)
{
    struct pcid_table *p = cpu->pcids;
    uint32_t changed = value ^ cpu->s.pkru;
    bool matters = false;

    cpu->s.pkru = value;
    for (unsigned key = 0; key < 16; key++)
        matters |= changed >> 2 * key & 3 && p->keys >> key & 1;
    if (!matters)
        return;
    /* Nothing is mapped elsewhere, nor executable where it wasn't: links between traces stand. */
    memset(p->gen, 0, sizeof(p->gen));
    if (p->keyed_high)
        flush_high(cpu);
    p->gen[current_pcid(cpu)] = new_generation(cpu);
    cpu->tlb_gen[0] = p->gen[current_pcid(cpu)];
    p->keys = 0;
    p->keyed_high = false;
    jit_forget_half(cpu, false);
    cpu->stats.tlb_flushes++;
}

void tlb_new_cr3(struct cpu *cpu, bool keep)
{
    if (!keep)
        cpu->pcids->gen[current_pcid(cpu)] = 0;
    use_generation(cpu);
    cpu->stats.tlb_flushes += !keep;
    cpu->invalidations++;
}

void tlb_flush_pcid(struct cpu *cpu, unsigned pcid)
{
    cpu->pcids->gen[pcid & 0xfff] = 0;
    use_generation(cpu);
    cpu->invalidations++;
    cpu->stats.tlb_flushes++;
}

static unsigned area_hash(uint64_t area)
{
    return (unsigned)(area ^ area >> 10) & 1023;
}

void tlb_flush_page(struct cpu *cpu, uint64_t linear)
{
    cpu->invalidations++;
    if (cpu->pcids->large_2m[area_hash(linear >> 21)] || cpu->pcids->large_1g[area_hash(linear >> 30)]) {
        tlb_flush_all(cpu);
        return;
    }
    for (unsigned t = 0; t < TLB_COUNT; t++)
        clear_slot(&cpu->tlbs[t], linear >> 12 & (TLB_SIZE - 1));
    jit_forget_page(cpu, linear);
    mapping_changed(cpu);
}

void tlb_code_page(struct cpu *cpu, uint64_t phys)
{
    for (unsigned t = 0; t < TLB_COUNT; t++)
        for (unsigned n = 0; n < TLB_SIZE; n++)
            if (cpu->tlbs[t].side[n].phys == phys)
                cpu->tlbs[t].entry[n].write = TLB_NONE;
    jit_forget_writes(cpu);
}

/* Fills the fast entry from the side entry, as far as both allow. */
static void fill_entry(struct cpu *cpu, struct tlb_entry *e, const struct tlb_side *s, uint64_t page)
{
    struct region *r = s->region;

    e->read = e->write = e->fetch = TLB_NONE;
    if (!r || r->kind == REGION_IO || s->offset + BUS_PAGE > r->size)
        return;
    if (unlikely(breakpoints_armed(cpu)) && breakpoint_in_page(cpu, page))
        return;
    if (unlikely(cpu->stops) && stop_in_page(cpu, page, s->phys))
        return;
    e->addend = (uint64_t)(uintptr_t)(r->host + s->offset) - page;
    if (s->allow & 1u << ACCESS_READ)
        e->read = s->tag;
    if (s->allow & 1u << ACCESS_FETCH)
        e->fetch = s->tag;
    if ((s->allow & 1u << ACCESS_WRITE) && r->kind == REGION_RAM && likely(!cpu->checker) &&
        !(__atomic_load_n(&r->page_flags[s->offset >> 12], __ATOMIC_SEQ_CST) & (PAGE_CODE | PAGE_TRACK)))
        e->write = s->tag;
}

/* Walks for an access that the TLB doesn't know to be allowed; raises its faults. */
static struct tlb_side *tlb_fill(struct cpu *cpu, const struct insn *i, unsigned seg, struct tlb *tlb,
                                 uint64_t linear, enum access access)
{
    bool user = tlb == &cpu->tlbs[TLB_USER];
    bool smap_applies = tlb == &cpu->tlbs[TLB_SUPER] && (cpu->s.cr4 & CR4_SMAP);
    unsigned n = linear >> 12 & (TLB_SIZE - 1);
    struct tlb_side *s = &tlb->side[n];
    struct walk w;
    uint32_t code;

    cpu->stats.tlb_misses++;
    if (long_mode(cpu) && !canonical(cpu, linear))
        fault(cpu, i, seg == SS ? EX_SS : EX_GP, 0);
    if (!walk(cpu, linear, access, user, smap_applies, true, &w, &code))
        fault_page(cpu, i, linear, code);
    if (w.page_size > BUS_PAGE) {
        if (w.page_size > 4u << 20)
            cpu->pcids->large_1g[area_hash(linear >> 30)] = 1;
        else
            cpu->pcids->large_2m[area_hash(linear >> 21)] = 1;
    }
    if (linear >> 63 && !w.global)
        cpu->pcids->private_high = true;
    if (unlikely(w.user && keys_in_use(cpu))) {
        cpu->pcids->keys |= (uint16_t)(1u << w.key);
        cpu->pcids->keyed_high |= linear >> 63;
    }
    s->tag = tlb_tag(cpu, linear);
    s->phys = w.phys & ~(uint64_t)(BUS_PAGE - 1) & cpu->a20_mask;
    s->region = bus_find(cpu->memory, s->phys, &s->offset);
    s->allow = 0;
    for (unsigned a = ACCESS_READ; a <= ACCESS_FETCH; a++)
        if ((a != ACCESS_WRITE || w.dirty) && allowed(cpu, &w, a, user, smap_applies) &&
            !key_denies(cpu, &w, a, user))
            s->allow |= (uint8_t)(1u << a);
    fill_entry(cpu, &tlb->entry[n], s, linear & ~(uint64_t)(BUS_PAGE - 1));
    return s;
}

static struct tlb_side *translate(struct cpu *cpu, const struct insn *i, unsigned seg, struct tlb *tlb,
                                  uint64_t linear, enum access access)
{
    struct tlb_side *s = &tlb->side[linear >> 12 & (TLB_SIZE - 1)];

    if (likely(s->tag == tlb_tag(cpu, linear) && (s->allow & 1u << access)))
        return s;
    return tlb_fill(cpu, i, seg, tlb, linear, access);
}

/* The TLB whose entries cpu->tlb points at. */
static struct tlb *current_tlb(struct cpu *cpu)
{
    return (struct tlb *)(void *)((char *)cpu->tlb - offsetof(struct tlb, entry));
}

/* The processor's own accesses (descriptor tables, TSS) are a supervisor's, and SMAP holds whatever AC says.
 */
static struct tlb *super_tlb(struct cpu *cpu)
{
    return &cpu->tlbs[TLB_SUPER];
}

uint64_t fetch_translate(struct cpu *cpu, const struct insn *i, uint64_t linear)
{
    struct tlb_side *s = translate(cpu, i, CS, current_tlb(cpu), linear, ACCESS_FETCH);

    return s->phys | (linear & (BUS_PAGE - 1));
}

/* --- Slow paths ---------------------------------------------------------------------------------- */

/* An address in 32-bit linear space wraps at 4 GiB; in 64-bit mode not. */
static uint64_t linear_add(const struct cpu *cpu, uint64_t linear, uint64_t n)
{
    return cpu->long64 ? linear + n : (uint32_t)(linear + n);
}

/* Where an access continues in its second page. That the address isn't canonical comes before any page fault.
 */
static uint64_t edge_of(struct cpu *cpu, const struct insn *i, unsigned seg, uint64_t linear)
{
    uint64_t edge = linear_add(cpu, linear, BUS_PAGE - (linear & (BUS_PAGE - 1)));

    if (long_mode(cpu) && unlikely(!canonical(cpu, linear) || !canonical(cpu, edge)))
        fault(cpu, i, seg == SS ? EX_SS : EX_GP, 0);
    return edge;
}

static bool crosses_page(uint64_t linear, unsigned size)
{
    return (linear & (BUS_PAGE - 1)) + size > BUS_PAGE;
}

static void watched(struct cpu *cpu, const struct insn *i, const struct tlb_side *s, uint64_t linear, unsigned size,
                    bool write)
{
    struct stop_event e = {.address = linear, .physical = s->phys + (linear & (BUS_PAGE - 1)), .size = size,
                           .write = write};

    stop_access(cpu, i, &e);
}

/* The same of what isn't memory. */
static void watched_chip(struct cpu *cpu, const struct insn *i, const struct tlb_side *s, uint64_t linear, uint64_t value,
                         unsigned size, bool write)
{
    struct stop_event e = {
        .address = s->phys + (linear & (BUS_PAGE - 1)), .size = size, .value = value, .write = write};

    stop_chip(cpu, i, linear, &e);
}

static uint64_t read_in_page(struct cpu *cpu, const struct insn *i, const struct tlb_side *s, uint64_t linear,
                             unsigned size)
{
    unsigned in_page = linear & (BUS_PAGE - 1);
    uint64_t value = 0;

    if (unlikely(breakpoints_armed(cpu)))
        breakpoint_access(cpu, linear, size, false);
    if (unlikely(cpu->stops))
        watched(cpu, i, s, linear, size, false);

    if (!s->region || s->region->kind == REGION_IO || s->offset + in_page + size > s->region->size) {
        if (unlikely(cpu->checker))
            check_chip(cpu);
        if (unlikely(cpu->stops))
            watched_chip(cpu, i, s, linear, 0, size, false);
        value = bus_read(cpu->memory, s->phys + in_page, size);
        if (unlikely(cpu->stops))
            stop_value(cpu, CPU_STOP_CHIP, value);
        return value;
    }
    memcpy(&value, s->region->host + s->offset + in_page, size);
    return value;
}

static void write_in_page(struct cpu *cpu, const struct insn *i, struct tlb *tlb, struct tlb_side *s, uint64_t linear,
                          uint64_t value, unsigned size)
{
    unsigned in_page = linear & (BUS_PAGE - 1);
    struct region *r = s->region;

    if (unlikely(breakpoints_armed(cpu)))
        breakpoint_access(cpu, linear, size, true);
    if (unlikely(cpu->stops))
        watched(cpu, i, s, linear, size, true);
    if (!r || r->kind != REGION_RAM || s->offset + in_page + size > r->size) {
        if (unlikely(cpu->checker))
            check_chip(cpu);
        if (unlikely(cpu->stops) && (!r || r->kind == REGION_IO))
            watched_chip(cpu, i, s, linear, value, size, true);
        bus_write(cpu->memory, s->phys + in_page, value, size);
        return;
    }
    if (unlikely(cpu->checker)) /* what is written as the processor itself, translated code can't */
        check_write(cpu, r->host + s->offset + in_page, s->phys + in_page,
                    tlb->entry == cpu->tlb ? linear : NO_PAGE, size);
    memcpy(r->host + s->offset + in_page, &value, size);
    if (__atomic_load_n(&r->page_flags[s->offset >> 12], __ATOMIC_SEQ_CST) & (PAGE_CODE | PAGE_TRACK))
        bus_ram_written(cpu->memory, r, s->offset + in_page, size);
    /* The page may have become plain memory. */
    fill_entry(cpu, &tlb->entry[linear >> 12 & (TLB_SIZE - 1)], s, linear & ~(uint64_t)(BUS_PAGE - 1));
}

/*
 * Splits an access at its page's edge. The second page's slot may be the first one's when they are translated
 * in turn, so the first is copied.
 */
static uint64_t read_any(struct cpu *cpu, const struct insn *i, unsigned seg, struct tlb *tlb,
                         uint64_t linear, unsigned size)
{
    if (likely(!crosses_page(linear, size)))
        return read_in_page(cpu, i, translate(cpu, i, seg, tlb, linear, ACCESS_READ), linear, size);

    unsigned first = BUS_PAGE - (linear & (BUS_PAGE - 1));
    uint64_t edge = edge_of(cpu, i, seg, linear);
    struct tlb_side a = *translate(cpu, i, seg, tlb, linear, ACCESS_READ);
    struct tlb_side *b = translate(cpu, i, seg, tlb, edge, ACCESS_READ);

    return read_in_page(cpu, i, &a, linear, first) | read_in_page(cpu, i, b, edge, size - first) << (8 * first);
}

static void write_any(struct cpu *cpu, const struct insn *i, unsigned seg, struct tlb *tlb, uint64_t linear,
                      uint64_t value, unsigned size)
{
    if (likely(!crosses_page(linear, size))) {
        write_in_page(cpu, i, tlb, translate(cpu, i, seg, tlb, linear, ACCESS_WRITE), linear, value, size);
        return;
    }

    unsigned first = BUS_PAGE - (linear & (BUS_PAGE - 1));
    uint64_t edge = edge_of(cpu, i, seg, linear);

    translate(cpu, i, seg, tlb, linear, ACCESS_WRITE);
    translate(cpu, i, seg, tlb, edge, ACCESS_WRITE); /* both faults before any byte is written */
    write_in_page(cpu, i, tlb, translate(cpu, i, seg, tlb, linear, ACCESS_WRITE), linear, value, first);
    write_in_page(cpu, i, tlb, translate(cpu, i, seg, tlb, edge, ACCESS_WRITE), edge, value >> (8 * first),
                  size - first);
}

uint64_t linear_read(struct cpu *cpu, const struct insn *i, unsigned seg, uint64_t linear, unsigned size)
{
    return read_any(cpu, i, seg, current_tlb(cpu), linear, size);
}

void linear_write(struct cpu *cpu, const struct insn *i, unsigned seg, uint64_t linear, uint64_t value,
                  unsigned size)
{
    write_any(cpu, i, seg, current_tlb(cpu), linear, value, size);
}

uint64_t super_read(struct cpu *cpu, const struct insn *i, uint64_t linear, unsigned size)
{
    return read_any(cpu, i, DS, super_tlb(cpu), linear, size);
}

void super_write(struct cpu *cpu, const struct insn *i, uint64_t linear, uint64_t value, unsigned size)
{
    write_any(cpu, i, DS, super_tlb(cpu), linear, value, size);
}

static void probe(struct cpu *cpu, const struct insn *i, unsigned seg, uint64_t linear, unsigned size,
                  enum access access)
{
    if (crosses_page(linear, size))
        edge_of(cpu, i, seg, linear);
    translate(cpu, i, seg, current_tlb(cpu), linear, access);
    for (unsigned n = BUS_PAGE - (linear & (BUS_PAGE - 1)); n < size; n += BUS_PAGE)
        translate(cpu, i, seg, current_tlb(cpu), linear_add(cpu, linear, n), access);
}

void probe_write(struct cpu *cpu, const struct insn *i, unsigned seg, uint64_t linear, unsigned size)
{
    probe(cpu, i, seg, linear, size, ACCESS_WRITE);
}

void probe_read(struct cpu *cpu, const struct insn *i, unsigned seg, uint64_t linear, unsigned size)
{
    probe(cpu, i, seg, linear, size, ACCESS_READ);
}

void linear_read_block(struct cpu *cpu, const struct insn *i, unsigned seg, uint64_t linear, void *data,
                       unsigned size)
{
    uint8_t *out = data;
    const void *host = crosses_page(linear, size) ? NULL : tlb_read_host(cpu, linear, size);

    if (likely(host != NULL)) {
        memcpy(data, host, size);
        return;
    }
    probe_read(cpu, i, seg, linear, size);
    for (unsigned done = 0, n; done < size; done += n) {
        uint64_t value;

        n = size - done < 8 ? size - done : 8;
        value = linear_read(cpu, i, seg, linear_add(cpu, linear, done), n);
        memcpy(out + done, &value, n);
    }
}

void linear_write_block(struct cpu *cpu, const struct insn *i, unsigned seg, uint64_t linear,
                        const void *data, unsigned size)
{
    const uint8_t *in = data;
    void *host = crosses_page(linear, size) ? NULL : tlb_write_host(cpu, linear, size);

    if (likely(host != NULL)) {
        memcpy(host, data, size);
        return;
    }
    probe_write(cpu, i, seg, linear, size);
    for (unsigned done = 0, n; done < size; done += n) {
        uint64_t value = 0;

        n = size - done < 8 ? size - done : 8;
        memcpy(&value, in + done, n);
        linear_write(cpu, i, seg, linear_add(cpu, linear, done), value, n);
    }
}

void *host_for_write(struct cpu *cpu, const struct insn *i, unsigned seg, uint64_t linear, unsigned size)
{
    struct tlb_side *s;

    if (crosses_page(linear, size)) {
        probe_write(cpu, i, seg, linear, size);
        return NULL;
    }
    s = translate(cpu, i, seg, current_tlb(cpu), linear, ACCESS_WRITE);
    if (!s->region || s->region->kind != REGION_RAM || s->offset + BUS_PAGE > s->region->size)
        return NULL;
    if (unlikely(breakpoints_armed(cpu)))
        breakpoint_access(cpu, linear, size, true);
    if (unlikely(cpu->stops)) {
        watched(cpu, i, s, linear, size, false);
        watched(cpu, i, s, linear, size, true);
    }
    if (unlikely(cpu->checker))
        check_write(cpu, s->region->host + s->offset + (linear & (BUS_PAGE - 1)),
                    s->phys + (linear & (BUS_PAGE - 1)), linear, size);
    return s->region->host + s->offset + (linear & (BUS_PAGE - 1));
}

void wrote_host(struct cpu *cpu, const struct insn *i, uint64_t linear, unsigned size)
{
    struct tlb_side *s = translate(cpu, i, DS, current_tlb(cpu), linear, ACCESS_WRITE);

    if (s->region && s->region->kind == REGION_RAM &&
        (__atomic_load_n(&s->region->page_flags[s->offset >> 12], __ATOMIC_SEQ_CST) &
         (PAGE_CODE | PAGE_TRACK)))
        bus_ram_written(cpu->memory, s->region, s->offset + (linear & (BUS_PAGE - 1)), size);
}
