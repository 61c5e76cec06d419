/*
 * monitor.c - a line into a command; see monitor.h. The commands are in monitor_commands.c and the inspect
 * files.
 */
#include "debug/monitor.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "debug/control.h"
#include "debug/monitor_internal.h"

#define LINE_MAX_SIZE 4096u

bool monitor_fail(struct monitor_call *call, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vfprintf(call->out, format, arguments);
    va_end(arguments);
    fprintf(call->out, "\n");
    return false;
}

/* --- Values -------------------------------------------------------------------------------------- */

bool monitor_number(const char *text, uint64_t *value)
{
    char *end;

    errno = 0;
    *value = strtoull(text, &end, 0);
    return *text >= '0' && *text <= '9' && !*end && !errno;
}

static uint64_t linear_of(const struct cpu_state *s, unsigned segment, uint64_t offset)
{
    return cpu_code_bits(s) == 64 ? offset : (uint32_t)(s->seg[segment].base + offset);
}

static bool special_register(const struct cpu_state *s, const char *name, uint64_t *value)
{
    const struct {
        const char *name;
        uint64_t value;
    } registers[] = {
        {"rip", s->rip},
        {"eip", (uint32_t)s->rip},
        {"pc", linear_of(s, CS, s->rip)},
        {"sp", linear_of(s, SS, s->gpr[RSP])},
        {"rflags", s->rflags},
        {"eflags", (uint32_t)s->rflags},
        {"cr0", s->cr0},
        {"cr2", s->cr2},
        {"cr3", s->cr3},
        {"cr4", s->cr4},
        {"efer", s->efer},
        {"gdtr", s->gdtr.base},
        {"idtr", s->idtr.base},
        {"ldtr", s->ldtr.base},
        {"tr", s->tr.base},
        {"kernel_gs_base", s->kernel_gs_base},
    };

    for (unsigned n = 0; n < sizeof(registers) / sizeof(*registers); n++) {
        if (strcmp(registers[n].name, name))
            continue;
        *value = registers[n].value;
        return true;
    }
    return false;
}

static bool register_value(const struct cpu_state *s, const char *name, uint64_t *value)
{
    static const char *const names[16] = {"ax", "cx", "dx",  "bx",  "sp",  "bp",  "si",  "di",
                                          "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"};
    static const char *const segments[SEG_COUNT] = {"es", "cs", "ss", "ds", "fs", "gs"};

    for (unsigned n = 0; n < 16; n++) {
        if (!strcmp(name, names[n])
                ? n >= 8
                : (*name == 'r' || *name == 'e') && !strcmp(name + 1, names[n]) && n < 8) {
            *value = *name == 'e' ? (uint32_t)s->gpr[n] : s->gpr[n];
            return true;
        }
    }
    for (unsigned n = 0; n < SEG_COUNT; n++) {
        if (!strncmp(name, segments[n], 2) && (!name[2] || !strcmp(name + 2, "_base"))) {
            *value = name[2] ? s->seg[n].base : s->seg[n].selector;
            return true;
        }
    }
    if (name[0] == 'd' && name[1] == 'r' && name[2] >= '0' && name[2] <= '7' && !name[3]) {
        *value = s->dr[name[2] - '0'];
        return true;
    }
    return special_register(s, name, value);
}

/* "F000:FFF0" as in real mode, all hexadecimal. */
static bool segmented(const char *text, uint64_t *value)
{
    unsigned segment, offset;
    int used = 0;

    if (sscanf(text, "%4x:%4x%n", &segment, &offset, &used) != 2 || text[used])
        return false;
    *value = ((uint64_t)segment << 4) + offset;
    return true;
}

static bool term_value(struct monitor_call *call, const char *text, uint64_t *value)
{
    if (*text == '$') {
        if (register_value(cpu_state(call->machine->cpu), text + 1, value))
            return true;
        return monitor_fail(call, "there is no register %.40s", text);
    }
    if (monitor_number(text, value) || segmented(text, value) ||
        symbols_find(call->monitor->symbols, text, value))
        return true;
    return monitor_fail(call, "\"%.60s\" is no number, $register or symbol", text);
}

bool monitor_value(struct monitor_call *call, const char *text, uint64_t *value)
{
    char term[256];
    bool minus = *text == '-';

    for (text += minus, *value = 0;; text++) {
        size_t length = strcspn(text, "+-");
        uint64_t part;

        if (length >= sizeof(term))
            return monitor_fail(call, "\"%.40s...\" is too long", text);
        memcpy(term, text, length);
        term[length] = 0;
        if (!term_value(call, term, &part))
            return false;
        *value += minus ? -part : part;
        text += length;
        if (!*text)
            return true;
        minus = *text == '-';
    }
}

void monitor_print_symbol(struct monitor_call *call, uint64_t address)
{
    char text[256];

    if (*symbols_format(call->monitor->symbols, address, text, sizeof(text)))
        fprintf(call->out, " <%s>", text);
}

