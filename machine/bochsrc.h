/*
 * bochsrc.h - reads Bochs's configuration file as a machine file.
 */
#ifndef MACHINE_BOCHSRC_H
#define MACHINE_BOCHSRC_H

#include <stdbool.h>
#include <stdio.h>

#include "core/options.h"

/* Whether a file, read from its beginning and rewound, is one of Bochs's rather than an INI file. */
bool bochsrc_recognise(FILE *file);

/* Sets the options that correspond; names those that don't in a line to `notes`. False with a line in `why`.
 */
bool bochsrc_read(FILE *file, const char *path, struct options *options, FILE *notes, char *why,
                  size_t why_size);

#endif
