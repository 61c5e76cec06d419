/*
 * gdb_internal.h - what the files of a session with GDB share; see gdb.h.
 */
#ifndef DEBUG_GDB_INTERNAL_H
#define DEBUG_GDB_INTERNAL_H

#include "debug/gdb.h"

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
bool gdb_is_mine(const struct gdb *gdb, const struct cpu_stop *stop);
/* On all CPUs; false when memory ran out. */
bool gdb_add_stop(struct gdb *gdb, const struct cpu_stop *stop);
bool gdb_remove_stop(struct gdb *gdb, const struct cpu_stop *stop); /* false: it isn't there */

/* --- gdb.c: replies ------------------------------------------------------------------------------- */

/* Errno-like numbers, which mean nothing to the client; it shows them. */
#define E_SYNTAX   0x01
#define E_MEMORY   0x0e /* nothing there */
#define E_REGISTER 0x16 /* can't be written */
#define E_ROOM     0x0c

void gdb_send_reply(struct gdb *gdb); /* what is in the writer, which gdb_end() has finished */
void gdb_reply(struct gdb *gdb, const char *text);
void gdb_refuse(struct gdb *gdb, unsigned number);
void gdb_done(struct gdb *gdb);
/* Text for the user's console; only while the client waits for a stop reply. */
void gdb_say(struct gdb *gdb, const char *text);

/* --- gdb.c: words of a packet at *text, which is moved behind them -------------------------------- */

/* "ADDRESS,LENGTH"; false: it isn't. */
bool gdb_get_range(const char **text, uint64_t *address, uint64_t *size);
/* Which CPU is meant; 0 and -1 are any, and leave it as it is. False: none of these. */
bool gdb_get_thread(const struct gdb *gdb, const char **text, unsigned *cpu);
/* Whether it begins with this. */
bool gdb_begins(const char **text, const char *word);

void gdb_stops_changed(struct gdb *gdb);
void gdb_changed(struct gdb *gdb); /* the CPU's state was written */

/* --- Packets, their first letter cut off ---------------------------------------------------------- */

/* gdb_memory.c */
void gdb_packet_m(struct gdb *gdb, const char *text);
void gdb_packet_M(struct gdb *gdb, const char *text);
void gdb_packet_X(struct gdb *gdb, const char *text);
void gdb_packet_g(struct gdb *gdb);
void gdb_packet_G(struct gdb *gdb, const char *text);
void gdb_packet_p(struct gdb *gdb, const char *text);
void gdb_packet_P(struct gdb *gdb, const char *text);
void gdb_packet_Z(struct gdb *gdb, const char *text, bool insert);

/* gdb_run.c; gdb_stop(): the CPU stands still, for this signal */
void gdb_packet_c(struct gdb *gdb, const char *text, bool step, bool signal);
void gdb_packet_vCont(struct gdb *gdb, const char *text);
void gdb_stop(struct gdb *gdb, unsigned cpu, unsigned signal);
#define GDB_SIGTRAP 5

/* gdb_query.c */
void gdb_packet_q(struct gdb *gdb, const char *text);
enum gdb_arch gdb_arch_now(const struct gdb *gdb);

#endif
