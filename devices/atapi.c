/*
 * atapi.c - a CD-ROM drive: the PACKET protocol (ATA/ATAPI-7 volume 2, 9.8 and 9.9), the packet commands that
 * move or read the disc (MMC-3), and what happens when somebody changes it.
 *
 * The disc is data in one track, in sectors of 2048 bytes. There is no audio and no writing.
 *
 * A medium that is changed from outside shows as a unit attention, and as a media event to those who ask for
 * events. An eject by the guest opens the tray: the disc lies in it, out of reach, until the guest or the
 * user closes it.
 */
#include <string.h>

#include "devices/ata_internal.h"

#define CHUNK (ATA_BUFFER / CD_SECTOR)

/* The interrupt reason, in the count register. */
#define REASON_COMMAND 0x01 /* a packet, or the end: not data */
#define REASON_TO_HOST 0x02

#define FEATURE_DMA     0x01
#define FEATURE_OVERLAP 0x02

/* Parts of a sector that READ CD can give (MMC-3 6.1.15); others are not modelled. */
#define PART_NONE 0x00
#define PART_USER 0x10

struct block *atapi_medium(const struct ata *ata)
{
    return ata->atapi.tray_open ? NULL : ata->slot->medium;
}

uint32_t atapi_sectors(const struct ata *ata)
{
    const struct block *medium = atapi_medium(ata);
    uint64_t sectors = medium ? medium->size / CD_SECTOR : 0;

    return sectors > UINT32_MAX ? UINT32_MAX : (uint32_t)sectors;
}

static void set_byte_count(struct ata *ata, uint32_t size)
{
    ata->current[ATA_LBA_MID] = (uint8_t)size;
    ata->current[ATA_LBA_HIGH] = (uint8_t)(size >> 8);
}

static void good(struct ata *ata)
{
    ata->current[ATA_COUNT] = REASON_COMMAND | REASON_TO_HOST;
    ata_done(ata);
}

void atapi_sense(struct ata *ata, uint8_t key, uint8_t asc, uint8_t ascq)
{
    struct atapi *cd = &ata->atapi;

    cd->sense_key = key;
    cd->asc = asc;
    cd->ascq = ascq;
    ata->left = 0;
    ata->current[ATA_COUNT] = REASON_COMMAND | REASON_TO_HOST;
    ata_fail(ata, (uint8_t)(key << 4 | (key == SENSE_ILLEGAL_REQUEST ? ATA_ERROR_ABRT : 0)));
}

static void no_medium(struct ata *ata)
{
    atapi_sense(ata, SENSE_NOT_READY, ASC_NO_MEDIUM, ata->atapi.tray_open ? 2 : 1);
}

/* Offers the next piece of buffer[end..filled) to the host. */
static void send(struct ata *ata)
{
    uint32_t size = ata->filled - ata->end;

    ata->current[ATA_COUNT] = REASON_TO_HOST;
    if (ata->atapi.packet_dma) {
        ata_offer(ata, ATA_DMA_IN, ata->end, ata->filled, false);
        return;
    }
    if (size > ata->atapi.limit)
        size = ata->atapi.limit & ~1u; /* only the last piece may be odd */
    set_byte_count(ata, size);
    ata_offer(ata, ATA_DATA_IN, ata->end, ata->end + size, true);
}

/* The host has no place for data when it gives a byte count of 0, but wants PIO (9.8). */
static bool can_send(struct ata *ata)
{
    if (ata->atapi.packet_dma || ata->atapi.limit > 1)
        return true;
    ata->current[ATA_COUNT] = REASON_COMMAND | REASON_TO_HOST;
    ata_fail(ata, ATA_ERROR_ABRT);
    return false;
}

void atapi_reply(struct ata *ata, uint32_t size, uint32_t allocation)
{
    ata->left = 0;
    ata->at = ata->end = 0;
    ata->filled = size < allocation ? size : allocation;
    if (!ata->filled) {
        good(ata);
        return;
    }
    if (ata->filled & 1 && ata->filled == size)
        ata->buffer[size] = 0; /* the other half of the last word */
    if (can_send(ata))
        send(ata);
}

