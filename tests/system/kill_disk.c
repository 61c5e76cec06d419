/*
 * kill_disk.c - a disk's process is killed at random moments: what it was told is durable must be there, and
 * the image must be whole.
 *
 *     kill_disk write IMAGE JOURNAL SEED     until it is killed
 *     kill_disk check IMAGE JOURNAL
 *
 * `write` keeps requests under way as a controller does: writes of a sector to a few, zeroes, discards, and
 * flushes. Each sector that is written says its number and a count that only grows. The journal, a file in
 * memory that outlives the kill, has counts for each sector: the highest that was submitted, the highest that
 * zeroed it, and the highest that a flush made durable. `check` reads all sectors: each has its own number
 * and a count from durable to submitted, or zeroes that are as new.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/log.h"
#include "host/disk.h"
#include "host/loop.h"

#define SECTORS 16384u /* of the disk, that are used */
#define LONGEST 300u   /* of one request */
#define DEPTH   24u

/* Of the journal. */
struct entry {
    uint32_t submitted, zeroed, durable;
};

struct ticket {
    struct block_request request;
    unsigned first, count;
    bool busy;
    uint8_t data[LONGEST * 512];
};

struct work {
    struct block *disk;
    struct entry *journal;
    uint32_t written[SECTORS];  /* completed, not known to be durable */
    uint32_t flushing[SECTORS]; /* what the flush under way makes durable */
    bool flush_busy;
    bool taken[SECTORS]; /* by a request under way */
    uint32_t count;
    uint64_t random;
    struct ticket tickets[DEPTH];
    struct block_request flush;
};

static unsigned number(struct work *w, unsigned below)
{
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    return (unsigned)(w->random % below);
}

static void fail(const char *what, int error)
{
    fprintf(stderr, "%s: %s\n", what, strerror(error));
    exit(2);
}

static void fill(uint8_t *sector, uint32_t place, uint32_t count)
{
    for (unsigned n = 0; n < 512; n += 8) {
        memcpy(sector + n, &place, 4);
        memcpy(sector + n + 4, &count, 4);
    }
}

static void on_done(struct block_request *request, int error)
{
    struct ticket *ticket = request->opaque;

    if (error)
        fail("a request failed", error);
    ticket->busy = false;
}

static void on_flushed(struct block_request *request, int error)
{
    struct work *w = request->opaque;

    if (error)
        fail("a flush failed", error);
    for (unsigned n = 0; n < SECTORS; n++)
        if (w->flushing[n])
            w->journal[n].durable = w->flushing[n];
    w->flush_busy = false;
}

static void settle(struct work *w)
{
    for (unsigned i = 0; i < DEPTH; i++) {
        struct ticket *ticket = &w->tickets[i];

        if (ticket->busy || !ticket->count)
            continue;
        for (unsigned n = ticket->first; n < ticket->first + ticket->count; n++) {
            w->written[n] = w->journal[n].submitted;
            w->taken[n] = false;
        }
        ticket->count = 0;
    }
}

/* Is nobody at work there? */
static bool is_free(const struct work *w, unsigned first, unsigned count)
{
    for (unsigned n = first; n < first + count; n++)
        if (w->taken[n])
            return false;
    return true;
}

static void submit(struct work *w, struct ticket *ticket)
{
    bool zeroes = number(w, 8) == 0;
    unsigned count = 1 + number(w, number(w, 4) ? 16 : LONGEST), first = number(w, SECTORS - count);

    if (!is_free(w, first, count))
        return;
    w->count++;
    for (unsigned n = 0; n < count; n++) {
        w->journal[first + n].submitted = w->count;
        if (zeroes)
            w->journal[first + n].zeroed = w->count;
        fill(ticket->data + n * 512, first + n, w->count);
        w->taken[first + n] = true;
    }
    ticket->busy = true;
    ticket->first = first;
    ticket->count = count;
    ticket->request = (struct block_request){.op = zeroes ? BLOCK_WRITE_ZEROES : BLOCK_WRITE,
                                             .offset = first * 512ull,
                                             .size = count * 512ull,
                                             .data = zeroes ? NULL : ticket->data,
                                             .done = on_done,
                                             .opaque = ticket};
    block_submit(w->disk, &ticket->request);
}

static void flush(struct work *w)
{
    memcpy(w->flushing, w->written, sizeof(w->flushing));
    w->flush_busy = true;
    w->flush = (struct block_request){.op = BLOCK_FLUSH, .done = on_flushed, .opaque = w};
    block_submit(w->disk, &w->flush);
}

