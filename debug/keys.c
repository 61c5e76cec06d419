/*
 * keys.c - see keys.h. The usages are those of USB's page 7 (HID Usage Tables, 10).
 */
#include "debug/keys.h"

#include <string.h>

#include "machine/machine.h"

#define NS_PER_MS 1000000u
#define BETWEEN   (5 * NS_PER_MS) /* two keys */

static const struct {
    const char *name;
    uint8_t usage;
} names[] = {
    {"a", 0x04},
    {"b", 0x05},
    {"c", 0x06},
    {"d", 0x07},
    {"e", 0x08},
    {"f", 0x09},
    {"g", 0x0a},
    {"h", 0x0b},
    {"i", 0x0c},
    {"j", 0x0d},
    {"k", 0x0e},
    {"l", 0x0f},
    {"m", 0x10},
    {"n", 0x11},
    {"o", 0x12},
    {"p", 0x13},
    {"q", 0x14},
    {"r", 0x15},
    {"s", 0x16},
    {"t", 0x17},
    {"u", 0x18},
    {"v", 0x19},
    {"w", 0x1a},
    {"x", 0x1b},
    {"y", 0x1c},
    {"z", 0x1d},
    {"1", 0x1e},
    {"2", 0x1f},
    {"3", 0x20},
    {"4", 0x21},
    {"5", 0x22},
    {"6", 0x23},
    {"7", 0x24},
    {"8", 0x25},
    {"9", 0x26},
    {"0", 0x27},
    {"ret", 0x28},
    {"esc", 0x29},
    {"backspace", 0x2a},
    {"tab", 0x2b},
    {"spc", 0x2c},
    {"minus", 0x2d},
    {"equal", 0x2e},
    {"bracket_left", 0x2f},
    {"bracket_right", 0x30},
    {"backslash", 0x31},
    {"semicolon", 0x33},
    {"apostrophe", 0x34},
    {"grave_accent", 0x35},
    {"comma", 0x36},
    {"dot", 0x37},
    {"slash", 0x38},
    {"caps_lock", 0x39},
    {"f1", 0x3a},
    {"f2", 0x3b},
    {"f3", 0x3c},
    {"f4", 0x3d},
    {"f5", 0x3e},
    {"f6", 0x3f},
    {"f7", 0x40},
    {"f8", 0x41},
    {"f9", 0x42},
    {"f10", 0x43},
    {"f11", 0x44},
    {"f12", 0x45},
    {"print", 0x46},
    {"sysrq", 0x46},
    {"scroll_lock", 0x47},
    {"pause", 0x48},
    {"insert", 0x49},
    {"home", 0x4a},
    {"pgup", 0x4b},
    {"delete", 0x4c},
    {"end", 0x4d},
    {"pgdn", 0x4e},
    {"right", 0x4f},
    {"left", 0x50},
    {"down", 0x51},
    {"up", 0x52},
    {"num_lock", 0x53},
    {"kp_divide", 0x54},
    {"kp_multiply", 0x55},
    {"asterisk", 0x55},
    {"kp_subtract", 0x56},
    {"kp_add", 0x57},
    {"kp_enter", 0x58},
    {"kp_1", 0x59},
    {"kp_2", 0x5a},
    {"kp_3", 0x5b},
    {"kp_4", 0x5c},
    {"kp_5", 0x5d},
    {"kp_6", 0x5e},
    {"kp_7", 0x5f},
    {"kp_8", 0x60},
    {"kp_9", 0x61},
    {"kp_0", 0x62},
    {"kp_decimal", 0x63},
    {"less", 0x64},
    {"menu", 0x65},
    {"compose", 0x65},
    {"kp_equals", 0x67},
    {"kp_comma", 0x85},
    {"ro", 0x87},
    {"katakanahiragana", 0x88},
    {"yen", 0x89},
    {"henkan", 0x8a},
    {"muhenkan", 0x8b},
    {"ctrl", 0xe0},
    {"shift", 0xe1},
    {"alt", 0xe2},
    {"meta_l", 0xe3},
    {"ctrl_r", 0xe4},
    {"shift_r", 0xe5},
    {"alt_r", 0xe6},
    {"meta_r", 0xe7},
};

#define NAMES (sizeof(names) / sizeof(*names))

unsigned key_usage(const char *name)
{
    for (unsigned n = 0; n < NAMES; n++)
        if (!strcmp(names[n].name, name))
            return names[n].usage;
    return 0;
}

const char *key_name(unsigned n)
{
    return n < NAMES ? names[n].name : NULL;
}

static void next_event(void *opaque)
{
    struct key_queue *queue = opaque;
    uint64_t now = clock_now(queue->machine->clock);

    while (queue->count && queue->event[queue->first].when <= now) {
        const struct key_event *event = &queue->event[queue->first];

        machine_key(queue->machine, event->usage, event->down);
        queue->first = (queue->first + 1) % KEY_EVENTS;
        queue->count--;
    }
    if (queue->count)
        timer_arm(&queue->timer, queue->event[queue->first].when);
}

void key_queue_init(struct key_queue *queue, struct machine *machine)
{
    *queue = (struct key_queue){.machine = machine};
    timer_init(&queue->timer, machine->clock, "keys", next_event, queue);
}

static void add(struct key_queue *queue, uint64_t when, uint8_t usage, bool down)
{
    queue->event[(queue->first + queue->count++) % KEY_EVENTS] = (struct key_event){when, usage, down};
}

bool key_queue_press(struct key_queue *queue, const uint8_t *usages, unsigned count, unsigned ms)
{
    uint64_t at = clock_now(queue->machine->clock);

    if (2 * count > KEY_EVENTS - queue->count)
        return false;
    if (queue->count)
        at = queue->event[(queue->first + queue->count - 1) % KEY_EVENTS].when + BETWEEN;
    for (unsigned n = 0; n < count; n++)
        add(queue, at + n * BETWEEN, usages[n], true);
    at += count * BETWEEN + (uint64_t)ms * NS_PER_MS;
    for (unsigned n = count; n--;)
        add(queue, at, usages[n], false);
    timer_arm(&queue->timer, queue->event[queue->first].when);
    return true;
}
