/*
 * bmi.c - BMI1, BMI2, ADX and CRC32.
 *
 * What the manuals leave undefined is as on AMD's processors: AF clear and PF the result's, but for BEXTR,
 * which sets AF and clears SF.
 */
#include "cpu/interp/rmw.h"

/* --- Operations ---------------------------------------------------------------------------------- */

#if defined(__x86_64__)

/* PDEP and PEXT would be loops, and are fast in the host. */
#define DEFINE_HOST_BITS(name)                                                                               \
    static inline uint64_t name##_host(uint64_t a, uint64_t mask)                                            \
    {                                                                                                        \
        uint64_t r;                                                                                          \
                                                                                                             \
        __asm__(#name " %2, %1, %0" : "=r"(r) : "r"(a), "r"(mask));                                          \
        return r;                                                                                            \
    }
DEFINE_HOST_BITS(pdep)
DEFINE_HOST_BITS(pext)

#define HOST_BITS(name)                                                                                      \
    if (__builtin_cpu_supports("bmi2"))                                                                      \
        return name##_host(a, mask);

/* The CRC goes through in the operand's bytes. */
#define DEFINE_HOST_CRC(bits, suffix)                                                                        \
    static inline uint32_t crc_host##bits(uint32_t crc, uint##bits##_t a)                                    \
    {                                                                                                        \
        uint64_t r = crc;                                                                                    \
                                                                                                             \
        __asm__("crc32" suffix : "+r"(r) : "r"(a));                                                          \
        return (uint32_t)r;                                                                                  \
    }
DEFINE_HOST_CRC(8, "b %1, %k0")
DEFINE_HOST_CRC(16, "w %1, %k0")
DEFINE_HOST_CRC(32, "l %1, %k0")
DEFINE_HOST_CRC(64, "q %1, %0")

#define HOST_CRC(bits)                                                                                       \
    if (__builtin_cpu_supports("sse4.2"))                                                                    \
        return crc_host##bits(crc, a);

#else
#define HOST_BITS(name)
#define HOST_CRC(bits)
#endif

/* The low bits of `a` to where the mask has ones. */
static inline uint64_t pdep(uint64_t a, uint64_t mask)
{
    uint64_t r = 0;

    HOST_BITS(pdep)
    for (; mask; mask &= mask - 1, a >>= 1)
        if (a & 1)
            r |= mask & -mask;
    return r;
}

/* The bits of `a` where the mask has ones, to the low end. */
static inline uint64_t pext(uint64_t a, uint64_t mask)
{
    uint64_t r = 0;

    HOST_BITS(pext)
    for (uint64_t bit = 1; mask; mask &= mask - 1, bit <<= 1)
        if (a & mask & -mask)
            r |= bit;
    return r;
}

/* CRC-32C (polynomial 11EDC6F41h, bits reflected), without the inversions that protocols put around it. */
#define DEFINE_CRC(bits)                                                                                     \
    static inline uint32_t crc##bits(uint32_t crc, uint##bits##_t a)                                         \
    {                                                                                                        \
        HOST_CRC(bits)                                                                                       \
        for (unsigned n = 0; n < bits; n++, a = (uint##bits##_t)(a >> 1))                                    \
            crc = crc >> 1 ^ ((crc ^ a) & 1 ? 0x82f63b78 : 0);                                               \
        return crc;                                                                                          \
    }
DEFINE_CRC(8)
DEFINE_CRC(16)
DEFINE_CRC(32)
DEFINE_CRC(64)

#define DEFINE_OPS(bits)                                                                                     \
    static inline uint##bits##_t by##bits(const struct cpu *cpu, const struct insn *i)                       \
    {                                                                                                        \
        return get##bits(cpu, REG_OFFSET(i->vreg));                                                          \
    }                                                                                                        \
    static inline void set_by##bits(struct cpu *cpu, const struct insn *i, uint##bits##_t value)             \
    {                                                                                                        \
        set##bits(cpu, REG_OFFSET(i->vreg), value);                                                          \
    }                                                                                                        \
    /* Flags of a result with this CF. */                                                                    \
    static inline uint##bits##_t result##bits(struct cpu *cpu, uint##bits##_t r, unsigned cf)                \
    {                                                                                                        \
        flags_result(cpu, r, bits, cf, 0, 0);                                                                \
        return r;                                                                                            \
    }                                                                                                        \
    static inline uint##bits##_t andn##bits(struct cpu *cpu, uint##bits##_t not, uint##bits##_t a)           \
    {                                                                                                        \
        return result##bits(cpu, ~not &a, 0);                                                                \
    }                                                                                                        \
    static inline uint##bits##_t blsr##bits(struct cpu *cpu, uint##bits##_t a)                               \
    {                                                                                                        \
        return result##bits(cpu, a & (a - 1), a == 0);                                                       \
    }                                                                                                        \
    static inline uint##bits##_t blsmsk##bits(struct cpu *cpu, uint##bits##_t a)                             \
    {                                                                                                        \
        return result##bits(cpu, a ^ (a - 1), a == 0);                                                       \
    }                                                                                                        \
    static inline uint##bits##_t blsi##bits(struct cpu *cpu, uint##bits##_t a)                               \
    {                                                                                                        \
        return result##bits(cpu, a & -a, a != 0);                                                            \
    }                                                                                                        \
    /* Bits from `control` 7:0 on, 15:8 of them. */                                                          \
    static inline uint##bits##_t bextr##bits(struct cpu *cpu, uint##bits##_t a, uint##bits##_t control)      \
    {                                                                                                        \
        unsigned start = control & 0xff, length = control >> 8 & 0xff;                                       \
        uint##bits##_t r = start < bits ? a >> start : 0;                                                    \
                                                                                                             \
        if (length < bits)                                                                                   \
            r &= ((uint##bits##_t)1 << length) - 1;                                                          \
        set_arith_flags(cpu, FLAG_AF | (r ? 0 : FLAG_ZF) | (__builtin_parity((uint8_t)r) ? 0 : FLAG_PF));    \
        return r;                                                                                            \
    }                                                                                                        \
    static inline uint##bits##_t bzhi##bits(struct cpu *cpu, uint##bits##_t a, unsigned from)                \
    {                                                                                                        \
        if (from < bits)                                                                                     \
            a &= ((uint##bits##_t)1 << from) - 1;                                                            \
        return result##bits(cpu, a, from > bits - 1);                                                        \
    }                                                                                                        \
    /* ADC with a carry of its own, and no other flag. */                                                    \
    static inline uint##bits##_t adcx##bits(struct cpu *cpu, uint##bits##_t a, uint##bits##_t b)             \
    {                                                                                                        \
        uint##bits##_t r;                                                                                    \
        bool carry = __builtin_add_overflow(a, b, &r), of = get_of(cpu);                                     \
                                                                                                             \
        carry |= __builtin_add_overflow(r, (uint##bits##_t)get_cf(cpu), &r);                                 \
        set_cf_of(cpu, carry, of);                                                                           \
        return r;                                                                                            \
    }                                                                                                        \
    static inline uint##bits##_t adox##bits(struct cpu *cpu, uint##bits##_t a, uint##bits##_t b)             \
    {                                                                                                        \
        uint##bits##_t r;                                                                                    \
        bool carry = __builtin_add_overflow(a, b, &r), cf = get_cf(cpu);                                     \
                                                                                                             \
        carry |= __builtin_add_overflow(r, (uint##bits##_t)get_of(cpu), &r);                                 \
        set_cf_of(cpu, cf, carry);                                                                           \
        return r;                                                                                            \
    }                                                                                                        \
    static inline uint##bits##_t rorx##bits(uint##bits##_t a, unsigned count)                                \
    {                                                                                                        \
        count &= bits - 1;                                                                                   \
        return a >> count | a << (-count & (bits - 1));                                                      \
    }                                                                                                        \
    static inline uint##bits##_t sarx##bits(uint##bits##_t a, unsigned count)                                \
    {                                                                                                        \
        return (uint##bits##_t)((int##bits##_t)a >> (count & (bits - 1)));                                   \
    }                                                                                                        \
    /* The high half wins when both go to one register. */                                                   \
    static inline void mulx##bits(struct cpu *cpu, const struct insn *i, uint##bits##_t a)                   \
    {                                                                                                        \
        unsigned __int128 product = (unsigned __int128)a * get##bits(cpu, REG_OFFSET(RDX));                  \
                                                                                                             \
        set_by##bits(cpu, i, (uint##bits##_t)product);                                                       \
        set##bits(cpu, i->reg, (uint##bits##_t)(product >> bits));                                           \
    }
DEFINE_OPS(32)
DEFINE_OPS(64)

/* --- Bodies -------------------------------------------------------------------------------------- */

/* To G, or to the register in VEX.vvvv. */
#define TO_G(name, bits, suffix, expr) READ_BODIES(name, suffix, bits, set##bits(cpu, i->reg, (expr)))
#define TO_B(name, bits, suffix, expr) READ_BODIES(name, suffix, bits, set_by##bits(cpu, i, (expr)))

#define DEFINE_BODIES(bits, suffix)                                                                          \
    TO_G(andn, bits, suffix, andn##bits(cpu, by##bits(cpu, i), a))                                           \
    TO_B(blsr, bits, suffix, blsr##bits(cpu, a))                                                             \
    TO_B(blsmsk, bits, suffix, blsmsk##bits(cpu, a))                                                         \
    TO_B(blsi, bits, suffix, blsi##bits(cpu, a))                                                             \
    TO_G(bextr, bits, suffix, bextr##bits(cpu, a, by##bits(cpu, i)))                                         \
    TO_G(bzhi, bits, suffix, bzhi##bits(cpu, a, by##bits(cpu, i) & 0xff))                                    \
    TO_G(pdep, bits, suffix, (uint##bits##_t)pdep(by##bits(cpu, i), a))                                      \
    TO_G(pext, bits, suffix, (uint##bits##_t)pext(by##bits(cpu, i), a))                                      \
    TO_G(rorx, bits, suffix, rorx##bits(a, (uint8_t)i->imm))                                                 \
    TO_G(sarx, bits, suffix, sarx##bits(a, (unsigned)by##bits(cpu, i)))                                      \
    TO_G(shlx, bits, suffix, a << (by##bits(cpu, i) & (bits - 1)))                                           \
    TO_G(shrx, bits, suffix, a >> (by##bits(cpu, i) & (bits - 1)))                                           \
    TO_G(adcx, bits, suffix, adcx##bits(cpu, get##bits(cpu, i->reg), a))                                     \
    TO_G(adox, bits, suffix, adox##bits(cpu, get##bits(cpu, i->reg), a))                                     \
    READ_BODIES(mulx, suffix, bits, mulx##bits(cpu, i, a))
DEFINE_BODIES(32, _d)
DEFINE_BODIES(64, _q)

/* The result has 32 bits; a 64-bit destination's upper half is cleared all the same. */
#define DEFINE_CRC_BODIES(name, bits, suffix)                                                                \
    READ_BODIES(name, suffix, bits, set32(cpu, i->reg, crc##bits(get32(cpu, i->reg), a)))
DEFINE_CRC_BODIES(crc32_b, 8, )
DEFINE_CRC_BODIES(crc32_v, 16, _w)
DEFINE_CRC_BODIES(crc32_v, 32, _d)
DEFINE_CRC_BODIES(crc32_v, 64, _q)
