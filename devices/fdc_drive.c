/*
 * fdc_drive.c - floppy drives and what is in them: a disk's format follows from the size of its image.
 */
#include "devices/fdc_internal.h"

#define TRACK_LIMIT 83 /* where the heads come to a stop */

/* By size; an image of no size here is taken for the next larger 3.5 inch disk, with nothing on its rest. */
static const struct fdc_format formats[] = {
    {320, 40, 1, 8, RATE_250K, FDC_360K},    /* 160K */
    {360, 40, 1, 9, RATE_250K, FDC_360K},    /* 180K */
    {640, 40, 2, 8, RATE_250K, FDC_360K},    /* 320K */
    {720, 40, 2, 9, RATE_250K, FDC_360K},    /* 360K */
    {1440, 80, 2, 9, RATE_250K, FDC_1440K},  /* 720K */
    {1640, 82, 2, 10, RATE_250K, FDC_1440K}, /* 820K */
    {2400, 80, 2, 15, RATE_500K, FDC_1200K}, /* 1.2M */
    {2880, 80, 2, 18, RATE_500K, FDC_1440K}, /* 1.44M */
    {3200, 80, 2, 20, RATE_500K, FDC_1440K}, /* 1.6M */
    {3360, 80, 2, 21, RATE_500K, FDC_1440K}, /* 1.68M, as distribution media had it */
    {3444, 82, 2, 21, RATE_500K, FDC_1440K}, /* 1.72M */
    {5760, 80, 2, 36, RATE_1M, FDC_2880K},   /* 2.88M */
};

#define FORMATS (sizeof(formats) / sizeof(formats[0]))

static const struct fdc_format *format_of(uint64_t size)
{
    uint64_t sectors = size / FDC_SECTOR;

    if (!sectors)
        return NULL;
    for (unsigned i = 0; i < FORMATS; i++) {
        if (formats[i].sectors == sectors)
            return &formats[i];
    }
    for (unsigned i = 0; i < FORMATS; i++) {
        if (formats[i].sectors > sectors && (formats[i].sectors == 2880 || formats[i].sectors == 5760))
            return &formats[i];
    }
    return &formats[FORMATS - 1];
}

void fdc_drive_look(struct fdc_drive *drive)
{
    struct block *medium = drive->slot ? drive->slot->medium : NULL;

    drive->format = medium ? format_of(medium->size) : NULL;
}

static void medium_changed(void *opaque)
{
    struct fdc_drive *drive = opaque;

    drive->changed = true;
    drive->written = false; /* closing the old one flushed it */
    fdc_drive_look(drive);
}

static void flushed(struct block_request *request, int error)
{
    struct fdc_drive *drive = request->opaque;

    (void)error; /* the backend has told of it; no floppy drive could */
    drive->flushing = false;
}

void fdc_drive_init(struct fdc *fdc, unsigned n)
{
    struct fdc_drive *drive = &fdc->drives[n];

    if (n >= 2 || !fdc->wires.drive[n])
        return;
    drive->slot = fdc->wires.drive[n];
    drive->slot->changed = medium_changed;
    drive->slot->locked = NULL;
    drive->slot->opaque = drive;
    drive->flush = (struct block_request){.op = BLOCK_FLUSH, .done = flushed, .opaque = drive};
    drive->changed = true;
    fdc_drive_look(drive);
    drive->type = fdc->wires.type[n];
    if (drive->type == FDC_NO_DRIVE || drive->type > FDC_2880K)
        drive->type = drive->format ? drive->format->drive : FDC_1440K;
}

unsigned fdc_drive_step(struct fdc_drive *drive, int tracks)
{
    int target = drive->track + tracks;
    unsigned steps = tracks < 0 ? -tracks : tracks;

    if (!drive->slot)
        return steps;
    drive->track = target < 0 ? 0 : target > TRACK_LIMIT ? TRACK_LIMIT : target;
    if (steps && drive->format)
        drive->changed = false;
    return steps;
}

bool fdc_drive_changed(const struct fdc_drive *drive)
{
    return drive->slot && drive->changed;
}

/* Without a disk nothing covers the sensor's hole, or the notch. */
bool fdc_drive_protected(const struct fdc_drive *drive)
{
    return drive->slot && (!drive->format || !drive->slot->medium || drive->slot->medium->read_only);
}

static bool steps_twice(const struct fdc_drive *drive)
{
    return drive->type == FDC_1200K && drive->format && drive->format->cylinders <= 42;
}

unsigned fdc_drive_cylinder(const struct fdc_drive *drive)
{
    return steps_twice(drive) ? drive->track / 2 : drive->track;
}

/* A 1.2M drive turns 360 times a minute, so that what others read at 250 kb/s comes by at 300. */
bool fdc_drive_readable(const struct fdc *fdc, unsigned n, unsigned head)
{
    const struct fdc_drive *drive = &fdc->drives[n];
    const struct fdc_format *format = drive->format;
    unsigned rate;

    if (!format || !(fdc->dor & DOR_MOTOR_0 << n))
        return false;
    rate = drive->type == FDC_1200K && format->rate == RATE_250K ? RATE_300K : format->rate;
    return fdc->rate == rate && fdc->mfm && head < format->heads &&
           fdc_drive_cylinder(drive) < format->cylinders;
}

void fdc_drive_flush(struct fdc_drive *drive)
{
    if (!drive->written || drive->flushing || !drive->format || !drive->slot->medium)
        return;
    drive->written = false;
    drive->flushing = true;
    block_submit(drive->slot->medium, &drive->flush);
}
