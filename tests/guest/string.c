/*
 * string.c - MOVS, STOS, LODS, CMPS, SCAS in all widths, both directions, with REP, REPE and REPNE; and
 * faults in the middle, after which RCX, RSI and RDI tell exactly what was done (SDM 2B, REP).
 */
#include "model.h"

#define STRING(name, insn)                                                                                   \
    SNIPPET(name##b, "", insn "b", "");                                                                      \
    SNIPPET(name##w, "", insn "w", "");                                                                      \
    SNIPPET(name##l, "", insn "l", "");                                                                      \
    SNIPPET(name##q, "", insn "q", "")
#define WIDTHS(name)                                                                                         \
    {                                                                                                        \
        &name##b, &name##w, &name##l, &name##q                                                               \
    }
STRING(movs, "movs");
STRING(stos, "stos");
STRING(lods, "lods");
STRING(cmps, "cmps");
STRING(scas, "scas");
STRING(rep_movs, "rep movs");
STRING(rep_stos, "rep stos");
STRING(rep_lods, "rep lods");
STRING(repe_cmps, "repe cmps");
STRING(repne_cmps, "repne cmps");
STRING(repe_scas, "repe scas");
STRING(repne_scas, "repne scas");

enum kind { MOVS, STOS, LODS, CMPS, SCAS };
enum repeat { ONCE, REPE, REPNE };

static const struct {
    const char *name;
    enum kind kind;
    enum repeat repeat;
    const struct snippet *insn[4];
} rows[] = {
    {"MOVS", MOVS, ONCE, WIDTHS(movs)},           {"STOS", STOS, ONCE, WIDTHS(stos)},
    {"LODS", LODS, ONCE, WIDTHS(lods)},           {"CMPS", CMPS, ONCE, WIDTHS(cmps)},
    {"SCAS", SCAS, ONCE, WIDTHS(scas)},           {"REP MOVS", MOVS, REPE, WIDTHS(rep_movs)},
    {"REP STOS", STOS, REPE, WIDTHS(rep_stos)},   {"REP LODS", LODS, REPE, WIDTHS(rep_lods)},
    {"REPE CMPS", CMPS, REPE, WIDTHS(repe_cmps)}, {"REPNE CMPS", CMPS, REPNE, WIDTHS(repne_cmps)},
    {"REPE SCAS", SCAS, REPE, WIDTHS(repe_scas)}, {"REPNE SCAS", SCAS, REPNE, WIDTHS(repne_scas)},
};

#define AREA 512

/* Two areas with much in common, so that comparisons go on for a while. */
static uint8_t areas[2][2 * AREA], want_areas[2][2 * AREA];

static void fill(uint8_t area[2][2 * AREA], unsigned seed)
{
    for (unsigned i = 0; i < 2 * AREA; i++) {
        area[0][i] = (uint8_t)(i / 24 * 3 + seed);
        area[1][i] = (uint8_t)(area[0][i] + (i % 97 == seed % 97));
    }
}

static uint64_t load(const uint8_t *p, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)p[i] << i * 8;
    return value;
}

/* One round as the manual says, on want_areas; true when a repeated comparison ends there. */
static bool model_round(enum kind kind, enum repeat repeat, unsigned bytes, struct regs *r)
{
    uint8_t *source = want_areas[0] + (r->rsi - (uint64_t)areas[0]),
            *target = want_areas[1] + (r->rdi - (uint64_t)areas[1]);
    uint64_t step = r->rflags & FLAG_DF ? 0 - (uint64_t)bytes : bytes, flags = 0;
    if (kind == MOVS || kind == STOS)
        for (unsigned i = 0; i < bytes; i++)
            target[i] = kind == MOVS ? source[i] : (uint8_t)(r->rax >> i * 8);
    if (kind == LODS)
        r->rax = merge(r->rax, load(source, bytes), bytes * 8);
    if (kind == CMPS || kind == SCAS) {
        model_sub(kind == CMPS ? load(source, bytes) : r->rax, load(target, bytes), 0, bytes * 8, &flags);
        r->rflags = (r->rflags & ~(uint64_t)FLAGS_STATUS) | flags;
    }
    if (kind != STOS && kind != SCAS)
        r->rsi += step;
    if (kind != LODS)
        r->rdi += step;
    return (kind == CMPS || kind == SCAS) && (repeat == REPE) != !!(flags & FLAG_ZF);
}

static void check_string(unsigned row, unsigned w, bool down, unsigned count, unsigned seed)
{
    enum repeat repeat = rows[row].repeat;
    struct regs r = snippet_regs(rows[row].insn[w], 3), want;
    fill(areas, seed);
    fill(want_areas, seed);
    r.rsi = (uint64_t)areas[0] + (down ? AREA * 3 / 2 : AREA / 2) + seed % 7;
    r.rdi = (uint64_t)areas[1] + (down ? AREA * 3 / 2 : AREA / 2) + seed % 7;
    r.rax = load((uint8_t *)r.rdi, 8) + (rows[row].repeat == REPNE);
    r.rcx = count;
    r.rflags |= FLAG_ZF | FLAG_CF | (down ? FLAG_DF : 0);
    want = r;
    if (repeat == ONCE)
        model_round(rows[row].kind, repeat, 1u << w, &want);
    else
        while (want.rcx) {
            want.rcx--;
            if (model_round(rows[row].kind, repeat, 1u << w, &want))
                break;
        }
    run(&r);
    if (r.vector != VEC_END || r.rcx != want.rcx || r.rsi != want.rsi || r.rdi != want.rdi ||
        r.rax != want.rax)
        test_fail("%u bytes, %s, count %u: RCX 0x%lx, RSI 0x%lx, RDI 0x%lx, not 0x%lx, 0x%lx, 0x%lx", 1u << w,
                  down ? "down" : "up", count, r.rcx, r.rsi, r.rdi, want.rcx, want.rsi, want.rdi);
    if ((r.rflags ^ want.rflags) & FLAGS_STATUS)
        test_fail("%u bytes, count %u: flags 0x%lx, not 0x%lx", 1u << w, count, r.rflags, want.rflags);
    if (memcmp(areas, want_areas, sizeof areas) != 0)
        test_fail("%u bytes, %s, count %u: memory differs", 1u << w, down ? "down" : "up", count);
}

static void all_forms(void)
{
    static const unsigned counts[] = {0, 1, 2, 3, 7, 16, 31};
    for (unsigned row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        test_begin(rows[row].name);
        for (unsigned w = 0; w < 4; w++)
            for (unsigned down = 0; down < 2; down++)
                for (unsigned i = 0; i < sizeof counts / sizeof counts[0]; i++)
                    for (unsigned seed = 0; seed < 20; seed++)
                        check_string(row, w, down, counts[i], seed);
        test_end();
    }
}

/* Overlap: a forward REP MOVSB one byte on spreads the first byte; block copies must not change that. */
static void overlap(void)
{
    test_begin("REP MOVSB onto itself");
    for (unsigned distance = 1; distance < 20; distance++) {
        struct regs r = snippet_regs(&rep_movsb, 3);
        fill(areas, 5);
        r.rsi = (uint64_t)areas[0];
        r.rdi = r.rsi + distance;
        r.rcx = 200;
        fill(want_areas, 5);
        for (unsigned i = 0; i < 200; i++)
            want_areas[0][i + distance] = want_areas[0][i];
        run(&r);
        if (memcmp(areas, want_areas, sizeof areas) != 0)
            test_fail("distance %u", distance);
    }
    test_end();
}

/* ---- faults ---- */

static uint8_t frames[3][4096] __attribute__((aligned(4096)));

static void map_two(uint64_t first, uint64_t second)
{
    map_page(0, (uint64_t)frames[0], first);
    map_page(1, (uint64_t)frames[1], second);
}

enum { RW = PTE_P | PTE_W | PTE_U, RO = PTE_P | PTE_U };

static void check_fault(struct regs *r, uint64_t rip, uint64_t error, uint64_t cr2, uint64_t rcx,
                        uint64_t rsi, uint64_t rdi)
{
    run(r);
    test_equal(r->vector, VEC_PF, "vector");
    test_equal(r->error, error, "error code");
    test_equal(r->cr2, cr2, "CR2");
    test_equal(r->rip, rip, "RIP");
    test_equal(r->rcx, rcx, "RCX");
    test_equal(r->rsi, rsi, "RSI");
    test_equal(r->rdi, rdi, "RDI");
}

static void faults_in_target(void)
{
    uint64_t source = (uint64_t)frames[2], edge = TEST_BASE + 4096;
    for (unsigned i = 0; i < 4096; i++)
        frames[2][i] = (uint8_t)(i * 11);
    test_begin("REP MOVSB stops at a page and goes on");
    map_two(RW, 0);
    struct regs r = snippet_regs(&rep_movsb, 3);
    r.rsi = source;
    r.rdi = edge - 16;
    r.rcx = 100;
    check_fault(&r, (uint64_t)rep_movsb.at, 6, edge, 84, source + 16, edge);
    map_two(RW, RW);
    run(&r);
    test_equal(r.vector, VEC_END, "vector at the end");
    test_equal(r.rcx, 0, "RCX at the end");
    if (memcmp(frames[0] + 4080, frames[2], 16) != 0 || memcmp(frames[1], frames[2] + 16, 84) != 0)
        test_fail("the copy is wrong");
    test_end();

    test_begin("REP STOSQ stops before a split element");
    map_two(RW, RO);
    memset(frames[0], 0, 4096);
    r = snippet_regs(&rep_stosq, 3);
    r.rax = ~0ull;
    r.rdi = edge - 19;
    r.rcx = 10;
    check_fault(&r, (uint64_t)rep_stosq.at, 7, edge, 8, 0, edge - 3);
    test_equal(load(frames[0] + 4093, 3), 0, "bytes before the edge");
    test_end();

    test_begin("REP MOVSB downwards into a page");
    map_two(0, RW);
    r = snippet_regs(&rep_movsb, 3);
    r.rflags |= FLAG_DF;
    r.rsi = source + 50;
    r.rdi = edge + 4;
    r.rcx = 20;
    check_fault(&r, (uint64_t)rep_movsb.at, 6, edge - 1, 15, source + 45, edge - 1);
    test_end();
}

static void faults_in_source(void)
{
    uint64_t edge = TEST_BASE + 4096, target = (uint64_t)frames[2];
    test_begin("REP LODSW faults in the source");
    map_two(RW, 0);
    struct regs r = snippet_regs(&rep_lodsw, 3);
    r.rsi = edge - 6;
    r.rcx = 9;
    check_fault(&r, (uint64_t)rep_lodsw.at, 4, edge, 6, edge, 0);
    test_end();

    test_begin("REPE CMPSB faults in the second operand");
    memset(frames[0], 7, 4096);
    memset(frames[2], 7, 4096);
    r = snippet_regs(&repe_cmpsb, 3);
    r.rsi = target;
    r.rdi = edge - 10;
    r.rcx = 50;
    check_fault(&r, (uint64_t)repe_cmpsb.at, 4, edge, 40, target + 10, edge);
    test_end();

    test_begin("REPNE SCASB faults in its operand");
    r = snippet_regs(&repne_scasb, 3);
    r.rdi = edge - 5;
    r.rcx = 50;
    check_fault(&r, (uint64_t)repne_scasb.at, 4, edge, 45, 0, edge);
    test_end();

    test_begin("REP with a count of 0 touches nothing");
    r = snippet_regs(&rep_movsb, 3);
    r.rsi = edge;
    r.rdi = edge;
    run(&r);
    test_equal(r.vector, VEC_END, "vector");
    test_end();
}

/* ---- prefixes ---- */

SNIPPET(p_movsb32, "", "addr32 rep movsb", "");
SNIPPET(p_stosw32, "", "addr32 rep stosw", "");
SNIPPET(p_fs_lodsb, "", "fs lodsb", "");
SNIPPET(p_noncanonical, "", "rep stosb", "");
SNIPPET_MODE(p_stosb16, ".code32", "", "addr16 rep stosb", "");

static void prefixes(void)
{
    struct regs r = snippet_regs(&p_movsb32, 3);
    test_begin("32-bit addresses clear the upper halves");
    fill(areas, 1);
    r.rsi = 0xAAAAAAAA00000000 | (uint64_t)areas[0];
    r.rdi = 0xBBBBBBBB00000000 | (uint64_t)areas[1];
    r.rcx = 0xCCCCCCCC00000005;
    run(&r);
    test_equal(r.vector, VEC_END, "vector");
    test_equal(r.rcx, 0, "RCX");
    test_equal(r.rsi, (uint64_t)areas[0] + 5, "RSI");
    test_equal(r.rdi, (uint64_t)areas[1] + 5, "RDI");
    test_end();

    test_begin("FS applies to the source");
    wrmsr(0xC0000100, (uint64_t)areas[0] - 0x1000);
    r = snippet_regs(&p_fs_lodsb, 3);
    r.rsi = 0x1003;
    r.rax = 0x1200;
    run(&r);
    test_equal(r.rax, 0x1200u | areas[0][3], "RAX");
    wrmsr(0xC0000100, 0);
    test_end();

    test_begin("#GP at the canonical hole");
    r = snippet_regs(&p_noncanonical, 3);
    r.rdi = 1ull << 47;
    r.rcx = 3;
    run(&r);
    test_equal(r.vector, VEC_GP, "vector");
    test_equal(r.rcx, 3, "RCX");
    test_equal(r.rdi, 1ull << 47, "RDI");
    test_end();

    /* With 16-bit addresses DI wraps and only CX counts; the upper halves stay. Low memory is free to write.
     */
    test_begin("16-bit addresses in 32-bit code");
    uint8_t *low = (uint8_t *)0x10000;
    uint8_t saved = low[0];
    r = snippet_regs(&p_stosb16, 3);
    r.cs = SEL_USER_CODE32;
    r.rdi = 0x12348000;
    r.rcx = 0x56780004;
    r.rax = 0x5A;
    memset((void *)0x8000, 0, 8);
    run(&r);
    test_equal(r.vector, VEC_END, "vector");
    test_equal(r.rdi, 0x12348004, "EDI");
    test_equal(r.rcx, 0x56780000, "ECX");
    test_equal(load((uint8_t *)0x8000, 8), 0x5A5A5A5A, "memory");
    test_equal(low[0], saved, "byte at 64 KiB");
    test_end();
}

void guest_main(void)
{
    all_forms();
    overlap();
    faults_in_target();
    faults_in_source();
    prefixes();
}
