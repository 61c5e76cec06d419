/*
 * foreign_images.c - images of other programs' formats with anything in their headers and tables: each case
 * is an image that is right, with some of its bytes changed (and its checksums mended, most of the time, so
 * that what they protect is looked at). It is opened, and if that works, read all over. What must hold: an
 * error is a line that names the file, and a read ends; all else is up to the sanitizers.
 *
 *     foreign_images                   CASES images from seed 1, as TAP
 *     foreign_images --seconds 600 --seed 7
 *     foreign_images --case 7:1234     one of them again, shown
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "host/image.h"
#include "host/image_file.h"
#include "tests/oracle/random.h"

#define CASES 20000u
#define KIB   1024u
#define MIB   (1024u * 1024)
#define READS 40u

static bool show;

static _Noreturn void broken(const char *what)
{
    fprintf(stderr, "foreign_images: %s\n", what);
    abort();
}

static void little(uint8_t *at, uint64_t value, unsigned size)
{
    while (size--) {
        *at++ = (uint8_t)value;
        value >>= 8;
    }
}

static void big(uint8_t *at, uint64_t value, unsigned size)
{
    while (size--) {
        at[size] = (uint8_t)value;
        value >>= 8;
    }
}

/* --- Images that are right, as small as can be. Where changes are of interest: up to `tables`. */

struct seed {
    const struct image_format *format;
    size_t size, tables;
    void (*make)(uint8_t *data);
    void (*mend)(uint8_t *data);
};

#define VDI_SIZE (KIB + 3 * 4096)

static void make_vdi(uint8_t *data)
{
    memcpy(data + 0x40, "\x7f\x10\xda\xbe\x01\x00\x01\x00\x90\x01\x00\x00\x01", 13);
    little(data + 0x154, 512, 4);
    little(data + 0x158, KIB, 4);
    little(data + 0x168, 512, 4);
    little(data + 0x170, 8 * 4096 - 512, 8);
    little(data + 0x178, 4096, 4);
    little(data + 0x180, 8, 4);
    little(data + 0x184, 3, 4);
    for (unsigned n = 0; n < 8; n++)
        little(data + 512 + 4 * n, n % 3 ? 0xFFFFFFFF - n % 2 : n / 3, 4);
}

static void sum_vhd(uint8_t *data, size_t size, unsigned at)
{
    uint32_t sum = 0;

    big(data + at, 0, 4);
    for (size_t n = 0; n < size; n++)
        sum += data[n];
    big(data + at, ~sum, 4);
}

#define VHD_SIZE (2048 + 2 * (512 + 4096) + 512)

static void mend_vhd(uint8_t *data)
{
    sum_vhd(data, 512, 64);
    sum_vhd(data + 512, 1024, 36);
    sum_vhd(data + VHD_SIZE - 512, 512, 64);
}

static void make_vhd(uint8_t *data)
{
    memcpy(data, "conectix", 8);
    big(data + 12, 0x00010000, 4);
    big(data + 16, 512, 8);
    big(data + 40, 5 * 4096, 8);
    big(data + 48, 5 * 4096, 8);
    big(data + 60, 3, 4);
    memcpy(data + 512, "cxsparse", 8);
    big(data + 512 + 8, UINT64_MAX, 8);
    big(data + 512 + 16, 1536, 8);
    big(data + 512 + 24, 0x00010000, 4);
    big(data + 512 + 28, 5, 4);
    big(data + 512 + 32, 4096, 4);
    for (unsigned n = 0; n < 5; n++)
        big(data + 1536 + 4 * n, n < 2 ? 4 + 9 * n : UINT32_MAX, 4);
    memset(data + 2048, 0xA5, 512);
    memset(data + 2048 + 512 + 4096, 0xFF, 512);
    memcpy(data + VHD_SIZE - 512, data, 512);
    mend_vhd(data);
}

#define VMDK_SIZE (16 * KIB)

