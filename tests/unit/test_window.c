/*
 * test_window.c - what the window does without a desktop: keys, scaling, closing, text. Alone:
 * tests/unit/unit window
 */
#include <check.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gui/closing.h"
#include "gui/font.h"
#include "gui/keys.h"
#include "gui/scale.h"
#include "gui/screenshot.h"

/* --- keys */

struct heard {
    struct input_sink sink;
    unsigned count;
    struct {
        unsigned usage;
        bool down;
    } keys[32];
};

static void hear(void *opaque, unsigned usage, bool down)
{
    struct heard *heard = opaque;

    ck_assert_uint_lt(heard->count, 32);
    heard->keys[heard->count].usage = usage;
    heard->keys[heard->count++].down = down;
}

static struct heard *listener(void)
{
    static struct heard heard;

    heard = (struct heard){.sink = {.key = hear, .opaque = &heard}};
    return &heard;
}

static void expect(struct heard *heard, unsigned at, unsigned usage, bool down)
{
    ck_assert_uint_lt(at, heard->count);
    ck_assert_uint_eq(heard->keys[at].usage, usage);
    ck_assert_int_eq(heard->keys[at].down, down);
}

START_TEST(usages)
{
    ck_assert_uint_eq(keys_usage(4), 0x04);    /* A */
    ck_assert_uint_eq(keys_usage(100), 0x64);  /* the key that US keyboards lack */
    ck_assert_uint_eq(keys_usage(0xE7), 0xE7); /* right GUI */
    ck_assert_uint_eq(keys_usage(0x76), 0x65); /* menu */
    ck_assert_uint_eq(keys_usage(257), 0xE6);  /* AltGr */
    ck_assert_uint_eq(keys_usage(-1), 0);
    ck_assert_uint_eq(keys_usage(0), 0);
    ck_assert_uint_eq(keys_usage(3), 0); /* error codes */
    ck_assert_uint_eq(keys_usage(0xE8), 0);
    ck_assert_uint_eq(keys_usage(258), 0); /* media keys */
    ck_assert_uint_eq(keys_usage(0x7FFFFFFF), 0);
}
END_TEST

START_TEST(modifiers)
{
    for (unsigned usage = 0; usage < 256; usage++)
        ck_assert_int_eq(keys_is_modifier(usage), usage >= 0xE0 && usage <= 0xE7);
}
END_TEST

START_TEST(repeats)
{
    struct heard *heard = listener();
    struct held_keys keys = {0};

    keys_event(&keys, &heard->sink, 4, true);
    keys_event(&keys, &heard->sink, 4, true);
    keys_event(&keys, &heard->sink, 5, false);
    keys_event(&keys, &heard->sink, 4, false);
    keys_event(&keys, &heard->sink, 4, false);
    keys_event(&keys, &heard->sink, 0, true);
    keys_event(&keys, &heard->sink, 0xE8, true);
    keys_event(&keys, &heard->sink, 100000, true);
    ck_assert_uint_eq(heard->count, 2);
    expect(heard, 0, 4, true);
    expect(heard, 1, 4, false);
}
END_TEST

START_TEST(release)
{
    struct heard *heard = listener();
    struct held_keys keys = {0};

    keys_event(&keys, &heard->sink, 0xE0, true);
    keys_event(&keys, &heard->sink, 0x04, true);
    keys_event(&keys, &heard->sink, 0xE7, true);
    keys_release(&keys, &heard->sink);
    ck_assert_uint_eq(heard->count, 6);
    expect(heard, 3, 0x04, false);
    expect(heard, 4, 0xE0, false);
    expect(heard, 5, 0xE7, false);
    keys_release(&keys, &heard->sink);
    ck_assert_uint_eq(heard->count, 6);
}
END_TEST

START_TEST(held_modifiers)
{
    struct heard *heard = listener();
    struct held_keys keys = {0};

    keys_event(&keys, &heard->sink, 0xE2, true);
    keys_hold_modifiers(&keys, &heard->sink, 1u << 0 | 1u << 2 | 1u << 7);
    ck_assert_uint_eq(heard->count, 3);
    expect(heard, 1, 0xE0, true);
    expect(heard, 2, 0xE7, true);
    keys_hold_modifiers(&keys, &heard->sink, 0);
    ck_assert_uint_eq(heard->count, 3);
}
END_TEST

