/*
 * options.c - the option table and what reads it; see options.h. The texts for help are here, their layout is
 * in options_print.c.
 */
#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/log.h"
#include "core/options.h"

#define MEMORY_MIN (1ull << 20)
#define MEMORY_MAX (512ull << 30)
#define PAGE       4096u
#define CACHE_MIN  (1ull << 20)
#define CACHE_MAX  (1ull << 30) /* jumps reach 2 GiB */

struct option_text {
    struct option_text *next;
    char text[];
};

typedef bool option_setter(struct options *, const struct option_row *, const char *, char *, size_t);
static option_setter set_flag, set_headless, set_text, set_image, set_order, set_disk, set_cdrom, set_floppy,
    set_serial, set_memory, set_cpus, set_choice, set_seconds, set_log, set_port, set_check, set_cache, set_dump,
    set_perf, set_action;

#define AT(member) .offset = offsetof(struct options, member)

#define BOOT  "What to boot"
#define PC    "The machine"
#define WIRES "What it is connected to"
#define RUN   "The run"
#define ABOUT "About Oxbow"

const struct option_row option_table[] = {
    {"image", 0, "IMAGE", NULL, BOOT,
     "What to boot, recognised by its content: a Linux kernel (bzImage), an ELF file with a PVH note or a "
     "Multiboot header, a raw disk or floppy disk (as with --disk, --floppy) or an ISO (as with --cdrom). "
     "With "
     "nothing to boot, a small demo guest runs that is built in.",
     set_image, AT(image), .positional = true},
    {"kernel", 0, "FILE", NULL, BOOT, "The same as IMAGE, by name.", set_text, AT(kernel)},
    {"initrd", 0, "FILE", NULL, BOOT, "Initial RAM disk, or the first Multiboot module.", set_text,
     AT(initrd)},
    {"append", 0, "TEXT", NULL, BOOT, "The kernel's command line.", set_text, AT(append)},

    {"disk", 0, "FILE", NULL, BOOT,
     "A raw disk image or block device; up to four. With \",readonly\" behind it the guest can't write, with "
     "\",snapshot\" what it writes is gone at the end.",
     set_disk, AT(disk)},
    {"cdrom", 0, "FILE", NULL, BOOT,
     "A disc's image (ISO). The first of up to eight lies in the drive; the window's Ctrl-Alt-D puts the "
     "next one in.",
     set_cdrom, AT(cdrom)},
    {"floppy", 0, "FILE", NULL, BOOT,
     "A raw floppy disk image; up to two. Takes the same additions as --disk.", set_floppy, AT(floppy)},
    {"bios", 0, "FILE", NULL, BOOT,
     "The ROM that starts the machine when no kernel is given, 64 KiB to 16 MiB; SeaBIOS by default.",
     set_text, AT(bios)},
    {"boot", 0, "ORDER", NULL, BOOT,
     "What the BIOS tries, best first: c for disks, d for CD-ROM, a for floppy, n for the network; like dc.",
     set_order, AT(boot)},
    {"boot-menu", 0, NULL, NULL, BOOT, "The BIOS lets the user choose what to boot.", set_flag,
     AT(boot_menu)},

    {"memory", 'm', "SIZE", "512M", PC, "Guest memory, with K, M, G or T behind the number; MiB without.",
     set_memory, AT(memory)},
    {"cpus", 'c', "N", "1", PC, "Number of processors. This version has one.", set_cpus, AT(cpus)},
    {"accel", 0, "ENGINE", "auto", PC,
     "What executes the guest: interp, jit, kvm, or auto for the fastest that serves. \"help\" lists them.",
     set_choice, AT(accel), .choices = "interp|jit|kvm|auto|help"},
    {"jit-cache", 0, "SIZE", "128M", PC,
     "Host memory for translated code, 1M to 1G. When it is full, translation begins anew.", set_cache,
     AT(jit_cache)},
    {"cpu", 0, "MODEL", NULL, PC,
     "Processor model, with features to add or remove (MODEL,+x,-y). \"help\" lists them.", set_text,
     AT(cpu)},
    {"exit-device", 0, "[=PORT]", NULL, PC,
     "Adds a port (0xF4) through which the guest ends the run: writing V gives exit status (V << 1) | 1.",
     set_port, AT(exit_port)},
    {"test-device", 0, NULL, NULL, PC,
     "Adds a chip for tests of processors and kernels: a port (0xE0) and a memory (0xFF000000) that keep "
     "what "
     "is written, and interrupt lines that the guest pulls (ports 0x2000 to 0x2017).",
     set_flag, AT(test_device)},

    {"serial", 0, "WHERE", NULL, WIRES,
     "Where COM1 leads: stdio, file:PATH, pty, unix:PATH (listens there) or none. Ctrl-A then X quits on "
     "stdio. It is stdio unless --display text has the terminal. Given again, it says the same of COM2, COM3 "
     "and COM4.",
     set_serial, AT(serial)},
    {"debugcon", 0, "WHERE", "none", WIRES, "The same for what the guest writes to ports 0xE9 and 0x402.",
     set_text, AT(debugcon)},
    {"parallel", 0, "WHERE", NULL, WIRES,
     "Adds a parallel port and says, like --serial, where what is printed goes.", set_text, AT(parallel)},
    {"display", 0, "KIND", "auto", WIRES,
     "Where the guest's screen is shown: sdl, a window of the desktop; text, its text modes in this "
     "terminal, with the "
     "keyboard; or none. auto is the window where there is a desktop and the machine starts by its BIOS.",
     set_choice, AT(display), .choices = "auto|sdl|text|none"},
    {"screenshot", 0, "FILE", NULL, WIRES,
     "Writes the guest's screen to a PNG file when the run ends, and whenever Oxbow gets the signal USR1.",
     set_text, AT(screenshot)},
    {"headless", 0, NULL, NULL, WIRES, "The same as --display none --serial stdio.", set_headless,
     AT(display)},

    {"timeout", 0, "SECONDS", NULL, RUN, "Ends the run after so much time, with exit status 4.", set_seconds,
     AT(timeout)},
    {"no-reboot", 0, NULL, NULL, RUN, "A guest that resets itself ends the run, with exit status 6.",
     set_flag, AT(no_reboot)},
    {"check", 0, "[=N]", NULL, RUN,
     "Compares translated code with the interpreter, block by block; a difference is printed and ends the run with exit "
     "status 7. With N, a block is compared the first N times it runs, and then every Nth time.",
     set_check, AT(check)},
    {"jit-dump", 0, "WHAT", NULL, RUN,
     "Prints blocks as they are translated, their guest code and host code: those with code at a linear ADDRESS, or all. "
     "\",FILE\" behind it says where to, instead of standard error.",
     set_dump, AT(jit_dump)},
    {"perf-map", 0, "[=SYMBOLS]", NULL, RUN,
     "Writes /tmp/perf-PID.map, by which Linux's perf names translated code. SYMBOLS is a file of the guest's symbols as "
     "nm or System.map has them.",
     set_perf, AT(perf_map)},
    {"stats", 0, NULL, NULL, RUN, "At the end, says how many instructions ran and how fast.", set_flag,
     AT(stats)},
    {"log", 0, "LEVELS", "error,warn,info", RUN,
     "Log levels to print as well: guest (what real hardware would ignore or fault), debug; or \"none\" for "
     "errors only.",
     set_log, AT(log)},
    {"machine", 0, "FILE", NULL, RUN,
     "Reads options from an INI file first: their long names without dashes, \"name = value\".", set_text,
     AT(machine), .command_only = true},

    {"help", 'h', NULL, NULL, ABOUT, "Prints this.", set_action, .choices = "help", .command_only = true},
    {"version", 0, NULL, NULL, ABOUT, "Prints the version and what was built in.", set_action,
     .choices = "version", .command_only = true},
    {"help-man", 0, NULL, NULL, NULL, NULL, set_action, .choices = "man", .command_only = true},
    {.name = NULL},
};

