/*
 * window.c - see window.h.
 *
 * SDL has one queue of events for all windows of a process; whoever takes an event gives it to the window
 * that it is about. SDL is told to leave signals alone, for they are the program's, and not to treat the last
 * window's closing as the program's end.
 */
#include "gui/window.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "gui/window_internal.h"

/* Milliseconds between polls */
#define POLL_ACTIVE 16
#define POLL_IDLE   33
#define POLL_HIDDEN 100
#define ACTIVE_MS   2000 /* so long after something happened */

#define STATUS_MS 500
#define NOTE_MS   4000

#define FIRST_WIDTH  720 /* until the guest has a picture */
#define FIRST_HEIGHT 400

bool window_likely(void)
{
    const char *x11 = getenv("DISPLAY"), *wayland = getenv("WAYLAND_DISPLAY");

    return (x11 && *x11) || (wayland && *wayland);
}

/* --- size */

bool window_is_full_screen(const struct window *w)
{
    return SDL_GetWindowFlags(w->window) & SDL_WINDOW_FULLSCREEN_DESKTOP;
}

void window_fit(struct window *w)
{
    SDL_Rect room;

    if (!w->guest_width || window_is_full_screen(w))
        return;
    if (SDL_GetDisplayUsableBounds(SDL_GetWindowDisplayIndex(w->window), &room) || room.w < 1 || room.h < 1)
        room = (SDL_Rect){.w = 1024, .h = 768};
    w->asked_before = w->asked;
    w->asked = scale_window(w->guest_width, w->guest_height, room.w, room.h);
    w->user_sized = false;
    SDL_SetWindowSize(w->window, w->asked.width, w->asked.height);
    w->stale = true;
}

/* --- title */

void window_ask_status(struct window *w)
{
    w->status_at = 0;
}

static void append(char *text, size_t size, const char *separator, const char *more)
{
    size_t used = strlen(text);

    snprintf(text + used, size - used, "%s%s", separator, more);
}

static void write_title(const struct window *w, char *title, size_t size)
{
    static const char *const states[] = {
        [WINDOW_RUNNING] = "running", [WINDOW_PAUSED] = "paused", [WINDOW_STOPPED] = "stopped"};
    const struct window_status *status = &w->status;
    char number[40];

    snprintf(title, size, "%s", status->name ? status->name : "Oxbow");
    append(title, size, " - ", states[status->state]);
    if (status->engine)
        append(title, size, ", ", status->engine);
    if (status->mips >= 0 && status->state == WINDOW_RUNNING) {
        snprintf(number, sizeof(number), "%.*f MIPS", status->mips < 10 ? 1 : 0, status->mips);
        append(title, size, ", ", number);
    }
    if (status->cpu_load >= 0 && status->state == WINDOW_RUNNING) {
        snprintf(number, sizeof(number), "CPU %.0f %%", status->cpu_load);
        append(title, size, ", ", number);
    }
    if (w->grabbed)
        append(title, size, " - ", "Ctrl-Alt-G releases the mouse");
}

static void update_title(struct window *w, uint64_t now)
{
    char title[sizeof(w->title)];
    enum window_state before = w->status.state;

    if (now >= w->status_at) {
        w->status = (struct window_status){.mips = -1, .cpu_load = -1};
        if (w->config.status)
            w->config.status(w->config.opaque, &w->status);
        w->status_at = now + STATUS_MS;
        w->stale |= w->status.state != before;
    }
    write_title(w, title, sizeof(title));
    if (strcmp(title, w->title)) {
        memcpy(w->title, title, sizeof(title));
        SDL_SetWindowTitle(w->window, title);
    }
}

/* --- notes */

void window_note(struct window *w, const char *text)
{
    snprintf(w->note, sizeof(w->note), "%s", text);
    w->note_until = SDL_GetTicks64() + NOTE_MS;
    w->stale = true;
}

static void end_note(struct window *w, uint64_t now)
{
    if (w->note[0] && now >= w->note_until) {
        w->note[0] = 0;
        w->stale = true;
    }
}

static void end_screenshot(struct window *w)
{
    char note[NOTE_SIZE];

    if (!w->screenshot || !screenshot_done(w->screenshot))
        return;
    screenshot_end(w->screenshot, note, sizeof(note));
    w->screenshot = NULL;
    window_note(w, note);
}

void window_refresh_all(struct window *w)
{
    w->fetch_all = true;
}

/* --- polling */

static Uint32 window_id(const SDL_Event *event)
{
    switch (event->type) {
    case SDL_WINDOWEVENT:
        return event->window.windowID;
    case SDL_KEYDOWN:
    case SDL_KEYUP:
        return event->key.windowID;
    case SDL_MOUSEMOTION:
        return event->motion.windowID;
    case SDL_MOUSEBUTTONDOWN:
    case SDL_MOUSEBUTTONUP:
        return event->button.windowID;
    case SDL_MOUSEWHEEL:
        return event->wheel.windowID;
    }
    return 0;
}

static void handle_events(void)
{
    SDL_Event event;

    while (SDL_PollEvent(&event)) {
        SDL_Window *window = SDL_GetWindowFromID(window_id(&event));
        struct window *w = window ? SDL_GetWindowData(window, WINDOW_DATA) : NULL;
        if (w)
            window_event(w, &event);
    }
}

