/*
 * inspect_paging.c - walks in words; see inspect_paging.h.
 *
 * This is a second walk beside cpu/paging.c's, on purpose: it reports what the other one only decides,
 * changes nothing, and a test holds each against the other.
 */
#include "debug/inspect_paging.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "cpu/paging.h"

#define ADDRESS_64 0x000ffffffffff000ull
#define ADDRESS_32 0xfffff000u

struct level {
    const char *table;
    unsigned shift;
    bool leaf_always, large;
};

static const struct level levels_57[] = {{"PML5", 48, false, false},
                                         {"PML4", 39, false, false},
                                         {"PDPT", 30, false, true},
                                         {"PD", 21, false, true},
                                         {"PT", 12, true, false}};
static const struct level levels_pae[] = {{"PD", 21, false, true}, {"PT", 12, true, false}};
static const struct level levels_32[] = {{"PD", 22, false, true}, {"PT", 12, true, false}};

static bool is_long(const struct cpu_state *s)
{
    return s->efer & EFER_LMA;
}

static bool is_pae(const struct cpu_state *s)
{
    return s->cr4 & CR4_PAE;
}

static const struct level *first_level(const struct cpu_state *s)
{
    if (is_long(s))
        return s->cr4 & CR4_LA57 ? levels_57 : levels_57 + 1;
    return is_pae(s) ? levels_pae : levels_32;
}

static uint64_t address_bits(const struct cpu_state *s)
{
    return is_pae(s) ? ADDRESS_64 : ADDRESS_32;
}

static bool is_canonical(const struct cpu_state *s, uint64_t linear)
{
    unsigned shift = s->cr4 & CR4_LA57 ? 7 : 16;

    return (uint64_t)((int64_t)(linear << shift) >> shift) == linear;
}

static bool is_leaf(const struct cpu_state *s, const struct level *l, uint64_t entry)
{
    bool heeds_ps = is_pae(s) || s->cr4 & CR4_PSE;

    return l->leaf_always || (l->large && heeds_ps && entry & PTE_PS);
}

/* Bits of an entry that must be 0 (SDM 3A 4.3 to 4.5). */
static uint64_t reserved_bits(const struct paging_view *v, const struct level *l, bool leaf)
{
    const struct cpu_state *s = v->state;
    uint64_t bits;

    if (!is_pae(s)) {
        unsigned width = v->pse36 ? v->phys_bits > 40 ? 40 : v->phys_bits : 32;

        return leaf && !l->leaf_always ? (1u << 22) - (1u << (width - 19)) : 0;
    }
    bits = ~0ull << v->phys_bits & ADDRESS_64;
    if (!is_long(s))
        bits |= 0x7ffull << 52;
    if (!(s->efer & EFER_NXE))
        bits |= PTE_NX;
    if (leaf && !l->leaf_always)
        bits |= ((1ull << l->shift) - 1) & ~0x1fffull;
    if ((!l->leaf_always && !l->large) || (leaf && l->shift == 30 && !v->gib_pages))
        bits |= PTE_PS;
    return bits;
}

/* --- The walk ------------------------------------------------------------------------------------ */

/* PAE's first step: a register, loaded when CR3 was (SDM 3A 4.4.1). False: it ends here. */
static bool step_pdpte(const struct paging_view *v, uint64_t linear, struct paging_walk *w, uint64_t *table)
{
    struct paging_step *step = &w->step[w->steps++];

    *step = (struct paging_step){.table = "PDPTE", .index = linear >> 30 & 3, .shift = 30};
    step->entry = v->state->pdpte[step->index];
    *table = step->entry & ADDRESS_64;
    return step->entry & PTE_P;
}

static bool step_table(const struct paging_view *v, const struct level *l, uint64_t linear,
                       struct paging_walk *w, uint64_t *table)
{
    const struct cpu_state *s = v->state;
    unsigned size = is_pae(s) ? 8 : 4;
    struct paging_step *step = &w->step[w->steps++];

