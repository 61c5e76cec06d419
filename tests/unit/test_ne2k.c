/* The NE2000, on ISA and PCI, against a network that keeps what it gets. Names: National's DP8390D data
 * sheet. */
#include "core/net.h"
#include "devices/ethernet.h"
#include "devices/ne2k.h"
#include "devices/pci.h"
#include "tests/unit/board.h"

#define BASE 0x300u
#define PCI  0xC100u

#define CR    0x00
#define DATA  0x10
#define RESET 0x1F

/* Page 0, read and written. */
#define BNRY   0x03
#define TSR    0x04
#define ISR    0x07
#define CRDA0  0x08
#define RSR    0x0C
#define CNTR2  0x0F
#define PSTART 0x01
#define PSTOP  0x02
#define TPSR   0x04
#define TBCR0  0x05
#define RSAR0  0x08
#define RBCR0  0x0A
#define RCR    0x0C
#define TCR    0x0D
#define DCR    0x0E
#define IMR    0x0F
/* Page 1. */
#define PAR0 0x01
#define CURR 0x07
#define MAR0 0x08

#define STP   0x01
#define STA   0x02
#define TXP   0x04
#define READ  0x08
#define WRITE 0x10
#define SEND  0x18
#define ABORT 0x20

#define PRX 0x01
#define PTX 0x02
#define OVW 0x10
#define CNT 0x20
#define RDC 0x40
#define RST 0x80

#define FIRST 0x46 /* the ring's pages */
#define LAST  0x80

static const uint8_t mac[6] = {0x52, 0x54, 0x00, 0xAB, 0xCD, 0xEF};

static struct board board;
static struct line line;
static struct ne2k *isa;
static struct ne2k_pci *card;
static struct pci_bus *pci;
static uint16_t base;
static struct fake {
    struct net net;
    uint8_t frame[NET_FRAME_MAX];
    size_t size;
    unsigned count, ready;
} wire;

static void keep(struct net *net, const uint8_t *frame, size_t size)
{
    struct fake *fake = (struct fake *)net;

    memcpy(fake->frame, frame, size);
    fake->size = size;
    fake->count++;
}

static void heard(struct net *net)
{
    ((struct fake *)net)->ready++;
}

static uint32_t get(unsigned reg)
{
    return (uint32_t)bus_read(board.ports, base + reg, 1);
}

static void set(unsigned reg, uint32_t value)
{
    bus_write(board.ports, base + reg, value, 1);
}

static uint32_t get1(unsigned reg)
{
    uint32_t cr = get(CR), value;

    set(CR, 0x40 | (cr & 3) | ABORT);
    value = get(reg);
    set(CR, (cr & 3) | ABORT);
    return value;
}

static void set1(unsigned reg, uint32_t value)
{
    uint32_t cr = get(CR);

    set(CR, 0x40 | (cr & 3) | ABORT);
    set(reg, value);
    set(CR, (cr & 3) | ABORT);
}

static struct ne2k_wires wires(void)
{
    struct ne2k_wires w = {.ports = board.ports,
                           .clock = board.clock,
                           .irq = line_irq(&line),
                           .net = &wire.net,
                           .log = &board.log};

    memcpy(w.mac, mac, 6);
    return w;
}

static void setup(void)
{
    board_init(&board);
    memset(&wire, 0, sizeof(wire));
    wire.net = (struct net){.send = keep, .ready = heard, .up = true};
    line = (struct line){.board = &board};
    pci = pci_bus_new(&board.log);
    card = NULL;
    struct ne2k_wires w = wires();
    isa = ne2k_isa_new(&w, BASE);
    ck_assert_ptr_nonnull(isa);
    base = BASE;
}

static void teardown(void)
{
    ne2k_isa_class.free(isa);
    ne2k_pci_class.free(card);
    ck_assert_ptr_null((void *)(uintptr_t)wire.net.receiver.receive);
    pci_bus_free(pci);
    board_free(&board);
}

