/*
 * png_compare.c - whether two pictures look the same, for tests and for whoever looks into a failed one.
 *
 *     png_compare [-t TOLERANCE] [-i X,Y,WxH]... GOLDEN.png SEEN.png
 *     png_compare -w [-s SHRINK] GOLDEN.png SEEN.png
 *
 * The first says nothing and ends with 0 when they do; with 1, and the area that holds the differences, when
 * they don't. TOLERANCE (0) is how far each of red, green and blue may be off, -i an area of the golden
 * picture to ignore. The second makes the golden picture; look at SEEN first.
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
    bool write;
    int shrink;
    const char *golden, *seen;
};

static bool add_area(struct request *request, const char *text)
{
    struct area area;
    char end;

    if (request->how.ignored_count == AREAS_MAX ||
        sscanf(text, "%d,%d,%dx%d%c", &area.x, &area.y, &area.width, &area.height, &end) != 4)
        return false;
    request->areas[request->how.ignored_count++] = area;
    return true;
}

static bool parse(struct request *request, int argc, char **argv)
{
    int option;

    while ((option = getopt(argc, argv, "t:i:ws:")) >= 0) {
        if (option == 't')
            request->how.tolerance = atoi(optarg);
        else if (option == 's')
            request->shrink = atoi(optarg);
        else if (option == 'w')
            request->write = true;
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
        fprintf(stderr, "usage: png_compare [-t TOLERANCE] [-i X,Y,WxH]... GOLDEN.png SEEN.png\n"
                        "       png_compare -w [-s SHRINK] GOLDEN.png SEEN.png\n");
        return TROUBLE;
    }
    if (!picture_read(&seen, request.seen, why, sizeof(why))) {
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
