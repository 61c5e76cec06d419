/*
 * test_protection.c - segments, exceptions, interrupts and far transfers in real and protected mode, by the
 * manuals' pseudo-code: where each leads, what is on the stack, which error code.
 */
#include <check.h>
#include <string.h>

#include "cpu/internal.h"
#include "tests/unit/protected.h"
#include "tests/unit/suites.h"

static struct box *box;
static struct cpu_state *s;

static void setup(void)
{
    box = box_new();
    s = box->s;
}

static void teardown(void)
{
    box_free(box);
}

#define GATE_ERROR(vector) ((vector)*8u + 2u)

/* --- Interrupts and exceptions, protected mode --------------------------------------------------- */

START_TEST(interrupt_to_inner_ring)
{
    start_protected(box, 3);
    set_gate(box, 0x30, 14, 3, S_CODE0, 0);
    s->rflags |= FLAG_IF | FLAG_NT | FLAG_CF;
    cpu_push(box->cpu);
    EXEC(box, "\xcd\x30");
    expect_fault0(box, 0x30);
    ck_assert_uint_eq(s->cpl, 0);
    ck_assert_uint_eq(s->seg[CS].selector, S_CODE0);
    ck_assert_uint_eq(s->seg[SS].selector, S_DATA0);
    ck_assert_uint_eq(s->gpr[RSP], STACK0 - 20);
    ck_assert_uint_eq(stacked(box, 0, 4), AT_CODE + 2);
    ck_assert_uint_eq(stacked(box, 1, 4), S_CODE3);
    ck_assert_uint_eq(stacked(box, 2, 4), FLAG_1 | FLAG_IF | FLAG_NT | FLAG_CF);
    ck_assert_uint_eq(stacked(box, 3, 4), STACK3);
    ck_assert_uint_eq(stacked(box, 4, 4), S_DATA3);
    ck_assert_uint_eq(s->rflags, FLAG_1 | FLAG_CF);
    ck_assert_uint_eq(s->seg[DS].selector, S_DATA3);
}
END_TEST

START_TEST(trap_gate_leaves_interrupts_on)
{
    start_protected(box, 0);
    set_gate(box, 0x30, 15, 0, S_CODE0, 0);
    s->rflags |= FLAG_IF;
    cpu_push(box->cpu);
    EXEC(box, "\xcd\x30");
    expect_fault0(box, 0x30);
    ck_assert(s->rflags & FLAG_IF);
    ck_assert_uint_eq(s->gpr[RSP], STACK0 - 0x800 - 12);
}
END_TEST

START_TEST(gate_16_pushes_words)
{
    start_protected(box, 3);
    box_put(box, AT_IDT + 0x30 * 8, 0x4000 | (uint64_t)S_CODE0 << 16 | 0xe6ull << 40, 8);
    EXEC(box, "\xcd\x30");
    ck_assert_uint_eq(s->rip, 0x4000);
    ck_assert_uint_eq(s->gpr[RSP], STACK0 - 10);
    ck_assert_uint_eq(stacked(box, 0, 2), (AT_CODE + 2) & 0xffff);
    ck_assert_uint_eq(stacked(box, 4, 2), S_DATA3);
}
END_TEST

START_TEST(int_n_checks_gate_dpl)
{
    start_protected(box, 3);
    EXEC(box, "\xcd\x30");
    expect_fault(box, EX_GP, GATE_ERROR(0x30));
    ck_assert_uint_eq(stacked(box, 1, 4), AT_CODE);
    ck_assert(stacked(box, 3, 4) & FLAG_RF);
}
END_TEST

/* INT1 is a hardware event to the IDT: no DPL check (SDM 2, INT). */
START_TEST(int1_ignores_gate_dpl)
{
    start_protected(box, 3);
    EXEC(box, "\xf1");
    expect_fault0(box, EX_DB);
    ck_assert_uint_eq(stacked(box, 0, 4), AT_CODE + 1);
    remove_gate(box, EX_DB);
    start_protected(box, 3);
    remove_gate(box, EX_DB);
    EXEC(box, "\xf1");
    expect_fault(box, EX_NP, GATE_ERROR(EX_DB) | 1);
}
END_TEST

START_TEST(int3_and_into)
{
    start_protected(box, 3);
    set_gate(box, EX_BP, 15, 3, S_CODE0, 0);
    EXEC(box, "\xcc");
    expect_fault0(box, EX_BP);
    ck_assert_uint_eq(stacked(box, 0, 4), AT_CODE + 1);

    start_protected(box, 3);
    set_gate(box, EX_OF, 15, 3, S_CODE0, 0);
    EXEC(box, "\xce");
    ck_assert_uint_eq(s->rip, AT_CODE + 1);
    s->rflags |= FLAG_OF;
    cpu_push(box->cpu);
    EXEC(box, "\xce");
    expect_fault0(box, EX_OF);
}
END_TEST

