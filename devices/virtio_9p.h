/*
 * virtio_9p.h - a folder of the host that the guest mounts by its tag: 9P2000.L messages over one queue.
 */
#ifndef DEVICES_VIRTIO_9P_H
#define DEVICES_VIRTIO_9P_H

#include "core/device.h"
#include "devices/virtio.h"

struct share;
struct virtio_9p;

extern const struct device_class virtio_9p_class;

/* The share stays the caller's, who closes it after the device is gone. NULL when memory ran out or the slot
 * is taken. */
struct virtio_9p *virtio_9p_new(const struct virtio_slot *slot, struct share *share);

#endif
