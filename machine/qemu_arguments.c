/*
 * qemu_arguments.c - QEMU's command line as Oxbow's options; see qemu_arguments.h.
 *
 * Two passes: the first notes what others refer to by an id (-chardev, -drive, -netdev), the second reads
 * everything.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "accel/engine.h"
#include "machine/qemu_arguments.h"
#include "machine/qemu_reader.h"

#define DEFAULT_SIZE "128M" /* of memory, where nothing is said */

bool qemu_fail(struct qemu_reader *reader, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(reader->why, reader->why_size, format, arguments);
    va_end(arguments);
    return false;
}

void qemu_note(struct qemu_reader *reader, const char *format, ...)
{
    va_list arguments;

    if (reader->silent)
        return;
    va_start(arguments, format);
    fputs("oxbow qemu: ", reader->notes);
    vfprintf(reader->notes, format, arguments);
    fputc('\n', reader->notes);
    va_end(arguments);
}

bool qemu_set(struct qemu_reader *reader, const char *name, const char *value)
{
    return options_set(reader->options, name, value, reader->why, reader->why_size);
}

void qemu_note_unused(struct qemu_reader *reader, const struct qemu_argument *argument,
                      const struct qemu_list *list)
{
    const char *name = qemu_list_unused(list);

    if (name)
        qemu_note(reader, "-%s: \"%s\" makes no difference here", argument->name, name);
}

bool qemu_out_of_memory(struct qemu_reader *reader)
{
    return qemu_fail(reader, "out of memory, or too long a list");
}

/* The handlers of plain rows. */

static bool same(struct qemu_reader *reader, const struct qemu_argument *argument, const char *value)
{
    return qemu_set(reader, argument->what, value);
}

static bool on(struct qemu_reader *reader, const struct qemu_argument *argument, const char *value)
{
    (void)value;
    return qemu_set(reader, argument->what, "yes");
}

/* It makes no difference here, for the reason given, or for none worth a line. */
static bool ignore(struct qemu_reader *reader, const struct qemu_argument *argument, const char *value)
{
    if (argument->what)
        qemu_note(reader, "-%s%s%s: %s", argument->name, value ? " " : "", value ? value : "",
                  argument->what);
    return true;
}

static bool refuse(struct qemu_reader *reader, const struct qemu_argument *argument, const char *value)
{
    (void)value;
    return qemu_fail(reader, "-%s: %s", argument->name, argument->what);
}

/* Processor, memory, board. */

static bool take_memory(struct qemu_reader *reader, const struct qemu_argument *argument, const char *value)
{
    struct qemu_list list;
    bool good;

    if (!qemu_list_read(&list, value, "size"))
        return qemu_out_of_memory(reader);
    const char *size = qemu_list_get(&list, "size");
    reader->memory = true;
    good = size ? qemu_set(reader, "memory", size) : qemu_fail(reader, "-m: say how much, like -m 512M");
    qemu_note_unused(reader, argument, &list);
    qemu_list_free(&list);
    return good;
}

static bool take_cpus(struct qemu_reader *reader, const struct qemu_argument *argument, const char *value)
{
    struct qemu_list list;

    (void)argument;
    if (!qemu_list_read(&list, value, "cpus"))
        return qemu_out_of_memory(reader);
    const char *cpus = qemu_list_get(&list, "cpus");
    if (cpus && strcmp(cpus, "1"))
        qemu_note(reader, "-smp %s: this version runs one processor; the guest gets one", value);
    qemu_list_free(&list);
    return true;
}

/* Names of QEMU's models, and the nearest of ours. */
static const struct {
    const char *name, *model;
} models[] = {
    {"qemu64", "qemu64"},  {"qemu32", "qemu64"},     {"kvm64", "qemu64"},      {"kvm32", "qemu64"},
    {"base", "base"},      {"pentium", "base"},      {"486", "base"},          {"core2duo", "qemu64"},
    {"Conroe", "qemu64"},  {"Penryn", "qemu64"},     {"Nehalem", "v2"},        {"Westmere", "v2"},
    {"SandyBridge", "v2"}, {"IvyBridge", "v2"},      {"Opteron_G3", "v2"},     {"Haswell", "v3"},
    {"Broadwell", "v3"},   {"Skylake-Client", "v3"}, {"Skylake-Server", "v3"}, {"Icelake-Server", "v3"},
    {"EPYC", "v3"},        {"EPYC-Rome", "v3"},      {"EPYC-Milan", "v3"},     {"max", "max"},
    {"host", "host"},
};

