/*
 * main.c - runs the unit tests and reports in TAP, a line a test case.
 *
 *     tests/unit/unit              all of them
 *     tests/unit/unit SUITE...     these suites
 *     tests/unit/unit --list       names the suites
 *
 * tests/unit/chips is the same with the suites of the chips alone, built with sanitizers.
 *
 * CK_FORK=no runs the cases in one process, for debuggers; CK_RUN_CASE=NAME only those of one name.
 *
 * Cases that need something which a host may lack are in a TCase with its name and tag; where it is lacking,
 * they are skipped and the report says why.
 */
#include <check.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/suites.h"

#ifdef CHIPS_ALONE
#define BUILT_SUITES CHIP_SUITES
#else
#define BUILT_SUITES SUITES
#endif

#define DECLARE(name) Suite *name##_suite(void);
BUILT_SUITES(DECLARE)

#define ROW(name) {#name, name##_suite},
static const struct {
    const char *name;
    Suite *(*make)(void);
} suites[] = {BUILT_SUITES(ROW)};

enum { SUITE_COUNT = sizeof(suites) / sizeof(*suites) };

static bool have_pty(void)
{
    int fd = posix_openpt(O_RDWR | O_NOCTTY);
    bool have = fd >= 0 && !grantpt(fd) && !unlockpt(fd) && ptsname(fd) && !access(ptsname(fd), R_OK | W_OK);

    if (fd >= 0)
        close(fd);
    return have;
}

static bool have_proc(void)
{
    return !access("/proc/self/status", R_OK);
}

static bool have_kvm(void)
{
    int fd = open("/dev/kvm", O_RDWR);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static const struct {
    const char *tag;
    bool (*have)(void);
    const char *why;
} needs[] = {
    {"pty", have_pty, "this host has no pseudo-terminals"},
    {"proc", have_proc, "/proc is not mounted"},
    {"kvm", have_kvm, "/dev/kvm can't be opened"},
};

enum { NEED_COUNT = sizeof(needs) / sizeof(*needs) };

/* Copies a suite's TAP with the numbers that follow `count`; returns the last one. */
static int copy_results(FILE *tap, int count)
{
    char line[4096];
    int number, text;

    rewind(tap);
    while (fgets(line, sizeof(line), tap)) {
        bool failed = !strncmp(line, "not ", 4);
        if (sscanf(line + (failed ? 4 : 0), "ok %d%n", &number, &text) == 1)
            printf("%sok %d%s", failed ? "not " : "", ++count, line + (failed ? 4 : 0) + text);
        else if (strncmp(line, "1..", 3))
            printf("# %s", line);
    }
    return count;
}

/* Runs a suite; `count` is the number of results so far. */
static void run_suite(Suite *suite, const char *name, int *count, int *failed)
{
    char path[] = "/tmp/oxbow-unit-XXXXXX", without[64] = "";
    int fd = mkstemp(path);
    FILE *tap = fd < 0 ? NULL : fdopen(fd, "r");
    SRunner *runner = srunner_create(suite);

    if (!tap) {
        perror(path);
        exit(2);
    }
    for (int i = 0; i < NEED_COUNT; i++) {
        if (!suite_tcase(suite, needs[i].tag) || needs[i].have())
            continue;
        strcat(strcat(without, " "), needs[i].tag);
        printf("ok %d - %s: cases that need %s # SKIP %s\n", ++*count, name, needs[i].tag, needs[i].why);
    }
    srunner_set_tap(runner, path);
    srunner_run_tagged(runner, NULL, NULL, NULL, *without ? without + 1 : NULL, CK_SILENT);
    *failed += srunner_ntests_failed(runner);
    srunner_free(runner);
    *count = copy_results(tap, *count);
    fflush(stdout);
    fclose(tap);
    unlink(path);
}

static bool is_wanted(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], name))
            return true;
    return argc == 1;
}

static bool is_known(const char *name)
{
    for (int i = 0; i < SUITE_COUNT; i++)
        if (!strcmp(suites[i].name, name))
            return true;
    return false;
}

int main(int argc, char **argv)
{
    int count = 0, failed = 0;

    if (argc == 2 && !strcmp(argv[1], "--list")) {
        for (int i = 0; i < SUITE_COUNT; i++)
            puts(suites[i].name);
        return 0;
    }
    for (int i = 1; i < argc; i++) {
        if (!is_known(argv[i])) {
            fprintf(stderr, "%s: there is no suite %s; --list names them\n", argv[0], argv[i]);
            return 2;
        }
    }
    for (int i = 0; i < SUITE_COUNT; i++)
        if (is_wanted(suites[i].name, argc, argv))
            run_suite(suites[i].make(), suites[i].name, &count, &failed);
    printf("1..%d\n", count);
    return failed ? 1 : 0;
}
