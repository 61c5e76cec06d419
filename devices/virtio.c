/*
 * virtio.c - what all virtio devices have beside queues: a status, features that driver and device agree
 * upon, and a configuration space (virtio 1.2, 2.1 to 2.5).
 */
#include "devices/virtio.h"

#include <stdarg.h>
#include <string.h>

#include "core/log.h"
#include "devices/virtio_internal.h"

#define DRIVERS_STATUS                                                                                       \
    (VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_DRIVER_OK |                            \
     VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_FAILED)
#define RING_FEATURES                                                                                        \
    (VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | VIRTIO_F_VERSION_1 | VIRTIO_F_RING_PACKED)

/* --- construction */

void virtio_init(struct virtio *virtio, const struct virtio_class *class, void *dev, uint64_t features,
                 unsigned config_size)
{
    memset(virtio, 0, sizeof(*virtio));
    virtio->class = class;
    virtio->dev = dev;
    virtio->offered = features | RING_FEATURES | (class->modern_only ? 0 : VIRTIO_F_ANY_LAYOUT);
    virtio->config_size = config_size < VIRTIO_CONFIG_SIZE ? config_size : VIRTIO_CONFIG_SIZE;
}

void virtio_add_queue(struct virtio *virtio, unsigned size)
{
    struct virtio_queue *queue = &virtio->queue[virtio->queues];

    if (virtio->queues == VIRTIO_QUEUES)
        return;
    queue->virtio = virtio;
    queue->number = virtio->queues++;
    queue->size_max = (uint16_t)(size < VIRTIO_QUEUE_SIZE ? size : VIRTIO_QUEUE_SIZE);
    virtio_queue_reset(queue);
}

void virtio_free(struct virtio *virtio)
{
    virtio_pci_unplug(virtio);
    for (unsigned n = 0; n < virtio->queues; n++)
        virtio_queue_free(&virtio->queue[n]);
}

/* --- status */

bool virtio_ready(const struct virtio *virtio)
{
    /* Legacy drivers may use queues while they still find out what the device is (3.1.2). */
    uint8_t needed = virtio_has(virtio, VIRTIO_F_VERSION_1) ? VIRTIO_STATUS_DRIVER_OK : VIRTIO_STATUS_DRIVER;

    return (virtio->status & (needed | VIRTIO_STATUS_NEEDS_RESET)) == needed;
}

void virtio_broken(struct virtio *virtio, const char *format, ...)
{
    bool known = virtio->status & VIRTIO_STATUS_NEEDS_RESET;
    char text[160];
    va_list arguments;

    if (known)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    log_at(virtio->log, LOG_GUEST, virtio->class->name, "%s; it needs a reset", text);
    virtio->status |= VIRTIO_STATUS_NEEDS_RESET;
    if (virtio->transport && virtio_has(virtio, VIRTIO_F_VERSION_1) &&
        virtio->status & VIRTIO_STATUS_DRIVER_OK)
        virtio->transport->config_interrupt(virtio);
}

static bool chains_in_flight(const struct virtio *virtio)
{
    for (unsigned n = 0; n < virtio->queues; n++)
        if (virtio->queue[n].in_flight)
            return true;
    return false;
}

/* A reset is complete when nobody touches the driver's memory any more; legacy drivers don't wait for that.
 */
uint8_t virtio_status(const struct virtio *virtio, bool legacy)
{
    if (legacy)
        return virtio->status & (uint8_t)~VIRTIO_STATUS_NEEDS_RESET;
    if (!virtio->status && chains_in_flight(virtio))
        return VIRTIO_STATUS_NEEDS_RESET;
    return virtio->status;
}

static void reset_by_driver(struct virtio *virtio)
{
    virtio->class->reset(virtio->dev);
    for (unsigned n = 0; n < virtio->queues; n++)
        virtio_queue_reset(&virtio->queue[n]);
    virtio->status = 0;
    virtio->accepted = 0;
}

static bool features_good(const struct virtio *virtio)
{
    return !(virtio->accepted & ~virtio->offered) && virtio_has(virtio, VIRTIO_F_VERSION_1);
}

