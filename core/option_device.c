/*
 * option_device.c - reads the values of --device, NAME[,PART=VALUE]...; see option_values.h.
 */
#include <string.h>

#include "core/option_values.h"

/* What there is, and what it must be told. */
static const struct {
    const char *name;
    enum device_kind kind;
    bool has_to, has_name;
} devices[] = {
    {"virtio-rng", DEVICE_RNG, false, false},           {"virtio-balloon", DEVICE_BALLOON, false, false},
    {"virtio-console", DEVICE_CONSOLE, true, false},    {"virtio-port", DEVICE_PORT, true, true},
    {"virtio-keyboard", DEVICE_KEYBOARD, false, false}, {"virtio-mouse", DEVICE_MOUSE, false, false},
    {"virtio-tablet", DEVICE_TABLET, false, false},
};
enum { DEVICES = sizeof(devices) / sizeof(*devices) };

/* Those of which there may be several. */
static bool repeatable(enum device_kind kind)
{
    return kind == DEVICE_CONSOLE || kind == DEVICE_PORT;
}

static bool refuse_name(const struct option_row *row, const char *name, char *why, size_t why_size)
{
    size_t used =
        (size_t)snprintf(why, why_size, "--%s: there is no \"%.60s\"; choose from", row->name, name);

    for (unsigned n = 0; n < DEVICES && used < why_size; n++)
        used += (size_t)snprintf(why + used, why_size - used, "%s %s", n ? "," : "", devices[n].name);
    return false;
}

/* Takes PART=VALUE; what `to` names may have commas, unless another part follows. */
static bool take_part(char *text, struct device_option *device, char **next)
{
    char *end = strstr(text, strncmp(text, "to=", 3) ? "," : ",name=");

    *next = end ? end + 1 : NULL;
    if (end)
        *end = 0;
    if (!strncmp(text, "to=", 3) && text[3])
        device->to = text + 3;
    else if (!strncmp(text, "name=", 5) && text[5] && strlen(text + 5) < DEVICE_NAME_SIZE)
        device->name = text + 5;
    else
        return false;
    return true;
}

bool set_device(struct options *options, const struct option_row *row, const char *value, char *why,
                size_t why_size)
{
    struct device_option device = {0};
    char *text = options_keep(options, value, why, why_size), *part;
    unsigned n = 0;

    if (!text)
        return false;
    part = strchr(text, ',');
    if (part)
        *part++ = 0;
    while (n < DEVICES && strcmp(devices[n].name, text))
        n++;
    if (n == DEVICES)
        return refuse_name(row, text, why, why_size);
    device.kind = devices[n].kind;
    for (char *next; part; part = next)
        if (!take_part(part, &device, &next)) {
            snprintf(why, why_size, "--%s %s: \"%.60s\" is not known here", row->name, text, part);
            return false;
        }
    if (!device.to != !devices[n].has_to || !device.name != !devices[n].has_name) {
        snprintf(why, why_size, "--%s %s: give it as %s%s%s", row->name, text, text,
                 devices[n].has_name ? ",name=NAME" : "", devices[n].has_to ? ",to=WHERE" : "");
        return false;
    }
    for (unsigned k = 0; k < options->devices; k++)
        if (options->device[k].kind == device.kind && !repeatable(device.kind)) {
            snprintf(why, why_size, "--%s: there is one %s already; leave one out", row->name, text);
            return false;
        }
    if (options->devices == OPTIONS_DEVICES) {
        snprintf(why, why_size, "--%s: the machine has room for %d of them; leave out \"%.60s\"", row->name,
                 OPTIONS_DEVICES, value);
        return false;
    }
    options->device[options->devices++] = device;
    return true;
}
