/*
 * image_vmdk.c - VMware's disk images (Virtual Disk Format 5.0): a descriptor, which is text, and extents:
 * sparse ones, whose grains are found through a directory of tables; flat ones, the disk's bytes as they are;
 * and zeroes.
 *
 *     monolithicSparse, streamOptimized   one file with the descriptor in it
 *     monolithicFlat, twoGbMaxExtent...   the descriptor is a file of its own and names the others
 *
 * Extents are only opened in the folder where the descriptor lies, and never through a link. A table is read
 * when something is first read through it.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "host/image_map.h"

#define HEADER_SIZE    512u
#define MAGIC          "KDMV"
#define TEXT_MAGIC     "# Disk DescriptorFile"
#define DESCRIPTOR_MAX (1u << 20)
#define EXTENTS_MAX    2048u
#define SECTORS_MAX    (1ull << 37) /* 64 TiB */

#define FLAG_ZEROED     0x00000004u /* 1 in a table is a grain of zeroes */
#define FLAG_COMPRESSED 0x00010000u
#define AT_END          UINT64_MAX /* as the directory's place: the header at the file's end is the right one */
#define NO_PARENT       "ffffffff"

#define GRAIN_MAX     2048u /* sectors */
#define TABLE_ENTRIES 512u
#define DIRECTORY_MAX (1u << 22) /* entries */

enum extent_kind { EXTENT_ZERO, EXTENT_FLAT, EXTENT_SPARSE };

struct extent {
    enum extent_kind kind;
    uint64_t first, sectors; /* of the disk */
    struct image_file file;  /* fd -1: none */
    uint64_t at;             /* flat: bytes into the file */

    /* Sparse. */
    uint32_t grain; /* bytes */
    bool zeroed, compressed;
    uint64_t header_end; /* sectors: grains and tables lie behind */
    uint32_t *directory; /* sectors; 0: no table */
    uint32_t **table;    /* those that were read */
    uint32_t tables;
};

struct vmdk {
    struct image_map map;
    struct extent *extent;
    unsigned extents;
    /* While it is opened: */
    const struct image_options *options;
    char *why;
    size_t why_size;
};

static bool vmdk_probe(const uint8_t *head, size_t size, const struct image_file *file)
{
    (void)file;
    return (size >= HEADER_SIZE && !memcmp(head, MAGIC, 4)) ||
           (size >= sizeof(TEXT_MAGIC) && !memcmp(head, TEXT_MAGIC, sizeof(TEXT_MAGIC) - 1));
}

static bool refuse(const struct vmdk *vmdk, const char *text)
{
    return image_refuse(vmdk->options->path, vmdk->why, vmdk->why_size, "%s", text);
}

/* --- Reading. */

static struct extent *find_extent(const struct vmdk *vmdk, uint64_t sector)
{
    unsigned low = 0, high = vmdk->extents;

    while (high - low > 1) {
        unsigned middle = (low + high) / 2;
        if (vmdk->extent[middle].first <= sector)
            low = middle;
        else
            high = middle;
    }
    return &vmdk->extent[low];
}

/* With the map's lock held. NULL: it can't be read. */
static const uint32_t *get_table(struct extent *extent, uint32_t n)
{
    uint64_t at = (uint64_t)extent->directory[n] * IMAGE_SECTOR;
    uint32_t *table;

    if (extent->table[n])
        return extent->table[n];
    table = malloc(TABLE_ENTRIES * sizeof(*table));
    if (!table || image_file_read_at(&extent->file, at, table, TABLE_ENTRIES * sizeof(*table))) {
        free(table);
        return NULL;
    }
    for (unsigned i = 0; i < TABLE_ENTRIES; i++)
        table[i] = (uint32_t)image_little((const uint8_t *)&table[i], 4);
    return extent->table[n] = table;
}

