/*
 * qcow2.c - qcow2 images with anything in their headers and tables: each case is an image that is right, with
 * some of its numbers changed. It is opened, and if that works, read, written, checked and repaired. What
 * must hold: a refusal is a line that names the file, and all ends; what is read and written stays inside the
 * image and memory, which is up to the sanitizers.
 *
 *     qcow2                    CASES images from seed 1, as TAP
 *     qcow2 --seconds 600 --seed 7
 *     qcow2 --case 7:1234      one of them again
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
#include "host/image_qcow2.h"
#include "tests/oracle/random.h"

#define CASES     6000u
#define SHAPES    4u
#define DISK      (600u * 1024)
#define LONGEST   (100u * 1024)
#define STUCK_SEC 60

static _Noreturn void broken(const char *what)
{
    fprintf(stderr, "qcow2: %s\n", what);
    abort();
}

/* A file in memory, and the name by which it is opened. */
struct file {
    int fd;
    char path[40];
};

static void make_file(struct file *file)
{
    file->fd = memfd_create("image", MFD_CLOEXEC);
    if (file->fd < 0)
        broken("no file in memory");
    snprintf(file->path, sizeof(file->path), "/proc/self/fd/%d", file->fd);
}

static struct image *open_file(const struct file *file, bool read_only, char *why, size_t why_size)
{
    const struct image_options options = {.path = file->path, .format = "qcow2", .read_only = read_only};

    return image_open(&options, why, why_size);
}

/* An image that is right. */
struct shape {
    uint8_t *data;
    size_t size;
};

/* The first cluster of the disk becomes a compressed one, in the place where it was. */
static void pack(uint8_t *data, unsigned bits)
{
    uint64_t l1 = qcow2_load(data + QCOW2_L1_OFFSET, 8), l2 = qcow2_load(data + l1, 8) & QCOW2_OFFSET_MASK,
             cluster = qcow2_load(data + l2, 8) & QCOW2_OFFSET_MASK;
    size_t size = 1ul << bits;
    uint8_t *packed = malloc(size);
    z_stream stream = {
        .next_in = data + cluster, .avail_in = (uInt)size, .next_out = packed, .avail_out = (uInt)size};

    if (!packed || deflateInit2(&stream, 9, Z_DEFLATED, -12, 9, Z_DEFAULT_STRATEGY) != Z_OK ||
        deflate(&stream, Z_FINISH) != Z_STREAM_END)
        broken("a cluster can't be compressed");
    size_t length = size - stream.avail_out;
    deflateEnd(&stream);
    memcpy(data + cluster, packed, length);
    free(packed);
    qcow2_store(data + l2, 8, QCOW2_COMPRESSED | ((length - 1) / 512) << (62 - (bits - 8)) | cluster);
}

static void make_shape(struct shape *shape, unsigned bits, bool version2)
{
    const struct image_create_options options = {
        .path = "shape", .size = DISK, .cluster_size = 1u << bits, .version2 = version2};
    uint8_t *data = calloc(1, LONGEST);
    struct file file;
    char why[300];

    make_file(&file);
    if (!data || !image_qcow2_create(&options, file.fd, why, sizeof(why)))
        broken("an image can't be made");
    struct image *image = open_file(&file, false, why, sizeof(why));
    if (!image)
        broken(why);
    memset(data, 0x5A, LONGEST);
    image_write_at(image, 0, data, LONGEST);
    image_write_at(image, 300 * 1024, data, 10 * 1024);
    image_zero(image, 20 * 1024, 40 * 1024);
    image_close(image);
    shape->size = (size_t)lseek(file.fd, 0, SEEK_END);
    shape->data = malloc(shape->size);
    if (!shape->data || pread(file.fd, shape->data, shape->size, 0) != (ssize_t)shape->size)
        broken("an image can't be read");
    close(file.fd);
    free(data);
    pack(shape->data, bits);
}

/* Where something is that is worth changing. */
static uint64_t place(struct random *r, const uint8_t *data, size_t size)
{
    uint64_t l1 = qcow2_load(data + QCOW2_L1_OFFSET, 8), table = qcow2_load(data + QCOW2_TABLE_OFFSET, 8),
             at = 0;

    switch (below(r, 6)) {
    case 0:
        return below(r, QCOW2_HEADER_V3 + 40);
    case 1:
        at = l1 + 8 * below(r, 4);
        break;
    case 2:
        at = table + 8 * below(r, 4);
        break;
    case 3: /* the first refcount block */
        at = (table + 7 < size ? qcow2_load(data + table, 8) : 0) + 2 * below(r, 60);
        break;
    case 4:
        at = (l1 + 7 < size ? qcow2_load(data + l1, 8) & QCOW2_OFFSET_MASK : 0) + 8 * below(r, 60);
        break;
    default:
        return below(r, (unsigned)size);
    }
    return at;
}

