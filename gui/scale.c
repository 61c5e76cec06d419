/*
 * scale.c - see scale.h.
 */
#include "gui/scale.h"

static int at_least_1(int64_t size)
{
    return size < 1 ? 1 : (int)size;
}

static int min(int a, int b)
{
    return a < b ? a : b;
}

static struct rect fill(int guest_width, int guest_height, int width, int height)
{
    struct rect picture = {.width = width, .height = height};

    if ((int64_t)width * guest_height <= (int64_t)height * guest_width)
        picture.height = at_least_1((int64_t)guest_height * width / guest_width);
    else
        picture.width = at_least_1((int64_t)guest_width * height / guest_height);
    return picture;
}

struct rect scale_fit(enum scale_mode mode, int guest_width, int guest_height, int width, int height,
                      bool *sharp)
{
    int times = min(width / guest_width, height / guest_height);
    struct rect picture;

    if (mode == SCALE_INTEGER && times >= 1)
        picture = (struct rect){.width = guest_width * times, .height = guest_height * times};
    else
        picture = fill(guest_width, guest_height, width, height);
    *sharp = (mode == SCALE_INTEGER && times >= 1) || picture.width == guest_width;
    picture.x = (width - picture.width) / 2;
    picture.y = (height - picture.height) / 2;
    return picture;
}

struct rect scale_window(int guest_width, int guest_height, int width, int height)
{
    int times = at_least_1(min(width / 2 / guest_width, height / 2 / guest_height));

    if (guest_width > width || guest_height > height)
        return fill(guest_width, guest_height, width, height);
    return (struct rect){.width = guest_width * times, .height = guest_height * times};
}

int scale_position(int at, int picture_at, int picture_size)
{
    int64_t last = picture_size - 1, inside = (int64_t)at - picture_at;

    if (inside <= 0)
        return 0;
    if (inside >= last)
        return POINTER_MAX;
    return (int)((inside * POINTER_MAX + last / 2) / last);
}

int scale_motion(struct scale_motion *motion, int distance, int guest_size, int picture_size)
{
    int64_t sum = motion->rest + (int64_t)distance * guest_size;

    motion->rest = sum % picture_size;
    return (int)(sum / picture_size);
}
