/*
 * avx.h - what the bodies of VEX-encoded SIMD instructions share: 256-bit values, their memory operands, the
 * forms of a body, and floating-point operations of two lanes under the guest's MXCSR.
 *
 * As in sse.h an operation is a function op_NAME of v128 values. 256 bits are two such lanes, so that the
 * host needs no more than SSE.
 *
 * Most instructions are a line each. In it `a` is VEX.vvvv's register, `b` the operand of ModRM.rm, `imm` the
 * immediate's byte and `lane` 0 or 1; what ignores `a` has two operands:
 *
 *     AVX_BODIES(vpaddb, op_paddb(a, b))             all six bodies of VECTOR(vpaddb), lane by lane
 *     AVX_X_BODIES(vmovlps_load, q, expr)            the three of FORMS(...), 128 bits, by kind of the memory
 * operand AVX_FLOAT_BODIES(vaddps, op_addps, 0, RESULT_PS)        VECTOR(...), under MXCSR
 *     AVX_FLOAT_SCALAR(vaddss, d, op_addss, 0, RESULT_SS)     FORMS(...)
 *
 * What doesn't go lane by lane is a function by hand, DO(name) for a v128 source or DO_Y(name) for a struct
 * v256, which ends in set_x() or set_y(). AVX_FORMS(name, kind) makes name_r, name_m and name_g of it; a
 * row's VECTOR(f) wants both f_x and f_y as names. Sources of 256-bit instructions can be of any kind:
 *
 *     u  16 bytes    x  16 bytes, aligned (#GP(0) otherwise)    q  8 bytes    d  4 bytes    w  2 bytes    b
 * 1 byte y  32 bytes    ya 32 bytes, aligned
 *
 * Writing 128 bits clears the register from bit 128 on, writing 256 from bit 256 on (SDM 2A 2.3.10.1).
 */
#ifndef CPU_INTERP_AVX_H
#define CPU_INTERP_AVX_H

#include "cpu/interp/sse.h"

struct v256 {
    v128 low, high;
};

/* The same by its elements. */
union elements {
    struct v256 v;
    uint32_t u32[8];
    uint64_t u64[4];
};

/* All bits of an element as its sign. */
ALWAYS_INLINE v128 sign_dwords(v128 v)
{
    return op_psrad(v, low64(31));
}

ALWAYS_INLINE v128 sign_quads(v128 v)
{
    v128 high = op_psrad(v, low64(31)) >> 32;

    return high | high << 32;
}

/* --- Registers ----------------------------------------------------------------------------------- */

ALWAYS_INLINE v128 get_x(const struct cpu *cpu, uint16_t reg)
{
    return *(const v128 *)reg_at(cpu, reg);
}

ALWAYS_INLINE struct v256 get_y(const struct cpu *cpu, uint16_t reg)
{
    const v128 *at = reg_at(cpu, reg);

    return (struct v256){at[0], at[1]};
}

ALWAYS_INLINE void set_x(struct cpu *cpu, uint16_t reg, v128 value)
{
    v128 *to = reg_at(cpu, reg);

    to[0] = value;
    to[1] = to[2] = to[3] = low64(0);
}

ALWAYS_INLINE void set_y(struct cpu *cpu, uint16_t reg, v128 low, v128 high)
{
    v128 *to = reg_at(cpu, reg);

    to[0] = low;
    to[1] = high;
    to[2] = to[3] = low64(0);
}

/* The register that VEX.vvvv names, and the one that an immediate's upper half names (O_Lx); outside 64-bit
 * mode its top bit is ignored. */
ALWAYS_INLINE uint16_t h_reg(const struct insn *i)
{
    return XMM_OFFSET(i->vreg);
}

ALWAYS_INLINE uint16_t l_reg(const struct cpu *cpu, const struct insn *i)
{
    return XMM_OFFSET(i->imm >> 4 & (cpu->long64 ? 15 : 7));
}

#define GET_HX get_x(cpu, h_reg(i))
#define GET_HY get_y(cpu, h_reg(i))
#define IMM8   ((uint8_t)i->imm)

/* --- Memory operands ----------------------------------------------------------------------------- */

struct v256 avx_load_slow(struct cpu *cpu, const struct insn *i, uint64_t linear);
void avx_store_slow(struct cpu *cpu, const struct insn *i, uint64_t linear, v128 low, v128 high);

