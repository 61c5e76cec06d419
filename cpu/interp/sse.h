/*
 * sse.h - what the bodies of SSE and MMX instructions share: 128-bit values, their memory operands, the three
 * forms of a body, and floating-point operations under the guest's MXCSR.
 *
 * An operation is a function op_NAME (sse_ops.h) from register values to a value. An instruction is a
 * function NAME_do(cpu, i, source), which SSE_BODIES or MMX_BODIES make into NAME_r, NAME_m and NAME_g by the
 * kind of its source:
 *
 *     x  16 bytes, aligned (#GP(0) otherwise)    q  8 bytes    d  4 bytes
 *     u  16 bytes, any address
 *
 * Bits of registers above 127 stay as they are: legacy SSE never touches them (SDM 1 13.2).
 */
#ifndef CPU_INTERP_SSE_H
#define CPU_INTERP_SSE_H

#include "cpu/fpu.h"
#include "cpu/interp/body.h"
#include "cpu/interp/sse_ops.h"

/* --- Registers ----------------------------------------------------------------------------------- */

ALWAYS_INLINE v128 *xmm(struct cpu *cpu, uint16_t reg)
{
    return reg_at(cpu, reg);
}

/* Writing an MMX register fills the x87 exponent with ones (SDM 1 9.5.1). */
ALWAYS_INLINE void mmx_set(struct cpu *cpu, uint16_t reg, uint64_t value)
{
    struct f80 *r = reg_at(cpu, reg);

    r->mantissa = value;
    r->exponent = 0xffff;
}

/* Four words picked from a quadword by an immediate, two bits each. */
static inline uint64_t shuffle_words(uint64_t v, unsigned imm)
{
    return (v >> 16 * (imm & 3) & 0xffff) | (v >> 16 * (imm >> 2 & 3) & 0xffff) << 16 |
           (v >> 16 * (imm >> 4 & 3) & 0xffff) << 32 | (v >> 16 * (imm >> 6 & 3)) << 48;
}

/* Bytes `from` to `from + 15` of high:low. */
static inline v128 extract_bytes(v128 high, v128 low, unsigned from)
{
    unsigned __int128 h = (unsigned __int128)high[1] << 64 | high[0],
                      l = (unsigned __int128)low[1] << 64 | low[0];
    unsigned __int128 r;

    if (from == 0)
        r = l;
    else if (from < 16)
        r = l >> 8 * from | h << (128 - 8 * from);
    else
        r = from < 32 ? h >> 8 * (from - 16) : 0;
    return (v128){(uint64_t)r, (uint64_t)(r >> 64)};
}

/* Two dwords of each by an immediate, two bits each. */
static inline v128 shuffle_dwords(v128 first, v128 second, unsigned imm)
{
    union vec a = {.v = first}, b = {.v = second};

    return (v128){a.u32[imm & 3] | (uint64_t)a.u32[imm >> 2 & 3] << 32,
                  b.u32[imm >> 4 & 3] | (uint64_t)b.u32[imm >> 6 & 3] << 32};
}

/* --- Memory operands ----------------------------------------------------------------------------- */

v128 sse_load_slow(struct cpu *cpu, const struct insn *i, uint64_t linear);
void sse_store_slow(struct cpu *cpu, const struct insn *i, uint64_t linear, v128 value);

/* Linear address of 16 bytes in any mode. With alignment checks on, AMD's unaligned forms want 16 too. */
static inline uint64_t linear_u(struct cpu *cpu, const struct insn *i, enum access access)
{
    uint64_t linear = mem_linear(cpu, i, 16, access);

    if (unlikely(cpu->mode & MODE_AC) && (linear & 15))
        alignment_fault(cpu, i, i->seg, linear, 16);
    return linear;
}

/* Alignment is of the linear address; #GP(0) for it comes before what the segment's limit raises. */
static inline uint64_t linear_x(struct cpu *cpu, const struct insn *i, enum access access)
{
    uint64_t base = cpu->long64 && i->seg < FS ? 0 : cpu->s.seg[i->seg].base;

    if (unlikely((ea(cpu, i) + base) & 15))
        gp0(cpu, i);
    return mem_linear(cpu, i, 16, access);
}

