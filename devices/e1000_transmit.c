/*
 * e1000_transmit.c - from transmit descriptors to frames (3.3 to 3.5): plain ones, checksums put in, and TCP
 * or UDP data cut into segments.
 *
 * A turn works through so many descriptors and bytes at most, and leaves the rest to a timer, so that a ring
 * full of nonsense doesn't hold up the machine. A frame that gets too long is dropped.
 */
#include "devices/e1000_internal.h"

#include <string.h>

/* Commands, in bits 31:24 of a descriptor's third word (3.3.3.1, 3.3.7.1). */
#define CMD_EOP  0x01u
#define CMD_IC   0x04u /* of legacy descriptors */
#define CMD_TSE  0x04u /* of context and data descriptors */
#define CMD_RS   0x08u
#define CMD_DEXT 0x20u
#define CMD_VLE  0x40u
#define CMD_IDE  0x80u

#define TUCMD_TCP 0x01u /* of a context: TCP rather than UDP, */
#define TUCMD_IP  0x02u /* IPv4 rather than IPv6 */

#define DTYP_DATA 1u

#define POPTS_IXSM 0x01u
#define POPTS_TXSM 0x02u

#define STATUS_DD 0x01u

#define TCP_FIN 0x01u
#define TCP_PSH 0x08u

/* A turn's share. */
#define TURN_DESCRIPTORS 4096u
#define TURN_BYTES       (4u << 20)
#define TURN_PAUSE       50000u /* ns until the next */
#define FRAME_COST       256u   /* counts as so many bytes */

#define MSS_MIN 16u /* less makes no sense */

struct descriptor {
    uint64_t at; /* where it lies */
    uint32_t word[4];
};

static const struct field context_fields[] = {
    FIELD(struct e1000_context, ipcss),
    FIELD(struct e1000_context, ipcso),
    FIELD(struct e1000_context, tucss),
    FIELD(struct e1000_context, tucso),
    FIELD(struct e1000_context, hdrlen),
    FIELD(struct e1000_context, command),
    FIELD(struct e1000_context, ipcse),
    FIELD(struct e1000_context, tucse),
    FIELD(struct e1000_context, mss),
    FIELD(struct e1000_context, paylen),
    FIELD_END,
};

const struct field e1000_packet_fields[] = {
    FIELD_STRUCT(struct e1000_packet, plain, context_fields),
    FIELD_STRUCT(struct e1000_packet, segmentation, context_fields),
    FIELD(struct e1000_packet, started),
    FIELD(struct e1000_packet, segmented),
    FIELD(struct e1000_packet, dropped),
    FIELD(struct e1000_packet, whole),
    FIELD(struct e1000_packet, popts),
    FIELD(struct e1000_packet, command),
    FIELD(struct e1000_packet, special),
    FIELD(struct e1000_packet, size),
    FIELD(struct e1000_packet, left),
    FIELD(struct e1000_packet, segments),
    FIELD_ARRAY(struct e1000_packet, header),
    FIELD_ARRAY(struct e1000_packet, buffer),
    FIELD_END,
};

static uint8_t command_of(const struct descriptor *d)
{
    return (uint8_t)(d->word[2] >> 24);
}

static uint8_t *frame_of(struct e1000_packet *p)
{
    return p->buffer + VLAN_TAG_SIZE;
}

/* --- big-endian numbers in the frame; beyond its end there is nothing to change */

static uint32_t get16(const struct e1000_packet *p, size_t at)
{
    const uint8_t *frame = p->buffer + VLAN_TAG_SIZE;

    return at + 2 <= p->size ? (uint32_t)frame[at] << 8 | frame[at + 1] : 0;
}

static void put16(struct e1000_packet *p, size_t at, uint32_t value)
{
    if (at + 2 > p->size)
        return;
    frame_of(p)[at] = (uint8_t)(value >> 8);
    frame_of(p)[at + 1] = (uint8_t)value;
}

static void add32(struct e1000_packet *p, size_t at, uint32_t more)
{
    uint32_t value = (get16(p, at) << 16 | get16(p, at + 2)) + more;

    put16(p, at, value >> 16);
    put16(p, at + 2, value);
}

/* Sums from `start` up to and with `end` (0: to the frame's end) and puts the complement in at `at`. */
static void put_checksum(struct e1000_packet *p, size_t at, size_t start, size_t end)
{
    size_t stop = end && end < p->size ? end + 1 : p->size;

    if (start < stop && at + 2 <= p->size)
        put16(p, at, (uint16_t)~internet_fold(internet_sum(frame_of(p) + start, stop - start)));
}

