/*
 * control.h - the control socket: any number of clients that speak QMP (qmp.h) at a Unix socket, and hear of
 * what happens to the machine.
 *
 * A client that sends nonsense gets an error and is listened to from the next line on. One that doesn't read
 * is not listened to until it does, and is disconnected when a MiB waits for it.
 *
 * Locking: the thread of machine_run(), without the machine lock.
 */
#ifndef DEBUG_CONTROL_H
#define DEBUG_CONTROL_H

#include <stdbool.h>
#include <stddef.h>

struct control;
struct machine;

/* Listens at `spec`, "unix:PATH". NULL with a line in `why` when it can't. */
struct control *control_open(struct machine *machine, const char *spec, char *why, size_t why_size);

/* Gives what waits for the clients a moment to leave. `control` may be NULL in all that follows. */
void control_close(struct control *control);

/* Does what clients asked for since it was last called. */
void control_poll(struct control *control);

/* What happened, for those who listen. */
void control_paused(struct control *control, bool paused);
void control_reset(struct control *control, bool guest);
void control_shutdown(struct control *control, bool guest, const char *reason);
void control_power_button(struct control *control);
/* One of ours, X_OXBOW_NOTE, with a line for people. */
void control_note(struct control *control, const char *text);
/* A disk's image can't be read or written, and the machine stops for it. */
void control_disk_failed(struct control *control, const char *drive, bool writing, int error);
void control_tray_moved(struct control *control, const char *drive, bool open);

#endif
