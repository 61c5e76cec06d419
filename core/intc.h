/*
 * intc.h - the socket between a CPU and its local interrupt controller (the APIC inside a real package).
 *
 * The CPU knows no chip and the chip no CPU; the machine plugs one into the other. The controller drives the
 * CPU's INTR, NMI, SMI, INIT and SIPI through struct irq wires; the CPU reaches the controller through these
 * calls.
 *
 * Locking: the CPU takes the machine lock around every call.
 */
#ifndef CORE_INTC_H
#define CORE_INTC_H

#include <stdbool.h>
#include <stdint.h>

#include "core/irqchip.h"

struct intc_ops {
    /* INTA cycle: the vector to deliver, now in service; -1 when the request has gone away. */
    int (*acknowledge)(void *intc);
    /* CR8 in the manual's form: bits 7:4 of TPR as 0-15. */
    unsigned (*get_cr8)(void *intc);
    void (*set_cr8)(void *intc, unsigned cr8);
    /* x2APIC MSRs 0x800-0x8FF; false means #GP(0). */
    bool (*read_msr)(void *intc, uint32_t index, uint64_t *value);
    bool (*write_msr)(void *intc, uint32_t index, uint64_t value);
    /* IA32_APIC_BASE; set returns false for #GP(0) (reserved bits, bad mode transition). */
    uint64_t (*get_base)(void *intc);
    bool (*set_base)(void *intc, uint64_t value);
    /*
     * TSC-deadline. `deadline` is the clock time in ns at which the CPU's TSC reaches the value written, 0
     * when the guest disarmed it, and `raw` the value written. `get_deadline` gives raw back, 0 once it fired
     * or if the timer isn't in that mode.
     */
    void (*set_tsc_deadline)(void *intc, uint64_t deadline, uint64_t raw);
    uint64_t (*get_tsc_deadline)(void *intc);
    /*
     * On loan to an engine that has APICs of its own (core/irqchip.h): what reaches this one goes to `tenant`, INTR is the
     * 8259s', and so is what acknowledge() gives; until it is taken back. The deadline must be written anew then.
     */
    void (*lend)(void *intc, const struct irqchip_tenant *tenant, struct apic_registers *registers);
    void (*take_back)(void *intc, const struct apic_registers *registers);
};

struct intc {
    const struct intc_ops *ops;
    void *opaque;
};

#endif
