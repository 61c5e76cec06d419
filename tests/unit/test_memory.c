/* RAM, ROM and shadow RAM in the memory map, without the rest of the machine. */
#include "machine/machine.h"
#include "bios/rom.h"
#include "tests/unit/board.h"

#define MIB (1ull << 20)

static struct machine machine;
static struct host_ram ram;

static void build(uint64_t ram_size, size_t bios_size)
{
    memset(&machine, 0, sizeof(machine));
    ram = (struct host_ram){.base = calloc(1, ram_size), .size = ram_size};
    machine.ram = &ram;
    machine.memory = bus_new("memory", 1ull << 40, NULL);
    if (bios_size) {
        machine.bios.data = malloc(bios_size);
        machine.bios.size = bios_size;
        for (size_t i = 0; i < bios_size; i++)
            machine.bios.data[i] = (uint8_t)(0x80 | (bios_size - 1 - i) >> 12); /* which page from the end */
    }
    ck_assert(memory_build(&machine));
    memory_shadow(&machine, 0xC0000, 0x40000, false, false); /* as the host bridge's reset says */
}

static void teardown(void)
{
    bus_free(machine.memory);
    free(machine.bios.data);
    free(ram.base);
    memset(&machine, 0, sizeof(machine));
    memset(&ram, 0, sizeof(ram));
}

static uint8_t get(uint64_t addr)
{
    return (uint8_t)bus_read(machine.memory, addr, 1);
}

static void put(uint64_t addr, uint8_t value)
{
    bus_write(machine.memory, addr, value, 1);
}

START_TEST(rom_in_its_places)
{
    build(4 * MIB, 256 << 10);
    ck_assert_uint_eq(get(0xFFFFFFFF), 0x80);
    ck_assert_uint_eq(get(0xFFFC0000), 0x80 | 63);
    ck_assert_uint_eq(get(0xFFFBFFFF), 0xFF);
    ck_assert_uint_eq(get(0xFFFFF), 0x80);
    ck_assert_uint_eq(get(0xE0000), 0x80 | 31);
    ck_assert_uint_eq(get(0xDFFFF), 0xFF);
    put(0xFFFFF, 1);
    put(0xFFFFFFFF, 1);
    ck_assert_uint_eq(get(0xFFFFF), 0x80);
    ck_assert_uint_eq(ram.base[0xFFFFF], 0);
    put(0x9FFFF, 7);
    ck_assert_uint_eq(ram.base[0x9FFFF], 7);
    ck_assert_uint_eq(get(0xA0000), 0xFF);
    put(0x100000, 8);
    ck_assert_uint_eq(ram.base[0x100000], 8);
}
END_TEST

START_TEST(small_rom)
{
    build(1 * MIB, 64 << 10);
    ck_assert_uint_eq(get(0xF0000), 0x80 | 15);
    ck_assert_uint_eq(get(0xEFFFF), 0xFF);
    ck_assert_uint_eq(get(0x100000), 0xFF); /* 1 MiB is all there is */
    memory_shadow(&machine, 0xEC000, 0x4000, false, true);
    ck_assert_uint_eq(get(0xEC000), 0xFF); /* nothing behind it */
}
END_TEST

/* Each of the four ways, in an area with ROM behind it and in one without. */
START_TEST(shadow)
{
    static const uint32_t bases[] = {0xC8000, 0xE4000, 0xF0000};
    uint32_t base = bases[_i], size = base == 0xF0000 ? 0x10000 : 0x4000, last = base + size - 1;

    build(4 * MIB, 256 << 10);
    uint8_t behind = get(last), next = base + size < 0x100000 ? get(base + size) : 0;

    memory_shadow(&machine, base, size, false, true); /* how firmware copies itself: reads ROM, writes RAM */
    ck_assert_uint_eq(get(last), behind);
    put(last, 0x55);
    bus_write(machine.memory, base, 0x1122334455667788, 8);
    ck_assert_uint_eq(get(last), behind);
    ck_assert_uint_eq(ram.base[last], 0x55);

    memory_shadow(&machine, base, size, true, false); /* locked */
    ck_assert_uint_eq(get(last), 0x55);
    ck_assert_uint_eq(bus_read(machine.memory, base, 8), 0x1122334455667788);
    put(last, 0x66);
    ck_assert_uint_eq(get(last), 0x55);

    memory_shadow(&machine, base, size, true, true);
    put(last, 0x66);
    ck_assert_uint_eq(get(last), 0x66);

    memory_shadow(&machine, base, size, false, false);
    ck_assert_uint_eq(get(last), behind);
    put(last, 0x77);
    ck_assert_uint_eq(ram.base[last], 0x66);
    if (base + size < 0x100000)
        ck_assert_uint_eq(get(base + size), next); /* the neighbour stood still */
}
END_TEST

/* What is written while reads go to ROM is dirty like any other write. */
START_TEST(write_only_is_tracked)
{
    build(4 * MIB, 256 << 10);
    memory_shadow(&machine, 0xF0000, 0x10000, false, true);
    struct region *area = machine.shadow[SHADOW_AREAS - 1].ram;

    area->page_flags[3] = PAGE_TRACK;
    put(0xF3004, 1);
    ck_assert_uint_eq(area->page_flags[3], PAGE_DIRTY);
}
END_TEST

START_TEST(rom_sizes)
{
    char why[200];

    ck_assert(rom_check("f", 64 << 10, why, sizeof(why)));
    ck_assert(rom_check("f", 16 << 20, why, sizeof(why)));
    ck_assert(rom_check("f", 68 << 10, why, sizeof(why)));
    ck_assert(!rom_check("f", 60 << 10, why, sizeof(why)));
    ck_assert(!rom_check("f", (16 << 20) + 4096, why, sizeof(why)));
    ck_assert(!rom_check("f", (64 << 10) + 1, why, sizeof(why)));
    ck_assert(!strncmp(why, "f: ", 3));
    build(4 * MIB, 16 << 20);
    ck_assert_ptr_nonnull(bus_find(machine.memory, 0xFF000000, NULL));
    ck_assert_ptr_null(bus_find(machine.memory, 0xFEFFFFFF, NULL));
}
END_TEST

Suite *memory_suite(void)
{
    Suite *suite = suite_create("memory");
    TCase *tcase = tcase_create("memory");

    tcase_add_checked_fixture(tcase, NULL, teardown);
    tcase_add_test(tcase, rom_in_its_places);
    tcase_add_test(tcase, small_rom);
    tcase_add_loop_test(tcase, shadow, 0, 3);
    tcase_add_test(tcase, write_only_is_tracked);
    tcase_add_test(tcase, rom_sizes);
    suite_add_tcase(suite, tcase);
    return suite;
}
