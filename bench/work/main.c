/*
 * main.c - the benchmark program: work [PERCENT [NAME...]] runs the workloads named, each at PERCENT of its
 * length (100), and prints for the one who watches from outside:
 *
 *     @@start NAME
 *     @@end NAME CHECKSUM WALL CPU          nanoseconds by this system's own clocks
 *     @@done
 *
 * The line that starts one has left the machine before the work begins. `work list` prints a line per
 * workload; `work exit N` does nothing but exit with status N, which is what the workload `exec` runs.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "work.h"

static const struct workload workloads[] = {
    {"calls", work_calls, 44, "calls and returns: recursion that does little else"},
    {"sort", work_sort, 9, "qsort() of numbers with a callback"},
    {"interp", work_interp, 48, "a bytecode interpreter: unpredictable indirect jumps and calls"},
    {"indirect", work_indirect, 6000000, "calls through a table, in an order that nothing foresees"},
    {"patch", work_patch, 1000000, "code that is rewritten between calls"},
    {"crc32", work_crc32, 32, "CRC-32 by table"},
    {"sieve", work_sieve, 7, "primes by sieve"},
    {"matrix", work_matrix, 20, "product of matrices of integers"},
    {"modpow", work_modpow, 2000, "64-bit multiplication and division"},
    {"float", work_float, 900, "Mandelbrot's set in scalar double precision"},
    {"dmatrix", work_dmatrix, 48, "product of matrices of doubles, scalar"},
    {"packed", work_packed, 40000, "packed single precision: a multiplication, an addition, four at a time"},
    {"x87", work_x87, 160000, "long double: polynomials, continued fractions, FSQRT"},
    {"fsin", work_fsin, 100000, "the x87's FSINCOS, FPATAN, FYL2X, F2XM1, FPTAN"},
    {"libm", work_libm, 200000, "the C library's sin(), exp(), log(), pow()"},
    {"sha256", work_sha256, 8, "SHA-256"},
    {"lz", work_lz, 32, "compression and decompression of text"},
    {"chase", work_chase, 24000000, "pointers through 8 MiB in random order"},
    {"copy", work_copy, 5000, "memcpy(), memmove(), memset() of all sizes"},
    {"strings", work_strings, 36000, "strlen(), strchr(), strcmp(), strstr(), snprintf()"},
    {"tree", work_tree, 24, "malloc() and free() of a binary tree's nodes"},
    {"syscall", work_syscall, 800000, "getppid()"},
    {"faults", work_faults, 100, "page faults: mmap(), touch, munmap()"},
    {"fork", work_fork, 1200, "fork() and waitpid()"},
    {"exec", work_exec, 300, "fork(), and execve() of a static program"},
    {"pipe", work_pipe, 24000, "a byte to and fro between two processes"},
    {"signal", work_signal, 64000, "a signal to itself, and its handler"},
};

#define WORKLOADS (sizeof(workloads) / sizeof(*workloads))

_Noreturn void work_fail(const char *what)
{
    fprintf(stderr, "work: %s: %s\n", what, strerror(errno));
    exit(1);
}

void *work_alloc(size_t size)
{
    void *memory = malloc(size);

    if (!memory)
        work_fail("memory");
    return memory;
}

static uint64_t nanoseconds(clockid_t id)
{
    struct timespec time;

    clock_gettime(id, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static uint64_t in_nanoseconds(struct timeval time)
{
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_usec * 1000;
}

/* Of this process and the children it has waited for. */
static uint64_t cpu_time(void)
{
    struct rusage children;

    getrusage(RUSAGE_CHILDREN, &children);
    return nanoseconds(CLOCK_PROCESS_CPUTIME_ID) + in_nanoseconds(children.ru_utime) +
           in_nanoseconds(children.ru_stime);
}

/* Until the last byte is out of the serial port; nothing to wait for on a pipe. */
static void drain(void)
{
    fflush(stdout);
    tcdrain(STDOUT_FILENO);
}

static void run(const struct workload *workload, unsigned long percent)
{
    unsigned long count = workload->count * percent / 100;

    printf("@@start %s\n", workload->name);
    drain();
    uint64_t cpu = cpu_time();
    uint64_t start = nanoseconds(CLOCK_MONOTONIC);
    uint64_t sum = workload->run(count ? count : 1);
    uint64_t end = nanoseconds(CLOCK_MONOTONIC);
    cpu = cpu_time() - cpu;
    printf("@@end %s %016" PRIx64 " %" PRIu64 " %" PRIu64 "\n", workload->name, sum, end - start, cpu);
    drain();
}

static const struct workload *find(const char *name)
{
    for (size_t i = 0; i < WORKLOADS; i++)
        if (!strcmp(workloads[i].name, name))
            return &workloads[i];
    return NULL;
}

static int list(void)
{
    for (size_t i = 0; i < WORKLOADS; i++)
        printf("%-8s %s\n", workloads[i].name, workloads[i].about);
    return 0;
}

int main(int argc, char **argv)
{
    unsigned long percent = 100;

    if (argc == 2 && !strcmp(argv[1], "list"))
        return list();
    if (argc == 3 && !strcmp(argv[1], "exit"))
        return atoi(argv[2]);
    if (argc > 1) {
        char *end;
        percent = strtoul(argv[1], &end, 10);
        if (*end || !percent || percent > 100000) {
            fprintf(stderr, "work: %s is no percentage; usage: work [PERCENT [NAME...]]\n", argv[1]);
            return 2;
        }
    }
    for (int i = 2; i < argc; i++) {
        const struct workload *workload = find(argv[i]);
        if (!workload) {
            fprintf(stderr, "work: there is no %s; work list says what there is\n", argv[i]);
            return 2;
        }
        run(workload, percent);
    }
    printf("@@done\n");
    drain();
    return 0;
}
