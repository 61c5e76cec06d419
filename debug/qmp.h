/*
 * qmp.h - the protocol of the control socket: QMP's messages, and a table of commands behind them.
 *
 * A message is a JSON object, {"execute": NAME, "arguments": {...}, "id": ANYTHING}, answered by {"return":
 * ...} or
 * {"error": {"class": ..., "desc": ...}} with the same id. The first command of a session is
 * qmp_capabilities. Commands have QMP's names and arguments where QMP has such a command; ours begin with
 * x-oxbow-.
 *
 * Locking: qmp_handle() is for the thread of machine_run(), without the machine lock.
 */
#ifndef DEBUG_QMP_H
#define DEBUG_QMP_H

#include <stdbool.h>
#include <stddef.h>

#include <json-c/json.h>

struct machine;

/* Bytes into messages. Zero it. */
struct qmp_reader {
    struct json_tokener *tokener;
    size_t size; /* bytes of the message under way; 0: none */
    bool skip;   /* the rest of this line follows an error */
};

/*
 * Reads on in data[0..size) and returns how many bytes it took, at least one. When these complete a message,
 * it is in *message, the caller's to put; when there is something wrong with it, *error says what, and
 * reading goes on with the next line. Otherwise both are NULL.
 */
size_t qmp_read(struct qmp_reader *reader, const char *data, size_t size, struct json_object **message,
                const char **error);
void qmp_reader_free(struct qmp_reader *reader);

struct qmp_session {
    struct machine *machine;
    bool negotiated;
};

/* What the server says first. */
struct json_object *qmp_greeting(void);

/* Does what the message says and returns the answer. */
struct json_object *qmp_handle(struct qmp_session *session, struct json_object *message);

/* The answer to what is no message. */
struct json_object *qmp_refusal(const char *error);

/* A message about an event, now; `data` (NULL: none) becomes part of it. */
struct json_object *qmp_event(const char *name, struct json_object *data);

#endif
