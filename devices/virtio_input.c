/*
 * virtio_input.c - the input device (virtio 1.2, 5.8): what it is, by its configuration space, and its
 * events.
 *
 * Events wait for memory that the driver gives. They come in reports that end with EV_SYN; a report for which
 * there is no room is dropped as a whole, so the driver never sees half of one.
 */
#include "devices/virtio_input.h"

#include <stdlib.h>
#include <string.h>

#include "devices/virtio.h"
#include "devices/virtio_input_internal.h"

#define QUEUE_SIZE 64u
enum { QUEUE_EVENTS, QUEUE_STATUS };

/* Configuration space (5.8.4): what the driver selects, and what that is. */
#define CONFIG_SELECT    0
#define CONFIG_SUBSELECT 1
#define CONFIG_LENGTH    2
#define CONFIG_DATA      8
#define CONFIG_SIZE      136
enum {
    SELECT_NAME = 0x01,
    SELECT_SERIAL = 0x02,
    SELECT_IDS = 0x03,
    SELECT_PROPERTIES = 0x10,
    SELECT_EVENTS = 0x11,
    SELECT_AXIS = 0x12
};

/* Event types and codes. */
enum { EV_SYN, EV_KEY, EV_REL, EV_ABS, EV_LED = 0x11, EV_REP = 0x14 };
enum { REL_X, REL_Y, REL_WHEEL = 8 };
enum { ABS_X, ABS_Y, AXES };
enum { BTN_LEFT = 0x110, BTN_RIGHT, BTN_MIDDLE, BTN_SIDE, BTN_EXTRA };
#define BUTTONS  5
#define AXIS_MAX 32767

#define EVENT_SIZE 8u
#define EVENTS     256u
#define REPORT     12u /* events at most */

struct event {
    uint16_t type, code;
    uint32_t value;
};

struct virtio_input {
    struct virtio virtio;
    struct virtio_input_wires wires;
    struct event event[EVENTS]; /* a ring of those that wait */
    uint16_t first, count;
    uint8_t buttons;
};

/* --- what it is */

static void set_bit(uint8_t *bits, unsigned n, unsigned *length)
{
    bits[n / 8] |= (uint8_t)(1u << n % 8);
    if (*length < n / 8 + 1)
        *length = n / 8 + 1;
}

static unsigned put_text(uint8_t *data, const char *text)
{
    memcpy(data, text, strlen(text));
    return (unsigned)strlen(text);
}

/* The codes of a type that it has. */
static unsigned put_events(const struct virtio_input *input, uint8_t *data, unsigned type)
{
    enum virtio_input_kind kind = input->wires.kind;
    unsigned length = 0;

    if (type == EV_KEY && kind == VIRTIO_KEYBOARD) {
        for (unsigned usage = 0; usage < 256; usage++)
            if (virtio_input_keys[usage])
                set_bit(data, virtio_input_keys[usage], &length);
    } else if (type == EV_KEY) {
        for (unsigned n = 0; n < BUTTONS; n++)
            set_bit(data, BTN_LEFT + n, &length);
    } else if (type == EV_REL && kind != VIRTIO_KEYBOARD) {
        set_bit(data, REL_WHEEL, &length);
        if (kind == VIRTIO_MOUSE)
            data[0] |= 1u << REL_X | 1u << REL_Y;
    } else if (type == EV_ABS && kind == VIRTIO_TABLET) {
        set_bit(data, ABS_X, &length);
        set_bit(data, ABS_Y, &length);
    } else if (type == EV_LED && kind == VIRTIO_KEYBOARD) {
        for (unsigned n = 0; n < 3; n++)
            set_bit(data, n, &length);
    } else if (type == EV_REP && kind == VIRTIO_KEYBOARD) {
        set_bit(data, 0, &length); /* the driver repeats keys by itself */
        set_bit(data, 1, &length);
    }
    return length;
}

/* Bus type (virtual), vendor, product, version: 16 bits each. */
static unsigned put_ids(const struct virtio_input *input, uint8_t *data)
{
    const uint16_t ids[] = {0x06, 0x0627, (uint16_t)(input->wires.kind + 1), 2};

    memcpy(data, ids, sizeof(ids));
    return sizeof(ids);
}

