/*
 * x87_move.c - x87 loads, stores, exchanges, conditional moves, and the stack's pointer and tags.
 */
#include "cpu/interp/x87.h"

/* --- Loads --------------------------------------------------------------------------------------- */

/* Pushes a value; `sw` is what making it told. */
static void load_value(struct cpu *cpu, const struct insn *i, unsigned sw, const struct f80 *value)
{
    if (unlikely(!is_empty(cpu, 7))) {
        if (x87_stack_fault(cpu, i, true, FSW_C1))
            push_st(cpu, &x87_default_nan);
        return;
    }
    /* An unmasked denormal operand is loaded all the same. */
    if ((sw & FSW_IE) && x87_stopped(cpu, i, sw, FSW_C1))
        return;
    push_st(cpu, value);
    x87_commit(cpu, i, sw, FSW_C1);
}

static __attribute__((noinline)) void load_memory(struct cpu *cpu, const struct insn *i, x87_op *op,
                                                  unsigned size)
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
        alignment_fault(cpu, i, i->seg, linear, 10);
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

#define LOAD(name, op, size)                                                                                 \
    BODY(name)                                                                                               \
    {                                                                                                        \
        x87_check(cpu, i);                                                                                   \
        load_memory(cpu, i, op, size);                                                                       \
        NEXT;                                                                                                \
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

    x87_run(cpu, i, x87_constants[n], &x87_default_nan, &x87_default_nan, &r);
    load_value(cpu, i, 0, &r);
}

