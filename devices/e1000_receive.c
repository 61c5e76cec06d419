/*
 * e1000_receive.c - from frames to receive descriptors (3.2): which frames are for this card, where they are
 * stored, and what is said of them.
 */
#include "devices/e1000_internal.h"

#include <string.h>

/* Status and errors in a descriptor (3.2.3). */
#define STATUS_DD    0x01u
#define STATUS_EOP   0x02u
#define STATUS_IXSM  0x04u
#define STATUS_VP    0x08u
#define STATUS_TCPCS 0x20u
#define STATUS_IPCS  0x40u
#define STATUS_PIF   0x80u
#define ERROR_TCPE   0x20u
#define ERROR_IPE    0x40u

#define RXCSUM_PCSS  0x0FFu
#define RXCSUM_IPOFL 0x100u
#define RXCSUM_TUOFL 0x200u

#define RAH_AV 0x80000000u
#define RAH_AS 0x00030000u

#define FRAME_LONGEST 1518u /* without LPE, without tag and check sequence */

#define ETHERTYPE_IPV4 0x0800u
#define PROTOCOL_TCP   6
#define PROTOCOL_UDP   17

/* What is known of a frame, for its descriptor. */
struct verdict {
    uint16_t special, checksum;
    uint8_t status, errors;
};

/* --- whose frame */

static bool is_one_of_ours(struct e1000 *card, const uint8_t *address)
{
    uint32_t low = address[0] | address[1] << 8 | address[2] << 16 | (uint32_t)address[3] << 24;
    uint32_t high = address[4] | (uint32_t)address[5] << 8;

    for (unsigned n = 0; n < RECEIVE_ADDRESSES; n++) {
        uint32_t rah = *e1000_reg(card, RAH(n));

        if (rah & RAH_AV && !(rah & RAH_AS) && *e1000_reg(card, RAL(n)) == low && (rah & 0xFFFF) == high)
            return true;
    }
    return false;
}

/* Twelve of the address's last bits choose one of the table's 4096 (13.5.1). */
static bool is_in_table(struct e1000 *card, const uint8_t *address)
{
    static const uint8_t shifts[4] = {4, 3, 2, 0};
    unsigned last = address[4] | address[5] << 8;
    unsigned hash = last >> shifts[RCTL_MO(*e1000_reg(card, RCTL))] & 0xFFF;

    return *e1000_reg(card, MTA + hash / 32 * 4) >> (hash & 31) & 1;
}

static unsigned type_of(const uint8_t *frame)
{
    return (unsigned)frame[12] << 8 | frame[13];
}

static bool has_tag(struct e1000 *card, const uint8_t *frame, size_t size)
{
    return size >= NET_HEADER_SIZE + VLAN_TAG_SIZE && type_of(frame) == *e1000_reg(card, VET);
}

static bool passes_vlan(struct e1000 *card, const uint8_t *frame, size_t size)
{
    uint32_t rctl = *e1000_reg(card, RCTL);

    if (!(rctl & RCTL_VFE) || !has_tag(card, frame, size))
        return true;
    unsigned tag = (unsigned)frame[14] << 8 | frame[15], id = tag & 0xFFF;
    if (rctl & RCTL_CFIEN && (tag >> 12 & 1) != !!(rctl & RCTL_CFI))
        return false;
    return *e1000_reg(card, VFTA + id / 32 * 4) >> (id & 31) & 1;
}

/* PIF says that an address passed by its hash alone. */
static bool is_wanted(struct e1000 *card, const uint8_t *frame, size_t size, struct verdict *verdict)
{
    uint32_t rctl = *e1000_reg(card, RCTL);

    if (!passes_vlan(card, frame, size))
        return false;
    if (is_one_of_ours(card, frame))
        return true;
    if (ethernet_is_broadcast(frame))
        return rctl & (RCTL_BAM | RCTL_MPE | RCTL_UPE);
    verdict->status |= STATUS_PIF;
    if (frame[0] & 1)
        return rctl & RCTL_MPE || is_in_table(card, frame);
    return rctl & RCTL_UPE;
}

/* --- checksums of IPv4, TCP and UDP */

