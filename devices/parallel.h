/*
 * parallel.h - a standard parallel port with a printer that takes everything at once.
 *
 * Locking: all calls with the machine lock held.
 */
#ifndef DEVICES_PARALLEL_H
#define DEVICES_PARALLEL_H

#include "core/bus.h"
#include "core/chardev.h"
#include "core/device.h"
#include "core/irq.h"

struct parallel;

extern const struct device_class parallel_class;

/*
 * A port at `base` to base+2. What the guest prints goes to `chr`; NULL is a port with the cable pulled out.
 * NULL when memory ran out.
 */
struct parallel *parallel_new(struct bus *ports, uint16_t base, struct irq irq, struct chardev *chr);

#endif
