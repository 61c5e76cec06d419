/*
 * option_switch.c - reads the values of --switch-at, CONDITION:ENGINE; see option_values.h.
 */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/option_values.h"

#define TEXT_MAX 200u
#define SHORTEST 0.0001 /* s, between two switches */

/* What is said of a mistake, and where. */
struct complaint {
    const char *option;
    char *why;
    size_t size;
};

static bool refuse(const struct complaint *c, const char *what, const char *instead)
{
    snprintf(c->why, c->size, "--%s: \"%.100s\" is not %s", c->option, what, instead);
    return false;
}

/* A number up to `most`, hexadecimal by 0x, that ends where the text does. */
static bool read_number(const char *text, uint64_t most, uint64_t *number)
{
    char *end;

    errno = 0;
    *number = strtoull(text, &end, 0);
    return isdigit((unsigned char)*text) && !*end && !errno && *number <= most;
}

static bool read_seconds(const char *text, double least, uint64_t *ns)
{
    char *end;
    double seconds = strtod(text, &end);

    if (!isdigit((unsigned char)*text) || *end || !isfinite(seconds) || seconds < least || seconds > 1e9)
        return false;
    *ns = (uint64_t)(seconds * (double)NS_PER_SEC);
    return true;
}

static bool take_address(struct switch_option *to, char *value, const struct complaint *c)
{
    char *end;

    errno = 0;
    to->number = strtoull(value, &end, 16);
    return (isxdigit((unsigned char)*value) && !*end && !errno) ||
           refuse(c, value, "an address; give a linear one in hexadecimal, like 0x100000");
}

static bool take_serial(struct switch_option *to, char *value, const struct complaint *c)
{
    to->text = value;
    if (!*value)
        return refuse(c, value, "a text to wait for; give one, like serial=login:");
    return strlen(value) <= TEXT_MAX || refuse(c, value, "short enough; give 200 characters at most");
}

static bool take_time(struct switch_option *to, char *value, const struct complaint *c)
{
    return read_seconds(value, 0, &to->number) ||
           refuse(c, value, "a time; give seconds since the machine was switched on, like 2.5");
}

static bool take_every(struct switch_option *to, char *value, const struct complaint *c)
{
    return read_seconds(value, SHORTEST, &to->number) ||
           refuse(c, value, "a time; give seconds, 0.0001 at least");
}

static bool take_port(struct switch_option *to, char *value, const struct complaint *c)
{
    char *equals = strchr(value, '=');

    if (equals) {
        *equals = 0;
        to->has_value = true;
        if (!read_number(equals + 1, UINT32_MAX, &to->value))
            return refuse(c, equals + 1, "a value that a port takes; give a number, like 0x1B");
    }
    return read_number(value, UINT16_MAX, &to->number) ||
           refuse(c, value, "a port; give a number from 0 to 0xFFFF");
}

static const struct condition {
    const char *name;
    enum switch_kind kind;
    bool (*take)(struct switch_option *to, char *value, const struct complaint *c);
} conditions[] = {
    {"addr", SWITCH_ADDRESS, take_address}, {"serial", SWITCH_SERIAL, take_serial},
    {"time", SWITCH_TIME, take_time},       {"port", SWITCH_PORT, take_port},
    {"every", SWITCH_EVERY, take_every},
};

/* The condition's text, cut into name and value. */
static bool take_condition(struct switch_option *to, char *text, const struct complaint *c)
{
    char *equals = strchr(text, '=');

    if (!equals)
        return refuse(c, text, "a condition; choose from addr=, serial=, time=, port=");
    *equals = 0;
    for (unsigned n = 0; n < sizeof(conditions) / sizeof(conditions[0]); n++) {
        if (strcmp(conditions[n].name, text))
            continue;
        to->kind = conditions[n].kind;
        return conditions[n].take(to, equals + 1, c);
    }
    return refuse(c, text, "a condition; choose from addr=, serial=, time=, port=");
}

/* One engine, or of SWITCH_EVERY some. */
static bool engines_known(const struct switch_option *at, const char *choices, const struct complaint *c)
{
    for (const char *word = at->engines;; word++) {
        size_t length = at->kind == SWITCH_EVERY ? strcspn(word, ",") : strlen(word);
        char name[16];

        snprintf(name, sizeof(name), "%.*s", (int)length, word);
        if (length >= sizeof(name) || !options_one_of(name, choices)) {
            snprintf(c->why, c->size, "--%s: there is no engine \"%.*s\"; choose from interp, jit, kvm, auto",
                     c->option, (int)length, word);
            return false;
        }
        word += length;
        if (!*word)
            return true;
    }
}

bool set_switch(struct options *options, const struct option_row *row, const char *value, char *why,
                size_t why_size)
{
    const struct complaint c = {row->name, why, why_size};
    struct switch_option *at = &options->switch_at[options->switches];
    char *text, *colon;

    if (options->switches == OPTIONS_SWITCHES) {
        snprintf(why, why_size, "--%s: there is room for %d of them; leave out \"%.60s\"", row->name,
                 OPTIONS_SWITCHES, value);
        return false;
    }
    text = options_keep(options, value, why, why_size);
    if (!text)
        return false;
    colon = strrchr(text, ':');
    if (!colon)
        return refuse(&c, value, "CONDITION:ENGINE, like serial=login:jit");
    *colon = 0;
    *at = (struct switch_option){.engines = colon + 1};
    if (!take_condition(at, text, &c) || !engines_known(at, row->choices, &c))
        return false;
    options->switches++;
    return true;
}
