/*
 * legacy.h - run() for 32-bit protected mode, virtual-8086 mode and real mode: leaves long mode, executes
 * from a given state until an exception or interrupt, and comes back. Included once, by the test that needs
 * it.
 */
#ifndef GUEST_LEGACY_H
#define GUEST_LEGACY_H

#include "lib.h"

/* The state before and after; the assembler below knows the offsets. */
struct legacy {
    uint32_t eax, ebx, ecx, edx, esi, edi, ebp; /* 0-24 */
    uint32_t eip, cs, eflags, esp, ss;          /* 28-44 */
    uint32_t es, ds, fs, gs;                    /* 48-60 */
    uint32_t vector, error, cr2;                /* 64-72 */
    uint32_t real;                              /* 76: real mode instead of protected mode */
    uint32_t cr0, cr3, cr4; /* 80-88: to run with. PE is always set; PG needs low memory mapped to itself */
    uint32_t entry_esp;     /* 92: after: ESP at the handler's entry, its frame on top */
};

extern struct legacy legacy_state;
extern const uint32_t legacy_entries[256];
extern const uint8_t legacy_low[], legacy_low_end[], legacy_real_entries[];
void legacy_run(void);

#define LEGACY_LOW 0x8000 /* where the real-mode part is copied to; the state's copy is at 0x7000 */

struct gate32 {
    uint16_t offset_low, selector;
    uint8_t count, type;
    uint16_t offset_high;
} __attribute__((packed));
struct tss32 {
    uint32_t link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags, eax, ecx, edx, ebx, esp, ebp, esi, edi,
        es, cs, ss, ds, fs, gs, ldt;
    uint16_t trap, io_map;
    uint8_t io_bits[32 + 8192 + 1]; /* a redirection bitmap, all ports, and the byte behind them */
} __attribute__((packed));
#define TSS32_BITS offsetof(struct tss32, io_bits)

extern struct gate32 idt32[256];
extern struct tss32 tss32;
extern uint32_t tss32_limit; /* at first 32 bytes of io_bits are within */
extern uint32_t legacy_tr;   /* SEL_TSS32, or another TSS to run with in protected mode */

enum { SEL_TSS32 = 0xF8 };

