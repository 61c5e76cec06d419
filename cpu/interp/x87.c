/*
 * x87.c - x87 instructions on the register stack: arithmetic, comparisons, loads, stores, moves.
 *
 * An instruction computes first (x87_run, or by hand what the stack's state decides), then writes memory if it does, and
 * commits last. What comes out of an exception depends on its mask (SDM 1 8.5 and 8.6):
 *
 *     stack fault         IE, SF and C1 say so; masked, the result is the default NaN; unmasked, nothing moves
 *     IE, DE, ZE unmasked nothing but the flags
 *     OE, UE unmasked     a register gets the result with its exponent wrapped by 24576; memory gets nothing
 *     PE unmasked         as masked
 *
 * Any unmasked flag sets ES, and the next waiting x87 or MMX instruction raises #MF.
 */
#include <string.h>

#include "core/log.h"
#include "cpu/interp/x87.h"

#define PRE_FLAGS  (FSW_IE | FSW_DE | FSW_ZE)
#define POST_FLAGS (FSW_OE | FSW_UE)

static const struct f80 default_nan = {0xc000000000000000, 0xffff};

#if !defined(__x86_64__)
uint16_t x87_run(struct cpu *cpu, const struct insn *i, x87_op *op, const struct f80 *a, const struct f80 *b,
                 struct f80 *r)
{
    (void)op, (void)a, (void)b, (void)r;
    log_at(cpu->log, LOG_WARN, "cpu", "x87 arithmetic is available on x86-64 hosts only: raising #UD");
    ud(cpu, i);
}
#endif

/* --- The stack ------------------------------------------------------------------------------------------------------ */

static struct f80 *st(struct cpu *cpu, unsigned n)
{
    return &cpu->s.st[(fpu_top(&cpu->s) + n) & 7];
}

static bool is_empty(const struct cpu *cpu, unsigned n)
{
    return !(cpu->s.fptag >> ((fpu_top(&cpu->s) + n) & 7) & 1);
}

static void set_st(struct cpu *cpu, unsigned n, const struct f80 *value)
{
    unsigned at = (fpu_top(&cpu->s) + n) & 7;

    cpu->s.st[at] = *value;
    cpu->s.fptag |= (uint8_t)(1u << at);
}

static void pop_st(struct cpu *cpu)
{
    unsigned top = fpu_top(&cpu->s);

    cpu->s.fptag &= (uint8_t) ~(1u << top);
    fpu_set_top(&cpu->s, top + 1);
}

static void push_st(struct cpu *cpu, const struct f80 *value)
{
    fpu_set_top(&cpu->s, fpu_top(&cpu->s) - 1);
    set_st(cpu, 0, value);
}

/* --- Outcomes ------------------------------------------------------------------------------------------------------- */

/* Notes where the instruction is, for handlers. The decoder leaves FOP in imm. */
static void note_pointers(struct cpu *cpu, const struct insn *i)
{
    struct cpu_state *s = &cpu->s;

    s->fip = rip_of(cpu, i);
    s->fcs = s->seg[CS].selector;
    s->fop = i->imm & 0x7ff;
    if (i->flags & INSN_MEM) {
        s->fdp = ea(cpu, i);
        s->fds = s->seg[i->seg].selector;
    }
}

/* Commits flags and, from `sw`, the condition codes in `cc`. */
static void commit(struct cpu *cpu, const struct insn *i, unsigned sw, unsigned cc)
{
    cpu->s.fsw = (uint16_t)((cpu->s.fsw & ~cc) | (sw & (cc | FSW_EXCEPTIONS | FSW_SF)));
    if (sw & FSW_EXCEPTIONS)
        fpu_update_summary(&cpu->s);
    note_pointers(cpu, i);
}

static unsigned unmasked(const struct cpu *cpu, unsigned sw)
{
    return sw & FSW_EXCEPTIONS & ~cpu->s.fcw;
}

/* IE and SF; of the condition codes `cc` C1 tells the direction. Returns whether the masked response is wanted. */
static bool stack_fault_cc(struct cpu *cpu, const struct insn *i, bool overflow, unsigned cc)
{
    commit(cpu, i, FSW_IE | FSW_SF | (overflow ? FSW_C1 : 0), cc);
    return cpu->s.fcw & FSW_IE;
}

