/*
 * image_nbd.c - images on a server of the network block device protocol, through libnbd:
 * nbd://HOST[:PORT]/NAME and nbd+unix:///NAME?socket=PATH.
 *
 * libnbd's calls wait for their answer and lock the connection meanwhile. So there are several connections
 * where the server says that a flush over one is a flush of all (multi-conn), and one otherwise.
 *
 * When a connection breaks, what was under way over it is asked again over a new one: reading or writing the
 * same twice is as good as once. While no server answers, requests wait, for PATIENCE from when it went;
 * after that they fail, as do later ones at once, until it is back.
 */
#include "host/image.h"

#include <stdlib.h>
#include <string.h>

#include "config.h"

static bool nbd_is_url(const char *path)
{
    return !strncmp(path, "nbd://", 6) || !strncmp(path, "nbd+unix://", 11);
}

#ifdef HAVE_NBD
#include <errno.h>
#include <inttypes.h>
#include <libnbd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#include "core/clock.h"
#include "core/log.h"
#include "host/image_file.h"
#include "host/time.h"

#define CONNECTIONS   4u
#define PATIENCE      (30 * (uint64_t)NS_PER_SEC)
#define CONNECT_MS    10000
#define RETRY_NS      200000000L
#define PART_MAX      (16u << 20) /* bytes in a command: servers take 32 MiB at least */
#define ZERO_PART_MAX (1u << 30)  /* of those without data */

struct nbd_image {
    struct image image;
    char *url;
    struct log *log;
    bool can_flush, can_trim, can_zero, can_status;

    pthread_mutex_t lock; /* for all below */
    pthread_cond_t freed;
    struct nbd_handle *idle[CONNECTIONS];
    unsigned idles, used, most;
    bool down;
    uint64_t down_since; /* host ns */
};

/* One command over a connection; less than 0: it failed. */
struct command {
    enum { COMMAND_READ, COMMAND_WRITE, COMMAND_ZERO, COMMAND_TRIM, COMMAND_FLUSH, COMMAND_STATUS } kind;
    void *data; /* of COMMAND_STATUS: a struct extent */
    uint64_t offset, size;
};

/* From an offset on: how much is alike, and whether that is data or zeroes. */
struct extent {
    uint64_t length;
    bool data;
};

/* The server tells lengths and flags in turn, of one stretch after the other. */
static int take_extents(void *opaque, const char *context, uint64_t offset, uint32_t *entries, size_t count,
                        int *error)
{
    struct extent *extent = opaque;

    (void)context;
    (void)offset;
    (void)error;
    for (size_t n = 0; n + 1 < count; n += 2) {
        bool data = !(entries[n + 1] & LIBNBD_STATE_ZERO);

        if (extent->length && data != extent->data)
            break;
        extent->data = data;
        extent->length += entries[n];
    }
    return 0;
}

static int perform(struct nbd_handle *handle, const struct command *command)
{
    switch (command->kind) {
    case COMMAND_READ:
        return nbd_pread(handle, command->data, command->size, command->offset, 0);
    case COMMAND_WRITE:
        return nbd_pwrite(handle, command->data, command->size, command->offset, 0);
    case COMMAND_ZERO:
        return nbd_zero(handle, command->size, command->offset, 0);
    case COMMAND_TRIM:
        return nbd_trim(handle, command->size, command->offset, 0);
    case COMMAND_FLUSH:
        return nbd_flush(handle, 0);
    case COMMAND_STATUS:
        *(struct extent *)command->data = (struct extent){0};
        return nbd_block_status(handle, command->size, command->offset,
                                (nbd_extent_callback){.callback = take_extents, .user_data = command->data},
                                0);
    }
    return -1;
}

/* --- Connections. */

/* A host that vanished without a word is noticed. Fails harmlessly for what isn't TCP. */
static void watch_peer(struct nbd_handle *handle)
{
    unsigned timeout = CONNECT_MS;
    int on = 1, fd = nbd_aio_get_fd(handle);

    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
}

