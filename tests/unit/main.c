/*
 * main.c - runs the unit tests and reports in TAP, a line a test case.
 *
 *     tests/unit/unit              all of them
 *     tests/unit/unit SUITE...     these suites
 *     tests/unit/unit --list       names the suites
 *
 * CK_FORK=no runs the cases in one process, for debuggers; CK_RUN_CASE=NAME only those of one name.
 */
#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/suites.h"

#define DECLARE(name) Suite *name##_suite(void);
SUITES(DECLARE)

#define ROW(name) {#name, name##_suite},
static const struct {
    const char *name;
    Suite *(*make)(void);
} suites[] = {SUITES(ROW)};

enum { SUITE_COUNT = sizeof(suites) / sizeof(*suites) };

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
    SRunner *runner = srunner_create(NULL);

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
            srunner_add_suite(runner, suites[i].make());
    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
