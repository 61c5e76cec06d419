/*
 * vga_internal.h - the adapter's state, for devices/vga*.c only.
 *
 * Video memory lies in planes side by side: plane p of plane address a is vram[4 * a + p], so that the four
 * bytes the chip fetches together are one 32-bit word. VBE's modes of 8 bits a pixel and up see the same
 * bytes linearly.
 *
 *     vga.c         ports, state table
 *     vga_pci.c     the PCI function and its register page
 *     vga_vbe.c     the dispi registers and drawing of linear modes
 *     vga_memory.c  the window at 0xA0000
 *     vga_picture.c what must be drawn anew: dirty pages, surface, damage
 *     vga_draw.c    drawing of VGA's own modes
 *     vga_text.c    text mode for machines without a BIOS
 *     vga_edid.c    what the monitor says it is
 */
#ifndef DEVICES_VGA_INTERNAL_H
#define DEVICES_VGA_INTERNAL_H

#include <string.h>

#include "core/bus.h"
#include "core/clock.h"
#include "core/log.h"
#include "devices/pci.h"
#include "devices/vga.h"

/* Miscellaneous output */
#define MISC_COLOR       0x01 /* the CRTC is at 0x3D4, not 0x3B4 */
#define MISC_RAM         0x02
#define MISC_CLOCK_28MHZ 0x04

/* Sequencer */
#define SEQ_RESET       0
#define SEQ_CLOCKING    1
#define SEQ_MAP_MASK    2
#define SEQ_FONT        3
#define SEQ_MEMORY_MODE 4
#define SEQ_COUNT       5

#define CLOCKING_8_DOTS     0x01
#define CLOCKING_HALF       0x08
#define CLOCKING_SCREEN_OFF 0x20

#define MEMORY_MODE_SEQUENTIAL 0x04 /* 0: odd/even */
#define MEMORY_MODE_CHAIN4     0x08

/* CRT controller; names as IBM's */
#define CRTC_H_TOTAL       0x00
#define CRTC_H_DISPLAY_END 0x01
#define CRTC_V_TOTAL       0x06
#define CRTC_OVERFLOW      0x07
#define CRTC_PRESET_ROW    0x08
#define CRTC_MAX_SCAN      0x09
#define CRTC_CURSOR_START  0x0A
#define CRTC_CURSOR_END    0x0B
#define CRTC_START_HIGH    0x0C
#define CRTC_START_LOW     0x0D
#define CRTC_CURSOR_HIGH   0x0E
#define CRTC_CURSOR_LOW    0x0F
#define CRTC_V_SYNC_START  0x10
#define CRTC_V_SYNC_END    0x11
#define CRTC_V_DISPLAY_END 0x12
#define CRTC_OFFSET        0x13
#define CRTC_UNDERLINE     0x14
#define CRTC_MODE          0x17
#define CRTC_LINE_COMPARE  0x18
#define CRTC_COUNT         0x19

#define UNDERLINE_COUNT_BY_4 0x20
#define UNDERLINE_DWORD      0x40

#define MODE_A13_NOT_ROW  0x01
#define MODE_A14_NOT_ROW  0x02
#define MODE_DOUBLE_LINES 0x04
#define MODE_COUNT_BY_2   0x08
#define MODE_WRAP_15      0x20
#define MODE_BYTE         0x40

/* Graphics controller */
#define GFX_SET_RESET        0
#define GFX_ENABLE_SET_RESET 1
#define GFX_COLOR_COMPARE    2
#define GFX_ROTATE           3
#define GFX_READ_MAP         4
#define GFX_MODE             5
#define GFX_MISC             6
#define GFX_COLOR_CARE       7
#define GFX_BIT_MASK         8
#define GFX_COUNT            9

#define GFX_MODE_READ_COMPARE 0x08
#define GFX_MODE_ODD_EVEN     0x10
#define GFX_MODE_INTERLEAVE   0x20
#define GFX_MODE_256          0x40

#define GFX_MISC_GRAPHICS 0x01
#define GFX_MISC_CHAIN    0x02 /* odd/even: address bit 0 selects the plane */

/* Attribute controller */
#define ATTR_MODE         0x10
#define ATTR_OVERSCAN     0x11
#define ATTR_PLANES       0x12
#define ATTR_PAN          0x13
#define ATTR_COLOR_SELECT 0x14
#define ATTR_COUNT        0x15
#define ATTR_PALETTE_ON   0x20 /* in the index: the palette is the display's */

#define ATTR_MODE_LINE_GRAPHICS 0x04
#define ATTR_MODE_BLINK         0x08
#define ATTR_MODE_SPLIT_NO_PAN  0x20
#define ATTR_MODE_8_BITS        0x40
#define ATTR_MODE_P54           0x80

/* Bochs VBE, "dispi" */
#define VBE_ID          0
#define VBE_WIDTH       1
#define VBE_HEIGHT      2
#define VBE_BPP         3
#define VBE_ENABLE      4
#define VBE_BANK        5
#define VBE_VIRT_WIDTH  6
#define VBE_VIRT_HEIGHT 7
#define VBE_X           8
#define VBE_Y           9
#define VBE_MEMORY      10 /* in 64 KiB; read only */
#define VBE_COUNT       11

#define VBE_ENABLED      0x01
#define VBE_CAPABILITIES 0x02 /* WIDTH, HEIGHT and BPP read as the largest there are */
#define VBE_8_BIT_DAC    0x20
#define VBE_LFB          0x40
#define VBE_NO_CLEAR     0x80

