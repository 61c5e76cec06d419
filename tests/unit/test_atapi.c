/* The CD-ROM drive: PACKET protocol, packet commands, media change. MMC-3 and ATA/ATAPI-7. */
#include "tests/unit/ide_rig.h"

#define STORED (200u * 2048)
#define PORT   0x170

static struct rig rig;
static struct fake disc, dvd;
static struct block_slot slot;
static uint8_t reply[0x20000];

static void setup(void)
{
    rig_new(&rig);
    fake_init(&disc, STORED, STORED);
    fake_init(&dvd, 4ull << 30, 2048);
    slot = (struct block_slot){.medium = &disc.block};
    ck_assert(ide_attach_cdrom(rig.ide, 1, 0, &slot));
}

static void teardown(void)
{
    rig_free(&rig);
    free(disc.data);
    free(dvd.data);
}

static uint8_t status(void)
{
    return in8(&rig, PORT + 7);
}

static void start_packet(const uint8_t *packet, bool dma, uint16_t limit)
{
    out8(&rig, PORT + 6, 0xA0);
    out8(&rig, PORT + 1, dma);
    out8(&rig, PORT + 4, limit & 0xFF);
    out8(&rig, PORT + 5, limit >> 8);
    rig.edges[1] = 0;
    out8(&rig, PORT + 7, 0xA0);
    ck_assert_uint_eq(in8(&rig, 0x376) & (BSY | DRQ | ERR), DRQ);
    ck_assert_uint_eq(in8(&rig, PORT + 2) & 3, 1); /* a packet, to the drive */
    ck_assert(!rig.level[1]);
    for (unsigned i = 0; i < 12; i += 2)
        out16(&rig, PORT, packet[i] | packet[i + 1] << 8);
}

/* Runs a packet command by PIO. Bytes received, or -1 for CHECK CONDITION. */
static int packet_limit(const uint8_t *packet, uint16_t limit)
{
    unsigned got = 0, blocks = 0;

    start_packet(packet, false, limit);
    for (;;) {
        unsigned size;

        fake_pump(&disc);
        fake_pump(&dvd);
        ck_assert(rig.level[1]);
        if (!(status() & DRQ))
            break;
        ck_assert_uint_eq(in8(&rig, PORT + 2) & 3, 2);
        size = in8(&rig, PORT + 4) | in8(&rig, PORT + 5) << 8;
        ck_assert(size && size <= limit);
        for (unsigned i = 0; i < size; i += 2) {
            uint16_t word = in16(&rig, PORT);
            reply[got + i] = word & 0xFF;
            reply[got + i + 1] = word >> 8;
        }
        got += size;
        blocks++;
    }
    ck_assert_uint_eq(rig.edges[1], blocks + 1);
    ck_assert_uint_eq(in8(&rig, PORT + 2) & 3, 3);
    ck_assert_uint_eq(in8(&rig, 0x376) & (BSY | DRDY), DRDY);
    return in8(&rig, 0x376) & ERR ? -1 : (int)got;
}

#define PACKET(...) packet_limit((const uint8_t[12]){__VA_ARGS__}, 0xFFFE)

static void check_sense(unsigned key, unsigned asc)
{
    ck_assert_uint_eq(in8(&rig, PORT + 1) >> 4, key);
    ck_assert_int_eq(PACKET(0x03, 0, 0, 0, 18), 18);
    ck_assert_uint_eq(reply[0], 0x70);
    ck_assert_uint_eq(reply[2], key);
    ck_assert_uint_eq(reply[12], asc);
    ck_assert_int_eq(PACKET(0x03, 0, 0, 0, 18), 18); /* gone once told */
    ck_assert_uint_eq(reply[2], 0);
}

/* Past the unit attention of power-on. */
static void make_ready(void)
{
    ck_assert_int_eq(PACKET(0), -1);
    check_sense(6, 0x29);
    ck_assert_int_eq(PACKET(0), 0);
}

static unsigned be16(unsigned at)
{
    return reply[at] << 8 | reply[at + 1];
}

static unsigned be32(unsigned at)
{
    return (unsigned)be16(at) << 16 | be16(at + 2);
}

