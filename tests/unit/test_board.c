/*
 * The whole board under a guest that programs it with nonsense: random accesses to the registers of each chip
 * alone and of all at once, with disks, discs and memory behind them. Afterwards all of them answer as after
 * power-on.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "config.h"
#include "core/bus.h"
#include "machine/machine.h"

#define STEPS_ALONE    20000
#define STEPS_TOGETHER 400000
#define STEPS_A_TURN   256 /* between two turns of the event loop */
#define PATIENCE       60  /* seconds */

#define ISA_BRIDGE PCI_FUNCTION(1, 0)
#define IDE        PCI_FUNCTION(1, 1)
#define POWER      PCI_FUNCTION(1, 3)
#define ADAPTER    PCI_FUNCTION(2, 0)
#define NETWORK    PCI_FUNCTION(3, 0)
#define SATA       PCI_FUNCTION(7, 0)
#define NVME       PCI_FUNCTION(8, 0)
#define VIRTIO(n)  PCI_FUNCTION((n) ? 0xF + (n) : 9, 0) /* the disk, then the others in their order */

#define PCI_FUNCTION(slot, function) ((slot) << 3 | (function))

/* Where the chips whose place is the guest's to choose are put. */
#define BUS_MASTER   0xC000u
#define POWER_PORTS  0x600u
#define FRAME_BUFFER 0xE0000000u
#define VGA_PAGE     0xFEBF0000u
#define NET_PAGE     0xFEB00000u
#define NET_PORTS    0xC100u
#define SATA_PAGE    0xFEA00000u
#define NVME_PAGE    0xFEA04000u
#define VIRTIOS      6u
#define VIRTIO_PORTS(n) (0x8000u + (n)*0x200u)
#define VIRTIO_PAGES(n) (0xFD000000u + (n)*0x10000u)
#define VIRTIO_MSIX(n)  (VIRTIO_PAGES(n) + 0x8000u)

enum space { PORT, MEMORY, CONFIG }; /* CONFIG: `base` is the PCI function */

