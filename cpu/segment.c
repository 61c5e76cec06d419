/*
 * segment.c - segment registers, descriptors, and what follows from them (SDM 3A chapters 3 and 5).
 *
 * All checks come before the first change; the accessed bit is written to the table only when it is clear.
 * The table accesses are the processor's own (super_read, super_write) whatever the CPL.
 */
#include "cpu/protect.h"

/* --- Descriptors --------------------------------------------------------------------------------- */

/* Where the descriptor lies; false when `size` bytes of it are not inside its table. */
static bool descriptor_address(const struct cpu *cpu, uint16_t selector, unsigned size, uint64_t *linear)
{
    uint32_t offset = selector & 0xfff8, limit = cpu->s.gdtr.limit;
    uint64_t base = cpu->s.gdtr.base;

    if (selector & SELECTOR_TI) {
        if (cpu->s.ldtr.attr & SEG_UNUSABLE)
            return false;
        base = cpu->s.ldtr.base;
        limit = cpu->s.ldtr.limit;
    }
    *linear = table_linear(cpu, base + offset);
    return offset + size - 1 <= limit;
}

uint64_t read_descriptor(struct cpu *cpu, const struct insn *i, uint16_t selector, int vector)
{
    uint64_t linear;

    if (!descriptor_address(cpu, selector, 8, &linear))
        fault(cpu, i, vector, selector_error(selector));
    return super_read64(cpu, i, linear);
}

/* Bits 12:8 of the last dword are where a type would be; long mode wants them zero (SDM 3A 5.8.3.1). */
static bool high_half_valid(uint64_t high)
{
    return !(high >> 40 & 0x1f);
}

uint64_t read_descriptor_high(struct cpu *cpu, const struct insn *i, uint16_t selector)
{
    uint64_t linear, high;

    if (!descriptor_address(cpu, selector, 16, &linear))
        fault(cpu, i, EX_GP, selector_error(selector));
    high = super_read64(cpu, i, linear + 8);
    if (!high_half_valid(high))
        fault(cpu, i, EX_GP, selector_error(selector));
    return high;
}

bool probe_descriptor_high(struct cpu *cpu, const struct insn *i, uint16_t selector)
{
    uint64_t linear;

    return descriptor_address(cpu, selector, 16, &linear) &&
           high_half_valid(super_read64(cpu, i, linear + 8));
}

/* Writes the byte that holds the type. */
static void write_type(struct cpu *cpu, const struct insn *i, uint16_t selector, uint64_t descriptor)
{
    uint64_t linear;

    if (descriptor_address(cpu, selector, 8, &linear))
        super_write(cpu, i, table_linear(cpu, linear + 5), descriptor >> 40 & 0xff, 1);
}

void set_accessed(struct cpu *cpu, const struct insn *i, uint16_t selector, uint64_t *descriptor)
{
    if (likely(*descriptor >> 40 & SEG_ACCESSED))
        return;
    *descriptor |= (uint64_t)SEG_ACCESSED << 40;
    write_type(cpu, i, selector, *descriptor);
}

void set_tss_busy(struct cpu *cpu, const struct insn *i, uint16_t selector, uint64_t *descriptor, bool busy)
{
    *descriptor &= ~((uint64_t)SYS_TSS_BUSY << 40);
    if (busy)
        *descriptor |= (uint64_t)SYS_TSS_BUSY << 40;
    write_type(cpu, i, selector, *descriptor);
}

void unpack_descriptor(struct segment *segment, uint16_t selector, uint64_t descriptor)
{
    segment->selector = selector;
    segment->base = desc_base(descriptor);
    segment->limit = desc_limit(descriptor);
    segment->attr = desc_attr(descriptor);
}

bool probe_descriptor(struct cpu *cpu, const struct insn *i, uint16_t selector, uint64_t *descriptor)
{
    uint64_t linear, d;
    unsigned dpl;

    if (null_selector(selector) || !descriptor_address(cpu, selector, 8, &linear))
        return false;
    d = super_read64(cpu, i, linear);
    dpl = desc_dpl(d);
    if (!(is_code(d) && is_conforming(d)) && (dpl < cpu->s.cpl || dpl < (selector & 3u)))
        return false;
    *descriptor = d;
    return true;
}

/* --- Checks of accesses -------------------------------------------------------------------------- */

bool within_limit(const struct segment *segment, uint64_t offset, unsigned size)
{
    uint64_t last = offset + size - 1;

    if ((segment->attr & (SEG_CODE | SEG_EXPDOWN)) == SEG_EXPDOWN)
        return offset > segment->limit && last <= (segment->attr & SEG_DB ? UINT32_MAX : UINT16_MAX);
    return last <= segment->limit;
}

void segment_check(struct cpu *cpu, const struct insn *i, unsigned seg, uint64_t offset, unsigned size,
                   enum access access)
{
    const struct segment *s = &cpu->s.seg[seg];
    uint32_t attr = s->attr;
    bool ok = !(attr & SEG_UNUSABLE) && within_limit(s, offset, size);

