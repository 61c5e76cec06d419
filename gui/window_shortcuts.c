/*
 * window_shortcuts.c - what Ctrl-Alt and a letter do, and the steps of closing.
 */
#include <stdio.h>
#include <string.h>

#include "gui/window_internal.h"

/* --- the machine's affairs */

/* Shows what the command has to say; false when the command does not exist or says so. */
static bool command(struct window *w, enum window_command command)
{
    char note[NOTE_SIZE] = "";

    if (!(w->config.commands >> command & 1) && command != WINDOW_SWITCH_OFF)
        return false;
    bool done = w->config.command(w->config.opaque, command, note, sizeof(note));
    if (note[0])
        window_note(w, note);
    window_ask_status(w);
    return done;
}

static void pause_or_go(struct window *w)
{
    command(w, WINDOW_PAUSE);
}

static void reset(struct window *w)
{
    window_note(w, "Reset");
    command(w, WINDOW_RESET);
}

static void press_power_button(struct window *w)
{
    window_note(w, command(w, WINDOW_POWER_BUTTON) ? "The power button was pressed."
                                                   : "The guest does not listen to its power button.");
}

static void swap_cd(struct window *w)
{
    command(w, WINDOW_SWAP_CD);
}

static void type_clipboard(struct window *w)
{
    char *text = SDL_GetClipboardText();

    if (text && *text) {
        window_note(w, "Typing the clipboard's text");
        w->config.type(w->config.opaque, text);
    } else {
        window_note(w, "The clipboard has no text.");
    }
    SDL_free(text);
}

static void ctrl_alt_delete(struct window *w)
{
    static const unsigned usages[] = {USAGE_LEFT_CTRL, USAGE_LEFT_ALT, USAGE_DELETE};

    window_lock(w);
    for (size_t i = 0; i < SDL_arraysize(usages); i++)
        keys_event(&w->keys, w->config.keys, usages[i], true);
    keys_release(&w->keys, w->config.keys);
    window_unlock(w);
}

/* --- the window's */

static void list(struct window *w)
{
    w->listing = !w->listing;
    w->stale = true;
}

static void full_screen(struct window *w)
{
    bool full = !window_is_full_screen(w);

    if (SDL_SetWindowFullscreen(w->window, full ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0))
        window_note(w, "The desktop has no full screen.");
    else if (full)
        window_note(w, "Ctrl-Alt-F leaves full screen");
    else if (!w->user_sized)
        window_fit(w);
    w->stale = true;
}

static void grab(struct window *w)
{
    window_grab(w, !w->grabbed);
    window_note(w, w->grabbed ? "Ctrl-Alt-G releases the mouse" : "The mouse is free.");
}

static void toggle_scaling(struct window *w)
{
    w->scale = w->scale == SCALE_SMOOTH ? SCALE_INTEGER : SCALE_SMOOTH;
    window_note(w, w->scale == SCALE_SMOOTH ? "Smooth scaling" : "Scaling by whole numbers");
}

static void guest_size(struct window *w)
{
    if (window_is_full_screen(w))
        full_screen(w);
    SDL_RestoreWindow(w->window);
    window_fit(w);
}

static void take_screenshot(struct window *w)
{
    struct rect damage;
    char why[NOTE_SIZE];

    if (w->screenshot)
        return;
    window_lock(w);
    const struct surface *surface = display_refresh(&w->config.source, false, &damage);
    w->screenshot = screenshot_start(surface, why, sizeof(why));
    window_unlock(w);
    /* The damage was reported to us, just now. */
    window_refresh_all(w);
    if (!w->screenshot)
        window_note(w, why);
}

/* --- the list */

#define NO_COMMAND (-1)

static const struct shortcut {
    char letter;
    const char *about;
    void (*fn)(struct window *w);
    int command; /* that must be offered */
} shortcuts[] = {
    {'h', "this list", list, NO_COMMAND},
    {'g', "grab or release mouse and keyboard", grab, NO_COMMAND},
    {'f', "full screen or window", full_screen, NO_COMMAND},
    {'s', "scaling: smooth or by whole numbers", toggle_scaling, NO_COMMAND},
    {'u', "window of the guest's size", guest_size, NO_COMMAND},
    {'c', "screenshot into a PNG file", take_screenshot, NO_COMMAND},
    {'v', "type the clipboard's text", type_clipboard, NO_COMMAND},
    {'e', "press Ctrl-Alt-Delete", ctrl_alt_delete, NO_COMMAND},
    {'p', "pause or go on", pause_or_go, WINDOW_PAUSE},
    {'r', "reset", reset, WINDOW_RESET},
    {'d', "change the CD", swap_cd, WINDOW_SWAP_CD},
    {'q', "press the power button", press_power_button, WINDOW_POWER_BUTTON},
};

static bool offered(const struct window *w, const struct shortcut *shortcut)
{
    if (shortcut->fn == type_clipboard)
        return w->config.type;
    return shortcut->command == NO_COMMAND || w->config.commands >> shortcut->command & 1;
}

bool window_shortcut(struct window *w, char letter)
{
    for (size_t i = 0; i < SDL_arraysize(shortcuts); i++) {
        if (shortcuts[i].letter != letter || !offered(w, &shortcuts[i]))
            continue;
        window_release_keys(w);
        w->listing &= shortcuts[i].fn == list;
        w->stale = true;
        shortcuts[i].fn(w);
        return true;
    }
    return false;
}

void window_list_shortcuts(const struct window *w, char *text, size_t size)
{
    size_t used = 0;

    for (size_t i = 0; i < SDL_arraysize(shortcuts) && used < size; i++) {
        if (offered(w, &shortcuts[i]))
            used += (size_t)snprintf(text + used, size - used, "%sCtrl-Alt-%c  %s", used ? "\n" : "",
                                     shortcuts[i].letter - 'a' + 'A', shortcuts[i].about);
    }
}

/* --- closing */

void window_close(struct window *w, enum closing_step step)
{
    if (step == CLOSING_PRESS && w->status.state == WINDOW_RUNNING && command(w, WINDOW_POWER_BUTTON)) {
        window_note(w, "The guest was asked to shut down. Close the window again to switch off at once.");
        return;
    }
    /* Nobody listens. */
    if (step == CLOSING_PRESS)
        step = closing_ask(&w->closing);
    if (step == CLOSING_ASK) {
        window_release_keys(w);
        window_grab(w, false);
        w->listing = false;
        w->note[0] = 0;
    }
    if (step == CLOSING_SWITCH_OFF)
        command(w, WINDOW_SWITCH_OFF);
    w->stale = true;
}