static void make_vmdk(uint8_t *data)
{
    static const char text[] =
        "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType=\"monolithicSparse\"\n"
        "RW 40 SPARSE \"x\"\n";

    memcpy(data, "KDMV\x01\0\0\0\x03", 9);
    little(data + 12, 40, 8);
    little(data + 20, 8, 8);
    little(data + 28, 1, 8);
    little(data + 36, 1, 8);
    little(data + 44, 512, 4);
    little(data + 56, 2, 8);
    little(data + 64, 8, 8);
    memcpy(data + 73, "\n \r\n", 4);
    memcpy(data + 512, text, sizeof(text));
    little(data + 1024, 3, 4);
    for (unsigned n = 0; n < 5; n++)
        little(data + 1536 + 4 * n, n % 2 ? 0 : 8 + 8 * (n / 2), 4);
}

/* Its directory is found through the header at the end, its grains are compressed. */
static void make_packed_vmdk(uint8_t *data)
{
    uint8_t grain[4096];
    uLongf size = 1024;

    make_vmdk(data);
    little(data + 4, 3, 4);
    little(data + 8, 0x30001, 4);
    little(data + 77, 1, 2);
    memcpy(data + VMDK_SIZE - 1024, data, 512);
    little(data + 56, UINT64_MAX, 8);
    for (unsigned n = 0; n < 5; n++)
        little(data + 1536 + 4 * n, n % 2 ? 0 : 8 + 4 * (n / 2), 4);
    memset(grain, 'g', sizeof(grain));
    for (unsigned n = 0; n < 3; n++) {
        uint8_t *at = data + (8 + 4 * n) * 512;

        size = 1024;
        compress(at + 12, &size, grain, sizeof(grain));
        little(at, 16 * n, 8);
        little(at + 8, size, 4);
    }
}

static void make_vmdk_text(uint8_t *data)
{
    static const char text[] =
        "# Disk DescriptorFile\nversion=1\nparentCID=ffffffff\ncreateType=\"custom\"\n"
        "RW 40 ZERO\nRW 10 FLAT \"none-flat.vmdk\" 0\nRW 5 SPARSE \"none-s001.vmdk\"\n";

    memcpy(data, text, sizeof(text) - 1);
}

#define VHDX_SIZE (5 * MIB)

