/*
 * virtio_console.c - the console device (virtio 1.2, 5.3), with several ports.
 *
 * Each port has a pair of queues. Bytes for the guest are taken from the host when the guest has given memory
 * for them, and, of named ports, when somebody there has opened it. What there is to say about ports goes
 * through the control queues, as the driver gives memory for it: a port remembers what it has not yet told.
 */
#include "devices/virtio_console.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/chardev.h"
#include "core/log.h"
#include "devices/virtio.h"

#define QUEUE_SIZE         128u
#define CONTROL_QUEUE_SIZE 64u
#define MOST               (1u << 20) /* bytes a request, far above what drivers send */

#define F_MULTIPORT   (1ull << 1)
#define F_EMERG_WRITE (1ull << 2)

#define CONFIG_PORTS     4
#define CONFIG_EMERGENCY 8
#define CONFIG_SIZE      12

enum { CONTROL_RECEIVE = 2, CONTROL_TRANSMIT = 3 };

/* Control messages (5.3.6.2): port, event, value, and a name. */
#define CONTROL_SIZE 8u
enum control {
    DEVICE_READY,
    DEVICE_ADD,
    DEVICE_REMOVE,
    PORT_READY,
    CONSOLE_PORT,
    RESIZE,
    PORT_OPEN,
    PORT_NAME,
    CONTROLS
};

struct port {
    struct virtio_console *console;
    unsigned number;
    struct chardev *chr;
    char name[VIRTIO_CONSOLE_NAME]; /* "": a console */
    uint16_t to_tell;               /* bits 1 << enum control */
    bool open;                      /* in the guest */
};

struct virtio_console {
    struct virtio virtio;
    struct port port[VIRTIO_CONSOLE_PORTS];
    unsigned ports;
};

static unsigned receive_queue(unsigned port)
{
    return port ? 2 + 2 * port : 0;
}

static bool has_ports(const struct virtio_console *console)
{
    return virtio_has(&console->virtio, F_MULTIPORT);
}

/* --- bytes */

static size_t room(void *opaque)
{
    struct port *port = opaque;
    struct virtio_console *console = port->console;
    struct virtio_chain *chain;
    size_t size;

    if (has_ports(console) ? !port->open : port->number != 0)
        return 0;
    chain = virtio_pop(&console->virtio.queue[receive_queue(port->number)]);
    if (!chain)
        return 0;
    size = chain->in_size;
    virtio_unpop(chain);
    return size;
}

/* `size` is at most what the next chain takes. */
static void receive(void *opaque, const uint8_t *data, size_t size)
{
    struct port *port = opaque;
    struct virtio_queue *queue = &port->console->virtio.queue[receive_queue(port->number)];
    struct virtio_chain *chain = virtio_pop(queue);

    if (!chain)
        return;
    virtio_push(chain, virtio_write(chain, 0, data, size));
    virtio_interrupt(queue);
}

static void transmit(struct port *port, struct virtio_queue *queue)
{
    struct virtio_chain *chain;

    while ((chain = virtio_pop(queue))) {
        if (chain->out_size > MOST)
            virtio_broken(&port->console->virtio, "%zu bytes at once", chain->out_size);
        for (unsigned n = 0; n < chain->out_count && chain->out_size <= MOST; n++)
            chardev_write(port->chr, chain->out[n].iov_base, chain->out[n].iov_len);
        virtio_push(chain, 0);
    }
    virtio_interrupt(queue);
}

/* --- control */

/* One message, if there is memory for it. */
static bool tell(struct port *port, enum control event)
{
    struct virtio_queue *queue = &port->console->virtio.queue[CONTROL_RECEIVE];
    struct virtio_chain *chain = virtio_pop(queue);
    uint8_t message[CONTROL_SIZE + VIRTIO_CONSOLE_NAME] = {0};
    size_t size = CONTROL_SIZE;

    if (!chain)
        return false;
    message[0] = (uint8_t)port->number;
    message[4] = (uint8_t)event;
    message[6] = event == CONSOLE_PORT || event == PORT_OPEN;
    if (event == PORT_NAME) {
        memcpy(message + size, port->name, strlen(port->name));
        size += strlen(port->name);
    }
    virtio_push(chain, virtio_write(chain, 0, message, size));
    virtio_interrupt(queue);
    return true;
}

static void tell_all(struct virtio_console *console)
{
    for (unsigned n = 0; n < console->ports; n++) {
        struct port *port = &console->port[n];

        for (unsigned event = 0; event < CONTROLS; event++) {
            if (!(port->to_tell & 1u << event))
                continue;
            if (!tell(port, (enum control)event))
                return;
            port->to_tell &= (uint16_t) ~(1u << event);
        }
    }
}

static void set_open(struct port *port, bool open)
{
    port->open = open;
    if (open)
        chardev_room_changed(port->chr);
}

