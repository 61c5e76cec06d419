/*
 * acpi.c - builds the ACPI tables (ACPI specification 6.3, chapter 5) for a machine.
 *
 * What the tables promise is what devices/ has: the numbers of the fixed hardware are spelled again here
 * because firmware knows the board from its manual, not from its chips' sources; a unit test holds the two
 * together.
 */
#include "bios/acpi.h"

#include <stdlib.h>
#include <string.h>

#include "bios/bytes.h"
#include "bios/dsdt_aml.h"

#define PAGE     0x1000u
#define HEADER   36u
#define FACS     64u
#define FADT     276u
#define HPET     56u
#define MAX_CPUS 4096u

/* The board */
#define PM_BASE      0x600u
#define SCI          9
#define LAPIC_BASE   0xFEE00000u
#define IOAPIC_BASE  0xFEC00000u
#define HPET_BASE    0xFED00000u
#define HPET_ID      0x8086A201u /* Intel, legacy routing, 64-bit counter, 3 timers, revision 1 */
#define HPET_MINIMUM 0x80        /* ticks */

/* FADT, table 5-33 */
#define FADT_PROFILE_DESKTOP 1
#define FADT_LEGACY_DEVICES  0x0001
#define FADT_8042            0x0002
#define FADT_NO_VGA          0x0004
#define FADT_WBINVD          (1u << 0)
#define FADT_PROC_C1         (1u << 2)
#define FADT_NO_SLEEP_BUTTON (1u << 5) /* not a fixed feature; the power button is one */
#define FADT_NO_RTC_WAKE     (1u << 6)
#define FADT_RESET_REGISTER  (1u << 10)

#define SPACE_MEMORY 0
#define SPACE_IO     1

/* MADT, table 5-45 on */
#define MADT_PCAT_COMPAT 1 /* there are 8259s too */
#define MADT_LAPIC       0
#define MADT_IOAPIC      1
#define MADT_OVERRIDE    2
#define MADT_LAPIC_NMI   4
#define MADT_X2APIC      9
#define MADT_X2APIC_NMI  10
#define MADT_ENABLED     1
#define MPS_CONFORMS     0
#define MPS_LEVEL_HIGH   0x000D
#define ALL_CPUS         0xFF
#define ALL_X2APIC_CPUS  0xFFFFFFFFu

/* Tables grow one after the other in `data`; an overflow is remembered and reported at the end. */
struct builder {
    const struct acpi_config *config;
    struct acpi_tables *out;
    unsigned links_before; /* the table being built */
    uint8_t *data;
    size_t used, room;
    bool full;
    uint8_t spill[512]; /* where writes go once full */
};

static uint8_t checksum(const uint8_t *data, size_t size)
{
    uint8_t sum = 0;

    for (size_t i = 0; i < size; i++)
        sum += data[i];
    return -sum;
}

/* `size` zeroed bytes; at most sizeof(spill). */
static uint8_t *append(struct builder *b, size_t size)
{
    uint8_t *at = b->data + b->used;

    if (b->full || size > b->room - b->used) {
        b->full = true;
        memset(b->spill, 0, sizeof(b->spill));
        return b->spill;
    }
    b->used += size;
    return at;
}

/* Begins a table with its standard header, filled in but for length and checksum, which end_table() adds. */
static size_t begin_table(struct builder *b, const char *signature, uint8_t revision)
{
    size_t start = (b->used + 15) & ~(size_t)15;
    uint8_t *header;

    if (start <= b->room)
        b->used = start;
    b->links_before = b->out->link_count;
    header = append(b, HEADER);
    memcpy(header, signature, 4);
    header[8] = revision;
    memcpy(header + 10, "OXBOW ", 6);
    memcpy(header + 16, "OXBOWPC ", 8);
    put32(header + 24, 1);
    memcpy(header + 28, "OXBW", 4);
    put32(header + 32, 1);
    return start;
}

/* An address of 4 or 8 bytes at `at` in the table that is being built; 0 is none. */
static void put_link(struct builder *b, uint8_t *at, uint64_t address, uint8_t size)
{
    if (size == 8)
        put64(at, address);
    else
        put32(at, (uint32_t)address);
    if (b->full || !address)
        return;
    if (b->out->link_count == ACPI_LINKS_MAX) {
        b->full = true;
        return;
    }
    b->out->links[b->out->link_count++] = (struct acpi_link){(uint32_t)(at - b->data), size};
}

/* Returns the finished table's guest address. */
static uint64_t end_table(struct builder *b, size_t start)
{
    if (b->out->link_count > b->links_before)
        b->out->linked[b->out->linked_count++] =
            (struct acpi_extent){(uint32_t)start, (uint32_t)(b->used - start)};
    if (!b->full) {
        put32(b->data + start + 4, b->used - start);
        b->data[start + ACPI_HEADER_SUM] = checksum(b->data + start, b->used - start);
    }
    return b->config->base + start;
}

