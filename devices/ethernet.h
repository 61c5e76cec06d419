/*
 * ethernet.h - what Ethernet cards have in common: the check sequence, which also chooses among multicast
 * addresses.
 */
#ifndef DEVICES_ETHERNET_H
#define DEVICES_ETHERNET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/net.h"

#define ETHERNET_FCS_SIZE 4

/* The remainder of IEEE 802.3's CRC-32, before the complement that makes it the check sequence. */
uint32_t ethernet_crc(const uint8_t *data, size_t size);

static inline bool ethernet_is_broadcast(const uint8_t *address)
{
    return !memcmp(address, "\xFF\xFF\xFF\xFF\xFF\xFF", NET_ADDRESS_SIZE);
}

/* Whether a table of 64 bits has the multicast address: the CRC's six highest bits choose, sent lowest first,
 * as the DP8390 and the RTL8139 have it. */
static inline bool ethernet_in_table(const uint8_t table[8], const uint8_t *address)
{
    uint32_t crc = ethernet_crc(address, NET_ADDRESS_SIZE);
    unsigned bit = 0;

    for (unsigned n = 0; n < 6; n++)
        bit |= (crc >> n & 1) << (5 - n);
    return table[bit / 8] >> (bit & 7) & 1;
}

#endif
