/* The keyboard controller, system control port A, and the debug ports. Alone: tests/unit/unit i8042 */
#include "devices/debug_port.h"
#include "devices/i8042.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/board.h"

#define FRAME 660000ull /* ns a byte takes on the cable */
#define KEY_A 0x04

static struct bus *ports;
static struct i8042 *kbc;
static struct debug_port *debug;
static bool irq1, irq12, a20;
static unsigned resets;
static char text[2][16];
static size_t length[2];

static void on_wire(void *opaque, int n, bool level)
{
    (void)opaque;
    switch (n) {
    case 0:
        irq1 = level;
        break;
    case 1:
        irq12 = level;
        break;
    case 2:
        resets += level;
        break;
    default:
        a20 = level;
    }
}

static void collect(int which, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        text[which][length[which]++ % 15] = data[i];
}

static void write_console(struct chardev *chr, const uint8_t *data, size_t size)
{
    (void)chr;
    collect(0, data, size);
}

static void write_firmware(struct chardev *chr, const uint8_t *data, size_t size)
{
    (void)chr;
    collect(1, data, size);
}

static struct chardev console = {.write = write_console}, firmware = {.write = write_firmware};

static void setup(void)
{
    struct i8042_wires wires = {.irq_keyboard = {on_wire, NULL, 0},
                                .irq_mouse = {on_wire, NULL, 1},
                                .reset = {on_wire, NULL, 2},
                                .a20 = {on_wire, NULL, 3}};
    struct debug_port_wires debug_wires = {.console = &console, .firmware = &firmware};

    resets = 0;
    irq1 = irq12 = a20 = false;
    memset(text, 0, sizeof(text));
    memset(length, 0, sizeof(length));
    ports = bus_new("ports", 0x10000, NULL);
    kbc = i8042_new(ports, &wires, NULL);
    debug = debug_port_new(ports, &debug_wires);
}

static void teardown(void)
{
    i8042_class.free(kbc);
    debug_port_class.free(debug);
    bus_free(ports);
}

static void command(uint8_t value)
{
    bus_write(ports, 0x64, value, 1);
}

static void data(uint8_t value)
{
    bus_write(ports, 0x60, value, 1);
}

static uint8_t status(void)
{
    return bus_read(ports, 0x64, 1);
}

/* The answer, -1 when there is none. */
static int answer(void)
{
    return status() & 1 ? (int)bus_read(ports, 0x60, 1) : -1;
}

START_TEST(controller_commands)
{
    ck_assert_int_eq(answer(), -1);
    command(0xAA);
    ck_assert_uint_eq(status() & 0x0D, 0x0D); /* full, system flag, last was a command */
    ck_assert_int_eq(answer(), 0x55);
    ck_assert_int_eq(answer(), -1);
    command(0xAB);
    ck_assert_int_eq(answer(), 0);
    command(0xA9);
    ck_assert_int_eq(answer(), 0);
    command(0x60);
    data(0x47);
    ck_assert_uint_eq(status() & 0x08, 0);
    command(0x20);
    ck_assert_int_eq(answer(), 0x47);
    command(0xA7);
    command(0xAD);
    command(0x20);
    ck_assert_int_eq(answer(), 0x77);
    command(0xA8);
    command(0xAE);
    command(0x20);
    ck_assert_int_eq(answer(), 0x47);
    command(0x7F);
    data(0x99);
    command(0x3F);
    ck_assert_int_eq(answer(), 0x99);
}
END_TEST

START_TEST(nothing_plugged_in)
{
    command(0x60);
    data(0x03);                               /* both interrupts on */
    data(0xFF);                               /* keyboard reset */
    ck_assert_uint_eq(status() & 0x61, 0x41); /* time-out, keyboard */
    ck_assert(irq1 && !irq12);
    ck_assert_int_eq(answer(), 0xFE);
    ck_assert(!irq1);
    ck_assert_uint_eq(status() & 0x61, 0);
    command(0xD4);
    data(0xF2);
    ck_assert_uint_eq(status() & 0x61, 0x61);
    ck_assert(!irq1 && irq12);
    ck_assert_int_eq(answer(), 0xFE);
    ck_assert_int_eq(answer(), -1);
    command(0xD3); /* loop-back works */
    data(0x5A);
    ck_assert_uint_eq(status() & 0x61, 0x21);
    ck_assert_int_eq(answer(), 0x5A);
}
END_TEST

