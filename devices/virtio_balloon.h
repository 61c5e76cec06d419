/*
 * virtio_balloon.h - memory that the guest gives back (virtio 1.2, 5.5): as much as the host asks for, and
 * what it reports as free.
 *
 * Locking: all calls with the machine lock held.
 */
#ifndef DEVICES_VIRTIO_BALLOON_H
#define DEVICES_VIRTIO_BALLOON_H

#include "core/device.h"
#include "devices/virtio_pci.h"

struct virtio_balloon;

extern const struct device_class virtio_balloon_class;

struct virtio_balloon_wires {
    struct virtio_slot bus;
    /*
     * Nobody needs what is in these bytes of guest memory, whole pages: they may read as zeroes. `host` is
     * where they are, in a piece of RAM that bus_dma() gave.
     */
    void (*release)(void *opaque, uint8_t *host, size_t size);
    /* The balloon has another size; may be NULL. */
    void (*changed)(void *opaque);
    void *opaque;
};

/* NULL when memory ran out or the slot is taken. */
struct virtio_balloon *virtio_balloon_new(const struct virtio_balloon_wires *wires);

/* How much memory the guest is to put into it, and how much it has; bytes. It gets there when it can. */
void virtio_balloon_set(struct virtio_balloon *balloon, uint64_t bytes);
uint64_t virtio_balloon_size(const struct virtio_balloon *balloon);

/* What the guest said of its memory when it was last asked; UINT64_MAX: it didn't. In bytes, but for the
 * faults. */
enum virtio_balloon_stat {
    BALLOON_SWAP_IN,
    BALLOON_SWAP_OUT,
    BALLOON_MAJOR_FAULTS,
    BALLOON_MINOR_FAULTS,
    BALLOON_FREE,
    BALLOON_TOTAL,
    BALLOON_AVAILABLE,
    BALLOON_CACHES,
    BALLOON_STATS
};
uint64_t virtio_balloon_stat(const struct virtio_balloon *balloon, enum virtio_balloon_stat stat);

/* Asks it again; the answer is there a moment later, if the guest answers. */
void virtio_balloon_ask(struct virtio_balloon *balloon);

#endif
