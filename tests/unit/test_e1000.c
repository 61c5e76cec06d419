/* The 82540EM against a network that keeps what it gets. Section numbers: Intel's 8254x software developer's
 * manual. */
#include "core/net.h"
#include "devices/e1000.h"
#include "devices/pci.h"
#include "tests/unit/board.h"

#define BASE   0xFEB00000u
#define PORTS  0xC100u
#define RAM    0x200000u
#define RX     0x1000u /* rings */
#define TX     0x2000u
#define BUFFER 0x100000u
#define DATA   0x10000u

#define CTRL   0x0000
#define STATUS 0x0008
#define EECD   0x0010
#define EERD   0x0014
#define MDIC   0x0020
#define ICR    0x00C0
#define ITR    0x00C4
#define ICS    0x00C8
#define IMS    0x00D0
#define IMC    0x00D8
#define RCTL   0x0100
#define TCTL   0x0400
#define RDBAL  0x2800
#define RDLEN  0x2808
#define RDH    0x2810
#define RDT    0x2818
#define RDTR   0x2820
#define RADV   0x282C
#define TDBAL  0x3800
#define TDLEN  0x3808
#define TDH    0x3810
#define TDT    0x3818
#define TIDV   0x3820
#define TADV   0x382C
#define RXCSUM 0x5000
#define MTA    0x5200
#define RAL    0x5400
#define VFTA   0x5600

#define TXDW 0x01
#define TXQE 0x02
#define LSC  0x04
#define RXO  0x40
#define RXT0 0x80
#define MDAC 0x200

#define EOP  0x01u
#define IFCS 0x02u
#define IC   0x04u
#define TSE  0x04u
#define RS   0x08u
#define DEXT 0x20u
#define VLE  0x40u
#define IDE  0x80u

#define RING 16 /* descriptors */

static const uint8_t mac[6] = {0x52, 0x54, 0x00, 0xAB, 0xCD, 0xEF};

static struct board board;
static struct line line;
static struct pci_bus *pci;
static struct e1000 *card, *other;
static uint8_t *ram;
static struct fake {
    struct net net;
    uint8_t frame[64][2048]; /* the first bytes of the last ones */
    size_t size[64];
    unsigned count, ready, large;
} wire;

static void keep(struct net *net, const uint8_t *frame, size_t size)
{
    struct fake *fake = (struct fake *)net;
    unsigned slot = fake->count++ % 64;

    ck_assert(size >= NET_HEADER_SIZE && size <= NET_FRAME_MAX);
    fake->size[slot] = size;
    memcpy(fake->frame[slot], frame, size < 2048 ? size : 2048);
}

static void heard(struct net *net)
{
    ((struct fake *)net)->ready++;
}

static uint32_t get(unsigned reg)
{
    return (uint32_t)bus_read(board.mem, BASE + reg, 4);
}

static void set(unsigned reg, uint32_t value)
{
    bus_write(board.mem, BASE + reg, value, 4);
}

