/* ATA disks behind the PIIX3's IDE function: commands, PIO, bus master DMA, errors. Section numbers:
 * ATA/ATAPI-7. */
#include "tests/unit/ide_rig.h"

#define STORED (1024u * 512)
#define PORT   0x1F0

static struct rig rig;
static struct fake disk, huge;

static void setup(void)
{
    rig_new(&rig);
    fake_init(&disk, STORED, STORED);
    fake_init(&huge, 3ull << 40, 512);
    ck_assert(ide_attach_disk(rig.ide, 0, 0, &disk.block));
    ck_assert(ide_attach_disk(rig.ide, 1, 1, &huge.block));
    ck_assert(!ide_attach_disk(rig.ide, 0, 0, &disk.block));
    ck_assert(!ide_attach_disk(rig.ide, 2, 0, &disk.block));
}

static void teardown(void)
{
    rig_free(&rig);
    free(disk.data);
    free(huge.data);
}

static void command28(uint8_t command, uint32_t lba, uint8_t count)
{
    out8(&rig, PORT + 6, 0xE0 | lba >> 24);
    out8(&rig, PORT + 2, count);
    out8(&rig, PORT + 3, lba);
    out8(&rig, PORT + 4, lba >> 8);
    out8(&rig, PORT + 5, lba >> 16);
    out8(&rig, PORT + 7, command);
}

static void command48(unsigned port, unsigned unit, uint8_t command, uint64_t lba, uint16_t count)
{
    out8(&rig, port + 6, 0xE0 | unit << 4);
    out8(&rig, port + 2, count >> 8);
    out8(&rig, port + 2, count);
    for (unsigned i = 0; i < 3; i++) {
        out8(&rig, port + 3 + i, lba >> (24 + 8 * i));
        out8(&rig, port + 3 + i, lba >> 8 * i);
    }
    out8(&rig, port + 7, command);
}

static uint8_t status(void)
{
    return in8(&rig, PORT + 7);
}

static void read_words(uint8_t *to, unsigned words)
{
    for (unsigned i = 0; i < words; i++) {
        uint16_t word = in16(&rig, PORT);
        to[2 * i] = word & 0xFF;
        to[2 * i + 1] = word >> 8;
    }
}

static void write_words(const uint8_t *from, unsigned words)
{
    for (unsigned i = 0; i < words; i++)
        out16(&rig, PORT, from[2 * i] | from[2 * i + 1] << 8);
}

static uint16_t word_at(const uint8_t *data, unsigned word)
{
    return data[2 * word] | data[2 * word + 1] << 8;
}

START_TEST(nobody_answers)
{
    ck_assert_uint_eq(in8(&rig, 0x177), 0x7F); /* unit 0 of the second channel */
    out8(&rig, 0x176, 0xB0);
    ck_assert_uint_eq(in8(&rig, 0x177), DRDY | DSC);
    out8(&rig, PORT + 6, 0xF0); /* unit 0 answers for unit 1 */
    out8(&rig, PORT + 2, 0x55);
    ck_assert_uint_eq(status(), 0);
    ck_assert_uint_eq(in8(&rig, 0x3F6), 0);
    ck_assert_uint_ne(in8(&rig, PORT + 2), 0x55);
    out8(&rig, PORT + 7, 0xEC);
    ck_assert_uint_eq(status(), 0);
    ck_assert_uint_eq(rig.edges[0], 0);
    out8(&rig, PORT + 6, 0xE0);
    ck_assert_uint_eq(status(), DRDY | DSC);
}
END_TEST

static void check_signature(void)
{
    ck_assert_uint_eq(in8(&rig, PORT + 1), 1);
    ck_assert_uint_eq(in8(&rig, PORT + 2), 1);
    ck_assert_uint_eq(in8(&rig, PORT + 3), 1);
    ck_assert_uint_eq(in8(&rig, PORT + 4), 0);
    ck_assert_uint_eq(in8(&rig, PORT + 5), 0);
    ck_assert_uint_eq(in8(&rig, PORT + 6) & 0x1F, 0);
    ck_assert_uint_eq(status(), DRDY | DSC);
}

START_TEST(resets)
{
    check_signature();
    command28(0x10, 0x123456, 7);
    ck_assert_uint_eq(in8(&rig, PORT + 3), 0x56);
    out8(&rig, 0x3F6, 4);
    ck_assert_uint_eq(in8(&rig, 0x3F6), BSY);
    ck_assert(!rig.level[0]);
    out8(&rig, PORT + 7, 0xEC); /* not heard */
    out8(&rig, 0x3F6, 0);
    check_signature();
    out8(&rig, PORT + 6, 0xF0);
    out8(&rig, PORT + 7, 0x90); /* both drives, whatever is selected */
    ck_assert(rig.level[0]);
    check_signature();
    ck_assert(!rig.level[0]);
    command28(0x08, 0, 0); /* DEVICE RESET is for CD-ROM drives */
    ck_assert_uint_eq(status(), DRDY | DSC | ERR);
    ck_assert_uint_eq(in8(&rig, PORT + 1), 4);
}
END_TEST

START_TEST(reset_waits_for_the_medium)
{
    command28(0x20, 5, 1);
    ck_assert(status() & BSY);
    out8(&rig, PORT + 7, 0xEC); /* ignored while busy */
    out8(&rig, 0x3F6, 4);
    out8(&rig, 0x3F6, 0);
    ck_assert_uint_eq(status(), BSY);
    out8(&rig, PORT + 7, 0xEC);
    ck_assert_uint_eq(status(), BSY);
    fake_pump(&disk);
    ck_assert_uint_eq(rig.edges[0], 0);
    check_signature();
    command28(0x35, 0, 0);
    ide_class.reset(rig.ide);
    ck_assert_uint_eq(status(), DRDY | DSC);
}
END_TEST

