/*
 * disk_image.h - the file or block device under a disk: opening and locking it, reading, writing, and the
 * overlay that takes the writes of a snapshot. For host/disk.c.
 *
 * Locking: disk_image_read(), _write() and _flush() block, and may be called from several threads at once,
 * for ranges that don't overlap or are only read.
 */
#ifndef HOST_DISK_IMAGE_H
#define HOST_DISK_IMAGE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct host_disk_options;
struct log;

struct disk_image {
    int fd;
    int overlay;     /* an unlinked sparse file, -1 when writes go to the image */
    uint64_t size;   /* bytes */
    bool read_only;  /* writes are refused */
    uint8_t *map;    /* with an overlay: a bit a sector, set when the overlay has it; pages appear as used */
    size_t map_size; /* bytes */
    pthread_mutex_t map_lock;
};

/* False: `why` says in a line with the path what is wrong and what to do; nothing is left open. */
bool disk_image_open(struct disk_image *image, const struct host_disk_options *options, struct log *log,
                     char *why, size_t why_size);
void disk_image_close(struct disk_image *image);

/* 0 or an errno value. Offset and size are multiples of 512 and within the image. */
int disk_image_read(struct disk_image *image, uint64_t offset, void *data, size_t size);
int disk_image_write(struct disk_image *image, uint64_t offset, const void *data, size_t size);
int disk_image_flush(struct disk_image *image);

#endif
