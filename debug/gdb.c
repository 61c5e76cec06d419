/*
 * gdb.c - a session with GDB: its packets, one by one (GDB's manual, appendix E); see gdb.h.
 *
 * All-stop: the client asks for something while the CPUs stand still, or lets them run and waits for a stop
 * reply. A thread is a CPU. What isn't known is answered by an empty packet, as the protocol wants it. Memory
 * and registers are in gdb_memory.c, running and stopping in gdb_run.c, queries in gdb_query.c, what
 * `monitor` does in gdb_monitor.c.
 */
#include "debug/gdb_internal.h"

#include <stdlib.h>
#include <string.h>

struct cpu *gdb_cpu(const struct gdb *g)
{
    return g->target->cpus[g->cpu];
}

/* --- Stops ---------------------------------------------------------------------------------------- */

const void *gdb_owner(const struct gdb *g, unsigned n)
{
    return (const char *)g + n;
}

bool gdb_is_mine(const struct gdb *g, const struct cpu_stop *stop)
{
    uintptr_t distance = (uintptr_t)stop->owner - (uintptr_t)g;

    return distance < GDB_OWNERS;
}

void gdb_stops_changed(struct gdb *g)
{
    if (g->target->stops_changed)
        g->target->stops_changed(g->target->opaque);
}

bool gdb_add_stop(struct gdb *g, const struct cpu_stop *stop)
{
    bool fits = true;

    for (unsigned n = 0; n < g->target->cpu_count; n++)
        fits &= cpu_stop_add(g->target->cpus[n], stop);
    return fits;
}

bool gdb_remove_stop(struct gdb *g, const struct cpu_stop *stop)
{
    bool any = false;

    for (unsigned n = 0; n < g->target->cpu_count; n++)
        any |= cpu_stop_remove(g->target->cpus[n], stop);
    return any;
}

static void remove_all_stops(struct gdb *g)
{
    for (unsigned n = 0; n < g->target->cpu_count; n++)
        for (unsigned o = 0; o < GDB_OWNERS; o++)
            cpu_stop_remove_all(g->target->cpus[n], gdb_owner(g, o));
    gdb_stops_changed(g);
}

/* --- Replies -------------------------------------------------------------------------------------- */

void gdb_send_reply(struct gdb *g)
{
    g->target->send(g->target->opaque, g->writer.data, g->writer.size);
}

void gdb_reply(struct gdb *g, const char *text)
{
    gdb_begin(&g->writer);
    gdb_put(&g->writer, text);
    gdb_end(&g->writer);
    gdb_send_reply(g);
}

void gdb_refuse(struct gdb *g, unsigned number)
{
    char text[4];

    snprintf(text, sizeof(text), "E%02x", number & 0xff);
    gdb_reply(g, text);
}

void gdb_done(struct gdb *g)
{
    gdb_reply(g, "OK");
}

void gdb_say(struct gdb *g, const char *text)
{
    gdb_begin(&g->writer);
    gdb_put(&g->writer, "O");
    gdb_put_hex(&g->writer, text, strlen(text));
    gdb_end(&g->writer);
    gdb_send_reply(g);
}

/* --- Words ---------------------------------------------------------------------------------------- */

bool gdb_get_range(const char **text, uint64_t *address, uint64_t *size)
{
    if (!gdb_get_number(text, address) || **text != ',')
        return false;
    ++*text;
    return gdb_get_number(text, size);
}

bool gdb_get_thread(const struct gdb *g, const char **text, unsigned *cpu)
{
    uint64_t id;

    if (**text == '-') {
        ++*text;
        return gdb_get_number(text, &id);
    }
    if (!gdb_get_number(text, &id) || id > g->target->cpu_count)
        return false;
    if (id)
        *cpu = (unsigned)id - 1;
    return true;
}

bool gdb_begins(const char **text, const char *word)
{
    size_t length = strlen(word);

    if (strncmp(*text, word, length))
        return false;
    *text += length;
    return true;
}

/* --- Packets -------------------------------------------------------------------------------------- */

static void set(struct gdb *g, const char *text)
{
    if (gdb_begins(&text, "StartNoAckMode")) {
        gdb_done(g);
        g->no_ack = true;
    } else {
        gdb_reply(g, "");
    }
}

