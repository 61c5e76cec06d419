/*
 * atapi_info.c - what a CD-ROM drive tells about itself and its disc (MMC-3; SPC-2 for INQUIRY and MODE
 * SENSE).
 *
 * Each reply is made in full at the start of the buffer and cut to what the host allocated. The disc has one
 * session with one data track. Larger ones than any CD are DVDs.
 */
#include <string.h>

#include "devices/ata_internal.h"

#define CD_MAX_SECTORS (80u * 60 * 75)
#define SPEED          8467u /* kB/s: 48 times a CD player's */
#define LEAD_OUT       0xAA
#define DATA_TRACK     0x14 /* ADR 1; data, not to be copied */
#define PROFILE_CD     0x0008
#define PROFILE_DVD    0x0010

/* Zeroes the longest reply's place. */
static uint8_t *blank(struct ata *ata)
{
    memset(ata->buffer, 0, 4096);
    return ata->buffer;
}

static void refuse(struct ata *ata)
{
    atapi_sense(ata, SENSE_ILLEGAL_REQUEST, ASC_INVALID_FIELD, 0);
}

static bool is_dvd(const struct ata *ata)
{
    return atapi_sectors(ata) > CD_MAX_SECTORS;
}

static void put_text(uint8_t *at, unsigned size, const char *text)
{
    size_t length = strlen(text);

    for (unsigned i = 0; i < size; i++)
        at[i] = i < length ? (uint8_t)text[i] : ' ';
}

/* An address as 32 bits, or as minute, second and frame; those count from the start of the lead-in's pause.
 */
static void put_address(uint8_t *at, uint32_t lba, bool msf)
{
    uint64_t frame = (uint64_t)lba + 150;

    if (!msf) {
        atapi_put32(at, lba);
        return;
    }
    if (frame > 256u * 60 * 75 - 1)
        frame = 256u * 60 * 75 - 1;
    at[0] = 0;
    at[1] = (uint8_t)(frame / 75 / 60);
    at[2] = (uint8_t)(frame / 75 % 60);
    at[3] = (uint8_t)(frame % 75);
}

void atapi_inquiry(struct ata *ata, const uint8_t *packet)
{
    uint8_t *reply = blank(ata);

    if (packet[1] & 3 || packet[2]) { /* vital product data */
        refuse(ata);
        return;
    }
    reply[0] = 5;    /* CD-ROM */
    reply[1] = 0x80; /* removable */
    reply[3] = 0x21; /* ATAPI, SPC response */
    reply[4] = 36 - 5;
    put_text(reply + 8, 8, "OXBOW");
    put_text(reply + 16, 16, "DVD-ROM");
    put_text(reply + 32, 4, "1.0");
    atapi_reply(ata, 36, packet[4]);
}

void atapi_read_capacity(struct ata *ata, const uint8_t *packet)
{
    uint32_t sectors = atapi_sectors(ata);
    uint8_t *reply = blank(ata);

    (void)packet;
    atapi_put32(reply, sectors ? sectors - 1 : 0);
    atapi_put32(reply + 4, CD_SECTOR);
    atapi_reply(ata, 8, 8);
}

/* Mode pages. Each appends itself and returns its size. */

static unsigned page_error_recovery(const struct ata *ata, uint8_t *page)
{
    (void)ata;
    page[0] = 0x01;
    page[1] = 6;
    page[3] = 5; /* retries */
    return 8;
}

static unsigned page_audio(const struct ata *ata, uint8_t *page)
{
    (void)ata;
    page[0] = 0x0E;
    page[1] = 14;
    page[2] = 4; /* an audio command would return at once */
    return 16;
}

static unsigned page_capabilities(const struct ata *ata, uint8_t *page)
{
    page[0] = 0x2A;
    page[1] = 20;
    page[2] = 0x0B;                                  /* reads CD-R, CD-RW and DVD-ROM */
    page[6] = 0x29 | (ata->atapi.prevented ? 2 : 0); /* a tray that can be locked and opened */
    atapi_put16(page + 8, SPEED);
    atapi_put16(page + 12, ATA_BUFFER / 1024);
    atapi_put16(page + 14, SPEED);
    return 22;
}

