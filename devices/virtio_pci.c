/*
 * virtio_pci.c - the PCI transport (virtio 1.2, 4.1).
 *
 *     BAR 0  ports  the legacy interface (4.1.4.8), of transitional devices alone
 *     BAR 1  memory MSI-X
 *     BAR 4  memory the modern interface: common configuration, interrupt status, the device's configuration,
 *                   notifications, a page each; vendor capabilities say so, and one reaches all that through
 *                   configuration space
 */
#include <string.h>

#include "core/bus.h"
#include "core/log.h"
#include "devices/virtio.h"

#define VENDOR            0x1AF4
#define DEVICE_MODERN     0x1040 /* plus the device's type */
#define CAPABILITY_VENDOR 0x09
#define LEGACY_BAR        0
#define MSIX_BAR          1
#define MODERN_BAR        4
#define MODERN_SIZE       0x4000u
#define NOTIFY_MULTIPLIER 4u
#define LEGACY_PAGE       4096u
#define LEGACY_FEATURES   0xFFFFFFFFull

/* Pages of the modern interface. */
enum { PAGE_COMMON, PAGE_ISR, PAGE_DEVICE, PAGE_NOTIFY };

/* Where the capabilities are. */
#define CAP_COMMON 0x40
#define CAP_NOTIFY 0x50
#define CAP_ISR    0x64
#define CAP_DEVICE 0x74
#define CAP_ACCESS 0x84
#define CAP_MSIX   0x98

/* Registers of a capability, and its types (4.1.4). */
#define CAP_LENGTH     2
#define CAP_TYPE       3
#define CAP_BAR        4
#define CAP_OFFSET     8
#define CAP_SIZE       12
#define CAP_MULTIPLIER 16 /* of CAP_NOTIFY */
#define CAP_DATA       16 /* of CAP_ACCESS */
enum { TYPE_COMMON = 1, TYPE_NOTIFY, TYPE_ISR, TYPE_DEVICE, TYPE_ACCESS };

/* Common configuration (4.1.4.3). */
#define COMMON_DEVICE_FEATURE_SELECT 0x00
#define COMMON_DEVICE_FEATURE        0x04
#define COMMON_DRIVER_FEATURE_SELECT 0x08
#define COMMON_DRIVER_FEATURE        0x0C
#define COMMON_CONFIG_VECTOR         0x10
#define COMMON_QUEUES                0x12
#define COMMON_STATUS                0x14
#define COMMON_GENERATION            0x15
#define COMMON_QUEUE_SELECT          0x16
#define COMMON_QUEUE_SIZE            0x18
#define COMMON_QUEUE_VECTOR          0x1A
#define COMMON_QUEUE_ENABLE          0x1C
#define COMMON_QUEUE_NOTIFY          0x1E
#define COMMON_QUEUE_DESC            0x20
#define COMMON_QUEUE_DRIVER          0x28
#define COMMON_QUEUE_DEVICE          0x30
#define COMMON_SIZE                  0x38

/* The legacy interface (4.1.4.8). */
#define LEGACY_DEVICE_FEATURES 0x00
#define LEGACY_DRIVER_FEATURES 0x04
#define LEGACY_QUEUE_PAGE      0x08
#define LEGACY_QUEUE_SIZE      0x0C
#define LEGACY_QUEUE_SELECT    0x0E
#define LEGACY_QUEUE_NOTIFY    0x10
#define LEGACY_STATUS          0x12
#define LEGACY_ISR             0x13
#define LEGACY_CONFIG_VECTOR   0x14 /* these two while MSI-X is enabled */
#define LEGACY_QUEUE_VECTOR    0x16
#define LEGACY_CONFIG          0x14
#define LEGACY_CONFIG_MSIX     0x18

#define ISR_QUEUE  1u
#define ISR_CONFIG 2u

/* --- interrupts */

