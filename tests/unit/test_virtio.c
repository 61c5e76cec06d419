/* Rings, features and the PCI transport, with a device that turns what it is given around. Section numbers:
 * virtio 1.2. */
#include "tests/unit/virtio_rig.h"

#define TOY_FEATURE 0x5ull /* two bits of its own */
#define CONFIG      12u

struct toy {
    struct virtio virtio;
    struct virtio_chain *held[64];
    unsigned holds, notified, resets, started, features_set, config_writes;
    bool hold; /* instead of answering */
};

static struct rig rig;
static struct toy toy;

/* What it reads, with all bits turned, is what it writes. */
static void answer(struct virtio_chain *chain)
{
    uint8_t data[4096];
    size_t size = virtio_read(chain, 0, data, sizeof(data));

    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)~data[i];
    virtio_push(chain, virtio_write(chain, 0, data, size));
}

static void toy_notified(void *device, unsigned queue)
{
    struct toy *t = device;
    struct virtio_chain *chain;

    t->notified++;
    while (t->holds < 64 && (chain = virtio_pop(&t->virtio.queue[queue]))) {
        if (t->hold)
            t->held[t->holds++] = chain;
        else
            answer(chain);
    }
    virtio_interrupt(&t->virtio.queue[queue]);
}

static void toy_reset(void *device)
{
    ((struct toy *)device)->resets++;
}

static void toy_features_set(void *device)
{
    ((struct toy *)device)->features_set++;
}

static void toy_started(void *device)
{
    ((struct toy *)device)->started++;
}

static void toy_config_written(void *device, unsigned offset, unsigned size)
{
    (void)offset;
    (void)size;
    ((struct toy *)device)->config_writes++;
}

static const struct virtio_class toy_class = {
    .name = "virtio-toy",
    .id = VIRTIO_ID_RNG,
    .pci_class = 0x00FF00,
    .notified = toy_notified,
    .reset = toy_reset,
    .features_set = toy_features_set,
    .started = toy_started,
    .config_written = toy_config_written,
};

static void toy_init(struct toy *t)
{
    memset(t, 0, sizeof(*t));
    virtio_init(&t->virtio, &toy_class, t, TOY_FEATURE, CONFIG);
    virtio_add_queue(&t->virtio, 256);
    virtio_add_queue(&t->virtio, 64);
    virtio_config_set(&t->virtio, 0, 0x0123456789ABCDEF, 8);
    t->virtio.writable[9] = 0xF0;
}

static void setup(void)
{
    struct virtio_slot slot;

    rig_init(&rig);
    slot = rig_slot(&rig);
    toy_init(&toy);
    ck_assert(virtio_pci_plug(&toy.virtio, &slot));
    rig_map(&rig);
    toy.resets = 0;
}

static void release(void)
{
    while (toy.holds)
        virtio_drop(toy.held[--toy.holds]);
}

static void teardown(void)
{
    release();
    virtio_free(&toy.virtio);
    rig_free(&rig);
}

/* A request of `size` bytes: sends a pattern, expects it turned. `cuts` pieces each way. */
static uint16_t ask(unsigned queue, uint64_t out, uint64_t in, uint32_t size, unsigned cuts)
{
    struct rig_piece pieces[32];
    unsigned count = 0;
    uint32_t at = 0;

    ck_assert_uint_le(cuts, 16);
    for (uint32_t i = 0; i < size; i++)
        rig.ram[out + i] = (uint8_t)(i * 7 + 3);
    memset(rig.ram + in, 0x55, size);
    for (unsigned k = 0; k < cuts; k++) {
        uint32_t part = k + 1 < cuts ? size / cuts : size - at;
        pieces[count++] = (struct rig_piece){out + at, part, false};
        at += part;
    }
    at = 0;
    for (unsigned k = 0; k < cuts; k++) {
        uint32_t part = k + 1 < cuts ? size / cuts : size - at;
        pieces[count++] = (struct rig_piece){in + at, part, true};
        at += part;
    }
    return rig_add(&rig, queue, pieces, count);
}

static void expect_answer(unsigned queue, uint16_t id, uint64_t in, uint32_t size, unsigned descriptors)
{
    struct rig_used used;

    ck_assert(rig_used(&rig, queue, descriptors, &used));
    ck_assert_uint_eq(used.id, id);
    ck_assert_uint_eq(used.written, size);
    for (uint32_t i = 0; i < size; i++)
        ck_assert_uint_eq(rig.ram[in + i], (uint8_t) ~(i * 7 + 3));
}

static const uint64_t kinds[] = {0, VIRTIO_F_RING_PACKED, VIRTIO_F_EVENT_IDX,
                                 VIRTIO_F_EVENT_IDX | VIRTIO_F_RING_PACKED};

