/*
 * net_tap.c - Ethernet frames through /dev/net/tun; see net_tap.h.
 */
#include "host/net_tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"
#include "host/loop.h"

#define DEVICE "/dev/net/tun"
#define BATCH  64 /* frames in a turn of the loop */

extern char **environ;

struct net_tap {
    struct net net;
    struct loop *loop;
    struct clock *clock;
    struct log *log;
    struct loop_poller poller;
    int fd;     /* -1: not open, or broken */
    int polled; /* its number in this sleep; -1: nobody wants its frames */
    char name[IFNAMSIZ];
    char *downscript;
    bool started; /* the script ran */
    uint8_t frame[NET_FRAME_MAX + 1];
};

/* --- frames -------------------------------------------------------------------------------------- */

static void send_to_tap(struct net *net, const uint8_t *frame, size_t size)
{
    struct net_tap *tap = (struct net_tap *)net;

    /* It may be full, or down: both are a cable's losses. */
    ssize_t ignored = write(tap->fd, frame, size);
    (void)ignored;
}

static bool may_deliver(const struct net_tap *tap)
{
    return clock_running(tap->clock) && net_can_receive(&tap->net);
}

static void card_ready(struct net *net)
{
    struct net_tap *tap = (struct net_tap *)net;

    if (tap->polled < 0)
        loop_kick(tap->loop);
}

static void fill(void *opaque, uint64_t *ns)
{
    struct net_tap *tap = opaque;

    (void)ns;
    tap->polled = tap->fd >= 0 && may_deliver(tap) ? loop_poll_fd(tap->loop, tap->fd, POLLIN) : -1;
}

static void take_frames(struct net_tap *tap)
{
    for (unsigned n = 0; n < BATCH && may_deliver(tap); n++) {
        ssize_t size = read(tap->fd, tap->frame, sizeof(tap->frame));

        if (size > 0) {
            net_receive(&tap->net, tap->frame, (size_t)size);
            continue;
        }
        if (size < 0 && errno != EAGAIN && errno != EINTR && errno != EIO) {
            log_at(tap->log, LOG_WARN, "net", "%s is gone: %s; the cable is pulled out", tap->name,
                   strerror(errno));
            close(tap->fd);
            tap->fd = -1;
            net_set_link(&tap->net, false);
        }
        return;
    }
}

static void polled(void *opaque)
{
    struct net_tap *tap = opaque;

    if (tap->polled < 0 || !loop_polled(tap->loop, tap->polled))
        return;
    take_frames(tap);
    net_received(&tap->net);
}

/* --- from options to an interface ---------------------------------------------------------------- */

static bool run_script(const char *script, const char *name, char *why, size_t why_size)
{
    char *argv[] = {(char *)(uintptr_t)script, (char *)(uintptr_t)name, NULL};
    pid_t pid;
    int status = 0, error = posix_spawn(&pid, script, NULL, NULL, argv, environ);

    if (error) {
        snprintf(why, why_size, "tap: script %.200s: %s", script, strerror(error));
        return false;
    }
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            break;
    if (WIFEXITED(status) && !WEXITSTATUS(status))
        return true;
    snprintf(why, why_size, "tap: script %.200s: it ended with status %d", script,
             WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    return false;
}

static void tap_close(struct net *net)
{
    struct net_tap *tap = (struct net_tap *)net;
    char why[300];

    loop_remove_poller(tap->loop, &tap->poller);
    if (tap->started && tap->downscript && !run_script(tap->downscript, tap->name, why, sizeof(why)))
        log_at(tap->log, LOG_WARN, "net", "%s", why);
    if (tap->fd >= 0)
        close(tap->fd);
    free(tap->downscript);
    free(tap);
}

static bool explain_device(int error, char *why, size_t why_size)
{
    const char *advice = error == ENOENT || error == ENODEV || error == ENXIO
                             ? "; load the kernel's module tun"
                         : error == EACCES || error == EPERM ? "; this needs the right to open it"
                                                             : "";

    snprintf(why, why_size, "tap: " DEVICE ": %s%s", strerror(error), advice);
    return false;
}

static bool explain_interface(int error, const char *name, char *why, size_t why_size)
{
    if (error == EPERM)
        snprintf(
            why, why_size,
            "tap: this user may not use %s; let root make it, once: ip tuntap add dev %s mode tap user %ld",
            *name ? name : "a new interface", *name ? name : "tap0", (long)getuid());
    else if (error == EBUSY)
        snprintf(why, why_size, "tap: %s is in use by another program", name);
    else if (error == EINVAL)
        snprintf(why, why_size, "tap: %s is not a TAP interface; name another with ifname=", name);
    else
        snprintf(why, why_size, "tap: %s: %s", name, strerror(error));
    return false;
}

static bool open_interface(struct net_tap *tap, const char *ifname, char *why, size_t why_size)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};

    if (ifname && strlen(ifname) >= IFNAMSIZ) {
        snprintf(why, why_size,
                 "tap: ifname=%.40s is too long; an interface's name has 15 characters at most", ifname);
        return false;
    }
    if (ifname)
        strcpy(request.ifr_name, ifname);
    tap->fd = open(DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (tap->fd < 0)
        return explain_device(errno, why, why_size);
    if (ioctl(tap->fd, TUNSETIFF, &request) < 0)
        return explain_interface(errno, request.ifr_name, why, why_size);
    memcpy(tap->name, request.ifr_name, IFNAMSIZ);
    tap->name[IFNAMSIZ - 1] = 0;
    return true;
}

/* What the user would otherwise wonder about. */
static void tell_state(const struct net_tap *tap, bool named)
{
    struct ifreq request = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    memcpy(request.ifr_name, tap->name, IFNAMSIZ);
    if (fd >= 0 && !ioctl(fd, SIOCGIFFLAGS, &request) && !(request.ifr_flags & IFF_UP))
        log_at(tap->log, LOG_WARN, "net",
               "the interface %s is down, so nothing passes through it yet: ip link set %s up", tap->name,
               tap->name);
    else if (!named)
        log_at(tap->log, LOG_INFO, "net", "the interface is %s", tap->name);
    if (fd >= 0)
        close(fd);
}

static bool start(struct net_tap *tap, const struct net_tap_options *options, char *why, size_t why_size)
{
    if (options->downscript) {
        tap->downscript = strdup(options->downscript);
        if (!tap->downscript) {
            snprintf(why, why_size, "out of memory");
            return false;
        }
    }
    if (!open_interface(tap, options->ifname, why, why_size) ||
        (options->script && !run_script(options->script, tap->name, why, why_size)))
        return false;
    tap->started = true;
    tell_state(tap, options->ifname);
    return true;
}

struct net *net_tap_open(const struct net_tap_options *options, struct loop *loop, struct clock *clock,
                         struct log *log, char *why, size_t why_size)
{
    struct net_tap *tap = calloc(1, sizeof(*tap));

    if (!tap) {
        snprintf(why, why_size, "out of memory");
        return NULL;
    }
    tap->net = (struct net){
        .send = send_to_tap, .ready = card_ready, .close = tap_close, .up = true, .batches = true};
    tap->loop = loop;
    tap->clock = clock;
    tap->log = log;
    tap->fd = tap->polled = -1;
    tap->poller = (struct loop_poller){.fill = fill, .polled = polled, .opaque = tap};
    loop_add_poller(loop, &tap->poller);
    if (!start(tap, options, why, why_size)) {
        tap_close(&tap->net);
        return NULL;
    }
    return &tap->net;
}
