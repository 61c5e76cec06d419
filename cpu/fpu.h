/*
 * fpu.h - x87, MMX and SSE state: the images that instructions store, and the checks they share.
 *
 * The canonical state (state.h) keeps st[] by physical register and the tags in abridged form; TOP is in FSW.
 * The full tag word and the ES and B bits are worked out when an image is made or loaded.
 *
 * FIP, FDP, FCS, FDS and FOP follow Intel's rule: every non-control x87 instruction updates them, whether it
 * raised an exception or not, and FXSAVE always stores them.
 */
#ifndef CPU_FPU_H
#define CPU_FPU_H

#include "cpu/internal.h"

/* FPU status word */
#define FSW_IE         0x0001u
#define FSW_DE         0x0002u
#define FSW_ZE         0x0004u
#define FSW_OE         0x0008u
#define FSW_UE         0x0010u
#define FSW_PE         0x0020u
#define FSW_SF         0x0040u
#define FSW_ES         0x0080u
#define FSW_C0         0x0100u
#define FSW_C1         0x0200u
#define FSW_C2         0x0400u
#define FSW_TOP        0x3800u
#define FSW_C3         0x4000u
#define FSW_B          0x8000u
#define FSW_EXCEPTIONS 0x003fu
#define FSW_CC         (FSW_C0 | FSW_C1 | FSW_C2 | FSW_C3)

/* FPU control word: the masks lie as FSW's exception flags; bit 6 always reads as one (SDM 1 8.1.5). */
#define FCW_RESERVED_ONE 0x0040u
#define FCW_PC           0x0300u
#define FCW_RC           0x0c00u
#define FCW_WRITABLE     0x1f3fu /* 12 is the 287's infinity control, kept and without effect */
#define FCW_INIT         0x037fu

/* MXCSR */
#define MXCSR_FLAGS    0x003fu
#define MXCSR_DAZ      0x0040u
#define MXCSR_MASKS    0x1f80u
#define MXCSR_RC       0x6000u
#define MXCSR_FTZ      0x8000u
#define MXCSR_DEFAULT  0x1f80u
#define MXCSR_WRITABLE 0xffffu /* what FXSAVE stores as MXCSR_MASK */

enum fpu_layout { FPU_PROTECTED, FPU_REAL };

static inline unsigned fpu_top(const struct cpu_state *s)
{
    return s->fsw >> 11 & 7;
}

static inline void fpu_set_top(struct cpu_state *s, unsigned top)
{
    s->fsw = (uint16_t)((s->fsw & ~FSW_TOP) | (top & 7) << 11);
}

/* ES and B from the flags and the control word's masks (SDM 1 8.1.3.3). */
void fpu_update_summary(struct cpu_state *s);

/* FNINIT's state; registers keep their contents. */
void fpu_init(struct cpu_state *s);

/* The 16-bit tag word: 0 valid, 1 zero, 2 special, 3 empty, two bits a physical register. */
uint16_t fpu_full_tag(const struct cpu_state *s);
uint8_t fpu_abridged_tag(uint16_t full);

/*
 * FNSTENV/FLDENV's environment of 14 (wide = false) or 28 bytes in the layout of the mode (SDM 1 8.1.10).
 * `image` holds 28 bytes. Returns its size.
 */
unsigned fpu_store_env(const struct cpu_state *s, uint8_t *image, bool wide, enum fpu_layout layout);
void fpu_load_env(struct cpu_state *s, const uint8_t *image, bool wide, enum fpu_layout layout);

/* The eight registers in stack order, ten bytes each, that FNSAVE puts after the environment. */
void fpu_store_registers(const struct cpu_state *s, uint8_t *image);
void fpu_load_registers(struct cpu_state *s, const uint8_t *image);

/*
 * FXSAVE's 512-byte image (SDM 1 10.5.1): `rexw` stores FIP and FDP with 64 bits instead of selector and 32;
 * `xmm_count` is 16 in 64-bit mode and 8 elsewhere. Bytes 464 to 511 belong to software: the store leaves
 * them, and what xmm_count doesn't cover, as they are in `image`.
 */
#define FXSAVE_SIZE 512u
void fpu_fxsave(const struct cpu_state *s, uint8_t *image, bool rexw, unsigned xmm_count);
/* The caller has checked the image's MXCSR. */
void fpu_fxrstor(struct cpu_state *s, const uint8_t *image, bool rexw, unsigned xmm_count);
/* The x87 part of it alone: bytes 0 to 23 and 32 to 159. */
void fpu_store_x87(const struct cpu_state *s, uint8_t *image, bool rexw);
void fpu_load_x87(struct cpu_state *s, const uint8_t *image, bool rexw);

/*
 * The checks, and what they do when they fail. The first two raise always; the others return when the
 * instruction may go on after all.
 */
_Noreturn void sse_unavailable(struct cpu *cpu, const struct insn *i);
_Noreturn void avx_unavailable(struct cpu *cpu, const struct insn *i);
void x87_unavailable(struct cpu *cpu, const struct insn *i);
void mmx_unavailable(struct cpu *cpu, const struct insn *i);

/* SSE: #UD for CR0.EM or no CR4.OSFXSR, #NM for CR0.TS (SDM 3A table 13-1). */
static inline uint64_t sse_blocked(const struct cpu *cpu)
{
    return (cpu->s.cr0 & (CR0_EM | CR0_TS)) | (~cpu->s.cr4 & CR4_OSFXSR);
}

static inline void sse_check(struct cpu *cpu, const struct insn *i)
{
    if (unlikely(sse_blocked(cpu)))
        sse_unavailable(cpu, i);
}

/* AVX: #UD without CR4.OSXSAVE and XCR0's SSE and AVX bits, #NM for CR0.TS (SDM 2A 2.4). */
static inline uint64_t avx_blocked(const struct cpu *cpu)
{
    return (cpu->s.cr0 & CR0_TS) | (~cpu->s.cr4 & CR4_OSXSAVE) | (~cpu->s.xcr0 & (XCR0_SSE | XCR0_AVX));
}

static inline void avx_check(struct cpu *cpu, const struct insn *i)
{
    if (unlikely(avx_blocked(cpu)))
        avx_unavailable(cpu, i);
}

/* MMX: #UD for CR0.EM, #NM for CR0.TS, then a pending x87 exception (SDM 3A table 12-1). */
static inline uint64_t mmx_blocked(const struct cpu *cpu)
{
    return (cpu->s.cr0 & (CR0_EM | CR0_TS)) | (cpu->s.fsw & FSW_ES);
}

static inline void mmx_check(struct cpu *cpu, const struct insn *i)
{
    if (unlikely(mmx_blocked(cpu)))
        mmx_unavailable(cpu, i);
}

/* Waiting x87 instructions: #NM for CR0.EM or TS, then a pending exception. */
static inline void x87_check(struct cpu *cpu, const struct insn *i)
{
    if (unlikely((cpu->s.cr0 & (CR0_EM | CR0_TS)) | (cpu->s.fsw & FSW_ES)))
        x87_unavailable(cpu, i);
}

/* The FN forms: no look at pending exceptions. */
static inline void x87_check_nowait(struct cpu *cpu, const struct insn *i)
{
    if (unlikely(cpu->s.cr0 & (CR0_EM | CR0_TS)))
        fault0(cpu, i, EX_NM);
}

/* What every MMX instruction but EMMS does to the x87 state (SDM 1 9.5.1). */
static inline void mmx_enter(struct cpu *cpu)
{
    cpu->s.fptag = 0xff;
    cpu->s.fsw &= (uint16_t)~FSW_TOP;
}

#endif
