/*
 * i8042.c - the PS/2 keyboard controller with nothing plugged in, and system control port A.
 *
 * Controller commands work: self test, interface tests, command byte, output port, internal RAM, loop-backs,
 * reset and A20. There is no keyboard or mouse: a byte sent to one is answered as the controller answers when
 * its clock line stays dead, with 0xFE and the time-out bit, so that probes fail quickly.
 *
 * In: ports 0x60, 0x64, 0x92. Out: IRQ 1 and 12 while their output is full and enabled, A20 (either port's
 * gate opens it), reset pulses.
 */
#include "devices/i8042.h"

#include <stdlib.h>
#include <string.h>

#include "core/log.h"

#define PORT_DATA   0x60
#define PORT_STATUS 0x64
#define PORT_SYSTEM 0x92

#define STATUS_OUTPUT_FULL 0x01
#define STATUS_SYSTEM      0x04
#define STATUS_COMMAND     0x08 /* the last write was to port 0x64 */
#define STATUS_UNLOCKED    0x10
#define STATUS_MOUSE       0x20 /* the output is the mouse's */
#define STATUS_TIMEOUT     0x40

/* Command byte: byte 0 of the controller's RAM */
#define MODE_IRQ_KEYBOARD     0x01
#define MODE_IRQ_MOUSE        0x02
#define MODE_SYSTEM           0x04
#define MODE_DISABLE_KEYBOARD 0x10
#define MODE_DISABLE_MOUSE    0x20

/* Commands; 0x20-0x3F read and 0x60-0x7F write the RAM, 0xF0-0xFF pulse output port bits that are 0. */
#define CMD_DISABLE_MOUSE     0xA7
#define CMD_ENABLE_MOUSE      0xA8
#define CMD_TEST_MOUSE        0xA9
#define CMD_SELF_TEST         0xAA
#define CMD_TEST_KEYBOARD     0xAB
#define CMD_DISABLE_KEYBOARD  0xAD
#define CMD_ENABLE_KEYBOARD   0xAE
#define CMD_READ_INPUT_PORT   0xC0
#define CMD_READ_OUTPUT_PORT  0xD0
#define CMD_WRITE_OUTPUT_PORT 0xD1
#define CMD_LOOP_KEYBOARD     0xD2
#define CMD_LOOP_MOUSE        0xD3
#define CMD_WRITE_MOUSE       0xD4
#define CMD_CLOSE_A20         0xDD
#define CMD_OPEN_A20          0xDF
#define CMD_PULSE             0xF0

#define OUTPUT_NOT_RESET 0x01
#define OUTPUT_A20       0x02

#define SYSTEM_FAST_RESET 0x01
#define SYSTEM_A20        0x02

struct i8042 {
    struct log *log;
    struct i8042_wires wires;

    uint8_t status, output;
    uint8_t command; /* waiting for its data byte, or 0 */
    uint8_t ram[32];
    uint8_t output_port;
    uint8_t system_port;
};

static void update_irq(struct i8042 *kbc)
{
    bool full = kbc->status & STATUS_OUTPUT_FULL, mouse = kbc->status & STATUS_MOUSE;

    irq_set(&kbc->wires.irq_keyboard, full && !mouse && (kbc->ram[0] & MODE_IRQ_KEYBOARD));
    irq_set(&kbc->wires.irq_mouse, full && mouse && (kbc->ram[0] & MODE_IRQ_MOUSE));
}

static void update_a20(struct i8042 *kbc)
{
    irq_set(&kbc->wires.a20, (kbc->output_port & OUTPUT_A20) || (kbc->system_port & SYSTEM_A20));
}

static void put_output(struct i8042 *kbc, uint8_t value, uint8_t flags)
{
    kbc->output = value;
    kbc->status &= ~(STATUS_MOUSE | STATUS_TIMEOUT);
    kbc->status |= STATUS_OUTPUT_FULL | flags;
    update_irq(kbc);
}

static void write_output_port(struct i8042 *kbc, uint8_t value)
{
    kbc->output_port = value | OUTPUT_NOT_RESET;
    update_a20(kbc);
    if (!(value & OUTPUT_NOT_RESET))
        irq_pulse(&kbc->wires.reset);
}

static void write_ram(struct i8042 *kbc, unsigned index, uint8_t value)
{
    kbc->ram[index] = value;
    if (index == 0) {
        kbc->status = (kbc->status & ~STATUS_SYSTEM) | (value & MODE_SYSTEM ? STATUS_SYSTEM : 0);
        update_irq(kbc);
    }
}

static void set_mode(struct i8042 *kbc, uint8_t bits, bool set)
{
    write_ram(kbc, 0, set ? kbc->ram[0] | bits : kbc->ram[0] & ~bits);
}

