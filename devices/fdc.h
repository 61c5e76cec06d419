/*
 * fdc.h - 82077AA floppy disk controller with two drives, as a PC/AT has it.
 *
 * Locking: all calls with the machine lock held.
 */
#ifndef DEVICES_FDC_H
#define DEVICES_FDC_H

#include <stdint.h>

#include "core/block.h"
#include "core/bus.h"
#include "core/clock.h"
#include "core/device.h"
#include "core/irq.h"
#include "core/log.h"
#include "devices/dma.h"

struct fdc;

extern const struct device_class fdc_class;

/* Drives, numbered as CMOS RAM has them. */
enum fdc_drive_type {
    FDC_NO_DRIVE,
    FDC_360K,  /* 5.25 inch, 40 tracks */
    FDC_1200K, /* 5.25 inch, 80 tracks; steps twice for a disk with 40 */
    FDC_720K,  /* 3.5 inch */
    FDC_1440K,
    FDC_2880K,
};

struct fdc_wires {
    struct irq irq;              /* IRQ 6 */
    struct dma *dma;             /* channel 2; NULL: guests are left with non-DMA mode */
    struct block_slot *drive[2]; /* NULL: no such drive; the controller takes the slot's callbacks */
    enum fdc_drive_type
        type[2]; /* FDC_NO_DRIVE beside a slot: the type that suits the medium, 1.44M when empty */
};

/*
 * Ports 0x3F2 to 0x3F5 and 0x3F7; 0x3F6 is the disk controller's, and an AT decodes no 0x3F0 and 0x3F1. `log`
 * may be NULL. NULL when memory ran out.
 */
struct fdc *fdc_new(struct clock *clock, struct bus *ports, const struct fdc_wires *wires, struct log *log);

/* What firmware looks for in CMOS RAM at 0x10: drive 0's type in the high half, drive 1's in the low one. */
uint8_t fdc_cmos_types(const struct fdc *fdc);

#endif
