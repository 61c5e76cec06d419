/* The virtio disk against a medium that does what it is asked when the test says so. Section numbers:
 * virtio 1.2. */
#include <errno.h>

#include "core/block.h"
#include "devices/virtio_blk.h"
#include "tests/unit/virtio_rig.h"

#define SECTORS 64u
#define SIZE    (SECTORS * 512)
#define HEADER  RIG_BUFFERS
#define DATA    (RIG_BUFFERS + 0x1000)
#define STATUS  (RIG_BUFFERS + 0xFFF)
#define SECOND  (RIG_BUFFERS + 0x10000) /* the same for another one */

#define F_RO           (1ull << 5)
#define F_FLUSH        (1ull << 9)
#define F_CONFIG_WCE   (1ull << 11)
#define F_MQ           (1ull << 12)
#define F_DISCARD      (1ull << 13)
#define F_WRITE_ZEROES (1ull << 14)

enum { READ = 0, WRITE = 1, FLUSH = 4, GET_ID = 8, DISCARD = 11, ZEROES = 13 };

static struct rig rig;
static struct virtio_blk *blk;
static struct fake {
    struct block block;
    uint8_t data[SIZE];
    struct block_request *waiting[64];
    unsigned count, done[5];
    bool keep_space;
    int error;
} fake;

static void fake_submit(struct block *block, struct block_request *request)
{
    size_t size = 0;

    ck_assert(block == &fake.block && fake.count < 64);
    ck_assert(request->offset % 512 == 0 && request->size % 512 == 0);
    ck_assert(request->offset + request->size <= SIZE);
    ck_assert(request->op == BLOCK_FLUSH ? !request->size : request->size);
    ck_assert(!block->read_only || request->op == BLOCK_READ || request->op == BLOCK_FLUSH);
    if (request->op == BLOCK_READ || request->op == BLOCK_WRITE) {
        for (unsigned n = 0; n < request->iov_count; n++)
            size += request->iov[n].iov_len;
        ck_assert_uint_eq(size, request->size);
    }
    fake.waiting[fake.count++] = request;
}

/* Does the `n`th of what waits. */
static void perform(unsigned n)
{
    struct block_request *request = fake.waiting[n];
    uint8_t *at = fake.data + request->offset;

    ck_assert_uint_lt(n, fake.count);
    memmove(&fake.waiting[n], &fake.waiting[n + 1], (--fake.count - n) * sizeof(*fake.waiting));
    fake.done[request->op]++;
    if (!fake.error && (request->op == BLOCK_WRITE_ZEROES || request->op == BLOCK_DISCARD))
        memset(at, 0, request->size);
    fake.keep_space = request->keep_space;
    for (unsigned k = 0; !fake.error && k < request->iov_count; k++) {
        if (request->op == BLOCK_READ)
            memcpy(request->iov[k].iov_base, at, request->iov[k].iov_len);
        else if (request->op == BLOCK_WRITE)
            memcpy(at, request->iov[k].iov_base, request->iov[k].iov_len);
        at += request->iov[k].iov_len;
    }
    request->done(request, fake.error);
}

static void perform_all(void)
{
    while (fake.count)
        perform(0);
}

static const struct block_ops fake_ops = {.submit = fake_submit};

static void plug(unsigned queues, bool read_only)
{
    const struct virtio_blk_wires wires = {rig_slot(&rig), &fake.block, "a serial number of 25", queues};

    fake.block.read_only = read_only;
    blk = virtio_blk_new(&wires);
    ck_assert(blk != NULL);
    rig_map(&rig);
}

static void setup(void)
{
    rig_init(&rig);
    memset(&fake, 0, sizeof(fake));
    fake.block =
        (struct block){.ops = &fake_ops, .name = "fake", .size = SIZE, .can_discard = true, .sector = 4096};
    for (unsigned n = 0; n < SIZE; n++)
        fake.data[n] = (uint8_t)(n * 7 + n / 512);
    blk = NULL;
}

static void teardown(void)
{
    if (blk)
        virtio_blk_class.free(blk);
    rig_free(&rig);
}

/* A request at `base`: header, `size` bytes in two pieces, status. */
static void put(unsigned queue, uint64_t base, uint32_t type, uint64_t sector, uint32_t size, bool in)
{
    const struct rig_piece pieces[] = {{base, 16, false},
                                       {base + 0x1000, size / 3, in},
                                       {base + 0x1000 + size / 3, size - size / 3, in},
                                       {base + 0xFFF, 1, true}};

    rig_put(&rig, base, type, 4);
    rig_put(&rig, base + 8, sector, 8);
    rig_put(&rig, base + 0xFFF, 0xEE, 1);
    rig_add(&rig, queue, pieces, 4);
}

