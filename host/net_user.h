/*
 * net_user.h - a network of the guest's own, which a user may have without rights: libslirp answers as
 * router, DHCP, DNS and TFTP server, and makes the guest's connections with sockets of this process.
 *
 * The network is a.b.c.0/24 or what `network` and `mask` say: host 2 is the router, and what the guest
 * reaches this host's loopback by; host 3 the name server; DHCP gives addresses from host 15 on. IPv4 alone.
 *
 * It runs in the event loop: what the card sends waits for the loop's next turn, what the network sends waits
 * while the card has no room or the machine is paused. More than a thousand frames either way are dropped.
 */
#ifndef HOST_NET_USER_H
#define HOST_NET_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/net.h"

struct clock;
struct log;
struct loop;

/* Who connects to (or, by UDP, sends to) this port of the host reaches that port of the guest. */
struct net_user_forward {
    bool udp;
    uint32_t host_address;  /* IPv4, most significant byte first in the number; 0: any of the host's */
    uint32_t guest_address; /* 0: the first that DHCP gives */
    uint16_t host_port, guest_port;
};

struct net_user_options {
    uint32_t network, mask;      /* IPv4; at most 27 bits of mask */
    bool restricted;             /* the guest reaches nobody, but for answers on forwarded ports */
    const char *hostname;        /* what DHCP tells the guest; NULL: nothing */
    const char *tftp, *bootfile; /* the folder that TFTP serves, what DHCP says to boot from it; NULL: none */
    const struct net_user_forward *forward;
    unsigned forwards;
};

/* NULL with a line in `why`. This, and net->close(), with the machine lock held or before the loop runs. */
struct net *net_user_open(const struct net_user_options *options, struct loop *loop, struct clock *clock,
                          struct log *log, char *why, size_t why_size);

#endif
