/*
 * virtio_blk.c - the block device (virtio 1.2, 5.2).
 *
 * In: requests, a header that the device reads, data either way, a status byte at the end of what it writes.
 * Out: requests to the medium, whose data are the guest's memory itself; they are done in any order. Discards
 * and zeroes name ranges, which are done one after the other.
 *
 * Writes are kept in a cache when the driver knows how to flush it (VIRTIO_BLK_F_FLUSH) and hasn't turned it
 * off; otherwise each is followed by a flush of our own.
 */
#include "devices/virtio_blk.h"

#include <stdlib.h>
#include <string.h>

#include "core/block.h"
#include "core/log.h"
#include "devices/virtio.h"

#define SECTOR      512u
#define QUEUE_SIZE  256u
#define SERIAL_SIZE 20u

#define F_SEG_MAX      (1ull << 2)
#define F_GEOMETRY     (1ull << 4)
#define F_RO           (1ull << 5)
#define F_BLK_SIZE     (1ull << 6)
#define F_FLUSH        (1ull << 9)
#define F_TOPOLOGY     (1ull << 10)
#define F_CONFIG_WCE   (1ull << 11)
#define F_MQ           (1ull << 12)
#define F_DISCARD      (1ull << 13)
#define F_WRITE_ZEROES (1ull << 14)

/* Configuration space (5.2.4). */
#define CONFIG_CAPACITY          0
#define CONFIG_SEG_MAX           12
#define CONFIG_CYLINDERS         16
#define CONFIG_HEADS             18
#define CONFIG_TRACK             19
#define CONFIG_BLK_SIZE          20
#define CONFIG_PHYSICAL_EXPONENT 24
#define CONFIG_MIN_IO            26 /* in blocks, as the next */
#define CONFIG_BEST_IO           28
#define CONFIG_WRITEBACK         32
#define CONFIG_QUEUES            34
#define CONFIG_DISCARD_SECTORS   36
#define CONFIG_DISCARD_RANGES    40
#define CONFIG_DISCARD_ALIGNMENT 44
#define CONFIG_ZEROES_SECTORS    48
#define CONFIG_ZEROES_RANGES     52
#define CONFIG_ZEROES_MAY_UNMAP  56
#define CONFIG_SIZE              60

/* Requests (5.2.6). */
#define HEADER_SIZE 16u
enum { TYPE_READ = 0, TYPE_WRITE = 1, TYPE_FLUSH = 4, TYPE_GET_ID = 8, TYPE_DISCARD = 11, TYPE_ZEROES = 13 };
enum { STATUS_OK, STATUS_IO_ERROR, STATUS_UNSUPPORTED };

/* Ranges of a discard. */
#define RANGE_SIZE    16u
#define RANGES        16u
#define RANGE_SECTORS (1u << 21) /* each at most */
#define RANGE_UNMAP   1u

/* What one takes at once keeps worker threads busy, no more. */
#define SEGMENTS (QUEUE_SIZE - 2)

struct blk_request {
    struct block_request block;
    struct virtio_blk *blk;
    struct virtio_chain *chain;
    uint32_t type;
    unsigned range;    /* of a discard: the one under way */
    struct iovec *iov; /* the data, between header and status; `capacity` of them */
    unsigned capacity;
    struct blk_request *next; /* unused ones */
};

struct virtio_blk {
    struct virtio virtio;
    struct block *medium;
    char serial[SERIAL_SIZE];
    struct blk_request *unused;
    bool popping; /* notified() is at work */
};

/* --- requests */

static struct blk_request *take_request(struct virtio_blk *blk, struct virtio_chain *chain)
{
    struct blk_request *request = blk->unused;
    unsigned pieces = chain->out_count + chain->in_count;

    if (request)
        blk->unused = request->next;
    else
        request = calloc(1, sizeof(*request));
    if (request && request->capacity < pieces) {
        struct iovec *iov = realloc(request->iov, pieces * sizeof(*iov));
        if (!iov) {
            free(request->iov);
            free(request);
            return NULL;
        }
        request->iov = iov;
        request->capacity = pieces;
    }
    if (request) {
        request->blk = blk;
        request->chain = chain;
        request->range = 0;
    }
    return request;
}

