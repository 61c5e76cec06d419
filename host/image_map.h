/*
 * image_map.h - for formats that are read only and keep their blocks wherever they like: what they must say
 * is where a byte lies, and they are an image.
 *
 * A format embeds a struct image_map at its beginning and fills in `image` (size), `locate` and `release`.
 */
#ifndef HOST_IMAGE_MAP_H
#define HOST_IMAGE_MAP_H

#include <pthread.h>

#include "host/image.h"
#include "host/image_file.h"

struct image_map;

/* From an offset on, up to `length` bytes that are all alike. */
struct image_place {
    const struct image_file *file; /* NULL: they are zeroes */
    uint64_t at;                   /* where in the file, inside it; */
    bool packed;                   /* or where a compressed block begins, `skip` bytes before them in it */
    uint64_t skip;
    uint64_t length; /* more than 0; the reader cuts it at what it wants */
};

struct image_map {
    struct image image;
    uint32_t block;          /* bytes that are allocated together, for info */
    const char *compression; /* for info; NULL: none */
    unsigned version;
    /* Called from several threads. 0 or an errno value: EIO when the tables make no sense. */
    int (*locate)(struct image_map *map, uint64_t offset, struct image_place *place);
    /* Unpacks a block of `block` bytes; NULL when there are no packed ones. The map's lock is held. */
    int (*unpack)(struct image_map *map, const struct image_place *place, uint8_t *data);
    /* Closes the format's files and frees what is its own, but for the struct itself. */
    void (*release)(struct image_map *map);

    pthread_mutex_t lock; /* of the block unpacked last, and for the format's own use in locate() */
    uint8_t *unpacked;
    const struct image_file *unpacked_file;
    uint64_t unpacked_at;
};

/* Makes it an image: ops, lock. The caller's `map` was allocated by malloc() and is freed when the image is
 * closed. */
struct image *image_map_open(struct image_map *map, const struct image_ops *ops);

/* Are `size` bytes at `at` inside the file? */
bool image_map_inside(const struct image_file *file, uint64_t at, uint64_t size);

/* The ops of all of them, but for the name. */
int image_map_read(struct image *image, uint64_t offset, const struct iovec *iov, unsigned count,
                   size_t size);
int image_map_extent(struct image *image, uint64_t offset, bool own, uint64_t *length, bool *data);
void image_map_info(struct image *image, struct image_info *info);
void image_map_close(struct image *image);
#define IMAGE_MAP_OPS                                                                                        \
    .read = image_map_read, .extent = image_map_extent, .info = image_map_info, .close = image_map_close

/* Numbers at any address. */
uint64_t image_little(const uint8_t *at, unsigned size);
uint64_t image_big(const uint8_t *at, unsigned size);

#endif
