/*
 * disk.h - a disk whose contents lie raw in a file or a block device of the host.
 *
 * Requests are worked on by a few threads a disk and complete in the event loop. Requests that overlap happen
 * in the order in which they were submitted; a flush completes when all writes submitted before it are
 * durable.
 */
#ifndef HOST_DISK_H
#define HOST_DISK_H

#include <stdbool.h>
#include <stddef.h>

#include "core/block.h"

struct log;
struct loop;

struct host_disk_options {
    const char *path;
    bool read_only; /* the guest may not write */
    bool snapshot;  /* the guest's writes go to a temporary file and are gone when the disk is closed */
};

/*
 * Opens and locks the image: any number of readers, or one writer, on this host. NULL when that fails; then
 * `why` says in a line with the path what is wrong and what to do. Call it, and block_close() what it
 * returns, with the machine lock held. A disk that is read_only as well as snapshot is writable for the
 * guest.
 */
struct block *host_disk_open(const struct host_disk_options *options, struct loop *loop, struct log *log,
                             char *why, size_t why_size);

#endif
