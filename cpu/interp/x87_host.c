/*
 * x87_host.c - x87 operations by the host's x87.
 *
 * The host's control word is the default (all masked, 64 bits, nearest) outside x87_run().
 */
#include "core/log.h"
#include "cpu/interp/x87.h"

#if defined(__x86_64__) && !defined(OXBOW_NO_HOST_X87)

#define HOST_FCW FCW_INIT

#define OP(name, code)                                                                                       \
    uint16_t name(const struct f80 *a, const struct f80 *b, struct f80 *r)                                   \
    {                                                                                                        \
        uint16_t sw;                                                                                         \
                                                                                                             \
        (void)b;                                                                                             \
        __asm__ volatile(code                                                                                \
                         : "=m"(r[0]), "=m"(r[1]), "=&a"(sw)                                                 \
                         : "m"(*a), "m"(*b)                                                                  \
                         : "cc", "st", "st(1)", "st(2)");                                                    \
        return sw;                                                                                           \
    }

#define STATUS "fnstsw %%ax\n"

/* One operand and one result; a memory source; a memory result. */
#define UNARY(name, insn) OP(name, "fldt %3\n" insn "\n" STATUS "fstpt %0")
#define LOAD(name, insn)  OP(name, insn " %3\n" STATUS "fstpt %0")
#define STORE(name, insn) OP(name, "fldt %3\n" insn " %0\n" STATUS)

/* ST(0) = a, ST(1) = b, the result in ST(0) and ST(1) still there; the popping ones that leave one register.
 */
#define BINARY(name, insn)  OP(name, "fldt %4\n fldt %3\n" insn "\n" STATUS "fstpt %0\n fstp %%st(0)")
#define POPPING(name, insn) OP(name, "fldt %4\n fldt %3\n" insn "\n" STATUS "fstpt %0")
#define COMPARE(name, insn) OP(name, "fldt %4\n fldt %3\n" insn "\n" STATUS "fstp %%st(0)\n fstp %%st(0)")

/* A result and a second one pushed after it, unless C2 says that the operand was out of range. */
#define PUSHING(name, insn)                                                                                  \
    OP(name, "fldt %3\n" insn "\n" STATUS "testb $4, %%ah\n jnz 1f\n fstpt %1\n 1: fstpt %0")

/* ST(0) = a with a source in memory, one register left or none. */
#define WITH_MEMORY(name, insn)    OP(name, "fldt %3\n" insn " %4\n" STATUS "fstpt %0")
#define COMPARE_MEMORY(name, insn) OP(name, "fldt %3\n" insn " %4\n" STATUS "fstp %%st(0)")