static const struct {
    uint8_t code;
    unsigned (*put)(const struct ata *ata, uint8_t *page);
} mode_pages[] = {{0x01, page_error_recovery}, {0x0E, page_audio}, {0x2A, page_capabilities}};

static unsigned put_pages(const struct ata *ata, unsigned code, unsigned control, uint8_t *at)
{
    unsigned used = 0;

    for (size_t i = 0; i < sizeof(mode_pages) / sizeof(*mode_pages); i++) {
        unsigned size;

        if (code != mode_pages[i].code && code != 0x3F)
            continue;
        size = mode_pages[i].put(ata, at + used);
        if (control == 1) /* what could be changed: nothing */
            memset(at + used + 2, 0, size - 2);
        used += size;
    }
    return used;
}

void atapi_mode_sense(struct ata *ata, const uint8_t *packet)
{
    bool ten = packet[0] == 0x5A;
    unsigned header = ten ? 8 : 4, control = packet[2] >> 6, pages;
    uint8_t *reply = blank(ata);
    uint8_t medium = ata->atapi.tray_open ? 0x71 : atapi_medium(ata) ? 0x01 : 0x70;

    if (control == 3) {
        atapi_sense(ata, SENSE_ILLEGAL_REQUEST, ASC_SAVING_PARAMETERS, 0);
        return;
    }
    pages = put_pages(ata, packet[2] & 0x3F, control, reply + header);
    if (!pages) {
        refuse(ata);
        return;
    }
    if (ten) {
        atapi_put16(reply, header + pages - 2);
        reply[2] = medium;
        atapi_reply(ata, header + pages, atapi_get16(packet + 7));
    } else {
        reply[0] = (uint8_t)(header + pages - 1);
        reply[1] = medium;
        atapi_reply(ata, header + pages, packet[4]);
    }
}

/* Table of contents. Each returns the reply's size, 0 for a field that isn't right. */

static unsigned toc_tracks(const struct ata *ata, uint8_t *reply, bool msf, unsigned first)
{
    unsigned size = 4;

    if (first > 1 && first != LEAD_OUT)
        return 0;
    reply[2] = reply[3] = 1; /* first and last track */
    if (first <= 1) {
        reply[size + 1] = DATA_TRACK;
        reply[size + 2] = 1;
        put_address(reply + size + 4, 0, msf);
        size += 8;
    }
    reply[size + 1] = DATA_TRACK;
    reply[size + 2] = LEAD_OUT;
    put_address(reply + size + 4, atapi_sectors(ata), msf);
    return size + 8;
}

static unsigned toc_sessions(uint8_t *reply, bool msf)
{
    reply[2] = reply[3] = 1; /* first and last session */
    reply[5] = DATA_TRACK;
    reply[6] = 1; /* first track in the last session */
    put_address(reply + 8, 0, msf);
    return 12;
}

/* The lead-in's Q subchannel: always minute, second, frame (MMC-3 6.25.2.4). */
static unsigned toc_full(const struct ata *ata, uint8_t *reply)
{
    static const uint8_t points[] = {0xA0, 0xA1, 0xA2, 1};
    uint8_t *entry = reply + 4;

    reply[2] = reply[3] = 1;
    for (unsigned i = 0; i < sizeof(points); i++, entry += 11) {
        entry[0] = 1; /* session */
        entry[1] = DATA_TRACK;
        entry[3] = points[i];
        if (points[i] == 0xA0 || points[i] == 0xA1)
            entry[8] = 1; /* first and last track */
        else
            put_address(entry + 7, points[i] == 1 ? 0 : atapi_sectors(ata), true);
    }
    return (unsigned)(entry - reply);
}

void atapi_read_toc(struct ata *ata, const uint8_t *packet)
{
    bool msf = packet[1] & 2;
    unsigned format = packet[2] & 0x0F, size = 0;
    uint8_t *reply = blank(ata);

    if (!format)
        format = packet[9] >> 6; /* where drivers older than MMC say it */
    if (format == 0)
        size = toc_tracks(ata, reply, msf, packet[6]);
    else if (format == 1)
        size = toc_sessions(reply, msf);
    else if (format == 2 && packet[6] <= 1)
        size = toc_full(ata, reply);
    if (!size) {
        refuse(ata);
        return;
    }
    atapi_put16(reply, size - 2);
    atapi_reply(ata, size, atapi_get16(packet + 7));
}

