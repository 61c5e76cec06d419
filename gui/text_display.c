/*
 * text_display.c - a frame of cells as large as the terminal is made anew at each tick, and compared with
 * what the terminal shows already; only the difference is written.
 */
#include "gui/text_display.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "gui/cp437.h"
#include "gui/text_keys.h"

#define MAX_COLUMNS   512 /* of the terminal that are used */
#define MAX_ROWS      256
#define KEYS_PER_TICK 3
#define NOTE_TICKS    (5 * TEXT_DISPLAY_HZ)
#define CELL_BYTES    48 /* at most: position, colours, character */

/* A cell: code page 437 in bits 0-7, the attribute in 8-15, and whether its bit 7 blinks. */
#define CELL(character, attribute) ((uint32_t)(uint8_t)(character) | (uint32_t)(attribute) << 8)
#define CELL_BLINKS                0x10000u
#define CELL_UNKNOWN               UINT32_MAX

#define COLOR_PLAIN 0x07
#define COLOR_NOTE  0x70

const char text_display_enter[] = "\033[?1049h\033[?7l\033[0m\033[2J";
const char text_display_leave[] = "\033[0m\033[?7h\033[?25h\033[?1049l";

static const char *const help[] = {
    " Ctrl-A x       end the machine       ", " Ctrl-A d       Ctrl-Alt-Delete       ",
    " Ctrl-A l       draw the screen anew  ", " Ctrl-A Ctrl-A  Ctrl-A for the guest  ",
    " Ctrl-A h       this list             ",
};

struct text_display {
    struct text_display_config config;
    struct text_keys keys;
    bool helping, broken;
    bool typed; /* since the last tick */
    unsigned ticks, resumed;
    char note[MAX_COLUMNS + 1];
    unsigned note_ticks;  /* it stays so long */
    struct rect graphics; /* the size of a graphics mode, looked at once a second */

    int columns, rows; /* of the terminal */
    int cursor_x, cursor_y;
    bool cursor_on;
    int shown_x, shown_y; /* where the terminal's cursor was left */
    int shown_cursor;     /* whether it shows, -1: unknown */
    uint32_t frame[MAX_ROWS * MAX_COLUMNS], shown[MAX_ROWS * MAX_COLUMNS];

    char *out; /* what will be written */
    size_t out_size;
    int at_x, at_y; /* where the terminal's cursor is while writing; -1: unknown */
    uint32_t attribute;
};

/* --- keys */

static void forget_shown(struct text_display *d)
{
    memset(d->shown, 0xFF, sizeof(d->shown));
    d->shown_x = d->shown_y = d->shown_cursor = -1;
}

static void command(void *opaque, char letter)
{
    struct text_display *d = opaque;

    switch (letter) {
    case 'x':
    case 'X':
        if (d->config.quit)
            d->config.quit(d->config.quit_opaque);
        break;
    case 'h':
    case 'H':
    case '?':
        d->helping = true;
        break;
    case 'l':
    case 'L':
        forget_shown(d);
        break;
    }
}

bool text_display_readable(struct text_display *d)
{
    uint8_t data[1024];
    ssize_t size = read(d->config.in, data, sizeof(data));

    if (size < 0)
        return errno == EINTR || errno == EAGAIN;
    d->typed = true;
    d->helping = false;
    text_keys_feed(&d->keys, data, (size_t)size);
    text_keys_type(&d->keys, KEYS_PER_TICK);
    return size > 0;
}

/* --- the frame */

static void put_text(struct text_display *d, int x, int y, const char *text, uint8_t attribute)
{
    for (; *text && x < d->columns; text++, x++)
        d->frame[y * d->columns + x] = CELL(*text, attribute);
}

/* The first line or column to show of `count`, when only `room` fit: that of the cursor is among them. */
static int first_shown(int count, int room, int cursor)
{
    if (count <= room || cursor < room)
        return 0;
    return cursor < count ? cursor - room + 1 : count - room;
}

