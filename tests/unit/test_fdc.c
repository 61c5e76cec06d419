/*
 * test_fdc.c - the 82077AA with the real DMA controller and disks in memory. Alone: tests/unit/unit fdc
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>

#include "devices/fdc.h"
#include "tests/unit/board.h"

#define MS     1000000ull
#define SIZE   1474560u /* 1.44M */
#define BUFFER 0x20000u /* in guest memory */
#define MEMORY 0x40000u

#define DOR  0x3F2
#define MSR  0x3F4
#define FIFO 0x3F5
#define DIR  0x3F7

/* A disk in memory, which completes a request when the test says so. */
struct disk {
    struct block block;
    uint8_t *bytes;
    struct block_request *waiting[3];
    unsigned count, flushes;
    int error; /* of the next one */
    bool hold;
};

static void disk_submit(struct block *block, struct block_request *request)
{
    struct disk *disk = (struct disk *)block;

    ck_assert_uint_lt(disk->count, 3);
    if (request->op != BLOCK_FLUSH) {
        ck_assert(request->offset % 512 == 0 && request->size % 512 == 0 && request->size);
        ck_assert_uint_le(request->offset + request->size, block->size);
        ck_assert(request->op == BLOCK_READ || !block->read_only);
    }
    disk->waiting[disk->count++] = request;
}

/* Completes what waits; says whether anything did. */
static bool disk_work(struct disk *disk)
{
    struct block_request *request = disk->waiting[0];
    int error = disk->error;

    if (!disk->count || disk->hold)
        return false;
    disk->error = 0;
    memmove(disk->waiting, disk->waiting + 1, sizeof(disk->waiting) - sizeof(disk->waiting[0]));
    disk->count--;
    if (request->op == BLOCK_FLUSH)
        disk->flushes++;
    else if (!error && request->op == BLOCK_READ)
        memcpy(request->data, disk->bytes + request->offset, request->size);
    else if (!error)
        memcpy(disk->bytes + request->offset, request->data, request->size);
    request->done(request, error);
    return true;
}

static const struct block_ops disk_ops = {.submit = disk_submit};

struct rig {
    struct board board;
    struct line irq6;
    struct dma *dma;
    struct fdc *fdc;
    struct disk disk[2];
    struct block_slot slot[2];
    uint8_t *memory;
};

/* Every sector begins with its number and is filled with a byte made from it. */
static void make_disk(struct disk *disk, uint32_t size)
{
    memset(disk, 0, sizeof(*disk));
    disk->block = (struct block){.ops = &disk_ops, .name = "test", .size = size};
    disk->bytes = malloc(size);
    for (uint32_t n = 0; n < size / 512; n++) {
        memset(disk->bytes + n * 512, n * 7 + 1, 512);
        memcpy(disk->bytes + n * 512, &n, 4);
    }
}

static void rig_init_sized(struct rig *rig, uint32_t size, enum fdc_drive_type type)
{
    struct fdc_wires wires;

    memset(rig, 0, sizeof(*rig));
    board_init(&rig->board);
    rig->irq6.board = &rig->board;
    rig->memory = aligned_alloc(4096, MEMORY);
    memset(rig->memory, 0xEE, MEMORY);
    ck_assert(bus_map_ram(rig->board.mem, "ram", 0, MEMORY, rig->memory) != NULL);
    rig->dma = dma_new(rig->board.ports, rig->board.mem, &rig->board.log);
    make_disk(&rig->disk[0], size);
    make_disk(&rig->disk[1], 720 * 1024);
    rig->slot[0].medium = &rig->disk[0].block;
    wires = (struct fdc_wires){.irq = line_irq(&rig->irq6),
                               .dma = rig->dma,
                               .drive = {&rig->slot[0], &rig->slot[1]},
                               .type = {type}};
    rig->fdc = fdc_new(rig->board.clock, rig->board.ports, &wires, &rig->board.log);
    ck_assert(rig->dma && rig->fdc);
}

static void rig_free(struct rig *rig)
{
    for (int n = 0; n < 2; n++) {
        rig->disk[n].hold = false;
        while (disk_work(&rig->disk[n]))
            ;
        free(rig->disk[n].bytes);
    }
    fdc_class.free(rig->fdc);
    dma_class.free(rig->dma);
    board_free(&rig->board);
    free(rig->memory);
}

static void run(struct rig *rig, uint64_t ns)
{
    uint64_t end = rig->board.now + ns;

    do {
        uint64_t next = clock_next(rig->board.clock);

        while (disk_work(&rig->disk[0]) || disk_work(&rig->disk[1]))
            ;
        next = clock_next(rig->board.clock);
        if (next > end)
            break;
        board_advance(&rig->board, next > rig->board.now ? next - rig->board.now : 0);
    } while (1);
    board_advance(&rig->board, end - rig->board.now);
}

