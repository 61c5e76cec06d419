/* picture.c - see picture.h. */
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/system/picture.h"

#define COLORS_MAX 216 /* in a palette */
#define CUBE_STEP  51  /* between the levels of a cube of 6 x 6 x 6 colours */

/*
 * An X window dump, as X11/XWDFile.h has it: 32-bit numbers, the most significant byte first; then the
 * window's name, the colours, and the pixels in whatever way that server keeps them. Here that is 32 bits.
 */
enum dump_field {
    DUMP_HEADER_SIZE,
    DUMP_VERSION,
    DUMP_FORMAT,
    DUMP_WIDTH = 4,
    DUMP_HEIGHT,
    DUMP_BIG_ENDIAN = 7,
    DUMP_BITS = 11, /* a pixel */
    DUMP_STRIDE,    /* bytes a line */
    DUMP_COLORS = 19,
    DUMP_FIELDS = 25,
};
#define DUMP_VERSION_7 7
#define DUMP_Z_PIXMAP  2
#define DUMP_COLOR     12 /* bytes */
#define DUMP_MAX       16384

static uint32_t big_endian(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* False when the file is something else. */
static bool read_dump_header(FILE *file, uint32_t *field)
{
    uint8_t bytes[DUMP_FIELDS][4];

    if (fread(bytes, sizeof(bytes), 1, file) != 1)
        return false;
    for (int i = 0; i < DUMP_FIELDS; i++)
        field[i] = big_endian(bytes[i]);
    return field[DUMP_VERSION] == DUMP_VERSION_7 && field[DUMP_FORMAT] == DUMP_Z_PIXMAP &&
           field[DUMP_HEADER_SIZE] >= sizeof(bytes) && field[DUMP_BITS] == 32 &&
           field[DUMP_WIDTH] <= DUMP_MAX && field[DUMP_HEIGHT] <= DUMP_MAX &&
           field[DUMP_STRIDE] == field[DUMP_WIDTH] * 4;
}

static bool read_dump(struct picture *picture, FILE *file)
{
    uint32_t field[DUMP_FIELDS];

    if (!read_dump_header(file, field) ||
        fseek(file, (long)field[DUMP_HEADER_SIZE] + (long)field[DUMP_COLORS] * DUMP_COLOR, SEEK_SET))
        return false;
    picture->width = (int)field[DUMP_WIDTH];
    picture->height = (int)field[DUMP_HEIGHT];
    size_t count = (size_t)picture->width * (size_t)picture->height;
    picture->pixels = malloc(count * sizeof(*picture->pixels));
    if (!picture->pixels || fread(picture->pixels, sizeof(*picture->pixels), count, file) != count)
        return false;
    for (size_t i = 0; i < count; i++) {
        uint32_t *pixel = &picture->pixels[i];

        *pixel = (field[DUMP_BIG_ENDIAN] ? __builtin_bswap32(*pixel) : *pixel) & 0xFFFFFF;
    }
    return true;
}

bool picture_read(struct picture *picture, const char *path, char *why, size_t why_size)
{
    png_image image = {.version = PNG_IMAGE_VERSION};
    FILE *file = fopen(path, "rb");
    bool dump;

    *picture = (struct picture){0};
    dump = file && read_dump(picture, file);
    if (file)
        fclose(file);
    if (dump)
        return true;
    picture_free(picture);
    if (png_image_begin_read_from_file(&image, path)) {
        image.format = PNG_FORMAT_BGRA;
        picture->width = (int)image.width;
        picture->height = (int)image.height;
        picture->pixels = malloc(PNG_IMAGE_SIZE(image));
        if (picture->pixels && png_image_finish_read(&image, NULL, picture->pixels, 0, NULL)) {
            for (size_t i = 0; i < (size_t)image.width * image.height; i++)
                picture->pixels[i] &= 0xFFFFFF;
            return true;
        }
    }
    snprintf(why, why_size, "%s: %s", path, *image.message ? image.message : "out of memory");
    png_image_free(&image);
    return false;
}

bool picture_crop(struct picture *picture, const struct area *part, char *why, size_t why_size)
{
    if (part->x < 0 || part->y < 0 || part->width < 1 || part->height < 1 ||
        part->width > picture->width - part->x || part->height > picture->height - part->y) {
        snprintf(why, why_size, "%d x %d pixels have no part %d,%d,%dx%d", picture->width, picture->height,
                 part->x, part->y, part->width, part->height);
        return false;
    }
    for (int y = 0; y < part->height; y++)
        memmove(picture->pixels + (size_t)y * (size_t)part->width,
                picture->pixels + (size_t)(part->y + y) * (size_t)picture->width + part->x,
                (size_t)part->width * sizeof(*picture->pixels));
    picture->width = part->width;
    picture->height = part->height;
    return true;
}

void picture_free(struct picture *picture)
{
    free(picture->pixels);
    *picture = (struct picture){0};
}

static bool is_ignored(const struct comparison *how, int x, int y)
{
    for (size_t i = 0; i < how->ignored_count; i++) {
        const struct area *area = &how->ignored[i];

        if (x >= area->x && x < area->x + area->width && y >= area->y && y < area->y + area->height)
            return true;
    }
    return false;
}

static int channel(uint32_t pixel, int shift)
{
    return (int)(pixel >> shift & 0xFF);
}

static bool close_enough(uint32_t a, uint32_t b, int tolerance)
{
    for (int shift = 0; shift < 24; shift += 8)
        if (abs(channel(a, shift) - channel(b, shift)) > tolerance)
            return false;
    return true;
}

/* The average of a square of `side` pixels. */
static uint32_t average(const struct picture *picture, int left, int top, int side)
{
    unsigned sum[3] = {0}, count = (unsigned)(side * side);

    for (int y = top; y < top + side; y++)
        for (int x = left; x < left + side; x++)
            for (int n = 0; n < 3; n++)
                sum[n] +=
                    (unsigned)channel(picture->pixels[(size_t)y * (size_t)picture->width + (size_t)x], 8 * n);
    return sum[0] / count | sum[1] / count << 8 | sum[2] / count << 16;
}

bool picture_same(const struct picture *golden, const struct picture *seen, const struct comparison *how,
                  char *why, size_t why_size)
{
    int shrink = golden->width ? seen->width / golden->width : 0;
    int left = golden->width, top = golden->height, right = -1, bottom = -1;
    size_t count = 0;

    if (shrink < 1 || seen->width != golden->width * shrink || seen->height != golden->height * shrink) {
        snprintf(why, why_size, "it is %d x %d pixels, the golden one %d x %d", seen->width, seen->height,
                 golden->width, golden->height);
        return false;
    }
    for (int y = 0; y < golden->height; y++) {
        for (int x = 0; x < golden->width; x++) {
            uint32_t want = golden->pixels[(size_t)y * (size_t)golden->width + (size_t)x];

            if (close_enough(want, average(seen, x * shrink, y * shrink, shrink), how->tolerance) ||
                is_ignored(how, x, y))
                continue;
            count++;
            left = x < left ? x : left;
            right = x > right ? x : right;
            top = y < top ? y : top;
            bottom = y;
        }
    }
    if (count)
        snprintf(why, why_size, "%zu pixels differ, within %d,%d,%dx%d", count, left, top, right - left + 1,
                 bottom - top + 1);
    return !count;
}

/* The number of a colour in the palette, which grows for it; -1 when it is full. */
static int color_number(uint32_t *palette, int *colors, uint32_t pixel)
{
    for (int i = 0; i < *colors; i++)
        if (palette[i] == pixel)
            return i;
    if (*colors == COLORS_MAX)
        return -1;
    palette[*colors] = pixel;
    return (*colors)++;
}

static uint32_t in_cube(uint32_t pixel)
{
    uint32_t near = 0;

    for (int shift = 0; shift < 24; shift += 8)
        near |= (uint32_t)((channel(pixel, shift) + CUBE_STEP / 2) / CUBE_STEP * CUBE_STEP) << shift;
    return near;
}

/* Fills indexes[] and palette[]; the number of colours, 0 when there are too many. */
static int make_palette(const struct picture *picture, int shrink, bool cube, uint8_t *indexes,
                        uint32_t *palette)
{
    int colors = 0;

    for (int y = 0; y < picture->height / shrink; y++) {
        for (int x = 0; x < picture->width / shrink; x++) {
            uint32_t pixel = average(picture, x * shrink, y * shrink, shrink);
            int number = color_number(palette, &colors, cube ? in_cube(pixel) : pixel);

            if (number < 0)
                return 0;
            *indexes++ = (uint8_t)number;
        }
    }
    return colors;
}

bool picture_write_golden(const struct picture *picture, int shrink, const char *path, char *why,
                          size_t why_size)
{
    png_image image = {.version = PNG_IMAGE_VERSION, .format = PNG_FORMAT_RGB_COLORMAP};
    uint32_t palette[COLORS_MAX];
    uint8_t map[COLORS_MAX][3], *indexes;

    if (shrink < 1 || picture->width % shrink || picture->height % shrink) {
        snprintf(why, why_size, "%d x %d pixels can't be divided by %d", picture->width, picture->height,
                 shrink);
        return false;
    }
    image.width = (png_uint_32)(picture->width / shrink);
    image.height = (png_uint_32)(picture->height / shrink);
    indexes = malloc((size_t)image.width * image.height);
    if (!indexes) {
        snprintf(why, why_size, "out of memory");
        return false;
    }
    int colors = make_palette(picture, shrink, false, indexes, palette);
    if (!colors)
        colors = make_palette(picture, shrink, true, indexes, palette);
    for (int i = 0; i < colors; i++)
        for (int n = 0; n < 3; n++)
            map[i][n] = (uint8_t)channel(palette[i], 16 - 8 * n);
    image.colormap_entries = (png_uint_32)colors;
    bool written = png_image_write_to_file(&image, path, 0, indexes, 0, map);
    if (!written)
        snprintf(why, why_size, "%s: %s", path, image.message);
    free(indexes);
    return written;
}
