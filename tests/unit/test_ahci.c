/* The SATA controller, register by register and FIS by FIS. Section numbers: AHCI 1.3.1, unless another is
 * named. */
#include "devices/ahci.h"
#include "devices/pci.h"
#include "tests/unit/board.h"
#include "tests/unit/fake_disk.h"

#define BASE   0xFEB00000u
#define DEVFN  PCI_DEVFN(7, 0)
#define RAM    0x200000u
#define STORED (1024u * 1024)

#define LIST     0x1000u /* of port 0; the others' lie 64 KiB further each */
#define RECEIVED 0x2000u
#define TABLES   0x4000u /* 1 KiB a slot */
#define DATA     0x100000u

#define GHC 0x04
#define IS  0x08

#define CLB  0x00
#define FB   0x08
#define PIS  0x10
#define PIE  0x14
#define CMD  0x18
#define TFD  0x20
#define SIG  0x24
#define SSTS 0x28
#define SCTL 0x2C
#define SERR 0x30
#define SACT 0x34
#define CI   0x38

#define ST  0x0001u
#define CLO 0x0008u
#define FRE 0x0010u
#define CR  0x8000u

#define DHRS 0x00000001u
#define PSS  0x00000002u
#define SDBS 0x00000008u
#define DPS  0x00000020u
#define PCS  0x00000040u
#define OFS  0x01000000u
#define IFS  0x08000000u
#define HBFS 0x20000000u
#define TFES 0x40000000u

#define WRITES 0x40u
#define PACKET 0x20u
#define CLEARS 0x400u

static struct board board;
static struct line line;
static struct pci_bus *pci;
static struct ahci *ahci, *other;
static struct fake_disk disk, disc;
static struct block_slot slot;
static uint8_t *ram;
static unsigned messages;
static unsigned pieces; /* of the table that is being built */

static void on_message(void *opaque, uint64_t address, uint32_t data)
{
    (void)opaque;
    ck_assert(address == 0xFEE01000 && data == 0x4055);
    messages++;
}

static uint32_t get(unsigned reg)
{
    return (uint32_t)bus_read(board.mem, BASE + reg, 4);
}

static void set(unsigned reg, uint32_t value)
{
    bus_write(board.mem, BASE + reg, value, 4);
}

static uint32_t pget(unsigned port, unsigned reg)
{
    return get(0x100 + 0x80 * port + reg);
}

static void pset(unsigned port, unsigned reg, uint32_t value)
{
    set(0x100 + 0x80 * port + reg, value);
}