/* Generic address structure of 12 bytes (5.2.3.2): `bits` wide, accessed `access` bytes at a time, 0 for any.
 */
static void put_gas(uint8_t *at, uint8_t space, uint64_t address, uint8_t bits, uint8_t access)
{
    at[0] = space;
    at[1] = bits;
    at[2] = 0;
    at[3] = access == 4 ? 3 : access;
    put64(at + 4, address);
}

static uint64_t add_dsdt(struct builder *b)
{
    size_t start = (b->used + 15) & ~(size_t)15;

    if (start > b->room || sizeof(dsdt_aml) > b->room - start) {
        b->full = true;
        return 0;
    }
    memcpy(b->data + start, dsdt_aml, sizeof(dsdt_aml));
    b->used = start + sizeof(dsdt_aml);
    return b->config->base + start;
}

/* At the end of the area, outside what the OS reclaims; it has no checksum (5.2.10). */
static uint64_t add_facs(struct builder *b)
{
    uint8_t *facs = b->data + b->room;

    memcpy(facs, "FACS", 4);
    put32(facs + 4, FACS);
    facs[32] = 2;
    return b->config->base + b->room;
}

static void fill_fadt_ports(uint8_t *fadt)
{
    put16(fadt + 46, SCI);
    put32(fadt + 48, 0xB2); /* SMI command port: enable, disable */
    fadt[52] = 0xF1;
    fadt[53] = 0xF0;
    put32(fadt + 56, PM_BASE); /* PM1a event, control, timer, GPE0 */
    put32(fadt + 64, PM_BASE + 4);
    put32(fadt + 76, PM_BASE + 8);
    put32(fadt + 80, PM_BASE + 12);
    fadt[88] = 4;
    fadt[89] = 2;
    fadt[91] = 4;
    fadt[92] = 4;
    put_gas(fadt + 116, SPACE_IO, 0xCF9, 8, 1);
    fadt[128] = 0x06; /* reset value */
    put_gas(fadt + 148, SPACE_IO, PM_BASE, 32, 2);
    put_gas(fadt + 172, SPACE_IO, PM_BASE + 4, 16, 2);
    put_gas(fadt + 208, SPACE_IO, PM_BASE + 8, 32, 4);
    put_gas(fadt + 220, SPACE_IO, PM_BASE + 12, 32, 1);
}

static uint64_t add_fadt(struct builder *b, uint64_t dsdt, uint64_t facs)
{
    size_t start = begin_table(b, "FACP", 6);
    uint8_t *fadt = append(b, FADT - HEADER) - HEADER;

    if (b->full)
        return 0;
    put_link(b, fadt + 36, facs, 4);
    put_link(b, fadt + 40, dsdt, 4);
    fadt[45] = FADT_PROFILE_DESKTOP;
    fill_fadt_ports(fadt);
    put16(fadt + 96, 0xFFF); /* C2 and C3 latencies: too long to be used */
    put16(fadt + 98, 0xFFF);
    fadt[108] = 0x32; /* the century in CMOS */
    put16(fadt + 109, FADT_LEGACY_DEVICES | FADT_8042 | (b->config->vga ? 0 : FADT_NO_VGA));
    put32(fadt + 112,
          FADT_WBINVD | FADT_PROC_C1 | FADT_NO_SLEEP_BUTTON | FADT_NO_RTC_WAKE | FADT_RESET_REGISTER);
    put_link(b, fadt + 140, dsdt, 8); /* X_FIRMWARE_CTRL stays 0: the FACS is below 4 GiB (table 5-33) */
    memcpy(fadt + 268, "OXBOW", 5);   /* hypervisor vendor identity */
    return end_table(b, start);
}

static uint8_t *madt_entry(struct builder *b, uint8_t type, uint8_t length)
{
    uint8_t *entry = append(b, length);

    entry[0] = type;
    entry[1] = length;
    return entry;
}

/* IDs above 254 don't fit a local APIC entry: 255 is broadcast there. */
static void add_madt_cpu(struct builder *b, uint32_t id)
{
    uint8_t *entry;

    if (id < 255) {
        entry = madt_entry(b, MADT_LAPIC, 8);
        entry[2] = entry[3] = id;
        put32(entry + 4, MADT_ENABLED);
    } else {
        entry = madt_entry(b, MADT_X2APIC, 16);
        put32(entry + 4, id);
        put32(entry + 8, MADT_ENABLED);
        put32(entry + 12, id);
    }
}