static bool stack_fault(struct cpu *cpu, const struct insn *i, bool overflow)
{
    return stack_fault_cc(cpu, i, overflow, FSW_C1);
}

/* Commits the flags of an unmasked exception that leaves the operands alone, if there is one; clears `cc`. */
static bool stopped(struct cpu *cpu, const struct insn *i, unsigned sw, unsigned cc)
{
    if (likely(!(unmasked(cpu, sw) & PRE_FLAGS)))
        return false;
    commit(cpu, i, sw & PRE_FLAGS, cc);
    return true;
}

static bool is_tiny(const struct f80 *v)
{
    return !(v->exponent & 0x7fff) && v->mantissa;
}

static bool is_nan(const struct f80 *v)
{
    return (v->exponent & 0x7fff) == 0x7fff && v->mantissa << 1;
}

/* v * 2^by, for finite values; below the smallest exponent it stays there, where only its being nonzero matters. */
static struct f80 scaled(struct f80 v, int by)
{
    int exponent = v.exponent & 0x7fff, shift;

    if (!v.mantissa)
        return v;
    shift = __builtin_clzll(v.mantissa);
    v.mantissa <<= shift;
    exponent = (exponent ? exponent : 1) - shift + by;
    v.exponent = (uint16_t)((v.exponent & 0x8000) | (exponent < 1 ? 1 : exponent & 0x7fff));
    return v;
}

/*
 * Unmasked overflow or underflow of ST(0) op b: the result rounded as if the exponent had no limits, then wrapped. It is
 * computed from operands scaled by powers of two. Returns the status word that goes with it.
 */
static unsigned wrapped_arithmetic(struct cpu *cpu, const struct insn *i, unsigned op, const struct f80 *a,
                                   const struct f80 *b, unsigned sw, struct f80 *r)
{
    bool over = sw & FSW_OE, divides = op == X87_DIV || op == X87_DIVR;
    bool adds = op == X87_ADD || op == X87_SUB || op == X87_SUBR;
    int up_a = adds ? (over ? -4 : 128) : over ? -12288 : 12288, up_b = up_a;
    struct f80 sa, sb;
    unsigned flags;

    if (divides)
        op == X87_DIV ? (up_b = -up_b) : (up_a = -up_a);
    sa = scaled(*a, up_a);
    sb = scaled(*b, up_b);
    flags = x87_run(cpu, i, x87_arith[op][X87_F80], &sa, &sb, r);
    if (adds)
        *r = scaled(*r, over ? 4 - 24576 : 24576 - 128);
    return (sw & FSW_DE) | (over ? FSW_OE : FSW_UE) | (flags & (FSW_PE | FSW_C1));
}

/* --- ST(0) op source ------------------------------------------------------------------------------------------------- */

/* r = ST(0) op b to ST(to); true when it was stored. */
static __attribute__((noinline)) bool arithmetic(struct cpu *cpu, const struct insn *i, unsigned op,
                                                 enum x87_format format, const struct f80 *b, unsigned to)
{
    struct f80 r, wide = {0, 0};
    unsigned sw = x87_run(cpu, i, x87_arith[op][format], st(cpu, 0), b, &r);

    if (stopped(cpu, i, sw, FSW_C1))
        return false;
    if (!(cpu->s.fcw & FSW_UE) && is_tiny(&r))
        sw |= FSW_UE;
    if (unlikely(unmasked(cpu, sw) & POST_FLAGS)) {
        static x87_op *const widen[] = {NULL, x87_load_f32, x87_load_f64, x87_load_i16, x87_load_i32};

        if (widen[format])
            x87_run(cpu, i, widen[format], b, b, &wide);
        else
            wide = *b;
        sw = wrapped_arithmetic(cpu, i, op, st(cpu, 0), &wide, sw, &r);
    }
    set_st(cpu, to, &r);
    commit(cpu, i, sw, FSW_C1);
    return true;
}

