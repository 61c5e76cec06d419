/*
 * share_file.c - contents: files opened, read and written straight from and to the client's memory; folders
 * listed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "host/share_internal.h"

#define DOTL_TRUNC 01000u
#define LIST_SIZE  16384u /* bytes of getdents64() at once */

/*
 * O_APPEND is left to the client, which knows where the end is and says so with each write: one that caches
 * writes back through any descriptor of the file.
 */
int share_lopen(struct share_message *m)
{
    struct share_fid *fid = share_fid_write(m);
    uint32_t flags = share_get32(m);
    int access = (int)(flags & O_ACCMODE), error = m->error, file;
    struct stat st;

    if (!error && (fid->file >= 0 || fid->xattr))
        error = EINVAL;
    if (!error && m->server->read_only && (access != O_RDONLY || flags & DOTL_TRUNC))
        error = EROFS;
    if (!error)
        error = share_stat(m->server, fid->path, &st);
    /* What stands for a device isn't opened, either. */
    if (!error && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        error = S_ISLNK(st.st_mode) ? ELOOP : ENXIO;
    if (!error) {
        file = share_reopen(m->server, fid->path,
                            access == O_ACCMODE ? O_RDONLY : access | (flags & DOTL_TRUNC ? O_TRUNC : 0));
        error = file < 0 ? -file : 0;
    }
    if (!error) {
        fid->file = file;
        share_put_qid(m, &st);
        share_put32(m, 0); /* iounit: as msize allows */
    }
    share_fid_put(m->server, fid);
    return error;
}

static int read_file(struct share_message *m, const struct share_fid *fid, uint64_t offset, size_t count)
{
    struct iovec slice[IOV_MAX];
    unsigned pieces = share_slice(slice, m->out_iov, m->out_count, P9_IO_HEADER, count);
    ssize_t got;

    if (offset > INT64_MAX)
        return EINVAL;
    do
        got = preadv(fid->file, slice, (int)pieces, (off_t)offset);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return errno;
    m->payload = (size_t)got;
    return 0;
}

static void read_xattr(struct share_message *m, const struct share_xattr *xattr, uint64_t offset,
                       size_t count)
{
    if (offset >= xattr->size)
        return;
    if (count > xattr->size - offset)
        count = xattr->size - (size_t)offset;
    m->payload = share_scatter(m->out_iov, m->out_count, P9_IO_HEADER, xattr->value + offset, count);
}

/* How much of what the client wants has room in the answer. */
static size_t fitting(const struct share_message *m, uint32_t count)
{
    size_t room = m->room - P9_IO_HEADER;

    return count < room ? count : room;
}

int share_read(struct share_message *m)
{
    struct share_fid *fid = share_fid_read(m);
    uint64_t offset = share_get64(m);
    uint32_t count = share_get32(m);
    int error = m->error;

    if (!error && fid->xattr && !fid->xattr->writing)
        read_xattr(m, fid->xattr, offset, fitting(m, count));
    else if (!error)
        error = fid->file < 0 ? EBADF : read_file(m, fid, offset, fitting(m, count));
    share_put32(m, (uint32_t)m->payload);
    share_fid_put(m->server, fid);
    return error;
}

/* From its start to its end, as clients do. */
static int write_xattr(struct share_message *m, struct share_xattr *xattr, uint64_t offset, size_t count)
{
    int error = EINVAL;

    pthread_mutex_lock(&m->server->lock);
    if (offset == xattr->filled && count <= xattr->size - xattr->filled) {
        share_gather(xattr->value + offset, count, m->in_iov, m->in_count, m->at);
        xattr->filled += count;
        error = 0;
    }
    pthread_mutex_unlock(&m->server->lock);
    return error;
}

static int write_file(struct share_message *m, const struct share_fid *fid, uint64_t offset, size_t *count)
{
    struct iovec slice[IOV_MAX];
    unsigned pieces = share_slice(slice, m->in_iov, m->in_count, m->at, *count);
    ssize_t done;

    if (offset > INT64_MAX)
        return EFBIG;
    do
        done = pwritev(fid->file, slice, (int)pieces, (off_t)offset);
    while (done < 0 && errno == EINTR);
    if (done < 0)
        return errno;
    *count = (size_t)done;
    return 0;
}

/* The bytes follow the message's fields; its size may or may not count them. */
int share_write(struct share_message *m)
{
    struct share_fid *fid = share_fid_read(m);
    uint64_t offset = share_get64(m);
    size_t count = share_get32(m);
    int error = m->error;

    if (!error && count > m->in_total - m->at)
        error = EPROTO;
    if (!error && fid->xattr && fid->xattr->writing)
        error = write_xattr(m, fid->xattr, offset, count);
    else if (!error)
        error = fid->file < 0 ? EBADF : write_file(m, fid, offset, &count);
    share_put32(m, (uint32_t)count);
    share_fid_put(m->server, fid);
    return error;
}

/* As getdents64() has it. */
struct list_entry {
    ino64_t ino;
    off64_t next;
    unsigned short size;
    unsigned char type;
    char name[];
};

/* One entry of the answer; false when there is no room for it. */
static bool list_one(struct share_message *m, const struct share_fid *dir, const struct list_entry *entry,
                     size_t count)
{
    bool root_up =
        dir->ino == m->server->root_ino && dir->dev == m->server->root_dev && !strcmp(entry->name, "..");
    size_t start = m->out_size, size;
    unsigned char type = entry->type;

    /* It may stand for another kind of file: then its own attributes say. */
    if (m->server->owners == SHARE_OWNERS_MAPPED && type == DT_REG)
        type = DT_UNKNOWN;
    share_put8(m, share_qid_type(DTTOIF(type)));
    share_put32(m, 0);
    share_put64(m, share_qid_path(m->server, dir->dev, root_up ? dir->ino : entry->ino));
    share_put64(m, (uint64_t)entry->next);
    share_put8(m, type);
    share_put_string(m, entry->name, strlen(entry->name));
    size = m->out_size - start;
    m->out_size = start;
    if (size > count - m->payload)
        return false;
    m->payload += share_scatter(m->out_iov, m->out_count, P9_IO_HEADER + m->payload, m->out + start, size);
    return true;
}

static int list(struct share_message *m, const struct share_fid *dir, uint64_t offset, size_t count)
{
    _Alignas(struct list_entry) char buffer[LIST_SIZE];
    long got = 0;

    if (offset > INT64_MAX || lseek(dir->file, (off_t)offset, SEEK_SET) < 0)
        return EINVAL;
    while ((got = syscall(SYS_getdents64, dir->file, buffer, sizeof(buffer))) > 0)
        for (long at = 0; at < got;) {
            const struct list_entry *entry = (const void *)(buffer + at);

            if (!list_one(m, dir, entry, count))
                return m->payload ? 0 : EINVAL; /* not even one fits */
            at += entry->size;
        }
    return got < 0 ? errno : 0;
}

int share_readdir(struct share_message *m)
{
    struct share_fid *fid = share_fid_write(m);
    uint64_t offset = share_get64(m);
    uint32_t count = share_get32(m);
    int error = m->error;

    if (!error)
        error = fid->file < 0 || fid->xattr ? EBADF : list(m, fid, offset, fitting(m, count));
    share_put32(m, (uint32_t)m->payload);
    share_fid_put(m->server, fid);
    return error;
}

int share_fsync(struct share_message *m)
{
    struct share_fid *fid = share_fid_read(m);
    bool data_only = m->in_size - m->at >= 4 && share_get32(m); /* older clients don't say */
    int error = m->error;

    if (!error && fid->file < 0)
        error = EBADF;
    if (!error && (data_only ? fdatasync(fid->file) : fsync(fid->file)) < 0)
        error = errno;
    share_fid_put(m->server, fid);
    return error;
}

int share_readlink(struct share_message *m)
{
    struct share_fid *fid = share_fid_read(m);
    char target[PATH_MAX];
    ssize_t length;
    int error = m->error;

    if (!error) {
        length = readlinkat(fid->path, "", target, sizeof(target));
        if (length < 0)
            error = errno == ENOENT ? EINVAL : errno; /* what isn't a link */
        else
            share_put_string(m, target, (size_t)length);
    }
    share_fid_put(m->server, fid);
    return error;
}
