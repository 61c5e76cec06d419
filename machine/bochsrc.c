/*
 * bochsrc.c - a machine from Bochs's configuration file, as far as its options have counterparts here.
 *
 * A line is "directive: name=value, name=value"; what is behind # is a comment. Values may be in double
 * quotes.
 */
#include <string.h>

#include "machine/bochsrc.h"
#include "machine/qemu_list.h"

#define LINE_MAX_SIZE 2048
#define LEFT_OUT_SIZE 300

struct bochsrc {
    struct options *options;
    char *why;
    size_t why_size;
    char left_out[LEFT_OUT_SIZE]; /* directives that make no difference here */
};

typedef bool directive_reader(struct bochsrc *rc, struct qemu_list *list);

static bool set(struct bochsrc *rc, const char *name, const char *value)
{
    return options_set(rc->options, name, value, rc->why, rc->why_size);
}

static bool fail(struct bochsrc *rc, const char *why)
{
    snprintf(rc->why, rc->why_size, "%s", why);
    return false;
}

/* megs: N */
static bool read_megs(struct bochsrc *rc, struct qemu_list *list)
{
    return set(rc, "memory", qemu_list_get(list, ""));
}

/* memory: guest=N, host=N */
static bool read_memory(struct bochsrc *rc, struct qemu_list *list)
{
    const char *guest = qemu_list_get(list, "guest");

    return !guest || set(rc, "memory", guest);
}

/* cpu: model=NAME, count=N, ips=N. Models are the hosts' that Bochs knows; count is SMP's. */
static bool read_cpu(struct bochsrc *rc, struct qemu_list *list)
{
    const char *count = qemu_list_get(list, "count");

    return !count || set(rc, "cpus", count);
}

/* A medium that isn't in its drive is left out. */
static bool is_inserted(struct qemu_list *list)
{
    const char *status = qemu_list_get(list, "status");

    return !status || !strcmp(status, "inserted");
}

/* ataN-master: type=disk, path=FILE, mode=flat */
static bool read_drive(struct bochsrc *rc, struct qemu_list *list)
{
    const char *type = qemu_list_get(list, "type"), *path = qemu_list_get(list, "path"),
               *mode = qemu_list_get(list, "mode");
    bool cdrom = type && !strcmp(type, "cdrom");

    if (!path || !*path || !strcmp(path, "none") || !is_inserted(list))
        return true;
    if (!cdrom && mode && strcmp(mode, "flat"))
        return fail(rc, "only disk images of mode flat can be used; convert it with bximage");
    return set(rc, cdrom ? "cdrom" : "disk", path);
}

/* floppya: 1_44=FILE, status=inserted */
static bool read_floppy(struct bochsrc *rc, struct qemu_list *list)
{
    static const char *const sizes[] = {"image", "1_44", "1_2",  "2_88", "720k",
                                        "360k",  "320k", "180k", "160k", NULL};
    const char *path = NULL;

    for (const char *const *size = sizes; *size && !path; size++)
        path = qemu_list_get(list, *size);
    return !path || !*path || !is_inserted(list) || set(rc, "floppy", path);
}

/* boot: cdrom, disk */
static bool read_boot(struct bochsrc *rc, struct qemu_list *list)
{
    static const struct {
        const char *name;
        char letter;
    } drives[] = {{"disk", 'c'}, {"c", 'c'}, {"cdrom", 'd'}, {"floppy", 'a'}, {"a", 'a'}, {"network", 'n'}};
    char order[8] = "";

    for (unsigned n = 0; n < list->count; n++)
        for (size_t drive = 0; drive < sizeof(drives) / sizeof(*drives); drive++) {
            const char *word = *list->item[n].name ? list->item[n].name : list->item[n].value;
            size_t used = strlen(order);
            if (!strcmp(word, drives[drive].name) && used < sizeof(order) - 1 &&
                !strchr(order, drives[drive].letter)) {
                order[used] = drives[drive].letter;
                order[used + 1] = 0;
            }
        }
    return *order ? set(rc, "boot", order) : fail(rc, "boot from disk, cdrom, floppy or network");
}

/* com1: enabled=1, mode=file, dev=FILE */
static bool read_serial(struct bochsrc *rc, struct qemu_list *list)
{
    const char *mode = qemu_list_get(list, "mode"), *dev = qemu_list_get(list, "dev");
    char target[LINE_MAX_SIZE + 8];

    if (!qemu_list_is_on(list, "enabled", true) || !mode || !strcmp(mode, "null"))
        return set(rc, "serial", "none");
    if (!strcmp(mode, "file") && dev)
        snprintf(target, sizeof(target), "file:%s", dev);
    else if (!strcmp(mode, "term"))
        snprintf(target, sizeof(target), "pty");
    else
        return fail(rc,
                    "a serial port's mode is file, term or null; for a socket give oxbow --serial unix:PATH");
    return set(rc, "serial", target);
}

