/* The firmware tables: memory map, ACPI and SMBIOS, read back as an operating system would. */
#include "bios/acpi.h"
#include "bios/bytes.h"
#include "bios/e820.h"
#include "bios/smbios.h"
#include "devices/acpi_pm.h"
#include "devices/ioapic.h"
#include "devices/lapic.h"
#include "devices/pci_host.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define MIB 0x100000ull
#define GIB 0x40000000ull

/* ---- e820 ---- */

static void check_map(uint64_t ram, const struct e820_entry *expected, size_t count)
{
    struct e820_entry map[E820_MAX_ENTRIES];

    ck_assert_uint_eq(e820_build(ram, map), count);
    for (size_t i = 0; i < count; i++) {
        ck_assert_uint_eq(map[i].base, expected[i].base);
        ck_assert_uint_eq(map[i].size, expected[i].size);
        ck_assert_uint_eq(map[i].type, expected[i].type);
    }
}

START_TEST(map_of_512_mib)
{
    static const struct e820_entry expected[] = {
        {0, 0x9FC00, E820_RAM},
        {0x9FC00, 0x400, E820_RESERVED},
        {0xE0000, 0x20000, E820_RESERVED},
        {0x100000, 0x1FEE0000 - 0, E820_RAM},
        {0x1FFE0000, 0x1F000, E820_ACPI},
        {0x1FFFF000, 0x1000, E820_NVS},
    };

    check_map(512 * MIB, expected, 6);
    ck_assert_uint_eq(e820_acpi_base(512 * MIB), 0x1FFE0000);
}
END_TEST

START_TEST(map_of_8_gib)
{
    static const struct e820_entry expected[] = {
        {0, 0x9FC00, E820_RAM},
        {0x9FC00, 0x400, E820_RESERVED},
        {0xE0000, 0x20000, E820_RESERVED},
        {0x100000, 0xBFEE0000, E820_RAM},
        {0xBFFE0000, 0x1F000, E820_ACPI},
        {0xBFFFF000, 0x1000, E820_NVS},
        {0x100000000, 0x140000000, E820_RAM},
    };

    check_map(8 * GIB, expected, 7);
    ck_assert_uint_eq(e820_low_ram(8 * GIB), 3 * GIB);
    ck_assert_uint_eq(e820_high_ram(8 * GIB), 5 * GIB);
    ck_assert_uint_eq(e820_high_ram(3 * GIB), 0);
}
END_TEST

/* Of any size: ascending, apart, all RAM from 1 MiB up accounted for. */
START_TEST(maps_of_all_sizes)
{
    static const uint64_t sizes[] = {
        0,        4095,           4096,    MIB / 2,        MIB,      MIB + 0x1F000,   MIB + 0x20000, 2 * MIB,
        64 * MIB, 3 * GIB - 4096, 3 * GIB, 3 * GIB + 4096, 64 * GIB, 512 * 1024 * GIB};

    for (size_t n = 0; n < sizeof(sizes) / sizeof(*sizes); n++) {
        struct e820_entry map[E820_MAX_ENTRIES];
        size_t count = e820_build(sizes[n], map);
        uint64_t end = 0, above = 0;

        ck_assert_uint_le(count, E820_MAX_ENTRIES);
        for (size_t i = 0; i < count; i++) {
            ck_assert(i == 0 || map[i].base >= end);
            ck_assert_uint_gt(map[i].size, 0);
            end = map[i].base + map[i].size;
            if (map[i].base >= MIB)
                above += map[i].size;
        }
        ck_assert_uint_eq(above, sizes[n] > MIB ? (sizes[n] & ~4095ull) - MIB : 0);
    }
}
END_TEST

/* ---- ACPI ---- */

static struct acpi_tables acpi;

static void build(unsigned cpus, bool vga)
{
    struct acpi_config config = {.base = 0x1FFE0000, .size = E820_ACPI_SIZE, .cpus = cpus, .vga = vga};

    ck_assert(acpi_build(&config, &acpi));
}

