/*
 * test_vga_picture.c - what the graphics adapter shows: each mode's memory is filled as a guest would, and
 * every pixel compared with what the mode's definition says. Alone: tests/unit/unit vga_picture
 */
#include <check.h>

#include "tests/unit/vga_rig.h"

static struct vga_rig rig;

static void setup(void)
{
    rig_init(&rig);
    set_dac(&rig);
}

static void teardown(void)
{
    rig_free(&rig);
}

/* --- text */

static uint8_t cell_character(unsigned column, unsigned row)
{
    return column * 7 + row * 3;
}

static uint8_t cell_attribute(unsigned column, unsigned row)
{
    return (column * 5 + row * 11) & 0x7F;
}

static uint8_t font_row(unsigned character, unsigned row)
{
    return character * 37 + row * 89;
}

static void load_font(uint32_t where, unsigned offset)
{
    set_mode(&rig, &mode_03);
    seq(&rig, 2, 4);
    seq(&rig, 4, 7);
    gfx(&rig, 5, 0);
    gfx(&rig, 6, 5);
    for (unsigned c = 0; c < 256; c++)
        for (unsigned row = 0; row < 16; row++)
            poke(&rig, 0xA0000 + where + 32 * c + row, font_row(c + offset, row));
}

static void fill_text(const struct vga_registers *mode, unsigned columns)
{
    load_font(0, 0);
    set_mode(&rig, mode);
    for (unsigned row = 0; row < 25; row++)
        for (unsigned column = 0; column < columns; column++)
            bus_write(rig.board.mem, 0xB8000 + 2 * (row * columns + column),
                      cell_attribute(column, row) << 8 | cell_character(column, row), 2);
    crtc(&rig, 0x0A, 0x20); /* no cursor */
}

static uint32_t text_color(unsigned index)
{
    return dac_color(mode_03.attr[index]);
}

/* Nine dots: the ninth is the eighth again for line graphics, else background. */
static uint32_t expected_text(unsigned x, unsigned y)
{
    unsigned column = x / 9, row = y / 16, dot = x % 9, c = cell_character(column, row),
             a = cell_attribute(column, row);
    unsigned bits = font_row(c, y % 16);
    bool set = dot < 8 ? bits >> (7 - dot) & 1 : c >= 0xC0 && c <= 0xDF && (bits & 1);

    return text_color(set ? a & 15 : a >> 4);
}

static uint32_t expected_text_8(unsigned x, unsigned y)
{
    unsigned column = x / 8, row = y / 16, c = cell_character(column, row), a = cell_attribute(column, row);

    return text_color(font_row(c, y % 16) >> (7 - x % 8) & 1 ? a & 15 : a >> 4);
}

START_TEST(text_80_columns)
{
    fill_text(&mode_03, 80);
    expect_picture(&rig, 720, 400, 1, 1, expected_text);
}
END_TEST

START_TEST(text_40_columns)
{
    fill_text(&mode_01, 40);
    expect_picture(&rig, 360, 400, 2, 1, expected_text);
}
END_TEST

START_TEST(text_8_dots)
{
    fill_text(&mode_03, 80);
    seq(&rig, 1, 1);
    expect_picture(&rig, 640, 400, 1, 1, expected_text_8);
}
END_TEST

static uint32_t expected_panned(unsigned x, unsigned y)
{
    return expected_text(x + 3, y);
}

static uint32_t expected_started(unsigned x, unsigned y)
{
    return expected_text(x + 9 * 2, y + 16 * 3 + 5);
}

START_TEST(text_pans_and_scrolls)
{
    fill_text(&mode_03, 80);
    attr(&rig, 0x13, 2); /* three dots: 8 is none, 0 one */
    refresh(&rig);
    expect_area(&rig, 717, 400, expected_panned);
    attr(&rig, 0x13, 8);
    crtc(&rig, 0x0D, 3 * 80 + 1);
    crtc(&rig, 0x08, 0x20 | 5); /* one more character, and five lines */
    refresh(&rig);
    expect_area(&rig, 702, 345, expected_started);
}
END_TEST

static uint32_t expected_split(unsigned x, unsigned y)
{
    return y < 160 ? expected_text(x, y + 16) : expected_text(x, y - 160);
}

START_TEST(text_split_screen)
{
    fill_text(&mode_03, 80);
    crtc(&rig, 0x0D, 80);
    crtc(&rig, 0x18, 159); /* line compare, below ten rows */
    crtc(&rig, 0x07, 0x0F);
    crtc(&rig, 0x09, 0x0F);
    expect_picture(&rig, 720, 400, 1, 1, expected_split);
}
END_TEST

