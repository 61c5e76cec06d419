/*
 * gdb.h - a session with GDB: what its packets ask of the CPUs and of whoever runs them. Knows no socket and
 * no machine; gdb_server.c has both.
 *
 * All is called by one thread, without the machine lock. CPUs stand still, their state pulled, whenever a
 * session reads or changes them: it asks for nothing else while it has let them run.
 */
#ifndef DEBUG_GDB_H
#define DEBUG_GDB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "cpu/cpu.h"
#include "debug/gdb_packet.h"
#include "debug/gdb_registers.h"

/* What a session needs. Any of the functions but send() may be NULL. */
struct gdb_target {
    void *opaque;
    struct cpu **cpus; /* threads 1, 2, ... */
    unsigned cpu_count;
    bool elf32; /* what runs is a 32-bit program: GDB is told so unless the CPU says otherwise by its mode */
    void (*send)(void *opaque, const void *data, size_t size);
    /* The CPUs go on; `step`: this one makes a step, and stops. gdb_stopped() is called when they have
     * stopped. */
    void (*resume)(void *opaque, unsigned cpu, bool step);
    void (*interrupt)(void *opaque);             /* they are to stop; gdb_stopped() says when they have */
    void (*changed)(void *opaque, unsigned cpu); /* the state was written */
    void (*stops_changed)(void *opaque);         /* before they go on: breakpoints may have come or gone */
    void (*detach)(void *opaque);                /* they go on, undisturbed */
    void (*kill)(void *opaque);
    /* A command that the session doesn't know itself, and the list of those. False: nor does anyone else. */
    bool (*command)(void *opaque, const char *line, FILE *out);
    bool (*commands)(void *opaque, FILE *out);
};

enum gdb_reason { GDB_STOP, GDB_ASKED, GDB_STEPPED, GDB_SHUTDOWN };

struct gdb {
    const struct gdb_target *target;
    struct gdb_reader reader;
    struct gdb_writer writer; /* the last reply, for when it has to be sent again */
    bool no_ack, running, stepping;
    bool knows_swbreak, knows_hwbreak;
    bool physical;           /* memory is by physical address */
    int arch;                /* enum gdb_arch as chosen by `monitor arch`; -1: as the CPU has it */
    enum gdb_arch described; /* what GDB was told */
    unsigned cpu;            /* whose registers are asked for */
    unsigned stopped_cpu;
    uint64_t range_start, range_end; /* steps go on while the instruction is in here */
    char stop_reply[160];
    char *document; /* what qXfer reads piece by piece */
};

/* A client has come; the CPUs stand still. */
void gdb_open(struct gdb *gdb, const struct gdb_target *target);
/* It has gone, whether or not it said so: what it set is taken back. The CPUs stand still, or no longer run.
 */
void gdb_close(struct gdb *gdb);

void gdb_receive_bytes(struct gdb *gdb, const uint8_t *data, size_t size);

/* The CPUs stand still, CPU number `cpu` for this reason; `hits` are all stops that were hit. False: none of
 * the session's. */
bool gdb_stopped(struct gdb *gdb, unsigned cpu, enum gdb_reason reason, const struct cpu_stopped *hits,
                 unsigned count);

/* The machine is at its end: tells the client. */
void gdb_exited(struct gdb *gdb, int status);

/* --- For debug/gdb*.c ----------------------------------------------------------------------------- */

/* gdb_monitor.c: `monitor LINE`; prints what the user sees. */
void gdb_monitor(struct gdb *gdb, const char *line, FILE *out);
/* Why the CPU stopped, in a line, for stops that GDB has no word for; false: it has. */
bool gdb_explain(struct gdb *gdb, const struct cpu_stopped *hit, FILE *out);

/* Guest memory, linear or physical as the session has it. RAM and ROM only. How many bytes, up to what isn't
 * there. */
size_t gdb_read_memory(struct gdb *gdb, uint64_t address, void *data, size_t size);
size_t gdb_write_memory(struct gdb *gdb, uint64_t address, const void *data, size_t size);

struct cpu *gdb_cpu(const struct gdb *gdb);

/* Whose stops they are: those of packets `Z0` to `Z4`, and those of `monitor`. */
#define GDB_OWNERS        6
#define GDB_OWNER_MONITOR 5
const void *gdb_owner(const struct gdb *gdb, unsigned n);
/* On all CPUs; false when memory ran out. */
bool gdb_add_stop(struct gdb *gdb, const struct cpu_stop *stop);
bool gdb_remove_stop(struct gdb *gdb, const struct cpu_stop *stop); /* false: it isn't there */

#endif
