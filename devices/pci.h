/*
 * pci.h - a PCI bus: up to 256 functions' configuration spaces, and what a function's chip needs to own one.
 *
 * A chip embeds a struct pci_function, fills in config[] and the masks, and adds it to the bus. The bus does
 * configuration accesses by itself; the chip hears of writes through `written` and then looks at config[].
 *
 * Locking: all calls with the machine lock held.
 */
#ifndef DEVICES_PCI_H
#define DEVICES_PCI_H

#include <stdbool.h>
#include <stdint.h>

#include "core/fields.h"

#define PCI_CONFIG_SIZE 256

/* Registers of every function's header (PCI 3.0, 6.1). */
#define PCI_VENDOR_ID        0x00 /* 16 bits */
#define PCI_DEVICE_ID        0x02 /* 16 bits */
#define PCI_COMMAND          0x04 /* 16 bits */
#define PCI_STATUS           0x06 /* 16 bits */
#define PCI_REVISION         0x08
#define PCI_CLASS            0x09 /* 24 bits: interface, subclass, class */
#define PCI_HEADER_TYPE      0x0E
#define PCI_BAR(n)           (0x10 + 4 * (n)) /* 32 bits, n from 0 to 5 */
#define PCI_SUBSYSTEM_VENDOR 0x2C             /* 16 bits */
#define PCI_SUBSYSTEM_ID     0x2E             /* 16 bits */
#define PCI_CAPABILITIES     0x34
#define PCI_INTERRUPT_LINE   0x3C
#define PCI_INTERRUPT_PIN    0x3D /* 1 to 4 for INTA# to INTD#, 0 for none */

#define PCI_HEADER_MULTIFUNCTION 0x80

/* The subsystem that firmware takes for a virtual PC of this layout. */
#define PCI_SUBSYSTEM_BOARD_VENDOR 0x1AF4
#define PCI_SUBSYSTEM_BOARD        0x1100

#define PCI_COMMAND_IO           0x0001
#define PCI_COMMAND_MEMORY       0x0002
#define PCI_COMMAND_MASTER       0x0004
#define PCI_COMMAND_INTX_DISABLE 0x0400

#define PCI_STATUS_CAPABILITIES 0x0010
#define PCI_STATUS_INTERRUPT    0x0008 /* INTx# would be asserted (PCI 2.3) */

#define PCI_BAR_IO       0x1 /* types for pci_init_bar() */
#define PCI_BAR_MEMORY32 0x0
#define PCI_BAR_MEMORY64 0x4 /* takes this BAR and the next */
#define PCI_BAR_PREFETCH 0x8
#define PCI_BAR_UNMAPPED UINT64_MAX

#define PCI_DEVFN(slot, function) ((slot) << 3 | (function))

struct pci_bus;
struct log;
struct region;

struct pci_function {
    const char *name;
    uint8_t config[PCI_CONFIG_SIZE];    /* state: the chip saves it with FIELD_ARRAY */
    uint8_t writable[PCI_CONFIG_SIZE];  /* bits that the guest may change ... */
    uint8_t clearable[PCI_CONFIG_SIZE]; /* ... and those that writing 1 clears */
    void (*reading)(void *dev, unsigned reg,
                    unsigned size); /* before a read: refresh config[]; may be NULL */
    void (*written)(void *dev, unsigned reg, unsigned size); /* after a write changed config[]; may be NULL */
    void *dev;
    struct pci_bus *bus; /* set by pci_bus_add() */
};

/* An empty bus, number 0. NULL when memory ran out. Functions belong to their chips. */
struct pci_bus *pci_bus_new(struct log *log);
void pci_bus_free(struct pci_bus *bus);

/* Plugs a function in at slot 0-31, function 0-7. False when the place is taken or doesn't exist. */
bool pci_bus_add(struct pci_bus *bus, unsigned slot, unsigned number, struct pci_function *function);
void pci_bus_remove(struct pci_bus *bus, struct pci_function *function);

/* Who takes functions' memory writes that are interrupts (pci_msi.h). A NULL `fn` removes it. */
void pci_bus_on_message(struct pci_bus *bus, void (*fn)(void *opaque, uint64_t address, uint32_t data),
                        void *opaque);
void pci_bus_message(struct pci_bus *bus, uint64_t address, uint32_t data);

/*
 * One configuration access of 1, 2 or 4 bytes within a 32-bit register. Where there is no function reads give
 * all ones and writes vanish.
 */
uint32_t pci_config_read(struct pci_bus *bus, unsigned bus_number, unsigned devfn, unsigned reg,
                         unsigned size);
void pci_config_write(struct pci_bus *bus, unsigned bus_number, unsigned devfn, unsigned reg, uint32_t value,
                      unsigned size);

/* The registers of config[], little-endian at any alignment; they ignore the masks. `size` 1, 2 or 4. */
uint32_t pci_get(const struct pci_function *function, unsigned reg, unsigned size);
void pci_set(struct pci_function *function, unsigned reg, uint32_t value, unsigned size);

/* Marks bits of a register writable by the guest. */
void pci_allow(struct pci_function *function, unsigned reg, uint32_t bits, unsigned size);

/* BAR n decodes `size` bytes, a power of two, at least 4 for ports and 16 for memory. */
void pci_init_bar(struct pci_function *function, unsigned n, uint64_t size, unsigned type);

/*
 * Where BAR n is now; PCI_BAR_UNMAPPED while the command register doesn't enable its kind or it is still at
 * 0.
 */
uint64_t pci_bar_address(const struct pci_function *function, unsigned n);

/* Puts a capability (PCI 3.0, 6.7) whose registers begin at `reg` before the others in the list. */
void pci_add_capability(struct pci_function *function, uint8_t id, unsigned reg);

/*
 * A BAR's region goes where the BAR says, below RAM and the board's own chips: one that is aimed at them reaches
 * nothing. What doesn't change costs nothing.
 */
void pci_move_region(struct region *region, uint64_t base, bool enabled);

/*
 * Which of the interrupt router's four inputs (0-3: PIRQA-PIRQD) pin 1-4 of a slot is wired to: each slot is
 * turned by one, so that the first pins of neighbours spread. The DSDT's _PRT says the same.
 */
static inline unsigned pci_pirq(unsigned slot, unsigned pin)
{
    return (slot + pin + 2) & 3;
}

#endif
