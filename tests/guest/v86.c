/*
 * v86.c - virtual interrupts: virtual-8086 mode with its extensions (CR4.VME) and protected-mode virtual
 * interrupts (CR4.PVI). CLI, STI, PUSHF, POPF, IRET and INT n below IOPL 3, the redirection bitmap, VIF and
 * VIP (SDM 3A 20.3 and 20.4; SDM 2, each instruction's pseudo-code).
 */
#include "legacy.h"

enum { CR4_VME = 1, CR4_PVI = 2 };
enum { VIRTUAL = FLAG_IF | FLAG_VIF | FLAG_VIP | FLAG_IOPL };

/* The handlers that the 8086 program's vectors lead to: an INT3 each, which goes to protected mode at any
 * IOPL. */
#define HANDLER_CS 0x0A00
#define HANDLER_IP 0x0010
/* The target of IRET: another. */
#define TARGET_CS 0x0B00
#define TARGET_IP 0x0020

S16(v_nop, "", "nop", "int3");
S16(v_cli, "", "cli", "int3");
S16(v_sti, "", "sti", "int3");
S16(v_pushf, "", "pushfw", "int3");
S16(v_pushfd, "", "pushfl", "int3");
S16(v_popf, "", "popfw", "int3");
S16(v_popfd, "", "popfl", "int3");
S16(v_iret, "", "iretw", "int3");
S16(v_iretd, "", "iretl", "int3");
S16(v_int, "", "int $0", "int3");
S16(v_int3, "", ".byte 0xCD, 3", "ud2");
S16(v_into, "", "into", "int3");
S16(v_int1, "", ".byte 0xF1", "int3");
S16(v_div, "xorw %cx, %cx", "divw %cx", "int3");
S32(p_nop, "", "nop", "int3");
S32(p_cli, "", "cli", "int3");
S32(p_sti, "", "sti", "int3");
S32(p_pushfd, "", "pushfl", "int3");
S32(p_popfd, "", "popfl", "int3");
S32(p_iretd, "", "iretl", "int3");
S32(p_int, "", "int $0x30", "int3");
S32(p_call, "", "lcall *(%esi)", "");
SNIPPET(l_nop, "", "nop", "int3");
SNIPPET(l_cli, "", "cli", "int3");
SNIPPET(l_sti, "", "sti", "int3");

static uint16_t *word(uint32_t address)
{
    uint16_t *p = (uint16_t *)(uint64_t)address;

    __asm__("" : "+r"(p)); /* address 0 is a place like any other */
    return p;
}

/* ---- CLI and STI ---- */

enum mode { V86, PROTECTED, LONG };

struct flag_case {
    enum mode mode;
    uint32_t cpl, cr4;
    uint32_t iopl, flags; /* before */
    int32_t cli, sti;     /* after, or: */
};
enum { GP = -1 };

