/*
 * unix_listener.h - a Unix socket that listens at a path, for this user alone (mode 0600).
 */
#ifndef HOST_UNIX_LISTENER_H
#define HOST_UNIX_LISTENER_H

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/un.h>

struct unix_listener {
    int fd; /* non-blocking; -1: none */
    struct sockaddr_un address;
    dev_t dev; /* of the socket file we made: only that one is ours to remove */
    ino_t ino;
};

/*
 * Listens at `path`, in place of a socket there that nobody listens on any more. NULL, or what is in the way;
 * then there is nothing to close.
 */
const char *unix_listen(struct unix_listener *listener, const char *path);

/* The next client's socket, non-blocking; -1: there is none. */
int unix_accept(const struct unix_listener *listener);

/* Closes it and removes its file. Does nothing when fd is -1. */
void unix_listener_close(struct unix_listener *listener);

#endif