static uint8_t sum(const uint8_t *data, size_t size)
{
    uint8_t total = 0;

    for (size_t i = 0; i < size; i++)
        total += data[i];
    return total;
}

static const uint8_t *guest(uint64_t address, size_t size)
{
    ck_assert(address >= acpi.base && address + size <= acpi.base + acpi.size);
    return acpi.data + (address - acpi.base);
}

static const uint8_t *table_at(uint64_t address, const char *signature)
{
    const uint8_t *table = guest(address, 36);
    uint32_t size = get32(table + 4);

    ck_assert_uint_ge(size, 36);
    guest(address, size);
    ck_assert_uint_eq(sum(table, size), 0);
    ck_assert_mem_eq(table, signature, 4);
    ck_assert_mem_eq(table + 10, "OXBOW ", 6);
    return table;
}

static const uint8_t *find(const char *signature)
{
    const uint8_t *xsdt = table_at(get64(acpi.rsdp + 24), "XSDT");

    for (uint32_t at = 36; at < get32(xsdt + 4); at += 8)
        if (!memcmp(guest(get64(xsdt + at), 4), signature, 4))
            return table_at(get64(xsdt + at), signature);
    ck_abort_msg("no table %s", signature);
    return NULL;
}

START_TEST(acpi_roots)
{
    const uint8_t *rsdt, *xsdt;

    build(1, false);
    ck_assert_mem_eq(acpi.rsdp, "RSD PTR ", 8);
    ck_assert_uint_eq(sum(acpi.rsdp, 20), 0);
    ck_assert_uint_eq(sum(acpi.rsdp, 36), 0);
    ck_assert_uint_eq(acpi.rsdp[15], 2);
    ck_assert_uint_eq(acpi.rsdp_address % 16, 0);
    ck_assert(acpi.rsdp_address >= 0xE0000 && acpi.rsdp_address + 36 <= SMBIOS_ADDRESS);
    rsdt = table_at(get32(acpi.rsdp + 16), "RSDT");
    xsdt = table_at(get64(acpi.rsdp + 24), "XSDT");
    ck_assert_uint_eq(get32(rsdt + 4), 36 + 3 * 4);
    ck_assert_uint_eq(get32(xsdt + 4), 36 + 3 * 8);
    for (int i = 0; i < 3; i++)
        ck_assert_uint_eq(get32(rsdt + 36 + 4 * i), get64(xsdt + 36 + 8 * i));
    acpi_free(&acpi);
}
END_TEST

/* What the FADT promises is what the chips do. */
START_TEST(acpi_fadt)
{
    const uint8_t *fadt, *facs;

    build(1, false);
    fadt = find("FACP");
    ck_assert_uint_eq(get32(fadt + 4), 276);
    ck_assert_uint_eq(fadt[8], 6);
    ck_assert_uint_eq(get16(fadt + 46), 9);
    ck_assert_uint_eq(get32(fadt + 48), ACPI_PM_SMI);
    ck_assert_uint_eq(fadt[52], ACPI_PM_ENABLE);
    ck_assert_uint_eq(fadt[53], ACPI_PM_DISABLE);
    ck_assert_uint_eq(get32(fadt + 56), ACPI_PM_EVENT);
    ck_assert_uint_eq(get32(fadt + 64), ACPI_PM_CONTROL);
    ck_assert_uint_eq(get32(fadt + 76), ACPI_PM_TIMER);
    ck_assert_uint_eq(get32(fadt + 80), ACPI_PM_GPE0);
    ck_assert(fadt[88] == 4 && fadt[89] == 2 && fadt[91] == 4 && fadt[92] == 4);
    ck_assert_uint_eq(get64(fadt + 152), ACPI_PM_EVENT);
    ck_assert_uint_eq(get64(fadt + 176), ACPI_PM_CONTROL);
    ck_assert_uint_eq(get64(fadt + 212), ACPI_PM_TIMER);
    ck_assert_uint_eq(get64(fadt + 224), ACPI_PM_GPE0);
    ck_assert_uint_eq(get64(fadt + 120), PCI_HOST_RESET_PORT);
    ck_assert_uint_eq(fadt[128], PCI_HOST_HARD_RESET);
    ck_assert_uint_eq(fadt[108], 0x32);
    ck_assert_uint_eq(get16(fadt + 109), 0x0007);
    ck_assert_uint_eq(get32(fadt + 112) >> 4 & 1, 0);  /* a fixed power button */
    ck_assert_uint_eq(get32(fadt + 112) >> 8 & 1, 0);  /* a 24-bit timer */
    ck_assert_uint_eq(get32(fadt + 112) >> 10 & 1, 1); /* and a reset register */
    table_at(get32(fadt + 40), "DSDT");
    ck_assert_uint_eq(get32(fadt + 40), get64(fadt + 140));
    facs = guest(get32(fadt + 36), 64);
    ck_assert_mem_eq(facs, "FACS", 4);
    ck_assert_uint_eq(get32(facs + 4), 64);
    ck_assert_uint_eq(get32(fadt + 36), 0x1FFFF000); /* where the memory map says NVS */
    acpi_free(&acpi);
    build(1, true);
    ck_assert_uint_eq(get16(find("FACP") + 109), 0x0003);
    acpi_free(&acpi);
}
END_TEST

