/*
 * virtio_9p.c - the transport of a shared folder, as Linux's 9pnet_virtio wants it: a queue of requests, each
 * a message in what the device reads and room for its answer in what it writes; the tag in the configuration
 * space. The protocol is the server's (core/share.h), which works on the guest's memory directly.
 */
#include "devices/virtio_9p.h"

#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/share.h"

#define QUEUE_SIZE  128
#define F_MOUNT_TAG 0x1

#define CONFIG_TAG_LENGTH 0 /* 16 bits */
#define CONFIG_TAG        2

/* A message under way. */
struct request {
    struct share_request share;
    struct virtio_9p *device;
    struct virtio_chain *chain;
    struct request *next, *previous;
};

struct virtio_9p {
    struct virtio virtio;
    struct share *share;
    struct request *under_way;
};

static void take_out(struct request *request)
{
    *(request->previous ? &request->previous->next : &request->device->under_way) = request->next;
    if (request->next)
        request->next->previous = request->previous;
    free(request);
}

static void done(struct share_request *share, size_t size)
{
    struct request *request = share->opaque;
    struct virtio_queue *queue = request->chain->queue;

    if (!size)
        log_at(queue->virtio->log, LOG_GUEST, "virtio-9p",
               "a request that is no 9P message, or has no room for an answer");
    virtio_push(request->chain, size);
    virtio_interrupt(queue);
    take_out(request);
}

static void submit(struct virtio_9p *device, struct virtio_chain *chain)
{
    struct request *request = malloc(sizeof(*request));

    if (!request) {
        virtio_push(chain, 0); /* no answer: the client sees an error */
        return;
    }
    *request = (struct request){
        .share = {.in = chain->out,
                  .in_count = chain->out_count,
                  .out = chain->in,
                  .out_count = chain->in_count,
                  .done = done,
                  .opaque = request},
        .device = device,
        .chain = chain,
        .next = device->under_way,
    };
    if (request->next)
        request->next->previous = request;
    device->under_way = request;
    share_submit(device->share, &request->share);
}

static void notified(void *opaque, unsigned queue)
{
    struct virtio_9p *device = opaque;
    struct virtio_chain *chain;

    while ((chain = virtio_pop(&device->virtio.queue[queue])))
        submit(device, chain);
}

/* The server's threads are out of the guest's memory before this returns. */
static void forget(void *opaque)
{
    struct virtio_9p *device = opaque;

    share_reset(device->share);
    while (device->under_way) {
        virtio_drop(device->under_way->chain);
        take_out(device->under_way);
    }
}

static const struct virtio_class virtio_9p_virtio_class = {
    .name = "virtio-9p",
    .id = VIRTIO_ID_9P,
    .pci_class = 0x018000, /* mass storage, other */
    .notified = notified,
    .reset = forget,
};

static void virtio_9p_reset(void *opaque)
{
    virtio_reset(&((struct virtio_9p *)opaque)->virtio);
}

static void virtio_9p_loaded(void *opaque)
{
    virtio_loaded(&((struct virtio_9p *)opaque)->virtio);
}

static void virtio_9p_free(void *opaque)
{
    struct virtio_9p *device = opaque;

    forget(device);
    virtio_free(&device->virtio);
    free(device);
}

/* What the client has open is the server's; a driver that goes on elsewhere finds it closed. */
static const struct field virtio_9p_fields[] = {
    FIELD_STRUCT(struct virtio_9p, virtio, virtio_fields),
    FIELD_END,
};

const struct device_class virtio_9p_class = {
    .name = "virtio-9p",
    .reset = virtio_9p_reset,
    .loaded = virtio_9p_loaded,
    .free = virtio_9p_free,
    .state = virtio_9p_fields,
};

struct virtio_9p *virtio_9p_new(const struct virtio_slot *slot, struct share *share)
{
    struct virtio_9p *device = calloc(1, sizeof(*device));
    size_t length = strlen(share->tag);

    if (!device)
        return NULL;
    device->share = share;
    virtio_init(&device->virtio, &virtio_9p_virtio_class, device, F_MOUNT_TAG, CONFIG_TAG + (unsigned)length);
    virtio_add_queue(&device->virtio, QUEUE_SIZE);
    virtio_config_set(&device->virtio, CONFIG_TAG_LENGTH, length, 2);
    memcpy(device->virtio.config + CONFIG_TAG, share->tag, length);
    if (virtio_pci_plug(&device->virtio, slot))
        return device;
    virtio_9p_free(device);
    return NULL;
}
