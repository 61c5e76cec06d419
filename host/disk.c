/*
 * disk.c - the queue of a disk's requests, and the threads that work on them.
 *
 * A request is in one of four places: `pending`, in order of submission; in a batch of `running`, with a
 * worker; `finished`, until complete() calls done(); or `kept`, having failed while the machine stops for
 * it. A worker takes the first pending request that doesn't conflict with an earlier one, and with it those
 * that go on where it ends, as one transfer. The lists are linked through block_request.backend.
 *
 * Most requests never reach the host's disk but its cache, and take less time than to wake a thread. So small
 * reads from the cache are done at once; while the others are `quick` a single worker does them and tells of
 * several together; and only when they aren't, more workers help.
 */
#include "host/disk.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/log.h"
#include "host/image.h"
#include "host/loop.h"
#include "host/thread.h"
#include "host/time.h"

#define WORKERS      16
#define QUICK_NS     50000             /* less than that, on average, isn't worth another thread */
#define TOGETHER     16                /* so many quick ones are told of together, at most */
#define NOW_MAX      (64u << 10)       /* bytes that are read within submit */
#define SETTLE_SECS  2                 /* that a reset waits */
#define BATCH_MAX    (1u << 20)        /* bytes of requests that are done as one */
#define BURST_NS     (NS_PER_SEC / 10) /* what a limited disk may do at once after a rest */
#define COMPLAINT_NS (5 * NS_PER_SEC)  /* between two lines in the log */

struct request_list {
    struct block_request *first, *last;
};

/* Requests that are done as one: reads or writes one behind the other, or a single one of any kind. */
struct batch {
    struct request_list list;
    enum block_op op;
    uint64_t offset, size;
    unsigned pieces;
};

struct host_disk {
    struct block block;
    struct image *image;
    struct host_disk_options options;
    char *path, *format, *backing; /* what options' strings are */
    struct loop *loop;
    struct log *log;
    struct loop_task completion;

    pthread_mutex_t lock; /* for all below */
    pthread_cond_t work, progress; /* progress: for waits with a bound */
    struct request_list pending, finished, kept;
    struct batch *running[WORKERS]; /* NULL: that worker has none */
    unsigned threads;
    unsigned idle, wakes; /* workers that wait for work; and those of them that were told of some */
    uint64_t pace;        /* ns that a batch takes, on average */
    uint64_t free_at; /* host ns: when a limited disk may take the next request */
    bool closing;
    bool complained;
    uint64_t complaint_time; /* host ns */
    unsigned unsaid;         /* failures since then */
    pthread_t thread[WORKERS];
};

