/*
 * e820.h - the memory map that firmware reports, and where on a PC of a given RAM size things lie.
 */
#ifndef BIOS_E820_H
#define BIOS_E820_H

#include <stddef.h>
#include <stdint.h>

/* ACPI 6.3, table 15-374 */
#define E820_RAM      1u
#define E820_RESERVED 2u
#define E820_ACPI     3u /* tables; the OS may reclaim them */
#define E820_NVS      4u /* the FACS */

/* RAM beyond this goes to 4 GiB: the rest below belongs to PCI, APICs and ROM. */
#define E820_LOW_RAM_MAX 0xC0000000ull
#define E820_HIGH_BASE   0x100000000ull

#define E820_EBDA_BASE 0x9FC00u
#define E820_BIOS_BASE 0xE0000u
#define E820_BIOS_END  0x100000u

/* The ACPI tables' area at the top of low RAM; its last page is the FACS's. */
#define E820_ACPI_SIZE 0x20000u
#define E820_NVS_SIZE  0x1000u

#define E820_MAX_ENTRIES 8

struct e820_entry {
    uint64_t base, size; /* bytes */
    uint32_t type;
};

/* Bytes of RAM below 4 GiB and from 4 GiB up, of a machine with `ram_size` bytes. */
uint64_t e820_low_ram(uint64_t ram_size);
uint64_t e820_high_ram(uint64_t ram_size);

/*
 * The address of the E820_ACPI_SIZE bytes for ACPI tables, page-aligned; 0 when there is so little RAM (below
 * about 1.2 MiB) that they have no place.
 */
uint64_t e820_acpi_base(uint64_t ram_size);

/*
 * Fills `map` in ascending order without overlaps and returns the number of entries. RAM sizes are rounded
 * down to pages. The video and option ROM holes and the space above low RAM are not in the map, as on a PC.
 */
size_t e820_build(uint64_t ram_size, struct e820_entry map[E820_MAX_ENTRIES]);

#endif
