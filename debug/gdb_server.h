/*
 * gdb_server.h - where GDB connects: one client at a time, by TCP or a Unix socket, with a session (gdb.h) on
 * the machine's CPU. While nobody is connected it costs nothing.
 *
 * Locking: the thread of machine_run(), without the machine lock.
 */
#ifndef DEBUG_GDB_SERVER_H
#define DEBUG_GDB_SERVER_H

#include <stdbool.h>
#include <stddef.h>

struct gdb_server;
struct machine;

/*
 * Listens at "[HOST:]PORT" or "unix:PATH". `wait`: the machine stands still until a client lets it go. NULL
 * with a line in `why`. Once the CPU has its thread.
 */
struct gdb_server *gdb_server_open(struct machine *machine, const char *where, bool wait, char *why,
                                   size_t why_size);

/* Does what the client asked since it was last called. */
void gdb_server_poll(struct gdb_server *server);

/* The run ended with this status: tells the client and lets it go. NULL does nothing here and below. */
void gdb_server_exited(struct gdb_server *server, int status);
void gdb_server_close(struct gdb_server *server);

#endif