    *step = (struct paging_step){.table = l->table, .shift = l->shift};
    step->index = linear >> l->shift & (is_pae(s) ? 511 : 1023);
    step->at = *table + step->index * size;
    step->entry = v->read(v->opaque, step->at, size);
    w->end = PAGING_NOT_PRESENT;
    if (!(step->entry & PTE_P))
        return false;
    step->leaf = is_leaf(s, l, step->entry);
    step->reserved = step->entry & reserved_bits(v, l, step->leaf);
    w->end = PAGING_RESERVED;
    if (step->reserved)
        return false;
    w->writable &= (step->entry & PTE_W) != 0;
    w->user &= (step->entry & PTE_U) != 0;
    w->no_execute |= is_pae(s) && step->entry & PTE_NX;
    *table = step->entry & address_bits(s);
    return true;
}

void paging_walk(const struct paging_view *v, uint64_t linear, struct paging_walk *w)
{
    const struct cpu_state *s = v->state;
    const struct level *l = first_level(s);
    uint64_t table = s->cr3 & (is_long(s) ? ADDRESS_64 : ADDRESS_32);

    *w = (struct paging_walk){.end = PAGING_OFF, .writable = true, .user = true, .size = BUS_PAGE};
    if (!(s->cr0 & CR0_PG)) {
        w->physical = linear & UINT32_MAX;
        return;
    }
    w->end = PAGING_NOT_CANONICAL;
    if (is_long(s) && !is_canonical(s, linear))
        return;
    w->end = PAGING_NOT_PRESENT;
    if (!is_long(s) && is_pae(s) && !step_pdpte(v, linear, w, &table))
        return;
    do {
        if (!step_table(v, l, linear, w, &table))
            return;
    } while (!w->step[w->steps - 1].leaf && l++);

    const struct paging_step *last = &w->step[w->steps - 1];
    w->end = PAGING_MAPPED;
    w->size = 1ull << last->shift;
    w->physical = (table & ~(w->size - 1)) | (linear & (w->size - 1));
    if (!is_pae(s) && last->shift == 22)
        w->physical |= (last->entry >> 13 & 0xff) << 32;
    w->key = is_long(s) ? last->entry >> 59 & 15 : 0;
}

/* --- Rights -------------------------------------------------------------------------------------- */

/* The first step whose entry has the bit as given. */
static void name_step(const struct paging_walk *w, uint64_t bit, bool set, char *name, size_t size)
{
    for (unsigned n = 0; n < w->steps; n++) {
        const struct paging_step *step = &w->step[n];

        if (!strcmp(step->table, "PDPTE") || !(step->entry & bit) == set)
            continue;
        snprintf(name, size, "%s[%u]", step->table, step->index);
        return;
    }
}

/* What of the rights stands against the access; NULL: nothing. `name` gets the step. */
static const char *obstacle(const struct cpu_state *s, const struct paging_walk *w, enum paging_access access,
                            bool user, char *name, size_t size, int *error)
{
    bool keys = s->cr4 & CR4_PKE && is_long(s) && w->user && access != PAGING_FETCH;
    unsigned rights = keys ? s->pkru >> 2 * w->key & 3 : 0;

    if (rights & 1 || (rights & 2 && access == PAGING_WRITE && (user || s->cr0 & CR0_WP))) {
        *error |= PF_PK;
        snprintf(name, size, "PKRU");
        return rights & 1 ? "denies all access to its protection key"
                          : "denies writing to its protection key";
    }
    if (user && !w->user) {
        name_step(w, PTE_U, false, name, size);
        return "is the supervisor's";
    }
    if (access == PAGING_FETCH && w->no_execute) {
        name_step(w, PTE_NX, true, name, size);
        return "has NX";
    }
    if (!user && w->user && access == PAGING_FETCH && s->cr4 & CR4_SMEP) {
        snprintf(name, size, "CR4.SMEP");
        return "keeps the supervisor from executing a user's page";
    }
    if (!user && w->user && access != PAGING_FETCH && s->cr4 & CR4_SMAP && !(s->rflags & FLAG_AC)) {
        snprintf(name, size, "CR4.SMAP");
        return "keeps the supervisor from a user's page while RFLAGS.AC is clear";
    }
    if (access == PAGING_WRITE && !w->writable && (user || s->cr0 & CR0_WP)) {
        name_step(w, PTE_W, false, name, size);
        return user ? "is read-only" : "is read-only, and CR0.WP binds the supervisor too";
    }
    return NULL;
}