START_TEST(signature)
{
    ck_assert_uint_eq(status(), 0); /* not ready before the first command */
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_uint_eq(in8(&rig, PORT + 2), 1);
        ck_assert_uint_eq(in8(&rig, PORT + 3), 1);
        ck_assert_uint_eq(in8(&rig, PORT + 4), 0x14);
        ck_assert_uint_eq(in8(&rig, PORT + 5), 0xEB);
        out8(&rig, PORT + 4, 0);
        out8(&rig, PORT + 5, 0);
        if (i == 0) { /* IDENTIFY DEVICE fails and shows it again, */
            out8(&rig, PORT + 7, 0xEC);
            ck_assert_uint_eq(status(), DRDY | DSC | ERR);
            ck_assert_uint_eq(in8(&rig, PORT + 1), 4);
        } else if (i == 1) { /* and so does DEVICE RESET */
            out8(&rig, PORT + 7, 0x08);
            ck_assert_uint_eq(status(), 0);
        }
    }
    out8(&rig, PORT + 6, 0xB0); /* no unit 1 */
    ck_assert_uint_eq(status(), 0);
    ck_assert_uint_eq(in8(&rig, PORT + 4), 0);
}
END_TEST

START_TEST(identify_packet_device)
{
    uint16_t words[256];

    out8(&rig, PORT + 7, 0xA1);
    ck_assert(rig.level[1]);
    ck_assert_uint_eq(status() & (DRQ | ERR), DRQ);
    for (unsigned i = 0; i < 256; i++)
        words[i] = in16(&rig, PORT);
    ck_assert_uint_eq(status(), DRDY | DSC);
    ck_assert_uint_eq(words[0], 0x85C0);
    ck_assert_uint_eq(words[49] & 0x0300, 0x0300);
    ck_assert_uint_eq(words[82] & 0x0210, 0x0210);
    ck_assert_uint_eq(words[27], 'O' << 8 | 'x');
}
END_TEST

START_TEST(other_ata_commands)
{
    static const uint8_t aborted[] = {0x00, 0x20, 0x30, 0x91, 0xC8, 0xE7, 0xFF};

    for (unsigned i = 0; i < sizeof(aborted); i++) {
        out8(&rig, PORT + 7, aborted[i]);
        ck_assert_uint_eq(status(), DRDY | DSC | ERR);
    }
    out8(&rig, PORT + 7, 0xE0);
    ck_assert_uint_eq(status(), DRDY | DSC);
    out8(&rig, PORT + 7, 0xE5);
    ck_assert_uint_eq(in8(&rig, PORT + 2), 0);
    out8(&rig, PORT + 1, 2); /* overlapped */
    out8(&rig, PORT + 7, 0xA0);
    ck_assert_uint_eq(status(), DRDY | DSC | ERR);
}
END_TEST

START_TEST(inquiry_and_unit_attention)
{
    ck_assert_int_eq(PACKET(0x12, 0, 0, 0, 96), 36); /* not held up by it */
    ck_assert_uint_eq(reply[0], 5);
    ck_assert_uint_eq(reply[1], 0x80);
    ck_assert_int_eq(memcmp(reply + 8, "OXBOW   DVD-ROM ", 16), 0);
    ck_assert_int_eq(PACKET(0x12, 0, 0, 0, 5), 5); /* odd */
    ck_assert_int_eq(PACKET(0x12, 0, 0, 0, 0), 0);
    ck_assert_int_eq(PACKET(0x25), -1);
    check_sense(6, 0x29);
    ck_assert_int_eq(PACKET(0x12, 1, 0x80, 0, 96), -1);
    check_sense(5, 0x24);
    ck_assert_int_eq(PACKET(0xF7), -1);
    check_sense(5, 0x20);
    ck_assert_int_eq(PACKET(0x25), 8);
    ck_assert_uint_eq(be32(0), 199);
    ck_assert_uint_eq(be32(4), 2048);
}
END_TEST

