/*
 * far_bodies.c - bodies of the instructions that deal with segments, far transfers, interrupts and the flags
 * that protection guards.
 */
#include "cpu/history.h"
#include "cpu/interp/body.h"
#include "cpu/protect.h"
#include "cpu/stop.h"

/* AMD has no far pointers with 64-bit offsets: with REX.W they are 16:32 (but CALL then pushes 8-byte items).
 */
static inline unsigned pointer_size(const struct insn *i)
{
    return i->osize == SIZE_Q ? SIZE_D : i->osize;
}

/* The far pointer in memory: offset, then selector. */
static uint64_t read_pointer(struct cpu *cpu, const struct insn *i, uint16_t *selector)
{
    unsigned bytes = 1u << pointer_size(i);
    uint64_t at = ea(cpu, i), offset;
    uint64_t next = (at + bytes) & address_mask(i->asize);
    uint64_t linear = seg_linear(cpu, i, i->seg, at, bytes, ACCESS_READ);
    uint64_t linear2 = seg_linear(cpu, i, i->seg, next, 2, ACCESS_READ);

    offset = bytes == 4 ? ld32(cpu, i, i->seg, linear) : ld16(cpu, i, i->seg, linear);
    *selector = ld16(cpu, i, i->seg, linear2);
    return offset;
}

static inline uint16_t get_ew(struct cpu *cpu, const struct insn *i)
{
    return i->flags & INSN_MEM ? (uint16_t)mem_read(cpu, i, 2) : get16(cpu, i->rm);
}

/* A selector or a status word to Ev: memory gets 16 bits, a register the operand size. */
static void put_ew(struct cpu *cpu, const struct insn *i, uint16_t value)
{
    if (i->flags & INSN_MEM)
        mem_write(cpu, i, 2, value);
    else if (i->osize == SIZE_W)
        set16(cpu, i->rm, value);
    else
        set64(cpu, i->rm, value);
}

/* A result to Gv. */
static inline void put_gv(struct cpu *cpu, const struct insn *i, uint32_t value)
{
    if (i->osize == SIZE_W)
        set16(cpu, i->reg, (uint16_t)value);
    else
        set32(cpu, i->reg, value);
}

static inline void require_ring0(struct cpu *cpu, const struct insn *i)
{
    if (cpu->s.cpl != 0)
        gp0(cpu, i);
}

static inline void require_protected(struct cpu *cpu, const struct insn *i)
{
    if (real_mode(cpu) || vm86_mode(cpu))
        ud(cpu, i);
}

/* --- Far transfers ------------------------------------------------------------------------------- */

/* One of them is done: what else is told of it. */
static void transferred(struct cpu *cpu, enum cpu_past_kind kind, const struct cpu_place *from)
{
    struct cpu_place to = history_place(cpu, NULL);
    struct stop_event e = {
        .address = to.linear, .size = 1, .value = from->linear, .write = kind == CPU_PAST_SYSCALL};

    history_add(cpu, kind, from);
    if (unlikely(cpu->stops))
        stop_event(cpu, NULL, kind >= CPU_PAST_SYSCALL ? CPU_STOP_SYSCALL : CPU_STOP_FAR, &e);
}

BODY(jmp_far)
{
    struct cpu_place from = history_place(cpu, i);

    far_jump(cpu, i, (uint16_t)(i->imm >> 32), (uint32_t)i->imm);
    transferred(cpu, CPU_PAST_FAR, &from);
}

BODY(call_far)
{
    struct cpu_place from = history_place(cpu, i);

    far_call(cpu, i, (uint16_t)(i->imm >> 32), (uint32_t)i->imm, next_rip(cpu, i));
    transferred(cpu, CPU_PAST_FAR, &from);
}

BODY(jmp_far_mem)
{
    uint16_t selector;
    struct cpu_place from = history_place(cpu, i);
    uint64_t offset = read_pointer(cpu, i, &selector);

    far_jump(cpu, i, selector, offset);
    transferred(cpu, CPU_PAST_FAR, &from);
}

BODY(call_far_mem)
{
    uint16_t selector;
    struct cpu_place from = history_place(cpu, i);
    uint64_t offset = read_pointer(cpu, i, &selector);

    far_call(cpu, i, selector, offset, next_rip(cpu, i));
    transferred(cpu, CPU_PAST_FAR, &from);
}

BODY(ret_far)
{
    struct cpu_place from = history_place(cpu, i);

    far_return(cpu, i, 0);
    transferred(cpu, CPU_PAST_FAR, &from);
}

