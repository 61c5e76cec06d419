/*
 * chardev.h - a stream of bytes between a chip (UART, debug port) and the host (terminal, file, socket).
 *
 * The chip holds a struct chardev and writes to it; bytes from the host arrive through the receiver that the
 * chip set. Host backends live in host/chardev.c.
 *
 * Locking: all calls, both ways, with the machine lock held.
 */
#ifndef CORE_CHARDEV_H
#define CORE_CHARDEV_H

#include <stddef.h>
#include <stdint.h>

struct char_receiver {
    size_t (*room)(void *opaque);                                    /* bytes it can take now */
    void (*receive)(void *opaque, const uint8_t *data, size_t size); /* size <= room() */
    void *opaque;
};

struct chardev {
    /* Takes all bytes or drops what the host can't take (a pty without reader); never blocks for long. */
    void (*write)(struct chardev *chr, const uint8_t *data, size_t size);
    void (*room_changed)(struct chardev *chr); /* the chip has room again; may be NULL */
    void (*close)(struct chardev *chr);
    struct char_receiver receiver; /* set by the chip; zero: input is dropped */
};

static inline void chardev_write(struct chardev *chr, const uint8_t *data, size_t size)
{
    if (chr && chr->write)
        chr->write(chr, data, size);
}

static inline void chardev_room_changed(struct chardev *chr)
{
    if (chr && chr->room_changed)
        chr->room_changed(chr);
}

#endif
