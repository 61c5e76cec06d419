/*
 * virtio_balloon.c - the traditional memory balloon (virtio 1.2, 5.5).
 *
 * Pages that the guest inflates it with, or reports as free, are given back to the host; deflated ones need
 * nothing, the host gives new ones as they are touched. A guest that gives away pages that it uses harms
 * itself alone.
 */
#include "devices/virtio_balloon.h"

#include <stdlib.h>

#include "core/bus.h"
#include "core/log.h"
#include "devices/virtio.h"

#define QUEUE_SIZE 128u
#define PAGE       4096u
#define MOST       65536u /* bytes of page numbers a request, far above what drivers send */

#define F_STATS          (1ull << 1)
#define F_DEFLATE_ON_OOM (1ull << 2)
#define F_REPORTING      (1ull << 5)

enum { QUEUE_INFLATE, QUEUE_DEFLATE, QUEUE_STATS, QUEUE_REPORTING, QUEUES };

#define CONFIG_WANTED 0 /* pages */
#define CONFIG_ACTUAL 4
#define CONFIG_SIZE   8

/* A statistic: tag and value (5.5.6.3). */
#define STAT_SIZE 10u

struct virtio_balloon {
    struct virtio virtio;
    struct virtio_balloon_wires wires;
    uint64_t stat[BALLOON_STATS];
};

/* --- memory */

/* Guest pages from `address` on, as far as there is RAM. */
static void release(struct virtio_balloon *balloon, uint64_t address, uint64_t size)
{
    struct bus *memory = balloon->virtio.memory;

    while (size) {
        size_t part = size;
        uint8_t *host = bus_dma(memory, address, &part);

        if (!host) {
            log_at(balloon->virtio.log, LOG_GUEST, "virtio-balloon", "no RAM at 0x%llx",
                   (unsigned long long)address);
            return;
        }
        balloon->wires.release(balloon->wires.opaque, host, part);
        bus_dma_written(memory, address, part);
        address += part;
        size -= part;
    }
}

/* Page numbers, 32 bits each (5.5.6). Neighbours, whichever way they are counted, are released at once. */
static void inflate(struct virtio_balloon *balloon, const struct virtio_chain *chain)
{
    uint64_t first = 0, count = 0;
    uint32_t page;

    if (chain->out_size > MOST) {
        virtio_broken(&balloon->virtio, "%zu bytes of page numbers", chain->out_size);
        return;
    }
    for (size_t at = 0; virtio_read(chain, at, &page, 4) == 4; at += 4) {
        if (count && page == first + count) {
            count++;
        } else if (count && page + 1ull == first) {
            first--;
            count++;
        } else {
            release(balloon, first * PAGE, count * PAGE);
            first = page;
            count = 1;
        }
    }
    release(balloon, first * PAGE, count * PAGE);
}

/* Whole pages of what was reported: a driver's word is in units of its own pages, but who knows. */
static void take_report(struct virtio_balloon *balloon, const struct virtio_chain *chain)
{
    for (unsigned n = 0; n < chain->in_count; n++) {
        uint64_t address = virtio_in_address(chain, n), end = address + chain->in[n].iov_len;

        address = (address + PAGE - 1) & ~(uint64_t)(PAGE - 1);
        end &= ~(uint64_t)(PAGE - 1);
        if (end > address)
            release(balloon, address, end - address);
    }
}

/* --- statistics */

static void take_stats(struct virtio_balloon *balloon, const struct virtio_chain *chain)
{
    uint8_t stat[STAT_SIZE];

    for (size_t at = 0; virtio_read(chain, at, stat, STAT_SIZE) == STAT_SIZE; at += STAT_SIZE) {
        unsigned tag = stat[0] | stat[1] << 8;
        uint64_t value = 0;

        for (unsigned i = 8; i--;)
            value = value << 8 | stat[2 + i];
        if (tag < BALLOON_STATS)
            balloon->stat[tag] = value;
    }
}

/* The driver gives one chain. It stays in the queue until it is asked again, and is read where it lies. */
static void look_at_stats(struct virtio_balloon *balloon)
{
    struct virtio_chain *chain = virtio_pop(&balloon->virtio.queue[QUEUE_STATS]);

    if (!chain)
        return;
    take_stats(balloon, chain);
    virtio_unpop(chain);
}

uint64_t virtio_balloon_stat(const struct virtio_balloon *balloon, enum virtio_balloon_stat stat)
{
    return balloon->stat[stat];
}

