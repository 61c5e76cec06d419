/*
 * stamp.c - runs an emulator (or a plain program) and notes when the lines arrive that its guest prints for
 * us.
 *
 *     stamp [-f FIFO] [-l LOG] [-e FILE] [-t SECONDS] [-p] [-m NAME=TEXT]... [-u NAME=TEXT] -- COMMAND...
 *
 * Lines are looked for in the command's standard output, or in FIFO, which must exist, when the command
 * writes its guest's serial line there; its standard output is dropped then. Each line that has
 * "@@" in it is printed, from there on, after two numbers: the seconds since the command was started and the
 * processor seconds that it has used. A line counts from the moment when its last byte was read.
 *
 *     -l LOG      everything that was read, each line with its time before it
 *     -e FILE     the command's standard error
 *     -t SECONDS  how long to wait before the command is killed (300)
 *     -p          the command and its children share one processor
 *     -m NAME=TEXT  for guests that don't know of us: when TEXT has come for the first time, be it within a
 *                 line, "@@NAME" is printed as if it were a line of its own
 *     -u NAME=TEXT  likewise, and the command is ended then
 *
 * After "@@done" the command has GRACE seconds to end by itself. The last line is "@@exit N" with the exit
 * status, "@@exit timeout", "@@exit signal N", or "@@exit killed" for a command that was done and stayed. A
 * marker sent by the guest never looks like that: it is lower-case words after "@@", and "exit" isn't one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define GRACE     5.0
#define LINE_SIZE 1024
#define TEXTS     8

struct text {
    const char *name, *text;
    bool last; /* the command is ended when it comes */
    bool seen;
};

struct stamp {
    const char *fifo, *log_path, *error_path;
    double limit; /* seconds */
    bool one_processor;
    struct text texts[TEXTS];
    unsigned text_count;
    char **command;

    pid_t pid;
    int input;
    double start;    /* on the monotonic clock */
    double deadline; /* likewise */
    bool done;
    FILE *log;
    char line[LINE_SIZE]; /* what there is of a line; a longer one is cut into several */
    size_t length;
};

