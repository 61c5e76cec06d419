/*
 * image_create.c - new images: raw files with nothing but a hole, and empty qcow2 images.
 *
 * A new qcow2 image has four parts of a cluster or more: the header, the refcount table, a refcount block,
 * the L1 table.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config.h"
#include "host/image_qcow2.h"

#define CLUSTER_USUAL 65536u

/* The header's extensions and the backing file's name behind them. */
static size_t put_backing(const struct image_create_options *options, uint8_t *head, size_t at)
{
    size_t name = options->backing ? strlen(options->backing) : 0;

    if (name && options->backing_format) {
        size_t length = strlen(options->backing_format);

        qcow2_store(head + at, 4, QCOW2_EXTENSION_FORMAT);
        qcow2_store(head + at + 4, 4, length);
        memcpy(head + at + 8, options->backing_format, length);
        at += 8 + ((length + 7) & ~(size_t)7);
    }
    at += 8; /* the extensions' end, all zeroes */
    if (name) {
        qcow2_store(head + QCOW2_BACKING_OFFSET, 8, at);
        qcow2_store(head + QCOW2_BACKING_SIZE, 4, name);
        memcpy(head + at, options->backing, name);
    }
    return at + name;
}

bool image_qcow2_create(const struct image_create_options *options, int fd, char *why, size_t why_size)
{
    uint64_t cluster = options->cluster_size ? options->cluster_size : CLUSTER_USUAL;
    unsigned bits = (unsigned)__builtin_ctzll(cluster);
    uint64_t reach = cluster * (cluster / 8), l1 = options->size / reach + !!(options->size % reach);
    uint64_t l1_clusters = (l1 * 8 + cluster - 1) / cluster, used = 3 + l1_clusters, blocks = 1;
    size_t names = (options->backing ? strlen(options->backing) : 0) + 64;

    if (cluster & (cluster - 1) || bits < QCOW2_CLUSTER_BITS_MIN || bits > QCOW2_CLUSTER_BITS_MAX)
        return image_refuse(options->path, why, why_size,
                            "clusters have 512 bytes to 2 MiB, and a power of 2");
    if (l1 * 8 > QCOW2_L1_MAX)
        return image_refuse(options->path, why, why_size,
                            "such a disk needs larger clusters (--cluster-size)");
    if (names > 1023 + 64 || QCOW2_HEADER_V3 + names + 64 > cluster)
        return image_refuse(options->path, why, why_size,
                            "the backing file's name is too long for the header");
    /* Small clusters: the L1 table may need more than one block to be counted. */
    while (blocks * (cluster / 2) < used + blocks - 1)
        blocks++;
    used += blocks - 1;
    uint8_t *image = calloc(used, cluster);
    if (!image || blocks * 8 > cluster) {
        free(image);
        return image_refuse(options->path, why, why_size,
                            "such a disk needs larger clusters (--cluster-size)");
    }
    unsigned version = options->version2 ? 2 : 3;
    qcow2_store(image, 4, QCOW2_MAGIC);
    qcow2_store(image + QCOW2_VERSION, 4, version);
    qcow2_store(image + QCOW2_CLUSTER_BITS, 4, bits);
    qcow2_store(image + QCOW2_SIZE, 8, options->size);
    qcow2_store(image + QCOW2_L1_SIZE, 4, l1);
    qcow2_store(image + QCOW2_L1_OFFSET, 8, (2 + blocks) * cluster);
    qcow2_store(image + QCOW2_TABLE_OFFSET, 8, cluster);
    qcow2_store(image + QCOW2_TABLE_CLUSTERS, 4, 1);
    if (version == 3) {
        qcow2_store(image + QCOW2_INCOMPATIBLE, 8, options->zstd ? QCOW2_INCOMPATIBLE_COMPRESSION : 0);
        qcow2_store(image + QCOW2_COMPATIBLE, 8, options->lazy_refcounts ? QCOW2_COMPATIBLE_LAZY : 0);
        qcow2_store(image + QCOW2_REFCOUNT_ORDER, 4, 4);
        qcow2_store(image + QCOW2_HEADER_LENGTH, 4, QCOW2_HEADER_V3);
        image[QCOW2_COMPRESSION] = options->zstd;
    }
    put_backing(options, image, version == 3 ? QCOW2_HEADER_V3 : QCOW2_HEADER_V2);
    for (uint64_t n = 0; n < blocks; n++)
        qcow2_store(image + cluster + n * 8, 8, (2 + n) * cluster);
    for (uint64_t n = 0; n < used; n++)
        qcow2_store(image + 2 * cluster + n * 2, 2, 1);
    const struct image_file file = {.fd = fd};
    int error = image_file_write_at(&file, 0, image, used * cluster);
    free(image);
    return !error || image_refuse(options->path, why, why_size, "%s", strerror(error));
}

bool image_create(const struct image_create_options *options, char *why, size_t why_size)
{
    bool qcow2 = !strcmp(options->format, "qcow2"), done;

    if (!qcow2 && strcmp(options->format, "raw"))
        return image_refuse(options->path, why, why_size,
                            "images of format %.20s aren't made here; raw and qcow2 are", options->format);
    if (!options->size || options->size % IMAGE_SECTOR || options->size > INT64_MAX)
        return image_refuse(options->path, why, why_size,
                            "a disk's size is a multiple of 512 bytes, and not 0");
    if (!qcow2 && options->backing)
        return image_refuse(options->path, why, why_size,
                            "a raw image has no backing file; make a qcow2 image");
    int fd = open(options->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return image_refuse(options->path, why, why_size, "%s",
                            errno == EEXIST ? "is there already" : strerror(errno));
    if (qcow2)
        done = image_qcow2_create(options, fd, why, why_size);
    else
        done = ftruncate(fd, (off_t)options->size) == 0 ||
               image_refuse(options->path, why, why_size, "%s", strerror(errno));
    if (close(fd) < 0 && done)
        done = image_refuse(options->path, why, why_size, "%s", strerror(errno));
    if (!done)
        unlink(options->path);
    return done;
}
