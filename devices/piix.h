/*
 * piix.h - the PIIX3 ISA bridge, which takes PCI's interrupts to ISA lines, and the PIIX4 power management
 * function beside it, which says where ACPI's and SMBus's ports are.
 *
 * Locking: all calls with the machine lock held.
 */
#ifndef DEVICES_PIIX_H
#define DEVICES_PIIX_H

#include <stdbool.h>
#include <stdint.h>

#include "core/bus.h"
#include "core/device.h"
#include "core/irq.h"
#include "devices/pci.h"

/* Slot and functions of the chip. Function 1 is the IDE controller's. */
#define PIIX_SLOT         1
#define PIIX_ISA_FUNCTION 0
#define PIIX_PM_FUNCTION  3

/* Registers that firmware programs. */
#define PIIX_PIRQ(n)    (0x60 + (n)) /* function 0: bits 3:0 the ISA line of PIRQ n, 0 to 3; bit 7: none */
#define PIIX_PIRQ_NONE  0x80
#define PIIX_PM_BASE    0x40 /* function 3, 32 bits: ports of ACPI */
#define PIIX_PM_MISC    0x80 /* function 3: bit 0 enables them */
#define PIIX_PM_ENABLE  0x01
#define PIIX_SMBUS_BASE 0x90 /* function 3, 32 bits */
#define PIIX_SMBUS_HOST 0xD2 /* function 3: bit 0 enables the host controller's ports */

struct piix;
struct piix_pm;

extern const struct device_class piix_class;
extern const struct device_class piix_pm_class;

/*
 * The bridge as function 0 of PIIX_SLOT. isa[n] is ISA interrupt line n as PCI's interrupts drive it, a
 * level; lines 0, 1, 2, 8 and 13 can't be chosen. NULL when memory ran out.
 */
struct piix *piix_new(struct pci_bus *bus, const struct irq isa[16]);

/* Interrupt pin 1 to 4 of a PCI slot, active high. Any number may lead to one PIRQ. */
struct irq piix_interrupt(struct piix *piix, unsigned slot, unsigned pin);

struct piix_pm_wires {
    /* ACPI's ports are at `base` now, a multiple of 64, or nowhere. */
    void (*moved)(void *opaque, uint16_t base, bool enabled);
    void *opaque;
};

/* Power management as function 3 of PIIX_SLOT, with an SMBus that nothing is plugged into. */
struct piix_pm *piix_pm_new(struct pci_bus *bus, struct bus *ports, const struct piix_pm_wires *wires);

#endif
