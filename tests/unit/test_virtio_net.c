/* The virtio network card against a network that keeps what it gets. Section numbers: virtio 1.2. */
#include "core/net.h"
#include "devices/virtio_net.h"
#include "tests/unit/virtio_rig.h"

#define F_CSUM           (1ull << 0)
#define F_GUEST_CSUM     (1ull << 1)
#define F_GUEST_OFFLOADS (1ull << 2)
#define F_GUEST_TSO4     (1ull << 7)
#define F_HOST_TSO4      (1ull << 11)
#define F_HOST_TSO6      (1ull << 12)
#define F_MRG_RXBUF      (1ull << 15)
#define F_CTRL_VQ        (1ull << 17)
#define F_CTRL_RX        (1ull << 18)
#define F_CTRL_VLAN      (1ull << 19)
#define F_MQ             (1ull << 22)
#define F_CTRL_MAC       (1ull << 23)

#define HEADER 12u
#define CONFIG 0x2000 /* the device's page */

#define SPACE  RIG_BUFFERS
#define BUFFER (RIG_BUFFERS + 0x100000)

static const uint8_t mac[6] = {0x52, 0x54, 0x00, 0xAB, 0xCD, 0xEF};

static struct rig rig;
static struct virtio_net *card;
static struct fake {
    struct net net;
    uint8_t frame[64][2048]; /* the first bytes of the last ones */
    size_t size[64];
    unsigned count, ready;
} wire;
static uint8_t large[NET_LARGE_MAX];

static void keep(struct net *net, const uint8_t *frame, size_t size)
{
    struct fake *fake = (struct fake *)net;
    unsigned slot = fake->count++ % 64;

    fake->size[slot] = size;
    memcpy(fake->frame[slot], frame, size < 2048 ? size : 2048);
}

static void heard(struct net *net)
{
    ((struct fake *)net)->ready++;
}

static void make(unsigned pairs)
{
    struct virtio_net_wires wires = {
        .bus = rig_slot(&rig), .clock = rig.board.clock, .net = &wire.net, .pairs = pairs};

    memcpy(wires.mac, mac, 6);
    card = virtio_net_new(&wires);
    ck_assert_ptr_nonnull(card);
    rig_map(&rig);
}

static void setup(void)
{
    rig_init(&rig);
    memset(&wire, 0, sizeof(wire));
    wire.net = (struct net){.send = keep, .ready = heard, .up = true};
    make(1);
}

static void teardown(void)
{
    virtio_net_class.free(card);
    ck_assert(wire.net.receiver.receive == NULL);
    rig_free(&rig);
}

static void start(uint64_t features)
{
    rig_start(&rig, features, features & F_CTRL_VQ ? 3 : 2, 16);
}

/* Gives the driver's buffers, of `size` bytes each. */
static void give(unsigned count, uint32_t size)
{
    for (unsigned n = 0; n < count; n++)
        rig_add(&rig, 0, (struct rig_piece[]){{BUFFER + n * 0x11000, size, true}}, 1);
    rig_notify(&rig, 0);
}

static const uint8_t *used_frame(unsigned n)
{
    return rig.ram + BUFFER + n * 0x11000 + HEADER;
}

static struct header {
    uint8_t flags, gso;
    uint16_t header_size, segment, start, offset, buffers;
} used_header(unsigned n)
{
    struct header header;

    memcpy(&header, rig.ram + BUFFER + n * 0x11000, HEADER);
    return header;
}

static void send_frame(struct header header, const uint8_t *frame, uint32_t size)
{
    memcpy(rig.ram + SPACE, &header, HEADER);
    memcpy(rig.ram + SPACE + 0x100, frame, size);
    rig_add(&rig, 1, (struct rig_piece[]){{SPACE, HEADER, false}, {SPACE + 0x100, size, false}}, 2);
    rig_notify(&rig, 1);
}

static void put16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static unsigned get16(const uint8_t *at)
{
    return at[0] << 8 | at[1];
}

/* Slowly, as the RFC says. */
static unsigned sum(const uint8_t *data, size_t size, unsigned start)
{
    uint32_t value = start;

    for (size_t n = 0; n < size; n++) {
        value += n & 1 ? data[n] : data[n] << 8;
        value = (value & 0xFFFF) + (value >> 16);
    }
    return value;
}

