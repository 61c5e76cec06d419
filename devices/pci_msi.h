/*
 * pci_msi.h - interrupts as messages (PCI 3.0, 6.8): the MSI and MSI-X capabilities of a function.
 *
 * The chip embeds a struct pci_msix or pci_msi, puts `pci_msix_fields` or its config[] in its state table,
 * calls pci_msix_reset() where it fills config[] anew, and pci_msix_written() whenever config[] was written
 * and after a load. Then it sends vectors, if enabled, in place of driving INTx#. Messages leave through the
 * bus (pci_bus_on_message()), and only while the function may master it.
 *
 * Locking: all calls with the machine lock held.
 */
#ifndef DEVICES_PCI_MSI_H
#define DEVICES_PCI_MSI_H

#include "devices/pci.h"

struct bus;

#define PCI_MSIX_VECTORS         64u   /* at most */
#define PCI_MSIX_SIZE            4096u /* of the table and the pending bits together, in a BAR */
#define PCI_MSIX_CAPABILITY_SIZE 12u
#define PCI_MSI_CAPABILITY_SIZE  24u

struct pci_msix {
    struct pci_function *function;
    struct region *region;
    unsigned capability, vectors, bar;
    uint32_t offset; /* in the BAR */

    uint32_t table[PCI_MSIX_VECTORS][4]; /* address, its upper half, data, control */
    uint64_t pending;                    /* bit n: vector n waits for its mask to go */
};

extern const struct field pci_msix_fields[];

/*
 * `vectors` of them, the capability's registers at `capability` of config[], table and pending bits at
 * `offset` (whole pages) of BAR `bar`, which the chip sets up itself and which is of memory. `name` is the
 * region's. False when memory ran out.
 */
bool pci_msix_init(struct pci_msix *msix, struct pci_function *function, struct bus *memory, const char *name,
                   unsigned capability, unsigned vectors, unsigned bar, uint32_t offset);
void pci_msix_reset(struct pci_msix *msix);
void pci_msix_written(struct pci_msix *msix);
/* The driver uses it: INTx# is not to be driven. */
bool pci_msix_enabled(const struct pci_msix *msix);
/* Sends a vector's message, or remembers it while it is masked. Vectors that don't exist are ignored. */
void pci_msix_send(struct pci_msix *msix, unsigned vector);

/* MSI with a 64-bit address and a mask for each vector. All its state is in config[]. */
struct pci_msi {
    struct pci_function *function;
    unsigned capability, vectors;
};

/* `vectors` is a power of two up to 32. */
void pci_msi_init(struct pci_msi *msi, struct pci_function *function, unsigned capability, unsigned vectors);
void pci_msi_reset(struct pci_msi *msi);
void pci_msi_written(struct pci_msi *msi);
bool pci_msi_enabled(const struct pci_msi *msi);
/* A vector beyond those that the driver enabled is sent as the last of them. */
void pci_msi_send(struct pci_msi *msi, unsigned vector);

#endif
