/*
 * lapic.c - the local APIC (SDM 3A chapter 10), as version 0x14 with six LVT entries: which interrupts are
 * pending and in service, which one the CPU gets, and messages to and from other APICs.
 *
 * In: register accesses (lapic_registers.c), the timer (lapic_timer.c), LINT pins, messages from the APIC
 * bus. Out: INTR as a level that is high exactly while acknowledge() would give a vector, and pulses of NMI,
 * SMI and INIT.
 *
 * Lines carry "asserted", not volts, so the polarity bits are stored without effect. IPIs arrive at once:
 * delivery status always reads idle. Not there, and not announced: CMCI, directed EOI, remote read.
 */
#include "devices/lapic_internal.h"

#include <stdlib.h>
#include <string.h>

#include "core/log.h"

/* ---- priorities and the INTR wire ---- */

static int highest_bit(const uint32_t set[8])
{
    for (int i = 7; i >= 0; i--)
        if (set[i])
            return i * 32 + 31 - __builtin_clz(set[i]);
    return -1;
}

static void set_bit(uint32_t set[8], uint8_t vector, bool value)
{
    uint32_t bit = 1u << (vector & 31);

    if (value)
        set[vector >> 5] |= bit;
    else
        set[vector >> 5] &= ~bit;
}

static bool get_bit(const uint32_t set[8], uint8_t vector)
{
    return set[vector >> 5] >> (vector & 31) & 1;
}

/* SDM 3A 10.8.3.1 */
unsigned lapic_ppr(const struct lapic *lapic)
{
    int in_service = highest_bit(lapic->isr);
    unsigned isr_class = in_service < 0 ? 0 : in_service & 0xF0;

    return (lapic->tpr & 0xF0) >= isr_class ? lapic->tpr : isr_class;
}

/* SDM 3A 10.6.2.4 */
unsigned lapic_arbitration_priority(const struct lapic *lapic)
{
    int in_service = highest_bit(lapic->isr), requested = highest_bit(lapic->irr);
    unsigned isrv = in_service < 0 ? 0 : in_service >> 4;
    unsigned irrv = requested < 0 ? 0 : requested >> 4;
    unsigned tpr = lapic->tpr >> 4;

    if (tpr >= irrv && tpr > isrv)
        return lapic->tpr;
    return ((tpr & isrv) > irrv ? (tpr & isrv) : irrv) << 4;
}

/* With the APIC disabled by APIC_BASE, LINT0 is the CPU's INTR pin (SDM 3A 10.4.3). */
static bool extint_requested(const struct lapic *lapic)
{
    uint32_t lvt = lapic->lvt[LVT_LINT0];

    if (!lapic_enabled(lapic))
        return lapic->lint[0];
    return lapic->extint_message || (lapic->lint[0] && !(lvt & LVT_MASKED) && LVT_MODE(lvt) == APIC_EXTINT);
}

/* The requested vector that PPR lets through, or -1. Software disable doesn't hold back what has arrived. */
static int deliverable(const struct lapic *lapic)
{
    int vector = lapic_enabled(lapic) ? highest_bit(lapic->irr) : -1;

    return vector >= 0 && (unsigned)vector >> 4 > lapic_ppr(lapic) >> 4 ? vector : -1;
}

/* On loan, only the 8259s' line is looked after here: whether it gets through, the tenant knows. */
bool lapic_wants_intr(const struct lapic *lapic)
{
    if (lapic->tenant)
        return lapic->lint[0];
    return extint_requested(lapic) || deliverable(lapic) >= 0;
}

void lapic_update_irq(struct lapic *lapic)
{
    bool intr = lapic_wants_intr(lapic);

    if (intr != lapic->intr) {
        lapic->intr = intr;
        irq_set(&lapic->wires.intr, intr);
    }
}

/* ---- accepting interrupts ---- */

/* The error interrupt comes once for each kind of error until ESR is written, which re-arms it. */
void lapic_raise_error(struct lapic *lapic, uint32_t error)
{
    if (lapic->errors & error)
        return;
    lapic->errors |= error;
    lapic_local_interrupt(lapic, LVT_ERROR);
}

