/*
 * fpu.c - images of the x87, MMX and SSE state, and why an instruction of theirs can't run.
 */
#include <string.h>

#include "cpu/fpu.h"

static void put16(uint8_t *p, uint16_t v)
{
    memcpy(p, &v, sizeof(v));
}

static void put32(uint8_t *p, uint32_t v)
{
    memcpy(p, &v, sizeof(v));
}

static void put64(uint8_t *p, uint64_t v)
{
    memcpy(p, &v, sizeof(v));
}

static uint16_t get_u16(const uint8_t *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static uint32_t get_u32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

static uint64_t get_u64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

void fpu_update_summary(struct cpu_state *s)
{
    if (s->fsw & ~s->fcw & FSW_EXCEPTIONS)
        s->fsw |= FSW_ES | FSW_B;
    else
        s->fsw &= (uint16_t) ~(FSW_ES | FSW_B);
}

void fpu_init(struct cpu_state *s)
{
    s->fcw = FCW_INIT;
    s->fsw = 0;
    s->fptag = 0;
    s->fop = 0;
    s->fip = s->fdp = 0;
    s->fcs = s->fds = 0;
}

static unsigned register_tag(const struct f80 *r)
{
    unsigned exponent = r->exponent & 0x7fff;

    if (exponent == 0 && r->mantissa == 0)
        return 1;
    /* Special: NaN, infinity, denormal, unsupported. */
    return exponent == 0 || exponent == 0x7fff || !(r->mantissa >> 63) ? 2 : 0;
}

uint16_t fpu_full_tag(const struct cpu_state *s)
{
    unsigned full = 0;

    for (unsigned n = 0; n < 8; n++)
        full |= (s->fptag >> n & 1 ? register_tag(&s->st[n]) : 3u) << 2 * n;
    return (uint16_t)full;
}

uint8_t fpu_abridged_tag(uint16_t full)
{
    unsigned tag = 0;

    for (unsigned n = 0; n < 8; n++)
        if ((full >> 2 * n & 3) != 3)
            tag |= 1u << n;
    return (uint8_t)tag;
}

/* Linear forms of the pointers, 20 bits in the 16-bit real layout and 32 in the 32-bit one. */
static uint32_t real_pointer(uint16_t selector, uint64_t offset)
{
    return (uint32_t)offset + ((uint32_t)selector << 4);
}

unsigned fpu_store_env(const struct cpu_state *s, uint8_t *image, bool wide, enum fpu_layout layout)
{
    uint32_t fip = real_pointer(s->fcs, s->fip), fdp = real_pointer(s->fds, s->fdp);

    if (!wide) {
        put16(image, s->fcw);
        put16(image + 2, s->fsw);
        put16(image + 4, fpu_full_tag(s));
        if (layout == FPU_PROTECTED) {
            put16(image + 6, (uint16_t)s->fip);
            put16(image + 8, s->fcs);
            put16(image + 10, (uint16_t)s->fdp);
            put16(image + 12, s->fds);
        } else {
            put16(image + 6, (uint16_t)fip);
            put16(image + 8, (uint16_t)((fip >> 4 & 0xf000) | (s->fop & 0x7ff)));
            put16(image + 10, (uint16_t)fdp);
            put16(image + 12, (uint16_t)(fdp >> 4 & 0xf000));
        }
        return 14;
    }
    /* The upper halves of the 16-bit fields are stored as ones. */
    put32(image, 0xffff0000u | s->fcw);
    put32(image + 4, 0xffff0000u | s->fsw);
    put32(image + 8, 0xffff0000u | fpu_full_tag(s));
    if (layout == FPU_PROTECTED) {
        put32(image + 12, (uint32_t)s->fip);
        put32(image + 16, (uint32_t)(s->fop & 0x7ff) << 16 | s->fcs);
        put32(image + 20, (uint32_t)s->fdp);
        put32(image + 24, 0xffff0000u | s->fds);
    } else {
        put32(image + 12, 0xffff0000u | (fip & 0xffff));
        put32(image + 16, (fip >> 16) << 12 | (s->fop & 0x7ff));
        put32(image + 20, 0xffff0000u | (fdp & 0xffff));
        put32(image + 24, (fdp >> 16) << 12);
    }
    return 28;
}

static void load_words(struct cpu_state *s, uint16_t fcw, uint16_t fsw, uint16_t tag)
{
    s->fcw = (uint16_t)((fcw & FCW_WRITABLE) | FCW_RESERVED_ONE);
    s->fsw = fsw;
    s->fptag = fpu_abridged_tag(tag);
    fpu_update_summary(s);
}

void fpu_load_env(struct cpu_state *s, const uint8_t *image, bool wide, enum fpu_layout layout)
{
    unsigned step = wide ? 4 : 2;
    const uint8_t *p = image + 3 * step; /* the pointers */

    load_words(s, get_u16(image), get_u16(image + step), get_u16(image + 2 * step));
    if (layout == FPU_PROTECTED) {
        s->fip = wide ? get_u32(p) : get_u16(p);
        s->fcs = get_u16(p + step);
        if (wide)
            s->fop = get_u16(p + 6) & 0x7ff;
        s->fdp = wide ? get_u32(p + 8) : get_u16(p + 4);
        s->fds = get_u16(p + 3 * step);
        return;
    }
    /* Real layouts hold linear addresses; the selectors count as zero. */
    s->fcs = s->fds = 0;
    s->fop = get_u16(p + step) & 0x7ff;
    if (wide) {
        s->fip = get_u16(p) | (get_u32(p + 4) >> 12 & 0xffff) << 16;
        s->fdp = get_u16(p + 8) | (get_u32(p + 12) >> 12 & 0xffff) << 16;
    } else {
        s->fip = get_u16(p) | (uint32_t)(get_u16(p + 2) & 0xf000) << 4;
        s->fdp = get_u16(p + 4) | (uint32_t)(get_u16(p + 6) & 0xf000) << 4;
    }
}

void fpu_store_registers(const struct cpu_state *s, uint8_t *image)
{
    for (unsigned n = 0; n < 8; n++) {
        const struct f80 *r = &s->st[(fpu_top(s) + n) & 7];

        put64(image + 10 * n, r->mantissa);
        put16(image + 10 * n + 8, r->exponent);
    }
}

void fpu_load_registers(struct cpu_state *s, const uint8_t *image)
{
    for (unsigned n = 0; n < 8; n++) {
        struct f80 *r = &s->st[(fpu_top(s) + n) & 7];

        r->mantissa = get_u64(image + 10 * n);
        r->exponent = get_u16(image + 10 * n + 8);
    }
}

void fpu_store_x87(const struct cpu_state *s, uint8_t *image, bool rexw)
{
    put16(image, s->fcw);
    put16(image + 2, s->fsw);
    put16(image + 4, s->fptag);
    put16(image + 6, s->fop & 0x7ff);
    if (rexw) {
        put64(image + 8, s->fip);
        put64(image + 16, s->fdp);
    } else {
        put32(image + 8, (uint32_t)s->fip);
        put32(image + 12, s->fcs);
        put32(image + 16, (uint32_t)s->fdp);
        put32(image + 20, s->fds);
    }
    for (unsigned n = 0; n < 8; n++) {
        const struct f80 *r = &s->st[(fpu_top(s) + n) & 7];

        put64(image + 32 + 16 * n, r->mantissa);
        put64(image + 40 + 16 * n, r->exponent);
    }
}

void fpu_fxsave(const struct cpu_state *s, uint8_t *image, bool rexw, unsigned xmm_count)
{
    fpu_store_x87(s, image, rexw);
    put32(image + 24, s->mxcsr);
    put32(image + 28, MXCSR_WRITABLE);
    for (unsigned n = 0; n < xmm_count; n++)
        memcpy(image + 160 + 16 * n, s->zmm[n].u8, 16);
}

/* The pointers have 57 bits and a sign, on AMD's processors. */
static uint64_t pointer57(uint64_t v)
{
    return (uint64_t)((int64_t)(v << 7) >> 7);
}

void fpu_load_x87(struct cpu_state *s, const uint8_t *image, bool rexw)
{
    s->fcw = (uint16_t)((get_u16(image) & FCW_WRITABLE) | FCW_RESERVED_ONE);
    s->fsw = get_u16(image + 2);
    fpu_update_summary(s);
    s->fptag = image[4];
    s->fop = get_u16(image + 6) & 0x7ff;
    if (rexw) {
        s->fip = pointer57(get_u64(image + 8));
        s->fdp = pointer57(get_u64(image + 16));
    } else {
        s->fip = get_u32(image + 8);
        s->fcs = get_u16(image + 12);
        s->fdp = get_u32(image + 16);
        s->fds = get_u16(image + 20);
    }
    for (unsigned n = 0; n < 8; n++) {
        struct f80 *r = &s->st[(fpu_top(s) + n) & 7];

        r->mantissa = get_u64(image + 32 + 16 * n);
        r->exponent = get_u16(image + 40 + 16 * n);
    }
}

void fpu_fxrstor(struct cpu_state *s, const uint8_t *image, bool rexw, unsigned xmm_count)
{
    fpu_load_x87(s, image, rexw);
    s->mxcsr = get_u32(image + 24) & MXCSR_WRITABLE;
    for (unsigned n = 0; n < xmm_count; n++)
        memcpy(s->zmm[n].u8, image + 160 + 16 * n, 16);
}

/*
 * A pending x87 exception. With CR0.NE it is #MF. Without, a PC's FERR# would raise IRQ 13 and a handler
 * write port F0, which asserts IGNNE#; no chip here listens to FERR#, so IGNNE# counts as asserted and the
 * instruction goes on.
 */
static void pending_exception(struct cpu *cpu, const struct insn *i)
{
    if ((cpu->s.fsw & FSW_ES) && (cpu->s.cr0 & CR0_NE))
        fault0(cpu, i, EX_MF);
}

void sse_unavailable(struct cpu *cpu, const struct insn *i)
{
    if ((cpu->s.cr0 & CR0_EM) || !(cpu->s.cr4 & CR4_OSFXSR))
        ud(cpu, i);
    fault0(cpu, i, EX_NM);
}

void avx_unavailable(struct cpu *cpu, const struct insn *i)
{
    if (!(cpu->s.cr4 & CR4_OSXSAVE) || (~cpu->s.xcr0 & (XCR0_SSE | XCR0_AVX)))
        ud(cpu, i);
    fault0(cpu, i, EX_NM);
}

void x87_unavailable(struct cpu *cpu, const struct insn *i)
{
    if (cpu->s.cr0 & (CR0_EM | CR0_TS))
        fault0(cpu, i, EX_NM);
    pending_exception(cpu, i);
}

void mmx_unavailable(struct cpu *cpu, const struct insn *i)
{
    if (cpu->s.cr0 & CR0_EM)
        ud(cpu, i);
    if (cpu->s.cr0 & CR0_TS)
        fault0(cpu, i, EX_NM);
    pending_exception(cpu, i);
}
