/*
 * ps2.h - a PS/2 keyboard and a PS/2 mouse, and the cable between them and the keyboard controller.
 *
 * Locking: all calls with the machine lock held.
 */
#ifndef DEVICES_PS2_H
#define DEVICES_PS2_H

#include <stdbool.h>
#include <stdint.h>

#include "core/clock.h"
#include "core/device.h"
#include "core/input.h"
#include "core/log.h"

struct ps2_keyboard;
struct ps2_mouse;

extern const struct device_class ps2_keyboard_class;
extern const struct device_class ps2_mouse_class;

/* The device's end of a cable, as a controller sees it. A cable with nothing at its end is the zero value. */
struct ps2_cable {
    void (*write)(void *device, uint8_t value); /* the host sends a byte */
    bool (*pending)(void *device);              /* the device has a byte to send, */
    uint8_t (*take)(void *device);              /* which this takes; only while there is one */
    void (*listen)(void *device, void (*ready)(void *opaque),
                   void *opaque); /* ready(): pending() became true */
    void *device;
};

#define PS2_LED_SCROLL 0x01
#define PS2_LED_NUM    0x02
#define PS2_LED_CAPS   0x04

/* A 105-key keyboard with the keys of Japanese, Korean and Brazilian ones. NULL when memory ran out. */
struct ps2_keyboard *ps2_keyboard_new(struct clock *clock, struct log *log);
struct ps2_cable ps2_keyboard_cable(struct ps2_keyboard *keyboard);

/* Where a viewer sends its keys; the sink's pointer functions are NULL. */
struct input_sink ps2_keyboard_sink(struct ps2_keyboard *keyboard);

/* The lamps that are lit, PS2_LED bits. */
uint8_t ps2_keyboard_leds(const struct ps2_keyboard *keyboard);

/*
 * Types `text` as somebody would with a US layout, at most 40 keys a second, and slower when the guest
 * doesn't read its keyboard. The text follows what is still being typed, is copied, and is ASCII; a newline
 * is Enter. Characters without a key are skipped. A reset of the keyboard's state drops what is left. False
 * when memory ran out.
 */
bool ps2_type_text(struct ps2_keyboard *keyboard, const char *text);
bool ps2_typing(const struct ps2_keyboard *keyboard);

/* A mouse with a wheel and five buttons, all of which a driver must ask for. NULL when memory ran out. */
struct ps2_mouse *ps2_mouse_new(struct clock *clock, struct log *log);
struct ps2_cable ps2_mouse_cable(struct ps2_mouse *mouse);

/* Where a viewer sends relative motion; the sink's key and pointer_at are NULL. */
struct input_sink ps2_mouse_sink(struct ps2_mouse *mouse);

#endif