const struct exit_row exit_table[] = {
    {"0", "The guest powered off, or the user quit with Ctrl-A X."},
    {"2", "Usage or bad input: an option, a file or a machine file that can't be used."},
    {"3", "The guest crashed: a triple fault; or Oxbow did, in translated code. A report is on standard error."},
    {"4", "The time given by --timeout was over."},
    {"5", "The host or an engine failed."},
    {"6", "The guest asked for a reset, under --no-reboot."},
    {"7", "With --check: translated code did something else than the interpreter."},
    {"128+N", "Ended by signal N: 130 for SIGINT, 143 for SIGTERM."},
    {"odd", "With --exit-device: (V << 1) | 1 for the value V that the guest wrote."},
    {NULL, NULL},
};

static const struct option_row *find_row(const char *name)
{
    for (const struct option_row *row = option_table; row->name; row++)
        if (!strcmp(row->name, name))
            return row;
    return NULL;
}

/* Where a row's member is. */
static void *member(struct options *options, const struct option_row *row)
{
    return (char *)options + row->offset;
}

/* How a user refers to the option. */
static const char *dashes(const struct option_row *row)
{
    return row->positional ? "" : "--";
}

static bool is_one_of(const char *word, const char *choices)
{
    size_t length = strlen(word);

    for (const char *at = choices; at; at = strchr(at, '|')) {
        at += *at == '|';
        if (!strncmp(at, word, length) && (at[length] == '|' || !at[length]))
            return length > 0;
    }
    return false;
}

