/*
 * vga_draw.c - VGA's own modes, drawn as the chip does it: the CRT controller counts character clocks and
 * scan lines, each clock fetches the four planes' bytes at an address made from the count, and what GFX_MODE
 * says turns them into eight dots. Text, CGA's, the 16- and the 256-colour modes, Mode X and split screens
 * all come out of that. Not modelled: display skew, interlace, blinking in graphics modes, the border.
 */
#include "devices/vga_internal.h"

#include <stdlib.h>

#define DOTS_MAX     9
#define CLOCKS_MAX   256
#define FRAME_NS     14268600u /* of a 70 Hz mode: blinking counts frames */
#define PHASE_CURSOR 1
#define PHASE_TEXT   2

/* What the registers say, made ready for drawing. */
struct frame {
    struct vga_size size;
    unsigned clocks;        /* characters a line */
    unsigned dots;          /* of a character: 8 or 9 */
    unsigned dot_width;     /* 2 with a halved dot clock */
    unsigned rows;          /* scan lines of a character, before doubling */
    unsigned start, offset; /* CRTC address of the first line; from a row of characters to the next */
    unsigned pan;           /* dots to the left */
    unsigned count_shift;   /* clocks a count of the address, as a power of 2 */
    unsigned cursor, cursor_first, cursor_last;
    unsigned font[2]; /* plane 2 address for attribute bit 3 clear and set */
    bool cursor_on, blink, text_on, double_scan;
    uint8_t crtc_mode, underline;
    uint32_t colors[16]; /* of the attribute controller's palette */
    bool blinks;         /* out: something depends on the phases */
};

/* Where in the frame a scan line is. */
struct scan {
    unsigned address, row, pan;
    bool second; /* the second of a doubled line */
};

unsigned vga_blink_phases(const struct vga *vga)
{
    uint64_t frame = clock_now(vga->clock) / FRAME_NS;

    return (frame / 8 & 1 ? 0 : PHASE_CURSOR) | (frame / 16 & 1 ? 0 : PHASE_TEXT);
}

static bool graphics(const struct vga *vga)
{
    return vga->gfx[GFX_MISC] & GFX_MISC_GRAPHICS;
}

static unsigned dots(const struct vga *vga)
{
    return graphics(vga) || (vga->seq[SEQ_CLOCKING] & CLOCKING_8_DOTS) ? 8 : 9;
}

struct vga_size vga_mode_size(const struct vga *vga)
{
    const uint8_t *crtc = vga->crtc;
    unsigned lines =
        crtc[CRTC_V_DISPLAY_END] | (crtc[CRTC_OVERFLOW] & 0x02) << 7 | (crtc[CRTC_OVERFLOW] & 0x40) << 3;

    return (struct vga_size){
        .width =
            (crtc[CRTC_H_DISPLAY_END] + 1u) * dots(vga) * (vga->seq[SEQ_CLOCKING] & CLOCKING_HALF ? 2 : 1),
        .height = (lines + 1) * (crtc[CRTC_MODE] & MODE_DOUBLE_LINES ? 2 : 1),
    };
}

static unsigned line_compare(const struct vga *vga)
{
    const uint8_t *crtc = vga->crtc;

    return crtc[CRTC_LINE_COMPARE] | (crtc[CRTC_OVERFLOW] & 0x10) << 4 | (crtc[CRTC_MAX_SCAN] & 0x40) << 3;
}

/* Two bits and a third give one of eight fonts; the third was added later and lies between the others'
 * places. */
static unsigned font_address(unsigned low, unsigned high)
{
    return (low & 3) * 0x4000 + (high & 1) * 0x2000;
}

/* AR13's count; in 9-dot modes 8 means none and 0 means one. Of 256-colour pixels it counts halves. */
static unsigned pan_dots(const struct vga *vga)
{
    unsigned pan = vga->attr[ATTR_PAN] & 15;

    if (dots(vga) == 9)
        return pan < 8 ? pan + 1 : 0;
    return pan & 7;
}

/* The palette's six bits, completed by the colour select register to the DAC's eight. */
static unsigned dac_index(const struct vga *vga, unsigned color)
{
    unsigned index = vga->attr[color] & 0x3F, select = vga->attr[ATTR_COLOR_SELECT];

    if (vga->attr[ATTR_MODE] & ATTR_MODE_P54)
        index = (index & 15) | (select & 3) << 4;
    return index | (select & 0xC) << 4;
}

