/*
 * image_vhdx.c - Hyper-V's disk images (MS-VHDX 7.0): headers, regions, metadata, and a table with 8 bytes
 * for each block of the disk, among which there is one of a bitmap after every so many.
 *
 * An image that was not closed has changes of its tables in a log. It is refused: whoever wrote it knows how
 * to finish.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "host/image_map.h"

#define KIB 1024u
#define MIB (1024u * 1024)

#define HEADER_SIZE    (4 * KIB)
#define REGION_SIZE    (64 * KIB)
#define REGIONS_MAX    2047u
#define ITEMS_MAX      2047u
#define METADATA_TABLE (64 * KIB)
#define SIZE_MAX_VHDX  (64ull << 40)
#define TABLE_MAX      (512u * MIB)

/* GUIDs as they lie in the file. */
static const uint8_t table_region[16] = {0x66, 0x77, 0xC2, 0x2D, 0x23, 0xF6, 0x00, 0x42,
                                         0x9D, 0x64, 0x11, 0x5E, 0x9B, 0xFD, 0x4A, 0x08};
static const uint8_t metadata_region[16] = {0x06, 0xA2, 0x7C, 0x8B, 0x90, 0x47, 0x9A, 0x4B,
                                            0xB8, 0xFE, 0x57, 0x5F, 0x05, 0x0F, 0x88, 0x6E};

enum item { FILE_PARAMETERS, DISK_SIZE, PAGE_83, LOGICAL_SECTOR, PHYSICAL_SECTOR, PARENT, ITEMS };
static const struct {
    uint8_t id[16];
    unsigned size;
} items[ITEMS] = {
    [FILE_PARAMETERS] = {{0x37, 0x67, 0xA1, 0xCA, 0x36, 0xFA, 0x43, 0x4D, 0xB3, 0xB6, 0x33, 0xF0, 0xAA, 0x44,
                          0xE7, 0x6B},
                         8},
    [DISK_SIZE] = {{0x24, 0x42, 0xA5, 0x2F, 0x1B, 0xCD, 0x76, 0x48, 0xB2, 0x11, 0x5D, 0xBE, 0xD8, 0x3B, 0xF4,
                    0xB8},
                   8},
    [PAGE_83] = {{0xAB, 0x12, 0xCA, 0xBE, 0xE6, 0xB2, 0x23, 0x45, 0x93, 0xEF, 0xC3, 0x09, 0xE0, 0x00, 0xC7,
                  0x46},
                 16},
    [LOGICAL_SECTOR] = {{0x1D, 0xBF, 0x41, 0x81, 0x6F, 0xA9, 0x09, 0x47, 0xBA, 0x47, 0xF2, 0x33, 0xA8, 0xFA,
                         0xAB, 0x5F},
                        4},
    [PHYSICAL_SECTOR] = {{0xC7, 0x48, 0xA3, 0xCD, 0x5D, 0x44, 0x71, 0x44, 0x9C, 0xC9, 0xE9, 0x88, 0x52, 0x51,
                          0xC5, 0x56},
                         4},
    [PARENT] = {{0x2D, 0x5F, 0xD3, 0xA8, 0x0B, 0xB3, 0x4D, 0x45, 0xAB, 0xF7, 0xD3, 0xD8, 0x48, 0x34, 0xAB,
                 0x0C},
                0},
};

#define HAS_PARENT    2u /* file parameters' flags */
#define ITEM_REQUIRED 4u

enum { NOT_PRESENT, UNDEFINED, ZERO, UNMAPPED, PRESENT = 6, PARTIAL = 7 };

struct vhdx {
    struct image_map map;
    struct image_file file;
    uint64_t *table; /* a place for each block, 0 for zeroes */
    uint64_t blocks;
};

/* A stretch of the file that is somebody's. */
struct stretch {
    uint64_t at, size;
};

static bool vhdx_probe(const uint8_t *head, size_t size, const struct image_file *file)
{
    (void)file;
    return size >= IMAGE_SECTOR && !memcmp(head, "vhdxfile", 8);
}

/* CRC-32C of data whose own 4 bytes of checksum, at 4, count as zeroes. */
static bool checksum_right(const uint8_t *data, size_t size)
{
    uint32_t crc = UINT32_MAX;

    for (size_t n = 0; n < size; n++) {
        crc ^= n >= 4 && n < 8 ? 0 : data[n];
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
    }
    return ~crc == image_little(data + 4, 4);
}

