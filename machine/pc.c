/*
 * pc.c - the floor plan: every chip of the PC, its address, its ports and its interrupt, and how they are
 * wired.
 *
 *     memory  RAM and BIOS: see memory.c
 *             FEC00000  I/O APIC          FED00000  HPET          FEE00000  local APIC
 *
 *     ports   0020 00A0 04D0  PIC pair    0040 0061  PIT          0060 0064 0092  keyboard controller
 *             0070  RTC and CMOS          00E9 0402  debug ports  03F8 02F8 03E8 02E8  COM1-4
 *             0600 00B2  ACPI             0CF8 0CFC 0CF9  PCI host bridge, reset
 *             0000 0080 00C0  DMA         0510  firmware configuration
 *
 *             01F0 0170  IDE              03B0 01CE  VGA          03F2  floppy disks
 *             0378  parallel port       00E0 2000  test device, with FF000000
 *
 *     PCI     00.0  host bridge           01.0  ISA bridge        01.1  IDE
 *             01.3  power management, SMBus                       02.0  VGA
 *             03.0 to 06.0  network cards
 *             07.0 to 0F.0  controllers of disks that aren't IDE's
 *             10.0 to 1F.0  folders of the host, then what --device adds
 *
 *     IRQ     0 PIT or HPET   1 keyboard   3 COM2, COM4   4 COM1, COM3   8 RTC or HPET   9 ACPI (SCI)   12
 * mouse 6 floppy disks   7 parallel port   14 15 IDE   10 11 PCI, as the ISA bridge was told
 *
 * An ISA interrupt line n leads to input n of the PIC pair and to the same input of the I/O APIC, but for
 * line 0, which is the I/O APIC's input 2 (the ACPI MADT says so). The PIC's output is LINT0 of the local
 * APIC, which asks the PIC for the vector (ExtINT). The local APIC drives the CPU's INTR.
 */
#include <string.h>

#include "accel/engine.h"
#include "debug/monitor.h"
#include "devices/acpi_pm.h"
#include "devices/apic_bus.h"
#include "devices/bochs_debug.h"
#include "devices/debug_port.h"
#include "devices/dma.h"
#include "devices/exit_port.h"
#include "devices/fdc.h"
#include "devices/fw_cfg.h"
#include "devices/hpet.h"
#include "devices/i8042.h"
#include "devices/ide.h"
#include "devices/ioapic.h"
#include "devices/lapic.h"
#include "devices/parallel.h"
#include "devices/pci_host.h"
#include "devices/pic.h"
#include "devices/piix.h"
#include "devices/pit.h"
#include "devices/ps2.h"
#include "devices/rtc.h"
#include "devices/test_device.h"
#include "devices/uart.h"
#include "host/chardev.h"
#include "host/random.h"
#include "host/time.h"
#include "machine/machine.h"

#define MEMORY_SPACE (1ull << 52)
#define PORT_SPACE   (1ull << 16)
#define PHYS_BITS    40 /* what the CPU model says by default */
#define LPT1         0x378

/* The ends of the wires. */

/* n: the line, and from bit 4 on the enum isa_source. */
static void isa_line(void *opaque, int n, bool level)
{
    struct machine *m = opaque;
    uint8_t *pulled = &m->isa_pulled[n & 15], source = (uint8_t)(1u << (n >> 4));

    *pulled = level ? *pulled | source : *pulled & ~source;
    irq_set(&m->isa_pic[n & 15], *pulled);
    irq_set(&m->isa_ioapic[n & 15], *pulled);
}

struct irq isa_input(struct machine *m, int line, enum isa_source source)
{
    return (struct irq){isa_line, m, line | (int)source << 4};
}

static void acpi_moved(void *opaque, uint16_t base, bool enabled)
{
    struct machine *m = opaque;

    acpi_pm_map(m->acpi_pm, base, enabled);
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
    struct machine *m = opaque;

    if (machine_end(m, (int)(status & 0xFF)))
        m->exit_value = (int)(status >> 1);
}