struct worker {
    struct host_disk *disk;
    unsigned number;
    unsigned untold; /* requests that it has finished, and complete() wasn't told */
    bool failed;     /* one of them */
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

static bool changes(enum block_op op)
{
    return op != BLOCK_READ && op != BLOCK_FLUSH;
}

/* Must `later` wait for something of this kind there? */
static bool conflict(enum block_op op, uint64_t offset, uint64_t size, const struct block_request *later)
{
    if (later->op == BLOCK_FLUSH)
        return changes(op);
    if (op == BLOCK_FLUSH || (op == BLOCK_READ && later->op == BLOCK_READ))
        return false;
    return offset < later->offset + later->size && later->offset < offset + size;
}

static bool must_wait(const struct host_disk *disk, const struct block_request *request)
{
    for (unsigned i = 0; i < disk->threads; i++) {
        const struct batch *batch = disk->running[i];
        if (batch && conflict(batch->op, batch->offset, batch->size, request))
            return true;
    }
    for (const struct block_request *r = disk->kept.first; r; r = after(r))
        if (conflict(r->op, r->offset, r->size, request))
            return true;
    for (const struct block_request *r = disk->pending.first; r && r != request; r = after(r))
        if (conflict(r->op, r->offset, r->size, request))
            return true;
    return false;
}

static unsigned pieces_of(const struct block_request *request)
{
    return request->iov ? request->iov_count : 1;
}

/* Does `request` go on where the batch ends? */
static bool fits(const struct batch *batch, const struct block_request *request)
{
    return request->op == batch->op && request->offset == batch->offset + batch->size &&
           batch->size + request->size <= BATCH_MAX && batch->pieces + pieces_of(request) <= BLOCK_PIECES;
}

static void add(struct batch *batch, struct block_request *request)
{
    if (!batch->list.first)
        *batch = (struct batch){.op = request->op, .offset = request->offset};
    append(&batch->list, request);
    batch->size += request->size;
    batch->pieces += pieces_of(request);
}

/* Those behind `before` in the queue that go on where the batch ends. */
static void gather(struct host_disk *disk, struct batch *batch, struct block_request *before)
{
    struct block_request *next = before ? after(before) : disk->pending.first;

    if ((batch->op != BLOCK_READ && batch->op != BLOCK_WRITE) || disk->options.iops || disk->options.bps)
        return;
    while (next && fits(batch, next) && !must_wait(disk, next)) {
        struct block_request *request = next;

        next = after(request);
        take_out(&disk->pending, request, before);
        add(batch, request);
    }
}

/* The next requests to work on, no longer pending; false when there are none now. */
static bool pick(struct host_disk *disk, struct batch *batch)
{
    struct block_request *before = NULL;

    for (struct block_request *r = disk->pending.first; r; before = r, r = after(r)) {
        if (must_wait(disk, r))
            continue;
        take_out(&disk->pending, r, before);
        batch->list.first = NULL;
        add(batch, r);
        gather(disk, batch, before);
        return true;
    }
    return false;
}

/*
 * The limits, as a bucket that runs out with time: each request moves free_at on by what it costs. How long a
 * worker has to wait before it may take one, in ns.
 */
static uint64_t must_rest(struct host_disk *disk)
{
    uint64_t now;

    if ((!disk->options.iops && !disk->options.bps) || disk->closing)
        return 0;
    now = host_monotonic();
    return disk->free_at > now ? disk->free_at - now : 0;
}

static void account(struct host_disk *disk, const struct batch *batch)
{
    uint64_t now, cost = 0;

    if ((!disk->options.iops && !disk->options.bps) || batch->op == BLOCK_FLUSH)
        return;
    now = host_monotonic();
    if (disk->options.iops)
        cost = NS_PER_SEC / disk->options.iops;
    if (disk->options.bps) {
        uint64_t bytes = (uint64_t)((double)batch->size * (double)NS_PER_SEC / (double)disk->options.bps);
        cost = bytes > cost ? bytes : cost;
    }
    if (disk->free_at + BURST_NS < now)
        disk->free_at = now - BURST_NS;
    disk->free_at += cost;
}

static int perform(struct host_disk *disk, const struct block_request *request)
{
    struct iovec one = {request->data, request->size};
    const struct iovec *iov = request->iov ? request->iov : &one;

    switch (request->op) {
    case BLOCK_READ:
        return image_read(disk->image, request->offset, iov, pieces_of(request), request->size);
    case BLOCK_WRITE:
        return image_write(disk->image, request->offset, iov, pieces_of(request), request->size);
    case BLOCK_WRITE_ZEROES:
        return image_zero(disk->image, request->offset, request->size);
    case BLOCK_DISCARD:
        return disk->options.keep_discarded ? 0 : image_discard(disk->image, request->offset, request->size);
    case BLOCK_FLUSH:
        return image_flush(disk->image);
    }
    return EINVAL;
}

/* All pieces of a batch's requests as one transfer. */
static int perform_together(struct host_disk *disk, const struct batch *batch)
{
    struct iovec pieces[BLOCK_PIECES];
    unsigned count = 0;

    for (const struct block_request *r = batch->list.first; r; r = after(r)) {
        if (!r->iov)
            pieces[count++] = (struct iovec){r->data, r->size};
        for (unsigned i = 0; r->iov && i < r->iov_count; i++)
            pieces[count++] = r->iov[i];
    }
    return batch->op == BLOCK_READ
               ? image_read(disk->image, batch->offset, pieces, count, (size_t)batch->size)
               : image_write(disk->image, batch->offset, pieces, count, (size_t)batch->size);
}

static bool stops(const struct host_disk *disk, int error)
{
    bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;

    return disk->options.failed &&
           (disk->options.policy == DISK_STOP || (disk->options.policy == DISK_STOP_NOSPACE && full));
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
    log_at(disk->log, LOG_WARN, "disk", "%s: %s %zu bytes at %" PRIu64 " failed: %s; %s%s", disk->path,
           verbs[request->op], request->size, request->offset, strerror(error),
           stops(disk, error) ? "the machine stops (cont tries again)" : "the guest sees a disk error", more);
}

/* Done as one, or each alone: so that each gets its own error when one is there. */
static void perform_batch(struct host_disk *disk, const struct batch *batch)
{
    bool together = batch->list.first != batch->list.last && !perform_together(disk, batch);

    for (struct block_request *r = batch->list.first; r; r = after(r)) {
        r->backend_error = together ? 0 : perform(disk, r);
        if (r->backend_error)
            complain(disk, r, r->backend_error);
    }
}

/* Wakes a worker that waits, if there is one. */
static bool wake(struct host_disk *disk)
{
    if (!disk->idle)
        return false;
    disk->idle--;
    disk->wakes++;
    pthread_cond_signal(&disk->work);
    return true;
}

/* Waits until there is work, or the disk is closed. */
static void wait_for_work(struct host_disk *disk)
{
    disk->idle++;
    while (!disk->wakes && !disk->closing)
        pthread_cond_wait(&disk->work, &disk->lock);
    if (disk->wakes)
        disk->wakes--;
    else
        disk->idle--;
}

static void wait_for_limits(struct host_disk *disk, uint64_t rest)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    uint64_t ns = (uint64_t)until.tv_nsec + rest;
    until.tv_sec += (time_t)(ns / NS_PER_SEC);
    until.tv_nsec = (long)(ns % NS_PER_SEC);
    pthread_cond_timedwait(&disk->progress, &disk->lock, &until);
}

