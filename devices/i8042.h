/*
 * i8042.h - the keyboard controller, without keyboard and mouse, and system control port A (0x92).
 */
#ifndef DEVICES_I8042_H
#define DEVICES_I8042_H

#include "core/bus.h"
#include "core/device.h"
#include "core/irq.h"

struct i8042;
struct log;

struct i8042_wires {
    struct irq irq_keyboard; /* IRQ 1 */
    struct irq irq_mouse;    /* IRQ 12 */
    struct irq reset;        /* pulse: the controller or port 0x92 resets the CPU */
    struct irq a20;          /* level: address line 20 passes */
};

extern const struct device_class i8042_class;

/* Maps ports 0x60, 0x64 and 0x92. NULL when memory ran out. */
struct i8042 *i8042_new(struct bus *ports, const struct i8042_wires *wires, struct log *log);

#endif