void virtio_balloon_ask(struct virtio_balloon *balloon)
{
    struct virtio_queue *queue = &balloon->virtio.queue[QUEUE_STATS];
    struct virtio_chain *chain = virtio_has(&balloon->virtio, F_STATS) ? virtio_pop(queue) : NULL;

    if (!chain)
        return;
    virtio_push(chain, 0);
    virtio_interrupt(queue);
}

/* --- the driver */

static void empty(struct virtio_balloon *balloon, struct virtio_queue *queue,
                  void (*take)(struct virtio_balloon *, const struct virtio_chain *))
{
    struct virtio_chain *chain;

    while ((chain = virtio_pop(queue))) {
        if (take)
            take(balloon, chain);
        virtio_push(chain, 0);
    }
    virtio_interrupt(queue);
}

/* Queues of features that the driver didn't take have no number (5.5.2). */
static unsigned meant(const struct virtio_balloon *balloon, unsigned queue)
{
    return queue == QUEUE_STATS && !virtio_has(&balloon->virtio, F_STATS) ? QUEUE_REPORTING : queue;
}

static void notified(void *device, unsigned number)
{
    struct virtio_balloon *balloon = device;
    struct virtio_queue *queue = &balloon->virtio.queue[number];

    switch (meant(balloon, number)) {
    case QUEUE_INFLATE:
        empty(balloon, queue, inflate);
        break;
    case QUEUE_DEFLATE:
        empty(balloon, queue, NULL);
        break;
    case QUEUE_STATS:
        look_at_stats(balloon);
        break;
    default:
        empty(balloon, queue, take_report);
        break;
    }
}

static void config_written(void *device, unsigned offset, unsigned size)
{
    struct virtio_balloon *balloon = device;

    if (offset + size > CONFIG_ACTUAL && balloon->wires.changed)
        balloon->wires.changed(balloon->wires.opaque);
}

void virtio_balloon_set(struct virtio_balloon *balloon, uint64_t bytes)
{
    uint64_t pages = bytes / PAGE;

    virtio_config_set(&balloon->virtio, CONFIG_WANTED, pages < UINT32_MAX ? pages : UINT32_MAX, 4);
    virtio_config_changed(&balloon->virtio);
}

uint64_t virtio_balloon_size(const struct virtio_balloon *balloon)
{
    return virtio_config_get(&balloon->virtio, CONFIG_ACTUAL, 4) * PAGE;
}

static void reset_by_driver(void *device)
{
    struct virtio_balloon *balloon = device;

    virtio_config_set(&balloon->virtio, CONFIG_ACTUAL, 0, 4);
    for (unsigned n = 0; n < BALLOON_STATS; n++)
        balloon->stat[n] = UINT64_MAX;
}

static const struct virtio_class class = {
    .name = "virtio-balloon",
    .id = VIRTIO_ID_BALLOON,
    .pci_class = 0x00FF00,
    .notified = notified,
    .reset = reset_by_driver,
    .config_written = config_written,
};

/* --- state and construction */

static const struct field virtio_balloon_fields[] = {
    FIELD_STRUCT(struct virtio_balloon, virtio, virtio_fields),
    FIELD_ARRAY(struct virtio_balloon, stat),
    FIELD_END,
};

static void virtio_balloon_reset(void *device)
{
    virtio_reset(&((struct virtio_balloon *)device)->virtio);
}

static void virtio_balloon_loaded(void *device)
{
    virtio_loaded(&((struct virtio_balloon *)device)->virtio);
}

static void virtio_balloon_free(void *device)
{
    struct virtio_balloon *balloon = device;

    if (balloon)
        virtio_free(&balloon->virtio);
    free(balloon);
}

const struct device_class virtio_balloon_class = {
    .name = "virtio-balloon",
    .reset = virtio_balloon_reset,
    .loaded = virtio_balloon_loaded,
    .free = virtio_balloon_free,
    .state = virtio_balloon_fields,
};

struct virtio_balloon *virtio_balloon_new(const struct virtio_balloon_wires *wires)
{
    struct virtio_balloon *balloon = calloc(1, sizeof(*balloon));

    if (!balloon)
        return NULL;
    balloon->wires = *wires;
    virtio_init(&balloon->virtio, &class, balloon, F_STATS | F_DEFLATE_ON_OOM | F_REPORTING, CONFIG_SIZE);
    for (unsigned n = 0; n < QUEUES; n++)
        virtio_add_queue(&balloon->virtio, QUEUE_SIZE);
    for (unsigned n = 0; n < 4; n++)
        balloon->virtio.writable[CONFIG_ACTUAL + n] = 0xFF;
    if (virtio_pci_plug(&balloon->virtio, &wires->bus))
        return balloon;
    virtio_balloon_free(balloon);
    return NULL;
}
