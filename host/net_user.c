/*
 * net_user.c - the user network, by libslirp; see net_user.h.
 *
 * libslirp sends frames from within slirp_input() as well as from its polling; all of that happens in the
 * event loop's thread, between a card's own calls.
 */
#include "host/net_user.h"

#include <errno.h>
#include <libslirp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "host/loop.h"

#define QUEUE_MAX     1024 /* frames */
#define ROUTER        2    /* host numbers in the network */
#define NAME_SERVER   3
#define FIRST_ADDRESS 15
#define NS_PER_MS     1000000ull

struct frame {
    struct frame *next;
    size_t size;
    uint8_t data[];
};

struct queue {
    struct frame *first, **last;
    unsigned count;
};

struct net_user {
    struct net net;
    Slirp *slirp;
    struct loop *loop;
    struct clock *clock;
    struct log *log;
    struct loop_poller poller;
    struct loop_task task;       /* `sent` has frames */
    struct queue sent, received; /* from the card; for it */
    bool delivering;
    bool filled; /* libslirp named its descriptors for this sleep */
};

/* --- queues -------------------------------------------------------------------------------------- */

static void queue_init(struct queue *queue)
{
    *queue = (struct queue){.last = &queue->first};
}

/* False when the queue is full: the frame is lost. */
static bool queue_put(struct queue *queue, const void *data, size_t size)
{
    struct frame *frame = queue->count < QUEUE_MAX ? malloc(sizeof(*frame) + size) : NULL;

    if (!frame)
        return false;
    frame->next = NULL;
    frame->size = size;
    memcpy(frame->data, data, size);
    *queue->last = frame;
    queue->last = &frame->next;
    queue->count++;
    return true;
}

/* The first frame, to be freed; NULL: there is none. */
static struct frame *queue_take(struct queue *queue)
{
    struct frame *frame = queue->first;

    if (!frame)
        return NULL;
    queue->first = frame->next;
    if (!queue->first)
        queue->last = &queue->first;
    queue->count--;
    return frame;
}

static void queue_free(struct queue *queue)
{
    for (struct frame *frame; (frame = queue_take(queue));)
        free(frame);
}

/* --- frames -------------------------------------------------------------------------------------- */

/* Sockets aren't read while much of what they said waits for the card. */
static bool is_behind(const struct net_user *user)
{
    return user->received.count > QUEUE_MAX / 2;
}

/* The card writes what it receives into the guest's memory, which stands still while the machine does. */
static bool may_deliver(const struct net_user *user)
{
    return clock_running(user->clock) && net_can_receive(&user->net);
}

/* A card that receives may be ready again at once and say so: that is for the loop here, not for a call
 * within a call. */
static void deliver(struct net *net)
{
    struct net_user *user = (struct net_user *)net;
    bool was_behind = is_behind(user);

    if (user->delivering)
        return;
    user->delivering = true;
    while (user->received.first && may_deliver(user)) {
        struct frame *frame = queue_take(&user->received);
        net_receive(net, frame->data, frame->size);
        free(frame);
    }
    user->delivering = false;
    net_received(net);
    if (was_behind && !is_behind(user))
        loop_kick(user->loop);
}

static void send_to_network(struct net *net, const uint8_t *data, size_t size)
{
    struct net_user *user = (struct net_user *)net;

    if (queue_put(&user->sent, data, size))
        loop_post(user->loop, &user->task);
}

/* It takes packets larger than its network's frames, so that TCP's needn't be cut. */
static void send_large_to_network(struct net *net, uint8_t *data, size_t size,
                                  const struct net_offload *offload)
{
    bool good = offload->segment ? net_finish_large(data, size, offload)
                                 : !offload->checksum || net_put_checksum(data, size, offload);

    if (good)
        send_to_network(net, data, size);
}

static void take_sent(void *opaque)
{
    struct net_user *user = opaque;

    for (struct frame *frame; (frame = queue_take(&user->sent));) {
        slirp_input(user->slirp, frame->data, (int)frame->size);
        free(frame);
    }
    net_received(&user->net);
}

