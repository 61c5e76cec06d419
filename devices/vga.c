/*
 * vga.c - the ports of the adapter (IBM VGA technical reference), its state and its making.
 *
 * In: ports 0x3B0-0x3DF. Out: a picture, see vga_picture.c. There is no interrupt: the retrace is polled for.
 */
#include "devices/vga_internal.h"

#include <stdlib.h>

#define PORT_MONO        0x3B0
#define PORT_MONO_COUNT  12 /* the printer port of a monochrome card follows */
#define PORT_MAIN        0x3C0
#define PORT_MAIN_COUNT  16
#define PORT_COLOR       0x3D0
#define PORT_COLOR_COUNT 16

#define PORT_ATTR      0x3C0
#define PORT_ATTR_DATA 0x3C1
#define PORT_MISC      0x3C2 /* read: input status 0 */
#define PORT_ENABLE    0x3C3
#define PORT_SEQ       0x3C4
#define PORT_SEQ_DATA  0x3C5
#define PORT_DAC_MASK  0x3C6
#define PORT_DAC_READ  0x3C7 /* read: DAC state */
#define PORT_DAC_WRITE 0x3C8
#define PORT_DAC_DATA  0x3C9
#define PORT_FEATURE   0x3CA
#define PORT_MISC_READ 0x3CC
#define PORT_GFX       0x3CE
#define PORT_GFX_DATA  0x3CF
#define PORT_CRTC      0x3D4
#define PORT_CRTC_DATA 0x3D5
#define PORT_STATUS    0x3DA /* write: feature control */

#define STATUS0_SENSE     0x10 /* a colour monitor */
#define STATUS_NO_DISPLAY 0x01
#define STATUS_V_RETRACE  0x08

#define DAC_STATE_READING 3

/* Undocumented, but known to all: the CRTC's index reaches inner state. */
#define CRTC_LATCH      0x22
#define CRTC_ATTR_STATE 0x24
#define CRTC_ATTR_INDEX 0x26
#define CRTC_PROTECT    0x80 /* in V_SYNC_END: registers 0-7 are read-only */

/* Bits that exist. */
static const uint8_t seq_bits[SEQ_COUNT] = {0x03, 0x3D, 0x0F, 0x3F, 0x0E};
static const uint8_t gfx_bits[GFX_COUNT] = {0x0F, 0x0F, 0x0F, 0x1F, 0x03, 0x7B, 0x0F, 0x0F, 0xFF};

/* --- input status: where the beam is */

struct beam {
    uint64_t line_ns, active_ns;
    unsigned lines, active_lines, sync_start, sync_end;
};

static struct beam beam_of_registers(const struct vga *vga)
{
    const uint8_t *crtc = vga->crtc;
    unsigned overflow = crtc[CRTC_OVERFLOW], clocks = crtc[CRTC_H_TOTAL] + 5u;
    uint64_t dots = vga->seq[SEQ_CLOCKING] & CLOCKING_8_DOTS ? 8 : 9;
    uint64_t hz = vga->misc & MISC_CLOCK_28MHZ ? 28322000 : 25175000;
    struct beam b = {
        .lines = (crtc[CRTC_V_TOTAL] | (overflow & 0x01) << 8 | (overflow & 0x20) << 4) + 2u,
        .active_lines = (crtc[CRTC_V_DISPLAY_END] | (overflow & 0x02) << 7 | (overflow & 0x40) << 3) + 1u,
        .sync_start = crtc[CRTC_V_SYNC_START] | (overflow & 0x04) << 6 | (overflow & 0x80) << 2,
    };

    dots *= vga->seq[SEQ_CLOCKING] & CLOCKING_HALF ? 2 : 1;
    dots *= crtc[CRTC_MODE] & MODE_DOUBLE_LINES ? 2 : 1;
    b.line_ns = clocks * dots * NS_PER_SEC / hz;
    b.active_ns = (crtc[CRTC_H_DISPLAY_END] + 1u) * dots * NS_PER_SEC / hz;
    /* Who waits for a retrace that was programmed away waits for the last line instead of for ever. */
    if (b.sync_start >= b.lines)
        b.sync_start = b.lines - 1;
    b.sync_end = b.sync_start + (((crtc[CRTC_V_SYNC_END] & 15u) - b.sync_start) & 15);
    if (b.sync_end == b.sync_start)
        b.sync_end += 1;
    return b;
}

