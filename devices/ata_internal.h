/*
 * ata_internal.h - between ata.c and the files with the drives' commands.
 */
#ifndef DEVICES_ATA_INTERNAL_H
#define DEVICES_ATA_INTERNAL_H

#include "core/log.h"
#include "devices/ata.h"

#define ATA_SECTOR 512u
#define CD_SECTOR  2048u

#define ATA_TRIM_BLOCKS 8u /* sectors full of ranges that DATA SET MANAGEMENT takes at most */

#define ATA_ERROR_UNC  0x40
#define ATA_ERROR_IDNF 0x10
#define ATA_ERROR_ABRT 0x04

#define ATA_POWER_STANDBY 0x00
#define ATA_POWER_IDLE    0x80
#define ATA_POWER_ACTIVE  0xFF

/* What makes a drive a disk or a CD-ROM drive. */
struct ata_kind {
    bool packet;
    void (*command)(struct ata *ata, uint8_t command);
    void (*transferred)(struct ata *ata);         /* all of buffer[at..end) was moved; phase says which way */
    void (*finished)(struct ata *ata, int error); /* the medium's request came back; error is 0 or an errno */
};

/* A command ends: well, without an interrupt, or with bits of the Error register. */
void ata_done(struct ata *ata);
void ata_done_quietly(struct ata *ata);
void ata_fail(struct ata *ata, uint8_t error);

/* Offers the host buffer[at..end), in a phase with DRQ. PIO may interrupt, DMA never does here. */
void ata_offer(struct ata *ata, enum ata_phase phase, uint32_t at, uint32_t end, bool interrupt);

/* Reads into, or writes from, the start of the buffer, or flushes; `finished` is called later. */
void ata_access(struct ata *ata, struct block *medium, enum block_op op, uint64_t offset, uint32_t size);

/* The registers after a reset or a command that the kind of drive doesn't have (ATA/ATAPI-7 9.12). */
void ata_signature(struct ata *ata);

/* Commands that both kinds have. */
void ata_set_features(struct ata *ata);
void ata_set_power(struct ata *ata, uint8_t power);
void ata_check_power(struct ata *ata);

/* 256 words of IDENTIFY DEVICE or IDENTIFY PACKET DEVICE into the buffer. */
void ata_identify_disk(struct ata *ata);
void ata_identify_cdrom(struct ata *ata);
/* The default geometry's cylinders; and those of the current geometry. */
uint32_t ata_cylinders(const struct ata *ata, unsigned heads, unsigned track);

extern const struct ata_kind ata_disk_kind, atapi_kind;

/* Between atapi.c and atapi_info.c. */
#define SENSE_NOT_READY       2
#define SENSE_MEDIUM_ERROR    3
#define SENSE_ILLEGAL_REQUEST 5
#define SENSE_UNIT_ATTENTION  6

#define ASC_INVALID_OPCODE    0x20
#define ASC_LBA_OUT_OF_RANGE  0x21
#define ASC_INVALID_FIELD     0x24
#define ASC_MEDIUM_CHANGED    0x28
#define ASC_RESET             0x29
#define ASC_INCOMPATIBLE      0x30
#define ASC_SAVING_PARAMETERS 0x39
#define ASC_NO_MEDIUM         0x3A
#define ASC_REMOVAL_PREVENTED 0x53
#define ASC_ILLEGAL_MODE      0x64

void atapi_init(struct ata *ata);
void atapi_power_on(struct ata *ata);
/* The disc in the drive, NULL for none; and its 2048-byte sectors. */
struct block *atapi_medium(const struct ata *ata);
uint32_t atapi_sectors(const struct ata *ata);
/* Sends the first `size` bytes of the buffer, but no more than the host allocated. */
void atapi_reply(struct ata *ata, uint32_t size, uint32_t allocation);
/* CHECK CONDITION. */
void atapi_sense(struct ata *ata, uint8_t key, uint8_t asc, uint8_t ascq);

static inline uint16_t atapi_get16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t atapi_get32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline void atapi_put16(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline void atapi_put32(uint8_t *at, uint32_t value)
{
    atapi_put16(at, value >> 16);
    atapi_put16(at + 2, value);
}

/* The commands that only tell something. */
void atapi_inquiry(struct ata *ata, const uint8_t *packet);
void atapi_mode_sense(struct ata *ata, const uint8_t *packet);
void atapi_read_capacity(struct ata *ata, const uint8_t *packet);
void atapi_read_toc(struct ata *ata, const uint8_t *packet);
void atapi_read_subchannel(struct ata *ata, const uint8_t *packet);
void atapi_get_configuration(struct ata *ata, const uint8_t *packet);
void atapi_event_status(struct ata *ata, const uint8_t *packet);
void atapi_disc_information(struct ata *ata, const uint8_t *packet);
void atapi_track_information(struct ata *ata, const uint8_t *packet);
void atapi_mechanism_status(struct ata *ata, const uint8_t *packet);
void atapi_dvd_structure(struct ata *ata, const uint8_t *packet);

#endif
