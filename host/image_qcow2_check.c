/*
 * image_qcow2_check.c - holds refcounts and flags of a qcow2 image against what its tables point at, and puts
 * them right; see image_qcow2.h.
 *
 * The refcounts that should be are counted in memory, with the role that each cluster of the file has: no
 * cluster has two, and only data and L2 tables are shared, between the disk and snapshots.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "host/image_qcow2.h"

/* What opening an image looks at at most: bytes of tables, and clusters of the file. Repairing a dirty one.
 */
#define AT_OPEN_BYTES    (64u << 20)
#define AT_OPEN_CLUSTERS (16u << 20)
#define CLUSTERS_MAX     (1ull << 30)

enum role { ROLE_NONE, ROLE_HEADER, ROLE_L1, ROLE_TABLE, ROLE_BLOCK, ROLE_SNAPSHOTS, ROLE_L2, ROLE_DATA };
static const char *const role_names[] = {"nothing",        "header",           "L1 table", "refcount table",
                                         "refcount block", "snapshots' table", "L2 table", "data"};

struct scan {
    struct qcow2 *q;
    struct image_check *result;
    bool repair;
    uint64_t clusters; /* of the file */
    uint32_t *counts;
    uint8_t *roles;
    uint64_t fatal;  /* errors that new refcounts don't mend */
    char first[160]; /* the first of these */
};

static void say(struct scan *s, const char *kind, const char *format, va_list arguments)
{
    char text[160];

    vsnprintf(text, sizeof(text), format, arguments);
    if (s->result->out)
        fprintf(s->result->out, "%s: %s\n", kind, text);
    if (!s->first[0] && !strcmp(kind, "error"))
        snprintf(s->first, sizeof(s->first), "%s", text);
}

__attribute__((format(printf, 2, 3))) static void fatal(struct scan *s, const char *format, ...)
{
    va_list arguments;

    s->result->errors++;
    s->fatal++;
    va_start(arguments, format);
    say(s, "error", format, arguments);
    va_end(arguments);
}

/* Found, and put right if that is wanted. */
__attribute__((format(printf, 3, 4))) static void finding(struct scan *s, bool leak, const char *format, ...)
{
    va_list arguments;

    if (s->repair)
        s->result->repaired++;
    else if (leak)
        s->result->leaks++;
    else
        s->result->errors++;
    va_start(arguments, format);
    say(s, s->repair ? "repaired" : leak ? "leak" : "error", format, arguments);
    va_end(arguments);
}

/* Counts clusters once more. False: they can't be what they are pointed at for. */
static bool count(struct scan *s, uint64_t offset, uint64_t bytes, enum role role)
{
    uint64_t first = offset >> s->q->cluster_bits, last = (offset + bytes - 1) >> s->q->cluster_bits;

    if (!bytes)
        return true;
    if (role != ROLE_HEADER && offset < s->q->cluster_size) {
        fatal(s, "the %s at 0x%" PRIx64 " lies in the header", role_names[role], offset);
        return false;
    }
    if (last >= s->clusters || last < first) {
        fatal(s, "the %s at 0x%" PRIx64 " lies outside the file", role_names[role], offset);
        return false;
    }
    for (uint64_t n = first; n <= last; n++) {
        if (s->roles[n] != ROLE_NONE && s->roles[n] != role) {
            fatal(s, "the %s at 0x%" PRIx64 " is a %s as well", role_names[role], n << s->q->cluster_bits,
                  role_names[s->roles[n]]);
            return false;
        }
        if (s->roles[n] == role && role != ROLE_DATA && role != ROLE_L2) {
            fatal(s, "the %s at 0x%" PRIx64 " is there twice", role_names[role], n << s->q->cluster_bits);
            return false;
        }
        s->roles[n] = (uint8_t)role;
        if (s->counts[n] < UINT32_MAX)
            s->counts[n]++;
    }
    return true;
}