/* --- frames */

static void count_frame(struct e1000 *card, const uint8_t *frame, size_t size)
{
    size += CRC_SIZE;
    e1000_count(card, TPT);
    e1000_count(card, GPTC);
    e1000_count_bytes(card, TOTL, size);
    e1000_count_bytes(card, GOTCL, size);
    e1000_count_size(card, PTC64, size);
    if (frame[0] & 1)
        e1000_count(card, memcmp(frame, "\xFF\xFF\xFF\xFF\xFF\xFF", NET_ADDRESS_SIZE) ? MPTC : BPTC);
}

/* The frame goes onto the wire; with a tag, two addresses move in front of it. */
static void send_frame(struct e1000 *card)
{
    struct e1000_packet *p = &card->packet;
    uint8_t *frame = frame_of(p);
    size_t size = p->size;

    if (size < NET_HEADER_SIZE)
        return;
    if (*e1000_reg(card, TCTL) & TCTL_PSP && size < NET_FRAME_MIN) {
        memset(frame + size, 0, NET_FRAME_MIN - size);
        size = NET_FRAME_MIN;
    }
    if (p->command & CMD_VLE && *e1000_reg(card, CTRL) & CTRL_VME) {
        uint32_t type = *e1000_reg(card, VET);

        frame -= VLAN_TAG_SIZE;
        size += VLAN_TAG_SIZE;
        memmove(frame, frame_of(p), 2 * NET_ADDRESS_SIZE);
        frame[12] = (uint8_t)(type >> 8);
        frame[13] = (uint8_t)type;
        frame[14] = (uint8_t)(p->special >> 8);
        frame[15] = (uint8_t)p->special;
    }
    count_frame(card, frame, size);
    if (*e1000_reg(card, RCTL) & RCTL_LBM || card->phy[0] & PHY_CONTROL_LOOPBACK)
        e1000_receive(card, frame, size);
    else
        net_send(card->wires.net, frame, size);
}

static void add_checksums(struct e1000_packet *p, const struct e1000_context *c)
{
    if (p->popts & POPTS_TXSM)
        put_checksum(p, c->tucso, c->tucss, c->tucse);
    if (p->popts & POPTS_IXSM)
        put_checksum(p, c->ipcso, c->ipcss, c->ipcse);
}

/* A segment's own lengths and numbers (3.5.6). The pseudo header's sum that software left lacks the length.
 */
