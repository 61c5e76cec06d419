/*
 * xsave.h - the extended state as XSAVE and its kin see it (SDM 1 chapter 13): which components there are,
 * where they lie in an area, and moving them between the state and memory.
 *
 * An area is 512 bytes as FXSAVE has them, a header of 64 bytes, and then the other components: in the
 * standard format each where CPUID leaf 0xD says, in the compacted format one after the other.
 *
 * Masks of components are laid out as XCR0: bit n is component n.
 */
#ifndef CPU_XSAVE_H
#define CPU_XSAVE_H

#include "cpu/internal.h"

/* What XCR0 and IA32_XSS can have. */
uint64_t xsave_user_components(const struct cpu *cpu);
uint64_t xsave_supervisor_components(const struct cpu *cpu);

/* XINUSE: the components that are not in their initial state. MXCSR counts for none (SDM 1 13.6). */
uint64_t xsave_in_use(const struct cpu *cpu);

/* Whether XSETBV takes the value (SDM 1 13.3). */
bool xcr0_valid(const struct cpu *cpu, uint64_t value);

/* CPUID leaf 0xD, into zeroed `out`: EAX EBX ECX EDX. */
void xsave_leaf(const struct cpu *cpu, uint32_t subleaf, uint32_t out[4]);

enum xsave_kind {
    XSAVE_PLAIN,
    XSAVE_OPT,       /* leaves out what is in its initial state */
    XSAVE_COMPACTED, /* that too; XSAVEC and XSAVES */
};

/*
 * Store and load the components in `rfbm` (SDM: "requested-feature bitmap") at the address that the
 * instruction's memory operand names. All checks but those of privilege and CR0, CR4 are made here; whatever
 * faults, neither memory nor state has changed. `supervisor`: XRSTORS, which takes the compacted format
 * alone.
 */
void xsave_store(struct cpu *cpu, const struct insn *i, uint64_t rfbm, enum xsave_kind kind);
void xsave_load(struct cpu *cpu, const struct insn *i, uint64_t rfbm, bool supervisor);

#endif