static const struct flag_case flag_cases[] = {
    {V86, 3, CR4_VME, 0, 0, 0, FLAG_VIF},
    {V86, 3, CR4_VME, 0, FLAG_IF, FLAG_IF, FLAG_IF | FLAG_VIF},
    {V86, 3, CR4_VME, 2, FLAG_VIF, 0, FLAG_VIF},
    {V86, 3, CR4_VME, 1, FLAG_IF | FLAG_VIF, FLAG_IF, FLAG_IF | FLAG_VIF},
    {V86, 3, CR4_VME, 0, FLAG_VIP, FLAG_VIP, GP},
    {V86, 3, CR4_VME, 2, FLAG_IF | FLAG_VIP, FLAG_IF | FLAG_VIP, GP},
    {V86, 3, CR4_VME, 3, FLAG_VIF, FLAG_VIF, FLAG_IF | FLAG_VIF},
    {V86, 3, CR4_VME, 3, FLAG_VIP, FLAG_VIP, FLAG_IF | FLAG_VIP},
    {V86, 3, CR4_VME, 3, FLAG_IF, 0, FLAG_IF},
    {V86, 3, CR4_VME | CR4_PVI, 0, FLAG_IF, FLAG_IF, FLAG_IF | FLAG_VIF},
    {V86, 3, CR4_PVI, 0, 0, GP, GP},
    {V86, 3, CR4_PVI, 2, FLAG_VIF, GP, GP},
    {V86, 3, CR4_PVI, 3, 0, 0, FLAG_IF},
    {V86, 3, 0, 0, FLAG_VIF, GP, GP},

    {PROTECTED, 3, CR4_PVI, 0, 0, 0, FLAG_VIF},
    {PROTECTED, 3, CR4_PVI, 2, FLAG_IF | FLAG_VIF, FLAG_IF, FLAG_IF | FLAG_VIF},
    {PROTECTED, 3, CR4_PVI, 1, FLAG_VIP, FLAG_VIP, GP},
    {PROTECTED, 3, CR4_PVI, 3, FLAG_VIP, FLAG_VIP, FLAG_IF | FLAG_VIP},
    {PROTECTED, 3, CR4_PVI, 3, FLAG_IF | FLAG_VIF, FLAG_VIF, FLAG_IF | FLAG_VIF},
    {PROTECTED, 3, CR4_VME, 0, 0, GP, GP},
    {PROTECTED, 3, 0, 2, FLAG_VIF, GP, GP},
    {PROTECTED, 1, CR4_PVI, 0, 0, GP, GP},
    {PROTECTED, 1, CR4_PVI, 0, FLAG_VIF | FLAG_VIP, GP, GP},
    {PROTECTED, 1, CR4_PVI, 1, FLAG_VIF, FLAG_VIF, FLAG_IF | FLAG_VIF},
    {PROTECTED, 0, CR4_PVI, 0, FLAG_IF | FLAG_VIP, FLAG_VIP, FLAG_IF | FLAG_VIP},

    {LONG, 3, CR4_PVI, 0, 0, 0, FLAG_VIF},
    {LONG, 3, CR4_PVI, 2, FLAG_IF | FLAG_VIF, FLAG_IF, FLAG_IF | FLAG_VIF},
    {LONG, 3, CR4_PVI, 0, FLAG_VIP, FLAG_VIP, GP},
    {LONG, 3, CR4_PVI, 3, FLAG_VIP, FLAG_VIP, FLAG_IF | FLAG_VIP},
    {LONG, 3, CR4_VME, 0, FLAG_VIF, GP, GP},
    {LONG, 0, CR4_PVI, 0, FLAG_IF | FLAG_VIF, FLAG_VIF, FLAG_IF | FLAG_VIF},
};

/* What an instruction of one byte led to, in any mode. */
struct outcome {
    uint32_t vector, error, flags;
    bool before; /* it ended at the instruction */
};

static struct outcome run_legacy(const struct flag_case *c, const struct snippet *s)
{
    uint32_t at = low(s->at);

    if (c->mode == V86) {
        prepare_v86(s, 0);
        at = at16(s);
    } else {
        prepare32(s, c->cpl);
    }
    if (c->cpl == 1) {
        set_descriptor(SEL_FREE, descriptor(0, 0xFFFFF, 0xBA, 0xC));
        set_descriptor(SEL_FREE + 8, descriptor(0, 0xFFFFF, 0xB2, 0xC));
        r.cs = SEL_FREE | 1;
        r.ss = r.ds = r.es = r.fs = r.gs = (SEL_FREE + 8) | 1;
    }
    r.eflags |= c->iopl << 12 | c->flags;
    r.cr4 = c->cr4;
    legacy(&r);
    return (struct outcome){r.vector, r.error, r.eflags & VIRTUAL, r.eip == at};
}

static struct outcome run_long(const struct flag_case *c, const struct snippet *s)
{
    struct regs regs = snippet_regs(s, c->cpl);

    regs.rflags |= c->iopl << 12 | c->flags;
    write_cr4(read_cr4() | c->cr4);
    run(&regs);
    write_cr4(read_cr4() & ~(uint64_t)(CR4_VME | CR4_PVI));
    return (struct outcome){(uint32_t)regs.vector, (uint32_t)regs.error, (uint32_t)regs.rflags & VIRTUAL,
                            regs.rip == (uint64_t)s->at};
}

static void flag_check(const char *insn, const struct flag_case *c, const struct snippet *s, int32_t want)
{
    static const char *const modes[] = {"virtual-8086", "protected", "64-bit"};
    uint32_t flags = (want == GP ? c->flags : (uint32_t)want) | c->iopl << 12;
    unsigned vector = want == GP ? VEC_GP : VEC_BP;
    struct outcome o = c->mode == LONG ? run_long(c, s) : run_legacy(c, s);

    if (o.vector != vector || o.error || o.flags != flags || o.before != (want == GP))
        test_fail("%s in %s mode, CPL %u, CR4 0x%x, EFLAGS 0x%x: vector %u (0x%x), EFLAGS 0x%x, not %u, 0x%x",
                  insn, modes[c->mode], c->cpl, c->cr4, c->iopl << 12 | c->flags, o.vector, o.error, o.flags,
                  vector, flags);
}

