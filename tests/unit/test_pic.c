/*
 * test_pic.c - the 8259A pair. Alone: tests/unit/unit pic
 */
#include <check.h>

#include "devices/pic.h"
#include "tests/unit/board.h"

#define MASTER 0x20
#define SLAVE  0xA0
#define ELCR   0x4D0
#define EOI    0x20

struct rig {
    struct board board;
    struct line intr;
    struct pic *pic;
    struct irq in[16];
};

static void program(struct rig *rig, uint16_t chip, uint8_t icw4)
{
    out(&rig->board, chip, 0x11);
    out(&rig->board, chip + 1, chip == MASTER ? 0x30 : 0x38);
    out(&rig->board, chip + 1, chip == MASTER ? 4 : 2);
    out(&rig->board, chip + 1, icw4);
}

static void rig_init(struct rig *rig)
{
    memset(rig, 0, sizeof(*rig));
    board_init(&rig->board);
    rig->pic = pic_new(rig->board.ports, line_irq(&rig->intr), &rig->board.log);
    ck_assert_ptr_nonnull(rig->pic);
    for (int n = 0; n < 16; n++)
        rig->in[n] = pic_input(rig->pic, n);
    program(rig, MASTER, 0x01);
    program(rig, SLAVE, 0x01);
}

static void rig_free(struct rig *rig)
{
    pic_class.free(rig->pic);
    board_free(&rig->board);
}

static uint8_t isr(struct rig *rig, uint16_t chip)
{
    out(&rig->board, chip, 0x0B);
    return in(&rig->board, chip);
}

static uint8_t irr(struct rig *rig, uint16_t chip)
{
    out(&rig->board, chip, 0x0A);
    return in(&rig->board, chip);
}

START_TEST(all_lines_masked_before_initialisation)
{
    struct board board;
    struct line intr = {0};
    struct pic *pic;
    struct irq irq3;

    board_init(&board);
    pic = pic_new(board.ports, line_irq(&intr), NULL);
    irq3 = pic_input(pic, 3);
    irq_pulse(&irq3);
    ck_assert(!intr.level);
    pic_class.free(pic);
    board_free(&board);
}
END_TEST

START_TEST(edge_is_delivered_once)
{
    struct rig rig;

    rig_init(&rig);
    irq_set(&rig.in[3], true);
    ck_assert(rig.intr.level);
    ck_assert_uint_eq(irr(&rig, MASTER), 0x08);
    ck_assert_int_eq(pic_acknowledge(rig.pic), 0x33);
    ck_assert(!rig.intr.level);
    ck_assert_uint_eq(irr(&rig, MASTER), 0);
    ck_assert_uint_eq(isr(&rig, MASTER), 0x08);
    out(&rig.board, MASTER, EOI);
    ck_assert_uint_eq(isr(&rig, MASTER), 0);
    ck_assert_msg(!rig.intr.level, "a line that stays high is no new edge");
    irq_set(&rig.in[3], false);
    irq_pulse(&rig.in[3]);
    ck_assert_msg(rig.intr.level, "a pulse is a request");
    rig_free(&rig);
}
END_TEST

START_TEST(level_requests_until_released)
{
    struct rig rig;

    rig_init(&rig);
    out(&rig.board, ELCR, 0xFF);
    out(&rig.board, ELCR + 1, 0xFF);
    ck_assert_uint_eq(in(&rig.board, ELCR), 0xF8);
    ck_assert_uint_eq(in(&rig.board, ELCR + 1), 0xDE);
    irq_set(&rig.in[5], true);
    ck_assert_int_eq(pic_acknowledge(rig.pic), 0x35);
    out(&rig.board, MASTER, EOI);
    ck_assert(rig.intr.level);
    irq_set(&rig.in[5], false);
    ck_assert(!rig.intr.level);
    rig_free(&rig);
}
END_TEST

