/* The bus: who answers where, how accesses are cut, and what RAM tells about writes. */
#include "core/bus.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* A chip that remembers its last accesses and reads as the low byte of each offset. */
struct chip {
    struct bus *bus;
    unsigned reads, writes;
    struct access {
        uint64_t addr, value;
        unsigned size;
    } log[32];
};

static uint64_t chip_read(void *dev, uint64_t addr, unsigned size)
{
    struct chip *chip = dev;
    uint64_t value = 0;

    if (chip->reads < 32)
        chip->log[chip->reads] = (struct access){addr, 0, size};
    chip->reads++;
    for (unsigned i = 0; i < size; i++)
        value |= ((addr + i) & 0xff) << (8 * i);
    return value;
}

static void chip_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct chip *chip = dev;

    if (chip->writes < 32)
        chip->log[chip->writes] = (struct access){addr, value, size};
    chip->writes++;
}

static const struct bus_ops byte_ops = {chip_read, chip_write, 0};
static const struct bus_ops dword_ops = {chip_read, chip_write, 4};
static const struct bus_ops qword_ops = {chip_read, chip_write, 8};

static pthread_mutex_t lock;
static struct bus *bus;
static uint8_t *ram;
static struct chip chip, other;

#define RAM_SIZE 0x8000u

static void setup(void)
{
    pthread_mutexattr_t attr;

    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&lock, &attr);
    pthread_mutexattr_destroy(&attr);
    bus = bus_new("memory", UINT64_C(1) << 52, &lock);
    ram = calloc(1, RAM_SIZE);
    memset(&chip, 0, sizeof(chip));
    memset(&other, 0, sizeof(other));
    chip.bus = bus;
}

static void teardown(void)
{
    bus_free(bus);
    free(ram);
    pthread_mutex_destroy(&lock);
}

START_TEST(nothing_answers_with_ones)
{
    ck_assert_uint_eq(bus_read(bus, 0x1234, 1), 0xff);
    ck_assert_uint_eq(bus_read(bus, 0x1234, 4), 0xffffffff);
    ck_assert_uint_eq(bus_read(bus, UINT64_MAX - 2, 8), UINT64_MAX);
    bus_write(bus, 0x1234, 0, 8);
    ck_assert_ptr_null(bus_find(bus, 0, NULL));

    uint8_t block[8] = {0};
    bus_read_block(bus, 100, block, sizeof(block));
    for (int i = 0; i < 8; i++)
        ck_assert_uint_eq(block[i], 0xff);
}
END_TEST

START_TEST(ram_any_alignment)
{
    struct region *region = bus_map_ram(bus, "ram", 0x1000, RAM_SIZE, ram);
    uint64_t offset = 0;

    ck_assert_ptr_nonnull(region);
    bus_write(bus, 0x1003, 0x1122334455667788, 8);
    ck_assert_uint_eq(ram[3], 0x88);
    ck_assert_uint_eq(ram[10], 0x11);
    ck_assert_uint_eq(bus_read(bus, 0x1003, 8), 0x1122334455667788);
    ck_assert_uint_eq(bus_read(bus, 0x1005, 2), 0x5566);
    ck_assert_uint_eq(bus_read(bus, 0x1007, 4), 0x11223344);
    ck_assert_ptr_eq(bus_find(bus, 0x2004, &offset), region);
    ck_assert_uint_eq(offset, 0x1004);
    /* Over the end: the rest is nobody's. */
    bus_write(bus, 0x1000 + RAM_SIZE - 2, 0xaabbccdd, 4);
    ck_assert_uint_eq(bus_read(bus, 0x1000 + RAM_SIZE - 2, 4), 0xffffccdd);
    ck_assert_uint_eq(bus_read(bus, 0xfff, 2), 0x00ff);
}
END_TEST

START_TEST(refuses_broken_pages)
{
    ck_assert_ptr_null(bus_map_ram(bus, "ram", 0x1001, RAM_SIZE, ram));
    ck_assert_ptr_null(bus_map_ram(bus, "ram", 0, 100, ram));
    ck_assert_ptr_null(bus_map_ram(bus, "ram", UINT64_C(1) << 52, RAM_SIZE, ram));
    ck_assert_ptr_null(bus_first(bus));
}
END_TEST