START_TEST(reset_and_a20)
{
    ck_assert(a20); /* after reset the CPU fetches from the top */
    command(0xD0);
    ck_assert_int_eq(answer() & 3, 3);
    command(0xD1);
    data(0xDD);
    ck_assert(!a20);
    bus_write(ports, 0x92, 0x02, 1);
    ck_assert(a20);
    ck_assert_uint_eq(bus_read(ports, 0x92, 1), 0x02);
    bus_write(ports, 0x92, 0x00, 1);
    ck_assert(!a20);
    command(0xDF);
    ck_assert(a20);
    command(0xDD);
    ck_assert(!a20);
    ck_assert_uint_eq(bus_read(ports, 0x92, 1), 0x00);
    command(0xDF);
    bus_write(ports, 0x92, 0x00, 1); /* the last write counts */
    ck_assert(!a20);
    ck_assert_uint_eq(resets, 0);
    command(0xFF); /* pulses nothing */
    ck_assert_uint_eq(resets, 0);
    command(0xFE);
    ck_assert_uint_eq(resets, 1);
    command(0xD1);
    data(0x02);
    ck_assert_uint_eq(resets, 2);
    bus_write(ports, 0x92, 0x01, 1);
    ck_assert_uint_eq(resets, 3);
    bus_write(ports, 0x92, 0x01, 1); /* no rising edge */
    ck_assert_uint_eq(resets, 3);
    i8042_class.reset(kbc);
    ck_assert(a20);
}
END_TEST

START_TEST(debug_ports)
{
    bus_write(ports, 0xE9, 'o', 1);
    bus_write(ports, 0xE9, 'x', 1);
    bus_write(ports, 0x402, 'f', 1);
    ck_assert_str_eq(text[0], "ox");
    ck_assert_str_eq(text[1], "f");
    ck_assert_uint_eq(bus_read(ports, 0xE9, 1), 0xE9);
    ck_assert_uint_eq(bus_read(ports, 0x402, 1), 0xE9);
}
END_TEST

START_TEST(debug_ports_unwired)
{
    struct debug_port_wires none = {0};
    struct bus *bare = bus_new("bare", 0x10000, NULL);
    struct debug_port *port = debug_port_new(bare, &none);

    bus_write(bare, 0xE9, 'x', 1);
    bus_write(bare, 0x402, 'x', 1);
    ck_assert_uint_eq(bus_read(bare, 0xE9, 1), 0xE9);
    debug_port_class.free(port);
    bus_free(bare);
}
END_TEST

/* An interrupt line is up only while there is something to read. */
START_TEST(random_accesses)
{
    static const uint16_t port[] = {0x60, 0x64, 0x64, 0x60, 0x92, 0xE9, 0x402, 0xF4};
    uint64_t seed = 5;

    for (unsigned i = 0; i < 100000; i++) {
        uint32_t a;

        seed = seed * 6364136223846793005u + 1442695040888963407u;
        a = seed >> 32;
        if (a & 8)
            bus_write(ports, port[a & 7], a >> 8, 1u << (a >> 16 & 3));
        else
            bus_read(ports, port[a & 7], 1u << (a >> 16 & 3));
        ck_assert(!(irq1 && irq12));
        ck_assert(!(irq1 || irq12) || (status() & 1));
    }
}
END_TEST

/* The controller with both devices. */
struct rig {
    struct board board;
    struct line irq1, irq12, reset, a20;
    struct ps2_keyboard *keyboard;
    struct ps2_mouse *mouse;
    struct i8042 *kbc;
    struct input_sink keys, motion;
};

static void rig_init(struct rig *rig)
{
    struct i8042_wires wires;

    memset(rig, 0, sizeof(*rig));
    board_init(&rig->board);
    rig->irq1.board = rig->irq12.board = &rig->board;
    wires = (struct i8042_wires){line_irq(&rig->irq1), line_irq(&rig->irq12), line_irq(&rig->reset),
                                 line_irq(&rig->a20)};
    rig->keyboard = ps2_keyboard_new(rig->board.clock, &rig->board.log);
    rig->mouse = ps2_mouse_new(rig->board.clock, &rig->board.log);
    rig->kbc = i8042_new(rig->board.ports, &wires, &rig->board.log);
    ck_assert(rig->keyboard && rig->mouse && rig->kbc);
    i8042_plug(rig->kbc, rig->board.clock, ps2_keyboard_cable(rig->keyboard), ps2_mouse_cable(rig->mouse));
    rig->keys = ps2_keyboard_sink(rig->keyboard);
    rig->motion = ps2_mouse_sink(rig->mouse);
}

