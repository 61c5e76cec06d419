/*
 * vga_text.c - mode 3 as a video BIOS sets it: 80x25 characters in 16 colours, 9 by 16 dots each, which makes
 * 720x400 at 70 Hz. For machines that start a kernel without any BIOS.
 */
#include "devices/vga_internal.h"

#define TEXT_CELLS 0x4000 /* the window's 32 KiB: eight pages */
#define TEXT_BLANK 0x0720 /* a space, light grey on black */
#define FONT_PLANE 2
#define FONT_PITCH 32 /* bytes of a character's place in plane 2, however high it is */
#define DAC_THIRD  21 /* a third of the DAC's 63 */

static const uint8_t mode_seq[SEQ_COUNT] = {3, 0, 3, 0, 2};
static const uint8_t mode_crtc[CRTC_COUNT] = {
    0x5F, 0x4F, 0x50, 0x82, 0x55, 0x81, 0xBF, 0x1F, 0x00, 0x4F, 0x0D, 0x0E, 0x00,
    0x00, 0x00, 0x00, 0x9C, 0x8E, 0x8F, 0x28, 0x1F, 0x96, 0xB9, 0xA3, 0xFF,
};
static const uint8_t mode_gfx[GFX_COUNT] = {0, 0, 0, 0, 0, 0x10, 0x0E, 0, 0xFF};
/* Brown is the DAC's 0x14, for dark yellow looks bad; the light colours are from 0x38 on. */
static const uint8_t mode_attr[ATTR_COUNT] = {
    0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3A,
    0x3B, 0x3C, 0x3D, 0x3E, 0x3F, 0x0C, 0x00, 0x0F, 0x08, 0x00,
};

/* 64 colours, of which bits 2, 1 and 0 are two thirds of red, green and blue, and bits 5, 4 and 3 one third.
 */
static void set_dac(struct vga *vga)
{
    memset(vga->dac, 0, sizeof(vga->dac));
    for (unsigned i = 0; i < 64; i++) {
        for (unsigned part = 0; part < 3; part++) {
            unsigned high = i >> (2 - part) & 1, low = i >> (5 - part) & 1;
            vga->dac[3 * i + part] = (uint8_t)(DAC_THIRD * (2 * high + low));
        }
    }
    vga->dac_mask = 0xFF;
    vga->dac_index = vga->dac_part = 0;
    vga->dac_reading = false;
}

static void set_registers(struct vga *vga)
{
    vga->asleep = false;
    vga->misc = 0x67; /* colour, memory on, 28 MHz, polarities for 400 lines */
    vga->feature = 0;
    memcpy(vga->seq, mode_seq, sizeof(mode_seq));
    memcpy(vga->crtc, mode_crtc, sizeof(mode_crtc));
    memcpy(vga->gfx, mode_gfx, sizeof(mode_gfx));
    memcpy(vga->attr, mode_attr, sizeof(mode_attr));
    vga->seq_index = vga->crtc_index = vga->gfx_index = 0;
    vga->attr_index = ATTR_PALETTE_ON;
    vga->attr_data = false;
}

/* The four planes' bytes of an address lie side by side. Odd/even mode uses the even addresses. */
static void fill_memory(struct vga *vga, const uint8_t font[256][VGA_FONT_ROWS])
{
    for (unsigned cell = 0; cell < TEXT_CELLS; cell++) {
        vga->vram[8 * cell] = TEXT_BLANK & 0xFF;
        vga->vram[8 * cell + 1] = TEXT_BLANK >> 8;
    }
    for (unsigned at = 0; at < 256 * FONT_PITCH; at++) {
        unsigned row = at % FONT_PITCH;
        vga->vram[4 * at + FONT_PLANE] = row < VGA_FONT_ROWS ? font[at / FONT_PITCH][row] : 0;
    }
    bus_ram_written(vga->mem, vga->lfb, 0, VGA_PLANAR_PAGES * BUS_PAGE);
}

void vga_set_text_mode(struct vga *vga, const uint8_t font[256][VGA_FONT_ROWS])
{
    vbe_write(vga, VBE_ENABLE, 0);
    set_registers(vga);
    set_dac(vga);
    fill_memory(vga, font);
    vga->picture.changed = true;
}
