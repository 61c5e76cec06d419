/*
 * ata.c - what all ATA drives share: registers, the data port, DMA, resets.
 *
 * In: register accesses and DMA from the controller. Out: INTRQ and DMARQ; requests to the medium, which come
 * back later in the event loop. There is one request at most, it uses the drive's one buffer, and BSY is set
 * while it is out, even across a reset: so nobody else touches the buffer.
 *
 * The buffer takes more than one DRQ block: `filled` bytes come from the medium or go there, and the host
 * gets them in pieces, each ending at `end`.
 */
#include "devices/ata.h"

#include <errno.h>
#include <string.h>

#include "devices/ata_internal.h"

#define READY (ATA_STATUS_DRDY | ATA_STATUS_DSC)

static void update_irq(struct ata *ata)
{
    ata->cable.intrq(ata->cable.opaque);
}

bool ata_intrq(const struct ata *ata)
{
    return ata->intrq && !(ata->control & ATA_CONTROL_NIEN);
}

static void interrupt(struct ata *ata, bool pending)
{
    ata->intrq = pending;
    update_irq(ata);
}

void ata_done_quietly(struct ata *ata)
{
    ata->phase = ATA_IDLE;
    ata->status = READY;
    ata->error = 0;
}

void ata_done(struct ata *ata)
{
    ata_done_quietly(ata);
    interrupt(ata, true);
}

void ata_fail(struct ata *ata, uint8_t error)
{
    ata->phase = ATA_IDLE;
    ata->status = READY | ATA_STATUS_ERR;
    ata->error = error;
    interrupt(ata, true);
}

void ata_offer(struct ata *ata, enum ata_phase phase, uint32_t at, uint32_t end, bool interrupting)
{
    ata->phase = phase;
    ata->at = at;
    ata->end = end;
    ata->status = READY | ATA_STATUS_DRQ;
    ata->error = 0;
    if (interrupting)
        interrupt(ata, true);
    if (phase == ATA_DMA_IN || phase == ATA_DMA_OUT)
        ata->cable.dmarq(ata->cable.opaque);
}

/* The medium. */

static void reset_end(struct ata *ata);

static void request_done(struct block_request *request, int error)
{
    struct ata *ata = request->opaque;

    ata->in_flight = false;
    if (ata->phase == ATA_RESETTING)
        reset_end(ata);
    else if (ata->phase == ATA_MEDIUM)
        ata->kind->finished(ata, error);
}

/* Commands check what they are asked for; a state that was loaded may say anything. */
static bool in_range(const struct ata *ata, const struct block *medium)
{
    return medium && !((ata->io_offset | ata->io_size) % ATA_SECTOR) && ata->io_offset <= medium->size &&
           ata->io_size <= medium->size - ata->io_offset &&
           (ata->io_op == BLOCK_READ || ata->io_op == BLOCK_FLUSH || !medium->read_only);
}

static void submit(struct ata *ata, struct block *medium)
{
    ata->phase = ATA_MEDIUM;
    ata->status = READY | ATA_STATUS_BSY;
    if (!in_range(ata, medium)) {
        ata->kind->finished(ata, EINVAL);
        return;
    }
    ata->in_flight = true;
    ata->request = (struct block_request){
        .op = (enum block_op)ata->io_op,
        .offset = ata->io_offset,
        .size = ata->io_size,
        .data = ata->io_size ? ata->buffer : NULL,
        .done = request_done,
        .opaque = ata,
    };
    block_submit(medium, &ata->request);
}

void ata_access(struct ata *ata, struct block *medium, enum block_op op, uint64_t offset, uint32_t size)
{
    ata->io_op = op;
    ata->io_offset = offset;
    ata->io_size = size;
    submit(ata, medium);
}

/* Resets. */