/* ne2k and e1000: enabled=1, mac=ADDRESS, ethmod=MODULE, ethdev=DEVICE. The modules that need an interface of
 * the host use it as they do there; vnet and slirp are user networks. */
static bool read_card(struct bochsrc *rc, struct qemu_list *list, const char *model)
{
    const char *mac = qemu_list_get(list, "mac"), *module = qemu_list_get(list, "ethmod"),
               *device = qemu_list_get(list, "ethdev");
    bool tap = module && (!strcmp(module, "tuntap") || !strcmp(module, "tap"));
    char value[LINE_MAX_SIZE + 100];
    int used;

    if (!qemu_list_is_on(list, "enabled", true))
        return true;
    for (const char *at = device; at && *at; at++)
        if (*at == '/' || *at == ':')
            device = at + 1;
    used = snprintf(value, sizeof(value), "%s%s,model=%s%s%s", tap ? "tap" : "user",
                    module && !strcmp(module, "null") ? ",restrict" : "", model, mac ? ",mac=" : "",
                    mac ? mac : "");
    if (tap && device && *device)
        snprintf(value + used, sizeof(value) - (size_t)used, ",ifname=%s", device);
    return set(rc, "net", value);
}

/* ne2k: ioaddr=0x300, irq=9 or type=pci, and as above */
static bool read_ne2k(struct bochsrc *rc, struct qemu_list *list)
{
    const char *type = qemu_list_get(list, "type"), *port = qemu_list_get(list, "ioaddr"),
               *irq = qemu_list_get(list, "irq");
    char model[100];

    if (type && strstr(type, "pci"))
        return read_card(rc, list, "ne2k_pci");
    snprintf(model, sizeof(model), "ne2k_isa,iobase=%.20s,irq=%.20s", port ? port : "0x300", irq ? irq : "9");
    return read_card(rc, list, model);
}

static bool read_e1000(struct bochsrc *rc, struct qemu_list *list)
{
    return read_card(rc, list, "e1000");
}

/* parport1: enabled=1, file=FILE */
static bool read_parallel(struct bochsrc *rc, struct qemu_list *list)
{
    const char *file = qemu_list_get(list, "file");
    char target[LINE_MAX_SIZE + 8];

    if (!qemu_list_is_on(list, "enabled", true) || !file || !*file)
        return true;
    snprintf(target, sizeof(target), "file:%s", file);
    return set(rc, "parallel", target);
}

/* port_e9_hack: enabled=1 */
static bool read_port_e9(struct bochsrc *rc, struct qemu_list *list)
{
    return !qemu_list_is_on(list, "enabled", true) || set(rc, "debugcon", "stdio");
}

/* gdbstub: enabled=1, port=1234 */
static bool read_gdb(struct bochsrc *rc, struct qemu_list *list)
{
    const char *port = qemu_list_get(list, "port");

    return !qemu_list_is_on(list, "enabled", true) || set(rc, "gdb", port ? port : "1234");
}

/* display_library: NAME */
static bool read_display(struct bochsrc *rc, struct qemu_list *list)
{
    const char *name = qemu_list_get(list, "");

    if (name && !strcmp(name, "nogui"))
        return set(rc, "display", "none");
    return !name || strcmp(name, "term") || set(rc, "display", "text");
}

