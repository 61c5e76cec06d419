/*
 * exit_port.h - a port through which a guest ends the run with a status of its choice, for kernels' test
 * suites.
 *
 * Compatible with the device that OS developers know from other emulators as isa-debug-exit.
 */
#ifndef DEVICES_EXIT_PORT_H
#define DEVICES_EXIT_PORT_H

#include "core/bus.h"
#include "core/device.h"

#define EXIT_PORT_DEFAULT 0xF4

struct exit_port;

extern const struct device_class exit_port_class;

/*
 * Four ports from `port` on. A write of `value` calls `ended` with (value << 1) | 1, which a host shows
 * modulo 256; machine lock held. NULL when memory ran out.
 */
struct exit_port *exit_port_new(struct bus *ports, uint16_t port,
                                void (*ended)(void *opaque, uint32_t status), void *opaque);

#endif
