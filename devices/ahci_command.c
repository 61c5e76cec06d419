/*
 * ahci_command.c - a command that the drive works on alone: its registers come out of a FIS, and whenever the
 * drive has data to move they go between its buffer and the command's memory (AHCI 1.3.1, 5.3).
 *
 * What a drive on a cable says by INTRQ and its Status register it says by FISes here: a register FIS when a
 * command is over, a PIO Setup FIS before each block of PIO data, whose E_Status is what Status will be after
 * the block; the last block of a PIO read ends the command by that alone.
 */
#include <string.h>

#include "devices/ahci_internal.h"
#include "devices/ata_internal.h"

bool ahci_fetch_prd(struct ahci_port *port, uint64_t table, uint32_t n, uint64_t *addr, uint32_t *size,
                    bool *notify)
{
    uint32_t raw[4];

    if (!sg_read_ram(port->ahci->wires.memory, table + TABLE_PRD + 16ull * n, raw, sizeof(raw))) {
        ahci_port_halt(port, IS_HBFS);
        return false;
    }
    *addr = raw[0] | (uint64_t)raw[1] << 32;
    *size = (raw[3] & PRD_COUNT) + 1;
    *notify = raw[3] & PRD_INTR;
    return true;
}

/* What a CPU could reach, data can: that may be a chip's memory. */
static bool move_piece(struct ahci_port *port, uint64_t addr, uint8_t *data, uint32_t size, bool to_host)
{
    struct bus *memory = port->ahci->wires.memory;
    uint64_t offset;

    if (!bus_find(memory, addr, &offset) || !bus_find(memory, addr + size - 1, &offset)) {
        ahci_port_halt(port, IS_HBFS);
        return false;
    }
    if (to_host)
        bus_write_block(memory, addr, data, size);
    else
        bus_read_block(memory, addr, data, size);
    return true;
}

/*
 * Between the drive's buffer and memory. More for the host than it has memory for is lost, and it hears of
 * that; less from the host than the drive wants never comes.
 */
static bool move(struct ahci_port *port, uint8_t *data, uint32_t size, bool to_host)
{
    while (size && port->prd < HEADER_PRDTL(port->header)) {
        uint64_t addr;
        uint32_t piece;
        bool notify;

        if (!ahci_fetch_prd(port, port->table, port->prd, &addr, &piece, &notify))
            return false;
        if (port->prd_at >= piece) /* the guest changed it meanwhile */
            port->prd_at = 0;
        uint32_t part = piece - port->prd_at < size ? piece - port->prd_at : size;
        if (!move_piece(port, addr + port->prd_at, data, part, to_host))
            return false;
        data += part;
        size -= part;
        port->moved += part;
        port->prd_at += part;
        if (port->prd_at < piece)
            continue;
        port->prd++;
        port->prd_at = 0;
        if (notify)
            port->is |= IS_DPS;
    }
    if (!size)
        return true;
    log_at(port->ahci->wires.log, LOG_GUEST, "ahci",
           "port %u: command 0x%02x has %u bytes more than memory for it", port->number, port->drive.command,
           size);
    if (!to_host)
        ahci_port_halt(port, IS_IFS);
    else
        port->is |= IS_OFS;
    return to_host;
}

static void store_pio_setup(struct ahci_port *port, const uint8_t *before, uint32_t size, bool interrupt)
{
    uint8_t fis[20] = {0};

    memcpy(fis, before, 14);
    fis[0] = FIS_PIO_SETUP;
    fis[15] = port->drive.status;
    fis[16] = (uint8_t)size;
    fis[17] = (uint8_t)(size >> 8);
    ahci_port_store(port, RECEIVED_PIO, fis, sizeof(fis));
    if (interrupt)
        port->is |= IS_PSS;
}

/* The registers as both kinds of FIS have them. */
static void registers(const struct ata *drive, uint8_t fis[14])
{
    memset(fis, 0, 14);
    fis[2] = drive->status;
    fis[3] = drive->error;
    for (unsigned i = 0; i < 3; i++) {
        fis[4 + i] = drive->current[ATA_LBA_LOW + i];
        fis[8 + i] = drive->previous[ATA_LBA_LOW + i];
    }
    fis[7] = drive->device;
    fis[12] = drive->current[ATA_COUNT];
    fis[13] = drive->previous[ATA_COUNT];
}

