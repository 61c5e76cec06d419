/*
 * net_dump.c - frames into a file, in the format of libpcap's savefiles; see net_dump.h.
 */
#include "host/net_dump.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/log.h"

/* The file's header and a record's, in this host's byte order, which the magic number tells. */
#define PCAP_MAGIC_NS 0xA1B23C4Du /* times with nanoseconds */
#define PCAP_ETHERNET 1u

struct pcap_file {
    uint32_t magic;
    uint16_t major, minor;
    uint32_t zone, accuracy, longest, link;
};

struct pcap_record {
    uint32_t seconds, nanoseconds, stored, size;
};

struct net_dump {
    struct net net;
    struct net *inner;
    struct clock *clock;
    struct log *log;
    int fd; /* -1: it couldn't be written */
};

static void record(struct net_dump *dump, const uint8_t *frame, size_t size)
{
    uint64_t now = clock_wall(dump->clock);
    struct pcap_record head = {(uint32_t)(now / NS_PER_SEC), (uint32_t)(now % NS_PER_SEC), (uint32_t)size,
                               (uint32_t)size};
    struct iovec parts[2] = {{&head, sizeof(head)}, {(void *)(uintptr_t)frame, size}};

    if (dump->fd < 0)
        return;
    ssize_t written = writev(dump->fd, parts, 2);
    if (written == (ssize_t)(sizeof(head) + size))
        return;
    log_at(dump->log, LOG_WARN, "net", "the frames are no longer written to the dump: %s",
           written < 0 ? strerror(errno) : "no room is left");
    close(dump->fd);
    dump->fd = -1;
}

static void dump_send(struct net *net, const uint8_t *frame, size_t size)
{
    struct net_dump *dump = (struct net_dump *)net;

    record(dump, frame, size);
    net_send(dump->inner, frame, size);
}

/* Of what the network cuts, the file has the whole, as captures on hosts that leave it to their cards. */
static void dump_send_large(struct net *net, uint8_t *frame, size_t size, const struct net_offload *offload)
{
    struct net_dump *dump = (struct net_dump *)net;

    record(dump, frame, size);
    net_send_large(dump->inner, frame, size, offload);
}

static void dump_card_ready(struct net *net)
{
    net_ready(((struct net_dump *)net)->inner);
}

static bool dump_ready(void *opaque)
{
    return net_can_receive(&((struct net_dump *)opaque)->net);
}

static void dump_receive(void *opaque, const uint8_t *frame, size_t size)
{
    struct net_dump *dump = opaque;

    record(dump, frame, size);
    net_receive(&dump->net, frame, size);
}

static void dump_done(void *opaque)
{
    net_received(&((struct net_dump *)opaque)->net);
}

static void dump_link_changed(void *opaque)
{
    struct net_dump *dump = opaque;

    net_set_link(&dump->net, dump->inner->up);
}

static void dump_close(struct net *net)
{
    struct net_dump *dump = (struct net_dump *)net;

    dump->inner->close(dump->inner);
    if (dump->fd >= 0)
        close(dump->fd);
    free(dump);
}

static bool write_header(int fd)
{
    const struct pcap_file head = {PCAP_MAGIC_NS, 2, 4, 0, 0, NET_LARGE_MAX, PCAP_ETHERNET};

    return write(fd, &head, sizeof(head)) == (ssize_t)sizeof(head);
}

struct net *net_dump_open(struct net *net, const char *path, struct clock *clock, struct log *log, char *why,
                          size_t why_size)
{
    struct net_dump *dump = malloc(sizeof(*dump));

    if (!dump) {
        snprintf(why, why_size, "out of memory");
        return NULL;
    }
    *dump = (struct net_dump){
        .net = {.send = dump_send,
                .send_large = dump_send_large,
                .ready = dump_card_ready,
                .close = dump_close,
                .up = net->up},
        .inner = net,
        .clock = clock,
        .log = log,
        .fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0666),
    };
    if (dump->fd < 0 || !write_header(dump->fd)) {
        snprintf(why, why_size, "dump=%.200s: %s", path, strerror(errno));
        if (dump->fd >= 0)
            close(dump->fd);
        free(dump);
        return NULL;
    }
    dump->net.batches = net->batches;
    net->receiver = (struct net_receiver){.ready = dump_ready,
                                          .receive = dump_receive,
                                          .link_changed = dump_link_changed,
                                          .opaque = dump,
                                          .done = dump_done};
    return &dump->net;
}