START_TEST(letters)
{
    ck_assert_int_eq(keys_letter('f', 9), 'f');
    ck_assert_int_eq(keys_letter('q', 4), 'q');  /* French: Q where the US has A */
    ck_assert_int_eq(keys_letter(',', 0x10), 0); /* and a comma where it has M */
    ck_assert_int_eq(keys_letter('m', 0x33), 'm');
    ck_assert_int_eq(keys_letter(0x444, 4), 'a');    /* Russian */
    ck_assert_int_eq(keys_letter(0x3C9, 0x1D), 'z'); /* Greek */
    ck_assert_int_eq(keys_letter(0, 0x1D), 'z');
    ck_assert_int_eq(keys_letter('1', 0x1E), 0);
    ck_assert_int_eq(keys_letter(0x4000003A, 0x3A), 0); /* F1 */
}
END_TEST

/* --- scaling */

static void expect_fit(enum scale_mode mode, int guest_width, int guest_height, int width, int height, int x,
                       int y, int picture_width, int picture_height, bool sharp)
{
    bool is_sharp;
    struct rect picture = scale_fit(mode, guest_width, guest_height, width, height, &is_sharp);

    ck_assert_int_eq(picture.x, x);
    ck_assert_int_eq(picture.y, y);
    ck_assert_int_eq(picture.width, picture_width);
    ck_assert_int_eq(picture.height, picture_height);
    ck_assert_int_eq(is_sharp, sharp);
}

START_TEST(fit)
{
    expect_fit(SCALE_SMOOTH, 720, 400, 720, 400, 0, 0, 720, 400, true);
    expect_fit(SCALE_SMOOTH, 720, 400, 1440, 1000, 0, 100, 1440, 800, false);
    expect_fit(SCALE_SMOOTH, 800, 600, 1440, 800, 187, 0, 1066, 800, false);
    expect_fit(SCALE_SMOOTH, 800, 600, 400, 900, 0, 300, 400, 300, false);
    expect_fit(SCALE_INTEGER, 800, 600, 1440, 800, 320, 100, 800, 600, true);
    expect_fit(SCALE_INTEGER, 320, 200, 1000, 1000, 20, 200, 960, 600, true);
    /* No room for once. */
    expect_fit(SCALE_INTEGER, 800, 600, 799, 900, 0, 150, 799, 599, false);
    /* The extremes. */
    expect_fit(SCALE_SMOOTH, 5120, 1, 100, 100, 0, 49, 100, 1, false);
    expect_fit(SCALE_SMOOTH, 1, 4096, 1, 1, 0, 0, 1, 1, true);
    expect_fit(SCALE_INTEGER, 1, 1, 65535, 65535, 0, 0, 65535, 65535, true);
    expect_fit(SCALE_SMOOTH, 65535, 65535, 65535, 65534, 0, 0, 65534, 65534, false);
}
END_TEST

static void expect_window(int guest_width, int guest_height, int width, int height, int want_width,
                          int want_height)
{
    struct rect size = scale_window(guest_width, guest_height, width, height);

    ck_assert_int_eq(size.width, want_width);
    ck_assert_int_eq(size.height, want_height);
}

START_TEST(window_size)
{
    expect_window(720, 400, 1920, 1050, 720, 400);
    expect_window(720, 400, 3840, 2100, 1440, 800);
    expect_window(320, 200, 1920, 1050, 640, 400);
    expect_window(1024, 768, 1024, 768, 1024, 768);
    expect_window(1280, 1024, 1024, 768, 960, 768);
    expect_window(3840, 2160, 1920, 1050, 1866, 1050);
    expect_window(1, 1, 1, 1, 1, 1);
}
END_TEST

START_TEST(position)
{
    ck_assert_int_eq(scale_position(0, 0, 720), 0);
    ck_assert_int_eq(scale_position(719, 0, 720), POINTER_MAX);
    ck_assert_int_eq(scale_position(100, 100, 3), 0);
    ck_assert_int_eq(scale_position(101, 100, 3), 16384);
    ck_assert_int_eq(scale_position(102, 100, 3), POINTER_MAX);
    ck_assert_int_eq(scale_position(99, 100, 3), 0);
    ck_assert_int_eq(scale_position(-2000000000, 2000000000, 3), 0);
    ck_assert_int_eq(scale_position(2000000000, -2000000000, 3), POINTER_MAX);
    ck_assert_int_eq(scale_position(5, 5, 1), 0);
}
END_TEST

