/*
 * image_qcow2_resize.c - a qcow2 image's disk gets longer or shorter; see image_qcow2.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "host/image_qcow2.h"

/* Clusters in one piece. What is found before on the way is given back. */
static int allocate_together(struct qcow2 *q, uint64_t clusters, uint64_t *offset)
{
    struct qcow2_release *aside = NULL;
    unsigned pieces = 0;
    int error;

    for (;;) {
        uint64_t got = clusters;
        bool zeroed;

        error = qcow2_allocate(q, &got, offset, &zeroed);
        if (error || got == clusters)
            break;
        struct qcow2_release *more = realloc(aside, (pieces + 1) * sizeof(*aside));
        if (!more) {
            qcow2_give_back(q, *offset, got);
            error = ENOMEM;
            break;
        }
        aside = more;
        aside[pieces++] = (struct qcow2_release){*offset, got};
    }
    for (unsigned n = 0; n < pieces; n++)
        qcow2_give_back(q, aside[n].cluster, aside[n].count);
    free(aside);
    return error;
}

/* A longer L1 table, on the host's disk before the header points there. */
static int grow_l1(struct qcow2 *q, uint64_t entries)
{
    uint64_t clusters = (entries * 8 + q->cluster_size - 1) >> q->cluster_bits, offset = 0;
    uint64_t *l1 = calloc(entries, 8);
    uint8_t *bytes = calloc(clusters, q->cluster_size), header[12];
    int error = l1 && bytes ? qcow2_write_back(q) : ENOMEM;

    if (!error)
        error = allocate_together(q, clusters, &offset);
    if (!error) {
        memcpy(l1, q->l1, q->l1_size * 8ul);
        for (uint64_t n = 0; n < entries; n++)
            qcow2_store(bytes + n * 8, 8, l1[n]);
        error = image_file_write_at(&q->file, offset, bytes, clusters << q->cluster_bits);
    }
    if (!error)
        error = qcow2_write_back(q);
    if (!error)
        error = image_file_flush(&q->file);
    qcow2_store(header, 4, entries);
    qcow2_store(header + 4, 8, offset);
    if (!error)
        error = image_file_write_at(&q->file, QCOW2_L1_SIZE, header, sizeof(header));
    free(bytes);
    if (error) {
        free(l1);
        return error;
    }
    if (q->l1_size)
        qcow2_release(q, q->l1_offset >> q->cluster_bits,
                      (q->l1_size * 8ull + q->cluster_size - 1) >> q->cluster_bits);
    free(q->l1);
    q->l1 = l1;
    q->l1_size = (uint32_t)entries;
    q->l1_offset = offset;
    return 0;
}

/* What lies behind the new end is gone, also what would show if the disk got longer again. */
static int cut(struct image *image, uint64_t size)
{
    struct qcow2 *q = (struct qcow2 *)image;
    uint64_t rounded = (size + q->cluster_size - 1) & ~(q->cluster_size - 1);
    int error = 0;

    if (rounded > image->size)
        rounded = image->size;
    if (rounded > size)
        error = qcow2_zero(image, size, rounded - size);
    if (!error && image->size > rounded)
        error = qcow2_discard(image, rounded, image->size - rounded);
    return error;
}

int qcow2_resize(struct image *image, uint64_t size, char *why, size_t why_size)
{
    struct qcow2 *q = (struct qcow2 *)image;
    uint64_t reach = q->cluster_size << q->l2_bits, entries = size / reach + !!(size % reach);
    uint8_t bytes[8];
    int error = 0;

    if (q->snapshots && q->version < 3) {
        image_refuse(q->path, why, why_size, "has snapshots, which are all of one size in version 2 images");
        return EINVAL;
    }
    if (entries * 8 > QCOW2_L1_MAX) {
        image_refuse(q->path, why, why_size, "such a disk needs larger clusters than this image has");
        return EINVAL;
    }
    if (size < image->size)
        error = cut(image, size);
    pthread_mutex_lock(&q->lock);
    if (!error && entries > q->l1_size)
        error = grow_l1(q, entries);
    qcow2_store(bytes, 8, size);
    if (!error)
        error = qcow2_write_back(q);
    if (!error)
        error = image_file_write_at(&q->file, QCOW2_SIZE, bytes, 8);
    if (!error) {
        image->size = size;
        error = image_file_flush(&q->file);
    }
    pthread_mutex_unlock(&q->lock);
    return error;
}