static const char *keep(struct options *options, const char *text, char *why, size_t why_size)
{
    struct option_text *kept = malloc(sizeof(*kept) + strlen(text) + 1);

    if (!kept) {
        snprintf(why, why_size, "out of memory");
        return NULL;
    }
    strcpy(kept->text, text);
    kept->next = options->texts;
    options->texts = kept;
    return kept->text;
}

static bool set_flag(struct options *options, const struct option_row *row, const char *value, char *why,
                     size_t why_size)
{
    bool on = !value || is_one_of(value, "yes|on|true|1");

    if (!on && !is_one_of(value, "no|off|false|0")) {
        snprintf(why, why_size, "--%s is yes or no, not \"%s\"", row->name, value);
        return false;
    }
    *(bool *)member(options, row) = on;
    return true;
}

static bool set_text(struct options *options, const struct option_row *row, const char *value, char *why,
                     size_t why_size)
{
    const char *text;

    /* An empty command line is one; an empty file name is a mistake. */
    if (!*value && strcmp(row->name, "append")) {
        snprintf(why, why_size, "%s%s is empty; give it a value or leave it out", dashes(row), row->name);
        return false;
    }
    text = keep(options, value, why, why_size);
    if (text)
        *(const char **)member(options, row) = text;
    return text;
}

/* Letters for drives, each at most once. */
static bool set_order(struct options *options, const struct option_row *row, const char *value, char *why,
                      size_t why_size)
{
    for (const char *at = value; *at; at++) {
        if (!strchr("acdn", *at)) {
            snprintf(why, why_size,
                     "--%s: there is no drive \"%c\"; use c (disk), d (CD-ROM), a (floppy), n (network)",
                     row->name, *at);
            return false;
        }
        if (strchr(at + 1, *at)) {
            snprintf(why, why_size, "--%s: \"%c\" is there twice; name each kind of drive once", row->name,
                     *at);
            return false;
        }
    }
    return set_text(options, row, value, why, why_size);
}

/* Whether `text` ends in `end`; if so, it is cut off. */
static bool cut(char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);

    if (length <= tail || strcmp(text + length - tail, end))
        return false;
    text[length - tail] = 0;
    return true;
}

