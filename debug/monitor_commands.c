/*
 * monitor_commands.c - the monitor's commands, a row each, and those of them that act on the machine.
 */
#include <stdlib.h>
#include <string.h>

#include "debug/control.h"
#include "debug/monitor_internal.h"

static void print_row(const struct monitor_row *row, const char *before, FILE *out)
{
    char usage[80];

    snprintf(usage, sizeof(usage), "%s%s%s%s", before, row->name, *row->arguments ? " " : "", row->arguments);
    fprintf(out, "%-32s %s\n", usage, row->help);
}

static bool help(struct monitor_call *call)
{
    const char *name = call->argc > 1 ? call->argv[1] : NULL, *topic = call->argc > 2 ? call->argv[2] : NULL;
    bool info = name && !strcmp(name, "info"), any = false;

    for (const struct monitor_row *row = info ? info_table : monitor_table; row->name; row++) {
        if (info ? topic && strcmp(row->name, topic) : name && strcmp(row->name, name))
            continue;
        print_row(row, info ? "info " : "", call->out);
        any = true;
    }
    return any || monitor_fail(call, "there is no \"%.40s\"; help lists the commands, help info its topics",
                               topic ? topic : name);
}

/* `info` itself is never run: its topics are. */
static bool info(struct monitor_call *call)
{
    return monitor_fail(call, "info about what?");
}

/* --- Running ------------------------------------------------------------------------------------- */

static bool stop(struct monitor_call *call)
{
    machine_pause(call->machine, true);
    return true;
}

static bool cont(struct monitor_call *call)
{
    machine_pause(call->machine, false);
    return true;
}

static bool quit(struct monitor_call *call)
{
    call->machine->ended_by = "host-qmp-quit";
    machine_end(call->machine, EXIT_POWEROFF);
    return true;
}

static bool system_reset(struct monitor_call *call)
{
    call->machine->reset_by_host = true;
    machine_reset(call->machine);
    return true;
}

static bool system_powerdown(struct monitor_call *call)
{
    bool heard = machine_power_button(call->machine);

    control_power_button(call->machine->control);
    return heard || monitor_fail(call, "the guest doesn't listen to its power button");
}

static bool nmi(struct monitor_call *call)
{
    machine_nmi(call->machine);
    return true;
}

static bool accel(struct monitor_call *call)
{
    char why[300];

    if (call->argc < 2) {
        fprintf(call->out, "%s\n", call->machine->vcpu.engine->name);
        return true;
    }
    return machine_switch_engine(call->machine, call->argv[1], why, sizeof(why)) ||
           monitor_fail(call, "%s", why);
}

/* --- Screen, keyboard, media --------------------------------------------------------------------- */

static bool screendump(struct monitor_call *call)
{
    const char *path = call->argv[1], *end = strrchr(path, '.');
    char why[300];

    return screen_write(call->machine, path, end && !strcmp(end, ".ppm"), why, sizeof(why)) ||
           monitor_fail(call, "%s: %s", path, why);
}

static bool sendkey(struct monitor_call *call)
{
    const char *names[16];
    unsigned count = 0;
    uint64_t ms = 100;
    char why[200];

    for (char *name = call->argv[1]; name && count < 16; count++) {
        names[count] = name;
        name = strchr(name, '-');
        if (name)
            *name++ = 0;
    }
    if (call->argc > 2 && (!monitor_number(call->argv[2], &ms) || ms > 10000))
        return monitor_fail(call, "\"%.40s\" is no time in ms up to 10000", call->argv[2]);
    return monitor_send_keys(call->monitor, names, count, (unsigned)ms, why, sizeof(why)) ||
           monitor_fail(call, "%s", why);
}

static bool type(struct monitor_call *call)
{
    char text[1024];
    size_t length = 0;

    for (const char *from = call->rest; *from && length < sizeof(text) - 1; from++) {
        bool newline = from[0] == '\\' && from[1] == 'n';

        text[length++] = newline ? '\n' : *from;
        from += newline;
    }
    text[length] = 0;
    pthread_mutex_lock(&call->machine->lock);
    bool done = machine_type(call->machine, text);
    pthread_mutex_unlock(&call->machine->lock);
    return done || monitor_fail(call, "out of memory");
}

static const char *drive_name(const char *name)
{
    return !strcmp(name, "cdrom") || !strcmp(name, "cd") ? "ide1-cd0"
           : !strcmp(name, "floppy")                     ? "floppy0"
                                                         : name;
}

