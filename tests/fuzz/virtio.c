/*
 * virtio.c - drivers that do anything at all: virtio devices with a little memory, whose registers, rings and
 * descriptors are likely to be nearly right. What must hold: a chain never has memory that the guest hasn't,
 * no more chains are under way than rings have room for, a reset comes to its end; all else is up to the
 * sanitizers.
 *
 *     virtio                   CASES drivers from seed 1, as TAP
 *     virtio --seconds 600 --seed 7
 *     virtio --case 7:1234     one of them again
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/block.h"
#include "core/bus.h"
#include "core/chardev.h"
#include "core/log.h"
#include "devices/pci.h"
#include "devices/virtio.h"
#include "devices/virtio_balloon.h"
#include "devices/virtio_blk.h"
#include "devices/virtio_console.h"
#include "devices/virtio_input.h"
#include "devices/virtio_rng.h"
#include "tests/oracle/random.h"

#define CASES     6000u
#define STEPS     60u
#define RAM       0x40000u
#define DISK      0x8000u
#define DEVFN     PCI_DEVFN(5, 0)
#define MODERN    0xFE000000u
#define MSIX      0xFE010000u
#define PORTS     0xC000u
#define QUEUES    4u
#define UNDER_WAY 1024u /* 4 queues of 256 */

/* Where rings are most of the time: of queue n, RINGS + n * RING. */
#define RINGS 0x1000u
#define RING  0x4000u

struct driver {
    struct random *random;
    struct bus *memory, *ports;
    struct pci_bus *pci;
    uint8_t *ram;
    bool packed, legacy;
    unsigned size[QUEUES];
    uint16_t avail[QUEUES]; /* split: index; packed: slot, */
    bool wrap[QUEUES];      /* and its counter */

    const struct device_class *class;
    void *device;
    struct input_sink sink;

    struct block block;
    uint8_t disk[DISK];
    struct block_request *under_way[UNDER_WAY];
    unsigned requests;
    struct chardev chr;
};

static _Noreturn void broken(const char *what)
{
    fprintf(stderr, "virtio: %s\n", what);
    abort();
}

static uint64_t random_number(void *opaque)
{
    return random64(opaque);
}

static bool chance(struct driver *d, unsigned n)
{
    return one_in(d->random, n);
}

/* --- what the devices are connected to */

static void finish_request(struct driver *d, unsigned n)
{
    struct block_request *request = d->under_way[n];
    uint8_t *at = d->disk + request->offset;
    int error = chance(d, 10) ? 5 : 0;

    d->under_way[n] = d->under_way[--d->requests];
    for (unsigned k = 0; !error && k < request->iov_count && request->op <= BLOCK_WRITE; k++) {
        const struct iovec *iov = &request->iov[k];
        if ((uint8_t *)iov->iov_base < d->ram || (uint8_t *)iov->iov_base + iov->iov_len > d->ram + RAM)
            broken("a request's data are outside memory");
        if (request->op == BLOCK_READ)
            memcpy(iov->iov_base, at, iov->iov_len);
        else
            memcpy(at, iov->iov_base, iov->iov_len);
        at += iov->iov_len;
    }
    request->done(request, error);
}

static void submit(struct block *block, struct block_request *request)
{
    struct driver *d = (struct driver *)((uint8_t *)block - offsetof(struct driver, block));

    if (request->offset > DISK || request->size > DISK - request->offset || request->offset % 512 ||
        request->size % 512 || (request->op == BLOCK_FLUSH) != !request->size ||
        (block->read_only && request->op != BLOCK_READ && request->op != BLOCK_FLUSH))
        broken("a request that the medium can't do");
    if (d->requests == UNDER_WAY)
        broken("more requests than the rings have room for");
    d->under_way[d->requests++] = request;
}

static const struct block_ops block_ops = {submit, NULL};

static void take_text(struct chardev *chr, const uint8_t *data, size_t size)
{
    uint8_t sum = 0;

    (void)chr;
    for (size_t n = 0; n < size; n++)
        sum ^= data[n];
    if (sum == 1 && !size)
        broken("a sum of nothing");
}

