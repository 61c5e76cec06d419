/*
 * image_qcow2.c - qcow2 images, versions 2 and 3: the header, and what is refused by it; see image_qcow2.h.
 */
#include "host/image_qcow2.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "core/log.h"

#define L2_SLOTS_MAX      256u
#define BLOCK_SLOTS_MAX   64u
#define L2_SLOTS_BYTES    (16u << 20)
#define BLOCK_SLOTS_BYTES (4u << 20)

int qcow2_corrupt(struct qcow2 *q, const char *format, ...)
{
    char text[200];
    va_list arguments;

    if (q->broken)
        return EIO;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    q->broken = true;
    if (q->log)
        log_at(q->log, LOG_ERROR, "disk", "%s: is corrupt: %s%s", q->path, text,
               q->file.writable ? "; nothing is written to it any more" : "");
    q->incompatible |= QCOW2_INCOMPATIBLE_CORRUPT;
    if (q->file.writable && q->version >= 3)
        qcow2_write_features(q);
    return EIO;
}

int qcow2_write_features(struct qcow2 *q)
{
    uint8_t bytes[24];

    qcow2_store(bytes, 8, q->incompatible);
    qcow2_store(bytes + 8, 8, q->compatible);
    qcow2_store(bytes + 16, 8, q->autoclear);
    int error = image_file_write_at(&q->file, QCOW2_INCOMPATIBLE, bytes, sizeof(bytes));
    return error ? error : image_file_flush(&q->file);
}

/* The image's ops that aren't elsewhere. */

static int qcow2_flush(struct image *image)
{
    struct qcow2 *q = (struct qcow2 *)image;

    pthread_mutex_lock(&q->lock);
    int error = qcow2_write_back(q);
    pthread_mutex_unlock(&q->lock);
    return error ? error : image_file_flush(&q->file);
}

static int qcow2_extent(struct image *image, uint64_t offset, bool own, uint64_t *length, bool *data)
{
    struct qcow2 *q = (struct qcow2 *)image;
    struct qcow2_place place;

    pthread_mutex_lock(&q->lock);
    int error = qcow2_find(q, offset, image->size - offset, &place);
    pthread_mutex_unlock(&q->lock);
    if (error)
        return error;
    *length = place.size;
    *data = place.kind == QCOW2_DATA || place.kind == QCOW2_PACKED || (own && place.kind == QCOW2_ZEROES);
    if (place.kind != QCOW2_BACKED || own || !q->backing || offset >= q->backing->size)
        return 0;
    error = image_extent(q->backing, offset, false, length, data);
    if (*length > place.size)
        *length = place.size;
    return error;
}

/* A snapshot's entry in their table, of which `room` bytes are there. Its length; 0: it isn't one. */
static size_t read_snapshot(const uint8_t *entry, size_t room, struct image_snapshot *snapshot)
{
    if (room < 40)
        return 0;
    size_t id = qcow2_load(entry + 12, 2), name = qcow2_load(entry + 14, 2),
           extra = qcow2_load(entry + 36, 4);
    size_t length = (40 + extra + id + name + 7) & ~(size_t)7;
    if (extra > 1024 || length > room)
        return 0;
    *snapshot = (struct image_snapshot){
        .seconds = qcow2_load(entry + 16, 4),
        .state_size = extra >= 8 ? qcow2_load(entry + 40, 8) : qcow2_load(entry + 32, 4),
        .disk_size = extra >= 16 ? qcow2_load(entry + 48, 8) : 0,
    };
    snprintf(snapshot->id, sizeof(snapshot->id), "%.*s", (int)id, (const char *)entry + 40 + extra);
    snprintf(snapshot->name, sizeof(snapshot->name), "%.*s", (int)name,
             (const char *)entry + 40 + extra + id);
    return length;
}