int window_fd(const struct window *w)
{
    return w->timer_fd;
}

static void poll_again(struct window *w, unsigned ms)
{
    struct itimerspec when = {.it_value.tv_nsec = (long)ms * 1000000};

    timerfd_settime(w->timer_fd, 0, &when, NULL);
}

void window_poll(struct window *w)
{
    uint64_t now, expirations;
    bool hidden = SDL_GetWindowFlags(w->window) & (SDL_WINDOW_HIDDEN | SDL_WINDOW_MINIMIZED);
    ssize_t ignored = read(w->timer_fd, &expirations, sizeof(expirations));

    (void)ignored;
    handle_events();
    window_flush_pointer(w);
    now = SDL_GetTicks64();
    end_screenshot(w);
    end_note(w, now);
    update_title(w, now);
    if (!hidden) {
        window_refresh(w);
        window_draw(w);
    }
    if (hidden)
        poll_again(w, POLL_HIDDEN);
    else
        poll_again(w, SDL_GetTicks64() - w->active < ACTIVE_MS ? POLL_ACTIVE : POLL_IDLE);
}

/* --- made and freed */

/*
 * Where SDL finds no desktop it may draw on a console, which a user at the other end of a network doesn't
 * see, or nowhere. It does so for us only when SDL_VIDEODRIVER asks for it.
 */
static bool is_visible(void)
{
    const char *driver = SDL_GetCurrentVideoDriver();

    return SDL_GetHint(SDL_HINT_VIDEODRIVER) ||
           (driver && (!strcmp(driver, "x11") || !strcmp(driver, "wayland")));
}

static bool init_sdl(char *why, size_t why_size)
{
    if (!window_likely() && !SDL_GetHint(SDL_HINT_VIDEODRIVER)) {
        snprintf(why, why_size,
                 "there is no desktop to open a window on: neither DISPLAY nor WAYLAND_DISPLAY is set; "
                 "--display text or --headless do without");
        return false;
    }
    SDL_SetMainReady();
    SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");
    SDL_SetHint(SDL_HINT_QUIT_ON_LAST_WINDOW_CLOSE, "0");
    SDL_SetHint(SDL_HINT_VIDEO_ALLOW_SCREENSAVER, "1");
    SDL_SetHint(SDL_HINT_VIDEO_MINIMIZE_ON_FOCUS_LOSS, "0");
    SDL_SetHint(SDL_HINT_VIDEO_X11_NET_WM_BYPASS_COMPOSITOR, "0");
    bool begun = !SDL_InitSubSystem(SDL_INIT_VIDEO);
    if (begun && is_visible())
        return true;
    snprintf(why, why_size,
             "the desktop that DISPLAY or WAYLAND_DISPLAY names cannot be reached (SDL says: %s); "
             "--display text or --headless do without",
             begun ? "none of its drivers can" : SDL_GetError());
    if (begun)
        SDL_QuitSubSystem(SDL_INIT_VIDEO);
    return false;
}

static bool open_window(struct window *w, char *why, size_t why_size)
{
    Uint32 flags = SDL_WINDOW_RESIZABLE | (w->config.full_screen ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0);

    w->asked = (struct rect){.width = FIRST_WIDTH, .height = FIRST_HEIGHT};
    w->window = SDL_CreateWindow("Oxbow", SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED, FIRST_WIDTH,
                                 FIRST_HEIGHT, flags);
    if (w->window)
        w->renderer = SDL_CreateRenderer(w->window, -1, 0);
    if (w->window && !w->renderer)
        w->renderer = SDL_CreateRenderer(w->window, -1, SDL_RENDERER_SOFTWARE);
    if (!w->renderer) {
        snprintf(why, why_size,
                 "the desktop has no window for us (SDL says: %s); --display text or --headless do without",
                 SDL_GetError());
        return false;
    }
    SDL_SetWindowData(w->window, WINDOW_DATA, w);
    /* Characters are the guest's affair; input methods would keep dead keys to themselves. */
    SDL_StopTextInput();
    w->overlay.renderer = w->renderer;
    return true;
}

struct window *window_new(const struct window_config *config, char *why, size_t why_size)
{
    struct window *w = calloc(1, sizeof(*w));

    snprintf(why, why_size, "out of memory");
    if (!w)
        return NULL;
    w->config = *config;
    w->fetch_all = w->stale = true;
    w->status.mips = w->status.cpu_load = -1;
    w->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (w->timer_fd < 0) {
        snprintf(why, why_size, "the host has no timer for a window: %s", strerror(errno));
        free(w);
        return NULL;
    }
    if (!init_sdl(why, why_size)) {
        close(w->timer_fd);
        free(w);
        return NULL;
    }
    if (!open_window(w, why, why_size)) {
        window_free(w);
        return NULL;
    }
    poll_again(w, 1);
    return w;
}

void window_free(struct window *w)
{
    if (!w)
        return;
    if (w->screenshot)
        screenshot_end(w->screenshot, NULL, 0);
    if (w->renderer) {
        window_forget_textures(w);
        SDL_DestroyRenderer(w->renderer);
    }
    if (w->window)
        SDL_DestroyWindow(w->window);
    SDL_QuitSubSystem(SDL_INIT_VIDEO);
    close(w->timer_fd);
    free(w);
}
