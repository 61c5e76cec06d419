/*
 * window_demo.c - a window over a screen of its own making, which prints what comes of keys, mouse and
 * shortcuts, a line each. For tests/system/window.sh, and to try the window by hand:
 *
 *     tests/system/window_demo [--name NAME] [--absolute] [--deaf] [--bare] [--clipboard TEXT]
 * [--full-screen]
 *
 * --absolute: the guest has an absolute pointer. --deaf: it does not listen to its power button. --bare: no
 * commands are offered. Keys: F5 is a picture of another size, F6 a screen that is off, F7 a rectangle that
 * moves, F8 a picture of odd shape. A line on standard input is the window's close button, for desktops
 * without one.
 */
#include <SDL.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gui/font.h"
#include "gui/window.h"

#define USAGE_F5 0x3E
#define USAGE_F6 0x3F
#define USAGE_F7 0x40
#define USAGE_F8 0x41

#define MAX_WIDTH  1280
#define MAX_HEIGHT 1024
#define UNIT       2 /* of text on the screen */
#define BOX        48

struct demo {
    struct window_config config;
    struct input_sink sink;
    pthread_mutex_t lock;
    struct surface surface;
    uint32_t pixels[MAX_WIDTH * MAX_HEIGHT];
    bool off, moving, deaf, paused, quit;
    bool changed; /* all of the surface */
    int box_x, step;
    const char *name;
};

static const struct {
    int width, height;
} sizes[] = {{720, 400}, {800, 600}, {320, 200}, {37, 211}};

/* The lock can tell whether it is held. */
static void check_lock(struct demo *demo, bool held, const char *where)
{
    int result = pthread_mutex_trylock(&demo->lock);

    if (!result)
        pthread_mutex_unlock(&demo->lock);
    if (held != (result != 0))
        printf("the lock is %sheld in %s\n", held ? "not " : "", where);
}

/* --- the screen */

static void fill(struct demo *demo, int x, int y, int width, int height, uint32_t color)
{
    for (int row = SDL_max(y, 0); row < y + height && row < demo->surface.height; row++) {
        for (int column = SDL_max(x, 0); column < x + width && column < demo->surface.width; column++)
            demo->pixels[row * demo->surface.width + column] = color;
    }
}

static void write_text(struct demo *demo, int x, int y, const char *text)
{
    uint8_t ink[FONT_HEIGHT * UNIT][FONT_WIDTH * UNIT];

    for (; *text && x + FONT_WIDTH * UNIT <= demo->surface.width; text++, x += FONT_WIDTH * UNIT) {
        font_draw(font_glyph(*text), UNIT, ink[0], FONT_WIDTH * UNIT);
        for (int row = 0; row < FONT_HEIGHT * UNIT && y + row < demo->surface.height; row++) {
            for (int column = 0; column < FONT_WIDTH * UNIT; column++)
                demo->pixels[(y + row) * demo->surface.width + x + column] = ink[row][column] * 0x010101u;
        }
    }
}

static void draw_screen(struct demo *demo)
{
    static const uint32_t bars[] = {0xFF0000, 0x00FF00, 0x0000FF, 0xFFFFFF};
    char line[FONT_COUNT + 1] = "";
    int height = FONT_HEIGHT * UNIT;

    fill(demo, 0, 0, demo->surface.width, demo->surface.height, 0);
    for (int i = 0; i < 4; i++)
        fill(demo, i * demo->surface.width / 4, demo->surface.height - 40, demo->surface.width / 4, 40,
             bars[i]);
    for (int i = 0; i < FONT_COUNT; i++)
        line[i] = (char)(FONT_FIRST + i);
    for (int row = 0; row < 3; row++) {
        char part[33] = "";
        memcpy(part, line + 32 * row, 32);
        write_text(demo, 0, row * height, part);
    }
    write_text(demo, 0, 4 * height, "The quick brown fox jumps over the lazy dog.");
    demo->changed = true;
}

static void set_size(struct demo *demo, int which)
{
    demo->surface.width = sizes[which].width;
    demo->surface.height = sizes[which].height;
    draw_screen(demo);
}

static void move_box(struct demo *demo, struct rect *damage)
{
    int y = demo->surface.height / 2, old = demo->box_x;

    demo->box_x = (old + 4) % demo->surface.width;
    fill(demo, old, y, BOX, BOX, 0);
    fill(demo, demo->box_x, y, BOX, BOX, 0xFFFF00);
    /* Both places, and past the edge: a viewer clips. */
    *damage = (struct rect){SDL_min(old, demo->box_x), y, abs(old - demo->box_x) + BOX, BOX};
}

static const struct surface *refresh(void *opaque, bool all, struct rect *damage)
{
    struct demo *demo = opaque;

    check_lock(demo, true, "refresh");
    if (demo->off)
        return NULL;
    if (demo->moving)
        move_box(demo, damage);
    if (all || demo->changed)
        *damage = (struct rect){0, 0, demo->surface.width, demo->surface.height};
    demo->changed = false;
    return &demo->surface;
}

/* --- input */

