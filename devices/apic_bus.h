/*
 * apic_bus.h - what carries interrupt messages between I/O APICs, MSI writes and the local APICs.
 *
 * A message names its targets by destination; the bus finds them, arbitrates lowest-priority delivery and
 * hands the message over. End-of-interrupt messages for level-triggered vectors travel the other way, to
 * whoever listens.
 *
 * Locking: all calls with the machine lock held.
 */
#ifndef DEVICES_APIC_BUS_H
#define DEVICES_APIC_BUS_H

#include <stdbool.h>
#include <stdint.h>

struct apic_bus;
struct lapic;

/* Delivery modes as ICR, LVT, redirection entries and MSI data encode them in bits 10:8. */
enum apic_mode {
    APIC_FIXED = 0,
    APIC_LOWEST = 1,
    APIC_SMI = 2,
    APIC_NMI = 4,
    APIC_INIT = 5,
    APIC_SIPI = 6, /* from the ICR only */
    APIC_EXTINT = 7,
};

/* Physical broadcast. Senders whose destination field has 8 bits widen 0xFF to this. */
#define APIC_BROADCAST UINT32_MAX

struct apic_message {
    uint32_t dest; /* an APIC ID, or a logical destination */
    bool logical;
    bool level; /* level-triggered: the vector's EOI is broadcast */
    uint8_t mode;
    uint8_t vector;
};

struct apic_bus *apic_bus_new(void);
void apic_bus_free(struct apic_bus *bus);

/* Called by lapic_new() and the APIC's free. False when memory ran out. */
bool apic_bus_attach(struct apic_bus *bus, struct lapic *lapic);
void apic_bus_detach(struct apic_bus *bus, struct lapic *lapic);

/* Delivers to the message's targets. False when no APIC took it. */
bool apic_bus_send(struct apic_bus *bus, const struct apic_message *message);

/* The ICR's shorthands: to all, or to all but `except`; the message's destination is ignored. */
bool apic_bus_send_all(struct apic_bus *bus, const struct apic_message *message, const struct lapic *except);

/*
 * A device's 32-bit write of `data` to `addr` in 0xFEE00000-0xFEEFFFFF (SDM 3A 10.11). False: no APIC took
 * it.
 */
bool apic_bus_msi(struct apic_bus *bus, uint64_t addr, uint32_t data);

/* The one listener for EOIs of level-triggered vectors, usually an I/O APIC. A NULL `fn` removes it. */
void apic_bus_on_eoi(struct apic_bus *bus, void (*fn)(void *opaque, uint8_t vector), void *opaque);
void apic_bus_end_of_interrupt(void *bus, uint8_t vector); /* the same, as core/irqchip.h has it */
void apic_bus_eoi(struct apic_bus *bus, uint8_t vector);

#endif
