/*
 * x87.h - the x87's arithmetic by the host's own unit, and how its outcome becomes guest state.
 *
 * An x87_op takes its operands from memory and leaves its results there, one after the other: registers as struct f80, memory
 * formats as their bytes at the start of one. It returns the host's status word after the operation; of that, flags
 * below FSW_SF may be older than the operation, so run it with x87_run(), which sorts that out.
 *
 * Hosts other than x86-64 have no such unit: there x87_run() raises #UD, and says so in the log.
 */
#ifndef CPU_INTERP_X87_H
#define CPU_INTERP_X87_H

#include "cpu/fpu.h"
#include "cpu/interp/body.h"

typedef uint16_t x87_op(const struct f80 *a, const struct f80 *b, struct f80 *r);

/* Runs `op` under the guest's control word. Returns the host's status word with the flags of the operation alone. */
uint16_t x87_run(struct cpu *cpu, const struct insn *i, x87_op *op, const struct f80 *a, const struct f80 *b,
                 struct f80 *r);

/*
 * r = ST(0) op source, for each format of the source. `op` serves as x87_arith's index: ModRM.reg of the encodings.
 */
enum x87_format { X87_F80, X87_F32, X87_F64, X87_I16, X87_I32, X87_FORMATS };
enum { X87_ADD, X87_MUL, X87_COM, X87_COMP, X87_SUB, X87_SUBR, X87_DIV, X87_DIVR };
extern x87_op *const x87_arith[8][X87_FORMATS];

/* Memory formats to a register, and back with the host's rounding; integers of 16, 32 and 64 bits, chopped ones too. */
x87_op x87_load_f32, x87_load_f64, x87_load_i16, x87_load_i32, x87_load_i64, x87_load_bcd;
x87_op x87_store_f32, x87_store_f64, x87_store_i16, x87_store_i32, x87_store_i64, x87_store_bcd;
x87_op x87_chop_i16, x87_chop_i32, x87_chop_i64;

/* ST(0) alone; ST(0) and ST(1); the last three leave two results, ST(1)'s first (or, with C2 set, one). */
x87_op x87_tst, x87_xam, x87_sqrt, x87_rndint, x87_2xm1, x87_sin, x87_cos;
x87_op x87_ucom, x87_prem, x87_prem1, x87_scale, x87_yl2x, x87_yl2xp1, x87_patan;
x87_op x87_sincos, x87_ptan, x87_xtract;

/* FLD1, FLDL2T, FLDL2E, FLDPI, FLDLG2, FLDLN2, FLDZ, in the order of their encodings. */
extern x87_op *const x87_constants[7];

#endif
