/*
 * block.h - a disk, as controllers see it: an array of bytes read and written in requests that complete
 * later.
 *
 * Backends (host/disk.c) do the work on threads of their own. A controller never waits: it submits, and goes on when done() is called.
 *
 * Locking: submit is called, and done() is called, with the machine lock held. done() is never called from
 * within submit.
 */
#ifndef CORE_BLOCK_H
#define CORE_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum block_op {
    BLOCK_READ,
    BLOCK_WRITE,
    BLOCK_FLUSH,
    BLOCK_DISCARD,      /* nobody needs what is there; reads as before, or as zeroes */
    BLOCK_WRITE_ZEROES, /* reads as zeroes; that takes no space where the backend can do so */
};

/*
 * The submitter owns the request, its pieces and its data, and leaves all alone until done(). Any number of
 * requests may be under way.
 */
struct block_request {
    enum block_op op;
    uint64_t offset; /* bytes from the start; a multiple of 512 */
    size_t size;     /* bytes; a multiple of 512; 0 for a flush */
    void *data;      /* of reads and writes, in one piece; */
    /* or in pieces of any alignment that add up to `size`, unless this is NULL. At most BLOCK_PIECES. */
    const struct iovec *iov;
    unsigned iov_count;
    bool keep_space; /* of BLOCK_WRITE_ZEROES: a wish that later writes there don't fail for want of space */
    bool collects;   /* the submitter calls block_collect() before it lets go of the machine lock */
    /* error is 0 or an errno value. A write is durable only after a later flush. */
    void (*done)(struct block_request *request, int error);
    void *opaque;      /* the submitter's */
    void *backend;     /* the backend's, */
    int backend_error; /* both */
};

#define BLOCK_PIECES 1024

struct block {
    const struct block_ops *ops;
    const char *name;   /* for messages: the file's name */
    const char *format; /* the image's, "raw"; NULL: nobody knows */
    uint64_t size;    /* bytes, a multiple of 512 */
    bool read_only;
    bool can_discard; /* discarding gives space back to the host */
    uint32_t sector;  /* the medium's natural block, 512 or 4096, for controllers that report it; 0: 512 */
};

struct block_ops {
    void (*submit)(struct block *block, struct block_request *request);
    void (*collect)(struct block *block); /* may be NULL */
    /*
     * Waits for what is under way, calls done() for it, flushes, frees. What done() submits meanwhile fails
     * with ECANCELED; nothing is submitted afterwards. So close disks before their controllers go.
     */
    void (*close)(struct block *block);
};

/* Out-of-range requests and writes to read-only media are the controller's to refuse before it gets here. */
static inline void block_submit(struct block *block, struct block_request *request)
{
    block->ops->submit(block, request);
}

/*
 * Calls done() for what is finished already, as reads from the host's cache are: for controllers that have
 * submitted requests that say `collects`. It saves a way through another thread.
 */
static inline void block_collect(struct block *block)
{
    if (block->ops->collect)
        block->ops->collect(block);
}

static inline void block_close(struct block *block)
{
    if (block)
        block->ops->close(block);
}

/*
 * A drive whose medium can change (CD-ROM, floppy): the controller registers here what to do when it does.
 * NULL is no medium.
 */
struct block_slot {
    struct block *medium;
    void (*changed)(void *opaque); /* called after `medium` was replaced; machine lock held */
    bool (*locked)(void *opaque);  /* the guest prevents removal; may be NULL */
    /* Of a drive with a tray, otherwise NULL: whether it is open; opens or closes it, as its button does. Changing the
     * medium closes it. Machine lock held. */
    bool (*tray_open)(void *opaque);
    void (*move_tray)(void *opaque, bool open);
    void *opaque;
};

#endif