/* --- Lines --------------------------------------------------------------------------------------- */

/* Cuts the line into words at spaces that aren't in double quotes. Returns how many, -1: too many, or a quote
 * is open. */
static int split(char *line, char **words)
{
    int count = 0;

    for (;;) {
        char *to;

        line += strspn(line, " \t\r\n");
        if (!*line)
            return count;
        if (count == MONITOR_WORDS)
            return -1;
        words[count++] = to = line;
        for (bool quoted = false;; line++) {
            if (*line == '"') {
                quoted = !quoted;
            } else if (!*line || (!quoted && strchr(" \t\r\n", *line))) {
                if (quoted)
                    return -1;
                break;
            } else {
                *to++ = *line;
            }
        }
        if (*line)
            line++;
        *to = 0;
    }
}

static const struct monitor_row *find_row(const struct monitor_row *table, const char *name)
{
    for (const struct monitor_row *row = table; row->name; row++)
        if (!strcmp(row->name, name))
            return row;
    return NULL;
}

static bool run_row(struct monitor_call *call)
{
    const struct monitor_row *row = call->row;
    bool done;

    if (call->argc - 1 < row->least || call->argc - 1 > row->most)
        return monitor_fail(call, "%s is used so: %s%s %s", row->name,
                            find_row(info_table, row->name) == row ? "info " : "", row->name, row->arguments);
    if (!row->looks)
        return row->run(call);
    machine_look(call->machine);
    done = row->run(call);
    machine_look_away(call->machine, false);
    return done;
}

static bool takes_format(const char *name)
{
    return !strcmp(name, "x") || !strcmp(name, "xp") || !strcmp(name, "i") || !strcmp(name, "o");
}

/* "x/10i" is x with the format 10i, and so is "x /10i". */
static void take_slash(struct monitor_call *call)
{
    char *slash = strchr(call->argv[0], '/');

    if (slash) {
        *slash = 0;
        call->format = slash + 1;
    } else if (call->argc > 1 && call->argv[1][0] == '/' && takes_format(call->argv[0])) {
        call->format = call->argv[1] + 1;
        call->argv[1] = call->argv[0];
        call->argv++;
        call->argc--;
    }
}

static bool run_words(struct monitor_call *call)
{
    take_slash(call);
    call->row = find_row(monitor_table, call->argv[0]);
    if (!call->row)
        return monitor_fail(call, "there is no command \"%.60s\"; help lists them", call->argv[0]);
    if (*call->format && !takes_format(call->argv[0]))
        return monitor_fail(call, "%s takes no format behind a slash", call->argv[0]);
    if (strcmp(call->argv[0], "info"))
        return run_row(call);
    if (call->argc < 2)
        return monitor_fail(call, "info about what? help info lists the topics");
    call->argv++;
    call->argc--;
    call->row = find_row(info_table, call->argv[0]);
    return call->row ? run_row(call)
                     : monitor_fail(call, "there is no topic \"%.60s\"; help info lists them", call->argv[0]);
}

/* Without --symbols the kernel's own names serve, if it has any; they are read when the first command comes. */
static void learn_names(struct monitor *monitor)
{
    char why[400];

    if (!monitor->learned && !monitor->symbols && monitor->machine->kernel_name)
        monitor->symbols = symbols_read(monitor->machine->kernel_name, why, sizeof(why));
    monitor->learned = true;
}

bool monitor_command(struct monitor *monitor, const char *line, FILE *out)
{
    struct monitor_call call = {.monitor = monitor, .machine = monitor->machine, .out = out, .format = ""};
    char copy[LINE_MAX_SIZE], *words[MONITOR_WORDS];

    if (strlen(line) >= sizeof(copy))
        return monitor_fail(&call, "the line is too long");
    learn_names(monitor);
    snprintf(copy, sizeof(copy), "%s", line);
    call.rest = line + strspn(line, " \t");
    call.rest += strcspn(call.rest, " \t");
    call.rest += strspn(call.rest, " \t");
    call.argv = words;
    call.argc = split(copy, words);
    if (call.argc < 0)
        return monitor_fail(&call, "too many words, or a quote without its end");
    return !call.argc || run_words(&call);
}

/* --- Completion ---------------------------------------------------------------------------------- */

struct completion {
    const char *start; /* of the word */
    void (*found)(void *opaque, const char *word);
    void *opaque;
};

static void offer(const struct completion *c, const char *word)
{
    if (!strncmp(word, c->start, strlen(c->start)))
        c->found(c->opaque, word);
}

static void offer_rows(const struct completion *c, const struct monitor_row *table)
{
    for (const struct monitor_row *row = table; row->name; row++)
        offer(c, row->name);
}

static void offer_engines(const struct completion *c)
{
    for (const struct engine *const *engine = engines; *engine; engine++)
        offer(c, (*engine)->name);
    offer(c, "auto");
}

