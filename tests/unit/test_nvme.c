/* The NVMe controller by its registers and queues. Section numbers: NVM Express 1.4. */
#include "devices/nvme.h"
#include "devices/pci.h"
#include "tests/unit/board.h"
#include "tests/unit/fake_disk.h"

#define BASE   0xFEB00000u
#define DEVFN  PCI_DEVFN(8, 0)
#define RAM    0x200000u
#define STORED (1024u * 1024)

#define CAP  0x00
#define CC   0x14
#define CSTS 0x1C
#define AQA  0x24
#define ASQ  0x28
#define ACQ  0x30

#define ADMIN_SQ 0x10000u
#define ADMIN_CQ 0x11000u
#define IO_SQ    0x12000u
#define IO_CQ    0x13000u
#define LIST     0x20000u
#define DATA     0x100000u
#define DEPTH    16u /* entries of each queue */

#define SUCCESS 0x0000
#define DNR     0x4000

static struct board board;
static struct line line;
static struct pci_bus *pci;
static struct nvme *nvme, *other;
static struct fake_disk disk;
static uint8_t *ram;
static unsigned messages[32];
static bool orderly; /* completions say what they should */
static struct queue {
    uint64_t sq, cq;
    unsigned number, tail, head;
    bool phase;
} admin, io;

static void on_message(void *opaque, uint64_t address, uint32_t data)
{
    (void)opaque;
    (void)address;
    ck_assert_uint_lt(data, 32);
    messages[data]++;
}

static uint32_t get(unsigned reg)
{
    return (uint32_t)bus_read(board.mem, BASE + reg, 4);
}

static void set(unsigned reg, uint32_t value)
{
    bus_write(board.mem, BASE + reg, value, 4);
}

