/*
 * image_file.c - plain preadv(2) and pwritev(2), so that killing Oxbow loses nothing that was written, and
 * reading the guest's disk never raises a signal.
 */
#include "host/image_file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/block.h"
#include "core/log.h"
#include "host/image.h"

static bool refuse_open(const char *path, int error, bool writing, char *why, size_t why_size)
{
    const char *text = strerror(error);

    switch (error) {
    case ENOENT:
        text = strchr(path, ',')
                   ? "no such file; what may stand behind the comma is readonly, snapshot or NAME=VALUE as "
                     "the manual page lists them"
               : writing ? "no such file; create an empty one with 'oxbow image create FILE SIZE'"
                         : "no such file";
        break;
    case ENOTDIR:
        text = "a part of the path is not a directory";
        break;
    case EISDIR:
        text = "is a directory, not a disk image";
        break;
    case EACCES:
    case EPERM:
    case EROFS:
        text = writing ? "no permission to write it; add ,readonly or ,snapshot, or change the permission"
                       : "no permission to read it; change the permission";
        break;
    case EBUSY:
        text = "the host uses this device (is it mounted?); unmount it, or add ,readonly";
        break;
    case ENOMEDIUM:
        text = "there is no medium in this drive";
        break;
    }
    return image_refuse(path, why, why_size, "%s", text);
}

/*
 * Opening a pipe without O_NONBLOCK would wait for the other end. On a block device, O_EXCL fails when it is
 * mounted.
 */
static int open_fd(const char *path, bool writing)
{
    int flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (writing ? O_RDWR : O_RDONLY);
    struct stat st;

    if (writing && stat(path, &st) == 0 && S_ISBLK(st.st_mode))
        flags |= O_EXCL;
    return open(path, flags);
}

static bool look(struct image_file *file, const char *path, char *why, size_t why_size)
{
    struct stat st;
    int sector = 0;

    if (fstat(file->fd, &st) < 0)
        return refuse_open(path, errno, false, why, why_size);
    if (S_ISDIR(st.st_mode))
        return refuse_open(path, EISDIR, false, why, why_size);
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        return image_refuse(path, why, why_size, "is neither a file nor a block device; give a disk image");
    file->device = S_ISBLK(st.st_mode);
    file->dev = file->device ? st.st_rdev : st.st_dev;
    file->ino = file->device ? 0 : st.st_ino;
    file->sector = file->device && ioctl(file->fd, BLKSSZGET, &sector) == 0 && sector == 4096 ? 4096 : 512;

    off_t end = lseek(file->fd, 0, SEEK_END);
    if (end < 0)
        return refuse_open(path, errno, false, why, why_size);
    file->size = (uint64_t)end;
    return true;
}

/*
 * Bytes by whose locks QEMU and its tools say what they do with an image, and what they don't want others to
 * do. A writer of ours locks all of the file, and with that these.
 */
enum { QEMU_READS = 100, QEMU_WRITES = 101, QEMU_RESIZES = 103, QEMU_NO_WRITER = 201, QEMU_NO_RESIZER = 203 };

/* Locks `size` bytes at `start`; 0: to the end. */
static bool lock_bytes(const struct image_file *file, int type, off_t start, off_t size)
{
    struct flock lock = {.l_type = (short)type, .l_whence = SEEK_SET, .l_start = start, .l_len = size};

    return fcntl(file->fd, F_OFD_SETLK, &lock) == 0;
}

