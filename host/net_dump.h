/*
 * net_dump.h - a network link that writes what passes through it into a file, as tcpdump and Wireshark read
 * it (pcap).
 */
#ifndef HOST_NET_DUMP_H
#define HOST_NET_DUMP_H

#include <stddef.h>

#include "core/net.h"

struct clock;
struct log;

/*
 * Stands before `net` and closes it in the end. Every frame is in the file, with the time by `clock`, when
 * the call that carried it returns; when the file can't be written any more, the log says so once. NULL with
 * a line in `why`; then `net` is still the caller's.
 */
struct net *net_dump_open(struct net *net, const char *path, struct clock *clock, struct log *log, char *why,
                          size_t why_size);

#endif
