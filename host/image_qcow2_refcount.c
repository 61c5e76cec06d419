/*
 * image_qcow2_refcount.c - which clusters of the file are in use, and how often; see image_qcow2.h.
 *
 * A refcount block lies at the first cluster of those that it counts, if we make it: they are all free then.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "host/image_qcow2.h"

static unsigned block_bits(const struct qcow2 *q)
{
    return q->cluster_bits + 3 - q->refcount_order;
}

uint64_t qcow2_refcount_get_in(const struct qcow2 *q, const uint8_t *block, uint64_t index)
{
    unsigned order = q->refcount_order;

    if (order >= 3)
        return qcow2_load(block + (index << (order - 3)), 1u << (order - 3));
    unsigned per_byte = 8u >> order, shift = (unsigned)(index % per_byte) << order;
    return block[index / per_byte] >> shift & ((1u << (1u << order)) - 1);
}

void qcow2_refcount_set_in(const struct qcow2 *q, uint8_t *block, uint64_t index, uint64_t value)
{
    unsigned order = q->refcount_order;

    if (order >= 3) {
        qcow2_store(block + (index << (order - 3)), 1u << (order - 3), value);
        return;
    }
    unsigned per_byte = 8u >> order, shift = (unsigned)(index % per_byte) << order;
    uint8_t mask = (uint8_t)(((1u << (1u << order)) - 1) << shift), *byte = &block[index / per_byte];
    *byte = (uint8_t)((*byte & ~mask) | value << shift);
}

/* The block that counts `cluster`; *slot is NULL when there is none. */
static int find_block(struct qcow2 *q, uint64_t cluster, struct qcow2_slot **slot)
{
    uint64_t index = cluster >> block_bits(q);

    *slot = NULL;
    if (index >= q->table_size || !q->table[index])
        return 0;
    if (!qcow2_valid_offset(q, q->table[index]))
        return qcow2_corrupt(q, "a refcount block lies at 0x%" PRIx64, q->table[index]);
    return qcow2_cache_get(q, &q->blocks, q->table[index], false, slot);
}

int qcow2_refcount_get(struct qcow2 *q, uint64_t cluster, uint64_t *refcount)
{
    struct qcow2_slot *slot;
    int error = find_block(q, cluster, &slot);

    *refcount = 0;
    if (!error && slot)
        *refcount = qcow2_refcount_get_in(q, slot->data, cluster & ((1ull << block_bits(q)) - 1));
    return error;
}

/* Makes the file long enough; what is added reads as zeroes. */
static int extend(struct qcow2 *q, uint64_t end)
{
    if (end <= q->end)
        return 0;
    if (!q->file.device && ftruncate(q->file.fd, (off_t)end) < 0)
        return errno;
    if (q->file.device)
        return ENOSPC;
    __atomic_store_n(&q->end, end, __ATOMIC_RELEASE);
    return 0;
}

/*
 * A refcount table with room for more, behind all that the present one can count: the table, then the blocks
 * that count both. All of it is on the host's disk before the header points there.
 */
