/*
 * window.h - the guest's screen as a window of the desktop, and the desktop's keyboard and mouse for the
 * guest.
 *
 * The thread that makes the window also polls and frees it. It waits for window_fd() to be readable beside
 * whatever else it waits for, then calls window_poll(), which says in the same way when it wants to be called
 * again: some sixty times a second while something happens, less often when nothing does or nobody can see
 * the window. Time for that is the host's, so a window of a paused machine is alive.
 *
 * Keys go to the guest by their place on the keyboard, whatever the host's layout. Ctrl-Alt and a letter,
 * named by the host's layout, is for the window: Ctrl-Alt-H lists what there is. The window's close button
 * presses the guest's power button; closed again, the window asks, and then switches off.
 *
 * Locking: window_*() are called without the machine lock, which the window takes around calls of the display
 * and the sinks. What they get back from the surface is copied with the lock held; drawing is done without.
 */
#ifndef GUI_WINDOW_H
#define GUI_WINDOW_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/display.h"
#include "core/input.h"

/* What to say when Oxbow was built without it. */
#define WINDOW_MISSING "this build has no SDL2 window; install libsdl2-dev and build again"

enum window_command {
    WINDOW_PAUSE, /* or go on */
    WINDOW_RESET,
    WINDOW_POWER_BUTTON,
    WINDOW_SWAP_CD,
    WINDOW_SWITCH_OFF, /* without a shutdown; the window stays until it is freed */
};

enum window_state {
    WINDOW_RUNNING,
    WINDOW_PAUSED,
    WINDOW_STOPPED, /* crashed or at its end: nothing will run any more */
};

/* For the title; what is NULL or negative isn't shown. */
struct window_status {
    const char *name, *engine;
    double mips;     /* millions of guest instructions a second */
    double cpu_load; /* per cent of the time that the CPU was busy */
    enum window_state state;
};

struct window_config {
    struct display_source source;
    const struct input_sink *keys, *pointer; /* may change what they hold, under the lock */
    pthread_mutex_t *lock;                   /* NULL: none */
    bool full_screen;                        /* to begin with */

    /* Callbacks, without the lock. A bit 1 << command for each that is offered, WINDOW_SWITCH_OFF always. */
    unsigned commands;
    /* May leave a line in `note` that the window shows. For the power button: does anybody listen? */
    bool (*command)(void *opaque, enum window_command command, char *note, size_t note_size);
    void (*status)(void *opaque, struct window_status *status); /* twice a second */
    void (*type)(void *opaque, const char *text); /* UTF-8 from the clipboard; NULL: not offered */
    void *opaque;
};

struct window;

/* Is there a desktop that a window would open on, as far as the environment says? Looks no further. */
bool window_likely(void);

/* NULL when there is no desktop or the host refuses otherwise; then `why` says what and what to do. */
struct window *window_new(const struct window_config *config, char *why, size_t why_size);
void window_free(struct window *window);

int window_fd(const struct window *window);
void window_poll(struct window *window);

/* Shows a line for some seconds, such as one of the log. */
void window_note(struct window *window, const char *text);

/* The next poll fetches the whole picture: for when somebody else refreshed the display and took the damage.
 */
void window_refresh_all(struct window *window);

#endif