static int locate_grain(struct vmdk *vmdk, struct extent *extent, uint64_t offset, struct image_place *place)
{
    uint64_t grain = offset / extent->grain, within = offset % extent->grain;
    uint32_t n = (uint32_t)(grain / TABLE_ENTRIES), entry = 0;

    place->length = extent->grain - within;
    if (extent->directory[n]) {
        pthread_mutex_lock(&vmdk->map.lock);
        const uint32_t *table = get_table(extent, n);
        if (table)
            entry = table[grain % TABLE_ENTRIES];
        pthread_mutex_unlock(&vmdk->map.lock);
        if (!table)
            return EIO;
    }
    if (!entry || (entry == 1 && extent->zeroed))
        return 0;
    if (entry < extent->header_end || (uint64_t)entry * IMAGE_SECTOR >= extent->file.size)
        return EIO;
    place->file = &extent->file;
    place->at = (uint64_t)entry * IMAGE_SECTOR + (extent->compressed ? 0 : within);
    place->packed = extent->compressed;
    place->skip = within;
    return 0;
}

static int vmdk_locate(struct image_map *map, uint64_t offset, struct image_place *place)
{
    struct vmdk *vmdk = (struct vmdk *)map;
    struct extent *extent = find_extent(vmdk, offset / IMAGE_SECTOR);
    uint64_t within = offset - extent->first * IMAGE_SECTOR, rest = extent->sectors * IMAGE_SECTOR - within;
    int error = 0;

    place->length = rest;
    if (extent->kind == EXTENT_FLAT) {
        place->file = &extent->file;
        place->at = extent->at + within;
    } else if (extent->kind == EXTENT_SPARSE) {
        error = locate_grain(vmdk, extent, within, place);
    }
    if (place->length > rest)
        place->length = rest;
    return error;
}

/* A compressed grain: the disk's sector, the size of what follows, and that, as zlib made it. */
static int vmdk_unpack(struct image_map *map, const struct image_place *place, uint8_t *data)
{
    uint8_t head[12], *packed;
    uLongf size = map->block;
    uint64_t length;
    int error;

    if (!image_map_inside(place->file, place->at, sizeof(head)))
        return EIO;
    error = image_file_read_at(place->file, place->at, head, sizeof(head));
    length = image_little(head + 8, 4);
    if (error || length > 2ull * map->block + 64 ||
        !image_map_inside(place->file, place->at + sizeof(head), length))
        return error ? error : EIO;
    packed = malloc(length ? length : 1);
    if (!packed)
        return ENOMEM;
    error = image_file_read_at(place->file, place->at + sizeof(head), packed, length);
    if (!error && (uncompress(data, &size, packed, length) != Z_OK))
        error = EIO;
    free(packed);
    memset(data + (error ? 0 : size), 0, error ? 0 : map->block - size); /* the last grain may be short */
    return error;
}

static void free_extent(struct extent *extent)
{
    if (extent->file.fd >= 0)
        image_file_close(&extent->file);
    for (uint32_t n = 0; extent->table && n < extent->tables; n++)
        free(extent->table[n]);
    free(extent->table);
    free(extent->directory);
}

static void vmdk_release(struct image_map *map)
{
    struct vmdk *vmdk = (struct vmdk *)map;

    for (unsigned n = 0; n < vmdk->extents; n++)
        free_extent(&vmdk->extent[n]);
    free(vmdk->extent);
}

static const struct image_ops vmdk_ops = {.name = "vmdk", IMAGE_MAP_OPS};

/* --- Sparse extents. */

/* The directory's tables lie inside the file, behind the header, and each is there once. */
static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return x < y ? -1 : x > y;
}

static const char *check_directory(const struct extent *extent, uint64_t directory_at)
{
    const uint64_t table_sectors = TABLE_ENTRIES * 4 / IMAGE_SECTOR;
    uint64_t directory_end = directory_at + ((uint64_t)extent->tables * 4 + IMAGE_SECTOR - 1) / IMAGE_SECTOR;
    uint64_t free_from = 1;
    uint32_t *sorted = malloc(extent->tables * sizeof(*sorted));
    const char *wrong = sorted ? NULL : "out of memory";

    if (sorted) {
        memcpy(sorted, extent->directory, extent->tables * sizeof(*sorted));
        qsort(sorted, extent->tables, sizeof(*sorted), compare);
    }
    for (uint32_t n = 0; n < extent->tables && !wrong; n++) {
        uint64_t at = sorted[n];

        if (!at)
            continue;
        if (at < free_from || !image_map_inside(&extent->file, at * IMAGE_SECTOR, TABLE_ENTRIES * 4) ||
            (at < directory_end && directory_at < at + table_sectors))
            wrong = "its grain tables overlap, or are outside the file";
        free_from = at + table_sectors;
    }
    free(sorted);
    return wrong;
}

