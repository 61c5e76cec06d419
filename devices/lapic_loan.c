/*
 * lapic_loan.c - the local APIC's registers in the hands of an engine that has APICs of its own; see
 * core/irqchip.h.
 *
 * While they are away the timer here stands, and nothing becomes pending: apic_bus.c sends messages on, and
 * of the pins only LINT0 has a meaning, as the 8259s' line to the CPU.
 */
#include <string.h>

#include "devices/lapic_internal.h"

_Static_assert(LVTS == IRQCHIP_APIC_LVTS, "as core/irqchip.h has them");

const struct irqchip_tenant *lapic_tenant(const struct lapic *lapic)
{
    return lapic->tenant;
}

void lapic_lend(void *opaque, const struct irqchip_tenant *tenant, struct apic_registers *registers)
{
    struct lapic *lapic = opaque;

    lapic_timer_settle(lapic);
    *registers = (struct apic_registers){
        .base = lapic->base,
        .id = lapic->id,
        .tpr = lapic->tpr,
        .ldr = lapic->ldr,
        .dfr = lapic->dfr,
        .svr = lapic->svr,
        .esr = lapic->esr,
        .icr = lapic->icr,
        .divide = lapic->divide,
        .initial = lapic->initial,
        .current = lapic_timer_current(lapic),
        .deadline = lapic->deadline_raw,
    };
    if (lapic->count && !registers->current)
        registers->current = 1; /* it expired just now, and is to do so there */
    memcpy(registers->isr, lapic->isr, sizeof(lapic->isr));
    memcpy(registers->tmr, lapic->tmr, sizeof(lapic->tmr));
    memcpy(registers->irr, lapic->irr, sizeof(lapic->irr));
    memcpy(registers->lvt, lapic->lvt, sizeof(lapic->lvt));
    timer_disarm(&lapic->timer);
    lapic->tenant = tenant;
    lapic_update_irq(lapic);
}

void lapic_take_back(void *opaque, const struct apic_registers *registers)
{
    struct lapic *lapic = opaque;

    lapic->tenant = NULL;
    lapic->base = registers->base;
    lapic->tpr = registers->tpr;
    lapic->ldr = registers->ldr;
    lapic->dfr = registers->dfr;
    lapic->svr = registers->svr;
    lapic->esr = registers->esr;
    lapic->icr = registers->icr & ~(uint64_t)ICR_STATUS;
    memcpy(lapic->isr, registers->isr, sizeof(lapic->isr));
    memcpy(lapic->tmr, registers->tmr, sizeof(lapic->tmr));
    memcpy(lapic->irr, registers->irr, sizeof(lapic->irr));
    memcpy(lapic->lvt, registers->lvt, sizeof(lapic->lvt));
    lapic_timer_taken_back(lapic, registers);
    lapic_tell_base(lapic);
    lapic_update_irq(lapic);
}