START_TEST(rom_ignores_writes)
{
    bus_map_rom(bus, "rom", 0, RAM_SIZE, ram);
    ram[5] = 0x5a;
    bus_write(bus, 5, 0, 1);
    bus_write_block(bus, 0, "xxxxxxxx", 8);
    ck_assert_uint_eq(ram[0], 0);
    ck_assert_uint_eq(bus_read(bus, 5, 1), 0x5a);
}
END_TEST

START_TEST(dma_reaches_ram_alone)
{
    struct region *region = bus_map_ram(bus, "ram", 0, RAM_SIZE, ram);
    size_t size = 2 * RAM_SIZE;

    bus_map(bus, "chip", 0x1000, 0x100, &dword_ops, &chip);
    ck_assert_ptr_eq(bus_dma(bus, 0x800, &size), ram + 0x800);
    ck_assert_uint_eq(size, 0x800);
    size = 16;
    ck_assert_ptr_eq(bus_dma(bus, 0x1100, &size), ram + 0x1100);
    ck_assert_uint_eq(size, 16);
    ck_assert_ptr_null(bus_dma(bus, 0x1004, &size));
    ck_assert_uint_eq(size, 0);
    size = 1;
    ck_assert_ptr_null(bus_dma(bus, RAM_SIZE, &size));
    ck_assert_uint_eq(size, 0);

    /* What was written through it is dirty, up to the chip and behind it, and nothing else is. */
    for (uint64_t page = 0; page < RAM_SIZE / BUS_PAGE; page++)
        bus_take_dirty(region, page);
    bus_tracking_armed(region);
    bus_dma_written(bus, 0xff0, 0x200);
    ck_assert(bus_take_dirty(region, 0));
    ck_assert(bus_take_dirty(region, 1));
    for (uint64_t page = 2; page < RAM_SIZE / BUS_PAGE; page++)
        ck_assert(!bus_take_dirty(region, page));
}
END_TEST

START_TEST(priority_and_order)
{
    bus_map_ram(bus, "ram", 0, RAM_SIZE, ram);
    struct region *low = bus_map(bus, "chip", 0x1000, 0x100, &dword_ops, &chip);
    /* Mapped later at the same priority: it answers. */
    ck_assert_ptr_eq(bus_find(bus, 0x1000, NULL), low);
    struct region *late = bus_map(bus, "other", 0x1080, 0x100, &dword_ops, &other);
    ck_assert_ptr_eq(bus_find(bus, 0x1080, NULL), late);
    ck_assert_ptr_eq(bus_find(bus, 0x107f, NULL), low);
    /* Ranked higher, the first one covers it, and the second keeps its tail at the right offset. */
    region_set(low, 0x1000, true, 1);
    uint64_t offset = 0;
    ck_assert_ptr_eq(bus_find(bus, 0x10ff, NULL), low);
    ck_assert_ptr_eq(bus_find(bus, 0x1100, &offset), late);
    ck_assert_uint_eq(offset, 0x80);
    /* Disabled, what is under it shows again. */
    region_set(late, 0x1080, false, 0);
    ck_assert_int_eq(bus_find(bus, 0x1100, &offset)->kind, REGION_RAM);
    ck_assert_uint_eq(offset, 0x1100);
    /* Moved. */
    region_set(low, 0xfec00000, true, 0);
    ck_assert_ptr_eq(bus_find(bus, 0xfec000ff, NULL), low);
    ck_assert_int_eq(bus_find(bus, 0x1000, NULL)->kind, REGION_RAM);
    /* Beyond the end of the bus, even wrapping around 2^64, it reaches nothing. */
    region_set(low, UINT64_MAX - 0x10, true, 9);
    ck_assert_ptr_null(bus_find(bus, UINT64_MAX - 0x10, NULL));
    ck_assert_int_eq(bus_find(bus, 0, NULL)->kind, REGION_RAM);
}
END_TEST

