/*
 * image_qcow2_data.c - reading, writing, zeroing and discarding the disk; see image_qcow2.h.
 *
 * A write first looks whether it may happen in place. If not, it takes its clusters for itself, has new ones
 * allocated, writes data to these with what of the old ones it doesn't cover, and then changes the L2 table.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/block.h"
#include "host/image_qcow2.h"

/* Holds. With the lock. */

static void hold(struct qcow2 *q, struct qcow2_hold *hold, uint64_t offset, uint64_t size, bool exclusive)
{
    const struct qcow2_hold *other;

    *hold = (struct qcow2_hold){.first = offset >> q->cluster_bits,
                                .last = (offset + size - 1) >> q->cluster_bits,
                                .exclusive = exclusive};
    do {
        for (other = q->holds; other; other = other->next)
            if ((exclusive || other->exclusive) && other->first <= hold->last && hold->first <= other->last)
                break;
        if (other)
            pthread_cond_wait(&q->moved, &q->lock);
    } while (other);
    hold->next = q->holds;
    q->holds = hold;
}

static void let_go(struct qcow2 *q, struct qcow2_hold *hold)
{
    struct qcow2_hold **at = &q->holds;

    while (*at != hold)
        at = &(*at)->next;
    *at = hold->next;
    pthread_cond_broadcast(&q->moved);
}

/* Reading. Without the lock, with a hold. */

/* What lies behind the image, or zeroes. */
static int read_backed(struct qcow2 *q, uint64_t offset, const struct iovec *iov, unsigned count, size_t skip,
                       size_t size)
{
    uint64_t there = q->backing ? q->backing->size : 0;
    struct iovec pieces[BLOCK_PIECES];
    size_t part = offset >= there ? 0 : there - offset < size ? (size_t)(there - offset) : size;

    image_iov_zero(iov, count, skip + part, size - part);
    if (!part)
        return 0;
    unsigned used = image_iov_slice(pieces, iov, count, skip, part);
    return image_read(q->backing, offset, pieces, used, part);
}

static int read_packed(struct qcow2 *q, const struct qcow2_place *place, uint64_t offset,
                       const struct iovec *iov, unsigned count, size_t skip, size_t size)
{
    uint8_t *cluster = malloc(q->cluster_size);
    int error = cluster ? qcow2_read_packed(q, place->entry, cluster) : ENOMEM;

    if (!error)
        image_iov_scatter(cluster + (offset & (q->cluster_size - 1)), iov, count, skip, size);
    free(cluster);
    return error;
}

/* The file may end within its last cluster. */
static int read_data(struct qcow2 *q, uint64_t at, const struct iovec *iov, unsigned count, size_t skip,
                     size_t size)
{
    uint64_t end = qcow2_end(q);
    size_t part = at >= end ? 0 : end - at < size ? (size_t)(end - at) : size;

    image_iov_zero(iov, count, skip + part, size - part);
    return part ? image_file_read(&q->file, at, iov, count, skip, part) : 0;
}

static int read_place(struct qcow2 *q, const struct qcow2_place *place, uint64_t offset,
                      const struct iovec *iov, unsigned count, size_t skip, size_t size)
{
    switch (place->kind) {
    case QCOW2_BACKED:
        return read_backed(q, offset, iov, count, skip, size);
    case QCOW2_ZEROES:
        image_iov_zero(iov, count, skip, size);
        return 0;
    case QCOW2_PACKED:
        return read_packed(q, place, offset, iov, count, skip, size);
    case QCOW2_DATA:
        return read_data(q, place->offset, iov, count, skip, size);
    }
    return EINVAL;
}

int qcow2_read(struct image *image, uint64_t offset, const struct iovec *iov, unsigned count, size_t size)
{
    struct qcow2 *q = (struct qcow2 *)image;
    struct qcow2_hold mine;
    int error = 0;

    pthread_mutex_lock(&q->lock);
    hold(q, &mine, offset, size, false);
    for (size_t done = 0; done < size && !error;) {
        struct qcow2_place place;

        error = qcow2_find(q, offset + done, size - done, &place);
        if (error)
            break;
        pthread_mutex_unlock(&q->lock);
        error = read_place(q, &place, offset + done, iov, count, done, (size_t)place.size);
        pthread_mutex_lock(&q->lock);
        done += (size_t)place.size;
    }
    let_go(q, &mine);
    pthread_mutex_unlock(&q->lock);
    return error;
}

/* Writing. */

static bool in_place(const struct qcow2_place *place)
{
    return place->kind == QCOW2_DATA && place->copied;
}

/* From `offset` on, what may not be written in place, as far as one L2 table goes. With the lock. */
static int find_elsewhere(struct qcow2 *q, uint64_t offset, uint64_t size, uint64_t *length)
{
    struct qcow2_place place;
    uint64_t reach = q->cluster_size << q->l2_bits;

    if (size > reach - (offset & (reach - 1)))
        size = reach - (offset & (reach - 1));
    for (*length = 0; *length < size; *length += place.size) {
        int error = qcow2_find(q, offset + *length, size - *length, &place);

        if (error)
            return error;
        if (in_place(&place))
            break;
    }
    return 0;
}

