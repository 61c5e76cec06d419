/*
 * monitor.h - commands for people who look into a running machine: a table of them, each with its help. They
 * come from `oxbow ctl`, from QMP's human-monitor-command, from Ctrl-A C on the serial console, and from
 * --monitor.
 *
 * Locking: the thread of machine_run(), without the machine lock, unless said otherwise.
 */
#ifndef DEBUG_MONITOR_H
#define DEBUG_MONITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct chardev;
struct machine;
struct monitor;

/* NULL with a line in `why`: --monitor or --symbols names what can't be used, or memory ran out. */
struct monitor *monitor_new(struct machine *machine, char *why, size_t why_size);
void monitor_free(struct monitor *monitor);

/* Does what was typed at its consoles since it was last called. */
void monitor_poll(struct monitor *monitor);

/*
 * Ctrl-A C on a terminal that is a serial port: from now on (`on`) keys come here, and what the monitor
 * prints goes to `chr`. With the lock.
 */
void monitor_switch(struct monitor *monitor, struct chardev *chr, bool on);
void monitor_keys(struct monitor *monitor, const uint8_t *data, size_t size);

/* Runs one line and prints to `out`. False when it is refused or fails; then what was printed ends with why.
 */
bool monitor_command(struct monitor *monitor, const char *line, FILE *out);

/* Calls found() with each word that could stand where the line's last one does. */
void monitor_complete(struct monitor *monitor, const char *line,
                      void (*found)(void *opaque, const char *word), void *opaque);

/*
 * Presses the keys, by their QMP names, all at once, for so many ms, after those that are still to be
 * pressed. False with a line in `why`.
 */
bool monitor_send_keys(struct monitor *monitor, const char *const *names, unsigned count, unsigned ms,
                       char *why, size_t why_size);

/* Writes memory to a file: linear addresses, or physical ones. False with a line in `why`. */
bool monitor_save_memory(struct monitor *monitor, uint64_t address, uint64_t size, bool physical,
                         const char *path, char *why, size_t why_size);

/* Another medium, NULL: none; tells those who listen. False with a line in `why`. */
bool monitor_change_medium(struct monitor *monitor, const char *drive, const char *path, bool read_only,
                           bool force, char *why, size_t why_size);

#endif