START_TEST(identify)
{
    uint8_t data[512], sum = 0;

    command28(0xEC, 0, 0);
    ck_assert_uint_eq(in8(&rig, 0x3F6), DRDY | DSC | DRQ);
    ck_assert(rig.level[0]);
    ck_assert_uint_eq(status(), DRDY | DSC | DRQ);
    ck_assert(!rig.level[0]);
    read_words(data, 256);
    ck_assert_uint_eq(status(), DRDY | DSC);
    ck_assert_uint_eq(rig.edges[0], 1);
    ck_assert_uint_eq(in16(&rig, PORT), 0xFFFF);
    ck_assert_uint_eq(word_at(data, 0) & 0x8080, 0);
    ck_assert_int_eq(memcmp(data + 54, "xOob widks  ", 12), 0);
    ck_assert_int_eq(memcmp(data + 20, "XO000000", 8), 0);
    ck_assert_uint_eq(word_at(data, 60) | word_at(data, 61) << 16, 1024);
    ck_assert_uint_eq(word_at(data, 100), 1024);
    ck_assert_uint_eq(word_at(data, 1) * word_at(data, 3) * word_at(data, 6), 1 * 16 * 63);
    ck_assert_uint_eq(word_at(data, 49) & 0x0300, 0x0300);
    ck_assert_uint_eq(word_at(data, 83) & 0xC400, 0x4400);
    ck_assert_uint_eq(word_at(data, 88), 0x3F);
    for (unsigned i = 0; i < 512; i++)
        sum += data[i];
    ck_assert_uint_eq(data[510], 0xA5);
    ck_assert_uint_eq(sum, 0);
}
END_TEST

START_TEST(identify_of_a_large_disk)
{
    uint16_t words[256];

    out8(&rig, 0x176, 0xF0);
    out8(&rig, 0x177, 0xEC);
    ck_assert(rig.level[1]);
    for (unsigned i = 0; i < 256; i++)
        words[i] = in16(&rig, 0x170);
    ck_assert_uint_eq(words[60] | (uint32_t)words[61] << 16, 0x0FFFFFFF);
    ck_assert_uint_eq(words[1], 16383);
    ck_assert_uint_eq((uint64_t)words[102] << 32 | (uint32_t)words[101] << 16 | words[100],
                      (3ull << 40) / 512);
}
END_TEST

START_TEST(pio_read)
{
    uint8_t data[3 * 512];

    command28(0x20, 17, 3);
    ck_assert_uint_eq(in8(&rig, 0x3F6) & (BSY | DRQ), BSY);
    fake_pump(&disk);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert(rig.level[0]);
        ck_assert_uint_eq(rig.edges[0], i + 1);
        ck_assert_uint_eq(status(), DRDY | DSC | DRQ);
        ck_assert(!rig.level[0]);
        read_words(data + 512 * i, 256);
    }
    ck_assert_uint_eq(rig.edges[0], 3); /* none after the last block */
    ck_assert_uint_eq(status(), DRDY | DSC);
    ck_assert_int_eq(memcmp(data, disk.data + 17 * 512, sizeof(data)), 0);
}
END_TEST

START_TEST(pio_read_of_all)
{
    static uint8_t data[1024 * 512];

    for (unsigned lba = 0; lba < 1024; lba += 256) {
        command28(0x20, lba, 0); /* 256 */
        fake_pump(&disk);
        for (unsigned i = 0; i < 256; i++)
            read_words(data + (lba + i) * 512, 256);
        ck_assert_uint_eq(status(), DRDY | DSC);
    }
    ck_assert_int_eq(memcmp(data, disk.data, sizeof(data)), 0);
    command48(PORT, 0, 0x24, 0, 1024); /* more than the buffer takes */
    memset(data, 0, sizeof(data));
    for (unsigned i = 0; i < 1024; i++) {
        fake_pump(&disk);
        ck_assert(status() & DRQ);
        read_words(data + i * 512, 256);
    }
    ck_assert_uint_eq(status(), DRDY | DSC);
    ck_assert_int_eq(memcmp(data, disk.data, sizeof(data)), 0);
}
END_TEST