void ata_signature(struct ata *ata)
{
    bool packet = ata->kind->packet;

    memset(ata->previous, 0, sizeof(ata->previous));
    ata->current[ATA_COUNT] = 1;
    ata->current[ATA_LBA_LOW] = 1;
    ata->current[ATA_LBA_MID] = packet ? 0x14 : 0;
    ata->current[ATA_LBA_HIGH] = packet ? 0xEB : 0;
    ata->device &= ATA_DEVICE_DEV;
}

static void reset_begin(struct ata *ata)
{
    ata->phase = ATA_RESETTING;
    ata->status = ATA_STATUS_BSY;
    ata->asleep = false;
    ata->power = ATA_POWER_ACTIVE;
    interrupt(ata, false);
}

/* A CD-ROM drive is not "ready" before its first command, so that old drivers don't take it for a disk
 * (9.10). */
static void reset_end(struct ata *ata)
{
    if (ata->in_flight || ata->control & ATA_CONTROL_SRST)
        return;
    ata->phase = ATA_IDLE;
    ata_signature(ata);
    ata->error = 1; /* passed */
    ata->status = ata->kind->packet ? 0 : READY;
    update_irq(ata);
}

void ata_reset(struct ata *ata)
{
    ata->control = 0;
    ata->device = 0;
    ata->command = 0;
    ata->multiple = 0;
    ata->mwdma = 0;
    ata->udma = 0;
    ata->write_cache = ata->look_ahead = true;
    ata->heads = 16;
    ata->track = 63;
    ata->at = ata->end = ata->filled = ata->left = 0;
    ata->block = 1;
    if (ata->kind->packet)
        atapi_power_on(ata);
    reset_begin(ata);
    reset_end(ata);
}

void ata_diagnose(struct ata *ata)
{
    if (ata->status & ATA_STATUS_BSY || ata->asleep)
        return;
    reset_begin(ata);
    reset_end(ata);
    ata->device = 0;
    if (ata->unit == 0)
        interrupt(ata, true);
}

/* DEVICE RESET, which only CD-ROM drives have, works even while they are busy (6.17). */
static void device_reset(struct ata *ata)
{
    reset_begin(ata);
    reset_end(ata);
}

/* Registers. */

void ata_write_control(struct ata *ata, uint8_t value)
{
    uint8_t changed = ata->control ^ value;

    ata->control = value;
    if (changed & ATA_CONTROL_SRST && value & ATA_CONTROL_SRST)
        reset_begin(ata);
    else if (changed & ATA_CONTROL_SRST)
        reset_end(ata);
    if (changed & ATA_CONTROL_SRST)
        ata->device = 0;
    update_irq(ata);
}

uint8_t ata_read(struct ata *ata, unsigned reg)
{
    switch (reg) {
    case ATA_ERROR:
        return ata->error;
    case ATA_COUNT:
    case ATA_LBA_LOW:
    case ATA_LBA_MID:
    case ATA_LBA_HIGH:
        return ata->control & ATA_CONTROL_HOB ? ata->previous[reg] : ata->current[reg];
    case ATA_DEVICE:
        return ata->device;
    case ATA_STATUS:
        interrupt(ata, false);
        return ata->status;
    default:
        return 0xFF;
    }
}

void ata_write(struct ata *ata, unsigned reg, uint8_t value)
{
    ata->control &= (uint8_t)~ATA_CONTROL_HOB;
    if (reg == ATA_DEVICE) {
        ata->device = value;
    } else if (reg >= ATA_FEATURES && reg <= ATA_LBA_HIGH && !(ata->status & ATA_STATUS_BSY)) {
        ata->previous[reg] = ata->current[reg];
        ata->current[reg] = value;
    }
}

