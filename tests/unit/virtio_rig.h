/*
 * virtio_rig.h - a virtio driver for tests: finds a device by its capabilities, sets it up, and puts chains
 * into its rings, split or packed, by hand. Section numbers: virtio 1.2.
 */
#ifndef TESTS_UNIT_VIRTIO_RIG_H
#define TESTS_UNIT_VIRTIO_RIG_H

#include "devices/pci.h"
#include "devices/virtio.h"
#include "tests/unit/board.h"

#define RIG_RAM     0x400000u
#define RIG_SLOT    5u
#define RIG_DEVFN   PCI_DEVFN(RIG_SLOT, 0)
#define RIG_MODERN  0xFE000000u
#define RIG_MSIX    0xFE010000u
#define RIG_PORTS   0xC000u
#define RIG_RINGS   0x10000u  /* of queue n: 0x8000 bytes each */
#define RIG_BUFFERS 0x100000u /* free for tests */
#define RIG_QUEUES  4u

#define D_NEXT     1u
#define D_WRITE    2u
#define D_INDIRECT 4u

struct rig_queue {
    unsigned size;
    uint64_t desc, driver, device;
    uint16_t avail, seen; /* split: indices; packed: slots */
    bool avail_wrap, seen_wrap;
    unsigned free; /* split: the next descriptor to use */
};

struct rig {
    struct board board;
    struct line line;
    struct pci_bus *pci;
    uint8_t *ram;
    bool packed;
    unsigned messages;
    uint32_t last_message;
    struct rig_queue queue[RIG_QUEUES];
};

struct rig_piece {
    uint64_t address;
    uint32_t size;
    bool in;
};

struct rig_used {
    uint32_t id, written;
};

static inline void rig_on_message(void *opaque, uint64_t address, uint32_t data)
{
    struct rig *rig = opaque;

    (void)address;
    rig->messages++;
    rig->last_message = data;
}

static inline void rig_init(struct rig *rig)
{
    memset(rig, 0, sizeof(*rig));
    board_init(&rig->board);
    rig->line.board = &rig->board;
    rig->pci = pci_bus_new(&rig->board.log);
    pci_bus_on_message(rig->pci, rig_on_message, rig);
    rig->ram = aligned_alloc(4096, RIG_RAM);
    ck_assert(rig->ram != NULL);
    memset(rig->ram, 0, RIG_RAM);
    ck_assert(bus_map_ram(rig->board.mem, "ram", 0, RIG_RAM, rig->ram) != NULL);
}

static inline void rig_free(struct rig *rig)
{
    pci_bus_free(rig->pci);
    board_free(&rig->board);
    free(rig->ram);
}

static inline struct virtio_slot rig_slot(struct rig *rig)
{
    return (struct virtio_slot){.pci = rig->pci,
                                .slot = RIG_SLOT,
                                .memory = rig->board.mem,
                                .ports = rig->board.ports,
                                .irq = line_irq(&rig->line),
                                .log = &rig->board.log};
}

static inline void rig_config(struct rig *rig, unsigned reg, uint32_t value, unsigned size)
{
    pci_config_write(rig->pci, 0, RIG_DEVFN, reg, value, size);
}