static __attribute__((noinline)) void arithmetic_st(struct cpu *cpu, const struct insn *i, unsigned op, unsigned to,
                                                    bool pop)
{
    bool stored;

    if (unlikely(is_empty(cpu, 0) || is_empty(cpu, i->rm))) {
        stored = stack_fault(cpu, i, false);
        if (stored)
            set_st(cpu, to, &default_nan);
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
    else if (stack_fault(cpu, i, false))
        set_st(cpu, 0, &default_nan);
}

#define ARITHMETIC(name, op)                                                                                   \
    BODY(name##_st0_sti)                                                                                       \
    {                                                                                                          \
        x87_check(cpu, i);                                                                                     \
        arithmetic_st(cpu, i, op, 0, false);                                                                   \
        NEXT;                                                                                                  \
    }                                                                                                          \
    BODY(name##_sti_st0)                                                                                       \
    {                                                                                                          \
        x87_check(cpu, i);                                                                                     \
        arithmetic_st(cpu, i, op, i->rm, false);                                                               \
        NEXT;                                                                                                  \
    }                                                                                                          \
    BODY(name##p_sti_st0)                                                                                      \
    {                                                                                                          \
        x87_check(cpu, i);                                                                                     \
        arithmetic_st(cpu, i, op, i->rm, true);                                                                \
        NEXT;                                                                                                  \
    }                                                                                                          \
    ARITHMETIC_MEMORY(name##_m32, op, X87_F32)                                                                 \
    ARITHMETIC_MEMORY(name##_m64, op, X87_F64)                                                                 \
    ARITHMETIC_MEMORY(name##_m16i, op, X87_I16)                                                                \
    ARITHMETIC_MEMORY(name##_m32i, op, X87_I32)

#define ARITHMETIC_MEMORY(name, op, format)                                                                    \
    BODY(name)                                                                                                 \
    {                                                                                                          \
        x87_check(cpu, i);                                                                                     \
        arithmetic_memory(cpu, i, op, format);                                                                 \
        NEXT;                                                                                                  \
    }

ARITHMETIC(fadd, X87_ADD)
ARITHMETIC(fmul, X87_MUL)
/* The destination ST(i) swaps the mnemonics: DC /4 is FSUBR ST(i), ST(0), which is ST(0) - ST(i) like D8 /4. */
ARITHMETIC(fsub, X87_SUB)
ARITHMETIC(fsubr, X87_SUBR)
ARITHMETIC(fdiv, X87_DIV)
ARITHMETIC(fdivr, X87_DIVR)

/* --- Comparisons ---------------------------------------------------------------------------------------------------- */

/*
 * The outcome of a comparison as C3, C2 and C0; all of them for unordered. False when an unmasked exception stops it.
 * `cc`: FSW_C1 where the instruction clears it.
 */
static bool compare(struct cpu *cpu, const struct insn *i, x87_op *op, const struct f80 *b, bool missing,
                    unsigned cc, unsigned *outcome)
{
    unsigned sw;
    struct f80 unused[2];

    if (unlikely(missing)) {
        *outcome = FSW_C3 | FSW_C2 | FSW_C0;
        return stack_fault(cpu, i, false);
    }
    sw = x87_run(cpu, i, op, st(cpu, 0), b, unused);
    *outcome = sw & (FSW_C3 | FSW_C2 | FSW_C0);
    if (stopped(cpu, i, sw, cc))
        return false;
    commit(cpu, i, sw & FSW_EXCEPTIONS, cc);
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

static __attribute__((noinline)) void compare_memory(struct cpu *cpu, const struct insn *i, enum x87_format format,
                                                     unsigned pops)
{
    struct f80 b = {mem_read(cpu, i, format_size[format]), 0};

    compare_cc(cpu, i, x87_arith[X87_COM][format], &b, is_empty(cpu, 0), pops);
}

static __attribute__((noinline)) void compare_flags(struct cpu *cpu, const struct insn *i, x87_op *op, unsigned pops)
{
    unsigned outcome;
    bool missing = is_empty(cpu, 0) || is_empty(cpu, i->rm);
    /* AMD's processors leave C1 alone here. */
    bool done = compare(cpu, i, op, st(cpu, i->rm), missing, 0, &outcome);

    if (!done)
        return;
    set_arith_flags(cpu, (outcome & FSW_C3 ? FLAG_ZF : 0) | (outcome & FSW_C2 ? FLAG_PF : 0) |
                             (outcome & FSW_C0 ? FLAG_CF : 0));
    if (pops)
        pop_st(cpu);
}

#define COMPARE_ST(name, op, source, pops)                                                                     \
    BODY(name)                                                                                                 \
    {                                                                                                          \
        x87_check(cpu, i);                                                                                     \
        compare_cc(cpu, i, op, st(cpu, source), is_empty(cpu, 0) || is_empty(cpu, source), pops);              \
        NEXT;                                                                                                  \
    }
#define COMPARE_MEMORY(name, format, pops)                                                                     \
    BODY(name)                                                                                                 \
    {                                                                                                          \
        x87_check(cpu, i);                                                                                     \
        compare_memory(cpu, i, format, pops);                                                                  \
        NEXT;                                                                                                  \
    }
#define COMPARE_FLAGS(name, op, pops)                                                                          \
    BODY(name)                                                                                                 \
    {                                                                                                          \
        x87_check(cpu, i);                                                                                     \
        compare_flags(cpu, i, op, pops);                                                                       \
        NEXT;                                                                                                  \
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
    commit(cpu, i, cc & FSW_CC, FSW_CC);
}

BODY(fxam)
{
    x87_check(cpu, i);
    examine(cpu, i);
    NEXT;
}

/* --- Loads ---------------------------------------------------------------------------------------------------------- */

/* Pushes a value; `sw` is what making it told. */
static void load_value(struct cpu *cpu, const struct insn *i, unsigned sw, const struct f80 *value)
{
    if (unlikely(!is_empty(cpu, 7))) {
        if (stack_fault(cpu, i, true))
            push_st(cpu, &default_nan);
        return;
    }
    /* An unmasked denormal operand is loaded all the same. */
    if ((sw & FSW_IE) && stopped(cpu, i, sw, FSW_C1))
        return;
    push_st(cpu, value);
    commit(cpu, i, sw, FSW_C1);
}

static __attribute__((noinline)) void load_memory(struct cpu *cpu, const struct insn *i, x87_op *op, unsigned size)
{
    struct f80 source = {mem_read(cpu, i, size), 0}, r;
    unsigned sw = x87_run(cpu, i, op, &source, &source, &r);

    load_value(cpu, i, sw, &r);
}

/* Ten bytes, aligned to eight where alignment is checked. */
static uint64_t linear_m80(struct cpu *cpu, const struct insn *i, enum access access)
{
    uint64_t linear = mem_linear(cpu, i, 10, access);

    if (unlikely(cpu->mode & MODE_AC) && (linear & 7))
        alignment_fault(cpu, i);
    return linear;
}

static struct f80 read_m80(struct cpu *cpu, const struct insn *i)
{
    uint64_t linear = linear_m80(cpu, i, ACCESS_READ);
    struct f80 value = {0, 0};

    linear_read_block(cpu, i, i->seg, linear, &value, 10);
    return value;
}

static __attribute__((noinline)) void load_m80(struct cpu *cpu, const struct insn *i)
{
    struct f80 value = read_m80(cpu, i);

    load_value(cpu, i, 0, &value);
}

static __attribute__((noinline)) void load_bcd(struct cpu *cpu, const struct insn *i)
{
    struct f80 source = read_m80(cpu, i), r;

    x87_run(cpu, i, x87_load_bcd, &source, &source, &r);
    load_value(cpu, i, 0, &r);
}

#define LOAD(name, op, size)                                                                                   \
    BODY(name)                                                                                                 \
    {                                                                                                          \
        x87_check(cpu, i);                                                                                     \
        load_memory(cpu, i, op, size);                                                                         \
        NEXT;                                                                                                  \
    }

LOAD(fld_m32, x87_load_f32, 4)
LOAD(fld_m64, x87_load_f64, 8)
LOAD(fild_m16, x87_load_i16, 2)
LOAD(fild_m32, x87_load_i32, 4)
LOAD(fild_m64, x87_load_i64, 8)

BODY(fld_m80)
{
    x87_check(cpu, i);
    load_m80(cpu, i);
    NEXT;
}

BODY(fbld)
{
    x87_check(cpu, i);
    load_bcd(cpu, i);
    NEXT;
}

static __attribute__((noinline)) void load_constant(struct cpu *cpu, const struct insn *i, unsigned n)
{
    struct f80 r;

    x87_run(cpu, i, x87_constants[n], &default_nan, &default_nan, &r);
    load_value(cpu, i, 0, &r);
}

#define CONSTANT(name, n)                                                                                      \
    BODY(name)                                                                                                 \
    {                                                                                                          \
        x87_check(cpu, i);                                                                                     \
        load_constant(cpu, i, n);                                                                              \
        NEXT;                                                                                                  \
    }

CONSTANT(fld1, 0)
CONSTANT(fldl2t, 1)
CONSTANT(fldl2e, 2)
CONSTANT(fldpi, 3)
CONSTANT(fldlg2, 4)
CONSTANT(fldln2, 5)
CONSTANT(fldz, 6)

static __attribute__((noinline)) void load_st(struct cpu *cpu, const struct insn *i)
{
    struct f80 value = *st(cpu, i->rm);

    if (unlikely(is_empty(cpu, i->rm))) {
        if (stack_fault(cpu, i, false))
            push_st(cpu, &default_nan);
        return;
    }
    load_value(cpu, i, 0, &value);
}

BODY(fld_sti)
{
    x87_check(cpu, i);
    load_st(cpu, i);
    NEXT;
}

/* --- Stores --------------------------------------------------------------------------------------------------------- */

/* How a memory format is stored: its size, and what a stack fault stores (above 8 bytes the default NaN). */
struct store {
    x87_op *op;
    unsigned size;
    uint64_t indefinite;
    bool real;
};

static void write_bytes(struct cpu *cpu, const struct insn *i, const struct f80 *value, unsigned size)
{
    if (size <= 8)
        mem_write(cpu, i, size, value->mantissa);
    else
        linear_write_block(cpu, i, i->seg, linear_m80(cpu, i, ACCESS_WRITE), value, size);
}

static bool tiny_in_memory(const struct f80 *r, unsigned size)
{
    return size == 4 ? !(r->mantissa & 0x7f800000) && (r->mantissa & 0x7fffff)
                     : !(r->mantissa & 0x7ff0000000000000) && (r->mantissa & 0xfffffffffffff);
}

static __attribute__((noinline)) void store_memory(struct cpu *cpu, const struct insn *i, const struct store *store,
                                                   bool pop)
{
    struct f80 r = {0, 0};
    unsigned sw;

    if (unlikely(is_empty(cpu, 0))) {
        if (cpu->s.fcw & FSW_IE) {
            r = (struct f80){store->indefinite, 0xffff};
            write_bytes(cpu, i, &r, store->size);
            if (pop)
                pop_st(cpu);
        }
        stack_fault(cpu, i, false);
        return;
    }
    sw = x87_run(cpu, i, store->op, st(cpu, 0), st(cpu, 0), &r);
    if (stopped(cpu, i, sw, FSW_C1))
        return;
    if (store->real && !(cpu->s.fcw & FSW_UE) && tiny_in_memory(&r, store->size))
        sw |= FSW_UE;
    if (unlikely(unmasked(cpu, sw) & POST_FLAGS)) {
        commit(cpu, i, sw & POST_FLAGS, FSW_C1);
        return;
    }
    write_bytes(cpu, i, &r, store->size);
    if (pop)
        pop_st(cpu);
    commit(cpu, i, sw, FSW_C1);
}

#define STORE(name, pop, op, size, indefinite, real)                                                           \
    BODY(name)                                                                                                 \
    {                                                                                                          \
        static const struct store store = {op, size, indefinite, real};                                        \
                                                                                                               \
        x87_check(cpu, i);                                                                                     \
        store_memory(cpu, i, &store, pop);                                                                     \
        NEXT;                                                                                                  \
    }

STORE(fst_m32, false, x87_store_f32, 4, 0xffc00000, true)
STORE(fstp_m32, true, x87_store_f32, 4, 0xffc00000, true)
STORE(fst_m64, false, x87_store_f64, 8, 0xfff8000000000000, true)
STORE(fstp_m64, true, x87_store_f64, 8, 0xfff8000000000000, true)
STORE(fist_m16, false, x87_store_i16, 2, 0x8000, false)
STORE(fistp_m16, true, x87_store_i16, 2, 0x8000, false)
STORE(fisttp_m16, true, x87_chop_i16, 2, 0x8000, false)
STORE(fist_m32, false, x87_store_i32, 4, 0x80000000, false)
STORE(fistp_m32, true, x87_store_i32, 4, 0x80000000, false)
STORE(fisttp_m32, true, x87_chop_i32, 4, 0x80000000, false)
STORE(fistp_m64, true, x87_store_i64, 8, 0x8000000000000000, false)
STORE(fisttp_m64, true, x87_chop_i64, 8, 0x8000000000000000, false)
STORE(fbstp, true, x87_store_bcd, 10, 0xc000000000000000, false)

/* No conversion, so no exceptions but the stack's. */
static __attribute__((noinline)) void store_m80(struct cpu *cpu, const struct insn *i)
{
    bool missing = is_empty(cpu, 0);

    if (!missing || (cpu->s.fcw & FSW_IE)) {
        write_bytes(cpu, i, missing ? &default_nan : st(cpu, 0), 10);
        pop_st(cpu);
    }
    if (missing)
        stack_fault(cpu, i, false);
    else
        commit(cpu, i, 0, FSW_C1);
}

BODY(fstp_m80)
{
    x87_check(cpu, i);
    store_m80(cpu, i);
    NEXT;
}

static __attribute__((noinline)) void store_st(struct cpu *cpu, const struct insn *i, bool pop)
{
    struct f80 value = *st(cpu, 0);

    if (unlikely(is_empty(cpu, 0))) {
        if (!stack_fault(cpu, i, false))
            return;
        value = default_nan;
    } else {
        commit(cpu, i, 0, FSW_C1);
    }
    set_st(cpu, i->rm, &value);
    if (pop)
        pop_st(cpu);
}

BODY(fst_sti)
{
    x87_check(cpu, i);
    store_st(cpu, i, false);
    NEXT;
}

BODY(fstp_sti)
{
    x87_check(cpu, i);
    store_st(cpu, i, true);
    NEXT;
}

/* --- Exchanges and conditional moves --------------------------------------------------------------------------------- */

static __attribute__((noinline)) void exchange(struct cpu *cpu, const struct insn *i)
{
    struct f80 a = *st(cpu, 0), b = *st(cpu, i->rm);
    bool no_a = is_empty(cpu, 0), no_b = is_empty(cpu, i->rm);

    if (unlikely(no_a || no_b)) {
        if (!stack_fault(cpu, i, false))
            return;
        if (no_a)
            a = default_nan;
        if (no_b)
            b = default_nan;
    } else {
        commit(cpu, i, 0, FSW_C1);
    }
    set_st(cpu, i->rm, &a);
    set_st(cpu, 0, &b);
}

BODY(fxch)
{
    x87_check(cpu, i);
    exchange(cpu, i);
    NEXT;
}

/* The stack is checked whether the condition holds or not. C1 stays unless that fails. */
static __attribute__((noinline)) void move_if(struct cpu *cpu, const struct insn *i, bool condition)
{
    if (unlikely(is_empty(cpu, 0) || is_empty(cpu, i->rm))) {
        if (stack_fault(cpu, i, false))
            set_st(cpu, 0, &default_nan);
        return;
    }
    if (condition)
        set_st(cpu, 0, st(cpu, i->rm));
    commit(cpu, i, 0, 0);
}

#define FCMOV(name, condition)                                                                                 \
    BODY(name)                                                                                                 \
    {                                                                                                          \
        x87_check(cpu, i);                                                                                     \
        move_if(cpu, i, condition);                                                                            \
        NEXT;                                                                                                  \
    }

FCMOV(fcmovb, get_cf(cpu))
FCMOV(fcmove, get_zf(cpu))
FCMOV(fcmovbe, get_cf(cpu) || get_zf(cpu))
FCMOV(fcmovu, get_pf(cpu))
FCMOV(fcmovnb, !get_cf(cpu))
FCMOV(fcmovne, !get_zf(cpu))
FCMOV(fcmovnbe, !get_cf(cpu) && !get_zf(cpu))
FCMOV(fcmovnu, !get_pf(cpu))

/* --- Functions of ST(0) and ST(1) ------------------------------------------------------------------------------------ */

/* An unmasked underflow or overflow that has no operands to scale: exact results are wrapped, others stay. */
static unsigned wrap_result(struct cpu *cpu, unsigned sw, struct f80 *r)
{
    if (!(cpu->s.fcw & FSW_UE) && is_tiny(r)) {
        sw |= FSW_UE;
        if (!(sw & FSW_PE))
            *r = scaled(*r, 24576);
    }
    return sw;
}

/* r = f(ST(0)) to ST(0); `cc` is what of the condition codes it sets. */
static __attribute__((noinline)) void unary(struct cpu *cpu, const struct insn *i, x87_op *op, unsigned cc)
{
    struct f80 r;
    unsigned sw;

    if (unlikely(is_empty(cpu, 0))) {
        if (stack_fault_cc(cpu, i, false, cc))
            set_st(cpu, 0, &default_nan);
        return;
    }
    sw = x87_run(cpu, i, op, st(cpu, 0), st(cpu, 0), &r);
    if (stopped(cpu, i, sw, cc))
        return;
    sw = wrap_result(cpu, sw, &r);
    set_st(cpu, 0, &r);
    commit(cpu, i, sw, cc);
}

#define UNARY(name, op, cc)                                                                                    \
    BODY(name)                                                                                                 \
    {                                                                                                          \
        x87_check(cpu, i);                                                                                     \
        unary(cpu, i, op, cc);                                                                                 \
        NEXT;                                                                                                  \
    }

UNARY(fsqrt, x87_sqrt, FSW_C1)
UNARY(frndint, x87_rndint, FSW_C1)
UNARY(f2xm1, x87_2xm1, FSW_C1)
UNARY(fsin, x87_sin, FSW_C1 | FSW_C2)
UNARY(fcos, x87_cos, FSW_C1 | FSW_C2)

/* FCHS and FABS: the sign alone, of anything. */
static __attribute__((noinline)) void set_sign(struct cpu *cpu, const struct insn *i, uint16_t keep, uint16_t flip)
{
    struct f80 r = *st(cpu, 0);

    if (unlikely(is_empty(cpu, 0))) {
        if (!stack_fault(cpu, i, false))
            return;
        r = default_nan;
    } else {
        r.exponent = (r.exponent & keep) ^ flip;
        commit(cpu, i, 0, FSW_C1);
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
static __attribute__((noinline)) void binary(struct cpu *cpu, const struct insn *i, x87_op *op, bool pop, unsigned cc)
{
    struct f80 r;
    unsigned sw;

    if (unlikely(is_empty(cpu, 0) || is_empty(cpu, 1))) {
        if (!stack_fault_cc(cpu, i, false, cc & (FSW_C1 | FSW_C2)))
            return;
        r = default_nan;
    } else {
        sw = x87_run(cpu, i, op, st(cpu, 0), st(cpu, 1), &r);
        if (stopped(cpu, i, sw, cc & (FSW_C1 | FSW_C2)))
            return;
        sw = wrap_result(cpu, sw, &r);
        /* FPREM and FPREM1 have no quotient to tell of when they end in a NaN. */
        commit(cpu, i, sw, is_nan(&r) ? cc & (FSW_C1 | FSW_C2) : cc);
    }
    if (pop)
        pop_st(cpu);
    set_st(cpu, 0, &r);
}

#define BINARY(name, op, pop, cc)                                                                              \
    BODY(name)                                                                                                 \
    {                                                                                                          \
        x87_check(cpu, i);                                                                                     \
        binary(cpu, i, op, pop, cc);                                                                           \
        NEXT;                                                                                                  \
    }

BINARY(fprem, x87_prem, false, FSW_CC)
BINARY(fprem1, x87_prem1, false, FSW_CC)
BINARY(fyl2x, x87_yl2x, true, FSW_C1)
BINARY(fyl2xp1, x87_yl2xp1, true, FSW_C1)
BINARY(fpatan, x87_patan, true, FSW_C1)

/*
 * FSCALE with overflow or underflow unmasked: ST(0)'s mantissa is exact whatever the exponent, so the wrapped result comes
 * straight from it. Beyond what wrapping can reach the masked result stays.
 */
static unsigned wrapped_scale(struct cpu *cpu, const struct insn *i, unsigned sw, struct f80 *r)
{
    struct f80 by = {0, 0};
    bool over = sw & FSW_OE;
    int exponent;

    x87_run(cpu, i, x87_chop_i32, st(cpu, 1), st(cpu, 1), &by);
    exponent = (int32_t)by.mantissa;
    if (exponent < -65536 || exponent > 65536)
        return sw;
    exponent += over ? -24576 : 24576;
    if (!is_tiny(st(cpu, 0)))
        exponent += st(cpu, 0)->exponent & 0x7fff;
    else
        exponent += 1 - __builtin_clzll(st(cpu, 0)->mantissa);
    if (exponent < 1 || exponent > 0x7ffe)
        return sw;
    *r = scaled(*st(cpu, 0), 0);
    r->exponent = (uint16_t)((r->exponent & 0x8000) | (unsigned)exponent);
    return (sw & FSW_DE) | (over ? FSW_OE : FSW_UE);
}

static __attribute__((noinline)) void scale(struct cpu *cpu, const struct insn *i)
{
    struct f80 r;
    unsigned sw;

    if (unlikely(is_empty(cpu, 0) || is_empty(cpu, 1))) {
        if (stack_fault(cpu, i, false))
            set_st(cpu, 0, &default_nan);
        return;
    }
    sw = x87_run(cpu, i, x87_scale, st(cpu, 0), st(cpu, 1), &r);
    if (stopped(cpu, i, sw, FSW_C1))
        return;
    if (!(cpu->s.fcw & FSW_UE) && is_tiny(&r))
        sw |= FSW_UE;
    if (unlikely(unmasked(cpu, sw) & POST_FLAGS))
        sw = wrapped_scale(cpu, i, sw, &r);
    set_st(cpu, 0, &r);
    commit(cpu, i, sw, FSW_C1);
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
    struct f80 r[2] = {default_nan, default_nan};
    unsigned sw = 0;

    if (unlikely(is_empty(cpu, 0) || !is_empty(cpu, 7))) {
        if (!stack_fault_cc(cpu, i, !is_empty(cpu, 0), cc))
            return;
    } else {
        sw = x87_run(cpu, i, op, st(cpu, 0), st(cpu, 0), r);
        if (stopped(cpu, i, sw, cc))
            return;
        commit(cpu, i, sw, cc);
    }
    set_st(cpu, 0, &r[0]);
    if (!(sw & cc & FSW_C2))
        push_st(cpu, &r[1]);
}

#define PUSHING(name, op, cc)                                                                                  \
    BODY(name)                                                                                                 \
    {                                                                                                          \
        x87_check(cpu, i);                                                                                     \
        pushing(cpu, i, op, cc);                                                                               \
        NEXT;                                                                                                  \
    }

PUSHING(fsincos, x87_sincos, FSW_C1 | FSW_C2)
PUSHING(fptan, x87_ptan, FSW_C1 | FSW_C2)
PUSHING(fxtract, x87_xtract, FSW_C1)

/* --- The stack pointer and tags -------------------------------------------------------------------------------------- */

static __attribute__((noinline)) void rotate(struct cpu *cpu, const struct insn *i, unsigned by)
{
    fpu_set_top(&cpu->s, fpu_top(&cpu->s) + by);
    commit(cpu, i, 0, FSW_C1);
}

BODY(fincstp)
{
    x87_check(cpu, i);
    rotate(cpu, i, 1);
    NEXT;
}

BODY(fdecstp)
{
    x87_check(cpu, i);
    rotate(cpu, i, 7);
    NEXT;
}

static __attribute__((noinline)) void free_st(struct cpu *cpu, const struct insn *i)
{
    cpu->s.fptag &= (uint8_t) ~(1u << ((fpu_top(&cpu->s) + i->rm) & 7));
    commit(cpu, i, 0, FSW_C1);
}

BODY(ffree)
{
    x87_check(cpu, i);
    free_st(cpu, i);
    NEXT;
}

BODY(ffreep) /* DF /0: in no manual of today, in every processor */
{
    x87_check(cpu, i);
    free_st(cpu, i);
    pop_st(cpu);
    NEXT;
}

BODY(fnop)
{
    x87_check(cpu, i);
    note_pointers(cpu, i);
    NEXT;
}
