/*
 * vga_pci.c - the adapter's PCI function. Its identity and the register page of BAR 2 are those that the
 * Bochs and QEMU adapters share, so that their drivers serve here.
 *
 * BAR 0 is the video memory, the expansion ROM the video BIOS. BAR 2:
 *
 *     0x000  EDID            0x400  ports 0x3C0-0x3DF
 *     0x500  VBE registers   0x600  a block of two registers: its size, the frame buffer's byte order
 */
#include "devices/vga_internal.h"

#include <stdlib.h>

#define REGISTERS_SIZE   4096 /* BAR 2 */
#define REGISTERS_PORTS  0x400
#define REGISTERS_VBE    0x500
#define REGISTERS_MORE   0x600 /* a block of 8 bytes: its size, the frame buffer's byte order */
#define FB_LITTLE_ENDIAN 0x1E1E1E1E

#define PORTS 0x3C0 /* the first one at REGISTERS_PORTS */

#define PCI_ROM        0x30
#define PCI_ROM_ENABLE 1

/* --- the register page */

static uint8_t registers_byte(struct vga *vga, unsigned addr)
{
    if (addr < EDID_SIZE)
        return vga->edid[addr];
    if (addr >= REGISTERS_PORTS && addr < REGISTERS_PORTS + 0x20)
        return vga_port_read(vga, PORTS + addr - REGISTERS_PORTS);
    if (addr >= REGISTERS_VBE && addr < REGISTERS_VBE + 2 * VBE_COUNT)
        return vbe_read(vga, (addr - REGISTERS_VBE) / 2) >> 8 * (addr & 1);
    if (addr == REGISTERS_MORE)
        return 8;
    if (addr >= REGISTERS_MORE + 4 && addr < REGISTERS_MORE + 8)
        return FB_LITTLE_ENDIAN & 0xFF;
    return 0;
}

static uint64_t registers_read(void *dev, uint64_t addr, unsigned size)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)registers_byte(dev, (unsigned)addr + i) << 8 * i;
    return value;
}

static void registers_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct vga *vga = dev;

    if (addr >= REGISTERS_PORTS && addr < REGISTERS_PORTS + 0x20) {
        for (unsigned i = 0; i < size; i++)
            vga_port_write(vga, PORTS + (unsigned)addr + i - REGISTERS_PORTS, value >> 8 * i);
    } else if (addr >= REGISTERS_VBE && addr < REGISTERS_VBE + 2 * VBE_COUNT && addr % 2 == 0) {
        for (unsigned i = 0; i + 1 < size; i += 2)
            vbe_write(vga, ((unsigned)addr + i - REGISTERS_VBE) / 2, value >> 8 * i);
    } else if (addr == REGISTERS_MORE + 4 && value != FB_LITTLE_ENDIAN) {
        log_at(vga->log, LOG_GUEST, "vga", "byte order 0x%08x asked for; there is little-endian only",
               (unsigned)value);
    }
}

static const struct bus_ops registers_ops = {registers_read, registers_write, 4};

/* --- PCI function */

static void move_region(struct region *region, uint64_t base, bool enabled)
{
    if (!enabled)
        base = region->base;
    /* Below RAM and the board's own chips: a BAR that is aimed at them reaches nothing. */
    if (region->base != base || region->enabled != enabled)
        region_set(region, base, enabled, -1);
}

static void move_bar(struct vga *vga, unsigned bar, struct region *region)
{
    uint64_t base = pci_bar_address(&vga->function, bar);

    move_region(region, base, base != PCI_BAR_UNMAPPED);
}

void vga_pci_map(struct vga *vga)
{
    move_bar(vga, 0, vga->lfb);
    move_bar(vga, 2, vga->mmio);
    if (vga->rom_region) {
        uint32_t rom = pci_get(&vga->function, PCI_ROM, 4);
        bool enabled =
            (rom & PCI_ROM_ENABLE) && (pci_get(&vga->function, PCI_COMMAND, 2) & PCI_COMMAND_MEMORY);
        move_region(vga->rom_region, rom & ~(BUS_PAGE - 1), enabled && rom >= BUS_PAGE);
    }
}

static void config_written(void *dev, unsigned reg, unsigned size)
{
    (void)reg;
    (void)size;
    vga_pci_map(dev);
}

static void function_init(struct vga *vga, size_t rom_size)
{
    struct pci_function *function = &vga->function;

    function->name = "vga";
    function->written = config_written;
    function->dev = vga;
    pci_set(function, PCI_VENDOR_ID, 0x1234, 2);
    pci_set(function, PCI_DEVICE_ID, 0x1111, 2);
    pci_set(function, PCI_REVISION, 2, 1); /* with the block at REGISTERS_MORE */
    pci_set(function, PCI_CLASS + 1, 0x0300, 2);
    pci_set(function, PCI_SUBSYSTEM_VENDOR, 0x1AF4, 2);
    pci_set(function, PCI_SUBSYSTEM_ID, 0x1100, 2);
    pci_allow(function, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
    pci_allow(function, PCI_INTERRUPT_LINE, 0xFF, 1);
    pci_init_bar(function, 0, vga->vram_size, PCI_BAR_MEMORY32 | PCI_BAR_PREFETCH);
    pci_init_bar(function, 2, REGISTERS_SIZE, PCI_BAR_MEMORY32);
    if (rom_size)
        pci_allow(function, PCI_ROM, (uint32_t) ~(rom_size - 1) | PCI_ROM_ENABLE, 4);
}

/* A power of two, in whole pages: what a BAR can decode. 0 for no ROM. */
static size_t rom_decoded(size_t size)
{
    size_t decoded = BUS_PAGE;

    while (decoded < size)
        decoded *= 2;
    return size ? decoded : 0;
}

/* BARs are mapped at a place that they leave at once: reset disables them. */
static bool map_memory(struct vga *vga, const uint8_t *rom, size_t rom_size)
{
    size_t decoded = rom_decoded(rom_size);

    vga->lfb = bus_map_ram(vga->mem, "vga-memory", 0xE0000000, vga->vram_size, vga->vram);
    vga->mmio = bus_map(vga->mem, "vga-registers", 0xE0000000, REGISTERS_SIZE, &registers_ops, vga);
    if (!vga->lfb || !vga->mmio)
        return false;
    if (!rom_size)
        return true;
    vga->rom = aligned_alloc(BUS_PAGE, decoded);
    if (!vga->rom)
        return false;
    memset(vga->rom, 0xFF, decoded);
    memcpy(vga->rom, rom, rom_size);
    vga->rom_region = bus_map_rom(vga->mem, "vga-rom", 0xE0000000, decoded, vga->rom);
    return vga->rom_region;
}

bool vga_pci_init(struct vga *vga, const uint8_t *rom, size_t rom_size)
{
    function_init(vga, rom_decoded(rom_size));
    return map_memory(vga, rom, rom_size) && pci_bus_add(vga->pci_bus, VGA_SLOT, 0, &vga->function);
}

void vga_pci_reset(struct vga *vga)
{
    struct pci_function *function = &vga->function;

    pci_set(function, PCI_COMMAND, 0, 2);
    pci_set(function, PCI_INTERRUPT_LINE, 0, 1);
    pci_set(function, PCI_BAR(0), PCI_BAR_MEMORY32 | PCI_BAR_PREFETCH, 4);
    pci_set(function, PCI_BAR(2), PCI_BAR_MEMORY32, 4);
    pci_set(function, PCI_ROM, 0, 4);
}
