/*
 * pci_host.h - the i440FX host bridge: configuration mechanism #1, shadow RAM control, and the reset control
 * port.
 */
#ifndef DEVICES_PCI_HOST_H
#define DEVICES_PCI_HOST_H

#include "core/bus.h"
#include "core/device.h"
#include "core/irq.h"
#include "devices/pci.h"

#define PCI_HOST_RESET_PORT 0xCF9
#define PCI_HOST_HARD_RESET 0x06 /* what to write there */

struct pci_host;

struct pci_host_wires {
    struct irq reset; /* pulse: hard reset through port 0xCF9 */
    struct irq init;  /* pulse: soft reset, INIT to the CPUs */
    /*
     * The PAM registers route [base, base + size) below 1 MiB anew: reads and writes go to RAM (true) or to
     * the ROM and the bus behind it (false). Called for what changed, and for all 13 areas after a reset or a
     * load.
     */
    void (*shadow)(void *opaque, uint32_t base, uint32_t size, bool read, bool write);
    void *shadow_opaque;
};

extern const struct device_class pci_host_class;

/* Maps ports 0xCF8-0xCFF and is function 0:0.0 of `bus`. NULL when memory ran out. */
struct pci_host *pci_host_new(struct bus *ports, struct pci_bus *bus, const struct pci_host_wires *wires,
                              struct log *log);

#endif
