/*
 * engines.c - which engine pulls the machine: the first one, and others that take over while it runs; see
 * accel/engine.h.
 *
 * A switch happens on the event loop's thread while the CPU stands still, so between two instructions: the
 * old engine brings its part of the state home (pull) and lets go of the CPU (detach), the new one takes hold
 * of it (attach) and of the state (push). Chips and clock notice nothing. When the new one can't, the old one
 * goes on.
 *
 * --check, --jit-dump and --perf-map concern whichever engine translates, as often as its turn comes.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "accel/engine.h"
#include "debug/difference.h"
#include "debug/jit_dump.h"
#include "host/time.h"
#include "machine/machine.h"

/* --- Taking hold of the CPU -------------------------------------------------------------------------------
 */

static void differs(void *opaque, const struct cpu_difference *difference)
{
    difference_report(difference, stderr);
    machine_end(opaque, EXIT_DIFFERS);
}

/* In a signal handler, but with no lock held; exit() gives the terminal back. */
static void broken(void *opaque, const struct cpu_host_fault *fault)
{
    (void)opaque;
    jit_dump_fault(fault, stderr);
    exit(EXIT_CRASH);
}

/* On the CPU's thread. */
static void failed(void *opaque, const char *why)
{
    fprintf(stderr, "oxbow: %s\n", why);
    machine_end(opaque, EXIT_HOST);
}

/* --jit-dump and --perf-map, if asked for and the engine has something to show; 0 or an exit status. */
static int watch(struct machine *m, const struct engine *engine, char *why, size_t why_size)
{
    struct cpu_watch wanted;

    if (!engine->watch || m->jit_dump || (!m->options->jit_dump.on && !m->options->perf_map))
        return 0; /* a translator that comes back is still watched */
    m->jit_dump = jit_dump_open(m->options, why, why_size);
    if (!m->jit_dump)
        return EXIT_USAGE;
    wanted = jit_dump_watch(m->jit_dump);
    engine->watch(m->cpu, &wanted);
    return 0;
}

/* 0 or an exit status; then the engine is not attached. */
static int attach(struct machine *m, const struct engine *engine, char *why, size_t why_size)
{
    struct engine_options options = {.code_size = m->options->jit_cache, .broken = broken, .failed = failed, .opaque = m,
                                     .code = m->options->kvm_code, .irqchip = m->options->kvm_irqchip, .irqchips = &m->irqchips};
    int status;

    if (engine->attach && !engine->attach(m->cpu, &options, why, why_size))
        return EXIT_HOST;
    status = watch(m, engine, why, why_size);
    if (!status && m->options->check && engine->check &&
        !engine->check(m->cpu, m->options->check, differs, m)) {
        snprintf(why, why_size, "out of memory for --check");
        status = EXIT_HOST;
    }
    if (status && engine->detach)
        engine->detach(m->cpu);
    return status;
}

/* What is asked for must be there to be had; 0 or an exit status. */
static int options_fit(const struct machine *m, const struct engine *engine, char *why, size_t why_size)
{
    const char *option = m->options->check ? "check" : m->options->perf_map ? "perf-map" : "jit-dump";
    bool fits = m->options->check ? !!engine->check : !!engine->watch;

    if (!m->options->check && !m->options->perf_map && !m->options->jit_dump.on)
        return 0;
    for (const struct engine *const *other = engines; *other && !fits; other++)
        fits = switches_name(m, *other) && (m->options->check ? !!(*other)->check : !!(*other)->watch);
    if (fits)
        return 0;
    snprintf(why, why_size, "--%s: the engine %s translates no code; use --accel jit", option, engine->name);
    return EXIT_USAGE;
}

int engines_start(struct machine *m, const struct engine *engine, char *why, size_t why_size)
{
    int status = options_fit(m, engine, why, why_size);

    if (!status)
        status = attach(m, engine, why, why_size);
    if (!status)
        engine->push(m->cpu);
    if (!status && engine->user_only && engine->user_only())
        log_at(m->log, LOG_WARN, "oxbow",
               "%s runs only user code well on this host, and kernel code not at its speed: see \"oxbow accel\"", engine->name);
    return status;
}

/* --- The guest's processor --------------------------------------------------------------------------------
 */

/* Appends ",-feature" to `model`, and the name to `left_out`, for each of `names` that the default model has. */
static void leave_out(char *names, char *model, size_t size, char *left_out, size_t left_out_size)
{
    char *rest = NULL;

    for (char *name = strtok_r(names, " ", &rest); name; name = strtok_r(NULL, " ", &rest)) {
        size_t used = strlen(model), noted = strlen(left_out);

        if (!cpu_default_has(name) || used + strlen(name) + 3 > size)
            continue;
        snprintf(model + used, size - used, "%s-%s", used ? "," : "", name);
        snprintf(left_out + noted, left_out_size - noted, " %s", name);
    }
}

