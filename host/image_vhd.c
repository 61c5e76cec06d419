/*
 * image_vhd.c - Virtual PC's disk images (Virtual Hard Disk Image Format Specification 1.0): fixed ones are
 * the disk's bytes with a footer behind them; dynamic ones have a table of blocks, each with a bitmap of the
 * sectors in it that were ever written. All numbers are big-endian.
 *
 * A fixed image begins with the guest's first sector, so it is never recognised by itself: format=vhd says
 * what it is.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "host/image_map.h"

#define FOOTER_SIZE 512u
#define HEADER_SIZE 1024u
#define UNUSED      0xFFFFFFFFu

enum { FIXED = 2, DYNAMIC = 3, DIFFERENCING = 4 };

#define BLOCK_MAX  (256u << 20)
#define BLOCKS_MAX (64u << 20)

struct vhd {
    struct image_map map;
    struct image_file file;
    uint32_t *table; /* sectors; NULL for a fixed image */
    uint32_t blocks;
    uint32_t bitmap_size; /* bytes, before each block */
    uint8_t *bitmap;      /* of the block read last, under map.lock */
    uint32_t bitmap_block;
};

static bool vhd_probe(const uint8_t *head, size_t size, const struct image_file *file)
{
    (void)file;
    return size >= FOOTER_SIZE && !memcmp(head, "conectix", 8);
}

static int fixed_locate(struct image_map *map, uint64_t offset, struct image_place *place)
{
    place->file = &((struct vhd *)map)->file;
    place->at = offset;
    return 0;
}

/* How many sectors from `sector` on have the same bit. */
static uint32_t run_of(const uint8_t *bitmap, uint32_t sector, uint32_t end, bool *written)
{
    uint32_t first = sector;

    *written = bitmap[sector / 8] >> (7 - sector % 8) & 1;
    while (sector < end && (bitmap[sector / 8] >> (7 - sector % 8) & 1) == *written)
        sector++;
    return sector - first;
}

static int dynamic_locate(struct image_map *map, uint64_t offset, struct image_place *place)
{
    struct vhd *vhd = (struct vhd *)map;
    uint32_t block = (uint32_t)(offset / map->block), within = (uint32_t)(offset % map->block);
    uint64_t at = (uint64_t)vhd->table[block] * IMAGE_SECTOR;
    bool written = false;
    int error = 0;

    place->length = map->block - within;
    if (vhd->table[block] == UNUSED)
        return 0;
    pthread_mutex_lock(&map->lock);
    if (vhd->bitmap_block != block)
        error = image_file_read_at(&vhd->file, at, vhd->bitmap, vhd->bitmap_size);
    vhd->bitmap_block = error ? UNUSED : block;
    if (!error)
        place->length =
            (uint64_t)run_of(vhd->bitmap, within / IMAGE_SECTOR, map->block / IMAGE_SECTOR, &written) *
            IMAGE_SECTOR;
    pthread_mutex_unlock(&map->lock);
    if (written) {
        place->file = &vhd->file;
        place->at = at + vhd->bitmap_size + within;
    }
    return error;
}

static void vhd_release(struct image_map *map)
{
    struct vhd *vhd = (struct vhd *)map;

    image_file_close(&vhd->file);
    free(vhd->table);
    free(vhd->bitmap);
}

static const struct image_ops vhd_ops = {.name = "vhd", IMAGE_MAP_OPS};

/* The complement of the sum of all bytes but its own. */
static bool checksum_right(const uint8_t *data, size_t size, unsigned at)
{
    uint32_t sum = 0;

    for (size_t n = 0; n < size; n++)
        if (n < at || n >= at + 4)
            sum += data[n];
    return (uint32_t)~sum == image_big(data + at, 4);
}

