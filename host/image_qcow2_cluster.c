/*
 * image_qcow2_cluster.c - where the disk's clusters lie: L1 and L2 tables; see image_qcow2.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "host/image_qcow2.h"

/* A cluster's offset that an entry may have. What it leads to must be in the file. */
bool qcow2_valid_offset(const struct qcow2 *q, uint64_t offset)
{
    return offset && !(offset & (q->cluster_size - 1)) && offset < q->end;
}

/* How many bytes of the file a compressed cluster may take, and from where on. */
uint64_t qcow2_packed_range(const struct qcow2 *q, uint64_t entry, uint64_t *offset)
{
    unsigned bits = 62 - (q->cluster_bits - 8);
    uint64_t sectors = (entry & (QCOW2_COMPRESSED - 1)) >> bits;

    *offset = entry & ((1ull << bits) - 1);
    return (sectors + 1) * 512 - (*offset & 511);
}

/* What a cluster of the disk is by its entry alone. */
static int read_entry(struct qcow2 *q, uint64_t entry, struct qcow2_place *place)
{
    uint64_t offset = entry & QCOW2_OFFSET_MASK;

    *place = (struct qcow2_place){.entry = entry};
    if (entry & QCOW2_COMPRESSED) {
        uint64_t start, size = qcow2_packed_range(q, entry, &start);

        place->kind = QCOW2_PACKED;
        if (start >= q->end || size > q->end - start + q->cluster_size)
            return qcow2_corrupt(q, "a compressed cluster lies at 0x%" PRIx64 ", outside the file", start);
        return 0;
    }
    if (q->version >= 3 && entry & QCOW2_ZERO) {
        place->kind = QCOW2_ZEROES;
        return 0;
    }
    if (!offset) {
        place->kind = QCOW2_BACKED;
        return 0;
    }
    place->kind = QCOW2_DATA;
    place->offset = offset;
    place->copied = entry & QCOW2_COPIED;
    if (!qcow2_valid_offset(q, offset))
        return qcow2_corrupt(q, "a cluster lies at 0x%" PRIx64 ", %s", offset,
                             offset < q->end ? "which is misaligned" : "outside the file");
    return 0;
}

/* Does `next` go on what `place` says of the cluster before it? */
static bool goes_on(const struct qcow2 *q, const struct qcow2_place *place, const struct qcow2_place *next,
                    uint64_t clusters)
{
    if (place->kind != next->kind || place->kind == QCOW2_PACKED)
        return false;
    return place->kind != QCOW2_DATA ||
           (place->copied == next->copied && next->offset == place->offset + (clusters << q->cluster_bits));
}

/* The L2 table for an offset of the disk; *slot is NULL when there is none. */
static int find_l2(struct qcow2 *q, uint64_t offset, struct qcow2_slot **slot)
{
    uint64_t index = offset >> (q->cluster_bits + q->l2_bits), l2;

    *slot = NULL;
    if (index >= q->l1_size)
        return qcow2_corrupt(q, "its L1 table is too short");
    l2 = q->l1[index] & QCOW2_OFFSET_MASK;
    if (!l2)
        return 0;
    if (!qcow2_valid_offset(q, l2))
        return qcow2_corrupt(q, "an L2 table lies at 0x%" PRIx64, l2);
    return qcow2_cache_get(q, &q->l2, l2, false, slot);
}

int qcow2_find(struct qcow2 *q, uint64_t offset, uint64_t size, struct qcow2_place *place)
{
    uint64_t entries = 1ull << q->l2_bits, index = offset >> q->cluster_bits & (entries - 1),
             inside = offset & (q->cluster_size - 1), clusters = 1;
    uint64_t most = (inside + size + q->cluster_size - 1) >> q->cluster_bits;
    struct qcow2_slot *slot;
    struct qcow2_place next;
    int error = find_l2(q, offset, &slot);

    if (error)
        return error;
    if (most > entries - index)
        most = entries - index;
    if (!slot) {
        *place = (struct qcow2_place){.kind = QCOW2_BACKED};
        clusters = most;
    } else {
        error = read_entry(q, qcow2_entry(slot, index), place);
        while (!error && clusters < most &&
               !(error = read_entry(q, qcow2_entry(slot, index + clusters), &next)) &&
               goes_on(q, place, &next, clusters))
            clusters++;
    }
    place->size = (clusters << q->cluster_bits) - inside;
    if (place->size > size)
        place->size = size;
    if (place->kind == QCOW2_DATA)
        place->offset += inside;
    return error;
}

int qcow2_l2_for_change(struct qcow2 *q, uint64_t offset, struct qcow2_slot **slot)
{
    uint64_t index = offset >> (q->cluster_bits + q->l2_bits), count = 1, l2;
    uint8_t *old = NULL;
    bool zeroed;
    int error = find_l2(q, offset, slot);

    if (error)
        return error;
    if (*slot && q->l1[index] & QCOW2_COPIED) {
        (*slot)->dirty = true;
        return 0;
    }
    /* A table of its own: new, or a copy of one that snapshots have too. Getting it may cost the old one its
     * slot. */
    error = qcow2_allocate(q, &count, &l2, &zeroed);
    if (!error && *slot) {
        error = find_l2(q, offset, slot);
        if (!error)
            old = malloc(q->cluster_size);
        if (old)
            memcpy(old, (*slot)->data, q->cluster_size);
        else if (!error)
            error = ENOMEM;
        if (error)
            qcow2_give_back(q, l2, 1);
    }
    if (!error)
        error = qcow2_cache_get(q, &q->l2, l2, true, slot);
    if (error) {
        free(old);
        return error;
    }
    if (old)
        memcpy((*slot)->data, old, q->cluster_size);
    else
        memset((*slot)->data, 0, q->cluster_size);
    free(old);
    (*slot)->dirty = true;
    if (q->l1[index] & QCOW2_OFFSET_MASK)
        error = qcow2_release(q, (q->l1[index] & QCOW2_OFFSET_MASK) >> q->cluster_bits, 1);
    q->l1[index] = l2 | QCOW2_COPIED;
    q->l1_dirty = true;
    return error;
}
