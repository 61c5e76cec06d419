/*
 * scale.h - where the guest's picture lies in the window, and what a host position is to the guest.
 *
 * All sizes are pixels and at least 1, unless said otherwise; sizes up to 65535 cause no overflow.
 */
#ifndef GUI_SCALE_H
#define GUI_SCALE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/display.h"

#define POINTER_MAX 32767 /* of input_sink.pointer_at */

enum scale_mode {
    SCALE_SMOOTH,  /* as large as the window has room for, pixels blended */
    SCALE_INTEGER, /* the largest whole multiple, pixels sharp; a picture larger than the window as SMOOTH */
};

/* The picture in a window of `width` by `height`: undistorted, in the middle. *sharp: no blending. */
struct rect scale_fit(enum scale_mode mode, int guest_width, int guest_height, int width, int height,
                      bool *sharp);

/*
 * The size of window for a picture when the desktop has room for `width` by `height`: small pictures enlarged
 * by a whole number while they take up half of it at most, too large ones shrunk. x and y are 0.
 */
struct rect scale_window(int guest_width, int guest_height, int width, int height);

/* A coordinate in the window as one of an absolute pointer, 0 to POINTER_MAX; outside the picture its edge.
 */
int scale_position(int at, int picture_at, int picture_size);

/* Motion that came to less than a guest's pixel is kept for the next time. */
struct scale_motion {
    int64_t rest;
};

/* Motion in the window's pixels as motion in the guest's, along one axis. */
int scale_motion(struct scale_motion *motion, int distance, int guest_size, int picture_size);

#endif
