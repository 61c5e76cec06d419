/*
 * test_long_mode.c - exceptions, interrupts, far transfers, SYSCALL and segments in long mode.
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

START_TEST(long_mode_exception)
{
    start_long(box, 3);
    s->gpr[RSP] = STACK3 - 3;
    s->gpr[RAX] = 0x800;
    EXEC(box, "\x8e\xd8");
    expect_fault(box, EX_GP, 0x800);
    ck_assert_uint_eq(s->gpr[RSP], STACK0 - 48 - STACK0 % 16);
    ck_assert_uint_eq(s->cpl, 0);
    ck_assert_uint_eq(s->seg[SS].selector, 0);
    ck_assert_uint_eq(stacked(box, 1, 8), AT_CODE);
    ck_assert_uint_eq(stacked(box, 2, 8), S_CODE3_64);
    ck_assert_uint_eq(stacked(box, 3, 8), FLAG_1 | FLAG_RF);
    ck_assert_uint_eq(stacked(box, 4, 8), STACK3 - 3);
    ck_assert_uint_eq(stacked(box, 5, 8), S_DATA3);
    s->gpr[RSP] += 8;
    cpu_push(box->cpu);
    EXEC(box, "\x48\xcf");
    ck_assert_uint_eq(s->rip, AT_CODE);
    ck_assert_uint_eq(s->cpl, 3);
    ck_assert_uint_eq(s->gpr[RSP], STACK3 - 3);
    ck_assert_uint_eq(s->seg[SS].attr, 0xc0f3);
}
END_TEST

START_TEST(long_mode_same_ring_aligns_stack)
{
    start_long(box, 0);
    s->gpr[RSP] = STACK1 - 5;
    EXEC(box, "\x0f\x0b");
    expect_fault0(box, EX_UD);
    ck_assert_uint_eq(s->gpr[RSP], ((STACK1 - 5) & ~15) - 40);
    ck_assert_uint_eq(stacked(box, 3, 8), STACK1 - 5);
    ck_assert_uint_eq(stacked(box, 4, 8), S_DATA0);
    ck_assert_uint_eq(s->seg[SS].selector, S_DATA0);
}
END_TEST

START_TEST(long_mode_ist)
{
    start_long(box, 0);
    set_gate(box, EX_UD, 14, 0, S_CODE0_64, 1);
    EXEC(box, "\x0f\x0b");
    expect_fault0(box, EX_UD);
    ck_assert_uint_eq(s->gpr[RSP], STACK_IST - 40 - STACK_IST % 16);
    ck_assert_uint_eq(s->seg[SS].selector, S_DATA0);
}
END_TEST

START_TEST(long_mode_gate_checks)
{
    start_long(box, 0);
    set_gate(box, EX_UD, 14, 0, S_CODE0, 0); /* 32-bit code */
    EXEC(box, "\x0f\x0b");
    expect_fault(box, EX_GP, S_CODE0 | 1);
    start_long(box, 0);
    set_gate(box, EX_UD, 6, 0, S_CODE0_64, 0); /* no such gates in long mode */
    EXEC(box, "\x0f\x0b");
    expect_fault(box, EX_GP, GATE_ERROR(EX_UD) | 1);
    start_long(box, 0);
    box_put(box, AT_IDT + EX_UD * 16 + 8, 0x8000, 8); /* non-canonical handler */
    EXEC(box, "\x0f\x0b");
    expect_fault(box, EX_GP, 1);
}
END_TEST

START_TEST(non_canonical_stack_is_ss)
{
    start_long(box, 0);
    set_gate(box, EX_SS, 14, 0, S_CODE0_64, 1);
    s->gpr[RSP] = 0x800000001000ull;
    EXEC(box, "\x50");
    expect_fault(box, EX_SS, 0);
    start_long(box, 0);
    set_gate(box, EX_DF, 14, 0, S_CODE0_64, 1);
    set_gate(box, EX_GP, 14, 0, S_CODE0_64, 0);
    s->gpr[RSP] = 0x800000001000ull;
    s->gpr[RAX] = 0x800;
    EXEC(box, "\x8e\xd8"); /* #GP, then #SS while it is delivered */
    expect_fault(box, EX_DF, 0);
}
END_TEST