/* The status byte is the last of what the device writes. */
static void complete(struct blk_request *request, uint8_t status)
{
    struct virtio_blk *blk = request->blk;
    struct virtio_chain *chain = request->chain;
    struct virtio_queue *queue = chain->queue;

    virtio_write(chain, chain->in_size - 1, &status, 1);
    virtio_push(chain, chain->in_size);
    virtio_interrupt(queue);
    request->next = blk->unused;
    blk->unused = request;
}

static bool writes_through(const struct virtio_blk *blk)
{
    const struct virtio *virtio = &blk->virtio;

    return !virtio_has(virtio, F_FLUSH) ||
           (virtio_has(virtio, F_CONFIG_WCE) && !virtio->config[CONFIG_WRITEBACK]);
}

static void submit(struct blk_request *request, enum block_op op, uint64_t offset, size_t size)
{
    request->block.op = op;
    request->block.offset = offset;
    request->block.size = size;
    request->block.collects = request->blk->popping;
    block_submit(request->blk->medium, &request->block);
}

static bool next_range(struct blk_request *request);

static void done(struct block_request *block, int error)
{
    struct blk_request *request = block->opaque;

    if (error)
        complete(request, STATUS_IO_ERROR);
    else if (request->type != TYPE_READ && block->op != BLOCK_FLUSH && next_range(request))
        return;
    else if (request->type != TYPE_READ && block->op != BLOCK_FLUSH && writes_through(request->blk))
        submit(request, BLOCK_FLUSH, 0, 0);
    else
        complete(request, STATUS_OK);
}

static bool inside(const struct virtio_blk *blk, uint64_t sector, uint64_t size)
{
    uint64_t sectors = blk->medium->size / SECTOR;

    return sector <= sectors && size <= (sectors - sector) * SECTOR;
}

static void transfer(struct blk_request *request, uint64_t sector)
{
    const struct virtio_chain *chain = request->chain;
    bool write = request->type == TYPE_WRITE;
    size_t size = write ? chain->out_size - HEADER_SIZE : chain->in_size - 1;

    if (size % SECTOR || !inside(request->blk, sector, size) || (write && request->blk->medium->read_only)) {
        log_at(request->blk->virtio.log, LOG_GUEST, "virtio-blk", "%zu bytes at sector %llu can't be %s",
               size, (unsigned long long)sector, write ? "written" : "read");
        complete(request, STATUS_IO_ERROR);
        return;
    }
    if (!size) {
        complete(request, STATUS_OK);
        return;
    }
    if (write)
        request->block.iov_count = virtio_part(chain->out, chain->out_count, HEADER_SIZE, size, request->iov);
    else
        request->block.iov_count = virtio_part(chain->in, chain->in_count, 0, size, request->iov);
    submit(request, write ? BLOCK_WRITE : BLOCK_READ, sector * SECTOR, size);
}

static void get_id(struct blk_request *request)
{
    struct virtio_chain *chain = request->chain;
    size_t room = chain->in_size - 1;

    virtio_write(chain, 0, request->blk->serial, room < SERIAL_SIZE ? room : SERIAL_SIZE);
    complete(request, STATUS_OK);
}

/* --- ranges: discards and zeroes */

struct range {
    uint64_t sector;
    uint32_t sectors, flags;
};

static unsigned ranges_of(const struct blk_request *request)
{
    bool ranged = request->type == TYPE_DISCARD || request->type == TYPE_ZEROES;

    return ranged ? (unsigned)((request->chain->out_size - HEADER_SIZE) / RANGE_SIZE) : 0;
}

static struct range range_at(const struct blk_request *request, unsigned n)
{
    struct range range = {0};

    virtio_read(request->chain, HEADER_SIZE + n * RANGE_SIZE, &range, RANGE_SIZE);
    return range;
}

static uint8_t check_range(const struct blk_request *request, const struct range *range)
{
    uint32_t known = request->type == TYPE_ZEROES ? RANGE_UNMAP : 0;

    if (range->flags & ~known)
        return STATUS_UNSUPPORTED;
    if (range->sectors > RANGE_SECTORS ||
        !inside(request->blk, range->sector, (uint64_t)range->sectors * SECTOR))
        return STATUS_IO_ERROR;
    return STATUS_OK;
}

