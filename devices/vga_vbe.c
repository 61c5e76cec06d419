/*
 * vga_vbe.c - the Bochs VBE extension: an index and a data register of 16 bits behind which a mode is set by
 * size and depth, and the drawing of its modes.
 *
 * Depths are 4 (planes, as VGA's 16-colour modes), 8 (DAC), 15 and 16 (5-5-5 and 5-6-5), 24 and 32 bits. What
 * the guest writes is kept in bounds when a mode is turned on; a mode is on only with a size and depth that
 * fit the memory, and addresses wrap around its end.
 */
#include "devices/vga_internal.h"

#define PORT_INDEX 0x1CE
#define PORT_COUNT 3 /* data are at 0x1CF */

#define VBE_ID_FIRST 0xB0C0
#define VBE_ID_LAST  0xB0C5

/* picture.pages */
enum page_state {
    PAGE_DRAW = 1,   /* to be drawn now */
    PAGE_SETTLE = 2, /* was dirty: once more at the next refresh */
};

static bool depth_valid(unsigned bpp)
{
    return bpp == 4 || bpp == 8 || bpp == 15 || bpp == 16 || bpp == 24 || bpp == 32;
}

/* Bytes of `pixels` in memory; for 4-bit modes in each plane. */
static uint32_t line_bytes(unsigned bpp, uint32_t pixels)
{
    return bpp == 4 ? pixels / 8 : pixels * ((bpp + 7) / 8);
}

uint32_t vbe_pitch(const struct vga *vga)
{
    return line_bytes(vga->vbe[VBE_BPP], vga->vbe[VBE_VIRT_WIDTH]);
}

/* Bytes that a line's bytes are taken from: of a plane, or all. */
static uint32_t memory_size(const struct vga *vga)
{
    return vga->vbe[VBE_BPP] == 4 ? vga->vram_size / 4 : vga->vram_size;
}

static uint16_t clamp(uint32_t value, uint32_t low, uint32_t high)
{
    return value < low ? low : value > high ? high : value;
}

static void set_virtual_width(struct vga *vga, uint16_t width)
{
    uint16_t *vbe = vga->vbe;
    uint32_t lines;

    if (vbe[VBE_BPP] == 4)
        width &= ~7;
    if (width < vbe[VBE_WIDTH] || line_bytes(vbe[VBE_BPP], width) > memory_size(vga) / vbe[VBE_HEIGHT])
        width = vbe[VBE_WIDTH];
    vbe[VBE_VIRT_WIDTH] = width;
    lines = memory_size(vga) / vbe_pitch(vga);
    vbe[VBE_VIRT_HEIGHT] = clamp(lines, 1, UINT16_MAX);
}

/* Makes the mode one that there is. */
static void fit_mode(struct vga *vga)
{
    uint16_t *vbe = vga->vbe, width = vbe[VBE_WIDTH], height = vbe[VBE_HEIGHT];

    if (!depth_valid(vbe[VBE_BPP]))
        vbe[VBE_BPP] = 8;
    vbe[VBE_WIDTH] = clamp(width, 8, VGA_MAX_WIDTH);
    if (vbe[VBE_BPP] == 4)
        vbe[VBE_WIDTH] &= ~7;
    vbe[VBE_HEIGHT] = clamp(height, 1, VGA_MAX_HEIGHT);
    vbe[VBE_HEIGHT] = clamp(vbe[VBE_HEIGHT], 1, memory_size(vga) / line_bytes(vbe[VBE_BPP], vbe[VBE_WIDTH]));
    if (width != vbe[VBE_WIDTH] || height != vbe[VBE_HEIGHT])
        log_at(vga->log, LOG_GUEST, "vga", "a VBE mode of %ux%u doesn't fit, %ux%u taken", width, height,
               vbe[VBE_WIDTH], vbe[VBE_HEIGHT]);
}

static void turn_on(struct vga *vga, bool clear)
{
    uint16_t *vbe = vga->vbe;

    fit_mode(vga);
    set_virtual_width(vga, vbe[VBE_WIDTH]);
    vbe[VBE_X] = vbe[VBE_Y] = vbe[VBE_BANK] = 0;
    if (clear) {
        uint32_t used = vbe_pitch(vga) * vbe[VBE_HEIGHT] * (vbe[VBE_BPP] == 4 ? 4 : 1);
        memset(vga->vram, 0, used);
        bus_ram_written(vga->mem, vga->lfb, 0, used);
    }
}