static unsigned tcp_sum(const uint8_t *frame, size_t size)
{
    bool six = frame[14] >> 4 == 6;
    size_t at = six ? 54 : 34;

    return sum(frame + at, size - at, sum(frame + (six ? 22 : 26), six ? 32 : 8, 6 + (unsigned)(size - at)));
}

/* A TCP segment with the right sums. */
static size_t make_tcp(uint8_t *frame, uint32_t sequence, size_t payload, uint8_t flags, bool six)
{
    size_t ip = 14, tcp = six ? 54 : 34, size = tcp + 20 + payload;

    memset(frame, 0, tcp + 20);
    memcpy(frame, mac, 6);
    put16(frame + 12, six ? 0x86DD : 0x0800);
    if (six) {
        frame[ip] = 0x60;
        put16(frame + ip + 4, (unsigned)(size - tcp));
        frame[ip + 6] = 6;
        memset(frame + ip + 8, 0x20, 32);
    } else {
        frame[ip] = 0x45;
        put16(frame + ip + 2, (unsigned)(size - ip));
        put16(frame + ip + 4, 0xFFFE);
        frame[ip + 8] = 64;
        frame[ip + 9] = 6;
        memset(frame + ip + 12, 10, 8);
        put16(frame + ip + 10, ~sum(frame + ip, 20, 0) & 0xFFFF);
    }
    put16(frame + tcp, 1000);
    put16(frame + tcp + 2, 80);
    put16(frame + tcp + 4, sequence >> 16);
    put16(frame + tcp + 6, sequence & 0xFFFF);
    frame[tcp + 12] = 0x50;
    frame[tcp + 13] = flags;
    for (size_t n = 0; n < payload; n++)
        frame[tcp + 20 + n] = (uint8_t)((sequence + n) * 13 >> 2);
    put16(frame + tcp + 16, ~tcp_sum(frame, size) & 0xFFFF);
    return size;
}

START_TEST(offers)
{
    uint64_t features = rig_offered(&rig);

    ck_assert_uint_eq(features & 0xFFFFFF, 0x9FBBA7);
    ck_assert(features & VIRTIO_F_EVENT_IDX);
    for (unsigned n = 0; n < 6; n++)
        ck_assert_uint_eq(rig_get(&rig, CONFIG + n, 1), mac[n]);
    ck_assert_uint_eq(rig_get(&rig, CONFIG + 6, 2), 1);
    ck_assert_uint_eq(rig_get(&rig, CONFIG + 8, 2), 1);
    ck_assert_uint_eq(pci_config_read(rig.pci, 0, RIG_DEVFN, 0, 4), 0x10001AF4);
    start(0);
    net_set_link(&wire.net, false);
    ck_assert_uint_eq(rig_get(&rig, CONFIG + 6, 2), 0);
    ck_assert(rig.line.level);
    net_set_link(&wire.net, true);
    ck_assert_uint_eq(rig_get(&rig, CONFIG + 6, 2), 1);
}
END_TEST

START_TEST(sending)
{
    struct rig_used used;
    uint8_t frame[100] = {1, 2, 3};

    rig.packed = _i;
    start(_i ? VIRTIO_F_RING_PACKED : 0);
    send_frame((struct header){0}, frame, 100);
    ck_assert_uint_eq(wire.count, 1);
    ck_assert_uint_eq(wire.size[0], 100);
    ck_assert_mem_eq(wire.frame[0], frame, 100);
    ck_assert(rig_used(&rig, 1, 2, &used));
    ck_assert(rig.line.level);
    send_frame((struct header){0}, frame, 10); /* too short */
    ck_assert_uint_eq(wire.count, 1);
    ck_assert(rig_used(&rig, 1, 2, &used));
    /* Header and frame in one piece. */
    rig_add(&rig, 1, (struct rig_piece[]){{SPACE, HEADER + 60, false}}, 1);
    rig_notify(&rig, 1);
    ck_assert_uint_eq(wire.size[1], 60);
    rig_add(&rig, 1, (struct rig_piece[]){{SPACE, 5, false}}, 1);
    rig_notify(&rig, 1);
    ck_assert_uint_eq(wire.count, 2);
    ck_assert_uint_eq(rig_status(&rig), 0x0F);
}
END_TEST

