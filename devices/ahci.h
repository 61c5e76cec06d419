/*
 * ahci.h - a SATA controller of the ICH9's kind: six ports by AHCI 1.3.1, for disks and CD-ROM drives.
 */
#ifndef DEVICES_AHCI_H
#define DEVICES_AHCI_H

#include <stdbool.h>

#include "core/block.h"
#include "core/bus.h"
#include "core/device.h"
#include "core/irq.h"
#include "devices/pci.h"

#define AHCI_PORTS 6

struct ahci;
struct log;

struct ahci_wires {
    struct pci_bus *pci;
    unsigned slot;
    struct bus *memory;
    struct irq irq;
    struct log *log;
};

extern const struct device_class ahci_class;

/* A controller without drives. NULL when memory ran out or the slot is taken. */
struct ahci *ahci_new(const struct ahci_wires *wires);

/*
 * Plugs a drive into port 0 to AHCI_PORTS - 1, before the machine runs. False when the port is taken. The
 * disk, and the slot of a CD-ROM drive's medium, belong to the caller, who closes them before the controller
 * is freed.
 */
bool ahci_attach_disk(struct ahci *ahci, unsigned port, struct block *disk);
bool ahci_attach_cdrom(struct ahci *ahci, unsigned port, struct block_slot *slot);

#endif
