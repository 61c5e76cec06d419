/*
 * x87.c - x87 instructions that compute: arithmetic, comparisons, functions.
 *
 * An instruction computes first (x87_run, or by hand what the stack's state decides), then writes memory if
 * it does, and commits last.
 */
#include "cpu/interp/x87.h"

/* --- ST(0) op source ----------------------------------------------------------------------------- */

/* r = ST(0) op b to ST(to); true when it was stored. */
static __attribute__((noinline)) bool arithmetic(struct cpu *cpu, const struct insn *i, unsigned op,
                                                 enum x87_format format, const struct f80 *b, unsigned to)
{
    struct f80 r, wide = {0, 0};
    unsigned sw = x87_run(cpu, i, x87_arith[op][format], st(cpu, 0), b, &r);

    if (x87_stopped(cpu, i, sw, FSW_C1))
        return false;
    if (unlikely(x87_wraps(cpu, sw, &r))) {
        static x87_op *const widen[] = {NULL, x87_load_f32, x87_load_f64, x87_load_i16, x87_load_i32};

        if (widen[format])
            x87_run(cpu, i, widen[format], b, b, &wide);
        else
            wide = *b;
        sw = x87_wrap_arithmetic(cpu, i, op, &wide, sw, &r);
    }
    set_st(cpu, to, &r);
    x87_commit(cpu, i, sw, FSW_C1);
    return true;
}

static __attribute__((noinline)) void arithmetic_st(struct cpu *cpu, const struct insn *i, unsigned op,
                                                    unsigned to, bool pop)
{
    bool stored;

    if (unlikely(is_empty(cpu, 0) || is_empty(cpu, i->rm))) {
        stored = x87_stack_fault(cpu, i, false, FSW_C1);
        if (stored)
            set_st(cpu, to, &x87_default_nan);
    } else {
        stored = arithmetic(cpu, i, op, X87_F80, st(cpu, i->rm), to);
    }
    if (stored && pop)
        pop_st(cpu);
}

static const uint8_t format_size[] = {10, 4, 8, 2, 4};

static __attribute__((noinline)) void arithmetic_memory(struct cpu *cpu, const struct insn *i, unsigned op,
                                                        enum x87_format format)
{
    struct f80 b = {mem_read(cpu, i, format_size[format]), 0};

    if (likely(!is_empty(cpu, 0)))
        arithmetic(cpu, i, op, format, &b, 0);
    else if (x87_stack_fault(cpu, i, false, FSW_C1))
        set_st(cpu, 0, &x87_default_nan);
}