static void release(void *opaque, uint8_t *host, size_t size)
{
    struct driver *d = opaque;

    if (host < d->ram || host + size > d->ram + RAM)
        broken("memory is released that isn't the guest's");
    memset(host, 0, size);
}

static void ignore_line(void *opaque, int n, bool level)
{
    (void)opaque;
    (void)n;
    (void)level;
}

static void plug(struct driver *d, unsigned kind)
{
    static struct log silent;
    const struct virtio_slot slot = {.pci = d->pci,
                                     .slot = 5,
                                     .memory = d->memory,
                                     .ports = d->ports,
                                     .irq = {ignore_line, NULL, 0},
                                     .log = &silent};
    struct virtio_console_wires console = {
        .bus = slot, .port = {{&d->chr, NULL}, {NULL, "name"}}, .ports = 2};

    d->block =
        (struct block){.ops = &block_ops, .size = DISK, .read_only = chance(d, 4), .can_discard = true};
    d->chr.write = take_text;
    switch (kind) {
    case 0:
        d->class = &virtio_rng_class;
        d->device = virtio_rng_new(&(struct virtio_rng_wires){slot, random_number, d->random});
        break;
    case 1:
        d->class = &virtio_balloon_class;
        d->device = virtio_balloon_new(&(struct virtio_balloon_wires){slot, release, NULL, d});
        break;
    case 2:
        d->class = &virtio_console_class;
        d->device = virtio_console_new(&console);
        break;
    case 3:
    case 4:
        d->class = &virtio_input_class;
        d->device = virtio_input_new(
            &(struct virtio_input_wires){.bus = slot, .kind = kind == 3 ? VIRTIO_KEYBOARD : VIRTIO_TABLET});
        d->sink = virtio_input_sink(d->device);
        break;
    default:
        d->class = &virtio_blk_class;
        d->device =
            virtio_blk_new(&(struct virtio_blk_wires){slot, &d->block, "serial", 1 + below(d->random, 4)});
    }
    if (!d->device)
        broken("no memory for the device");
}

/* --- registers */

static void set(struct driver *d, unsigned reg, uint64_t value, unsigned size)
{
    bus_write(d->memory, MODERN + reg, value, size);
}

static void map(struct driver *d)
{
    pci_config_write(d->pci, 0, DEVFN, PCI_BAR(0), PORTS, 4);
    pci_config_write(d->pci, 0, DEVFN, PCI_BAR(1), MSIX, 4);
    pci_config_write(d->pci, 0, DEVFN, PCI_BAR(4), MODERN, 4);
    pci_config_write(d->pci, 0, DEVFN, PCI_BAR(5), 0, 4);
    pci_config_write(d->pci, 0, DEVFN, PCI_COMMAND, chance(d, 20) ? 3 : 7, 2);
}

/* A number that may mean something. */
static uint64_t any(struct driver *d)
{
    static const uint64_t good[] = {0,        1,       2,   3,      7,    15,         8,          256, 0xFFFF,
                                    RAM - 16, RAM - 1, RAM, MODERN, MSIX, UINT32_MAX, UINT64_MAX, 512, RINGS};

    return chance(d, 3) ? random64(d->random) >> below(d->random, 64)
                        : good[below(d->random, sizeof(good) / 8)];
}

static uint64_t ring_at(unsigned queue, unsigned part)
{
    return RINGS + queue * RING + part * 0x1000;
}

static void set_up_queue(struct driver *d, unsigned n)
{
    static const uint16_t sizes[] = {1, 2, 4, 8, 16, 64, 3, 7};

    d->size[n] = sizes[below(d->random, d->packed ? 8 : 6)];
    d->avail[n] = 0;
    d->wrap[n] = true;
    memset(d->ram + RINGS + n * RING, 0, RING);
    set(d, 0x16, n, 2);
    set(d, 0x18, chance(d, 30) ? any(d) : d->size[n], 2);
    set(d, 0x1A, n, 2);
    for (unsigned part = 0; part < 3; part++)
        set(d, 0x20 + 8 * part, chance(d, 40) ? any(d) : ring_at(n, part), 8);
    set(d, 0x1C, 1, 2);
}

