/*
 * overlay.h - text that the window lays over the guest's picture.
 */
#ifndef GUI_OVERLAY_H
#define GUI_OVERLAY_H

#include <SDL.h>

#define OVERLAY_UNITS 4 /* the largest text */

enum overlay_place { OVERLAY_TOP, OVERLAY_MIDDLE, OVERLAY_BOTTOM };

/* Zero it and set the renderer. */
struct overlay {
    SDL_Renderer *renderer;
    SDL_Texture
        *fonts[OVERLAY_UNITS + 1]; /* by pixels a unit: all glyphs side by side; NULL: not drawn yet */
};

/* Draws the text in a dark box, in a size that suits the renderer's output and in which it fits, if it can.
 */
void overlay_draw(struct overlay *overlay, const char *text, enum overlay_place place);

/* The renderer lost its textures, or is about to go. */
void overlay_forget(struct overlay *overlay);

#endif
