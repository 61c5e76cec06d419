/*
 * net_socket.h - a cable to another virtual machine: frames through a Unix stream socket, each behind its
 * size as 32 bits, most significant byte first. QEMU (-netdev stream) and passt speak the same.
 */
#ifndef HOST_NET_SOCKET_H
#define HOST_NET_SOCKET_H

#include <stddef.h>

#include "core/net.h"

struct clock;
struct log;
struct loop;

/*
 * Connects to whoever listens at `path`, or else listens there itself. When the peer goes away the cable has
 * no signal (the card's link is down), and it is tried again, once a second and more seldom the longer it
 * fails. A peer that sends a size that no frame has is cut off, with a line in the log.
 *
 * Runs in the event loop. Frames wait in the socket while the card has no room or the machine is paused; what
 * the peer doesn't take is dropped. NULL with a line in `why`. This, and net->close(), with the machine lock
 * held or before the loop runs.
 */
struct net *net_socket_open(const char *path, struct loop *loop, struct clock *clock, struct log *log,
                            char *why, size_t why_size);

#endif
