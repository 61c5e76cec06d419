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
    unsigned arch;           /* as `monitor arch` chose: 0 as the CPU has it, else 1 + enum gdb_arch */
    enum gdb_arch described; /* what GDB was told */
    unsigned cpu;            /* whose registers are asked for */
    unsigned stopped_cpu;
    uint64_t range_start, range_end; /* steps go on while the instruction is in here */
    char stop_reply[160];
    char *document; /* what qXfer reads piece by piece */
};

/* A client has come; the CPUs stand still. Zero it before the first time; what `monitor arch` chose stays. */
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

#endif
