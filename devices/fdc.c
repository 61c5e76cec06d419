/*
 * fdc.c - 82077AA floppy disk controller: registers, and the commands that don't touch data.
 *
 * In: ports 0x3F2-0x3F5 and 0x3F7, two drives. Out: IRQ 6, data through DMA channel 2 or the FIFO. The chip
 * is strapped for AT mode, and answers PART ID, which newer chips have, as an unknown command. Tracks hold
 * sectors of 512 bytes in MFM with normal data marks, numbered from 1, as many as the image's size says; a
 * disk can't be formatted to anything else, and a deleted data mark is written as a normal one.
 *
 * Not modelled: SCAN commands, sector interleave, the FIFO's threshold (in non-DMA mode the chip never falls
 * behind), precompensation, power-down, tape drives.
 */
#include <stdlib.h>
#include <string.h>

#include "devices/fdc_internal.h"

#define PORT_DOR  0 /* offsets from 0x3F2 */
#define PORT_TDR  1
#define PORT_MSR  2 /* read; written it is DSR */
#define PORT_FIFO 3

#define MSR_READY   0x80
#define MSR_TO_HOST 0x40
#define MSR_NON_DMA 0x20
#define MSR_BUSY    0x10

#define DSR_RESET      0x80
#define DIR_CHANGED    0x80
#define TDR_FLOATING   0xFC
#define RECALIBRATIONS 79 /* steps at most */

#define VERSION_82077 0x90

/* Whether a drive's seek has ended and no sense interrupt has told of it. */
static bool seek_ended(const struct fdc *fdc, unsigned n)
{
    return fdc->seek_st0[n] && fdc->seek_end[n] == CLOCK_NEVER;
}

static void update_irq(struct fdc *fdc)
{
    bool level = fdc->interrupt || fdc->reset_senses == FDC_DRIVES;

    for (unsigned n = 0; n < FDC_DRIVES; n++)
        level |= seek_ended(fdc, n);
    irq_set(&fdc->wires.irq, level && (fdc->dor & DOR_DMA_GATE));
}

void fdc_set_interrupt(struct fdc *fdc, bool level)
{
    fdc->interrupt = level;
    update_irq(fdc);
}

void fdc_set_result(struct fdc *fdc, const uint8_t *bytes, uint8_t size)
{
    memcpy(fdc->fifo, bytes, size);
    fdc->fifo_at = 0;
    fdc->fifo_size = size;
    fdc->phase = FDC_RESULT;
}

static void await_command(struct fdc *fdc)
{
    fdc->phase = FDC_COMMAND;
    fdc->fifo_at = fdc->fifo_size = 0;
}

static void invalid_command(struct fdc *fdc)
{
    const uint8_t st0 = ST0_INVALID;

    fdc_set_result(fdc, &st0, 1);
}

/* --- reset -------------------------------------------------------------------------------------------------
 */

/* By DOR or DSR. What SPECIFY said stays, and what LOCK covers (data sheet, 6.3). */
static void soft_reset(struct fdc *fdc)
{
    fdc_cancel(fdc);
    await_command(fdc);
    for (unsigned n = 0; n < FDC_DRIVES; n++) {
        fdc->seek_end[n] = CLOCK_NEVER;
        fdc->seek_st0[n] = 0;
    }
    timer_disarm(&fdc->seek_timer);
    fdc->reset_senses = 0;
    if (fdc->locked) {
        fdc->config &= CONFIG_NO_FIFO | CONFIG_THRESHOLD;
    } else {
        fdc->config = CONFIG_NO_FIFO;
        fdc->precomp_track = 0;
    }
    fdc->perpendicular &= ~3;
    fdc_set_interrupt(fdc, false);
}

static void leave_reset(struct fdc *fdc)
{
    fdc->reset_end = clock_now(fdc->clock) + FDC_RESET_NS;
    timer_arm(&fdc->reset_timer, fdc->reset_end);
}

/* Polling finds that all four drives changed from not ready to ready. */
static void reset_due(void *opaque)
{
    struct fdc *fdc = opaque;

    fdc->reset_end = CLOCK_NEVER;
    fdc->reset_senses = FDC_DRIVES;
    update_irq(fdc);
}

static bool in_reset(const struct fdc *fdc)
{
    return !(fdc->dor & DOR_NO_RESET) || fdc->reset_end != CLOCK_NEVER;
}

/* --- seeks --------------------------------------------------------------------------------------- */