bool lapic_present(const struct lapic *lapic)
{
    return lapic_enabled(lapic);
}

bool lapic_accepts_fixed(const struct lapic *lapic)
{
    return lapic_enabled(lapic) && (lapic->svr & SVR_ENABLE);
}

static bool accept_fixed(struct lapic *lapic, uint8_t vector, bool level)
{
    if (!lapic_accepts_fixed(lapic))
        return false;
    if (vector < 16) {
        lapic_raise_error(lapic, ESR_RECEIVE_ILLEGAL);
        return true;
    }
    set_bit(lapic->irr, vector, true);
    set_bit(lapic->tmr, vector, level);
    lapic_update_irq(lapic);
    return true;
}

void lapic_init_pin(struct lapic *lapic)
{
    lapic_reset_registers(lapic);
    irq_pulse(&lapic->wires.init);
}

bool lapic_receive(struct lapic *lapic, const struct apic_message *message)
{
    switch (message->mode) {
    case APIC_FIXED:
    case APIC_LOWEST:
        return accept_fixed(lapic, message->vector, message->level);
    case APIC_SMI:
        irq_pulse(&lapic->wires.smi);
        return true;
    case APIC_NMI:
        irq_pulse(&lapic->wires.nmi);
        return true;
    case APIC_INIT:
        lapic_init_pin(lapic);
        return true;
    case APIC_SIPI:
        if (lapic->wires.sipi)
            lapic->wires.sipi(lapic->wires.sipi_opaque, message->vector);
        return true;
    case APIC_EXTINT:
        lapic->extint_message = true;
        lapic_update_irq(lapic);
        return true;
    default:
        log_at(lapic->log, LOG_GUEST, "lapic", "message with reserved delivery mode %u", message->mode);
        return false;
    }
}

void lapic_local_interrupt(struct lapic *lapic, enum lvt n)
{
    uint32_t lvt = lapic->lvt[n];
    bool fixed_only = n == LVT_TIMER || n == LVT_ERROR;
    struct apic_message message = {.mode = fixed_only ? APIC_FIXED : LVT_MODE(lvt),
                                   .vector = LVT_VECTOR(lvt)};

    if (!lapic_enabled(lapic) || (lvt & LVT_MASKED))
        return;
    if (message.mode == APIC_LOWEST || message.mode == APIC_SIPI) {
        log_at(lapic->log, LOG_GUEST, "lapic", "LVT %d with reserved delivery mode %u", n, message.mode);
        return;
    }
    if (n == LVT_LINT0 && message.mode == APIC_EXTINT) {
        lapic_update_irq(lapic); /* follows the pin */
        return;
    }
    message.level = n == LVT_LINT0 && message.mode == APIC_FIXED && (lvt & LVT_LEVEL);
    if (lapic_receive(lapic, &message) && message.level && message.vector >= 16)
        lapic->lvt[n] |= LVT_REMOTE_IRR;
}

/* A level-triggered LINT0 asks again while its pin is high and its last request has had its EOI. */
void lapic_service_level_lint0(struct lapic *lapic)
{
    uint32_t lvt = lapic->lvt[LVT_LINT0];

    if (lapic->lint[0] && LVT_MODE(lvt) == APIC_FIXED && (lvt & LVT_LEVEL) && !(lvt & LVT_REMOTE_IRR))
        lapic_local_interrupt(lapic, LVT_LINT0);
}

static void lint_changed(void *opaque, int n, bool level)
{
    struct lapic *lapic = opaque;
    uint32_t lvt = lapic->lvt[LVT_LINT0 + n];
    bool rising = level && !lapic->lint[n];

    lapic->lint[n] = level;
    if (lapic->tenant) {
        lapic_update_irq(lapic);
        return;
    }
    if (!lapic_enabled(lapic)) {
        if (n == 1 && rising)
            irq_pulse(&lapic->wires.nmi);
    } else if (n == 0 && LVT_MODE(lvt) == APIC_FIXED && (lvt & LVT_LEVEL)) {
        lapic_service_level_lint0(lapic);
    } else if (rising) {
        lapic_local_interrupt(lapic, LVT_LINT0 + n);
    }
    lapic_update_irq(lapic);
}