bool paging_allows(const struct paging_view *v, const struct paging_walk *w, enum paging_access access,
                   bool user, int *error, char *why, size_t why_size)
{
    const struct cpu_state *s = v->state;
    const struct paging_step *last = w->steps ? &w->step[w->steps - 1] : NULL;
    const char *reason;
    char name[40] = "";

    *error = (user ? PF_U : 0) | (access == PAGING_WRITE ? PF_W : 0);
    if (access == PAGING_FETCH && (s->cr4 & CR4_SMEP || (is_pae(s) && s->efer & EFER_NXE)))
        *error |= PF_FETCH;
    switch (w->end) {
    case PAGING_OFF:
        return true;
    case PAGING_NOT_CANONICAL:
        *error = -1;
        snprintf(why, why_size, "the address is not canonical");
        return false;
    case PAGING_NOT_PRESENT:
        snprintf(why, why_size, "%s[%u] is not present", last->table, last->index);
        return false;
    case PAGING_RESERVED:
        *error |= PF_P | PF_RSVD;
        snprintf(why, why_size, "%s[%u] has reserved bits set", last->table, last->index);
        return false;
    default:
        break;
    }
    reason = obstacle(s, w, access, user, name, sizeof(name), error);
    if (!reason)
        return true;
    *error |= PF_P;
    snprintf(why, why_size, "%s %s", name, reason);
    return false;
}

/* --- In words ------------------------------------------------------------------------------------ */

static const char *paging_kind(const struct cpu_state *s)
{
    if (is_long(s))
        return s->cr4 & CR4_LA57 ? "5-level paging" : "4-level paging";
    return is_pae(s) ? "PAE paging" : "32-bit paging";
}

static void print_size(uint64_t size, FILE *out)
{
    if (size >> 30)
        fprintf(out, "%" PRIu64 " GiB", size >> 30);
    else if (size >> 20)
        fprintf(out, "%" PRIu64 " MiB", size >> 20);
    else
        fprintf(out, "%" PRIu64 " KiB", size >> 10);
}

static void print_rights(const struct cpu_state *s, const struct paging_step *step, FILE *out)
{
    uint64_t e = step->entry;

    if (strcmp(step->table, "PDPTE")) {
        fprintf(out, ", %s, %s", e & PTE_U ? "user" : "supervisor", e & PTE_W ? "writable" : "read-only");
        if (is_pae(s) && e & PTE_NX)
            fprintf(out, ", NX");
        fprintf(out, "%s", e & PTE_A ? ", accessed" : ", not accessed yet");
    }
    if (!step->leaf)
        return;
    fprintf(out, "%s", e & PTE_D ? ", dirty" : ", clean");
    if (e & PTE_G)
        fprintf(out, s->cr4 & CR4_PGE ? ", global" : ", global (CR4.PGE is off: no effect)");
    if (e & 0x18)
        fprintf(out, ",%s%s", e & 0x10 ? " PCD" : "", e & 8 ? " PWT" : "");
    if (s->cr4 & CR4_PKE && is_long(s))
        fprintf(out, ", protection key %u", (unsigned)(e >> 59 & 15));
}

static void print_step(const struct paging_view *v, const struct paging_step *step, FILE *out)
{
    const struct cpu_state *s = v->state;
    uint64_t address = step->entry & address_bits(s);

    fprintf(out, "  %s[%u]", step->table, step->index);
    if (strcmp(step->table, "PDPTE"))
        fprintf(out, " at %" PRIx64, step->at);
    fprintf(out, " is %0*" PRIx64 ": ", is_pae(s) ? 16 : 8, step->entry);
    if (!(step->entry & PTE_P)) {
        fprintf(out, "not present\n");
        return;
    }
    fprintf(out, "present");
    print_rights(s, step, out);
    if (step->reserved) {
        fprintf(out, "; reserved bits are set:");
        for (unsigned bit = 0; bit < 64; bit++)
            if (step->reserved >> bit & 1)
                fprintf(out, " %u", bit);
        if (step->reserved & PTE_NX)
            fprintf(out, " (NX, but EFER.NXE is off)");
    } else if (step->leaf) {
        fprintf(out, "; a page of ");
        print_size(1ull << step->shift, out);
    } else {
        fprintf(out, "; table at %" PRIx64, address);
    }
    fprintf(out, "\n");
}

