/*
 * pic.h - the PC's pair of 8259A interrupt controllers, the second cascaded into line 2 of the first.
 *
 * Locking: all calls with the machine lock held.
 */
#ifndef DEVICES_PIC_H
#define DEVICES_PIC_H

#include "core/bus.h"
#include "core/device.h"
#include "core/irq.h"
#include "core/irqchip.h"
#include "core/log.h"

struct pic;

extern const struct device_class pic_class;

/*
 * The pair at ports 0x20, 0xA0 and, for the trigger modes (ELCR), 0x4D0. `out` is INTR towards the CPU or its
 * local APIC. `log` may be NULL. NULL when memory ran out.
 */
struct pic *pic_new(struct bus *ports, struct irq out, struct log *log);

/* Interrupt request line n, 0 to 15. Line 2 is taken by the cascade: driving it has no effect. */
struct irq pic_input(struct pic *pic, int n);

/*
 * The INTA cycle: puts the most urgent request in service and returns its vector, 0 to 255. When the request
 * has gone away meanwhile, the vector is that of line 7 (or 15) and nothing is in service.
 */
int pic_acknowledge(struct pic *pic);

/* For who shows it: what stands at a line, 0 to 15. */
struct pic_line {
    bool high, requested, masked, in_service;
    bool level;     /* -triggered; otherwise by edges */
    uint8_t vector; /* of no use before the chip was initialised */
};
struct pic_line pic_line(const struct pic *pic, unsigned n);
bool pic_initialised(const struct pic *pic, unsigned chip);

/* core/irqchip.h's functions of the same names. */
void pic_lend(void *pic, const struct irqchip_tenant *tenant, struct pic_registers registers[2]);
void pic_take_back(void *pic, const struct pic_registers registers[2]);

#endif