/* As a driver does it: every byte when the controller asks for one. */
static void command(struct rig *rig, const char *bytes)
{
    unsigned value;
    int size;

    for (; sscanf(bytes, "%x%n", &value, &size) == 1; bytes += size) {
        ck_assert_uint_eq(in(&rig->board, MSR) & 0xC0, 0x80);
        out(&rig->board, FIFO, value);
    }
}

static const char *result(struct rig *rig)
{
    static _Thread_local char text[64];
    size_t at = 0;

    text[0] = 0;
    while ((in(&rig->board, MSR) & 0xD0) == 0xD0 && at + 4 < sizeof(text))
        at += sprintf(text + at, at ? " %02X" : "%02X", in(&rig->board, FIFO));
    return text;
}

/* A command with an interrupt at its end. */
static const char *execute(struct rig *rig, const char *bytes)
{
    unsigned rises = rig->irq6.rises;

    command(rig, bytes);
    ck_assert_uint_eq(rig->irq6.rises, rises); /* later */
    run(rig, 100 * MS);
    ck_assert_msg(rig->irq6.rises == rises + 1, "%u interrupts", rig->irq6.rises - rises);
    ck_assert(rig->irq6.level);
    return result(rig);
}

static const char *sense(struct rig *rig)
{
    command(rig, "08");
    return result(rig);
}

/* Channel 2: `size` bytes at BUFFER; mode 0x46 is single, to memory, 0x4A from memory. */
static void program_dma(struct rig *rig, uint8_t mode, unsigned size)
{
    struct board *board = &rig->board;

    out(board, 0x0A, 6);
    out(board, 0x0C, 0);
    out(board, 0x0B, mode);
    out(board, 0x04, BUFFER & 0xFF);
    out(board, 0x04, BUFFER >> 8 & 0xFF);
    out(board, 0x81, BUFFER >> 16);
    out(board, 0x05, (size - 1) & 0xFF);
    out(board, 0x05, (size - 1) >> 8);
    out(board, 0x0A, 2);
}

static void wake(struct rig *rig, uint8_t rate)
{
    out(&rig->board, 0xD6, 0xC0); /* the first DMA controller goes through the second's channel 0 */
    out(&rig->board, 0xD4, 0);
    out(&rig->board, DOR, 0x1C);
    run(rig, 10 * MS);
    ck_assert(rig->irq6.level);
    for (unsigned n = 0; n < 4; n++) {
        char expected[16];

        sprintf(expected, "C%u 00", n);
        ck_assert_str_eq(sense(rig), expected);
        ck_assert(!rig->irq6.level);
    }
    out(&rig->board, DIR, rate);
    command(rig, "03 DF 02");
    ck_assert_str_eq(execute(rig, "07 00"), "");
    ck_assert_str_eq(sense(rig), "20 00");
}

static void rig_init(struct rig *rig)
{
    rig_init_sized(rig, SIZE, FDC_NO_DRIVE);
    wake(rig, 0);
}

static uint32_t sector_at(const struct rig *rig, uint32_t offset)
{
    uint32_t number;

    memcpy(&number, rig->memory + BUFFER + offset, 4);
    return number;
}

START_TEST(reset_and_identity)
{
    struct rig rig;

    rig_init_sized(&rig, SIZE, FDC_NO_DRIVE);
    ck_assert_uint_eq(in(&rig.board, MSR), 0); /* held in reset */
    wake(&rig, 0);
    ck_assert_uint_eq(in(&rig.board, MSR), 0x80);
    command(&rig, "10");
    ck_assert_uint_eq(in(&rig.board, MSR), 0xD0);
    ck_assert_str_eq(result(&rig), "90");
    command(&rig, "18"); /* no PART ID in an 82077AA */
    ck_assert_str_eq(result(&rig), "80");
    ck_assert_str_eq(sense(&rig), "80"); /* nothing to tell */
    command(&rig, "13 00 57 11");
    command(&rig, "12 87"); /* GAP and WGATE don't outlive a reset, D0 does */
    command(&rig, "0E");
    ck_assert_str_eq(result(&rig), "00 00 00 00 DF 02 00 07 57 11");
    command(&rig, "94");
    ck_assert_str_eq(result(&rig), "10");
    out(&rig.board, MSR, 0x80); /* by DSR */
    ck_assert_uint_eq(in(&rig.board, MSR), 0);
    run(&rig, MS);
    ck_assert(rig.irq6.level);
    ck_assert_str_eq(sense(&rig), "C0 00");
    command(&rig, "0E"); /* LOCK keeps FIFO and precompensation, not polling and implied seeks */
    ck_assert_str_eq(result(&rig), "00 00 00 00 DF 02 00 84 07 11");
    command(&rig, "14");
    ck_assert_str_eq(result(&rig), "00");
    out(&rig.board, DOR, 0);
    out(&rig.board, DOR, 0x0C);
    run(&rig, MS);
    command(&rig, "0E");
    ck_assert_str_eq(result(&rig), "00 00 00 00 DF 02 00 04 20 00");
    ck_assert_uint_eq(fdc_cmos_types(rig.fdc), 0x44);
    rig_free(&rig);
}
END_TEST

