/*
 * fdc_transfer.c - the execution phase of the commands that wait for a sector: READ DATA and its relatives,
 * WRITE DATA, FORMAT TRACK, READ ID, VERIFY.
 *
 * A sector at a time goes from the image through sector[] to the host, or back. For reads the steps are
 * find, disk, data, and find again; for writes find, data, disk. Everything that a command leaves to be
 * done is in the struct, so a snapshot can be taken at any time.
 */
#include <string.h>

#include "devices/fdc_internal.h"

#define SIZE_CODE_512 2
#define DMA_CHANNEL   2

static void next_step(struct fdc *fdc, enum fdc_step step, uint64_t delay)
{
    fdc->step = step;
    fdc->step_at = delay == CLOCK_NEVER ? CLOCK_NEVER : clock_now(fdc->clock) + delay;
    timer_arm(&fdc->step_timer, fdc->step_at);
}

static void finish(struct fdc *fdc)
{
    const uint8_t result[] = {fdc->st0, fdc->st1, fdc->st2, fdc->c, fdc->h, fdc->r, fdc->n};

    next_step(fdc, FDC_IDLE, CLOCK_NEVER);
    fdc->op = FDC_OP_NONE;
    fdc_set_result(fdc, result, sizeof(result));
    fdc_set_interrupt(fdc, true);
}

static void fail(struct fdc *fdc, uint8_t st1, uint8_t st2)
{
    fdc->st0 |= ST0_ABNORMAL;
    fdc->st1 |= st1;
    fdc->st2 |= st2;
    finish(fdc);
}

/* Looks for what doesn't come until the index hole has passed twice. */
static void fail_search(struct fdc *fdc, uint8_t st1, uint8_t st2)
{
    fdc->st1 |= st1;
    fdc->st2 |= st2;
    next_step(fdc, FDC_FAIL, FDC_SEARCH_NS);
}

static bool writes(const struct fdc *fdc)
{
    return fdc->op == FDC_OP_WRITE || fdc->op == FDC_OP_FORMAT;
}

/* --- the image ----------------------------------------------------------------------------------- */

static void submit(struct fdc *fdc)
{
    struct fdc_drive *drive = &fdc->drives[fdc->drive];
    struct block *medium = drive->slot ? drive->slot->medium : NULL;

    next_step(fdc, FDC_DISK, CLOCK_NEVER);
    if (fdc->request_busy) {
        fdc->request_wanted = true;
        return;
    }
    if (!medium) { /* taken out this moment */
        fail_search(fdc, ST1_NO_MARK, 0);
        return;
    }
    if (((uint64_t)fdc->lba + 1) * FDC_SECTOR > medium->size) { /* never formatted: nothing to find or fill */
        if (writes(fdc)) {
            log_at(fdc->log, LOG_GUEST, "fdc", "write past the end of %s", medium->name);
            fail_search(fdc, ST1_NO_DATA, 0);
            return;
        }
        memset(fdc->sector, 0, FDC_SECTOR);
        next_step(fdc, FDC_DATA, FDC_SECTOR_NS);
        return;
    }
    if (writes(fdc)) {
        memcpy(fdc->request_data, fdc->sector, FDC_SECTOR);
        drive->written = true;
    }
    fdc->request.op = writes(fdc) ? BLOCK_WRITE : BLOCK_READ;
    fdc->request.offset = (uint64_t)fdc->lba * FDC_SECTOR;
    fdc->request_busy = true;
    block_submit(medium, &fdc->request);
}

static void sector_done(struct fdc *fdc);

static void request_done(struct block_request *request, int error)
{
    struct fdc *fdc = request->opaque;
    bool stale = fdc->request_stale;

    fdc->request_busy = fdc->request_stale = false;
    if (stale) {
        if (fdc->request_wanted && fdc->step == FDC_DISK)
            submit(fdc);
        fdc->request_wanted = false;
        return;
    }
    if (error) {
        log_at(fdc->log, LOG_WARN, "fdc", "%s error at sector %u", writes(fdc) ? "write" : "read",
               (unsigned)fdc->lba);
        fail(fdc, ST1_DATA_ERROR, ST2_DATA_ERROR);
        return;
    }
    if (writes(fdc)) {
        sector_done(fdc);
        return;
    }
    memcpy(fdc->sector, fdc->request_data, FDC_SECTOR);
    next_step(fdc, FDC_DATA, FDC_SECTOR_NS);
}

/* --- which sector next -----------------------------------------------------------------------------------
 */

/* The address after the last sector moved (82077AA data sheet, table 5-6). */
static void advance_address(struct fdc *fdc)
{
    if (fdc->r != fdc->eot) {
        fdc->r++;
        return;
    }
    fdc->r = 1;
    if (!fdc->multi_track || (fdc->h & 1))
        fdc->c++;
    if (fdc->multi_track)
        fdc->h ^= 1;
}

