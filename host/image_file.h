/*
 * image_file.h - the file or block device under an image: opening and locking it, and moving bytes between it
 * and pieces of memory.
 *
 * Locking: reads and writes block and may be made by several threads at once. They return 0 or an errno
 * value.
 */
#ifndef HOST_IMAGE_FILE_H
#define HOST_IMAGE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct log;

struct image_file {
    int fd;
    uint64_t size; /* bytes, when it was opened */
    bool writable, device;
    uint32_t sector; /* the host's natural block, 512 or 4096 */
    dev_t dev;       /* which file it is, */
    ino_t ino;       /* both */
};

/* False: `why` says in a line with the path what is wrong and what to do; nothing is left open. */
bool image_file_open(struct image_file *file, const char *path, bool writing, struct log *log, char *why,
                     size_t why_size);
void image_file_close(struct image_file *file);

/*
 * `size` bytes at `offset` from or to the pieces, the first `skip` bytes of which are passed over. A read
 * past the end fails with EIO.
 */
int image_file_read(const struct image_file *file, uint64_t offset, const struct iovec *iov, unsigned count,
                    size_t skip, size_t size);
int image_file_write(const struct image_file *file, uint64_t offset, const struct iovec *iov, unsigned count,
                     size_t skip, size_t size);
/* What the host has in its cache; EAGAIN when that isn't all of it, or can't be known. */
int image_file_read_now(const struct image_file *file, uint64_t offset, const struct iovec *iov, unsigned count,
                        size_t size);
int image_file_read_at(const struct image_file *file, uint64_t offset, void *data, size_t size);
int image_file_write_at(const struct image_file *file, uint64_t offset, const void *data, size_t size);

/* Zeroes without writing them where the host can; space given back. EOPNOTSUPP from punch: it can't. */
int image_file_zero(const struct image_file *file, uint64_t offset, uint64_t size);
int image_file_punch(const struct image_file *file, uint64_t offset, uint64_t size);
int image_file_flush(const struct image_file *file);
/* As an image's extent(): data, or a hole. */
int image_file_extent(const struct image_file *file, uint64_t offset, uint64_t *length, bool *data);

/* An unlinked file in the folder for large temporary files; -1 and errno. */
int image_file_temporary(const char **folder);

/* Pieces of memory: the part of them behind `skip`, its number of pieces returned; zeroes; copies. */
unsigned image_iov_slice(struct iovec *to, const struct iovec *iov, unsigned count, size_t skip, size_t size);
void image_iov_zero(const struct iovec *iov, unsigned count, size_t skip, size_t size);
void image_iov_gather(void *to, const struct iovec *iov, unsigned count, size_t skip, size_t size);
void image_iov_scatter(const void *from, const struct iovec *iov, unsigned count, size_t skip, size_t size);

#endif
