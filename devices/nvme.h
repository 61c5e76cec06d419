/*
 * nvme.h - an NVM Express 1.4 controller with one namespace: a disk on PCI.
 */
#ifndef DEVICES_NVME_H
#define DEVICES_NVME_H

#include "core/block.h"
#include "core/bus.h"
#include "core/device.h"
#include "core/irq.h"
#include "devices/pci.h"

struct log;
struct nvme;

struct nvme_wires {
    struct pci_bus *pci;
    unsigned slot;
    struct bus *memory;
    struct irq irq;
    struct block *disk; /* the caller's, who closes it before the controller is freed */
    unsigned number;    /* for its serial number: another one for each controller */
    struct log *log;
};

extern const struct device_class nvme_class;

/* NULL when memory ran out or the slot is taken. */
struct nvme *nvme_new(const struct nvme_wires *wires);

#endif
