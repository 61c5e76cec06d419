/*
 * picture.h - PNG files and X window dumps (such as the screen that Xvfb keeps in a file) as pixels, and
 * whether two look the same.
 *
 * A golden picture may be smaller than what it is compared with, by the same whole factor both ways: each of
 * its pixels then stands for the average of a square. So large pictures with smoothed text need little room
 * and survive a pixel that is drawn otherwise.
 */
#ifndef TESTS_SYSTEM_PICTURE_H
#define TESTS_SYSTEM_PICTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 0x00RRGGBB, row after row. */
struct picture {
    int width, height;
    uint32_t *pixels;
};

/* Part of a picture, in its pixels. */
struct area {
    int x, y, width, height;
};

struct comparison {
    int tolerance;              /* how far red, green and blue may be off, each: 0 to 255 */
    const struct area *ignored; /* what may look otherwise, in pixels of the golden picture */
    size_t ignored_count;
};

/* False when the file can't be read as a PNG or a dump with 32 bits a pixel; then `why` says why. Free it in
 * either case. */
bool picture_read(struct picture *picture, const char *path, char *why, size_t why_size);
void picture_free(struct picture *picture);

/* Leaves a part of it. False, and `why`, when it isn't within the picture. */
bool picture_crop(struct picture *picture, const struct area *part, char *why, size_t why_size);

/*
 * Whether `seen` is what `golden` shows. If not, `why` says what is wrong: the sizes, or the area, in pixels
 * of the golden picture, that holds all differences.
 */
bool picture_same(const struct picture *golden, const struct picture *seen, const struct comparison *how,
                  char *why, size_t why_size);

/*
 * Writes a golden picture, `shrink` times smaller both ways (1: as it is): with a palette, of its own colours
 * if they are few, and otherwise of those that a cube of 6 x 6 x 6 has next to them, which a tolerance of 26
 * makes up for.
 */
bool picture_write_golden(const struct picture *picture, int shrink, const char *path, char *why,
                          size_t why_size);

#endif
