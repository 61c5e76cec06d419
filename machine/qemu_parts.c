/*
 * qemu_parts.c - drives, streams and devices of QEMU's command line; see qemu_reader.h.
 */
#include <string.h>

#include "machine/qemu_reader.h"

/* Drives. */

static struct qemu_drive *add_drive(struct qemu_reader *reader)
{
    if (reader->drives == DRIVES_MAX) {
        qemu_fail(reader, "there are more than %d drives", DRIVES_MAX);
        return NULL;
    }
    return &reader->drive[reader->drives++];
}

/* -hda FILE and its like; `what` says which. */
bool qemu_take_disk(struct qemu_reader *reader, const struct qemu_argument *argument, const char *value)
{
    struct qemu_drive *drive = add_drive(reader);

    if (!drive)
        return false;
    drive->file = value;
    drive->interface = argument->what;
    drive->cdrom = !strcmp(argument->what, "cdrom");
    return true;
}

bool qemu_take_drive(struct qemu_reader *reader, const struct qemu_argument *argument, const char *value)
{
    struct qemu_drive *drive = add_drive(reader);

    if (!drive)
        return false;
    if (!qemu_list_read(&drive->list, value, "file"))
        return qemu_out_of_memory(reader);
    drive->file = qemu_list_get(&drive->list, "file");
    drive->interface = qemu_list_get(&drive->list, "if");
    drive->id = qemu_list_get(&drive->list, "id");
    const char *media = qemu_list_get(&drive->list, "media");
    drive->cdrom = media && !strcmp(media, "cdrom");
    drive->read_only = qemu_list_is_on(&drive->list, "readonly", false);
    drive->snapshot = qemu_list_is_on(&drive->list, "snapshot", false);
    drive->format = qemu_list_get(&drive->list, "format");
    for (const char *const *known = (const char *const[]){"index", "bus", "unit", "cache", "aio", "werror",
                                                          "rerror", "discard", "detect-zeroes", NULL};
         *known; known++)
        qemu_list_get(&drive->list, *known);
    if (!drive->interface)
        drive->interface = "ide";
    qemu_note_unused(reader, argument, &drive->list);
    return true;
}

/* What a drive that is not ours becomes. */
bool qemu_plug(struct qemu_reader *reader, const struct qemu_drive *drive)
{
    const char *interface = drive->interface, *option = "disk";
    char value[4300], connected[20] = "";

    if (!strcmp(interface, "pflash"))
        return qemu_fail(
            reader, "-drive if=pflash: UEFI firmware does not run here yet; leave it out to boot by SeaBIOS");
    if (!drive->file)
        return !drive->cdrom ? qemu_fail(reader, "-drive: say which file, file=PATH") : true;
    if (!strcmp(interface, "floppy"))
        option = "floppy";
    else if (drive->cdrom)
        option = "cdrom";
    else if (!strcmp(interface, "virtio") || !strcmp(interface, "nvme"))
        snprintf(connected, sizeof(connected), ",if=%s", interface);
    else if (strcmp(interface, "ide") && strcmp(interface, "disk") && strcmp(interface, "none"))
        qemu_note(reader, "%s: there is no %s here yet; the disk is an IDE disk", drive->file, interface);
    if (!strcmp(interface, "none"))
        return true; /* nobody plugged it in */
    snprintf(value, sizeof(value), "%s%s%s%s%s%s", drive->file, connected, drive->format ? ",format=" : "",
             drive->format ? drive->format : "", drive->read_only && !drive->cdrom ? ",readonly" : "",
             (drive->snapshot || reader->snapshot) && !drive->cdrom ? ",snapshot" : "");
    return qemu_set(reader, option, value);
}

/* -device ide-hd,drive=ID and its like. */
static bool plug_device(struct qemu_reader *reader, struct qemu_list *list, const char *interface, bool cdrom)
{
    const char *id = qemu_list_get(list, "drive");

    for (unsigned n = 0; n < reader->drives && id; n++)
        if (reader->drive[n].id && !strcmp(reader->drive[n].id, id)) {
            reader->drive[n].interface = interface;
            reader->drive[n].cdrom = reader->drive[n].cdrom || cdrom;
            return true;
        }
    return qemu_fail(reader,
                     "-device: there is no drive \"%s\"; give one with -drive if=none,id=%s,file=PATH",
                     id ? id : "", id ? id : "NAME");
}

/* Streams. */

