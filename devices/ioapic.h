/*
 * ioapic.h - the I/O APIC: 24 interrupt inputs, turned into messages on the APIC bus.
 */
#ifndef DEVICES_IOAPIC_H
#define DEVICES_IOAPIC_H

#include "core/bus.h"
#include "core/device.h"
#include "core/irq.h"
#include "core/irqchip.h"
#include "devices/apic_bus.h"

#define IOAPIC_BASE 0xFEC00000u
#define IOAPIC_SIZE 0x1000u
#define IOAPIC_PINS 24

struct ioapic;
struct log;

extern const struct device_class ioapic_class;

/* Maps the registers at IOAPIC_BASE of `memory` and listens for EOIs on `bus`. NULL when memory ran out. */
struct ioapic *ioapic_new(struct bus *memory, struct apic_bus *bus, struct log *log);

/* Input n, 0 to 23. High means asserted, whatever polarity the guest programmed. Machine lock held. */
struct irq ioapic_input(struct ioapic *ioapic, unsigned n);

/* For who shows it: the redirection entry of a pin below IOAPIC_PINS (82093AA data sheet, 3.2.4), and its level. */
uint64_t ioapic_entry(const struct ioapic *ioapic, unsigned pin);
bool ioapic_is_high(const struct ioapic *ioapic, unsigned pin);

/* core/irqchip.h's functions of the same names. */
void ioapic_lend(void *ioapic, const struct irqchip_tenant *tenant, struct ioapic_registers *registers);
void ioapic_take_back(void *ioapic, const struct ioapic_registers *registers);
void ioapic_watch(void *ioapic, const struct irqchip_tenant *tenant);
void ioapic_get_registers(void *ioapic, struct ioapic_registers *registers);

#endif