/* Least, most, noise, flat, resolution: 32 bits each. */
static unsigned put_axis(const struct virtio_input *input, uint8_t *data, unsigned axis)
{
    const uint32_t numbers[5] = {0, AXIS_MAX};

    if (input->wires.kind != VIRTIO_TABLET || axis >= AXES)
        return 0;
    memcpy(data, numbers, sizeof(numbers));
    return sizeof(numbers);
}

static void config_written(void *device, unsigned offset, unsigned size)
{
    static const char *const names[] = {"Oxbow virtio keyboard", "Oxbow virtio mouse", "Oxbow virtio tablet"};
    struct virtio_input *input = device;
    uint8_t *config = input->virtio.config, *data = config + CONFIG_DATA;
    unsigned length = 0;

    (void)offset;
    (void)size;
    memset(data, 0, CONFIG_SIZE - CONFIG_DATA);
    switch (config[CONFIG_SELECT]) {
    case SELECT_NAME:
        length = put_text(data, names[input->wires.kind]);
        break;
    case SELECT_IDS:
        length = put_ids(input, data);
        break;
    case SELECT_EVENTS:
        length = put_events(input, data, config[CONFIG_SUBSELECT]);
        break;
    case SELECT_AXIS:
        length = put_axis(input, data, config[CONFIG_SUBSELECT]);
        break;
    default: /* no serial number, no properties */
        break;
    }
    config[CONFIG_LENGTH] = (uint8_t)length;
}

/* --- events */

static void send(struct virtio_input *input)
{
    struct virtio_queue *queue = &input->virtio.queue[QUEUE_EVENTS];
    struct virtio_chain *chain;

    while (input->count && (chain = virtio_pop(queue))) {
        virtio_push(chain, virtio_write(chain, 0, &input->event[input->first], EVENT_SIZE));
        input->first = (uint16_t)((input->first + 1) % EVENTS);
        input->count--;
    }
    virtio_interrupt(queue);
}

/* A report while it is put together. */
struct report {
    struct event event[REPORT];
    unsigned count;
};

static void add(struct report *report, unsigned type, unsigned code, int value)
{
    report->event[report->count++] = (struct event){(uint16_t)type, (uint16_t)code, (uint32_t)value};
}

static void finish(struct virtio_input *input, struct report *report)
{
    if (!report->count || !virtio_input_used(input))
        return;
    add(report, EV_SYN, 0, 0);
    if (input->count + report->count > EVENTS)
        return;
    for (unsigned n = 0; n < report->count; n++)
        input->event[(input->first + input->count++) % EVENTS] = report->event[n];
    send(input);
}

static void key(void *opaque, unsigned usage, bool down)
{
    struct virtio_input *input = opaque;
    struct report report = {.count = 0};

    if (usage < 256 && virtio_input_keys[usage])
        add(&report, EV_KEY, virtio_input_keys[usage], down);
    finish(input, &report);
}

static void add_buttons(struct virtio_input *input, struct report *report, unsigned buttons)
{
    static const uint8_t bits[BUTTONS] = {BUTTON_LEFT, BUTTON_RIGHT, BUTTON_MIDDLE, BUTTON_SIDE,
                                          BUTTON_EXTRA};

    for (unsigned n = 0; n < BUTTONS; n++)
        if ((buttons ^ input->buttons) & bits[n])
            add(report, EV_KEY, BTN_LEFT + n, !!(buttons & bits[n]));
    input->buttons = (uint8_t)buttons;
}

static void pointer(void *opaque, int dx, int dy, int wheel, unsigned buttons)
{
    struct virtio_input *input = opaque;
    struct report report = {.count = 0};

    if (dx)
        add(&report, EV_REL, REL_X, dx);
    if (dy)
        add(&report, EV_REL, REL_Y, dy);
    if (wheel)
        add(&report, EV_REL, REL_WHEEL, wheel);
    add_buttons(input, &report, buttons);
    finish(input, &report);
}

