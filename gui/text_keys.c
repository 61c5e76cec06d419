/*
 * text_keys.c - ECMA-48 and xterm key sequences, UTF-8 and ASCII, into HID usages (page 7).
 */
#include "gui/text_keys.h"

#include <string.h>

#include "gui/cp437.h"

#define ESC    0x1B
#define CTRL_A 0x01

#define USAGE_A          4
#define USAGE_1          30
#define USAGE_0          39
#define USAGE_ENTER      40
#define USAGE_ESCAPE     41
#define USAGE_BACKSPACE  42
#define USAGE_TAB        43
#define USAGE_SPACE      44
#define USAGE_F1         58
#define USAGE_INSERT     73
#define USAGE_HOME       74
#define USAGE_PAGE_UP    75
#define USAGE_DELETE     76
#define USAGE_END        77
#define USAGE_PAGE_DOWN  78
#define USAGE_RIGHT      79
#define USAGE_LEFT       80
#define USAGE_DOWN       81
#define USAGE_UP         82
#define USAGE_PAD_ENTER  88
#define USAGE_PAD_1      89
#define USAGE_PAD_0      98
#define USAGE_LEFT_CTRL  224
#define USAGE_LEFT_SHIFT 225
#define USAGE_LEFT_ALT   226

/* --- the queue */

static void put(struct text_keys *keys, struct keystroke stroke)
{
    if (keys->count == TEXT_KEYS_QUEUE)
        return;
    keys->queue[(keys->first + keys->count++) % TEXT_KEYS_QUEUE] = stroke;
}

void text_keys_press(struct text_keys *keys, uint8_t usage, uint8_t modifiers)
{
    put(keys, (struct keystroke){usage, modifiers, false});
}

static void send(struct text_keys *keys, unsigned usage, bool down)
{
    if (keys->sink.key)
        keys->sink.key(keys->sink.opaque, usage, down);
}

static void hold(struct text_keys *keys, uint8_t modifiers)
{
    static const uint8_t usage[3] = {USAGE_LEFT_CTRL, USAGE_LEFT_SHIFT, USAGE_LEFT_ALT};

    for (unsigned i = 0; i < 3; i++) {
        if ((keys->held ^ modifiers) >> i & 1)
            send(keys, usage[i], modifiers >> i & 1);
    }
    keys->held = modifiers;
}

void text_keys_type(struct text_keys *keys, unsigned limit)
{
    for (; limit && keys->count; limit--) {
        struct keystroke stroke = keys->queue[keys->first];

        keys->first = (keys->first + 1) % TEXT_KEYS_QUEUE;
        keys->count--;
        hold(keys, stroke.modifiers);
        if (stroke.usage) {
            send(keys, stroke.usage, true);
            send(keys, stroke.usage, false);
        }
        if (!stroke.keep)
            hold(keys, 0);
    }
}

/* --- characters */

/* Keys that aren't letters or digits: what they type alone and with Shift, from usage 45 on. */
static const char plain[] = "-=[]\\\0;'`,./", shifted[] = "_+{}|\0:\"~<>?", over_digits[] = "!@#$%^&*()";

#define USAGE_PUNCTUATION 45

static struct keystroke ascii_key(char c)
{
    const char *at;

    if (c >= 'a' && c <= 'z')
        return (struct keystroke){.usage = USAGE_A + (c - 'a')};
    if (c >= 'A' && c <= 'Z')
        return (struct keystroke){.usage = USAGE_A + (c - 'A'), .modifiers = KEY_SHIFT};
    if (c == '0')
        return (struct keystroke){.usage = USAGE_0};
    if (c >= '1' && c <= '9')
        return (struct keystroke){.usage = USAGE_1 + (c - '1')};
    if (c == ' ')
        return (struct keystroke){.usage = USAGE_SPACE};
    at = memchr(over_digits, c, sizeof(over_digits) - 1);
    if (at)
        return (struct keystroke){.usage = USAGE_1 + (at - over_digits), .modifiers = KEY_SHIFT};
    at = memchr(plain, c, sizeof(plain) - 1);
    if (at)
        return (struct keystroke){.usage = USAGE_PUNCTUATION + (at - plain)};
    at = memchr(shifted, c, sizeof(shifted) - 1);
    if (at)
        return (struct keystroke){.usage = USAGE_PUNCTUATION + (at - shifted), .modifiers = KEY_SHIFT};
    return (struct keystroke){0};
}

