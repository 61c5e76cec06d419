/*
 * image.c - the formats of disk images, which one a file has, and what all of them have in common.
 */
#include "host/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "core/block.h"
#include "host/image_file.h"

/* A row a line. */
/* clang-format off */
const struct image_format *const image_formats[] = {
    &image_qcow2_format,
    &image_vmdk_format,
    &image_vdi_format,
    &image_vhd_format,
    &image_vhdx_format,
    &image_nbd_format,
    &image_raw_format,
    NULL,
};
/* clang-format on */

bool image_refuse(const char *path, char *why, size_t why_size, const char *format, ...)
{
    va_list arguments;
    int used = snprintf(why, why_size, "%.200s: ", path);

    va_start(arguments, format);
    if (used >= 0 && (size_t)used < why_size)
        vsnprintf(why + used, why_size - (size_t)used, format, arguments);
    va_end(arguments);
    return false;
}

const struct image_format *image_format_find(const char *name)
{
    for (const struct image_format *const *format = image_formats; *format; format++)
        if (!strcmp((*format)->name, name))
            return *format;
    return NULL;
}

const struct image_format *image_probe(const uint8_t *head, size_t size, const struct image_file *file)
{
    for (const struct image_format *const *format = image_formats; *format; format++)
        if ((*format)->probe && (*format)->probe(head, size, file))
            return *format;
    return &image_raw_format;
}

/* The format that the options name, or the one that the file shows. NULL: see `why`. */
static const struct image_format *find_format(const struct image_options *options,
                                              const struct image_file *file, char *why, size_t why_size)
{
    const struct image_format *format = options->format ? image_format_find(options->format) : NULL;
    uint8_t head[IMAGE_HEAD];
    size_t size = file->size < sizeof(head) ? (size_t)file->size : sizeof(head);
    int error;

    if (options->format) {
        if (!format)
            image_refuse(options->path, why, why_size, "there is no format \"%.20s\"", options->format);
        return format;
    }
    error = image_file_read_at(file, 0, head, size);
    if (error) {
        image_refuse(options->path, why, why_size, "%s", strerror(error));
        return NULL;
    }
    return image_probe(head, size, file);
}

/*
 * Images that lie behind one another: not too many, and none behind itself. Looked at before it is opened, as
 * the lock of the one in front would keep it from that.
 */
static bool check_chain(const struct image_options *options, char *why, size_t why_size)
{
    struct stat st;
    bool there = stat(options->path, &st) == 0 && S_ISREG(st.st_mode);
    unsigned depth = 0;

    for (const struct image_options *o = options; o->above; o = o->above) {
        if (there && o->above_file && !o->above_file->device && o->above_file->dev == st.st_dev &&
            o->above_file->ino == st.st_ino)
            return image_refuse(options->path, why, why_size, "is its own backing file");
        if (++depth >= IMAGE_CHAIN_MAX)
            return image_refuse(options->path, why, why_size,
                                "has more than %d images behind one another; commit some of them",
                                IMAGE_CHAIN_MAX);
    }
    return true;
}

static struct image *open_url(const struct image_format *format, const struct image_options *options,
                              char *why, size_t why_size)
{
    if (!options->read_only && !options->snapshot && !format->writable) {
        image_refuse(options->path, why, why_size, "is only read here; add ,snapshot or ,readonly");
        return NULL;
    }
    return format->open(options, NULL, why, why_size);
}

static struct image *open_file(const struct image_options *options, char *why, size_t why_size)
{
    bool writing = !options->read_only && !options->snapshot;
    const struct image_format *format;
    struct image *image = NULL;
    struct image_file file;

    if (!check_chain(options, why, why_size) ||
        !image_file_open(&file, options->path, writing, options->log, why, why_size))
        return NULL;
    format = find_format(options, &file, why, why_size);
    if (format && writing && !format->writable)
        image_refuse(options->path, why, why_size,
                     "is %s, which is only read here; add ,snapshot or ,readonly, or convert it with 'oxbow "
                     "image convert'",
                     format->article_name);
    else if (format)
        image = format->open(options, &file, why, why_size);
    if (!image)
        image_file_close(&file);
    return image;
}

struct image *image_open(const struct image_options *options, char *why, size_t why_size)
{
    const struct image_format *url = NULL;
    struct image *image, *overlay;

    for (const struct image_format *const *format = image_formats; *format && !url; format++)
        if ((*format)->is_url && (*format)->is_url(options->path))
            url = *format;
    image = url ? open_url(url, options, why, why_size) : open_file(options, why, why_size);
    if (!image)
        return NULL;
    image->path = options->path;
    image->read_only = options->read_only || options->snapshot || image->read_only;
    if (!options->snapshot)
        return image;
    overlay = image_overlay_open(image, why, why_size);
    if (!overlay)
        image_close(image);
    return overlay;
}

int image_read(struct image *image, uint64_t offset, const struct iovec *iov, unsigned count, size_t size)
{
    return image->ops->read(image, offset, iov, count, size);
}

int image_write(struct image *image, uint64_t offset, const struct iovec *iov, unsigned count, size_t size)
{
    if (image->read_only)
        return EROFS;
    return image->ops->write(image, offset, iov, count, size);
}

int image_read_at(struct image *image, uint64_t offset, void *data, size_t size)
{
    return image_read(image, offset, &(struct iovec){data, size}, 1, size);
}

int image_write_at(struct image *image, uint64_t offset, const void *data, size_t size)
{
    return image_write(image, offset, &(struct iovec){(void *)(uintptr_t)data, size}, 1, size);
}

int image_zero(struct image *image, uint64_t offset, uint64_t size)
{
    size_t step = size < 1 << 20 ? (size_t)size : 1 << 20;
    uint8_t *zeroes;
    int error = 0;

    if (image->read_only)
        return EROFS;
    if (image->ops->zero)
        return image->ops->zero(image, offset, size);
    zeroes = calloc(1, step ? step : 1);
    if (!zeroes)
        return ENOMEM;
    for (; size && !error; offset += step, size -= step) {
        if (step > size)
            step = (size_t)size;
        error = image_write_at(image, offset, zeroes, step);
    }
    free(zeroes);
    return error;
}

int image_discard(struct image *image, uint64_t offset, uint64_t size)
{
    if (image->read_only)
        return EROFS;
    return image->ops->discard ? image->ops->discard(image, offset, size) : 0;
}

int image_flush(struct image *image)
{
    return image->ops->flush && !image->read_only ? image->ops->flush(image) : 0;
}

int image_extent(struct image *image, uint64_t offset, bool own, uint64_t *length, bool *data)
{
    *length = image->size - offset;
    *data = true;
    return image->ops->extent ? image->ops->extent(image, offset, own, length, data) : 0;
}

void image_close(struct image *image)
{
    if (image)
        image->ops->close(image);
}
