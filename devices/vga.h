/*
 * vga.h - the standard graphics adapter: VGA, the Bochs VBE extension, and the PCI function around them.
 *
 * Ports 0x3B0-0x3DF and 0x1CE-0x1D0, the window at 0xA0000, and PCI function 1234:1111 in slot VGA_SLOT with
 * the video memory as BAR 0, a page of registers as BAR 2 and the video BIOS as expansion ROM. The legacy
 * ports and window answer whatever the PCI command register says.
 *
 * Locking: machine lock held. The picture is read by vga_display()'s viewer, with the lock held too.
 */
#ifndef DEVICES_VGA_H
#define DEVICES_VGA_H

#include <stddef.h>
#include <stdint.h>

#include "core/device.h"
#include "core/display.h"

#define VGA_SLOT 2

#define VGA_FONT_ROWS 16

#define VGA_WINDOW_BASE 0xA0000
#define VGA_WINDOW_SIZE 0x20000

/* The largest picture of a VBE mode. */
#define VGA_MAX_WIDTH  5120
#define VGA_MAX_HEIGHT 4096

struct bus;
struct clock;
struct log;
struct pci_bus;
struct vga;

extern const struct device_class vga_class;

/*
 * `vram` is host memory, `vram_size` a power of two from 1 to 256 MiB, that the caller owns, zeroes and saves
 * with a snapshot. `rom` is copied; NULL for none. NULL when memory ran out, the size won't do or the slot is
 * taken.
 */
struct vga *vga_new(struct pci_bus *pci_bus, struct bus *mem, struct bus *ports, struct clock *clock,
                    uint8_t *vram, size_t vram_size, const uint8_t *rom, size_t rom_size, struct log *log);

struct display_source vga_display(struct vga *vga);

/*
 * Does what a video BIOS does for mode 3: 80x25 characters of 9 by 16 dots, the usual colours, an empty
 * screen with the cursor in its corner. The font has a byte for each row of a character, bit 7 leftmost.
 */
void vga_set_text_mode(struct vga *vga, const uint8_t font[256][VGA_FONT_ROWS]);

#endif
