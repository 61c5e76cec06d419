/*
 * share_attr.c - what is known of a file beside its contents, and of the file system; extended attributes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "host/share_internal.h"

#define GETATTR_BASIC 0x7FFu /* all but creation time, generation and data version */

enum setattr_bit {
    SETATTR_MODE = 0x01,
    SETATTR_UID = 0x02,
    SETATTR_GID = 0x04,
    SETATTR_SIZE = 0x08,
    SETATTR_ATIME = 0x10,
    SETATTR_MTIME = 0x20,
    SETATTR_CTIME = 0x40,
    SETATTR_ATIME_SET = 0x80,
    SETATTR_MTIME_SET = 0x100,
};

#define V9FS_MAGIC 0x01021997u /* what statfs(2) says in a guest: a file system of a network's */

/* The kernel's way to send a device's number to user space, which 9P2000.L took over. */
static uint64_t encode_device(dev_t dev)
{
    uint32_t major = major(dev), minor = minor(dev);

    return (minor & 0xFF) | major << 8 | (uint64_t)(minor & ~0xFFu) << 12;
}

static void put_time(struct share_message *m, const struct timespec *time)
{
    share_put64(m, (uint64_t)time->tv_sec);
    share_put64(m, (uint64_t)time->tv_nsec);
}

int share_getattr(struct share_message *m)
{
    struct share_fid *fid = share_fid_read(m);
    struct stat st;
    int error;

    share_get64(m); /* which of them it wants; all cost the same */
    error = m->error;
    if (!error)
        error = share_stat(m->server, fid->path, &st);
    share_fid_put(m->server, fid);
    if (error)
        return error;
    share_put64(m, GETATTR_BASIC);
    share_put_qid(m, &st);
    share_put32(m, st.st_mode);
    share_put32(m, st.st_uid);
    share_put32(m, st.st_gid);
    share_put64(m, st.st_nlink);
    share_put64(m, encode_device(st.st_rdev));
    share_put64(m, (uint64_t)st.st_size);
    share_put64(m, (uint64_t)st.st_blksize);
    share_put64(m, (uint64_t)st.st_blocks);
    put_time(m, &st.st_atim);
    put_time(m, &st.st_mtim);
    put_time(m, &st.st_ctim);
    for (unsigned n = 0; n < 4; n++) /* creation time, generation, data version */
        share_put64(m, 0);
    return 0;
}

static int set_size(struct share_server *server, const struct share_fid *fid, uint64_t size)
{
    int file = fid->file, error = 0;

    if (size > INT64_MAX)
        return EFBIG;
    if (file >= 0 && ftruncate(file, (off_t)size) == 0)
        return 0;
    file = share_reopen(server, fid->path, O_WRONLY); /* it may be open for reading */
    if (file < 0)
        return -file;
    if (ftruncate(file, (off_t)size) < 0)
        error = errno;
    close(file);
    return error;
}

static struct timespec new_time(uint32_t valid, enum setattr_bit touch, enum setattr_bit set,
                                uint64_t seconds, uint64_t ns)
{
    if (!(valid & touch))
        return (struct timespec){.tv_nsec = UTIME_OMIT};
    if (!(valid & set) || ns > 999999999)
        return (struct timespec){.tv_nsec = UTIME_NOW};
    return (struct timespec){(time_t)seconds, (long)ns};
}

int share_setattr(struct share_message *m)
{
    struct share_fid *fid = share_fid_read(m);
    uint32_t valid = share_get32(m), mode = share_get32(m), uid = share_get32(m), gid = share_get32(m);
    uint64_t size = share_get64(m);
    uint64_t atime = share_get64(m), atime_ns = share_get64(m), mtime = share_get64(m),
             mtime_ns = share_get64(m);
    struct timespec times[2] = {
        new_time(valid, SETATTR_ATIME, SETATTR_ATIME_SET, atime, atime_ns),
        new_time(valid, SETATTR_MTIME, SETATTR_MTIME_SET, mtime, mtime_ns),
    };
    int error = m->error;

    if (!error && valid & (SETATTR_MODE | SETATTR_UID | SETATTR_GID))
        error = share_set_owner(m->server, fid->path, valid & SETATTR_UID ? uid : P9_NOUID,
                                valid & SETATTR_GID ? gid : P9_NOUID,
                                valid & SETATTR_MODE ? (int)(mode & 07777) : -1);
    if (!error && valid & SETATTR_SIZE)
        error = set_size(m->server, fid, size);
    if (!error && valid & (SETATTR_ATIME | SETATTR_MTIME) &&
        utimensat(fid->path, "", times, AT_EMPTY_PATH) < 0)
        error = errno;
    /* Only the change's own time: any change will do. */
    if (!error && valid == SETATTR_CTIME && fchownat(fid->path, "", (uid_t)-1, (gid_t)-1, AT_EMPTY_PATH) < 0)
        error = errno;
    share_fid_put(m->server, fid);
    return error;
}

int share_statfs(struct share_message *m)
{
    struct share_fid *fid = share_fid_read(m);
    struct statfs fs;
    int error = m->error;

    if (!error && fstatfs(fid->path, &fs) < 0)
        error = errno;
    share_fid_put(m->server, fid);
    if (error)
        return error;
    share_put32(m, V9FS_MAGIC);
    share_put32(m, (uint32_t)fs.f_bsize);
    share_put64(m, fs.f_blocks);
    share_put64(m, fs.f_bfree);
    share_put64(m, fs.f_bavail);
    share_put64(m, fs.f_files);
    share_put64(m, fs.f_ffree);
    share_put64(m, (uint32_t)fs.f_fsid.__val[0] | (uint64_t)(uint32_t)fs.f_fsid.__val[1] << 32);
    share_put32(m, (uint32_t)fs.f_namelen);
    return 0;
}

