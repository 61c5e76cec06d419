/*
 * access.h - registers and memory as instruction bodies see them.
 *
 * Memory in three steps: the effective offset (ea), the linear address with the segment's checks (seg_linear,
 * or mem_linear for the instruction's own memory operand), and the access (ld8..ld64, st8..st64), which
 * faults by itself. The fast case of each is inline; linear_read and linear_write (tlb.c) do the rest.
 */
#ifndef CPU_INTERP_ACCESS_H
#define CPU_INTERP_ACCESS_H

#include "cpu/internal.h"

/* Guest memory is unaligned and has no type. */
typedef uint16_t __attribute__((may_alias, aligned(1))) u16_any;
typedef uint32_t __attribute__((may_alias, aligned(1))) u32_any;
typedef uint64_t __attribute__((may_alias, aligned(1))) u64_any;
typedef uint8_t u8_any;

/* --- Registers, by their offset ------------------------------------------------------------------ */

static forced_inline void *reg_at(const struct cpu *cpu, uint16_t offset)
{
    return (char *)cpu + offset;
}

static forced_inline uint8_t get8(const struct cpu *cpu, uint16_t reg)
{
    return *(uint8_t *)reg_at(cpu, reg);
}
static forced_inline uint16_t get16(const struct cpu *cpu, uint16_t reg)
{
    return *(u16_any *)reg_at(cpu, reg);
}
static forced_inline uint32_t get32(const struct cpu *cpu, uint16_t reg)
{
    return *(u32_any *)reg_at(cpu, reg);
}
static forced_inline uint64_t get64(const struct cpu *cpu, uint16_t reg)
{
    return *(uint64_t *)reg_at(cpu, reg);
}

static forced_inline void set8(struct cpu *cpu, uint16_t reg, uint8_t value)
{
    *(uint8_t *)reg_at(cpu, reg) = value;
}
static forced_inline void set16(struct cpu *cpu, uint16_t reg, uint16_t value)
{
    *(u16_any *)reg_at(cpu, reg) = value;
}
static forced_inline void set32(struct cpu *cpu, uint16_t reg,
                                uint32_t value) /* zero-extends, as all 32-bit results do */
{
    *(uint64_t *)reg_at(cpu, reg) = value;
}
static forced_inline void set64(struct cpu *cpu, uint16_t reg, uint64_t value)
{
    *(uint64_t *)reg_at(cpu, reg) = value;
}

/* A general register by number, in operand size SIZE_W, SIZE_D or SIZE_Q. */
static inline uint64_t gpr_get(const struct cpu *cpu, unsigned n, unsigned size)
{
    uint64_t v = cpu->s.gpr[n];

    return size == SIZE_Q ? v : size == SIZE_D ? (uint32_t)v : (uint16_t)v;
}

static inline void gpr_set(struct cpu *cpu, unsigned n, unsigned size, uint64_t value)
{
    if (size == SIZE_Q)
        cpu->s.gpr[n] = value;
    else if (size == SIZE_D)
        cpu->s.gpr[n] = (uint32_t)value;
    else
        cpu->s.gpr[n] = (cpu->s.gpr[n] & ~0xffffull) | (uint16_t)value;
}

/* --- Addresses ----------------------------------------------------------------------------------- */

static inline uint64_t address_mask(unsigned asize)
{
    return asize == SIZE_Q ? UINT64_MAX : asize == SIZE_D ? UINT32_MAX : UINT16_MAX;
}

/* The effective offset of the memory operand, truncated to the address size. */
static inline uint64_t ea(const struct cpu *cpu, const struct insn *i)
{
    uint64_t sum = get64(cpu, i->base) + (get64(cpu, i->index) << i->scale) + (uint64_t)(int64_t)i->disp;

    return sum & address_mask(i->asize);
}

/* Linear address of the memory operand in form 1: 64-bit mode, 64-bit addresses, no alignment checks. */
static forced_inline uint64_t ea64(const struct cpu *cpu, const struct insn *i)
{
    return get64(cpu, i->base) + (get64(cpu, i->index) << i->scale) + (uint64_t)(int64_t)i->disp +
           get64(cpu, i->segbase);
}