START_TEST(the_function_says_what_it_is)
{
    unsigned seen = 0, at;

    ck_assert_uint_eq(pci_config_read(rig.pci, 0, RIG_DEVFN, 0, 4), 0x10051AF4);
    ck_assert_uint_eq(pci_config_read(rig.pci, 0, RIG_DEVFN, PCI_SUBSYSTEM_ID, 2), VIRTIO_ID_RNG);
    ck_assert_uint_eq(pci_config_read(rig.pci, 0, RIG_DEVFN, PCI_REVISION, 1), 0);
    for (at = pci_config_read(rig.pci, 0, RIG_DEVFN, PCI_CAPABILITIES, 1); at;
         at = pci_config_read(rig.pci, 0, RIG_DEVFN, at + 1, 1)) {
        unsigned id = pci_config_read(rig.pci, 0, RIG_DEVFN, at, 1);
        ck_assert(id == 0x09 || id == 0x11);
        if (id == 0x09)
            seen |= 1u << pci_config_read(rig.pci, 0, RIG_DEVFN, at + 3, 1);
    }
    ck_assert_uint_eq(seen, 0x3E);
    ck_assert_uint_eq(rig_get(&rig, 0x12, 2), 2);
    ck_assert_uint_eq(rig_get(&rig, 0x2000, 4), 0x89ABCDEF);
    ck_assert_uint_eq(rig_get(&rig, 0x2004, 2), 0x4567);
    ck_assert_uint_eq(rig_get(&rig, 0x2000 + CONFIG, 4), 0);
    rig_set(&rig, 0x2008, 0xFFFFFFFF, 4);
    ck_assert_uint_eq(rig_get(&rig, 0x2008, 4), 0xF000);
    ck_assert_uint_eq(toy.config_writes, 1);
}
END_TEST

START_TEST(features_are_agreed_upon)
{
    uint64_t offered = rig_offered(&rig);

    ck_assert_uint_eq(offered & 0xFF, TOY_FEATURE);
    ck_assert(offered & VIRTIO_F_VERSION_1 && offered & VIRTIO_F_RING_PACKED &&
              offered & VIRTIO_F_EVENT_IDX && offered & VIRTIO_F_INDIRECT_DESC);
    ck_assert(!rig_negotiate(&rig, 1));                         /* not a legacy driver */
    ck_assert(!rig_negotiate(&rig, VIRTIO_F_VERSION_1 | 0x10)); /* was not offered */
    ck_assert_uint_eq(toy.features_set, 0);
    ck_assert(rig_negotiate(&rig, VIRTIO_F_VERSION_1 | 1));
    ck_assert_uint_eq(toy.features_set, 1);
    ck_assert(virtio_has(&toy.virtio, 1) && !virtio_has(&toy.virtio, 4));
    rig_set(&rig, 8, 0, 4);
    rig_set(&rig, 0xC, 4, 4); /* too late */
    ck_assert(!virtio_has(&toy.virtio, 4));
    ck_assert_uint_eq(toy.started, 0);
    rig_set(&rig, 0x14, 0x0F, 1);
    ck_assert_uint_eq(toy.started, 1);
    rig_set(&rig, 0x14, 0, 1);
    ck_assert_uint_eq(toy.resets, 4);
    rig_set(&rig, 0x14, 7, 1); /* without features it can't start */
    ck_assert_uint_eq(rig_status(&rig), 3);
}
END_TEST

START_TEST(requests_are_answered)
{
    rig_start(&rig, kinds[_i], 2, 16);
    for (unsigned n = 0; n < 100; n++) {
        unsigned cuts = 1 + n % 7, size = 100 + n * 3;
        uint16_t id = ask(0, RIG_BUFFERS + n, RIG_BUFFERS + 0x1001, size, cuts);

        rig_notify(&rig, 0);
        expect_answer(0, id, RIG_BUFFERS + 0x1001, size, 2 * cuts);
    }
    ck_assert_uint_eq(toy.notified, 100);
    ck_assert_uint_eq(rig_status(&rig), 0x0F);
    ck_assert(rig.line.level);
    ck_assert_uint_eq(rig_get(&rig, 0x1000, 1), 1);
    ck_assert(!rig.line.level);
    ck_assert_uint_eq(rig_get(&rig, 0x1000, 1), 0);
}
END_TEST

