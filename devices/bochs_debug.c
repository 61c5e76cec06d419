/*
 * bochs_debug.c - the I/O interface to a debugger (Bochs's developer documentation, "I/O Interface to Bochs
 * Debugger").
 *
 * A command is a word written to the first port; nothing counts before CMD_ENABLE. The second port shifts a
 * word into the chosen register from below. Traces of instructions and registers aren't to be had this way.
 */
#include "devices/bochs_debug.h"

#include <stdlib.h>

#define CMD_ENABLE        0x8A00 /* what the port then reads as, too */
#define CMD_START         0x8A01 /* choose the register: first address watched, */
#define CMD_END           0x8A02 /* and the one behind the last */
#define CMD_WATCH         0x8A80 /* what the registers say; they become 0 */
#define CMD_STOP          0x8AE0
#define CMD_TRACE_OFF     0x8AE2
#define CMD_TRACE_ON      0x8AE3
#define CMD_REGISTERS_OFF 0x8AE4
#define CMD_REGISTERS_ON  0x8AE5
#define CMD_DISABLE       0x8AFF /* and watch no longer */

struct bochs_debug {
    struct bochs_debug_wires wires;
    struct log *log;

    bool enabled;
    uint8_t chosen;
    uint32_t reg[2]; /* start, end */
};

static void watch(struct bochs_debug *d)
{
    if (d->reg[0] < d->reg[1] && d->wires.watch)
        d->wires.watch(d->wires.opaque, d->reg[0], d->reg[1]);
    d->reg[0] = d->reg[1] = 0;
}

static void disable(struct bochs_debug *d)
{
    d->enabled = false;
    if (d->wires.forget)
        d->wires.forget(d->wires.opaque);
}

static void command(struct bochs_debug *d, uint16_t value)
{
    switch (value) {
    case CMD_START:
    case CMD_END:
        d->chosen = value - CMD_START;
        break;
    case CMD_WATCH:
        watch(d);
        break;
    case CMD_STOP:
        if (d->wires.stop)
            d->wires.stop(d->wires.opaque);
        break;
    case CMD_DISABLE:
        disable(d);
        break;
    case CMD_TRACE_ON:
    case CMD_REGISTERS_ON:
        log_at(d->log, LOG_GUEST, "bochs-debug",
               "the guest asks for a trace of %s, which there isn't; see --history",
               value == CMD_TRACE_ON ? "instructions" : "registers");
        break;
    case CMD_ENABLE:
    case CMD_TRACE_OFF:
    case CMD_REGISTERS_OFF:
        break;
    default:
        log_at(d->log, LOG_GUEST, "bochs-debug", "there is no command %04x", value);
    }
}

static uint64_t port_read(void *dev, uint64_t addr, unsigned size)
{
    const struct bochs_debug *d = dev;

    return addr == 0 && size == 2 && d->enabled ? CMD_ENABLE : 0;
}

static void port_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct bochs_debug *d = dev;

    if (size != 2 || addr > 2)
        return;
    if (addr == 0 && value == CMD_ENABLE)
        d->enabled = true;
    if (!d->enabled)
        return;
    if (addr == 0)
        command(d, (uint16_t)value);
    else if (addr == 1)
        d->reg[d->chosen] = d->reg[d->chosen] << 16 | (uint16_t)value;
}

static const struct bus_ops port_ops = {port_read, port_write, 2};

static void bochs_debug_reset(void *device)
{
    struct bochs_debug *d = device;

    disable(d);
    d->chosen = 0;
    d->reg[0] = d->reg[1] = 0;
}

static const struct field bochs_debug_fields[] = {
    FIELD(struct bochs_debug, enabled),
    FIELD(struct bochs_debug, chosen),
    FIELD_ARRAY(struct bochs_debug, reg),
    FIELD_END,
};

struct bochs_debug *bochs_debug_new(struct bus *ports, const struct bochs_debug_wires *wires, struct log *log)
{
    struct bochs_debug *d = calloc(1, sizeof(*d));

    if (!d || !bus_map(ports, "bochs-debug", BOCHS_DEBUG_PORT, 3, &port_ops, d)) {
        free(d);
        return NULL;
    }
    d->wires = *wires;
    d->log = log;
    return d;
}

const struct device_class bochs_debug_class = {"bochs-debug", bochs_debug_reset, NULL, free,
                                               bochs_debug_fields};
