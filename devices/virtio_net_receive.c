/*
 * virtio_net_receive.c - frames from the host to the driver.
 *
 * A frame first lies in `merge`, where more segments may join it until the network says that for now there is
 * no more. When the driver has no buffers for what lies there it is blocked: one more frame, which the
 * network was already promised room for, lies in `waiting`, and the others wait on the host.
 */
#include <string.h>

#include "devices/ethernet.h"
#include "devices/virtio_net_internal.h"

#define TYPE_VLAN 0x8100u
#define TYPE_IPV4 0x0800u

/* --- whose frame */

static bool in_table(const struct virtio_net *card, const uint8_t *address)
{
    for (unsigned n = 0; n < card->addresses; n++)
        if (!memcmp(card->address[n], address, 6))
            return true;
    return false;
}

static bool passes_vlan(const struct virtio_net *card, const uint8_t *frame, size_t size)
{
    unsigned id;

    if (!virtio_has(&card->virtio, F_CTRL_VLAN) || size < NET_HEADER_SIZE + 4 ||
        (frame[12] << 8 | frame[13]) != TYPE_VLAN)
        return true;
    id = (frame[14] & 15u) << 8 | frame[15];
    return card->vlan[id / 8] >> (id & 7) & 1;
}

static bool is_wanted(const struct virtio_net *card, const uint8_t *frame, size_t size)
{
    const bool *mode = card->mode;

    if (!passes_vlan(card, frame, size))
        return false;
    if (mode[RX_PROMISCUOUS])
        return true;
    if (ethernet_is_broadcast(frame))
        return !mode[RX_NO_BROADCAST];
    if (frame[0] & 1)
        return !mode[RX_NO_MULTICAST] &&
               (mode[RX_ALL_MULTICAST] || card->too_many_multicast || in_table(card, frame));
    return !mode[RX_NO_UNICAST] && (mode[RX_ALL_UNICAST] || card->too_many_unicast ||
                                    !memcmp(card->mac, frame, 6) || in_table(card, frame));
}

unsigned virtio_net_flow(const uint8_t *frame, size_t size)
{
    const uint8_t *ip = frame + NET_HEADER_SIZE;
    unsigned hash = 0;

    if (size < NET_HEADER_SIZE + 24 || (frame[12] << 8 | frame[13]) != TYPE_IPV4)
        return 0;
    for (unsigned n = 12; n < 20; n++)
        hash += ip[n];
    if (ip[0] == 0x45)
        hash += ip[20] * 3u + ip[21] + ip[22] * 3u + ip[23];
    return hash % FLOWS;
}

/* --- into the driver's buffers */

static struct virtio_queue *queue_for(struct virtio_net *card, const uint8_t *frame, size_t size)
{
    unsigned pair = card->pairs > 1 ? card->flow_pair[virtio_net_flow(frame, size)] : 0;

    if (pair >= card->pairs || !card->virtio.queue[2 * pair].enabled)
        pair = 0;
    return &card->virtio.queue[2 * pair];
}

static void interrupt(struct virtio_net *card)
{
    if (card->told)
        virtio_interrupt(card->told);
    card->told = NULL;
}

/* As many chains as `size` bytes take, at most `most`. 0: they aren't there; -1: they never will be enough.
 */
static int take_chains(struct virtio_queue *queue, size_t size, unsigned most, struct virtio_chain **chain)
{
    unsigned count = 0;
    size_t room = 0;
    int result;

    while (room < size && count < most && (chain[count] = virtio_pop(queue)))
        room += chain[count++]->in_size;
    if (room >= size)
        return (int)count;
    result = count == most ? -1 : 0;
    while (count)
        virtio_unpop(chain[--count]);
    return result;
}

/* What is in `merge`, behind its header, unless it never fits. False: there is no room yet. */
static bool store(struct virtio_net *card)
{
    struct virtio_net_merge *merge = &card->merge;
    struct virtio_queue *queue = queue_for(card, merge->data, merge->size);
    struct virtio_chain *chain[VIRTIO_QUEUE_SIZE];
    unsigned header_size = virtio_net_header_size(card);
    unsigned most = virtio_has(&card->virtio, F_MRG_RXBUF) ? queue->size : 1;

    if (card->told && card->told != queue)
        interrupt(card);
    int count = take_chains(queue, header_size + merge->size, most, chain);
    if (count < 0)
        log_at(card->virtio.log, LOG_GUEST, "virtio-net", "buffers too small for a frame of %zu bytes",
               merge->size);
    if (count <= 0)
        return count;
    struct virtio_net_header header = virtio_net_merge_finish(merge);
    header.buffers = (uint16_t)count;
    size_t done = 0, skip = header_size;
    if (virtio_write(chain[0], 0, &header, header_size) < header_size)
        virtio_broken(&card->virtio, "a buffer smaller than a frame's header");
    for (int n = 0; n < count; n++) {
        size_t part = virtio_write(chain[n], skip, merge->data + done, merge->size - done);

        virtio_fill(chain[n], skip + part);
        done += part;
        skip = 0;
    }
    virtio_publish(queue);
    card->told = queue;
    return true;
}

/* `merge` is empty afterwards, or blocked. */
static void flush(struct virtio_net *card)
{
    if (!card->merge.size)
        return;
    card->blocked = virtio_ready(&card->virtio) && !store(card);
    if (!card->blocked)
        card->merge.size = 0;
}

static void start(struct virtio_net *card, const uint8_t *frame, size_t size)
{
    bool check = card->offloads & F_GUEST_CSUM;

    virtio_net_merge_start(&card->merge, frame, size, check,
                           check && card->offloads & F_GUEST_TSO4 && card->net->batches);
}

bool virtio_net_ready(void *opaque)
{
    struct virtio_net *card = opaque;

    if (!virtio_ready(&card->virtio) || !card->virtio.queue[0].enabled)
        return true; /* nobody is there to receive: frames are dropped */
    return !card->blocked;
}

void virtio_net_receive(void *opaque, const uint8_t *frame, size_t size)
{
    struct virtio_net *card = opaque;

    if (!virtio_ready(&card->virtio) || !card->virtio.queue[0].enabled || !is_wanted(card, frame, size))
        return;
    if (card->blocked) {
        log_at(card->virtio.log, LOG_DEBUG, "virtio-net", "a frame is lost");
        return;
    }
    if (card->merge.size) {
        if (virtio_net_merge_add(&card->merge, frame, size))
            return;
        flush(card);
        if (card->blocked) {
            memcpy(card->waiting, frame, size);
            card->waiting_size = size;
            return;
        }
    }
    start(card, frame, size);
    if (!card->net->batches)
        virtio_net_received(card);
}

void virtio_net_received(void *opaque)
{
    struct virtio_net *card = opaque;

    if (!card->blocked)
        flush(card);
    interrupt(card);
}

void virtio_net_receive_more(struct virtio_net *card)
{
    if (card->blocked) {
        flush(card);
        if (!card->blocked && card->waiting_size) {
            start(card, card->waiting, card->waiting_size);
            card->waiting_size = 0;
            flush(card);
        }
        interrupt(card);
    }
    if (!card->blocked)
        net_ready(card->net);
}

void virtio_net_forget(struct virtio_net *card)
{
    card->merge.size = card->waiting_size = 0;
    card->blocked = false;
    card->told = NULL;
}
