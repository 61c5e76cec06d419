/*
 * test_task.c - hardware task switches, the I/O permission map, and virtual-8086 mode.
 */
#include <check.h>

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

/* --- Task switches ------------------------------------------------------------------------------- */

/* The second task: ring 3 at AT_CODE1 with its own registers. */
static void put_task(uint32_t rflags)
{
    box_put(box, AT_TSS1 + 4, STACK1, 4);
    box_put(box, AT_TSS1 + 8, S_DATA0, 4);
    box_put(box, AT_TSS1 + 0x20, AT_CODE1, 4);
    box_put(box, AT_TSS1 + 0x24, rflags, 4);
    for (unsigned n = 0; n < 8; n++)
        box_put(box, AT_TSS1 + 0x28 + 4 * n, n == RSP ? STACK3 - 0x100 : 0x1000 + n, 4);
    box_put(box, AT_TSS1 + 0x48, S_DATA3, 4);
    box_put(box, AT_TSS1 + 0x4c, S_CODE3, 4);
    box_put(box, AT_TSS1 + 0x50, S_DATA3, 4);
    box_put(box, AT_TSS1 + 0x54, S_DATA3, 4);
    box_put(box, AT_TSS1 + 0x58, 0, 4);
    box_put(box, AT_TSS1 + 0x5c, 0, 4);
    box_put(box, AT_TSS1 + 0x60, 0, 4);
    box_put(box, AT_TSS1 + 0x64, 0, 4);
}

static unsigned type_of(uint16_t selector)
{
    return (unsigned)box_get(box, AT_GDT + selector + 5, 1) & 15;
}

START_TEST(jump_to_task)
{
    start_protected(box, 0);
    put_task(FLAG_1 | FLAG_CF | FLAG_IF);
    s->gpr[RBX] = 0xb0b;
    s->rflags |= FLAG_ZF;
    s->dr[7] = 0x7ff;
    cpu_push(box->cpu);
    EXEC(box, "\xea\x00\x00\x00\x00\x50\x00");
    ck_assert_uint_eq(s->rip, AT_CODE1);
    ck_assert_uint_eq(s->cpl, 3);
    ck_assert_uint_eq(s->gpr[RBX], 0x1000 + RBX);
    ck_assert_uint_eq(s->gpr[RSP], STACK3 - 0x100);
    ck_assert_uint_eq(s->rflags, FLAG_1 | FLAG_CF | FLAG_IF);
    ck_assert_uint_eq(s->seg[CS].selector, S_CODE3);
    ck_assert_uint_eq(s->seg[DS].selector, S_DATA3);
    ck_assert(s->seg[GS].attr & SEG_UNUSABLE);
    ck_assert_uint_eq(s->tr.selector, S_TSS1);
    ck_assert_uint_eq(s->tr.base, AT_TSS1);
    ck_assert(s->cr0 & CR0_TS);
    ck_assert_uint_eq(s->dr[7], 0x7ff & ~0x155);
    ck_assert_uint_eq(type_of(S_TSS1), 11);
    ck_assert_uint_eq(type_of(S_TSS), 9);
    ck_assert_uint_eq(box_get(box, AT_TSS + 0x20, 4), AT_CODE + 7);
    ck_assert_uint_eq(box_get(box, AT_TSS + 0x24, 4), FLAG_1 | FLAG_ZF);
    ck_assert_uint_eq(box_get(box, AT_TSS + 0x28 + 4 * RBX, 4), 0xb0b);
    ck_assert_uint_eq(box_get(box, AT_TSS + 0x4c, 2), S_CODE0);
}
END_TEST

