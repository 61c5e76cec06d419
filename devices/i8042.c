/*
 * i8042.c - the PS/2 keyboard controller with its two ports, and system control port A.
 *
 * Controller commands: self test, interface tests, command byte, output port, internal RAM, loop-backs, reset
 * and A20. What they answer is there at once; further answers wait until the guest has read the one before.
 * Bytes from the devices come one at a time, whichever port they are from, each a serial frame's time after
 * the output was emptied or the device had something to say. A byte for a device that isn't plugged in is
 * answered as the controller answers when the clock line stays dead, with 0xFE and the time-out bit, so that
 * probes fail quickly.
 *
 * In: ports 0x60, 0x64, 0x92, two cables. Out: IRQ 1 and 12 while their output is full and enabled, A20
 * (as the last write to either port said), reset pulses.
 *
 * Differences from the chip: input never fills (commands take no time), and passwords are never set.
 */
#include "devices/i8042.h"

#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "devices/ps2_keys.h"

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
#define MODE_TRANSLATE        0x40 /* the keyboard's set 2 to set 1 */

/* Commands; 0x20-0x3F read and 0x60-0x7F write the RAM, 0xF0-0xFF pulse output port bits that are 0. */
#define CMD_TEST_PASSWORD     0xA4
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
#define CMD_READ_TEST_INPUTS  0xE0
#define CMD_PULSE             0xF0

#define OUTPUT_NOT_RESET 0x01
#define OUTPUT_A20       0x02
#define OUTPUT_KEYBOARD  0x10 /* the output is full with the keyboard's byte (the pin behind IRQ 1), */
#define OUTPUT_MOUSE     0x20 /* with the mouse's */

#define CODE_BREAK  0xF0
#define NO_PASSWORD 0xF1

/* A serial frame: 11 bits at the fastest clock, 16.7 kHz (PS/2 technical reference). */
#define FRAME_NS 660000ull
#define REPLIES  16

#define SYSTEM_FAST_RESET 0x01
#define SYSTEM_A20        0x02

enum { KEYBOARD, MOUSE };

struct i8042 {
    struct log *log;
    struct i8042_wires wires;
    struct clock *clock; /* NULL while nothing is plugged in */
    struct ps2_cable port[2];

    uint8_t status, output;
    uint8_t command; /* waiting for its data byte, or 0 */
    uint8_t ram[32];
    uint8_t output_port;
    uint8_t system_port;
    uint8_t reply[REPLIES], reply_flags[REPLIES]; /* the controller's, that wait for the output to be read */
    uint8_t reply_count;
    uint8_t last_port;  /* that sent, for taking turns */
    bool released;      /* translation: the byte before was a break prefix */
    uint64_t frame_end; /* of the byte under way, clock ns; CLOCK_NEVER */
    struct timer frame_timer;
};

static void update_irq(struct i8042 *kbc)
{
    bool full = kbc->status & STATUS_OUTPUT_FULL, mouse = kbc->status & STATUS_MOUSE;

    irq_set(&kbc->wires.irq_keyboard, full && !mouse && (kbc->ram[0] & MODE_IRQ_KEYBOARD));
    irq_set(&kbc->wires.irq_mouse, full && mouse && (kbc->ram[0] & MODE_IRQ_MOUSE));
}

/*
 * Both ports move one latch, and the last write counts. Chip sets that join two latches with an OR leave it
 * to the BIOS to close that of the controller; SeaBIOS, whose int 15h 2400 closes port 0x92 alone, counts on
 * there being one.
 */
static void set_a20(struct i8042 *kbc, bool open)
{
    kbc->output_port = open ? kbc->output_port | OUTPUT_A20 : kbc->output_port & ~OUTPUT_A20;
    kbc->system_port = open ? kbc->system_port | SYSTEM_A20 : kbc->system_port & ~SYSTEM_A20;
    irq_set(&kbc->wires.a20, open);
}

static void put_output(struct i8042 *kbc, uint8_t value, uint8_t flags)
{
    kbc->output = value;
    kbc->status &= ~(STATUS_MOUSE | STATUS_TIMEOUT);
    kbc->status |= STATUS_OUTPUT_FULL | flags;
    update_irq(kbc);
}

