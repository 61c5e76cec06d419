/*
 * ata_identify.c - the 256 words with which a drive introduces itself (ATA/ATAPI-7 volume 1, 6.16 and 6.17).
 */
#include <string.h>

#include "devices/ata_internal.h"

#define FIRMWARE "1.0"

/* CHS addresses reach this far: 16383 cylinders of 16 heads of 63 sectors. */
#define CHS_LIMIT     16514064u
#define LBA28_SECTORS 0x0FFFFFFFu

static void put(struct ata *ata, unsigned word, unsigned value)
{
    ata->buffer[2 * word] = (uint8_t)value;
    ata->buffer[2 * word + 1] = (uint8_t)(value >> 8);
}

/* The first character of each pair is in the high byte. */
static void put_text(struct ata *ata, unsigned word, unsigned words, const char *text)
{
    size_t length = strlen(text);

    for (size_t i = 0; i < 2 * words; i++)
        ata->buffer[2 * word + (i ^ 1)] = i < length ? (uint8_t)text[i] : ' ';
}

uint32_t ata_cylinders(const struct ata *ata, unsigned heads, unsigned track)
{
    uint64_t sectors = ata->disk->size / ATA_SECTOR;
    uint64_t cylinders = (sectors < CHS_LIMIT ? sectors : CHS_LIMIT) / (heads * track);

    return cylinders > 65535 ? 65535 : cylinders ? (uint32_t)cylinders : 1;
}

/* Of a drive with a serial link: up to 3 Gb/s; a disk takes 32 queued commands (Serial ATA 3.1, 13.2.1). */
static void put_serial(struct ata *ata)
{
    put(ata, 76, ata->kind->packet ? 0x0006 : 0x0106);
    if (!ata->kind->packet)
        put(ata, 75, 31);
    put(ata, 80, 0x01F0); /* and ATA8-ACS */
}

/* What is the same for both: the transfer modes. PIO 4, multiword DMA 2, Ultra DMA 5. */
static void put_modes(struct ata *ata)
{
    put(ata, 49, 0x0F00); /* DMA, LBA, IORDY, which can be turned off */
    put(ata, 51, 0x0200);
    put(ata, 53, 0x0007); /* words 54 to 58, 64 to 70 and 88 are valid */
    put(ata, 63, 0x0007 | (ata->mwdma ? 0x80u << ata->mwdma : 0));
    put(ata, 64, 0x0003); /* PIO 3 and 4 */
    for (unsigned word = 65; word <= 68; word++)
        put(ata, word, 120); /* ns a cycle */
    put(ata, 80, 0x00F0);    /* ATA/ATAPI-4 to 7 */
    put(ata, 88, 0x003F | (ata->udma ? 0x80u << ata->udma : 0));
    if (ata->sata)
        put_serial(ata);
    else
        put(ata, 93, ata->unit ? 0x6B00 : 0x600B); /* an 80-wire cable; reset went well */
}

static void put_checksum(struct ata *ata)
{
    uint8_t sum = 0;

    ata->buffer[510] = 0xA5;
    for (unsigned i = 0; i < 511; i++)
        sum += ata->buffer[i];
    ata->buffer[511] = (uint8_t)-sum;
}

static void put_geometry(struct ata *ata)
{
    uint32_t cylinders = ata_cylinders(ata, ata->heads, ata->track);
    uint32_t reached = cylinders * ata->heads * ata->track;

    put(ata, 1, ata_cylinders(ata, 16, 63));
    put(ata, 3, 16);
    put(ata, 6, 63);
    put(ata, 54, cylinders);
    put(ata, 55, ata->heads);
    put(ata, 56, ata->track);
    put(ata, 57, reached & 0xFFFF);
    put(ata, 58, reached >> 16);
}

static void put_features(struct ata *ata)
{
    unsigned log = ata->sata ? 0x20 : 0; /* general purpose logs */
    unsigned on = (ata->write_cache ? 0x20 : 0) | (ata->look_ahead ? 0x40 : 0);

    put(ata, 82, 0x7068);      /* NOP, READ and WRITE BUFFER, look-ahead, write cache, power management */
    put(ata, 83, 0x7400);      /* FLUSH CACHE (EXT), 48 bits */
    put(ata, 84, 0x4040 | log); /* forced unit access */
    put(ata, 85, 0x7008 | on);  /* the same again, enabled */
    put(ata, 86, 0x3400);
    put(ata, 87, 0x4040 | log);
    if (!ata->disk->can_discard)
        return;
    put(ata, 105, ATA_TRIM_BLOCKS);
    put(ata, 169, 1); /* TRIM */
}

void ata_identify_disk(struct ata *ata)
{
    uint64_t sectors = ata->disk->size / ATA_SECTOR;
    uint32_t sectors28 = sectors < LBA28_SECTORS ? (uint32_t)sectors : LBA28_SECTORS;

    memset(ata->buffer, 0, ATA_SECTOR);
    put(ata, 0, 0x0040); /* not removable */
    put_text(ata, 10, 10, ata->serial);
    put_text(ata, 23, 4, FIRMWARE);
    put_text(ata, 27, 20, "Oxbow disk");
    put(ata, 47, 0x8010); /* up to 16 sectors a block */
    put_modes(ata);
    put_geometry(ata);
    if (ata->multiple)
        put(ata, 59, 0x0100 | ata->multiple);
    put(ata, 60, sectors28 & 0xFFFF);
    put(ata, 61, sectors28 >> 16);
    put_features(ata);
    for (unsigned i = 0; i < 4; i++)
        put(ata, 100 + i, sectors >> 16 * i & 0xFFFF);
    put(ata, 106, 0x4000); /* a logical sector is a physical one */
    put_checksum(ata);
}

void ata_identify_cdrom(struct ata *ata)
{
    memset(ata->buffer, 0, ATA_SECTOR);
    put(ata, 0, 0x85C0); /* packets of 12 bytes, CD-ROM, removable, DRQ at once without an interrupt */
    put_text(ata, 10, 10, ata->serial);
    put_text(ata, 23, 4, FIRMWARE);
    put_text(ata, 27, 20, "Oxbow DVD-ROM");
    put_modes(ata);
    put(ata, 82, 0x4218); /* NOP, DEVICE RESET, PACKET, power management */
    put(ata, 83, 0x4000);
    put(ata, 84, 0x4000);
    put(ata, 85, 0x4218);
    put(ata, 87, 0x4000);
    put_checksum(ata);
}