static void arm_seek_timer(struct fdc *fdc)
{
    uint64_t first = CLOCK_NEVER;

    for (unsigned n = 0; n < FDC_DRIVES; n++)
        first = fdc->seek_end[n] < first ? fdc->seek_end[n] : first;
    timer_arm(&fdc->seek_timer, first);
}

static void seek_due(void *opaque)
{
    struct fdc *fdc = opaque;
    uint64_t now = clock_now(fdc->clock);

    for (unsigned n = 0; n < FDC_DRIVES; n++) {
        if (fdc->seek_end[n] > now)
            continue;
        fdc->seek_end[n] = CLOCK_NEVER;
    }
    arm_seek_timer(fdc);
    update_irq(fdc);
}

/* The heads of drive n move; the guest hears of `st0` when they have come to rest. */
static void seek(struct fdc *fdc, unsigned n, int tracks, uint8_t st0)
{
    unsigned steps = fdc_drive_step(&fdc->drives[n], tracks);

    fdc->seek_st0[n] = st0;
    fdc->seek_end[n] = clock_now(fdc->clock) + FDC_SETTLE_NS + steps * FDC_STEP_NS;
    fdc->reset_senses = 0;
    arm_seek_timer(fdc);
    update_irq(fdc);
    await_command(fdc);
}

static void cmd_seek(struct fdc *fdc)
{
    unsigned n = fdc->fifo[1] & 3;
    int from = fdc->pcn[n];

    fdc->pcn[n] = fdc->fifo[2];
    seek(fdc, n, fdc->fifo[2] - from, ST0_SEEK_END | (fdc->fifo[1] & 7));
}

static void cmd_relative_seek(struct fdc *fdc)
{
    unsigned n = fdc->fifo[1] & 3;
    int tracks = fdc->fifo[0] & 0x40 ? fdc->fifo[2] : -fdc->fifo[2];

    fdc->pcn[n] = (uint8_t)(fdc->pcn[n] + tracks);
    seek(fdc, n, tracks, ST0_SEEK_END | (fdc->fifo[1] & 7));
}

/* Steps out until the drive says track 0, which an absent drive never does. */
static void cmd_recalibrate(struct fdc *fdc)
{
    unsigned n = fdc->fifo[1] & 3, track = fdc->drives[n].track;
    bool found = fdc->drives[n].slot && track <= RECALIBRATIONS;

    fdc->pcn[n] = 0;
    seek(fdc, n, found ? -(int)track : -RECALIBRATIONS,
         ST0_SEEK_END | n | (found ? 0 : ST0_ABNORMAL | ST0_EQUIPMENT));
}

/* What hasn't been told yet raises the line again. */
static void cmd_sense_interrupt(struct fdc *fdc)
{
    uint8_t result[2];
    unsigned n = 0;

    if (fdc->reset_senses) {
        n = FDC_DRIVES - fdc->reset_senses--;
        result[0] = ST0_POLLING | n;
    } else {
        while (n < FDC_DRIVES && !seek_ended(fdc, n))
            n++;
        if (n == FDC_DRIVES) {
            invalid_command(fdc);
            return;
        }
        result[0] = fdc->seek_st0[n];
        fdc->seek_st0[n] = 0;
    }
    result[1] = fdc->pcn[n];
    irq_set(&fdc->wires.irq, false);
    update_irq(fdc);
    fdc_set_result(fdc, result, 2);
}

/* --- other commands ------------------------------------------------------------------------------ */

static void cmd_specify(struct fdc *fdc)
{
    memcpy(fdc->specify, fdc->fifo + 1, 2);
    await_command(fdc);
}

static void cmd_sense_drive(struct fdc *fdc)
{
    const struct fdc_drive *drive = &fdc->drives[fdc->fifo[1] & 3];
    uint8_t st3 = ST3_ONES | (fdc->fifo[1] & 7) | (drive->slot && !drive->track ? ST3_TRACK_0 : 0) |
                  (fdc_drive_protected(drive) ? ST3_PROTECTED : 0);

    fdc_set_result(fdc, &st3, 1);
}

static void cmd_configure(struct fdc *fdc)
{
    fdc->config = fdc->fifo[2] & 0x7F;
    fdc->precomp_track = fdc->fifo[3];
    await_command(fdc);
}

static void cmd_dumpreg(struct fdc *fdc)
{
    const uint8_t result[] = {
        fdc->pcn[0],     fdc->pcn[1],       fdc->pcn[2], fdc->pcn[3],
        fdc->specify[0], fdc->specify[1],   fdc->eot,    (fdc->locked ? 0x80 : 0) | fdc->perpendicular,
        fdc->config,     fdc->precomp_track};

    fdc_set_result(fdc, result, sizeof(result));
}