/* Control characters are what Ctrl makes of the letter 64 places up, but for the keys that have one of their
 * own. */
static struct keystroke control_key(uint8_t c)
{
    switch (c) {
    case 0x00:
        return (struct keystroke){USAGE_SPACE, KEY_CTRL, false};
    case 0x08:
    case 0x7F:
        return (struct keystroke){.usage = USAGE_BACKSPACE};
    case '\t':
        return (struct keystroke){.usage = USAGE_TAB};
    case '\r':
        return (struct keystroke){.usage = USAGE_ENTER};
    case ESC:
        return (struct keystroke){.usage = USAGE_ESCAPE};
    default: {
        struct keystroke stroke = ascii_key(c <= 26 ? (char)(c + 'a' - 1) : (char)(c + '@'));
        stroke.modifiers |= KEY_CTRL;
        return stroke;
    }
    }
}

/* Alt held while the keypad's digits are typed, three of them. */
static void type_by_number(struct text_keys *keys, unsigned number)
{
    for (unsigned unit = 100; unit; unit /= 10) {
        unsigned digit = number / unit % 10;
        put(keys, (struct keystroke){.usage = digit ? USAGE_PAD_1 + digit - 1 : USAGE_PAD_0,
                                     .modifiers = KEY_ALT,
                                     .keep = unit > 1});
    }
}

static void prefix_key(struct text_keys *keys, uint32_t c)
{
    if (c == CTRL_A || c == 'a' || c == 'A')
        text_keys_press(keys, USAGE_A, KEY_CTRL);
    else if (c == 'd' || c == 'D')
        text_keys_press(keys, USAGE_DELETE, KEY_CTRL | KEY_ALT);
    else if (c < 0x80 && keys->command)
        keys->command(keys->opaque, (char)c);
}

static void character(struct text_keys *keys, uint32_t c)
{
    bool alt = keys->alt;

    keys->alt = false;
    if (keys->prefix) {
        keys->prefix = false;
        prefix_key(keys, c);
    } else if (c == CTRL_A && !alt) {
        keys->prefix = true;
    } else if (c < 0x80) {
        struct keystroke stroke = c < 0x20 || c == 0x7F ? control_key((uint8_t)c) : ascii_key((char)c);
        stroke.modifiers |= alt ? KEY_ALT : 0;
        if (stroke.usage)
            put(keys, stroke);
    } else {
        int byte = cp437_from_unicode(c);
        if (byte > 0)
            type_by_number(keys, (unsigned)byte);
    }
}

/* --- escape sequences */

static uint8_t letter_key(uint8_t letter)
{
    switch (letter) {
    case 'A':
        return USAGE_UP;
    case 'B':
        return USAGE_DOWN;
    case 'C':
        return USAGE_RIGHT;
    case 'D':
        return USAGE_LEFT;
    case 'F':
        return USAGE_END;
    case 'H':
        return USAGE_HOME;
    case 'M':
        return USAGE_PAD_ENTER;
    case 'P' ... 'S':
        return USAGE_F1 + letter - 'P';
    default:
        return 0;
    }
}

/* CSI number ~; the function keys' numbers have gaps where a VT220's keyboard has. */
static uint8_t number_key(unsigned number)
{
    static const uint8_t keys[] = {
        [1] = USAGE_HOME,    [2] = USAGE_INSERT,    [3] = USAGE_DELETE,   [4] = USAGE_END,
        [5] = USAGE_PAGE_UP, [6] = USAGE_PAGE_DOWN, [7] = USAGE_HOME,     [8] = USAGE_END,
        [11] = USAGE_F1,     [12] = USAGE_F1 + 1,   [13] = USAGE_F1 + 2,  [14] = USAGE_F1 + 3,
        [15] = USAGE_F1 + 4, [17] = USAGE_F1 + 5,   [18] = USAGE_F1 + 6,  [19] = USAGE_F1 + 7,
        [20] = USAGE_F1 + 8, [21] = USAGE_F1 + 9,   [23] = USAGE_F1 + 10, [24] = USAGE_F1 + 11,
    };

    return number < sizeof(keys) ? keys[number] : 0;
}

/* xterm's second parameter is 1 and a bit for each modifier. */
static uint8_t modifiers_of(unsigned parameter)
{
    unsigned bits = parameter ? parameter - 1 : 0;

    return (bits & 1 ? KEY_SHIFT : 0) | (bits & 2 ? KEY_ALT : 0) | (bits & 4 ? KEY_CTRL : 0);
}