static int grow_table(struct qcow2 *q, uint64_t wanted)
{
    uint64_t per_block = 1ull << block_bits(q), start = (uint64_t)q->table_size << block_bits(q);
    uint64_t entries = q->table_size + q->table_size / 2, clusters, blocks = 1, old_offset = q->table_offset,
             old_size = q->table_size;
    uint8_t header[12], *bytes;
    int error = qcow2_write_back(q);

    if (entries <= wanted)
        entries = wanted + 1;
    clusters = (entries * 8 + 2 * q->cluster_size - 1) >> q->cluster_bits;
    while (blocks * per_block < clusters + blocks)
        blocks++;
    entries = clusters << (q->cluster_bits - 3);
    if (error || entries * 8 > QCOW2_TABLE_MAX || (start >> block_bits(q)) + blocks > entries)
        return error ? error : EFBIG;
    error = extend(q, (start + clusters + blocks) << q->cluster_bits);
    bytes = error ? NULL : calloc(clusters + blocks, q->cluster_size);
    uint64_t *table = calloc(entries, 8);
    if (!bytes || !table) {
        free(bytes);
        free(table);
        return error ? error : ENOMEM;
    }
    memcpy(table, q->table, old_size * 8);
    for (uint64_t n = 0; n < blocks; n++)
        table[old_size + n] = (start + clusters + n) << q->cluster_bits;
    for (uint64_t n = 0; n < entries; n++)
        qcow2_store(bytes + n * 8, 8, table[n]);
    uint8_t *block = bytes + (clusters << q->cluster_bits);
    for (uint64_t n = 0; n < clusters + blocks; n++)
        qcow2_refcount_set_in(q, block + (n >> block_bits(q) << q->cluster_bits), n & (per_block - 1), 1);
    error = image_file_write_at(&q->file, start << q->cluster_bits, bytes,
                                (clusters + blocks) << q->cluster_bits);
    free(bytes);
    if (!error)
        error = image_file_flush(&q->file);
    qcow2_store(header, 8, start << q->cluster_bits);
    qcow2_store(header + 8, 4, clusters);
    if (!error)
        error = image_file_write_at(&q->file, QCOW2_TABLE_OFFSET, header, sizeof(header));
    if (!error)
        error = image_file_flush(&q->file);
    if (error) {
        free(table);
        return error;
    }
    free(q->table);
    q->table = table;
    q->table_offset = start << q->cluster_bits;
    q->table_size = (uint32_t)entries;
    qcow2_give_back(q, old_offset, (old_size * 8 + q->cluster_size - 1) >> q->cluster_bits);
    return 0;
}

/* A block for clusters that had none. It counts itself. */
static int make_block(struct qcow2 *q, uint64_t index, struct qcow2_slot **slot)
{
    uint64_t offset = index << block_bits(q) << q->cluster_bits;
    int error;

    if (!index)
        return qcow2_corrupt(q, "no refcount block counts its header");
    error = extend(q, offset + q->cluster_size);
    if (!error)
        error = qcow2_cache_get(q, &q->blocks, offset, true, slot);
    if (error)
        return error;
    memset((*slot)->data, 0, q->cluster_size);
    qcow2_refcount_set_in(q, (*slot)->data, 0, 1);
    (*slot)->dirty = true;
    q->table[index] = offset;
    q->table_dirty = true;
    return 0;
}

/* The block that counts `cluster`, made when there is none. */
static int block_for_change(struct qcow2 *q, uint64_t cluster, struct qcow2_slot **slot)
{
    uint64_t index = cluster >> block_bits(q);
    int error = find_block(q, cluster, slot);

    if (error || *slot)
        return error;
    if (index >= q->table_size) {
        error = grow_table(q, index);
        if (!error)
            error = find_block(q, cluster, slot);
        if (error || *slot)
            return error;
    }
    return make_block(q, index, slot);
}

static uint64_t highest(const struct qcow2 *q)
{
    return q->refcount_order == 6 ? UINT64_MAX : (1ull << (1u << q->refcount_order)) - 1;
}

int qcow2_refcount_set(struct qcow2 *q, uint64_t cluster, uint64_t value)
{
    struct qcow2_slot *slot;
    int error = value > highest(q) ? EFBIG : block_for_change(q, cluster, &slot);

    if (error)
        return error;
    qcow2_refcount_set_in(q, slot->data, cluster & ((1ull << block_bits(q)) - 1), value);
    slot->dirty = true;
    if (!value && cluster < q->hint)
        q->hint = cluster;
    return 0;
}

int qcow2_refcount_add(struct qcow2 *q, uint64_t cluster, int change)
{
    uint64_t value;
    int error = qcow2_refcount_get(q, cluster, &value);

    if (error)
        return error;
    if (change < 0 && !value)
        return qcow2_corrupt(q, "the cluster at 0x%" PRIx64 " is in use, but its refcount is 0",
                             cluster << q->cluster_bits);
    if (change > 0 && value == highest(q))
        return EFBIG;
    return qcow2_refcount_set(q, cluster, change > 0 ? value + 1 : value - 1);
}

