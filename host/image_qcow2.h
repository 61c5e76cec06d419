/*
 * image_qcow2.h - what the files of the qcow2 format share. For host/image_qcow2*.c alone.
 *
 * The format: a disk is cut into clusters. The L1 table names L2 tables, an L2 table's entries say where each
 * cluster lies: nowhere (then the backing file has it, or it is zeroes), plain or compressed at an offset of
 * the file, or that it is zeroes. Every cluster of the file has a refcount, in blocks that the refcount table
 * names. What has a refcount over 1 belongs to internal snapshots too and is copied before it is changed;
 * what has just 1 shows that by a flag in its entry.
 *
 * In memory: both tables whole; L2 tables and refcount blocks in caches that are written back by
 * qcow2_write_back() alone, in an order that a crash can't hurt: refcounts that grow, then L2 tables, then
 * the L1 table, with a flush between each two; then refcounts that shrink. So what is on the host's disk
 * never points at what isn't counted. A crash leaves clusters that nobody points at, which the next opening
 * gives back.
 *
 * Locking: `lock` is held for all metadata, but not while data moves. Whoever moves data has a hold on its
 * clusters of the disk, so that nobody moves them elsewhere meanwhile.
 */
#ifndef HOST_IMAGE_QCOW2_H
#define HOST_IMAGE_QCOW2_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "host/image.h"
#include "host/image_file.h"

#define QCOW2_MAGIC 0x514649FBu

#define QCOW2_CLUSTER_BITS_MIN 9
#define QCOW2_CLUSTER_BITS_MAX 21
#define QCOW2_L1_MAX           (32u << 20) /* bytes */
#define QCOW2_TABLE_MAX        (8u << 20)  /* bytes of the refcount table */
#define QCOW2_SNAPSHOTS_MAX    65536u
#define QCOW2_SNAPSHOTS_BYTES  (64u << 20)

/* The header's fields, by offset; big endian. */
enum {
    QCOW2_VERSION = 4,
    QCOW2_BACKING_OFFSET = 8,
    QCOW2_BACKING_SIZE = 16,
    QCOW2_CLUSTER_BITS = 20,
    QCOW2_SIZE = 24,
    QCOW2_CRYPT = 32,
    QCOW2_L1_SIZE = 36,
    QCOW2_L1_OFFSET = 40,
    QCOW2_TABLE_OFFSET = 48,
    QCOW2_TABLE_CLUSTERS = 56,
    QCOW2_SNAPSHOTS = 60,
    QCOW2_SNAPSHOTS_OFFSET = 64,
    QCOW2_HEADER_V2 = 72,
    QCOW2_INCOMPATIBLE = 72,
    QCOW2_COMPATIBLE = 80,
    QCOW2_AUTOCLEAR = 88,
    QCOW2_REFCOUNT_ORDER = 96,
    QCOW2_HEADER_LENGTH = 100,
    QCOW2_COMPRESSION = 104,
    QCOW2_HEADER_V3 = 112,
};

#define QCOW2_INCOMPATIBLE_DIRTY       (1ull << 0)
#define QCOW2_INCOMPATIBLE_CORRUPT     (1ull << 1)
#define QCOW2_INCOMPATIBLE_DATA_FILE   (1ull << 2)
#define QCOW2_INCOMPATIBLE_COMPRESSION (1ull << 3)
#define QCOW2_INCOMPATIBLE_EXTENDED_L2 (1ull << 4)
#define QCOW2_COMPATIBLE_LAZY          (1ull << 0)

/* Header extensions. */
#define QCOW2_EXTENSION_END      0u
#define QCOW2_EXTENSION_FORMAT   0xE2792ACAu
#define QCOW2_EXTENSION_FEATURES 0x6803F857u
#define QCOW2_EXTENSION_BITMAPS  0x23852875u

/* Entries of L1 and L2 tables. */
#define QCOW2_COPIED      (1ull << 63) /* the refcount is just 1 */
#define QCOW2_COMPRESSED  (1ull << 62)
#define QCOW2_ZERO        1ull
#define QCOW2_OFFSET_MASK 0x00FFFFFFFFFFFE00ull

/* A part of a table as it is on disk: a cluster, big endian. */
struct qcow2_slot {
    uint64_t offset; /* in the file; 0: free */
    uint64_t used;   /* when it was last, by the cache's count */
    uint8_t *data;
    bool dirty;
};

struct qcow2_cache {
    struct qcow2_slot *slots;
    unsigned count;
    uint64_t time;
};

/* Whose data moves. */
struct qcow2_hold {
    uint64_t first, last; /* clusters of the disk */
    bool exclusive;       /* where they lie may change */
    struct qcow2_hold *next;
};

/* Clusters of the file that are pointed at no more, but may be on the host's disk. */
struct qcow2_release {
    uint64_t cluster, count;
};

struct qcow2 {
    struct image image;
    struct image_file file;
    struct log *log;
    char *path; /* for messages */

    unsigned version, cluster_bits, refcount_order, l2_bits; /* l2_bits: entries in a table */
    uint64_t cluster_size;
    uint64_t incompatible, compatible, autoclear;
    bool zstd; /* the kind of compression; else zlib */
    bool has_bitmaps;
    char backing_name[1024], backing_format[16];
    char *backing_path;
    struct image *backing;
    bool no_backing; /* there is one, which isn't open */

    uint32_t snapshots;
    uint64_t snapshots_offset;

