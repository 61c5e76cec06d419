/*
 * image_qcow2_cache.c - L2 tables and refcount blocks in memory, and the order in which they get to the file;
 * see image_qcow2.h.
 */
#include <errno.h>
#include <stdlib.h>

#include "host/image_qcow2.h"

bool qcow2_cache_init(struct qcow2_cache *cache, unsigned count)
{
    cache->slots = calloc(count, sizeof(*cache->slots));
    cache->count = cache->slots ? count : 0;
    return cache->slots;
}

void qcow2_cache_free(struct qcow2_cache *cache)
{
    for (unsigned n = 0; n < cache->count; n++)
        free(cache->slots[n].data);
    free(cache->slots);
}

static struct qcow2_slot *find(struct qcow2_cache *cache, uint64_t offset)
{
    for (unsigned n = 0; n < cache->count; n++)
        if (cache->slots[n].offset == offset)
            return &cache->slots[n];
    return NULL;
}

void qcow2_cache_drop(struct qcow2_cache *cache, uint64_t offset)
{
    struct qcow2_slot *slot = find(cache, offset);

    if (slot)
        slot->offset = slot->dirty = 0;
}

/* The slot that was not used for longest; free ones first. */
static struct qcow2_slot *oldest(struct qcow2_cache *cache)
{
    struct qcow2_slot *best = &cache->slots[0];

    for (unsigned n = 0; n < cache->count && best->offset; n++)
        if (!cache->slots[n].offset || cache->slots[n].used < best->used)
            best = &cache->slots[n];
    return best;
}

int qcow2_cache_get(struct qcow2 *q, struct qcow2_cache *cache, uint64_t offset, bool fresh,
                    struct qcow2_slot **slot)
{
    struct qcow2_slot *found = find(cache, offset);
    int error;

    if (!found) {
        found = oldest(cache);
        error = found->offset && found->dirty ? qcow2_write_back(q) : 0;
        if (error)
            return error;
        if (!found->data)
            found->data = malloc(q->cluster_size);
        if (!found->data)
            return ENOMEM;
        found->offset = 0;
        error = fresh ? 0 : image_file_read_at(&q->file, offset, found->data, q->cluster_size);
        if (error)
            return error;
        found->offset = offset;
        found->dirty = false;
    }
    found->used = ++cache->time;
    *slot = found;
    return 0;
}

static bool any_dirty(const struct qcow2_cache *cache)
{
    for (unsigned n = 0; n < cache->count; n++)
        if (cache->slots[n].offset && cache->slots[n].dirty)
            return true;
    return false;
}

bool qcow2_is_dirty(const struct qcow2 *q)
{
    return any_dirty(&q->blocks) || any_dirty(&q->l2) || q->l1_dirty || q->table_dirty || q->release_count;
}

static int write_slots(struct qcow2 *q, struct qcow2_cache *cache)
{
    for (unsigned n = 0; n < cache->count; n++) {
        struct qcow2_slot *slot = &cache->slots[n];

        if (!slot->offset || !slot->dirty)
            continue;
        int error = image_file_write_at(&q->file, slot->offset, slot->data, q->cluster_size);
        if (error)
            return error;
        slot->dirty = false;
    }
    return 0;
}

/* A table of 8-byte entries as it is in memory. */
static int write_table(struct qcow2 *q, const uint64_t *table, uint32_t entries, uint64_t offset, bool *dirty)
{
    uint8_t *bytes;
    int error;

    if (!*dirty)
        return 0;
    bytes = malloc(entries * 8ul);
    if (!bytes)
        return ENOMEM;
    for (uint32_t n = 0; n < entries; n++)
        qcow2_store(bytes + n * 8ul, 8, table[n]);
    error = image_file_write_at(&q->file, offset, bytes, entries * 8ul);
    free(bytes);
    if (!error)
        *dirty = false;
    return error;
}

static int write_refcounts(struct qcow2 *q)
{
    int error = write_slots(q, &q->blocks);

    /* A block that the table names must be there. */
    if (!error && q->table_dirty)
        error = image_file_flush(&q->file);
    if (!error)
        error = write_table(q, q->table, q->table_size, q->table_offset, &q->table_dirty);
    return error;
}

int qcow2_write_back(struct qcow2 *q)
{
    bool l2 = any_dirty(&q->l2);
    int error = 0;

    if (q->broken)
        return EIO;
    if (!qcow2_is_dirty(q))
        return 0;
    error = write_refcounts(q);
    if (!error && (l2 || q->l1_dirty))
        error = image_file_flush(&q->file);
    if (!error)
        error = write_slots(q, &q->l2);
    if (!error && q->l1_dirty) {
        error = l2 ? image_file_flush(&q->file) : 0;
        if (!error)
            error = write_table(q, q->l1, q->l1_size, q->l1_offset, &q->l1_dirty);
    }
    /* Nobody may get these clusters before nothing points at them for good. */
    if (!error && q->release_count) {
        error = image_file_flush(&q->file);
        if (!error) {
            qcow2_do_releases(q);
            error = write_refcounts(q);
        }
    }
    return error;
}
