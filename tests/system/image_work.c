/*
 * image_work.c - random work on a disk image and, the same, on a raw file; for the tests of image formats.
 *
 *     image_work IMAGE RAW SEED COUNT [THREADS]
 *
 * Each thread writes, zeroes, discards, reads and flushes in clusters of its own, side by side with the
 * others'. What is read must be what the raw file has. Ends with 0, or says what differs.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "host/image.h"

#define STEP    (64u << 10) /* threads take turns of so many bytes of the disk */
#define LONGEST (600u << 10)

struct worker {
    struct image *image, *raw;
    uint64_t random, first, step; /* parts of the disk: this one and every step-th behind it */
    unsigned count;
    bool failed;
    pthread_t thread;
};

static uint64_t number(struct worker *w, uint64_t below)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return w->random % below;
}

/* A range of whole sectors, in a part that is this thread's. A lone thread may cross parts. */
static uint64_t range(struct worker *w, uint64_t *size)
{
    uint64_t parts = w->image->size / STEP / w->step, longest = w->step == 1 ? LONGEST : STEP;
    uint64_t offset = (number(w, parts) * w->step + w->first) * STEP, into = number(w, STEP / 512) * 512;

    if (w->step > 1)
        longest -= into;
    *size = 512 * (1 + number(w, number(w, 3) ? 16 : longest / 512));
    if (*size > longest)
        *size = longest;
    if (number(w, 4) == 0 && w->step == 1) { /* whole parts */
        into = 0;
        *size = STEP * (1 + number(w, LONGEST / STEP));
    }
    offset += into;
    if (offset + *size > w->image->size)
        *size = w->image->size - offset;
    return offset;
}

static bool same(struct worker *w, uint64_t offset, uint64_t size, uint8_t *one, uint8_t *other)
{
    /* In pieces of odd lengths. */
    struct iovec pieces[3] = {{one, 13}, {one + 13, size / 2}, {one + 13 + size / 2, size - 13 - size / 2}};
    int error = image_read(w->image, offset, pieces, 3, (size_t)size);

    if (!error)
        error = image_read_at(w->raw, offset, other, (size_t)size);
    if (error)
        fprintf(stderr, "reading %llu bytes at %llu: %s\n", (unsigned long long)size,
                (unsigned long long)offset, strerror(error));
    else if (memcmp(one, other, size))
        fprintf(stderr, "%llu bytes at %llu differ\n", (unsigned long long)size, (unsigned long long)offset);
    else
        return true;
    return false;
}

static bool step(struct worker *w, uint8_t *data, uint8_t *other)
{
    uint64_t size, offset = range(w, &size);
    int error = 0;

    switch (number(w, 12)) {
    default:
        memset(data, (int)number(w, 256), size);
        memcpy(data, &w->random, 8);
        struct iovec pieces[2] = {{data, size / 2 + 1}, {data + size / 2 + 1, size - size / 2 - 1}};
        error = image_write(w->image, offset, pieces, 2, (size_t)size);
        if (!error)
            error = image_write_at(w->raw, offset, data, (size_t)size);
        break;
    case 0:
        error = image_zero(w->image, offset, size);
        if (!error)
            error = image_zero(w->raw, offset, size);
        break;
    case 1: /* what it reads as afterwards is either */
        error = image_discard(w->image, offset, size);
        if (!error)
            error = image_read_at(w->image, offset, data, (size_t)size);
        if (!error)
            error = image_write_at(w->raw, offset, data, (size_t)size);
        break;
    case 2:
    case 3:
    case 4:
        return same(w, offset, size, data, other);
    case 5:
        error = number(w, 4) ? 0 : image_flush(w->image);
        break;
    }
    if (error)
        fprintf(stderr, "%llu bytes at %llu: %s\n", (unsigned long long)size, (unsigned long long)offset,
                strerror(error));
    return !error;
}

static void *work(void *opaque)
{
    struct worker *w = opaque;
    uint8_t *data = malloc(LONGEST), *other = malloc(LONGEST);

    w->failed = !data || !other;
    for (unsigned n = 0; n < w->count && !w->failed; n++)
        w->failed = !step(w, data, other);
    free(data);
    free(other);
    return NULL;
}

static struct image *open_image(const char *path, const char *format, struct log *log)
{
    const struct image_options options = {.path = path, .format = format, .log = log};
    char why[500];
    struct image *image = image_open(&options, why, sizeof(why));

    if (!image)
        fprintf(stderr, "%s\n", why);
    return image;
}

int main(int argc, char **argv)
{
    unsigned threads = argc > 5 ? (unsigned)atoi(argv[5]) : 1;
    struct worker workers[16];
    bool failed = false;
    struct log log;

    log_init(&log, stderr);
    if (argc < 5 || !threads || threads > 16)
        return 2;
    struct image *image = open_image(argv[1], NULL, &log), *raw = open_image(argv[2], "raw", &log);
    if (!image || !raw)
        return 2;
    for (unsigned n = 0; n < threads; n++) {
        workers[n] = (struct worker){.image = image,
                                     .raw = raw,
                                     .random = strtoull(argv[3], NULL, 0) * 1000003 + n * 7919 + 1,
                                     .first = n,
                                     .step = threads,
                                     .count = (unsigned)atoi(argv[4])};
        if (pthread_create(&workers[n].thread, NULL, work, &workers[n]))
            return 2;
    }
    for (unsigned n = 0; n < threads; n++) {
        pthread_join(workers[n].thread, NULL);
        failed |= workers[n].failed;
    }
    if (!failed && image_flush(image))
        failed = true;
    image_close(image);
    image_close(raw);
    return failed;
}