static void start_modern(struct driver *d)
{
    uint64_t features = random64(d->random) | (chance(d, 30) ? 0 : VIRTIO_F_VERSION_1), offered;

    set(d, 0x14, 0, 1);
    set(d, 0x14, 3, 1);
    set(d, 0, 0, 4);
    offered = bus_read(d->memory, MODERN + 4, 4);
    set(d, 0, 1, 4);
    offered |= bus_read(d->memory, MODERN + 4, 4) << 32;
    if (!chance(d, 30))
        features &= offered;
    set(d, 8, 0, 4);
    set(d, 0xC, (uint32_t)features, 4);
    set(d, 8, 1, 4);
    set(d, 0xC, features >> 32, 4);
    d->packed = features & VIRTIO_F_RING_PACKED;
    if (!chance(d, 20))
        set(d, 0x14, 11, 1);
    for (unsigned n = 0; n < QUEUES; n++)
        set_up_queue(d, n);
    set(d, 0x14, 15, 1);
}

static void start_legacy(struct driver *d)
{
    bus_write(d->ports, PORTS + 0x12, 0, 1);
    bus_write(d->ports, PORTS + 0x12, 3, 1);
    bus_write(d->ports, PORTS + 4, random64(d->random), 4);
    d->packed = false;
    for (unsigned n = 0; n < 2; n++) {
        bus_write(d->ports, PORTS + 0xE, n, 2);
        d->size[n] = (unsigned)bus_read(d->ports, PORTS + 0xC, 2);
        d->avail[n] = 0;
        bus_write(d->ports, PORTS + 8, chance(d, 20) ? any(d) : ring_at(2 * n, 0) / 4096, 4);
    }
    bus_write(d->ports, PORTS + 0x12, 7, 1);
}

static void notify(struct driver *d, unsigned n)
{
    if (d->legacy)
        bus_write(d->ports, PORTS + 0x10, n, 2);
    else
        set(d, 0x3000 + 4 * n, n, 2);
}

/* --- rings */

static uint64_t buffer(struct driver *d, uint32_t *size)
{
    *size = chance(d, 20)  ? (uint32_t)any(d)
            : chance(d, 3) ? 512u * below(d->random, 5)
                           : below(d->random, 64);
    if (chance(d, 40))
        return any(d);
    return 0x20000 + below(d->random, 0x18000);
}

static void put_desc(struct driver *d, uint64_t at, uint64_t address, uint32_t size, uint16_t a, uint16_t b)
{
    if (at > RAM - 16)
        return;
    memcpy(d->ram + at, &address, 8);
    memcpy(d->ram + at + 8, &size, 4);
    memcpy(d->ram + at + 12, &a, 2);
    memcpy(d->ram + at + 14, &b, 2);
}

/* A header that a disk or a console may take for one. */
static void put_header(struct driver *d, uint64_t at)
{
    static const uint32_t types[] = {0, 1, 4, 8, 11, 13, 99, 0x10003};
    uint32_t type = types[below(d->random, 8)];
    uint64_t sector = chance(d, 4) ? any(d) : below(d->random, DISK / 512);

    memcpy(d->ram + at, &type, 4);
    memset(d->ram + at + 4, 0, 4);
    memcpy(d->ram + at + 8, &sector, 8);
}

/* A table of `count` descriptors; `packed` ones follow each other. */
static void put_table(struct driver *d, uint64_t at, unsigned count)
{
    unsigned out = 1 + below(d->random, count);

    for (unsigned n = 0; n < count; n++) {
        uint32_t size;
        uint64_t address = buffer(d, &size);
        uint16_t flags = (uint16_t)(n >= out ? 2 : 0);
        if (chance(d, 30))
            flags = (uint16_t)random64(d->random);
        if (!n)
            put_header(d, 0x38000), address = 0x38000, size = chance(d, 8) ? size : 16;
        if (d->packed)
            put_desc(d, at + 16 * n, address, size, 0, flags);
        else
            put_desc(d, at + 16 * n, address, size, flags | (n + 1 < count ? 1 : 0),
                     (uint16_t)(chance(d, 30) ? random64(d->random) : n + 1));
    }
}

