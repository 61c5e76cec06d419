/*
 * vga_memory.c - the window at 0xA0000: what the graphics controller and the sequencer make of the CPU's
 * accesses.
 *
 * An address selects a plane address and the planes that take part. A read fills the four latches; a write
 * mixes data, latches and set/reset bits in one of four modes. While a VBE mode of 8 bits a pixel or more is
 * on, the window is instead a bank of linear memory.
 */
#include "devices/vga_internal.h"

#define WINDOW_NONE UINT32_MAX

#define ROTATE_COUNT(r)    ((r)&7)
#define ROTATE_FUNCTION(r) ((r) >> 3 & 3)

/* Where in the window's memory an address of 0xA0000-0xBFFFF is; WINDOW_NONE when it isn't decoded. */
static uint32_t window_offset(const struct vga *vga, uint64_t addr)
{
    if (vga->asleep || !(vga->misc & MISC_RAM))
        return WINDOW_NONE;
    switch (vga->gfx[GFX_MISC] >> 2 & 3) {
    case 0:
        return addr & 0x1FFFF;
    case 1:
        return addr < 0x10000 ? addr : WINDOW_NONE;
    case 2:
        return addr >= 0x10000 && addr < 0x18000 ? addr - 0x10000 : WINDOW_NONE;
    default:
        return addr >= 0x18000 ? addr - 0x18000 : WINDOW_NONE;
    }
}

static bool is_linear(const struct vga *vga)
{
    return vbe_enabled(vga) && vga->vbe[VBE_BPP] >= 8;
}

static uint32_t bank_base(const struct vga *vga)
{
    return vbe_enabled(vga) ? (uint32_t)vga->vbe[VBE_BANK] << 16 : 0;
}

/* A plane address in bounds: 64 KiB planes for VGA itself, all of the memory for VBE's 4-bit modes. */
static uint32_t plane_address(const struct vga *vga, uint32_t address)
{
    if (!vbe_enabled(vga))
        return address & 0xFFFF;
    return (bank_base(vga) + address) & vga->vram_mask >> 2;
}

static uint32_t odd_even_address(uint32_t offset)
{
    return (offset & ~1u) | (offset >> 16 & 1);
}

/* What the CPU's address selects: a plane address, and the planes that answer it. */
struct target {
    uint32_t address;
    unsigned planes;
};

static struct target write_target(const struct vga *vga, uint32_t offset)
{
    unsigned map = vga->seq[SEQ_MAP_MASK];
    struct target to = {offset, map};

    if (vga->seq[SEQ_MEMORY_MODE] & MEMORY_MODE_CHAIN4) {
        to.address = offset & ~3u;
        to.planes = map & 1u << (offset & 3);
    } else {
        if (vga->gfx[GFX_MISC] & GFX_MISC_CHAIN)
            to.address = odd_even_address(offset);
        if (!(vga->seq[SEQ_MEMORY_MODE] & MEMORY_MODE_SEQUENTIAL))
            to.planes = map & (offset & 1 ? 0xA : 0x5);
    }
    to.address = plane_address(vga, to.address);
    return to;
}

/* planes is the number of the one that is read. */
static struct target read_target(const struct vga *vga, uint32_t offset)
{
    struct target from = {offset, vga->gfx[GFX_READ_MAP]};

    if (vga->seq[SEQ_MEMORY_MODE] & MEMORY_MODE_CHAIN4) {
        from.address = offset & ~3u;
        from.planes = offset & 3;
    } else {
        if (vga->gfx[GFX_MISC] & GFX_MISC_CHAIN)
            from.address = odd_even_address(offset);
        if (vga->gfx[GFX_MODE] & GFX_MODE_ODD_EVEN)
            from.planes = (from.planes & 2) | (offset & 1);
    }
    from.address = plane_address(vga, from.address);
    return from;
}

static void mark_written(struct vga *vga, uint32_t at, unsigned size)
{
    if (__atomic_load_n(&vga->lfb->page_flags[at / BUS_PAGE], __ATOMIC_RELAXED))
        bus_ram_written(vga->mem, vga->lfb, at, size);
}

static uint8_t rotate_right(uint8_t value, unsigned count)
{
    return value >> count | value << ((8 - count) & 7);
}

/* The data that the write mode makes for all planes, and the bits of them that change. */
static uint32_t write_data(const struct vga *vga, uint8_t value, uint32_t latch)
{
    const uint8_t *gfx = vga->gfx;
    uint8_t rotated = rotate_right(value, ROTATE_COUNT(gfx[GFX_ROTATE]));
    uint32_t bits = gfx[GFX_BIT_MASK] * 0x01010101u, set = vga_expand(gfx[GFX_SET_RESET]), enable, data;

    switch (gfx[GFX_MODE] & 3) {
    case 0:
        enable = vga_expand(gfx[GFX_ENABLE_SET_RESET]);
        data = (rotated * 0x01010101u & ~enable) | (set & enable);
        break;
    case 1:
        return latch;
    case 2:
        data = vga_expand(value & 15);
        break;
    default:
        data = set;
        bits &= rotated * 0x01010101u;
        break;
    }
    switch (ROTATE_FUNCTION(gfx[GFX_ROTATE])) {
    case 1:
        data &= latch;
        break;
    case 2:
        data |= latch;
        break;
    case 3:
        data ^= latch;
        break;
    }
    return (data & bits) | (latch & ~bits);
}

static void planar_write(struct vga *vga, uint32_t offset, uint8_t value)
{
    struct target to = write_target(vga, offset);
    uint32_t at = 4 * to.address, mask = vga_expand(to.planes), latch, old, data;

    if (!mask)
        return;
    memcpy(&latch, vga->latch, 4);
    data = write_data(vga, value, latch);
    memcpy(&old, vga->vram + at, 4);
    data = (old & ~mask) | (data & mask);
    memcpy(vga->vram + at, &data, 4);
    mark_written(vga, at, 4);
}

static uint8_t planar_read(struct vga *vga, uint32_t offset)
{
    struct target from = read_target(vga, offset);
    uint32_t word = vga_word(vga, from.address), differ;

    memcpy(vga->latch, &word, 4);
    if (!(vga->gfx[GFX_MODE] & GFX_MODE_READ_COMPARE))
        return word >> 8 * from.planes;
    differ = (word ^ vga_expand(vga->gfx[GFX_COLOR_COMPARE])) & vga_expand(vga->gfx[GFX_COLOR_CARE]);
    return ~(differ | differ >> 8 | differ >> 16 | differ >> 24);
}

static uint64_t window_read(void *dev, uint64_t addr, unsigned size)
{
    struct vga *vga = dev;
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i++) {
        uint32_t offset = window_offset(vga, addr + i);
        uint64_t byte = 0xFF;

        if (offset != WINDOW_NONE)
            byte = is_linear(vga) ? vga->vram[(bank_base(vga) + offset) & vga->vram_mask]
                                  : planar_read(vga, offset);
        value |= byte << 8 * i;
    }
    return value;
}

static void window_write(void *dev, uint64_t addr, uint64_t value, unsigned size)
{
    struct vga *vga = dev;

    for (unsigned i = 0; i < size; i++) {
        uint32_t offset = window_offset(vga, addr + i);

        if (offset == WINDOW_NONE)
            continue;
        if (is_linear(vga)) {
            uint32_t at = (bank_base(vga) + offset) & vga->vram_mask;
            vga->vram[at] = value >> 8 * i;
            mark_written(vga, at, 1);
        } else {
            planar_write(vga, offset, value >> 8 * i);
        }
    }
}

const struct bus_ops vga_window_ops = {window_read, window_write, 8};
