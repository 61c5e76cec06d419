/*
 * inspect_paging.h - a page walk that says what it finds at each step (SDM 3A chapter 4), and what is mapped
 * where.
 */
#ifndef DEBUG_INSPECT_PAGING_H
#define DEBUG_INSPECT_PAGING_H

#include <stdio.h>

#include "cpu/cpu.h"

/* The state that a walk goes by, and where its tables are. */
struct paging_view {
    const struct cpu_state *state;
    unsigned phys_bits; /* of the processor */
    bool gib_pages, pse36;
    uint64_t (*read)(void *opaque, uint64_t address, unsigned size); /* 4 or 8 bytes of physical memory */
    void *opaque;
};

#define PAGING_LEVELS 5

struct paging_step {
    const char *table; /* "PML4" and the like */
    unsigned index;
    uint64_t at, entry; /* physical address of the entry; at 0 for a PDPTE register */
    uint64_t reserved;  /* what is set of the reserved bits */
    unsigned shift;     /* lowest bit of the linear address that the index takes */
    bool leaf;
};

enum paging_end { PAGING_MAPPED, PAGING_NOT_PRESENT, PAGING_RESERVED, PAGING_NOT_CANONICAL, PAGING_OFF };

struct paging_walk {
    enum paging_end end;
    struct paging_step step[PAGING_LEVELS];
    unsigned steps;
    uint64_t physical, size; /* where the address leads; of the page */
    bool writable, user, no_execute;
    unsigned key; /* protection key */
};

enum paging_access { PAGING_READ, PAGING_WRITE, PAGING_FETCH };

/* The processor's tables as they are now; the CPU stands still. */
struct paging_view paging_view_of(struct cpu *cpu, struct bus *memory);

void paging_walk(const struct paging_view *view, uint64_t linear, struct paging_walk *walk);

/*
 * Whether the access would be made, by a user or a supervisor. If not, *error is the page fault's error code
 * (or -1 for an address that isn't canonical) and `why` says where and why it faults.
 */
bool paging_allows(const struct paging_view *view, const struct paging_walk *walk, enum paging_access access,
                   bool user, int *error, char *why, size_t why_size);

/* The walk in words. */
void paging_explain(const struct paging_view *view, uint64_t linear, FILE *out);

/* What is mapped: areas with equal rights, or (`pages`) every page. */
void paging_list(const struct paging_view *view, bool pages, FILE *out);

#endif
