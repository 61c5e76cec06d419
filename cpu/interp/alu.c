/*
 * alu.c - ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST, INC, DEC, NEG, NOT.
 *
 * Bodies are named as their rows say: add_e_g_m_d is ADD of a general register to a memory operand, 32 bits,
 * in form 1; addb_... are the byte forms.
 */
#include "cpu/interp/rmw.h"

/* Each operation on operands of one size: returns the result, sets the flags. */
#define DEFINE_OPS(bits)                                                                                     \
    static inline uint##bits##_t add##bits(struct cpu *cpu, uint##bits##_t a, uint##bits##_t b)              \
    {                                                                                                        \
        uint##bits##_t r = (uint##bits##_t)(a + b);                                                          \
                                                                                                             \
        flags_add(cpu, a, b, r, bits);                                                                       \
        return r;                                                                                            \
    }                                                                                                        \
    static inline uint##bits##_t adc##bits(struct cpu *cpu, uint##bits##_t a, uint##bits##_t b)              \
    {                                                                                                        \
        uint##bits##_t r = (uint##bits##_t)(a + b + get_cf(cpu));                                            \
                                                                                                             \
        flags_add(cpu, a, b, r, bits);                                                                       \
        return r;                                                                                            \
    }                                                                                                        \
    static inline uint##bits##_t sub##bits(struct cpu *cpu, uint##bits##_t a, uint##bits##_t b)              \
    {                                                                                                        \
        uint##bits##_t r = (uint##bits##_t)(a - b);                                                          \
                                                                                                             \
        flags_sub(cpu, a, b, r, bits);                                                                       \
        return r;                                                                                            \
    }                                                                                                        \
    static inline uint##bits##_t sbb##bits(struct cpu *cpu, uint##bits##_t a, uint##bits##_t b)              \
    {                                                                                                        \
        uint##bits##_t r = (uint##bits##_t)(a - b - get_cf(cpu));                                            \
                                                                                                             \
        flags_sub(cpu, a, b, r, bits);                                                                       \
        return r;                                                                                            \
    }                                                                                                        \
    static inline uint##bits##_t and##bits(struct cpu *cpu, uint##bits##_t a, uint##bits##_t b)              \
    {                                                                                                        \
        flags_logic(cpu, a &b, bits);                                                                        \
        return a & b;                                                                                        \
    }                                                                                                        \
    static inline uint##bits##_t or ##bits(struct cpu *cpu, uint##bits##_t a, uint##bits##_t b)              \
    {                                                                                                        \
        flags_logic(cpu, a | b, bits);                                                                       \
        return a | b;                                                                                        \
    }                                                                                                        \
    static inline uint##bits##_t xor ##bits(struct cpu *cpu, uint##bits##_t a, uint##bits##_t b)             \
    {                                                                                                        \
        flags_logic(cpu, a ^ b, bits);                                                                       \
        return a ^ b;                                                                                        \
    }                                                                                                        \
    /* INC and DEC leave CF alone. */                                                                        \
    static inline uint##bits##_t inc##bits(struct cpu *cpu, uint##bits##_t a)                                \
    {                                                                                                        \
        uint##bits##_t r = (uint##bits##_t)(a + 1);                                                          \
                                                                                                             \
        flags_result(cpu, r, bits, get_cf(cpu), r == (uint##bits##_t)1 << (bits - 1), (r & 15) == 0);        \
        return r;                                                                                            \
    }                                                                                                        \
    static inline uint##bits##_t dec##bits(struct cpu *cpu, uint##bits##_t a)                                \
    {                                                                                                        \
        uint##bits##_t r = (uint##bits##_t)(a - 1);                                                          \
                                                                                                             \
        flags_result(cpu, r, bits, get_cf(cpu), a == (uint##bits##_t)1 << (bits - 1), (r & 15) == 15);       \
        return r;                                                                                            \
    }
DEFINE_OPS(8)
DEFINE_OPS(16)
DEFINE_OPS(32)
DEFINE_OPS(64)

/* Destination E or G; source G, E or immediate. `b` is "b" in the names of byte forms. */
#define DEFINE_WRITING(name, op, bits, suffix)                                                               \
    RMW_BODIES(name##_e_g, suffix, bits, op##bits(cpu, a, get##bits(cpu, i->reg)))                           \
    RMW_BODIES(name##_e_i, suffix, bits, op##bits(cpu, a, (uint##bits##_t)i->imm))                           \
    READ_BODIES(name##_g_e, suffix, bits, set##bits(cpu, i->reg, op##bits(cpu, get##bits(cpu, i->reg), a)))

#define DEFINE_OP(op)                                                                                        \
    DEFINE_WRITING(op##b, op, 8, )                                                                           \
    DEFINE_WRITING(op, op, 16, _w)                                                                           \
    DEFINE_WRITING(op, op, 32, _d)                                                                           \
    DEFINE_WRITING(op, op, 64, _q)

DEFINE_OP(add)
DEFINE_OP(or)
DEFINE_OP(adc)
DEFINE_OP(sbb)
DEFINE_OP(and)
DEFINE_OP(sub)
DEFINE_OP(xor)

/* CMP and TEST write only flags. */
#define DEFINE_COMPARING(b, bits, suffix)                                                                    \
    READ_BODIES(cmp##b##_e_g, suffix, bits, (void)sub##bits(cpu, a, get##bits(cpu, i->reg)))                 \
    READ_BODIES(cmp##b##_g_e, suffix, bits, (void)sub##bits(cpu, get##bits(cpu, i->reg), a))                 \
    READ_BODIES(cmp##b##_e_i, suffix, bits, (void)sub##bits(cpu, a, (uint##bits##_t)i->imm))                 \
    READ_BODIES(test##b##_e_g, suffix, bits, (void)and##bits(cpu, a, get##bits(cpu, i->reg)))                \
    READ_BODIES(test##b##_e_i, suffix, bits, (void)and##bits(cpu, a, (uint##bits##_t)i->imm))
DEFINE_COMPARING(b, 8, )
DEFINE_COMPARING(, 16, _w)
DEFINE_COMPARING(, 32, _d)
DEFINE_COMPARING(, 64, _q)

#define DEFINE_UNARY(b, bits, suffix)                                                                        \
    RMW_BODIES(inc##b, suffix, bits, inc##bits(cpu, a))                                                      \
    RMW_BODIES(dec##b, suffix, bits, dec##bits(cpu, a))                                                      \
    RMW_BODIES(neg##b, suffix, bits, sub##bits(cpu, 0, a))                                                   \
    RMW_BODIES(not ##b, suffix, bits, (uint##bits##_t) ~a)
DEFINE_UNARY(b, 8, )
DEFINE_UNARY(, 16, _w)
DEFINE_UNARY(, 32, _d)
DEFINE_UNARY(, 64, _q)
