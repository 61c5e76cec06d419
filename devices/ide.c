/*
 * ide.c - PIIX3 IDE: register accesses to the selected drive, and the bus master (82371SB data sheet;
 * Programming Interface for Bus Master IDE Controller 1.0).
 *
 * In: port accesses; the drives' INTRQ and DMARQ. Out: IRQ 14 and 15; reads and writes of memory.
 *
 * The two drives of a cable both hear writes to the registers, and the one that the DEV bit selects answers
 * reads and takes commands. The bus master moves data whenever it is started, allowed by the PCI command
 * register, and the drive has some to move in the direction that was set; whoever makes one of these true
 * calls run_dma().
 *
 * The chip comes out of reset with its ports decoded, as a BIOS would have left it: a guest that is booted
 * directly finds its disks.
 */
#include "devices/ide.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/ata.h"

#define REG_TIMING       0x40 /* 16 bits a channel */
#define TIMING_ENABLE    0x8000
#define REG_SLAVE_TIMING 0x44

/* Bus master registers, 8 bytes a channel. */
#define BM_COMMAND 0
#define BM_STATUS  2
#define BM_TABLE   4 /* 32 bits */
#define BM_SIZE    16

#define BM_START   0x01
#define BM_TO_HOST 0x08 /* a write to memory */

#define BM_ACTIVE    0x01
#define BM_ERROR     0x02
#define BM_INTERRUPT 0x04
#define BM_CAPABLE   0x60 /* for software to note that drives can do DMA */

#define PRD_LAST 0x80000000u

struct ide_channel {
    struct ata drive[IDE_UNITS]; /* zero: none */
    bool selected;               /* DEV: unit 1 */
    bool line;                   /* as IRQ 14 or 15 was last driven */

    uint8_t command, status; /* bus master; BM_ACTIVE is in the status */
    uint32_t table;          /* descriptor table's address */
    uint32_t next;           /* the descriptor to fetch next */
    uint32_t address, left;  /* what the current one still covers: bytes */
    bool last;               /* the current one ends the table */

    struct irq irq;
    struct region *ports, *control;
    struct ide *ide;
    unsigned number;
};

struct ide {
    struct ide_channel channel[IDE_CHANNELS];
    struct pci_function function;
    struct pci_bus *pci;
    struct bus *memory;
    struct region *master;
    struct log *log;
};

/* NULL: there is none. */
static struct ata *drive_at(struct ide_channel *ch, unsigned unit)
{
    return ch->drive[unit].kind ? &ch->drive[unit] : NULL;
}

static struct ata *selected(struct ide_channel *ch)
{
    return drive_at(ch, ch->selected);
}

/* The interrupt bit follows the rising edge of the drive's line (data sheet 2.7.2). */
static void update_irq(struct ide_channel *ch)
{
    const struct ata *drive = selected(ch);
    bool line = drive && ata_intrq(drive);

    if (line && !ch->line)
        ch->status |= BM_INTERRUPT;
    if (line != ch->line) {
        ch->line = line;
        irq_set(&ch->irq, line);
    }
}

/* Bus master. */

static bool may_master(const struct ide *ide)
{
    return pci_get(&ide->function, PCI_COMMAND, 2) & PCI_COMMAND_MASTER;
}

/* The table ends in an entry that says so; a byte count of 0 is 64 KiB. */
static void fetch_descriptor(struct ide_channel *ch)
{
    uint8_t raw[8];
    uint32_t count;

    bus_read_block(ch->ide->memory, ch->next, raw, sizeof(raw));
    ch->next += 8;
    ch->address = raw[0] | raw[1] << 8 | raw[2] << 16 | (uint32_t)raw[3] << 24;
    ch->address &= ~1u;
    count = (raw[4] | raw[5] << 8) & 0xFFFEu;
    ch->left = count ? count : 0x10000;
    ch->last = raw[7] & PRD_LAST >> 24;
}

/* Moves what fits into the current descriptor, up to 4 GiB, where the address starts over. */
static void move(struct ide_channel *ch, struct ata *drive, uint8_t *data, size_t size, bool to_host)
{
    uint64_t room = (1ull << 32) - ch->address;

    if (size > ch->left)
        size = ch->left;
    if (size > room)
        size = (size_t)room;
    if (to_host)
        bus_write_block(ch->ide->memory, ch->address, data, size);
    else
        bus_read_block(ch->ide->memory, ch->address, data, size);
    ch->address += (uint32_t)size;
    ch->left -= (uint32_t)size;
    if (!ch->left && ch->last) /* before the drive may interrupt */
        ch->status &= (uint8_t)~BM_ACTIVE;
    ata_dma_moved(drive, size);
}