START_TEST(chs)
{
    uint8_t data[512];

    out8(&rig, PORT + 6, 0xA0 | 2); /* cylinder 0, head 2, sector 5 of 16 heads and 63 sectors */
    out8(&rig, PORT + 2, 1);
    out8(&rig, PORT + 3, 5);
    out8(&rig, PORT + 4, 0);
    out8(&rig, PORT + 5, 0);
    out8(&rig, PORT + 7, 0x21);
    fake_pump(&disk);
    read_words(data, 256);
    ck_assert_int_eq(memcmp(data, disk.data + (2 * 63 + 4) * 512, 512), 0);

    out8(&rig, PORT + 6, 0xA3); /* 4 heads of 20 sectors */
    out8(&rig, PORT + 2, 20);
    out8(&rig, PORT + 7, 0x91);
    ck_assert_uint_eq(status(), DRDY | DSC);
    out8(&rig, PORT + 6, 0xA1);
    out8(&rig, PORT + 2, 1);
    out8(&rig, PORT + 3, 20);
    out8(&rig, PORT + 4, 3);
    out8(&rig, PORT + 7, 0x20);
    fake_pump(&disk);
    read_words(data, 256);
    ck_assert_int_eq(memcmp(data, disk.data + ((3 * 4 + 1) * 20 + 19) * 512, 512), 0);

    out8(&rig, PORT + 3, 21); /* there is no such sector, */
    out8(&rig, PORT + 7, 0x20);
    ck_assert_uint_eq(status(), DRDY | DSC | ERR);
    ck_assert_uint_eq(in8(&rig, PORT + 1), 0x10);
    out8(&rig, PORT + 3, 0); /* none is number 0, */
    out8(&rig, PORT + 7, 0x70);
    ck_assert_uint_eq(in8(&rig, PORT + 1), 0x10);
    out8(&rig, PORT + 3, 1);
    out8(&rig, PORT + 6, 0xA4); /* nor such a head */
    out8(&rig, PORT + 7, 0x40);
    ck_assert_uint_eq(in8(&rig, PORT + 1), 0x10);
    command28(0xEC, 0, 0);
    read_words(data, 256);
    ck_assert_uint_eq(word_at(data, 55), 4);
    ck_assert_uint_eq(word_at(data, 56), 20);
    ck_assert_uint_eq(word_at(data, 54), 12);
    out8(&rig, PORT + 2, 0);
    out8(&rig, PORT + 7, 0x91);
    ck_assert_uint_eq(in8(&rig, PORT + 1), 4);
}
END_TEST

START_TEST(lba48)
{
    uint64_t lba = 0x123456789, sector;

    command48(0x170, 1, 0x24, lba, 2);
    fake_pump(&huge);
    for (unsigned i = 0; i < 2; i++) {
        sector = 0;
        for (unsigned j = 0; j < 4; j++)
            sector |= (uint64_t)in16(&rig, 0x170) << 16 * j;
        ck_assert_uint_eq(sector, lba + i);
        for (unsigned j = 4; j < 256; j++)
            in16(&rig, 0x170);
    }
    ck_assert_uint_eq(in8(&rig, 0x173), (lba + 0) & 0xFF);
    out8(&rig, 0x376, 0x80); /* HOB */
    ck_assert_uint_eq(in8(&rig, 0x173), 0x23);
    ck_assert_uint_eq(in8(&rig, 0x174), 0x01);
    out8(&rig, 0x172, 0); /* a write ends it */
    ck_assert_uint_eq(in8(&rig, 0x173), 0x89);
    command48(0x170, 1, 0x27, 0, 0); /* READ NATIVE MAX ADDRESS EXT */
    sector = in8(&rig, 0x173) | in8(&rig, 0x174) << 8 | in8(&rig, 0x175) << 16;
    out8(&rig, 0x376, 0x80);
    sector |= (uint64_t)(in8(&rig, 0x173) | in8(&rig, 0x174) << 8 | in8(&rig, 0x175) << 16) << 24;
    ck_assert_uint_eq(sector, (3ull << 40) / 512 - 1);
    command48(0x170, 1, 0x25, (3ull << 40) / 512 - 1, 2); /* one too many */
    ck_assert_uint_eq(in8(&rig, 0x171), 0x10);
}
END_TEST

START_TEST(pio_write)
{
    uint8_t data[3 * 512];

    memset(data, 0x3C, sizeof(data));
    command28(0x30, 100, 3);
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_uint_eq(rig.edges[0], i); /* none before the first block */
        ck_assert_uint_eq(status(), DRDY | DSC | DRQ);
        write_words(data + 512 * i, 256);
    }
    ck_assert(status() & BSY);
    fake_pump(&disk);
    ck_assert_uint_eq(rig.edges[0], 3);
    ck_assert_uint_eq(status(), DRDY | DSC);
    ck_assert_int_eq(memcmp(data, disk.data + 100 * 512, sizeof(data)), 0);
    ck_assert_uint_ne(disk.data[103 * 512], 0x3C);
    ck_assert_uint_eq(disk.flushes, 0);
}
END_TEST

START_TEST(write_cache_and_flush)
{
    uint8_t data[512] = {1};

    command28(0xE7, 0, 0);
    ck_assert(status() & BSY);
    fake_pump(&disk);
    ck_assert_uint_eq(status(), DRDY | DSC);
    ck_assert(rig.edges[0] == 1 && disk.flushes == 1);
    out8(&rig, PORT + 1, 0x82);
    command28(0xEF, 0, 0);
    ck_assert_uint_eq(status(), DRDY | DSC);
    command28(0x30, 0, 1);
    write_words(data, 256);
    fake_pump(&disk);
    ck_assert_uint_eq(disk.flushes, 2);
    out8(&rig, PORT + 1, 0x02);
    command28(0xEF, 0, 0);
    command28(0x30, 0, 1);
    write_words(data, 256);
    fake_pump(&disk);
    ck_assert_uint_eq(disk.flushes, 2);
    command48(PORT, 0, 0xCE, 0, 1); /* FUA, but no multiple count yet */
    ck_assert_uint_eq(in8(&rig, PORT + 1), 4);
    disk.bad_flush = true;
    command28(0xEA, 0, 0);
    fake_pump(&disk);
    ck_assert_uint_eq(status(), DRDY | DSC | ERR);
    ck_assert_uint_eq(in8(&rig, PORT + 1), 4);
}
END_TEST