/* Reading. */

static void fetch(struct ata *ata)
{
    struct block *medium = atapi_medium(ata);
    uint32_t chunk = ata->narrow ? 1 : CHUNK;

    if (!medium) {
        no_medium(ata);
        return;
    }
    if (ata->atapi.stale) {
        ata->atapi.attention = 0;
        atapi_sense(ata, SENSE_UNIT_ATTENTION, ASC_MEDIUM_CHANGED, 0);
        return;
    }
    if (chunk > ata->left)
        chunk = ata->left;
    ata_access(ata, medium, BLOCK_READ, ata->lba * CD_SECTOR, chunk * CD_SECTOR);
}

static void read_sectors(struct ata *ata, uint32_t lba, uint32_t count)
{
    uint32_t sectors = atapi_sectors(ata);

    if (lba > sectors || count > sectors - lba) {
        log_at(ata->log, LOG_GUEST, "atapi", "%u sectors at %u are past the end", count, lba);
        atapi_sense(ata, SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE, 0);
        return;
    }
    if (!count) {
        good(ata);
        return;
    }
    if (!can_send(ata))
        return;
    ata->lba = lba;
    ata->left = count;
    ata->narrow = false;
    ata->atapi.stale = false;
    fetch(ata);
}

static void atapi_finished(struct ata *ata, int error)
{
    uint32_t sectors = ata->io_size / CD_SECTOR;

    if (ata->atapi.stale) {
        fetch(ata);
    } else if (error && sectors > 1) {
        ata->narrow = true;
        fetch(ata);
    } else if (error) {
        atapi_sense(ata, SENSE_MEDIUM_ERROR, 0x11, 0); /* unrecovered read error */
    } else {
        ata->lba += sectors;
        ata->left -= sectors < ata->left ? sectors : ata->left;
        ata->at = ata->end = 0;
        ata->filled = ata->io_size;
        send(ata);
    }
}

static void read_10(struct ata *ata, const uint8_t *packet)
{
    read_sectors(ata, atapi_get32(packet + 2), atapi_get16(packet + 7));
}

static void read_12(struct ata *ata, const uint8_t *packet)
{
    read_sectors(ata, atapi_get32(packet + 2), atapi_get32(packet + 6));
}

static void read_cd(struct ata *ata, const uint8_t *packet)
{
    uint32_t count = (uint32_t)packet[6] << 16 | atapi_get16(packet + 7);
    unsigned type = packet[1] >> 2 & 7, parts = packet[9] & 0xFE;

    if (type == 1 || type > 2) /* audio, or not mode 1 */
        atapi_sense(ata, SENSE_ILLEGAL_REQUEST, ASC_ILLEGAL_MODE, 0);
    else if ((parts != PART_NONE && parts != PART_USER) || packet[10] & 7)
        atapi_sense(ata, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD, 0);
    else
        read_sectors(ata, atapi_get32(packet + 2), parts == PART_NONE ? 0 : count);
}

static void seek(struct ata *ata, const uint8_t *packet)
{
    if (atapi_get32(packet + 2) < atapi_sectors(ata))
        good(ata);
    else
        atapi_sense(ata, SENSE_ILLEGAL_REQUEST, ASC_LBA_OUT_OF_RANGE, 0);
}

/* The disc and the tray. */

static void medium_changed(void *opaque)
{
    struct ata *ata = opaque;
    struct atapi *cd = &ata->atapi;

    cd->tray_open = false;
    cd->stale = true;
    cd->removed = true;
    cd->inserted = ata->slot->medium != NULL;
    if (cd->attention != ASC_RESET)
        cd->attention = cd->inserted ? ASC_MEDIUM_CHANGED : 0;
}

static bool medium_locked(void *opaque)
{
    const struct ata *ata = opaque;

    return ata->atapi.prevented && !ata->atapi.tray_open;
}

static bool tray_open(void *opaque)
{
    const struct ata *ata = opaque;

    return ata->atapi.tray_open;
}

