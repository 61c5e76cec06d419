/*
 * i8042.h - the keyboard controller and system control port A (0x92).
 *
 * Locking: all calls with the machine lock held.
 */
#ifndef DEVICES_I8042_H
#define DEVICES_I8042_H

#include "core/bus.h"
#include "core/clock.h"
#include "core/device.h"
#include "core/irq.h"
#include "devices/ps2.h"

struct i8042;
struct log;

struct i8042_wires {
    struct irq irq_keyboard; /* IRQ 1 */
    struct irq irq_mouse;    /* IRQ 12 */
    struct irq reset;        /* pulse: the controller or port 0x92 resets the CPU */
    struct irq a20;          /* level: address line 20 passes */
};

extern const struct device_class i8042_class;

/* Maps ports 0x60, 0x64 and 0x92, with nothing plugged in. NULL when memory ran out. */
struct i8042 *i8042_new(struct bus *ports, const struct i8042_wires *wires, struct log *log);

/*
 * Plugs in a keyboard and a mouse, once, before the machine runs; a zero cable is nothing. The devices stay
 * their owner's, and nothing may happen to them between their end and the controller's.
 */
void i8042_plug(struct i8042 *kbc, struct clock *clock, struct ps2_cable keyboard, struct ps2_cable mouse);

/*
 * What firmware does after a reset, for guests that are started without any: scan codes translated to set 1,
 * IRQ 1 enabled, the mouse's port off.
 */
void i8042_set_up(struct i8042 *kbc);

#endif