START_TEST(multiple)
{
    uint8_t data[20 * 512];

    command28(0xC4, 0, 1);
    ck_assert_uint_eq(in8(&rig, PORT + 1), 4);
    command28(0xC6, 0, 8);
    ck_assert_uint_eq(status(), DRDY | DSC);
    rig.edges[0] = 0;
    command28(0xC4, 40, 20);
    fake_pump(&disk);
    read_words(data, 8 * 256);
    ck_assert_uint_eq(status(), DRDY | DSC | DRQ);
    read_words(data + 8 * 512, 8 * 256);
    status();
    read_words(data + 16 * 512, 4 * 256);
    ck_assert_uint_eq(status(), DRDY | DSC);
    ck_assert_int_eq(memcmp(data, disk.data + 40 * 512, sizeof(data)), 0);
    memset(data, 9, sizeof(data));
    command28(0xC5, 40, 20);
    for (unsigned i = 0; i < 20; i++)
        write_words(data + i * 512, 256);
    fake_pump(&disk);
    ck_assert_uint_eq(status(), DRDY | DSC);
    ck_assert_int_eq(memcmp(data, disk.data + 40 * 512, sizeof(data)), 0);
    command28(0xC6, 0, 3);
    ck_assert_uint_eq(status(), DRDY | DSC | ERR);
    command28(0xC4, 0, 1); /* a bad count turned it off */
    ck_assert_uint_eq(status(), DRDY | DSC | ERR);
    command28(0xC6, 0, 32);
    ck_assert_uint_eq(status(), DRDY | DSC | ERR);
}
END_TEST

START_TEST(the_data_port_takes_32_bits)
{
    command28(0x20, 9, 1);
    fake_pump(&disk);
    for (unsigned i = 0; i < 128; i++) {
        uint32_t value = (uint32_t)bus_read(rig.ports, PORT, 4), expected;
        memcpy(&expected, disk.data + 9 * 512 + 4 * i, 4);
        ck_assert_uint_eq(value, expected);
    }
    ck_assert_uint_eq(status(), DRDY | DSC);
    command28(0x30, 9, 1);
    for (unsigned i = 0; i < 128; i++)
        out32(&rig, PORT, 0x11223344);
    fake_pump(&disk);
    ck_assert_uint_eq(disk.data[9 * 512 + 511], 0x11);
    ck_assert_uint_eq(disk.data[9 * 512 + 508], 0x44);
}
END_TEST

START_TEST(interrupts_can_be_turned_off)
{
    out8(&rig, 0x3F6, 2);
    command28(0x10, 0, 0);
    ck_assert_uint_eq(rig.edges[0], 0);
    out8(&rig, 0x3F6, 0); /* it was still pending */
    ck_assert_uint_eq(rig.edges[0], 1);
    ck_assert_uint_eq(in8(&rig, 0x3F6), DRDY | DSC);
    ck_assert(rig.level[0]); /* the alternate status doesn't take it back */
    out8(&rig, PORT + 6, 0xF0);
    ck_assert(!rig.level[0]); /* nor is a drive heard that isn't selected */
    out8(&rig, PORT + 6, 0xE0);
    ck_assert(rig.level[0]);
    out8(&rig, PORT + 7, 0x10); /* a command does */
    ck_assert_uint_eq(rig.edges[0], 3);
}
END_TEST

START_TEST(errors_of_the_medium)
{
    uint8_t data[512];

    disk.bad = 50;
    command28(0x20, 40, 20);
    fake_pump(&disk);
    for (unsigned i = 0; i < 10; i++) { /* those before it are delivered */
        fake_pump(&disk);
        ck_assert_uint_eq(status(), DRDY | DSC | DRQ);
        read_words(data, 256);
        ck_assert_int_eq(memcmp(data, disk.data + (40 + i) * 512, 512), 0);
    }
    fake_pump(&disk);
    ck_assert_uint_eq(in8(&rig, 0x3F6), DRDY | DSC | ERR);
    ck_assert(rig.level[0]);
    ck_assert_uint_eq(in8(&rig, PORT + 1), 0x40);
    ck_assert_uint_eq(in8(&rig, PORT + 3), 50);
    command28(0x40, 45, 10); /* VERIFY finds it too */
    fake_pump(&disk);
    ck_assert_uint_eq(in8(&rig, PORT + 1), 0x40);
    ck_assert_uint_eq(in8(&rig, PORT + 3), 50);
    command28(0x40, 51, 10);
    fake_pump(&disk);
    ck_assert_uint_eq(status(), DRDY | DSC);
    command28(0x30, 50, 1);
    write_words(data, 256);
    fake_pump(&disk);
    ck_assert_uint_eq(status(), DRDY | DSC | ERR);
    ck_assert_uint_eq(in8(&rig, PORT + 1), 4);
}
END_TEST

START_TEST(past_the_end_and_read_only)
{
    command28(0x20, 1020, 5);
    ck_assert_uint_eq(status(), DRDY | DSC | ERR);
    ck_assert_uint_eq(in8(&rig, PORT + 1), 0x10);
    command28(0x30, 0x0FFFFFFF, 1);
    ck_assert_uint_eq(in8(&rig, PORT + 1), 0x10);
    command48(PORT, 0, 0x35, 0xFFFFFFFFFFFF, 0);
    ck_assert_uint_eq(in8(&rig, PORT + 1), 0x10);
    command28(0x70, 1023, 0);
    ck_assert_uint_eq(status(), DRDY | DSC);
    command28(0x70, 1024, 0);
    ck_assert_uint_eq(status(), DRDY | DSC | ERR);
    disk.block.read_only = true;
    command28(0xCA, 0, 1);
    ck_assert_uint_eq(in8(&rig, PORT + 1), 4);
    ck_assert_uint_eq(disk.reads + disk.writes, 0);
}
END_TEST

