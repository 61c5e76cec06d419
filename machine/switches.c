/*
 * switches.c - --switch-at: conditions under which another engine takes over.
 *
 * Whoever sees that a condition holds asks the CPU to stand still after the present instruction, notes which
 * engine is wanted and wakes the event loop, whose thread makes the switch (switches_poll). Looking costs
 * nothing where nobody asks: a port is watched by an address space that the CPU has in front of the ports'
 * own, the serial port by who reads along (line_watch.h). An address is a stop of the CPU (cpu.h) while
 * another engine than the wanted one runs, and the switch is made before the CPU goes on.
 */
#include <stdlib.h>
#include <string.h>

#include "accel/engine.h"
#include "machine/line_watch.h"
#include "machine/machine.h"

#define PORT_SPACE (1ull << 16)

struct switch_point {
    struct switches *all;
    const struct switch_option *option;
    const struct engine *engine; /* the wanted one; of SWITCH_EVERY the last of them */
    struct timer timer;          /* SWITCH_TIME, SWITCH_EVERY */
    bool seen;                   /* SWITCH_SERIAL: in the present line */
};

struct switches {
    struct machine *machine;
    struct switch_point point[OPTIONS_SWITCHES];
    unsigned count;
    const char *wanted; /* the engine, up to a comma; NULL: none; atomic */
    uint64_t random;

    struct bus *ports; /* NULL: no port is watched */
    struct machine_stop_watch stops;

    struct line_watch serial;
};

static void ask(struct switches *s, const char *engine)
{
    __atomic_store_n(&s->wanted, engine, __ATOMIC_RELEASE);
    if (s->machine->vcpu.started)
        vcpu_hold_for(&s->machine->vcpu, VCPU_SWITCHING);
    loop_kick(s->machine->loop);
}

/* --- Time -------------------------------------------------------------------------------------------------
 */

static void time_has_come(void *opaque)
{
    struct switch_point *p = opaque;

    ask(p->all, p->option->engines);
}

/* The same numbers in every run (Marsaglia: xorshift). */
static uint64_t next_random(struct switches *s)
{
    s->random ^= s->random << 13;
    s->random ^= s->random >> 7;
    s->random ^= s->random << 17;
    return s->random;
}

static void next_turn(void *opaque)
{
    struct switch_point *p = opaque;
    const char *engine = p->option->engines;
    unsigned count = 1, n;

    for (const char *at = engine; (at = strchr(at, ',')); at++)
        count++;
    for (n = (unsigned)(next_random(p->all) % count); n; n--)
        engine = strchr(engine, ',') + 1;
    timer_arm(&p->timer, clock_now(p->all->machine->clock) + p->option->number);
    ask(p->all, engine);
}

/* --- Ports ------------------------------------------------------------------------------------------------
 */

static uint64_t port_read(void *opaque, uint64_t port, unsigned size)
{
    struct switches *s = opaque;

    return bus_read(s->machine->ports, port, size);
}

static void port_write(void *opaque, uint64_t port, uint64_t value, unsigned size)
{
    struct switches *s = opaque;

    bus_write(s->machine->ports, port, value, size);
    for (unsigned n = 0; n < s->count; n++) {
        const struct switch_option *o = s->point[n].option;

        if (o->kind == SWITCH_PORT && o->number == port && (!o->has_value || o->value == value))
            ask(s, o->engines);
    }
}

static const struct bus_ops port_ops = {.read = port_read, .write = port_write, .max_size = 8};

static bool watch_ports(struct switches *s)
{
    s->ports = bus_new("watched ports", PORT_SPACE, &s->machine->lock);
    return s->ports && bus_map(s->ports, "ports", 0, PORT_SPACE, &port_ops, s);
}

/* --- The serial port --------------------------------------------------------------------------------------
 */

/* Whether the line ends in the text: when its last character comes, it has come. */
static bool line_shows(const char *line, size_t length, const char *text)
{
    size_t wanted = strlen(text);

    return wanted <= length && !memcmp(line + length - wanted, text, wanted);
}

static void line_grown(void *opaque, const char *line, size_t length, bool ended)
{
    struct switches *s = opaque;

    for (unsigned n = 0; n < s->count; n++) {
        struct switch_point *p = &s->point[n];

        if (ended)
            p->seen = false;
        else if (p->option->kind == SWITCH_SERIAL && !p->seen &&
                 (p->seen = line_shows(line, length, p->option->text)))
            ask(s, p->option->engines);
    }
}

/* --- Addresses --------------------------------------------------------------------------------------------
 */

static void switch_now(struct machine *m, const char *name)
{
    char why[300];

    if (!machine_switch_engine(m, name, why, sizeof(why)))
        log_at(m->log, LOG_ERROR, "oxbow", "the engine can't be switched: %s", why);
}

