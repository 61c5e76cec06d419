/*
 * e1000.h - the 82540EM gigabit Ethernet controller, a PCI function that drivers of nearly all systems know.
 *
 * PCI 8086:100E: BAR 0 is 128 KiB of registers, BAR 1 a pair of ports that reach them, and the expansion ROM
 * what firmware boots from a network with. It drives INTA#.
 *
 * Locking: all calls with the machine lock held.
 */
#ifndef DEVICES_E1000_H
#define DEVICES_E1000_H

#include <stddef.h>
#include <stdint.h>

#include "core/device.h"
#include "core/irq.h"

struct bus;
struct clock;
struct e1000;
struct log;
struct net;
struct pci_bus;

extern const struct device_class e1000_class;

struct e1000_wires {
    struct pci_bus *pci;
    unsigned slot;
    struct bus *memory, *ports;
    struct clock *clock;
    struct irq irq;
    struct net *net; /* its receiver is the card, as long as there is one; the caller's */
    uint8_t mac[6];
    const uint8_t *rom; /* copied; NULL: none */
    size_t rom_size;    /* bytes */
    struct log *log;
};

/* NULL when memory ran out or the slot is taken. */
struct e1000 *e1000_new(const struct e1000_wires *wires);

#endif
