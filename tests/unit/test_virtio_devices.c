/* The small virtio devices: randomness, balloon, console, input. Section numbers: virtio 1.2. */
#include "core/chardev.h"
#include "devices/virtio_balloon.h"
#include "devices/virtio_console.h"
#include "devices/virtio_input.h"
#include "devices/virtio_rng.h"
#include "tests/unit/virtio_rig.h"

static struct rig rig;
static const struct device_class *class;
static void *device;

static void setup(void)
{
    rig_init(&rig);
    device = NULL;
}

static void teardown(void)
{
    if (device)
        class->free(device);
    rig_free(&rig);
}

static void plugged(const struct device_class *its_class, void *it)
{
    ck_assert(it != NULL);
    class = its_class;
    device = it;
    rig_map(&rig);
}

/* Memory for the device to write, one piece a chain. */
static uint16_t give(unsigned queue, uint64_t address, uint32_t size)
{
    return rig_add(&rig, queue, (const struct rig_piece[]){{address, size, true}}, 1);
}

/* Memory for it to read; and it does. */
static void say(unsigned queue, const void *data, uint32_t size)
{
    struct rig_used used;

    memcpy(rig.ram + RIG_BUFFERS, data, size);
    rig_add(&rig, queue, (const struct rig_piece[]){{RIG_BUFFERS, size, false}}, 1);
    rig_notify(&rig, queue);
    ck_assert(rig_used(&rig, queue, 1, &used));
    ck_assert_uint_eq(used.written, 0);
}

static const uint64_t rings[] = {0, VIRTIO_F_RING_PACKED | VIRTIO_F_EVENT_IDX};

/* --- randomness */

static uint64_t count_up(void *opaque)
{
    return ++*(uint64_t *)opaque * 0x0101010101010101;
}

START_TEST(random_bytes)
{
    uint64_t number = 0;
    struct virtio_rng_wires wires = {rig_slot(&rig), count_up, &number};
    struct rig_used used;

    plugged(&virtio_rng_class, virtio_rng_new(&wires));
    rig_start(&rig, rings[_i], 1, 8);
    give(0, RIG_BUFFERS, 20);
    rig_notify(&rig, 0);
    ck_assert(rig_used(&rig, 0, 1, &used));
    ck_assert_uint_eq(used.written, 20);
    ck_assert_mem_eq(rig.ram + RIG_BUFFERS, "\1\1\1\1\1\1\1\1\2\2\2\2\2\2\2\2\3\3\3\3\0", 21);
    ck_assert(rig.line.level);
    give(0, RIG_BUFFERS, 0x100000); /* it gives some of so much */
    rig_notify(&rig, 0);
    ck_assert(rig_used(&rig, 0, 1, &used));
    ck_assert_uint_eq(used.written, 65536);
    ck_assert_uint_eq(rig.ram[RIG_BUFFERS + 65536], 0);
}
END_TEST

/* --- balloon */

static struct {
    uint8_t *host[16];
    size_t size[16];
    unsigned count, changes;
} released;

static void release(void *opaque, uint8_t *host, size_t size)
{
    (void)opaque;
    ck_assert(host >= rig.ram && size <= RIG_RAM && host + size <= rig.ram + RIG_RAM);
    ck_assert_uint_lt(released.count, 16);
    released.host[released.count] = host;
    released.size[released.count++] = size;
}

static void changed(void *opaque)
{
    (void)opaque;
    released.changes++;
}

static struct virtio_balloon *plug_balloon(void)
{
    const struct virtio_balloon_wires wires = {rig_slot(&rig), release, changed, NULL};

    memset(&released, 0, sizeof(released));
    plugged(&virtio_balloon_class, virtio_balloon_new(&wires));
    return device;
}

#define F_STATS     (1ull << 1)
#define F_REPORTING (1ull << 5)

