/*
 * virtio_input_keys.c - event codes by USB HID usage (HID Usage Tables, page 7). The codes are those that Linux calls
 * KEY_*, which virtio 1.2, 5.8 takes over.
 */
#include "devices/virtio_input_internal.h"

/* clang-format off */
const uint8_t virtio_input_keys[256] = {
    [0x04] = 30,  48,  46,  32,  18,  33,  34,  35,  23,  36,  37,  38,  50,  /* A to M */
    49,           24,  25,  16,  19,  31,  20,  22,  47,  17,  45,  21,  44,  /* N to Z */
    2,            3,   4,   5,   6,   7,   8,   9,   10,  11,                 /* 1 to 9, 0 */
    28,           1,   14,  15,  57,                                          /* Enter, Escape, Backspace, Tab, Space */
    12,           13,  26,  27,  43,  43,  39,  40,  41,  51,  52,  53,       /* - = [ ] \ # ; ' ` , . / */
    58,                                                                       /* Caps Lock */
    59,           60,  61,  62,  63,  64,  65,  66,  67,  68,  87,  88,       /* F1 to F12 */
    99,           70,  119,                                                   /* Print Screen, Scroll Lock, Pause */
    110,          102, 104, 111, 107, 109,                                    /* Insert, Home, Page Up, Delete, End, Page Down */
    106,          105, 108, 103,                                              /* right, left, down, up */
    69,           98,  55,  74,  78,  96,                                     /* Num Lock, keypad / * - + Enter */
    79,           80,  81,  75,  76,  77,  71,  72,  73,  82,  83,            /* keypad 1 to 9, 0, . */
    86,           127, 116, 117,                                              /* \ of 102 keys, Menu, Power, keypad = */
    183,          184, 185, 186, 187, 188, 189, 190, 191, 192, 193, 194,      /* F13 to F24 */
    134,          138, 130, 132, 128, 129, 131, 137, 133, 135, 136,           /* Open to Find */
    113,          115, 114,                                                   /* mute, louder, quieter */
    [0x85] = 121,                                                             /* keypad , */
    [0x87] = 89,  93,  124, 92,  94,  95,                                     /* of Japanese keyboards */
    [0x90] = 122, 123, 90,  91,  85,                                          /* of Korean ones, and others */
    [0xE0] = 29,  42,  56,  125, 97,  54,  100, 126,                          /* Ctrl, Shift, Alt, Windows: left, right */
};
/* clang-format on */
