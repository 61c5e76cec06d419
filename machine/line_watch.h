/*
 * line_watch.h - a stream in front of another that lets somebody read along what the guest writes, line by
 * line.
 */
#ifndef MACHINE_LINE_WATCH_H
#define MACHINE_LINE_WATCH_H

#include <stdbool.h>
#include <stddef.h>

#include "core/chardev.h"

#define LINE_WATCH_MAX 1024u /* of a longer line, at least the last half of so many characters */

struct line_watch {
    struct chardev front; /* what the chip gets */
    struct chardev *host;
    char line[LINE_WATCH_MAX];
    size_t length;
    /* After each character, with the line so far, which may lack its beginning; and once at its end. Machine
     * lock held. */
    void (*grown)(void *opaque, const char *line, size_t length, bool ended);
    void *opaque;
};

/* Puts the watch in front of *stream. It must live as long as the stream, whose close() is passed on. */
void line_watch_insert(struct line_watch *watch, struct chardev **stream,
                       void (*grown)(void *opaque, const char *line, size_t length, bool ended),
                       void *opaque);

#endif
