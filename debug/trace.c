/*
 * trace.c - what happens in the guest, written down as it does: exceptions, interrupts, ports, control
 * registers, MSRs, chips' memory, far transfers, system calls. Each is a stop of the CPU (cpu.h) after which it goes on, so that nothing is paid while no
 * trace is on.
 *
 * The last TRACE_KEPT events are kept for `info trace`; each is also a line of the log at level debug.
 */
#include <inttypes.h>
#include <string.h>

#include "debug/monitor_internal.h"

static const struct {
    const char *name, *about;
    enum cpu_stop_kind kind;
    unsigned count; /* stops of the kind, at addresses from 0 on */
    uint64_t size;  /* of each */
} categories[] = {
    {"exceptions", "before they are delivered", CPU_STOP_EXCEPTION, 32, 1},
    {"interrupts", "at their handler: INTR, NMI, INT n", CPU_STOP_INTERRUPT, 1, 256},
    {"ports", "after IN, OUT and their like", CPU_STOP_PORT, 1, 65536},
    {"cr", "after MOV to a control register, LMSW, CLTS", CPU_STOP_CR, 1, 16},
    {"cr3", "after another address space is taken", CPU_STOP_CR3, 1, UINT64_MAX},
    {"mode", "after CR0.PE or CR0.PG, and with it EFER.LMA, changed", CPU_STOP_MODE, 1, UINT64_MAX},
    {"msrs", "after RDMSR and WRMSR", CPU_STOP_MSR, 1, 1ull << 32},
    {"mmio", "after accesses to chips' memory, or to where nothing is", CPU_STOP_CHIP, 1, UINT64_MAX},
    {"far", "at the target of far JMP, CALL and RET, and IRET", CPU_STOP_FAR, 1, UINT64_MAX},
    {"syscalls", "at the target of SYSCALL, SYSRET, SYSENTER, SYSEXIT", CPU_STOP_SYSCALL, 1, UINT64_MAX},
};

#define CATEGORIES (sizeof(categories) / sizeof(*categories))

static const char *chip_name(struct monitor *monitor, uint64_t address)
{
    uint64_t offset;
    const struct region *r = bus_find(monitor->machine->memory, address, &offset);

    return r ? r->name : "nothing there";
}

/* What happened, without where. */
static void describe(struct monitor *monitor, const struct trace_event *e, char *text, size_t size)
{
    char name[120];

    switch (e->kind) {
    case CPU_STOP_EXCEPTION:
        snprintf(text, size, e->has_error ? "%s(%04" PRIx32 ")" : "%s", cpu_exception_name((unsigned)e->address),
                 e->error);
        break;
    case CPU_STOP_INTERRUPT:
        snprintf(text, size, "interrupt %02" PRIx64, e->address);
        break;
    case CPU_STOP_PORT:
        snprintf(text, size, "%s port %04" PRIx64 ", %" PRIx64, e->write ? "write" : "read", e->address, e->value);
        break;
    case CPU_STOP_CR:
        snprintf(text, size, "cr%" PRIu64 " written, %" PRIx64, e->address, e->value);
        break;
    case CPU_STOP_CR3:
        snprintf(text, size, "cr3 %" PRIx64, e->address);
        break;
    case CPU_STOP_MSR:
        snprintf(text, size, "%s %" PRIx64 ", %" PRIx64, e->write ? "wrmsr" : "rdmsr", e->address, e->value);
        break;
    case CPU_STOP_CHIP:
        snprintf(text, size, "%s physical %" PRIx64 " (%s), %" PRIx64, e->write ? "write" : "read", e->address,
                 chip_name(monitor, e->address), e->value);
        break;
    case CPU_STOP_FAR:
    case CPU_STOP_SYSCALL:
        symbols_format(monitor->symbols, e->value, name, sizeof(name));
        snprintf(text, size, "%s from %" PRIx64 "%s%s%s", e->kind == CPU_STOP_FAR ? "far" : "system call", e->value,
                 *name ? " <" : "", name, *name ? ">" : "");
        if (e->kind == CPU_STOP_SYSCALL && e->write)
            snprintf(text + strlen(text), size - strlen(text), ", rax %" PRIx64, e->rax);
        break;
    default:
        snprintf(text, size, "cr0 %" PRIx64, e->address);
    }
}

static void format_event(struct monitor *monitor, const struct trace_event *e, char *text, size_t size)
{
    char what[300], where[120];

    describe(monitor, e, what, sizeof(what));
    symbols_format(monitor->symbols, e->linear, where, sizeof(where));
    snprintf(text, size, "%12" PRIu64 " %04x:%0*" PRIx64 "%s%s%s %s", e->instructions, e->cs,
             e->bits == 64 ? 16 : 8, e->rip, *where ? " <" : "", where, *where ? ">" : "", what);
}

