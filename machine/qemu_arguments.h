/*
 * qemu_arguments.h - the command line of QEMU's system emulators, as far as this machine has what it asks
 * for.
 *
 * Made for projects whose Makefile runs QEMU: what means the same here is done, what can be left out is named
 * in a note, and what can't is an error that says what there is instead.
 */
#ifndef MACHINE_QEMU_ARGUMENTS_H
#define MACHINE_QEMU_ARGUMENTS_H

#include <stdbool.h>
#include <stdio.h>

#include "core/options.h"

/*
 * Reads argv (argv[0] is skipped) into options that options_init() prepared. Notes are lines to `notes`.
 * False with a line in `why` when the machine can't be what is asked for.
 */
bool qemu_arguments_read(struct options *options, int argc, char **argv, FILE *notes, char *why,
                         size_t why_size);

/* What is understood. */
void qemu_arguments_print_help(FILE *out);

#endif