bool qemu_take_chardev(struct qemu_reader *reader, const struct qemu_argument *argument, const char *value)
{
    (void)argument;
    if (reader->chardevs == CHARDEVS_MAX)
        return qemu_fail(reader, "there are more than %d -chardev", CHARDEVS_MAX);
    return qemu_list_read(&reader->chardev[reader->chardevs++], value, "backend") ||
           qemu_out_of_memory(reader);
}

/* What a -chardev is, in our words. */
static bool chardev_target(struct qemu_reader *reader, const char *id, char *target, size_t size)
{
    for (unsigned n = 0; n < reader->chardevs; n++) {
        struct qemu_list *list = &reader->chardev[n];
        const char *name = qemu_list_get(list, "id"), *backend = qemu_list_get(list, "backend"),
                   *path = qemu_list_get(list, "path");
        if (!name || strcmp(name, id))
            continue;
        if (backend && path && (!strcmp(backend, "file") || !strcmp(backend, "socket")))
            snprintf(target, size, "%s:%s", *backend == 'f' ? "file" : "unix", path);
        else if (backend && (!strcmp(backend, "stdio") || !strcmp(backend, "pty")))
            snprintf(target, size, "%s", backend);
        else if (backend && (!strcmp(backend, "null") || !strcmp(backend, "vc")))
            snprintf(target, size, "none");
        else
            return qemu_fail(
                reader, "-chardev %s: only stdio, pty, null, file,path=PATH and socket,path=PATH are here",
                backend ? backend : "");
        return true;
    }
    return qemu_fail(reader, "there is no -chardev with id=%s", id);
}

/* Where a serial port leads, in our words. */
static bool stream_target(struct qemu_reader *reader, const struct qemu_argument *argument, const char *value,
                          char *target, size_t size)
{
    if (!strcmp(value, "mon:stdio") || !strcmp(value, "stdio") || !strcmp(value, "-"))
        snprintf(target, size, "stdio");
    else if (!strcmp(value, "null") || !strcmp(value, "none") || !strncmp(value, "vc", 2))
        snprintf(target, size, "none");
    else if (!strcmp(value, "pty") || !strncmp(value, "file:", 5))
        snprintf(target, size, "%s", value);
    else if (!strncmp(value, "unix:", 5))
        snprintf(target, size, "%.*s", (int)strcspn(value, ","), value);
    else if (!strncmp(value, "chardev:", 8))
        return chardev_target(reader, value + 8, target, size);
    else
        return qemu_fail(reader, "-%s: there is no \"%s\" here; use stdio, file:PATH, unix:PATH, pty or none",
                         argument->name, value);
    return true;
}

bool qemu_take_stream(struct qemu_reader *reader, const struct qemu_argument *argument, const char *value)
{
    char target[4200];

    if (!stream_target(reader, argument, value, target, sizeof(target)))
        return false;
    if (!strcmp(argument->what, "serial"))
        reader->serials++;
    return qemu_set(reader, argument->what, target);
}

/* Devices. */

static bool add_exit_device(struct qemu_reader *reader, struct qemu_list *list)
{
    const char *port = qemu_list_get(list, "iobase");

    qemu_list_get(list, "iosize");
    return qemu_set(reader, "exit-device", port ? port : "0x501"); /* QEMU's default */
}

static bool add_debugcon(struct qemu_reader *reader, struct qemu_list *list)
{
    static const struct qemu_argument self = {.name = "device isa-debugcon"};
    const char *id = qemu_list_get(list, "chardev");
    char target[4200];

    qemu_list_get(list, "iobase"); /* 0xE9 and 0x402 are both there */
    if (!id)
        return qemu_fail(reader, "-%s: say where it leads, chardev=ID", self.name);
    return chardev_target(reader, id, target, sizeof(target)) && qemu_set(reader, "debugcon", target);
}

static bool add_serial(struct qemu_reader *reader, struct qemu_list *list)
{
    const char *id = qemu_list_get(list, "chardev");
    char target[4200];

    qemu_list_get(list, "iobase");
    qemu_list_get(list, "irq");
    reader->serials++;
    return !id || (chardev_target(reader, id, target, sizeof(target)) && qemu_set(reader, "serial", target));
}

static bool add_disk(struct qemu_reader *reader, struct qemu_list *list)
{
    return plug_device(reader, list, "ide", false);
}

static bool add_cdrom(struct qemu_reader *reader, struct qemu_list *list)
{
    return qemu_list_get(list, "drive") ? plug_device(reader, list, "ide", true) : true;
}

static bool add_virtio_disk(struct qemu_reader *reader, struct qemu_list *list)
{
    return plug_device(reader, list, "virtio", false);
}