/* MODEL[,+feature][,-feature][,feature=on]; what we don't have of it is left out. */
static bool take_cpu(struct qemu_reader *reader, const struct qemu_argument *argument, const char *value)
{
    char model[400] = "", *copy = strdup(value), *rest = NULL;

    if (!copy)
        return qemu_out_of_memory(reader);
    for (char *word = strtok_r(copy, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
        size_t used = strlen(model);
        char *equals = strchr(word, '=');
        if (!used) {
            for (size_t n = 0; n < sizeof(models) / sizeof(*models); n++)
                if (!strcmp(word, models[n].name))
                    snprintf(model, sizeof(model), "%s", models[n].model);
            if (!*model)
                snprintf(model, sizeof(model), "max");
            if (strcmp(model, word))
                qemu_note(reader, "-%s %s: the model %s stands in for it (oxbow --cpu help lists them)",
                          argument->name, word, model);
        } else if (*word == '+' || *word == '-') {
            snprintf(model + used, sizeof(model) - used, ",%s", word);
        } else if (equals && (!strcmp(equals, "=on") || !strcmp(equals, "=off"))) {
            snprintf(model + used, sizeof(model) - used, ",%c%.*s", equals[2] == 'n' ? '+' : '-',
                     (int)(equals - word), word);
        } else {
            qemu_note(reader, "-%s: \"%s\" makes no difference here", argument->name, word);
        }
    }
    free(copy);
    return qemu_set(reader, "cpu", model);
}

static bool use_engine(struct qemu_reader *reader, const char *name)
{
    char why[300];

    if (!strcmp(name, "tcg"))
        return qemu_set(reader, "accel", engine_pick("jit", why, sizeof(why)) ? "jit" : "interp");
    if (strcmp(name, "kvm") && strcmp(name, "hvf") && strcmp(name, "whpx"))
        return qemu_fail(reader, "-accel: there is no \"%s\"; choose from tcg and kvm, or leave it out",
                         name);
    /* Where hardware doesn't serve, what is next in speed does. */
    return qemu_set(reader, "accel", "auto");
}

/* kvm:tcg names several, of which the first counts. */
static bool use_engines(struct qemu_reader *reader, const char *names)
{
    char first[32];

    snprintf(first, sizeof(first), "%.*s", (int)strcspn(names, ":"), names);
    return use_engine(reader, first);
}

static bool take_accel(struct qemu_reader *reader, const struct qemu_argument *argument, const char *value)
{
    struct qemu_list list;
    bool good;

    if (!argument->value)
        return use_engine(reader, "kvm");
    if (!qemu_list_read(&list, value, "accel"))
        return qemu_out_of_memory(reader);
    const char *name = qemu_list_get(&list, "accel");
    good = name ? use_engines(reader, name)
                : qemu_fail(reader, "-accel: choose from tcg and kvm, or leave it out");
    qemu_list_free(&list);
    return good;
}

static bool take_machine(struct qemu_reader *reader, const struct qemu_argument *argument, const char *value)
{
    struct qemu_list list;
    bool good = true;

    if (!qemu_list_read(&list, value, "type"))
        return qemu_out_of_memory(reader);
    const char *type = qemu_list_get(&list, "type"), *accel = qemu_list_get(&list, "accel");
    if (type && !strncmp(type, "q35", 3))
        qemu_note(reader, "-%s %s: the board is a pc (i440FX); there is no q35 yet", argument->name, type);
    else if (type && strncmp(type, "pc", 2))
        good = qemu_fail(reader, "-%s: there is no board \"%s\"; choose pc or leave it out", argument->name,
                         type);
    if (good && accel)
        good = use_engines(reader, accel);
    if (good)
        qemu_note_unused(reader, argument, &list);
    qemu_list_free(&list);
    return good;
}

static bool take_snapshot(struct qemu_reader *reader, const struct qemu_argument *argument, const char *value)
{
    (void)argument;
    (void)value;
    reader->snapshot = true;
    return true;
}

static bool take_boot(struct qemu_reader *reader, const struct qemu_argument *argument, const char *value)
{
    struct qemu_list list;
    bool good = true;

    if (!qemu_list_read(&list, value, "order"))
        return qemu_out_of_memory(reader);
    const char *order = qemu_list_get(&list, "order"), *once = qemu_list_get(&list, "once");
    if (once) {
        qemu_note(reader, "-boot once=%s: it is so for later boots, too", once);
        order = once;
    }
    if (order)
        good = qemu_set(reader, "boot", order);
    if (good && qemu_list_is_on(&list, "menu", false))
        good = qemu_set(reader, "boot-menu", "yes");
    qemu_list_get(&list, "strict");
    qemu_note_unused(reader, argument, &list);
    qemu_list_free(&list);
    return good;
}

static bool take_initrd(struct qemu_reader *reader, const struct qemu_argument *argument, const char *value)
{
    if (strchr(value, ',') || strchr(value, ' '))
        qemu_note(reader, "-%s: one file is loaded, without arguments", argument->name);
    char *copy = strdup(value);
    if (!copy)
        return qemu_out_of_memory(reader);
    copy[strcspn(copy, ", ")] = 0;
    bool good = qemu_set(reader, "initrd", copy);
    free(copy);
    return good;
}

static bool take_nographic(struct qemu_reader *reader, const struct qemu_argument *argument,
                           const char *value)
{
    (void)argument;
    (void)value;
    reader->graphic_off = true;
    return true;
}

static bool take_curses(struct qemu_reader *reader, const struct qemu_argument *argument, const char *value)
{
    (void)argument;
    (void)value;
    return qemu_set(reader, "display", "text");
}

static bool take_display(struct qemu_reader *reader, const struct qemu_argument *argument, const char *value)
{
    size_t length = strcspn(value, ",");

    if (!strncmp(value, "none", length))
        return qemu_set(reader, "display", "none");
    if (!strncmp(value, "curses", length))
        return qemu_set(reader, "display", "text");
    if (strncmp(value, "sdl", length) && strncmp(value, "gtk", length) && strncmp(value, "cocoa", length))
        qemu_note(reader, "-%s %s: there is no such display here", argument->name, value);
    return true;
}

static bool take_vga(struct qemu_reader *reader, const struct qemu_argument *argument, const char *value)
{
    if (strcmp(value, "std") && strcmp(value, "none"))
        qemu_note(reader, "-%s %s: the adapter is a standard VGA", argument->name, value);
    return true;
}

/* -s, or -gdb tcp:HOST:PORT, tcp::PORT, unix:PATH. */
static bool take_gdb(struct qemu_reader *reader, const struct qemu_argument *argument, const char *value)
{
    char where[4200];

    if (!argument->value)
        value = "tcp::1234";
    if (strncmp(value, "tcp:", 4) && strncmp(value, "unix:", 5))
        return qemu_fail(reader, "-gdb: there is no \"%s\" here; use tcp::PORT or unix:PATH", value);
    if (*value == 't')
        value += value[4] == ':' ? 5 : 4;
    snprintf(where, sizeof(where), "%.*s", (int)strcspn(value, ","), value);
    return qemu_set(reader, "gdb", where);
}

static bool take_qmp(struct qemu_reader *reader, const struct qemu_argument *argument, const char *value)
{
    char where[4200];

    if (strncmp(value, "unix:", 5))
        return qemu_fail(reader, "-%s: there is no \"%s\" here; use unix:PATH", argument->name, value);
    snprintf(where, sizeof(where), "%.*s", (int)strcspn(value, ","), value);
    return qemu_set(reader, "control", where);
}

/* The monitor is behind Ctrl-A C where a serial port has the terminal. */
static bool take_monitor(struct qemu_reader *reader, const struct qemu_argument *argument, const char *value)
{
    if (!strncmp(value, "tcp:", 4) || !strncmp(value, "telnet:", 7)) {
        qemu_note(reader, "-%s %s: it can't be reached so; use stdio or unix:PATH", argument->name, value);
        return true;
    }
    return !strncmp(value, "vc", 2) || !strcmp(value, "none") || !strcmp(value, "null") ||
           qemu_take_stream(reader, &(struct qemu_argument){.name = "monitor", .what = "monitor"}, value);
}

static bool take_nodefaults(struct qemu_reader *reader, const struct qemu_argument *argument, const char *value)
{
    (void)argument;
    (void)value;
    reader->bare = true;
    return true;
}

#define NO_DIFFERENCE NULL

/* In the order of the manual's chapters. */
static const struct qemu_argument arguments[] = {
    {"machine", "TYPE", take_machine, NULL, false},
    {"M", "TYPE", take_machine, NULL, false},
    {"cpu", "MODEL", take_cpu, NULL, false},
    {"accel", "NAME", take_accel, NULL, false},
    {"enable-kvm", NULL, take_accel, NULL, false},
    {"smp", "N", take_cpus, NULL, false},
    {"m", "SIZE", take_memory, NULL, false},
    {"k", "LAYOUT", ignore, NO_DIFFERENCE, false},
    {"name", "NAME", ignore, NO_DIFFERENCE, false},
    {"uuid", "UUID", ignore, "the machine's own stays", false},
    {"device", "DRIVER", qemu_take_device, NULL, false},
    {"global", "WHAT", ignore, NO_DIFFERENCE, false},
    {"audiodev", "WHAT", ignore, "there is no sound here", false},
    {"audio", "WHAT", ignore, "there is no sound here", false},
    {"soundhw", "CARD", ignore, "there is no sound here", false},
    {"usb", NULL, ignore, "there is no USB here; keyboard and mouse are PS/2", false},
    {"usbdevice", "WHAT", ignore, "there is no USB here; keyboard and mouse are PS/2", false},
    {"fda", "FILE", qemu_take_disk, "floppy", true},
    {"fdb", "FILE", qemu_take_disk, "floppy", true},
    {"hda", "FILE", qemu_take_disk, "disk", true},
    {"hdb", "FILE", qemu_take_disk, "disk", true},
    {"hdc", "FILE", qemu_take_disk, "disk", true},
    {"hdd", "FILE", qemu_take_disk, "disk", true},
    {"cdrom", "FILE", qemu_take_disk, "cdrom", true},
    {"drive", "LIST", qemu_take_drive, NULL, true},
    {"snapshot", NULL, take_snapshot, NULL, true},
    {"nographic", NULL, take_nographic, NULL, false},
    {"display", "KIND", take_display, NULL, false},
    {"curses", NULL, take_curses, NULL, false},
    {"sdl", NULL, ignore, NO_DIFFERENCE, false},
    {"full-screen", NULL, ignore, "Ctrl-Alt-F in the window does that", false},
    {"vga", "KIND", take_vga, NULL, false},
    {"vnc", "WHERE", ignore, "there is no VNC here", false},
    {"no-hpet", NULL, ignore, "the machine has one nevertheless", false},
    {"no-acpi", NULL, ignore, "the machine has it nevertheless", false},
    {"nic", "LIST", qemu_take_nic, NULL, false},
    {"netdev", "LIST", qemu_take_netdev, NULL, true},
    {"net", "LIST", qemu_take_net, NULL, false},
    {"chardev", "LIST", qemu_take_chardev, NULL, true},
    {"bios", "FILE", same, "bios", false},
    {"kernel", "FILE", same, "kernel", false},
    {"append", "TEXT", same, "append", false},
    {"initrd", "FILES", take_initrd, NULL, false},
    {"boot", "ORDER", take_boot, NULL, false},
    {"serial", "WHERE", qemu_take_stream, "serial", false},
    {"parallel", "WHERE", qemu_take_stream, "parallel", false},
    {"debugcon", "WHERE", qemu_take_stream, "debugcon", false},
    {"monitor", "WHERE", take_monitor, NULL, false},
    {"qmp", "WHERE", take_qmp, NULL, false},
    {"gdb", "WHERE", take_gdb, NULL, false},
    {"s", NULL, take_gdb, NULL, false},
    {"S", NULL, on, "wait-gdb", false},
    {"no-reboot", NULL, on, "no-reboot", false},
    {"no-shutdown", NULL, ignore, "a machine that is switched off ends the run", false},
    {"action", "LIST", ignore, NO_DIFFERENCE, false},
    {"rtc", "LIST", ignore, NO_DIFFERENCE, false},
    {"d", "ITEMS", ignore, "there is no such log; see --log, and the monitor's trace", false},
    {"D", "FILE", ignore, NO_DIFFERENCE, false},
    {"nodefaults", NULL, take_nodefaults, NULL, false},
    {"no-user-config", NULL, ignore, NO_DIFFERENCE, false},
    {"nodefconfig", NULL, ignore, NO_DIFFERENCE, false},
    {"L", "FOLDER", ignore, NO_DIFFERENCE, false},
    {"msg", "LIST", ignore, NO_DIFFERENCE, false},
    {"overcommit", "LIST", ignore, NO_DIFFERENCE, false},
    {"object", "LIST", ignore, "there is no such object here", false},
    {"fw_cfg", "LIST", ignore, "files for fw_cfg can't be given yet", false},
    {"daemonize", NULL, refuse, "the machine stays in the foreground; let the shell put it behind with &",
     false},
    {"loadvm", "NAME", refuse, "there are no snapshots of machines yet", false},
    {"incoming", "WHERE", refuse, "there is no migration yet", false},
    {.name = NULL},
};

static const struct qemu_argument image_argument = {"hda", "FILE", qemu_take_disk, "disk", .early = true};

static const struct qemu_argument *find(const char *word)
{
    word += word[1] == '-' ? 2 : 1;
    for (const struct qemu_argument *argument = arguments; argument->name; argument++)
        if (!strcmp(word, argument->name))
            return argument;
    return NULL;
}

/* What was probably meant: the one that shares most of its beginning. */
static const char *nearest(const char *word)
{
    size_t best = 2;
    const char *name = NULL;

    word += word[1] == '-' ? 2 : 1;
    for (const struct qemu_argument *argument = arguments; argument->name; argument++) {
        size_t alike = 0;
        while (word[alike] && tolower((unsigned char)word[alike]) == argument->name[alike])
            alike++;
        if (alike > best) {
            best = alike;
            name = argument->name;
        }
    }
    return name;
}

/* Goes through the arguments; the first pass takes only what others refer to. */
static bool pass(struct qemu_reader *reader, int argc, char **argv, bool first)
{
    for (int n = 1; n < argc; n++) {
        const struct qemu_argument *argument =
            argv[n][0] == '-' && argv[n][1] ? find(argv[n]) : &image_argument;
        const char *value = argv[n];
        if (!argument) {
            const char *near = nearest(argv[n]);
            return qemu_fail(reader, "there is no %s here%s%s; oxbow qemu --help lists what is understood",
                             argv[n], near ? "; the nearest is -" : "", near ? near : "");
        }
        if (!argument->value)
            value = NULL;
        else if (argument != &image_argument && n + 1 == argc)
            return qemu_fail(reader, "-%s needs a value, %s", argument->name, argument->value);
        else if (argument != &image_argument)
            value = argv[++n];
        if (argument->early == first && !argument->take(reader, argument, value))
            return false;
    }
    return true;
}

/* What QEMU does when nothing is said. */
static bool add_defaults(struct qemu_reader *reader)
{
    if (!reader->memory && !qemu_set(reader, "memory", DEFAULT_SIZE))
        return false;
    if (reader->graphic_off && !qemu_set(reader, "display", "none"))
        return false;
    if (!reader->serials && !qemu_set(reader, "serial", reader->graphic_off ? "stdio" : "none"))
        return false;
    for (unsigned n = 0; n < reader->drives; n++)
        if (!qemu_plug(reader, &reader->drive[n]))
            return false;
    return qemu_finish_network(reader);
}

bool qemu_arguments_read(struct options *options, int argc, char **argv, FILE *notes, char *why,
                         size_t why_size)
{
    struct qemu_reader reader = {.options = options, .notes = notes, .why = why, .why_size = why_size};
    bool good = pass(&reader, argc, argv, true) && pass(&reader, argc, argv, false) && add_defaults(&reader);

    for (unsigned n = 0; n < reader.drives; n++)
        qemu_list_free(&reader.drive[n].list);
    for (unsigned n = 0; n < reader.netdevs; n++)
        qemu_list_free(&reader.netdev[n]);
    for (unsigned n = 0; n < reader.chardevs; n++)
        qemu_list_free(&reader.chardev[n]);
    return good;
}

void qemu_arguments_print_help(FILE *out)
{
    fputs("Usage: oxbow qemu [QEMU-OPTION]... [DISK]\n\n"
          "Runs a machine as QEMU's options describe it, for projects that have them in their Makefile:\n"
          "make QEMU=\"oxbow qemu\". What makes no difference here is left out with a note.\n\n"
          "These are understood:\n",
          out);
    for (const struct qemu_argument *argument = arguments; argument->name; argument++)
        if (argument->take != refuse)
            fprintf(out, "  -%s%s%s%s%s\n", argument->name, argument->value ? " " : "",
                    argument->value ? argument->value : "",
                    argument->take == ignore && argument->what ? ": " : "",
                    argument->take == ignore && argument->what ? argument->what : "");
}
