/*
 * vga_picture.c - bringing the surface up to date, with as little drawing as the dirty pages allow.
 *
 * A linear mode draws the lines that lie in dirty pages. VGA's own modes are drawn whole when anything in
 * their 256 KiB or in a register changed. Every drawn line is compared with what is there, so the damage is
 * exact.
 *
 * A picture is what the monitor shows: pixels of a halved dot clock are two wide, doubled scan lines are
 * there twice. The frame is drawn at one moment: what a guest does to the registers halfway down the screen
 * doesn't show.
 */
#include "devices/vga_internal.h"

#include <stdlib.h>

#define FIRST_WIDTH  720 /* until the guest has set a mode */
#define FIRST_HEIGHT 400

/* Smaller than this no monitor locks on. */
#define MIN_WIDTH  64
#define MIN_HEIGHT 16

void vga_line_done(struct vga *vga, unsigned y)
{
    struct vga_picture *p = &vga->picture;
    int width = p->surface.width, left = 0, right = width;
    uint32_t *old = p->surface.pixels + (size_t)y * (unsigned)width;

    if (!memcmp(old, p->line, 4 * (size_t)width))
        return;
    while (old[left] == p->line[left])
        left++;
    while (old[right - 1] == p->line[right - 1])
        right--;
    memcpy(old + left, p->line + left, 4 * (size_t)(right - left));

    struct rect *d = &p->damage;
    if (!d->width) {
        *d = (struct rect){left, (int)y, right - left, 1};
        return;
    }
    int end = d->x + d->width > right ? d->x + d->width : right;
    d->x = d->x < left ? d->x : left;
    d->width = end - d->x;
    if ((int)y >= d->y + d->height)
        d->height = (int)y + 1 - d->y;
}

static void damage_all(struct vga_picture *p)
{
    p->damage = (struct rect){0, 0, p->surface.width, p->surface.height};
}

/* Makes the surface this large; false when memory ran out, and then it stays as it was. */
static bool resize(struct vga *vga, struct vga_size size)
{
    struct vga_picture *p = &vga->picture;
    size_t pixels = (size_t)size.width * size.height;

    if (pixels > p->capacity) {
        uint32_t *grown = realloc(p->surface.pixels, 4 * pixels);
        if (!grown) {
            log_at(vga->log, LOG_WARN, "vga", "no memory for a picture of %ux%u", size.width, size.height);
            return false;
        }
        p->surface.pixels = grown;
        p->capacity = pixels;
    }
    p->surface.width = (int)size.width;
    p->surface.height = (int)size.height;
    memset(p->surface.pixels, 0, 4 * pixels);
    p->blank = true;
    damage_all(p);
    return true;
}

static struct vga_size wanted_size(const struct vga *vga)
{
    struct vga_size size = vga_mode_size(vga);

    if (vbe_enabled(vga))
        size = (struct vga_size){vga->vbe[VBE_WIDTH], vga->vbe[VBE_HEIGHT]};
    return size;
}

/* No picture: blanked, between two modes, or never set up. */
static bool is_dark(const struct vga *vga, struct vga_size size)
{
    bool running = vbe_enabled(vga) ||
                   ((vga->seq[SEQ_RESET] & 3) == 3 && size.width >= MIN_WIDTH && size.height >= MIN_HEIGHT);

    return !running || !(vga->attr_index & ATTR_PALETTE_ON) || (vga->seq[SEQ_CLOCKING] & CLOCKING_SCREEN_OFF);
}

static void make_dark(struct vga_picture *p)
{
    if (p->blank)
        return;
    memset(p->surface.pixels, 0, 4 * (size_t)p->surface.width * (size_t)p->surface.height);
    p->blank = true;
    damage_all(p);
}

static bool planes_dirty(struct vga *vga)
{
    bool dirty = false;

    bus_collect_written(vga->lfb);
    for (unsigned page = 0; page < VGA_PLANAR_PAGES; page++)
        dirty |= bus_take_dirty(vga->lfb, page);
    if (dirty)
        bus_tracking_armed(vga->lfb);
    return dirty;
}

static void draw(struct vga *vga, bool all)
{
    struct vga_picture *p = &vga->picture;
    unsigned phases = vga_blink_phases(vga);

    if (vbe_enabled(vga)) {
        vbe_draw(vga, all);
        return;
    }
    bool dirty = planes_dirty(vga);
    if (dirty || p->settle || all || (p->blinks && phases != p->phases)) {
        p->phases = phases;
        vga_draw(vga);
    }
    p->settle = dirty;
}

const struct surface *vga_refresh(void *opaque, bool all, struct rect *damage)
{
    struct vga *vga = opaque;
    struct vga_picture *p = &vga->picture;
    struct vga_size size = wanted_size(vga);
    bool dark = is_dark(vga, size), whole = all || p->changed;

    p->damage = (struct rect){0};
    if (dark && p->surface.pixels)
        size = (struct vga_size){(unsigned)p->surface.width, (unsigned)p->surface.height};
    else if (dark)
        size = (struct vga_size){FIRST_WIDTH, FIRST_HEIGHT};
    if ((int)size.width != p->surface.width || (int)size.height != p->surface.height) {
        whole = true;
        if (!resize(vga, size)) {
            *damage = p->damage;
            return &p->surface;
        }
    }
    p->changed = false;
    if (dark) {
        make_dark(p);
    } else {
        whole |= p->blank;
        p->blank = false;
        draw(vga, whole);
    }
    if (all)
        damage_all(p);
    *damage = p->damage;
    return &p->surface;
}
