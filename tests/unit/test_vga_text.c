/*
 * test_vga_text.c - text mode without a video BIOS. Alone: tests/unit/unit vga_text
 */
#include <check.h>

#include "tests/unit/vga_rig.h"

#define TEXT    0xB8000
#define COLUMNS 80
#define ROWS    25

static struct vga_rig rig;

/* Rows that differ from character to character and from row to row. */
static uint8_t font_row(unsigned character, unsigned row)
{
    return (uint8_t)(character * 37 + row * 11 + 1);
}

static void set_text_mode(void)
{
    uint8_t font[256][VGA_FONT_ROWS];

    for (unsigned c = 0; c < 256; c++)
        for (unsigned row = 0; row < VGA_FONT_ROWS; row++)
            font[c][row] = font_row(c, row);
    vga_set_text_mode(rig.vga, font);
}

static void setup(void)
{
    rig_init(&rig);
}

static void teardown(void)
{
    rig_free(&rig);
}

/* The sixteen colours of CGA and all that followed. */
static uint32_t text_color(unsigned index)
{
    unsigned bright = index & 8 ? 0x55 : 0;
    unsigned r = (index & 4 ? 0xAA : 0) + bright, g = (index & 2 ? 0xAA : 0) + bright;
    unsigned b = (index & 1 ? 0xAA : 0) + bright;

    return index == 6 ? 0xAA5500 : r << 16 | g << 8 | b;
}

static unsigned character_at(unsigned cell)
{
    return cell & 0xFF;
}

/* Of the lower half of the backgrounds: the upper one blinks. */
static unsigned attribute_at(unsigned cell)
{
    return (cell * 5 + 1) & 0x7F;
}

static uint32_t expected_text(unsigned x, unsigned y)
{
    unsigned cell = y / 16 * COLUMNS + x / 9, c = character_at(cell), a = attribute_at(cell), dot = x % 9;
    unsigned row = font_row(c, y % 16);
    bool repeats = c >= 0xC0 && c <= 0xDF;
    bool ink = dot < 8 ? row >> (7 - dot) & 1 : repeats && (row & 1);

    return text_color(ink ? a & 15 : a >> 4);
}

static uint32_t expected_blank(unsigned x, unsigned y)
{
    return x % 9 < 8 && font_row(' ', y % 16) >> (7 - x % 9) & 1 ? 0xAAAAAA : 0;
}

/* The cursor isn't what these tests are about. */
static void hide_cursor(void)
{
    crtc(&rig, 0x0A, 0x20);
}

START_TEST(guest_writes_text)
{
    set_text_mode();
    hide_cursor();
    for (unsigned i = 0; i < COLUMNS * ROWS; i++) {
        poke(&rig, TEXT + 2 * i, character_at(i));
        poke(&rig, TEXT + 2 * i + 1, attribute_at(i));
    }
    expect_picture(&rig, 720, 400, 1, 1, expected_text);
}
END_TEST

START_TEST(screen_is_empty)
{
    struct text_screen text;

    set_text_mode();
    ck_assert(rig.display.text(rig.display.opaque, &text));
    ck_assert_int_eq(text.columns, COLUMNS);
    ck_assert_int_eq(text.rows, ROWS);
    ck_assert(text.cursor_visible);
    ck_assert_int_eq(text.cursor_x, 0);
    ck_assert_int_eq(text.cursor_y, 0);
    for (unsigned i = 0; i < COLUMNS * ROWS; i++)
        ck_assert_uint_eq(text.cells[i], 0x0720);
    /* All of the window, not what is shown alone. */
    for (unsigned at = 0; at < 0x8000; at += 2)
        ck_assert_uint_eq(bus_read(rig.board.mem, TEXT + at, 2), 0x0720);
}
END_TEST

START_TEST(cursor_is_an_underline)
{
    set_text_mode();
    refresh(&rig);
    for (int y = 0; y < 16; y++)
        for (int x = 0; x < 9; x++)
            ck_assert_uint_eq(pixel(&rig, x, y), y == 13 || y == 14 ? 0xAAAAAA : expected_blank(x, y));
}
END_TEST

