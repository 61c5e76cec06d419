/*
 * input.h - keys and pointers: from a window or terminal to whatever keyboard and mouse the guest has.
 *
 * Keys are physical keys, named by their USB HID usage (page 7, the numbers SDL calls scancodes), so layouts
 * are the guest's affair. A device that takes input fills a struct input_sink; the machine connects viewers
 * to sinks.
 *
 * Locking: with the machine lock held.
 */
#ifndef CORE_INPUT_H
#define CORE_INPUT_H

#include <stdbool.h>
#include <stdint.h>

enum pointer_button {
    BUTTON_LEFT = 1,
    BUTTON_RIGHT = 2,
    BUTTON_MIDDLE = 4,
    BUTTON_SIDE = 8,
    BUTTON_EXTRA = 16,
};

struct input_sink {
    void (*key)(void *opaque, unsigned usage, bool down);
    /* Relative motion in counts, y downwards; wheel in notches, positive away from the user; buttons held
     * now. */
    void (*pointer)(void *opaque, int dx, int dy, int wheel, unsigned buttons);
    /* Absolute position, 0 to 32767 each way; NULL when the guest has no absolute pointer. */
    void (*pointer_at)(void *opaque, int x, int y, int wheel, unsigned buttons);
    void *opaque;
};

#endif
