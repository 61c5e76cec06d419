/*
 * test_uart.c - the 16550A. Alone: tests/unit/unit uart
 */
#include <check.h>

#include "devices/uart.h"
#include "tests/unit/board.h"

#define BASE 0x3F8

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR, FCR = IIR };

struct rig {
    struct board board;
    struct line irq;
    struct chardev chr;
    struct uart *uart;
    char sent[256];
    size_t sent_size;
    unsigned room_changes;
    const char *script; /* what the other end wants to send, as room allows */
};

static void host_write(struct chardev *chr, const uint8_t *data, size_t size)
{
    struct rig *rig = (struct rig *)((char *)chr - offsetof(struct rig, chr));

    for (size_t i = 0; i < size; i++)
        rig->sent[rig->sent_size++ % sizeof(rig->sent)] = data[i];
}

static void host_room_changed(struct chardev *chr)
{
    struct rig *rig = (struct rig *)((char *)chr - offsetof(struct rig, chr));

    rig->room_changes++;
    while (rig->script && *rig->script && chr->receiver.room(chr->receiver.opaque))
        chr->receiver.receive(chr->receiver.opaque, (const uint8_t *)rig->script++, 1);
}

static uint8_t get(struct rig *rig, unsigned reg)
{
    return in(&rig->board, BASE + reg);
}

static void set(struct rig *rig, unsigned reg, uint8_t value)
{
    out(&rig->board, BASE + reg, value);
}

static void rig_init(struct rig *rig)
{
    memset(rig, 0, sizeof(*rig));
    board_init(&rig->board);
    rig->irq.board = &rig->board;
    rig->chr.write = host_write;
    rig->chr.room_changed = host_room_changed;
    rig->uart =
        uart_new(rig->board.ports, BASE, line_irq(&rig->irq), &rig->chr, rig->board.clock, &rig->board.log);
    ck_assert_ptr_nonnull(rig->uart);
}

/* 115200 bits a second, 8N1, FIFOs, the interrupt line open. */
static void rig_open(struct rig *rig, uint8_t fcr, uint8_t ier)
{
    set(rig, LCR, 0x83);
    set(rig, DATA, 1);
    set(rig, IER, 0);
    set(rig, LCR, 0x03);
    set(rig, FCR, fcr);
    set(rig, MCR, 0x0B);
    set(rig, IER, ier);
}

static void rig_free(struct rig *rig)
{
    uart_class.free(rig->uart);
    ck_assert_msg(!rig->chr.receiver.receive, "a chip that is gone receives nothing");
    board_free(&rig->board);
}

static size_t room(struct rig *rig)
{
    return rig->chr.receiver.room(rig->chr.receiver.opaque);
}

static void receive(struct rig *rig, const char *text)
{
    ck_assert_uint_le(strlen(text), room(rig));
    rig->chr.receiver.receive(rig->chr.receiver.opaque, (const uint8_t *)text, strlen(text));
}

START_TEST(reset_values)
{
    struct rig rig;

    rig_init(&rig);
    ck_assert_uint_eq(get(&rig, IER), 0);
    ck_assert_uint_eq(get(&rig, IIR), 1);
    ck_assert_uint_eq(get(&rig, LCR), 0);
    ck_assert_uint_eq(get(&rig, MCR), 0);
    ck_assert_uint_eq(get(&rig, LSR), 0x60);
    ck_assert_uint_eq(get(&rig, MSR), 0xB0);
    rig_free(&rig);
}
END_TEST

/* What drivers do to tell the family's chips apart must end at 16550A. */
START_TEST(detection)
{
    struct rig rig;

    rig_init(&rig);
    set(&rig, IER, 0xFF);
    ck_assert_uint_eq(get(&rig, IER), 0x0F);
    set(&rig, IER, 0);
    set(&rig, SCR, 0xA5);
    ck_assert_uint_eq(get(&rig, SCR), 0xA5);
    set(&rig, MCR, 0x1A); /* loopback, OUT2, RTS */
    ck_assert_uint_eq(get(&rig, MSR) & 0xF0, 0x90);
    set(&rig, MCR, 0xE0);
    ck_assert_uint_eq(get(&rig, MCR), 0);
    set(&rig, LCR, 0xBF); /* 16650: an enhanced feature register here */
    set(&rig, FCR, 0);
    set(&rig, LCR, 0);
    set(&rig, FCR, 0x01);
    ck_assert_uint_eq(get(&rig, IIR) >> 6, 3);
    set(&rig, LCR, 0x80);
    ck_assert_uint_ne(get(&rig, IIR), 0);
    set(&rig, LCR, 0xBF);
    ck_assert_uint_ne(get(&rig, IIR), 0);
    set(&rig, LCR, 0x80);
    set(&rig, FCR, 0x21); /* 16750: 64-byte FIFO */
    ck_assert_uint_eq(get(&rig, IIR) >> 5, 6);
    set(&rig, LCR, 0);
    set(&rig, FCR, 0);
    ck_assert_uint_eq(get(&rig, IIR), 1);
    rig_free(&rig);
}
END_TEST

