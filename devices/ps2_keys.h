/*
 * ps2_keys.h - which scan codes a key has: the keyboard's own table.
 */
#ifndef DEVICES_PS2_KEYS_H
#define DEVICES_PS2_KEYS_H

#include <stdbool.h>
#include <stdint.h>

/* USB HID usages, page 7, of keys with a role of their own */
#define USAGE_ENTER        0x28
#define USAGE_PRINT_SCREEN 0x46
#define USAGE_PAUSE        0x48
#define USAGE_KEYPAD_SLASH 0x54
#define USAGE_LEFT_CTRL    0xE0
#define USAGE_LEFT_SHIFT   0xE1
#define USAGE_LEFT_ALT     0xE2
#define USAGE_RIGHT_CTRL   0xE4
#define USAGE_RIGHT_SHIFT  0xE5
#define USAGE_RIGHT_ALT    0xE6

enum ps2_key_flag {
    KEY_E0 = 1,            /* sets 1 and 2: the code has the prefix E0 */
    KEY_MAKE_ONLY = 2,     /* sets 1 and 2: no break code (the Korean keys) */
    KEY_GREY = 4,          /* a cursor key: wrapped in shifts of its own so that programs that know only the
                              keypad see the same key (PS/2 keyboard manual, set 1 and 2 tables, notes) */
    KEY_3_TYPEMATIC = 8,   /* set 3, after power-on: repeats, has no break code */
    KEY_3_MAKE_BREAK = 16, /* set 3, after power-on; with neither flag: make code only */
};

struct ps2_key {
    uint8_t set2; /* 0: no such key, or one with sequences of its own (Print Screen, Pause) */
    uint8_t set3; /* 0: none in this set */
    uint8_t flags;
};

/* The key with a HID usage; NULL when this keyboard has none. */
const struct ps2_key *ps2_key_lookup(unsigned usage);

/* What the controller makes of a byte from the keyboard: set 2 to set 1, prefixes aside. */
uint8_t ps2_translate(uint8_t set2);

/* The key of an ASCII character on a US keyboard: its usage, 0 when there is none. */
unsigned ps2_key_of_char(char c, bool *shift);

#endif