/* Will the workers under way soon be there for the next? */
static bool quick(const struct host_disk *disk)
{
    for (unsigned i = 0; i < disk->threads; i++)
        if (disk->running[i] && disk->running[i]->op == BLOCK_FLUSH)
            return false;
    return disk->pace < QUICK_NS;
}

/* Makes complete() run. A failure may stop the machine, which is the loop's thread's to do. */
static void tell(struct worker *worker)
{
    struct host_disk *disk = worker->disk;

    pthread_mutex_unlock(&disk->lock);
    (worker->failed ? loop_post : loop_hand)(disk->loop, &disk->completion);
    pthread_mutex_lock(&disk->lock);
    worker->untold = 0;
    worker->failed = false;
}

/* The next batch, waited for; false when the disk is closed and nothing is left to do. */
static bool next_batch(struct worker *worker, struct batch *batch)
{
    struct host_disk *disk = worker->disk;

    for (;;) {
        uint64_t rest = disk->pending.first ? must_rest(disk) : 0;

        if (!rest && worker->untold < (quick(disk) ? TOGETHER : 1) && pick(disk, batch))
            return true;
        if (worker->untold)
            tell(worker);
        else if (disk->closing)
            return false; /* what is pending waits for what another worker has under way, which goes on with it */
        else if (rest)
            wait_for_limits(disk, rest);
        else
            wait_for_work(disk);
    }
}

static void *work(void *opaque)
{
    struct worker worker = *(struct worker *)opaque;
    struct host_disk *disk = worker.disk;
    struct block_request *next;
    struct batch batch;

    free(opaque);
    pthread_mutex_lock(&disk->lock);
    while (next_batch(&worker, &batch)) {
        account(disk, &batch);
        disk->running[worker.number] = &batch;
        if (disk->pending.first && !quick(disk))
            wake(disk);
        pthread_mutex_unlock(&disk->lock);

        uint64_t start = host_monotonic();
        perform_batch(disk, &batch);
        uint64_t time = host_monotonic() - start;

        pthread_mutex_lock(&disk->lock);
        disk->running[worker.number] = NULL;
        pthread_cond_broadcast(&disk->progress);
        if (batch.op != BLOCK_FLUSH)
            disk->pace = (disk->pace * 7 + time) / 8;
        for (struct block_request *r = batch.list.first; r; r = next) {
            next = after(r);
            worker.untold++;
            worker.failed |= r->backend_error != 0;
            append(r->backend_error && stops(disk, r->backend_error) && !disk->closing ? &disk->kept
                                                                                       : &disk->finished,
                   r);
        }
    }
    pthread_mutex_unlock(&disk->lock);
    return NULL;
}

