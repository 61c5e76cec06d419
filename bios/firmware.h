/*
 * firmware.h - the files that a BIOS finds in the firmware configuration device: the memory map, ACPI and
 * SMBIOS tables to be placed by it, and what to boot.
 */
#ifndef BIOS_FIRMWARE_H
#define BIOS_FIRMWARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct firmware_config {
    uint64_t ram_size; /* bytes */
    unsigned cpus;
    bool vga;
    const char *version;    /* Oxbow's */
    const char *boot_order; /* device paths, a line each, best first; NULL: as the BIOS likes */
};

/* Takes one file, whose bytes are gone afterwards; false ends the work. */
struct firmware_sink {
    bool (*file)(void *opaque, const char *name, const void *data, size_t size);
    void *opaque;
};

/* Hands every file to the sink. False when that failed or memory ran out. */
bool firmware_describe(const struct firmware_config *config, const struct firmware_sink *sink);

#endif
