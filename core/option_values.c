/*
 * option_values.c - reads the values of options; see option_values.h.
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/option_values.h"

#define MEMORY_MIN (1ull << 20)
#define MEMORY_MAX (512ull << 30)
#define PAGE       4096u
#define CACHE_MIN  (1ull << 20)
#define CACHE_MAX  (1ull << 30) /* jumps reach 2 GiB */
/* Where a row's member is. */
static void *member(struct options *options, const struct option_row *row)
{
    return (char *)options + row->offset;
}

/* How a user refers to the option. */
static const char *dashes(const struct option_row *row)
{
    return row->positional ? "" : "--";
}

bool options_one_of(const char *word, const char *choices)
{
    size_t length = strlen(word);

    for (const char *at = choices; at; at = strchr(at, '|')) {
        at += *at == '|';
        if (!strncmp(at, word, length) && (at[length] == '|' || !at[length]))
            return length > 0;
    }
    return false;
}

char *options_keep(struct options *options, const char *text, char *why, size_t why_size)
{
    struct option_text *kept = malloc(sizeof(*kept) + strlen(text) + 1);

    if (!kept) {
        snprintf(why, why_size, "out of memory");
        return NULL;
    }
    strcpy(kept->text, text);
    kept->next = options->texts;
    options->texts = kept;
    return kept->text;
}

bool set_flag(struct options *options, const struct option_row *row, const char *value, char *why,
              size_t why_size)
{
    bool on = !value || options_one_of(value, "yes|on|true|1");

    if (!on && !options_one_of(value, "no|off|false|0")) {
        snprintf(why, why_size, "--%s is yes or no, not \"%s\"", row->name, value);
        return false;
    }
    *(bool *)member(options, row) = on;
    return true;
}

bool set_text(struct options *options, const struct option_row *row, const char *value, char *why,
              size_t why_size)
{
    const char *text;

    /* An empty command line is one; an empty file name is a mistake. */
    if (!*value && strcmp(row->name, "append")) {
        snprintf(why, why_size, "%s%s is empty; give it a value or leave it out", dashes(row), row->name);
        return false;
    }
    text = options_keep(options, value, why, why_size);
    if (text)
        *(const char **)member(options, row) = text;
    return text;
}

/* Letters for drives, each at most once. */
bool set_order(struct options *options, const struct option_row *row, const char *value, char *why,
               size_t why_size)
{
    for (const char *at = value; *at; at++) {
        if (!strchr("acdn", *at)) {
            snprintf(why, why_size,
                     "--%s: there is no drive \"%c\"; use c (disk), d (CD-ROM), a (floppy), n (network)",
                     row->name, *at);
            return false;
        }
        if (strchr(at + 1, *at)) {
            snprintf(why, why_size, "--%s: \"%c\" is there twice; name each kind of drive once", row->name,
                     *at);
            return false;
        }
    }
    return set_text(options, row, value, why, why_size);
}

/* One more port. What the command line says stands in place of all that the machine file said. */
bool set_serial(struct options *options, const struct option_row *row, const char *value, char *why,
                size_t why_size)
{
    struct option_row slot = *row;

    if (options->serials_weak) {
        memset(options->serial, 0, sizeof(options->serial));
        options->serials = 0;
        options->serials_weak = false;
    }
    if (options->serials == OPTIONS_SERIALS) {
        snprintf(why, why_size, "--%s: the machine has room for %d of them; leave out \"%.60s\"", row->name,
                 OPTIONS_SERIALS, value);
        return false;
    }
    slot.offset = row->offset + options->serials * sizeof(options->serial[0]);
    if (!set_text(options, &slot, value, why, why_size))
        return false;
    options->serials++;
    return true;
}

bool set_headless(struct options *options, const struct option_row *row, const char *value, char *why,
                  size_t why_size)
{
    if (value && options_one_of(value, "no|off|false|0"))
        return true;
    if (value && !options_one_of(value, "yes|on|true|1")) {
        snprintf(why, why_size, "--%s is yes or no, not \"%s\"", row->name, value);
        return false;
    }
    options->display = "none";
    memset(options->serial, 0, sizeof(options->serial));
    options->serial[0] = "stdio";
    options->serials = 1;
    options->serials_weak = true;
    return true;
}

bool set_choice(struct options *options, const struct option_row *row, const char *value, char *why,
                size_t why_size)
{
    if (options_one_of(value, row->choices))
        return set_text(options, row, value, why, why_size);

    int used = snprintf(why, why_size, "--%s: there is no \"%s\"; choose from ", row->name, value);
    for (const char *at = row->choices; *at && used >= 0 && (size_t)used < why_size; at++)
        used += snprintf(why + used, why_size - used, *at == '|' ? ", " : "%c", *at);
    return false;
}