/* The checksum is put in where the header says (5.1.6.2). */
START_TEST(checksums)
{
    size_t size = make_tcp(large, 1, 301, 0x10, false);
    uint8_t right[2];

    start(F_CSUM);
    memcpy(right, large + 50, 2);
    put16(large + 50, sum(large + 26, 8, 6 + 321)); /* the pseudo header's */
    send_frame((struct header){.flags = 1, .start = 34, .offset = 16}, large, (uint32_t)size);
    ck_assert_uint_eq(wire.count, 1);
    ck_assert_mem_eq(wire.frame[0] + 50, right, 2);
    /* It isn't in the frame. */
    send_frame((struct header){.flags = 1, .start = 34, .offset = 320}, large, (uint32_t)size);
    send_frame((struct header){.flags = 1, .start = 0xFFFF, .offset = 0xFFFF}, large, (uint32_t)size);
    send_frame((struct header){.gso = 1, .segment = 100}, large, (uint32_t)size);
    send_frame((struct header){.flags = 1, .gso = 9, .segment = 100, .start = 34, .offset = 16}, large,
               (uint32_t)size);
    ck_assert_uint_eq(wire.count, 1);
}
END_TEST

/* A large one becomes segments, for networks that want them (5.1.6.2). */
START_TEST(segments)
{
    bool six = _i;
    size_t header = six ? 74 : 54, tcp = six ? 54 : 34;
    size_t size = make_tcp(large, 0xFFFFFF00, 3500, 0x99, six);

    start(F_CSUM | F_HOST_TSO4 | F_HOST_TSO6);
    put16(large + tcp + 16, 0x1234); /* what is there doesn't matter */
    send_frame((struct header){.flags = 1,
                               .gso = six ? 4 : 1,
                               .header_size = (uint16_t)header,
                               .segment = 1400,
                               .start = (uint16_t)tcp,
                               .offset = 16},
               large, (uint32_t)size);
    ck_assert_uint_eq(wire.count, 3);
    for (unsigned n = 0; n < 3; n++) {
        const uint8_t *f = wire.frame[n];
        size_t part = n < 2 ? 1400 : 700;

        ck_assert_uint_eq(wire.size[n], header + part);
        ck_assert_mem_eq(f + header, large + header + n * 1400, part);
        ck_assert_uint_eq(get16(f + tcp + 4), n ? 0 : 0xFFFF);
        ck_assert_uint_eq(get16(f + tcp + 6), (0xFF00 + n * 1400) & 0xFFFF);
        ck_assert_uint_eq(f[tcp + 13], 0x10 | (n ? 0 : 0x80) | (n < 2 ? 0 : 9));
        ck_assert_uint_eq(tcp_sum(f, wire.size[n]), 0xFFFF);
        if (six) {
            ck_assert_uint_eq(get16(f + 18), 20 + part);
            continue;
        }
        ck_assert_uint_eq(get16(f + 16), 40 + part);
        ck_assert_uint_eq(get16(f + 18), (0xFFFE + n) & 0xFFFF);
        ck_assert_uint_eq(sum(f + 14, 20, 0), 0xFFFF);
    }
    /* What isn't TCP, or has no room for it, goes nowhere. */
    send_frame((struct header){.flags = 1, .gso = 1, .segment = 1, .start = 34, .offset = 16}, large, 200);
    send_frame((struct header){.flags = 1, .gso = 1, .segment = 100, .start = 10, .offset = 16}, large, 200);
    send_frame((struct header){.flags = 1, .gso = 1, .segment = 100, .start = 34, .offset = 16}, large, 53);
    send_frame((struct header){.flags = 1, .gso = 1, .segment = 0xFFFF, .start = (uint16_t)tcp, .offset = 16},
               large, 200);
    ck_assert_uint_eq(wire.count, 3);
}
END_TEST

static void to_card(const uint8_t *frame, size_t size)
{
    net_receive(&wire.net, frame, size);
}

