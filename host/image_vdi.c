/*
 * image_vdi.c - VirtualBox's disk images (VDI 1.1): a header, a map with 4 bytes for each block of the disk,
 * and the blocks in the order in which they were first written. Fixed images are the same with all blocks
 * there.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "host/image_map.h"

#define HEADER_SIZE 512u
#define MAGIC_AT    0x40
#define MAGIC       "\x7f\x10\xda\xbe"
#define VERSION_1_1 0x00010001u

enum { DYNAMIC = 1, FIXED = 2 };

#define NEVER_WRITTEN 0xFFFFFFFFu
#define ZEROES        0xFFFFFFFEu

#define BLOCK_MIN  4096u
#define BLOCK_MAX  (256u << 20)
#define BLOCKS_MAX (64u << 20) /* the map then has 256 MiB */

struct vdi {
    struct image_map map;
    struct image_file file;
    uint64_t data; /* where block 0 of the file is */
    uint32_t *place;
    uint32_t blocks;
};

static bool vdi_probe(const uint8_t *head, size_t size, const struct image_file *file)
{
    (void)file;
    return size >= HEADER_SIZE && !memcmp(head + MAGIC_AT, MAGIC, 4);
}

static int vdi_locate(struct image_map *map, uint64_t offset, struct image_place *place)
{
    const struct vdi *vdi = (struct vdi *)map;
    uint64_t within = offset % map->block;
    uint32_t block = vdi->place[offset / map->block];

    place->length = map->block - within;
    if (block >= ZEROES)
        return 0;
    place->file = &vdi->file;
    place->at = vdi->data + (uint64_t)block * map->block + within;
    return 0;
}

static void vdi_release(struct image_map *map)
{
    struct vdi *vdi = (struct vdi *)map;

    image_file_close(&vdi->file);
    free(vdi->place);
}

static const struct image_ops vdi_ops = {.name = "vdi", IMAGE_MAP_OPS};

/* What can be wrong; NULL: nothing. */
static const char *check_header(const uint8_t *header, const struct image_file *file)
{
    uint64_t size = image_little(header + 0x170, 8), map = image_little(header + 0x154, 4);
    uint64_t data = image_little(header + 0x158, 4), blocks = image_little(header + 0x180, 4);
    uint64_t block = image_little(header + 0x178, 4), type = image_little(header + 0x4C, 4);

    if (image_little(header + 0x44, 4) != VERSION_1_1)
        return "is a VDI image of a version that isn't known here";
    if (type != DYNAMIC && type != FIXED)
        return "is a differencing VDI image, which isn't read here; merge it with its parent first";
    if (image_little(header + 0x168, 4) != IMAGE_SECTOR || block < BLOCK_MIN || block > BLOCK_MAX ||
        block & (block - 1) || image_little(header + 0x17C, 4))
        return "its header has sizes of blocks or sectors that can't be";
    if (!size || size % IMAGE_SECTOR || blocks > BLOCKS_MAX || size > blocks * block)
        return "its header has a disk size that can't be";
    if (map < HEADER_SIZE || map > data || blocks * 4 > data - map || data > file->size)
        return "its block map overlaps its header or data, or is cut short";
    return NULL;
}

/* Every block has a place of its own inside the file. */
static const char *check_map(const struct vdi *vdi)
{
    uint64_t places = (vdi->file.size - vdi->data) / vdi->map.block;
    uint8_t *taken = calloc(1, places / 8 + 1);
    const char *wrong = taken ? NULL : "out of memory";

    for (uint32_t n = 0; n < vdi->blocks && !wrong; n++) {
        uint32_t place = vdi->place[n];

        if (place >= ZEROES)
            continue;
        if (place >= places)
            wrong = "its block map leads outside the file";
        else if (taken[place / 8] >> place % 8 & 1)
            wrong = "two of its blocks are in one place";
        else
            taken[place / 8] |= (uint8_t)(1u << place % 8);
    }
    free(taken);
    return wrong;
}

static const char *read_map(struct vdi *vdi, uint64_t at)
{
    uint8_t *raw = malloc((size_t)vdi->blocks * 4);

    vdi->place = (uint32_t *)raw;
    if (!raw)
        return "out of memory";
    if (image_file_read_at(&vdi->file, at, raw, (size_t)vdi->blocks * 4))
        return "its block map can't be read";
    for (uint32_t n = 0; n < vdi->blocks; n++)
        vdi->place[n] = (uint32_t)image_little(raw + 4 * (size_t)n, 4);
    return check_map(vdi);
}

static struct image *vdi_open(const struct image_options *options, const struct image_file *file, char *why,
                              size_t why_size)
{
    struct vdi *vdi = calloc(1, sizeof(*vdi));
    uint8_t header[HEADER_SIZE];
    const char *wrong = vdi ? NULL : "out of memory";

    if (!wrong && (file->size < HEADER_SIZE || image_file_read_at(file, 0, header, sizeof(header)) ||
                   !vdi_probe(header, sizeof(header), file)))
        wrong = "is no VDI image";
    if (!wrong)
        wrong = check_header(header, file);
    if (!wrong) {
        vdi->file = *file;
        vdi->data = image_little(header + 0x158, 4);
        vdi->map.block = (uint32_t)image_little(header + 0x178, 4);
        vdi->map.version = 1;
        vdi->map.image.size = image_little(header + 0x170, 8);
        vdi->blocks = (uint32_t)((vdi->map.image.size + vdi->map.block - 1) / vdi->map.block);
        wrong = read_map(vdi, image_little(header + 0x154, 4));
    }
    if (wrong) {
        image_refuse(options->path, why, why_size, "%s", wrong);
        if (vdi)
            free(vdi->place);
        free(vdi);
        return NULL;
    }
    vdi->map.locate = vdi_locate;
    vdi->map.release = vdi_release;
    return image_map_open(&vdi->map, &vdi_ops);
}

const struct image_format image_vdi_format = {
    .name = "vdi", .article_name = "a VDI image", .probe = vdi_probe, .open = vdi_open};
