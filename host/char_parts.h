/*
 * char_parts.h - what the character backends share: the common head, an input that waits for the chip's room,
 * an output that never blocks, a write that doesn't lose bytes. For host/char*.c only.
 */
#ifndef HOST_CHAR_PARTS_H
#define HOST_CHAR_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <termios.h>

#include "core/chardev.h"
#include "core/log.h"
#include "host/chardev.h"
#include "host/loop.h"

/* Every backend's struct starts with this. */
struct host_char {
    struct chardev chr;
    struct loop *loop;
    struct log *log;
    void (*quit)(void *opaque);
    void *quit_opaque;
    struct host_char_monitor monitor;
};

/* Allocates a backend's struct of `size` bytes, zeroed, its head filled in. */
void *host_char_new(size_t size, struct loop *loop, struct log *log, char *why, size_t why_size);

/* "SPEC: TEXT" into why; returns NULL. */
struct chardev *host_char_refuse(const char *spec, const char *text, char *why, size_t why_size);

struct chardev *char_stdio_open(struct loop *loop, struct log *log, char *why, size_t why_size);
struct chardev *char_file_open(const char *path, struct loop *loop, struct log *log, char *why,
                               size_t why_size);
struct chardev *char_pty_open(struct loop *loop, struct log *log, char *why, size_t why_size);
struct chardev *char_unix_open(const char *path, struct loop *loop, struct log *log, char *why,
                               size_t why_size);

/* --- input --------------------------------------------------------------------------------------- */

struct char_input {
    struct host_char *owner;
    int fd;
    bool lossy;                                                 /* read on, and drop, when nobody takes it */
    size_t (*filter)(void *opaque, uint8_t *data, size_t size); /* in place, never longer; may be NULL */
    void (*ended)(void *opaque); /* end of file or an error, after the input has stopped; may be NULL */
    void *opaque;

    struct loop_watch *watch;
    struct loop_task retry;
    size_t start, count; /* of what waits */
    uint8_t waiting[4096];
};

/* owner, fd, and if wanted lossy, filter, ended, opaque are set. False when memory ran out. */
bool char_input_start(struct char_input *in);
void char_input_stop(struct char_input *in);
void char_input_room_changed(struct char_input *in);

/* --- output -------------------------------------------------------------------------------------- */

struct char_output {
    struct host_char *owner;
    int fd; /* non-blocking; -1: everything is dropped */
    const char *name;

    struct loop_watch *watch;
    uint8_t *data;
    size_t start, count, capacity;
    bool dropped; /* said so in the log */
};

/* owner, fd and name are set. False when memory ran out. */
bool char_output_start(struct char_output *out);
void char_output_write(struct char_output *out, const uint8_t *data, size_t size);
/* Gives what waits a moment to leave, then forgets the rest. The descriptor stays open. */
void char_output_stop(struct char_output *out);

/* Writes it all, waiting where it must. 0 or an errno. */
int char_write_all(int fd, const uint8_t *data, size_t size);

/* --- the terminal (char_terminal.c) -------------------------------------------------------------- */

/* Claims the process's standard streams: once at a time. */
bool terminal_claim(void);
void terminal_release(void);

/* Raw mode, undone by terminal_restore(), exit() and fatal signals. False and errno when the terminal won't.
 */
bool terminal_make_raw(int fd);
void terminal_restore(void);

/* What raw mode changes. Output processing stays. */
void terminal_raw_settings(struct termios *settings);

#endif