static void write_enable(struct vga *vga, uint16_t value)
{
    bool was = vbe_enabled(vga);

    if ((value & VBE_ENABLED) && !was)
        turn_on(vga, !(value & VBE_NO_CLEAR));
    if (!(value & VBE_ENABLED))
        vga->vbe[VBE_BANK] = 0;
    vga->vbe[VBE_ENABLE] = value & (VBE_ENABLED | VBE_CAPABILITIES | VBE_8_BIT_DAC | VBE_LFB | VBE_NO_CLEAR);
}

void vbe_loaded(struct vga *vga)
{
    uint16_t *vbe = vga->vbe, virt_width = vbe[VBE_VIRT_WIDTH];

    if (!vbe_enabled(vga))
        return;
    fit_mode(vga);
    set_virtual_width(vga, virt_width);
}

uint16_t vbe_read(struct vga *vga, unsigned index)
{
    if (vga->vbe[VBE_ENABLE] & VBE_CAPABILITIES) {
        if (index == VBE_WIDTH)
            return VGA_MAX_WIDTH;
        if (index == VBE_HEIGHT)
            return VGA_MAX_HEIGHT;
        if (index == VBE_BPP)
            return 32;
    }
    if (index == VBE_MEMORY)
        return vga->vram_size >> 16;
    return index < VBE_COUNT ? vga->vbe[index] : 0;
}

void vbe_write(struct vga *vga, unsigned index, uint16_t value)
{
    bool on = vbe_enabled(vga);

    if (index != VBE_ID && index != VBE_BANK)
        vga->picture.changed = true;
    switch (index) {
    case VBE_ID:
        if (value >= VBE_ID_FIRST && value <= VBE_ID_LAST)
            vga->vbe[VBE_ID] = value;
        break;
    case VBE_WIDTH:
    case VBE_HEIGHT:
    case VBE_BPP:
        /* A mode that is on stays as it is. */
        if (!on)
            vga->vbe[index] = value;
        break;
    case VBE_ENABLE:
        write_enable(vga, value);
        break;
    case VBE_VIRT_WIDTH:
        if (on)
            set_virtual_width(vga, value);
        else
            vga->vbe[index] = value;
        break;
    case VBE_BANK:
    case VBE_X:
    case VBE_Y:
        vga->vbe[index] = value;
        break;
    case VBE_VIRT_HEIGHT: /* follows from the virtual width */
        break;
    default:
        log_at(vga->log, LOG_GUEST, "vga", "write of 0x%04x to VBE register %u", value, index);
    }
}

/* --- ports: a word each; of bytes only the low one of the index can be written. */

static uint64_t ports_read(void *dev, uint64_t addr, unsigned size)
{
    struct vga *vga = dev;
    uint16_t value = vbe_read(vga, vga->vbe_index);

    if (addr == 0)
        return vga->vbe_index;
    return size == 1 && addr == 2 ? value >> 8 : value;
}

static void ports_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct vga *vga = dev;

    if (addr == 0)
        vga->vbe_index = value;
    else if (size == 2)
        vbe_write(vga, vga->vbe_index, value);
}

static const struct bus_ops ports_ops = {ports_read, ports_write, 2};

bool vbe_ports_map(struct vga *vga, struct bus *ports)
{
    return bus_map(ports, "vbe", PORT_INDEX, PORT_COUNT, &ports_ops, vga);
}

/* --- drawing */

static void draw_16(uint32_t *out, const uint8_t *from, unsigned width, unsigned green_bits)
{
    unsigned red_shift = green_bits + 5, green_mask = (1u << green_bits) - 1;

    for (unsigned x = 0; x < width; x++) {
        uint16_t v;

        memcpy(&v, from + 2 * x, 2);
        uint32_t r = v >> red_shift & 31, g = v >> 5 & green_mask, b = v & 31;
        r = r << 3 | r >> 2;
        g = green_bits == 6 ? g << 2 | g >> 4 : g << 3 | g >> 2;
        b = b << 3 | b >> 2;
        out[x] = r << 16 | g << 8 | b;
    }
}

static void draw_pixels(const struct vga *vga, const uint32_t palette[256], const uint8_t *from)
{
    uint32_t *out = (uint32_t *)vga->picture.line;
    unsigned width = vga->vbe[VBE_WIDTH];

    switch (vga->vbe[VBE_BPP]) {
    case 8:
        for (unsigned x = 0; x < width; x++)
            out[x] = palette[from[x]];
        break;
    case 15:
        draw_16(out, from, width, 5);
        break;
    case 16:
        draw_16(out, from, width, 6);
        break;
    case 24:
        for (unsigned x = 0; x < width; x++)
            out[x] = (uint32_t)from[3 * x + 2] << 16 | (uint32_t)from[3 * x + 1] << 8 | from[3 * x];
        break;
    default:
        memcpy(out, from, 4 * (size_t)width);
        for (unsigned x = 0; x < width; x++)
            out[x] &= 0xFFFFFF;
        break;
    }
}

