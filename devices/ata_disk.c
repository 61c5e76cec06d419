/*
 * ata_disk.c - the commands of an ATA disk: general, 48-bit, power management and write cache feature sets of
 * ATA/ATAPI-7, TRIM and what serial drives need of ATA8-ACS, and CHS addresses for those who still use them. No SMART,
 * security, host protected area. Queued commands are the serial controller's.
 *
 * A read goes medium -> buffer -> host until nothing is left, a write the other way round. The buffer takes
 * many DRQ blocks, so that PIO asks the medium seldom.
 */
#include <string.h>

#include "devices/ata_internal.h"

#define CHUNK (ATA_BUFFER / ATA_SECTOR) /* sectors at once */

/* How a command moves data: ata->flags. */
enum {
    WRITE = 1,
    DMA = 2,
    EXT = 4,      /* 48-bit address and 16-bit count */
    MULTIPLE = 8, /* as many sectors a DRQ as SET MULTIPLE MODE said */
    VERIFY = 16,  /* read, but keep the data */
    FUA = 32,     /* durable before it completes */
    INTERNAL = 64, /* buffer and host only: IDENTIFY, READ and WRITE BUFFER */
    TRIM = 128     /* what comes are ranges that nobody needs any more */
};

static uint64_t disk_sectors(const struct ata *ata)
{
    return ata->disk->size / ATA_SECTOR;
}

/* Addresses. */

static uint32_t get_count(const struct ata *ata, unsigned flags)
{
    uint32_t count = ata->current[ATA_COUNT];

    if (flags & EXT) {
        count |= (uint32_t)ata->previous[ATA_COUNT] << 8;
        return count ? count : 65536;
    }
    return count ? count : 256;
}

static uint64_t get_lba48(const struct ata *ata)
{
    uint64_t lba = 0;

    for (unsigned i = 0; i < 3; i++)
        lba |= (uint64_t)ata->current[ATA_LBA_LOW + i] << 8 * i | (uint64_t)ata->previous[ATA_LBA_LOW + i]
                                                                      << (24 + 8 * i);
    return lba;
}

/* False when a CHS address is outside the geometry. */
static bool get_address(const struct ata *ata, unsigned flags, uint64_t *lba)
{
    uint32_t low = ata->current[ATA_LBA_LOW];
    uint32_t middle = ata->current[ATA_LBA_MID] | (uint32_t)ata->current[ATA_LBA_HIGH] << 8;
    uint32_t head = ata->device & 0x0F;

    if (flags & EXT) {
        *lba = get_lba48(ata);
    } else if (ata->device & ATA_DEVICE_LBA) {
        *lba = low | middle << 8 | head << 24;
    } else {
        if (!low || low > ata->track || head >= ata->heads)
            return false;
        *lba = ((uint64_t)middle * ata->heads + head) * ata->track + low - 1;
    }
    return true;
}

/* Puts an address into the registers, in the form in which the command gave its own. */
static void put_address(struct ata *ata, unsigned flags, uint64_t lba)
{
    uint8_t *now = &ata->current[ATA_LBA_LOW], *before = &ata->previous[ATA_LBA_LOW];

    if (!(flags & EXT) && !(ata->device & ATA_DEVICE_LBA)) {
        uint64_t cylinder = lba / ata->track / ata->heads;

        now[0] = (uint8_t)(lba % ata->track + 1);
        now[1] = (uint8_t)cylinder;
        now[2] = (uint8_t)(cylinder >> 8);
        ata->device = (uint8_t)((ata->device & 0xF0) | (lba / ata->track % ata->heads & 0x0F));
        return;
    }
    for (unsigned i = 0; i < 3; i++) {
        now[i] = (uint8_t)(lba >> 8 * i);
        if (flags & EXT)
            before[i] = (uint8_t)(lba >> (24 + 8 * i));
    }
    if (!(flags & EXT))
        ata->device = (uint8_t)((ata->device & 0xF0) | (lba >> 24 & 0x0F));
}

/* Reads and writes. */

static void next_block(struct ata *ata, bool interrupt)
{
    bool write = ata->flags & WRITE;
    uint32_t size = ata->block * ATA_SECTOR, rest = ata->filled - ata->end;

    if (ata->flags & DMA)
        ata_offer(ata, write ? ATA_DMA_OUT : ATA_DMA_IN, 0, ata->filled, false);
    else
        ata_offer(ata, write ? ATA_DATA_OUT : ATA_DATA_IN, ata->end, ata->end + (size < rest ? size : rest),
                  interrupt);
}

