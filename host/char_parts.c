/* char_parts.c - input that waits for room, output that never blocks. */
#include "host/char_parts.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OUTPUT_LIMIT   ((size_t)1 << 20)
#define LAST_CHANCE_MS 100

static void quit_loop(void *opaque)
{
    loop_quit(opaque);
}

struct chardev *host_char_refuse(const char *spec, const char *text, char *why, size_t why_size)
{
    snprintf(why, why_size, "%s: %s", spec, text);
    return NULL;
}

void *host_char_new(size_t size, struct loop *loop, struct log *log, char *why, size_t why_size)
{
    struct host_char *host = calloc(1, size);

    if (!host) {
        snprintf(why, why_size, "no memory for a character device");
        return NULL;
    }
    host->loop = loop;
    host->log = log;
    host->quit = quit_loop;
    host->quit_opaque = loop;
    return host;
}

/* --- input --------------------------------------------------------------------------------------- */

/* Gives the chip what it has room for, and reads on once nothing waits. */
static void deliver(struct char_input *in)
{
    while (in->count) {
        const struct char_receiver *to = &in->owner->chr.receiver;
        size_t size = in->count, room = to->room ? to->room(to->opaque) : size;
        const uint8_t *data = in->waiting + in->start;

        if (size > room)
            size = room;
        if (!size)
            break;
        in->start += size;
        in->count -= size;
        if (to->receive)
            to->receive(to->opaque, data, size);
    }
    if (!in->count)
        in->start = 0;
    if (in->watch)
        loop_modify(in->watch, in->lossy || !in->count ? POLLIN : 0);
}

static void retry(void *opaque)
{
    deliver(opaque);
}

static void input_ready(void *opaque, short revents)
{
    struct char_input *in = opaque;
    uint8_t data[1024];
    size_t want = sizeof(data);

    (void)revents;
    ssize_t got = read(in->fd, data, want);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return;
    if (got <= 0) {
        /* What waits is still delivered when room appears. */
        loop_unwatch(in->watch);
        in->watch = NULL;
        if (in->ended)
            in->ended(in->opaque);
        return;
    }
    size_t size = in->filter ? in->filter(in->opaque, data, (size_t)got) : (size_t)got;
    memmove(in->waiting, in->waiting + in->start, in->count);
    in->start = 0;
    if (size > sizeof(in->waiting) - in->count)
        size = sizeof(in->waiting) - in->count;
    memcpy(in->waiting + in->count, data, size);
    in->count += size;
    deliver(in);
}

bool char_input_start(struct char_input *in)
{
    in->retry = (struct loop_task){.fn = retry, .opaque = in};
    in->start = in->count = 0;
    in->watch = loop_watch_fd(in->owner->loop, in->fd, POLLIN, input_ready, in);
    return in->watch != NULL;
}

void char_input_stop(struct char_input *in)
{
    loop_unwatch(in->watch);
    in->watch = NULL;
    in->count = 0;
    if (in->owner)
        loop_cancel(in->owner->loop, &in->retry);
}

/* The chip calls from within its own register access, so its receive() is called later, from the loop. */
void char_input_room_changed(struct char_input *in)
{
    if (in->count)
        loop_post(in->owner->loop, &in->retry);
}

/* --- output -------------------------------------------------------------------------------------- */

int char_write_all(int fd, const uint8_t *data, size_t size)
{
    while (size) {
        ssize_t done = write(fd, data, size);
        if (done >= 0) {
            data += done;
            size -= (size_t)done;
        } else if (errno == EAGAIN) {
            /* Somebody shares this open file and made it non-blocking. */
            struct pollfd slot = {.fd = fd, .events = POLLOUT};
            poll(&slot, 1, -1);
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

/* Writes until the host takes no more. False when the other end is gone for good. */
static bool drain(struct char_output *out)
{
    while (out->count) {
        ssize_t done = write(out->fd, out->data + out->start, out->count);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return errno == EAGAIN;
        out->start += (size_t)done;
        out->count -= (size_t)done;
    }
    out->start = 0;
    return true;
}

static void give_up(struct char_output *out)
{
    out->fd = -1;
    out->start = out->count = 0;
    if (out->watch)
        loop_modify(out->watch, 0);
}

static void output_ready(void *opaque, short revents)
{
    struct char_output *out = opaque;

    (void)revents;
    if (!drain(out))
        give_up(out);
    else if (!out->count)
        loop_modify(out->watch, 0);
}

bool char_output_start(struct char_output *out)
{
    out->start = out->count = 0;
    out->dropped = false;
    out->watch = loop_watch_fd(out->owner->loop, out->fd, 0, output_ready, out);
    return out->watch != NULL;
}

/* Makes room for `size` more bytes as far as the limit and memory allow; returns how many fit. */
static size_t make_room(struct char_output *out, size_t size)
{
    if (out->start) {
        memmove(out->data, out->data + out->start, out->count);
        out->start = 0;
    }
    if (size > OUTPUT_LIMIT - out->count)
        size = OUTPUT_LIMIT - out->count;
    if (out->count + size > out->capacity) {
        size_t capacity = out->capacity ? out->capacity : 4096;
        while (capacity < out->count + size)
            capacity *= 2;
        uint8_t *data = realloc(out->data, capacity);
        if (data) {
            out->data = data;
            out->capacity = capacity;
        }
    }
    return size < out->capacity - out->count ? size : out->capacity - out->count;
}

void char_output_write(struct char_output *out, const uint8_t *data, size_t size)
{
    if (out->fd < 0)
        return;
    if (!out->count) {
        ssize_t done = write(out->fd, data, size);
        if (done < 0 && errno != EAGAIN && errno != EINTR) {
            give_up(out);
            return;
        }
        if (done > 0) {
            data += done;
            size -= (size_t)done;
        }
    }
    if (!size)
        return;
    /* Moving what waits to the front costs a lot if done for every byte, so only when the end is reached. */
    size_t room = out->capacity - out->start - out->count, fits = size;
    if (size > room || out->count + size > OUTPUT_LIMIT)
        fits = out->count < OUTPUT_LIMIT ? make_room(out, size) : 0;
    if (fits) {
        memcpy(out->data + out->start + out->count, data, fits);
        out->count += fits;
    }
    if (fits < size && !out->dropped) {
        out->dropped = true;
        log_at(out->owner->log, LOG_WARN, out->name, "nobody reads it; output is being dropped");
    }
    loop_modify(out->watch, POLLOUT);
}

void char_output_stop(struct char_output *out)
{
    while (out->fd >= 0 && out->count) {
        struct pollfd slot = {.fd = out->fd, .events = POLLOUT};
        if (!drain(out) || (out->count && poll(&slot, 1, LAST_CHANCE_MS) <= 0))
            break;
    }
    loop_unwatch(out->watch);
    free(out->data);
    *out = (struct char_output){.owner = out->owner, .fd = -1, .name = out->name};
}