static void draw_planes(struct vga *vga, const uint32_t palette[16], uint32_t line)
{
    uint32_t *out = vga->picture.line;
    unsigned pan = vga->vbe[VBE_X] & 7, width = vga->vbe[VBE_WIDTH];

    for (unsigned x = 0; x < width; x++) {
        uint32_t word = vga_word(vga, line + (x + pan) / 8);
        unsigned bit = 7 - ((x + pan) & 7);
        out[x] = palette[(word >> bit & 1) | (word >> (bit + 8) & 1) << 1 | (word >> (bit + 16) & 1) << 2 |
                         (word >> (bit + 24) & 1) << 3];
    }
}

/* The internal palette of the attribute controller is in the way of 4-bit pixels only. */
static void make_palette(const struct vga *vga, uint32_t palette[256])
{
    bool planes = vga->vbe[VBE_BPP] == 4;

    for (unsigned i = 0; i < (planes ? 16 : 256); i++)
        palette[i] = vga_dac_color(vga, planes ? vga->attr[i] : i);
}

/* Marks the pages from byte `start` on that need drawing. True when any does. */
static bool scan_pages(struct vga *vga, uint32_t start, uint32_t length)
{
    uint32_t page_mask = vga->vram_mask / BUS_PAGE, first = start / BUS_PAGE;
    uint32_t count = ((start & (BUS_PAGE - 1)) + length + BUS_PAGE - 1) / BUS_PAGE;
    bool armed = false, any = false;

    if (count > page_mask + 1)
        count = page_mask + 1;
    bus_collect_written(vga->lfb);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t page = (first + i) & page_mask;
        uint8_t state = vga->picture.pages[page] & PAGE_SETTLE ? PAGE_DRAW : 0;

        if (bus_take_dirty(vga->lfb, page)) {
            state = PAGE_DRAW | PAGE_SETTLE;
            armed = true;
        }
        vga->picture.pages[page] = state;
        any |= state;
    }
    if (armed)
        bus_tracking_armed(vga->lfb);
    return any;
}

static bool line_dirty(const struct vga *vga, uint32_t start, uint32_t length)
{
    uint32_t page_mask = vga->vram_mask / BUS_PAGE;

    for (uint32_t page = start / BUS_PAGE; page <= (start + length - 1) / BUS_PAGE; page++) {
        if (vga->picture.pages[page & page_mask] & PAGE_DRAW)
            return true;
    }
    return false;
}

/* A line's bytes; where they wrap around the end of memory, a copy. */
static const uint8_t *line_memory(struct vga *vga, uint32_t start, uint32_t length)
{
    uint32_t first = vga->vram_size - start;

    if (length <= first)
        return vga->vram + start;
    memcpy(vga->picture.row, vga->vram + start, first);
    memcpy(vga->picture.row + first, vga->vram, length - first);
    return vga->picture.row;
}

void vbe_draw(struct vga *vga, bool all)
{
    const uint16_t *vbe = vga->vbe;
    bool planes = vbe[VBE_BPP] == 4;
    uint32_t palette[256];
    uint32_t pitch = vbe_pitch(vga), scale = planes ? 4 : 1;
    uint32_t start = pitch * vbe[VBE_Y] + line_bytes(vbe[VBE_BPP], vbe[VBE_X]); /* wraps; masked where used */
    uint32_t length = line_bytes(vbe[VBE_BPP], vbe[VBE_WIDTH]) * scale + (planes ? 4 : 0);
    uint32_t span = pitch * (vbe[VBE_HEIGHT] - 1u) * scale + length;

    if (!scan_pages(vga, start * scale & vga->vram_mask, span) && !all)
        return;
    make_palette(vga, palette);
    for (unsigned y = 0; y < vbe[VBE_HEIGHT]; y++) {
        uint32_t line = start + pitch * y, at = line * scale & vga->vram_mask;

        if (!all && !line_dirty(vga, at, length))
            continue;
        if (planes)
            draw_planes(vga, palette, line);
        else
            draw_pixels(vga, palette, line_memory(vga, at, length));
        vga_line_done(vga, y);
    }
}
