/*
 * image_copy.c - copies between disk images, leaving out what is zeroes or the same already; see
 * image_command.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/image.h"
#include "machine/image_command.h"

#define STEP (2u << 20) /* bytes at a time */

void image_progress_start(struct image_progress *progress)
{
    *progress = (struct image_progress){.shown = isatty(STDERR_FILENO), .percent = 1000};
}

void image_progress_show(struct image_progress *progress, uint64_t done, uint64_t total)
{
    static const char bar[] = "########################################";
    unsigned percent = total ? (unsigned)((double)done * 100 / (double)total) : 0;

    if (!progress->shown || (total && percent == progress->percent))
        return;
    progress->percent = percent;
    if (total)
        fprintf(stderr, "\r[%-40.*s] %3u %%", (int)(percent * 40 / 100), bar, percent);
    else
        fprintf(stderr, "\r\033[K");
    fflush(stderr);
}

struct copy {
    struct image *from, *to;
    const struct image **failed;
    uint8_t *data, *there; /* STEP bytes each */
    uint32_t granule;
    bool differing;
};

static bool is_zero(const uint8_t *data, size_t size)
{
    return !data[0] && !memcmp(data, data + 1, size - 1);
}

/* Does the part at `at` have to be written? */
static bool wanted(const struct copy *c, size_t at, size_t size)
{
    return c->differing ? memcmp(c->data + at, c->there + at, size) != 0 : !is_zero(c->data + at, size);
}

static int fail(const struct copy *c, const struct image *image, int error)
{
    if (error)
        *c->failed = image;
    return error;
}

/* Writes what is wanted of c->data, which is the disk's at `offset`, in runs as long as possible. */
static int put(const struct copy *c, uint64_t offset, size_t size)
{
    for (size_t at = 0, end; at < size; at = end) {
        size_t part = size - at < c->granule ? size - at : c->granule;
        bool writing = wanted(c, at, part);

        for (end = at + part; end < size; end += part) {
            part = size - end < c->granule ? size - end : c->granule;
            if (wanted(c, end, part) != writing)
                break;
        }
        int error = writing ? image_write_at(c->to, offset + at, c->data + at, end - at) : 0;
        if (error)
            return fail(c, c->to, error);
    }
    return 0;
}

/* One step of a range that is all data or all zeroes. */
static int move(const struct copy *c, uint64_t offset, size_t size, bool data)
{
    int error = 0;

    if (!data && !c->differing)
        return 0;
    if (data)
        error = fail(c, c->from, image_read_at(c->from, offset, c->data, size));
    else
        memset(c->data, 0, size);
    if (!error && c->differing)
        error = fail(c, c->to, image_read_at(c->to, offset, c->there, size));
    return error ? error : put(c, offset, size);
}

int image_copy(struct image *from, struct image *to, uint32_t granule, bool differing,
               const struct image **failed)
{
    struct copy c = {from, to, failed, malloc(STEP), malloc(STEP), granule, differing};
    struct image_progress progress;
    uint64_t offset = 0;
    int error = c.data && c.there ? 0 : ENOMEM;

    *failed = to;
    image_progress_start(&progress);
    while (offset < from->size && !error) {
        uint64_t length, end;
        bool data;

        error = fail(&c, from, image_extent(from, offset, false, &length, &data));
        for (end = offset + length; offset < end && !error;) {
            /* Whole granules, so that none is written twice. */
            size_t size = STEP - (size_t)(offset & (STEP - 1));

            if (size > end - offset)
                size = (size_t)(end - offset);
            error = move(&c, offset, size, data);
            offset += size;
            image_progress_show(&progress, offset, from->size);
        }
    }
    if (!error)
        error = fail(&c, to, image_flush(to));
    image_progress_show(&progress, 0, 0);
    free(c.data);
    free(c.there);
    return error;
}

/* Like move(), of what an overlay has itself. */
static int move_down(const struct copy *c, uint64_t offset, size_t size)
{
    int error = 0;

    for (uint64_t at = 0, length; at < size && !error; at += length) {
        bool data;

        error = fail(c, c->from, image_extent(c->from, offset + at, false, &length, &data));
        if (length > size - at)
            length = size - at;
        if (error)
            break;
        if (!data) {
            error = fail(c, c->to, image_zero(c->to, offset + at, length));
            continue;
        }
        error = fail(c, c->from, image_read_at(c->from, offset + at, c->data, (size_t)length));
        if (!error)
            error = fail(c, c->to, image_write_at(c->to, offset + at, c->data, (size_t)length));
    }
    return error;
}

int image_copy_down(struct image *from, struct image *to, const struct image **failed)
{
    struct copy c = {.from = from, .to = to, .failed = failed, .data = malloc(STEP)};
    struct image_progress progress;
    uint64_t length;
    int error = c.data ? 0 : ENOMEM;

    *failed = to;
    image_progress_start(&progress);
    for (uint64_t offset = 0; offset < from->size && !error; offset += length) {
        bool own;

        error = fail(&c, from, image_extent(from, offset, true, &length, &own));
        if (own && length > STEP)
            length = STEP;
        if (!error && own)
            error = move_down(&c, offset, (size_t)length);
        image_progress_show(&progress, offset, from->size);
    }
    if (!error)
        error = fail(&c, to, image_flush(to));
    image_progress_show(&progress, 0, 0);
    free(c.data);
    return error;
}
