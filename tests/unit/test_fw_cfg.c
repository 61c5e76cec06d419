/* The firmware configuration device, and the files that firmware finds in it. */
#include "bios/acpi.h"
#include "bios/bytes.h"
#include "bios/firmware.h"
#include "devices/fw_cfg.h"
#include "tests/unit/board.h"

#define SIZE (1u << 20)

static struct bus *ports, *memory;
static struct fw_cfg *cfg;
static uint8_t *ram;
static unsigned selections, writes;
static size_t written_at, written_size;

static void on_selected(void *opaque)
{
    (void)opaque;
    selections++;
}

static void on_written(void *opaque, const uint8_t *data, size_t offset, size_t size)
{
    (void)opaque;
    ck_assert_ptr_nonnull(data);
    writes++;
    written_at = offset;
    written_size = size;
}

static void setup(void)
{
    selections = writes = 0;
    ports = bus_new("ports", 0x10000, NULL);
    memory = bus_new("memory", 1ull << 32, NULL);
    ram = calloc(1, SIZE);
    ck_assert_ptr_nonnull(bus_map_ram(memory, "ram", 0, SIZE, ram));
    cfg = fw_cfg_new(ports, memory, NULL);
    ck_assert_ptr_nonnull(cfg);
}

static void teardown(void)
{
    fw_cfg_class.free(cfg);
    bus_free(ports);
    bus_free(memory);
    free(ram);
}

static uint64_t be(const uint8_t *at, unsigned size)
{
    uint64_t value = 0;

    while (size--)
        value = value << 8 | *at++;
    return value;
}

static void select_item(unsigned item)
{
    bus_write(ports, 0x510, item, 2);
}

static void take(void *to, size_t size)
{
    for (uint8_t *at = to; size--; at++)
        *at = bus_read(ports, 0x511, 1);
}

/* A DMA command from a block at 0x1000; returns what its control field says afterwards. */
static uint32_t dma(uint32_t control, uint32_t length, uint64_t address)
{
    uint32_t fields[4] = {__builtin_bswap32(control), __builtin_bswap32(length),
                          __builtin_bswap32(address >> 32), __builtin_bswap32((uint32_t)address)};

    memcpy(ram + 0x1000, fields, sizeof(fields));
    bus_write(ports, 0x514, 0, 4);
    bus_write(ports, 0x518, __builtin_bswap32(0x1000), 4);
    return be(ram + 0x1000, 4);
}

static unsigned item_of(const char *name, uint32_t *size)
{
    uint8_t head[4], entry[64];

    select_item(0x19);
    take(head, 4);
    for (uint32_t n = be(head, 4); n; n--) {
        take(entry, 64);
        if (!strcmp((char *)entry + 8, name)) {
            *size = be(entry, 4);
            return be(entry + 4, 2);
        }
    }
    return 0;
}

static void add(const char *name, const void *data, size_t size)
{
    ck_assert(fw_cfg_add_file(cfg, &(struct fw_cfg_file){.name = name, .data = data, .size = size}));
}

START_TEST(signature)
{
    uint8_t bytes[6];

    take(bytes, 4); /* selected after reset */
    ck_assert_mem_eq(bytes, "QEMU", 4);
    select_item(0);
    take(bytes, 6);
    ck_assert_mem_eq(bytes, "QEMU\0\0", 6); /* zeros past the end */
    select_item(1);
    take(bytes, 4);
    ck_assert_mem_eq(bytes, "\3\0\0\0", 4);
    select_item(0x7777);
    take(bytes, 2);
    ck_assert_mem_eq(bytes, "\0\0", 2);
    ck_assert_uint_eq(bus_read(ports, 0x514, 4), 0x554D4551); /* "QEMU" in memory order */
    ck_assert_uint_eq(bus_read(ports, 0x518, 4), 0x47464320);
    ck_assert_uint_eq(bus_read(ports, 0x51B, 1), 'G');
}
END_TEST

START_TEST(numbered_items)
{
    uint8_t bytes[2];

    ck_assert(fw_cfg_add(cfg, FW_CFG_CPUS, "\4\0", 2));
    ck_assert(fw_cfg_add(cfg, FW_CFG_IRQ0, "\1", 1));
    select_item(0x05);
    take(bytes, 2);
    ck_assert_uint_eq(bytes[0], 4);
    select_item(0x8002);
    take(bytes, 1);
    ck_assert_uint_eq(bytes[0], 1);
    select_item(0x4005); /* the write flag of old doesn't matter */
    take(bytes, 1);
    ck_assert_uint_eq(bytes[0], 4);
    ck_assert(fw_cfg_add(cfg, FW_CFG_CPUS, "\5\0", 2));
    select_item(0x05);
    take(bytes, 1);
    ck_assert_uint_eq(bytes[0], 5);
    ck_assert(!fw_cfg_add(cfg, 0x19, "", 0));
    ck_assert(!fw_cfg_add(cfg, 0x20, "", 0));
    ck_assert(!fw_cfg_add(cfg, 0x10005, "", 0));
}
END_TEST

