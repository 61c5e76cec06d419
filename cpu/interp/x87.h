/*
 * x87.h - the x87's arithmetic by the host's own unit, and how its outcome becomes guest state.
 *
 * An x87_op takes its operands from memory and leaves its results there, one after the other: registers as
 * struct f80, memory formats as their bytes at the start of one. It returns the host's status word after the
 * operation; of that, flags below FSW_SF may be older than the operation, so run it with x87_run(), which
 * sorts that out.
 *
 * Hosts other than x86-64 have no such unit: there x87_run() raises #UD, and says so in the log.
 */
#ifndef CPU_INTERP_X87_H
#define CPU_INTERP_X87_H

#include "cpu/fpu.h"
#include "cpu/interp/body.h"

typedef uint16_t x87_op(const struct f80 *a, const struct f80 *b, struct f80 *r);

/* Runs `op` under the guest's control word. Returns the host's status word with the flags of the operation
 * alone. */
uint16_t x87_run(struct cpu *cpu, const struct insn *i, x87_op *op, const struct f80 *a, const struct f80 *b,
                 struct f80 *r);

/*
 * r = ST(0) op source, for each format of the source. `op` serves as x87_arith's index: ModRM.reg of the
 * encodings.
 */
enum x87_format { X87_F80, X87_F32, X87_F64, X87_I16, X87_I32, X87_FORMATS };
enum { X87_ADD, X87_MUL, X87_COM, X87_COMP, X87_SUB, X87_SUBR, X87_DIV, X87_DIVR };
extern x87_op *const x87_arith[8][X87_FORMATS];

/* Memory formats to a register, and back with the host's rounding; integers of 16, 32 and 64 bits, chopped
 * ones too. */
x87_op x87_load_f32, x87_load_f64, x87_load_i16, x87_load_i32, x87_load_i64, x87_load_bcd;
x87_op x87_store_f32, x87_store_f64, x87_store_i16, x87_store_i32, x87_store_i64, x87_store_bcd;
x87_op x87_chop_i16, x87_chop_i32, x87_chop_i64;

/* ST(0) alone; ST(0) and ST(1); the last three leave two results, ST(1)'s first (or, with C2 set, one). */
x87_op x87_tst, x87_xam, x87_sqrt, x87_rndint, x87_2xm1, x87_sin, x87_cos;
x87_op x87_ucom, x87_prem, x87_prem1, x87_scale, x87_yl2x, x87_yl2xp1, x87_patan;
x87_op x87_sincos, x87_ptan, x87_xtract;

/* FLD1, FLDL2T, FLDL2E, FLDPI, FLDLG2, FLDLN2, FLDZ, in the order of their encodings. */
extern x87_op *const x87_constants[7];

/* --- The stack ----------------------------------------------------------------------------------- */

static inline struct f80 *st(struct cpu *cpu, unsigned n)
{
    return &cpu->s.st[(fpu_top(&cpu->s) + n) & 7];
}

static inline bool is_empty(const struct cpu *cpu, unsigned n)
{
    return !(cpu->s.fptag >> ((fpu_top(&cpu->s) + n) & 7) & 1);
}

static inline void set_st(struct cpu *cpu, unsigned n, const struct f80 *value)
{
    unsigned at = (fpu_top(&cpu->s) + n) & 7;

    cpu->s.st[at] = *value;
    cpu->s.fptag |= (uint8_t)(1u << at);
}

static inline void set_empty(struct cpu *cpu, unsigned n)
{
    cpu->s.fptag &= (uint8_t) ~(1u << ((fpu_top(&cpu->s) + n) & 7));
}

static inline void pop_st(struct cpu *cpu)
{
    set_empty(cpu, 0);
    fpu_set_top(&cpu->s, fpu_top(&cpu->s) + 1);
}

static inline void push_st(struct cpu *cpu, const struct f80 *value)
{
    fpu_set_top(&cpu->s, fpu_top(&cpu->s) - 1);
    set_st(cpu, 0, value);
}

/* --- Outcomes ------------------------------------------------------------------------------------ */

/*
 * What comes out of an exception depends on its mask (SDM 1 8.5 and 8.6):
 *
 *     stack fault         IE, SF and C1 say so; masked, the result is the default NaN; unmasked, nothing
 * moves IE, DE, ZE unmasked nothing but the flags OE, UE unmasked     a register gets the result with its
 * exponent wrapped by 24576; memory gets nothing PE unmasked         as masked
 *
 * Any unmasked flag sets ES, and the next waiting x87 or MMX instruction raises #MF.
 */
#define X87_PRE_FLAGS  (FSW_IE | FSW_DE | FSW_ZE)
#define X87_POST_FLAGS (FSW_OE | FSW_UE)

static const struct f80 x87_default_nan = {0xc000000000000000, 0xffff};

static inline unsigned unmasked(const struct cpu *cpu, unsigned sw)
{
    return sw & FSW_EXCEPTIONS & ~cpu->s.fcw;
}

static inline bool is_tiny(const struct f80 *v)
{
    return !(v->exponent & 0x7fff) && v->mantissa;
}

/* Commits flags and, from `sw`, the condition codes in `cc`; notes the instruction's pointers. */
void x87_commit(struct cpu *cpu, const struct insn *i, unsigned sw, unsigned cc);

/* A stack fault, in `cc` C1 telling the direction. Returns whether the masked response is wanted. */
bool x87_stack_fault(struct cpu *cpu, const struct insn *i, bool overflow, unsigned cc);

/* Commits the flags of an unmasked exception that leaves the operands alone, if there is one; clears `cc`. */
bool x87_stopped(struct cpu *cpu, const struct insn *i, unsigned sw, unsigned cc);

/*
 * x87_wrap.c: unmasked overflow and underflow. Each makes *r the wrapped result and returns the status word
 * that goes with it, given that of the masked operation.
 */
unsigned x87_wrap_arithmetic(struct cpu *cpu, const struct insn *i, unsigned op, const struct f80 *b,
                             unsigned sw, struct f80 *r);
unsigned x87_wrap_scale(struct cpu *cpu, const struct insn *i, unsigned sw, struct f80 *r);
unsigned x87_wrap_function(struct cpu *cpu, const struct insn *i, x87_op *op, unsigned sw, struct f80 *r);

/* Whether the operation that ended in `sw` and `r` needs one of these. */
static inline bool x87_wraps(const struct cpu *cpu, unsigned sw, const struct f80 *r)
{
    return (unmasked(cpu, sw) & X87_POST_FLAGS) || (!(cpu->s.fcw & FSW_UE) && is_tiny(r));
}

#endif