START_TEST(attribute_bit_3_chooses_the_font)
{
    load_font(0x2000, 100); /* font 4, by the odd numbering of the register */
    fill_text(&mode_03, 80);
    seq(&rig, 3, 0x20); /* bit 3 set: 4, clear: 0 */
    refresh(&rig);
    for (unsigned column = 0; column < 80; column++) {
        unsigned a = cell_attribute(column, 2), c = cell_character(column, 2) + (a & 8 ? 100 : 0);
        for (unsigned dot = 0; dot < 8; dot++)
            ck_assert_uint_eq(pixel(&rig, column * 9 + dot, 2 * 16 + 7),
                              text_color(font_row(c, 7) >> (7 - dot) & 1 ? a & 15 : a >> 4));
    }
}
END_TEST

START_TEST(cursor_blinks)
{
    unsigned on = 0, changes = 0;
    bool before = false;

    fill_text(&mode_03, 80);
    poke(&rig, 0xB8000 + 2 * 405, 0);
    poke(&rig, 0xB8000 + 2 * 405 + 1, 0x1E);
    load_font(0, 0);
    set_mode(&rig, &mode_03);
    crtc(&rig, 0x0A, 13);
    crtc(&rig, 0x0B, 14);
    crtc(&rig, 0x0E, 405 >> 8);
    crtc(&rig, 0x0F, 405 & 0xFF);
    for (unsigned i = 0; i < 200; i++) {
        rig.board.now += 10000000;
        refresh(&rig);
        bool now = true;
        for (unsigned x = 0; x < 9; x++)
            now &= pixel(&rig, 5 * 9 + x, 5 * 16 + 13) == text_color(14);
        on += now;
        changes += now != before;
        if (now != before && i)
            ck_assert(rig.damage.x >= 5 * 9 && rig.damage.y == 5 * 16 + 13 && rig.damage.height == 2 &&
                      rig.damage.width <= 9);
        before = now;
    }
    /* Eight frames on, eight off. */
    ck_assert_uint_ge(on, 80);
    ck_assert_uint_le(on, 120);
    ck_assert_uint_ge(changes, 16);
    ck_assert_uint_le(changes, 19);
    crtc(&rig, 0x0A, 0x20 | 13);
    for (unsigned i = 0; i < 50; i++) {
        rig.board.now += 10000000;
        refresh(&rig);
        ck_assert_uint_ne(pixel(&rig, 5 * 9 + 8, 5 * 16 + 13), text_color(14));
    }
}
END_TEST

START_TEST(characters_blink)
{
    unsigned shown = 0;

    fill_text(&mode_03, 80);
    bus_write(rig.board.mem, 0xB8000, 0xCE01, 2); /* yellow on red, blinking */
    for (unsigned i = 0; i < 200; i++) {
        rig.board.now += 10000000;
        refresh(&rig);
        ck_assert(pixel(&rig, 8, 0) == text_color(4));
        shown += pixel(&rig, 7, 0) == text_color(14); /* font_row(1, 0) is odd */
    }
    ck_assert_uint_ge(shown, 80);
    ck_assert_uint_le(shown, 120);
    attr(&rig, 0x10, 0x04); /* the bit is brightness instead */
    refresh(&rig);
    ck_assert_uint_eq(pixel(&rig, 8, 0), text_color(12));
}
END_TEST

START_TEST(text_for_terminals)
{
    struct text_screen text;

    fill_text(&mode_03, 80);
    crtc(&rig, 0x0A, 13);
    crtc(&rig, 0x0D, 80);
    crtc(&rig, 0x0E, 0);
    crtc(&rig, 0x0F, 80 + 83);
    ck_assert(rig.display.text(rig.display.opaque, &text));
    ck_assert_int_eq(text.columns, 80);
    ck_assert_int_eq(text.rows, 25);
    ck_assert(text.blink && text.cursor_visible);
    ck_assert_int_eq(text.cursor_x, 3);
    ck_assert_int_eq(text.cursor_y, 1);
    for (unsigned row = 0; row < 24; row++)
        for (unsigned column = 0; column < 80; column++)
            ck_assert_uint_eq(text.cells[row * 80 + column],
                              cell_attribute(column, row + 1) << 8 | cell_character(column, row + 1));
    crtc(&rig, 0x0A, 0x2D);
    ck_assert(rig.display.text(rig.display.opaque, &text));
    ck_assert(!text.cursor_visible);
    set_mode(&rig, &mode_12);
    ck_assert(!rig.display.text(rig.display.opaque, &text));
}
END_TEST

