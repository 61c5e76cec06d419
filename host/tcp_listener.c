/* tcp_listener.c - see tcp_listener.h. */
#include "host/tcp_listener.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* "[HOST:]PORT" in its parts; `host` is of `size` bytes. False: it isn't that. */
static bool parse(const char *where, char *host, size_t size, const char **port)
{
    const char *colon = strrchr(where, ':');
    size_t length = colon ? (size_t)(colon - where) : 0;

    *port = colon ? colon + 1 : where;
    if (length >= 2 && where[0] == '[' && where[length - 1] == ']') {
        where++;
        length -= 2;
    } else if (memchr(where, ':', length)) { /* which of the colons? */
        return false;
    }
    if (length >= size || !**port)
        return false;
    snprintf(host, size, "%.*s", (int)length, length ? where : "");
    if (!length)
        snprintf(host, size, "127.0.0.1");
    for (const char *c = *port; *c; c++)
        if (!isdigit((unsigned char)*c))
            return false;
    return strlen(*port) <= 5 && atoi(*port) <= 65535;
}

static unsigned port_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof(address);

    if (getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        return 0;
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                               : ((struct sockaddr_in *)&address)->sin_port);
}

bool tcp_listen(struct tcp_listener *listener, const char *where, char *why, size_t why_size)
{
    struct addrinfo wanted = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *found;
    const char *port;
    char host[256];
    int error, on = 1;

    listener->fd = -1;
    if (!parse(where, host, sizeof(host), &port)) {
        snprintf(why, why_size, "%s: is not [HOST:]PORT", where);
        return false;
    }
    error = getaddrinfo(host, port, &wanted, &found);
    if (error) {
        snprintf(why, why_size, "%s: %s", where, gai_strerror(error));
        return false;
    }
    listener->fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener->fd < 0 || setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(listener->fd, found->ai_addr, found->ai_addrlen) < 0 || listen(listener->fd, 4) < 0) {
        snprintf(why, why_size, "%s: %s", where, strerror(errno));
        tcp_listener_close(listener);
    }
    freeaddrinfo(found);
    if (listener->fd < 0)
        return false;
    listener->port = port_of(listener->fd);
    return true;
}

int tcp_accept(const struct tcp_listener *listener)
{
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;

    if (fd >= 0)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

void tcp_listener_close(struct tcp_listener *listener)
{
    if (listener->fd >= 0)
        close(listener->fd);
    listener->fd = -1;
}
