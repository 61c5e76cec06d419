/*
 * parallel.c - the PC's parallel port in its standard mode (IEEE 1284 compatibility mode).
 *
 * In: ports. Out: a byte to the chardev at each falling edge of STROBE#, and the interrupt line, which pulses
 * with the printer's acknowledgement. The data lines can be read back and turned to input, where nobody
 * drives them. EPP and ECP modes are not there.
 */
#include "devices/parallel.h"

#include <stdlib.h>

enum parallel_register { PARALLEL_DATA, PARALLEL_STATUS, PARALLEL_CONTROL };

#define STATUS_UNUSED   0x07 /* read as 1 */
#define STATUS_ERROR    0x08 /* inverted: 1 is no error */
#define STATUS_SELECTED 0x10
#define STATUS_PAPER    0x20 /* is out */
#define STATUS_ACK      0x40 /* inverted */
#define STATUS_BUSY     0x80 /* inverted: 1 is not busy */
#define STATUS_READY    (STATUS_UNUSED | STATUS_ERROR | STATUS_SELECTED | STATUS_ACK | STATUS_BUSY)
#define STATUS_NOBODY   (STATUS_UNUSED | STATUS_ERROR | STATUS_SELECTED | STATUS_PAPER | STATUS_ACK)

#define CONTROL_STROBE 0x01 /* inverted on the wire, like AUTOFD and SELECT */
#define CONTROL_INIT   0x04
#define CONTROL_SELECT 0x08
#define CONTROL_IRQ    0x10
#define CONTROL_INPUT  0x20
#define CONTROL_MASK   0x3F
#define CONTROL_UNUSED 0xC0 /* read as 1 */

struct parallel {
    struct irq irq;
    struct chardev *chr;

    uint8_t data, control;
};

static void print(struct parallel *port)
{
    chardev_write(port->chr, &port->data, 1);
    if (port->control & CONTROL_IRQ)
        irq_pulse(&port->irq);
}

static uint64_t parallel_read(void *dev, uint64_t addr, unsigned size)
{
    struct parallel *port = dev;

    (void)size;
    switch (addr) {
    case PARALLEL_DATA:
        return port->control & CONTROL_INPUT ? 0xFF : port->data;
    case PARALLEL_STATUS:
        return port->chr ? STATUS_READY : STATUS_NOBODY;
    default:
        return port->control | CONTROL_UNUSED;
    }
}

static void parallel_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct parallel *port = dev;
    bool strobe = port->control & CONTROL_STROBE;

    (void)size;
    if (addr == PARALLEL_DATA) {
        port->data = (uint8_t)value;
    } else if (addr == PARALLEL_CONTROL) {
        port->control = value & CONTROL_MASK;
        if (!strobe && (port->control & CONTROL_STROBE) && port->chr)
            print(port);
    }
}

static const struct bus_ops parallel_ops = {parallel_read, parallel_write, 1};

static const struct field parallel_fields[] = {FIELD(struct parallel, data), FIELD(struct parallel, control),
                                               FIELD_END};

static void parallel_reset(void *device)
{
    struct parallel *port = device;

    port->data = 0;
    port->control = CONTROL_INIT | CONTROL_SELECT;
}

struct parallel *parallel_new(struct bus *ports, uint16_t base, struct irq irq, struct chardev *chr)
{
    struct parallel *port = calloc(1, sizeof(*port));

    if (!port || !bus_map(ports, "parallel", base, 3, &parallel_ops, port)) {
        free(port);
        return NULL;
    }
    port->irq = irq;
    port->chr = chr;
    parallel_reset(port);
    return port;
}

const struct device_class parallel_class = {"parallel", parallel_reset, NULL, free, parallel_fields};
