/*
 * qemu_reader.h - what the readers of QEMU's options share. For machine/qemu_*.c alone.
 */
#ifndef MACHINE_QEMU_READER_H
#define MACHINE_QEMU_READER_H

#include <stdio.h>

#include "core/options.h"
#include "machine/qemu_list.h"

#define DRIVES_MAX   16
#define CHARDEVS_MAX 16

/* A drive, wherever on the command line it is described. */
struct qemu_drive {
    struct qemu_list list;
    const char *file, *interface, *id;
    bool cdrom, read_only, snapshot;
};

struct qemu_reader {
    struct options *options;
    FILE *notes;
    char *why;
    size_t why_size;
    struct qemu_drive drive[DRIVES_MAX];
    unsigned drives;
    struct qemu_list chardev[CHARDEVS_MAX];
    unsigned chardevs;
    unsigned serials;
    bool snapshot, memory, graphic_off, silent;
};

struct qemu_argument;
typedef bool qemu_handler(struct qemu_reader *reader, const struct qemu_argument *argument,
                          const char *value);

/* What the last word of a table row is for. */
struct qemu_argument {
    const char *name, *value; /* value: as help shows it; NULL for a switch */
    qemu_handler *take;
    const char *what; /* an option of ours, a note, or a value, as the handler wants */
    bool early;       /* taken by the first pass */
};

/* Says why; false. */
bool qemu_fail(struct qemu_reader *reader, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool qemu_out_of_memory(struct qemu_reader *reader);
/* A line for the user that doesn't stop anything. */
void qemu_note(struct qemu_reader *reader, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What could not be used of a list is named. */
void qemu_note_unused(struct qemu_reader *reader, const struct qemu_argument *argument,
                      const struct qemu_list *list);
/* Sets an option of ours. */
bool qemu_set(struct qemu_reader *reader, const char *name, const char *value);

/* qemu_parts.c: drives, streams and devices. */
qemu_handler qemu_take_disk, qemu_take_drive, qemu_take_chardev, qemu_take_stream, qemu_take_device;
/* The drive becomes one of ours. */
bool qemu_plug(struct qemu_reader *reader, const struct qemu_drive *drive);

#endif