static void detach(struct gdb *g)
{
    remove_all_stops(g);
    gdb_done(g);
    g->running = false;
    if (g->target->detach)
        g->target->detach(g->target->opaque);
}

static void kill_it(struct gdb *g)
{
    g->running = false;
    if (g->target->kill)
        g->target->kill(g->target->opaque);
}

static void long_command(struct gdb *g, const char *text)
{
    if (gdb_begins(&text, "Cont?")) {
        gdb_reply(g, "vCont;c;C;s;S;r");
    } else if (gdb_begins(&text, "Cont")) {
        gdb_packet_vCont(g, text);
    } else if (gdb_begins(&text, "Kill")) {
        gdb_done(g);
        kill_it(g);
    } else {
        gdb_reply(g, "");
    }
}

/* `H op thread`: whose registers (g) or steps (c) are meant from now on. */
static void choose_thread(struct gdb *g, const char *text)
{
    unsigned cpu = g->cpu;

    if (!*text || (++text, !gdb_get_thread(g, &text, &cpu))) {
        gdb_refuse(g, E_SYNTAX);
        return;
    }
    g->cpu = cpu;
    gdb_done(g);
}

static void thread_alive(struct gdb *g, const char *text)
{
    unsigned cpu;

    if (gdb_get_thread(g, &text, &cpu))
        gdb_done(g);
    else
        gdb_refuse(g, E_SYNTAX);
}

static void packet(struct gdb *g)
{
    const char *text = g->reader.data + 1;

    /* A client that waits for a stop reply has nothing to ask. */
    if (g->running && g->reader.data[0] != 'k')
        return;
    switch (g->reader.data[0]) {
    case '?':
        gdb_reply(g, g->stop_reply);
        break;
    case 'g':
        gdb_packet_g(g);
        break;
    case 'G':
        gdb_packet_G(g, text);
        break;
    case 'p':
        gdb_packet_p(g, text);
        break;
    case 'P':
        gdb_packet_P(g, text);
        break;
    case 'm':
        gdb_packet_m(g, text);
        break;
    case 'M':
        gdb_packet_M(g, text);
        break;
    case 'X':
        gdb_packet_X(g, text);
        break;
    case 'Z':
    case 'z':
        gdb_packet_Z(g, text, g->reader.data[0] == 'Z');
        break;
    case 'c':
    case 'C':
        gdb_packet_c(g, text, false, g->reader.data[0] == 'C');
        break;
    case 's':
    case 'S':
        gdb_packet_c(g, text, true, g->reader.data[0] == 'S');
        break;
    case 'v':
        long_command(g, text);
        break;
    case 'q':
        gdb_packet_q(g, text);
        break;
    case 'Q':
        set(g, text);
        break;
    case 'H':
        choose_thread(g, text);
        break;
    case 'T':
        thread_alive(g, text);
        break;
    case 'D':
        detach(g);
        break;
    case 'k':
        kill_it(g);
        break;
    default:
        gdb_reply(g, "");
    }
}

void gdb_receive_bytes(struct gdb *g, const uint8_t *data, size_t size)
{
    for (size_t n = 0; n < size; n++) {
        switch (gdb_receive(&g->reader, data[n])) {
        case GDB_PACKET:
            if (!g->no_ack)
                g->target->send(g->target->opaque, "+", 1);
            packet(g);
            break;
        case GDB_BAD:
            if (!g->no_ack)
                g->target->send(g->target->opaque, "-", 1);
            break;
        case GDB_NAK:
            if (!g->no_ack && g->writer.size)
                gdb_send_reply(g);
            break;
        case GDB_INTERRUPT:
            if (g->running && g->target->interrupt)
                g->target->interrupt(g->target->opaque);
            break;
        default:
            break;
        }
    }
}

void gdb_open(struct gdb *g, const struct gdb_target *target)
{
    *g = (struct gdb){.target = target, .arch = g->arch};
    gdb_stop(g, 0, GDB_SIGTRAP);
    g->described = gdb_arch_now(g);
}

void gdb_close(struct gdb *g)
{
    remove_all_stops(g);
    free(g->document);
    g->document = NULL;
}