static void enable(unsigned devfn, uint32_t base)
{
    pci_config_write(pci, 0, devfn, PCI_BAR(5), base, 4);
    pci_config_write(pci, 0, devfn, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
}

static struct ahci *new_controller(unsigned place, bool drives)
{
    struct ahci_wires wires = {
        .pci = pci, .slot = place, .memory = board.mem, .irq = line_irq(&line), .log = &board.log};
    struct ahci *made = ahci_new(&wires);

    ck_assert(made != NULL);
    if (drives) {
        ck_assert(ahci_attach_disk(made, 0, &disk.block));
        ck_assert(ahci_attach_cdrom(made, 3, &slot));
    }
    return made;
}

/* A port as a driver sets it up. */
static void start(unsigned port)
{
    pset(port, CLB, LIST + port * 0x10000);
    pset(port, FB, RECEIVED + port * 0x10000);
    pset(port, SERR, UINT32_MAX);
    pset(port, PIS, UINT32_MAX);
    pset(port, PIE, 0x7DC000FF);
    pset(port, CMD, FRE);
    pset(port, CMD, FRE | ST);
    ck_assert_uint_eq(pget(port, CMD) & (CR | 0x4000), CR | 0x4000);
    set(IS, 1u << port);
    set(GHC, 0x80000002);
}

static void setup(void)
{
    board_init(&board);
    line = (struct line){.board = &board};
    messages = 0;
    pci = pci_bus_new(&board.log);
    pci_bus_on_message(pci, on_message, NULL);
    ram = calloc(1, RAM);
    ck_assert(bus_map_ram(board.mem, "ram", 0, RAM, ram) != NULL);
    fake_disk_init(&disk, STORED);
    fake_disk_init(&disc, STORED);
    slot = (struct block_slot){.medium = &disc.block};
    ahci = new_controller(7, true);
    other = NULL;
    enable(DEVFN, BASE);
}

static void teardown(void)
{
    fake_disk_pump(&disk);
    fake_disk_pump(&disc);
    ahci_class.free(ahci);
    ahci_class.free(other);
    pci_bus_free(pci);
    board_free(&board);
    free(disk.data);
    free(disc.data);
    free(ram);
}

static uint8_t *table(unsigned port, unsigned n)
{
    return ram + TABLES + port * 0x10000 + n * 0x400;
}

/* The header of slot n, and an empty list of pieces. */
static uint8_t *begin(unsigned port, unsigned n, uint32_t flags)
{
    uint32_t header[8] = {5 | flags, 0xAAAAAAAA, (uint32_t)(table(port, n) - ram)};

    memcpy(ram + LIST + port * 0x10000 + 32 * n, header, sizeof(header));
    memset(table(port, n), 0, 0x400);
    table(port, n)[0] = 0x27;
    table(port, n)[1] = 0x80;
    pieces = 0;
    return table(port, n);
}

static void piece(unsigned port, unsigned n, uint64_t addr, uint32_t size)
{
    uint32_t entry[4] = {(uint32_t)addr, addr >> 32, 0, size - 1};
    uint16_t count = (uint16_t)++pieces;

    memcpy(table(port, n) + 0x80 + 16 * (pieces - 1), entry, sizeof(entry));
    memcpy(ram + LIST + port * 0x10000 + 32 * n + 2, &count, 2);
}

static void put_lba(uint8_t *fis, uint64_t lba)
{
    for (unsigned i = 0; i < 3; i++) {
        fis[4 + i] = (uint8_t)(lba >> 8 * i);
        fis[8 + i] = (uint8_t)(lba >> (24 + 8 * i));
    }
    fis[7] = 0x40;
}

/* READ DMA EXT, WRITE DMA EXT and the like. */
static uint8_t *command(unsigned n, uint32_t flags, uint8_t opcode, uint64_t lba, uint16_t count)
{
    uint8_t *fis = begin(0, n, flags);

    fis[2] = opcode;
    put_lba(fis, lba);
    fis[12] = (uint8_t)count;
    fis[13] = (uint8_t)(count >> 8);
    return fis;
}

static void queued(unsigned n, bool write, uint64_t lba, uint16_t count)
{
    uint8_t *fis = begin(0, n, write ? WRITES : 0);

    fis[2] = write ? 0x61 : 0x60;
    put_lba(fis, lba);
    fis[3] = (uint8_t)count;
    fis[11] = (uint8_t)(count >> 8);
    fis[12] = (uint8_t)(n << 3);
}

static void issue_queued(uint32_t slots)
{
    pset(0, SACT, slots);
    pset(0, CI, slots);
}

static uint32_t moved(unsigned port, unsigned n)
{
    uint32_t count;

    memcpy(&count, ram + LIST + port * 0x10000 + 32 * n + 4, 4);
    return count;
}

static const uint8_t *received(unsigned port, unsigned where)
{
    return ram + RECEIVED + port * 0x10000 + where;
}

/* What was said is read and cleared, the port's causes first (10.6.2). */
static uint32_t acknowledge(unsigned port)
{
    uint32_t causes = pget(port, PIS);

    pset(port, PIS, causes);
    set(IS, 1u << port);
    return causes;
}

START_TEST(what_is_there)
{
    ck_assert_uint_eq(pci_config_read(pci, 0, DEVFN, PCI_CLASS, 2), 0x0601);
    ck_assert_uint_eq(get(0x00) & 0xC0001F1F, 0xC0001F05);
    ck_assert_uint_eq(get(GHC), 0x80000000);
    ck_assert_uint_eq(get(0x0C), 0x3F);
    ck_assert_uint_eq(get(0x10), 0x00010301);
    ck_assert_uint_eq(pget(0, SSTS), 0x123);
    ck_assert_uint_eq(pget(0, SIG), 0x00000101);
    ck_assert_uint_eq(pget(0, TFD), 0x0150);
    ck_assert_uint_eq(pget(0, CMD), 6);
    ck_assert_uint_eq(pget(0, PIS), PCS);
    ck_assert_uint_eq(pget(1, SSTS), 0);
    ck_assert_uint_eq(pget(1, SIG), UINT32_MAX);
    ck_assert_uint_eq(pget(1, TFD), 0x7F);
    ck_assert_uint_eq(pget(3, SIG), 0xEB140101);
    ck_assert_uint_eq(pget(3, TFD) & 0x89, 0);
    ck_assert_uint_eq(bus_read(board.mem, BASE + 0x12, 1), 1);
    ck_assert(!ahci_attach_disk(ahci, 0, &disk.block));
    ck_assert(!ahci_attach_disk(ahci, 6, &disk.block));
}
END_TEST

/* A PIO read ends with the status in its PIO Setup FIS, and no register FIS (5.3.11). */
START_TEST(identify)
{
    uint16_t words[256];

    start(0);
    ck_assert_uint_eq(received(0, 0x40)[0], 0x34); /* the signature came before there was a place for it */
    memset(ram + RECEIVED, 0, 0x100);
    command(4, 0, 0xEC, 0, 0);
    piece(0, 4, DATA, 512);
    pset(0, CI, 1 << 4);
    ck_assert_uint_eq(pget(0, CI), 0);
    ck_assert_uint_eq(pget(0, TFD), 0x50);
    ck_assert_uint_eq(received(0, 0x20)[0], 0x5F);
    ck_assert_uint_eq(received(0, 0x20)[1], 0x60);
    ck_assert_uint_eq(received(0, 0x20)[2], 0x58);
    ck_assert_uint_eq(received(0, 0x20)[15], 0x50);
    ck_assert_uint_eq(received(0, 0x20)[16] | received(0, 0x20)[17] << 8, 512);
    ck_assert_uint_eq(received(0, 0x40)[0], 0);
    ck_assert_uint_eq(moved(0, 4), 512);
    ck_assert(line.level);
    ck_assert_uint_eq(get(IS), 1);
    ck_assert_uint_eq(acknowledge(0), PSS);
    ck_assert(!line.level);
    memcpy(words, ram + DATA, sizeof(words));
    ck_assert_uint_eq(words[75], 31);
    ck_assert_uint_eq(words[76], 0x0106);
    ck_assert_uint_eq(words[93], 0);
    ck_assert_uint_eq(words[169], 1);
}
END_TEST

START_TEST(dma)
{
    start(0);
    command(0, 0, 0x25, 5, 300);
    piece(0, 0, DATA + 2, 1000);
    piece(0, 0, DATA + 0x10000, 300 * 512 - 1000 + 100);
    pset(0, CI, 1);
    ck_assert_uint_eq(pget(0, CI), 1);
    ck_assert_uint_eq(pget(0, TFD) & 0x80, 0x80);
    fake_disk_pump(&disk);
    ck_assert_uint_eq(pget(0, CI), 0);
    ck_assert_uint_eq(pget(0, TFD), 0x50);
    ck_assert_uint_eq(moved(0, 0), 300 * 512);
    ck_assert(!memcmp(ram + DATA + 2, disk.data + 5 * 512, 1000));
    ck_assert(!memcmp(ram + DATA + 0x10000, disk.data + 5 * 512 + 1000, 300 * 512 - 1000));
    ck_assert_uint_eq(received(0, 0x40)[0], 0x34);
    ck_assert_uint_eq(received(0, 0x40)[1], 0x40);
    ck_assert_uint_eq(acknowledge(0), DHRS);

    memset(ram + DATA, 0x5A, 0x1000);
    command(1, WRITES, 0x35, 9, 8);
    piece(0, 1, DATA, 4096);
    command(2, 0, 0xEA, 0, 0);
    pset(0, CI, 6);
    fake_disk_pump(&disk);
    ck_assert_uint_eq(pget(0, CI), 0);
    ck_assert(!memcmp(ram + DATA, disk.data + 9 * 512, 4096));
    ck_assert_uint_eq(disk.flushes, 1);
}
END_TEST

/* An error keeps the command in CI and stops the port until ST is cleared (6.2.2). */
START_TEST(errors)
{
    start(0);
    disk.bad = 6;
    command(0, 0, 0x25, 5, 3);
    piece(0, 0, DATA, 3 * 512);
    command(1, 0, 0xEC, 0, 0);
    piece(0, 1, DATA, 512);
    pset(0, CI, 3);
    fake_disk_pump(&disk);
    ck_assert_uint_eq(pget(0, CI), 3);
    ck_assert_uint_eq(pget(0, TFD), 0x4051);
    ck_assert_uint_eq(received(0, 0x40)[4], 6);
    ck_assert_uint_eq(acknowledge(0), TFES | DHRS);
    pset(0, CMD, FRE);
    ck_assert_uint_eq(pget(0, CI), 0);
    ck_assert_uint_eq(pget(0, CMD) & CR, 0);
    start(0);
    pset(0, CI, 2);
    ck_assert_uint_eq(pget(0, CI), 0);
    acknowledge(0);

    /* Memory that isn't there, too little memory, and no FIS. */
    disk.bad = UINT64_MAX;
    command(0, 0, 0x25, 0, 1);
    piece(0, 0, 0x80000000, 512);
    pset(0, CI, 1);
    fake_disk_pump(&disk);
    ck_assert_uint_eq(acknowledge(0), HBFS);
    pset(0, CMD, FRE);
    pset(0, SCTL, 1);
    ck_assert_uint_eq(pget(0, SSTS), 0);
    pset(0, SCTL, 0);
    start(0);
    command(0, 0, 0x25, 0, 2);
    piece(0, 0, DATA, 512);
    pset(0, CI, 1);
    fake_disk_pump(&disk);
    ck_assert_uint_eq(acknowledge(0), OFS | DHRS);
    command(0, WRITES, 0x35, 0, 2);
    piece(0, 0, DATA, 512);
    pset(0, CI, 1);
    ck_assert_uint_eq(acknowledge(0), IFS);
    ck_assert_uint_eq(disk.writes, 0);
    pset(0, CMD, FRE);
    ck_assert_uint_eq(pget(0, TFD) & 0x80, 0x80);
    pset(0, CMD, FRE | CLO);
    ck_assert_uint_eq(pget(0, TFD) & 0x88, 0);
    pset(0, CMD, FRE | ST);
    begin(0, 0, 0)[0] = 0x46;
    pset(0, CI, 1);
    ck_assert_uint_eq(acknowledge(0), IFS);
}
END_TEST

/* Queued commands leave CI at once, and SACT in any order; each says so by a FIS. */
START_TEST(queue)
{
    start(0);
    for (unsigned n = 0; n < 32; n++) {
        queued(n, n & 1, n * 8, 8);
        piece(0, n, DATA + n * 0x2000 + 0x1022, 2048);
        piece(0, n, DATA + n * 0x2000 + 0x20, 2048);
        memset(ram + DATA + n * 0x2000, (int)n, 0x2000);
    }
    issue_queued(UINT32_MAX);
    ck_assert_uint_eq(pget(0, CI), 0);
    ck_assert_uint_eq(pget(0, SACT), UINT32_MAX);
    ck_assert_uint_eq(disk.count, 32);
    ck_assert_uint_eq(pget(0, PIS), 0);
    ck_assert(fake_disk_complete(&disk, 30));
    ck_assert_uint_eq(pget(0, SACT), ~(1u << 30));
    ck_assert_uint_eq(received(0, 0x58)[0], 0xA1);
    ck_assert_uint_eq(received(0, 0x58)[1], 0x40);
    ck_assert_uint_eq(received(0, 0x58)[2], 0x50);
    ck_assert_uint_eq(received(0, 0x58)[7], 0x40);
    ck_assert(line.level);
    ck_assert_uint_eq(acknowledge(0), SDBS);

    /* A command of the other kind waits for them. */
    command(30, 0, 0xEA, 0, 0);
    pset(0, CI, 1u << 30);
    while (disk.count > 1)
        fake_disk_complete(&disk, disk.count - 1);
    ck_assert_uint_eq(disk.flushes, 0);
    ck_assert_uint_eq(pget(0, CI), 1u << 30);
    fake_disk_pump(&disk);
    ck_assert_uint_eq(disk.flushes, 1);
    ck_assert_uint_eq(pget(0, SACT) | pget(0, CI), 0);
    for (unsigned n = 0; n < 32; n++) {
        ck_assert(!memcmp(ram + DATA + n * 0x2000 + 0x1022, disk.data + n * 4096, 2048));
        ck_assert(!memcmp(ram + DATA + n * 0x2000 + 0x20, disk.data + n * 4096 + 2048, 2048));
        ck_assert(!(n & 1) || disk.data[n * 4096] == n);
    }
    ck_assert_uint_eq(acknowledge(0), SDBS | DHRS);

    /* FUA: on the medium before it is done. */
    queued(3, true, 0, 1);
    table(0, 3)[7] |= 0x80;
    piece(0, 3, DATA, 512);
    issue_queued(8);
    fake_disk_complete(&disk, 0);
    ck_assert_uint_eq(pget(0, SACT), 8);
    fake_disk_complete(&disk, 0);
    ck_assert_uint_eq(pget(0, SACT), 0);
    ck_assert_uint_eq(disk.flushes, 2);
}
END_TEST

/* One that fails ends all; log 10h says which it was; the port runs until all came back. */
START_TEST(queue_error)
{
    uint8_t sum = 0;

    start(0);
    disk.bad = 17;
    for (unsigned n = 0; n < 4; n++) {
        queued(n, false, n * 8, 8);
        piece(0, n, DATA + n * 0x1000, 4096);
    }
    issue_queued(15);
    fake_disk_complete(&disk, 2);
    ck_assert_uint_eq(acknowledge(0), SDBS | TFES);
    ck_assert_uint_eq(pget(0, SACT), 15);
    ck_assert_uint_eq(pget(0, TFD), 0x4051);
    ck_assert_uint_eq(received(0, 0x58)[2], 0x51);
    pset(0, CMD, FRE);
    ck_assert_uint_eq(pget(0, SACT), 0);
    ck_assert_uint_eq(pget(0, CMD) & CR, CR);
    fake_disk_complete(&disk, 0);
    fake_disk_complete(&disk, 0);
    ck_assert_uint_eq(pget(0, CMD) & CR, CR);
    fake_disk_complete(&disk, 0);
    ck_assert_uint_eq(pget(0, CMD) & CR, 0);
    ck_assert_uint_eq(pget(0, PIS), 0);

    start(0);
    command(0, 0, 0x2F, 0x10, 1);
    piece(0, 0, DATA, 512);
    pset(0, CI, 1);
    ck_assert_uint_eq(pget(0, TFD), 0x50);
    ck_assert_uint_eq(ram[DATA], 2);
    ck_assert_uint_eq(ram[DATA + 2], 0x51);
    ck_assert_uint_eq(ram[DATA + 3], 0x40);
    ck_assert_uint_eq(ram[DATA + 4], 16);
    for (unsigned i = 0; i < 512; i++)
        sum += ram[DATA + i];
    ck_assert_uint_eq(sum, 0);

    /* What can't be done is refused; what can't be moved stops the port. */
    acknowledge(0);
    queued(5, false, STORED / 512 - 1, 2);
    piece(0, 5, DATA, 1024);
    issue_queued(1u << 5);
    ck_assert_uint_eq(acknowledge(0), SDBS | TFES);
    ck_assert_uint_eq(pget(0, TFD) >> 8, 0x10);
    pset(0, CMD, FRE);
    start(0);
    queued(5, false, 0, 2);
    piece(0, 5, RAM - 512, 1024);
    issue_queued(1u << 5);
    ck_assert_uint_eq(acknowledge(0), HBFS);
    pset(0, CMD, FRE);
    start(0);
    queued(5, false, 0, 2);
    piece(0, 5, DATA, 512);
    issue_queued(1u << 5);
    ck_assert_uint_eq(acknowledge(0), OFS);
    ck_assert_uint_eq(disk.count, 0);
}
END_TEST

/* The link stays down while a request may still write to memory. */
START_TEST(resets)
{
    start(0);
    queued(0, false, 0, 8);
    piece(0, 0, DATA, 4096);
    issue_queued(1);
    pset(0, CMD, FRE);
    pset(0, SCTL, 1);
    pset(0, SCTL, 0);
    ck_assert_uint_eq(pget(0, SSTS), 0);
    ck_assert_uint_eq(pget(0, TFD) & 0x80, 0x80);
    fake_disk_pump(&disk);
    ck_assert_uint_eq(pget(0, SSTS), 0x123);
    ck_assert_uint_eq(pget(0, TFD), 0x0150);
    ck_assert_uint_eq(pget(0, SERR) & 0x04000000, 0x04000000);
    ck_assert_uint_eq(pget(0, PIS) & PCS, PCS);
    pset(0, SCTL, 4);
    ck_assert_uint_eq(pget(0, SSTS), 4);
    pset(0, SCTL, 0);
    ck_assert_uint_eq(pget(0, SSTS), 0x123);

    /* A soft reset: SRST by one FIS, which nothing answers, and back by another. */
    start(0);
    begin(0, 0, CLEARS)[1] = 0;
    table(0, 0)[15] = 4;
    pset(0, CI, 1);
    ck_assert_uint_eq(pget(0, CI), 0);
    memset(ram + RECEIVED, 0, 0x100);
    begin(0, 1, 0)[1] = 0;
    pset(0, CI, 2);
    ck_assert_uint_eq(pget(0, CI), 0);
    ck_assert_uint_eq(received(0, 0x40)[0], 0x34);
    ck_assert_uint_eq(received(0, 0x40)[12], 1);
    ck_assert_uint_eq(pget(0, TFD), 0x0150);

    queued(0, false, 0, 8);
    piece(0, 0, DATA, 4096);
    issue_queued(1);
    set(GHC, 1);
    ck_assert_uint_eq(get(GHC), 0x80000001);
    fake_disk_pump(&disk);
    ck_assert_uint_eq(get(GHC), 0x80000000);
    ck_assert_uint_eq(pget(0, CLB), LIST);
    ck_assert_uint_eq(pget(0, CMD), 6);
    ck_assert_uint_eq(pget(0, SSTS), 0x123);
    ahci_class.reset(ahci);
    enable(DEVFN, BASE);
    ck_assert_uint_eq(pget(0, CLB), 0);
    ck_assert_uint_eq(pget(0, SSTS), 0x123);
}
END_TEST

static void send_packet(uint8_t features, const uint8_t *packet, uint32_t size)
{
    uint8_t *fis = begin(3, 0, PACKET);

    fis[2] = 0xA0;
    fis[3] = features;
    fis[5] = 0;
    fis[6] = 0x80;
    memcpy(table(3, 0) + 0x40, packet, 12);
    piece(3, 0, DATA, size);
    pset(3, CI, 1);
    fake_disk_pump(&disc);
}

START_TEST(packets)
{
    static const uint8_t inquiry[12] = {0x12, 0, 0, 0, 36}, read[12] = {0x28, 0, 0, 0, 0, 3, 0, 0, 20},
                         beyond[12] = {0x28, 0, 0, 0xFF, 0xFF, 3, 0, 0, 20}, sense[12] = {3, 0, 0, 0, 18};

    start(3);
    send_packet(0, inquiry, 36);
    ck_assert_uint_eq(pget(3, CI), 0);
    ck_assert_uint_eq(ram[DATA], 5);
    ck_assert_uint_eq(moved(3, 0), 36);
    ck_assert_uint_eq(acknowledge(3), PSS | DHRS);
    send_packet(1, read, 20 * 2048); /* the first is told of the reset */
    ck_assert_uint_eq(acknowledge(3), TFES | DHRS);
    pset(3, CMD, FRE);
    start(3);
    for (unsigned by_dma = 0; by_dma < 2; by_dma++) {
        memset(ram + DATA, 0, 20 * 2048);
        send_packet((uint8_t)by_dma, read, 20 * 2048);
        ck_assert(!memcmp(ram + DATA, disc.data + 3 * 2048, 20 * 2048));
        ck_assert_uint_eq(moved(3, 0), 20 * 2048);
        ck_assert_uint_eq(acknowledge(3), DHRS | (by_dma ? 0 : PSS));
    }
    send_packet(1, beyond, 20 * 2048);
    ck_assert_uint_eq(pget(3, TFD), 0x5451);
    ck_assert_uint_eq(acknowledge(3), TFES | DHRS);
    pset(3, CMD, FRE);
    start(3);
    send_packet(0, sense, 18);
    ck_assert_uint_eq(ram[DATA + 2], 5);
    ck_assert_uint_eq(ram[DATA + 12], 0x21);
}
END_TEST

START_TEST(trim)
{
    uint64_t ranges[64] = {16ull | 8ull << 48, 100ull | 1ull << 48, 0};

    start(0);
    memcpy(ram + DATA, ranges, sizeof(ranges));
    command(0, WRITES, 0x06, 0, 1)[3] = 1;
    piece(0, 0, DATA, 512);
    pset(0, CI, 1);
    fake_disk_pump(&disk);
    ck_assert_uint_eq(pget(0, CI), 0);
    ck_assert_uint_eq(disk.discards, 2);
    ck_assert_uint_eq(acknowledge(0), DHRS);
    for (unsigned i = 0; i < 4096; i++)
        ck_assert_uint_eq(disk.data[16 * 512 + i], 0);
    ranges[1] = (STORED / 512 - 1) | 2ull << 48;
    memcpy(ram + DATA, ranges, sizeof(ranges));
    pset(0, CI, 1);
    fake_disk_pump(&disk);
    ck_assert_uint_eq(acknowledge(0), DHRS | TFES);
}
END_TEST

/* A message for each time that the port begins to show in IS. */
START_TEST(by_message)
{
    unsigned at = pci_config_read(pci, 0, DEVFN, PCI_CAPABILITIES, 1);

    ck_assert_uint_eq(pci_config_read(pci, 0, DEVFN, at, 1), 5);
    pci_config_write(pci, 0, DEVFN, at + 4, 0xFEE01000, 4);
    pci_config_write(pci, 0, DEVFN, at + 12, 0x4055, 2);
    pci_config_write(pci, 0, DEVFN, at + 2, 1, 2);
    start(0);
    for (unsigned n = 0; n < 3; n++) {
        queued(n, false, 0, 1);
        piece(0, n, DATA, 512);
    }
    issue_queued(7);
    fake_disk_complete(&disk, 0);
    ck_assert_uint_eq(messages, 1);
    fake_disk_complete(&disk, 0);
    ck_assert_uint_eq(messages, 1);
    pset(0, PIS, UINT32_MAX);
    fake_disk_complete(&disk, 0); /* between the two steps of the driver */
    ck_assert_uint_eq(messages, 1);
    set(IS, 1);
    ck_assert_uint_eq(messages, 2);
    ck_assert_uint_eq(acknowledge(0), SDBS);
    ck_assert_uint_eq(messages, 2);
    ck_assert(!line.level && !line.rises);
}
END_TEST

/* Saved halfway, everything is done by the one that loads it. */
START_TEST(state)
{
    struct ahci *first = ahci;

    start(0);
    for (unsigned n = 0; n < 3; n++) {
        queued(n, false, n * 8, 8);
        piece(0, n, DATA + n * 0x1000, 4096);
    }
    issue_queued(7);
    fake_disk_complete(&disk, 1);
    other = new_controller(8, false);
    ck_assert(ahci_attach_disk(other, 0, &disk.block));
    ck_assert(ahci_attach_cdrom(other, 3, &slot));
    pci_config_write(pci, 0, DEVFN, PCI_COMMAND, 0, 2);
    pci_config_write(pci, 0, DEVFN, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
    board_copy_state(&ahci_class, first, other);
    ck_assert_uint_eq(disk.count, 4);
    while (disk.count > 2)
        fake_disk_complete(&disk, 0);
    memset(ram + DATA, 0, 0x3000);
    fake_disk_pump(&disk);
    ck_assert(!memcmp(ram + DATA, disk.data, 4096));
    ck_assert(!memcmp(ram + DATA + 0x2000, disk.data + 0x2000, 4096));
    ck_assert_uint_eq(pget(0, SACT), 0);
}
END_TEST

/* A FIS, a header or a register of no sense at all, often enough. */
START_TEST(nonsense)
{
    static const uint8_t opcodes[] = {0x60, 0x61, 0x25, 0x35, 0xEC, 0xA0, 0x06,
                                      0x2F, 0x90, 0x20, 0x30, 0xE6, 0x08};

    start(0);
    start(3);
    for (unsigned i = 0; i < 200000; i++) {
        uint32_t r = board_random(&board), s = board_random(&board);
        unsigned port = r & 1 ? 3 : 0, n = r >> 1 & 31;

        switch (r >> 8 & 7) {
        case 0:
            pset(port, s & 0x7C, s >> 8 & 1 ? s : 1u << (s >> 9 & 31));
            break;
        case 1:
            memcpy(table(port, n) + (r >> 16 & 0xFC), &s, 4);
            break;
        case 2:
            begin(port, n, s & 0x7E0);
            table(port, n)[2] = opcodes[(r >> 16) % sizeof(opcodes)];
            table(port, n)[3] = 1 + (r >> 24 & 3);
            table(port, n)[12] = (uint8_t)(n << 3);
            table(port, n)[7] = s >> 11 & 0xE0;
            piece(port, n, s % RAM, (s >> 20 & 0xFFF) + 1);
            piece(port, n, board_random(&board) % RAM, 4096);
            pset(port, SACT, 1u << n);
            pset(port, CI, 1u << n);
            break;
        case 3:
            fake_disk_complete(port ? &disc : &disk, s % 4);
            break;
        case 4:
            pset(port, CI, s & board_random(&board));
            break;
        case 5:
            if (r >> 16 & 7)
                break;
            pset(port, CMD, 0);
            fake_disk_pump(port ? &disc : &disk);
            pset(port, SCTL, 1);
            pset(port, SCTL, 0);
            start(port);
            break;
        case 6:
            set(s & 0x3C, (s >> 8 & 0xFF) == 1 ? board_random(&board) : 2);
            break;
        default:
            bus_read(board.mem, BASE + (s & 0x7FF), 1u << (s >> 11 & 3));
        }
    }
    fake_disk_pump(&disk);
    fake_disk_pump(&disc);
    set(GHC, 1);
    ck_assert_uint_eq(get(GHC), 0x80000000);
    ahci_class.reset(ahci);
    enable(DEVFN, BASE);
    start(0);
    command(0, 0, 0xEC, 0, 0);
    piece(0, 0, DATA, 512);
    pset(0, CI, 1);
    ck_assert_uint_eq(pget(0, TFD), 0x50);
}
END_TEST

Suite *ahci_suite(void)
{
    Suite *suite = suite_create("ahci");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, what_is_there);
    tcase_add_test(tc, identify);
    tcase_add_test(tc, dma);
    tcase_add_test(tc, errors);
    tcase_add_test(tc, queue);
    tcase_add_test(tc, queue_error);
    tcase_add_test(tc, resets);
    tcase_add_test(tc, packets);
    tcase_add_test(tc, trim);
    tcase_add_test(tc, by_message);
    tcase_add_test(tc, state);
    tcase_add_test(tc, nonsense);
    suite_add_tcase(suite, tc);
    return suite;
}
