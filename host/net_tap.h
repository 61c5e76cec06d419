/*
 * net_tap.h - a network that the host's kernel has: a TAP interface, whose other end the host may bridge or
 * route.
 */
#ifndef HOST_NET_TAP_H
#define HOST_NET_TAP_H

#include <stddef.h>

#include "core/net.h"

struct clock;
struct log;
struct loop;

struct net_tap_options {
    const char *ifname; /* at most 15 characters; made if it isn't there; NULL: the kernel chooses */
    const char *script, *downscript; /* programs that are run with the interface's name, at the start and in
                                      * the end; NULL: none */
};

/*
 * Runs in the event loop. Frames wait in the kernel while the card has no room or the machine is paused; what
 * the interface doesn't take at once is dropped. NULL with a line in `why`. This, and net->close(), with the
 * machine lock held or before the loop runs.
 */
struct net *net_tap_open(const struct net_tap_options *options, struct loop *loop, struct clock *clock,
                         struct log *log, char *why, size_t why_size);

#endif