START_TEST(faults_set_rf_in_image)
{
    start_protected(box, 3);
    EXEC(box, "\x0f\x0b"); /* UD2 */
    expect_fault0(box, EX_UD);
    ck_assert_uint_eq(stacked(box, 0, 4), AT_CODE);
    ck_assert_uint_eq(stacked(box, 2, 4), FLAG_1 | FLAG_RF);
    ck_assert(!(s->rflags & FLAG_RF));
}
END_TEST

START_TEST(vector_beyond_idt)
{
    start_protected(box, 3);
    s->idtr.limit = 0x40 * 8 - 2;
    EXEC(box, "\xcd\x3f");
    expect_fault(box, EX_GP, GATE_ERROR(0x3f));
}
END_TEST

/* An absent gate of an exception: #NP with EXT, for a software interrupt without (SDM 3A 6.13). */
START_TEST(absent_gate)
{
    start_protected(box, 3);
    remove_gate(box, EX_UD);
    EXEC(box, "\x0f\x0b");
    expect_fault(box, EX_NP, GATE_ERROR(EX_UD) | 1);
    start_protected(box, 0);
    remove_gate(box, 0x30);
    EXEC(box, "\xcd\x30");
    expect_fault(box, EX_NP, GATE_ERROR(0x30));
}
END_TEST

START_TEST(handler_segment_checks)
{
    static const struct {
        uint16_t cs;
        int vector;
        uint32_t error;
    } cases[] = {
        {0, EX_GP, 1},
        {S_DATA0, EX_GP, S_DATA0 | 1},
        {0x400, EX_GP, 0x401},
        {S_CODE0_64, -1, 0},
    };

    for (unsigned n = 0; n < 4; n++) {
        start_protected(box, 0);
        set_gate(box, EX_UD, 14, 0, cases[n].cs, 0);
        EXEC(box, "\x0f\x0b");
        if (cases[n].vector < 0)
            ck_assert_uint_eq(s->rip, handler(EX_UD) & 0xffffffff);
        else
            expect_fault(box, (unsigned)cases[n].vector, cases[n].error);
    }
    /* A handler of an outer ring. */
    start_protected(box, 0);
    set_gate(box, EX_UD, 14, 0, S_CODE3, 0);
    EXEC(box, "\x0f\x0b");
    expect_fault(box, EX_GP, (S_CODE3 & ~3u) | 1);
}
END_TEST

START_TEST(conforming_handler_keeps_ring)
{
    start_protected(box, 3);
    set_gate(box, 0x30, 14, 3, S_CONFORMING, 0);
    EXEC(box, "\xcd\x30");
    expect_fault0(box, 0x30);
    ck_assert_uint_eq(s->cpl, 3);
    ck_assert_uint_eq(s->seg[CS].selector, S_CONFORMING | 3);
    ck_assert_uint_eq(s->gpr[RSP], STACK3 - 12);
}
END_TEST

START_TEST(bad_inner_stack)
{
    static const struct {
        uint16_t ss;
        unsigned vector;
        uint32_t error;
    } cases[] = {
        {0, EX_TS, 0},
        {S_DATA3, EX_TS, S_DATA3 & ~3u},
        {S_CODE0, EX_TS, S_CODE0},
        {0x400, EX_TS, 0x400},
    };

    for (unsigned n = 0; n < 4; n++) {
        start_protected(box, 3);
        set_gate(box, 0x30, 14, 3, S_CODE0, 0);
        set_gate(box, EX_TS, 14, 0, S_CONFORMING, 0); /* whose handler needs no inner stack */
        box_put(box, AT_TSS + 8, cases[n].ss, 2);
        EXEC(box, "\xcd\x30");
        expect_fault(box, cases[n].vector, cases[n].error);
        ck_assert_uint_eq(stacked(box, 1, 4), AT_CODE);
    }
    start_protected(box, 3);
    set_gate(box, 0x30, 14, 3, S_CODE0, 0);
    set_gate(box, EX_TS, 14, 0, S_CONFORMING, 0);
    s->tr.limit = 8; /* ESP0 fits, SS0 does not */
    EXEC(box, "\xcd\x30");
    expect_fault(box, EX_TS, S_TSS);
}
END_TEST

START_TEST(double_fault)
{
    start_protected(box, 0);
    remove_gate(box, EX_GP);
    EXEC(box, "\x8e\xd8"); /* MOV DS, AX with a selector beyond the table */
    ck_assert_uint_eq(s->rip, AT_CODE + 2);
    start_protected(box, 0);
    remove_gate(box, EX_GP);
    s->gpr[RAX] = 0x800;
    EXEC(box, "\x8e\xd8");
    expect_fault(box, EX_DF, 0);
    ck_assert_uint_eq(stacked(box, 1, 4), AT_CODE);
}
END_TEST

