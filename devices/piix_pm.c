/*
 * piix_pm.c - the power management function of the 82371AB (PIIX4, data sheet 290562, chapter 7).
 *
 * In: configuration accesses, SMBus ports. Out: where ACPI's ports are (acpi_pm.c has what is behind them).
 * The device activity, trap and resource registers keep what is written; the SMBus host controller finds
 * nobody on its bus and raises no interrupts.
 *
 * There is no system management mode, so the function says from reset on that SMIs from the APM port are set
 * up (DEVACTB's APMC_EN): firmware then leaves its own handler out.
 */
#include "devices/piix.h"

#include <stdlib.h>
#include <string.h>

#define REG_FIRST   0x44 /* CNTA to DEVRESJ, which end at PIIX_PM_MISC */
#define REG_DEVACTB 0x58
#define APMC_EN     0x02000000

#define BASE_IO    0x0001 /* reads as 1: these are ports */
#define PM_MASK    0xFFC0
#define SMBUS_MASK 0xFFF0
#define SMBUS_SIZE 16

/* SMBus host controller (7.3.1) */
#define SMBUS_STATUS  0x0
#define SMBUS_CONTROL 0x2
#define SMBUS_COMMAND 0x3
#define SMBUS_ADDRESS 0x4
#define SMBUS_DATA0   0x5
#define SMBUS_DATA1   0x6

#define STATUS_DEV_ERR   0x04
#define STATUS_CLEARABLE 0x1E
#define CONTROL_START    0x40
#define CONTROL_WRITABLE 0x1D

struct piix_pm {
    struct pci_bus *bus;
    struct piix_pm_wires wires;
    struct region *smbus;

    struct pci_function function;
    uint8_t smbus_registers[8];
};

static void update_ports(struct piix_pm *pm)
{
    const struct pci_function *f = &pm->function;
    uint16_t base = (uint16_t)(pci_get(f, PIIX_PM_BASE, 4) & PM_MASK);
    uint16_t smbus = (uint16_t)(pci_get(f, PIIX_SMBUS_BASE, 4) & SMBUS_MASK);

    if (pm->wires.moved)
        pm->wires.moved(pm->wires.opaque, base, base && (f->config[PIIX_PM_MISC] & PIIX_PM_ENABLE));
    region_set(pm->smbus, smbus, smbus && (f->config[PIIX_SMBUS_HOST] & 1), 0);
}

static bool touches(unsigned reg, unsigned size, unsigned first, unsigned width)
{
    return reg < first + width && reg + size > first;
}

static void config_written(void *dev, unsigned reg, unsigned size)
{
    if (touches(reg, size, PIIX_PM_BASE, 4) || touches(reg, size, PIIX_PM_MISC, 1) ||
        touches(reg, size, PIIX_SMBUS_BASE, 4) || touches(reg, size, PIIX_SMBUS_HOST, 1))
        update_ports(dev);
}

static uint64_t smbus_read(void *dev, uint64_t addr, unsigned size)
{
    struct piix_pm *pm = dev;

    (void)size;
    return addr < sizeof(pm->smbus_registers) ? pm->smbus_registers[addr] : 0;
}

static void smbus_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct piix_pm *pm = dev;
    uint8_t *regs = pm->smbus_registers;

    (void)size;
    switch (addr) {
    case SMBUS_STATUS:
        regs[SMBUS_STATUS] &= (uint8_t) ~(value & STATUS_CLEARABLE);
        break;
    case SMBUS_CONTROL:
        regs[SMBUS_CONTROL] = value & CONTROL_WRITABLE;
        if (value & CONTROL_START) /* done at once: nobody acknowledged the address */
            regs[SMBUS_STATUS] |= STATUS_DEV_ERR;
        break;
    case SMBUS_COMMAND:
    case SMBUS_ADDRESS:
    case SMBUS_DATA0:
    case SMBUS_DATA1:
        regs[addr] = (uint8_t)value;
        break;
    }
}