static void enable_function(void)
{
    pci_config_write(pci, 0, DEVFN, PCI_BAR(0), BASE, 4);
    pci_config_write(pci, 0, DEVFN, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
}

static struct nvme *new_controller(unsigned slot)
{
    const struct nvme_wires wires = {.pci = pci,
                                     .slot = slot,
                                     .memory = board.mem,
                                     .irq = line_irq(&line),
                                     .disk = &disk.block,
                                     .number = 3,
                                     .log = &board.log};
    struct nvme *made = nvme_new(&wires);

    ck_assert(made != NULL);
    return made;
}

/* Enables it with empty admin queues. */
static void start(void)
{
    admin = (struct queue){ADMIN_SQ, ADMIN_CQ, 0, 0, 0, true};
    io = (struct queue){IO_SQ, IO_CQ, 1, 0, 0, true};
    memset(ram + ADMIN_SQ, 0, 0x4000);
    set(AQA, (DEPTH - 1) << 16 | (DEPTH - 1));
    bus_write(board.mem, BASE + ASQ, ADMIN_SQ, 8);
    bus_write(board.mem, BASE + ACQ, ADMIN_CQ, 8);
    set(CC, 0x00460001);
    ck_assert_uint_eq(get(CSTS), 1);
}

static void setup(void)
{
    board_init(&board);
    memset(messages, 0, sizeof(messages));
    line = (struct line){.board = &board};
    pci = pci_bus_new(&board.log);
    pci_bus_on_message(pci, on_message, NULL);
    ram = calloc(1, RAM);
    ck_assert(bus_map_ram(board.mem, "ram", 0, RAM, ram) != NULL);
    fake_disk_init(&disk, STORED);
    nvme = new_controller(8);
    other = NULL;
    orderly = true;
    enable_function();
}

static void teardown(void)
{
    fake_disk_pump(&disk);
    nvme_class.free(nvme);
    nvme_class.free(other);
    pci_bus_free(pci);
    board_free(&board);
    free(disk.data);
    free(ram);
}

struct entry {
    uint32_t word[16];
};

/* A command at the queue's tail, not yet announced; its id is its place. */
static struct entry *put(struct queue *queue, uint8_t opcode, uint64_t prp1, uint64_t prp2)
{
    struct entry *entry = (struct entry *)(ram + queue->sq + 64 * queue->tail);

    memset(entry, 0, sizeof(*entry));
    entry->word[0] = opcode | queue->tail << 16;
    entry->word[1] = queue->number;
    memcpy(&entry->word[6], &prp1, 8);
    memcpy(&entry->word[8], &prp2, 8);
    queue->tail = (queue->tail + 1) % DEPTH;
    return entry;
}

static void ring(const struct queue *queue)
{
    set(0x1000 + 8 * queue->number, queue->tail);
}

/* The next completion: its status, DNR included; -1: there is none. */
static int take(struct queue *queue, uint16_t *id, uint32_t *result)
{
    uint32_t entry[4];

    memcpy(entry, ram + queue->cq + 16 * queue->head, 16);
    if ((entry[3] >> 16 & 1) != queue->phase)
        return -1;
    if (id)
        *id = (uint16_t)entry[3];
    if (result)
        *result = entry[0];
    ck_assert(!orderly || entry[2] >> 16 == queue->number);
    if (++queue->head == DEPTH) {
        queue->head = 0;
        queue->phase = !queue->phase;
    }
    set(0x1004 + 8 * queue->number, queue->head);
    return (int)(entry[3] >> 17);
}

/* An admin command that ends at once. */
static int run_admin(uint8_t opcode, uint64_t prp1, uint32_t word10, uint32_t word11, uint32_t *result)
{
    struct entry *entry = put(&admin, opcode, prp1, 0);

    entry->word[1] = opcode == 6 && (word10 & 0xFF) == 0;
    entry->word[10] = word10;
    entry->word[11] = word11;
    ring(&admin);
    return take(&admin, NULL, result);
}

static void make_io(unsigned vector)
{
    ck_assert_int_eq(run_admin(5, IO_CQ, (DEPTH - 1) << 16 | 1, vector << 16 | 3, NULL), SUCCESS);
    ck_assert_int_eq(run_admin(1, IO_SQ, (DEPTH - 1) << 16 | 1, 1 << 16 | 1, NULL), SUCCESS);
}

static struct entry *put_transfer(bool write, uint64_t lba, uint32_t sectors, uint64_t prp1, uint64_t prp2)
{
    struct entry *entry = put(&io, write ? 1 : 2, prp1, prp2);

    memcpy(&entry->word[10], &lba, 8);
    entry->word[12] = sectors - 1;
    return entry;
}

/* An I/O command from beginning to end. */
static int run_transfer(bool write, uint64_t lba, uint32_t sectors, uint64_t prp1, uint64_t prp2)
{
    put_transfer(write, lba, sectors, prp1, prp2);
    ring(&io);
    fake_disk_pump(&disk);
    return take(&io, NULL, NULL);
}

START_TEST(registers)
{
    ck_assert_uint_eq(pci_config_read(pci, 0, DEVFN, PCI_REVISION, 4) >> 8, 0x010802);
    ck_assert_uint_eq(bus_read(board.mem, BASE + CAP, 8) & 0x00F0000F0001FFFF, 0x103FF);
    ck_assert_uint_eq(get(CAP + 4) & 0xFF, 0x20);
    ck_assert_uint_eq(get(0x08), 0x00010400);
    ck_assert_uint_eq(get(CSTS), 0);
    set(0x0C, 0x81);
    ck_assert_uint_eq(get(0x0C), 0x81);
    set(0x10, 0x80);
    ck_assert_uint_eq(get(0x10), 0x01);
    start();
    set(ASQ, 0x5000); /* not while it is enabled */
    ck_assert_uint_eq(get(ASQ), ADMIN_SQ);
    set(CC, 0);
    ck_assert_uint_eq(get(CSTS), 0);
    set(CC, 0x00460081); /* pages of 8 KiB */
    ck_assert_uint_eq(get(CSTS), 2);
    set(CC, 0);
    ck_assert_uint_eq(get(CSTS), 0);
    start();
    set(CC, 0x00464001); /* shut down */
    ck_assert_uint_eq(get(CSTS), 5);
    fake_disk_pump(&disk);
    ck_assert_uint_eq(get(CSTS), 9);
    ck_assert_uint_eq(disk.flushes, 1);
}
END_TEST

START_TEST(identify)
{
    uint64_t sectors;

    start();
    ck_assert_int_eq(run_admin(6, DATA, 1, 0, NULL), SUCCESS);
    ck_assert(!memcmp(ram + DATA + 4, "OX00000203 ", 11));
    ck_assert_uint_eq(ram[DATA + 512], 0x66);
    ck_assert_uint_eq(ram[DATA + 513], 0x44);
    ck_assert_uint_eq(ram[DATA + 516], 1);
    ck_assert_uint_eq(ram[DATA + 520], 0x0C);
    ck_assert_int_eq(run_admin(6, DATA, 0, 0, NULL), SUCCESS);
    memcpy(&sectors, ram + DATA, 8);
    ck_assert_uint_eq(sectors, STORED / 512);
    ck_assert_uint_eq(ram[DATA + 130], 9);
    ck_assert_int_eq(run_admin(6, DATA, 2, 0, NULL), SUCCESS);
    ck_assert_uint_eq(ram[DATA], 1);
    ck_assert_int_eq(run_admin(6, DATA, 0x44, 0, NULL), 0x02 | DNR);
    ck_assert_int_eq(run_admin(6, 0x80000000, 1, 0, NULL), 0x04);
    ck_assert_int_eq(run_admin(0x55, DATA, 1, 0, NULL), 0x01 | DNR);
    /* A page that isn't one page: it needs PRP entry 2, which lies at 0 here. */
    ck_assert_int_eq(run_admin(6, DATA + 0x800, 1, 0, NULL), SUCCESS);
    ck_assert(!memcmp(ram + DATA + 0x804, "OX00000203 ", 11));

    /* The errors are in the log, and were counted. */
    ck_assert_int_eq(run_admin(2, DATA, (128 - 1) << 16 | 1, 0, NULL), SUCCESS);
    ck_assert_uint_eq(ram[DATA], 3);
    ck_assert_uint_eq(ram[DATA + 12] | ram[DATA + 13] << 8, (0x01 | DNR) << 1);
    ck_assert_uint_eq(ram[DATA + 64], 2);
    ck_assert_int_eq(run_admin(2, DATA, (128 - 1) << 16 | 2, 0, NULL), SUCCESS);
    ck_assert_uint_eq(ram[DATA + 176], 3);
    ck_assert_int_eq(run_admin(2, DATA, (128 - 1) << 16 | 0x77, 0, NULL), 0x109 | DNR);
}
END_TEST

START_TEST(queues)
{
    start();
    ck_assert_int_eq(run_admin(1, IO_SQ, 15 << 16 | 1, 1 << 16 | 1, NULL), 0x100 | DNR); /* no CQ */
    ck_assert_int_eq(run_admin(5, IO_CQ, 15 << 16 | 0, 3, NULL), 0x101 | DNR);
    ck_assert_int_eq(run_admin(5, IO_CQ, 15 << 16 | 40, 3, NULL), 0x101 | DNR);
    ck_assert_int_eq(run_admin(5, IO_CQ, 1, 3, NULL), 0x102 | DNR);
    ck_assert_int_eq(run_admin(5, IO_CQ, 15 << 16 | 1, 0x630003, NULL), 0x108 | DNR);
    ck_assert_int_eq(run_admin(5, IO_CQ, 15 << 16 | 1, 2, NULL), 0x02 | DNR);
    make_io(0);
    ck_assert_int_eq(run_admin(4, 0, 1, 0, NULL), 0x10C | DNR); /* somebody uses it */
    /* A deletion waits for what is with the medium, which then isn't told. */
    put_transfer(false, 0, 8, DATA, 0);
    ring(&io);
    ck_assert_int_eq(run_admin(0, 0, 1, 0, NULL), -1);
    fake_disk_pump(&disk);
    ck_assert_int_eq(take(&admin, NULL, NULL), SUCCESS);
    ck_assert_int_eq(take(&io, NULL, NULL), -1);
    ck_assert_int_eq(run_admin(0, 0, 1, 0, NULL), 0x101 | DNR);
    ck_assert_int_eq(run_admin(4, 0, 1, 0, NULL), SUCCESS);
}
END_TEST

START_TEST(transfers)
{
    uint64_t list[512] = {0};

    start();
    make_io(0);
    ck_assert_int_eq(run_transfer(false, 3, 8, DATA, 0), SUCCESS);
    ck_assert(!memcmp(ram + DATA, disk.data + 3 * 512, 4096));
    /* From within a page, into a second one. */
    ck_assert_int_eq(run_transfer(false, 7, 8, DATA + 0x204, DATA + 0x8000), SUCCESS);
    ck_assert(!memcmp(ram + DATA + 0x204, disk.data + 7 * 512, 4096 - 0x204));
    ck_assert(!memcmp(ram + DATA + 0x8000, disk.data + 7 * 512 + 4096 - 0x204, 0x204));
    ck_assert_int_eq(run_transfer(false, 7, 8, DATA + 0x204, DATA + 0x8200), 0x13 | DNR);
    ck_assert_int_eq(run_transfer(false, 7, 8, DATA + 2, DATA + 0x8000), 0x13 | DNR);

    /* A list in the last places of a page, whose end leads to the next. */
    for (unsigned n = 0; n < 20; n++)
        list[n < 3 ? 508 + n : n - 3] = DATA + 0x40000 + (n ^ 1) * 4096;
    list[511] = LIST + 0x1000;
    memcpy(ram + LIST, list, 4096);
    memcpy(ram + LIST + 0x1000, list, 4096);
    ck_assert_int_eq(run_transfer(true, 0, 21 * 8, DATA, LIST + 508 * 8), SUCCESS);
    ck_assert(!memcmp(ram + DATA, disk.data, 4096));
    for (unsigned n = 0; n < 20; n++)
        ck_assert(!memcmp(ram + DATA + 0x40000 + (n ^ 1) * 4096, disk.data + (n + 1) * 4096, 4096));
    ck_assert_int_eq(run_transfer(true, 0, 21 * 8, DATA, LIST + 4), 0x13 | DNR);
    ck_assert_int_eq(run_transfer(true, 0, 21 * 8, DATA, RAM), 0x04);
    memset(ram + LIST, 0xFF, 4096);
    ck_assert_int_eq(run_transfer(true, 0, 21 * 8, DATA, LIST), 0x13 | DNR);

    ck_assert_int_eq(run_transfer(true, STORED / 512 - 1, 2, DATA, 0), 0x80 | DNR);
    ck_assert_int_eq(run_transfer(true, UINT64_MAX, 2, DATA, 0), 0x80 | DNR);
    put_transfer(true, 0, 1, DATA, 0)->word[1] = 2;
    ring(&io);
    ck_assert_int_eq(take(&io, NULL, NULL), 0x0B | DNR);
    disk.bad = 5;
    ck_assert_int_eq(run_transfer(false, 0, 8, DATA, 0), 0x281);
    ck_assert_int_eq(run_transfer(true, 0, 8, DATA, 0), 0x280);
    disk.block.read_only = true;
    ck_assert_int_eq(run_transfer(true, 0, 1, DATA, 0), 0x20 | DNR);
}
END_TEST

START_TEST(other_commands)
{
    uint32_t ranges[8] = {0, 8, 16, 0, 0, 2, 100, 0};
    struct entry *entry;

    start();
    make_io(0);
    put(&io, 0, 0, 0)->word[1] = UINT32_MAX; /* flush */
    ring(&io);
    fake_disk_pump(&disk);
    ck_assert_int_eq(take(&io, NULL, NULL), SUCCESS);
    ck_assert_uint_eq(disk.flushes, 1);
    put_transfer(true, 0, 8, DATA, 0)->word[12] |= 0x40000000; /* FUA */
    ring(&io);
    ck_assert(fake_disk_complete(&disk, 0));
    ck_assert_int_eq(take(&io, NULL, NULL), -1);
    fake_disk_pump(&disk);
    ck_assert_int_eq(take(&io, NULL, NULL), SUCCESS);
    ck_assert_uint_eq(disk.flushes, 2);
    ck_assert_int_eq(run_admin(9, 0, 6, 0, NULL), SUCCESS); /* no volatile cache */
    ck_assert_int_eq(run_transfer(true, 0, 8, DATA, 0), SUCCESS);
    ck_assert_uint_eq(disk.flushes, 3);
    ck_assert_int_eq(run_admin(9, 0, 6, 1, NULL), SUCCESS);

    entry = put(&io, 8, 0, 0); /* write zeroes: up to 32 MiB, without data */
    entry->word[10] = 40;
    entry->word[12] = 1999;
    ring(&io);
    fake_disk_pump(&disk);
    ck_assert_int_eq(take(&io, NULL, NULL), SUCCESS);
    ck_assert(!disk.data[40 * 512] && !disk.data[2039 * 512 + 511] && disk.data[2040 * 512 + 1]);

    memcpy(ram + DATA + 0xFF0, ranges, 16);
    memcpy(ram + DATA + 0x3000, ranges + 4, 16);
    entry = put(&io, 9, DATA + 0xFF0, DATA + 0x3000);
    entry->word[10] = 1;
    entry->word[11] = 4;
    ring(&io);
    fake_disk_pump(&disk);
    ck_assert_int_eq(take(&io, NULL, NULL), SUCCESS);
    ck_assert_uint_eq(disk.discards, 2);
    ck_assert(!disk.data[16 * 512] && !disk.data[24 * 512 - 1]);
}
END_TEST

/* As many as fit; the controller waits for the driver to read completions, in any order of the medium. */
START_TEST(many)
{
    unsigned seen = 0;
    uint16_t id;

    start();
    make_io(0);
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned n = 0; n < DEPTH - 1; n++)
            put_transfer(false, n * 8, 8, DATA + n * 0x1000, 0);
        ring(&io);
        ck_assert_uint_eq(disk.count, DEPTH - 1);
        while (disk.count)
            fake_disk_complete(&disk, (disk.count - 1) / 2);
        ck_assert(line.level);
        if (round == 0) { /* the queue is full: these two have to wait */
            put_transfer(false, 0, 8, DATA, 0);
            put_transfer(false, 0, 8, DATA, 0);
            ring(&io);
            fake_disk_pump(&disk);
        }
        for (unsigned n = 0; n < DEPTH - 1 + (round ? 0 : 2); n++) {
            ck_assert_int_eq(take(&io, &id, NULL), SUCCESS);
            seen += id;
        }
        ck_assert_int_eq(take(&io, &id, NULL), -1);
        ck_assert(!line.level);
    }
    ck_assert_uint_gt(seen, 0);
}
END_TEST

