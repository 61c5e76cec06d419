/*
 * firmware.c - the BIOS: which file it is, what it finds in CMOS and the firmware configuration device; and,
 * when a kernel is started without one, the settings of the chips that it would have made.
 */
#include <string.h>

#include "bios/e820.h"
#include "bios/firmware.h"
#include "bios/rom.h"
#include "config.h"
#include "devices/acpi_pm.h"
#include "devices/fdc.h"
#include "devices/fw_cfg.h"
#include "devices/i8042.h"
#include "devices/piix.h"
#include "devices/rtc.h"
#include "machine/machine.h"

#ifndef OXBOW_FIRMWARE_DIR
#define OXBOW_FIRMWARE_DIR "/usr/share/seabios"
#endif

#define BIOS_FILE OXBOW_FIRMWARE_DIR "/bios-256k.bin"

/* CMOS */
#define CMOS_FLOPPIES   0x10
#define CMOS_EQUIPMENT  0x14
#define CMOS_CPUS       0x5F
#define CMOS_BOOT_THIRD 0x38 /* bits 7:4 */
#define CMOS_BOOT       0x3D /* bits 3:0 the first, bits 7:4 the second */

/* Host bridge and PIIX, as a BIOS programs them */
#define HOST_PAM      0x59
#define PIRQ_AB       10
#define PIRQ_CD       11
#define ELCR2         0x4D1
#define DMA2_MASK     0xD4
#define DMA2_MODE     0xD6
#define DMA_CASCADE   0xC0
#define DEFAULT_ORDER "cdan"

int firmware_read(struct machine *m, char *why, size_t why_size)
{
    const char *path = m->options->bios ? m->options->bios : BIOS_FILE;
    char reason[300];

    if (!host_file_read(&m->bios, path, 0, reason, sizeof(reason))) {
        if (m->options->bios)
            snprintf(why, why_size, "--bios %s", reason);
        else
            snprintf(why, why_size,
                     "no BIOS to boot with: %s; install the package seabios, or give a ROM with --bios FILE",
                     reason);
        return EXIT_USAGE;
    }
    return rom_check(path, m->bios.size, why, why_size) ? 0 : EXIT_USAGE;
}

/* Memory sizes where a BIOS leaves or looks for them: KiB from 0, KiB from 1 MiB, and 64 KiB units from 16
 * MiB and from 4 GiB. */
static void write_memory_size(struct machine *m)
{
    uint64_t low = e820_low_ram(m->ram->size), high = e820_high_ram(m->ram->size) >> 16;
    uint64_t above_1m = (low - (1 << 20)) >> 10, above_16m = low > 16 << 20 ? (low - (16 << 20)) >> 16 : 0;

    if (above_1m > 0xFFFF)
        above_1m = 0xFFFF;
    rtc_set_cmos(m->rtc, 0x15, (uint8_t)640);
    rtc_set_cmos(m->rtc, 0x16, 640 >> 8);
    rtc_set_cmos(m->rtc, 0x17, (uint8_t)above_1m);
    rtc_set_cmos(m->rtc, 0x18, (uint8_t)(above_1m >> 8));
    rtc_set_cmos(m->rtc, 0x30, (uint8_t)above_1m);
    rtc_set_cmos(m->rtc, 0x31, (uint8_t)(above_1m >> 8));
    rtc_set_cmos(m->rtc, 0x34, (uint8_t)above_16m);
    rtc_set_cmos(m->rtc, 0x35, (uint8_t)(above_16m >> 8));
    rtc_set_cmos(m->rtc, 0x5B, (uint8_t)high);
    rtc_set_cmos(m->rtc, 0x5C, (uint8_t)(high >> 8));
    rtc_set_cmos(m->rtc, 0x5D, (uint8_t)(high >> 16));
}

/* What is plugged in: floppy drives, an FPU, a PS/2 mouse; and processors but one. */
static void write_equipment(struct machine *m)
{
    uint8_t types = fdc_cmos_types(m->fdc);
    unsigned drives = (types >> 4 != 0) + ((types & 15) != 0);

    rtc_set_cmos(m->rtc, CMOS_FLOPPIES, types);
    rtc_set_cmos(m->rtc, CMOS_EQUIPMENT, (uint8_t)(0x06 | (drives ? 0x01 | (drives - 1) << 6 : 0)));
    rtc_set_cmos(m->rtc, CMOS_CPUS, (uint8_t)(m->options->cpus - 1));
}

