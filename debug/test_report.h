/*
 * test_report.h - what became of test cases, for people and for programs.
 */
#ifndef DEBUG_TEST_REPORT_H
#define DEBUG_TEST_REPORT_H

#include <stdio.h>

#include "debug/test_run.h"

struct test_totals {
    size_t passed, failed, skipped, waiting;
};
struct test_totals test_count(const struct test_case *cases, size_t count);

/* "kernel.elf (jit, 2nd run)": as much of it as tells cases apart. */
void test_name(const struct test_case *test, bool with_engine, bool with_repeat, char *name, size_t size);

/* The last `lines` lines of what it printed, and then its errors, with `before` before each line. */
void test_print_tail(const struct test_case *test, unsigned lines, const char *before, FILE *out);

/*
 * Of each image with several cases: under which engines it passes and under which it fails, and the first
 * line in which what it printed differs; and what passes sometimes only.
 */
void test_print_differences(const struct test_case *cases, size_t count, const char *before, FILE *out);

/*
 * All that each case printed, to files in `folder`: IMAGE.ENGINE.serial and IMAGE.ENGINE.errors, IMAGE without its folders;
 * of a repeated one IMAGE.ENGINE.N.serial. False with errno when they can't be written.
 */
bool test_write_logs(const char *folder, const struct test_case *cases, size_t count);

/* JUnit's XML. False with errno when it can't be written. */
bool test_write_junit(const char *path, const struct test_case *cases, size_t count, double seconds);

#endif
