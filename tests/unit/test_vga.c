/*
 * test_vga.c - the graphics adapter's registers and memory. Alone: tests/unit/unit vga
 */
#include <check.h>

#include "tests/unit/vga_rig.h"

static struct vga_rig rig;

static void setup(void)
{
    rig_init(&rig);
}

static void teardown(void)
{
    rig_free(&rig);
}

START_TEST(registers_keep_the_bits_that_exist)
{
    set_mode(&rig, &mode_03);
    seq(&rig, 2, 0xFF);
    ck_assert_uint_eq(in_indexed(&rig, 0x3C4, 2), 0x0F);
    gfx(&rig, 5, 0xFF);
    ck_assert_uint_eq(in_indexed(&rig, 0x3CE, 5), 0x7B);
    gfx(&rig, 8, 0xA5);
    ck_assert_uint_eq(in_indexed(&rig, 0x3CE, 8), 0xA5);
    ck_assert_uint_eq(in(&rig.board, 0x3CC), 0x67);
    crtc(&rig, 0x0E, 0x12);
    ck_assert_uint_eq(in_indexed(&rig, 0x3D4, 0x0E), 0x12);
    seq(&rig, 7, 0xFF);
    crtc(&rig, 0x3F, 0xFF);
    ck_assert_uint_eq(in_indexed(&rig, 0x3C4, 7), 0);
}
END_TEST

START_TEST(crtc_timing_can_be_locked)
{
    set_mode(&rig, &mode_03);
    crtc(&rig, 0x11, 0x8E);
    crtc(&rig, 0x00, 0xAA);
    crtc(&rig, 0x07, 0x00);
    crtc(&rig, 0x0C, 0x33);
    ck_assert_uint_eq(in_indexed(&rig, 0x3D4, 0x00), 0x5F);
    ck_assert_uint_eq(in_indexed(&rig, 0x3D4, 0x07), 0x0F); /* but for line compare's bit 4 */
    ck_assert_uint_eq(in_indexed(&rig, 0x3D4, 0x0C), 0x33);
    crtc(&rig, 0x11, 0x0E);
    crtc(&rig, 0x00, 0xAA);
    ck_assert_uint_eq(in_indexed(&rig, 0x3D4, 0x00), 0xAA);
}
END_TEST

START_TEST(crtc_moves_with_the_colour_bit)
{
    set_mode(&rig, &mode_03);
    ck_assert_uint_eq(in(&rig.board, 0x3B5), 0xFF);
    ck_assert_uint_eq(in(&rig.board, 0x3BA), 0xFF);
    out(&rig.board, 0x3C2, 0x66);
    ck_assert_uint_eq(in(&rig.board, 0x3D5), 0xFF);
    ck_assert_uint_ne(in(&rig.board, 0x3BA), 0xFF);
    ck_assert_uint_ne(in(&rig.board, 0x3DA), 0xFF); /* always, for video BIOSes that count on it */
    ck_assert_uint_eq(in_indexed(&rig, 0x3B4, 0x01), 0x4F);
}
END_TEST

START_TEST(attribute_port_takes_index_and_data_in_turn)
{
    set_mode(&rig, &mode_03);
    in(&rig.board, 0x3DA);
    out(&rig.board, 0x3C0, 0x11);
    ck_assert_uint_eq(in_indexed(&rig, 0x3D4, 0x24), 0x80);
    out(&rig.board, 0x3C0, 0x2A);
    ck_assert_uint_eq(in_indexed(&rig, 0x3D4, 0x24), 0);
    out(&rig.board, 0x3C0, 0x31);
    ck_assert_uint_eq(in(&rig.board, 0x3C1), 0x2A);
    in(&rig.board, 0x3DA);
    out(&rig.board, 0x3C0, 0x20 | 0x05);
    ck_assert_uint_eq(in(&rig.board, 0x3C0), 0x25);
    ck_assert_uint_eq(in(&rig.board, 0x3C1), 0x05);
}
END_TEST

