/*
 * net_socket.c - frames through a Unix stream socket; see net_socket.h.
 *
 * It is connected, or listens, or waits until it tries again. Who listens goes on listening while connected:
 * a second peer waits in the kernel's queue for the first to leave.
 */
#include "host/net_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "host/loop.h"
#include "host/time.h"
#include "host/unix_listener.h"

#define BUFFER    (128u << 10) /* bytes, each way */
#define HEAD      4u
#define PAUSE_MIN NS_PER_SEC
#define PAUSE_MAX (64 * NS_PER_SEC)

struct stream {
    size_t start, end; /* what waits in `data` */
    uint8_t data[BUFFER];
};

struct net_socket {
    struct net net;
    struct loop *loop;
    struct clock *clock;
    struct log *log;
    struct loop_poller poller;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
    struct unix_listener listener;
    int fd;         /* the peer; -1: none */
    int polled;     /* the number in this sleep of the peer, or of who listens; -1: neither */
    uint64_t again; /* host ns: no new peer before */
    uint64_t pause; /* how long that will be next time */
    bool heard;     /* a frame came from this peer */
    struct stream in, out;
};

static bool is_valid(size_t size)
{
    return size >= NET_HEADER_SIZE && size <= NET_FRAME_MAX;
}

/* Moves what waits to the front, so that all the room is behind it. */
static void tidy(struct stream *stream)
{
    memmove(stream->data, stream->data + stream->start, stream->end - stream->start);
    stream->end -= stream->start;
    stream->start = 0;
}

/* --- peers --------------------------------------------------------------------------------------- */

/* A peer that says nothing sensible is worth less and less haste. */
static void disconnect(struct net_socket *s)
{
    close(s->fd);
    s->fd = s->polled = -1;
    s->pause = s->heard ? PAUSE_MIN : s->pause < PAUSE_MAX ? 2 * s->pause : PAUSE_MAX;
    s->again = host_monotonic() + s->pause;
    net_set_link(&s->net, false);
}

static void connected(struct net_socket *s, int fd)
{
    s->fd = fd;
    s->heard = false;
    s->in.start = s->in.end = s->out.start = s->out.end = 0;
    log_at(s->log, LOG_INFO, "net", "%s: connected", s->path);
    net_set_link(&s->net, true);
}

/* Connects, or listens. NULL, or what is in the way. */
static const char *try_path(struct net_socket *s)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return strerror(errno);
    strcpy(address.sun_path, s->path);
    if (!connect(fd, (const struct sockaddr *)&address, sizeof(address))) {
        connected(s, fd);
        return NULL;
    }
    int error = errno;
    close(fd);
    return error == ENOENT || error == ECONNREFUSED ? unix_listen(&s->listener, s->path) : strerror(error);
}

static void look_for_peer(struct net_socket *s)
{
    uint64_t now = host_monotonic();

    if (now < s->again)
        return;
    s->again = now + PAUSE_MIN;
    if (s->listener.fd < 0) {
        try_path(s);
        return;
    }
    int fd = unix_accept(&s->listener);
    if (fd >= 0)
        connected(s, fd);
}

/* --- frames -------------------------------------------------------------------------------------- */

static void flush(struct net_socket *s)
{
    struct stream *out = &s->out;
    ssize_t sent = send(s->fd, out->data + out->start, out->end - out->start, MSG_DONTWAIT | MSG_NOSIGNAL);

    if (sent > 0)
        out->start += (size_t)sent;
    if (out->start == out->end)
        out->start = out->end = 0;
}

static void send_to_peer(struct net *net, const uint8_t *frame, size_t size)
{
    struct net_socket *s = (struct net_socket *)net;
    struct stream *out = &s->out;
    uint32_t head = htonl((uint32_t)size);
    bool waited = out->start < out->end;

    if (s->fd < 0)
        return;
    if (BUFFER - out->end < HEAD + size)
        tidy(out);
    if (BUFFER - out->end < HEAD + size)
        return;
    memcpy(out->data + out->end, &head, HEAD);
    memcpy(out->data + out->end + HEAD, frame, size);
    out->end += HEAD + size;
    if (waited)
        return;
    flush(s);
    if (out->start < out->end)
        loop_kick(s->loop);
}

static bool may_deliver(const struct net_socket *s)
{
    return clock_running(s->clock) && net_can_receive(&s->net);
}

