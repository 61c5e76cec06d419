/*
 * file.h - a whole file in memory: kernels, initial RAM disks, firmware.
 */
#ifndef HOST_FILE_H
#define HOST_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct host_file {
    uint8_t *data;
    size_t size;
    size_t mapped; /* the file's own */
};

/*
 * Reads all of `path`, a regular file or a pipe, of at most `limit` bytes (0: as memory allows). False when
 * that fails; then `why` says in a line with the path what is wrong, and `file` is empty. The bytes are a
 * private copy: what happens to the file later doesn't matter.
 */
bool host_file_read(struct host_file *file, const char *path, uint64_t limit, char *why, size_t why_size);
/* The same from a descriptor, which stays the caller's; `path` is for messages. */
bool host_file_read_fd(struct host_file *file, int fd, const char *path, uint64_t limit, char *why, size_t why_size);
/* More bytes at the end, of a file that is made in memory; false when memory ran out. A zeroed one is empty. */
bool host_file_append(struct host_file *file, const void *data, size_t size);
void host_file_free(struct host_file *file);

#endif
