/*
 * test_png.c - pictures into files and back. Alone: tests/unit/unit png
 */
#include <check.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gui/png.h"

static char path[] = "/tmp/oxbow-test-XXXXXX";

static void setup(void)
{
    strcpy(path + strlen(path) - 6, "XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
}

static void teardown(void)
{
    unlink(path);
}

/* The file's pixels as 0x00RRGGBB; the caller frees. */
static uint32_t *read_back(int *width, int *height)
{
    png_image image = {.version = PNG_IMAGE_VERSION};

    ck_assert_msg(png_image_begin_read_from_file(&image, path), "%s", image.message);
    image.format = PNG_FORMAT_BGRA;
    uint32_t *pixels = malloc(PNG_IMAGE_SIZE(image));
    ck_assert(png_image_finish_read(&image, NULL, pixels, 0, NULL));
    *width = (int)image.width;
    *height = (int)image.height;
    for (int i = 0; i < *width * *height; i++)
        pixels[i] &= 0xFFFFFF;
    return pixels;
}

static void round_trip(int width, int height)
{
    struct surface surface = {width, height, malloc(4 * (size_t)width * (size_t)height)};
    char why[100] = "";
    int read_width, read_height;

    for (int i = 0; i < width * height; i++)
        surface.pixels[i] = (uint32_t)i * 2654435761u & 0xFFFFFF;
    ck_assert_msg(png_write(&surface, path, why, sizeof(why)), "%s", why);
    uint32_t *pixels = read_back(&read_width, &read_height);
    ck_assert_int_eq(read_width, width);
    ck_assert_int_eq(read_height, height);
    ck_assert(!memcmp(pixels, surface.pixels, 4 * (size_t)width * (size_t)height));
    free(pixels);
    free(surface.pixels);
}

START_TEST(pictures_come_back)
{
    round_trip(720, 400);
    round_trip(1, 1);
    round_trip(3, 700);
}
END_TEST

START_TEST(failures_say_why)
{
    uint32_t pixel = 0;
    struct surface surface = {1, 1, &pixel}, none = {0};
    char why[100] = "";
    struct stat status;

    ck_assert(!png_write(&surface, "/nonexistent/directory/x.png", why, sizeof(why)));
    ck_assert(strstr(why, "No such file"));
    ck_assert(!png_write(&none, path, why, sizeof(why)));
    ck_assert(strlen(why));
    /* A device that is always full stays where it is. */
    if (!stat("/dev/full", &status)) {
        ck_assert(!png_write(&surface, "/dev/full", why, sizeof(why)));
        ck_assert(strstr(why, "No space"));
        ck_assert(!stat("/dev/full", &status));
    }
}
END_TEST

Suite *png_suite(void)
{
    Suite *suite = suite_create("png");
    TCase *tcase = tcase_create("png");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, pictures_come_back);
    tcase_add_test(tcase, failures_say_why);
    suite_add_tcase(suite, tcase);
    return suite;
}
