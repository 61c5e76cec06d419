/*
 * ports.c - the I/O permission bitmap: which bits an access needs, where the map must end, when it is asked
 * at all (SDM 1 19.5.2; SDM 3A 20.2.8 for virtual-8086 mode).
 */
#include "legacy.h"

#define PORT 0xE0 /* what is read here changes nothing; a multiple of 8 */

S16(v_inb, "", "inb %dx, %al", "int3");
S16(v_inw, "", "inw %dx, %ax", "int3");
S16(v_inl, "", "inl %dx, %eax", "int3");
S32(p_inb, "", "inb %dx, %al", "int3");
S32(p_inw, "", "inw %dx, %ax", "int3");
S32(p_inl, "", "inl %dx, %eax", "int3");
S32(p_imm, "", "inb $0xE3, %al", "int3");
S32(p_insw, "", "insw", "int3");
S32(p_rep_insb, "", "rep insb", "int3");
S32(p_outsb, "", "outsb", "int3");
SNIPPET(l_inb, "", "inb %dx, %al", "int3");
SNIPPET(l_inw, "", "inw %dx, %ax", "int3");
SNIPPET(l_inl, "", "inl %dx, %eax", "int3");

enum mode { V86, PROTECTED, LONG };

static const struct snippet *const in[3][3] = {
    {&v_inb, &v_inw, &v_inl}, {&p_inb, &p_inw, &p_inl}, {&l_inb, &l_inw, &l_inl}};

/* Whether IN of 1 << size bytes ends behind itself rather than in #GP(0). */
static bool reads(enum mode mode, unsigned size, unsigned port, unsigned cpl, unsigned iopl)
{
    const struct snippet *s = in[mode][size];
    unsigned vector, error;
    bool at;

    if (mode == LONG) {
        struct regs regs = snippet_regs(s, cpl);

        regs.rdx = port;
        regs.rflags |= iopl << 12;
        run(&regs);
        vector = (unsigned)regs.vector;
        error = (unsigned)regs.error;
        at = regs.rip == (uint64_t)s->at;
    } else {
        if (mode == V86)
            prepare_v86(s, iopl);
        else
            prepare32(s, cpl);
        r.edx = port;
        r.eflags |= iopl << 12;
        legacy(&r);
        vector = r.vector;
        error = r.error;
        at = r.eip == (mode == V86 ? at16(s) : low(s->at));
    }
    if (error || vector != (at ? VEC_GP : VEC_BP))
        test_fail("vector %u, error code 0x%x at port 0x%x", vector, error, port);
    return vector == VEC_BP;
}

static void check(const char *what, bool got, bool want)
{
    if (got != want)
        test_fail("%s: %s", what, got ? "allowed" : "#GP");
}

/* The map of the mode's TSS, from port 0 on, in which a bit that is 1 closes a port. */
static uint8_t *map(enum mode mode)
{
    return mode == LONG ? tss.io_bits : tss32.io_bits;
}

static void set_map(enum mode mode, uint32_t offset)
{
    if (mode == LONG)
        tss.io_map = (uint16_t)offset;
    else
        tss32.io_map = (uint16_t)offset;
}

static void which_bits(enum mode mode, unsigned iopl, const char *name)
{
    uint8_t *bits = map(mode);

    test_begin(name);
    for (unsigned size = 0; size < 3; size++) {
        for (unsigned port = PORT; port < PORT + 8; port++) {
            memset(bits, 0, 32);
            check("all open", reads(mode, size, port, 3, iopl), true);
            for (unsigned n = 0; n < (1u << size) + 2; n++) {
                unsigned closed = port - 1 + n;
                bool within = n > 0 && n <= 1u << size;

                memset(bits, 0, 32);
                bits[closed / 8] = (uint8_t)(1 << closed % 8);
                if (reads(mode, size, port, 3, iopl) == within)
                    test_fail("%u bytes at port 0x%x with port 0x%x closed: %s", 1u << size, port, closed,
                              within ? "allowed" : "#GP");
            }
            memset(bits, 0xFF, 32);
            for (unsigned n = 0; n < 1u << size; n++)
                bits[(port + n) / 8] &= (uint8_t) ~(1 << (port + n) % 8);
            check("all others closed", reads(mode, size, port, 3, iopl), true);
        }
    }
    test_end();
}