__asm__(
    ".pushsection .text\n"
    ".globl legacy_run\n"
    "legacy_run:\n"
    "    pushq %rbx; pushq %rbp; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n"
    "    movq %rsp, legacy_rsp\n"
    "    movq %cr0, %rax; movl %eax, legacy_cr0\n"
    "    movq %cr3, %rax; movl %eax, legacy_cr3\n"
    "    movq %cr4, %rax; movl %eax, legacy_cr4\n"
    "    pushq $0x18; pushq $legacy_32; lretq\n"
    ".code32\n"
    /* In compatibility mode; paging off ends long mode. */
    "legacy_32:\n"
    "    movl $0x10, %eax; movl %eax, %ds; movl %eax, %es; movl %eax, %ss\n"
    "    movl %cr0, %eax; andl $0x7FFFFFFF, %eax; movl %eax, %cr0\n"
    "    movl $0xC0000080, %ecx; rdmsr; andl $~0x100, %eax; wrmsr\n"
    "    movl legacy_state + 88, %eax; movl %eax, %cr4\n"
    "    movl legacy_state + 84, %eax; movl %eax, %cr3\n"
    "    movl legacy_state + 80, %eax; movl %eax, %cr0\n"
    "    jmp 1f\n"
    "1:  cmpl $0, legacy_state + 76\n"
    "    jne legacy_to_real\n"
    "    lidt legacy_idt\n"
    "    movl legacy_tr, %eax; ltr %ax\n"
    "    testl $0x20000, legacy_state + 36\n"
    "    jnz legacy_vm\n"
    "    testl $3, legacy_state + 32\n"
    "    jnz legacy_outer\n"
    "    movw legacy_state + 44, %ss\n"
    "    movl legacy_state + 40, %esp\n"
    "    jmp legacy_frame\n"
    "legacy_vm:\n"
    "    pushl legacy_state + 60; pushl legacy_state + 56; pushl legacy_state + 52; pushl legacy_state + 48\n"
    "    pushl legacy_state + 44; pushl legacy_state + 40\n"
    "    pushl legacy_state + 36; pushl legacy_state + 32; pushl legacy_state + 28\n"
    "    jmp legacy_load\n"
    "legacy_outer:\n"
    "    pushl legacy_state + 44; pushl legacy_state + 40\n"
    "legacy_frame:\n"
    "    pushl legacy_state + 36; pushl legacy_state + 32; pushl legacy_state + 28\n"
    "    movw legacy_state + 48, %es; movw legacy_state + 56, %fs; movw legacy_state + 60, %gs\n"
    "    movw legacy_state + 52, %ds\n"
    "legacy_load:\n"
    "    movl %cs:legacy_state + 0, %eax; movl %cs:legacy_state + 4, %ebx; movl %cs:legacy_state + 8, %ecx\n"
    "    movl %cs:legacy_state + 12, %edx; movl %cs:legacy_state + 16, %esi; movl %cs:legacy_state + 20, "
    "%edi\n"
    "    movl %cs:legacy_state + 24, %ebp\n"
    "    iretl\n"

    /* Entries: error code (real or 0) and vector, as in lib.S. */
    ".altmacro\n"
    ".macro legacy_entry n\n"
    ".balign 16\n"
    "legacy_entry_\\n:\n"
    ".if \\n == 8 || (\\n >= 10 && \\n <= 14) || \\n == 17\n"
    ".else\n"
    "    pushl $0\n"
    ".endif\n"
    "    pushl $\\n\n"
    "    jmp legacy_common\n"
    ".endm\n"
    ".set i, 0\n"
    ".rept 256\n"
    "    legacy_entry %i\n"
    ".set i, i + 1\n"
    ".endr\n"
    "legacy_common:\n"
    "    pushal\n"
    "    pushl %gs; pushl %fs; pushl %es; pushl %ds\n"
    "    movl $0x10, %eax; movl %eax, %ds\n"
    "    leal 56(%esp), %eax; movl %eax, legacy_state + 92\n"
    "    popl legacy_state + 52; popl legacy_state + 48; popl legacy_state + 56; popl legacy_state + 60\n"
    "    popl legacy_state + 20; popl legacy_state + 16; popl legacy_state + 24; addl $4, %esp\n"
    "    popl legacy_state + 4; popl legacy_state + 12; popl legacy_state + 8; popl legacy_state + 0\n"
    "    popl legacy_state + 64; popl legacy_state + 68\n"
    "    popl legacy_state + 28; popl legacy_state + 32; popl legacy_state + 36\n"
    "    movl %cr2, %eax; movl %eax, legacy_state + 72\n"
    "    testl $0x20000, legacy_state + 36\n"
    "    jnz 3f\n"
    "    testl $3, legacy_state + 32\n"
    "    jnz 2f\n"
    "    movl %esp, legacy_state + 40; movw %ss, legacy_state + 44\n"
    "    jmp legacy_back\n"
    "2:  popl legacy_state + 40; popl legacy_state + 44\n"
    "    jmp legacy_back\n"
    "3:  popl legacy_state + 40; popl legacy_state + 44\n"
    "    popl legacy_state + 48; popl legacy_state + 52; popl legacy_state + 56; popl legacy_state + 60\n"
    "legacy_back:\n"
    "    cmpl $0xF8, legacy_tr\n" /* a 16-bit TSS in TR keeps long mode away (SDM 3A 9.8.5.1) */
    "    je 1f\n"
    "    movl $0xF8, %eax; ltr %ax\n"
    "1:\n"
    "    movl %cr0, %eax; andl $0x7FFFFFFF, %eax; movl %eax, %cr0\n"
    "    movl legacy_cr4, %eax; movl %eax, %cr4\n"
    "    movl legacy_cr3, %eax; movl %eax, %cr3\n"
    "    movl $0xC0000080, %ecx; rdmsr; orl $0x100, %eax; wrmsr\n"
    "    movl legacy_cr0, %eax; movl %eax, %cr0\n"
    "    ljmp $0x08, $legacy_64\n"
    ".code64\n"
    "legacy_64:\n"
    "    movl $0x23, %eax; movl %eax, %ds; movl %eax, %es\n"
    "    movl $0x10, %eax; movl %eax, %ss\n"
    "    xorl %eax, %eax; movl %eax, %fs; movl %eax, %gs; lldt %ax\n"
    "    movq legacy_rsp, %rsp\n"
    "    pushq $2; popfq\n"
    "    popq %r15; popq %r14; popq %r13; popq %r12; popq %rbp; popq %rbx\n"
    "    ret\n"
    ".popsection\n");