/* That and its status. */
static unsigned ask(uint32_t type, uint64_t sector, uint32_t size, bool in)
{
    struct rig_used used;

    put(0, HEADER, type, sector, size, in);
    rig_notify(&rig, 0);
    perform_all();
    ck_assert(rig_used(&rig, 0, 4, &used));
    ck_assert_uint_eq(used.written, in ? size + 1 : 1);
    return rig.ram[STATUS];
}

static const uint64_t rings[] = {0, VIRTIO_F_RING_PACKED | VIRTIO_F_EVENT_IDX};

START_TEST(its_configuration)
{
    uint64_t offered;

    plug(4, false);
    offered = rig_offered(&rig);
    ck_assert(offered & F_MQ && offered & F_FLUSH && offered & F_DISCARD && offered & F_WRITE_ZEROES &&
              offered & F_CONFIG_WCE && !(offered & F_RO));
    ck_assert_uint_eq(rig_get(&rig, 0x2000, 4), SECTORS);
    ck_assert_uint_eq(rig_get(&rig, 0x2014, 4), 512);
    ck_assert_uint_eq(rig_get(&rig, 0x2018, 1), 3); /* 4096 bytes are 2^3 blocks */
    ck_assert_uint_eq(rig_get(&rig, 0x2022, 2), 4);
    ck_assert_uint_eq(rig_get(&rig, 0x12, 2), 4);
    virtio_blk_class.free(blk);
    plug(1, true);
    offered = rig_offered(&rig);
    ck_assert(offered & F_RO && !(offered & (F_DISCARD | F_WRITE_ZEROES | F_MQ)));
}
END_TEST

START_TEST(reads_and_writes)
{
    plug(1, false);
    rig_start(&rig, rings[_i] | F_FLUSH, 1, 16);
    for (unsigned sector = 0; sector < SECTORS - 3; sector += 3) {
        ck_assert_uint_eq(ask(READ, sector, 1536, true), 0);
        ck_assert_mem_eq(rig.ram + DATA, fake.data + sector * 512, 1536);
        for (unsigned n = 0; n < 1024; n++)
            rig.ram[DATA + n] = (uint8_t)(n + sector);
        ck_assert_uint_eq(ask(WRITE, sector, 1024, false), 0);
        ck_assert_mem_eq(rig.ram + DATA, fake.data + sector * 512, 1024);
    }
    ck_assert_uint_eq(fake.done[BLOCK_FLUSH], 0);
    ck_assert_uint_eq(ask(FLUSH, 0, 0, false), 0);
    ck_assert_uint_eq(fake.done[BLOCK_FLUSH], 1);
    ck_assert_uint_eq(ask(READ, 0, 0, true), 0);
    ck_assert(rig.line.level);
}
END_TEST

START_TEST(many_at_once_and_in_any_order)
{
    struct rig_used used;
    unsigned ids = 0;

    plug(2, false);
    rig_start(&rig, rings[_i] | F_FLUSH | F_MQ, 2, 64);
    for (unsigned n = 0; n < 8; n++)
        put(1, HEADER + n * 0x10000, READ, n, 512, true);
    rig_notify(&rig, 1);
    ck_assert_uint_eq(fake.count, 8);
    for (unsigned n = 0; n < 8; n++)
        perform(fake.count / 2);
    for (unsigned n = 0; n < 8; n++) {
        ck_assert(rig_used(&rig, 1, 4, &used));
        ids |= 1u << used.id / 4;
        ck_assert_mem_eq(rig.ram + HEADER + n * 0x10000 + 0x1000, fake.data + n * 512, 512);
    }
    ck_assert_uint_eq(ids, 0xFF);
}
END_TEST