/* With the machine lock held: tells the submitters. They may submit again from within done(). */
static void disk_collect(struct block *block)
{
    struct host_disk *disk = (struct host_disk *)block;
    struct block_request *request, *next;

    do {
        pthread_mutex_lock(&disk->lock);
        request = disk->finished.first;
        disk->finished = (struct request_list){0};
        pthread_mutex_unlock(&disk->lock);
        for (struct block_request *r = request; r; r = next) {
            next = after(r);
            r->done(r, r->backend_error);
        }
    } while (request);
}

static void complete(void *opaque)
{
    struct host_disk *disk = opaque;
    int error = 0;
    bool writing = false;

    pthread_mutex_lock(&disk->lock);
    if (disk->kept.first && !disk->closing) {
        error = disk->kept.first->backend_error;
        writing = disk->kept.first->op != BLOCK_READ;
    }
    pthread_mutex_unlock(&disk->lock);
    disk_collect(&disk->block);
    if (error)
        disk->options.failed(disk->options.opaque, &disk->block, writing, error);
}

static int start_worker(struct host_disk *disk)
{
    struct worker *worker = malloc(sizeof(*worker));
    int error;

    if (!worker)
        return ENOMEM;
    *worker = (struct worker){.disk = disk, .number = disk->threads};
    error = host_thread_start(&disk->thread[disk->threads], work, worker);
    if (error)
        free(worker);
    else
        disk->threads++;
    return error;
}

static bool in_range(const struct host_disk *disk, const struct block_request *request)
{
    return request->op == BLOCK_FLUSH ||
           (request->offset <= disk->block.size && request->size <= disk->block.size - request->offset);
}

/* A read of what the host has in its cache. */
static bool done_at_once(struct host_disk *disk, const struct block_request *request)
{
    struct iovec one = {request->data, request->size};

    return request->op == BLOCK_READ && request->size <= NOW_MAX && disk->image->ops->read_now &&
           !disk->options.iops && !disk->options.bps && !must_wait(disk, request) &&
           !disk->image->ops->read_now(disk->image, request->offset, request->iov ? request->iov : &one,
                                       pieces_of(request), request->size);
}

static void disk_submit(struct block *block, struct block_request *request)
{
    struct host_disk *disk = (struct host_disk *)block;

    pthread_mutex_lock(&disk->lock);
    request->backend_error = disk->closing ? ECANCELED : in_range(disk, request) ? 0 : EINVAL;
    if (request->backend_error || done_at_once(disk, request)) {
        append(&disk->finished, request);
        if (!request->collects)
            loop_post(disk->loop, &disk->completion);
    } else {
        bool more = disk->pending.first != NULL;

        append(&disk->pending, request);
        /* Without one more thread it takes longer. */
        if ((disk->idle == disk->threads || !quick(disk)) && !wake(disk) && more && disk->threads < WORKERS)
            start_worker(disk);
    }
    pthread_mutex_unlock(&disk->lock);
}

/* What was kept is before all that came later. */
static void take_back(struct host_disk *disk)
{
    if (!disk->kept.first)
        return;
    disk->kept.last->backend = disk->pending.first;
    if (!disk->pending.last)
        disk->pending.last = disk->kept.last;
    disk->pending.first = disk->kept.first;
    disk->kept = (struct request_list){0};
    disk->complained = false;
}

void host_disk_retry(struct block *block)
{
    struct host_disk *disk = (struct host_disk *)block;

    pthread_mutex_lock(&disk->lock);
    take_back(disk);
    wake(disk);
    pthread_mutex_unlock(&disk->lock);
}

static bool is_busy(const struct host_disk *disk)
{
    for (unsigned i = 0; i < disk->threads; i++)
        if (disk->running[i])
            return true;
    return disk->pending.first;
}