static void run_dma(struct ide_channel *ch)
{
    struct ata *drive = selected(ch);
    uint8_t *data;
    size_t size;
    bool to_host;

    while (ch->status & BM_ACTIVE && may_master(ch->ide) && drive &&
           (size = ata_dma(drive, &data, &to_host)) != 0) {
        if (to_host != !!(ch->command & BM_TO_HOST)) {
            log_at(ch->ide->log, LOG_GUEST, "ide",
                   "channel %u: bus master and drive disagree on the direction", ch->number);
            return;
        }
        if (!ch->left)
            fetch_descriptor(ch);
        move(ch, drive, data, size, to_host);
    }
}

/* Starting begins with the table's first entry; stopping loses the place (Bus Master IDE 1.0, 2.1). */
static void write_bm_command(struct ide_channel *ch, uint8_t value)
{
    uint8_t changed = ch->command ^ value;

    ch->command = value & (BM_START | BM_TO_HOST);
    if (!(changed & BM_START))
        return;
    ch->left = 0;
    ch->last = false;
    ch->next = ch->table;
    if (value & BM_START)
        ch->status |= BM_ACTIVE;
    else
        ch->status &= (uint8_t)~BM_ACTIVE;
    run_dma(ch);
}

static uint8_t read_bm(const struct ide_channel *ch, unsigned reg)
{
    switch (reg) {
    case BM_COMMAND:
        return ch->command;
    case BM_STATUS:
        return ch->status;
    default:
        return reg >= BM_TABLE ? (uint8_t)(ch->table >> (reg - BM_TABLE) * 8) : 0;
    }
}

static void write_bm(struct ide_channel *ch, unsigned reg, uint8_t value)
{
    unsigned shift = (reg & 3) * 8;

    if (reg == BM_COMMAND)
        write_bm_command(ch, value);
    else if (reg == BM_STATUS)
        ch->status = (ch->status & ~BM_CAPABLE & ~(value & (BM_ERROR | BM_INTERRUPT))) | (value & BM_CAPABLE);
    else if (reg >= BM_TABLE)
        ch->table = ((ch->table & ~(0xFFu << shift)) | (uint32_t)value << shift) & ~3u;
}

static uint64_t bm_read(void *dev, uint64_t addr, unsigned size)
{
    struct ide *ide = dev;
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)read_bm(&ide->channel[(addr + i) >> 3 & 1], (addr + i) & 7) << 8 * i;
    return value;
}

static void bm_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct ide *ide = dev;

    for (unsigned i = 0; i < size; i++)
        write_bm(&ide->channel[(addr + i) >> 3 & 1], (addr + i) & 7, (uint8_t)(value >> 8 * i));
}

static const struct bus_ops bm_ops = {bm_read, bm_write, 4};

/* Drives' registers. */

/*
 * What is read where no drive answers. Unit 0 answers for a missing unit 1 with zeroes, which no driver takes
 * for a drive; with nobody there, pull-ups give ones, and a pull-down on bit 7 says "not busy".
 */
static uint8_t nobody(struct ide_channel *ch)
{
    return drive_at(ch, 0) ? 0 : 0x7F;
}

static uint8_t read_register(struct ide_channel *ch, unsigned reg)
{
    struct ata *drive = selected(ch);

    return drive ? ata_read(drive, reg) : nobody(ch);
}

static void write_command(struct ide_channel *ch, uint8_t command)
{
    struct ata *drive = selected(ch);

    if (command != ATA_CMD_DIAGNOSTIC) {
        if (drive)
            ata_command(drive, command);
        return;
    }
    if (drive && drive->status & ATA_STATUS_BSY)
        return;
    ch->selected = false;
    for (unsigned i = 0; i < IDE_UNITS; i++)
        if (drive_at(ch, i))
            ata_diagnose(drive_at(ch, i));
    update_irq(ch);
}

static void write_register(struct ide_channel *ch, unsigned reg, uint8_t value)
{
    if (reg == ATA_COMMAND) {
        write_command(ch, value);
        return;
    }
    for (unsigned i = 0; i < IDE_UNITS; i++)
        if (drive_at(ch, i))
            ata_write(drive_at(ch, i), reg, value);
    if (reg == ATA_DEVICE) {
        ch->selected = value & ATA_DEVICE_DEV;
        update_irq(ch);
        run_dma(ch);
    }
}

/* The data port is 16 bits wide; the PIIX makes two accesses of a 32-bit one. A byte takes a word with it. */
static uint64_t read_data(struct ide_channel *ch, unsigned size)
{
    struct ata *drive = selected(ch);
    uint64_t value = drive ? ata_read_data(drive) : 0xFFFF;

    if (size == 4)
        value |= (uint64_t)(drive ? ata_read_data(drive) : 0xFFFF) << 16;
    return value;
}