START_TEST(lower_priority_waits_for_eoi)
{
    struct rig rig;

    rig_init(&rig);
    irq_pulse(&rig.in[4]);
    ck_assert_int_eq(pic_acknowledge(rig.pic), 0x34);
    irq_pulse(&rig.in[6]);
    ck_assert(!rig.intr.level);
    irq_pulse(&rig.in[1]);
    ck_assert_int_eq(pic_acknowledge(rig.pic), 0x31);
    out(&rig.board, MASTER, EOI); /* ends 1, the more urgent */
    ck_assert_uint_eq(isr(&rig, MASTER), 0x10);
    ck_assert(!rig.intr.level);
    out(&rig.board, MASTER, 0x64); /* specific, 4 */
    ck_assert_int_eq(pic_acknowledge(rig.pic), 0x36);
    rig_free(&rig);
}
END_TEST

START_TEST(mask_holds_back_and_keeps)
{
    struct rig rig;

    rig_init(&rig);
    out(&rig.board, MASTER + 1, 0x08);
    ck_assert_uint_eq(in(&rig.board, MASTER + 1), 0x08);
    irq_pulse(&rig.in[3]);
    ck_assert(!rig.intr.level);
    out(&rig.board, MASTER + 1, 0);
    ck_assert(rig.intr.level);
    rig_free(&rig);
}
END_TEST

START_TEST(cascade)
{
    struct rig rig;

    rig_init(&rig);
    irq_pulse(&rig.in[12]);
    irq_pulse(&rig.in[9]);
    ck_assert_uint_eq(irr(&rig, MASTER), 0x04);
    ck_assert_int_eq(pic_acknowledge(rig.pic), 0x39);
    ck_assert_uint_eq(isr(&rig, MASTER), 0x04);
    ck_assert_uint_eq(isr(&rig, SLAVE), 0x02);
    out(&rig.board, SLAVE, EOI);
    ck_assert_msg(!rig.intr.level, "line 2 of the first chip is still in service");
    out(&rig.board, MASTER, EOI);
    ck_assert_int_eq(pic_acknowledge(rig.pic), 0x3C);
    irq_set(&rig.in[2], true);
    ck_assert_uint_eq(irr(&rig, MASTER), 0);
    rig_free(&rig);
}
END_TEST

START_TEST(cascade_outranks_line_3)
{
    struct rig rig;

    rig_init(&rig);
    irq_pulse(&rig.in[3]);
    irq_pulse(&rig.in[15]);
    ck_assert_int_eq(pic_acknowledge(rig.pic), 0x3F);
    out(&rig.board, SLAVE, EOI);
    out(&rig.board, MASTER, EOI);
    ck_assert_int_eq(pic_acknowledge(rig.pic), 0x33);
    rig_free(&rig);
}
END_TEST

START_TEST(spurious_7_sets_nothing_in_service)
{
    struct rig rig;

    rig_init(&rig);
    out(&rig.board, ELCR, 0x20);
    irq_set(&rig.in[5], true);
    irq_set(&rig.in[5], false);
    ck_assert_int_eq(pic_acknowledge(rig.pic), 0x37);
    ck_assert_uint_eq(isr(&rig, MASTER), 0);
    rig_free(&rig);
}
END_TEST

START_TEST(spurious_15_leaves_the_cascade_in_service)
{
    struct rig rig;

    rig_init(&rig);
    irq_pulse(&rig.in[10]);
    out(&rig.board, SLAVE + 1, 0x04); /* too late: the first chip has seen it */
    ck_assert_int_eq(pic_acknowledge(rig.pic), 0x3F);
    ck_assert_uint_eq(isr(&rig, SLAVE), 0);
    ck_assert_uint_eq(isr(&rig, MASTER), 0x04);
    rig_free(&rig);
}
END_TEST

START_TEST(special_fully_nested)
{
    struct rig rig;

    rig_init(&rig);
    irq_pulse(&rig.in[12]);
    pic_acknowledge(rig.pic);
    irq_pulse(&rig.in[8]);
    ck_assert_msg(!rig.intr.level, "plain nesting: the cascade holds back itself");
    program(&rig, MASTER, 0x11);
    program(&rig, SLAVE, 0x01);
    irq_pulse(&rig.in[12]);
    ck_assert_int_eq(pic_acknowledge(rig.pic), 0x3C);
    irq_pulse(&rig.in[3]);
    ck_assert_msg(!rig.intr.level, "lower lines still wait");
    irq_pulse(&rig.in[8]);
    ck_assert_int_eq(pic_acknowledge(rig.pic), 0x38);
    rig_free(&rig);
}
END_TEST