static void cmd_version(struct fdc *fdc)
{
    const uint8_t version = VERSION_82077;

    fdc_set_result(fdc, &version, 1);
}

/* D0-D3 change only with OW set. */
static void cmd_perpendicular(struct fdc *fdc)
{
    uint8_t mask = fdc->fifo[1] & 0x80 ? 0x3F : 0x03;

    fdc->perpendicular = (fdc->perpendicular & ~mask) | (fdc->fifo[1] & mask);
    await_command(fdc);
}

static void cmd_lock(struct fdc *fdc)
{
    uint8_t result;

    fdc->locked = fdc->fifo[0] & 0x80;
    result = fdc->locked ? 0x10 : 0;
    fdc_set_result(fdc, &result, 1);
}

/* Commands by their bits that aren't options; `size` is theirs with all parameters. */
static const struct fdc_command {
    uint8_t mask, code, size;
    uint8_t op; /* enum fdc_op, or */
    void (*run)(struct fdc *fdc);
} commands[] = {
    {0x9F, 0x02, 9, FDC_OP_READ_TRACK, NULL},
    {0xFF, 0x03, 3, 0, cmd_specify},
    {0xFF, 0x04, 2, 0, cmd_sense_drive},
    {0x3F, 0x05, 9, FDC_OP_WRITE, NULL},
    {0x1F, 0x06, 9, FDC_OP_READ, NULL},
    {0xFF, 0x07, 2, 0, cmd_recalibrate},
    {0xFF, 0x08, 1, 0, cmd_sense_interrupt},
    {0x3F, 0x09, 9, FDC_OP_WRITE, NULL}, /* deleted data */
    {0xBF, 0x0A, 2, FDC_OP_READ_ID, NULL},
    {0x1F, 0x0C, 9, FDC_OP_READ_DELETED, NULL},
    {0xBF, 0x0D, 6, FDC_OP_FORMAT, NULL},
    {0xFF, 0x0E, 1, 0, cmd_dumpreg},
    {0xFF, 0x0F, 3, 0, cmd_seek},
    {0xBF, 0x8F, 3, 0, cmd_relative_seek},
    {0xFF, 0x10, 1, 0, cmd_version},
    {0xFF, 0x12, 2, 0, cmd_perpendicular},
    {0xFF, 0x13, 4, 0, cmd_configure},
    {0x7F, 0x14, 1, 0, cmd_lock},
    {0x1F, 0x16, 9, FDC_OP_VERIFY, NULL},
};

static const struct fdc_command *find_command(uint8_t code)
{
    for (unsigned i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
        if ((code & commands[i].mask) == commands[i].code)
            return &commands[i];
    }
    return NULL;
}

static void take_command_byte(struct fdc *fdc, uint8_t value)
{
    const struct fdc_command *command;

    fdc->fifo[fdc->fifo_at++] = value;
    command = find_command(fdc->fifo[0]);
    if (!command) {
        log_at(fdc->log, LOG_GUEST, "fdc", "unknown command 0x%02x", fdc->fifo[0]);
        invalid_command(fdc);
    } else if (fdc->fifo_at < command->size) {
        return;
    } else if (command->run) {
        command->run(fdc);
    } else {
        fdc->reset_senses = 0;
        update_irq(fdc);
        fdc_start(fdc, command->op);
    }
}

/* --- registers ----------------------------------------------------------------------------------- */

static uint8_t read_msr(const struct fdc *fdc)
{
    uint8_t msr = 0;
    bool to_host;

    if (in_reset(fdc))
        return 0;
    for (unsigned n = 0; n < FDC_DRIVES; n++)
        msr |= fdc->seek_st0[n] ? 1u << n : 0;
    if (fdc->phase == FDC_COMMAND)
        return msr | MSR_READY | (fdc->fifo_at ? MSR_BUSY : 0);
    if (fdc->phase == FDC_RESULT)
        return msr | MSR_READY | MSR_TO_HOST | MSR_BUSY;
    if (fdc_wants_byte(fdc, &to_host))
        msr |= MSR_READY | MSR_NON_DMA | (to_host ? MSR_TO_HOST : 0);
    return msr | MSR_BUSY;
}