struct irq lapic_lint(struct lapic *lapic, int n)
{
    return (struct irq){lint_changed, lapic, n & 1};
}

int lapic_acknowledge(void *opaque)
{
    struct lapic *lapic = opaque;
    int vector = -1;

    if (lapic->tenant) {
        if (lapic->lint[0] && lapic->wires.extint)
            vector = lapic->wires.extint(lapic->wires.extint_opaque);
        lapic_update_irq(lapic);
        return vector;
    }
    if (extint_requested(lapic)) {
        lapic->extint_message = false;
        if (lapic->wires.extint)
            vector = lapic->wires.extint(lapic->wires.extint_opaque);
        if (vector >= 0) {
            lapic_update_irq(lapic);
            return vector;
        }
    }
    vector = deliverable(lapic);
    if (vector >= 0) {
        set_bit(lapic->irr, vector, false);
        set_bit(lapic->isr, vector, true);
    } else if (lapic_enabled(lapic) && highest_bit(lapic->irr) >= 0) {
        /* Asked for, then masked by TPR before the INTA cycle: spurious, and not in service (SDM 3A 10.9). */
        vector = lapic->svr & 0xFF;
    }
    lapic_update_irq(lapic);
    return vector;
}

void lapic_end_of_interrupt(struct lapic *lapic)
{
    int vector = highest_bit(lapic->isr);
    uint32_t *lint0 = &lapic->lvt[LVT_LINT0];

    if (vector < 0)
        return;
    set_bit(lapic->isr, vector, false);
    if (get_bit(lapic->tmr, vector)) {
        if ((*lint0 & LVT_REMOTE_IRR) && LVT_VECTOR(*lint0) == (unsigned)vector) {
            *lint0 &= ~LVT_REMOTE_IRR;
            lapic_service_level_lint0(lapic);
        }
        apic_bus_eoi(lapic->bus, vector);
    }
    lapic_update_irq(lapic);
}

/* ---- destinations and inter-processor interrupts ---- */

/* SDM 3A 10.6.2 and 10.12.10 */
bool lapic_is_target(const struct lapic *lapic, uint32_t dest, bool logical)
{
    uint32_t ldr = lapic->ldr >> 24;

    if (!lapic_enabled(lapic))
        return false;
    if (dest == APIC_BROADCAST)
        return true;
    if (lapic_in_x2apic(lapic)) {
        if (!logical)
            return dest == lapic->id;
        ldr = lapic_x2apic_ldr(lapic);
        return dest >> 16 == ldr >> 16 && (dest & ldr & 0xFFFF);
    }
    if (dest > 0xFF)
        return false;
    if (!logical)
        return dest == lapic_xapic_id(lapic);
    if (lapic->dfr >> 28 == 0xF)
        return dest & ldr;
    return lapic->dfr >> 28 == 0 && (dest >> 4 == ldr >> 4 || dest >> 4 == 0xF) && (dest & ldr & 0xF);
}

void lapic_send_ipi(struct lapic *lapic, uint32_t icr, uint32_t dest)
{
    struct apic_message message = {
        .dest = dest, .logical = icr & ICR_LOGICAL, .mode = (icr >> 8) & 7, .vector = icr & 0xFF};
    unsigned shorthand = ICR_SHORTHAND(icr);
    bool fixed = message.mode == APIC_FIXED || message.mode == APIC_LOWEST;

    /* INIT level de-assert is a no-op since the Pentium 4, and so is any other (SDM 3A table 10-3). */
    if ((icr & ICR_LEVEL) && !(icr & ICR_ASSERT))
        return;
    if (fixed && message.vector < 16) {
        lapic_raise_error(lapic, ESR_SEND_ILLEGAL);
        return;
    }
    if (message.mode == 3 || message.mode == APIC_EXTINT || (!fixed && (shorthand == 1 || shorthand == 2))) {
        log_at(lapic->log, LOG_GUEST, "lapic", "invalid IPI: ICR 0x%08x", icr);
        return;
    }
    if (shorthand == 1)
        lapic_receive(lapic, &message);
    else if (shorthand == 0)
        apic_bus_send(lapic->bus, &message);
    else
        apic_bus_send_all(lapic->bus, &message, shorthand == 3 ? lapic : NULL);
}

