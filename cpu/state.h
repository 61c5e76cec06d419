/*
 * state.h - the architectural state of one x86-64 processor, in its canonical form.
 *
 * Everything the manuals call state is here, hidden descriptor caches included, and nothing else. The
 * interpreter, the JIT, KVM, the debugger and snapshots all read and write this struct and agree on every bit
 * of it. Engines may cache parts elsewhere while they run (lazy flags, host registers, the kernel's vCPU);
 * cpu_pull() brings this struct up to date at an instruction boundary, cpu_push() makes an engine notice that
 * it was changed.
 *
 * cpu_state_fields (state.c) describes it for save, load, compare and print.
 */
#ifndef CPU_STATE_H
#define CPU_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/fields.h"

/* General registers, by their number in encodings. */
enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

/* Segment registers, by their number in encodings. */
enum { ES, CS, SS, DS, FS, GS, SEG_COUNT };

/* RFLAGS */
#define FLAG_CF     (1u << 0)
#define FLAG_1      (1u << 1) /* always one */
#define FLAG_PF     (1u << 2)
#define FLAG_AF     (1u << 4)
#define FLAG_ZF     (1u << 6)
#define FLAG_SF     (1u << 7)
#define FLAG_TF     (1u << 8)
#define FLAG_IF     (1u << 9)
#define FLAG_DF     (1u << 10)
#define FLAG_OF     (1u << 11)
#define FLAG_IOPL   (3u << 12)
#define FLAG_NT     (1u << 14)
#define FLAG_RF     (1u << 16)
#define FLAG_VM     (1u << 17)
#define FLAG_AC     (1u << 18)
#define FLAG_VIF    (1u << 19)
#define FLAG_VIP    (1u << 20)
#define FLAG_ID     (1u << 21)
#define FLAGS_ARITH (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

#define CR0_PE (1u << 0)
#define CR0_MP (1u << 1)
#define CR0_EM (1u << 2)
#define CR0_TS (1u << 3)
#define CR0_ET (1u << 4)
#define CR0_NE (1u << 5)
#define CR0_WP (1u << 16)
#define CR0_AM (1u << 18)
#define CR0_NW (1u << 29)
#define CR0_CD (1u << 30)
#define CR0_PG (1u << 31)

#define CR4_VME        (1u << 0)
#define CR4_PVI        (1u << 1)
#define CR4_TSD        (1u << 2)
#define CR4_DE         (1u << 3)
#define CR4_PSE        (1u << 4)
#define CR4_PAE        (1u << 5)
#define CR4_MCE        (1u << 6)
#define CR4_PGE        (1u << 7)
#define CR4_PCE        (1u << 8)
#define CR4_OSFXSR     (1u << 9)
#define CR4_OSXMMEXCPT (1u << 10)
#define CR4_UMIP       (1u << 11)
#define CR4_LA57       (1u << 12)
#define CR4_FSGSBASE   (1u << 16)
#define CR4_PCIDE      (1u << 17)
#define CR4_OSXSAVE    (1u << 18)
#define CR4_SMEP       (1u << 20)
#define CR4_SMAP       (1u << 21)
#define CR4_PKE        (1u << 22)

#define XCR0_X87  (1u << 0)
#define XCR0_SSE  (1u << 1)
#define XCR0_AVX  (1u << 2)
#define XCR0_PKRU (1u << 9)

#define EFER_SCE   (1u << 0)
#define EFER_LME   (1u << 8)
#define EFER_LMA   (1u << 10)
#define EFER_NXE   (1u << 11)
#define EFER_FFXSR (1u << 14)

/*
 * Segment attributes, in the layout of bits 47:40 and 55:52 of a descriptor moved to 15:0 (the form of VMX
 * and KVM too): type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, D/B 14, G 15, and one bit of our own for "null or
 * unusable".
 */
#define SEG_TYPE       0x000fu
#define SEG_ACCESSED   0x0001u
#define SEG_WRITABLE   0x0002u /* data */
#define SEG_READABLE   0x0002u /* code */
#define SEG_EXPDOWN    0x0004u /* data */
#define SEG_CONFORMING 0x0004u /* code */
#define SEG_CODE       0x0008u
#define SEG_S          0x0010u
#define SEG_DPL        0x0060u
#define SEG_DPL_SHIFT  5
#define SEG_P          0x0080u
#define SEG_AVL        0x1000u
#define SEG_L          0x2000u
#define SEG_DB         0x4000u
#define SEG_G          0x8000u
#define SEG_UNUSABLE   0x10000u

