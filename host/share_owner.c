/*
 * share_owner.c - owners and modes. As on the host, or mapped: then what the guest sets is a line of text in
 * the attribute user.oxbow.owner of the file, "UID GID MODE RDEV", the mode in octal with its type and the
 * device as MAJOR:MINOR; and the host's own owner stays whoever runs Oxbow, with a mode that lets him at it.
 *
 *     guest: chown 33:33 f; chmod 4750 f    host: f is 0750, user.oxbow.owner = "33 33 104750 0:0"
 *     guest: mknod d b 8 0                  host: d is an empty file, user.oxbow.owner = "0 0 60600 8:0"
 *
 * Without the attribute, what belongs to the host user is root's for the guest, so that a tree that an
 * ordinary user unpacked is a root file system. Links have no such attributes in Linux; they are always
 * root's.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "host/share_internal.h"

#define MODE_BITS 07777

static void map_usual(const struct share_server *server, struct stat *st)
{
    if (st->st_uid == server->host_uid)
        st->st_uid = 0;
    if (st->st_gid == server->host_gid)
        st->st_gid = 0;
}

/* A regular file may stand for another kind of file, a folder is one. */
static bool plausible(mode_t host, mode_t mode)
{
    return S_ISREG(host) ? S_ISREG(mode) || S_ISCHR(mode) || S_ISBLK(mode) || S_ISFIFO(mode) || S_ISSOCK(mode)
                         : (host & S_IFMT) == (mode & S_IFMT);
}

/* What the attribute says, if it is there and makes sense. */
static void read_kept(int path, struct stat *st)
{
    uint32_t uid, gid, mode, major, minor;
    char text[80];
    ssize_t size = getxattr(share_proc_path(path).text, SHARE_OWNER_XATTR, text, sizeof(text) - 1);

    if (size <= 0)
        return;
    text[size] = 0;
    if (sscanf(text, "%" SCNu32 " %" SCNu32 " %" SCNo32 " %" SCNu32 ":%" SCNu32, &uid, &gid, &mode, &major,
               &minor) != 5 ||
        !plausible(st->st_mode, mode))
        return;
    st->st_uid = uid;
    st->st_gid = gid;
    st->st_mode = mode & (S_IFMT | MODE_BITS);
    st->st_rdev = makedev(major, minor);
    if (!S_ISREG(st->st_mode) && !S_ISDIR(st->st_mode))
        st->st_size = 0;
}

int share_stat(struct share_server *server, int path, struct stat *st)
{
    if (fstat(path, st) < 0)
        return errno;
    if (server->owners != SHARE_OWNERS_MAPPED)
        return 0;
    map_usual(server, st);
    if (S_ISREG(st->st_mode) || S_ISDIR(st->st_mode))
        read_kept(path, st);
    return 0;
}

static int host_chmod(int path, mode_t mode)
{
    return chmod(share_proc_path(path).text, mode) < 0 ? errno : 0;
}

static int host_chown(int path, uint32_t uid, uint32_t gid)
{
    return fchownat(path, "", uid, gid, AT_EMPTY_PATH) < 0 ? errno : 0;
}

/* The mode that lets the host user at what the guest's root may have. */
static mode_t host_mode(mode_t type, mode_t mode)
{
    return (mode & 0777) | (S_ISDIR(type) ? 0700 : 0600);
}

/* Makes the guest see `wanted`; the attribute stays away where it says nothing new. */
static int keep(struct share_server *server, int path, const struct stat *wanted)
{
    struct share_proc_path proc = share_proc_path(path);
    struct stat st;
    char text[80];
    int error;

    if (fstat(path, &st) < 0)
        return errno;
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return S_ISLNK(st.st_mode) ? 0 : EPERM;
    error = host_chmod(path, host_mode(st.st_mode, wanted->st_mode));
    if (error)
        return error;
    if (fstat(path, &st) < 0)
        return errno;
    map_usual(server, &st);
    if (st.st_uid == wanted->st_uid && st.st_gid == wanted->st_gid && st.st_mode == wanted->st_mode)
        return removexattr(proc.text, SHARE_OWNER_XATTR) < 0 && errno != ENODATA && errno != ENOTSUP ? errno
                                                                                                     : 0;
    int size = snprintf(text, sizeof(text), "%u %u %o %u:%u", wanted->st_uid, wanted->st_gid, wanted->st_mode,
                        major(wanted->st_rdev), minor(wanted->st_rdev));
    return setxattr(proc.text, SHARE_OWNER_XATTR, text, (size_t)size, 0) < 0 ? errno : 0;
}

static int set_mapped(struct share_server *server, int path, uint32_t uid, uint32_t gid, int mode)
{
    struct stat st;
    int error;

    pthread_mutex_lock(&server->owner_lock);
    error = share_stat(server, path, &st);
    if (!error) {
        if (uid != P9_NOUID)
            st.st_uid = uid;
        if (gid != P9_NOUID)
            st.st_gid = gid;
        if (mode >= 0)
            st.st_mode = (st.st_mode & S_IFMT) | ((mode_t)mode & MODE_BITS);
        error = keep(server, path, &st);
    }
    pthread_mutex_unlock(&server->owner_lock);
    return error;
}

int share_set_owner(struct share_server *server, int path, uint32_t uid, uint32_t gid, int mode)
{
    int error = 0;

    if (server->owners == SHARE_OWNERS_MAPPED)
        return set_mapped(server, path, uid, gid, mode);
    if (uid != P9_NOUID || gid != P9_NOUID)
        error = host_chown(path, uid, gid);
    /* After the owner, whose change takes the set-user-ID bit away. */
    return error || mode < 0 ? error : host_chmod(path, (mode_t)mode & MODE_BITS);
}

int share_own(struct share_server *server, int path, uint32_t uid, uint32_t gid, mode_t mode, dev_t rdev)
{
    struct stat st = {.st_mode = mode, .st_rdev = rdev};
    int error;

    if (server->owners == SHARE_OWNERS_MAPPED) {
        st.st_uid = uid == P9_NOUID ? 0 : uid;
        st.st_gid = gid == P9_NOUID ? 0 : gid;
        pthread_mutex_lock(&server->owner_lock);
        error = keep(server, path, &st);
        pthread_mutex_unlock(&server->owner_lock);
        return error;
    }
    /* An ordinary user can't give files away: they are his. */
    error = host_chown(path, uid, gid);
    if (error && (server->host_uid == 0 || error != EPERM))
        return error;
    return S_ISLNK(mode) ? 0 : host_chmod(path, mode & MODE_BITS);
}

bool share_keeps_node(const struct share_server *server, mode_t mode)
{
    return server->owners != SHARE_OWNERS_MAPPED || S_ISREG(mode);
}

bool share_permit(struct share_server *server, int path, bool write)
{
    mode_t need = write ? 0600 : 0400;
    struct stat host, st;
    int error = EPERM;

    if (server->owners != SHARE_OWNERS_MAPPED || server->read_only)
        return false;
    pthread_mutex_lock(&server->owner_lock);
    if (!fstat(path, &host) && host.st_uid == server->host_uid && (host.st_mode & need) != need &&
        (S_ISREG(host.st_mode) || S_ISDIR(host.st_mode)) && !share_stat(server, path, &st))
        error = keep(server, path, &st);
    pthread_mutex_unlock(&server->owner_lock);
    return !error;
}

bool host_share_can_map(const char *path)
{
    return getxattr(path, SHARE_OWNER_XATTR, NULL, 0) >= 0 || errno == ENODATA;
}