START_TEST(syscall_and_sysret)
{
    start_long(box, 3);
    s->star = (uint64_t)(S_CODE0 - 0) << 32 | (uint64_t)S_CODE3 << 48;
    s->lstar = AT_CODE1;
    s->sfmask = FLAG_IF | FLAG_DF;
    s->rflags |= FLAG_IF | FLAG_DF | FLAG_ZF;
    cpu_push(box->cpu);
    EXEC(box, "\x0f\x05");
    ck_assert_uint_eq(s->rip, AT_CODE1);
    ck_assert_uint_eq(s->gpr[RCX], AT_CODE + 2);
    ck_assert_uint_eq(s->gpr[R11], FLAG_1 | FLAG_IF | FLAG_DF | FLAG_ZF);
    ck_assert_uint_eq(s->rflags, FLAG_1 | FLAG_ZF);
    ck_assert_uint_eq(s->cpl, 0);
    ck_assert_uint_eq(s->seg[CS].selector, S_CODE0);
    ck_assert_uint_eq(s->seg[CS].attr, 0xa09b);
    ck_assert_uint_eq(s->seg[SS].selector, S_DATA0);
    ck_assert_uint_eq(s->seg[SS].attr, 0xc093);
    EXEC(box, "\x48\x0f\x07");
    ck_assert_uint_eq(s->rip, AT_CODE + 2);
    ck_assert_uint_eq(s->cpl, 3);
    ck_assert_uint_eq(s->seg[CS].selector, S_CODE3 + 16);
    ck_assert_uint_eq(s->seg[SS].selector, S_CODE3 + 8);
    ck_assert_uint_eq(s->rflags, FLAG_1 | FLAG_IF | FLAG_DF | FLAG_ZF);
    EXEC(box, "\x48\x0f\x07");
    expect_fault(box, EX_GP, 0);
}
END_TEST

/* TF traps after SYSCALL and SYSRET if it is set by them, not if it was set before. */
START_TEST(syscall_traps_by_its_new_flags)
{
    start_long(box, 3);
    s->star = (uint64_t)S_CODE0 << 32 | (uint64_t)S_CODE3 << 48;
    s->lstar = AT_CODE1;
    s->sfmask = FLAG_TF;
    s->rflags |= FLAG_TF;
    cpu_push(box->cpu);
    EXEC(box, "\x0f\x05");
    ck_assert_uint_eq(s->rip, AT_CODE1);
    ck_assert_uint_eq(s->pending_debug, 0);
    EXEC(box, "\x48\x0f\x07");
    ck_assert_uint_eq(s->rip, AT_CODE + 2);
    ck_assert_uint_eq(s->pending_debug, DR6_BS);
    step(box);
    expect_fault0(box, EX_DB);
    ck_assert_uint_eq(stacked(box, 0, 8), AT_CODE + 2);
    ck_assert(s->dr[6] & DR6_BS);
    start_long(box, 3);
    s->sfmask = 0;
    s->rflags |= FLAG_TF;
    cpu_push(box->cpu);
    EXEC(box, "\x0f\x05");
    ck_assert_uint_eq(s->rip, AT_CODE1);
    ck_assert_uint_eq(s->pending_debug, DR6_BS);
}
END_TEST

START_TEST(outer_ring_keeps_bases_of_lost_segments)
{
    uint32_t sp = STACK0 - 0x800;

    start_long(box, 0);
    s->seg[GS] = s->seg[SS];
    s->seg[GS].selector = S_DATA0;
    s->seg[GS].base = 0x123456789000;
    box_put(box, sp, AT_CODE1, 8);
    box_put(box, sp + 8, S_CODE3_64, 8);
    box_put(box, sp + 16, FLAG_1, 8);
    box_put(box, sp + 24, STACK3, 8);
    box_put(box, sp + 32, S_DATA3, 8);
    cpu_push(box->cpu);
    EXEC(box, "\x48\xcf");
    ck_assert_uint_eq(s->rip, AT_CODE1);
    ck_assert_uint_eq(s->cpl, 3);
    ck_assert_uint_eq(s->seg[GS].selector, 0);
    ck_assert(s->seg[GS].attr & SEG_UNUSABLE);
    ck_assert_uint_eq(s->seg[GS].base, 0x123456789000);
}
END_TEST

START_TEST(syscall_needs_sce)
{
    start_long(box, 3);
    s->efer &= ~EFER_SCE;
    EXEC(box, "\x0f\x05");
    expect_fault0(box, EX_UD);
}
END_TEST

