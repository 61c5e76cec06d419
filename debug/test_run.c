/*
 * test_run.c - runs test cases in processes of their own; see test_run.h.
 *
 * A case's process is a fork of this one, so that it needs no file to execute; its serial port and its
 * standard error come through pipes, and how it ended through memory that both share. A pidfd tells when it
 * is over: what it wrote is in the pipes by then.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "debug/test_run.h"

#define TEXT_MAX    (1u << 20)       /* bytes kept of what a case prints */
#define GRACE       (2 * NS_PER_SEC) /* from SIGTERM to SIGKILL */
#define OPTIONS_MAX 256

enum { SERIAL, ERRORS, PROCESS, POLLED };

struct job {
    struct test_case *test; /* NULL: free */
    struct test_end *end;   /* shared with the process */
    pid_t pid;
    int fd[POLLED]; /* -1: closed */
    uint64_t began, deadline;
    bool ending, killed; /* told to end by SIGTERM; by SIGKILL */
    size_t line;         /* where the line that comes in begins, in test->serial */
};

struct tests {
    const struct test_plan *plan;
    struct job *jobs;
    unsigned job_count;
    int signals; /* a signalfd */
    sigset_t old_mask;
};

uint64_t test_now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * NS_PER_SEC + (uint64_t)time.tv_nsec;
}

/* Appends; forgets the first half when that makes too much. Returns how many bytes were forgotten. */
static size_t append(struct test_text *text, const char *data, size_t size)
{
    size_t gone = 0;

    if (text->size + size > TEXT_MAX) {
        gone = text->size / 2;
        memmove(text->data, text->data + gone, text->size - gone);
        text->size -= gone;
        text->truncated = true;
    }
    char *grown = realloc(text->data, text->size + size + 1);
    if (!grown) /* what there is stays */
        return gone;
    memcpy(grown + text->size, data, size);
    text->data = grown;
    text->size += size;
    text->data[text->size] = 0;
    return gone;
}

