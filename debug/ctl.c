/*
 * ctl.c - see ctl.h. What the monitor knows is run there; other words are QMP's commands, with arguments as
 * NAME=VALUE.
 *
 * It is a QMP client like any other, and works on other programs' sockets as far as these know the commands.
 */
#include "debug/ctl.h"

#include <errno.h>
#include <histedit.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <json-c/json.h>

#include "core/options.h"

#define FAILED 1

static const char usage[] =
    "oxbow ctl PATH [COMMAND...] - controls the machine whose --control is unix:PATH\n"
    "\n"
    "COMMAND is the monitor's (help lists them) or QMP's, with arguments as NAME=VALUE:\n"
    "\n"
    "  oxbow ctl vm.sock info registers\n"
    "  oxbow ctl vm.sock screendump screen.png\n"
    "  oxbow ctl vm.sock blockdev-change-medium id=ide1-cd0 filename=disc.iso\n"
    "\n"
    "Without COMMAND, commands are read: on a terminal with history and completion, else a line each.\n"
    "The exit status is 0, 1 when a command failed, 2 for usage, 5 when no machine answers.\n";

struct ctl {
    int fd;
    bool lost;
    bool shows_events;
    bool is_oxbow;
    struct json_tokener *tokener;
    char in[4096];
    size_t start, count;
    struct json_object *names; /* QMP's commands, an object with a key each */
};

/* --- Messages ------------------------------------------------------------------------------------ */

static bool put(struct ctl *ctl, struct json_object *message)
{
    size_t size;
    const char *text = json_object_to_json_string_length(message, JSON_C_TO_STRING_PLAIN, &size);
    char *line = malloc(size + 1);
    bool done = line;

    if (line) {
        memcpy(line, text, size);
        line[size] = '\n';
        for (size_t at = 0; at < size + 1 && done;) {
            ssize_t sent = send(ctl->fd, line + at, size + 1 - at, MSG_NOSIGNAL);

            if (sent < 0 && errno != EINTR)
                done = false;
            at += sent > 0 ? (size_t)sent : 0;
        }
    }
    free(line);
    ctl->lost |= !done;
    return done;
}

/* The next message; NULL: the connection is lost, or (`wait` false) none is there yet. */
static struct json_object *get(struct ctl *ctl, bool wait)
{
    while (!ctl->lost) {
        struct pollfd slot = {.fd = ctl->fd, .events = POLLIN};

        if (ctl->count) {
            struct json_object *message =
                json_tokener_parse_ex(ctl->tokener, ctl->in + ctl->start, (int)ctl->count);
            enum json_tokener_error result = json_tokener_get_error(ctl->tokener);
            size_t used = json_tokener_get_parse_end(ctl->tokener);

            ctl->start += used;
            ctl->count -= used;
            if (result == json_tokener_success)
                return message;
            if (result != json_tokener_continue)
                break;
        }
        if (!wait && poll(&slot, 1, 0) <= 0)
            return NULL;
        ssize_t got = recv(ctl->fd, ctl->in, sizeof(ctl->in), 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        ctl->start = 0;
        ctl->count = (size_t)got;
    }
    ctl->lost = true;
    return NULL;
}

static void show_event(const struct ctl *ctl, struct json_object *event)
{
    struct json_object *data;

    if (!ctl->shows_events)
        return;
    printf("(%s", json_object_get_string(json_object_object_get(event, "event")));
    if (json_object_object_get_ex(event, "data", &data))
        printf(" %s", json_object_to_json_string_ext(data, JSON_C_TO_STRING_PLAIN));
    printf(")\n");
}

/* What "return" or "error" of the answer has, in *result; true for the former. NULL when nobody answers. */
static bool ask(struct ctl *ctl, const char *command, struct json_object *arguments,
                struct json_object **result)
{
    struct json_object *message = json_object_new_object(), *reply;

