/*
 * bodies.h - bodies that no row of opcodes.def names.
 */
#ifndef CPU_INTERP_BODIES_H
#define CPU_INTERP_BODIES_H

#include "cpu/insn.h"

insn_fn body_undefined; /* raises #UD */
insn_fn body_too_long;  /* raises #GP(0): more than 15 bytes */
insn_fn body_end_near; /* after the last instruction of a trace that doesn't end in a jump: goes on at s.rip +
                          imm, which is in the same page; 64-bit mode */
insn_fn body_end;      /* the same in general */
insn_fn body_warm;       /* begins a trace that may become hot */
insn_fn body_translated; /* begins one that has been translated */
insn_fn body_stale;    /* stands in for instructions whose bytes were overwritten while their trace ran */

#endif
