/*
 * ahci_port.c - a port of the SATA controller: its registers (AHCI 1.3.1, 3.3), its link (5.2, 10.4), and
 * which command is next (5.3).
 *
 * Data of queued commands goes straight between the medium and the guest's memory, and what is with the
 * medium can't be called back. So a port that is stopped says that it still runs (CMD.CR), and a link that is
 * reset does not come up, until the last of it came back: nothing is written to memory that the guest
 * believes its own again.
 */
#include <string.h>

#include "core/log.h"
#include "devices/ahci_internal.h"

#define SSTS_UP      0x123u /* communication, 3 Gb/s, active */
#define SSTS_OFFLINE 0x004u
#define SCTL_DET     0x00Fu
#define DET_RESET    1u
#define DET_OFFLINE  4u
#define SERR_X       0x04000000u /* somebody was plugged in, or came back */
#define SERR_ALL     0x07FF0F03u

#define TFD_NOBODY       0x7Fu
#define SIG_NOBODY       0xFFFFFFFFu
#define BUSY_OR_DRQ      (ATA_STATUS_BSY | ATA_STATUS_DRQ)
#define CMD_WRITABLE     (CMD_ST | CMD_FRE | CMD_ATAPI | CMD_DLAE)
#define LIST_ALIGNED     (~0x3FFull)
#define RECEIVED_ALIGNED (~0xFFull)

void ahci_port_store(struct ahci_port *port, unsigned where, const uint8_t *fis, unsigned size)
{
    if (port->cmd & CMD_FRE && !sg_write_ram(port->ahci->wires.memory, port->received + where, fis, size))
        ahci_port_halt(port, IS_HBFS);
}

void ahci_port_halt(struct ahci_port *port, uint32_t cause)
{
    port->is |= cause;
    port->halted = true;
}

/* --- The link. */

static bool present(const struct ahci_port *port)
{
    return port->drive.kind;
}

/* The drive is through with its reset: it says what it is. */
static void take_signature(struct ahci_port *port)
{
    const struct ata *drive = &port->drive;

    port->resetting = false;
    port->sig = drive->current[ATA_COUNT] | (uint32_t)drive->current[ATA_LBA_LOW] << 8 |
                (uint32_t)drive->current[ATA_LBA_MID] << 16 | (uint32_t)drive->current[ATA_LBA_HIGH] << 24;
    port->unseen = !(port->cmd & CMD_FRE);
    ahci_port_report(port, false);
}

static void come_up(struct ahci_port *port)
{
    port->link_waits = ahci_port_draining(port);
    if (port->link_waits || !present(port))
        return;
    port->up = true;
    port->serr |= SERR_X;
    port->tfd = ATA_STATUS_BSY;
    port->resetting = true;
    ata_reset(&port->drive);
}

static void go_down(struct ahci_port *port)
{
    ahci_queue_abort(port);
    port->up = port->busy = port->resetting = port->unseen = port->link_waits = false;
    port->tfd = present(port) ? ATA_STATUS_BSY : TFD_NOBODY;
    port->sig = SIG_NOBODY;
}

static void write_sctl(struct ahci_port *port, uint32_t value)
{
    uint32_t before = port->sctl & SCTL_DET, now = value & SCTL_DET;

    port->sctl = value & 0xFFF;
    if (now == before)
        return;
    go_down(port);
    if (now != DET_RESET && now != DET_OFFLINE)
        come_up(port);
}

static uint32_t ssts(const struct ahci_port *port)
{
    return port->up ? SSTS_UP : (port->sctl & SCTL_DET) == DET_OFFLINE ? SSTS_OFFLINE : 0;
}

/* --- Commands. */

static bool can_issue(const struct ahci_port *port)
{
    return port->ci && port->cmd & CMD_ST && port->cmd & CMD_CR && port->up && !port->halted && !port->busy &&
           !port->resetting && !ahci_port_draining(port) && !(port->tfd & BUSY_OR_DRQ) &&
           ahci_may_master(port->ahci);
}

/* The slots take turns. */
static unsigned next_slot(const struct ahci_port *port)
{
    unsigned slot = port->next % AHCI_SLOTS;

    while (!(port->ci >> slot & 1))
        slot = (slot + 1) % AHCI_SLOTS;
    return slot;
}

/*
 * A FIS for the control register: SRST is set by one and cleared by the next, upon which the drive sends its
 * signature. It comes in spite of queued commands, which it ends.
 */
