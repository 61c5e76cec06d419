/*
 * qmp_media.c - QMP's commands that change a medium in steps: blockdev-add names an image, open-tray,
 * remove-medium, insert-medium, close-tray.
 *
 * A named image is no more than its path until it is inserted. Drives without a tray (floppies) are always
 * open.
 */
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "debug/control.h"
#include "debug/monitor_internal.h"
#include "debug/qmp_internal.h"

static const char *text_of(struct qmp_call *call, const char *name, const char *otherwise)
{
    struct json_object *value;

    return json_object_object_get_ex(call->arguments, name, &value) ? json_object_get_string(value)
                                                                    : otherwise;
}

static bool flag_of(struct qmp_call *call, const char *name)
{
    struct json_object *value;

    return json_object_object_get_ex(call->arguments, name, &value) && json_object_get_boolean(value);
}

static struct json_object *failed(struct qmp_call *call)
{
    call->class = "GenericError";
    return NULL;
}

/* The drive that is meant; NULL with an error. */
static const char *drive_of(struct qmp_call *call)
{
    const char *drive = text_of(call, "id", text_of(call, "device", NULL));

    if (!drive)
        qmp_fail(call, "GenericError", "the argument \"id\" is missing");
    else if (!drives_slot(call->machine, drive))
        qmp_fail(call, "DeviceNotFound", "there is no drive \"%.60s\" whose medium can be changed", drive);
    else
        return drive;
    return NULL;
}

/* --- Named images -------------------------------------------------------------------------------------- */

static struct block_node *find_node(struct qmp_call *call, const char *name)
{
    for (unsigned n = 0; n < MONITOR_NODES; n++) {
        struct block_node *node = &call->machine->monitor->node[n];

        if (name ? node->name && !strcmp(node->name, name) : !node->name)
            return node;
    }
    return NULL;
}

void block_node_free(struct block_node *node)
{
    free(node->name);
    free(node->path);
    *node = (struct block_node){0};
}

struct json_object *qmp_blockdev_add(struct qmp_call *call)
{
    const char *name = text_of(call, "node-name", ""), *driver = text_of(call, "driver", "");
    const char *path = text_of(call, "filename", NULL);
    struct json_object *file, *value;
    struct block_node *node = find_node(call, NULL);

    if (strcmp(driver, "file") && strcmp(driver, "raw"))
        return qmp_fail(call, "GenericError", "there is no driver \"%.40s\" for this; raw and file are there",
                        driver);
    if (!path && json_object_object_get_ex(call->arguments, "file", &file) &&
        json_object_object_get_ex(file, "filename", &value) && json_object_is_type(value, json_type_string))
        path = json_object_get_string(value);
    if (!path)
        return qmp_fail(call, "GenericError", "the image's filename is missing");
    if (!*name || find_node(call, name))
        return qmp_fail(call, "GenericError", "the node-name \"%.40s\" is %s", name,
                        *name ? "taken" : "no name");
    if (!node)
        return qmp_fail(call, "GenericError",
                        "there are %u named images already; blockdev-del takes one back", MONITOR_NODES);
    *node = (struct block_node){strdup(name), strdup(path), flag_of(call, "read-only")};
    if (node->name && node->path)
        return json_object_new_object();
    block_node_free(node);
    return qmp_fail(call, "GenericError", "out of memory");
}

struct json_object *qmp_blockdev_del(struct qmp_call *call)
{
    struct block_node *node = find_node(call, text_of(call, "node-name", ""));

    if (!node)
        return qmp_fail(call, "GenericError", "there is no image of that name; blockdev-add names one");
    block_node_free(node);
    return json_object_new_object();
}

/* --- The tray --------------------------------------------------------------------------------------------
 */

static struct json_object *move_tray(struct qmp_call *call, bool open)
{
    const char *drive = drive_of(call);
    bool moved;

    if (!drive)
        return NULL;
    if (!drives_move_tray(call->machine, drive, open, flag_of(call, "force"), &moved, call->why,
                          sizeof(call->why)))
        return failed(call);
    if (moved)
        control_tray_moved(call->machine->control, drive, open);
    return json_object_new_object();
}

struct json_object *qmp_open_tray(struct qmp_call *call)
{
    return move_tray(call, true);
}

struct json_object *qmp_close_tray(struct qmp_call *call)
{
    return move_tray(call, false);
}

struct json_object *qmp_remove_medium(struct qmp_call *call)
{
    const char *drive = drive_of(call);

    if (!drive)
        return NULL;
    return drives_put(call->machine, drive, NULL, call->why, sizeof(call->why)) ? json_object_new_object()
                                                                                : failed(call);
}

struct json_object *qmp_insert_medium(struct qmp_call *call)
{
    const char *drive = drive_of(call);
    struct block_node *node = find_node(call, text_of(call, "node-name", ""));
    struct drive_option medium = {0};

    if (!drive)
        return NULL;
    if (!node)
        return qmp_fail(call, "GenericError", "there is no image of that name; blockdev-add names one");
    medium.path = node->path;
    medium.read_only = node->read_only;
    return drives_put(call->machine, drive, &medium, call->why, sizeof(call->why)) ? json_object_new_object()
                                                                                   : failed(call);
}