/* The PCI card in the place of the other. */
static void use_pci(const uint8_t *rom, size_t rom_size)
{
    struct ne2k_wires w = wires();

    ne2k_isa_class.free(isa);
    isa = NULL;
    card = ne2k_pci_new(&w, pci, 3, board.mem, rom, rom_size);
    ck_assert_ptr_nonnull(card);
    ck_assert_ptr_null(ne2k_pci_new(&w, pci, 3, board.mem, rom, rom_size));
    pci_config_write(pci, 0, PCI_DEVFN(3, 0), PCI_BAR(0), PCI, 4);
    pci_config_write(pci, 0, PCI_DEVFN(3, 0), PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY, 2);
    base = PCI;
}

/* What software does to start it (data sheet, "Initialization sequence"), in word mode. */
static void start(uint8_t rcr)
{
    set(CR, ABORT | STP);
    set(DCR, 0x49);
    set(RBCR0, 0);
    set(RBCR0 + 1, 0);
    set(RCR, rcr);
    set(TCR, 2);
    set(PSTART, FIRST);
    set(PSTOP, LAST);
    set(BNRY, FIRST);
    set(ISR, 0xFF);
    set(IMR, 0x7F);
    for (unsigned n = 0; n < 6; n++)
        set1(PAR0 + n, mac[n]);
    for (unsigned n = 0; n < 8; n++)
        set1(MAR0 + n, 0);
    set1(CURR, FIRST + 1);
    set(CR, ABORT | STA);
    set(TCR, 0);
}

static void dma(unsigned command, uint16_t at, uint16_t size)
{
    set(RBCR0, size & 0xFF);
    set(RBCR0 + 1, size >> 8);
    set(RSAR0, at & 0xFF);
    set(RSAR0 + 1, at >> 8);
    set(CR, command | STA);
}

static void fetch(uint16_t at, void *data, uint16_t size)
{
    uint8_t *to = data;

    dma(READ, at, size);
    for (uint16_t n = 0; n < size; n += 2) {
        uint16_t word = (uint16_t)bus_read(board.ports, base + DATA, 2);
        memcpy(to + n, &word, size - n < 2 ? 1 : 2);
    }
}

static void store(uint16_t at, const void *data, uint16_t size)
{
    const uint8_t *from = data;

    dma(WRITE, at, size);
    for (uint16_t n = 0; n < size; n += 2)
        bus_write(board.ports, base + DATA, from[n] | from[n + 1] << 8, 2);
}

static void receive(const uint8_t *to, size_t size)
{
    static uint8_t frame[NET_FRAME_MAX];

    for (size_t n = 0; n < size; n++)
        frame[n] = (uint8_t)(n * 7);
    memcpy(frame, to, 6);
    net_receive(&wire.net, frame, size);
}

START_TEST(after_reset)
{
    ck_assert_uint_eq(get(CR), ABORT | STP);
    ck_assert_uint_eq(get(ISR), RST);
    set(ISR, 0xFF); /* doesn't clear RST */
    ck_assert_uint_eq(get(ISR), RST);
    start(4);
    ck_assert_uint_eq(get(ISR), 0);
    ck_assert_uint_eq(get(CR), ABORT | STA);
    get(RESET);
    ck_assert_uint_eq(get(CR), ABORT | STP);
    ck_assert_uint_eq(get(ISR), RST);
    ck_assert(!line.level);
    set(CR, 0x80 | ABORT | STP); /* page 2 */
    ck_assert_uint_eq(get(PSTART), FIRST);
    ck_assert_uint_eq(get(PSTOP), LAST);
    ck_assert_uint_eq(get(RCR) & 0x3F, 4);
    ck_assert_uint_eq(get(IMR) & 0x7F, 0);
    set(CR, 0xC0 | ABORT | STP);
    ck_assert_uint_eq(get(6), 0xFF); /* a NE2000 has no page 3 */
}
END_TEST

START_TEST(address_prom)
{
    uint8_t prom[32];

    start(4);
    set(DCR, 0x48); /* bytes */
    dma(READ, 0, 32);
    for (unsigned n = 0; n < 32; n++)
        prom[n] = (uint8_t)get(DATA);
    for (unsigned n = 0; n < 6; n++)
        ck_assert(prom[2 * n] == mac[n] && prom[2 * n + 1] == mac[n]);
    ck_assert_uint_eq(prom[28], 'W');
    ck_assert_uint_eq(prom[31], 'W');
    ck_assert_uint_eq(get(ISR), RDC);
    ck_assert_uint_eq(get(CR), ABORT | STA);
    ck_assert_uint_eq(bus_read(board.ports, base + DATA, 2), 0xFFFF); /* there is no more */
}
END_TEST