/* The first free cluster from the hint on. */
static int find_free(struct qcow2 *q, uint64_t *cluster)
{
    uint64_t refcount, last = UINT64_MAX;
    struct qcow2_slot *slot;

    for (*cluster = q->hint;; ++*cluster) {
        /* The block made for these lies at the first of them. */
        if (*cluster >> block_bits(q) != last) {
            int error = block_for_change(q, *cluster, &slot);
            if (error)
                return error;
            last = *cluster >> block_bits(q);
        }
        refcount = qcow2_refcount_get_in(q, slot->data, *cluster & ((1ull << block_bits(q)) - 1));
        if (!refcount)
            return 0;
    }
}

int qcow2_allocate(struct qcow2 *q, uint64_t *count, uint64_t *offset, bool *zeroed)
{
    uint64_t first, got = 0, mask = (1ull << block_bits(q)) - 1;
    struct qcow2_slot *slot;
    int error = q->broken ? EIO : find_free(q, &first);

    if (error)
        return error;
    while (got < *count && !block_for_change(q, first + got, &slot) &&
           !qcow2_refcount_get_in(q, slot->data, (first + got) & mask)) {
        qcow2_refcount_set_in(q, slot->data, (first + got) & mask, 1);
        slot->dirty = true;
        got++;
    }
    if (!got)
        return ENOMEM;
    q->hint = first + got;
    *offset = first << q->cluster_bits;
    *count = got;
    *zeroed = *offset >= q->end;
    error = extend(q, (first + got) << q->cluster_bits);
    if (error)
        qcow2_give_back(q, *offset, got);
    return error;
}

void qcow2_give_back(struct qcow2 *q, uint64_t offset, uint64_t count)
{
    for (uint64_t n = 0; n < count; n++)
        qcow2_refcount_add(q, (offset >> q->cluster_bits) + n, -1);
}

int qcow2_release(struct qcow2 *q, uint64_t cluster, uint64_t count)
{
    struct qcow2_release *last = q->release_count ? &q->releases[q->release_count - 1] : NULL;

    if (last && last->cluster + last->count == cluster) {
        last->count += count;
        return 0;
    }
    if (q->release_count == q->release_room) {
        unsigned room = q->release_room ? 2 * q->release_room : 64;
        struct qcow2_release *more = realloc(q->releases, room * sizeof(*more));

        if (!more)
            return ENOMEM;
        q->releases = more;
        q->release_room = room;
    }
    q->releases[q->release_count++] = (struct qcow2_release){cluster, count};
    return 0;
}

int qcow2_release_entry(struct qcow2 *q, uint64_t entry)
{
    uint64_t offset, end;

    if (entry & QCOW2_COMPRESSED) {
        pthread_mutex_lock(&q->packed_lock);
        q->packed_entry = 0;
        pthread_mutex_unlock(&q->packed_lock);
        end = qcow2_packed_range(q, entry, &offset) + offset;
        offset >>= q->cluster_bits;
        return qcow2_release(q, offset, ((end - 1) >> q->cluster_bits) - offset + 1);
    }
    offset = entry & QCOW2_OFFSET_MASK;
    return offset ? qcow2_release(q, offset >> q->cluster_bits, 1) : 0;
}

static void punch(struct qcow2 *q, uint64_t first, uint64_t count)
{
    if (count)
        image_file_punch(&q->file, first << q->cluster_bits, count << q->cluster_bits);
}

/* Those that become free give their space back to the host. */
void qcow2_do_releases(struct qcow2 *q)
{
    struct qcow2_release *releases = q->releases;
    unsigned entries = q->release_count;
    uint64_t start = 0, length = 0, refcount;

    /* Refcount blocks that have to make room get here again. */
    q->releases = NULL;
    q->release_count = q->release_room = 0;
    for (unsigned n = 0; n < entries; n++)
        for (uint64_t i = 0; i < releases[n].count; i++) {
            uint64_t cluster = releases[n].cluster + i;

            if (qcow2_refcount_add(q, cluster, -1) || qcow2_refcount_get(q, cluster, &refcount) || refcount)
                continue;
            if (start + length != cluster) {
                punch(q, start, length);
                start = cluster;
                length = 0;
            }
            length++;
        }
    punch(q, start, length);
    free(releases);
}
