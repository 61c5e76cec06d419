/*
 * lapic_registers.c - the local APIC as software sees it: the xAPIC page, the x2APIC MSRs, IA32_APIC_BASE,
 * CR8.
 */
#include "devices/lapic_internal.h"

#include "core/log.h"

/* Registers, numbered as MSR - 0x800 and page offset / 16. */
#define REG_ID       0x02
#define REG_VERSION  0x03
#define REG_TPR      0x08
#define REG_APR      0x09
#define REG_PPR      0x0A
#define REG_EOI      0x0B
#define REG_RRD      0x0C
#define REG_LDR      0x0D
#define REG_DFR      0x0E
#define REG_SVR      0x0F
#define REG_ISR      0x10 /* eight of each */
#define REG_TMR      0x18
#define REG_IRR      0x20
#define REG_ESR      0x28
#define REG_ICR      0x30
#define REG_ICR_HIGH 0x31
#define REG_LVT      0x32 /* in the order of enum lvt */
#define REG_INITIAL  0x38
#define REG_CURRENT  0x39
#define REG_DIVIDE   0x3E
#define REG_SELF_IPI 0x3F
#define REGS         0x40

#define VERSION (0x14u | (LVTS - 1) << 16)

/*
 * Who may access a register, and the bits that are not reserved. Writing others is ignored through the page
 * and #GP through an MSR (SDM 3A table 10-6).
 */
enum { XR = 1, XW = 2, MR = 4, MW = 8, RO = XR | MR, WO = XW | MW, RW = RO | WO };

static const struct rule {
    uint8_t access;
    uint32_t valid;
} rules[REGS] = {
    [REG_ID] = {RO, 0},
    [REG_VERSION] = {RO, 0},
    [REG_TPR] = {RW, 0xFF},
    [REG_APR] = {XR, 0},
    [REG_PPR] = {RO, 0},
    [REG_EOI] = {WO, 0},
    [REG_RRD] = {XR, 0},
    [REG_LDR] = {RO | XW, 0xFF000000},
    [REG_DFR] = {XR | XW, 0xF0000000},
    [REG_SVR] = {RW, 0x1FF},
    [REG_ISR... REG_ISR + 7] = {RO, 0},
    [REG_TMR... REG_TMR + 7] = {RO, 0},
    [REG_IRR... REG_IRR + 7] = {RO, 0},
    [REG_ESR] = {RW, 0},
    [REG_ICR] = {RW, 0xCDFFF},
    [REG_ICR_HIGH] = {XR | XW, 0xFF000000},
    [REG_LVT + LVT_TIMER] = {RW, 0x710FF},
    [REG_LVT + LVT_THERMAL] = {RW, 0x117FF},
    [REG_LVT + LVT_PERF] = {RW, 0x117FF},
    [REG_LVT + LVT_LINT0] = {RW, 0x1F7FF},
    [REG_LVT + LVT_LINT1] = {RW, 0x1F7FF},
    [REG_LVT + LVT_ERROR] = {RW, 0x110FF},
    [REG_INITIAL] = {RW, 0xFFFFFFFF},
    [REG_CURRENT] = {RO, 0},
    [REG_DIVIDE] = {RW, 0xB},
    [REG_SELF_IPI] = {MW, 0xFF},
};

static uint32_t read_register(struct lapic *lapic, unsigned reg)
{
    switch (reg) {
    case REG_ID:
        return lapic_in_x2apic(lapic) ? lapic->id : lapic_xapic_id(lapic) << 24;
    case REG_VERSION:
        return VERSION;
    case REG_TPR:
        return lapic->tpr;
    case REG_APR:
        return lapic_arbitration_priority(lapic);
    case REG_PPR:
        return lapic_ppr(lapic);
    case REG_LDR:
        return lapic_in_x2apic(lapic) ? lapic_x2apic_ldr(lapic) : lapic->ldr;
    case REG_DFR:
        return lapic->dfr;
    case REG_SVR:
        return lapic->svr;
    case REG_ISR ... REG_ISR + 7:
        return lapic->isr[reg - REG_ISR];
    case REG_TMR ... REG_TMR + 7:
        return lapic->tmr[reg - REG_TMR];
    case REG_IRR ... REG_IRR + 7:
        return lapic->irr[reg - REG_IRR];
    case REG_ESR:
        return lapic->esr;
    case REG_ICR:
        return (uint32_t)lapic->icr;
    case REG_ICR_HIGH:
        return lapic->icr >> 32;
    case REG_LVT ... REG_LVT + LVTS - 1:
        return lapic->lvt[reg - REG_LVT];
    case REG_INITIAL:
        return lapic->initial;
    case REG_CURRENT:
        return lapic_timer_current(lapic);
    case REG_DIVIDE:
        return lapic->divide;
    default:
        return 0;
    }
}

