/* The RTL8139C+ against a network that keeps what it gets. Names: Realtek's data sheet. */
#include "core/net.h"
#include "devices/ethernet.h"
#include "devices/pci.h"
#include "devices/rtl8139.h"
#include "tests/unit/board.h"

#define BASE   0xFEB00000u
#define PORTS  0xC100u
#define RAM    0x200000u
#define RING   0x10000u /* of bytes; or descriptors: */
#define RX     0x2000u
#define TX     0x3000u
#define DATA   0x40000u
#define BUFFER 0x100000u

#define TSD     0x10
#define TSAD    0x20
#define TNPDS   0x20
#define RBSTART 0x30
#define CR      0x37
#define CAPR    0x38
#define CBR     0x3A
#define IMR     0x3C
#define ISR     0x3E
#define TCR     0x40
#define RCR     0x44
#define TCTR    0x48
#define MPC     0x4C
#define CR9346  0x50
#define CONFIG1 0x52
#define TIMER   0x54
#define MSR     0x58
#define TSALL   0x60
#define BMCR    0x62
#define BMSR    0x64
#define TPPOLL  0xD9
#define CPCR    0xE0
#define RDSAR   0xE4

#define ROK   0x01
#define TOK   0x04
#define TER   0x08
#define RXOVW 0x10
#define LINK  0x20
#define TDU   0x80

#define OWN 0x80000000u
#define EOR 0x40000000u
#define FS  0x20000000u
#define LS  0x10000000u

static const uint8_t mac[6] = {0x52, 0x54, 0x00, 0xAB, 0xCD, 0xEF};

static struct board board;
static struct line line;
static struct pci_bus *pci;
static struct rtl8139 *card;
static uint8_t *ram;
static struct fake {
    struct net net;
    uint8_t frame[64][2048]; /* the first bytes of the last ones */
    size_t size[64];
    unsigned count, ready;
} wire;

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

static uint32_t get(unsigned reg, unsigned size)
{
    return (uint32_t)bus_read(board.mem, BASE + reg, size);
}

static void set(unsigned reg, uint32_t value, unsigned size)
{
    bus_write(board.mem, BASE + reg, value, size);
}

static struct rtl8139 *new_card(unsigned slot, struct net *net, bool plain)
{
    struct rtl8139_wires wires = {.pci = pci,
                                  .slot = slot,
                                  .memory = board.mem,
                                  .ports = board.ports,
                                  .clock = board.clock,
                                  .irq = line_irq(&line),
                                  .net = net,
                                  .plain = plain,
                                  .log = &board.log};

    memcpy(wires.mac, mac, 6);
    return rtl8139_new(&wires);
}