static void cli_sti(enum mode mode, const char *name, const struct snippet *cli, const struct snippet *sti)
{
    test_begin(name);
    for (unsigned i = 0; i < sizeof flag_cases / sizeof *flag_cases; i++) {
        const struct flag_case *c = &flag_cases[i];

        if (c->mode != mode)
            continue;
        flag_check("CLI", c, cli, c->cli);
        flag_check("STI", c, sti, c->sti);
    }
    test_end();
}

/* ---- PUSHF ---- */

enum { OTHERS = 2 | FLAG_CF | FLAG_DF | FLAG_OF | FLAG_NT };

static void pushf(void)
{
    test_begin("VME: PUSHF stores VIF as IF, and IOPL 3");
    for (unsigned iopl = 0; iopl < 4; iopl++) {
        for (unsigned n = 0; n < 4; n++) {
            uint32_t flags = OTHERS | (n & 1 ? FLAG_IF : 0) | (n & 2 ? FLAG_VIF : 0);
            bool set = iopl == 3 ? n & 1 : n & 2;

            prepare_v86(&v_pushf, iopl);
            r.eflags |= flags;
            r.cr4 = CR4_VME;
            go("PUSHF", VEC_BP, 0);
            test_equal(*word(LOW_STACK - 2), OTHERS | FLAG_IOPL | (set ? FLAG_IF : 0), "the pushed word");
            test_equal(r.esp, LOW_STACK - 2, "SP");
            test_equal(r.eflags & VIRTUAL, (flags | iopl << 12) & VIRTUAL, "EFLAGS");
        }
    }
    test_end();
    test_begin("PUSHF that is for the monitor");
    prepare_v86(&v_pushfd, 2);
    r.cr4 = CR4_VME;
    go("32 bits", VEC_GP, 0);
    test_equal(r.eip, at16(&v_pushfd), "IP");
    test_equal(r.esp, LOW_STACK, "SP");
    prepare_v86(&v_pushf, 2);
    r.cr4 = CR4_PVI;
    go("without VME", VEC_GP, 0);
    prepare_v86(&v_pushfd, 3);
    r.cr4 = CR4_VME;
    r.eflags |= FLAG_VIF | FLAG_AC;
    go("32 bits at IOPL 3", VEC_BP, 0);
    /* VM and RF are stored as 0 (SDM 2, PUSHF). */
    test_equal(*word(LOW_STACK - 4) | (uint32_t)*word(LOW_STACK - 2) << 16,
               2 | FLAG_VIF | FLAG_AC | FLAG_IOPL, "the pushed doubleword");
    test_end();
}

/* ---- POPF and IRET ---- */

struct pop_case {
    uint32_t iopl, flags; /* before */
    uint16_t image;
    int32_t after; /* or GP */
};

static const struct pop_case pop_cases[] = {
    {0, 0, FLAG_IF | FLAG_CF | FLAG_DF | FLAG_NT, FLAG_VIF | FLAG_CF | FLAG_DF | FLAG_NT},
    {0, FLAG_IF, FLAG_IF | FLAG_IOPL, FLAG_IF | FLAG_VIF},
    {1, FLAG_IF | FLAG_VIF | FLAG_CF, 0, FLAG_IF},
    {2, FLAG_VIF, FLAG_IF | FLAG_OF, FLAG_VIF | FLAG_OF},
    {0, FLAG_VIP, FLAG_ZF, FLAG_VIP | FLAG_ZF},
    {0, FLAG_VIP, FLAG_IF, GP},
    {2, FLAG_IF | FLAG_VIP, FLAG_IF | FLAG_ZF, GP},
    {0, 0, FLAG_TF, GP},
    {2, FLAG_VIF, FLAG_TF | FLAG_CF, GP},
    {3, FLAG_VIF, FLAG_IF, FLAG_IF | FLAG_VIF},
    {3, FLAG_IF | FLAG_VIP, FLAG_CF, FLAG_VIP | FLAG_CF},
    {3, FLAG_VIP, FLAG_IF, FLAG_IF | FLAG_VIP},
};