/* Does somebody else hold a lock there? */
static bool is_locked(const struct image_file *file, off_t byte)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    return fcntl(file->fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* Any number of readers may be there, QEMU's among them. */
static bool lock_for_reading(const struct image_file *file)
{
    if (!lock_bytes(file, F_RDLCK, 0, 1))
        return false;
    if (is_locked(file, QEMU_WRITES) || is_locked(file, QEMU_RESIZES)) {
        errno = EAGAIN;
        return false;
    }
    return lock_bytes(file, F_RDLCK, QEMU_READS, 1) && lock_bytes(file, F_RDLCK, QEMU_NO_WRITER, 1) &&
           lock_bytes(file, F_RDLCK, QEMU_NO_RESIZER, 1);
}

/*
 * Open file description locks: they belong to this opening of the file, so that two disks of one process are
 * told apart, and vanish with it however it ends.
 */
static bool take_lock(const struct image_file *file, const char *path, struct log *log, char *why,
                      size_t why_size)
{
    if (file->writable ? lock_bytes(file, F_WRLCK, 0, 0) : lock_for_reading(file))
        return true;
    if (errno == EAGAIN || errno == EACCES)
        return image_refuse(path, why, why_size,
                            "another machine or program %s it; stop that one, or give this one a copy",
                            file->writable ? "uses" : "writes to");
    if (log)
        log_at(log, LOG_WARN, "disk",
               "%s: can't be locked here (%s): take care that nobody else writes to it", path,
               strerror(errno));
    return true;
}

bool image_file_open(struct image_file *file, const char *path, bool writing, struct log *log, char *why,
                     size_t why_size)
{
    *file = (struct image_file){.fd = open_fd(path, writing), .writable = writing};
    if (file->fd < 0)
        return refuse_open(path, errno, writing, why, why_size);
    if (look(file, path, why, why_size) && take_lock(file, path, log, why, why_size))
        return true;
    image_file_close(file);
    return false;
}

void image_file_close(struct image_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}

unsigned image_iov_slice(struct iovec *to, const struct iovec *iov, unsigned count, size_t skip, size_t size)
{
    unsigned used = 0;

    for (unsigned i = 0; i < count && size; i++) {
        size_t length = iov[i].iov_len;

        if (skip >= length) {
            skip -= length;
            continue;
        }
        length -= skip;
        if (length > size)
            length = size;
        to[used++] = (struct iovec){(uint8_t *)iov[i].iov_base + skip, length};
        size -= length;
        skip = 0;
    }
    return used;
}

/* Calls for each stretch of memory; `at` is how much of `size` came before it. */
#define FOR_EACH_STRETCH(iov, count, skip, size, body)                                                       \
    for (size_t i_ = 0, skip_ = (skip), at = 0; i_ < (count) && at < (size); i_++) {                         \
        size_t length = (iov)[i_].iov_len;                                                                   \
        if (skip_ >= length) {                                                                               \
            skip_ -= length;                                                                                 \
            continue;                                                                                        \
        }                                                                                                    \
        uint8_t *memory = (uint8_t *)(iov)[i_].iov_base + skip_;                                             \
        length -= skip_;                                                                                     \
        if (length > (size)-at)                                                                              \
            length = (size)-at;                                                                              \
        body;                                                                                                \
        at += length;                                                                                        \
        skip_ = 0;                                                                                           \
    }

void image_iov_zero(const struct iovec *iov, unsigned count, size_t skip, size_t size)
{
    FOR_EACH_STRETCH(iov, count, skip, size, memset(memory, 0, length))
}

void image_iov_gather(void *to, const struct iovec *iov, unsigned count, size_t skip, size_t size)
{
    FOR_EACH_STRETCH(iov, count, skip, size, memcpy((uint8_t *)to + at, memory, length))
}

void image_iov_scatter(const void *from, const struct iovec *iov, unsigned count, size_t skip, size_t size)
{
    FOR_EACH_STRETCH(iov, count, skip, size, memcpy(memory, (const uint8_t *)from + at, length))
}

/* Moves all, in as many calls as that takes. */
static int transfer(const struct image_file *file, bool writing, uint64_t offset, const struct iovec *iov,
                    unsigned count, size_t skip, size_t size)
{
    struct iovec pieces[BLOCK_PIECES];

    while (size) {
        unsigned used = image_iov_slice(pieces, iov, count, skip, size);
        ssize_t moved = writing ? pwritev(file->fd, pieces, (int)used, (off_t)offset)
                                : preadv(file->fd, pieces, (int)used, (off_t)offset);

        if (moved < 0 && errno == EINTR)
            continue;
        if (moved < 0)
            return errno;
        if (moved == 0) /* somebody made the file shorter */
            return writing ? ENOSPC : EIO;
        offset += (uint64_t)moved;
        skip += (size_t)moved;
        size -= (size_t)moved;
    }
    return 0;
}

int image_file_read(const struct image_file *file, uint64_t offset, const struct iovec *iov, unsigned count,
                    size_t skip, size_t size)
{
    return transfer(file, false, offset, iov, count, skip, size);
}

int image_file_write(const struct image_file *file, uint64_t offset, const struct iovec *iov, unsigned count,
                     size_t skip, size_t size)
{
    return transfer(file, true, offset, iov, count, skip, size);
}

int image_file_read_now(const struct image_file *file, uint64_t offset, const struct iovec *iov, unsigned count,
                        size_t size)
{
    ssize_t got = preadv2(file->fd, iov, (int)count, (off_t)offset, RWF_NOWAIT);

    return got == (ssize_t)size ? 0 : EAGAIN;
}

int image_file_read_at(const struct image_file *file, uint64_t offset, void *data, size_t size)
{
    return transfer(file, false, offset, &(struct iovec){data, size}, 1, 0, size);
}

int image_file_write_at(const struct image_file *file, uint64_t offset, const void *data, size_t size)
{
    return transfer(file, true, offset, &(struct iovec){(void *)(uintptr_t)data, size}, 1, 0, size);
}

static int write_zeroes(const struct image_file *file, uint64_t offset, uint64_t size)
{
    size_t step = size < 1 << 20 ? (size_t)size : 1 << 20;
    uint8_t *zeroes = calloc(1, step ? step : 1);
    int error = zeroes ? 0 : ENOMEM;

    for (; size && !error; offset += step, size -= step) {
        if (step > size)
            step = (size_t)size;
        error = image_file_write_at(file, offset, zeroes, step);
    }
    free(zeroes);
    return error;
}

int image_file_zero(const struct image_file *file, uint64_t offset, uint64_t size)
{
    /* A hole in a file that is long enough reads as zeroes; devices' holes need not. */
    if (file->device &&
        fallocate(file->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size) == 0)
        return 0;
    if (!file->device &&
        fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size) == 0)
        return 0;
    return write_zeroes(file, offset, size);
}

