/*
 * disk.c - the queue of a disk's requests, and the threads that work on them.
 *
 * A request is in one of three places: `pending`, in order of submission; `running`, with a worker;
 * `finished`, until the event loop calls done(). A worker takes the first pending request that doesn't
 * conflict with an earlier one. The lists are linked through block_request.backend.
 */
#include "host/disk.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "host/disk_image.h"
#include "host/loop.h"
#include "host/time.h"

#define WORKERS      2
#define COMPLAINT_NS (5 * NS_PER_SEC) /* between two lines in the log */

struct request_list {
    struct block_request *first, *last;
};

struct host_disk {
    struct block block;
    struct disk_image image;
    char *path;
    struct loop *loop;
    struct log *log;
    struct loop_task completion;

    pthread_mutex_t lock; /* for all below */
    pthread_cond_t work;
    struct request_list pending, finished;
    struct block_request *running[WORKERS];
    bool closing;
    bool complained;
    uint64_t complaint_time; /* host ns */
    unsigned unsaid;         /* failures since then */

    pthread_t thread[WORKERS];
    unsigned threads;
};

struct worker {
    struct host_disk *disk;
    unsigned number;
};

static struct block_request *after(const struct block_request *request)
{
    return request->backend;
}

static void append(struct request_list *list, struct block_request *request)
{
    request->backend = NULL;
    if (list->last)
        list->last->backend = request;
    else
        list->first = request;
    list->last = request;
}

static void take_out(struct request_list *list, struct block_request *request, struct block_request *before)
{
    if (before)
        before->backend = request->backend;
    else
        list->first = request->backend;
    if (list->last == request)
        list->last = before;
}

/* Must `later` wait for `earlier`? */
static bool conflict(const struct block_request *earlier, const struct block_request *later)
{
    if (later->op == BLOCK_FLUSH)
        return earlier->op != BLOCK_READ && earlier->op != BLOCK_FLUSH;
    if (earlier->op == BLOCK_FLUSH || (earlier->op == BLOCK_READ && later->op == BLOCK_READ))
        return false;
    return earlier->offset < later->offset + later->size && later->offset < earlier->offset + earlier->size;
}

static bool must_wait(const struct host_disk *disk, const struct block_request *request)
{
    for (unsigned i = 0; i < WORKERS; i++)
        if (disk->running[i] && conflict(disk->running[i], request))
            return true;
    for (const struct block_request *r = disk->pending.first; r != request; r = after(r))
        if (conflict(r, request))
            return true;
    return false;
}

/* The next request to work on, no longer pending; NULL when there is none now. */
static struct block_request *pick(struct host_disk *disk)
{
    struct block_request *before = NULL;

    for (struct block_request *r = disk->pending.first; r; before = r, r = after(r)) {
        if (must_wait(disk, r))
            continue;
        take_out(&disk->pending, r, before);
        return r;
    }
    return NULL;
}

/* The image's functions want whole sectors, which pieces need not be. */
static int transfer(struct host_disk *disk, const struct block_request *request)
{
    bool reading = request->op == BLOCK_READ;
    uint8_t *data = request->data, *at;
    int error = 0;

    if (request->iov || request->op == BLOCK_WRITE_ZEROES) {
        data = calloc(1, request->size ? request->size : 1);
        if (!data)
            return ENOMEM;
    }
    at = data;
    for (unsigned i = 0; request->iov && !reading && i < request->iov_count; at += request->iov[i++].iov_len)
        memcpy(at, request->iov[i].iov_base, request->iov[i].iov_len);
    error = reading ? disk_image_read(&disk->image, request->offset, data, request->size)
                    : disk_image_write(&disk->image, request->offset, data, request->size);
    at = data;
    for (unsigned i = 0; request->iov && reading && i < request->iov_count; at += request->iov[i++].iov_len)
        memcpy(request->iov[i].iov_base, at, request->iov[i].iov_len);
    if (data != request->data)
        free(data);
    return error;
}

static int perform(struct host_disk *disk, const struct block_request *request)
{
    switch (request->op) {
    case BLOCK_READ:
    case BLOCK_WRITE:
    case BLOCK_WRITE_ZEROES:
        return transfer(disk, request);
    case BLOCK_FLUSH:
        return disk_image_flush(&disk->image);
    case BLOCK_DISCARD:
        return 0;
    }
    return EINVAL;
}

/* A dying disk fails thousands of requests: say so now and then. */
static void complain(struct host_disk *disk, const struct block_request *request, int error)
{
    static const char *const verbs[] = {"reading", "writing", "flushing", "discarding", "zeroing"};
    uint64_t now = host_monotonic();
    char more[48] = "";

    pthread_mutex_lock(&disk->lock);
    bool quiet = disk->complained && now - disk->complaint_time < COMPLAINT_NS;
    unsigned unsaid = disk->unsaid;
    disk->unsaid = quiet ? unsaid + 1 : 0;
    if (!quiet) {
        disk->complained = true;
        disk->complaint_time = now;
    }
    pthread_mutex_unlock(&disk->lock);
    if (quiet)
        return;
    if (unsaid)
        snprintf(more, sizeof(more), " (%u more before this)", unsaid);
    log_at(disk->log, LOG_WARN, "disk",
           "%s: %s %zu bytes at %" PRIu64 " failed: %s; the guest sees a disk error%s", disk->path,
           verbs[request->op], request->size, request->offset, strerror(error), more);
}