static void make(bool plain)
{
    unsigned devfn = PCI_DEVFN(3, 0);

    rtl8139_class.free(card);
    card = new_card(3, &wire.net, plain);
    ck_assert_ptr_nonnull(card);
    pci_config_write(pci, 0, devfn, PCI_BAR(0), PORTS, 4);
    pci_config_write(pci, 0, devfn, PCI_BAR(1), BASE, 4);
    pci_config_write(pci, 0, devfn, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
}

static void setup(void)
{
    board_init(&board);
    memset(&wire, 0, sizeof(wire));
    wire.net = (struct net){.send = keep, .ready = heard, .up = true};
    line = (struct line){.board = &board};
    pci = pci_bus_new(&board.log);
    ram = calloc(1, RAM);
    card = NULL;
    ck_assert(bus_map_ram(board.mem, "ram", 0, RAM, ram) != NULL);
    make(false);
}

static void teardown(void)
{
    rtl8139_class.free(card);
    ck_assert(wire.net.receiver.receive == NULL);
    pci_bus_free(pci);
    board_free(&board);
    free(ram);
}

static void start(uint32_t rcr)
{
    set(CR, 0x10, 1);
    ck_assert_uint_eq(get(CR, 1), 1);
    set(RBSTART, RING, 4);
    set(CR, 0x0C, 1);
    set(RCR, rcr, 4);
    set(IMR, 0xE1FF, 2);
}

static void start_plus(uint32_t rcr, uint32_t cpcr)
{
    set(CR, 0x10, 1);
    set(CPCR, cpcr | 3, 2);
    set(TNPDS, TX, 4);
    set(TNPDS + 4, 0, 4);
    set(RDSAR, RX, 4);
    set(RDSAR + 4, 0, 4);
    set(CR, 0x0C, 1);
    set(RCR, rcr, 4);
    set(IMR, 0xE1FF, 2);
}

static void desc(uint32_t base, unsigned n, uint32_t one, uint32_t two, uint32_t address)
{
    uint32_t words[4] = {one, two, address, 0};

    memcpy(ram + base + 16 * n, words, 16);
}

static uint32_t word(uint32_t at)
{
    uint32_t value;

    memcpy(&value, ram + at, 4);
    return value;
}

static void make_frame(uint8_t *frame, size_t size, const uint8_t *to)
{
    for (size_t n = 0; n < size; n++)
        frame[n] = (uint8_t)(n * 7);
    memcpy(frame, to, 6);
}

static void receive(const uint8_t *to, size_t size)
{
    static uint8_t frame[NET_FRAME_MAX];

    make_frame(frame, size, to);
    net_receive(&wire.net, frame, size);
}

START_TEST(after_reset)
{
    unsigned devfn = PCI_DEVFN(3, 0);

    ck_assert_uint_eq(pci_config_read(pci, 0, devfn, 0, 4), 0x813910EC);
    ck_assert_uint_eq(pci_config_read(pci, 0, devfn, PCI_REVISION, 1), 0x20);
    for (unsigned n = 0; n < 6; n++)
        ck_assert_uint_eq(get(n, 1), mac[n]);
    ck_assert_uint_eq(bus_read(board.ports, PORTS, 4), 0xAB005452);
    ck_assert_uint_eq(get(TCR, 4) & 0x7CC00000, 0x74800000);
    ck_assert_uint_eq(get(TSD, 4), 0x2000);
    ck_assert_uint_eq(get(CAPR, 2), 0xFFF0);
    ck_assert_uint_eq(get(CR, 1), 1);
    ck_assert_uint_eq(get(TSALL, 2), 0x000F);
    ck_assert_uint_eq(get(MSR, 1) & 4, 0);
    ck_assert_uint_eq(get(BMSR, 2) & 0x24, 0x24);
    set(IMR, LINK, 2);
    net_set_link(&wire.net, false);
    ck_assert(line.level);
    ck_assert_uint_eq(get(MSR, 1) & 4, 4);
    ck_assert_uint_eq(get(BMSR, 2) & 0x24, 0);
    set(ISR, LINK, 2);
    ck_assert(!line.level);
    make(true);
    ck_assert_uint_eq(pci_config_read(pci, 0, devfn, PCI_REVISION, 1), 0x10);
    ck_assert_uint_eq(get(TCR, 4) & 0x7CC00000, 0x74000000);
    set(CPCR, 3, 2);
    ck_assert_uint_eq(get(CPCR, 2), 0);
}
END_TEST

/* Configuration is locked but for 9346CR's leave. */
START_TEST(locked)
{
    set(0, 0x11223344, 4);
    ck_assert_uint_eq(get(0, 4), 0xAB005452);
    set(CONFIG1, 0xFF, 1);
    ck_assert_uint_eq(get(CONFIG1, 1), 0x0C);
    set(CR9346, 0xC0, 1);
    set(0, 0x11223344, 4);
    ck_assert_uint_eq(get(0, 4), 0x11223344);
    set(CONFIG1, 0xFF, 1);
    ck_assert_uint_eq(get(CONFIG1, 1), 0xFE);
    set(CR9346, 0x40, 1); /* loads itself anew */
    ck_assert_uint_eq(get(CR9346, 1) & 0xC0, 0);
    ck_assert_uint_eq(get(0, 4), 0xAB005452);
    set(BMCR, 0xFFFF, 2);
    ck_assert_uint_eq(get(BMCR, 2), 0x3100);
}
END_TEST

static unsigned read_eeprom(unsigned address)
{
    unsigned value = 0, command = 6u << 6 | address;

    set(CR9346, 0x80, 1);
    set(CR9346, 0x88, 1);
    for (int bit = 8; bit >= 0; bit--) {
        uint8_t in = 0x88 | (command >> bit & 1) << 1;
        set(CR9346, in, 1);
        set(CR9346, in | 4, 1);
    }
    ck_assert_uint_eq(get(CR9346, 1) & 1, 0); /* the dummy bit */
    for (unsigned n = 0; n < 16; n++) {
        set(CR9346, 0x88, 1);
        set(CR9346, 0x8C, 1);
        value = value << 1 | (get(CR9346, 1) & 1);
    }
    set(CR9346, 0, 1);
    return value;
}

START_TEST(eeprom)
{
    ck_assert_uint_eq(read_eeprom(0), 0x8129);
    ck_assert_uint_eq(read_eeprom(7), 0x5452);
    ck_assert_uint_eq(read_eeprom(9), 0xEFCD);
}
END_TEST

START_TEST(slots)
{
    start(0x0E);
    make_frame(ram + DATA, 100, mac);
    for (unsigned n = 0; n < 4; n++) {
        set(TSAD + 4 * n, DATA, 4);
        set(TSD + 4 * n, n ? 100 : 40, 4);
    }
    ck_assert_uint_eq(wire.count, 4);
    ck_assert_uint_eq(wire.size[0], 60); /* padded */
    ck_assert_uint_eq(wire.frame[0][59], 0);
    ck_assert_uint_eq(wire.size[1], 100);
    ck_assert_mem_eq(wire.frame[1], ram + DATA, 100);
    ck_assert_uint_eq(get(TSD + 4, 4), 0xA064);
    ck_assert_uint_eq(get(TSALL, 2), 0xF00F);
    ck_assert_uint_eq(get(ISR, 2), TOK);
    ck_assert(line.level);
    set(TSD, 1793, 4);
    ck_assert_uint_eq(wire.count, 4);
    ck_assert_uint_eq(get(ISR, 2), TOK | TER);
    ck_assert(get(TSD, 4) & 0x40000000);
    /* It waits for the transmitter. */
    set(CR, 0, 1);
    set(TSD, 60, 4);
    ck_assert_uint_eq(wire.count, 4);
    set(CR, 4, 1);
    ck_assert_uint_eq(wire.count, 5);
    /* Loopback. */
    set(CR, 0x0C, 1);
    set(TCR, 0x60000, 4);
    set(TSD, 100, 4);
    ck_assert_uint_eq(wire.count, 5);
    ck_assert(get(ISR, 2) & ROK);
}
END_TEST

START_TEST(ring)
{
    uint32_t at = 0;

    start(0x0A); /* 8 KiB */
    receive(mac, 301);
    ck_assert_uint_eq(get(ISR, 2), ROK);
    ck_assert_uint_eq(get(CR, 1) & 1, 0);
    ck_assert_uint_eq(word(RING), 0x4001 | 305u << 16);
    uint8_t frame[2000];
    make_frame(frame, 301, mac);
    ck_assert_mem_eq(ram + RING + 4, frame, 301);
    uint32_t fcs = ~ethernet_crc(frame, 301);
    ck_assert_mem_eq(ram + RING + 305, &fcs, 4);
    at = (4 + 305 + 3) & ~3u;
    ck_assert_uint_eq(get(CBR, 2), at);
    set(CAPR, at - 16, 2);
    ck_assert_uint_eq(get(CR, 1) & 1, 1);
    receive(mac, 20);
    ck_assert_uint_eq(word(RING + at) >> 16, 64);
    /* Acknowledged and forgotten: it reminds. */
    set(ISR, ROK, 2);
    ck_assert(!line.level);
    board_advance(&board, 1000000);
    ck_assert(line.level);
    ck_assert_uint_eq(get(ISR, 2), ROK);
    /* Full: frames wait, or are missed. */
    while (net_can_receive(&wire.net))
        receive(mac, 1514);
    ck_assert_uint_eq(get(ISR, 2), ROK);
    for (unsigned n = 0; n < 3; n++)
        receive(mac, 1514);
    ck_assert_uint_eq(get(ISR, 2), ROK | RXOVW);
    ck_assert_uint_ge(get(MPC, 4), 2);
    set(MPC, 0, 4);
    ck_assert_uint_eq(get(MPC, 4), 0);
    unsigned ready = wire.ready;
    set(CAPR, get(CBR, 2) - 16, 2);
    ck_assert_uint_gt(wire.ready, ready);
    /* Around the end, and with WRAP behind it. */
    for (unsigned wrap = 0; wrap < 2; wrap++) {
        start(0x0A | wrap << 7);
        memset(ram + RING, 0, 0x4000);
        for (at = 0; at + 1000 < 0x2000; at = get(CBR, 2)) {
            set(CAPR, at - 16, 2);
            receive(mac, 1000);
        }
        set(CAPR, at - 16, 2);
        receive(mac, 1000);
        make_frame(frame, 1000, mac);
        uint32_t first = 0x2000 - at - 4;
        ck_assert_mem_eq(ram + RING + at + 4, frame, first);
        ck_assert_mem_eq(ram + RING + (wrap ? 0x2000 : 0), frame + first, 1000 - first);
        ck_assert_uint_eq(get(CBR, 2), at + 1008 - 0x2000);
    }
}
END_TEST

START_TEST(filters)
{
    static const uint8_t all[6] = {255, 255, 255, 255, 255, 255}, group[6] = {1, 0, 0x5E, 0, 0, 1},
                         other[6] = {0x52, 0x54, 0, 1, 2, 3};
    static const struct {
        uint8_t rcr, table;
        const uint8_t *to;
        uint32_t status;
    } cases[] = {
        {0x00, 0, mac, 0},        {0x02, 0, mac, 0x4001},      {0x02, 0, other, 0},
        {0x01, 0, other, 0x0001}, {0x08, 0, all, 0x2001},      {0x07, 0xFF, all, 0},
        {0x04, 0, group, 0},      {0x04, 0x80, group, 0x8001}, {0x0B, 0x80, group, 0},
    };

    for (unsigned n = 0; n < sizeof(cases) / sizeof(*cases); n++) {
        start(cases[n].rcr);
        set(0x08 + 3, cases[n].table, 1); /* this group's CRC chooses bit 31 */
        memset(ram + RING, 0, 4);
        receive(cases[n].to, 100);
        ck_assert_msg((word(RING) & 0xFFFF) == cases[n].status, "case %u", n);
    }
}
END_TEST

/* --- C+ mode */

static unsigned sum(const uint8_t *data, size_t size, unsigned value)
{
    for (size_t n = 0; n < size; n++) {
        value += n & 1 ? data[n] : data[n] << 8;
        value = (value & 0xFFFF) + (value >> 16);
    }
    return value;
}

/* TCP or UDP over IPv4; sums of zero. */
static void make_ip(uint8_t *frame, size_t size, bool tcp)
{
    make_frame(frame, size, mac);
    memcpy(frame + 12, "\x08\0\x45\0", 4);
    frame[16] = (uint8_t)((size - 14) >> 8);
    frame[17] = (uint8_t)(size - 14);
    frame[20] = frame[21] = frame[24] = frame[25] = 0;
    frame[23] = tcp ? 6 : 17;
    frame[46] = 0x50;
    memset(frame + (tcp ? 50 : 40), 0, 2);
}

static unsigned transport_sum(const uint8_t *frame, size_t size)
{
    return sum(frame + 34, size - 34, sum(frame + 26, 8, frame[23] + (unsigned)size - 34));
}

START_TEST(descriptors_out)
{
    start_plus(0x0E, 0);
    make_frame(ram + DATA, 300, mac);
    desc(TX, 0, OWN | FS | 100, 0, DATA);
    desc(TX, 1, OWN | LS | 200, 0, DATA + 100);
    desc(TX, 2, OWN | FS | LS | EOR | 60, 0x20000 | 0x2301, DATA);
    set(TPPOLL, 0x40, 1);
    ck_assert_uint_eq(wire.count, 2);
    ck_assert_uint_eq(wire.size[0], 300);
    ck_assert_mem_eq(wire.frame[0], ram + DATA, 300);
    ck_assert_uint_eq(wire.size[1], 64); /* with its tag */
    ck_assert_mem_eq(wire.frame[1] + 12, "\x81\0\x01\x23", 4);
    ck_assert_mem_eq(wire.frame[1] + 16, ram + DATA + 12, 48);
    ck_assert_uint_eq(word(TX), FS);
    ck_assert_uint_eq(word(TX + 32), FS | LS | EOR);
    ck_assert_uint_eq(get(ISR, 2), TOK | TDU);
    ck_assert_uint_eq(get(TPPOLL, 1), 0);
    /* Sums. */
    for (unsigned tcp = 0; tcp < 2; tcp++) {
        make_ip(ram + DATA, 201, tcp);
        desc(TX, tcp, OWN | FS | LS | 1u << 18 | (tcp ? 1u << 16 : 1u << 17) | 201, 0, DATA);
        set(TPPOLL, 0x40, 1);
        ck_assert_uint_eq(sum(wire.frame[2 + tcp] + 14, 20, 0), 0xFFFF);
        ck_assert_uint_eq(transport_sum(wire.frame[2 + tcp], 201), 0xFFFF);
    }
    /* Large send. */
    make_ip(ram + DATA, 54 + 2500, true);
    desc(TX, 2, OWN | FS | LS | EOR | 1u << 27 | 1000u << 16 | 2554, 0, DATA);
    set(TPPOLL, 0x40, 1);
    ck_assert_uint_eq(wire.count, 7);
    for (unsigned n = 4; n < 7; n++) {
        ck_assert_uint_eq(wire.size[n], n < 6 ? 1054 : 554);
        ck_assert_uint_eq(transport_sum(wire.frame[n], wire.size[n]), 0xFFFF);
    }
    /* Never begun, and too long: dropped. */
    desc(TX, 0, OWN | LS | 100, 0, DATA);
    for (unsigned n = 1; n < 4; n++)
        desc(TX, n, OWN | (n == 1 ? FS : 0) | (n == 3 ? LS | EOR : 0) | 0xFFFF, 0, DATA);
    set(TPPOLL, 0x40, 1);
    ck_assert_uint_eq(wire.count, 7);
    /* A ring without an end doesn't hold up the machine. */
    for (unsigned n = 0; n < 64; n++)
        desc(TX, n, OWN | FS | LS | 60, 0, TX);
    set(TPPOLL, 0x40, 1);
    set(CR, 0x10, 1);
}
END_TEST

START_TEST(descriptors_in)
{
    static uint8_t frame[300];

    start_plus(0x0E, 0x60);
    ck_assert(!net_can_receive(&wire.net));
    unsigned ready = wire.ready;
    desc(RX, 0, OWN | 1536, 0, BUFFER);
    desc(RX, 1, OWN | 100, 0, BUFFER + 0x1000);
    desc(RX, 2, OWN | EOR | 1536, 0, BUFFER + 0x2000);
    board_advance(&board, 1000000); /* nobody says that there are some */
    ck_assert_uint_gt(wire.ready, ready);
    make_frame(frame, 300, mac);
    net_receive(&wire.net, frame, 300);
    ck_assert_uint_eq(word(RX), FS | LS | 0x02000000 | 304);
    ck_assert_mem_eq(ram + BUFFER, frame, 300);
    ck_assert_uint_eq(get(ISR, 2) & ROK, ROK);
    /* Over two buffers, its tag taken out. */
    memcpy(frame + 12, "\x81\0\x01\x23", 4);
    net_receive(&wire.net, frame, 300);
    ck_assert_uint_eq(word(RX + 16), FS | 0x02000000 | 100);
    ck_assert_uint_eq(word(RX + 32), LS | EOR | 0x02000000 | 300);
    ck_assert_uint_eq(word(RX + 20), 0x00012301);
    ck_assert_mem_eq(ram + BUFFER + 0x1000 + 12, frame + 16, 88);
    /* Sums, right and wrong. */
    for (unsigned n = 0; n < 6; n++) {
        bool tcp = n & 1;

        make_ip(frame, 200, tcp);
        unsigned ip = ~sum(frame + 14, 20, 0) & 0xFFFF;
        frame[24] = (uint8_t)(ip >> 8);
        frame[25] = (uint8_t)ip;
        unsigned right = ~transport_sum(frame, 200) & 0xFFFF;
        frame[tcp ? 50 : 40] = (uint8_t)(right >> 8);
        frame[tcp ? 51 : 41] = (uint8_t)right;
        frame[n & 2 ? 100 : 101] ^= n & 2 ? 1 : 0;
        frame[22] ^= n & 4 ? 1 : 0;
        desc(RX, 0, OWN | EOR | 1536, 0, BUFFER);
        if (n == 0) {
            start_plus(0x0E, 0x20);
            desc(RX, 0, OWN | EOR | 1536, 0, BUFFER);
        }
        net_receive(&wire.net, frame, 200);
        ck_assert_uint_eq(word(RX) & 0x3E000, (tcp ? 0x10000u : 0x20000u) |
                                                  (n & 2 ? (tcp ? 0x2000u : 0x4000u) : 0) |
                                                  (n & 4 ? 0x8000u : 0));
    }
    /* None is left. */
    net_receive(&wire.net, frame, 200);
    ck_assert(get(ISR, 2) & RXOVW);
}
END_TEST

START_TEST(timer_and_tally)
{
    start(0x0E);
    set(TIMER, 33000, 4); /* a millisecond */
    set(TCTR, 0, 4);
    board_advance(&board, 999000);
    ck_assert_uint_eq(get(ISR, 2), 0);
    ck_assert_uint_eq(get(TCTR, 4), 32967);
    board_advance(&board, 2000);
    ck_assert_uint_eq(get(ISR, 2), 0x4000);
    set(TIMER, 0, 4);
    start_plus(0x0E, 0);
    desc(TX, 0, OWN | FS | LS | EOR | 60, 0, DATA);
    set(TPPOLL, 0x40, 1);
    set(0x14, 0, 4);
    set(0x10, BUFFER | 8, 4);
    ck_assert_uint_eq(get(0x10, 4), BUFFER);
    ck_assert_uint_eq(word(BUFFER), 1);
}
END_TEST

START_TEST(states)
{
    struct net other = wire.net;

    start(0x0E);
    receive(mac, 100);
    set(TIMER, 1000000, 4);
    struct rtl8139 *second = new_card(4, &other, false);
    ck_assert_ptr_nonnull(second);
    ck_assert_ptr_null(new_card(4, NULL, false));
    board_copy_state(&rtl8139_class, card, second);
    rtl8139_class.free(second);
}
END_TEST

START_TEST(nonsense)
{
    make(_i);
    for (unsigned n = 0; n < 30000; n++) {
        uint32_t random = board_random(&board), reg = random >> 8 & 0xFF, size = 1u << (random >> 16) % 3;

        if (n % 500 == 0) {
            for (unsigned k = 0; k < 0x1000; k += 4) {
                uint32_t value = board_random(&board) & (k % 16 < 8 ? UINT32_MAX : RAM - 1);
                memcpy(ram + RX + k, &value, 4);
                memcpy(ram + TX + k, &value, 4);
            }
            if (random & 1)
                start_plus(random >> 20, random >> 10 & 0x60);
            else
                start(random >> 16);
        }
        if (random >> 30 == 0)
            receive(mac, NET_HEADER_SIZE + board_random(&board) % 2000);
        else if (random >> 30 == 1)
            bus_read(board.mem, BASE + reg, size);
        else if (reg != CR)
            bus_write(board.ports, PORTS + reg, board_random(&board) & (reg == TPPOLL ? 0x41 : UINT32_MAX),
                      size);
        if (random % 64 == 0)
            board_advance(&board, random % 200000);
    }
}
END_TEST

Suite *rtl8139_suite(void)
{
    Suite *suite = suite_create("rtl8139");
    TCase *tcase = tcase_create("rtl8139");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, after_reset);
    tcase_add_test(tcase, locked);
    tcase_add_test(tcase, eeprom);
    tcase_add_test(tcase, slots);
    tcase_add_test(tcase, ring);
    tcase_add_test(tcase, filters);
    tcase_add_test(tcase, descriptors_out);
    tcase_add_test(tcase, descriptors_in);
    tcase_add_test(tcase, timer_and_tally);
    tcase_add_test(tcase, states);
    tcase_add_loop_test(tcase, nonsense, 0, 2);
    suite_add_tcase(suite, tcase);
    return suite;
}