/* segment.c: the checks that are not the common case; raises #GP(0) or #SS(0), or returns when all is well.
 */
void segment_check(struct cpu *cpu, const struct insn *i, unsigned seg, uint64_t offset, unsigned size,
                   enum access access);
/* #AC, unless the address isn't canonical, which comes first. */
_Noreturn void alignment_fault(struct cpu *cpu, const struct insn *i, unsigned seg, uint64_t linear, unsigned size);

/*
 * Linear address of `size` bytes at seg:offset in any mode, with limit, rights and (for size a power of two)
 * alignment checked. Canonical form is checked by the access itself. `offset` is already truncated to the
 * address size.
 */
static inline uint64_t seg_linear(struct cpu *cpu, const struct insn *i, unsigned seg, uint64_t offset,
                                  unsigned size, enum access access)
{
    const struct segment *s = &cpu->s.seg[seg];
    uint64_t linear;

    if (cpu->long64) {
        linear = offset + (seg >= FS ? s->base : 0);
    } else {
        /* Writable, expand-up data that is present: only the limit matters. */
        if (unlikely((s->attr & (SEG_UNUSABLE | SEG_CODE | SEG_EXPDOWN | SEG_WRITABLE)) != SEG_WRITABLE ||
                     offset + size - 1 > s->limit))
            segment_check(cpu, i, seg, offset, size, access);
        linear = (uint32_t)(s->base + offset);
    }
    if (unlikely(cpu->mode & MODE_AC) && size <= 8 && (linear & (size - 1)))
        alignment_fault(cpu, i, seg, linear, size);
    return linear;
}

/* Linear address of the instruction's own memory operand. */
static inline uint64_t mem_linear(struct cpu *cpu, const struct insn *i, unsigned size, enum access access)
{
    return seg_linear(cpu, i, i->seg, ea(cpu, i), size, access);
}

/* --- Accesses by linear address ------------------------------------------------------------------ */

static forced_inline uint64_t tlb_tag(const struct cpu *cpu, uint64_t linear)
{
    return (linear & ~0xfffull) | cpu->tlb_gen[linear >> 63];
}

static forced_inline struct tlb_entry *tlb_slot(const struct cpu *cpu, uint64_t linear)
{
    return &cpu->tlb[linear >> 12 & (TLB_SIZE - 1)];
}

/* Tells the compiler what it can't know, so that callers need not tell a hit from NULL twice. */
static forced_inline void *host_pointer(uint64_t address)
{
    if (!address)
        __builtin_unreachable();
    return (void *)(uintptr_t)address;
}

/* Host address of `size` bytes for reading or writing when the TLB has it, else NULL. */
static forced_inline void *tlb_read_host(const struct cpu *cpu, uint64_t linear, unsigned size)
{
    const struct tlb_entry *e = tlb_slot(cpu, linear);

    return likely(e->read == tlb_tag(cpu, linear + size - 1)) ? host_pointer(linear + e->addend) : NULL;
}

static forced_inline void *tlb_write_host(const struct cpu *cpu, uint64_t linear, unsigned size)
{
    const struct tlb_entry *e = tlb_slot(cpu, linear);

    return likely(e->write == tlb_tag(cpu, linear + size - 1)) ? host_pointer(linear + e->addend) : NULL;
}

