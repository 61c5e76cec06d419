/*
 * root.h - the parts of --root: an initial RAM disk, and the kernel's modules for it.
 */
#ifndef MACHINE_ROOT_H
#define MACHINE_ROOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "host/file.h"

/*
 * A RAM disk in the making: an archive in cpio's "newc" format. `mode` is with the file's type; `device` of a
 * character device, MAJOR << 8 | MINOR. False when memory ran out.
 */
bool initrd_add(struct host_file *initrd, const char *name, uint32_t mode, uint32_t device, const void *data,
                size_t size);
bool initrd_end(struct host_file *initrd);

/*
 * A kernel's modules, from the folder that has modules.dep or modules.order. Adds modules, by the names that
 * modprobe takes, and what they need to a RAM disk as modules/..., and their order as modules/order. What is
 * built into the kernel isn't added.
 */
struct root_modules {
    int folder;               /* host/folder.h; -1: there are none */
    struct host_file dep;     /* modules.dep, or */
    struct host_file list;    /* modules.order */
    struct host_file builtin; /* modules.builtin */
    struct host_file order;   /* of what was added */
    struct host_file *initrd;
};

/* False with a line in `why`, which begins with the module's name. */
bool root_modules_open(struct root_modules *modules, int folder, struct host_file *initrd);
bool root_modules_add(struct root_modules *modules, const char *name, char *why, size_t why_size);
/* Whether there is such a module, or it is built in. */
bool root_modules_have(const struct root_modules *modules, const char *name);
bool root_modules_end(struct root_modules *modules);
void root_modules_close(struct root_modules *modules);

/* A packed module, as its name's suffix says, as it was; the suffix is cut off. False when it is damaged. */
bool root_unpack(struct host_file *file, char *name);

#endif
