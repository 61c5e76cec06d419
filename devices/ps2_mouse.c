/*
 * ps2_mouse.c - a PS/2 mouse: the standard one, and after the knocks of a driver one with a wheel (id 3) and
 * one with a wheel and five buttons (id 4).
 *
 * In: relative motion, wheel and buttons, bytes from the host. Out: bytes, one at a time, when the controller
 * takes them. Motion adds up while reports wait (for the sample rate, or because the guest doesn't read) and
 * is then sent in as many reports as it needs; a change of the buttons is reported at once while the buffer
 * has room, so that short clicks aren't lost.
 *
 * Differences from a real one: the self test takes 10 ms, not 500. Counts are the viewer's pixels whatever
 * the resolution is set to; the resolution is only remembered. A report moves by at most 127, so that drivers
 * that know only 8 bits (and doubled counts, which must fit 9) see all of it.
 */
#include "devices/ps2.h"

#include <stdlib.h>
#include <string.h>

#define CMD_SCALE_1        0xE6
#define CMD_SCALE_2        0xE7
#define CMD_SET_RESOLUTION 0xE8
#define CMD_STATUS         0xE9
#define CMD_STREAM         0xEA
#define CMD_READ           0xEB
#define CMD_END_WRAP       0xEC
#define CMD_WRAP           0xEE
#define CMD_REMOTE         0xF0
#define CMD_IDENTIFY       0xF2
#define CMD_SET_RATE       0xF3
#define CMD_ENABLE         0xF4
#define CMD_DISABLE        0xF5
#define CMD_SET_DEFAULTS   0xF6
#define CMD_RESEND         0xFE
#define CMD_RESET          0xFF

#define REPLY_ACK    0xFA
#define REPLY_ERROR  0xFC
#define REPLY_RESEND 0xFE
#define REPLY_PASSED 0xAA

/* Status request, first byte */
#define STATUS_REMOTE  0x40
#define STATUS_ENABLED 0x20
#define STATUS_SCALE_2 0x10

/* A report's first byte; the buttons below stand as in enum pointer_button */
#define REPORT_ALWAYS     0x08
#define REPORT_X_NEGATIVE 0x10
#define REPORT_Y_NEGATIVE 0x20
#define REPORT_X_OVERFLOW 0x40
#define REPORT_Y_OVERFLOW 0x80

#define ID_STANDARD 0
#define ID_WHEEL    3
#define ID_BUTTONS  4

#define MAIN_BUTTONS  (BUTTON_LEFT | BUTTON_RIGHT | BUTTON_MIDDLE)
#define STEP_LIMIT    127   /* counts in one report */
#define MOTION_LIMIT  32767 /* counts that wait at most; more sets the overflow bit */
#define DEFAULT_RATE  100
#define SELF_TEST_NS  10000000ull
#define REPLY_BUFFER  32
#define REPORT_BUFFER 64

struct ps2_mouse {
    uint8_t reports[REPORT_BUFFER], report_count;
    uint8_t replies[REPLY_BUFFER], reply_count;
    uint8_t last_sent, command; /* command: that waits for its parameter, or 0 */
    bool refused;               /* its parameter was out of range once */
    uint8_t id;
    uint8_t rate, resolution; /* reports a second; log2 of counts per mm */
    uint8_t knock[2];         /* the two rates set before, older first */
    bool enabled, remote, wrap, scale_2;
    int32_t x, y, wheel; /* waiting: counts right and up, notches towards the user */
    bool x_overflow, y_overflow;
    uint8_t buttons, reported; /* now, and in the last report */
    uint64_t report_at;        /* not before: clock ns */
    uint64_t test_until;       /* end of the self test, CLOCK_NEVER when none runs */

    struct timer report_timer, test_timer;
    struct clock *clock;
    struct log *log;
    void (*ready)(void *opaque);
    void *ready_opaque;
};

static void tell_controller(struct ps2_mouse *mouse)
{
    if (mouse->ready)
        mouse->ready(mouse->ready_opaque);
}