START_TEST(dac_takes_an_entry_at_its_third_byte)
{
    set_dac(&rig);
    out(&rig.board, 0x3C8, 10);
    ck_assert_uint_eq(in(&rig.board, 0x3C7), 0);
    out(&rig.board, 0x3C9, 0xFF);
    out(&rig.board, 0x3C9, 0x01);
    out(&rig.board, 0x3C7, 10);
    ck_assert_uint_eq(in(&rig.board, 0x3C7), 3);
    ck_assert_uint_eq(in(&rig.board, 0x3C9), dac_part(10, 0));
    out(&rig.board, 0x3C8, 10);
    out(&rig.board, 0x3C9, 0xFF);
    out(&rig.board, 0x3C9, 0x01);
    out(&rig.board, 0x3C9, 0x02);
    ck_assert_uint_eq(in(&rig.board, 0x3C8), 11);
    out(&rig.board, 0x3C7, 10);
    ck_assert_uint_eq(in(&rig.board, 0x3C9), 0x3F);
    ck_assert_uint_eq(in(&rig.board, 0x3C9), 0x01);
    ck_assert_uint_eq(in(&rig.board, 0x3C9), 0x02);
    ck_assert_uint_eq(in(&rig.board, 0x3C9), dac_part(11, 0));
}
END_TEST

/* 400 lines at 31.5 kHz make 70 frames a second; two lines of each are retrace. */
START_TEST(retrace_keeps_the_modes_time)
{
    unsigned frames = 0, samples = 0, sync = 0, dark = 0;
    bool before = false;

    set_mode(&rig, &mode_03);
    for (; rig.board.now < NS_PER_SEC; rig.board.now += 7001, samples++) {
        uint8_t status = in(&rig.board, 0x3DA);
        bool now = status & 8;
        frames += now && !before;
        sync += now;
        dark += status & 1;
        ck_assert(!now || (status & 1));
        before = now;
    }
    ck_assert_uint_ge(frames, 69);
    ck_assert_uint_le(frames, 71);
    ck_assert_uint_gt(sync, samples * 3 / 1000);
    ck_assert_uint_lt(sync, samples * 6 / 1000);
    /* Shown are 400 of 449 lines, of each 80 of 100 characters. */
    ck_assert_uint_gt(dark, samples * 26 / 100);
    ck_assert_uint_lt(dark, samples * 31 / 100);
}
END_TEST

START_TEST(retrace_comes_in_any_mode)
{
    for (unsigned i = 0; i < 200; i++) {
        bool on = false, off = false;
        for (unsigned r = 0; r < 25; r++)
            crtc(&rig, r, r == 0x11 ? 0 : board_random(&rig.board));
        for (unsigned t = 0; t < 100000 && !(on && off); t++) {
            rig.board.now += 1571;
            (in(&rig.board, 0x3DA) & 8 ? (on = true) : (off = true));
        }
        ck_assert(on && off);
    }
}
END_TEST

START_TEST(window_is_where_the_register_says)
{
    static const uint32_t base[4] = {0xA0000, 0xA0000, 0xB0000, 0xB8000},
                          size[4] = {0x20000, 0x10000, 0x8000, 0x8000};

    set_mode(&rig, &mode_12);
    for (unsigned map = 0; map < 4; map++) {
        gfx(&rig, 6, map << 2 | 1);
        poke(&rig, base[map] + 0x123, 0x40 + map);
        for (uint32_t addr = 0xA0123; addr < 0xC0000; addr += 0x8000) {
            bool decoded = addr >= base[map] && addr < base[map] + size[map];
            if (!decoded)
                ck_assert_uint_eq(peek(&rig, addr), 0xFF);
        }
        ck_assert_uint_eq(peek(&rig, base[map] + 0x123), 0x40 + map);
    }
    out(&rig.board, 0x3C2, 0xE1); /* RAM off */
    ck_assert_uint_eq(peek(&rig, 0xB8123), 0xFF);
    out(&rig.board, 0x3C2, 0xE3);
    ck_assert_uint_eq(peek(&rig, 0xB8123), 0x43);
    out(&rig.board, 0x3C3, 0);
    ck_assert_uint_eq(peek(&rig, 0xB8123), 0xFF);
    ck_assert_uint_eq(in(&rig.board, 0x3CC), 0xFF);
    out(&rig.board, 0x3C3, 1);
    ck_assert_uint_eq(peek(&rig, 0xB8123), 0x43);
}
END_TEST