    /* Real and virtual-8086 mode look at the limit alone: CS is writable there. */
    if (ok && !real_mode(cpu) && !vm86_mode(cpu)) {
        if (access == ACCESS_WRITE)
            ok = (attr & (SEG_CODE | SEG_WRITABLE)) == SEG_WRITABLE;
        else if (access == ACCESS_READ)
            ok = (attr & (SEG_CODE | SEG_READABLE)) != SEG_CODE;
    }
    if (!ok)
        fault(cpu, i, seg == SS ? EX_SS : EX_GP, 0);
}

void alignment_fault(struct cpu *cpu, const struct insn *i, unsigned seg, uint64_t linear, unsigned size)
{
    if (long_mode(cpu) && !(canonical(cpu, linear) && canonical(cpu, linear + size - 1)))
        fault(cpu, i, seg == SS ? EX_SS : EX_GP, 0);
    fault(cpu, i, EX_AC, 0);
}

/* --- Loading segment registers ------------------------------------------------------------------- */

void load_segment_real(struct cpu *cpu, unsigned seg, uint16_t selector)
{
    struct segment *s = &cpu->s.seg[seg];

    s->selector = selector;
    s->base = (uint64_t)selector << 4;
    if (vm86_mode(cpu)) {
        s->limit = 0xffff;
        s->attr = SEG_P | SEG_DPL | SEG_S | SEG_WRITABLE | SEG_ACCESSED;
        return;
    }
    /* The limit and D/B stay as protected mode left them: "unreal" mode lives on it. A null segment has none.
     */
    if (s->attr & SEG_UNUSABLE) {
        s->limit = 0xffff;
        s->attr = 0;
    }
    s->attr = (s->attr & (SEG_G | SEG_DB)) | SEG_P | SEG_S | SEG_WRITABLE | SEG_ACCESSED;
}

void null_segment(struct segment *segment, uint16_t selector)
{
    *segment = (struct segment){.selector = selector, .attr = SEG_UNUSABLE};
}

void null_stack_segment(struct segment *segment, unsigned cpl)
{
    null_segment(segment, (uint16_t)cpl);
    segment->attr |= cpl << SEG_DPL_SHIFT;
}

static void load_stack_segment(struct cpu *cpu, const struct insn *i, uint16_t selector)
{
    struct segment *ss = &cpu->s.seg[SS];
    unsigned cpl = cpu->s.cpl;
    uint64_t d;

    if (null_selector(selector)) {
        /* Only 64-bit code inside ring 3 can do without a stack segment. */
        if (!cpu->long64 || cpl == 3 || (selector & 3u) != cpl)
            gp0(cpu, i);
        null_stack_segment(ss, cpl);
    } else {
        d = read_descriptor(cpu, i, selector, EX_GP);
        if ((selector & 3u) != cpl || !is_writable_data(d) || desc_dpl(d) != cpl)
            fault(cpu, i, EX_GP, selector_error(selector));
        if (!desc_present(d))
            fault(cpu, i, EX_SS, selector_error(selector));
        set_accessed(cpu, i, selector, &d);
        unpack_descriptor(ss, selector, d);
    }
    update_mode(cpu);
}

void load_segment(struct cpu *cpu, const struct insn *i, unsigned seg, uint16_t selector)
{
    unsigned privilege = cpu->s.cpl;
    uint64_t d;

    if (real_mode(cpu) || vm86_mode(cpu)) {
        load_segment_real(cpu, seg, selector);
        return;
    }
    if (seg == SS) {
        load_stack_segment(cpu, i, selector);
        return;
    }
    if (null_selector(selector)) {
        null_segment(&cpu->s.seg[seg], selector);
        return;
    }
    if (privilege < (selector & 3u))
        privilege = selector & 3;
    d = read_descriptor(cpu, i, selector, EX_GP);
    if (!(desc_type(d) & SEG_S) || (is_code(d) && !(desc_attr(d) & SEG_READABLE)) ||
        (!(is_code(d) && is_conforming(d)) && privilege > desc_dpl(d)))
        fault(cpu, i, EX_GP, selector_error(selector));
    if (!desc_present(d))
        fault(cpu, i, EX_NP, selector_error(selector));
    set_accessed(cpu, i, selector, &d);
    unpack_descriptor(&cpu->s.seg[seg], selector, d);
}

void commit_cs(struct cpu *cpu, uint16_t selector, uint64_t descriptor, unsigned cpl)
{
    unpack_descriptor(&cpu->s.seg[CS], (uint16_t)((selector & 0xfffc) | cpl), descriptor);
    cpu->s.cpl = (uint8_t)cpl;
}

void drop_inner_segments(struct cpu *cpu)
{
    static const uint8_t data[] = {ES, DS, FS, GS};

    for (unsigned n = 0; n < sizeof(data); n++) {
        struct segment *s = &cpu->s.seg[data[n]];

        if (null_selector(s->selector)) {
            s->selector = 0; /* its RPL goes, its base (of FS and GS in 64-bit mode) stays */
            continue;
        }
        if (s->attr & SEG_UNUSABLE || (s->attr & (SEG_CODE | SEG_CONFORMING)) == (SEG_CODE | SEG_CONFORMING))
            continue;
        /* Their bases stay, as 64-bit code sees in FS and GS. */
        if ((s->attr & SEG_DPL) >> SEG_DPL_SHIFT < cpu->s.cpl)
            *s = (struct segment){.base = s->base, .attr = SEG_UNUSABLE};
    }
}