static bool control(struct ahci_port *port, unsigned slot, uint8_t value)
{
    bool released = port->drive.control & ATA_CONTROL_SRST && !(value & ATA_CONTROL_SRST);

    ahci_queue_abort(port);
    if (ahci_port_draining(port))
        return false;
    port->ci &= ~(1u << slot);
    if (released) {
        port->resetting = true;
        port->tfd |= ATA_STATUS_BSY;
    }
    ata_write_control(&port->drive, value);
    return true;
}

/* A FIS that no drive understands, or none at all: nothing more goes over this link. */
static bool refuse(struct ahci_port *port, unsigned slot)
{
    log_at(port->ahci->wires.log, LOG_GUEST, "ahci", "port %u: slot %u holds no command", port->number, slot);
    ahci_port_halt(port, IS_IFS);
    return false;
}

/* False: not now. */
static bool issue(struct ahci_port *port, unsigned slot)
{
    struct bus *memory = port->ahci->wires.memory;
    uint32_t header[4], length;
    uint8_t fis[FIS_SIZE] = {0};

    if (!sg_read_ram(memory, port->list + 32ull * slot, header, sizeof(header))) {
        ahci_port_halt(port, IS_HBFS);
        return false;
    }
    uint64_t table = (header[2] & ~0x7Fu) | (uint64_t)header[3] << 32;
    length = HEADER_CFL(header[0]) * 4;
    if (length < 8 || length > sizeof(fis))
        return refuse(port, slot);
    if (!sg_read_ram(memory, table, fis, length)) {
        ahci_port_halt(port, IS_HBFS);
        return false;
    }
    if (fis[0] != FIS_TO_DEVICE)
        return refuse(port, slot);
    if (!(fis[1] & FIS_COMMAND))
        return control(port, slot, fis[15]);
    bool queued = ahci_is_queued(port, fis);
    if (!queued && port->issued) /* drives don't mix them: it waits for its turn */
        return false;
    port->slot = (uint8_t)slot;
    port->next = (uint8_t)((slot + 1) % AHCI_SLOTS);
    if (queued) {
        ahci_queue_start(port, slot, fis, header[0], table);
        return true;
    }
    port->header = header[0];
    port->table = table;
    ahci_command_start(port, fis);
    return true;
}

void ahci_port_go(struct ahci_port *port)
{
    bool more = true;

    if (port->active)
        return;
    port->active = true;
    while (more) {
        if (port->resetting && port->drive.phase == ATA_IDLE)
            take_signature(port);
        if (!port->resetting)
            ahci_command_run(port);
        more = can_issue(port) && issue(port, next_slot(port));
    }
    port->active = false;
    ahci_update(port->ahci);
}

void ahci_port_drained(struct ahci_port *port)
{
    if (!(port->cmd & CMD_ST))
        port->cmd &= ~CMD_CR;
    if (port->link_waits)
        come_up(port);
    ahci_port_rests(port->ahci);
    ahci_port_go(port);
}

/* --- Registers. */

/* Nothing is left of what was under way but what is with the medium (3.3.7). */
static void stop(struct ahci_port *port)
{
    port->ci = port->sact = 0;
    port->busy = port->halted = false;
    port->slot = port->next = 0;
    ahci_queue_abort(port);
    if (!ahci_port_draining(port))
        port->cmd &= ~CMD_CR;
}

static void write_cmd(struct ahci_port *port, uint32_t value)
{
    uint32_t changed = (port->cmd ^ value) & CMD_WRITABLE;

    port->cmd = (port->cmd & ~CMD_WRITABLE) | (value & CMD_WRITABLE);
    port->cmd = value & CMD_FRE ? port->cmd | CMD_FR : port->cmd & ~CMD_FR;
    if (value & CMD_CLO && !(port->cmd & CMD_CR))
        port->tfd &= ~(uint32_t)BUSY_OR_DRQ;
    if (changed & CMD_ST && !(value & CMD_ST))
        stop(port);
    else if (changed & CMD_ST)
        port->cmd |= CMD_CR;
    if (port->cmd & CMD_FRE && port->unseen) {
        port->unseen = false;
        ahci_port_report(port, false);
    }
}

/* IS and what SERR shows there. */
static uint32_t causes(const struct ahci_port *port)
{
    return port->is | (port->serr & SERR_X ? IS_PCS : 0);
}