static void update_irq(struct virtio *virtio)
{
    struct virtio_pci *pci = &virtio->pci;
    bool level = pci->isr && !pci_msix_enabled(&pci->msix);
    uint8_t *status = &pci->function.config[PCI_STATUS];
    bool disabled = pci_get(&pci->function, PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE;

    *status = level ? *status | PCI_STATUS_INTERRUPT : *status & ~PCI_STATUS_INTERRUPT;
    irq_set(&pci->irq, level && !disabled);
}

static void interrupt(struct virtio *virtio, uint16_t vector, uint8_t cause)
{
    struct virtio_pci *pci = &virtio->pci;

    if (pci_msix_enabled(&pci->msix)) {
        if (vector != VIRTIO_NO_VECTOR)
            pci_msix_send(&pci->msix, vector);
        return;
    }
    pci->isr |= cause;
    update_irq(virtio);
}

static void queue_interrupt(struct virtio *virtio, unsigned queue)
{
    interrupt(virtio, virtio->queue[queue].vector, ISR_QUEUE);
}

static void config_interrupt(struct virtio *virtio)
{
    interrupt(virtio, virtio->pci.config_vector, ISR_CONFIG);
}

static const struct virtio_transport transport = {queue_interrupt, config_interrupt};

/* Reading acknowledges (4.1.4.5). */
static uint8_t take_isr(struct virtio *virtio)
{
    uint8_t isr = virtio->pci.isr;

    virtio->pci.isr = 0;
    update_irq(virtio);
    return isr;
}

/* A vector that there isn't reads back as none (4.1.5.1.2). */
static uint16_t checked_vector(const struct virtio *virtio, uint64_t vector)
{
    return vector < virtio->pci.msix.vectors ? (uint16_t)vector : VIRTIO_NO_VECTOR;
}

static void set_status(struct virtio *virtio, uint8_t status, bool legacy)
{
    struct virtio_pci *pci = &virtio->pci;

    if (!status) {
        pci->device_feature_select = pci->driver_feature_select = 0;
        pci->queue_select = 0;
        pci->config_vector = VIRTIO_NO_VECTOR;
        pci->isr = 0;
    }
    virtio_set_status(virtio, status, legacy);
    update_irq(virtio);
}

static struct virtio_queue *selected(struct virtio *virtio)
{
    return virtio->pci.queue_select < virtio->queues ? &virtio->queue[virtio->pci.queue_select] : NULL;
}

/* --- the modern interface */

static uint32_t features_window(uint64_t features, uint32_t select)
{
    return select < 2 ? (uint32_t)(features >> 32 * select) : 0;
}

static uint32_t queue_word(const struct virtio_queue *queue, unsigned offset)
{
    if (!queue)
        return 0;
    switch (offset) {
    case COMMON_QUEUE_SIZE:
        return queue->size | (uint32_t)queue->vector << 16;
    case COMMON_QUEUE_ENABLE:
        return queue->enabled | queue->number << 16;
    case COMMON_QUEUE_DESC:
        return (uint32_t)queue->desc;
    case COMMON_QUEUE_DESC + 4:
        return queue->desc >> 32;
    case COMMON_QUEUE_DRIVER:
        return (uint32_t)queue->driver;
    case COMMON_QUEUE_DRIVER + 4:
        return queue->driver >> 32;
    case COMMON_QUEUE_DEVICE:
        return (uint32_t)queue->device;
    default:
        return queue->device >> 32;
    }
}

static uint32_t common_word(struct virtio *virtio, unsigned offset)
{
    const struct virtio_pci *pci = &virtio->pci;

    switch (offset) {
    case COMMON_DEVICE_FEATURE_SELECT:
        return pci->device_feature_select;
    case COMMON_DEVICE_FEATURE:
        return features_window(virtio->offered, pci->device_feature_select);
    case COMMON_DRIVER_FEATURE_SELECT:
        return pci->driver_feature_select;
    case COMMON_DRIVER_FEATURE:
        return features_window(virtio->accepted, pci->driver_feature_select);
    case COMMON_CONFIG_VECTOR:
        return pci->config_vector | virtio->queues << 16;
    case COMMON_STATUS:
        return virtio_status(virtio, false) | (uint32_t)virtio->generation << 8 |
               (uint32_t)pci->queue_select << 16;
    default:
        return offset < COMMON_SIZE ? queue_word(selected(virtio), offset) : 0;
    }
}

static void set_half(uint64_t *value, unsigned offset, uint64_t half)
{
    unsigned shift = offset & 4 ? 32 : 0;

    *value = (*value & ~(0xFFFFFFFFull << shift)) | (half & 0xFFFFFFFF) << shift;
}

/* Places and size can't be changed once the queue is enabled. */
static void queue_write(struct virtio *virtio, unsigned offset, uint64_t value)
{
    struct virtio_queue *queue = selected(virtio);

    if (!queue)
        return;
    if (offset == COMMON_QUEUE_VECTOR)
        queue->vector = checked_vector(virtio, value);
    else if (queue->enabled)
        return;
    else if (offset == COMMON_QUEUE_SIZE)
        queue->size = (uint16_t)value;
    else if (offset == COMMON_QUEUE_ENABLE && value == 1)
        virtio_queue_enable(queue);
    else if ((offset & ~4u) == COMMON_QUEUE_DESC)
        set_half(&queue->desc, offset, value);
    else if ((offset & ~4u) == COMMON_QUEUE_DRIVER)
        set_half(&queue->driver, offset, value);
    else if ((offset & ~4u) == COMMON_QUEUE_DEVICE)
        set_half(&queue->device, offset, value);
}

static void common_write(struct virtio *virtio, unsigned offset, uint64_t value)
{
    struct virtio_pci *pci = &virtio->pci;
    uint64_t accepted = virtio->accepted;

    switch (offset) {
    case COMMON_DEVICE_FEATURE_SELECT:
        pci->device_feature_select = (uint32_t)value;
        break;
    case COMMON_DRIVER_FEATURE_SELECT:
        pci->driver_feature_select = (uint32_t)value;
        break;
    case COMMON_DRIVER_FEATURE:
        if (pci->driver_feature_select < 2) {
            set_half(&accepted, pci->driver_feature_select * 4, value);
            virtio_accept(virtio, accepted);
        }
        break;
    case COMMON_CONFIG_VECTOR:
        pci->config_vector = checked_vector(virtio, value);
        break;
    case COMMON_STATUS:
        set_status(virtio, (uint8_t)value, false);
        break;
    case COMMON_QUEUE_SELECT:
        pci->queue_select = (uint16_t)value;
        break;
    default:
        queue_write(virtio, offset, value);
    }
}

static uint64_t modern_read(void *dev, uint64_t addr, unsigned size)
{
    struct virtio *virtio = dev;
    unsigned offset = addr % BUS_PAGE;

    switch (addr / BUS_PAGE) {
    case PAGE_COMMON:
        return common_word(virtio, offset & ~3u) >> (offset & 3) * 8;
    case PAGE_ISR:
        return offset ? 0 : take_isr(virtio);
    case PAGE_DEVICE:
        return virtio_config_read(virtio, offset, size);
    default:
        return 0;
    }
}

static void modern_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct virtio *virtio = dev;
    unsigned offset = addr % BUS_PAGE;

    switch (addr / BUS_PAGE) {
    case PAGE_COMMON:
        common_write(virtio, offset, value);
        break;
    case PAGE_DEVICE:
        virtio_config_write(virtio, offset, value, size);
        break;
    case PAGE_NOTIFY:
        virtio_notify(virtio, offset / NOTIFY_MULTIPLIER);
        break;
    default:
        break;
    }
}

