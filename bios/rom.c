/*
 * rom.c - a BIOS in ROM.
 */
#include "bios/rom.h"

#include <stdio.h>

#include "core/bus.h"

#define KIB 1024u

bool rom_check(const char *name, size_t size, char *why, size_t why_size)
{
    if (size >= ROM_MIN && size <= ROM_MAX && size % ROM_GRAIN == 0)
        return true;
    if (size < ROM_MIN || size > ROM_MAX)
        snprintf(why, why_size, "%s: %zu bytes are too %s for a BIOS, which has %u KiB to %u MiB", name, size,
                 size < ROM_MIN ? "few" : "many", ROM_MIN / KIB, ROM_MAX / KIB / KIB);
    else
        snprintf(why, why_size,
                 "%s: %zu bytes are not whole blocks of %u KiB, so this is no BIOS or not all of one", name,
                 size, ROM_GRAIN / KIB);
    return false;
}

bool rom_map(struct bus *memory, uint8_t *data, size_t size)
{
    size_t shadow = size < ROM_SHADOW ? size : ROM_SHADOW;
    uint32_t base = 0x100000u - (uint32_t)shadow;
    struct region *low = bus_map_rom(memory, "bios-low", base, shadow, data + (size - shadow));

    if (!low)
        return false;
    region_set(low, base, true, -1);
    return bus_map_rom(memory, "bios", 0x100000000ull - size, size, data);
}
