/* The virtio device of a shared folder against a server that answers when the test says so. */
#include "core/share.h"
#include "devices/virtio_9p.h"
#include "tests/unit/virtio_rig.h"

#define MESSAGE RIG_BUFFERS
#define ANSWER  (RIG_BUFFERS + 0x1000)
#define CONFIG  0x2000u /* the device's own configuration */

static struct rig rig;
static struct virtio_9p *device;
static struct fake {
    struct share share;
    struct share_request *waiting[64];
    unsigned count, resets;
} fake;

static void fake_submit(struct share *share, struct share_request *request)
{
    ck_assert(share == &fake.share && fake.count < 64);
    fake.waiting[fake.count++] = request;
}

/* As the real one: nobody is told of what was under way. */
static void fake_reset(struct share *share)
{
    ck_assert(share == &fake.share);
    fake.count = 0;
    fake.resets++;
}

static const struct share_ops fake_ops = {fake_submit, fake_reset, NULL};

/* Answers the `n`th of what waits with the message backwards. */
static void answer(unsigned n)
{
    struct share_request *request = fake.waiting[n];
    uint8_t bytes[64];
    size_t size = 0, room = 0;

    ck_assert_uint_lt(n, fake.count);
    fake.count--;
    memmove(&fake.waiting[n], &fake.waiting[n + 1], (fake.count - n) * sizeof(*fake.waiting));
    for (unsigned k = 0; k < request->in_count; k++)
        for (size_t b = 0; b < request->in[k].iov_len && size < sizeof(bytes); b++)
            bytes[size++] = ((const uint8_t *)request->in[k].iov_base)[b];
    for (unsigned k = 0; k < request->out_count; k++)
        for (size_t b = 0; b < request->out[k].iov_len && room < size; b++)
            ((uint8_t *)request->out[k].iov_base)[b] = bytes[size - 1 - room++];
    request->done(request, room);
}

static void setup(void)
{
    struct virtio_slot slot;

    rig_init(&rig);
    slot = rig_slot(&rig);
    memset(&fake, 0, sizeof(fake));
    fake.share = (struct share){&fake_ops, "the-tag", false};
    device = virtio_9p_new(&slot, &fake.share);
    ck_assert(device != NULL);
    rig_map(&rig);
}

static void teardown(void)
{
    virtio_9p_class.free(device);
    rig_free(&rig);
}

/* A message of `size` bytes in two pieces, with room for `room` bytes in two; its id. */
static uint16_t send(uint32_t size, uint32_t room)
{
    const struct rig_piece pieces[] = {
        {MESSAGE, size / 2, false},
        {MESSAGE + size / 2, size - size / 2, false},
        {ANSWER, room / 3, true},
        {ANSWER + room / 3, room - room / 3, true},
    };
    uint16_t id = rig_add(&rig, 0, pieces, 4);

    rig_notify(&rig, 0);
    return id;
}

START_TEST(the_tag_is_in_the_configuration)
{
    ck_assert_uint_eq(pci_config_read(rig.pci, 0, RIG_DEVFN, PCI_VENDOR_ID, 4), 0x10091AF4);
    ck_assert(rig_offered(&rig) & 1); /* VIRTIO_9P_MOUNT_TAG */
    ck_assert_uint_eq(rig_get(&rig, CONFIG, 2), 7);
    for (unsigned n = 0; n < 7; n++)
        ck_assert_uint_eq(rig_get(&rig, CONFIG + 2 + n, 1), (uint8_t) "the-tag"[n]);
}
END_TEST

START_TEST(messages_and_answers_are_carried)
{
    struct rig_used used;

    for (unsigned packed = 0; packed < 2; packed++) {
        rig_start(&rig, 1 | (packed ? VIRTIO_F_RING_PACKED : 0), 1, 32);
        memcpy(rig.ram + MESSAGE, "0123456789", 10);
        memset(rig.ram + ANSWER, 0, 32);
        uint16_t id = send(10, 20);
        ck_assert_uint_eq(fake.count, 1);
        ck_assert(!rig_used(&rig, 0, 4, &used));
        ck_assert(!rig.line.level);
        answer(0);
        ck_assert(rig_used(&rig, 0, 4, &used));
        ck_assert_uint_eq(used.id, id);
        ck_assert_uint_eq(used.written, 10);
        ck_assert_int_eq(memcmp(rig.ram + ANSWER, "9876543210\0", 11), 0);
        ck_assert(rig.line.level);
    }
}
END_TEST

/* Answers come in any order; each goes to its message. */
START_TEST(several_are_under_way)
{
    struct rig_used used;
    uint16_t id[6];

    rig_start(&rig, 1, 1, 32);
    for (unsigned n = 0; n < 6; n++)
        id[n] = send(8 + n, 20);
    ck_assert_uint_eq(fake.count, 6);
    for (unsigned left = 6; left; left--) {
        answer(left / 2);
        ck_assert(rig_used(&rig, 0, 4, &used));
        unsigned which = used.written - 8;
        ck_assert_uint_lt(which, 6);
        ck_assert_uint_eq(used.id, id[which]);
    }
}
END_TEST

/* What is under way at a reset is forgotten, by the server first. */
START_TEST(a_reset_forgets_all)
{
    struct rig_used used;

    rig_start(&rig, 1, 1, 32);
    for (unsigned n = 0; n < 5; n++)
        send(10, 20);
    unsigned before = fake.resets;
    rig_set(&rig, 0x14, 0, 1);
    ck_assert_uint_eq(rig_status(&rig), 0); /* complete at once */
    ck_assert_uint_gt(fake.resets, before);
    rig_start(&rig, 1, 1, 32);
    ck_assert(!rig_used(&rig, 0, 4, &used));
    send(10, 20);
    ck_assert_uint_eq(fake.count, 1);
    answer(0);
    ck_assert(rig_used(&rig, 0, 4, &used));
    ck_assert_uint_eq(used.written, 10);
    /* And at the machine's, and when it goes (teardown). */
    send(10, 20);
    virtio_9p_class.reset(device);
    ck_assert_uint_eq(fake.count, 0);
    rig_map(&rig);
    rig_start(&rig, 1, 1, 32);
    send(10, 20);
}
END_TEST

/* A server that has nothing to say gives the buffers back. */
START_TEST(no_message_no_answer)
{
    const struct rig_piece piece = {MESSAGE, 3, false};
    struct rig_used used;

    rig_start(&rig, 1, 1, 32);
    uint16_t id = rig_add(&rig, 0, &piece, 1);
    rig_notify(&rig, 0);
    ck_assert_uint_eq(fake.count, 1);
    answer(0);
    ck_assert(rig_used(&rig, 0, 1, &used));
    ck_assert_uint_eq(used.id, id);
    ck_assert_uint_eq(used.written, 0);
}
END_TEST

Suite *virtio_9p_suite(void);
Suite *virtio_9p_suite(void)
{
    Suite *suite = suite_create("virtio_9p");
    TCase *tests = tcase_create("tests");

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, the_tag_is_in_the_configuration);
    tcase_add_test(tests, messages_and_answers_are_carried);
    tcase_add_test(tests, several_are_under_way);
    tcase_add_test(tests, a_reset_forgets_all);
    tcase_add_test(tests, no_message_no_answer);
    suite_add_tcase(suite, tests);
    return suite;
}