START_TEST(triple_fault)
{
    struct cpu_fault chain[8];

    start_protected(box, 0);
    remove_gate(box, EX_GP);
    remove_gate(box, EX_DF);
    s->gpr[RAX] = 0x800;
    EXEC(box, "\x8e\xd8");
    ck_assert_uint_eq(s->activity, CPU_SHUTDOWN);
    ck_assert_int_eq(cpu_run(box->cpu, 10), CPU_EXIT_SHUTDOWN);
    ck_assert_uint_eq(cpu_chain(box->cpu, chain, 8), 4);
    ck_assert_uint_eq(chain[0].vector, EX_GP);
    ck_assert_uint_eq(chain[0].error, 0x800);
    ck_assert_uint_eq(chain[0].rip, AT_CODE);
    ck_assert_uint_eq(chain[0].bits, 32);
    ck_assert_uint_eq(chain[1].vector, EX_NP);
    ck_assert_uint_eq(chain[1].error, GATE_ERROR(EX_GP) | 1);
    ck_assert_uint_eq(chain[2].vector, EX_DF);
    ck_assert_uint_eq(chain[3].vector, EX_NP);
    ck_assert_uint_eq(cpu_chain(box->cpu, chain, 1), 1);
}
END_TEST

/* Benign exceptions and software interrupts do not double (SDM 3A table 6-5). */
START_TEST(benign_then_contributory)
{
    start_protected(box, 0);
    set_gate(box, 0x0d, 14, 0, S_DATA0, 0); /* INT 13, whose gate is bad: #GP, whose gate is bad: #DF */
    EXEC(box, "\xcd\x0d");
    expect_fault(box, EX_DF, 0);
    start_protected(box, 0);
    set_gate(box, 0x0e, 14, 0, S_DATA0, 0); /* INT 14 is no page fault */
    EXEC(box, "\xcd\x0e");
    expect_fault(box, EX_GP, S_DATA0);
}
END_TEST

START_TEST(nmi_is_blocked_until_iret)
{
    start_protected(box, 0);
    cpu_nmi(box->cpu);
    step(box);
    expect_fault0(box, EX_NMI);
    ck_assert_uint_eq(s->nmi_blocked, 1);
    cpu_nmi(box->cpu);
    EXEC(box, "\x90");
    ck_assert_uint_eq(s->rip, handler(EX_NMI) + 1);
    EXEC(box, "\xcf");
    ck_assert_uint_eq(s->nmi_blocked, 0);
    ck_assert_uint_eq(s->rip, AT_CODE);
    step(box);
    expect_fault0(box, EX_NMI);
}
END_TEST

START_TEST(sti_and_mov_ss_shadow)
{
    start_protected(box, 0);
    EXEC(box, "\xfb");
    ck_assert(s->rflags & FLAG_IF);
    ck_assert_uint_eq(s->shadow, 1);
    EXEC(box, "\x90");
    ck_assert_uint_eq(s->shadow, 0);
    EXEC(box, "\xfb");
    ck_assert_uint_eq(s->shadow, 0); /* IF was set already */
    s->gpr[RAX] = S_DATA0;
    EXEC(box, "\x8e\xd0");
    ck_assert_uint_eq(s->shadow, 2);
}
END_TEST

/* What MOV SS holds back comes with the #DB of an ICEBP behind it, which names it in DR6. */
START_TEST(int1_takes_held_back_traps_along)
{
    start_protected(box, 0);
    s->dr[6] |= 1;
    s->pending_debug = 2;
    s->shadow = 2;
    cpu_push(box->cpu);
    EXEC(box, "\xf1");
    expect_fault0(box, EX_DB);
    ck_assert_uint_eq(s->dr[6] & 15, 2);
    ck_assert_uint_eq(s->pending_debug, 0);
}
END_TEST

START_TEST(instruction_breakpoint_replaces_the_last_one)
{
    start_protected(box, 0);
    s->dr[2] = AT_CODE;
    s->dr[6] |= 1u << 14 | 2;
    s->dr[7] |= 1u << 4;
    cpu_push(box->cpu);
    EXEC(box, "\x90");
    expect_fault0(box, EX_DB);
    ck_assert_uint_eq(s->dr[6], 0xffff0ff0 | 1u << 14 | 4);
    ck_assert_uint_eq(stacked(box, 0, 4), AT_CODE);
}
END_TEST

/* --- Segment registers --------------------------------------------------------------------------- */