/* ---- life ---- */

static const struct field lapic_fields[] = {FIELD(struct lapic, base),
                                            FIELD(struct lapic, tpr),
                                            FIELD(struct lapic, ldr),
                                            FIELD(struct lapic, dfr),
                                            FIELD(struct lapic, svr),
                                            FIELD(struct lapic, esr),
                                            FIELD(struct lapic, errors),
                                            FIELD(struct lapic, icr),
                                            FIELD_ARRAY(struct lapic, isr),
                                            FIELD_ARRAY(struct lapic, tmr),
                                            FIELD_ARRAY(struct lapic, irr),
                                            FIELD_ARRAY(struct lapic, lvt),
                                            FIELD_ARRAY(struct lapic, lint),
                                            FIELD(struct lapic, extint_message),
                                            FIELD(struct lapic, divide),
                                            FIELD(struct lapic, initial),
                                            FIELD(struct lapic, count),
                                            FIELD(struct lapic, count_time),
                                            FIELD(struct lapic, deadline),
                                            FIELD(struct lapic, deadline_raw),
                                            FIELD_END};

/* SDM 3A 10.4.7: RESET and INIT; the pins keep their levels, they are driven from outside. */
void lapic_reset_registers(struct lapic *lapic)
{
    lapic->tpr = lapic->ldr = lapic->esr = lapic->errors = 0;
    lapic->dfr = UINT32_MAX;
    lapic->svr = 0xFF;
    lapic->icr = 0;
    memset(lapic->isr, 0, sizeof(lapic->isr));
    memset(lapic->tmr, 0, sizeof(lapic->tmr));
    memset(lapic->irr, 0, sizeof(lapic->irr));
    for (int n = 0; n < LVTS; n++)
        lapic->lvt[n] = LVT_MASKED;
    lapic->extint_message = false;
    lapic_timer_reset(lapic);
    lapic_update_irq(lapic);
}

static void lapic_reset(void *device)
{
    struct lapic *lapic = device;

    lapic->base = LAPIC_BASE | BASE_EN | (lapic->id == 0 ? BASE_BSP : 0);
    lapic_reset_registers(lapic);
    lapic_tell_base(lapic);
}

static void lapic_loaded(void *device)
{
    struct lapic *lapic = device;

    lapic_timer_loaded(lapic);
    lapic_tell_base(lapic);
    lapic->intr = lapic_wants_intr(lapic);
    irq_set(&lapic->wires.intr, lapic->intr);
}

static void lapic_free(void *device)
{
    struct lapic *lapic = device;

    if (!lapic)
        return;
    timer_disarm(&lapic->timer);
    apic_bus_detach(lapic->bus, lapic);
    free(lapic);
}

struct lapic *lapic_new(struct clock *clock, struct apic_bus *bus, uint32_t id, unsigned phys_bits,
                        const struct lapic_wires *wires, struct log *log)
{
    struct lapic *lapic = calloc(1, sizeof(*lapic));

    if (!lapic || !apic_bus_attach(bus, lapic)) {
        free(lapic);
        return NULL;
    }
    lapic->clock = clock;
    lapic->bus = bus;
    lapic->log = log;
    lapic->wires = *wires;
    lapic->id = id;
    lapic->phys_bits = phys_bits;
    lapic_timer_init(lapic);
    lapic_reset(lapic);
    return lapic;
}

const struct device_class lapic_class = {"lapic", lapic_reset, lapic_loaded, lapic_free, lapic_fields};
