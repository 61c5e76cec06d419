/* tap.h - results of tests in TAP, a line each. */
#ifndef TESTS_SYSTEM_TAP_H
#define TESTS_SYSTEM_TAP_H

#include <stdbool.h>

struct tap {
    int count, failed;
};

/* Reports a test's result; gives `passed` back. */
bool tap_ok(struct tap *tap, bool passed, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Counts a test that can't run here, and says why. */
void tap_skip(struct tap *tap, const char *name, const char *why);

/* Prints text of any length as comments, for the log of a failure. */
void tap_note(const char *label, const char *text);

/* The whole program is skipped; returns the exit status for main. */
int tap_skip_all(const char *why);

/* Ends the report; returns the exit status for main. */
int tap_done(const struct tap *tap);

#endif
