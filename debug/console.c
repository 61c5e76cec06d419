/*
 * console.c - where people type at the monitor: the terminal of a serial port, switched by Ctrl-A C, and the
 * stream that
 * --monitor names. Lines can be edited, called back and completed.
 *
 * Keys arrive in the event loop with the machine lock held and are only kept; console_poll(), without the
 * lock, does what they say.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "debug/monitor_internal.h"

#define PROMPT  "(oxbow) "
#define HISTORY 32u
#define LINE    1024u

enum { CTRL_C = 3, CTRL_H = 8, CTRL_N = 14, CTRL_P = 16, CTRL_U = 21, CTRL_W = 23, ESC = 27 };

struct typist {
    struct console *console;
    struct chardev *chr; /* NULL: nobody there */
    bool echo;
    bool leaving;     /* once the keys are done with */
    uint8_t in[4096]; /* keys to come */
    size_t in_count;
    char line[LINE];
    size_t length;
    unsigned escape; /* 0, or where in ESC [ letter */
    char *history[HISTORY];
    unsigned lines, shown; /* in history; which of them the line shows, `lines`: none */
};

struct console {
    struct monitor *monitor;
    struct typist terminal, stream;
    bool due;
};

static void print(struct typist *typist, const char *text, size_t size)
{
    pthread_mutex_lock(&typist->console->monitor->machine->lock);
    chardev_write(typist->chr, (const uint8_t *)text, size);
    pthread_mutex_unlock(&typist->console->monitor->machine->lock);
}

static void print_text(struct typist *typist, const char *text)
{
    print(typist, text, strlen(text));
}

static void echo(struct typist *typist, const char *text)
{
    if (typist->echo)
        print_text(typist, text);
}

/* --- Editing ------------------------------------------------------------------------------------- */

static void rub_out(struct typist *typist, size_t to)
{
    for (; typist->length > to; typist->length--)
        echo(typist, "\b \b");
}

static void add_text(struct typist *typist, const char *text)
{
    for (; *text && typist->length < LINE - 1; text++) {
        char one[2] = {*text, 0};

        typist->line[typist->length++] = *text;
        echo(typist, one);
    }
}

static void show_history(struct typist *typist, int step)
{
    if ((step < 0 && !typist->shown) || (step > 0 && typist->shown == typist->lines))
        return;
    typist->shown += (unsigned)step;
    rub_out(typist, 0);
    if (typist->shown < typist->lines)
        add_text(typist, typist->history[typist->shown]);
}

static void keep_line(struct typist *typist)
{
    if (typist->length && !(typist->lines && !strcmp(typist->history[typist->lines - 1], typist->line))) {
        if (typist->lines == HISTORY) {
            free(typist->history[0]);
            memmove(typist->history, typist->history + 1, (HISTORY - 1) * sizeof(*typist->history));
            typist->lines--;
        }
        typist->history[typist->lines] = strdup(typist->line);
        typist->lines += typist->history[typist->lines] != NULL;
    }
    typist->shown = typist->lines;
}

struct candidates {
    struct typist *typist;
    unsigned count;
    char common[LINE]; /* what all of them begin with */
    bool list;
};

static void candidate(void *opaque, const char *word)
{
    struct candidates *c = opaque;
    size_t n = 0;

    if (c->list) {
        print_text(c->typist, word);
        print_text(c->typist, "  ");
        return;
    }
    if (!c->count++) {
        snprintf(c->common, sizeof(c->common), "%s", word);
        return;
    }
    while (c->common[n] && c->common[n] == word[n])
        n++;
    c->common[n] = 0;
}

static void complete(struct typist *typist)
{
    struct monitor *monitor = typist->console->monitor;
    struct candidates c = {.typist = typist};
    const char *start;
    size_t typed;

    typist->line[typist->length] = 0;
    start = strrchr(typist->line, ' ');
    typed = strlen(start ? start + 1 : typist->line);
    monitor_complete(monitor, typist->line, candidate, &c);
    if (c.count && strlen(c.common) > typed) {
        add_text(typist, c.common + typed);
        if (c.count == 1)
            add_text(typist, " ");
    } else if (c.count > 1) {
        c.list = true;
        print_text(typist, "\n");
        monitor_complete(monitor, typist->line, candidate, &c);
        print_text(typist, "\n" PROMPT);
        print(typist, typist->line, typist->length);
    }
}

static void run_line(struct typist *typist)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    typist->line[typist->length] = 0;
    keep_line(typist);
    typist->length = 0;
    echo(typist, "\n");
    if (out) {
        monitor_command(typist->console->monitor, typist->line, out);
        fclose(out);
        print(typist, text, size);
        free(text);
    }
    print_text(typist, PROMPT);
}

static void escape_key(struct typist *typist, char key)
{
    if (typist->escape == 1 && (key == '[' || key == 'O')) {
        typist->escape = 2;
        return;
    }
    typist->escape = 0;
    if (key == 'A' || key == 'B')
        show_history(typist, key == 'A' ? -1 : 1);
}