static void conclude(struct job *job, enum test_verdict verdict, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The first verdict stands. */
static void conclude(struct job *job, enum test_verdict verdict, const char *format, ...)
{
    va_list arguments;

    if (job->test->verdict != TEST_WAITING)
        return;
    job->test->verdict = verdict;
    va_start(arguments, format);
    vsnprintf(job->test->reason, sizeof(job->test->reason), format, arguments);
    va_end(arguments);
}

/* A machine that is asked to end closes its disks. */
static void stop(struct job *job)
{
    if (job->ending)
        return;
    kill(job->pid, SIGTERM);
    job->ending = true;
    job->deadline = test_now() + GRACE;
}

static bool matches(const regex_t *pattern, const char *line, size_t length)
{
    regmatch_t match = {.rm_so = 0, .rm_eo = (regoff_t)length};

    return pattern && !regexec(pattern, line, 0, &match, REG_STARTEND);
}

/* A line, or what is there of the last one: a prompt has no end. */
static void examine(const struct test_plan *plan, struct job *job, const char *line, size_t length)
{
    if (length && line[length - 1] == '\r')
        length--;
    if (matches(plan->fail, line, length))
        conclude(job, TEST_FAILED, "it printed \"%.*s\"", (int)(length > 150 ? 150 : length), line);
    else if (matches(plan->expect, line, length))
        conclude(job, TEST_PASSED, "it printed \"%.*s\"", (int)(length > 150 ? 150 : length), line);
}

static void examine_lines(const struct test_plan *plan, struct job *job)
{
    const struct test_text *serial = &job->test->serial;

    while (job->line < serial->size) {
        const char *line = serial->data + job->line, *end = memchr(line, '\n', serial->size - job->line);
        examine(plan, job, line, end ? (size_t)(end - line) : serial->size - job->line);
        if (!end)
            break;
        job->line = (size_t)(end + 1 - serial->data);
    }
    if (job->test->verdict != TEST_WAITING)
        stop(job);
}

/* Takes what there is; false at the end of the stream. */
static bool take(struct job *job, unsigned which)
{
    struct test_text *text = which == SERIAL ? &job->test->serial : &job->test->errors;
    char data[16384];
    ssize_t size = read(job->fd[which], data, sizeof(data));

    if (size <= 0)
        return size < 0 && (errno == EAGAIN || errno == EINTR);
    size_t gone = append(text, data, (size_t)size);
    if (which == SERIAL)
        job->line = job->line > gone ? job->line - gone : 0;
    return true;
}

static void close_fd(struct job *job, unsigned which)
{
    if (job->fd[which] >= 0)
        close(job->fd[which]);
    job->fd[which] = -1;
}

/* The first line that Oxbow said, for a machine that could not be. */
static void complaint(const struct job *job, char *text, size_t size)
{
    const char *errors = job->test->errors.data ? job->test->errors.data : "";

    if (!strncmp(errors, "oxbow: ", 7))
        errors += 7;
    snprintf(text, size, "%.*s", (int)strcspn(errors, "\n"), errors);
}

/* What the end of the machine means. */
static void judge(const struct test_plan *plan, struct job *job, int wait_status)
{
    const struct test_end *end = job->end;
    char text[180];

    if (!end->ended) {
        if (WIFSIGNALED(wait_status))
            conclude(job, TEST_FAILED, "Oxbow died of signal %d", WTERMSIG(wait_status));
        complaint(job, text, sizeof(text));
        conclude(job, TEST_FAILED, "%s", *text ? text : "Oxbow ended by itself");
    } else if (end->exit_value >= 0) {
        if (end->exit_value != plan->exit_success)
            conclude(job, TEST_FAILED, "the exit device got %#x, which is not %#x", (unsigned)end->exit_value,
                     (unsigned)plan->exit_success);
        conclude(job, plan->expect ? TEST_FAILED : TEST_PASSED, "the exit device got %#x%s",
                 (unsigned)end->exit_value, plan->expect ? ", but what is expected was not printed" : "");
    }
    switch (end->status) {
    case EXIT_POWEROFF:
        conclude(job, plan->expect ? TEST_FAILED : TEST_PASSED, "the guest powered off%s",
                 plan->expect ? " without printing what is expected" : "");
        break;
    case EXIT_CRASH:
        conclude(job, TEST_FAILED, "triple fault");
        break;
    case EXIT_RESET:
        conclude(job, TEST_FAILED, "the guest reset the machine");
        break;
    default:
        complaint(job, text, sizeof(text));
        conclude(job, TEST_FAILED, "%s", *text ? text : "Oxbow ended by itself");
    }
}

/* The process is over. */
static void finish(const struct test_plan *plan, struct job *job)
{
    int wait_status = 0;

    for (unsigned which = SERIAL; which <= ERRORS; which++) {
        while (job->fd[which] >= 0 && poll(&(struct pollfd){job->fd[which], POLLIN, 0}, 1, 0) > 0)
            if (!take(job, which))
                close_fd(job, which);
        close_fd(job, which);
    }
    close_fd(job, PROCESS);
    waitpid(job->pid, &wait_status, 0);
    job->test->seconds = (double)(test_now() - job->began) / (double)NS_PER_SEC;
    examine_lines(plan, job);
    judge(plan, job, wait_status);
    munmap(job->end, sizeof(*job->end));
    job->test = NULL;
}

/* In the new process: never returns. */
static void run_child(const struct tests *tests, const struct test_case *test, const int *out,
                      struct test_end *end)
{
    const char *arguments[OPTIONS_MAX + 2] = {"oxbow",         "--headless", "--no-reboot",
                                              "--exit-device", "--history",  "--accel",
                                              test->engine};
    int count = 7;
    struct options options;
    char why[400];

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigprocmask(SIG_SETMASK, &tests->old_mask, NULL);
    int null = open("/dev/null", O_RDONLY);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(out[SERIAL], STDOUT_FILENO) < 0 ||
        dup2(out[ERRORS], STDERR_FILENO) < 0)
        _exit(EXIT_HOST);
    close_range(STDERR_FILENO + 1, ~0u, 0); /* other cases' pipes */
    for (char **option = tests->plan->options; *option && count < OPTIONS_MAX; option++)
        arguments[count++] = *option;
    if (test->image) {
        arguments[count++] = "--";
        arguments[count++] = test->image;
    }
    options_init(&options);
    if (options_parse(&options, count, (char **)arguments, NULL, why, sizeof(why)))
        tests->plan->run(&options, end);
    else
        fprintf(stderr, "oxbow: %s\n", why);
    options_free(&options);
    fflush(stdout);
    fflush(stderr);
    _exit(0);
}