START_TEST(small_commands)
{
    static const uint8_t aborted[] = {0x00, 0x50, 0xA0, 0xA1, 0xB0, 0xF1, 0xF9, 0x06, 0xFF};
    uint8_t data[512];

    for (unsigned i = 0; i < sizeof(aborted); i++) {
        command28(aborted[i], 0, 0);
        ck_assert_uint_eq(status(), DRDY | DSC | ERR);
        ck_assert_uint_eq(in8(&rig, PORT + 1), 4);
    }
    command28(0xF8, 0, 0);
    ck_assert_uint_eq(in8(&rig, PORT + 3) | in8(&rig, PORT + 4) << 8, 1023);
    command28(0xE5, 0, 0);
    ck_assert_uint_eq(in8(&rig, PORT + 2), 0xFF);
    command28(0xE0, 0, 0);
    fake_pump(&disk);
    command28(0xE5, 0, 0);
    ck_assert_uint_eq(in8(&rig, PORT + 2), 0);
    command28(0x20, 0, 1); /* spins up by itself */
    fake_pump(&disk);
    read_words(data, 256);
    command28(0xE5, 0, 0);
    ck_assert_uint_eq(in8(&rig, PORT + 2), 0xFF);
    memset(data, 0x42, sizeof(data));
    command28(0xE8, 0, 0);
    write_words(data, 256);
    ck_assert_uint_eq(status(), DRDY | DSC);
    memset(data, 0, sizeof(data));
    command28(0xE4, 0, 0);
    read_words(data, 256);
    ck_assert_uint_eq(data[511], 0x42);
    out8(&rig, PORT + 1, 3);
    command28(0xEF, 0, 0x45);
    ck_assert_uint_eq(status(), DRDY | DSC);
    command28(0xEC, 0, 0);
    read_words(data, 256);
    ck_assert_uint_eq(word_at(data, 88), 0x203F);
    command28(0xEF, 0, 0x46);
    ck_assert_uint_eq(status(), DRDY | DSC | ERR);
    command28(0xE6, 0, 0);
    status();
    command28(0x10, 0, 0); /* asleep */
    ck_assert(!rig.level[0]);
    out8(&rig, 0x3F6, 4);
    out8(&rig, 0x3F6, 0);
    command28(0x10, 0, 0);
    ck_assert(rig.level[0]);
}
END_TEST

START_TEST(dma_read)
{
    rig_prd(&rig, 0, RIG_DATA, 1024, false);
    rig_prd(&rig, 1, RIG_DATA + 0x8001, 512, true); /* bit 0 isn't there */
    command28(0xC8, 7, 3);
    fake_pump(&disk); /* the data is there before the bus master is started */
    ck_assert_uint_eq(rig.edges[0], 0);
    rig_start(&rig, 0, true);
    ck_assert(rig.level[0]);
    ck_assert_uint_eq(in8(&rig, RIG_BM + 2), 4); /* interrupt, not active */
    ck_assert_uint_eq(status(), DRDY | DSC);
    ck_assert_int_eq(memcmp(rig.ram + RIG_DATA, disk.data + 7 * 512, 1024), 0);
    ck_assert_int_eq(memcmp(rig.ram + RIG_DATA + 0x8000, disk.data + 9 * 512, 512), 0);
    out8(&rig, RIG_BM + 2, 4);
    ck_assert_uint_eq(in8(&rig, RIG_BM + 2), 0);
    ck_assert_uint_eq(in8(&rig, RIG_BM), 9);
    out8(&rig, RIG_BM, 0);

    command28(0xC8, 7, 3); /* and the other way round */
    rig_start(&rig, 0, true);
    ck_assert_uint_eq(in8(&rig, RIG_BM + 2), 1);
    memset(rig.ram + RIG_DATA, 0, 1024);
    fake_pump(&disk);
    ck_assert_uint_eq(in8(&rig, RIG_BM + 2), 4);
    ck_assert_int_eq(memcmp(rig.ram + RIG_DATA, disk.data + 7 * 512, 1024), 0);
}
END_TEST

START_TEST(dma_of_64_kib_descriptors)
{
    for (unsigned i = 0; i < 8; i++)
        rig_prd(&rig, i, RIG_DATA + i * 0x10000, 0, i == 7);
    command48(PORT, 0, 0x25, 0, 1024);
    rig_start(&rig, 0, true);
    fake_pump(&disk);
    ck_assert_uint_eq(in8(&rig, RIG_BM + 2), 4);
    ck_assert_int_eq(memcmp(rig.ram + RIG_DATA, disk.data, STORED), 0);
    memset(rig.ram + RIG_DATA + 0x12345, 0xBB, 0x5000);
    out8(&rig, RIG_BM, 0);
    command48(PORT, 0, 0x3D, 0, 1024); /* WRITE DMA FUA EXT */
    rig_start(&rig, 0, false);
    fake_pump(&disk);
    ck_assert_uint_eq(in8(&rig, RIG_BM + 2), 4);
    ck_assert_uint_eq(status(), DRDY | DSC);
    ck_assert_int_eq(memcmp(rig.ram + RIG_DATA, disk.data, STORED), 0);
    ck_assert_uint_eq(disk.data[0x12345], 0xBB);
    ck_assert_uint_eq(disk.flushes, 1);
}
END_TEST