START_TEST(call_task_and_return)
{
    start_protected(box, 0);
    put_task(FLAG_1);
    EXEC(box, "\x9a\x00\x00\x00\x00\x98\x00"); /* through a task gate */
    ck_assert_uint_eq(s->rip, AT_CODE1);
    ck_assert(s->rflags & FLAG_NT);
    ck_assert_uint_eq(box_get(box, AT_TSS1, 2), S_TSS);
    ck_assert_uint_eq(type_of(S_TSS), 11);
    EXEC(box, "\xcf");
    ck_assert_uint_eq(s->rip, AT_CODE + 7);
    ck_assert_uint_eq(s->cpl, 0);
    ck_assert_uint_eq(s->tr.selector, S_TSS);
    ck_assert_uint_eq(type_of(S_TSS1), 9);
    ck_assert_uint_eq(type_of(S_TSS), 11);
    ck_assert_uint_eq(box_get(box, AT_TSS1 + 0x20, 4), AT_CODE1 + 1);
    ck_assert(!(box_get(box, AT_TSS1 + 0x24, 4) & FLAG_NT));
}
END_TEST

START_TEST(exception_through_task_gate)
{
    start_protected(box, 0);
    put_task(FLAG_1);
    box_put(box, AT_IDT + EX_GP * 8, (uint64_t)S_TSS1 << 16 | 0x85ull << 40, 8);
    s->gpr[RAX] = 0x800;
    EXEC(box, "\x8e\xd8");
    ck_assert_uint_eq(s->rip, AT_CODE1);
    ck_assert_uint_eq(s->gpr[RSP], STACK3 - 0x104);
    ck_assert_uint_eq(stacked(box, 0, 4), 0x800);
    ck_assert_uint_eq(box_get(box, AT_TSS + 0x20, 4), AT_CODE);
    ck_assert(box_get(box, AT_TSS + 0x24, 4) & FLAG_RF);
}
END_TEST

START_TEST(task_checks)
{
    start_protected(box, 0);
    EXEC(box, "\xea\x00\x00\x00\x00\x28\x00"); /* busy */
    expect_fault(box, EX_GP, S_TSS);
    start_protected(box, 0);
    box_put(box, AT_GDT + S_TSS1, segment_descriptor(AT_TSS1, 0x66, 0x0089), 8);
    EXEC(box, "\xea\x00\x00\x00\x00\x50\x00");
    expect_fault(box, EX_TS, S_TSS1);
    ck_assert_uint_eq(stacked(box, 1, 4), AT_CODE);
    start_protected(box, 0);
    box_put(box, AT_GDT + S_TSS1, segment_descriptor(AT_TSS1, 0x67, 0x0009), 8);
    EXEC(box, "\xea\x00\x00\x00\x00\x50\x00");
    expect_fault(box, EX_NP, S_TSS1);
    start_protected(box, 3);
    EXEC(box, "\xea\x00\x00\x00\x00\x50\x00");
    expect_fault(box, EX_GP, S_TSS1);
}
END_TEST

/* Bad segments are the new task's fault: its registers are in, and its first instruction is the one to blame.
 */
START_TEST(bad_segment_faults_in_new_task)
{
    start_protected(box, 0);
    put_task(FLAG_1);
    box_put(box, AT_TSS1 + 0x54, S_DATA0, 4);
    EXEC(box, "\xea\x00\x00\x00\x00\x50\x00");
    expect_fault(box, EX_TS, S_DATA0);
    ck_assert_uint_eq(s->tr.selector, S_TSS1);
    ck_assert_uint_eq(stacked(box, 1, 4), AT_CODE1);
    ck_assert_uint_eq(stacked(box, 2, 4), S_CODE3);
    ck_assert_uint_eq(s->gpr[RSP], STACK1 - 24);
}
END_TEST

START_TEST(task_16)
{
    start_protected(box, 0);
    box_put(box, AT_TSS1 + 0x0e, 0x4000, 2);
    box_put(box, AT_TSS1 + 0x10, FLAG_1 | FLAG_SF, 2);
    box_put(box, AT_TSS1 + 0x12 + 2 * RSP, 0x1000, 2);
    box_put(box, AT_TSS1 + 0x22, S_DATA0, 2);
    box_put(box, AT_TSS1 + 0x24, S_CODE0, 2);
    box_put(box, AT_TSS1 + 0x26, S_DATA0, 2);
    box_put(box, AT_TSS1 + 0x28, S_DATA0, 2);
    box_put(box, AT_TSS1 + 0x2a, 0, 2);
    EXEC(box, "\x9a\x00\x00\x00\x00\xa8\x00");
    ck_assert_uint_eq(s->rip, 0x4000);
    ck_assert_uint_eq(s->gpr[RSP] & 0xffff, 0x1000);
    ck_assert_uint_eq(s->rflags, FLAG_1 | FLAG_SF | FLAG_NT);
    ck_assert_uint_eq(type_of(S_TSS16), 3);
}
END_TEST