/* --- CGA */

static uint32_t expected_cga_4(unsigned x, unsigned y)
{
    return dac_color(mode_04.attr[(x / 3 + y) & 3]);
}

/* Even lines in the first half of the window, odd ones in the second, four pixels a byte. */
START_TEST(cga_4_colours)
{
    set_mode(&rig, &mode_04);
    for (unsigned y = 0; y < 200; y++) {
        for (unsigned x = 0; x < 320; x += 4) {
            uint8_t byte = 0;
            for (unsigned i = 0; i < 4; i++)
                byte = byte << 2 | (((x + i) / 3 + y) & 3);
            poke(&rig, 0xB8000 + (y & 1) * 0x2000 + y / 2 * 80 + x / 4, byte);
        }
    }
    expect_picture(&rig, 320, 200, 2, 2, expected_cga_4);
}
END_TEST

static uint32_t expected_cga_2(unsigned x, unsigned y)
{
    return dac_color(mode_06.attr[(x * x / 7 + y) & 1]);
}

START_TEST(cga_2_colours)
{
    set_mode(&rig, &mode_06);
    for (unsigned y = 0; y < 200; y++) {
        for (unsigned x = 0; x < 640; x += 8) {
            uint8_t byte = 0;
            for (unsigned i = 0; i < 8; i++)
                byte = byte << 1 | (((x + i) * (x + i) / 7 + y) & 1);
            poke(&rig, 0xB8000 + (y & 1) * 0x2000 + y / 2 * 80 + x / 8, byte);
        }
    }
    expect_picture(&rig, 640, 200, 1, 2, expected_cga_2);
}
END_TEST

/* --- 16 colours */

static unsigned planar_color(unsigned x, unsigned y)
{
    return (x / 5 + y * 3) & 15;
}

static uint32_t expected_12(unsigned x, unsigned y)
{
    return dac_color(mode_12.attr[planar_color(x, y)]);
}

static void fill_planar(unsigned width, unsigned height, uint32_t pitch)
{
    for (unsigned plane = 0; plane < 4; plane++) {
        seq(&rig, 2, 1 << plane);
        for (unsigned y = 0; y < height; y++) {
            for (unsigned x = 0; x < width; x += 8) {
                uint8_t byte = 0;
                for (unsigned i = 0; i < 8; i++)
                    byte = byte << 1 | (planar_color(x + i, y) >> plane & 1);
                poke(&rig, 0xA0000 + y * pitch + x / 8, byte);
            }
        }
    }
    seq(&rig, 2, 15);
}

START_TEST(planar_640x480)
{
    set_mode(&rig, &mode_12);
    fill_planar(640, 480, 80);
    expect_picture(&rig, 640, 480, 1, 1, expected_12);
}
END_TEST

static uint32_t expected_0d(unsigned x, unsigned y)
{
    return dac_color(mode_0d.attr[planar_color(x, y)]);
}

START_TEST(planar_320x200)
{
    set_mode(&rig, &mode_0d);
    fill_planar(320, 200, 40);
    expect_picture(&rig, 320, 200, 2, 2, expected_0d);
}
END_TEST

static uint32_t expected_12_moved(unsigned x, unsigned y)
{
    return y < 300 ? expected_12(x + 8 * 2 + 5, y + 100) : expected_12(x, y - 300);
}

/* A wider picture than is shown, moved under it; the split part stays where it is. */
START_TEST(planar_pan_and_split)
{
    set_mode(&rig, &mode_12);
    crtc(&rig, 0x13, 50);
    fill_planar(800, 480, 100);
    unsigned start = 100 * 100 + 2;
    crtc(&rig, 0x0C, start >> 8);
    crtc(&rig, 0x0D, start & 0xFF);
    attr(&rig, 0x13, 5);
    attr(&rig, 0x10, 0x21);
    crtc(&rig, 0x18, 299 & 0xFF);
    crtc(&rig, 0x07, 0x2E | 0x10); /* 299 has bit 8 */
    crtc(&rig, 0x09, 0x00);
    expect_picture(&rig, 640, 480, 1, 1, expected_12_moved);
}
END_TEST