    *result = NULL;
    json_object_object_add(message, "execute", json_object_new_string(command));
    if (arguments)
        json_object_object_add(message, "arguments", arguments);
    put(ctl, message);
    json_object_put(message);
    while ((reply = get(ctl, true))) {
        bool good = json_object_object_get_ex(reply, "return", result);

        if (good || json_object_object_get_ex(reply, "error", result)) {
            json_object_get(*result);
            json_object_put(reply);
            return good;
        }
        if (json_object_object_get(reply, "event"))
            show_event(ctl, reply);
        json_object_put(reply);
    }
    return false;
}

static struct json_object *argument(const char *name, const char *text)
{
    struct json_object *arguments = json_object_new_object();

    json_object_object_add(arguments, name, json_object_new_string(text));
    return arguments;
}

/* --- Connecting ---------------------------------------------------------------------------------- */

static int refuse(const char *path, const char *why)
{
    fprintf(stderr, "oxbow: %s: %s\n", path, why);
    return EXIT_HOST;
}

static int connect_to(struct ctl *ctl, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (!strncmp(path, "unix:", 5))
        path += 5;
    if (strlen(path) >= sizeof(address.sun_path))
        return refuse(path, "too long for a socket's path");
    memcpy(address.sun_path, path, strlen(path) + 1);
    ctl->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (ctl->fd < 0 || connect(ctl->fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return refuse(path, errno == ECONNREFUSED ? "no machine listens there any more" : strerror(errno));
    ctl->tokener = json_tokener_new();

    struct json_object *greeting = ctl->tokener ? get(ctl, true) : NULL, *result;
    bool is_qmp = json_object_object_get_ex(greeting, "QMP", NULL);
    json_object_put(greeting);
    if (!is_qmp)
        return refuse(path, "who listens there doesn't speak QMP");
    bool good = ask(ctl, "qmp_capabilities", NULL, &result);
    json_object_put(result);
    return good ? 0 : refuse(path, "it refuses to talk");
}

static void learn_names(struct ctl *ctl)
{
    struct json_object *list, *name;

    ctl->names = json_object_new_object();
    if (ask(ctl, "query-commands", NULL, &list))
        for (size_t n = 0; n < json_object_array_length(list); n++)
            if (json_object_object_get_ex(json_object_array_get_idx(list, n), "name", &name))
                json_object_object_add(ctl->names, json_object_get_string(name), NULL);
    json_object_put(list);
    ctl->is_oxbow = json_object_object_get_ex(ctl->names, "x-oxbow-monitor", NULL);
}

/* --- Commands ------------------------------------------------------------------------------------ */

static int show_error(struct ctl *ctl, struct json_object *error)
{
    if (ctl->lost)
        fprintf(stderr, "oxbow: the machine is gone\n");
    else
        fprintf(stderr, "%s\n", json_object_get_string(json_object_object_get(error, "desc")));
    return ctl->lost ? EXIT_HOST : FAILED;
}

/* A line of the monitor. */
static int run_line(struct ctl *ctl, const char *line)
{
    struct json_object *result, *output = NULL;
    const char *command = ctl->is_oxbow ? "x-oxbow-monitor" : "human-monitor-command";
    bool good = ask(ctl, command, argument("command-line", line), &result);
    int status = 0;

    if (!good) {
        status = show_error(ctl, result);
    } else {
        output = ctl->is_oxbow ? json_object_object_get(result, "output") : result;
        if (ctl->is_oxbow && !json_object_get_boolean(json_object_object_get(result, "succeeded")))
            status = FAILED;
        fwrite(json_object_get_string(output), 1, (size_t)json_object_get_string_len(output),
               status ? stderr : stdout);
    }
    json_object_put(result);
    return status;
}

/* JSON as a whole; NULL: it isn't. */
static struct json_object *parse(const char *text)
{
    struct json_tokener *tokener = json_tokener_new();
    struct json_object *value = NULL;

    if (tokener) {
        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
        value = json_tokener_parse_ex(tokener, text, (int)strlen(text) + 1);
        json_tokener_free(tokener);
    }
    return value;
}

/* A number, true, false, or whatever is written as JSON; anything else is text. */
static struct json_object *value_of(const char *text)
{
    struct json_object *value;
    char *end;

    if (!strncmp(text, "0x", 2)) {
        uint64_t number = strtoull(text, &end, 16);

        if (!*end)
            return json_object_new_uint64(number);
    }
    value = parse(text);
    return value ? value : json_object_new_string(text);
}

static int run_qmp(struct ctl *ctl, const char *command, int argc, char **argv)
{
    struct json_object *arguments = json_object_new_object(), *result;
    int status = 0;

    for (int n = 0; n < argc; n++) {
        char *equals = strchr(argv[n], '=');

        if (!equals) {
            fprintf(stderr, "oxbow: the arguments of %s are NAME=VALUE, and \"%s\" is not\n", command,
                    argv[n]);
            json_object_put(arguments);
            return EXIT_USAGE;
        }
        *equals = 0;
        json_object_object_add(arguments, argv[n], value_of(equals + 1));
        *equals = '=';
    }
    if (!ask(ctl, command, arguments, &result))
        status = show_error(ctl, result);
    else if (!json_object_is_type(result, json_type_object) || json_object_object_length(result))
        printf("%s\n",
               json_object_to_json_string_ext(result, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                                          JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(result);
    return status;
}

/* Whether the monitor has a command of the name. */
static bool is_monitors(struct ctl *ctl, const char *name)
{
    struct json_object *list;
    bool found = false;

    if (ask(ctl, "x-oxbow-complete", argument("command-line", name), &list))
        for (size_t n = 0; n < json_object_array_length(list); n++)
            found |= !strcmp(json_object_get_string(json_object_array_get_idx(list, n)), name);
    json_object_put(list);
    return found;
}

static int run_words(struct ctl *ctl, const char *line, int argc, char **argv)
{
    bool named = argc > 1 && strchr(argv[1], '=') && argv[1][0] != '/';

    if (json_object_object_get_ex(ctl->names, argv[0], NULL) && (named || !is_monitors(ctl, argv[0])))
        return run_qmp(ctl, argv[0], argc - 1, argv + 1);
    return run_line(ctl, line);
}

static int run_typed(struct ctl *ctl, const char *line)
{
    char copy[4096], *words[64], *rest, *word;
    int count = 0;

    snprintf(copy, sizeof(copy), "%s", line);
    for (word = strtok_r(copy, " \t\r\n", &rest); word && count < 64; word = strtok_r(NULL, " \t\r\n", &rest))
        words[count++] = word;
    return count ? run_words(ctl, line, count, words) : 0;
}

/* The shell's words are one line again, those with spaces in them in quotes; a single one is a line already.
 */
static int run_arguments(struct ctl *ctl, int argc, char **argv)
{
    char *line = NULL;
    size_t size;
    FILE *out = open_memstream(&line, &size);

    if (!out)
        return refuse(argv[0], "out of memory");
    if (argc == 1 && strchr(argv[0], ' ')) {
        fclose(out);
        free(line);
        return run_typed(ctl, argv[0]);
    }
    for (int n = 0; n < argc; n++)
        fprintf(out, strpbrk(argv[n], " \t") ? "%s\"%s\"" : "%s%s", n ? " " : "", argv[n]);
    fclose(out);
    int status = run_words(ctl, line, argc, argv);
    free(line);
    return status;
}

/* --- Lines --------------------------------------------------------------------------------------- */

static int read_script(struct ctl *ctl)
{
    char *line = NULL;
    size_t room = 0;
    int status = 0, one;

    while (!ctl->lost && getline(&line, &room, stdin) > 0) {
        one = run_typed(ctl, line);
        status = status ? status : one;
    }
    free(line);
    return status;
}

static const char *prompt(EditLine *edit)
{
    (void)edit;
    return "(oxbow) ";
}

/* What all of the words begin with, in `common`. */
static void find_common(struct json_object *list, char *common, size_t size)
{
    for (size_t n = 0; n < json_object_array_length(list); n++) {
        const char *word = json_object_get_string(json_object_array_get_idx(list, n));
        size_t same = 0;

        if (!n) {
            snprintf(common, size, "%s", word);
            continue;
        }
        while (common[same] && common[same] == word[same])
            same++;
        common[same] = 0;
    }
}

static unsigned char complete(EditLine *edit, int key)
{
    const LineInfo *info = el_line(edit);
    char line[4096], common[256] = "";
    const char *start;
    struct json_object *list;
    struct ctl *ctl;
    unsigned char result = CC_ERROR;

    (void)key;
    el_get(edit, EL_CLIENTDATA, &ctl);
    snprintf(line, sizeof(line), "%.*s", (int)(info->cursor - info->buffer), info->buffer);
    start = strrchr(line, ' ');
    start = start ? start + 1 : line;
    if (!ask(ctl, "x-oxbow-complete", argument("command-line", line), &list)) {
        json_object_put(list);
        return CC_ERROR;
    }
    size_t count = json_object_array_length(list);
    find_common(list, common, sizeof(common) - 1);
    if (count && strlen(common) > strlen(start)) {
        if (count == 1)
            strcat(common, " ");
        result = el_insertstr(edit, common + strlen(start)) ? CC_ERROR : CC_REFRESH;
    } else if (count > 1) {
        printf("\n");
        for (size_t n = 0; n < count; n++)
            printf("%s  ", json_object_get_string(json_object_array_get_idx(list, n)));
        printf("\n");
        result = CC_REDISPLAY;
    }
    json_object_put(list);
    return result;
}

static void show_waiting_events(struct ctl *ctl)
{
    struct json_object *message;

    while ((message = get(ctl, false))) {
        show_event(ctl, message);
        json_object_put(message);
    }
}

static int converse(struct ctl *ctl)
{
    EditLine *edit = el_init("oxbow", stdin, stdout, stderr);
    History *lines = history_init();
    const char *line;
    HistEvent event;
    int count;

    if (!edit || !lines)
        return refuse("ctl", "the terminal can't be used");
    history(lines, &event, H_SETSIZE, 200);
    el_set(edit, EL_PROMPT, prompt);
    el_set(edit, EL_EDITOR, "emacs");
    el_set(edit, EL_SIGNAL, 1);
    el_set(edit, EL_HIST, history, lines);
    el_set(edit, EL_CLIENTDATA, ctl);
    el_set(edit, EL_ADDFN, "oxbow-complete", "completes a word", complete);
    el_set(edit, EL_BIND, "^I", "oxbow-complete", NULL);
    ctl->shows_events = true;
    printf("help lists the monitor's commands; exit leaves the machine alone.\n");
    while (!ctl->lost && (line = el_gets(edit, &count)) && count > 0) {
        if (!strncmp(line, "exit", 4) && strspn(line + 4, " \r\n") == strlen(line + 4))
            break;
        if (strspn(line, " \r\n") < strlen(line))
            history(lines, &event, H_ENTER, line);
        run_typed(ctl, line);
        show_waiting_events(ctl);
    }
    if (ctl->lost)
        printf("The machine is gone.\n");
    history_end(lines);
    el_end(edit);
    return 0;
}

int ctl_main(int argc, char **argv)
{
    struct ctl ctl = {.fd = -1};
    int status;

    if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
        fputs(usage, stdout);
        return 0;
    }
    if (argc < 2) {
        fprintf(stderr, "oxbow: ctl needs the PATH of a control socket; oxbow ctl --help says more\n");
        return EXIT_USAGE;
    }
    status = connect_to(&ctl, argv[1]);
    if (!status) {
        learn_names(&ctl);
        status = argc > 2               ? run_arguments(&ctl, argc - 2, argv + 2)
                 : isatty(STDIN_FILENO) ? converse(&ctl)
                                        : read_script(&ctl);
    }
    json_object_put(ctl.names);
    if (ctl.tokener)
        json_tokener_free(ctl.tokener);
    if (ctl.fd >= 0)
        close(ctl.fd);
    return status;
}