static bool change(struct monitor_call *call)
{
    bool read_only = call->argc > 3 && !strcmp(call->argv[3], "read-only");
    char why[400];

    if (call->argc > 3 && !read_only)
        return monitor_fail(call, "what follows the file can only be read-only");
    return monitor_change_medium(call->monitor, drive_name(call->argv[1]), call->argv[2], read_only, false,
                                 why, sizeof(why)) ||
           monitor_fail(call, "%s", why);
}

static bool eject(struct monitor_call *call)
{
    bool force = call->argc > 2 && !strcmp(call->argv[1], "-f");
    char why[400];

    if (call->argc > 2 && !force)
        return monitor_fail(call, "eject takes one drive, with -f before it to take what the guest holds");
    return monitor_change_medium(call->monitor, drive_name(call->argv[force ? 2 : 1]), NULL, false, force,
                                 why, sizeof(why)) ||
           monitor_fail(call, "%s", why);
}

/* --- Memory and log ------------------------------------------------------------------------------ */

static bool save(struct monitor_call *call, bool physical)
{
    uint64_t address, size;
    char why[300];

    machine_look(call->machine);
    bool known = monitor_value(call, call->argv[1], &address) && monitor_value(call, call->argv[2], &size);
    machine_look_away(call->machine, false);
    if (!known)
        return false;
    return monitor_save_memory(call->monitor, address, size, physical, call->argv[3], why, sizeof(why)) ||
           monitor_fail(call, "%s", why);
}

static bool memsave(struct monitor_call *call)
{
    return save(call, false);
}

static bool pmemsave(struct monitor_call *call)
{
    return save(call, true);
}

static bool print(struct monitor_call *call)
{
    uint64_t value;

    if (!monitor_value(call, call->argv[1], &value))
        return false;
    fprintf(call->out, "0x%llx %lld", (unsigned long long)value, (long long)value);
    monitor_print_symbol(call, value);
    fprintf(call->out, "\n");
    return true;
}

static bool set_log(struct monitor_call *call)
{
    struct log *log = call->machine->log;
    unsigned levels = 1u << LOG_ERROR;

    if (call->argc > 1) {
        for (char *rest, *word = strtok_r(call->argv[1], ",", &rest); word;
             word = strtok_r(NULL, ",", &rest)) {
            int level = log_level_from_name(word);

            if (level < 0 && strcmp(word, "none"))
                return monitor_fail(
                    call, "there is no level \"%.40s\"; there are error, warn, info, guest, debug, none",
                    word);
            if (level >= 0)
                levels |= 1u << level;
        }
        log->enabled = levels;
    }
    for (int level = 0, any = 0; level < LOG_LEVELS; level++)
        if (log->enabled & 1u << level)
            fprintf(call->out, "%s%s", any++ ? "," : "", log_level_name(level));
    fprintf(call->out, "\n");
    return true;
}

const struct monitor_row monitor_table[] = {
    {"help", "[COMMAND [TOPIC]]", "this list, or one line of it", help, 0, 2, false},
    {"info", "TOPIC", "what help info lists", info, 0, MONITOR_WORDS, false},
    {"stop", "", "the machine stands still, its time included", stop, 0, 0, false},
    {"cont", "", "and goes on", cont, 0, 0, false},
    {"c", "", "the same", cont, 0, 0, false},
    {"step", "[COUNT]", "pauses the machine and runs so many instructions of it", monitor_step, 0, 1, false},
    {"s", "[COUNT]", "the same", monitor_step, 0, 1, false},
    {"break", "ADDRESS", "pauses it before the instruction there", monitor_break, 1, 1, false},
    {"watch", "ADDRESS [SIZE [HOW]]", "after a write to, read of, or any access to memory", monitor_watch, 1,
     3, false},
    {"catch", "WHAT [NUMBER [COUNT]]", "at exception, interrupt, port, msr, cr, mmio, far, syscall, mode, cr3, magic, nonsense", monitor_catch, 1,
     3, false},
    {"delete", "[NUMBER]", "one of these, or all", monitor_delete, 0, 1, false},
    {"trace", "[on|off [CATEGORY]]", "writes down what happens; info trace has the last of it", monitor_trace,
     0, 2, false},
    {"history", "on [COUNT] | off", "keeps so many branches, too, for info history", monitor_history, 1, 2, false},
    {"x", "[/FMT] [ADDRESS]", "memory; FMT is a count, a format of xduotcsia, a size of bhwg", monitor_x, 0,
     1, true},
    {"xp", "[/FMT] [ADDRESS]", "the same by physical address", monitor_xp, 0, 1, true},
    {"i", "[/b|h|w] PORT", "reads a port, as the processor would", monitor_in, 1, 1, true},
    {"o", "[/b|h|w] PORT VALUE", "writes one", monitor_out, 2, 2, true},
    {"disas", "[ADDRESS [COUNT]]", "instructions; where the processor is, if not said otherwise",
     monitor_disas, 0, 2, true},
    {"print", "VALUE", "a number, $register or symbol, with + and -", print, 1, 1, true},
    {"p", "VALUE", "the same", print, 1, 1, true},
    {"memsave", "ADDRESS SIZE FILE", "writes memory to a file", memsave, 3, 3, false},
    {"pmemsave", "ADDRESS SIZE FILE", "the same by physical address", pmemsave, 3, 3, false},
    {"accel", "[ENGINE]", "which engine pulls, or another that goes on", accel, 0, 1, false},
    {"sendkey", "KEYS [MS]", "presses keys, like ctrl-alt-f1", sendkey, 1, 2, false},
    {"type", "TEXT", "types it; \\n is Enter", type, 1, MONITOR_WORDS, false},
    {"screendump", "FILE", "the guest's screen as PNG, or as pixmap when FILE ends in .ppm", screendump, 1, 1,
     false},
    {"change", "DRIVE FILE [read-only]", "another disc or floppy disk; info block has the drives", change, 2,
     3, false},
    {"eject", "[-f] DRIVE", "takes it out; -f although the guest holds it", eject, 1, 2, false},
    {"balloon", "MIB", "the guest is to keep so much memory and give the rest back", monitor_balloon, 1, 1, false},
    {"nmi", "", "a non-maskable interrupt", nmi, 0, 0, false},
    {"log", "[LEVELS]", "which of error,warn,info,guest,debug are printed, or none", set_log, 0, 1, false},
    {"system_reset", "", "the reset button", system_reset, 0, 0, false},
    {"system_powerdown", "", "the power button", system_powerdown, 0, 0, false},
    {"quit", "", "ends the run", quit, 0, 0, false},
    {"q", "", "the same", quit, 0, 0, false},
    {.name = NULL},
};