#define DEFINE_ACCESS(bits)                                                                                  \
    static forced_inline uint##bits##_t ld##bits(struct cpu *cpu, const struct insn *i, unsigned seg,        \
                                                 uint64_t linear)                                            \
    {                                                                                                        \
        const u##bits##_any *p = tlb_read_host(cpu, linear, bits / 8);                                       \
                                                                                                             \
        return likely(p != NULL) ? *p : (uint##bits##_t)linear_read(cpu, i, seg, linear, bits / 8);          \
    }                                                                                                        \
    static forced_inline void st##bits(struct cpu *cpu, const struct insn *i, unsigned seg, uint64_t linear, \
                                       uint##bits##_t value)                                                 \
    {                                                                                                        \
        u##bits##_any *p = tlb_write_host(cpu, linear, bits / 8);                                            \
                                                                                                             \
        if (likely(p != NULL))                                                                               \
            *p = value;                                                                                      \
        else                                                                                                 \
            linear_write(cpu, i, seg, linear, value, bits / 8);                                              \
    }
DEFINE_ACCESS(8)
DEFINE_ACCESS(16)
DEFINE_ACCESS(32)
DEFINE_ACCESS(64)
#undef DEFINE_ACCESS

/* The memory operand of any mode, in one call; size 1, 2, 4 or 8 bytes. */
static inline uint64_t mem_read(struct cpu *cpu, const struct insn *i, unsigned size)
{
    uint64_t linear = mem_linear(cpu, i, size, ACCESS_READ);

    switch (size) {
    case 1:
        return ld8(cpu, i, i->seg, linear);
    case 2:
        return ld16(cpu, i, i->seg, linear);
    case 4:
        return ld32(cpu, i, i->seg, linear);
    default:
        return ld64(cpu, i, i->seg, linear);
    }
}

static inline void mem_write(struct cpu *cpu, const struct insn *i, unsigned size, uint64_t value)
{
    uint64_t linear = mem_linear(cpu, i, size, ACCESS_WRITE);

    switch (size) {
    case 1:
        st8(cpu, i, i->seg, linear, (uint8_t)value);
        break;
    case 2:
        st16(cpu, i, i->seg, linear, (uint16_t)value);
        break;
    case 4:
        st32(cpu, i, i->seg, linear, (uint32_t)value);
        break;
    default:
        st64(cpu, i, i->seg, linear, value);
        break;
    }
}

/* --- The stack ----------------------------------------------------------------------------------- */

/* log2 of the stack pointer's size. */
static inline unsigned stack_size(const struct cpu *cpu)
{
    return cpu->long64 ? SIZE_Q : cpu->mode & MODE_SS32 ? SIZE_D : SIZE_W;
}

static inline uint64_t stack_read(struct cpu *cpu, const struct insn *i, uint64_t sp, unsigned size)
{
    uint64_t linear = seg_linear(cpu, i, SS, sp & address_mask(stack_size(cpu)), 1u << size, ACCESS_READ);

    return size == SIZE_Q   ? ld64(cpu, i, SS, linear)
           : size == SIZE_D ? ld32(cpu, i, SS, linear)
                            : ld16(cpu, i, SS, linear);
}

static inline void stack_write(struct cpu *cpu, const struct insn *i, uint64_t sp, unsigned size,
                               uint64_t value)
{
    uint64_t linear = seg_linear(cpu, i, SS, sp & address_mask(stack_size(cpu)), 1u << size, ACCESS_WRITE);

    if (size == SIZE_Q)
        st64(cpu, i, SS, linear, value);
    else if (size == SIZE_D)
        st32(cpu, i, SS, linear, (uint32_t)value);
    else
        st16(cpu, i, SS, linear, (uint16_t)value);
}

/* Sets the stack pointer in the stack's own size (16-bit stacks keep the upper half). */
static inline void set_sp(struct cpu *cpu, uint64_t sp)
{
    gpr_set(cpu, RSP, stack_size(cpu), sp);
}

/* PUSH and POP of one item of `size` (SIZE_W, SIZE_D, SIZE_Q); RSP moves only when the access went well. */
static inline void push(struct cpu *cpu, const struct insn *i, unsigned size, uint64_t value)
{
    uint64_t sp = cpu->s.gpr[RSP] - (1u << size);

    stack_write(cpu, i, sp, size, value);
    set_sp(cpu, sp);
}

static inline uint64_t pop(struct cpu *cpu, const struct insn *i, unsigned size)
{
    uint64_t value = stack_read(cpu, i, cpu->s.gpr[RSP], size);

    set_sp(cpu, cpu->s.gpr[RSP] + (1u << size));
    return value;
}

#endif