/* The controller's answer to a command. */
static void put_reply(struct i8042 *kbc, uint8_t value, uint8_t flags)
{
    if (!(kbc->status & STATUS_OUTPUT_FULL)) {
        put_output(kbc, value, flags);
    } else if (kbc->reply_count < REPLIES) {
        kbc->reply[kbc->reply_count] = value;
        kbc->reply_flags[kbc->reply_count++] = flags;
    } else {
        log_at(kbc->log, LOG_GUEST, "i8042", "answers are never read; one is lost");
    }
}

static bool port_pending(const struct i8042 *kbc, unsigned n)
{
    const struct ps2_cable *port = &kbc->port[n];
    uint8_t disabled = n == MOUSE ? MODE_DISABLE_MOUSE : MODE_DISABLE_KEYBOARD;

    return port->device && !(kbc->ram[0] & disabled) && port->pending(port->device);
}

/* When the output is free: the next answer, or let a device begin to send. */
static void refill_output(struct i8042 *kbc)
{
    if (kbc->status & STATUS_OUTPUT_FULL)
        return;
    if (kbc->reply_count) {
        put_output(kbc, kbc->reply[0], kbc->reply_flags[0]);
        kbc->reply_count--;
        memmove(kbc->reply, kbc->reply + 1, kbc->reply_count);
        memmove(kbc->reply_flags, kbc->reply_flags + 1, kbc->reply_count);
        return;
    }
    if (!kbc->clock || kbc->frame_end != CLOCK_NEVER ||
        (!port_pending(kbc, KEYBOARD) && !port_pending(kbc, MOUSE)))
        return;
    kbc->frame_end = clock_now(kbc->clock) + FRAME_NS;
    timer_arm(&kbc->frame_timer, kbc->frame_end);
}

static void device_ready(void *opaque)
{
    refill_output(opaque);
}

/* A break prefix makes no byte of its own, but sets bit 7 of the next. */
static void take_key_byte(struct i8042 *kbc, uint8_t value)
{
    if (!(kbc->ram[0] & MODE_TRANSLATE)) {
        kbc->released = false;
        put_output(kbc, value, 0);
    } else if (value == CODE_BREAK) {
        kbc->released = true;
    } else {
        put_output(kbc, ps2_translate(value) | (kbc->released ? 0x80 : 0), 0);
        kbc->released = false;
    }
}

/* A frame has arrived. Devices that both wait take turns; an output that filled meanwhile holds them up. */
static void frame_done(void *opaque)
{
    struct i8042 *kbc = opaque;
    unsigned n = kbc->last_port ^ 1;

    kbc->frame_end = CLOCK_NEVER;
    if (kbc->status & STATUS_OUTPUT_FULL)
        return;
    if (!port_pending(kbc, n))
        n ^= 1;
    if (!port_pending(kbc, n))
        return;
    kbc->last_port = n;
    if (n == MOUSE)
        put_output(kbc, kbc->port[n].take(kbc->port[n].device), STATUS_MOUSE);
    else
        take_key_byte(kbc, kbc->port[n].take(kbc->port[n].device));
    refill_output(kbc);
}

/* Sending to a device takes a frame's time as well, before it can answer. */
static void write_port(struct i8042 *kbc, unsigned n, uint8_t value)
{
    struct ps2_cable *port = &kbc->port[n];

    if (!port->device) {
        put_reply(kbc, 0xFE, STATUS_TIMEOUT | (n == MOUSE ? STATUS_MOUSE : 0));
        return;
    }
    port->write(port->device, value);
    if (kbc->frame_end == CLOCK_NEVER)
        return;
    kbc->frame_end = clock_now(kbc->clock) + 2 * FRAME_NS;
    timer_arm(&kbc->frame_timer, kbc->frame_end);
}

static uint8_t read_output_port(const struct i8042 *kbc)
{
    uint8_t full = kbc->status & STATUS_MOUSE ? OUTPUT_MOUSE : OUTPUT_KEYBOARD;

    return kbc->output_port | (kbc->status & STATUS_OUTPUT_FULL ? full : 0);
}

/* The two pins that show a full output follow it and can't be set. */
static void write_output_port(struct i8042 *kbc, uint8_t value)
{
    kbc->output_port = (value & ~(OUTPUT_KEYBOARD | OUTPUT_MOUSE)) | OUTPUT_NOT_RESET;
    set_a20(kbc, value & OUTPUT_A20);
    if (!(value & OUTPUT_NOT_RESET))
        irq_pulse(&kbc->wires.reset);
}

