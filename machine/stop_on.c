/*
 * stop_on.c - --stop-on: what ends the run with a crash report before the guest is done for; and how much of the CPU's
 * history there is to report.
 */
#include <inttypes.h>
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

static void end_for_hit(struct machine *m, const struct cpu_stopped *hit)
{
    char text[80];

    if (hit->stop.kind == CPU_STOP_EXCEPTION) {
        snprintf(text, sizeof(text), hit->has_error ? "%s with error code %04x" : "%s",
                 cpu_exception_name((unsigned)hit->address), (unsigned)hit->error);
        end_for(m, "the guest raised %s, which was not delivered", text);
        return;
    }
    snprintf(text, sizeof(text), "%016" PRIx64, hit->value);
    if (hit->address == CPU_NONSENSE_CODE)
        end_for(m, "the guest was to execute code at %s, where there is no memory", text);
    else
        end_for(m, "the guest used %s as its stack, where there is no memory", text);
}

static bool stop_hit(void *opaque, const struct cpu_stopped *hits, unsigned count)
{
    struct stop_on *stop = opaque;

    for (unsigned n = 0; n < count; n++) {
        if (hits[n].stop.owner != stop)
            continue;
        end_for_hit(stop->machine, &hits[n]);
        return true;
    }
    return false;
}

bool stop_on_build(struct machine *m, char *why, size_t why_size)
{
    const struct stop_on_option *what = &m->options->stop_on;
    struct stop_on *stop;

    if (!what->panic && !what->exceptions && !what->nonsense && !m->options->crash_report)
        return true;
    stop = m->stop_on = calloc(1, sizeof(*stop));
    if (!stop || regcomp(&stop->panic, PANIC, REG_EXTENDED | REG_ICASE | REG_NOSUB)) {
        snprintf(why, why_size, "out of memory for --stop-on");
        return false;
    }
    stop->compiled = true;
    stop->machine = m;
    if (what->panic)
        line_watch_insert(&stop->serial, &m->serial[0], line_grown, stop);
    return true;
}

/*
 * Who wants a report wants to hear of nonsense too: but it's no reason for an engine that knows no stops to give way, nor
 * for --check to have its blocks taken apart.
 */
static bool wants_nonsense(const struct machine *m)
{
    return m->options->stop_on.nonsense ||
           (m->options->crash_report && m->vcpu.engine->run == cpu_run && !m->options->check);
}

bool stop_on_start(struct machine *m)
{
    struct cpu_stop wanted = {.kind = CPU_STOP_EXCEPTION, .owner = m->stop_on};
    bool done = true;
    int history = m->options->history;

    if (history < 0 && m->stop_on)
        history = OPTIONS_HISTORY;
    if (history > 0 && !cpu_keep_branches(m->cpu, (unsigned)history))
        return false;
    if (!m->stop_on || !(m->options->stop_on.exceptions || wants_nonsense(m)))
        return true;
    m->stop_on->stops = (struct machine_stop_watch){.stopped = stop_hit, .opaque = m->stop_on};
    machine_watch_stops(m, &m->stop_on->stops);
    for (wanted.address = 0; wanted.address < 32; wanted.address++)
        if (m->options->stop_on.exceptions >> wanted.address & 1)
            done &= cpu_stop_add(m->cpu, &wanted);
    if (wants_nonsense(m))
        done &= cpu_stop_add(
            m->cpu, &(struct cpu_stop){
                        .kind = CPU_STOP_NONSENSE, .address = CPU_NONSENSE_CODE, .size = 2, .owner = m->stop_on});
    machine_stops_changed(m);
    return done;
}

void stop_on_free(struct machine *m)
{
    if (m->stop_on && m->stop_on->compiled)
        regfree(&m->stop_on->panic);
    free(m->stop_on);
    m->stop_on = NULL;
}