START_TEST(wide_accesses_are_cut)
{
    bus_map(bus, "bytes", 0x1000, 0x100, &byte_ops, &chip);
    bus_map(bus, "dwords", 0x2000, 0x100, &dword_ops, &other);

    ck_assert_uint_eq(bus_read(bus, 0x1010, 4), 0x13121110);
    ck_assert_uint_eq(chip.reads, 4);
    ck_assert_uint_eq(chip.log[0].addr, 0x10);
    ck_assert_uint_eq(chip.log[3].addr, 0x13);
    bus_write(bus, 0x2008, 0x1122334455667788, 8);
    ck_assert_uint_eq(other.writes, 2);
    ck_assert_uint_eq(other.log[0].addr, 8);
    ck_assert_uint_eq(other.log[0].value, 0x55667788);
    ck_assert_uint_eq(other.log[1].addr, 12);
    ck_assert_uint_eq(other.log[1].value, 0x11223344);
    /* Narrow ones arrive as they are, and the value carries no bits beyond them. */
    bus_write(bus, 0x2001, 0xffffffffffffff42, 1);
    ck_assert_uint_eq(other.log[2].size, 1);
    ck_assert_uint_eq(other.log[2].value, 0x42);
}
END_TEST

START_TEST(border_splits_bytewise)
{
    bus_map(bus, "left", 0x1000, 0x10, &qword_ops, &chip);
    bus_map(bus, "right", 0x1010, 0x10, &qword_ops, &other);

    ck_assert_uint_eq(bus_read(bus, 0x100e, 4), 0x01000f0e);
    ck_assert_uint_eq(chip.reads, 2);
    ck_assert_uint_eq(other.reads, 2);
    ck_assert_uint_eq(chip.log[0].size, 1);
    bus_write(bus, 0x100f, 0xbbaa, 2);
    ck_assert_uint_eq(chip.log[0].value, 0xaa);
    ck_assert_uint_eq(other.log[0].value, 0xbb);
    ck_assert_uint_eq(other.log[0].addr, 0);
}
END_TEST