static void reply(struct ps2_mouse *mouse, uint8_t value)
{
    if (mouse->reply_count == REPLY_BUFFER)
        return; /* the host sends and never reads */
    mouse->replies[mouse->reply_count++] = value;
    tell_controller(mouse);
}

/* --- reports ------------------------------------------------------------------------------------- */

static int32_t clamp(int32_t value, int32_t low, int32_t high)
{
    return value < low ? low : value > high ? high : value;
}

/* Scaling 2:1, in stream mode only (PS/2 mouse, command E7). */
static int32_t scaled(int32_t counts)
{
    static const uint8_t small[] = {0, 1, 1, 3, 6, 9};
    int32_t size = counts < 0 ? -counts : counts;

    size = size < 6 ? small[size] : 2 * size;
    return counts < 0 ? -size : size;
}

static int32_t take_counts(int32_t *waiting, int32_t low, int32_t high)
{
    int32_t counts = clamp(*waiting, low, high);

    *waiting -= counts;
    return counts;
}

/* The next report, taken from what has added up. Returns its size. */
static unsigned make_report(struct ps2_mouse *mouse, uint8_t report[4], bool scale)
{
    bool x_overflow = mouse->x_overflow, y_overflow = mouse->y_overflow;
    int32_t x = take_counts(&mouse->x, -STEP_LIMIT, STEP_LIMIT);
    int32_t y = take_counts(&mouse->y, -STEP_LIMIT, STEP_LIMIT);
    int32_t wheel;

    if (scale) {
        x = scaled(x);
        y = scaled(y);
    }
    report[0] = REPORT_ALWAYS | (mouse->buttons & MAIN_BUTTONS) | (x < 0 ? REPORT_X_NEGATIVE : 0) |
                (y < 0 ? REPORT_Y_NEGATIVE : 0) | (x_overflow ? REPORT_X_OVERFLOW : 0) |
                (y_overflow ? REPORT_Y_OVERFLOW : 0);
    report[1] = (uint8_t)x;
    report[2] = (uint8_t)y;
    mouse->x_overflow = mouse->y_overflow = false;
    mouse->reported = mouse->buttons;
    if (mouse->id == ID_STANDARD) {
        mouse->wheel = 0;
        return 3;
    }
    wheel = take_counts(&mouse->wheel, -8, 7);
    report[3] = (uint8_t)wheel;
    if (mouse->id == ID_BUTTONS)
        report[3] = (wheel & 15) | (mouse->buttons & BUTTON_SIDE ? 0x10 : 0) |
                    (mouse->buttons & BUTTON_EXTRA ? 0x20 : 0);
    return 4;
}

static void drop_motion(struct ps2_mouse *mouse)
{
    mouse->x = mouse->y = mouse->wheel = 0;
    mouse->x_overflow = mouse->y_overflow = false;
    mouse->reported = mouse->buttons;
}

static uint8_t known_buttons(const struct ps2_mouse *mouse)
{
    return mouse->id == ID_BUTTONS ? MAIN_BUTTONS | BUTTON_SIDE | BUTTON_EXTRA : MAIN_BUTTONS;
}

static bool streaming(const struct ps2_mouse *mouse)
{
    return mouse->enabled && !mouse->remote && !mouse->wrap && mouse->test_until == CLOCK_NEVER;
}

static void put_report(struct ps2_mouse *mouse)
{
    mouse->report_count += make_report(mouse, mouse->reports + mouse->report_count, mouse->scale_2);
    mouse->report_at = clock_now(mouse->clock) + NS_PER_SEC / mouse->rate;
    tell_controller(mouse);
}

/* Reports what there is: motion when the last report has left and its time is over, buttons while there is
 * room. */
static void update_reports(struct ps2_mouse *mouse)
{
    bool moved = mouse->x || mouse->y || (mouse->wheel && mouse->id != ID_STANDARD);
    bool clicked = (mouse->buttons ^ mouse->reported) & known_buttons(mouse);

    timer_disarm(&mouse->report_timer);
    if (!streaming(mouse) || (!moved && !clicked))
        return;
    if (clicked ? mouse->report_count + 4 <= REPORT_BUFFER
                : !mouse->report_count && clock_now(mouse->clock) >= mouse->report_at)
        put_report(mouse);
    moved = mouse->x || mouse->y || (mouse->wheel && mouse->id != ID_STANDARD);
    if (moved && !mouse->report_count)
        timer_arm(&mouse->report_timer, mouse->report_at); /* otherwise taking the last byte looks again */
}