START_TEST(remote_dma)
{
    uint8_t out[64], in[64];

    start(4);
    for (unsigned n = 0; n < 64; n++)
        out[n] = (uint8_t)(n + 1);
    store(0x4100, out, 64);
    ck_assert_uint_eq(get(ISR), RDC);
    ck_assert(line.level);
    set(ISR, RDC);
    ck_assert(!line.level);
    fetch(0x4100, in, 64);
    ck_assert_mem_eq(in, out, 64);
    ck_assert_uint_eq(get(CRDA0) | get(CRDA0 + 1) << 8, 0x4140);

    /* Behind the ring's end is its beginning. */
    store(0x7FE0, out, 64);
    fetch(FIRST * 256, in, 32);
    ck_assert_mem_eq(in, out + 32, 32);
    /* There is nothing before and behind the RAM, and the PROM is read-only. */
    store(0x3FE0, out, 64);
    fetch(0x3FE0, in, 64);
    ck_assert_uint_eq(in[31], 0xFF);
    ck_assert_uint_eq(in[32], 33);
    set(PSTOP, 0xFF);
    fetch(0x7FFE, in, 4);
    ck_assert_uint_eq(in[2], 0xFF);
    store(0, out, 16);
    fetch(0, in, 16);
    ck_assert_uint_eq(in[0], mac[0]);

    /* A word in byte mode is two bytes; a byte in word mode counts for a word. */
    set(DCR, 0x48);
    dma(READ, 0x4100, 4);
    ck_assert_uint_eq(bus_read(board.ports, base + DATA, 2), 0x0201);
    ck_assert_uint_eq(get(DATA), 3);
    ck_assert_uint_eq(get(DATA + 4), 4);
    set(DCR, 0x49);
    dma(READ, 0x4100, 4);
    ck_assert_uint_eq(get(DATA), 1);
    ck_assert_uint_eq(get(DATA), 3);
    ck_assert_uint_eq(get(DATA), 0xFF);
    /* An ISA card is asked twice for 32 bits. */
    dma(READ, 0x4100, 4);
    ck_assert_uint_eq(bus_read(board.ports, base + DATA, 4), 0x04030201);
    /* Writing when it is to be read, and nothing at all. */
    set(ISR, 0xFF);
    dma(READ, 0x4100, 0);
    ck_assert_uint_eq(get(ISR), RDC);
    dma(READ, 0x4100, 2);
    bus_write(board.ports, base + DATA, 0xAAAA, 2);
    ck_assert_uint_eq(bus_read(board.ports, base + DATA, 2), 0x0201);
    dma(READ, 0x4100, 2);
    set(CR, ABORT | STA);
    ck_assert_uint_eq(bus_read(board.ports, base + DATA, 2), 0xFFFF);
}
END_TEST

START_TEST(sending)
{
    uint8_t frame[100];

    start(4);
    for (unsigned n = 0; n < sizeof(frame); n++)
        frame[n] = (uint8_t)(n * 3);
    store(0x4000, frame, sizeof(frame));
    set(ISR, 0xFF);
    set(TPSR, 0x40);
    set(TBCR0, 100);
    set(TBCR0 + 1, 0);
    set(CR, ABORT | TXP | STA);
    ck_assert_uint_eq(wire.count, 1);
    ck_assert_uint_eq(wire.size, 100);
    ck_assert_mem_eq(wire.frame, frame, 100);
    ck_assert_uint_eq(get(CR), ABORT | STA);
    ck_assert_uint_eq(get(TSR), 1);
    ck_assert_uint_eq(get(ISR), PTX);
    ck_assert(line.level);
    set(TCR, 2); /* loopback: nothing leaves */
    set(CR, ABORT | TXP | STA);
    set(TCR, 0);
    set(DCR, 0x41);
    set(CR, ABORT | TXP | STA);
    ck_assert_uint_eq(wire.count, 1);
    set(DCR, 0x49);
    set(CR, ABORT | TXP | STP); /* nor while it is stopped */
    ck_assert_uint_eq(wire.count, 1);
    set(CR, ABORT | STA);
    set(TBCR0 + 1, 0xFF); /* nonsense */
    set(CR, ABORT | TXP | STA);
    ck_assert_uint_eq(wire.count, 1);
    ck_assert_uint_eq(get(TSR), 1);
}
END_TEST