const char *engines_cpu_model(const struct machine *m, char *model, size_t size)
{
    char names[500];

    model[0] = 0;
    if (m->options->cpu)
        return m->options->cpu;
    for (const struct engine *const *engine = engines; *engine; engine++) {
        char left_out[500] = "", why[300];

        if (!(*engine)->lacking || (*engine != m->vcpu.engine && !switches_name(m, *engine)) ||
            !(*engine)->probe(why, sizeof(why)))
            continue;
        (*engine)->lacking(names, sizeof(names));
        leave_out(names, model, size, left_out, sizeof(left_out));
        if (left_out[0])
            log_at(m->log, LOG_INFO, "oxbow", "the guest's processor is without what the engine %s lacks here:%s",
                   (*engine)->name, left_out);
    }
    return model[0] ? model : NULL;
}

/* --- Another's turn ---------------------------------------------------------------------------------------
 */

static struct engine_turns *turns_of(struct engine_account *account, const struct engine *engine)
{
    unsigned n = 0;

    while (engines[n] && engines[n] != engine && n < MACHINE_ENGINES - 1)
        n++;
    return &account->of[n];
}

/* Notes what the engine did since its turn began; it ends here. */
static void end_turn(const struct machine *m, struct engine_account *account)
{
    struct engine_turns *turns = turns_of(account, m->vcpu.engine);
    uint64_t wall = vcpu_wall(&m->vcpu), instructions = cpu_instructions(m->cpu);

    turns->count++;
    turns->wall += wall - account->since_wall;
    turns->instructions += instructions - account->since_instructions;
    account->since_wall = wall;
    account->since_instructions = instructions;
}

/* The CPU stands still. False: the engine before has it again. */
static bool change(struct machine *m, const struct engine *to, char *why, size_t why_size)
{
    const struct engine *from = m->vcpu.engine;
    char again[200];
    bool done;

    from->pull(m->cpu);
    if (from->detach)
        from->detach(m->cpu);
    done = !attach(m, to, why, why_size);
    if (!done && attach(m, from, again, sizeof(again))) {
        log_at(m->log, LOG_ERROR, "oxbow", "no engine has the CPU any more: %s", again);
        machine_end(m, EXIT_HOST);
        return false;
    }
    if (done) {
        end_turn(m, &m->engines);
        m->vcpu.engine = to;
    }
    cpu_renew_clock(m->cpu);
    m->vcpu.engine->push(m->cpu);
    return done;
}

/* Sets the stops as they are to be under `to`, which must know how to stop there. */
static bool suits_stops(struct machine *m, const struct engine *to, char *why, size_t why_size)
{
    snprintf(why, why_size, "out of memory for --switch-at");
    if (!switches_set_stops(m, to))
        return false;
    snprintf(why, why_size, "there are breakpoints, or addresses to switch at, and the engine %s knows none",
             to->name);
    return stops_known(m, to) || !cpu_has_stops(m->cpu);
}

/* As engine_pick(), which may take its time to find that an engine serves: it is asked once. */
static const struct engine *pick(struct machine *m, const char *name, char *why, size_t why_size)
{
    const struct engine *picked;

    for (unsigned n = 0; engines[n] && n < MACHINE_ENGINES; n++)
        if (m->engines.of[n].serves && !strcmp(engines[n]->name, name))
            return engines[n];
    picked = engine_pick(name, why, why_size);
    if (picked)
        turns_of(&m->engines, picked)->serves = true;
    return picked;
}

bool machine_switch_engine(struct machine *m, const char *name, char *why, size_t why_size)
{
    struct engine_account *account = &m->engines;
    const struct engine *to = pick(m, name, why, why_size);
    uint64_t begin;
    bool done;

    if (!to || to == m->vcpu.engine)
        return to;
    begin = host_monotonic();
    vcpu_hold_for(&m->vcpu, VCPU_SWITCHING);
    vcpu_wait(&m->vcpu);
    done = suits_stops(m, to, why, why_size) && change(m, to, why, why_size);
    if (done)
        m->engine_before_stops = NULL;
    else
        switches_set_stops(m, m->vcpu.engine);
    vcpu_release_for(&m->vcpu, VCPU_SWITCHING);
    begin = host_monotonic() - begin;
    account->switches++;
    account->nanoseconds += begin;
    if (begin > account->longest)
        account->longest = begin;
    return done;
}

void engines_print_stats(const struct machine *m, FILE *out)
{
    struct engine_account account = m->engines;

    for (unsigned n = 0; engines[n]; n++)
        if (engines[n]->print_stats)
            engines[n]->print_stats(m->cpu, out);
    if (!account.switches)
        return;
    end_turn(m, &account);
    fprintf(out, "stats: %" PRIu64 " switches of the engine, %.3f ms each, %.3f ms at most\n",
            account.switches, (double)account.nanoseconds / (double)account.switches / 1e6,
            (double)account.longest / 1e6);
    for (unsigned n = 0; engines[n] && n < MACHINE_ENGINES; n++)
        if (account.of[n].count)
            fprintf(out, "stats: %s: %" PRIu64 " turns, %.3f s, %" PRIu64 " instructions\n", engines[n]->name,
                    account.of[n].count, (double)account.of[n].wall / 1e9, account.of[n].instructions);
}