static void configure(unsigned slot, uint32_t base, uint32_t ports)
{
    unsigned devfn = PCI_DEVFN(slot, 0);

    pci_config_write(pci, 0, devfn, PCI_BAR(0), base, 4);
    pci_config_write(pci, 0, devfn, PCI_BAR(1), ports, 4);
    pci_config_write(pci, 0, devfn, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
}

static struct e1000 *new_card(unsigned slot, struct net *net)
{
    struct e1000_wires wires = {
        .pci = pci,
        .slot = slot,
        .memory = board.mem,
        .ports = board.ports,
        .clock = board.clock,
        .net = net,
        .log = &board.log,
    };

    if (net)
        wires.irq = line_irq(&line);
    memcpy(wires.mac, mac, 6);
    return e1000_new(&wires);
}

static void setup(void)
{
    board_init(&board);
    memset(&wire, 0, sizeof(wire));
    wire.net = (struct net){.send = keep, .ready = heard, .up = true};
    line = (struct line){.board = &board};
    pci = pci_bus_new(&board.log);
    ram = calloc(1, RAM);
    ck_assert(bus_map_ram(board.mem, "ram", 0, RAM, ram) != NULL);
    card = new_card(3, &wire.net);
    other = NULL;
    ck_assert(card != NULL);
    ck_assert(new_card(3, NULL) == NULL);
    configure(3, BASE, PORTS);
}

static void teardown(void)
{
    e1000_class.free(other);
    e1000_class.free(card);
    ck_assert(wire.net.receiver.receive == NULL);
    pci_bus_free(pci);
    board_free(&board);
    free(ram);
}

/* --- what software does */

static void start(uint32_t rctl)
{
    set(RDBAL, RX);
    set(RDLEN, RING * 16);
    for (uint64_t n = 0; n < RING; n++) {
        uint64_t at = BUFFER + n * 0x4000;
        memcpy(ram + RX + n * 16, &at, 8);
    }
    set(RDT, RING - 1);
    set(TDBAL, TX);
    set(TDLEN, RING * 16);
    set(TCTL, 0x10F0FA);
    set(RCTL, rctl | 2);
    get(ICR);
}

static void put(unsigned n, uint64_t low, uint32_t two, uint32_t three)
{
    uint32_t words[4] = {(uint32_t)low, (uint32_t)(low >> 32), two, three};

    memcpy(ram + TX + n * 16, words, 16);
}

static uint8_t tx_status(unsigned n)
{
    return ram[TX + n * 16 + 12];
}

struct rx {
    uint64_t address;
    uint16_t length, checksum;
    uint8_t status, errors;
    uint16_t special;
};

static struct rx rx(unsigned n)
{
    struct rx d;

    memcpy(&d, ram + RX + n * 16, sizeof(d));
    return d;
}

static void receive(const uint8_t *frame, size_t size)
{
    ck_assert(net_can_receive(&wire.net));
    net_receive(&wire.net, frame, size);
}

/* A frame for the card: addresses, type, counting bytes. */
static void make(uint8_t *frame, size_t size, const uint8_t *to, unsigned type)
{
    for (size_t n = 0; n < size; n++)
        frame[n] = (uint8_t)n;
    memcpy(frame, to, 6);
    frame[12] = (uint8_t)(type >> 8);
    frame[13] = (uint8_t)type;
}

/* Plainly, as a judge of the chip's sums. */
static uint16_t sum(const uint8_t *data, size_t size, uint32_t more)
{
    for (size_t n = 0; n < size; n++)
        more += n & 1 ? data[n] : (uint32_t)data[n] << 8;
    while (more >> 16)
        more = (more & 0xFFFF) + (more >> 16);
    return (uint16_t)more;
}

static uint32_t be(const uint8_t *at, unsigned bytes)
{
    uint32_t value = 0;

    while (bytes--)
        value = value << 8 | *at++;
    return value;
}

/* IPv4 with TCP (or UDP) behind the Ethernet header, sums right if `good`. */
static void make_ip(uint8_t *frame, size_t size, bool tcp)
{
    uint8_t *ip = frame + 14, *payload = ip + 20;
    size_t length = size - 34, at = tcp ? 16 : 6;

    make(frame, size, mac, 0x0800);
    memcpy(ip, "\x45\0\0\0\x12\x34\x40\0\x40\0\0\0\x0A\0\x02\x02\x0A\0\x02\x0F", 20);
    ip[2] = (uint8_t)((size - 14) >> 8);
    ip[3] = (uint8_t)(size - 14);
    ip[9] = tcp ? 6 : 17;
    uint16_t check = (uint16_t)~sum(ip, 20, 0);
    ip[10] = (uint8_t)(check >> 8);
    ip[11] = (uint8_t)check;
    payload[at] = payload[at + 1] = 0;
    check = (uint16_t)~sum(payload, length, sum(ip + 12, 8, ip[9] + (uint32_t)length));
    payload[at] = (uint8_t)(check >> 8);
    payload[at + 1] = (uint8_t)check;
}

/* --- the card itself */

START_TEST(identity_and_reset)
{
    ck_assert_uint_eq(pci_config_read(pci, 0, PCI_DEVFN(3, 0), 0, 4), 0x100E8086);
    ck_assert_uint_eq(pci_config_read(pci, 0, PCI_DEVFN(3, 0), PCI_CLASS + 1, 2), 0x0200);
    pci_config_write(pci, 0, PCI_DEVFN(3, 0), PCI_BAR(0), 0xFFFFFFFF, 4);
    ck_assert_uint_eq(pci_config_read(pci, 0, PCI_DEVFN(3, 0), PCI_BAR(0), 4), 0xFFFE0000);
    configure(3, BASE, PORTS);
    ck_assert_uint_eq(get(STATUS) & 0xC3, 0x83); /* full duplex, link, 1000 Mb/s */
    ck_assert_uint_eq(get(RAL), 0xAB005452);
    ck_assert_uint_eq(get(RAL + 4), 0x8000EFCD);
    start(0x8000);
    set(RAL, 1);
    set(IMS, 0x1FFFF);
    set(ICS, LSC);
    ck_assert(line.level);
    set(CTRL, get(CTRL) | 1u << 26);
    ck_assert_uint_eq(get(CTRL) >> 26 & 1, 0);
    ck_assert_uint_eq(get(RCTL) | get(TCTL) | get(IMS) | get(ICR) | get(RDLEN), 0);
    ck_assert_uint_eq(get(RAL), 0xAB005452);
    ck_assert(!line.level);
    /* Through the ports. */
    bus_write(board.ports, PORTS, RAL + 4, 4);
    ck_assert_uint_eq(bus_read(board.ports, PORTS + 4, 4), 0x8000EFCD);
    bus_write(board.ports, PORTS, RAL, 4);
    bus_write(board.ports, PORTS + 4, 0x12345678, 4);
    ck_assert_uint_eq(get(RAL), 0x12345678);
    bus_write(board.mem, BASE + RAL, 0xFF, 1); /* less than a register (13.2) */
    ck_assert_uint_eq(get(RAL), 0x12345678);
    ck_assert_uint_eq(get(0x1FFFC), 0);
}
END_TEST

/* One bit to the EEPROM, and what it says meanwhile. */
static unsigned bit(unsigned in)
{
    set(EECD, 0x42 | in << 2);
    set(EECD, 0x43 | in << 2);
    unsigned out = get(EECD) >> 3 & 1;
    set(EECD, 0x42 | in << 2);
    return out;
}

static uint16_t bang(unsigned word)
{
    unsigned value = 0, last = 1;

    set(EECD, 0x40);
    ck_assert_uint_eq(get(EECD) & 0x1C0, 0x1C0); /* granted; it is there */
    set(EECD, 0x42);
    bit(0); /* before the start bit: nothing */
    for (int n = 8; n >= 0; n--)
        last = bit((6u << 6 | word) >> n & 1);
    ck_assert_uint_eq(last, 0); /* a 0 goes before the word */
    for (unsigned n = 0; n < 16; n++)
        value = value << 1 | bit(0);
    set(EECD, 0);
    return (uint16_t)value;
}

START_TEST(eeprom)
{
    uint16_t total = 0;

    for (unsigned n = 0; n < 64; n++) {
        set(EERD, n << 8 | 1);
        uint32_t eerd = get(EERD);
        ck_assert_uint_eq(eerd & 0x10, 0x10);
        ck_assert_uint_eq(bang(n), eerd >> 16);
        total = (uint16_t)(total + (eerd >> 16));
        if (n < 3)
            ck_assert_uint_eq(eerd >> 16, mac[2 * n] | mac[2 * n + 1] << 8);
    }
    ck_assert_uint_eq(total, 0xBABA); /* 5.6.35 */
}
END_TEST

static uint32_t phy(uint32_t mdic)
{
    set(MDIC, mdic);
    ck_assert(get(MDIC) & 1u << 28);
    return get(MDIC);
}

START_TEST(phy_and_link)
{
    set(IMS, LSC | MDAC);
    ck_assert_uint_eq(phy(1u << 21 | 2u << 26 | 2u << 16) & 0xFFFF, 0x0141);
    ck_assert_uint_eq(phy(1u << 21 | 2u << 26 | 3u << 16) & 0xFFF0, 0x0C20);
    ck_assert_uint_eq(phy(1u << 21 | 2u << 26 | 1u << 16) & 0x24, 0x24);
    ck_assert(phy(2u << 21 | 2u << 26 | 1u << 16) & 1u << 30); /* nobody there */
    ck_assert(!line.level);
    phy(1u << 21 | 2u << 26 | 1u << 29);
    ck_assert_uint_eq(get(ICR), MDAC);
    phy(1u << 21 | 1u << 26 | 4u << 16 | 0x1234);
    ck_assert_uint_eq(phy(1u << 21 | 2u << 26 | 4u << 16) & 0xFFFF, 0x1234);
    phy(1u << 21 | 1u << 26 | 0x1200); /* negotiates anew */
    ck_assert_uint_eq(get(ICR), LSC);
    net_set_link(&wire.net, false);
    ck_assert_uint_eq(get(ICR), LSC);
    ck_assert_uint_eq(get(STATUS) & 2, 0);
    ck_assert_uint_eq(phy(1u << 21 | 2u << 26 | 1u << 16) & 0x24, 0);
    net_set_link(&wire.net, true);
    ck_assert_uint_eq(get(STATUS) & 2, 2);
}
END_TEST

START_TEST(causes)
{
    set(IMS, LSC);
    set(ICS, RXO);
    ck_assert(!line.level);
    set(IMS, RXO);
    ck_assert(line.level);
    ck_assert_uint_eq(get(IMS), LSC | RXO);
    set(ICR, RXO); /* writing clears, too */
    ck_assert(!line.level);
    set(ICS, LSC | RXO);
    set(IMC, LSC);
    ck_assert(line.level);
    pci_config_write(pci, 0, PCI_DEVFN(3, 0), PCI_COMMAND + 1, PCI_COMMAND_INTX_DISABLE >> 8, 1);
    ck_assert(!line.level);
    ck_assert_uint_eq(pci_config_read(pci, 0, PCI_DEVFN(3, 0), PCI_STATUS, 1) & 8, 8);
    pci_config_write(pci, 0, PCI_DEVFN(3, 0), PCI_COMMAND + 1, 0, 1);
    ck_assert(line.level);
    ck_assert_uint_eq(get(ICR), LSC | RXO);
    ck_assert(!line.level);
    ck_assert_uint_eq(get(ICR), 0);
}
END_TEST

START_TEST(throttle)
{
    set(ITR, 1000); /* 256 us */
    set(IMS, LSC);
    set(ICS, LSC);
    ck_assert(line.level);
    get(ICR);
    board_advance(&board, 100000);
    set(ICS, LSC);
    ck_assert(!line.level);
    board_advance(&board, 155999);
    ck_assert(!line.level);
    board_advance(&board, 1);
    ck_assert(line.level);
    get(ICR);
    board_advance(&board, 256000);
    set(ICS, LSC);
    ck_assert(line.level);
}
END_TEST

/* --- sending */

START_TEST(send_legacy)
{
    start(0);
    set(IMS, TXDW);
    make(ram + DATA, 300, mac, 0x88B5);
    put(0, DATA, 100 | IFCS << 24, 0);
    put(1, DATA + 100, 200 | (EOP | IFCS | RS) << 24, 0);
    set(TDT, 2);
    ck_assert_uint_eq(wire.count, 1);
    ck_assert_uint_eq(wire.size[0], 300);
    ck_assert_mem_eq(wire.frame[0], ram + DATA, 300);
    ck_assert_uint_eq(tx_status(0), 0);
    ck_assert_uint_eq(tx_status(1), 1);
    ck_assert_uint_eq(get(TDH), 2);
    ck_assert(line.level);
    ck_assert_uint_eq(get(ICR), TXDW | TXQE);
    ck_assert_uint_eq(get(0x4080), 1);   /* GPTC */
    ck_assert_uint_eq(get(0x40E4), 1);   /* PTC511 */
    ck_assert_uint_eq(get(0x4080), 0);   /* read once */
    ck_assert_uint_eq(get(0x4090), 304); /* GOTCL */
    ck_assert_uint_eq(get(0x4094), 0);
    ck_assert_uint_eq(get(0x4090), 0); /* GOTCH's reading cleared both */
    /* Short ones are padded (PSP), and the ring goes round. */
    for (unsigned n = 2; n < RING; n++)
        put(n, DATA, 20 | (EOP | RS) << 24, 0);
    put(0, DATA, 20 | (EOP | RS) << 24, 0);
    set(TDT, 1);
    ck_assert_uint_eq(wire.count, 1 + RING - 1);
    ck_assert_uint_eq(wire.size[1], 60);
    ck_assert_uint_eq(wire.frame[1][20], 0);
    ck_assert_uint_eq(get(TDH), 1);
}
END_TEST

START_TEST(send_needs_a_master_and_enable)
{
    start(0);
    put(0, DATA, 60 | EOP << 24, 0);
    set(TCTL, 8);
    set(TDT, 1);
    ck_assert_uint_eq(wire.count, 0);
    pci_config_write(pci, 0, PCI_DEVFN(3, 0), PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
    set(TCTL, 0xA);
    ck_assert_uint_eq(wire.count, 0);
    pci_config_write(pci, 0, PCI_DEVFN(3, 0), PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
    ck_assert_uint_eq(wire.count, 1);
    net_set_link(&wire.net, false);
    set(TDT, 2);
    ck_assert_uint_eq(wire.count, 1);
}
END_TEST

START_TEST(send_checksum_legacy)
{
    start(0);
    make(ram + DATA, 64, mac, 0x88B5);
    ram[DATA + 50] = ram[DATA + 51] = 0;
    put(0, DATA, 64 | 50 << 16 | (EOP | IC) << 24, 20 << 8); /* CSO 50, CSS 20 */
    set(TDT, 1);
    ck_assert_uint_eq(be(wire.frame[0] + 50, 2), (uint16_t)~sum(ram + DATA + 20, 44, 0));
    put(1, DATA, 64 | 250 << 16 | (EOP | IC) << 24, 20 << 8); /* outside */
    set(TDT, 2);
    ck_assert_mem_eq(wire.frame[1], ram + DATA, 64);
}
END_TEST

/* What Linux does for a TCP packet: the pseudo header's sum in the field, the rest by hardware. */
START_TEST(send_checksums)
{
    uint8_t wanted[200], *frame = ram + DATA;
    uint16_t pseudo;

    start(0);
    make_ip(wanted, sizeof(wanted), true);
    memcpy(frame, wanted, sizeof(wanted));
    frame[24] = frame[25] = 0;
    pseudo = sum(frame + 26, 8, 6 + 166);
    frame[50] = (uint8_t)(pseudo >> 8);
    frame[51] = (uint8_t)pseudo;
    put(0, 14 | 24 << 8 | 33 << 16 | (uint64_t)(34 | 50 << 8) << 32, DEXT << 24, 0);
    put(1, DATA, 60 | 1 << 20 | (DEXT | IFCS) << 24, 3 << 8);
    put(2, DATA + 60, 140 | 1 << 20 | (EOP | DEXT | RS) << 24, 0);
    set(TDT, 3);
    ck_assert_uint_eq(wire.size[0], 200);
    ck_assert_mem_eq(wire.frame[0], wanted, 200);
}
END_TEST

/* A network that wants it whole, and cuts it itself. */
static void keep_large(struct net *net, uint8_t *frame, size_t size, const struct net_offload *offload)
{
    wire.large++;
    net->send_large = NULL;
    net_send_large(net, frame, size, offload);
    net->send_large = keep_large;
}

START_TEST(segmentation)
{
    enum { PAYLOAD = 2500, MSS = 1000 };
    uint8_t *frame = ram + DATA;
    unsigned at = 0;

    if (_i)
        wire.net.send_large = keep_large;
    start(0);
    make_ip(frame, 54 + PAYLOAD, true);
    frame[16] = frame[17] = frame[24] = frame[25] = 0; /* IP's length and sum */
    memcpy(frame + 38, "\xFF\xFF\xFE\x00", 4);         /* sequence number */
    frame[46] = 0x50;
    frame[47] = 0x19;                                  /* ACK, PSH, FIN */
    uint16_t pseudo = sum(frame + 26, 8, 6);           /* without the length */
    frame[50] = (uint8_t)(pseudo >> 8);
    frame[51] = (uint8_t)pseudo;
    put(0, 14 | 24 << 8 | 33 << 16 | (uint64_t)(34 | 50 << 8) << 32, PAYLOAD | (DEXT | TSE | 3) << 24,
        54 << 8 | (uint32_t)MSS << 16);
    put(1, DATA, 30 | 1 << 20 | (DEXT | TSE) << 24, 3 << 8); /* the header in two parts */
    put(2, DATA + 30, 1500 | 1 << 20 | (DEXT | TSE) << 24, 3 << 8);
    put(3, DATA + 1530, (PAYLOAD + 54 - 1530) | 1 << 20 | (DEXT | TSE | EOP | RS) << 24, 3 << 8);
    set(TDT, 4);
    ck_assert_uint_eq(wire.count, 3);
    for (unsigned n = 0; n < 3; n++) {
        const uint8_t *f = wire.frame[n];
        unsigned length = n < 2 ? MSS : PAYLOAD - 2 * MSS;

        ck_assert_uint_eq(wire.size[n], 54 + length);
        ck_assert_uint_eq(be(f + 16, 2), 40 + length);
        ck_assert_uint_eq(be(f + 18, 2), 0x1234 + n);
        ck_assert_uint_eq(sum(f + 14, 20, 0), 0xFFFF);
        ck_assert_uint_eq(be(f + 38, 4), 0xFFFFFE00u + n * MSS);
        ck_assert_uint_eq(f[47], n < 2 ? 0x10 : 0x19);
        ck_assert_uint_eq(sum(f + 34, 20 + length, sum(f + 26, 8, 6 + 20 + length)), 0xFFFF);
        ck_assert_mem_eq(f + 54, frame + 54 + at, length);
        at += length;
    }
    ck_assert_uint_eq(get(0x40F8), 1); /* TSCTC */
    ck_assert_uint_eq(get(0x4080), 3); /* GPTC */
    ck_assert_uint_eq(wire.large, (unsigned)_i);
}
END_TEST

START_TEST(segmentation_of_udp_by_ipv6)
{
    uint8_t *frame = ram + DATA;

    start(0);
    make(frame, 1000, mac, 0x86DD);
    put(0, 14 | (uint64_t)(54 | 60 << 8) << 32, 938 | (DEXT | TSE) << 24, 62 << 8 | 600u << 16);
    put(1, DATA, 1000 | 1 << 20 | (DEXT | TSE | EOP) << 24, 2 << 8);
    set(TDT, 2);
    ck_assert_uint_eq(wire.count, 2);
    ck_assert_uint_eq(be(wire.frame[0] + 18, 2), 608); /* IPv6's payload, and UDP's length */
    ck_assert_uint_eq(be(wire.frame[0] + 58, 2), 608);
    ck_assert_uint_eq(be(wire.frame[1] + 18, 2), 346);
    ck_assert_uint_eq(be(wire.frame[1] + 58, 2), 346);
}
END_TEST

START_TEST(vlan_tags)
{
    uint8_t frame[100];

    start(0x8000);
    set(CTRL, get(CTRL) | 1u << 30);
    make(ram + DATA, 100, mac, 0x88B5);
    put(0, DATA, 100 | (EOP | VLE) << 24, 0x2123u << 16);
    set(TDT, 1);
    ck_assert_uint_eq(wire.size[0], 104);
    ck_assert_uint_eq(be(wire.frame[0] + 12, 4), 0x81002123);
    ck_assert_mem_eq(wire.frame[0] + 16, ram + DATA + 12, 88);
    ck_assert_mem_eq(wire.frame[0], ram + DATA, 12);
    memcpy(frame, wire.frame[0], sizeof(frame));
    receive(frame, sizeof(frame));
    ck_assert_uint_eq(rx(0).status & 0x0B, 0x0B); /* DD, EOP, VP */
    ck_assert_uint_eq(rx(0).special, 0x2123);
    ck_assert_uint_eq(rx(0).length, 100);
    ck_assert_mem_eq(ram + BUFFER + 12, frame + 16, 84);
    /* The filter lets in those of its table. */
    set(RCTL, 0x48002);
    receive(frame, sizeof(frame));
    ck_assert_uint_eq(rx(1).status, 0);
    set(VFTA + 0x123 / 32 * 4, 1u << (0x123 & 31));
    receive(frame, sizeof(frame));
    ck_assert_uint_eq(rx(1).special, 0x2123);
}
END_TEST

START_TEST(transmit_delay)
{
    start(0);
    set(IMS, TXDW);
    set(TIDV, 10);
    set(TADV, 15);
    put(0, DATA, 60 | (EOP | RS | IDE) << 24, 0);
    put(1, DATA, 60 | (EOP | RS | IDE) << 24, 0);
    set(TDT, 1);
    ck_assert_uint_eq(tx_status(0), 1);
    ck_assert(!line.level);
    board_advance(&board, 9 * 1024);
    set(TDT, 2); /* begins anew, but for TADV */
    board_advance(&board, 6 * 1024 - 1);
    ck_assert(!line.level);
    board_advance(&board, 1);
    ck_assert(line.level);
}
END_TEST

/* --- receiving */

START_TEST(receive_and_filters)
{
    static const uint8_t group[6] = {0x01, 0x00, 0x5E, 0x12, 0x34, 0x56},
                         all[6] = {255, 255, 255, 255, 255, 255}, other_card[6] = {0x52, 0x54, 0, 0, 0, 1};
    uint8_t frame[1514];

    start(0);
    set(IMS, RXT0);
    make(frame, 1514, mac, 0x88B5);
    receive(frame, 1514);
    ck_assert(line.level);
    ck_assert_uint_eq(rx(0).status, 7); /* DD, EOP, IXSM */
    ck_assert_uint_eq(rx(0).length, 1518);
    ck_assert_uint_eq(rx(0).checksum, (uint16_t)~sum(frame, 1514, 0));
    ck_assert_mem_eq(ram + BUFFER, frame, 1514);
    ck_assert_uint_eq(get(RDH), 1);
    make(frame, 1514, all, 0x88B5);
    receive(frame, 42);
    ck_assert_uint_eq(get(RDH), 1); /* no BAM */
    set(RCTL, 0x04008002);          /* BAM, SECRC */
    receive(frame, 42);
    ck_assert_uint_eq(rx(1).length, 60);
    make(frame, 1514, other_card, 0x88B5);
    receive(frame, 60);
    ck_assert_uint_eq(get(RDH), 2);
    set(RCTL, 0x0000800A); /* UPE */
    receive(frame, 60);
    ck_assert_uint_eq(rx(2).status, 0x87); /* and PIF */
    make(frame, 1514, group, 0x88B5);
    set(RCTL, 0x8002);
    receive(frame, 60);
    ck_assert_uint_eq(get(RDH), 3);
    for (unsigned mo = 0; mo < 4; mo++) {
        static const unsigned bits[4] = {36, 35, 34,
                                         32}; /* of the address, from which on 12 count (13.4.22) */
        uint64_t address = 0;

        for (unsigned n = 0; n < 6; n++)
            address |= (uint64_t)group[n] << 8 * n;
        unsigned hash = address >> bits[mo] & 0xFFF;
        set(RCTL, 0x8002 | mo << 12);
        set(MTA + hash / 32 * 4, 1u << (hash & 31));
        receive(frame, 60);
        ck_assert_uint_eq(get(RDH), 4 + mo);
        set(MTA + hash / 32 * 4, 0);
        receive(frame, 60);
        ck_assert_uint_eq(get(RDH), 4 + mo);
    }
    set(RCTL, 0x8012); /* MPE */
    receive(frame, 60);
    ck_assert_uint_eq(get(RDH), 8);
    ck_assert_uint_eq(get(0x407C), 5); /* MPRC */
    ck_assert_uint_eq(get(0x4078), 1); /* BPRC */
    ck_assert_uint_eq(get(0x4074), 8); /* GPRC */
}
END_TEST

START_TEST(receive_into_small_buffers)
{
    uint8_t frame[9000];

    start(0x8000 | 3 << 16); /* 256 bytes */
    make(frame, sizeof(frame), mac, 0x88B5);
    receive(frame, 600);
    ck_assert_uint_eq(rx(0).length, 256);
    ck_assert_uint_eq(rx(0).status, 1);
    ck_assert_uint_eq(rx(2).length, 604 - 512);
    ck_assert_uint_eq(rx(2).status & 3, 3);
    ck_assert_mem_eq(ram + BUFFER + 2 * 0x4000, frame + 512, 88);
    receive(frame, 1515); /* too long */
    ck_assert_uint_eq(get(RDH), 3);
    ck_assert_uint_eq(get(0x40AC), 1);     /* ROC */
    set(RCTL, 0x8022 | 1 << 25 | 2 << 16); /* LPE, 8192 */
    receive(frame, 9000);
    ck_assert_uint_eq(rx(3).length, 8192);
    ck_assert_uint_eq(rx(4).length, 9004 - 8192);
}
END_TEST

START_TEST(no_room)
{
    uint8_t frame[100];

    start(0x8000);
    set(IMS, RXO);
    make(frame, sizeof(frame), mac, 0x88B5);
    for (unsigned n = 0; n < RING - 1; n++)
        receive(frame, sizeof(frame));
    ck_assert(!net_can_receive(&wire.net));
    net_receive(&wire.net, frame, sizeof(frame)); /* the network didn't ask */
    ck_assert(line.level);
    ck_assert_uint_eq(get(0x4010), 1); /* MPC */
    ck_assert_uint_eq(get(RDH), RING - 1);
    ck_assert(get(ICR) & 0x10); /* RXDMT0 */
    unsigned before = wire.ready;
    set(RDT, 3);
    ck_assert_uint_eq(wire.ready, before + 1);
    receive(frame, sizeof(frame));
    ck_assert_uint_eq(get(RDH), 0);
    set(RCTL, 0); /* off: drops what comes */
    receive(frame, sizeof(frame));
    ck_assert_uint_eq(get(RDH), 0);
}
END_TEST

START_TEST(receive_checksums)
{
    uint8_t frame[300];

    start(0x8000);
    set(RXCSUM, 0x300);
    for (unsigned n = 0; n < 4; n++) {
        make_ip(frame, 299 + (n & 1), n < 2);
        receive(frame, 299 + (n & 1));
        ck_assert_uint_eq(rx(n).status, 0x63);
        ck_assert_uint_eq(rx(n).errors, 0);
    }
    frame[100] ^= 1;
    receive(frame, 300);
    ck_assert_uint_eq(rx(4).errors, 0x20);
    make_ip(frame, 300, true);
    frame[22]--; /* time to live */
    receive(frame, 300);
    ck_assert_uint_eq(rx(5).errors, 0x40);
    frame[14] = 0x4F; /* a header that isn't all there is no reason to look beyond */
    receive(frame, 60);
    ck_assert_uint_eq(rx(6).status & 0x60, 0);
    make_ip(frame, 300, true);
    frame[20] = 0x20; /* a fragment */
    receive(frame, 300);
    ck_assert_uint_eq(rx(7).status & 0x20, 0);
}
END_TEST

START_TEST(receive_delay)
{
    uint8_t frame[60];

    start(0x8000);
    set(IMS, RXT0);
    set(RDTR, 10);
    set(RADV, 15);
    make(frame, sizeof(frame), mac, 0x88B5);
    receive(frame, sizeof(frame));
    ck_assert_uint_eq(rx(0).status & 1, 1);
    board_advance(&board, 10 * 1024 - 1);
    ck_assert(!line.level);
    board_advance(&board, 1);
    ck_assert(line.level);
    get(ICR);
    receive(frame, sizeof(frame));
    set(RDTR, 10 | 1u << 31); /* at once */
    ck_assert(line.level);
}
END_TEST

START_TEST(loopback)
{
    start(0x8000 | 3 << 6);
    make(ram + DATA, 100, mac, 0x88B5);
    put(0, DATA, 100 | (EOP | RS) << 24, 0);
    set(TDT, 1);
    ck_assert_uint_eq(wire.count, 0);
    ck_assert_uint_eq(rx(0).length, 104);
    ck_assert_mem_eq(ram + BUFFER, ram + DATA, 100);
}
END_TEST

/* --- guests that go wrong */

START_TEST(rings_that_make_no_sense)
{
    uint8_t frame[100];

    start(0x8000);
    make(frame, sizeof(frame), mac, 0x88B5);
    set(TDT, RING); /* there is no such descriptor */
    set(TDT, 0xFFFF);
    ck_assert_uint_eq(wire.count, 0);
    set(TDLEN, 0);
    set(TDT, 0);
    set(TDH, 5);
    set(RDLEN, 0);
    ck_assert(!net_can_receive(&wire.net));
    set(RDLEN, 128);
    set(RDH, 9);
    ck_assert(!net_can_receive(&wire.net));
    net_receive(&wire.net, frame, sizeof(frame));
    /* Where nothing is, and in the card's own registers: descriptors that send what is there. */
    for (unsigned n = 0; n < 2; n++) {
        set(TDBAL, n ? BASE : 0xF0000000);
        set(TDBAL + 4, n ? 0 : UINT32_MAX);
        set(TDLEN, RING * 16);
        set(TDH, 0);
        set(TDT, RING - 1);
        set(RDBAL, n ? BASE + TDBAL : 0xF0000000);
        set(RDBAL + 4, n ? 0 : UINT32_MAX);
        set(RDH, 0);
        set(RDT, 7);
        net_receive(&wire.net, frame, sizeof(frame));
    }
    set(CTRL, 1u << 26);
    start(0x8000);
    set(TDH, 0);
    make(ram + DATA, 100, mac, 0x88B5);
    put(0, DATA, 100 | EOP << 24, 0);
    wire.count = 0;
    set(TDT, 1);
    ck_assert_uint_eq(wire.count, 1);
    ck_assert_mem_eq(wire.frame[0], ram + DATA, 100);
}
END_TEST

START_TEST(endless_and_empty_packets)
{
    start(0);
    for (unsigned n = 0; n < RING; n++) /* never an end */
        put(n, DATA, 0xFFFF, 0);
    set(TDT, RING - 1);
    put(RING - 1, DATA, 0 | EOP << 24, 0);
    set(TDT, 0);
    ck_assert_uint_eq(wire.count, 0);
    put(0, DATA, 0 | (EOP | RS) << 24, 0); /* nothing at all */
    set(TDT, 1);
    ck_assert_uint_eq(wire.count, 0);
    ck_assert_uint_eq(tx_status(0), 1);
    for (unsigned n = 0; n < 4;
         n++) { /* MSS 0, a header larger than all, than memory for it, and lengths that aren't true */
        static const uint32_t three[4] = {54 << 8, 255 << 8 | 16u << 16, 255 << 8 | 0xFFFFu << 16,
                                          20 << 8 | 64u << 16};

        put(1 + 2 * n, UINT64_MAX, 0xFFFFF | (DEXT | TSE | 3) << 24, three[n]);
        put(2 + 2 * n, DATA, 0x20000 | 1 << 20 | (DEXT | TSE | EOP) << 24, 3 << 8);
        set(TDT, 3 + 2 * n);
        ck_assert_uint_eq(get(TDH), 3 + 2 * n);
    }
    put(9, DATA, 100 | (EOP | RS) << 24, 0);
    wire.count = 0;
    set(TDT, 10);
    ck_assert_uint_eq(wire.count, 1);
}
END_TEST

/* A ring full of as much as descriptors can say takes several turns, between which the machine goes on. */
START_TEST(much_to_send_takes_turns)
{
    unsigned turns = 0, sent = 0;

    start(0);
    put(0, 0, 0xFFFFF | (DEXT | TSE | 3) << 24, 54 << 8 | 1460u << 16);
    for (unsigned n = 1; n < RING; n++)
        put(n, 0, 0xFFFFF | 1 << 20 | (DEXT | TSE | EOP) << 24, 3 << 8);
    set(TDT, RING - 1);
    while (get(TDH) != RING - 1 && turns++ < 100) {
        ck_assert_uint_gt(wire.count, sent);
        sent = wire.count;
        board_advance(&board, 50000);
    }
    ck_assert_uint_gt(turns, 2);
    ck_assert_uint_eq(get(TDH), RING - 1);
    ck_assert_uint_eq(wire.count, (RING - 2) * ((0xFFFFF - 54 + 1459) / 1460));
}
END_TEST

START_TEST(nonsense)
{
    uint8_t frame[2000];

    other = new_card(4, NULL);
    for (unsigned round = 0; round < 300; round++) {
        start(board_random(&board));
        for (unsigned n = 0; n < 0x3000; n += 4) {
            uint32_t r = board_random(&board);
            memcpy(ram + RX + n, &r, 4);
        }
        for (unsigned n = 0; n < RING; n++) /* mostly in memory, mostly of some kind */
            if (board_random(&board) & 3)
                put(n, board_random(&board) % RAM, board_random(&board) & 0xFF1FFFFF, board_random(&board));
        for (unsigned n = 0; n < 30; n++) {
            uint32_t r = board_random(&board), size = 14 + r % 1900;
            static const uint16_t often[] = {TDT,   RDT,   TDH,  RDH,  RCTL, TCTL, CTRL,
                                             RDLEN, TDLEN, RDTR, TIDV, ITR,  IMS,  RXCSUM};

            for (unsigned i = 0; i < size; i++)
                frame[i] = (uint8_t)board_random(&board);
            if (r & 0x10000)
                memcpy(frame, mac, 6);
            if (r & 0x20000)
                memcpy(frame + 12, "\x08\0\x45", 3);
            if (r & 0x40000)
                memcpy(frame + 12, "\x81\0", 2);
            net_receive(&wire.net, frame, size);
            set(often[(r >> 20) % 14], board_random(&board) >> (r & 31));
            set(r >> 8 & 0x1FFFC, board_random(&board));
            get(r >> 4 & 0x1FFFC);
            board_advance(&board, r & 0xFFFFF);
        }
        e1000_class.reset(card);
        configure(3, BASE, PORTS);
    }
    ck_assert_uint_eq(get(RAL), 0xAB005452);
}
END_TEST

START_TEST(state)
{
    uint8_t frame[100];

    other = new_card(4, NULL);
    start(0x8000);
    set(IMS, TXDW | RXT0);
    set(RDTR, 10);
    make(frame, sizeof(frame), mac, 0x88B5);
    receive(frame, sizeof(frame));
    make(ram + DATA, 100, mac, 0x88B5);
    put(0, DATA, 60, 0);
    set(TDT, 1); /* half a frame */
    board_copy_state(&e1000_class, card, other);
}
END_TEST

Suite *e1000_suite(void)
{
    Suite *suite = suite_create("e1000");
    TCase *tcase = tcase_create("e1000");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, identity_and_reset);
    tcase_add_test(tcase, eeprom);
    tcase_add_test(tcase, phy_and_link);
    tcase_add_test(tcase, causes);
    tcase_add_test(tcase, throttle);
    tcase_add_test(tcase, send_legacy);
    tcase_add_test(tcase, send_needs_a_master_and_enable);
    tcase_add_test(tcase, send_checksum_legacy);
    tcase_add_test(tcase, send_checksums);
    tcase_add_loop_test(tcase, segmentation, 0, 2);
    tcase_add_test(tcase, segmentation_of_udp_by_ipv6);
    tcase_add_test(tcase, vlan_tags);
    tcase_add_test(tcase, transmit_delay);
    tcase_add_test(tcase, receive_and_filters);
    tcase_add_test(tcase, receive_into_small_buffers);
    tcase_add_test(tcase, no_room);
    tcase_add_test(tcase, receive_checksums);
    tcase_add_test(tcase, receive_delay);
    tcase_add_test(tcase, loopback);
    tcase_add_test(tcase, rings_that_make_no_sense);
    tcase_add_test(tcase, endless_and_empty_packets);
    tcase_add_test(tcase, much_to_send_takes_turns);
    tcase_add_test(tcase, nonsense);
    tcase_add_test(tcase, state);
    tcase_set_timeout(tcase, 120);
    suite_add_tcase(suite, tcase);
    return suite;
}