static const struct {
    unsigned cpl;
    char seg; /* ModRM of MOV seg, AX */
    uint16_t selector;
    int vector;
    uint32_t error;
} loads[] = {
    {0, '\xd8', S_DATA0, -1, 0},
    {0, '\xd8', 0, -1, 0},
    {0, '\xd8', S_DATA3, -1, 0},
    {0, '\xd8', S_DATA0 | 3, EX_GP, S_DATA0},
    {3, '\xd8', S_DATA0, EX_GP, S_DATA0},
    {0, '\xd8', S_EXECONLY | 0, EX_GP, S_EXECONLY},
    {3, '\xd8', S_CONFORMING | 3, -1, 0},
    {0, '\xd8', S_TSS, EX_GP, S_TSS},
    {0, '\xd8', S_ABSENT, EX_NP, S_ABSENT},
    {0, '\xd8', GDT_LIMIT + 1, EX_GP, GDT_LIMIT + 1},
    {0, '\xd8', 0x14, EX_GP, 0x14}, /* no LDT */
    {3, '\xe0', S_READONLY | 3, -1, 0},
    {0, '\xd0', S_DATA0, -1, 0},
    {0, '\xd0', 0, EX_GP, 0},
    {0, '\xd0', S_DATA3, EX_GP, S_DATA3 & ~3u},
    {0, '\xd0', S_CODE0, EX_GP, S_CODE0},
    {3, '\xd0', S_READONLY | 3, EX_GP, S_READONLY},
    {0, '\xd0', S_ABSENT, EX_GP, S_ABSENT}, /* wrong ring first */
};

START_TEST(segment_loads)
{
    char code[2] = {'\x8e', loads[_i].seg};
    unsigned seg = (unsigned char)loads[_i].seg >> 3 & 7;

    start_protected(box, loads[_i].cpl);
    s->gpr[RAX] = loads[_i].selector;
    exec(box, code, 2);
    if (loads[_i].vector >= 0) {
        expect_fault(box, (unsigned)loads[_i].vector, loads[_i].error);
    } else {
        ck_assert_uint_eq(s->rip, AT_CODE + 2);
        ck_assert_uint_eq(s->seg[seg].selector, loads[_i].selector);
    }
}
END_TEST

START_TEST(absent_stack_segment)
{
    start_protected(box, 0);
    box_put(box, AT_GDT + S_ABSENT, segment_descriptor(0, UINT32_MAX, 0xc013), 8);
    s->gpr[RAX] = S_ABSENT;
    EXEC(box, "\x8e\xd0");
    expect_fault(box, EX_SS, S_ABSENT);
}
END_TEST

START_TEST(loading_sets_accessed)
{
    start_protected(box, 0);
    box_put(box, AT_GDT + S_DATA0, segment_descriptor(0, UINT32_MAX, 0xc092), 8);
    s->gpr[RAX] = S_DATA0;
    EXEC(box, "\x8e\xd8");
    ck_assert_uint_eq(box_get(box, AT_GDT + S_DATA0 + 5, 1), 0x93);
    ck_assert_uint_eq(s->seg[DS].attr, 0xc093);
}
END_TEST

/* Expand-down: valid offsets are above the limit (SDM 3A 5.3). */
START_TEST(expand_down_limit)
{
    start_protected(box, 3);
    s->gpr[RAX] = S_EXPDOWN | 3;
    EXEC(box, "\x8e\xd8");
    EXEC(box, "\xa0\x00\x10\x00\x00"); /* MOV AL, [1000] */
    ck_assert_uint_eq(s->rip, AT_CODE + 7);
    EXEC(box, "\xa0\xff\x0f\x00\x00");
    expect_fault(box, EX_GP, 0);
}
END_TEST

START_TEST(null_and_readonly_segments_fault)
{
    start_protected(box, 0);
    s->gpr[RAX] = 0;
    EXEC(box, "\x8e\xd8");
    EXEC(box, "\xa0\x00\x10\x00\x00");
    expect_fault(box, EX_GP, 0);
    start_protected(box, 3);
    s->gpr[RAX] = S_READONLY | 3;
    EXEC(box, "\x8e\xd8");
    EXEC(box, "\xa0\x00\x10\x00\x00");
    ck_assert_uint_eq(s->rip, AT_CODE + 7);
    EXEC(box, "\xa2\x00\x10\x00\x00");
    expect_fault(box, EX_GP, 0);
}
END_TEST