/* What the driver says (5.3.6.2.2). */
static void hear(struct virtio_console *console, const uint8_t *message)
{
    unsigned id = message[0] | message[1] << 8 | message[2] << 16 | (unsigned)message[3] << 24;
    unsigned event = message[4] | message[5] << 8, value = message[6] | message[7] << 8;
    struct port *port = id < console->ports ? &console->port[id] : NULL;

    if (event == DEVICE_READY && value) {
        for (unsigned n = 0; n < console->ports; n++)
            console->port[n].to_tell |= 1u << DEVICE_ADD;
    } else if (event == PORT_READY && value && port) {
        port->to_tell |=
            *port->name ? 1u << PORT_NAME | 1u << PORT_OPEN : 1u << CONSOLE_PORT | 1u << PORT_OPEN;
    } else if (event == PORT_OPEN && port) {
        set_open(port, value);
    } else {
        log_at(console->virtio.log, LOG_GUEST, "virtio-console", "event %u of port %u is ignored", event, id);
    }
}

static void hear_all(struct virtio_console *console)
{
    struct virtio_queue *queue = &console->virtio.queue[CONTROL_TRANSMIT];
    uint8_t message[CONTROL_SIZE];
    struct virtio_chain *chain;

    while ((chain = virtio_pop(queue))) {
        if (virtio_read(chain, 0, message, CONTROL_SIZE) == CONTROL_SIZE)
            hear(console, message);
        virtio_push(chain, 0);
    }
    virtio_interrupt(queue);
}

/* --- the driver */

static void notified(void *device, unsigned number)
{
    struct virtio_console *console = device;
    struct virtio_queue *queue = &console->virtio.queue[number];

    if (number == CONTROL_TRANSMIT)
        hear_all(console);
    if (number == CONTROL_TRANSMIT || number == CONTROL_RECEIVE) {
        tell_all(console);
        return;
    }
    struct port *port = &console->port[number < 2 ? 0 : number / 2 - 1];
    if (number % 2)
        transmit(port, queue);
    else
        chardev_room_changed(port->chr);
}

static void started(void *device)
{
    struct virtio_console *console = device;

    chardev_room_changed(console->port[0].chr);
}

static void config_written(void *device, unsigned offset, unsigned size)
{
    struct virtio_console *console = device;

    if (offset <= CONFIG_EMERGENCY && offset + size > CONFIG_EMERGENCY)
        chardev_write(console->port[0].chr, &console->virtio.config[CONFIG_EMERGENCY], 1);
}

static void reset_by_driver(void *device)
{
    struct virtio_console *console = device;

    for (unsigned n = 0; n < console->ports; n++) {
        console->port[n].to_tell = 0;
        console->port[n].open = false;
    }
}

static const struct virtio_class class = {
    .name = "virtio-console",
    .id = VIRTIO_ID_CONSOLE,
    .pci_class = 0x078000,
    .notified = notified,
    .reset = reset_by_driver,
    .started = started,
    .config_written = config_written,
};

/* --- state and construction */

static const struct field port_fields[] = {
    FIELD(struct port, to_tell),
    FIELD(struct port, open),
    FIELD_END,
};

static const struct field virtio_console_fields[] = {
    FIELD_STRUCT(struct virtio_console, virtio, virtio_fields),
    FIELD_STRUCTS(struct virtio_console, port, port_fields),
    FIELD_END,
};

static void virtio_console_reset(void *device)
{
    virtio_reset(&((struct virtio_console *)device)->virtio);
}

static void virtio_console_loaded(void *device)
{
    struct virtio_console *console = device;

    virtio_loaded(&console->virtio);
    for (unsigned n = 0; n < console->ports; n++)
        chardev_room_changed(console->port[n].chr);
}

static void virtio_console_free(void *device)
{
    struct virtio_console *console = device;

    if (!console)
        return;
    for (unsigned n = 0; n < console->ports; n++)
        if (console->port[n].chr)
            console->port[n].chr->receiver = (struct char_receiver){0};
    virtio_free(&console->virtio);
    free(console);
}

const struct device_class virtio_console_class = {
    .name = "virtio-console",
    .reset = virtio_console_reset,
    .loaded = virtio_console_loaded,
    .free = virtio_console_free,
    .state = virtio_console_fields,
};

static void add_ports(struct virtio_console *console, const struct virtio_console_wires *wires)
{
    for (unsigned n = 0; n < wires->ports && n < VIRTIO_CONSOLE_PORTS; n++) {
        struct port *port = &console->port[console->ports++];
        const char *name = wires->port[n].name;

        port->console = console;
        port->number = n;
        port->chr = wires->port[n].chr;
        snprintf(port->name, sizeof(port->name), "%s", name ? name : "");
        if (port->chr)
            port->chr->receiver = (struct char_receiver){room, receive, port};
    }
}

struct virtio_console *virtio_console_new(const struct virtio_console_wires *wires)
{
    struct virtio_console *console = calloc(1, sizeof(*console));

    if (!console)
        return NULL;
    virtio_init(&console->virtio, &class, console, F_MULTIPORT | F_EMERG_WRITE, CONFIG_SIZE);
    add_ports(console, wires);
    for (unsigned n = 0; n < 2 + 2 * console->ports; n++)
        virtio_add_queue(&console->virtio,
                         n == CONTROL_RECEIVE || n == CONTROL_TRANSMIT ? CONTROL_QUEUE_SIZE : QUEUE_SIZE);
    virtio_config_set(&console->virtio, CONFIG_PORTS, console->ports, 4);
    for (unsigned n = 0; n < 4; n++)
        console->virtio.writable[CONFIG_EMERGENCY + n] = 0xFF;
    if (virtio_pci_plug(&console->virtio, &wires->bus))
        return console;
    virtio_console_free(console);
    return NULL;
}
