/*
 * virtio_ring.c - split rings (virtio 1.2, 2.7) and packed rings (2.8): descriptors in, used elements out.
 *
 * The guest's CPUs change all of this memory while it is read. So each index and each descriptor is read
 * once, an index or flag before what it guards (acquire) and written after it (release); nothing read is
 * believed.
 */
#include <string.h>

#include "core/bus.h"
#include "devices/virtio_internal.h"

/* Descriptors, of both kinds. */
#define DESC_SIZE     16u
#define DESC_NEXT     1u
#define DESC_WRITE    2u
#define DESC_INDIRECT 4u

struct desc {
    uint64_t address;
    uint32_t size;
    uint16_t a, b; /* split: flags, next. Packed: id, flags */
};

static uint16_t load16(const uint8_t *at)
{
    return __atomic_load_n((const uint16_t *)at, __ATOMIC_ACQUIRE);
}

static void store16(uint8_t *at, uint16_t value)
{
    __atomic_store_n((uint16_t *)at, value, __ATOMIC_RELEASE);
}

static void store32(uint8_t *at, uint32_t value)
{
    __atomic_store_n((uint32_t *)at, value, __ATOMIC_RELAXED);
}

static struct desc load_desc(const uint8_t *table, unsigned n)
{
    struct desc desc;

    memcpy(&desc, table + n * DESC_SIZE, sizeof(desc));
    return desc;
}

/* The table that an indirect descriptor names, and how many descriptors it has; NULL: the device is broken.
 */
static uint8_t *indirect_table(struct virtio_queue *queue, const struct desc *desc, unsigned *count)
{
    struct virtio *virtio = queue->virtio;
    uint8_t *table;

    *count = desc->size / DESC_SIZE;
    if (!virtio_has(virtio, VIRTIO_F_INDIRECT_DESC)) {
        virtio_broken(virtio, "queue %u: an indirect descriptor, which was not agreed upon", queue->number);
        return NULL;
    }
    if (!desc->size || desc->size % DESC_SIZE || *count > VIRTIO_PIECES) {
        virtio_broken(virtio, "queue %u: an indirect table of %u bytes", queue->number, desc->size);
        return NULL;
    }
    table = virtio_memory(virtio, desc->address, desc->size);
    if (!table)
        virtio_broken(virtio, "queue %u: no RAM for an indirect table at 0x%llx", queue->number,
                      (unsigned long long)desc->address);
    return table;
}

/* --- split: the driver's part is flags, idx, ring, used_event; the device's flags, idx, elements,
 * avail_event */

#define RING_FLAGS   0u
#define RING_IDX     2u
#define RING_ENTRIES 4u
#define AVAIL_SIZE   2u
#define USED_SIZE    8u
#define NO_INTERRUPT 1u

static void split_sizes(const struct virtio_queue *queue, size_t *desc, size_t *driver, size_t *device)
{
    *desc = DESC_SIZE * queue->size;
    *driver = RING_ENTRIES + AVAIL_SIZE * queue->size + 2;
    *device = RING_ENTRIES + USED_SIZE * queue->size + 2;
}

static bool split_available(struct virtio_queue *queue)
{
    return load16(queue->driver_host + RING_IDX) != queue->next_avail;
}

static void split_watch(struct virtio_queue *queue)
{
    unsigned avail_event = RING_ENTRIES + USED_SIZE * queue->size;

    store16(queue->device_host + avail_event, queue->next_avail);
    bus_dma_written(queue->virtio->memory, queue->device + avail_event, 2);
}

/* Follows a chain in a table of `count` descriptors. Going on for longer than the table is going in circles.
 */
static bool split_walk(struct virtio_queue *queue, struct virtio_chain *chain, const uint8_t *table,
                       unsigned count, unsigned n, bool indirect)
{
    for (unsigned steps = 0; steps < count; steps++) {
        struct desc desc = load_desc(table, n);
        unsigned flags = desc.a;

        if (flags & DESC_INDIRECT) {
            unsigned inner;
            if (indirect || flags & DESC_NEXT) {
                virtio_broken(queue->virtio,
                              "queue %u: an indirect descriptor within a table or before others",
                              queue->number);
                return false;
            }
            uint8_t *inner_table = indirect_table(queue, &desc, &inner);
            return inner_table && split_walk(queue, chain, inner_table, inner, 0, true);
        }
        if (!virtio_chain_add(chain, desc.address, desc.size, flags & DESC_WRITE))
            return false;
        if (!(flags & DESC_NEXT))
            return true;
        n = desc.b;
        if (n >= count) {
            virtio_broken(queue->virtio, "queue %u: descriptor %u of %u", queue->number, n, count);
            return false;
        }
    }
    virtio_broken(queue->virtio, "queue %u: descriptors in a circle", queue->number);
    return false;
}