static void frame_init(struct frame *f, const struct vga *vga)
{
    const uint8_t *crtc = vga->crtc, *attr = vga->attr;
    unsigned font = vga->seq[SEQ_FONT], phases = vga->picture.phases;

    *f = (struct frame){
        .size = vga_mode_size(vga),
        .clocks = crtc[CRTC_H_DISPLAY_END] + 1u,
        .dots = dots(vga),
        .dot_width = vga->seq[SEQ_CLOCKING] & CLOCKING_HALF ? 2 : 1,
        .rows = (crtc[CRTC_MAX_SCAN] & 31) + 1u,
        .double_scan = crtc[CRTC_MAX_SCAN] & 0x80,
        .start =
            ((unsigned)crtc[CRTC_START_HIGH] << 8 | crtc[CRTC_START_LOW]) + (crtc[CRTC_PRESET_ROW] >> 5 & 3),
        .offset = 2u * crtc[CRTC_OFFSET],
        .pan = pan_dots(vga),
        .cursor = ((unsigned)crtc[CRTC_CURSOR_HIGH] << 8 | crtc[CRTC_CURSOR_LOW]) +
                  (crtc[CRTC_CURSOR_END] >> 5 & 3),
        .cursor_first = crtc[CRTC_CURSOR_START] & 31,
        .cursor_last = crtc[CRTC_CURSOR_END] & 31,
        .cursor_on = !(crtc[CRTC_CURSOR_START] & 0x20) && (phases & PHASE_CURSOR),
        .font = {font_address(font, font >> 4), font_address(font >> 2, font >> 5)},
        .blink = attr[ATTR_MODE] & ATTR_MODE_BLINK,
        .text_on = phases & PHASE_TEXT,
        .crtc_mode = crtc[CRTC_MODE],
        .underline = crtc[CRTC_UNDERLINE],
    };
    if (crtc[CRTC_UNDERLINE] & UNDERLINE_COUNT_BY_4)
        f->count_shift = 2;
    else if (crtc[CRTC_MODE] & MODE_COUNT_BY_2)
        f->count_shift = 1;
    for (unsigned i = 0; i < 16; i++)
        f->colors[i] = vga_dac_color(vga, dac_index(vga, i));
}

/* The plane address for a count of the CRTC in a row of scan lines. */
static unsigned fetch_address(const struct frame *f, unsigned count, unsigned row)
{
    unsigned address = count & 0xFFFF;

    if (f->underline & UNDERLINE_DWORD)
        address = address << 2 | (address >> 14 & 3);
    else if (!(f->crtc_mode & MODE_BYTE))
        address = address << 1 | (address >> (f->crtc_mode & MODE_WRAP_15 ? 15 : 13) & 1);
    if (!(f->crtc_mode & MODE_A13_NOT_ROW))
        address = (address & ~0x2000u) | (row & 1) << 13;
    if (!(f->crtc_mode & MODE_A14_NOT_ROW))
        address = (address & ~0x4000u) | (row & 2) << 13;
    return address & 0xFFFF;
}

static uint32_t fetch(const struct vga *vga, const struct frame *f, const struct scan *s, unsigned clock)
{
    return vga_word(vga, fetch_address(f, s->address + (clock >> f->count_shift), s->row));
}

/* --- text */

static uint16_t glyph_row(const struct vga *vga, const struct frame *f, unsigned character,
                          unsigned attribute, unsigned row)
{
    unsigned font = f->font[attribute >> 3 & 1];
    unsigned bits = (vga_word(vga, font + 32 * character + row) >> 16 & 0xFF) << 1;

    if ((vga->attr[ATTR_MODE] & ATTR_MODE_LINE_GRAPHICS) && (character & 0xE0) == 0xC0)
        bits |= bits >> 1 & 1;
    if (row == (f->underline & 31) && (attribute & 7) == 1)
        bits = 0x1FF;
    return bits;
}