START_TEST(unit_attention_by_request_sense)
{
    ck_assert_int_eq(PACKET(0x03, 0, 0, 0, 18), 18);
    ck_assert_uint_eq(reply[2], 6);
    ck_assert_uint_eq(reply[12], 0x29);
    ck_assert_int_eq(PACKET(0), 0);
}
END_TEST

START_TEST(pio_reads)
{
    make_ready();
    ck_assert_int_eq(PACKET(0x28, 0, 0, 0, 0, 10, 0, 0, 3), 3 * 2048);
    ck_assert_int_eq(memcmp(reply, disc.data + 10 * 2048, 3 * 2048), 0);
    /* In pieces of at most 1000 bytes, an odd limit being rounded down. */
    ck_assert_int_eq(packet_limit((const uint8_t[12]){0x28, 0, 0, 0, 0, 20, 0, 0, 2}, 1001), 4096);
    ck_assert_uint_eq(rig.edges[1], 6);
    ck_assert_int_eq(memcmp(reply, disc.data + 20 * 2048, 4096), 0);
    ck_assert_int_eq(PACKET(0xA8, 0, 0, 0, 0, 199, 0, 0, 0, 1), 2048);
    ck_assert_int_eq(memcmp(reply, disc.data + 199 * 2048, 2048), 0);
    ck_assert_int_eq(PACKET(0xBE, 0, 0, 0, 0, 5, 0, 0, 1, 0x10), 2048);
    ck_assert_int_eq(memcmp(reply, disc.data + 5 * 2048, 2048), 0);
    ck_assert_int_eq(PACKET(0x28, 0, 0, 0, 0, 0, 0, 0, 0), 0);
    ck_assert_int_eq(PACKET(0x28, 0, 0, 0, 0, 199, 0, 0, 2), -1);
    check_sense(5, 0x21);
    ck_assert_int_eq(PACKET(0xA8, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF), -1);
    check_sense(5, 0x21);
    ck_assert_int_eq(PACKET(0xBE, 4, 0, 0, 0, 5, 0, 0, 1, 0x10), -1);
    check_sense(5, 0x64);
    ck_assert_int_eq(PACKET(0xBE, 0, 0, 0, 0, 5, 0, 0, 1, 0xF8), -1);
    check_sense(5, 0x24);
    ck_assert_int_eq(PACKET(0x2B, 0, 0, 0, 0, 199), 0);
    ck_assert_int_eq(PACKET(0x2B, 0, 0, 0, 0, 200), -1);
    check_sense(5, 0x21);
}
END_TEST

START_TEST(more_than_the_buffer_takes)
{
    uint8_t read[12] = {0x28, 0, 0, 0, 0, 1, 0, 0, 150};
    unsigned at = 2048;

    make_ready();
    start_packet(read, false, 0x8000);
    while (fake_pump(&disc), status() & DRQ) {
        unsigned size = in8(&rig, PORT + 4) | in8(&rig, PORT + 5) << 8;

        for (unsigned i = 0; i < size; i += 2, at += 2)
            ck_assert_uint_eq(in16(&rig, PORT), disc.data[at] | disc.data[at + 1] << 8);
    }
    ck_assert_uint_eq(at, 151 * 2048);
    ck_assert_uint_eq(disc.reads, 3);
}
END_TEST

START_TEST(a_byte_count_of_zero)
{
    make_ready();
    ck_assert_int_eq(packet_limit((const uint8_t[12]){0x28, 0, 0, 0, 0, 0, 0, 0, 1}, 0), -1);
    ck_assert_uint_eq(in8(&rig, PORT + 1) & 4, 4);
    ck_assert_int_eq(packet_limit((const uint8_t[12]){0x12, 0, 0, 0, 36}, 0), -1);
    ck_assert_int_eq(packet_limit((const uint8_t[12]){0x00}, 0), 0); /* nothing to send */
}
END_TEST