/* --- Extended attributes
 * ---------------------------------------------------------------------------------------- */

/*
 * The attribute's name on the host. Mapped, what only the host's root may set (capabilities, trusted.*) is
 * kept under another name, and Oxbow's own attributes aren't there.
 */
static int host_name(const struct share_server *server, const char *name, char *host)
{
    bool mapped = server->owners == SHARE_OWNERS_MAPPED;
    bool users = !strncmp(name, "user.", 5);

    if (mapped && !strncmp(name, SHARE_HIDDEN, strlen(SHARE_HIDDEN)))
        return EPERM;
    const char *prefix = mapped && !users ? SHARE_OTHERS_XATTR : "";
    if (strlen(prefix) + strlen(name) > XATTR_NAME_MAX)
        return ERANGE;
    strcpy(host, prefix);
    strcat(host, name);
    return 0;
}

/* The list of names as the guest is to see it, in place; its new size. */
static size_t guest_names(const struct share_server *server, char *list, size_t size)
{
    size_t kept = 0;

    if (server->owners != SHARE_OWNERS_MAPPED)
        return size;
    for (size_t at = 0, length; at < size; at += length) {
        const char *name = list + at;

        length = strnlen(name, size - at) + 1;
        if (length > size - at)
            break;
        size_t cut =
            strncmp(name, SHARE_OTHERS_XATTR, strlen(SHARE_OTHERS_XATTR)) ? 0 : strlen(SHARE_OTHERS_XATTR);
        if (!cut && !strncmp(name, SHARE_HIDDEN, strlen(SHARE_HIDDEN)))
            continue;
        memmove(list + kept, name + cut, length - cut);
        kept += length - cut;
    }
    return kept;
}

/* The value of an attribute, or with an empty name the list of them, in xattr->value; 0 or an errno value. */
static int fetch(struct share_server *server, const struct share_fid *fid, struct share_xattr *xattr)
{
    struct share_proc_path proc = share_proc_path(fid->path);
    char host[XATTR_NAME_MAX + 1];
    ssize_t size;
    int error;

    if (!*xattr->name) {
        size = listxattr(proc.text, (char *)xattr->value, SHARE_XATTR_MAX);
        if (size < 0)
            return errno;
        xattr->size = guest_names(server, (char *)xattr->value, (size_t)size);
        return 0;
    }
    error = host_name(server, xattr->name, host);
    if (error)
        return error == EPERM ? ENODATA : error;
    size = getxattr(proc.text, host, xattr->value, SHARE_XATTR_MAX);
    xattr->size = size < 0 ? 0 : (size_t)size;
    return size < 0 ? errno : 0;
}

int share_xattrwalk(struct share_message *m)
{
    struct share_xattr *xattr = calloc(1, sizeof(*xattr) + SHARE_XATTR_MAX), *small;
    struct share_fid *fid = share_fid_read(m);
    uint32_t number = share_get32(m);
    int error, path;

    if (!xattr)
        m->error = ENOMEM;
    else
        share_get_string(m, xattr->name, sizeof(xattr->name));
    error = m->error;
    if (!error && share_fid_known(m->server, number))
        error = EBADF;
    if (!error)
        error = fetch(m->server, fid, xattr);
    if (error) {
        free(xattr);
        share_fid_put(m->server, fid);
        return error;
    }
    small = realloc(xattr, sizeof(*xattr) + xattr->size);
    if (small)
        xattr = small;
    share_put64(m, xattr->size);
    path = share_duplicate(m->server, fid->path);
    if (path < 0)
        free(xattr);
    error = path < 0 ? -path : share_fid_add(m->server, number, path, fid->uid, xattr);
    share_fid_put(m->server, fid);
    return error;
}

/* The fid is the attribute's from then on. */
int share_xattrcreate(struct share_message *m)
{
    struct share_fid *fid = share_fid_write(m);
    char name[XATTR_NAME_MAX + 1], host[XATTR_NAME_MAX + 1];
    int error;

    share_get_string(m, name, sizeof(name));
    uint64_t size = share_get64(m);
    uint32_t flags = share_get32(m);
    error = m->error;
    if (!error &&
        (fid->file >= 0 || fid->xattr || !*name || flags & ~(uint32_t)(XATTR_CREATE | XATTR_REPLACE)))
        error = EINVAL;
    if (!error && size > SHARE_XATTR_MAX)
        error = E2BIG;
    if (!error)
        error = host_name(m->server, name, host);
    if (!error) {
        fid->xattr = calloc(1, sizeof(*fid->xattr) + (size_t)size);
        error = fid->xattr ? 0 : ENOMEM;
    }
    if (!error) {
        fid->xattr->writing = true;
        fid->xattr->flags = (int)flags;
        fid->xattr->size = (size_t)size;
        strcpy(fid->xattr->name, name);
    }
    share_fid_put(m->server, fid);
    return error;
}

int share_xattr_set(struct share_server *server, const struct share_fid *fid)
{
    const struct share_xattr *xattr = fid->xattr;
    struct share_proc_path proc = share_proc_path(fid->path);
    char host[XATTR_NAME_MAX + 1];
    int error;

    if (xattr->filled < xattr->size)
        return EINVAL;
    error = host_name(server, xattr->name, host);
    if (error)
        return error;
    /* This is how Linux removes one. */
    if (!xattr->size && xattr->flags == XATTR_REPLACE)
        return removexattr(proc.text, host) < 0 ? errno : 0;
    return setxattr(proc.text, host, xattr->value, xattr->size, xattr->flags) < 0 ? errno : 0;
}
