/*
 * smbios.c - builds the SMBIOS structures (DMTF DSP0134 3.0) with the 2.8 entry point _SM_ and the 3.0 one
 * _SM3_.
 *
 * A structure is a formatted area (type, length, handle, fields), then its strings, each ended by a zero,
 * then one more zero. A field that names a string holds its number from 1, 0 for none.
 */
#include "bios/smbios.h"

#include <string.h>

#include "bios/bytes.h"
#include "bios/e820.h"

#define HANDLE_BIOS         0x0000
#define HANDLE_SYSTEM       0x0100
#define HANDLE_CHASSIS      0x0300
#define HANDLE_PROCESSOR    0x0400
#define HANDLE_MEMORY_ARRAY 0x1000
#define HANDLE_MEMORY       0x1100
#define HANDLE_MAPPED       0x1300 /* and the next one */
#define HANDLE_BOOT         0x2000
#define HANDLE_END          0x7F00
#define HANDLE_NONE         0xFFFE /* no error information */
#define NO_HANDLE           0xFFFF

#define KIB 1024u
#define MIB (1024u * KIB)

struct builder {
    struct smbios_tables *out;
    size_t start;    /* of the structure being built */
    uint8_t strings; /* it has so far */
    unsigned count, largest;
    bool full;
};

static uint8_t checksum(const uint8_t *data, size_t size)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < size; i++)
        sum += data[i];
    return -sum;
}

/*
 * The formatted area of a new structure, zero but for its header. Fields are given by their offset in the
 * manual.
 */
static uint8_t *begin(struct builder *b, uint8_t type, uint8_t length, uint16_t handle)
{
    uint8_t *at = b->out->data + b->out->size;

    /* Room for this one, the end of its strings, and always for a structure without strings after it. */
    if (b->out->size + length + 256 > SMBIOS_MAX) {
        b->full = true;
        b->out->size = SMBIOS_STRUCTURES;
        at = b->out->data + SMBIOS_STRUCTURES;
    }
    memset(at, 0, length);
    at[0] = type;
    at[1] = length;
    put16(at + 2, handle);
    b->start = b->out->size;
    b->strings = 0;
    b->out->size += length;
    return at;
}

/* Adds a string to the structure and returns its number; strings of a structure follow each other. */
static uint8_t string(struct builder *b, const char *text)
{
    size_t size = text ? strlen(text) + 1 : 0;

    if (size <= 1)
        return 0;
    if (b->out->size + size + 2 > SMBIOS_MAX) {
        b->full = true;
        return 0;
    }
    memcpy(b->out->data + b->out->size, text, size);
    b->out->size += size;
    return ++b->strings;
}

static void end(struct builder *b)
{
    size_t size;

    if (!b->strings)
        b->out->data[b->out->size++] = 0;
    b->out->data[b->out->size++] = 0;
    size = b->out->size - b->start;
    b->count++;
    if (size > b->largest)
        b->largest = size;
}

static void add_bios(struct builder *b)
{
    uint8_t *s = begin(b, 0, 0x18, HANDLE_BIOS);

    s[0x04] = string(b, "Oxbow");
    s[0x05] = string(b, "1.0");
    put16(s + 0x06, E820_BIOS_BASE >> 4);
    s[0x08] = string(b, "01/01/2024");
    s[0x09] = (E820_BIOS_END - E820_BIOS_BASE) / (64 * KIB) - 1;
    put64(s + 0x0A, 1u << 3 | 1u << 7); /* no characteristics but this; PCI */
    s[0x12] = 0x01;                     /* ACPI */
    s[0x13] = 0x14;                     /* targeted content, a virtual machine */
    s[0x14] = s[0x15] = 0xFF;           /* no version numbers: BIOS, embedded controller */
    s[0x16] = s[0x17] = 0xFF;
    end(b);
}

static void add_system(struct builder *b, const struct smbios_config *config)
{
    uint8_t *s = begin(b, 1, 0x1B, HANDLE_SYSTEM);

    s[0x04] = string(b, "Oxbow");
    s[0x05] = string(b, "Oxbow PC (i440FX)");
    s[0x06] = string(b, config->version);
    memcpy(s + 0x08, config->uuid, 16);
    s[0x18] = 0x06; /* woken by the power switch */
    end(b);
}

static void add_chassis(struct builder *b)
{
    uint8_t *s = begin(b, 3, 0x16, HANDLE_CHASSIS);

    s[0x04] = string(b, "Oxbow");
    s[0x05] = 0x01;                     /* other */
    s[0x09] = s[0x0A] = s[0x0B] = 0x03; /* boot-up, power and thermal state: safe */
    s[0x0C] = 0x02;                     /* security: unknown */
    end(b);
}

static void add_processor(struct builder *b, const struct smbios_config *config)
{
    uint8_t *s = begin(b, 4, 0x30, HANDLE_PROCESSOR);
    uint8_t cores = config->cpus < 0xFF ? config->cpus : 0xFF;

    s[0x04] = string(b, "CPU 0");
    s[0x05] = 0x03; /* a central processor */
    s[0x06] = 0x01; /* family: other; what it is CPUID says */
    s[0x07] = string(b, "Oxbow");
    s[0x18] = 0x41; /* populated, enabled */
    s[0x19] = 0x01; /* socket: other */
    put16(s + 0x1A, NO_HANDLE);
    put16(s + 0x1C, NO_HANDLE);
    put16(s + 0x1E, NO_HANDLE);
    s[0x23] = s[0x24] = s[0x25] = cores;
    put16(s + 0x26, 1u << 2 | (config->cpus > 1 ? 1u << 3 : 0)); /* 64-bit; several cores */
    put16(s + 0x28, 0x01);
    put16(s + 0x2A, config->cpus);
    put16(s + 0x2C, config->cpus);
    put16(s + 0x2E, config->cpus);
    end(b);
}

