/*
 * options.c - the command line and what reads the option table; see options.h.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "core/option_values.h"

static const struct option_row *find_row(const char *name)
{
    for (const struct option_row *row = option_table; row->name; row++)
        if (!strcmp(row->name, name))
            return row;
    return NULL;
}
void options_init(struct options *options)
{
    char why[200];

    memset(options, 0, sizeof(*options));
    options->exit_port = -1;
    options->history = -1;
    for (const struct option_row *row = option_table; row->name; row++)
        if (row->initial)
            row->set(options, row, row->initial, why, sizeof(why));
}

void options_free(struct options *options)
{
    while (options->texts) {
        struct option_text *next = options->texts->next;
        free(options->texts);
        options->texts = next;
    }
}

/* Edits (insert, drop, change, swap neighbours) that turn one word into the other; at most `max` + 1. */
static unsigned distance(const char *a, const char *b, unsigned max)
{
    enum { LONGEST = 32 };
    unsigned rows[3][LONGEST + 1];
    size_t la = strlen(a), lb = strlen(b);

    if (la > LONGEST || lb > LONGEST)
        return max + 1;
    for (size_t i = 0; i <= la; i++) {
        unsigned *now = rows[i % 3], *before = rows[(i + 2) % 3], *earlier = rows[(i + 1) % 3];
        for (size_t j = 0; j <= lb; j++) {
            if (!i || !j) {
                now[j] = (unsigned)(i + j);
                continue;
            }
            unsigned best = before[j - 1] + (a[i - 1] != b[j - 1]);
            if (before[j] + 1 < best)
                best = before[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && earlier[j - 2] + 1 < best)
                best = earlier[j - 2] + 1;
            now[j] = best;
        }
    }
    unsigned result = rows[la % 3][lb];
    return result > max ? max + 1 : result;
}

const char *options_nearest(const char *name)
{
    unsigned best = (unsigned)strlen(name) / 3 + 1;
    const char *nearest = NULL;

    for (const struct option_row *row = option_table; row->name; row++) {
        unsigned edits = distance(name, row->name, best);
        if (row->group && edits <= best && (!nearest || edits < best)) {
            best = edits;
            nearest = row->name;
        }
    }
    return nearest;
}

bool options_set(struct options *options, const char *name, const char *value, char *why, size_t why_size)
{
    const struct option_row *row = find_row(name);

    if (!row) {
        const char *nearest = options_nearest(name);
        if (nearest)
            snprintf(why, why_size, "there is no option \"%.40s\"; did you mean \"%s\"?", name, nearest);
        else
            snprintf(why, why_size, "there is no option \"%.40s\"; oxbow --help lists them", name);
        return false;
    }
    if (row->command_only) {
        snprintf(why, why_size, "\"%s\" belongs on the command line, not in a machine file", name);
        return false;
    }
    bool optional = !row->argument || row->argument[0] == '[';
    if (value && !*value && (optional || row->set != set_text))
        value = NULL;
    if (!value && !optional) {
        snprintf(why, why_size, "\"%s\" needs a value, %s", name, row->argument);
        return false;
    }
    return row->set(options, row, value, why, why_size);
}

/* A letter that getopt_long() gave up on; `word` is where it stands, when it is the start of a longer one. */
static bool refuse_letter(int result, const char *word, char *why, size_t why_size)
{
    if (result == ':')
        snprintf(why, why_size, "-%c needs a value; oxbow --help lists the options", optopt);
    else if (word && word[0] == '-' && word[1] == optopt && find_row(word + 1))
        snprintf(why, why_size, "there is no option %s; did you mean -%s?", word, word);
    else
        snprintf(why, why_size, "there is no option -%c; oxbow --help lists them", optopt);
    return false;
}

