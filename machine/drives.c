/*
 * drives.c - disks, CD-ROM and floppy disks: which files they are, and where they are plugged in.
 *
 * IDE disks 1 and 2 are master and slave of the first channel, 3 is the second channel's slave. Its master is
 * the CD-ROM drive, with or without a disc, or disk 4. A CD-ROM drive that is to be SATA is at the last port of
 * the SATA controller instead.
 */
#include <string.h>
#include <sys/stat.h>

#include "bios/image.h"
#include "devices/ahci.h"
#include "devices/ide.h"
#include "host/disk.h"
#include "debug/control.h"
#include "machine/machine.h"

#define IDE_PLACES  4
#define CDROM_PLACE 3 /* among these */

static const struct {
    unsigned channel, unit;
} ide_places[IDE_PLACES] = {{0, 0}, {0, 1}, {1, 1}, {1, 0}};

void drives_ide_place(unsigned number, unsigned *channel, unsigned *unit)
{
    *channel = ide_places[number].channel;
    *unit = ide_places[number].unit;
}

static bool attach_ide(struct machine *m, unsigned number, struct block *medium)
{
    return ide_attach_disk(m->ide, ide_places[number].channel, ide_places[number].unit, medium);
}

static void name_ide(unsigned number, char *name, size_t size)
{
    snprintf(name, size, "ide%u-hd%u", ide_places[number].channel, ide_places[number].unit);
}

/* How disks can be connected. */
static const struct interface {
    const char *word; /* if=WORD */
    const char *title;
    unsigned most; /* disks */
    /* Plugs a disk in; they are numbered from 0 among those of the interface. NULL: this version has none. */
    bool (*attach)(struct machine *m, unsigned number, struct block *medium);
    /* What it is called; NULL: word and number. */
    void (*name)(unsigned number, char *name, size_t size);
} interfaces[DRIVE_INTERFACES] = {
    [DRIVE_IDE] = {"ide", "IDE", IDE_PLACES, attach_ide, name_ide},
    [DRIVE_VIRTIO] = {"virtio", "virtio", OPTIONS_DISKS, virtio_attach_disk, NULL},
    [DRIVE_AHCI] = {"ahci", "AHCI", AHCI_PORTS, storage_attach_ahci, NULL},
    [DRIVE_NVME] = {"nvme", "NVMe", 8, storage_attach_nvme, NULL},
};

/* The how manieth of its interface disk `n` is. */
unsigned drives_number(const struct machine *m, unsigned n)
{
    unsigned number = 0;

    for (unsigned i = 0; i < n; i++)
        number += m->disk[i].interface == m->disk[n].interface;
    return number;
}

static unsigned count_of(const struct machine *m, enum drive_interface interface)
{
    unsigned count = 0;

    for (unsigned n = 0; n < m->disks; n++)
        count += m->disk[n].interface == interface;
    return count;
}

/* Is the CD-ROM drive a SATA one? The first disc says so for all. */
static bool sata_cdrom(const struct machine *m)
{
    return m->discs && m->disc[0].interface == DRIVE_AHCI;
}

/* What the start of a file says that it is; IMAGE_UNKNOWN also when it can't be read. */
static enum image_kind kind_of(const char *path)
{
    uint8_t head[IMAGE_HEAD_SIZE];
    struct stat info;

    if (stat(path, &info) || !(S_ISREG(info.st_mode) || S_ISBLK(info.st_mode)))
        return IMAGE_UNKNOWN;
    FILE *file = fopen(path, "rb");
    if (!file)
        return IMAGE_UNKNOWN;
    size_t size = fread(head, 1, sizeof(head), file);
    fclose(file);
    return image_kind(head, size);
}

static bool is_disk(enum image_kind kind)
{
    return kind >= IMAGE_DISK_MBR && kind <= IMAGE_VHDX;
}

/* A raw image of just this size is a floppy disk's. */
static bool is_floppy(const char *path)
{
    static const unsigned kib[] = {160, 180, 320, 360, 720, 1200, 1440, 1680, 2880};
    struct stat info;

    if (stat(path, &info))
        return false;
    for (unsigned n = 0; n < sizeof(kib) / sizeof(*kib); n++)
        if (info.st_size == (off_t)kib[n] * 1024)
            return true;
    return false;
}

/* Puts `drive` before the `*count` others. False when there is no place. */
static bool put_first(struct drive_option *drives, unsigned *count, unsigned most,
                      const struct drive_option *drive)
{
    if (*count == most)
        return false;
    memmove(&drives[1], &drives[0], *count * sizeof(*drives));
    drives[0] = *drive;
    ++*count;
    return true;
}

