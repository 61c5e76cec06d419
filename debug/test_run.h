/*
 * test_run.h - boots kernels one after another or side by side, each in a process of its own, and decides of
 * each whether that was good: by the exit device, by what comes out of the first serial port, and by how the
 * run ended.
 */
#ifndef DEBUG_TEST_RUN_H
#define DEBUG_TEST_RUN_H

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/options.h"

/* How a run of a machine ended, as the process that ran it reports. */
struct test_end {
    bool ended;     /* it did; otherwise its process died before */
    int status;     /* an exit status of Oxbow's */
    int exit_value; /* what the guest wrote to the exit device; -1: nothing */
};

/* Runs a machine to its end. */
typedef void test_runner(const struct options *options, struct test_end *end);

/* What is wanted of all cases. */
struct test_plan {
    test_runner *run;
    regex_t *expect, *fail; /* lines that decide at once; NULL: none */
    int exit_success;       /* the value for the exit device that means success */
    uint64_t timeout;       /* ns */
    char **options;         /* further ones for each machine, after our own; ends with NULL */
};

enum test_verdict { TEST_WAITING, TEST_PASSED, TEST_FAILED, TEST_SKIPPED };

/* A text that grows; what came last stays when there is too much. */
struct test_text {
    char *data; /* ends with a 0 that doesn't count */
    size_t size;
    bool truncated; /* at its front */
};

/* A kernel, an engine, and what came of them. */
struct test_case {
    const char *image, *engine;
    unsigned repeat; /* counts from 0 */
    enum test_verdict verdict;
    char reason[200]; /* of the verdict, in words */
    double seconds;
    struct test_text serial, errors; /* from the first serial port; on standard error */
};

#define TEST_JOBS_MAX 256

/*
 * Runs all cases that wait, up to `jobs` (1 to TEST_JOBS_MAX) at a time, and calls done() for each in the
 * order in which they end, and started() before. Returns 0, or the number of the signal (SIGINT, SIGTERM,
 * SIGHUP) that ended it early; cases that did not run then still wait. -1 with a line in `why` when the host
 * can't.
 */
int test_run(const struct test_plan *plan, struct test_case *cases, size_t count, unsigned jobs,
             void (*started)(void *opaque, const struct test_case *test),
             void (*done)(void *opaque, const struct test_case *test), void *opaque, char *why,
             size_t why_size);

/* The host's monotonic time, in ns. */
uint64_t test_now(void);

void test_case_free(struct test_case *test);

#endif
