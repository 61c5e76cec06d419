/*
 * share.h - a host folder that the guest mounts: messages of the 9P2000.L protocol in, answers out.
 *
 * A transport (devices/virtio_9p.c) carries each message from the guest's memory to the server and its answer
 * back; it looks at neither. The server (host/share.c) works on threads of its own, on several messages at
 * once, and completes them in the event loop.
 *
 * Locking: all calls, both ways, with the machine lock held. done() is never called from within submit.
 */
#ifndef CORE_SHARE_H
#define CORE_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#define SHARE_TAG_MAX 31 /* bytes; Linux takes no more than it finds in a page, people remember less */

/* The submitter owns the request and all memory that it names, and leaves them alone until done(). */
struct share_request {
    const struct iovec *in, *out; /* the message; room for its answer. Pieces of any size and alignment */
    unsigned in_count, out_count;
    /* `size` bytes of answer are there; 0: there is no answer to what isn't a message */
    void (*done)(struct share_request *request, size_t size);
    void *opaque; /* the submitter's */

    /* The server's. */
    struct share_request *next;
    struct share_request *flushes; /* the Tflush messages that wait for this one, linked through `next` */
    uint8_t type;
    uint16_t tag, old_tag;
    size_t size;
};

struct share {
    const struct share_ops *ops;
    const char *tag; /* by which the guest mounts it */
    bool read_only;
};

struct share_ops {
    void (*submit)(struct share *share, struct share_request *request);
    /*
     * The client is gone, as at a reset: returns when nothing touches the requests under way and their memory
     * any more. done() is not called for them. What the client had open is closed.
     */
    void (*reset)(struct share *share);
    /* The same, and frees it. */
    void (*close)(struct share *share);
};

static inline void share_submit(struct share *share, struct share_request *request)
{
    share->ops->submit(share, request);
}

static inline void share_reset(struct share *share)
{
    share->ops->reset(share);
}

static inline void share_close(struct share *share)
{
    if (share)
        share->ops->close(share);
}

#endif