START_TEST(motion)
{
    struct scale_motion rest = {0};

    /* Half as much, nothing lost on the way. */
    ck_assert_int_eq(scale_motion(&rest, 1, 720, 1440), 0);
    ck_assert_int_eq(scale_motion(&rest, 1, 720, 1440), 1);
    ck_assert_int_eq(scale_motion(&rest, -1, 720, 1440), 0);
    ck_assert_int_eq(scale_motion(&rest, -1, 720, 1440), -1);
    ck_assert_int_eq(scale_motion(&rest, 7, 720, 720), 7);
    /* Three times as much */
    ck_assert_int_eq(scale_motion(&rest, -7, 2160, 720), -21);
    int sum = 0;
    for (int i = 0; i < 1066; i++)
        sum += scale_motion(&rest, 1, 800, 1066);
    ck_assert_int_eq(sum, 800);
    scale_motion(&rest, INT32_MIN, 65535, 65535);
}
END_TEST

/* --- closing */

START_TEST(close_twice_and_confirm)
{
    struct closing closing = {0};

    ck_assert_int_eq(closing_confirm(&closing), CLOSING_NOTHING);
    ck_assert_int_eq(closing_close(&closing, 1000), CLOSING_PRESS);
    ck_assert_int_eq(closing_confirm(&closing), CLOSING_NOTHING);
    ck_assert_int_eq(closing_close(&closing, 11000), CLOSING_ASK);
    ck_assert_int_eq(closing_confirm(&closing), CLOSING_SWITCH_OFF);
}
END_TEST

START_TEST(close_three_times)
{
    struct closing closing = {0};

    closing_close(&closing, 0);
    closing_close(&closing, 1);
    ck_assert_int_eq(closing_close(&closing, 1000000), CLOSING_SWITCH_OFF);
    ck_assert_int_eq(closing_close(&closing, 1000001), CLOSING_SWITCH_OFF);
}
END_TEST

START_TEST(close_again_late)
{
    struct closing closing = {0};

    closing_close(&closing, 0);
    ck_assert_int_eq(closing_close(&closing, CLOSING_MS + 1), CLOSING_PRESS);
    ck_assert_int_eq(closing_close(&closing, 2 * CLOSING_MS + 1), CLOSING_ASK);
}
END_TEST

START_TEST(close_and_go_on)
{
    struct closing closing = {0};

    closing_close(&closing, 0);
    closing_close(&closing, 1);
    ck_assert_int_eq(closing_cancel(&closing), CLOSING_NOTHING);
    ck_assert_int_eq(closing_confirm(&closing), CLOSING_NOTHING);
    ck_assert_int_eq(closing_close(&closing, 2), CLOSING_PRESS);
    ck_assert_int_eq(closing_ask(&closing), CLOSING_ASK);
    ck_assert_int_eq(closing_close(&closing, 3), CLOSING_SWITCH_OFF);
}
END_TEST

/* --- text */

#define UNIT 3

static unsigned draw(char character, uint8_t *ink)
{
    unsigned sum = 0;
    size_t size = FONT_WIDTH * UNIT * FONT_HEIGHT * UNIT;

    font_draw(font_glyph(character), UNIT, ink, FONT_WIDTH * UNIT);
    for (size_t i = 0; i < size; i++)
        sum += ink[i];
    return sum;
}

START_TEST(glyphs)
{
    uint8_t ink[FONT_COUNT][FONT_WIDTH * UNIT * FONT_HEIGHT * UNIT];

    ck_assert_uint_eq(draw(' ', ink[0]), 0);
    for (int c = 1; c < FONT_COUNT; c++) {
        ck_assert_msg(draw((char)(FONT_FIRST + c), ink[c]) > 255, "no ink for character %d", FONT_FIRST + c);
        for (int other = 0; other < c; other++)
            ck_assert_msg(memcmp(ink[c], ink[other], sizeof(ink[c])), "%c and %c look the same",
                          FONT_FIRST + c, FONT_FIRST + other);
        /* Letters don't touch: the first and the last column are free. */
        for (int y = 0; y < FONT_HEIGHT * UNIT; y++) {
            ck_assert_uint_eq(ink[c][y * FONT_WIDTH * UNIT], 0);
            ck_assert_uint_eq(ink[c][(y + 1) * FONT_WIDTH * UNIT - 1], 0);
        }
    }
    ck_assert_uint_eq(font_glyph('\n'), FONT_COUNT - 1);
    ck_assert_uint_eq(font_glyph('\377'), FONT_COUNT - 1);
    ck_assert_uint_eq(font_glyph('~'), FONT_COUNT - 2);
}
END_TEST

static void expect_lines(const char *text, int columns, int size, const char *want, int lines, int width)
{
    char *wrapped = malloc((size_t)size);
    int got_width;

    ck_assert_int_eq(font_wrap(text, columns, wrapped, size, &got_width), lines);
    ck_assert_str_eq(wrapped, want);
    ck_assert_int_eq(got_width, width);
    free(wrapped);
}