static bool add_nvme_disk(struct qemu_reader *reader, struct qemu_list *list)
{
    return plug_device(reader, list, "nvme", false);
}

/* What no controller is here for. */
static bool add_other_disk(struct qemu_reader *reader, struct qemu_list *list)
{
    return plug_device(reader, list, "SCSI or USB controller", false);
}

static bool add_floppy(struct qemu_reader *reader, struct qemu_list *list)
{
    return plug_device(reader, list, "floppy", false);
}

/* The same device here, whose name lacks "-pci". */
static bool add_virtio(struct qemu_reader *reader, struct qemu_list *list)
{
    char name[40];
    const char *driver = qemu_list_get(list, "driver"), *end = strstr(driver, "-pci");

    snprintf(name, sizeof(name), "%.*s", (int)(end ? end - driver : (long)strlen(driver)), driver);
    return qemu_set(reader, "device", name);
}

/* A console, or a port with a name, of the one controller. */
static bool add_virtio_stream(struct qemu_reader *reader, struct qemu_list *list)
{
    const char *driver = qemu_list_get(list, "driver"), *id = qemu_list_get(list, "chardev");
    const char *name = qemu_list_get(list, "name");
    bool console = !strcmp(driver, "virtconsole");
    char target[4200] = "none", text[4400];

    if (id && !chardev_target(reader, id, target, sizeof(target)))
        return false;
    if (console)
        snprintf(text, sizeof(text), "virtio-console,to=%s", target);
    else
        snprintf(text, sizeof(text), "virtio-port,name=%.80s,to=%s", name ? name : "port", target);
    return qemu_set(reader, "device", text);
}

/* What the board has anyway. */
static bool there_already(struct qemu_reader *reader, struct qemu_list *list)
{
    (void)reader;
    (void)list;
    return true;
}

static const struct {
    const char *name;
    bool (*add)(struct qemu_reader *reader, struct qemu_list *list);
} devices[] = {
    {"isa-debug-exit", add_exit_device},
    {"isa-debugcon", add_debugcon},
    {"isa-serial", add_serial},
    {"ide-hd", add_disk},
    {"ide-cd", add_cdrom},
    {"floppy", add_floppy},
    {"virtio-blk-pci", add_virtio_disk},
    {"virtio-blk", add_virtio_disk},
    {"virtio-rng-pci", add_virtio},
    {"virtio-rng", add_virtio},
    {"virtio-balloon-pci", add_virtio},
    {"virtio-balloon", add_virtio},
    {"virtio-keyboard-pci", add_virtio},
    {"virtio-mouse-pci", add_virtio},
    {"virtio-tablet-pci", add_virtio},
    {"virtio-serial-pci", there_already},
    {"virtio-serial", there_already},
    {"virtconsole", add_virtio_stream},
    {"virtserialport", add_virtio_stream},
    {"scsi-hd", add_other_disk},
    {"nvme", add_nvme_disk},
    {"usb-storage", add_other_disk},
    {"e1000", qemu_add_card},
    {"e1000-82540em", qemu_add_card},
    {"e1000e", qemu_add_card},
    {"rtl8139", qemu_add_card},
    {"ne2k_pci", qemu_add_card},
    {"ne2k_isa", qemu_add_card},
    {"pcnet", qemu_add_card},
    {"i82551", qemu_add_card},
    {"vmxnet3", qemu_add_card},
    {"virtio-net", qemu_add_card},
    {"virtio-net-pci", qemu_add_card},
    {"VGA", there_already},
    {"isa-fdc", there_already},
    {"piix3-ide", there_already},
    {"i8042", there_already},
    {"hpet", there_already},
    {"isa-parallel", there_already},
};

bool qemu_take_device(struct qemu_reader *reader, const struct qemu_argument *argument, const char *value)
{
    struct qemu_list list;
    bool good = true, known = false;

    if (!qemu_list_read(&list, value, "driver"))
        return qemu_out_of_memory(reader);
    const char *driver = qemu_list_get(&list, "driver");
    for (size_t n = 0; driver && n < sizeof(devices) / sizeof(*devices); n++)
        if (!strcmp(driver, devices[n].name)) {
            known = true;
            good = devices[n].add(reader, &list);
        }
    if (!known)
        qemu_note(reader, "-%s %s: there is no such device here; the machine goes without it", argument->name,
                  driver ? driver : "");
    qemu_list_get(&list, "id");
    if (known && good)
        qemu_note_unused(reader, argument, &list);
    qemu_list_free(&list);
    return good;
}
