/*
 * rtl8139_transmit.c - frames to send: from the four slots, each with an address and a size (data
 * sheet, 5.4), or from rings of descriptors (9.1), with checksums and segmentation.
 *
 * A turn works through so many descriptors at most, and leaves the rest to a timer.
 */
#include <string.h>

#include "devices/rtl8139_internal.h"

/* Commands in a descriptor's first words. */
#define CMD_LGSEN  0x08000000u
#define CMD_IPCS   0x00040000u
#define CMD_UDPCS  0x00020000u
#define CMD_TCPCS  0x00010000u
#define CMD_MSS(c) ((c) >> 16 & 0x7FF)
#define TAGC       0x00020000u
#define KEPT       (DESC_EOR | DESC_FS | DESC_LS)

#define SLOT_LONGEST 1792u

#define TURN_DESCRIPTORS 256u
#define TURN_PAUSE       50000u /* ns until the next */

static uint8_t *frame_of(struct rtl8139 *card)
{
    return card->frame + VLAN_TAG_SIZE;
}

static uint32_t get16(const uint8_t *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

static void put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* Short ones are padded. */
static void send_frame(struct rtl8139 *card, uint8_t *frame, size_t size)
{
    if (size < NET_FRAME_MIN) {
        memset(frame + size, 0, NET_FRAME_MIN - size);
        size = NET_FRAME_MIN;
    }
    card->tally.tx_ok++;
    if ((rtl_get(card, TCR, 4) & TCR_LBK) == TCR_LBK)
        rtl8139_receive(card, frame, size);
    else
        net_send(card->wires.net, frame, size);
}

/* --- slots */

static bool may_send(const struct rtl8139 *card)
{
    return card->reg[CR] & CR_TE && rtl_may_master(card) && !card->busy;
}

void rtl8139_send_slot(struct rtl8139 *card, unsigned slot)
{
    uint32_t tsd = rtl_get(card, TSD(slot), 4), size = tsd & TSD_SIZE;

    if (tsd & TSD_OWN || !may_send(card))
        return;
    if (size > SLOT_LONGEST || size < NET_HEADER_SIZE) {
        log_at(card->wires.log, LOG_GUEST, "rtl8139", "a frame of %u bytes to send", size);
        card->tally.tx_aborted++;
        rtl_set(card, TSD(slot), tsd | TSD_OWN | TSD_TABT, 4);
        rtl8139_interrupt(card, INT_TER);
        return;
    }
    card->busy = true;
    bus_read_block(card->wires.memory, rtl_get(card, TSAD(slot), 4), frame_of(card), size);
    card->busy = false;
    send_frame(card, frame_of(card), size);
    rtl_set(card, TSD(slot), tsd | TSD_OWN | TSD_TOK, 4);
    rtl8139_interrupt(card, INT_TOK);
}

/* --- descriptors */

/* Puts in the sums that the driver asked for, of IPv4. The pseudo header's is the controller's to make. */
static void add_checksums(struct rtl8139 *card, uint32_t command)
{
    uint8_t *ip = frame_of(card) + NET_HEADER_SIZE;
    size_t header = (ip[0] & 15) * 4u, start = NET_HEADER_SIZE + header, size = card->tx_size;
    unsigned protocol = command & CMD_TCPCS ? 6 : 17;
    struct net_offload offload = {true, (uint16_t)start, protocol == 6 ? 16 : 6, 0};

    if (size < start + 8 || header < 20 || get16(ip - 2) != 0x0800 || ip[0] >> 4 != 4)
        return;
    if (command & CMD_IPCS) {
        put16(ip + 10, 0);
        put16(ip + 10, (uint16_t)~internet_fold(internet_sum(ip, header)));
    }
    if (!(command & (CMD_TCPCS | CMD_UDPCS)) || ip[9] != protocol || get16(ip + 2) < header + 8 ||
        get16(ip + 2) > size - NET_HEADER_SIZE || start + offload.offset + 2 > size)
        return;
    size = NET_HEADER_SIZE + get16(ip + 2);
    put16(frame_of(card) + start + offload.offset,
          internet_fold(internet_sum(ip + 12, 8) + protocol + (size - start)));
    net_put_checksum(frame_of(card), size, &offload);
}

/* Large send: the network cuts it. */
static void send_large(struct rtl8139 *card)
{
    uint8_t *frame = frame_of(card);
    struct net_offload offload = {true, 0, 16, (uint16_t)CMD_MSS(card->tx_first)};

    if (card->tx_size < NET_HEADER_SIZE + 20)
        return;
    offload.start = (uint16_t)(NET_HEADER_SIZE + (frame[NET_HEADER_SIZE] & 15) * 4u);
    card->tally.tx_ok++;
    net_send_large(card->wires.net, frame, card->tx_size, &offload);
}

static void send_tagged(struct rtl8139 *card, uint32_t tag)
{
    uint8_t *frame = card->frame;

    memmove(frame, frame + VLAN_TAG_SIZE, 2 * NET_ADDRESS_SIZE);
    put16(frame + 12, 0x8100);
    frame[14] = (uint8_t)tag; /* as it lies in memory, so it is sent */
    frame[15] = (uint8_t)(tag >> 8);
    send_frame(card, frame, card->tx_size + VLAN_TAG_SIZE);
}

static void end_frame(struct rtl8139 *card, uint32_t tag)
{
    if (card->tx_dropped || card->tx_size < NET_HEADER_SIZE) {
        log_at(card->wires.log, LOG_GUEST, "rtl8139", "a frame too large or too small to send");
        card->tally.tx_aborted++;
    } else if (card->tx_first & CMD_LGSEN) {
        send_large(card);
    } else {
        add_checksums(card, card->tx_first);
        if (card->tx_size > NET_FRAME_MAX - VLAN_TAG_SIZE)
            card->tally.tx_aborted++;
        else if (tag & TAGC)
            send_tagged(card, tag);
        else
            send_frame(card, frame_of(card), card->tx_size);
    }
    card->tx_started = false;
}

static void take_descriptor(struct rtl8139 *card, const uint32_t word[4])
{
    uint64_t address = (uint64_t)word[3] << 32 | word[2];
    uint32_t size = word[0] & 0xFFFF;

    if (word[0] & DESC_FS || !card->tx_started) {
        card->tx_started = true;
        card->tx_dropped = !(word[0] & DESC_FS);
        card->tx_size = 0;
        card->tx_first = word[0];
    }
    if (size > NET_LARGE_MAX - card->tx_size)
        card->tx_dropped = true;
    if (!card->tx_dropped) {
        bus_read_block(card->wires.memory, address, frame_of(card) + card->tx_size, size);
        card->tx_size += size;
    }
    if (word[0] & DESC_LS)
        end_frame(card, word[1]);
}

/* One of the two rings; false: there is more. */
static bool send_from(struct rtl8139 *card, unsigned base, uint8_t *next)
{
    uint32_t causes = 0;
    unsigned n;

    for (n = 0; n < TURN_DESCRIPTORS; n++) {
        uint64_t at = (rtl_get64(card, base) & ~255ull) + *next * DESC_SIZE;
        uint32_t word[4];

        bus_read_block(card->wires.memory, at, word, sizeof(word));
        if (!(word[0] & DESC_OWN)) {
            causes |= INT_TDU;
            break;
        }
        take_descriptor(card, word);
        bus_write(card->wires.memory, at, word[0] & KEPT, 4);
        if (word[0] & DESC_LS)
            causes |= INT_TOK;
        *next = word[0] & DESC_EOR ? 0 : (uint8_t)((*next + 1) % RING_MAX);
    }
    rtl8139_interrupt(card, causes);
    return n < TURN_DESCRIPTORS;
}

void rtl8139_send_ring(struct rtl8139 *card)
{
    uint8_t *poll = &card->reg[TPPOLL];
    bool high, normal;

    if (!(rtl_get(card, CPCR, 2) & CPCR_TX) || !may_send(card))
        return;
    card->busy = true;
    high = !(*poll & TPPOLL_HPQ) || send_from(card, THPDS, &card->tx_next[1]);
    normal = !(*poll & TPPOLL_NPQ) || send_from(card, TNPDS, &card->tx_next[0]);
    card->busy = false;
    *poll &= (uint8_t) ~((high ? TPPOLL_HPQ : 0) | (normal ? TPPOLL_NPQ : 0));
    if (!high || !normal)
        timer_arm(&card->transmit, clock_now(card->wires.clock) + TURN_PAUSE);
}

void rtl8139_send_all(struct rtl8139 *card)
{
    if (rtl_get(card, CPCR, 2) & CPCR_TX)
        rtl8139_send_ring(card);
    else
        for (unsigned slot = 0; slot < 4; slot++)
            rtl8139_send_slot(card, slot);
}