static void finish_sectors(struct fdc *fdc)
{
    advance_address(fdc);
    finish(fdc);
}

/* Goes to the other side or the next sector; false when that was the last. */
static bool next_sector(struct fdc *fdc)
{
    bool last = fdc->r == fdc->eot;

    if (last && !(fdc->multi_track && !fdc->head))
        return false;
    advance_address(fdc);
    if (last) {
        fdc->head = 1;
        fdc->st0 |= 4;
    }
    return true;
}

/* The sector under the head has been dealt with. */
static void sector_done(struct fdc *fdc)
{
    bool counts = fdc->op == FDC_OP_FORMAT || fdc->op == FDC_OP_READ_TRACK || fdc->counted;

    if (counts)
        fdc->remaining--;
    if (fdc->op == FDC_OP_FORMAT && (fdc->terminal || !fdc->remaining)) {
        finish(fdc);
    } else if (fdc->terminal || (counts && !fdc->remaining)) {
        finish_sectors(fdc);
    } else if (fdc->op == FDC_OP_READ_DELETED && !fdc->skip) {
        finish(fdc); /* of the other kind: only the first is read (table 5-5) */
    } else if (fdc->op == FDC_OP_FORMAT) {
        next_step(fdc, FDC_FIND, FDC_SECTOR_NS);
    } else if (fdc->op == FDC_OP_READ_TRACK) {
        fdc->index++;
        fdc->r++;
        next_step(fdc, FDC_FIND, 0);
    } else if (next_sector(fdc)) {
        next_step(fdc, FDC_FIND, writes(fdc) ? FDC_SECTOR_NS : 0);
    } else if (fdc->op == FDC_OP_VERIFY) {
        finish_sectors(fdc);
    } else { /* nobody said TC */
        fdc->st0 |= ST0_ABNORMAL;
        fdc->st1 |= ST1_END;
        finish_sectors(fdc);
    }
}

/* --- the host --------------------------------------------------------------------------------------------
 */

static bool non_dma(const struct fdc *fdc)
{
    return fdc->specify[1] & 1;
}

/* FORMAT TRACK was given a sector's ID. The image can hold only those that belong on this track. */
static void format_sector(struct fdc *fdc)
{
    const struct fdc_drive *drive = &fdc->drives[fdc->drive];
    const struct fdc_format *format = drive->format;
    unsigned cylinder = fdc_drive_cylinder(drive);

    fdc->c = fdc->sector[0];
    fdc->h = fdc->sector[1];
    fdc->r = fdc->sector[2];
    fdc->n = fdc->sector[3];
    if (!format || fdc->c != cylinder || fdc->h != fdc->head || !fdc->r || fdc->r > format->per_track ||
        fdc->n != SIZE_CODE_512) {
        log_at(fdc->log, LOG_GUEST, "fdc", "format: an image can't hold sector %u/%u/%u of size %u", fdc->c,
               fdc->h, fdc->r, fdc->n);
        fail(fdc, ST1_NO_DATA, 0);
        return;
    }
    fdc->lba = ((uint32_t)cylinder * format->heads + fdc->head) * format->per_track + fdc->r - 1;
    memset(fdc->sector, fdc->fill, FDC_SECTOR);
    submit(fdc);
}

/* All bytes of a sector have gone to or come from the host, or TC ended them early. */
static void data_done(struct fdc *fdc)
{
    fdc->overrun_at = CLOCK_NEVER;
    if (non_dma(fdc))
        fdc_set_interrupt(fdc, false);
    if (fdc->op == FDC_OP_FORMAT) {
        if (fdc->data_at == fdc->data_size)
            format_sector(fdc);
        else
            finish(fdc);
    } else if (writes(fdc)) { /* what the host didn't give is zeros */
        memset(fdc->sector + fdc->data_at, 0, FDC_SECTOR - fdc->data_at);
        submit(fdc);
    } else {
        sector_done(fdc);
    }
}

static void wait_for_dma(struct fdc *fdc)
{
    uint64_t now = clock_now(fdc->clock);

    if (fdc->overrun_at == CLOCK_NEVER)
        fdc->overrun_at = now + FDC_OVERRUN_NS;
    if (now >= fdc->overrun_at) {
        fdc->overrun_at = CLOCK_NEVER;
        fail(fdc, ST1_OVERRUN, 0);
        return;
    }
    next_step(fdc, FDC_DATA, fdc->overrun_at - now);
}

