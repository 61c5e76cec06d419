/*
 * virtio_queue.c - queues, whichever ring they lie in: chains of guest memory come out and go back.
 */
#include <stdlib.h>
#include <string.h>

#include "core/bus.h"
#include "core/log.h"
#include "devices/virtio_internal.h"

#define FIRST_CAPACITY 16u

/* --- memory */

/* Areas of shadow RAM are regions of their own, but neighbours in the host's memory. */
uint8_t *virtio_memory(struct virtio *virtio, uint64_t address, size_t size)
{
    size_t have = size;
    uint8_t *start = bus_dma(virtio->memory, address, &have);

    if (!start || address + size < address)
        return NULL;
    while (have < size) {
        size_t more = size - have;
        if (bus_dma(virtio->memory, address + have, &more) != start + have || !more)
            return NULL;
        have += more;
    }
    return start;
}

/* --- setting up */

bool virtio_queue_resolve(struct virtio_queue *queue)
{
    struct virtio *virtio = queue->virtio;
    bool packed = virtio_has(virtio, VIRTIO_F_RING_PACKED);
    size_t desc, driver, device;

    if (!queue->size || queue->size > queue->size_max || (!packed && queue->size & (queue->size - 1)))
        return false;
    if (queue->desc % 16 || queue->driver % (packed ? 4 : 2) || queue->device % 4)
        return false;
    virtio_ring(virtio)->sizes(queue, &desc, &driver, &device);
    queue->desc_host = virtio_memory(virtio, queue->desc, desc);
    queue->driver_host = virtio_memory(virtio, queue->driver, driver);
    queue->device_host = virtio_memory(virtio, queue->device, device);
    return queue->desc_host && queue->driver_host && queue->device_host;
}

void virtio_queue_enable(struct virtio_queue *queue)
{
    queue->next_avail = queue->next_used = 0;
    queue->avail_wrap = queue->used_wrap = true;
    queue->since_interrupt = 0;
    queue->enabled = virtio_queue_resolve(queue);
    if (!queue->enabled)
        virtio_broken(queue->virtio, "queue %u: %u descriptors at 0x%llx, 0x%llx and 0x%llx can't be used",
                      queue->number, queue->size, (unsigned long long)queue->desc,
                      (unsigned long long)queue->driver, (unsigned long long)queue->device);
}

void virtio_queue_reset(struct virtio_queue *queue)
{
    queue->enabled = false;
    queue->size = queue->size_max;
    queue->vector = VIRTIO_NO_VECTOR;
    queue->desc = queue->driver = queue->device = 0;
    queue->next_avail = queue->next_used = 0;
    queue->avail_wrap = queue->used_wrap = true;
    queue->since_interrupt = 0;
    queue->filled = 0;
    queue->epoch++;
}

static void free_chain(struct virtio_chain *chain)
{
    free(chain->piece);
    free(chain->address);
    free(chain);
}

void virtio_queue_free(struct virtio_queue *queue)
{
    while (queue->unused) {
        struct virtio_chain *chain = queue->unused;
        queue->unused = chain->next;
        free_chain(chain);
    }
}

const struct field virtio_queue_fields[] = {
    FIELD(struct virtio_queue, size),
    FIELD(struct virtio_queue, enabled),
    FIELD(struct virtio_queue, vector),
    FIELD(struct virtio_queue, desc),
    FIELD(struct virtio_queue, driver),
    FIELD(struct virtio_queue, device),
    FIELD(struct virtio_queue, next_avail),
    FIELD(struct virtio_queue, next_used),
    FIELD(struct virtio_queue, avail_wrap),
    FIELD(struct virtio_queue, used_wrap),
    FIELD(struct virtio_queue, since_interrupt),
    FIELD_END,
};

/* --- chains */