static void add_memory_array(struct builder *b, uint64_t ram_size)
{
    uint8_t *s = begin(b, 16, 0x17, HANDLE_MEMORY_ARRAY);

    s[0x04] = 0x03; /* on the system board */
    s[0x05] = 0x03; /* system memory */
    s[0x06] = 0x03; /* no error correction */
    if (ram_size / KIB < 0x80000000) {
        put32(s + 0x07, ram_size / KIB);
    } else {
        put32(s + 0x07, 0x80000000);
        put64(s + 0x0F, ram_size);
    }
    put16(s + 0x0B, HANDLE_NONE);
    put16(s + 0x0D, 1);
    end(b);
}

static void add_memory_device(struct builder *b, uint64_t ram_size)
{
    uint8_t *s = begin(b, 17, 0x28, HANDLE_MEMORY);
    uint64_t mib = ram_size / MIB;

    put16(s + 0x04, HANDLE_MEMORY_ARRAY);
    put16(s + 0x06, HANDLE_NONE);
    put16(s + 0x08, 0xFFFF); /* widths: unknown */
    put16(s + 0x0A, 0xFFFF);
    /* In MiB; what doesn't fit in 15 bits goes to the extended size. */
    put16(s + 0x0C, mib < 0x7FFF ? mib : 0x7FFF);
    if (mib >= 0x7FFF)
        put32(s + 0x1C, mib < 0x7FFFFFFF ? mib : 0x7FFFFFFF);
    s[0x0E] = 0x09; /* DIMM */
    s[0x10] = string(b, "DIMM 0");
    s[0x12] = 0x07;          /* RAM */
    put16(s + 0x13, 0x0002); /* detail: other */
    s[0x17] = string(b, "Oxbow");
    end(b);
}

/* [base, base + size) of the memory array, in KiB unless it reaches beyond 4 TiB. */
static void add_mapped(struct builder *b, unsigned n, uint64_t base, uint64_t size)
{
    uint8_t *s;

    if (!size)
        return;
    s = begin(b, 19, 0x1F, HANDLE_MAPPED + n);
    if ((base + size - 1) / KIB < 0xFFFFFFFF) {
        put32(s + 0x04, base / KIB);
        put32(s + 0x08, (base + size - 1) / KIB);
    } else {
        put32(s + 0x04, 0xFFFFFFFF);
        put32(s + 0x08, 0xFFFFFFFF);
        put64(s + 0x0F, base);
        put64(s + 0x17, base + size - 1);
    }
    put16(s + 0x0C, HANDLE_MEMORY_ARRAY);
    s[0x0E] = 1; /* devices in a row */
    end(b);
}

static void add_entry_points(struct builder *b, uint32_t address)
{
    uint8_t *sm = b->out->data + SMBIOS_ENTRY32, *sm3 = b->out->data + SMBIOS_ENTRY64;
    size_t size = b->out->size - SMBIOS_STRUCTURES;

    memcpy(sm, "_SM_", 4);
    sm[0x05] = SMBIOS_ENTRY32_SIZE;
    sm[0x06] = 2;
    sm[0x07] = 8;
    put16(sm + 0x08, b->largest);
    memcpy(sm + 0x10, "_DMI_", 5);
    put16(sm + 0x16, size);
    put32(sm + 0x18, address);
    put16(sm + 0x1C, b->count);
    sm[0x1E] = 0x28;
    sm[0x15] = checksum(sm + 0x10, 0x0F);
    sm[0x04] = checksum(sm, SMBIOS_ENTRY32_SIZE);

    memcpy(sm3, "_SM3_", 5);
    sm3[0x06] = SMBIOS_ENTRY64_SIZE;
    sm3[0x07] = 3;
    sm3[0x0A] = 1;
    put32(sm3 + 0x0C, size);
    put64(sm3 + 0x10, address);
    sm3[0x05] = checksum(sm3, SMBIOS_ENTRY64_SIZE);
}

bool smbios_build(const struct smbios_config *config, struct smbios_tables *out)
{
    struct builder b = {.out = out};
    uint64_t low = e820_low_ram(config->ram_size);

    memset(out, 0, sizeof(*out));
    out->size = SMBIOS_STRUCTURES;
    if (!config->unplaced)
        add_bios(&b);
    add_system(&b, config);
    add_chassis(&b);
    add_processor(&b, config);
    add_memory_array(&b, config->ram_size);
    add_memory_device(&b, config->ram_size);
    add_mapped(&b, 0, 0, low);
    add_mapped(&b, 1, E820_HIGH_BASE, e820_high_ram(config->ram_size));
    begin(&b, 32, 0x0B, HANDLE_BOOT); /* status 0: no errors */
    end(&b);
    begin(&b, 127, 4, HANDLE_END);
    end(&b);
    if (b.full)
        return false;
    add_entry_points(&b, config->unplaced ? 0 : SMBIOS_ADDRESS + SMBIOS_STRUCTURES);
    return true;
}