/* The newer of two that are right. */
static const char *read_header(const struct image_file *file)
{
    uint8_t header[HEADER_SIZE];
    bool found = false, dirty = false;
    uint64_t newest = 0;

    for (unsigned n = 1; n <= 2; n++) {
        if (!image_map_inside(file, n * 64 * KIB, sizeof(header)) ||
            image_file_read_at(file, n * 64 * KIB, header, sizeof(header)) || memcmp(header, "head", 4) ||
            !checksum_right(header, sizeof(header)))
            continue;
        uint64_t sequence = image_little(header + 8, 8);
        if (found && sequence < newest)
            continue;
        found = true;
        newest = sequence;
        dirty = image_little(header + 48, 8) | image_little(header + 56, 8);
        if (image_little(header + 66, 2) != 1)
            return "is a VHDX image of a version that isn't known here";
    }
    if (!found)
        return "both of its headers are damaged";
    return dirty ? "was not closed by whoever wrote it last, and has changes in its log; open it there once, "
                   "or convert it "
                   "there"
                 : NULL;
}

static bool over_one_another(struct stretch a, struct stretch b)
{
    return a.size && b.size && a.at < b.at + b.size && b.at < a.at + a.size;
}

/* Where the block table and the metadata are. */
static const char *read_regions(const struct image_file *file, struct stretch *table,
                                struct stretch *metadata)
{
    uint8_t *raw = malloc(REGION_SIZE);
    const char *wrong = raw ? "both of its region tables are damaged" : "out of memory";
    uint64_t count = 0;

    for (unsigned n = 3; raw && n <= 4; n++) {
        if (!image_map_inside(file, n * 64 * KIB, REGION_SIZE) ||
            image_file_read_at(file, n * 64 * KIB, raw, REGION_SIZE) || memcmp(raw, "regi", 4) ||
            !checksum_right(raw, REGION_SIZE))
            continue;
        count = image_little(raw + 8, 4);
        wrong = count > REGIONS_MAX ? "its region table can't be that large" : NULL;
        break;
    }
    for (uint64_t n = 0; n < count && !wrong; n++) {
        const uint8_t *entry = raw + 16 + 32 * n;
        struct stretch region = {image_little(entry + 16, 8), image_little(entry + 24, 4)};
        struct stretch *known = !memcmp(entry, table_region, 16)      ? table
                                : !memcmp(entry, metadata_region, 16) ? metadata
                                                                      : NULL;

        if (region.at < MIB || region.at % MIB || !image_map_inside(file, region.at, region.size))
            wrong = "one of its regions is outside the file or in its headers";
        else if (known && known->size)
            wrong = "one of its regions is there twice";
        else if (known)
            *known = region;
        else if (image_little(entry + 28, 4) & 1)
            wrong = "needs something that isn't known here";
    }
    free(raw);
    if (!wrong && (!table->size || metadata->size < METADATA_TABLE))
        wrong = "has no block table or no metadata";
    return wrong || !over_one_another(*table, *metadata) ? wrong : "its regions overlap";
}

static enum item find_item(const uint8_t *id)
{
    unsigned n = 0;

    while (n < ITEMS && memcmp(items[n].id, id, 16))
        n++;
    return (enum item)n;
}

/* The numbers among the items. */
static const char *read_items(const struct image_file *file, struct stretch region, uint64_t values[ITEMS])
{
    uint8_t *raw = malloc(METADATA_TABLE);
    const char *wrong = NULL;
    uint64_t count = 0;

    if (!raw || image_file_read_at(file, region.at, raw, METADATA_TABLE) || memcmp(raw, "metadata", 8))
        wrong = "its metadata are damaged";
    else
        count = image_little(raw + 10, 2);
    if (count > ITEMS_MAX)
        wrong = "its metadata are damaged";
    for (uint64_t n = 0; n < count && !wrong; n++) {
        const uint8_t *entry = raw + 32 + 32 * n;
        uint64_t at = image_little(entry + 16, 4), size = image_little(entry + 20, 4);
        enum item item = find_item(entry);
        uint8_t value[8] = {0};

        if (item == ITEMS) {
            wrong =
                image_little(entry + 24, 4) & ITEM_REQUIRED ? "needs something that isn't known here" : NULL;
            continue;
        }
        if (item == PARENT || item == PAGE_83)
            continue;
        if (at < METADATA_TABLE || size != items[item].size || at > region.size || size > region.size - at ||
            image_file_read_at(file, region.at + at, value, size))
            wrong = "its metadata are damaged";
        values[item] = image_little(value, 8);
    }
    free(raw);
    return wrong;
}