static bool grow(struct virtio_chain *chain)
{
    unsigned capacity = chain->capacity ? 2 * chain->capacity : FIRST_CAPACITY;
    struct iovec *piece = realloc(chain->piece, capacity * sizeof(*piece));
    uint64_t *address;

    if (!piece)
        return false;
    chain->piece = piece;
    address = realloc(chain->address, capacity * sizeof(*address));
    if (!address)
        return false;
    chain->address = address;
    chain->capacity = capacity;
    return true;
}

static struct virtio_chain *new_chain(struct virtio_queue *queue)
{
    struct virtio_chain *chain = calloc(1, sizeof(*chain));

    if (!chain)
        return NULL;
    chain->queue = queue;
    if (grow(chain))
        return chain;
    free_chain(chain);
    return NULL;
}

static struct virtio_chain *take_chain(struct virtio_queue *queue)
{
    struct virtio_chain *chain = queue->unused;

    if (chain)
        queue->unused = chain->next;
    else if (!(chain = new_chain(queue)))
        return NULL;
    chain->out_count = chain->in_count = 0;
    chain->out_size = chain->in_size = 0;
    chain->epoch = queue->epoch;
    queue->in_flight++;
    return chain;
}

static void give_chain(struct virtio_chain *chain)
{
    struct virtio_queue *queue = chain->queue;

    queue->in_flight--;
    chain->next = queue->unused;
    queue->unused = chain;
}

static bool add_piece(struct virtio_chain *chain, uint8_t *host, uint64_t address, size_t size, bool in)
{
    unsigned count = chain->out_count + chain->in_count;
    bool first = in ? !chain->in_count : !chain->out_count;
    struct iovec *last = first ? NULL : &chain->piece[count - 1];

    if (last && (uint8_t *)last->iov_base + last->iov_len == host &&
        chain->address[count - 1] + last->iov_len == address) {
        last->iov_len += size;
        return true;
    }
    if (count == VIRTIO_PIECES) {
        virtio_broken(chain->queue->virtio, "queue %u: a chain of more than %d pieces", chain->queue->number,
                      VIRTIO_PIECES);
        return false;
    }
    if (count == chain->capacity && !grow(chain)) {
        virtio_broken(chain->queue->virtio, "out of memory");
        return false;
    }
    chain->piece[count] = (struct iovec){host, size};
    chain->address[count] = address;
    *(in ? &chain->in_count : &chain->out_count) += 1;
    return true;
}

bool virtio_chain_add(struct virtio_chain *chain, uint64_t address, uint32_t size, bool in)
{
    struct virtio *virtio = chain->queue->virtio;

    if (!in && chain->in_count) {
        virtio_broken(virtio, "queue %u: memory to be read behind memory to be written",
                      chain->queue->number);
        return false;
    }
    *(in ? &chain->in_size : &chain->out_size) += size;
    for (size_t left = size; left;) {
        size_t part = left;
        uint8_t *host = bus_dma(virtio->memory, address, &part);
        if (!host) {
            virtio_broken(virtio, "queue %u: no RAM at 0x%llx", chain->queue->number,
                          (unsigned long long)address);
            return false;
        }
        if (!add_piece(chain, host, address, part, in))
            return false;
        address += part;
        left -= part;
    }
    return true;
}

static bool usable(const struct virtio_queue *queue)
{
    return queue->enabled && virtio_ready(queue->virtio);
}

bool virtio_available(struct virtio_queue *queue)
{
    const struct virtio_ring *ring = virtio_ring(queue->virtio);

    if (!usable(queue))
        return false;
    if (ring->available(queue))
        return true;
    if (!virtio_has(queue->virtio, VIRTIO_F_EVENT_IDX))
        return false;
    /* The driver may have added one while we were saying that we want to know of it. */
    ring->watch(queue);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    return ring->available(queue);
}

struct virtio_chain *virtio_pop(struct virtio_queue *queue)
{
    struct virtio_chain *chain = virtio_available(queue) ? take_chain(queue) : NULL;