/* FILE[,readonly][,snapshot]; false when memory ran out. */
static bool parse_drive(struct options *options, const char *text, struct drive_option *drive)
{
    char *copy = strdup(text);
    bool more;

    *drive = (struct drive_option){0};
    if (!copy)
        return false;
    do {
        more = false;
        if (cut(copy, ",readonly"))
            more = drive->read_only = true;
        if (cut(copy, ",snapshot"))
            more = drive->snapshot = true;
    } while (more);
    drive->path = keep(options, copy, NULL, 0);
    free(copy);
    return drive->path;
}

static bool set_drive(struct options *options, const struct option_row *row, struct drive_option *drive,
                      const char *value, char *why, size_t why_size)
{
    if (!*value) {
        snprintf(why, why_size, "--%s is empty; give it a file or leave it out", row->name);
        return false;
    }
    snprintf(why, why_size, "out of memory");
    return parse_drive(options, value, drive);
}

static bool set_image(struct options *options, const struct option_row *row, const char *value, char *why,
                      size_t why_size)
{
    return set_text(options, row, value, why, why_size) &&
           set_drive(options, row, &options->image_drive, value, why, why_size);
}

/* One more of up to `most` drives. */
static bool add_drive(struct options *options, const struct option_row *row, struct drive_option *drives,
                      unsigned *count, unsigned most, const char *value, char *why, size_t why_size)
{
    if (*count == most) {
        snprintf(why, why_size, "--%s: the machine has room for %u of them; leave out \"%.60s\"", row->name,
                 most, value);
        return false;
    }
    if (!set_drive(options, row, &drives[*count], value, why, why_size))
        return false;
    ++*count;
    return true;
}

static bool set_disk(struct options *options, const struct option_row *row, const char *value, char *why,
                     size_t why_size)
{
    return add_drive(options, row, options->disk, &options->disks, OPTIONS_DISKS, value, why, why_size);
}

static bool set_floppy(struct options *options, const struct option_row *row, const char *value, char *why,
                       size_t why_size)
{
    return add_drive(options, row, options->floppy, &options->floppies, OPTIONS_FLOPPIES, value, why,
                     why_size);
}

static bool set_cdrom(struct options *options, const struct option_row *row, const char *value, char *why,
                      size_t why_size)
{
    return add_drive(options, row, options->cdrom, &options->discs, OPTIONS_DISCS, value, why, why_size);
}

/* One more port. What the command line says stands in place of all that the machine file said. */
static bool set_serial(struct options *options, const struct option_row *row, const char *value, char *why,
                       size_t why_size)
{
    struct option_row slot = *row;

    if (options->serials_weak) {
        memset(options->serial, 0, sizeof(options->serial));
        options->serials = 0;
        options->serials_weak = false;
    }
    if (options->serials == OPTIONS_SERIALS) {
        snprintf(why, why_size, "--%s: the machine has room for %d of them; leave out \"%.60s\"", row->name,
                 OPTIONS_SERIALS, value);
        return false;
    }
    slot.offset = row->offset + options->serials * sizeof(options->serial[0]);
    if (!set_text(options, &slot, value, why, why_size))
        return false;
    options->serials++;
    return true;
}

static bool set_headless(struct options *options, const struct option_row *row, const char *value, char *why,
                         size_t why_size)
{
    if (value && is_one_of(value, "no|off|false|0"))
        return true;
    if (value && !is_one_of(value, "yes|on|true|1")) {
        snprintf(why, why_size, "--%s is yes or no, not \"%s\"", row->name, value);
        return false;
    }
    options->display = "none";
    memset(options->serial, 0, sizeof(options->serial));
    options->serial[0] = "stdio";
    options->serials = 1;
    options->serials_weak = true;
    return true;
}