/* Goes on with the next range; false: there is none. They are read, and so checked, once more: it's guest
 * memory. */
static bool next_range(struct blk_request *request)
{
    while (request->range < ranges_of(request)) {
        struct range range = range_at(request, request->range++);
        uint8_t status = check_range(request, &range);

        if (status) {
            complete(request, status);
            return true;
        }
        if (!range.sectors)
            continue;
        request->block.keep_space = !(range.flags & RANGE_UNMAP);
        submit(request, request->type == TYPE_DISCARD ? BLOCK_DISCARD : BLOCK_WRITE_ZEROES,
               range.sector * SECTOR, (size_t)range.sectors * SECTOR);
        return true;
    }
    return false;
}

static void start_ranges(struct blk_request *request)
{
    const struct virtio_blk *blk = request->blk;
    uint64_t feature = request->type == TYPE_DISCARD ? F_DISCARD : F_WRITE_ZEROES;
    size_t size = request->chain->out_size - HEADER_SIZE;
    uint8_t status = STATUS_OK;

    if (!virtio_has(&blk->virtio, feature))
        status = STATUS_UNSUPPORTED;
    else if (!size || size % RANGE_SIZE || size / RANGE_SIZE > RANGES || blk->medium->read_only)
        status = STATUS_IO_ERROR;
    for (unsigned n = 0; !status && n < ranges_of(request); n++) {
        struct range range = range_at(request, n);
        status = check_range(request, &range);
    }
    if (status || !next_range(request))
        complete(request, status);
}

/* --- the queues */

/* False: the device is broken. */
static bool start(struct virtio_blk *blk, struct virtio_chain *chain)
{
    struct blk_request *request;
    struct {
        uint32_t type, reserved;
        uint64_t sector;
    } header;

    if (virtio_read(chain, 0, &header, HEADER_SIZE) < HEADER_SIZE || !chain->in_size) {
        virtio_broken(&blk->virtio, "a request without header or status");
        return false;
    }
    request = take_request(blk, chain);
    if (!request) {
        virtio_broken(&blk->virtio, "out of memory");
        return false;
    }
    request->type = header.type;
    request->block =
        (struct block_request){.iov = request->iov, .data = NULL, .done = done, .opaque = request};
    switch (header.type) {
    case TYPE_READ:
    case TYPE_WRITE:
        transfer(request, header.sector);
        break;
    case TYPE_FLUSH:
        submit(request, BLOCK_FLUSH, 0, 0);
        break;
    case TYPE_GET_ID:
        get_id(request);
        break;
    case TYPE_DISCARD:
    case TYPE_ZEROES:
        start_ranges(request);
        break;
    default:
        complete(request, STATUS_UNSUPPORTED);
    }
    return true;
}

static void notified(void *device, unsigned number)
{
    struct virtio_blk *blk = device;
    struct virtio_chain *chain;

    blk->popping = true;
    while ((chain = virtio_pop(&blk->virtio.queue[number])))
        if (!start(blk, chain))
            virtio_drop(chain);
    blk->popping = false;
    block_collect(blk->medium);
}

/* --- configuration */

/* The geometry that a BIOS would make up: nobody looks at it any more but boot loaders of old. */
static void set_geometry(struct virtio *virtio, uint64_t sectors)
{
    uint64_t cylinders = sectors / (16 * 63);

    virtio_config_set(virtio, CONFIG_CYLINDERS, cylinders < 16383 ? cylinders : 16383, 2);
    virtio_config_set(virtio, CONFIG_HEADS, 16, 1);
    virtio_config_set(virtio, CONFIG_TRACK, 63, 1);
}

static uint64_t features_of(const struct virtio_blk_wires *wires)
{
    const struct block *medium = wires->medium;
    uint64_t features = F_SEG_MAX | F_GEOMETRY | F_BLK_SIZE | F_FLUSH | F_TOPOLOGY | F_CONFIG_WCE;

    if (wires->queues > 1)
        features |= F_MQ;
    if (medium->read_only)
        return features | F_RO;
    return features | F_WRITE_ZEROES | (medium->can_discard ? F_DISCARD : 0);
}

