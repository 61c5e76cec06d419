/*
 * drive.h - runs a program as a user at a terminal would: types, waits for what it prints, looks at how it
 * ends.
 *
 * Every wait has a bound and ends as soon as what it waits for is there. A program that is still running when
 * its driver is freed is killed.
 */
#ifndef TESTS_SYSTEM_DRIVE_H
#define TESTS_SYSTEM_DRIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct drive {
    pid_t pid;
    int in, out;  /* the program's standard input and outputs; the same descriptor for a terminal */
    int terminal; /* the terminal's own side, to look at its modes; -1 without one */
    char *text;   /* all it printed, terminated */
    size_t size, capacity;
    size_t mark; /* up to where drive_expect() has read */
    bool ended;  /* it closed its outputs */
    int status;  /* exit status, 128 + signal; -1 while it runs */
};

/* Whether this host has terminals to give. */
bool drive_has_terminal(void);

/* Starts argv[0] with its outputs joined, on a new terminal or on pipes. False when the host can't. */
bool drive_start(struct drive *drive, const char *const argv[], bool on_terminal);
void drive_free(struct drive *drive);

/* Types this; false when the program is gone. */
bool drive_send(struct drive *drive, const char *text);

/* Waits until `text` is printed behind the mark, and moves the mark behind it. */
bool drive_expect(struct drive *drive, const char *text, double seconds);

/* Reads what is printed for so long, or until the end, so that the program never waits for a reader. */
void drive_listen(struct drive *drive, double seconds);

/* Waits for the end and gives the exit status; -1 when the time is up. */
int drive_wait(struct drive *drive, double seconds);

/*
 * Types a shell command line, waits for its end and gives its exit status, -1 when there was none in time.
 * *output (to be freed) is what it printed, without carriage returns.
 */
int drive_command(struct drive *drive, const char *command, char **output, double seconds);

#endif