START_TEST(special_mask_lets_lower_lines_through)
{
    struct rig rig;

    rig_init(&rig);
    irq_pulse(&rig.in[1]);
    pic_acknowledge(rig.pic);
    irq_pulse(&rig.in[5]);
    out(&rig.board, MASTER + 1, 0x02);
    ck_assert(!rig.intr.level);
    out(&rig.board, MASTER, 0x68);
    ck_assert_int_eq(pic_acknowledge(rig.pic), 0x35);
    out(&rig.board, MASTER, EOI); /* passes over the masked line 1 */
    ck_assert_uint_eq(isr(&rig, MASTER), 0x02);
    out(&rig.board, MASTER, 0x48);
    irq_pulse(&rig.in[5]);
    ck_assert(!rig.intr.level);
    rig_free(&rig);
}
END_TEST

START_TEST(rotation)
{
    struct rig rig;

    rig_init(&rig);
    irq_pulse(&rig.in[3]);
    pic_acknowledge(rig.pic);
    out(&rig.board, MASTER, 0xA0); /* ends 3, which becomes the last */
    irq_pulse(&rig.in[3]);
    irq_pulse(&rig.in[7]);
    ck_assert_int_eq(pic_acknowledge(rig.pic), 0x37);
    out(&rig.board, MASTER, 0xE7); /* specific: ends 7, which becomes the last */
    ck_assert_int_eq(pic_acknowledge(rig.pic), 0x33);
    out(&rig.board, MASTER, EOI);
    out(&rig.board, MASTER, 0xC0); /* 0 becomes the last */
    irq_pulse(&rig.in[0]);
    irq_pulse(&rig.in[1]);
    ck_assert_int_eq(pic_acknowledge(rig.pic), 0x31);
    rig_free(&rig);
}
END_TEST

START_TEST(automatic_eoi)
{
    struct rig rig;

    rig_init(&rig);
    program(&rig, MASTER, 0x03);
    program(&rig, SLAVE, 0x03);
    irq_pulse(&rig.in[9]);
    irq_pulse(&rig.in[11]);
    ck_assert_int_eq(pic_acknowledge(rig.pic), 0x39);
    ck_assert_uint_eq(isr(&rig, MASTER) | isr(&rig, SLAVE), 0);
    ck_assert_int_eq(pic_acknowledge(rig.pic), 0x3B);
    ck_assert(!rig.intr.level);
    out(&rig.board, MASTER, 0x80); /* rotate on automatic EOI */
    irq_pulse(&rig.in[0]);
    ck_assert_int_eq(pic_acknowledge(rig.pic), 0x30);
    irq_pulse(&rig.in[0]);
    irq_pulse(&rig.in[1]);
    ck_assert_int_eq(pic_acknowledge(rig.pic), 0x31);
    rig_free(&rig);
}
END_TEST

START_TEST(poll_acknowledges)
{
    struct rig rig;

    rig_init(&rig);
    out(&rig.board, MASTER, 0x0C);
    ck_assert_uint_eq(in(&rig.board, MASTER), 0);
    irq_pulse(&rig.in[14]);
    out(&rig.board, MASTER, 0x0C);
    ck_assert_uint_eq(in(&rig.board, MASTER), 0x82);
    out(&rig.board, SLAVE, 0x0C);
    ck_assert_uint_eq(in(&rig.board, SLAVE + 1), 0x86);
    ck_assert_uint_eq(isr(&rig, SLAVE), 0x40);
    ck_assert_uint_eq(in(&rig.board, SLAVE + 1), 0);
    ck_assert(!rig.intr.level);
    rig_free(&rig);
}
END_TEST