static void sum_vhdx(uint8_t *data, size_t size)
{
    uint32_t crc = UINT32_MAX;

    little(data + 4, 0, 4);
    for (size_t n = 0; n < size; n++) {
        crc ^= data[n];
        for (unsigned bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
    }
    little(data + 4, ~crc, 4);
}

static void mend_vhdx(uint8_t *data)
{
    sum_vhdx(data + 64 * KIB, 4 * KIB);
    sum_vhdx(data + 192 * KIB, 64 * KIB);
}

static void put_region(uint8_t *at, const char *guid, uint64_t where, uint32_t size)
{
    memcpy(at, guid, 16);
    little(at + 16, where, 8);
    little(at + 24, size, 4);
    little(at + 28, 1, 4);
}

static void put_item(uint8_t *region, unsigned n, const char *guid, uint64_t value, unsigned size)
{
    uint8_t *at = region + 32 + 32 * n;

    memcpy(at, guid, 16);
    little(at + 16, 64 * KIB + 16 * n, 4);
    little(at + 20, size, 4);
    little(at + 24, 4, 4);
    little(region + 64 * KIB + 16 * n, value, size);
}

static void make_vhdx(uint8_t *data)
{
    uint8_t *metadata = data + 2 * MIB;

    memcpy(data, "vhdxfile", 8);
    memcpy(data + 64 * KIB, "head", 4);
    little(data + 64 * KIB + 8, 1, 8);
    little(data + 64 * KIB + 66, 1, 2);
    memcpy(data + 192 * KIB, "regi", 4);
    little(data + 192 * KIB + 8, 2, 4);
    put_region(data + 192 * KIB + 16, "\x66\x77\xC2\x2D\x23\xF6\x00\x42\x9D\x64\x11\x5E\x9B\xFD\x4A\x08", MIB,
               MIB);
    put_region(data + 192 * KIB + 48, "\x06\xA2\x7C\x8B\x90\x47\x9A\x4B\xB8\xFE\x57\x5F\x05\x0F\x88\x6E",
               2 * MIB, MIB);
    memcpy(metadata, "metadata", 8);
    little(metadata + 10, 4, 2);
    put_item(metadata, 0, "\x37\x67\xA1\xCA\x36\xFA\x43\x4D\xB3\xB6\x33\xF0\xAA\x44\xE7\x6B", MIB, 8);
    put_item(metadata, 1, "\x24\x42\xA5\x2F\x1B\xCD\x76\x48\xB2\x11\x5D\xBE\xD8\x3B\xF4\xB8", 4 * MIB, 8);
    put_item(metadata, 2, "\x1D\xBF\x41\x81\x6F\xA9\x09\x47\xBA\x47\xF2\x33\xA8\xFA\xAB\x5F", 512, 4);
    put_item(metadata, 3, "\xC7\x48\xA3\xCD\x5D\x44\x71\x44\x9C\xC9\xE9\x88\x52\x51\xC5\x56", 512, 4);
    little(data + MIB, 3 * MIB | 6, 8);
    little(data + MIB + 16, 4 * MIB | 6, 8);
    mend_vhdx(data);
}

static const struct seed seeds[] = {
    {&image_vdi_format, VDI_SIZE, 512 + 32, make_vdi, NULL},
    {&image_vhd_format, VHD_SIZE, 2048 + 512, make_vhd, mend_vhd},
    {&image_vmdk_format, VMDK_SIZE, 1536 + 24, make_vmdk, NULL},
    {&image_vmdk_format, VMDK_SIZE, VMDK_SIZE, make_packed_vmdk, NULL},
    {&image_vmdk_format, 512, 200, make_vmdk_text, NULL},
    {&image_vhdx_format, VHDX_SIZE, 0, make_vhdx, mend_vhdx},
};

enum { SEEDS = sizeof(seeds) / sizeof(*seeds) };

/* --- A case. */

/* Somewhere in what describes a VHDX image, which lies far apart. */
static size_t vhdx_place(struct random *r)
{
    static const struct {
        size_t at, size;
    } parts[] = {
        {64 * KIB, 80}, {192 * KIB, 80}, {MIB, 40}, {2 * MIB, 32 + 5 * 32}, {2 * MIB + 64 * KIB, 64}};
    unsigned n = below(r, 5);

    return parts[n].at + below(r, (unsigned)parts[n].size);
}

static void change(struct random *r, const struct seed *seed, uint8_t *data)
{
    static const uint64_t numbers[] = {0,          1,          2,          3,          0x7F,       0xFF,
                                       0x100,      0xFFF,      0x1000,     0xFFFF,     0x80000000, UINT32_MAX,
                                       0xFFFFFFFE, 1ull << 32, 1ull << 63, UINT64_MAX, INT64_MAX};

    for (unsigned changes = 1 + below(r, 4); changes; changes--) {
        size_t at = seed->tables ? below(r, (unsigned)seed->tables) : vhdx_place(r);
        unsigned size = 1u << below(r, 4);
        uint64_t number = numbers[below(r, sizeof(numbers) / sizeof(*numbers))];

        if (at + 8 > seed->size)
            continue;
        if (one_in(r, 3))
            data[at] ^= (uint8_t)(1u << below(r, 8));
        else if (one_in(r, 2))
            little(data + (at & ~(size_t)(size - 1)), number, size);
        else
            big(data + (at & ~(size_t)(size - 1)), number, size);
    }
}

static void read_all_over(struct random *r, struct image *image)
{
    uint8_t *data = malloc(64 * KIB);

    if (!image->size || image->size % IMAGE_SECTOR)
        broken("an image of an impossible size");
    for (unsigned n = 0; n < READS && data; n++) {
        uint64_t sectors = image->size / IMAGE_SECTOR, first = random64(r) % sectors, length;
        uint64_t count = 1 + below(r, 128);
        bool is_data;

        if (count > sectors - first)
            count = sectors - first;
        (void)image_read_at(image, first * IMAGE_SECTOR, data, count * IMAGE_SECTOR);
        if (one_in(r, 4) && sectors < 1u << 20 &&
            !image_extent(image, first * IMAGE_SECTOR, true, &length, &is_data) &&
            (!length || length > image->size - first * IMAGE_SECTOR))
            broken("an extent of impossible length");
    }
    free(data);
}

static void run_one(uint64_t number, uint64_t of_seed)
{
    struct random r = {of_seed * 0xd1342543de82ef95ull + number * 0x2545f4914f6cdd1dull};
    const struct seed *seed;
    struct image_file file;
    char path[64], why[300] = "";
    struct image *image = NULL;
    uint8_t *data;
    int fd;

    (void)random64(&r);
    seed = &seeds[number < SEEDS ? number : one_in(&r, 20) ? SEEDS - 1 : below(&r, SEEDS - 1)];
    data = calloc(1, seed->size);
    fd = memfd_create("image", MFD_CLOEXEC);
    if (!data || fd < 0)
        broken("out of memory");
    seed->make(data);
    if (number >= SEEDS) /* the first ones are as they should be */
        change(&r, seed, data);
    if (seed->mend && !one_in(&r, 5))
        seed->mend(data);
    if (write(fd, data, seed->size) != (ssize_t)seed->size)
        broken("no place for the image");
    free(data);
    if (number >= SEEDS && one_in(&r, 8) && ftruncate(fd, (off_t)below(&r, (unsigned)seed->size)) < 0)
        broken("the image can't be cut short");
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (!image_file_open(&file, path, false, NULL, why, sizeof(why)))
        broken(why);
    const struct image_options options = {.path = path, .read_only = true};
    image = seed->format->open(&options, &file, why, sizeof(why));
    if (!image && number < SEEDS && seed->make != make_vmdk_text) /* whose extents aren't there */
        broken(why);
    if (show)
        printf("%s: %s\n", seed->format->name, image ? "opened" : why);
    if (image) {
        image->path = path;
        read_all_over(&r, image);
        image_close(image);
    } else {
        if (strncmp(why, path, strlen(path)) || strchr(why, '\n'))
            broken("an error that isn't a line with the path");
        image_file_close(&file);
    }
    close(fd);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seconds", 1, NULL, 't'}, {"seed", 1, NULL, 's'}, {"case", 1, NULL, 'c'}, {0}};
    uint64_t seed = 1, number = 0;
    unsigned seconds = 0;
    time_t begin = time(NULL);

    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 't')
            seconds = (unsigned)strtoul(optarg, NULL, 0);
        else if (c == 's')
            seed = strtoull(optarg, NULL, 0);
        else if (c == 'c')
            show = sscanf(optarg, "%" SCNu64 ":%" SCNu64, &seed, &number) == 2;
        else
            return 2;
    }
    if (show) {
        run_one(number, seed);
        return 0;
    }
    while (seconds ? time(NULL) - begin < (time_t)seconds : number < CASES) {
        /* Whoever finds something dies with it: its number is on the last line. */
        if (number % 1000 == 0)
            printf("# --case %" PRIu64 ":%" PRIu64 " and on\n", seed, number), fflush(stdout);
        run_one(number++, seed);
    }
    printf("ok 1 - %" PRIu64 " images from seed %" PRIu64 "\n1..1\n", number, seed);
    return 0;
}
