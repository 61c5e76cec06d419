/*
 * qmp.c - messages in and out; see qmp.h. The commands are in qmp_commands.c.
 */
#include <string.h>
#include <time.h>

#include "config.h"
#include "debug/qmp_internal.h"

#define MESSAGE_MAX ((size_t)1 << 20) /* bytes */
#define DEPTH_MAX   32                /* objects and arrays in each other */

/* --- Reading ------------------------------------------------------------------------------------- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static size_t spaces(const char *data, size_t size)
{
    size_t n = 0;

    while (n < size && is_space(data[n]))
        n++;
    return n;
}

/* What a broken line still has. */
static size_t skip_line(struct qmp_reader *reader, const char *data, size_t size)
{
    const char *end = memchr(data, '\n', size);

    reader->skip = !end;
    return end ? (size_t)(end - data) + 1 : size;
}

/* Whether the parser has taken the line's end along with a value that was complete before. */
static bool has_ended_line(const char *data, size_t used)
{
    while (used && is_space(data[used - 1]))
        if (data[--used] == '\n')
            return true;
    return false;
}

static struct json_tokener *new_tokener(void)
{
    struct json_tokener *tokener = json_tokener_new_ex(DEPTH_MAX);

    if (tokener)
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_ALLOW_TRAILING_CHARS |
                                            JSON_TOKENER_VALIDATE_UTF8);
    return tokener;
}

size_t qmp_read(struct qmp_reader *reader, const char *data, size_t size, struct json_object **message,
                const char **error)
{
    size_t used;

    *message = NULL;
    *error = NULL;
    if (reader->skip)
        return skip_line(reader, data, size);
    if (!reader->size) {
        used = spaces(data, size);
        if (used)
            return used;
    }
    if (!reader->tokener)
        reader->tokener = new_tokener();
    if (!reader->tokener) {
        *error = "out of memory";
        return skip_line(reader, data, size);
    }
    *message = json_tokener_parse_ex(reader->tokener, data, size > INT32_MAX ? INT32_MAX : (int)size);
    enum json_tokener_error result = json_tokener_get_error(reader->tokener);
    used = json_tokener_get_parse_end(reader->tokener);
    reader->size += used;
    if (result == json_tokener_continue && reader->size <= MESSAGE_MAX)
        return used;
    if (result == json_tokener_success && json_object_is_type(*message, json_type_object)) {
        json_tokener_reset(reader->tokener);
        reader->size = 0;
        return used;
    }
    *error = result == json_tokener_continue      ? "the message is longer than a MiB"
             : result == json_tokener_success     ? "a message is a JSON object"
             : result == json_tokener_error_depth ? "objects and arrays are nested too deeply"
                                                  : "this is not JSON";
    json_object_put(*message);
    *message = NULL;
    json_tokener_reset(reader->tokener);
    reader->size = 0;
    if (result == json_tokener_success && has_ended_line(data, used))
        return used;
    return used + skip_line(reader, data + used, size - used);
}

void qmp_reader_free(struct qmp_reader *reader)
{
    if (reader->tokener)
        json_tokener_free(reader->tokener);
    *reader = (struct qmp_reader){0};
}

/* --- Answers ------------------------------------------------------------------------------------- */

static struct json_object *answer(const char *key, struct json_object *value, struct json_object *id)
{
    struct json_object *reply = json_object_new_object();

    json_object_object_add(reply, key, value);
    if (id)
        json_object_object_add(reply, "id", json_object_get(id));
    return reply;
}

static struct json_object *error_of(const char *class, const char *why)
{
    struct json_object *error = json_object_new_object();

    json_object_object_add(error, "class", json_object_new_string(class));
    json_object_object_add(error, "desc", json_object_new_string(why));
    return error;
}

struct json_object *qmp_refusal(const char *error)
{
    return answer("error", error_of("GenericError", error), NULL);
}

struct json_object *qmp_version(void)
{
    struct json_object *version = json_object_new_object(), *number = json_object_new_object();
    int major = 0, minor = 0, micro = 0;

    /* The number's key is the protocol's; the number is ours. */
    sscanf(PACKAGE_VERSION, "%d.%d.%d", &major, &minor, &micro);
    json_object_object_add(number, "major", json_object_new_int(major));
    json_object_object_add(number, "minor", json_object_new_int(minor));
    json_object_object_add(number, "micro", json_object_new_int(micro));
    json_object_object_add(version, "qemu", number);
    json_object_object_add(version, "package", json_object_new_string("Oxbow " PACKAGE_VERSION));
    return version;
}

struct json_object *qmp_greeting(void)
{
    struct json_object *greeting = json_object_new_object();

    json_object_object_add(greeting, "version", qmp_version());
    json_object_object_add(greeting, "capabilities", json_object_new_array());
    return answer("QMP", greeting, NULL);
}

struct json_object *qmp_event(const char *name, struct json_object *data)
{
    struct json_object *event = json_object_new_object(), *stamp = json_object_new_object();
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    json_object_object_add(stamp, "seconds", json_object_new_int64(now.tv_sec));
    json_object_object_add(stamp, "microseconds", json_object_new_int64(now.tv_nsec / 1000));
    json_object_object_add(event, "timestamp", stamp);
    json_object_object_add(event, "event", json_object_new_string(name));
    if (data)
        json_object_object_add(event, "data", data);
    return event;
}

