/*
 * rmw.h - read-modify-write of a memory operand, locked or not.
 */
#ifndef CPU_INTERP_RMW_H
#define CPU_INTERP_RMW_H

#include "cpu/interp/body.h"

/* Host atomics on guest memory, which may be unaligned (an x86 host splits the lock as an x86 guest expects).
 */
#define NO_ALIGNMENT __attribute__((no_sanitize("alignment")))
#define DEFINE_CAS(bits)                                                                                     \
    NO_ALIGNMENT static inline bool cas##bits(void *p, uint##bits##_t old, uint##bits##_t new_value)         \
    {                                                                                                        \
        return __atomic_compare_exchange_n((uint##bits##_t *)p, &old, new_value, false, __ATOMIC_SEQ_CST,    \
                                           __ATOMIC_SEQ_CST);                                                \
    }
DEFINE_CAS(8)
DEFINE_CAS(16)
DEFINE_CAS(32)
DEFINE_CAS(64)
#undef DEFINE_CAS

/* The general body stays out of the fast one, which then needs no stack frame. */
#define APART __attribute__((noinline))

/*
 * Body of form 2 for an operation that reads and writes memory: `expr` computes the new value from `a` (and
 * may set flags; it is evaluated again from the flags as they were when a locked exchange loses a race).
 */
#define RMW_GENERAL(bits, expr)                                                                              \
    do {                                                                                                     \
        uint64_t linear = mem_linear(cpu, i, bits / 8, ACCESS_WRITE);                                        \
        u##bits##_any *p = host_for_write(cpu, i, i->seg, linear, bits / 8);                                 \
        uint##bits##_t a, r;                                                                                 \
                                                                                                             \
        if (!p) {                                                                                            \
            a = (uint##bits##_t)linear_read(cpu, i, i->seg, linear, bits / 8);                               \
            r = (expr);                                                                                      \
            linear_write(cpu, i, i->seg, linear, r, bits / 8);                                               \
        } else if (i->flags & INSN_LOCK) {                                                                   \
            uint64_t result = cpu->lf_result, aux = cpu->lf_aux;                                             \
                                                                                                             \
            for (;;) {                                                                                       \
                a = *p;                                                                                      \
                r = (expr);                                                                                  \
                if (cas##bits(p, a, r))                                                                      \
                    break;                                                                                   \
                cpu->lf_result = result;                                                                     \
                cpu->lf_aux = aux;                                                                           \
            }                                                                                                \
            wrote_host(cpu, i, linear, bits / 8);                                                            \
        } else {                                                                                             \
            a = *p;                                                                                          \
            *p = r = (expr);                                                                                 \
            wrote_host(cpu, i, linear, bits / 8);                                                            \
        }                                                                                                    \
    } while (0)

/* Body of form 1; what the TLB doesn't have goes to the general body. */
#define RMW_FAST(bits, expr, general)                                                                        \
    do {                                                                                                     \
        u##bits##_any *p = tlb_write_host(cpu, ea64(cpu, i), bits / 8);                                      \
        uint##bits##_t a;                                                                                    \
                                                                                                             \
        if (unlikely(!p)) {                                                                                  \
            general(cpu, i);                                                                                 \
            return;                                                                                          \
        }                                                                                                    \
        a = *p;                                                                                              \
        *p = (expr);                                                                                         \
    } while (0)

/* The three bodies of an operation that replaces its E operand `a` by `expr`. Their names are prefix_r,
 * prefix_m and prefix_g with a suffix for the size. */
#define RMW_BODIES(prefix, suffix, bits, expr)                                                               \
    BODY(prefix##_r##suffix)                                                                                 \
    {                                                                                                        \
        uint##bits##_t a = get##bits(cpu, i->rm);                                                            \
                                                                                                             \
        set##bits(cpu, i->rm, (uint##bits##_t)(expr));                                                       \
        NEXT;                                                                                                \
    }                                                                                                        \
    APART BODY(prefix##_g##suffix)                                                                           \
    {                                                                                                        \
        RMW_GENERAL(bits, expr);                                                                             \
        NEXT;                                                                                                \
    }                                                                                                        \
    BODY(prefix##_m##suffix)                                                                                 \
    {                                                                                                        \
        RMW_FAST(bits, expr, prefix##_g##suffix);                                                            \
        NEXT;                                                                                                \
    }

/* The three bodies of an operation that only reads its E operand `a`. Form 1 leaves to form 2 what the TLB
 * doesn't have. */
#define READ_BODIES(prefix, suffix, bits, statement)                                                         \
    BODY(prefix##_r##suffix)                                                                                 \
    {                                                                                                        \
        uint##bits##_t a = get##bits(cpu, i->rm);                                                            \
                                                                                                             \
        statement;                                                                                           \
        NEXT;                                                                                                \
    }                                                                                                        \
    APART BODY(prefix##_g##suffix)                                                                           \
    {                                                                                                        \
        uint##bits##_t a = (uint##bits##_t)mem_read(cpu, i, bits / 8);                                       \
                                                                                                             \
        statement;                                                                                           \
        NEXT;                                                                                                \
    }                                                                                                        \
    BODY(prefix##_m##suffix)                                                                                 \
    {                                                                                                        \
        const u##bits##_any *p = tlb_read_host(cpu, ea64(cpu, i), bits / 8);                                 \
        uint##bits##_t a;                                                                                    \
                                                                                                             \
        if (unlikely(!p)) {                                                                                  \
            prefix##_g##suffix(cpu, i);                                                                      \
            return;                                                                                          \
        }                                                                                                    \
        a = *p;                                                                                              \
        statement;                                                                                           \
        NEXT;                                                                                                \
    }

/* The three bodies of an operation that only writes its E operand. */
#define WRITE_BODIES(prefix, suffix, bits, expr)                                                             \
    BODY(prefix##_r##suffix)                                                                                 \
    {                                                                                                        \
        set##bits(cpu, i->rm, (uint##bits##_t)(expr));                                                       \
        NEXT;                                                                                                \
    }                                                                                                        \
    APART BODY(prefix##_g##suffix)                                                                           \
    {                                                                                                        \
        mem_write(cpu, i, bits / 8, (uint##bits##_t)(expr));                                                 \
        NEXT;                                                                                                \
    }                                                                                                        \
    BODY(prefix##_m##suffix)                                                                                 \
    {                                                                                                        \
        u##bits##_any *p = tlb_write_host(cpu, ea64(cpu, i), bits / 8);                                      \
                                                                                                             \
        if (unlikely(!p)) {                                                                                  \
            prefix##_g##suffix(cpu, i);                                                                      \
            return;                                                                                          \
        }                                                                                                    \
        *p = (uint##bits##_t)(expr);                                                                         \
        NEXT;                                                                                                \
    }

#endif
