/*
 * rom.h - a BIOS in ROM: where it is in the memory map, and what can't be one.
 */
#ifndef BIOS_ROM_H
#define BIOS_ROM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bus;

#define ROM_MIN    0x10000u
#define ROM_MAX    0x1000000u /* from 0xFF000000 up */
#define ROM_SHADOW 0x20000u   /* as much of its end is also seen below 1 MiB */
#define ROM_GRAIN  0x1000u

/* Whether a file of this size can be a BIOS. False: `why` says in a line that names the file what is wrong.
 */
bool rom_check(const char *name, size_t size, char *why, size_t why_size);

/*
 * Maps `data` so that it ends at 4 GiB, and its last ROM_SHADOW bytes (all of a smaller one) so that they end
 * at 1 MiB, there under whatever is mapped at priority 0. The bytes must outlive the bus. False when memory
 * ran out.
 */
bool rom_map(struct bus *memory, uint8_t *data, size_t size);

#endif