static const struct bus_ops smbus_ops = {smbus_read, smbus_write, 1};

static const struct field function_fields[] = {FIELD_ARRAY(struct pci_function, config), FIELD_END};
static const struct field piix_pm_fields[] = {FIELD_STRUCT(struct piix_pm, function, function_fields),
                                              FIELD_ARRAY(struct piix_pm, smbus_registers), FIELD_END};

static void set_defaults(struct pci_function *function)
{
    memset(function->config, 0, sizeof(function->config));
    pci_set(function, PCI_VENDOR_ID, 0x8086, 2);
    pci_set(function, PCI_DEVICE_ID, 0x7113, 2);
    pci_set(function, PCI_STATUS, 0x0280, 2);
    pci_set(function, PCI_REVISION, 0x03, 1);
    pci_set(function, PCI_CLASS, 0x068000, 3);
    pci_set(function, PCI_HEADER_TYPE, PCI_HEADER_MULTIFUNCTION, 1);
    pci_set(function, PCI_SUBSYSTEM_VENDOR, PCI_SUBSYSTEM_BOARD_VENDOR, 2);
    pci_set(function, PCI_SUBSYSTEM_ID, PCI_SUBSYSTEM_BOARD, 2);
    pci_set(function, PCI_INTERRUPT_PIN, 1, 1);
    pci_set(function, PIIX_PM_BASE, BASE_IO, 4);
    pci_set(function, PIIX_SMBUS_BASE, BASE_IO, 4);
    pci_set(function, REG_DEVACTB, APMC_EN, 4);
}

static void set_masks(struct pci_function *function)
{
    pci_allow(function, PCI_COMMAND, PCI_COMMAND_IO, 2);
    function->clearable[PCI_STATUS + 1] = 0x78;
    pci_allow(function, PCI_INTERRUPT_LINE, 0xFF, 1);
    pci_allow(function, PIIX_PM_BASE, PM_MASK, 4);
    for (unsigned reg = REG_FIRST; reg < PIIX_PM_MISC; reg++)
        function->writable[reg] = 0xFF;
    pci_allow(function, PIIX_PM_MISC, PIIX_PM_ENABLE, 1);
    pci_allow(function, PIIX_SMBUS_BASE, SMBUS_MASK, 4);
    pci_allow(function, PIIX_SMBUS_HOST, 0x0F, 1);
    pci_allow(function, PIIX_SMBUS_HOST + 1, 0xFFFFFF, 3); /* slave command and addresses */
}

static void piix_pm_reset(void *device)
{
    struct piix_pm *pm = device;

    set_defaults(&pm->function);
    memset(pm->smbus_registers, 0, sizeof(pm->smbus_registers));
    update_ports(pm);
}

static void piix_pm_loaded(void *device)
{
    update_ports(device);
}

static void piix_pm_free(void *device)
{
    struct piix_pm *pm = device;

    if (!pm)
        return;
    pci_bus_remove(pm->bus, &pm->function);
    free(pm);
}

struct piix_pm *piix_pm_new(struct pci_bus *bus, struct bus *ports, const struct piix_pm_wires *wires)
{
    struct piix_pm *pm = calloc(1, sizeof(*pm));

    if (!pm)
        return NULL;
    pm->bus = bus;
    pm->wires = *wires;
    pm->smbus = bus_map(ports, "smbus", 0, SMBUS_SIZE, &smbus_ops, pm);
    if (!pm->smbus || !pci_bus_add(bus, PIIX_SLOT, PIIX_PM_FUNCTION, &pm->function)) {
        free(pm);
        return NULL;
    }
    pm->function.name = "PIIX4 power management";
    pm->function.dev = pm;
    pm->function.written = config_written;
    set_masks(&pm->function);
    piix_pm_reset(pm);
    return pm;
}

const struct device_class piix_pm_class = {"piix_pm", piix_pm_reset, piix_pm_loaded, piix_pm_free,
                                           piix_pm_fields};
