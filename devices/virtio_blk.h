/*
 * virtio_blk.h - a disk (virtio 1.2, 5.2): any number of requests under way, straight between guest memory
 * and the medium.
 *
 * Locking: all calls with the machine lock held.
 */
#ifndef DEVICES_VIRTIO_BLK_H
#define DEVICES_VIRTIO_BLK_H

#include "core/device.h"
#include "devices/virtio_pci.h"

struct block;
struct virtio_blk;

extern const struct device_class virtio_blk_class;

#define VIRTIO_BLK_QUEUES 16 /* at most */

struct virtio_blk_wires {
    struct virtio_slot bus;
    struct block *medium; /* the caller's, and closed before the device is freed */
    const char *serial;   /* up to 20 characters, copied */
    unsigned queues;      /* 1 to VIRTIO_BLK_QUEUES */
};

/* NULL when memory ran out or the slot is taken. */
struct virtio_blk *virtio_blk_new(const struct virtio_blk_wires *wires);

#endif