START_TEST(dma_reads)
{
    uint8_t read[12] = {0x28, 0, 0, 0, 0, 1, 0, 0, 150};

    make_ready();
    for (unsigned i = 0; i < 5; i++)
        rig_prd(&rig, i, RIG_DATA + i * 0x10000, i == 4 ? 150 * 2048 - 0x40000 : 0, i == 4);
    start_packet(read, true, 0);
    rig_start(&rig, 1, true);
    fake_pump(&disc);
    ck_assert_uint_eq(in8(&rig, RIG_BM + 8 + 2), 4);
    ck_assert_uint_eq(rig.edges[1], 1);
    ck_assert_uint_eq(status(), DRDY | DSC);
    ck_assert_uint_eq(in8(&rig, PORT + 2) & 3, 3);
    ck_assert_int_eq(memcmp(rig.ram + RIG_DATA, disc.data + 2048, 150 * 2048), 0);
    out8(&rig, RIG_BM + 8, 0);
    memset(rig.ram + RIG_DATA, 0, 64);
    rig_prd(&rig, 0, RIG_DATA, 36, true);
    start_packet((const uint8_t[12]){0x12, 0, 0, 0, 36}, true, 0);
    rig_start(&rig, 1, true);
    ck_assert_uint_eq(in8(&rig, RIG_BM + 8 + 2), 4);
    ck_assert_int_eq(memcmp(rig.ram + RIG_DATA + 8, "OXBOW", 5), 0);
}
END_TEST

START_TEST(medium_errors)
{
    make_ready();
    disc.bad = 4 * 30 + 2; /* in the disc's sector 30 */
    ck_assert_int_eq(PACKET(0x28, 0, 0, 0, 0, 25, 0, 0, 10), -1);
    check_sense(3, 0x11);
    ck_assert_int_eq(memcmp(reply + 18, disc.data + 25 * 2048 + 18, 5 * 2048 - 18), 0);
    ck_assert_int_eq(PACKET(0x28, 0, 0, 0, 0, 31, 0, 0, 1), 2048);
}
END_TEST

START_TEST(tables_of_contents)
{
    make_ready();
    ck_assert_int_eq(PACKET(0x43, 0, 0, 0, 0, 0, 0, 0, 100), 20);
    ck_assert_uint_eq(be16(0), 18);
    ck_assert(reply[2] == 1 && reply[3] == 1 && reply[5] == 0x14 && reply[6] == 1);
    ck_assert_uint_eq(be32(8), 0);
    ck_assert_uint_eq(reply[14], 0xAA);
    ck_assert_uint_eq(be32(16), 200);
    ck_assert_int_eq(PACKET(0x43, 2, 0, 0, 0, 0, 0xAA, 0, 100), 12);
    ck_assert_uint_eq(reply[6], 0xAA);
    ck_assert_uint_eq(be32(8), 4 << 8 | 50); /* 350 frames */
    ck_assert_int_eq(PACKET(0x43, 0, 0, 0, 0, 0, 0, 0, 4), 4);
    ck_assert_uint_eq(be16(0), 18); /* the length of all there is */
    ck_assert_int_eq(PACKET(0x43, 0, 0, 0, 0, 0, 2, 0, 100), -1);
    check_sense(5, 0x24);
    ck_assert_int_eq(PACKET(0x43, 0, 1, 0, 0, 0, 0, 0, 100), 12);
    ck_assert(reply[2] == 1 && reply[6] == 1 && be32(8) == 0);
    ck_assert_int_eq(PACKET(0x43, 2, 0, 0, 0, 0, 0, 0, 100, 0x40), 12); /* the old place of the format */
    ck_assert_uint_eq(be32(8), 2 << 8);
    ck_assert_int_eq(PACKET(0x43, 2, 2, 0, 0, 0, 1, 0, 100), 48);
    ck_assert_uint_eq(reply[7], 0xA0);
    ck_assert_uint_eq(reply[12], 1);
    ck_assert_uint_eq(reply[4 + 22 + 3], 0xA2);
    ck_assert(reply[4 + 22 + 8] == 0 && reply[4 + 22 + 9] == 4 && reply[4 + 22 + 10] == 50);
    ck_assert_int_eq(PACKET(0x43, 0, 5, 0, 0, 0, 0, 0, 100), -1);
    check_sense(5, 0x24);
}
END_TEST