static bool aligned(struct scan *s, uint64_t offset, enum role role)
{
    if (!(offset & (s->q->cluster_size - 1)))
        return true;
    fatal(s, "the %s at 0x%" PRIx64 " is misaligned", role_names[role], offset);
    return false;
}

static void count_entry(struct scan *s, uint64_t entry)
{
    uint64_t offset = entry & QCOW2_OFFSET_MASK;

    if (entry & QCOW2_COMPRESSED) {
        uint64_t start, size = qcow2_packed_range(s->q, entry, &start),
                        last = (start + size - 1) >> s->q->cluster_bits;

        /* The length is in sectors, so the last of them may reach behind the file. */
        if (last >= s->clusters && start >> s->q->cluster_bits < s->clusters && size > 512)
            size = (s->clusters << s->q->cluster_bits) - start;
        count(s, start, size, ROLE_DATA);
        return;
    }
    if (offset && aligned(s, offset, ROLE_DATA))
        count(s, offset, s->q->cluster_size, ROLE_DATA);
}

/* Without the cache: most of what is read here is read once. */
static bool read_cluster(struct scan *s, uint64_t offset, uint8_t *to, enum role role)
{
    int error = image_file_read_at(&s->q->file, offset, to, s->q->cluster_size);

    if (error)
        fatal(s, "the %s at 0x%" PRIx64 " can't be read: %s", role_names[role], offset, strerror(error));
    return !error;
}

static void count_l1(struct scan *s, const uint64_t *l1, uint64_t entries, uint8_t *buffer)
{
    const uint64_t per_table = 1ull << s->q->l2_bits;

    for (uint64_t n = 0; n < entries; n++) {
        uint64_t offset = l1[n] & QCOW2_OFFSET_MASK;

        if (!offset || !aligned(s, offset, ROLE_L2) || !count(s, offset, s->q->cluster_size, ROLE_L2) ||
            !read_cluster(s, offset, buffer, ROLE_L2))
            continue;
        for (uint64_t i = 0; i < per_table; i++)
            count_entry(s, qcow2_load(buffer + i * 8, 8));
    }
}

/* A snapshot's L1 table and what it leads to. */
static void count_snapshot(struct scan *s, uint64_t offset, uint32_t entries, uint8_t *buffer)
{
    uint64_t *l1;

    if (!entries)
        return;
    if (entries > QCOW2_L1_MAX / 8 || !aligned(s, offset, ROLE_L1) ||
        !count(s, offset, entries * 8ull, ROLE_L1)) {
        fatal(s, "a snapshot's L1 table of %" PRIu32 " entries can't be", entries);
        return;
    }
    l1 = calloc(entries, 8);
    if (!l1 || image_file_read_at(&s->q->file, offset, l1, entries * 8ul))
        fatal(s, "a snapshot's L1 table can't be read");
    for (uint32_t n = 0; l1 && n < entries; n++)
        l1[n] = qcow2_load(&l1[n], 8);
    if (l1)
        count_l1(s, l1, entries, buffer);
    free(l1);
}

static void count_snapshots(struct scan *s, uint8_t *buffer)
{
    struct qcow2 *q = s->q;
    uint64_t room = q->end - q->snapshots_offset, at = 0;
    uint8_t *bytes;

    if (!q->snapshots)
        return;
    if (room > QCOW2_SNAPSHOTS_BYTES)
        room = QCOW2_SNAPSHOTS_BYTES;
    bytes = malloc(room);
    if (!bytes || image_file_read_at(&q->file, q->snapshots_offset, bytes, room)) {
        fatal(s, "the table of snapshots can't be read");
        free(bytes);
        return;
    }
    for (uint32_t n = 0; n < q->snapshots; n++) {
        const uint8_t *entry = bytes + at;
        uint64_t length = 40;

        if (room - at >= 40)
            length =
                (40 + qcow2_load(entry + 36, 4) + qcow2_load(entry + 12, 2) + qcow2_load(entry + 14, 2) + 7) &
                ~7ull;
        if (length > room - at) {
            fatal(s, "the table of snapshots ends within an entry");
            break;
        }
        count_snapshot(s, qcow2_load(entry, 8), (uint32_t)qcow2_load(entry + 8, 4), buffer);
        at += length;
    }
    count(s, q->snapshots_offset, at, ROLE_SNAPSHOTS);
    free(bytes);
}