static void add_snapshots(struct qcow2 *q, struct image_info *info)
{
    uint64_t room = q->end - q->snapshots_offset, at = 0;
    uint8_t *bytes;

    if (!q->snapshots)
        return;
    if (room > QCOW2_SNAPSHOTS_BYTES)
        room = QCOW2_SNAPSHOTS_BYTES;
    bytes = malloc(room);
    info->snapshots = calloc(q->snapshots, sizeof(*info->snapshots));
    if (bytes && info->snapshots && !image_file_read_at(&q->file, q->snapshots_offset, bytes, room))
        while (info->snapshot_count < q->snapshots) {
            struct image_snapshot *snapshot = &info->snapshots[info->snapshot_count];
            size_t length = read_snapshot(bytes + at, room - at, snapshot);

            if (!length)
                break;
            if (!snapshot->disk_size)
                snapshot->disk_size = q->image.size;
            info->snapshot_count++;
            at += length;
        }
    free(bytes);
}

static void qcow2_info(struct image *image, struct image_info *info)
{
    struct qcow2 *q = (struct qcow2 *)image;

    info->cluster_size = (uint32_t)q->cluster_size;
    info->version = q->version;
    info->compression = q->zstd ? "zstd" : "zlib";
    info->dirty = q->incompatible & QCOW2_INCOMPATIBLE_DIRTY;
    info->corrupt = q->incompatible & QCOW2_INCOMPATIBLE_CORRUPT;
    info->lazy_refcounts = q->compatible & QCOW2_COMPATIBLE_LAZY;
    info->refcount_bits = 1u << q->refcount_order;
    snprintf(info->backing, sizeof(info->backing), "%s", q->backing_name);
    snprintf(info->backing_format, sizeof(info->backing_format), "%s", q->backing_format);
    snprintf(info->backing_path, sizeof(info->backing_path), "%s", q->backing_path ? q->backing_path : "");
    add_snapshots(q, info);
}

static void free_qcow2(struct qcow2 *q)
{
    image_close(q->backing);
    free(q->backing_path);
    free(q->path);
    free(q->l1);
    free(q->table);
    free(q->releases);
    free(q->packed_data);
    qcow2_cache_free(&q->l2);
    qcow2_cache_free(&q->blocks);
    pthread_mutex_destroy(&q->lock);
    pthread_mutex_destroy(&q->packed_lock);
    pthread_cond_destroy(&q->moved);
    free(q);
}

static void qcow2_close(struct image *image)
{
    struct qcow2 *q = (struct qcow2 *)image;

    if (q->file.writable && !q->broken) {
        int error = qcow2_flush(image);
        if (error && q->log)
            log_at(q->log, LOG_WARN, "disk", "%s: the last writes may be lost: %s", q->path, strerror(error));
    }
    image_file_close(&q->file);
    free_qcow2(q);
}

static const struct image_ops qcow2_ops = {
    .name = "qcow2",
    .read = qcow2_read,
    .write = qcow2_write,
    .zero = qcow2_zero,
    .discard = qcow2_discard,
    .flush = qcow2_flush,
    .extent = qcow2_extent,
    .info = qcow2_info,
    .check = qcow2_check,
    .resize = qcow2_resize,
    .empty = qcow2_empty,
    .close = qcow2_close,
};

/* Opening. What follows refuses with a line in `why`. */

struct opening {
    struct qcow2 *q;
    const struct image_options *options;
    uint8_t *head; /* the first cluster */
    char *why;
    size_t why_size;
};

#define REFUSE(o, ...) image_refuse((o)->options->path, (o)->why, (o)->why_size, __VA_ARGS__)