static void judge_payload(const uint8_t *ip, size_t header, size_t total, struct verdict *verdict)
{
    unsigned protocol = ip[9], fragment = ((unsigned)ip[6] << 8 | ip[7]) & 0x3FFF;
    size_t size = total - header;
    const uint8_t *payload = ip + header;

    if (fragment || (protocol != PROTOCOL_TCP && protocol != PROTOCOL_UDP) ||
        size < (protocol == PROTOCOL_TCP ? 20 : 8))
        return;
    if (protocol == PROTOCOL_UDP && !payload[6] && !payload[7])
        return; /* the sender didn't make one */
    verdict->status |= STATUS_TCPCS;
    if (internet_fold(internet_sum(ip + 12, 8) + protocol + size + internet_sum(payload, size)) != 0xFFFF)
        verdict->errors |= ERROR_TCPE;
}

static void judge_checksums(struct e1000 *card, const uint8_t *frame, size_t size, struct verdict *verdict)
{
    uint32_t rxcsum = *e1000_reg(card, RXCSUM);
    size_t skip = rxcsum & RXCSUM_PCSS, start = NET_HEADER_SIZE;

    if (skip < size)
        verdict->checksum = (uint16_t)~internet_fold(internet_sum(frame + skip, size - skip));
    if (type_of(frame) == *e1000_reg(card, VET) && has_tag(card, frame, size))
        start += VLAN_TAG_SIZE;
    const uint8_t *ip = frame + start;
    if (size < start + 20 || ((unsigned)ip[-2] << 8 | ip[-1]) != ETHERTYPE_IPV4 || ip[0] >> 4 != 4) {
        verdict->status |= STATUS_IXSM;
        return;
    }
    size_t header = (ip[0] & 15) * 4u, total = (size_t)ip[2] << 8 | ip[3];
    if (header < 20 || total < header || total > size - start)
        return;
    if (rxcsum & RXCSUM_IPOFL) {
        verdict->status |= STATUS_IPCS;
        if (internet_fold(internet_sum(ip, header)) != 0xFFFF)
            verdict->errors |= ERROR_IPE;
    }
    if (rxcsum & RXCSUM_TUOFL)
        judge_payload(ip, header, total, verdict);
}

/* --- the ring */

static uint32_t buffer_size(struct e1000 *card)
{
    static const uint16_t sizes[2][4] = {{2048, 1024, 512, 256}, {2048, 16384, 8192, 4096}};
    uint32_t rctl = *e1000_reg(card, RCTL);

    return sizes[rctl & RCTL_BSEX ? 1 : 0][RCTL_BSIZE(rctl)];
}

/* Descriptors that software gave and that aren't filled. */
static uint32_t free_descriptors(struct e1000 *card)
{
    uint32_t count = e1000_ring_count(card, RDBAL), head = *e1000_reg(card, RDH),
             tail = *e1000_reg(card, RDT);

    if (head >= count || tail >= count)
        return 0;
    return tail >= head ? tail - head : count - head + tail;
}

static bool is_enabled(struct e1000 *card)
{
    return *e1000_reg(card, RCTL) & RCTL_EN && e1000_may_master(card);
}

/* A receiver that is off takes frames and drops them; one that has no room lets them wait. */
bool e1000_ready(void *opaque)
{
    struct e1000 *card = opaque;
    uint32_t need =
        *e1000_reg(card, RCTL) & RCTL_LPE ? NET_FRAME_MAX : FRAME_LONGEST + VLAN_TAG_SIZE + CRC_SIZE;
    uint32_t count = e1000_ring_count(card, RDBAL), size = buffer_size(card);

    if (!is_enabled(card))
        return true;
    if (card->busy || !count)
        return false;
    if ((count - 1) * size < need)
        need = (count - 1) * size; /* a ring that never has room enough */
    return free_descriptors(card) * size >= need;
}

void e1000_receive_more(struct e1000 *card)
{
    if (!card->busy && e1000_ready(card))
        net_ready(card->wires.net);
}

/* Words 2 and 3 of a descriptor: what happened to its buffer. */
static void write_back(struct e1000 *card, uint64_t at, uint32_t length, const struct verdict *verdict,
                       bool last)
{
    uint8_t status = STATUS_DD | (last ? STATUS_EOP | verdict->status : 0),
            errors = last ? verdict->errors : 0;
    uint32_t words[2] = {length | (uint32_t)verdict->checksum << 16,
                         status | (uint32_t)errors << 8 | (uint32_t)verdict->special << 16};

    bus_write_block(card->wires.memory, at + 8, words, sizeof(words));
}

/* The frame, with zeroes behind it where its check sequence was, into as many buffers as it takes: there are
 * enough. */