/* --- what libslirp asks for ---------------------------------------------------------------------- */

static ssize_t send_to_card(const void *data, size_t size, void *opaque)
{
    struct net_user *user = opaque;

    if (!user->received.first && may_deliver(user))
        net_receive(&user->net, data, size);
    else
        queue_put(&user->received, data, size);
    return (ssize_t)size;
}

static void guest_error(const char *message, void *opaque)
{
    log_at(((struct net_user *)opaque)->log, LOG_GUEST, "net", "%s", message);
}

static int64_t get_time(void *opaque)
{
    return (int64_t)clock_now(((struct net_user *)opaque)->clock);
}

struct slirp_timer {
    struct timer timer;
    SlirpTimerCb fn;
    void *opaque;
    struct net_user *user;
};

static void timer_due(void *opaque)
{
    struct slirp_timer *timer = opaque;

    timer->fn(timer->opaque);
    net_received(&timer->user->net);
}

static void *new_timer(SlirpTimerCb fn, void *fn_opaque, void *opaque)
{
    struct slirp_timer *timer = calloc(1, sizeof(*timer));

    if (timer) {
        timer->fn = fn;
        timer->opaque = fn_opaque;
        timer->user = opaque;
        timer_init(&timer->timer, ((struct net_user *)opaque)->clock, "slirp", timer_due, timer);
    }
    return timer;
}

static void free_timer(void *timer, void *opaque)
{
    (void)opaque;
    if (timer)
        timer_disarm(&((struct slirp_timer *)timer)->timer);
    free(timer);
}

static void set_timer(void *timer, int64_t ms, void *opaque)
{
    (void)opaque;
    if (timer)
        timer_arm(&((struct slirp_timer *)timer)->timer, ms > 0 ? (uint64_t)ms * NS_PER_MS : 0);
}

/* It names its descriptors before each sleep anyway. */
static void note_fd(int fd, void *opaque)
{
    (void)fd;
    (void)opaque;
}

static void wake(void *opaque)
{
    loop_kick(((struct net_user *)opaque)->loop);
}

static const SlirpCb callbacks = {
    .send_packet = send_to_card,
    .guest_error = guest_error,
    .clock_get_ns = get_time,
    .timer_new = new_timer,
    .timer_free = free_timer,
    .timer_mod = set_timer,
    .register_poll_fd = note_fd,
    .unregister_poll_fd = note_fd,
    .notify = wake,
};

/* --- the event loop ------------------------------------------------------------------------------ */

static const struct {
    int slirp;
    short poll;
} events[] = {{SLIRP_POLL_IN, POLLIN},
              {SLIRP_POLL_OUT, POLLOUT},
              {SLIRP_POLL_PRI, POLLPRI},
              {SLIRP_POLL_ERR, POLLERR},
              {SLIRP_POLL_HUP, POLLHUP}};

enum { EVENTS = sizeof(events) / sizeof(*events) };

static int add_fd(int fd, int wanted, void *opaque)
{
    struct net_user *user = opaque;
    short poll = 0;

    for (unsigned n = 0; n < EVENTS; n++)
        poll |= wanted & events[n].slirp ? events[n].poll : 0;
    return loop_poll_fd(user->loop, fd, poll);
}

static int fd_news(int number, void *opaque)
{
    short poll = loop_polled(((struct net_user *)opaque)->loop, number);
    int news = 0;

    for (unsigned n = 0; n < EVENTS; n++)
        news |= poll & events[n].poll ? events[n].slirp : 0;
    return news;
}

static void fill(void *opaque, uint64_t *ns)
{
    struct net_user *user = opaque;
    uint32_t ms = *ns / NS_PER_MS < UINT32_MAX ? (uint32_t)(*ns / NS_PER_MS) : UINT32_MAX, before = ms;

    deliver(&user->net); /* what waited for the machine to go on */
    user->filled = !is_behind(user);
    if (!user->filled)
        return;
    slirp_pollfds_fill(user->slirp, &ms, add_fd, user);
    if (ms < before)
        *ns = ms * NS_PER_MS;
}

