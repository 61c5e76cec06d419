/*
 * image_map.c - images whose blocks lie anywhere in files, read by asking for each stretch where it is.
 * Nothing outside the files is ever followed.
 */
#include "host/image_map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool image_map_inside(const struct image_file *file, uint64_t at, uint64_t size)
{
    return at <= file->size && size <= file->size - at;
}

uint64_t image_little(const uint8_t *at, unsigned size)
{
    uint64_t value = 0;

    while (size--)
        value = value << 8 | at[size];
    return value;
}

uint64_t image_big(const uint8_t *at, unsigned size)
{
    uint64_t value = 0;

    for (unsigned n = 0; n < size; n++)
        value = value << 8 | at[n];
    return value;
}

static int locate(struct image_map *map, uint64_t offset, struct image_place *place)
{
    uint64_t rest = map->image.size - offset;
    int error;

    *place = (struct image_place){.length = rest};
    error = map->locate(map, offset, place);
    if (error)
        return error;
    if (place->length > rest)
        place->length = rest;
    if (place->file && !place->packed && !image_map_inside(place->file, place->at, place->length))
        return EIO;
    return place->length ? 0 : EIO;
}

/* One block is kept unpacked, so that reading it in pieces doesn't unpack it for each. */
static int read_packed(struct image_map *map, const struct image_place *place, const struct iovec *iov,
                       unsigned count, size_t done, size_t size)
{
    struct iovec *pieces = malloc(count * sizeof(*pieces));
    int error = 0;

    if (!pieces)
        return ENOMEM;
    pthread_mutex_lock(&map->lock);
    if (!map->unpacked)
        map->unpacked = malloc(map->block);
    if (!map->unpacked) {
        error = ENOMEM;
    } else if (map->unpacked_file != place->file || map->unpacked_at != place->at) {
        error = map->unpack(map, place, map->unpacked);
        map->unpacked_file = error ? NULL : place->file;
        map->unpacked_at = place->at;
    }
    if (!error) {
        unsigned used = image_iov_slice(pieces, iov, count, done, size);
        image_iov_scatter(map->unpacked + place->skip, pieces, used, 0, size);
    }
    pthread_mutex_unlock(&map->lock);
    free(pieces);
    return error;
}

int image_map_read(struct image *image, uint64_t offset, const struct iovec *iov, unsigned count, size_t size)
{
    struct image_map *map = (struct image_map *)image;
    int error = 0;

    for (size_t done = 0, part; done < size && !error; done += part) {
        struct image_place place;

        error = locate(map, offset + done, &place);
        if (error)
            break;
        part = place.length < size - done ? (size_t)place.length : size - done;
        if (!place.file)
            image_iov_zero(iov, count, done, part);
        else if (place.packed)
            error = read_packed(map, &place, iov, count, done, part);
        else
            error = image_file_read(place.file, place.at, iov, count, done, part);
    }
    return error;
}

/* Places that are alike are put together. */
int image_map_extent(struct image *image, uint64_t offset, bool own, uint64_t *length, bool *data)
{
    struct image_map *map = (struct image_map *)image;
    struct image_place place;
    int error = locate(map, offset, &place);

    (void)own;
    if (error)
        return error;
    *length = place.length;
    *data = place.file;
    while (offset + *length < image->size && !locate(map, offset + *length, &place) && *data == !!place.file)
        *length += place.length;
    return 0;
}

void image_map_info(struct image *image, struct image_info *info)
{
    const struct image_map *map = (struct image_map *)image;

    info->cluster_size = map->block;
    info->compression = map->compression;
    info->version = map->version;
}

void image_map_close(struct image *image)
{
    struct image_map *map = (struct image_map *)image;

    map->release(map);
    pthread_mutex_destroy(&map->lock);
    free(map->unpacked);
    free(map);
}

struct image *image_map_open(struct image_map *map, const struct image_ops *ops)
{
    pthread_mutex_init(&map->lock, NULL);
    map->image.ops = ops;
    map->image.read_only = true;
    return &map->image;
}
