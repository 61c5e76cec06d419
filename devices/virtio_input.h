/*
 * virtio_input.h - a keyboard, a mouse or a tablet (virtio 1.2, 5.8). A tablet is a pointer whose place is
 * absolute, so that the desktop's pointer can be the guest's.
 *
 * Locking: all calls with the machine lock held.
 */
#ifndef DEVICES_VIRTIO_INPUT_H
#define DEVICES_VIRTIO_INPUT_H

#include "core/device.h"
#include "core/input.h"
#include "devices/virtio_pci.h"

struct virtio_input;

extern const struct device_class virtio_input_class;

enum virtio_input_kind { VIRTIO_KEYBOARD, VIRTIO_MOUSE, VIRTIO_TABLET };

struct virtio_input_wires {
    struct virtio_slot bus;
    enum virtio_input_kind kind;
    /* A driver begins or ends to use it; may be NULL. */
    void (*used)(void *opaque, bool used);
    void *opaque;
};

/* NULL when memory ran out or the slot is taken. */
struct virtio_input *virtio_input_new(const struct virtio_input_wires *wires);

/* Where a viewer sends keys or motion: the functions of what it isn't are NULL. */
struct input_sink virtio_input_sink(struct virtio_input *input);

/* A driver uses it. */
bool virtio_input_used(const struct virtio_input *input);

#endif