static void report_due(void *opaque)
{
    update_reports(opaque);
}

static void add_motion(int32_t *waiting, bool *overflow, int64_t counts)
{
    int64_t sum = *waiting + counts;

    if (sum < -MOTION_LIMIT || sum > MOTION_LIMIT)
        *overflow = true;
    *waiting = (int32_t)(sum < -MOTION_LIMIT ? -MOTION_LIMIT : sum > MOTION_LIMIT ? MOTION_LIMIT : sum);
}

static void sink_pointer(void *opaque, int dx, int dy, int wheel, unsigned buttons)
{
    struct ps2_mouse *mouse = opaque;
    bool ignored = false;

    mouse->buttons = buttons & (MAIN_BUTTONS | BUTTON_SIDE | BUTTON_EXTRA);
    if (!mouse->enabled && !mouse->remote) {
        mouse->reported = mouse->buttons;
        return;
    }
    add_motion(&mouse->x, &mouse->x_overflow, dx);
    add_motion(&mouse->y, &mouse->y_overflow, -(int64_t)dy);
    add_motion(&mouse->wheel, &ignored, -(int64_t)wheel);
    update_reports(mouse);
}

/* --- commands ---------------------------------------------------------------------------------------------
 */

static void set_defaults(struct ps2_mouse *mouse)
{
    mouse->rate = DEFAULT_RATE;
    mouse->resolution = 2;
    mouse->scale_2 = mouse->enabled = mouse->remote = mouse->wrap = false;
    drop_motion(mouse);
}

static void power_on(struct ps2_mouse *mouse)
{
    set_defaults(mouse);
    mouse->id = ID_STANDARD;
    mouse->knock[0] = mouse->knock[1] = 0;
    mouse->command = 0;
    mouse->report_count = mouse->reply_count = 0;
    mouse->report_at = 0;
    mouse->test_until = CLOCK_NEVER;
    timer_disarm(&mouse->test_timer);
    timer_disarm(&mouse->report_timer);
}

static void test_done(void *opaque)
{
    struct ps2_mouse *mouse = opaque;

    mouse->test_until = CLOCK_NEVER;
    timer_disarm(&mouse->test_timer);
    reply(mouse, REPLY_PASSED);
    reply(mouse, mouse->id);
}

static void start_test(struct ps2_mouse *mouse)
{
    power_on(mouse);
    reply(mouse, REPLY_ACK);
    mouse->test_until = clock_now(mouse->clock) + SELF_TEST_NS;
    timer_arm(&mouse->test_timer, mouse->test_until);
}

/* Rates 200, 100, 80 in a row ask for the wheel, 200, 200, 80 for the buttons as well. */
static void knock(struct ps2_mouse *mouse, uint8_t rate)
{
    if (rate == 80 && mouse->knock[0] == 200) {
        if (mouse->knock[1] == 100 && mouse->id == ID_STANDARD)
            mouse->id = ID_WHEEL;
        else if (mouse->knock[1] == 200)
            mouse->id = ID_BUTTONS;
    }
    mouse->knock[0] = mouse->knock[1];
    mouse->knock[1] = rate;
}

static bool valid_rate(uint8_t rate)
{
    static const uint8_t rates[] = {10, 20, 40, 60, 80, 100, 200};

    return memchr(rates, rate, sizeof(rates)) != NULL;
}

/* A value out of range is asked for again, and the second time is an error. */
static void take_parameter(struct ps2_mouse *mouse, uint8_t value)
{
    if (mouse->command == CMD_SET_RATE ? !valid_rate(value) : value > 3) {
        reply(mouse, mouse->refused ? REPLY_ERROR : REPLY_RESEND);
        if (mouse->refused)
            mouse->command = 0;
        mouse->refused = true;
        return;
    }
    if (mouse->command == CMD_SET_RATE) {
        mouse->rate = value;
        knock(mouse, value);
    } else {
        mouse->resolution = value;
    }
    mouse->command = 0;
    drop_motion(mouse);
    reply(mouse, REPLY_ACK);
}

