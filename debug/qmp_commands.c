/*
 * qmp_commands.c - the commands of the control socket; see qmp.h.
 */
#include <stdlib.h>
#include <string.h>

#include "debug/control.h"
#include "debug/monitor.h"
#include "debug/qmp_internal.h"
#include "machine/machine.h"

/* --- Arguments and results ----------------------------------------------------------------------- */

static const char *text_of(struct qmp_call *call, const char *name, const char *otherwise)
{
    struct json_object *value;

    return json_object_object_get_ex(call->arguments, name, &value) ? json_object_get_string(value)
                                                                    : otherwise;
}

static uint64_t number_of(struct qmp_call *call, const char *name, uint64_t otherwise)
{
    struct json_object *value;

    if (!json_object_object_get_ex(call->arguments, name, &value))
        return otherwise;
    int64_t number = json_object_get_int64(value);
    return number < 0 ? (uint64_t)number : json_object_get_uint64(value);
}

static bool flag_of(struct qmp_call *call, const char *name)
{
    struct json_object *value;

    return json_object_object_get_ex(call->arguments, name, &value) && json_object_get_boolean(value);
}

static struct json_object *done(void)
{
    return json_object_new_object();
}

static void add_text(struct json_object *object, const char *name, const char *text)
{
    json_object_object_add(object, name, json_object_new_string(text));
}

static void add_flag(struct json_object *object, const char *name, bool value)
{
    json_object_object_add(object, name, json_object_new_boolean(value));
}

static void add_number(struct json_object *object, const char *name, uint64_t value)
{
    json_object_object_add(object, name, json_object_new_uint64(value));
}

/* --- The session --------------------------------------------------------------------------------- */

static struct json_object *qmp_capabilities(struct qmp_call *call)
{
    struct json_object *wanted;

    if (call->session->negotiated)
        return qmp_fail(call, "CommandNotFound", "the capabilities of this session are negotiated already");
    if (json_object_object_get_ex(call->arguments, "enable", &wanted) && json_object_array_length(wanted))
        return qmp_fail(call, "GenericError", "no capabilities were offered, so none can be enabled");
    call->session->negotiated = true;
    return done();
}

static struct json_object *query_version(struct qmp_call *call)
{
    (void)call;
    return qmp_version();
}

static struct json_object *query_commands(struct qmp_call *call)
{
    struct json_object *list = json_object_new_array();

    (void)call;
    for (const struct qmp_row *row = qmp_table; row->name; row++) {
        struct json_object *command = json_object_new_object();

        add_text(command, "name", row->name);
        json_object_array_add(list, command);
    }
    return list;
}

/* --- The machine --------------------------------------------------------------------------------- */

static struct json_object *query_status(struct qmp_call *call)
{
    struct json_object *status = json_object_new_object();

    bool stands = call->machine->paused || call->machine->stopped;

    add_text(status, "status", call->machine->paused ? "paused" : stands ? "debug" : "running");
    add_flag(status, "running", !stands);
    return status;
}

static struct json_object *query_name(struct qmp_call *call)
{
    (void)call;
    return done();
}

static struct json_object *query_target(struct qmp_call *call)
{
    struct json_object *target = json_object_new_object();

    (void)call;
    add_text(target, "arch", "x86_64");
    return target;
}

static struct json_object *query_kvm(struct qmp_call *call)
{
    struct json_object *kvm = json_object_new_object();
    char why[300];
    bool present = false;

    for (const struct engine *const *engine = engines; *engine; engine++)
        present |= !strcmp((*engine)->name, "kvm") && (*engine)->probe(why, sizeof(why));
    add_flag(kvm, "enabled", !strcmp(call->machine->vcpu.engine->name, "kvm"));
    add_flag(kvm, "present", present);
    return kvm;
}

static struct json_object *query_cpus_fast(struct qmp_call *call)
{
    struct json_object *list = json_object_new_array(), *cpu = json_object_new_object(),
                       *place = json_object_new_object();

