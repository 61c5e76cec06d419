/* Disks in files of the host: what is refused, locks, snapshots, and the order in which requests happen. */
#include "core/log.h"
#include "host/disk.h"
#include "host/loop.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SECTORS 256u
#define SIZE    (SECTORS * 512u)

static struct loop *loop;
static pthread_mutex_t lock;
static struct log log_;
static unsigned lines;
static char last_line[600], folder[64], path[128], why[400];

struct ticket {
    struct block_request request;
    bool done;
    int error;
    unsigned turn; /* in which order they completed, from 1 */
};

static unsigned turns;

static void on_line(void *opaque, enum log_level level, const char *line)
{
    (void)opaque;
    (void)level;
    lines++;
    snprintf(last_line, sizeof(last_line), "%s", line);
}

static void make_file(const char *name, size_t size)
{
    FILE *file = fopen(name, "w");

    ck_assert(file != NULL);
    for (size_t i = 0; i < size; i++)
        fputc((int)(i / 512) & 0xFF, file);
    ck_assert_int_eq(fclose(file), 0);
}

static void setup(void)
{
    pthread_mutexattr_t attr;

    pthread_mutexattr_init(&attr);
    pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&lock, &attr);
    loop = loop_new();
    log_init(&log_, stderr);
    log_.enabled = 0;
    log_.tap = on_line;
    lines = turns = 0;
    snprintf(folder, sizeof(folder), "/tmp/oxbow-disk-XXXXXX");
    ck_assert(mkdtemp(folder) != NULL);
    snprintf(path, sizeof(path), "%s/disk.img", folder);
    make_file(path, SIZE);
}

static void teardown(void)
{
    unlink(path);
    ck_assert_int_eq(rmdir(folder), 0);
    loop_free(loop);
    pthread_mutex_destroy(&lock);
}

static struct block *open_with(bool read_only, bool snapshot)
{
    struct host_disk_options options = {.path = path, .read_only = read_only, .snapshot = snapshot};

    why[0] = 0;
    return host_disk_open(&options, loop, &log_, why, sizeof(why));
}

static void close_disk(struct block *disk)
{
    pthread_mutex_lock(&lock);
    block_close(disk);
    pthread_mutex_unlock(&lock);
}

static void on_done(struct block_request *request, int error)
{
    struct ticket *ticket = request->opaque;

    ck_assert(!ticket->done);
    ck_assert_int_eq(pthread_mutex_trylock(&lock), 0); /* this thread has it already */
    pthread_mutex_unlock(&lock);
    ticket->done = true;
    ticket->error = error;
    ticket->turn = ++turns;
    loop_kick(loop); /* it may be another thread's doing */
}

static void submit_as(struct block *disk, struct ticket *ticket, enum block_op op, unsigned sector,
                      unsigned count, void *data, bool collects)
{
    *ticket = (struct ticket){.request = {.op = op,
                                          .offset = sector * 512ull,
                                          .size = count * 512ull,
                                          .data = data,
                                          .collects = collects,
                                          .done = on_done,
                                          .opaque = ticket}};
    pthread_mutex_lock(&lock);
    block_submit(disk, &ticket->request);
    ck_assert(!ticket->done);
    pthread_mutex_unlock(&lock);
}

static void submit(struct block *disk, struct ticket *ticket, enum block_op op, unsigned sector,
                   unsigned count, void *data)
{
    submit_as(disk, ticket, op, sector, count, data, false);
}

static bool is_done(const struct ticket *ticket)
{
    pthread_mutex_lock(&lock);
    bool done = ticket->done;
    pthread_mutex_unlock(&lock);
    return done;
}

static int wait_for(struct ticket *ticket)
{
    while (!is_done(ticket))
        loop_run_once(loop, NULL, &lock);
    return ticket->error;
}

static int run(struct block *disk, enum block_op op, unsigned sector, unsigned count, void *data)
{
    struct ticket ticket;

    submit(disk, &ticket, op, sector, count, data);
    return wait_for(&ticket);
}

