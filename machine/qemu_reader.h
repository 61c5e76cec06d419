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
#define NETDEVS_MAX  8

/* A drive, wherever on the command line it is described. */
struct qemu_drive {
    struct qemu_list list;
    const char *file, *interface, *id, *format; /* format: NULL: not said */
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
    struct qemu_list netdev[NETDEVS_MAX];
    unsigned netdevs;
    char hub[4200];     /* what -net said of card and network, as parts of --net */
    bool hub_card;      /* -net nic */
    bool network, bare; /* something was said of networks; -nodefaults */
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
/* qemu_network.c: cards and networks; a card for -device; what is left when all was read. */
qemu_handler qemu_take_nic, qemu_take_netdev, qemu_take_net;
bool qemu_add_card(struct qemu_reader *reader, struct qemu_list *list);
bool qemu_finish_network(struct qemu_reader *reader);
/* The drive becomes one of ours. */
bool qemu_plug(struct qemu_reader *reader, const struct qemu_drive *drive);

#endif