START_TEST(seeks)
{
    struct rig rig;

    rig_init(&rig);
    command(&rig, "0F 00 05");
    ck_assert_uint_eq(in(&rig.board, MSR), 0x81); /* free for others meanwhile */
    ck_assert_str_eq(sense(&rig), "80");
    run(&rig, 10 * MS);
    ck_assert(rig.irq6.level);
    ck_assert_str_eq(sense(&rig), "20 05");
    ck_assert_uint_eq(in(&rig.board, MSR), 0x80);
    command(&rig, "04 04");
    ck_assert_str_eq(result(&rig), "2C");
    command(&rig, "CF 00 03"); /* three inwards */
    run(&rig, 10 * MS);
    ck_assert_str_eq(sense(&rig), "20 08");
    command(&rig, "8F 00 08");
    run(&rig, 10 * MS);
    ck_assert_str_eq(sense(&rig), "20 00");
    command(&rig, "04 00");
    ck_assert_str_eq(result(&rig), "38"); /* track 0 */
    command(&rig, "0F 00 02");            /* two drives at once; each has its interrupt */
    command(&rig, "0F 01 03");
    run(&rig, 10 * MS);
    ck_assert_str_eq(sense(&rig), "20 02");
    ck_assert(rig.irq6.level);
    ck_assert_str_eq(sense(&rig), "21 03");
    ck_assert(!rig.irq6.level);
    command(&rig, "04 01");
    ck_assert_str_eq(result(&rig), "69"); /* no disk in drive 1 */
    execute(&rig, "07 02");               /* no drive 2: track 0 never comes */
    ck_assert_str_eq(sense(&rig), "72 00");
    rig_free(&rig);
}
END_TEST

START_TEST(reads)
{
    struct rig rig;

    rig_init(&rig);
    program_dma(&rig, 0x46, 512);
    ck_assert_str_eq(execute(&rig, "E6 00 00 00 01 02 12 1B FF"), "00 00 00 00 00 02 02");
    ck_assert(!rig.irq6.level);
    ck_assert_int_eq(memcmp(rig.memory + BUFFER, rig.disk[0].bytes, 512), 0);
    ck_assert_uint_eq(rig.memory[BUFFER + 512], 0xEE);
    program_dma(&rig, 0x46, 36 * 512); /* a cylinder */
    ck_assert_str_eq(execute(&rig, "E6 00 00 00 01 02 12 1B FF"), "04 00 00 01 00 01 02");
    ck_assert_int_eq(memcmp(rig.memory + BUFFER, rig.disk[0].bytes, 36 * 512), 0);
    program_dma(&rig, 0x46, 18 * 512); /* one side of it, multi-track or not */
    ck_assert_str_eq(execute(&rig, "E6 00 00 00 01 02 12 1B FF"), "00 00 00 00 01 01 02");
    program_dma(&rig, 0x46, 18 * 512);
    ck_assert_str_eq(execute(&rig, "66 04 00 01 01 02 12 1B FF"), "04 00 00 01 01 01 02");
    ck_assert_uint_eq(sector_at(&rig, 0), 18);
    program_dma(&rig, 0x46, 4 * 512); /* nobody says TC */
    ck_assert_str_eq(execute(&rig, "66 00 00 00 11 02 12 1B FF"), "40 80 00 01 00 01 02");
    ck_assert_uint_eq(sector_at(&rig, 512), 17);
    program_dma(&rig, 0x46, 700); /* TC inside a sector */
    ck_assert_str_eq(execute(&rig, "66 00 00 00 03 02 12 1B FF"), "00 00 00 00 00 05 02");
    ck_assert_uint_eq(sector_at(&rig, 512), 3);
    command(&rig, "13 00 60 00"); /* implied seeks */
    program_dma(&rig, 0x46, 512);
    ck_assert_str_eq(execute(&rig, "66 04 4F 01 12 02 12 1B FF"), "24 00 00 50 01 01 02");
    ck_assert_uint_eq(sector_at(&rig, 0), 2879);
    rig_free(&rig);
}
END_TEST

