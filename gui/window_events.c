/*
 * window_events.c - what the desktop reports becomes keys and pointer motion of the guest.
 *
 * With an absolute pointer in the guest, the host's pointer is its. Without one the guest hears of motion
 * only while the mouse is grabbed, which a click does. Motion is summed up and sent once a poll, and before a
 * button.
 */
#include "gui/window_internal.h"

/* --- keys */

void window_release_keys(struct window *w)
{
    window_lock(w);
    keys_release(&w->keys, w->config.keys);
    window_unlock(w);
}

/* SDL's modifiers in the order of their usages. */
static unsigned held_modifiers(unsigned mod)
{
    static const unsigned bits[] = {KMOD_LCTRL, KMOD_LSHIFT, KMOD_LALT, KMOD_LGUI,
                                    KMOD_RCTRL, KMOD_RSHIFT, KMOD_RALT, KMOD_RGUI};
    unsigned held = 0;

    for (unsigned n = 0; n < SDL_arraysize(bits); n++)
        held |= mod & bits[n] ? 1u << n : 0;
    return held;
}

/* The right Alt key is AltGr in many layouts, and Ctrl-AltGr means something to guests. */
static bool is_ctrl_alt(unsigned mod)
{
    return mod & KMOD_CTRL && mod & KMOD_LALT && !(mod & (KMOD_SHIFT | KMOD_GUI | KMOD_RALT));
}

static void answer_question(struct window *w, unsigned usage)
{
    if (usage == USAGE_ENTER || usage == USAGE_KEYPAD_ENTER)
        window_close(w, closing_confirm(&w->closing));
    else if (usage == USAGE_ESCAPE)
        window_close(w, closing_cancel(&w->closing));
    w->stale = true;
}

/* True when the key was for the window itself. */
static bool take_key(struct window *w, const SDL_Keysym *key, unsigned usage)
{
    if (w->closing.last == CLOSING_ASK) {
        answer_question(w, usage);
        return true;
    }
    if (is_ctrl_alt(key->mod) && window_shortcut(w, keys_letter(key->sym, (int)key->scancode)))
        return true;
    if (w->listing && !keys_is_modifier(usage)) {
        w->listing = false;
        w->stale = true;
        return true;
    }
    return false;
}

static void on_key(struct window *w, const SDL_KeyboardEvent *event)
{
    unsigned usage = keys_usage((int)event->keysym.scancode);
    bool down = event->type == SDL_KEYDOWN;

    if (event->repeat || (down && take_key(w, &event->keysym, usage)))
        return;
    window_flush_pointer(w);
    window_lock(w);
    if (down && !keys_is_modifier(usage))
        keys_hold_modifiers(&w->keys, w->config.keys, held_modifiers(event->keysym.mod));
    keys_event(&w->keys, w->config.keys, usage, down);
    window_unlock(w);
}

/* --- pointer */

static bool is_absolute(struct window *w)
{
    window_lock(w);
    bool absolute = w->config.pointer->pointer_at != NULL;
    window_unlock(w);
    return absolute && !w->grabbed;
}

static void send_pointer(struct window *w)
{
    const struct input_sink *sink = w->config.pointer;

    window_lock(w);
    if (w->grabbed && sink->pointer) {
        int dx = scale_motion(&w->rest_x, w->dx, w->guest_width, w->picture.width);
        int dy = scale_motion(&w->rest_y, w->dy, w->guest_height, w->picture.height);
        sink->pointer(sink->opaque, dx, dy, w->wheel, w->buttons);
    } else if (!w->grabbed && sink->pointer_at) {
        sink->pointer_at(sink->opaque, scale_position(w->x, w->picture.x, w->picture.width),
                         scale_position(w->y, w->picture.y, w->picture.height), w->wheel, w->buttons);
    }
    window_unlock(w);
    w->dx = w->dy = w->wheel = 0;
    w->moved = false;
}

void window_flush_pointer(struct window *w)
{
    /* Before the first picture was drawn there is no place in it. */
    if ((w->moved || w->wheel) && w->picture.width)
        send_pointer(w);
}

/* Buttons that the guest holds are released. */
static void release_buttons(struct window *w)
{
    window_flush_pointer(w);
    if (!w->buttons)
        return;
    w->buttons = 0;
    send_pointer(w);
}

