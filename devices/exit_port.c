/*
 * exit_port.c - ends the run when the guest says so; see exit_port.h.
 */
#include <stdlib.h>

#include "devices/exit_port.h"

#define EXIT_PORT_SIZE 4

struct exit_port {
    void (*ended)(void *opaque, uint32_t status);
    void *opaque;
};

static uint64_t exit_port_read(void *dev, uint64_t addr, unsigned size)
{
    (void)dev;
    (void)addr;
    (void)size;
    return 0;
}

static void exit_port_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct exit_port *port = dev;

    (void)addr;
    (void)size;
    port->ended(port->opaque, (uint32_t)value << 1 | 1);
}

static const struct bus_ops exit_port_ops = {
    .read = exit_port_read,
    .write = exit_port_write,
    .max_size = EXIT_PORT_SIZE,
};

static void exit_port_free(void *dev)
{
    free(dev);
}

static void exit_port_reset(void *dev)
{
    (void)dev;
}

/* It remembers nothing. */
static const struct field exit_port_fields[] = {FIELD_END};

const struct device_class exit_port_class = {
    .name = "exit-port",
    .reset = exit_port_reset,
    .free = exit_port_free,
    .state = exit_port_fields,
};

struct exit_port *exit_port_new(struct bus *ports, uint16_t port,
                                void (*ended)(void *opaque, uint32_t status), void *opaque)
{
    struct exit_port *dev = calloc(1, sizeof(*dev));

    if (!dev)
        return NULL;
    dev->ended = ended;
    dev->opaque = opaque;
    if (!bus_map(ports, "exit-port", port, EXIT_PORT_SIZE, &exit_port_ops, dev)) {
        free(dev);
        return NULL;
    }
    return dev;
}