static const char *read_directory(struct extent *extent, uint64_t at)
{
    uint64_t covered = (uint64_t)extent->grain * TABLE_ENTRIES;
    uint64_t tables = (extent->sectors * IMAGE_SECTOR + covered - 1) / covered;

    if (!at || at > extent->file.size / IMAGE_SECTOR || tables > DIRECTORY_MAX ||
        !image_map_inside(&extent->file, at * IMAGE_SECTOR, tables * 4))
        return "its grain directory is outside the file";
    extent->tables = (uint32_t)tables;
    extent->directory = malloc(tables * sizeof(*extent->directory));
    extent->table = calloc(tables, sizeof(*extent->table));
    if (!extent->directory || !extent->table)
        return "out of memory";
    if (image_file_read_at(&extent->file, at * IMAGE_SECTOR, extent->directory, tables * 4))
        return "its grain directory can't be read";
    for (uint32_t n = 0; n < tables; n++)
        extent->directory[n] = (uint32_t)image_little((const uint8_t *)&extent->directory[n], 4);
    return check_directory(extent, at);
}

/* A header; where the directory is said to be at the end, the copy three sectors before the end counts. */
static const char *read_header(const struct image_file *file, uint8_t header[HEADER_SIZE])
{
    if (file->size < 4 * HEADER_SIZE || image_file_read_at(file, 0, header, HEADER_SIZE) ||
        memcmp(header, MAGIC, 4))
        return "has a sparse extent without a header";
    if (image_little(header + 56, 8) != AT_END)
        return NULL;
    if (image_file_read_at(file, file->size - 2 * HEADER_SIZE, header, HEADER_SIZE) ||
        memcmp(header, MAGIC, 4) || image_little(header + 56, 8) == AT_END)
        return "is cut short: the header at its end is missing";
    return NULL;
}

/* `sectors` is set by the caller, or 0 for what the header says. */
static const char *open_sparse(struct extent *extent, uint8_t header[HEADER_SIZE])
{
    const char *wrong = read_header(&extent->file, header);
    uint64_t flags, capacity, grain;

    if (wrong)
        return wrong;
    flags = image_little(header + 8, 4);
    capacity = image_little(header + 12, 8);
    grain = image_little(header + 20, 8);
    if (image_little(header + 4, 4) < 1 || image_little(header + 4, 4) > 3)
        return "is a VMDK image of a version that isn't known here";
    if (flags & FLAG_COMPRESSED && image_little(header + 77, 2) != 1)
        return "is compressed in a way that isn't known here";
    if (!grain || grain > GRAIN_MAX || grain & (grain - 1) || image_little(header + 44, 4) != TABLE_ENTRIES ||
        !capacity || capacity > SECTORS_MAX || extent->sectors > capacity)
        return "its header has sizes that can't be";
    if (!extent->sectors)
        extent->sectors = capacity;
    extent->kind = EXTENT_SPARSE;
    extent->grain = (uint32_t)grain * IMAGE_SECTOR;
    extent->zeroed = flags & FLAG_ZEROED;
    extent->compressed = flags & FLAG_COMPRESSED;
    extent->header_end = 1;
    return read_directory(extent, image_little(header + 56, 8));
}

/* --- The descriptor. */

/* The value of `name=value` or `name="value"` in a line of its own; false when there is none. */
static bool find_value(const char *text, const char *name, char *value, size_t size)
{
    size_t length = strlen(name);

    for (const char *line = text; line && *line; line = strchr(line, '\n'), line += line != NULL) {
        while (*line == ' ' || *line == '\t')
            line++;
        if (strncmp(line, name, length))
            continue;
        const char *from = line + length + strspn(line + length, " \t");
        if (*from++ != '=')
            continue;
        from += strspn(from, " \t\"");
        size_t end = strcspn(from, "\"\r\n");
        if (end >= size)
            return false;
        memcpy(value, from, end);
        value[end] = 0;
        return true;
    }
    return false;
}

static bool check_parent(const struct vmdk *vmdk, const char *text)
{
    char value[64];

    if (find_value(text, "parentCID", value, sizeof(value)) && strcasecmp(value, NO_PARENT))
        return refuse(vmdk, "has a parent, which isn't read here; merge the two first");
    return true;
}