START_TEST(palette_and_colour_select)
{
    set_mode(&rig, &mode_12);
    fill_planar(640, 480, 80);
    attr(&rig, 0x12, 0x7); /* plane 3 doesn't count */
    attr(&rig, 0x14, 0x9);
    refresh(&rig);
    ck_assert_uint_eq(pixel(&rig, 600, 100), dac_color(0x80 | mode_12.attr[planar_color(600, 100) & 7]));
    attr(&rig, 0x10, 0x81); /* and bits 4 and 5 from the register as well */
    refresh(&rig);
    ck_assert_uint_eq(pixel(&rig, 600, 100),
                      dac_color(0x90 | (mode_12.attr[planar_color(600, 100) & 7] & 15)));
    out(&rig.board, 0x3C6, 0x0F);
    refresh(&rig);
    ck_assert_uint_eq(pixel(&rig, 600, 100), dac_color(mode_12.attr[planar_color(600, 100) & 7] & 15));
}
END_TEST

/* --- 256 colours */

static uint32_t expected_13(unsigned x, unsigned y)
{
    return dac_color((x + y * 7) & 0xFF);
}

START_TEST(mode_13h)
{
    set_mode(&rig, &mode_13);
    for (unsigned y = 0; y < 200; y++)
        for (unsigned x = 0; x < 320; x++)
            poke(&rig, 0xA0000 + y * 320 + x, x + y * 7);
    expect_picture(&rig, 320, 200, 2, 2, expected_13);
}
END_TEST

static void fill_mode_x(void)
{
    for (unsigned plane = 0; plane < 4; plane++) {
        seq(&rig, 2, 1 << plane);
        for (unsigned y = 0; y < 240; y++)
            for (unsigned x = plane; x < 320; x += 4)
                poke(&rig, 0xA0000 + y * 80 + x / 4, x + y * 7);
    }
}

START_TEST(mode_x_unchained)
{
    set_mode(&rig, &mode_x);
    fill_mode_x();
    expect_picture(&rig, 320, 240, 2, 2, expected_13);
}
END_TEST

static uint32_t expected_13_moved(unsigned x, unsigned y)
{
    return expected_13(x / 2 + 7, y / 2 + 2);
}

START_TEST(mode_x_pans_by_pixels)
{
    set_mode(&rig, &mode_x);
    fill_mode_x();
    crtc(&rig, 0x0D, 80 * 2 + 1);
    attr(&rig, 0x13, 6); /* 3 pixels */
    refresh(&rig);
    expect_area(&rig, 313 * 2, 238 * 2, expected_13_moved);
}
END_TEST

/* The last page of memory shown runs over its end into the first. */
START_TEST(addresses_wrap_around)
{
    set_mode(&rig, &mode_x);
    seq(&rig, 2, 15);
    poke(&rig, 0xAFFFF, 0x55);
    poke(&rig, 0xA0000, 0x66);
    crtc(&rig, 0x0C, 0xFF);
    crtc(&rig, 0x0D, 0xFF);
    refresh(&rig);
    ck_assert_uint_eq(pixel(&rig, 0, 0), dac_color(0x55));
    ck_assert_uint_eq(pixel(&rig, 8, 0), dac_color(0x66));
}
END_TEST

/* --- VBE */

static uint32_t noise(unsigned x, unsigned y)
{
    return x * 0x9E3779B1u ^ y * 0x85EBCA6Bu;
}

static uint32_t widen_5(unsigned v)
{
    return (v & 31) << 3 | (v & 31) >> 2;
}

static uint32_t expected_vbe_8(unsigned x, unsigned y)
{
    return dac_color(noise(x, y) & 0xFF);
}

static uint32_t expected_vbe_15(unsigned x, unsigned y)
{
    uint32_t v = noise(x, y);
    return widen_5(v >> 10) << 16 | widen_5(v >> 5) << 8 | widen_5(v);
}

static uint32_t expected_vbe_16(unsigned x, unsigned y)
{
    uint32_t v = noise(x, y);
    return widen_5(v >> 11) << 16 | widen(v >> 5 & 63) << 8 | widen_5(v);
}

static uint32_t expected_vbe_32(unsigned x, unsigned y)
{
    return noise(x, y) & 0xFFFFFF;
}

static const struct {
    unsigned bpp, bytes;
    uint32_t (*expected)(unsigned x, unsigned y);
} depths[] = {
    {8, 1, expected_vbe_8},   {15, 2, expected_vbe_15}, {16, 2, expected_vbe_16},
    {24, 3, expected_vbe_32}, {32, 4, expected_vbe_32},
};

