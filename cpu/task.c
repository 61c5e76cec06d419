/*
 * task.c - the task-state segment: hardware task switches, stacks of inner rings, the I/O permission and
 * interrupt redirection bitmaps (SDM 3A chapter 8).
 *
 * A switch has two halves. Until the new TSS is read and the old one written nothing of the processor has
 * changed, and faults belong to the old task. Then all registers are the new task's, selectors without
 * descriptors first, and faults while its segments are loaded are raised in the new task at its first
 * instruction (SDM 3A 8.3).
 */
#include "cpu/protect.h"
#include "cpu/stop.h"

/* Offsets in a TSS: 32-bit, 16-bit. */
#define TSS32_CR3   0x1c
#define TSS32_EIP   0x20
#define TSS32_GPR   0x28
#define TSS32_SEG   0x48
#define TSS32_LDT   0x60
#define TSS32_TRAP  0x64
#define TSS32_IOMAP 0x66
#define TSS32_LIMIT 0x67
#define TSS16_IP    0x0e
#define TSS16_GPR   0x12
#define TSS16_SEG   0x22
#define TSS16_LDT   0x2a
#define TSS16_LIMIT 0x2b

struct task_image {
    uint64_t cr3, rip, rflags;
    uint32_t gpr[8];
    uint16_t seg[SEG_COUNT], ldt;
    bool trap;
};

static bool is_tss32(const struct segment *tss)
{
    return tss->attr & 8;
}

static uint32_t tss_get(struct cpu *cpu, const struct insn *i, const struct segment *tss, unsigned offset,
                        unsigned size)
{
    return (uint32_t)super_read(cpu, i, table_linear(cpu, tss->base + offset), size);
}

static void tss_put(struct cpu *cpu, const struct insn *i, const struct segment *tss, unsigned offset,
                    uint32_t value, unsigned size)
{
    super_write(cpu, i, table_linear(cpu, tss->base + offset), value, size);
}

static void read_image(struct cpu *cpu, const struct insn *i, const struct segment *tss,
                       struct task_image *image)
{
    bool wide = is_tss32(tss);
    unsigned size = wide ? 4 : 2, segments = wide ? 6 : 4;

    memset(image, 0, sizeof(*image));
    image->rip = tss_get(cpu, i, tss, wide ? TSS32_EIP : TSS16_IP, size);
    image->rflags = tss_get(cpu, i, tss, (wide ? TSS32_EIP : TSS16_IP) + size, size);
    for (unsigned n = 0; n < 8; n++)
        image->gpr[n] = tss_get(cpu, i, tss, (wide ? TSS32_GPR : TSS16_GPR) + n * size, size);
    for (unsigned n = 0; n < segments; n++)
        image->seg[n] = (uint16_t)tss_get(cpu, i, tss, (wide ? TSS32_SEG : TSS16_SEG) + n * size, 2);
    image->ldt = (uint16_t)tss_get(cpu, i, tss, wide ? TSS32_LDT : TSS16_LDT, 2);
    if (wide) {
        image->cr3 = tss_get(cpu, i, tss, TSS32_CR3, 4);
        image->trap = tss_get(cpu, i, tss, TSS32_TRAP, 2) & 1;
    }
}

/* The outgoing task's dynamic fields; CR3, LDT and the stacks of inner rings are never written. */
static void write_image(struct cpu *cpu, const struct insn *i, const struct segment *tss, uint64_t next,
                        uint64_t rflags)
{
    bool wide = is_tss32(tss);
    unsigned size = wide ? 4 : 2, segments = wide ? 6 : 4;

    tss_put(cpu, i, tss, wide ? TSS32_EIP : TSS16_IP, (uint32_t)next, size);
    tss_put(cpu, i, tss, (wide ? TSS32_EIP : TSS16_IP) + size, (uint32_t)rflags, size);
    for (unsigned n = 0; n < 8; n++)
        tss_put(cpu, i, tss, (wide ? TSS32_GPR : TSS16_GPR) + n * size, (uint32_t)cpu->s.gpr[n], size);
    for (unsigned n = 0; n < segments; n++)
        tss_put(cpu, i, tss, (wide ? TSS32_SEG : TSS16_SEG) + n * size, cpu->s.seg[n].selector, 2);
}

/* --- The new task's segments; faults are its own ------------------------------------------------- */

static _Noreturn void bad_selector(struct cpu *cpu, uint16_t selector)
{
    fault(cpu, NULL, EX_TS, selector_error(selector));
}

static void task_ldt(struct cpu *cpu, uint16_t selector)
{
    uint64_t d;

    if (null_selector(selector))
        return;
    if (selector & SELECTOR_TI)
        bad_selector(cpu, selector);
    d = read_descriptor(cpu, NULL, selector, EX_TS);
    if (desc_type(d) != SYS_LDT || !desc_present(d))
        bad_selector(cpu, selector);
    unpack_descriptor(&cpu->s.ldtr, selector, d);
}