static bool set_choice(struct options *options, const struct option_row *row, const char *value, char *why,
                       size_t why_size)
{
    if (is_one_of(value, row->choices))
        return set_text(options, row, value, why, why_size);

    int used = snprintf(why, why_size, "--%s: there is no \"%s\"; choose from ", row->name, value);
    for (const char *at = row->choices; *at && used >= 0 && (size_t)used < why_size; at++)
        used += snprintf(why + used, why_size - used, *at == '|' ? ", " : "%c", *at);
    return false;
}

bool options_size(const char *text, uint64_t *bytes)
{
    static const char suffixes[] = "KMGT";
    unsigned shift = 20;
    char *end;

    /* strtoull would take blanks and signs. */
    if (!isdigit((unsigned char)*text))
        return false;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno)
        return false;
    if (*end) {
        const char *suffix = strchr(suffixes, toupper((unsigned char)*end));
        if (!suffix || !*suffix)
            return false;
        shift = 10 * (unsigned)(suffix - suffixes + 1);
        end++;
        /* "512MB" and "512MiB" say the same. */
        if (*end == 'i')
            end++;
        if (*end == 'B')
            end++;
        if (*end)
            return false;
    }
    if (number > UINT64_MAX >> shift)
        return false;
    *bytes = (uint64_t)number << shift;
    return true;
}

static bool set_memory(struct options *options, const struct option_row *row, const char *value, char *why,
                       size_t why_size)
{
    uint64_t bytes;

    if (!options_size(value, &bytes)) {
        snprintf(why, why_size, "--%s: \"%s\" is not a size; give a number with K, M, G or T, like 512M",
                 row->name, value);
        return false;
    }
    if (bytes < MEMORY_MIN) {
        snprintf(why, why_size, "--%s: %s is too little, a PC has at least 1M; try 512M", row->name, value);
        return false;
    }
    if (bytes > MEMORY_MAX) {
        snprintf(why, why_size, "--%s: %s is more than this machine can address; give at most %lluG",
                 row->name, value, MEMORY_MAX >> 30);
        return false;
    }
    *(uint64_t *)member(options, row) = bytes & ~(uint64_t)(PAGE - 1);
    return true;
}

/* A whole number, decimal or 0x. */
static bool parse_number(const char *text, unsigned long max, unsigned long *number)
{
    char *end;

    if (!isdigit((unsigned char)*text))
        return false;
    errno = 0;
    *number = strtoul(text, &end, 0);
    return !errno && !*end && *number <= max;
}

static bool set_cpus(struct options *options, const struct option_row *row, const char *value, char *why,
                     size_t why_size)
{
    unsigned long number;

    if (!parse_number(value, 4096, &number) || !number) {
        snprintf(why, why_size, "--%s: \"%s\" is not a number of processors; give 1", row->name, value);
        return false;
    }
    if (number > 1) {
        snprintf(why, why_size,
                 "--%s: this version runs one processor, not %lu; leave the option out or give 1", row->name,
                 number);
        return false;
    }
    *(unsigned *)member(options, row) = (unsigned)number;
    return true;
}

static bool set_seconds(struct options *options, const struct option_row *row, const char *value, char *why,
                        size_t why_size)
{
    char *end;
    double seconds = strtod(value, &end);

    if (!isdigit((unsigned char)*value) || *end || !isfinite(seconds) || seconds <= 0 || seconds > 1e9) {
        snprintf(why, why_size, "--%s: \"%s\" is not a time; give seconds, more than 0, like 60 or 2.5",
                 row->name, value);
        return false;
    }
    uint64_t ns = (uint64_t)(seconds * (double)NS_PER_SEC);
    *(uint64_t *)member(options, row) = ns ? ns : 1;
    return true;
}