static void quit_keys(void *opaque)
{
    ((struct machine *)opaque)->ended_by = "host-ui";
    machine_end(opaque, EXIT_POWEROFF);
}

static void monitor_on(void *opaque, struct chardev *chr, bool on)
{
    monitor_switch(((struct machine *)opaque)->monitor, chr, on);
}

static void keys_for_monitor(void *opaque, const uint8_t *data, size_t size)
{
    monitor_keys(((struct machine *)opaque)->monitor, data, size);
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

/* Messages that aim elsewhere than at the APICs would be mere writes to memory; no driver wants that. */
static void pci_message(void *opaque, uint64_t address, uint32_t data)
{
    struct machine *m = opaque;

    if (address >> 20 != 0xFEE || !apic_bus_msi(m->apic_bus, address, data))
        log_at(m->log, LOG_GUEST, "pci", "no APIC takes message 0x%x to 0x%llx", data,
               (unsigned long long)address);
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
    host_chardev_on_monitor(*chr, &(struct host_char_monitor){monitor_on, keys_for_monitor, m});
    return true;
}

struct chardev *machine_open_stream(struct machine *m, const char *where, char *why, size_t why_size)
{
    struct chardev *chr = host_chardev_open(where, m->loop, m->log, why, why_size);

    if (chr)
        host_chardev_on_quit(chr, quit_keys, m);
    return chr;
}

/* Where the ports' bytes go. */
static bool open_streams(struct machine *m, char *why, size_t why_size)
{
    const char *com1 = strcmp(machine_display(m), "text") ? "stdio" : "none";

    if (m->options->serials)
        com1 = m->options->serial[0];
    if (!open_stream(m, &m->serial[0], "--serial", com1, why, why_size))
        return false;
    for (unsigned n = 1; n < m->options->serials; n++)
        if (!open_stream(m, &m->serial[n], "--serial", m->options->serial[n], why, why_size))
            return false;
    return open_stream(m, &m->debugcon, "--debugcon", m->options->debugcon, why, why_size) &&
           (!m->options->parallel ||
            open_stream(m, &m->parallel, "--parallel", m->options->parallel, why, why_size));
}

/* The CPU with its local APIC, and the way interrupts take to it. */
static bool wire_cpu(struct machine *m, char *why, size_t why_size)
{
    char model[400];
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
        .ports = switches_ports(m),
        .clock = m->clock,
        .lock = &m->lock,
        .log = m->log,
        .intc = lapic_intc(m->lapic),
        .model = engines_cpu_model(m, model, sizeof(model)),
        .random = host_random,
        .tsc_hz = engine_tsc_hz(),
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
    m->irqchips = (struct irqchips){
        .ioapic = m->ioapic,
        .pic = m->pic,
        .apic_bus = m->apic_bus,
        .ioapic_lend = ioapic_lend,
        .ioapic_take_back = ioapic_take_back,
        .ioapic_watch = ioapic_watch,
        .ioapic_read = ioapic_get_registers,
        .pic_lend = pic_lend,
        .pic_take_back = pic_take_back,
        .end_of_interrupt = apic_bus_end_of_interrupt,
    };
    for (int n = 0; n < ISA_LINES; n++) {
        m->isa_pic[n] = pic_input(m->pic, n);
        m->isa_ioapic[n] = ioapic_input(m->ioapic, n == 0 ? 2 : (unsigned)n);
        isa[n] = isa_input(m, n, ISA_CARD);
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

/* The PCI host bridge and the PIIX, which routes PCI's interrupts and says where ACPI's ports are. */
static bool wire_bridges(struct machine *m)
{
    const struct irq reset = {reset_line, m, 0};
    const struct acpi_pm_wires acpi_wires = {.sci = isa_input(m, 9, ISA_SCI),
                                             .poweroff = {poweroff_line, m, 0}};
    const struct piix_pm_wires pm_wires = {acpi_moved, m};
    /* Without a BIOS in ROM there is nothing to start at after INIT, so a soft reset is a hard one. */
    const struct pci_host_wires pci_wires = {
        .reset = reset,
        .init = m->bios.size ? (struct irq){cpu_line, m, PIN_INIT} : reset,
        .shadow = memory_shadow,
        .shadow_opaque = m,
    };
    struct irq isa[ISA_LINES];

    for (int n = 0; n < ISA_LINES; n++)
        isa[n] = isa_input(m, n, ISA_PCI);
    m->pci_bus = pci_bus_new(m->log);
    if (m->pci_bus)
        pci_bus_on_message(m->pci_bus, pci_message, m);
    m->acpi_pm = acpi_pm_new(m->clock, m->ports, &acpi_wires, m->log);
    if (!add(m, &acpi_pm_class, m->acpi_pm) || !m->pci_bus ||
        !add(m, &pci_host_class, pci_host_new(m->ports, m->pci_bus, &pci_wires, m->log)))
        return false;
    m->piix = piix_new(m->pci_bus, isa);
    return add(m, &piix_class, m->piix) &&
           add(m, &piix_pm_class, piix_pm_new(m->pci_bus, m->ports, &pm_wires));
}

/* Disks, the parallel port if asked for, the screen if somebody may look at it, and network cards. */
static bool wire_peripherals(struct machine *m, char *why, size_t why_size)
{
    const struct fdc_wires floppy_wires = {
        .irq = isa_input(m, 6, ISA_CARD),
        .dma = m->dma,
        .drive = {m->floppies ? &m->floppy_slot[0] : NULL, m->floppies > 1 ? &m->floppy_slot[1] : NULL},
    };
    struct ide *ide = ide_new(m->pci_bus, m->ports, m->memory, isa_input(m, 14, ISA_CARD),
                              isa_input(m, 15, ISA_CARD), m->log);

    if (!add(m, &ide_class, ide) || !drives_open(m, why, why_size) || !drives_attach(m, ide))
        return false;
    m->fdc = fdc_new(m->clock, m->ports, &floppy_wires, m->log);
    return add(m, &fdc_class, m->fdc) &&
           (!m->parallel ||
            add(m, &parallel_class, parallel_new(m->ports, LPT1, isa_input(m, 7, ISA_CARD), m->parallel))) &&
           (!screen_wanted(m) || screen_build(m, why, why_size)) && network_build(m, why, why_size) &&
           shares_build(m, why, why_size) && virtio_build(m, why, why_size);
}

/* What is there for firmware alone. */
static bool wire_firmware(struct machine *m)
{
    struct fw_cfg *cfg = fw_cfg_new(m->ports, m->memory, m->log);

    return add(m, &fw_cfg_class, cfg) && firmware_add_files(m, cfg);
}

/* The keyboard controller, and who is plugged into it. */
static bool wire_keyboard(struct machine *m)
{
    const struct irq reset = {reset_line, m, 0};
    const struct i8042_wires wires = {
        .irq_keyboard = isa_input(m, 1, ISA_CARD),
        .irq_mouse = isa_input(m, 12, ISA_CARD),
        .reset = m->bios.size ? (struct irq){cpu_line, m, PIN_INIT} : reset,
        .a20 = {cpu_line, m, PIN_A20},
    };

    m->i8042 = i8042_new(m->ports, &wires, m->log);
    if (!add(m, &i8042_class, m->i8042))
        return false;
    m->keyboard = ps2_keyboard_new(m->clock, m->log);
    if (!add(m, &ps2_keyboard_class, m->keyboard))
        return false;
    m->mouse = ps2_mouse_new(m->clock, m->log);
    if (!add(m, &ps2_mouse_class, m->mouse))
        return false;
    i8042_plug(m->i8042, m->clock, ps2_keyboard_cable(m->keyboard), ps2_mouse_cable(m->mouse));
    return true;
}

/* COM1, and as many more as the options name. */
static bool wire_serial(struct machine *m)
{
    static const struct {
        uint16_t port;
        uint8_t irq;
        enum isa_source source;
    } com[OPTIONS_SERIALS] = {
        {0x3F8, 4, ISA_CARD}, {0x2F8, 3, ISA_CARD}, {0x3E8, 4, ISA_SECOND_CARD}, {0x2E8, 3, ISA_SECOND_CARD}};

    for (unsigned n = 0; n < OPTIONS_SERIALS && (!n || n < m->options->serials); n++)
        if (!add(m, &uart_class,
                 uart_new(m->ports, com[n].port, isa_input(m, com[n].irq, com[n].source), m->serial[n],
                          m->clock, m->log)))
            return false;
    return true;
}

/* What tests want to find; its lines lead where the ISA's and PCI's do. */
static bool wire_test_device(struct machine *m)
{
    struct irq line[TEST_DEVICE_LINES];

    for (unsigned n = 0; n < TEST_DEVICE_LINES; n++)
        line[n] = n < ISA_LINES ? isa_input(m, (int)n, ISA_TEST) : ioapic_input(m->ioapic, n);
    return add(m, &test_device_class, test_device_new(m->ports, m->memory, line));
}

/* By which the guest talks to its debugger, as under Bochs. */
static bool wire_guest_debug(struct machine *m)
{
    struct bochs_debug_wires wires;

    return guest_debug_build(m, &wires) &&
           add(m, &bochs_debug_class, bochs_debug_new(m->ports, &wires, m->log));
}

/* The rest of the board. */
static bool wire_board(struct machine *m)
{
    const struct debug_port_wires debug_wires = {.console = m->debugcon, .firmware = m->debugcon};

    m->dma = dma_new(m->ports, m->memory, m->log);
    return add(m, &dma_class, m->dma) && wire_serial(m) &&
           add(m, &debug_port_class, debug_port_new(m->ports, &debug_wires)) && wire_guest_debug(m) &&
           (m->options->exit_port < 0 ||
            add(m, &exit_port_class,
                exit_port_new(m->ports, (uint16_t)m->options->exit_port, exit_port, m))) &&
           (!m->options->test_device || wire_test_device(m));
}

bool pc_build(struct machine *m, char *why, size_t why_size)
{
    struct clock_source source = host_clock_source(m->loop);

    snprintf(why, why_size, "out of memory");
    m->clock = clock_new(&source);
    m->memory = bus_new("memory", MEMORY_SPACE, &m->lock);
    m->ports = bus_new("ports", PORT_SPACE, &m->lock);
    return m->clock && m->memory && m->ports && memory_build(m) && open_streams(m, why, why_size) &&
           stop_on_build(m, why, why_size) && switches_build(m, why, why_size) && wire_cpu(m, why, why_size) && wire_interrupts(m) && wire_bridges(m) && wire_keyboard(m) &&
           wire_board(m) && wire_peripherals(m, why, why_size) && wire_firmware(m);
}

void pc_free(struct machine *m)
{
    drives_close(m);
    while (m->chip_count) {
        struct machine_chip *chip = &m->chips[--m->chip_count];
        chip->class->free(chip->device);
    }
    network_close(m);
    shares_close(m);
    virtio_close(m);
    guest_debug_free(m);
    cpu_free(m->cpu);
    apic_bus_free(m->apic_bus);
    pci_bus_free(m->pci_bus);
    for (unsigned n = 0; n < OPTIONS_SERIALS; n++)
        if (m->serial[n])
            m->serial[n]->close(m->serial[n]);
    if (m->debugcon)
        m->debugcon->close(m->debugcon);
    if (m->parallel)
        m->parallel->close(m->parallel);
    stop_on_free(m);
    switches_free(m);
    bus_free(m->ports);
    bus_free(m->memory);
    clock_free(m->clock);
    host_ram_free(m->vram);
}