/* 32 bytes. With alignment checks on, AMD's processors are content with 16. */
static inline uint64_t linear_y(struct cpu *cpu, const struct insn *i, enum access access)
{
    uint64_t linear = mem_linear(cpu, i, 32, access);

    if (unlikely(cpu->mode & MODE_AC) && (linear & 15))
        alignment_fault(cpu, i, i->seg, linear, 16);
    return linear;
}

static inline uint64_t linear_ya(struct cpu *cpu, const struct insn *i, enum access access)
{
    uint64_t base = cpu->long64 && i->seg < FS ? 0 : cpu->s.seg[i->seg].base;

    if (unlikely((ea(cpu, i) + base) & 31))
        gp0(cpu, i);
    return mem_linear(cpu, i, 32, access);
}

/* The kinds that sse.h doesn't have. */
enum { BYTES_y = 32, BYTES_ya = 32, BYTES_w = 2, BYTES_b = 1 };
enum { ALIGN_y = 0, ALIGN_ya = 31, ALIGN_w = 0, ALIGN_b = 0 };

ALWAYS_INLINE struct v256 host_get_y(const void *p)
{
    const v128_any *at = p;

    return (struct v256){at[0], at[1]};
}

ALWAYS_INLINE void host_put_y(void *p, struct v256 value)
{
    v128_any *at = p;

    at[0] = value.low;
    at[1] = value.high;
}

ALWAYS_INLINE void save_y_at(struct cpu *cpu, const struct insn *i, uint64_t linear, struct v256 value)
{
    avx_store_slow(cpu, i, linear, value.low, value.high);
}

#define host_get_ya(p)        host_get_y(p)
#define host_put_ya(p, value) host_put_y(p, value)
#define host_get_w(p)         low64(*(const u16_any *)(p))
#define host_get_b(p)         low64(*(const uint8_t *)(p))

#define load_y(cpu, i)  avx_load_slow(cpu, i, linear_y(cpu, i, ACCESS_READ))
#define load_ya(cpu, i) avx_load_slow(cpu, i, linear_ya(cpu, i, ACCESS_READ))
#define load_w(cpu, i)  low64(mem_read(cpu, i, 2))
#define load_b(cpu, i)  low64(mem_read(cpu, i, 1))

#define save_y(cpu, i, value)  save_y_at(cpu, i, linear_y(cpu, i, ACCESS_WRITE), value)
#define save_ya(cpu, i, value) save_y_at(cpu, i, linear_ya(cpu, i, ACCESS_WRITE), value)

/* The source's type, and the register that may stand in its place. */
#define SOURCE_u  v128
#define SOURCE_x  v128
#define SOURCE_q  v128
#define SOURCE_d  v128
#define SOURCE_w  v128
#define SOURCE_b  v128
#define SOURCE_y  struct v256
#define SOURCE_ya struct v256

#define reg_get_u  get_x
#define reg_get_x  get_x
#define reg_get_q  get_x
#define reg_get_d  get_x
#define reg_get_w  get_x
#define reg_get_b  get_x
#define reg_get_y  get_y
#define reg_get_ya get_y

/* --- Forms --------------------------------------------------------------------------------------- */

#define DO_Y(name) ALWAYS_INLINE void name##_do(struct cpu *cpu, const struct insn *i, struct v256 source)

