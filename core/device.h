/*
 * device.h - what the machine knows about any chip: a name, how to reset it, its state table.
 *
 * A device's file exports one `const struct device_class NAME_class` and a NAME_new() that takes its wires as
 * arguments and maps its registers. Explicit calls in machine/pc.c wire it; nothing registers itself.
 */
#ifndef CORE_DEVICE_H
#define CORE_DEVICE_H

#include "core/fields.h"

struct device_class {
    const char *name;
    void (*reset)(void *device);  /* as the RESET# pin would; machine lock held */
    void (*loaded)(void *device); /* after fields were loaded: re-arm timers, drive outputs; may be NULL */
    void (*free)(void *device);
    const struct field *state; /* what a guest could notice */
};

#endif
