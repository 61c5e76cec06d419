/*
 * pc.c - the floor plan: every chip of the PC, its address, its ports and its interrupt, and how they are
 * wired.
 *
 *     memory  00000000  RAM, up to 0xC0000000, with a hole for video at 000A0000-000BFFFF
 *             FEC00000  I/O APIC          FED00000  HPET          FEE00000  local APIC
 *            100000000  the rest of RAM
 *
 *     ports   0020 00A0 04D0  PIC pair    0040 0061  PIT          0060 0064 0092  keyboard controller
 *             0070  RTC and CMOS          00E9 0402  debug ports  03F8  COM1
 *             0600 00B2  ACPI             0CF8 0CFC 0CF9  PCI host bridge, reset
 *
 *     IRQ     0 PIT or HPET   1 keyboard   4 COM1   8 RTC or HPET   9 ACPI (SCI)   12 mouse
 *
 * An ISA interrupt line n leads to input n of the PIC pair and to the same input of the I/O APIC, but for
 * line 0, which is the I/O APIC's input 2 (the ACPI MADT says so). The PIC's output is LINT0 of the local
 * APIC, which asks the PIC for the vector (ExtINT). The local APIC drives the CPU's INTR.
 */
#include <string.h>

#include "bios/e820.h"
#include "devices/acpi_pm.h"
#include "devices/apic_bus.h"
#include "devices/debug_port.h"
#include "devices/exit_port.h"
#include "devices/hpet.h"
#include "devices/i8042.h"
#include "devices/ioapic.h"
#include "devices/lapic.h"
#include "devices/pci_host.h"
#include "devices/pic.h"
#include "devices/pit.h"
#include "devices/rtc.h"
#include "devices/uart.h"
#include "host/chardev.h"
#include "host/time.h"
#include "machine/machine.h"

#define MEMORY_SPACE (1ull << 52)
#define PORT_SPACE   (1ull << 16)
#define PHYS_BITS    40 /* what the CPU model says by default */
#define VIDEO_BASE   0xA0000u
#define VIDEO_END    0xC0000u
#define COM1         0x3F8

/* The ends of the wires. */

static void isa_line(void *opaque, int n, bool level)
{
    struct machine *m = opaque;

    irq_set(&m->isa_pic[n], level);
    irq_set(&m->isa_ioapic[n], level);
}

static void reset_line(void *opaque, int n, bool level)
{
    (void)n;
    if (level)
        machine_reset(opaque);
}

static void poweroff_line(void *opaque, int n, bool level)
{
    (void)n;
    if (level)
        machine_end(opaque, EXIT_POWEROFF);
}

static void exit_port(void *opaque, uint32_t status)
{
    machine_end(opaque, (int)(status & 0xFF));
}

static void quit_keys(void *opaque)
{
    machine_end(opaque, EXIT_POWEROFF);
}

enum cpu_pin { PIN_INTR, PIN_NMI, PIN_SMI, PIN_INIT, PIN_A20 };

static void cpu_line(void *opaque, int n, bool level)
{
    struct machine *m = opaque;

    if (!m->cpu)
        return;
    if (n == PIN_INTR)
        cpu_intr(m->cpu, level);
    else if (n == PIN_A20)
        cpu_a20(m->cpu, level);
    else if (level && n == PIN_NMI)
        cpu_nmi(m->cpu);
    else if (level && n == PIN_SMI)
        cpu_smi(m->cpu);
    else if (level && n == PIN_INIT)
        cpu_init(m->cpu);
}

static void sipi_message(void *opaque, uint8_t vector)
{
    struct machine *m = opaque;

    if (m->cpu)
        cpu_sipi(m->cpu, vector);
}

static int pic_vector(void *opaque)
{
    struct machine *m = opaque;

    return m->pic ? pic_acknowledge(m->pic) : -1;
}

static void lapic_moved(void *opaque, uint64_t base, bool enabled)
{
    struct machine *m = opaque;

    if (m->lapic_page)
        region_set(m->lapic_page, base, enabled, 1);
}

/* Remembers a chip for reset and free. False when there is none. */
static bool add(struct machine *m, const struct device_class *class, void *device)
{
    if (!device || m->chip_count == MACHINE_CHIPS)
        return false;
    m->chips[m->chip_count++] = (struct machine_chip){class, device};
    return true;
}

/* RAM in its places: around the video hole, up to the PCI hole, and above 4 GiB. */
static bool map_ram(struct machine *m)
{
    uint64_t low = e820_low_ram(m->ram->size), high = e820_high_ram(m->ram->size);
    uint8_t *host = m->ram->base;

    return bus_map_ram(m->memory, "ram-base", 0, VIDEO_BASE, host) &&
           bus_map_ram(m->memory, "ram-low", VIDEO_END, low - VIDEO_END, host + VIDEO_END) &&
           (!high || bus_map_ram(m->memory, "ram-high", E820_HIGH_BASE, high, host + low));
}

/* The stream that an option names, unless there is one already. */
static bool open_stream(struct machine *m, struct chardev **chr, const char *option, const char *where,
                        char *why, size_t why_size)
{
    char reason[300];

    if (*chr)
        return true;
    *chr = host_chardev_open(where, m->loop, m->log, reason, sizeof(reason));
    if (!*chr) {
        snprintf(why, why_size, "%s %s", option, reason);
        return false;
    }
    host_chardev_on_quit(*chr, quit_keys, m);
    return true;
}

/* Where the serial port's and the debug ports' bytes go. */
static bool open_streams(struct machine *m, char *why, size_t why_size)
{
    return open_stream(m, &m->serial, "--serial", m->options->serial, why, why_size) &&
           open_stream(m, &m->debugcon, "--debugcon", m->options->debugcon, why, why_size);
}

