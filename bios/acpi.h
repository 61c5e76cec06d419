/*
 * acpi.h - the ACPI tables: RSDP, RSDT, XSDT, FADT, FACS, MADT, HPET and the DSDT compiled from dsdt.asl.
 */
#ifndef BIOS_ACPI_H
#define BIOS_ACPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ACPI_RSDP_ADDRESS 0xF5A00u /* in the BIOS area, where an OS scans on 16-byte boundaries */
#define ACPI_RSDP_SIZE    36u

struct acpi_config {
    uint64_t base; /* where the tables will lie: guest address, page-aligned, below 4 GiB */
    size_t size;   /* room there, whole pages; the last page is for the FACS */
    unsigned cpus; /* at least 1; APIC IDs are 0 to cpus - 1 */
    bool vga;      /* there is a VGA adapter */
};

#define ACPI_LINKS_MAX  16
#define ACPI_RSDP_RSDT  16 /* where in the RSDP the roots' addresses are, of 4 and 8 bytes */
#define ACPI_RSDP_XSDT  24
#define ACPI_RSDP_SUM   8 /* the checksum of the first ACPI_RSDP_SUM1 bytes ... */
#define ACPI_RSDP_SUM1  20
#define ACPI_RSDP_SUM2  32 /* ... and of all */
#define ACPI_HEADER_SUM 9  /* in a table's header */

struct acpi_tables {
    uint8_t rsdp[ACPI_RSDP_SIZE]; /* goes to rsdp_address */
    uint64_t rsdp_address;
    uint8_t *data; /* `size` bytes that go to `base`; acpi_free() frees them */
    uint64_t base;
    size_t size;
    /* For who puts them elsewhere: the addresses in `data` that point into it ... */
    struct acpi_link {
        uint32_t offset;
        uint8_t size; /* 4 or 8 */
    } links[ACPI_LINKS_MAX];
    unsigned link_count;
    /* ... and the tables that have such, whose checksums change. */
    struct acpi_extent {
        uint32_t offset, size;
    } linked[ACPI_LINKS_MAX];
    unsigned linked_count;
};

/* False when the configuration is out of range, the tables don't fit or memory ran out; *out is then empty.
 */
bool acpi_build(const struct acpi_config *config, struct acpi_tables *out);
void acpi_free(struct acpi_tables *tables);

#endif
