/*
 * virtio_net_merge.c - TCP segments that follow each other become one large one, of which the driver knows
 * that it was cut so: one pass through its stack in place of many. IPv4 without options, and what is as
 * simple.
 */
#include <string.h>

#include "devices/virtio_net_internal.h"

#define IP       NET_HEADER_SIZE
#define TCP      (IP + 20u)
#define TCP_SIZE 20u

#define TCP_SEQUENCE 4
#define TCP_ACK      8
#define TCP_HEADER   12
#define TCP_FLAGS    13
#define TCP_WINDOW   14
#define TCP_CHECKSUM 16

#define FLAG_PSH 0x08u
#define FLAG_ACK 0x10u

#define IP_SIZE_MAX 65535u

static uint32_t get16(const uint8_t *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

static uint32_t get32(const uint8_t *at)
{
    return get16(at) << 16 | get16(at + 2);
}

static void put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

/* IPv4 with TCP or UDP, whole: the size of the packet; 0: it isn't that. */
static size_t ip_size(const uint8_t *frame, size_t size)
{
    const uint8_t *ip = frame + IP;
    size_t total;

    if (size < TCP + 8 || get16(frame + 12) != 0x0800 || ip[0] != 0x45 || get16(ip + 6) & 0x3FFF ||
        (ip[9] != 6 && ip[9] != 17))
        return 0;
    total = get16(ip + 2);
    return total >= 20 + 8 && total <= size - IP ? total : 0;
}

static bool sums_are_right(const uint8_t *frame, size_t total)
{
    const uint8_t *ip = frame + IP, *payload = frame + TCP;
    size_t size = total - 20;

    if (ip[9] == 17 && !get16(payload + 6))
        return false; /* the sender didn't make one */
    return internet_fold(internet_sum(ip, 20)) == 0xFFFF &&
           internet_fold(internet_sum(ip + 12, 8) + ip[9] + size + internet_sum(payload, size)) == 0xFFFF;
}

/* The size of the headers of a segment that can be joined to others; 0: it can't. Its sums are right. */
static size_t joinable(const uint8_t *frame, size_t total)
{
    const uint8_t *tcp = frame + TCP;
    size_t header;

    if (frame[IP + 9] != 6 || total < 20 + TCP_SIZE || (tcp[TCP_FLAGS] & ~FLAG_PSH) != FLAG_ACK)
        return 0;
    header = TCP + (tcp[TCP_HEADER] >> 4) * 4u;
    return header >= TCP + TCP_SIZE && header < IP + total ? header : 0;
}

void virtio_net_merge_start(struct virtio_net_merge *m, const uint8_t *frame, size_t size, bool check,
                            bool join)
{
    size_t total = check ? ip_size(frame, size) : 0;

    memcpy(m->data, frame, size);
    m->size = size;
    m->segments = 0;
    m->valid = total && sums_are_right(frame, total);
    m->header = m->valid && join ? joinable(frame, total) : 0;
    if (!m->header)
        return;
    m->size = IP + total; /* without padding */
    m->segments = 1;
    m->segment = (uint16_t)(m->size - m->header);
    m->next = get32(frame + TCP + TCP_SEQUENCE) + m->segment;
    m->closed = frame[TCP + TCP_FLAGS] & FLAG_PSH;
}

/* All that mustn't differ from segment to segment: addresses, service, life, ports, acknowledgement, options.
 */
static bool same_flow(const struct virtio_net_merge *m, const uint8_t *frame)
{
    const uint8_t *data = m->data;

    return !memcmp(data, frame, IP + 2) && get16(data + IP + 6) == get16(frame + IP + 6) &&
           data[IP + 8] == frame[IP + 8] && !memcmp(data + IP + 12, frame + IP + 12, 12) &&
           get32(data + TCP + TCP_ACK) == get32(frame + TCP + TCP_ACK) &&
           data[TCP + TCP_HEADER] == frame[TCP + TCP_HEADER] &&
           !memcmp(data + TCP + TCP_SIZE, frame + TCP + TCP_SIZE, m->header - TCP - TCP_SIZE);
}

bool virtio_net_merge_add(struct virtio_net_merge *m, const uint8_t *frame, size_t size)
{
    size_t total, payload;

    if (!m->segments || m->closed)
        return false;
    total = ip_size(frame, size);
    if (!total || joinable(frame, total) != m->header || !same_flow(m, frame) ||
        get32(frame + TCP + TCP_SEQUENCE) != m->next)
        return false;
    payload = IP + total - m->header;
    if (payload > m->segment || m->size - IP + payload > IP_SIZE_MAX || !sums_are_right(frame, total))
        return false;
    memcpy(m->data + m->size, frame + m->header, payload);
    m->size += payload;
    m->segments++;
    m->next += (uint32_t)payload;
    m->data[TCP + TCP_FLAGS] |= frame[TCP + TCP_FLAGS];
    memcpy(m->data + TCP + TCP_WINDOW, frame + TCP + TCP_WINDOW, 2);
    m->closed = payload < m->segment || frame[TCP + TCP_FLAGS] & FLAG_PSH;
    return true;
}

struct virtio_net_header virtio_net_merge_finish(struct virtio_net_merge *m)
{
    uint8_t *ip = m->data + IP;

    if (m->segments < 2)
        return (struct virtio_net_header){.flags = m->valid ? HEADER_DATA_VALID : 0};
    put16(ip + 2, (uint32_t)(m->size - IP));
    put16(ip + 10, 0);
    put16(ip + 10, (uint16_t)~internet_fold(internet_sum(ip, 20)));
    put16(m->data + TCP + TCP_CHECKSUM, internet_fold(internet_pseudo_sum(ip, m->size - TCP)));
    return (struct virtio_net_header){
        .flags = HEADER_NEEDS_CHECKSUM,
        .gso = GSO_TCP4,
        .header_size = (uint16_t)m->header,
        .segment = m->segment,
        .start = TCP,
        .offset = TCP_CHECKSUM,
    };
}
