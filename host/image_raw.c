/*
 * image_raw.c - raw images: the disk's bytes as they are, in a file that may have holes or on a block device.
 *
 * A guest that writes the magic number of another format to its first sector would get to decide what the
 * next run takes the file for, and with that which other files are opened. So where nobody said format=raw
 * such writes are refused.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "host/image.h"
#include "host/image_file.h"

struct raw {
    struct image image;
    struct image_file file;
    struct log *log;
    bool guessed; /* that it is raw */
};

static int raw_read(struct image *image, uint64_t offset, const struct iovec *iov, unsigned count,
                    size_t size)
{
    return image_file_read(&((struct raw *)image)->file, offset, iov, count, 0, size);
}

static int raw_read_now(struct image *image, uint64_t offset, const struct iovec *iov, unsigned count,
                        size_t size)
{
    return image_file_read_now(&((struct raw *)image)->file, offset, iov, count, size);
}

static int raw_write(struct image *image, uint64_t offset, const struct iovec *iov, unsigned count,
                     size_t size)
{
    struct raw *raw = (struct raw *)image;
    uint8_t head[IMAGE_SECTOR];

    if (raw->guessed && !offset && size >= sizeof(head)) {
        image_iov_gather(head, iov, count, 0, sizeof(head));
        const struct image_format *format = image_probe(head, sizeof(head), NULL);
        if (format != &image_raw_format) {
            if (raw->log)
                log_at(raw->log, LOG_WARN, "disk",
                       "%s: the guest makes its first sector look like %s, which the next run would take it "
                       "for; "
                       "refused (add ,format=raw to allow it)",
                       image->path, format->article_name);
            return EPERM;
        }
    }
    return image_file_write(&raw->file, offset, iov, count, 0, size);
}

static int raw_zero(struct image *image, uint64_t offset, uint64_t size)
{
    return image_file_zero(&((struct raw *)image)->file, offset, size);
}

static int raw_discard(struct image *image, uint64_t offset, uint64_t size)
{
    int error = image_file_punch(&((struct raw *)image)->file, offset, size);

    return error == EOPNOTSUPP ? 0 : error;
}

static int raw_flush(struct image *image)
{
    return image_file_flush(&((struct raw *)image)->file);
}

static int raw_extent(struct image *image, uint64_t offset, bool own, uint64_t *length, bool *data)
{
    (void)own;
    return image_file_extent(&((struct raw *)image)->file, offset, length, data);
}

static int raw_resize(struct image *image, uint64_t size, char *why, size_t why_size)
{
    struct raw *raw = (struct raw *)image;

    if (raw->file.device) {
        image_refuse(image->path, why, why_size, "is a block device, whose size is the host's");
        return EINVAL;
    }
    if (ftruncate(raw->file.fd, (off_t)size) < 0)
        return errno;
    image->size = raw->file.size = size;
    return 0;
}

static void raw_close(struct image *image)
{
    struct raw *raw = (struct raw *)image;

    image_file_close(&raw->file);
    free(raw);
}

static const struct image_ops raw_ops = {
    .name = "raw",
    .read = raw_read,
    .write = raw_write,
    .read_now = raw_read_now,
    .zero = raw_zero,
    .discard = raw_discard,
    .flush = raw_flush,
    .extent = raw_extent,
    .resize = raw_resize,
    .close = raw_close,
};

static struct image *raw_open(const struct image_options *options, const struct image_file *file, char *why,
                              size_t why_size)
{
    struct raw *raw;

    if (!file->size) {
        image_refuse(options->path, why, why_size,
                     "is empty; give it a size with 'oxbow image create FILE SIZE'");
        return NULL;
    }
    if (file->size % IMAGE_SECTOR) {
        image_refuse(options->path, why, why_size,
                     "its size of %" PRIu64
                     " bytes is not a multiple of 512: not a raw disk image, or cut short",
                     file->size);
        return NULL;
    }
    raw = calloc(1, sizeof(*raw));
    if (!raw) {
        image_refuse(options->path, why, why_size, "out of memory");
        return NULL;
    }
    raw->file = *file;
    raw->log = options->log;
    raw->guessed = !options->format;
    raw->image = (struct image){
        .ops = &raw_ops, .size = file->size, .can_discard = file->writable, .sector = file->sector};
    return &raw->image;
}

const struct image_format image_raw_format = {
    .name = "raw", .article_name = "a raw image", .writable = true, .open = raw_open};