static const struct target {
    const char *chip; /* its class's name */
    enum space space;
    uint64_t base;
    unsigned size;
} targets[] = {
    {"lapic", MEMORY, 0xFEE00000, 0x1000},
    {"ioapic", MEMORY, 0xFEC00000, 0x60},
    {"pic", PORT, 0x20, 2},
    {"pic", PORT, 0xA0, 2},
    {"pic", PORT, 0x4D0, 2},
    {"hpet", MEMORY, 0xFED00000, 0x400},
    {"rtc", PORT, 0x70, 4},
    {"pit", PORT, 0x40, 4},
    {"pit", PORT, 0x61, 1},
    {"acpi_pm", PORT, POWER_PORTS, 0x40},
    {"acpi_pm", PORT, 0xB2, 2},
    {"acpi_pm", PORT, 0xAFE0, 4},
    {"pci_host", PORT, 0xCF8, 8},
    {"pci_host", CONFIG, PCI_FUNCTION(0, 0), 256},
    {"piix", CONFIG, ISA_BRIDGE, 256},
    {"piix_pm", CONFIG, POWER, 256},
    {"i8042", PORT, 0x60, 1},
    {"i8042", PORT, 0x64, 1},
    {"i8042", PORT, 0x92, 1},
    {"ps2-keyboard", PORT, 0x60, 1}, /* what is written there is for the keyboard */
    {"ps2-mouse", PORT, 0x60, 5},    /* and after command D4 for the mouse */
    {"dma", PORT, 0x00, 16},
    {"dma", PORT, 0x80, 16},
    {"dma", PORT, 0xC0, 32},
    {"uart", PORT, 0x3F8, 8},
    {"uart", PORT, 0x2F8, 8},
    {"uart", PORT, 0x3E8, 8},
    {"uart", PORT, 0x2E8, 8},
    {"bochs-debug", PORT, 0x8A00, 3},
    {"debug_port", PORT, 0xE9, 1},
    {"debug_port", PORT, 0x402, 1},
    {"exit-port", PORT, 0xF4, 4},
    {"test-device", PORT, 0xE0, 8},
    {"test-device", PORT, 0x2000, 32},
    {"test-device", MEMORY, 0xFF000000, 0x10000},
    {"ide", PORT, 0x1F0, 8},
    {"ide", PORT, 0x170, 8},
    {"ide", PORT, 0x3F6, 1},
    {"ide", PORT, 0x376, 1},
    {"ide", PORT, BUS_MASTER, 16},
    {"ide", CONFIG, IDE, 256},
    {"ahci", MEMORY, SATA_PAGE, 0x400},
    {"ahci", MEMORY, SATA_PAGE + 0x100, 0x80}, /* the first port */
    {"ahci", CONFIG, SATA, 256},
    {"nvme", MEMORY, NVME_PAGE, 0x38},
    {"nvme", MEMORY, NVME_PAGE + 0x1000, 0x20},  /* doorbells */
    {"nvme", MEMORY, NVME_PAGE + 0x2000, 0x900}, /* MSI-X */
    {"nvme", CONFIG, NVME, 256},
    {"virtio-blk", MEMORY, VIRTIO_PAGES(0), 0x40},
    {"virtio-blk", MEMORY, VIRTIO_PAGES(0) + 0x2000, 0x1100},
    {"virtio-blk", MEMORY, VIRTIO_MSIX(0), 0x1000},
    {"virtio-blk", PORT, VIRTIO_PORTS(0), 0x80},
    {"virtio-blk", CONFIG, VIRTIO(0), 256},
    {"virtio-rng", MEMORY, VIRTIO_PAGES(1), 0x40},
    {"virtio-rng", PORT, VIRTIO_PORTS(1), 0x80},
    {"virtio-rng", CONFIG, VIRTIO(1), 256},
    {"virtio-balloon", MEMORY, VIRTIO_PAGES(2), 0x40},
    {"virtio-balloon", MEMORY, VIRTIO_PAGES(2) + 0x2000, 0x1100},
    {"virtio-balloon", CONFIG, VIRTIO(2), 256},
    {"virtio-input", MEMORY, VIRTIO_PAGES(3), 0x40},
    {"virtio-input", CONFIG, VIRTIO(3), 256},
    {"virtio-input", MEMORY, VIRTIO_PAGES(4), 0x40},
    {"virtio-input", CONFIG, VIRTIO(4), 256},
    {"virtio-console", MEMORY, VIRTIO_PAGES(5), 0x40},
    {"virtio-console", MEMORY, VIRTIO_PAGES(5) + 0x2000, 0x1100},
    {"virtio-console", PORT, VIRTIO_PORTS(5), 0x80},
    {"virtio-console", CONFIG, VIRTIO(5), 256},
    {"fdc", PORT, 0x3F0, 6},
    {"fdc", PORT, 0x3F7, 1},
    {"parallel", PORT, 0x378, 3},
    {"vga", PORT, 0x3B0, 0x30},
    {"vga", PORT, 0x1CE, 3},
    {"vga", MEMORY, 0xA0000, 0x20000},
    {"vga", MEMORY, FRAME_BUFFER, 16 << 20},
    {"vga", MEMORY, VGA_PAGE, 0x1000},
    {"vga", CONFIG, ADAPTER, 256},
    {"fw_cfg", PORT, 0x510, 12},
    {"e1000", MEMORY, NET_PAGE, 0x20000},
    {"e1000", MEMORY, NET_PAGE, 0x400},
    {"e1000", MEMORY, NET_PAGE + 0x2800, 0x30}, /* rings: received, */
    {"e1000", MEMORY, NET_PAGE + 0x3800, 0x30}, /* and sent */
    {"e1000", PORT, NET_PORTS, 8},
    {"e1000", CONFIG, NETWORK, 256},
    {"(memory)", MEMORY, 0, 2 << 20}, /* descriptors for those that fetch them, and shadow RAM */
};