static uint8_t input_status(const struct vga *vga)
{
    /* VBE says nothing of timing: 60 Hz, and a twentieth of it is retrace. */
    struct beam b = {.line_ns = 16666,
                     .active_ns = 13333,
                     .lines = 1000,
                     .active_lines = 950,
                     .sync_start = 950,
                     .sync_end = 1000};

    if (!vbe_enabled(vga))
        b = beam_of_registers(vga);
    uint64_t at = clock_now(vga->clock) % (b.line_ns * b.lines);
    uint64_t line = at / b.line_ns;
    bool sync = line >= b.sync_start && line < b.sync_end;
    bool dark = sync || line >= b.active_lines || at % b.line_ns >= b.active_ns;

    return (dark ? STATUS_NO_DISPLAY : 0) | (sync ? STATUS_V_RETRACE : 0);
}

/* --- CRT controller */

static uint8_t crtc_read(const struct vga *vga)
{
    switch (vga->crtc_index) {
    case 0 ... CRTC_COUNT - 1:
        return vga->crtc[vga->crtc_index];
    case CRTC_LATCH:
        return vga->latch[vga->gfx[GFX_READ_MAP] & 3];
    case CRTC_ATTR_STATE:
        return vga->attr_data ? 0x80 : 0;
    case CRTC_ATTR_INDEX:
        return vga->attr_index & 0x3F;
    default:
        return 0;
    }
}

static void crtc_write(struct vga *vga, uint8_t value)
{
    unsigned index = vga->crtc_index;

    if (index >= CRTC_COUNT)
        return;
    if (index <= CRTC_OVERFLOW && (vga->crtc[CRTC_V_SYNC_END] & CRTC_PROTECT)) {
        /* But for line compare's bit, which isn't timing. */
        if (index != CRTC_OVERFLOW)
            return;
        value = (vga->crtc[index] & ~0x10) | (value & 0x10);
    }
    vga->crtc[index] = value;
}

/* --- attribute controller: one port for index and data in turn */

static void attr_write(struct vga *vga, uint8_t value)
{
    unsigned index = vga->attr_index & 0x1F;

    vga->attr_data = !vga->attr_data;
    if (vga->attr_data) {
        vga->attr_index = value & 0x3F;
        return;
    }
    if (index < 16)
        vga->attr[index] = value & 0x3F;
    else if (index == ATTR_MODE)
        vga->attr[index] = value & 0xEF;
    else if (index == ATTR_OVERSCAN)
        vga->attr[index] = value;
    else if (index == ATTR_PLANES)
        vga->attr[index] = value & 0x3F;
    else if (index < ATTR_COUNT)
        vga->attr[index] = value & 0x0F;
}

/* --- DAC: three bytes an entry; the index moves on after the third */

static uint8_t dac_read(struct vga *vga)
{
    uint8_t value = vga->dac[3 * vga->dac_index + vga->dac_part % 3];

    if (++vga->dac_part >= 3) {
        vga->dac_part = 0;
        vga->dac_index++;
    }
    return value;
}

static void dac_write(struct vga *vga, uint8_t value)
{
    uint8_t bits = vga->vbe[VBE_ENABLE] & VBE_8_BIT_DAC ? 0xFF : 0x3F;

    vga->dac_latch[vga->dac_part % 3] = value & bits;
    if (++vga->dac_part < 3)
        return;
    memcpy(&vga->dac[3 * vga->dac_index], vga->dac_latch, 3);
    vga->dac_part = 0;
    vga->dac_index++;
}

static void dac_seek(struct vga *vga, uint8_t index, bool reading)
{
    vga->dac_index = index;
    vga->dac_part = 0;
    vga->dac_reading = reading;
}

/* --- ports */

/*
 * The CRTC and status ports are where MISC_COLOR says, 0x3Bx or 0x3Dx; here always 0x3Dx. False: nothing
 * there. The status at 0x3DA answers in mono modes too: SeaBIOS's video BIOS resets the attribute flip-flop
 * there always.
 */
static bool decode(const struct vga *vga, unsigned *port)
{
    bool mono = *port < PORT_MAIN;

    if (vga->asleep)
        return *port == PORT_ENABLE;
    if (*port >= PORT_MAIN && (*port < PORT_COLOR || *port == PORT_STATUS))
        return true;
    if (mono)
        *port += PORT_COLOR - PORT_MONO;
    return mono != (vga->misc & MISC_COLOR);
}