const struct monitor_row info_table[] = {
    {"registers", "", "the processor's registers", info_registers, 0, 0, true},
    {"fpu", "", "x87 and vector registers", info_fpu, 0, 0, true},
    {"breakpoints", "", "what the machine is paused at", info_breakpoints, 0, 0, false},
    {"trace", "[COUNT]", "the last events of traces that are on", info_trace, 0, 1, false},
    {"history", "[COUNT]", "the last control transfers", info_history, 0, 1, true},
    {"msr", "[INDEX]", "model-specific registers", info_msr, 0, 1, true},
    {"cpus", "", "the processors, a line each", info_cpus, 0, 0, true},
    {"gdt", "", "the global descriptor table", info_gdt, 0, 0, true},
    {"idt", "", "the interrupt descriptor table", info_idt, 0, 0, true},
    {"tss", "", "the task-state segment", info_tss, 0, 0, true},
    {"paging", "ADDRESS", "each step of a translation, and who may do what", info_paging, 1, 1, true},
    {"mem", "", "linear memory that is mapped, by rights", info_mem, 0, 0, true},
    {"tlb", "", "the same page by page", info_tlb, 0, 0, true},
    {"mtree", "", "memory and ports: what answers where", info_mtree, 0, 0, true},
    {"symbol", "ADDRESS", "name, file and line of an address", info_symbol, 1, 1, true},
    {"irq", "", "interrupt lines, and where they lead", info_irq, 0, 0, true},
    {"pic", "", "the interrupt controllers of the PC/AT", info_pic, 0, 0, true},
    {"lapic", "", "the processor's local APIC", info_lapic, 0, 0, true},
    {"ioapic", "", "the I/O APIC", info_ioapic, 0, 0, true},
    {"pit", "", "the interval timer", info_chip, 0, 0, true},
    {"hpet", "", "the high precision event timer", info_chip, 0, 0, true},
    {"rtc", "", "the real-time clock with its CMOS memory", info_chip, 0, 0, true},
    {"chip", "NAME", "any chip's state, field by field", info_chip, 1, 1, true},
    {"chips", "", "their names", info_chips, 0, 0, true},
    {"pci", "", "PCI functions", info_pci, 0, 0, true},
    {"block", "", "drives and their media", info_block, 0, 0, true},
    {"balloon", "", "memory that the guest has, and what it says of it; in MiB", info_balloon, 0, 0, false},
    {"chardev", "", "where serial ports and the like lead", info_chardev, 0, 0, true},
    {"status", "", "running or paused", info_status, 0, 0, false},
    {"engine", "", "the engines, and what they did", info_engine, 0, 0, true},
    {"accel", "", "the same", info_engine, 0, 0, true},
    {"clock", "", "the guest's time", info_clock, 0, 0, true},
    {"version", "", "Oxbow's", info_version, 0, 0, false},
    {.name = NULL},
};
