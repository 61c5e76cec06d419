/*
 * image_overlay.c - the overlay that takes the writes of a snapshot, over any image: an unlinked sparse file.
 *
 * It knows single sectors: a write never has to fetch what lies around it. The map of what has been written
 * is address space that gets memory as it is used, 1 MiB for 4 GiB of written data.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/block.h"
#include "host/image.h"
#include "host/image_file.h"

struct overlay {
    struct image image;
    struct image *under;
    struct image_file file;
    pthread_mutex_t lock; /* of the map */
    uint8_t *map;         /* a bit a sector, set when the overlay has it */
    size_t map_size;      /* bytes */
};

static bool is_written(const struct overlay *overlay, uint64_t sector)
{
    return overlay->map[sector / 8] >> sector % 8 & 1;
}

/* How many bytes from `offset` on lie in the same place, and whether that is here. */
static uint64_t find_run(struct overlay *overlay, uint64_t offset, uint64_t size, bool *here)
{
    uint64_t first = offset / IMAGE_SECTOR, sector = first, end = first + size / IMAGE_SECTOR;

    pthread_mutex_lock(&overlay->lock);
    *here = is_written(overlay, first);
    while (sector < end && is_written(overlay, sector) == *here)
        sector++;
    pthread_mutex_unlock(&overlay->lock);
    return (sector - first) * IMAGE_SECTOR;
}

static void mark(struct overlay *overlay, uint64_t offset, uint64_t size)
{
    pthread_mutex_lock(&overlay->lock);
    for (uint64_t sector = offset / IMAGE_SECTOR; sector < (offset + size) / IMAGE_SECTOR; sector++)
        overlay->map[sector / 8] |= (uint8_t)(1u << sector % 8);
    pthread_mutex_unlock(&overlay->lock);
}

static int overlay_read(struct image *image, uint64_t offset, const struct iovec *iov, unsigned count,
                        size_t size)
{
    struct overlay *overlay = (struct overlay *)image;
    struct iovec pieces[BLOCK_PIECES];
    int error = 0;

    for (size_t done = 0, run; done < size && !error; done += run) {
        bool here;

        run = (size_t)find_run(overlay, offset + done, size - done, &here);
        if (here) {
            error = image_file_read(&overlay->file, offset + done, iov, count, done, run);
        } else {
            unsigned used = image_iov_slice(pieces, iov, count, done, run);
            error = image_read(overlay->under, offset + done, pieces, used, run);
        }
    }
    return error;
}

static int overlay_write(struct image *image, uint64_t offset, const struct iovec *iov, unsigned count,
                         size_t size)
{
    struct overlay *overlay = (struct overlay *)image;
    int error = image_file_write(&overlay->file, offset, iov, count, 0, size);

    if (!error)
        mark(overlay, offset, size);
    return error;
}

static int overlay_zero(struct image *image, uint64_t offset, uint64_t size)
{
    struct overlay *overlay = (struct overlay *)image;
    int error = image_file_zero(&overlay->file, offset, size);

    if (!error)
        mark(overlay, offset, size);
    return error;
}

static int overlay_extent(struct image *image, uint64_t offset, bool own, uint64_t *length, bool *data)
{
    struct overlay *overlay = (struct overlay *)image;
    bool here;

    uint64_t run = find_run(overlay, offset, image->size - offset, &here);
    *data = here;
    *length = run;
    if (here || own)
        return 0;
    int error = image_extent(overlay->under, offset, false, length, data);
    if (*length > run)
        *length = run;
    return error;
}

/* It needs to survive nothing, so there is no flush. */
static void overlay_close(struct image *image)
{
    struct overlay *overlay = (struct overlay *)image;

    if (overlay->map)
        munmap(overlay->map, overlay->map_size);
    image_file_close(&overlay->file);
    image_close(overlay->under);
    pthread_mutex_destroy(&overlay->lock);
    free(overlay);
}

static const struct image_ops overlay_ops = {
    .name = "snapshot",
    .read = overlay_read,
    .write = overlay_write,
    .zero = overlay_zero,
    .discard = overlay_zero,
    .extent = overlay_extent,
    .close = overlay_close,
};

/* The overlay can grow as large as the disk, so it lies where large temporary files belong. */
static bool make(struct overlay *overlay, struct image *under, char *why, size_t why_size)
{
    const char *folder;

    overlay->file = (struct image_file){
        .fd = image_file_temporary(&folder), .size = under->size, .writable = true, .sector = 512};
    if (overlay->file.fd < 0 || ftruncate(overlay->file.fd, (off_t)under->size) < 0)
        return image_refuse(under->path, why, why_size,
                            "no temporary file for its snapshot in %.100s: %s; set TMPDIR to another folder",
                            folder, strerror(errno));
    overlay->map_size = (size_t)(under->size / IMAGE_SECTOR / 8 + 1);
    void *map = mmap(NULL, overlay->map_size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED)
        return image_refuse(under->path, why, why_size, "too large for a snapshot with this host's memory");
    overlay->map = map;
    return true;
}

struct image *image_overlay_open(struct image *under, char *why, size_t why_size)
{
    struct overlay *overlay = calloc(1, sizeof(*overlay));

    if (!overlay) {
        image_refuse(under->path, why, why_size, "out of memory");
        return NULL;
    }
    pthread_mutex_init(&overlay->lock, NULL);
    overlay->file.fd = -1;
    if (!make(overlay, under, why, why_size)) {
        overlay_close(&overlay->image);
        return NULL;
    }
    overlay->under = under;
    overlay->image = (struct image){.ops = &overlay_ops,
                                    .path = under->path,
                                    .size = under->size,
                                    .can_discard = true,
                                    .sector = under->sector};
    return &overlay->image;
}