START_TEST(mode_pages)
{
    make_ready();
    ck_assert_int_eq(PACKET(0x5A, 0, 0x2A, 0, 0, 0, 0, 0, 200), 30);
    ck_assert_uint_eq(be16(0), 28);
    ck_assert(reply[8] == 0x2A && reply[9] == 20 && reply[10] & 8 && reply[14] & 8);
    ck_assert_uint_eq(reply[14] >> 5, 1); /* a tray */
    ck_assert_int_eq(PACKET(0x1A, 0, 0x3F, 0, 200), 4 + 8 + 16 + 22);
    ck_assert_uint_eq(reply[0], 4 + 8 + 16 + 22 - 1);
    ck_assert_uint_eq(reply[4], 0x01);
    ck_assert_int_eq(PACKET(0x5A, 0, 0x6A, 0, 0, 0, 0, 0, 200), 30); /* what can be changed */
    for (unsigned i = 10; i < 30; i++)
        ck_assert_uint_eq(reply[i], 0);
    ck_assert_int_eq(PACKET(0x5A, 0, 0xEA, 0, 0, 0, 0, 0, 200), -1);
    check_sense(5, 0x39);
    ck_assert_int_eq(PACKET(0x5A, 0, 0x11, 0, 0, 0, 0, 0, 200), -1);
    check_sense(5, 0x24);
}
END_TEST

START_TEST(configuration)
{
    make_ready();
    ck_assert_int_eq(PACKET(0x46, 0, 0, 0, 0, 0, 0, 0, 8), 8);
    ck_assert_uint_eq(be16(6), 8);
    unsigned size = be32(0) + 4;
    ck_assert_int_eq(PACKET(0x46, 0, 0, 0, 0, 0, 0, 1, 0), (int)size);
    unsigned at = 8;
    for (unsigned last = 0; at < size; at += 4 + reply[at + 3]) {
        ck_assert(at == 8 || be16(at) > last);
        last = be16(at);
    }
    ck_assert_uint_eq(at, size);
    ck_assert_int_eq(PACKET(0x46, 2, 0, 0x1E, 0, 0, 0, 1, 0), 16);
    ck_assert(be16(8) == 0x1E && reply[10] & 1);
    ck_assert_int_eq(PACKET(0x46, 2, 0, 0x1F, 0, 0, 0, 1, 0), 12);
    ck_assert(!(reply[10] & 1)); /* this is not a DVD */
    ck_assert_int_eq(PACKET(0x46, 2, 0x12, 0x34, 0, 0, 0, 1, 0), 8);
    ck_assert_int_eq(PACKET(0x46, 3, 0, 0, 0, 0, 0, 1, 0), -1);
    slot.medium = &dvd.block;
    slot.changed(slot.opaque);
    ck_assert_int_eq(PACKET(0x46, 2, 0, 0x1F, 0, 0, 0, 1, 0), 12);
    ck_assert(reply[10] & 1);
    ck_assert_uint_eq(be16(6), 0x10);
}
END_TEST

