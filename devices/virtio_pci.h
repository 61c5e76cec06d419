/*
 * virtio_pci.h - a virtio device as a PCI function (virtio 1.2, 4.1): the modern interface in BAR 4, the
 * legacy one of transitional devices in BAR 0, MSI-X in BAR 1, INTA#.
 *
 * Locking: all calls with the machine lock held.
 */
#ifndef DEVICES_VIRTIO_PCI_H
#define DEVICES_VIRTIO_PCI_H

#include "core/irq.h"
#include "devices/pci_msi.h"
#include "devices/pci_rom.h"

struct virtio;

/* Where a device is plugged in. */
struct virtio_slot {
    struct pci_bus *pci;
    unsigned slot;
    struct bus *memory, *ports;
    struct irq irq;
    struct log *log;
    const uint8_t *rom; /* for firmware, copied; NULL: none */
    size_t rom_size;    /* bytes */
};

/* Of virtio_pci.c, in struct virtio. */
struct virtio_pci {
    struct pci_bus *bus;
    struct irq irq;
    struct pci_function function;
    struct pci_msix msix;
    struct region *legacy, *modern;
    struct pci_rom rom;
    uint32_t device_feature_select, driver_feature_select;
    uint16_t config_vector, queue_select;
    uint8_t isr;
};

extern const struct field virtio_pci_fields[];

/* Plugs it in, reset. False when memory ran out or the slot is taken; then virtio_free() is still to be
 * called. */
bool virtio_pci_plug(struct virtio *virtio, const struct virtio_slot *slot);

/* Of virtio.c: */
void virtio_pci_reset(struct virtio *virtio);
void virtio_pci_loaded(struct virtio *virtio);
void virtio_pci_unplug(struct virtio *virtio);

#endif