static void *work(void *opaque)
{
    struct worker worker = *(struct worker *)opaque;
    struct host_disk *disk = worker.disk;
    struct block_request *request;

    free(opaque);
    pthread_mutex_lock(&disk->lock);
    for (;;) {
        while (!(request = pick(disk)) && !(disk->closing && !disk->pending.first))
            pthread_cond_wait(&disk->work, &disk->lock);
        if (!request)
            break;
        disk->running[worker.number] = request;
        pthread_mutex_unlock(&disk->lock);

        request->backend_error = perform(disk, request);
        if (request->backend_error)
            complain(disk, request, request->backend_error);

        pthread_mutex_lock(&disk->lock);
        disk->running[worker.number] = NULL;
        append(&disk->finished, request);
        pthread_cond_broadcast(&disk->work); /* others may have waited for this one */
        loop_post(disk->loop, &disk->completion);
    }
    pthread_mutex_unlock(&disk->lock);
    return NULL;
}

/* In the event loop: tells the submitters. They may submit again from within done(). */
static void complete(void *opaque)
{
    struct host_disk *disk = opaque;
    struct block_request *request, *next;

    pthread_mutex_lock(&disk->lock);
    request = disk->finished.first;
    disk->finished = (struct request_list){0};
    pthread_mutex_unlock(&disk->lock);
    for (; request; request = next) {
        next = after(request);
        request->done(request, request->backend_error);
    }
}

static bool in_range(const struct host_disk *disk, const struct block_request *request)
{
    return request->op == BLOCK_FLUSH ||
           (request->offset <= disk->block.size && request->size <= disk->block.size - request->offset);
}

static void disk_submit(struct block *block, struct block_request *request)
{
    struct host_disk *disk = (struct host_disk *)block;

    pthread_mutex_lock(&disk->lock);
    request->backend_error = disk->closing ? ECANCELED : in_range(disk, request) ? 0 : EINVAL;
    if (request->backend_error) {
        append(&disk->finished, request);
        loop_post(disk->loop, &disk->completion);
    } else {
        append(&disk->pending, request);
        pthread_cond_signal(&disk->work);
    }
    pthread_mutex_unlock(&disk->lock);
}

static void free_disk(struct host_disk *disk)
{
    pthread_cond_destroy(&disk->work);
    pthread_mutex_destroy(&disk->lock);
    free(disk->path);
    free(disk);
}

static void disk_close(struct block *block)
{
    struct host_disk *disk = (struct host_disk *)block;
    int error;

    pthread_mutex_lock(&disk->lock);
    disk->closing = true;
    pthread_cond_broadcast(&disk->work);
    pthread_mutex_unlock(&disk->lock);
    for (unsigned i = 0; i < disk->threads; i++)
        pthread_join(disk->thread[i], NULL);
    while (disk->finished.first)
        complete(disk);
    loop_cancel(disk->loop, &disk->completion);

    error = disk_image_flush(&disk->image);
    if (error)
        log_at(disk->log, LOG_WARN, "disk", "%s: the last writes may be lost: %s", disk->path,
               strerror(error));
    disk_image_close(&disk->image);
    free_disk(disk);
}

static const struct block_ops disk_ops = {disk_submit, disk_close};

/* Signals are for the threads that expect them. */
static int start_worker(struct host_disk *disk)
{
    struct worker *worker = malloc(sizeof(*worker));
    sigset_t all, old;
    int error;

    if (!worker)
        return ENOMEM;
    *worker = (struct worker){disk, disk->threads};
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    error = pthread_create(&disk->thread[disk->threads], NULL, work, worker);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (error)
        free(worker);
    else
        disk->threads++;
    return error;
}

static struct host_disk *new_disk(const struct host_disk_options *options, struct loop *loop, struct log *log)
{
    struct host_disk *disk = calloc(1, sizeof(*disk));
    char *path = strdup(options->path);

    if (!disk || !path) {
        free(disk);
        free(path);
        return NULL;
    }
    disk->path = path;
    disk->loop = loop;
    disk->log = log;
    disk->completion.fn = complete;
    disk->completion.opaque = disk;
    pthread_mutex_init(&disk->lock, NULL);
    pthread_cond_init(&disk->work, NULL);
    return disk;
}

struct block *host_disk_open(const struct host_disk_options *options, struct loop *loop, struct log *log,
                             char *why, size_t why_size)
{
    struct host_disk *disk = new_disk(options, loop, log);
    int error = 0;

    /* An image or overlay that reaches the limit on file sizes is an error of the write. */
    signal(SIGXFSZ, SIG_IGN);
    if (!disk) {
        snprintf(why, why_size, "%s: out of memory", options->path);
        return NULL;
    }
    if (!disk_image_open(&disk->image, options, log, why, why_size)) {
        free_disk(disk);
        return NULL;
    }
    disk->block = (struct block){.ops = &disk_ops,
                                 .name = disk->path,
                                 .size = disk->image.size,
                                 .read_only = disk->image.read_only};
    while (disk->threads < WORKERS && !error)
        error = start_worker(disk);
    if (error) {
        snprintf(why, why_size, "%s: no threads for its reads and writes: %s", options->path,
                 strerror(error));
        disk_close(&disk->block);
        return NULL;
    }
    return &disk->block;
}
