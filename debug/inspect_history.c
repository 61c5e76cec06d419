/*
 * inspect_history.c - the monitor's commands about what the processor went through last.
 */
#include <inttypes.h>
#include <string.h>

#include "debug/history.h"
#include "debug/monitor_internal.h"

#define SHOWN 32u

bool info_history(struct monitor_call *call)
{
    uint64_t count = SHOWN;

    if (call->argc > 1 && (!monitor_number(call->argv[1], &count) || !count))
        return monitor_fail(call, "\"%.40s\" is no number of transfers", call->argv[1]);
    if (!history_print(call->machine->cpu, call->monitor->symbols,
                       count < CPU_PAST_BRANCHES ? (unsigned)count : CPU_PAST_BRANCHES, call->out))
        fprintf(call->out, "nothing yet\n");
    if (!cpu_keeps_branches(call->machine->cpu))
        fprintf(call->out,
                "Near branches aren't kept; history on, or the option --history, has them kept.\n");
    return true;
}

bool monitor_history(struct monitor_call *call)
{
    uint64_t count = OPTIONS_HISTORY;
    bool kept;

    if (!strcmp(call->argv[1], "off"))
        count = 0;
    else if (strcmp(call->argv[1], "on"))
        return monitor_fail(call, "the history of branches is on or off, not \"%.40s\"", call->argv[1]);
    else if (call->argc > 2 && (!monitor_number(call->argv[2], &count) || !count))
        return monitor_fail(call, "\"%.40s\" is no number of branches", call->argv[2]);
    machine_look(call->machine);
    kept = cpu_keep_branches(call->machine->cpu,
                             count < CPU_PAST_BRANCHES ? (unsigned)count : CPU_PAST_BRANCHES);
    machine_look_away(call->machine, false);
    return kept || monitor_fail(call, "out of memory");
}