static void rig_free(struct rig *rig)
{
    i8042_class.free(rig->kbc);
    ps2_keyboard_class.free(rig->keyboard);
    ps2_mouse_class.free(rig->mouse);
    board_free(&rig->board);
}

/* The next byte within `frames`, with the mouse's bit above it; -1 when none came. */
static int next_byte(struct rig *rig, unsigned frames)
{
    board_advance(&rig->board, frames * FRAME);
    if (!(in(&rig->board, 0x64) & 1))
        return -1;
    return (in(&rig->board, 0x64) & 0x20) << 3 | in(&rig->board, 0x60);
}

static void set_mode(struct rig *rig, uint8_t mode)
{
    out(&rig->board, 0x64, 0x60);
    out(&rig->board, 0x60, mode);
}

START_TEST(keys_arrive)
{
    struct rig rig;

    rig_init(&rig);
    set_mode(&rig, 0x65); /* translate, IRQ 1 */
    rig.keys.key(rig.keys.opaque, KEY_A, true);
    board_advance(&rig.board, FRAME - 1);
    ck_assert_uint_eq(in(&rig.board, 0x64) & 1, 0); /* still on the cable */
    ck_assert(!rig.irq1.level);
    board_advance(&rig.board, 1);
    ck_assert_uint_eq(in(&rig.board, 0x64) & 0x21, 1);
    ck_assert(rig.irq1.level && !rig.irq12.level);
    out(&rig.board, 0x64, 0xD0); /* an answer waits for its turn */
    ck_assert_uint_eq(in(&rig.board, 0x60), 0x1E);
    ck_assert_uint_eq(in(&rig.board, 0x60) & 0x13, 0x13); /* with the output full */
    ck_assert_uint_eq(in(&rig.board, 0x64) & 1, 0);
    ck_assert(!rig.irq1.level);
    rig.keys.key(rig.keys.opaque, KEY_A, false);
    ck_assert_int_eq(next_byte(&rig, 2), 0x9E); /* F0 1C takes two frames */
    ck_assert_int_eq(next_byte(&rig, 2), -1);
    set_mode(&rig, 0x25); /* as it comes */
    rig.keys.key(rig.keys.opaque, KEY_A, true);
    rig.keys.key(rig.keys.opaque, KEY_A, false);
    ck_assert_int_eq(next_byte(&rig, 1), 0x1C);
    ck_assert_int_eq(next_byte(&rig, 1), 0xF0);
    ck_assert_int_eq(next_byte(&rig, 1), 0x1C);
    set_mode(&rig, 0x75); /* clock held low: the keyboard keeps it */
    rig.keys.key(rig.keys.opaque, KEY_A, true);
    ck_assert_int_eq(next_byte(&rig, 5), -1);
    out(&rig.board, 0x64, 0xAE);
    ck_assert_int_eq(next_byte(&rig, 1), 0x1E);
    rig_free(&rig);
}
END_TEST

START_TEST(translation)
{
    struct rig rig;

    rig_init(&rig);
    set_mode(&rig, 0x65);
    out(&rig.board, 0x60, 0xF2); /* identify: AB 83 */
    ck_assert_int_eq(next_byte(&rig, 2), 0xFA);
    ck_assert_int_eq(next_byte(&rig, 1), 0xAB);
    ck_assert_int_eq(next_byte(&rig, 1), 0x41);
    rig.keys.key(rig.keys.opaque, 0x40, true); /* F7, 83 */
    rig.keys.key(rig.keys.opaque, 0x40, false);
    ck_assert_int_eq(next_byte(&rig, 1), 0x41);
    ck_assert_int_eq(next_byte(&rig, 2), 0xC1);
    rig.keys.key(rig.keys.opaque, 0x48, true); /* Pause */
    for (const char *s = "\xE1\x1D\x45\xE1\x9D\xC5"; *s; s++)
        ck_assert_int_eq(next_byte(&rig, 2), (uint8_t)*s);
    ck_assert_int_eq(next_byte(&rig, 2), -1);
    rig_free(&rig);
}
END_TEST