START_TEST(lar_lsl_verr_verw)
{
    start_protected(box, 3);
    s->gpr[RBX] = S_DATA3;
    EXEC(box, "\x0f\x02\xc3");
    ck_assert(s->rflags & FLAG_ZF);
    ck_assert_uint_eq(s->gpr[RAX], 0xcff300);
    EXEC(box, "\x0f\x03\xc3");
    ck_assert_uint_eq(s->gpr[RAX], 0xffffffff);
    s->gpr[RBX] = S_DATA0;
    EXEC(box, "\x0f\x02\xc3");
    ck_assert(!(s->rflags & FLAG_ZF));
    ck_assert_uint_eq(s->gpr[RAX], 0xffffffff);
    s->gpr[RBX] = S_READONLY | 3;
    EXEC(box, "\x0f\x00\xe3"); /* VERR BX */
    ck_assert(s->rflags & FLAG_ZF);
    EXEC(box, "\x0f\x00\xeb"); /* VERW BX */
    ck_assert(!(s->rflags & FLAG_ZF));
    s->gpr[RBX] = S_EXECONLY | 3;
    EXEC(box, "\x0f\x00\xe3");
    ck_assert(!(s->rflags & FLAG_ZF));
}
END_TEST

START_TEST(arpl_adjusts)
{
    start_protected(box, 3);
    s->gpr[RAX] = 0xabcd0020;
    s->gpr[RCX] = 3;
    EXEC(box, "\x63\xc8"); /* ARPL AX, CX */
    ck_assert_uint_eq(s->gpr[RAX], 0xabcd0023);
    ck_assert(s->rflags & FLAG_ZF);
    EXEC(box, "\x63\xc8");
    ck_assert(!(s->rflags & FLAG_ZF));
}
END_TEST

START_TEST(lldt_and_ltr)
{
    start_protected(box, 0);
    s->gpr[RAX] = S_LDT;
    EXEC(box, "\x0f\x00\xd0");
    ck_assert_uint_eq(s->ldtr.base, AT_LDT);
    ck_assert_uint_eq(s->ldtr.limit, 0xff);
    box_put(box, AT_LDT + 0x10, segment_descriptor(0x5000, 0xfff, 0x0093), 8);
    s->gpr[RAX] = 0x14;
    EXEC(box, "\x8e\xd8");
    ck_assert_uint_eq(s->seg[DS].base, 0x5000);
    s->gpr[RAX] = S_TSS; /* busy */
    EXEC(box, "\x0f\x00\xd8");
    expect_fault(box, EX_GP, S_TSS);
    start_protected(box, 0);
    s->gpr[RAX] = S_TSS1;
    EXEC(box, "\x0f\x00\xd8");
    ck_assert_uint_eq(s->tr.base, AT_TSS1);
    ck_assert_uint_eq(box_get(box, AT_GDT + S_TSS1 + 5, 1), 0x8b);
}
END_TEST

START_TEST(pop_ss_and_lss)
{
    start_protected(box, 0);
    box_put(box, AT_CODE + 0x100, STACK1, 4);
    box_put(box, AT_CODE + 0x104, S_DATA0, 2);
    EXEC(box, "\x0f\xb2\x25\x00\x01\x01\x00"); /* LSS ESP, [10100] */
    ck_assert_uint_eq(s->gpr[RSP], STACK1);
    ck_assert_uint_eq(s->shadow, 0);
    box_put(box, STACK1, S_DATA0, 4);
    EXEC(box, "\x17");
    ck_assert_uint_eq(s->gpr[RSP], STACK1 + 4);
    ck_assert_uint_eq(s->shadow, 2);
    box_put(box, STACK1 + 4, S_CODE0, 4);
    EXEC(box, "\x17");
    expect_fault(box, EX_GP, S_CODE0);
    ck_assert_uint_eq(s->gpr[RSP], STACK1 + 4 - 16);
}
END_TEST

/* --- Far transfers ------------------------------------------------------------------------------- */

START_TEST(far_jump_checks)
{
    start_protected(box, 3);
    EXEC(box, "\xea\x00\x40\x01\x00\x1b\x00"); /* JMP 1b:14000 */
    ck_assert_uint_eq(s->rip, AT_CODE1);
    ck_assert_uint_eq(s->seg[CS].selector, S_CODE3);
    EXEC(box, "\xea\x00\x40\x01\x00\x48\x00"); /* conforming */
    ck_assert_uint_eq(s->seg[CS].selector, S_CONFORMING | 3);
    ck_assert_uint_eq(s->cpl, 3);
    EXEC(box, "\xea\x00\x40\x01\x00\x08\x00");
    expect_fault(box, EX_GP, S_CODE0);
    start_protected(box, 0);
    EXEC(box, "\xea\x00\x40\x01\x00\x00\x00");
    expect_fault(box, EX_GP, 0);
    start_protected(box, 0);
    box_put(box, AT_GDT + S_EXECONLY, segment_descriptor(0, 0xffff, 0x4099), 8);
    EXEC(box, "\xea\x00\x00\x01\x00\x90\x00");
    expect_fault(box, EX_GP, 0); /* beyond the limit */
}
END_TEST

