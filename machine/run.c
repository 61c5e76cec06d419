/*
 * run.c - the life of a machine: made, run, reset, ended; see machine.h.
 *
 * Whoever wants something of the running machine leaves a note (end, reset_asked, signalled), asks the CPU to
 * stand still and wakes the event loop, whose thread then does it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "accel/engine.h"
#include "debug/control.h"
#include "debug/crash.h"
#include "debug/core_file.h"
#include "debug/coverage.h"
#include "debug/gdb_server.h"
#include "debug/jit_dump.h"
#include "debug/monitor.h"
#include "machine/machine.h"

static bool init_lock(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attributes;

    if (pthread_mutexattr_init(&attributes))
        return false;
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
    bool done = !pthread_mutex_init(lock, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return done;
}

static int end_status(struct machine *m)
{
    return __atomic_load_n(&m->end, __ATOMIC_ACQUIRE);
}

static void interrupt(struct machine *m)
{
    if (m->vcpu.started)
        vcpu_hold(&m->vcpu);
    loop_kick(m->loop);
}

bool machine_end(struct machine *m, int status)
{
    int expected = -1;
    bool first = __atomic_compare_exchange_n(&m->end, &expected, status, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);

    interrupt(m);
    return first;
}

void machine_reset(struct machine *m)
{
    if (m->options->no_reboot) {
        machine_end(m, EXIT_RESET);
        return;
    }
    __atomic_store_n(&m->reset_asked, true, __ATOMIC_RELEASE);
    interrupt(m);
}

void machine_signal(struct machine *m, int number)
{
    m->signalled = number;
    loop_kick(m->loop);
}

void machine_signal_screenshot(struct machine *m)
{
    m->pictured = true;
    loop_kick(m->loop);
}

static void triple_fault(void *opaque)
{
    if (!stops_shutdown(opaque))
        machine_end(opaque, EXIT_CRASH);
}

static void time_is_up(void *opaque)
{
    struct machine *m = opaque;

    log_at(m->log, LOG_INFO, "oxbow", "the time given by --timeout is over");
    machine_end(m, EXIT_TIMEOUT);
}

/* RESET# on every chip and the CPU. All stands still. */
static void reset_all(struct machine *m)
{
    drives_settle(m);
    for (unsigned i = 0; i < m->chip_count; i++)
        m->chips[i].class->reset(m->chips[i].device);
    cpu_a20(m->cpu, true);
    cpu_reset(m->cpu, false);
}

static bool open_coverage(struct machine *m, const struct engine *engine, char *why, size_t why_size)
{
    const char *image = m->options->symbols ? m->options->symbols : m->kernel_name;
    struct cpu_cover cover;

    if (!m->options->coverage)
        return true;
    if (!strcmp(engine->name, "kvm")) {
        snprintf(why, why_size, "--coverage: KVM doesn't tell what it runs; use --accel jit or interp");
        return false;
    }
    if (!image) {
        snprintf(why, why_size, "--coverage: it is not known whose code is meant; give a kernel, or --symbols FILE");
        return false;
    }
    m->coverage = coverage_open(m->options->coverage, image, why, why_size);
    if (!m->coverage)
        return false;
    cover = coverage_watch(m->coverage);
    cpu_cover(m->cpu, &cover);
    return true;
}

/* The CPU stands still. */
static void close_coverage(struct machine *m)
{
    char why[300];

    if (!coverage_close(m->coverage, why, sizeof(why)))
        log_at(m->log, LOG_ERROR, "oxbow", "%s", why);
    m->coverage = NULL;
}

static bool open_gdb(struct machine *m, char *why, size_t why_size)
{
    const struct options *o = m->options;

    if (o->gdb && o->check) {
        snprintf(why, why_size, "--check takes the CPU for itself; it can't be debugged with --gdb meanwhile");
        return false;
    }
    if (o->gdb) {
        m->gdb = gdb_server_open(m, o->gdb, o->wait_gdb, why, why_size);
        return m->gdb;
    }
    snprintf(why, why_size, "--wait-gdb waits for GDB, but --gdb doesn't say where");
    return !o->wait_gdb;
}

