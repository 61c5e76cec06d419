/*
 * share.c - the queue of a shared folder's messages, and the threads that answer them.
 *
 * A message waits in `pending`, is `running` with a worker, and then `finished` until the event loop calls
 * done(). They are independent of each other (a client that wants an order waits for answers), but for two:
 * Tversion begins a new session, so it waits for all before it and all behind it wait; Tflush names another
 * message, and its answer follows that one's.
 */
#include "host/share.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "host/loop.h"
#include "host/thread.h"
#include "host/share_internal.h"

#define WORKERS 4

struct request_list {
    struct share_request *first, *last;
};

struct host_share {
    struct share share;
    struct share_server *server;
    char *tag;
    struct loop *loop;
    struct loop_task completion;

    pthread_mutex_t lock; /* for all below */
    pthread_cond_t work, idle;
    struct request_list pending, finished;
    struct share_request *running[WORKERS];
    unsigned busy; /* of them */
    bool closing;

    pthread_t thread[WORKERS];
    unsigned threads;
};

struct worker {
    struct host_share *share;
    unsigned number;
};

static void append(struct request_list *list, struct share_request *request)
{
    request->next = NULL;
    *(list->last ? &list->last->next : &list->first) = request;
    list->last = request;
}

/* The next message to answer, no longer pending; NULL when there is none now. */
static struct share_request *pick(struct host_share *s)
{
    struct share_request *request = s->pending.first;

    if (!request || (request->type == P9_TVERSION && s->busy))
        return NULL;
    for (unsigned n = 0; n < WORKERS; n++)
        if (s->running[n] && s->running[n]->type == P9_TVERSION)
            return NULL;
    s->pending.first = request->next;
    if (!request->next)
        s->pending.last = NULL;
    return request;
}

/* With it are those that waited for it. */
static void finish(struct host_share *s, struct share_request *request)
{
    append(&s->finished, request);
    for (struct share_request *flush = request->flushes, *next; flush; flush = next) {
        next = flush->next;
        append(&s->pending, flush);
    }
    request->flushes = NULL;
    loop_post(s->loop, &s->completion);
    pthread_cond_broadcast(&s->work);
}

static void *work(void *opaque)
{
    struct worker worker = *(struct worker *)opaque;
    struct host_share *s = worker.share;
    struct share_request *request;

    free(opaque);
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (!(request = pick(s)) && !s->closing)
            pthread_cond_wait(&s->work, &s->lock);
        if (!request)
            break;
        s->running[worker.number] = request;
        s->busy++;
        pthread_mutex_unlock(&s->lock);

        request->size =
            share_answer(s->server, request->in, request->in_count, request->out, request->out_count);

        pthread_mutex_lock(&s->lock);
        s->running[worker.number] = NULL;
        s->busy--;
        finish(s, request);
        if (!s->busy)
            pthread_cond_broadcast(&s->idle);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* In the event loop. What done() submits goes on to the workers. */
static void complete(void *opaque)
{
    struct host_share *s = opaque;
    struct share_request *request, *next;

    pthread_mutex_lock(&s->lock);
    request = s->finished.first;
    s->finished = (struct request_list){0};
    pthread_mutex_unlock(&s->lock);
    for (; request; request = next) {
        next = request->next;
        request->done(request, request->size);
    }
}

/* The message of this number that isn't answered yet. */
static struct share_request *find(struct host_share *s, uint16_t tag)
{
    for (unsigned n = 0; n < WORKERS; n++)
        if (s->running[n] && s->running[n]->tag == tag)
            return s->running[n];
    for (struct share_request *request = s->pending.first; request; request = request->next)
        if (request->tag == tag)
            return request;
    return NULL;
}

static void submit(struct share *share, struct share_request *request)
{
    struct host_share *s = (struct host_share *)share;
    struct share_request *flushed = NULL;

    request->flushes = NULL;
    if (!share_read_header(request->in, request->in_count, &request->type, &request->tag, &request->old_tag))
        request->type = 0;
    pthread_mutex_lock(&s->lock);
    if (request->type == P9_TFLUSH)
        flushed = find(s, request->old_tag);
    if (flushed) {
        request->next = flushed->flushes;
        flushed->flushes = request;
    } else {
        append(&s->pending, request);
        pthread_cond_signal(&s->work);
    }
    pthread_mutex_unlock(&s->lock);
}

static void reset(struct share *share)
{
    struct host_share *s = (struct host_share *)share;

    pthread_mutex_lock(&s->lock);
    s->pending = (struct request_list){0};
    while (s->busy) {
        pthread_cond_wait(&s->idle, &s->lock);
        s->pending = (struct request_list){0}; /* what waited for the last ones */
    }
    s->finished = (struct request_list){0};
    pthread_mutex_unlock(&s->lock);
    loop_cancel(s->loop, &s->completion);
    share_server_reset(s->server);
}

static void close_share(struct share *share)
{
    struct host_share *s = (struct host_share *)share;

    reset(share);
    pthread_mutex_lock(&s->lock);
    s->closing = true;
    pthread_cond_broadcast(&s->work);
    pthread_mutex_unlock(&s->lock);
    for (unsigned n = 0; n < s->threads; n++)
        pthread_join(s->thread[n], NULL);
    share_server_free(s->server);
    pthread_cond_destroy(&s->idle);
    pthread_cond_destroy(&s->work);
    pthread_mutex_destroy(&s->lock);
    free(s->tag);
    free(s);
}

static const struct share_ops share_ops = {submit, reset, close_share};

static int start_worker(struct host_share *s)
{
    struct worker *worker = malloc(sizeof(*worker));
    int error;

    if (!worker)
        return ENOMEM;
    *worker = (struct worker){s, s->threads};
    error = host_thread_start(&s->thread[s->threads], work, worker);
    if (error)
        free(worker);
    else
        s->threads++;
    return error;
}

struct share *host_share_open(const struct host_share_options *options, struct loop *loop, struct log *log,
                              char *why, size_t why_size)
{
    struct host_share *s = calloc(1, sizeof(*s));
    char *tag = strdup(options->tag);
    int error = 0;

    /* A file that reaches the limit on file sizes is an error of the write. */
    signal(SIGXFSZ, SIG_IGN);
    snprintf(why, why_size, "%s: out of memory", options->path);
    if (!s || !tag || !(s->server = share_server_new(options, log, why, why_size))) {
        free(tag);
        free(s);
        return NULL;
    }
    s->tag = tag;
    s->share = (struct share){&share_ops, tag, options->read_only};
    s->loop = loop;
    s->completion.fn = complete;
    s->completion.opaque = s;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->work, NULL);
    pthread_cond_init(&s->idle, NULL);
    while (s->threads < WORKERS && !error)
        error = start_worker(s);
    if (error) {
        snprintf(why, why_size, "%s: no threads to serve it: %s", options->path, strerror(error));
        close_share(&s->share);
        return NULL;
    }
    return &s->share;
}