START_TEST(call_gate_copies_parameters)
{
    start_protected(box, 3);
    put_call_gate(box, 12, 3, S_CODE0, 2);
    box_put(box, STACK3, 0x11111111, 4);
    box_put(box, STACK3 + 4, 0x22222222, 4);
    EXEC(box, "\x9a\x00\x00\x00\x00\x58\x00");
    ck_assert_uint_eq(s->rip, AT_CODE1);
    ck_assert_uint_eq(s->cpl, 0);
    ck_assert_uint_eq(s->gpr[RSP], STACK0 - 24);
    ck_assert_uint_eq(stacked(box, 0, 4), AT_CODE + 7);
    ck_assert_uint_eq(stacked(box, 1, 4), S_CODE3);
    ck_assert_uint_eq(stacked(box, 2, 4), 0x11111111);
    ck_assert_uint_eq(stacked(box, 3, 4), 0x22222222);
    ck_assert_uint_eq(stacked(box, 4, 4), STACK3);
    ck_assert_uint_eq(stacked(box, 5, 4), S_DATA3);

    /* And back: RETF 8 releases both copies, and data segments of ring 0 do not survive. */
    s->gpr[RAX] = S_DATA0;
    EXEC(box, "\x8e\xc0");
    EXEC(box, "\xca\x08\x00");
    ck_assert_uint_eq(s->rip, AT_CODE + 7);
    ck_assert_uint_eq(s->cpl, 3);
    ck_assert_uint_eq(s->gpr[RSP], STACK3 + 8);
    ck_assert_uint_eq(s->seg[SS].selector, S_DATA3);
    ck_assert_uint_eq(s->seg[ES].selector, 0);
    ck_assert(s->seg[ES].attr & SEG_UNUSABLE);
    ck_assert_uint_eq(s->seg[DS].selector, S_DATA3);
}
END_TEST

START_TEST(call_gate_checks)
{
    start_protected(box, 3);
    put_call_gate(box, 12, 0, S_CODE0, 0);
    EXEC(box, "\x9a\x00\x00\x00\x00\x58\x00");
    expect_fault(box, EX_GP, S_GATE);
    start_protected(box, 3);
    put_call_gate(box, 12, 3, S_DATA0, 0);
    EXEC(box, "\x9a\x00\x00\x00\x00\x58\x00");
    expect_fault(box, EX_GP, S_DATA0);
    start_protected(box, 3);
    put_call_gate(box, 12, 3, S_CODE0, 0);
    EXEC(box, "\xea\x00\x00\x00\x00\x58\x00"); /* JMP can't change ring */
    expect_fault(box, EX_GP, S_CODE0);
    start_protected(box, 3);
    put_call_gate(box, 12, 3, S_CONFORMING, 0);
    EXEC(box, "\x9a\x00\x00\x00\x00\x58\x00");
    ck_assert_uint_eq(s->cpl, 3);
    ck_assert_uint_eq(s->gpr[RSP], STACK3 - 8);
    ck_assert_uint_eq(s->rip, AT_CODE1);
}
END_TEST

START_TEST(retf_checks)
{
    start_protected(box, 3);
    box_put(box, STACK3, AT_CODE1, 4);
    box_put(box, STACK3 + 4, S_CODE0, 4); /* inwards */
    EXEC(box, "\xcb");
    expect_fault(box, EX_GP, S_CODE0);
    start_protected(box, 0);
    box_put(box, STACK0 - 0x800, AT_CODE1, 4);
    box_put(box, STACK0 - 0x800 + 4, S_CODE3, 4);
    box_put(box, STACK0 - 0x800 + 8, STACK3, 4);
    box_put(box, STACK0 - 0x800 + 12, S_DATA0, 4); /* stack of the wrong ring */
    EXEC(box, "\xcb");
    expect_fault(box, EX_GP, S_DATA0);
    ck_assert_uint_eq(s->gpr[RSP], STACK0 - 0x800 - 16);
}
END_TEST

START_TEST(iret_restores_what_the_ring_may)
{
    start_protected(box, 3);
    box_put(box, STACK3, AT_CODE1, 4);
    box_put(box, STACK3 + 4, S_CODE3, 4);
    box_put(box, STACK3 + 8, FLAG_1 | FLAG_IF | FLAG_IOPL | FLAG_ID | FLAG_ZF | FLAG_VIP, 4);
    EXEC(box, "\xcf");
    ck_assert_uint_eq(s->rip, AT_CODE1);
    ck_assert_uint_eq(s->gpr[RSP], STACK3 + 12);
    ck_assert_uint_eq(s->rflags, FLAG_1 | FLAG_ID | FLAG_ZF);
}
END_TEST