/* --- LDTR and TR --------------------------------------------------------------------------------- */

/* A system segment's register; long mode's descriptors are 16 bytes and have a 64-bit base. */
static void unpack_system(struct cpu *cpu, const struct insn *i, struct segment *segment, uint16_t selector,
                          uint64_t descriptor)
{
    struct segment s;

    unpack_descriptor(&s, selector, descriptor);
    if (long_mode(cpu)) {
        s.base |= read_descriptor_high(cpu, i, selector) << 32;
        if (!canonical_value(cpu, s.base))
            fault(cpu, i, EX_GP, selector_error(selector));
    }
    *segment = s;
}

void load_ldtr(struct cpu *cpu, const struct insn *i, uint16_t selector)
{
    uint64_t d;

    if (null_selector(selector)) {
        null_segment(&cpu->s.ldtr, selector);
        return;
    }
    if (selector & SELECTOR_TI)
        fault(cpu, i, EX_GP, selector_error(selector));
    d = read_descriptor(cpu, i, selector, EX_GP);
    if (desc_type(d) != SYS_LDT)
        fault(cpu, i, EX_GP, selector_error(selector));
    if (!desc_present(d))
        fault(cpu, i, EX_NP, selector_error(selector));
    unpack_system(cpu, i, &cpu->s.ldtr, selector, d);
}

void load_tr(struct cpu *cpu, const struct insn *i, uint16_t selector)
{
    struct segment tr;
    uint64_t d;

    if (null_selector(selector))
        gp0(cpu, i);
    if (selector & SELECTOR_TI)
        fault(cpu, i, EX_GP, selector_error(selector));
    d = read_descriptor(cpu, i, selector, EX_GP);
    if (desc_type(d) != SYS_TSS32 && (desc_type(d) != SYS_TSS16 || long_mode(cpu)))
        fault(cpu, i, EX_GP, selector_error(selector));
    if (!desc_present(d))
        fault(cpu, i, EX_NP, selector_error(selector));
    unpack_system(cpu, i, &tr, selector, d);
    set_tss_busy(cpu, i, selector, &d, true);
    tr.attr = desc_attr(d);
    cpu->s.tr = tr;
}

/* --- The mode ------------------------------------------------------------------------------------ */

void update_mode(struct cpu *cpu)
{
    const struct cpu_state *s = &cpu->s;
    const struct segment *cs = &s->seg[CS];
    bool long64 = long_mode(cpu) && cs->attr & SEG_L;
    uint64_t base = long64 ? 0 : cs->base;
    uint32_t limit = long64 ? UINT32_MAX : cs->limit;
    uint32_t mode = SIZE_Q;
    unsigned tlb;

    if (!long64)
        mode = (cs->attr & SEG_DB ? SIZE_D : SIZE_W) | (s->seg[SS].attr & SEG_DB ? MODE_SS32 : 0) |
               (real_mode(cpu) || vm86_mode(cpu) ? MODE_REAL : 0);
    if (s->cpl == 3) {
        mode |= MODE_USER | (s->cr0 & CR0_AM && s->rflags & FLAG_AC ? MODE_AC : 0);
        tlb = TLB_USER;
    } else {
        /* Without SMAP both would hold the same: stay with the one that system accesses use. */
        tlb = s->rflags & FLAG_AC && s->cr4 & CR4_SMAP ? TLB_SUPER_AC : TLB_SUPER;
        mode |= tlb == TLB_SUPER_AC ? MODE_SMAP_AC : 0;
    }
    cpu->tlb = cpu->tlbs[tlb].entry;
    cpu->long64 = long64;
    if (mode != cpu->mode) {
        cpu->mode = mode;
        cpu->fetch_page = NO_PAGE;
    }
    /*
     * A link leads from a trace of one mode to a trace of the same. It goes stale only when this mode's code
     * segment isn't the one it was when the mode was last in use, so going to the kernel and back costs no
     * links.
     */
    if (unlikely(cpu->code_seen[mode].base != base || cpu->code_seen[mode].limit != limit)) {
        cpu->code_seen[mode].base = base;
        cpu->code_seen[mode].limit = limit;
        cpu->link_gen++;
        cpu->fetch_page = NO_PAGE;
    }
}

void set_cpl(struct cpu *cpu, unsigned cpl)
{
    cpu->s.cpl = (uint8_t)cpl;
    update_mode(cpu);
}

/* --- RFLAGS -------------------------------------------------------------------------------------- */

uint64_t get_rflags(struct cpu *cpu)
{
    return (cpu->s.rflags & ~(uint64_t)FLAGS_ARITH) | get_arith_flags(cpu) | FLAG_1;
}

void set_rflags(struct cpu *cpu, uint64_t value)
{
    uint64_t changed = cpu->s.rflags ^ value;

    put_rflags(cpu, value);
    if (changed & (FLAG_AC | FLAG_VM))
        update_mode(cpu);
}
