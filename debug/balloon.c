/*
 * balloon.c - memory that the guest gives back: the monitor's commands and QMP's.
 */
#include <inttypes.h>
#include <json-c/json.h>
#include <pthread.h>

#include "debug/monitor_internal.h"
#include "debug/qmp_internal.h"

#define MIB 20 /* bits */

static const char no_balloon[] = "there is no balloon; start the machine with --device virtio-balloon";

/* False: there is no balloon. */
static bool set(struct machine *m, uint64_t memory)
{
    pthread_mutex_lock(&m->lock);
    bool done = machine_balloon_set(m, memory);
    pthread_mutex_unlock(&m->lock);
    return done;
}

static bool get(struct machine *m, struct machine_memory *memory)
{
    pthread_mutex_lock(&m->lock);
    bool done = machine_balloon(m, memory);
    pthread_mutex_unlock(&m->lock);
    return done;
}

bool monitor_balloon(struct monitor_call *call)
{
    uint64_t memory;

    if (!monitor_number(call->argv[1], &memory) || !memory || memory > UINT64_MAX >> MIB)
        return monitor_fail(call, "\"%.40s\" is no amount of memory, in MiB", call->argv[1]);
    return set(call->machine, memory << MIB) || monitor_fail(call, "%s", no_balloon);
}

static void print_stat(struct monitor_call *call, const char *name, uint64_t value)
{
    if (value != UINT64_MAX)
        fprintf(call->out, " %s=%" PRIu64, name, value >> MIB);
}

bool info_balloon(struct monitor_call *call)
{
    struct machine_memory memory;

    if (!get(call->machine, &memory)) {
        fprintf(call->out, "%s\n", no_balloon);
        return true;
    }
    fprintf(call->out, "balloon: actual=%" PRIu64, memory.actual >> MIB);
    print_stat(call, "total_mem", memory.total);
    print_stat(call, "free_mem", memory.free);
    print_stat(call, "available_mem", memory.available);
    fputc('\n', call->out);
    return true;
}

struct json_object *qmp_balloon(struct qmp_call *call)
{
    int64_t memory = json_object_get_int64(json_object_object_get(call->arguments, "value"));

    if (memory <= 0)
        return qmp_fail(call, "GenericError", "value is the guest's memory in bytes, above 0");
    if (!set(call->machine, (uint64_t)memory))
        return qmp_fail(call, "DeviceNotActive", "%s", no_balloon);
    return json_object_new_object();
}

struct json_object *qmp_query_balloon(struct qmp_call *call)
{
    struct json_object *info;
    struct machine_memory memory;

    if (!get(call->machine, &memory))
        return qmp_fail(call, "DeviceNotActive", "%s", no_balloon);
    info = json_object_new_object();
    json_object_object_add(info, "actual", json_object_new_int64((int64_t)memory.actual));
    return info;
}