/* NULL with a line's end in `why`. */
static struct nbd_handle *connect_server(const char *url, char *why, size_t why_size)
{
    struct nbd_handle *handle = nbd_create();
    uint64_t end = host_monotonic() + CONNECT_MS * (uint64_t)(NS_PER_SEC / 1000);
    bool failed = !handle || nbd_add_meta_context(handle, LIBNBD_CONTEXT_BASE_ALLOCATION) < 0 ||
                  nbd_aio_connect_uri(handle, url) < 0;

    while (!failed && nbd_aio_is_connecting(handle)) {
        failed = nbd_poll(handle, 100) < 0;
        if (!failed && host_monotonic() > end) {
            snprintf(why, why_size, "the server doesn't answer");
            nbd_close(handle);
            return NULL;
        }
    }
    if (!failed && nbd_aio_is_ready(handle)) {
        watch_peer(handle);
        return handle;
    }
    /* libnbd's texts begin with the function's name. */
    const char *text = nbd_get_error(), *behind = text ? strstr(text, ": ") : NULL;
    snprintf(why, why_size, "%s", behind ? behind + 2 : text ? text : "the server ended the connection");
    if (handle)
        nbd_close(handle);
    return NULL;
}

/* As it was when the guest began? */
static bool is_same(const struct nbd_image *nbd, struct nbd_handle *handle)
{
    return nbd_get_size(handle) == (int64_t)nbd->image.size &&
           (nbd->image.read_only || !nbd_is_read_only(handle));
}

/* An idle connection, or NULL: the caller makes one. Waits while all are used. */
static struct nbd_handle *take(struct nbd_image *nbd)
{
    struct nbd_handle *handle = NULL;

    pthread_mutex_lock(&nbd->lock);
    while (nbd->used == nbd->most)
        pthread_cond_wait(&nbd->freed, &nbd->lock);
    nbd->used++;
    if (nbd->idles)
        handle = nbd->idle[--nbd->idles];
    pthread_mutex_unlock(&nbd->lock);
    return handle;
}

static void give(struct nbd_image *nbd, struct nbd_handle *handle)
{
    pthread_mutex_lock(&nbd->lock);
    nbd->used--;
    if (handle)
        nbd->idle[nbd->idles++] = handle;
    pthread_cond_signal(&nbd->freed);
    pthread_mutex_unlock(&nbd->lock);
}

/* The server can't be reached: true while requests are to wait for it. */
static bool note_down(struct nbd_image *nbd, const char *why)
{
    uint64_t now = host_monotonic();

    pthread_mutex_lock(&nbd->lock);
    bool first = !nbd->down;
    if (first)
        nbd->down_since = now;
    nbd->down = true;
    bool wait = now - nbd->down_since < PATIENCE;
    pthread_mutex_unlock(&nbd->lock);
    if (first && nbd->log)
        log_at(nbd->log, LOG_WARN, "disk", "%s: the server is gone (%s); the guest's requests wait for it",
               nbd->url, why);
    return wait;
}

static void note_up(struct nbd_image *nbd)
{
    pthread_mutex_lock(&nbd->lock);
    bool back = nbd->down;
    nbd->down = false;
    pthread_mutex_unlock(&nbd->lock);
    if (back && nbd->log)
        log_at(nbd->log, LOG_WARN, "disk", "%s: the server is back", nbd->url);
}

/* Makes a new connection as long as there is patience. NULL: there is none left. */
static struct nbd_handle *reconnect(struct nbd_image *nbd)
{
    for (;;) {
        char why[200];
        struct nbd_handle *handle = connect_server(nbd->url, why, sizeof(why));

        if (handle && is_same(nbd, handle)) {
            note_up(nbd);
            return handle;
        }
        if (handle) {
            nbd_close(handle);
            snprintf(why, sizeof(why), "it offers another image under that name");
        }
        if (!note_down(nbd, why))
            return NULL;
        nanosleep(&(struct timespec){0, RETRY_NS}, NULL);
    }
}

static bool broken(struct nbd_handle *handle)
{
    return nbd_aio_is_dead(handle) || nbd_aio_is_closed(handle);
}