/* Bytes of the n-th MADT entry of a type, NULL when there are fewer. */
static const uint8_t *madt_entry(uint8_t type, unsigned n)
{
    const uint8_t *madt = find("APIC");

    for (uint32_t at = 44; at < get32(madt + 4); at += madt[at + 1]) {
        ck_assert_uint_ge(madt[at + 1], 2);
        if (madt[at] == type && n-- == 0)
            return madt + at;
    }
    return NULL;
}

static void check_override(unsigned n, uint8_t irq, uint32_t gsi, uint16_t flags)
{
    const uint8_t *entry = madt_entry(2, n);

    ck_assert_ptr_nonnull(entry);
    ck_assert(entry[1] == 10 && entry[2] == 0);
    ck_assert_uint_eq(entry[3], irq);
    ck_assert_uint_eq(get32(entry + 4), gsi);
    ck_assert_uint_eq(get16(entry + 8), flags);
}

START_TEST(acpi_madt)
{
    const uint8_t *entry;

    build(4, false);
    ck_assert_uint_eq(get32(find("APIC") + 36), LAPIC_BASE);
    ck_assert_uint_eq(get32(find("APIC") + 40), 1);
    for (unsigned i = 0; i < 4; i++) {
        entry = madt_entry(0, i);
        ck_assert(entry && entry[1] == 8 && entry[2] == i && entry[3] == i && get32(entry + 4) == 1);
    }
    ck_assert_ptr_null(madt_entry(0, 4));
    ck_assert_ptr_null(madt_entry(9, 0));
    entry = madt_entry(1, 0);
    ck_assert(entry && entry[1] == 12 && get32(entry + 4) == IOAPIC_BASE && get32(entry + 8) == 0);
    check_override(0, 0, 2, 0);
    check_override(1, 9, 9, 0x0D);
    check_override(2, 10, 10, 0x0D);
    check_override(3, 11, 11, 0x0D);
    entry = madt_entry(4, 0);
    ck_assert(entry && entry[1] == 6 && entry[2] == 0xFF && get16(entry + 3) == 0 && entry[5] == 1);
    acpi_free(&acpi);
}
END_TEST

START_TEST(acpi_madt_x2apic)
{
    const uint8_t *entry;

    build(300, false);
    ck_assert_ptr_nonnull(madt_entry(0, 254));
    ck_assert_ptr_null(madt_entry(0, 255));
    entry = madt_entry(9, 0);
    ck_assert(entry && entry[1] == 16 && get32(entry + 4) == 255 && get32(entry + 8) == 1);
    entry = madt_entry(9, 44);
    ck_assert(entry && get32(entry + 4) == 299);
    ck_assert_ptr_null(madt_entry(9, 45));
    ck_assert_ptr_nonnull(madt_entry(10, 0));
    acpi_free(&acpi);
}
END_TEST