/* A 16-bit stack takes SP alone: the upper half of ESP is the inner ring's. */
START_TEST(iret_to_16_bit_stack)
{
    uint32_t sp = STACK0 - 0x800;

    start_protected(box, 0);
    box_put(box, sp, AT_CODE1, 4);
    box_put(box, sp + 4, S_CODE3, 4);
    box_put(box, sp + 8, FLAG_1, 4);
    box_put(box, sp + 12, 0x12341000, 4);
    box_put(box, sp + 16, S_DATA3_16, 4);
    EXEC(box, "\xcf");
    ck_assert_uint_eq(s->cpl, 3);
    ck_assert_uint_eq(s->gpr[RSP], (sp & 0xffff0000) | 0x1000);
    EXEC(box, "\x50"); /* PUSH EAX */
    ck_assert_uint_eq(s->gpr[RSP], (sp & 0xffff0000) | 0x0ffc);
}
END_TEST

START_TEST(cli_sti_rules)
{
    start_protected(box, 3);
    EXEC(box, "\xfa");
    expect_fault(box, EX_GP, 0);
    start_protected(box, 3);
    s->rflags |= FLAG_IOPL | FLAG_IF;
    EXEC(box, "\xfa");
    ck_assert(!(s->rflags & FLAG_IF));
    start_protected(box, 3);
    s->cr4 |= CR4_PVI;
    EXEC(box, "\xfb");
    ck_assert(s->rflags & FLAG_VIF);
    ck_assert(!(s->rflags & FLAG_IF));
    EXEC(box, "\xfa");
    ck_assert(!(s->rflags & FLAG_VIF));
    s->rflags |= FLAG_VIP;
    EXEC(box, "\xfb");
    expect_fault(box, EX_GP, 0);
}
END_TEST

START_TEST(popf_by_ring)
{
    start_protected(box, 3);
    box_put(box, STACK3, 0xffffffff, 4);
    EXEC(box, "\x9d");
    ck_assert_uint_eq(s->rflags, FLAG_1 | FLAGS_ARITH | FLAG_TF | FLAG_DF | FLAG_NT | FLAG_AC | FLAG_ID);
    start_protected(box, 0);
    box_put(box, STACK0 - 0x800, 0xffffffff & ~FLAG_TF, 4);
    EXEC(box, "\x9d");
    ck_assert_uint_eq(s->rflags,
                      FLAG_1 | FLAGS_ARITH | FLAG_IF | FLAG_DF | FLAG_IOPL | FLAG_NT | FLAG_AC | FLAG_ID);
}
END_TEST

START_TEST(hlt_needs_ring_0)
{
    start_protected(box, 3);
    EXEC(box, "\xf4");
    expect_fault(box, EX_GP, 0);
    EXEC(box, "\xf4");
    ck_assert_uint_eq(s->activity, CPU_HALTED);
    ck_assert_uint_eq(s->rip, handler(EX_GP) + 1);
    cpu_nmi(box->cpu);
    step(box);
    expect_fault0(box, EX_NMI);
    ck_assert_uint_eq(s->activity, CPU_RUNNING);
}
END_TEST

/* --- Real mode ----------------------------------------------------------------------------------- */

START_TEST(real_mode_interrupt)
{
    start_real(box);
    s->rflags |= FLAG_IF | FLAG_TF;
    s->rflags &= ~FLAG_TF;
    cpu_push(box->cpu);
    EXEC(box, "\xcd\x21");
    expect_fault0(box, 0x21);
    ck_assert_uint_eq(s->seg[CS].selector, 0x1800);
    ck_assert_uint_eq(s->gpr[RSP], 0x1000 - 6);
    ck_assert_uint_eq(stacked(box, 0, 2), 2);
    ck_assert_uint_eq(stacked(box, 1, 2), 0x1000);
    ck_assert_uint_eq(stacked(box, 2, 2), FLAG_1 | FLAG_IF);
    ck_assert(!(s->rflags & FLAG_IF));
    EXEC(box, "\xcf");
    ck_assert_uint_eq(s->rip, 2);
    ck_assert_uint_eq(s->seg[CS].base, 0x10000);
    ck_assert(s->rflags & FLAG_IF);
}
END_TEST

START_TEST(real_mode_has_no_error_codes)
{
    start_real(box);
    s->gpr[RBX] = 0xffff;
    EXEC(box, "\x8b\x07"); /* MOV AX, [BX]: crosses the limit */
    expect_fault0(box, EX_GP);
    ck_assert_uint_eq(stacked(box, 0, 2), 0);
    ck_assert_uint_eq(s->gpr[RSP], 0x1000 - 6);
}
END_TEST