static void give_up(struct host_disk *disk, struct request_list *list)
{
    while (list->first) {
        struct block_request *request = list->first;

        take_out(list, request, NULL);
        request->backend_error = ECANCELED;
        append(&disk->finished, request);
    }
}

void host_disk_settle(struct block *block)
{
    struct host_disk *disk = (struct host_disk *)block;
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += SETTLE_SECS;
    pthread_mutex_lock(&disk->lock);
    while (is_busy(disk) && !pthread_cond_timedwait(&disk->progress, &disk->lock, &until))
        ;
    give_up(disk, &disk->pending);
    give_up(disk, &disk->kept);
    pthread_mutex_unlock(&disk->lock);
    loop_post(disk->loop, &disk->completion);
}

static void free_disk(struct host_disk *disk)
{
    pthread_cond_destroy(&disk->work);
    pthread_cond_destroy(&disk->progress);
    pthread_mutex_destroy(&disk->lock);
    free(disk->path);
    free(disk->format);
    free(disk->backing);
    free(disk);
}

static void disk_close(struct block *block)
{
    struct host_disk *disk = (struct host_disk *)block;
    int error;

    pthread_mutex_lock(&disk->lock);
    disk->closing = true;
    take_back(disk); /* one more try; then it fails */
    pthread_cond_broadcast(&disk->work);
    pthread_cond_broadcast(&disk->progress);
    pthread_mutex_unlock(&disk->lock);
    for (unsigned i = 0; i < disk->threads; i++)
        pthread_join(disk->thread[i], NULL);
    while (disk->finished.first)
        complete(disk);
    loop_cancel(disk->loop, &disk->completion);

    error = image_flush(disk->image);
    if (error)
        log_at(disk->log, LOG_WARN, "disk", "%s: the last writes may be lost: %s", disk->path,
               strerror(error));
    image_close(disk->image);
    free_disk(disk);
}

static const struct block_ops disk_ops = {disk_submit, disk_collect, disk_close};

static bool copy(const char *text, char **to)
{
    *to = text ? strdup(text) : NULL;
    return *to || !text;
}

static struct host_disk *new_disk(const struct host_disk_options *options, struct loop *loop, struct log *log)
{
    struct host_disk *disk = calloc(1, sizeof(*disk));
    pthread_condattr_t attr;

    if (!disk)
        return NULL;
    disk->options = *options;
    disk->loop = loop;
    disk->log = log;
    disk->completion.fn = complete;
    disk->completion.opaque = disk;
    pthread_mutex_init(&disk->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&disk->work, &attr);
    pthread_cond_init(&disk->progress, &attr);
    pthread_condattr_destroy(&attr);
    if (copy(options->path, &disk->path) && copy(options->format, &disk->format) &&
        copy(options->backing, &disk->backing))
        return disk;
    free_disk(disk);
    return NULL;
}

struct block *host_disk_open(const struct host_disk_options *options, struct loop *loop, struct log *log,
                             char *why, size_t why_size)
{
    struct host_disk *disk = new_disk(options, loop, log);
    int error;

    /* An image or overlay that reaches the limit on file sizes is an error of the write. */
    signal(SIGXFSZ, SIG_IGN);
    if (!disk) {
        snprintf(why, why_size, "%s: out of memory", options->path);
        return NULL;
    }
    const struct image_options how = {.path = disk->path,
                                      .format = disk->format,
                                      .read_only = options->read_only,
                                      .snapshot = options->snapshot,
                                      .backing = disk->backing,
                                      .log = log};
    disk->image = image_open(&how, why, why_size);
    if (!disk->image) {
        free_disk(disk);
        return NULL;
    }
    disk->block = (struct block){.ops = &disk_ops,
                                 .name = disk->path,
                                 .format = disk->image->ops->name,
                                 .size = disk->image->size,
                                 .read_only = disk->image->read_only,
                                 .can_discard = disk->image->can_discard && !options->keep_discarded,
                                 .sector = disk->image->sector};
    error = start_worker(disk);
    if (error) {
        snprintf(why, why_size, "%s: no threads for its reads and writes: %s", options->path,
                 strerror(error));
        disk_close(&disk->block);
        return NULL;
    }
    return &disk->block;
}
