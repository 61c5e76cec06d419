/*
 * png_compare.c - whether two pictures look the same, for tests and for whoever looks into a failed one.
 *
 *     png_compare [-t TOLERANCE] [-i X,Y,WxH]... [-c X,Y,WxH] GOLDEN.png SEEN
 *     png_compare -w [-s SHRINK] [-c X,Y,WxH] GOLDEN.png SEEN
 *
 * The first says nothing and ends with 0 when they do; with 1, and the area that holds the differences, when
 * they don't. TOLERANCE (0) is how far each of red, green and blue may be off, -i an area of the golden
 * picture to ignore. The second makes the golden picture; look at SEEN first. SEEN is a PNG or an X window
 * dump; with -c this part of it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/system/picture.h"

#define AREAS_MAX 16

enum { SAME, DIFFERENT, TROUBLE };

struct request {
    struct comparison how;
    struct area areas[AREAS_MAX];
    bool write, crop;
    struct area part;
    int shrink;
    const char *golden, *seen;
};

static bool read_area(struct area *area, const char *text)
{
    char end;

    return sscanf(text, "%d,%d,%dx%d%c", &area->x, &area->y, &area->width, &area->height, &end) == 4;
}

static bool add_area(struct request *request, const char *text)
{
    return request->how.ignored_count < AREAS_MAX &&
           read_area(&request->areas[request->how.ignored_count++], text);
}

static bool parse(struct request *request, int argc, char **argv)
{
    int option;

    while ((option = getopt(argc, argv, "t:i:ws:c:")) >= 0) {
        if (option == 't')
            request->how.tolerance = atoi(optarg);
        else if (option == 's')
            request->shrink = atoi(optarg);
        else if (option == 'w')
            request->write = true;
        else if (option == 'c' && read_area(&request->part, optarg))
            request->crop = true;
        else if (option != 'i' || !add_area(request, optarg))
            return false;
    }
    if (argc - optind != 2)
        return false;
    request->golden = argv[optind];
    request->seen = argv[optind + 1];
    return true;
}

static int compare(const struct request *request, const struct picture *seen)
{
    struct picture golden;
    char why[200];
    int status = TROUBLE;

    if (picture_read(&golden, request->golden, why, sizeof(why)))
        status = picture_same(&golden, seen, &request->how, why, sizeof(why)) ? SAME : DIFFERENT;
    if (status != SAME)
        printf("%s\n", why);
    picture_free(&golden);
    return status;
}

int main(int argc, char **argv)
{
    struct request request = {.shrink = 1};
    struct picture seen;
    char why[200];
    int status = SAME;

    request.how.ignored = request.areas;
    if (!parse(&request, argc, argv)) {
        fprintf(stderr, "usage: png_compare [-t TOLERANCE] [-i X,Y,WxH]... [-c X,Y,WxH] GOLDEN.png SEEN\n"
                        "       png_compare -w [-s SHRINK] [-c X,Y,WxH] GOLDEN.png SEEN\n");
        return TROUBLE;
    }
    if (!picture_read(&seen, request.seen, why, sizeof(why)) ||
        (request.crop && !picture_crop(&seen, &request.part, why, sizeof(why)))) {
        printf("%s\n", why);
        status = TROUBLE;
    } else if (!request.write) {
        status = compare(&request, &seen);
    } else if (!picture_write_golden(&seen, request.shrink, request.golden, why, sizeof(why))) {
        printf("%s\n", why);
        status = TROUBLE;
    }
    picture_free(&seen);
    return status;
}