enum { TARGETS = sizeof(targets) / sizeof(*targets) };

/* What the guest finds after a reset: `before` written to `port` first (NONE: nothing), of the same size. */
#define NONE UINT64_MAX
static const struct {
    const char *what;
    enum space space;
    uint16_t port;
    uint64_t before;
    uint64_t from;
    unsigned size;
    uint32_t mask, value;
} answers[] = {
    {"host bridge", PORT, 0xCF8, 0x80000000, 0xCFC, 4, 0xFFFFFFFF, 0x12378086},
    {"ISA bridge", PORT, 0xCF8, 0x80000800, 0xCFC, 4, 0xFFFFFFFF, 0x70008086},
    {"IDE", PORT, 0xCF8, 0x80000900, 0xCFC, 4, 0xFFFFFFFF, 0x70108086},
    {"power management", PORT, 0xCF8, 0x80000B00, 0xCFC, 4, 0xFFFFFFFF, 0x71138086},
    {"graphics adapter", PORT, 0xCF8, 0x80001000, 0xCFC, 4, 0xFFFFFFFF, 0x11111234},
#ifdef HAVE_SLIRP
    {"network card", PORT, 0xCF8, 0x80001800, 0xCFC, 4, 0xFFFFFFFF, 0x100E8086},
#endif
    {"PIC's mask", PORT, 0x21, 0x5A, 0x21, 1, 0xFF, 0x5A},
    {"DMA page", PORT, 0x87, 0x3C, 0x87, 1, 0xFF, 0x3C},
    {"UART's scratch register", PORT, 0x3FF, 0xA5, 0x3FF, 1, 0xFF, 0xA5},
    {"clock's battery", PORT, 0x70, 0x0D, 0x71, 1, 0xFF, 0x80},
    {"parallel port", PORT, 0x378, 0x99, 0x378, 1, 0xFF, 0x99},
    {"first disk", PORT, 0x1F6, 0xA0, 0x1F7, 1, 0xFF, 0x50},
    {"floppy controller", PORT, 0x3F2, 0x1C, 0x3F2, 1, 0xFF, 0x1C},
    {"SATA controller", PORT, 0xCF8, 0x80003800, 0xCFC, 4, 0xFFFFFFFF, 0x29228086},
    {"NVMe controller", PORT, 0xCF8, 0x80004000, 0xCFC, 4, 0xFFFFFFFF, 0x4E561234},
    {"HPET", MEMORY, 0, NONE, 0xFED00000, 4, 0xFFFF0000, 0x80860000},
    {"virtio disk", PORT, 0xCF8, 0x80004800, 0xCFC, 4, 0xFFFFFFFF, 0x10011AF4},
    {"virtio console", PORT, 0xCF8, 0x8000A000, 0xCFC, 4, 0xFFFFFFFF, 0x10031AF4},
    {"local APIC", MEMORY, 0, NONE, 0xFEE00030, 4, 0xFF, 0x14},
};

enum { ANSWERS = sizeof(answers) / sizeof(*answers) };

enum { FILES = 6 };

struct board {
    struct options options;
    struct log log; /* silent */
    struct chardev serial;
    struct machine *m;
    uint64_t random;
    char files[FILES][32];
};

static struct board board;

static void drop(struct chardev *chr, const uint8_t *data, size_t size)
{
    (void)chr;
    (void)data;
    (void)size;
}

static void close_nothing(struct chardev *chr)
{
    (void)chr;
}

static void add_file(unsigned n, const char *option, const char *additions, off_t size)
{
    char why[200] = "", value[100];

    strcpy(board.files[n], "/tmp/oxbow-board-XXXXXX");
    int fd = mkstemp(board.files[n]);
    ck_assert(fd >= 0 && !ftruncate(fd, size));
    close(fd);
    snprintf(value, sizeof(value), "%s%s", board.files[n], additions);
    ck_assert_msg(options_set(&board.options, option, value, why, sizeof(why)), "%s", why);
}