static bool make_pipes(int pipes[2][2])
{
    if (pipe2(pipes[SERIAL], O_CLOEXEC))
        return false;
    if (!pipe2(pipes[ERRORS], O_CLOEXEC))
        return true;
    close(pipes[SERIAL][0]);
    close(pipes[SERIAL][1]);
    return false;
}

static bool start(struct tests *tests, struct job *job, struct test_case *test)
{
    int pipes[2][2];

    *job = (struct job){.fd = {-1, -1, -1}};
    job->end = mmap(NULL, sizeof(*job->end), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (job->end == MAP_FAILED)
        return false;
    job->end->exit_value = -1;
    if (!make_pipes(pipes)) {
        munmap(job->end, sizeof(*job->end));
        return false;
    }
    fflush(stdout);
    fflush(stderr);
    job->pid = fork();
    if (!job->pid)
        run_child(tests, test, (int[]){pipes[SERIAL][1], pipes[ERRORS][1]}, job->end);
    close(pipes[SERIAL][1]);
    close(pipes[ERRORS][1]);
    job->fd[SERIAL] = pipes[SERIAL][0];
    job->fd[ERRORS] = pipes[ERRORS][0];
    if (job->pid > 0)
        job->fd[PROCESS] = (int)syscall(SYS_pidfd_open, job->pid, 0);
    if (job->fd[PROCESS] < 0) {
        int error = errno;
        if (job->pid > 0) {
            kill(job->pid, SIGKILL);
            waitpid(job->pid, NULL, 0);
        }
        close_fd(job, SERIAL);
        close_fd(job, ERRORS);
        munmap(job->end, sizeof(*job->end));
        errno = error;
        return false;
    }
    fcntl(job->fd[SERIAL], F_SETFL, O_NONBLOCK);
    fcntl(job->fd[ERRORS], F_SETFL, O_NONBLOCK);
    job->test = test;
    job->began = test_now();
    job->deadline = job->began + tests->plan->timeout;
    return true;
}

/* Its time is over: ask, then insist. */
static void overdue(const struct test_plan *plan, struct job *job)
{
    if (!job->ending) {
        conclude(job, TEST_FAILED, "still running after %g s", (double)plan->timeout / (double)NS_PER_SEC);
        stop(job);
    } else if (!job->killed) {
        kill(job->pid, SIGKILL);
        job->killed = true;
        job->deadline = UINT64_MAX;
    }
}

/* Waits until something happens and deals with it. Returns a signal's number, or 0. */
static int wait_once(struct tests *tests, struct test_case **finished)
{
    struct pollfd polled[1 + POLLED * TEST_JOBS_MAX];
    uint64_t deadline = UINT64_MAX, time = test_now();
    int timeout = -1;

    polled[0] = (struct pollfd){tests->signals, POLLIN, 0};
    for (unsigned n = 0; n < tests->job_count; n++) {
        struct job *job = &tests->jobs[n];
        for (unsigned which = 0; which < POLLED; which++)
            polled[1 + n * POLLED + which] = (struct pollfd){job->test ? job->fd[which] : -1, POLLIN, 0};
        if (job->test && job->deadline < deadline)
            deadline = job->deadline;
    }
    if (deadline != UINT64_MAX)
        timeout =
            deadline <= time
                ? 0
                : (int)((deadline - time) / 1000000 + 1 > 60000 ? 60000 : (deadline - time) / 1000000 + 1);
    if (poll(polled, 1 + POLLED * tests->job_count, timeout) < 0)
        return 0;
    if (polled[0].revents) {
        struct signalfd_siginfo info;
        if (read(tests->signals, &info, sizeof(info)) == sizeof(info))
            return (int)info.ssi_signo;
    }
    for (unsigned n = 0; n < tests->job_count; n++) {
        struct job *job = &tests->jobs[n];
        const struct pollfd *mine = &polled[1 + n * POLLED];
        if (!job->test)
            continue;
        for (unsigned which = SERIAL; which <= ERRORS; which++)
            if (mine[which].revents && !take(job, which))
                close_fd(job, which);
        examine_lines(tests->plan, job);
        if (test_now() >= job->deadline)
            overdue(tests->plan, job);
        if (mine[PROCESS].revents && !*finished) {
            *finished = job->test;
            finish(tests->plan, job);
        }
    }
    return 0;
}

static struct job *free_job(struct tests *tests)
{
    for (unsigned n = 0; n < tests->job_count; n++)
        if (!tests->jobs[n].test)
            return &tests->jobs[n];
    return NULL;
}

static bool busy(const struct tests *tests)
{
    for (unsigned n = 0; n < tests->job_count; n++)
        if (tests->jobs[n].test)
            return true;
    return false;
}

/* What still runs is ended, and not judged. */
static void end_all(struct tests *tests)
{
    for (unsigned n = 0; n < tests->job_count; n++)
        if (tests->jobs[n].test)
            stop(&tests->jobs[n]);
    while (busy(tests)) {
        struct test_case *test = NULL;
        wait_once(tests, &test);
        if (test)
            test->verdict = TEST_WAITING;
    }
}

int test_run(const struct test_plan *plan, struct test_case *cases, size_t count, unsigned jobs,
             void (*started)(void *opaque, const struct test_case *test),
             void (*done)(void *opaque, const struct test_case *test), void *opaque, char *why,
             size_t why_size)
{
    struct job table[TEST_JOBS_MAX] = {{.test = NULL}};
    struct tests tests = {.plan = plan, .jobs = table, .job_count = jobs};
    size_t next = 0;
    sigset_t mask;
    int result = 0;

    sigemptyset(&mask);
    sigaddset(&mask, SIGINT);
    sigaddset(&mask, SIGTERM);
    sigaddset(&mask, SIGHUP);
    sigprocmask(SIG_BLOCK, &mask, &tests.old_mask);
    tests.signals = signalfd(-1, &mask, SFD_CLOEXEC);
    while (!result && tests.signals >= 0) {
        struct test_case *finished = NULL;
        struct job *job = free_job(&tests);
        while (next < count && cases[next].verdict != TEST_WAITING)
            next++;
        if (job && next < count) {
            started(opaque, &cases[next]);
            if (start(&tests, job, &cases[next])) {
                next++;
                continue;
            }
            snprintf(why, why_size, "cannot start a process for %s: %s", cases[next].image, strerror(errno));
            result = -1;
            break;
        }
        if (!busy(&tests))
            break;
        result = wait_once(&tests, &finished);
        if (finished)
            done(opaque, finished);
    }
    if (tests.signals < 0) {
        snprintf(why, why_size, "cannot watch for signals: %s", strerror(errno));
        result = -1;
    } else {
        end_all(&tests);
        close(tests.signals);
    }
    sigprocmask(SIG_SETMASK, &tests.old_mask, NULL);
    return result;
}

void test_case_free(struct test_case *test)
{
    free(test->serial.data);
    free(test->errors.data);
}