static const struct bus_ops modern_ops = {modern_read, modern_write, 4};

/* --- the legacy interface */

/* The parts of a legacy queue follow each other, the used ring on a page of its own (2.7.2). */
static void set_legacy_queue(struct virtio *virtio, uint32_t page)
{
    struct virtio_queue *queue = selected(virtio);
    uint16_t vector;

    if (!queue)
        return;
    vector = queue->vector;
    virtio_queue_reset(queue);
    queue->vector = vector;
    if (!page)
        return;
    queue->desc = (uint64_t)page * LEGACY_PAGE;
    queue->driver = queue->desc + 16u * queue->size;
    queue->device = queue->driver + 6 + 2u * queue->size;
    queue->device = (queue->device + LEGACY_PAGE - 1) & ~(uint64_t)(LEGACY_PAGE - 1);
    virtio_queue_enable(queue);
}

static unsigned legacy_config(const struct virtio *virtio)
{
    return pci_msix_enabled(&virtio->pci.msix) ? LEGACY_CONFIG_MSIX : LEGACY_CONFIG;
}

static uint64_t legacy_read(void *dev, uint64_t addr, unsigned size)
{
    struct virtio *virtio = dev;
    const struct virtio_queue *queue = selected(virtio);

    if (addr >= legacy_config(virtio))
        return virtio_config_read(virtio, (unsigned)addr - legacy_config(virtio), size);
    switch (addr) {
    case LEGACY_DEVICE_FEATURES:
        return virtio->offered & LEGACY_FEATURES;
    case LEGACY_DRIVER_FEATURES:
        return virtio->accepted & LEGACY_FEATURES;
    case LEGACY_QUEUE_PAGE:
        return queue && queue->enabled ? queue->desc / LEGACY_PAGE : 0;
    case LEGACY_QUEUE_SIZE:
        return queue ? queue->size : 0;
    case LEGACY_QUEUE_SELECT:
        return virtio->pci.queue_select;
    case LEGACY_STATUS:
        return virtio_status(virtio, true);
    case LEGACY_ISR:
        return take_isr(virtio);
    case LEGACY_CONFIG_VECTOR:
        return virtio->pci.config_vector;
    case LEGACY_QUEUE_VECTOR:
        return queue ? queue->vector : VIRTIO_NO_VECTOR;
    default:
        return 0;
    }
}

