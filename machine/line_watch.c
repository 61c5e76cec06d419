/*
 * line_watch.c - reads along a stream; see line_watch.h.
 */
#include <string.h>

#include "machine/line_watch.h"

static void take(struct line_watch *watch, char c)
{
    bool ended = c == '\n' || c == '\r';

    if (watch->length == LINE_WATCH_MAX) {
        memmove(watch->line, watch->line + LINE_WATCH_MAX / 2, LINE_WATCH_MAX / 2);
        watch->length = LINE_WATCH_MAX / 2;
    }
    if (!ended)
        watch->line[watch->length++] = c;
    watch->grown(watch->opaque, watch->line, watch->length, ended);
    if (ended)
        watch->length = 0;
}

static struct line_watch *of_front(struct chardev *chr)
{
    return (struct line_watch *)((char *)chr - offsetof(struct line_watch, front));
}

static void front_write(struct chardev *chr, const uint8_t *data, size_t size)
{
    struct line_watch *watch = of_front(chr);

    chardev_write(watch->host, data, size);
    for (size_t n = 0; n < size; n++)
        take(watch, (char)data[n]);
}

static void front_room_changed(struct chardev *chr)
{
    chardev_room_changed(of_front(chr)->host);
}

static void front_close(struct chardev *chr)
{
    struct chardev *host = of_front(chr)->host;

    host->close(host);
}

static size_t host_room(void *opaque)
{
    struct char_receiver *to = &((struct line_watch *)opaque)->front.receiver;

    return to->room ? to->room(to->opaque) : SIZE_MAX;
}

static void host_receive(void *opaque, const uint8_t *data, size_t size)
{
    struct char_receiver *to = &((struct line_watch *)opaque)->front.receiver;

    if (to->receive)
        to->receive(to->opaque, data, size);
}

void line_watch_insert(struct line_watch *watch, struct chardev **stream,
                       void (*grown)(void *opaque, const char *line, size_t length, bool ended), void *opaque)
{
    watch->host = *stream;
    watch->length = 0;
    watch->grown = grown;
    watch->opaque = opaque;
    watch->front =
        (struct chardev){.write = front_write, .room_changed = front_room_changed, .close = front_close};
    watch->host->receiver = (struct char_receiver){host_room, host_receive, watch};
    *stream = &watch->front;
}