static const struct {
    const char *name;
    directive_reader *read; /* NULL: makes no difference here */
} directives[] = {
    {"megs", read_megs},
    {"memory", read_memory},
    {"cpu", read_cpu},
    {"ata0-master", read_drive},
    {"ata0-slave", read_drive},
    {"ata1-master", read_drive},
    {"ata1-slave", read_drive},
    {"floppya", read_floppy},
    {"floppyb", read_floppy},
    {"boot", read_boot},
    {"com1", read_serial},
    {"com2", read_serial},
    {"com3", read_serial},
    {"com4", read_serial},
    {"parport1", read_parallel},
    {"port_e9_hack", read_port_e9},
    {"display_library", read_display},
    {"romimage", NULL},
    {"vgaromimage", NULL},
    {"config_interface", NULL},
    {"plugin_ctrl", NULL},
    {"log", NULL},
    {"logprefix", NULL},
    {"panic", NULL},
    {"error", NULL},
    {"info", NULL},
    {"debug", NULL},
    {"debugger_log", NULL},
    {"debug_symbols", NULL},
    {"magic_break", NULL},
    {"gdbstub", read_gdb},
    {"clock", NULL},
    {"mouse", NULL},
    {"keyboard", NULL},
    {"vga", NULL},
    {"pci", NULL},
    {"private_colormap", NULL},
    {"floppy_bootsig_check", NULL},
    {"ata0", NULL},
    {"ata1", NULL},
    {"ata2", NULL},
    {"ata3", NULL},
    {"cpuid", NULL},
    {"print_timestamps", NULL},
    {"sound", NULL},
    {"speaker", NULL},
    {"sb16", NULL},
    {"es1370", NULL},
    {"ne2k", read_ne2k},
    {"e1000", read_e1000},
    {"usb_uhci", NULL},
    {"usb_ohci", NULL},
    {"usb_ehci", NULL},
    {"usb_xhci", NULL},
    {"user_shortcut", NULL},
    {"com", NULL},
    {NULL, NULL},
};

/* The index of the directive that the line begins with, -1: none. `rest` is what is behind its colon. */
static int find_directive(char *line, char **rest)
{
    size_t length = strcspn(line, ":= \t");
    char *colon = line + length + strspn(line + length, " \t");

    if (*colon != ':')
        return -1;
    for (int n = 0; directives[n].name; n++)
        if (strlen(directives[n].name) == length && !strncmp(line, directives[n].name, length)) {
            *rest = colon + 1;
            return n;
        }
    return -1;
}

/* Without its comment, blanks and quotes; commas that were in quotes become two, which a list takes for one.
 */
static char *tidy(const char *from, char tidied[2 * LINE_MAX_SIZE])
{
    char *to = tidied;
    bool quoted = false;

    for (; *from && *from != '\n' && *from != '\r' && (quoted || *from != '#'); from++) {
        if (*from == '"')
            quoted = !quoted;
        else if (quoted || (*from != ' ' && *from != '\t'))
            *to++ = *from;
        if (quoted && *from == ',')
            *to++ = ',';
    }
    *to = 0;
    return tidied;
}

static void leave_out(struct bochsrc *rc, const char *name)
{
    size_t used = strlen(rc->left_out);

    snprintf(rc->left_out + used, sizeof(rc->left_out) - used, "%s%s", used ? ", " : "", name);
}

static bool read_line(struct bochsrc *rc, const char *text)
{
    struct qemu_list list;
    char line[2 * LINE_MAX_SIZE], *rest;
    int directive = find_directive(tidy(text, line), &rest);
    bool good;

    if (!*line)
        return true;
    if (directive < 0) {
        line[strcspn(line, ":=")] = 0;
        leave_out(rc, line);
        return true;
    }
    if (!directives[directive].read) {
        leave_out(rc, directives[directive].name);
        return true;
    }
    good = qemu_list_read(&list, rest, "") ? directives[directive].read(rc, &list)
                                           : fail(rc, "the line is too long");
    qemu_list_free(&list);
    return good;
}

bool bochsrc_recognise(FILE *file)
{
    char text[LINE_MAX_SIZE], line[2 * LINE_MAX_SIZE], *rest;
    bool found = false;

    while (!found && fgets(text, sizeof(text), file)) {
        int directive = find_directive(tidy(text, line), &rest);
        /* "memory: 64M" could be a machine file's. */
        found = directive >= 0 && (directives[directive].read != read_memory || strchr(rest, '='));
        if (!found && *line && *line != ';')
            break;
    }
    rewind(file);
    return found;
}

bool bochsrc_read(FILE *file, const char *path, struct options *options, FILE *notes, char *why,
                  size_t why_size)
{
    struct bochsrc rc = {.options = options};
    char line[LINE_MAX_SIZE], reason[300];
    int number = 0;
    bool good = true;

    rc.why = reason;
    rc.why_size = sizeof(reason);
    while (good && fgets(line, sizeof(line), file)) {
        number++;
        good = strlen(line) < sizeof(line) - 1 ? read_line(&rc, line) : fail(&rc, "the line is too long");
    }
    if (!good)
        snprintf(why, why_size, "%s, line %d: %s", path, number, reason);
    else if (*rc.left_out)
        fprintf(notes, "oxbow: %s is Bochs's; these make no difference here: %s\n", path, rc.left_out);
    return good;
}