START_TEST(chains_may_be_done_in_any_order)
{
    uint16_t id[4];
    struct rig_used used;

    rig_start(&rig, kinds[_i], 1, 8);
    toy.hold = true;
    for (unsigned round = 0; round < 9; round++) {
        for (unsigned n = 0; n < 4; n++)
            id[n] = ask(0, RIG_BUFFERS + n * 0x1000, RIG_BUFFERS + 0x8000 + n * 0x1000, 64, 1);
        rig_notify(&rig, 0);
        ck_assert_uint_eq(toy.holds, 4);
        ck_assert(!rig_used(&rig, 0, 2, &used));
        for (unsigned k = 0; k < 4; k++) {
            unsigned n = (k * 3 + round) % 4;
            answer(toy.held[n]);
            expect_answer(0, id[n], RIG_BUFFERS + 0x8000 + n * 0x1000, 64, 2);
        }
        toy.holds = 0;
    }
    ck_assert_uint_eq(rig_status(&rig), 0x0F);
}
END_TEST

START_TEST(several_are_seen_at_once)
{
    struct rig_used used;

    rig_start(&rig, kinds[_i], 1, 8);
    toy.hold = true;
    for (unsigned round = 0; round < 5; round++) {
        for (unsigned n = 0; n < 3; n++)
            ask(0, RIG_BUFFERS, RIG_BUFFERS + 0x8000 + n * 0x1000, 32, 1);
        rig_notify(&rig, 0);
        for (unsigned n = 0; n < 3; n++)
            virtio_fill(toy.held[n], 5 + n);
        toy.holds = 0;
        ck_assert(!rig_used(&rig, 0, 2, &used));
        virtio_publish(&toy.virtio.queue[0]);
        for (unsigned n = 0; n < 3; n++) {
            ck_assert(rig_used(&rig, 0, 2, &used));
            ck_assert_uint_eq(used.written, 5 + n);
        }
        ck_assert(!rig_used(&rig, 0, 2, &used));
    }
}
END_TEST

START_TEST(a_chain_can_be_given_back)
{
    struct virtio_queue *queue = &toy.virtio.queue[0];
    uint16_t id;

    rig_start(&rig, kinds[_i], 1, 4);
    for (unsigned round = 0; round < 12; round++) {
        struct virtio_chain *first, *second;

        id = ask(0, RIG_BUFFERS, RIG_BUFFERS + 0x8000, 16 + round, 1);
        ask(0, RIG_BUFFERS, RIG_BUFFERS + 0x9000, 16 + round, 1);
        ck_assert(virtio_available(queue));
        first = virtio_pop(queue);
        second = virtio_pop(queue);
        ck_assert(first && second && !virtio_available(queue));
        virtio_unpop(second);
        virtio_unpop(first);
        ck_assert_uint_eq(queue->in_flight, 0);
        rig_notify(&rig, 0);
        expect_answer(0, id, RIG_BUFFERS + 0x8000, 16 + round, 2);
        expect_answer(0, (uint16_t)((id + 2) % 4), RIG_BUFFERS + 0x9000, 16 + round, 2);
    }
}
END_TEST

START_TEST(indirect_tables)
{
    bool packed = _i;
    struct rig_queue *q = &rig.queue[0];
    uint64_t table = RIG_BUFFERS + 0x20000;
    struct rig_used used;

    rig_start(&rig, VIRTIO_F_INDIRECT_DESC | (packed ? VIRTIO_F_RING_PACKED : 0), 1, 4);
    for (unsigned round = 0; round < 9; round++) {
        for (unsigned n = 0; n < 20; n++) {
            bool in = n >= 10;
            uint16_t flags = in ? D_WRITE : 0;
            uint64_t address = RIG_BUFFERS + (in ? 0x8000 : 0) + n * 100;
            if (packed)
                rig_desc(&rig, table, n, address, 10, 0, flags); /* id, flags */
            else
                rig_desc(&rig, table, n, address, 10, flags | (n < 19 ? D_NEXT : 0), (uint16_t)(n + 1));
        }
        if (packed) {
            rig_packed_desc(&rig, q, table, 20 * 16, 77, D_INDIRECT);
        } else {
            rig_desc(&rig, q->desc, round % 4, table, 20 * 16, D_INDIRECT, 0);
            rig_make_available(&rig, q, round % 4);
        }
        rig_notify(&rig, 0);
        ck_assert(rig_used(&rig, 0, 1, &used));
        ck_assert_uint_eq(used.id, packed ? 77 : round % 4);
        ck_assert_uint_eq(used.written, 100);
    }
}
END_TEST

/* What a driver must not do, and what it looks like. */
enum bad {
    BAD_HOLE,
    BAD_MMIO,
    BAD_ORDER,
    BAD_CIRCLE,
    BAD_NEXT,
    BAD_TABLE_SIZE,
    BAD_TABLE_HOLE,
    BAD_TABLE_NESTED,
    BAD_TABLE_NEXT,
    BAD_END_OF_RAM,
    BAD_WRAP,
    BADS
};

