/* virtio_net_control.c - the control queue (virtio 1.2, 5.1.6.5): what the driver wants of the card. */
#include <string.h>

#include "devices/virtio_net_internal.h"

enum { CLASS_RX, CLASS_MAC, CLASS_VLAN, CLASS_ANNOUNCE, CLASS_MQ, CLASS_OFFLOADS };
enum { MAC_TABLE, MAC_ADDRESS };
enum { VLAN_ADD, VLAN_REMOVE };
enum { MQ_PAIRS };
enum { OFFLOADS_SET };
enum { ACK_OK, ACK_ERROR };

#define CONFIG_MAC 0

/* Behind class and command. */
static bool get(const struct virtio_chain *chain, size_t at, void *data, size_t size)
{
    return virtio_read(chain, 2 + at, data, size) == size;
}

void virtio_net_set_mac(struct virtio_net *card, const uint8_t mac[6])
{
    memcpy(card->mac, mac, 6);
    memcpy(card->virtio.config + CONFIG_MAC, mac, 6);
}

static bool set_mode(struct virtio_net *card, const struct virtio_chain *chain, unsigned command)
{
    uint8_t on;

    if (command >= RX_MODES || !get(chain, 0, &on, 1))
        return false;
    card->mode[command] = on;
    return true;
}

/* A number of addresses and they themselves, at *at; `too_many` for the table: then none is kept. */
static bool take_addresses(struct virtio_net *card, const struct virtio_chain *chain, size_t *at,
                           bool *too_many)
{
    uint32_t count;

    if (!get(chain, *at, &count, 4) || count > chain->out_size / 6)
        return false;
    *at += 4;
    *too_many = count > ADDRESSES - card->addresses;
    if (!*too_many) {
        if (!get(chain, *at, card->address[card->addresses], 6 * count))
            return false;
        card->addresses += (uint16_t)count;
    }
    *at += 6 * (size_t)count;
    return *at + 2 <= chain->out_size;
}

static bool set_table(struct virtio_net *card, const struct virtio_chain *chain)
{
    size_t at = 0;

    card->addresses = 0;
    return take_addresses(card, chain, &at, &card->too_many_unicast) &&
           take_addresses(card, chain, &at, &card->too_many_multicast);
}

static bool set_address(struct virtio_net *card, const struct virtio_chain *chain)
{
    uint8_t mac[6];

    if (!get(chain, 0, mac, 6))
        return false;
    virtio_net_set_mac(card, mac);
    return true;
}

static bool set_vlan(struct virtio_net *card, const struct virtio_chain *chain, bool on)
{
    uint16_t id;

    if (!get(chain, 0, &id, 2) || id >= VLANS)
        return false;
    if (on)
        card->vlan[id / 8] |= (uint8_t)(1u << (id & 7));
    else
        card->vlan[id / 8] &= (uint8_t) ~(1u << (id & 7));
    return true;
}

static bool set_pairs(struct virtio_net *card, const struct virtio_chain *chain)
{
    uint16_t pairs;

    if (!virtio_has(&card->virtio, F_MQ) || !get(chain, 0, &pairs, 2) || !pairs ||
        pairs > card->virtio.queues / 2)
        return false;
    card->pairs = pairs;
    return true;
}

static bool set_offloads(struct virtio_net *card, const struct virtio_chain *chain)
{
    uint64_t offloads;

    if (!get(chain, 0, &offloads, 8) || offloads & ~(card->virtio.accepted & GUEST_OFFLOADS))
        return false;
    card->offloads = offloads;
    return true;
}

static bool obey(struct virtio_net *card, const struct virtio_chain *chain)
{
    uint8_t head[2];

    if (virtio_read(chain, 0, head, 2) != 2)
        return false;
    switch (head[0] << 8 | head[1]) {
    case CLASS_MAC << 8 | MAC_TABLE:
        return set_table(card, chain);
    case CLASS_MAC << 8 | MAC_ADDRESS:
        return set_address(card, chain);
    case CLASS_VLAN << 8 | VLAN_ADD:
        return set_vlan(card, chain, true);
    case CLASS_VLAN << 8 | VLAN_REMOVE:
        return set_vlan(card, chain, false);
    case CLASS_MQ << 8 | MQ_PAIRS:
        return set_pairs(card, chain);
    case CLASS_OFFLOADS << 8 | OFFLOADS_SET:
        return set_offloads(card, chain);
    default:
        return head[0] == CLASS_RX && set_mode(card, chain, head[1]);
    }
}

void virtio_net_control(struct virtio_net *card, struct virtio_queue *queue)
{
    struct virtio_chain *chain;

    for (unsigned n = 0; n < VIRTIO_QUEUE_SIZE && (chain = virtio_pop(queue)); n++) {
        uint8_t ack = obey(card, chain) ? ACK_OK : ACK_ERROR;

        if (ack)
            log_at(card->virtio.log, LOG_GUEST, "virtio-net",
                   "a command that there isn't, or that lacks a part");
        if (!virtio_write(chain, 0, &ack, 1)) {
            virtio_broken(&card->virtio, "a command has no place for its result");
            virtio_drop(chain);
            return;
        }
        virtio_push(chain, 1);
    }
    virtio_interrupt(queue);
}