START_TEST(trap_bit_raises_debug)
{
    start_protected(box, 0);
    put_task(FLAG_1);
    box_put(box, AT_TSS1 + 0x64, 1, 2);
    EXEC(box, "\xea\x00\x00\x00\x00\x50\x00");
    step(box);
    expect_fault0(box, EX_DB);
    ck_assert(s->dr[6] & 1u << 15);
    ck_assert_uint_eq(stacked(box, 0, 4), AT_CODE1);
}
END_TEST

START_TEST(io_permission_map)
{
    start_protected(box, 3);
    box_put(box, AT_TSS + 0x68 + 0x80 / 8, 0x02, 1); /* port 81 is closed */
    EXEC(box, "\xe4\x80");
    ck_assert_uint_eq(s->rip, AT_CODE + 2);
    EXEC(box, "\xe4\x81");
    expect_fault(box, EX_GP, 0);
    start_protected(box, 3);
    EXEC(box, "\xe5\x80"); /* four ports, one of them closed */
    expect_fault(box, EX_GP, 0);
    start_protected(box, 3);
    s->tr.limit = 0x68 + 0x80 / 8; /* the second byte of the read lies outside */
    EXEC(box, "\xe4\x80");
    expect_fault(box, EX_GP, 0);
    start_protected(box, 3);
    s->rflags |= FLAG_IOPL;
    EXEC(box, "\xe4\x81");
    ck_assert_uint_eq(s->rip, AT_CODE + 2);
}
END_TEST

/* --- Virtual-8086 mode --------------------------------------------------------------------------- */

START_TEST(vm86_interrupt_to_ring_0)
{
    start_vm86(box, 3);
    set_gate(box, 0x21, 14, 3, S_CODE0, 0);
    EXEC(box, "\xcd\x21");
    expect_fault0(box, 0x21);
    ck_assert_uint_eq(s->cpl, 0);
    ck_assert(!(s->rflags & FLAG_VM));
    ck_assert_uint_eq(s->gpr[RSP], STACK0 - 36);
    ck_assert_uint_eq(stacked(box, 0, 4), 2);
    ck_assert_uint_eq(stacked(box, 1, 4), 0x1000);
    ck_assert_uint_eq(stacked(box, 2, 4), FLAG_1 | FLAG_VM | FLAG_IOPL);
    ck_assert_uint_eq(stacked(box, 3, 4), 0x1000);
    ck_assert_uint_eq(stacked(box, 4, 4), 0x3000);
    ck_assert_uint_eq(stacked(box, 5, 4), 0x4000 + ES);
    ck_assert_uint_eq(stacked(box, 6, 4), 0x4000 + DS);
    ck_assert_uint_eq(stacked(box, 7, 4), 0x4000 + FS);
    ck_assert_uint_eq(stacked(box, 8, 4), 0x4000 + GS);
    ck_assert(s->seg[DS].attr & SEG_UNUSABLE);
    ck_assert_uint_eq(s->seg[GS].selector, 0);

    EXEC(box, "\xcf");
    ck_assert(s->rflags & FLAG_VM);
    ck_assert_uint_eq(s->cpl, 3);
    ck_assert_uint_eq(s->rip, 2);
    ck_assert_uint_eq(s->gpr[RSP], 0x1000);
    ck_assert_uint_eq(s->seg[FS].base, (0x4000 + FS) << 4);
    ck_assert_uint_eq(s->seg[SS].limit, 0xffff);
}
END_TEST