START_TEST(receiving)
{
    struct rig_used used;
    uint8_t frame[200];

    for (unsigned n = 0; n < 200; n++)
        frame[n] = (uint8_t)n;
    ck_assert(net_can_receive(&wire.net)); /* dropped: nobody is there */
    to_card(frame, 200);
    start(_i ? F_MRG_RXBUF | VIRTIO_F_RING_PACKED : F_MRG_RXBUF);
    give(3, 100);
    to_card(frame, 200);
    ck_assert(rig.line.level);
    ck_assert(rig_used(&rig, 0, 1, &used));
    ck_assert_uint_eq(used.written, 100);
    ck_assert(rig_used(&rig, 0, 1, &used));
    ck_assert_uint_eq(used.written, 100);
    ck_assert(rig_used(&rig, 0, 1, &used));
    ck_assert_uint_eq(used.written, 12);
    ck_assert_uint_eq(used_header(0).buffers, 3);
    ck_assert_mem_eq(used_frame(0), frame, 88);
    ck_assert_mem_eq(used_frame(1) - HEADER, frame + 88, 100);
    ck_assert_mem_eq(used_frame(2) - HEADER, frame + 188, 12);
    /* Without buffers it waits, and so do those behind it. */
    to_card(frame, 150);
    ck_assert(!net_can_receive(&wire.net));
    give(1, 100);
    ck_assert(!rig_used(&rig, 0, 1, &used));
    ck_assert(!net_can_receive(&wire.net));
    unsigned ready = wire.ready;
    rig_add(&rig, 0, (struct rig_piece[]){{BUFFER + 0x11000, 100, true}}, 1);
    rig_notify(&rig, 0);
    ck_assert(rig_used(&rig, 0, 1, &used));
    ck_assert(rig_used(&rig, 0, 1, &used));
    ck_assert_uint_eq(used_header(0).buffers, 2);
    ck_assert_uint_gt(wire.ready, ready);
    ck_assert(net_can_receive(&wire.net));
}
END_TEST

/* What never fits is dropped rather than waited for. */
START_TEST(small_buffers)
{
    struct rig_used used;

    start(0);
    give(2, 100);
    to_card(large, 200);
    ck_assert(net_can_receive(&wire.net));
    to_card(large, 88);
    ck_assert(rig_used(&rig, 0, 1, &used));
    ck_assert_uint_eq(used.written, 100);
    ck_assert_uint_eq(used_header(0).buffers, 1);
    start(F_MRG_RXBUF);
    give(16, 20);
    to_card(large, 1000);
    ck_assert(net_can_receive(&wire.net));
    to_card(large, 60);
    ck_assert(rig_used(&rig, 0, 1, &used));
}
END_TEST

