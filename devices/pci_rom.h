/*
 * pci_rom.h - a function's expansion ROM (PCI 3.0, 6.2.5.2): code for firmware, behind a register of its own.
 *
 * Locking: all calls with the machine lock held.
 */
#ifndef DEVICES_PCI_ROM_H
#define DEVICES_PCI_ROM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bus;
struct pci_function;
struct region;

/* Zero is none. */
struct pci_rom {
    struct region *region;
    uint8_t *data;
    size_t size; /* decoded: a power of two, whole pages */
};

/* Copies `size` bytes of `data`; NULL or 0 for none. False when memory ran out. The name must outlive the
 * bus. */
bool pci_rom_init(struct pci_rom *rom, struct bus *memory, const char *name, const uint8_t *data,
                  size_t size);
void pci_rom_free(struct pci_rom *rom);

/* When config[] is filled anew: the register is there, if there is a ROM. When config[] changed: it is
 * mapped. */
void pci_rom_reset(const struct pci_rom *rom, struct pci_function *function);
void pci_rom_map(const struct pci_rom *rom, const struct pci_function *function);

#endif