struct segment {
    uint64_t base;
    uint32_t limit; /* in bytes, G already applied */
    uint32_t attr;
    uint16_t selector;
};

struct table_reg { /* GDTR, IDTR */
    uint64_t base;
    uint16_t limit;
};

/* 80-bit x87 register. */
struct f80 {
    uint64_t mantissa;
    uint16_t exponent; /* sign in bit 15 */
} __attribute__((aligned(16)));

/* 512 bits, so that AVX-512 needs no new state. */
union zmm {
    uint8_t u8[64];
    uint16_t u16[32];
    uint32_t u32[16];
    uint64_t u64[8];
    float f32[16];
    double f64[8];
} __attribute__((aligned(64)));

enum cpu_activity {
    CPU_RUNNING,
    CPU_HALTED,    /* HLT: until an interrupt */
    CPU_SHUTDOWN,  /* triple fault */
    CPU_WAIT_SIPI, /* an application processor after INIT */
};

/* Of an event that an engine left undelivered; numbered as in VMX (SDM 3C 25.8.3). */
enum event_type { EVENT_INTERRUPT = 0, EVENT_NMI = 2, EVENT_EXCEPTION = 3 };

#define MC_BANKS 10 /* of machine-check registers */

struct cpu_state {
    uint64_t gpr[16];
    uint64_t rip;
    uint64_t rflags;

    struct segment seg[SEG_COUNT]; /* the CPL is SS.DPL (SDM 3A 5.5); kept in `cpl` beside it */
    struct segment ldtr, tr;
    struct table_reg gdtr, idtr;
    uint8_t cpl;

    uint64_t cr0, cr2, cr3, cr4;
    uint64_t xcr0;
    uint64_t dr[8]; /* 4 and 5 unused */
    uint64_t efer;
    uint64_t pdpte[4]; /* PAE paging's cached PDPTE registers (SDM 3A 4.4.1) */

    /* MSRs */
    uint64_t star, lstar, cstar, sfmask, kernel_gs_base;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t pat;
    uint64_t tsc_offset; /* guest TSC = clock ticks + tsc_offset, modulo 2^64 */
    uint64_t tsc_adjust;
    uint64_t tsc_aux;
    uint64_t misc_enable;
    uint64_t spec_ctrl;
    uint64_t mtrr_def_type, mtrr_fixed[11], mtrr_base[8], mtrr_mask[8];
    uint64_t mcg_status, mc_ctl[MC_BANKS], mc_addr[MC_BANKS];
    uint64_t xss;
    uint32_t pkru;

    /* x87. MMX registers are the mantissas. st[] is indexed by physical register, not by stack position. */
    struct f80 st[8];
    uint16_t fcw, fsw;
    uint8_t fptag; /* abridged form: bit n set, physical register n is not empty */
    uint16_t fop;
    uint64_t fip, fdp;
    uint16_t fcs, fds;

    uint32_t mxcsr;
    union zmm zmm[32];
    uint64_t opmask[8];

    /* kvm-clock: the two MSRs; and what the guest's kvm-clock shows beyond core/clock's time, modulo 2^64, so that it goes
       on evenly when an engine with a clock of its own takes over or leaves */
    uint64_t kvm_system_time, kvm_wall_clock, kvm_clock_offset;

    /* What is between instructions. */
    uint8_t activity; /* enum cpu_activity */
    uint8_t shadow;   /* bit 0: after STI, bit 1: after MOV/POP SS: no interrupt (nor, for SS, a #DB) before
                         the next instruction is done */
    uint8_t nmi_blocked; /* inside an NMI handler, until IRET */
    uint8_t nmi_pending;
    uint8_t init_pending, smi_pending;
    uint8_t sipi_pending, sipi_vector;
    uint8_t event_pending; /* an event that was being delivered when an engine was left: */
    uint8_t event_vector, event_type, event_has_error; /* enum event_type */
    uint32_t event_error;
    uint64_t pending_debug; /* DR6 bits of a #DB due at the next boundary */
};

extern const struct field cpu_state_fields[];

#endif
