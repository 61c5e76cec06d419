/*
 * qmp_internal.h - between qmp.c and the files with commands.
 */
#ifndef DEBUG_QMP_INTERNAL_H
#define DEBUG_QMP_INTERNAL_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include "debug/qmp.h"

struct qmp_call {
    struct qmp_session *session;
    struct machine *machine;
    struct json_object *arguments; /* an object; checked */
    const char *class;             /* of the error, */
    char why[500];                 /* when there is one */
};

struct qmp_row {
    const char *name;
    /* Words NAME:TYPE, '?' before those that may be left out; s string, i integer, b boolean, a array, o
     * object. */
    const char *arguments;
    /* What goes into "return", or NULL and qmp_fail(). */
    struct json_object *(*run)(struct qmp_call *call);
};

/* Ends with a row whose name is NULL. */
extern const struct qmp_row qmp_table[];

/* Makes the answer an error; returns NULL. */
struct json_object *qmp_fail(struct qmp_call *call, const char *class, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

struct json_object *qmp_version(void);

/* balloon.c, qmp_input.c */
struct json_object *qmp_balloon(struct qmp_call *call), *qmp_query_balloon(struct qmp_call *call),
    *qmp_input_send_event(struct qmp_call *call);

/* qmp_media.c */
struct json_object *qmp_blockdev_add(struct qmp_call *call), *qmp_blockdev_del(struct qmp_call *call),
    *qmp_open_tray(struct qmp_call *call), *qmp_close_tray(struct qmp_call *call),
    *qmp_remove_medium(struct qmp_call *call), *qmp_insert_medium(struct qmp_call *call);

#endif