static void task_cs(struct cpu *cpu, uint16_t selector)
{
    unsigned cpl = selector & 3u;
    uint64_t d;

    if (null_selector(selector))
        bad_selector(cpu, selector);
    d = read_descriptor(cpu, NULL, selector, EX_TS);
    if (!is_code(d) || (is_conforming(d) ? desc_dpl(d) > cpl : desc_dpl(d) != cpl))
        bad_selector(cpu, selector);
    if (!desc_present(d))
        fault(cpu, NULL, EX_NP, selector_error(selector));
    set_accessed(cpu, NULL, selector, &d);
    commit_cs(cpu, selector, d, cpl);
}

static void task_ss(struct cpu *cpu, uint16_t selector)
{
    unsigned cpl = cpu->s.cpl;
    uint64_t d;

    if (null_selector(selector))
        bad_selector(cpu, selector);
    d = read_descriptor(cpu, NULL, selector, EX_TS);
    if ((selector & 3u) != cpl || desc_dpl(d) != cpl || !is_writable_data(d))
        bad_selector(cpu, selector);
    if (!desc_present(d))
        fault(cpu, NULL, EX_SS, selector_error(selector));
    set_accessed(cpu, NULL, selector, &d);
    unpack_descriptor(&cpu->s.seg[SS], selector, d);
}

static void task_data(struct cpu *cpu, unsigned seg, uint16_t selector)
{
    unsigned privilege = cpu->s.cpl;
    uint64_t d;

    if (null_selector(selector))
        return;
    if (privilege < (selector & 3u))
        privilege = selector & 3;
    d = read_descriptor(cpu, NULL, selector, EX_TS);
    if (!(desc_type(d) & SEG_S) || (is_code(d) && !(desc_attr(d) & SEG_READABLE)) ||
        (!(is_code(d) && is_conforming(d)) && privilege > desc_dpl(d)))
        bad_selector(cpu, selector);
    if (!desc_present(d))
        fault(cpu, NULL, EX_NP, selector_error(selector));
    set_accessed(cpu, NULL, selector, &d);
    unpack_descriptor(&cpu->s.seg[seg], selector, d);
}

static void load_task_segments(struct cpu *cpu, const struct task_image *image)
{
    static const uint8_t data[] = {DS, ES, FS, GS};

    task_ldt(cpu, image->ldt);
    if (vm86_mode(cpu)) {
        for (unsigned n = 0; n < SEG_COUNT; n++)
            load_segment_real(cpu, n, image->seg[n]);
        set_cpl(cpu, 3);
        return;
    }
    task_cs(cpu, image->seg[CS]);
    task_ss(cpu, image->seg[SS]);
    update_mode(cpu);
    for (unsigned n = 0; n < sizeof(data); n++)
        task_data(cpu, data[n], image->seg[data[n]]);
}

/* --- The switch ---------------------------------------------------------------------------------- */

static void load_cr3(struct cpu *cpu, uint64_t cr3)
{
    if (!(cpu->s.cr0 & CR0_PG))
        return;
    if (cpu->s.cr4 & CR4_PAE && !load_pdptes(cpu, cr3))
        gp0(cpu, NULL);
    if (unlikely(cpu->stops))
        stop_event(cpu, NULL, CPU_STOP_CR3, &(struct stop_event){.address = cr3, .size = UINT64_MAX});
    cpu->s.cr3 = cr3;
    tlb_new_cr3(cpu, false);
}

/* The registers become the new task's; segment caches are empty until load_task_segments(). */
static void commit_task(struct cpu *cpu, const struct task_image *image, bool wide)
{
    struct cpu_state *s = &cpu->s;

    for (unsigned n = 0; n < 8; n++)
        gpr_set(cpu, n, wide ? SIZE_D : SIZE_W, image->gpr[n]);
    for (unsigned n = 0; n < SEG_COUNT; n++)
        null_segment(&s->seg[n], image->seg[n]);
    null_segment(&s->ldtr, image->ldt);
    put_rflags(cpu, image->rflags);
    s->cpl = image->rflags & FLAG_VM ? 3 : image->seg[CS] & 3;
    s->seg[SS].attr |= (uint32_t)s->cpl << SEG_DPL_SHIFT;
    s->cr0 |= CR0_TS;
    s->dr[7] &= ~0x155ull; /* L0-L3 and LE are the task's own */
    s->rip = image->rip;
    update_mode(cpu);
}

void task_switch(struct cpu *cpu, const struct insn *i, uint16_t selector, uint64_t descriptor,
                 enum task_reason reason, uint64_t next, bool has_error, uint32_t error)
{
    struct cpu_state *s = &cpu->s;
    bool nests = reason == TASK_CALL || reason == TASK_GATE, wide;
    uint64_t rflags = get_rflags(cpu);
    uint16_t old_selector = s->tr.selector;
    struct task_image image;
    struct segment tss;

