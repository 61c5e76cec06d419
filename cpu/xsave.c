/*
 * xsave.c - layout of the XSAVE area, and what goes in and out of it (SDM 1 chapter 13, SDM 2 under each
 * instruction's name).
 *
 * One table, components[], says what there is; CPUID leaf 0xD, sizes, and moving data follow from it. The
 * standard format's offsets are those of AMD's processors with AVX-512, so that its components (5 to 7, at
 * 832, 896 and 1408) find their places free.
 *
 * A store makes the whole image first and notes the ranges that hold something; all of them are probed before
 * the first is written. A load reads all it needs, checks it, and then changes the state.
 */
#include "cpu/xsave.h"

#include <string.h>

#include "cpu/fpu.h"
#include "cpu/interp/access.h"

enum { XC_X87, XC_SSE, XC_AVX, XC_PKRU = 9, XC_COUNT };

#define LEGACY_SIZE 512u
#define HEADER_SIZE 64u
#define BODY_START  (LEGACY_SIZE + HEADER_SIZE)
#define AREA_SIZE   2440u /* of the largest area there can be */

#define XCOMP_COMPACTED (1ull << 63)

#define XMM_START   160u
#define YMMH_SIZE   16u
#define MXCSR_START 24u

struct component {
    uint16_t offset, size; /* in the standard format */
    enum cpu_feature feature;
    bool supervisor; /* enabled by IA32_XSS, not XCR0 */
    bool aligned;    /* to 64 bytes in the compacted format */
};

/* The rows without a size don't exist. */
static const struct component components[XC_COUNT] = {
    [XC_X87] = {0, 160, F_XSAVE, false, false},
    [XC_SSE] = {XMM_START, 256, F_XSAVE, false, false},
    [XC_AVX] = {BODY_START, 256, F_AVX, false, false},
    [XC_PKRU] = {2432, 8, F_PKU, false, false},
};

#define MASK_SSE (1ull << XC_SSE)
#define MASK_AVX (1ull << XC_AVX)

static bool in_mask(uint64_t mask, unsigned n)
{
    return mask >> n & 1;
}

static uint64_t all_components(const struct cpu *cpu, bool supervisor)
{
    uint64_t mask = 0;

    for (unsigned n = 0; n < XC_COUNT; n++)
        if (components[n].size && components[n].supervisor == supervisor &&
            has_feature(cpu, components[n].feature))
            mask |= 1ull << n;
    return mask;
}

uint64_t xsave_user_components(const struct cpu *cpu)
{
    return has_feature(cpu, F_XSAVE) ? all_components(cpu, false) : 0;
}

uint64_t xsave_supervisor_components(const struct cpu *cpu)
{
    return has_feature(cpu, F_XSAVES) ? all_components(cpu, true) : 0;
}

bool xcr0_valid(const struct cpu *cpu, uint64_t value)
{
    if (value & ~xsave_user_components(cpu) || !(value & XCR0_X87))
        return false;
    return !(value & XCR0_AVX) || value & XCR0_SSE;
}

/* --- Layout -------------------------------------------------------------------------------------- */

/* Where component `n` lies in a compacted area that has room for the components in `format`. */
static unsigned compacted_offset(uint64_t format, unsigned n)
{
    unsigned offset = BODY_START;

    if (n < XC_AVX)
        return components[n].offset;
    for (unsigned k = XC_AVX; k <= n; k++) {
        if (!in_mask(format, k))
            continue;
        if (components[k].aligned)
            offset = (offset + 63) & ~63u;
        if (k < n)
            offset += components[k].size;
    }
    return offset;
}

static unsigned offset_of(uint64_t format, unsigned n)
{
    return format & XCOMP_COMPACTED ? compacted_offset(format, n) : components[n].offset;
}

/* Of the area that has room for `mask`; XCOMP_COMPACTED in it tells the format. */
static unsigned area_size(uint64_t mask)
{
    unsigned size = BODY_START;

    for (unsigned n = XC_AVX; n < XC_COUNT; n++)
        if (in_mask(mask, n) && size < offset_of(mask, n) + components[n].size)
            size = offset_of(mask, n) + components[n].size;
    return size;
}