/* The size of the frame that comes next; 0: it isn't all there. A lie ends the connection. */
static size_t next_frame(struct net_socket *s)
{
    size_t here = s->in.end - s->in.start;
    uint32_t size;

    if (here < HEAD)
        return 0;
    memcpy(&size, s->in.data + s->in.start, HEAD);
    size = ntohl(size);
    if (is_valid(size))
        return here >= HEAD + size ? size : 0;
    log_at(s->log, LOG_WARN, "net",
           "%s: the peer announced a frame of %u bytes, which there is not; it is cut off", s->path, size);
    disconnect(s);
    return 0;
}

/* Whether a frame still waits for the card. */
static bool deliver(struct net_socket *s)
{
    bool any = false, waits = false;

    for (size_t size; s->fd >= 0 && (size = next_frame(s));) {
        waits = !may_deliver(s);
        if (waits)
            break;
        const uint8_t *frame = s->in.data + s->in.start + HEAD;
        s->in.start += HEAD + size;
        s->heard = true;
        net_receive(&s->net, frame, size);
        any = true;
    }
    if (any)
        net_received(&s->net);
    return waits;
}

static void take_from_peer(struct net_socket *s)
{
    tidy(&s->in);
    ssize_t got = recv(s->fd, s->in.data + s->in.end, BUFFER - s->in.end, MSG_DONTWAIT);
    if (got > 0) {
        s->in.end += (size_t)got;
        deliver(s);
    } else if (!got || (errno != EAGAIN && errno != EINTR)) {
        log_at(s->log, LOG_INFO, "net", "%s: the peer is gone", s->path);
        disconnect(s);
    }
}

static void card_ready(struct net *net)
{
    struct net_socket *s = (struct net_socket *)net;

    if (s->polled < 0)
        loop_kick(s->loop);
}

/* --- the event loop ------------------------------------------------------------------------------ */

static void fill(void *opaque, uint64_t *ns)
{
    struct net_socket *s = opaque;
    bool waits = deliver(s);
    short events = (waits ? 0 : POLLIN) | (s->out.start < s->out.end ? POLLOUT : 0);
    uint64_t now;

    s->polled = -1;
    if (s->fd >= 0) {
        if (events)
            s->polled = loop_poll_fd(s->loop, s->fd, events);
        return;
    }
    now = host_monotonic();
    if (now<s->again && * ns> s->again - now)
        *ns = s->again - now;
    else if (now >= s->again && s->listener.fd < 0)
        *ns = 0;
    else if (now >= s->again)
        s->polled = loop_poll_fd(s->loop, s->listener.fd, POLLIN);
}

static void polled(void *opaque)
{
    struct net_socket *s = opaque;
    short news = s->polled < 0 ? 0 : loop_polled(s->loop, s->polled);

    if (s->fd < 0) {
        if (news || s->listener.fd < 0)
            look_for_peer(s);
        return;
    }
    if (news & POLLOUT)
        flush(s);
    if (news & (POLLIN | POLLHUP | POLLERR))
        take_from_peer(s);
}

/* --- construction -------------------------------------------------------------------------------- */

static void socket_close(struct net *net)
{
    struct net_socket *s = (struct net_socket *)net;

    loop_remove_poller(s->loop, &s->poller);
    if (s->fd >= 0)
        close(s->fd);
    unix_listener_close(&s->listener);
    free(s);
}

struct net *net_socket_open(const char *path, struct loop *loop, struct clock *clock, struct log *log,
                            char *why, size_t why_size)
{
    struct net_socket *s = calloc(1, sizeof(*s));
    const char *obstacle = "out of memory";

    if (s && strlen(path) >= sizeof(s->path)) {
        obstacle = "too long for a socket's path (at most 107 bytes)";
    } else if (s) {
        *s = (struct net_socket){
            .net = {.send = send_to_peer, .ready = card_ready, .close = socket_close, .batches = true},
            .loop = loop,
            .clock = clock,
            .log = log,
            .poller = {.fill = fill, .polled = polled, .opaque = s},
            .listener = {.fd = -1},
            .fd = -1,
            .polled = -1,
            .pause = PAUSE_MIN / 2};
        strcpy(s->path, path);
        obstacle = try_path(s);
    }
    if (obstacle) {
        snprintf(why, why_size, "socket:%.120s: %s", path, obstacle);
        free(s);
        return NULL;
    }
    loop_add_poller(loop, &s->poller);
    return &s->net;
}
