/*
 * memory.c - RAM and ROM in their places, and the areas from 768 KiB to 1 MiB in which the host bridge
 * chooses between the two (shadow RAM).
 *
 *     00000000  RAM         000A0000  video          000C0000  13 areas of RAM or what is behind it
 *     000E0000  BIOS, the last 128 KiB of it, behind the areas
 *     00100000  RAM, up to 0xC0000000 at most         100000000  the rest of RAM
 *     FFFC0000  a BIOS of 256 KiB; every one ends at 4 GiB
 *
 * An area is mapped as one of three regions: RAM; RAM that can't be written; or reads from what is behind and
 * writes to RAM. None of them: all goes to what is behind, the BIOS or nothing.
 */
#include <string.h>

#include "bios/e820.h"
#include "bios/rom.h"
#include "machine/machine.h"

#define VIDEO_BASE 0xA0000u
#define AREAS_BASE 0xC0000u
#define AREAS_END  0x100000u
#define AREA_SIZE  0x4000u
#define LAST_BASE  0xF0000u /* the BIOS area, in one piece */

/* The byte behind shadow RAM. */
static uint8_t read_behind(const struct machine *m, uint64_t addr)
{
    uint64_t from_end = AREAS_END - addr;

    return from_end <= ROM_SHADOW && from_end <= m->bios.size ? m->bios.data[m->bios.size - from_end] : 0xFF;
}

static uint64_t write_only_read(void *dev, uint64_t addr, unsigned size)
{
    struct shadow_area *area = dev;
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)read_behind(area->machine, area->ram->base + addr + i) << 8 * i;
    return value;
}

static void write_only_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct shadow_area *area = dev;

    for (unsigned i = 0; i < size; i++)
        area->ram->host[addr + i] = (uint8_t)(value >> 8 * i);
    bus_ram_written(area->machine->memory, area->ram, addr, size);
}

static const struct bus_ops write_only_ops = {write_only_read, write_only_write, 8};

static bool map_area(struct machine *m, struct shadow_area *area, uint32_t base, uint32_t size)
{
    uint8_t *host = m->ram->base + base;

    area->machine = m;
    area->ram = bus_map_ram(m->memory, "ram-shadow", base, size, host);
    area->read_only = bus_map_rom(m->memory, "ram-read-only", base, size, host);
    area->write_only = bus_map(m->memory, "ram-write-only", base, size, &write_only_ops, area);
    return area->ram && area->read_only && area->write_only;
}

bool memory_build(struct machine *m)
{
    uint64_t low = e820_low_ram(m->ram->size), high = e820_high_ram(m->ram->size);
    uint8_t *host = m->ram->base;

    if (!bus_map_ram(m->memory, "ram-base", 0, VIDEO_BASE, host) ||
        (low > AREAS_END &&
         !bus_map_ram(m->memory, "ram-low", AREAS_END, low - AREAS_END, host + AREAS_END)) ||
        (high && !bus_map_ram(m->memory, "ram-high", E820_HIGH_BASE, high, host + low)) ||
        (m->bios.size && !rom_map(m->memory, m->bios.data, m->bios.size)))
        return false;
    for (unsigned n = 0; n < SHADOW_AREAS - 1; n++)
        if (!map_area(m, &m->shadow[n], AREAS_BASE + n * AREA_SIZE, AREA_SIZE))
            return false;
    return map_area(m, &m->shadow[SHADOW_AREAS - 1], LAST_BASE, AREAS_END - LAST_BASE);
}

static void show(struct region *region, bool enabled)
{
    if (region->enabled != enabled)
        region_set(region, region->base, enabled, 0);
}

void memory_shadow(void *opaque, uint32_t base, uint32_t size, bool read, bool write)
{
    struct machine *m = opaque;

    for (unsigned n = 0; n < SHADOW_AREAS; n++) {
        struct shadow_area *area = &m->shadow[n];

        if (area->ram->base < base || area->ram->base - base >= size)
            continue;
        show(area->ram, read && write);
        show(area->read_only, read && !write);
        show(area->write_only, !read && write);
    }
}
