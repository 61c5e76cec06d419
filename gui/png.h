/*
 * png.h - a picture as a PNG file.
 */
#ifndef GUI_PNG_H
#define GUI_PNG_H

#include <stdbool.h>
#include <stddef.h>

#include "core/display.h"

/*
 * Writes the surface to `path`, replacing what is there; a file that could not be written whole is removed.
 * False when the host refuses; then `why` says in a phrase what is wrong.
 */
bool png_write(const struct surface *surface, const char *path, char *why, size_t why_size);

#endif