void ata_command(struct ata *ata, uint8_t command)
{
    ata->control &= (uint8_t)~ATA_CONTROL_HOB;
    if (command == ATA_CMD_DEVICE_RESET && ata->kind->packet && !(ata->control & ATA_CONTROL_SRST)) {
        device_reset(ata);
        return;
    }
    if (ata->status & ATA_STATUS_BSY || ata->asleep) {
        log_at(ata->log, LOG_GUEST, "ata", "drive %u: command 0x%02x while %s", ata->unit, command,
               ata->asleep ? "asleep" : "busy");
        return;
    }
    interrupt(ata, false);
    /* A command that comes in the midst of a transfer ends it. */
    ata->phase = ATA_IDLE;
    ata->status = READY;
    ata->error = 0;
    ata->command = command;
    ata->kind->command(ata, command);
}

/* An odd byte at the end travels in a whole word. */
uint16_t ata_read_data(struct ata *ata)
{
    uint16_t value;

    if (ata->phase != ATA_DATA_IN)
        return 0xFFFF;
    value = (uint16_t)(ata->buffer[ata->at] | ata->buffer[ata->at | 1] << 8);
    ata->at += 2;
    if (ata->at >= ata->end) {
        ata->at = ata->end;
        ata->kind->transferred(ata);
    }
    return value;
}

void ata_write_data(struct ata *ata, uint16_t value)
{
    if (ata->phase != ATA_DATA_OUT)
        return;
    ata->buffer[ata->at] = (uint8_t)value;
    ata->buffer[ata->at | 1] = (uint8_t)(value >> 8);
    ata->at += 2;
    if (ata->at >= ata->end) {
        ata->at = ata->end;
        ata->kind->transferred(ata);
    }
}

size_t ata_dma(struct ata *ata, uint8_t **data, bool *to_host)
{
    if (ata->phase != ATA_DMA_IN && ata->phase != ATA_DMA_OUT)
        return 0;
    *data = ata->buffer + ata->at;
    *to_host = ata->phase == ATA_DMA_IN;
    return ata->end - ata->at;
}

void ata_dma_moved(struct ata *ata, size_t size)
{
    ata->at += (uint32_t)size;
    if (ata->at == ata->end)
        ata->kind->transferred(ata);
}

/* Commands of both kinds. */

static bool set_transfer_mode(struct ata *ata)
{
    uint8_t mode = ata->current[ATA_COUNT] & 7;

    switch (ata->current[ATA_COUNT] >> 3) {
    case 0: /* default PIO, without or with IORDY */
        return mode < 2;
    case 1: /* PIO with flow control */
        return mode <= 4;
    case 4:
        if (mode > 2)
            return false;
        ata->mwdma = mode + 1;
        ata->udma = 0;
        return true;
    case 8:
        if (mode > 5)
            return false;
        ata->udma = mode + 1;
        ata->mwdma = 0;
        return true;
    default:
        return false;
    }
}

void ata_set_features(struct ata *ata)
{
    bool known = true;

    switch (ata->current[ATA_FEATURES]) {
    case 0x03:
        known = set_transfer_mode(ata);
        break;
    case 0x02:
    case 0x82: /* the write cache is a disk's */
        known = !ata->kind->packet;
        ata->write_cache = ata->current[ATA_FEATURES] == 0x02;
        break;
    case 0x55:
        ata->look_ahead = false;
        break;
    case 0xAA:
        ata->look_ahead = true;
        break;
    case 0x66: /* whether a software reset brings back the defaults: it never does */
    case 0xCC:
        break;
    default:
        known = false;
    }
    if (known)
        ata_done(ata);
    else
        ata_fail(ata, ATA_ERROR_ABRT);
}

void ata_set_power(struct ata *ata, uint8_t power)
{
    ata->power = power;
}

void ata_check_power(struct ata *ata)
{
    ata->current[ATA_COUNT] = ata->power;
    ata_done(ata);
}

/* State. */