/* What a write to new clusters is made of: the part before it, its own pieces, the part behind it. */
struct move {
    uint64_t offset, size; /* of the disk, the caller's */
    uint64_t host;         /* the new clusters in the file */
    uint64_t clusters;
    bool zeroed; /* they read as zeroes */
};

/* Fills `size` bytes with what the disk has at `offset`; all in one cluster. */
static int read_edge(struct qcow2 *q, uint64_t offset, uint8_t *to, size_t size, bool *zeroes)
{
    struct iovec one = {to, size};
    struct qcow2_place place;

    *zeroes = true;
    if (!size)
        return 0;
    pthread_mutex_lock(&q->lock);
    int error = qcow2_find(q, offset, size, &place);
    pthread_mutex_unlock(&q->lock);
    if (error)
        return error;
    *zeroes = place.kind == QCOW2_ZEROES ||
              (place.kind == QCOW2_BACKED && (!q->backing || offset >= q->backing->size));
    /* The last cluster may reach beyond the disk's end. */
    return read_place(q, &place, offset, &one, 1, 0, size);
}

/* Without the lock, with an exclusive hold. `iov` NULL: zeroes. */
static int write_moved(struct qcow2 *q, const struct move *move, const struct iovec *iov, unsigned count,
                       size_t skip)
{
    size_t head = (size_t)(move->offset & (q->cluster_size - 1));
    size_t tail = (size_t)((move->clusters << q->cluster_bits) - head - move->size);
    uint8_t *edges = head || tail ? malloc(head + tail) : NULL;
    bool head_zeroes = true, tail_zeroes = true;
    int error = 0;

    if ((head || tail) && !edges)
        return ENOMEM;
    error = read_edge(q, move->offset - head, edges, head, &head_zeroes);
    if (!error)
        error = read_edge(q, move->offset + move->size, edges + head, tail, &tail_zeroes);
    if (!error && head && !(head_zeroes && move->zeroed))
        error = image_file_write_at(&q->file, move->host, edges, head);
    if (!error)
        error = image_file_write(&q->file, move->host + head, iov, count, skip, (size_t)move->size);
    if (!error && tail && !(tail_zeroes && move->zeroed))
        error = image_file_write_at(&q->file, move->host + head + move->size, edges + head, tail);
    free(edges);
    return error;
}

/* Lets the disk's clusters be what `entry` says, the offset moving on by `step` from one to the next. With
 * the lock. */
static int set_entries(struct qcow2 *q, uint64_t offset, uint64_t clusters, uint64_t entry, uint64_t step)
{
    uint64_t index = offset >> q->cluster_bits & ((1ull << q->l2_bits) - 1);
    struct qcow2_slot *slot;
    int error = qcow2_l2_for_change(q, offset, &slot);

    for (uint64_t n = 0; n < clusters && !error; n++) {
        uint64_t old = qcow2_entry(slot, index + n);

        qcow2_store(slot->data + (index + n) * 8, 8, entry + n * step);
        if (old) /* if that fails, the next opening does it */
            qcow2_release_entry(q, old);
    }
    return error;
}

/*
 * Writes up to `size` bytes to clusters that are new; *done of them. With the lock, which is given up
 * meanwhile, and an exclusive hold.
 */
static int write_elsewhere(struct qcow2 *q, uint64_t offset, uint64_t size, const struct iovec *iov,
                           unsigned count, size_t skip, size_t *done)
{
    uint64_t inside = offset & (q->cluster_size - 1);
    struct move move = {.offset = offset,
                        .clusters = (inside + size + q->cluster_size - 1) >> q->cluster_bits};
    int error = qcow2_allocate(q, &move.clusters, &move.host, &move.zeroed);

    if (error)
        return error;
    move.size = (move.clusters << q->cluster_bits) - inside;
    if (move.size > size)
        move.size = size;
    pthread_mutex_unlock(&q->lock);
    error = write_moved(q, &move, iov, count, skip);
    pthread_mutex_lock(&q->lock);
    if (error) {
        qcow2_give_back(q, move.host, move.clusters);
        return error;
    }
    *done = (size_t)move.size;
    error = set_entries(q, offset, move.clusters, move.host | QCOW2_COPIED, q->cluster_size);
    if (error)
        qcow2_give_back(q, move.host, move.clusters);
    return error;
}