static void compose_text(struct text_display *d, const struct text_screen *text)
{
    int left = first_shown(text->columns, d->columns, text->cursor_visible ? text->cursor_x : 0);
    int top = first_shown(text->rows, d->rows, text->cursor_visible ? text->cursor_y : 0);

    for (int y = 0; y < d->rows && y < text->rows; y++) {
        for (int x = 0; x < d->columns && x < text->columns; x++) {
            uint16_t cell = text->cells[(top + y) * text->columns + left + x];
            d->frame[y * d->columns + x] = cell | (text->blink && (cell & 0x8000) ? CELL_BLINKS : 0);
        }
    }
    d->cursor_x = text->cursor_x - left;
    d->cursor_y = text->cursor_y - top;
    d->cursor_on = text->cursor_visible && d->cursor_x < d->columns && d->cursor_y < d->rows;
}

/* Looking at the picture makes the chip draw it, so that is done rarely. */
static void compose_graphics(struct text_display *d)
{
    char line[100];

    if (d->ticks % TEXT_DISPLAY_HZ == 0 || !d->graphics.width) {
        struct rect damage;
        const struct surface *surface = display_refresh(&d->config.source, false, &damage);
        d->graphics = surface ? (struct rect){0, 0, surface->width, surface->height} : (struct rect){0};
    }
    snprintf(line, sizeof(line), "The guest's screen is in a graphics mode, %dx%d. Ctrl-A h lists the keys.",
             d->graphics.width, d->graphics.height);
    put_text(d, 0, 0, line, COLOR_PLAIN);
}

static void compose(struct text_display *d)
{
    struct text_screen text;

    for (int i = 0; i < d->rows * d->columns; i++)
        d->frame[i] = CELL(' ', COLOR_PLAIN);
    d->cursor_on = false;
    if (d->config.source.text && d->config.source.text(d->config.source.opaque, &text)) {
        d->graphics.width = 0;
        compose_text(d, &text);
    } else {
        compose_graphics(d);
    }
    for (size_t i = 0; d->helping && i < sizeof(help) / sizeof(help[0]) && (int)i < d->rows; i++)
        put_text(d, 0, (int)i, help[i], COLOR_NOTE);
    if (d->note_ticks) {
        d->note_ticks--;
        put_text(d, 0, d->rows - 1, d->note, COLOR_NOTE);
    }
}

void text_display_note(struct text_display *d, const char *text)
{
    snprintf(d->note, sizeof(d->note), " %s ", text);
    d->note_ticks = NOTE_TICKS;
}

/* --- writing it */

static void append(struct text_display *d, const char *text)
{
    size_t length = strlen(text);

    memcpy(d->out + d->out_size, text, length);
    d->out_size += length;
}

static void append_character(struct text_display *d, uint8_t byte)
{
    uint32_t c = cp437_to_unicode(byte);
    char *to = d->out + d->out_size;

    if (c < 0x80) {
        to[0] = (char)c;
        d->out_size += 1;
    } else if (c < 0x800) {
        to[0] = (char)(0xC0 | c >> 6);
        to[1] = (char)(0x80 | (c & 0x3F));
        d->out_size += 2;
    } else {
        to[0] = (char)(0xE0 | c >> 12);
        to[1] = (char)(0x80 | (c >> 6 & 0x3F));
        to[2] = (char)(0x80 | (c & 0x3F));
        d->out_size += 3;
    }
}

static void move(struct text_display *d, int x, int y)
{
    char sequence[32];

    if (d->at_x != x || d->at_y != y) {
        snprintf(sequence, sizeof(sequence), "\033[%d;%dH", y + 1, x + 1);
        append(d, sequence);
    }
    d->at_x = x;
    d->at_y = y;
}

/* PC colours count blue as 1 and red as 4, terminals the other way round. */
static unsigned ansi_color(unsigned color)
{
    return (color & 2) | (color & 1) << 2 | (color >> 2 & 1);
}