static void count_table(struct scan *s)
{
    struct qcow2 *q = s->q;

    count(s, 0, q->cluster_size, ROLE_HEADER);
    count(s, q->l1_offset, q->l1_size * 8ull, ROLE_L1);
    count(s, q->table_offset, q->table_size * 8ull, ROLE_TABLE);
    for (uint32_t n = 0; n < q->table_size; n++)
        if (q->table[n] && aligned(s, q->table[n], ROLE_BLOCK))
            count(s, q->table[n], q->cluster_size, ROLE_BLOCK);
}

/* Entries' flags that say "mine alone", by the refcounts that should be. */
static int check_flag(struct scan *s, uint64_t entry, const char *what, bool *wrong)
{
    uint64_t cluster = (entry & QCOW2_OFFSET_MASK) >> s->q->cluster_bits;
    bool alone;

    *wrong = false;
    if (!cluster || cluster >= s->clusters)
        return 0;
    alone = s->counts[cluster] == 1;
    if (alone == !!(entry & QCOW2_COPIED))
        return 0;
    finding(s, false, "the %s at 0x%" PRIx64 " is%s marked as its table's alone", what,
            cluster << s->q->cluster_bits, alone ? " not" : "");
    *wrong = true;
    return 0;
}

static int check_flags(struct scan *s)
{
    struct qcow2 *q = s->q;
    bool wrong;

    for (uint32_t n = 0; n < q->l1_size; n++) {
        struct qcow2_slot *slot;

        if (!(q->l1[n] & QCOW2_OFFSET_MASK))
            continue;
        check_flag(s, q->l1[n], "L2 table", &wrong);
        if (wrong && s->repair) {
            q->l1[n] ^= QCOW2_COPIED;
            q->l1_dirty = true;
        }
        int error = qcow2_cache_get(q, &q->l2, q->l1[n] & QCOW2_OFFSET_MASK, false, &slot);
        if (error)
            return error;
        for (uint64_t i = 0; i < 1ull << q->l2_bits; i++) {
            uint64_t entry = qcow2_entry(slot, i);

            if (entry & QCOW2_COMPRESSED)
                continue;
            check_flag(s, entry, "cluster", &wrong);
            if (wrong && s->repair) {
                qcow2_store(slot->data + i * 8, 8, entry ^ QCOW2_COPIED);
                slot->dirty = true;
            }
        }
    }
    return 0;
}

/* Is there a block for its refcount, or room for one where it would be made? */
static bool has_block(const struct scan *s, uint64_t cluster)
{
    unsigned bits = s->q->cluster_bits + 3 - s->q->refcount_order;
    uint64_t index = cluster >> bits;

    return (index < s->q->table_size && s->q->table[index]) || (index && !s->counts[index << bits]);
}