/* The CPU with its local APIC, and the way interrupts take to it. */
static bool wire_cpu(struct machine *m, char *why, size_t why_size)
{
    struct lapic_wires lapic_wires = {
        .intr = {cpu_line, m, PIN_INTR},
        .nmi = {cpu_line, m, PIN_NMI},
        .smi = {cpu_line, m, PIN_SMI},
        .init = {cpu_line, m, PIN_INIT},
        .sipi = sipi_message,
        .sipi_opaque = m,
        .extint = pic_vector,
        .extint_opaque = m,
        .moved = lapic_moved,
        .moved_opaque = m,
    };

    m->apic_bus = apic_bus_new();
    if (!m->apic_bus)
        return false;
    m->lapic = lapic_new(m->clock, m->apic_bus, 0, PHYS_BITS, &lapic_wires, m->log);
    if (!add(m, &lapic_class, m->lapic))
        return false;
    m->lapic_page = bus_map(m->memory, "lapic", LAPIC_BASE, LAPIC_SIZE, &lapic_mmio_ops, m->lapic);
    if (!m->lapic_page)
        return false;
    region_set(m->lapic_page, LAPIC_BASE, true, 1);

    struct cpu_config config = {
        .id = 0,
        .count = m->options->cpus,
        .memory = m->memory,
        .ports = m->ports,
        .clock = m->clock,
        .lock = &m->lock,
        .log = m->log,
        .intc = lapic_intc(m->lapic),
        .model = m->options->cpu,
    };
    m->cpu = cpu_new(&config, why, why_size);
    return m->cpu;
}

/* Interrupt controllers and timers. */
static bool wire_interrupts(struct machine *m)
{
    struct irq isa[ISA_LINES], routes[HPET_ROUTES];
    struct hpet *hpet;

    m->ioapic = ioapic_new(m->memory, m->apic_bus, m->log);
    m->pic = pic_new(m->ports, lapic_lint(m->lapic, 0), m->log);
    if (!add(m, &ioapic_class, m->ioapic) || !add(m, &pic_class, m->pic))
        return false;
    for (int n = 0; n < ISA_LINES; n++) {
        m->isa_pic[n] = pic_input(m->pic, n);
        m->isa_ioapic[n] = ioapic_input(m->ioapic, n == 0 ? 2 : (unsigned)n);
        isa[n] = (struct irq){isa_line, m, n};
    }
    for (unsigned n = 0; n < HPET_ROUTES; n++)
        routes[n] = ioapic_input(m->ioapic, n);

    hpet = hpet_new(m->clock, m->memory, routes, isa[0], isa[8], m->log);
    if (!add(m, &hpet_class, hpet))
        return false;
    m->rtc = rtc_new(m->clock, m->ports, hpet_rtc_input(hpet), m->log);
    return add(m, &rtc_class, m->rtc) &&
           add(m, &pit_class, pit_new(m->clock, m->ports, hpet_pit_input(hpet), m->log));
}

/* The rest of the board. */
static bool wire_board(struct machine *m)
{
    const struct irq reset = {reset_line, m, 0};
    const struct irq com1 = {isa_line, m, 4};
    const struct acpi_pm_wires acpi_wires = {.sci = {isa_line, m, 9}, .poweroff = {poweroff_line, m, 0}};
    const struct debug_port_wires debug_wires = {.console = m->debugcon, .firmware = m->debugcon};
    const struct i8042_wires keyboard_wires = {
        .irq_keyboard = {isa_line, m, 1},
        .irq_mouse = {isa_line, m, 12},
        .reset = reset,
        .a20 = {cpu_line, m, PIN_A20},
    };
    /* Without a BIOS in ROM there is nothing to start at after INIT, so a soft reset is a hard one. */
    const struct pci_host_wires pci_wires = {.reset = reset, .init = reset};

    m->pci_bus = pci_bus_new(m->log);
    m->acpi_pm = acpi_pm_new(m->clock, m->ports, &acpi_wires, m->log);
    return m->pci_bus && add(m, &acpi_pm_class, m->acpi_pm) &&
           add(m, &pci_host_class, pci_host_new(m->ports, m->pci_bus, &pci_wires, m->log)) &&
           add(m, &i8042_class, i8042_new(m->ports, &keyboard_wires, m->log)) &&
           add(m, &uart_class, uart_new(m->ports, COM1, com1, m->serial, m->clock, m->log)) &&
           add(m, &debug_port_class, debug_port_new(m->ports, &debug_wires)) &&
           (m->options->exit_port < 0 ||
            add(m, &exit_port_class, exit_port_new(m->ports, (uint16_t)m->options->exit_port, exit_port, m)));
}

bool pc_build(struct machine *m, char *why, size_t why_size)
{
    struct clock_source source = host_clock_source(m->loop);

    snprintf(why, why_size, "out of memory");
    m->clock = clock_new(&source);
    m->memory = bus_new("memory", MEMORY_SPACE, &m->lock);
    m->ports = bus_new("ports", PORT_SPACE, &m->lock);
    return m->clock && m->memory && m->ports && map_ram(m) && open_streams(m, why, why_size) &&
           wire_cpu(m, why, why_size) && wire_interrupts(m) && wire_board(m);
}

void pc_free(struct machine *m)
{
    while (m->chip_count) {
        struct machine_chip *chip = &m->chips[--m->chip_count];
        chip->class->free(chip->device);
    }
    cpu_free(m->cpu);
    apic_bus_free(m->apic_bus);
    pci_bus_free(m->pci_bus);
    if (m->serial)
        m->serial->close(m->serial);
    if (m->debugcon)
        m->debugcon->close(m->debugcon);
    bus_free(m->ports);
    bus_free(m->memory);
    clock_free(m->clock);
}