static void write_data(struct ide_channel *ch, uint64_t value, unsigned size)
{
    struct ata *drive = selected(ch);

    if (!drive)
        return;
    ata_write_data(drive, (uint16_t)value);
    if (size == 4)
        ata_write_data(drive, (uint16_t)(value >> 16));
}

static uint64_t ports_read(void *dev, uint64_t addr, unsigned size)
{
    struct ide_channel *ch = dev;
    uint64_t value = 0;

    if (addr == ATA_DATA)
        return read_data(ch, size);
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)read_register(ch, (unsigned)(addr + i) & 7) << 8 * i;
    return value;
}

static void ports_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct ide_channel *ch = dev;

    if (addr == ATA_DATA) {
        write_data(ch, value, size);
        return;
    }
    for (unsigned i = 0; i < size; i++)
        write_register(ch, (unsigned)(addr + i) & 7, (uint8_t)(value >> 8 * i));
}

static const struct bus_ops ports_ops = {ports_read, ports_write, 4};

static uint64_t control_read(void *dev, uint64_t addr, unsigned size)
{
    struct ide_channel *ch = dev;

    (void)addr;
    (void)size;
    return selected(ch) ? selected(ch)->status : nobody(ch);
}

static void control_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct ide_channel *ch = dev;

    (void)addr;
    (void)size;
    if (value & ATA_CONTROL_SRST)
        ch->selected = false;
    for (unsigned i = 0; i < IDE_UNITS; i++)
        if (drive_at(ch, i))
            ata_write_control(drive_at(ch, i), (uint8_t)value);
    update_irq(ch);
}

static const struct bus_ops control_ops = {control_read, control_write, 1};

/* The drives' wires. */

static void intrq_changed(void *opaque)
{
    update_irq(opaque);
}

static void dmarq_changed(void *opaque)
{
    run_dma(opaque);
}

/* PCI. */

static void route(struct ide *ide)
{
    uint64_t master = pci_bar_address(&ide->function, 4);
    bool io = pci_get(&ide->function, PCI_COMMAND, 2) & PCI_COMMAND_IO;

    region_set(ide->master, master & 0xFFF0, master <= 0xFFF0, 0);
    for (unsigned i = 0; i < IDE_CHANNELS; i++) {
        struct ide_channel *ch = &ide->channel[i];
        bool enabled = io && pci_get(&ide->function, REG_TIMING + 2 * i, 2) & TIMING_ENABLE;

        region_set(ch->ports, ch->ports->base, enabled, 0);
        region_set(ch->control, ch->control->base, enabled, 0);
    }
}

static void config_written(void *dev, unsigned reg, unsigned size)
{
    struct ide *ide = dev;

    (void)reg;
    (void)size;
    route(ide);
    for (unsigned i = 0; i < IDE_CHANNELS; i++)
        run_dma(&ide->channel[i]);
}

/* A missing drive is saved as one that was never used. */
static const struct field channel_fields[] = {
    FIELD_STRUCTS(struct ide_channel, drive, ata_fields),
    FIELD(struct ide_channel, selected),
    FIELD(struct ide_channel, command),
    FIELD(struct ide_channel, status),
    FIELD(struct ide_channel, table),
    FIELD(struct ide_channel, next),
    FIELD(struct ide_channel, address),
    FIELD(struct ide_channel, left),
    FIELD(struct ide_channel, last),
    FIELD_END,
};

static const struct field function_fields[] = {FIELD_ARRAY(struct pci_function, config), FIELD_END};

static const struct field ide_fields[] = {
    FIELD_STRUCTS(struct ide, channel, channel_fields),
    FIELD_STRUCT(struct ide, function, function_fields),
    FIELD_END,
};

static void init_config(struct pci_function *function)
{
    memset(function->config, 0, sizeof(function->config));
    pci_set(function, PCI_VENDOR_ID, 0x8086, 2);
    pci_set(function, PCI_DEVICE_ID, 0x7010, 2);
    pci_set(function, PCI_COMMAND, PCI_COMMAND_IO, 2);
    pci_set(function, PCI_STATUS, 0x0280, 2);
    pci_set(function, PCI_CLASS, 0x010180, 3); /* IDE, at the legacy ports, with a bus master */
    pci_init_bar(function, 4, BM_SIZE, PCI_BAR_IO);
    pci_allow(function, PCI_COMMAND, PCI_COMMAND_MASTER, 2);
    function->clearable[PCI_STATUS + 1] = 0x38; /* aborts */
    pci_allow(function, 0x0D, 0xF0, 1);         /* latency timer */
    pci_set(function, REG_TIMING, TIMING_ENABLE, 2);
    pci_set(function, REG_TIMING + 2, TIMING_ENABLE, 2);
    pci_allow(function, REG_TIMING, 0xF3FFF3FF, 4);
    pci_allow(function, REG_SLAVE_TIMING, 0xFF, 1);
}