void xsave_leaf(const struct cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    uint64_t user = xsave_user_components(cpu), supervisor = xsave_supervisor_components(cpu);

    if (!user)
        return;
    if (subleaf == 0) {
        out[0] = (uint32_t)user;
        out[1] = area_size(cpu->s.xcr0);
        out[2] = area_size(user);
        out[3] = (uint32_t)(user >> 32);
    } else if (subleaf == 1) {
        /* EAX has the instructions: features.def. */
        if (has_feature(cpu, F_XSAVEC))
            out[1] = area_size(cpu->s.xcr0 | cpu->s.xss | XCOMP_COMPACTED);
        out[2] = (uint32_t)supervisor;
        out[3] = (uint32_t)(supervisor >> 32);
    } else if (subleaf < XC_COUNT && in_mask(user | supervisor, subleaf)) {
        const struct component *c = &components[subleaf];

        out[0] = c->size;
        out[1] = c->supervisor ? 0 : c->offset;
        out[2] = (c->supervisor ? 1u : 0) | (c->aligned ? 2u : 0);
    }
}

/* --- The components ------------------------------------------------------------------------------ */

/* Outside 64-bit mode the upper eight registers are neither looked at nor touched (SDM 1 13.13). */
static unsigned vector_count(const struct cpu *cpu)
{
    return cpu->long64 ? 16 : 8;
}

static bool x87_in_use(const struct cpu_state *s)
{
    if (s->fcw != FCW_INIT || s->fsw || s->fptag || s->fop || s->fip || s->fdp || s->fcs || s->fds)
        return true;
    for (unsigned n = 0; n < 8; n++)
        if (s->st[n].mantissa || s->st[n].exponent)
            return true;
    return false;
}

/* Whether bytes 0 to 15 or 16 to 31 of any vector register are not zero. */
static bool vectors_in_use(const struct cpu *cpu, unsigned half)
{
    for (unsigned n = 0; n < vector_count(cpu); n++)
        if (cpu->s.zmm[n].u64[2 * half] | cpu->s.zmm[n].u64[2 * half + 1])
            return true;
    return false;
}

uint64_t xsave_in_use(const struct cpu *cpu)
{
    return (x87_in_use(&cpu->s) ? XCR0_X87 : 0) | (vectors_in_use(cpu, 0) ? XCR0_SSE : 0) |
           (vectors_in_use(cpu, 1) ? XCR0_AVX : 0) | (cpu->s.pkru ? XCR0_PKRU : 0);
}

static void store_vectors(const struct cpu *cpu, unsigned half, uint8_t *image)
{
    for (unsigned n = 0; n < vector_count(cpu); n++)
        memcpy(image + 16 * n, cpu->s.zmm[n].u8 + 16 * half, 16);
}

static void load_vectors(struct cpu *cpu, unsigned half, const uint8_t *image)
{
    for (unsigned n = 0; n < vector_count(cpu); n++)
        memcpy(cpu->s.zmm[n].u8 + 16 * half, image + 16 * n, 16);
}

/* `at` is the component's place; x87's is the area's start. */
static void store_component(const struct cpu *cpu, const struct insn *i, unsigned n, uint8_t *at)
{
    switch (n) {
    case XC_X87:
        fpu_store_x87(&cpu->s, at, i->osize == SIZE_Q);
        break;
    case XC_SSE:
        store_vectors(cpu, 0, at);
        break;
    case XC_AVX:
        store_vectors(cpu, 1, at);
        break;
    default:
        memcpy(at, &cpu->s.pkru, sizeof(cpu->s.pkru));
        break;
    }
}

static void load_component(struct cpu *cpu, const struct insn *i, unsigned n, const uint8_t *at)
{
    uint32_t pkru;

    switch (n) {
    case XC_X87:
        fpu_load_x87(&cpu->s, at, i->osize == SIZE_Q);
        break;
    case XC_SSE:
        load_vectors(cpu, 0, at);
        break;
    case XC_AVX:
        load_vectors(cpu, 1, at);
        break;
    default:
        memcpy(&pkru, at, sizeof(pkru));
        write_pkru(cpu, pkru);
        break;
    }
}

