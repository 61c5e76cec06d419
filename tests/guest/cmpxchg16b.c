/*
 * cmpxchg16b.c - LOCK CMPXCHG16B in long mode: what it stores, loads and says, at CPL 0 and 3. A KVM that
 * emulates kernel code may not know it, and its user then gets the end of the machine or the right answers.
 */
#include "lib.h"

static struct pair {
    uint64_t low, high;
} pair __attribute__((aligned(16)));

/* The pair becomes `to` if it is *old, else *old becomes the pair; whether it was. */
static bool exchange(struct pair *old, struct pair to)
{
    bool equal;

    __asm__ volatile("lock cmpxchg16b %1; sete %0"
                     : "=q"(equal), "+m"(pair), "+a"(old->low), "+d"(old->high)
                     : "b"(to.low), "c"(to.high)
                     : "cc", "memory");
    return equal;
}

static void at_cpl_0(void)
{
    struct pair old = {3, 4};

    test_begin("equal: stored, and ZF set");
    pair = (struct pair){3, 4};
    test_equal(exchange(&old, (struct pair){0x1122334455667788, 0x99aabbccddeeff00}), true, "ZF");
    test_equal(pair.low, 0x1122334455667788, "low half");
    test_equal(pair.high, 0x99aabbccddeeff00, "high half");
    test_end();

    test_begin("not equal in the high half: loaded, and ZF clear");
    old = (struct pair){0x1122334455667788, 0};
    test_equal(exchange(&old, (struct pair){5, 6}), false, "ZF");
    test_equal(old.low, 0x1122334455667788, "RAX");
    test_equal(old.high, 0x99aabbccddeeff00, "RDX");
    test_equal(pair.low, 0x1122334455667788, "low half");
    test_end();
}

/* As kernels use it: a counter and a generation go up together. */
static void many(void)
{
    struct pair old = {0, 0};

    test_begin("a thousand in a row");
    pair = old;
    for (unsigned i = 0; i < 1000; i++)
        while (!exchange(&old, (struct pair){old.low + 1, old.high + 3}))
            ;
    test_equal(pair.low, 1000, "low half");
    test_equal(pair.high, 3000, "high half");
    test_end();
}

SNIPPET(at_user, "", "lock cmpxchg16b (%rsi)", "ud2");

static void at_cpl_3(void)
{
    struct regs r = snippet_regs(&at_user, 3);

    test_begin("CPL 3");
    pair = (struct pair){7, 8};
    r.rax = 7;
    r.rdx = 8;
    r.rbx = 9;
    r.rcx = 10;
    r.rsi = (uint64_t)&pair;
    run(&r);
    test_equal(r.vector, VEC_UD, "vector of the UD2 behind it");
    test_equal(r.rip, (uint64_t)at_user.next, "RIP");
    test_equal(pair.low, 9, "low half");
    test_equal(pair.high, 10, "high half");
    test_equal(r.rflags & FLAG_ZF, FLAG_ZF, "ZF");
    test_end();
}

void guest_main(void)
{
    if (!(cpuid(1, 0).c & 1 << 13)) {
        test_skip("CMPXCHG16B", "this processor has none");
        return;
    }
    at_cpl_0();
    many();
    at_cpl_3();
}