/* IMAGE is before the other disks, and what is booted if the user doesn't say otherwise. */
static bool take_image(struct machine *m, enum image_kind kind, const struct drive_option *drive, char *why,
                       size_t why_size)
{
    if (kind == IMAGE_ISO9660) {
        m->boot_order = "dcan";
        if (put_first(m->disc, &m->discs, OPTIONS_DISCS, drive))
            return true;
        snprintf(why, why_size, "%.100s is one disc too many; there may be %d", drive->path, OPTIONS_DISCS);
        return false;
    }
    bool floppy = is_floppy(drive->path);
    if (floppy)
        m->boot_order = "acdn";
    if (floppy ? put_first(m->floppy, &m->floppies, OPTIONS_FLOPPIES, drive)
               : put_first(m->disk, &m->disks, OPTIONS_DISKS, drive))
        return true;
    snprintf(why, why_size, "%.100s is one disk too many; the machine has room for %d", drive->path,
             floppy ? OPTIONS_FLOPPIES : OPTIONS_DISKS);
    return false;
}

/* Is there room for all disks, and what they are to be connected with? */
static bool check_places(const struct machine *m, char *why, size_t why_size)
{
    unsigned ide = count_of(m, DRIVE_IDE);

    for (unsigned n = 0; n < m->disks; n++) {
        const struct interface *interface = &interfaces[m->disk[n].interface];

        if (!interface->attach) {
            snprintf(why, why_size, "--disk %.100s,if=%s: this version has no %s disks; leave if= out",
                     m->disk[n].path, interface->word, interface->title);
            return false;
        }
        if (drives_number(m, n) >= interface->most) {
            snprintf(why, why_size,
                     "--disk %.100s: there is room for %u %s disks; leave one out, or use another interface (if=)",
                     m->disk[n].path, interface->most, interface->title);
            return false;
        }
    }
    for (unsigned n = 0; n < m->discs; n++)
        if (m->disc[n].interface != DRIVE_IDE && m->disc[n].interface != DRIVE_AHCI) {
            snprintf(why, why_size, "--cdrom %.100s,if=%s: CD-ROM drives are IDE or AHCI; leave if= out",
                     m->disc[n].path, interfaces[m->disc[n].interface].word);
            return false;
        }
    for (unsigned n = 0; n < m->floppies; n++)
        if (m->floppy[n].interface != DRIVE_IDE) {
            snprintf(why, why_size, "--floppy %.100s: floppy disks have an interface of their own; leave if= out",
                     m->floppy[n].path);
            return false;
        }
    if (sata_cdrom(m)) {
        if (count_of(m, DRIVE_AHCI) < AHCI_PORTS)
            return true;
        snprintf(why, why_size, "with a CD-ROM there is room for %d AHCI disks, not %u; leave one out",
                 AHCI_PORTS - 1, AHCI_PORTS);
        return false;
    }
    if (m->discs && ide > CDROM_PLACE) {
        snprintf(why, why_size, "with a CD-ROM there is room for %d IDE disks, not %u; leave one out", CDROM_PLACE,
                 ide);
        return false;
    }
    return true;
}

int drives_choose(struct machine *m, char *why, size_t why_size)
{
    const struct options *options = m->options;
    struct drive_option drive = options->image_drive;
    enum image_kind kind = drive.path ? kind_of(drive.path) : IMAGE_UNKNOWN;

    memcpy(m->disk, options->disk, sizeof(m->disk));
    m->disks = options->disks;
    memcpy(m->floppy, options->floppy, sizeof(m->floppy));
    m->floppies = options->floppies;
    memcpy(m->disc, options->cdrom, sizeof(m->disc));
    m->discs = options->discs;
    if (options->kernel && is_disk(kind_of(options->kernel))) {
        snprintf(why, why_size, "--kernel %s: this is %s, not a kernel; give it as --disk or --cdrom",
                 options->kernel, image_kind_name(kind_of(options->kernel)));
        return EXIT_USAGE;
    }
    m->image_is_drive = is_disk(kind);
    if (m->image_is_drive && !take_image(m, kind, &drive, why, why_size))
        return EXIT_USAGE;
    return check_places(m, why, why_size) ? 0 : EXIT_USAGE;
}

/* In the event loop, which is not where a machine can be stopped; drives_poll() does. */
static void note_failure(void *opaque, struct block *disk, bool writing, int error)
{
    struct machine *m = opaque;

    m->disk_failure = (struct disk_failure){disk, writing, error};
}

static enum disk_error_policy policy(const struct options *options)
{
    return !strcmp(options->on_io_error, "stop")     ? DISK_STOP
           : !strcmp(options->on_io_error, "enospc") ? DISK_STOP_NOSPACE
                                                     : DISK_REPORT;
}