#define ARITHMETIC(name)                                                                                     \
    static BINARY(name##_f80, "f" #name " %%st(1), %%st") static WITH_MEMORY(                                \
        name##_f32,                                                                                          \
        "f" #name                                                                                            \
        "s") static WITH_MEMORY(name##_f64,                                                                  \
                                "f" #name                                                                    \
                                "l") static WITH_MEMORY(name##_i16,                                          \
                                                        "fi" #name                                           \
                                                        "s") static WITH_MEMORY(name##_i32, "fi" #name "l")

ARITHMETIC(add)
ARITHMETIC(mul)
ARITHMETIC(sub)
ARITHMETIC(subr)
ARITHMETIC(div)
ARITHMETIC(divr)

static COMPARE(com_f80, "fcom %%st(1)") static COMPARE_MEMORY(com_f32, "fcoms") static COMPARE_MEMORY(
    com_f64, "fcoml") static COMPARE_MEMORY(com_i16, "ficoms") static COMPARE_MEMORY(com_i32, "ficoml")

#define ROW(name)                                                                                            \
    {                                                                                                        \
        name##_f80, name##_f32, name##_f64, name##_i16, name##_i32                                           \
    }
    x87_op *const x87_arith[8][X87_FORMATS] = {
        [X87_ADD] = ROW(add), [X87_MUL] = ROW(mul),   [X87_COM] = ROW(com), [X87_COMP] = ROW(com),
        [X87_SUB] = ROW(sub), [X87_SUBR] = ROW(subr), [X87_DIV] = ROW(div), [X87_DIVR] = ROW(divr),
};

LOAD(x87_load_f32, "flds")
LOAD(x87_load_f64, "fldl")
LOAD(x87_load_i16, "filds")
LOAD(x87_load_i32, "fildl")
LOAD(x87_load_i64, "fildll")
LOAD(x87_load_bcd, "fbld")
STORE(x87_store_f32, "fstps")
STORE(x87_store_f64, "fstpl")
STORE(x87_store_i16, "fistps")
STORE(x87_store_i32, "fistpl")
STORE(x87_store_i64, "fistpll")
STORE(x87_store_bcd, "fbstp")
STORE(x87_chop_i16, "fisttps")
STORE(x87_chop_i32, "fisttpl")
STORE(x87_chop_i64, "fisttpll")

OP(x87_tst, "fldt %3\n ftst\n" STATUS "fstp %%st(0)")
OP(x87_xam, "fldt %3\n fxam\n" STATUS "fstp %%st(0)")
UNARY(x87_sqrt, "fsqrt")
UNARY(x87_rndint, "frndint")
UNARY(x87_2xm1, "f2xm1")
UNARY(x87_sin, "fsin")
UNARY(x87_cos, "fcos")
COMPARE(x87_ucom, "fucom %%st(1)")
BINARY(x87_prem, "fprem")
BINARY(x87_prem1, "fprem1")
BINARY(x87_scale, "fscale")
POPPING(x87_yl2x, "fyl2x")
POPPING(x87_yl2xp1, "fyl2xp1")
POPPING(x87_patan, "fpatan")
PUSHING(x87_sincos, "fsincos")
PUSHING(x87_ptan, "fptan")
OP(x87_xtract, "fldt %3\n fxtract\n" STATUS "fstpt %1\n fstpt %0")

#define CONSTANT(name, insn) static OP(name, insn "\n" STATUS "fstpt %0")
CONSTANT(load_1, "fld1")
CONSTANT(load_l2t, "fldl2t")
CONSTANT(load_l2e, "fldl2e")
CONSTANT(load_pi, "fldpi")
CONSTANT(load_lg2, "fldlg2")
CONSTANT(load_ln2, "fldln2")
CONSTANT(load_z, "fldz")
x87_op *const x87_constants[7] = {load_1, load_l2t, load_l2e, load_pi, load_lg2, load_ln2, load_z};

static void host_fldcw(uint16_t fcw)
{
    __asm__ volatile("fldcw %0" : : "m"(fcw));
}

/*
 * The usual case is a control word with everything masked and default rounding: run at once, and again with
 * clear flags only when one shows up that the guest hasn't.
 */
uint16_t x87_run(struct cpu *cpu, const struct insn *i, x87_op *op, const struct f80 *a, const struct f80 *b,
                 struct f80 *r)
{
    uint16_t fcw = cpu->s.fcw & (FCW_PC | FCW_RC), sw;

    (void)i;
    if (likely((cpu->s.fcw & (FCW_PC | FCW_RC | FSW_EXCEPTIONS)) == (FCW_PC | FSW_EXCEPTIONS))) {
        sw = op(a, b, r);
        if (likely(!(sw & FSW_EXCEPTIONS & ~cpu->s.fsw)))
            return sw & (uint16_t) ~(FSW_EXCEPTIONS);
    }
    if (fcw != FCW_PC)
        host_fldcw(fcw | FCW_RESERVED_ONE | FSW_EXCEPTIONS);
    __asm__ volatile("fnclex");
    sw = op(a, b, r);
    if (fcw != FCW_PC)
        host_fldcw(HOST_FCW);
    return sw;
}

#else

#define ABSENT(name)                                                                                         \
    uint16_t name(const struct f80 *a, const struct f80 *b, struct f80 *r)                                   \
    {                                                                                                        \
        (void)a, (void)b, (void)r;                                                                           \
        return 0;                                                                                            \
    }

ABSENT(x87_load_f32)
ABSENT(x87_load_f64)
ABSENT(x87_load_i16)
ABSENT(x87_load_i32)
ABSENT(x87_load_i64)
ABSENT(x87_load_bcd)
ABSENT(x87_store_f32)
ABSENT(x87_store_f64)
ABSENT(x87_store_i16)
ABSENT(x87_store_i32)
ABSENT(x87_store_i64)
ABSENT(x87_store_bcd)
ABSENT(x87_chop_i16)
ABSENT(x87_chop_i32)
ABSENT(x87_chop_i64)
ABSENT(x87_tst)
ABSENT(x87_xam)
ABSENT(x87_sqrt)
ABSENT(x87_rndint)
ABSENT(x87_2xm1)
ABSENT(x87_sin)
ABSENT(x87_cos)
ABSENT(x87_ucom)
ABSENT(x87_prem)
ABSENT(x87_prem1)
ABSENT(x87_scale)
ABSENT(x87_yl2x)
ABSENT(x87_yl2xp1)
ABSENT(x87_patan)
ABSENT(x87_sincos)
ABSENT(x87_ptan)
ABSENT(x87_xtract)
x87_op *const x87_arith[8][X87_FORMATS];
x87_op *const x87_constants[7];

uint16_t x87_run(struct cpu *cpu, const struct insn *i, x87_op *op, const struct f80 *a, const struct f80 *b,
                 struct f80 *r)
{
    (void)op, (void)a, (void)b, (void)r;
    log_at(cpu->log, LOG_WARN, "cpu", "x87 arithmetic is available on x86-64 hosts only: raising #UD");
    ud(cpu, i);
}

#endif