START_TEST(blocks_cross_everything)
{
    uint8_t data[0x40], back[0x40];

    bus_map_ram(bus, "ram", 0x1000, 0x1000, ram);
    bus_map(bus, "chip", 0x2000, 0x1e, &dword_ops, &chip);
    for (unsigned i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(0x80 + i);
    bus_write_block(bus, 0x1ff3, data, sizeof(data));
    ck_assert_mem_eq(ram + 0xff3, data, 13);
    /* 0x1e bytes of chip: seven dwords and a word. */
    ck_assert_uint_eq(chip.writes, 8);
    ck_assert_uint_eq(chip.log[0].value, 0x908f8e8d);
    ck_assert_uint_eq(chip.log[7].size, 2);
    ck_assert_uint_eq(chip.log[7].addr, 0x1c);

    bus_read_block(bus, 0x1ff3, back, sizeof(back));
    ck_assert_mem_eq(back, data, 13);
    ck_assert_uint_eq(back[13], 0);
    ck_assert_uint_eq(back[13 + 0x1d], 0x1d);
    ck_assert_uint_eq(back[13 + 0x1e], 0xff);
}
END_TEST

START_TEST(blocks_do_not_wrap)
{
    bus_map_ram(bus, "ram", 0, RAM_SIZE, ram);
    bus_write_block(bus, UINT64_MAX - 3, "xxxxxxxx", 8);
    ck_assert_uint_eq(ram[0], 0);
    bus_write(bus, UINT64_MAX - 1, UINT64_MAX, 8);
    ck_assert_uint_eq(ram[0], 0);
    ck_assert_uint_eq(bus_read(bus, UINT64_MAX, 2), 0xffff);
}
END_TEST

START_TEST(port_bus_ends_at_64k)
{
    struct bus *ports = bus_new("ports", 0x10000, &lock);

    bus_map(ports, "last", 0xfffe, 8, &byte_ops, &chip);
    ck_assert_uint_eq(bus_read(ports, 0xfffe, 4), 0xffff0100);
    ck_assert_uint_eq(chip.reads, 2);
    bus_free(ports);
}
END_TEST

struct ear {
    struct bus_listener listener;
    unsigned changes, writes;
    uint64_t addr[8], size[8];
};

static void heard_change(void *opaque)
{
    ((struct ear *)opaque)->changes++;
}

static void heard_write(void *opaque, uint64_t addr, uint64_t size)
{
    struct ear *ear = opaque;

    ear->addr[ear->writes % 8] = addr;
    ear->size[ear->writes % 8] = size;
    ear->writes++;
}

START_TEST(code_pages_tell)
{
    struct ear ear = {.listener = {.map_changed = heard_change, .code_written = heard_write, .opaque = &ear}};
    struct region *region = bus_map_ram(bus, "ram", 0x10000, RAM_SIZE, ram);

    bus_listen(bus, &ear.listener);
    region->page_flags[1] = PAGE_CODE;
    bus_write(bus, 0x10ffc, 0, 4);
    ck_assert_uint_eq(ear.writes, 0);
    bus_write(bus, 0x11010, 0, 2);
    ck_assert_uint_eq(ear.writes, 1);
    ck_assert_uint_eq(ear.addr[0], 0x11010);
    ck_assert_uint_eq(ear.size[0], 2);
    /* The flag is the listener's to clear. */
    ck_assert_uint_eq(region->page_flags[1], PAGE_CODE);
    /* A block tells of its part of the page, and a misaligned write from the page before of its last bytes.
     */
    bus_write_block(bus, 0x10800, ram, 0x2000);
    ck_assert_uint_eq(ear.writes, 2);
    ck_assert_uint_eq(ear.addr[1], 0x11000);
    ck_assert_uint_eq(ear.size[1], 0x1000);
    bus_write(bus, 0x10ffe, 0, 4);
    ck_assert_uint_eq(ear.addr[2], 0x11000);
    ck_assert_uint_eq(ear.size[2], 2);
    /* A CPU's own store. */
    bus_ram_written(bus, region, 0x1ff8, 8);
    ck_assert_uint_eq(ear.addr[3], 0x11ff8);
    bus_unlisten(bus, &ear.listener);
    bus_write(bus, 0x11010, 0, 2);
    ck_assert_uint_eq(ear.writes, 4);
}
END_TEST

START_TEST(track_becomes_dirty)
{
    struct region *region = bus_map_ram(bus, "ram", 0, RAM_SIZE, ram);

    bus_write(bus, 0, 1, 1);
    ck_assert_uint_eq(region->page_flags[0], 0);
    memset(region->page_flags, PAGE_TRACK, 4);
    bus_write(bus, 0x1fff, 1, 2);
    ck_assert_uint_eq(region->page_flags[0], PAGE_TRACK);
    ck_assert_uint_eq(region->page_flags[1], PAGE_DIRTY);
    ck_assert_uint_eq(region->page_flags[2], PAGE_DIRTY);
    ck_assert_uint_eq(region->page_flags[3], PAGE_TRACK);
    region->page_flags[3] |= PAGE_CODE;
    bus_write_block(bus, 0x3000, "x", 1);
    ck_assert_uint_eq(region->page_flags[3], PAGE_DIRTY | PAGE_CODE);
    /* Sizes beyond the region's end touch nothing outside it. */
    bus_ram_written(bus, region, RAM_SIZE - 1, 0x10000);
}
END_TEST

START_TEST(map_changes_tell_once)
{
    struct ear ear = {.listener = {.map_changed = heard_change, .opaque = &ear}};
    struct region *region = bus_map(bus, "chip", 0x1000, 0x10, &byte_ops, &chip);

    bus_listen(bus, &ear.listener);
    region_set(region, 0x1000, true, 0);
    ck_assert_uint_eq(ear.changes, 0);
    region_set(region, 0x2000, true, 0);
    ck_assert_uint_eq(ear.changes, 1);
    region_set(region, 0x2000, false, 0);
    ck_assert_uint_eq(ear.changes, 2);
    region_set(region, 0x3000, false, 0);
    ck_assert_uint_eq(ear.changes, 2);
}
END_TEST

static void echo_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct chip *c = dev;

    (void)size;
    c->writes++;
    bus_write(c->bus, 0x1000 + addr, value, 1);
}