/* A saved state may come from anywhere: does it keep what the code relies on? */
static bool sane(const struct ata *ata)
{
    bool pio = ata->phase == ATA_DATA_IN || ata->phase == ATA_DATA_OUT;
    bool dma = ata->phase == ATA_DMA_IN || ata->phase == ATA_DMA_OUT;

    if (ata->phase > ATA_RESETTING || ata->at > ata->end || ata->end > ata->filled ||
        ata->filled > ATA_BUFFER || ((pio || dma) && ata->at == ata->end) || (pio && ata->at & 1) ||
        (!ata->kind->packet && ata->filled % ATA_SECTOR))
        return false;
    return (ata->io_op == BLOCK_DISCARD || (ata->io_op <= BLOCK_FLUSH && ata->io_size <= ATA_BUFFER)) && ata->block &&
           ata->block <= ATA_BUFFER / ATA_SECTOR && ata->multiple <= 16 && ata->heads && ata->heads <= 16 &&
           ata->track && ata->track <= 255 && ata->mwdma <= 3 && ata->udma <= 6;
}

void ata_loaded(struct ata *ata)
{
    if (!sane(ata))
        ata_reset(ata);
    if (ata->phase == ATA_MEDIUM && !ata->in_flight)
        submit(ata, ata->kind->packet ? atapi_medium(ata) : ata->disk);
    else if (ata->phase == ATA_RESETTING)
        reset_end(ata);
    update_irq(ata);
}

static const struct field atapi_fields[] = {
    FIELD(struct atapi, packet),
    FIELD(struct atapi, packet_dma),
    FIELD(struct atapi, limit),
    FIELD(struct atapi, sense_key),
    FIELD(struct atapi, asc),
    FIELD(struct atapi, ascq),
    FIELD(struct atapi, attention),
    FIELD(struct atapi, prevented),
    FIELD(struct atapi, tray_open),
    FIELD(struct atapi, removed),
    FIELD(struct atapi, inserted),
    FIELD(struct atapi, stale),
    FIELD_END,
};

const struct field ata_fields[] = {
    FIELD_ARRAY(struct ata, current), FIELD_ARRAY(struct ata, previous),
    FIELD(struct ata, device),        FIELD(struct ata, control),
    FIELD(struct ata, status),        FIELD(struct ata, error),
    FIELD(struct ata, command),       FIELD(struct ata, intrq),
    FIELD(struct ata, phase),         FIELD(struct ata, at),
    FIELD(struct ata, end),           FIELD(struct ata, filled),
    FIELD(struct ata, lba),           FIELD(struct ata, left),
    FIELD(struct ata, flags),         FIELD(struct ata, block),
    FIELD(struct ata, narrow),        FIELD(struct ata, io_op),
    FIELD(struct ata, io_offset),     FIELD(struct ata, io_size),
    FIELD(struct ata, multiple),      FIELD(struct ata, mwdma),
    FIELD(struct ata, udma),          FIELD(struct ata, write_cache),
    FIELD(struct ata, look_ahead),    FIELD(struct ata, power),
    FIELD(struct ata, asleep),        FIELD(struct ata, heads),
    FIELD(struct ata, track),         FIELD_STRUCT(struct ata, atapi, atapi_fields),
    FIELD(struct ata, queue_error),   FIELD(struct ata, buffer),
    FIELD_END,
};

static void init(struct ata *ata, const struct ata_kind *kind, unsigned unit, const char *serial,
                 const struct ata_cable *cable, struct log *log)
{
    ata->kind = kind;
    ata->unit = unit & 1;
    strncpy(ata->serial, serial, sizeof(ata->serial) - 1);
    ata->cable = *cable;
    ata->log = log;
}

void ata_init_disk(struct ata *ata, unsigned unit, const char *serial, struct block *disk,
                   const struct ata_cable *cable, struct log *log)
{
    init(ata, &ata_disk_kind, unit, serial, cable, log);
    ata->disk = disk;
    ata_reset(ata);
}

void ata_init_cdrom(struct ata *ata, unsigned unit, const char *serial, struct block_slot *slot,
                    const struct ata_cable *cable, struct log *log)
{
    init(ata, &atapi_kind, unit, serial, cable, log);
    ata->slot = slot;
    atapi_init(ata);
    ata_reset(ata);
}