/* Sectors to have in the buffer next. After an error, as few as the host takes at once. */
static uint32_t next_chunk(const struct ata *ata)
{
    uint32_t chunk = ata->narrow ? ata->block : CHUNK;

    return chunk < ata->left ? chunk : ata->left;
}

static void fetch(struct ata *ata)
{
    ata_access(ata, ata->disk, BLOCK_READ, ata->lba * ATA_SECTOR, next_chunk(ata) * ATA_SECTOR);
}

/* The host fills the buffer; only the first block comes without an interrupt. */
static void collect(struct ata *ata, bool interrupt)
{
    ata->at = ata->end = 0;
    ata->filled = next_chunk(ata) * ATA_SECTOR;
    next_block(ata, interrupt);
}

static void transfer(struct ata *ata, unsigned flags)
{
    uint32_t count = get_count(ata, flags);
    uint64_t lba, sectors = disk_sectors(ata);

    if ((flags & MULTIPLE && !ata->multiple) || (flags & WRITE && ata->disk->read_only)) {
        if (flags & WRITE && ata->disk->read_only)
            log_at(ata->log, LOG_GUEST, "ata", "drive %u: write to a read-only disk", ata->unit);
        ata_fail(ata, ATA_ERROR_ABRT);
        return;
    }
    if (!get_address(ata, flags, &lba)) {
        ata_fail(ata, ATA_ERROR_IDNF);
        return;
    }
    if (lba >= sectors || count > sectors - lba) {
        log_at(ata->log, LOG_GUEST, "ata", "drive %u: %u sectors at %llu are past the end", ata->unit, count,
               (unsigned long long)lba);
        put_address(ata, flags, lba > sectors ? lba : sectors);
        ata_fail(ata, ATA_ERROR_IDNF);
        return;
    }
    ata->power = ATA_POWER_ACTIVE;
    ata->flags = flags;
    ata->lba = lba;
    ata->left = count;
    ata->block = flags & MULTIPLE ? ata->multiple : 1;
    ata->narrow = false;
    if (flags & WRITE)
        collect(ata, false);
    else
        fetch(ata);
}

/*
 * The buffer has ranges of 8 bytes: 48 bits of address, 16 of count, 0 for none (ATA8-ACS 7.10.3). Discards those from
 * byte `at` on, one at a time.
 */
static void trim_rest(struct ata *ata, uint32_t at)
{
    for (; at + 8 <= ata->filled; at += 8) {
        uint64_t range, lba, sectors = disk_sectors(ata);

        memcpy(&range, ata->buffer + at, sizeof(range));
        lba = range & 0xFFFFFFFFFFFF;
        range >>= 48;
        if (!range)
            continue;
        if (lba > sectors || range > sectors - lba) {
            ata_fail(ata, ATA_ERROR_IDNF);
            return;
        }
        ata->at = ata->end = at + 8;
        ata_access(ata, ata->disk, BLOCK_DISCARD, lba * ATA_SECTOR, (uint32_t)range * ATA_SECTOR);
        return;
    }
    ata_done(ata);
}

static void disk_transferred(struct ata *ata)
{
    bool out = ata->phase == ATA_DATA_OUT || ata->phase == ATA_DMA_OUT;

    if (ata->end < ata->filled)
        next_block(ata, true);
    else if (out && ata->flags & TRIM)
        trim_rest(ata, 0);
    else if (out && ata->flags & INTERNAL)
        ata_done(ata);
    else if (out)
        ata_access(ata, ata->disk, BLOCK_WRITE, ata->lba * ATA_SECTOR, ata->filled);
    else if (ata->left)
        fetch(ata);
    else if (ata->flags & DMA)
        ata_done(ata);
    else
        ata_done_quietly(ata); /* the host knows that it has read all */
}

