/*
 * system.c - control registers, debug registers and the time stamp counter: SDM
 * 3A 2.5, 4.10.4, 9.8.5, 17.2, 17.17.
 *
 * Each write checks everything first, then commits, then tells the TLB and update_mode(). The caller leaves
 * its trace afterwards, since the mode and the translation of what follows may have changed.
 */
#include "cpu/stop.h"
#include "cpu/system.h"

#define CR0_DEFINED                                                                                          \
    (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)
#define CR3_NO_FLUSH (1ull << 63)

/* PAE paging, the one with PDPTE registers: as it is under these values. */
static bool pae_paging(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
    return cr0 & CR0_PG && cr4 & CR4_PAE && !(efer & EFER_LME);
}

/* --- CR0 --------------------------------------------------------------------------------------------------
 */

/* CR0.PG goes from 0 to 1 with EFER.LME set: SDM 3A 9.8.5 and 9.8.5.1. */
static void check_long_mode_entry(struct cpu *cpu, const struct insn *i)
{
    unsigned tss = cpu->s.tr.attr & (SEG_S | SEG_TYPE);

    if (!(cpu->s.cr4 & CR4_PAE))
        gp0(cpu, i);
    /* The next instruction would be 64-bit code that was never jumped to. */
    if (cpu->s.seg[CS].attr & SEG_L)
        gp0(cpu, i);
    if (tss == 1 || tss == 3) /* a 16-bit TSS has no place in long mode */
        gp0(cpu, i);
}

void write_cr0(struct cpu *cpu, const struct insn *i, uint64_t value)
{
    uint64_t changed, efer = cpu->s.efer;

    if (value >> 32)
        gp0(cpu, i);
    /* The other reserved bits are ignored, and ET is always one (SDM 2B "MOV - Move to/from Control
     * Registers"). */
    value = (value & CR0_DEFINED) | CR0_ET;
    changed = value ^ cpu->s.cr0;
    if (value & CR0_PG && !(value & CR0_PE))
        gp0(cpu, i);
    if (value & CR0_NW && !(value & CR0_CD))
        gp0(cpu, i);

    if (changed & value & CR0_PG) {
        if (efer & EFER_LME) {
            check_long_mode_entry(cpu, i);
            efer |= EFER_LMA;
        }
    } else if (changed & CR0_PG) {
        if (cpu->long64 || cpu->s.cr4 & CR4_PCIDE)
            gp0(cpu, i);
        efer &= ~(uint64_t)EFER_LMA;
    }
    if (unlikely(cpu->stops) && changed & (CR0_PE | CR0_PG))
        stop_event(cpu, i, CPU_STOP_MODE, &(struct stop_event){.address = value, .size = 1});
    /* SDM 3A 4.4.1 has the list of the writes that load the PDPTE registers. */
    if (pae_paging(value, cpu->s.cr4, efer) && changed & (CR0_PG | CR0_CD | CR0_NW) &&
        !load_pdptes(cpu, cpu->s.cr3))
        gp0(cpu, i);

    cpu->s.cr0 = value;
    cpu->s.efer = efer;
    /* The chip asks WP at each access; the software TLB has the answer built into its entries. */
    if (changed & (CR0_PG | CR0_WP))
        tlb_flush_all(cpu);
    cpu->invalidations++;
    update_mode(cpu);
}

/* --- CR3 --------------------------------------------------------------------------------------------------
 */

void write_cr3(struct cpu *cpu, const struct insn *i, uint64_t value)
{
    bool keep = false;

    if (cpu->s.cr4 & CR4_PCIDE) {
        keep = value & CR3_NO_FLUSH;
        value &= ~CR3_NO_FLUSH; /* never stored */
    }
    if (value >> phys_bits(cpu))
        gp0(cpu, i);
    if (unlikely(cpu->stops))
        stop_event(cpu, i, CPU_STOP_CR3, &(struct stop_event){.address = value, .size = 1});
    if (pae_paging(cpu->s.cr0, cpu->s.cr4, cpu->s.efer) && !load_pdptes(cpu, value))
        gp0(cpu, i);
    cpu->s.cr3 = value;
    tlb_new_cr3(cpu, keep);
}

/* --- CR4 --------------------------------------------------------------------------------------------------
 */

static uint64_t cr4_allowed(const struct cpu *cpu)
{
    static const struct {
        enum cpu_feature feature;
        uint32_t bits;
    } rows[] = {
        {F_VME, CR4_VME | CR4_PVI}, {F_TSC, CR4_TSD},           {F_DE, CR4_DE},
        {F_PSE, CR4_PSE},           {F_PAE, CR4_PAE},           {F_MCE, CR4_MCE},
        {F_PGE, CR4_PGE},           {F_FXSR, CR4_OSFXSR},       {F_SSE, CR4_OSXMMEXCPT},
        {F_UMIP, CR4_UMIP},         {F_FSGSBASE, CR4_FSGSBASE}, {F_PCID, CR4_PCIDE},
        {F_SMEP, CR4_SMEP},         {F_SMAP, CR4_SMAP},         {F_XSAVE, CR4_OSXSAVE},
        {F_PKU, CR4_PKE},           {F_LA57, CR4_LA57},
    };
    uint64_t allowed = CR4_PCE;

    for (unsigned n = 0; n < sizeof(rows) / sizeof(rows[0]); n++)
        if (has_feature(cpu, rows[n].feature))
            allowed |= rows[n].bits;
    return allowed;
}