static const char *boot_letters(const struct machine *m)
{
    return m->options->boot ? m->options->boot : m->boot_order ? m->boot_order : DEFAULT_ORDER;
}

/* The kinds of drives that SeaBIOS tries, best first, by its numbers: 1 floppy, 2 disk, 3 CD-ROM, 4 network.
 */
static void write_boot_order(struct machine *m)
{
    static const char letters[] = "acdn";
    const char *order = boot_letters(m);
    unsigned kinds[3] = {0};

    for (unsigned i = 0; i < 3 && order[i]; i++) {
        const char *at = strchr(letters, order[i]);

        kinds[i] = at ? (unsigned)(at - letters) + 1 : 0;
    }
    rtc_set_cmos(m->rtc, CMOS_BOOT, (uint8_t)(kinds[0] | kinds[1] << 4));
    rtc_set_cmos(m->rtc, CMOS_BOOT_THIRD, (uint8_t)(kinds[2] << 4));
}

void firmware_set_cmos(struct machine *m)
{
    write_memory_size(m);
    write_equipment(m);
    write_boot_order(m);
}

static bool add_file(void *opaque, const char *name, const void *data, size_t size)
{
    return fw_cfg_add_file(opaque, &(struct fw_cfg_file){.name = name, .data = data, .size = size});
}

static bool add_number(struct fw_cfg *cfg, unsigned item, uint16_t value)
{
    const uint8_t bytes[2] = {(uint8_t)value, (uint8_t)(value >> 8)};

    return fw_cfg_add(cfg, item, bytes, item == FW_CFG_IRQ0 ? 1 : 2);
}

bool firmware_add_files(struct machine *m, struct fw_cfg *cfg)
{
    char order[4096];
    const struct firmware_config config = {
        .ram_size = m->ram->size,
        .cpus = m->options->cpus,
        .vga = m->vram,
        .version = PACKAGE_VERSION,
        .boot_order = boot_order_list(m, boot_letters(m), order, sizeof(order)) ? order : NULL,
    };
    const struct firmware_sink sink = {add_file, cfg};

    return add_number(cfg, FW_CFG_CPUS, (uint16_t)config.cpus) &&
           add_number(cfg, FW_CFG_MAX_CPUS, (uint16_t)config.cpus) &&
           add_number(cfg, FW_CFG_BOOT_MENU, m->options->boot_menu) && add_number(cfg, FW_CFG_IRQ0, 1) &&
           firmware_describe(&config, &sink);
}

void firmware_set_board(struct machine *m)
{
    struct pci_bus *bus = m->pci_bus;
    unsigned isa = PCI_DEVFN(PIIX_SLOT, PIIX_ISA_FUNCTION), pm = PCI_DEVFN(PIIX_SLOT, PIIX_PM_FUNCTION);

    pci_config_write(bus, 0, 0, HOST_PAM, 0x30, 1);
    for (unsigned n = 1; n < 7; n++)
        pci_config_write(bus, 0, 0, HOST_PAM + n, 0x33, 1);
    for (unsigned n = 0; n < 4; n++)
        pci_config_write(bus, 0, isa, PIIX_PIRQ(n), n < 2 ? PIRQ_AB : PIRQ_CD, 1);
    bus_write(m->ports, ELCR2, 1u << (PIRQ_AB - 8) | 1u << (PIRQ_CD - 8), 1);
    pci_config_write(bus, 0, pm, PIIX_PM_BASE, ACPI_PM_BASE, 4);
    pci_config_write(bus, 0, pm, PIIX_PM_MISC, PIIX_PM_ENABLE, 1);
    pci_config_write(bus, 0, pm, PCI_INTERRUPT_LINE, 9, 1);
    network_set_cards(m);
    storage_set_controllers(m);
    virtio_set_functions(m);
    i8042_set_up(m->i8042);
    bus_write(m->ports, DMA2_MODE, DMA_CASCADE, 1);
    bus_write(m->ports, DMA2_MASK, 0, 1);
}
