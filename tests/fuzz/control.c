/*
 * control.c - anything at all as what a client of the control socket sends: bytes go through the reader,
 * messages to the commands of a machine with the demo guest, which runs whenever it is let go. What must
 * hold: each line that isn't empty gets an answer of the right form, and all else is up to the sanitizers of
 * a build that has them.
 *
 *     control                   CASES conversations from seed 1, as TAP
 *     control --cases 1000 --seed 7
 *     control --case 7:1234     one of them again, shown
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "debug/monitor_internal.h"
#include "debug/qmp_internal.h"
#include "tests/oracle/random.h"

#define CASES      150u
#define MESSAGES   40u
#define INPUT_SIZE 4096u

static void nothing(struct chardev *chr, const uint8_t *data, size_t size)
{
    (void)chr, (void)data, (void)size;
}

static void nobody(struct chardev *chr)
{
    (void)chr;
}

static _Noreturn void broken(const char *what, const char *input)
{
    fprintf(stderr, "control: %s: %s\n", what, input);
    abort();
}

/* --- Inputs -------------------------------------------------------------------------------------- */

static const char *const words[] = {
    "$rip",    "$pc",       "0",
    "1",       "0x100000",  "0xffffffffffffffff",
    "-1",      "f000:fff0", "ide1-cd0",
    "floppy0", "on",        "off",
    "cr3",     "ports",     "exceptions",
    "#GP",     "interp",    "jit",
    "auto",    "name",      "ctrl-alt-f1",
    "a",       "guest",     "\"",
    "/8xg",    "/i",        "/s",
    "$cr3+8",  "uart",      "exception",
    "magic",   "access",    "99999999999999999999",
    "\\u0000", "%s%n",
};

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static unsigned rows(const struct monitor_row *table)
{
    unsigned n = 0;

    while (table[n].name)
        n++;
    return n;
}

/* A line for the monitor, escaped for JSON where it must be. */
static void put_line(struct random *r, FILE *out)
{
    bool info = one_in(r, 3);
    const struct monitor_row *table = info ? info_table : monitor_table;

    fprintf(out, "%s%s", info ? "info " : "", table[below(r, rows(table))].name);
    for (unsigned n = below(r, 4); n; n--) {
        const char *word = words[below(r, COUNT(words))];

        fprintf(out, "%s%s%s", *word == '/' && one_in(r, 2) ? "" : " ", *word == '"' ? "\\" : "", word);
    }
}

static void put_value(struct random *r, FILE *out, unsigned depth)
{
    switch (below(r, depth > 3 ? 5 : 7)) {
    case 0:
        fprintf(out, "%" PRId64, (int64_t)random64(r) >> below(r, 64));
        break;
    case 1:
        fprintf(out, one_in(r, 2) ? "true" : "null");
        break;
    case 2:
        fprintf(out, "%g", (double)random64(r));
        break;
    case 3:
        fprintf(out, "\"%s\"", *words[below(r, COUNT(words))] == '"' ? "" : words[below(r, 20)]);
        break;
    case 4:
        fprintf(out, "{\"type\":\"qcode\",\"data\":\"%s\"}", one_in(r, 2) ? "a" : "ret");
        break;
    case 5:
        fprintf(out, "[");
        put_value(r, out, depth + 1);
        fprintf(out, "]");
        break;
    default:
        fprintf(out, "{\"x\":");
        put_value(r, out, depth + 1);
        fprintf(out, "}");
    }
}

/* A call of one of the commands, most arguments of the right type. */
static void put_call(struct random *r, FILE *out)
{
    unsigned count = 0;

    while (qmp_table[count].name)
        count++;
    const struct qmp_row *row = &qmp_table[below(r, count)];
    const char *list = row->arguments, *between = "";

    fprintf(out, "{\"execute\":\"%s\",\"id\":%u,\"arguments\":{", row->name, below(r, 100));
    for (; *list; list += strcspn(list, " "), list += *list == ' ') {
        const char *name = list + (*list == '?');
        size_t length = strcspn(name, ":");

        if (one_in(r, *list == '?' ? 2 : 12))
            continue;
        fprintf(out, "%s\"%.*s\":", between, (int)length, name);
        between = ",";
        if (one_in(r, 8))
            put_value(r, out, 0);
        else if (!strncmp(name, "command-line", length)) {
            fprintf(out, "\"");
            put_line(r, out);
            fprintf(out, "\"");
        } else if (name[length + 1] == 's')
            fprintf(out, "\"%s\"", words[below(r, 20)]);
        else if (name[length + 1] == 'i')
            fprintf(out, "%" PRIu64, random64(r) >> below(r, 64));
        else if (name[length + 1] == 'a')
            fprintf(out, "[{\"type\":\"qcode\",\"data\":\"%s\"}]", one_in(r, 4) ? "no" : "shift");
        else
            fprintf(out, "%s", one_in(r, 2) ? "true" : "false");
    }
    fprintf(out, "}}");
}