static void fill_linear(unsigned width, unsigned height, unsigned bytes, unsigned pitch)
{
    for (unsigned y = 0; y < height; y++)
        for (unsigned x = 0; x < width; x++) {
            uint32_t v = noise(x, y);
            memcpy(rig.vram + y * pitch + x * bytes, &v, bytes);
        }
}

START_TEST(vbe_depth)
{
    unsigned bytes = depths[_i].bytes;

    set_vbe_mode(&rig, 648, 480, depths[_i].bpp, 0);
    fill_linear(648, 480, bytes, 648 * bytes);
    expect_picture(&rig, 648, 480, 1, 1, depths[_i].expected);
    /* A wider virtual screen and a place in it. */
    vbe(&rig, 6, 1000);
    fill_linear(1000, 600, bytes, 1000 * bytes);
    vbe(&rig, 8, 77);
    vbe(&rig, 9, 55);
    refresh(&rig);
    for (int y = 0; y < 480; y++)
        for (int x = 0; x < 648; x++)
            if (pixel(&rig, x, y) != depths[_i].expected(x + 77, y + 55))
                ck_abort_msg("pixel %d,%d is %06x", x, y, pixel(&rig, x, y));
}
END_TEST

START_TEST(vbe_planar)
{
    set_mode(&rig, &mode_12);
    set_vbe_mode(&rig, 800, 600, 4, 0);
    fill_planar(800, 600, 100);
    expect_picture(&rig, 800, 600, 1, 1, expected_12);
    vbe(&rig, 5, 1); /* planes larger than the window */
    seq(&rig, 2, 15);
    poke(&rig, 0xA0000, 0x80);
    vbe(&rig, 9, 65536 / 100);
    refresh(&rig);
    ck_assert_uint_eq(pixel(&rig, 65536 % 100 * 8, 0), dac_color(mode_12.attr[15]));
}
END_TEST

START_TEST(vbe_8_bit_dac)
{
    set_vbe_mode(&rig, 640, 480, 8, 0x20);
    out(&rig.board, 0x3C8, 0);
    out(&rig.board, 0x3C9, 0x81);
    out(&rig.board, 0x3C9, 0x42);
    out(&rig.board, 0x3C9, 0xFF);
    refresh(&rig);
    ck_assert_uint_eq(pixel(&rig, 0, 0), 0x8142FF);
}
END_TEST

/* The screen begins in the last line of memory and goes on in the first. */
START_TEST(vbe_wraps_around)
{
    set_vbe_mode(&rig, 1024, 768, 32, 0);
    vbe(&rig, 9, VRAM_SIZE / 4096 - 1);
    vbe(&rig, 8, 512);
    rig.vram[VRAM_SIZE - 4] = 0x11;
    rig.vram[0] = 0x22;
    refresh(&rig);
    ck_assert_uint_eq(pixel(&rig, 511, 0), 0x11);
    ck_assert_uint_eq(pixel(&rig, 512, 0), 0x22);
}
END_TEST

/* --- damage */

static void expect_damage(int x, int y, int width, int height)
{
    refresh(&rig);
    ck_assert_int_eq(rig.damage.width, width);
    if (!width)
        return;
    ck_assert_int_eq(rig.damage.x, x);
    ck_assert_int_eq(rig.damage.y, y);
    ck_assert_int_eq(rig.damage.height, height);
}

START_TEST(damage_is_exact)
{
    enable_bars(&rig);
    set_vbe_mode(&rig, 640, 480, 32, 0);
    expect_damage(0, 0, 640, 480);
    expect_damage(0, 0, 0, 0);
    expect_damage(0, 0, 0, 0);
    bus_write(rig.board.mem, LFB + 4 * (640 * 100 + 20), 0x123456, 4);
    bus_write(rig.board.mem, LFB + 4 * (640 * 110 + 30), 0x123456, 4);
    expect_damage(20, 100, 11, 11);
    expect_damage(0, 0, 0, 0);
    bus_write(rig.board.mem, LFB + 4 * (640 * 110 + 30), 0x123456, 4); /* no change */
    expect_damage(0, 0, 0, 0);
    rig.surface = display_refresh(&rig.display, true, &rig.damage);
    ck_assert_int_eq(rig.damage.width * rig.damage.height, 640 * 480);
}
END_TEST

