/*
 * ata.h - one drive on an IDE cable, disk or CD-ROM, as its controller sees it: the Command Block and Control
 * Block registers, the data port, INTRQ and DMARQ (ATA/ATAPI-7 volume 1 and 2).
 *
 * ata.c has what all drives share: the register file, data transfers and resets. ata_disk.c are the commands
 * of a disk, atapi.c and atapi_info.c those of a CD-ROM drive.
 *
 * Locking: all calls with the machine lock held.
 */
#ifndef DEVICES_ATA_H
#define DEVICES_ATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/block.h"
#include "core/fields.h"

struct log;

#define ATA_BUFFER 131072u /* bytes: what is read or written at once */

/* Registers by their address on the cable; some are two registers, one to read and one to write. */
enum ata_register {
    ATA_DATA,
    ATA_FEATURES,
    ATA_ERROR = ATA_FEATURES,
    ATA_COUNT, /* a CD-ROM drive's interrupt reason */
    ATA_LBA_LOW,
    ATA_LBA_MID, /* and HIGH: a CD-ROM drive's byte count */
    ATA_LBA_HIGH,
    ATA_DEVICE,
    ATA_COMMAND,
    ATA_STATUS = ATA_COMMAND,
    ATA_REGISTERS
};

#define ATA_STATUS_BSY  0x80
#define ATA_STATUS_DRDY 0x40
#define ATA_STATUS_DF   0x20
#define ATA_STATUS_DSC  0x10
#define ATA_STATUS_DRQ  0x08
#define ATA_STATUS_ERR  0x01 /* CHK for packet commands */

#define ATA_CONTROL_HOB  0x80
#define ATA_CONTROL_SRST 0x04
#define ATA_CONTROL_NIEN 0x02

#define ATA_DEVICE_LBA 0x40
#define ATA_DEVICE_DEV 0x10

#define ATA_CMD_DEVICE_RESET 0x08
#define ATA_CMD_DIAGNOSTIC   0x90

enum ata_phase {
    ATA_IDLE,
    ATA_DATA_IN,  /* DRQ: the host reads buffer[at..end) from the data port */
    ATA_DATA_OUT, /* DRQ: the host writes buffer[at..end) */
    ATA_DMA_IN,   /* DMARQ: the bus master takes buffer[at..end) */
    ATA_DMA_OUT,  /* DMARQ: the bus master fills buffer[at..end) */
    ATA_MEDIUM,   /* BSY: the medium is read, written or flushed */
    ATA_RESETTING /* BSY: until SRST is released and the medium is at rest */
};

/* What a drive pulls on the cable: each says "look again" at ata_intrq() or ata_dma(). The end of a reset says so by
 * intrq, too. */
struct ata_cable {
    void (*intrq)(void *opaque);
    void (*dmarq)(void *opaque);
    void *opaque;
};

/* What only CD-ROM drives have. */
struct atapi {
    uint8_t packet[12];
    bool packet_dma; /* the command's data goes by DMA */
    uint32_t limit;  /* bytes a DRQ, as the host asked */
    uint8_t sense_key, asc, ascq;
    uint8_t attention; /* ASC of a unit attention not yet reported, 0 for none */
    bool prevented;    /* the guest locked the tray */
    bool tray_open;
    bool removed, inserted; /* media events not yet reported */
    bool stale;             /* the medium went away during this command */
};

struct ata {
    /* Features, count and LBA registers by enum ata_register: the last value written and the one before it.
     */
    uint8_t current[ATA_DEVICE], previous[ATA_DEVICE];
    uint8_t device, control, status, error;
    uint8_t command; /* last command taken */
    bool intrq;      /* interrupt pending; nIEN hides it from the cable */
    uint8_t phase;   /* enum ata_phase */

    /* Data under way. Bytes of the buffer: 0 <= at <= end <= filled <= ATA_BUFFER. */
    uint32_t at;     /* next byte to move */
    uint32_t end;    /* of this DRQ block */
    uint32_t filled; /* valid, or to be filled */
    uint64_t lba;    /* of the buffer's start, while on the way from or to the medium */
    uint32_t left;   /* sectors not yet read; written: not yet on the medium */
    uint32_t flags;  /* of the command, enum in ata_disk.c */
    uint32_t block;  /* sectors a DRQ block */
    bool narrow;     /* after an error: read piece by piece, to find the bad one */

    /* The request to the medium, for as long as the phase is ATA_MEDIUM. */
    uint8_t io_op;
    uint64_t io_offset;
    uint32_t io_size;

    /* Settings. */
    uint8_t multiple;    /* sectors a block of READ MULTIPLE, 0 when not set */
    uint8_t mwdma, udma; /* the mode chosen plus one, 0 for none */
    bool write_cache, look_ahead;
    uint8_t power;         /* as CHECK POWER MODE reports it */
    bool asleep;           /* only a reset wakes it */
    uint16_t heads, track; /* logical geometry for CHS addresses: heads, sectors a track */

    struct atapi atapi;
    uint8_t queue_error[14]; /* what log 10h says of the queued command that failed */
    uint8_t buffer[ATA_BUFFER];

    const struct ata_kind *kind;
    struct block *disk;
    struct block_slot *slot; /* a CD-ROM drive's medium */
    struct block_request request;
    bool in_flight; /* the request is with the medium */
    unsigned unit;  /* 0 or 1: its place on the cable */
    bool sata;      /* the cable is a serial link, over which the controller takes queued commands itself */
    char serial[21];
    struct ata_cable cable;
    struct log *log;
};

extern const struct field ata_fields[];

/* Fills in a zeroed drive and powers it on. The serial number is cut to 20 characters. */
void ata_init_disk(struct ata *ata, unsigned unit, const char *serial, struct block *disk,
                   const struct ata_cable *cable, struct log *log);
void ata_init_cdrom(struct ata *ata, unsigned unit, const char *serial, struct block_slot *slot,
                    const struct ata_cable *cable, struct log *log);

/* RESET#. A request that is with the medium comes back first: the drive is busy until then. */
void ata_reset(struct ata *ata);
/* After the fields were loaded with no request under way: takes up what was under way then. */
void ata_loaded(struct ata *ata);

/* A register from ATA_ERROR to ATA_STATUS; reading the latter takes INTRQ back. */
uint8_t ata_read(struct ata *ata, unsigned reg);
/* A register from ATA_FEATURES to ATA_DEVICE. The controller writes to both drives. */
void ata_write(struct ata *ata, unsigned reg, uint8_t value);
void ata_command(struct ata *ata, uint8_t command);
/* Device Control; both drives hear it. */
void ata_write_control(struct ata *ata, uint8_t value);
/* EXECUTE DEVICE DIAGNOSTIC, which both drives do. */
void ata_diagnose(struct ata *ata);

uint16_t ata_read_data(struct ata *ata);
void ata_write_data(struct ata *ata, uint16_t value);

/* INTRQ as the cable sees it. */
bool ata_intrq(const struct ata *ata);

/*
 * How many bytes the drive wants to move by DMA now, 0 for none; *data is where they are or go, *to_host
 * which way. ata_dma_moved() says how many of them were.
 */
size_t ata_dma(struct ata *ata, uint8_t **data, bool *to_host);
void ata_dma_moved(struct ata *ata, size_t size);

#endif