static bool set_log(struct options *options, const struct option_row *row, const char *value, char *why,
                    size_t why_size)
{
    unsigned *mask = member(options, row);

    if (!strcmp(value, "none")) {
        *mask = 1u << LOG_ERROR;
        return true;
    }
    for (const char *at = value;; at++) {
        char word[16];
        size_t length = strcspn(at, ",");
        snprintf(word, sizeof(word), "%.*s", (int)length, at);
        int level = length < sizeof(word) ? log_level_from_name(word) : -1;
        if (level < 0) {
            snprintf(why, why_size,
                     "--%s: there is no level \"%.*s\"; choose from error, warn, info, guest, debug, or none",
                     row->name, (int)length, at);
            return false;
        }
        *mask |= 1u << level;
        at += length;
        if (!*at)
            return true;
    }
}

static bool set_port(struct options *options, const struct option_row *row, const char *value, char *why,
                     size_t why_size)
{
    unsigned long number = 0xF4;

    if (value && !parse_number(value, 0xFFFF, &number)) {
        snprintf(why, why_size, "--%s: \"%s\" is not a port; give a number from 0 to 0xFFFF", row->name,
                 value);
        return false;
    }
    *(int *)member(options, row) = (int)number;
    return true;
}

static bool set_check(struct options *options, const struct option_row *row, const char *value, char *why,
                      size_t why_size)
{
    unsigned long number = 1;

    if (value && (!parse_number(value, 1000000, &number) || !number)) {
        snprintf(why, why_size, "--%s: \"%s\" is not a number of times; give 1 to 1000000", row->name, value);
        return false;
    }
    *(uint32_t *)member(options, row) = (uint32_t)number;
    return true;
}

static bool set_cache(struct options *options, const struct option_row *row, const char *value, char *why,
                      size_t why_size)
{
    uint64_t bytes;

    if (!options_size(value, &bytes)) {
        snprintf(why, why_size, "--%s: \"%s\" is not a size; give a number with K, M or G, like 128M", row->name,
                 value);
        return false;
    }
    if (bytes < CACHE_MIN || bytes > CACHE_MAX) {
        snprintf(why, why_size, "--%s: %s is too %s; give 1M to 1G", row->name, value,
                 bytes < CACHE_MIN ? "little for translated code" : "much");
        return false;
    }
    *(uint64_t *)member(options, row) = bytes & ~(uint64_t)(PAGE - 1);
    return true;
}

static bool set_dump(struct options *options, const struct option_row *row, const char *value, char *why,
                     size_t why_size)
{
    struct dump_option *dump = member(options, row);
    size_t length = strcspn(value, ",");
    unsigned long long address;
    char *end;

    *dump = (struct dump_option){.on = true, .all = length == 3 && !strncmp(value, "all", 3)};
    if (!dump->all) {
        errno = 0;
        address = strtoull(value, &end, 16);
        if (!isxdigit((unsigned char)*value) || errno || end != value + length) {
            snprintf(why, why_size, "--%s: \"%.*s\" is not an address; give one in hexadecimal, or all", row->name,
                     (int)length, value);
            return false;
        }
        dump->address = address;
    }
    if (!value[length])
        return true;
    if (!value[length + 1]) {
        snprintf(why, why_size, "--%s: there is no file behind the comma; name one, or leave the comma out", row->name);
        return false;
    }
    dump->path = keep(options, value + length + 1, why, why_size);
    return dump->path;
}

/* A switch, or a file of symbols. */
static bool set_perf(struct options *options, const struct option_row *row, const char *value, char *why,
                     size_t why_size)
{
    if (!value || is_one_of(value, "yes|on|true|1|no|off|false|0")) {
        options->perf_symbols = NULL;
        return set_flag(options, row, value, why, why_size);
    }
    if (!*value) {
        snprintf(why, why_size, "--%s: the file of symbols is empty; name one, or leave it out", row->name);
        return false;
    }
    options->perf_map = true;
    options->perf_symbols = keep(options, value, why, why_size);
    return options->perf_symbols;
}

static bool set_action(struct options *options, const struct option_row *row, const char *value, char *why,
                       size_t why_size)
{
    (void)value;
    (void)why;
    (void)why_size;
    options->action = row->choices[0] == 'h'   ? OPTIONS_HELP
                      : row->choices[0] == 'v' ? OPTIONS_VERSION
                                               : OPTIONS_MAN;
    return true;
}