/* All of it; 0 or an exit status. */
static int build(struct machine *m, char *why, size_t why_size)
{
    const struct engine *engine = engine_pick(m->options->accel, why, why_size);
    int status;

    if (!engine)
        return EXIT_HOST;
    m->vcpu.engine = engine; /* already now, for engines_cpu_model() */
    status = machine_read_files(m, why, why_size);
    if (status)
        return status;
    m->ram = host_ram_new(m->options->memory, why, why_size);
    if (!m->ram)
        return EXIT_HOST;
    /* What fails here but for want of memory is a model or a stream that the options name. */
    if (!pc_build(m, why, why_size))
        return EXIT_USAGE;
    pthread_mutex_lock(&m->lock);
    reset_all(m);
    bool loaded = machine_boot(m, why, why_size);
    pthread_mutex_unlock(&m->lock);
    if (!loaded)
        return EXIT_USAGE;
    if (!viewer_open(m, why, why_size))
        return EXIT_HOST;
    m->reset_asked = false;
    timer_init(&m->timeout, m->clock, "timeout", time_is_up, m);
    status = engines_start(m, engine, why, why_size);
    if (status)
        return status;
    if (!open_coverage(m, engine, why, why_size))
        return EXIT_USAGE;
    m->monitor = monitor_new(m, why, why_size);
    if (!m->monitor)
        return EXIT_USAGE;
    if (m->options->control && !(m->control = control_open(m, m->options->control, why, why_size)))
        return EXIT_USAGE;
    snprintf(why, why_size, "the host has no thread for a CPU");
    if (!vcpu_start(&m->vcpu, m->cpu, engine, triple_fault, stops_noted, m))
        return EXIT_HOST;
    return open_gdb(m, why, why_size) ? 0 : EXIT_USAGE;
}

int machine_new(const struct machine_config *config, struct machine **machine, char *why, size_t why_size)
{
    struct machine *m = calloc(1, sizeof(*m));
    int status = EXIT_HOST;

    *machine = NULL;
    snprintf(why, why_size, "out of memory");
    if (!m)
        return EXIT_HOST;
    m->options = config->options;
    m->log = config->log;
    m->serial[0] = config->serial;
    m->debugcon = config->debugcon;
    m->end = -1;
    m->exit_value = -1;
    if (!init_lock(&m->lock)) {
        free(m);
        return EXIT_HOST;
    }
    m->loop = loop_new();
    if (m->loop)
        status = build(m, why, why_size);
    if (status)
        machine_free(m);
    else
        *machine = m;
    return status;
}