static void pointer_at(void *opaque, int x, int y, int wheel, unsigned buttons)
{
    struct virtio_input *input = opaque;
    struct report report = {.count = 0};

    add(&report, EV_ABS, ABS_X, x);
    add(&report, EV_ABS, ABS_Y, y);
    if (wheel)
        add(&report, EV_REL, REL_WHEEL, wheel);
    add_buttons(input, &report, buttons);
    finish(input, &report);
}

struct input_sink virtio_input_sink(struct virtio_input *input)
{
    struct input_sink sink = {.opaque = input};

    if (input->wires.kind == VIRTIO_KEYBOARD)
        sink.key = key;
    else if (input->wires.kind == VIRTIO_MOUSE)
        sink.pointer = pointer;
    else
        sink.pointer_at = pointer_at;
    return sink;
}

bool virtio_input_used(const struct virtio_input *input)
{
    return input->virtio.status & VIRTIO_STATUS_DRIVER_OK;
}

/* --- the driver */

static void tell_used(struct virtio_input *input, bool used)
{
    if (input->wires.used)
        input->wires.used(input->wires.opaque, used);
}

/* Lamps and the like are taken and shown nowhere. */
static void notified(void *device, unsigned number)
{
    struct virtio_input *input = device;
    struct virtio_queue *queue = &input->virtio.queue[number];
    struct virtio_chain *chain;

    if (number == QUEUE_EVENTS) {
        send(input);
        return;
    }
    while ((chain = virtio_pop(queue)))
        virtio_push(chain, 0);
    virtio_interrupt(queue);
}

static void started(void *device)
{
    tell_used(device, true);
}

static void reset_by_driver(void *device)
{
    struct virtio_input *input = device;

    input->first = input->count = 0;
    input->buttons = 0;
    memset(input->virtio.config, 0, CONFIG_SIZE);
    tell_used(input, false);
}

static const struct virtio_class class = {
    .name = "virtio-input",
    .id = VIRTIO_ID_INPUT,
    .pci_class = 0x090000,
    .modern_only = true,
    .notified = notified,
    .reset = reset_by_driver,
    .started = started,
    .config_written = config_written,
};

/* --- state and construction */

static const struct field event_fields[] = {
    FIELD(struct event, type),
    FIELD(struct event, code),
    FIELD(struct event, value),
    FIELD_END,
};

static const struct field virtio_input_fields[] = {
    FIELD_STRUCT(struct virtio_input, virtio, virtio_fields),
    FIELD_STRUCTS(struct virtio_input, event, event_fields),
    FIELD(struct virtio_input, first),
    FIELD(struct virtio_input, count),
    FIELD(struct virtio_input, buttons),
    FIELD_END,
};

static void virtio_input_reset(void *device)
{
    virtio_reset(&((struct virtio_input *)device)->virtio);
}

static void virtio_input_loaded(void *device)
{
    struct virtio_input *input = device;

    input->first %= EVENTS;
    if (input->count > EVENTS)
        input->count = 0;
    virtio_loaded(&input->virtio);
    tell_used(input, virtio_input_used(input));
}

static void virtio_input_free(void *device)
{
    struct virtio_input *input = device;

    if (input)
        virtio_free(&input->virtio);
    free(input);
}

const struct device_class virtio_input_class = {
    .name = "virtio-input",
    .reset = virtio_input_reset,
    .loaded = virtio_input_loaded,
    .free = virtio_input_free,
    .state = virtio_input_fields,
};

struct virtio_input *virtio_input_new(const struct virtio_input_wires *wires)
{
    struct virtio_input *input = calloc(1, sizeof(*input));

    if (!input)
        return NULL;
    input->wires = *wires;
    virtio_init(&input->virtio, &class, input, 0, CONFIG_SIZE);
    virtio_add_queue(&input->virtio, QUEUE_SIZE);
    virtio_add_queue(&input->virtio, QUEUE_SIZE);
    input->virtio.writable[CONFIG_SELECT] = input->virtio.writable[CONFIG_SUBSELECT] = 0xFF;
    if (virtio_pci_plug(&input->virtio, &wires->bus))
        return input;
    virtio_input_free(input);
    return NULL;
}