static void move_data(struct fdc *fdc)
{
    size_t moved = 0, left = fdc->data_size - fdc->data_at;

    if (fdc->op == FDC_OP_VERIFY) {
        sector_done(fdc);
        return;
    }
    if (non_dma(fdc)) {
        next_step(fdc, FDC_DATA, CLOCK_NEVER);
        fdc_set_interrupt(fdc, true);
        return;
    }
    if (fdc->wires.dma && (fdc->dor & DOR_DMA_GATE))
        moved = dma_transfer(fdc->wires.dma, DMA_CHANNEL, !writes(fdc), fdc->sector + fdc->data_at, left,
                             &fdc->terminal);
    fdc->data_at += moved;
    if (fdc->data_at == fdc->data_size || fdc->terminal)
        data_done(fdc);
    else
        wait_for_dma(fdc);
}

/* The DMA channel's mask was lifted; not our call to take, inside the other chip's register write. */
static void dma_level(void *opaque, int n, bool level)
{
    struct fdc *fdc = opaque;

    (void)n;
    if (level && fdc->step == FDC_DATA && fdc->overrun_at != CLOCK_NEVER)
        next_step(fdc, FDC_DATA, 0);
}

bool fdc_wants_byte(const struct fdc *fdc, bool *to_host)
{
    *to_host = !writes(fdc);
    return fdc->step == FDC_DATA && fdc->step_at == CLOCK_NEVER && non_dma(fdc);
}

uint8_t fdc_data_out(struct fdc *fdc)
{
    uint8_t value = fdc->sector[fdc->data_at++];

    if (fdc->data_at == fdc->data_size)
        data_done(fdc);
    return value;
}

void fdc_data_in(struct fdc *fdc, uint8_t value)
{
    fdc->sector[fdc->data_at++] = value;
    if (fdc->data_at == fdc->data_size)
        data_done(fdc);
}

/* --- finding a sector ------------------------------------------------------------------------------------
 */

static void read_id(struct fdc *fdc)
{
    const struct fdc_drive *drive = &fdc->drives[fdc->drive];

    fdc->c = fdc_drive_cylinder(drive);
    fdc->h = fdc->head;
    fdc->r = clock_now(fdc->clock) / FDC_SECTOR_NS % drive->format->per_track + 1;
    fdc->n = SIZE_CODE_512;
    finish(fdc);
}

/*
 * Whether the sector asked for is on this track. READ TRACK takes whatever passes by, from the index hole on,
 * and only notes that it wasn't meant.
 */
static bool match_id(struct fdc *fdc, const struct fdc_format *format, unsigned cylinder)
{
    unsigned r = fdc->r;
    uint8_t st1 = 0, st2 = 0;

    if (fdc->op == FDC_OP_READ_TRACK)
        r = fdc->index = fdc->index && fdc->index <= format->per_track ? fdc->index : 1;
    if (fdc->c != cylinder)
        st2 = fdc->c == 0xFF ? ST2_BAD_CYL : ST2_WRONG_CYL;
    if (st2 || fdc->h != fdc->head || !r || r > format->per_track || fdc->r != r || fdc->n != SIZE_CODE_512)
        st1 = ST1_NO_DATA;
    if (st1 && fdc->op != FDC_OP_READ_TRACK) {
        fail_search(fdc, st1, st2);
        return false;
    }
    fdc->st1 |= st1;
    fdc->lba = ((uint32_t)cylinder * format->heads + fdc->head) * format->per_track + r - 1;
    return true;
}

static void find_sector(struct fdc *fdc)
{
    const struct fdc_drive *drive = &fdc->drives[fdc->drive];

    if (!fdc_drive_readable(fdc, fdc->drive, fdc->head)) {
        fail_search(fdc, ST1_NO_MARK, 0);
        return;
    }
    if (writes(fdc) && fdc_drive_protected(drive)) {
        fail(fdc, ST1_PROTECTED, 0);
        return;
    }
    fdc->data_at = 0;
    fdc->data_size = fdc->op == FDC_OP_FORMAT ? 4 : FDC_SECTOR;
    if (fdc->op == FDC_OP_READ_ID)
        read_id(fdc);
    else if (fdc->op == FDC_OP_FORMAT)
        move_data(fdc);
    else if (!match_id(fdc, drive->format, fdc_drive_cylinder(drive)))
        return;
    else if (fdc->op == FDC_OP_WRITE)
        move_data(fdc);
    else if (fdc->op == FDC_OP_READ_DELETED && fdc->skip)
        sector_done(fdc);
    else
        submit(fdc);
}

void fdc_step_due(void *opaque)
{
    struct fdc *fdc = opaque;

    fdc->step_at = CLOCK_NEVER;
    if (fdc->step == FDC_FIND)
        find_sector(fdc);
    else if (fdc->step == FDC_DATA)
        move_data(fdc);
    else if (fdc->step == FDC_FAIL)
        fail(fdc, 0, 0);
}