static void init_component(struct cpu *cpu, unsigned n)
{
    static const uint8_t zeros[256];

    switch (n) {
    case XC_X87:
        fpu_init(&cpu->s);
        memset(cpu->s.st, 0, sizeof(cpu->s.st));
        break;
    case XC_SSE:
        load_vectors(cpu, 0, zeros);
        break;
    case XC_AVX:
        load_vectors(cpu, 1, zeros);
        break;
    default:
        write_pkru(cpu, 0);
        break;
    }
}

/* --- The area in memory -------------------------------------------------------------------------- */

struct area {
    uint64_t linear;
    uint8_t image[AREA_SIZE];
    struct {
        uint16_t start, size;
    } ranges[XC_COUNT + 4];
    unsigned count;
};

static void add_range(struct area *a, unsigned start, unsigned size)
{
    a->ranges[a->count].start = (uint16_t)start;
    a->ranges[a->count].size = (uint16_t)size;
    a->count++;
}

static void add_component(struct cpu *cpu, struct area *a, uint64_t format, unsigned n)
{
    if (n == XC_X87) { /* MXCSR lies in its middle and belongs to others */
        add_range(a, 0, MXCSR_START);
        add_range(a, 32, 128);
    } else if (n == XC_PKRU) {
        add_range(a, offset_of(format, n), components[n].size);
    } else {
        add_range(a, offset_of(format, n), 16 * vector_count(cpu));
    }
}

/* Checks `size` bytes of the area against the segment, and the area's alignment, which is always #GP. */
static uint64_t area_linear(struct cpu *cpu, const struct insn *i, unsigned size, enum access access)
{
    uint64_t linear = mem_linear(cpu, i, size, access);

    if (linear & 63)
        gp0(cpu, i);
    return linear;
}

static uint64_t at_offset(const struct cpu *cpu, const struct area *a, unsigned offset)
{
    return cpu->long64 ? a->linear + offset : (uint32_t)(a->linear + offset);
}

static void read_ranges(struct cpu *cpu, const struct insn *i, struct area *a)
{
    for (unsigned n = 0; n < a->count; n++)
        linear_read_block(cpu, i, i->seg, at_offset(cpu, a, a->ranges[n].start),
                          a->image + a->ranges[n].start, a->ranges[n].size);
    a->count = 0;
}

static void write_ranges(struct cpu *cpu, const struct insn *i, struct area *a)
{
    for (unsigned n = 0; n < a->count; n++)
        probe_write(cpu, i, i->seg, at_offset(cpu, a, a->ranges[n].start), a->ranges[n].size);
    for (unsigned n = 0; n < a->count; n++)
        linear_write_block(cpu, i, i->seg, at_offset(cpu, a, a->ranges[n].start),
                           a->image + a->ranges[n].start, a->ranges[n].size);
}

/* The header's first two words. */
struct header {
    uint64_t xstate_bv, xcomp_bv;
};

static void put_mxcsr(const struct cpu *cpu, struct area *a)
{
    const uint32_t words[2] = {cpu->s.mxcsr, MXCSR_WRITABLE};

    memcpy(a->image + MXCSR_START, words, sizeof(words));
    add_range(a, MXCSR_START, sizeof(words));
}

void xsave_store(struct cpu *cpu, const struct insn *i, uint64_t rfbm, enum xsave_kind kind)
{
    uint64_t in_use = xsave_in_use(cpu), format = kind == XSAVE_COMPACTED ? rfbm | XCOMP_COMPACTED : 0;
    uint64_t saved = kind == XSAVE_PLAIN ? rfbm : rfbm & in_use;
    struct header header = {.xcomp_bv = format};
    struct area a = {0};

    a.linear = area_linear(cpu, i, area_size(rfbm | format), ACCESS_WRITE);
    /* AMD's processors look at both ends first, whether or not something is stored there. */
    probe_write(cpu, i, i->seg, a.linear, 1);
    probe_write(cpu, i, i->seg, at_offset(cpu, &a, area_size(rfbm | format) - 1), 1);
    probe_write(cpu, i, i->seg, at_offset(cpu, &a, LEGACY_SIZE), 8);
    if (kind == XSAVE_COMPACTED) {
        /* MXCSR goes with component 1, and XINUSE doesn't know of it. */
        if (cpu->s.mxcsr != MXCSR_DEFAULT)
            saved |= rfbm & MASK_SSE;
        if (saved & MASK_SSE)
            put_mxcsr(cpu, &a);
        header.xstate_bv = saved;
    } else {
        if (rfbm & (MASK_SSE | MASK_AVX))
            put_mxcsr(cpu, &a);
        linear_read_block(cpu, i, i->seg, at_offset(cpu, &a, LEGACY_SIZE), &header.xstate_bv, 8);
        header.xstate_bv = (header.xstate_bv & ~rfbm) | (rfbm & in_use);
    }
    for (unsigned n = 0; n < XC_COUNT; n++) {
        if (!in_mask(saved, n))
            continue;
        store_component(cpu, i, n, a.image + offset_of(format, n));
        add_component(cpu, &a, format, n);
    }
    memcpy(a.image + LEGACY_SIZE, &header, sizeof(header));
    add_range(&a, LEGACY_SIZE, kind == XSAVE_COMPACTED ? 16 : 8); /* no other word of it */
    write_ranges(cpu, i, &a);
}

