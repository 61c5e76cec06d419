/*
 * net.h - a network link between a card and the host's side of it: Ethernet frames, both ways.
 *
 * The card holds a struct net and sends into it; frames from the host arrive through the receiver that the
 * card set. A frame begins with the destination's address and has no preamble and no frame check sequence;
 * frames shorter than NET_FRAME_MIN are padded by whoever puts them on a wire. Host backends are
 * host/net_*.c.
 *
 * Cards of which drivers expect it may leave checksums and segmentation to whoever sends the frame on.
 *
 * Locking: all calls, both ways, with the machine lock held. receive() is never called from within send(), so
 * that a card that is busy sending isn't called back.
 */
#ifndef CORE_NET_H
#define CORE_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NET_ADDRESS_SIZE 6
#define NET_HEADER_SIZE  14    /* two addresses and a type */
#define NET_FRAME_MIN    60    /* what Ethernet asks for, without the check sequence */
#define NET_FRAME_MAX    16384 /* bytes; larger ones are dropped */
#define NET_LARGE_MAX    65553 /* of what is to become several: the largest IP packet, with a tagged header */

struct net_receiver {
    bool (*ready)(void *opaque); /* it can take a frame now; NULL: always */
    void (*receive)(void *opaque, const uint8_t *frame, size_t size);
    void (*link_changed)(void *opaque); /* `up` is another now; may be NULL */
    void *opaque;
    void (*done)(
        void *opaque); /* for now there is no more; after every frame if not net->batches; may be NULL */
};

/* What of a frame is still to do. */
struct net_offload {
    bool checksum;          /* that of TCP or UDP: of all from `start` on, put in at start + offset, */
    uint16_t start, offset; /* where the pseudo header's sum is */
    uint16_t segment; /* it becomes TCP segments with so many bytes of payload at most; 0: it is one frame */
};

struct net {
    /* Takes the frame, or drops it as a network may; never blocks. */
    void (*send)(struct net *net, const uint8_t *frame, size_t size);
    /* The same for a frame with something to do, of up to NET_LARGE_MAX bytes, which it may change; NULL: it
     * wants ready ones. */
    void (*send_large)(struct net *net, uint8_t *frame, size_t size, const struct net_offload *offload);
    void (*ready)(struct net *net); /* the receiver is ready again: it may be called at once; may be NULL */
    void (*close)(struct net *net);
    bool up;                      /* the cable is plugged in */
    bool batches;                 /* it calls net_received() behind every batch of frames */
    struct net_receiver receiver; /* set by the card; zero: frames are dropped */
};

static inline void net_send(struct net *net, const uint8_t *frame, size_t size)
{
    if (net && net->up && size >= NET_HEADER_SIZE && size <= NET_FRAME_MAX)
        net->send(net, frame, size);
}

/* The same for a frame with something left to do, which is changed. One that isn't what `offload` says is
 * dropped. */
void net_send_large(struct net *net, uint8_t *frame, size_t size, const struct net_offload *offload);

/* Does what a frame that stays one needs. False: it has no such place. */
bool net_put_checksum(uint8_t *frame, size_t size, const struct net_offload *offload);

/* Makes one ready TCP segment of a frame that was to become several. False: it isn't TCP as `offload` says.
 */
bool net_finish_large(uint8_t *frame, size_t size, const struct net_offload *offload);

/* One's complement sum of bytes as 16-bit numbers, the first one the higher half; not folded. And folded. */
uint64_t internet_sum(const uint8_t *data, size_t size);
uint16_t internet_fold(uint64_t sum);

/* The sum of what TCP adds of the IP packet (IPv4 or IPv6, by the first byte): addresses, protocol and its
 * own size. */
uint64_t internet_pseudo_sum(const uint8_t *ip, size_t size);

/* For cards: frames may wait for the receiver. */
static inline void net_ready(struct net *net)
{
    if (net && net->ready)
        net->ready(net);
}

/* For backends: whether the receiver takes a frame, and here it is. */
static inline bool net_can_receive(const struct net *net)
{
    return !net->receiver.ready || net->receiver.ready(net->receiver.opaque);
}

static inline void net_receive(const struct net *net, const uint8_t *frame, size_t size)
{
    if (net->receiver.receive && net->up && size >= NET_HEADER_SIZE && size <= NET_FRAME_MAX)
        net->receiver.receive(net->receiver.opaque, frame, size);
}

/* After a batch of them, if net->batches. */
static inline void net_received(const struct net *net)
{
    if (net->receiver.done)
        net->receiver.done(net->receiver.opaque);
}

/* Plugs the cable in or pulls it out. */
static inline void net_set_link(struct net *net, bool up)
{
    if (net->up == up)
        return;
    net->up = up;
    if (net->receiver.link_changed)
        net->receiver.link_changed(net->receiver.opaque);
}

#endif