int image_file_punch(const struct image_file *file, uint64_t offset, uint64_t size)
{
    if (fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)size) == 0)
        return 0;
    return errno == ENOSYS || errno == EINVAL || errno == ENODEV ? EOPNOTSUPP : errno;
}

int image_file_flush(const struct image_file *file)
{
    return fdatasync(file->fd) < 0 ? errno : 0;
}

int image_file_extent(const struct image_file *file, uint64_t offset, uint64_t *length, bool *data)
{
    off_t start = lseek(file->fd, (off_t)offset, SEEK_DATA), end;

    *data = true;
    *length = file->size - offset;
    if (start < 0 && errno == ENXIO) { /* a hole up to the end */
        *data = false;
        return 0;
    }
    if (start < 0) /* the host can't tell */
        return 0;
    if ((uint64_t)start > offset) {
        *data = false;
        *length = (uint64_t)start - offset;
        return 0;
    }
    end = lseek(file->fd, (off_t)offset, SEEK_HOLE);
    if (end > start && (uint64_t)end - offset < *length)
        *length = (uint64_t)end - offset;
    return 0;
}

int image_file_temporary(const char **folder)
{
    const char *wanted = getenv("TMPDIR");
    char path[4096];

    *folder = wanted && *wanted ? wanted : "/var/tmp";
    int fd = open(*folder, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
        return fd;
    if (snprintf(path, sizeof(path), "%s/oxbow-XXXXXX", *folder) >= (int)sizeof(path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    return fd;
}
