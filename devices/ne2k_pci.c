/* ne2k_pci.c - the RTL8029AS: a NE2000 as a PCI function. */
#include <stdlib.h>
#include <string.h>

#include "devices/ne2k_internal.h"
#include "devices/pci.h"
#include "devices/pci_rom.h"

struct ne2k_pci {
    struct ne2k card;
    struct pci_function function;
    struct pci_bus *pci;
    struct pci_rom rom;
};

static void map(struct ne2k_pci *dev)
{
    uint64_t base = pci_bar_address(&dev->function, 0);

    ne2k_move(&dev->card, base, base <= 0x10000 - NE2K_PORTS);
    pci_rom_map(&dev->rom, &dev->function);
}

static void config_written(void *dev, unsigned reg, unsigned size)
{
    (void)reg;
    (void)size;
    map(dev);
}

static void init_config(struct ne2k_pci *dev)
{
    struct pci_function *function = &dev->function;

    memset(function->config, 0, sizeof(function->config));
    pci_set(function, PCI_VENDOR_ID, 0x10EC, 2);
    pci_set(function, PCI_DEVICE_ID, 0x8029, 2);
    pci_set(function, PCI_STATUS, 0x0200, 2); /* medium timing */
    pci_set(function, PCI_CLASS + 1, 0x0200, 2);
    pci_set(function, PCI_SUBSYSTEM_VENDOR, PCI_SUBSYSTEM_BOARD_VENDOR, 2);
    pci_set(function, PCI_SUBSYSTEM_ID, PCI_SUBSYSTEM_BOARD, 2);
    pci_set(function, PCI_INTERRUPT_PIN, 1, 1);
    pci_allow(function, PCI_INTERRUPT_LINE, 0xFF, 1);
    pci_init_bar(function, 0, NE2K_PORTS, PCI_BAR_IO);
    pci_rom_reset(&dev->rom, function);
}

static const struct field function_fields[] = {FIELD_ARRAY(struct pci_function, config), FIELD_END};

static const struct field ne2k_pci_fields[] = {
    FIELD_STRUCT(struct ne2k_pci, card, ne2k_fields),
    FIELD_STRUCT(struct ne2k_pci, function, function_fields),
    FIELD_END,
};

static void ne2k_pci_reset(void *device)
{
    struct ne2k_pci *dev = device;

    init_config(dev);
    ne2k_power_on(&dev->card);
    map(dev);
}

static void ne2k_pci_loaded(void *device)
{
    struct ne2k_pci *dev = device;

    map(dev);
    ne2k_update_irq(&dev->card);
}

static void ne2k_pci_free(void *device)
{
    struct ne2k_pci *dev = device;

    if (!dev)
        return;
    ne2k_unwire(&dev->card);
    pci_bus_remove(dev->pci, &dev->function);
    pci_rom_free(&dev->rom);
    free(dev);
}

const struct device_class ne2k_pci_class = {
    .name = "ne2k_pci",
    .reset = ne2k_pci_reset,
    .loaded = ne2k_pci_loaded,
    .free = ne2k_pci_free,
    .state = ne2k_pci_fields,
};

struct ne2k_pci *ne2k_pci_new(const struct ne2k_wires *wires, struct pci_bus *pci, unsigned slot,
                              struct bus *memory, const uint8_t *rom, size_t rom_size)
{
    struct ne2k_pci *dev = calloc(1, sizeof(*dev));

    if (!dev)
        return NULL;
    dev->pci = pci;
    dev->card.realtek = true;
    dev->function.name = "RTL8029AS";
    dev->function.dev = dev;
    dev->function.written = config_written;
    /* The ports are at a place that they leave at once: reset disables them. */
    if (!pci_bus_add(pci, slot, 0, &dev->function) ||
        !pci_rom_init(&dev->rom, memory, "ne2k-rom", rom, rom_size) ||
        !ne2k_wire(&dev->card, wires, 0xC000)) {
        ne2k_pci_free(dev);
        return NULL;
    }
    ne2k_pci_reset(dev);
    return dev;
}