static uint8_t read_fifo(struct fdc *fdc)
{
    uint8_t value;
    bool to_host;

    if (in_reset(fdc))
        return 0;
    if (fdc->phase == FDC_EXECUTION && fdc_wants_byte(fdc, &to_host) && to_host)
        return fdc_data_out(fdc);
    if (fdc->phase != FDC_RESULT)
        return 0;
    value = fdc->fifo[fdc->fifo_at++];
    fdc_set_interrupt(fdc, false); /* a read or write command's, at the first byte of its result */
    if (fdc->fifo_at >= fdc->fifo_size)
        await_command(fdc);
    return value;
}

static void write_fifo(struct fdc *fdc, uint8_t value)
{
    bool to_host;

    if (in_reset(fdc))
        return;
    if (fdc->phase == FDC_EXECUTION && fdc_wants_byte(fdc, &to_host) && !to_host)
        fdc_data_in(fdc, value);
    else if (fdc->phase == FDC_COMMAND)
        take_command_byte(fdc, value);
    else
        log_at(fdc->log, LOG_GUEST, "fdc", "0x%02x written when no byte was wanted", value);
}

static void write_dor(struct fdc *fdc, uint8_t value)
{
    uint8_t old = fdc->dor;

    fdc->dor = value;
    for (unsigned n = 0; n < FDC_DRIVES; n++) {
        if (old & ~value & DOR_MOTOR_0 << n)
            fdc_drive_flush(&fdc->drives[n]);
    }
    if (old & ~value & DOR_NO_RESET) {
        soft_reset(fdc);
        fdc->reset_end = CLOCK_NEVER;
        timer_disarm(&fdc->reset_timer);
    }
    if (value & ~old & DOR_NO_RESET)
        leave_reset(fdc);
    update_irq(fdc);
}

static void write_dsr(struct fdc *fdc, uint8_t value)
{
    fdc->rate = value & 3;
    fdc->precompensation = value >> 2 & 7;
    if (!(value & DSR_RESET) || !(fdc->dor & DOR_NO_RESET))
        return;
    soft_reset(fdc);
    leave_reset(fdc);
}

static uint64_t fdc_read(void *dev, uint64_t addr, unsigned size)
{
    struct fdc *fdc = dev;

    (void)size;
    switch (addr) {
    case PORT_DOR:
        return fdc->dor;
    case PORT_TDR:
        return fdc->tape | TDR_FLOATING;
    case PORT_MSR:
        return read_msr(fdc);
    default:
        return read_fifo(fdc);
    }
}

static void fdc_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct fdc *fdc = dev;

    (void)size;
    switch (addr) {
    case PORT_DOR:
        write_dor(fdc, value);
        break;
    case PORT_TDR:
        fdc->tape = value & 3;
        break;
    case PORT_MSR:
        write_dsr(fdc, value);
        break;
    default:
        write_fifo(fdc, value);
    }
}

/* DIR: a drive shows its change line while it is selected and turns. */
static uint64_t dir_read(void *dev, uint64_t addr, unsigned size)
{
    struct fdc *fdc = dev;
    unsigned n = fdc->dor & DOR_SELECT;

    (void)addr, (void)size;
    return (fdc->dor & DOR_MOTOR_0 << n) && fdc_drive_changed(&fdc->drives[n]) ? DIR_CHANGED : 0;
}

static void ccr_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct fdc *fdc = dev;

    (void)addr, (void)size;
    fdc->rate = value & 3;
}

static const struct bus_ops fdc_ops = {fdc_read, fdc_write, 1};
static const struct bus_ops rate_ops = {dir_read, ccr_write, 1};

uint8_t fdc_cmos_types(const struct fdc *fdc)
{
    return fdc->drives[0].type << 4 | fdc->drives[1].type;
}

/* --- class --------------------------------------------------------------------------------------- */

/* Drives don't see the RESET pin: heads stay where they are, and the change line as it is. */
static void fdc_reset(void *device)
{
    struct fdc *fdc = device;

    for (unsigned n = 0; n < FDC_DRIVES; n++)
        fdc_drive_flush(&fdc->drives[n]);
    fdc->dor = 0;
    fdc->tape = 0;
    fdc->rate = RATE_250K;
    fdc->precompensation = 0;
    fdc->locked = false;
    soft_reset(fdc);
    fdc->perpendicular = 0;
    fdc->eot = 0;
    memset(fdc->specify, 0, sizeof(fdc->specify));
    memset(fdc->pcn, 0, sizeof(fdc->pcn));
    fdc->reset_end = CLOCK_NEVER;
    timer_disarm(&fdc->reset_timer);
}

