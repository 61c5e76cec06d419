/*
 * rtl8139_receive.c - received frames: into one ring of bytes, each behind a header of four (data
 * sheet, 5.6), or into the buffers of descriptors (9.2).
 *
 * Software hands descriptors back without telling the controller, so while frames wait for one it looks again
 * every now and then. Drivers acknowledge what came while they emptied the ring and may leave some of it
 * there: on a real network the next frame's interrupt reminds them; where the next ones wait for this very
 * ring, one of our own does.
 */
#include <string.h>

#include "devices/rtl8139_internal.h"

/* Status in a ring's header, and in a descriptor 16 bits further left but for those that differ. */
#define STATUS_ROK 0x0001u
#define STATUS_BAR 0x2000u
#define STATUS_PAM 0x4000u
#define STATUS_MAR 0x8000u

#define DESC_MAR  0x04000000u
#define DESC_PAM  0x02000000u
#define DESC_BAR  0x01000000u
#define DESC_TCP  0x00010000u /* protocol: TCP over IP, */
#define DESC_UDP  0x00020000u
#define DESC_IP   0x00030000u
#define DESC_IPF  0x00008000u /* and whose sum is wrong */
#define DESC_UDPF 0x00004000u
#define DESC_TCPF 0x00002000u
#define DESC_ROOM 0x00001FFFu
#define TAVA      0x00010000u

#define RING_LONGEST 1788u /* without the check sequence */
#define DESC_LONGEST 0x1F00u
#define POLL_PAUSE   100000u  /* ns */
#define FULL_PAUSE   1000000u /* when there was nothing the last time */

static bool uses_descriptors(const struct rtl8139 *card)
{
    return rtl_get(card, CPCR, 2) & CPCR_RX;
}

static bool is_enabled(const struct rtl8139 *card)
{
    return card->reg[CR] & CR_RE && rtl_may_master(card);
}

/* --- whose frame */

/* The header's status for it; 0: it isn't wanted. */
static uint32_t judge(const struct rtl8139 *card, const uint8_t *frame)
{
    uint32_t rcr = rtl_get(card, RCR, 4);

    if (ethernet_is_broadcast(frame))
        return rcr & RCR_AB ? STATUS_ROK | STATUS_BAR : 0;
    if (frame[0] & 1)
        return rcr & RCR_AM && ethernet_in_table(card->reg + MAR, frame) ? STATUS_ROK | STATUS_MAR : 0;
    if (!memcmp(card->reg + IDR, frame, NET_ADDRESS_SIZE))
        return rcr & (RCR_APM | RCR_AAP) ? STATUS_ROK | STATUS_PAM : 0;
    return rcr & RCR_AAP ? STATUS_ROK : 0;
}

static void count_frame(struct rtl8139 *card, uint32_t status)
{
    card->tally.rx_ok++;
    card->tally.rx_own += !!(status & STATUS_PAM);
    card->tally.rx_broadcast += !!(status & STATUS_BAR);
    card->tally.rx_multicast += !!(status & STATUS_MAR);
}

static void miss(struct rtl8139 *card)
{
    uint32_t missed = rtl_get(card, MPC, 4) & 0xFFFFFF;

    if (missed < 0xFFFFFF)
        rtl_set(card, MPC, missed + 1, 3);
    card->tally.missed++;
    rtl8139_interrupt(card, INT_RXOVW);
}

/* --- the ring */

static uint32_t ring_size(const struct rtl8139 *card)
{
    return 8192u << RCR_RBLEN(rtl_get(card, RCR, 4));
}

/* Software reads from 16 bytes behind CAPR on. */
static uint32_t ring_free(const struct rtl8139 *card)
{
    uint32_t size = ring_size(card);
    uint32_t left = (rtl_get(card, CAPR, 2) + 16 - rtl_get(card, CBR, 2)) & (size - 1);

    return left ? left : size;
}

bool rtl8139_ring_empty(const struct rtl8139 *card)
{
    return ring_free(card) == ring_size(card);
}

/* With header and check sequence, to the next multiple of four. */
static uint32_t space_for(size_t size)
{
    return (uint32_t)((4 + size + ETHERNET_FCS_SIZE + 3) & ~3ull);
}

/* With WRAP what doesn't fit lies behind the ring, where the next frame isn't; there is none for a ring of 64
 * KiB. */