void ahci_port_report(struct ahci_port *port, bool interrupt)
{
    uint8_t fis[20] = {0};

    registers(&port->drive, fis);
    fis[0] = FIS_FROM_DEVICE;
    fis[1] = interrupt ? FIS_INTERRUPT : 0;
    port->tfd = (uint32_t)port->drive.error << 8 | port->drive.status;
    ahci_port_store(port, RECEIVED_REG, fis, sizeof(fis));
    if (interrupt)
        port->is |= IS_DHRS;
}

/* A packet is the first thing that a PACKET command takes, and comes from a place of its own. */
static bool move_packet(struct ahci_port *port, uint8_t *data, uint32_t size)
{
    if (sg_read_ram(port->ahci->wires.memory, port->table + TABLE_PACKET, data, size))
        return true;
    ahci_port_halt(port, IS_HBFS);
    return false;
}

/* One block. False when there was no memory for it. */
static bool move_pio(struct ahci_port *port)
{
    struct ata *drive = &port->drive;
    bool to_host = drive->phase == ATA_DATA_IN, interrupt = drive->intrq;
    uint32_t size = drive->end - drive->at;
    uint8_t before[14], *data = drive->buffer + drive->at;
    bool packet = drive->kind->packet && !to_host;

    registers(drive, before);
    before[1] = (to_host ? FIS_TO_HOST : 0) | (interrupt ? FIS_INTERRUPT : 0);
    drive->intrq = false;
    if (packet ? !move_packet(port, data, size) : !move(port, data, size, to_host))
        return false;
    ata_dma_moved(drive, size);
    store_pio_setup(port, before, size, interrupt);
    port->pio_in = to_host;
    return true;
}

static bool move_dma(struct ahci_port *port)
{
    struct ata *drive = &port->drive;
    uint8_t *data;
    bool to_host;
    size_t size = ata_dma(drive, &data, &to_host);

    port->pio_in = false;
    if (!move(port, data, (uint32_t)size, to_host))
        return false;
    ata_dma_moved(drive, size);
    return true;
}

static void complete(struct ahci_port *port)
{
    struct ata *drive = &port->drive;
    uint64_t count = port->list + 32ull * port->slot + 4;

    port->busy = false;
    sg_write_ram(port->ahci->wires.memory, count, &port->moved, sizeof(port->moved));
    if (port->pio_in && !drive->intrq)
        port->tfd = (uint32_t)drive->error << 8 | drive->status;
    else
        ahci_port_report(port, true);
    drive->intrq = false;
    if (drive->status & ATA_STATUS_ERR)
        ahci_port_halt(port, IS_TFES);
    else
        port->ci &= ~(1u << port->slot);
}

void ahci_command_run(struct ahci_port *port)
{
    while (port->busy && !port->halted) {
        bool moved = true;

        switch ((enum ata_phase)port->drive.phase) {
        case ATA_DATA_IN:
        case ATA_DATA_OUT:
            moved = move_pio(port);
            break;
        case ATA_DMA_IN:
        case ATA_DMA_OUT:
            moved = move_dma(port);
            break;
        case ATA_MEDIUM:
        case ATA_RESETTING:
            return;
        case ATA_IDLE:
            complete(port);
            break;
        }
        if (!moved)
            return;
    }
}

/* Of each register that is two, the older value goes in first. */
void ahci_command_start(struct ahci_port *port, const uint8_t *fis)
{
    static const struct {
        uint8_t reg, older, newer; /* bytes of the FIS */
    } places[] = {{ATA_FEATURES, 11, 3},
                  {ATA_COUNT, 13, 12},
                  {ATA_LBA_LOW, 8, 4},
                  {ATA_LBA_MID, 9, 5},
                  {ATA_LBA_HIGH, 10, 6}};
    struct ata *drive = &port->drive;

    port->busy = true;
    port->pio_in = false;
    port->prd = port->prd_at = port->moved = 0;
    port->tfd |= ATA_STATUS_BSY;
    if (drive->asleep || drive->status & ATA_STATUS_BSY) {
        log_at(port->ahci->wires.log, LOG_GUEST, "ahci", "port %u: command 0x%02x while the drive %s",
               port->number, fis[2], drive->asleep ? "sleeps" : "is busy");
        ahci_port_halt(port, IS_IFS);
        return;
    }
    for (unsigned i = 0; i < sizeof(places) / sizeof(*places); i++) {
        ata_write(drive, places[i].reg, fis[places[i].older]);
        ata_write(drive, places[i].reg, fis[places[i].newer]);
    }
    ata_write(drive, ATA_DEVICE, fis[7]);
    drive->intrq = false;
    if (fis[2] == ATA_CMD_DIAGNOSTIC)
        ata_diagnose(drive);
    else
        ata_command(drive, fis[2]);
}