static bool is_footer(const uint8_t *data)
{
    return !memcmp(data, "conectix", 8) && image_big(data + 12, 4) >> 16 == 1 &&
           checksum_right(data, FOOTER_SIZE, 64);
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

/* Blocks lie inside the file, behind the table, and not over one another. */
static const char *check_table(const struct vhd *vhd, uint64_t free_from)
{
    uint64_t need = vhd->bitmap_size + (uint64_t)vhd->map.block;
    uint32_t *sorted = malloc((size_t)vhd->blocks * 4);
    const char *wrong = sorted ? NULL : "out of memory";

    if (sorted) {
        memcpy(sorted, vhd->table, (size_t)vhd->blocks * 4);
        qsort(sorted, vhd->blocks, 4, compare);
    }
    for (uint32_t n = 0; n < vhd->blocks && !wrong && sorted[n] != UNUSED; n++) {
        uint64_t at = (uint64_t)sorted[n] * IMAGE_SECTOR;

        if (at < free_from || !image_map_inside(&vhd->file, at, need))
            wrong = "its block table leads outside the file or into its own headers";
        free_from = at + need;
    }
    free(sorted);
    return wrong;
}

static const char *read_table(struct vhd *vhd, uint64_t header_at)
{
    uint8_t header[HEADER_SIZE], *raw;
    uint64_t at, entries, block;

    if (header_at < FOOTER_SIZE || !image_map_inside(&vhd->file, header_at, sizeof(header)) ||
        image_file_read_at(&vhd->file, header_at, header, sizeof(header)) || memcmp(header, "cxsparse", 8) ||
        !checksum_right(header, sizeof(header), 36))
        return "its dynamic disk header is missing or damaged";
    at = image_big(header + 16, 8);
    entries = image_big(header + 28, 4);
    block = image_big(header + 32, 4);
    if (block < 4096 || block > BLOCK_MAX || block & (block - 1) || entries > BLOCKS_MAX)
        return "its header has sizes that can't be";
    vhd->map.block = (uint32_t)block;
    vhd->blocks = (uint32_t)((vhd->map.image.size + block - 1) / block);
    if (vhd->map.image.size / block > BLOCKS_MAX || vhd->blocks > entries || at < FOOTER_SIZE ||
        !image_map_inside(&vhd->file, at, entries * 4) ||
        (at < header_at + HEADER_SIZE && header_at < at + entries * 4))
        return "its block table is too small, outside the file or over its header";
    vhd->bitmap_size = ((uint32_t)block / IMAGE_SECTOR / 8 + IMAGE_SECTOR - 1) & ~(IMAGE_SECTOR - 1);
    vhd->bitmap = malloc(vhd->bitmap_size);
    vhd->bitmap_block = UNUSED;
    raw = malloc((size_t)vhd->blocks * 4);
    vhd->table = (uint32_t *)raw;
    if (!raw || !vhd->bitmap)
        return "out of memory";
    if (image_file_read_at(&vhd->file, at, raw, (size_t)vhd->blocks * 4))
        return "its block table can't be read";
    for (uint32_t n = 0; n < vhd->blocks; n++)
        vhd->table[n] = (uint32_t)image_big(raw + 4 * (size_t)n, 4);
    uint64_t table_end = at + entries * 4, header_end = header_at + HEADER_SIZE;
    return check_table(vhd, table_end > header_end ? table_end : header_end);
}

/* The footer is the file's last sector; a dynamic image has a copy of it at its start. */
static const char *read_footer(struct vhd *vhd, uint8_t footer[FOOTER_SIZE])
{
    const struct image_file *file = &vhd->file;
    uint64_t type;

    if (file->size < 2 * FOOTER_SIZE ||
        image_file_read_at(file, file->size - FOOTER_SIZE, footer, FOOTER_SIZE))
        return "is no VHD image";
    if (!is_footer(footer) && (image_file_read_at(file, 0, footer, FOOTER_SIZE) || !is_footer(footer)))
        return "has no VHD footer, or a damaged one";
    type = image_big(footer + 60, 4);
    vhd->map.version = 1;
    vhd->map.image.size = image_big(footer + 48, 8);
    if (!vhd->map.image.size || vhd->map.image.size % IMAGE_SECTOR)
        return "its footer has a disk size that can't be";
    if (type == DIFFERENCING)
        return "is a differencing VHD image, which isn't read here; merge it with its parent first";
    if (type == FIXED)
        return vhd->map.image.size > file->size - FOOTER_SIZE ? "is cut short" : NULL;
    if (type != DYNAMIC)
        return "is a VHD image of a kind that isn't known here";
    return read_table(vhd, image_big(footer + 16, 8));
}

static struct image *vhd_open(const struct image_options *options, const struct image_file *file, char *why,
                              size_t why_size)
{
    struct vhd *vhd = calloc(1, sizeof(*vhd));
    uint8_t footer[FOOTER_SIZE];
    const char *wrong = "out of memory";

    if (vhd) {
        vhd->file = *file;
        wrong = read_footer(vhd, footer);
    }
    if (wrong) {
        image_refuse(options->path, why, why_size, "%s", wrong);
        if (vhd) {
            free(vhd->table);
            free(vhd->bitmap);
        }
        free(vhd);
        return NULL;
    }
    vhd->map.locate = vhd->table ? dynamic_locate : fixed_locate;
    vhd->map.release = vhd_release;
    return image_map_open(&vhd->map, &vhd_ops);
}

const struct image_format image_vhd_format = {
    .name = "vhd", .article_name = "a VHD image", .probe = vhd_probe, .open = vhd_open};