START_TEST(sysenter_is_legacy_only)
{
    start_long(box, 0);
    s->sysenter_cs = S_CODE0;
    EXEC(box, "\x0f\x34");
    expect_fault0(box, EX_UD);
    start_protected(box, 3);
    s->efer = 0;
    s->sysenter_cs = S_CODE0;
    s->sysenter_eip = AT_CODE1;
    s->sysenter_esp = STACK1;
    EXEC(box, "\x0f\x34");
    ck_assert_uint_eq(s->rip, AT_CODE1);
    ck_assert_uint_eq(s->gpr[RSP], STACK1);
    ck_assert_uint_eq(s->cpl, 0);
    s->gpr[RDX] = AT_CODE;
    s->gpr[RCX] = STACK3;
    EXEC(box, "\x0f\x35");
    ck_assert_uint_eq(s->rip, AT_CODE);
    ck_assert_uint_eq(s->seg[CS].selector, S_CODE0 + 16 + 3);
    ck_assert_uint_eq(s->seg[SS].selector, S_CODE0 + 24 + 3);
    ck_assert_uint_eq(s->cpl, 3);
}
END_TEST

START_TEST(iretq_null_stack_segment)
{
    uint32_t sp = STACK0 - 0x800;

    start_long(box, 0);
    box_put(box, sp, AT_CODE1, 8);
    box_put(box, sp + 8, S_CODE0_64, 8);
    box_put(box, sp + 16, FLAG_1, 8);
    box_put(box, sp + 24, STACK1, 8);
    box_put(box, sp + 32, 0, 8);
    EXEC(box, "\x48\xcf");
    ck_assert_uint_eq(s->rip, AT_CODE1);
    ck_assert_uint_eq(s->gpr[RSP], STACK1);
    ck_assert_uint_eq(s->seg[SS].selector, 0);
    start_long(box, 0);
    box_put(box, sp + 8, S_CODE3_64, 8);
    EXEC(box, "\x48\xcf");
    expect_fault(box, EX_GP, 0);
    start_long(box, 0);
    box_put(box, sp, 0x800000000000ull, 8);
    box_put(box, sp + 32, S_DATA3, 8);
    EXEC(box, "\x48\xcf");
    expect_fault(box, EX_GP, 0);
    ck_assert_uint_eq(s->gpr[RSP], sp - 48);
}
END_TEST

START_TEST(iret_with_nt_faults_in_long_mode)
{
    start_long(box, 0);
    s->rflags |= FLAG_NT;
    cpu_push(box->cpu);
    EXEC(box, "\x48\xcf");
    expect_fault(box, EX_GP, 0);
}
END_TEST

START_TEST(iret_to_compatibility_mode)
{
    uint32_t sp = STACK0 - 0x800;

    start_long(box, 0);
    box_put(box, sp, AT_CODE1, 8);
    box_put(box, sp + 8, S_CODE3, 8);
    box_put(box, sp + 16, FLAG_1, 8);
    box_put(box, sp + 24, STACK3, 8);
    box_put(box, sp + 32, S_DATA3, 8);
    EXEC(box, "\x48\xcf");
    ck_assert_uint_eq(cpu_code_bits(s), 32);
    EXEC(box, "\xcd\x30"); /* DPL 0 gate */
    expect_fault(box, EX_GP, GATE_ERROR(0x30));
    ck_assert_uint_eq(cpu_code_bits(s), 64);
    ck_assert_uint_eq(stacked(box, 2, 8), S_CODE3);
}
END_TEST

START_TEST(long_mode_call_gate)
{
    start_long(box, 3);
    put_call_gate(box, 12, 3, S_CODE0_64, 0);
    box_put(box, AT_CODE + 0x100, 0, 4);
    box_put(box, AT_CODE + 0x104, S_GATE, 2);
    EXEC(box, "\xff\x1c\x25\x00\x01\x01\x00"); /* CALL far [10100] */
    ck_assert_uint_eq(s->rip, AT_CODE1);
    ck_assert_uint_eq(s->cpl, 0);
    ck_assert_uint_eq(s->seg[SS].selector, 0);
    ck_assert_uint_eq(s->gpr[RSP], STACK0 - 32);
    ck_assert_uint_eq(stacked(box, 0, 8), AT_CODE + 7);
    ck_assert_uint_eq(stacked(box, 3, 8), S_DATA3);
    EXEC(box, "\x48\xcb");
    ck_assert_uint_eq(s->rip, AT_CODE + 7);
    ck_assert_uint_eq(s->gpr[RSP], STACK3);
}
END_TEST