START_TEST(a_balloon_takes_pages)
{
    static const uint32_t up[] = {0x200, 0x201, 0x202}, down[] = {0x30A, 0x309, 0x308, 0x100};
    static const uint32_t nowhere[] = {0xFFFFFFFF, 0x210};
    struct virtio_balloon *balloon = plug_balloon();

    rig_start(&rig, rings[_i], 2, 8);
    virtio_balloon_set(balloon, 0x30000);
    ck_assert_uint_eq(rig_get(&rig, 0x2000, 4), 0x30);
    ck_assert_uint_eq(rig_get(&rig, 0x1000, 1), 2);
    say(0, up, sizeof(up));
    ck_assert_uint_eq(released.count, 1);
    ck_assert(released.host[0] == rig.ram + 0x200000 && released.size[0] == 0x3000);
    say(0, down, sizeof(down));
    ck_assert_uint_eq(released.count, 3);
    ck_assert(released.host[1] == rig.ram + 0x308000 && released.size[1] == 0x3000);
    ck_assert(released.host[2] == rig.ram + 0x100000 && released.size[2] == 0x1000);
    say(0, nowhere, sizeof(nowhere));
    ck_assert_uint_eq(released.count, 4);
    say(1, up, sizeof(up));
    ck_assert_uint_eq(released.count, 4);
    rig_set(&rig, 0x2004, 0x30, 4);
    ck_assert_uint_eq(virtio_balloon_size(balloon), 0x30000);
    ck_assert_uint_eq(released.changes, 1);
    rig_set(&rig, 0x2000, 0x99, 4); /* not the driver's */
    ck_assert_uint_eq(rig_get(&rig, 0x2000, 4), 0x30);
    ck_assert_uint_eq(rig_status(&rig), 0x0F);
}
END_TEST

START_TEST(a_balloon_hears_of_free_memory)
{
    /* The reporting queue comes behind those that there are. */
    unsigned queue = _i ? 3 : 2;
    struct rig_used used;

    plug_balloon();
    rig_start(&rig, F_REPORTING | (_i ? F_STATS : 0), queue + 1, 8);
    rig_add(&rig, queue, (const struct rig_piece[]){{0x200000, 0x5000, true}, {0x300800, 0x2000, true}}, 2);
    rig_notify(&rig, queue);
    ck_assert(rig_used(&rig, queue, 2, &used));
    ck_assert_uint_eq(released.count, 2);
    ck_assert(released.host[0] == rig.ram + 0x200000 && released.size[0] == 0x5000);
    ck_assert(released.host[1] == rig.ram + 0x301000 && released.size[1] == 0x1000);
}
END_TEST

static void put_stat(uint64_t at, unsigned tag, uint64_t value)
{
    rig_put(&rig, at, tag, 2);
    rig_put(&rig, at + 2, value, 8);
}

START_TEST(a_balloon_has_statistics)
{
    struct virtio_balloon *balloon = plug_balloon();
    struct rig_used used;

    rig_start(&rig, F_STATS | rings[_i], 3, 8);
    ck_assert_uint_eq(virtio_balloon_stat(balloon, BALLOON_FREE), UINT64_MAX);
    virtio_balloon_ask(balloon); /* there is nobody to ask yet */
    put_stat(RIG_BUFFERS, BALLOON_FREE, 123456789);
    put_stat(RIG_BUFFERS + 10, 999, 1);
    put_stat(RIG_BUFFERS + 20, BALLOON_TOTAL, 1ull << 33);
    rig_add(&rig, 2, (const struct rig_piece[]){{RIG_BUFFERS, 30, false}}, 1);
    rig_notify(&rig, 2);
    ck_assert_uint_eq(virtio_balloon_stat(balloon, BALLOON_FREE), 123456789);
    ck_assert_uint_eq(virtio_balloon_stat(balloon, BALLOON_TOTAL), 1ull << 33);
    ck_assert(!rig_used(&rig, 2, 1, &used));
    virtio_balloon_ask(balloon);
    ck_assert(rig_used(&rig, 2, 1, &used));
    put_stat(RIG_BUFFERS, BALLOON_FREE, 77);
    rig_add(&rig, 2, (const struct rig_piece[]){{RIG_BUFFERS, 30, false}}, 1);
    rig_notify(&rig, 2);
    ck_assert_uint_eq(virtio_balloon_stat(balloon, BALLOON_FREE), 77);
    rig_set(&rig, 0x14, 0, 1);
    ck_assert_uint_eq(virtio_balloon_stat(balloon, BALLOON_FREE), UINT64_MAX);
}
END_TEST

/* --- console */

static struct stream {
    struct chardev chr;
    char text[64];
    size_t size;
    unsigned room_changes;
} stream[2];

static void keep(struct chardev *chr, const uint8_t *data, size_t size)
{
    struct stream *s = (struct stream *)chr;

    ck_assert_uint_le(s->size + size, sizeof(s->text));
    memcpy(s->text + s->size, data, size);
    s->size += size;
}

static void room_changed(struct chardev *chr)
{
    ((struct stream *)chr)->room_changes++;
}

