/*
 * smbios.h - the SMBIOS structures: what the machine is called and what is in it, for inventories such as
 * dmidecode.
 */
#ifndef BIOS_SMBIOS_H
#define BIOS_SMBIOS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SMBIOS_ADDRESS 0xF5B00u /* in the BIOS area: both entry points, then the structures */
#define SMBIOS_MAX     0x1000u

/* Offsets in the data: the 32-bit entry point, the 64-bit one, and the structures, to the end. */
#define SMBIOS_ENTRY32      0x00
#define SMBIOS_ENTRY32_SIZE 0x1F
#define SMBIOS_ENTRY64      0x20
#define SMBIOS_ENTRY64_SIZE 0x18
#define SMBIOS_STRUCTURES   0x40

struct smbios_config {
    uint64_t ram_size;   /* bytes */
    unsigned cpus;       /* cores of the one socket */
    const char *version; /* Oxbow's, as a text; NULL for none */
    uint8_t uuid[16];    /* as the structure holds it; all zero: not set */
    bool unplaced; /* for a BIOS that adds a structure for itself and chooses the place: addresses are 0 */
};

struct smbios_tables {
    uint8_t data[SMBIOS_MAX]; /* goes to SMBIOS_ADDRESS */
    size_t size;
};

/* False when it doesn't fit, which only an absurdly long version can cause. */
bool smbios_build(const struct smbios_config *config, struct smbios_tables *out);

#endif
