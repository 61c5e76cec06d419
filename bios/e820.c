/*
 * e820.c - the memory map that firmware reports.
 */
#include "bios/e820.h"

#define PAGE  0x1000u
#define A0000 0xA0000u

uint64_t e820_low_ram(uint64_t ram_size)
{
    ram_size &= ~(uint64_t)(PAGE - 1);
    return ram_size < E820_LOW_RAM_MAX ? ram_size : E820_LOW_RAM_MAX;
}

uint64_t e820_high_ram(uint64_t ram_size)
{
    return (ram_size & ~(uint64_t)(PAGE - 1)) - e820_low_ram(ram_size);
}

uint64_t e820_acpi_base(uint64_t ram_size)
{
    uint64_t low = e820_low_ram(ram_size);

    return low >= E820_BIOS_END + E820_ACPI_SIZE ? low - E820_ACPI_SIZE : 0;
}

/* Appends [base, end), unless it is empty. */
static size_t add(struct e820_entry *map, size_t count, uint64_t base, uint64_t end, uint32_t type)
{
    if (end <= base)
        return count;
    map[count] = (struct e820_entry){base, end - base, type};
    return count + 1;
}

size_t e820_build(uint64_t ram_size, struct e820_entry map[E820_MAX_ENTRIES])
{
    uint64_t low = e820_low_ram(ram_size), acpi = e820_acpi_base(ram_size);
    uint64_t nvs = acpi ? acpi + E820_ACPI_SIZE - E820_NVS_SIZE : 0;
    size_t count = 0;

    count = add(map, count, 0, low < E820_EBDA_BASE ? low : E820_EBDA_BASE, E820_RAM);
    count = add(map, count, E820_EBDA_BASE, A0000, E820_RESERVED);
    count = add(map, count, E820_BIOS_BASE, E820_BIOS_END, E820_RESERVED);
    count = add(map, count, E820_BIOS_END, acpi ? acpi : low, E820_RAM);
    count = add(map, count, acpi, nvs, E820_ACPI);
    count = add(map, count, nvs, acpi ? nvs + E820_NVS_SIZE : 0, E820_NVS);
    return add(map, count, E820_HIGH_BASE, E820_HIGH_BASE + e820_high_ram(ram_size), E820_RAM);
}