static size_t room_of(unsigned n)
{
    return stream[n].chr.receiver.room(stream[n].chr.receiver.opaque);
}

static void type(unsigned n, const char *text)
{
    ck_assert_uint_ge(room_of(n), strlen(text));
    stream[n].chr.receiver.receive(stream[n].chr.receiver.opaque, (const uint8_t *)text, strlen(text));
}

static void plug_console(void)
{
    struct virtio_console_wires wires = {.bus = rig_slot(&rig), .ports = 2};

    memset(stream, 0, sizeof(stream));
    for (unsigned n = 0; n < 2; n++) {
        stream[n].chr.write = keep;
        stream[n].chr.room_changed = room_changed;
        wires.port[n].chr = &stream[n].chr;
    }
    wires.port[1].name = "org.example.1";
    plugged(&virtio_console_class, virtio_console_new(&wires));
}

START_TEST(a_console)
{
    struct rig_used used;

    plug_console();
    ck_assert_uint_eq(room_of(0), 0);
    rig_start(&rig, rings[_i], 2, 8);
    say(1, "hello", 5);
    ck_assert_uint_eq(stream[0].size, 5);
    ck_assert_mem_eq(stream[0].text, "hello", 5);
    ck_assert_uint_eq(room_of(0), 0);
    give(0, RIG_BUFFERS + 0x1000, 16);
    unsigned before = stream[0].room_changes;
    rig_notify(&rig, 0);
    ck_assert_uint_eq(stream[0].room_changes, before + 1);
    ck_assert_uint_eq(room_of(0), 16);
    type(0, "yes");
    ck_assert(rig_used(&rig, 0, 1, &used));
    ck_assert_uint_eq(used.written, 3);
    ck_assert_mem_eq(rig.ram + RIG_BUFFERS + 0x1000, "yes", 3);
    ck_assert_uint_eq(room_of(0), 0);
    ck_assert_uint_eq(room_of(1), 0);
    rig_set(&rig, 0x2008, '!', 4); /* without any queue */
    ck_assert_uint_eq(stream[0].text[5], '!');
}
END_TEST

static void control(unsigned port, unsigned event, unsigned value)
{
    const uint8_t message[8] = {(uint8_t)port, 0, 0, 0, (uint8_t)event, 0, (uint8_t)value};

    say(3, message, 8);
}

/* What the device says next: port, event, value, and the rest as text. */
static void hears(unsigned slot, unsigned port, unsigned event, unsigned value, const char *text)
{
    const uint8_t *message = rig.ram + 0x200000 + slot * 0x100;
    struct rig_used used;

    ck_assert(rig_used(&rig, 2, 1, &used));
    ck_assert_uint_eq(used.written, 8 + strlen(text));
    ck_assert_uint_eq(message[0], port);
    ck_assert_uint_eq(message[4], event);
    ck_assert_uint_eq(message[6], value);
    ck_assert_mem_eq(message + 8, text, strlen(text));
}

START_TEST(ports)
{
    struct rig_used used;

    plug_console();
    ck_assert_uint_eq(rig_get(&rig, 0x2004, 4), 2);
    ck_assert(rig_negotiate(&rig, VIRTIO_F_VERSION_1 | 2));
    for (unsigned n = 0; n < 4; n++)
        rig_enable(&rig, n, 16);
    /* Queues 4 and 5 are port 1's; the rig has room for four, so theirs are those of 0 and 1, seen anew. */
    rig_set(&rig, 0x14, 0x0F, 1);
    for (unsigned n = 0; n < 3; n++)
        give(2, 0x200000 + n * 0x100, 0x100);
    rig_notify(&rig, 2);
    ck_assert(!rig_used(&rig, 2, 1, &used));
    control(0, 0, 1); /* DEVICE_READY */
    hears(0, 0, 1, 0, "");
    hears(1, 1, 1, 0, "");
    control(0, 3, 1); /* PORT_READY: for this there is memory, and no more */
    hears(2, 0, 4, 1, "");
    for (unsigned n = 3; n < 8; n++)
        give(2, 0x200000 + n * 0x100, 0x100);
    rig_notify(&rig, 2);
    hears(3, 0, 6, 1, "");
    control(1, 3, 1);
    hears(4, 1, 6, 1, "");
    hears(5, 1, 7, 0, "org.example.1");
    control(7, 3, 1); /* a port that isn't there, an event neither */
    control(0, 99, 1);
    ck_assert(!rig_used(&rig, 2, 1, &used));
    give(0, RIG_BUFFERS + 0x1000, 16);
    ck_assert_uint_eq(room_of(0), 0); /* nobody has opened it */
    unsigned before = stream[0].room_changes;
    control(0, 6, 1);
    ck_assert_uint_eq(stream[0].room_changes, before + 1);
    ck_assert_uint_eq(room_of(0), 16);
    control(0, 6, 0);
    ck_assert_uint_eq(room_of(0), 0);
    ck_assert_uint_eq(rig_status(&rig), 0x0F);
}
END_TEST

