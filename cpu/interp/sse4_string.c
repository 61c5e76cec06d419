/*
 * sse4_string.c - SSE4.2's comparisons of strings: PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM.
 */
#include "cpu/interp/avx.h"
#include "cpu/interp/sse4_ops.h"

/* Compares `a` with `b`, sets the flags, returns the manual's IntRes2. */
static __attribute__((noinline)) unsigned compare_explicit(struct cpu *cpu, const struct insn *i, v128 a,
                                                           v128 b)
{
    int64_t rax = (int64_t)cpu->s.gpr[RAX], rdx = (int64_t)cpu->s.gpr[RDX];
    unsigned imm = IMM8, a_length, b_length, bits;

    a_length = string_length_given(i->osize == SIZE_Q ? rax : (int32_t)rax, imm);
    b_length = string_length_given(i->osize == SIZE_Q ? rdx : (int32_t)rdx, imm);
    bits = op_string_compare(a, b, a_length, b_length, imm);
    set_arith_flags(cpu, string_flags(bits, a_length, b_length, imm));
    return bits;
}

static __attribute__((noinline)) unsigned compare_implicit(struct cpu *cpu, const struct insn *i, v128 a,
                                                           v128 b)
{
    unsigned imm = IMM8, a_length = string_length(a, imm), b_length = string_length(b, imm);
    unsigned bits = op_string_compare(a, b, a_length, b_length, imm);

    set_arith_flags(cpu, string_flags(bits, a_length, b_length, imm));
    return bits;
}

/* The index goes to ECX, the mask to XMM0. Memory needs no alignment, in the legacy encoding either. */
#define INDEX(name, compare)                                                                                 \
    DO(name)                                                                                                 \
    {                                                                                                        \
        set32(cpu, REG_OFFSET(RCX), string_index(compare(cpu, i, *xmm(cpu, i->reg), source), IMM8));         \
    }                                                                                                        \
    SSE_BODIES(name, u)                                                                                      \
    DO(v##name)                                                                                              \
    {                                                                                                        \
        name##_do(cpu, i, source);                                                                           \
    }                                                                                                        \
    AVX_FORMS(v##name, u)

#define MASK(name, compare)                                                                                  \
    DO(name)                                                                                                 \
    {                                                                                                        \
        *xmm(cpu, XMM_OFFSET(0)) = string_mask(compare(cpu, i, *xmm(cpu, i->reg), source), IMM8);            \
    }                                                                                                        \
    SSE_BODIES(name, u)                                                                                      \
    DO(v##name)                                                                                              \
    {                                                                                                        \
        set_x(cpu, XMM_OFFSET(0), string_mask(compare(cpu, i, *xmm(cpu, i->reg), source), IMM8));            \
    }                                                                                                        \
    AVX_FORMS(v##name, u)

INDEX(pcmpestri, compare_explicit)
INDEX(pcmpistri, compare_implicit)
MASK(pcmpestrm, compare_explicit)
MASK(pcmpistrm, compare_implicit)
