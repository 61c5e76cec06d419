/*
 * cards.c - drivers of network cards that do anything at all: registers and descriptors that are likely to be
 * nearly right, frames from the other side, time that passes, and cards saved and loaded in the middle. What
 * must hold: only frames that there may be leave a card; all else is up to the sanitizers.
 *
 *     cards                    CASES drivers from seed 1, as TAP
 *     cards --seconds 600 --seed 7
 *     cards --case 7:1234      one of them again
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/bus.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/net.h"
#include "devices/e1000.h"
#include "devices/ne2k.h"
#include "devices/pci.h"
#include "devices/rtl8139.h"
#include "devices/virtio_net.h"
#include "tests/oracle/random.h"

#define CASES  1500u
#define STEPS  150u
#define RAM    0x40000u
#define SLOT   5u
#define DEVFN  PCI_DEVFN(SLOT, 0)
#define MEMORY 0xFE000000u
#define MSIX   0xFE040000u
#define PORTS  0xC000u

/* Where rings are most of the time, of so many descriptors. */
#define TX   0x1000u
#define RX   0x2000u
#define RING 32u

struct driver {
    struct net net;
    struct random *random;
    struct bus *memory, *ports;
    struct pci_bus *pci;
    struct clock *clock;
    uint64_t now;
    uint8_t *ram;
    const struct device_class *class;
    void *device;
    unsigned bar; /* with the registers */
    uint16_t avail[3];
};

static _Noreturn void broken(const char *what)
{
    fprintf(stderr, "cards: %s\n", what);
    abort();
}

static uint32_t any(struct driver *d)
{
    return (uint32_t)random64(d->random);
}

static bool chance(struct driver *d, unsigned n)
{
    return one_in(d->random, n);
}

/* --- what cards are connected to */

static void leave(struct net *net, const uint8_t *frame, size_t size)
{
    uint8_t sum = 0;

    if (size < NET_HEADER_SIZE || size > NET_FRAME_MAX)
        broken("a frame of a size that there isn't");
    for (size_t n = 0; n < size; n++) /* all of it can be read */
        sum ^= frame[n];
    ((struct driver *)net)->now += sum & 1;
}

/* As it does itself where a network can't. */
static void leave_large(struct net *net, uint8_t *frame, size_t size, const struct net_offload *offload)
{
    if (size < NET_HEADER_SIZE || size > NET_LARGE_MAX)
        broken("a large frame of a size that there isn't");
    net->send_large = NULL;
    net_send_large(net, frame, size, offload);
    net->send_large = leave_large;
}

static uint64_t now(void *opaque)
{
    return ((struct driver *)opaque)->now;
}

static void ignore_line(void *opaque, int n, bool level)
{
    (void)opaque;
    (void)n;
    (void)level;
}

/* --- descriptors */

static void put(struct driver *d, uint32_t at, uint64_t value, unsigned size)
{
    memcpy(d->ram + at % (RAM - 8), &value, size);
}

static uint32_t some_address(struct driver *d)
{
    return chance(d, 20) ? any(d) : any(d) % RAM;
}

static uint32_t some_size(struct driver *d)
{
    return chance(d, 4) ? any(d) & 0xFFFF : any(d) % 1600;
}