static void reply_status(struct ps2_mouse *mouse)
{
    reply(mouse, (mouse->remote ? STATUS_REMOTE : 0) | (mouse->enabled ? STATUS_ENABLED : 0) |
                     (mouse->scale_2 ? STATUS_SCALE_2 : 0) | (mouse->buttons & BUTTON_LEFT ? 4 : 0) |
                     (mouse->buttons & BUTTON_MIDDLE ? 2 : 0) | (mouse->buttons & BUTTON_RIGHT ? 1 : 0));
    reply(mouse, mouse->resolution);
    reply(mouse, mouse->rate);
}

static void reply_report(struct ps2_mouse *mouse)
{
    uint8_t report[4];
    unsigned size = make_report(mouse, report, false);

    for (unsigned i = 0; i < size; i++)
        reply(mouse, report[i]);
}

static void take_command(struct ps2_mouse *mouse, uint8_t value)
{
    if (value == CMD_RESET) {
        start_test(mouse);
        return;
    }
    if (value == CMD_RESEND) {
        reply(mouse, mouse->last_sent);
        return;
    }
    if ((value < CMD_SCALE_1 || value > CMD_SET_DEFAULTS) || value == 0xED || value == 0xEF ||
        value == 0xF1) {
        log_at(mouse->log, LOG_GUEST, "mouse", "unknown command 0x%02x", value);
        reply(mouse, REPLY_RESEND);
        return;
    }
    reply(mouse, REPLY_ACK);
    switch (value) {
    case CMD_SCALE_1:
    case CMD_SCALE_2:
        mouse->scale_2 = value == CMD_SCALE_2;
        break;
    case CMD_SET_RESOLUTION:
    case CMD_SET_RATE:
        mouse->command = value;
        mouse->refused = false;
        break;
    case CMD_STATUS:
        reply_status(mouse);
        break;
    case CMD_READ:
        reply_report(mouse);
        break;
    case CMD_STREAM:
    case CMD_REMOTE:
        mouse->remote = value == CMD_REMOTE;
        drop_motion(mouse);
        break;
    case CMD_WRAP:
        mouse->wrap = true;
        drop_motion(mouse);
        break;
    case CMD_IDENTIFY:
        reply(mouse, mouse->id);
        break;
    case CMD_ENABLE:
    case CMD_DISABLE:
        mouse->enabled = value == CMD_ENABLE;
        drop_motion(mouse);
        break;
    case CMD_SET_DEFAULTS:
        set_defaults(mouse);
        break;
    default: /* CMD_END_WRAP: acknowledged */
        break;
    }
}

/* A byte from the host stops whatever report is on its way (PS/2 mouse, "data output"). */
static void mouse_write(void *device, uint8_t value)
{
    struct ps2_mouse *mouse = device;

    if (mouse->test_until != CLOCK_NEVER)
        test_done(mouse); /* nobody waits for the result */
    if (mouse->wrap && value != CMD_RESET && value != CMD_END_WRAP) {
        reply(mouse, value);
        return;
    }
    if (value != CMD_RESEND)
        mouse->report_count = 0;
    mouse->wrap = false;
    if (mouse->command && value < CMD_SCALE_1) {
        take_parameter(mouse, value);
    } else {
        mouse->command = 0;
        take_command(mouse, value);
    }
    update_reports(mouse);
}

static bool mouse_pending(void *device)
{
    struct ps2_mouse *mouse = device;

    return mouse->reply_count || mouse->report_count;
}

static uint8_t mouse_take(void *device)
{
    struct ps2_mouse *mouse = device;
    uint8_t *from = mouse->reply_count ? mouse->replies : mouse->reports;
    uint8_t *count = mouse->reply_count ? &mouse->reply_count : &mouse->report_count;

    if (!*count)
        return 0;
    mouse->last_sent = from[0];
    memmove(from, from + 1, --*count);
    update_reports(mouse);
    return mouse->last_sent;
}