/* Each kind's size, alignment mask in 64-bit mode, value at a host address, and load and store in any mode.
 */
enum { BYTES_x = 16, BYTES_u = 16, BYTES_q = 8, BYTES_d = 4 };
enum { ALIGN_x = 15, ALIGN_u = 0, ALIGN_q = 0, ALIGN_d = 0 };

#define host_get_x(p) (*(const v128_any *)(p))
#define host_get_u(p) (*(const v128_any *)(p))
#define host_get_q(p) low64(*(const u64_any *)(p))
#define host_get_d(p) low64(*(const u32_any *)(p))

#define host_put_x(p, value) (*(v128_any *)(p) = (value))
#define host_put_u(p, value) (*(v128_any *)(p) = (value))
#define host_put_q(p, value) (*(u64_any *)(p) = (value)[0])
#define host_put_d(p, value) (*(u32_any *)(p) = (uint32_t)(value)[0])

#define load_x(cpu, i) sse_load_slow(cpu, i, linear_x(cpu, i, ACCESS_READ))
#define load_u(cpu, i) sse_load_slow(cpu, i, linear_u(cpu, i, ACCESS_READ))
#define load_q(cpu, i) low64(mem_read(cpu, i, 8))
#define load_d(cpu, i) low64(mem_read(cpu, i, 4))

#define save_x(cpu, i, value) sse_store_slow(cpu, i, linear_x(cpu, i, ACCESS_WRITE), value)
#define save_u(cpu, i, value) sse_store_slow(cpu, i, linear_u(cpu, i, ACCESS_WRITE), value)
#define save_q(cpu, i, value) mem_write(cpu, i, 8, (value)[0])
#define save_d(cpu, i, value) mem_write(cpu, i, 4, (uint32_t)(value)[0])

/* --- Forms --------------------------------------------------------------------------------------- */

/* Not inlined into the memory form. */
#define GENERAL_BODY(name) __attribute__((noinline)) BODY(name)

/*
 * The memory form in 64-bit mode does only what goes well at once; anything else, faults too, it leaves to
 * the general form, so that it needs no stack frame. `enter` is mmx_enter() for MMX.
 */