/* The nine dots of a character, bit 8 leftmost, and its colours. */
static uint32_t *draw_character(const struct vga *vga, struct frame *f, const struct scan *s, unsigned clock,
                                uint32_t *out)
{
    uint32_t word = fetch(vga, f, s, clock);
    unsigned attribute = word >> 8 & 0xFF, at = (s->address + (clock >> f->count_shift)) & 0xFFFF;
    unsigned bits = glyph_row(vga, f, word & 0xFF, attribute, s->row);
    uint32_t front, back;

    if (f->blink && (attribute & 0x80)) {
        f->blinks = true;
        attribute &= 0x7F;
        if (!f->text_on)
            bits = 0;
    }
    if (at == (f->cursor & 0xFFFF) && f->cursor_on && s->row >= f->cursor_first && s->row <= f->cursor_last)
        bits = 0x1FF;
    front = f->colors[attribute & vga->attr[ATTR_PLANES] & 15];
    back = f->colors[attribute >> 4 & vga->attr[ATTR_PLANES] & 15];
    for (unsigned dot = 0; dot < f->dots; dot++)
        *out++ = bits << dot & 0x100 ? front : back;
    return out;
}

/* --- graphics */

static uint32_t *draw_planes(const struct frame *f, uint32_t word, unsigned enabled, uint32_t *out)
{
    for (int bit = 7; bit >= 0; bit--) {
        unsigned color = (word >> bit & 1) | (word >> (bit + 8) & 1) << 1 | (word >> (bit + 16) & 1) << 2 |
                         (word >> (bit + 24) & 1) << 3;
        *out++ = f->colors[color & enabled];
    }
    return out;
}

/* CGA: pairs of bits from planes 0 and 2 make four pixels, then those of 1 and 3. */
static uint32_t *draw_pairs(const struct frame *f, uint32_t word, unsigned enabled, uint32_t *out)
{
    for (unsigned plane = 0; plane < 2; plane++) {
        unsigned low = word >> 8 * plane & 0xFF, high = word >> (8 * plane + 16) & 0xFF;
        for (int bit = 6; bit >= 0; bit -= 2)
            *out++ = f->colors[((low >> bit & 3) | (high >> bit & 3) << 2) & enabled];
    }
    return out;
}

/* Nibbles, the high one first; two together are a pixel of 256 colours, two dots wide. */
static uint32_t *draw_bytes(const struct vga *vga, const struct frame *f, uint32_t word, unsigned enabled,
                            uint32_t *out)
{
    for (unsigned plane = 0; plane < 4; plane++, word >>= 8) {
        if (vga->attr[ATTR_MODE] & ATTR_MODE_8_BITS) {
            out[0] = out[1] = vga_dac_color(vga, word & 0xFF);
        } else {
            out[0] = f->colors[word >> 4 & enabled];
            out[1] = f->colors[word & enabled];
        }
        out += 2;
    }
    return out;
}

static uint32_t *draw_clock(const struct vga *vga, struct frame *f, const struct scan *s, unsigned clock,
                            uint32_t *out)
{
    unsigned enabled = vga->attr[ATTR_PLANES] & 15;

    if (!graphics(vga))
        return draw_character(vga, f, s, clock, out);
    uint32_t word = fetch(vga, f, s, clock);
    if (vga->gfx[GFX_MODE] & GFX_MODE_256)
        return draw_bytes(vga, f, word, enabled, out);
    if (vga->gfx[GFX_MODE] & GFX_MODE_INTERLEAVE)
        return draw_pairs(f, word, enabled, out);
    return draw_planes(f, word, enabled, out);
}

/* --- the frame */

static void draw_line(struct vga *vga, struct frame *f, const struct scan *s)
{
    uint32_t dots[(CLOCKS_MAX + 2) * DOTS_MAX], *end = dots, *from = dots + s->pan, *line = vga->picture.line;

    /* One more than is shown, for panning. */
    for (unsigned clock = 0; clock <= f->clocks; clock++)
        end = draw_clock(vga, f, s, clock, end);
    if (f->dot_width == 1) {
        memcpy(line, from, 4 * f->size.width);
        return;
    }
    for (unsigned x = 0; x < f->size.width / 2; x++)
        line[2 * x] = line[2 * x + 1] = from[x];
}

/* From a scan line to the one below. The split comes after the line that equals line compare, at address 0.
 */
