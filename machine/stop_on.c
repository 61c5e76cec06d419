/*
 * stop_on.c - --stop-on: what ends the run with a crash report before the guest is done for.
 */
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "machine/line_watch.h"
#include "machine/machine.h"

/* How Linux, the BSDs, Rust's and many a hobby kernel begin it. */
#define PANIC "kernel panic|^(\\[[^]]*\\] *)?(kernel )?panic *[:!(]|panicked at"

struct stop_on {
    struct machine *machine;
    struct machine_stop_watch stops;
    struct line_watch serial;
    regex_t panic;
    bool compiled;
};

static void end_for(struct machine *m, const char *format, const char *detail)
{
    char reason[sizeof(m->crash_reason)];

    snprintf(reason, sizeof(reason), format, detail);
    if (machine_end(m, EXIT_CRASH))
        memcpy(m->crash_reason, reason, sizeof(reason));
}

static void line_grown(void *opaque, const char *line, size_t length, bool ended)
{
    struct stop_on *stop = opaque;
    regmatch_t match = {.rm_so = 0, .rm_eo = (regoff_t)length};
    char text[120];

    if (!ended || regexec(&stop->panic, line, 0, &match, REG_STARTEND))
        return;
    snprintf(text, sizeof(text), "%.*s", (int)length, line);
    end_for(stop->machine, "the guest printed \"%s\"", text);
}

static bool exception_came(void *opaque, const struct cpu_stopped *hits, unsigned count)
{
    struct stop_on *stop = opaque;
    char text[80];

    for (unsigned n = 0; n < count; n++) {
        if (hits[n].stop.owner != stop)
            continue;
        snprintf(text, sizeof(text), hits[n].has_error ? "%s with error code %04x" : "%s",
                 cpu_exception_name((unsigned)hits[n].address), (unsigned)hits[n].error);
        end_for(stop->machine, "the guest raised %s, which was not delivered", text);
        return true;
    }
    return false;
}

bool stop_on_build(struct machine *m, char *why, size_t why_size)
{
    struct stop_on *stop;

    if (!m->options->stop_on.panic && !m->options->stop_on.exceptions)
        return true;
    stop = m->stop_on = calloc(1, sizeof(*stop));
    if (!stop || regcomp(&stop->panic, PANIC, REG_EXTENDED | REG_ICASE | REG_NOSUB)) {
        snprintf(why, why_size, "out of memory for --stop-on");
        return false;
    }
    stop->compiled = true;
    stop->machine = m;
    if (m->options->stop_on.panic)
        line_watch_insert(&stop->serial, &m->serial[0], line_grown, stop);
    return true;
}

bool stop_on_start(struct machine *m)
{
    struct cpu_stop wanted = {.kind = CPU_STOP_EXCEPTION, .owner = m->stop_on};

    if (!m->stop_on || !m->options->stop_on.exceptions)
        return true;
    m->stop_on->stops = (struct machine_stop_watch){.stopped = exception_came, .opaque = m->stop_on};
    machine_watch_stops(m, &m->stop_on->stops);
    for (wanted.address = 0; wanted.address < 32; wanted.address++)
        if ((m->options->stop_on.exceptions >> wanted.address & 1) && !cpu_stop_add(m->cpu, &wanted))
            return false;
    machine_stops_changed(m);
    return true;
}

void stop_on_free(struct machine *m)
{
    if (m->stop_on && m->stop_on->compiled)
        regfree(&m->stop_on->panic);
    free(m->stop_on);
    m->stop_on = NULL;
}
