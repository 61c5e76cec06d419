/*
 * log.h - one line of text to whoever runs the machine.
 *
 * Every machine has one struct log; parts that have something to say are handed a pointer to it. Guest
 * misbehaviour (a driver that programs a chip with nonsense) has a level of its own, LOG_GUEST, off by
 * default: it is news for the OS developer, not a fault of Oxbow.
 *
 * Locking: log_at() may be called from any thread.
 */
#ifndef CORE_LOG_H
#define CORE_LOG_H

#include <stdbool.h>
#include <stdio.h>

enum log_level {
    LOG_ERROR, /* the run cannot go on as asked */
    LOG_WARN,  /* it goes on, but not as asked */
    LOG_INFO,  /* worth a line once */
    LOG_GUEST, /* the guest did what real hardware would ignore or fault */
    LOG_DEBUG, /* for whoever works on Oxbow */
    LOG_LEVELS
};

struct log {
    FILE *out;                                                         /* where lines go; stderr by default */
    unsigned enabled;                                                  /* bit n set: level n is printed */
    void (*tap)(void *opaque, enum log_level level, const char *line); /* also told every line; may be NULL */
    void *tap_opaque;
};

/* Errors, warnings and info to `out`. */
void log_init(struct log *log, FILE *out);

/* One line, "PART: text", without a newline in `format`. `log` may be NULL: then nothing is printed. */
void log_at(struct log *log, enum log_level level, const char *part, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The level's name as options spell it ("guest"), and back; -1 when there is no such level. */
const char *log_level_name(enum log_level level);
int log_level_from_name(const char *name);

#endif