static struct block *open_medium(struct machine *m, const char *option, const struct drive_option *drive,
                                 bool read_only, char *why, size_t why_size)
{
    const struct host_disk_options how = {
        .path = drive->path,
        .read_only = drive->read_only || read_only,
        .snapshot = drive->snapshot,
        .keep_discarded = drive->keep_discarded,
        .format = drive->format,
        .backing = drive->backing,
        .iops = drive->iops,
        .bps = drive->bps,
        .policy = policy(m->options),
        .failed = note_failure,
        .opaque = m,
    };
    char reason[300];
    struct block *block = host_disk_open(&how, m->loop, m->log, reason, sizeof(reason));

    if (!block)
        snprintf(why, why_size, "%s %s", option, reason);
    return block;
}

/* With the machine lock held, as the media want it. */
static bool open_all(struct machine *m, char *why, size_t why_size)
{
    for (unsigned n = 0; n < m->disks; n++) {
        m->disk_media[n] = open_medium(m, "--disk", &m->disk[n], false, why, why_size);
        if (!m->disk_media[n])
            return false;
    }
    for (unsigned n = 0; n < m->floppies; n++) {
        m->floppy_slot[n].medium = open_medium(m, "--floppy", &m->floppy[n], false, why, why_size);
        if (!m->floppy_slot[n].medium)
            return false;
    }
    if (m->discs)
        m->cdrom_slot.medium = open_medium(m, "--cdrom", &m->disc[0], true, why, why_size);
    return !m->discs || m->cdrom_slot.medium;
}

bool drives_open(struct machine *m, char *why, size_t why_size)
{
    pthread_mutex_lock(&m->lock);
    bool done = open_all(m, why, why_size);
    pthread_mutex_unlock(&m->lock);
    return done;
}

bool drives_attach(struct machine *m, struct ide *ide)
{
    m->ide = ide;
    for (unsigned n = 0; n < m->disks; n++)
        if (!interfaces[m->disk[n].interface].attach(m, drives_number(m, n), m->disk_media[n]))
            return false;
    if (sata_cdrom(m))
        return storage_attach_ahci_cdrom(m);
    return count_of(m, DRIVE_IDE) > CDROM_PLACE ||
           ide_attach_cdrom(ide, ide_places[CDROM_PLACE].channel, ide_places[CDROM_PLACE].unit, &m->cdrom_slot);
}

static void close_medium(struct block **medium)
{
    block_close(*medium);
    *medium = NULL;
}

/* With the machine lock held. */
static bool swap_disc(struct machine *m, char *note, size_t note_size)
{
    struct block_slot *slot = &m->cdrom_slot;
    struct block *old = slot->medium, *new = NULL;
    unsigned next = m->discs ? (m->disc_in + 1) % (m->discs + 1) : 0;

    if (!m->discs || !slot->changed) {
        snprintf(note, note_size, "no discs were given with --cdrom");
        return false;
    }
    if (old && slot->locked && slot->locked(slot->opaque)) {
        snprintf(note, note_size, "the guest holds the disc; eject it there first");
        return false;
    }
    if (next < m->discs) {
        new = open_medium(m, "--cdrom", &m->disc[next], true, note, note_size);
        if (!new)
            return false;
    }
    m->disc_in = next;
    slot->medium = new;
    slot->changed(slot->opaque);
    block_close(old);
    snprintf(note, note_size, new ? "CD-ROM: %s" : "CD-ROM: no disc", new ? m->disc[next].path : "");
    return true;
}

void drives_name(const struct machine *m, unsigned n, char *name, size_t size)
{
    const struct interface *interface = &interfaces[m->disk[n].interface];

    if (interface->name)
        interface->name(drives_number(m, n), name, size);
    else
        snprintf(name, size, "%s%u", interface->word, drives_number(m, n));
}

struct block_slot *drives_slot(struct machine *m, const char *name)
{
    if (!strcmp(name, "ide1-cd0"))
        return count_of(m, DRIVE_IDE) > CDROM_PLACE && !sata_cdrom(m) ? NULL : &m->cdrom_slot;
    for (unsigned n = 0; n < m->floppies; n++)
        if (!strncmp(name, "floppy", 6) && name[6] == (char)('0' + n) && !name[7])
            return &m->floppy_slot[n];
    return NULL;
}

/* With the machine lock held. */
static bool change(struct machine *m, const char *name, const struct drive_option *drive, bool force, char *why,
                   size_t why_size)
{
    struct block_slot *slot = drives_slot(m, name);
    struct block *old, *new = NULL;
    bool is_cd = slot == &m->cdrom_slot;

    if (!slot || !slot->changed) {
        snprintf(why, why_size, "there is no drive \"%.40s\" whose medium can be changed", name);
        return false;
    }
    old = slot->medium;
    if (old && !force && slot->locked && slot->locked(slot->opaque)) {
        snprintf(why, why_size, "the guest holds the medium in %s; eject it there first, or use force", name);
        return false;
    }
    if (drive) {
        new = open_medium(m, name, drive, is_cd, why, why_size);
        if (!new)
            return false;
    }
    if (is_cd)
        m->disc_in = m->discs;
    slot->medium = new;
    slot->changed(slot->opaque);
    block_close(old);
    return true;
}