/* --- Commands ------------------------------------------------------------------------------------ */

struct json_object *qmp_fail(struct qmp_call *call, const char *class, const char *format, ...)
{
    va_list arguments;

    call->class = class;
    va_start(arguments, format);
    vsnprintf(call->why, sizeof(call->why), format, arguments);
    va_end(arguments);
    return NULL;
}

static bool has_type(struct json_object *value, char type)
{
    switch (type) {
    case 's':
        return json_object_is_type(value, json_type_string);
    case 'i':
        return json_object_is_type(value, json_type_int);
    case 'b':
        return json_object_is_type(value, json_type_boolean);
    case 'a':
        return json_object_is_type(value, json_type_array);
    default:
        return json_object_is_type(value, json_type_object);
    }
}

/*
 * Finds the argument in the row's list: words like "name:s", with '?' before those that may be left out.
 * NULL: it has none of the name.
 */
static const char *find_argument(const char *list, const char *name)
{
    size_t length = strlen(name);

    for (const char *word = list; *word; word += strcspn(word, " "), word += *word == ' ') {
        const char *start = word + (*word == '?');

        if (!strncmp(start, name, length) && start[length] == ':')
            return start + length + 1;
    }
    return NULL;
}

static bool has_required(struct qmp_call *call, const char *list)
{
    char name[40];

    for (const char *word = list; *word; word += strcspn(word, " "), word += *word == ' ') {
        if (*word == '?')
            continue;
        snprintf(name, sizeof(name), "%.*s", (int)strcspn(word, ":"), word);
        if (!json_object_object_get_ex(call->arguments, name, NULL)) {
            qmp_fail(call, "GenericError", "the argument \"%s\" is missing", name);
            return false;
        }
    }
    return true;
}

static const char *type_name(char type)
{
    return type == 's'   ? "a string"
           : type == 'i' ? "an integer"
           : type == 'b' ? "true or false"
           : type == 'a' ? "an array"
                         : "an object";
}

/* Whether the arguments are those the row wants. */
static bool check_arguments(struct qmp_call *call, const struct qmp_row *row)
{
    json_object_object_foreach(call->arguments, name, value)
    {
        const char *type = find_argument(row->arguments, name);

        if (!type || strpbrk(name, ": ?")) {
            qmp_fail(call, "GenericError", "%s has no argument \"%.60s\"", row->name, name);
            return false;
        }
        if (!has_type(value, *type)) {
            qmp_fail(call, "GenericError", "the argument \"%s\" is to be %s", name, type_name(*type));
            return false;
        }
    }
    return has_required(call, row->arguments);
}

/* The message's own keys. False: see the call. */
static bool take_message(struct qmp_call *call, struct json_object *message, const char **command)
{
    *command = NULL;
    call->arguments = NULL;
    json_object_object_foreach(message, key, value)
    {
        if (!strcmp(key, "execute")) {
            if (!has_type(value, 's')) {
                qmp_fail(call, "GenericError", "\"execute\" is to be a string");
                return false;
            }
            *command = json_object_get_string(value);
        } else if (!strcmp(key, "arguments")) {
            if (!has_type(value, 'o')) {
                qmp_fail(call, "GenericError", "\"arguments\" is to be an object");
                return false;
            }
            call->arguments = value;
        } else if (!strcmp(key, "exec-oob")) {
            qmp_fail(call, "GenericError", "out-of-band execution is not among the capabilities offered");
            return false;
        } else if (strcmp(key, "id")) {
            qmp_fail(call, "GenericError", "a message has no \"%.60s\"; it has execute, arguments and id",
                     key);
            return false;
        }
    }
    if (!*command)
        qmp_fail(call, "GenericError", "the message has no \"execute\"");
    return *command;
}

static const struct qmp_row *find_row(const char *name)
{
    for (const struct qmp_row *row = qmp_table; row->name; row++)
        if (!strcmp(row->name, name))
            return row;
    return NULL;
}

static struct json_object *execute(struct qmp_call *call, const char *command)
{
    const struct qmp_row *row = find_row(command);
    struct json_object *none = NULL, *result = NULL;

    if (!row)
        return qmp_fail(call, "CommandNotFound", "there is no command \"%.60s\"; query-commands lists them",
                        command);
    if (!call->session->negotiated && strcmp(command, "qmp_capabilities"))
        return qmp_fail(call, "CommandNotFound", "a session begins with qmp_capabilities");
    if (!call->arguments)
        call->arguments = none = json_object_new_object();
    if (check_arguments(call, row))
        result = row->run(call);
    json_object_put(none);
    return result;
}

struct json_object *qmp_handle(struct qmp_session *session, struct json_object *message)
{
    struct qmp_call call = {.session = session, .machine = session->machine, .class = "GenericError"};
    struct json_object *id = json_object_object_get(message, "id"), *result = NULL;
    const char *command;

    if (take_message(&call, message, &command))
        result = execute(&call, command);
    return result ? answer("return", result, id) : answer("error", error_of(call.class, call.why), id);
}