static void move_tray(void *opaque, bool open)
{
    struct ata *ata = opaque;
    struct atapi *cd = &ata->atapi;

    if (open && atapi_medium(ata)) {
        cd->removed = true;
        cd->inserted = false;
    } else if (!open && cd->tray_open && ata->slot->medium) {
        cd->inserted = true;
        cd->attention = ASC_MEDIUM_CHANGED;
    }
    cd->tray_open = open;
}

static void open_tray(struct ata *ata)
{
    if (medium_locked(ata)) {
        atapi_sense(ata, SENSE_ILLEGAL_REQUEST, ASC_REMOVAL_PREVENTED, 2);
        return;
    }
    move_tray(ata, true);
    good(ata);
}

static void close_tray(struct ata *ata)
{
    move_tray(ata, false);
    good(ata);
}

static void start_stop(struct ata *ata, const uint8_t *packet)
{
    bool start = packet[4] & 1, tray = packet[4] & 2, power = packet[4] & 0xF0;

    if (power || !tray)
        good(ata);
    else if (start)
        close_tray(ata);
    else
        open_tray(ata);
}

static void prevent_allow(struct ata *ata, const uint8_t *packet)
{
    ata->atapi.prevented = packet[4] & 1;
    good(ata);
}

/* Sense. */

static void request_sense(struct ata *ata, const uint8_t *packet)
{
    struct atapi *cd = &ata->atapi;

    if (!cd->sense_key && cd->attention) {
        cd->sense_key = SENSE_UNIT_ATTENTION;
        cd->asc = cd->attention;
        cd->ascq = 0;
        cd->attention = 0;
    }
    memset(ata->buffer, 0, 18);
    ata->buffer[0] = 0x70;
    ata->buffer[2] = cd->sense_key;
    ata->buffer[7] = 10;
    ata->buffer[12] = cd->asc;
    ata->buffer[13] = cd->ascq;
    cd->sense_key = cd->asc = cd->ascq = 0;
    atapi_reply(ata, 18, packet[4]);
}

static void accept(struct ata *ata, const uint8_t *packet)
{
    (void)packet;
    good(ata);
}

#define MEDIUM 1 /* fails when there is no disc */
#define ALWAYS 2 /* works, and leaves it alone, while a unit attention waits */

static const struct {
    void (*run)(struct ata *ata, const uint8_t *packet);
    unsigned needs;
} commands[256] = {
    [0x00] = {accept, MEDIUM}, /* TEST UNIT READY */
    [0x03] = {request_sense, ALWAYS},
    [0x12] = {atapi_inquiry, ALWAYS},
    [0x1A] = {atapi_mode_sense, 0}, /* 6 bytes */
    [0x1B] = {start_stop, 0},
    [0x1E] = {prevent_allow, 0},
    [0x25] = {atapi_read_capacity, MEDIUM},
    [0x28] = {read_10, MEDIUM},
    [0x2B] = {seek, MEDIUM},
    [0x42] = {atapi_read_subchannel, MEDIUM},
    [0x43] = {atapi_read_toc, MEDIUM},
    [0x46] = {atapi_get_configuration, ALWAYS},
    [0x4A] = {atapi_event_status, ALWAYS},
    [0x4E] = {accept, MEDIUM}, /* STOP PLAY */
    [0x51] = {atapi_disc_information, MEDIUM},
    [0x52] = {atapi_track_information, MEDIUM},
    [0x5A] = {atapi_mode_sense, 0}, /* 10 bytes */
    [0xA8] = {read_12, MEDIUM},
    [0xAD] = {atapi_dvd_structure, MEDIUM},
    [0xBB] = {accept, 0}, /* SET CD SPEED */
    [0xBD] = {atapi_mechanism_status, 0},
    [0xBE] = {read_cd, MEDIUM},
};