/* The four planes' bytes at an address, by read mode 0. */
static void expect_planes(uint32_t addr, unsigned p0, unsigned p1, unsigned p2, unsigned p3)
{
    unsigned want[4] = {p0, p1, p2, p3};

    for (unsigned plane = 0; plane < 4; plane++) {
        gfx(&rig, 4, plane);
        ck_assert_uint_eq(peek(&rig, addr), want[plane]);
        ck_assert_uint_eq(in_indexed(&rig, 0x3D4, 0x22), want[plane]); /* the latch */
    }
}

static void fill_planes(uint32_t addr, unsigned p0, unsigned p1, unsigned p2, unsigned p3)
{
    unsigned value[4] = {p0, p1, p2, p3};

    for (unsigned plane = 0; plane < 4; plane++) {
        seq(&rig, 2, 1 << plane);
        poke(&rig, addr, value[plane]);
    }
    seq(&rig, 2, 0x0F);
}

START_TEST(write_mode_0)
{
    set_mode(&rig, &mode_12);
    seq(&rig, 2, 0x5);
    poke(&rig, 0xA0010, 0xC3);
    expect_planes(0xA0010, 0xC3, 0, 0xC3, 0);
    seq(&rig, 2, 0xF);
    gfx(&rig, 0, 0x3); /* set/reset in planes 1 and 2 */
    gfx(&rig, 1, 0x6);
    poke(&rig, 0xA0011, 0x81);
    expect_planes(0xA0011, 0x81, 0xFF, 0x00, 0x81);
    gfx(&rig, 1, 0);
    gfx(&rig, 3, 3); /* rotate */
    poke(&rig, 0xA0012, 0x81);
    expect_planes(0xA0012, 0x30, 0x30, 0x30, 0x30);
    gfx(&rig, 3, 0);
    fill_planes(0xA0013, 0xAA, 0x55, 0xFF, 0x00);
    gfx(&rig, 8, 0x0F); /* only these bits, the others from the latches */
    peek(&rig, 0xA0013);
    poke(&rig, 0xA0014, 0x33);
    expect_planes(0xA0014, 0xA3, 0x53, 0xF3, 0x03);
}
END_TEST

START_TEST(functions_combine_data_and_latches)
{
    static const unsigned want[4] = {0x3C, 0x3C & 0xA5, 0x3C | 0xA5, 0x3C ^ 0xA5};

    set_mode(&rig, &mode_12);
    for (unsigned function = 0; function < 4; function++) {
        gfx(&rig, 3, 0);
        fill_planes(0xA0020, 0xA5, 0xA5, 0xA5, 0xA5);
        peek(&rig, 0xA0020);
        gfx(&rig, 3, function << 3);
        poke(&rig, 0xA0021, 0x3C);
        expect_planes(0xA0021, want[function], want[function], want[function], want[function]);
    }
}
END_TEST

START_TEST(write_modes_1_to_3)
{
    set_mode(&rig, &mode_12);
    fill_planes(0xA0030, 0x11, 0x22, 0x44, 0x88);
    gfx(&rig, 5, 1);
    peek(&rig, 0xA0030);
    gfx(&rig, 8, 0x00); /* doesn't count here */
    poke(&rig, 0xA0031, 0xFF);
    expect_planes(0xA0031, 0x11, 0x22, 0x44, 0x88);

    gfx(&rig, 5, 2);
    gfx(&rig, 8, 0xF0);
    peek(&rig, 0xA0030);
    poke(&rig, 0xA0032, 0x05);
    expect_planes(0xA0032, 0xF1, 0x02, 0xF4, 0x08);

    gfx(&rig, 5, 3);
    gfx(&rig, 8, 0x3C);
    gfx(&rig, 0, 0x09);
    gfx(&rig, 3, 1);
    peek(&rig, 0xA0030);
    poke(&rig, 0xA0033, 0x1F); /* rotated 0x8F; mask 0x0C */
    expect_planes(0xA0033, 0x1D, 0x22, 0x40, 0x8C);
}
END_TEST