/* Segments of a batch that follow each other become one (5.1.6.4). */
START_TEST(merging)
{
    static uint8_t frame[2000];
    struct rig_used used;

    wire.net.batches = true;
    start(F_GUEST_CSUM | F_GUEST_TSO4 | F_MRG_RXBUF | F_GUEST_OFFLOADS);
    give(16, 0x11000);
    for (unsigned n = 0; n < 4; n++)
        to_card(frame, make_tcp(frame, 5000 + n * 1000, n < 3 ? 1000 : 500, n < 3 ? 0x10 : 0x18, false));
    ck_assert(!rig_used(&rig, 0, 1, &used)); /* more may come */
    net_received(&wire.net);
    ck_assert(rig_used(&rig, 0, 1, &used));
    ck_assert_uint_eq(used.written, HEADER + 54 + 3500);
    struct header header = used_header(0);
    ck_assert_uint_eq(header.flags, 1);
    ck_assert_uint_eq(header.gso, 1);
    ck_assert_uint_eq(header.segment, 1000);
    ck_assert_uint_eq(header.header_size, 54);
    ck_assert_uint_eq(header.start, 34);
    ck_assert_uint_eq(header.offset, 16);
    const uint8_t *got = used_frame(0);
    ck_assert_uint_eq(get16(got + 16), 3540);
    ck_assert_uint_eq(sum(got + 14, 20, 0), 0xFFFF);
    ck_assert_uint_eq(get16(got + 50), sum(got + 26, 8, 6 + 3520));
    ck_assert_uint_eq(got[47], 0x18);
    size_t size = make_tcp(large, 5000, 3500, 0x18, false);
    ck_assert_mem_eq(got + 54, large + 54, size - 54);

    /* A gap, another flow, a wrong sum, UDP, a push: each begins anew; a lone one is said to be right. */
    to_card(frame, make_tcp(frame, 0, 1000, 0x10, false));
    to_card(frame, make_tcp(frame, 2000, 1000, 0x10, false));
    size = make_tcp(frame, 3000, 1000, 0x10, false);
    frame[34] ^= 1;
    to_card(frame, size);
    to_card(frame, make_tcp(frame, 4000, 1000, 0x18, false));
    to_card(frame, make_tcp(frame, 5000, 1000, 0x18, false));
    to_card(frame, make_tcp(frame, 6000, 0, 0x10, false));
    net_received(&wire.net);
    for (unsigned n = 1; n < 7; n++) {
        ck_assert(rig_used(&rig, 0, 1, &used));
        ck_assert_uint_eq(used_header(n).flags, n == 3 ? 0 : 2);
        ck_assert_uint_eq(used_header(n).gso, 0);
    }
    ck_assert(!rig_used(&rig, 0, 1, &used));

    /* No larger than IP allows. */
    for (unsigned n = 0; n < 70; n++)
        to_card(frame, make_tcp(frame, n * 1000, 1000, 0x10, false));
    net_received(&wire.net);
    ck_assert(rig_used(&rig, 0, 1, &used));
    ck_assert_uint_eq(used.written, HEADER + 54 + 65000);
    ck_assert(rig_used(&rig, 0, 1, &used));
    ck_assert_uint_eq(used.written, HEADER + 54 + 5000);
}
END_TEST

/* In the middle of a batch the buffers run out: nothing is lost and nothing is out of order. */
START_TEST(batch_waits)
{
    static uint8_t frame[2000];
    struct rig_used used;

    wire.net.batches = true;
    start(F_GUEST_CSUM | F_GUEST_TSO4 | F_MRG_RXBUF);
    to_card(frame, make_tcp(frame, 0, 100, 0x18, false));
    to_card(frame, make_tcp(frame, 100, 100, 0x18, false));
    ck_assert(!net_can_receive(&wire.net));
    net_received(&wire.net);
    give(4, 0x11000);
    for (unsigned n = 0; n < 2; n++) {
        ck_assert(rig_used(&rig, 0, 1, &used));
        ck_assert_uint_eq(get16(used_frame(n) + 40), n * 100);
    }
    ck_assert(net_can_receive(&wire.net));
    ck_assert(rig.line.level);
}
END_TEST

/* --- the control queue (5.1.6.5) */

static unsigned command(unsigned class, unsigned number, const void *data, uint32_t size)
{
    uint8_t head[2] = {(uint8_t) class, (uint8_t)number};

    memcpy(rig.ram + SPACE, head, 2);
    memcpy(rig.ram + SPACE + 2, data, size);
    rig.ram[SPACE + 0x1000] = 0xFF;
    rig_add(&rig, 2, (struct rig_piece[]){{SPACE, 2 + size, false}, {SPACE + 0x1000, 1, true}}, 2);
    rig_notify(&rig, 2);
    return rig.ram[SPACE + 0x1000];
}

static bool is_taken(const uint8_t *to)
{
    struct rig_used used;
    uint8_t frame[60] = {0};

    memcpy(frame, to, 6);
    give(1, 0x1000);
    to_card(frame, 60);
    bool taken = rig_used(&rig, 0, 1, &used);
    if (!taken) { /* use up the buffer */
        command(0, 0, "\1", 1);
        to_card(frame, 60);
        ck_assert(rig_used(&rig, 0, 1, &used));
        command(0, 0, "\0", 1);
    }
    return taken;
}