static void write_svr(struct lapic *lapic, uint32_t value)
{
    lapic->svr = value;
    if (!(value & SVR_ENABLE))
        for (int n = 0; n < LVTS; n++)
            lapic->lvt[n] |= LVT_MASKED;
    lapic_update_irq(lapic);
}

static void write_lvt(struct lapic *lapic, enum lvt n, uint32_t value)
{
    value = (value & ~LVT_READ_ONLY) | (lapic->lvt[n] & LVT_READ_ONLY);
    if (!(lapic->svr & SVR_ENABLE))
        value |= LVT_MASKED;
    if (n == LVT_LINT0 && (!(value & LVT_LEVEL) || LVT_MODE(value) != APIC_FIXED))
        value &= ~LVT_REMOTE_IRR;
    if (n == LVT_TIMER)
        lapic_timer_set_lvt(lapic, value);
    else
        lapic->lvt[n] = value;
    if (n == LVT_LINT0)
        lapic_service_level_lint0(lapic);
    lapic_update_irq(lapic);
}

static void write_register(struct lapic *lapic, unsigned reg, uint32_t value)
{
    switch (reg) {
    case REG_TPR:
        lapic->tpr = value;
        lapic_update_irq(lapic);
        break;
    case REG_EOI:
        lapic_end_of_interrupt(lapic);
        break;
    case REG_LDR:
        lapic->ldr = value;
        break;
    case REG_DFR:
        lapic->dfr = value | 0x0FFFFFFF;
        break;
    case REG_SVR:
        write_svr(lapic, value);
        break;
    case REG_ESR: /* a write shows what was seen since the last one (SDM 3A 10.5.3) */
        lapic->esr = lapic->errors;
        lapic->errors = 0;
        break;
    case REG_ICR_HIGH:
        lapic->icr = (uint64_t)value << 32 | (uint32_t)lapic->icr;
        break;
    case REG_LVT ... REG_LVT + LVTS - 1:
        write_lvt(lapic, reg - REG_LVT, value);
        break;
    case REG_INITIAL:
        lapic_timer_set_initial(lapic, value);
        break;
    case REG_DIVIDE:
        lapic_timer_set_divide(lapic, value);
        break;
    }
}

/* ---- the xAPIC page ---- */

uint64_t lapic_mmio_read(void *opaque, uint64_t addr, unsigned size)
{
    struct lapic *lapic = opaque;
    unsigned reg = addr >> 4;
    uint32_t value;

    if (!lapic_enabled(lapic) || lapic_in_x2apic(lapic))
        return UINT64_MAX;
    if (reg >= REGS || !(rules[reg].access & XR)) {
        if (reg != REG_EOI)
            lapic_raise_error(lapic, ESR_ILLEGAL_REGISTER);
        return 0;
    }
    if ((addr & 15) + size > 4)
        return 0;
    value = read_register(lapic, reg) >> (addr & 3) * 8;
    return size < 4 ? value & ((1u << size * 8) - 1) : value;
}

void lapic_mmio_write(void *opaque, uint64_t addr, uint64_t value, unsigned size)
{
    struct lapic *lapic = opaque;
    unsigned reg = addr >> 4;

    if (!lapic_enabled(lapic) || lapic_in_x2apic(lapic))
        return;
    if (addr & 15 || size != 4) {
        log_at(lapic->log, LOG_GUEST, "lapic", "%u-byte write at offset 0x%03x ignored", size,
               (unsigned)addr);
        return;
    }
    if (reg >= REGS || !(rules[reg].access & (XR | XW))) {
        lapic_raise_error(lapic, ESR_ILLEGAL_REGISTER);
        return;
    }
    if (!(rules[reg].access & XW))
        return;
    value &= rules[reg].valid;
    if (reg == REG_ICR) {
        uint32_t dest = lapic->icr >> 56;

        lapic->icr = (lapic->icr & 0xFFFFFFFF00000000) | (value & ~ICR_STATUS);
        lapic_send_ipi(lapic, value, dest == 0xFF && !(value & ICR_LOGICAL) ? APIC_BROADCAST : dest);
        return;
    }
    write_register(lapic, reg, value);
}