START_TEST(writes)
{
    struct rig rig;

    rig_init(&rig);
    memset(rig.memory + BUFFER, 0x5A, 1024);
    program_dma(&rig, 0x4A, 1024);
    ck_assert_str_eq(execute(&rig, "C5 00 00 00 12 02 12 1B FF"), "04 00 00 00 01 02 02");
    ck_assert_uint_eq(rig.disk[0].bytes[17 * 512], 0x5A);
    ck_assert_uint_eq(rig.disk[0].bytes[18 * 512 + 511], 0x5A);
    ck_assert_uint_ne(rig.disk[0].bytes[19 * 512 + 4], 0x5A);
    program_dma(&rig, 0x4A, 100); /* the rest of the sector is zeros */
    ck_assert_str_eq(execute(&rig, "45 00 00 00 02 02 12 1B FF"), "00 00 00 00 00 03 02");
    ck_assert_uint_eq(rig.disk[0].bytes[512 + 99], 0x5A);
    ck_assert_uint_eq(rig.disk[0].bytes[512 + 100], 0);
    ck_assert_uint_eq(rig.disk[0].bytes[512 + 511], 0);
    ck_assert_uint_eq(rig.disk[0].flushes, 0);
    out(&rig.board, DOR, 0x0C); /* the motor stops: what was written is to last */
    run(&rig, MS);
    ck_assert_uint_eq(rig.disk[0].flushes, 1);
    out(&rig.board, DOR, 0x1C);
    out(&rig.board, DOR, 0x0C);
    run(&rig, MS);
    ck_assert_uint_eq(rig.disk[0].flushes, 1);
    out(&rig.board, DOR, 0x1C);
    rig.disk[0].block.read_only = true;
    program_dma(&rig, 0x4A, 512);
    ck_assert_str_eq(execute(&rig, "45 00 00 00 02 02 12 1B FF"), "40 02 00 00 00 02 02");
    command(&rig, "04 00");
    ck_assert_str_eq(result(&rig), "78");
    rig_free(&rig);
}
END_TEST

START_TEST(what_is_not_found)
{
    struct rig rig;

    rig_init(&rig);
    program_dma(&rig, 0x46, 512);
    ck_assert_str_eq(execute(&rig, "66 00 00 00 13 02 12 1B FF"), "40 04 00 00 00 13 02"); /* sector 19 */
    ck_assert_str_eq(execute(&rig, "66 00 00 00 00 02 12 1B FF"), "40 04 00 00 00 00 02");
    ck_assert_str_eq(execute(&rig, "66 00 00 00 01 03 12 1B FF"), "40 04 00 00 00 01 03"); /* 1024 bytes */
    ck_assert_str_eq(execute(&rig, "66 00 00 01 01 02 12 1B FF"), "40 04 00 00 01 01 02"); /* other head's */
    ck_assert_str_eq(execute(&rig, "66 00 07 00 01 02 12 1B FF"),
                     "40 04 10 07 00 01 02"); /* other cylinder */
    ck_assert_str_eq(execute(&rig, "66 00 FF 00 01 02 12 1B FF"), "40 04 02 FF 00 01 02");
    ck_assert_str_eq(execute(&rig, "26 00 00 00 01 02 12 1B FF"), "40 01 00 00 00 01 02"); /* FM */
    ck_assert_str_eq(execute(&rig, "66 01 00 00 01 02 12 1B FF"), "41 01 00 00 00 01 02"); /* no disk */
    ck_assert_str_eq(execute(&rig, "66 03 00 00 01 02 12 1B FF"), "43 01 00 00 00 01 02"); /* no drive */
    out(&rig.board, DIR, 2);                                                               /* 250 kb/s */
    ck_assert_str_eq(execute(&rig, "66 00 00 00 01 02 12 1B FF"), "40 01 00 00 00 01 02");
    ck_assert_int_eq(strncmp(execute(&rig, "4A 00"), "40 01 00", 8), 0);
    out(&rig.board, MSR, 0); /* DSR has the rate as well */
    ck_assert_int_eq(strncmp(execute(&rig, "4A 04"), "04 00 00 00 01 ", 15), 0);
    out(&rig.board, DOR, 0x0C); /* nothing turns */
    ck_assert_int_eq(strncmp(execute(&rig, "4A 00"), "40 01 00", 8), 0);
    out(&rig.board, DOR, 0x1C);
    rig.disk[0].error = EIO;
    ck_assert_str_eq(execute(&rig, "66 00 00 00 01 02 12 1B FF"), "40 20 20 00 00 01 02");
    ck_assert_str_eq(execute(&rig, "66 00 00 00 01 02 12 1B FF"), "00 00 00 00 00 02 02");
    rig_free(&rig);
}
END_TEST