/* With what is popped at LOW_STACK, which ends below where SP then is. */
static void pop_check(const struct snippet *s, bool iret, const struct pop_case *c, uint32_t cr4, bool faults)
{
    uint32_t all = VIRTUAL | OTHERS | FLAG_ZF | FLAG_TF, bytes = iret ? 6 : 2;
    uint32_t want = faults ? 2 | c->flags | c->iopl << 12 : 2 | (uint32_t)c->after | c->iopl << 12;

    prepare_v86(s, c->iopl);
    r.eflags |= c->flags;
    r.cr4 = cr4;
    if (iret) {
        *word(LOW_STACK) = TARGET_IP;
        *word(LOW_STACK + 2) = TARGET_CS;
        *word(LOW_STACK + 4) = c->image;
    } else {
        *word(LOW_STACK) = c->image;
    }
    go(iret ? "IRET" : "POPF", faults ? VEC_GP : VEC_BP, 0);
    if ((r.eflags & all) != want)
        test_fail("image 0x%x at IOPL %u with EFLAGS 0x%x: EFLAGS 0x%x, not 0x%x", c->image, c->iopl,
                  c->flags, r.eflags & all, want);
    test_equal(r.esp, LOW_STACK + (faults ? 0 : bytes), "SP");
    test_equal(r.eip, faults ? at16(s) : iret ? TARGET_IP + 1 : next16(s) + 1, "IP");
    test_equal(r.cs, iret && !faults ? TARGET_CS : 0, "CS");
    test_equal(r.eflags & FLAG_VM, FLAG_VM, "VM");
}

static void pops(const char *name, const char *name_gp, const struct snippet *s, const struct snippet *s32,
                 bool iret)
{
    unsigned n = sizeof pop_cases / sizeof *pop_cases;

    test_begin(name);
    for (unsigned i = 0; i < n; i++)
        pop_check(s, iret, &pop_cases[i], CR4_VME, pop_cases[i].after == GP);
    test_end();
    test_begin(name_gp);
    for (unsigned i = 0; i < n; i++) {
        if (pop_cases[i].iopl == 3)
            continue;
        pop_check(s, iret, &pop_cases[i], CR4_PVI, true);   /* without VME */
        pop_check(s32, iret, &pop_cases[i], CR4_VME, true); /* 32 bits */
    }
    test_end();
}

static void popfd_iopl3(void)
{
    test_begin("VME: POPFD and IRETD at IOPL 3 leave VM, VIF, VIP and IOPL");
    for (unsigned iret = 0; iret < 2; iret++) {
        uint32_t at = LOW_STACK + (iret ? 8 : 0);

        prepare_v86(iret ? &v_iretd : &v_popfd, 3);
        r.cr4 = CR4_VME;
        r.eflags |= FLAG_VIP;
        *word(LOW_STACK) = TARGET_IP;
        *word(LOW_STACK + 2) = 0;
        *word(LOW_STACK + 4) = TARGET_CS;
        *word(LOW_STACK + 6) = 0;
        *word(at) = FLAG_IF | FLAG_CF;
        *word(at + 2) = (FLAG_VIF | FLAG_AC | FLAG_ID) >> 16;
        go(iret ? "IRETD" : "POPFD", VEC_BP, 0);
        test_equal(r.eflags & (VIRTUAL | FLAG_VM | FLAG_AC | FLAG_ID | FLAG_CF),
                   FLAG_IOPL | FLAG_IF | FLAG_VM | FLAG_VIP | FLAG_AC | FLAG_ID | FLAG_CF, "EFLAGS");
        test_equal(r.esp, at + 4, "SP");
    }
    test_end();
}

/* ---- INT n ---- */

static void redirect(unsigned vector, bool protected_mode)
{
    uint8_t mask = (uint8_t)(1 << (vector & 7));

    tss32.io_bits[vector / 8] =
        (uint8_t)(protected_mode ? tss32.io_bits[vector / 8] | mask : tss32.io_bits[vector / 8] & ~mask);
}

static void prepare_int(unsigned vector, unsigned iopl, uint32_t cr4)
{
    prepare_v86(&v_int, iopl);
    *(uint8_t *)(uint64_t)(at16(&v_int) + 1) = (uint8_t)vector;
    r.cr4 = cr4;
}