static void type_key(struct typist *typist, char key)
{
    char text[2] = {key, 0};

    if (typist->escape) {
        escape_key(typist, key);
        return;
    }
    switch (key) {
    case '\r':
    case '\n':
        run_line(typist);
        break;
    case '\t':
        complete(typist);
        break;
    case CTRL_H:
    case 0x7f:
        rub_out(typist, typist->length ? typist->length - 1 : 0);
        break;
    case CTRL_U:
    case CTRL_C:
        rub_out(typist, 0);
        break;
    case CTRL_W: {
        size_t to = typist->length;

        while (to && typist->line[to - 1] == ' ')
            to--;
        while (to && typist->line[to - 1] != ' ')
            to--;
        rub_out(typist, to);
        break;
    }
    case CTRL_P:
    case CTRL_N:
        show_history(typist, key == CTRL_P ? -1 : 1);
        break;
    case ESC:
        typist->escape = 1;
        break;
    default:
        if ((unsigned char)key >= ' ')
            add_text(typist, text);
    }
}

/* --- Keys ---------------------------------------------------------------------------------------- */

/* Machine lock held. */
static size_t room(void *opaque)
{
    struct typist *typist = opaque;

    return sizeof(typist->in) - typist->in_count;
}

/* Machine lock held. */
static void receive(void *opaque, const uint8_t *data, size_t size)
{
    struct typist *typist = opaque;

    if (size > room(typist))
        size = room(typist);
    memcpy(typist->in + typist->in_count, data, size);
    typist->in_count += size;
    typist->console->due = true;
    loop_kick(typist->console->monitor->machine->loop);
}

void monitor_keys(struct monitor *monitor, const uint8_t *data, size_t size)
{
    if (monitor)
        receive(&monitor->console->terminal, data, size);
}

void monitor_switch(struct monitor *monitor, struct chardev *chr, bool on)
{
    static const char welcome[] = "\nThe monitor; help lists its commands, Ctrl-A C goes back.\n" PROMPT;
    struct typist *typist = monitor ? &monitor->console->terminal : NULL;

    if (!typist)
        return;
    typist->leaving = !on;
    if (on) {
        typist->chr = chr;
        chardev_write(chr, (const uint8_t *)welcome, sizeof(welcome) - 1);
        return;
    }
    monitor->console->due = true;
    loop_kick(monitor->machine->loop);
}

/* Keys typed before Ctrl-A C are done with. Machine lock held. */
static void leave(struct typist *typist)
{
    chardev_write(typist->chr, (const uint8_t *)"\n", 1);
    typist->chr = NULL;
    typist->length = typist->escape = 0;
    typist->leaving = false;
}

static void serve(struct typist *typist)
{
    struct machine *m = typist->console->monitor->machine;
    uint8_t keys[sizeof(typist->in)];
    size_t count;

    pthread_mutex_lock(&m->lock);
    count = typist->in_count;
    memcpy(keys, typist->in, count);
    typist->in_count = 0;
    if (count)
        chardev_room_changed(typist->chr);
    pthread_mutex_unlock(&m->lock);
    for (size_t n = 0; n < count; n++)
        type_key(typist, (char)keys[n]);
    pthread_mutex_lock(&m->lock);
    if (typist->leaving && !typist->in_count)
        leave(typist);
    pthread_mutex_unlock(&m->lock);
}

void console_say(struct console *console, const char *text)
{
    struct typist *const typists[] = {&console->terminal, &console->stream};

    for (unsigned n = 0; n < 2; n++) {
        if (!typists[n]->chr)
            continue;
        print_text(typists[n], "\n");
        print_text(typists[n], text);
        print_text(typists[n], PROMPT);
        print(typists[n], typists[n]->line, typists[n]->length);
    }
}

void console_poll(struct console *console)
{
    if (!console->due)
        return;
    console->due = false;
    serve(&console->terminal);
    serve(&console->stream);
}

/* --- Open and close ------------------------------------------------------------------------------ */

struct console *console_open(struct monitor *monitor, char *why, size_t why_size)
{
    struct console *console = calloc(1, sizeof(*console));
    const char *where = monitor->machine->options->monitor;

    snprintf(why, why_size, "out of memory");
    if (!console)
        return NULL;
    console->monitor = monitor;
    console->terminal.console = console->stream.console = console;
    console->terminal.echo = true;
    if (!where)
        return console;
    console->stream.echo = !strcmp(where, "pty") || (!strcmp(where, "stdio") && isatty(STDIN_FILENO));
    console->stream.chr = machine_open_stream(monitor->machine, where, why, why_size);
    if (!console->stream.chr) {
        console_close(console);
        return NULL;
    }
    console->stream.chr->receiver = (struct char_receiver){room, receive, &console->stream};
    print_text(&console->stream, PROMPT);
    return console;
}

void console_close(struct console *console)
{
    if (!console)
        return;
    if (console->stream.chr) {
        pthread_mutex_lock(&console->monitor->machine->lock);
        console->stream.chr->close(console->stream.chr);
        pthread_mutex_unlock(&console->monitor->machine->lock);
    }
    for (unsigned n = 0; n < HISTORY; n++) {
        free(console->terminal.history[n]);
        free(console->stream.history[n]);
    }
    free(console);
}
