/*
 * lapic.h - a CPU's local APIC: xAPIC page, x2APIC MSRs, timer, and the wires into its CPU.
 *
 * The CPU side is lapic_intc() (core/intc.h) and struct lapic_wires; lines from outside come in through
 * lapic_lint(); messages from other APICs through the apic_bus. The register page is per CPU: the machine
 * maps lapic_mmio_ops with this CPU's lapic where wires.moved says, or dispatches to lapic_mmio_read/write
 * itself when several CPUs share the page's address.
 *
 * Locking: all calls with the machine lock held.
 */
#ifndef DEVICES_LAPIC_H
#define DEVICES_LAPIC_H

#include <stdio.h>

#include "core/bus.h"
#include "core/device.h"
#include "core/intc.h"
#include "core/irq.h"
#include "devices/apic_bus.h"

#define LAPIC_BASE     0xFEE00000u
#define LAPIC_SIZE     0x1000u
#define LAPIC_TIMER_HZ 1000000000u /* bus clock that the timer's divider divides */

struct clock;
struct log;
struct lapic;

/* Out of the APIC into its CPU and the machine. Unused wires stay zero. */
struct lapic_wires {
    struct irq intr; /* level: acknowledge() would give a vector */
    struct irq nmi;  /* pulses */
    struct irq smi;
    struct irq init;
    void (*sipi)(void *opaque, uint8_t vector); /* startup IPI: run at vector * 4096 if waiting for one */
    void *sipi_opaque;
    int (*extint)(void *opaque); /* INTA cycle to the 8259s: their vector, or -1 */
    void *extint_opaque;
    void (*moved)(void *opaque, uint64_t base, bool enabled); /* where the register page is now, if decoded */
    void *moved_opaque;
};

extern const struct device_class lapic_class;
extern const struct bus_ops lapic_mmio_ops;

/*
 * A local APIC in the state after RESET, attached to `bus`. ID 0 is the bootstrap processor's. `phys_bits` is
 * the CPU's MAXPHYADDR. NULL when memory ran out. lapic_class.free detaches and frees it (before the bus).
 */
struct lapic *lapic_new(struct clock *clock, struct apic_bus *bus, uint32_t id, unsigned phys_bits,
                        const struct lapic_wires *wires, struct log *log);

/* What the CPU plugs into. */
struct intc lapic_intc(struct lapic *lapic);

/* The pins LINT0 (from the 8259s' INTR) and LINT1 (NMI): n is 0 or 1. */
struct irq lapic_lint(struct lapic *lapic, int n);

/* As the INIT# pin does: registers but not APIC_BASE to their reset state, and the CPU's init wire. */
void lapic_init_pin(struct lapic *lapic);

/*
 * What firmware leaves on the bootstrap processor: enabled, LINT0 ExtINT, LINT1 NMI (MP
 * specification 3.6.2.2).
 */
void lapic_virtual_wire(struct lapic *lapic);

/* lapic_print.c: what it does, in words. */
void lapic_print(const struct lapic *lapic, FILE *out);

uint64_t lapic_mmio_read(void *lapic, uint64_t addr, unsigned size);
void lapic_mmio_write(void *lapic, uint64_t addr, uint64_t value, unsigned size);

/* For apic_bus.c. Who has the APIC on loan; NULL: nobody. Receive returns whether the APIC took the message. */
const struct irqchip_tenant *lapic_tenant(const struct lapic *lapic);
bool lapic_present(const struct lapic *lapic);
bool lapic_accepts_fixed(const struct lapic *lapic);
bool lapic_is_target(const struct lapic *lapic, uint32_t dest, bool logical);
unsigned lapic_arbitration_priority(const struct lapic *lapic);
bool lapic_receive(struct lapic *lapic, const struct apic_message *message);

#endif
