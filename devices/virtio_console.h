/*
 * virtio_console.h - consoles and named ports (virtio 1.2, 5.3), each a stream of bytes to the host.
 *
 * Locking: all calls with the machine lock held.
 */
#ifndef DEVICES_VIRTIO_CONSOLE_H
#define DEVICES_VIRTIO_CONSOLE_H

#include "core/device.h"
#include "devices/virtio_pci.h"

struct chardev;
struct virtio_console;

extern const struct device_class virtio_console_class;

#define VIRTIO_CONSOLE_PORTS 16 /* at most */
#define VIRTIO_CONSOLE_NAME  64 /* characters at most */

struct virtio_console_port {
    struct chardev
        *chr; /* the caller's; its receiver is the device as long as there is one; NULL: leads nowhere */
    const char *name; /* copied; NULL: a console, hvc0 and so on for Linux */
};

struct virtio_console_wires {
    struct virtio_slot bus;
    /* The first is the one that drivers without multiport support see. */
    struct virtio_console_port port[VIRTIO_CONSOLE_PORTS];
    unsigned ports; /* at least one */
};

/* NULL when memory ran out or the slot is taken. */
struct virtio_console *virtio_console_new(const struct virtio_console_wires *wires);

#endif
