/*
 * keys.h - the window's keyboard: which host key is which of the guest's, what is held, which letter a
 * shortcut has.
 *
 * Host keys are SDL's scancodes. From 4 to 231 these are the HID usages of page 7 that input_sink.key takes.
 *
 * Locking: machine lock held where a sink is given.
 */
#ifndef GUI_KEYS_H
#define GUI_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/input.h"

#define USAGE_FIRST        0x04
#define USAGE_LAST         0xE7
#define USAGE_LEFT_CTRL    0xE0 /* and up to USAGE_LAST: shift, alt, GUI, the same on the right */
#define USAGE_LEFT_ALT     0xE2
#define USAGE_RIGHT_ALT    0xE6
#define USAGE_ENTER        0x28
#define USAGE_ESCAPE       0x29
#define USAGE_DELETE       0x4C
#define USAGE_KEYPAD_ENTER 0x58
#define USAGE_APPLICATION  0x65 /* the key that opens a menu on PC keyboards */

/* Zeroed: nothing is held. */
struct held_keys {
    uint8_t down[32]; /* a bit for each usage */
};

/* The usage of an SDL scancode; 0 when the guest's keyboard has no such key. */
unsigned keys_usage(int scancode);

bool keys_is_modifier(unsigned usage);

/* A key goes down or up. The sink hears only of changes, so the host's automatic repeat isn't passed on. */
void keys_event(struct held_keys *keys, const struct input_sink *sink, unsigned usage, bool down);

/*
 * Presses modifiers that the host says are held, bit n being usage 0xE0 + n, and that the guest doesn't know
 * of since they were released for it.
 */
void keys_hold_modifiers(struct held_keys *keys, const struct input_sink *sink, unsigned modifiers);

/* Releases all, modifiers last. */
void keys_release(struct held_keys *keys, const struct input_sink *sink);

/*
 * The letter that a key stands for, 'a' to 'z', 0 when none: the one on the key in the host's layout
 * (`symbol`, a Unicode character), or when that isn't a Latin layout the one in the same place on a US
 * keyboard.
 */
char keys_letter(int32_t symbol, int scancode);

#endif
