/*
 * screenshot.h - pictures of the screen as files named after the time, written by a thread of their own, for
 * that of a large screen takes a second.
 */
#ifndef GUI_SCREENSHOT_H
#define GUI_SCREENSHOT_H

#include <stdbool.h>
#include <stddef.h>

#include "core/display.h"

struct screenshot;

/*
 * Copies the surface and starts writing it to oxbow-DATE-TIME.png in the working directory, a name that is
 * not taken. NULL when the host refuses; then `why` says why. Machine lock held, for the surface.
 */
struct screenshot *screenshot_start(const struct surface *surface, char *why, size_t why_size);

/* Is it written? */
bool screenshot_done(const struct screenshot *screenshot);

/* Waits until it is written, and frees it. `note`, if there is one, is told the file's name or what went
 * wrong. */
void screenshot_end(struct screenshot *screenshot, char *note, size_t note_size);

#endif