uint32_t ahci_port_read(const struct ahci_port *port, unsigned reg)
{
    switch (reg) {
    case PORT_CLB:
        return (uint32_t)port->list;
    case PORT_CLBU:
        return (uint32_t)(port->list >> 32);
    case PORT_FB:
        return (uint32_t)port->received;
    case PORT_FBU:
        return (uint32_t)(port->received >> 32);
    case PORT_IS:
        return causes(port);
    case PORT_IE:
        return port->ie;
    case PORT_CMD:
        return port->cmd | CMD_SUD | CMD_POD | (uint32_t)port->slot << 8;
    case PORT_TFD:
        return port->tfd;
    case PORT_SIG:
        return port->sig;
    case PORT_SSTS:
        return ssts(port);
    case PORT_SCTL:
        return port->sctl;
    case PORT_SERR:
        return port->serr;
    case PORT_SACT:
        return port->sact;
    case PORT_CI:
        return port->ci;
    default:
        return 0;
    }
}

static void set_low(uint64_t *address, uint32_t value, uint64_t aligned)
{
    *address = (*address >> 32 << 32 | value) & aligned;
}

static void set_high(uint64_t *address, uint32_t value)
{
    *address = (*address & UINT32_MAX) | (uint64_t)value << 32;
}

void ahci_port_write(struct ahci_port *port, unsigned reg, uint32_t value)
{
    switch (reg) {
    case PORT_CLB:
        set_low(&port->list, value, LIST_ALIGNED);
        break;
    case PORT_CLBU:
        set_high(&port->list, value);
        break;
    case PORT_FB:
        set_low(&port->received, value, RECEIVED_ALIGNED);
        break;
    case PORT_FBU:
        set_high(&port->received, value);
        break;
    case PORT_IS:
        port->is &= ~value;
        break;
    case PORT_IE:
        port->ie = value & IS_ALL;
        break;
    case PORT_CMD:
        write_cmd(port, value);
        break;
    case PORT_SCTL:
        write_sctl(port, value);
        break;
    case PORT_SERR:
        port->serr &= ~(value & SERR_ALL);
        break;
    case PORT_SACT:
        if (port->cmd & CMD_ST)
            port->sact |= value;
        break;
    case PORT_CI:
        if (port->cmd & CMD_ST)
            port->ci |= value;
        break;
    default:
        return;
    }
    ahci_port_go(port);
}

/* --- Reset and state. */

/* The addresses outlive all but power-on (10.4.3). */
void ahci_port_reset(struct ahci_port *port, bool cold)
{
    if (cold)
        port->list = port->received = 0;
    port->is = port->ie = port->sctl = port->serr = 0;
    port->cmd = 0;
    stop(port);
    go_down(port);
    come_up(port);
}

void ahci_port_loaded(struct ahci_port *port)
{
    uint32_t again = port->issued;

    port->slot %= AHCI_SLOTS;
    port->up = port->up && present(port);
    port->busy = port->busy && present(port);
    port->resetting = port->resetting && present(port);
    port->list &= LIST_ALIGNED;
    port->received &= RECEIVED_ALIGNED;
    /* Those that were with the medium are issued anew: what they say is still in memory. */
    port->issued = 0;
    port->ci |= port->up && !port->halted ? again : 0;
    if (!(port->cmd & CMD_ST))
        port->cmd &= ~CMD_CR;
    if (present(port))
        ata_loaded(&port->drive);
    if (port->link_waits)
        come_up(port);
    ahci_port_go(port);
}

const struct field ahci_port_fields[] = {
    FIELD_STRUCT(struct ahci_port, drive, ata_fields),
    FIELD(struct ahci_port, list),
    FIELD(struct ahci_port, received),
    FIELD(struct ahci_port, is),
    FIELD(struct ahci_port, ie),
    FIELD(struct ahci_port, cmd),
    FIELD(struct ahci_port, tfd),
    FIELD(struct ahci_port, sig),
    FIELD(struct ahci_port, sctl),
    FIELD(struct ahci_port, serr),
    FIELD(struct ahci_port, sact),
    FIELD(struct ahci_port, ci),
    FIELD(struct ahci_port, up),
    FIELD(struct ahci_port, resetting),
    FIELD(struct ahci_port, unseen),
    FIELD(struct ahci_port, halted),
    FIELD(struct ahci_port, link_waits),
    FIELD(struct ahci_port, busy),
    FIELD(struct ahci_port, slot),
    FIELD(struct ahci_port, next),
    FIELD(struct ahci_port, pio_in),
    FIELD(struct ahci_port, header),
    FIELD(struct ahci_port, table),
    FIELD(struct ahci_port, prd),
    FIELD(struct ahci_port, prd_at),
    FIELD(struct ahci_port, moved),
    FIELD(struct ahci_port, issued),
    FIELD_END,
};
