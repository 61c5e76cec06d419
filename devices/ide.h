/*
 * ide.h - the IDE function of a PIIX3 (8086:7010 at 00:01.1): two channels of two drives each, with bus
 * master DMA.
 *
 * Ports 0x1F0-0x1F7 and 0x3F6 with IRQ 14, 0x170-0x177 and 0x376 with IRQ 15; bus master registers at BAR 4.
 *
 * Locking: all calls with the machine lock held.
 */
#ifndef DEVICES_IDE_H
#define DEVICES_IDE_H

#include "core/block.h"
#include "core/bus.h"
#include "core/device.h"
#include "core/irq.h"
#include "core/log.h"
#include "devices/pci.h"

#define IDE_CHANNELS 2
#define IDE_UNITS    2

struct ide;

extern const struct device_class ide_class;

/*
 * Without drives. `memory` is where bus mastering happens. The slot's function 0 must say that there are more
 * functions. NULL when memory ran out or the place on the PCI bus is taken.
 */
struct ide *ide_new(struct pci_bus *pci, struct bus *ports, struct bus *memory, struct irq irq14,
                    struct irq irq15, struct log *log);

/*
 * Plugs in a drive, channel 0 or 1, unit 0 or 1, before the guest runs. The disk, or the slot with the disc
 * in it, stays the caller's; it is closed before the ide is freed. `slot` gets its hooks here. False when the
 * place is taken or doesn't exist.
 */
bool ide_attach_disk(struct ide *ide, unsigned channel, unsigned unit, struct block *disk);
bool ide_attach_cdrom(struct ide *ide, unsigned channel, unsigned unit, struct block_slot *slot);

#endif