/* To the 8086 program's handler: three words on its stack. */
static void check_handler(uint32_t sp, uint32_t image, uint32_t flags)
{
    test_equal(r.cs, HANDLER_CS, "CS");
    test_equal(r.eip, HANDLER_IP + 1, "IP");
    test_equal(r.esp, (uint16_t)(sp - 6), "SP");
    test_equal(*word((r.ss << 4) + (uint16_t)(sp - 6)), next16(&v_int), "the IP pushed");
    test_equal(*word((r.ss << 4) + (uint16_t)(sp - 4)), 0, "the CS pushed");
    test_equal(*word((r.ss << 4) + (uint16_t)(sp - 2)), image, "the flags pushed");
    test_equal(r.eflags & (VIRTUAL | FLAG_VM | FLAG_CF), flags | FLAG_VM | FLAG_CF, "EFLAGS");
}

static void redirection(void)
{
    static const struct {
        unsigned vector;
        const char *name;
    } cases[] = {{0x00, "VME: the redirection bitmap, vector 0"},
                 {0x04, "VME: the redirection bitmap, vector 4"},
                 {0x07, "VME: the redirection bitmap, vector 7"},
                 {0x08, "VME: the redirection bitmap, vector 8"},
                 {0x21, "VME: the redirection bitmap, vector 0x21"},
                 {0x3F, "VME: the redirection bitmap, vector 0x3F"},
                 {0x40, "VME: the redirection bitmap, vector 0x40"},
                 {0x80, "VME: the redirection bitmap, vector 0x80"},
                 {0xFF, "VME: the redirection bitmap, vector 0xFF"}};

    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned v = cases[i].vector;

        test_begin(cases[i].name);
        memset(tss32.io_bits, 0xFF, 32);
        redirect(v, false);
        for (unsigned iopl = 0; iopl < 4; iopl += 3) {
            prepare_int(v, iopl, CR4_VME);
            r.eflags |= FLAG_CF;
            go("its bit alone clear", VEC_BP, 0);
            check_handler(LOW_STACK, 2 | FLAG_CF | FLAG_IOPL, iopl << 12);
        }
        memset(tss32.io_bits, 0, 32);
        redirect(v, true);
        prepare_int(v, 0, CR4_VME);
        go("its bit alone set, IOPL 0", VEC_GP, 0);
        test_equal(r.eip, at16(&v_int), "IP");
        test_equal(r.esp, LOW_STACK, "SP");
        prepare_int(v, 2, CR4_VME);
        go("its bit alone set, IOPL 2", VEC_GP, 0);
        set_gate32(v, legacy_entries[0x30], SEL_CODE32, 0xEE);
        prepare_int(v, 3, CR4_VME);
        go("its bit alone set, IOPL 3", 0x30, 0);
        test_equal(r.eip, next16(&v_int), "IP");
        set_gate32(v, legacy_entries[0x30], SEL_CODE32, 0x8E);
        prepare_int(v, 3, CR4_VME);
        go("its bit alone set, IOPL 3, a gate of DPL 0", VEC_GP, v * 8 + 2);
        test_equal(r.eip, at16(&v_int), "IP");
        set_gate32(v, legacy_entries[v], SEL_CODE32, v == VEC_OF || v == VEC_END ? 0xEE : 0x8E);
        test_end();
    }
}

static void redirected_flags(void)
{
    test_begin("VME: flags of a redirected INT");
    memset(tss32.io_bits, 0, 32);
    for (unsigned iopl = 0; iopl < 4; iopl++) {
        for (unsigned n = 0; n < 8; n++) {
            uint32_t flags =
                FLAG_CF | (n & 1 ? FLAG_IF : 0) | (n & 2 ? FLAG_VIF : 0) | (n == 4 || n == 5 ? FLAG_VIP : 0);
            uint32_t image = iopl == 3 ? flags & FLAG_IF : flags & FLAG_VIF ? FLAG_IF : 0;
            uint32_t after = iopl << 12 | (flags & VIRTUAL & ~(uint32_t)(iopl == 3 ? FLAG_IF : FLAG_VIF));

            prepare_int(0x21, iopl, CR4_VME);
            r.eflags |= flags;
            go("INT", VEC_BP, 0);
            check_handler(LOW_STACK, image | 2 | FLAG_CF | FLAG_IOPL, after);
        }
    }
    test_end();
    test_begin("VME: the stack of a redirected INT");
    prepare_int(0x21, 0, CR4_VME);
    r.eflags |= FLAG_CF;
    r.ss = 0x2000;
    r.esp = 2;
    go("across 64 KiB", VEC_BP, 0);
    check_handler(2, 2 | FLAG_CF | FLAG_IOPL, 0);
    prepare_int(0x21, 0, CR4_VME);
    r.ss = 0x2000;
    r.esp = 3;
    go("a word beyond the limit", VEC_SS, 0);
    test_equal(r.eip, at16(&v_int), "IP");
    test_equal(r.esp, 3, "SP");
    test_end();
}