static void write_command(struct i8042 *kbc, uint8_t command)
{
    kbc->command = 0;
    switch (command) {
    case 0x20 ... 0x3F:
        put_output(kbc, kbc->ram[command & 31], 0);
        break;
    case 0x60 ... 0x7F:
    case CMD_WRITE_OUTPUT_PORT:
    case CMD_LOOP_KEYBOARD:
    case CMD_LOOP_MOUSE:
    case CMD_WRITE_MOUSE:
        kbc->command = command;
        break;
    case CMD_DISABLE_MOUSE:
    case CMD_ENABLE_MOUSE:
        set_mode(kbc, MODE_DISABLE_MOUSE, command == CMD_DISABLE_MOUSE);
        break;
    case CMD_DISABLE_KEYBOARD:
    case CMD_ENABLE_KEYBOARD:
        set_mode(kbc, MODE_DISABLE_KEYBOARD, command == CMD_DISABLE_KEYBOARD);
        break;
    case CMD_TEST_MOUSE:
    case CMD_TEST_KEYBOARD:
        put_output(kbc, 0x00, 0);
        break;
    case CMD_SELF_TEST:
        set_mode(kbc, MODE_SYSTEM, true);
        put_output(kbc, 0x55, 0);
        break;
    case CMD_READ_INPUT_PORT:
        put_output(kbc, 0x80, 0);
        break;
    case CMD_READ_OUTPUT_PORT:
        put_output(kbc, kbc->output_port, 0);
        break;
    case CMD_CLOSE_A20:
    case CMD_OPEN_A20:
        write_output_port(kbc, command == CMD_OPEN_A20 ? kbc->output_port | OUTPUT_A20
                                                       : kbc->output_port & ~OUTPUT_A20);
        break;
    case CMD_PULSE ... CMD_PULSE + 15:
        if (!(command & OUTPUT_NOT_RESET))
            irq_pulse(&kbc->wires.reset);
        break;
    default:
        log_at(kbc->log, LOG_GUEST, "i8042", "unknown command 0x%02x", command);
    }
}

static void write_data(struct i8042 *kbc, uint8_t value)
{
    uint8_t command = kbc->command;

    kbc->command = 0;
    switch (command) {
    case 0x60 ... 0x7F:
        write_ram(kbc, command & 31, value);
        break;
    case CMD_WRITE_OUTPUT_PORT:
        write_output_port(kbc, value);
        break;
    case CMD_LOOP_KEYBOARD:
        put_output(kbc, value, 0);
        break;
    case CMD_LOOP_MOUSE:
        put_output(kbc, value, STATUS_MOUSE);
        break;
    case CMD_WRITE_MOUSE:
        put_output(kbc, 0xFE, STATUS_MOUSE | STATUS_TIMEOUT);
        break;
    default: /* for the keyboard; sending enables its interface */
        set_mode(kbc, MODE_DISABLE_KEYBOARD, false);
        put_output(kbc, 0xFE, STATUS_TIMEOUT);
    }
}

static uint64_t data_read(void *dev, uint64_t addr, unsigned size)
{
    struct i8042 *kbc = dev;

    (void)addr;
    (void)size;
    kbc->status &= ~(STATUS_OUTPUT_FULL | STATUS_MOUSE | STATUS_TIMEOUT);
    update_irq(kbc);
    return kbc->output;
}

static void data_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct i8042 *kbc = dev;

    (void)addr;
    (void)size;
    kbc->status &= ~STATUS_COMMAND;
    write_data(kbc, value);
}

static uint64_t status_read(void *dev, uint64_t addr, unsigned size)
{
    struct i8042 *kbc = dev;

    (void)addr;
    (void)size;
    return kbc->status;
}

static void status_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct i8042 *kbc = dev;

    (void)addr;
    (void)size;
    kbc->status |= STATUS_COMMAND;
    write_command(kbc, value);
}

static uint64_t system_read(void *dev, uint64_t addr, unsigned size)
{
    struct i8042 *kbc = dev;

    (void)addr;
    (void)size;
    return kbc->system_port;
}

static void system_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct i8042 *kbc = dev;
    bool rising = (value & SYSTEM_FAST_RESET) && !(kbc->system_port & SYSTEM_FAST_RESET);

    (void)addr;
    (void)size;
    kbc->system_port = value & (SYSTEM_FAST_RESET | SYSTEM_A20);
    update_a20(kbc);
    if (rising)
        irq_pulse(&kbc->wires.reset);
}

static const struct bus_ops data_ops = {data_read, data_write, 1};
static const struct bus_ops status_ops = {status_read, status_write, 1};
static const struct bus_ops system_ops = {system_read, system_write, 1};

static const struct field i8042_fields[] = {FIELD(struct i8042, status),
                                            FIELD(struct i8042, output),
                                            FIELD(struct i8042, command),
                                            FIELD_ARRAY(struct i8042, ram),
                                            FIELD(struct i8042, output_port),
                                            FIELD(struct i8042, system_port),
                                            FIELD_END};

static void i8042_loaded(void *device)
{
    update_irq(device);
    update_a20(device);
}

static void i8042_reset(void *device)
{
    struct i8042 *kbc = device;

    kbc->status = STATUS_UNLOCKED;
    kbc->output = 0;
    kbc->command = 0;
    memset(kbc->ram, 0, sizeof(kbc->ram));
    kbc->ram[0] = MODE_DISABLE_KEYBOARD | MODE_DISABLE_MOUSE;
    kbc->output_port =
        0xCC | OUTPUT_NOT_RESET | OUTPUT_A20; /* pins float high; the CPU fetches above 1 MiB */
    kbc->system_port = 0;
    i8042_loaded(kbc);
}

struct i8042 *i8042_new(struct bus *ports, const struct i8042_wires *wires, struct log *log)
{
    struct i8042 *kbc = calloc(1, sizeof(*kbc));

    if (!kbc || !bus_map(ports, "i8042-data", PORT_DATA, 1, &data_ops, kbc) ||
        !bus_map(ports, "i8042-command", PORT_STATUS, 1, &status_ops, kbc) ||
        !bus_map(ports, "system-control", PORT_SYSTEM, 1, &system_ops, kbc)) {
        free(kbc);
        return NULL;
    }
    kbc->log = log;
    kbc->wires = *wires;
    i8042_reset(kbc);
    return kbc;
}

const struct device_class i8042_class = {"i8042", i8042_reset, i8042_loaded, free, i8042_fields};