static void put(struct rtl8139 *card, uint32_t offset, const void *data, uint32_t size)
{
    uint64_t base = rtl_get(card, RBSTART, 4);
    uint32_t rcr = rtl_get(card, RCR, 4), ring = ring_size(card), before = size;
    bool behind = rcr & RCR_WRAP && RCR_RBLEN(rcr) < 3;

    if (behind) {
        bus_write_block(card->wires.memory, base + offset, data, size);
        return;
    }
    offset &= ring - 1;
    if (before > ring - offset)
        before = ring - offset;
    bus_write_block(card->wires.memory, base + offset, data, before);
    bus_write_block(card->wires.memory, base, (const uint8_t *)data + before, size - before);
}

static void store_in_ring(struct rtl8139 *card, const uint8_t *frame, size_t size, uint32_t status)
{
    uint32_t at = rtl_get(card, CBR, 2) & (ring_size(card) - 1) & ~3u, fcs = ~ethernet_crc(frame, size);
    uint32_t header = status | (uint32_t)(size + ETHERNET_FCS_SIZE) << 16;

    if (size > RING_LONGEST || space_for(size) >= ring_free(card)) {
        miss(card);
        return;
    }
    bool was_busy = card->busy;
    card->busy = true;
    put(card, at, &header, 4);
    put(card, at + 4, frame, (uint32_t)size);
    put(card, at + 4 + (uint32_t)size, &fcs, ETHERNET_FCS_SIZE);
    card->busy = was_busy;
    rtl_set(card, CBR, (at + space_for(size)) & (ring_size(card) - 1), 2);
    count_frame(card, status);
    rtl8139_interrupt(card, INT_ROK);
}

/* --- descriptors */

static uint64_t descriptor_at(const struct rtl8139 *card, unsigned index)
{
    return (rtl_get64(card, RDSAR) & ~255ull) + index * DESC_SIZE;
}

/* How many bytes the descriptors from the next on take, up to `wanted`. */
static size_t room(struct rtl8139 *card, size_t wanted)
{
    unsigned index = card->rx_next;
    size_t size = 0;

    for (unsigned n = 0; n < RING_MAX && size < wanted; n++) {
        uint32_t word = (uint32_t)bus_read(card->wires.memory, descriptor_at(card, index), 4);

        if (!(word & DESC_OWN))
            break;
        size += word & DESC_ROOM;
        index = word & DESC_EOR ? 0 : (index + 1) % RING_MAX;
    }
    return size;
}

/* IPv4 and what is in it, with wrong sums marked. */
static uint32_t judge_sums(const uint8_t *frame, size_t size)
{
    const uint8_t *ip = frame + NET_HEADER_SIZE;
    uint32_t verdict = DESC_IP;

    if (size < NET_HEADER_SIZE + 20 || frame[12] != 8 || frame[13] || ip[0] >> 4 != 4)
        return 0;
    size_t header = (ip[0] & 15) * 4u, total = (size_t)ip[2] << 8 | ip[3];
    if (header < 20 || total < header || total > size - NET_HEADER_SIZE)
        return DESC_IP | DESC_IPF;
    if (internet_fold(internet_sum(ip, header)) != 0xFFFF)
        verdict |= DESC_IPF;
    bool fragment = (ip[6] << 8 | ip[7]) & 0x3FFF, tcp = ip[9] == 6;
    if (fragment || (!tcp && ip[9] != 17) || total - header < 8)
        return verdict;
    verdict = (verdict & DESC_IPF) | (tcp ? DESC_TCP : DESC_UDP);
    bool right = internet_fold(internet_sum(ip + 12, 8) + ip[9] + total - header +
                               internet_sum(ip + header, total - header)) == 0xFFFF;
    if (!tcp && !ip[header + 6] && !ip[header + 7])
        right = true; /* the sender didn't make one */
    return verdict | (right ? 0 : tcp ? DESC_TCPF : DESC_UDPF);
}

/* The frame and its check sequence, `stored` bytes, into as many buffers as it takes: there is room. */
static void fill_descriptors(struct rtl8139 *card, const uint8_t *data, size_t stored, uint32_t status,
                             uint32_t tag)
{
    for (size_t done = 0; done < stored;) {
        uint64_t at = descriptor_at(card, card->rx_next);
        uint32_t word[4];

        bus_read_block(card->wires.memory, at, word, sizeof(word));
        size_t part = word[0] & DESC_ROOM;
        if (part > stored - done)
            part = stored - done;
        bus_write_block(card->wires.memory, (uint64_t)word[3] << 32 | word[2], data + done, part);
        uint32_t out[2] = {(word[0] & DESC_EOR) | status | (done ? 0 : DESC_FS), tag};
        done += part;
        out[0] |= done == stored ? DESC_LS | (uint32_t)stored : (uint32_t)part;
        bus_write(card->wires.memory, at + 4, out[1], 4);
        bus_write(card->wires.memory, at, out[0], 4);
        card->rx_next = word[0] & DESC_EOR ? 0 : (uint8_t)((card->rx_next + 1) % RING_MAX);
    }
}