    if (!chain)
        return NULL;
    if (!virtio_ring(queue->virtio)->fetch(queue, chain)) {
        give_chain(chain);
        return NULL;
    }
    chain->out = chain->piece;
    chain->in = chain->piece + chain->out_count;
    return chain;
}

static bool is_stale(const struct virtio_chain *chain)
{
    return chain->epoch != chain->queue->epoch;
}

static void mark_written(const struct virtio_chain *chain, size_t written)
{
    for (unsigned n = 0; n < chain->in_count && written; n++) {
        size_t part = chain->in[n].iov_len < written ? chain->in[n].iov_len : written;
        bus_dma_written(chain->queue->virtio->memory, chain->address[chain->out_count + n], part);
        written -= part;
    }
}

void virtio_fill(struct virtio_chain *chain, size_t written)
{
    struct virtio_queue *queue = chain->queue;

    mark_written(chain, written);
    if (!is_stale(chain) && usable(queue))
        virtio_ring(queue->virtio)->put(queue, chain, written > UINT32_MAX ? UINT32_MAX : (uint32_t)written);
    give_chain(chain);
}

void virtio_publish(struct virtio_queue *queue)
{
    if (!queue->filled)
        return;
    virtio_ring(queue->virtio)->publish(queue);
    queue->since_interrupt += queue->filled;
    if (queue->since_interrupt > UINT16_MAX)
        queue->since_interrupt = UINT16_MAX;
    queue->filled = 0;
}

void virtio_push(struct virtio_chain *chain, size_t written)
{
    struct virtio_queue *queue = chain->queue;

    virtio_fill(chain, written);
    virtio_publish(queue);
}

void virtio_unpop(struct virtio_chain *chain)
{
    if (!is_stale(chain))
        virtio_ring(chain->queue->virtio)->unfetch(chain->queue, chain);
    give_chain(chain);
}

void virtio_drop(struct virtio_chain *chain)
{
    give_chain(chain);
}

void virtio_interrupt(struct virtio_queue *queue)
{
    bool wanted;

    if (!queue->since_interrupt || !usable(queue))
        return;
    /* The driver sets what it wants, then looks for elements once more; we do it the other way round. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    wanted = virtio_ring(queue->virtio)->wanted(queue);
    queue->since_interrupt = 0;
    if (wanted)
        queue->virtio->transport->queue_interrupt(queue->virtio, queue->number);
}

/* --- bytes */

unsigned virtio_part(const struct iovec *iov, unsigned count, size_t offset, size_t size, struct iovec *part)
{
    unsigned parts = 0;

    for (; count && size; iov++, count--) {
        size_t have = iov->iov_len;
        if (offset >= have) {
            offset -= have;
            continue;
        }
        have -= offset;
        if (have > size)
            have = size;
        part[parts++] = (struct iovec){(uint8_t *)iov->iov_base + offset, have};
        offset = 0;
        size -= have;
    }
    return parts;
}

static size_t copy(const struct iovec *iov, unsigned count, size_t offset, uint8_t *data, size_t size,
                   bool in)
{
    size_t done = 0;

    for (; count && done < size; iov++, count--) {
        size_t have = iov->iov_len;
        if (offset >= have) {
            offset -= have;
            continue;
        }
        uint8_t *at = (uint8_t *)iov->iov_base + offset;
        have -= offset;
        if (have > size - done)
            have = size - done;
        if (in)
            memcpy(at, data + done, have);
        else
            memcpy(data + done, at, have);
        offset = 0;
        done += have;
    }
    return done;
}

size_t virtio_read(const struct virtio_chain *chain, size_t offset, void *data, size_t size)
{
    return copy(chain->out, chain->out_count, offset, data, size, false);
}

size_t virtio_write(const struct virtio_chain *chain, size_t offset, const void *data, size_t size)
{
    return copy(chain->in, chain->in_count, offset, (uint8_t *)data, size, true);
}