static void next_line(const struct vga *vga, const struct frame *f, struct scan *s, unsigned line)
{
    if (line == line_compare(vga)) {
        bool still = vga->attr[ATTR_MODE] & ATTR_MODE_SPLIT_NO_PAN;
        *s = (struct scan){.pan = still ? 0 : s->pan};
        return;
    }
    if (f->double_scan) {
        s->second = !s->second;
        if (s->second)
            return;
    }
    if (s->row == f->rows - 1) {
        s->row = 0;
        s->address += f->offset;
    } else {
        s->row = (s->row + 1) & 31;
    }
}

static bool same_line(const struct vga *vga, const struct scan *a, const struct scan *b)
{
    /* In graphics the row matters only where it is part of the address. */
    bool by_row = !graphics(vga) || (vga->crtc[CRTC_MODE] & 3) != 3;

    return a->address == b->address && a->pan == b->pan && (!by_row || a->row == b->row);
}

void vga_draw(struct vga *vga)
{
    struct frame f;

    frame_init(&f, vga);
    unsigned lines_each = f.crtc_mode & MODE_DOUBLE_LINES ? 2 : 1;
    struct scan scan = {.address = f.start, .row = vga->crtc[CRTC_PRESET_ROW] & 31, .pan = f.pan},
                drawn = {0};

    f.blinks = !graphics(vga) && !(vga->crtc[CRTC_CURSOR_START] & 0x20);
    for (unsigned y = 0; y < f.size.height; y++) {
        if (y == 0 || !same_line(vga, &scan, &drawn))
            draw_line(vga, &f, &scan);
        drawn = scan;
        vga_line_done(vga, y);
        if ((y + 1) % lines_each == 0)
            next_line(vga, &f, &scan, y / lines_each);
    }
    vga->picture.blinks = f.blinks;
}

/* --- text for terminals */

static bool reserve_cells(struct vga_picture *p, size_t count)
{
    if (count <= p->cells_capacity)
        return true;
    uint16_t *grown = realloc(p->cells, count * sizeof(*grown));
    if (!grown)
        return false;
    p->cells = grown;
    p->cells_capacity = count;
    return true;
}

static bool is_off(const struct vga *vga)
{
    return !(vga->attr_index & ATTR_PALETTE_ON) || (vga->seq[SEQ_CLOCKING] & CLOCKING_SCREEN_OFF);
}

/* The address of a row of characters; below a split they count from 0. */
static unsigned row_address(const struct vga *vga, const struct frame *f, unsigned row, unsigned height)
{
    unsigned split = (line_compare(vga) + 1 + height - 1) / height;

    return row < split ? f->start + row * f->offset : (row - split) * f->offset;
}

static void place_cursor(const struct frame *f, struct text_screen *text)
{
    unsigned from_start = (f->cursor - f->start) & 0xFFFF;

    if (!text->cursor_visible || !f->offset)
        return;
    text->cursor_x = (int)(from_start % f->offset);
    text->cursor_y = (int)(from_start / f->offset);
    text->cursor_visible = text->cursor_x < text->columns && text->cursor_y < text->rows;
}

bool vga_text(void *opaque, struct text_screen *text)
{
    struct vga *vga = opaque;
    struct frame f;

    if (!vga_is_text(vga))
        return false;
    frame_init(&f, vga);
    unsigned height = f.rows * (f.double_scan ? 2 : 1) * (f.crtc_mode & MODE_DOUBLE_LINES ? 2 : 1);
    unsigned rows = f.size.height / height;
    if (!rows || !reserve_cells(&vga->picture, (size_t)rows * f.clocks))
        return false;

    for (unsigned row = 0; row < rows; row++) {
        struct scan scan = {.address = row_address(vga, &f, row, height)};
        uint16_t *cells = vga->picture.cells + (size_t)row * f.clocks;
        for (unsigned column = 0; column < f.clocks; column++)
            cells[column] = is_off(vga) ? ' ' : (uint16_t)fetch(vga, &f, &scan, column);
    }
    *text = (struct text_screen){
        .columns = (int)f.clocks,
        .rows = (int)rows,
        .cells = vga->picture.cells,
        .cursor_visible = !is_off(vga) && !(vga->crtc[CRTC_CURSOR_START] & 0x20) &&
                          f.cursor_first <= f.cursor_last && f.cursor_first < f.rows,
        .blink = f.blink,
    };
    place_cursor(&f, text);
    return true;
}