/* A name without a folder, of a file that is one. */
static bool open_extent_file(struct vmdk *vmdk, struct extent *extent, const char *name)
{
    const char *path = vmdk->options->path, *slash = strrchr(path, '/');
    char full[PATH_MAX], reason[300];
    struct stat info;

    if (!*name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, "..") ||
        snprintf(full, sizeof(full), "%.*s%s", slash ? (int)(slash + 1 - path) : 0, path, name) >=
            (int)sizeof(full)) {
        image_refuse(path, vmdk->why, vmdk->why_size,
                     "names the extent \"%.60s\", which isn't a file of its own folder; it is not opened",
                     name);
        return false;
    }
    if (!lstat(full, &info) && !S_ISREG(info.st_mode))
        return image_refuse(path, vmdk->why, vmdk->why_size, "its extent \"%.60s\" is not a plain file",
                            name);
    if (image_file_open(&extent->file, full, false, vmdk->options->log, reason, sizeof(reason)))
        return true;
    extent->file.fd = -1;
    return image_refuse(path, vmdk->why, vmdk->why_size, "its extent %.200s", reason);
}

static struct extent *new_extent(struct vmdk *vmdk)
{
    struct extent *all = realloc(vmdk->extent, (vmdk->extents + 1) * sizeof(*all));

    if (!all)
        return NULL;
    vmdk->extent = all;
    all[vmdk->extents] = (struct extent){.file.fd = -1};
    return &all[vmdk->extents++];
}

/* What is shown to users, and opened, has no control characters in it. */
static bool is_plain(const char *text)
{
    while (*text && (unsigned char)*text >= ' ' && *text != 0x7F)
        text++;
    return !*text;
}

/* ACCESS SECTORS KIND ["NAME" [SECTOR]]: one more extent. */
static bool take_extent(struct vmdk *vmdk, const char *line)
{
    uint64_t sectors, first = 0;
    char kind[16], name[256] = "", text[300];
    uint8_t header[HEADER_SIZE];
    struct extent *extent;
    const char *wrong;

    int parts = sscanf(line, "%*15s %" SCNu64 " %15s \"%255[^\"]\" %" SCNu64, &sectors, kind, name, &first);
    if (parts < 2 || !sectors || sectors > SECTORS_MAX || first > SECTORS_MAX || !is_plain(kind) ||
        !is_plain(name))
        return refuse(vmdk, "has a line for an extent in its descriptor that makes no sense");
    if (vmdk->extents == EXTENTS_MAX || !(extent = new_extent(vmdk)))
        return refuse(vmdk, "has too many extents");
    extent->sectors = sectors;
    if (!strcmp(kind, "ZERO"))
        return true;
    if (strcmp(kind, "FLAT") && strcmp(kind, "VMFS") && strcmp(kind, "SPARSE")) {
        snprintf(text, sizeof(text), "has an extent of the kind %s, which isn't read here", kind);
        return refuse(vmdk, text);
    }
    if (!open_extent_file(vmdk, extent, name))
        return false;
    if (!strcmp(kind, "SPARSE")) {
        wrong = open_sparse(extent, header);
        return !wrong || refuse(vmdk, wrong);
    }
    extent->kind = EXTENT_FLAT;
    extent->at = first * IMAGE_SECTOR;
    return image_map_inside(&extent->file, extent->at, sectors * IMAGE_SECTOR) ||
           refuse(vmdk, "has an extent that is shorter than its descriptor says");
}

static bool take_extents(struct vmdk *vmdk, const char *text)
{
    for (const char *line = text; line && *line; line = strchr(line, '\n'), line += line != NULL)
        if ((!strncmp(line, "RW ", 3) || !strncmp(line, "RDONLY ", 7)) && !take_extent(vmdk, line))
            return false;
    return vmdk->extents || refuse(vmdk, "has a descriptor without extents");
}

/* Text of the file, with a zero behind it, to be freed. */
static char *read_text(const struct image_file *file, uint64_t at, uint64_t size)
{
    char *text;

    if (size > DESCRIPTOR_MAX || !image_map_inside(file, at, size) || !(text = malloc(size + 1)))
        return NULL;
    if (image_file_read_at(file, at, text, size)) {
        free(text);
        return NULL;
    }
    text[size] = 0;
    return text;
}