static int byte_in_file(unsigned sector)
{
    uint8_t byte;
    int fd = open(path, O_RDONLY);

    ck_assert_int_eq(pread(fd, &byte, 1, sector * 512), 1);
    close(fd);
    return byte;
}

START_TEST(reads_and_writes)
{
    struct block *disk = open_with(false, false);
    uint8_t data[4 * 512];

    ck_assert_msg(disk != NULL, "%s", why);
    ck_assert_uint_eq(disk->size, SIZE);
    ck_assert(!disk->read_only);
    ck_assert_str_eq(disk->name, path);
    ck_assert_int_eq(run(disk, BLOCK_READ, 17, 4, data), 0);
    for (unsigned i = 0; i < sizeof(data); i++)
        ck_assert_uint_eq(data[i], 17 + i / 512);
    memset(data, 0xA5, sizeof(data));
    ck_assert_int_eq(run(disk, BLOCK_WRITE, SECTORS - 4, 4, data), 0);
    ck_assert_int_eq(run(disk, BLOCK_FLUSH, 0, 0, NULL), 0);
    ck_assert_int_eq(byte_in_file(SECTORS - 1), 0xA5);
    ck_assert_int_eq(byte_in_file(SECTORS - 5), (SECTORS - 5) & 0xFF);
    ck_assert_int_eq(run(disk, BLOCK_READ, SECTORS - 3, 4, data), EINVAL); /* past the end */
    close_disk(disk);
}
END_TEST

static void refused(bool read_only, bool snapshot, const char *text)
{
    struct block *disk = open_with(read_only, snapshot);

    ck_assert_msg(!disk, "opened, and '%s' was expected", text);
    ck_assert_msg(strstr(why, text) && strstr(why, path) == why, "%s", why);
    ck_assert(!strchr(why, '\n'));
}

START_TEST(bad_files_are_refused)
{
    ck_assert_int_eq(truncate(path, 1000), 0);
    refused(false, false, "not a multiple of 512");
    refused(true, false, "not a multiple of 512");
    ck_assert_int_eq(truncate(path, 0), 0);
    refused(false, false, "is empty");
    unlink(path);
    refused(false, false, "no such file");
    ck_assert_int_eq(mkdir(path, 0700), 0);
    refused(false, false, "is a directory");
    refused(true, false, "is a directory");
    rmdir(path);
    ck_assert_int_eq(mkfifo(path, 0600), 0); /* must not hang either */
    refused(true, false, "neither a file nor a block device");
    refused(false, false, "neither a file nor a block device");
    unlink(path);
    make_file(path, SIZE);
    FILE *file = fopen(path, "r+");
    fputs("QFI\xfb", file);
    fclose(file);
    refused(false, false, "is a qcow image");
    ck_assert_int_eq(byte_in_file(0), 'Q');
}
END_TEST

START_TEST(permissions)
{
    if (geteuid() == 0) /* root may do anything: ask as somebody else */
        ck_assert(chmod(folder, 0755) == 0 && seteuid(65534) == 0);
    /* The file is root's, or ours without permissions. */
    if (getuid() != 0)
        chmod(path, 0444);
    refused(false, false, "add ,readonly");
    struct block *disk = open_with(true, false);
    ck_assert_msg(disk != NULL, "%s", why);
    close_disk(disk);
    ck_assert_int_eq(seteuid(getuid()), 0);
    chmod(path, 0);
    if (getuid() == 0)
        ck_assert_int_eq(seteuid(65534), 0);
    refused(true, false, "no permission to read it");
    ck_assert_int_eq(seteuid(getuid()), 0);
}
END_TEST

START_TEST(locks)
{
    struct block *writer = open_with(false, false), *reader, *other;

    ck_assert_msg(writer != NULL, "%s", why);
    refused(false, false, "another machine or program uses it");
    refused(true, false, "writes to it");
    refused(false, true, "writes to it");
    close_disk(writer);
    reader = open_with(true, false);
    other = open_with(false, true);
    ck_assert(reader && other);
    refused(false, false, "another machine or program uses it");
    close_disk(reader);
    refused(false, false, "another machine or program uses it");
    close_disk(other);
    writer = open_with(false, false);
    ck_assert_msg(writer != NULL, "%s", why);
    close_disk(writer);
}
END_TEST