START_TEST(other_reports)
{
    make_ready();
    ck_assert_int_eq(PACKET(0x51, 0, 0, 0, 0, 0, 0, 1, 0), 34);
    ck_assert(be16(0) == 32 && reply[2] == 0x0E);
    ck_assert_int_eq(PACKET(0xBD, 0, 0, 0, 0, 0, 0, 0, 0, 8), 8);
    ck_assert_int_eq(PACKET(0x42, 0, 0x40, 1, 0, 0, 0, 0, 16), 16);
    ck_assert(be16(2) == 12 && reply[4] == 1 && reply[6] == 1);
    ck_assert_int_eq(PACKET(0x42, 0, 0, 1, 0, 0, 0, 0, 16), 4);
    ck_assert_int_eq(PACKET(0x42, 0, 0x40, 9, 0, 0, 0, 0, 16), -1);
    ck_assert_int_eq(PACKET(0x52, 1, 0, 0, 0, 1, 0, 0, 36), 36);
    ck_assert(reply[2] == 1 && reply[5] == 4 && be32(8) == 0 && be32(24) == 200);
    ck_assert_int_eq(PACKET(0x52, 0, 0, 0, 0, 199, 0, 0, 36), 36);
    ck_assert_int_eq(PACKET(0x52, 0, 0, 0, 0, 200, 0, 0, 36), -1);
    check_sense(5, 0x24);
    ck_assert_int_eq(PACKET(0x52, 1, 0, 0, 0, 2, 0, 0, 36), -1);
    ck_assert_int_eq(PACKET(0xBB, 0, 0xFF, 0xFF), 0);
    ck_assert_int_eq(PACKET(0xAD, 0, 0, 0, 0, 0, 0, 0, 0x10), -1);
    check_sense(5, 0x30);
    slot.medium = &dvd.block;
    slot.changed(slot.opaque);
    ck_assert_int_eq(PACKET(0), -1);
    check_sense(6, 0x28);
    ck_assert_int_eq(PACKET(0xAD, 0, 0, 0, 0, 0, 0, 0, 0x10), 2052);
    ck_assert_uint_eq(be32(12), 0x30000 + (4ull << 30) / 2048 - 1);
    ck_assert_int_eq(PACKET(0xAD, 0, 0, 0, 0, 0, 0, 1, 0x10), 8);
    ck_assert_int_eq(PACKET(0x28, 0, 0, 0x10, 0, 0, 0, 0, 1), 2048);
    ck_assert_uint_eq(reply[2] << 16 | reply[1] << 8 | reply[0], 0x400000);
}
END_TEST

static int media_event(void)
{
    ck_assert_int_eq(PACKET(0x4A, 1, 0, 0, 0x10, 0, 0, 0, 8), 8);
    ck_assert(be16(0) == 6 && reply[2] == 4 && reply[3] == 0x10);
    return reply[4];
}

START_TEST(events)
{
    make_ready();
    ck_assert_int_eq(PACKET(0x4A, 0, 0, 0, 0x10, 0, 0, 0, 8), -1); /* not polled */
    check_sense(5, 0x24);
    ck_assert_int_eq(PACKET(0x4A, 1, 0, 0, 0x02, 0, 0, 0, 8), 4);
    ck_assert_uint_eq(reply[2], 0x80);
    ck_assert_int_eq(media_event(), 0);
    ck_assert_uint_eq(reply[5], 2);
    slot.medium = &dvd.block;
    slot.changed(slot.opaque);
    ck_assert_int_eq(media_event(), 3); /* removed, */
    ck_assert_int_eq(media_event(), 2); /* and a new one */
    ck_assert_int_eq(media_event(), 0);
    ck_assert_int_eq(PACKET(0x28, 0, 0, 0, 0, 0, 0, 0, 1), -1);
    check_sense(6, 0x28);
    slot.medium = NULL;
    slot.changed(slot.opaque);
    ck_assert_int_eq(media_event(), 3);
    ck_assert_uint_eq(reply[5], 0);
    ck_assert_int_eq(media_event(), 0);
    ck_assert_int_eq(PACKET(0x28, 0, 0, 0, 0, 0, 0, 0, 1), -1);
    check_sense(2, 0x3A);
    ck_assert_int_eq(PACKET(0), -1);
    check_sense(2, 0x3A);
    ck_assert_int_eq(PACKET(0x46, 0, 0, 0, 0, 0, 0, 0, 8), 8);
    ck_assert_uint_eq(be16(6), 0);
}
END_TEST