START_TEST(directory)
{
    uint8_t bytes[4 + 3 * 64];
    uint32_t size;

    add("etc/b", "bb", 2);
    add("etc/c", "ccc", 3);
    add("etc/a", "a", 1);
    select_item(0x19);
    take(bytes, sizeof(bytes));
    ck_assert_uint_eq(be(bytes, 4), 3);
    ck_assert_str_eq((char *)bytes + 12, "etc/a");
    ck_assert_str_eq((char *)bytes + 12 + 128, "etc/c");
    ck_assert_uint_eq(be(bytes + 4 + 64, 4), 2);
    ck_assert_uint_eq(be(bytes + 4 + 64 + 4, 2), 0x21);
    select_item(item_of("etc/c", &size));
    ck_assert_uint_eq(size, 3);
    take(bytes, 4);
    ck_assert_mem_eq(bytes, "ccc\0", 4);
    add("etc/c", "new", 4);
    select_item(item_of("etc/c", &size));
    ck_assert_uint_eq(size, 4);
    take(bytes, 4);
    ck_assert_str_eq((char *)bytes, "new");
    ck_assert_ptr_nonnull(fw_cfg_find_file(cfg, "etc/a", &(size_t){0}));
    ck_assert_ptr_null(fw_cfg_find_file(cfg, "etc/x", &(size_t){0}));
}
END_TEST

START_TEST(names)
{
    char name[80];
    const struct fw_cfg_file file = {.name = name, .data = "x", .size = 1};

    memset(name, 'n', sizeof(name));
    name[56] = 0;
    ck_assert(!fw_cfg_add_file(cfg, &file));
    name[0] = 0;
    ck_assert(!fw_cfg_add_file(cfg, &file));
    for (unsigned i = 0; i < FW_CFG_FILES; i++) {
        snprintf(name, sizeof(name), "file%02u", i);
        ck_assert(fw_cfg_add_file(cfg, &file));
    }
    strcpy(name, "one more");
    ck_assert(!fw_cfg_add_file(cfg, &file));
    strcpy(name, "file07");
    ck_assert(fw_cfg_add_file(cfg, &file));
}
END_TEST

START_TEST(dma_reads)
{
    uint32_t size;

    add("etc/text", "0123456789", 10);
    unsigned item = item_of("etc/text", &size);

    memset(ram + 0x2000, 0xEE, 16);
    ck_assert_uint_eq(dma(item << 16 | 0x0A, 4, 0x2000), 0); /* select and read */
    ck_assert_mem_eq(ram + 0x2000, "0123\xEE", 5);
    ck_assert_uint_eq(dma(0x04, 3, 0), 0);      /* skip */
    ck_assert_uint_eq(dma(0x02, 5, 0x2000), 0); /* what is past the end is zeros */
    ck_assert_mem_eq(ram + 0x2000, "789\0\0\xEE", 6);
    ck_assert_uint_eq(bus_read(ports, 0x511, 1), 0);
    ck_assert_uint_eq(dma(item << 16 | 0x08, 0, 0), 0); /* select alone; the data port goes on there */
    ck_assert_uint_eq(bus_read(ports, 0x511, 1), '0');
    memset(ram + 0x3000, 0xEE, 0x3001);
    ck_assert_uint_eq(dma(0x6666 << 16 | 0x0A, 0x3000, 0x3000), 0); /* no such item: zeros */
    for (unsigned i = 0; i < 0x3000; i++)
        ck_assert_uint_eq(ram[0x3000 + i], 0);
    ck_assert_uint_eq(ram[0x6000], 0xEE);
    ck_assert_uint_eq(dma(item << 16 | 0x0A, 4, 0xFFFFFFFFFFFFFFFE), 0); /* to nowhere */
}
END_TEST