static void read_finished(struct ata *ata, int error)
{
    uint32_t sectors = ata->io_size / ATA_SECTOR;

    if (error && sectors > ata->block && !ata->narrow) {
        ata->narrow = true;
        fetch(ata);
        return;
    }
    if (error) {
        put_address(ata, ata->flags, ata->lba);
        ata_fail(ata, ATA_ERROR_UNC);
        return;
    }
    ata->lba += sectors;
    ata->left -= sectors < ata->left ? sectors : ata->left;
    ata->at = ata->end = 0;
    ata->filled = ata->io_size;
    if (!(ata->flags & VERIFY))
        next_block(ata, true);
    else if (ata->left)
        fetch(ata);
    else
        ata_done(ata);
}

static void write_finished(struct ata *ata, int error)
{
    uint32_t sectors = ata->io_size / ATA_SECTOR;

    if (error) {
        put_address(ata, ata->flags, ata->lba);
        ata_fail(ata, ATA_ERROR_ABRT);
        return;
    }
    ata->lba += sectors;
    ata->left -= sectors < ata->left ? sectors : ata->left;
    if (ata->left)
        collect(ata, true);
    else if (ata->flags & FUA || !ata->write_cache)
        ata_access(ata, ata->disk, BLOCK_FLUSH, 0, 0);
    else
        ata_done(ata);
}

static void disk_finished(struct ata *ata, int error)
{
    switch (ata->io_op) {
    case BLOCK_READ:
        read_finished(ata, error);
        break;
    case BLOCK_WRITE:
        write_finished(ata, error);
        break;
    case BLOCK_DISCARD:
        if (error)
            ata_fail(ata, ATA_ERROR_ABRT);
        else
            trim_rest(ata, ata->end);
        break;
    default:
        if (error)
            ata_fail(ata, ATA_ERROR_ABRT);
        else
            ata_done(ata);
    }
}

/* The other commands. */

static void flush(struct ata *ata, unsigned flags)
{
    (void)flags;
    ata_access(ata, ata->disk, BLOCK_FLUSH, 0, 0);
}

/* Buffer to host, or host to buffer, and no further. */
static void move_buffer(struct ata *ata, unsigned flags)
{
    ata->flags = flags | INTERNAL;
    ata->block = 1;
    ata->left = 0;
    ata->end = 0;
    ata->filled = ATA_SECTOR;
    next_block(ata, !(flags & WRITE));
}

static void data_set_management(struct ata *ata, unsigned flags)
{
    uint32_t count = get_count(ata, flags);

    if (!(ata->current[ATA_FEATURES] & 1) || !ata->disk->can_discard || ata->disk->read_only ||
        count > ATA_TRIM_BLOCKS) {
        ata_fail(ata, ATA_ERROR_ABRT);
        return;
    }
    ata->flags = flags;
    ata->left = 0;
    ata->end = 0;
    ata->filled = count * ATA_SECTOR;
    next_block(ata, false);
}

/* The two logs that queuing needs: the list of logs, and what went wrong (ATA8-ACS 7.27, annex A). */
static void read_log(struct ata *ata, unsigned flags)
{
    uint8_t log = ata->current[ATA_LBA_LOW], *data = ata->buffer, sum = 0;

    if (!ata->sata || (log != 0x00 && log != 0x10) || get_count(ata, flags) != 1 || ata->current[ATA_LBA_MID] ||
        ata->previous[ATA_LBA_MID]) {
        ata_fail(ata, ATA_ERROR_ABRT);
        return;
    }
    memset(data, 0, ATA_SECTOR);
    if (log == 0x00) {
        data[0] = 1;        /* version */
        data[2 * 0x10] = 1; /* page */
    } else {
        memcpy(data, ata->queue_error, sizeof(ata->queue_error));
        for (unsigned i = 0; i < ATA_SECTOR - 1; i++)
            sum += data[i];
        data[ATA_SECTOR - 1] = (uint8_t)-sum;
    }
    move_buffer(ata, flags);
}

static void identify(struct ata *ata, unsigned flags)
{
    ata_identify_disk(ata);
    move_buffer(ata, flags);
}

static void accept(struct ata *ata, unsigned flags)
{
    (void)flags;
    ata_done(ata);
}

static void seek(struct ata *ata, unsigned flags)
{
    uint64_t lba;

    if (get_address(ata, flags, &lba) && lba < disk_sectors(ata))
        ata_done(ata);
    else
        ata_fail(ata, ATA_ERROR_IDNF);
}

static void initialize_parameters(struct ata *ata, unsigned flags)
{
    (void)flags;
    if (!ata->current[ATA_COUNT]) {
        ata_fail(ata, ATA_ERROR_ABRT);
        return;
    }
    ata->track = ata->current[ATA_COUNT];
    ata->heads = (ata->device & 0x0F) + 1;
    ata_done(ata);
}