static bool split_fetch(struct virtio_queue *queue, struct virtio_chain *chain)
{
    uint16_t waiting = (uint16_t)(load16(queue->driver_host + RING_IDX) - queue->next_avail);
    unsigned slot = queue->next_avail & (queue->size - 1u);
    uint16_t head = load16(queue->driver_host + RING_ENTRIES + AVAIL_SIZE * slot);

    if (waiting > queue->size || head >= queue->size) {
        virtio_broken(queue->virtio, "queue %u: %u chains in a ring of %u, the first is %u", queue->number,
                      waiting, queue->size, head);
        return false;
    }
    chain->id = head;
    chain->descriptors = 1;
    queue->next_avail++;
    return split_walk(queue, chain, queue->desc_host, queue->size, head, false);
}

static void split_unfetch(struct virtio_queue *queue, const struct virtio_chain *chain)
{
    (void)chain;
    queue->next_avail--;
}

static void split_put(struct virtio_queue *queue, const struct virtio_chain *chain, uint32_t written)
{
    unsigned slot = (queue->next_used + queue->filled) & (queue->size - 1u);
    uint8_t *element = queue->device_host + RING_ENTRIES + USED_SIZE * slot;

    store32(element, chain->id);
    store32(element + 4, written);
    queue->filled++;
}

static void split_publish(struct virtio_queue *queue)
{
    queue->next_used = (uint16_t)(queue->next_used + queue->filled);
    store16(queue->device_host + RING_IDX, queue->next_used);
    bus_dma_written(queue->virtio->memory, queue->device, RING_ENTRIES + USED_SIZE * queue->size);
}

/* The driver wants to hear when the element that used_event counts to has been used (2.7.7). */
static bool split_wanted(const struct virtio_queue *queue)
{
    uint16_t event, ago;

    if (!virtio_has(queue->virtio, VIRTIO_F_EVENT_IDX))
        return !(load16(queue->driver_host + RING_FLAGS) & NO_INTERRUPT);
    event = load16(queue->driver_host + RING_ENTRIES + AVAIL_SIZE * queue->size);
    ago = (uint16_t)(queue->next_used - event - 1);
    return ago < queue->since_interrupt;
}

static const struct virtio_ring split_ring = {
    .sizes = split_sizes,
    .available = split_available,
    .watch = split_watch,
    .fetch = split_fetch,
    .unfetch = split_unfetch,
    .put = split_put,
    .publish = split_publish,
    .wanted = split_wanted,
};

/* --- packed: descriptors are overwritten by used elements; each part has an event structure */

#define PACKED_ID    12u
#define PACKED_FLAGS 14u
#define PACKED_AVAIL 0x0080u
#define PACKED_USED  0x8000u
#define EVENT_OFFSET 0u
#define EVENT_FLAGS  2u
#define EVENT_SIZE   4u
#define EVENT_WRAP   0x8000u
enum { EVENTS_ENABLE, EVENTS_DISABLE, EVENTS_DESC };

static void packed_sizes(const struct virtio_queue *queue, size_t *desc, size_t *driver, size_t *device)
{
    *desc = DESC_SIZE * queue->size;
    *driver = *device = EVENT_SIZE;
}

static bool packed_available(struct virtio_queue *queue)
{
    uint16_t flags = load16(queue->desc_host + DESC_SIZE * queue->next_avail + PACKED_FLAGS);

    return !(flags & PACKED_AVAIL) == !queue->avail_wrap && !(flags & PACKED_USED) == queue->avail_wrap;
}

static void packed_watch(struct virtio_queue *queue)
{
    store16(queue->device_host + EVENT_OFFSET, queue->next_avail | (queue->avail_wrap ? EVENT_WRAP : 0));
    store16(queue->device_host + EVENT_FLAGS, EVENTS_DESC);
    bus_dma_written(queue->virtio->memory, queue->device, EVENT_SIZE);
}

/* A table's descriptors are a chain as they stand there; their flags say no more than who writes (2.8.8). */
static bool packed_indirect(struct virtio_queue *queue, struct virtio_chain *chain, const struct desc *head)
{
    unsigned count;
    const uint8_t *table = indirect_table(queue, head, &count);

    for (unsigned n = 0; table && n < count; n++) {
        struct desc desc = load_desc(table, n);
        if (desc.b & DESC_INDIRECT) {
            virtio_broken(queue->virtio, "queue %u: an indirect descriptor within a table", queue->number);
            return false;
        }
        if (!virtio_chain_add(chain, desc.address, desc.size, desc.b & DESC_WRITE))
            return false;
    }
    return table;
}

