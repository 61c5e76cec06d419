/*
 * vga_edid.c - 128 bytes in which the monitor introduces itself (VESA E-EDID 1.3): drivers choose their first
 * mode by it.
 */
#include "devices/vga_internal.h"

#define VENDOR(a, b, c) (((a) - '@') << 10 | ((b) - '@') << 5 | ((c) - '@'))

#define ASPECT_16_10 0
#define ASPECT_4_3   1
#define ASPECT_5_4   2
#define ASPECT_16_9  3

struct timing {
    unsigned clock; /* 10 kHz */
    unsigned width, h_blank, h_front, h_sync;
    unsigned height, v_blank, v_front, v_sync;
};

/* VESA DMT and CEA-861 timings: the preferred one, and the largest. */
static const struct timing xga = {6500, 1024, 320, 24, 136, 768, 38, 3, 6};
static const struct timing uhd = {29700, 3840, 560, 176, 88, 2160, 90, 8, 10};

/* All at 60 Hz. */
static const struct {
    unsigned width, aspect;
} standard[8] = {
    {1280, ASPECT_16_10}, {1280, ASPECT_4_3}, {1280, ASPECT_5_4},   {1440, ASPECT_16_10},
    {1600, ASPECT_16_9},  {1600, ASPECT_4_3}, {1680, ASPECT_16_10}, {1920, ASPECT_16_9},
};

static void put_timing(uint8_t *at, const struct timing *t)
{
    at[0] = t->clock & 0xFF;
    at[1] = t->clock >> 8;
    at[2] = t->width & 0xFF;
    at[3] = t->h_blank & 0xFF;
    at[4] = t->width >> 8 << 4 | t->h_blank >> 8;
    at[5] = t->height & 0xFF;
    at[6] = t->v_blank & 0xFF;
    at[7] = t->height >> 8 << 4 | t->v_blank >> 8;
    at[8] = t->h_front & 0xFF;
    at[9] = t->h_sync & 0xFF;
    at[10] = (t->v_front & 15) << 4 | (t->v_sync & 15);
    at[11] = t->h_front >> 8 << 6 | t->h_sync >> 8 << 4 | t->v_front >> 4 << 2 | t->v_sync >> 4;
    at[17] = 0x18; /* separate sync signals */
}

static void put_name(uint8_t *at, const char *name)
{
    size_t length = strlen(name);

    memset(at, 0, 5);
    at[3] = 0xFC;
    memset(at + 5, ' ', 13);
    memcpy(at + 5, name, length);
    at[5 + length] = '\n';
}

void vga_edid_fill(uint8_t edid[EDID_SIZE])
{
    static const uint8_t header[] = {0, 255, 255, 255, 255, 255, 255, 0};
    static const uint8_t srgb[] = {0xEE, 0x91, 0xA3, 0x54, 0x4C, 0x99, 0x26, 0x0F, 0x50, 0x54};
    /* Vertical 50-75 Hz, horizontal 30-160 kHz, dot clock up to 600 MHz. */
    static const uint8_t limits[] = {0,  0, 0,    0xFD, 0,   50,  75,  30,  160,
                                     60, 0, '\n', ' ',  ' ', ' ', ' ', ' ', ' '};
    uint8_t sum = 0;

    memset(edid, 0, EDID_SIZE);
    memcpy(edid, header, sizeof(header));
    edid[8] = VENDOR('O', 'X', 'B') >> 8;
    edid[9] = VENDOR('O', 'X', 'B') & 0xFF;
    edid[10] = 1;           /* product */
    edid[17] = 2024 - 1990; /* year */
    edid[18] = 1;
    edid[19] = 3;
    edid[20] = 0x80; /* digital */
    edid[21] = 32;   /* cm */
    edid[22] = 24;
    edid[23] = 120;  /* gamma 2.2 */
    edid[24] = 0x0A; /* RGB; the first detailed timing is preferred */
    memcpy(edid + 25, srgb, sizeof(srgb));
    edid[35] = 0x21; /* 640x480 and 800x600 at 60 Hz */
    edid[36] = 0x08; /* 1024x768 */
    for (unsigned i = 0; i < 8; i++) {
        edid[38 + 2 * i] = standard[i].width / 8 - 31;
        edid[39 + 2 * i] = standard[i].aspect << 6;
    }
    put_timing(edid + 54, &xga);
    put_timing(edid + 72, &uhd);
    memcpy(edid + 90, limits, sizeof(limits));
    put_name(edid + 108, "Oxbow");
    for (unsigned i = 0; i < EDID_SIZE - 1; i++)
        sum += edid[i];
    edid[EDID_SIZE - 1] = -sum;
}