/* The descriptor is the file, and leads to the others. */
static bool open_described(struct vmdk *vmdk, const struct image_file *file)
{
    char *text = read_text(file, 0, file->size);
    bool done = text ? check_parent(vmdk, text) && take_extents(vmdk, text)
                     : refuse(vmdk, "has a descriptor that can't be that large");

    free(text);
    return done;
}

/* One file; the descriptor in it says nothing new, but for a parent. */
static bool open_monolithic(struct vmdk *vmdk, const struct image_file *file)
{
    struct extent *extent = new_extent(vmdk);
    uint8_t header[HEADER_SIZE];
    const char *wrong;
    char *text;
    bool done;

    if (!extent)
        return refuse(vmdk, "out of memory");
    extent->file = *file;
    wrong = open_sparse(extent, header);
    if (wrong)
        return refuse(vmdk, wrong);
    if (!image_little(header + 28, 8))
        return refuse(vmdk, "is a part of a split image; give the file that has the descriptor");
    if (image_little(header + 28, 8) > SECTORS_MAX || image_little(header + 36, 8) > SECTORS_MAX)
        return refuse(vmdk, "its descriptor is outside the file");
    text = read_text(file, image_little(header + 28, 8) * IMAGE_SECTOR,
                     image_little(header + 36, 8) * IMAGE_SECTOR);
    done = text ? check_parent(vmdk, text) : refuse(vmdk, "its descriptor is outside the file");
    free(text);
    return done;
}

/* The extents follow one another. Compressed ones have grains of one size, so that one buffer serves all. */
static bool arrange(struct vmdk *vmdk)
{
    uint64_t first = 0;
    uint32_t packed = 0;

    for (unsigned n = 0; n < vmdk->extents; n++) {
        struct extent *extent = &vmdk->extent[n];

        extent->first = first;
        first += extent->sectors;
        if (first > SECTORS_MAX)
            return refuse(vmdk, "is larger than can be");
        if (extent->grain > vmdk->map.block)
            vmdk->map.block = extent->grain;
        if (extent->compressed && packed && packed != extent->grain)
            return refuse(vmdk, "has compressed extents with grains of different sizes");
        packed = extent->compressed ? extent->grain : packed;
    }
    vmdk->map.block = packed ? packed : vmdk->map.block;
    vmdk->map.compression = packed ? "zlib" : NULL;
    vmdk->map.image.size = first * IMAGE_SECTOR;
    return true;
}

static struct image *vmdk_open(const struct image_options *options, const struct image_file *file, char *why,
                               size_t why_size)
{
    struct vmdk *vmdk = calloc(1, sizeof(*vmdk));
    uint8_t head[HEADER_SIZE] = {0};
    bool text, done = false;

    if (!vmdk) {
        image_refuse(options->path, why, why_size, "out of memory");
        return NULL;
    }
    vmdk->options = options;
    vmdk->why = why;
    vmdk->why_size = why_size;
    image_file_read_at(file, 0, head, file->size < sizeof(head) ? (size_t)file->size : sizeof(head));
    text = !memcmp(head, TEXT_MAGIC, sizeof(TEXT_MAGIC) - 1);
    if (text)
        done = open_described(vmdk, file);
    else if (!memcmp(head, MAGIC, 4))
        done = open_monolithic(vmdk, file);
    else
        refuse(vmdk, "is no VMDK image");
    if (!done || !arrange(vmdk)) {
        if (!text && vmdk->extents)
            vmdk->extent[0].file.fd = -1; /* still the caller's */
        vmdk_release(&vmdk->map);
        free(vmdk);
        return NULL;
    }
    if (text) { /* it has been read */
        struct image_file descriptor = *file;
        image_file_close(&descriptor);
    }
    vmdk->options = NULL;
    vmdk->map.version = 1;
    vmdk->map.locate = vmdk_locate;
    vmdk->map.unpack = vmdk_unpack;
    vmdk->map.release = vmdk_release;
    return image_map_open(&vmdk->map, &vmdk_ops);
}

const struct image_format image_vmdk_format = {
    .name = "vmdk", .article_name = "a VMDK image", .probe = vmdk_probe, .open = vmdk_open};
