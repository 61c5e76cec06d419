/*
 * net.c - what a card left to do of a frame, for networks that want ready ones; see net.h.
 */
#include "core/net.h"

#include <string.h>

#define SEGMENT_MIN 16u /* less makes no sense */

#define TYPE_VLAN 0x8100u
#define TYPE_IPV4 0x0800u
#define TYPE_IPV6 0x86DDu
#define VLAN_SIZE 4u

#define IPV4_SIZE 20u
#define IPV6_SIZE 40u
#define TCP_SIZE  20u
#define TCP_FIN   0x01u
#define TCP_PSH   0x08u
#define TCP_CWR   0x80u

#define PROTOCOL_TCP 6u

/* --- sums */

uint64_t internet_sum(const uint8_t *data, size_t size)
{
    unsigned __int128 wide = 0;
    uint64_t eight, sum;

    /* By eights, as the host stores them: swapping the result's bytes at the end does for all of them (RFC
     * 1071). */
    for (; size >= 8; size -= 8, data += 8) {
        memcpy(&eight, data, 8);
        wide += eight;
    }
    eight = (uint64_t)wide;
    sum = internet_fold((eight & UINT32_MAX) + (eight >> 32) + (uint64_t)(wide >> 64));
    sum = (sum >> 8 | sum << 8) & 0xFFFF;
    for (; size >= 2; size -= 2, data += 2)
        sum += (uint64_t)data[0] << 8 | data[1];
    if (size)
        sum += (uint64_t)data[0] << 8;
    return sum;
}

uint16_t internet_fold(uint64_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xFFFF) + (sum >> 16);
    return (uint16_t)sum;
}

uint64_t internet_pseudo_sum(const uint8_t *ip, size_t size)
{
    uint64_t sum = ip[0] >> 4 == 4 ? internet_sum(ip + 12, 8) : internet_sum(ip + 8, 32);

    return sum + PROTOCOL_TCP + (size >> 16) + (size & 0xFFFF);
}

/* --- numbers in a frame */

static uint32_t get16(const uint8_t *at)
{
    return (uint32_t)at[0] << 8 | at[1];
}

static void put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void add32(uint8_t *at, uint32_t more)
{
    uint32_t value = (get16(at) << 16 | get16(at + 2)) + more;

    put16(at, value >> 16);
    put16(at + 2, value);
}

bool net_put_checksum(uint8_t *frame, size_t size, const struct net_offload *offload)
{
    size_t start = offload->start, at = start + offload->offset;

    if (start >= size || at + 2 > size)
        return false;
    uint16_t sum = (uint16_t)~internet_fold(internet_sum(frame + start, size - start));
    /* UDP says by zero that there is none; all ones are the same number. */
    put16(frame + at, sum ? sum : 0xFFFF);
    return true;
}

/* --- segments */

/* Where the IP packet begins; 0: it isn't one whose TCP header is where `offload` says. */
static size_t find_ip(const uint8_t *frame, size_t size, const struct net_offload *offload)
{
    size_t at = NET_HEADER_SIZE, header = offload->start;

    if (size > NET_HEADER_SIZE + VLAN_SIZE && get16(frame + 12) == TYPE_VLAN)
        at += VLAN_SIZE;
    if (size < header + TCP_SIZE || header < at + IPV4_SIZE)
        return 0;
    if (get16(frame + at - 2) == TYPE_IPV4)
        return frame[at] >> 4 == 4 && (frame[at] & 15) >= 5 && header == at + (frame[at] & 15) * 4u ? at : 0;
    return get16(frame + at - 2) == TYPE_IPV6 && frame[at] >> 4 == 6 && header >= at + IPV6_SIZE ? at : 0;
}

/* The headers' own lengths and sums, in a frame with the TCP header at `tcp`. */
static void finish(uint8_t *frame, size_t size, size_t ip, size_t tcp, unsigned number)
{
    if (frame[ip] >> 4 == 4) {
        put16(frame + ip + 2, (uint32_t)(size - ip));
        put16(frame + ip + 4, get16(frame + ip + 4) + number);
        put16(frame + ip + 10, 0);
        put16(frame + ip + 10, (uint16_t)~internet_fold(internet_sum(frame + ip, (frame[ip] & 15) * 4u)));
    } else {
        put16(frame + ip + 4, (uint32_t)(size - ip - IPV6_SIZE));
    }
    put16(frame + tcp + 16, 0);
    put16(frame + tcp + 16, (uint16_t)~internet_fold(internet_pseudo_sum(frame + ip, size - tcp) +
                                                     internet_sum(frame + tcp, size - tcp)));
}

static void send_segments(struct net *net, const uint8_t *frame, size_t size, size_t ip,
                          const struct net_offload *offload)
{
    size_t tcp = offload->start, header = tcp + (frame[tcp + 12] >> 4) * 4u;
    uint8_t out[NET_FRAME_MAX];
    unsigned number = 0;

    if (header < tcp + TCP_SIZE || header > size || header + offload->segment > sizeof(out))
        return;
    for (size_t done = header; done < size || !number; number++) {
        size_t part = size - done < offload->segment ? size - done : offload->segment;

        memcpy(out, frame, header);
        memcpy(out + header, frame + done, part);
        add32(out + tcp + 4, (uint32_t)(done - header));
        done += part;
        if (done < size)
            out[tcp + 13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
        if (number)
            out[tcp + 13] &= (uint8_t)~TCP_CWR;
        finish(out, header + part, ip, tcp, number);
        net_send(net, out, header + part);
    }
}

bool net_finish_large(uint8_t *frame, size_t size, const struct net_offload *offload)
{
    size_t ip = find_ip(frame, size, offload);

    if (ip)
        finish(frame, size, ip, offload->start, 0);
    return ip;
}

void net_send_large(struct net *net, uint8_t *frame, size_t size, const struct net_offload *offload)
{
    if (!net || !net->up || size < NET_HEADER_SIZE || size > NET_LARGE_MAX)
        return;
    if (net->send_large) {
        net->send_large(net, frame, size, offload);
    } else if (offload->segment) {
        size_t ip = find_ip(frame, size, offload);
        if (ip && offload->segment >= SEGMENT_MIN)
            send_segments(net, frame, size, ip, offload);
    } else if (!offload->checksum || net_put_checksum(frame, size, offload)) {
        net_send(net, frame, size);
    }
}