/* A frame that has something to offload, most of the time. */
static size_t make_frame(struct driver *d, uint8_t *frame)
{
    static const uint8_t head[54] = {0x52, 0x54, 0, 1, 2,    3,         0x52,     0x54,        0,          1,
                                     2,    4,    8, 0, 0x45, [22] = 64, [23] = 6, [46] = 0x50, [47] = 0x10};
    size_t size = NET_HEADER_SIZE + below(d->random, chance(d, 10) ? 16000 : 1500);

    memset(frame, (int)any(d), size);
    memcpy(frame, head, size < 54 ? size : 54);
    frame[16] = (uint8_t)((size - 14) >> 8);
    frame[17] = (uint8_t)(size - 14);
    if (size >= 54 && !chance(d, 4)) { /* with right sums */
        uint16_t ip = (uint16_t)~internet_fold(internet_sum(frame + 14, 20));
        frame[24] = (uint8_t)(ip >> 8);
        frame[25] = (uint8_t)ip;
        frame[50] = frame[51] = 0;
        uint16_t tcp = (uint16_t)~internet_fold(internet_pseudo_sum(frame + 14, size - 34) +
                                                internet_sum(frame + 34, size - 34));
        frame[50] = (uint8_t)(tcp >> 8);
        frame[51] = (uint8_t)tcp;
    }
    if (chance(d, 8))
        frame[12] = 0x81;
    for (unsigned n = below(d->random, 4); n; n--)
        frame[below(d->random, (unsigned)(size < 60 ? size : 60))] = (uint8_t)any(d);
    return size;
}

static void put_frame(struct driver *d, uint32_t at)
{
    static uint8_t frame[NET_FRAME_MAX];
    size_t size = make_frame(d, frame);

    memcpy(d->ram + at, frame, size);
}

static void set(struct driver *d, uint32_t reg, uint32_t value, unsigned size)
{
    if (d->bar)
        bus_write(d->memory, MEMORY + reg, value, size);
    else
        bus_write(d->ports, PORTS + reg, value, size);
}

/* --- cards */

static const uint16_t e1000_registers[] = {0x0000, 0x0014, 0x0020, 0x00C0, 0x00C4, 0x00C8,
                                           0x00D0, 0x0100, 0x0400, 0x2808, 0x2810, 0x2818,
                                           0x2820, 0x3808, 0x3810, 0x3818, 0x5000, 0x5200};

static void drive_e1000(struct driver *d)
{
    uint32_t n = below(d->random, RING),
             command = 0x01000000u << below(d->random, 8) | (any(d) & any(d) & 0xFF000000);

    switch (below(d->random, 8)) {
    case 0: /* begin anew */
        set(d, 0x3800, TX, 4);
        set(d, 0x3808, RING * 16, 4);
        set(d, 0x2800, RX, 4);
        set(d, 0x2808, RING * 16, 4);
        set(d, 0x0400, 0x10F0FA, 4);
        set(d, 0x0100, 0x8002 | (any(d) & any(d)), 4);
        break;
    case 1: /* a context */
        put(d, TX + n * 16, 14 | 24 << 8 | 33 << 16 | (uint64_t)(34 | 50 << 8) << 32, 8);
        put(d, TX + n * 16 + 8,
            some_size(d) * 2 | 0x27000000u | (uint64_t)(54 << 8 | some_size(d) << 16) << 32, 8);
        break;
    case 2:
    case 3: /* data */
        put(d, TX + n * 16, some_address(d), 8);
        put(d, TX + n * 16 + 8,
            (some_size(d) | command | (chance(d, 2) ? 0x20100000u : 0)) | (uint64_t)(any(d) & 0x0FFFFF00)
                                                                              << 32,
            8);
        break;
    case 4:
        put(d, RX + n * 16, some_address(d), 8);
        set(d, 0x2818, n, 4);
        break;
    case 5:
        set(d, 0x3818, n, 4);
        break;
    default:
        set(d, e1000_registers[below(d->random, sizeof(e1000_registers) / 2)], any(d) >> below(d->random, 32),
            4);
    }
}

