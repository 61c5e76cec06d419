/*
 * text_keys.h - what a terminal sends for a key, turned back into keys.
 *
 * Terminals send characters, not keys: a character becomes the keys of a US layout that type it, held as long
 * as it takes to press them. Escape sequences become function and cursor keys with their modifiers, ESC
 * before a character becomes Alt. A character beyond ASCII is typed as Alt and its code page 437 number on
 * the keypad, which firmware and DOS understand. Keys wait in a queue, for a guest takes them slower than a
 * paste brings them.
 *
 * Ctrl-A is a prefix for the viewer itself.
 */
#ifndef GUI_TEXT_KEYS_H
#define GUI_TEXT_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/input.h"

#define TEXT_KEYS_QUEUE 4096 /* what comes while it is full is lost */

struct keystroke {
    uint8_t usage;     /* HID; 0: nothing but the modifiers change */
    uint8_t modifiers; /* enum key_modifier */
    bool keep;         /* the modifiers stay down for the next one */
};

enum key_modifier {
    KEY_CTRL = 1,
    KEY_SHIFT = 2,
    KEY_ALT = 4,
};

struct text_keys {
    struct input_sink sink;
    /* A letter typed after Ctrl-A, that isn't handled here; may be NULL */
    void (*command)(void *opaque, char letter);
    void *opaque;

    uint8_t pending[64]; /* bytes of an unfinished sequence */
    size_t pending_count;
    bool prefix;  /* Ctrl-A was the last key */
    bool alt;     /* ESC came before */
    uint8_t held; /* modifiers that are down */
    unsigned first, count;
    struct keystroke queue[TEXT_KEYS_QUEUE];
};

/* Bytes from the terminal. Zero the struct and set sink, command and opaque before the first. */
void text_keys_feed(struct text_keys *keys, const uint8_t *data, size_t size);

/* Nothing came for a while: what looked like the start of a sequence was the key Escape. */
void text_keys_idle(struct text_keys *keys);

/* Presses and releases the next keys, at most `limit`. */
void text_keys_type(struct text_keys *keys, unsigned limit);

/* Queues a key, as if typed. */
void text_keys_press(struct text_keys *keys, uint8_t usage, uint8_t modifiers);

#endif