static void offer_keys(const struct completion *c)
{
    const char *last = strrchr(c->start, '-'), *name;
    char word[128];

    last = last ? last + 1 : c->start;
    for (unsigned n = 0; (name = key_name(n)); n++) {
        if (strncmp(name, last, strlen(last)))
            continue;
        snprintf(word, sizeof(word), "%.*s%s", (int)(last - c->start > 80 ? 80 : last - c->start), c->start,
                 name);
        c->found(c->opaque, word);
    }
}

static void offer_drives(struct monitor *monitor, const struct completion *c)
{
    static const char *const names[] = {"ide1-cd0", "floppy0", "floppy1"};

    for (unsigned n = 0; n < sizeof(names) / sizeof(*names); n++)
        if (drives_slot(monitor->machine, names[n]))
            offer(c, names[n]);
}

void monitor_complete(struct monitor *monitor, const char *line,
                      void (*found)(void *opaque, const char *word), void *opaque)
{
    struct completion c = {.found = found, .opaque = opaque};
    char first[32];
    size_t length;

    learn_names(monitor);
    line += strspn(line, " \t");
    length = strcspn(line, " \t/");
    snprintf(first, sizeof(first), "%.*s", (int)(length > 31 ? 31 : length), line);
    c.start = strrchr(line, ' ');
    c.start = c.start ? c.start + 1 : line;
    if (c.start == line)
        offer_rows(&c, monitor_table);
    else if (!strcmp(first, "help"))
        offer_rows(&c, monitor_table);
    else if (!strcmp(first, "info") && line + length + strspn(line + length, " \t") == c.start)
        offer_rows(&c, info_table);
    else if (!strcmp(first, "accel"))
        offer_engines(&c);
    else if (!strcmp(first, "sendkey"))
        offer_keys(&c);
    else if (!strcmp(first, "change") || !strcmp(first, "eject"))
        offer_drives(monitor, &c);
    else if (strlen(c.start) > 1)
        symbols_complete(monitor->symbols, c.start, 100, found, opaque);
}

/* --- Actions that others share ------------------------------------------------------------------- */

bool monitor_send_keys(struct monitor *monitor, const char *const *names, unsigned count, unsigned ms,
                       char *why, size_t why_size)
{
    uint8_t usages[16];

    if (count > sizeof(usages)) {
        snprintf(why, why_size, "at most %zu keys at once", sizeof(usages));
        return false;
    }
    for (unsigned n = 0; n < count; n++) {
        usages[n] = (uint8_t)key_usage(names[n]);
        if (usages[n])
            continue;
        snprintf(why, why_size, "there is no key \"%.40s\"", names[n]);
        return false;
    }
    pthread_mutex_lock(&monitor->machine->lock);
    bool done = key_queue_press(&monitor->keys, usages, count, ms);
    pthread_mutex_unlock(&monitor->machine->lock);
    if (!done)
        snprintf(why, why_size, "too many keys wait to be pressed");
    return done;
}

bool monitor_change_medium(struct monitor *monitor, const char *drive, const char *path, bool read_only,
                           bool force, char *why, size_t why_size)
{
    struct machine *m = monitor->machine;
    struct drive_option medium = {.path = path, .read_only = read_only};

    if (!drives_change(m, drive, path ? &medium : NULL, force, why, why_size))
        return false;
    control_tray_moved(m->control, drive, true);
    if (path)
        control_tray_moved(m->control, drive, false);
    return true;
}

/* --- The monitor --------------------------------------------------------------------------------- */

struct monitor *monitor_new(struct machine *machine, char *why, size_t why_size)
{
    struct monitor *monitor = calloc(1, sizeof(*monitor));
    char reason[400] = "";

    snprintf(why, why_size, "out of memory");
    if (!monitor)
        return NULL;
    monitor->machine = machine;
    key_queue_init(&monitor->keys, machine);
    if (machine->options->symbols) {
        monitor->symbols = symbols_read(machine->options->symbols, reason, sizeof(reason));
        if (!monitor->symbols) {
            snprintf(why, why_size, "--symbols %s", reason);
            monitor_free(monitor);
            return NULL;
        }
    }
    breaks_init(monitor);
    trace_init(monitor);
    monitor->console = console_open(monitor, reason, sizeof(reason));
    if (!monitor->console) {
        snprintf(why, why_size, "--monitor %s", reason);
        monitor_free(monitor);
        return NULL;
    }
    return monitor;
}

void monitor_free(struct monitor *monitor)
{
    if (!monitor)
        return;
    console_close(monitor->console);
    breaks_end(monitor);
    trace_end(monitor);
    pthread_mutex_lock(&monitor->machine->lock);
    timer_disarm(&monitor->keys.timer);
    pthread_mutex_unlock(&monitor->machine->lock);
    for (unsigned n = 0; n < MONITOR_NODES; n++)
        block_node_free(&monitor->node[n]);
    symbols_free(monitor->symbols);
    free(monitor);
}

void monitor_poll(struct monitor *monitor)
{
    console_poll(monitor->console);
}