static int run(struct nbd_image *nbd, const struct command *command)
{
    struct nbd_handle *handle = take(nbd);
    int error = EIO;

    while (handle || (handle = reconnect(nbd))) {
        error = 0;
        if (perform(handle, command) >= 0)
            break;
        error = nbd_get_errno() ? nbd_get_errno() : EIO;
        if (!broken(handle)) /* the server's answer */
            break;
        nbd_close(handle);
        handle = NULL;
        error = EIO;
    }
    give(nbd, handle);
    return error;
}

/* --- An image's functions. */

/* In parts, through a buffer where the memory is in pieces. */
static int transfer(struct nbd_image *nbd, bool writing, uint64_t offset, const struct iovec *iov,
                    unsigned count, size_t size)
{
    bool whole = count == 1;
    uint8_t *buffer = whole ? NULL : malloc(size < PART_MAX ? size : PART_MAX);
    int error = whole || buffer ? 0 : ENOMEM;

    for (size_t done = 0, part; done < size && !error; done += part) {
        part = size - done < PART_MAX ? size - done : PART_MAX;
        struct command command = {writing ? COMMAND_WRITE : COMMAND_READ, buffer, offset + done, part};

        if (whole)
            command.data = (uint8_t *)iov->iov_base + done;
        else if (writing)
            image_iov_gather(buffer, iov, count, done, part);
        error = run(nbd, &command);
        if (!error && !writing && !whole)
            image_iov_scatter(buffer, iov, count, done, part);
    }
    free(buffer);
    return error;
}

static int nbd_read(struct image *image, uint64_t offset, const struct iovec *iov, unsigned count,
                    size_t size)
{
    return transfer((struct nbd_image *)image, false, offset, iov, count, size);
}

static int nbd_write(struct image *image, uint64_t offset, const struct iovec *iov, unsigned count,
                     size_t size)
{
    return transfer((struct nbd_image *)image, true, offset, iov, count, size);
}

static int without_data(struct nbd_image *nbd, struct command command, uint64_t size)
{
    int error = 0;

    for (; size && !error; command.offset += command.size, size -= command.size) {
        command.size = size < ZERO_PART_MAX ? size : ZERO_PART_MAX;
        error = run(nbd, &command);
    }
    return error;
}

static int nbd_zeroes(struct image *image, uint64_t offset, uint64_t size)
{
    return without_data((struct nbd_image *)image, (struct command){.kind = COMMAND_ZERO, .offset = offset},
                        size);
}

static int nbd_discard(struct image *image, uint64_t offset, uint64_t size)
{
    struct nbd_image *nbd = (struct nbd_image *)image;

    return nbd->can_trim ? without_data(nbd, (struct command){.kind = COMMAND_TRIM, .offset = offset}, size)
                         : 0;
}

static int nbd_flush_all(struct image *image)
{
    struct nbd_image *nbd = (struct nbd_image *)image;

    return nbd->can_flush ? run(nbd, &(struct command){.kind = COMMAND_FLUSH}) : 0;
}

static int nbd_extent(struct image *image, uint64_t offset, bool own, uint64_t *length, bool *data)
{
    struct nbd_image *nbd = (struct nbd_image *)image;
    uint64_t rest = image->size - offset;
    struct extent extent;

    (void)own;
    *length = rest;
    *data = true;
    if (!nbd->can_status)
        return 0;
    int error = run(
        nbd, &(struct command){COMMAND_STATUS, &extent, offset, rest < ZERO_PART_MAX ? rest : ZERO_PART_MAX});
    if (error)
        return error;
    /* In whole sectors: what is only partly zeroes is data. */
    *data = extent.data || extent.length < IMAGE_SECTOR;
    if (extent.length < rest)
        *length = extent.length < IMAGE_SECTOR ? IMAGE_SECTOR : extent.length / IMAGE_SECTOR * IMAGE_SECTOR;
    return 0;
}