/* A long option that it gave up on: `row` is the option's (NULL: there is none), `word` the argument. */
static bool refuse_long(int result, const struct option_row *row, const char *word, char *why,
                        size_t why_size)
{
    unsigned matches = 0;
    char name[40];

    snprintf(name, sizeof(name), "%.*s", (int)strcspn(word + 2, "="), word + 2);
    if (row) {
        if (result == ':')
            snprintf(why, why_size, "--%s needs a value, %s", row->name, row->argument);
        else
            snprintf(why, why_size, "--%s is a switch; leave out \"%.40s\"", row->name,
                     word + strcspn(word, "="));
        return false;
    }
    for (row = option_table; row->name; row++)
        matches += !row->positional && row->group && !strncmp(row->name, name, strlen(name));
    const char *nearest = options_nearest(name);
    if (matches > 1)
        snprintf(why, why_size, "--%s could be several options; write it out (oxbow --help lists them)",
                 name);
    else if (nearest && !find_row(nearest)->positional)
        snprintf(why, why_size, "there is no option --%s; did you mean --%s?", name, nearest);
    else
        snprintf(why, why_size, "there is no option --%s; oxbow --help lists them", name);
    return false;
}

/* getopt's long and short tables, made from ours; a row's value is its index plus FIRST. */
enum { ROWS_MAX = 128, FIRST = 256 };

static void make_getopt_tables(struct option *longs, char *shorts)
{
    *shorts++ = ':';
    for (int i = 0; option_table[i].name && i < ROWS_MAX; i++) {
        const struct option_row *row = &option_table[i];
        int arguments = !row->argument            ? no_argument
                        : row->argument[0] == '[' ? optional_argument
                                                  : required_argument;
        if (row->positional)
            continue;
        *longs++ = (struct option){row->name, arguments, NULL, FIRST + i};
        if (row->letter) {
            *shorts++ = row->letter;
            if (arguments)
                *shorts++ = ':';
        }
    }
    *longs = (struct option){NULL, 0, NULL, 0};
    *shorts = 0;
}

static int row_of(int result)
{
    for (int i = 0; option_table[i].name; i++)
        if (result == FIRST + i || (result && result == option_table[i].letter))
            return i;
    return -1;
}

/* One pass over argv. With only_machine, nothing but --machine is taken from it, and mistakes wait for the
 * next pass. */
static bool parse_pass(struct options *options, int argc, char **argv, bool only_machine, char *why,
                       size_t why_size)
{
    struct option longs[ROWS_MAX + 1];
    char shorts[2 * ROWS_MAX + 2];
    int result;

    make_getopt_tables(longs, shorts);
    optind = 0;
    opterr = 0;
    while ((result = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        if (result == '?' || result == ':') {
            if (only_machine)
                continue;
            if (optopt && optopt < FIRST)
                return refuse_letter(result, argv[optind], why, why_size);
            int index = row_of(optopt);
            return refuse_long(result, index < 0 ? NULL : &option_table[index], argv[optind - 1], why,
                               why_size);
        }
        const struct option_row *row = &option_table[row_of(result)];
        if (only_machine && strcmp(row->name, "machine"))
            continue;
        if (!row->set(options, row, optarg, why, why_size))
            return false;
    }
    if (only_machine)
        return true;
    if (argc - optind > 1) {
        snprintf(why, why_size, "one image is booted, but \"%.60s\" and \"%.60s\" were given; leave one out",
                 argv[optind], argv[optind + 1]);
        return false;
    }
    return optind == argc || set_image(options, find_row("image"), argv[optind], why, why_size);
}

bool options_parse(struct options *options, int argc, char **argv, options_reader *reader, char *why,
                   size_t why_size)
{
    if (!parse_pass(options, argc, argv, true, why, why_size))
        return false;
    if (options->machine && reader && !reader(options->machine, options, why, why_size))
        return false;
    options->serials_weak = options->serials;
    if (!parse_pass(options, argc, argv, false, why, why_size))
        return false;
    if (options->action == OPTIONS_RUN && options->image && options->kernel) {
        snprintf(why, why_size, "both an image (%.60s) and --kernel (%.60s) are given; leave one out",
                 options->image, options->kernel);
        return false;
    }
    return true;
}