START_TEST(both_ports)
{
    struct rig rig;

    rig_init(&rig);
    set_mode(&rig, 0x47); /* both interrupts, both ports */
    out(&rig.board, 0x64, 0xD4);
    out(&rig.board, 0x60, 0xF4);
    board_advance(&rig.board, FRAME);
    ck_assert_uint_eq(in(&rig.board, 0x64) & 1, 0); /* there and back */
    ck_assert_int_eq(next_byte(&rig, 1), 0x1FA);
    ck_assert_uint_eq(rig.irq12.rises, 1);
    rig.motion.pointer(rig.motion.opaque, 3, 2, 0, 0);
    rig.keys.key(rig.keys.opaque, KEY_A, true);
    rig.keys.key(rig.keys.opaque, KEY_A, false);
    ck_assert_int_eq(next_byte(&rig, 1), 0x1E); /* turns */
    ck_assert_int_eq(next_byte(&rig, 1), 0x128);
    ck_assert_int_eq(next_byte(&rig, 2), 0x103);
    ck_assert_int_eq(next_byte(&rig, 1), 0x9E);
    ck_assert_int_eq(next_byte(&rig, 1), 0x1FE);
    ck_assert_uint_eq(rig.irq1.rises, 2);
    ck_assert_uint_eq(rig.irq12.rises, 4);
    out(&rig.board, 0x64, 0xA7);
    rig.motion.pointer(rig.motion.opaque, 1, 0, 0, 0);
    ck_assert_int_eq(next_byte(&rig, 30), -1);
    out(&rig.board, 0x64, 0xA8);
    ck_assert_int_eq(next_byte(&rig, 1), 0x108);
    rig_free(&rig);
}
END_TEST

START_TEST(set_up_and_reset)
{
    struct rig rig;

    rig_init(&rig);
    rig.keys.key(rig.keys.opaque, KEY_A, true);
    ck_assert_int_eq(next_byte(&rig, 9), -1); /* after reset both ports are off */
    i8042_set_up(rig.kbc);
    ck_assert_uint_eq(in(&rig.board, 0x64) & 4, 4);
    ck_assert_int_eq(next_byte(&rig, 1), 0x1E);
    ck_assert_uint_eq(rig.irq1.rises, 1);
    rig.keys.key(rig.keys.opaque, KEY_A, false);
    i8042_class.reset(rig.kbc);
    ck_assert_int_eq(next_byte(&rig, 9), -1);
    rig_free(&rig);
}
END_TEST

/* Nonsense from guest and user, a snapshot now and then; interrupt lines only with something to read. */
START_TEST(random_use)
{
    static const uint16_t random_port[] = {0x60, 0x64, 0x60, 0x60};
    struct rig rig, other;

    rig_init(&rig);
    for (unsigned i = 0; i < 30000; i++) {
        uint32_t a = board_random(&rig.board);

        switch (a & 7) {
        case 0:
            rig.keys.key(rig.keys.opaque, a >> 8, a & 8);
            break;
        case 1:
            rig.motion.pointer(rig.motion.opaque, (int)board_random(&rig.board),
                               (int)board_random(&rig.board), (int)board_random(&rig.board), a >> 8);
            break;
        case 2:
        case 3:
            out(&rig.board, random_port[a >> 4 & 3], a & 8 ? a >> 8 : 0xF0 | (a >> 8 & 15));
            break;
        default:
            in(&rig.board, random_port[a >> 4 & 3]);
        }
        board_advance(&rig.board, board_random(&rig.board) % (a & 0x100 ? 100000 : 3000000));
        ck_assert(!(rig.irq1.level && rig.irq12.level));
        ck_assert(!(rig.irq1.level || rig.irq12.level) || (in(&rig.board, 0x64) & 1));
        if (i % 3000 == 0) {
            rig_init(&other);
            board_copy_state(&ps2_keyboard_class, rig.keyboard, other.keyboard);
            board_copy_state(&ps2_mouse_class, rig.mouse, other.mouse);
            rig_free(&other);
        }
    }
    rig_free(&rig);
}
END_TEST

Suite *i8042_suite(void)
{
    Suite *suite = suite_create("i8042");
    TCase *tcase = tcase_create("i8042");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, controller_commands);
    tcase_add_test(tcase, nothing_plugged_in);
    tcase_add_test(tcase, reset_and_a20);
    tcase_add_test(tcase, debug_ports);
    tcase_add_test(tcase, debug_ports_unwired);
    tcase_add_test(tcase, random_accesses);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("plugged in");
    tcase_add_test(tcase, keys_arrive);
    tcase_add_test(tcase, translation);
    tcase_add_test(tcase, both_ports);
    tcase_add_test(tcase, set_up_and_reset);
    tcase_add_test(tcase, random_use);
    suite_add_tcase(suite, tcase);
    return suite;
}