static void legacy_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct virtio *virtio = dev;
    struct virtio_queue *queue = selected(virtio);

    if (addr >= legacy_config(virtio)) {
        virtio_config_write(virtio, (unsigned)addr - legacy_config(virtio), value, size);
        return;
    }
    switch (addr) {
    case LEGACY_DRIVER_FEATURES:
        virtio_accept(virtio, value & virtio->offered & LEGACY_FEATURES);
        if (virtio->class->features_set)
            virtio->class->features_set(virtio->dev);
        break;
    case LEGACY_QUEUE_PAGE:
        set_legacy_queue(virtio, (uint32_t)value);
        break;
    case LEGACY_QUEUE_SELECT:
        virtio->pci.queue_select = (uint16_t)value;
        break;
    case LEGACY_QUEUE_NOTIFY:
        virtio_notify(virtio, (uint16_t)value);
        break;
    case LEGACY_STATUS:
        set_status(virtio, (uint8_t)value, true);
        break;
    case LEGACY_CONFIG_VECTOR:
        virtio->pci.config_vector = checked_vector(virtio, value);
        break;
    case LEGACY_QUEUE_VECTOR:
        if (queue)
            queue->vector = checked_vector(virtio, value);
        break;
    default:
        break;
    }
}

static const struct bus_ops legacy_ops = {legacy_read, legacy_write, 4};

/* --- configuration space */

/* Where CAP_ACCESS points, of `*size` bytes; false: nowhere that can be reached so (4.1.4.9). */
static bool window(const struct virtio *virtio, uint32_t *offset, unsigned *size)
{
    const struct pci_function *function = &virtio->pci.function;

    *offset = pci_get(function, CAP_ACCESS + CAP_OFFSET, 4);
    *size = pci_get(function, CAP_ACCESS + CAP_SIZE, 4);
    return function->config[CAP_ACCESS + CAP_BAR] == MODERN_BAR && (*size == 1 || *size == 2 || *size == 4) &&
           *offset % *size == 0 && *offset < MODERN_SIZE;
}

static bool touches_window(unsigned reg, unsigned size)
{
    return reg < CAP_ACCESS + CAP_DATA + 4 && reg + size > CAP_ACCESS + CAP_DATA;
}

static void config_reading(void *dev, unsigned reg, unsigned size)
{
    struct virtio *virtio = dev;
    uint32_t offset;
    unsigned width;

    if (touches_window(reg, size) && window(virtio, &offset, &width))
        pci_set(&virtio->pci.function, CAP_ACCESS + CAP_DATA, (uint32_t)modern_read(virtio, offset, width),
                4);
}