void virtio_set_status(struct virtio *virtio, uint8_t status, bool legacy)
{
    uint8_t before = virtio->status, fresh;

    if (!status) {
        reset_by_driver(virtio);
        return;
    }
    fresh = status & DRIVERS_STATUS & (uint8_t)~before;
    if (fresh & VIRTIO_STATUS_FEATURES_OK && !legacy) {
        /* The driver reads it again to learn whether its choice was taken (3.1.1). */
        if (!features_good(virtio)) {
            log_at(virtio->log, LOG_GUEST, virtio->class->name, "features 0x%llx of 0x%llx aren't accepted",
                   (unsigned long long)virtio->accepted, (unsigned long long)virtio->offered);
            fresh &= (uint8_t)~VIRTIO_STATUS_FEATURES_OK;
        } else if (virtio->class->features_set) {
            virtio->class->features_set(virtio->dev);
        }
    }
    if (fresh & VIRTIO_STATUS_DRIVER_OK && !legacy && !((before | fresh) & VIRTIO_STATUS_FEATURES_OK)) {
        log_at(virtio->log, LOG_GUEST, virtio->class->name, "started before its features were settled");
        fresh &= (uint8_t)~VIRTIO_STATUS_DRIVER_OK;
    }
    virtio->status |= fresh;
    if (fresh & VIRTIO_STATUS_DRIVER_OK && virtio->class->started)
        virtio->class->started(virtio->dev);
}

/* Queues in use have the layout of the features that they were enabled with. */
static bool queues_in_use(const struct virtio *virtio)
{
    for (unsigned n = 0; n < virtio->queues; n++)
        if (virtio->queue[n].enabled)
            return true;
    return false;
}

void virtio_accept(struct virtio *virtio, uint64_t features)
{
    if (!(virtio->status & (VIRTIO_STATUS_FEATURES_OK | VIRTIO_STATUS_DRIVER_OK)) && !queues_in_use(virtio))
        virtio->accepted = features;
}

void virtio_notify(struct virtio *virtio, unsigned queue)
{
    if (queue < virtio->queues && virtio->queue[queue].enabled && virtio_ready(virtio))
        virtio->class->notified(virtio->dev, queue);
}

/* --- configuration space */

void virtio_config_set(struct virtio *virtio, unsigned offset, uint64_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        virtio->config[offset + i] = (uint8_t)(value >> 8 * i);
}

uint64_t virtio_config_get(const struct virtio *virtio, unsigned offset, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)virtio->config[offset + i] << 8 * i;
    return value;
}

void virtio_config_changed(struct virtio *virtio)
{
    virtio->generation++;
    if (virtio->transport && virtio_ready(virtio))
        virtio->transport->config_interrupt(virtio);
}

static bool config_holds(const struct virtio *virtio, unsigned offset, unsigned size)
{
    return offset < virtio->config_size && size <= virtio->config_size - offset;
}

uint64_t virtio_config_read(struct virtio *virtio, unsigned offset, unsigned size)
{
    if (!config_holds(virtio, offset, size))
        return 0;
    if (virtio->class->config_reading)
        virtio->class->config_reading(virtio->dev, offset, size);
    return virtio_config_get(virtio, offset, size);
}

void virtio_config_write(struct virtio *virtio, unsigned offset, uint64_t value, unsigned size)
{
    bool any = false;

    if (!config_holds(virtio, offset, size))
        return;
    for (unsigned i = 0; i < size; i++) {
        uint8_t *byte = &virtio->config[offset + i], bits = virtio->writable[offset + i];
        *byte = (uint8_t)((*byte & ~bits) | ((value >> 8 * i) & bits));
        any |= bits;
    }
    if (any && virtio->class->config_written)
        virtio->class->config_written(virtio->dev, offset, size);
}

/* --- state */

const struct field virtio_fields[] = {
    FIELD_STRUCT(struct virtio, pci, virtio_pci_fields),
    FIELD(struct virtio, accepted),
    FIELD(struct virtio, status),
    FIELD(struct virtio, generation),
    FIELD_ARRAY(struct virtio, config),
    FIELD_STRUCTS(struct virtio, queue, virtio_queue_fields),
    FIELD_END,
};

void virtio_reset(struct virtio *virtio)
{
    reset_by_driver(virtio);
    virtio->generation = 0;
    if (virtio->pci.bus)
        virtio_pci_reset(virtio);
}

void virtio_loaded(struct virtio *virtio)
{
    for (unsigned n = 0; n < VIRTIO_QUEUES; n++) {
        struct virtio_queue *queue = &virtio->queue[n];

        queue->epoch++;
        queue->filled = 0;
        if (queue->enabled && (n >= virtio->queues || !virtio_queue_resolve(queue) ||
                               (virtio_has(virtio, VIRTIO_F_RING_PACKED) &&
                                (queue->next_avail >= queue->size || queue->next_used >= queue->size)))) {
            queue->enabled = false;
            virtio_broken(virtio, "queue %u, as saved, can't be used", n);
        }
    }
    if (virtio->pci.bus)
        virtio_pci_loaded(virtio);
}