/* Errors of refcounts are told apart from leaks: a refcount that is too low loses data. */
static int check_refcounts(struct scan *s, bool leaks)
{
    struct qcow2 *q = s->q;
    uint64_t refcount;

    for (uint64_t n = 0; n < s->clusters; n++) {
        int error = qcow2_refcount_get(q, n, &refcount);

        if (error)
            return error;
        s->result->used += !leaks && s->roles[n] != ROLE_NONE;
        bool leak = refcount > s->counts[n];
        if (refcount == s->counts[n] || leak != leaks)
            continue;
        if (s->repair && !has_block(s, n)) {
            fatal(s, "no refcount block counts the cluster at 0x%" PRIx64, n << q->cluster_bits);
            s->repair = false;
            continue;
        }
        finding(s, leak, "the cluster at 0x%" PRIx64 " has refcount %" PRIu64 ", but %" PRIu32 " is right",
                n << q->cluster_bits, refcount, s->counts[n]);
        error = s->repair ? qcow2_refcount_set(q, n, s->counts[n]) : 0;
        if (error)
            return error;
        /* A block that had to be made counts itself. */
        if (s->repair && s->counts[n] == 0 && s->roles[n] == ROLE_NONE)
            image_file_punch(&q->file, n << q->cluster_bits, q->cluster_size);
    }
    return 0;
}

/* With the lock. */
static int scan(struct scan *s)
{
    struct qcow2 *q = s->q;
    uint8_t *buffer = malloc(q->cluster_size);
    int error = 0;

    s->clusters = (q->end + q->cluster_size - 1) >> q->cluster_bits;
    if (s->clusters > CLUSTERS_MAX) {
        free(buffer);
        return EFBIG;
    }
    s->counts = calloc(s->clusters, sizeof(*s->counts));
    s->roles = calloc(s->clusters, 1);
    if (!buffer || !s->counts || !s->roles) {
        free(buffer);
        return ENOMEM;
    }
    s->result->clusters = s->clusters;
    count_table(s);
    count_l1(s, q->l1, q->l1_size, buffer);
    count_snapshots(s, buffer);
    free(buffer);
    /* With tables that overlap, changing anything makes it worse. */
    if (s->fatal)
        s->repair = false;
    error = check_refcounts(s, false);
    if (!error && !s->fatal)
        error = check_flags(s);
    /* Where bitmaps lie is in no table that is read here. */
    if (!error && !q->has_bitmaps)
        error = check_refcounts(s, true);
    return error;
}

static void scan_free(struct scan *s)
{
    free(s->counts);
    free(s->roles);
}

int qcow2_check(struct image *image, bool repair, struct image_check *check)
{
    struct scan s = {.q = (struct qcow2 *)image, .result = check, .repair = repair && !image->read_only};
    struct qcow2 *q = s.q;

    pthread_mutex_lock(&q->lock);
    int error = qcow2_is_dirty(q) ? qcow2_write_back(q) : 0;
    if (!error)
        error = scan(&s);
    if (!error && s.repair)
        error = qcow2_write_back(q);
    pthread_mutex_unlock(&q->lock);
    scan_free(&s);
    return error;
}

/* How many bytes of tables a scan would read. */
static uint64_t table_bytes(const struct qcow2 *q)
{
    uint64_t tables = 0;

    for (uint32_t n = 0; n < q->l1_size; n++)
        tables += (q->l1[n] & QCOW2_OFFSET_MASK) != 0;
    for (uint32_t n = 0; n < q->table_size; n++)
        tables += q->table[n] != 0;
    return tables << q->cluster_bits;
}

int qcow2_check_at_open(struct qcow2 *q, bool repair, char *why, size_t why_size)
{
    struct image_check result = {.out = NULL};
    struct scan s = {.q = q, .result = &result, .repair = true};
    bool must = repair || q->incompatible & QCOW2_INCOMPATIBLE_DIRTY;

    if (!must &&
        (table_bytes(q) > AT_OPEN_BYTES || q->end >> q->cluster_bits > AT_OPEN_CLUSTERS || q->snapshots > 64))
        return 0;
    int error = scan(&s);
    if (!error && !s.fatal && result.repaired)
        error = qcow2_write_back(q);
    scan_free(&s);
    if (s.fatal) {
        snprintf(why, why_size, "is corrupt: %.110s; add ,readonly to read what there is", s.first);
        return EIO;
    }
    if (error)
        snprintf(why, why_size, "can't be checked: %s", strerror(error));
    return error;
}