/* A slot and its wrap counter, `by` slots on; `by` is at most the ring's size. */
static unsigned packed_slot(const struct virtio_queue *queue, unsigned from, unsigned by, bool *wrap)
{
    from += by;
    if (from < queue->size)
        return from;
    *wrap = !*wrap;
    return from - queue->size;
}

static bool packed_fetch(struct virtio_queue *queue, struct virtio_chain *chain)
{
    unsigned slot = queue->next_avail;
    bool wrap = queue->avail_wrap;

    chain->descriptors = 0;
    for (struct desc desc;;) {
        desc = load_desc(queue->desc_host, slot);
        slot = packed_slot(queue, slot, 1, &wrap);
        chain->id = desc.a;
        chain->descriptors++;
        if (desc.b & DESC_INDIRECT) {
            if (chain->descriptors > 1 || desc.b & DESC_NEXT) {
                virtio_broken(queue->virtio, "queue %u: an indirect descriptor among others", queue->number);
                return false;
            }
            if (!packed_indirect(queue, chain, &desc))
                return false;
        } else if (!virtio_chain_add(chain, desc.address, desc.size, desc.b & DESC_WRITE)) {
            return false;
        }
        if (!(desc.b & DESC_NEXT))
            break;
        if (chain->descriptors == queue->size) {
            virtio_broken(queue->virtio, "queue %u: a chain that is longer than the ring", queue->number);
            return false;
        }
    }
    queue->next_avail = (uint16_t)slot;
    queue->avail_wrap = wrap;
    return true;
}

static void packed_unfetch(struct virtio_queue *queue, const struct virtio_chain *chain)
{
    if (queue->next_avail < chain->descriptors) {
        queue->next_avail = (uint16_t)(queue->next_avail + queue->size);
        queue->avail_wrap = !queue->avail_wrap;
    }
    queue->next_avail = (uint16_t)(queue->next_avail - chain->descriptors);
}

/* The flags of the first element stay as they are until publish(): the driver looks at elements in order. */
static void packed_put(struct virtio_queue *queue, const struct virtio_chain *chain, uint32_t written)
{
    bool wrap = queue->used_wrap;
    uint8_t *element =
        queue->desc_host + DESC_SIZE * packed_slot(queue, queue->next_used, queue->filled, &wrap);
    uint16_t flags = (uint16_t)((wrap ? PACKED_AVAIL | PACKED_USED : 0) | (written ? DESC_WRITE : 0));

    store32(element + 8, written);
    store16(element + PACKED_ID, chain->id);
    if (queue->filled)
        store16(element + PACKED_FLAGS, flags);
    else
        queue->filled_flags = flags;
    queue->filled += chain->descriptors;
}

static void packed_publish(struct virtio_queue *queue)
{
    store16(queue->desc_host + DESC_SIZE * queue->next_used + PACKED_FLAGS, queue->filled_flags);
    queue->next_used = (uint16_t)packed_slot(queue, queue->next_used, queue->filled, &queue->used_wrap);
    bus_dma_written(queue->virtio->memory, queue->desc, DESC_SIZE * queue->size);
}

/* EVENTS_DESC: when the slot has been used that the driver names, with its wrap counter then (2.8.10). */
static bool packed_wanted(const struct virtio_queue *queue)
{
    uint16_t flags = load16(queue->driver_host + EVENT_FLAGS) & 3;
    uint16_t event = load16(queue->driver_host + EVENT_OFFSET);
    unsigned slot = event & ~EVENT_WRAP, now = queue->next_used;

    if (flags != EVENTS_DESC || !virtio_has(queue->virtio, VIRTIO_F_EVENT_IDX))
        return flags != EVENTS_DISABLE;
    if (!(event & EVENT_WRAP) != !queue->used_wrap)
        now += queue->size;
    return slot < now && now - slot <= queue->since_interrupt;
}

static const struct virtio_ring packed_ring = {
    .sizes = packed_sizes,
    .available = packed_available,
    .watch = packed_watch,
    .fetch = packed_fetch,
    .unfetch = packed_unfetch,
    .put = packed_put,
    .publish = packed_publish,
    .wanted = packed_wanted,
};

const struct virtio_ring *virtio_ring(const struct virtio *virtio)
{
    return virtio_has(virtio, VIRTIO_F_RING_PACKED) ? &packed_ring : &split_ring;
}