static void polled(void *opaque)
{
    struct net_user *user = opaque;

    if (user->filled)
        slirp_pollfds_poll(user->slirp, 0, fd_news, user);
    net_received(&user->net);
}

/* --- from options to a network ------------------------------------------------------------------- */

static struct in_addr address(uint32_t number)
{
    return (struct in_addr){htonl(number)};
}

static void user_close(struct net *net)
{
    struct net_user *user = (struct net_user *)net;

    loop_cancel(user->loop, &user->task);
    if (user->slirp) {
        loop_remove_poller(user->loop, &user->poller);
        slirp_cleanup(user->slirp);
    }
    queue_free(&user->sent);
    queue_free(&user->received);
    free(user);
}

static bool add_forward(struct net_user *user, const struct net_user_forward *forward, char *why,
                        size_t why_size)
{
    char where[INET_ADDRSTRLEN];
    struct in_addr host = address(forward->host_address);

    if (!slirp_add_hostfwd(user->slirp, forward->udp, host, forward->host_port,
                           address(forward->guest_address), forward->guest_port))
        return true;
    snprintf(why, why_size, "hostfwd: cannot listen at %s:%u (%s): %s",
             inet_ntop(AF_INET, &host, where, sizeof(where)), forward->host_port,
             forward->udp ? "udp" : "tcp",
             errno == EADDRINUSE ? "the port is in use; choose another" : strerror(errno));
    return false;
}

static bool check_folder(const char *path, char *why, size_t why_size)
{
    struct stat info;

    if (!path)
        return true;
    if (stat(path, &info))
        snprintf(why, why_size, "tftp=%.200s: %s", path, strerror(errno));
    else if (!S_ISDIR(info.st_mode))
        snprintf(why, why_size, "tftp=%.200s: this is not a folder; name the one that has the files", path);
    else
        return true;
    return false;
}

static bool start(struct net_user *user, const struct net_user_options *options, char *why, size_t why_size)
{
    const SlirpConfig config = {
        .version = 1,
        .restricted = options->restricted,
        .in_enabled = true,
        .vnetwork = address(options->network),
        .vnetmask = address(options->mask),
        .vhost = address(options->network + ROUTER),
        .vnameserver = address(options->network + NAME_SERVER),
        .vdhcp_start = address(options->network + FIRST_ADDRESS),
        .vhostname = options->hostname,
        .tftp_path = options->tftp,
        .bootfile = options->bootfile,
    };

    if (!check_folder(options->tftp, why, why_size))
        return false;
    user->slirp = slirp_new(&config, &callbacks, user);
    if (!user->slirp) {
        snprintf(why, why_size, "libslirp can't make this network");
        return false;
    }
    loop_add_poller(user->loop, &user->poller);
    for (unsigned n = 0; n < options->forwards; n++)
        if (!add_forward(user, &options->forward[n], why, why_size))
            return false;
    return true;
}

struct net *net_user_open(const struct net_user_options *options, struct loop *loop, struct clock *clock,
                          struct log *log, char *why, size_t why_size)
{
    struct net_user *user = calloc(1, sizeof(*user));

    if (!user) {
        snprintf(why, why_size, "out of memory");
        return NULL;
    }
    user->net = (struct net){.send = send_to_network,
                             .send_large = send_large_to_network,
                             .ready = deliver,
                             .close = user_close,
                             .up = true,
                             .batches = true};
    user->loop = loop;
    user->clock = clock;
    user->log = log;
    user->poller = (struct loop_poller){.fill = fill, .polled = polled, .opaque = user};
    user->task = (struct loop_task){.fn = take_sent, .opaque = user};
    queue_init(&user->sent);
    queue_init(&user->received);
    if (!start(user, options, why, why_size)) {
        user_close(&user->net);
        return NULL;
    }
    return &user->net;
}