BODY(ret_far_n)
{
    struct cpu_place from = history_place(cpu, i);

    far_return(cpu, i, (uint16_t)i->imm);
    transferred(cpu, CPU_PAST_FAR, &from);
}

BODY(iret)
{
    struct cpu_place from = history_place(cpu, i);

    interrupt_return(cpu, i);
    transferred(cpu, CPU_PAST_IRET, &from);
}

BODY(int3)
{
    software_interrupt(cpu, i, EX_BP, next_rip(cpu, i), false);
}

BODY(int_n)
{
    software_interrupt_n(cpu, i, (uint8_t)i->imm, next_rip(cpu, i));
}

BODY(into)
{
    if (!get_of(cpu))
        LEAVE(next_rip(cpu, i));
    software_interrupt(cpu, i, EX_OF, next_rip(cpu, i), false);
}

BODY(int1)
{
    software_interrupt(cpu, i, EX_DB, next_rip(cpu, i), true);
}

BODY(syscall_)
{
    struct cpu_place from = history_place(cpu, i);

    fast_call(cpu, i, next_rip(cpu, i));
    transferred(cpu, CPU_PAST_SYSCALL, &from);
}

BODY(sysret)
{
    struct cpu_place from = history_place(cpu, i);

    fast_return(cpu, i);
    transferred(cpu, CPU_PAST_SYSRET, &from);
}

BODY(sysenter)
{
    struct cpu_place from = history_place(cpu, i);

    legacy_fast_call(cpu, i);
    transferred(cpu, CPU_PAST_SYSCALL, &from);
}

BODY(sysexit)
{
    struct cpu_place from = history_place(cpu, i);

    legacy_fast_return(cpu, i);
    transferred(cpu, CPU_PAST_SYSRET, &from);
}

/* --- Segment registers --------------------------------------------------------------------------- */

BODY(mov_from_seg)
{
    put_ew(cpu, i, cpu->s.seg[i->reg].selector);
    NEXT;
}

BODY(mov_to_seg)
{
    load_segment(cpu, i, i->reg, get_ew(cpu, i));
    NEXT;
}

BODY(mov_to_ss)
{
    load_segment(cpu, i, SS, get_ew(cpu, i));
    cpu->s.shadow |= 2; /* the next instruction is to load the stack pointer undisturbed (SDM 3A 6.8.3) */
    LEAVE(next_rip(cpu, i));
}

static inline void pop_segment(struct cpu *cpu, const struct insn *i, unsigned seg)
{
    unsigned width = stack_size(cpu);
    uint64_t sp = cpu->s.gpr[RSP], selector = stack_read(cpu, i, sp, i->osize);

    load_segment(cpu, i, seg, (uint16_t)selector);
    gpr_set(cpu, RSP, width, sp + (1u << i->osize)); /* in the old stack's width, should SS have changed it */
}