    unpack_descriptor(&tss, selector, descriptor);
    wide = is_tss32(&tss);
    if (tss.limit < (wide ? TSS32_LIMIT : TSS16_LIMIT))
        fault(cpu, i, EX_TS, selector_error(selector));
    if (s->tr.limit < (is_tss32(&s->tr) ? TSS32_LIMIT : TSS16_LIMIT))
        fault(cpu, i, EX_TS, selector_error(old_selector));
    read_image(cpu, i, &tss, &image);

    if (reason == TASK_IRET)
        rflags &= ~(uint64_t)FLAG_NT;
    write_image(cpu, i, &s->tr, next, rflags);
    if (nests) {
        tss_put(cpu, i, &tss, 0, old_selector, 2);
        image.rflags |= FLAG_NT;
    } else {
        uint64_t old = read_descriptor(cpu, i, old_selector, EX_TS);
        set_tss_busy(cpu, i, old_selector, &old, false);
    }
    set_tss_busy(cpu, i, selector, &descriptor, true);

    tss.attr = desc_attr(descriptor);
    s->tr = tss;
    commit_task(cpu, &image, wide);
    if (wide)
        load_cr3(cpu, image.cr3);
    load_task_segments(cpu, &image);
    if (image.trap) /* T: #DB before the first instruction */
        s->pending_debug |= 1u << 15;
    if (has_error)
        push(cpu, NULL, wide ? SIZE_D : SIZE_W, error);
    if (s->rip > s->seg[CS].limit)
        gp0(cpu, NULL);
}

/* --- Other uses of the TSS ----------------------------------------------------------------------- */

static _Noreturn void tss_too_short(struct cpu *cpu, const struct insn *i)
{
    fault(cpu, i, EX_TS, selector_error(cpu->s.tr.selector));
}

void tss_stack(struct cpu *cpu, const struct insn *i, unsigned dpl, uint16_t *ss, uint64_t *sp)
{
    const struct segment *tr = &cpu->s.tr;

    if (long_mode(cpu)) {
        if (4 + dpl * 8 + 7 > tr->limit)
            tss_too_short(cpu, i);
        *ss = (uint16_t)dpl;
        *sp = super_read64(cpu, i, tr->base + 4 + dpl * 8);
    } else if (is_tss32(tr)) {
        if (4 + dpl * 8 + 5 > tr->limit)
            tss_too_short(cpu, i);
        *sp = tss_get(cpu, i, tr, 4 + dpl * 8, 4);
        *ss = (uint16_t)tss_get(cpu, i, tr, 8 + dpl * 8, 2);
    } else {
        if (2 + dpl * 4 + 3 > tr->limit)
            tss_too_short(cpu, i);
        *sp = tss_get(cpu, i, tr, 2 + dpl * 4, 2);
        *ss = (uint16_t)tss_get(cpu, i, tr, 4 + dpl * 4, 2);
    }
}

uint64_t tss_ist(struct cpu *cpu, const struct insn *i, unsigned ist)
{
    const struct segment *tr = &cpu->s.tr;

    if (28 + ist * 8 + 7 > tr->limit)
        tss_too_short(cpu, i);
    return super_read64(cpu, i, tr->base + 28 + ist * 8);
}

/* The I/O map's offset in the TSS; #GP(0) when there can be none. */
static uint32_t io_map(struct cpu *cpu, const struct insn *i)
{
    const struct segment *tr = &cpu->s.tr;

    if (tr->attr & SEG_UNUSABLE || !is_tss32(tr) || tr->limit < TSS32_LIMIT)
        gp0(cpu, i);
    return tss_get(cpu, i, tr, TSS32_IOMAP, 2);
}

void check_io(struct cpu *cpu, const struct insn *i, uint16_t port, unsigned size)
{
    uint32_t at = io_map(cpu, i) + port / 8, bits;

    /* Always two bytes, which is why the map ends in a byte of ones (SDM 1 19.5.2). */
    if (at + 1 > cpu->s.tr.limit)
        gp0(cpu, i);
    bits = tss_get(cpu, i, &cpu->s.tr, at, 2);
    if (bits >> (port & 7) & ((1u << size) - 1))
        gp0(cpu, i);
}

bool interrupt_redirected(struct cpu *cpu, const struct insn *i, unsigned vector)
{
    uint32_t map = io_map(cpu, i);
    uint32_t at = map - 32 + vector / 8;

    if (map < 32 || at > cpu->s.tr.limit)
        gp0(cpu, i);
    return tss_get(cpu, i, &cpu->s.tr, at, 1) >> (vector & 7) & 1;
}