void write_cr4(struct cpu *cpu, const struct insn *i, uint64_t value)
{
    uint64_t changed = value ^ cpu->s.cr4;

    if (value & ~cr4_allowed(cpu))
        gp0(cpu, i);
    if (long_mode(cpu) && !(value & CR4_PAE))
        gp0(cpu, i);
    if (long_mode(cpu) && changed & CR4_LA57) /* the depth of the tables in use */
        gp0(cpu, i);
    if (changed & value & CR4_PCIDE && (!long_mode(cpu) || cpu->s.cr3 & 0xfff))
        gp0(cpu, i);
    if (pae_paging(cpu->s.cr0, value, cpu->s.efer) && changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP) &&
        !load_pdptes(cpu, cpu->s.cr3))
        gp0(cpu, i);

    cpu->s.cr4 = value;
    /* PSE and SMAP need not flush on the chip, but the software TLB keeps what they decided. */
    if (changed & (CR4_PGE | CR4_PAE | CR4_PSE | CR4_SMEP | CR4_SMAP | CR4_PCIDE | CR4_PKE))
        tlb_flush_all(cpu);
    cpu->invalidations++;
    update_mode(cpu);
}

/* --- CR8 and the APIC base --------------------------------------------------------------------------------
 */

uint64_t read_cr8(struct cpu *cpu)
{
    uint64_t value = 0;

    if (cpu->intc.ops && cpu->intc.ops->get_cr8) {
        lock_machine(cpu);
        value = cpu->intc.ops->get_cr8(cpu->intc.opaque) & 15;
        unlock_machine(cpu);
    }
    return value;
}

void write_cr8(struct cpu *cpu, const struct insn *i, uint64_t value)
{
    if (value > 15)
        gp0(cpu, i);
    if (cpu->intc.ops && cpu->intc.ops->set_cr8) {
        lock_machine(cpu);
        cpu->intc.ops->set_cr8(cpu->intc.opaque, (unsigned)value);
        unlock_machine(cpu);
    }
}

uint64_t apic_base(struct cpu *cpu)
{
    uint64_t value = 0;

    if (cpu->intc.ops && cpu->intc.ops->get_base) {
        lock_machine(cpu);
        value = cpu->intc.ops->get_base(cpu->intc.opaque);
        unlock_machine(cpu);
    }
    return value;
}

/* --- Debug registers --------------------------------------------------------------------------------------
 */

/* What MOV DR checks before it looks at the value; gives the register that DR4 and DR5 stand for. */
static unsigned check_dr(struct cpu *cpu, const struct insn *i, unsigned n)
{
    if (n >= 8)
        ud(cpu, i);
    if (n == 4 || n == 5) {
        if (cpu->s.cr4 & CR4_DE)
            ud(cpu, i);
        n += 2;
    }
    if (cpu->s.cpl != 0)
        gp0(cpu, i);
    if (cpu->s.dr[7] & DR7_GD) {
        /* General detect is a fault, and lets its own handler at the registers (SDM 3A 17.2.4). */
        cpu->s.dr[7] &= ~(uint64_t)DR7_GD;
        set_debug_status(cpu, DR6_BD);
        fault0(cpu, i, EX_DB);
    }
    return n;
}

uint64_t read_dr(struct cpu *cpu, const struct insn *i, unsigned n)
{
    return cpu->s.dr[check_dr(cpu, i, n)];
}

void write_dr(struct cpu *cpu, const struct insn *i, unsigned n, uint64_t value)
{
    n = check_dr(cpu, i, n);
    if (n >= 6 && value >> 32)
        gp0(cpu, i);
    if (n == 6)
        value = (value & DR6_VALID) | DR6_FIXED;
    else if (n == 7)
        value = (value & DR7_VALID) | DR7_FIXED;
    cpu->s.dr[n & 7] = value;
    if (n != 6)
        tlb_flush_all(cpu); /* watched pages leave the fast path */
}

/* --- Time -------------------------------------------------------------------------------------------------
 */

uint64_t read_tsc(struct cpu *cpu)
{
    uint64_t now = clock_now(cpu->clock);

    return (likely(cpu->tsc_hz == NS_PER_SEC) ? now : clock_ns_to_ticks(now, cpu->tsc_hz)) +
           cpu->s.tsc_offset;
}