static inline void rig_map(struct rig *rig)
{
    rig_config(rig, PCI_BAR(0), RIG_PORTS, 4);
    rig_config(rig, PCI_BAR(1), RIG_MSIX, 4);
    rig_config(rig, PCI_BAR(4), RIG_MODERN, 4);
    rig_config(rig, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
}

/* Registers of the common configuration (4.1.4.3), and of the device's own. */
static inline uint32_t rig_get(struct rig *rig, unsigned reg, unsigned size)
{
    return (uint32_t)bus_read(rig->board.mem, RIG_MODERN + reg, size);
}

static inline void rig_set(struct rig *rig, unsigned reg, uint64_t value, unsigned size)
{
    bus_write(rig->board.mem, RIG_MODERN + reg, value, size);
}

static inline uint8_t rig_status(struct rig *rig)
{
    return (uint8_t)rig_get(rig, 0x14, 1);
}

static inline uint64_t rig_offered(struct rig *rig)
{
    uint64_t features;

    rig_set(rig, 0, 0, 4);
    features = rig_get(rig, 4, 4);
    rig_set(rig, 0, 1, 4);
    return features | (uint64_t)rig_get(rig, 4, 4) << 32;
}

/* Resets, agrees upon features. True: the device takes them. */
static inline bool rig_negotiate(struct rig *rig, uint64_t features)
{
    rig_set(rig, 0x14, 0, 1);
    ck_assert_uint_eq(rig_status(rig), 0);
    rig_set(rig, 0x14, VIRTIO_STATUS_ACKNOWLEDGE, 1);
    rig_set(rig, 0x14, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER, 1);
    rig_set(rig, 8, 0, 4);
    rig_set(rig, 0xC, (uint32_t)features, 4);
    rig_set(rig, 8, 1, 4);
    rig_set(rig, 0xC, features >> 32, 4);
    rig_set(rig, 0x14, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER | VIRTIO_STATUS_FEATURES_OK, 1);
    rig->packed = features & VIRTIO_F_RING_PACKED;
    return rig_status(rig) & VIRTIO_STATUS_FEATURES_OK;
}

static inline void rig_place(struct rig *rig, unsigned n, unsigned size)
{
    struct rig_queue *q = &rig->queue[n];
    uint64_t base = RIG_RINGS + n * 0x8000;

    memset(q, 0, sizeof(*q));
    memset(rig->ram + base, 0, 0x8000);
    q->size = size;
    q->desc = base;
    q->driver = base + 0x4000;
    q->device = base + 0x6000;
    q->avail_wrap = q->seen_wrap = true;
}

static inline void rig_enable(struct rig *rig, unsigned n, unsigned size)
{
    struct rig_queue *q = &rig->queue[n];

    rig_place(rig, n, size);
    rig_set(rig, 0x16, n, 2);
    rig_set(rig, 0x18, size, 2);
    rig_set(rig, 0x20, q->desc, 8);
    rig_set(rig, 0x28, q->driver, 8);
    rig_set(rig, 0x30, q->device, 8);
    rig_set(rig, 0x1C, 1, 2);
}

static inline void rig_start(struct rig *rig, uint64_t features, unsigned queues, unsigned size)
{
    ck_assert(rig_negotiate(rig, features | VIRTIO_F_VERSION_1));
    for (unsigned n = 0; n < queues; n++)
        rig_enable(rig, n, size);
    rig_set(rig, 0x14, 0x0F, 1);
    ck_assert_uint_eq(rig_status(rig), 0x0F);
}

static inline void rig_notify(struct rig *rig, unsigned n)
{
    rig_set(rig, 0x3000 + 4 * n, n, 2);
}

static inline void rig_put(struct rig *rig, uint64_t address, uint64_t value, unsigned size)
{
    ck_assert(address + size <= RIG_RAM);
    memcpy(rig->ram + address, &value, size);
}

static inline uint64_t rig_peek(struct rig *rig, uint64_t address, unsigned size)
{
    uint64_t value = 0;

    memcpy(&value, rig->ram + address, size);
    return value;
}

/* A descriptor of a split ring or of a table: flags and next. */
static inline void rig_desc(struct rig *rig, uint64_t table, unsigned n, uint64_t address, uint32_t size,
                            uint16_t flags, uint16_t next)
{
    rig_put(rig, table + 16 * n, address, 8);
    rig_put(rig, table + 16 * n + 8, size, 4);
    rig_put(rig, table + 16 * n + 12, flags, 2);
    rig_put(rig, table + 16 * n + 14, next, 2);
}

/* One of a packed ring: made available where the driver is, and that moves on. */
static inline void rig_packed_desc(struct rig *rig, struct rig_queue *q, uint64_t address, uint32_t size,
                                   uint16_t id, uint16_t flags)
{
    uint64_t at = q->desc + 16 * q->avail;

    flags |= q->avail_wrap ? 0x0080 : 0x8000;
    rig_put(rig, at, address, 8);
    rig_put(rig, at + 8, size, 4);
    rig_put(rig, at + 12, id, 2);
    rig_put(rig, at + 14, flags, 2);
    if (++q->avail == q->size) {
        q->avail = 0;
        q->avail_wrap = !q->avail_wrap;
    }
}

static inline void rig_make_available(struct rig *rig, struct rig_queue *q, uint16_t head)
{
    rig_put(rig, q->driver + 4 + 2 * (q->avail % q->size), head, 2);
    q->avail++;
    rig_put(rig, q->driver + 2, q->avail, 2);
}

/* Puts a chain into a queue. Returns the id that its used element will have. */
static inline uint16_t rig_add(struct rig *rig, unsigned n, const struct rig_piece *pieces, unsigned count)
{
    struct rig_queue *q = &rig->queue[n];
    uint16_t head = (uint16_t)(q->free % q->size);

    for (unsigned i = 0; i < count; i++) {
        uint16_t flags = (uint16_t)((pieces[i].in ? D_WRITE : 0) | (i + 1 < count ? D_NEXT : 0));
        unsigned slot = (q->free + i) % q->size;

        if (rig->packed)
            rig_packed_desc(rig, q, pieces[i].address, pieces[i].size, head, flags);
        else
            rig_desc(rig, q->desc, slot, pieces[i].address, pieces[i].size, flags,
                     (uint16_t)((slot + 1) % q->size));
    }
    q->free += count;
    if (!rig->packed)
        rig_make_available(rig, q, head);
    return head;
}

/* The next used element; `descriptors` is what its chain took of a packed ring. False: there is none. */
static inline bool rig_used(struct rig *rig, unsigned n, unsigned descriptors, struct rig_used *used)
{
    struct rig_queue *q = &rig->queue[n];

    if (!rig->packed) {
        uint64_t at = q->device + 4 + 8 * (q->seen % q->size);
        if (rig_peek(rig, q->device + 2, 2) == q->seen)
            return false;
        *used = (struct rig_used){(uint32_t)rig_peek(rig, at, 4), (uint32_t)rig_peek(rig, at + 4, 4)};
        q->seen++;
        return true;
    }
    uint64_t at = q->desc + 16 * q->seen;
    uint16_t flags = (uint16_t)rig_peek(rig, at + 14, 2);
    if (!(flags & 0x80) == q->seen_wrap || !(flags & 0x8000) == q->seen_wrap)
        return false;
    *used = (struct rig_used){(uint32_t)rig_peek(rig, at + 12, 2), (uint32_t)rig_peek(rig, at + 8, 4)};
    q->seen = (uint16_t)(q->seen + descriptors);
    if (q->seen >= q->size) {
        q->seen = (uint16_t)(q->seen - q->size);
        q->seen_wrap = !q->seen_wrap;
    }
    return true;
}

#endif
