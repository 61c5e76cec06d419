/*
 * ne2k.h - the NE2000, as an ISA card and as the RTL8029AS, its PCI form: National's DP8390 controller with
 * 16 KiB of memory of its own, which software reads and writes through a port.
 *
 * The ISA card has 32 ports from `base` on. PCI 10EC:8029: BAR 0 is the same 32 ports, with a data port of 32
 * bits; the expansion ROM is what firmware boots from a network with. It drives INTA#.
 *
 * Locking: all calls with the machine lock held.
 */
#ifndef DEVICES_NE2K_H
#define DEVICES_NE2K_H

#include <stddef.h>
#include <stdint.h>

#include "core/device.h"
#include "core/irq.h"

struct bus;
struct clock;
struct log;
struct ne2k;
struct ne2k_pci;
struct net;
struct pci_bus;

#define NE2K_PORTS 0x20

extern const struct device_class ne2k_isa_class, ne2k_pci_class;

struct ne2k_wires {
    struct bus *ports;
    struct clock *clock;
    struct irq irq;
    struct net *net; /* its receiver is the card, as long as there is one; the caller's */
    uint8_t mac[6];
    struct log *log;
};

/* NULL when memory ran out. */
struct ne2k *ne2k_isa_new(const struct ne2k_wires *wires, uint16_t base);

/* NULL when memory ran out or the slot is taken. The ROM is copied; NULL: none. */
struct ne2k_pci *ne2k_pci_new(const struct ne2k_wires *wires, struct pci_bus *pci, unsigned slot,
                              struct bus *memory, const uint8_t *rom, size_t rom_size);

#endif