static uint64_t desc_place(const struct driver *d, unsigned n)
{
    return d->legacy ? ring_at(2 * n, 0) : ring_at(n, 0);
}

static uint64_t avail_place(const struct driver *d, unsigned n)
{
    return d->legacy ? ring_at(2 * n, 0) + 16 * d->size[n] : ring_at(n, 1);
}

static void add_split(struct driver *d, unsigned n)
{
    unsigned size = d->size[n], count = 1 + below(d->random, size > 6 ? 6 : size), head = 0;
    uint64_t avail = avail_place(d, n);
    uint16_t entry;

    put_table(d, desc_place(d, n), count);
    if (chance(d, 4)) {
        put_table(d, 0x3A000, 1 + below(d->random, 20));
        put_desc(d, desc_place(d, n), 0x3A000, 16 * below(d->random, 24), 4, 0);
    }
    if (chance(d, 10))
        head = below(d->random, size + 1);
    entry = (uint16_t)head;
    if (avail + 4 + 2 * size + 2 > RAM)
        return;
    memcpy(d->ram + avail + 4 + 2 * (d->avail[n] % size), &entry, 2);
    d->avail[n]++;
    if (chance(d, 60))
        d->avail[n] = (uint16_t)random64(d->random);
    memcpy(d->ram + avail + 2, &d->avail[n], 2);
}

static void add_packed(struct driver *d, unsigned n)
{
    unsigned size = d->size[n], count = 1 + below(d->random, size > 6 ? 6 : size);

    put_table(d, 0x3C000, count);
    if (chance(d, 4)) {
        put_table(d, 0x3A000, 1 + below(d->random, 20));
        put_desc(d, 0x3C000, 0x3A000, 16 * below(d->random, 24), 0, 4);
        count = 1;
    }
    for (unsigned k = 0; k < count; k++) {
        uint64_t at = desc_place(d, n) + 16 * d->avail[n];
        uint16_t flags;

        memcpy(d->ram + at, d->ram + 0x3C000 + 16 * k, 16);
        memcpy(&flags, d->ram + at + 14, 2);
        flags = (uint16_t)((flags & ~0x8081) | (d->wrap[n] ? 0x80 : 0x8000) | (k + 1 < count));
        if (chance(d, 60))
            flags ^= 0x80;
        memcpy(d->ram + at + 14, &flags, 2);
        if (++d->avail[n] >= size) {
            d->avail[n] = 0;
            d->wrap[n] = !d->wrap[n];
        }
    }
}

/* --- one driver */

static void poke(struct driver *d)
{
    uint64_t value = any(d), r = random64(d->random);
    unsigned size = 1u << below(d->random, 3);

    switch (below(d->random, 6)) {
    case 0:
        bus_write(d->memory, MODERN + below(d->random, 0x40), value, size);
        break;
    case 1:
        bus_write(d->memory, MODERN + 0x2000 + below(d->random, 0x140), value, size);
        bus_read(d->memory, MODERN + below(d->random, 0x4000), size);
        break;
    case 2:
        bus_write(d->ports, PORTS + below(d->random, 0x80), value, size);
        bus_read(d->ports, PORTS + below(d->random, 0x80), size);
        break;
    case 3:
        bus_write(d->memory, MSIX + below(d->random, 0x1000), value, 4);
        break;
    case 4:
        pci_config_write(d->pci, 0, DEVFN, (unsigned)r & 0xFC, (uint32_t)value, 4);
        pci_config_read(d->pci, 0, DEVFN, (unsigned)(r >> 8) & 0xFC, 4);
        map(d);
        break;
    default: /* into the rings, unseen */
        d->ram[RINGS + below(d->random, QUEUES * RING)] ^= (uint8_t)r;
    }
}