START_TEST(dma_writes)
{
    const struct fw_cfg_file file = {.name = "etc/out",
                                     .data = "........",
                                     .size = 8,
                                     .writable = true,
                                     .selected = on_selected,
                                     .written = on_written};
    uint32_t size;
    size_t length;

    add("etc/in", "abc", 3);
    ck_assert(fw_cfg_add_file(cfg, &file));
    unsigned in = item_of("etc/in", &size), out = item_of("etc/out", &size);

    memcpy(ram + 0x2000, "written", 7);
    ck_assert_uint_eq(dma(in << 16 | 0x18, 3, 0x2000), 1); /* not writable */
    ck_assert_uint_eq(dma(out << 16 | 0x08, 0, 0), 0);
    ck_assert_uint_eq(selections, 1);
    ck_assert_uint_eq(dma(0x04, 2, 0), 0);
    ck_assert_uint_eq(dma(0x10, 5, 0x2000), 0);
    ck_assert_uint_eq(writes, 1);
    ck_assert_uint_eq(written_at, 2);
    ck_assert_uint_eq(written_size, 5);
    ck_assert_mem_eq(fw_cfg_find_file(cfg, "etc/out", &length), "..writt.", 8);
    ck_assert_uint_eq(dma(0x10, 2, 0x2000), 1); /* past the end */
    ck_assert_uint_eq(writes, 1);
}
END_TEST

START_TEST(state_travels)
{
    struct state_buf buf = {0};
    char why[100];

    select_item(0);
    bus_read(ports, 0x511, 1);
    ck_assert(fields_save(fw_cfg_class.state, cfg, &buf));
    fw_cfg_class.reset(cfg);
    ck_assert_uint_eq(bus_read(ports, 0x511, 1), 'Q');
    ck_assert_uint_eq(fields_load(fw_cfg_class.state, cfg, buf.data, buf.size, why, sizeof(why)), buf.size);
    ck_assert_uint_eq(bus_read(ports, 0x511, 1), 'E');
    free(buf.data);
}
END_TEST

/* --- The files of this machine. A BIOS is played here: it takes the loader's commands as they come. */

static bool take_file(void *opaque, const char *name, const void *data, size_t size)
{
    (void)opaque;
    add(name, data, size);
    return true;
}

static struct place {
    char name[56];
    uint64_t address;
    size_t size;
} places[4];
static unsigned place_count;
static uint64_t next_place;

static struct place *place(const uint8_t *name)
{
    for (unsigned i = 0; i < place_count; i++)
        if (!strcmp(places[i].name, (const char *)name))
            return &places[i];
    ck_abort_msg("the script uses %s before it is allocated", (const char *)name);
    return NULL;
}

static void run_command(const uint8_t *c)
{
    if (get32(c) == 1) {
        struct place *p = &places[place_count++];
        const uint8_t *data = fw_cfg_find_file(cfg, (const char *)c + 4, &p->size);

        ck_assert_ptr_nonnull(data);
        strcpy(p->name, (const char *)c + 4);
        p->address = next_place + get32(c + 60) - next_place % get32(c + 60);
        next_place = p->address + p->size;
        memcpy(ram + p->address, data, p->size);
    } else if (get32(c) == 2) {
        const struct place *in = place(c + 4), *to = place(c + 60);
        uint8_t *at = ram + in->address + get32(c + 116);

        ck_assert(c[120] == 4 || c[120] == 8);
        ck_assert_uint_le(get32(c + 116) + c[120], in->size);
        ck_assert_uint_lt(get32(at), to->size);
        if (c[120] == 8)
            put64(at, get64(at) + to->address);
        else
            put32(at, get32(at) + (uint32_t)to->address);
    } else {
        const struct place *in = place(c + 4);
        uint8_t sum = 0;

        ck_assert_uint_eq(get32(c), 3);
        ck_assert_uint_le(get32(c + 64) + get32(c + 68), in->size);
        for (uint32_t i = 0; i < get32(c + 68); i++)
            sum += ram[in->address + get32(c + 64) + i];
        ram[in->address + get32(c + 60)] -= sum;
    }
}

static uint8_t sum_of(const uint8_t *data, size_t size)
{
    uint8_t sum = 0;

    while (size--)
        sum += *data++;
    return sum;
}

/* A table that the script placed. */
static const uint8_t *table(uint64_t address, const char *signature)
{
    ck_assert(address >= 0x8000 && address < SIZE - 64);
    ck_assert_mem_eq(ram + address, signature, 4);
    if (strcmp(signature, "FACS"))
        ck_assert_uint_eq(sum_of(ram + address, get32(ram + address + 4)), 0);
    return ram + address;
}

static void describe(uint64_t ram_size, unsigned cpus)
{
    const struct firmware_config config = {
        .ram_size = ram_size, .cpus = cpus, .vga = true, .version = "1", .boot_order = "/rom@x\n"};
    const struct firmware_sink sink = {take_file, NULL};

    ck_assert(firmware_describe(&config, &sink));
}