const struct bus_ops lapic_mmio_ops = {lapic_mmio_read, lapic_mmio_write, 4};

/* ---- the CPU's side ---- */

static unsigned get_cr8(void *opaque)
{
    struct lapic *lapic = opaque;

    return lapic->tpr >> 4;
}

static void set_cr8(void *opaque, unsigned cr8)
{
    struct lapic *lapic = opaque;

    lapic->tpr = (cr8 & 15) << 4;
    lapic_update_irq(lapic);
}

static bool read_msr(void *opaque, uint32_t index, uint64_t *value)
{
    struct lapic *lapic = opaque;
    uint32_t reg = index - 0x800;

    if (!lapic_enabled(lapic) || !lapic_in_x2apic(lapic) || reg >= REGS || !(rules[reg].access & MR))
        return false;
    *value = reg == REG_ICR ? lapic->icr : read_register(lapic, reg);
    return true;
}

static bool write_msr(void *opaque, uint32_t index, uint64_t value)
{
    struct lapic *lapic = opaque;
    uint32_t reg = index - 0x800;

    if (!lapic_enabled(lapic) || !lapic_in_x2apic(lapic) || reg >= REGS || !(rules[reg].access & MW))
        return false;
    if ((reg == REG_ICR ? (uint32_t)value : value) & ~(uint64_t)rules[reg].valid)
        return false;
    if (reg == REG_ICR) {
        lapic->icr = value & ~(uint64_t)ICR_STATUS;
        lapic_send_ipi(lapic, (uint32_t)value, value >> 32);
    } else if (reg == REG_SELF_IPI) {
        lapic_send_ipi(lapic, ICR_SELF | (uint32_t)value, 0);
    } else {
        write_register(lapic, reg, (uint32_t)value);
    }
    return true;
}

void lapic_tell_base(struct lapic *lapic)
{
    if (lapic->wires.moved)
        lapic->wires.moved(lapic->wires.moved_opaque, lapic->base & ~0xFFFull,
                           lapic_enabled(lapic) && !lapic_in_x2apic(lapic));
}

static uint64_t get_base(void *opaque)
{
    struct lapic *lapic = opaque;

    return lapic->base;
}

/*
 * SDM 3A 10.12.5: x2APIC is entered from xAPIC only and left by disabling; EXTD without EN does not exist.
 * Disabling loses the registers.
 */
static bool set_base(void *opaque, uint64_t value)
{
    struct lapic *lapic = opaque;
    uint64_t reserved = 0x2FFull | ~((1ull << lapic->phys_bits) - 1);
    uint64_t old = lapic->base & (BASE_EN | BASE_EXTD), new = value &(BASE_EN | BASE_EXTD);

    if ((value & reserved) || new == BASE_EXTD || (old == 0 && (new &BASE_EXTD)) ||
        ((old & BASE_EXTD) && new == BASE_EN))
        return false;
    lapic->base = value;
    if (old && !new)
        lapic_reset_registers(lapic);
    if (!(old & BASE_EXTD) && (new &BASE_EXTD))
        lapic->icr = (uint32_t)lapic->icr;
    lapic_tell_base(lapic);
    lapic_update_irq(lapic);
    return true;
}

static const struct intc_ops lapic_intc_ops = {
    .acknowledge = lapic_acknowledge,
    .get_cr8 = get_cr8,
    .set_cr8 = set_cr8,
    .read_msr = read_msr,
    .write_msr = write_msr,
    .get_base = get_base,
    .set_base = set_base,
    .set_tsc_deadline = lapic_timer_set_tsc_deadline,
    .get_tsc_deadline = lapic_timer_get_tsc_deadline,
    .lend = lapic_lend,
    .take_back = lapic_take_back,
};

struct intc lapic_intc(struct lapic *lapic)
{
    return (struct intc){&lapic_intc_ops, lapic};
}

void lapic_virtual_wire(struct lapic *lapic)
{
    write_svr(lapic, SVR_ENABLE | 0xFF);
    write_lvt(lapic, LVT_LINT0, APIC_EXTINT << 8);
    write_lvt(lapic, LVT_LINT1, APIC_NMI << 8);
}
