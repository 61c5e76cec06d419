/*
 * ne2k_internal.h - the controller that the ISA and the PCI card share. For devices/ne2k*.c alone. Names are
 * those of National's DP8390D/NS32490D data sheet; the RTL8029AS's own registers those of its data sheet.
 */
#ifndef DEVICES_NE2K_INTERNAL_H
#define DEVICES_NE2K_INTERNAL_H

#include "core/bus.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/net.h"
#include "devices/ne2k.h"

#define NE2K_RAM_BASE 0x4000u
#define NE2K_RAM_SIZE 0x4000u
#define NE2K_REGIONS  3 /* registers, data, reset */

struct ne2k {
    struct ne2k_wires wires;
    bool realtek; /* an RTL8029AS: the data port has 32 bits, and there is a page 3 */
    struct region *region[NE2K_REGIONS];
    struct timer reminder;
    uint8_t prom[16]; /* not state: the address never changes */

    uint8_t cr, isr, imr, dcr, tcr, rcr, tsr, rsr;
    uint8_t pstart, pstop, bnry, curr, tpsr; /* pages of 256 bytes */
    uint16_t tbcr, rsar, rbcr, crda, clda;
    uint8_t counter[3];      /* errors: frame alignment, check sequence, missed */
    uint8_t par[6], mar[8];  /* physical address, multicast table */
    uint8_t cr9346, config3; /* page 3 */
    uint8_t ram[NE2K_RAM_SIZE];
};

extern const struct field ne2k_fields[];

/* Maps the ports at `base` and plugs the cable in. False when memory ran out; ne2k_unwire() in any case. */
bool ne2k_wire(struct ne2k *card, const struct ne2k_wires *wires, uint16_t base);
void ne2k_unwire(struct ne2k *card);
void ne2k_move(struct ne2k *card, uint64_t base, bool enabled);

/* What power does, and what reset does. */
void ne2k_power_on(struct ne2k *card);
void ne2k_update_irq(struct ne2k *card);

#endif