static void set_colors(struct text_display *d, uint32_t cell)
{
    unsigned attribute = cell >> 8 & 0xFF, front = attribute & 15, back = attribute >> 4;
    bool blinks = cell & CELL_BLINKS;
    char sequence[32];

    if (blinks)
        back &= 7;
    if (d->attribute == cell >> 8)
        return;
    d->attribute = cell >> 8;
    snprintf(sequence, sizeof(sequence), "\033[0;%s%u;%um", blinks ? "5;" : "",
             (front & 8 ? 90 : 30) + ansi_color(front & 7), (back & 8 ? 100 : 40) + ansi_color(back & 7));
    append(d, sequence);
}

/* Waits where it must; a terminal that went away ends the drawing. */
static void write_out(struct text_display *d)
{
    for (size_t done = 0; done < d->out_size;) {
        ssize_t size = write(d->config.out, d->out + done, d->out_size - done);
        if (size >= 0) {
            done += (size_t)size;
        } else if (errno == EAGAIN) {
            poll(&(struct pollfd){.fd = d->config.out, .events = POLLOUT}, 1, 100);
        } else if (errno != EINTR) {
            d->broken = true;
            return;
        }
    }
}

static void write_difference(struct text_display *d)
{
    d->out_size = 0;
    d->at_x = d->at_y = -1;
    d->attribute = CELL_UNKNOWN;
    for (int i = 0; i < d->rows * d->columns; i++) {
        if (d->frame[i] == d->shown[i])
            continue;
        move(d, i % d->columns, i / d->columns);
        set_colors(d, d->frame[i]);
        append_character(d, (uint8_t)d->frame[i]);
        d->shown[i] = d->frame[i];
        /* In the last column the terminal's cursor stays where it is. */
        if (++d->at_x == d->columns)
            d->at_x = -1;
    }
    if (d->cursor_on && (d->out_size || d->cursor_x != d->shown_x || d->cursor_y != d->shown_y)) {
        move(d, d->cursor_x, d->cursor_y);
        d->shown_x = d->cursor_x;
        d->shown_y = d->cursor_y;
    }
    if (d->cursor_on != d->shown_cursor)
        append(d, d->cursor_on ? "\033[?25h" : "\033[?25l");
    d->shown_cursor = d->cursor_on;
    write_out(d);
}

/* --- the tick */

/* Looks at the terminal's size, and whether somebody else had it meanwhile. */
static void look_at_terminal(struct text_display *d)
{
    struct winsize size = {0};
    unsigned resumed = d->config.resumed ? d->config.resumed() : 0;
    int columns = 80, rows = 25;

    if (!ioctl(d->config.out, TIOCGWINSZ, &size) && size.ws_col && size.ws_row) {
        columns = size.ws_col < MAX_COLUMNS ? size.ws_col : MAX_COLUMNS;
        rows = size.ws_row < MAX_ROWS ? size.ws_row : MAX_ROWS;
    }
    if (columns == d->columns && rows == d->rows && resumed == d->resumed)
        return;
    d->columns = columns;
    d->rows = rows;
    d->resumed = resumed;
    forget_shown(d);
}

void text_display_tick(struct text_display *d)
{
    /* A tick without a key after ESC: it was that key. */
    if (!d->typed)
        text_keys_idle(&d->keys);
    d->typed = false;
    text_keys_type(&d->keys, KEYS_PER_TICK);

    d->ticks++;
    /* A terminal that can't keep up is left in peace; what it misses shows later. */
    struct pollfd ready = {.fd = d->config.out, .events = POLLOUT};
    if (d->broken || poll(&ready, 1, 0) <= 0)
        return;
    look_at_terminal(d);
    compose(d);
    write_difference(d);
}

struct text_display *text_display_new(const struct text_display_config *config)
{
    struct text_display *d = calloc(1, sizeof(*d));

    if (!d)
        return NULL;
    d->config = *config;
    d->keys.sink = config->keys;
    d->keys.command = command;
    d->keys.opaque = d;
    d->out = malloc(MAX_ROWS * MAX_COLUMNS * CELL_BYTES + 64);
    if (!d->out) {
        free(d);
        return NULL;
    }
    forget_shown(d);
    return d;
}

void text_display_free(struct text_display *d)
{
    if (!d)
        return;
    free(d->out);
    free(d);
}
