/*
 * image.h - disk images: an array of bytes that lies in a file in one of several formats.
 *
 * A format is a struct image_format in image.c's table: how it is recognised, and how it is opened as a
 * struct image. What a format doesn't do, its ops leave NULL.
 *
 * Locking: the functions of an open image block, and may be called from several threads at once for ranges
 * that don't overlap or are only read; flush at any time. All but opening return 0 or an errno value. Offsets
 * and sizes are multiples of 512 within the image unless they say otherwise.
 */
#ifndef HOST_IMAGE_H
#define HOST_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/uio.h>

struct image;
struct image_file;
struct log;

#define IMAGE_SECTOR    512u
#define IMAGE_HEAD      4096u /* of a file's start are shown to probes */
#define IMAGE_CHAIN_MAX 32    /* images behind one another */

/* A snapshot inside an image. */
struct image_snapshot {
    char id[64], name[256];
    uint64_t seconds;    /* when it was taken, since 1970 */
    uint64_t disk_size;  /* bytes */
    uint64_t state_size; /* bytes of a machine's state beside the disk; 0: none */
};

/* What an image says of itself, beside its size. Zeroed: nothing. */
struct image_info {
    uint32_t cluster_size; /* bytes that are allocated together */
    unsigned version;
    char backing[1024], backing_format[16]; /* as recorded; empty: none */
    char backing_path[4096];                /* where that is; empty: it may not be opened */
    const char *compression;                /* NULL: none */
    bool dirty, corrupt, lazy_refcounts;
    unsigned refcount_bits;
    struct image_snapshot *snapshots; /* the caller frees it */
    unsigned snapshot_count;
};

/* What a check finds. */
struct image_check {
    uint64_t errors, leaks; /* clusters */
    uint64_t repaired;      /* of these */
    uint64_t clusters, used;
    FILE *out; /* a line for each finding goes here; NULL: nowhere */
};

struct image_ops {
    const char *name; /* the format's */
    /* The pieces add up to `size`; at most BLOCK_PIECES. */
    int (*read)(struct image *image, uint64_t offset, const struct iovec *iov, unsigned count, size_t size);
    int (*write)(struct image *image, uint64_t offset, const struct iovec *iov, unsigned count, size_t size);
    /* Reads if that needs no waiting, and fails with EAGAIN otherwise. NULL: there is no telling. */
    int (*read_now)(struct image *image, uint64_t offset, const struct iovec *iov, unsigned count, size_t size);
    /* Reads as zeroes afterwards. NULL: zeroes are written. */
    int (*zero)(struct image *image, uint64_t offset, uint64_t size);
    /* Nobody needs it any more. NULL: nothing happens. */
    int (*discard)(struct image *image, uint64_t offset, uint64_t size);
    /* What was written is durable. NULL: it was before. */
    int (*flush)(struct image *image);
    /*
     * How far from `offset` on it is all alike: data, or surely zeroes. *length > 0, at most to the end. With
     * `own`, data means what lies in this image itself, not in one behind it. NULL: all data.
     */
    int (*extent)(struct image *image, uint64_t offset, bool own, uint64_t *length, bool *data);
    void (*info)(struct image *image, struct image_info *info);
    int (*check)(struct image *image, bool repair, struct image_check *check);
    /* EINVAL with a line in `why`: it can't have that size. NULL: it can't be changed. */
    int (*resize)(struct image *image, uint64_t size, char *why, size_t why_size);
    /* Drops all that lies in this image itself, so that what is behind it shows. NULL: nothing is behind. */
    int (*empty)(struct image *image);
    void (*close)(struct image *image);
};

struct image {
    const struct image_ops *ops;
    const char *path; /* the opener's, as long as the image lives */
    uint64_t size;    /* bytes, a multiple of 512 */
    bool read_only;
    bool can_discard;
    uint32_t sector; /* the host's natural block, 512 or 4096; 0: 512 */
};