static void on_key(void *opaque, unsigned usage, bool down)
{
    struct demo *demo = opaque;

    check_lock(demo, true, "key");
    printf("key %02x %s\n", usage, down ? "down" : "up");
    if (!down)
        return;
    if (usage == USAGE_F5)
        set_size(demo, ++demo->step % 3);
    if (usage == USAGE_F8)
        set_size(demo, 3);
    demo->off ^= usage == USAGE_F6;
    demo->moving ^= usage == USAGE_F7;
}

static void on_pointer(void *opaque, int dx, int dy, int wheel, unsigned buttons)
{
    check_lock(opaque, true, "pointer");
    printf("pointer %d %d wheel %d buttons %x\n", dx, dy, wheel, buttons);
}

static void on_pointer_at(void *opaque, int x, int y, int wheel, unsigned buttons)
{
    check_lock(opaque, true, "pointer_at");
    printf("pointer at %d %d wheel %d buttons %x\n", x, y, wheel, buttons);
}

/* --- the machine */

static bool on_command(void *opaque, enum window_command command, char *note, size_t note_size)
{
    static const char *const names[] = {[WINDOW_PAUSE] = "pause",
                                        [WINDOW_RESET] = "reset",
                                        [WINDOW_POWER_BUTTON] = "power button",
                                        [WINDOW_SWAP_CD] = "swap CD",
                                        [WINDOW_SWITCH_OFF] = "switch off"};
    struct demo *demo = opaque;

    check_lock(demo, false, "command");
    printf("command %s\n", names[command]);
    if (command == WINDOW_PAUSE)
        demo->paused = !demo->paused;
    if (command == WINDOW_SWAP_CD)
        snprintf(note, note_size, "The drive is empty now.");
    if (command == WINDOW_SWITCH_OFF)
        demo->quit = true;
    return command != WINDOW_POWER_BUTTON || !demo->deaf;
}

static void on_status(void *opaque, struct window_status *status)
{
    struct demo *demo = opaque;

    check_lock(demo, false, "status");
    status->name = demo->name;
    status->engine = "interp";
    status->mips = 123.4;
    status->state = demo->paused ? WINDOW_PAUSED : WINDOW_RUNNING;
}

static void on_type(void *opaque, const char *text)
{
    check_lock(opaque, false, "type");
    printf("type %s\n", text);
}

static const char *set_up(struct demo *demo, int argc, char **argv)
{
    const char *clipboard = NULL;

    demo->name = "demo";
    demo->sink = (struct input_sink){.key = on_key, .pointer = on_pointer, .opaque = demo};
    demo->surface.pixels = demo->pixels;
    demo->config = (struct window_config){.source = {.refresh = refresh, .opaque = demo},
                                          .keys = &demo->sink,
                                          .pointer = &demo->sink,
                                          .lock = &demo->lock,
                                          .commands = ~0u,
                                          .command = on_command,
                                          .status = on_status,
                                          .type = on_type,
                                          .opaque = demo};
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--absolute"))
            demo->sink.pointer_at = on_pointer_at;
        else if (!strcmp(argv[i], "--deaf"))
            demo->deaf = true;
        else if (!strcmp(argv[i], "--bare"))
            demo->config.commands = 0;
        else if (!strcmp(argv[i], "--full-screen"))
            demo->config.full_screen = true;
        else if (!strcmp(argv[i], "--clipboard") && i + 1 < argc)
            clipboard = argv[++i];
        else if (!strcmp(argv[i], "--name") && i + 1 < argc)
            demo->name = argv[++i];
    }
    set_size(demo, 0);
    return clipboard;
}

/* False when nobody will say anything any more. */
static bool close_button(void)
{
    SDL_Event event = {.window = {.type = SDL_WINDOWEVENT, .event = SDL_WINDOWEVENT_CLOSE}};
    char line[100];

    if (!fgets(line, sizeof(line), stdin))
        return false;
    /* SDL counts windows from 1. */
    event.window.windowID = 1;
    SDL_PushEvent(&event);
    return true;
}

int main(int argc, char **argv)
{
    struct demo *demo = calloc(1, sizeof(*demo));
    char why[400];

    if (!demo || pthread_mutex_init(&demo->lock, NULL))
        return 1;
    setvbuf(stdout, NULL, _IOLBF, 0);
    /* What stdio had read already poll() would not see. */
    setvbuf(stdin, NULL, _IONBF, 0);
    const char *clipboard = set_up(demo, argc, argv);
    struct window *window = window_new(&demo->config, why, sizeof(why));
    if (!window) {
        fprintf(stderr, "window_demo: %s\n", why);
        free(demo);
        return 1;
    }
    if (clipboard)
        SDL_SetClipboardText(clipboard);
    printf("ready\n");
    struct pollfd fds[] = {{.fd = window_fd(window), .events = POLLIN}, {.fd = 0, .events = POLLIN}};
    while (!demo->quit) {
        poll(fds, 2, -1);
        if (fds[1].revents && !close_button())
            fds[1].fd = -1;
        if (fds[0].revents)
            window_poll(window);
    }
    window_free(window);
    free(demo);
    return 0;
}