START_TEST(divisor_latch)
{
    struct rig rig;

    rig_init(&rig);
    set(&rig, LCR, 0x80);
    set(&rig, DATA, 0x34);
    set(&rig, IER, 0x12);
    ck_assert_uint_eq(get(&rig, DATA), 0x34);
    ck_assert_uint_eq(get(&rig, IER), 0x12);
    set(&rig, LCR, 0);
    ck_assert_uint_eq(get(&rig, IER), 0);
    ck_assert_uint_eq(rig.sent_size, 0);
    rig_free(&rig);
}
END_TEST

START_TEST(sending)
{
    struct rig rig;

    rig_init(&rig);
    rig_open(&rig, 0x07, 0);
    for (const char *text = "oxbow"; *text; text++) {
        ck_assert_uint_eq(get(&rig, LSR) & 0x60, 0x60);
        set(&rig, DATA, *text);
    }
    ck_assert_uint_eq(rig.sent_size, 5);
    ck_assert_mem_eq(rig.sent, "oxbow", 5);
    ck_assert_uint_eq(rig.irq.rises, 0);
    rig_free(&rig);
}
END_TEST

START_TEST(transmitter_interrupt)
{
    struct rig rig;

    rig_init(&rig);
    rig_open(&rig, 0x07, 0x02);
    ck_assert_msg(rig.irq.level, "enabling it with the transmitter empty asks at once");
    ck_assert_uint_eq(get(&rig, IIR), 0xC2);
    ck_assert_msg(!rig.irq.level, "reading IIR answers it");
    ck_assert_uint_eq(get(&rig, IIR), 0xC1);
    set(&rig, DATA, 'x');
    ck_assert(rig.irq.level);
    ck_assert_uint_eq(rig.irq.rises, 2);
    set(&rig, DATA, 'y');
    ck_assert_msg(rig.irq.rises == 3, "an edge for each byte written");
    set(&rig, IER, 0);
    ck_assert(!rig.irq.level);
    get(&rig, IIR);
    set(&rig, IER, 0x02);
    ck_assert(rig.irq.level);
    get(&rig, IIR);
    set(&rig, IER, 0x02);
    ck_assert_msg(!rig.irq.level, "it was on already");
    set(&rig, IER, 0);
    set(&rig, IER, 0x02);
    ck_assert_uint_eq(get(&rig, IIR), 0xC2);
    rig_free(&rig);
}
END_TEST

START_TEST(out2_gates_the_line)
{
    struct rig rig;

    rig_init(&rig);
    set(&rig, IER, 0x02);
    ck_assert_uint_eq(rig.irq.rises, 0);
    set(&rig, MCR, 0x08);
    ck_assert(rig.irq.level);
    set(&rig, MCR, 0x18);
    ck_assert(!rig.irq.level);
    ck_assert_uint_eq(get(&rig, IIR), 0x02);
    rig_free(&rig);
}
END_TEST

START_TEST(receiving_without_fifo)
{
    struct rig rig;

    rig_init(&rig);
    rig_open(&rig, 0, 0x01);
    ck_assert_uint_eq(room(&rig), 1);
    rig.script = "abc";
    host_room_changed(&rig.chr);
    for (const char *text = "abc"; *text; text++) {
        ck_assert_uint_eq(get(&rig, IIR), 0x04);
        ck_assert_uint_eq(get(&rig, LSR), 0x61);
        ck_assert_uint_eq(get(&rig, DATA), *text);
    }
    ck_assert_uint_eq(get(&rig, LSR), 0x60);
    ck_assert_msg(rig.irq.rises == 3, "the line falls before the next byte");
    rig_free(&rig);
}
END_TEST

START_TEST(trigger_levels)
{
    static const unsigned level[] = {1, 4, 8, 14};

    for (unsigned i = 0; i < 4; i++) {
        struct rig rig;

        rig_init(&rig);
        rig_open(&rig, i << 6 | 7, 0x01);
        ck_assert_uint_eq(room(&rig), 16);
        for (unsigned n = 1; n < level[i]; n++)
            receive(&rig, "x");
        ck_assert(!rig.irq.level);
        receive(&rig, "x");
        ck_assert(rig.irq.level);
        ck_assert_uint_eq(get(&rig, IIR), 0xC4);
        get(&rig, DATA);
        ck_assert_msg(!rig.irq.level, "below the level the request is gone");
        rig_free(&rig);
    }
}
END_TEST

