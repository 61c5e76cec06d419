/*
 * cp437.h - code page 437, the characters of PC text modes, as Unicode.
 */
#ifndef GUI_CP437_H
#define GUI_CP437_H

#include <stdint.h>

/* The picture of a byte; what has none (0, 32, 255) is a space. */
uint32_t cp437_to_unicode(uint8_t byte);

/* The byte for a character, -1 when the code page hasn't got it. */
int cp437_from_unicode(uint32_t character);

#endif