/* Bus Master IDE 1.0, 3.1: what interrupt and active say together. */
START_TEST(dma_tables_of_the_wrong_size)
{
    rig_prd(&rig, 0, RIG_DATA, 1024, true);
    command28(0xC8, 0, 1);
    rig_start(&rig, 0, true);
    fake_pump(&disk);
    ck_assert_uint_eq(in8(&rig, RIG_BM + 2), 5); /* longer than the transfer: still active */
    ck_assert_uint_eq(status(), DRDY | DSC);
    out8(&rig, RIG_BM, 0);
    ck_assert_uint_eq(in8(&rig, RIG_BM + 2), 4);

    command28(0xC8, 0, 3);
    rig_start(&rig, 0, true);
    fake_pump(&disk);
    ck_assert_uint_eq(in8(&rig, RIG_BM + 2), 0); /* shorter: neither */
    ck_assert_uint_eq(status(), DRDY | DSC | DRQ);
    ck_assert_int_eq(memcmp(rig.ram + RIG_DATA, disk.data, 1024), 0);
    ck_assert_uint_eq(rig.ram[RIG_DATA + 1024], 0);
    out8(&rig, 0x3F6, 4);
    out8(&rig, 0x3F6, 0);
    ck_assert_uint_eq(status(), DRDY | DSC);
}
END_TEST

START_TEST(dma_where_nothing_answers)
{
    command28(0xC8, 0, 4);
    out32(&rig, RIG_BM + 4, 0xFFFFFFFF); /* a table of all ones: 64 KiB at the top, and the last */
    ck_assert_uint_eq(bus_read(rig.ports, RIG_BM + 4, 4), 0xFFFFFFFC);
    out8(&rig, RIG_BM, 9);
    fake_pump(&disk);
    ck_assert(in8(&rig, RIG_BM + 2) & 4);
    ck_assert_uint_eq(status(), DRDY | DSC);
    out8(&rig, RIG_BM, 0);
    rig_prd(&rig, 0, 0xFFFFFE00, 1024, true); /* over the end of the address space */
    command28(0xC8, 0, 2);
    rig_start(&rig, 0, true);
    fake_pump(&disk);
    ck_assert_uint_eq(in8(&rig, RIG_BM + 2), 4);
    ck_assert_int_eq(memcmp(rig.ram, disk.data + 512, 512), 0);
    out8(&rig, RIG_BM, 0);
    rig_prd(&rig, 0, 0x80000000, 512, true);
    command28(0xCA, 3, 1);
    rig_start(&rig, 0, false);
    fake_pump(&disk);
    ck_assert_uint_eq(disk.data[3 * 512], 0xFF);
}
END_TEST

START_TEST(dma_needs_permission_and_direction)
{
    rig_prd(&rig, 0, RIG_DATA, 512, true);
    pci_out(&rig, PCI_COMMAND, PCI_COMMAND_IO, 2);
    command28(0xC8, 3, 1);
    rig_start(&rig, 0, true);
    fake_pump(&disk);
    ck_assert_uint_eq(in8(&rig, RIG_BM + 2), 1);
    pci_out(&rig, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MASTER, 2);
    ck_assert_uint_eq(in8(&rig, RIG_BM + 2), 4);
    ck_assert_int_eq(memcmp(rig.ram + RIG_DATA, disk.data + 3 * 512, 512), 0);
    out8(&rig, RIG_BM, 0);
    memset(rig.ram + RIG_DATA, 0, 512);
    command28(0xC8, 3, 1);
    rig_start(&rig, 0, false); /* from memory: the drive wants it the other way */
    fake_pump(&disk);
    ck_assert_uint_eq(in8(&rig, RIG_BM + 2), 1);
    ck_assert_uint_eq(rig.ram[RIG_DATA + 1], 0);
    ck_assert(status() & DRQ);
}
END_TEST

START_TEST(dma_errors)
{
    disk.bad = 300;
    for (unsigned i = 0; i < 8; i++)
        rig_prd(&rig, i, RIG_DATA + i * 0x10000, 0, i == 7);
    command48(PORT, 0, 0x25, 0, 600);
    rig_start(&rig, 0, true);
    fake_pump(&disk);
    ck_assert_uint_eq(in8(&rig, RIG_BM + 2), 5);
    ck_assert_uint_eq(status(), DRDY | DSC | ERR);
    ck_assert_uint_eq(in8(&rig, PORT + 1), 0x40);
    ck_assert_uint_eq(in8(&rig, PORT + 3) | in8(&rig, PORT + 4) << 8, 300);
    ck_assert_int_eq(memcmp(rig.ram + RIG_DATA, disk.data, 300 * 512), 0);
}
END_TEST

START_TEST(pci_function)
{
    ck_assert_uint_eq(pci_config_read(rig.pci, 0, 9, 0, 4), 0x70108086);
    ck_assert_uint_eq(pci_config_read(rig.pci, 0, 9, 8, 4), 0x01018000);
    pci_out(&rig, PCI_BAR(4), 0xFFFFFFFF, 4);
    ck_assert_uint_eq(pci_config_read(rig.pci, 0, 9, PCI_BAR(4), 4), 0xFFFFFFF1);
    ck_assert_uint_eq(in8(&rig, RIG_BM), 0xFF); /* out of the ports' reach */
    pci_out(&rig, PCI_BAR(4), 0xD000, 4);
    out8(&rig, 0xD00A, 0x60); /* channel 1 */
    ck_assert_uint_eq(in8(&rig, 0xD00A), 0x60);
    ck_assert_uint_eq(in8(&rig, 0xD002), 0);
    pci_out(&rig, 0x40, 0x0000, 2); /* the first channel's ports are not decoded */
    ck_assert_uint_eq(status(), 0xFF);
    ck_assert_uint_eq(in8(&rig, 0x3F6), 0xFF);
    ck_assert_uint_eq(in8(&rig, 0x177), 0x7F);
    pci_out(&rig, 0x40, 0x8000, 2);
    ck_assert_uint_eq(status(), DRDY | DSC);
    pci_out(&rig, PCI_COMMAND, 0, 2);
    ck_assert_uint_eq(status(), 0xFF);
    ck_assert_uint_eq(in8(&rig, 0xD002), 0xFF);
    ide_class.reset(rig.ide);
    ck_assert_uint_eq(status(), DRDY | DSC);
}
END_TEST