static void not_redirected(void)
{
    test_begin("VME: what is not redirected");
    memset(tss32.io_bits, 0, 32);
    prepare_v86(&v_nop, 0); /* its INT3, at vector 3, whose bit is clear */
    r.cr4 = CR4_VME;
    go("INT3", VEC_BP, 0);
    test_equal(r.eip, next16(&v_nop) + 1, "IP");
    prepare_v86(&v_int3, 0);
    r.cr4 = CR4_VME;
    r.eflags |= FLAG_CF;
    go("INT 3 in two bytes is", VEC_BP, 0);
    test_equal(r.cs, HANDLER_CS, "CS");
    prepare_v86(&v_into, 0);
    r.cr4 = CR4_VME;
    r.eflags |= FLAG_OF;
    go("INTO", VEC_OF, 0);
    test_equal(r.eip, next16(&v_into), "IP");
    prepare_v86(&v_int1, 0);
    r.cr4 = CR4_VME;
    go("INT1", VEC_DB, 0);
    test_equal(r.eip, next16(&v_int1), "IP");
    prepare_v86(&v_div, 0);
    r.cr4 = CR4_VME;
    go("#DE", VEC_DE, 0);
    test_equal(r.eip, at16(&v_div), "IP");
    test_end();
    test_begin("INT n without VME");
    prepare_int(0x21, 2, 0);
    go("IOPL 2", VEC_GP, 0);
    set_gate32(0x21, legacy_entries[0x21], SEL_CODE32, 0xEE);
    prepare_int(0x21, 3, CR4_PVI);
    go("IOPL 3", 0x21, 0);
    test_equal(r.eip, next16(&v_int), "IP");
    set_gate32(0x21, legacy_entries[0x21], SEL_CODE32, 0x8E);
    test_end();
}

/* ---- A virtual interrupt that is due ---- */

/* "If both the VIF and VIP flags are set at the beginning of an instruction", #GP (SDM 3A 20.3.2). */
static void pending(void)
{
    static const struct {
        const char *what;
        struct flag_case c;
        bool due;
    } cases[] = {
        {"virtual-8086 mode", {V86, 3, CR4_VME, 0, 0, 0, 0}, true},
        {"virtual-8086 mode, IOPL 2", {V86, 3, CR4_VME | CR4_PVI, 2, FLAG_IF, 0, 0}, true},
        {"virtual-8086 mode without VME", {V86, 3, CR4_PVI, 0, 0, 0, 0}, false},
        {"protected mode", {PROTECTED, 3, CR4_PVI, 0, 0, 0, 0}, true},
        {"protected mode, CPL 1", {PROTECTED, 1, CR4_PVI, 0, 0, 0, 0}, false},
        {"protected mode, CPL 0", {PROTECTED, 0, CR4_PVI, 0, 0, 0, 0}, false},
        {"protected mode without PVI", {PROTECTED, 3, CR4_VME, 0, 0, 0, 0}, false},
        {"64-bit mode", {LONG, 3, CR4_PVI, 0, FLAG_IF, 0, 0}, true},
        {"64-bit mode without PVI", {LONG, 3, CR4_VME, 0, 0, 0, 0}, false},
    };
    static const struct snippet *const nops[] = {&v_nop, &p_nop, &l_nop};

    test_begin("VIF and VIP both set");
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct flag_case c = cases[i].c;
        struct outcome o;

        c.flags |= FLAG_VIF | FLAG_VIP;
        o = c.mode == LONG ? run_long(&c, nops[c.mode]) : run_legacy(&c, nops[c.mode]);
        if (o.vector != (cases[i].due ? VEC_GP : VEC_BP) || o.error || o.before != cases[i].due)
            test_fail("%s: vector %u", cases[i].what, o.vector);
        test_equal(o.flags, c.flags | c.iopl << 12, "EFLAGS");
    }
    test_end();
}