START_TEST(tray)
{
    make_ready();
    ck_assert(!slot.locked(slot.opaque));
    ck_assert_int_eq(PACKET(0x1E, 0, 0, 0, 1), 0);
    ck_assert(slot.locked(slot.opaque));
    ck_assert_int_eq(PACKET(0x1B, 0, 0, 0, 2), -1); /* eject */
    check_sense(5, 0x53);
    ck_assert_int_eq(PACKET(0), 0);
    ck_assert_int_eq(PACKET(0x1E, 0, 0, 0, 0), 0);
    ck_assert_int_eq(PACKET(0x1B, 0, 0, 0, 0), 0); /* stop: nothing moves */
    ck_assert_int_eq(PACKET(0), 0);
    ck_assert_int_eq(PACKET(0x1B, 0, 0, 0, 2), 0);
    ck_assert_int_eq(PACKET(0), -1);
    ck_assert_int_eq(PACKET(0x03, 0, 0, 0, 18), 18);
    ck_assert(reply[2] == 2 && reply[12] == 0x3A && reply[13] == 2); /* open */
    ck_assert_int_eq(media_event(), 3);
    ck_assert_uint_eq(reply[5], 1);
    ide_class.reset(rig.ide); /* doesn't close it */
    rig_enable(&rig);
    ck_assert_int_eq(PACKET(0), -1);
    check_sense(6, 0x29);
    ck_assert_int_eq(PACKET(0), -1);
    check_sense(2, 0x3A);
    ck_assert_int_eq(PACKET(0x1B, 0, 0, 0, 3), 0); /* load */
    ck_assert_int_eq(PACKET(0), -1);
    check_sense(6, 0x28);
    ck_assert_int_eq(PACKET(0), 0);
    ck_assert_int_eq(PACKET(0x1B, 0, 0, 0, 2), 0);
    slot.medium = &dvd.block; /* the user puts in another and closes the tray */
    slot.changed(slot.opaque);
    ck_assert_int_eq(PACKET(0), -1);
    check_sense(6, 0x28);
    ck_assert_int_eq(PACKET(0), 0);
}
END_TEST

START_TEST(change_in_the_midst_of_a_read)
{
    make_ready();
    start_packet((const uint8_t[12]){0x28, 0, 0, 0, 0, 0, 0, 0, 100}, false, 0xF000);
    ck_assert_uint_eq(disc.count, 1);
    slot.medium = &dvd.block;
    slot.changed(slot.opaque);
    fake_pump(&disc); /* as closing the old medium does */
    ck_assert_uint_eq(dvd.count, 0);
    ck_assert_uint_eq(status(), DRDY | DSC | ERR);
    check_sense(6, 0x28);
    ck_assert_int_eq(PACKET(0), 0);
    start_packet((const uint8_t[12]){0x28, 0, 0, 0, 0, 0, 0, 0, 100}, false, 0x8000);
    fake_pump(&dvd); /* 64 sectors are in the buffer */
    slot.medium = NULL;
    slot.changed(slot.opaque);
    for (unsigned i = 0; i < 64 * 1024; i++)
        in16(&rig, PORT);
    ck_assert_uint_eq(status(), DRDY | DSC | ERR);
    check_sense(2, 0x3A);
}
END_TEST

START_TEST(device_reset_while_busy)
{
    make_ready();
    start_packet((const uint8_t[12]){0x28, 0, 0, 0, 0, 0, 0, 0, 100}, false, 0xF000);
    ck_assert(status() & BSY);
    out8(&rig, PORT + 7, 0x08);
    ck_assert_uint_eq(status(), BSY);
    fake_pump(&disc);
    ck_assert_uint_eq(status(), 0);
    ck_assert_uint_eq(in8(&rig, PORT + 4), 0x14);
    ck_assert_int_eq(PACKET(0), 0); /* no unit attention from it */
}
END_TEST

START_TEST(state_travels)
{
    struct state_buf buf = {0};
    char why[128];

    make_ready();
    ck_assert_int_eq(PACKET(0x1E, 0, 0, 0, 1), 0);
    start_packet((const uint8_t[12]){0x28, 0, 0, 0, 0, 50, 0, 0, 1}, false, 2048);
    disc.count = 0;
    ck_assert(fields_save(ide_class.state, rig.ide, &buf));
    rig_free(&rig);
    rig_new(&rig);
    ck_assert(ide_attach_cdrom(rig.ide, 1, 0, &slot));
    ck_assert_uint_eq(fields_load(ide_class.state, rig.ide, buf.data, buf.size, why, sizeof(why)), buf.size);
    ide_class.loaded(rig.ide);
    fake_pump(&disc);
    ck_assert(rig.level[1]);
    ck_assert_uint_eq(status(), DRDY | DSC | DRQ);
    ck_assert_uint_eq(in16(&rig, PORT), disc.data[50 * 2048] | disc.data[50 * 2048 + 1] << 8);
    ck_assert(slot.locked(slot.opaque));
    free(buf.data);
}
END_TEST

