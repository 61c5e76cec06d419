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
void host_file_free(struct host_file *file);

#endif