static void put_bad(enum bad bad, bool packed)
{
    struct rig_queue *q = &rig.queue[0];
    uint64_t table = RIG_BUFFERS + 0x20000, address = RIG_BUFFERS;
    uint16_t flags = 0, next = 0, first = D_WRITE | D_NEXT;
    uint32_t size = 16;

    switch (bad) {
    case BAD_HOLE:
        address = RIG_RAM + 0x1000;
        break;
    case BAD_MMIO:
        address = RIG_MODERN;
        break;
    case BAD_END_OF_RAM:
        address = RIG_RAM - 8;
        break;
    case BAD_WRAP:
        address = UINT64_MAX - 7;
        break;
    case BAD_ORDER: /* two: written, then read */
        if (packed)
            rig_packed_desc(&rig, q, address, size, 0, first);
        else
            rig_desc(&rig, q->desc, 1, address, size, 0, 0), flags = first, next = 1;
        break;
    case BAD_CIRCLE:
        for (unsigned n = 0; packed && n < 7; n++)
            rig_packed_desc(&rig, q, address, size, 0, D_NEXT);
        flags = D_NEXT;
        break;
    case BAD_NEXT:
        flags = D_NEXT;
        next = 8;
        if (packed) { /* here the next one is always in the ring */
            put_bad(BAD_CIRCLE, packed);
            return;
        }
        break;
    case BAD_TABLE_SIZE:
        flags = D_INDIRECT;
        size = 17;
        break;
    case BAD_TABLE_HOLE:
        flags = D_INDIRECT;
        address = RIG_RAM - 16;
        size = 32;
        break;
    case BAD_TABLE_NESTED:
        rig_desc(&rig, table, 0, table, 16, packed ? 0 : D_INDIRECT, packed ? D_INDIRECT : 0);
        address = table;
        flags = D_INDIRECT;
        break;
    default: /* BAD_TABLE_NEXT */
        address = table;
        flags = D_INDIRECT | D_NEXT;
        break;
    }
    if (packed) {
        rig_packed_desc(&rig, q, address, size, 0, flags);
    } else {
        rig_desc(&rig, q->desc, 0, address, size, flags, next);
        rig_make_available(&rig, q, 0);
    }
}

START_TEST(bad_descriptors_break_the_device)
{
    bool packed = _i & 1;
    unsigned messages;

    rig_start(&rig, VIRTIO_F_INDIRECT_DESC | (packed ? VIRTIO_F_RING_PACKED : 0), 1, 8);
    messages = rig.line.rises;
    put_bad(_i / 2, packed);
    rig_notify(&rig, 0);
    ck_assert_uint_eq(rig_status(&rig), 0x4F);
    ck_assert_uint_eq(rig.line.rises, messages + 1);
    ck_assert_uint_eq(rig_get(&rig, 0x1000, 1), 2); /* the configuration: look at the status */
    ck_assert_ptr_null(virtio_pop(&toy.virtio.queue[0]));
    ck_assert_uint_eq(toy.virtio.queue[0].in_flight, 0);

    rig_start(&rig, kinds[_i % 4], 1, 8);
    uint16_t id = ask(0, RIG_BUFFERS, RIG_BUFFERS + 0x8000, 100, 2);
    rig_notify(&rig, 0);
    expect_answer(0, id, RIG_BUFFERS + 0x8000, 100, 4);
}
END_TEST

START_TEST(bad_indices_break_the_device)
{
    rig_start(&rig, 0, 1, 8);
    rig_put(&rig, rig.queue[0].driver + 2, 9, 2); /* more than the ring has */
    rig_notify(&rig, 0);
    ck_assert_uint_eq(rig_status(&rig), 0x4F);
    rig_start(&rig, 0, 1, 8);
    rig_make_available(&rig, &rig.queue[0], 8);
    rig_notify(&rig, 0);
    ck_assert_uint_eq(rig_status(&rig), 0x4F);
    /* Indirect ones that were not agreed upon. */
    rig_start(&rig, 0, 1, 8);
    rig_desc(&rig, rig.queue[0].desc, 0, RIG_BUFFERS, 16, D_INDIRECT, 0);
    rig_make_available(&rig, &rig.queue[0], 0);
    rig_notify(&rig, 0);
    ck_assert_uint_eq(rig_status(&rig), 0x4F);
}
END_TEST