/* The part for real mode, which runs at LEGACY_LOW: labels are given as addresses there. */
#define LOW(label) "(" #label " - legacy_low + 0x8000)"
__asm__(
    ".pushsection .text\n"
    ".code32\n"
    "legacy_to_real:\n"
    "    movl $legacy_state, %esi; movl $0x7000, %edi; movl $24, %ecx; rep movsl\n"
    "    ljmp $0x48, $0x8000\n"
    ".globl legacy_low, legacy_low_end, legacy_real_entries\n"
    "legacy_low:\n"
    ".code16\n"
    "    movw $0x50, %ax; movw %ax, %ds; movw %ax, %es; movw %ax, %fs; movw %ax, %gs; movw %ax, %ss\n"
    "    movl %cr0, %eax; andl $~1, %eax; movl %eax, %cr0\n"
    "    ljmp $0, $" LOW(
        legacy_real) "\n"
                     "legacy_real:\n"
                     "    lidtw %cs:" LOW(
                         legacy_ivt) "\n"
                                     "    movw %cs:0x7000 + 44, %ss; movl %cs:0x7000 + 40, %esp\n"
                                     "    pushw %cs:0x7000 + 36; pushw %cs:0x7000 + 32; pushw %cs:0x7000 + "
                                     "28\n"
                                     "    movw %cs:0x7000 + 48, %es; movw %cs:0x7000 + 52, %ds; movw "
                                     "%cs:0x7000 + 56, %fs; movw %cs:0x7000 + 60, %gs\n"
                                     "    movl %cs:0x7000 + 0, %eax; movl %cs:0x7000 + 4, %ebx; movl "
                                     "%cs:0x7000 + 8, %ecx\n"
                                     "    movl %cs:0x7000 + 12, %edx; movl %cs:0x7000 + 16, %esi; movl "
                                     "%cs:0x7000 + 20, %edi\n"
                                     "    movl %cs:0x7000 + 24, %ebp\n"
                                     "    iretw\n"
                                     ".macro legacy_real_entry n\n"
                                     "    pushw $\\n\n"
                                     "    jmp legacy_real_common\n"
                                     ".balign 8\n"
                                     ".endm\n"
                                     ".balign 8\n"
                                     "legacy_real_entries:\n"
                                     ".set i, 0\n"
                                     ".rept 256\n"
                                     "    legacy_real_entry %i\n"
                                     ".set i, i + 1\n"
                                     ".endr\n"
                                     "legacy_real_common:\n"
                                     "    movl %eax, %cs:0x7000 + 0; movl %ebx, %cs:0x7000 + 4; movl %ecx, "
                                     "%cs:0x7000 + 8\n"
                                     "    movl %edx, %cs:0x7000 + 12; movl %esi, %cs:0x7000 + 16; movl %edi, "
                                     "%cs:0x7000 + 20\n"
                                     "    movl %ebp, %cs:0x7000 + 24\n"
                                     "    popw %cs:0x7000 + 64\n"
                                     "    movl %esp, %cs:0x7000 + 92\n"
                                     "    popw %cs:0x7000 + 28; popw %cs:0x7000 + 32; popw %cs:0x7000 + 36\n"
                                     "    movl %esp, %cs:0x7000 + 40; movw %ss, %cs:0x7000 + 44\n"
                                     "    movw %es, %cs:0x7000 + 48; movw %ds, %cs:0x7000 + 52; movw %fs, "
                                     "%cs:0x7000 + 56; movw %gs, %cs:0x7000 + 60\n"
                                     "    movl %cr0, %eax; orl $1, %eax; movl %eax, %cr0\n"
                                     "    ljmpl $0x18, $legacy_from_real\n"
                                     "legacy_ivt: .word 0x3FF; .long 0\n"
                                     "legacy_low_end:\n"
                                     ".code32\n"
                                     "legacy_from_real:\n"
                                     "    movl $0x10, %eax; movl %eax, %ds; movl %eax, %es; movl %eax, %ss\n"
                                     "    cld; movl $0x7000, %esi; movl $legacy_state, %edi; movl $24, %ecx; "
                                     "rep movsl\n"
                                     "    jmp legacy_back\n"
                                     ".code64\n"
                                     ".popsection\n"
                                     ".pushsection .data\n"
                                     ".balign 8\n"
                                     "legacy_rsp: .quad 0\n"
                                     "legacy_cr0: .long 0\n"
                                     "legacy_cr3: .long 0\n"
                                     "legacy_cr4: .long 0\n"
                                     "legacy_idt: .word 256 * 8 - 1\n"
                                     "    .long idt32\n"
                                     ".globl legacy_entries\n"
                                     ".balign 4\n"
                                     ".macro legacy_address n\n"
                                     "    .long legacy_entry_\\n\n"
                                     ".endm\n"
                                     "legacy_entries:\n"
                                     ".set i, 0\n"
                                     ".rept 256\n"
                                     "    legacy_address %i\n"
                                     ".set i, i + 1\n"
                                     ".endr\n"
                                     ".noaltmacro\n"
                                     ".popsection\n");

