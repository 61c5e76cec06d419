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

struct acpi_tables {
    uint8_t rsdp[ACPI_RSDP_SIZE]; /* goes to rsdp_address */
    uint64_t rsdp_address;
    uint8_t *data; /* `size` bytes that go to `base`; acpi_free() frees them */
    uint64_t base;
    size_t size;
};

/* False when the configuration is out of range, the tables don't fit or memory ran out; *out is then empty.
 */
bool acpi_build(const struct acpi_config *config, struct acpi_tables *out);
void acpi_free(struct acpi_tables *tables);

#endif
