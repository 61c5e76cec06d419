/*
 * breakpoint.c - the guest's own breakpoints: DR0-DR3 and DR7 (SDM 3B 18.2).
 *
 * While any is enabled the CPU runs an instruction at a time (interp/loop.c), and pages that data breakpoints
 * watch have no fast TLB entries, so that every access to them comes by linear_read and relatives (paging.c).
 * With none enabled nothing is paid.
 */
#include "cpu/internal.h"

enum { RW_EXECUTE, RW_WRITE, RW_IO, RW_ACCESS };

static unsigned rw_of(const struct cpu *cpu, unsigned n)
{
    return cpu->s.dr[7] >> (16 + 4 * n) & 3;
}

static unsigned length_of(const struct cpu *cpu, unsigned n)
{
    static const uint8_t length[4] = {1, 2, 8, 4};

    return length[cpu->s.dr[7] >> (18 + 4 * n) & 3];
}

static bool enabled(const struct cpu *cpu, unsigned n)
{
    return cpu->s.dr[7] >> (2 * n) & 3;
}

/* The breakpoint covers an aligned field: low address bits are ignored. */
static uint64_t start_of(const struct cpu *cpu, unsigned n)
{
    return cpu->s.dr[n] & ~(uint64_t)(length_of(cpu, n) - 1);
}

uint64_t breakpoint_execute(const struct cpu *cpu, uint64_t linear)
{
    uint64_t hits = 0;

    for (unsigned n = 0; n < 4; n++)
        if (enabled(cpu, n) && rw_of(cpu, n) == RW_EXECUTE && cpu->s.dr[n] == linear)
            hits |= 1u << n;
    return hits;
}

void breakpoint_access(struct cpu *cpu, uint64_t linear, unsigned size, bool write)
{
    for (unsigned n = 0; n < 4; n++) {
        uint64_t start = start_of(cpu, n);
        unsigned rw = rw_of(cpu, n);

        if (enabled(cpu, n) && (rw == RW_ACCESS || (rw == RW_WRITE && write)) && start < linear + size &&
            linear < start + length_of(cpu, n))
            cpu->s.pending_debug |= 1u << n;
    }
}

void breakpoint_io(struct cpu *cpu, uint16_t port, unsigned size)
{
    if (!(cpu->s.cr4 & CR4_DE)) /* R/W = 10 means nothing then */
        return;
    for (unsigned n = 0; n < 4; n++) {
        uint64_t start = start_of(cpu, n);

        if (enabled(cpu, n) && rw_of(cpu, n) == RW_IO && start < (uint64_t)port + size &&
            port < start + length_of(cpu, n))
            cpu->s.pending_debug |= 1u << n;
    }
}

bool breakpoint_in_page(const struct cpu *cpu, uint64_t page)
{
    for (unsigned n = 0; n < 4; n++)
        if (enabled(cpu, n) && (rw_of(cpu, n) & 1) && (cpu->s.dr[n] & ~(uint64_t)(BUS_PAGE - 1)) == page)
            return true;
    return false;
}
