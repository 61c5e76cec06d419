/*
 * vga_rig.h - a graphics adapter on an empty board, the standard modes' registers, and ports and memory as a
 * guest sees them.
 */
#ifndef TESTS_UNIT_VGA_RIG_H
#define TESTS_UNIT_VGA_RIG_H

#include "devices/pci.h"
#include "devices/vga.h"
#include "tests/unit/board.h"

#define VRAM_SIZE (16u << 20)
#define LFB       0xE0000000u
#define REGISTERS 0xFEB00000u

struct vga_rig {
    struct board board;
    struct pci_bus *pci;
    uint8_t *vram;
    struct vga *vga;
    struct display_source display;
    const struct surface *surface;
    struct rect damage;
};

/* As IBM's BIOS sets them. */
struct vga_registers {
    uint8_t misc, seq[5], crtc[25], gfx[9], attr[21];
};

static const struct vga_registers mode_03 = {
    0x67,
    {0x03, 0x00, 0x03, 0x00, 0x02},
    {0x5F, 0x4F, 0x50, 0x82, 0x55, 0x81, 0xBF, 0x1F, 0x00, 0x4F, 0x0D, 0x0E, 0x00,
     0x00, 0x00, 0x00, 0x9C, 0x8E, 0x8F, 0x28, 0x1F, 0x96, 0xB9, 0xA3, 0xFF},
    {0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0E, 0x00, 0xFF},
    {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3A,
     0x3B, 0x3C, 0x3D, 0x3E, 0x3F, 0x0C, 0x00, 0x0F, 0x08, 0x00}};

static const struct vga_registers mode_01 = {
    0x67,
    {0x03, 0x08, 0x03, 0x00, 0x02},
    {0x2D, 0x27, 0x28, 0x90, 0x2B, 0xA0, 0xBF, 0x1F, 0x00, 0x4F, 0x0D, 0x0E, 0x00,
     0x00, 0x00, 0x00, 0x9C, 0x8E, 0x8F, 0x14, 0x1F, 0x96, 0xB9, 0xA3, 0xFF},
    {0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0E, 0x00, 0xFF},
    {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3A,
     0x3B, 0x3C, 0x3D, 0x3E, 0x3F, 0x0C, 0x00, 0x0F, 0x08, 0x00}};

static const struct vga_registers mode_04 = {
    0x63,
    {0x03, 0x09, 0x03, 0x00, 0x02},
    {0x2D, 0x27, 0x28, 0x90, 0x2B, 0x80, 0xBF, 0x1F, 0x00, 0xC1, 0x00, 0x00, 0x00,
     0x00, 0x00, 0x00, 0x9C, 0x8E, 0x8F, 0x14, 0x00, 0x96, 0xB9, 0xA2, 0xFF},
    {0x00, 0x00, 0x00, 0x00, 0x00, 0x30, 0x0F, 0x0F, 0xFF},
    {0x00, 0x13, 0x15, 0x17, 0x02, 0x04, 0x06, 0x07, 0x10, 0x11, 0x12,
     0x13, 0x14, 0x15, 0x16, 0x17, 0x01, 0x00, 0x03, 0x00, 0x00}};

static const struct vga_registers mode_06 = {
    0x63,
    {0x03, 0x01, 0x01, 0x00, 0x06},
    {0x5F, 0x4F, 0x50, 0x82, 0x54, 0x80, 0xBF, 0x1F, 0x00, 0xC1, 0x00, 0x00, 0x00,
     0x00, 0x00, 0x00, 0x9C, 0x8E, 0x8F, 0x28, 0x00, 0x96, 0xB9, 0xC2, 0xFF},
    {0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0D, 0x0F, 0xFF},
    {0x00, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17, 0x17,
     0x17, 0x17, 0x17, 0x17, 0x17, 0x01, 0x00, 0x01, 0x00, 0x00}};

static const struct vga_registers mode_0d = {
    0x63,
    {0x03, 0x09, 0x0F, 0x00, 0x06},
    {0x2D, 0x27, 0x28, 0x90, 0x2B, 0x80, 0xBF, 0x1F, 0x00, 0xC0, 0x00, 0x00, 0x00,
     0x00, 0x00, 0x00, 0x9C, 0x8E, 0x8F, 0x14, 0x00, 0x96, 0xB9, 0xE3, 0xFF},
    {0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x0F, 0xFF},
    {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x10, 0x11, 0x12,
     0x13, 0x14, 0x15, 0x16, 0x17, 0x01, 0x00, 0x0F, 0x00, 0x00}};

