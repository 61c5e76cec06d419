/*
 * virtio_net.c - the network device (virtio 1.2, 5.1). The other files are named in virtio_net_internal.h.
 *
 * Queues come in pairs, one to receive and one to send; the control queue is the last one, or the third where
 * the driver doesn't know of more than one pair. Frames that the driver left checksums or segmentation to do
 * are handed on as they are; whoever can't do that is given ready ones. Not here: UDP's segmentation, hashes
 * for the driver (RSS), announcing after a migration.
 */
#include <stdlib.h>
#include <string.h>

#include "devices/virtio_net_internal.h"

#define QUEUE_SIZE 256u

/* Configuration space (5.1.4). */
#define CONFIG_STATUS 6
#define CONFIG_PAIRS  8
#define CONFIG_SIZE   10

#define STATUS_LINK_UP 1u

/* A turn's share, and how long until the next. */
#define TURN_FRAMES QUEUE_SIZE
#define TURN_PAUSE  50000u /* ns */

/* --- sending */

/* What the header says is left to do. False: that makes no sense. */
static bool read_offload(const struct virtio_net_header *header, size_t size, struct net_offload *offload)
{
    unsigned gso = header->gso & ~GSO_ECN;

    *offload = (struct net_offload){
        .checksum = header->flags & HEADER_NEEDS_CHECKSUM, .start = header->start, .offset = header->offset};
    if (gso == GSO_TCP4 || gso == GSO_TCP6)
        offload->segment = header->segment;
    if (offload->checksum && (size_t)header->start + header->offset + 2 > size)
        return false;
    return gso == GSO_NONE || (offload->segment && offload->checksum);
}

/* A pair that sends for a connection receives for it. */
static void learn(struct virtio_net *card, unsigned pair, size_t size)
{
    if (card->pairs > 1)
        card->flow_pair[virtio_net_flow(card->frame, size)] = (uint8_t)pair;
}

static void send_chain(struct virtio_net *card, const struct virtio_chain *chain, unsigned pair)
{
    unsigned header_size = virtio_net_header_size(card);
    struct virtio_net_header header = {0};
    struct net_offload offload;
    size_t size = chain->out_size - header_size;

    if (chain->out_size < header_size + NET_HEADER_SIZE || size > NET_LARGE_MAX) {
        log_at(card->virtio.log, LOG_GUEST, "virtio-net", "a frame of %zu bytes to send, with its header",
               chain->out_size);
        return;
    }
    virtio_read(chain, 0, &header, header_size);
    virtio_read(chain, header_size, card->frame, size);
    if (!read_offload(&header, size, &offload)) {
        log_at(card->virtio.log, LOG_GUEST, "virtio-net", "a frame whose header makes no sense");
        return;
    }
    learn(card, pair, size);
    if (offload.checksum)
        net_send_large(card->net, card->frame, size, &offload);
    else
        net_send(card->net, card->frame, size);
}

static void transmit(struct virtio_net *card, unsigned pair)
{
    struct virtio_queue *queue = &card->virtio.queue[2 * pair + 1];
    struct virtio_chain *chain = NULL;

    for (unsigned n = 0; n < TURN_FRAMES && (chain = virtio_pop(queue)); n++) {
        send_chain(card, chain, pair);
        virtio_push(chain, 0);
    }
    virtio_interrupt(queue);
    if (chain)
        timer_arm(&card->transmit, clock_now(card->clock) + TURN_PAUSE);
}

static void transmit_more(void *opaque)
{
    struct virtio_net *card = opaque;

    for (unsigned pair = 0; pair < card->virtio.queues / 2; pair++)
        if (virtio_ready(&card->virtio) && card->virtio.queue[2 * pair + 1].enabled)
            transmit(card, pair);
}

/* --- of struct virtio_class */

static unsigned control_queue(const struct virtio_net *card)
{
    return virtio_has(&card->virtio, F_MQ) ? card->virtio.queues - 1 : 2;
}

static void notified(void *device, unsigned queue)
{
    struct virtio_net *card = device;

    if (queue == control_queue(card))
        virtio_net_control(card, &card->virtio.queue[queue]);
    else if (queue & 1)
        transmit(card, queue / 2);
    else
        virtio_net_receive_more(card);
}

static void reset_card(void *device)
{
    struct virtio_net *card = device;

    timer_disarm(&card->transmit);
    memset(card->mode, 0, sizeof(card->mode));
    card->mode[RX_PROMISCUOUS] = true; /* drivers without a control queue expect all */
    memset(card->vlan, 0, sizeof(card->vlan));
    memset(card->flow_pair, 0, sizeof(card->flow_pair));
    card->addresses = 0;
    card->too_many_unicast = card->too_many_multicast = false;
    card->offloads = 0;
    card->pairs = 1;
    virtio_net_set_mac(card, card->given_mac);
    virtio_net_forget(card);
}

