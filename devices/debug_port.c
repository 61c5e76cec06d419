/*
 * debug_port.c - ports 0xE9 (as Bochs has it) and 0x402: bytes written go to a character device, reads give
 * 0xE9 so that a guest can tell the port is there.
 */
#include "devices/debug_port.h"

#include <stdlib.h>

#define MAGIC 0xE9 /* what both ports read as */

struct debug_port {
    struct debug_port_wires wires;
};

static uint64_t magic_read(void *dev, uint64_t addr, unsigned size)
{
    (void)dev;
    (void)addr;
    (void)size;
    return MAGIC;
}

static void console_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct debug_port *port = dev;
    uint8_t byte = value;

    (void)addr;
    (void)size;
    chardev_write(port->wires.console, &byte, 1);
}

static void firmware_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct debug_port *port = dev;
    uint8_t byte = value;

    (void)addr;
    (void)size;
    chardev_write(port->wires.firmware, &byte, 1);
}

static const struct bus_ops console_ops = {magic_read, console_write, 1};
static const struct bus_ops firmware_ops = {magic_read, firmware_write, 1};

static const struct field debug_port_fields[] = {FIELD_END};

static void debug_port_reset(void *device)
{
    (void)device;
}

struct debug_port *debug_port_new(struct bus *ports, const struct debug_port_wires *wires)
{
    struct debug_port *port = calloc(1, sizeof(*port));

    if (!port || !bus_map(ports, "debug-console", DEBUG_PORT, 1, &console_ops, port) ||
        !bus_map(ports, "debug-firmware", DEBUG_PORT_FIRMWARE, 1, &firmware_ops, port)) {
        free(port);
        return NULL;
    }
    port->wires = *wires;
    return port;
}

const struct device_class debug_port_class = {"debug_port", debug_port_reset, NULL, free, debug_port_fields};