bool options_size(const char *text, uint64_t *bytes)
{
    static const char suffixes[] = "KMGT";
    unsigned shift = 20;
    char *end;

    /* strtoull would take blanks and signs. */
    if (!isdigit((unsigned char)*text))
        return false;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno)
        return false;
    if (*end) {
        const char *suffix = strchr(suffixes, toupper((unsigned char)*end));
        if (!suffix || !*suffix)
            return false;
        shift = 10 * (unsigned)(suffix - suffixes + 1);
        end++;
        /* "512MB" and "512MiB" say the same. */
        if (*end == 'i')
            end++;
        if (*end == 'B')
            end++;
        if (*end)
            return false;
    }
    if (number > UINT64_MAX >> shift)
        return false;
    *bytes = (uint64_t)number << shift;
    return true;
}

bool set_memory(struct options *options, const struct option_row *row, const char *value, char *why,
                size_t why_size)
{
    uint64_t bytes;

    if (!options_size(value, &bytes)) {
        snprintf(why, why_size, "--%s: \"%s\" is not a size; give a number with K, M, G or T, like 512M",
                 row->name, value);
        return false;
    }
    if (bytes < MEMORY_MIN) {
        snprintf(why, why_size, "--%s: %s is too little, a PC has at least 1M; try 512M", row->name, value);
        return false;
    }
    if (bytes > MEMORY_MAX) {
        snprintf(why, why_size, "--%s: %s is more than this machine can address; give at most %lluG",
                 row->name, value, MEMORY_MAX >> 30);
        return false;
    }
    *(uint64_t *)member(options, row) = bytes & ~(uint64_t)(PAGE - 1);
    return true;
}

/* A whole number, decimal or 0x. */
static bool parse_number(const char *text, unsigned long max, unsigned long *number)
{
    char *end;

    if (!isdigit((unsigned char)*text))
        return false;
    errno = 0;
    *number = strtoul(text, &end, 0);
    return !errno && !*end && *number <= max;
}

bool set_cpus(struct options *options, const struct option_row *row, const char *value, char *why,
              size_t why_size)
{
    unsigned long number;

    if (!parse_number(value, 4096, &number) || !number) {
        snprintf(why, why_size, "--%s: \"%s\" is not a number of processors; give 1", row->name, value);
        return false;
    }
    if (number > 1) {
        snprintf(why, why_size,
                 "--%s: this version runs one processor, not %lu; leave the option out or give 1", row->name,
                 number);
        return false;
    }
    *(unsigned *)member(options, row) = (unsigned)number;
    return true;
}

bool set_seconds(struct options *options, const struct option_row *row, const char *value, char *why,
                 size_t why_size)
{
    char *end;
    double seconds = strtod(value, &end);

    if (!isdigit((unsigned char)*value) || *end || !isfinite(seconds) || seconds <= 0 || seconds > 1e9) {
        snprintf(why, why_size, "--%s: \"%s\" is not a time; give seconds, more than 0, like 60 or 2.5",
                 row->name, value);
        return false;
    }
    uint64_t ns = (uint64_t)(seconds * (double)NS_PER_SEC);
    *(uint64_t *)member(options, row) = ns ? ns : 1;
    return true;
}

bool set_log(struct options *options, const struct option_row *row, const char *value, char *why,
             size_t why_size)
{
    unsigned *mask = member(options, row);

    if (!strcmp(value, "none")) {
        *mask = 1u << LOG_ERROR;
        return true;
    }
    for (const char *at = value;; at++) {
        char word[16];
        size_t length = strcspn(at, ",");
        snprintf(word, sizeof(word), "%.*s", (int)length, at);
        int level = length < sizeof(word) ? log_level_from_name(word) : -1;
        if (level < 0) {
            snprintf(why, why_size,
                     "--%s: there is no level \"%.*s\"; choose from error, warn, info, guest, debug, or none",
                     row->name, (int)length, at);
            return false;
        }
        *mask |= 1u << level;
        at += length;
        if (!*at)
            return true;
    }
}

bool set_port(struct options *options, const struct option_row *row, const char *value, char *why,
              size_t why_size)
{
    unsigned long number = 0xF4;

    if (value && !parse_number(value, 0xFFFF, &number)) {
        snprintf(why, why_size, "--%s: \"%s\" is not a port; give a number from 0 to 0xFFFF", row->name,
                 value);
        return false;
    }
    *(int *)member(options, row) = (int)number;
    return true;
}

bool set_check(struct options *options, const struct option_row *row, const char *value, char *why,
               size_t why_size)
{
    unsigned long number = 1;

    if (value && (!parse_number(value, 1000000, &number) || !number)) {
        snprintf(why, why_size, "--%s: \"%s\" is not a number of times; give 1 to 1000000", row->name, value);
        return false;
    }
    *(uint32_t *)member(options, row) = (uint32_t)number;
    return true;
}

