/*
 * stops.c - the machine stands still because its CPU came to a stop (cpu.h, "Stops"), made a debugger's step, or a
 * debugger wants it to; and goes on when the debugger says so. Pausing it (machine_pause()) is another matter: it goes on
 * when neither holds it.
 *
 * The CPU's thread only notes that it stopped; stops_poll() tells those who asked, in the event loop's thread. Engines
 * that know no stops have to let one that does take their place while there are any.
 */
#include <string.h>

#include "accel/engine.h"
#include "machine/machine.h"

void stops_noted(void *opaque)
{
    struct machine *m = opaque;

    __atomic_store_n(&m->stop_noted, true, __ATOMIC_RELEASE);
    loop_kick(m->loop);
}

void machine_watch_stops(struct machine *m, struct machine_stop_watch *watch)
{
    watch->next = m->stop_watches;
    m->stop_watches = watch;
}

void machine_unwatch_stops(struct machine *m, struct machine_stop_watch *watch)
{
    struct machine_stop_watch **link = &m->stop_watches;

    while (*link && *link != watch)
        link = &(*link)->next;
    if (*link)
        *link = watch->next;
}

bool stops_known(const struct machine *m, const struct engine *engine)
{
    return engine->run == cpu_run || (engine->stops && engine->stops(m->cpu));
}

void machine_stops_changed(struct machine *m)
{
    const struct engine *now = m->vcpu.engine, *before = m->engine_before_stops;
    bool needed = cpu_has_stops(m->cpu);
    char why[200];

    if (needed && !stops_known(m, now)) {
        if (!machine_switch_engine(m, "jit", why, sizeof(why)) &&
            !machine_switch_engine(m, "interp", why, sizeof(why)))
            log_at(m->log, LOG_ERROR, "oxbow", "breakpoints don't work under the engine %s, and no other serves: %s",
                   m->vcpu.engine->name, why);
        m->engine_before_stops = now;
    } else if (before && (!needed || stops_known(m, before))) {
        if (!machine_switch_engine(m, before->name, why, sizeof(why)))
            log_at(m->log, LOG_ERROR, "oxbow", "the engine %s doesn't come back: %s", before->name, why);
        m->engine_before_stops = NULL;
    }
}

void stops_set_clock(struct machine *m)
{
    pthread_mutex_lock(&m->lock);
    if (m->paused || m->stopped)
        clock_stop(m->clock);
    else
        clock_start(m->clock);
    pthread_mutex_unlock(&m->lock);
}

/* All of the machine, with the state pulled. */
static void stand_still(struct machine *m)
{
    m->stopped = true;
    vcpu_hold_for(&m->vcpu, VCPU_STOPPED);
    vcpu_wait(&m->vcpu);
    m->vcpu.engine->pull(m->cpu);
    stops_set_clock(m);
}

void machine_stop(struct machine *m)
{
    if (m->stopped)
        return;
    stand_still(m);
}

void machine_go(struct machine *m, bool step)
{
    if (!m->stopped)
        return;
    m->stopped = false;
    stops_set_clock(m);
    if (cpu_state(m->cpu)->activity == CPU_SHUTDOWN)
        machine_end(m, EXIT_CRASH); /* the debugger has seen it */
    else if (step)
        vcpu_step(&m->vcpu);
    else
        vcpu_release_for(&m->vcpu, VCPU_STOPPED);
}

bool machine_debugged(struct machine *m, bool debugged)
{
    return __atomic_exchange_n(&m->debugged, debugged, __ATOMIC_ACQ_REL);
}

bool stops_shutdown(struct machine *m)
{
    if (!__atomic_load_n(&m->debugged, __ATOMIC_ACQUIRE))
        return false;
    stops_noted(m);
    return true;
}

void stops_poll(struct machine *m)
{
    struct cpu_stopped hits[CPU_STOP_HITS];
    bool stay = false;
    unsigned count;

    if (!__atomic_exchange_n(&m->stop_noted, false, __ATOMIC_ACQ_REL))
        return;
    stand_still(m);
    count = cpu_stopped(m->cpu, hits, CPU_STOP_HITS);
    for (struct machine_stop_watch *watch = m->stop_watches, *next; watch; watch = next) {
        next = watch->next;
        stay |= watch->stopped(watch->opaque, hits, count);
    }
    if (!stay)
        machine_go(m, false);
}
