/*
 * qemu_list.h - "value,name=value,name,name=on": how QEMU's options say several things at once. A comma that
 * is part of a value is written twice.
 */
#ifndef MACHINE_QEMU_LIST_H
#define MACHINE_QEMU_LIST_H

#include <stdbool.h>
#include <stddef.h>

#define QEMU_LIST_MAX 32

struct qemu_list {
    char *text; /* what the names and values are parts of */
    struct {
        const char *name, *value;
        bool used; /* somebody asked for it */
    } item[QEMU_LIST_MAX];
    unsigned count;
};

/* `first` is the name of a first item without one, or NULL. False: out of memory, or too many items. */
bool qemu_list_read(struct qemu_list *list, const char *text, const char *first);
void qemu_list_free(struct qemu_list *list);

/* The value of the last item of that name, and marks all of them as used; NULL: there is none. */
const char *qemu_list_get(struct qemu_list *list, const char *name);
/* The same for a switch. */
bool qemu_list_is_on(struct qemu_list *list, const char *name, bool otherwise);
/* The name of an item that nobody asked for; NULL: there is none. */
const char *qemu_list_unused(const struct qemu_list *list);

#endif
