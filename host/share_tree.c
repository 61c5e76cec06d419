/*
 * share_tree.c - the only place that turns names into descriptors. From a folder's descriptor one name leads
 * on, under RESOLVE_BENEATH and without following a link of any kind; what comes out is O_PATH, which opens
 * nothing. Only regular files and folders are then opened, through their own descriptor, so that nothing can
 * be put in their place meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/share_internal.h"

#define PLACE     (O_PATH | O_NOFOLLOW | O_CLOEXEC)
#define DEPTH_MAX 4096 /* of folders; PATH_MAX allows 2048 */

struct share_proc_path share_proc_path(int fd)
{
    struct share_proc_path path;

    snprintf(path.text, sizeof(path.text), "/proc/self/fd/%d", fd);
    return path;
}

bool share_try_again(struct share_server *server, int error, unsigned *tries)
{
    return (error == EMFILE || error == ENFILE) && (*tries)++ < 4 && share_fid_spare(server);
}

static int open_below(struct share_server *server, int dir, const char *path)
{
    struct open_how how = {.flags = PLACE,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    unsigned tries = 0, races = 0;
    long fd;

    do
        fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));
    while (fd < 0 && ((errno == EAGAIN && races++ < 16) || share_try_again(server, errno, &tries)));
    return fd < 0 ? -errno : (int)fd;
}

int share_open_child(struct share_server *server, int dir, const char *name)
{
    return open_below(server, dir, name);
}

int share_open_where(struct share_server *server, const char *where)
{
    return *where ? open_below(server, server->root, where) : share_duplicate(server, server->root);
}

int share_duplicate(struct share_server *server, int fd)
{
    unsigned tries = 0;
    int copy;

    do
        copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    while (copy < 0 && share_try_again(server, errno, &tries));
    return copy < 0 ? -errno : copy;
}

/* 1: it is the folder that is shared; 0: another; or a negative errno value. */
static int is_root(const struct share_server *server, int fd)
{
    struct stat st;

    if (fstat(fd, &st) < 0)
        return -errno;
    return st.st_dev == server->root_dev && st.st_ino == server->root_ino;
}

static int step_up(struct share_server *server, int dir)
{
    unsigned tries = 0;
    int fd;

    do
        fd = openat(dir, "..", PLACE | O_DIRECTORY);
    while (fd < 0 && share_try_again(server, errno, &tries));
    return fd < 0 ? -errno : fd;
}

/* Whether going up from this folder leads to the one that is shared; it doesn't when somebody moved it out.
 */
static bool is_below(struct share_server *server, int dir)
{
    int fd = share_duplicate(server, dir);

    for (unsigned depth = 0; fd >= 0 && depth < DEPTH_MAX; depth++) {
        int root = is_root(server, fd), up;

        if (root) {
            close(fd);
            return root > 0;
        }
        up = step_up(server, fd);
        close(fd);
        fd = up;
    }
    if (fd >= 0)
        close(fd);
    return false;
}

int share_open_parent(struct share_server *server, int dir)
{
    int root = is_root(server, dir), fd;

    if (root < 0)
        return root;
    if (root)
        return share_duplicate(server, dir);
    fd = step_up(server, dir);
    if (fd < 0 || is_below(server, fd))
        return fd;
    close(fd);
    return -ENOENT;
}

static int open_again(struct share_server *server, int path, int flags)
{
    struct share_proc_path proc = share_proc_path(path);
    unsigned tries = 0;
    int fd;

    do
        fd = open(proc.text, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    while (fd < 0 && share_try_again(server, errno, &tries));
    return fd < 0 ? -errno : fd;
}

int share_reopen(struct share_server *server, int path, int flags)
{
    bool write = (flags & O_ACCMODE) != O_RDONLY;
    struct stat st;

    if (fstat(path, &st) < 0)
        return -errno;
    if (S_ISLNK(st.st_mode))
        return -ELOOP;
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return -ENXIO;
    int fd = open_again(server, path, flags);
    if (fd == -EACCES && share_permit(server, path, write))
        fd = open_again(server, path, flags);
    return fd;
}

/* What the kernel calls it; false when it has no name any more, or too long a one. */
static bool name_of(int fd, char *name, size_t size)
{
    ssize_t length = readlink(share_proc_path(fd).text, name, size);

    if (length <= 0 || (size_t)length >= size)
        return false;
    name[length] = 0;
    return *name == '/';
}

bool share_where(const struct share_server *server, int fd, char *where, size_t size)
{
    char root[PATH_MAX], name[PATH_MAX];

    if (!name_of(server->root, root, sizeof(root)) || !name_of(fd, name, sizeof(name)))
        return false;
    size_t length = strlen(root);
    const char *rest = name + length;
    if (length == 1) /* all of the host */
        rest = name + 1;
    else if (strncmp(name, root, length) || (*rest && *rest != '/'))
        return false;
    else if (*rest)
        rest++;
    return (size_t)snprintf(where, size, "%s", rest) < size;
}

int share_locate(struct share_server *server, int fd, struct share_name *name)
{
    char where[PATH_MAX], *slash;
    struct stat st, there;

    if (fstat(fd, &st) < 0)
        return -errno;
    if (!share_where(server, fd, where, sizeof(where)))
        return -ENOENT;
    if (!*where)
        return -EBUSY; /* the folder itself */
    slash = strrchr(where, '/');
    if ((size_t)snprintf(name->text, sizeof(name->text), "%s", slash ? slash + 1 : where) >=
        sizeof(name->text))
        return -ENAMETOOLONG;
    *(slash ? slash : where) = 0;
    int parent = share_open_where(server, where);
    if (parent < 0)
        return parent;
    if (!fstatat(parent, name->text, &there, AT_SYMLINK_NOFOLLOW) && there.st_dev == st.st_dev &&
        there.st_ino == st.st_ino)
        return parent;
    close(parent);
    return -ENOENT;
}