static void save_and_load(void)
{
    struct state_buf buf = {0};
    char why[128];

    ck_assert(fields_save(ide_class.state, rig.ide, &buf));
    ide_class.reset(rig.ide);
    ck_assert_uint_eq(fields_load(ide_class.state, rig.ide, buf.data, buf.size, why, sizeof(why)), buf.size);
    ide_class.loaded(rig.ide);
    free(buf.data);
}

START_TEST(state_travels)
{
    uint8_t data[5 * 512];

    command28(0x20, 60, 5);
    fake_pump(&disk);
    read_words(data, 300);
    status();
    save_and_load();
    ck_assert(!rig.level[0]);
    read_words(data + 600, 5 * 256 - 300);
    ck_assert_uint_eq(status(), DRDY | DSC);
    ck_assert_int_eq(memcmp(data, disk.data + 60 * 512, sizeof(data)), 0);

    command28(0x30, 200, 1); /* the request is repeated */
    memset(data, 0x99, 512);
    write_words(data, 256);
    disk.count = 0;
    struct state_buf buf = {0};
    char why[128];
    ck_assert(fields_save(ide_class.state, rig.ide, &buf));
    struct rig other;
    rig_new(&other);
    ck_assert(ide_attach_disk(other.ide, 0, 0, &disk.block));
    ck_assert(ide_attach_disk(other.ide, 1, 1, &huge.block));
    ck_assert_uint_eq(fields_load(ide_class.state, other.ide, buf.data, buf.size, why, sizeof(why)),
                      buf.size);
    ide_class.loaded(other.ide);
    ck_assert(in8(&other, 0x1F7) & BSY);
    fake_pump(&disk);
    ck_assert(other.level[0]);
    ck_assert_uint_eq(in8(&other, 0x1F7), DRDY | DSC);
    ck_assert_uint_eq(disk.data[200 * 512 + 511], 0x99);
    free(buf.data);
    rig_free(&other);
}
END_TEST

/* Anything at all, in any order: nothing may break, and afterwards a reset must bring the drive back. */
START_TEST(random_accesses)
{
    uint8_t data[512];

    rig.seed = 1000 + (uint64_t)_i;
    for (unsigned i = 0; i < 60000; i++) {
        uint32_t a = rig_random(&rig), b = rig_random(&rig);
        unsigned channel = a >> 4 & 1, port = channel ? 0x170 : 0x1F0;

        switch (a & 15) {
        case 0:
        case 1:
            out8(&rig, port + 7, (uint8_t)b);
            break;
        case 2: /* the commands that move data, more often */
            out8(&rig, port + 7, "\x20\x24\x25\x29\x30\x34\x35\x39\xC4\xC5\xC8\xCA\xEC\x40\xE7\xC6"[b & 15]);
            break;
        case 3:
            out8(&rig, port + 6, (uint8_t)(b & 1 ? b : 0xE0 | (b & 16)));
            break;
        case 4:
        case 5:
            bus_write(rig.ports, port + b % 7, b & 0x100 ? b >> 8 : b >> 8 & 3, 1u << (b >> 16 & 3));
            break;
        case 6:
        case 7:
            for (unsigned n = b & 0x1FF; n; n--)
                bus_read(rig.ports, port, 1u << (b >> 10 & 3));
            break;
        case 8:
        case 9:
            for (unsigned n = b & 0x1FF; n; n--)
                bus_write(rig.ports, port, b, 1u << (b >> 10 & 3));
            break;
        case 10:
            bus_read(rig.ports, port + (b & 7), 1u << (b >> 16 & 3));
            if (!(b & 0x700))
                out8(&rig, channel ? 0x376 : 0x3F6, (uint8_t)(b >> 24));
            break;
        case 11:
            rig_prd(&rig, b >> 8 & 7, (rig_random(&rig) << 1) >> (b & 31), b >> 4, b & 0x1000000);
            break;
        case 12:
            bus_write(rig.ports, RIG_BM + (b & 15), rig_random(&rig), 1u << (b >> 16 & 3));
            break;
        case 13:
            rig_start(&rig, channel, b & 1);
            break;
        case 14:
            fake_step(&disk);
            fake_step(&huge);
            break;
        case 15:
            if (!(b & 0xFF0))
                pci_out(&rig, b & 0xFC, rig_random(&rig), 4);
            else if (!(b & 0xF))
                rig_enable(&rig);
            disk.bad = b & 0x1000 ? b >> 16 & 1023 : UINT64_MAX;
            disk.bad_flush = b & 0x2000;
            break;
        }
    }
    disk.bad = UINT64_MAX;
    disk.bad_flush = false;
    ide_class.reset(rig.ide);
    fake_pump(&disk);
    fake_pump(&huge);
    check_signature();
    command28(0x20, 77, 1);
    fake_pump(&disk);
    read_words(data, 256);
    ck_assert_int_eq(memcmp(data, disk.data + 77 * 512, 512), 0);
}
END_TEST

