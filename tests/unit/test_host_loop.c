/* The event loop, real time, guest RAM and files. */
#include "host/file.h"
#include "host/loop.h"
#include "host/ram.h"
#include "host/time.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct loop *loop;
static struct clock *guest;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char why[300];

static void setup(void)
{
    struct clock_source source;

    loop = loop_new();
    source = host_clock_source(loop);
    guest = clock_new(&source);
    why[0] = 0;
}

static void teardown(void)
{
    clock_free(guest);
    loop_free(loop);
}

static void note_time(void *opaque)
{
    *(uint64_t *)opaque = host_monotonic();
}

START_TEST(timer_fires_in_time)
{
    struct timer timer;
    uint64_t fired = 0, start = host_monotonic();

    timer_init(&timer, guest, "test", note_time, &fired);
    clock_start(guest);
    timer_arm(&timer, clock_now(guest) + 3000000);
    while (!fired)
        ck_assert(loop_run_once(loop, guest, &lock));
    ck_assert_uint_ge(fired - start, 3000000);
    ck_assert_uint_lt(fired - start, 500000000);
}
END_TEST

struct arming {
    struct timer timer;
    uint64_t fired;
};

static void *arm_soon(void *opaque)
{
    struct arming *arming = opaque;

    pthread_mutex_lock(&lock);
    timer_arm(&arming->timer, clock_now(guest) + 1000);
    pthread_mutex_unlock(&lock);
    return NULL;
}

START_TEST(nearer_timer_wakes_the_sleeper)
{
    struct arming arming = {.fired = 0};
    struct timer far;
    uint64_t never = 0;
    pthread_t thread;

    timer_init(&arming.timer, guest, "near", note_time, &arming.fired);
    timer_init(&far, guest, "far", note_time, &never);
    clock_start(guest);
    timer_arm(&far, 3600 * NS_PER_SEC);
    ck_assert_int_eq(pthread_create(&thread, NULL, arm_soon, &arming), 0);
    while (!arming.fired)
        loop_run_once(loop, guest, &lock);
    pthread_join(thread, NULL);
    ck_assert_uint_eq(never, 0);
}
END_TEST

START_TEST(stopped_clock_rings_no_timer)
{
    struct timer timer;
    uint64_t fired = 0;

    timer_init(&timer, guest, "test", note_time, &fired);
    timer_arm(&timer, 0);
    loop_kick(loop);
    ck_assert(loop_run_once(loop, guest, &lock));
    ck_assert_uint_eq(fired, 0);
    clock_start(guest);
    ck_assert(loop_run_once(loop, guest, &lock));
    ck_assert_uint_ne(fired, 0);
}
END_TEST

struct reader {
    int fd;
    unsigned calls;
    struct loop_watch *watch;
    bool unwatch;
    short seen;
};

static void read_some(void *opaque, short revents)
{
    struct reader *reader = opaque;
    char byte;

    reader->calls++;
    reader->seen = revents;
    if (read(reader->fd, &byte, 1) < 0)
        ck_abort_msg("nothing to read");
    if (reader->unwatch)
        loop_unwatch(reader->watch);
}

