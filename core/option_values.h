/*
 * option_values.h - what a value may look like: how each kind of option takes its own. For core/option*.c
 * alone.
 */
#ifndef CORE_OPTION_VALUES_H
#define CORE_OPTION_VALUES_H

#include "core/options.h"

struct option_text {
    struct option_text *next;
    char text[];
};

/* For the table's rows; see struct option_row. `value` is NULL only where the option may stand alone. */
typedef bool option_setter(struct options *, const struct option_row *, const char *, char *, size_t);
option_setter set_flag, set_headless, set_text, set_image, set_order, set_disk, set_cdrom, set_floppy,
    set_serial, set_memory, set_cpus, set_choice, set_seconds, set_log, set_port, set_check, set_history, set_cache,
    set_dump, set_device, set_perf, set_action, set_switch,
    set_stop_on, set_share, set_root, set_net;

/* A copy that lives as long as the options; NULL with a line in `why` when memory ran out. */
char *options_keep(struct options *options, const char *text, char *why, size_t why_size);
/* Whether `word` is among the words of `choices`, which are separated by '|'. */
bool options_one_of(const char *word, const char *choices);

#endif