void atapi_read_subchannel(struct ata *ata, const uint8_t *packet)
{
    uint8_t *reply = blank(ata);
    unsigned size = 4;

    reply[1] = 0x15; /* no audio to tell of */
    if (packet[2] & 0x40) {
        reply[4] = packet[3];
        if (packet[3] == 1) { /* current position */
            reply[5] = DATA_TRACK;
            reply[6] = reply[7] = 1; /* track and index */
            put_address(reply + 8, 0, packet[1] & 2);
            size = 16;
        } else if (packet[3] == 2 || packet[3] == 3) { /* there is no catalogue number and no ISRC */
            size = 24;
        } else {
            refuse(ata);
            return;
        }
    }
    atapi_put16(reply + 2, size - 4);
    atapi_reply(ata, size, atapi_get16(packet + 7));
}

/* Features (MMC-3 5.3). */

enum { CURRENT = 1, PERSISTENT = 2 };

struct feature {
    uint16_t code;
    uint8_t flags; /* version in bits 5 to 2 */
    uint8_t size;  /* of `data` */
    uint8_t data[8];
};

static const struct feature features[] = {
    {0x0001, PERSISTENT | CURRENT | 2 << 2, 8, {0, 0, 0, 2}}, /* core: ATAPI */
    {0x0002, PERSISTENT | CURRENT | 1 << 2, 4, {2}},          /* morphing: operational change events */
    {0x0003, PERSISTENT | CURRENT, 4, {0x29}},                /* removable medium, in a tray */
    {0x0010, CURRENT, 8, {0, 0, 8, 0, 0, 1, 0, 0}},           /* random readable: 2048-byte blocks */
    {0x001E, CURRENT, 4, {0}},                                /* CD read */
    {0x001F, CURRENT, 0, {0}},                                /* DVD read */
    {0x0100, PERSISTENT | CURRENT, 0, {0}},                   /* power management */
};

/* Is this feature there with the disc that is in the drive? */
static bool is_current(const struct ata *ata, const struct feature *feature)
{
    if (feature->flags & PERSISTENT)
        return true;
    if (!atapi_medium(ata))
        return false;
    return feature->code == 0x0010 || (feature->code == 0x001F) == is_dvd(ata);
}

static unsigned put_profiles(const struct ata *ata, uint8_t *at, uint16_t current)
{
    static const uint16_t profiles[] = {PROFILE_DVD, PROFILE_CD};

    (void)ata;
    at[2] = PERSISTENT | CURRENT;
    at[3] = 8;
    for (unsigned i = 0; i < 2; i++) {
        atapi_put16(at + 4 + 4 * i, profiles[i]);
        at[4 + 4 * i + 2] = profiles[i] == current;
    }
    return 12;
}

/* `wanted`: 0 all, 1 those that are current, 2 only the one with the code `from`. */
static unsigned put_features(const struct ata *ata, uint8_t *at, unsigned wanted, unsigned from)
{
    unsigned used = 0;

    for (size_t i = 0; i < sizeof(features) / sizeof(*features); i++) {
        const struct feature *feature = &features[i];
        bool current = is_current(ata, feature);

        if (feature->code < from || (wanted == 1 && !current) || (wanted == 2 && feature->code != from))
            continue;
        atapi_put16(at + used, feature->code);
        at[used + 2] = (uint8_t)((feature->flags & ~CURRENT) | (current ? CURRENT : 0));
        at[used + 3] = feature->size;
        memcpy(at + used + 4, feature->data, feature->size);
        used += 4u + feature->size;
    }
    return used;
}

void atapi_get_configuration(struct ata *ata, const uint8_t *packet)
{
    unsigned wanted = packet[1] & 3, from = atapi_get16(packet + 2), size = 8;
    uint16_t profile = !atapi_medium(ata) ? 0 : is_dvd(ata) ? PROFILE_DVD : PROFILE_CD;
    uint8_t *reply = blank(ata);

    if (wanted == 3) {
        refuse(ata);
        return;
    }
    if (from == 0)
        size += put_profiles(ata, reply + size, profile);
    size += put_features(ata, reply + size, wanted, from);
    atapi_put32(reply, size - 4);
    atapi_put16(reply + 6, profile);
    atapi_reply(ata, size, atapi_get16(packet + 7));
}