static void print_access(const struct paging_view *v, const struct paging_walk *w, bool user, FILE *out)
{
    static const char *const names[] = {"read", "write", "fetch"};
    char why[200];
    int error;

    for (enum paging_access access = PAGING_READ; access <= PAGING_FETCH; access++) {
        fprintf(out, "  a %s's %s ", user ? "user" : "supervisor", names[access]);
        if (paging_allows(v, w, access, user, &error, why, sizeof(why)))
            fprintf(out, "is allowed\n");
        else if (error < 0)
            fprintf(out, "faults with #GP(0), through SS with #SS(0)\n");
        else
            fprintf(out, "faults with #PF(%04x): %s\n", (unsigned)error, why);
    }
}

void paging_explain(const struct paging_view *v, uint64_t linear, FILE *out)
{
    const struct cpu_state *s = v->state;
    struct paging_walk w;

    if (!is_long(s))
        linear &= UINT32_MAX;
    paging_walk(v, linear, &w);
    if (w.end == PAGING_OFF) {
        fprintf(out, "Paging is off (CR0.PG is clear): %" PRIx64 " is physical %" PRIx64 ".\n", linear,
                w.physical);
        return;
    }
    fprintf(out, "%016" PRIx64 " by %s, CR3 %" PRIx64, linear, paging_kind(s), s->cr3);
    fprintf(out, s->cr4 & CR4_PCIDE ? " (PCID %" PRIx64 "):\n" : ":\n", s->cr3 & 0xfff);
    if (w.end == PAGING_NOT_CANONICAL)
        fprintf(out, "  not canonical: bits 63 to %d are not all equal; there is no walk\n",
                s->cr4 & CR4_LA57 ? 56 : 47);
    for (unsigned n = 0; n < w.steps; n++)
        print_step(v, &w.step[n], out);
    if (w.end == PAGING_MAPPED)
        fprintf(out, "  physical %" PRIx64 "\n", w.physical);
    print_access(v, &w, false, out);
    print_access(v, &w, true, out);
}

/* --- Lists --------------------------------------------------------------------------------------- */

#define LINES_MAX   4000u
#define ENTRIES_MAX (4u << 20)

struct list {
    const struct paging_view *view;
    FILE *out;
    bool pages;
    unsigned lines, entries;
    /* The area that is being put together; size 0: none. */
    uint64_t start, size, total;
    unsigned rights;
};

enum { RIGHT_W = 1, RIGHT_U = 2, RIGHT_X = 4 };

static void print_area(struct list *list)
{
    if (list->size && ++list->lines <= LINES_MAX)
        fprintf(list->out, "%016" PRIx64 "-%016" PRIx64 " %16" PRIx64 " %c%c%c%c\n", list->start,
                list->start + list->size, list->size, list->rights & RIGHT_U ? 'u' : '-', 'r',
                list->rights & RIGHT_W ? 'w' : '-', list->rights & RIGHT_X ? 'x' : '-');
    list->size = 0;
}

static void list_page(struct list *list, uint64_t linear, uint64_t entry, unsigned shift, unsigned rights)
{
    const struct cpu_state *s = list->view->state;
    uint64_t size = 1ull << shift;

    list->total += size;
    if (list->pages) {
        if (++list->lines <= LINES_MAX)
            fprintf(list->out, "%016" PRIx64 ": %016" PRIx64 " %c%c%c%c%c%c%c%c\n", linear,
                    entry & address_bits(s) & ~(size - 1), rights & RIGHT_X ? 'x' : '-',
                    entry & PTE_G ? 'g' : '-', shift > 12 ? 'l' : '-', entry & PTE_D ? 'd' : '-',
                    entry & PTE_A ? 'a' : '-', entry & 0x10 ? 'c' : '-', rights & RIGHT_U ? 'u' : '-',
                    rights & RIGHT_W ? 'w' : '-');
        return;
    }
    if (list->size && list->rights == rights && list->start + list->size == linear) {
        list->size += size;
        return;
    }
    print_area(list);
    list->start = linear;
    list->size = size;
    list->rights = rights;
}