/* A number that tables may have. */
static uint64_t value(struct random *r)
{
    static const uint64_t flags[] = {0, QCOW2_COPIED, QCOW2_COMPRESSED, QCOW2_ZERO,
                                     QCOW2_COPIED | QCOW2_ZERO};

    switch (below(r, 4)) {
    case 0:
        return random64(r);
    case 1:
        return below(r, 300);
    default:
        return flags[below(r, 5)] | (uint64_t)below(r, 400) << (one_in(r, 2) ? 9 : 12);
    }
}

static void change(struct random *r, uint8_t *data, size_t size)
{
    for (unsigned n = 1 + below(r, 5); n; n--) {
        unsigned width = 1u << below(r, 4);
        uint64_t at = place(r, data, size);

        if (at + width <= size)
            qcow2_store(data + at, width, value(r));
    }
}

static void use(struct random *r, struct image *image, uint8_t *data)
{
    struct image_check check = {.out = NULL};
    struct image_info info = {0};
    bool is_data;
    char why[200];

    for (unsigned n = 0; n < 25; n++) {
        uint64_t size = 512 * (1 + below(r, LONGEST / 512)), length,
                 offset = image->size > 1u << 30 && one_in(r, 2) ? random64(r) % image->size & ~511ull
                                                                 : 512ull * below(r, 1200);

        if (offset >= image->size)
            continue;
        if (size > image->size - offset)
            size = image->size - offset;
        switch (below(r, 10)) {
        case 0:
            image_zero(image, offset, size);
            break;
        case 1:
            image_discard(image, offset, size);
            break;
        case 2:
            image_flush(image);
            break;
        case 3:
            if (!image_extent(image, offset, one_in(r, 2), &length, &is_data) && !length)
                broken("an extent of nothing");
            break;
        case 4:
            image->ops->check(image, one_in(r, 2), &check);
            break;
        case 5:
            free(info.snapshots);
            info = (struct image_info){0};
            image->ops->info(image, &info);
            break;
        case 6:
            if (!image->read_only && one_in(r, 4))
                image->ops->resize(image, 512ull * (1 + below(r, 4000)), why, sizeof(why));
            break;
        case 7:
        case 8:
            image_write_at(image, offset, data, (size_t)size);
            break;
        default:
            image_read_at(image, offset, data, (size_t)size);
        }
    }
    free(info.snapshots);
}

static void run_one(uint64_t number, uint64_t seed, const struct shape *shapes, uint8_t *data)
{
    struct random r = {seed * 1000003 + number * 7919};
    const struct shape *shape = &shapes[below(&r, SHAPES)];
    uint8_t *changed = malloc(shape->size);
    struct file file;
    char why[400] = "";

    make_file(&file);
    if (!changed)
        broken("out of memory");
    memcpy(changed, shape->data, shape->size);
    change(&r, changed, shape->size);
    if (pwrite(file.fd, changed, shape->size - (one_in(&r, 8) ? below(&r, 600) : 0), 0) < 0)
        broken("the image can't be written");
    free(changed);
    alarm(STUCK_SEC);
    struct image *image = open_file(&file, one_in(&r, 3), why, sizeof(why));
    if (image)
        use(&r, image, data);
    else if (strncmp(why, file.path, strlen(file.path)) || strchr(why, '\n'))
        broken(why);
    image_close(image);
    close(file.fd);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"seconds", 1, NULL, 't'}, {"seed", 1, NULL, 's'}, {"case", 1, NULL, 'c'}, {0}};
    uint64_t seed = 1, number = 0;
    unsigned seconds = 0;
    time_t begin = time(NULL);
    uint8_t *data = calloc(1, LONGEST);
    struct shape shapes[SHAPES];
    bool one = false;

    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 't')
            seconds = (unsigned)strtoul(optarg, NULL, 0);
        else if (c == 's')
            seed = strtoull(optarg, NULL, 0);
        else if (c == 'c')
            one = sscanf(optarg, "%" SCNu64 ":%" SCNu64, &seed, &number) == 2;
        else
            return 2;
    }
    make_shape(&shapes[0], 9, false);
    make_shape(&shapes[1], 12, true);
    make_shape(&shapes[2], 12, false);
    make_shape(&shapes[3], 16, false);
    if (!data)
        broken("out of memory");
    while (seconds ? time(NULL) - begin < (time_t)seconds : number < CASES) {
        /* Whoever finds something dies with it: its number is at the end of what was printed. */
        if (number % 500 == 0)
            printf("# --case %" PRIu64 ":%" PRIu64 " and on\n", seed, number), fflush(stdout);
        run_one(number++, seed, shapes, data);
        if (one)
            break;
    }
    for (unsigned n = 0; n < SHAPES; n++)
        free(shapes[n].data);
    free(data);
    printf("ok 1 - %" PRIu64 " images from seed %" PRIu64 "\n1..1\n", number, seed);
    return 0;
}
