/*
 * disk_image.c - plain pread(2) and pwrite(2), so that killing Oxbow loses nothing that was written, and
 * reading the guest's disk never raises a signal.
 *
 * The overlay of a snapshot knows single sectors: a write never has to fetch what lies around it. The map of
 * what has been written is address space that gets memory as it is used, 1 MiB for 4 GiB of written data.
 */
#include "host/disk_image.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "host/disk.h"

#define SECTOR 512u

/* Images that say what they are, and are not raw. Given to a guest as they are, they would be destroyed. */
static const struct {
    unsigned offset, size;
    const char *magic, *name;
} formats[] = {
    {0, 4, "QFI\xfb", "qcow2"},         {0, 4, "KDMV", "vmdk"},
    {0, 8, "vhdxfile", "vhdx"},         {0, 8, "conectix", "vpc"},
    {64, 4, "\x7f\x10\xda\xbe", "vdi"},
};

static bool refuse(const char *path, const char *text, char *why, size_t why_size)
{
    snprintf(why, why_size, "%s: %s", path, text);
    return false;
}

static bool refuse_open(const char *path, int error, bool writing, char *why, size_t why_size)
{
    const char *text = strerror(error);

    switch (error) {
    case ENOENT:
        text = strchr(path, ',') ? "no such file; what may stand behind the comma is readonly or snapshot"
               : writing         ? "no such file; create an empty one with 'truncate -s SIZE FILE'"
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
    return refuse(path, text, why, why_size);
}

/*
 * Opening a pipe without O_NONBLOCK would wait for the other end. On a block device, O_EXCL fails when it is
 * mounted.
 */
static int open_image(const char *path, bool writing)
{
    int flags = O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (writing ? O_RDWR : O_RDONLY);
    struct stat st;

    if (writing && stat(path, &st) == 0 && S_ISBLK(st.st_mode))
        flags |= O_EXCL;
    return open(path, flags);
}

static bool check_kind(struct disk_image *image, const char *path, char *why, size_t why_size)
{
    struct stat st;

    if (fstat(image->fd, &st) < 0)
        return refuse(path, strerror(errno), why, why_size);
    if (S_ISDIR(st.st_mode))
        return refuse_open(path, EISDIR, false, why, why_size);
    if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
        return refuse(path, "is neither a file nor a block device; give a disk image", why, why_size);

    off_t end = lseek(image->fd, 0, SEEK_END);
    if (end < 0)
        return refuse(path, strerror(errno), why, why_size);
    image->size = (uint64_t)end;
    if (!end)
        return refuse(path, "is empty; give it a size with 'truncate -s SIZE FILE'", why, why_size);
    if (end % SECTOR) {
        snprintf(why, why_size,
                 "%s: its size of %" PRIu64
                 " bytes is not a multiple of 512: not a raw disk image, or cut short",
                 path, image->size);
        return false;
    }
    return true;
}

static bool check_format(struct disk_image *image, const char *path, char *why, size_t why_size)
{
    char head[SECTOR];
    int error = disk_image_read(image, 0, head, sizeof(head));

    if (error)
        return refuse(path, strerror(error), why, why_size);
    for (size_t i = 0; i < sizeof(formats) / sizeof(*formats); i++) {
        if (memcmp(head + formats[i].offset, formats[i].magic, formats[i].size) != 0)
            continue;
        snprintf(why, why_size, "%s: is a %s image, not a raw one; convert it to raw first", path,
                 formats[i].name);
        return false;
    }
    return true;
}

/*
 * Open file description locks: they belong to this opening of the file, so that two disks of one process are
 * told apart, and vanish with it however it ends.
 */
static bool take_lock(struct disk_image *image, const char *path, bool writing, struct log *log, char *why,
                      size_t why_size)
{
    struct flock lock = {.l_type = writing ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};

    if (fcntl(image->fd, F_OFD_SETLK, &lock) == 0)
        return true;
    if (errno == EAGAIN || errno == EACCES)
        return refuse(path,
                      writing
                          ? "another machine or program uses it; stop that one, or give this one a copy"
                          : "another machine or program writes to it; stop that one, or give this one a copy",
                      why, why_size);
    log_at(log, LOG_WARN, "disk", "%s: can't be locked here (%s): take care that nobody else writes to it",
           path, strerror(errno));
    return true;
}

static int open_temporary(const char *folder)
{
    char path[4096];
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);

    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
        return fd;
    if (snprintf(path, sizeof(path), "%s/oxbow-XXXXXX", folder) >= (int)sizeof(path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        unlink(path);
    return fd;
}

/* The overlay can grow as large as the disk, so it lies where large temporary files belong. */
static bool open_overlay(struct disk_image *image, const char *path, char *why, size_t why_size)
{
    const char *folder = getenv("TMPDIR");

    if (!folder || !*folder)
        folder = "/var/tmp";
    image->overlay = open_temporary(folder);
    if (image->overlay < 0 || ftruncate(image->overlay, (off_t)image->size) < 0) {
        snprintf(why, why_size,
                 "%s: no temporary file for its snapshot in %s: %s; set TMPDIR to another folder", path,
                 folder, strerror(errno));
        return false;
    }
    image->map_size = (size_t)(image->size / SECTOR / 8 + 1);
    void *map = mmap(NULL, image->map_size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED) {
        image->map_size = 0;
        return refuse(path, "too large for a snapshot with this host's memory", why, why_size);
    }
    image->map = map;
    return true;
}

bool disk_image_open(struct disk_image *image, const struct host_disk_options *options, struct log *log,
                     char *why, size_t why_size)
{
    bool writing = !options->read_only && !options->snapshot;
    const char *path = options->path;

    *image = (struct disk_image){.overlay = -1, .read_only = options->read_only && !options->snapshot};
    pthread_mutex_init(&image->map_lock, NULL);
    image->fd = open_image(path, writing);
    if (image->fd < 0)
        refuse_open(path, errno, writing, why, why_size);
    else if (check_kind(image, path, why, why_size) && take_lock(image, path, writing, log, why, why_size) &&
             check_format(image, path, why, why_size) &&
             (!options->snapshot || open_overlay(image, path, why, why_size)))
        return true;
    disk_image_close(image);
    return false;
}

void disk_image_close(struct disk_image *image)
{
    if (image->map)
        munmap(image->map, image->map_size);
    if (image->overlay >= 0)
        close(image->overlay);
    if (image->fd >= 0)
        close(image->fd);
    pthread_mutex_destroy(&image->map_lock);
    image->map = NULL;
    image->fd = image->overlay = -1;
}

static int read_fd(int fd, uint64_t offset, uint8_t *data, size_t size)
{
    while (size) {
        ssize_t got = pread(fd, data, size, (off_t)offset);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno;
        if (got == 0) /* somebody made the file shorter */
            return EIO;
        data += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return 0;
}

static int write_fd(int fd, uint64_t offset, const uint8_t *data, size_t size)
{
    while (size) {
        ssize_t put = pwrite(fd, data, size, (off_t)offset);

        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return put < 0 ? errno : ENOSPC;
        data += put;
        offset += (uint64_t)put;
        size -= (size_t)put;
    }
    return 0;
}

static bool in_overlay(const struct disk_image *image, uint64_t sector)
{
    return image->map[sector / 8] >> sector % 8 & 1;
}

/* How many bytes from `offset` on lie in the same file, and which one that is. */
static size_t find_run(struct disk_image *image, uint64_t offset, size_t size, int *fd)
{
    uint64_t first = offset / SECTOR, sector = first, end = first + size / SECTOR;

    pthread_mutex_lock(&image->map_lock);
    bool written = in_overlay(image, first);
    while (sector < end && in_overlay(image, sector) == written)
        sector++;
    pthread_mutex_unlock(&image->map_lock);
    *fd = written ? image->overlay : image->fd;
    return (size_t)(sector - first) * SECTOR;
}

int disk_image_read(struct disk_image *image, uint64_t offset, void *data, size_t size)
{
    uint8_t *to = data;

    if (!image->map)
        return read_fd(image->fd, offset, to, size);
    while (size) {
        int fd;
        size_t run = find_run(image, offset, size, &fd);
        int error = read_fd(fd, offset, to, run);

        if (error)
            return error;
        to += run;
        offset += run;
        size -= run;
    }
    return 0;
}

int disk_image_write(struct disk_image *image, uint64_t offset, const void *data, size_t size)
{
    if (image->read_only)
        return EROFS;
    if (!image->map)
        return write_fd(image->fd, offset, data, size);

    int error = write_fd(image->overlay, offset, data, size);
    if (error)
        return error;
    pthread_mutex_lock(&image->map_lock);
    for (uint64_t sector = offset / SECTOR; sector < (offset + size) / SECTOR; sector++)
        image->map[sector / 8] |= (uint8_t)(1u << sector % 8);
    pthread_mutex_unlock(&image->map_lock);
    return 0;
}

int disk_image_flush(struct disk_image *image)
{
    /* An overlay needs to survive nothing. */
    if (image->read_only || image->map)
        return 0;
    return fdatasync(image->fd) < 0 ? errno : 0;
}