static void store(struct e1000 *card, const uint8_t *frame, size_t size, size_t stored,
                  const struct verdict *verdict)
{
    static const uint8_t zeroes[NET_FRAME_MIN + CRC_SIZE];
    uint32_t buffer = buffer_size(card), count = e1000_ring_count(card, RDBAL), *head = e1000_reg(card, RDH);

    for (size_t done = 0; done < stored;) {
        uint64_t at = e1000_ring_address(card, RDBAL, *head), address;
        size_t part = stored - done < buffer ? stored - done : buffer;
        size_t real = done < size ? (size - done < part ? size - done : part) : 0;

        bus_read_block(card->wires.memory, at, &address, sizeof(address));
        bus_write_block(card->wires.memory, address, frame + done, real);
        bus_write_block(card->wires.memory, address + real, zeroes, part - real);
        done += part;
        write_back(card, at, (uint32_t)part, verdict, done == stored);
        *head = *head + 1 < count ? *head + 1 : 0;
    }
}

static void count_frame(struct e1000 *card, const uint8_t *frame, size_t size)
{
    e1000_count(card, TPR);
    e1000_count(card, GPRC);
    e1000_count_bytes(card, TORL, size);
    e1000_count_bytes(card, GORCL, size);
    e1000_count_size(card, PRC64, size);
    if (frame[0] & 1)
        e1000_count(card, ethernet_is_broadcast(frame) ? BPRC : MPRC);
}

/* RXT0, at once or by its delay; and RXDMT0 when few descriptors are left. */
static void interrupt(struct e1000 *card)
{
    uint32_t threshold = e1000_ring_count(card, RDBAL) >> (RCTL_RDMTS(*e1000_reg(card, RCTL)) + 1);

    if (free_descriptors(card) <= threshold)
        *e1000_reg(card, ICR) |= CAUSE_RXDMT0;
    if (*e1000_reg(card, RDTR))
        e1000_delay(card, &card->received, *e1000_reg(card, RDTR), *e1000_reg(card, RADV));
    else
        *e1000_reg(card, ICR) |= CAUSE_RXT0;
    e1000_update_irq(card);
}

/* Room there must be before anything of the frame is stored. */
static bool has_room(struct e1000 *card, size_t stored)
{
    if ((uint64_t)free_descriptors(card) * buffer_size(card) >= stored)
        return true;
    e1000_count(card, RNBC);
    e1000_count(card, MPC);
    e1000_cause(card, CAUSE_RXO);
    return false;
}

static bool is_too_long(struct e1000 *card, const uint8_t *frame, size_t size)
{
    size_t longest = FRAME_LONGEST - CRC_SIZE + (has_tag(card, frame, size) ? VLAN_TAG_SIZE : 0);

    return size > longest && !(*e1000_reg(card, RCTL) & (RCTL_LPE | RCTL_SBP));
}

void e1000_receive(void *opaque, const uint8_t *frame, size_t size)
{
    struct e1000 *card = opaque;
    struct verdict verdict = {0};
    uint8_t copy[NET_FRAME_MAX + VLAN_TAG_SIZE];
    bool was_busy = card->busy;

    if (!is_enabled(card) || !is_wanted(card, frame, size, &verdict))
        return;
    if (is_too_long(card, frame, size)) {
        e1000_count(card, ROC);
        return;
    }
    size_t wire = (size < NET_FRAME_MIN ? NET_FRAME_MIN : size) + CRC_SIZE;
    judge_checksums(card, frame, size, &verdict);
    if (*e1000_reg(card, CTRL) & CTRL_VME && has_tag(card, frame, size)) {
        verdict.status |= STATUS_VP;
        verdict.special = (uint16_t)((unsigned)frame[14] << 8 | frame[15]);
        memcpy(copy, frame, 2 * NET_ADDRESS_SIZE);
        size -= VLAN_TAG_SIZE;
        memcpy(copy + 2 * NET_ADDRESS_SIZE, frame + 2 * NET_ADDRESS_SIZE + VLAN_TAG_SIZE,
               size - 2 * NET_ADDRESS_SIZE);
        frame = copy;
    }
    size_t padded = size < NET_FRAME_MIN ? NET_FRAME_MIN : size;
    size_t stored = *e1000_reg(card, RCTL) & RCTL_SECRC ? padded : padded + CRC_SIZE;
    if (!has_room(card, stored))
        return;
    card->busy = true;
    store(card, frame, size, stored, &verdict);
    card->busy = was_busy;
    count_frame(card, frame, wire);
    interrupt(card);
}