    add_number(place, "socket-id", 0);
    add_number(place, "core-id", 0);
    add_number(place, "thread-id", 0);
    add_number(cpu, "cpu-index", 0);
    add_text(cpu, "qom-path", "/machine/cpu[0]");
    add_number(cpu, "thread-id", (uint64_t)call->machine->vcpu.host_id);
    json_object_object_add(cpu, "props", place);
    add_text(cpu, "target", "x86_64");
    json_object_array_add(list, cpu);
    return list;
}

static struct json_object *query_memory(struct qmp_call *call)
{
    struct json_object *memory = json_object_new_object();

    add_number(memory, "base-memory", call->machine->options->memory);
    add_number(memory, "plugged-memory", 0);
    return memory;
}

static struct json_object *stop(struct qmp_call *call)
{
    machine_pause(call->machine, true);
    return done();
}

static struct json_object *cont(struct qmp_call *call)
{
    machine_pause(call->machine, false);
    return done();
}

static struct json_object *system_reset(struct qmp_call *call)
{
    call->machine->reset_by_host = true;
    machine_reset(call->machine);
    return done();
}

static struct json_object *system_powerdown(struct qmp_call *call)
{
    machine_power_button(call->machine);
    control_power_button(call->machine->control);
    return done();
}

static struct json_object *quit(struct qmp_call *call)
{
    call->machine->ended_by = "host-qmp-quit";
    machine_end(call->machine, EXIT_POWEROFF);
    return done();
}

static struct json_object *inject_nmi(struct qmp_call *call)
{
    machine_nmi(call->machine);
    return done();
}

/* --- Screen and keyboard ------------------------------------------------------------------------- */

static struct json_object *screendump(struct qmp_call *call)
{
    const char *path = text_of(call, "filename", ""), *end = strrchr(path, '.');
    const char *format = text_of(call, "format", end && !strcmp(end, ".png") ? "png" : "ppm");
    char why[300];

    if (strcmp(format, "png") && strcmp(format, "ppm"))
        return qmp_fail(call, "GenericError", "the format is png or ppm, not \"%.40s\"", format);
    if (!screen_write(call->machine, path, !strcmp(format, "ppm"), why, sizeof(why)))
        return qmp_fail(call, "GenericError", "%.100s: %s", path, why);
    return done();
}

#define KEYS_AT_ONCE 16

static struct json_object *send_key(struct qmp_call *call)
{
    struct json_object *keys = json_object_object_get(call->arguments, "keys"), *type, *data;
    uint64_t ms = number_of(call, "hold-time", 100);
    const char *names[KEYS_AT_ONCE];
    size_t count = json_object_array_length(keys);

    if (count > KEYS_AT_ONCE || ms > 10000)
        return qmp_fail(call, "GenericError", "at most %d keys at once, for at most 10000 ms", KEYS_AT_ONCE);
    for (size_t n = 0; n < count; n++) {
        struct json_object *key = json_object_array_get_idx(keys, n);

        if (!json_object_is_type(key, json_type_object) || !json_object_object_get_ex(key, "type", &type) ||
            !json_object_object_get_ex(key, "data", &data) || strcmp(json_object_get_string(type), "qcode") ||
            !json_object_is_type(data, json_type_string))
            return qmp_fail(call, "GenericError", "a key is {\"type\": \"qcode\", \"data\": NAME}");
        names[n] = json_object_get_string(data);
    }
    if (!monitor_send_keys(call->machine->monitor, names, (unsigned)count, (unsigned)ms, call->why,
                           sizeof(call->why)))
        return NULL;
    return done();
}

/* --- Disks and streams --------------------------------------------------------------------------- */

static struct json_object *block_info(struct machine *m, const char *name, const struct block *medium,
                                      bool removable)
{
    struct block_slot *slot = removable ? drives_slot(m, name) : NULL;
    struct json_object *info = json_object_new_object();

    add_text(info, "device", name);
    add_text(info, "type", "unknown");
    add_flag(info, "removable", removable);
    add_flag(info, "locked", slot && slot->locked && slot->locked(slot->opaque));
    if (removable)
        add_flag(info, "tray_open", slot && slot->tray_open ? slot->tray_open(slot->opaque) : !medium);
    if (medium) {
        struct json_object *inserted = json_object_new_object(), *image = json_object_new_object();

        add_text(image, "filename", medium->name);
        add_text(image, "format", medium->format ? medium->format : "raw");
        add_number(image, "virtual-size", medium->size);
        add_text(inserted, "file", medium->name);
        add_text(inserted, "drv", medium->format ? medium->format : "raw");
        add_flag(inserted, "ro", medium->read_only);
        add_flag(inserted, "encrypted", false);
        json_object_object_add(inserted, "image", image);
        json_object_object_add(info, "inserted", inserted);
    }
    return info;
}