static void drive_rtl8139(struct driver *d)
{
    uint32_t n = below(d->random, RING);

    switch (below(d->random, 8)) {
    case 0:
        set(d, 0xE0, any(d) & 0x63, 2);
        set(d, 0x20, TX, 4);
        set(d, 0xE4, RX, 4);
        set(d, 0xE8, 0, 4);
        set(d, 0x30, RX, 4);
        set(d, 0x37, 0x0C, 1);
        set(d, 0x44, 0x0F | (any(d) & 0x1880), 4);
        break;
    case 1:
        put(d, TX + n * 16, (any(d) & 0xFFFF0000) | 0xB0000000 | some_size(d) | (uint64_t)any(d) << 32, 8);
        put(d, TX + n * 16 + 8, some_address(d), 8);
        break;
    case 2:
        put(d, RX + n * 16, 0x80000000u | (any(d) & any(d) & 0x40001FFF), 8);
        put(d, RX + n * 16 + 8, some_address(d), 8);
        break;
    case 3:
        set(d, 0xD9, 0x40, 1);
        break;
    case 4:
        set(d, 0x20 + n % 4 * 4, some_address(d), 4);
        set(d, 0x10 + n % 4 * 4, some_size(d) & 0x1FFF, 4);
        break;
    case 5:
        set(d, 0x38, any(d), 2);
        break;
    default:
        set(d, below(d->random, 256), any(d) >> below(d->random, 32), 1u << below(d->random, 3));
    }
}

static void drive_ne2k(struct driver *d)
{
    static const uint8_t start[][2] = {{0, 0x21}, {14, 0x49}, {12, 0x1C}, {1, 0x46}, {2, 0x80},
                                       {3, 0x46}, {0, 0x61},  {7, 0x47},  {0, 0x22}, {13, 0}};

    if (chance(d, 20))
        for (unsigned n = 0; n < sizeof(start) / 2; n++)
            set(d, start[n][0], start[n][1], 1);
    else if (chance(d, 3))
        set(d, 0x10, any(d), 1u << below(d->random, 3));
    else
        set(d, below(d->random, 16), any(d), 1);
}

static void start_virtio(struct driver *d)
{
    uint64_t features;

    memset(d->ram, 0, 0xC000);
    memset(d->avail, 0, sizeof(d->avail));
    set(d, 0x14, 0, 1);
    set(d, 0x14, 3, 1);
    set(d, 0, 0, 4);
    features = (uint32_t)bus_read(d->memory, MEMORY + 4, 4) & (any(d) | any(d) | 1u << 17);
    set(d, 8, 0, 4);
    set(d, 0xC, (uint32_t)features, 4);
    set(d, 8, 1, 4);
    set(d, 0xC, 1, 4);
    set(d, 0x14, 11, 1);
    for (unsigned q = 0; q < 3; q++) {
        set(d, 0x16, q, 2);
        set(d, 0x18, RING, 2);
        set(d, 0x20, q * 0x4000, 4);
        set(d, 0x28, q * 0x4000 + 0x1000, 4);
        set(d, 0x30, q * 0x4000 + 0x2000, 4);
        set(d, 0x1C, 1, 2);
    }
    set(d, 0x14, 15, 1);
}

/* A header that means something, a command, or buffers; in one chain of up to three. */
static void drive_virtio(struct driver *d)
{
    unsigned q = below(d->random, 3), count = 1 + below(d->random, 3), head = d->avail[q] * 4u % RING;
    uint32_t ring = q * 0x4000;

    if (chance(d, 40)) {
        start_virtio(d);
        return;
    }
    put(d, 0x10000,
        (uint64_t)(any(d) & 3) | (any(d) & 5) << 8 | 54 << 16 | (uint64_t)some_size(d) << 32 | 34ull << 48,
        8);
    put(d, 0x10008, 16, 4);
    put_frame(d, 0x1000C);
    put(d, 0x18000, (any(d) & 7) | (any(d) & 7) << 8 | (uint64_t)any(d) << 16, 8);
    for (unsigned n = 0; n < count; n++) {
        uint32_t at = ring + (head + n) % RING * 16,
                 address = chance(d, 3) ? some_address(d) : 0x20000 + n * 0x8000;
        bool in = q == 0 || (q == 2 && n);

        put(d, at, n ? address : q == 1 ? 0x10000 : q == 2 ? 0x18000 : address, 8);
        put(d, at + 8, q == 2 ? any(d) % 600 : some_size(d), 4);
        put(d, at + 12,
            (n + 1 < count) | (chance(d, 20) ? any(d) & 2 : in * 2u) | (head + n + 1) % RING << 16, 4);
    }
    put(d, ring + 0x1004 + d->avail[q] % RING * 2, chance(d, 50) ? any(d) : head, 2);
    put(d, ring + 0x1002, ++d->avail[q], 2);
    set(d, 0x3000 + 4 * q, q, 2);
}

