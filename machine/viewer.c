/*
 * viewer.c - who looks at the guest's screen and types: a window of the desktop, or the terminal.
 *
 * A viewer runs in the event loop's thread. It goes by the host's time, so it lives while the machine is
 * paused.
 */
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "devices/ps2.h"
#include "gui/text_display.h"
#include "gui/window.h"
#include "host/terminal.h"
#include "host/ticker.h"
#include "machine/machine.h"

struct viewer {
    struct machine *machine;
    struct input_sink keys, pointer;
    struct text_display *text;
    struct ticker *ticker;
    struct window *window;
    struct loop_watch *watch;     /* of the window's descriptor, or the terminal */
    bool due;                     /* the window wants to be polled */
    uint64_t counted, counted_at; /* instructions, and the clock's ns, when the title was last written */
};

/* --- The terminal -------------------------------------------------------------------------------- */

static void quit(void *opaque)
{
    ((struct machine *)opaque)->ended_by = "host-ui";
    machine_end(opaque, EXIT_POWEROFF);
}

static void terminal_readable(void *opaque, short revents)
{
    struct viewer *v = opaque;

    (void)revents;
    if (!text_display_readable(v->text))
        loop_modify(v->watch, 0);
}

static void terminal_tick(void *opaque)
{
    struct viewer *v = opaque;

    text_display_tick(v->text);
}

static void note_log(void *opaque, enum log_level level, const char *line)
{
    struct viewer *v = opaque;

    if (!(v->machine->log->enabled & 1u << level))
        return;
    /* Another thread may have something to say; the terminal's state is guarded by the machine lock. */
    pthread_mutex_lock(&v->machine->lock);
    text_display_note(v->text, line);
    pthread_mutex_unlock(&v->machine->lock);
}

static bool open_terminal(struct viewer *v, char *why, size_t why_size)
{
    struct machine *m = v->machine;
    struct text_display_config config = {.source = m->display,
                                         .keys = v->keys,
                                         .in = 0,
                                         .out = 1,
                                         .resumed = host_screen_resumed,
                                         .quit = quit,
                                         .quit_opaque = m};
    char reason[200];

    if (!host_screen_open(text_display_enter, text_display_leave, reason, sizeof(reason))) {
        snprintf(why, why_size, "--display text: %s", reason);
        return false;
    }
    snprintf(why, why_size, "--display text: out of memory");
    v->text = text_display_new(&config);
    if (v->text)
        v->ticker = ticker_new(m->loop, TEXT_DISPLAY_HZ, terminal_tick, v);
    if (v->ticker)
        v->watch = loop_watch_fd(m->loop, 0, POLLIN, terminal_readable, v);
    if (!v->watch)
        return false;
    /* Lines of the log would spoil the screen: they are shown at its bottom instead. */
    m->log->out = NULL;
    m->log->tap_opaque = v;
    m->log->tap = note_log;
    return true;
}

/* --- The window ---------------------------------------------------------------------------------- */

#ifdef HAVE_SDL2

static bool window_command(void *opaque, enum window_command command, char *note, size_t note_size)
{
    struct viewer *v = opaque;
    struct machine *m = v->machine;

    switch (command) {
    case WINDOW_PAUSE:
        machine_pause(m, !m->paused);
        return true;
    case WINDOW_RESET:
        machine_pause(m, false);
        m->reset_by_host = true;
        machine_reset(m);
        return true;
    case WINDOW_POWER_BUTTON:
        machine_pause(m, false);
        return machine_power_button(m);
    case WINDOW_SWAP_CD:
        return drives_swap_disc(m, note, note_size);
    case WINDOW_SWITCH_OFF:
        m->ended_by = "host-ui";
        machine_end(m, EXIT_POWEROFF);
        return true;
    default:
        snprintf(note, note_size, "not offered");
        return false;
    }
}

static void window_status(void *opaque, struct window_status *status)
{
    struct viewer *v = opaque;
    struct machine *m = v->machine;
    uint64_t count = cpu_instructions(m->cpu), now = clock_now(m->clock);

    *status = (struct window_status){.name = "Oxbow",
                                     .engine = m->vcpu.engine->name,
                                     .mips = -1,
                                     .cpu_load = -1,
                                     .state = m->paused ? WINDOW_PAUSED : WINDOW_RUNNING};
    if (!m->paused && now > v->counted_at && v->counted_at)
        status->mips = (double)(count - v->counted) * 1000 / (double)(now - v->counted_at);
    v->counted = count;
    v->counted_at = now;
}