/* What the formats ask of the header; #GP(0). */
static void check_header(struct cpu *cpu, const struct insn *i, const uint64_t *words, bool supervisor)
{
    uint64_t enabled = cpu->s.xcr0 | (supervisor ? cpu->s.xss : 0);
    uint64_t xstate_bv = words[0], xcomp_bv = words[1];
    bool ok;

    if (xcomp_bv & XCOMP_COMPACTED && has_feature(cpu, F_XSAVEC)) {
        ok = !(xcomp_bv & ~XCOMP_COMPACTED & ~enabled) && !(xstate_bv & ~(xcomp_bv & ~XCOMP_COMPACTED));
        for (unsigned n = 2; n < HEADER_SIZE / 8; n++)
            ok &= words[n] == 0;
    } else {
        /* The standard format's rest, from byte 24 on, is not looked at (SDM 1 13.8.1). */
        ok = !supervisor && !(xstate_bv & ~cpu->s.xcr0) && xcomp_bv == 0 && words[2] == 0;
    }
    if (!ok)
        gp0(cpu, i);
}

void xsave_load(struct cpu *cpu, const struct insn *i, uint64_t rfbm, bool supervisor)
{
    uint64_t words[HEADER_SIZE / 8], format, restored;
    struct area a = {.linear = area_linear(cpu, i, BODY_START, ACCESS_READ)};
    uint32_t mxcsr = MXCSR_DEFAULT;
    bool has_mxcsr, sets_mxcsr;

    /* As for a store, of all that is asked for in the standard format. */
    probe_read(cpu, i, i->seg, a.linear, 1);
    probe_read(cpu, i, i->seg, at_offset(cpu, &a, area_size(rfbm) - 1), 1);
    linear_read_block(cpu, i, i->seg, at_offset(cpu, &a, LEGACY_SIZE), words, sizeof(words));
    check_header(cpu, i, words, supervisor);
    format = words[1] & XCOMP_COMPACTED ? words[1] : 0;
    restored = rfbm & words[0]; /* a compacted area has no bits in XSTATE_BV that are not in its format */
    area_linear(cpu, i, area_size(restored | (format & XCOMP_COMPACTED) | format), ACCESS_READ);

    /* The standard format holds MXCSR whatever XSTATE_BV says; in the other it is part of component 1. */
    has_mxcsr = format ? restored & MASK_SSE : rfbm & (MASK_SSE | MASK_AVX);
    sets_mxcsr = has_mxcsr || (format && rfbm & MASK_SSE);
    if (has_mxcsr)
        add_range(&a, MXCSR_START, sizeof(mxcsr));
    for (unsigned n = 0; n < XC_COUNT; n++)
        if (in_mask(restored, n))
            add_component(cpu, &a, format, n);
    read_ranges(cpu, i, &a);
    if (has_mxcsr)
        memcpy(&mxcsr, a.image + MXCSR_START, sizeof(mxcsr));
    if (mxcsr & ~MXCSR_WRITABLE)
        gp0(cpu, i);

    if (sets_mxcsr)
        cpu->s.mxcsr = mxcsr;
    for (unsigned n = 0; n < XC_COUNT; n++) {
        if (in_mask(restored, n))
            load_component(cpu, i, n, a.image + offset_of(format, n));
        else if (in_mask(rfbm, n))
            init_component(cpu, n);
    }
}