START_TEST(other_data_commands)
{
    struct rig rig;

    rig_init(&rig);
    program_dma(&rig, 0x46, 3 * 512); /* from the index hole, whatever R says; and says that R was wrong */
    ck_assert_int_eq(strncmp(execute(&rig, "42 00 00 00 05 02 03 1B FF"), "00 04", 5), 0);
    ck_assert_uint_eq(sector_at(&rig, 1024), 2);
    program_dma(&rig, 0x46, 10 * 512);
    ck_assert_int_eq(strncmp(execute(&rig, "42 00 00 00 01 02 03 1B FF"), "00 00 00", 8), 0);
    ck_assert_str_eq(execute(&rig, "56 00 00 00 01 02 12 1B FF"),
                     "00 00 00 01 00 01 02"); /* VERIFY a side, */
    ck_assert_str_eq(execute(&rig, "56 80 00 00 01 02 12 1B 05"), "00 00 00 00 00 06 02"); /* five sectors */
    rig.disk[0].error = EIO;
    ck_assert_str_eq(execute(&rig, "56 00 00 00 01 02 12 1B FF"), "40 20 20 00 00 01 02");
    program_dma(&rig, 0x46, 1024); /* READ DELETED DATA of normal data: one, with the mark noted */
    ck_assert_str_eq(execute(&rig, "4C 00 00 00 04 02 12 1B FF"), "00 00 40 00 00 04 02");
    ck_assert_uint_eq(sector_at(&rig, 0), 3);
    ck_assert_str_eq(execute(&rig, "6C 00 00 00 04 02 12 1B FF"), "40 80 40 01 00 01 02"); /* none to find */
    rig_free(&rig);
}
END_TEST

START_TEST(format)
{
    struct rig rig;

    rig_init(&rig);
    execute(&rig, "0F 00 02");
    sense(&rig);
    for (unsigned i = 0; i < 18; i++) {
        const uint8_t id[4] = {2, 1, i + 1, 2};

        memcpy(rig.memory + BUFFER + i * 4, id, 4);
    }
    program_dma(&rig, 0x4A, 72);
    ck_assert_int_eq(strncmp(execute(&rig, "4D 04 02 12 50 F6"), "04 00 00", 8), 0);
    for (unsigned i = 0; i < 18 * 512; i++)
        ck_assert_uint_eq(rig.disk[0].bytes[(2 * 36 + 18) * 512 + i], 0xF6);
    ck_assert_uint_ne(rig.disk[0].bytes[(2 * 36 + 36) * 512], 0xF6);
    ck_assert_uint_ne(rig.disk[0].bytes[(2 * 36 + 17) * 512 + 5], 0xF6);
    rig.memory[BUFFER] = 3; /* another cylinder's ID can't be kept */
    program_dma(&rig, 0x4A, 72);
    ck_assert_int_eq(strncmp(execute(&rig, "4D 04 02 12 50 00"), "44 04 00", 8), 0);
    rig.disk[0].block.read_only = true;
    ck_assert_int_eq(strncmp(execute(&rig, "4D 04 02 12 50 00"), "44 02 00", 8), 0);
    rig_free(&rig);
}
END_TEST

START_TEST(without_dma)
{
    struct rig rig;

    rig_init(&rig);
    command(&rig, "03 DF 03");
    command(&rig, "66 00 00 00 12 02 12 1B FF");
    ck_assert_uint_eq(in(&rig.board, MSR), 0x10);
    run(&rig, 10 * MS);
    for (unsigned i = 0; i < 512; i++) {
        ck_assert(rig.irq6.level);
        ck_assert_uint_eq(in(&rig.board, MSR), 0xF0);
        ck_assert_uint_eq(in(&rig.board, FIFO), rig.disk[0].bytes[17 * 512 + i]);
    }
    ck_assert(rig.irq6.level); /* nobody can say TC, so the end of the track ends it */
    ck_assert_str_eq(result(&rig), "40 80 00 01 00 01 02");
    ck_assert(!rig.irq6.level);
    command(&rig, "45 00 00 00 01 02 01 1B FF");
    run(&rig, 10 * MS);
    for (unsigned i = 0; i < 512; i++) {
        ck_assert_uint_eq(in(&rig.board, MSR), 0xB0);
        out(&rig.board, FIFO, i);
    }
    run(&rig, 10 * MS);
    ck_assert_str_eq(result(&rig), "40 80 00 01 00 01 02");
    ck_assert_uint_eq(rig.disk[0].bytes[511], 0xFF);
    rig_free(&rig);
}
END_TEST