START_TEST(read_only)
{
    struct block *disk = open_with(true, false);
    uint8_t data[512] = {0xEE};

    ck_assert(disk && disk->read_only);
    ck_assert_int_eq(run(disk, BLOCK_WRITE, 3, 1, data), EROFS);
    ck_assert_int_eq(run(disk, BLOCK_FLUSH, 0, 0, NULL), 0);
    ck_assert_int_eq(byte_in_file(3), 3);
    close_disk(disk);
}
END_TEST

START_TEST(snapshot_leaves_the_image_alone)
{
    uint8_t before[SIZE], data[SIZE], expected[SIZE];
    struct block *disk = open_with(false, true);

    ck_assert_msg(disk != NULL, "%s", why);
    ck_assert(!disk->read_only);
    ck_assert_int_eq(run(disk, BLOCK_READ, 0, SECTORS, before), 0);
    memcpy(expected, before, SIZE);
    for (unsigned i = 0; i < 40; i++) {
        unsigned sector = i * 37 % (SECTORS - 3), count = 1 + i % 3;

        memset(data, 0x80 + i, sizeof(data));
        memset(expected + sector * 512, 0x80 + i, count * 512);
        ck_assert_int_eq(run(disk, BLOCK_WRITE, sector, count, data), 0);
    }
    ck_assert_int_eq(run(disk, BLOCK_FLUSH, 0, 0, NULL), 0);
    ck_assert_int_eq(run(disk, BLOCK_READ, 0, SECTORS, data), 0);
    ck_assert_int_eq(memcmp(data, expected, SIZE), 0);
    ck_assert_int_eq(run(disk, BLOCK_READ, 5, 60, data), 0);
    ck_assert_int_eq(memcmp(data, expected + 5 * 512, 60 * 512), 0);
    close_disk(disk);

    disk = open_with(true, false);
    ck_assert_int_eq(run(disk, BLOCK_READ, 0, SECTORS, data), 0);
    ck_assert_int_eq(memcmp(data, before, SIZE), 0);
    close_disk(disk);
}
END_TEST

START_TEST(snapshot_needs_a_folder)
{
    setenv("TMPDIR", "/nonexistent", 1);
    refused(false, true, "set TMPDIR");
    unsetenv("TMPDIR");
}
END_TEST

/* Each of the writes covers what the ones before wrote, at least partly. */
START_TEST(overlapping_requests_keep_their_order)
{
    static uint8_t data[24][64 * 512];
    struct block *disk = open_with(false, _i);
    struct ticket tickets[24], read;
    uint8_t result[64 * 512];

    for (unsigned round = 0; round < 60; round++) {
        for (unsigned i = 0; i < 24; i++) {
            memset(data[i], (int)(round * 24 + i), sizeof(data[i]));
            submit(disk, &tickets[i], BLOCK_WRITE, 100 + i % 5, 64 - 3 * (i % 7), data[i]);
        }
        submit(disk, &read, BLOCK_READ, 100, 64, result);
        ck_assert_int_eq(wait_for(&read), 0);
        uint8_t expected[64 * 512];
        for (unsigned i = 0; i < 24; i++)
            ck_assert_int_eq(wait_for(&tickets[i]), 0);
        ck_assert_int_eq(run(disk, BLOCK_READ, 100, 64, expected), 0);
        ck_assert_int_eq(memcmp(result, expected, sizeof(result)), 0);
        ck_assert_uint_eq(result[10 * 512], (uint8_t)(round * 24 + 23));
        ck_assert_uint_eq(result[0], (uint8_t)(round * 24 + 20));
    }
    close_disk(disk);
}
END_TEST