/* The image's own word for an incompatible feature, from its table of names. */
static void name_feature(const struct opening *o, const uint8_t *table, size_t size, unsigned bit, char *name)
{
    (void)o;
    snprintf(name, 60, "feature bit %u", bit);
    for (size_t at = 0; at + 48 <= size; at += 48)
        if (table[at] == 0 && table[at + 1] == bit)
            snprintf(name, 60, "%.46s", (const char *)table + at + 2);
    for (char *c = name; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
}

static bool check_features(const struct opening *o, const uint8_t *names, size_t names_size)
{
    const uint64_t known =
        QCOW2_INCOMPATIBLE_DIRTY | QCOW2_INCOMPATIBLE_CORRUPT | QCOW2_INCOMPATIBLE_COMPRESSION;
    struct qcow2 *q = o->q;
    uint64_t unknown = q->incompatible & ~known;
    char name[60];

    if (q->incompatible & QCOW2_INCOMPATIBLE_DATA_FILE)
        return REFUSE(o, "keeps its data in another file (external data file), which isn't read here");
    if (q->incompatible & QCOW2_INCOMPATIBLE_EXTENDED_L2)
        return REFUSE(
            o, "has subclusters (extended L2 entries), which aren't read here; convert it with qemu-img");
    if (unknown) {
        name_feature(o, names, names_size, (unsigned)__builtin_ctzll(unknown), name);
        return REFUSE(o, "has a feature that isn't known here: %s", name);
    }
    if (q->incompatible & QCOW2_INCOMPATIBLE_CORRUPT && q->file.writable && !o->options->repair)
        return REFUSE(
            o, "is marked corrupt; repair it with 'oxbow image check --repair FILE', or add ,readonly");
    return true;
}

/* The extensions between the header and the backing file's name or the cluster's end. */
static bool read_extensions(const struct opening *o, uint32_t at, uint32_t end)
{
    struct qcow2 *q = o->q;
    const uint8_t *names = NULL;
    uint32_t names_size = 0;

    while (end - at >= 8) {
        uint32_t type = (uint32_t)qcow2_load(o->head + at, 4),
                 size = (uint32_t)qcow2_load(o->head + at + 4, 4);

        at += 8;
        if (type == QCOW2_EXTENSION_END)
            break;
        if (size > end - at)
            return REFUSE(o, "has a header extension that is too long");
        if (type == QCOW2_EXTENSION_FORMAT)
            snprintf(q->backing_format, sizeof(q->backing_format), "%.*s", (int)(size < 15 ? size : 15),
                     (const char *)o->head + at);
        if (type == QCOW2_EXTENSION_BITMAPS)
            q->has_bitmaps = true;
        if (type == QCOW2_EXTENSION_FEATURES) {
            names = o->head + at;
            names_size = size;
        }
        at += (size + 7) & ~7u;
        if (at > end)
            break;
    }
    return check_features(o, names, names_size);
}

static bool read_backing_name(const struct opening *o, uint32_t *extensions_end)
{
    struct qcow2 *q = o->q;
    uint64_t offset = qcow2_load(o->head + QCOW2_BACKING_OFFSET, 8);
    uint32_t size = (uint32_t)qcow2_load(o->head + QCOW2_BACKING_SIZE, 4);

    *extensions_end = (uint32_t)q->cluster_size;
    if (!offset)
        return true;
    if (size > 1023 || offset > q->cluster_size || size > q->cluster_size - offset)
        return REFUSE(o, "the name of its backing file lies outside its first cluster");
    snprintf(q->backing_name, sizeof(q->backing_name), "%.*s", (int)size, (const char *)o->head + offset);
    *extensions_end = (uint32_t)offset;
    return true;
}

static bool read_version3(const struct opening *o, uint32_t *length)
{
    struct qcow2 *q = o->q;

    *length = QCOW2_HEADER_V2;
    q->refcount_order = 4;
    if (q->version < 3)
        return true;
    *length = (uint32_t)qcow2_load(o->head + QCOW2_HEADER_LENGTH, 4);
    if (*length < QCOW2_COMPRESSION || *length > q->cluster_size)
        return REFUSE(o, "its header says that it has %" PRIu32 " bytes", *length);
    q->incompatible = qcow2_load(o->head + QCOW2_INCOMPATIBLE, 8);
    q->compatible = qcow2_load(o->head + QCOW2_COMPATIBLE, 8);
    q->autoclear = qcow2_load(o->head + QCOW2_AUTOCLEAR, 8);
    q->refcount_order = (unsigned)qcow2_load(o->head + QCOW2_REFCOUNT_ORDER, 4);
    if (q->refcount_order > 6)
        return REFUSE(o, "its refcounts have 2^%u bits; there may be 64", q->refcount_order);
    unsigned compression = *length > QCOW2_COMPRESSION ? o->head[QCOW2_COMPRESSION] : 0;
    if (compression > 1)
        return REFUSE(o, "is compressed by method %u, which isn't known here", compression);
    q->zstd = compression == 1;
#ifndef HAVE_ZSTD
    if (q->zstd)
        return REFUSE(o, "is compressed by zstd, which this build of Oxbow has not");
#endif
    return true;
}

/* A table in the file: `bytes` at `offset`. */
static bool check_table(const struct opening *o, const char *what, uint64_t offset, uint64_t bytes,
                        uint64_t most)
{
    const struct qcow2 *q = o->q;

    if (bytes > most)
        return REFUSE(o, "its %s has %" PRIu64 " bytes; there may be %" PRIu64, what, bytes, most);
    if (offset & (q->cluster_size - 1))
        return REFUSE(o, "its %s lies at 0x%" PRIx64 ", which is misaligned", what, offset);
    if (!offset || offset > q->end || bytes > q->end - offset)
        return REFUSE(o, "its %s at 0x%" PRIx64 " lies outside the file", what, offset);
    return true;
}

static bool read_tables(const struct opening *o)
{
    struct qcow2 *q = o->q;
    uint32_t l1 = (uint32_t)qcow2_load(o->head + QCOW2_L1_SIZE, 4),
             clusters = (uint32_t)qcow2_load(o->head + QCOW2_TABLE_CLUSTERS, 4);
    uint64_t reach = (uint64_t)q->cluster_size << q->l2_bits,
             needed = q->image.size / reach + !!(q->image.size % reach);

    q->l1_offset = qcow2_load(o->head + QCOW2_L1_OFFSET, 8);
    q->table_offset = qcow2_load(o->head + QCOW2_TABLE_OFFSET, 8);
    q->l1_size = l1;
    if (needed > l1)
        return REFUSE(o, "its L1 table has %" PRIu32 " entries, too few for a disk of %" PRIu64 " bytes", l1,
                      q->image.size);
    if ((l1 && !check_table(o, "L1 table", q->l1_offset, l1 * 8ull, QCOW2_L1_MAX)) ||
        !check_table(o, "refcount table", q->table_offset, (uint64_t)clusters << q->cluster_bits,
                     QCOW2_TABLE_MAX))
        return false;
    if (!clusters)
        return REFUSE(o, "has no refcount table");
    q->table_size = clusters << (q->cluster_bits - 3);
    q->l1 = calloc(l1 + 1ul, 8);
    q->table = calloc(q->table_size, 8);
    if (!q->l1 || !q->table)
        return REFUSE(o, "out of memory");
    int error = image_file_read_at(&q->file, q->l1_offset, q->l1, l1 * 8ul);
    if (!error)
        error = image_file_read_at(&q->file, q->table_offset, q->table, q->table_size * 8ul);
    if (error)
        return REFUSE(o, "%s", strerror(error));
    for (uint32_t n = 0; n < l1; n++)
        q->l1[n] = qcow2_load(&q->l1[n], 8);
    for (uint32_t n = 0; n < q->table_size; n++)
        q->table[n] = qcow2_load(&q->table[n], 8) & QCOW2_OFFSET_MASK;
    return true;
}

static bool read_header(const struct opening *o)
{
    struct qcow2 *q = o->q;
    uint32_t length, extensions_end, crypt;
    size_t size = q->end < 1u << QCOW2_CLUSTER_BITS_MAX ? (size_t)q->end : 1u << QCOW2_CLUSTER_BITS_MAX;

    if (size < QCOW2_HEADER_V3 || image_file_read_at(&q->file, 0, o->head, size))
        return REFUSE(o, "is too short for a qcow2 image, or can't be read");
    q->version = (unsigned)qcow2_load(o->head + QCOW2_VERSION, 4);
    q->cluster_bits = (unsigned)qcow2_load(o->head + QCOW2_CLUSTER_BITS, 4);
    q->image.size = qcow2_load(o->head + QCOW2_SIZE, 8);
    crypt = (uint32_t)qcow2_load(o->head + QCOW2_CRYPT, 4);
    if (qcow2_load(o->head, 4) != QCOW2_MAGIC)
        return REFUSE(o, "is no qcow2 image");
    if (q->version != 2 && q->version != 3)
        return REFUSE(o, "is a qcow image of version %u; 2 and 3 are read here", q->version);
    if (q->cluster_bits < QCOW2_CLUSTER_BITS_MIN || q->cluster_bits > QCOW2_CLUSTER_BITS_MAX)
        return REFUSE(o, "has clusters of 2^%u bytes; there may be 512 bytes to 2 MiB", q->cluster_bits);
    q->cluster_size = 1ull << q->cluster_bits;
    q->l2_bits = q->cluster_bits - 3;
    if (!q->image.size || q->image.size % IMAGE_SECTOR || q->image.size > INT64_MAX)
        return REFUSE(o, "its disk has %" PRIu64 " bytes, which can't be", q->image.size);
    if (crypt)
        return REFUSE(o, "is encrypted (%s), which isn't read here",
                      crypt == 1   ? "AES"
                      : crypt == 2 ? "LUKS"
                                   : "?");
    if (!read_version3(o, &length) || !read_backing_name(o, &extensions_end))
        return false;
    if (extensions_end < length)
        return REFUSE(o, "the name of its backing file lies in its header");
    q->snapshots = (uint32_t)qcow2_load(o->head + QCOW2_SNAPSHOTS, 4);
    q->snapshots_offset = qcow2_load(o->head + QCOW2_SNAPSHOTS_OFFSET, 8);
    if (q->snapshots > QCOW2_SNAPSHOTS_MAX)
        return REFUSE(o, "has %" PRIu32 " snapshots; there may be %u", q->snapshots, QCOW2_SNAPSHOTS_MAX);
    return read_extensions(o, length, extensions_end) && read_tables(o) &&
           (!q->snapshots || check_table(o, "table of snapshots", q->snapshots_offset, q->snapshots * 40ull,
                                         QCOW2_SNAPSHOTS_BYTES));
}

/* Backing files. */

/* Where the folder part of a path ends; 0: it has none. */
static size_t folder_length(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? (size_t)(slash - path) + 1 : 0;
}

/* Do both lie in one folder, whatever links lead there? */
static bool same_folder(const char *a, const char *b)
{
    char one[PATH_MAX], other[PATH_MAX], folder[PATH_MAX];

    if (snprintf(folder, sizeof(folder), "%.*s.", (int)folder_length(a), a) >= (int)sizeof(folder) ||
        !realpath(folder, one) ||
        snprintf(folder, sizeof(folder), "%.*s.", (int)folder_length(b), b) >= (int)sizeof(folder) ||
        !realpath(folder, other))
        return false;
    return !strcmp(one, other);
}

/* Which file is behind this one; false: none may be opened. */
static bool choose_backing(const struct opening *o)
{
    struct qcow2 *q = o->q;
    const char *path = o->options->path, *name = q->backing_name, *wanted = o->options->backing;
    bool any = wanted && !strcmp(wanted, "yes");
    size_t folder = *name == '/' ? 0 : folder_length(path);

    if (wanted && !any) {
        q->backing_path = strdup(wanted);
        return q->backing_path || REFUSE(o, "out of memory");
    }
    /* What isn't a file is told by a colon before any slash; a name such as json:{...} can say anything. */
    size_t colon = strcspn(name, ":/");
    if (name[colon] == ':' && !(any && strncmp(name, "json:", 5)))
        return REFUSE(o, "its backing file \"%.60s\" isn't opened without being named: add ,backing=FILE",
                      name);
    if (name[colon] == ':')
        folder = 0;
    q->backing_path = malloc(folder + strlen(name) + 1);
    if (!q->backing_path)
        return REFUSE(o, "out of memory");
    sprintf(q->backing_path, "%.*s%s", (int)folder, path, name);
    if (any || same_folder(path, q->backing_path))
        return true;
    return REFUSE(
        o,
        "its backing file \"%.60s\" lies outside its folder; add ,backing=yes to open it, or ,backing=FILE",
        name);
}

static bool open_backing(const struct opening *o)
{
    struct qcow2 *q = o->q;
    bool any = o->options->backing && !strcmp(o->options->backing, "yes");
    char reason[300];

    if (!*q->backing_name)
        return true;
    q->no_backing = o->options->no_backing;
    if (!choose_backing(o)) {
        free(q->backing_path);
        q->backing_path = NULL;
        return q->no_backing;
    }
    if (q->no_backing)
        return true;
    const struct image_options behind = {.path = q->backing_path,
                                         .format = *q->backing_format ? q->backing_format : NULL,
                                         .read_only = true,
                                         .backing = any ? "yes" : NULL,
                                         .log = o->options->log,
                                         .above = o->options,
                                         .above_file = &q->file};
    q->backing = image_open(&behind, reason, sizeof(reason));
    return q->backing || REFUSE(o, "its backing file %s", reason);
}

static unsigned slots(const struct qcow2 *q, unsigned bytes, unsigned least, unsigned most)
{
    unsigned count = bytes >> q->cluster_bits;

    return count < least ? least : count > most ? most : count;
}

static bool open_for_writing(const struct opening *o)
{
    struct qcow2 *q = o->q;
    uint64_t rounded = (q->end + q->cluster_size - 1) & ~(q->cluster_size - 1);
    char reason[200];
    int error = 0;

    if (!q->file.writable)
        return true;
    /* The last cluster is whole, so that it can be written anywhere. */
    if (rounded > q->end && !q->file.device && ftruncate(q->file.fd, (off_t)rounded) == 0)
        q->end = rounded;
    if (qcow2_check_at_open(q, o->options->repair, reason, sizeof(reason)))
        return REFUSE(o, "%s", reason);
    /* Whoever doesn't know what these bits vouch for must clear them before changing anything. */
    const uint64_t mended = QCOW2_INCOMPATIBLE_DIRTY | QCOW2_INCOMPATIBLE_CORRUPT;
    if (q->autoclear || q->incompatible & mended) {
        q->autoclear = 0;
        q->incompatible &= ~mended;
        error = qcow2_write_features(q);
    }
    return !error || REFUSE(o, "%s", strerror(error));
}

static struct image *qcow2_open(const struct image_options *options, const struct image_file *file, char *why,
                                size_t why_size)
{
    struct qcow2 *q = calloc(1, sizeof(*q));
    struct opening o = {q, options, malloc(1u << QCOW2_CLUSTER_BITS_MAX), why, why_size};

    if (!q || !o.head) {
        REFUSE(&o, "out of memory");
        free(q);
        free(o.head);
        return NULL;
    }
    pthread_mutex_init(&q->lock, NULL);
    pthread_mutex_init(&q->packed_lock, NULL);
    pthread_cond_init(&q->moved, NULL);
    q->file = *file;
    q->end = file->size;
    q->log = options->log;
    q->path = strdup(options->path);
    bool good = q->path ? read_header(&o) : REFUSE(&o, "out of memory");
    free(o.head);
    o.head = NULL;
    if (good && (!qcow2_cache_init(&q->l2, slots(q, L2_SLOTS_BYTES, 8, L2_SLOTS_MAX)) ||
                 !qcow2_cache_init(&q->blocks, slots(q, BLOCK_SLOTS_BYTES, 4, BLOCK_SLOTS_MAX))))
        good = REFUSE(&o, "out of memory");
    if (!good || !open_backing(&o) || !open_for_writing(&o)) {
        free_qcow2(q);
        return NULL;
    }
    q->image.ops = &qcow2_ops;
    q->image.can_discard = file->writable;
    q->image.sector = file->sector;
    return &q->image;
}

static bool qcow2_probe(const uint8_t *head, size_t size, const struct image_file *file)
{
    (void)file;
    return size >= 4 && qcow2_load(head, 4) == QCOW2_MAGIC;
}

const struct image_format image_qcow2_format = {.name = "qcow2",
                                                .article_name = "a qcow2 image",
                                                .writable = true,
                                                .probe = qcow2_probe,
                                                .open = qcow2_open};
