/*
 * chardev.h - the host's ends of a stream of bytes, opened by name:
 *
 *     stdio        standard input and output; a terminal is put in raw mode until close, exit or a fatal
 * signal file:PATH    output into a file, replaced if there is one pty          a pseudo-terminal; its name
 * is logged unix:PATH    a listening socket for one client at a time none         swallows everything
 *
 * On a terminal Ctrl-A is a prefix: x ends the machine, c switches to the monitor and back, h lists the keys,
 * Ctrl-A or a sends Ctrl-A.
 *
 * Input waits (in the host) while the chip has no room; only keys typed on a terminal are dropped when some
 * thousands of them wait, so that Ctrl-A x works on a guest that doesn't listen. Output to stdio and files is
 * written before write() returns; for a pty or a socket that isn't read, up to 1 MiB waits and the rest is
 * dropped.
 */
#ifndef HOST_CHARDEV_H
#define HOST_CHARDEV_H

#include <stdbool.h>
#include <stddef.h>

#include "core/chardev.h"
#include "core/log.h"
#include "host/loop.h"

/*
 * NULL when `spec` is none of the above or the host refuses; then `why` says what is wrong in a line. Ignores
 * SIGPIPE for the process. Machine lock held, or before the loop runs. `close` frees it.
 */
struct chardev *host_chardev_open(const char *spec, struct loop *loop, struct log *log, char *why,
                                  size_t why_size);

/* What Ctrl-A x calls, in the loop's thread with the machine lock held; loop_quit() of its loop unless set.
 */
void host_chardev_on_quit(struct chardev *chr, void (*fn)(void *opaque), void *opaque);

/*
 * What Ctrl-A c switches to and from: while it is on, keys go there and not to the chip. Both in the loop's thread with
 * the machine lock held. All NULL: there is nothing to switch to.
 */
struct host_char_monitor {
    void (*on)(void *opaque, struct chardev *chr, bool on);
    void (*keys)(void *opaque, const uint8_t *data, size_t size);
    void *opaque;
};
void host_chardev_on_monitor(struct chardev *chr, const struct host_char_monitor *monitor);

#endif
