/*
 * virtio_rng.c - the entropy device (virtio 1.2, 5.4): a queue of memory to be filled with random bytes.
 */
#include "devices/virtio_rng.h"

#include <stdlib.h>

#include "devices/virtio.h"

#define QUEUE_SIZE 64u
#define MOST       65536u /* bytes a request: a driver that wants more asks again (5.4.6.2) */

struct virtio_rng {
    struct virtio virtio;
    struct virtio_rng_wires wires;
};

static size_t fill(struct virtio_rng *rng, struct virtio_chain *chain)
{
    size_t size = chain->in_size < MOST ? chain->in_size : MOST, done = 0;

    while (done < size) {
        uint64_t number = rng->wires.random(rng->wires.random_opaque);
        done += virtio_write(chain, done, &number, size - done < 8 ? size - done : 8);
    }
    return done;
}

static void notified(void *device, unsigned number)
{
    struct virtio_rng *rng = device;
    struct virtio_queue *queue = &rng->virtio.queue[number];
    struct virtio_chain *chain;

    while ((chain = virtio_pop(queue)))
        virtio_push(chain, fill(rng, chain));
    virtio_interrupt(queue);
}

/* It keeps nothing. */
static void reset_by_driver(void *device)
{
    (void)device;
}

static const struct virtio_class class = {
    .name = "virtio-rng",
    .id = VIRTIO_ID_RNG,
    .pci_class = 0x00FF00,
    .notified = notified,
    .reset = reset_by_driver,
};

static const struct field virtio_rng_fields[] = {
    FIELD_STRUCT(struct virtio_rng, virtio, virtio_fields),
    FIELD_END,
};

static void virtio_rng_reset(void *device)
{
    virtio_reset(&((struct virtio_rng *)device)->virtio);
}

static void virtio_rng_loaded(void *device)
{
    virtio_loaded(&((struct virtio_rng *)device)->virtio);
}

static void virtio_rng_free(void *device)
{
    struct virtio_rng *rng = device;

    if (rng)
        virtio_free(&rng->virtio);
    free(rng);
}

const struct device_class virtio_rng_class = {
    .name = "virtio-rng",
    .reset = virtio_rng_reset,
    .loaded = virtio_rng_loaded,
    .free = virtio_rng_free,
    .state = virtio_rng_fields,
};

struct virtio_rng *virtio_rng_new(const struct virtio_rng_wires *wires)
{
    struct virtio_rng *rng = calloc(1, sizeof(*rng));

    if (!rng)
        return NULL;
    rng->wires = *wires;
    virtio_init(&rng->virtio, &class, rng, 0, 0);
    virtio_add_queue(&rng->virtio, QUEUE_SIZE);
    if (virtio_pci_plug(&rng->virtio, &wires->bus))
        return rng;
    virtio_rng_free(rng);
    return NULL;
}
