/*
 * rtl8139.h - the RTL8139C+ fast Ethernet controller, and without its descriptors the RTL8139C before it.
 *
 * PCI 10EC:8139, revision 20h or 10h: BAR 0 is 256 ports, BAR 1 the same registers in memory, and the
 * expansion ROM what firmware boots from a network with. It drives INTA#.
 *
 * Locking: all calls with the machine lock held.
 */
#ifndef DEVICES_RTL8139_H
#define DEVICES_RTL8139_H

#include <stddef.h>
#include <stdint.h>

#include "core/device.h"
#include "core/irq.h"

struct bus;
struct clock;
struct log;
struct net;
struct pci_bus;
struct rtl8139;

extern const struct device_class rtl8139_class;

struct rtl8139_wires {
    struct pci_bus *pci;
    unsigned slot;
    struct bus *memory, *ports;
    struct clock *clock;
    struct irq irq;
    struct net *net; /* its receiver is the card, as long as there is one; the caller's */
    uint8_t mac[6];
    bool plain;         /* an RTL8139C */
    const uint8_t *rom; /* copied; NULL: none */
    size_t rom_size;    /* bytes */
    struct log *log;
};

/* NULL when memory ran out or the slot is taken. */
struct rtl8139 *rtl8139_new(const struct rtl8139_wires *wires);

#endif