START_TEST(receiving)
{
    uint8_t page[256], want[300];

    start(4);
    receive(mac, 300);
    ck_assert_uint_eq(get(ISR), PRX);
    ck_assert_uint_eq(get(RSR), 1);
    ck_assert(line.level);
    ck_assert_uint_eq(get1(CURR), FIRST + 3);
    fetch((FIRST + 1) * 256, page, 256);
    ck_assert_uint_eq(page[0], 1);
    ck_assert_uint_eq(page[1], FIRST + 3);
    ck_assert_uint_eq(page[2] | page[3] << 8, 300 + 4);
    for (unsigned n = 0; n < 300; n++)
        want[n] = (uint8_t)(n * 7);
    memcpy(want, mac, 6);
    ck_assert_mem_eq(page + 4, want, 252);
    fetch((FIRST + 2) * 256, page, 256);
    ck_assert_mem_eq(page, want + 252, 48);
    uint32_t fcs = page[48] | page[49] << 8 | page[50] << 16 | (uint32_t)page[51] << 24;
    ck_assert_uint_eq(fcs, ~ethernet_crc(want, 300));
    /* Another page, without saying that it is to go on: it does. */
    set(CR, 0x60);
    ck_assert_uint_eq(get(CR), 0x60 | STA);
    set(CR, ABORT);
    ck_assert_uint_eq(get(CR), ABORT | STA);
    /* Acknowledged and forgotten: it reminds. */
    set(ISR, 0x7F);
    ck_assert(!line.level);
    board_advance(&board, 2000000);
    ck_assert_uint_eq(get(ISR), PRX);
    /* Short ones get as long as Ethernet wants them. */
    receive(mac, 20);
    fetch((FIRST + 3) * 256, page, 256);
    ck_assert_uint_eq(page[1], FIRST + 4);
    ck_assert_uint_eq(page[2] | page[3] << 8, 64);
    ck_assert_uint_eq(page[4 + 19], (uint8_t)(19 * 7));
    ck_assert_uint_eq(page[4 + 20], 0);
    /* With the header, the largest that fits into a page, and one more. */
    receive(mac, 248);
    receive(mac, 249);
    fetch((FIRST + 4) * 256, page, 4);
    ck_assert_uint_eq(page[1], FIRST + 5);
    fetch((FIRST + 5) * 256, page, 4);
    ck_assert_uint_eq(page[1], FIRST + 7);
}
END_TEST

/* "Send packet" reads the frame at BNRY and moves it on. */
START_TEST(send_packet)
{
    start(4);
    receive(mac, 300);
    set(BNRY, FIRST + 1);
    set(CR, SEND | STA);
    ck_assert_uint_eq(bus_read(board.ports, base + DATA, 2), 1 | (FIRST + 3) << 8);
    for (unsigned n = 2; n < 304; n += 2)
        bus_read(board.ports, base + DATA, 2);
    ck_assert(get(ISR) & RDC);
    ck_assert_uint_eq(get(BNRY), FIRST + 3);
}
END_TEST