START_TEST(icw1_clears)
{
    struct rig rig;

    rig_init(&rig);
    out(&rig.board, MASTER + 1, 0xF0);
    irq_set(&rig.in[1], true);
    pic_acknowledge(rig.pic);
    irq_set(&rig.in[0], true);
    ck_assert(rig.intr.level);
    out(&rig.board, MASTER, 0x11);
    ck_assert_msg(!rig.intr.level, "nothing is delivered while initialisation lasts");
    out(&rig.board, MASTER + 1, 0x40);
    out(&rig.board, MASTER + 1, 0x04);
    out(&rig.board, MASTER + 1, 0x01);
    ck_assert_uint_eq(in(&rig.board, MASTER + 1), 0);
    ck_assert_uint_eq(irr(&rig, MASTER) | isr(&rig, MASTER), 0);
    irq_set(&rig.in[0], false);
    irq_set(&rig.in[0], true);
    ck_assert_int_eq(pic_acknowledge(rig.pic), 0x40);
    rig_free(&rig);
}
END_TEST

START_TEST(short_initialisation)
{
    struct rig rig;

    rig_init(&rig);
    out(&rig.board, MASTER, 0x12); /* single, no ICW4 */
    out(&rig.board, MASTER + 1, 0x57);
    out(&rig.board, MASTER + 1, 0xFE); /* already a mask */
    ck_assert_uint_eq(in(&rig.board, MASTER + 1), 0xFE);
    irq_pulse(&rig.in[0]);
    ck_assert_int_eq(pic_acknowledge(rig.pic), 0x50);
    rig_free(&rig);
}
END_TEST

START_TEST(fuzz)
{
    static const uint16_t port[] = {MASTER, MASTER + 1, SLAVE, SLAVE + 1, ELCR, ELCR + 1};
    struct rig rig, other;

    rig_init(&rig);
    rig_init(&other);
    for (int i = 0; i < 1000000; i++) {
        uint32_t r = board_random(&rig.board);

        switch (r % 4) {
        case 0:
            irq_set(&rig.in[r >> 8 & 15], r >> 16 & 1);
            break;
        case 1:
            out(&rig.board, port[(r >> 8) % 6], r >> 16);
            break;
        case 2:
            in(&rig.board, port[(r >> 8) % 6]);
            break;
        default:
            if (rig.intr.level) {
                int vector = pic_acknowledge(rig.pic);

                ck_assert(vector >= 0 && vector < 256);
            }
            break;
        }
    }
    board_copy_state(&pic_class, rig.pic, other.pic);
    ck_assert_int_eq(rig.intr.level, other.intr.level);
    rig_free(&other);
    rig_free(&rig);
}
END_TEST

Suite *pic_suite(void)
{
    Suite *suite = suite_create("pic");
    TCase *lines = tcase_create("lines"), *modes = tcase_create("modes"), *random = tcase_create("random");

    tcase_add_test(lines, all_lines_masked_before_initialisation);
    tcase_add_test(lines, edge_is_delivered_once);
    tcase_add_test(lines, level_requests_until_released);
    tcase_add_test(lines, lower_priority_waits_for_eoi);
    tcase_add_test(lines, mask_holds_back_and_keeps);
    tcase_add_test(lines, cascade);
    tcase_add_test(lines, cascade_outranks_line_3);
    tcase_add_test(lines, spurious_7_sets_nothing_in_service);
    tcase_add_test(lines, spurious_15_leaves_the_cascade_in_service);
    suite_add_tcase(suite, lines);
    tcase_add_test(modes, special_fully_nested);
    tcase_add_test(modes, special_mask_lets_lower_lines_through);
    tcase_add_test(modes, rotation);
    tcase_add_test(modes, automatic_eoi);
    tcase_add_test(modes, poll_acknowledges);
    tcase_add_test(modes, icw1_clears);
    tcase_add_test(modes, short_initialisation);
    suite_add_tcase(suite, modes);
    tcase_set_timeout(random, 60);
    tcase_add_test(random, fuzz);
    suite_add_tcase(suite, random);
    return suite;
}
