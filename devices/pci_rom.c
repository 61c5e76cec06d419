/* pci_rom.c - see pci_rom.h. */
#include "devices/pci_rom.h"

#include <stdlib.h>
#include <string.h>

#include "core/bus.h"
#include "devices/pci.h"

#define PCI_ROM_ADDRESS 0x30
#define ROM_ENABLE      1u

/* Where it lies until the guest says; it is disabled there. */
#define NOWHERE 0xE0000000u

bool pci_rom_init(struct pci_rom *rom, struct bus *memory, const char *name, const uint8_t *data, size_t size)
{
    *rom = (struct pci_rom){0};
    if (!data || !size)
        return true;
    for (rom->size = BUS_PAGE; rom->size < size;)
        rom->size *= 2;
    rom->data = aligned_alloc(BUS_PAGE, rom->size);
    if (!rom->data)
        return false;
    memset(rom->data, 0xFF, rom->size);
    memcpy(rom->data, data, size);
    rom->region = bus_map_rom(memory, name, NOWHERE, rom->size, rom->data);
    if (rom->region)
        pci_move_region(rom->region, NOWHERE, false);
    return rom->region;
}

void pci_rom_free(struct pci_rom *rom)
{
    free(rom->data);
    rom->data = NULL;
}

void pci_rom_reset(const struct pci_rom *rom, struct pci_function *function)
{
    if (!rom->region)
        return;
    pci_allow(function, PCI_ROM_ADDRESS, (uint32_t) ~(rom->size - 1) | ROM_ENABLE, 4);
    pci_allow(function, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
}

void pci_rom_map(const struct pci_rom *rom, const struct pci_function *function)
{
    uint32_t address = pci_get(function, PCI_ROM_ADDRESS, 4);
    bool memory = pci_get(function, PCI_COMMAND, 2) & PCI_COMMAND_MEMORY;

    if (rom->region)
        pci_move_region(rom->region, address & ~(BUS_PAGE - 1),
                        address & ROM_ENABLE && memory && address >= BUS_PAGE);
}