START_TEST(filters)
{
    static const uint8_t all[6] = {255, 255, 255, 255, 255, 255}, group[6] = {1, 0, 0x5E, 0, 0, 1},
                         other[6] = {0x52, 0x54, 0, 1, 2, 3};
    static const struct {
        uint8_t rcr, table;
        const uint8_t *to;
        bool taken;
        uint8_t rsr;
    } cases[] = {
        {0x00, 0, mac, true, 1},    {0x00, 0, other, false, 0},      {0x10, 0, other, true, 1},
        {0x00, 0, all, false, 0},   {0x04, 0, all, true, 0x21},      {0x04, 0, group, false, 0},
        {0x08, 0, group, false, 0}, {0x08, 0x80, group, true, 0x21}, {0x00, 0x80, group, false, 0},
        {0x10, 0, group, false, 0},
    };

    for (unsigned n = 0; n < sizeof(cases) / sizeof(*cases); n++) {
        start(cases[n].rcr);
        /* This group's CRC chooses bit 31 of the table. */
        set1(MAR0 + 3, cases[n].table);
        receive(cases[n].to, 100);
        ck_assert_msg(!(get(ISR) & PRX) == !cases[n].taken, "case %u", n);
        if (cases[n].taken)
            ck_assert_uint_eq(get(RSR), cases[n].rsr);
    }
    /* Monitoring counts, and stores nothing. */
    start(0x20);
    ck_assert(net_can_receive(&wire.net));
    receive(mac, 100);
    receive(other, 100);
    ck_assert_uint_eq(get(ISR), 0);
    ck_assert_uint_eq(get(RSR), 0x50);
    ck_assert_uint_eq(get(CNTR2), 1);
    ck_assert_uint_eq(get(CNTR2), 0);
    for (unsigned n = 0; n < 300; n++)
        receive(mac, 100);
    ck_assert_uint_eq(get(ISR), CNT);
    ck_assert_uint_eq(get(CNTR2), 0xC0);
    set(CR, ABORT | STP);
    receive(mac, 100);
    ck_assert_uint_eq(get(CNTR2), 0);
}
END_TEST

/* Frames wait for room for the longest; who sends all the same is missed. One page stays free. */
START_TEST(ring_is_full)
{
    unsigned frames = 0, page = FIRST + 1;
    uint8_t header[4];

    start(4);
    while (net_can_receive(&wire.net)) {
        receive(mac, 1514);
        frames++;
    }
    ck_assert_uint_eq(frames, (LAST - FIRST - 2) / 6);
    ck_assert_uint_eq(wire.ready > 0, 1);
    set(ISR, 0xFF);
    while (!(get(ISR) & OVW))
        receive(mac, 60);
    ck_assert_uint_eq(get(ISR), PRX | OVW | RST);
    ck_assert_uint_eq(get(CNTR2), 1);
    ck_assert_uint_eq(get1(CURR), LAST - 1); /* before BNRY there is a page left */
    for (unsigned n = 0; n < frames; n++) {
        fetch((uint16_t)(page * 256), header, 4);
        page = header[1];
    }
    unsigned before = wire.ready;
    set(BNRY, page - 1);
    ck_assert_uint_eq(get(ISR) & RST, 0);
    ck_assert_uint_gt(wire.ready, before);
    ck_assert(net_can_receive(&wire.net));
    /* Around the end. */
    receive(mac, 700);
    ck_assert_uint_eq(get1(CURR), FIRST + 2);
    fetch((LAST - 1) * 256, header, 4);
    ck_assert_uint_eq(header[1], FIRST + 2);
    /* A ring that never has room: nobody waits for it. */
    set(PSTOP, FIRST + 3);
    ck_assert(net_can_receive(&wire.net));
    receive(mac, 1514);
    set(PSTOP, FIRST);
    ck_assert(net_can_receive(&wire.net));
    receive(mac, 60);
}
END_TEST