static void setup(void)
{
    static const char *const settings[][2] = {
        {"memory", "8M"},         {"exit-device", "0xF4"}, {"test-device", "yes"},      {"serial", "none"},
        {"serial", "none"},       {"serial", "none"},      {"serial", "none"},          {"parallel", "none"},
        {"debugcon", "none"},     {"display", "none"},     {"screenshot", "/dev/null"},
        {"device", "virtio-rng"}, {"device", "virtio-balloon"}, {"device", "virtio-keyboard"},
        {"device", "virtio-tablet"}, {"device", "virtio-console,to=none"},
#ifdef HAVE_SLIRP
        {"net", "user,restrict"},
#endif
    };
    struct machine_config config = {.options = &board.options, .log = &board.log, .serial = &board.serial};
    char why[300] = "";

    memset(&board, 0, sizeof(board));
    board.random = 1;
    board.serial = (struct chardev){.write = drop, .close = close_nothing};
    options_init(&board.options);
    for (size_t n = 0; n < sizeof(settings) / sizeof(*settings); n++)
        ck_assert_msg(options_set(&board.options, settings[n][0], settings[n][1], why, sizeof(why)), "%s",
                      why);
    add_file(0, "disk", "", 8 << 20);
    add_file(1, "cdrom", "", 2 << 20);
    add_file(2, "floppy", "", 1440 << 10);
    add_file(3, "disk", ",if=ahci", 8 << 20);
    add_file(4, "disk", ",if=nvme", 8 << 20);
    add_file(5, "disk", ",if=virtio", 8 << 20);
    int status = machine_new(&config, &board.m, why, sizeof(why));
    ck_assert_msg(status == 0, "%s", why);
    pthread_mutex_lock(&board.m->lock);
    clock_start(board.m->clock);
    pthread_mutex_unlock(&board.m->lock);
}

static void teardown(void)
{
    machine_free(board.m);
    options_free(&board.options);
    for (unsigned n = 0; n < FILES; n++)
        unlink(board.files[n]);
}

static uint64_t random64(void)
{
    board.random = board.random * 6364136223846793005u + 1442695040888963407u;
    return board.random ^ board.random >> 29;
}

/* What drivers write when they go wrong: anything, and the numbers at the edges. */
static uint64_t random_value(void)
{
    uint64_t r = random64();

    switch (r >> 8 & 7) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX;
    case 2:
        return 1ull << (r & 63);
    case 3:
        return r & 15;
    case 4:
        return r & 0x1FFFFF;
    default:
        return r;
    }
}

static void configure(unsigned function, unsigned reg, uint32_t value)
{
    bus_write(board.m->ports, 0xCF8, 0x80000000 | function << 8 | reg, 4);
    bus_write(board.m->ports, 0xCFC, value, 4);
}

/* So that nonsense in configuration space doesn't leave chips out of reach for long. */
static void put_in_place(void)
{
    configure(ADAPTER, 0x10, FRAME_BUFFER);
    configure(ADAPTER, 0x18, VGA_PAGE);
    configure(ADAPTER, 0x04, 3);
    configure(NETWORK, 0x10, NET_PAGE);
    configure(NETWORK, 0x14, NET_PORTS);
    configure(NETWORK, 0x04, 7);
    configure(SATA, 0x24, SATA_PAGE);
    configure(SATA, 0x04, 6);
    configure(NVME, 0x10, NVME_PAGE);
    configure(NVME, 0x14, 0);
    configure(NVME, 0x04, 6);
    for (unsigned n = 0; n < VIRTIOS; n++) {
        configure(VIRTIO(n), 0x10, VIRTIO_PORTS(n));
        configure(VIRTIO(n), 0x14, VIRTIO_MSIX(n));
        configure(VIRTIO(n), 0x20, VIRTIO_PAGES(n));
        configure(VIRTIO(n), 0x24, 0);
        configure(VIRTIO(n), 0x04, 7);
    }
    configure(IDE, 0x20, BUS_MASTER);
    configure(IDE, 0x40, 0x80008000);
    configure(IDE, 0x04, 5);
    configure(POWER, 0x40, POWER_PORTS);
    configure(POWER, 0x80, 1);
}