START_TEST(slow_dma)
{
    struct rig rig;

    rig_init(&rig);
    program_dma(&rig, 0x46, 512);
    out(&rig.board, 0x0A, 6); /* masked */
    command(&rig, "66 00 00 00 01 02 12 1B FF");
    run(&rig, 100 * MS);
    ck_assert(!rig.irq6.level);
    out(&rig.board, 0x0A, 2); /* in time */
    run(&rig, MS);
    ck_assert_str_eq(result(&rig), "00 00 00 00 00 02 02");
    out(&rig.board, 0x0A, 6);
    command(&rig, "66 00 00 00 01 02 12 1B FF");
    run(&rig, 300 * MS);
    ck_assert_str_eq(result(&rig), "40 10 00 00 00 01 02"); /* overrun */
    out(&rig.board, DOR, 0x14);                             /* the gate holds the interrupt back */
    ck_assert_uint_eq(in(&rig.board, DOR), 0x14);
    command(&rig, "0F 00 01");
    run(&rig, MS);
    ck_assert(!rig.irq6.level);
    out(&rig.board, DOR, 0x1C);
    ck_assert(rig.irq6.level);
    rig_free(&rig);
}
END_TEST

START_TEST(disk_change)
{
    struct rig rig;

    rig_init(&rig);
    ck_assert_uint_eq(in(&rig.board, DIR), 0x80); /* at first */
    execute(&rig, "0F 00 01");
    sense(&rig);
    ck_assert_uint_eq(in(&rig.board, DIR), 0);
    execute(&rig, "0F 00 01"); /* no step */
    sense(&rig);
    rig.slot[0].medium = NULL;
    rig.slot[0].changed(rig.slot[0].opaque);
    ck_assert_uint_eq(in(&rig.board, DIR), 0x80);
    execute(&rig, "0F 00 02"); /* without a disk it stays */
    sense(&rig);
    ck_assert_uint_eq(in(&rig.board, DIR), 0x80);
    ck_assert_int_eq(strncmp(execute(&rig, "4A 00"), "40 01 00", 8), 0);
    rig.slot[0].medium = &rig.disk[1].block; /* 720K */
    rig.slot[0].changed(rig.slot[0].opaque);
    ck_assert_uint_eq(in(&rig.board, DIR), 0x80);
    out(&rig.board, DOR, 0x0C);
    ck_assert_uint_eq(in(&rig.board, DIR), 0); /* not selected */
    out(&rig.board, DOR, 0x1C);
    execute(&rig, "0F 00 03");
    sense(&rig);
    ck_assert_uint_eq(in(&rig.board, DIR), 0);
    out(&rig.board, DIR, 2);
    program_dma(&rig, 0x46, 512);
    ck_assert_str_eq(execute(&rig, "66 00 03 00 09 02 09 1B FF"), "00 00 00 04 00 01 02");
    ck_assert_uint_eq(sector_at(&rig, 0), 3 * 18 + 8);
    rig_free(&rig);
}
END_TEST

/* Size, drive, rate, where the last sector is, and the drive's number in CMOS. */
static const struct {
    uint32_t sectors;
    enum fdc_drive_type type;
    uint8_t rate, cylinder, head, sector, cmos;
} media[] = {
    {320, FDC_NO_DRIVE, 2, 39, 0, 8, 1},   {360, FDC_NO_DRIVE, 2, 39, 0, 9, 1},
    {640, FDC_NO_DRIVE, 2, 39, 1, 8, 1},   {720, FDC_NO_DRIVE, 2, 39, 1, 9, 1},
    {720, FDC_1200K, 1, 39, 1, 9, 2},      {1440, FDC_NO_DRIVE, 2, 79, 1, 9, 4},
    {2400, FDC_NO_DRIVE, 0, 79, 1, 15, 2}, {2880, FDC_NO_DRIVE, 0, 79, 1, 18, 4},
    {3360, FDC_NO_DRIVE, 0, 79, 1, 21, 4}, {5760, FDC_NO_DRIVE, 3, 79, 1, 36, 5},
};