/* --- beginning and end -----------------------------------------------------------------------------------
 */

/* FORMAT TRACK: N, SC, GPL, D instead of an address. */
static void take_parameters(struct fdc *fdc)
{
    if (fdc->op == FDC_OP_READ_ID)
        return;
    if (fdc->op == FDC_OP_FORMAT) {
        fdc->n = fdc->fifo[2];
        fdc->eot = fdc->fifo[3];
        fdc->fill = fdc->fifo[5];
        fdc->remaining = fdc->eot;
        return;
    }
    fdc->c = fdc->fifo[2];
    fdc->h = fdc->fifo[3];
    fdc->r = fdc->fifo[4];
    fdc->n = fdc->fifo[5];
    fdc->eot = fdc->fifo[6];
    fdc->counted = fdc->op == FDC_OP_VERIFY && (fdc->fifo[1] & 0x80);
    fdc->remaining = fdc->counted ? fdc->fifo[8] : fdc->eot;
}

void fdc_start(struct fdc *fdc, enum fdc_op op)
{
    uint64_t delay = FDC_SECTOR_NS;
    bool addressed = op != FDC_OP_READ_ID && op != FDC_OP_FORMAT;

    fdc->phase = FDC_EXECUTION;
    fdc->op = op;
    fdc->multi_track = addressed && op != FDC_OP_READ_TRACK && (fdc->fifo[0] & 0x80);
    fdc->mfm = fdc->fifo[0] & 0x40;
    fdc->skip = fdc->fifo[0] & 0x20;
    fdc->drive = fdc->fifo[1] & 3;
    fdc->head = fdc->fifo[1] >> 2 & 1;
    fdc->st0 = fdc->drive | fdc->head << 2;
    fdc->st1 = 0;
    fdc->st2 = op == FDC_OP_READ_DELETED ? ST2_MARK : 0;
    fdc->terminal = fdc->counted = false;
    fdc->overrun_at = CLOCK_NEVER;
    fdc->index = 1;
    take_parameters(fdc);
    if (addressed && (fdc->config & CONFIG_IMPLIED_SEEK)) {
        unsigned steps = fdc_drive_step(&fdc->drives[fdc->drive], fdc->c - fdc->pcn[fdc->drive]);

        fdc->pcn[fdc->drive] = fdc->c;
        fdc->st0 |= ST0_SEEK_END;
        delay += steps ? FDC_SETTLE_NS + steps * FDC_STEP_NS : 0;
    }
    if (op == FDC_OP_FORMAT && !fdc->remaining) {
        finish(fdc);
        return;
    }
    if (op == FDC_OP_READ_TRACK && !fdc->remaining)
        fdc->remaining = 256;
    if (op == FDC_OP_VERIFY && fdc->counted && !fdc->remaining)
        fdc->remaining = 256;
    next_step(fdc, FDC_FIND, delay);
}

void fdc_cancel(struct fdc *fdc)
{
    fdc->op = FDC_OP_NONE;
    fdc->overrun_at = CLOCK_NEVER;
    fdc->request_stale = fdc->request_busy;
    fdc->request_wanted = false;
    next_step(fdc, FDC_IDLE, CLOCK_NEVER);
}

/* A state from elsewhere may say anything; the rest of the file relies on this much. */
void fdc_transfer_loaded(struct fdc *fdc)
{
    bool disk = fdc->step == FDC_DISK;

    fdc->request_stale = fdc->request_busy;
    fdc->request_wanted = false;
    fdc->drive &= 3;
    fdc->head &= 1;
    if (fdc->data_size != 4)
        fdc->data_size = FDC_SECTOR;
    if (fdc->step > FDC_FAIL || fdc->op > FDC_OP_FORMAT || !fdc->op || fdc->data_at > fdc->data_size) {
        fdc->step = FDC_IDLE;
        fdc->step_at = CLOCK_NEVER;
    }
    if (fdc->step == FDC_DATA && fdc->data_at == fdc->data_size)
        fdc->data_at = 0;
    timer_arm(&fdc->step_timer, fdc->step_at);
    if (disk && fdc->step == FDC_DISK)
        submit(fdc);
}

void fdc_transfer_init(struct fdc *fdc)
{
    fdc->request = (struct block_request){
        .size = FDC_SECTOR, .data = fdc->request_data, .done = request_done, .opaque = fdc};
    fdc->data_size = FDC_SECTOR;
    timer_init(&fdc->step_timer, fdc->clock, "fdc", fdc_step_due, fdc);
    if (fdc->wires.dma)
        dma_watch(fdc->wires.dma, DMA_CHANNEL, (struct irq){dma_level, fdc, 0});
}