static struct entry *open_journal(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0 || ftruncate(fd, SECTORS * sizeof(struct entry)) < 0)
        fail(path, errno);
    void *map = mmap(NULL, SECTORS * sizeof(struct entry), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        fail(path, errno);
    return map;
}

static struct block *open_disk(const char *path, struct loop *loop, struct log *log)
{
    const struct host_disk_options options = {.path = path};
    char why[500];
    struct block *disk = host_disk_open(&options, loop, log, why, sizeof(why));

    if (!disk) {
        fprintf(stderr, "%s\n", why);
        exit(2);
    }
    return disk;
}

static void write_until_killed(struct work *w, struct loop *loop, pthread_mutex_t *lock)
{
    for (unsigned n = 0; n < SECTORS; n++) {
        w->written[n] = w->journal[n].durable;
        if (w->journal[n].submitted > w->count)
            w->count = w->journal[n].submitted;
    }
    printf("writing\n");
    fflush(stdout);
    for (;;) {
        pthread_mutex_lock(lock);
        settle(w);
        for (unsigned i = 0; i < DEPTH; i++)
            if (!w->tickets[i].busy && !w->tickets[i].count)
                submit(w, &w->tickets[i]);
        if (!w->flush_busy && number(w, 20) == 0)
            flush(w);
        pthread_mutex_unlock(lock);
        loop_kick(loop);
        loop_run_once(loop, NULL, lock);
    }
}

/* What a sector says it is: a count, or 0 for zeroes. False: neither. */
static bool read_count(const uint8_t *sector, uint32_t place, uint32_t *count)
{
    uint8_t wanted[512];

    memcpy(count, sector + 4, 4);
    fill(wanted, place, *count);
    if (!memcmp(sector, wanted, 512) && *count)
        return true;
    memset(wanted, 0, sizeof(wanted));
    *count = 0;
    return !memcmp(sector, wanted, 512);
}

struct reading {
    struct block_request request;
    struct loop *loop;
    bool done;
};

static void on_read(struct block_request *request, int error)
{
    if (error)
        fail("reading", error);
    struct reading *reading = request->opaque;

    __atomic_store_n(&reading->done, true, __ATOMIC_RELEASE);
    loop_kick(reading->loop); /* it may be another thread's doing */
}

static int check(struct work *w, struct loop *loop, pthread_mutex_t *lock)
{
    uint8_t *data = malloc(SECTORS * 512);
    struct reading reading = {.loop = loop};
    unsigned bad = 0;

    reading.request = (struct block_request){
        .op = BLOCK_READ, .size = SECTORS * 512, .data = data, .done = on_read, .opaque = &reading};
    pthread_mutex_lock(lock);
    block_submit(w->disk, &reading.request);
    pthread_mutex_unlock(lock);
    while (!__atomic_load_n(&reading.done, __ATOMIC_ACQUIRE))
        loop_run_once(loop, NULL, lock);
    for (unsigned n = 0; n < SECTORS; n++) {
        struct entry *entry = &w->journal[n];
        uint32_t count;
        bool good = read_count(data + n * 512, n, &count);

        good = good && (count ? count >= entry->durable && count <= entry->submitted
                              : entry->zeroed >= entry->durable);
        if (!good && bad++ < 10)
            fprintf(stderr, "sector %u: has %u; %u is durable, %u zeroed, %u submitted\n", n, count,
                    entry->durable, entry->zeroed, entry->submitted);
        /* What is there now is what counts. */
        entry->durable = count ? count : entry->zeroed;
    }
    free(data);
    if (bad)
        fprintf(stderr, "%u sectors are wrong\n", bad);
    return bad != 0;
}

int main(int argc, char **argv)
{
    struct work *w = calloc(1, sizeof(*w));
    struct loop *loop = loop_new();
    pthread_mutexattr_t attr;
    pthread_mutex_t lock;
    struct log log;
    int status = 0;

    if (argc < 4 || !w || !loop)
        return 2;
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&lock, &attr);
    log_init(&log, stderr);
    w->journal = open_journal(argv[3]);
    w->random = argc > 4 ? strtoull(argv[4], NULL, 0) * 2654435761u + 1 : 1;
    w->disk = open_disk(argv[2], loop, &log);
    if (!strcmp(argv[1], "write"))
        write_until_killed(w, loop, &lock);
    status = check(w, loop, &lock);
    pthread_mutex_lock(&lock);
    block_close(w->disk);
    pthread_mutex_unlock(&lock);
    loop_free(loop);
    free(w);
    return status;
}