START_TEST(media_sizes)
{
    struct rig rig;
    char line[64];
    unsigned track = media[_i].cylinder;

    rig_init_sized(&rig, media[_i].sectors * 512, media[_i].type);
    wake(&rig, media[_i].rate);
    ck_assert_uint_eq(fdc_cmos_types(rig.fdc) >> 4, media[_i].cmos);
    sprintf(line, "0F 00 %02X", media[_i].type == FDC_1200K ? 2 * track : track);
    execute(&rig, line);
    sense(&rig);
    program_dma(&rig, 0x46, 512);
    sprintf(line, "66 %02X %02X %02X %02X 02 %02X 1B FF", media[_i].head << 2, track, media[_i].head,
            media[_i].sector, media[_i].sector);
    ck_assert_int_eq(strncmp(execute(&rig, line), media[_i].head ? "04 00 00" : "00 00 00", 8), 0);
    ck_assert_uint_eq(sector_at(&rig, 0), media[_i].sectors - 1);
    sprintf(line, "66 %02X %02X %02X %02X 02 %02X 1B FF", media[_i].head << 2, track, media[_i].head,
            media[_i].sector + 1, media[_i].sector + 1);
    ck_assert_int_eq(strncmp(execute(&rig, line) + 3, "04 00", 5), 0);
    out(&rig.board, DIR, media[_i].rate ^ 1);
    ck_assert_int_eq(strncmp(execute(&rig, "4A 00"), "40 01 00", 8), 0);
    rig_free(&rig);
}
END_TEST

START_TEST(short_image)
{
    struct rig rig;

    rig_init_sized(&rig, 512, FDC_NO_DRIVE); /* a boot sector alone */
    wake(&rig, 0);
    program_dma(&rig, 0x46, 1024);
    ck_assert_str_eq(execute(&rig, "66 00 00 00 01 02 12 1B FF"), "00 00 00 00 00 03 02");
    ck_assert_uint_eq(rig.memory[BUFFER + 4], 1);
    ck_assert_uint_eq(rig.memory[BUFFER + 512], 0);
    program_dma(&rig, 0x4A, 512);
    ck_assert_str_eq(execute(&rig, "45 00 00 00 02 02 12 1B FF"), "40 04 00 00 00 02 02");
    rig_free(&rig);
}
END_TEST

/* A reset can't take back what the image is doing, and must not be confused by its end. */
START_TEST(reset_in_the_middle)
{
    struct rig rig;

    rig_init(&rig);
    program_dma(&rig, 0x46, 512);
    command(&rig, "66 00 00 00 01 02 12 1B FF");
    rig.disk[0].hold = true;
    run(&rig, 10 * MS);
    ck_assert_uint_eq(rig.disk[0].count, 1);
    out(&rig.board, DOR, 0x18);
    out(&rig.board, DOR, 0x1C);
    run(&rig, 10 * MS);
    for (int n = 0; n < 4; n++)
        sense(&rig);
    command(&rig, "66 00 00 00 02 02 12 1B FF");
    run(&rig, 10 * MS);
    ck_assert_uint_eq(rig.disk[0].count, 1);
    ck_assert(!rig.irq6.level);
    rig.disk[0].hold = false;
    run(&rig, 10 * MS);
    ck_assert_str_eq(result(&rig), "00 00 00 00 00 03 02");
    ck_assert_uint_eq(sector_at(&rig, 0), 1);
    rig_free(&rig);
}
END_TEST

START_TEST(snapshot_in_the_middle)
{
    struct rig rig, other;

    rig_init(&rig);
    rig_init(&other);
    program_dma(&rig, 0x46, 1024);
    program_dma(&other, 0x46, 1024);
    command(&rig, "66 00 00 00 01 02 12 1B FF");
    rig.disk[0].hold = true;
    run(&rig, 10 * MS);
    ck_assert_uint_eq(rig.disk[0].count, 1);
    other.board.now = rig.board.now;
    board_copy_state(&fdc_class, rig.fdc, other.fdc);
    run(&other, 10 * MS);
    ck_assert(other.irq6.level);
    ck_assert_str_eq(result(&other), "00 00 00 00 00 03 02");
    ck_assert_int_eq(memcmp(other.memory + BUFFER, other.disk[0].bytes, 1024), 0);
    rig_free(&rig);
    rig_free(&other);
}
END_TEST

static void swap_media(struct rig *rig, uint32_t a)
{
    struct block_slot *slot = &rig->slot[a & 1];
    struct disk *disk = &rig->disk[a & 1];

    while (disk_work(disk))
        ;
    slot->medium = slot->medium ? NULL : &disk->block;
    disk->block.read_only = a & 2;
    slot->changed(slot->opaque);
}

/* A start of a command in which most bytes make sense. */
static void random_command(struct rig *rig)
{
    static const uint8_t codes[] = {0xE6, 0x46, 0xC5, 0x42, 0x4D, 0x4A, 0x56, 0xCC, 0x6C, 0x07,
                                    0x08, 0x0F, 0x8F, 0x03, 0x13, 0x12, 0x0E, 0x94, 0x04, 0x09};
    uint32_t a = board_random(&rig->board);

    if (a & 0x1000)
        program_dma(rig, a & 0x2000 ? 0x46 : 0x4A, (a >> 14) % 4096 + 1);
    out(&rig->board, FIFO, codes[a % sizeof(codes)]);
    out(&rig->board, FIFO, a >> 8 & 5);
    for (unsigned i = 0; i < (a >> 24 & 7); i++)
        out(&rig->board, FIFO, board_random(&rig->board) % (i == 3 ? 3 : 6));
}