START_TEST(damage_of_planar_modes)
{
    set_mode(&rig, &mode_12);
    expect_damage(0, 0, 640, 480);
    expect_damage(0, 0, 0, 0);
    poke(&rig, 0xA0000 + 80 * 50 + 3, 0x3C);
    expect_damage(26, 50, 4, 1);
    expect_damage(0, 0, 0, 0);
    crtc(&rig, 0x0D, 1);
    expect_damage(18, 50, 12, 1);
}
END_TEST

struct armed {
    struct bus_listener listener;
    unsigned calls;
};

static void on_armed(void *opaque, struct region *ram)
{
    struct armed *armed = opaque;

    (void)ram;
    armed->calls++;
}

/* An engine that hears late of tracking writes past it once more: the next refresh shows that too. */
START_TEST(tracking_is_armed_once_a_refresh)
{
    struct armed armed = {.listener = {.tracking_armed = on_armed, .opaque = &armed}};

    enable_bars(&rig);
    set_vbe_mode(&rig, 640, 480, 32, 0);
    refresh(&rig);
    refresh(&rig);
    bus_listen(rig.board.mem, &armed.listener);
    refresh(&rig);
    ck_assert_uint_eq(armed.calls, 0);
    bus_write(rig.board.mem, LFB, 1, 4);
    bus_write(rig.board.mem, LFB + 100000, 1, 4);
    refresh(&rig);
    ck_assert_uint_eq(armed.calls, 1);
    rig.vram[0] = 2;
    refresh(&rig);
    ck_assert_uint_eq(pixel(&rig, 0, 0), 2);
    ck_assert_uint_eq(armed.calls, 1);
    bus_unlisten(rig.board.mem, &armed.listener);
}
END_TEST

static uint32_t expected_black(unsigned x, unsigned y)
{
    (void)x;
    (void)y;
    return 0;
}

START_TEST(blanked_is_black)
{
    fill_text(&mode_03, 80);
    refresh(&rig);
    seq(&rig, 1, 0x20);
    refresh(&rig);
    ck_assert_int_eq(rig.surface->width, 720);
    expect_area(&rig, 720, 400, expected_black);
    seq(&rig, 1, 0);
    expect_picture(&rig, 720, 400, 1, 1, expected_text);
    in(&rig.board, 0x3DA);
    out(&rig.board, 0x3C0, 0);
    refresh(&rig);
    ck_assert_uint_eq(pixel(&rig, 100, 100), 0);
    ck_assert_int_eq(rig.damage.width, 720);
}
END_TEST

static void add_text(TCase *tcase)
{
    tcase_add_test(tcase, text_80_columns);
    tcase_add_test(tcase, text_40_columns);
    tcase_add_test(tcase, text_8_dots);
    tcase_add_test(tcase, text_pans_and_scrolls);
    tcase_add_test(tcase, text_split_screen);
    tcase_add_test(tcase, attribute_bit_3_chooses_the_font);
    tcase_add_test(tcase, cursor_blinks);
    tcase_add_test(tcase, characters_blink);
    tcase_add_test(tcase, text_for_terminals);
}

static void add_graphics(TCase *tcase)
{
    tcase_add_test(tcase, cga_4_colours);
    tcase_add_test(tcase, cga_2_colours);
    tcase_add_test(tcase, planar_640x480);
    tcase_add_test(tcase, planar_320x200);
    tcase_add_test(tcase, planar_pan_and_split);
    tcase_add_test(tcase, palette_and_colour_select);
    tcase_add_test(tcase, mode_13h);
    tcase_add_test(tcase, mode_x_unchained);
    tcase_add_test(tcase, mode_x_pans_by_pixels);
    tcase_add_test(tcase, addresses_wrap_around);
}

Suite *vga_picture_suite(void)
{
    Suite *suite = suite_create("vga_picture");
    TCase *tcase = tcase_create("pictures");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    add_text(tcase);
    add_graphics(tcase);
    tcase_add_loop_test(tcase, vbe_depth, 0, sizeof(depths) / sizeof(depths[0]));
    tcase_add_test(tcase, vbe_planar);
    tcase_add_test(tcase, vbe_8_bit_dac);
    tcase_add_test(tcase, vbe_wraps_around);
    tcase_add_test(tcase, damage_is_exact);
    tcase_add_test(tcase, damage_of_planar_modes);
    tcase_add_test(tcase, tracking_is_armed_once_a_refresh);
    tcase_add_test(tcase, blanked_is_black);
    suite_add_tcase(suite, tcase);
    return suite;
}
