/*
 * breaks.c - the monitor's breakpoints, watchpoints and steps, by the CPU's stops (cpu.h). The machine is
 * paused when one is hit, and `cont` lets it go on; a debugger at --gdb has its own and sees nothing of
 * these.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "debug/control.h"
#include "debug/listing.h"
#include "debug/monitor_internal.h"

#define STEPS_MAX 1000000u

/* What a stop is for, as `catch` and listings name it. */
static const struct {
    const char *name;
    enum cpu_stop_kind kind;
    bool takes_number;
} kinds[] = {
    {"break", CPU_STOP_EXECUTE, true},
    {"write", CPU_STOP_WRITE, true},
    {"read", CPU_STOP_READ, true},
    {"access", CPU_STOP_ACCESS, true},
    {"port", CPU_STOP_PORT, true},
    {"exception", CPU_STOP_EXCEPTION, true},
    {"interrupt", CPU_STOP_INTERRUPT, true},
    {"msr", CPU_STOP_MSR, true},
    {"cr", CPU_STOP_CR, true},
    {"mmio", CPU_STOP_CHIP, true},
    {"far", CPU_STOP_FAR, false},
    {"syscall", CPU_STOP_SYSCALL, false},
    {"mode", CPU_STOP_MODE, false},
    {"cr3", CPU_STOP_CR3, false},
    {"magic", CPU_STOP_MAGIC, false},
    {"nonsense", CPU_STOP_NONSENSE, false},
};

#define KINDS (sizeof(kinds) / sizeof(*kinds))

static const char *kind_name(enum cpu_stop_kind kind)
{
    for (unsigned n = 0; n < KINDS; n++)
        if (kinds[n].kind == kind)
            return kinds[n].name;
    return "?";
}

/* It takes no number. */
static bool stop_alone_tells(enum cpu_stop_kind kind)
{
    for (unsigned n = 0; n < KINDS; n++)
        if (kinds[n].kind == kind)
            return !kinds[n].takes_number;
    return false;
}

static void print_stop(struct monitor *monitor, unsigned n, FILE *out)
{
    const struct cpu_stop *stop = &monitor->stop[n];
    char text[256];

    fprintf(out, "%u %s", n + 1, kind_name(stop->kind));
    if (stop->kind == CPU_STOP_EXCEPTION)
        fprintf(out, " %s", cpu_exception_name((unsigned)stop->address));
    else if (!stop_alone_tells(stop->kind))
        fprintf(out, " %" PRIx64, stop->address);
    if (stop->size > 1 && !stop_alone_tells(stop->kind))
        fprintf(out, ", %" PRIu64 " bytes", stop->size);
    if (stop->kind <= CPU_STOP_ACCESS && *symbols_format(monitor->symbols, stop->address, text, sizeof(text)))
        fprintf(out, " <%s>", text);
}

/* --- Setting and deleting ------------------------------------------------------------------------ */

/* Adds or removes it while the CPU stands still, whoever else holds it. */
static bool change(struct monitor *monitor, const struct cpu_stop *stop, bool add)
{
    struct machine *m = monitor->machine;
    bool held = m->stopped, done;

    machine_stop(m);
    done = add ? cpu_stop_add(m->cpu, stop) : cpu_stop_remove(m->cpu, stop);
    machine_stops_changed(m);
    if (!held)
        machine_go(m, false);
    return done;
}

static bool add(struct monitor_call *call, const struct cpu_stop *stop)
{
    struct monitor *monitor = call->monitor;

    for (unsigned n = 0; n < MONITOR_STOPS; n++) {
        if (monitor->stop[n].owner)
            continue;
        if (!change(monitor, stop, true))
            return monitor_fail(call, "out of memory");
        monitor->stop[n] = *stop;
        print_stop(monitor, n, call->out);
        fprintf(call->out, "\n");
        return true;
    }
    return monitor_fail(call, "there are %d already; delete some", MONITOR_STOPS);
}

/* A value that needs the CPU's state. */
static bool value_of(struct monitor_call *call, const char *text, uint64_t *value)
{
    machine_look(call->machine);
    bool known = monitor_value(call, text, value);
    machine_look_away(call->machine, false);
    return known;
}

bool monitor_break(struct monitor_call *call)
{
    struct cpu_stop stop = {.kind = CPU_STOP_EXECUTE, .owner = call->monitor};

    return value_of(call, call->argv[1], &stop.address) && add(call, &stop);
}

bool monitor_watch(struct monitor_call *call)
{
    struct cpu_stop stop = {.kind = CPU_STOP_WRITE, .size = 1, .owner = call->monitor};
    const char *how = call->argc > 3 ? call->argv[3] : "write";

    if (!value_of(call, call->argv[1], &stop.address) ||
        (call->argc > 2 && !value_of(call, call->argv[2], &stop.size)))
        return false;
    for (unsigned n = 1; n <= 3; n++)
        if (!strcmp(kinds[n].name, how)) {
            stop.kind = kinds[n].kind;
            return add(call, &stop);
        }
    return monitor_fail(call, "one can watch for write, read or access, not \"%.40s\"", how);
}

/* "#GP", "gp" or a number. */
static bool exception_value(struct monitor_call *call, const char *text, uint64_t *value)
{
    for (unsigned n = 0; n < 32; n++) {
        const char *name = cpu_exception_name(n);

        if (strcasecmp(name, text) && strcasecmp(name + (*name == '#'), text))
            continue;
        *value = n;
        return true;
    }
    return value_of(call, text, value);
}

