/*
 * test_font.c - the letters of text mode. Alone: tests/unit/unit font
 */
#include <check.h>
#include <string.h>

#include "bios/font.h"

enum { UP, DOWN, LEFT, RIGHT };

static uint8_t font[256][FONT_ROWS];

static void setup(void)
{
    font_make(font);
}

static unsigned ink(unsigned code)
{
    unsigned count = 0;

    for (unsigned y = 0; y < FONT_ROWS; y++)
        count += (unsigned)__builtin_popcount(font[code][y]);
    return count;
}

START_TEST(ascii_is_told_apart)
{
    for (unsigned a = 0x20; a < 0x7F; a++) {
        ck_assert_msg((ink(a) > 0) == (a != ' '), "character %02x", a);
        for (unsigned b = 0x20; b < a; b++)
            ck_assert_msg(memcmp(font[a], font[b], FONT_ROWS), "%02x looks like %02x", a, b);
    }
}
END_TEST

/* Neighbours don't touch, and neither do lines of text. */
START_TEST(letters_keep_apart)
{
    for (unsigned c = 0x21; c < 0x7F; c++) {
        ck_assert_uint_eq(font[c][0], 0);
        ck_assert_uint_eq(font[c][FONT_ROWS - 1], 0);
        for (unsigned y = 0; y < FONT_ROWS; y++)
            ck_assert_uint_eq(font[c][y] & 0x80, 0);
    }
}
END_TEST

START_TEST(letters_stand_on_one_line)
{
    for (unsigned c = 'A'; c <= 'Z'; c++) {
        ck_assert_uint_ne(font[c][2], 0);
        ck_assert_uint_ne(font[c][11], 0);
        if (c != 'Q')
            ck_assert_uint_eq(font[c][12], 0);
    }
    for (unsigned c = '0'; c <= '9'; c++)
        ck_assert(font[c][2] && font[c][11] && !font[c][12]);
}
END_TEST

START_TEST(empty_codes)
{
    ck_assert_uint_eq(ink(0x00), 0);
    ck_assert_uint_eq(ink(0xFF), 0);
    ck_assert_uint_gt(ink(0x80), 0); /* what has no picture shows that it hasn't */
}
END_TEST

/* The dots on one of a cell's edges, from the top or from the left. */
static unsigned edge(unsigned code, int side)
{
    unsigned dots = 0;

    if (side == UP || side == DOWN)
        return font[code][side == UP ? 0 : FONT_ROWS - 1];
    for (unsigned y = 0; y < FONT_ROWS; y++)
        dots |= (unsigned)(font[code][y] >> (side == LEFT ? 7 : 0) & 1) << y;
    return dots;
}

/* A line that leaves a cell goes on in any other cell that has a line of its kind there. */
START_TEST(lines_meet)
{
    /* The code page's names, as lines up, down, left and right. */
    static const struct {
        uint8_t code;
        uint8_t arms[4];
    } rows[] = {
        {0xB3, {1, 1, 0, 0}}, {0xB4, {1, 1, 1, 0}}, {0xB5, {1, 1, 2, 0}}, {0xB6, {2, 2, 1, 0}},
        {0xB7, {0, 2, 1, 0}}, {0xB8, {0, 1, 2, 0}}, {0xB9, {2, 2, 2, 0}}, {0xBA, {2, 2, 0, 0}},
        {0xBB, {0, 2, 2, 0}}, {0xBC, {2, 0, 2, 0}}, {0xBD, {2, 0, 1, 0}}, {0xBE, {1, 0, 2, 0}},
        {0xBF, {0, 1, 1, 0}}, {0xC0, {1, 0, 0, 1}}, {0xC1, {1, 0, 1, 1}}, {0xC2, {0, 1, 1, 1}},
        {0xC3, {1, 1, 0, 1}}, {0xC4, {0, 0, 1, 1}}, {0xC5, {1, 1, 1, 1}}, {0xC6, {1, 1, 0, 2}},
        {0xC7, {2, 2, 0, 1}}, {0xC8, {2, 0, 0, 2}}, {0xC9, {0, 2, 0, 2}}, {0xCA, {2, 0, 2, 2}},
        {0xCB, {0, 2, 2, 2}}, {0xCC, {2, 2, 0, 2}}, {0xCD, {0, 0, 2, 2}}, {0xCE, {2, 2, 2, 2}},
        {0xCF, {1, 0, 2, 2}}, {0xD0, {2, 0, 1, 1}}, {0xD1, {0, 1, 2, 2}}, {0xD2, {0, 2, 1, 1}},
        {0xD3, {2, 0, 0, 1}}, {0xD4, {1, 0, 0, 2}}, {0xD5, {0, 1, 0, 2}}, {0xD6, {0, 2, 0, 1}},
        {0xD7, {2, 2, 1, 1}}, {0xD8, {1, 1, 2, 2}}, {0xD9, {1, 0, 1, 0}}, {0xDA, {0, 1, 0, 1}},
    };
    static const unsigned across[] = {0, 0x0180, 0x0240}, along[] = {0, 0x18, 0x24};

    for (unsigned i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        for (int side = UP; side <= RIGHT; side++) {
            const unsigned *want = side <= DOWN ? along : across;
            ck_assert_msg(edge(rows[i].code, side) == want[rows[i].arms[side]], "%02x, side %d", rows[i].code,
                          side);
        }
    }
}
END_TEST

START_TEST(blocks_fill_their_part)
{
    ck_assert_uint_eq(ink(0xDB), 128);
    ck_assert_uint_eq(ink(0xB0), 32);
    ck_assert_uint_eq(ink(0xB1), 64);
    ck_assert_uint_eq(ink(0xB2), 96);
    for (unsigned y = 0; y < FONT_ROWS; y++) {
        ck_assert_uint_eq(font[0xDC][y] ^ font[0xDF][y], 0xFF);
        ck_assert_uint_eq(font[0xDD][y], 0xF0);
        ck_assert_uint_eq(font[0xDE][y], 0x0F);
    }
    ck_assert_uint_eq(font[0xDF][0], 0xFF);
}
END_TEST

Suite *font_suite(void);
Suite *font_suite(void)
{
    Suite *suite = suite_create("font");
    TCase *tcase = tcase_create("font");

    tcase_add_checked_fixture(tcase, setup, NULL);
    tcase_add_test(tcase, ascii_is_told_apart);
    tcase_add_test(tcase, letters_keep_apart);
    tcase_add_test(tcase, letters_stand_on_one_line);
    tcase_add_test(tcase, empty_codes);
    tcase_add_test(tcase, lines_meet);
    tcase_add_test(tcase, blocks_fill_their_part);
    suite_add_tcase(suite, tcase);
    return suite;
}
