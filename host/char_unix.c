/*
 * char_unix.c - a Unix socket that listens for one client at a time.
 *
 * Without a client output is dropped. A client that closed its sending side still receives.
 */
#include "host/char_parts.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/unix_listener.h"

struct char_unix {
    struct host_char host;
    struct char_input input;
    struct char_output output;
    struct loop_watch *listening, *half_closed;
    struct unix_listener listener;
    int client;
};

static void drop_client(struct char_unix *sock)
{
    if (sock->client < 0)
        return;
    char_input_stop(&sock->input);
    char_output_stop(&sock->output);
    loop_unwatch(sock->half_closed);
    sock->half_closed = NULL;
    close(sock->client);
    sock->client = -1;
}

static void client_gone(void *opaque, short revents)
{
    (void)revents;
    drop_client(opaque);
}

/* No more input. Hang-ups are reported whatever one waits for, so wait for what a Unix socket never has. */
static void client_ended(void *opaque)
{
    struct char_unix *sock = opaque;

    sock->half_closed = loop_watch_fd(sock->host.loop, sock->client, POLLPRI, client_gone, sock);
    if (!sock->half_closed)
        drop_client(sock);
}

/* While input is paused nobody sees a client leave. */
static bool client_left(const struct char_unix *sock)
{
    struct pollfd slot = {.fd = sock->client, .events = 0};

    return poll(&slot, 1, 0) > 0 && slot.revents & (POLLHUP | POLLERR);
}

static void listener_ready(void *opaque, short revents)
{
    struct char_unix *sock = opaque;

    (void)revents;
    int fd = unix_accept(&sock->listener);
    if (fd < 0)
        return;
    if (sock->client >= 0 && client_left(sock))
        drop_client(sock);
    if (sock->client >= 0) {
        log_at(sock->host.log, LOG_INFO, "unix", "%s: refused a second client",
               sock->listener.address.sun_path);
        close(fd);
        return;
    }
    sock->client = fd;
    sock->input.fd = sock->output.fd = fd;
    if (!char_input_start(&sock->input) || !char_output_start(&sock->output))
        drop_client(sock);
}

static void unix_write(struct chardev *chr, const uint8_t *data, size_t size)
{
    struct char_unix *sock = (struct char_unix *)chr;

    if (sock->client >= 0)
        char_output_write(&sock->output, data, size);
}

static void unix_room_changed(struct chardev *chr)
{
    char_input_room_changed(&((struct char_unix *)chr)->input);
}

static void unix_close(struct chardev *chr)
{
    struct char_unix *sock = (struct char_unix *)chr;

    drop_client(sock);
    loop_unwatch(sock->listening);
    unix_listener_close(&sock->listener);
    free(sock);
}

struct chardev *char_unix_open(const char *path, struct loop *loop, struct log *log, char *why,
                               size_t why_size)
{
    struct char_unix *sock = host_char_new(sizeof(*sock), loop, log, why, why_size);

    if (!sock)
        return NULL;
    sock->client = -1;
    sock->host.chr.write = unix_write;
    sock->host.chr.room_changed = unix_room_changed;
    sock->host.chr.close = unix_close;
    sock->input.owner = sock->output.owner = &sock->host;
    sock->input.opaque = sock;
    sock->input.ended = client_ended;
    sock->output.name = "unix";
    sock->output.fd = -1;
    const char *error = unix_listen(&sock->listener, path);
    if (!error) {
        sock->listening = loop_watch_fd(loop, sock->listener.fd, POLLIN, listener_ready, sock);
        error = sock->listening ? NULL : strerror(ENOMEM);
    }
    if (error) {
        host_char_refuse(path, error, why, why_size);
        unix_close(&sock->host.chr);
        return NULL;
    }
    return &sock->host.chr;
}