static void list_table(struct list *list, const struct level *l, uint64_t table, uint64_t base,
                       unsigned rights)
{
    const struct paging_view *v = list->view;
    const struct cpu_state *s = v->state;
    unsigned size = is_pae(s) ? 8 : 4, count = is_pae(s) ? 512 : 1024;

    for (unsigned n = 0; n < count && list->lines <= LINES_MAX && list->entries < ENTRIES_MAX; n++) {
        uint64_t entry = v->read(v->opaque, table + n * size, size), linear = base | (uint64_t)n << l->shift;
        unsigned here = rights & ((entry & PTE_W ? RIGHT_W : 0) | (entry & PTE_U ? RIGHT_U : 0) |
                                  (is_pae(s) && entry & PTE_NX ? 0 : RIGHT_X));
        bool leaf = is_leaf(s, l, entry);

        list->entries++;
        if (!(entry & PTE_P) || entry & reserved_bits(v, l, leaf))
            continue;
        if (is_long(s) && !is_canonical(s, linear))
            linear |= s->cr4 & CR4_LA57 ? 0xfe00000000000000ull : 0xffff000000000000ull;
        if (leaf)
            list_page(list, linear, entry, l->shift, here);
        else
            list_table(list, l + 1, entry & address_bits(s), linear, here);
    }
}

void paging_list(const struct paging_view *v, bool pages, FILE *out)
{
    const struct cpu_state *s = v->state;
    struct list list = {.view = v, .out = out, .pages = pages};
    unsigned all = RIGHT_W | RIGHT_U | RIGHT_X;

    if (!(s->cr0 & CR0_PG)) {
        fprintf(out, "Paging is off: linear addresses are physical ones.\n");
        return;
    }
    fprintf(
        out,
        pages
            ? "linear: physical, rights (x executable, g global, l large, d dirty, a accessed, c uncached, u "
              "user, w writable)\n"
            : "from-to, bytes, rights\n");
    if (!is_long(s) && is_pae(s)) {
        for (unsigned n = 0; n < 4; n++)
            if (s->pdpte[n] & PTE_P)
                list_table(&list, levels_pae, s->pdpte[n] & ADDRESS_64, (uint64_t)n << 30, all);
    } else {
        list_table(&list, first_level(s), s->cr3 & (is_long(s) ? ADDRESS_64 : ADDRESS_32), 0, all);
    }
    print_area(&list);
    if (list.lines > LINES_MAX || list.entries >= ENTRIES_MAX)
        fprintf(out, "... and more: the tables have more than is listed at once\n");
    else
        fprintf(out, "%" PRIu64 " KiB are mapped\n", list.total >> 10);
}

/* --- A processor's ------------------------------------------------------------------------------- */

/* Chips are not read: that could change them. */
static uint64_t read_entry(void *opaque, uint64_t address, unsigned size)
{
    uint64_t offset;
    struct region *region = bus_find(opaque, address, &offset);

    if (!region || region->kind == REGION_IO)
        return size == 8 ? UINT64_MAX : UINT32_MAX;
    return bus_read(opaque, address, size);
}

struct paging_view paging_view_of(struct cpu *cpu, struct bus *memory)
{
    uint32_t basic[4], extended[4], sizes[4];

    cpu_cpuid(cpu, 1, 0, basic);
    cpu_cpuid(cpu, 0x80000001, 0, extended);
    cpu_cpuid(cpu, 0x80000008, 0, sizes);
    bool wide = basic[3] & (1u << 6 | 1u << 17); /* PAE or PSE-36: 36 bits, where nothing says otherwise */
    return (struct paging_view){.state = cpu_state(cpu),
                                .phys_bits = sizes[0] & 0xff ? sizes[0] & 0xff
                                             : wide          ? 36
                                                             : 32,
                                .gib_pages = extended[3] >> 26 & 1,
                                .pse36 = basic[3] >> 17 & 1,
                                .read = read_entry,
                                .opaque = memory};
}