static void pending_in_task(void)
{
    static struct tss32 other;

    test_begin("VIF and VIP both set by a task switch");
    other = (struct tss32){.esp0 = tss32.esp0,
                           .ss0 = SEL_DATA,
                           .eip = LOW_CODE,
                           .eflags = 2 | FLAG_VM | FLAG_VIF | FLAG_VIP,
                           .esp = LOW_STACK,
                           .ebx = 0x1234,
                           .io_map = sizeof other};
    set_descriptor(SEL_FREE, descriptor(low(&other), TSS32_BITS, 0x89, 0));
    prepare16(&v_nop);
    prepare32(&p_call, 0);
    uint32_t target[2] = {0, SEL_FREE};
    r.esi = low(target);
    r.cr4 = CR4_VME;
    go("CALL", VEC_GP, 0);
    test_equal(r.eip, LOW_CODE, "IP");
    test_equal(r.ebx, 0x1234, "EBX");
    test_equal(r.eflags & (FLAG_VM | FLAG_VIF | FLAG_VIP), FLAG_VM | FLAG_VIF | FLAG_VIP, "EFLAGS");
    test_end();
}

/* ---- PVI changes CLI and STI only ---- */

static void protected_others(void)
{
    enum { WATCHED = VIRTUAL | FLAG_CF };
    uint32_t *stack = (uint32_t *)stack3_top;

    test_begin("PVI: PUSHF, POPF, IRET and INT are as ever");
    prepare32(&p_pushfd, USER);
    r.cr4 = CR4_PVI;
    r.eflags |= FLAG_VIF;
    go("PUSHF", VEC_BP, 0);
    test_equal(stack[-1], 2 | FLAG_VIF, "the pushed doubleword");
    static const uint32_t before[] = {FLAG_VIF, FLAG_VIP, FLAG_IF, FLAG_IF | FLAG_VIF};
    for (unsigned n = 0; n < 4; n++) {
        for (unsigned iret = 0; iret < 2; iret++) {
            uint32_t image =
                2 | FLAG_CF | FLAG_IOPL | (n & 1 ? FLAG_IF : 0) | (n & 2 ? 0 : FLAG_VIF | FLAG_VIP);

            prepare32(iret ? &p_iretd : &p_popfd, USER);
            r.cr4 = CR4_PVI;
            r.eflags |= before[n];
            if (iret) {
                stack[-3] = low(p_iretd.next);
                stack[-2] = SEL_USER_CODE32;
            }
            stack[-1] = image;
            r.esp = low(stack) - (iret ? 12 : 4);
            go(iret ? "IRET" : "POPF", VEC_BP, 0);
            test_equal(r.eflags & WATCHED, before[n] | FLAG_CF, "EFLAGS");
            test_equal(r.esp, low(stack), "ESP");
        }
    }
    set_gate32(0x30, legacy_entries[0x30], SEL_CODE32, 0xEE);
    memset(tss32.io_bits, 0, 32);
    prepare32(&p_int, USER);
    r.cr4 = CR4_PVI | CR4_VME;
    go("INT", 0x30, 0);
    test_equal(r.eip, low(p_int.next), "EIP");
    set_gate32(0x30, legacy_entries[0x30], SEL_CODE32, 0x8E);
    test_end();
}

void guest_main(void)
{
    legacy_init();
    tss32.io_map = TSS32_BITS + 32; /* the redirection bitmap is what lies before the map of ports */
    for (unsigned i = 0; i < 256; i++) {
        *word(i * 4) = HANDLER_IP;
        *word(i * 4 + 2) = HANDLER_CS;
    }
    *(uint8_t *)(HANDLER_CS * 16 + HANDLER_IP) = 0xCC;
    *(uint8_t *)(TARGET_CS * 16 + TARGET_IP) = 0xCC;
    cli_sti(V86, "VME: CLI and STI", &v_cli, &v_sti);
    cli_sti(PROTECTED, "PVI: CLI and STI", &p_cli, &p_sti);
    cli_sti(LONG, "PVI: CLI and STI in 64-bit mode", &l_cli, &l_sti);
    pushf();
    pops("VME: POPF", "POPF that is for the monitor", &v_popf, &v_popfd, false);
    pops("VME: IRET", "IRET that is for the monitor", &v_iret, &v_iretd, true);
    popfd_iopl3();
    redirection();
    redirected_flags();
    not_redirected();
    protected_others();
    pending();
    pending_in_task();
}