void options_init(struct options *options)
{
    char why[200];

    memset(options, 0, sizeof(*options));
    options->exit_port = -1;
    for (const struct option_row *row = option_table; row->name; row++)
        if (row->initial)
            row->set(options, row, row->initial, why, sizeof(why));
}

void options_free(struct options *options)
{
    while (options->texts) {
        struct option_text *next = options->texts->next;
        free(options->texts);
        options->texts = next;
    }
}

/* Edits (insert, drop, change, swap neighbours) that turn one word into the other; at most `max` + 1. */
static unsigned distance(const char *a, const char *b, unsigned max)
{
    enum { LONGEST = 32 };
    unsigned rows[3][LONGEST + 1];
    size_t la = strlen(a), lb = strlen(b);

    if (la > LONGEST || lb > LONGEST)
        return max + 1;
    for (size_t i = 0; i <= la; i++) {
        unsigned *now = rows[i % 3], *before = rows[(i + 2) % 3], *earlier = rows[(i + 1) % 3];
        for (size_t j = 0; j <= lb; j++) {
            if (!i || !j) {
                now[j] = (unsigned)(i + j);
                continue;
            }
            unsigned best = before[j - 1] + (a[i - 1] != b[j - 1]);
            if (before[j] + 1 < best)
                best = before[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && earlier[j - 2] + 1 < best)
                best = earlier[j - 2] + 1;
            now[j] = best;
        }
    }
    unsigned result = rows[la % 3][lb];
    return result > max ? max + 1 : result;
}

const char *options_nearest(const char *name)
{
    unsigned best = (unsigned)strlen(name) / 3 + 1;
    const char *nearest = NULL;

    for (const struct option_row *row = option_table; row->name; row++) {
        unsigned edits = distance(name, row->name, best);
        if (row->group && edits <= best && (!nearest || edits < best)) {
            best = edits;
            nearest = row->name;
        }
    }
    return nearest;
}

bool options_set(struct options *options, const char *name, const char *value, char *why, size_t why_size)
{
    const struct option_row *row = find_row(name);

    if (!row) {
        const char *nearest = options_nearest(name);
        if (nearest)
            snprintf(why, why_size, "there is no option \"%.40s\"; did you mean \"%s\"?", name, nearest);
        else
            snprintf(why, why_size, "there is no option \"%.40s\"; oxbow --help lists them", name);
        return false;
    }
    if (row->command_only) {
        snprintf(why, why_size, "\"%s\" belongs on the command line, not in a machine file", name);
        return false;
    }
    bool optional = !row->argument || row->argument[0] == '[';
    if (value && !*value && (optional || row->set != set_text))
        value = NULL;
    if (!value && !optional) {
        snprintf(why, why_size, "\"%s\" needs a value, %s", name, row->argument);
        return false;
    }
    return row->set(options, row, value, why, why_size);
}

/* A letter that getopt_long() gave up on; `word` is where it stands, when it is the start of a longer one. */
static bool refuse_letter(int result, const char *word, char *why, size_t why_size)
{
    if (result == ':')
        snprintf(why, why_size, "-%c needs a value; oxbow --help lists the options", optopt);
    else if (word && word[0] == '-' && word[1] == optopt && find_row(word + 1))
        snprintf(why, why_size, "there is no option %s; did you mean -%s?", word, word);
    else
        snprintf(why, why_size, "there is no option -%c; oxbow --help lists them", optopt);
    return false;
}

