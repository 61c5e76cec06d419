/* acpi.c - the few ACPI tables that a small kernel needs: where the interrupt controllers are, and how to
 * power off. */
#include "demo.h"

#define HEADER_SIZE 36

static uint16_t at16(uint64_t p)
{
    return (uint16_t)(((const uint8_t *)p)[0] | ((const uint8_t *)p)[1] << 8);
}

static uint32_t at32(uint64_t p)
{
    return at16(p) | (uint32_t)at16(p + 2) << 16;
}

static uint64_t at64(uint64_t p)
{
    return at32(p) | (uint64_t)at32(p + 4) << 32;
}

static uint8_t at8(uint64_t p)
{
    return *(const uint8_t *)p;
}

static bool is(uint64_t p, const char *text)
{
    for (; *text; text++, p++)
        if (at8(p) != (uint8_t)*text)
            return false;
    return true;
}

static bool sums_to_zero(uint64_t p, uint32_t size)
{
    uint8_t sum = 0;
    for (uint32_t i = 0; i < size; i++)
        sum = (uint8_t)(sum + at8(p + i));
    return sum == 0;
}

static void read_madt(struct acpi *acpi, uint64_t madt)
{
    uint64_t end = madt + at32(madt + 4);
    acpi->lapic = at32(madt + HEADER_SIZE);
    for (uint64_t p = madt + HEADER_SIZE + 8; p + 2 <= end && at8(p + 1) >= 2; p += at8(p + 1)) {
        if (at8(p) == 0 && (at32(p + 4) & 1))
            acpi->cpus++;
        if (at8(p) == 1 && !acpi->ioapic)
            acpi->ioapic = at32(p + 4);
    }
}

/* A small integer in AML: ZeroOp, OneOp, or BytePrefix and a byte. */
static uint8_t aml_integer(uint64_t *p)
{
    uint8_t op = at8((*p)++);
    return op == 0x0A ? at8((*p)++) : op;
}

/* \_S5 is Name (_S5, Package () {type for PM1a, type for PM1b, ...}). */
static void read_dsdt(struct acpi *acpi, uint64_t dsdt)
{
    uint64_t end = dsdt + at32(dsdt + 4);
    for (uint64_t p = dsdt + HEADER_SIZE; p + 12 < end; p++) {
        if (!is(p, "_S5_") || at8(p + 4) != 0x12)
            continue;
        p += 5;
        p += 1 + (at8(p) >> 6); /* PkgLength: its first byte tells how many follow */
        p += 1;                 /* number of elements */
        acpi->sleep_type_a = aml_integer(&p);
        acpi->sleep_type_b = aml_integer(&p);
        return;
    }
}

static void read_fadt(struct acpi *acpi, uint64_t fadt)
{
    uint32_t size = at32(fadt + 4);
    acpi->pm1a_control = (uint16_t)at32(fadt + 64);
    acpi->pm1b_control = (uint16_t)at32(fadt + 68);
    acpi->pm_timer = (uint16_t)at32(fadt + 76);
    acpi->pm_timer_32bit = at32(fadt + 112) & 1 << 8; /* TMR_VAL_EXT */
    uint64_t dsdt = size >= 148 ? at64(fadt + 140) : 0;
    if (!dsdt)
        dsdt = at32(fadt + 40);
    if (dsdt)
        read_dsdt(acpi, dsdt);
}

static void read_table(struct acpi *acpi, uint64_t table, unsigned *column)
{
    char name[5] = {0};
    for (unsigned i = 0; i < 4; i++)
        name[i] = (char)at8(table + i);
    print_word(column, name);
    if (!sums_to_zero(table, at32(table + 4)))
        print_word(column, "(bad checksum)");
    if (is(table, "APIC"))
        read_madt(acpi, table);
    if (is(table, "FACP"))
        read_fadt(acpi, table);
    if (is(table, "HPET"))
        acpi->hpet = at64(table + 44);
}

void acpi_find(struct acpi *acpi, uint64_t rsdp)
{
    unsigned column = 13;
    for (uint64_t p = 0xE0000; !rsdp && p < 0x100000; p += 16)
        if (is(p, "RSD PTR ") && sums_to_zero(p, 20))
            rsdp = p;
    /* Without tables: the ports where this kind of PC has them. */
    acpi->pm1a_control = 0x604;
    acpi->pm_timer = 0x608;
    acpi->cpus = 0;
    heading("ACPI");
    if (!rsdp) {
        print("  no tables\n");
        acpi->cpus = 1;
        return;
    }
    print("  %-12s0x%lx, revision %u\n", "RSDP", rsdp, at8(rsdp + 15));
    uint64_t root = at8(rsdp + 15) >= 2 ? at64(rsdp + 24) : 0;
    unsigned width = root ? 8 : 4;
    if (!root)
        root = at32(rsdp + 16);
    print("  %-11s", "tables");
    uint64_t end = root + at32(root + 4);
    for (uint64_t p = root + HEADER_SIZE; p + width <= end; p += width)
        read_table(acpi, width == 8 ? at64(p) : at32(p), &column);
    print("\n");
    if (!acpi->cpus)
        acpi->cpus = 1;
    print("  %-12s%u\n", "processors", acpi->cpus);
}

void power_off(const struct acpi *acpi)
{
    enum { SLEEP_ENABLE = 1 << 13 };
    outw(acpi->pm1a_control, (uint16_t)(acpi->sleep_type_a << 10 | SLEEP_ENABLE));
    if (acpi->pm1b_control)
        outw(acpi->pm1b_control, (uint16_t)(acpi->sleep_type_b << 10 | SLEEP_ENABLE));
    /* The power may go a moment after the write. */
    for (unsigned i = 0; i < 5000000; i++)
        inb(0x61);
}