static void set_multiple(struct ata *ata, unsigned flags)
{
    uint8_t count = ata->current[ATA_COUNT];
    bool good = count <= 16 && !(count & (count - 1));

    (void)flags;
    ata->multiple = good ? count : 0;
    if (good)
        ata_done(ata);
    else
        ata_fail(ata, ATA_ERROR_ABRT);
}

static void set_features(struct ata *ata, unsigned flags)
{
    (void)flags;
    ata_set_features(ata);
}

static void read_native_max(struct ata *ata, unsigned flags)
{
    uint64_t last = disk_sectors(ata) - 1;

    if (!(flags & EXT) && last > 0x0FFFFFFF)
        last = 0x0FFFFFFF;
    put_address(ata, flags, last);
    ata_done(ata);
}

static void idle(struct ata *ata, unsigned flags)
{
    (void)flags;
    ata_set_power(ata, ATA_POWER_IDLE);
    ata_done(ata);
}

static void standby(struct ata *ata, unsigned flags)
{
    ata_set_power(ata, ATA_POWER_STANDBY);
    flush(ata, flags);
}

static void sleep_now(struct ata *ata, unsigned flags)
{
    (void)flags;
    ata_set_power(ata, ATA_POWER_STANDBY);
    ata->asleep = true;
    ata_done(ata);
}

static void check_power(struct ata *ata, unsigned flags)
{
    (void)flags;
    ata_check_power(ata);
}

static const struct {
    void (*run)(struct ata *ata, unsigned flags); /* NULL: aborted, as NOP is */
    unsigned flags;
} commands[256] = {
    [0x06] = {data_set_management, WRITE | EXT | DMA | TRIM},
    [0x10 ... 0x1F] = {accept, 0}, /* RECALIBRATE */
    [0x20 ... 0x21] = {transfer, 0},
    [0x24] = {transfer, EXT},
    [0x25] = {transfer, EXT | DMA},
    [0x27] = {read_native_max, EXT},
    [0x29] = {transfer, EXT | MULTIPLE},
    [0x2F] = {read_log, EXT},
    [0x30 ... 0x31] = {transfer, WRITE},
    [0x34] = {transfer, WRITE | EXT},
    [0x35] = {transfer, WRITE | EXT | DMA},
    [0x39] = {transfer, WRITE | EXT | MULTIPLE},
    [0x3D] = {transfer, WRITE | EXT | DMA | FUA},
    [0x40 ... 0x41] = {transfer, VERIFY},
    [0x42] = {transfer, VERIFY | EXT},
    [0x70 ... 0x7F] = {seek, 0},
    [0x91] = {initialize_parameters, 0},
    [0x94] = {standby, 0},
    [0x95] = {idle, 0},
    [0x96] = {standby, 0},
    [0x97] = {idle, 0},
    [0x98] = {check_power, 0},
    [0x99] = {sleep_now, 0},
    [0xC4] = {transfer, MULTIPLE},
    [0xC5] = {transfer, WRITE | MULTIPLE},
    [0xC6] = {set_multiple, 0},
    [0xC8 ... 0xC9] = {transfer, DMA},
    [0xCA ... 0xCB] = {transfer, WRITE | DMA},
    [0xCE] = {transfer, WRITE | EXT | MULTIPLE | FUA},
    [0xE0] = {standby, 0},
    [0xE1] = {idle, 0},
    [0xE2] = {standby, 0},
    [0xE3] = {idle, 0},
    [0xE4] = {move_buffer, 0},
    [0xE5] = {check_power, 0},
    [0xE6] = {sleep_now, 0},
    [0xE7] = {flush, 0},
    [0xE8] = {move_buffer, WRITE},
    [0xEA] = {flush, 0},
    [0xEC] = {identify, 0},
    [0xEF] = {set_features, 0},
    [0xF8] = {read_native_max, 0},
};

static void disk_command(struct ata *ata, uint8_t command)
{
    if (commands[command].run)
        commands[command].run(ata, commands[command].flags);
    else
        ata_fail(ata, ATA_ERROR_ABRT);
}

const struct ata_kind ata_disk_kind = {false, disk_command, disk_transferred, disk_finished};