/* Two bytes are read for each access, both of which must be within the limit. */
static void limits(enum mode mode, unsigned iopl, const char *name)
{
    uint32_t base = mode == LONG ? offsetof(struct tss, io_bits) : TSS32_BITS, byte = base + PORT / 8;
    static const struct {
        int32_t limit; /* from the byte of the first port */
        uint8_t port, size;
        bool allowed;
    } cases[] = {{-1, 0, 0, false}, {0, 0, 0, false}, {0, 7, 0, false}, {0, 0, 2, false}, {1, 0, 0, true},
                 {1, 7, 0, true},   {1, 7, 1, true},  {1, 7, 2, true},  {1, 8, 0, false}, {2, 8, 0, true}};

    test_begin(name);
    memset(map(mode), 0, 32);
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t limit = byte + (uint32_t)cases[i].limit;

        tss32_limit = limit;
        set_tss_limit(limit);
        if (reads(mode, cases[i].size, PORT + cases[i].port, 3, iopl) != cases[i].allowed)
            test_fail("%u bytes at port 0x%x, the TSS ends at 0x%x, its map begins at 0x%x: %s",
                      1u << cases[i].size, PORT + cases[i].port, limit, base,
                      cases[i].allowed ? "#GP" : "allowed");
    }
    tss32_limit = TSS32_BITS + 31;
    set_tss_limit(sizeof tss - 1);
    set_map(mode, base + 32); /* beyond the limit */
    check("no map", reads(mode, 0, PORT, 3, iopl), false);
    check("no map, port 0x80", reads(mode, 0, 0x80, 3, iopl), false);
    set_map(mode, base + 31); /* with one byte */
    check("a byte of a map", reads(mode, 0, 0, 3, iopl), false);
    set_map(mode, base + 1); /* it is read each time */
    memset(map(mode), 0xFF, 32);
    map(mode)[1 + PORT / 8] = 0xFE;
    check("the map moved by a byte", reads(mode, 0, PORT, 3, iopl), true);
    set_map(mode, 0xFFFF);
    check("a map at 64 KiB", reads(mode, 0, PORT, 3, iopl), false);
    set_map(mode, base);
    test_end();
}

static void privilege(void)
{
    test_begin("the map is asked for CPL > IOPL");
    memset(tss32.io_bits, 0xFF, 32);
    memset(tss.io_bits, 0xFF, 32);
    for (unsigned iopl = 0; iopl < 4; iopl++) {
        check("protected mode, CPL 3", reads(PROTECTED, 0, PORT, 3, iopl), iopl == 3);
        check("protected mode, CPL 0", reads(PROTECTED, 2, PORT, 0, iopl), true);
        check("64-bit mode, CPL 3", reads(LONG, 0, PORT, 3, iopl), iopl == 3);
        check("64-bit mode, CPL 0", reads(LONG, 0, PORT, 0, iopl), true);
    }
    test_end();
    test_begin("virtual-8086 mode asks the map at any IOPL");
    for (unsigned open = 0; open < 2; open++) {
        memset(tss32.io_bits, open ? 0 : 0xFF, 32);
        for (unsigned iopl = 0; iopl < 4; iopl++)
            check("IN", reads(V86, 0, PORT, 3, iopl), open);
    }
    test_end();
}