static void features_set(void *device)
{
    struct virtio_net *card = device;

    card->offloads = card->virtio.accepted & GUEST_OFFLOADS;
}

/* What waited for nobody is lost now, or comes. */
static void started(void *device)
{
    net_ready(((struct virtio_net *)device)->net);
}

static const struct virtio_class class = {
    .name = "virtio-net",
    .id = VIRTIO_ID_NET,
    .pci_class = 0x020000,
    .notified = notified,
    .reset = reset_card,
    .features_set = features_set,
    .started = started,
};

/* --- the cable */

static void set_status(struct virtio_net *card)
{
    virtio_config_set(&card->virtio, CONFIG_STATUS, card->net && card->net->up ? STATUS_LINK_UP : 0, 2);
}

static void link_changed(void *opaque)
{
    struct virtio_net *card = opaque;

    set_status(card);
    virtio_config_changed(&card->virtio);
}

/* --- state and construction */

static const struct field virtio_net_fields[] = {
    FIELD_STRUCT(struct virtio_net, virtio, virtio_fields),
    FIELD_ARRAY(struct virtio_net, mac),
    FIELD_ARRAY(struct virtio_net, mode),
    {"address", offsetof(struct virtio_net, address), 1, sizeof(((struct virtio_net *)0)->address), NULL,
     false},
    FIELD(struct virtio_net, addresses),
    FIELD(struct virtio_net, too_many_unicast),
    FIELD(struct virtio_net, too_many_multicast),
    FIELD_ARRAY(struct virtio_net, vlan),
    FIELD(struct virtio_net, offloads),
    FIELD(struct virtio_net, pairs),
    FIELD_ARRAY(struct virtio_net, flow_pair),
    FIELD_END,
};

static void virtio_net_reset(void *device)
{
    struct virtio_net *card = device;

    virtio_reset(&card->virtio);
    set_status(card);
}

static void virtio_net_loaded(void *device)
{
    struct virtio_net *card = device;

    virtio_net_forget(card);
    if (card->addresses > ADDRESSES)
        card->addresses = 0;
    if (!card->pairs || card->pairs > card->virtio.queues / 2)
        card->pairs = 1;
    virtio_loaded(&card->virtio);
    set_status(card);
    timer_arm(&card->transmit, clock_now(card->clock)); /* there may be something to send */
}

static void virtio_net_free(void *device)
{
    struct virtio_net *card = device;

    if (!card)
        return;
    if (card->net && card->net->receiver.opaque == card)
        card->net->receiver = (struct net_receiver){0};
    timer_disarm(&card->transmit);
    virtio_free(&card->virtio);
    free(card);
}

const struct device_class virtio_net_class = {
    .name = "virtio-net",
    .reset = virtio_net_reset,
    .loaded = virtio_net_loaded,
    .free = virtio_net_free,
    .state = virtio_net_fields,
};

struct virtio_net *virtio_net_new(const struct virtio_net_wires *wires)
{
    uint64_t features = F_CSUM | F_MAC | F_HOST_TSO4 | F_HOST_TSO6 | F_HOST_ECN | F_MRG_RXBUF | F_STATUS |
                        F_CTRL_VQ | F_CTRL_RX | F_CTRL_VLAN | F_CTRL_RX_EXTRA | F_CTRL_MAC_ADDR |
                        F_CTRL_GUEST_OFFLOADS | GUEST_OFFLOADS;
    struct virtio_net *card = calloc(1, sizeof(*card));

    if (!card)
        return NULL;
    card->clock = wires->clock;
    card->net = wires->net;
    memcpy(card->given_mac, wires->mac, 6);
    timer_init(&card->transmit, wires->clock, "virtio-net", transmit_more, card);
    virtio_init(&card->virtio, &class, card, features | (wires->pairs > 1 ? F_MQ : 0), CONFIG_SIZE);
    for (unsigned n = 0; n < 2 * wires->pairs + 1; n++)
        virtio_add_queue(&card->virtio, QUEUE_SIZE);
    virtio_config_set(&card->virtio, CONFIG_PAIRS, wires->pairs, 2);
    if (!virtio_pci_plug(&card->virtio, &wires->bus)) {
        virtio_net_free(card);
        return NULL;
    }
    virtio_net_reset(card);
    if (wires->net)
        wires->net->receiver = (struct net_receiver){.ready = virtio_net_ready,
                                                     .receive = virtio_net_receive,
                                                     .link_changed = link_changed,
                                                     .opaque = card,
                                                     .done = virtio_net_received};
    return card;
}
