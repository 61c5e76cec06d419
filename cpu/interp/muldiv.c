/*
 * muldiv.c - MUL, IMUL, DIV, IDIV.
 *
 * MUL and IMUL define CF and OF only, and leave the other flags alone; DIV and IDIV define none, and leave CF and OF
 * alone, as on AMD's processors.
 */
#include "cpu/interp/rmw.h"

/* SF, ZF and PF clear, AF set. */
static forced_inline void flags_divided(struct cpu *cpu)
{
    cpu->lf_result = 1;
    cpu->lf_aux = (cpu->lf_aux & (AUX_CF | AUX_PO)) | AUX_AF;
}

#define DEFINE_MULDIV(b, bits, wide, suffix, set_high, get_pair)                                             \
    static inline void mul_a##bits(struct cpu *cpu, uint##bits##_t a)                                        \
    {                                                                                                        \
        unsigned wide product = (unsigned wide)a * get##bits(cpu, REG_OFFSET(RAX));                          \
        uint##bits##_t low = (uint##bits##_t)product, high = (uint##bits##_t)(product >> bits);              \
                                                                                                             \
        set_cf_of(cpu, high != 0, high != 0);                                                                \
        set##bits(cpu, REG_OFFSET(RAX), low);                                                                \
        set_high(high);                                                                                      \
    }                                                                                                        \
    static inline void imul_a##bits(struct cpu *cpu, uint##bits##_t a)                                       \
    {                                                                                                        \
        wide product = (wide)(int##bits##_t)a * (int##bits##_t)get##bits(cpu, REG_OFFSET(RAX));              \
        uint##bits##_t low = (uint##bits##_t)product,                                                        \
                       high = (uint##bits##_t)((unsigned wide)product >> bits);                              \
        bool over = product != (int##bits##_t)low;                                                           \
                                                                                                             \
        set_cf_of(cpu, over, over);                                                                          \
        set##bits(cpu, REG_OFFSET(RAX), low);                                                                \
        set_high(high);                                                                                      \
    }                                                                                                        \
    static inline void div_a##bits(struct cpu *cpu, const struct insn *i, uint##bits##_t a)                  \
    {                                                                                                        \
        unsigned wide n = get_pair, q;                                                                       \
                                                                                                             \
        if (!a || (q = n / a) > (uint##bits##_t) - 1)                                                        \
            fault0(cpu, i, EX_DE);                                                                           \
        set##bits(cpu, REG_OFFSET(RAX), (uint##bits##_t)q);                                                  \
        set_high((uint##bits##_t)(n % a));                                                                   \
        flags_divided(cpu);                                                                                  \
    }                                                                                                        \
    static inline void idiv_a##bits(struct cpu *cpu, const struct insn *i, uint##bits##_t a)                 \
    {                                                                                                        \
        wide n = (wide)get_pair, d = (int##bits##_t)a, q;                                                    \
                                                                                                             \
        /* The most negative number by -1 overflows the host's division too. */                              \
        if (!d || (d == -1 && (unsigned wide)n == (unsigned wide)1 << (2 * bits - 1)))                       \
            fault0(cpu, i, EX_DE);                                                                           \
        q = n / d;                                                                                           \
        if (q != (int##bits##_t)q)                                                                           \
            fault0(cpu, i, EX_DE);                                                                           \
        set##bits(cpu, REG_OFFSET(RAX), (uint##bits##_t)q);                                                  \
        set_high((uint##bits##_t)(n % d));                                                                   \
        flags_divided(cpu);                                                                                  \
    }                                                                                                        \
    READ_BODIES(mul##b, suffix, bits, mul_a##bits(cpu, a))                                                   \
    READ_BODIES(imul##b, suffix, bits, imul_a##bits(cpu, a))                                                 \
    READ_BODIES(div##b, suffix, bits, div_a##bits(cpu, i, a))                                                \
    READ_BODIES(idiv##b, suffix, bits, idiv_a##bits(cpu, i, a))

#define HIGH8(v)  set8(cpu, REG_OFFSET(RAX) + 1, v)
#define HIGH16(v) set16(cpu, REG_OFFSET(RDX), v)
#define HIGH32(v) set32(cpu, REG_OFFSET(RDX), v)
#define HIGH64(v) set64(cpu, REG_OFFSET(RDX), v)
#define PAIR(bits, wide)                                                                                     \
    ((unsigned wide)get##bits(cpu, REG_OFFSET(RDX)) << bits | get##bits(cpu, REG_OFFSET(RAX)))

/* The dividend pairs are sign-extended by idiv through the wide type when it is exactly twice as wide. */
DEFINE_MULDIV(b, 8, short, , HIGH8, get16(cpu, REG_OFFSET(RAX)))
DEFINE_MULDIV(, 16, int, _w, HIGH16, PAIR(16, int))
DEFINE_MULDIV(, 32, long long, _d, HIGH32, PAIR(32, long long))
DEFINE_MULDIV(, 64, __int128, _q, HIGH64, PAIR(64, __int128))

/* IMUL G, E and IMUL G, E, immediate. */
#define DEFINE_IMUL_G(bits, suffix)                                                                          \
    static inline uint##bits##_t imul##bits(struct cpu *cpu, uint##bits##_t a, uint##bits##_t b)             \
    {                                                                                                        \
        int##bits##_t low;                                                                                   \
        bool over = __builtin_mul_overflow((int##bits##_t)a, (int##bits##_t)b, &low);                        \
                                                                                                             \
        set_cf_of(cpu, over, over);                                                                          \
        return (uint##bits##_t)low;                                                                          \
    }                                                                                                        \
    READ_BODIES(imul_g_e, suffix, bits, set##bits(cpu, i->reg, imul##bits(cpu, get##bits(cpu, i->reg), a)))  \
    READ_BODIES(imul_g_e_i, suffix, bits, set##bits(cpu, i->reg, imul##bits(cpu, a, (uint##bits##_t)i->imm)))
DEFINE_IMUL_G(16, _w)
DEFINE_IMUL_G(32, _d)
DEFINE_IMUL_G(64, _q)