START_TEST(table_loader)
{
    size_t size;

    describe(1ull << 30, _i);
    const uint8_t *script = fw_cfg_find_file(cfg, "etc/table-loader", &size);
    ck_assert_ptr_nonnull(script);
    ck_assert_uint_eq(size % 128, 0);
    place_count = 0;
    next_place = 0x8010;
    for (size_t at = 0; at < size; at += 128)
        run_command(script + at);

    const uint8_t *rsdp = ram + place((const uint8_t *)"etc/acpi/rsdp")->address;
    ck_assert_uint_eq(sum_of(rsdp, 20), 0);
    ck_assert_uint_eq(sum_of(rsdp, 36), 0);
    const uint8_t *rsdt = table(get32(rsdp + 16), "RSDT"), *xsdt = table(get64(rsdp + 24), "XSDT");
    const uint8_t *fadt = table(get32(rsdt + 36), "FACP");
    ck_assert_ptr_eq(table(get64(xsdt + 36), "FACP"), fadt);
    ck_assert_ptr_eq(table(get32(fadt + 40), "DSDT"), table(get64(fadt + 140), "DSDT"));
    ck_assert_uint_eq((table(get32(fadt + 36), "FACS") - ram) % 64, 0);
    table(get64(xsdt + 44), "APIC");
    ck_assert_ptr_eq(table(get32(rsdt + 44), "HPET"), table(get64(xsdt + 52), "HPET"));
}
END_TEST

START_TEST(memory_map)
{
    size_t size;

    describe(1ull << 30, 1);
    const uint8_t *map = fw_cfg_find_file(cfg, "etc/e820", &size);
    ck_assert_uint_eq(size, 20);
    ck_assert_uint_eq(get64(map), 0);
    ck_assert_uint_eq(get64(map + 8), 1ull << 30);
    ck_assert_uint_eq(get32(map + 16), 1);
    describe(8ull << 30, 1);
    map = fw_cfg_find_file(cfg, "etc/e820", &size);
    ck_assert_uint_eq(size, 40);
    ck_assert_uint_eq(get64(map + 8), 0xC0000000);
    ck_assert_uint_eq(get64(map + 20), 1ull << 32);
    ck_assert_uint_eq(get64(map + 28), 5ull << 30);
    ck_assert_str_eq((const char *)fw_cfg_find_file(cfg, "bootorder", &size), "/rom@x\n");
}
END_TEST

START_TEST(inventory)
{
    size_t size, tables_size;

    describe(1ull << 30, 1);
    const uint8_t *anchor = fw_cfg_find_file(cfg, "etc/smbios/smbios-anchor", &size);
    const uint8_t *tables = fw_cfg_find_file(cfg, "etc/smbios/smbios-tables", &tables_size);
    ck_assert_uint_eq(size, 31);
    ck_assert_mem_eq(anchor, "_SM_", 4);
    ck_assert_uint_eq(sum_of(anchor, 31), 0);
    ck_assert_uint_eq(get16(anchor + 0x16), tables_size);
    ck_assert_uint_eq(get32(anchor + 0x18), 0); /* the BIOS finds the place */
    ck_assert_uint_eq(tables[0], 1);            /* and says itself who it is: no type 0 */
}
END_TEST

START_TEST(random_accesses)
{
    uint64_t seed = 1;

    describe(1ull << 30, 1);
    for (int i = 0; i < 20000; i++) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        uint32_t a = seed >> 32;

        if (a % 8 == 0)
            dma((a >> 3 & 0x3F) << 16 | (a >> 12 & 0x1F), a >> 20 & 0x3FFF, a >> 9 & 0xFFFFF);
        else if (a & 0x100)
            bus_write(ports, 0x50E + (a >> 9) % 16, seed >> 16 & 0xFFFF, 1u << (a >> 16 & 3));
        else
            bus_read(ports, 0x50E + (a >> 9) % 16, 1u << (a >> 16 & 3));
    }
    fw_cfg_class.reset(cfg);
    ck_assert_uint_eq(bus_read(ports, 0x511, 1), 'Q');
}
END_TEST

Suite *fw_cfg_suite(void)
{
    Suite *suite = suite_create("fw_cfg");
    TCase *device = tcase_create("device"), *files = tcase_create("files");

    tcase_add_checked_fixture(device, setup, teardown);
    tcase_add_test(device, signature);
    tcase_add_test(device, numbered_items);
    tcase_add_test(device, directory);
    tcase_add_test(device, names);
    tcase_add_test(device, dma_reads);
    tcase_add_test(device, dma_writes);
    tcase_add_test(device, state_travels);
    tcase_add_test(device, random_accesses);
    tcase_set_timeout(device, 60);
    suite_add_tcase(suite, device);
    tcase_add_checked_fixture(files, setup, teardown);
    tcase_add_loop_test(files, table_loader, 1, 3);
    tcase_add_test(files, memory_map);
    tcase_add_test(files, inventory);
    tcase_set_timeout(files, 60);
    suite_add_tcase(suite, files);
    return suite;
}
