/*
 * exchange.c - CMPXCHG, CMPXCHG8B, CMPXCHG16B, XADD.
 *
 * With a memory operand these are done as host atomics whether or not LOCK is there: the difference can't be
 * seen.
 */
#include <string.h>

#include "cpu/interp/rmw.h"

/*
 * CMPXCHG: memory is written in both cases (with its old value on a mismatch), so that it faults in both. A
 * mismatch in 32 bits zero-extends EAX; a match leaves RAX alone.
 */
#define DEFINE_CMPXCHG(b, bits, suffix)                                                                      \
    static inline void compare_a##bits(struct cpu *cpu, uint##bits##_t a)                                    \
    {                                                                                                        \
        uint##bits##_t acc = get##bits(cpu, REG_OFFSET(RAX));                                                \
                                                                                                             \
        flags_sub(cpu, acc, a, (uint##bits##_t)(acc - a), bits);                                             \
        if (acc != a)                                                                                        \
            set##bits(cpu, REG_OFFSET(RAX), a);                                                              \
    }                                                                                                        \
    BODY(cmpxchg##b##_r##suffix)                                                                             \
    {                                                                                                        \
        uint##bits##_t a = get##bits(cpu, i->rm), value = get##bits(cpu, i->reg);                            \
        bool match = a == get##bits(cpu, REG_OFFSET(RAX));                                                   \
                                                                                                             \
        compare_a##bits(cpu, a);                                                                             \
        if (match)                                                                                           \
            set##bits(cpu, i->rm, value);                                                                    \
        NEXT;                                                                                                \
    }                                                                                                        \
    static __attribute__((noinline)) void cmpxchg_mem##bits(struct cpu *cpu, const struct insn *i)           \
    {                                                                                                        \
        uint64_t linear = mem_linear(cpu, i, bits / 8, ACCESS_WRITE);                                        \
        u##bits##_any *p = host_for_write(cpu, i, i->seg, linear, bits / 8);                                 \
        uint##bits##_t acc = get##bits(cpu, REG_OFFSET(RAX)), a;                                             \
                                                                                                             \
        if (!p) {                                                                                            \
            a = (uint##bits##_t)linear_read(cpu, i, i->seg, linear, bits / 8);                               \
            linear_write(cpu, i, i->seg, linear, a == acc ? get##bits(cpu, i->reg) : a, bits / 8);           \
        } else {                                                                                             \
            do                                                                                               \
                a = *p;                                                                                      \
            while (!cas##bits(p, a, a == acc ? get##bits(cpu, i->reg) : a));                                 \
            wrote_host(cpu, i, linear, bits / 8);                                                            \
        }                                                                                                    \
        compare_a##bits(cpu, a);                                                                             \
    }                                                                                                        \
    BODY(cmpxchg##b##_m##suffix)                                                                             \
    {                                                                                                        \
        cmpxchg_mem##bits(cpu, i);                                                                           \
        NEXT;                                                                                                \
    }                                                                                                        \
    BODY(cmpxchg##b##_g##suffix)                                                                             \
    {                                                                                                        \
        cmpxchg_mem##bits(cpu, i);                                                                           \
        NEXT;                                                                                                \
    }                                                                                                        \
    static inline uint##bits##_t xadd##bits(struct cpu *cpu, uint##bits##_t a, uint##bits##_t value)         \
    {                                                                                                        \
        uint##bits##_t r = (uint##bits##_t)(a + value);                                                      \
                                                                                                             \
        flags_add(cpu, a, value, r, bits);                                                                   \
        return r;                                                                                            \
    }                                                                                                        \
    BODY(xadd##b##_r##suffix)                                                                                \
    {                                                                                                        \
        uint##bits##_t a = get##bits(cpu, i->rm), r = xadd##bits(cpu, a, get##bits(cpu, i->reg));            \
                                                                                                             \
        set##bits(cpu, i->reg, a); /* first: with both the same register the sum stays */                    \
        set##bits(cpu, i->rm, r);                                                                            \
        NEXT;                                                                                                \
    }                                                                                                        \
    static __attribute__((noinline)) void xadd_mem##bits(struct cpu *cpu, const struct insn *i)              \
    {                                                                                                        \
        uint64_t linear = mem_linear(cpu, i, bits / 8, ACCESS_WRITE);                                        \
        u##bits##_any *p = host_for_write(cpu, i, i->seg, linear, bits / 8);                                 \
        uint##bits##_t a, value = get##bits(cpu, i->reg);                                                    \
                                                                                                             \
        if (!p) {                                                                                            \
            a = (uint##bits##_t)linear_read(cpu, i, i->seg, linear, bits / 8);                               \
            linear_write(cpu, i, i->seg, linear, (uint##bits##_t)(a + value), bits / 8);                     \
        } else {                                                                                             \
            do                                                                                               \
                a = *p;                                                                                      \
            while (!cas##bits(p, a, (uint##bits##_t)(a + value)));                                           \
            wrote_host(cpu, i, linear, bits / 8);                                                            \
        }                                                                                                    \
        xadd##bits(cpu, a, value);                                                                           \
        set##bits(cpu, i->reg, a);                                                                           \
    }                                                                                                        \
    BODY(xadd##b##_m##suffix)                                                                                \
    {                                                                                                        \
        xadd_mem##bits(cpu, i);                                                                              \
        NEXT;                                                                                                \
    }                                                                                                        \
    BODY(xadd##b##_g##suffix)                                                                                \
    {                                                                                                        \
        xadd_mem##bits(cpu, i);                                                                              \
        NEXT;                                                                                                \
    }
DEFINE_CMPXCHG(b, 8, )
DEFINE_CMPXCHG(, 16, _w)
DEFINE_CMPXCHG(, 32, _d)
DEFINE_CMPXCHG(, 64, _q)

/* CMPXCHG8B: EDX:EAX against m64, ECX:EBX in. Only ZF changes. */
static void cmpxchg8b_mem(struct cpu *cpu, const struct insn *i)
{
    uint64_t linear = mem_linear(cpu, i, 8, ACCESS_WRITE), a;
    uint64_t expected = cpu->s.gpr[RDX] << 32 | (uint32_t)cpu->s.gpr[RAX];
    uint64_t desired = cpu->s.gpr[RCX] << 32 | (uint32_t)cpu->s.gpr[RBX];
    u64_any *p = host_for_write(cpu, i, i->seg, linear, 8);

    if (!p) {
        a = linear_read(cpu, i, i->seg, linear, 8);
        linear_write(cpu, i, i->seg, linear, a == expected ? desired : a, 8);
    } else {
        do
            a = *p;
        while (!cas64(p, a, a == expected ? desired : a));
        wrote_host(cpu, i, linear, 8);
    }
    set_zf(cpu, a == expected);
    if (a != expected) {
        cpu->s.gpr[RAX] = (uint32_t)a;
        cpu->s.gpr[RDX] = a >> 32;
    }
}

BODY(cmpxchg8b_w)
{
    cmpxchg8b_mem(cpu, i);
    NEXT;
}
BODY(cmpxchg8b_d)
{
    cmpxchg8b_mem(cpu, i);
    NEXT;
}

/* CMPXCHG16B needs alignment: #GP(0). Aligned, it never crosses a page. */
static void cmpxchg16b_mem(struct cpu *cpu, const struct insn *i)
{
    uint64_t linear = mem_linear(cpu, i, 16, ACCESS_WRITE);
    unsigned __int128 expected = (unsigned __int128)cpu->s.gpr[RDX] << 64 | cpu->s.gpr[RAX];
    unsigned __int128 desired = (unsigned __int128)cpu->s.gpr[RCX] << 64 | cpu->s.gpr[RBX], a;
    void *p;

    if (linear & 15)
        gp0(cpu, i);
    p = host_for_write(cpu, i, i->seg, linear, 16);
    if (!p) {
        a = linear_read(cpu, i, i->seg, linear, 8);
        a |= (unsigned __int128)linear_read(cpu, i, i->seg, linear + 8, 8) << 64;
        if (a == expected) {
            linear_write(cpu, i, i->seg, linear, (uint64_t)desired, 8);
            linear_write(cpu, i, i->seg, linear + 8, (uint64_t)(desired >> 64), 8);
        }
    } else {
#ifdef __x86_64__
        uint64_t low = (uint64_t)expected, high = (uint64_t)(expected >> 64);

        __asm__ volatile("lock cmpxchg16b %2"
                         : "+a"(low), "+d"(high), "+m"(*(unsigned __int128 *)p)
                         : "b"((uint64_t)desired), "c"((uint64_t)(desired >> 64))
                         : "cc", "memory");
        a = (unsigned __int128)high << 64 | low;
#else
        a = expected;
        __atomic_compare_exchange_n((unsigned __int128 *)p, &a, desired, false, __ATOMIC_SEQ_CST,
                                    __ATOMIC_SEQ_CST);
#endif
        wrote_host(cpu, i, linear, 16);
    }
    set_zf(cpu, a == expected);
    if (a != expected) {
        cpu->s.gpr[RAX] = (uint64_t)a;
        cpu->s.gpr[RDX] = (uint64_t)(a >> 64);
    }
}

BODY(cmpxchg8b_q) /* with REX.W it is CMPXCHG16B, a feature of its own */
{
    if (!has_feature(cpu, F_CX16))
        ud(cpu, i);
    cmpxchg16b_mem(cpu, i);
    NEXT;
}
