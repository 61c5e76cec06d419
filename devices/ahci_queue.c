/*
 * ahci_queue.c - native command queuing: READ and WRITE FPDMA QUEUED (Serial ATA 3.1, 13.6). The drive takes
 * such a command at once, which clears its bit of CI, and up to 32 of them are with the medium; each ends by
 * a Set Device Bits FIS, which clears its bit of SACT.
 *
 * The first that fails ends all: the port halts, and the drive says in log 10h which it was.
 */
#include <errno.h>
#include <string.h>

#include "devices/ahci_internal.h"
#include "devices/ata_internal.h"

#define READ_QUEUED  0x60
#define WRITE_QUEUED 0x61
#define FUA          0x80 /* of the Device register */

bool ahci_is_queued(const struct ahci_port *port, const uint8_t *fis)
{
    return !port->drive.kind->packet && !port->drive.asleep && !(port->drive.status & ATA_STATUS_BSY) &&
           (fis[2] == READ_QUEUED || fis[2] == WRITE_QUEUED);
}

void ahci_queue_abort(struct ahci_port *port)
{
    port->issued = 0;
}

void ahci_queue_free(struct ahci_port *port)
{
    for (unsigned i = 0; i < AHCI_SLOTS; i++)
        sg_free(&port->queued[i].sg);
}

static void send_bits(struct ahci_port *port, uint32_t ended)
{
    const struct ata *drive = &port->drive;
    uint8_t fis[8] = {FIS_BITS, FIS_INTERRUPT, drive->status & 0x77, drive->error};

    memcpy(fis + 4, &ended, sizeof(ended));
    port->sact &= ~ended;
    port->tfd = (port->tfd & (ATA_STATUS_BSY | ATA_STATUS_DRQ)) | (drive->status & 0x77) |
                (uint32_t)drive->error << 8;
    ahci_port_store(port, RECEIVED_BITS, fis, sizeof(fis));
    port->is |= IS_SDBS;
}

/* The log's page says it as a register FIS would (ATA8-ACS 7.4 and annex A: log 10h). */
static void fail(struct ahci_port *port, const struct ahci_queued *queued, uint8_t error)
{
    struct ata *drive = &port->drive;
    uint64_t lba = queued->request.offset / ATA_SECTOR;
    uint8_t *log = drive->queue_error;

    drive->status = ATA_STATUS_DRDY | ATA_STATUS_DSC | ATA_STATUS_ERR;
    drive->error = error;
    memset(log, 0, sizeof(drive->queue_error));
    log[0] = queued->tag;
    log[2] = drive->status;
    log[3] = error;
    for (unsigned i = 0; i < 3; i++) {
        log[4 + i] = (uint8_t)(lba >> 8 * i);
        log[8 + i] = (uint8_t)(lba >> (24 + 8 * i));
    }
    log[7] = ATA_DEVICE_LBA;
    ahci_queue_abort(port);
    send_bits(port, 0);
    ahci_port_halt(port, IS_TFES);
}

static void request_done(struct block_request *request, int error);

static void submit(struct ahci_port *port, struct ahci_queued *queued)
{
    queued->request.done = request_done;
    queued->request.opaque = queued;
    queued->request.collects = port->ahci->writing;
    port->flying |= 1u << queued->tag;
    block_submit(port->drive.disk, &queued->request);
}

static void request_done(struct block_request *request, int error)
{
    struct ahci_queued *queued = request->opaque;
    struct ahci_port *port = queued->port;
    uint32_t bit = 1u << queued->tag;
    bool draining = ahci_port_draining(port);

    port->flying &= ~bit;
    if (request->op == BLOCK_READ)
        sg_written(&queued->sg, port->ahci->wires.memory);
    if (port->issued & bit) {
        if (error) {
            uint8_t bits = request->op == BLOCK_READ ? ATA_ERROR_UNC : ATA_ERROR_ABRT;
            fail(port, queued, bits);
        } else if (queued->flush && request->op == BLOCK_WRITE) {
            queued->request = (struct block_request){.op = BLOCK_FLUSH};
            submit(port, queued);
            return;
        } else {
            port->issued &= ~bit;
            port->is |= queued->notify ? IS_DPS : 0;
            send_bits(port, bit);
        }
    }
    if (draining && !ahci_port_draining(port))
        ahci_port_drained(port);
    else
        ahci_port_go(port);
}

