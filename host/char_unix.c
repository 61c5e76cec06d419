/*
 * char_unix.c - a Unix socket that listens for one client at a time.
 *
 * Without a client output is dropped. A client that closed its sending side still receives.
 */
#include "host/char_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct char_unix {
    struct host_char host;
    struct char_input input;
    struct char_output output;
    struct loop_watch *listening, *half_closed;
    int listener, client;
    struct sockaddr_un address;
    dev_t dev; /* of the socket file we made: only that one is ours to remove */
    ino_t ino;
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
    int fd = accept4(sock->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    if (sock->client >= 0 && client_left(sock))
        drop_client(sock);
    if (sock->client >= 0) {
        log_at(sock->host.log, LOG_INFO, "unix", "%s: refused a second client", sock->address.sun_path);
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
    struct stat st;

    drop_client(sock);
    loop_unwatch(sock->listening);
    if (sock->listener >= 0)
        close(sock->listener);
    if (sock->ino && lstat(sock->address.sun_path, &st) == 0 && st.st_ino == sock->ino &&
        st.st_dev == sock->dev)
        unlink(sock->address.sun_path);
    free(sock);
}

/* Removes a socket that nobody listens on any more. NULL, or what is in the way. */
static const char *clear_path(const struct sockaddr_un *address)
{
    struct stat st;

    if (lstat(address->sun_path, &st) < 0)
        return errno == ENOENT ? NULL : strerror(errno);
    if (!S_ISSOCK(st.st_mode))
        return "exists and is not a socket";
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return strerror(errno);
    int result = connect(fd, (const struct sockaddr *)address, sizeof(*address));
    int error = result < 0 ? errno : 0;
    close(fd);
    if (error != ECONNREFUSED)
        return error == EACCES ? strerror(error) : "in use by another program";
    return unlink(address->sun_path) < 0 ? strerror(errno) : NULL;
}

/* NULL, or what went wrong. */
static const char *listen_at(struct char_unix *sock)
{
    struct stat st;
    const char *obstacle = clear_path(&sock->address);

    if (obstacle)
        return obstacle;
    sock->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (sock->listener < 0)
        return strerror(errno);
    /* Before bind() this sets the mode that the file is created with: nobody else gets in even for a moment.
     */
    if (fchmod(sock->listener, 0600) < 0)
        return strerror(errno);
    if (bind(sock->listener, (const struct sockaddr *)&sock->address, sizeof(sock->address)) < 0)
        return strerror(errno);
    if (lstat(sock->address.sun_path, &st) == 0) {
        sock->dev = st.st_dev;
        sock->ino = st.st_ino;
    }
    if (listen(sock->listener, 4) < 0)
        return strerror(errno);
    sock->listening = loop_watch_fd(sock->host.loop, sock->listener, POLLIN, listener_ready, sock);
    return sock->listening ? NULL : strerror(ENOMEM);
}

struct chardev *char_unix_open(const char *path, struct loop *loop, struct log *log, char *why,
                               size_t why_size)
{
    struct char_unix *sock;

    if (strlen(path) >= sizeof(sock->address.sun_path)) {
        snprintf(why, why_size, "%s: too long for a socket's path (at most %zu bytes)", path,
                 sizeof(sock->address.sun_path) - 1);
        return NULL;
    }
    sock = host_char_new(sizeof(*sock), loop, log, why, why_size);
    if (!sock)
        return NULL;
    sock->listener = sock->client = -1;
    sock->address.sun_family = AF_UNIX;
    memcpy(sock->address.sun_path, path, strlen(path) + 1);
    sock->host.chr.write = unix_write;
    sock->host.chr.room_changed = unix_room_changed;
    sock->host.chr.close = unix_close;
    sock->input.owner = sock->output.owner = &sock->host;
    sock->input.opaque = sock;
    sock->input.ended = client_ended;
    sock->output.name = "unix";
    sock->output.fd = -1;
    const char *error = listen_at(sock);
    if (error) {
        host_char_refuse(path, error, why, why_size);
        unix_close(&sock->host.chr);
        return NULL;
    }
    return &sock->host.chr;
}