START_TEST(long_mode_system_descriptors)
{
    start_long(box, 0);
    box_put(box, AT_GDT + S_LDT + 8, 0xffff8000, 8);
    s->gpr[RAX] = S_LDT;
    EXEC(box, "\x0f\x00\xd0");
    ck_assert_uint_eq(s->ldtr.base, 0xffff800000000000ull + AT_LDT);
    box_put(box, AT_GDT + S_LDT + 8, 0x8000, 8);
    EXEC(box, "\x0f\x00\xd0");
    expect_fault(box, EX_GP, S_LDT); /* non-canonical */
    start_long(box, 0);
    box_put(box, AT_GDT + S_LDT + 8, 0x100ull << 32, 8);
    s->gpr[RAX] = S_LDT;
    EXEC(box, "\x0f\x00\xd0");
    expect_fault(box, EX_GP, S_LDT); /* a type in the upper half */
}
END_TEST

START_TEST(swapgs_and_null_gs)
{
    start_long(box, 0);
    s->seg[GS].base = 0x1111;
    s->kernel_gs_base = 0x2222;
    EXEC(box, "\x0f\x01\xf8");
    ck_assert_uint_eq(s->seg[GS].base, 0x2222);
    ck_assert_uint_eq(s->kernel_gs_base, 0x1111);
    s->gpr[RAX] = 0;
    EXEC(box, "\x8e\xe8");
    ck_assert_uint_eq(s->seg[GS].base, 0);
    start_long(box, 3);
    EXEC(box, "\x0f\x01\xf8");
    expect_fault(box, EX_GP, 0);
}
END_TEST

START_TEST(null_ss_in_64_bit_mode)
{
    start_long(box, 0);
    s->gpr[RAX] = 0;
    EXEC(box, "\x8e\xd0");
    ck_assert_uint_eq(s->rip, AT_CODE + 2);
    s->gpr[RAX] = 1;
    EXEC(box, "\x8e\xd0");
    expect_fault(box, EX_GP, 0);
    start_long(box, 3);
    s->gpr[RAX] = 3;
    EXEC(box, "\x8e\xd0");
    expect_fault(box, EX_GP, 0);
}
END_TEST

/* A page fault while a page fault is delivered is a double fault, with CR2 of the second (SDM 3A table 6-5).
 */
START_TEST(page_faults_double)
{
    start_long(box, 0);
    set_gate(box, EX_DF, 14, 0, S_CODE0_64, 1);
    s->gpr[RSP] = 0x80000000;
    s->gpr[RBX] = 0x70000000;
    EXEC(box, "\x8b\x03");
    expect_fault(box, EX_DF, 0);
    ck_assert_uint_eq(s->cr2, 0x80000000 - 8);
    ck_assert_uint_eq(stacked(box, 4, 8), 0x80000000);
}
END_TEST

START_TEST(alignment_check)
{
    start_long(box, 3);
    s->cr0 |= CR0_AM;
    s->rflags |= FLAG_AC;
    cpu_push(box->cpu);
    s->gpr[RBX] = STACK1 + 2;
    EXEC(box, "\x8b\x03");
    expect_fault(box, EX_AC, 0);
    ck_assert(s->rflags & FLAG_AC);
    EXEC(box, "\x8b\x03"); /* not in ring 0 */
    ck_assert_uint_eq(s->rip, handler(EX_AC) + 2);
}
END_TEST

/* --- Suite --------------------------------------------------------------------------------------- */

Suite *long_mode_suite(void)
{
    Suite *suite = suite_create("long_mode");

    {
        const TTest *const tests[] = {long_mode_exception,
                                      long_mode_same_ring_aligns_stack,
                                      long_mode_ist,
                                      long_mode_gate_checks,
                                      non_canonical_stack_is_ss,
                                      syscall_and_sysret,
                                      syscall_traps_by_its_new_flags,
                                      outer_ring_keeps_bases_of_lost_segments,
                                      syscall_needs_sce,
                                      sysenter_is_legacy_only,
                                      iretq_null_stack_segment,
                                      iret_with_nt_faults_in_long_mode,
                                      iret_to_compatibility_mode,
                                      long_mode_call_gate,
                                      long_mode_system_descriptors,
                                      swapgs_and_null_gs,
                                      null_ss_in_64_bit_mode,
                                      page_faults_double,
                                      alignment_check};
        box_cases(suite, "long_mode", setup, teardown, tests, sizeof(tests) / sizeof(tests[0]));
    }
    return suite;
}