START_TEST(filters)
{
    static const uint8_t all[6] = {255, 255, 255, 255, 255, 255}, group[6] = {1, 0, 0x5E, 0, 0, 1},
                         other[6] = {0x52, 0x54, 0, 1, 2, 3};
    uint8_t table[8 + 600] = {1, 0, 0, 0, 0x52, 0x54, 0, 1, 2, 3, 1, 0, 0, 0, 1, 0, 0x5E, 0, 0, 1};

    start(F_CTRL_VQ | F_CTRL_RX | F_CTRL_MAC | F_CTRL_VLAN);
    ck_assert(is_taken(other)); /* all, until the driver says */
    ck_assert_uint_eq(command(0, 0, "\0", 1), 0);
    ck_assert(is_taken(mac) && is_taken(all) && !is_taken(other) && !is_taken(group));
    ck_assert_uint_eq(command(0, 1, "\1", 1), 0);
    ck_assert(is_taken(group));
    ck_assert_uint_eq(command(0, 1, "\0", 1), 0);
    ck_assert_uint_eq(command(0, 2, "\1", 1), 0);
    ck_assert(is_taken(other));
    ck_assert_uint_eq(command(0, 4, "\1", 1), 0);
    ck_assert(!is_taken(other) && !is_taken(mac));
    ck_assert_uint_eq(command(0, 4, "\0", 1), 0);
    ck_assert_uint_eq(command(0, 2, "\0", 1), 0);
    ck_assert_uint_eq(command(0, 5, "\1", 1), 0);
    ck_assert(!is_taken(all));
    ck_assert_uint_eq(command(1, 0, table, 20), 0);
    ck_assert(is_taken(other) && is_taken(group) && is_taken(mac));
    memset(table, 0, 8);
    ck_assert_uint_eq(command(1, 0, table, 8), 0);
    ck_assert(!is_taken(other) && !is_taken(group));
    table[0] = 100; /* more than there is room for: all pass */
    memset(table + 4, 0, sizeof(table) - 4);
    ck_assert_uint_eq(command(1, 0, table, 608), 0);
    ck_assert(is_taken(other) && !is_taken(group));
    memset(table, 0, 8);
    ck_assert_uint_eq(command(1, 0, table, 8), 0);
    ck_assert_uint_eq(command(1, 1, other, 6), 0);
    ck_assert(is_taken(other) && !is_taken(mac));
    ck_assert_uint_eq(rig_get(&rig, CONFIG + 5, 1), 3);
    /* What there isn't, or is cut short. */
    ck_assert_uint_eq(command(0, 6, "\1", 1), 1);
    ck_assert_uint_eq(command(9, 0, "\1", 1), 1);
    ck_assert_uint_eq(command(1, 1, group, 5), 1);
    memset(table, 0xFF, 8);
    ck_assert_uint_eq(command(1, 0, table, 8), 1);
    ck_assert_uint_eq(command(4, 0, "\2\0", 2), 1);
    ck_assert_uint_eq(command(5, 0, "\0\0\0\0\0\0\0\1", 8), 1);
    rig_add(&rig, 2, (struct rig_piece[]){{SPACE, 2, false}}, 1);
    rig_notify(&rig, 2);
    ck_assert_uint_eq(rig_status(&rig), 0x4F); /* no place for the result */
}
END_TEST

START_TEST(vlans)
{
    struct rig_used used;
    uint8_t frame[64] = {0};

    start(F_CTRL_VQ | F_CTRL_RX | F_CTRL_VLAN);
    memcpy(frame + 12, "\x81\0\x2F\xFE", 4);
    give(4, 0x1000);
    to_card(frame, 64);
    ck_assert(!rig_used(&rig, 0, 1, &used));
    ck_assert_uint_eq(command(2, 0, "\xFE\x0F", 2), 0);
    to_card(frame, 64);
    ck_assert(rig_used(&rig, 0, 1, &used));
    ck_assert_uint_eq(command(2, 1, "\xFE\x0F", 2), 0);
    to_card(frame, 64);
    ck_assert(!rig_used(&rig, 0, 1, &used));
    ck_assert_uint_eq(command(2, 0, "\0\x10", 2), 1);
}
END_TEST