bool monitor_catch(struct monitor_call *call)
{
    struct cpu_stop stop = {.size = 1, .owner = call->monitor};
    unsigned n = 4;

    while (n < KINDS && strcmp(kinds[n].name, call->argv[1]))
        n++;
    if (n == KINDS)
        return monitor_fail(call,
                            "one can catch exception, interrupt, port, msr, cr, mmio, far, syscall, mode, cr3, magic or "
                            "nonsense, not \"%.40s\"",
                            call->argv[1]);
    stop.kind = kinds[n].kind;
    if (!kinds[n].takes_number)
        stop.size = UINT64_MAX; /* all of them */
    if (kinds[n].takes_number != (call->argc > 2))
        return monitor_fail(call, "catch %s takes %s", kinds[n].name,
                            kinds[n].takes_number ? "a number" : "no number");
    if (stop.kind == CPU_STOP_EXCEPTION ? !exception_value(call, call->argv[2], &stop.address)
                                        : call->argc > 2 && !value_of(call, call->argv[2], &stop.address))
        return false;
    if (call->argc > 3 && !value_of(call, call->argv[3], &stop.size))
        return false;
    return add(call, &stop);
}

bool monitor_delete(struct monitor_call *call)
{
    struct monitor *monitor = call->monitor;
    uint64_t number = 0;

    if (call->argc > 1 && (!monitor_number(call->argv[1], &number) || !number || number > MONITOR_STOPS ||
                           !monitor->stop[number - 1].owner))
        return monitor_fail(call, "there is no number \"%.40s\"; info breakpoints lists them", call->argv[1]);
    for (unsigned n = 0; n < MONITOR_STOPS; n++) {
        if (!monitor->stop[n].owner || (number && n != number - 1))
            continue;
        change(monitor, &monitor->stop[n], false);
        monitor->stop[n] = (struct cpu_stop){0};
    }
    return true;
}

bool info_breakpoints(struct monitor_call *call)
{
    for (unsigned n = 0; n < MONITOR_STOPS; n++) {
        if (!call->monitor->stop[n].owner)
            continue;
        print_stop(call->monitor, n, call->out);
        fprintf(call->out, "\n");
    }
    return true;
}

/* --- Hits ---------------------------------------------------------------------------------------- */

static bool is_same(const struct cpu_stop *a, const struct cpu_stop *b)
{
    return a->owner == b->owner && a->kind == b->kind && a->address == b->address;
}

/* Of the machine's stops: pauses it if one of ours is among them. */
static bool stopped(void *opaque, const struct cpu_stopped *hits, unsigned count)
{
    struct monitor *monitor = opaque;
    char *text = NULL;
    size_t size = 0;
    FILE *out = NULL;

    for (unsigned hit = 0; hit < count; hit++) {
        for (unsigned n = 0; n < MONITOR_STOPS; n++) {
            if (!monitor->stop[n].owner || !is_same(&monitor->stop[n], &hits[hit].stop))
                continue;
            out = out ? out : open_memstream(&text, &size);
            if (!out)
                continue;
            fprintf(out, "Stopped by ");
            print_stop(monitor, n, out);
            fprintf(out, ", rip %" PRIx64 "\n", cpu_state(monitor->machine->cpu)->rip);
        }
    }
    if (!out)
        return false;
    fclose(out);
    machine_pause(monitor->machine, true);
    console_say(monitor->console, text);
    control_note(monitor->machine->control, text);
    free(text);
    return false; /* that it is paused is enough */
}

void breaks_init(struct monitor *monitor)
{
    monitor->watch = (struct machine_stop_watch){.stopped = stopped, .opaque = monitor};
    machine_watch_stops(monitor->machine, &monitor->watch);
}

void breaks_end(struct monitor *monitor)
{
    machine_unwatch_stops(monitor->machine, &monitor->watch);
}

/* --- Steps --------------------------------------------------------------------------------------- */

static void print_next(struct monitor_call *call)
{
    struct cpu *cpu = call->machine->cpu;
    const struct cpu_state *s = cpu_state(cpu);
    unsigned bits = cpu_code_bits(s);
    uint64_t linear = s->seg[CS].base + s->rip;
    uint8_t code[15];
    size_t size;

    linear = bits == 64 ? linear : linear & UINT32_MAX;
    size = cpu_peek(cpu, linear, code, sizeof(code));
    if (size)
        listing_one(call->out, bits, linear, code, size, code, call->monitor->symbols);
    else
        fprintf(call->out, "rip %" PRIx64 " is not mapped\n", s->rip);
}

/* The CPU's thread stands still; this one takes the steps. */
bool monitor_step(struct monitor_call *call)
{
    struct machine *m = call->machine;
    enum cpu_exit exit = CPU_EXIT_KICK;
    uint64_t count = 1;

    if (call->argc > 1 && (!monitor_number(call->argv[1], &count) || count > STEPS_MAX))
        return monitor_fail(call, "\"%.40s\" is no number of steps up to %u", call->argv[1], STEPS_MAX);
    if (m->stopped)
        return monitor_fail(call, "a debugger holds the machine; step there");
    machine_pause(m, true);
    m->vcpu.engine->pull(m->cpu);
    while (count-- && exit == CPU_EXIT_KICK)
        exit = cpu_step_over(m->cpu);
    cpu_pull(m->cpu);
    if (exit == CPU_EXIT_HALT)
        fprintf(call->out, "The processor is halted.\n");
    if (exit == CPU_EXIT_STOPPED)
        fprintf(call->out, "There is something to stop at.\n");
    if (exit == CPU_EXIT_SHUTDOWN)
        machine_end(m, EXIT_CRASH);
    print_next(call);
    m->vcpu.engine->push(m->cpu);
    return true;
}
