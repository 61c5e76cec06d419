/*
 * bits.c - BT, BTS, BTR, BTC, BSF, BSR, and POPCNT, LZCNT, TZCNT.
 */
#include "cpu/interp/rmw.h"

/* CF is the bit; OF, SF, ZF, AF, PF stay (SDM: OF, SF, AF, PF undefined, ZF unchanged). */
#define DEFINE_BIT_OPS(bits)                                                                                 \
    static inline void bt##bits(struct cpu *cpu, uint##bits##_t a, unsigned n)                               \
    {                                                                                                        \
        set_cf(cpu, a >> n & 1);                                                                             \
    }                                                                                                        \
    static inline uint##bits##_t bts##bits(struct cpu *cpu, uint##bits##_t a, unsigned n)                    \
    {                                                                                                        \
        bt##bits(cpu, a, n);                                                                                 \
        return (uint##bits##_t)(a | (uint##bits##_t)1 << n);                                                 \
    }                                                                                                        \
    static inline uint##bits##_t btr##bits(struct cpu *cpu, uint##bits##_t a, unsigned n)                    \
    {                                                                                                        \
        bt##bits(cpu, a, n);                                                                                 \
        return (uint##bits##_t)(a & ~((uint##bits##_t)1 << n));                                              \
    }                                                                                                        \
    static inline uint##bits##_t btc##bits(struct cpu *cpu, uint##bits##_t a, unsigned n)                    \
    {                                                                                                        \
        bt##bits(cpu, a, n);                                                                                 \
        return (uint##bits##_t)(a ^ (uint##bits##_t)1 << n);                                                 \
    }
DEFINE_BIT_OPS(16)
DEFINE_BIT_OPS(32)
DEFINE_BIT_OPS(64)

/*
 * A bit number from a register reaches beyond the memory operand, either way: the operand used lies (signed
 * bit number / operand bits) operands away. This is its effective offset.
 */
static inline uint64_t bit_string_ea(const struct cpu *cpu, const struct insn *i, int64_t bit, unsigned size)
{
    return (ea(cpu, i) + (uint64_t)((bit >> (size + 3)) * (1 << size))) & address_mask(i->asize);
}

/* The memory form with a register bit number, for one that only reads and one that writes. */
#define DEFINE_STRING_BODIES(op, bits, suffix, size)                                                         \
    BODY(op##_e_g_r##suffix)                                                                                 \
    {                                                                                                        \
        set##bits(cpu, i->rm, op##bits(cpu, get##bits(cpu, i->rm), get##bits(cpu, i->reg) & (bits - 1)));    \
        NEXT;                                                                                                \
    }                                                                                                        \
    BODY(op##_e_g_g##suffix)                                                                                 \
    {                                                                                                        \
        uint##bits##_t n = get##bits(cpu, i->reg);                                                           \
        uint64_t linear = seg_linear(cpu, i, i->seg, bit_string_ea(cpu, i, (int##bits##_t)n, size),          \
                                     bits / 8, ACCESS_WRITE);                                                \
        u##bits##_any *p = host_for_write(cpu, i, i->seg, linear, bits / 8);                                 \
                                                                                                             \
        n &= bits - 1;                                                                                       \
        if (!p) {                                                                                            \
            uint##bits##_t a = (uint##bits##_t)linear_read(cpu, i, i->seg, linear, bits / 8);                \
                                                                                                             \
            linear_write(cpu, i, i->seg, linear, op##bits(cpu, a, n), bits / 8);                             \
        } else if (i->flags & INSN_LOCK) {                                                                   \
            for (;;) {                                                                                       \
                uint##bits##_t a = *p;                                                                       \
                                                                                                             \
                if (cas##bits(p, a, op##bits(cpu, a, n)))                                                    \
                    break;                                                                                   \
            }                                                                                                \
            wrote_host(cpu, i, linear, bits / 8);                                                            \
        } else {                                                                                             \
            *p = op##bits(cpu, *p, n);                                                                       \
            wrote_host(cpu, i, linear, bits / 8);                                                            \
        }                                                                                                    \
        NEXT;                                                                                                \
    }                                                                                                        \
    BODY(op##_e_g_m##suffix)                                                                                 \
    {                                                                                                        \
        op##_e_g_g##suffix(cpu, i);                                                                          \
    }                                                                                                        \
    RMW_BODIES(op##_e_i, suffix, bits, op##bits(cpu, a, (unsigned)i->imm &(bits - 1)))

#define DEFINE_BT(bits, suffix, size)                                                                        \
    BODY(bt_e_g_r##suffix)                                                                                   \
    {                                                                                                        \
        bt##bits(cpu, get##bits(cpu, i->rm), get##bits(cpu, i->reg) & (bits - 1));                           \
        NEXT;                                                                                                \
    }                                                                                                        \
    BODY(bt_e_g_g##suffix)                                                                                   \
    {                                                                                                        \
        uint##bits##_t n = get##bits(cpu, i->reg);                                                           \
        uint64_t linear = seg_linear(cpu, i, i->seg, bit_string_ea(cpu, i, (int##bits##_t)n, size),          \
                                     bits / 8, ACCESS_READ);                                                 \
                                                                                                             \
        bt##bits(cpu, ld##bits(cpu, i, i->seg, linear), n &(bits - 1));                                      \
        NEXT;                                                                                                \
    }                                                                                                        \
    BODY(bt_e_g_m##suffix)                                                                                   \
    {                                                                                                        \
        bt_e_g_g##suffix(cpu, i);                                                                            \
    }                                                                                                        \
    READ_BODIES(bt_e_i, suffix, bits, bt##bits(cpu, a, (unsigned)i->imm &(bits - 1)))                        \
    DEFINE_STRING_BODIES(bts, bits, suffix, size)                                                            \
    DEFINE_STRING_BODIES(btr, bits, suffix, size)                                                            \
    DEFINE_STRING_BODIES(btc, bits, suffix, size)
DEFINE_BT(16, _w, SIZE_W)
DEFINE_BT(32, _d, SIZE_D)
DEFINE_BT(64, _q, SIZE_Q)

/*
 * BSF, BSR: a zero source sets ZF and leaves the destination (APM; on Intel undefined, in practice the same).
 * In 32 bits that leaves the upper half too. PF is the result's parity and OF, SF, AF, CF are clear, as on AMD's
 * processors. POPCNT sets all six flags, LZCNT and TZCNT all but OF.
 */
static inline void flags_found(struct cpu *cpu, bool none, uint8_t result)
{
    set_arith_flags(cpu, (none ? FLAG_ZF : 0) | (__builtin_parity(result) ? 0 : FLAG_PF));
}

#define DEFINE_SCAN(bits, suffix, ctz, clz, popcount)                                                        \
    static inline void bsf##bits(struct cpu *cpu, const struct insn *i, uint##bits##_t a)                    \
    {                                                                                                        \
        uint##bits##_t n = a ? (uint##bits##_t)ctz(a) : 0;                                                   \
                                                                                                             \
        flags_found(cpu, a == 0, (uint8_t)n);                                                                \
        if (a)                                                                                               \
            set##bits(cpu, i->reg, n);                                                                       \
    }                                                                                                        \
    static inline void bsr##bits(struct cpu *cpu, const struct insn *i, uint##bits##_t a)                    \
    {                                                                                                        \
        uint##bits##_t n = a ? (uint##bits##_t)(8 * sizeof(clz##_type) - 1 - (unsigned)clz(a)) : 0;          \
                                                                                                             \
        flags_found(cpu, a == 0, (uint8_t)n);                                                                \
        if (a)                                                                                               \
            set##bits(cpu, i->reg, n);                                                                       \
    }                                                                                                        \
    static inline void popcnt##bits(struct cpu *cpu, const struct insn *i, uint##bits##_t a)                 \
    {                                                                                                        \
        set_arith_flags(cpu, a ? 0 : FLAG_ZF);                                                               \
        set##bits(cpu, i->reg, (uint##bits##_t)popcount(a));                                                 \
    }                                                                                                        \
    static inline void tzcnt##bits(struct cpu *cpu, const struct insn *i, uint##bits##_t a)                  \
    {                                                                                                        \
        unsigned n = a ? (unsigned)ctz(a) : bits;                                                            \
                                                                                                             \
        set_arith_flags(cpu, (a ? 0 : FLAG_CF) | (n ? 0 : FLAG_ZF) | (get_of(cpu) ? FLAG_OF : 0));           \
        set##bits(cpu, i->reg, (uint##bits##_t)n);                                                           \
    }                                                                                                        \
    static inline void lzcnt##bits(struct cpu *cpu, const struct insn *i, uint##bits##_t a)                  \
    {                                                                                                        \
        unsigned n = a ? (unsigned)clz(a) - (unsigned)(8 * sizeof(clz##_type) - bits) : bits;                \
                                                                                                             \
        set_arith_flags(cpu, (a ? 0 : FLAG_CF) | (n ? 0 : FLAG_ZF) | (get_of(cpu) ? FLAG_OF : 0));           \
        set##bits(cpu, i->reg, (uint##bits##_t)n);                                                           \
    }                                                                                                        \
    READ_BODIES(bsf, suffix, bits, bsf##bits(cpu, i, a))                                                     \
    READ_BODIES(bsr, suffix, bits, bsr##bits(cpu, i, a))                                                     \
    READ_BODIES(popcnt, suffix, bits, popcnt##bits(cpu, i, a))                                               \
    READ_BODIES(tzcnt, suffix, bits, tzcnt##bits(cpu, i, a))                                                 \
    READ_BODIES(lzcnt, suffix, bits, lzcnt##bits(cpu, i, a))
/* What the builtins count in. */
#define __builtin_clz_type   unsigned
#define __builtin_clzll_type unsigned long long
DEFINE_SCAN(16, _w, __builtin_ctz, __builtin_clz, __builtin_popcount)
DEFINE_SCAN(32, _d, __builtin_ctz, __builtin_clz, __builtin_popcount)
DEFINE_SCAN(64, _q, __builtin_ctzll, __builtin_clzll, __builtin_popcountll)
