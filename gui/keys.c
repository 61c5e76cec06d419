/*
 * keys.c - see keys.h.
 */
#include "gui/keys.h"

#define SCANCODE_MENU 0x76 /* SDL's name for the usage; some hosts mean the application key by it */
#define SCANCODE_MODE 257  /* AltGr, where the host's tables call it Mode_switch */

#define USAGE_A 0x04
#define USAGE_Z 0x1D

unsigned keys_usage(int scancode)
{
    if (scancode == SCANCODE_MENU)
        return USAGE_APPLICATION;
    if (scancode == SCANCODE_MODE)
        return USAGE_RIGHT_ALT;
    return scancode >= USAGE_FIRST && scancode <= USAGE_LAST ? (unsigned)scancode : 0;
}

bool keys_is_modifier(unsigned usage)
{
    return usage >= USAGE_LEFT_CTRL && usage <= USAGE_LAST;
}

void keys_event(struct held_keys *keys, const struct input_sink *sink, unsigned usage, bool down)
{
    uint8_t bit = (uint8_t)(1u << (usage & 7));

    if (usage < USAGE_FIRST || usage > USAGE_LAST || !(keys->down[usage / 8] & bit) == !down)
        return;
    keys->down[usage / 8] ^= bit;
    if (sink->key)
        sink->key(sink->opaque, usage, down);
}

void keys_hold_modifiers(struct held_keys *keys, const struct input_sink *sink, unsigned modifiers)
{
    for (unsigned n = 0; n < 8; n++) {
        if (modifiers >> n & 1)
            keys_event(keys, sink, USAGE_LEFT_CTRL + n, true);
    }
}

void keys_release(struct held_keys *keys, const struct input_sink *sink)
{
    for (unsigned usage = USAGE_FIRST; usage <= USAGE_LAST; usage++)
        keys_event(keys, sink, usage, false);
}

char keys_letter(int32_t symbol, int scancode)
{
    if (symbol >= 'a' && symbol <= 'z')
        return (char)symbol;
    /* A Latin layout has the letter on another key. */
    if (symbol >= 0x20 && symbol < 0x7F)
        return 0;
    return scancode >= USAGE_A && scancode <= USAGE_Z ? (char)('a' + scancode - USAGE_A) : 0;
}