uint8_t vga_port_read(struct vga *vga, unsigned port)
{
    if (!decode(vga, &port))
        return 0xFF;
    switch (port) {
    case PORT_ATTR:
        return vga->attr_index;
    case PORT_ATTR_DATA:
        return (vga->attr_index & 0x1F) < ATTR_COUNT ? vga->attr[vga->attr_index & 0x1F] : 0;
    case PORT_MISC:
        return STATUS0_SENSE;
    case PORT_ENABLE:
        return !vga->asleep;
    case PORT_SEQ:
        return vga->seq_index;
    case PORT_SEQ_DATA:
        return vga->seq_index < SEQ_COUNT ? vga->seq[vga->seq_index] : 0;
    case PORT_DAC_MASK:
        return vga->dac_mask;
    case PORT_DAC_READ:
        return vga->dac_reading ? DAC_STATE_READING : 0;
    case PORT_DAC_WRITE:
        return vga->dac_index;
    case PORT_DAC_DATA:
        return dac_read(vga);
    case PORT_FEATURE:
        return vga->feature;
    case PORT_MISC_READ:
        return vga->misc;
    case PORT_GFX:
        return vga->gfx_index;
    case PORT_GFX_DATA:
        return vga->gfx_index < GFX_COUNT ? vga->gfx[vga->gfx_index] : 0;
    case PORT_CRTC:
        return vga->crtc_index;
    case PORT_CRTC_DATA:
        return crtc_read(vga);
    case PORT_STATUS:
        vga->attr_data = false;
        return input_status(vga);
    default:
        return 0xFF;
    }
}

void vga_port_write(struct vga *vga, unsigned port, uint8_t value)
{
    if (!decode(vga, &port))
        return;
    switch (port) {
    case PORT_ATTR:
        attr_write(vga, value);
        break;
    case PORT_MISC:
        vga->misc = value;
        break;
    case PORT_ENABLE:
        vga->asleep = !(value & 1);
        break;
    case PORT_SEQ:
        vga->seq_index = value & 7;
        return;
    case PORT_SEQ_DATA:
        if (vga->seq_index < SEQ_COUNT)
            vga->seq[vga->seq_index] = value & seq_bits[vga->seq_index];
        if (vga->seq_index == SEQ_MAP_MASK)
            return;
        break;
    case PORT_DAC_MASK:
        vga->dac_mask = value;
        break;
    case PORT_DAC_READ:
        dac_seek(vga, value, true);
        return;
    case PORT_DAC_WRITE:
        dac_seek(vga, value, false);
        return;
    case PORT_DAC_DATA:
        dac_write(vga, value);
        break;
    case PORT_GFX:
        vga->gfx_index = value & 15;
        return;
    case PORT_GFX_DATA:
        if (vga->gfx_index < GFX_COUNT)
            vga->gfx[vga->gfx_index] = value & gfx_bits[vga->gfx_index];
        /* The others are how the CPU writes, not what is shown. */
        if (vga->gfx_index != GFX_MODE && vga->gfx_index != GFX_MISC)
            return;
        break;
    case PORT_CRTC:
        vga->crtc_index = value & 0x3F;
        return;
    case PORT_CRTC_DATA:
        crtc_write(vga, value);
        break;
    case PORT_STATUS:
        vga->feature = value;
        return;
    default:
        return;
    }
    vga->picture.changed = true;
}

static uint64_t mono_read(void *dev, uint64_t addr, unsigned size)
{
    (void)size;
    return vga_port_read(dev, PORT_MONO + (unsigned)addr);
}

static void mono_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    (void)size;
    vga_port_write(dev, PORT_MONO + (unsigned)addr, (uint8_t)value);
}

static uint64_t main_read(void *dev, uint64_t addr, unsigned size)
{
    (void)size;
    return vga_port_read(dev, PORT_MAIN + (unsigned)addr);
}

static void main_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    (void)size;
    vga_port_write(dev, PORT_MAIN + (unsigned)addr, (uint8_t)value);
}

static uint64_t color_read(void *dev, uint64_t addr, unsigned size)
{
    (void)size;
    return vga_port_read(dev, PORT_COLOR + (unsigned)addr);
}

static void color_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    (void)size;
    vga_port_write(dev, PORT_COLOR + (unsigned)addr, (uint8_t)value);
}

static const struct bus_ops mono_ops = {mono_read, mono_write, 1};
static const struct bus_ops main_ops = {main_read, main_write, 1};
static const struct bus_ops color_ops = {color_read, color_write, 1};

/* --- state */

