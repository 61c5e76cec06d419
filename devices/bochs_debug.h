/*
 * bochs_debug.h - ports 0x8A00 and 0x8A01, by which a guest talks to its debugger as under Bochs with
 * iodebug.
 */
#ifndef DEVICES_BOCHS_DEBUG_H
#define DEVICES_BOCHS_DEBUG_H

#include "core/bus.h"
#include "core/device.h"
#include "core/log.h"

#define BOCHS_DEBUG_PORT 0x8A00

struct bochs_debug;

/* What the guest asks for; called while it writes the port, on its processor's thread. Unused ones stay NULL.
 */
struct bochs_debug_wires {
    void (*stop)(void *opaque); /* for the debugger */
    void (*watch)(void *opaque, uint32_t start,
                  uint32_t end);  /* accesses to physical memory in [start, end) */
    void (*forget)(void *opaque); /* all that is watched */
    void *opaque;
};

extern const struct device_class bochs_debug_class;

/* Maps its ports. `log` may be NULL. NULL when memory ran out. */
struct bochs_debug *bochs_debug_new(struct bus *ports, const struct bochs_debug_wires *wires,
                                    struct log *log);

#endif