START_TEST(read_mode_1_compares_colours)
{
    set_mode(&rig, &mode_12);
    fill_planes(0xA0040, 0x0F, 0x33, 0x55, 0xF0);
    gfx(&rig, 5, 8);
    gfx(&rig, 2, 0x3); /* planes 0 and 1 set, 2 and 3 clear */
    gfx(&rig, 7, 0xF);
    ck_assert_uint_eq(peek(&rig, 0xA0040), 0x0F & 0x33 & ~0x55 & ~0xF0);
    gfx(&rig, 7, 0x3);
    ck_assert_uint_eq(peek(&rig, 0xA0040), 0x0F & 0x33);
    gfx(&rig, 7, 0x0);
    ck_assert_uint_eq(peek(&rig, 0xA0040), 0xFF);
}
END_TEST

/* Text: even addresses are plane 0, odd ones plane 1, both at the even plane address. */
START_TEST(odd_even_addressing)
{
    set_mode(&rig, &mode_03);
    bus_write(rig.board.mem, 0xB8100, 0x44332211, 4);
    ck_assert_uint_eq(bus_read(rig.board.mem, 0xB8100, 4), 0x44332211);
    seq(&rig, 4, 0x06);
    gfx(&rig, 5, 0x00);
    gfx(&rig, 6, 0x0C);
    expect_planes(0xB8100, 0x11, 0x22, 0, 0);
    expect_planes(0xB8102, 0x33, 0x44, 0, 0);
    expect_planes(0xB8101, 0, 0, 0, 0);
}
END_TEST

START_TEST(chain_4_addressing)
{
    set_mode(&rig, &mode_13);
    bus_write(rig.board.mem, 0xA0100, 0x8877665544332211, 8);
    ck_assert_uint_eq(bus_read(rig.board.mem, 0xA0100, 8), 0x8877665544332211);
    ck_assert_uint_eq(bus_read(rig.board.mem, 0xA0103, 2), 0x5544);
    seq(&rig, 2, 0x0E);
    poke(&rig, 0xA0104, 0xFF); /* plane 0 is masked */
    poke(&rig, 0xA0105, 0xFE);
    ck_assert_uint_eq(bus_read(rig.board.mem, 0xA0104, 2), 0xFE55);
    seq(&rig, 4, 0x06);
    expect_planes(0xA0100, 0x11, 0x22, 0x33, 0x44);
    expect_planes(0xA0104, 0x55, 0xFE, 0x77, 0x88);
}
END_TEST

START_TEST(pci_function)
{
    ck_assert_uint_eq(config_get(&rig, PCI_VENDOR_ID, 4), 0x11111234);
    ck_assert_uint_eq(config_get(&rig, PCI_CLASS, 1), 0);
    ck_assert_uint_eq(config_get(&rig, PCI_CLASS + 1, 2), 0x0300);
    config_set(&rig, PCI_BAR(0), UINT32_MAX, 4);
    config_set(&rig, PCI_BAR(2), UINT32_MAX, 4);
    config_set(&rig, 0x30, 0xFFFFF800, 4);
    ck_assert_uint_eq(config_get(&rig, PCI_BAR(0), 4), 0xFF000008);
    ck_assert_uint_eq(config_get(&rig, PCI_BAR(2), 4), 0xFFFFF000);
    ck_assert_uint_eq(config_get(&rig, 0x30, 4), 0xFFFFF000);
    config_set(&rig, 0x30, 0xFEA00001, 4);
    enable_bars(&rig);
    ck_assert_uint_eq(bus_read(rig.board.mem, 0xFEA00000, 4), 0x0006AA55);
    ck_assert_uint_eq(peek(&rig, 0xFEA00000 + 2999), 0x77);
    ck_assert_uint_eq(peek(&rig, 0xFEA00000 + 3000), 0xFF);
    poke(&rig, LFB + 0x12345, 0x5A);
    ck_assert_uint_eq(rig.vram[0x12345], 0x5A);
    config_set(&rig, PCI_COMMAND, 0, 2);
    ck_assert_uint_eq(peek(&rig, LFB + 0x12345), 0xFF);
    ck_assert_uint_eq(peek(&rig, 0xFEA00000), 0xFF);
}
END_TEST