/* One line. Files have no folders in their names, so that what is written is written here. */
static size_t make_input(struct random *r, char *input)
{
    FILE *out;
    size_t size;

    memset(input, 0, INPUT_SIZE);
    out = fmemopen(input, INPUT_SIZE - 2, "w");
    put_call(r, out);
    fclose(out);
    size = strlen(input);
    if (one_in(r, 3))
        for (unsigned n = 1 + below(r, 6); n; n--)
            input[below(r, (unsigned)size)] = one_in(r, 3) ? (char)random64(r) : "{}[]\",:\\ 0"[below(r, 10)];
    for (size_t n = 0; n < size; n++)
        if (input[n] == '\n' || input[n] == '\r' ||
            (input[n] == '/' && !strstr(input, "\"x/") && !strstr(input, "\"xp/")) ||
            !strncmp(input + n, "u002", 4))
            input[n] = '_';
    input[size++] = '\n';
    return size;
}

/* --- Running ------------------------------------------------------------------------------------- */

static void check_answer(struct json_object *answer, const char *input)
{
    struct json_object *error;

    if (!answer)
        broken("no answer", input);
    if (json_object_object_get_ex(answer, "error", &error) &&
        (!json_object_object_get_ex(error, "class", NULL) || !json_object_object_get_ex(error, "desc", NULL)))
        broken("an error says nothing", input);
    if (!json_object_object_get_ex(answer, "return", NULL) && !error)
        broken("neither return nor error", input);
    if (!json_object_to_json_string(answer))
        broken("an answer can't be sent", input);
    json_object_put(answer);
}

static void hear(struct qmp_session *session, struct qmp_reader *reader, const char *input, size_t size)
{
    unsigned answers = 0;

    for (size_t at = 0; at < size;) {
        struct json_object *message;
        const char *error;
        size_t used = qmp_read(reader, input + at, size - at, &message, &error);

        if (!used || used > size - at)
            broken("the reader takes nothing, or too much", input);
        at += used;
        answers += message || error;
        if (error)
            check_answer(qmp_refusal(error), input);
        if (message)
            check_answer(qmp_handle(session, message), input);
        json_object_put(message);
    }
    if (!answers && !reader->size)
        broken("a line without an answer", input);
}

static void run_case(uint64_t seed, uint64_t number, bool show)
{
    struct random random = {seed * 0xd1342543de82ef95ull + number * 0x2545f4914f6cdd1dull};
    struct chardev silent = {.write = nothing, .close = nobody};
    struct options options;
    struct log log;
    struct machine_config config = {.options = &options, .log = &log, .serial = &silent};
    struct qmp_session session = {.negotiated = true};
    struct qmp_reader reader = {0};
    char input[INPUT_SIZE], why[300];

    options_init(&options);
    options.memory = 32 << 20;
    log_init(&log, stderr);
    log.enabled = 0;
    if (machine_new(&config, &session.machine, why, sizeof(why)))
        broken(why, "");
    for (unsigned n = 0; n < MESSAGES; n++) {
        size_t size = make_input(&random, input);

        if (show)
            printf("# %s", input);
        fflush(stdout);
        hear(&session, &reader, input, size);
        log.enabled = 0;
    }
    qmp_reader_free(&reader);
    machine_free(session.machine);
    options_free(&options);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"cases", 1, NULL, 'n'}, {"seed", 1, NULL, 's'}, {"case", 1, NULL, 'c'}, {NULL, 0, NULL, 0}};
    uint64_t seed = 1, cases = CASES, number = UINT64_MAX;
    char folder[] = "/tmp/oxbow-fuzz-XXXXXX", command[80];
    struct rlimit small = {40 << 20, 40 << 20};
    int c;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 'n')
            cases = strtoull(optarg, NULL, 0);
        else if (c == 's')
            seed = strtoull(optarg, NULL, 0);
        else if (c != 'c' || sscanf(optarg, "%" SCNu64 ":%" SCNu64, &seed, &number) != 2)
            return 2;
    }
    /* What memsave and others write stays here, and small. */
    if (!mkdtemp(folder) || chdir(folder) || setrlimit(RLIMIT_FSIZE, &small) ||
        signal(SIGXFSZ, SIG_IGN) == SIG_ERR) {
        printf("1..0 # SKIP no folder to write in\n");
        return 0;
    }
    if (number != UINT64_MAX)
        run_case(seed, number, true);
    for (uint64_t n = 0; number == UINT64_MAX && n < cases; n++)
        run_case(seed, n, false);
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    if (chdir("/") || system(command))
        printf("# %s is left\n", folder);
    printf("# seed %" PRIu64 ": %" PRIu64 " conversations of %u messages\n", seed, cases, MESSAGES);
    printf("ok 1 - every message gets an answer, and none breaks the machine\n1..1\n");
    return 0;
}
