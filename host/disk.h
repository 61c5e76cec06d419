/*
 * disk.h - a disk whose contents lie in an image, a file or a block device of the host.
 *
 * Requests are worked on by a few threads a disk, more when more is to do, and complete in the event loop.
 * Requests that overlap happen in the order in which they were submitted; a flush completes when all writes
 * submitted before it are durable.
 */
#ifndef HOST_DISK_H
#define HOST_DISK_H

#include <stdbool.h>
#include <stddef.h>

#include "core/block.h"

struct log;
struct loop;

/* What happens when the host can't do what the guest asks for. */
enum disk_error_policy {
    DISK_REPORT,       /* the guest sees a disk error */
    DISK_STOP_NOSPACE, /* the machine stops when the host's disk is full; other errors are the guest's */
    DISK_STOP,         /* the machine stops */
};

struct host_disk_options {
    const char *path;
    bool read_only;      /* the guest may not write */
    bool snapshot;       /* the guest's writes go to a temporary file and are gone when the disk is closed */
    bool keep_discarded; /* discarding does nothing */
    const char *format;  /* NULL: recognised by content */
    const char *backing; /* as struct image_options has it */
    uint64_t iops, bps;  /* requests and bytes a second at most; 0: no limit */
    enum disk_error_policy policy;
    /* A request failed, and the policy says that the machine stops: it is kept for host_disk_retry(). In the
     * event loop. */
    void (*failed)(void *opaque, struct block *disk, bool writing, int error);
    void *opaque;
};

/*
 * Opens and locks the image: any number of readers, or one writer, on this host. NULL when that fails; then
 * `why` says in a line with the path what is wrong and what to do. Call it, and block_close() what it
 * returns, with the machine lock held. A disk that is read_only as well as snapshot is writable for the
 * guest.
 */
struct block *host_disk_open(const struct host_disk_options *options, struct loop *loop, struct log *log,
                             char *why, size_t why_size);

/* Does again what failed and was kept. With the machine lock held; for disks that host_disk_open() made. */
void host_disk_retry(struct block *disk);

/*
 * For a machine that is reset: afterwards nobody touches the guest's memory any more for what was submitted before. Waits
 * for it, two seconds at most; what has not been begun then fails with ECANCELED. done() is called in the event loop, as
 * ever. With the machine lock held.
 */
void host_disk_settle(struct block *disk);

#endif