static void last_ports(void)
{
    test_begin("the last ports of a whole map");
    memset(tss32.io_bits, 0, sizeof tss32.io_bits);
    tss32.io_bits[8192] = 0xFF;
    tss32_limit = TSS32_BITS + 8192;
    check("byte at 0xFFFF", reads(PROTECTED, 0, 0xFFFF, 3, 0), true);
    check("word at 0xFFFE", reads(PROTECTED, 1, 0xFFFE, 3, 0), true);
    check("word at 0xFFFF", reads(PROTECTED, 1, 0xFFFF, 3, 0), false);
    check("doubleword at 0xFFFD", reads(PROTECTED, 2, 0xFFFD, 3, 0), false);
    tss32_limit--;
    check("byte at 0xFFF8 without the byte behind", reads(PROTECTED, 0, 0xFFF8, 3, 0), false);
    check("byte at 0xFFF7", reads(PROTECTED, 0, 0xFFF7, 3, 0), true);
    tss32_limit = TSS32_BITS + 31;
    test_end();
}

/* A 16-bit TSS has no map, whatever lies at 0x66 (SDM 3A 8.6). */
static void tss16(void)
{
    static struct tss32 other;

    test_begin("a 16-bit TSS has no map");
    other.link = 0x6000u << 16; /* SP0 */
    other.esp0 = SEL_DATA;      /* SS0 */
    other.io_map = TSS32_BITS;
    set_descriptor(SEL_FREE, descriptor(low(&other), sizeof other - 1, 0x81, 0));
    legacy_tr = SEL_FREE;
    check("CPL 3, IOPL 0", reads(PROTECTED, 0, PORT, 3, 0), false);
    set_descriptor(SEL_FREE, descriptor(low(&other), sizeof other - 1, 0x81, 0)); /* not busy */
    check("CPL 3, IOPL 3", reads(PROTECTED, 0, PORT, 3, 3), true);
    legacy_tr = SEL_TSS32;
    test_end();
}

static void others(void)
{
    static uint8_t area[16] __attribute__((aligned(16)));

    test_begin("IN with an immediate, INS and OUTS");
    memset(tss32.io_bits, 0, 32);
    prepare32(&p_imm, USER);
    go("IN from an open port", VEC_BP, 0);
    tss32.io_bits[PORT / 8] = 1 << 3;
    prepare32(&p_imm, USER);
    go("IN from a closed port", VEC_GP, 0);
    prepare32(&p_insw, USER);
    r.edx = PORT;
    r.edi = low(area);
    go("INSW from open ports", VEC_BP, 0);
    test_equal(r.edi, low(area) + 2, "EDI");
    prepare32(&p_insw, USER);
    r.edx = PORT + 2;
    r.edi = low(area);
    go("INSW, the second closed", VEC_GP, 0);
    test_equal(r.edi, low(area), "EDI");
    prepare32(&p_rep_insb, USER);
    r.edx = PORT + 3;
    r.edi = low(area);
    r.ecx = 3;
    go("REP INSB", VEC_GP, 0);
    test_equal(r.edi, low(area), "EDI");
    test_equal(r.ecx, 3, "ECX");
    test_equal(r.eip, low(p_rep_insb.at), "EIP");
    prepare32(&p_rep_insb, USER);
    r.edx = PORT + 4;
    r.edi = low(area);
    r.ecx = 3;
    go("REP INSB from an open port", VEC_BP, 0);
    test_equal(r.edi, low(area) + 3, "EDI");
    prepare32(&p_outsb, USER);
    r.edx = PORT + 3;
    r.esi = low(area);
    go("OUTSB", VEC_GP, 0);
    test_equal(r.esi, low(area), "ESI");
    test_end();
}

void guest_main(void)
{
    legacy_init();
    tss32.io_map = TSS32_BITS;
    tss.io_map = offsetof(struct tss, io_bits);
    which_bits(PROTECTED, 0, "protected mode: the bits of an access");
    which_bits(V86, 3, "virtual-8086 mode: the bits of an access");
    which_bits(LONG, 0, "64-bit mode: the bits of an access");
    limits(PROTECTED, 0, "protected mode: the end of the map");
    limits(V86, 3, "virtual-8086 mode: the end of the map");
    limits(LONG, 0, "64-bit mode: the end of the map");
    privilege();
    last_ports();
    tss16();
    others();
}