static const char *check_items(const uint64_t values[ITEMS])
{
    uint64_t block = values[FILE_PARAMETERS] & UINT32_MAX, sector = values[LOGICAL_SECTOR],
             size = values[DISK_SIZE];

    if (values[FILE_PARAMETERS] >> 32 & HAS_PARENT)
        return "is a differencing VHDX image, which isn't read here; merge it with its parent first";
    if (block < MIB || block > 256 * MIB || block & (block - 1) || (sector != 512 && sector != 4096))
        return "its metadata have sizes of blocks or sectors that can't be";
    if (!size || size % sector || size > SIZE_MAX_VHDX)
        return "its metadata have a disk size that can't be";
    return NULL;
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* Blocks lie inside the file, behind the headers, and neither over one another nor over the regions. */
static const char *check_table(const struct vhdx *vhdx, struct stretch table, struct stretch metadata)
{
    uint64_t *sorted = malloc(vhdx->blocks * 8), block = vhdx->map.block, free_from = MIB;
    const char *wrong = sorted ? NULL : "out of memory";

    if (sorted) {
        memcpy(sorted, vhdx->table, vhdx->blocks * 8);
        qsort(sorted, vhdx->blocks, 8, compare);
    }
    for (uint64_t n = 0; n < vhdx->blocks && !wrong; n++) {
        struct stretch place = {sorted[n], block};

        if (!place.at)
            continue;
        if (place.at < free_from || !image_map_inside(&vhdx->file, place.at, block) ||
            over_one_another(place, table) || over_one_another(place, metadata))
            wrong = "its block table leads outside the file, or to a place that is taken";
        free_from = place.at + block;
    }
    free(sorted);
    return wrong;
}

/* The table without the bitmaps' entries, which only differencing images use. */
static const char *read_table(struct vhdx *vhdx, struct stretch region, uint64_t sector)
{
    uint64_t ratio = (sector << 23) / vhdx->map.block, last = vhdx->blocks - 1,
             size = (last + last / ratio + 1) * 8;
    uint8_t *raw;

    if (size > region.size || size > TABLE_MAX)
        return "its block table is too small for the disk";
    raw = malloc(size);
    vhdx->table = malloc(vhdx->blocks * 8);
    if (!raw || !vhdx->table || image_file_read_at(&vhdx->file, region.at, raw, size)) {
        free(raw);
        return "its block table can't be read";
    }
    for (uint64_t n = 0; n < vhdx->blocks; n++) {
        uint64_t entry = image_little(raw + 8 * (n + n / ratio), 8), state = entry & 7;

        vhdx->table[n] = state == PRESENT ? entry & ~(uint64_t)(MIB - 1) : 0;
        if ((state == PRESENT && !vhdx->table[n]) || state == PARTIAL || state == 4 || state == 5) {
            free(raw);
            return "its block table is damaged";
        }
    }
    free(raw);
    return NULL;
}

static int vhdx_locate(struct image_map *map, uint64_t offset, struct image_place *place)
{
    const struct vhdx *vhdx = (struct vhdx *)map;
    uint64_t within = offset % map->block, at = vhdx->table[offset / map->block];

    place->length = map->block - within;
    place->file = at ? &vhdx->file : NULL;
    place->at = at + within;
    return 0;
}

static void vhdx_release(struct image_map *map)
{
    struct vhdx *vhdx = (struct vhdx *)map;

    image_file_close(&vhdx->file);
    free(vhdx->table);
}

static const struct image_ops vhdx_ops = {.name = "vhdx", IMAGE_MAP_OPS};

static const char *read_all(struct vhdx *vhdx)
{
    struct stretch table = {0}, metadata = {0};
    uint64_t values[ITEMS] = {0};
    uint8_t magic[8];
    const char *wrong = NULL;

    if (vhdx->file.size < MIB || image_file_read_at(&vhdx->file, 0, magic, 8) || memcmp(magic, "vhdxfile", 8))
        wrong = "is no VHDX image";
    if (!wrong)
        wrong = read_header(&vhdx->file);
    if (!wrong)
        wrong = read_regions(&vhdx->file, &table, &metadata);
    if (!wrong)
        wrong = read_items(&vhdx->file, metadata, values);
    if (!wrong)
        wrong = check_items(values);
    if (wrong)
        return wrong;
    vhdx->map.version = 1;
    vhdx->map.block = (uint32_t)values[FILE_PARAMETERS];
    vhdx->map.image.size = values[DISK_SIZE];
    vhdx->map.image.sector = values[LOGICAL_SECTOR] == 4096 || values[PHYSICAL_SECTOR] == 4096 ? 4096 : 512;
    vhdx->blocks = (values[DISK_SIZE] + vhdx->map.block - 1) / vhdx->map.block;
    wrong = read_table(vhdx, table, values[LOGICAL_SECTOR]);
    return wrong ? wrong : check_table(vhdx, table, metadata);
}

static struct image *vhdx_open(const struct image_options *options, const struct image_file *file, char *why,
                               size_t why_size)
{
    struct vhdx *vhdx = calloc(1, sizeof(*vhdx));
    const char *wrong = "out of memory";

    if (vhdx) {
        vhdx->file = *file;
        wrong = read_all(vhdx);
    }
    if (wrong) {
        image_refuse(options->path, why, why_size, "%s", wrong);
        if (vhdx)
            free(vhdx->table);
        free(vhdx);
        return NULL;
    }
    vhdx->map.locate = vhdx_locate;
    vhdx->map.release = vhdx_release;
    return image_map_open(&vhdx->map, &vhdx_ops);
}

const struct image_format image_vhdx_format = {
    .name = "vhdx", .article_name = "a VHDX image", .probe = vhdx_probe, .open = vhdx_open};