START_TEST(character_timeout)
{
    struct rig rig;
    uint64_t chars = clock_ticks_to_ns(10 * 16, 1843200); /* 10 bits at 115200 */

    rig_init(&rig);
    rig_open(&rig, 0xC7, 0x01);
    receive(&rig, "a");
    board_advance(&rig.board, 3 * chars);
    receive(&rig, "b");
    board_advance(&rig.board, 4 * chars - 1);
    ck_assert(!rig.irq.level);
    board_advance(&rig.board, 1);
    ck_assert(rig.irq.level);
    ck_assert_uint_eq(get(&rig, IIR), 0xCC);
    ck_assert_msg(rig.irq.level, "only reading the data answers it");
    ck_assert_uint_eq(get(&rig, DATA), 'a');
    ck_assert(!rig.irq.level);
    board_advance(&rig.board, 4 * chars);
    ck_assert_uint_eq(get(&rig, IIR), 0xCC);
    ck_assert_uint_eq(get(&rig, DATA), 'b');
    board_advance(&rig.board, NS_PER_SEC);
    ck_assert(!rig.irq.level);
    rig_free(&rig);
}
END_TEST

START_TEST(draining_makes_room)
{
    struct rig rig;
    static const char text[] = "The quick brown fox jumps over the lazy dog";

    rig_init(&rig);
    rig_open(&rig, 0x07, 0);
    rig.script = text;
    host_room_changed(&rig.chr);
    ck_assert_uint_eq(room(&rig), 0);
    for (unsigned i = 0; i < strlen(text); i++) {
        ck_assert_uint_eq(get(&rig, LSR), 0x61);
        ck_assert_uint_eq(get(&rig, DATA), text[i]);
    }
    ck_assert_uint_eq(get(&rig, LSR), 0x60);
    receive(&rig, "xyz");
    rig.room_changes = 0;
    set(&rig, FCR, 0x03);
    ck_assert_uint_eq(rig.room_changes, 1);
    ck_assert_uint_eq(get(&rig, LSR), 0x60);
    rig_free(&rig);
}
END_TEST

START_TEST(loopback)
{
    struct rig rig;

    rig_init(&rig);
    rig_open(&rig, 0x07, 0);
    get(&rig, MSR);
    set(&rig, MCR, 0x10);
    ck_assert_uint_eq(room(&rig), 0);
    ck_assert_uint_eq(get(&rig, MSR), 0x0B); /* CTS, DSR and DCD fell */
    ck_assert_uint_eq(get(&rig, MSR), 0x00);
    set(&rig, MCR, 0x14);
    ck_assert_uint_eq(get(&rig, MSR), 0x40);
    set(&rig, MCR, 0x10);
    ck_assert_msg(get(&rig, MSR) == 0x04, "the end of the ringing");
    set(&rig, MCR, 0x1F);
    ck_assert_uint_eq(get(&rig, MSR), 0xFB);
    for (int i = 0; i < 17; i++)
        set(&rig, DATA, 'a' + i);
    ck_assert_uint_eq(rig.sent_size, 0);
    ck_assert_uint_eq(get(&rig, LSR), 0x63); /* the 17th was lost */
    ck_assert_uint_eq(get(&rig, LSR), 0x61);
    for (int i = 0; i < 16; i++)
        ck_assert_uint_eq(get(&rig, DATA), 'a' + i);
    ck_assert_uint_eq(get(&rig, LSR), 0x60);
    set(&rig, FCR, 0);
    set(&rig, DATA, '1');
    set(&rig, DATA, '2');
    ck_assert_uint_eq(get(&rig, LSR), 0x63);
    ck_assert_msg(get(&rig, DATA) == '2', "without FIFOs the new byte takes the old one's place");
    rig.room_changes = 0;
    set(&rig, MCR, 0x0B);
    ck_assert_uint_eq(rig.room_changes, 1);
    rig_free(&rig);
}
END_TEST

