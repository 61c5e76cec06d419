/*
 * virtio_internal.h - what virtio.c, virtio_queue.c and virtio_ring.c share; nobody else includes it.
 */
#ifndef DEVICES_VIRTIO_INTERNAL_H
#define DEVICES_VIRTIO_INTERNAL_H

#include "devices/virtio.h"

extern const struct field virtio_queue_fields[];

/* virtio_queue.c: a queue's memory as its enabled state says, after a load; false when there is none. */
bool virtio_queue_resolve(struct virtio_queue *queue);
void virtio_queue_free(struct virtio_queue *queue);

/* Guest RAM that lies in one piece of the host's; NULL when it doesn't or isn't RAM. */
uint8_t *virtio_memory(struct virtio *virtio, uint64_t address, size_t size);

/*
 * Adds guest memory to a chain that is being built. False: the device is broken now.
 */
bool virtio_chain_add(struct virtio_chain *chain, uint64_t address, uint32_t size, bool written_by_device);

/*
 * virtio_ring.c: what kinds of rings differ in. fetch() adds the next request's descriptors to the chain and
 * moves on; false: the device is broken. put() writes a used element at slot `filled` after next_used, which
 * publish() lets the driver see. wanted() is whether the driver wants an interrupt, given the slots used
 * since.
 */
struct virtio_ring {
    void (*sizes)(const struct virtio_queue *queue, size_t *desc, size_t *driver, size_t *device);
    bool (*available)(struct virtio_queue *queue);
    /* Nothing is available: has the driver notify of the next chain. */
    void (*watch)(struct virtio_queue *queue);
    bool (*fetch)(struct virtio_queue *queue, struct virtio_chain *chain);
    void (*unfetch)(struct virtio_queue *queue, const struct virtio_chain *chain);
    void (*put)(struct virtio_queue *queue, const struct virtio_chain *chain, uint32_t written);
    void (*publish)(struct virtio_queue *queue);
    bool (*wanted)(const struct virtio_queue *queue);
};

const struct virtio_ring *virtio_ring(const struct virtio *virtio);

#endif