START_TEST(bad_places_break_the_device)
{
    static const struct {
        unsigned reg;
        uint64_t value;
        unsigned size;
        bool packed;
    } bad[] = {
        {0x18, 0, 2, false},
        {0x18, 3, 2, false},
        {0x18, 512, 2, false},
        {0x20, 0x10008, 8, false},
        {0x28, 0x14001, 8, false},
        {0x30, 0x16002, 8, false},
        {0x20, RIG_RAM - 64, 8, true},
        {0x28, RIG_RAM, 8, false},
        {0x30, RIG_MODERN, 8, true},
        {0x28, 0x14002, 8, true},
        {0x20, ~UINT64_C(15), 8, true},
        {0x18, 0, 2, true},
        {0x30, RIG_RAM - 16, 8, false},
    };

    ck_assert(rig_negotiate(&rig, VIRTIO_F_VERSION_1 | (bad[_i].packed ? VIRTIO_F_RING_PACKED : 0)));
    rig_place(&rig, 0, 8);
    rig_set(&rig, 0x16, 0, 2);
    rig_set(&rig, 0x18, 8, 2);
    rig_set(&rig, 0x20, rig.queue[0].desc, 8);
    rig_set(&rig, 0x28, rig.queue[0].driver, 8);
    rig_set(&rig, 0x30, rig.queue[0].device, 8);
    rig_set(&rig, bad[_i].reg, bad[_i].value, bad[_i].size);
    rig_set(&rig, 0x1C, 1, 2);
    ck_assert_uint_eq(rig_get(&rig, 0x1C, 2), 0);
    ck_assert_uint_eq(rig_status(&rig), 0x4B);
    rig_set(&rig, 0x14, 0x0F, 1);
    rig_notify(&rig, 0);
    ck_assert_uint_eq(toy.notified, 0);
}
END_TEST

START_TEST(what_a_driver_does_at_any_moment)
{
    /* Features can't change under queues that were enabled before they are settled. */
    rig_negotiate(&rig, 0);
    rig_set(&rig, 8, 1, 4);
    rig_set(&rig, 0xC, (VIRTIO_F_VERSION_1 | VIRTIO_F_RING_PACKED) >> 32, 4);
    rig_enable(&rig, 0, 8);
    ck_assert_uint_eq(rig_get(&rig, 0x1C, 2), 1);
    rig_set(&rig, 0xC, VIRTIO_F_VERSION_1 >> 32, 4);
    ck_assert(virtio_has(&toy.virtio, VIRTIO_F_RING_PACKED));
    /* Nor places under queues. */
    rig_set(&rig, 0x16, 0, 2);
    rig_set(&rig, 0x18, 256, 2);
    rig_set(&rig, 0x20, RIG_RAM - 16, 8);
    ck_assert_uint_eq(rig_get(&rig, 0x18, 2), 8);
    ck_assert_uint_eq(rig_get(&rig, 0x20, 4), rig.queue[0].desc);
    /* A queue that isn't there. */
    rig_set(&rig, 0x16, 2, 2);
    ck_assert_uint_eq(rig_get(&rig, 0x18, 2), 0);
    rig_set(&rig, 0x1C, 1, 2);
    rig_notify(&rig, 2);
    rig_notify(&rig, 1000);
    ck_assert_uint_eq(toy.notified, 0);
}
END_TEST

START_TEST(the_driver_says_when_to_interrupt)
{
    struct rig_queue *q = &rig.queue[0];

    rig_start(&rig, 0, 1, 8);
    rig_put(&rig, q->driver, 1, 2); /* VIRTQ_AVAIL_F_NO_INTERRUPT */
    ask(0, RIG_BUFFERS, RIG_BUFFERS + 0x8000, 8, 1);
    rig_notify(&rig, 0);
    ck_assert(!rig.line.level);
    rig_put(&rig, q->driver, 0, 2);
    ask(0, RIG_BUFFERS, RIG_BUFFERS + 0x8000, 8, 1);
    rig_notify(&rig, 0);
    ck_assert(rig.line.level);

    rig_start(&rig, VIRTIO_F_RING_PACKED, 1, 8);
    rig_put(&rig, q->driver + 2, 1, 2); /* RING_EVENT_FLAGS_DISABLE */
    ask(0, RIG_BUFFERS, RIG_BUFFERS + 0x8000, 8, 1);
    rig_notify(&rig, 0);
    ck_assert(!rig.line.level);
    rig_put(&rig, q->driver + 2, 0, 2);
    ask(0, RIG_BUFFERS, RIG_BUFFERS + 0x8000, 8, 1);
    rig_notify(&rig, 0);
    ck_assert(rig.line.level);
}
END_TEST

