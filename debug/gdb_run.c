/*
 * gdb_run.c - GDB lets the CPUs go on, and hears why they stopped.
 */
#include "debug/gdb_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SIGNAL_INT  2
#define SIGNAL_ILL  4
#define SIGNAL_TRAP GDB_SIGTRAP
#define SIGNAL_ABRT 6
#define SIGNAL_FPE  8
#define SIGNAL_SEGV 11

/* --- Running and stopping ------------------------------------------------------------------------- */

static void resume(struct gdb *g, bool step)
{
    g->running = true;
    g->stepping = step;
    gdb_stops_changed(g);
    if (g->target->resume)
        g->target->resume(g->target->opaque, g->cpu, step);
}

/* `c`, `s` and, with a signal that means nothing here, `C`, `S`; maybe from another address. */
void gdb_packet_c(struct gdb *g, const char *text, bool step, bool signal)
{
    uint64_t address;

    if (signal) {
        uint64_t number;

        gdb_get_number(&text, &number);
        text += *text == ';';
    }
    if (gdb_get_number(&text, &address)) {
        gdb_set_pc(cpu_state(gdb_cpu(g)), address);
        gdb_changed(g);
    }
    g->range_start = g->range_end = 0;
    resume(g, step);
}

/* vCont;action[:thread]...: the first action that says which CPU is to step decides; the others go on with
 * it. */
void gdb_packet_vCont(struct gdb *g, const char *text)
{
    bool step = false;
    unsigned cpu = g->stopped_cpu;

    g->range_start = g->range_end = 0;
    while (*text == ';') {
        char action = *++text;
        uint64_t number, start = 0, end = 0;
        unsigned which = cpu;

        text += action != 0;
        if (action == 'C' || action == 'S')
            gdb_get_number(&text, &number);
        else if (action == 'r' && !gdb_get_range(&text, &start, &end))
            break;
        if (*text == ':') {
            ++text;
            if (!gdb_get_thread(g, &text, &which))
                break;
        }
        if (step || !strchr("sSr", action) || !action)
            continue;
        step = true;
        cpu = which;
        g->range_start = start;
        g->range_end = end;
    }
    if (*text) {
        gdb_refuse(g, E_SYNTAX);
        return;
    }
    g->cpu = cpu;
    resume(g, step);
}

static unsigned signal_of(unsigned vector)
{
    switch (vector) {
    case 0:
    case 16:
    case 19:
        return SIGNAL_FPE;
    case 6:
        return SIGNAL_ILL;
    case 8:
    case 10:
    case 11:
    case 12:
    case 13:
    case 14:
    case 17:
        return SIGNAL_SEGV;
    default:
        return SIGNAL_TRAP;
    }
}

/* The stop reply for what was hit: watchpoints by their kind and place, of the others GDB knows only
 * breakpoints. */
static void describe_hit(struct gdb *g, const struct cpu_stopped *hit)
{
    static const char *const watch[CPU_STOP_KINDS] = {
        [CPU_STOP_WRITE] = "watch", [CPU_STOP_READ] = "rwatch", [CPU_STOP_ACCESS] = "awatch"};
    unsigned kind = hit->stop.kind, signal = SIGNAL_TRAP;
    char reason[80] = "";

    if (hit->stop.owner == gdb_owner(g, GDB_OWNER_MONITOR)) /* GDB would look for a watchpoint, and go on */
        signal = kind == CPU_STOP_EXCEPTION ? signal_of((unsigned)hit->address) : SIGNAL_TRAP;
    else if (watch[kind])
        snprintf(reason, sizeof(reason), "%s:%" PRIx64 ";", watch[kind], hit->stop.address);
    else if (hit->stop.owner == gdb_owner(g, 0) && g->knows_swbreak)
        snprintf(reason, sizeof(reason), "swbreak:;");
    else if (hit->stop.owner == gdb_owner(g, 1) && g->knows_hwbreak)
        snprintf(reason, sizeof(reason), "hwbreak:;");
    snprintf(g->stop_reply, sizeof(g->stop_reply), "T%02xthread:%x;%s", signal, g->stopped_cpu + 1, reason);
}

static void explain(struct gdb *g, const struct cpu_stopped *hit)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return;
    bool any = gdb_explain(g, hit, out);
    if (!fclose(out) && any)
        gdb_say(g, text);
    free(text);
}

void gdb_stop(struct gdb *g, unsigned cpu, unsigned signal)
{
    g->running = false;
    g->cpu = g->stopped_cpu = cpu;
    snprintf(g->stop_reply, sizeof(g->stop_reply), "T%02xthread:%x;", signal, cpu + 1);
}

bool gdb_stopped(struct gdb *g, unsigned cpu, enum gdb_reason reason, const struct cpu_stopped *hits,
                 unsigned count)
{
    static const unsigned signals[] = {SIGNAL_TRAP, SIGNAL_INT, SIGNAL_TRAP, SIGNAL_ABRT};
    const struct cpu_stopped *mine = NULL;
    uint64_t pc = gdb_pc(cpu_state(g->target->cpus[cpu]));

    if (!g->running)
        return true;
    /* Of several, that which GDB has the most to say of: a watch is past, the breakpoint will be there again.
     */
    for (unsigned n = 0; n < count; n++)
        if (gdb_is_mine(g, &hits[n].stop) && (!mine || hits[n].stop.kind > mine->stop.kind))
            mine = &hits[n];
    if (reason == GDB_STOP && !mine)
        return false;
    if (reason == GDB_STEPPED && !mine && pc >= g->range_start && pc < g->range_end) {
        resume(g, true);
        return true;
    }
    gdb_stop(g, cpu, signals[reason]);
    if (mine) {
        describe_hit(g, mine);
        explain(g, mine);
    } else if (reason == GDB_SHUTDOWN) {
        gdb_say(g, "The CPU shut down: a triple fault. Going on ends the run.\n");
    }
    gdb_reply(g, g->stop_reply);
    return true;
}

void gdb_exited(struct gdb *g, int status)
{
    char text[4];

    if (!g->running)
        return;
    snprintf(text, sizeof(text), "W%02x", (unsigned)status & 0xff);
    gdb_reply(g, text);
}