#define DEFINE_PUSH(name, n)                                                                                 \
    BODY(push_##name)                                                                                        \
    {                                                                                                        \
        push(cpu, i, i->osize, cpu->s.seg[n].selector);                                                      \
        NEXT;                                                                                                \
    }
#define DEFINE_POP(name, n)                                                                                  \
    BODY(pop_##name)                                                                                         \
    {                                                                                                        \
        pop_segment(cpu, i, n);                                                                              \
        NEXT;                                                                                                \
    }
#define DEFINE_LOAD_POINTER(name, n)                                                                         \
    BODY(l##name)                                                                                            \
    {                                                                                                        \
        load_pointer(cpu, i, n);                                                                             \
        NEXT;                                                                                                \
    }

static __attribute__((noinline)) void load_pointer(struct cpu *cpu, const struct insn *i, unsigned seg)
{
    uint16_t selector;
    uint64_t offset = read_pointer(cpu, i, &selector);

    load_segment(cpu, i, seg, selector);
    put_gv(cpu, i, (uint32_t)offset);
}

DEFINE_PUSH(es, ES)
DEFINE_PUSH(cs, CS)
DEFINE_PUSH(ss, SS)
DEFINE_PUSH(ds, DS)
DEFINE_PUSH(fs, FS)
DEFINE_PUSH(gs, GS)
DEFINE_POP(es, ES)
DEFINE_POP(ds, DS)
DEFINE_POP(fs, FS)
DEFINE_POP(gs, GS)
DEFINE_LOAD_POINTER(es, ES)
DEFINE_LOAD_POINTER(ds, DS)
DEFINE_LOAD_POINTER(fs, FS)
DEFINE_LOAD_POINTER(gs, GS)

BODY(pop_ss)
{
    pop_segment(cpu, i, SS);
    cpu->s.shadow |= 2;
    LEAVE(next_rip(cpu, i));
}

BODY(lss)
{
    load_pointer(cpu, i, SS); /* loads the stack pointer itself, so it needs no shadow */
    LEAVE(next_rip(cpu, i));
}

BODY(swapgs)
{
    uint64_t base = cpu->s.seg[GS].base;

    require_ring0(cpu, i);
    cpu->s.seg[GS].base = cpu->s.kernel_gs_base;
    cpu->s.kernel_gs_base = base;
    NEXT;
}

/* --- Descriptor tables' registers and probes ----------------------------------------------------- */

BODY(lldt)
{
    require_protected(cpu, i);
    require_ring0(cpu, i);
    load_ldtr(cpu, i, get_ew(cpu, i));
    NEXT;
}

BODY(ltr)
{
    require_protected(cpu, i);
    require_ring0(cpu, i);
    load_tr(cpu, i, get_ew(cpu, i));
    NEXT;
}

static inline void store_system(struct cpu *cpu, const struct insn *i, uint16_t selector)
{
    require_protected(cpu, i);
    if (cpu->s.cr4 & CR4_UMIP)
        require_ring0(cpu, i);
    put_ew(cpu, i, selector);
}

BODY(sldt)
{
    store_system(cpu, i, cpu->s.ldtr.selector);
    NEXT;
}

BODY(str)
{
    store_system(cpu, i, cpu->s.tr.selector);
    NEXT;
}

/* Segments, and of the system types those in `types`; long mode's LDTs, TSSs and call gates must be whole. */
static bool probe_types(struct cpu *cpu, const struct insn *i, uint32_t types, uint64_t *descriptor)
{
    uint16_t selector = get_ew(cpu, i);

    if (!probe_descriptor(cpu, i, selector, descriptor))
        return false;
    if (desc_type(*descriptor) & SEG_S)
        return true;
    if (!(types >> desc_type(*descriptor) & 1))
        return false;
    return !long_mode(cpu) || probe_descriptor_high(cpu, i, selector);
}

#define LAR_TYPES_LONG (1u << SYS_LDT | 1u << SYS_TSS32 | 1u << (SYS_TSS32 | SYS_TSS_BUSY) | 1u << SYS_CALL32)
#define LAR_TYPES                                                                                            \
    (LAR_TYPES_LONG | 1u << SYS_TSS16 | 1u << (SYS_TSS16 | SYS_TSS_BUSY) | 1u << SYS_CALL16 |                \
     1u << SYS_TASK_GATE)
#define LSL_TYPES_LONG (1u << SYS_LDT | 1u << SYS_TSS32 | 1u << (SYS_TSS32 | SYS_TSS_BUSY))
#define LSL_TYPES      (LSL_TYPES_LONG | 1u << SYS_TSS16 | 1u << (SYS_TSS16 | SYS_TSS_BUSY))

static __attribute__((noinline)) void load_rights(struct cpu *cpu, const struct insn *i)
{
    uint64_t d;
    bool visible;

    require_protected(cpu, i);
    visible = probe_types(cpu, i, long_mode(cpu) ? LAR_TYPES_LONG : LAR_TYPES, &d);
    if (visible)
        put_gv(cpu, i, d >> 32 & 0xffff00);
    set_zf(cpu, visible);
}

static __attribute__((noinline)) void load_limit(struct cpu *cpu, const struct insn *i)
{
    uint64_t d;
    bool visible;

    require_protected(cpu, i);
    visible = probe_types(cpu, i, long_mode(cpu) ? LSL_TYPES_LONG : LSL_TYPES, &d);
    if (visible)
        put_gv(cpu, i, desc_limit(d));
    set_zf(cpu, visible);
}

static __attribute__((noinline)) void verify(struct cpu *cpu, const struct insn *i, bool write)
{
    uint64_t d;
    bool ok;

    require_protected(cpu, i);
    ok = probe_types(cpu, i, 0, &d);
    if (ok)
        ok = write ? is_writable_data(d) : !is_code(d) || desc_attr(d) & SEG_READABLE;
    set_zf(cpu, ok);
}

BODY(lar)
{
    load_rights(cpu, i);
    NEXT;
}

BODY(lsl)
{
    load_limit(cpu, i);
    NEXT;
}

BODY(verr)
{
    verify(cpu, i, false);
    NEXT;
}

BODY(verw)
{
    verify(cpu, i, true);
    NEXT;
}

BODY(arpl)
{
    uint16_t selector, rpl = get16(cpu, i->reg) & 3;
    bool adjust;

    require_protected(cpu, i);
    selector = i->flags & INSN_MEM ? (uint16_t)mem_read(cpu, i, 2) : get16(cpu, i->rm);
    adjust = (selector & 3) < rpl;
    if (adjust) {
        selector = (uint16_t)((selector & 0xfffc) | rpl);
        if (i->flags & INSN_MEM)
            mem_write(cpu, i, 2, selector);
        else
            set16(cpu, i->rm, selector);
    }
    set_zf(cpu, adjust);
    NEXT;
}

/* --- Flags --------------------------------------------------------------------------------------- */

/* Which bit CLI and STI may change: IF, VIF under VME and PVI, or none (SDM 2, CLI, table 3-7). */
static inline uint64_t interrupt_flag(struct cpu *cpu, const struct insn *i)
{
    uint64_t cr4 = cpu->s.cr4;

    if (likely(cpu->s.cpl <= (cpu->s.rflags & FLAG_IOPL) >> 12)) /* real mode's CPL is 0, virtual-8086's 3 */
        return FLAG_IF;
    if (cpu->s.cpl == 3 && cr4 & (vm86_mode(cpu) ? CR4_VME : CR4_PVI))
        return FLAG_VIF;
    gp0(cpu, i);
}

BODY(cli)
{
    cpu->s.rflags &= ~interrupt_flag(cpu, i);
    NEXT;
}

BODY(sti)
{
    uint64_t flag = interrupt_flag(cpu, i);

    if (flag == FLAG_VIF) {
        if (cpu->s.rflags & FLAG_VIP)
            gp0(cpu, i);
    } else if (!(cpu->s.rflags & FLAG_IF)) {
        cpu->s.shadow |= 1;
    }
    cpu->s.rflags |= flag;
    LEAVE(next_rip(cpu, i));
}

/* In virtual-8086 mode below IOPL 3 PUSHF and POPF work on VIF, in 16 bits and with VME only. */
static inline bool flags_on_vif(struct cpu *cpu, const struct insn *i)
{
    if (likely(!vm86_mode(cpu)) || (cpu->s.rflags & FLAG_IOPL) == FLAG_IOPL)
        return false;
    if (!(cpu->s.cr4 & CR4_VME) || i->osize != SIZE_W)
        gp0(cpu, i);
    return true;
}

BODY(pushf)
{
    uint64_t image = get_rflags(cpu) & ~(uint64_t)(FLAG_VM | FLAG_RF);

    if (flags_on_vif(cpu, i))
        image = (image & ~(uint64_t)FLAG_IF) | FLAG_IOPL | (image & FLAG_VIF ? FLAG_IF : 0);
    push(cpu, i, i->osize, image);
    NEXT;
}

BODY(popf)
{
    bool on_vif = flags_on_vif(cpu, i);
    uint64_t mask = FLAGS_ARITH | FLAG_TF | FLAG_DF | FLAG_NT, old = cpu->s.rflags;
    uint64_t image = stack_read(cpu, i, cpu->s.gpr[RSP], i->osize);

    if (i->osize != SIZE_W)
        mask |= FLAG_AC | FLAG_ID;
    if (on_vif) {
        if (image & FLAG_TF || (image & FLAG_IF && old & FLAG_VIP))
            gp0(cpu, i);
        mask |= FLAG_VIF;
        image = (image & ~(uint64_t)FLAG_VIF) | (image & FLAG_IF ? FLAG_VIF : 0);
    } else {
        if (cpu->s.cpl <= (old & FLAG_IOPL) >> 12)
            mask |= FLAG_IF;
        if (cpu->s.cpl == 0)
            mask |= FLAG_IOPL;
    }
    set_sp(cpu, cpu->s.gpr[RSP] + (1u << i->osize));
    set_rflags(cpu, (old & ~(mask | FLAG_RF)) | (image & mask));
    LEAVE(next_rip(cpu, i));
}

BODY(hlt)
{
    require_ring0(cpu, i);
    cpu->s.activity = CPU_HALTED;
    LEAVE(next_rip(cpu, i));
}