START_TEST(flush_waits_for_earlier_writes)
{
    static uint8_t data[16][16 * 512];
    struct block *disk = open_with(false, false);
    struct ticket tickets[16], flush, late;

    for (unsigned round = 0; round < 30; round++) {
        for (unsigned i = 0; i < 16; i++)
            submit(disk, &tickets[i], BLOCK_WRITE, i * 16, 16, data[i]);
        submit(disk, &flush, BLOCK_FLUSH, 0, 0, NULL);
        submit(disk, &late, BLOCK_READ, 0, 1, data[0]);
        ck_assert_int_eq(wait_for(&flush), 0);
        for (unsigned i = 0; i < 16; i++) {
            ck_assert(tickets[i].done);
            ck_assert_uint_lt(tickets[i].turn, flush.turn);
        }
        ck_assert_int_eq(wait_for(&late), 0);
    }
    close_disk(disk);
}
END_TEST

/* A snapshot's flush has nothing to do, so it would overtake a long write if it didn't wait. */
START_TEST(flush_does_not_overtake)
{
    const size_t size = 32 << 20;
    uint8_t *data = calloc(1, size);

    ck_assert_int_eq(truncate(path, (off_t)size), 0);
    struct block *disk = open_with(false, true);
    for (unsigned round = 0; round < 3; round++) {
        struct ticket write, flush;

        submit(disk, &write, BLOCK_WRITE, 0, (unsigned)(size / 512), data);
        submit(disk, &flush, BLOCK_FLUSH, 0, 0, NULL);
        ck_assert_int_eq(wait_for(&flush), 0);
        ck_assert(write.done && write.turn < flush.turn);
    }
    close_disk(disk);
    free(data);
}
END_TEST

START_TEST(errors_reach_the_guest_and_the_log)
{
    struct block *disk = open_with(false, false);
    uint8_t data[512] = {0};

    ck_assert_int_eq(truncate(path, 10 * 512), 0);
    for (unsigned i = 0; i < 20; i++)
        ck_assert_int_eq(run(disk, BLOCK_READ, 100, 1, data), EIO);
    ck_assert_uint_eq(lines, 1); /* not 20 */
    ck_assert_msg(strstr(last_line, path) && strstr(last_line, "51200"), "%s", last_line);
    ck_assert_int_eq(run(disk, BLOCK_READ, 9, 1, data), 0);
    close_disk(disk);
}
END_TEST

START_TEST(full_disk)
{
    struct rlimit old, small;
    struct block *disk = open_with(false, false);
    uint8_t data[512] = {7};

    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 50 * 512;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    ck_assert_int_eq(run(disk, BLOCK_WRITE, 60, 1, data), EFBIG);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
    ck_assert_uint_eq(lines, 1);
    ck_assert_int_eq(byte_in_file(60), 60);
    ck_assert_int_eq(run(disk, BLOCK_WRITE, 60, 1, data), 0);
    close_disk(disk);
    signal(SIGXFSZ, SIG_DFL);
}
END_TEST

/* Memory in pieces of any length and alignment, for a raw image and for a snapshot. */
/*
 * What the host has in its cache is read within submit, and told of by collect. A read that conflicts with a
 * write, or a disk with limits, takes its turn.
 */
START_TEST(cached_reads_are_collected)
{
    static uint8_t data[2][16 * 512], written[64 * 512];
    struct block *disk = open_with(false, false);
    struct ticket read[2], write, late;

    ck_assert_int_eq(run(disk, BLOCK_READ, 0, 32, written), 0); /* a file system without a cache has none */
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < 2; i++) {
        submit_as(disk, &read[i], BLOCK_READ, i * 16, 16, data[i], true);
        ck_assert(!read[i].done);
    }
    block_collect(disk);
    if (!read[0].done)
        lines = 1000; /* it can't be read without waiting here */
    ck_assert(read[0].done == read[1].done);
    block_collect(disk);
    pthread_mutex_unlock(&lock);
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_int_eq(wait_for(&read[i]), 0);
        ck_assert_uint_eq(data[i][15 * 512], i * 16 + 15);
    }
    ck_assert(lines == 1000 || (read[0].turn == 2 && read[1].turn == 3));

    memset(written, 0x99, sizeof(written));
    pthread_mutex_lock(&lock);
    submit_as(disk, &write, BLOCK_WRITE, 0, 64, written, true);
    submit_as(disk, &late, BLOCK_READ, 31, 16, data[0], true);
    block_collect(disk);
    pthread_mutex_unlock(&lock);
    ck_assert_int_eq(wait_for(&late), 0);
    ck_assert_int_eq(wait_for(&write), 0);
    ck_assert_uint_lt(write.turn, late.turn);
    ck_assert_uint_eq(data[0][0], 0x99);
    ck_assert_uint_eq(data[0][15 * 512], 0x99);
    close_disk(disk);
}
END_TEST

