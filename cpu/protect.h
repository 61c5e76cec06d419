/*
 * protect.h - what segment.c, exception.c, far.c and task.c share: descriptors in their raw form, and stack
 * frames that are written in full before anything of the processor's state changes.
 */
#ifndef CPU_PROTECT_H
#define CPU_PROTECT_H

#include <string.h>

#include "cpu/internal.h"
#include "cpu/interp/access.h"
#include "cpu/interp/flags.h"

/* Types of system descriptors, S = 0 (SDM 3A table 3-2). */
enum {
    SYS_TSS16 = 1,
    SYS_LDT = 2,
    SYS_CALL16 = 4,
    SYS_TASK_GATE = 5,
    SYS_INT16 = 6,
    SYS_TRAP16 = 7,
    SYS_TSS32 = 9,
    SYS_CALL32 = 12,
    SYS_INT32 = 14,
    SYS_TRAP32 = 15,
    SYS_TSS_BUSY = 2, /* this bit of a TSS's type */
};

#define SELECTOR_TI 4u

/* All of RFLAGS that exists. */
#define RFLAGS_VALID                                                                                         \
    (FLAGS_ARITH | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_IOPL | FLAG_NT | FLAG_RF | FLAG_VM | FLAG_AC |         \
     FLAG_VIF | FLAG_VIP | FLAG_ID)

static inline bool null_selector(uint16_t selector)
{
    return !(selector & 0xfffc);
}

/* A selector as an error code. */
static inline uint32_t selector_error(uint16_t selector)
{
    return selector & 0xfffc;
}

static inline uint32_t desc_attr(uint64_t descriptor)
{
    return (uint32_t)(descriptor >> 40) & 0xf0ff;
}

/* Type with the S bit: system types are below SEG_S. */
static inline unsigned desc_type(uint64_t descriptor)
{
    return (descriptor >> 40) & (SEG_S | SEG_TYPE);
}

static inline unsigned desc_dpl(uint64_t descriptor)
{
    return (descriptor >> 45) & 3;
}

static inline bool desc_present(uint64_t descriptor)
{
    return (descriptor >> 47) & 1;
}

static inline uint32_t desc_base(uint64_t descriptor)
{
    return (uint32_t)((descriptor >> 16 & 0xffffff) | (descriptor >> 32 & 0xff000000));
}

static inline uint32_t desc_limit(uint64_t descriptor)
{
    uint32_t limit = (uint32_t)((descriptor & 0xffff) | (descriptor >> 32 & 0xf0000));

    return desc_attr(descriptor) & SEG_G ? limit << 12 | 0xfff : limit;
}

static inline bool is_code(uint64_t descriptor)
{
    return (desc_type(descriptor) & (SEG_S | SEG_CODE)) == (SEG_S | SEG_CODE);
}

static inline bool is_conforming(uint64_t code)
{
    return desc_attr(code) & SEG_CONFORMING;
}

static inline bool is_writable_data(uint64_t descriptor)
{
    return (desc_type(descriptor) & (SEG_S | SEG_CODE | SEG_WRITABLE)) == (SEG_S | SEG_WRITABLE);
}

/* Code that runs in 64-bit mode. */
static inline bool is_code64(const struct cpu *cpu, uint64_t code)
{
    return long_mode(cpu) && desc_attr(code) & SEG_L;
}

/* Linear address in a descriptor table or TSS: 32 bits wide outside long mode. */
static inline uint64_t table_linear(const struct cpu *cpu, uint64_t linear)
{
    return long_mode(cpu) ? linear : (uint32_t)linear;
}

/* super_read of 8 bytes with the TLB's fast case inline. */
static inline uint64_t super_read64(struct cpu *cpu, const struct insn *i, uint64_t linear)
{
    const struct tlb_entry *e = &cpu->tlbs[TLB_SUPER].entry[linear >> 12 & (TLB_SIZE - 1)];
    uint64_t value;

    if (unlikely(e->read != tlb_tag(cpu, linear + 7)))
        return super_read(cpu, i, linear, 8);
    memcpy(&value, (const void *)(uintptr_t)(linear + e->addend), 8);
    return value;
}

/* --- segment.c ----------------------------------------------------------------------------------- */

/* Whether `size` bytes at `offset` lie within the segment's limit, expand-down ones too. */
bool within_limit(const struct segment *segment, uint64_t offset, unsigned size);

/*
 * The second 8 bytes of a 16-byte system descriptor or call gate of long mode; raises #GP(selector) when they
 * lie outside the table or carry a type.
 */
uint64_t read_descriptor_high(struct cpu *cpu, const struct insn *i, uint16_t selector);