START_TEST(on_pci)
{
    uint8_t rom[5000] = {0x55, 0xAA, 10}, out[8] = {1, 2, 3, 4, 5, 6, 7, 8}, in[8];
    unsigned devfn = PCI_DEVFN(3, 0);

    use_pci(rom, sizeof(rom));
    ck_assert_uint_eq(pci_config_read(pci, 0, devfn, PCI_VENDOR_ID, 4), 0x802910EC);
    ck_assert_uint_eq(pci_config_read(pci, 0, devfn, PCI_CLASS + 1, 2), 0x0200);
    ck_assert_uint_eq(pci_config_read(pci, 0, devfn, PCI_INTERRUPT_PIN, 1), 1);
    pci_config_write(pci, 0, devfn, PCI_BAR(0), UINT32_MAX, 4);
    ck_assert_uint_eq(pci_config_read(pci, 0, devfn, PCI_BAR(0), 4), 0xFFFFFFE1);
    pci_config_write(pci, 0, devfn, PCI_BAR(0), PCI, 4);
    pci_config_write(pci, 0, devfn, 0x30, UINT32_MAX, 4);
    ck_assert_uint_eq(pci_config_read(pci, 0, devfn, 0x30, 4), 0xFFFFE001);
    pci_config_write(pci, 0, devfn, 0x30, 0xFEB00001, 4);
    ck_assert_uint_eq(bus_read(board.mem, 0xFEB00000, 4), 0x000AAA55);
    ck_assert_uint_eq(bus_read(board.mem, 0xFEB00000 + 5000, 1), 0xFF);
    ck_assert_uint_eq(get(0x0A), 0x50);
    ck_assert_uint_eq(get(0x0B), 0x43);
    start(4);
    store(0x4100, out, 8);
    dma(READ, 0x4100, 8);
    ck_assert_uint_eq(bus_read(board.ports, base + DATA, 4), 0x04030201);
    ck_assert_uint_eq(bus_read(board.ports, base + DATA, 4), 0x08070605);
    dma(WRITE, 0x4200, 4);
    bus_write(board.ports, base + DATA, 0x44332211, 4);
    fetch(0x4200, in, 4);
    ck_assert_mem_eq(in, "\x11\x22\x33\x44", 4);
    /* CONFIG3 is behind a lock. */
    set(CR, 0xC0 | ABORT | STA);
    set(6, 0x40);
    ck_assert_uint_eq(get(6), 0);
    set(1, 0xC0);
    set(6, 0x40);
    ck_assert_uint_eq(get(6), 0x40);
    /* Without ports it isn't there. */
    pci_config_write(pci, 0, devfn, PCI_COMMAND, 0, 2);
    ck_assert_uint_eq(get(CR), 0xFF);
}
END_TEST

START_TEST(states)
{
    struct ne2k_wires w = {.ports = board.ports, .clock = board.clock, .log = &board.log};
    uint8_t data[16] = {1, 2, 3};

    start(4);
    store(0x4000, data, 16);
    receive(mac, 100);
    struct ne2k *other = ne2k_isa_new(&w, 0x340);
    board_copy_state(&ne2k_isa_class, isa, other);
    ne2k_isa_class.free(other);
    use_pci(NULL, 0);
    start(4);
    receive(mac, 100);
    w.net = NULL;
    struct ne2k_pci *second = ne2k_pci_new(&w, pci, 4, board.mem, NULL, 0);
    board_copy_state(&ne2k_pci_class, card, second);
    ne2k_pci_class.free(second);
}
END_TEST

/* Nonsense in all registers. */
START_TEST(nonsense)
{
    if (_i)
        use_pci(NULL, 0);
    for (unsigned n = 0; n < 200000; n++) {
        uint32_t random = board_random(&board);
        unsigned reg = random % 0x20, size = 1u << (random >> 8) % 3;

        if (n % 1000 == 0)
            start((uint8_t)(random >> 16) & 0x1F);
        if (random >> 30 == 0)
            receive(mac, NET_HEADER_SIZE + board_random(&board) % 2000);
        else if (random >> 30 == 1)
            bus_read(board.ports, base + reg, size);
        else if (reg != RESET || random >> 29 == 7)
            bus_write(board.ports, base + reg, board_random(&board), size);
    }
}
END_TEST

Suite *ne2k_suite(void)
{
    Suite *suite = suite_create("ne2k");
    TCase *tcase = tcase_create("ne2k");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, after_reset);
    tcase_add_test(tcase, address_prom);
    tcase_add_test(tcase, remote_dma);
    tcase_add_test(tcase, sending);
    tcase_add_test(tcase, receiving);
    tcase_add_test(tcase, send_packet);
    tcase_add_test(tcase, filters);
    tcase_add_test(tcase, ring_is_full);
    tcase_add_test(tcase, on_pci);
    tcase_add_test(tcase, states);
    tcase_add_loop_test(tcase, nonsense, 0, 2);
    suite_add_tcase(suite, tcase);
    return suite;
}