START_TEST(acpi_hpet)
{
    const uint8_t *hpet;

    build(1, false);
    hpet = find("HPET");
    ck_assert_uint_eq(get32(hpet + 4), 56);
    ck_assert_uint_eq(get32(hpet + 36), 0x8086A201);
    ck_assert(hpet[40] == 0 && hpet[41] == 64);
    ck_assert_uint_eq(get64(hpet + 44), 0xFED00000);
    acpi_free(&acpi);
}
END_TEST

START_TEST(acpi_refuses)
{
    struct acpi_config good = {.base = 0x1FFE0000, .size = 0x20000, .cpus = 1}, bad = good;

    bad.cpus = 0;
    ck_assert(!acpi_build(&bad, &acpi));
    ck_assert_ptr_null(acpi.data);
    bad = good;
    bad.base = 0x100000000;
    ck_assert(!acpi_build(&bad, &acpi));
    bad = good;
    bad.base++;
    ck_assert(!acpi_build(&bad, &acpi));
    bad = good;
    bad.size = 0x2000; /* too small for so many */
    bad.cpus = 1000;
    ck_assert(!acpi_build(&bad, &acpi));
    ck_assert_ptr_null(acpi.data);
    good.cpus = 4096;
    ck_assert(acpi_build(&good, &acpi));
    acpi_free(&acpi);
    bad = good;
    bad.cpus = 4097;
    ck_assert(!acpi_build(&bad, &acpi));
}
END_TEST

/* ---- SMBIOS ---- */

static struct smbios_tables smbios;

/* The n-th structure of a type. Checks the walk itself: lengths, string ends, the count and the size. */
static const uint8_t *structure(uint8_t type, unsigned n)
{
    const uint8_t *at = smbios.data + (get32(smbios.data + 0x18) - SMBIOS_ADDRESS), *found = NULL;
    const uint8_t *end = at + get16(smbios.data + 0x16);
    unsigned count = 0, largest = 0;

    ck_assert_ptr_eq(end, smbios.data + smbios.size);
    while (at < end) {
        const uint8_t *start = at;

        ck_assert_uint_ge(at[1], 4);
        if (at[0] == type && n-- == 0)
            found = at;
        count++;
        for (at += at[1]; at[0] || at[1]; at++)
            ck_assert(at + 2 < end);
        at += 2;
        largest = at - start > largest ? at - start : largest;
        ck_assert((start[0] == 127) == (at == end));
    }
    ck_assert_uint_eq(count, get16(smbios.data + 0x1C));
    ck_assert_uint_eq(largest, get16(smbios.data + 0x08));
    return found;
}

static const char *text(const uint8_t *s, unsigned field)
{
    const char *at = (const char *)s + s[1];

    ck_assert_uint_gt(s[field], 0);
    for (unsigned i = 1; i < s[field]; i++)
        at += strlen(at) + 1;
    return at;
}

START_TEST(smbios_entry_points)
{
    struct smbios_config config = {.ram_size = 512 * MIB, .cpus = 1};
    const uint8_t *sm = smbios.data, *sm3 = smbios.data + 0x20;

    ck_assert(smbios_build(&config, &smbios));
    ck_assert_uint_eq(SMBIOS_ADDRESS % 16, 0);
    ck_assert_uint_le(SMBIOS_ADDRESS + smbios.size, 0x100000);
    ck_assert_mem_eq(sm, "_SM_", 4);
    ck_assert_uint_eq(sm[5], 0x1F);
    ck_assert_uint_eq(sum(sm, 0x1F), 0);
    ck_assert_mem_eq(sm + 0x10, "_DMI_", 5);
    ck_assert_uint_eq(sum(sm + 0x10, 0x0F), 0);
    ck_assert(sm[6] == 2 && sm[7] == 8 && sm[0x1E] == 0x28);
    ck_assert_mem_eq(sm3, "_SM3_", 5);
    ck_assert_uint_eq(sm3[6], 0x18);
    ck_assert_uint_eq(sum(sm3, 0x18), 0);
    ck_assert_uint_eq(get64(sm3 + 0x10), get32(sm + 0x18));
    ck_assert_uint_eq(get32(sm3 + 0x0C), get16(sm + 0x16));
}
END_TEST

