/*
 * closing.h - what the window's close button does: first it presses the guest's power button, pressed again
 * within CLOSING_MS it asks, and then it switches off.
 */
#ifndef GUI_CLOSING_H
#define GUI_CLOSING_H

#include <stdint.h>

#define CLOSING_MS 10000

enum closing_step {
    CLOSING_NOTHING,
    CLOSING_PRESS,      /* press the power button; if nobody listens to it, closing_ask() */
    CLOSING_ASK,        /* the question is there to be shown */
    CLOSING_SWITCH_OFF, /* without a shutdown */
};

/* Zeroed: nobody wants to close. */
struct closing {
    enum closing_step last;
    uint64_t until; /* ms: closing again up to here asks */
};

/* The close button, at this time of a millisecond clock. Returns what is to be done. */
enum closing_step closing_close(struct closing *closing, uint64_t now);

/* Asks at once. */
enum closing_step closing_ask(struct closing *closing);

/* The answers to the question. */
enum closing_step closing_confirm(struct closing *closing);
enum closing_step closing_cancel(struct closing *closing);

#endif