static void ide_reset(void *device)
{
    struct ide *ide = device;

    init_config(&ide->function);
    for (unsigned i = 0; i < IDE_CHANNELS; i++) {
        struct ide_channel *ch = &ide->channel[i];

        ch->selected = false;
        ch->command = ch->status = 0;
        ch->table = ch->next = ch->address = ch->left = 0;
        ch->last = false;
        for (unsigned unit = 0; unit < IDE_UNITS; unit++)
            if (drive_at(ch, unit))
                ata_reset(drive_at(ch, unit));
        update_irq(ch);
    }
    route(ide);
}

static void ide_loaded(void *device)
{
    struct ide *ide = device;

    for (unsigned i = 0; i < IDE_CHANNELS; i++) {
        struct ide_channel *ch = &ide->channel[i];
        struct ata *drive = selected(ch);

        if (ch->left > 0x10000)
            ch->left = 0;
        ch->line = drive && ata_intrq(drive);
        irq_set(&ch->irq, ch->line);
        for (unsigned unit = 0; unit < IDE_UNITS; unit++)
            if (drive_at(ch, unit))
                ata_loaded(drive_at(ch, unit));
    }
    route(ide);
}

static void ide_free(void *device)
{
    struct ide *ide = device;

    if (!ide)
        return;
    pci_bus_remove(ide->pci, &ide->function);
    free(ide);
}

const struct device_class ide_class = {
    .name = "ide",
    .reset = ide_reset,
    .loaded = ide_loaded,
    .free = ide_free,
    .state = ide_fields,
};

static bool map(struct ide *ide, struct bus *ports)
{
    static const struct {
        uint16_t ports, control;
        const char *name, *control_name;
    } places[IDE_CHANNELS] = {{0x1F0, 0x3F6, "ide0", "ide0-control"}, {0x170, 0x376, "ide1", "ide1-control"}};

    for (unsigned i = 0; i < IDE_CHANNELS; i++) {
        struct ide_channel *ch = &ide->channel[i];

        ch->ports = bus_map(ports, places[i].name, places[i].ports, ATA_REGISTERS, &ports_ops, ch);
        ch->control = bus_map(ports, places[i].control_name, places[i].control, 1, &control_ops, ch);
        if (!ch->ports || !ch->control)
            return false;
    }
    ide->master = bus_map(ports, "ide-busmaster", 0xC000, BM_SIZE, &bm_ops, ide);
    return ide->master;
}

struct ide *ide_new(struct pci_bus *pci, struct bus *ports, struct bus *memory, struct irq irq14,
                    struct irq irq15, struct log *log)
{
    struct ide *ide = calloc(1, sizeof(*ide));

    if (!ide)
        return NULL;
    ide->pci = pci;
    ide->memory = memory;
    ide->log = log;
    for (unsigned i = 0; i < IDE_CHANNELS; i++) {
        ide->channel[i].ide = ide;
        ide->channel[i].number = i;
        ide->channel[i].irq = i ? irq15 : irq14;
    }
    ide->function.name = "PIIX3 IDE";
    ide->function.dev = ide;
    ide->function.written = config_written;
    if (!pci_bus_add(pci, 1, 1, &ide->function) || !map(ide, ports)) {
        ide_free(ide);
        return NULL;
    }
    ide_reset(ide);
    return ide;
}

/* The place for a drive, and its cable and serial number; NULL when it is taken or doesn't exist. */
static struct ata *place_for(struct ide *ide, unsigned channel, unsigned unit, struct ata_cable *cable,
                             char *serial, size_t serial_size)
{
    if (channel >= IDE_CHANNELS || unit >= IDE_UNITS || drive_at(&ide->channel[channel], unit))
        return NULL;
    *cable = (struct ata_cable){intrq_changed, dmarq_changed, &ide->channel[channel]};
    snprintf(serial, serial_size, "OX%08u", channel * IDE_UNITS + unit + 1);
    return &ide->channel[channel].drive[unit];
}

bool ide_attach_disk(struct ide *ide, unsigned channel, unsigned unit, struct block *disk)
{
    struct ata_cable cable;
    char serial[21];
    struct ata *drive = place_for(ide, channel, unit, &cable, serial, sizeof(serial));

    if (drive)
        ata_init_disk(drive, unit, serial, disk, &cable, ide->log);
    return drive;
}

bool ide_attach_cdrom(struct ide *ide, unsigned channel, unsigned unit, struct block_slot *slot)
{
    struct ata_cable cable;
    char serial[21];
    struct ata *drive = place_for(ide, channel, unit, &cable, serial, sizeof(serial));

    if (drive)
        ata_init_cdrom(drive, unit, serial, slot, &cable, ide->log);
    return drive;
}
