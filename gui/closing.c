/*
 * closing.c - see closing.h.
 */
#include "gui/closing.h"

enum closing_step closing_close(struct closing *closing, uint64_t now)
{
    if (closing->last >= CLOSING_ASK)
        closing->last = CLOSING_SWITCH_OFF;
    else if (closing->last == CLOSING_PRESS && now <= closing->until)
        closing->last = CLOSING_ASK;
    else
        closing->last = CLOSING_PRESS;
    closing->until = now + CLOSING_MS;
    return closing->last;
}

enum closing_step closing_ask(struct closing *closing)
{
    closing->last = CLOSING_ASK;
    return CLOSING_ASK;
}

enum closing_step closing_confirm(struct closing *closing)
{
    if (closing->last < CLOSING_ASK)
        return CLOSING_NOTHING;
    closing->last = CLOSING_SWITCH_OFF;
    return CLOSING_SWITCH_OFF;
}

enum closing_step closing_cancel(struct closing *closing)
{
    if (closing->last == CLOSING_ASK)
        closing->last = CLOSING_NOTHING;
    return CLOSING_NOTHING;
}
