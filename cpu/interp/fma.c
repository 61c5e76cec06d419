/*
 * fma.c - FMA: fused multiply-add, VEX-encoded only.
 *
 * Hosts that have FMA run each instruction as it is, lane by lane; the choice is made when it runs. On
 * others, and where unmasked overflow or underflow asks for more than the host's flags tell, soft_fma32() and
 * soft_fma64() do.
 *
 * 132, 213 and 231 say which operands (1 the destination, 2 VEX.vvvv, 3 ModRM.rm) are multiplied and which is
 * added: in the order they are named. That is the order in which NaN operands are preferred, too.
 */
#include "cpu/interp/avx.h"
#include "cpu/interp/soft_float.h"

typedef v128 fma_op(v128 a, v128 b, v128 c);

#if OXBOW_HOST_SSE
#define FMA_OP(name)                                                                                         \
    static inline v128 op_##name(v128 a, v128 b, v128 c)                                                     \
    {                                                                                                        \
        __asm__ volatile(#name " %2, %1, %0" : "+x"(a) : "x"(b), "x"(c));                                    \
        return a;                                                                                            \
    }
#define host_has_fma() __builtin_cpu_supports("fma")
#else
#define FMA_OP(name)                                                                                         \
    static inline v128 op_##name(v128 a, v128 b, v128 c)                                                     \
    {                                                                                                        \
        (void)b, (void)c;                                                                                    \
        return a;                                                                                            \
    }
#define host_has_fma() false
#endif

/* --- Exact, and with every flag ------------------------------------------------------------------ */

struct fma_kind {
    unsigned form; /* 0, 1, 2: 132, 213, 231 */
    unsigned negate_even, negate_odd;
    bool wide, packed;
};

/* The rows' opcodes are regular: 9x, Ax, Bx by form; x the operation, the odd ones from 9 on the scalar ones.
 */
static struct fma_kind fma_kind(const struct insn *i)
{
    static const struct {
        uint8_t even, odd;
    } negates[16] = {[6] = {NEGATE_ADDEND, 0},
                     [7] = {0, NEGATE_ADDEND},
                     [8] = {0, 0},
                     [10] = {NEGATE_ADDEND, NEGATE_ADDEND},
                     [12] = {NEGATE_PRODUCT, NEGATE_PRODUCT},
                     [14] = {NEGATE_PRODUCT | NEGATE_ADDEND, NEGATE_PRODUCT | NEGATE_ADDEND}};
    const struct opcode_row *row = &opcode_rows[i->row];
    unsigned operation = row->opcode & 15, base = operation < 8 ? operation : operation & ~1u;

    return (struct fma_kind){.form = (row->opcode >> 4) - 9u,
                             .negate_even = negates[base].even,
                             .negate_odd = negates[base].odd,
                             .wide = row->sel & SEL_W1,
                             .packed = operation == base};
}

static v128 soft_lane(struct soft_float *f, struct fma_kind kind, v128 dest, v128 second, v128 third)
{
    union vec x = {.v = kind.form == 0 ? dest : second};
    union vec y = {.v = kind.form == 1 ? dest : third};
    union vec z = {.v = kind.form == 0 ? second : kind.form == 1 ? third : dest}, r = {.v = dest};
    unsigned count = !kind.packed ? 1 : kind.wide ? 2 : 4;

    for (unsigned k = 0; k < count; k++) {
        unsigned negate = k & 1 ? kind.negate_odd : kind.negate_even;

        if (kind.wide)
            r.u64[k] = soft_fma64(f, x.u64[k], y.u64[k], z.u64[k], negate);
        else
            r.u32[k] = soft_fma32(f, x.u32[k], y.u32[k], z.u32[k], negate);
    }
    return r.v;
}

static unsigned soft_lanes(struct cpu *cpu, const struct insn *i, struct v256 *dest, struct v256 second,
                           struct v256 third, bool two)
{
    struct soft_float f = {cpu->s.mxcsr, 0};
    struct fma_kind kind = fma_kind(i);

    dest->low = soft_lane(&f, kind, dest->low, second.low, third.low);
    if (two)
        dest->high = soft_lane(&f, kind, dest->high, second.high, third.high);
    return f.flags;
}

/* The whole instruction, whatever MXCSR says; `low` and `high` are the third operand. */
static __attribute__((noinline)) void fma_slow(struct cpu *cpu, const struct insn *i, fma_op *op, v128 low,
                                               v128 high)
{
    unsigned exact = cpu->s.mxcsr >> 7 & (FSW_OE | FSW_UE), flags;
    bool two = i->osize == VEC_Y && fma_kind(i).packed;
    struct v256 r = get_y(cpu, i->reg), second = GET_HY;

    if (host_has_fma() && exact == (FSW_OE | FSW_UE)) {
        sse_float_begin(cpu);
        r.low = op(r.low, second.low, low);
        if (two)
            r.high = op(r.high, second.high, high);
        flags = host_mxcsr_flags();
        sse_float_end(cpu, i, flags);
    } else {
        flags = soft_lanes(cpu, i, &r, second, (struct v256){low, high}, two);
        sse_float_end(cpu, i, flags);
    }
    if (two)
        set_y(cpu, i->reg, r.low, r.high);
    else
        set_x(cpu, i->reg, r.low);
}

/* --- Bodies -------------------------------------------------------------------------------------- */

ALWAYS_INLINE bool fma_ready(const struct cpu *cpu)
{
    return likely((cpu->s.mxcsr & ~MXCSR_FLAGS) == MXCSR_DEFAULT) && likely(host_has_fma());
}

#define FMA_FORMS(name, kind)                                                                                \
    BODY(name##_r)                                                                                           \
    {                                                                                                        \
        avx_check(cpu, i);                                                                                   \
        name##_try(cpu, i, reg_get_##kind(cpu, i->rm));                                                      \
    }                                                                                                        \
    GENERAL_BODY(name##_g)                                                                                   \
    {                                                                                                        \
        name##_general(cpu, i);                                                                              \
        NEXT;                                                                                                \
    }                                                                                                        \
    AVX_FLOAT_FAST_LOAD(name, kind)

#define FMA_X(name, kind, op)                                                                                \
    static __attribute__((noinline)) void name##_slow(struct cpu *cpu, const struct insn *i, v128 source)    \
    {                                                                                                        \
        fma_slow(cpu, i, op, source, source);                                                                \
        NEXT;                                                                                                \
    }                                                                                                        \
    ALWAYS_INLINE void name##_try(struct cpu *cpu, const struct insn *i, v128 source)                        \
    {                                                                                                        \
        if (fma_ready(cpu)) {                                                                                \
            v128 r = op(get_x(cpu, i->reg), GET_HX, source);                                                 \
                                                                                                             \
            if (likely(!(host_mxcsr_flags() & ~cpu->s.mxcsr))) {                                             \
                set_x(cpu, i->reg, r);                                                                       \
                NEXT;                                                                                        \
            }                                                                                                \
        }                                                                                                    \
        name##_slow(cpu, i, source);                                                                         \
    }                                                                                                        \
    static __attribute__((noinline)) void name##_general(struct cpu *cpu, const struct insn *i)              \
    {                                                                                                        \
        v128 source;                                                                                         \
                                                                                                             \
        avx_check(cpu, i);                                                                                   \
        source = load_##kind(cpu, i);                                                                        \
        fma_slow(cpu, i, op, source, source);                                                                \
    }                                                                                                        \
    FMA_FORMS(name, kind)

#define FMA_Y(name, op)                                                                                      \
    static __attribute__((noinline)) void name##_slow(struct cpu *cpu, const struct insn *i, v128 low,       \
                                                      v128 high)                                             \
    {                                                                                                        \
        fma_slow(cpu, i, op, low, high);                                                                     \
        NEXT;                                                                                                \
    }                                                                                                        \
    ALWAYS_INLINE void name##_try(struct cpu *cpu, const struct insn *i, struct v256 source)                 \
    {                                                                                                        \
        if (fma_ready(cpu)) {                                                                                \
            struct v256 dest = get_y(cpu, i->reg), second = GET_HY;                                          \
            v128 low = op(dest.low, second.low, source.low);                                                 \
            v128 high = op(dest.high, second.high, source.high);                                             \
                                                                                                             \
            if (likely(!(host_mxcsr_flags() & ~cpu->s.mxcsr))) {                                             \
                set_y(cpu, i->reg, low, high);                                                               \
                NEXT;                                                                                        \
            }                                                                                                \
        }                                                                                                    \
        name##_slow(cpu, i, source.low, source.high);                                                        \
    }                                                                                                        \
    static __attribute__((noinline)) void name##_general(struct cpu *cpu, const struct insn *i)              \
    {                                                                                                        \
        struct v256 source;                                                                                  \
                                                                                                             \
        avx_check(cpu, i);                                                                                   \
        source = load_y(cpu, i);                                                                             \
        fma_slow(cpu, i, op, source.low, source.high);                                                       \
    }                                                                                                        \
    FMA_FORMS(name, y)

#define PACKED(name)                                                                                         \
    FMA_OP(name)                                                                                             \
    FMA_X(name##_x, u, op_##name)                                                                            \
    FMA_Y(name##_y, op_##name)
#define SCALAR(name, kind)                                                                                   \
    FMA_OP(name)                                                                                             \
    FMA_X(name, kind, op_##name)

#define PACKED_FORMS(name)                                                                                   \
    PACKED(name##132ps)                                                                                      \
    PACKED(name##132pd)                                                                                      \
    PACKED(name##213ps)                                                                                      \
    PACKED(name##213pd)                                                                                      \
    PACKED(name##231ps)                                                                                      \
    PACKED(name##231pd)
#define ALL_FORMS(name)                                                                                      \
    PACKED_FORMS(name)                                                                                       \
    SCALAR(name##132ss, d)                                                                                   \
    SCALAR(name##132sd, q)                                                                                   \
    SCALAR(name##213ss, d)                                                                                   \
    SCALAR(name##213sd, q)                                                                                   \
    SCALAR(name##231ss, d)                                                                                   \
    SCALAR(name##231sd, q)

ALL_FORMS(vfmadd)
ALL_FORMS(vfmsub)
ALL_FORMS(vfnmadd)
ALL_FORMS(vfnmsub)
PACKED_FORMS(vfmaddsub)
PACKED_FORMS(vfmsubadd)