static void run_packet(struct ata *ata)
{
    struct atapi *cd = &ata->atapi;
    uint8_t opcode = cd->packet[0], attention = cd->attention;
    unsigned needs = commands[opcode].needs;

    if (!commands[opcode].run) {
        log_at(ata->log, LOG_GUEST, "atapi", "packet command 0x%02x is not there", opcode);
        atapi_sense(ata, SENSE_ILLEGAL_REQUEST, ASC_INVALID_OPCODE, 0);
        return;
    }
    if (attention && !(needs & ALWAYS)) {
        cd->attention = 0;
        atapi_sense(ata, SENSE_UNIT_ATTENTION, attention, 0);
        return;
    }
    if (needs & MEDIUM && !atapi_medium(ata)) {
        no_medium(ata);
        return;
    }
    if (!(needs & ALWAYS))
        cd->sense_key = cd->asc = cd->ascq = 0;
    commands[opcode].run(ata, cd->packet);
}

static void atapi_transferred(struct ata *ata)
{
    if (ata->phase == ATA_DATA_OUT && ata->command == 0xA0) {
        memcpy(ata->atapi.packet, ata->buffer, sizeof(ata->atapi.packet));
        run_packet(ata);
    } else if (ata->end < ata->filled) {
        send(ata);
    } else if (ata->command != 0xA0) {
        ata_done_quietly(ata); /* IDENTIFY PACKET DEVICE */
    } else if (ata->left) {
        fetch(ata);
    } else {
        good(ata);
    }
}

/* The ATA commands of a CD-ROM drive. */

static void take_packet(struct ata *ata)
{
    uint8_t features = ata->current[ATA_FEATURES];

    if (features & FEATURE_OVERLAP) {
        ata_fail(ata, ATA_ERROR_ABRT);
        return;
    }
    ata->power = ATA_POWER_ACTIVE;
    ata->atapi.packet_dma = features & FEATURE_DMA;
    ata->atapi.limit = ata->current[ATA_LBA_MID] | (uint32_t)ata->current[ATA_LBA_HIGH] << 8;
    ata->left = 0;
    ata->current[ATA_COUNT] = REASON_COMMAND;
    ata->filled = sizeof(ata->atapi.packet);
    ata_offer(ata, ATA_DATA_OUT, 0, ata->filled, false);
}

static void atapi_command(struct ata *ata, uint8_t command)
{
    switch (command) {
    case 0xA0:
        take_packet(ata);
        break;
    case 0xA1:
        ata_identify_cdrom(ata);
        ata->filled = ATA_SECTOR;
        ata_offer(ata, ATA_DATA_IN, 0, ATA_SECTOR, true);
        break;
    case 0x20: /* READ SECTORS and IDENTIFY DEVICE tell drivers what this is (9.12) */
    case 0xEC:
        ata_signature(ata);
        ata_fail(ata, ATA_ERROR_ABRT);
        break;
    case 0xE0:
    case 0xE2:
        ata_set_power(ata, ATA_POWER_STANDBY);
        ata_done(ata);
        break;
    case 0xE1:
    case 0xE3:
        ata_set_power(ata, ATA_POWER_IDLE);
        ata_done(ata);
        break;
    case 0xE5:
        ata_check_power(ata);
        break;
    case 0xE6:
        ata_set_power(ata, ATA_POWER_STANDBY);
        ata->asleep = true;
        ata_done(ata);
        break;
    case 0xEF:
        ata_set_features(ata);
        break;
    default: /* NOP too */
        ata_fail(ata, ATA_ERROR_ABRT);
    }
}

const struct ata_kind atapi_kind = {true, atapi_command, atapi_transferred, atapi_finished};

void atapi_power_on(struct ata *ata)
{
    struct atapi *cd = &ata->atapi;
    bool open = cd->tray_open;

    /* A reset doesn't move the tray. */
    *cd = (struct atapi){.tray_open = open, .attention = ASC_RESET};
}

void atapi_init(struct ata *ata)
{
    ata->slot->changed = medium_changed;
    ata->slot->locked = medium_locked;
    ata->slot->tray_open = tray_open;
    ata->slot->move_tray = move_tray;
    ata->slot->opaque = ata;
}