static const struct vga_registers mode_12 = {
    0xE3,
    {0x03, 0x01, 0x0F, 0x00, 0x06},
    {0x5F, 0x4F, 0x50, 0x82, 0x54, 0x80, 0x0B, 0x3E, 0x00, 0x40, 0x00, 0x00, 0x00,
     0x00, 0x00, 0x00, 0xEA, 0x8C, 0xDF, 0x28, 0x00, 0xE7, 0x04, 0xE3, 0xFF},
    {0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x05, 0x0F, 0xFF},
    {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3A,
     0x3B, 0x3C, 0x3D, 0x3E, 0x3F, 0x01, 0x00, 0x0F, 0x00, 0x00}};

static const struct vga_registers mode_13 = {
    0x63,
    {0x03, 0x01, 0x0F, 0x00, 0x0E},
    {0x5F, 0x4F, 0x50, 0x82, 0x54, 0x80, 0xBF, 0x1F, 0x00, 0x41, 0x00, 0x00, 0x00,
     0x00, 0x00, 0x00, 0x9C, 0x8E, 0x8F, 0x28, 0x40, 0x96, 0xB9, 0xA3, 0xFF},
    {0x00, 0x00, 0x00, 0x00, 0x00, 0x40, 0x05, 0x0F, 0xFF},
    {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0A,
     0x0B, 0x0C, 0x0D, 0x0E, 0x0F, 0x41, 0x00, 0x0F, 0x00, 0x00}};

/* 320x240 with four planes side by side, as mode 13h unchained. */
static const struct vga_registers mode_x = {0xE3,
                                            {0x03, 0x01, 0x0F, 0x00, 0x06},
                                            {0x5F, 0x4F, 0x50, 0x82, 0x54, 0x80, 0x0D, 0x3E, 0x00,
                                             0x41, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xEA, 0xAC,
                                             0xDF, 0x28, 0x00, 0xE7, 0x06, 0xE3, 0xFF},
                                            {0x00, 0x00, 0x00, 0x00, 0x00, 0x40, 0x05, 0x0F, 0xFF},
                                            {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0A,
                                             0x0B, 0x0C, 0x0D, 0x0E, 0x0F, 0x41, 0x00, 0x0F, 0x00, 0x00}};

static inline void rig_init(struct vga_rig *rig)
{
    static const uint8_t rom[3000] = {0x55, 0xAA, 6, [2999] = 0x77};

    memset(rig, 0, sizeof(*rig));
    board_init(&rig->board);
    rig->pci = pci_bus_new(&rig->board.log);
    rig->vram = aligned_alloc(BUS_PAGE, VRAM_SIZE);
    ck_assert(rig->pci && rig->vram);
    memset(rig->vram, 0, VRAM_SIZE);
    rig->vga = vga_new(rig->pci, rig->board.mem, rig->board.ports, rig->board.clock, rig->vram, VRAM_SIZE,
                       rom, sizeof(rom), &rig->board.log);
    ck_assert(rig->vga);
    rig->display = vga_display(rig->vga);
}

static inline void rig_free(struct vga_rig *rig)
{
    vga_class.free(rig->vga);
    board_free(&rig->board);
    pci_bus_free(rig->pci);
    free(rig->vram);
}

static inline uint32_t config_get(struct vga_rig *rig, unsigned reg, unsigned size)
{
    return pci_config_read(rig->pci, 0, PCI_DEVFN(VGA_SLOT, 0), reg, size);
}

static inline void config_set(struct vga_rig *rig, unsigned reg, uint32_t value, unsigned size)
{
    pci_config_write(rig->pci, 0, PCI_DEVFN(VGA_SLOT, 0), reg, value, size);
}