static void finish_segment(struct e1000_packet *p, bool last)
{
    const struct e1000_context *c = &p->segmentation;

    if (c->command & TUCMD_IP) {
        put16(p, c->ipcss + 2u, p->size - c->ipcss);
        put16(p, c->ipcss + 4u, get16(p, c->ipcss + 4u) + p->segments);
    } else {
        put16(p, c->ipcss + 4u, p->size - c->tucss);
    }
    if (c->command & TUCMD_TCP) {
        add32(p, c->tucss + 4u, p->segments * c->mss);
        if (!last && c->tucss + 13u < p->size)
            frame_of(p)[c->tucss + 13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
    } else {
        put16(p, c->tucss + 4u, p->size - c->tucss);
    }
    if (p->popts & POPTS_TXSM)
        put16(p, c->tucso, internet_fold(get16(p, c->tucso) + (uint64_t)(p->size - c->tucss)));
    add_checksums(p, c);
}

static void send_segment(struct e1000 *card, bool last)
{
    struct e1000_packet *p = &card->packet;
    unsigned header = p->segmentation.hdrlen;

    finish_segment(p, last);
    send_frame(card);
    memcpy(frame_of(p), p->header, header);
    p->size = header;
    p->segments++;
}

/* Counted are the segments that it becomes. */
static void send_whole(struct e1000 *card)
{
    struct e1000_packet *p = &card->packet;
    const struct e1000_context *c = &p->segmentation;
    const struct net_offload offload = {
        .checksum = true, .start = c->tucss, .offset = (uint16_t)(c->tucso - c->tucss), .segment = c->mss};

    for (uint32_t done = c->hdrlen; done < p->size; done += c->mss)
        count_frame(card, frame_of(p), c->hdrlen + (p->size - done < c->mss ? p->size - done : c->mss));
    net_send_large(card->wires.net, frame_of(p), p->size, &offload);
}

static void end_packet(struct e1000 *card)
{
    struct e1000_packet *p = &card->packet;

    if (p->dropped) {
        log_at(card->wires.log, LOG_GUEST, "e1000",
               "a frame too large to send, or with a header too long for its segments");
    } else if (p->whole) {
        send_whole(card);
        e1000_count(card, TSCTC);
    } else if (p->segmented) {
        if (p->size > p->segmentation.hdrlen || !p->segments)
            send_segment(card, true);
        e1000_count(card, TSCTC);
    } else {
        if (p->command & CMD_DEXT)
            add_checksums(p, &p->plain);
        send_frame(card);
    }
    p->started = false;
}

/* --- descriptors */

bool e1000_segments_too_long(const struct e1000_context *c)
{
    return c->mss + c->hdrlen > NET_FRAME_MAX - VLAN_TAG_SIZE;
}

/* TCP behind IP behind Ethernet, on its way to a network that takes it so. */
static bool may_stay_whole(struct e1000 *card, const struct e1000_packet *p)
{
    const struct e1000_context *c = &p->segmentation;
    const struct net *net = card->wires.net;
    bool looped = *e1000_reg(card, RCTL) & RCTL_LBM || card->phy[0] & PHY_CONTROL_LOOPBACK;

    return net && net->send_large && !looped && c->command & TUCMD_TCP && p->popts & POPTS_TXSM &&
           c->ipcss == NET_HEADER_SIZE && c->tucss > c->ipcss && c->tucso == c->tucss + 16 &&
           c->hdrlen >= c->tucss + 20 && (uint32_t)c->hdrlen + c->paylen <= NET_LARGE_MAX &&
           !(p->command & CMD_VLE && *e1000_reg(card, CTRL) & CTRL_VME);
}

/* With what is still to come. */
bool e1000_whole_fits(const struct e1000_packet *p)
{
    uint32_t header = p->segmentation.hdrlen;

    return (uint64_t)(p->size > header ? p->size : header) + p->left <= NET_LARGE_MAX;
}

static void begin_packet(struct e1000 *card, const struct descriptor *d)
{
    struct e1000_packet *p = &card->packet;
    const struct e1000_context *c = &p->segmentation;

    p->started = true;
    p->command = command_of(d);
    p->popts = p->command & CMD_DEXT ? (uint8_t)(d->word[3] >> 8) : 0;
    p->segmented = p->command & CMD_DEXT && p->command & CMD_TSE;
    p->size = p->segments = 0;
    p->special = (uint16_t)(d->word[3] >> 16);
    p->left = c->paylen;
    p->dropped =
        p->segmented && (c->mss < MSS_MIN || c->hdrlen < NET_HEADER_SIZE || e1000_segments_too_long(c));
    p->whole = p->segmented && may_stay_whole(card, p);
}

/* Takes `size` bytes from memory to the frame's end; they fit. */
static uint64_t fetch(struct e1000 *card, uint64_t from, uint32_t size)
{
    bus_read_block(card->wires.memory, from, frame_of(&card->packet) + card->packet.size, size);
    card->packet.size += size;
    return from + size;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* The header first, which is kept; then segments, each sent when more follows. */
static void add_segments(struct e1000 *card, uint64_t from, uint32_t size)
{
    struct e1000_packet *p = &card->packet;
    const struct e1000_context *c = &p->segmentation;
    uint32_t full = (uint32_t)c->hdrlen + c->mss;

    if (!p->segments && p->size < c->hdrlen) {
        uint32_t part = least(size, c->hdrlen - p->size);

        from = fetch(card, from, part);
        size -= part;
        if (p->size == c->hdrlen)
            memcpy(p->header, frame_of(p), c->hdrlen);
    }
    size = least(size, p->left);
    p->left -= size;
    if (p->whole) {
        fetch(card, from, size);
        return;
    }
    while (size) {
        if (p->size >= full)
            send_segment(card, false);
        uint32_t part = least(size, full - p->size);
        from = fetch(card, from, part);
        size -= part;
    }
}

static void add_data(struct e1000 *card, const struct descriptor *d, uint32_t size)
{
    struct e1000_packet *p = &card->packet;
    uint64_t from = (uint64_t)d->word[1] << 32 | d->word[0];

    if (p->dropped)
        return;
    if (p->segmented)
        add_segments(card, from, size);
    else if (size > NET_FRAME_MAX - VLAN_TAG_SIZE - p->size)
        p->dropped = true;
    else
        fetch(card, from, size);
}

static void take_context(struct e1000 *card, const struct descriptor *d)
{
    struct e1000_packet *p = &card->packet;
    struct e1000_context *c = command_of(d) & CMD_TSE ? &p->segmentation : &p->plain;

    if (p->started && p->segmented && c == &p->segmentation)
        p->dropped = true; /* in the middle of what it describes */
    *c = (struct e1000_context){
        .ipcss = (uint8_t)d->word[0],
        .ipcso = (uint8_t)(d->word[0] >> 8),
        .ipcse = (uint16_t)(d->word[0] >> 16),
        .tucss = (uint8_t)d->word[1],
        .tucso = (uint8_t)(d->word[1] >> 8),
        .tucse = (uint16_t)(d->word[1] >> 16),
        .paylen = d->word[2] & 0xFFFFF,
        .command = command_of(d),
        .hdrlen = (uint8_t)(d->word[3] >> 8),
        .mss = (uint16_t)(d->word[3] >> 16),
    };
}

static bool is_context(const struct descriptor *d)
{
    return command_of(d) & CMD_DEXT && (d->word[2] >> 20 & 15) != DTYP_DATA;
}

/* Gives what it cost, in bytes. */
static uint32_t take_data(struct e1000 *card, const struct descriptor *d)
{
    struct e1000_packet *p = &card->packet;
    uint32_t before = p->started ? p->segments : 0;
    uint32_t size = d->word[2] & (command_of(d) & CMD_DEXT ? 0xFFFFF : 0xFFFF);

    if (!p->started)
        begin_packet(card, d);
    add_data(card, d, size);
    if (command_of(d) & CMD_EOP) {
        uint8_t start = (uint8_t)(d->word[3] >> 8), at = (uint8_t)(d->word[2] >> 16);

        p->command = command_of(d);
        p->special = (uint16_t)(d->word[3] >> 16);
        if (!(p->command & CMD_DEXT) && p->command & CMD_IC && !p->dropped)
            put_checksum(p, at, start, 0);
        end_packet(card);
    }
    return size + (p->segments - before) * FRAME_COST;
}

/* Says that it is done, if it wants that said. */
static void write_back(struct e1000 *card, const struct descriptor *d)
{
    if (!(command_of(d) & CMD_RS))
        return;
    bus_write(card->wires.memory, d->at + 12, (d->word[3] & 0xF0) | STATUS_DD, 1);
    if (command_of(d) & CMD_IDE && *e1000_reg(card, TIDV))
        e1000_delay(card, &card->sent, *e1000_reg(card, TIDV), *e1000_reg(card, TADV));
    else
        *e1000_reg(card, ICR) |= CAUSE_TXDW;
}

static uint32_t run(struct e1000 *card, uint32_t index)
{
    struct descriptor d = {.at = e1000_ring_address(card, TDBAL, index)};
    uint32_t bytes = 0;

    bus_read_block(card->wires.memory, d.at, d.word, sizeof(d.word));
    if (is_context(&d))
        take_context(card, &d);
    else
        bytes = take_data(card, &d);
    write_back(card, &d);
    return bytes;
}

/* Whether there is something in the ring, and it makes sense. */
static bool may_transmit(struct e1000 *card)
{
    uint32_t count = e1000_ring_count(card, TDBAL), tail = *e1000_reg(card, TDT);

    if (card->busy || !(*e1000_reg(card, TCTL) & TCTL_EN) || *e1000_reg(card, TDH) == tail ||
        !e1000_may_master(card))
        return false;
    if (tail < count)
        return true;
    log_at(card->wires.log, LOG_GUEST, "e1000", "TDT is %u in a ring of %u descriptors", tail, count);
    return false;
}

void e1000_transmit(struct e1000 *card)
{
    uint32_t count = e1000_ring_count(card, TDBAL), *head = e1000_reg(card, TDH);
    uint32_t bytes = 0;

    if (!may_transmit(card))
        return;
    card->busy = true;
    if (*head >= count)
        *head = 0;
    for (unsigned n = 0; *head != *e1000_reg(card, TDT) && n < TURN_DESCRIPTORS && bytes < TURN_BYTES; n++) {
        bytes += run(card, *head);
        *head = *head + 1 < count ? *head + 1 : 0;
    }
    card->busy = false;
    if (*head != *e1000_reg(card, TDT))
        timer_arm(&card->transmit, clock_now(card->wires.clock) + TURN_PAUSE);
    else
        *e1000_reg(card, ICR) |= CAUSE_TXQE;
    e1000_update_irq(card);
}