static void set_config(struct virtio_blk *blk, unsigned queues)
{
    struct virtio *virtio = &blk->virtio;
    uint32_t natural = blk->medium->sector ? blk->medium->sector : SECTOR;
    unsigned exponent = (unsigned)__builtin_ctz(natural / SECTOR);

    virtio_config_set(virtio, CONFIG_CAPACITY, blk->medium->size / SECTOR, 8);
    virtio_config_set(virtio, CONFIG_SEG_MAX, SEGMENTS, 4);
    set_geometry(virtio, blk->medium->size / SECTOR);
    virtio_config_set(virtio, CONFIG_BLK_SIZE, SECTOR, 4);
    virtio_config_set(virtio, CONFIG_PHYSICAL_EXPONENT, exponent, 1);
    virtio_config_set(virtio, CONFIG_MIN_IO, natural / SECTOR, 2);
    virtio_config_set(virtio, CONFIG_WRITEBACK, 1, 1);
    virtio_config_set(virtio, CONFIG_QUEUES, queues, 2);
    virtio_config_set(virtio, CONFIG_DISCARD_SECTORS, RANGE_SECTORS, 4);
    virtio_config_set(virtio, CONFIG_DISCARD_RANGES, RANGES, 4);
    virtio_config_set(virtio, CONFIG_DISCARD_ALIGNMENT, natural / SECTOR, 4);
    virtio_config_set(virtio, CONFIG_ZEROES_SECTORS, RANGE_SECTORS, 4);
    virtio_config_set(virtio, CONFIG_ZEROES_RANGES, RANGES, 4);
    virtio_config_set(virtio, CONFIG_ZEROES_MAY_UNMAP, 1, 1);
    virtio->writable[CONFIG_WRITEBACK] = 1;
}

/* What is under way completes as ever; see virtio.h. */
static void reset_by_driver(void *device)
{
    struct virtio_blk *blk = device;

    virtio_config_set(&blk->virtio, CONFIG_WRITEBACK, 1, 1);
}

static const struct virtio_class class = {
    .name = "virtio-blk",
    .id = VIRTIO_ID_BLOCK,
    .pci_class = 0x010000,
    .notified = notified,
    .reset = reset_by_driver,
};

/* --- state and construction */

static const struct field virtio_blk_fields[] = {
    FIELD_STRUCT(struct virtio_blk, virtio, virtio_fields),
    FIELD_END,
};

static void virtio_blk_reset(void *device)
{
    virtio_reset(&((struct virtio_blk *)device)->virtio);
}

static void virtio_blk_loaded(void *device)
{
    virtio_loaded(&((struct virtio_blk *)device)->virtio);
}

static void virtio_blk_free(void *device)
{
    struct virtio_blk *blk = device;

    if (!blk)
        return;
    virtio_free(&blk->virtio);
    while (blk->unused) {
        struct blk_request *request = blk->unused;
        blk->unused = request->next;
        free(request->iov);
        free(request);
    }
    free(blk);
}

const struct device_class virtio_blk_class = {
    .name = "virtio-blk",
    .reset = virtio_blk_reset,
    .loaded = virtio_blk_loaded,
    .free = virtio_blk_free,
    .state = virtio_blk_fields,
};

struct virtio_blk *virtio_blk_new(const struct virtio_blk_wires *wires)
{
    struct virtio_blk *blk = calloc(1, sizeof(*blk));

    if (!blk)
        return NULL;
    blk->medium = wires->medium;
    memcpy(blk->serial, wires->serial, strnlen(wires->serial, SERIAL_SIZE));
    virtio_init(&blk->virtio, &class, blk, features_of(wires), CONFIG_SIZE);
    for (unsigned n = 0; n < wires->queues; n++)
        virtio_add_queue(&blk->virtio, QUEUE_SIZE);
    set_config(blk, wires->queues);
    if (virtio_pci_plug(&blk->virtio, &wires->bus))
        return blk;
    virtio_blk_free(blk);
    return NULL;
}