/* One request after the other; whether there was an interrupt for it. */
static bool interrupts(unsigned descriptors)
{
    struct rig_used used;
    bool was;

    rig_get(&rig, 0x1000, 1);
    if (descriptors == 2)
        ask(0, RIG_BUFFERS, RIG_BUFFERS + 0x8000, 8, 1);
    else
        rig_add(&rig, 0, (const struct rig_piece[]){{RIG_BUFFERS, 8, true}}, 1);
    rig_notify(&rig, 0);
    was = rig.line.level;
    ck_assert(rig_used(&rig, 0, descriptors, &used));
    return was;
}

START_TEST(split_event_index)
{
    struct rig_queue *q = &rig.queue[0];

    rig_start(&rig, VIRTIO_F_EVENT_IDX, 1, 8);
    /* used_event counts elements from 0; at each of these the driver wants to hear of number `event`. */
    for (uint32_t n = 0; n < 0x10000 + 40; n++) {
        bool wanted = n % 5 == 2;
        rig_put(&rig, q->driver + 4 + 16, (uint16_t)(wanted ? n : n + 1), 2);
        ck_assert_int_eq(interrupts(2), wanted);
        /* And it is told to notify of the next chain. */
        ck_assert_uint_eq(rig_peek(&rig, q->device + 4 + 64, 2), (uint16_t)(n + 1));
    }
    /* Several since the last: one of them was meant. */
    toy.hold = true;
    for (int event = -2; event < 5; event++) {
        uint16_t start = q->seen;
        struct rig_used used;

        for (unsigned n = 0; n < 3; n++)
            ask(0, RIG_BUFFERS, RIG_BUFFERS + 0x8000, 8, 1);
        rig_notify(&rig, 0);
        rig_get(&rig, 0x1000, 1);
        rig_put(&rig, q->driver + 4 + 16, (uint16_t)(start + event), 2);
        for (unsigned n = 0; n < 3; n++)
            virtio_push(toy.held[n], 0);
        toy.holds = 0;
        virtio_interrupt(&toy.virtio.queue[0]);
        ck_assert_int_eq(rig.line.level, event >= 0 && event < 3);
        while (rig_used(&rig, 0, 2, &used))
            ;
    }
}
END_TEST

START_TEST(packed_event_index)
{
    struct rig_queue *q = &rig.queue[0];
    const unsigned size = 7; /* a packed ring's size is any */

    rig_start(&rig, VIRTIO_F_EVENT_IDX | VIRTIO_F_RING_PACKED, 1, size);
    rig_put(&rig, q->driver + 2, 2, 2); /* RING_EVENT_FLAGS_DESC */
    for (unsigned n = 0; n < 500; n++) {
        unsigned descriptors = 1 + n % 2;
        int ahead = (int)(n % 4) - 1; /* slots from where the driver expects the next element */
        unsigned slot = (q->seen + size + ahead) % size;
        bool wrap = (int)q->seen + ahead < 0 || q->seen + ahead >= (int)size ? !q->seen_wrap : q->seen_wrap;

        rig_put(&rig, q->driver, slot | (wrap ? 0x8000u : 0), 2);
        ck_assert_int_eq(interrupts(descriptors), ahead >= 0 && ahead < (int)descriptors);
        ck_assert_uint_eq(rig_peek(&rig, q->device, 2), q->avail | (q->avail_wrap ? 0x8000u : 0));
        ck_assert_uint_eq(rig_peek(&rig, q->device + 2, 2), 2);
    }
}
END_TEST

START_TEST(interrupts_are_messages)
{
    struct rig_used used;

    rig_config(&rig, 0x98 + 2, 0x8000, 2);
    for (unsigned n = 0; n < 3; n++) {
        bus_write(rig.board.mem, RIG_MSIX + 16 * n, 0xFEE00000, 8);
        bus_write(rig.board.mem, RIG_MSIX + 16 * n + 8, 100 + n, 8);
    }
    ck_assert(rig_negotiate(&rig, VIRTIO_F_VERSION_1));
    rig_set(&rig, 0x10, 3, 2); /* there are three: 0 to 2 */
    ck_assert_uint_eq(rig_get(&rig, 0x10, 2), 0xFFFF);
    rig_set(&rig, 0x10, 0, 2);
    ck_assert_uint_eq(rig_get(&rig, 0x10, 2), 0);
    rig_set(&rig, 0x16, 0, 2);
    rig_set(&rig, 0x1A, 2, 2);
    ck_assert_uint_eq(rig_get(&rig, 0x1A, 2), 2);
    rig_enable(&rig, 0, 8);
    rig_enable(&rig, 1, 8);
    rig_set(&rig, 0x14, 0x0F, 1);
    ask(0, RIG_BUFFERS, RIG_BUFFERS + 0x8000, 8, 1);
    rig_notify(&rig, 0);
    ck_assert_uint_eq(rig.messages, 1);
    ck_assert_uint_eq(rig.last_message, 102);
    ck_assert(!rig.line.level);
    ask(1, RIG_BUFFERS, RIG_BUFFERS + 0x8000, 8, 1); /* has no vector */
    rig_notify(&rig, 1);
    ck_assert(rig_used(&rig, 1, 2, &used));
    ck_assert_uint_eq(rig.messages, 1);
    virtio_config_changed(&toy.virtio);
    ck_assert_uint_eq(rig.last_message, 100);
    ck_assert_uint_eq(rig_get(&rig, 0x15, 1), 1);
}
END_TEST