START_TEST(wrapping)
{
    expect_lines("", 10, 100, "", 0, 0);
    expect_lines("one two three", 20, 100, "one two three", 1, 13);
    expect_lines("one two three", 13, 100, "one two three", 1, 13);
    expect_lines("one two three", 12, 100, "one two\nthree", 2, 7);
    expect_lines("one two three", 7, 100, "one two\nthree", 2, 7);
    expect_lines("one two three", 4, 100, "one\ntwo\nthre\ne", 4, 4);
    expect_lines("one\n\ntwo", 10, 100, "one\n\ntwo", 3, 3);
    expect_lines("abcdefgh", 3, 100, "abc\ndef\ngh", 3, 3);
    expect_lines("abc", 0, 100, "a\nb\nc", 3, 1);
    /* No room for what doesn't fit. */
    expect_lines("abcdefgh", 100, 5, "abcd", 1, 4);
    expect_lines("abcdefgh", 3, 9, "abc", 1, 3);
    expect_lines("abc", 10, 1, "", 0, 0);
    /* UTF-8 and control characters */
    expect_lines("\303\244\342\202\254x\001", 10, 100, "\177\177x\177", 1, 4);
}
END_TEST

/* --- screenshots */

START_TEST(screenshots)
{
    char folder[] = "/tmp/oxbow-test-XXXXXX", note[200], first[200];
    uint32_t pixels[6] = {0};
    struct surface surface = {3, 2, pixels};
    struct stat status;

    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert(!chdir(folder));
    ck_assert_ptr_null(screenshot_start(NULL, note, sizeof(note)));
    ck_assert_str_eq(note, "The guest's screen is off.");
    for (int i = 0; i < 3; i++) {
        struct screenshot *screenshot = screenshot_start(&surface, note, sizeof(note));
        ck_assert_msg(screenshot != NULL, "%s", note);
        screenshot_end(screenshot, note, sizeof(note));
        ck_assert_msg(!strncmp(note, "Screenshot: oxbow-", 18), "%s", note);
        ck_assert(!stat(note + 12, &status));
        ck_assert_int_gt(status.st_size, 0);
        ck_assert(!i || strcmp(note, first));
        strcpy(first, note);
    }
    DIR *directory = opendir(".");
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (entry->d_name[0] != '.')
            unlink(entry->d_name);
    }
    closedir(directory);
    ck_assert(!chdir("/"));
    ck_assert(!rmdir(folder));
}
END_TEST

START_TEST(screenshot_nowhere)
{
    char folder[] = "/tmp/oxbow-test-XXXXXX", note[200];
    uint32_t pixel = 0;
    struct surface surface = {1, 1, &pixel};

    /* A working directory that is gone takes no files. */
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert(!chdir(folder));
    ck_assert(!rmdir(folder));
    ck_assert_ptr_null(screenshot_start(&surface, note, sizeof(note)));
    ck_assert_msg(!strncmp(note, "Cannot write oxbow-", 19), "%s", note);
    ck_assert(!chdir("/"));
}
END_TEST

Suite *window_suite(void)
{
    Suite *suite = suite_create("window");
    TCase *keys = tcase_create("keys"), *scale = tcase_create("scale"), *closing = tcase_create("closing");
    TCase *text = tcase_create("text"), *shots = tcase_create("screenshots");

    tcase_add_test(keys, usages);
    tcase_add_test(keys, modifiers);
    tcase_add_test(keys, repeats);
    tcase_add_test(keys, release);
    tcase_add_test(keys, held_modifiers);
    tcase_add_test(keys, letters);
    suite_add_tcase(suite, keys);
    tcase_add_test(scale, fit);
    tcase_add_test(scale, window_size);
    tcase_add_test(scale, position);
    tcase_add_test(scale, motion);
    suite_add_tcase(suite, scale);
    tcase_add_test(closing, close_twice_and_confirm);
    tcase_add_test(closing, close_three_times);
    tcase_add_test(closing, close_again_late);
    tcase_add_test(closing, close_and_go_on);
    suite_add_tcase(suite, closing);
    tcase_add_test(text, glyphs);
    tcase_add_test(text, wrapping);
    suite_add_tcase(suite, text);
    tcase_add_test(shots, screenshots);
    tcase_add_test(shots, screenshot_nowhere);
    suite_add_tcase(suite, shots);
    return suite;
}