static void store_by_descriptor(struct rtl8139 *card, const uint8_t *frame, size_t size, uint32_t status)
{
    uint8_t copy[DESC_LONGEST + ETHERNET_FCS_SIZE];
    uint32_t cpcr = rtl_get(card, CPCR, 2), tag = 0, verdict = 0;

    if (size > DESC_LONGEST || room(card, size + ETHERNET_FCS_SIZE) < size + ETHERNET_FCS_SIZE) {
        miss(card);
        return;
    }
    if (cpcr & CPCR_CHKSUM)
        verdict = judge_sums(frame, size);
    verdict |= (status & STATUS_MAR ? DESC_MAR : 0) | (status & STATUS_PAM ? DESC_PAM : 0) |
               (status & STATUS_BAR ? DESC_BAR : 0);
    if (cpcr & CPCR_VLAN && size > NET_FRAME_MIN && frame[12] == 0x81 && !frame[13]) {
        tag = TAVA | frame[14] | (uint32_t)frame[15] << 8;
        memcpy(copy, frame, 2 * NET_ADDRESS_SIZE);
        memcpy(copy + 12, frame + 16, size - 16);
        size -= VLAN_TAG_SIZE;
    } else {
        memcpy(copy, frame, size);
    }
    uint32_t fcs = ~ethernet_crc(copy, size);
    memcpy(copy + size, &fcs, ETHERNET_FCS_SIZE);
    bool was_busy = card->busy;
    card->busy = true;
    fill_descriptors(card, copy, size + ETHERNET_FCS_SIZE, verdict, tag);
    card->busy = was_busy;
    count_frame(card, status);
    rtl8139_interrupt(card, INT_ROK);
}

/* --- both */

static bool has_room(struct rtl8139 *card)
{
    if (!is_enabled(card))
        return true;
    if (card->busy)
        return false;
    return uses_descriptors(card) ? room(card, 1) : space_for(RING_LONGEST) < ring_free(card);
}

bool rtl8139_ready(void *opaque)
{
    struct rtl8139 *card = opaque;

    if (has_room(card))
        return true;
    if (card->poll.when == CLOCK_NEVER)
        timer_arm(&card->poll, clock_now(card->wires.clock) + POLL_PAUSE);
    return false;
}

void rtl8139_receive(void *opaque, const uint8_t *frame, size_t size)
{
    struct rtl8139 *card = opaque;
    uint8_t padded[NET_FRAME_MIN] = {0};
    uint32_t status = is_enabled(card) ? judge(card, frame) : 0;

    if (!status)
        return;
    if (size < NET_FRAME_MIN) {
        memcpy(padded, frame, size);
        frame = padded;
        size = NET_FRAME_MIN;
    }
    if (uses_descriptors(card))
        store_by_descriptor(card, frame, size, status);
    else
        store_in_ring(card, frame, size, status);
}

void rtl8139_look_again(struct rtl8139 *card)
{
    bool waits = !uses_descriptors(card) && is_enabled(card) && !rtl8139_ring_empty(card);

    if (waits && !(rtl_get(card, ISR, 2) & (INT_ROK | INT_RXOVW)))
        rtl8139_interrupt(card, INT_ROK);
    if (has_room(card))
        rtl8139_receive_more(card);
    else
        timer_arm(&card->poll, clock_now(card->wires.clock) + FULL_PAUSE);
}

void rtl8139_remind(struct rtl8139 *card)
{
    if (!uses_descriptors(card) && is_enabled(card) && !rtl8139_ring_empty(card) &&
        !(rtl_get(card, ISR, 2) & INT_ROK) && card->poll.when == CLOCK_NEVER)
        timer_arm(&card->poll, clock_now(card->wires.clock) + POLL_PAUSE);
}

void rtl8139_receive_more(struct rtl8139 *card)
{
    if (!card->busy && has_room(card))
        net_ready(card->wires.net);
}
