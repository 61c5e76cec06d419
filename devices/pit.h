/*
 * pit.h - the 8254 interval timer, and port 0x61 which gates its third channel.
 *
 * Locking: all calls with the machine lock held.
 */
#ifndef DEVICES_PIT_H
#define DEVICES_PIT_H

#include "core/bus.h"
#include "core/clock.h"
#include "core/device.h"
#include "core/irq.h"
#include "core/log.h"

#define PIT_HZ 1193182ull

struct pit;

extern const struct device_class pit_class;

/* The timer at ports 0x40 and 0x61; `irq0` is OUT of channel 0. `log` may be NULL. NULL when memory ran out.
 */
struct pit *pit_new(struct clock *clock, struct bus *ports, struct irq irq0, struct log *log);

#endif