static void random_step(struct rig *rig)
{
    uint32_t a = board_random(&rig->board);

    switch (a & 15) {
    case 0 ... 3:
        random_command(rig);
        break;
    case 4 ... 6:
        for (unsigned i = 0; i < (a >> 8 & 1023); i++)
            in(&rig->board, FIFO);
        break;
    case 7:
        for (unsigned i = 0; i < (a >> 8 & 1023); i++)
            out(&rig->board, FIFO, a >> 16);
        break;
    case 8:
        out(&rig->board, DOR, a & 0x700 ? 0x3C | (a >> 12 & 1) : a >> 16);
        break;
    case 9:
        out(&rig->board, DIR, a & 0x700 ? 0 : a >> 12);
        break;
    case 10:
        out(&rig->board, 0x3F2 + (a >> 8) % 4, a >> 16);
        break;
    case 11:
        in(&rig->board, 0x3F2 + (a >> 8) % 6);
        break;
    case 12:
        if (!(a & 0xF00))
            swap_media(rig, a >> 12);
        rig->disk[0].error = a & 0x80 ? 0 : EIO;
        rig->disk[0].hold = a & 0x1000;
        break;
    default:
        out(&rig->board, DOR, 0x3C);
        run(rig, board_random(&rig->board) % (a & 0x10 ? 30 * MS : MS));
    }
}

START_TEST(random_use)
{
    struct rig rig, other;

    rig_init(&rig);
    for (unsigned i = 0; i < 20000; i++) {
        random_step(&rig);
        if (i % 2000)
            continue;
        rig_init(&other);
        other.slot[0].medium = rig.slot[0].medium ? &other.disk[0].block : NULL;
        other.slot[1].medium = rig.slot[1].medium ? &other.disk[1].block : NULL;
        other.disk[0].block.read_only = other.disk[1].block.read_only = false;
        other.board.now = rig.board.now;
        board_copy_state(&fdc_class, rig.fdc, other.fdc);
        for (unsigned k = 0; k < 100; k++)
            random_step(&other);
        rig_free(&other);
    }
    rig_free(&rig);
}
END_TEST

/* A state file's nonsense. */
START_TEST(random_state)
{
    struct rig rig;

    rig_init(&rig);
    for (unsigned i = 0; i < 300; i++) {
        struct state_buf buf = {0};
        char why[128];

        ck_assert(fields_save(fdc_class.state, rig.fdc, &buf));
        for (unsigned k = 0; k < 40; k++) {
            uint8_t *at = buf.data + board_random(&rig.board) % buf.size, old = *at;

            *at = board_random(&rig.board);
            if (!fields_load(fdc_class.state, rig.fdc, buf.data, buf.size, why, sizeof(why)))
                *at = old;
        }
        ck_assert_uint_eq(fields_load(fdc_class.state, rig.fdc, buf.data, buf.size, why, sizeof(why)),
                          buf.size);
        fdc_class.loaded(rig.fdc);
        free(buf.data);
        for (unsigned k = 0; k < 30; k++)
            random_step(&rig);
        rig.disk[0].hold = false;
        run(&rig, 30 * MS);
        fdc_class.reset(rig.fdc);
    }
    rig_free(&rig);
}
END_TEST

Suite *fdc_suite(void)
{
    Suite *suite = suite_create("fdc");
    TCase *tcase = tcase_create("fdc");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, reset_and_identity);
    tcase_add_test(tcase, seeks);
    tcase_add_test(tcase, reads);
    tcase_add_test(tcase, writes);
    tcase_add_test(tcase, what_is_not_found);
    tcase_add_test(tcase, other_data_commands);
    tcase_add_test(tcase, format);
    tcase_add_test(tcase, without_dma);
    tcase_add_test(tcase, slow_dma);
    tcase_add_test(tcase, disk_change);
    tcase_add_loop_test(tcase, media_sizes, 0, sizeof(media) / sizeof(media[0]));
    tcase_add_test(tcase, short_image);
    tcase_add_test(tcase, reset_in_the_middle);
    tcase_add_test(tcase, snapshot_in_the_middle);
    tcase_add_test(tcase, random_use);
    tcase_add_test(tcase, random_state);
    suite_add_tcase(suite, tcase);
    return suite;
}