#define VGA_PLANAR_PAGES 64   /* of video memory that VGA's own modes reach: 256 KiB */
#define VGA_LINE_MAX     5184 /* pixels; the longest line, and room for panning */

#define EDID_SIZE 128

/* What the last refresh found and drew; derived, not state. */
struct vga_picture {
    struct surface surface;
    size_t capacity; /* of surface.pixels, in pixels */
    struct rect damage;
    bool changed; /* a register that the picture depends on was written */
    bool settle;  /* dirty pages were drawn last time: once more */
    bool blank;   /* the surface is black */
    bool blinks;  /* something drawn last depends on the blink phases */
    unsigned phases;
    uint8_t *pages;  /* for each page of video memory, enum page_state */
    uint16_t *cells; /* of vga_display()'s text */
    size_t cells_capacity;
    uint32_t line[VGA_LINE_MAX];   /* being drawn */
    uint8_t row[4 * VGA_LINE_MAX]; /* a line of memory that wraps around its end */
};

struct vga {
    struct log *log;
    struct clock *clock;
    struct bus *mem;
    struct pci_bus *pci_bus;
    struct region *window, *lfb, *mmio, *rom_region;
    uint8_t *vram;
    uint32_t vram_size, vram_mask;
    uint8_t *rom;
    uint8_t edid[EDID_SIZE];

    struct pci_function function;
    bool asleep; /* port 0x3C3: the VGA part doesn't answer */
    uint8_t misc, feature;
    uint8_t seq_index, seq[SEQ_COUNT];
    uint8_t crtc_index, crtc[CRTC_COUNT];
    uint8_t gfx_index, gfx[GFX_COUNT];
    uint8_t attr_index, attr[ATTR_COUNT];
    bool attr_data; /* the flip-flop: the next write to 0x3C0 is data */
    uint8_t dac_mask, dac_index, dac_part;
    bool dac_reading;
    uint8_t dac_latch[3], dac[768];
    uint8_t latch[4]; /* of the last read of each plane */
    uint16_t vbe_index, vbe[VBE_COUNT];

    struct vga_picture picture;
};

/* --- vga.c: a byte of ports 0x3B0-0x3DF */
uint8_t vga_port_read(struct vga *vga, unsigned port);
void vga_port_write(struct vga *vga, unsigned port, uint8_t value);

/* --- vga_pci.c */
/* Plugs the function in; false when memory ran out or the slot is taken. */
bool vga_pci_init(struct vga *vga, const uint8_t *rom, size_t rom_size);
void vga_pci_reset(struct vga *vga);
/* Maps what the BARs say. */
void vga_pci_map(struct vga *vga);

/* --- vga_vbe.c */
uint16_t vbe_read(struct vga *vga, unsigned index);
void vbe_write(struct vga *vga, unsigned index, uint16_t value);
/* After a snapshot was loaded: brings what it says of a mode in bounds. */
void vbe_loaded(struct vga *vga);
bool vbe_ports_map(struct vga *vga, struct bus *ports);
/* Bytes from one line to the next; in 4-bit modes of each plane. */
uint32_t vbe_pitch(const struct vga *vga);
/* Draws what changed, or all. */
void vbe_draw(struct vga *vga, bool all);

/* --- vga_memory.c */
extern const struct bus_ops vga_window_ops;

/* --- vga_picture.c */
const struct surface *vga_refresh(void *opaque, bool all, struct rect *damage);
/* Puts picture.line into the surface and adds what differed to the damage. */
void vga_line_done(struct vga *vga, unsigned y);

/* --- vga_draw.c */
struct vga_size {
    unsigned width, height;
};
/* Of the mode that the VGA registers say. */
struct vga_size vga_mode_size(const struct vga *vga);
void vga_draw(struct vga *vga);
bool vga_text(void *opaque, struct text_screen *text);
/* The cursor's phase and the characters', as bits 0 and 1: set is on. */
unsigned vga_blink_phases(const struct vga *vga);

/* --- vga_edid.c */
void vga_edid_fill(uint8_t edid[EDID_SIZE]);

static inline bool vbe_enabled(const struct vga *vga)
{
    return vga->vbe[VBE_ENABLE] & VBE_ENABLED;
}

static inline bool vga_is_text(const struct vga *vga)
{
    return !vbe_enabled(vga) && !(vga->gfx[GFX_MISC] & GFX_MISC_GRAPHICS);
}

/* The four planes' bytes at a plane address, plane 0 in the low byte. */
static inline uint32_t vga_word(const struct vga *vga, uint32_t address)
{
    uint32_t word;

    memcpy(&word, vga->vram + (4 * (size_t)address & vga->vram_mask & ~3u), 4);
    return word;
}

/* A bit for each plane becomes a byte of ones. */
static inline uint32_t vga_expand(unsigned planes)
{
    return (planes & 1 ? 0xFFu : 0) | (planes & 2 ? 0xFF00u : 0) | (planes & 4 ? 0xFF0000u : 0) |
           (planes & 8 ? 0xFF000000u : 0);
}

/* 0x00RRGGBB of a DAC entry. */
static inline uint32_t vga_dac_color(const struct vga *vga, unsigned index)
{
    const uint8_t *rgb = &vga->dac[3 * (index & vga->dac_mask & 0xFF)];
    uint32_t r = rgb[0], g = rgb[1], b = rgb[2];

    if (!(vga->vbe[VBE_ENABLE] & VBE_8_BIT_DAC)) {
        r = (r & 63) << 2 | (r & 63) >> 4;
        g = (g & 63) << 2 | (g & 63) >> 4;
        b = (b & 63) << 2 | (b & 63) >> 4;
    }
    return r << 16 | g << 8 | b;
}

#endif
