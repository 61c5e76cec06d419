/*
 * virtio_rng.h - a source of randomness (virtio 1.2, 5.4).
 *
 * Locking: all calls with the machine lock held.
 */
#ifndef DEVICES_VIRTIO_RNG_H
#define DEVICES_VIRTIO_RNG_H

#include "core/device.h"
#include "devices/virtio_pci.h"

struct virtio_rng;

extern const struct device_class virtio_rng_class;

struct virtio_rng_wires {
    struct virtio_slot bus;
    uint64_t (*random)(void *opaque); /* 64 bits, good enough for keys */
    void *random_opaque;
};

/* NULL when memory ran out or the slot is taken. */
struct virtio_rng *virtio_rng_new(const struct virtio_rng_wires *wires);

#endif