void window_grab(struct window *w, bool grab)
{
    if (grab == w->grabbed)
        return;
    release_buttons(w);
    if (SDL_SetRelativeMouseMode(grab)) {
        window_note(w, "The desktop does not let the mouse be grabbed.");
        return;
    }
    SDL_SetWindowKeyboardGrab(w->window, grab);
    SDL_SetWindowMouseGrab(w->window, grab);
    w->grabbed = grab;
    w->rest_x = w->rest_y = (struct scale_motion){0};
    w->moved = false;
    w->dx = w->dy = w->wheel = 0;
}

/* The guest's own pointer is in the picture, so the host's needn't be. */
static void show_cursor(struct window *w, bool show)
{
    if (show != w->cursor_hidden)
        return;
    SDL_ShowCursor(show ? SDL_ENABLE : SDL_DISABLE);
    w->cursor_hidden = !show;
}

static void on_motion(struct window *w, const SDL_MouseMotionEvent *event)
{
    if (w->grabbed) {
        w->dx += event->xrel;
        w->dy += event->yrel;
        w->moved = true;
        return;
    }
    bool absolute = is_absolute(w), inside = event->x >= w->picture.x && event->y >= w->picture.y &&
                                             event->x < w->picture.x + w->picture.width &&
                                             event->y < w->picture.y + w->picture.height;
    show_cursor(w, !absolute || !inside || w->closing.last == CLOSING_ASK);
    w->x = event->x;
    w->y = event->y;
    w->moved = absolute;
}

static void on_wheel(struct window *w, const SDL_MouseWheelEvent *event)
{
    if (w->grabbed || is_absolute(w))
        w->wheel += event->y;
}

static unsigned button_bit(unsigned button)
{
    switch (button) {
    case SDL_BUTTON_LEFT:
        return BUTTON_LEFT;
    case SDL_BUTTON_RIGHT:
        return BUTTON_RIGHT;
    case SDL_BUTTON_MIDDLE:
        return BUTTON_MIDDLE;
    case SDL_BUTTON_X1:
        return BUTTON_SIDE;
    case SDL_BUTTON_X2:
        return BUTTON_EXTRA;
    }
    return 0;
}

/* True when the click was for the window itself. */
static bool take_click(struct window *w)
{
    if (w->closing.last == CLOSING_ASK)
        return true;
    if (w->listing) {
        w->listing = false;
        w->stale = true;
        return true;
    }
    if (w->grabbed || is_absolute(w))
        return false;
    if (w->config.pointer->pointer) {
        window_grab(w, true);
        if (w->grabbed)
            window_note(w, "Ctrl-Alt-G releases the mouse");
    }
    return true;
}

static void on_button(struct window *w, const SDL_MouseButtonEvent *event)
{
    unsigned bit = button_bit(event->button);
    bool down = event->state == SDL_PRESSED;

    if (!bit || !w->picture.width || down == !!(w->buttons & bit) || (down && take_click(w)))
        return;
    window_flush_pointer(w);
    w->buttons ^= bit;
    if (!w->grabbed) {
        w->x = event->x;
        w->y = event->y;
    }
    send_pointer(w);
}

/* --- the window */

static bool is_asked(const struct window *w, int width, int height)
{
    return (width == w->asked.width && height == w->asked.height) ||
           (width == w->asked_before.width && height == w->asked_before.height);
}

static void on_window(struct window *w, const SDL_WindowEvent *event)
{
    w->stale = true;
    switch (event->event) {
    case SDL_WINDOWEVENT_CLOSE:
        window_close(w, closing_close(&w->closing, SDL_GetTicks64()));
        break;
    case SDL_WINDOWEVENT_FOCUS_LOST:
        window_release_keys(w);
        window_grab(w, false);
        release_buttons(w);
        break;
    case SDL_WINDOWEVENT_RESIZED:
        if (!window_is_full_screen(w))
            w->user_sized = !is_asked(w, event->data1, event->data2);
        break;
    }
}

void window_event(struct window *w, const SDL_Event *event)
{
    w->active = SDL_GetTicks64();
    switch (event->type) {
    case SDL_WINDOWEVENT:
        on_window(w, &event->window);
        break;
    case SDL_KEYDOWN:
    case SDL_KEYUP:
        on_key(w, &event->key);
        break;
    case SDL_MOUSEMOTION:
        on_motion(w, &event->motion);
        break;
    case SDL_MOUSEBUTTONDOWN:
    case SDL_MOUSEBUTTONUP:
        on_button(w, &event->button);
        break;
    case SDL_MOUSEWHEEL:
        on_wheel(w, &event->wheel);
        break;
    }
}