#define FAST_LOAD_BODY(name, kind, blocked, enter)                                                           \
    BODY(name##_m)                                                                                           \
    {                                                                                                        \
        uint64_t linear = ea64(cpu, i);                                                                      \
        const void *host = tlb_read_host(cpu, linear, BYTES_##kind);                                         \
                                                                                                             \
        if (unlikely(!host || (blocked(cpu) | (linear & ALIGN_##kind)))) {                                   \
            name##_g(cpu, i);                                                                                \
            return;                                                                                          \
        }                                                                                                    \
        enter;                                                                                               \
        name##_do(cpu, i, host_get_##kind(host));                                                            \
        NEXT;                                                                                                \
    }

/* name_r, name_m, name_g for an XMM source. */
#define SSE_BODIES(name, kind)                                                                               \
    SSE_REG_BODY(name##_r, name)                                                                             \
    SSE_MEM_BODIES(name, kind)

#define SSE_REG_BODY(body, name)                                                                             \
    BODY(body)                                                                                               \
    {                                                                                                        \
        sse_check(cpu, i);                                                                                   \
        name##_do(cpu, i, *xmm(cpu, i->rm));                                                                 \
        NEXT;                                                                                                \
    }

#define SSE_MEM_BODIES(name, kind)                                                                           \
    GENERAL_BODY(name##_g)                                                                                   \
    {                                                                                                        \
        sse_check(cpu, i);                                                                                   \
        name##_do(cpu, i, load_##kind(cpu, i));                                                              \
        NEXT;                                                                                                \
    }                                                                                                        \
    FAST_LOAD_BODY(name, kind, sse_blocked, (void)0)

/* The same for an MMX source. */
#define MMX_BODIES(name, kind)                                                                               \
    MMX_REG_BODY(name##_r, name)                                                                             \
    GENERAL_BODY(name##_g)                                                                                   \
    {                                                                                                        \
        v128 source;                                                                                         \
                                                                                                             \
        mmx_check(cpu, i);                                                                                   \
        source = load_##kind(cpu, i);                                                                        \
        mmx_enter(cpu);                                                                                      \
        name##_do(cpu, i, source);                                                                           \
        NEXT;                                                                                                \
    }                                                                                                        \
    FAST_LOAD_BODY(name, kind, mmx_blocked, mmx_enter(cpu))

#define MMX_REG_BODY(body, name)                                                                             \
    BODY(body)                                                                                               \
    {                                                                                                        \
        mmx_check(cpu, i);                                                                                   \
        mmx_enter(cpu);                                                                                      \
        name##_do(cpu, i, low64(get64(cpu, i->rm)));                                                         \
        NEXT;                                                                                                \
    }

/* name_m and name_g: `value` is stored as the kind says. */
#define SSE_STORE_BODIES(name, kind, value) STORE_BODIES(name, kind, value, sse_blocked, sse_check, (void)0)
#define MMX_STORE_BODIES(name, kind, value)                                                                  \
    STORE_BODIES(name, kind, value, mmx_blocked, mmx_check, mmx_enter(cpu))
#define STORE_BODIES(name, kind, value, blocked, check, enter)                                               \
    GENERAL_BODY(name##_g)                                                                                   \
    {                                                                                                        \
        check(cpu, i);                                                                                       \
        save_##kind(cpu, i, value);                                                                          \
        enter;                                                                                               \
        NEXT;                                                                                                \
    }                                                                                                        \
    BODY(name##_m)                                                                                           \
    {                                                                                                        \
        uint64_t linear = ea64(cpu, i);                                                                      \
        void *host = tlb_write_host(cpu, linear, BYTES_##kind);                                              \
                                                                                                             \
        if (unlikely(!host || (blocked(cpu) | (linear & ALIGN_##kind)))) {                                   \
            name##_g(cpu, i);                                                                                \
            return;                                                                                          \
        }                                                                                                    \
        host_put_##kind(host, value);                                                                        \
        enter;                                                                                               \
        NEXT;                                                                                                \
    }

#define DO(name) ALWAYS_INLINE void name##_do(struct cpu *cpu, const struct insn *i, v128 source)

/* --- Floating point under the guest's MXCSR ------------------------------------------------------ */

/*
 * The host's MXCSR always has the default control bits outside sse_float_slow(); its sticky flags are
 * whatever they are. With a guest MXCSR of default control bits an operation runs at once. If afterwards
 * the host has a flag that the guest hasn't, which is rare, the operation runs again with the flags
 * cleared, to see which ones are its own.
 */
/* What the result holds, for finding tiny elements when the guest unmasked underflow. */
enum sse_result { RESULT_NONE, RESULT_SS, RESULT_PS, RESULT_SD, RESULT_PD };

/* Raises #XM (or #UD) for unmasked exceptions, else returns the result with MXCSR's flags updated. */
v128 sse_float_slow(struct cpu *cpu, const struct insn *i, v128 a, v128 b, unsigned imm, sse_op *op,
                    enum sse_result result);

/* The same for `lanes` values at once, at most two: nothing is committed before all their exceptions are known. */
void sse_float_lanes(struct cpu *cpu, const struct insn *i, const v128 *a, const v128 *b, v128 *r, unsigned lanes,
                     unsigned imm, sse_op *op, enum sse_result result);

/*
 * The pieces: sse_float_begin() gives the host the guest's rounding, DAZ and FTZ, with no flags and everything masked,
 * and returns that value; sse_float_end() takes the host back to its defaults, adds `flags` to the guest's MXCSR and
 * raises #XM (or #UD) for unmasked ones.
 */
unsigned sse_float_begin(const struct cpu *cpu);
void sse_float_end(struct cpu *cpu, const struct insn *i, unsigned flags);

unsigned host_mxcsr(void);
void host_set_mxcsr(unsigned value);

#if OXBOW_HOST_SSE
#define host_mxcsr_flags()                                                                                   \
    __extension__({                                                                                          \
        unsigned csr;                                                                                        \
        __asm__ volatile("stmxcsr %0" : "=m"(csr));                                                          \
        csr &MXCSR_FLAGS;                                                                                    \
    })
#else
#define host_mxcsr_flags() (host_mxcsr() & MXCSR_FLAGS)
#endif

/* The operation at once; false when it takes sse_float_slow(). */
ALWAYS_INLINE bool sse_float_fast(const struct cpu *cpu, v128 a, v128 b, unsigned imm, sse_op *op, v128 *r)
{
    if (unlikely((cpu->s.mxcsr & ~MXCSR_FLAGS) != MXCSR_DEFAULT))
        return false;
    *r = op(a, b, imm);
    return likely(!(host_mxcsr_flags() & ~cpu->s.mxcsr));
}

/*
 * Bodies of an instruction that is `op` under MXCSR: first operand `first`, immediate `imm8`, and `commit`,
 * which puts v128 `r` where it belongs. The last of each form's two ways is a tail call, to keep frames out
 * of the usual one.
 */
#define FLOAT_BODIES(name, kind, op, first, imm8, result, commit)                                            \
    FLOAT_REG_BODY(name##_r, name, op, first, imm8, result, commit)                                          \
    GENERAL_BODY(name##_g)                                                                                   \
    {                                                                                                        \
        sse_check(cpu, i);                                                                                   \
        name##_slow(cpu, i, load_##kind(cpu, i));                                                            \
    }                                                                                                        \
    BODY(name##_m)                                                                                           \
    {                                                                                                        \
        uint64_t linear = ea64(cpu, i);                                                                      \
        const void *host = tlb_read_host(cpu, linear, BYTES_##kind);                                         \
                                                                                                             \
        if (unlikely(!host || (sse_blocked(cpu) | (linear & ALIGN_##kind)))) {                               \
            name##_g(cpu, i);                                                                                \
            return;                                                                                          \
        }                                                                                                    \
        name##_try(cpu, i, host_get_##kind(host));                                                           \
    }

#define FLOAT_REG_BODY(body, name, op, first, imm8, result, commit)                                          \
    FLOAT_TRY(name, op, first, imm8, result, commit)                                                         \
    BODY(body)                                                                                               \
    {                                                                                                        \
        sse_check(cpu, i);                                                                                   \
        name##_try(cpu, i, *xmm(cpu, i->rm));                                                                \
    }

/* name_try(), which ends a body, and name_slow() behind it. */
#define FLOAT_TRY(name, op, first, imm8, result, commit)                                                     \
    static __attribute__((noinline)) void name##_slow(struct cpu *cpu, const struct insn *i, v128 source)    \
    {                                                                                                        \
        v128 r = sse_float_slow(cpu, i, first, source, imm8, op, result);                                    \
                                                                                                             \
        commit;                                                                                              \
        NEXT;                                                                                                \
    }                                                                                                        \
    ALWAYS_INLINE void name##_try(struct cpu *cpu, const struct insn *i, v128 source)                        \
    {                                                                                                        \
        v128 r;                                                                                              \
                                                                                                             \
        if (unlikely(!sse_float_fast(cpu, first, source, imm8, op, &r))) {                                   \
            name##_slow(cpu, i, source);                                                                     \
            return;                                                                                          \
        }                                                                                                    \
        commit;                                                                                              \
        NEXT;                                                                                                \
    }

/* sse_move.c, for MASKMOVQ too. */
void sse_masked_store(struct cpu *cpu, const struct insn *i, v128 data, uint32_t mask, unsigned size);

#endif