START_TEST(by_message)
{
    unsigned at = pci_config_read(pci, 0, DEVFN, PCI_CAPABILITIES, 1);

    ck_assert_uint_eq(pci_config_read(pci, 0, DEVFN, at, 1), 0x11);
    for (unsigned n = 0; n < 17; n++) {
        bus_write(board.mem, BASE + 0x2000 + 16 * n, 0xFEE00000, 4);
        bus_write(board.mem, BASE + 0x2008 + 16 * n, n, 4);
        bus_write(board.mem, BASE + 0x200C + 16 * n, 0, 4);
    }
    pci_config_write(pci, 0, DEVFN, at + 2, 0x8000, 2);
    start();
    make_io(5);
    ck_assert_uint_eq(messages[0], 2);
    ck_assert_int_eq(run_transfer(false, 0, 8, DATA, 0), SUCCESS);
    ck_assert_int_eq(run_transfer(false, 0, 8, DATA, 0), SUCCESS);
    ck_assert_uint_eq(messages[5], 2);
    ck_assert(!line.rises);
}
END_TEST

START_TEST(features_and_events)
{
    uint32_t result;

    start();
    ck_assert_int_eq(run_admin(9, 0, 7, 0x00050005, &result), SUCCESS);
    ck_assert_uint_eq(result, 0x000F000F);
    ck_assert_int_eq(run_admin(0x0A, 0, 6, 0, &result), SUCCESS);
    ck_assert_uint_eq(result, 1);
    ck_assert_int_eq(run_admin(0x0A, 0, 0x55, 0, &result), 0x02 | DNR);
    ck_assert_int_eq(run_admin(9, 0, 0x80000006, 0, &result), 0x10D | DNR);
    ck_assert_int_eq(run_admin(8, 0, 0, 0, &result), SUCCESS); /* abort: it was not */
    ck_assert_uint_eq(result, 1);

    /* Requests for events are held; one too many isn't. */
    for (unsigned n = 0; n < 4; n++)
        ck_assert_int_eq(run_admin(0x0C, 0, 0, 0, NULL), -1);
    ck_assert_int_eq(run_admin(0x0C, 0, 0, 0, NULL), 0x105 | DNR);
    set(0x1000 + 8 * 9, 1); /* there is no such queue */
    ck_assert_int_eq(take(&admin, NULL, &result), SUCCESS);
    ck_assert_uint_eq(result, 0x00010000);
    set(0x1000, 99); /* no such entry: not told until the log was read */
    ck_assert_int_eq(take(&admin, NULL, &result), -1);
    ck_assert_int_eq(run_admin(2, DATA, 15 << 16 | 1, 0, &result), SUCCESS);
    ck_assert_uint_eq(result, 0x00010100); /* of the event, the log's comes next */
    ck_assert_int_eq(take(&admin, NULL, &result), SUCCESS);
    ck_assert_uint_eq(get(CSTS), 1);
}
END_TEST