#define CONSTANT(name, n)                                                                                    \
    BODY(name)                                                                                               \
    {                                                                                                        \
        x87_check(cpu, i);                                                                                   \
        load_constant(cpu, i, n);                                                                            \
        NEXT;                                                                                                \
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
        if (x87_stack_fault(cpu, i, false, FSW_C1))
            push_st(cpu, &x87_default_nan);
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

/* --- Stores -------------------------------------------------------------------------------------- */

/* How a memory format is stored: its size, and what a stack fault stores (above 8 bytes the default NaN).
 */
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

/* Raises what the write would, when an exception keeps it from being made: the memory is checked all the same. */
static void check_store(struct cpu *cpu, const struct insn *i, unsigned size)
{
    uint64_t linear = size <= 8 ? mem_linear(cpu, i, size, ACCESS_WRITE) : linear_m80(cpu, i, ACCESS_WRITE);

    probe_write(cpu, i, i->seg, linear, size);
}

static bool tiny_in_memory(const struct f80 *r, unsigned size)
{
    return size == 4 ? !(r->mantissa & 0x7f800000) && (r->mantissa & 0x7fffff)
                     : !(r->mantissa & 0x7ff0000000000000) && (r->mantissa & 0xfffffffffffff);
}

static __attribute__((noinline)) void store_memory(struct cpu *cpu, const struct insn *i,
                                                   const struct store *store, bool pop)
{
    struct f80 r = {0, 0};
    unsigned sw;

    if (unlikely(is_empty(cpu, 0))) {
        if (cpu->s.fcw & FSW_IE) {
            r = (struct f80){store->indefinite, 0xffff};
            write_bytes(cpu, i, &r, store->size);
            if (pop)
                pop_st(cpu);
        } else {
            check_store(cpu, i, store->size);
        }
        x87_stack_fault(cpu, i, false, FSW_C1);
        return;
    }
    sw = x87_run(cpu, i, store->op, st(cpu, 0), st(cpu, 0), &r);
    if (unlikely(unmasked(cpu, sw | FSW_UE) & (X87_PRE_FLAGS | X87_POST_FLAGS)))
        check_store(cpu, i, store->size);
    if (x87_stopped(cpu, i, sw, FSW_C1))
        return;
    if (store->real && !(cpu->s.fcw & FSW_UE) && tiny_in_memory(&r, store->size))
        sw |= FSW_UE;
    if (unlikely(unmasked(cpu, sw) & X87_POST_FLAGS)) {
        x87_commit(cpu, i, sw & X87_POST_FLAGS, FSW_C1);
        return;
    }
    write_bytes(cpu, i, &r, store->size);
    if (pop)
        pop_st(cpu);
    x87_commit(cpu, i, sw, FSW_C1);
}

#define STORE(name, pop, op, size, indefinite, real)                                                         \
    BODY(name)                                                                                               \
    {                                                                                                        \
        static const struct store store = {op, size, indefinite, real};                                      \
                                                                                                             \
        x87_check(cpu, i);                                                                                   \
        store_memory(cpu, i, &store, pop);                                                                   \
        NEXT;                                                                                                \
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
        write_bytes(cpu, i, missing ? &x87_default_nan : st(cpu, 0), 10);
        pop_st(cpu);
    } else {
        check_store(cpu, i, 10);
    }
    if (missing)
        x87_stack_fault(cpu, i, false, FSW_C1);
    else
        x87_commit(cpu, i, 0, FSW_C1);
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
        if (!x87_stack_fault(cpu, i, false, FSW_C1))
            return;
        value = x87_default_nan;
    } else {
        x87_commit(cpu, i, 0, FSW_C1);
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

/* D9 /3, a double of FSTP that passes over an empty register without complaint. */
static __attribute__((noinline)) void store_st_unchecked(struct cpu *cpu, const struct insn *i)
{
    if (!is_empty(cpu, 0))
        set_st(cpu, i->rm, st(cpu, 0));
    pop_st(cpu);
    x87_commit(cpu, i, 0, FSW_C1);
}

BODY(fstp1)
{
    x87_check(cpu, i);
    store_st_unchecked(cpu, i);
    NEXT;
}

/* --- Exchanges and conditional moves ------------------------------------------------------------- */

static __attribute__((noinline)) void exchange(struct cpu *cpu, const struct insn *i)
{
    struct f80 a = *st(cpu, 0), b = *st(cpu, i->rm);
    bool no_a = is_empty(cpu, 0), no_b = is_empty(cpu, i->rm);

    if (unlikely(no_a || no_b)) {
        if (!x87_stack_fault(cpu, i, false, FSW_C1))
            return;
        if (no_a)
            a = x87_default_nan;
        if (no_b)
            b = x87_default_nan;
    } else {
        x87_commit(cpu, i, 0, FSW_C1);
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
        if (x87_stack_fault(cpu, i, false, FSW_C1))
            set_st(cpu, 0, &x87_default_nan);
        return;
    }
    if (condition)
        set_st(cpu, 0, st(cpu, i->rm));
    x87_commit(cpu, i, 0, 0);
}

#define FCMOV(name, condition)                                                                               \
    BODY(name)                                                                                               \
    {                                                                                                        \
        x87_check(cpu, i);                                                                                   \
        move_if(cpu, i, condition);                                                                          \
        NEXT;                                                                                                \
    }

FCMOV(fcmovb, get_cf(cpu))
FCMOV(fcmove, get_zf(cpu))
FCMOV(fcmovbe, get_cf(cpu) || get_zf(cpu))
FCMOV(fcmovu, get_pf(cpu))
FCMOV(fcmovnb, !get_cf(cpu))
FCMOV(fcmovne, !get_zf(cpu))
FCMOV(fcmovnbe, !get_cf(cpu) && !get_zf(cpu))
FCMOV(fcmovnu, !get_pf(cpu))

/* --- The stack pointer and tags ------------------------------------------------------------------ */

static __attribute__((noinline)) void rotate(struct cpu *cpu, const struct insn *i, unsigned by)
{
    fpu_set_top(&cpu->s, fpu_top(&cpu->s) + by);
    x87_commit(cpu, i, 0, FSW_C1);
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
    set_empty(cpu, i->rm);
    x87_commit(cpu, i, 0, FSW_C1);
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
    x87_commit(cpu, i, 0, 0);
    NEXT;
}