START_TEST(pieces)
{
    struct block *disk = open_with(false, _i);
    uint8_t memory[8 * 512 + 100], expected[8 * 512];
    struct iovec iov[] = {
        {memory + 1, 3}, {memory + 20, 1021}, {memory + 1100, 512 * 2}, {memory + 2200, 512 * 4}};
    struct ticket ticket = {.request = {.op = BLOCK_READ,
                                        .offset = 9 * 512,
                                        .iov = iov,
                                        .iov_count = 4,
                                        .done = on_done,
                                        .opaque = &ticket}};

    for (unsigned n = 0; n < 4; n++)
        ticket.request.size += iov[n].iov_len;
    ck_assert_uint_eq(ticket.request.size, 8 * 512);
    for (unsigned turn = 0; turn < 2; turn++) {
        size_t at = 0;

        ticket.done = false;
        pthread_mutex_lock(&lock);
        block_submit(disk, &ticket.request);
        pthread_mutex_unlock(&lock);
        ck_assert_int_eq(wait_for(&ticket), 0);
        ck_assert_int_eq(run(disk, BLOCK_READ, turn ? 100 : 9, 8, expected), 0);
        for (unsigned n = 0; n < 4; at += iov[n++].iov_len)
            ck_assert_int_eq(memcmp(iov[n].iov_base, expected + at, iov[n].iov_len), 0);
        ticket.request.op = BLOCK_WRITE;
        ticket.request.offset = 100 * 512;
    }
    close_disk(disk);
}
END_TEST

START_TEST(zeroes_and_discard)
{
    struct block *disk = open_with(false, _i);
    uint8_t data[4 * 512], zeroes[512] = {0};

    ck_assert(disk->can_discard);
    ck_assert_int_eq(run(disk, BLOCK_WRITE_ZEROES, 20, 2, NULL), 0);
    ck_assert_int_eq(run(disk, BLOCK_READ, 19, 4, data), 0);
    ck_assert_uint_eq(data[0], 19);
    ck_assert_int_eq(memcmp(data + 512, zeroes, 512), 0);
    ck_assert_int_eq(memcmp(data + 1024, zeroes, 512), 0);
    ck_assert_uint_eq(data[1536], 22);
    ck_assert_int_eq(run(disk, BLOCK_DISCARD, 30, 1, NULL), 0);
    ck_assert_int_eq(run(disk, BLOCK_READ, 29, 3, data), 0);
    ck_assert_uint_eq(data[0], 29);
    ck_assert(data[512] == 30 || data[512] == 0);
    ck_assert_uint_eq(data[1024], 31);
    close_disk(disk);
}
END_TEST

/* Requests one behind the other, which may be done as one: each gets its own data, and its own error. */
START_TEST(neighbours)
{
    static uint8_t data[64][512];
    struct ticket tickets[64];
    struct block *disk = open_with(false, false);

    ck_assert_int_eq(truncate(path, 50 * 512), 0);
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned n = 0; n < 64; n++)
            submit(disk, &tickets[n], BLOCK_READ, n, 1, data[n]);
        for (unsigned n = 0; n < 64; n++) {
            ck_assert_int_eq(wait_for(&tickets[n]), n < 50 ? 0 : EIO);
            if (n < 50)
                ck_assert_uint_eq(data[n][7], n);
        }
    }
    close_disk(disk);
}
END_TEST