START_TEST(what_cannot_be_done)
{
    plug(1, _i);
    rig_start(&rig, 0, 1, 16);
    ck_assert_uint_eq(ask(READ, SECTORS, 512, true), 1);
    ck_assert_uint_eq(ask(READ, SECTORS - 1, 1024, true), 1);
    ck_assert_uint_eq(ask(READ, UINT64_MAX, 512, true), 1);
    ck_assert_uint_eq(ask(READ, UINT64_MAX / 512, 512, true), 1);
    ck_assert_uint_eq(ask(READ, 0, 500, true), 1);
    ck_assert_uint_eq(ask(99, 0, 512, true), 2);
    ck_assert_uint_eq(ask(DISCARD, 0, 16, false), 2); /* was not agreed upon */
    ck_assert_uint_eq(fake.done[BLOCK_READ], 0);
    ck_assert_uint_eq(ask(WRITE, 0, 512, false), _i);
    ck_assert_uint_eq(fake.done[BLOCK_WRITE], !_i);
    fake.error = EIO;
    ck_assert_uint_eq(ask(READ, 0, 512, true), 1);
    ck_assert_uint_eq(ask(FLUSH, 0, 0, false), 1);
    ck_assert_uint_eq(rig_status(&rig), 0x0F);
}
END_TEST

START_TEST(without_a_cache_writes_are_flushed)
{
    plug(1, false);
    rig_start(&rig, 0, 1, 16); /* the driver doesn't know of flushes */
    ck_assert_uint_eq(ask(WRITE, 0, 512, false), 0);
    ck_assert_uint_eq(fake.done[BLOCK_FLUSH], 1);
    rig_start(&rig, F_FLUSH | F_CONFIG_WCE, 1, 16);
    ck_assert_uint_eq(rig_get(&rig, 0x2020, 1), 1);
    ck_assert_uint_eq(ask(WRITE, 0, 512, false), 0);
    ck_assert_uint_eq(fake.done[BLOCK_FLUSH], 1);
    rig_set(&rig, 0x2020, 0, 1);
    ck_assert_uint_eq(rig_get(&rig, 0x2020, 1), 0);
    ck_assert_uint_eq(ask(WRITE, 0, 512, false), 0);
    ck_assert_uint_eq(fake.done[BLOCK_FLUSH], 2);
    ck_assert_uint_eq(ask(READ, 0, 512, true), 0);
    ck_assert_uint_eq(fake.done[BLOCK_FLUSH], 2);
}
END_TEST

static void put_range(unsigned n, uint64_t sector, uint32_t sectors, uint32_t flags)
{
    rig_put(&rig, DATA + 16 * n, sector, 8);
    rig_put(&rig, DATA + 16 * n + 8, sectors, 4);
    rig_put(&rig, DATA + 16 * n + 12, flags, 4);
}

START_TEST(ranges)
{
    plug(1, false);
    rig_start(&rig, F_FLUSH | F_DISCARD | F_WRITE_ZEROES, 1, 16);
    put_range(0, 2, 1, 0);
    put_range(1, 5, 0, 0);
    put_range(2, 8, 4, 0);
    ck_assert_uint_eq(ask(DISCARD, 0, 48, false), 0);
    ck_assert_uint_eq(fake.done[BLOCK_DISCARD], 2);
    ck_assert_uint_eq(fake.data[2 * 512 + 3], 0);
    ck_assert_uint_eq(fake.data[11 * 512 + 511], 0);
    ck_assert_uint_ne(fake.data[12 * 512 + 3], 0);
    put_range(0, 20, 2, 1);
    ck_assert_uint_eq(ask(DISCARD, 0, 16, false), 2); /* flags are for zeroes */
    ck_assert_uint_eq(ask(ZEROES, 0, 16, false), 0);
    ck_assert(!fake.keep_space);
    put_range(0, 20, 2, 0);
    ck_assert_uint_eq(ask(ZEROES, 0, 16, false), 0);
    ck_assert(fake.keep_space);
    ck_assert_uint_eq(fake.done[BLOCK_WRITE_ZEROES], 2);
    put_range(0, 20, 2, 2);
    ck_assert_uint_eq(ask(ZEROES, 0, 16, false), 2);
    put_range(0, SECTORS - 1, 2, 0);
    ck_assert_uint_eq(ask(ZEROES, 0, 16, false), 1);
    put_range(0, 0, 1, 0);
    put_range(1, UINT64_MAX, 2, 0);
    ck_assert_uint_eq(ask(DISCARD, 0, 32, false), 1); /* none of them is done */
    ck_assert_uint_eq(ask(DISCARD, 0, 8, false), 1);
    ck_assert_uint_eq(ask(DISCARD, 0, 0, false), 1);
    ck_assert_uint_eq(ask(DISCARD, 0, 17 * 16, false), 1);
    ck_assert_uint_eq(fake.done[BLOCK_DISCARD] + fake.done[BLOCK_WRITE_ZEROES], 4);
}
END_TEST