static void map(struct virtio *virtio)
{
    struct virtio_pci *pci = &virtio->pci;
    uint64_t modern = pci_bar_address(&pci->function, MODERN_BAR);
    uint64_t legacy = pci_bar_address(&pci->function, LEGACY_BAR);

    pci_move_region(pci->modern, modern, modern != PCI_BAR_UNMAPPED);
    if (pci->legacy)
        pci_move_region(pci->legacy, legacy, legacy <= 0xFFFF);
    pci_rom_map(&pci->rom, &pci->function);
}

static void config_written(void *dev, unsigned reg, unsigned size)
{
    struct virtio *virtio = dev;
    struct pci_function *function = &virtio->pci.function;
    uint32_t offset, value = pci_get(function, CAP_ACCESS + CAP_DATA, 4);
    unsigned width;

    if (touches_window(reg, size) && window(virtio, &offset, &width))
        modern_write(virtio, offset, width == 4 ? value : value & ((1u << 8 * width) - 1), width);
    map(virtio);
    pci_msix_written(&virtio->pci.msix);
    update_irq(virtio);
}

static void add_capability(struct pci_function *function, unsigned at, unsigned type, unsigned length,
                           unsigned page, uint32_t size)
{
    pci_add_capability(function, CAPABILITY_VENDOR, at);
    pci_set(function, at + CAP_LENGTH, length, 1);
    pci_set(function, at + CAP_TYPE, type, 1);
    pci_set(function, at + CAP_BAR, MODERN_BAR, 1);
    pci_set(function, at + CAP_OFFSET, page * BUS_PAGE, 4);
    pci_set(function, at + CAP_SIZE, size, 4);
}

static void add_capabilities(struct virtio *virtio)
{
    struct pci_function *function = &virtio->pci.function;

    pci_msix_reset(&virtio->pci.msix);
    add_capability(function, CAP_ACCESS, TYPE_ACCESS, 20, 0, 0);
    pci_set(function, CAP_ACCESS + CAP_BAR, 0, 1);
    pci_allow(function, CAP_ACCESS + CAP_BAR, 0xFF, 1);
    for (unsigned reg = CAP_OFFSET; reg <= CAP_DATA; reg += 4)
        pci_allow(function, CAP_ACCESS + reg, UINT32_MAX, 4);
    add_capability(function, CAP_DEVICE, TYPE_DEVICE, 16, PAGE_DEVICE, BUS_PAGE);
    add_capability(function, CAP_ISR, TYPE_ISR, 16, PAGE_ISR, BUS_PAGE);
    add_capability(function, CAP_NOTIFY, TYPE_NOTIFY, 20, PAGE_NOTIFY, BUS_PAGE);
    pci_set(function, CAP_NOTIFY + CAP_MULTIPLIER, NOTIFY_MULTIPLIER, 4);
    add_capability(function, CAP_COMMON, TYPE_COMMON, 16, PAGE_COMMON, BUS_PAGE);
}

/* Device IDs of transitional devices, by type (4.1.2.1). */
static uint16_t legacy_device_id(unsigned type)
{
    static const uint16_t ids[] = {
        [VIRTIO_ID_NET] = 0x1000,     [VIRTIO_ID_BLOCK] = 0x1001, [VIRTIO_ID_BALLOON] = 0x1002,
        [VIRTIO_ID_CONSOLE] = 0x1003, [VIRTIO_ID_RNG] = 0x1005,   [VIRTIO_ID_9P] = 0x1009,
    };

    return type < sizeof(ids) / sizeof(*ids) ? ids[type] : 0;
}

static uint32_t legacy_size(const struct virtio *virtio)
{
    uint32_t size = 32;

    while (size < LEGACY_CONFIG_MSIX + virtio->config_size)
        size *= 2;
    return size;
}