START_TEST(priorities)
{
    struct rig rig;

    rig_init(&rig);
    rig_open(&rig, 0x07, 0x0F);
    set(&rig, MCR, 0x18);
    set(&rig, MCR, 0x08); /* modem lines moved */
    set(&rig, DATA, 'x');
    uart_receive_break(rig.uart);
    ck_assert_uint_eq(get(&rig, IIR), 0xC6);
    ck_assert_uint_eq(get(&rig, LSR), 0xF1); /* break, and an error is in the FIFO */
    ck_assert_uint_eq(get(&rig, LSR), 0x61);
    ck_assert_uint_eq(get(&rig, IIR), 0xC4);
    ck_assert_uint_eq(get(&rig, DATA), 0);
    ck_assert_uint_eq(get(&rig, IIR), 0xC2);
    ck_assert_uint_eq(get(&rig, IIR), 0xC0);
    ck_assert(rig.irq.level);
    get(&rig, MSR);
    ck_assert_uint_eq(get(&rig, IIR), 0xC1);
    ck_assert(!rig.irq.level);
    rig_free(&rig);
}
END_TEST

START_TEST(break_shows_when_its_turn_comes)
{
    struct rig rig;

    rig_init(&rig);
    rig_open(&rig, 0xC7, 0x04);
    receive(&rig, "a");
    uart_receive_break(rig.uart);
    ck_assert(!rig.irq.level);
    ck_assert_uint_eq(get(&rig, LSR), 0xE1); /* somewhere in the FIFO */
    ck_assert_uint_eq(get(&rig, DATA), 'a');
    ck_assert(rig.irq.level);
    ck_assert_uint_eq(get(&rig, LSR), 0xF1);
    rig_free(&rig);
}
END_TEST

START_TEST(no_peer)
{
    struct rig rig;
    struct uart *mute;

    rig_init(&rig);
    mute = uart_new(rig.board.ports, 0x2F8, (struct irq){0}, NULL, rig.board.clock, NULL);
    out(&rig.board, 0x2F8, 'x');
    ck_assert_uint_eq(in(&rig.board, 0x2F8 + LSR), 0x60);
    uart_class.free(mute);
    rig_free(&rig);
}
END_TEST

START_TEST(snapshot_goes_on)
{
    struct rig rig, copy;

    rig_init(&rig);
    rig_init(&copy);
    rig_open(&rig, 0x87, 0x01);
    receive(&rig, "abc");
    board_copy_state(&uart_class, rig.uart, copy.uart);
    ck_assert(!copy.irq.level);
    board_advance(&copy.board, NS_PER_SEC);
    ck_assert(copy.irq.level);
    ck_assert_uint_eq(get(&copy, IIR), 0xCC);
    ck_assert_uint_eq(get(&copy, DATA), 'a');
    rig_free(&copy);
    rig_free(&rig);
}
END_TEST

START_TEST(fuzz)
{
    struct rig rig, copy;
    uint8_t data[16];

    rig_init(&rig);
    for (int i = 0; i < 500000; i++) {
        uint32_t r = board_random(&rig.board);

        switch (r % 4) {
        case 0:
            set(&rig, r >> 8 & 7, r >> 16);
            break;
        case 1:
        case 2:
            get(&rig, r >> 8 & 7);
            break;
        default:
            for (unsigned n = 0; n < sizeof(data); n++)
                data[n] = r >> n;
            rig.chr.receiver.receive(rig.chr.receiver.opaque, data,
                                     room(&rig) ? (r >> 16) % (room(&rig) + 1) : 0);
            if (!(r >> 20 & 15))
                uart_receive_break(rig.uart);
            break;
        }
        ck_assert_uint_le(room(&rig), 16);
        rig.board.now += board_random_step(&rig.board) >> 4;
        clock_run(rig.board.clock);
    }
    rig_init(&copy);
    board_copy_state(&uart_class, rig.uart, copy.uart);
    ck_assert_int_eq(copy.irq.level, rig.irq.level);
    rig_free(&copy);
    rig_free(&rig);
}
END_TEST

Suite *uart_suite(void)
{
    Suite *suite = suite_create("uart");
    TCase *registers = tcase_create("registers"), *data = tcase_create("data"),
          *random = tcase_create("random");

    tcase_add_test(registers, reset_values);
    tcase_add_test(registers, detection);
    tcase_add_test(registers, divisor_latch);
    tcase_add_test(registers, out2_gates_the_line);
    tcase_add_test(registers, loopback);
    tcase_add_test(registers, priorities);
    suite_add_tcase(suite, registers);
    tcase_add_test(data, sending);
    tcase_add_test(data, transmitter_interrupt);
    tcase_add_test(data, receiving_without_fifo);
    tcase_add_test(data, trigger_levels);
    tcase_add_test(data, character_timeout);
    tcase_add_test(data, draining_makes_room);
    tcase_add_test(data, break_shows_when_its_turn_comes);
    tcase_add_test(data, no_peer);
    tcase_add_test(data, snapshot_goes_on);
    suite_add_tcase(suite, data);
    tcase_set_timeout(random, 60);
    tcase_add_test(random, fuzz);
    suite_add_tcase(suite, random);
    return suite;
}