START_TEST(a_reset_waits_for_whom_it_must)
{
    struct rig_used used;

    rig_start(&rig, kinds[_i], 1, 8);
    toy.hold = true;
    ask(0, RIG_BUFFERS, RIG_BUFFERS + 0x8000, 8, 1);
    rig_notify(&rig, 0);
    ck_assert_uint_eq(toy.holds, 1);
    rig_set(&rig, 0x14, 0, 1);
    ck_assert_uint_ne(rig_status(&rig), 0);
    virtio_push(toy.held[0], 8);
    toy.holds = 0;
    virtio_interrupt(&toy.virtio.queue[0]);
    ck_assert_uint_eq(rig_status(&rig), 0);
    ck_assert(!rig_used(&rig, 0, 2, &used));
    ck_assert(!rig.line.level);
    if (!rig.packed)
        ck_assert_uint_eq(rig_peek(&rig, rig.queue[0].device + 2, 2), 0);
}
END_TEST

START_TEST(legacy_drivers)
{
    uint32_t page = RIG_RINGS >> 12;
    struct rig_queue *q = &rig.queue[0];
    struct board *b = &rig.board;
    uint16_t id;

    rig_place(&rig, 0, 256);
    q->driver = q->desc + 16 * 256;
    q->device = RIG_RINGS + 0x2000;
    out(b, RIG_PORTS + 0x12, 0);
    out(b, RIG_PORTS + 0x12, 1);
    out(b, RIG_PORTS + 0x12, 3);
    ck_assert_uint_eq(bus_read(b->ports, RIG_PORTS, 4) & 0xFF, TOY_FEATURE);
    bus_write(b->ports, RIG_PORTS + 4, 0x11, 4); /* one that isn't offered is ignored */
    ck_assert_uint_eq(toy.virtio.accepted, 1);
    bus_write(b->ports, RIG_PORTS + 0xE, 0, 2);
    ck_assert_uint_eq(bus_read(b->ports, RIG_PORTS + 0xC, 2), 256);
    ck_assert_uint_eq(bus_read(b->ports, RIG_PORTS + 8, 4), 0);
    bus_write(b->ports, RIG_PORTS + 8, page, 4);
    ck_assert_uint_eq(bus_read(b->ports, RIG_PORTS + 8, 4), page);
    out(b, RIG_PORTS + 0x12, 7);
    ck_assert_uint_eq(in(b, RIG_PORTS + 0x12), 7);
    ck_assert_uint_eq(bus_read(b->ports, RIG_PORTS + 0x14, 4), 0x89ABCDEF);
    id = ask(0, RIG_BUFFERS, RIG_BUFFERS + 0x8000, 300, 3);
    bus_write(b->ports, RIG_PORTS + 0x10, 0, 2);
    expect_answer(0, id, RIG_BUFFERS + 0x8000, 300, 6);
    ck_assert(rig.line.level);
    ck_assert_uint_eq(in(b, RIG_PORTS + 0x13), 1);
    ck_assert(!rig.line.level);
    rig_config(&rig, 0x98 + 2, 0x8000, 2); /* with MSI-X, two registers are in between */
    ck_assert_uint_eq(bus_read(b->ports, RIG_PORTS + 0x14, 2), 0xFFFF);
    ck_assert_uint_eq(bus_read(b->ports, RIG_PORTS + 0x18, 4), 0x89ABCDEF);
    bus_write(b->ports, RIG_PORTS + 8, 0, 4);
    ck_assert(!toy.virtio.queue[0].enabled);
}
END_TEST

