/*
 * debug_port.h - ports for guests under development: a byte written is a byte on the console.
 */
#ifndef DEVICES_DEBUG_PORT_H
#define DEVICES_DEBUG_PORT_H

#include "core/bus.h"
#include "core/chardev.h"
#include "core/device.h"

#define DEBUG_PORT          0xE9
#define DEBUG_PORT_FIRMWARE 0x402 /* SeaBIOS and OVMF write here */

struct debug_port;

struct debug_port_wires {
    struct chardev *console;  /* port 0xE9; NULL drops the bytes */
    struct chardev *firmware; /* port 0x402 */
};

extern const struct device_class debug_port_class;

/* Maps its ports. NULL when memory ran out. */
struct debug_port *debug_port_new(struct bus *ports, const struct debug_port_wires *wires);

#endif