static void init_config(struct virtio *virtio)
{
    const struct virtio_class *class = virtio->class;
    struct pci_function *function = &virtio->pci.function;
    bool modern = class->modern_only;

    memset(function->config, 0, sizeof(function->config));
    pci_set(function, PCI_VENDOR_ID, VENDOR, 2);
    pci_set(function, PCI_DEVICE_ID, modern ? DEVICE_MODERN + class->id : legacy_device_id(class->id), 2);
    pci_set(function, PCI_REVISION, modern, 1);
    pci_set(function, PCI_CLASS, class->pci_class, 3);
    pci_set(function, PCI_SUBSYSTEM_VENDOR, PCI_SUBSYSTEM_BOARD_VENDOR, 2);
    pci_set(function, PCI_SUBSYSTEM_ID, modern ? PCI_SUBSYSTEM_BOARD : class->id, 2);
    pci_set(function, PCI_INTERRUPT_PIN, 1, 1);
    pci_allow(function, PCI_COMMAND, PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE, 2);
    function->clearable[PCI_STATUS + 1] = 0xF9;
    pci_allow(function, 0x0C, 0xFFFF, 2); /* cache line size, latency timer */
    pci_allow(function, PCI_INTERRUPT_LINE, 0xFF, 1);
    if (!modern)
        pci_init_bar(function, LEGACY_BAR, legacy_size(virtio), PCI_BAR_IO);
    pci_init_bar(function, MSIX_BAR, PCI_MSIX_SIZE, PCI_BAR_MEMORY32);
    pci_init_bar(function, MODERN_BAR, MODERN_SIZE, PCI_BAR_MEMORY64 | PCI_BAR_PREFETCH);
    pci_rom_reset(&virtio->pci.rom, function);
    add_capabilities(virtio);
}

/* --- state and construction */

static const struct field function_fields[] = {FIELD_ARRAY(struct pci_function, config), FIELD_END};

const struct field virtio_pci_fields[] = {
    FIELD_STRUCT(struct virtio_pci, function, function_fields),
    FIELD_STRUCT(struct virtio_pci, msix, pci_msix_fields),
    FIELD(struct virtio_pci, device_feature_select),
    FIELD(struct virtio_pci, driver_feature_select),
    FIELD(struct virtio_pci, config_vector),
    FIELD(struct virtio_pci, queue_select),
    FIELD(struct virtio_pci, isr),
    FIELD_END,
};

void virtio_pci_reset(struct virtio *virtio)
{
    struct virtio_pci *pci = &virtio->pci;

    init_config(virtio);
    pci->device_feature_select = pci->driver_feature_select = 0;
    pci->queue_select = 0;
    pci->config_vector = VIRTIO_NO_VECTOR;
    pci->isr = 0;
    map(virtio);
    update_irq(virtio);
}

void virtio_pci_loaded(struct virtio *virtio)
{
    map(virtio);
    pci_msix_written(&virtio->pci.msix);
    update_irq(virtio);
}

void virtio_pci_unplug(struct virtio *virtio)
{
    if (virtio->pci.bus)
        pci_bus_remove(virtio->pci.bus, &virtio->pci.function);
    virtio->pci.bus = NULL;
    pci_rom_free(&virtio->pci.rom);
}

bool virtio_pci_plug(struct virtio *virtio, const struct virtio_slot *slot)
{
    struct virtio_pci *pci = &virtio->pci;
    const char *name = virtio->class->name;

    virtio->memory = slot->memory;
    virtio->log = slot->log;
    virtio->transport = &transport;
    pci->irq = slot->irq;
    pci->function.name = name;
    pci->function.dev = virtio;
    pci->function.reading = config_reading;
    pci->function.written = config_written;
    pci->modern = bus_map(slot->memory, name, 0xE0000000, MODERN_SIZE, &modern_ops, virtio);
    if (!pci->modern || !pci_msix_init(&pci->msix, &pci->function, slot->memory, name, CAP_MSIX,
                                       virtio->queues + 1, MSIX_BAR, 0))
        return false;
    if (!virtio->class->modern_only) {
        pci->legacy = bus_map(slot->ports, name, 0xC000, legacy_size(virtio), &legacy_ops, virtio);
        if (!pci->legacy)
            return false;
    }
    if (!pci_rom_init(&pci->rom, slot->memory, name, slot->rom, slot->rom_size) ||
        !pci_bus_add(slot->pci, slot->slot, 0, &pci->function))
        return false;
    pci->bus = slot->pci;
    virtio_reset(virtio);
    return true;
}