START_TEST(watches_call_pause_and_end)
{
    int ends[2];
    struct reader reader = {.calls = 0};

    ck_assert_int_eq(pipe(ends), 0);
    reader.fd = ends[0];
    reader.watch = loop_watch_fd(loop, ends[0], POLLIN, read_some, &reader);
    ck_assert_int_eq(write(ends[1], "abc", 3), 3);
    ck_assert(loop_run_once(loop, NULL, NULL));
    ck_assert_uint_eq(reader.calls, 1);
    ck_assert(reader.seen & POLLIN);
    loop_modify(reader.watch, 0);
    loop_kick(loop);
    loop_run_once(loop, NULL, NULL);
    ck_assert_uint_eq(reader.calls, 1);
    loop_modify(reader.watch, POLLIN);
    reader.unwatch = true;
    loop_run_once(loop, NULL, NULL);
    ck_assert_uint_eq(reader.calls, 2);
    loop_kick(loop);
    loop_run_once(loop, NULL, NULL);
    ck_assert_uint_eq(reader.calls, 2);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

static void *quit_later(void *opaque)
{
    loop_quit(opaque);
    return NULL;
}

START_TEST(quit_wakes)
{
    pthread_t thread;

    ck_assert_int_eq(pthread_create(&thread, NULL, quit_later, loop), 0);
    while (loop_run_once(loop, NULL, &lock))
        ;
    ck_assert(loop_quitting(loop));
    pthread_join(thread, NULL);
}
END_TEST

static void count_up(void *opaque)
{
    (*(unsigned *)opaque)++;
}

START_TEST(tasks_run_once)
{
    unsigned calls = 0, others = 0;
    struct loop_task task = {.fn = count_up, .opaque = &calls}, other = {.fn = count_up, .opaque = &others};

    loop_post(loop, &task);
    loop_post(loop, &other);
    loop_post(loop, &task);
    loop_cancel(loop, &other);
    loop_run_once(loop, NULL, NULL);
    ck_assert_uint_eq(calls, 1);
    ck_assert_uint_eq(others, 0);
    loop_post(loop, &other);
    loop_run_once(loop, NULL, NULL);
    ck_assert_uint_eq(calls, 1);
    ck_assert_uint_eq(others, 1);
}
END_TEST

static void *hand_over(void *opaque)
{
    loop_hand(loop, opaque);
    return NULL;
}

/* A task that is handed over runs in the thread that does so, unless somebody has the machine lock. */
START_TEST(hand_takes_a_free_lock)
{
    unsigned runs = 0;
    struct loop_task task = {.fn = count_up, .opaque = &runs};
    pthread_t thread;

    loop_hand(loop, &task); /* the loop hasn't run: it doesn't know the lock yet */
    ck_assert_uint_eq(runs, 0);
    ck_assert(loop_run_once(loop, NULL, &lock));
    ck_assert_uint_eq(runs, 1);
    loop_hand(loop, &task);
    ck_assert_uint_eq(runs, 2);
    pthread_mutex_lock(&lock);
    ck_assert_int_eq(pthread_create(&thread, NULL, hand_over, &task), 0);
    pthread_join(thread, NULL);
    ck_assert_uint_eq(runs, 2);
    pthread_mutex_unlock(&lock);
    ck_assert(loop_run_once(loop, NULL, &lock));
    ck_assert_uint_eq(runs, 3);
}
END_TEST

START_TEST(wall_is_this_century)
{
    ck_assert_uint_gt(host_wall() / NS_PER_SEC, 1700000000);
    ck_assert_uint_gt(clock_wall(guest) / NS_PER_SEC, 1700000000);
}
END_TEST

START_TEST(ram_is_zeroed_shared_and_aligned)
{
    struct host_ram *ram = host_ram_new(8 << 20, why, sizeof(why));

    ck_assert_msg(ram != NULL, "%s", why);
    ck_assert_uint_eq((uintptr_t)ram->base % (2 << 20), 0);
    ck_assert_uint_eq(ram->base[0], 0);
    ck_assert_uint_eq(ram->base[ram->size - 1], 0);
    ram->base[5 << 20] = 0x5a;
    uint8_t byte = 0;
    ck_assert_int_eq(pread(ram->fd, &byte, 1, 5 << 20), 1);
    ck_assert_uint_eq(byte, 0x5a);
    ck_assert_int_ne(ftruncate(ram->fd, 4096), 0);
    host_ram_free(ram);
}
END_TEST

START_TEST(ram_refusals_say_why)
{
    ck_assert_ptr_null(host_ram_new(0, why, sizeof(why)));
    ck_assert(strstr(why, "not 0") != NULL);
    ck_assert_ptr_null(host_ram_new(4097, why, sizeof(why)));
    /* More than any x86-64 process can map. */
    ck_assert_ptr_null(host_ram_new(UINT64_C(1) << 58, why, sizeof(why)));
    ck_assert(strstr(why, "MiB of guest memory: ") != NULL);
    ck_assert_ptr_null(host_ram_new(UINT64_MAX - 4095, why, sizeof(why)));
    ck_assert(strstr(why, "address space") != NULL);
}
END_TEST

static char dir[] = "/tmp/test_host_file.XXXXXX";

static const char *in_dir(const char *name)
{
    static char path[64];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

static void put_file(const char *name, const void *data, size_t size)
{
    FILE *out = fopen(in_dir(name), "w");

    ck_assert_ptr_nonnull(out);
    ck_assert_uint_eq(fwrite(data, 1, size, out), size);
    fclose(out);
}

static void expect_unreadable(const char *name, const char *reason)
{
    struct host_file file;

    ck_assert(!host_file_read(&file, in_dir(name), 100, why, sizeof(why)));
    ck_assert_ptr_null(file.data);
    ck_assert_msg(strstr(why, reason) != NULL, "'%s' doesn't say '%s'", why, reason);
    ck_assert_msg(strstr(why, name) != NULL, "'%s' doesn't name the file", why);
    ck_assert_ptr_null(strchr(why, '\n'));
    host_file_free(&file);
}

START_TEST(files)
{
    struct host_file file;
    char text[4000];

    strcpy(dir, "/tmp/test_host_file.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    memset(text, 'x', sizeof(text));
    put_file("big", text, sizeof(text));
    put_file("empty", "", 0);
    put_file("small", "kernel", 6);
    ck_assert_int_eq(mkdir(in_dir("folder"), 0700), 0);
    put_file("secret", "s", 1);
    ck_assert_int_eq(chmod(in_dir("secret"), 0), 0);

    expect_unreadable("missing", "no such file");
    expect_unreadable("folder", "is a directory");
    expect_unreadable("empty", "is empty");
    expect_unreadable("small/er", "not a directory");
    expect_unreadable("big", "larger than the 100 bytes");
    if (geteuid() != 0)
        expect_unreadable("secret", "no permission");
    ck_assert(!host_file_read(&file, "/dev/zero", 0, why, sizeof(why)));
    ck_assert(strstr(why, "device") != NULL);

    ck_assert(host_file_read(&file, in_dir("small"), 6, why, sizeof(why)));
    ck_assert_uint_eq(file.size, 6);
    ck_assert_mem_eq(file.data, "kernel", 6);
    host_file_free(&file);
    ck_assert(host_file_read(&file, in_dir("big"), 0, why, sizeof(why)));
    ck_assert_uint_eq(file.size, sizeof(text));
    host_file_free(&file);

    unlink(in_dir("big"));
    unlink(in_dir("empty"));
    unlink(in_dir("small"));
    unlink(in_dir("secret"));
    rmdir(in_dir("folder"));
    rmdir(dir);
}
END_TEST

/* What /proc says of a file's size is 0; a pipe has none. */
START_TEST(files_without_a_size)
{
    struct host_file file;
    int ends[2];
    char path[64];

    ck_assert(host_file_read(&file, "/proc/self/status", 0, why, sizeof(why)));
    ck_assert_uint_gt(file.size, 100);
    host_file_free(&file);

    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(write(ends[1], "initrd", 6), 6);
    close(ends[1]);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", ends[0]);
    ck_assert_msg(host_file_read(&file, path, 0, why, sizeof(why)), "%s", why);
    ck_assert_uint_eq(file.size, 6);
    host_file_free(&file);
    close(ends[0]);
}
END_TEST

Suite *host_loop_suite(void);

Suite *host_loop_suite(void)
{
    Suite *suite = suite_create("host_loop");
    TCase *tc = tcase_create("loop");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, timer_fires_in_time);
    tcase_add_test(tc, nearer_timer_wakes_the_sleeper);
    tcase_add_test(tc, stopped_clock_rings_no_timer);
    tcase_add_test(tc, watches_call_pause_and_end);
    tcase_add_test(tc, quit_wakes);
    tcase_add_test(tc, tasks_run_once);
    tcase_add_test(tc, hand_takes_a_free_lock);
    tcase_add_test(tc, wall_is_this_century);
    tcase_add_test(tc, ram_is_zeroed_shared_and_aligned);
    tcase_add_test(tc, ram_refusals_say_why);
    tcase_add_test(tc, files);
    suite_add_tcase(suite, tc);

    /* The runner leaves this out where /proc isn't mounted. */
    tc = tcase_create("proc");
    tcase_set_tags(tc, "proc");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, files_without_a_size);
    suite_add_tcase(suite, tc);
    return suite;
}