/* A BAR over RAM: RAM answers. */
START_TEST(bars_yield_to_ram)
{
    uint8_t *ram = calloc(4, BUS_PAGE);

    ck_assert(bus_map_ram(rig.board.mem, "ram", 0xD0000000, 4 * BUS_PAGE, ram));
    config_set(&rig, PCI_BAR(0), 0xD0000000, 4);
    config_set(&rig, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
    poke(&rig, 0xD0000010, 1);
    poke(&rig, 0xD0004010, 2);
    ck_assert_uint_eq(ram[0x10], 1);
    ck_assert_uint_eq(rig.vram[0x10], 0);
    ck_assert_uint_eq(rig.vram[0x4010], 2);
    free(ram);
}
END_TEST

START_TEST(register_page)
{
    struct bus *mem = rig.board.mem;
    uint8_t sum = 0;

    enable_bars(&rig);
    ck_assert_uint_eq(bus_read(mem, REGISTERS, 8), 0x00FFFFFFFFFFFF00);
    for (unsigned i = 0; i < 128; i++)
        sum += peek(&rig, REGISTERS + i);
    ck_assert_uint_eq(sum, 0);
    ck_assert_uint_eq(bus_read(mem, REGISTERS + 0x500, 2) & 0xFFF0, 0xB0C0);
    ck_assert_uint_eq(bus_read(mem, REGISTERS + 0x500 + 2 * 10, 2), VRAM_SIZE >> 16);
    bus_write(mem, REGISTERS + 0x502, 1024, 2);
    ck_assert_uint_eq(vbe_get(&rig, 1), 1024);
    bus_write(mem, REGISTERS + 0x402, 0x67, 1);
    ck_assert_uint_eq(in(&rig.board, 0x3CC), 0x67);
    bus_write(mem, REGISTERS + 0x414, 0x4F01, 2);
    ck_assert_uint_eq(in_indexed(&rig, 0x3D4, 1), 0x4F);
    ck_assert_uint_eq(bus_read(mem, REGISTERS + 0x600, 4), 8);
    ck_assert_uint_eq(bus_read(mem, REGISTERS + 0x604, 4), 0x1E1E1E1E);
}
END_TEST

START_TEST(vbe_registers)
{
    ck_assert_uint_eq(vbe_get(&rig, 0), 0xB0C5);
    vbe(&rig, 0, 0xB0C0);
    ck_assert_uint_eq(vbe_get(&rig, 0), 0xB0C0);
    vbe(&rig, 0, 0x1234);
    ck_assert_uint_eq(vbe_get(&rig, 0), 0xB0C0);
    ck_assert_uint_eq(vbe_get(&rig, 10), 256);
    vbe(&rig, 4, 2);
    ck_assert_uint_eq(vbe_get(&rig, 1), VGA_MAX_WIDTH);
    ck_assert_uint_eq(vbe_get(&rig, 2), VGA_MAX_HEIGHT);
    ck_assert_uint_eq(vbe_get(&rig, 3), 32);

    rig.vram[5] = 9;
    set_vbe_mode(&rig, 800, 600, 16, 0x80);
    ck_assert_uint_eq(rig.vram[5], 9);
    ck_assert_uint_eq(vbe_get(&rig, 6), 800);
    ck_assert_uint_eq(vbe_get(&rig, 7), VRAM_SIZE / 1600);
    vbe(&rig, 6, 1024);
    ck_assert_uint_eq(vbe_get(&rig, 6), 1024);
    ck_assert_uint_eq(vbe_get(&rig, 7), VRAM_SIZE / 2048);
    vbe(&rig, 6, 16);
    ck_assert_uint_eq(vbe_get(&rig, 6), 800);
    vbe(&rig, 1, 640); /* not while it is on */
    ck_assert_uint_eq(vbe_get(&rig, 1), 800);
    set_vbe_mode(&rig, 800, 600, 16, 0);
    ck_assert_uint_eq(rig.vram[5], 0);
}
END_TEST

START_TEST(vbe_modes_are_made_to_fit)
{
    set_vbe_mode(&rig, 0, 0, 32, 0);
    refresh(&rig);
    ck_assert_int_ge(rig.surface->width, 1);
    ck_assert_int_ge(rig.surface->height, 1);
    set_vbe_mode(&rig, 0xFFFF, 0xFFFF, 32, 0);
    refresh(&rig);
    ck_assert_int_eq(rig.surface->width, VGA_MAX_WIDTH);
    ck_assert_int_eq(rig.surface->height, VRAM_SIZE / (4 * VGA_MAX_WIDTH));
    set_vbe_mode(&rig, 640, 480, 7, 0);
    ck_assert_uint_eq(vbe_get(&rig, 3), 8);
}
END_TEST

START_TEST(vbe_window_is_a_bank)
{
    set_mode(&rig, &mode_13);
    set_vbe_mode(&rig, 1024, 768, 8, 0);
    vbe(&rig, 5, 3);
    poke(&rig, 0xA1234, 0x99);
    ck_assert_uint_eq(rig.vram[0x31234], 0x99);
    vbe(&rig, 5, 0xFFFF); /* wraps */
    poke(&rig, 0xA0000, 0x98);
    ck_assert_uint_eq(rig.vram[VRAM_SIZE - 0x10000], 0x98);
    vbe(&rig, 5, 3);
    ck_assert_uint_eq(peek(&rig, 0xA1234), 0x99);
}
END_TEST

START_TEST(state_moves_to_another)
{
    struct vga_rig other;

    set_mode(&rig, &mode_12);
    set_dac(&rig);
    fill_planes(0xA0000, 1, 2, 3, 4);
    peek(&rig, 0xA0000);
    out(&rig.board, 0x3C8, 7);
    out(&rig.board, 0x3C9, 1);
    enable_bars(&rig);
    set_vbe_mode(&rig, 640, 480, 32, 0);
    rig_init(&other);
    board_copy_state(&vga_class, rig.vga, other.vga);
    ck_assert_uint_eq(vbe_get(&other, 6), 640);
    poke(&other, LFB + 4, 0x42);
    refresh(&other);
    ck_assert_uint_eq(pixel(&other, 1, 0), 0x42);
    vga_class.reset(other.vga);
    ck_assert_uint_eq(peek(&other, LFB), 0xFF);
    ck_assert_uint_eq(vbe_get(&other, 4), 0);
    rig_free(&other);
}
END_TEST

START_TEST(bad_arguments_are_refused)
{
    struct board *b = &rig.board;

    ck_assert(!vga_new(rig.pci, b->mem, b->ports, b->clock, rig.vram, VRAM_SIZE - 4096, NULL, 0, &b->log));
    ck_assert(!vga_new(rig.pci, b->mem, b->ports, b->clock, rig.vram, 65536, NULL, 0, &b->log));
    ck_assert(
        !vga_new(rig.pci, b->mem, b->ports, b->clock, rig.vram, VRAM_SIZE, NULL, 0, &b->log)); /* slot */
}
END_TEST

/* A step of a guest that has lost its mind. */
static void random_step(struct vga_rig *r, unsigned kind)
{
    static const uint16_t indexed[] = {0x3C4, 0x3CE, 0x3D4, 0x3B4};
    struct board *b = &r->board;
    uint32_t value = board_random(b);

    switch (kind) {
    case 0:
        out_indexed(r, indexed[value % 4], value >> 8, value >> 16);
        break;
    case 1:
        out(b, 0x3B0 + value % 0x30, value >> 8);
        break;
    case 2:
        bus_write(b->ports, 0x1CE, value % 16, 2);
        bus_write(b->ports, 0x1CF, value >> 16 >> (value >> 8) % 16, 2);
        break;
    case 3:
        vbe(r, 4, value & 0x80 ? 0 : 0xC1);
        break;
    case 4:
        bus_write(b->mem, 0xA0000 + value % 0x20000, (uint64_t)value * value, 1 << (value >> 20) % 4);
        break;
    case 5:
        bus_read(b->mem, 0xA0000 + value % 0x20000, 1 << (value >> 20) % 4);
        break;
    case 6:
        bus_write(b->mem, REGISTERS + value % 4096, board_random(b), 1 << (value >> 20) % 4);
        break;
    case 7:
        bus_write(b->mem, LFB + value % VRAM_SIZE, value, 1 << (value >> 20) % 4);
        break;
    case 8:
        attr(r, value % 32, value >> 8);
        break;
    case 9:
        set_mode(r, value & 1 ? &mode_03 : value & 2 ? &mode_12 : value & 4 ? &mode_x : &mode_04);
        break;
    case 10:
        config_set(r, value % 64 & ~3u, board_random(b), 4);
        break;
    case 11:
        enable_bars(r);
        break;
    default:
        in(b, 0x3B0 + value % 0x30);
        b->now += value;
    }
}

START_TEST(nonsense_is_survived)
{
    struct text_screen text;

    /* Video memory between pages that fault would be better still; the sanitizers' red zones do as much. */
    for (unsigned round = 0; round < 300; round++) {
        for (unsigned i = 0; i < 60; i++)
            random_step(&rig, board_random(&rig.board) % 13);
        if (round % 4)
            show(&rig);
        refresh(&rig);
        ck_assert(rig.surface->pixels);
        ck_assert_int_ge(rig.damage.x, 0);
        ck_assert_int_ge(rig.damage.y, 0);
        ck_assert_int_le(rig.damage.x + rig.damage.width, rig.surface->width);
        ck_assert_int_le(rig.damage.y + rig.damage.height, rig.surface->height);
        if (rig.display.text(rig.display.opaque, &text)) {
            uint32_t sum = 0;
            for (int n = 0; n < text.columns * text.rows; n++)
                sum += text.cells[n];
            ck_assert(sum != 1);
            ck_assert(!text.cursor_visible || (text.cursor_x < text.columns && text.cursor_y < text.rows));
        }
    }
}
END_TEST

Suite *vga_suite(void)
{
    Suite *suite = suite_create("vga");
    TCase *tcase = tcase_create("registers and memory");

    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, registers_keep_the_bits_that_exist);
    tcase_add_test(tcase, crtc_timing_can_be_locked);
    tcase_add_test(tcase, crtc_moves_with_the_colour_bit);
    tcase_add_test(tcase, attribute_port_takes_index_and_data_in_turn);
    tcase_add_test(tcase, dac_takes_an_entry_at_its_third_byte);
    tcase_add_test(tcase, retrace_keeps_the_modes_time);
    tcase_add_test(tcase, retrace_comes_in_any_mode);
    tcase_add_test(tcase, window_is_where_the_register_says);
    tcase_add_test(tcase, write_mode_0);
    tcase_add_test(tcase, functions_combine_data_and_latches);
    tcase_add_test(tcase, write_modes_1_to_3);
    tcase_add_test(tcase, read_mode_1_compares_colours);
    tcase_add_test(tcase, odd_even_addressing);
    tcase_add_test(tcase, chain_4_addressing);
    tcase_add_test(tcase, pci_function);
    tcase_add_test(tcase, bars_yield_to_ram);
    tcase_add_test(tcase, register_page);
    tcase_add_test(tcase, vbe_registers);
    tcase_add_test(tcase, vbe_modes_are_made_to_fit);
    tcase_add_test(tcase, vbe_window_is_a_bank);
    tcase_add_test(tcase, state_moves_to_another);
    tcase_add_test(tcase, bad_arguments_are_refused);
    tcase_add_test(tcase, nonsense_is_survived);
    suite_add_tcase(suite, tcase);
    return suite;
}