struct legacy legacy_state;
struct gate32 idt32[256];
struct tss32 tss32;
uint32_t tss32_limit = TSS32_BITS + 31;
uint32_t legacy_tr = SEL_TSS32;
static uint8_t legacy_stack0[8192] __attribute__((aligned(16)));

static inline void set_gate32(unsigned vector, uint32_t offset, uint16_t selector, uint8_t type)
{
    idt32[vector] = (struct gate32){(uint16_t)offset, selector, 0, type, (uint16_t)(offset >> 16)};
}

static inline void legacy_init(void)
{
    for (unsigned i = 0; i < 256; i++)
        set_gate32(i, legacy_entries[i], SEL_CODE32,
                   i == VEC_END || i == VEC_BP || i == VEC_OF ? 0xEE : 0x8E);
    tss32.esp0 = (uint32_t)(uint64_t)(legacy_stack0 + sizeof legacy_stack0);
    tss32.ss0 = SEL_DATA;
    tss32.io_map = sizeof tss32;
    memcpy((void *)LEGACY_LOW, legacy_low, (size_t)(legacy_low_end - legacy_low));
    for (unsigned i = 0; i < 256; i++) {
        uint16_t *vector = (uint16_t *)(uint64_t)(i * 4);
        __asm__("" : "+r"(vector)); /* vector 0 is at address 0, which is no null pointer here */
        vector[0] = (uint16_t)(LEGACY_LOW + (legacy_real_entries - legacy_low) + i * 8);
        vector[1] = 0;
    }
}

/* Goes there and back; both task registers are loaded anew, and IDTR. */
static inline void legacy(struct legacy *state)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) pointer = {sizeof idt - 1, (uint64_t)idt};
    legacy_state = *state;
    gdt[SEL_TSS32 / 8] = descriptor((uint32_t)(uint64_t)&tss32, tss32_limit, 0x89, 0);
    legacy_run();
    *state = legacy_state;
    __asm__ volatile("lidt %0" : : "m"(pointer));
    set_tss_limit(sizeof tss - 1);
}

/* ---- What the tests that need it share ---- */

#define S32(name, before, insn, after) SNIPPET_MODE(name, ".code32", before, insn, after)
#define S16(name, before, insn, after) SNIPPET_MODE(name, ".code16", before, insn, after)

#define LOW_CODE  0x9000 /* 16-bit snippets are copied here */
#define LOW_STACK 0x6F00

enum { CR0_PE = 1, CR0_ET = 16, CR0_PG = 1u << 31, CR4_PSE = 16, CR4_PAE = 32, USER = 3 };

static struct legacy r;

static inline uint32_t low(const void *p)
{
    return (uint32_t)(uint64_t)p;
}

static inline void prepare32(const struct snippet *s, unsigned cpl)
{
    r = (struct legacy){0};
    r.cr0 = CR0_PE | CR0_ET;
    r.eip = low(s->start);
    r.eflags = 2;
    r.cs = cpl ? SEL_USER_CODE32 : SEL_CODE32;
    r.ss = r.ds = r.es = r.fs = r.gs = cpl ? SEL_USER_DATA : SEL_DATA;
    r.esp = low(cpl ? stack3_top : stack0_top);
}

/* Copies the snippet to LOW_CODE, for real mode. */
static inline void prepare16(const struct snippet *s)
{
    memcpy((void *)LOW_CODE, s->start, (size_t)(s->next - s->start) + 32);
    r = (struct legacy){0};
    r.cr0 = CR0_PE | CR0_ET;
    r.eip = LOW_CODE;
    r.eflags = 2;
    r.esp = LOW_STACK;
    r.real = 1;
}

/* The same for virtual-8086 mode. */
static inline void prepare_v86(const struct snippet *s, unsigned iopl)
{
    prepare16(s);
    r.real = 0;
    r.eflags = 2 | FLAG_VM | iopl << 12;
}

static inline uint32_t at16(const struct snippet *s)
{
    return LOW_CODE + (uint32_t)(s->at - s->start);
}

static inline uint32_t next16(const struct snippet *s)
{
    return LOW_CODE + (uint32_t)(s->next - s->start);
}

static inline void go(const char *what, unsigned vector, uint32_t error)
{
    legacy(&r);
    if (r.vector != vector || r.error != error)
        test_fail("%s: vector %u, error code 0x%x at 0x%x:0x%x, not %u, 0x%x", what, r.vector, r.error, r.cs,
                  r.eip, vector, error);
}

static inline void set_descriptor(unsigned selector, uint64_t value)
{
    gdt[selector / 8] = value;
}

#endif