START_TEST(registers_are_mode_3)
{
    set_text_mode();
    ck_assert_uint_eq(in(&rig.board, 0x3CC), mode_03.misc);
    for (unsigned i = 0; i < 5; i++)
        ck_assert_uint_eq(in_indexed(&rig, 0x3C4, i), mode_03.seq[i]);
    for (unsigned i = 0; i < 9; i++)
        ck_assert_uint_eq(in_indexed(&rig, 0x3CE, i), mode_03.gfx[i]);
    for (unsigned i = 0; i < 25; i++)
        ck_assert_uint_eq(in_indexed(&rig, 0x3D4, i), mode_03.crtc[i]);
    for (unsigned i = 0; i < 21; i++) {
        in(&rig.board, 0x3DA);
        out(&rig.board, 0x3C0, i);
        ck_assert_uint_eq(in(&rig.board, 0x3C1), mode_03.attr[i]);
    }
}
END_TEST

/* Bits 5-3 of a colour are worth a third, 2-0 two thirds; the rest of the DAC is black. */
START_TEST(dac_has_64_colours)
{
    set_text_mode();
    out(&rig.board, 0x3C7, 0);
    for (unsigned i = 0; i < 256; i++) {
        for (unsigned part = 0; part < 3; part++) {
            unsigned want = i < 64 ? 42 * (i >> (2 - part) & 1) + 21 * (i >> (5 - part) & 1) : 0;
            ck_assert_uint_eq(in(&rig.board, 0x3C9), want);
        }
    }
}
END_TEST

static void start_vbe(void)
{
    enable_bars(&rig);
    set_vbe_mode(&rig, 800, 600, 32, 0);
}

static void start_graphics(void)
{
    set_dac(&rig);
    set_mode(&rig, &mode_13);
    show(&rig);
}

static void start_asleep(void)
{
    out(&rig.board, 0x3C0, 0x11); /* and in the middle of an attribute */
    out(&rig.board, 0x3C6, 0x0F);
    out(&rig.board, 0x3C8, 7);
    out(&rig.board, 0x3C9, 7); /* and of a colour */
    out(&rig.board, 0x3C3, 0);
}

/* Whatever was on before, with whatever in memory and already on the screen. */
START_TEST(leaves_any_mode)
{
    static void (*const start[])(void) = {start_vbe, start_graphics, start_asleep};

    start[_i]();
    memset(rig.vram, 0xA5, VRAM_SIZE);
    refresh(&rig);
    set_text_mode();
    hide_cursor();
    expect_picture(&rig, 720, 400, 1, 1, expected_blank);
    in(&rig.board, 0x3DA);
    out(&rig.board, 0x3C7, 7);
    ck_assert_uint_eq(in(&rig.board, 0x3C9), 42);
    ck_assert_uint_eq(peek(&rig, TEXT + 1), 0x07);
}
END_TEST

START_TEST(attribute_port_awaits_an_index)
{
    in(&rig.board, 0x3DA);
    out(&rig.board, 0x3C0, 0x05);
    set_text_mode();
    out(&rig.board, 0x3C0, 0x20 | 0x11);
    ck_assert_uint_eq(in(&rig.board, 0x3C0), 0x31);
}
END_TEST

Suite *vga_text_suite(void);
Suite *vga_text_suite(void)
{
    Suite *suite = suite_create("vga_text");
    TCase *tcase = tcase_create("text");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, guest_writes_text);
    tcase_add_test(tcase, screen_is_empty);
    tcase_add_test(tcase, cursor_is_an_underline);
    tcase_add_test(tcase, registers_are_mode_3);
    tcase_add_test(tcase, dac_has_64_colours);
    tcase_add_loop_test(tcase, leaves_any_mode, 0, 3);
    tcase_add_test(tcase, attribute_port_awaits_an_index);
    suite_add_tcase(suite, tcase);
    return suite;
}