/* Overwrites a number of the first drive, in a saved state: after its name come 8 bytes that describe it. */
static void spoil(uint8_t *data, size_t size, const char *name, uint32_t value)
{
    size_t length = strlen(name) + 1;

    for (size_t i = 0; i + length + 16 < size; i++) {
        if ((i && data[i - 1]) || memcmp(data + i, name, length) != 0)
            continue;
        for (unsigned n = 0; n < data[i + length + 4]; n++)
            data[i + length + 8 + n] = n < 4 ? (uint8_t)(value >> 8 * n) : 0;
        return;
    }
    ck_abort_msg("no field %s", name);
}

START_TEST(random_states)
{
    static const char *const names[] = {"phase",     "at",      "end",   "filled", "lba",    "left",
                                        "io_offset", "io_size", "io_op", "block",  "heads",  "track",
                                        "multiple",  "flags",   "mwdma", "udma",   "command"};
    static const uint32_t values[] = {0,  1,   2,   3,   4,    5,       6,       7,
                                      16, 255, 511, 512, 1000, 0x10000, 0x20000, 0xFFFFFFFF};
    struct state_buf buf = {0};
    char why[128];

    for (unsigned i = 0; i < 400; i++) {
        command48(PORT, 0, "\x24\x34\x25\x35"[i & 3], 0, 1024);
        if (i & 4)
            fake_pump(&disk);
        disk.count = 0;
        buf.size = 0;
        ck_assert(fields_save(ide_class.state, rig.ide, &buf));
        rig_free(&rig);
        rig_new(&rig);
        ck_assert(ide_attach_disk(rig.ide, 0, 0, &disk.block));
        rig.seed = i * 0x9E3779B97F4A7C15u;
        for (unsigned n = 1 + i % 4; n; n--)
            spoil(buf.data, buf.size, names[rig_random(&rig) % (sizeof(names) / sizeof(*names))],
                  values[rig_random(&rig) % (sizeof(values) / sizeof(*values))]);
        ck_assert_uint_eq(fields_load(ide_class.state, rig.ide, buf.data, buf.size, why, sizeof(why)),
                          buf.size);
        ide_class.loaded(rig.ide);
        rig_enable(&rig);
        rig_start(&rig, 0, i & 1);
        for (unsigned n = 0; n < 2000; n++) {
            in16(&rig, PORT);
            out16(&rig, PORT, 1);
            fake_step(&disk);
        }
        ide_class.reset(rig.ide);
        fake_pump(&disk);
        check_signature();
    }
    free(buf.data);
}
END_TEST

START_TEST(transfer_modes)
{
    static const struct {
        uint8_t mode;
        uint16_t mwdma, udma; /* words 63 and 88; 0: refused */
    } rows[] = {{0x00, 0x0007, 0x003F}, {0x01, 0x0007, 0x003F}, {0x02, 0, 0},
                {0x0C, 0x0007, 0x003F}, {0x0D, 0, 0},           {0x20, 0x0107, 0x003F},
                {0x22, 0x0407, 0x003F}, {0x23, 0, 0},           {0x40, 0x0007, 0x013F},
                {0x45, 0x0007, 0x203F}, {0x46, 0, 0},           {0x10, 0, 0}};
    uint8_t data[512];

    for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        out8(&rig, PORT + 1, 3);
        command28(0xEF, 0, rows[i].mode);
        ck_assert_uint_eq(status() & ERR, !rows[i].udma);
        command28(0xEC, 0, 0);
        read_words(data, 256);
        if (rows[i].udma) {
            ck_assert_uint_eq(word_at(data, 63), rows[i].mwdma);
            ck_assert_uint_eq(word_at(data, 88), rows[i].udma);
        }
    }
    for (unsigned i = 0; i < 4; i++) {
        out8(&rig, PORT + 1, "\x55\xAA\x66\x99"[i]);
        command28(0xEF, 0, 0);
        ck_assert_uint_eq(status() & ERR, i == 3);
        command28(0xEC, 0, 0);
        read_words(data, 256);
        ck_assert_uint_eq(word_at(data, 85) & 0x40, i ? 0x40 : 0);
    }
}
END_TEST

Suite *ata_suite(void)
{
    Suite *suite = suite_create("ata");
    TCase *tcase = tcase_create("ata");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, nobody_answers);
    tcase_add_test(tcase, resets);
    tcase_add_test(tcase, reset_waits_for_the_medium);
    tcase_add_test(tcase, identify);
    tcase_add_test(tcase, identify_of_a_large_disk);
    tcase_add_test(tcase, pio_read);
    tcase_add_test(tcase, pio_read_of_all);
    tcase_add_test(tcase, chs);
    tcase_add_test(tcase, lba48);
    tcase_add_test(tcase, pio_write);
    tcase_add_test(tcase, write_cache_and_flush);
    tcase_add_test(tcase, multiple);
    tcase_add_test(tcase, the_data_port_takes_32_bits);
    tcase_add_test(tcase, interrupts_can_be_turned_off);
    tcase_add_test(tcase, errors_of_the_medium);
    tcase_add_test(tcase, past_the_end_and_read_only);
    tcase_add_test(tcase, small_commands);
    tcase_add_test(tcase, transfer_modes);
    tcase_add_test(tcase, dma_read);
    tcase_add_test(tcase, dma_of_64_kib_descriptors);
    tcase_add_test(tcase, dma_tables_of_the_wrong_size);
    tcase_add_test(tcase, dma_where_nothing_answers);
    tcase_add_test(tcase, dma_needs_permission_and_direction);
    tcase_add_test(tcase, dma_errors);
    tcase_add_test(tcase, pci_function);
    tcase_add_test(tcase, state_travels);
    tcase_add_loop_test(tcase, random_accesses, 0, 4);
    tcase_add_test(tcase, random_states);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return suite;
}
