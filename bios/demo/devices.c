/* devices.c - the chips of a PC, each asked for a sign of life. */
#include "demo.h"

static const char *found(bool there)
{
    return there ? "found" : "not found";
}

static uint8_t cmos(uint8_t index)
{
    outb(0x70, index);
    return inb(0x71);
}

static unsigned from_bcd(uint8_t value)
{
    return (value >> 4) * 10u + (value & 15u);
}

static void show_rtc(void)
{
    enum {
        SECONDS = 0,
        MINUTES = 2,
        HOURS = 4,
        DAY = 7,
        MONTH = 8,
        YEAR = 9,
        STATUS_A = 10,
        STATUS_B = 11,
        CENTURY = 0x32
    };
    static const uint8_t index[] = {SECONDS, MINUTES, HOURS, DAY, MONTH, YEAR, CENTURY};
    unsigned v[7];
    bool binary = cmos(STATUS_B) & 4;
    /* While an update is in progress (status A bit 7) the time is not to be read. */
    for (unsigned tries = 0; tries < 1000000 && (cmos(STATUS_A) & 0x80); tries++)
        ;
    for (unsigned i = 0; i < 7; i++)
        v[i] = binary ? cmos(index[i]) : from_bcd(cmos(index[i]));
    if (v[4] < 1 || v[4] > 12 || v[3] < 1 || v[3] > 31) {
        print("  %-12s%s\n", "RTC", found(false));
        return;
    }
    print("  %-12s%02u%02u-%02u-%02u %02u:%02u:%02u\n", "RTC", v[6] ? v[6] : 20, v[5], v[4], v[3], v[2], v[1],
          v[0]);
}

/* The mask register keeps what is written, and the slave likewise. */
static void show_pic(void)
{
    uint8_t master = inb(0x21), slave = inb(0xA1);
    outb(0x21, 0xA5);
    outb(0xA1, 0x5A);
    bool there = inb(0x21) == 0xA5 && inb(0xA1) == 0x5A;
    outb(0x21, master);
    outb(0xA1, slave);
    print("  %-12s%s\n", "PIC", there ? "two 8259A" : found(false));
}

/* Channel 0's latched count moves. */
static void show_pit(void)
{
    bool moves = false;
    unsigned first = 0;
    outb(0x43, 0x34);
    outb(0x40, 0);
    outb(0x40, 0);
    for (unsigned i = 0; i < 100000 && !moves; i++) {
        outb(0x43, 0);
        unsigned count = inb(0x40);
        count |= (unsigned)inb(0x40) << 8;
        moves = i && count != first;
        first = count;
    }
    print("  %-12s%s\n", "PIT", moves ? "8254, counting" : found(false));
}

static void show_uarts(void)
{
    static const uint16_t base[] = {0x3F8, 0x2F8, 0x3E8, 0x2E8};
    static const char *const name[] = {"COM1", "COM2", "COM3", "COM4"};
    for (unsigned i = 0; i < 4; i++) {
        outb(base[i] + 7, 0x5A); /* scratch */
        if (inb(base[i] + 7) != 0x5A)
            continue;
        bool fifo = (inb(base[i] + 2) & 0xC0) == 0xC0;
        print("  %-12sport 0x%x, %s\n", name[i], base[i], fifo ? "16550A with FIFOs" : "16450");
    }
}

static void show_apics(const struct acpi *acpi)
{
    if (acpi->lapic)
        print("  %-12s0x%lx, ID %u, version 0x%x\n", "local APIC", acpi->lapic,
              mmio_read(acpi->lapic + 0x20) >> 24, mmio_read(acpi->lapic + 0x30) & 0xFF);
    else
        print("  %-12s%s\n", "local APIC", found(false));
    if (!acpi->ioapic) {
        print("  %-12s%s\n", "I/O APIC", found(false));
        return;
    }
    *(volatile uint32_t *)acpi->ioapic = 1;
    uint32_t version = mmio_read(acpi->ioapic + 0x10);
    print("  %-12s0x%lx, %u inputs, version 0x%x\n", "I/O APIC", acpi->ioapic, (version >> 16 & 0xFF) + 1,
          version & 0xFF);
}

static void show_hpet(const struct acpi *acpi)
{
    if (!acpi->hpet) {
        print("  %-12s%s\n", "HPET", found(false));
        return;
    }
    uint32_t period = mmio_read(acpi->hpet + 4); /* femtoseconds */
    uint32_t capabilities = mmio_read(acpi->hpet);
    print("  %-12s0x%lx, %u timers, %lu kHz\n", "HPET", acpi->hpet, (capabilities >> 8 & 31) + 1,
          period ? 1000000000000ul / period : 0);
}

static uint32_t pci_read(unsigned device, unsigned function, unsigned offset)
{
    outl(0xCF8, 0x80000000u | device << 11 | function << 8 | offset);
    return inl(0xCFC);
}

static const char *pci_class(uint32_t class)
{
    switch (class >> 16) {
    case 0x0100:
        return "SCSI controller";
    case 0x0101:
        return "IDE controller";
    case 0x0106:
        return "SATA controller";
    case 0x0108:
        return "NVMe controller";
    case 0x0200:
        return "Ethernet controller";
    case 0x0300:
        return "VGA controller";
    case 0x0401:
        return "audio device";
    case 0x0600:
        return "host bridge";
    case 0x0601:
        return "ISA bridge";
    case 0x0604:
        return "PCI bridge";
    case 0x0680:
        return "bridge";
    case 0x0C03:
        return "USB controller";
    default:
        return "device";
    }
}

static void show_pci(void)
{
    unsigned functions = 0;
    for (unsigned device = 0; device < 32; device++) {
        for (unsigned function = 0; function < 8; function++) {
            uint32_t id = pci_read(device, function, 0);
            if ((id & 0xFFFF) != 0xFFFF) {
                uint32_t class = pci_read(device, function, 8);
                print("  PCI %02u.%u    %04x:%04x %s (class %06x)\n", device, function, id & 0xFFFF, id >> 16,
                      pci_class(class), class >> 8);
                functions++;
            }
            /* Only multi-function devices decode functions 1-7. */
            if (function == 0 && ((id & 0xFFFF) == 0xFFFF || !(pci_read(device, 0, 12) >> 16 & 0x80)))
                break;
        }
    }
    if (!functions)
        print("  %-12s%s\n", "PCI", found(false));
}

void show_devices(const struct acpi *acpi)
{
    heading("Devices");
    show_pic();
    show_apics(acpi);
    show_pit();
    show_hpet(acpi);
    show_rtc();
    show_uarts();
    show_pci();
}