static void window_type(void *opaque, const char *text)
{
    struct viewer *v = opaque;

    pthread_mutex_lock(&v->machine->lock);
    if (!ps2_type_text(v->machine->keyboard, text))
        window_note(v->window, "out of memory");
    pthread_mutex_unlock(&v->machine->lock);
}

static void window_readable(void *opaque, short revents)
{
    struct viewer *v = opaque;

    (void)revents;
    v->due = true;
}

static bool open_window(struct viewer *v, char *why, size_t why_size)
{
    struct machine *m = v->machine;
    struct window_config config = {.source = m->display,
                                   .keys = &v->keys,
                                   .pointer = &v->pointer,
                                   .lock = &m->lock,
                                   .commands = 1u << WINDOW_PAUSE | 1u << WINDOW_RESET |
                                               1u << WINDOW_POWER_BUTTON | 1u << WINDOW_SWAP_CD,
                                   .command = window_command,
                                   .status = window_status,
                                   .type = window_type,
                                   .opaque = v};
    char reason[200];

    v->window = window_new(&config, reason, sizeof(reason));
    if (!v->window) {
        snprintf(why, why_size, "--display sdl: %s", reason);
        return false;
    }
    snprintf(why, why_size, "--display sdl: out of memory");
    v->watch = loop_watch_fd(m->loop, window_fd(v->window), POLLIN, window_readable, v);
    return v->watch;
}

#else

static bool open_window(struct viewer *v, char *why, size_t why_size)
{
    (void)v;
    snprintf(why, why_size, "--display sdl: %s", WINDOW_MISSING);
    return false;
}

#endif

/* --- Either -------------------------------------------------------------------------------------- */

static void route_key(void *opaque, unsigned usage, bool down)
{
    machine_key(opaque, usage, down);
}

static void route_pointer(void *opaque, int dx, int dy, int wheel, unsigned buttons)
{
    machine_pointer(opaque, dx, dy, wheel, buttons);
}

static void route_pointer_at(void *opaque, int x, int y, int wheel, unsigned buttons)
{
    machine_pointer_at(opaque, x, y, wheel, buttons);
}

void viewer_route_pointer(struct machine *m)
{
    if (m->viewer)
        m->viewer->pointer.pointer_at = machine_has_tablet(m) ? route_pointer_at : NULL;
}

bool viewer_open(struct machine *m, char *why, size_t why_size)
{
    const char *display = machine_display(m);
    struct viewer *v;

    if (!strcmp(display, "none"))
        return true;
    snprintf(why, why_size, "out of memory");
    m->viewer = v = calloc(1, sizeof(*v));
    if (!v)
        return false;
    v->machine = m;
    v->keys = (struct input_sink){.key = route_key, .opaque = m};
    v->pointer = (struct input_sink){.pointer = route_pointer, .pointer_at = route_pointer_at, .opaque = m};
    viewer_route_pointer(m);
    return !strcmp(display, "text") ? open_terminal(v, why, why_size) : open_window(v, why, why_size);
}

void viewer_poll(struct machine *m)
{
#ifdef HAVE_SDL2
    struct viewer *v = m->viewer;

    if (v && v->due) {
        v->due = false;
        window_poll(v->window);
    }
#else
    (void)m;
#endif
}

void viewer_refresh_all(struct machine *m)
{
#ifdef HAVE_SDL2
    struct viewer *v = m->viewer;

    if (v && v->window)
        window_refresh_all(v->window);
#else
    (void)m;
#endif
}

void viewer_close(struct machine *m)
{
    struct viewer *v = m->viewer;

    if (!v)
        return;
    m->viewer = NULL;
    if (m->log->tap_opaque == v) {
        m->log->tap = NULL;
        m->log->tap_opaque = NULL;
        m->log->out = stderr;
    }
    loop_unwatch(v->watch);
    ticker_free(v->ticker);
#ifdef HAVE_SDL2
    window_free(v->window);
#endif
    if (v->text) {
        text_display_free(v->text);
        host_screen_close();
    }
    free(v);
}

const char *machine_display(const struct machine *m)
{
    const char *asked = m->options->display;

    if (strcmp(asked, "auto"))
        return asked;
#ifdef HAVE_SDL2
    /* A kernel that is started directly talks to the serial port, as a rule. */
    if (m->bios.size && window_likely())
        return "sdl";
#endif
    return "none";
}
