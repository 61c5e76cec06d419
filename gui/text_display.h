/*
 * text_display.h - the guest's text screen in the terminal that Oxbow runs in.
 *
 * The terminal belongs to the caller: it is in raw mode, text_display_enter was written to it, and
 * text_display_leave will be whatever happens. The viewer draws what changed, in sixteen colours and UTF-8,
 * and sends the keys. A screen larger than the terminal is shown in part, around the cursor. Of a graphics
 * mode it shows the size only.
 *
 * Ctrl-A is a prefix: x ends the machine, h lists the keys, l draws all anew, d is Ctrl-Alt-Delete, Ctrl-A or
 * a is Ctrl-A.
 *
 * Locking: machine lock held.
 */
#ifndef GUI_TEXT_DISPLAY_H
#define GUI_TEXT_DISPLAY_H

#include <stddef.h>

#include "core/display.h"
#include "core/input.h"

#define TEXT_DISPLAY_HZ 30

struct text_display_config {
    struct display_source source;
    struct input_sink keys;
    int in, out; /* the terminal */
    /* How often another program has had the terminal meanwhile (the process was stopped); may be NULL */
    unsigned (*resumed)(void);
    void (*quit)(void *opaque); /* Ctrl-A x */
    void *quit_opaque;
};

struct text_display;

/* A screen of one's own, no wrapping at the edge; and back. */
extern const char text_display_enter[], text_display_leave[];

/* NULL when memory ran out. */
struct text_display *text_display_new(const struct text_display_config *config);
void text_display_free(struct text_display *display);

/* To be called when `in` has something to read. False at its end, or when it is broken. */
bool text_display_readable(struct text_display *display);

/* To be called TEXT_DISPLAY_HZ times a second: draws, and types what is waiting. */
void text_display_tick(struct text_display *display);

/* Shows a line for some seconds at the bottom, such as one of the log. */
void text_display_note(struct text_display *display, const char *text);

#endif