static const struct field vga_fields[] = {FIELD_ARRAY(struct vga, function.config),
                                          FIELD(struct vga, asleep),
                                          FIELD(struct vga, misc),
                                          FIELD(struct vga, feature),
                                          FIELD(struct vga, seq_index),
                                          FIELD_ARRAY(struct vga, seq),
                                          FIELD(struct vga, crtc_index),
                                          FIELD_ARRAY(struct vga, crtc),
                                          FIELD(struct vga, gfx_index),
                                          FIELD_ARRAY(struct vga, gfx),
                                          FIELD(struct vga, attr_index),
                                          FIELD_ARRAY(struct vga, attr),
                                          FIELD(struct vga, attr_data),
                                          FIELD(struct vga, dac_mask),
                                          FIELD(struct vga, dac_index),
                                          FIELD(struct vga, dac_part),
                                          FIELD(struct vga, dac_reading),
                                          FIELD_ARRAY(struct vga, dac_latch),
                                          FIELD_ARRAY(struct vga, dac),
                                          FIELD_ARRAY(struct vga, latch),
                                          FIELD(struct vga, vbe_index),
                                          FIELD_ARRAY(struct vga, vbe),
                                          FIELD_END};

static void vga_loaded(void *device)
{
    struct vga *vga = device;

    vga->dac_part %= 3;
    for (unsigned i = 0; i < SEQ_COUNT; i++)
        vga->seq[i] &= seq_bits[i];
    for (unsigned i = 0; i < GFX_COUNT; i++)
        vga->gfx[i] &= gfx_bits[i];
    vbe_loaded(vga);
    vga_pci_map(vga);
    vga->picture.changed = true;
}

static void vga_reset(void *device)
{
    struct vga *vga = device;

    vga_pci_reset(vga);
    vga->asleep = false;
    vga->misc = MISC_COLOR;
    vga->feature = 0;
    vga->seq_index = vga->crtc_index = vga->gfx_index = vga->attr_index = 0;
    memset(vga->seq, 0, sizeof(vga->seq));
    memset(vga->crtc, 0, sizeof(vga->crtc));
    memset(vga->gfx, 0, sizeof(vga->gfx));
    memset(vga->attr, 0, sizeof(vga->attr));
    vga->attr_data = false;
    dac_seek(vga, 0, false);
    vga->dac_mask = 0xFF;
    memset(vga->dac, 0, sizeof(vga->dac));
    memset(vga->dac_latch, 0, sizeof(vga->dac_latch));
    memset(vga->latch, 0, sizeof(vga->latch));
    vga->vbe_index = 0;
    memset(vga->vbe, 0, sizeof(vga->vbe));
    vga->vbe[VBE_ID] = 0xB0C5;
    vga->vbe[VBE_BPP] = 8;
    vga_loaded(vga);
}

static void vga_free(void *device)
{
    struct vga *vga = device;

    if (!vga)
        return;
    pci_bus_remove(vga->pci_bus, &vga->function);
    free(vga->picture.surface.pixels);
    free(vga->picture.pages);
    free(vga->picture.cells);
    free(vga->rom);
    free(vga);
}

static bool map_ports(struct vga *vga, struct bus *ports)
{
    return bus_map(ports, "vga-mono", PORT_MONO, PORT_MONO_COUNT, &mono_ops, vga) &&
           bus_map(ports, "vga", PORT_MAIN, PORT_MAIN_COUNT, &main_ops, vga) &&
           bus_map(ports, "vga-color", PORT_COLOR, PORT_COLOR_COUNT, &color_ops, vga) &&
           vbe_ports_map(vga, ports);
}

struct vga *vga_new(struct pci_bus *pci_bus, struct bus *mem, struct bus *ports, struct clock *clock,
                    uint8_t *vram, size_t vram_size, const uint8_t *rom, size_t rom_size, struct log *log)
{
    struct vga *vga;

    if (vram_size < 1 << 20 || vram_size > 256 << 20 || (vram_size & (vram_size - 1)) || rom_size > 16 << 20)
        return NULL;
    if (!rom)
        rom_size = 0;
    vga = calloc(1, sizeof(*vga));
    if (!vga)
        return NULL;
    vga->log = log;
    vga->clock = clock;
    vga->mem = mem;
    vga->pci_bus = pci_bus;
    vga->vram = vram;
    vga->vram_size = (uint32_t)vram_size;
    vga->vram_mask = (uint32_t)vram_size - 1;
    vga->picture.pages = calloc(vram_size / BUS_PAGE, 1);
    vga_edid_fill(vga->edid);
    vga->window = bus_map(mem, "vga-window", VGA_WINDOW_BASE, VGA_WINDOW_SIZE, &vga_window_ops, vga);
    if (!vga->picture.pages || !vga->window || !map_ports(vga, ports) || !vga_pci_init(vga, rom, rom_size)) {
        vga_free(vga);
        return NULL;
    }
    vga_reset(vga);
    return vga;
}

struct display_source vga_display(struct vga *vga)
{
    return (struct display_source){.refresh = vga_refresh, .text = vga_text, .opaque = vga};
}

const struct device_class vga_class = {"vga", vga_reset, vga_loaded, vga_free, vga_fields};
