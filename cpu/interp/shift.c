/*
 * shift.c - shifts, rotates, double shifts.
 *
 * Counts are masked to 5 bits (6 for 64-bit operands). A masked count of 0 changes no flag. OF is defined for
 * a count of 1 only; for others it follows the same formula, as processors do. AF is set by shifts, as on AMD's.
 */
#include "cpu/interp/rmw.h"

#define DEFINE_SHIFTS(bits)                                                                                  \
    static inline uint##bits##_t shl##bits(struct cpu *cpu, uint##bits##_t a, unsigned count)                \
    {                                                                                                        \
        uint##bits##_t r;                                                                                    \
        bool cf;                                                                                             \
                                                                                                             \
        count &= bits == 64 ? 63 : 31;                                                                       \
        if (!count)                                                                                          \
            return a;                                                                                        \
        r = count < bits ? (uint##bits##_t)(a << count) : 0;                                                 \
        cf = count <= bits && (a >> (bits - count) & 1);                                                     \
        flags_result(cpu, r, bits, cf, (r >> (bits - 1)) ^ cf, 1);                                           \
        return r;                                                                                            \
    }                                                                                                        \
    static inline uint##bits##_t shr##bits(struct cpu *cpu, uint##bits##_t a, unsigned count)                \
    {                                                                                                        \
        uint##bits##_t r;                                                                                    \
        bool cf;                                                                                             \
                                                                                                             \
        count &= bits == 64 ? 63 : 31;                                                                       \
        if (!count)                                                                                          \
            return a;                                                                                        \
        r = count < bits ? (uint##bits##_t)(a >> count) : 0;                                                 \
        cf = count <= bits && (a >> (count - 1) & 1);                                                        \
        flags_result(cpu, r, bits, cf, ((r ^ r << 1) >> (bits - 1)) & 1, 1);                                 \
        return r;                                                                                            \
    }                                                                                                        \
    static inline uint##bits##_t sar##bits(struct cpu *cpu, uint##bits##_t a, unsigned count)                \
    {                                                                                                        \
        int##bits##_t s = (int##bits##_t)a;                                                                  \
        uint##bits##_t r;                                                                                    \
                                                                                                             \
        count &= bits == 64 ? 63 : 31;                                                                       \
        if (!count)                                                                                          \
            return a;                                                                                        \
        if (count > bits)                                                                                    \
            count = bits; /* all copies of the sign, CF too */                                               \
        r = (uint##bits##_t)(s >> (count < bits ? count : bits - 1));                                        \
        flags_result(cpu, r, bits, (unsigned)(s >> (count - 1)) & 1, 0, 1);                                  \
        return r;                                                                                            \
    }                                                                                                        \
    static inline uint##bits##_t rol##bits(struct cpu *cpu, uint##bits##_t a, unsigned count)                \
    {                                                                                                        \
        uint##bits##_t r = a;                                                                                \
                                                                                                             \
        count &= bits == 64 ? 63 : 31;                                                                       \
        if (!count)                                                                                          \
            return a;                                                                                        \
        count &= bits - 1;                                                                                   \
        if (count)                                                                                           \
            r = (uint##bits##_t)(a << count | a >> (bits - count));                                          \
        set_cf_of(cpu, r & 1, (r ^ r >> (bits - 1)) & 1);                                                    \
        return r;                                                                                            \
    }                                                                                                        \
    static inline uint##bits##_t ror##bits(struct cpu *cpu, uint##bits##_t a, unsigned count)                \
    {                                                                                                        \
        uint##bits##_t r = a;                                                                                \
                                                                                                             \
        count &= bits == 64 ? 63 : 31;                                                                       \
        if (!count)                                                                                          \
            return a;                                                                                        \
        count &= bits - 1;                                                                                   \
        if (count)                                                                                           \
            r = (uint##bits##_t)(a >> count | a << (bits - count));                                          \
        set_cf_of(cpu, r >> (bits - 1) & 1, ((r ^ r << 1) >> (bits - 1)) & 1);                               \
        return r;                                                                                            \
    }                                                                                                        \
    /* Through CF: a rotation of bits + 1 places. */                                                         \
    static inline uint##bits##_t rcl##bits(struct cpu *cpu, uint##bits##_t a, unsigned count)                \
    {                                                                                                        \
        bool cf = get_cf(cpu);                                                                               \
                                                                                                             \
        count &= bits == 64 ? 63 : 31;                                                                       \
        if (!count)                                                                                          \
            return a;                                                                                        \
        for (count %= bits + 1; count; count--) {                                                            \
            bool out = a >> (bits - 1) & 1;                                                                  \
                                                                                                             \
            a = (uint##bits##_t)(a << 1 | cf);                                                               \
            cf = out;                                                                                        \
        }                                                                                                    \
        set_cf_of(cpu, cf, cf ^ (a >> (bits - 1) & 1));                                                      \
        return a;                                                                                            \
    }                                                                                                        \
    static inline uint##bits##_t rcr##bits(struct cpu *cpu, uint##bits##_t a, unsigned count)                \
    {                                                                                                        \
        bool cf = get_cf(cpu);                                                                               \
                                                                                                             \
        count &= bits == 64 ? 63 : 31;                                                                       \
        if (!count)                                                                                          \
            return a;                                                                                        \
        for (count %= bits + 1; count; count--) {                                                            \
            bool out = a & 1;                                                                                \
                                                                                                             \
            a = (uint##bits##_t)(a >> 1 | (uint##bits##_t)cf << (bits - 1));                                 \
            cf = out;                                                                                        \
        }                                                                                                    \
        set_cf_of(cpu, cf, ((a ^ a << 1) >> (bits - 1)) & 1);                                                \
        return a;                                                                                            \
    }
DEFINE_SHIFTS(8)
DEFINE_SHIFTS(16)
DEFINE_SHIFTS(32)
DEFINE_SHIFTS(64)

/* By an immediate, by 1, by CL. */
#define DEFINE_COUNTS(name, op, bits, suffix)                                                                \
    RMW_BODIES(name##_e_i, suffix, bits, op##bits(cpu, a, (uint8_t)i->imm))                                  \
    RMW_BODIES(name##_e_1, suffix, bits, op##bits(cpu, a, 1))                                                \
    RMW_BODIES(name##_e_c, suffix, bits, op##bits(cpu, a, (uint8_t)cpu->s.gpr[RCX]))

#define DEFINE_SHIFT(op)                                                                                     \
    DEFINE_COUNTS(op##b, op, 8, )                                                                            \
    DEFINE_COUNTS(op, op, 16, _w)                                                                            \
    DEFINE_COUNTS(op, op, 32, _d)                                                                            \
    DEFINE_COUNTS(op, op, 64, _q)
DEFINE_SHIFT(rol)
DEFINE_SHIFT(ror)
DEFINE_SHIFT(rcl)
DEFINE_SHIFT(rcr)
DEFINE_SHIFT(shl)
DEFINE_SHIFT(shr)
DEFINE_SHIFT(sar)

/*
 * SHLD, SHRD. 16-bit operands with counts of 17 to 31 are undefined in the manuals; AMD's processors shift in the
 * source again, and clear CF.
 */
#define DEFINE_DOUBLE(bits, wide)                                                                            \
    static inline uint##bits##_t shld##bits(struct cpu *cpu, uint##bits##_t a, uint##bits##_t b,             \
                                            unsigned count)                                                  \
    {                                                                                                        \
        wide pair = (wide)a << bits | b, before;                                                             \
        uint##bits##_t r;                                                                                    \
        bool past, cf;                                                                                       \
                                                                                                             \
        count &= bits == 64 ? 63 : 31;                                                                       \
        if (!count)                                                                                          \
            return a;                                                                                        \
        past = count > bits; /* 16 bits only */                                                              \
        if (past) {                                                                                          \
            pair = (wide)b << bits | b;                                                                      \
            count -= bits;                                                                                   \
        }                                                                                                    \
        before = pair << (count - 1);                                                                        \
        r = (uint##bits##_t)(before << 1 >> bits);                                                           \
        cf = !past && (before >> (2 * bits - 1) & 1);                                                        \
        flags_result(cpu, r, bits, cf, cf ^ (!past && ((wide)a << count >> (bits - 1) & 1)), 1);             \
        return r;                                                                                            \
    }                                                                                                        \
    static inline uint##bits##_t shrd##bits(struct cpu *cpu, uint##bits##_t a, uint##bits##_t b,             \
                                            unsigned count)                                                  \
    {                                                                                                        \
        wide pair = (wide)b << bits | a, before;                                                             \
        uint##bits##_t r;                                                                                    \
        bool past;                                                                                           \
                                                                                                             \
        count &= bits == 64 ? 63 : 31;                                                                       \
        if (!count)                                                                                          \
            return a;                                                                                        \
        past = count > bits;                                                                                 \
        if (past) {                                                                                          \
            pair = (wide)b << bits | b;                                                                      \
            count -= bits;                                                                                   \
        }                                                                                                    \
        before = pair >> (count - 1);                                                                        \
        r = (uint##bits##_t)(before >> 1);                                                                   \
        flags_result(cpu, r, bits, !past && (before & 1), ((r ^ r << 1) >> (bits - 1)) & 1, 1);              \
        return r;                                                                                            \
    }
DEFINE_DOUBLE(16, uint32_t)
DEFINE_DOUBLE(32, uint64_t)
DEFINE_DOUBLE(64, unsigned __int128)

#define DEFINE_DOUBLE_BODIES(op, bits, suffix)                                                               \
    RMW_BODIES(op##_e_g_i, suffix, bits, op##bits(cpu, a, get##bits(cpu, i->reg), (uint8_t)i->imm))          \
    RMW_BODIES(op##_e_g_c, suffix, bits, op##bits(cpu, a, get##bits(cpu, i->reg), (uint8_t)cpu->s.gpr[RCX]))
DEFINE_DOUBLE_BODIES(shld, 16, _w)
DEFINE_DOUBLE_BODIES(shld, 32, _d)
DEFINE_DOUBLE_BODIES(shld, 64, _q)
DEFINE_DOUBLE_BODIES(shrd, 16, _w)
DEFINE_DOUBLE_BODIES(shrd, 32, _d)
DEFINE_DOUBLE_BODIES(shrd, 64, _q)
