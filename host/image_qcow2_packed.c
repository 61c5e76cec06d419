/*
 * image_qcow2_packed.c - compressed clusters: a raw deflate stream, or a zstd frame.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "config.h"
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

#include "host/image_qcow2.h"

/* The stream's window is 4 KiB in the images of some programs, and up to 32 KiB in others'. */
static int inflate_cluster(const uint8_t *from, size_t size, uint8_t *to, size_t room)
{
    z_stream stream = {.next_in = (uint8_t *)(uintptr_t)from,
                       .avail_in = (uInt)size,
                       .next_out = to,
                       .avail_out = (uInt)room};

    if (inflateInit2(&stream, -15) != Z_OK)
        return ENOMEM;
    int result = inflate(&stream, Z_FINISH);
    inflateEnd(&stream);
    /* What lies behind the stream's end is no concern of it. */
    return !stream.avail_out && (result == Z_STREAM_END || result == Z_OK || result == Z_BUF_ERROR) ? 0 : EIO;
}

static int unzstd_cluster(const uint8_t *from, size_t size, uint8_t *to, size_t room)
{
#ifdef HAVE_ZSTD
    ZSTD_DCtx *context = ZSTD_createDCtx();
    ZSTD_inBuffer in = {from, size, 0};
    ZSTD_outBuffer out = {to, room, 0};

    if (!context)
        return ENOMEM;
    while (out.pos < out.size && in.pos < in.size) {
        size_t before = in.pos + out.pos, result = ZSTD_decompressStream(context, &out, &in);
        if (ZSTD_isError(result) || in.pos + out.pos == before)
            break;
    }
    ZSTD_freeDCtx(context);
    return out.pos == out.size ? 0 : EIO;
#else
    (void)from, (void)size, (void)to, (void)room;
    return ENOTSUP;
#endif
}

static int unpack(struct qcow2 *q, uint64_t entry, uint8_t *to)
{
    uint64_t offset, size = qcow2_packed_range(q, entry, &offset), end = qcow2_end(q);
    uint8_t *packed = malloc(size);
    int error;

    if (!packed)
        return ENOMEM;
    /* The last sector may be cut short by the file's end. */
    if (size > end - offset)
        size = end - offset;
    error = image_file_read_at(&q->file, offset, packed, size);
    if (!error)
        error = q->zstd ? unzstd_cluster(packed, size, to, q->cluster_size)
                        : inflate_cluster(packed, size, to, q->cluster_size);
    free(packed);
    return error;
}

int qcow2_read_packed(struct qcow2 *q, uint64_t entry, uint8_t *to)
{
    int error;

    pthread_mutex_lock(&q->packed_lock);
    bool there = q->packed_entry == entry && q->packed_data;
    if (there)
        memcpy(to, q->packed_data, q->cluster_size);
    pthread_mutex_unlock(&q->packed_lock);
    if (there)
        return 0;
    error = unpack(q, entry, to);
    if (error)
        return error;
    pthread_mutex_lock(&q->packed_lock);
    if (!q->packed_data)
        q->packed_data = malloc(q->cluster_size);
    if (q->packed_data) {
        memcpy(q->packed_data, to, q->cluster_size);
        q->packed_entry = entry;
    }
    pthread_mutex_unlock(&q->packed_lock);
    return 0;
}