START_TEST(all_can_be_reached_through_configuration_space)
{
    rig_config(&rig, PCI_COMMAND, PCI_COMMAND_MASTER, 2); /* not even mapped */
    rig_config(&rig, 0x84 + 4, 4, 1);
    rig_config(&rig, 0x84 + 8, 0x2004, 4);
    rig_config(&rig, 0x84 + 12, 4, 4);
    ck_assert_uint_eq(pci_config_read(rig.pci, 0, RIG_DEVFN, 0x84 + 16, 4), 0x01234567);
    rig_config(&rig, 0x84 + 8, 0x14, 4);
    rig_config(&rig, 0x84 + 12, 1, 4);
    rig_config(&rig, 0x84 + 16, 1, 4);
    ck_assert_uint_eq(toy.virtio.status, 1);
    rig_config(&rig, 0x84 + 12, 3, 4); /* not a size */
    rig_config(&rig, 0x84 + 16, 0, 4);
    ck_assert_uint_eq(toy.virtio.status, 1);
    rig_config(&rig, 0x84 + 8, 0x4000, 4); /* not a place */
    rig_config(&rig, 0x84 + 12, 4, 4);
    pci_config_read(rig.pci, 0, RIG_DEVFN, 0x84 + 16, 4);
    rig_config(&rig, 0x84 + 16, 0, 4);
}
END_TEST

static const struct field toy_fields[] = {FIELD_STRUCT(struct toy, virtio, virtio_fields), FIELD_END};

static void toy_loaded(void *device)
{
    virtio_loaded(&((struct toy *)device)->virtio);
}

START_TEST(its_state_is_all_there_is)
{
    static const struct device_class class = {.state = toy_fields, .loaded = toy_loaded};
    struct virtio_slot slot = rig_slot(&rig);
    static struct toy other;
    struct virtio_chain *chain;

    rig_start(&rig, kinds[_i], 2, 16);
    ask(0, RIG_BUFFERS, RIG_BUFFERS + 0x8000, 30, 2);
    rig_notify(&rig, 0);
    ask(0, RIG_BUFFERS, RIG_BUFFERS + 0x8000, 30, 2);
    slot.slot++;
    toy_init(&other);
    ck_assert(virtio_pci_plug(&other.virtio, &slot));
    board_copy_state(&class, &toy, &other);
    chain = virtio_pop(&other.virtio.queue[0]);
    ck_assert(chain && chain->out_size == 30 && chain->in_size == 30);
    virtio_drop(chain);

    other.virtio.queue[0].desc = RIG_RAM;
    virtio_loaded(&other.virtio);
    ck_assert(!virtio_pop(&other.virtio.queue[0]));
    virtio_free(&other.virtio);
}
END_TEST

START_TEST(parts_of_pieces)
{
    static uint8_t data[100];
    const struct iovec iov[] = {{data, 10}, {data + 20, 5}, {data + 40, 30}};
    struct iovec part[3];

    ck_assert_uint_eq(virtio_part(iov, 3, 0, 45, part), 3);
    ck_assert_uint_eq(virtio_part(iov, 3, 12, 10, part), 2);
    ck_assert(part[0].iov_base == data + 22 && part[0].iov_len == 3);
    ck_assert(part[1].iov_base == data + 40 && part[1].iov_len == 7);
    ck_assert_uint_eq(virtio_part(iov, 3, 15, 100, part), 1);
    ck_assert_uint_eq(part[0].iov_len, 30);
    ck_assert_uint_eq(virtio_part(iov, 3, 45, 1, part), 0);
    ck_assert_uint_eq(virtio_part(iov, 3, 0, 0, part), 0);
}
END_TEST

Suite *virtio_suite(void)
{
    Suite *suite = suite_create("virtio");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, the_function_says_what_it_is);
    tcase_add_test(tc, features_are_agreed_upon);
    tcase_add_loop_test(tc, requests_are_answered, 0, 4);
    tcase_add_loop_test(tc, chains_may_be_done_in_any_order, 0, 4);
    tcase_add_loop_test(tc, several_are_seen_at_once, 0, 4);
    tcase_add_loop_test(tc, a_chain_can_be_given_back, 0, 4);
    tcase_add_loop_test(tc, indirect_tables, 0, 2);
    tcase_add_loop_test(tc, bad_descriptors_break_the_device, 0, 2 * BADS);
    tcase_add_test(tc, bad_indices_break_the_device);
    tcase_add_loop_test(tc, bad_places_break_the_device, 0, 13);
    tcase_add_test(tc, what_a_driver_does_at_any_moment);
    tcase_add_test(tc, the_driver_says_when_to_interrupt);
    tcase_add_test(tc, split_event_index);
    tcase_add_test(tc, packed_event_index);
    tcase_add_test(tc, interrupts_are_messages);
    tcase_add_loop_test(tc, a_reset_waits_for_whom_it_must, 0, 4);
    tcase_add_test(tc, legacy_drivers);
    tcase_add_test(tc, all_can_be_reached_through_configuration_space);
    tcase_add_loop_test(tc, its_state_is_all_there_is, 0, 4);
    tcase_add_test(tc, parts_of_pieces);
    suite_add_tcase(suite, tc);
    return suite;
}