START_TEST(chip_aimed_at_itself_stops)
{
    static const struct bus_ops echo_ops = {NULL, echo_write, 1};

    bus_map(bus, "echo", 0x1000, 0x10, &echo_ops, &chip);
    bus_write(bus, 0x1000, 1, 1);
    ck_assert_uint_gt(chip.writes, 3);
    ck_assert_uint_lt(chip.writes, 100);
    ck_assert_uint_eq(bus_read(bus, 0x1000, 1), 0xff);
}
END_TEST

START_TEST(many_regions)
{
    struct region *regions[200];

    bus_map_ram(bus, "ram", 0, RAM_SIZE, ram);
    for (unsigned i = 0; i < 200; i++)
        regions[i] = bus_map(bus, "chip", 0x10000 + 0x20 * i, 0x10, &byte_ops, &chip);
    for (unsigned i = 0; i < 200; i++) {
        uint64_t offset = 99;
        ck_assert_ptr_eq(bus_find(bus, 0x10000 + 0x20 * i + 0xf, &offset), regions[i]);
        ck_assert_uint_eq(offset, 0xf);
        ck_assert_ptr_null(bus_find(bus, 0x10000 + 0x20 * i + 0x10, NULL));
    }
    unsigned count = 0;
    for (struct region *r = bus_first(bus); r; r = r->next)
        count++;
    ck_assert_uint_eq(count, 201);
}
END_TEST

static void *mover(void *opaque)
{
    struct region *region = opaque;

    for (unsigned i = 0; i < 20000; i++)
        region_set(region, i & 1 ? 0x1000 : 0x3000, true, i & 2 ? 1 : 0);
    __atomic_store_n(&chip.reads, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

START_TEST(find_beside_changes)
{
    pthread_t thread;
    struct region *back = bus_map_ram(bus, "ram", 0, RAM_SIZE, ram);
    struct region *moving = bus_map(bus, "chip", 0x1000, 0x1000, &byte_ops, &other);

    ck_assert_int_eq(pthread_create(&thread, NULL, mover, moving), 0);
    while (!__atomic_load_n(&chip.reads, __ATOMIC_SEQ_CST)) {
        uint64_t offset = 0;
        struct region *found = bus_find(bus, 0x1234, &offset);
        ck_assert((found == back && offset == 0x1234) || (found == moving && offset == 0x234));
        found = bus_find(bus, 0x2345, &offset);
        ck_assert(found == back && offset == 0x2345);
    }
    pthread_join(thread, NULL);
}
END_TEST

Suite *core_bus_suite(void);

Suite *core_bus_suite(void)
{
    Suite *suite = suite_create("core_bus");
    TCase *tc = tcase_create("bus");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, nothing_answers_with_ones);
    tcase_add_test(tc, ram_any_alignment);
    tcase_add_test(tc, refuses_broken_pages);
    tcase_add_test(tc, rom_ignores_writes);
    tcase_add_test(tc, priority_and_order);
    tcase_add_test(tc, wide_accesses_are_cut);
    tcase_add_test(tc, border_splits_bytewise);
    tcase_add_test(tc, blocks_cross_everything);
    tcase_add_test(tc, blocks_do_not_wrap);
    tcase_add_test(tc, port_bus_ends_at_64k);
    tcase_add_test(tc, code_pages_tell);
    tcase_add_test(tc, track_becomes_dirty);
    tcase_add_test(tc, map_changes_tell_once);
    tcase_add_test(tc, chip_aimed_at_itself_stops);
    tcase_add_test(tc, dma_reaches_ram_alone);
    tcase_add_test(tc, many_regions);
    tcase_add_test(tc, find_beside_changes);
    suite_add_tcase(suite, tc);
    return suite;
}