/* Two pairs: a flow's frames come where it sends. The control queue moves behind them (5.1.2). */
START_TEST(pairs)
{
    struct rig_used used;
    size_t size = make_tcp(large, 1, 100, 0x10, false);

    virtio_net_class.free(card);
    make(2);
    ck_assert(rig_offered(&rig) & F_MQ);
    ck_assert_uint_eq(rig_get(&rig, CONFIG + 8, 2), 2);
    rig_start(&rig, F_CTRL_VQ | F_MQ, 4, 16);
    rig_add(&rig, 0, (struct rig_piece[]){{BUFFER, 2000, true}}, 1);
    rig_add(&rig, 2, (struct rig_piece[]){{BUFFER + 0x11000, 2000, true}}, 1);
    to_card(large, size);
    ck_assert(rig_used(&rig, 0, 1, &used));
    rig_add(&rig, 0, (struct rig_piece[]){{BUFFER, 2000, true}}, 1);
    memset(rig.ram + SPACE, 0, HEADER);
    memcpy(rig.ram + SPACE + HEADER, large, size);
    rig_add(&rig, 3, (struct rig_piece[]){{SPACE, HEADER + (uint32_t)size, false}}, 1);
    rig_notify(&rig, 3);
    to_card(large, size); /* one pair is in use: still there */
    ck_assert(rig_used(&rig, 0, 1, &used));
}
END_TEST

START_TEST(states)
{
    struct virtio_net *other;
    struct net second = wire.net;

    start(F_MRG_RXBUF);
    give(4, 2000);
    to_card(large, 100);
    struct virtio_net_wires wires = {.bus = rig_slot(&rig), .clock = rig.board.clock, .net = &second, .pairs = 1};
    wires.bus.slot = 6;
    other = virtio_net_new(&wires);
    ck_assert_ptr_nonnull(other);
    board_copy_state(&virtio_net_class, card, other);
    virtio_net_class.free(other);
}
END_TEST

/* Nonsense in headers, frames and commands. */
START_TEST(nonsense)
{
    struct rig_used used;

    wire.net.batches = true;
    for (unsigned n = 0; n < 20000; n++) {
        uint32_t random = board_random(&rig.board), size = board_random(&rig.board) % 3000;

        if (n % 500 == 0)
            start((rig_offered(&rig) & ~(VIRTIO_F_RING_PACKED | F_MQ)) | F_CTRL_VQ);
        if (rig_status(&rig) & 0x40)
            start(F_MRG_RXBUF | F_CTRL_VQ);
        size_t tcp = make_tcp(large, random & 0xFFFF, size / 2, (uint8_t)(random >> 24), random & 1);
        for (unsigned k = 0; k < random >> 30; k++)
            large[board_random(&rig.board) % 80] = (uint8_t)board_random(&rig.board);
        switch (random >> 16 & 3) {
        case 0:
            send_frame((struct header){.flags = 1,
                                       .gso = random >> 8 & 5,
                                       .segment = (uint16_t)(random >> 4 & 0x7FF),
                                       .start = random & 32 ? 34 : 54,
                                       .offset = 16},
                       large, size);
            break;
        case 1:
            give(1, size / 8);
            break;
        case 2:
            to_card(large, tcp);
            if (random & 64)
                net_received(&wire.net);
            break;
        default:
            command(random & 7, random >> 3 & 7, large, size & 0xFF);
        }
        for (unsigned q = 0; q < 3; q++)
            while (rig_used(&rig, q, 1, &used))
                ;
    }
}
END_TEST

Suite *virtio_net_suite(void)
{
    Suite *suite = suite_create("virtio_net");
    TCase *tcase = tcase_create("virtio_net");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, offers);
    tcase_add_loop_test(tcase, sending, 0, 2);
    tcase_add_test(tcase, checksums);
    tcase_add_loop_test(tcase, segments, 0, 2);
    tcase_add_loop_test(tcase, receiving, 0, 2);
    tcase_add_test(tcase, small_buffers);
    tcase_add_test(tcase, merging);
    tcase_add_test(tcase, batch_waits);
    tcase_add_test(tcase, filters);
    tcase_add_test(tcase, vlans);
    tcase_add_test(tcase, pairs);
    tcase_add_test(tcase, states);
    tcase_add_test(tcase, nonsense);
    suite_add_tcase(suite, tcase);
    return suite;
}