/* Nothing is written to memory after the controller says that it is disabled. */
START_TEST(resets)
{
    start();
    make_io(0);
    put_transfer(false, 0, 8, DATA, 0);
    ring(&io);
    set(CC, 0);
    ck_assert_uint_eq(get(CSTS), 1);
    set(CC, 0x00460001); /* too early */
    ck_assert_uint_eq(get(CC) & 1, 0);
    fake_disk_pump(&disk);
    ck_assert_uint_eq(get(CSTS), 0);
    ck_assert_int_eq(take(&io, NULL, NULL), -1);
    start();
    ck_assert_int_eq(run_admin(6, DATA, 1, 0, NULL), SUCCESS);
    /* Queues in no memory stop it. */
    set(CC, 0);
    bus_write(board.mem, BASE + ASQ, 0x80000000, 8);
    set(CC, 0x00460001);
    set(0x1000, 1);
    ck_assert_uint_eq(get(CSTS) & 2, 2);
    nvme_class.reset(nvme);
    enable_function();
    ck_assert_uint_eq(get(CSTS), 0);
    start();
    ck_assert_int_eq(run_admin(6, DATA, 1, 0, NULL), SUCCESS);
}
END_TEST

START_TEST(state)
{
    uint16_t id;

    start();
    make_io(0);
    for (unsigned n = 0; n < 3; n++)
        put_transfer(false, n * 8, 8, DATA + n * 0x1000, 0);
    ring(&io);
    fake_disk_complete(&disk, 1);
    other = new_controller(9);
    pci_config_write(pci, 0, DEVFN, PCI_COMMAND, 0, 2);
    board_copy_state(&nvme_class, nvme, other);
    pci_config_write(pci, 0, PCI_DEVFN(9, 0), PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
    pci_config_write(pci, 0, PCI_DEVFN(9, 0), PCI_BAR(0), BASE, 4);
    ck_assert_uint_eq(disk.count, 4);
    fake_disk_complete(&disk, 2);
    fake_disk_complete(&disk, 2);
    ck_assert_int_eq(take(&io, &id, NULL), SUCCESS);
    ck_assert_uint_eq(id, 1);
    ck_assert_int_eq(take(&io, &id, NULL), SUCCESS);
    ck_assert_int_eq(take(&io, &id, NULL), SUCCESS);
    ck_assert_int_eq(take(&io, &id, NULL), -1);
    ck_assert(!memcmp(ram + DATA, disk.data, 4096));
    ck_assert(!memcmp(ram + DATA + 0x2000, disk.data + 0x2000, 4096));
}
END_TEST

START_TEST(nonsense)
{
    orderly = false;
    for (unsigned i = 0; i < 300000; i++) {
        uint32_t r = board_random(&board), s = board_random(&board);

        switch (r & 7) {
        case 0:
            set(0x1000 + (s & 0x3F) * 4, s >> 8 & (r & 8 ? 0xF : 0xFFFF));
            break;
        case 1:
            if (!(r >> 8 & 31))
                set(s & 0x3C, board_random(&board));
            break;
        case 2:
        case 3: { /* an entry that makes some sense, with some that makes none */
            struct entry *entry = put(r & 8 ? &admin : &io, s % 13, s >> 8 & 0x1FF000, LIST);
            entry->word[10] = r >> 8 & 0xF ? (r >> 12 & 3) | 15 << 16 : board_random(&board);
            entry->word[11] = r >> 16 & 3 ? 0x10003 : board_random(&board);
            entry->word[12] = r >> 18 & 0x3F;
            if (!(r >> 24 & 15))
                entry->word[r >> 28] = board_random(&board);
            ring(r & 8 ? &admin : &io);
            break;
        }
        case 4:
            fake_disk_complete(&disk, s % 3);
            break;
        case 5:
            memcpy(ram + LIST + (s & 0xFF8), (uint32_t[]){s & 0x1FF007, r >> 31}, 8);
            break;
        case 6:
            take(r & 8 ? &admin : &io, NULL, NULL);
            break;
        default:
            if (r >> 8 & 0x3F)
                break;
            set(CC, 0);
            fake_disk_pump(&disk);
            set(CC, 0);
            start();
            if (r & 8)
                run_admin(5, IO_CQ, (DEPTH - 1) << 16 | 1, 3, NULL),
                    run_admin(1, IO_SQ, 15 << 16 | 1, 0x10001, NULL);
        }
    }
    fake_disk_pump(&disk);
    nvme_class.reset(nvme);
    enable_function();
    start();
    ck_assert_int_eq(run_admin(6, DATA, 1, 0, NULL), SUCCESS);
}
END_TEST

Suite *nvme_suite(void)
{
    Suite *suite = suite_create("nvme");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, registers);
    tcase_add_test(tc, identify);
    tcase_add_test(tc, queues);
    tcase_add_test(tc, transfers);
    tcase_add_test(tc, other_commands);
    tcase_add_test(tc, many);
    tcase_add_test(tc, by_message);
    tcase_add_test(tc, features_and_events);
    tcase_add_test(tc, resets);
    tcase_add_test(tc, state);
    tcase_add_test(tc, nonsense);
    suite_add_tcase(suite, tc);
    return suite;
}
