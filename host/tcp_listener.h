/*
 * tcp_listener.h - a TCP port to listen at: on this host alone, unless another address is named.
 */
#ifndef HOST_TCP_LISTENER_H
#define HOST_TCP_LISTENER_H

#include <stdbool.h>
#include <stddef.h>

struct tcp_listener {
    int fd; /* non-blocking; -1: none */
    unsigned port;
};

/*
 * Listens at "[HOST:]PORT"; HOST is a name or an address (in brackets if it has colons), 127.0.0.1 by
 * default. PORT 0 is any; `port` says which. False with the reason in `why`; then there is nothing to close.
 */
bool tcp_listen(struct tcp_listener *listener, const char *where, char *why, size_t why_size);

/* The next client's socket, non-blocking, sending at once what is written; -1: there is none. */
int tcp_accept(const struct tcp_listener *listener);

/* Does nothing when fd is -1. */
void tcp_listener_close(struct tcp_listener *listener);

#endif
