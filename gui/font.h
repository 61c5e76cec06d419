/*
 * font.h - letters for what Oxbow itself has to say: ASCII drawn with strokes, at any size.
 *
 * A glyph's cell is FONT_WIDTH by FONT_HEIGHT units; a unit is a whole number of pixels, so that strokes are
 * crisp.
 */
#ifndef GUI_FONT_H
#define GUI_FONT_H

#include <stdint.h>

#define FONT_WIDTH  6
#define FONT_HEIGHT 10
#define FONT_FIRST  0x20
#define FONT_COUNT  96 /* ASCII's characters, and a box as the last for all others */

/* Which of the FONT_COUNT glyphs shows a character. */
unsigned font_glyph(char character);

/* Fills FONT_WIDTH * unit by FONT_HEIGHT * unit bytes, rows of `stride` bytes, with how much ink is on each.
 */
void font_draw(unsigned glyph, int unit, uint8_t *ink, int stride);

/*
 * Copies `text` with line ends where it has any and so that no line is longer than `columns`, broken at
 * spaces where that can be; bytes of UTF-8 that aren't ASCII become one box each character. What doesn't fit
 * in `size` bytes is left out. Returns the number of lines, and their greatest length in *width.
 */
int font_wrap(const char *text, int columns, char *wrapped, int size, int *width);

#endif