/* Whether LAR and LSL find a valid second half. */
bool probe_descriptor_high(struct cpu *cpu, const struct insn *i, uint16_t selector);

/* Sets or clears the busy bit of a TSS, in the table and in *descriptor. */
void set_tss_busy(struct cpu *cpu, const struct insn *i, uint16_t selector, uint64_t *descriptor, bool busy);

/* A data segment register after a null selector. */
void null_segment(struct segment *segment, uint16_t selector);

/* The SS of 64-bit code at an inner ring: null, with the ring in RPL and DPL. */
void null_stack_segment(struct segment *segment, unsigned cpl);

/* Installs CS, whose descriptor passed all checks, at `cpl`; update_mode() is left to the caller. */
void commit_cs(struct cpu *cpu, uint16_t selector, uint64_t descriptor, unsigned cpl);

/* After CPL grew: data segments that the outer ring may not use become null (SDM 2, RET). */
void drop_inner_segments(struct cpu *cpu);

/* RFLAGS at once, arithmetic flags included; update_mode() is left to the caller. */
static inline void put_rflags(struct cpu *cpu, uint64_t value)
{
    cpu->s.rflags = (value & RFLAGS_VALID) | FLAG_1;
    set_arith_flags(cpu, (uint32_t)value);
}

/* --- frame.c ------------------------------------------------------------------------------------- */

/*
 * A stack that is about to be used, perhaps of another ring than the current one.
 */
struct stack {
    struct segment ss;
    uint64_t sp;
    uint64_t mask;  /* of the stack pointer: 16, 32 or 64 bits */
    uint32_t error; /* error code of #SS when the segment's limit is in the way */
    bool flat;      /* 64-bit mode: no segmentation */
    bool super;     /* accesses are those of an inner ring */
};

/* The stack in use. */
void current_stack(const struct cpu *cpu, struct stack *stack);

/* Ring `dpl`'s stack from the TSS with all checks of its segment: #TS, #SS. In long mode SS is null. */
void inner_stack(struct cpu *cpu, const struct insn *i, unsigned dpl, struct stack *stack);

/* Raises #SS unless `count` items of 1 << size bytes fit. */
void stack_room(struct cpu *cpu, const struct insn *i, const struct stack *stack, unsigned size,
                unsigned count);

/* Pushes one item, moving stack->sp only. */
void stack_push(struct cpu *cpu, const struct insn *i, struct stack *stack, unsigned size, uint64_t value);

/* Writes `count` 8-byte words in memory order below stack->sp (64-bit mode) and moves it. */
void stack_push64(struct cpu *cpu, const struct insn *i, struct stack *stack, const uint64_t *words,
                  unsigned count);

/* Installs the stack: RSP in the width of the new segment, and SS. update_mode() is left to the caller. */
void commit_stack(struct cpu *cpu, const struct stack *stack);

/* --- exception.c --------------------------------------------------------------------------------- */

/* INT n (not INT3): the rules of virtual-8086 mode apply to it alone. */
void software_interrupt_n(struct cpu *cpu, const struct insn *i, int vector, uint64_t next);

/* --- task.c -------------------------------------------------------------------------------------- */

/* VME: whether the TSS's redirection bitmap sends INT n through the protected-mode IDT. */
bool interrupt_redirected(struct cpu *cpu, const struct insn *i, unsigned vector);

/* --- far.c --------------------------------------------------------------------------------------- */

/* Raises #GP(0) unless `offset` can be the RIP of the code segment `code`. */
void check_code_offset(struct cpu *cpu, const struct insn *i, uint64_t code, uint64_t offset);

/* The code segment that RET or IRET returns to, checked (SDM 2, RET); its RPL is the new CPL. */
uint64_t read_return_cs(struct cpu *cpu, const struct insn *i, uint16_t selector);

/* The stack segment of ring `rpl` that comes with it; null is good for 64-bit code inside ring 3. */
void read_return_ss(struct cpu *cpu, const struct insn *i, uint16_t selector, unsigned rpl, uint64_t code,
                    struct segment *ss);

/* RSP after a return, in the width of the stack just loaded into SS. */
void set_returned_sp(struct cpu *cpu, uint64_t code, uint64_t sp);

/* --- syscall.c ----------------------------------------------------------------------------------- */

/* AMD's SYSCALL and SYSRET, and SYSENTER and SYSEXIT (legacy mode only, as on AMD). */
void fast_call(struct cpu *cpu, const struct insn *i, uint64_t next);
void fast_return(struct cpu *cpu, const struct insn *i);
void legacy_fast_call(struct cpu *cpu, const struct insn *i);
void legacy_fast_return(struct cpu *cpu, const struct insn *i);

#endif