static bool addresses_reached(void *opaque, const struct cpu_stopped *hits, unsigned count)
{
    struct switches *s = opaque;
    const struct engine *wanted = NULL;

    for (unsigned hit = 0; hit < count; hit++)
        for (unsigned n = 0; n < s->count && hits[hit].stop.owner == s; n++)
            if (s->point[n].option->kind == SWITCH_ADDRESS &&
                s->point[n].option->number == hits[hit].stop.address)
                wanted = s->point[n].engine;
    if (wanted)
        switch_now(s->machine, wanted->name);
    return false;
}

bool switches_set_stops(struct machine *m, const struct engine *engine)
{
    bool done = true;

    if (!m->switches)
        return true;
    cpu_stop_remove_all(m->cpu, m->switches);
    for (unsigned n = 0; n < m->switches->count; n++) {
        const struct switch_point *p = &m->switches->point[n];
        struct cpu_stop stop = {.kind = CPU_STOP_EXECUTE, .address = p->option->number, .owner = m->switches};

        if (p->option->kind == SWITCH_ADDRESS && p->engine != engine)
            done &= cpu_stop_add(m->cpu, &stop);
    }
    return done;
}

void switches_start(struct machine *m)
{
    const struct engine *engine = m->vcpu.engine;

    if (!m->switches)
        return;
    m->switches->stops = (struct machine_stop_watch){.stopped = addresses_reached, .opaque = m->switches};
    machine_watch_stops(m, &m->switches->stops);
    if (!switches_set_stops(m, engine))
        log_at(m->log, LOG_ERROR, "oxbow", "out of memory for --switch-at");
    machine_stops_changed(m);
    if (m->vcpu.engine != engine)
        log_at(m->log, LOG_WARN, "oxbow",
               "--switch-at: the engine %s doesn't stop at addresses; %s runs until then", engine->name,
               m->vcpu.engine->name);
}

/* An address can't be waited for with two engines in mind. */
static bool address_is_new(const struct switches *s, const struct switch_option *o, char *why,
                           size_t why_size)
{
    for (unsigned n = 0; n + 1 < s->count; n++) {
        const struct switch_option *other = s->point[n].option;

        if (o->kind != SWITCH_ADDRESS || other->kind != SWITCH_ADDRESS || o->number != other->number)
            continue;
        snprintf(why, why_size, "--switch-at: address %#llx is there twice; give it one engine",
                 (unsigned long long)o->number);
        return false;
    }
    return true;
}

/* --- All of them ------------------------------------------------------------------------------------------
 */

static void name_of(const char *engines, char *name, size_t size)
{
    snprintf(name, size, "%.*s", (int)strcspn(engines, ","), engines);
}

/* Whether all engines that may be wanted serve here. */
static bool all_serve(struct switch_point *p, char *why, size_t why_size)
{
    char name[16];

    for (const char *at = p->option->engines; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        name_of(at, name, sizeof(name));
        p->engine = engine_pick(name, why, why_size);
        if (!p->engine)
            return false;
    }
    return true;
}

static bool arm(struct switches *s, struct switch_point *p)
{
    switch (p->option->kind) {
    case SWITCH_TIME:
        timer_init(&p->timer, s->machine->clock, "switch-at", time_has_come, p);
        timer_arm(&p->timer, p->option->number);
        return true;
    case SWITCH_EVERY:
        timer_init(&p->timer, s->machine->clock, "switch-at", next_turn, p);
        timer_arm(&p->timer, p->option->number);
        return true;
    case SWITCH_PORT:
        return s->ports || watch_ports(s);
    case SWITCH_SERIAL:
        if (!s->serial.host)
            line_watch_insert(&s->serial, &s->machine->serial[0], line_grown, s);
        return true;
    default:
        return true;
    }
}

bool switches_build(struct machine *m, char *why, size_t why_size)
{
    struct switches *s;

    if (!m->options->switches)
        return true;
    s = m->switches = calloc(1, sizeof(*s));
    if (!s)
        return false;
    s->machine = m;
    s->random = 0x2545f4914f6cdd1d;
    for (unsigned n = 0; n < m->options->switches; n++) {
        struct switch_point *p = &s->point[s->count++];

        *p = (struct switch_point){.all = s, .option = &m->options->switch_at[n]};
        if (!all_serve(p, why, why_size) || !address_is_new(s, p->option, why, why_size) || !arm(s, p))
            return false;
    }
    return true;
}

bool switches_name(const struct machine *m, const struct engine *engine)
{
    for (unsigned n = 0; m->switches && n < m->switches->count; n++)
        if (m->switches->point[n].engine == engine)
            return true;
    return false;
}

void switches_free(struct machine *m)
{
    if (m->switches)
        bus_free(m->switches->ports);
    free(m->switches);
    m->switches = NULL;
}

struct bus *switches_ports(struct machine *m)
{
    return m->switches && m->switches->ports ? m->switches->ports : m->ports;
}

void switches_poll(struct machine *m)
{
    const char *engines;
    char name[16];

    if (!m->switches || !(engines = __atomic_exchange_n(&m->switches->wanted, NULL, __ATOMIC_ACQ_REL)))
        return;
    name_of(engines, name, sizeof(name));
    switch_now(m, name);
    vcpu_release_for(&m->vcpu, VCPU_SWITCHING);
}