static struct block *open_how(struct host_disk_options options)
{
    options.path = path;
    return host_disk_open(&options, loop, &log_, why, sizeof(why));
}

/* 20 requests at 100 a second take 0.2 s less what may be done at once; and no less. */
START_TEST(limits)
{
    static uint8_t data[20][512];
    struct ticket tickets[20];
    struct block *disk = open_how((struct host_disk_options){.iops = _i ? 0 : 100, .bps = _i ? 51200 : 0});
    struct timespec start, end;

    clock_gettime(CLOCK_MONOTONIC, &start);
    for (unsigned n = 0; n < 20; n++)
        submit(disk, &tickets[n], BLOCK_READ, 3 * n, 1, data[n]);
    for (unsigned n = 0; n < 20; n++)
        ck_assert_int_eq(wait_for(&tickets[n]), 0);
    clock_gettime(CLOCK_MONOTONIC, &end);
    double seconds = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) * 1e-9;
    ck_assert_msg(seconds > 0.08, "%f s", seconds);
    close_disk(disk);
}
END_TEST

/* A machine is reset: what can be done soon is done, the rest fails, and nothing is touched afterwards. */
START_TEST(settling)
{
    static uint8_t data[20][512];
    struct ticket tickets[20];
    struct block *disk = open_how((struct host_disk_options){.iops = _i ? 1 : 0});
    unsigned failed = 0;

    for (unsigned n = 0; n < 20; n++)
        submit(disk, &tickets[n], BLOCK_READ, 3 * n, 1, data[n]);
    pthread_mutex_lock(&lock);
    host_disk_settle(disk);
    for (unsigned n = 0; n < 20; n++) {
        ck_assert(!tickets[n].done); /* the event loop says so */
        memset(data[n], 0x11, 512);
    }
    pthread_mutex_unlock(&lock);
    for (unsigned n = 0; n < 20; n++) {
        int error = wait_for(&tickets[n]);
        ck_assert(!error || error == ECANCELED);
        failed += error == ECANCELED;
        ck_assert_uint_eq(data[n][0], 0x11);
    }
    ck_assert(_i ? failed > 10 : !failed);
    submit(disk, &tickets[0], BLOCK_READ, 5, 1, data[0]);
    ck_assert_int_eq(wait_for(&tickets[0]), 0);
    ck_assert_uint_eq(data[0][0], 5);
    close_disk(disk);
}
END_TEST

static unsigned failures;

static void on_failed(void *opaque, struct block *disk, bool writing, int error)
{
    ck_assert_ptr_eq(opaque, &failures);
    ck_assert(disk && writing);
    ck_assert_int_eq(error, EFBIG);
    failures++;
}

/* The host is full: the machine is told, and the write waits until somebody made room. So does what depends
 * on it. */
START_TEST(failed_requests_wait)
{
    struct rlimit old, small;
    struct block *disk = open_how(
        (struct host_disk_options){.policy = DISK_STOP_NOSPACE, .failed = on_failed, .opaque = &failures});
    uint8_t data[512], back[512], other_data[512];
    struct ticket write, flush, read, other;

    failures = 0;
    memset(data, 7, sizeof(data));
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 50 * 512;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    submit(disk, &write, BLOCK_WRITE, 60, 1, data);
    while (!failures)
        loop_run_once(loop, NULL, &lock);
    submit(disk, &flush, BLOCK_FLUSH, 0, 0, NULL);
    submit(disk, &read, BLOCK_READ, 60, 1, back);
    submit(disk, &other, BLOCK_READ, 61, 1, other_data);
    ck_assert_int_eq(wait_for(&other), 0); /* nothing keeps this one */
    ck_assert(!write.done && !flush.done && !read.done);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
    pthread_mutex_lock(&lock);
    host_disk_retry(disk);
    pthread_mutex_unlock(&lock);
    ck_assert_int_eq(wait_for(&write), 0);
    ck_assert_int_eq(wait_for(&flush), 0);
    ck_assert_int_eq(wait_for(&read), 0);
    ck_assert(write.turn < flush.turn && write.turn < read.turn);
    ck_assert_uint_eq(back[5], 7);
    ck_assert_int_eq(byte_in_file(60), 7);

    /* Closing doesn't wait for anybody. */
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    unsigned before = failures;
    submit(disk, &write, BLOCK_WRITE, 60, 1, data);
    while (failures == before)
        loop_run_once(loop, NULL, &lock);
    close_disk(disk);
    ck_assert(write.done);
    ck_assert_int_eq(write.error, EFBIG);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, SIG_DFL);
}
END_TEST

