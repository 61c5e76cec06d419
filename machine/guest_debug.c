/*
 * guest_debug.c - what the guest asks of its debugger through Bochs's ports (devices/bochs_debug.h): to stop,
 * which is as XCHG BX,BX for whoever catches that; and to be told of accesses to memory, which become lines
 * of the log.
 *
 * Stops are the software CPU's: what KVM runs isn't seen.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "devices/bochs_debug.h"
#include "machine/machine.h"

#define WATCHES 64u

struct guest_debug {
    struct machine *machine;
    struct machine_stop_watch stops;
    unsigned count;
};

static void ask_stop(void *opaque)
{
    struct guest_debug *g = opaque;

    log_at(g->machine->log, LOG_INFO, "guest", "it asks for its debugger, at port %04x", BOCHS_DEBUG_PORT);
    cpu_stop_magic(g->machine->cpu);
}

static void watch(void *opaque, uint32_t start, uint32_t end)
{
    struct guest_debug *g = opaque;
    struct cpu_stop stop = {
        .kind = CPU_STOP_ACCESS, .physical = true, .address = start, .size = end - start, .owner = g};

    if (g->count == WATCHES || !cpu_stop_add(g->machine->cpu, &stop))
        log_at(g->machine->log, LOG_WARN, "guest", "it watches too much memory; %" PRIx32 " isn't", start);
    else
        g->count++;
}

static void forget(void *opaque)
{
    struct guest_debug *g = opaque;

    if (g->count)
        cpu_stop_remove_all(g->machine->cpu, g);
    g->count = 0;
}

static bool stopped(void *opaque, const struct cpu_stopped *hits, unsigned count)
{
    struct guest_debug *g = opaque;

    for (unsigned n = 0; n < count; n++)
        if (hits[n].stop.owner == g)
            log_at(g->machine->log, LOG_INFO, "guest",
                   "memory that it watches (%" PRIx64 ", %" PRIu64 " bytes) was %s at %" PRIx64
                   ", before rip %" PRIx64,
                   hits[n].stop.address, hits[n].stop.size, hits[n].write ? "written" : "read",
                   hits[n].address, cpu_state(g->machine->cpu)->rip);
    return false;
}

bool guest_debug_build(struct machine *m, struct bochs_debug_wires *wires)
{
    struct guest_debug *g = m->guest_debug = calloc(1, sizeof(*g));

    if (!g)
        return false;
    g->machine = m;
    g->stops = (struct machine_stop_watch){.stopped = stopped, .opaque = g};
    machine_watch_stops(m, &g->stops);
    *wires = (struct bochs_debug_wires){.stop = ask_stop, .watch = watch, .forget = forget, .opaque = g};
    return true;
}

void guest_debug_free(struct machine *m)
{
    if (!m->guest_debug)
        return;
    machine_unwatch_stops(m, &m->guest_debug->stops);
    free(m->guest_debug);
    m->guest_debug = NULL;
}