bool set_history(struct options *options, const struct option_row *row, const char *value, char *why,
                 size_t why_size)
{
    unsigned long number = OPTIONS_HISTORY;

    if (value && !parse_number(value, 65536, &number)) {
        snprintf(why, why_size, "--%s: \"%s\" is not a number of branches; give 0 to 65536", row->name, value);
        return false;
    }
    *(int *)member(options, row) = (int)number;
    return true;
}

bool set_cache(struct options *options, const struct option_row *row, const char *value, char *why,
               size_t why_size)
{
    uint64_t bytes;

    if (!options_size(value, &bytes)) {
        snprintf(why, why_size, "--%s: \"%s\" is not a size; give a number with K, M or G, like 128M",
                 row->name, value);
        return false;
    }
    if (bytes < CACHE_MIN || bytes > CACHE_MAX) {
        snprintf(why, why_size, "--%s: %s is too %s; give 1M to 1G", row->name, value,
                 bytes < CACHE_MIN ? "little for translated code" : "much");
        return false;
    }
    *(uint64_t *)member(options, row) = bytes & ~(uint64_t)(PAGE - 1);
    return true;
}

bool set_dump(struct options *options, const struct option_row *row, const char *value, char *why,
              size_t why_size)
{
    struct dump_option *dump = member(options, row);
    size_t length = strcspn(value, ",");
    unsigned long long address;
    char *end;

    *dump = (struct dump_option){.on = true, .all = length == 3 && !strncmp(value, "all", 3)};
    if (!dump->all) {
        errno = 0;
        address = strtoull(value, &end, 16);
        if (!isxdigit((unsigned char)*value) || errno || end != value + length) {
            snprintf(why, why_size, "--%s: \"%.*s\" is not an address; give one in hexadecimal, or all",
                     row->name, (int)length, value);
            return false;
        }
        dump->address = address;
    }
    if (!value[length])
        return true;
    if (!value[length + 1]) {
        snprintf(why, why_size, "--%s: there is no file behind the comma; name one, or leave the comma out",
                 row->name);
        return false;
    }
    dump->path = options_keep(options, value + length + 1, why, why_size);
    return dump->path;
}

/* A switch, or a file of symbols. */
bool set_perf(struct options *options, const struct option_row *row, const char *value, char *why,
              size_t why_size)
{
    if (!value || options_one_of(value, "yes|on|true|1|no|off|false|0")) {
        options->perf_symbols = NULL;
        return set_flag(options, row, value, why, why_size);
    }
    if (!*value) {
        snprintf(why, why_size, "--%s: the file of symbols is empty; name one, or leave it out", row->name);
        return false;
    }
    options->perf_map = true;
    options->perf_symbols = options_keep(options, value, why, why_size);
    return options->perf_symbols;
}

/* An exception by its number or by its mnemonic, with or without #; -1: there is none. */
static int exception_from_name(const char *name, size_t length)
{
    static const char *const names[] = {"DE", "DB", "NMI", "BP", "OF", "BR", "UD", "NM", "DF", "", "TS",
                                        "NP", "SS", "GP",  "PF", "",   "MF", "AC", "MC", "XM"};
    char text[8], *end;

    if (length && *name == '#') {
        name++;
        length--;
    }
    if (!length || length >= sizeof(text))
        return -1;
    memcpy(text, name, length);
    text[length] = 0;
    long number = strtol(text, &end, 0);
    if (isdigit((unsigned char)*text) && !*end && number < 32)
        return (int)number;
    for (size_t n = 0; n < sizeof(names) / sizeof(*names); n++)
        if (!strcasecmp(names[n], text))
            return (int)n;
    return -1;
}

bool set_stop_on(struct options *options, const struct option_row *row, const char *value, char *why,
                 size_t why_size)
{
    struct stop_on_option *stop = member(options, row);

    for (const char *at = value;; at++) {
        size_t length = strcspn(at, ",");
        int exception = !strncmp(at, "exception:", 10) ? exception_from_name(at + 10, length - 10) : -1;
        if (length == 5 && !strncmp(at, "panic", 5)) {
            stop->panic = true;
        } else if (exception >= 0) {
            stop->exceptions |= 1u << exception;
        } else if (length == 8 && !strncmp(at, "nonsense", 8)) {
            stop->nonsense = true;
        } else {
            snprintf(why, why_size,
                     "--%s: there is no \"%.*s\"; choose from panic, nonsense and exception:N, like exception:#GP",
                     row->name, (int)length, at);
            return false;
        }
        at += length;
        if (!*at)
            return true;
    }
}

bool set_action(struct options *options, const struct option_row *row, const char *value, char *why,
                size_t why_size)
{
    (void)value;
    (void)why;
    (void)why_size;
    options->action = row->choices[0] == 'h'   ? OPTIONS_HELP
                      : row->choices[0] == 'v' ? OPTIONS_VERSION
                                               : OPTIONS_MAN;
    return true;
}