static struct log silent;

static void *make_e1000(struct driver *d, unsigned slot, struct net *net)
{
    struct e1000_wires wires = {.pci = d->pci,
                                .slot = slot,
                                .memory = d->memory,
                                .ports = d->ports,
                                .clock = d->clock,
                                .irq = {ignore_line, NULL, 0},
                                .net = net,
                                .mac = {0x52, 0x54, 0, 1, 2, 3},
                                .log = &silent};
    return e1000_new(&wires);
}

static void *make_rtl8139(struct driver *d, unsigned slot, struct net *net)
{
    struct rtl8139_wires wires = {.pci = d->pci,
                                  .slot = slot,
                                  .memory = d->memory,
                                  .ports = d->ports,
                                  .clock = d->clock,
                                  .irq = {ignore_line, NULL, 0},
                                  .net = net,
                                  .mac = {0x52, 0x54, 0, 1, 2, 3},
                                  .log = &silent};
    return rtl8139_new(&wires);
}

static void *make_ne2k(struct driver *d, unsigned slot, struct net *net)
{
    struct ne2k_wires wires = {.ports = d->ports,
                               .clock = d->clock,
                               .irq = {ignore_line, NULL, 0},
                               .net = net,
                               .mac = {0x52, 0x54, 0, 1, 2, 3},
                               .log = &silent};
    return ne2k_pci_new(&wires, d->pci, slot, d->memory, NULL, 0);
}

static void *make_virtio(struct driver *d, unsigned slot, struct net *net)
{
    struct virtio_net_wires wires = {.bus = {.pci = d->pci,
                                             .slot = slot,
                                             .memory = d->memory,
                                             .ports = d->ports,
                                             .irq = {ignore_line, NULL, 0},
                                             .log = &silent},
                                     .clock = d->clock,
                                     .net = net,
                                     .mac = {0x52, 0x54, 0, 1, 2, 3},
                                     .pairs = 1};
    return virtio_net_new(&wires);
}

static const struct kind {
    const struct device_class *class;
    void *(*make)(struct driver *d, unsigned slot, struct net *net);
    void (*drive)(struct driver *d);
    unsigned memory, ports; /* BARs + 1; 0: none. Registers are in memory, if there is that */
} kinds[] = {
    {&e1000_class, make_e1000, drive_e1000, 1, 2},
    {&rtl8139_class, make_rtl8139, drive_rtl8139, 2, 1},
    {&ne2k_pci_class, make_ne2k, drive_ne2k, 0, 1},
    {&virtio_net_class, make_virtio, drive_virtio, 5, 1},
};

enum { KINDS = sizeof(kinds) / sizeof(*kinds) };

/* --- a driver */

static void make_buses(struct driver *d)
{
    d->memory = bus_new("memory", 1ull << 40, NULL);
    d->ports = bus_new("ports", 1ull << 16, NULL);
    d->pci = pci_bus_new(&silent);
    if (!d->memory || !d->ports || !d->pci || !bus_map_ram(d->memory, "ram", 0, RAM, d->ram))
        broken("no memory");
}

static void free_buses(struct driver *d)
{
    pci_bus_free(d->pci);
    bus_free(d->memory);
    bus_free(d->ports);
}

/* A card of its kind on another board takes the state, as a snapshot's does, with a bit that changed maybe.
 */
static void save_and_load(struct driver *d, const struct kind *kind)
{
    struct state_buf buffer = {0};
    struct driver other = *d;
    char why[128];

    other.net = (struct net){.send = leave, .up = true};
    make_buses(&other);
    other.device = kind->make(&other, SLOT, &other.net);
    if (!other.device || !fields_save(kind->class->state, d->device, &buffer))
        broken("no memory");
    if (chance(d, 2))
        buffer.data[below(d->random, (unsigned)buffer.size)] ^= (uint8_t)(1u << below(d->random, 8));
    if (fields_load(kind->class->state, other.device, buffer.data, buffer.size, why, sizeof(why)) ==
        buffer.size) {
        kind->class->loaded(other.device);
        for (unsigned n = 0; n < 10; n++)
            kind->drive(&other);
    }
    free(buffer.data);
    kind->class->free(other.device);
    free_buses(&other);
}

