/* chardev.c - which backend an option string means. */
#include "host/chardev.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "host/char_parts.h"

static void none_close(struct chardev *chr)
{
    free(chr);
}

static struct chardev *none_open(struct loop *loop, struct log *log, char *why, size_t why_size)
{
    struct host_char *none = host_char_new(sizeof(*none), loop, log, why, why_size);

    if (!none)
        return NULL;
    none->chr.close = none_close;
    return &none->chr;
}

/* What follows "KIND:" in spec; NULL when spec is of another kind. */
static const char *path_of(const char *spec, const char *kind)
{
    size_t length = strlen(kind);

    return strncmp(spec, kind, length) == 0 && spec[length] == ':' ? spec + length + 1 : NULL;
}

struct chardev *host_chardev_open(const char *spec, struct loop *loop, struct log *log, char *why,
                                  size_t why_size)
{
    const char *file = path_of(spec, "file"), *sock = path_of(spec, "unix");

    /* A reader that went away, or a file as long as it may be (ulimit -f), is an error of the write. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    if (strcmp(spec, "stdio") == 0)
        return char_stdio_open(loop, log, why, why_size);
    if (strcmp(spec, "pty") == 0)
        return char_pty_open(loop, log, why, why_size);
    if (strcmp(spec, "none") == 0)
        return none_open(loop, log, why, why_size);
    if (file && *file)
        return char_file_open(file, loop, log, why, why_size);
    if (sock && *sock)
        return char_unix_open(sock, loop, log, why, why_size);
    if (file || sock)
        return host_char_refuse(spec, "a path is missing after the colon", why, why_size);
    return host_char_refuse(spec, "not one of stdio, file:PATH, pty, unix:PATH, none", why, why_size);
}

void host_chardev_on_monitor(struct chardev *chr, const struct host_char_monitor *monitor)
{
    ((struct host_char *)chr)->monitor = *monitor;
}

void host_chardev_on_quit(struct chardev *chr, void (*fn)(void *opaque), void *opaque)
{
    struct host_char *host = (struct host_char *)chr;

    host->quit = fn;
    host->quit_opaque = opaque;
}
