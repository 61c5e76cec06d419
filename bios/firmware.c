/*
 * firmware.c - the files for a BIOS. Their names and forms are those that SeaBIOS and OVMF look for.
 *
 * "etc/table-loader" is a list of commands of 128 bytes that places the ACPI tables:
 *
 *     1 allocate      u32 1, char file[56], u32 alignment, u8 zone
 *     2 add pointer   u32 2, char in[56], char to[56], u32 offset, u8 size
 *                     the integer of `size` bytes at `offset` in one file, so far an offset in another,
 * becomes an address 3 add checksum  u32 3, char file[56], u32 where, u32 start, u32 size
 */
#include "bios/firmware.h"

#include <stdlib.h>
#include <string.h>

#include "bios/acpi.h"
#include "bios/bytes.h"
#include "bios/e820.h"
#include "bios/smbios.h"

#define PAGE 0x1000u

#define TABLES "etc/acpi/tables"
#define RSDP   "etc/acpi/rsdp"

#define COMMAND_SIZE  128
#define COMMAND_NAME  56
#define COMMANDS_MAX  (6 + 2 * ACPI_LINKS_MAX)
#define ADD_ALLOCATE  1
#define ADD_POINTER   2
#define ADD_CHECKSUM  3
#define ZONE_HIGH     1 /* anywhere below 4 GiB */
#define ZONE_FSEG     2 /* 0xF0000-0xFFFFF, where an OS looks for the RSDP */
#define TABLES_ALIGN  64
#define RSDP_ALIGN    16
#define E820_RAM_SIZE 20 /* of an entry */

struct script {
    uint8_t commands[COMMANDS_MAX][COMMAND_SIZE];
    unsigned count;
};

/* A new command on `file`; its fields follow at the address returned. */
static uint8_t *command(struct script *script, uint32_t what, const char *file)
{
    uint8_t *at = script->commands[script->count++];

    put32(at, what);
    strncpy((char *)at + 4, file, COMMAND_NAME - 1);
    return at + 4 + COMMAND_NAME;
}

static void allocate(struct script *script, const char *file, uint32_t alignment, uint8_t zone)
{
    uint8_t *at = command(script, ADD_ALLOCATE, file);

    put32(at, alignment);
    at[4] = zone;
}

static void point(struct script *script, const char *in, const char *to, uint32_t offset, uint8_t size)
{
    uint8_t *at = command(script, ADD_POINTER, in);

    strncpy((char *)at, to, COMMAND_NAME - 1);
    put32(at + COMMAND_NAME, offset);
    at[COMMAND_NAME + 4] = size;
}

static void sum(struct script *script, const char *file, uint32_t where, uint32_t start, uint32_t size)
{
    uint8_t *at = command(script, ADD_CHECKSUM, file);

    put32(at, where);
    put32(at + 4, start);
    put32(at + 8, size);
}

/* Addresses become offsets from the base, which is where the script begins. */
static void make_offsets(struct acpi_tables *tables)
{
    for (unsigned i = 0; i < tables->link_count; i++) {
        uint8_t *at = tables->data + tables->links[i].offset;

        if (tables->links[i].size == 8)
            put64(at, get64(at) - tables->base);
        else
            put32(at, get32(at) - (uint32_t)tables->base);
    }
    put32(tables->rsdp + ACPI_RSDP_RSDT, get32(tables->rsdp + ACPI_RSDP_RSDT) - (uint32_t)tables->base);
    put64(tables->rsdp + ACPI_RSDP_XSDT, get64(tables->rsdp + ACPI_RSDP_XSDT) - tables->base);
}

static void write_script(struct script *script, const struct acpi_tables *tables)
{
    allocate(script, TABLES, TABLES_ALIGN, ZONE_HIGH);
    allocate(script, RSDP, RSDP_ALIGN, ZONE_FSEG);
    for (unsigned i = 0; i < tables->link_count; i++)
        point(script, TABLES, TABLES, tables->links[i].offset, tables->links[i].size);
    for (unsigned i = 0; i < tables->linked_count; i++)
        sum(script, TABLES, tables->linked[i].offset + ACPI_HEADER_SUM, tables->linked[i].offset,
            tables->linked[i].size);
    point(script, RSDP, TABLES, ACPI_RSDP_RSDT, 4);
    point(script, RSDP, TABLES, ACPI_RSDP_XSDT, 8);
    sum(script, RSDP, ACPI_RSDP_SUM, 0, ACPI_RSDP_SUM1);
    sum(script, RSDP, ACPI_RSDP_SUM2, 0, ACPI_RSDP_SIZE);
}

static bool give(const struct firmware_sink *sink, const char *name, const void *data, size_t size)
{
    return sink->file(sink->opaque, name, data, size);
}

/* The least room in which the tables fit, at an address that doesn't matter. */
static bool build_tables(const struct firmware_config *config, struct acpi_tables *tables)
{
    for (size_t size = 4 * PAGE; size <= 64 * PAGE; size *= 2) {
        const struct acpi_config acpi = {
            .base = PAGE, .size = size, .cpus = config->cpus, .vga = config->vga};

        if (acpi_build(&acpi, tables))
            return true;
    }
    return false;
}

static bool describe_acpi(const struct firmware_config *config, const struct firmware_sink *sink)
{
    struct script *script = calloc(1, sizeof(*script));
    struct acpi_tables tables;
    bool done;

    if (!script || !build_tables(config, &tables)) {
        free(script);
        return false;
    }
    make_offsets(&tables);
    write_script(script, &tables);
    done = give(sink, TABLES, tables.data, tables.size) &&
           give(sink, RSDP, tables.rsdp, sizeof(tables.rsdp)) &&
           give(sink, "etc/table-loader", script->commands, (size_t)script->count * COMMAND_SIZE);
    acpi_free(&tables);
    free(script);
    return done;
}

static bool describe_smbios(const struct firmware_config *config, const struct firmware_sink *sink)
{
    const struct smbios_config inventory = {
        .ram_size = config->ram_size, .cpus = config->cpus, .version = config->version, .unplaced = true};
    struct smbios_tables tables;

    return smbios_build(&inventory, &tables) &&
           give(sink, "etc/smbios/smbios-anchor", tables.data + SMBIOS_ENTRY32, SMBIOS_ENTRY32_SIZE) &&
           give(sink, "etc/smbios/smbios-tables", tables.data + SMBIOS_STRUCTURES,
                tables.size - SMBIOS_STRUCTURES);
}

/* All RAM; what of it firmware keeps for itself it says to the OS. */
static bool describe_ram(const struct firmware_config *config, const struct firmware_sink *sink)
{
    uint64_t high = e820_high_ram(config->ram_size);
    uint8_t map[2 * E820_RAM_SIZE] = {0};

    put64(map + 8, e820_low_ram(config->ram_size));
    put32(map + 16, E820_RAM);
    put64(map + E820_RAM_SIZE, E820_HIGH_BASE);
    put64(map + E820_RAM_SIZE + 8, high);
    put32(map + E820_RAM_SIZE + 16, E820_RAM);
    return give(sink, "etc/e820", map, high ? sizeof(map) : E820_RAM_SIZE);
}

bool firmware_describe(const struct firmware_config *config, const struct firmware_sink *sink)
{
    return describe_ram(config, sink) && describe_acpi(config, sink) && describe_smbios(config, sink) &&
           (!config->boot_order ||
            give(sink, "bootorder", config->boot_order, strlen(config->boot_order) + 1));
}