static void mouse_listen(void *device, void (*ready)(void *opaque), void *opaque)
{
    struct ps2_mouse *mouse = device;

    mouse->ready = ready;
    mouse->ready_opaque = opaque;
}

struct ps2_cable ps2_mouse_cable(struct ps2_mouse *mouse)
{
    return (struct ps2_cable){mouse_write, mouse_pending, mouse_take, mouse_listen, mouse};
}

struct input_sink ps2_mouse_sink(struct ps2_mouse *mouse)
{
    return (struct input_sink){.pointer = sink_pointer, .opaque = mouse};
}

/* --- class --------------------------------------------------------------------------------------- */

static void mouse_reset(void *device)
{
    struct ps2_mouse *mouse = device;

    power_on(mouse);
    mouse->last_sent = REPLY_PASSED;
}

/* A state from elsewhere may say anything; the rest of the file relies on this much. */
static void mouse_loaded(void *device)
{
    struct ps2_mouse *mouse = device;

    if (mouse->report_count > REPORT_BUFFER)
        mouse->report_count = 0;
    if (mouse->reply_count > REPLY_BUFFER)
        mouse->reply_count = 0;
    if (!mouse->rate)
        mouse->rate = DEFAULT_RATE;
    mouse->x = clamp(mouse->x, -MOTION_LIMIT, MOTION_LIMIT);
    mouse->y = clamp(mouse->y, -MOTION_LIMIT, MOTION_LIMIT);
    mouse->wheel = clamp(mouse->wheel, -MOTION_LIMIT, MOTION_LIMIT);
    timer_arm(&mouse->test_timer, mouse->test_until);
    update_reports(mouse);
    tell_controller(mouse);
}

static void mouse_free(void *device)
{
    struct ps2_mouse *mouse = device;

    if (!mouse)
        return;
    timer_disarm(&mouse->report_timer);
    timer_disarm(&mouse->test_timer);
    free(mouse);
}

static const struct field mouse_fields[] = {
    FIELD_ARRAY(struct ps2_mouse, reports),
    FIELD(struct ps2_mouse, report_count),
    FIELD_ARRAY(struct ps2_mouse, replies),
    FIELD(struct ps2_mouse, reply_count),
    FIELD(struct ps2_mouse, last_sent),
    FIELD(struct ps2_mouse, command),
    FIELD(struct ps2_mouse, refused),
    FIELD(struct ps2_mouse, id),
    FIELD(struct ps2_mouse, rate),
    FIELD(struct ps2_mouse, resolution),
    FIELD_ARRAY(struct ps2_mouse, knock),
    FIELD(struct ps2_mouse, enabled),
    FIELD(struct ps2_mouse, remote),
    FIELD(struct ps2_mouse, wrap),
    FIELD(struct ps2_mouse, scale_2),
    FIELD(struct ps2_mouse, x),
    FIELD(struct ps2_mouse, y),
    FIELD(struct ps2_mouse, wheel),
    FIELD(struct ps2_mouse, x_overflow),
    FIELD(struct ps2_mouse, y_overflow),
    FIELD(struct ps2_mouse, buttons),
    FIELD(struct ps2_mouse, reported),
    FIELD(struct ps2_mouse, report_at),
    FIELD(struct ps2_mouse, test_until),
    FIELD_END,
};

const struct device_class ps2_mouse_class = {
    .name = "ps2-mouse",
    .reset = mouse_reset,
    .loaded = mouse_loaded,
    .free = mouse_free,
    .state = mouse_fields,
};

struct ps2_mouse *ps2_mouse_new(struct clock *clock, struct log *log)
{
    struct ps2_mouse *mouse = calloc(1, sizeof(*mouse));

    if (!mouse)
        return NULL;
    mouse->clock = clock;
    mouse->log = log;
    timer_init(&mouse->report_timer, clock, "mouse-report", report_due, mouse);
    timer_init(&mouse->test_timer, clock, "mouse-test", test_done, mouse);
    mouse_reset(mouse);
    return mouse;
}