#define ARITHMETIC(name, op)                                                                                 \
    BODY(name##_st0_sti)                                                                                     \
    {                                                                                                        \
        x87_check(cpu, i);                                                                                   \
        arithmetic_st(cpu, i, op, 0, false);                                                                 \
        NEXT;                                                                                                \
    }                                                                                                        \
    BODY(name##_sti_st0)                                                                                     \
    {                                                                                                        \
        x87_check(cpu, i);                                                                                   \
        arithmetic_st(cpu, i, op, i->rm, false);                                                             \
        NEXT;                                                                                                \
    }                                                                                                        \
    BODY(name##p_sti_st0)                                                                                    \
    {                                                                                                        \
        x87_check(cpu, i);                                                                                   \
        arithmetic_st(cpu, i, op, i->rm, true);                                                              \
        NEXT;                                                                                                \
    }                                                                                                        \
    ARITHMETIC_MEMORY(name##_m32, op, X87_F32)                                                               \
    ARITHMETIC_MEMORY(name##_m64, op, X87_F64)                                                               \
    ARITHMETIC_MEMORY(name##_m16i, op, X87_I16)                                                              \
    ARITHMETIC_MEMORY(name##_m32i, op, X87_I32)

#define ARITHMETIC_MEMORY(name, op, format)                                                                  \
    BODY(name)                                                                                               \
    {                                                                                                        \
        x87_check(cpu, i);                                                                                   \
        arithmetic_memory(cpu, i, op, format);                                                               \
        NEXT;                                                                                                \
    }

ARITHMETIC(fadd, X87_ADD)
ARITHMETIC(fmul, X87_MUL)
/* The destination ST(i) swaps the mnemonics: DC /4 is FSUBR ST(i), ST(0), which is ST(0) - ST(i) like D8 /4.
 */
ARITHMETIC(fsub, X87_SUB)
ARITHMETIC(fsubr, X87_SUBR)
ARITHMETIC(fdiv, X87_DIV)
ARITHMETIC(fdivr, X87_DIVR)

/* --- Comparisons --------------------------------------------------------------------------------- */

/*
 * The outcome of a comparison as C3, C2 and C0; all of them for unordered. False when an unmasked exception
 * stops it. `cc`: FSW_C1 where the instruction clears it.
 */
static bool compare(struct cpu *cpu, const struct insn *i, x87_op *op, const struct f80 *b, bool missing,
                    unsigned cc, unsigned *outcome)
{
    unsigned sw;
    struct f80 unused[2];

    if (unlikely(missing)) {
        *outcome = FSW_C3 | FSW_C2 | FSW_C0;
        return x87_stack_fault(cpu, i, false, FSW_C1);
    }
    sw = x87_run(cpu, i, op, st(cpu, 0), b, unused);
    *outcome = sw & (FSW_C3 | FSW_C2 | FSW_C0);
    if (x87_stopped(cpu, i, sw, cc))
        return false;
    x87_commit(cpu, i, sw & FSW_EXCEPTIONS, cc);
    return true;
}

static __attribute__((noinline)) void compare_cc(struct cpu *cpu, const struct insn *i, x87_op *op,
                                                 const struct f80 *b, bool missing, unsigned pops)
{
    unsigned outcome;
    bool done = compare(cpu, i, op, b, missing, FSW_C1, &outcome);

    cpu->s.fsw = (uint16_t)((cpu->s.fsw & ~(FSW_C3 | FSW_C2 | FSW_C0)) | outcome);
    for (; done && pops; pops--)
        pop_st(cpu);
}

static __attribute__((noinline)) void compare_memory(struct cpu *cpu, const struct insn *i,
                                                     enum x87_format format, unsigned pops)
{
    struct f80 b = {mem_read(cpu, i, format_size[format]), 0};

    compare_cc(cpu, i, x87_arith[X87_COM][format], &b, is_empty(cpu, 0), pops);
}

static __attribute__((noinline)) void compare_flags(struct cpu *cpu, const struct insn *i, x87_op *op,
                                                    unsigned pops)
{
    unsigned outcome;
    bool missing = is_empty(cpu, 0) || is_empty(cpu, i->rm);
    /* AMD's processors leave C1 alone here. */
    bool done = compare(cpu, i, op, st(cpu, i->rm), missing, 0, &outcome);

    set_arith_flags(cpu, (outcome & FSW_C3 ? FLAG_ZF : 0) | (outcome & FSW_C2 ? FLAG_PF : 0) |
                             (outcome & FSW_C0 ? FLAG_CF : 0));
    if (done && pops)
        pop_st(cpu);
}

#define COMPARE_ST(name, op, source, pops)                                                                   \
    BODY(name)                                                                                               \
    {                                                                                                        \
        x87_check(cpu, i);                                                                                   \
        compare_cc(cpu, i, op, st(cpu, source), is_empty(cpu, 0) || is_empty(cpu, source), pops);            \
        NEXT;                                                                                                \
    }
#define COMPARE_MEMORY(name, format, pops)                                                                   \
    BODY(name)                                                                                               \
    {                                                                                                        \
        x87_check(cpu, i);                                                                                   \
        compare_memory(cpu, i, format, pops);                                                                \
        NEXT;                                                                                                \
    }
#define COMPARE_FLAGS(name, op, pops)                                                                        \
    BODY(name)                                                                                               \
    {                                                                                                        \
        x87_check(cpu, i);                                                                                   \
        compare_flags(cpu, i, op, pops);                                                                     \
        NEXT;                                                                                                \
    }

COMPARE_ST(fcom, x87_arith[X87_COM][X87_F80], i->rm, 0)
COMPARE_ST(fcomp, x87_arith[X87_COM][X87_F80], i->rm, 1)
COMPARE_ST(fcompp, x87_arith[X87_COM][X87_F80], 1, 2)
COMPARE_ST(fucom, x87_ucom, i->rm, 0)
COMPARE_ST(fucomp, x87_ucom, i->rm, 1)
COMPARE_ST(fucompp, x87_ucom, 1, 2)
COMPARE_ST(ftst, x87_tst, 0, 0)
COMPARE_MEMORY(fcom_m32, X87_F32, 0)
COMPARE_MEMORY(fcom_m64, X87_F64, 0)
COMPARE_MEMORY(fcom_m16i, X87_I16, 0)
COMPARE_MEMORY(fcom_m32i, X87_I32, 0)
COMPARE_MEMORY(fcomp_m32, X87_F32, 1)
COMPARE_MEMORY(fcomp_m64, X87_F64, 1)
COMPARE_MEMORY(fcomp_m16i, X87_I16, 1)
COMPARE_MEMORY(fcomp_m32i, X87_I32, 1)
COMPARE_FLAGS(fcomi, x87_arith[X87_COM][X87_F80], 0)
COMPARE_FLAGS(fcomip, x87_arith[X87_COM][X87_F80], 1)
COMPARE_FLAGS(fucomi, x87_ucom, 0)
COMPARE_FLAGS(fucomip, x87_ucom, 1)

static __attribute__((noinline)) void examine(struct cpu *cpu, const struct insn *i)
{
    struct f80 unused[2];
    unsigned cc = FSW_C3 | FSW_C0 | (st(cpu, 0)->exponent & 0x8000 ? FSW_C1 : 0); /* empty */

    if (!is_empty(cpu, 0))
        cc = x87_run(cpu, i, x87_xam, st(cpu, 0), st(cpu, 0), unused);
    x87_commit(cpu, i, cc & FSW_CC, FSW_CC);
}

BODY(fxam)
{
    x87_check(cpu, i);
    examine(cpu, i);
    NEXT;
}

/* --- Functions of ST(0) and ST(1) ---------------------------------------------------------------- */

static bool is_nan(const struct f80 *v)
{
    return (v->exponent & 0x7fff) == 0x7fff && v->mantissa << 1;
}

/* r = f(ST(0)) to ST(0); `cc` is what of the condition codes it sets. */
static __attribute__((noinline)) void unary(struct cpu *cpu, const struct insn *i, x87_op *op, unsigned cc)
{
    struct f80 r;
    unsigned sw;

    if (unlikely(is_empty(cpu, 0))) {
        if (x87_stack_fault(cpu, i, false, cc))
            set_st(cpu, 0, &x87_default_nan);
        return;
    }
    sw = x87_run(cpu, i, op, st(cpu, 0), st(cpu, 0), &r);
    if (x87_stopped(cpu, i, sw, cc))
        return;
    if (unlikely(x87_wraps(cpu, sw, &r)))
        sw = x87_wrap_function(cpu, i, op, sw, &r);
    set_st(cpu, 0, &r);
    x87_commit(cpu, i, sw, cc);
}

#define UNARY(name, op, cc)                                                                                  \
    BODY(name)                                                                                               \
    {                                                                                                        \
        x87_check(cpu, i);                                                                                   \
        unary(cpu, i, op, cc);                                                                               \
        NEXT;                                                                                                \
    }

UNARY(fsqrt, x87_sqrt, FSW_C1)
UNARY(frndint, x87_rndint, FSW_C1)
UNARY(f2xm1, x87_2xm1, FSW_C1)
UNARY(fsin, x87_sin, FSW_C1 | FSW_C2)
UNARY(fcos, x87_cos, FSW_C1 | FSW_C2)

/* FCHS and FABS: the sign alone, of anything. */
static __attribute__((noinline)) void set_sign(struct cpu *cpu, const struct insn *i, uint16_t keep,
                                               uint16_t flip)
{
    struct f80 r = *st(cpu, 0);

    if (unlikely(is_empty(cpu, 0))) {
        if (!x87_stack_fault(cpu, i, false, FSW_C1))
            return;
        r = x87_default_nan;
    } else {
        r.exponent = (r.exponent & keep) ^ flip;
        x87_commit(cpu, i, 0, FSW_C1);
    }
    set_st(cpu, 0, &r);
}

BODY(fchs)
{
    x87_check(cpu, i);
    set_sign(cpu, i, 0xffff, 0x8000);
    NEXT;
}

BODY(fabs_st0)
{
    x87_check(cpu, i);
    set_sign(cpu, i, 0x7fff, 0);
    NEXT;
}

/* r = f(ST(0), ST(1)), to ST(0), or to ST(1) with a pop. */
static __attribute__((noinline)) void binary(struct cpu *cpu, const struct insn *i, x87_op *op, bool pop,
                                             unsigned cc)
{
    struct f80 r;
    unsigned sw;

    if (unlikely(is_empty(cpu, 0) || is_empty(cpu, 1))) {
        if (!x87_stack_fault(cpu, i, false, cc & (FSW_C1 | FSW_C2)))
            return;
        r = x87_default_nan;
    } else {
        sw = x87_run(cpu, i, op, st(cpu, 0), st(cpu, 1), &r);
        if (x87_stopped(cpu, i, sw, cc & (FSW_C1 | FSW_C2)))
            return;
        if (unlikely(x87_wraps(cpu, sw, &r)))
            sw = x87_wrap_function(cpu, i, op, sw, &r);
        /* FPREM and FPREM1 have no quotient to tell of when they end in a NaN. */
        x87_commit(cpu, i, sw, is_nan(&r) ? cc & (FSW_C1 | FSW_C2) : cc);
    }
    if (pop)
        pop_st(cpu);
    set_st(cpu, 0, &r);
}

#define BINARY(name, op, pop, cc)                                                                            \
    BODY(name)                                                                                               \
    {                                                                                                        \
        x87_check(cpu, i);                                                                                   \
        binary(cpu, i, op, pop, cc);                                                                         \
        NEXT;                                                                                                \
    }

BINARY(fprem, x87_prem, false, FSW_CC)
BINARY(fprem1, x87_prem1, false, FSW_CC)
BINARY(fyl2x, x87_yl2x, true, FSW_C1)
BINARY(fyl2xp1, x87_yl2xp1, true, FSW_C1)
BINARY(fpatan, x87_patan, true, FSW_C1)

static __attribute__((noinline)) void scale(struct cpu *cpu, const struct insn *i)
{
    struct f80 r;
    unsigned sw;

    if (unlikely(is_empty(cpu, 0) || is_empty(cpu, 1))) {
        if (x87_stack_fault(cpu, i, false, FSW_C1))
            set_st(cpu, 0, &x87_default_nan);
        return;
    }
    sw = x87_run(cpu, i, x87_scale, st(cpu, 0), st(cpu, 1), &r);
    if (x87_stopped(cpu, i, sw, FSW_C1))
        return;
    if (unlikely(x87_wraps(cpu, sw, &r)))
        sw = x87_wrap_scale(cpu, i, sw, &r);
    set_st(cpu, 0, &r);
    x87_commit(cpu, i, sw, FSW_C1);
}

BODY(fscale)
{
    x87_check(cpu, i);
    scale(cpu, i);
    NEXT;
}

/* FSINCOS, FPTAN, FXTRACT: ST(0) becomes one result and another is pushed. */
static __attribute__((noinline)) void pushing(struct cpu *cpu, const struct insn *i, x87_op *op, unsigned cc)
{
    struct f80 r[2] = {x87_default_nan, x87_default_nan};
    unsigned sw = 0;

    if (unlikely(is_empty(cpu, 0) || !is_empty(cpu, 7))) {
        if (!x87_stack_fault(cpu, i, !is_empty(cpu, 0), cc))
            return;
    } else {
        sw = x87_run(cpu, i, op, st(cpu, 0), st(cpu, 0), r);
        if (x87_stopped(cpu, i, sw, cc))
            return;
        if (unlikely(x87_wraps(cpu, sw, &r[0])))
            sw = x87_wrap_function(cpu, i, op, sw, &r[0]);
        x87_commit(cpu, i, sw, cc);
    }
    set_st(cpu, 0, &r[0]);
    if (!(sw & cc & FSW_C2))
        push_st(cpu, &r[1]);
}

#define PUSHING(name, op, cc)                                                                                \
    BODY(name)                                                                                               \
    {                                                                                                        \
        x87_check(cpu, i);                                                                                   \
        pushing(cpu, i, op, cc);                                                                             \
        NEXT;                                                                                                \
    }

PUSHING(fsincos, x87_sincos, FSW_C1 | FSW_C2)
PUSHING(fptan, x87_ptan, FSW_C1 | FSW_C2)
PUSHING(fxtract, x87_xtract, FSW_C1)
