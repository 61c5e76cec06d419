/*
 * display.h - the picture a graphics chip makes, and those who show it.
 *
 * The chip draws into a surface only when a viewer asks (display_refresh), and says which rectangles changed;
 * viewers (SDL window, PNG screenshot, terminal) copy those. An idle screen costs a look at some dirty bits.
 *
 * Locking: everything here with the machine lock held.
 */
#ifndef CORE_DISPLAY_H
#define CORE_DISPLAY_H

#include <stdbool.h>
#include <stdint.h>

struct rect {
    int x, y, width, height;
};

/* 32 bits a pixel, 0x00RRGGBB; rows follow each other without gap. Owned by the chip; valid until the next
 * refresh. */
struct surface {
    int width, height;
    uint32_t *pixels;
};

/* What a text mode shows, for terminals and tests. */
struct text_screen {
    int columns, rows;
    const uint16_t
        *cells; /* character (code page 437) in the low byte, attribute in the high one; row after row */
    int cursor_x, cursor_y;
    bool cursor_visible;
    bool blink; /* attribute bit 7 means blinking, not a bright background */
};

struct display_source {
    /*
     * Brings the surface up to date. Adds what changed since the last call to *damage (its bounding box;
     * width 0: nothing); `all` forces everything. Returns the surface.
     */
    const struct surface *(*refresh)(void *opaque, bool all, struct rect *damage);
    /* Fills *text when the chip is in a text mode; false when it is not. Valid until the next call. */
    bool (*text)(void *opaque, struct text_screen *text);
    void *opaque;
};

static inline const struct surface *display_refresh(const struct display_source *source, bool all,
                                                    struct rect *damage)
{
    *damage = (struct rect){0};
    return source->refresh ? source->refresh(source->opaque, all, damage) : 0;
}

#endif