static void access_at(const struct target *target)
{
    uint64_t r = random64(), addr = target->base + (r >> 16) % target->size;
    struct bus *bus = target->space == MEMORY ? board.m->memory : board.m->ports;
    unsigned size = 1u << (r >> 4) % (target->space == MEMORY ? 4 : 3);

    if (target->space == CONFIG) {
        bus_write(bus, 0xCF8, 0x80000000 | target->base << 8 | ((addr - target->base) & 0xFC), 4);
        addr = 0xCFC + (r >> 12) % (4 / size) * size;
    }
    if (r & 1)
        bus_read(bus, addr, size);
    else
        bus_write(bus, addr, random_value(), size);
}

/* Timers, and what disks have to say. */
static void turn(void)
{
    loop_kick(board.m->loop);
    loop_run_once(board.m->loop, board.m->clock, &board.m->lock);
}

/* `target` NULL: any. */
static void misuse(const struct target *target, unsigned steps)
{
    for (unsigned n = 0; n < steps; n++) {
        if (n % STEPS_A_TURN == 0) {
            turn();
            pthread_mutex_lock(&board.m->lock);
            put_in_place();
            pthread_mutex_unlock(&board.m->lock);
        }
        pthread_mutex_lock(&board.m->lock);
        access_at(target ? target : &targets[(random64() >> 16) % TARGETS]);
        pthread_mutex_unlock(&board.m->lock);
    }
}

static uint32_t ask(unsigned i)
{
    struct machine *m = board.m;
    struct bus *bus = answers[i].space == MEMORY ? m->memory : m->ports;

    pthread_mutex_lock(&m->lock);
    if (answers[i].before != NONE)
        bus_write(bus, answers[i].port, answers[i].before, answers[i].size);
    uint32_t value = (uint32_t)bus_read(bus, answers[i].from, answers[i].size) & answers[i].mask;
    pthread_mutex_unlock(&m->lock);
    return value;
}

/* A drive is busy as long as the host works on its last request. */
static void reset_and_ask(void)
{
    struct machine *m = board.m;
    uint32_t value;

    pthread_mutex_lock(&m->lock);
    for (unsigned i = 0; i < m->chip_count; i++)
        m->chips[i].class->reset(m->chips[i].device);
    pthread_mutex_unlock(&m->lock);
    for (unsigned i = 0; i < ANSWERS; i++) {
        for (time_t end = time(NULL) + PATIENCE; (value = ask(i)) != answers[i].value && time(NULL) < end;)
            turn();
        ck_assert_msg(value == answers[i].value, "%s: it answers %x", answers[i].what, value);
    }
}

START_TEST(every_chip_has_its_targets)
{
    for (unsigned i = 0; i < board.m->chip_count; i++) {
        const char *name = board.m->chips[i].class->name;
        bool found = false;

        for (unsigned n = 0; n < TARGETS; n++)
            found |= !strcmp(targets[n].chip, name);
        ck_assert_msg(found, "%s: say in targets[] where its registers are", name);
    }
    reset_and_ask();
}
END_TEST

START_TEST(each_alone)
{
    misuse(&targets[_i], STEPS_ALONE);
    reset_and_ask();
}
END_TEST

START_TEST(all_together)
{
    board.random = (uint64_t)_i + 2;
    misuse(NULL, STEPS_TOGETHER);
    reset_and_ask();
}
END_TEST

Suite *board_suite(void)
{
    Suite *suite = suite_create("board");
    TCase *tcase = tcase_create("nonsense");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, every_chip_has_its_targets);
    tcase_add_loop_test(tcase, each_alone, 0, TARGETS);
    tcase_add_loop_test(tcase, all_together, 0, 4);
    tcase_set_timeout(tcase, 120);
    suite_add_tcase(suite, tcase);
    return suite;
}
