/*
 * net.h - a network link between a card and the host's side of it: Ethernet frames, both ways.
 *
 * The card holds a struct net and sends into it; frames from the host arrive through the receiver that the
 * card set. A frame begins with the destination's address and has no preamble and no frame check sequence;
 * frames shorter than NET_FRAME_MIN are padded by whoever puts them on a wire. Host backends are
 * host/net_*.c.
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

struct net_receiver {
    bool (*ready)(void *opaque); /* it can take a frame now; NULL: always */
    void (*receive)(void *opaque, const uint8_t *frame, size_t size);
    void (*link_changed)(void *opaque); /* `up` is another now; may be NULL */
    void *opaque;
};

struct net {
    /* Takes the frame, or drops it as a network may; never blocks. */
    void (*send)(struct net *net, const uint8_t *frame, size_t size);
    void (*ready)(struct net *net); /* the receiver is ready again: it may be called at once; may be NULL */
    void (*close)(struct net *net);
    bool up;                      /* the cable is plugged in */
    struct net_receiver receiver; /* set by the card; zero: frames are dropped */
};

static inline void net_send(struct net *net, const uint8_t *frame, size_t size)
{
    if (net && net->up && size >= NET_HEADER_SIZE && size <= NET_FRAME_MAX)
        net->send(net, frame, size);
}

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
