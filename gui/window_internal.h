/*
 * window_internal.h - the window's state, for gui/window*.c only.
 *
 *     window.c           its life: made, polled, freed; title and size
 *     window_draw.c      the guest's picture and what lies over it
 *     window_events.c    what the desktop reports: keys, pointer, window
 *     window_shortcuts.c what Ctrl-Alt and a letter do, and closing
 */
#ifndef GUI_WINDOW_INTERNAL_H
#define GUI_WINDOW_INTERNAL_H

#include <SDL.h>

#include "gui/closing.h"
#include "gui/keys.h"
#include "gui/overlay.h"
#include "gui/scale.h"
#include "gui/screenshot.h"
#include "gui/window.h"

#define WINDOW_DATA "oxbow" /* the name under which SDL's window knows ours */

#define NOTE_SIZE 300

struct window {
    struct window_config config;
    int timer_fd;
    SDL_Window *window;
    SDL_Renderer *renderer;
    uint64_t active; /* SDL_GetTicks64() when something last happened */

    /* --- drawing */
    SDL_Texture *texture;          /* the guest's picture */
    int guest_width, guest_height; /* of the texture; 0: there was no picture yet */
    bool screen_on;
    bool fetch_all; /* the next refresh fetches everything */
    bool stale;     /* the window must be drawn anew */
    enum scale_mode scale;
    struct rect picture; /* where it lies in the window */
    struct overlay overlay;
    bool listing; /* the shortcuts are shown */
    char note[NOTE_SIZE];
    uint64_t note_until;
    struct screenshot *screenshot; /* being written */

    /* --- the window's size */
    bool user_sized;                 /* as the user likes it: left alone */
    struct rect asked, asked_before; /* sizes that we asked for; events about them are not the user's doing */

    /* --- title and closing */
    struct window_status status;
    uint64_t status_at; /* when to ask for it again */
    char title[NOTE_SIZE];
    struct closing closing;

    /* --- input */
    struct held_keys keys;
    unsigned buttons; /* held, as the guest knows */
    bool grabbed;
    bool cursor_hidden;
    /* Not yet told to the guest */
    bool moved;
    int dx, dy, x, y, wheel; /* relative when grabbed, else a place in the window */
    struct scale_motion rest_x, rest_y;
};

static inline void window_lock(struct window *w)
{
    if (w->config.lock)
        pthread_mutex_lock(w->config.lock);
}

static inline void window_unlock(struct window *w)
{
    if (w->config.lock)
        pthread_mutex_unlock(w->config.lock);
}

/* --- window.c */
/* Gives the window the size that suits the guest's picture, unless it is full screen. */
void window_fit(struct window *w);
bool window_is_full_screen(const struct window *w);
/* At the next poll. */
void window_ask_status(struct window *w);

/* --- window_draw.c */
/* Makes textures anew when drawing next. */
void window_forget_textures(struct window *w);
/* Fetches what changed of the guest's picture. */
void window_refresh(struct window *w);
void window_draw(struct window *w);

/* --- window_events.c */
void window_event(struct window *w, const SDL_Event *event);
/* Tells the guest of motion that has accumulated. */
void window_flush_pointer(struct window *w);
/* For the guest nothing is held any more. */
void window_release_keys(struct window *w);
void window_grab(struct window *w, bool grab);

/* --- window_shortcuts.c */
/* Does what the letter stands for; false when it stands for nothing. */
bool window_shortcut(struct window *w, char letter);
/* The list of them, a line each. */
void window_list_shortcuts(const struct window *w, char *text, size_t size);
/* A step of closing.h, carried out. */
void window_close(struct window *w, enum closing_step step);

#endif