START_TEST(smbios_structures)
{
    struct smbios_config config = {.ram_size = 512 * MIB, .cpus = 2, .version = "0.1", .uuid = {1, 2, 3}};
    static const uint8_t types[] = {0, 1, 3, 4, 16, 17, 19, 32, 127};

    ck_assert(smbios_build(&config, &smbios));
    for (size_t i = 0; i < sizeof(types); i++) {
        ck_assert_ptr_nonnull(structure(types[i], 0));
        ck_assert_ptr_null(structure(types[i], 1));
    }
    ck_assert_str_eq(text(structure(0, 0), 4), "Oxbow");
    ck_assert_str_eq(text(structure(1, 0), 6), "0.1");
    ck_assert_mem_eq(structure(1, 0) + 8, config.uuid, 16);
    ck_assert_uint_eq(structure(4, 0)[0x23], 2);
    ck_assert_uint_eq(get16(structure(4, 0) + 0x2A), 2);
    ck_assert_uint_eq(get32(structure(16, 0) + 7), 512 * 1024);
    ck_assert_uint_eq(get16(structure(17, 0) + 0x0C), 512);
    ck_assert_uint_eq(get32(structure(19, 0) + 8), 512 * 1024 - 1);
    config.version = NULL;
    ck_assert(smbios_build(&config, &smbios));
    ck_assert_uint_eq(structure(1, 0)[6], 0);
}
END_TEST

START_TEST(smbios_much_memory)
{
    struct smbios_config config = {.ram_size = 8192 * GIB, .cpus = 300};

    ck_assert(smbios_build(&config, &smbios));
    ck_assert_uint_eq(structure(4, 0)[0x23], 0xFF);
    ck_assert_uint_eq(get16(structure(4, 0) + 0x2A), 300);
    ck_assert_uint_eq(get32(structure(16, 0) + 7), 0x80000000);
    ck_assert_uint_eq(get64(structure(16, 0) + 0x0F), 8192 * GIB);
    ck_assert_uint_eq(get16(structure(17, 0) + 0x0C), 0x7FFF);
    ck_assert_uint_eq(get32(structure(17, 0) + 0x1C), 8192 * 1024);
    ck_assert_uint_eq(get32(structure(19, 0) + 8), 3 * 1024 * 1024 - 1);
    ck_assert_uint_eq(get32(structure(19, 1) + 4), 0xFFFFFFFF);
    ck_assert_uint_eq(get64(structure(19, 1) + 0x0F), 4 * GIB);
    ck_assert_uint_eq(get64(structure(19, 1) + 0x17), 8193 * GIB - 1);
}
END_TEST

START_TEST(smbios_refuses)
{
    static char endless[5000];
    struct smbios_config config = {.ram_size = MIB, .cpus = 1, .version = endless};

    memset(endless, 'x', sizeof(endless) - 1);
    ck_assert(!smbios_build(&config, &smbios));
}
END_TEST

Suite *tables_suite(void)
{
    Suite *suite = suite_create("tables");
    TCase *e820 = tcase_create("e820"), *tables = tcase_create("acpi"), *dmi = tcase_create("smbios");

    tcase_add_test(e820, map_of_512_mib);
    tcase_add_test(e820, map_of_8_gib);
    tcase_add_test(e820, maps_of_all_sizes);
    suite_add_tcase(suite, e820);
    tcase_add_test(tables, acpi_roots);
    tcase_add_test(tables, acpi_fadt);
    tcase_add_test(tables, acpi_madt);
    tcase_add_test(tables, acpi_madt_x2apic);
    tcase_add_test(tables, acpi_hpet);
    tcase_add_test(tables, acpi_refuses);
    suite_add_tcase(suite, tables);
    tcase_add_test(dmi, smbios_entry_points);
    tcase_add_test(dmi, smbios_structures);
    tcase_add_test(dmi, smbios_much_memory);
    tcase_add_test(dmi, smbios_refuses);
    suite_add_tcase(suite, dmi);
    return suite;
}
