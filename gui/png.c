/*
 * png.c - a surface into a file: 8-bit RGB, one row at a time.
 */
#include "gui/png.h"

#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <png.h>

struct picture {
    const struct surface *surface;
    FILE *file;
    uint8_t *row; /* RGB */
    char *why;
    size_t why_size;
};

/* The library wants errors to jump; a failed write has left the reason in errno. */
static void on_error(png_structp png, png_const_charp text)
{
    struct picture *picture = png_get_error_ptr(png);

    snprintf(picture->why, picture->why_size, "%s", ferror(picture->file) ? strerror(errno) : text);
    longjmp(png_jmpbuf(png), 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static void write_rows(png_structp png, const struct picture *picture)
{
    const struct surface *surface = picture->surface;
    const uint32_t *from = surface->pixels;

    for (int y = 0; y < surface->height; y++) {
        uint8_t *to = picture->row;
        for (int x = 0; x < surface->width; x++, to += 3) {
            uint32_t pixel = *from++;
            to[0] = pixel >> 16 & 0xFF;
            to[1] = pixel >> 8 & 0xFF;
            to[2] = pixel & 0xFF;
        }
        png_write_row(png, picture->row);
    }
}

/* All that may jump; the variables that matter after a jump don't change in here. */
static bool write_file(struct picture *picture)
{
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, picture, on_error, on_warning);
    png_infop info = png ? png_create_info_struct(png) : NULL;

    if (!info) {
        snprintf(picture->why, picture->why_size, "out of memory");
        png_destroy_write_struct(&png, NULL);
        return false;
    }
    if (setjmp(png_jmpbuf(png))) {
        png_destroy_write_struct(&png, &info);
        return false;
    }
    png_init_io(png, picture->file);
    png_set_IHDR(png, info, (png_uint_32)picture->surface->width, (png_uint_32)picture->surface->height, 8,
                 PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    write_rows(png, picture);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    return true;
}

bool png_write(const struct surface *surface, const char *path, char *why, size_t why_size)
{
    struct picture picture = {.surface = surface, .why = why, .why_size = why_size};
    struct stat status;

    if (!surface || surface->width <= 0 || surface->height <= 0 || !surface->pixels) {
        snprintf(why, why_size, "there is no picture yet");
        return false;
    }
    picture.row = malloc(3 * (size_t)surface->width);
    if (!picture.row) {
        snprintf(why, why_size, "out of memory");
        return false;
    }
    picture.file = fopen(path, "wbe");
    if (!picture.file) {
        snprintf(why, why_size, "%s", strerror(errno));
        free(picture.row);
        return false;
    }
    bool written = write_file(&picture),
         ordinary = !fstat(fileno(picture.file), &status) && S_ISREG(status.st_mode);
    /* A full disk may show only now. */
    if (fclose(picture.file) && written) {
        snprintf(why, why_size, "%s", strerror(errno));
        written = false;
    }
    if (!written && ordinary)
        unlink(path);
    free(picture.row);
    return written;
}