/* A state from elsewhere may say anything; the rest of the file relies on this much. */
static void fdc_loaded(void *device)
{
    struct fdc *fdc = device;

    if (fdc->fifo_size > 10)
        fdc->fifo_size = 10;
    if (fdc->phase > FDC_RESULT || (fdc->phase == FDC_COMMAND && fdc->fifo_at > 8) ||
        (fdc->phase == FDC_RESULT && fdc->fifo_at >= fdc->fifo_size))
        await_command(fdc);
    if (fdc->reset_senses > FDC_DRIVES)
        fdc->reset_senses = 0;
    for (unsigned n = 0; n < FDC_DRIVES; n++)
        fdc_drive_look(&fdc->drives[n]);
    fdc_transfer_loaded(fdc);
    timer_arm(&fdc->reset_timer, fdc->reset_end);
    arm_seek_timer(fdc);
    update_irq(fdc);
}

static void fdc_free(void *device)
{
    struct fdc *fdc = device;

    if (!fdc)
        return;
    timer_disarm(&fdc->seek_timer);
    timer_disarm(&fdc->step_timer);
    timer_disarm(&fdc->reset_timer);
    free(fdc);
}

static const struct field drive_fields[] = {
    FIELD(struct fdc_drive, type),
    FIELD(struct fdc_drive, track),
    FIELD(struct fdc_drive, changed),
    FIELD(struct fdc_drive, written),
    FIELD_END,
};

static const struct field fdc_fields[] = {
    FIELD(struct fdc, dor),
    FIELD(struct fdc, tape),
    FIELD(struct fdc, rate),
    FIELD(struct fdc, precompensation),
    FIELD(struct fdc, phase),
    FIELD_ARRAY(struct fdc, fifo),
    FIELD(struct fdc, fifo_at),
    FIELD(struct fdc, fifo_size),
    FIELD_ARRAY(struct fdc, specify),
    FIELD(struct fdc, config),
    FIELD(struct fdc, precomp_track),
    FIELD(struct fdc, perpendicular),
    FIELD(struct fdc, locked),
    FIELD(struct fdc, eot),
    FIELD_ARRAY(struct fdc, pcn),
    FIELD_ARRAY(struct fdc, seek_st0),
    FIELD_ARRAY(struct fdc, seek_end),
    FIELD(struct fdc, reset_senses),
    FIELD(struct fdc, reset_end),
    FIELD(struct fdc, interrupt),
    FIELD(struct fdc, step),
    FIELD(struct fdc, op),
    FIELD(struct fdc, step_at),
    FIELD(struct fdc, overrun_at),
    FIELD(struct fdc, drive),
    FIELD(struct fdc, head),
    FIELD(struct fdc, c),
    FIELD(struct fdc, h),
    FIELD(struct fdc, r),
    FIELD(struct fdc, n),
    FIELD(struct fdc, st0),
    FIELD(struct fdc, st1),
    FIELD(struct fdc, st2),
    FIELD(struct fdc, multi_track),
    FIELD(struct fdc, skip),
    FIELD(struct fdc, mfm),
    FIELD(struct fdc, counted),
    FIELD(struct fdc, terminal),
    FIELD(struct fdc, fill),
    FIELD(struct fdc, remaining),
    FIELD(struct fdc, index),
    FIELD(struct fdc, lba),
    FIELD(struct fdc, data_at),
    FIELD(struct fdc, data_size),
    FIELD_ARRAY(struct fdc, sector),
    FIELD_STRUCTS(struct fdc, drives, drive_fields),
    FIELD_END,
};

const struct device_class fdc_class = {
    .name = "fdc",
    .reset = fdc_reset,
    .loaded = fdc_loaded,
    .free = fdc_free,
    .state = fdc_fields,
};

struct fdc *fdc_new(struct clock *clock, struct bus *ports, const struct fdc_wires *wires, struct log *log)
{
    struct fdc *fdc = calloc(1, sizeof(*fdc));

    if (!fdc)
        return NULL;
    fdc->clock = clock;
    fdc->wires = *wires;
    fdc->log = log;
    timer_init(&fdc->seek_timer, clock, "fdc-seek", seek_due, fdc);
    timer_init(&fdc->reset_timer, clock, "fdc-reset", reset_due, fdc);
    fdc_transfer_init(fdc);
    for (unsigned n = 0; n < FDC_DRIVES; n++)
        fdc_drive_init(fdc, n);
    fdc_reset(fdc);
    if (!bus_map(ports, "fdc", 0x3F2, 4, &fdc_ops, fdc) ||
        !bus_map(ports, "fdc-rate", 0x3F7, 1, &rate_ops, fdc)) {
        fdc_free(fdc);
        return NULL;
    }
    return fdc;
}
