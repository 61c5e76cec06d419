/*
 * virtio_net.h - a network card (virtio 1.2, 5.1): checksums and segmentation left to the network, received
 * segments put together, several pairs of queues.
 *
 * Locking: all calls with the machine lock held.
 */
#ifndef DEVICES_VIRTIO_NET_H
#define DEVICES_VIRTIO_NET_H

#include "core/device.h"
#include "devices/virtio_pci.h"

struct clock;
struct net;
struct virtio_net;

#define VIRTIO_NET_PAIRS 16 /* at most */

extern const struct device_class virtio_net_class;

struct virtio_net_wires {
    struct virtio_slot bus;
    struct clock *clock;
    struct net *net; /* its receiver is the card, as long as there is one; the caller's */
    uint8_t mac[6];
    unsigned pairs; /* of queues, 1 to VIRTIO_NET_PAIRS */
};

/* NULL when memory ran out or the slot is taken. */
struct virtio_net *virtio_net_new(const struct virtio_net_wires *wires);

#endif
