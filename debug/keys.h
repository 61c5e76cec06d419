/*
 * keys.h - keys by their QMP names, and those that are still to be pressed and let go.
 *
 * Locking: with the machine lock held.
 */
#ifndef DEBUG_KEYS_H
#define DEBUG_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/clock.h"

struct machine;

#define KEY_EVENTS 256u

struct key_queue {
    struct machine *machine;
    struct timer timer;
    struct key_event {
        uint64_t when; /* clock ns */
        uint8_t usage;
        bool down;
    } event[KEY_EVENTS];
    unsigned first, count;
};

/* The HID usage of a name; 0: there is none. */
unsigned key_usage(const char *name);

/* The n-th name; NULL: there are no more. */
const char *key_name(unsigned n);

void key_queue_init(struct key_queue *queue, struct machine *machine);

/* Presses them one after the other, and lets them go `ms` later in reverse. False when the queue is full. */
bool key_queue_press(struct key_queue *queue, const uint8_t *usages, unsigned count, unsigned ms);

#endif