/* The guest changes what was checked, while the first range is under way. */
START_TEST(ranges_that_change)
{
    struct rig_used used;

    plug(1, false);
    rig_start(&rig, F_FLUSH | F_DISCARD, 1, 16);
    put_range(0, 0, 1, 0);
    put_range(1, 1, 1, 0);
    put(0, HEADER, DISCARD, 0, 32, false);
    rig_notify(&rig, 0);
    put_range(1, SECTORS, 1, 0);
    perform_all();
    ck_assert(rig_used(&rig, 0, 4, &used));
    ck_assert_uint_eq(rig.ram[STATUS], 1);
    ck_assert_uint_eq(fake.done[BLOCK_DISCARD], 1);
}
END_TEST

START_TEST(its_name)
{
    plug(1, false);
    rig_start(&rig, 0, 1, 16);
    ck_assert_uint_eq(ask(GET_ID, 0, 20, true), 0);
    ck_assert_mem_eq(rig.ram + DATA, "a serial number of 25", 20);
    memset(rig.ram + DATA, 0x77, 20);
    ck_assert_uint_eq(ask(GET_ID, 0, 6, true), 0);
    ck_assert_mem_eq(rig.ram + DATA, "a seriwww", 6);
    ck_assert_uint_eq(rig.ram[DATA + 6], 0x77);
}
END_TEST

START_TEST(requests_without_their_parts)
{
    const struct rig_piece header[] = {{HEADER, 16, false}},
                           half[] = {{HEADER, 15, false}, {STATUS, 1, true}};

    plug(1, false);
    rig_start(&rig, 0, 1, 16);
    rig_add(&rig, 0, _i ? half : header, _i ? 2 : 1);
    rig_notify(&rig, 0);
    ck_assert_uint_eq(rig_status(&rig), 0x4F);
    rig_start(&rig, 0, 1, 16);
    ck_assert_uint_eq(ask(READ, 1, 512, true), 0);
}
END_TEST

START_TEST(all_in_one_piece)
{
    const struct rig_piece pieces[] = {{HEADER, 16 + 512, false}, {HEADER + 16 + 512, 1, true}};
    struct rig_used used;

    plug(1, false);
    rig_start(&rig, F_FLUSH, 1, 16);
    rig_put(&rig, HEADER, WRITE, 4);
    rig_put(&rig, HEADER + 8, 7, 8);
    memset(rig.ram + HEADER + 16, 0xAB, 512);
    rig_add(&rig, 0, pieces, 2);
    rig_notify(&rig, 0);
    perform_all();
    ck_assert(rig_used(&rig, 0, 2, &used));
    ck_assert_uint_eq(fake.data[7 * 512], 0xAB);
    ck_assert_uint_eq(fake.data[8 * 512 - 1], 0xAB);
    ck_assert_uint_eq(rig.ram[HEADER + 16 + 512], 0);
}
END_TEST

START_TEST(a_reset_waits_for_the_medium)
{
    plug(1, false);
    rig_start(&rig, 0, 1, 16);
    put(0, HEADER, WRITE, 3, 512, false);
    rig_notify(&rig, 0);
    rig_set(&rig, 0x14, 0, 1);
    ck_assert_uint_ne(rig_status(&rig), 0);
    perform(0);
    ck_assert_uint_ne(rig_status(&rig), 0); /* that was the write, then it is flushed */
    perform(0);
    ck_assert_uint_eq(rig_status(&rig), 0);
    ck_assert_uint_eq(rig_peek(&rig, rig.queue[0].device + 2, 2), 0);
}
END_TEST

Suite *virtio_blk_suite(void)
{
    Suite *suite = suite_create("virtio_blk");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, its_configuration);
    tcase_add_loop_test(tc, reads_and_writes, 0, 2);
    tcase_add_loop_test(tc, many_at_once_and_in_any_order, 0, 2);
    tcase_add_loop_test(tc, what_cannot_be_done, 0, 2);
    tcase_add_test(tc, without_a_cache_writes_are_flushed);
    tcase_add_test(tc, ranges);
    tcase_add_test(tc, ranges_that_change);
    tcase_add_test(tc, its_name);
    tcase_add_loop_test(tc, requests_without_their_parts, 0, 2);
    tcase_add_test(tc, all_in_one_piece);
    tcase_add_test(tc, a_reset_waits_for_the_medium);
    suite_add_tcase(suite, tc);
    return suite;
}