/* What happens on the other side. */
static void outside(struct driver *d)
{
    uint8_t text[8] = "typed in";

    if (d->requests)
        finish_request(d, below(d->random, d->requests));
    if (d->chr.receiver.room) {
        size_t room = d->chr.receiver.room(d->chr.receiver.opaque);
        if (room)
            d->chr.receiver.receive(d->chr.receiver.opaque, text, room < 8 ? room : 8);
    }
    if (d->sink.key)
        d->sink.key(d->sink.opaque, below(d->random, 300), chance(d, 2));
    if (d->sink.pointer_at)
        d->sink.pointer_at(d->sink.opaque, 5, 6, 1, below(d->random, 32));
    if (d->class == &virtio_balloon_class) {
        virtio_balloon_set(d->device, any(d));
        virtio_balloon_ask(d->device);
    }
}

static void step(struct driver *d)
{
    unsigned n = below(d->random, d->legacy ? 2 : QUEUES);

    switch (below(d->random, 10)) {
    case 0:
        poke(d);
        break;
    case 1:
        outside(d);
        break;
    case 2:
        if (chance(d, 4)) {
            d->legacy = chance(d, 4);
            if (d->legacy)
                start_legacy(d);
            else
                start_modern(d);
        }
        break;
    default:
        if (!d->size[n])
            break;
        if (d->packed)
            add_packed(d, n);
        else
            add_split(d, n);
        notify(d, n);
    }
    while (d->requests > 32)
        finish_request(d, 0);
}

/* Whatever was done, a reset ends it once nothing is under way. */
static void end(struct driver *d)
{
    map(d);
    set(d, 0x14, 0, 1);
    while (d->requests)
        finish_request(d, 0);
    if (bus_read(d->memory, MODERN + 0x14, 1))
        broken("a reset doesn't come to its end");
    d->class->reset(d->device);
}

static void run_one(uint64_t seed, uint64_t number)
{
    struct random random = {seed * 0xd1342543de82ef95ull + number * 0x2545f4914f6cdd1dull};
    struct driver *d = calloc(1, sizeof(*d));

    if (!d || !(d->ram = aligned_alloc(4096, RAM)))
        broken("no memory");
    memset(d->ram, 0, RAM);
    d->random = &random;
    (void)random64(&random);
    d->memory = bus_new("memory", 1ull << 40, NULL);
    d->ports = bus_new("ports", 0x10000, NULL);
    d->pci = pci_bus_new(NULL);
    if (!d->memory || !d->ports || !d->pci || !bus_map_ram(d->memory, "ram", 0, RAM, d->ram))
        broken("no memory");
    plug(d, (unsigned)(number % 8));
    map(d);
    start_modern(d);
    for (unsigned n = 0; n < STEPS; n++)
        step(d);
    end(d);
    d->class->free(d->device);
    pci_bus_free(d->pci);
    bus_free(d->memory);
    bus_free(d->ports);
    free(d->ram);
    free(d);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seconds", 1, NULL, 't'}, {"seed", 1, NULL, 's'}, {"case", 1, NULL, 'c'}, {0}};
    uint64_t seed = 1, number = 0;
    unsigned seconds = 0;
    time_t begin = time(NULL);

    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 't')
            seconds = (unsigned)strtoul(optarg, NULL, 0);
        else if (c == 's')
            seed = strtoull(optarg, NULL, 0);
        else if (c == 'c' && sscanf(optarg, "%" SCNu64 ":%" SCNu64, &seed, &number) == 2)
            return run_one(seed, number), 0;
        else
            return 2;
    }
    while (seconds ? time(NULL) - begin < (time_t)seconds : number < CASES) {
        /* Whoever finds something dies with it: its number is on the last line. */
        if (number % 1000 == 0)
            printf("# --case %" PRIu64 ":%" PRIu64 " and on\n", seed, number), fflush(stdout);
        run_one(seed, number++);
    }
    printf("ok 1 - %" PRIu64 " drivers from seed %" PRIu64 "\n1..1\n", number, seed);
    return 0;
}