static void add_madt_override(struct builder *b, uint8_t irq, uint32_t gsi, uint16_t flags)
{
    uint8_t *entry = madt_entry(b, MADT_OVERRIDE, 10);

    entry[3] = irq;
    put32(entry + 4, gsi);
    put16(entry + 8, flags);
}

static uint64_t add_madt(struct builder *b)
{
    size_t start = begin_table(b, "APIC", 4);
    uint8_t *entry = append(b, 8);

    put32(entry, LAPIC_BASE);
    put32(entry + 4, MADT_PCAT_COMPAT);
    for (uint32_t id = 0; id < b->config->cpus; id++)
        add_madt_cpu(b, id);
    entry = madt_entry(b, MADT_IOAPIC, 12);
    put32(entry + 4, IOAPIC_BASE);
    add_madt_override(b, 0, 2, MPS_CONFORMS);
    add_madt_override(b, SCI, SCI, MPS_LEVEL_HIGH);
    add_madt_override(b, 10, 10, MPS_LEVEL_HIGH); /* PCI's PIRQA and B, C and D */
    add_madt_override(b, 11, 11, MPS_LEVEL_HIGH);
    entry = madt_entry(b, MADT_LAPIC_NMI, 6);
    entry[2] = ALL_CPUS;
    entry[5] = 1; /* LINT1 */
    if (b->config->cpus > 255) {
        entry = madt_entry(b, MADT_X2APIC_NMI, 12);
        put32(entry + 4, ALL_X2APIC_CPUS);
        entry[8] = 1;
    }
    return end_table(b, start);
}

/* IA-PC HPET specification 1.0a, 3.2.4 */
static uint64_t add_hpet(struct builder *b)
{
    size_t start = begin_table(b, "HPET", 1);
    uint8_t *hpet = append(b, HPET - HEADER) - HEADER;

    if (b->full)
        return 0;
    put32(hpet + 36, HPET_ID);
    put_gas(hpet + 40, SPACE_MEMORY, HPET_BASE, 64, 0);
    put16(hpet + 53, HPET_MINIMUM);
    return end_table(b, start);
}

static uint64_t add_root(struct builder *b, const char *signature, const uint64_t *tables, unsigned count)
{
    unsigned width = signature[0] == 'X' ? 8 : 4;
    size_t start = begin_table(b, signature, 1);

    for (unsigned i = 0; i < count; i++) {
        put_link(b, append(b, width), tables[i], (uint8_t)width);
    }
    return end_table(b, start);
}

static void build_rsdp(uint8_t rsdp[ACPI_RSDP_SIZE], uint64_t rsdt, uint64_t xsdt)
{
    memset(rsdp, 0, ACPI_RSDP_SIZE);
    memcpy(rsdp, "RSD PTR ", 8);
    memcpy(rsdp + 9, "OXBOW ", 6);
    rsdp[15] = 2;
    put32(rsdp + ACPI_RSDP_RSDT, rsdt);
    put32(rsdp + 20, ACPI_RSDP_SIZE);
    put64(rsdp + ACPI_RSDP_XSDT, xsdt);
    rsdp[ACPI_RSDP_SUM] = checksum(rsdp, ACPI_RSDP_SUM1);
    rsdp[ACPI_RSDP_SUM2] = checksum(rsdp, ACPI_RSDP_SIZE);
}

bool acpi_build(const struct acpi_config *config, struct acpi_tables *out)
{
    struct builder b = {.config = config, .out = out};
    uint64_t tables[3], rsdt, xsdt, dsdt;
    unsigned count = 0;

    memset(out, 0, sizeof(*out));
    if (config->base % PAGE || config->size % PAGE || config->size < 2 * PAGE || !config->base ||
        config->base >= 1ull << 32 || config->size > (1ull << 32) - config->base || !config->cpus ||
        config->cpus > MAX_CPUS)
        return false;
    b.data = calloc(1, config->size);
    if (!b.data)
        return false;
    b.room = config->size - PAGE;

    dsdt = add_dsdt(&b);
    tables[count++] = add_fadt(&b, dsdt, add_facs(&b));
    tables[count++] = add_madt(&b);
    tables[count++] = add_hpet(&b);
    rsdt = add_root(&b, "RSDT", tables, count);
    xsdt = add_root(&b, "XSDT", tables, count);
    if (b.full) {
        free(b.data);
        memset(out, 0, sizeof(*out));
        return false;
    }
    build_rsdp(out->rsdp, rsdt, xsdt);
    out->rsdp_address = ACPI_RSDP_ADDRESS;
    out->data = b.data;
    out->base = config->base;
    out->size = config->size;
    return true;
}

void acpi_free(struct acpi_tables *tables)
{
    free(tables->data);
    memset(tables, 0, sizeof(*tables));
}