static void write_ram(struct i8042 *kbc, unsigned index, uint8_t value)
{
    kbc->ram[index] = value;
    if (index == 0) {
        kbc->status = (kbc->status & ~STATUS_SYSTEM) | (value & MODE_SYSTEM ? STATUS_SYSTEM : 0);
        update_irq(kbc);
        refill_output(kbc); /* a port may have been enabled */
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
        put_reply(kbc, kbc->ram[command & 31], 0);
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
        put_reply(kbc, 0x00, 0);
        break;
    case CMD_SELF_TEST:
        set_mode(kbc, MODE_SYSTEM, true);
        put_reply(kbc, 0x55, 0);
        break;
    case CMD_READ_INPUT_PORT:
        put_reply(kbc, 0x80, 0); /* not locked */
        break;
    case CMD_READ_OUTPUT_PORT:
        put_reply(kbc, read_output_port(kbc), 0);
        break;
    case CMD_READ_TEST_INPUTS: /* the clock lines: high unless the port is disabled */
        put_reply(kbc,
                  (kbc->ram[0] & MODE_DISABLE_KEYBOARD ? 0 : 1) | (kbc->ram[0] & MODE_DISABLE_MOUSE ? 0 : 2),
                  0);
        break;
    case CMD_TEST_PASSWORD:
        put_reply(kbc, NO_PASSWORD, 0);
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
        put_reply(kbc, value, 0);
        break;
    case CMD_LOOP_MOUSE:
        put_reply(kbc, value, STATUS_MOUSE);
        break;
    case CMD_WRITE_MOUSE: /* sending enables the interface */
        set_mode(kbc, MODE_DISABLE_MOUSE, false);
        write_port(kbc, MOUSE, value);
        break;
    default: /* for the keyboard; likewise */
        set_mode(kbc, MODE_DISABLE_KEYBOARD, false);
        write_port(kbc, KEYBOARD, value);
    }
}

static uint64_t data_read(void *dev, uint64_t addr, unsigned size)
{
    struct i8042 *kbc = dev;
    uint8_t value = kbc->output;

    (void)addr;
    (void)size;
    kbc->status &= ~(STATUS_OUTPUT_FULL | STATUS_MOUSE | STATUS_TIMEOUT);
    update_irq(kbc);
    refill_output(kbc);
    return value;
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
    kbc->system_port = value & SYSTEM_FAST_RESET;
    set_a20(kbc, value & SYSTEM_A20);
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
                                            FIELD_ARRAY(struct i8042, reply),
                                            FIELD_ARRAY(struct i8042, reply_flags),
                                            FIELD(struct i8042, reply_count),
                                            FIELD(struct i8042, last_port),
                                            FIELD(struct i8042, released),
                                            FIELD(struct i8042, frame_end),
                                            FIELD_END};

static void i8042_loaded(void *device)
{
    struct i8042 *kbc = device;

    if (kbc->reply_count > REPLIES)
        kbc->reply_count = REPLIES;
    kbc->last_port &= 1;
    if (kbc->clock)
        timer_arm(&kbc->frame_timer, kbc->frame_end);
    update_irq(kbc);
    set_a20(kbc, kbc->output_port & OUTPUT_A20);
    refill_output(kbc);
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
    kbc->reply_count = 0;
    kbc->last_port = MOUSE;
    kbc->released = false;
    kbc->frame_end = CLOCK_NEVER;
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

static void plug_port(struct i8042 *kbc, unsigned n, struct ps2_cable cable)
{
    kbc->port[n] = cable;
    if (cable.device)
        cable.listen(cable.device, device_ready, kbc);
}

void i8042_plug(struct i8042 *kbc, struct clock *clock, struct ps2_cable keyboard, struct ps2_cable mouse)
{
    kbc->clock = clock;
    timer_init(&kbc->frame_timer, clock, "i8042", frame_done, kbc);
    plug_port(kbc, KEYBOARD, keyboard);
    plug_port(kbc, MOUSE, mouse);
    i8042_loaded(kbc);
}

void i8042_set_up(struct i8042 *kbc)
{
    write_ram(kbc, 0, MODE_IRQ_KEYBOARD | MODE_SYSTEM | MODE_DISABLE_MOUSE | MODE_TRANSLATE);
}

static void i8042_free(void *device)
{
    struct i8042 *kbc = device;

    if (kbc && kbc->clock)
        timer_disarm(&kbc->frame_timer);
    free(kbc);
}

const struct device_class i8042_class = {"i8042", i8042_reset, i8042_loaded, i8042_free, i8042_fields};