static double seconds(clockid_t id)
{
    struct timespec time = {0};

    clock_gettime(id, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

_Noreturn static void fail(const char *what)
{
    fprintf(stderr, "stamp: %s: %s\n", what, strerror(errno));
    exit(125);
}

/* Parts NAME=TEXT. */
static void add_text(struct stamp *stamp, char *argument, bool last)
{
    char *sign = strchr(argument, '=');

    if (!sign || !sign[1] || stamp->text_count == TEXTS) {
        fprintf(stderr, "stamp: %s: give NAME=TEXT, up to %d times\n", argument, TEXTS);
        exit(125);
    }
    *sign = 0;
    stamp->texts[stamp->text_count++] = (struct text){argument, sign + 1, last, false};
}

static void parse(struct stamp *stamp, int argc, char **argv)
{
    int letter;

    while ((letter = getopt(argc, argv, "+f:l:e:t:pm:u:")) != -1) {
        switch (letter) {
        case 'f':
            stamp->fifo = optarg;
            break;
        case 'l':
            stamp->log_path = optarg;
            break;
        case 'e':
            stamp->error_path = optarg;
            break;
        case 't':
            stamp->limit = strtod(optarg, NULL);
            break;
        case 'p':
            stamp->one_processor = true;
            break;
        case 'm':
        case 'u':
            add_text(stamp, optarg, letter == 'u');
            break;
        default:
            exit(125);
        }
    }
    stamp->command = argv + optind;
    if (optind == argc || !(stamp->limit > 0)) {
        fprintf(stderr, "usage: stamp [-f FIFO] [-l LOG] [-e FILE] [-t SECONDS] [-p] [-m NAME=TEXT]... "
                        "[-u NAME=TEXT] -- COMMAND [ARGUMENT...]\n");
        exit(125);
    }
}

static void share_one_processor(void)
{
    cpu_set_t all, one;

    CPU_ZERO(&one);
    if (sched_getaffinity(0, sizeof(all), &all))
        return;
    /* The last: interrupts and the system's own work tend to be on the first. */
    for (int i = CPU_SETSIZE - 1; i >= 0; i--) {
        if (CPU_ISSET(i, &all)) {
            CPU_SET(i, &one);
            sched_setaffinity(0, sizeof(one), &one);
            return;
        }
    }
}

_Noreturn static void become_command(const struct stamp *stamp, int output)
{
    int null = open("/dev/null", O_RDWR);
    int error =
        stamp->error_path ? open(stamp->error_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666) : 2;

    if (null < 0 || error < 0)
        fail(stamp->error_path);
    /* A group of its own, so that all of it can be killed; and none of it outlives us. */
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (stamp->one_processor)
        share_one_processor();
    dup2(null, 0);
    dup2(output < 0 ? null : output, 1);
    dup2(error, 2);
    execvp(stamp->command[0], stamp->command);
    fail(stamp->command[0]);
}

static void start(struct stamp *stamp)
{
    int ends[2] = {-1, -1};

    if (stamp->log_path && !(stamp->log = fopen(stamp->log_path, "we")))
        fail(stamp->log_path);
    if (stamp->fifo) {
        /* Open for writing too: no end of file before the command has opened it, or when it opens it twice.
         */
        stamp->input = open(stamp->fifo, O_RDWR | O_CLOEXEC);
        if (stamp->input < 0)
            fail(stamp->fifo);
    } else {
        if (pipe2(ends, O_CLOEXEC))
            fail("pipe");
        stamp->input = ends[0];
    }
    stamp->start = seconds(CLOCK_MONOTONIC);
    stamp->deadline = stamp->start + stamp->limit;
    stamp->pid = fork();
    if (stamp->pid < 0)
        fail("fork");
    if (!stamp->pid)
        become_command(stamp, ends[1]);
    setpgid(stamp->pid, stamp->pid);
    if (ends[1] >= 0)
        close(ends[1]);
}

/* Processor seconds of the command so far. */
static double cpu_seconds(const struct stamp *stamp)
{
    clockid_t id;

    return clock_getcpuclockid(stamp->pid, &id) ? 0 : seconds(id);
}

static void end_line(struct stamp *stamp, double wall)
{
    double cpu = cpu_seconds(stamp);

    stamp->line[stamp->length] = 0;
    if (stamp->log)
        fprintf(stamp->log, "%10.6f %s\n", wall, stamp->line);
    const char *marker = strstr(stamp->line, "@@");
    if (marker && strncmp(marker, "@@exit", 6)) {
        printf("%.6f %.6f %s\n", wall, cpu, marker);
        fflush(stdout);
        if (!strcmp(marker, "@@done")) {
            stamp->done = true;
            stamp->deadline = stamp->start + wall + GRACE;
        }
    }
    stamp->length = 0;
}

/* Does the line, as far as it has come, end with one of the texts? */
static void look_for_texts(struct stamp *stamp, double wall)
{
    for (unsigned i = 0; i < stamp->text_count; i++) {
        struct text *text = &stamp->texts[i];
        size_t size = strlen(text->text);

        if (text->seen || size > stamp->length ||
            memcmp(stamp->line + stamp->length - size, text->text, size) != 0)
            continue;
        text->seen = true;
        printf("%.6f %.6f @@%s\n", wall, cpu_seconds(stamp), text->name);
        fflush(stdout);
        if (text->last) {
            stamp->done = true;
            stamp->deadline = stamp->start + wall;
        }
    }
}

/* Carriage returns, and what else a terminal would not show, are no part of a line. */
static void take(struct stamp *stamp, const char *data, size_t size)
{
    double wall = seconds(CLOCK_MONOTONIC) - stamp->start;

    for (size_t i = 0; i < size; i++) {
        if (data[i] == '\n' || stamp->length == LINE_SIZE - 1)
            end_line(stamp, wall);
        if ((unsigned char)data[i] >= ' ' && data[i] != 127) {
            stamp->line[stamp->length++] = data[i];
            look_for_texts(stamp, wall);
        }
    }
}

/* True when the command has ended; it is not reaped, so that its processor time can still be read. */
static bool has_ended(const struct stamp *stamp)
{
    siginfo_t info = {0};

    return !waitid(P_PID, (id_t)stamp->pid, &info, WEXITED | WNOHANG | WNOWAIT) && info.si_pid == stamp->pid;
}

/* Reads until the command has ended or its time is up; true when it has ended. */
static bool watch(struct stamp *stamp)
{
    struct pollfd fd = {.fd = stamp->input, .events = POLLIN};
    bool ended = false;
    char data[4096];

    for (;;) {
        double left = stamp->deadline - seconds(CLOCK_MONOTONIC);
        if (!ended)
            ended = has_ended(stamp);
        if (!ended && left <= 0)
            return false;
        /* A FIFO that we hold open has no end, and a pipe none as long as a grandchild has it. */
        int ready = poll(&fd, 1, ended ? 0 : left < 0.1 ? (int)(left * 1000) + 1 : 100);
        if (ready < 0 && errno != EINTR)
            fail("poll");
        if (ready <= 0 && ended)
            return true;
        if (ready <= 0)
            continue;
        ssize_t size = read(stamp->input, data, sizeof(data));
        if (size > 0) {
            take(stamp, data, (size_t)size);
        } else {
            /* Its output is closed, but it may still have to tidy up. */
            fd.fd = -1;
        }
    }
}

static void finish(struct stamp *stamp, bool ended)
{
    double wall = seconds(CLOCK_MONOTONIC) - stamp->start;
    double cpu = cpu_seconds(stamp);
    int status;

    if (stamp->length)
        end_line(stamp, wall);
    if (!ended) {
        /* First kindly: an emulator may have something to say at its end. */
        kill(-stamp->pid, SIGTERM);
        for (unsigned i = 0; i < 20 && !has_ended(stamp); i++)
            poll(NULL, 0, 50);
        kill(-stamp->pid, SIGKILL);
    }
    waitpid(stamp->pid, &status, 0);
    printf("%.6f %.6f @@exit ", wall, cpu);
    if (!ended)
        printf("%s\n", stamp->done ? "killed" : "timeout");
    else if (WIFSIGNALED(status))
        printf("signal %d\n", WTERMSIG(status));
    else
        printf("%d\n", WEXITSTATUS(status));
    if (stamp->log)
        fclose(stamp->log);
}

int main(int argc, char **argv)
{
    struct stamp stamp = {.limit = 300};

    parse(&stamp, argc, argv);
    start(&stamp);
    finish(&stamp, watch(&stamp));
    return fflush(stdout) || ferror(stdout) ? 125 : 0;
}
