/*
 * qmp_input.c - QMP's input-send-event: keys, buttons and motion, for the devices that the guest uses.
 *
 * An event is {"type": TYPE, "data": ...}; those of one command that move the pointer or press its buttons
 * are one report.
 */
#include <json-c/json.h>
#include <pthread.h>
#include <string.h>

#include "core/input.h"
#include "debug/keys.h"
#include "debug/qmp_internal.h"
#include "machine/machine.h"

#define ABSOLUTE_MAX 32767

/* What one command adds up to. */
struct report {
    struct machine_pointer pointer;
    int dx, dy, wheel;
    bool relative, absolute, buttons;
};

static const char *text(struct json_object *object, const char *name)
{
    struct json_object *value = json_object_object_get(object, name);

    return value && json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
}

static bool take_button(struct report *report, struct json_object *data)
{
    static const struct {
        const char *name;
        unsigned bit;
    } buttons[] = {{"left", BUTTON_LEFT},
                   {"middle", BUTTON_MIDDLE},
                   {"right", BUTTON_RIGHT},
                   {"side", BUTTON_SIDE},
                   {"extra", BUTTON_EXTRA}};
    const char *name = text(data, "button");
    bool down = json_object_get_boolean(json_object_object_get(data, "down"));

    report->buttons = true;
    if (!strcmp(name, "wheel-up") || !strcmp(name, "wheel-down")) {
        report->wheel += !down ? 0 : name[6] == 'u' ? 1 : -1;
        return true;
    }
    for (unsigned n = 0; n < sizeof(buttons) / sizeof(*buttons); n++)
        if (!strcmp(buttons[n].name, name)) {
            unsigned held = report->pointer.buttons & ~buttons[n].bit;
            report->pointer.buttons = held | (down ? buttons[n].bit : 0);
            return true;
        }
    return false;
}

static bool take_motion(struct report *report, struct json_object *data, bool absolute)
{
    const char *axis = text(data, "axis");
    int64_t value = json_object_get_int64(json_object_object_get(data, "value"));
    bool x = !strcmp(axis, "x");

    if ((!x && strcmp(axis, "y")) || value < (absolute ? 0 : -ABSOLUTE_MAX) || value > ABSOLUTE_MAX)
        return false;
    if (absolute) {
        *(x ? &report->pointer.x : &report->pointer.y) = (int)value;
        report->absolute = true;
    } else {
        *(x ? &report->dx : &report->dy) = (int)value;
        report->relative = true;
    }
    return true;
}

static bool take_key(struct machine *m, struct json_object *data)
{
    struct json_object *key = json_object_object_get(data, "key");
    unsigned usage = strcmp(text(key, "type"), "qcode") ? 0 : key_usage(text(key, "data"));

    if (usage)
        machine_key(m, usage, json_object_get_boolean(json_object_object_get(data, "down")));
    return usage;
}

static bool take_event(struct machine *m, struct report *report, struct json_object *event)
{
    struct json_object *data = json_object_object_get(event, "data");
    const char *type = text(event, "type");

    if (!data || !json_object_is_type(data, json_type_object))
        return false;
    if (!strcmp(type, "key"))
        return take_key(m, data);
    if (!strcmp(type, "btn"))
        return take_button(report, data);
    return (!strcmp(type, "abs") || !strcmp(type, "rel")) && take_motion(report, data, *type == 'a');
}

struct json_object *qmp_input_send_event(struct qmp_call *call)
{
    struct json_object *events = json_object_object_get(call->arguments, "events");
    struct machine *m = call->machine;
    struct report report = {0};
    bool good = true;

    pthread_mutex_lock(&m->lock);
    report.pointer = m->pointer;
    for (size_t n = 0; good && n < json_object_array_length(events); n++)
        good = take_event(m, &report, json_object_array_get_idx(events, n));
    m->pointer = report.pointer;
    if (report.relative || ((report.buttons || report.wheel) && !machine_has_tablet(m)))
        machine_pointer(m, report.dx, report.dy, report.wheel, report.pointer.buttons);
    if (report.absolute || ((report.buttons || report.wheel) && !report.relative && machine_has_tablet(m)))
        machine_pointer_at(m, report.pointer.x, report.pointer.y, report.wheel, report.pointer.buttons);
    pthread_mutex_unlock(&m->lock);
    if (!good)
        return qmp_fail(call, "GenericError",
                        "an event is a key, btn, rel or abs, with the data that QEMU's have");
    return json_object_new_object();
}