static struct json_object *query_block(struct qmp_call *call)
{
    static const char *const changing[] = {"ide1-cd0", "floppy0", "floppy1"};
    struct json_object *list = json_object_new_array();
    struct machine *m = call->machine;

    pthread_mutex_lock(&m->lock);
    for (unsigned n = 0; n < m->disks; n++) {
        char name[40];

        drives_name(m, n, name, sizeof(name));
        json_object_array_add(list, block_info(m, name, m->disk_media[n], false));
    }
    for (unsigned n = 0; n < sizeof(changing) / sizeof(*changing); n++) {
        struct block_slot *slot = drives_slot(m, changing[n]);

        if (slot)
            json_object_array_add(list, block_info(m, changing[n], slot->medium, true));
    }
    pthread_mutex_unlock(&m->lock);
    return list;
}

static void add_stream(struct json_object *list, const char *label, const char *where)
{
    struct json_object *stream = json_object_new_object();

    add_text(stream, "label", label);
    add_text(stream, "filename", where);
    add_flag(stream, "frontend-open", true);
    json_object_array_add(list, stream);
}

static struct json_object *query_chardev(struct qmp_call *call)
{
    const struct options *options = call->machine->options;
    struct json_object *list = json_object_new_array();
    char label[40];

    for (unsigned n = 0; n < options->serials; n++) {
        snprintf(label, sizeof(label), "serial%u", n);
        add_stream(list, label, options->serial[n]);
    }
    if (!options->serials)
        add_stream(list, "serial0", strcmp(machine_display(call->machine), "text") ? "stdio" : "none");
    add_stream(list, "debugcon", options->debugcon);
    if (options->parallel)
        add_stream(list, "parallel0", options->parallel);
    return list;
}

static struct json_object *change_medium(struct qmp_call *call, const char *path)
{
    const char *drive = text_of(call, "id", text_of(call, "device", NULL));
    const char *mode = text_of(call, "read-only-mode", "retain");

    if (!drive)
        return qmp_fail(call, "GenericError", "the argument \"id\" is missing");
    if (!drives_slot(call->machine, drive))
        return qmp_fail(call, "DeviceNotFound", "there is no drive \"%.60s\" whose medium can be changed",
                        drive);
    if (!monitor_change_medium(call->machine->monitor, drive, path, !strcmp(mode, "read-only"),
                               flag_of(call, "force"), call->why, sizeof(call->why)))
        return NULL;
    return done();
}

static struct json_object *blockdev_change_medium(struct qmp_call *call)
{
    return change_medium(call, text_of(call, "filename", ""));
}

static struct json_object *eject(struct qmp_call *call)
{
    return change_medium(call, NULL);
}

/* --- Memory -------------------------------------------------------------------------------------- */

static struct json_object *save(struct qmp_call *call, bool physical)
{
    if (!monitor_save_memory(call->machine->monitor, number_of(call, "val", 0), number_of(call, "size", 0),
                             physical, text_of(call, "filename", ""), call->why, sizeof(call->why)))
        return NULL;
    return done();
}

static struct json_object *memsave(struct qmp_call *call)
{
    return save(call, false);
}

static struct json_object *pmemsave(struct qmp_call *call)
{
    return save(call, true);
}

/* --- The monitor --------------------------------------------------------------------------------- */

/* Runs a line and keeps what it prints. */
static struct json_object *run_line(struct qmp_call *call, bool *succeeded)
{
    struct json_object *result;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return qmp_fail(call, "GenericError", "out of memory");
    *succeeded = monitor_command(call->machine->monitor, text_of(call, "command-line", ""), out);
    fclose(out);
    result = json_object_new_string_len(text, (int)size);
    free(text);
    return result;
}

static struct json_object *human_monitor_command(struct qmp_call *call)
{
    bool succeeded;

