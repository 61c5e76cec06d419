/* unix_listener.c - see unix_listener.h. */
#include "host/unix_listener.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Removes a socket that nobody listens on any more. NULL, or what is in the way. */
static const char *clear_path(const struct sockaddr_un *address)
{
    struct stat st;

    if (lstat(address->sun_path, &st) < 0)
        return errno == ENOENT ? NULL : strerror(errno);
    if (!S_ISSOCK(st.st_mode))
        return "exists and is not a socket";
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return strerror(errno);
    int result = connect(fd, (const struct sockaddr *)address, sizeof(*address));
    int error = result < 0 ? errno : 0;
    close(fd);
    if (error != ECONNREFUSED)
        return error == EACCES ? strerror(error) : "in use by another program";
    return unlink(address->sun_path) < 0 ? strerror(errno) : NULL;
}

static const char *bind_and_listen(struct unix_listener *listener)
{
    const struct sockaddr_un *address = &listener->address;
    struct stat st;

    /* Before bind() this sets the mode that the file is created with: nobody else gets in even for a moment.
     */
    if (fchmod(listener->fd, 0600) < 0 ||
        bind(listener->fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
        return strerror(errno);
    if (lstat(address->sun_path, &st) == 0) {
        listener->dev = st.st_dev;
        listener->ino = st.st_ino;
    }
    return listen(listener->fd, 8) < 0 ? strerror(errno) : NULL;
}

const char *unix_listen(struct unix_listener *listener, const char *path)
{
    const char *obstacle;

    *listener = (struct unix_listener){.fd = -1, .address.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(listener->address.sun_path))
        return "too long for a socket's path (at most 107 bytes)";
    memcpy(listener->address.sun_path, path, strlen(path) + 1);
    obstacle = clear_path(&listener->address);
    if (obstacle)
        return obstacle;
    listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener->fd < 0)
        return strerror(errno);
    obstacle = bind_and_listen(listener);
    if (obstacle)
        unix_listener_close(listener);
    return obstacle;
}

int unix_accept(const struct unix_listener *listener)
{
    return accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

void unix_listener_close(struct unix_listener *listener)
{
    struct stat st;

    if (listener->fd < 0)
        return;
    close(listener->fd);
    listener->fd = -1;
    if (listener->ino && lstat(listener->address.sun_path, &st) == 0 && st.st_ino == listener->ino &&
        st.st_dev == listener->dev)
        unlink(listener->address.sun_path);
}