/* Only events of the medium are reported, one a call, the removal of the old disc before the arrival of the
 * new. */
void atapi_event_status(struct ata *ata, const uint8_t *packet)
{
    struct atapi *cd = &ata->atapi;
    uint32_t allocation = atapi_get16(packet + 7);
    uint8_t *reply = blank(ata);

    if (!(packet[1] & 1)) { /* the drive would have to call by itself */
        refuse(ata);
        return;
    }
    reply[3] = 0x10; /* classes there are: media */
    if (!(packet[4] & 0x10)) {
        reply[1] = 2;
        reply[2] = 0x80; /* no event of the classes asked for */
        atapi_reply(ata, 4, allocation);
        return;
    }
    reply[1] = 6;
    reply[2] = 4;
    reply[4] = cd->removed ? 3 : cd->inserted ? 2 : 0;
    reply[5] = (uint8_t)((cd->tray_open ? 1 : 0) | (atapi_medium(ata) ? 2 : 0));
    if (allocation > 4) {
        if (cd->removed)
            cd->removed = false;
        else
            cd->inserted = false;
    }
    atapi_reply(ata, 8, allocation);
}

void atapi_disc_information(struct ata *ata, const uint8_t *packet)
{
    uint8_t *reply = blank(ata);

    if (packet[1] & 7) { /* of tracks or blanks: a recorder's */
        refuse(ata);
        return;
    }
    atapi_put16(reply, 32);
    reply[2] = 0x0E;                               /* complete, and not to be added to */
    reply[3] = reply[4] = reply[5] = reply[6] = 1; /* track, sessions, tracks of the last session */
    reply[7] = 0x20;                               /* may be used for anything */
    memset(reply + 16, 0xFF, 8);                   /* no place for another session */
    atapi_reply(ata, 34, atapi_get16(packet + 7));
}

void atapi_track_information(struct ata *ata, const uint8_t *packet)
{
    uint32_t number = atapi_get32(packet + 2);
    unsigned type = packet[1] & 3; /* what the number is: 0 an address, 1 a track, 2 a session */
    uint8_t *reply = blank(ata);

    if (type == 3 || (type == 0 && number >= atapi_sectors(ata)) || (type && number != 1)) {
        refuse(ata);
        return;
    }
    atapi_put16(reply, 34);
    reply[2] = reply[3] = 1; /* track and session */
    reply[5] = DATA_TRACK & 0x0F;
    reply[6] = 1; /* data mode */
    atapi_put32(reply + 24, atapi_sectors(ata));
    atapi_reply(ata, 36, atapi_get16(packet + 7));
}

void atapi_mechanism_status(struct ata *ata, const uint8_t *packet)
{
    uint8_t *reply = blank(ata);

    reply[1] = ata->atapi.tray_open ? 0x10 : 0;
    atapi_reply(ata, 8, atapi_get16(packet + 8));
}

void atapi_dvd_structure(struct ata *ata, const uint8_t *packet)
{
    uint32_t last = atapi_sectors(ata) - 1, size;
    uint8_t *reply = blank(ata);

    if (!is_dvd(ata)) {
        atapi_sense(ata, SENSE_ILLEGAL_REQUEST, ASC_INCOMPATIBLE, 0);
        return;
    }
    switch (packet[7]) {
    case 0x00: /* physical format: a DVD-ROM of 120 mm with one layer, its data from sector 30000h on */
        reply[4] = 0x01;
        reply[5] = 0x0F;
        reply[6] = 0x01;
        atapi_put32(reply + 8, 0x030000);
        atapi_put32(reply + 12, 0x030000 + last);
        size = 4 + 2048;
        break;
    case 0x01: /* not copyrighted */
        size = 4 + 4;
        break;
    case 0x04: /* nothing from the maker */
        size = 4 + 2048;
        break;
    default:
        refuse(ata);
        return;
    }
    atapi_put16(reply, size - 2);
    atapi_reply(ata, size, atapi_get16(packet + 8));
}