/* FORMS() wants all three of an instruction whose operand is in memory always. */
#define NO_REG_FORM(name)                                                                                    \
    BODY(name##_r)                                                                                           \
    {                                                                                                        \
        ud(cpu, i);                                                                                          \
    }

/* name_r, name_m, name_g. */
#define AVX_FORMS(name, kind)                                                                                \
    AVX_REG_FORM(name##_r, name, kind)                                                                       \
    AVX_MEM_FORMS(name, kind)

#define AVX_REG_FORM(body, name, kind)                                                                       \
    BODY(body)                                                                                               \
    {                                                                                                        \
        avx_check(cpu, i);                                                                                   \
        name##_do(cpu, i, reg_get_##kind(cpu, i->rm));                                                       \
        NEXT;                                                                                                \
    }

/* 256-bit values are returned in memory: a function around them keeps the general form's call of the next
 * body a jump. */
#define AVX_MEM_FORMS(name, kind)                                                                            \
    static __attribute__((noinline)) void name##_general(struct cpu *cpu, const struct insn *i)              \
    {                                                                                                        \
        avx_check(cpu, i);                                                                                   \
        name##_do(cpu, i, load_##kind(cpu, i));                                                              \
    }                                                                                                        \
    GENERAL_BODY(name##_g)                                                                                   \
    {                                                                                                        \
        name##_general(cpu, i);                                                                              \
        NEXT;                                                                                                \
    }                                                                                                        \
    FAST_LOAD_BODY(name, kind, avx_blocked, (void)0)

/* name_m and name_g: `value` is stored as the kind says, a struct v256 for y and ya. */
#define AVX_STORE_FORMS(name, kind, value)                                                                   \
    static __attribute__((noinline)) void name##_general(struct cpu *cpu, const struct insn *i)              \
    {                                                                                                        \
        avx_check(cpu, i);                                                                                   \
        save_##kind(cpu, i, value);                                                                          \
    }                                                                                                        \
    GENERAL_BODY(name##_g)                                                                                   \
    {                                                                                                        \
        name##_general(cpu, i);                                                                              \
        NEXT;                                                                                                \
    }                                                                                                        \
    BODY(name##_m)                                                                                           \
    {                                                                                                        \
        uint64_t linear = ea64(cpu, i);                                                                      \
        void *host = tlb_write_host(cpu, linear, BYTES_##kind);                                              \
                                                                                                             \
        if (unlikely(!host || (avx_blocked(cpu) | (linear & ALIGN_##kind)))) {                               \
            name##_g(cpu, i);                                                                                \
            return;                                                                                          \
        }                                                                                                    \
        host_put_##kind(host, value);                                                                        \
        NEXT;                                                                                                \
    }

/* `expr` of a, b, imm and lane. */
#define AVX_LANE(name, expr)                                                                                 \
    ALWAYS_INLINE v128 name##_lane(v128 a, v128 b, unsigned imm, unsigned lane)                              \
    {                                                                                                        \
        (void)a, (void)b, (void)imm, (void)lane;                                                             \
        return expr;                                                                                         \
    }

/* VECTOR(name): 128 and 256 bits. */
#define AVX_BODIES(name, expr)                                                                               \
    AVX_LANE(name, expr)                                                                                     \
    DO(name##_x)                                                                                             \
    {                                                                                                        \
        set_x(cpu, i->reg, name##_lane(GET_HX, source, IMM8, 0));                                            \
    }                                                                                                        \
    DO_Y(name##_y)                                                                                           \
    {                                                                                                        \
        struct v256 a = GET_HY;                                                                              \
        v128 low = name##_lane(a.low, source.low, IMM8, 0);                                                  \
        v128 high = name##_lane(a.high, source.high, IMM8, 1);                                               \
                                                                                                             \
        set_y(cpu, i->reg, low, high);                                                                       \
    }                                                                                                        \
    AVX_FORMS(name##_x, u)                                                                                   \
    AVX_FORMS(name##_y, y)

/* FORMS(name): 128 bits. */
#define AVX_X_BODIES(name, kind, expr)                                                                       \
    AVX_LANE(name, expr)                                                                                     \
    DO(name)                                                                                                 \
    {                                                                                                        \
        set_x(cpu, i->reg, name##_lane(GET_HX, source, IMM8, 0));                                            \
    }                                                                                                        \
    AVX_FORMS(name, kind)

/* --- Floating point under the guest's MXCSR ------------------------------------------------------ */

/* As sse_float_fast() and sse_float_slow(): the exceptions of both lanes count as those of one operation. */
ALWAYS_INLINE bool avx_float_fast(const struct cpu *cpu, struct v256 a, struct v256 b, unsigned imm,
                                  sse_op *op, struct v256 *r)
{
    if (unlikely((cpu->s.mxcsr & ~MXCSR_FLAGS) != MXCSR_DEFAULT))
        return false;
    r->low = op(a.low, b.low, imm);
    r->high = op(a.high, b.high, imm);
    return likely(!(host_mxcsr_flags() & ~cpu->s.mxcsr));
}

static inline struct v256 avx_float_slow(struct cpu *cpu, const struct insn *i, struct v256 a, struct v256 b,
                                         unsigned imm, sse_op *op, enum sse_result result)
{
    v128 first[2] = {a.low, a.high}, second[2] = {b.low, b.high}, r[2];

    sse_float_lanes(cpu, i, first, second, r, 2, imm, op, result);
    return (struct v256){r[0], r[1]};
}

/* 128 bits, or a scalar: as FLOAT_BODIES. `commit` puts v128 `r` where it belongs. */
#define AVX_FLOAT_X(name, kind, op, first, imm8, result, commit)                                             \
    FLOAT_TRY(name, op, first, imm8, result, commit)                                                         \
    BODY(name##_r)                                                                                           \
    {                                                                                                        \
        avx_check(cpu, i);                                                                                   \
        name##_try(cpu, i, get_x(cpu, i->rm));                                                               \
    }                                                                                                        \
    GENERAL_BODY(name##_g)                                                                                   \
    {                                                                                                        \
        avx_check(cpu, i);                                                                                   \
        name##_slow(cpu, i, load_##kind(cpu, i));                                                            \
    }                                                                                                        \
    AVX_FLOAT_FAST_LOAD(name, kind)

/*
 * Two lanes: `op` runs on `first` and `second`, struct v256 each, the latter made of `source`, which is as
 * its kind says. `commit` puts struct v256 `r` where it belongs.
 */
#define AVX_FLOAT_Y(name, kind, op, first, second, imm8, result, commit)                                     \
    static __attribute__((noinline)) void name##_finish(struct cpu *cpu, const struct insn *i, v128 low,     \
                                                        v128 high)                                           \
    {                                                                                                        \
        struct v256 r = avx_float_slow(cpu, i, first, (struct v256){low, high}, imm8, op, result);           \
                                                                                                             \
        commit;                                                                                              \
    }                                                                                                        \
    static __attribute__((noinline)) void name##_slow(struct cpu *cpu, const struct insn *i, v128 low,       \
                                                      v128 high)                                             \
    {                                                                                                        \
        name##_finish(cpu, i, low, high);                                                                    \
        NEXT;                                                                                                \
    }                                                                                                        \
    ALWAYS_INLINE void name##_try(struct cpu *cpu, const struct insn *i, SOURCE_##kind source)               \
    {                                                                                                        \
        struct v256 b = second, r;                                                                           \
                                                                                                             \
        if (unlikely(!avx_float_fast(cpu, first, b, imm8, op, &r))) {                                        \
            name##_slow(cpu, i, b.low, b.high);                                                              \
            return;                                                                                          \
        }                                                                                                    \
        commit;                                                                                              \
        NEXT;                                                                                                \
    }                                                                                                        \
    BODY(name##_r)                                                                                           \
    {                                                                                                        \
        avx_check(cpu, i);                                                                                   \
        name##_try(cpu, i, reg_get_##kind(cpu, i->rm));                                                      \
    }                                                                                                        \
    static __attribute__((noinline)) void name##_general(struct cpu *cpu, const struct insn *i)              \
    {                                                                                                        \
        SOURCE_##kind source;                                                                                \
        struct v256 b;                                                                                       \
                                                                                                             \
        avx_check(cpu, i);                                                                                   \
        source = load_##kind(cpu, i);                                                                        \
        b = second;                                                                                          \
        name##_finish(cpu, i, b.low, b.high);                                                                \
    }                                                                                                        \
    GENERAL_BODY(name##_g)                                                                                   \
    {                                                                                                        \
        name##_general(cpu, i);                                                                              \
        NEXT;                                                                                                \
    }                                                                                                        \
    AVX_FLOAT_FAST_LOAD(name, kind)

#define AVX_FLOAT_FAST_LOAD(name, kind)                                                                      \
    BODY(name##_m)                                                                                           \
    {                                                                                                        \
        uint64_t linear = ea64(cpu, i);                                                                      \
        const void *host = tlb_read_host(cpu, linear, BYTES_##kind);                                         \
                                                                                                             \
        if (unlikely(!host || (avx_blocked(cpu) | (linear & ALIGN_##kind)))) {                               \
            name##_g(cpu, i);                                                                                \
            return;                                                                                          \
        }                                                                                                    \
        name##_try(cpu, i, host_get_##kind(host));                                                           \
    }

/* VECTOR(name): three operands (or two, for an op that ignores its first). */
#define AVX_FLOAT_BODIES(name, op, imm8, result)                                                             \
    AVX_FLOAT_X(name##_x, u, op, GET_HX, imm8, result, set_x(cpu, i->reg, r))                                \
    AVX_FLOAT_Y(name##_y, y, op, GET_HY, source, imm8, result, set_y(cpu, i->reg, r.low, r.high))

/* FORMS(name): element 0 by `op`, the rest of the 128 bits from VEX.vvvv's register. */
#define AVX_FLOAT_SCALAR(name, kind, op, imm8, result)                                                       \
    AVX_FLOAT_X(name, kind, op, GET_HX, imm8, result, set_x(cpu, i->reg, r))

#endif