/* --- input */

static bool used_now;

static void on_used(void *opaque, bool is)
{
    (void)opaque;
    used_now = is;
}

static struct input_sink plug_input(enum virtio_input_kind kind)
{
    const struct virtio_input_wires wires = {rig_slot(&rig), kind, on_used, NULL};

    used_now = false;
    plugged(&virtio_input_class, virtio_input_new(&wires));
    return virtio_input_sink(device);
}

/* What the configuration space says of something; the size. */
static unsigned ask(unsigned select, unsigned subselect)
{
    rig_set(&rig, 0x2000, select, 1);
    rig_set(&rig, 0x2001, subselect, 1);
    return rig_get(&rig, 0x2002, 1);
}

static bool has_code(unsigned type, unsigned code)
{
    return code / 8 < ask(0x11, type) && rig_get(&rig, 0x2008 + code / 8, 1) >> code % 8 & 1;
}

static void give_events(unsigned count)
{
    for (unsigned n = 0; n < count; n++)
        give(0, RIG_BUFFERS + 0x1000 + (rig.queue[0].free % 64) * 8, 8);
    rig_notify(&rig, 0);
}

static void event_is(unsigned type, unsigned code, int value)
{
    struct rig_used used;
    uint64_t at = RIG_BUFFERS + 0x1000;

    ck_assert(rig_used(&rig, 0, 1, &used));
    ck_assert_uint_eq(used.written, 8);
    at += 8 * (uint64_t)used.id;
    ck_assert_uint_eq(rig_peek(&rig, at, 2), type);
    ck_assert_uint_eq(rig_peek(&rig, at + 2, 2), code);
    ck_assert_int_eq((int)(uint32_t)rig_peek(&rig, at + 4, 4), value);
}

START_TEST(what_input_devices_are)
{
    plug_input((enum virtio_input_kind)_i);
    ck_assert_uint_eq(pci_config_read(rig.pci, 0, RIG_DEVFN, 0, 4), 0x10521AF4);
    ck_assert_uint_ge(pci_config_read(rig.pci, 0, RIG_DEVFN, PCI_REVISION, 1), 1);
    ck_assert_uint_eq(pci_config_read(rig.pci, 0, RIG_DEVFN, PCI_BAR(0), 4),
                      0); /* nothing for legacy drivers */
    ck_assert_uint_gt(ask(1, 0), 10);
    ck_assert_uint_eq(rig_get(&rig, 0x2008, 4), 0x6F62784F); /* Oxbo */
    ck_assert_uint_eq(ask(3, 0), 8);
    ck_assert_uint_eq(ask(2, 0), 0);
    ck_assert_uint_eq(ask(0xFF, 0), 0);
    ck_assert_int_eq(has_code(1, 30), _i == VIRTIO_KEYBOARD);
    ck_assert_int_eq(has_code(0x11, 2), _i == VIRTIO_KEYBOARD);
    ck_assert_int_eq(has_code(1, 0x110), _i != VIRTIO_KEYBOARD);
    ck_assert_int_eq(has_code(2, 0), _i == VIRTIO_MOUSE);
    ck_assert_int_eq(has_code(2, 8), _i != VIRTIO_KEYBOARD);
    ck_assert_int_eq(has_code(3, 1), _i == VIRTIO_TABLET);
    ck_assert_uint_eq(ask(0x12, 1), _i == VIRTIO_TABLET ? 20 : 0);
    ck_assert_uint_eq(rig_get(&rig, 0x200C, 4), _i == VIRTIO_TABLET ? 32767 : 0);
    ck_assert_uint_eq(ask(0x12, 2), 0);
    ck_assert_uint_eq(ask(0x11, 0xFF), 0);
}
END_TEST