    pthread_mutex_t lock; /* for all below */
    uint64_t *l1, *table; /* in the host's byte order */
    uint64_t l1_offset, table_offset;
    uint32_t l1_size, table_size; /* entries */
    bool l1_dirty, table_dirty;
    struct qcow2_cache l2, blocks;
    uint64_t hint; /* clusters of the file before this one are in use */
    uint64_t end;  /* the file's size, bytes; atomic */
    struct qcow2_release *releases;
    unsigned release_count, release_room;
    bool broken; /* found corrupt: nothing is written any more */
    struct qcow2_hold *holds;
    pthread_cond_t moved; /* a hold is gone */

    pthread_mutex_t packed_lock; /* for the last compressed cluster that was read */
    uint64_t packed_entry;       /* its L2 entry; 0: none */
    uint8_t *packed_data;
};

/* What lies somewhere on the disk. */
enum qcow2_kind { QCOW2_BACKED, QCOW2_ZEROES, QCOW2_PACKED, QCOW2_DATA };
struct qcow2_place {
    enum qcow2_kind kind;
    bool copied;     /* of data: it may be changed where it is */
    uint64_t entry;  /* the first cluster's */
    uint64_t offset; /* of data: in the file */
    uint64_t size;   /* how far it goes on so, bytes */
};

/* image_qcow2.c. Notes that the image is corrupt, in it and in the log: always EIO. */
int qcow2_corrupt(struct qcow2 *q, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Writes the header's feature bits. */
int qcow2_write_features(struct qcow2 *q);

/* image_qcow2_cache.c. With the lock; *data is valid until the next call. A read beyond the file fails. */
bool qcow2_cache_init(struct qcow2_cache *cache, unsigned count);
void qcow2_cache_free(struct qcow2_cache *cache);
int qcow2_cache_get(struct qcow2 *q, struct qcow2_cache *cache, uint64_t offset, bool fresh,
                    struct qcow2_slot **slot);
void qcow2_cache_drop(struct qcow2_cache *cache, uint64_t offset);
int qcow2_write_back(struct qcow2 *q);
bool qcow2_is_dirty(const struct qcow2 *q);

/* image_qcow2_refcount.c. With the lock. */
uint64_t qcow2_refcount_get_in(const struct qcow2 *q, const uint8_t *block, uint64_t index);
void qcow2_refcount_set_in(const struct qcow2 *q, uint8_t *block, uint64_t index, uint64_t value);
int qcow2_refcount_get(struct qcow2 *q, uint64_t cluster, uint64_t *refcount);
int qcow2_refcount_set(struct qcow2 *q, uint64_t cluster, uint64_t value);
int qcow2_refcount_add(struct qcow2 *q, uint64_t cluster, int change);
/* Up to *count clusters in one piece, with refcount 1; *zeroed says whether they read as zeroes. */
int qcow2_allocate(struct qcow2 *q, uint64_t *count, uint64_t *offset, bool *zeroed);
/* At once: nobody ever pointed at them. */
void qcow2_give_back(struct qcow2 *q, uint64_t offset, uint64_t count);
/* Once what pointed at them is overwritten on the host's disk. */
int qcow2_release(struct qcow2 *q, uint64_t cluster, uint64_t count);
int qcow2_release_entry(struct qcow2 *q, uint64_t entry);
void qcow2_do_releases(struct qcow2 *q);

/* image_qcow2_cluster.c. With the lock. */
int qcow2_find(struct qcow2 *q, uint64_t offset, uint64_t size, struct qcow2_place *place);
/* The L2 table that has the disk's offset, to be changed. */
int qcow2_l2_for_change(struct qcow2 *q, uint64_t offset, struct qcow2_slot **slot);
uint64_t qcow2_packed_range(const struct qcow2 *q, uint64_t entry, uint64_t *offset);
bool qcow2_valid_offset(const struct qcow2 *q, uint64_t offset);

/* image_qcow2_data.c: the image's ops. */
int qcow2_read(struct image *image, uint64_t offset, const struct iovec *iov, unsigned count, size_t size);
int qcow2_write(struct image *image, uint64_t offset, const struct iovec *iov, unsigned count, size_t size);
int qcow2_zero(struct image *image, uint64_t offset, uint64_t size);
int qcow2_discard(struct image *image, uint64_t offset, uint64_t size);
int qcow2_empty(struct image *image);

/* image_qcow2_packed.c: one cluster, into `to`. Without the lock, with a hold. */
int qcow2_read_packed(struct qcow2 *q, uint64_t entry, uint8_t *to);

/* image_qcow2_check.c. */
int qcow2_check(struct image *image, bool repair, struct image_check *check);
/* What opening it for writing looks at, with `repair` however large it is. EIO with a line in `why`. */
int qcow2_check_at_open(struct qcow2 *q, bool repair, char *why, size_t why_size);

/* image_qcow2_resize.c */
int qcow2_resize(struct image *image, uint64_t size, char *why, size_t why_size);

/* The file's size, without the lock. */
static inline uint64_t qcow2_end(const struct qcow2 *q)
{
    return __atomic_load_n(&q->end, __ATOMIC_ACQUIRE);
}

/* Numbers on disk. */
static inline uint64_t qcow2_load(const void *from, unsigned size)
{
    const uint8_t *bytes = from;
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value = value << 8 | bytes[i];
    return value;
}

static inline void qcow2_store(void *to, unsigned size, uint64_t value)
{
    uint8_t *bytes = to;

    for (unsigned i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> 8 * (size - 1 - i));
}

static inline uint64_t qcow2_entry(const struct qcow2_slot *slot, uint64_t index)
{
    return qcow2_load(slot->data + index * 8, 8);
}

#endif