struct image_options {
    const char *path;   /* a file, a block device, or an URL that a format knows */
    const char *format; /* its name; NULL: recognised by content */
    bool read_only;
    bool snapshot; /* writes go to a temporary file, whatever read_only says */
    bool repair; /* opens it although it is marked corrupt, looks through all of it, and takes the mark off */
    bool no_backing; /* what is behind it is not opened, and reads as zeroes */
    /*
     * Backing files outside the image's folder are only opened when the user says so: "yes" for any that is
     * named in the image, or a path that is taken in place of the recorded one. NULL: none of these.
     */
    const char *backing;
    struct log *log;
    /* The image that this one is behind, and its options; NULL: none. */
    const struct image_options *above;
    const struct image_file *above_file;
};

struct image_format {
    const char *name;
    const char *article_name; /* "a qcow2 image" */
    bool writable;
    /* Is it one of these? head[0..size) is the file's start, IMAGE_HEAD bytes unless the file is shorter.
     * NULL: never by content. */
    bool (*probe)(const uint8_t *head, size_t size, const struct image_file *file);
    /* Is it the format's because of how the path reads? Then open() gets no file. NULL: never. */
    bool (*is_url)(const char *path);
    /*
     * NULL with a line in `why`, which begins with the path. The file is the image's from then on when that
     * works (copied, and closed by it), and the caller's otherwise.
     */
    struct image *(*open)(const struct image_options *options, const struct image_file *file, char *why,
                          size_t why_size);
};

/* Ends with NULL. Raw is the last. */
extern const struct image_format *const image_formats[];
extern const struct image_format image_raw_format, image_qcow2_format;
extern const struct image_format image_vmdk_format, image_vdi_format, image_vhd_format, image_vhdx_format;
extern const struct image_format image_nbd_format;

const struct image_format *image_format_find(const char *name);

/* What a file's start says that it is, by all formats' probes; raw when nothing else. */
const struct image_format *image_probe(const uint8_t *head, size_t size, const struct image_file *file);

/*
 * Opens and locks it: any number of readers, or one writer, on this host. NULL with a line in `why`. The
 * options' strings are to live as long as the image.
 */
struct image *image_open(const struct image_options *options, char *why, size_t why_size);

/* A temporary file takes the writes to `under`, which is closed with it. NULL: `under` is still the caller's.
 */
struct image *image_overlay_open(struct image *under, char *why, size_t why_size);

/* The ops, with what is done where there is none. Writes to an image that is read_only fail with EROFS. */
int image_read(struct image *image, uint64_t offset, const struct iovec *iov, unsigned count, size_t size);
int image_write(struct image *image, uint64_t offset, const struct iovec *iov, unsigned count, size_t size);
int image_zero(struct image *image, uint64_t offset, uint64_t size);
int image_discard(struct image *image, uint64_t offset, uint64_t size);
int image_flush(struct image *image);
int image_extent(struct image *image, uint64_t offset, bool own, uint64_t *length, bool *data);
void image_close(struct image *image);

/* The same, with one piece. */
int image_read_at(struct image *image, uint64_t offset, void *data, size_t size);
int image_write_at(struct image *image, uint64_t offset, const void *data, size_t size);

/* Puts a line into `why`, the path before it; false. */
bool image_refuse(const char *path, char *why, size_t why_size, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Creates an image; false with a line in `why`. */
struct image_create_options {
    const char *path, *format;
    uint64_t size;         /* bytes; 0 with a backing file: that one's */
    uint32_t cluster_size; /* bytes; 0: 64 KiB */
    const char *backing;   /* as it is recorded; NULL: none */
    const char *backing_format;
    bool zstd, lazy_refcounts, version2;
};
bool image_create(const struct image_create_options *options, char *why, size_t why_size);
bool image_qcow2_create(const struct image_create_options *options, int fd, char *why, size_t why_size);

#endif
