/*
 * font.h - the letters of text mode: code page 437 as far as kernels and boot loaders use it, in cells of 8
 * by
 * 16. ASCII, lines and blocks, arrows and a few signs are there; in place of the others is a box.
 */
#ifndef BIOS_FONT_H
#define BIOS_FONT_H

#include <stdint.h>

#define FONT_ROWS 16

/* A byte for each row from the top, bit 7 leftmost. */
void font_make(uint8_t font[256][FONT_ROWS]);

#endif