    return run_line(call, &succeeded);
}

static struct json_object *x_oxbow_monitor(struct qmp_call *call)
{
    bool succeeded = false;
    struct json_object *output = run_line(call, &succeeded), *result;

    if (!output)
        return NULL;
    result = json_object_new_object();
    json_object_object_add(result, "output", output);
    add_flag(result, "succeeded", succeeded);
    return result;
}

static void add_word(void *opaque, const char *word)
{
    json_object_array_add(opaque, json_object_new_string(word));
}

static struct json_object *x_oxbow_complete(struct qmp_call *call)
{
    struct json_object *list = json_object_new_array();

    monitor_complete(call->machine->monitor, text_of(call, "command-line", ""), add_word, list);
    return list;
}

/* --- Engines ------------------------------------------------------------------------------------- */

static struct json_object *x_oxbow_query_engines(struct qmp_call *call)
{
    struct json_object *list = json_object_new_array();

    for (const struct engine *const *engine = engines; *engine; engine++) {
        struct json_object *info = json_object_new_object();
        char why[300] = "";
        bool serves = (*engine)->probe(why, sizeof(why));

        add_text(info, "name", (*engine)->name);
        add_text(info, "about", (*engine)->about);
        add_flag(info, "running", *engine == call->machine->vcpu.engine);
        add_flag(info, "serves", serves);
        if (!serves)
            add_text(info, "why", why);
        json_object_array_add(list, info);
    }
    return list;
}

static struct json_object *x_oxbow_accel(struct qmp_call *call)
{
    if (!machine_switch_engine(call->machine, text_of(call, "name", ""), call->why, sizeof(call->why)))
        return NULL;
    return done();
}

const struct qmp_row qmp_table[] = {
    {"qmp_capabilities", "?enable:a", qmp_capabilities},
    {"query-version", "", query_version},
    {"query-commands", "", query_commands},
    {"query-status", "", query_status},
    {"query-name", "", query_name},
    {"query-target", "", query_target},
    {"query-kvm", "", query_kvm},
    {"query-cpus-fast", "", query_cpus_fast},
    {"query-memory-size-summary", "", query_memory},
    {"query-block", "", query_block},
    {"query-chardev", "", query_chardev},
    {"stop", "", stop},
    {"cont", "", cont},
    {"system_reset", "", system_reset},
    {"system_powerdown", "", system_powerdown},
    {"quit", "", quit},
    {"inject-nmi", "", inject_nmi},
    {"screendump", "filename:s ?device:s ?head:i ?format:s", screendump},
    {"balloon", "value:i", qmp_balloon},
    {"query-balloon", "", qmp_query_balloon},
    {"input-send-event", "events:a ?device:s ?head:i", qmp_input_send_event},
    {"send-key", "keys:a ?hold-time:i", send_key},
    {"blockdev-change-medium", "?device:s ?id:s filename:s ?format:s ?force:b ?read-only-mode:s",
     blockdev_change_medium},
    {"blockdev-add", "driver:s node-name:s ?filename:s ?file:o ?read-only:b", qmp_blockdev_add},
    {"blockdev-del", "node-name:s", qmp_blockdev_del},
    {"blockdev-open-tray", "?device:s ?id:s ?force:b", qmp_open_tray},
    {"blockdev-close-tray", "?device:s ?id:s", qmp_close_tray},
    {"blockdev-remove-medium", "id:s", qmp_remove_medium},
    {"blockdev-insert-medium", "id:s node-name:s", qmp_insert_medium},
    {"eject", "?device:s ?id:s ?force:b", eject},
    {"memsave", "val:i size:i filename:s ?cpu-index:i", memsave},
    {"pmemsave", "val:i size:i filename:s", pmemsave},
    {"human-monitor-command", "command-line:s ?cpu-index:i", human_monitor_command},
    {"x-oxbow-monitor", "command-line:s", x_oxbow_monitor},
    {"x-oxbow-complete", "command-line:s", x_oxbow_complete},
    {"x-oxbow-query-engines", "", x_oxbow_query_engines},
    {"x-oxbow-accel", "name:s", x_oxbow_accel},
    {.name = NULL},
};