bool drives_change(struct machine *m, const char *name, const struct drive_option *drive, bool force, char *why,
                   size_t why_size)
{
    pthread_mutex_lock(&m->lock);
    bool done = change(m, name, drive, force, why, why_size);
    pthread_mutex_unlock(&m->lock);
    return done;
}

/* With the machine lock held. */
static bool tray_is_open(const struct block_slot *slot)
{
    return !slot->tray_open || slot->tray_open(slot->opaque);
}

static bool move_tray(struct block_slot *slot, const char *name, bool open, bool force, bool *moved, char *why,
                      size_t why_size)
{
    *moved = slot->move_tray && tray_is_open(slot) != open;
    if (!*moved)
        return true;
    if (open && !force && slot->locked && slot->locked(slot->opaque)) {
        snprintf(why, why_size, "the guest holds the medium in %s; eject it there first, or use force", name);
        return false;
    }
    slot->move_tray(slot->opaque, open);
    return true;
}

bool drives_move_tray(struct machine *m, const char *name, bool open, bool force, bool *moved, char *why,
                      size_t why_size)
{
    struct block_slot *slot = drives_slot(m, name);

    *moved = false;
    if (!slot || !slot->changed) {
        snprintf(why, why_size, "there is no drive \"%.40s\" whose medium can be changed", name);
        return false;
    }
    pthread_mutex_lock(&m->lock);
    bool done = move_tray(slot, name, open, force, moved, why, why_size);
    pthread_mutex_unlock(&m->lock);
    return done;
}

bool drives_put(struct machine *m, const char *name, const struct drive_option *drive, char *why, size_t why_size)
{
    struct block_slot *slot = drives_slot(m, name);
    bool done = false;

    pthread_mutex_lock(&m->lock);
    if (slot && !tray_is_open(slot)) {
        snprintf(why, why_size, "the tray of %s is closed; blockdev-open-tray opens it", name);
    } else if (slot && drive && slot->medium) {
        snprintf(why, why_size, "there is a medium in %s already; blockdev-remove-medium takes it out", name);
    } else {
        done = change(m, name, drive, true, why, why_size);
        if (done && slot->move_tray)
            slot->move_tray(slot->opaque, true); /* changing it has closed the tray */
    }
    pthread_mutex_unlock(&m->lock);
    return done;
}

bool drives_swap_disc(struct machine *m, char *note, size_t note_size)
{
    pthread_mutex_lock(&m->lock);
    bool done = swap_disc(m, note, note_size);
    pthread_mutex_unlock(&m->lock);
    return done;
}

/* What a medium's drive is called. */
static void name_of(struct machine *m, const struct block *medium, char *name, size_t size)
{
    snprintf(name, size, "ide1-cd0");
    for (unsigned n = 0; n < m->floppies; n++)
        if (m->floppy_slot[n].medium == medium)
            snprintf(name, size, "floppy%u", n);
    for (unsigned n = 0; n < m->disks; n++)
        if (m->disk_media[n] == medium)
            drives_name(m, n, name, size);
}

void drives_poll(struct machine *m)
{
    char name[40];

    pthread_mutex_lock(&m->lock);
    struct disk_failure failure = m->disk_failure;
    m->disk_failure.disk = NULL;
    if (failure.disk)
        name_of(m, failure.disk, name, sizeof(name));
    pthread_mutex_unlock(&m->lock);
    if (!failure.disk)
        return;
    machine_pause(m, true);
    control_disk_failed(m->control, name, failure.writing, failure.error);
}

static void retry(struct block *medium)
{
    if (medium)
        host_disk_retry(medium);
}

void drives_retry(struct machine *m)
{
    pthread_mutex_lock(&m->lock);
    for (unsigned n = 0; n < m->disks; n++)
        retry(m->disk_media[n]);
    for (unsigned n = 0; n < m->floppies; n++)
        retry(m->floppy_slot[n].medium);
    retry(m->cdrom_slot.medium);
    pthread_mutex_unlock(&m->lock);
}

void drives_settle(struct machine *m)
{
    for (unsigned n = 0; n < m->disks; n++)
        if (m->disk_media[n])
            host_disk_settle(m->disk_media[n]);
}

void drives_close(struct machine *m)
{
    pthread_mutex_lock(&m->lock);
    for (unsigned n = 0; n < OPTIONS_DISKS; n++)
        close_medium(&m->disk_media[n]);
    for (unsigned n = 0; n < OPTIONS_FLOPPIES; n++)
        close_medium(&m->floppy_slot[n].medium);
    close_medium(&m->cdrom_slot.medium);
    pthread_mutex_unlock(&m->lock);
}