static void step(struct driver *d, const struct kind *kind)
{
    static uint8_t frame[NET_FRAME_MAX];

    switch (below(d->random, 10)) {
    case 0:
        if (net_can_receive(&d->net) || chance(d, 10))
            net_receive(&d->net, frame, make_frame(d, frame));
        if (chance(d, 2))
            net_received(&d->net);
        break;
    case 1:
        d->now += any(d) >> below(d->random, 32);
        clock_run(d->clock);
        break;
    case 2:
        put_frame(d, some_address(d) % (RAM - NET_FRAME_MAX));
        break;
    case 3:
        bus_read(d->bar ? d->memory : d->ports, (d->bar ? MEMORY : PORTS) + (any(d) & 0xFF),
                 1u << below(d->random, 3));
        break;
    case 4:
        if (chance(d, 20))
            net_set_link(&d->net, !d->net.up);
        if (chance(d, 20))
            save_and_load(d, kind);
        if (chance(d, 20))
            kind->class->reset(d->device);
        pci_config_write(d->pci, 0, DEVFN, PCI_BAR(kind->ports - 1), PORTS, 4);
        if (kind->memory)
            pci_config_write(d->pci, 0, DEVFN, PCI_BAR(kind->memory - 1), MEMORY, 4);
        pci_config_write(d->pci, 0, DEVFN, PCI_COMMAND, chance(d, 10) ? 3 : 7, 2);
        break;
    default:
        kind->drive(d);
    }
}

static void run_one(uint64_t seed, uint64_t number)
{
    struct random random = {seed * 0xd1342543de82ef95ull + number * 0x2545f4914f6cdd1dull};
    const struct kind *kind = &kinds[number % KINDS];
    struct driver d = {.net = {.send = leave, .up = true}, .random = &random, .bar = kind->memory};
    struct clock_source source = {.now = now, .wall = now, .opaque = &d};

    d.clock = clock_new(&source);
    d.ram = aligned_alloc(BUS_PAGE, RAM);
    if (!d.clock || !d.ram)
        broken("no memory");
    make_buses(&d);
    clock_start(d.clock);
    for (unsigned n = 0; n < RAM; n += 8)
        put(&d, n, chance(&d, 2) ? 0 : random64(&random), 8);
    d.net.batches = chance(&d, 2);
    if (chance(&d, 2))
        d.net.send_large = leave_large;
    d.device = kind->make(&d, SLOT, &d.net);
    if (!d.device)
        broken("no memory for the card");
    pci_config_write(d.pci, 0, DEVFN, PCI_BAR(kind->ports - 1), PORTS, 4);
    if (kind->memory)
        pci_config_write(d.pci, 0, DEVFN, PCI_BAR(kind->memory - 1), MEMORY, 4);
    pci_config_write(d.pci, 0, DEVFN, PCI_COMMAND, 7, 2);
    if (kind->class == &virtio_net_class) {
        pci_config_write(d.pci, 0, DEVFN, PCI_BAR(1), MSIX, 4);
        start_virtio(&d);
    }
    for (unsigned n = 0; n < STEPS; n++)
        step(&d, kind);
    kind->class->free(d.device);
    free_buses(&d);
    clock_free(d.clock);
    free(d.ram);
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
        if (number % 250 == 0)
            printf("# --case %" PRIu64 ":%" PRIu64 " and on\n", seed, number), fflush(stdout);
        run_one(seed, number++);
    }
    printf("ok 1 - %" PRIu64 " drivers from seed %" PRIu64 "\n1..1\n", number, seed);
    return 0;
}