/* A long option that it gave up on: `row` is the option's (NULL: there is none), `word` the argument. */
static bool refuse_long(int result, const struct option_row *row, const char *word, char *why,
                        size_t why_size)
{
    unsigned matches = 0;
    char name[40];

    snprintf(name, sizeof(name), "%.*s", (int)strcspn(word + 2, "="), word + 2);
    if (row) {
        if (result == ':')
            snprintf(why, why_size, "--%s needs a value, %s", row->name, row->argument);
        else
            snprintf(why, why_size, "--%s is a switch; leave out \"%.40s\"", row->name,
                     word + strcspn(word, "="));
        return false;
    }
    for (row = option_table; row->name; row++)
        matches += !row->positional && row->group && !strncmp(row->name, name, strlen(name));
    const char *nearest = options_nearest(name);
    if (matches > 1)
        snprintf(why, why_size, "--%s could be several options; write it out (oxbow --help lists them)",
                 name);
    else if (nearest && !find_row(nearest)->positional)
        snprintf(why, why_size, "there is no option --%s; did you mean --%s?", name, nearest);
    else
        snprintf(why, why_size, "there is no option --%s; oxbow --help lists them", name);
    return false;
}

/* getopt's long and short tables, made from ours; a row's value is its index plus FIRST. */
enum { ROWS_MAX = 64, FIRST = 256 };

static void make_getopt_tables(struct option *longs, char *shorts)
{
    *shorts++ = ':';
    for (int i = 0; option_table[i].name && i < ROWS_MAX; i++) {
        const struct option_row *row = &option_table[i];
        int arguments = !row->argument            ? no_argument
                        : row->argument[0] == '[' ? optional_argument
                                                  : required_argument;
        if (row->positional)
            continue;
        *longs++ = (struct option){row->name, arguments, NULL, FIRST + i};
        if (row->letter) {
            *shorts++ = row->letter;
            if (arguments)
                *shorts++ = ':';
        }
    }
    *longs = (struct option){NULL, 0, NULL, 0};
    *shorts = 0;
}

static int row_of(int result)
{
    for (int i = 0; option_table[i].name; i++)
        if (result == FIRST + i || (result && result == option_table[i].letter))
            return i;
    return -1;
}

/* One pass over argv. With only_machine, nothing but --machine is taken from it, and mistakes wait for the
 * next pass. */
static bool parse_pass(struct options *options, int argc, char **argv, bool only_machine, char *why,
                       size_t why_size)
{
    struct option longs[ROWS_MAX + 1];
    char shorts[2 * ROWS_MAX + 2];
    int result;

    make_getopt_tables(longs, shorts);
    optind = 0;
    opterr = 0;
    while ((result = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        if (result == '?' || result == ':') {
            if (only_machine)
                continue;
            if (optopt && optopt < FIRST)
                return refuse_letter(result, argv[optind], why, why_size);
            int index = row_of(optopt);
            return refuse_long(result, index < 0 ? NULL : &option_table[index], argv[optind - 1], why,
                               why_size);
        }
        const struct option_row *row = &option_table[row_of(result)];
        if (only_machine && strcmp(row->name, "machine"))
            continue;
        if (!row->set(options, row, optarg, why, why_size))
            return false;
    }
    if (only_machine)
        return true;
    if (argc - optind > 1) {
        snprintf(why, why_size, "one image is booted, but \"%.60s\" and \"%.60s\" were given; leave one out",
                 argv[optind], argv[optind + 1]);
        return false;
    }
    return optind == argc || set_image(options, find_row("image"), argv[optind], why, why_size);
}

bool options_parse(struct options *options, int argc, char **argv, options_reader *reader, char *why,
                   size_t why_size)
{
    if (!parse_pass(options, argc, argv, true, why, why_size))
        return false;
    if (options->machine && reader && !reader(options->machine, options, why, why_size))
        return false;
    options->serials_weak = options->serials;
    if (!parse_pass(options, argc, argv, false, why, why_size))
        return false;
    if (options->action == OPTIONS_RUN && options->image && options->kernel) {
        snprintf(why, why_size, "both an image (%.60s) and --kernel (%.60s) are given; leave one out",
                 options->image, options->kernel);
        return false;
    }
    return true;
}