static inline void enable_bars(struct vga_rig *rig)
{
    config_set(rig, PCI_BAR(0), LFB, 4);
    config_set(rig, PCI_BAR(2), REGISTERS, 4);
    config_set(rig, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
}

static inline void out_indexed(struct vga_rig *rig, uint16_t port, uint8_t index, uint8_t value)
{
    bus_write(rig->board.ports, port, (unsigned)value << 8 | index, 2);
}

static inline uint8_t in_indexed(struct vga_rig *rig, uint16_t port, uint8_t index)
{
    out(&rig->board, port, index);
    return in(&rig->board, port + 1);
}

static inline void seq(struct vga_rig *rig, uint8_t index, uint8_t value)
{
    out_indexed(rig, 0x3C4, index, value);
}

static inline void gfx(struct vga_rig *rig, uint8_t index, uint8_t value)
{
    out_indexed(rig, 0x3CE, index, value);
}

static inline void crtc(struct vga_rig *rig, uint8_t index, uint8_t value)
{
    out_indexed(rig, 0x3D4, index, value);
}

static inline void attr(struct vga_rig *rig, uint8_t index, uint8_t value)
{
    in(&rig->board, 0x3DA);
    out(&rig->board, 0x3C0, index);
    out(&rig->board, 0x3C0, value);
    out(&rig->board, 0x3C0, 0x20);
}

/* Whatever else is set: the sequencer runs, and the picture isn't blanked. */
static inline void show(struct vga_rig *rig)
{
    out(&rig->board, 0x3C3, 1);
    seq(rig, 0, 3);
    seq(rig, 1, in_indexed(rig, 0x3C4, 1) & ~0x20);
    in(&rig->board, 0x3BA);
    in(&rig->board, 0x3DA);
    out(&rig->board, 0x3C0, 0x20);
}

static inline void set_mode(struct vga_rig *rig, const struct vga_registers *mode)
{
    out(&rig->board, 0x3C2, mode->misc);
    seq(rig, 0, 1);
    for (unsigned i = 1; i < 5; i++)
        seq(rig, i, mode->seq[i]);
    seq(rig, 0, mode->seq[0]);
    crtc(rig, 0x11, mode->crtc[0x11] & 0x7F);
    for (unsigned i = 0; i < 25; i++)
        crtc(rig, i, mode->crtc[i]);
    for (unsigned i = 0; i < 9; i++)
        gfx(rig, i, mode->gfx[i]);
    for (unsigned i = 0; i < 21; i++)
        attr(rig, i, mode->attr[i]);
}

/* A palette in which every entry is another colour: what it is, in 6 bits and on the screen. */
static inline uint8_t dac_part(unsigned entry, unsigned part)
{
    return (part == 0 ? entry : part == 1 ? entry >> 2 : 63 - entry) & 63;
}

static inline uint32_t widen(unsigned v)
{
    return v << 2 | v >> 4;
}

static inline uint32_t dac_color(unsigned entry)
{
    return widen(dac_part(entry, 0)) << 16 | widen(dac_part(entry, 1)) << 8 | widen(dac_part(entry, 2));
}

static inline void set_dac(struct vga_rig *rig)
{
    out(&rig->board, 0x3C8, 0);
    for (unsigned i = 0; i < 256; i++)
        for (unsigned part = 0; part < 3; part++)
            out(&rig->board, 0x3C9, dac_part(i, part));
}

static inline void poke(struct vga_rig *rig, uint64_t addr, uint8_t value)
{
    bus_write(rig->board.mem, addr, value, 1);
}

static inline uint8_t peek(struct vga_rig *rig, uint64_t addr)
{
    return bus_read(rig->board.mem, addr, 1);
}

static inline void vbe(struct vga_rig *rig, uint16_t index, uint16_t value)
{
    bus_write(rig->board.ports, 0x1CE, index, 2);
    bus_write(rig->board.ports, 0x1CF, value, 2);
}

static inline uint16_t vbe_get(struct vga_rig *rig, uint16_t index)
{
    bus_write(rig->board.ports, 0x1CE, index, 2);
    return bus_read(rig->board.ports, 0x1CF, 2);
}

static inline void set_vbe_mode(struct vga_rig *rig, unsigned width, unsigned height, unsigned bpp,
                                unsigned flags)
{
    vbe(rig, 4, 0);
    vbe(rig, 1, width);
    vbe(rig, 2, height);
    vbe(rig, 3, bpp);
    vbe(rig, 4, 0x41 | flags);
    in(&rig->board, 0x3DA);
    out(&rig->board, 0x3C0, 0x20);
}

static inline void refresh(struct vga_rig *rig)
{
    rig->surface = display_refresh(&rig->display, false, &rig->damage);
}

static inline uint32_t pixel(const struct vga_rig *rig, int x, int y)
{
    if (x >= rig->surface->width || y >= rig->surface->height)
        ck_abort_msg("there is no pixel %d,%d", x, y);
    return rig->surface->pixels[y * rig->surface->width + x];
}

/* From the upper left corner every pixel is what the function says. */
static inline void expect_area(struct vga_rig *rig, int width, int height,
                               uint32_t (*expected)(unsigned x, unsigned y))
{
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            uint32_t want = expected(x, y), have = pixel(rig, x, y);
            if (have != want)
                ck_abort_msg("pixel %d,%d is %06x, not %06x", x, y, have, want);
        }
    }
}

/* The whole picture, with `scale` screen pixels each way for one of the mode's. */
static inline void expect_picture(struct vga_rig *rig, int width, int height, int scale_x, int scale_y,
                                  uint32_t (*expected)(unsigned x, unsigned y))
{
    refresh(rig);
    ck_assert_int_eq(rig->surface->width, width * scale_x);
    ck_assert_int_eq(rig->surface->height, height * scale_y);
    for (int y = 0; y < height * scale_y; y++) {
        for (int x = 0; x < width * scale_x; x++) {
            uint32_t want = expected(x / scale_x, y / scale_y), have = pixel(rig, x, y);
            if (have != want)
                ck_abort_msg("pixel %d,%d is %06x, not %06x", x, y, have, want);
        }
    }
}

#endif