START_TEST(keys)
{
    struct input_sink sink = plug_input(VIRTIO_KEYBOARD);
    struct rig_used used;

    ck_assert(sink.key && !sink.pointer && !sink.pointer_at);
    sink.key(sink.opaque, 0x04, true); /* nobody listens */
    rig_start(&rig, rings[_i], 2, 64);
    ck_assert(used_now && virtio_input_used(device));
    give_events(4);
    ck_assert(!rig_used(&rig, 0, 1, &used));
    sink.key(sink.opaque, 0x04, true);
    event_is(1, 30, 1);
    event_is(0, 0, 0);
    sink.key(sink.opaque, 0x04, false);
    event_is(1, 30, 0);
    event_is(0, 0, 0);
    sink.key(sink.opaque, 0xE7, true); /* waits for memory */
    sink.key(sink.opaque, 0x03, true); /* no key */
    sink.key(sink.opaque, 1000, true);
    ck_assert(!rig_used(&rig, 0, 1, &used));
    give_events(8);
    event_is(1, 126, 1);
    event_is(0, 0, 0);
    ck_assert(!rig_used(&rig, 0, 1, &used));
    say(1, "\x11\0\0\0\1\0\0", 8); /* a lamp */
    rig_set(&rig, 0x14, 0, 1);
    ck_assert(!used_now);
}
END_TEST

START_TEST(pointers)
{
    struct input_sink sink = plug_input(_i ? VIRTIO_TABLET : VIRTIO_MOUSE);

    rig_start(&rig, 0, 2, 64);
    give_events(64);
    if (_i) {
        ck_assert(sink.pointer_at && !sink.pointer && !sink.key);
        sink.pointer_at(sink.opaque, 0, 32767, 0, BUTTON_LEFT | BUTTON_EXTRA);
        event_is(3, 0, 0);
        event_is(3, 1, 32767);
    } else {
        ck_assert(sink.pointer && !sink.pointer_at && !sink.key);
        sink.pointer(sink.opaque, -5, 0, 0, BUTTON_LEFT | BUTTON_EXTRA);
        event_is(2, 0, -5);
    }
    event_is(1, 0x110, 1);
    event_is(1, 0x114, 1);
    event_is(0, 0, 0);
    if (_i) {
        sink.pointer_at(sink.opaque, 7, 8, -1, BUTTON_RIGHT | BUTTON_EXTRA);
        event_is(3, 0, 7);
        event_is(3, 1, 8);
    } else {
        sink.pointer(sink.opaque, 0, 3, -1, BUTTON_RIGHT | BUTTON_EXTRA);
        event_is(2, 1, 3);
    }
    event_is(2, 8, -1);
    event_is(1, 0x110, 0);
    event_is(1, 0x111, 1);
    event_is(0, 0, 0);
}
END_TEST

/* A driver that gives no memory loses whole reports, never part of one. */
START_TEST(reports_are_whole)
{
    struct input_sink sink = plug_input(VIRTIO_TABLET);
    unsigned events = 0, reports = 0;
    struct rig_used used;

    rig_start(&rig, 0, 2, 64);
    for (int n = 0; n < 1000; n++)
        sink.pointer_at(sink.opaque, n, n, 0, (unsigned)n % 2);
    for (bool more = true; more;) {
        more = false;
        give_events(32);
        for (unsigned n = 0; n < 32 && rig_used(&rig, 0, 1, &used); n++, events++) {
            reports += rig_peek(&rig, RIG_BUFFERS + 0x1000 + 8 * used.id, 2) == 0;
            more = true;
        }
        if (events > 1000)
            break;
    }
    ck_assert_uint_ge(reports, 60);
    ck_assert_uint_le(events, 256);
    ck_assert_uint_ge(events, 3 * reports);
    ck_assert_uint_eq(rig_status(&rig), 0x0F);
}
END_TEST

Suite *virtio_devices_suite(void)
{
    Suite *suite = suite_create("virtio_devices");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, random_bytes, 0, 2);
    tcase_add_loop_test(tc, a_balloon_takes_pages, 0, 2);
    tcase_add_loop_test(tc, a_balloon_hears_of_free_memory, 0, 2);
    tcase_add_loop_test(tc, a_balloon_has_statistics, 0, 2);
    tcase_add_loop_test(tc, a_console, 0, 2);
    tcase_add_test(tc, ports);
    tcase_add_loop_test(tc, what_input_devices_are, 0, 3);
    tcase_add_loop_test(tc, keys, 0, 2);
    tcase_add_loop_test(tc, pointers, 0, 2);
    tcase_add_test(tc, reports_are_whole);
    suite_add_tcase(suite, tc);
    return suite;
}