static void note(struct monitor *monitor, const struct cpu_stopped *hit)
{
    struct machine *m = monitor->machine;
    const struct cpu_state *s = cpu_state(m->cpu);
    struct trace *trace = &monitor->trace;
    struct trace_event *e = &trace->event[trace->count++ % TRACE_KEPT];
    char text[480];

    *e = (struct trace_event){
        .kind = hit->stop.kind,
        .address = hit->address,
        .value = hit->value,
        .instructions = cpu_instructions(m->cpu),
        .rip = s->rip,
        .linear = s->seg[CS].base + s->rip,
        .rax = s->gpr[RAX],
        .cs = s->seg[CS].selector,
        .bits = (uint8_t)cpu_code_bits(s),
        .write = hit->write,
        .has_error = hit->has_error,
        .error = hit->error,
    };
    if (!(m->log->enabled & 1u << LOG_DEBUG))
        return;
    format_event(monitor, e, text, sizeof(text));
    log_at(m->log, LOG_DEBUG, "trace", "%s", text);
}

/* Of the machine's stops: ours are written down, and the machine goes on. */
static bool stopped(void *opaque, const struct cpu_stopped *hits, unsigned count)
{
    struct monitor *monitor = opaque;

    for (unsigned n = 0; n < count; n++)
        if (hits[n].stop.owner == &monitor->trace)
            note(monitor, &hits[n]);
    return false;
}

void trace_init(struct monitor *monitor)
{
    monitor->trace.watch = (struct machine_stop_watch){.stopped = stopped, .opaque = monitor};
    machine_watch_stops(monitor->machine, &monitor->trace.watch);
}

void trace_end(struct monitor *monitor)
{
    machine_unwatch_stops(monitor->machine, &monitor->trace.watch);
}

/* While the CPU stands still. False when memory ran out. */
static bool set(struct monitor *monitor, unsigned category, bool on)
{
    struct cpu_stop stop = {
        .kind = categories[category].kind, .size = categories[category].size, .owner = &monitor->trace};
    bool done = true;

    for (unsigned n = 0; n < categories[category].count; n++) {
        stop.address = n;
        if (on)
            done &= cpu_stop_add(monitor->machine->cpu, &stop);
        else
            cpu_stop_remove(monitor->machine->cpu, &stop);
    }
    monitor->trace.on &= ~(1u << category);
    monitor->trace.on |= on ? 1u << category : 0;
    return done;
}

static bool list(struct monitor_call *call)
{
    for (unsigned n = 0; n < CATEGORIES; n++)
        fprintf(call->out, "%c %-10s %s\n", call->monitor->trace.on >> n & 1 ? '*' : ' ', categories[n].name,
                categories[n].about);
    return true;
}

bool monitor_trace(struct monitor_call *call)
{
    struct machine *m = call->machine;
    unsigned first = 0, last = CATEGORIES;
    bool on, held = m->stopped, done = true;

    if (call->argc < 2)
        return list(call);
    on = !strcmp(call->argv[1], "on");
    if (!on && strcmp(call->argv[1], "off"))
        return monitor_fail(call, "a trace is on or off, not \"%.40s\"", call->argv[1]);
    if (on && call->argc < 3)
        return monitor_fail(call, "trace what? trace alone lists the categories");
    if (call->argc > 2) {
        while (first < CATEGORIES && strcmp(categories[first].name, call->argv[2]))
            first++;
        if (first == CATEGORIES)
            return monitor_fail(call, "there is no category \"%.40s\"; trace alone lists them",
                                call->argv[2]);
        last = first + 1;
    }
    machine_stop(m);
    for (unsigned n = first; n < last; n++)
        done &= set(call->monitor, n, on);
    machine_stops_changed(m);
    if (!held)
        machine_go(m, false);
    return done || monitor_fail(call, "out of memory");
}

bool info_trace(struct monitor_call *call)
{
    const struct trace *trace = &call->monitor->trace;
    uint64_t count = trace->count < TRACE_KEPT ? trace->count : TRACE_KEPT, wanted;
    char text[480];

    if (call->argc > 1) {
        if (!monitor_number(call->argv[1], &wanted))
            return monitor_fail(call, "\"%.40s\" is no number of events", call->argv[1]);
        count = wanted < count ? wanted : count;
    }
    for (uint64_t n = trace->count - count; n < trace->count; n++) {
        format_event(call->monitor, &trace->event[n % TRACE_KEPT], text, sizeof(text));
        fprintf(call->out, "%s\n", text);
    }
    fprintf(call->out, "%" PRIu64 " events so far\n", trace->count);
    return true;
}
