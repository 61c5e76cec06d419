/*
 * option_drive.c - reads the values of --disk, --cdrom, --floppy and IMAGE, FILE[,NAME[=VALUE]]...; see
 * option_values.h.
 *
 * A file's name may have commas. So parts are taken from the end, as long as they begin with a name that is
 * known.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/option_values.h"

/* One drive while it is read. */
struct reading {
    const char *option; /* as the user knows it, with its dashes */
    struct drive_option *drive;
    char *why;
    size_t why_size;
};

static bool refuse(const struct reading *r, const char *name, const char *value, const char *instead)
{
    snprintf(r->why, r->why_size, "%s: %s=%.60s: %s", r->option, name, value, instead);
    return false;
}

/* A switch's value; `on` when there is none. */
static bool read_switch(const struct reading *r, const char *name, const char *value, bool *on)
{
    *on = !value || options_one_of(value, "yes|on|true|1|unmap");
    if (*on || options_one_of(value, "no|off|false|0|ignore"))
        return true;
    return refuse(r, name, value, "this is on or off");
}

static bool take_read_only(const struct reading *r, const char *name, const char *value)
{
    return read_switch(r, name, value, &r->drive->read_only);
}

static bool take_snapshot(const struct reading *r, const char *name, const char *value)
{
    return read_switch(r, name, value, &r->drive->snapshot);
}

static bool take_discard(const struct reading *r, const char *name, const char *value)
{
    bool on, good = read_switch(r, name, value, &on);

    r->drive->keep_discarded = !on;
    return good;
}

static bool take_interface(const struct reading *r, const char *name, const char *value)
{
    static const char *const names[DRIVE_INTERFACES] = {"ide", "virtio", "ahci", "nvme"};

    for (unsigned n = 0; n < DRIVE_INTERFACES; n++)
        if (!strcmp(names[n], value)) {
            r->drive->interface = (enum drive_interface)n;
            return true;
        }
    return refuse(r, name, value, "choose from ide, virtio, ahci, nvme");
}

/* Which formats there are is the host's business. */
static bool take_format(const struct reading *r, const char *name, const char *value)
{
    (void)name;
    r->drive->format = value;
    return true;
}

static bool take_backing(const struct reading *r, const char *name, const char *value)
{
    (void)name;
    r->drive->backing = value;
    return true;
}

static bool take_iops(const struct reading *r, const char *name, const char *value)
{
    char *end;

    errno = 0;
    r->drive->iops = strtoull(value, &end, 10);
    if (!isdigit((unsigned char)*value) || *end || errno || !r->drive->iops || r->drive->iops > 1000000000)
        return refuse(r, name, value, "give a number of requests a second, like 500");
    return true;
}

/* As sizes elsewhere, but a number alone is bytes. */
static bool take_bps(const struct reading *r, const char *name, const char *value)
{
    char *end;

    errno = 0;
    r->drive->bps = strtoull(value, &end, 10);
    if (isdigit((unsigned char)*value) && !errno && (!*end || options_size(value, &r->drive->bps)) &&
        r->drive->bps)
        return true;
    return refuse(r, name, value, "give bytes a second, like 20M");
}

static bool take_queues(const struct reading *r, const char *name, const char *value)
{
    char *end;
    unsigned long queues = strtoul(value, &end, 10);

    if (!isdigit((unsigned char)*value) || *end || !queues || queues > DRIVE_QUEUES)
        return refuse(r, name, value, "give a number from 1 to 16");
    r->drive->queues = (unsigned)queues;
    return true;
}

static const struct {
    const char *name;
    bool (*take)(const struct reading *r, const char *name, const char *value);
    bool alone; /* may stand without a value */
} parts[] = {
    {"readonly", take_read_only, true}, {"snapshot", take_snapshot, true}, {"discard", take_discard, false},
    {"if", take_interface, false},      {"format", take_format, false},    {"backing", take_backing, false},
    {"iops", take_iops, false},         {"bps", take_bps, false},
    {"queues", take_queues, false},
};

/* Whether `part` is one of the table's. */
static bool is_part(const char *part, size_t *index)
{
    size_t length = strcspn(part, "=");

    for (size_t n = 0; n < sizeof(parts) / sizeof(*parts); n++)
        if (strlen(parts[n].name) == length && !strncmp(parts[n].name, part, length) &&
            (part[length] || parts[n].alone)) {
            *index = n;
            return true;
        }
    return false;
}

/* Cuts known parts off the end of `text` and takes them, the last first. */
static bool take_parts(const struct reading *r, char *text)
{
    size_t n;

    for (char *comma; (comma = strrchr(text, ',')) && comma > text && is_part(comma + 1, &n); *comma = 0) {
        char *value = strchr(comma + 1, '=');

        if (value && !*++value) {
            snprintf(r->why, r->why_size, "%s: %s needs a value, %s=VALUE", r->option, parts[n].name,
                     parts[n].name);
            return false;
        }
        if (!parts[n].take(r, parts[n].name, value))
            return false;
    }
    return true;
}

static bool set_drive(struct options *options, const struct option_row *row, struct drive_option *drive,
                      const char *value, char *why, size_t why_size)
{
    char option[40];
    const struct reading r = {option, drive, why, why_size};
    char *text;

    snprintf(option, sizeof(option), "%s%s", row->positional ? "" : "--", row->name);
    if (!*value) {
        snprintf(why, why_size, "%s is empty; give it a file or leave it out", option);
        return false;
    }
    text = options_keep(options, value, why, why_size);
    *drive = (struct drive_option){.path = text};
    return text && take_parts(&r, text);
}

bool set_image(struct options *options, const struct option_row *row, const char *value, char *why,
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

bool set_disk(struct options *options, const struct option_row *row, const char *value, char *why,
              size_t why_size)
{
    return add_drive(options, row, options->disk, &options->disks, OPTIONS_DISKS, value, why, why_size);
}

bool set_floppy(struct options *options, const struct option_row *row, const char *value, char *why,
                size_t why_size)
{
    return add_drive(options, row, options->floppy, &options->floppies, OPTIONS_FLOPPIES, value, why,
                     why_size);
}

bool set_cdrom(struct options *options, const struct option_row *row, const char *value, char *why,
               size_t why_size)
{
    return add_drive(options, row, options->cdrom, &options->discs, OPTIONS_DISCS, value, why, why_size);
}
