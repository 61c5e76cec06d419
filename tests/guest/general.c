/*
 * general.c - the other general-purpose instructions: bits, conditions, exchanges, conversions, the stack,
 * flags, loops, and those that only 32-bit code has.
 */
#include "model.h"

/* ---- bits ---- */

enum bit_op { BT, BTS, BTR, BTC };
#define DEFINE_BIT(op, s, m)                                                                                 \
    static bool op##_##s##_mem(void *p, int64_t n)                                                           \
    {                                                                                                        \
        bool carry;                                                                                          \
        __asm__ volatile(#op #s " %" m "2, (%1); setc %0" : "=&r"(carry) : "r"(p), "r"(n) : "cc", "memory"); \
        return carry;                                                                                        \
    }
#define DEFINE_BIT_ALL(op) DEFINE_BIT(op, w, "w") DEFINE_BIT(op, l, "k") DEFINE_BIT(op, q, "q")
DEFINE_BIT_ALL(bt)
DEFINE_BIT_ALL(bts)
DEFINE_BIT_ALL(btr)
DEFINE_BIT_ALL(btc)

static void bit_strings(void)
{
#define ROW_BIT(op)                                                                                          \
    {                                                                                                        \
        op##_w_mem, op##_l_mem, op##_q_mem                                                                   \
    }
    static bool (*const insns[4][3])(void *, int64_t) = {ROW_BIT(bt), ROW_BIT(bts), ROW_BIT(btr),
                                                         ROW_BIT(btc)};
    static const char *const names[4] = {"BT in memory", "BTS in memory", "BTR in memory", "BTC in memory"};
    static uint8_t field[256], before[256];
    for (enum bit_op op = BT; op <= BTC; op++) {
        test_begin(names[op]);
        for (unsigned w = 0; w < 3; w++)
            for (int n = -700; n < 700; n++) {
                for (unsigned i = 0; i < sizeof field; i++)
                    before[i] = field[i] = (uint8_t)(i * 73 + (unsigned)n * 5);
                unsigned bit = 128 * 8 + (unsigned)n; /* counted from the field's start */
                bool was = field[bit / 8] >> bit % 8 & 1;
                bool is = op == BT ? was : op == BTS ? true : op == BTR ? false : !was;
                before[bit / 8] = (uint8_t)((before[bit / 8] & ~(1u << bit % 8)) | (unsigned)is << bit % 8);
                bool carry = insns[op][w](field + 128, n);
                if (carry != was || memcmp(field, before, sizeof field) != 0)
                    test_fail("%u bits, offset %d: CF %u, not %u, or other bits changed", 16u << w, n, carry,
                              was);
            }
        test_end();
    }
}

static void bit_registers(void)
{
    test_begin("BT, BTS, BTR, BTC of registers");
    for (unsigned i = 0; i < EDGES; i++)
        for (unsigned n = 0; n < 130; n++) {
            uint64_t a = edges[i], r = a;
            bool carry, c32, was = a >> (n & 63) & 1, was32 = a >> (n & 31) & 1;
            __asm__ volatile("btsq %2, %0; setc %1" : "+&r"(r), "=&r"(carry) : "r"((uint64_t)n) : "cc");
            if (carry != was || r != (a | 1ull << (n & 63)))
                test_fail("BTS 0x%lx, %u gives 0x%lx", a, n, r);
            r = a;
            __asm__ volatile("btcl %k2, %k0; setc %1" : "+&r"(r), "=&r"(c32) : "r"((uint64_t)n) : "cc");
            if (c32 != was32 || r != ((a ^ 1ull << (n & 31)) & 0xFFFFFFFF))
                test_fail("BTC 0x%lx, %u gives 0x%lx", a, n, r);
            r = a;
            __asm__ volatile("btrw %w1, %w0" : "+r"(r) : "r"((uint64_t)n) : "cc");
            if (r != (a & ~(1ull << (n & 15))))
                test_fail("BTR 0x%lx, %u gives 0x%lx", a, n, r);
        }
    test_end();
}

static void bit_scans(void)
{
    bool popcnt = cpuid(1, 0).c & 1 << 23, bmi1 = cpuid(7, 0).b & 1 << 3,
         lzcnt = cpuid(0x80000001, 0).c & 1 << 5;
    test_begin("BSF, BSR, POPCNT, TZCNT, LZCNT, BSWAP");
    for (unsigned i = 0; i < EDGES; i++) {
        uint64_t a = edges[i], f = 99, r = 99, s;
        unsigned low = 64, high = 64, ones = 0;
        bool zf, zr;
        for (unsigned n = 0; n < 64; n++)
            if (a >> n & 1) {
                low = low == 64 ? n : low;
                high = n;
                ones++;
            }
        __asm__ volatile("bsfq %2, %0; setz %1" : "+&r"(f), "=&r"(zf) : "r"(a) : "cc");
        __asm__ volatile("bsrq %2, %0; setz %1" : "+&r"(r), "=&r"(zr) : "r"(a) : "cc");
        if (zf != !a || zr != !a || (a && (f != low || r != high)))
            test_fail("BSF, BSR of 0x%lx give %lu, %lu", a, f, r);
        s = a;
        __asm__ volatile("bswapq %0" : "+r"(s));
        for (unsigned n = 0; n < 8; n++)
            if ((s >> (56 - n * 8) & 0xFF) != (a >> n * 8 & 0xFF))
                test_fail("BSWAP of 0x%lx gives 0x%lx", a, s);
        if (popcnt) {
            __asm__ volatile("popcntq %2, %0; setz %1" : "=&r"(s), "=&r"(zf) : "r"(a) : "cc");
            if (s != ones || zf != !a)
                test_fail("POPCNT of 0x%lx gives %lu", a, s);
        }
        if (bmi1) {
            __asm__ volatile("tzcntq %2, %0; setc %1" : "=&r"(s), "=&r"(zf) : "r"(a) : "cc");
            if (s != low || zf != !a)
                test_fail("TZCNT of 0x%lx gives %lu", a, s);
        }
        if (lzcnt) {
            __asm__ volatile("lzcntq %2, %0; setc %1" : "=&r"(s), "=&r"(zf) : "r"(a) : "cc");
            if (s != (a ? 63 - high : 64) || zf != !a)
                test_fail("LZCNT of 0x%lx gives %lu", a, s);
        }
    }
    test_end();
}

/* ---- conditions ---- */

#define SETCC(n, cc)                                                                                         \
    __asm__ volatile("pushq %2; popfq; set" cc " %b0; movq %3, %1; cmov" cc "l %k4, %k1"                     \
                     : "=&q"(set[n]), "=&r"(moved[n])                                                        \
                     : "r"(flags), "r"(0x1111111122222222), "r"(0x3333333344444444)                          \
                     : "cc");

static void conditions(void)
{
    test_begin("SETcc and CMOVcc under all flags");
    for (unsigned i = 0; i < 32; i++) {
        bool c = i & 1, p = i & 2, z = i & 4, s = i & 8, o = i & 16;
        uint64_t flags = 2 | (c ? FLAG_CF : 0) | (p ? FLAG_PF : 0) | (z ? FLAG_ZF : 0) | (s ? FLAG_SF : 0) |
                         (o ? FLAG_OF : 0);
        bool want[16] = {o, !o, c, !c, z,      !z,     c || z,      !(c || z),
                         s, !s, p, !p, s != o, s == o, z || s != o, !z && s == o};
        uint64_t moved[16];
        uint8_t set[16];
        SETCC(0, "o")
        SETCC(1, "no")
        SETCC(2, "b")
        SETCC(3, "ae") SETCC(4, "e") SETCC(5, "ne") SETCC(6, "be") SETCC(7, "a") SETCC(8, "s") SETCC(9, "ns")
            SETCC(10, "p") SETCC(11, "np") SETCC(12, "l") SETCC(13, "ge") SETCC(14, "le")
                SETCC(15, "g") for (unsigned n = 0; n < 16; n++)
        {
            if (set[n] != want[n])
                test_fail("condition %u under flags 0x%lx is %u", n, flags, set[n]);
            /* A 32-bit CMOV clears the upper half even when it doesn't move. */
            if (moved[n] != (want[n] ? 0x44444444 : 0x22222222))
                test_fail("CMOV, condition %u under flags 0x%lx, gives 0x%lx", n, flags, moved[n]);
        }
    }
    test_end();
}

/* ---- exchanges ---- */

static void cmpxchg(void)
{
    test_begin("CMPXCHG");
    for (unsigned i = 0; i < EDGES * EDGES; i++) {
        uint64_t cell = edges[i % EDGES], a = edges[i / EDGES], fresh = 0x77, flags, want_flags, old = cell,
                 acc = a;
        model_sub(a, cell, 0, 64, &want_flags);
        __asm__ volatile("lock cmpxchgq %3, %1; pushfq; popq %2"
                         : "+&a"(acc), "+m"(cell), "=&r"(flags)
                         : "r"(fresh)
                         : "cc");
        if (cell != (a == old ? fresh : old) || acc != old || (flags & FLAGS_STATUS) != want_flags)
            test_fail("64 bits: accumulator 0x%lx, memory 0x%lx give 0x%lx, 0x%lx, flags 0x%lx", a, old, acc,
                      cell, flags);
        /* In 32 bits a success leaves RAX's upper half alone. */
        uint64_t reg = edges[i % EDGES];
        acc = a;
        __asm__ volatile("cmpxchgl %k3, %k1; pushfq; popq %2"
                         : "+&a"(acc), "+&r"(reg), "=&r"(flags)
                         : "r"(fresh)
                         : "cc");
        bool equal = (uint32_t)a == (uint32_t)old;
        if ((uint32_t)reg != (equal ? 0x77 : (uint32_t)old) || (!equal && acc != (uint32_t)old) ||
            !!(flags & FLAG_ZF) != equal)
            test_fail("32 bits: accumulator 0x%lx, register 0x%lx give 0x%lx, 0x%lx, flags 0x%lx", a, old,
                      acc, reg, flags);
    }
    test_end();
}

static void cmpxchg_wide(void)
{
    static uint64_t cell[2] __attribute__((aligned(16)));
    bool cx16 = cpuid(1, 0).c & 1 << 13;
    test_begin("CMPXCHG8B, CMPXCHG16B");
    for (unsigned equal = 0; equal < 2; equal++) {
        uint64_t a = 0x2222222211111111, d = equal ? 0x4444444433333333 : 5, flags;
        cell[0] = 0x3333333311111111;
        uint64_t d8 = equal ? 0x33333333 : 0x33333334;
        __asm__ volatile("stc; lock cmpxchg8b %[m]; pushfq; popq %[f]"
                         : "+&a"(a), "+&d"(d8), [m] "+m"(cell[0]), [f] "=&r"(flags)
                         : "b"(0x55555555ull), "c"(0x66666666ull)
                         : "cc");
        if (!!(flags & FLAG_ZF) != equal || !(flags & FLAG_CF) ||
            cell[0] != (equal ? 0x6666666655555555 : 0x3333333311111111) ||
            (!equal && (a != 0x11111111 || d8 != 0x33333333)))
            test_fail("8 bytes, %u: memory 0x%lx, EDX:EAX 0x%lx:0x%lx, flags 0x%lx", equal, cell[0], d8, a,
                      flags);
        if (!cx16)
            continue;
        a = 0x2222222211111111;
        cell[0] = a;
        cell[1] = 0x4444444433333333;
        __asm__ volatile("lock cmpxchg16b %[m]; pushfq; popq %[f]"
                         : "+&a"(a), "+&d"(d), [m] "+m"(cell), [f] "=&r"(flags)
                         : "b"(0x5555ull), "c"(0x6666ull)
                         : "cc");
        if (!!(flags & FLAG_ZF) != equal || cell[0] != (equal ? 0x5555 : 0x2222222211111111) ||
            cell[1] != (equal ? 0x6666 : 0x4444444433333333) || (!equal && d != 0x4444444433333333))
            test_fail("16 bytes, %u: memory 0x%lx 0x%lx, flags 0x%lx", equal, cell[1], cell[0], flags);
    }
    test_end();
}

SNIPPET(c_unaligned, "lea -24(%rsp), %rdi", "cmpxchg16b (%rdi)", "");

static void exchanges(void)
{
    cmpxchg();
    cmpxchg_wide();
    struct regs r = snippet_regs(&c_unaligned, 3);
    if (cpuid(1, 0).c & 1 << 13)
        test_run("#GP CMPXCHG16B unaligned", &r, VEC_GP, 0, c_unaligned.at);
    test_begin("XADD, XCHG");
    for (unsigned i = 0; i < EDGES * EDGES; i++) {
        uint64_t a = edges[i % EDGES], b = edges[i / EDGES], cell = a, reg = b, flags, want_flags;
        uint64_t sum = model_add(a, b, 0, 16, &want_flags);
        __asm__ volatile("lock xaddw %w0, %1; pushfq; popq %2"
                         : "+&r"(reg), "+m"(cell), "=&r"(flags)
                         :
                         : "cc");
        if (cell != merge(a, sum, 16) || reg != merge(b, a, 16) || (flags & FLAGS_STATUS) != want_flags)
            test_fail("XADD 0x%lx, 0x%lx gives 0x%lx, 0x%lx, flags 0x%lx", a, b, cell, reg, flags);
        __asm__ volatile("xchgl %k0, %k1" : "+r"(a), "+r"(b));
        if (a != (uint32_t)edges[i / EDGES] || b != (uint32_t)edges[i % EDGES])
            test_fail("XCHG gives 0x%lx, 0x%lx", a, b);
    }
    test_end();
}

/* ---- conversions, stack, flags, loops ---- */

static void conversions(void)
{
    test_begin("CBW to CQO, MOVSX, MOVZX, MOVSXD, LEA");
    for (unsigned i = 0; i < EDGES; i++) {
        uint64_t a = edges[i], r, d;
        __asm__("cbtw" : "=a"(r) : "0"(a));
        test_equal(r, merge(a, sign_extend(a, 8), 16), "CBW");
        __asm__("cwtl" : "=a"(r) : "0"(a));
        test_equal(r, sign_extend(a, 16) & mask(32), "CWDE");
        __asm__("cltq" : "=a"(r) : "0"(a));
        test_equal(r, sign_extend(a, 32), "CDQE");
        __asm__("cwtd" : "=d"(d) : "a"(a), "0"(0x9999999999999999));
        test_equal(d, merge(0x9999999999999999, top(a, 16) ? 0xFFFF : 0, 16), "CWD");
        __asm__("cltd" : "=d"(d) : "a"(a), "0"(0x9999999999999999));
        test_equal(d, top(a, 32) ? 0xFFFFFFFF : 0, "CDQ");
        __asm__("cqto" : "=d"(d) : "a"(a));
        test_equal(d, top(a, 64) ? ~0ull : 0, "CQO");
        __asm__("movsbl %b1, %k0" : "=r"(r) : "r"(a));
        test_equal(r, sign_extend(a, 8) & mask(32), "MOVSX 8 to 32");
        __asm__("movswq %w1, %0" : "=r"(r) : "r"(a));
        test_equal(r, sign_extend(a, 16), "MOVSX 16 to 64");
        __asm__("movzbw %b1, %w0" : "=r"(r) : "r"(a), "0"(0x9999999999999999));
        test_equal(r, merge(0x9999999999999999, a & 0xFF, 16), "MOVZX 8 to 16");
        __asm__("movslq %k1, %0" : "=r"(r) : "r"(a));
        test_equal(r, sign_extend(a, 32), "MOVSXD");
        __asm__("leaw 0x1234(%1, %1, 2), %w0" : "=r"(r) : "r"(a), "0"(0x9999999999999999));
        test_equal(r, merge(0x9999999999999999, a * 3 + 0x1234, 16), "LEA 16");
        __asm__("leal -8(%q1, %q1, 8), %k0" : "=r"(r) : "r"(a));
        test_equal(r, (a * 9 - 8) & mask(32), "LEA 32");
        __asm__("leaq 5(%k1), %0" : "=r"(r) : "r"(a));
        test_equal(r, (a + 5) & mask(32), "LEA with 32-bit address");
    }
    test_end();
}

SNIPPET(k_enter, "", "enter $32, $0", "");
SNIPPET(k_enter3, "", "enter $16, $3", "");
SNIPPET(k_leave, "", "leave", "");
SNIPPET(k_pushw, "", "pushw $0x1234", "");
SNIPPET(k_pop_rsp, "", "pop %rsp", "");
SNIPPET(k_push_rsp, "", "push %rsp", "");
SNIPPET(k_pop_mem, "", "pop 8(%rsp)", "");
SNIPPET(k_push_imm, "", "push $-5", "");
SNIPPET(k_ret_imm, "lea 1f(%rip), %rax; push %rax", "ret $24", "1:");

static void stack(void)
{
    uint64_t *base = (uint64_t *)stack3_top;
    struct regs r = snippet_regs(&k_enter, 3);
    r.rbp = 0x1122334455667788;
    test_run("ENTER 32, 0", &r, VEC_END, NO_ERROR, k_enter.next + 2);
    test_begin("ENTER 32, 0: registers");
    test_equal(r.rsp, (uint64_t)(base - 5), "RSP");
    test_equal(r.rbp, (uint64_t)(base - 1), "RBP");
    test_equal(base[-1], 0x1122334455667788, "saved RBP");
    test_end();
    /* Level 3 copies two frame pointers from the old frame and adds its own. */
    r = snippet_regs(&k_enter3, 3);
    r.rsp = (uint64_t)(base - 10);
    r.rbp = (uint64_t)(base - 2);
    base[-3] = 0xAAAA;
    base[-4] = 0xBBBB;
    run(&r);
    test_begin("ENTER 16, 3");
    test_equal(r.rbp, (uint64_t)(base - 11), "RBP");
    test_equal(r.rsp, (uint64_t)(base - 14) - 16, "RSP");
    test_equal(base[-11], (uint64_t)(base - 2), "saved RBP");
    test_equal(base[-12], 0xAAAA, "first frame pointer");
    test_equal(base[-13], 0xBBBB, "second frame pointer");
    test_equal(base[-14], (uint64_t)(base - 11), "own frame pointer");
    test_end();
    r = snippet_regs(&k_leave, 3);
    r.rbp = (uint64_t)(base - 4);
    base[-4] = 0xCCCC;
    run(&r);
    test_begin("LEAVE");
    test_equal(r.rsp, (uint64_t)(base - 3), "RSP");
    test_equal(r.rbp, 0xCCCC, "RBP");
    test_end();
    test_begin("PUSH, POP and RET");
    r = snippet_regs(&k_pushw, 3);
    run(&r);
    test_equal(r.rsp, (uint64_t)base - 2, "RSP after a 16-bit PUSH");
    test_equal(*(uint16_t *)r.rsp, 0x1234, "what it pushed");
    r = snippet_regs(&k_push_rsp, 3);
    run(&r);
    test_equal(base[-1], (uint64_t)base, "PUSH RSP");
    r = snippet_regs(&k_pop_rsp, 3);
    r.rsp = (uint64_t)(base - 4);
    base[-4] = (uint64_t)(base - 20);
    run(&r);
    test_equal(r.rsp, (uint64_t)(base - 20), "POP RSP");
    r = snippet_regs(&k_pop_mem, 3);
    r.rsp = (uint64_t)(base - 4);
    base[-4] = 0xDDDD;
    run(&r);
    test_equal(base[-2], 0xDDDD, "POP to memory, addressed after the increment");
    r = snippet_regs(&k_push_imm, 3);
    run(&r);
    test_equal(base[-1], (uint64_t)-5, "PUSH of a negative immediate");
    r = snippet_regs(&k_ret_imm, 3);
    run(&r);
    test_equal(r.rsp, (uint64_t)(base + 3), "RSP after RET 24");
    test_end();
}

SNIPPET(f_popf, "push %rax", "popfq", "pushfq; pop %rbx");
SNIPPET(f_popfw, "push %ax", "popfw", "pushfq; pop %rbx");
SNIPPET(f_sahf, "", "sahf", "pushfq; pop %rbx; lahf");

static void check_popf(const char *what, const struct snippet *s, unsigned cpl, uint64_t iopl, uint64_t value,
                       uint64_t want)
{
    struct regs r = snippet_regs(s, cpl);
    r.rflags |= iopl << 12;
    r.rax = value;
    run(&r);
    if (r.vector != VEC_END)
        test_fail("vector %lu", r.vector);
    test_equal(r.rbx, want, what);
}

static void flag_moves(void)
{
    enum {
        ALL = 0x3F7FD5 & ~(FLAG_TF | FLAG_IF)
    }; /* everything that is no reserved bit, and keeps us running */
    test_begin("POPF");
    check_popf("CPL 0", &f_popf, 0, 0, ALL | 1 << 15,
               (ALL & ~(uint64_t)(FLAG_RF | FLAG_VM | FLAG_VIF | FLAG_VIP)) | 2);
    check_popf("CPL 3, IOPL 0", &f_popf, 3, 0, ALL | FLAG_IF,
               (ALL & ~(uint64_t)(FLAG_RF | FLAG_VM | FLAG_VIF | FLAG_VIP | FLAG_IOPL)) | 2);
    check_popf("CPL 3, IOPL 3", &f_popf, 3, 3, FLAG_IF, FLAG_IF | FLAG_IOPL | 2);
    check_popf("16 bits", &f_popfw, 3, 0, FLAG_CF | FLAG_DF, FLAG_CF | FLAG_DF | 2);
    test_end();
    test_begin("SAHF, LAHF");
    struct regs r = snippet_regs(&f_sahf, 3);
    r.rax = 0xFF00;
    r.rflags |= FLAG_OF;
    run(&r);
    test_equal(r.rbx, 2 | FLAGS_STATUS, "flags");
    test_equal(r.rax, 0xD700, "AH");
    test_end();
}

SNIPPET(l_loop, "1: inc %rax", "loop 1b", "");
SNIPPET(l_loope, "1: inc %rax; cmp $3, %rax; jne 2f; cmp %rax, %rbx; 2: setne %dl; test %rdx, %rsi",
        "loope 1b", "");
SNIPPET(l_loop32, "1: inc %rax", "addr32 loop 1b", "");
SNIPPET(l_jrcxz, "inc %rax; jrcxz 1f; inc %rax; 1: inc %rax", "addr32 jrcxz 2f", "inc %rax; 2:");
SNIPPET(l_xlat, "", "xlatb", "");

static void loops(void)
{
    test_begin("LOOP, LOOPE, JRCXZ, XLAT");
    struct regs r = snippet_regs(&l_loop, 3);
    r.rcx = 5;
    run(&r);
    test_equal(r.rax, 5, "rounds of LOOP");
    test_equal(r.rcx, 0, "RCX");
    r = snippet_regs(&l_loop32, 3);
    r.rcx = 0xFFFFFFFF00000003;
    run(&r);
    test_equal(r.rax, 3, "rounds of LOOP with ECX");
    test_equal(r.rcx, 0, "RCX after LOOP with ECX");
    r = snippet_regs(&l_loope, 3);
    r.rcx = 10;
    r.rsi = 1; /* the bit tested: LOOPE goes on while DL is 0 */
    r.rbx = 4;
    r.rflags |= FLAG_ZF;
    run(&r);
    test_equal(r.rcx, 9, "RCX where LOOPE stopped");
    r = snippet_regs(&l_jrcxz, 3);
    r.rcx = 0xFFFFFFFF00000000;
    run(&r);
    test_equal(r.rax, 3, "JRCXZ not taken, JECXZ taken");
    static const uint8_t table[256] = {[0xFE] = 0x5C};
    r = snippet_regs(&l_xlat, 3);
    r.rax = 0x11FE;
    r.rbx = (uint64_t)table;
    run(&r);
    test_equal(r.rax, 0x115C, "XLAT");
    test_end();
}

/* ---- what only 32-bit code has ---- */

SNIPPET_MODE(d_daa, ".code32", "", "daa", "");
SNIPPET_MODE(d_das, ".code32", "", "das", "");
SNIPPET_MODE(d_aaa, ".code32", "", "aaa", "");
SNIPPET_MODE(d_aas, ".code32", "", "aas", "");
SNIPPET_MODE(d_aam, ".code32", "", "aam $10", "");
SNIPPET_MODE(d_aad, ".code32", "", "aad $10", "");
SNIPPET_MODE(d_aam0, ".code32", "", "aam $0", "");
SNIPPET_MODE(d_into, ".code32", "", "into", "");
SNIPPET_MODE(d_bound, ".code32", "push $7; push $3; mov %esp, %edx", "bound %eax, (%edx)", "");
SNIPPET_MODE(d_pusha, ".code32", "", "pusha", "popa");
SNIPPET_MODE(d_salc, ".code32", "", ".byte 0xD6", "");

static struct regs run32(const struct snippet *s, uint64_t rax, uint64_t flags)
{
    struct regs r = snippet_regs(s, 3);
    r.cs = SEL_USER_CODE32;
    r.rax = rax;
    r.rflags |= flags;
    run(&r);
    return r;
}

static void check_decimal(const char *name, const struct snippet *s, unsigned ax, uint64_t flags,
                          unsigned want, uint64_t want_flags, uint64_t compared)
{
    struct regs r = run32(s, ax, flags);
    if (r.vector != VEC_END || r.rax != want || (r.rflags & compared) != want_flags)
        test_fail("%s of 0x%x, flags 0x%lx gives 0x%lx, flags 0x%lx; not 0x%x, 0x%lx", name, ax, flags, r.rax,
                  r.rflags & compared, want, want_flags);
}

static void check_daa(bool subtract, unsigned al, uint64_t flags)
{
    unsigned result = al;
    bool carry = false, aux = (al & 15) > 9 || flags & FLAG_AF;
    if (aux) {
        result += subtract ? 0u - 6 : 6;
        carry = (flags & FLAG_CF) || result > 0xFF;
    }
    if (al > 0x99 || (flags & FLAG_CF)) {
        result += subtract ? 0u - 0x60 : 0x60;
        carry = true;
    }
    result &= 0xFF;
    check_decimal(subtract ? "DAS" : "DAA", subtract ? &d_das : &d_daa, al, flags, result,
                  flags_szp(result, 8) | (carry ? FLAG_CF : 0) | (aux ? FLAG_AF : 0),
                  FLAGS_STATUS & ~FLAG_OF);
}

static void check_aaa(bool subtract, unsigned ax, uint64_t flags)
{
    bool adjust = (ax & 15) > 9 || flags & FLAG_AF;
    unsigned result = adjust ? (subtract ? ax - 0x106 : ax + 0x106) : ax;
    result &= 0xFF0F;
    check_decimal(subtract ? "AAS" : "AAA", subtract ? &d_aas : &d_aaa, ax, flags, result,
                  adjust ? FLAG_AF | FLAG_CF : 0, FLAG_AF | FLAG_CF);
}

static void only_32bit(void)
{
    test_begin("DAA, DAS, AAA, AAS, AAM, AAD");
    for (unsigned al = 0; al < 256; al++) {
        for (unsigned f = 0; f < 4; f++) {
            uint64_t flags = (f & 1 ? FLAG_CF : 0) | (f & 2 ? FLAG_AF : 0);
            check_daa(false, al, flags);
            check_daa(true, al, flags);
            check_aaa(false, 0x1200 | al, flags);
            check_aaa(true, 0x1200 | al, flags);
        }
        unsigned tens = 0, ones = al;
        for (; ones >= 10; ones -= 10)
            tens++;
        check_decimal("AAM", &d_aam, al, 0, tens << 8 | ones, flags_szp(ones, 8),
                      FLAG_SF | FLAG_ZF | FLAG_PF);
        unsigned sum = (al + 10 * 7) & 0xFF;
        check_decimal("AAD", &d_aad, 0x700 | al, 0, sum, flags_szp(sum, 8), FLAG_SF | FLAG_ZF | FLAG_PF);
    }
    test_end();
    test_begin("AAM 0, INTO, BOUND, PUSHA");
    struct regs r = run32(&d_aam0, 0x1234, 0);
    test_equal(r.vector, VEC_DE, "vector of AAM 0");
    r = run32(&d_into, 0, FLAG_OF);
    test_equal(r.vector, VEC_OF, "vector of INTO");
    test_equal(r.rip, (uint64_t)d_into.next, "RIP after INTO");
    r = run32(&d_into, 0, 0);
    test_equal(r.vector, VEC_END, "vector of INTO without OF");
    r = run32(&d_bound, 7, 0);
    test_equal(r.vector, VEC_END, "vector of BOUND, upper limit");
    r = run32(&d_bound, 2, 0);
    test_equal(r.vector, VEC_BR, "vector of BOUND, below");
    test_equal(r.rip, (uint64_t)d_bound.at, "RIP at BOUND");
    r = run32(&d_pusha, 0x87654321, 0);
    test_equal(r.rax, 0x87654321, "EAX after PUSHA, POPA");
    test_equal(r.rsp, (uint64_t)stack3_top, "ESP");
    test_equal(((uint32_t *)stack3_top)[-1], 0x87654321, "EAX on the stack");
    test_equal(((uint32_t *)stack3_top)[-5], (uint32_t)(uint64_t)stack3_top, "ESP on the stack");
    r = run32(&d_salc, 0x1200, FLAG_CF);
    test_equal(r.rax, 0x12FF, "SALC");
    test_end();
}

void guest_main(void)
{
    bit_registers();
    bit_strings();
    bit_scans();
    conditions();
    exchanges();
    conversions();
    stack();
    flag_moves();
    loops();
    only_32bit();
}
