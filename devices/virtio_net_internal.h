/*
 * virtio_net_internal.h - what the network card's files share. For devices/virtio_net*.c alone.
 *
 * virtio_net.c: the card, sending. virtio_net_control.c: the control queue. virtio_net_receive.c: which
 * frames are for this card, and their way into the driver's buffers. virtio_net_merge.c: segments put
 * together.
 */
#ifndef DEVICES_VIRTIO_NET_INTERNAL_H
#define DEVICES_VIRTIO_NET_INTERNAL_H

#include "core/clock.h"
#include "core/log.h"
#include "core/net.h"
#include "devices/virtio.h"
#include "devices/virtio_net.h"

#define F_CSUM                (1ull << 0)
#define F_GUEST_CSUM          (1ull << 1)
#define F_CTRL_GUEST_OFFLOADS (1ull << 2)
#define F_MAC                 (1ull << 5)
#define F_GUEST_TSO4          (1ull << 7)
#define F_GUEST_TSO6          (1ull << 8)
#define F_GUEST_ECN           (1ull << 9)
#define F_HOST_TSO4           (1ull << 11)
#define F_HOST_TSO6           (1ull << 12)
#define F_HOST_ECN            (1ull << 13)
#define F_MRG_RXBUF           (1ull << 15)
#define F_STATUS              (1ull << 16)
#define F_CTRL_VQ             (1ull << 17)
#define F_CTRL_RX             (1ull << 18)
#define F_CTRL_VLAN           (1ull << 19)
#define F_CTRL_RX_EXTRA       (1ull << 20)
#define F_MQ                  (1ull << 22)
#define F_CTRL_MAC_ADDR       (1ull << 23)

#define GUEST_OFFLOADS (F_GUEST_CSUM | F_GUEST_TSO4 | F_GUEST_TSO6 | F_GUEST_ECN)

/* The header before each frame (5.1.6), little-endian as the host is. */
struct virtio_net_header {
    uint8_t flags, gso;
    uint16_t header_size, segment, start, offset, buffers;
};

#define HEADER_SIZE        12u
#define LEGACY_HEADER_SIZE 10u /* without `buffers` */

#define HEADER_NEEDS_CHECKSUM 1u
#define HEADER_DATA_VALID     2u

enum { GSO_NONE = 0, GSO_TCP4 = 1, GSO_TCP6 = 4, GSO_ECN = 0x80 };

#define ADDRESSES 64u /* of the driver's table */
#define VLANS     4096u
#define FLOWS     256u /* that are told apart for their queue */

/* Which frames the driver wants (5.1.6.5.1 and 5.1.6.5.2), in the order of the control queue's commands. */
enum {
    RX_PROMISCUOUS,
    RX_ALL_MULTICAST,
    RX_ALL_UNICAST,
    RX_NO_MULTICAST,
    RX_NO_UNICAST,
    RX_NO_BROADCAST,
    RX_MODES
};

/* A frame on its way to the driver, and maybe more segments of its flow behind it. */
struct virtio_net_merge {
    size_t size; /* 0: there is none */
    size_t header;
    unsigned segments; /* 0: it isn't TCP that can be put together */
    uint16_t segment;  /* payload of all but the last */
    uint32_t next;     /* sequence number */
    bool closed;       /* nothing goes behind it any more */
    bool valid;        /* its checksums were looked at */
    uint8_t data[NET_LARGE_MAX];
};

struct virtio_net {
    struct virtio virtio;
    struct clock *clock;
    struct net *net;
    struct timer transmit; /* there is more in queues */

    uint8_t mac[6];
    uint8_t given_mac[6]; /* not state */
    bool mode[RX_MODES];
    uint8_t address[ADDRESSES][6];
    uint16_t addresses;
    bool too_many_unicast, too_many_multicast; /* for the table: all pass */
    uint8_t vlan[VLANS / 8];
    uint64_t offloads; /* F_GUEST_... that the driver wants now */
    uint16_t pairs;    /* in use */
    uint8_t flow_pair[FLOWS];

    /* Frames from the host; not state: a network may lose them. */
    struct virtio_net_merge merge;
    struct virtio_queue *told;      /* got frames and isn't interrupted yet */
    bool blocked;                   /* there was no room for what is in `merge`; */
    uint8_t waiting[NET_FRAME_MAX]; /* this came behind it, */
    size_t waiting_size;            /* 0: nothing did */

    uint8_t frame[NET_LARGE_MAX]; /* that is being sent */
};

static inline unsigned virtio_net_header_size(const struct virtio_net *card)
{
    return virtio_has(&card->virtio, F_MRG_RXBUF | VIRTIO_F_VERSION_1) ? HEADER_SIZE : LEGACY_HEADER_SIZE;
}

/* virtio_net_control.c: works through the control queue. And what the driver asked for at the start. */
void virtio_net_control(struct virtio_net *card, struct virtio_queue *queue);
void virtio_net_set_mac(struct virtio_net *card, const uint8_t mac[6]);

/* virtio_net_receive.c: for a net_receiver. There are buffers again. Forgets all that waits. */
bool virtio_net_ready(void *card);
void virtio_net_receive(void *card, const uint8_t *frame, size_t size);
void virtio_net_received(void *card);
void virtio_net_receive_more(struct virtio_net *card);
void virtio_net_forget(struct virtio_net *card);
/* A number below FLOWS, the same for both directions of a connection. */
unsigned virtio_net_flow(const uint8_t *frame, size_t size);

/*
 * virtio_net_merge.c: begins with a frame; `check` its sums, `merge` it with others. Puts another one behind
 * it, false: it can't go there. And at the end, the header for all of it, without `buffers`.
 */
void virtio_net_merge_start(struct virtio_net_merge *merge, const uint8_t *frame, size_t size, bool check,
                            bool join);
bool virtio_net_merge_add(struct virtio_net_merge *merge, const uint8_t *frame, size_t size);
struct virtio_net_header virtio_net_merge_finish(struct virtio_net_merge *merge);

#endif