static void special(struct text_keys *keys, uint8_t usage, uint8_t modifiers)
{
    bool alt = keys->alt;

    keys->alt = keys->prefix = false;
    if (usage)
        text_keys_press(keys, usage, modifiers | (alt ? KEY_ALT : 0));
}

/* The bytes after ESC [. Returns how many belong to the sequence, 0 when it isn't complete. */
static size_t control_sequence(struct text_keys *keys, const uint8_t *at, size_t size)
{
    unsigned parameters[2] = {0}, n = 0;

    /* The Linux console's F1 to F5 */
    if (size >= 1 && at[0] == '[') {
        if (size < 2)
            return 0;
        special(keys, at[1] >= 'A' && at[1] <= 'E' ? USAGE_F1 + at[1] - 'A' : 0, 0);
        return 2;
    }
    for (size_t i = 0; i < size; i++) {
        if (at[i] >= '0' && at[i] <= '9' && n < 2)
            parameters[n] = (parameters[n] * 10 + at[i] - '0') % 10000;
        else if (at[i] == ';')
            n++;
        else if (at[i] >= 0x40 && at[i] <= 0x7E) {
            uint8_t modifiers = modifiers_of(parameters[1]);
            if (at[i] == 'Z')
                special(keys, USAGE_TAB, KEY_SHIFT);
            else
                special(keys, at[i] == '~' ? number_key(parameters[0]) : letter_key(at[i]), modifiers);
            return i + 1;
        }
    }
    return 0;
}

/* The bytes from ESC on. `last`: no more will come. Returns how many were taken. */
static size_t escape(struct text_keys *keys, const uint8_t *at, size_t size, bool last)
{
    size_t used;

    if (size == 1) {
        if (last)
            character(keys, ESC);
        return last;
    }
    switch (at[1]) {
    case '[':
        used = control_sequence(keys, at + 2, size - 2);
        if (used)
            return 2 + used;
        if (last && size > 2)
            return size;
        break;
    case 'O':
        if (size > 2) {
            special(keys, letter_key(at[2]), 0);
            return 3;
        }
        break;
    case ESC:
        /* Alt with a sequence, or Escape twice. */
        if (size == 2 && !last)
            return 0;
        if (size > 2 && (at[2] == '[' || at[2] == 'O'))
            keys->alt = true;
        else
            character(keys, ESC);
        return 1;
    default:
        keys->alt = true;
        return 1;
    }
    if (!last)
        return 0;
    keys->alt = true;
    return 1;
}

/* A character in UTF-8. Returns its bytes, 0 when some are still to come. */
static size_t utf8(struct text_keys *keys, const uint8_t *at, size_t size, bool last)
{
    unsigned length = at[0] < 0x80             ? 1
                      : (at[0] & 0xE0) == 0xC0 ? 2
                      : (at[0] & 0xF0) == 0xE0 ? 3
                      : (at[0] & 0xF8) == 0xF0 ? 4
                                               : 0;
    uint32_t c = length <= 1 ? at[0] : at[0] & (0xFFu >> (length + 1));

    if (!length)
        return 1;
    for (unsigned i = 1; i < length; i++) {
        if (i >= size)
            return last ? size : 0;
        if ((at[i] & 0xC0) != 0x80)
            return i;
        c = c << 6 | (at[i] & 0x3F);
    }
    character(keys, c);
    return length;
}

static void parse(struct text_keys *keys, bool last)
{
    size_t at = 0;

    while (at < keys->pending_count) {
        const uint8_t *from = keys->pending + at;
        size_t left = keys->pending_count - at;
        size_t used = *from == ESC ? escape(keys, from, left, last) : utf8(keys, from, left, last);
        if (!used)
            break;
        at += used;
    }
    memmove(keys->pending, keys->pending + at, keys->pending_count - at);
    keys->pending_count -= at;
}

void text_keys_feed(struct text_keys *keys, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        /* No sequence of a key is this long. */
        if (keys->pending_count == sizeof(keys->pending))
            keys->pending_count = 0;
        keys->pending[keys->pending_count++] = data[i];
        parse(keys, false);
    }
}

void text_keys_idle(struct text_keys *keys)
{
    if (keys->pending_count)
        parse(keys, true);
}