START_TEST(random_packets)
{
    static const uint8_t known[] = {0x00, 0x03, 0x12, 0x1A, 0x1B, 0x1E, 0x25, 0x28, 0x2B, 0x42, 0x43,
                                    0x46, 0x4A, 0x51, 0x52, 0x5A, 0xA8, 0xAD, 0xBB, 0xBD, 0xBE};

    rig.seed = 5000 + (uint64_t)_i;
    for (unsigned i = 0; i < 25000; i++) {
        uint8_t packet[12];
        uint32_t a = rig_random(&rig), b = rig_random(&rig);

        for (unsigned n = 0; n < 12; n++)
            packet[n] = a & 1 ? 0 : (uint8_t)(rig_random(&rig) >> (b & 7));
        packet[1 + b % 11] = (uint8_t)(b >> 8);
        packet[0] = a & 0xF0 ? known[(a >> 8) % sizeof(known)] : (uint8_t)b;
        out8(&rig, PORT + 1, a >> 16 & 1);
        out8(&rig, PORT + 4, (uint8_t)(b >> 16));
        out8(&rig, PORT + 5, (uint8_t)(b >> 24 & 0x1F));
        out8(&rig, PORT + 7, 0xA0);
        for (unsigned n = 0; n < 12; n += 2)
            out16(&rig, PORT, packet[n] | packet[n + 1] << 8);
        rig_prd(&rig, 0, rig_random(&rig), b >> 4, true);
        if (a & 0x100000)
            rig_start(&rig, 1, true);
        if (a & 0x200000)
            fake_step(&disc);
        if (!(a & 0x1C00000)) {
            slot.medium = a & 0x2000000 ? a & 0x4000000 ? &dvd.block : &disc.block : NULL;
            slot.changed(slot.opaque);
        }
        fake_pump(&disc);
        fake_pump(&dvd);
        for (unsigned n = b & 0xFFF; n; n--)
            in16(&rig, PORT);
        fake_pump(&disc);
        fake_pump(&dvd);
        if (!(b & 0xF000000))
            out8(&rig, PORT + 7, (uint8_t)a);
        if (!(b & 0x7000000))
            bus_read(rig.ports, PORT + (a & 7), 1);
        disc.bad = a & 0x8000000 ? b & 511 : UINT64_MAX;
    }
    disc.bad = UINT64_MAX;
    slot.medium = &disc.block;
    slot.changed(slot.opaque);
    ide_class.reset(rig.ide);
    fake_pump(&disc);
    fake_pump(&dvd);
    rig_enable(&rig);
    make_ready();
    ck_assert_int_eq(PACKET(0x28, 0, 0, 0, 0, 10, 0, 0, 1), 2048);
    ck_assert_int_eq(memcmp(reply, disc.data + 10 * 2048, 2048), 0);
}
END_TEST

Suite *atapi_suite(void)
{
    Suite *suite = suite_create("atapi");
    TCase *tcase = tcase_create("atapi");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, signature);
    tcase_add_test(tcase, identify_packet_device);
    tcase_add_test(tcase, other_ata_commands);
    tcase_add_test(tcase, inquiry_and_unit_attention);
    tcase_add_test(tcase, unit_attention_by_request_sense);
    tcase_add_test(tcase, pio_reads);
    tcase_add_test(tcase, more_than_the_buffer_takes);
    tcase_add_test(tcase, a_byte_count_of_zero);
    tcase_add_test(tcase, dma_reads);
    tcase_add_test(tcase, medium_errors);
    tcase_add_test(tcase, tables_of_contents);
    tcase_add_test(tcase, mode_pages);
    tcase_add_test(tcase, configuration);
    tcase_add_test(tcase, other_reports);
    tcase_add_test(tcase, events);
    tcase_add_test(tcase, tray);
    tcase_add_test(tcase, change_in_the_midst_of_a_read);
    tcase_add_test(tcase, device_reset_while_busy);
    tcase_add_test(tcase, state_travels);
    tcase_add_loop_test(tcase, random_packets, 0, 3);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return suite;
}