/* A guest doesn't get to say what the next run takes the file for, unless the user said that it is raw. */
START_TEST(foreign_magic)
{
    struct block *disk = open_with(false, false);
    uint8_t data[512] = "QFI\xfb\0\0\0\3";

    ck_assert_int_eq(run(disk, BLOCK_WRITE, 0, 1, data), EPERM);
    ck_assert_int_eq(byte_in_file(0), 0);
    ck_assert_int_eq(run(disk, BLOCK_WRITE, 1, 1, data), 0);
    close_disk(disk);
    disk = open_how((struct host_disk_options){.format = "raw"});
    ck_assert_int_eq(run(disk, BLOCK_WRITE, 0, 1, data), 0);
    close_disk(disk);
    ck_assert_int_eq(byte_in_file(0), 'Q');
    refused(false, false, "clusters of"); /* it is one to whoever guesses */
}
END_TEST

static struct block *closing;
static struct ticket again;

static void submit_again(struct block_request *request, int error)
{
    static uint8_t data[512];

    on_done(request, error);
    submit(closing, &again, BLOCK_READ, 0, 1, data);
}

START_TEST(close_completes_what_is_under_way)
{
    static uint8_t data[8][32 * 512];
    struct ticket tickets[8];

    closing = open_with(false, false);
    memset(data, 0x77, sizeof(data));
    for (unsigned i = 0; i < 8; i++)
        submit(closing, &tickets[i], BLOCK_WRITE, i * 32, 32, data[i]);
    tickets[7].request.done = submit_again;
    close_disk(closing);
    for (unsigned i = 0; i < 8; i++) {
        ck_assert(tickets[i].done);
        ck_assert_int_eq(tickets[i].error, 0);
        ck_assert_int_eq(byte_in_file(i * 32 + 31), 0x77);
    }
    ck_assert(again.done);
    ck_assert_int_eq(again.error, ECANCELED);
    loop_kick(loop);
    loop_run_once(loop, NULL, &lock); /* nothing of it is left in the loop */
}
END_TEST

Suite *disk_suite(void)
{
    Suite *suite = suite_create("disk");
    TCase *tcase = tcase_create("disk");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, reads_and_writes);
    tcase_add_test(tcase, bad_files_are_refused);
    tcase_add_test(tcase, permissions);
    tcase_add_test(tcase, locks);
    tcase_add_test(tcase, read_only);
    tcase_add_test(tcase, snapshot_leaves_the_image_alone);
    tcase_add_test(tcase, snapshot_needs_a_folder);
    tcase_add_loop_test(tcase, overlapping_requests_keep_their_order, 0, 2);
    tcase_add_test(tcase, flush_waits_for_earlier_writes);
    tcase_add_test(tcase, flush_does_not_overtake);
    tcase_add_test(tcase, cached_reads_are_collected);
    tcase_add_loop_test(tcase, pieces, 0, 2);
    tcase_add_loop_test(tcase, zeroes_and_discard, 0, 2);
    tcase_add_test(tcase, neighbours);
    tcase_add_loop_test(tcase, limits, 0, 2);
    tcase_add_loop_test(tcase, settling, 0, 2);
    tcase_add_test(tcase, failed_requests_wait);
    tcase_add_test(tcase, foreign_magic);
    tcase_add_test(tcase, errors_reach_the_guest_and_the_log);
    tcase_add_test(tcase, full_disk);
    tcase_add_test(tcase, close_completes_what_is_under_way);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return suite;
}