/* The command's memory. False when the port halted. */
static bool gather(struct ahci_port *port, struct ahci_queued *queued, uint32_t header, uint64_t table,
                   uint64_t size)
{
    queued->notify = false;
    sg_clear(&queued->sg);
    for (uint32_t n = 0; n < HEADER_PRDTL(header) && queued->sg.size < size; n++) {
        uint64_t addr;
        uint32_t piece;
        bool notify;

        if (!ahci_fetch_prd(port, table, n, &addr, &piece, &notify))
            return false;
        if (piece > size - queued->sg.size)
            piece = (uint32_t)(size - queued->sg.size);
        if (!sg_add(&queued->sg, port->ahci->wires.memory, addr, piece)) {
            log_at(port->ahci->wires.log, LOG_GUEST, "ahci",
                   "port %u: no RAM for queued data at 0x%llx, or more than %u pieces", port->number,
                   (unsigned long long)addr, (unsigned)BLOCK_PIECES);
            ahci_port_halt(port, IS_HBFS);
            return false;
        }
        queued->notify |= notify;
    }
    if (queued->sg.size < size)
        ahci_port_halt(port, queued->request.op == BLOCK_READ ? IS_OFS : IS_IFS);
    return queued->sg.size == size;
}

/* Bits of the Error register, 0 if it can be done. */
static uint8_t check(const struct ahci_port *port, const struct block_request *request, unsigned slot,
                     unsigned tag)
{
    const struct block *disk = port->drive.disk;

    if (tag != slot || (request->op == BLOCK_WRITE && disk->read_only))
        return ATA_ERROR_ABRT;
    if (request->offset > disk->size || request->size > disk->size - request->offset)
        return ATA_ERROR_IDNF;
    return 0;
}

void ahci_queue_start(struct ahci_port *port, unsigned slot, const uint8_t *fis, uint32_t header,
                      uint64_t table)
{
    struct ahci_queued *queued = &port->queued[slot];
    struct ata *drive = &port->drive;
    uint32_t count = fis[3] | (uint32_t)fis[11] << 8;
    bool write = fis[2] == WRITE_QUEUED;
    uint64_t lba = 0;

    if (port->flying >> slot & 1) {
        log_at(port->ahci->wires.log, LOG_GUEST, "ahci", "port %u: slot %u is still in use", port->number,
               slot);
        ahci_port_halt(port, IS_IFS);
        return;
    }
    for (unsigned i = 0; i < 3; i++)
        lba |= (uint64_t)fis[4 + i] << 8 * i | (uint64_t)fis[8 + i] << (24 + 8 * i);
    queued->port = port;
    queued->tag = (uint8_t)slot;
    queued->flush = write && (fis[7] & FUA || !drive->write_cache);
    queued->request = (struct block_request){
        .op = write ? BLOCK_WRITE : BLOCK_READ,
        .offset = lba * ATA_SECTOR,
        .size = (count ? count : 65536) * (size_t)ATA_SECTOR,
    };
    drive->power = ATA_POWER_ACTIVE;
    drive->status = ATA_STATUS_DRDY | ATA_STATUS_DSC;
    drive->error = 0;

    uint8_t error = check(port, &queued->request, slot, fis[12] >> 3);
    if (error) {
        fail(port, queued, error);
        return;
    }
    if (!gather(port, queued, header, table, queued->request.size))
        return;
    queued->request.iov = queued->sg.iov;
    queued->request.iov_count = queued->sg.count;
    port->ci &= ~(1u << slot);
    port->issued |= 1u << slot;
    ahci_port_report(port, false);
    submit(port, queued);
}
