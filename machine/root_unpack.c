/*
 * root_unpack.c - modules as distributions pack them: gzip, xz, zstd. What this Oxbow was built without a
 * library for stays as it is; then the kernel is asked to unpack it.
 */
#include <string.h>
#include <zlib.h>

#include "config.h"
#include "machine/root.h"

#ifdef HAVE_LZMA
#include <lzma.h>
#endif
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

#define UNPACKED_MAX (256u << 20)
#define CHUNK        65536

static bool unpack_gz(struct host_file *out, const struct host_file *file)
{
    z_stream stream = {.next_in = file->data, .avail_in = (uInt)file->size};
    uint8_t chunk[CHUNK];
    int result = inflateInit2(&stream, 16 + MAX_WBITS);

    while (result == Z_OK && out->size < UNPACKED_MAX) {
        stream.next_out = chunk;
        stream.avail_out = sizeof(chunk);
        result = inflate(&stream, Z_NO_FLUSH);
        if (!host_file_append(out, chunk, sizeof(chunk) - stream.avail_out))
            break;
    }
    inflateEnd(&stream);
    return result == Z_STREAM_END;
}

#ifdef HAVE_LZMA
static bool unpack_xz(struct host_file *out, const struct host_file *file)
{
    lzma_stream stream = LZMA_STREAM_INIT;
    lzma_ret result = lzma_stream_decoder(&stream, UINT64_MAX, 0);
    uint8_t chunk[CHUNK];

    stream.next_in = file->data;
    stream.avail_in = file->size;
    while (result == LZMA_OK && out->size < UNPACKED_MAX) {
        stream.next_out = chunk;
        stream.avail_out = sizeof(chunk);
        result = lzma_code(&stream, LZMA_FINISH);
        if (!host_file_append(out, chunk, sizeof(chunk) - stream.avail_out))
            break;
    }
    lzma_end(&stream);
    return result == LZMA_STREAM_END;
}
#endif

#ifdef HAVE_ZSTD
static bool unpack_zst(struct host_file *out, const struct host_file *file)
{
    ZSTD_DStream *stream = ZSTD_createDStream();
    ZSTD_inBuffer in = {file->data, file->size, 0};
    uint8_t chunk[CHUNK];
    size_t result = 1;

    /* 0: a frame is complete; there may be another. */
    while (stream && out->size < UNPACKED_MAX && (result || in.pos < in.size)) {
        ZSTD_outBuffer part = {chunk, sizeof(chunk), 0};
        size_t before = in.pos;

        result = ZSTD_decompressStream(stream, &part, &in);
        if (ZSTD_isError(result) || (in.pos == before && !part.pos) ||
            !host_file_append(out, chunk, part.pos)) {
            result = 1;
            break;
        }
    }
    ZSTD_freeDStream(stream);
    return !result;
}
#endif

static const struct {
    const char *suffix;
    bool (*unpack)(struct host_file *out, const struct host_file *file);
} formats[] = {
    {".gz", unpack_gz},
#ifdef HAVE_LZMA
    {".xz", unpack_xz},
#endif
#ifdef HAVE_ZSTD
    {".zst", unpack_zst},
#endif
};

bool root_unpack(struct host_file *file, char *name)
{
    for (size_t n = 0; n < sizeof(formats) / sizeof(*formats); n++) {
        size_t length = strlen(name), tail = strlen(formats[n].suffix);
        struct host_file out = {0};

        if (length <= tail || strcmp(name + length - tail, formats[n].suffix))
            continue;
        bool done = formats[n].unpack(&out, file);
        host_file_free(file);
        *file = out;
        name[length - tail] = 0;
        return done;
    }
    return true;
}