/* Writes the next part of a request; *done of it. With the lock, which is given up meanwhile. */
static int write_part(struct qcow2 *q, uint64_t offset, uint64_t size, const struct iovec *iov,
                      unsigned count, size_t skip, size_t *done)
{
    struct qcow2_hold mine;
    struct qcow2_place place;
    uint64_t length = 0;
    int error;

    *done = 0;
    hold(q, &mine, offset, size, false);
    error = q->broken ? EIO : qcow2_find(q, offset, size, &place);
    if (!error && in_place(&place)) {
        pthread_mutex_unlock(&q->lock);
        error = image_file_write(&q->file, place.offset, iov, count, skip, (size_t)place.size);
        pthread_mutex_lock(&q->lock);
        *done = (size_t)place.size;
    } else if (!error) {
        error = find_elsewhere(q, offset, size, &length);
    }
    let_go(q, &mine);
    if (error || !length)
        return error;
    /* Meanwhile somebody else may have written to these clusters. */
    hold(q, &mine, offset, length, true);
    error = find_elsewhere(q, offset, length, &length);
    if (!error && length)
        error = write_elsewhere(q, offset, length, iov, count, skip, done);
    let_go(q, &mine);
    return error;
}

int qcow2_write(struct image *image, uint64_t offset, const struct iovec *iov, unsigned count, size_t size)
{
    struct qcow2 *q = (struct qcow2 *)image;
    int error = 0;

    pthread_mutex_lock(&q->lock);
    for (size_t done = 0, part; done < size && !error; done += part)
        error = write_part(q, offset + done, size - done, iov, count, done, &part);
    pthread_mutex_unlock(&q->lock);
    return error;
}

/* Zeroes and nothing. */

/* What whole clusters become; a part of one L2 table's. With the lock. */
static int change_clusters(struct qcow2 *q, uint64_t offset, uint64_t size, uint64_t entry)
{
    struct qcow2_hold mine;
    struct qcow2_place place;
    int error;

    hold(q, &mine, offset, size, true);
    error = q->broken ? EIO : qcow2_find(q, offset, size, &place);
    /* What is so already needs no table. */
    if (!error && (place.size < size || place.kind != (entry ? QCOW2_ZEROES : QCOW2_BACKED)))
        error = set_entries(q, offset, (size + q->cluster_size - 1) >> q->cluster_bits, entry, 0);
    let_go(q, &mine);
    return error;
}

static int change_all(struct qcow2 *q, uint64_t offset, uint64_t size, uint64_t entry)
{
    uint64_t reach = q->cluster_size << q->l2_bits;
    int error = 0;

    pthread_mutex_lock(&q->lock);
    for (uint64_t part; size && !error; offset += part, size -= part) {
        part = reach - (offset & (reach - 1));
        if (part > size)
            part = size;
        error = change_clusters(q, offset, part, entry);
    }
    pthread_mutex_unlock(&q->lock);
    return error;
}

/* The whole clusters in a range; the disk's last one is whole. False: there is none. */
static bool whole_clusters(const struct qcow2 *q, uint64_t offset, uint64_t size, uint64_t *start,
                           uint64_t *end)
{
    *start = (offset + q->cluster_size - 1) & ~(q->cluster_size - 1);
    *end = offset + size == q->image.size ? offset + size : (offset + size) & ~(q->cluster_size - 1);
    return *start < *end;
}

static int write_zeroes(struct image *image, uint64_t offset, uint64_t size)
{
    size_t step = size < 1 << 16 ? (size_t)size : 1 << 16;
    uint8_t *zeroes = calloc(1, step ? step : 1);
    int error = zeroes ? 0 : ENOMEM;

    for (; size && !error; offset += step, size -= step) {
        if (step > size)
            step = (size_t)size;
        error = qcow2_write(image, offset, &(struct iovec){zeroes, step}, 1, step);
    }
    free(zeroes);
    return error;
}

static bool has_backing(const struct qcow2 *q)
{
    return q->backing || q->no_backing;
}

int qcow2_zero(struct image *image, uint64_t offset, uint64_t size)
{
    struct qcow2 *q = (struct qcow2 *)image;
    uint64_t start, end;
    int error;

    if (!whole_clusters(q, offset, size, &start, &end) || (q->version < 3 && has_backing(q)))
        return write_zeroes(image, offset, size);
    error = write_zeroes(image, offset, start - offset);
    if (!error)
        error = change_all(q, start, end - start, has_backing(q) ? QCOW2_ZERO : 0);
    return error ? error : write_zeroes(image, end, offset + size - end);
}

int qcow2_discard(struct image *image, uint64_t offset, uint64_t size)
{
    struct qcow2 *q = (struct qcow2 *)image;
    uint64_t start, end;

    /* In an old image nothing says that a cluster isn't the backing file's. */
    if (!whole_clusters(q, offset, size, &start, &end) || (q->version < 3 && has_backing(q)))
        return 0;
    return change_all(q, start, end - start, has_backing(q) ? QCOW2_ZERO : 0);
}

int qcow2_empty(struct image *image)
{
    return change_all((struct qcow2 *)image, 0, image->size, 0);
}