void machine_free(struct machine *m)
{
    gdb_server_close(m->gdb);
    vcpu_stop(&m->vcpu);
    control_close(m->control);
    monitor_free(m->monitor);
    viewer_close(m);
    pc_free(m);
    close_coverage(m);
    jit_dump_close(m->jit_dump);
    loop_free(m->loop);
    host_ram_free(m->ram);
    host_file_free(&m->bios);
    host_file_free(&m->kernel);
    host_file_free(&m->initrd);
    root_free(m);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

void machine_pause(struct machine *m, bool pause)
{
    if (pause == m->paused)
        return;
    m->paused = pause;
    if (pause) {
        vcpu_hold(&m->vcpu);
        vcpu_wait(&m->vcpu);
    }
    stops_set_clock(m);
    if (!pause)
        drives_retry(m);
    if (!pause && end_status(m) < 0)
        vcpu_release(&m->vcpu);
    control_paused(m->control, pause);
}

/* The same start again, from the same files. */
static void reboot(struct machine *m)
{
    char why[300];

    vcpu_hold(&m->vcpu);
    vcpu_wait(&m->vcpu);
    __atomic_store_n(&m->reset_asked, false, __ATOMIC_RELEASE);
    pthread_mutex_lock(&m->lock);
    reset_all(m);
    bool loaded = machine_boot(m, why, sizeof(why));
    pthread_mutex_unlock(&m->lock);
    if (!loaded) {
        log_at(m->log, LOG_ERROR, "oxbow", "cannot boot again: %s", why);
        machine_end(m, EXIT_HOST);
    }
    m->vcpu.engine->push(m->cpu);
    /* A reset that was asked for while chips were reset is done with. */
    __atomic_store_n(&m->reset_asked, false, __ATOMIC_RELEASE);
    if (end_status(m) < 0 && !m->paused)
        vcpu_release(&m->vcpu);
    control_reset(m->control, !m->reset_by_host);
    m->reset_by_host = false;
}

/* What the run's end is called by QMP. */
static void tell_end(struct machine *m)
{
    const char *reason = m->signalled ? "host-signal" : m->ended_by;

    if (reason)
        control_shutdown(m->control, false, reason);
    else if (end_status(m) == EXIT_CRASH)
        control_shutdown(m->control, true, "guest-panic");
    else if (end_status(m) == EXIT_RESET)
        control_shutdown(m->control, true, "guest-reset");
    else
        control_shutdown(m->control, end_status(m) != EXIT_HOST && end_status(m) != EXIT_TIMEOUT,
                         end_status(m) == EXIT_HOST      ? "host-error"
                         : end_status(m) == EXIT_TIMEOUT ? "host-ui"
                                                         : "guest-shutdown");
}

static void report_crash(struct machine *m)
{
    const char *path = m->options->crash_report;
    char core[4200], why[400] = "";

    crash_report(m, m->crash_reason, stderr);
    if (!path)
        return;
    FILE *out = fopen(path, "we");
    if (out)
        crash_report(m, m->crash_reason, out);
    if (!out || ferror(out) || fclose(out))
        log_at(m->log, LOG_ERROR, "oxbow", "--crash-report: cannot write %s: %s", path, strerror(errno));
    snprintf(core, sizeof(core), "%s.core", path);
    if (!core_file_write(m, core, why, sizeof(why)))
        log_at(m->log, LOG_ERROR, "oxbow", "--crash-report: %s", why);
}

/* Under some engines the guest's TSC is the host's: then it is from the start, so that no switch moves it. */
static void start_tsc(struct machine *m)
{
    uint64_t now = engine_tsc_now();

    if (now)
        cpu_start_tsc(m->cpu, now);
}

int machine_run(struct machine *m)
{
    start_tsc(m);
    stops_set_clock(m);
    pthread_mutex_lock(&m->lock);
    if (m->options->timeout)
        timer_arm(&m->timeout, clock_now(m->clock) + m->options->timeout);
    pthread_mutex_unlock(&m->lock);
    switches_start(m);
    if (!stop_on_start(m))
        log_at(m->log, LOG_ERROR, "oxbow", "out of memory for --stop-on or --history");
    if (end_status(m) < 0)
        vcpu_release(&m->vcpu);

    while (end_status(m) < 0 && !m->signalled) {
        viewer_poll(m);
        control_poll(m->control);
        monitor_poll(m->monitor);
        switches_poll(m);
        stops_poll(m);
        gdb_server_poll(m->gdb);
        drives_poll(m);
        if (m->pictured) {
            m->pictured = false;
            screen_save(m);
        }
        if (__atomic_load_n(&m->reset_asked, __ATOMIC_ACQUIRE))
            reboot(m);
        else if (!loop_run_once(m->loop, m->clock, &m->lock))
            machine_end(m, EXIT_POWEROFF);
    }
    if (m->signalled)
        machine_end(m, EXIT_SIGNAL + m->signalled);

    vcpu_hold(&m->vcpu);
    vcpu_wait(&m->vcpu);
    tell_end(m);
    m->vcpu.engine->pull(m->cpu);
    gdb_server_exited(m->gdb, end_status(m));
    pthread_mutex_lock(&m->lock);
    timer_disarm(&m->timeout);
    clock_stop(m->clock);
    pthread_mutex_unlock(&m->lock);
    screen_save(m);
    viewer_close(m);
    if (end_status(m) == EXIT_CRASH && (cpu_state(m->cpu)->activity == CPU_SHUTDOWN || *m->crash_reason))
        report_crash(m);
    return end_status(m);
}

void machine_print_check(const struct machine *m, FILE *out)
{
    static const char *const reasons[] = {
#define X(id, text) text,
        CPU_UNCHECKED(X)
#undef X
    };
    struct cpu_stats stats = {0};

    cpu_get_stats(m->cpu, &stats);
    fprintf(out, "check: %" PRIu64 " blocks compared, %" PRIu64 " instructions; %" PRIu64 " of them raised exceptions\n",
            stats.check.blocks, stats.check.instructions, stats.check.faults);
    for (unsigned n = 0; n < UNCHECKED_COUNT; n++)
        if (stats.check.unchecked[n])
            fprintf(out, "check: %12" PRIu64 " not compared: %s\n", stats.check.unchecked[n], reasons[n]);
}

static double percent(uint64_t part, uint64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void print_jit_stats(const struct cpu_jit_stats *jit, FILE *out)
{
    uint64_t slow = jit->slow_plain + jit->slow_walk + jit->slow_other;

    fprintf(out,
            "stats: jit: %" PRIu64 " blocks of %" PRIu64 " instructions, %" PRIu64 " bytes to %" PRIu64
            ", in %.3f s; %" PRIu64 " dropped, %" PRIu64 " resets of %.3f ms at most; %" PRIu64
            " of %" PRIu64 " KiB in use\n",
            jit->blocks, jit->instructions, jit->guest_bytes, jit->bytes, (double)jit->nanoseconds / 1e9, jit->dropped,
            jit->resets, (double)jit->longest_reset / 1e6, jit->used >> 10, jit->size >> 10);
    fprintf(out, "stats: jit: entered %" PRIu64 " times; %" PRIu64 " exits resolved, %" PRIu64 " indirect look-ups in C\n",
            jit->entered, jit->resolved, jit->indirect);
    fprintf(out,
            "stats: jit: %" PRIu64 " slow accesses: %.1f%% in the TLB, %.1f%% by a walk, %.1f%% to chips, across pages, to "
            "code, or faults\n",
            slow, percent(jit->slow_plain, slow), percent(jit->slow_walk, slow), percent(jit->slow_other, slow));
    fprintf(out, "stats: jit: %" PRIu64 " instructions by their bodies", jit->bodies);
    for (unsigned n = 0; n < CPU_BODIES && jit->body[n].name; n++)
        fprintf(out, "%s%s %.1f%%", n ? ", " : ": ", jit->body[n].name, percent(jit->body[n].count, jit->bodies));
    fprintf(out, "\n");
}

void machine_print_stats(const struct machine *m, FILE *out)
{
    struct vcpu_times times = vcpu_get_times(&m->vcpu);
    struct cpu_stats stats = {0};

    cpu_get_stats(m->cpu, &stats);
    stats.instructions = cpu_instructions(m->cpu);
    fprintf(out, "stats: %" PRIu64 " instructions, %.3f s busy, %.3f s elapsed, %.1f MIPS (%s)\n",
            stats.instructions, times.busy, times.wall,
            times.busy > 0 ? (double)stats.instructions / times.busy / 1e6 : 0, m->vcpu.engine->name);
    fprintf(out,
            "stats: %" PRIu64 " traces decoded, %" PRIu64 " dropped, %" PRIu64 " bytes, %" PRIu64
            " flushes\n",
            stats.traces, stats.trace_invalidations, stats.trace_bytes, stats.trace_flushes);
    fprintf(out,
            "stats: %" PRIu64 " TLB misses, %" PRIu64 " TLB flushes, %" PRIu64 " interrupts, %" PRIu64
            " exceptions\n",
            stats.tlb_misses, stats.tlb_flushes, stats.interrupts, stats.exceptions);
    engines_print_stats(m, out);
    if (stats.jit.active)
        print_jit_stats(&stats.jit, out);
}