START_TEST(real_mode_limits_can_be_large)
{
    start_real(box);
    s->seg[DS].limit = UINT32_MAX; /* as protected mode left it */
    s->seg[DS].attr = 0xc093;
    s->gpr[RAX] = 0x2000;
    EXEC(box, "\x8e\xd8");
    ck_assert_uint_eq(s->seg[DS].base, 0x20000);
    box_put(box, 0x50000, 0x5a, 1);
    EXEC(box, "\x67\xa0\x00\x00\x03\x00"); /* MOV AL, [30000] */
    ck_assert_uint_eq(s->gpr[RAX] & 0xff, 0x5a);
}
END_TEST

START_TEST(real_mode_writes_through_cs)
{
    start_real(box);
    EXEC(box, "\x2e\xa2\x00\x02"); /* MOV CS:[200], AL */
    ck_assert_uint_eq(s->rip, 4);
    s->seg[CS].attr = 0x9b;
    EXEC(box, "\x2e\xa2\x00\x02");
    ck_assert_uint_eq(s->rip, 8);
}
END_TEST

START_TEST(real_mode_far_call)
{
    start_real(box);
    EXEC(box, "\x9a\x00\x40\x00\x10");
    ck_assert_uint_eq(s->rip, 0x4000);
    ck_assert_uint_eq(stacked(box, 0, 2), 5);
    ck_assert_uint_eq(stacked(box, 1, 2), 0x1000);
    EXEC(box, "\xcb");
    ck_assert_uint_eq(s->rip, 5);
    ck_assert_uint_eq(s->gpr[RSP], 0x1000);
}
END_TEST

START_TEST(protected_instructions_need_protected_mode)
{
    start_real(box);
    EXEC(box, "\x0f\x00\xd0"); /* LLDT AX */
    expect_fault0(box, EX_UD);
    start_real(box);
    EXEC(box, "\x0f\x02\xc3");
    expect_fault0(box, EX_UD);
    start_real(box);
    EXEC(box, "\x63\xc8");
    expect_fault0(box, EX_UD);
}
END_TEST

/* --- Suite --------------------------------------------------------------------------------------- */

Suite *protection_suite(void)
{
    Suite *suite = suite_create("protection");

    {
        const TTest *const tests[] = {interrupt_to_inner_ring,
                                      trap_gate_leaves_interrupts_on,
                                      gate_16_pushes_words,
                                      int_n_checks_gate_dpl,
                                      int1_ignores_gate_dpl,
                                      int1_takes_held_back_traps_along,
                                      instruction_breakpoint_replaces_the_last_one,
                                      int3_and_into,
                                      faults_set_rf_in_image,
                                      vector_beyond_idt,
                                      absent_gate,
                                      handler_segment_checks,
                                      conforming_handler_keeps_ring,
                                      bad_inner_stack,
                                      double_fault,
                                      triple_fault,
                                      benign_then_contributory,
                                      nmi_is_blocked_until_iret,
                                      sti_and_mov_ss_shadow};
        box_cases(suite, "interrupts", setup, teardown, tests, sizeof(tests) / sizeof(tests[0]));
    }
    {
        const TTest *const tests[] = {
            absent_stack_segment, loading_sets_accessed, expand_down_limit, null_and_readonly_segments_fault,
            lar_lsl_verr_verw,    arpl_adjusts,          lldt_and_ltr,      pop_ss_and_lss};
        box_cases(suite, "segments", setup, teardown, tests, sizeof(tests) / sizeof(tests[0]));
    }
    {
        const TTest *const tests[] = {far_jump_checks,
                                      call_gate_copies_parameters,
                                      call_gate_checks,
                                      retf_checks,
                                      iret_restores_what_the_ring_may,
                                      iret_to_16_bit_stack,
                                      cli_sti_rules,
                                      popf_by_ring,
                                      hlt_needs_ring_0};
        box_cases(suite, "far", setup, teardown, tests, sizeof(tests) / sizeof(tests[0]));
    }
    {
        const TTest *const tests[] = {real_mode_interrupt,
                                      real_mode_has_no_error_codes,
                                      real_mode_limits_can_be_large,
                                      real_mode_writes_through_cs,
                                      real_mode_far_call,
                                      protected_instructions_need_protected_mode};
        box_cases(suite, "real", setup, teardown, tests, sizeof(tests) / sizeof(tests[0]));
    }
    TCase *loads_case = tcase_create("loads");
    tcase_add_checked_fixture(loads_case, setup, teardown);
    tcase_add_loop_test(loads_case, segment_loads, 0, sizeof(loads) / sizeof(loads[0]));
    suite_add_tcase(suite, loads_case);
    return suite;
}
