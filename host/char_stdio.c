/* char_stdio.c - standard input and output; on a terminal raw, with Ctrl-A as the escape. */
#include "host/char_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CTRL_A 0x01

struct char_stdio {
    struct host_char host;
    struct char_input input;
    bool is_terminal;
    bool prefix; /* the last key was Ctrl-A */
    bool monitor; /* keys go to the monitor */
    bool broken; /* nobody takes our output any more; said so */
};

static const char help[] = "\n"
                           "Ctrl-A x       end the machine\n"
                           "Ctrl-A c       the monitor, and back\n"
                           "Ctrl-A h       this list\n"
                           "Ctrl-A Ctrl-A  send Ctrl-A to the guest\n";

static void stdio_write(struct chardev *chr, const uint8_t *data, size_t size)
{
    struct char_stdio *stdio = (struct char_stdio *)chr;

    if (stdio->broken)
        return;
    int error = char_write_all(STDOUT_FILENO, data, size);
    if (error) {
        stdio->broken = true;
        log_at(stdio->host.log, LOG_WARN, "stdio", "cannot write: %s", strerror(error));
    }
}

/* The key after Ctrl-A. True when the guest gets a Ctrl-A. */
static bool escape_key(struct char_stdio *stdio, uint8_t key)
{
    switch (key) {
    case 'x':
    case 'X':
        stdio->host.quit(stdio->host.quit_opaque);
        return false;
    case 'c':
    case 'C':
        if (stdio->host.monitor.on) {
            stdio->monitor = !stdio->monitor;
            stdio->host.monitor.on(stdio->host.monitor.opaque, &stdio->host.chr, stdio->monitor);
        }
        return false;
    case 'h':
    case 'H':
    case '?':
        stdio_write(&stdio->host.chr, (const uint8_t *)help, sizeof(help) - 1);
        return false;
    case 'a':
    case 'A':
    case CTRL_A:
        return true;
    default: /* b is kept for break */
        return false;
    }
}

/* To whom the keys go now. Returns how many bytes of `data` are the guest's. */
static size_t take_key(struct char_stdio *stdio, uint8_t key, uint8_t *data)
{
    if (stdio->monitor) {
        stdio->host.monitor.keys(stdio->host.monitor.opaque, &key, 1);
        return 0;
    }
    *data = key;
    return 1;
}

static size_t filter_keys(void *opaque, uint8_t *data, size_t size)
{
    struct char_stdio *stdio = opaque;
    size_t kept = 0;

    for (size_t i = 0; i < size; i++) {
        if (stdio->prefix) {
            stdio->prefix = false;
            if (escape_key(stdio, data[i]))
                kept += take_key(stdio, CTRL_A, data + kept);
        } else if (data[i] == CTRL_A) {
            stdio->prefix = true;
        } else {
            kept += take_key(stdio, data[i], data + kept);
        }
    }
    return kept;
}

static void stdio_room_changed(struct chardev *chr)
{
    char_input_room_changed(&((struct char_stdio *)chr)->input);
}

static void stdio_close(struct chardev *chr)
{
    struct char_stdio *stdio = (struct char_stdio *)chr;

    char_input_stop(&stdio->input);
    if (stdio->is_terminal)
        terminal_restore();
    terminal_release();
    free(stdio);
}

struct chardev *char_stdio_open(struct loop *loop, struct log *log, char *why, size_t why_size)
{
    if (!terminal_claim())
        return host_char_refuse("stdio", "already used by another device of this process", why, why_size);
    struct char_stdio *stdio = host_char_new(sizeof(*stdio), loop, log, why, why_size);
    if (!stdio) {
        terminal_release();
        return NULL;
    }
    stdio->host.chr.write = stdio_write;
    stdio->host.chr.room_changed = stdio_room_changed;
    stdio->host.chr.close = stdio_close;
    stdio->input.owner = &stdio->host;
    stdio->input.fd = STDIN_FILENO;
    stdio->input.opaque = stdio;
    if (isatty(STDIN_FILENO)) {
        if (!terminal_make_raw(STDIN_FILENO)) {
            host_char_refuse("stdio", strerror(errno), why, why_size);
            stdio_close(&stdio->host.chr);
            return NULL;
        }
        stdio->is_terminal = true;
        stdio->input.lossy = true;
        stdio->input.filter = filter_keys;
    }
    /* Started with standard input closed: output only. */
    if (fcntl(STDIN_FILENO, F_GETFD) >= 0 && !char_input_start(&stdio->input)) {
        host_char_refuse("stdio", strerror(ENOMEM), why, why_size);
        stdio_close(&stdio->host.chr);
        return NULL;
    }
    return &stdio->host.chr;
}