static void nbd_free(struct nbd_image *nbd)
{
    for (unsigned n = 0; n < nbd->idles; n++) {
        nbd_shutdown(nbd->idle[n], 0);
        nbd_close(nbd->idle[n]);
    }
    pthread_cond_destroy(&nbd->freed);
    pthread_mutex_destroy(&nbd->lock);
    free(nbd->url);
    free(nbd);
}

static void nbd_close_image(struct image *image)
{
    nbd_free((struct nbd_image *)image);
}

#define NBD_OPS                                                                                              \
    .name = "nbd", .read = nbd_read, .write = nbd_write, .discard = nbd_discard, .flush = nbd_flush_all,     \
    .extent = nbd_extent, .close = nbd_close_image

/* With a server that can't write zeroes by itself they are sent. */
static const struct image_ops nbd_ops = {NBD_OPS, .zero = nbd_zeroes};
static const struct image_ops nbd_ops_plain = {NBD_OPS};

/* What the server offers; false: it can't be used. */
static bool look(struct nbd_image *nbd, struct nbd_handle *handle, const struct image_options *options,
                 char *why, size_t why_size)
{
    bool writing = !options->read_only && !options->snapshot;
    int64_t size = nbd_get_size(handle), block = nbd_get_block_size(handle, LIBNBD_SIZE_MINIMUM);

    if (size <= 0 || size % IMAGE_SECTOR)
        return image_refuse(options->path, why, why_size,
                            "its size of %" PRId64 " bytes is not a multiple of 512, or there is nothing",
                            size);
    if (block > (int64_t)IMAGE_SECTOR)
        return image_refuse(options->path, why, why_size,
                            "the server only takes blocks of %" PRId64 " bytes, and disks have smaller ones",
                            block);
    if (writing && nbd_is_read_only(handle) > 0)
        return image_refuse(options->path, why, why_size,
                            "the server lets nobody write; add ,readonly or ,snapshot");
    nbd->can_flush = nbd_can_flush(handle) > 0;
    nbd->can_trim = nbd_can_trim(handle) > 0;
    nbd->can_zero = nbd_can_zero(handle) > 0;
    nbd->can_status = nbd_can_meta_context(handle, LIBNBD_CONTEXT_BASE_ALLOCATION) > 0;
    nbd->most = nbd_can_multi_conn(handle) > 0 ? CONNECTIONS : 1;
    nbd->image = (struct image){
        .ops = nbd->can_zero ? &nbd_ops : &nbd_ops_plain,
        .size = (uint64_t)size,
        .read_only = !writing,
        .can_discard = nbd->can_trim && writing,
    };
    return true;
}

static struct image *nbd_open(const struct image_options *options, const struct image_file *file, char *why,
                              size_t why_size)
{
    struct nbd_image *nbd = calloc(1, sizeof(*nbd));
    char *url = strdup(options->path), reason[200];
    struct nbd_handle *handle;

    (void)file;
    if (!nbd || !url) {
        image_refuse(options->path, why, why_size, "out of memory");
        free(nbd);
        free(url);
        return NULL;
    }
    nbd->url = url;
    nbd->log = options->log;
    pthread_mutex_init(&nbd->lock, NULL);
    pthread_cond_init(&nbd->freed, NULL);
    handle = connect_server(url, reason, sizeof(reason));
    if (handle)
        nbd->idle[nbd->idles++] = handle;
    else
        image_refuse(options->path, why, why_size, "%s", reason);
    if (!handle || !look(nbd, handle, options, why, why_size)) {
        nbd_free(nbd);
        return NULL;
    }
    return &nbd->image;
}
#else
static struct image *nbd_open(const struct image_options *options, const struct image_file *file, char *why,
                              size_t why_size)
{
    (void)file;
    image_refuse(options->path, why, why_size,
                 "this Oxbow was built without libnbd; install libnbd-dev and build it again");
    return NULL;
}
#endif

const struct image_format image_nbd_format = {.name = "nbd",
                                              .article_name = "an NBD server's image",
                                              .writable = true,
                                              .is_url = nbd_is_url,
                                              .open = nbd_open};