START_TEST(vm86_is_iopl_sensitive)
{
    static const char *const codes[] = {"\xcd\x21", "\xfa\x90", "\xfb\x90",
                                        "\x9c\x90", "\x9d\x90", "\xcf\x90"};

    for (unsigned n = 0; n < sizeof(codes) / sizeof(codes[0]); n++) {
        start_vm86(box, 0);
        set_gate(box, 0x21, 14, 3, S_CODE0, 0);
        exec(box, codes[n], 2);
        expect_fault(box, EX_GP, 0);
        ck_assert_uint_eq(stacked(box, 1, 4), 0);
    }
    start_vm86(box, 0);
    set_gate(box, EX_BP, 14, 3, S_CODE0, 0);
    EXEC(box, "\xcc"); /* INT3 is not */
    expect_fault0(box, EX_BP);
}
END_TEST

START_TEST(vm86_handler_must_be_ring_0)
{
    start_vm86(box, 3);
    set_gate(box, 0x21, 14, 3, S_CONFORMING, 0);
    EXEC(box, "\xcd\x21");
    expect_fault(box, EX_GP, S_CONFORMING);
}
END_TEST

/* VME: the bitmap before the I/O map says which INT n stay in the 8086 program (SDM 3A 20.3.3). */
START_TEST(vme_redirects_interrupts)
{
    start_vm86(box, 0);
    s->cr4 = CR4_VME;
    s->rflags |= FLAG_VIF;
    cpu_push(box->cpu);
    box_put(box, AT_TSS + 0x66, 0x88, 2);
    box_put(box, AT_TSS + 0x68 + 0x22 / 8, 1u << (0x22 & 7), 1);
    box_put(box, 0x21 * 4, 0x14000010, 4);
    EXEC(box, "\xcd\x21");
    ck_assert_uint_eq(s->seg[CS].selector, 0x1400);
    ck_assert_uint_eq(s->rip, 0x10);
    ck_assert(s->rflags & FLAG_VM);
    ck_assert(!(s->rflags & FLAG_VIF));
    ck_assert_uint_eq(stacked(box, 2, 2), FLAG_1 | FLAG_IF | FLAG_IOPL);
    ck_assert_uint_eq(s->gpr[RSP], 0x1000 - 6);
    EXEC(box, "\xcf");
    ck_assert_uint_eq(s->rip, 2);
    ck_assert(s->rflags & FLAG_VIF);
    ck_assert(!(s->rflags & FLAG_IF));
    ck_assert(!(s->rflags & FLAG_IOPL));
    EXEC(box, "\xcd\x22");
    expect_fault(box, EX_GP, 0);
}
END_TEST

START_TEST(vme_flags)
{
    start_vm86(box, 0);
    s->cr4 = CR4_VME;
    s->rflags |= FLAG_IF;
    cpu_push(box->cpu);
    EXEC(box, "\xfb");
    ck_assert(s->rflags & FLAG_VIF);
    EXEC(box, "\x9c");
    ck_assert_uint_eq(stacked(box, 0, 2), FLAG_1 | FLAG_IF | FLAG_IOPL);
    EXEC(box, "\xfa");
    ck_assert(!(s->rflags & FLAG_VIF));
    ck_assert(s->rflags & FLAG_IF);
    EXEC(box, "\x9d");
    ck_assert(s->rflags & FLAG_VIF);
    s->rflags |= FLAG_VIP;
    s->gpr[RSP] -= 2;
    EXEC(box, "\x9d");
    expect_fault(box, EX_GP, 0);
}
END_TEST

Suite *task_suite(void)
{
    Suite *suite = suite_create("task");
    const TTest *const tasks[] = {jump_to_task,
                                  call_task_and_return,
                                  exception_through_task_gate,
                                  task_checks,
                                  bad_segment_faults_in_new_task,
                                  task_16,
                                  trap_bit_raises_debug,
                                  io_permission_map};
    const TTest *const vm86[] = {vm86_interrupt_to_ring_0, vm86_is_iopl_sensitive,
                                 vm86_handler_must_be_ring_0, vme_redirects_interrupts, vme_flags};

    box_cases(suite, "switches", setup, teardown, tasks, sizeof(tasks) / sizeof(tasks[0]));
    box_cases(suite, "vm86", setup, teardown, vm86, sizeof(vm86) / sizeof(vm86[0]));
    return suite;
}
