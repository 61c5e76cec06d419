/*
 * test_stop.c - what a debugger makes the CPU stop at, under the interpreter and the translator.
 */
#include "accel/engine.h"
#include "tests/unit/cpu_rig.h"

#define DATA  0x3000u
#define LOOPS 200u

static const int me, other;

#if defined(__x86_64__)
#define ENGINES 2
#else
#define ENGINES 1
#endif

/* Engine 0 interprets, 1 translates. */
static struct rig *new_rig(int engine)
{
    struct rig *r = rig_new(NULL, 0);
    char why[200];

    if (engine) {
        const struct engine *jit = engine_pick("jit", why, sizeof(why));

        ck_assert_msg(jit && jit->attach(r->cpu, NULL, why, sizeof(why)), "%s", why);
    }
    rig_long_mode(r);
    r->cpu->s.gpr[RBX] = DATA;
    r->cpu->s.gpr[RDX] = 0;
    return r;
}

static void add(struct rig *r, enum cpu_stop_kind kind, uint64_t address, uint64_t size)
{
    ck_assert(cpu_stop_add(r->cpu,
                           &(struct cpu_stop){.kind = kind, .address = address, .size = size, .owner = &me}));
}

static void drop(struct rig *r, enum cpu_stop_kind kind, uint64_t address, uint64_t size)
{
    ck_assert(cpu_stop_remove(
        r->cpu, &(struct cpu_stop){.kind = kind, .address = address, .size = size, .owner = &me}));
}

static void load(struct rig *r, const void *code, unsigned size)
{
    bus_write_block(r->memory, RIG_CODE, code, size);
    bus_write_block(r->memory, RIG_CODE + size, "\xeb\xfe", 2);
    r->cpu->s.rip = RIG_CODE;
}

/* The one stop that is hit next. */
static struct cpu_stopped next_stop(struct rig *r)
{
    struct cpu_stopped hit[2];

    ck_assert_int_eq(cpu_run(r->cpu, 1000000), CPU_EXIT_STOPPED);
    cpu_pull(r->cpu);
    ck_assert_uint_eq(cpu_stopped(r->cpu, hit, 2), 1);
    ck_assert_ptr_eq(hit[0].stop.owner, &me);
    return hit[0];
}

/* mov ecx, LOOPS; again: inc dword [rbx]; mov eax, [rbx + 8]; inc rdx; dec ecx; jnz again */
static const uint8_t loop_code[] = {0xb9, LOOPS & 0xff, LOOPS >> 8, 0,    0,    0xff, 0x03, 0x8b, 0x43,
                                    0x08, 0x48,         0xff,       0xc2, 0xff, 0xc9, 0x75, 0xf4};
#define AGAIN (RIG_CODE + 5)

START_TEST(stops_before_an_instruction)
{
    struct rig *r = new_rig(_i);
    struct cpu_stopped hit;

    load(r, loop_code, sizeof(loop_code));
    add(r, CPU_STOP_EXECUTE, AGAIN + 2, 1);
    for (unsigned n = 0; n < LOOPS / 2; n++) {
        hit = next_stop(r);
        ck_assert_uint_eq(hit.address, AGAIN + 2);
        ck_assert_uint_eq(r->cpu->s.rip, AGAIN + 2);
        ck_assert_uint_eq(r->cpu->s.gpr[RDX], n);
        ck_assert_uint_eq(bus_read(r->memory, DATA, 4), n + 1);
    }
    drop(r, CPU_STOP_EXECUTE, AGAIN + 2, 1);
    ck_assert_int_eq(cpu_run(r->cpu, 10000), CPU_EXIT_KICK);
    ck_assert_uint_eq(r->cpu->s.gpr[RDX], LOOPS);
    rig_free(r);
}
END_TEST

/* Code that has long been running, and translated, stops too; in another page the same offset doesn't. */
START_TEST(stops_in_running_code)
{
    struct rig *r = new_rig(_i);

    load(r, loop_code, sizeof(loop_code));
    r->cpu->s.gpr[RDX] = 0;
    add(r, CPU_STOP_EXECUTE, AGAIN + 2 + BUS_PAGE, 1);
    ck_assert_int_eq(cpu_run(r->cpu, 500), CPU_EXIT_KICK);
    add(r, CPU_STOP_EXECUTE, AGAIN + 8, 1);
    ck_assert(cpu_has_stops(r->cpu));
    next_stop(r);
    ck_assert_uint_eq(r->cpu->s.rip, AGAIN + 8);
    cpu_stop_remove_all(r->cpu, &other);
    next_stop(r);
    cpu_stop_remove_all(r->cpu, &me);
    ck_assert(!cpu_has_stops(r->cpu));
    ck_assert_int_eq(cpu_run(r->cpu, 10000), CPU_EXIT_KICK);
    ck_assert_uint_eq(r->cpu->s.gpr[RDX], LOOPS);
    ck_assert(!cpu_stop_remove(r->cpu, &(struct cpu_stop){.owner = &me}));
    rig_free(r);
}
END_TEST

START_TEST(counts_are_exact_with_many)
{
    struct rig *r = new_rig(_i);
    uint64_t before;

    for (unsigned n = 0; n < 5000; n++)
        add(r, CPU_STOP_EXECUTE, 0x100000 + n * 0x1001ull, 1);
    load(r, loop_code, sizeof(loop_code));
    before = cpu_instructions(r->cpu);
    add(r, CPU_STOP_EXECUTE, RIG_CODE + sizeof(loop_code), 1);
    next_stop(r);
    ck_assert_uint_eq(cpu_instructions(r->cpu) - before, 1 + 5 * LOOPS);
    ck_assert_uint_eq(r->cpu->s.gpr[RCX], 0);
    rig_free(r);
}
END_TEST

START_TEST(watches_stop_after_the_access)
{
    struct rig *r = new_rig(_i);
    struct cpu_stopped hit;

    load(r, loop_code, sizeof(loop_code));
    add(r, CPU_STOP_WRITE, DATA + 2, 1);
    add(r, CPU_STOP_WRITE, DATA + 4, 8); /* beside it: never hit */
    for (unsigned n = 0; n < LOOPS / 2; n++) {
        hit = next_stop(r);
        ck_assert(hit.write);
        ck_assert_uint_eq(hit.address, DATA);
        ck_assert_uint_eq(r->cpu->s.rip, AGAIN + 2);
        ck_assert_uint_eq(bus_read(r->memory, DATA, 4), n + 1);
    }
    drop(r, CPU_STOP_WRITE, DATA + 2, 1);
    add(r, CPU_STOP_READ, DATA + 11, 1);
    for (unsigned n = 0; n < 40; n++) {
        hit = next_stop(r);
        ck_assert(!hit.write);
        ck_assert_uint_eq(r->cpu->s.rip, AGAIN + 5);
    }
    drop(r, CPU_STOP_READ, DATA + 11, 1);
    ck_assert_int_eq(cpu_run(r->cpu, 10000), CPU_EXIT_KICK);
    ck_assert_uint_eq(r->cpu->s.gpr[RDX], LOOPS);
    ck_assert_uint_eq(bus_read(r->memory, DATA, 4), LOOPS);
    rig_free(r);
}
END_TEST

/* By physical address, through another mapping. */
START_TEST(watches_physical_memory)
{
    struct rig *r = new_rig(_i);
    struct cpu_stop stop = {
        .kind = CPU_STOP_ACCESS, .physical = true, .address = DATA, .size = 4, .owner = &me};

    rig_put64(r, RIG_PT + 8 * (0x50000 >> 12), DATA | 7);
    r->cpu->s.gpr[RBX] = 0x50000;
    load(r, loop_code, sizeof(loop_code));
    ck_assert(cpu_stop_add(r->cpu, &stop));
    ck_assert_uint_eq(next_stop(r).address, 0x50000);
    ck_assert_uint_eq(r->cpu->s.rip, AGAIN + 2);
    rig_free(r);
}
END_TEST

/* A repeated instruction stops at the element; an instruction breakpoint on it only at its start. */
START_TEST(watches_inside_strings)
{
    static const uint8_t code[] = {0xf3, 0xaa};
    struct rig *r = new_rig(_i);

    load(r, code, sizeof(code));
    r->cpu->s.gpr[RCX] = 10000;
    r->cpu->s.gpr[RDI] = DATA;
    r->cpu->s.gpr[RAX] = 0x55;
    add(r, CPU_STOP_WRITE, DATA + 5000, 1);
    add(r, CPU_STOP_EXECUTE, RIG_CODE, 1);
    ck_assert_int_eq(next_stop(r).stop.kind, CPU_STOP_EXECUTE);
    ck_assert_uint_eq(r->cpu->s.gpr[RCX], 10000);
    ck_assert_int_eq(next_stop(r).stop.kind, CPU_STOP_WRITE);
    ck_assert_uint_eq(r->cpu->s.gpr[RCX], 10000 - 5001);
    ck_assert_uint_eq(bus_read(r->memory, DATA + 5000, 2), 0x55);
    ck_assert_uint_eq(r->cpu->s.rip, RIG_CODE);
    ck_assert_int_eq(cpu_run(r->cpu, 1000), CPU_EXIT_KICK);
    ck_assert_uint_eq(r->cpu->s.gpr[RCX], 0);
    rig_free(r);
}
END_TEST

/* #GP at a load through an address that isn't canonical: there is no IDT, so what follows is a shutdown. */
START_TEST(stops_before_an_exception)
{
    static const uint8_t code[] = {0x48, 0xff, 0xc2, 0x48, 0xb8, 0,    0,    0,    0,
                                   0,    0,    0,    0x80, 0x8a, 0x00, 0x48, 0xff, 0xc2};
    struct rig *r = new_rig(_i);
    struct cpu_stopped hit;

    r->cpu->s.idtr.limit = 0;
    load(r, code, sizeof(code));
    add(r, CPU_STOP_EXCEPTION, EX_GP, 1);
    hit = next_stop(r);
    ck_assert_uint_eq(hit.address, EX_GP);
    ck_assert(hit.has_error);
    ck_assert_uint_eq(hit.error, 0);
    ck_assert_uint_eq(r->cpu->s.rip, RIG_CODE + 13);
    /* The debugger mends it: the instruction is tried again. */
    r->cpu->s.gpr[RAX] = DATA;
    cpu_push(r->cpu);
    ck_assert_int_eq(cpu_run(r->cpu, 100), CPU_EXIT_KICK);
    ck_assert_uint_eq(r->cpu->s.gpr[RDX], 2);
    /* It doesn't: delivered, and the double fault that comes of the delivery is another to stop at. */
    add(r, CPU_STOP_EXCEPTION, EX_DF, 1);
    r->cpu->s.rip = RIG_CODE;
    cpu_push(r->cpu);
    ck_assert_uint_eq(next_stop(r).address, EX_GP);
    ck_assert_uint_eq(next_stop(r).address, EX_DF);
    ck_assert_uint_eq(r->cpu->s.rip, RIG_CODE + 13);
    ck_assert_int_eq(cpu_run(r->cpu, 100), CPU_EXIT_SHUTDOWN);
    rig_free(r);
}
END_TEST

START_TEST(stops_at_ports_and_registers)
{
    /* mov dx, RIG_PORT; in al, dx; out dx, al; mov rax, cr3; mov cr3, rax; xchg bx, bx; nop */
    static const uint8_t code[] = {0x66, 0xba, 0x00, 0x01, 0xec, 0xee, 0x0f, 0x20,
                                   0xd8, 0x0f, 0x22, 0xd8, 0x66, 0x87, 0xdb, 0x90};
    struct rig *r = new_rig(_i);
    struct cpu_stopped hit;

    load(r, code, sizeof(code));
    add(r, CPU_STOP_PORT, RIG_PORT, 1);
    add(r, CPU_STOP_CR3, 0, UINT64_MAX);
    add(r, CPU_STOP_MAGIC, 0, 0);
    add(r, CPU_STOP_MODE, 0, UINT64_MAX);
    hit = next_stop(r);
    ck_assert(!hit.write);
    ck_assert_uint_eq(r->cpu->s.rip, RIG_CODE + 5);
    ck_assert_uint_eq(r->next_read, 1);
    hit = next_stop(r);
    ck_assert(hit.write);
    ck_assert_uint_eq(hit.address, RIG_PORT);
    ck_assert_uint_eq(r->cpu->s.rip, RIG_CODE + 6);
    ck_assert_uint_eq(r->written_count, 1);
    hit = next_stop(r);
    ck_assert_int_eq(hit.stop.kind, CPU_STOP_CR3);
    ck_assert_uint_eq(hit.address, RIG_PML4);
    ck_assert_uint_eq(r->cpu->s.rip, RIG_CODE + 12);
    ck_assert_int_eq(next_stop(r).stop.kind, CPU_STOP_MAGIC);
    ck_assert_uint_eq(r->cpu->s.rip, RIG_CODE + 15);
    ck_assert_int_eq(cpu_run(r->cpu, 100), CPU_EXIT_KICK);
    rig_free(r);
}
END_TEST

#define NOWHERE 0x50000u /* linear; no memory is behind it */

START_TEST(stops_at_msrs_and_control_registers)
{
    /* mov ecx, C0000080 (EFER); rdmsr; wrmsr; mov rax, cr4; mov cr4, rax; clts; nop */
    static const uint8_t code[] = {0xb9, 0x80, 0x00, 0x00, 0xc0, 0x0f, 0x32, 0x0f, 0x30, 0x0f,
                                   0x20, 0xe0, 0x0f, 0x22, 0xe0, 0x0f, 0x06, 0x90};
    struct rig *r = new_rig(_i);
    struct cpu_stopped hit;

    load(r, code, sizeof(code));
    add(r, CPU_STOP_MSR, 0xc0000000, 0x100);
    add(r, CPU_STOP_CR, 0, 16);
    for (unsigned n = 0; n < 2; n++) {
        hit = next_stop(r);
        ck_assert_int_eq(hit.stop.kind, CPU_STOP_MSR);
        ck_assert_uint_eq(hit.address, 0xc0000080);
        ck_assert_uint_eq(hit.value, EFER_LME | EFER_LMA);
        ck_assert_uint_eq(hit.write, n);
        ck_assert_uint_eq(r->cpu->s.rip, RIG_CODE + 7 + 2 * n);
    }
    hit = next_stop(r);
    ck_assert_int_eq(hit.stop.kind, CPU_STOP_CR);
    ck_assert_uint_eq(hit.address, 4);
    ck_assert_uint_eq(hit.value, CR4_PAE);
    hit = next_stop(r);
    ck_assert_uint_eq(hit.address, 0);
    ck_assert_uint_eq(r->cpu->s.rip, RIG_CODE + 17);
    ck_assert_int_eq(cpu_run(r->cpu, 100), CPU_EXIT_KICK);
    rig_free(r);
}
END_TEST

/* mov [rbx + 8], ecx; mov eax, [rbx + 8]; inc rdx */
static const uint8_t chip_code[] = {0x89, 0x4b, 0x08, 0x8b, 0x43, 0x08, 0x48, 0xff, 0xc2};

START_TEST(stops_at_what_is_no_memory)
{
    struct rig *r = new_rig(_i);
    struct cpu_stopped hit;

    rig_put64(r, RIG_PT + 8 * (NOWHERE >> 12), 0x10000000 | 7);
    load(r, chip_code, sizeof(chip_code));
    r->cpu->s.gpr[RBX] = NOWHERE;
    r->cpu->s.gpr[RCX] = 0x12345678;
    add(r, CPU_STOP_CHIP, 0x10000000, BUS_PAGE);
    add(r, CPU_STOP_NONSENSE, 0, 2); /* it isn't the stack's doing */
    hit = next_stop(r);
    ck_assert(hit.write);
    ck_assert_uint_eq(hit.address, 0x10000008);
    ck_assert_uint_eq(hit.value, 0x12345678);
    ck_assert_uint_eq(r->cpu->s.rip, RIG_CODE + 3);
    hit = next_stop(r);
    ck_assert(!hit.write);
    ck_assert_uint_eq(hit.value, 0xffffffff);
    ck_assert_uint_eq(r->cpu->s.rip, RIG_CODE + 6);
    ck_assert_int_eq(cpu_run(r->cpu, 100), CPU_EXIT_KICK);
    ck_assert_uint_eq(r->cpu->s.gpr[RDX], 1);
    rig_free(r);
}
END_TEST

/* In 64-bit mode with a code segment to return to: push 8; push next; retfq; next: syscall */
START_TEST(stops_at_far_transfers_and_system_calls)
{
    static const uint8_t code[] = {0x6a, 0x08, 0x68, 0x0a, 0x10, 0x00, 0x00, 0x48, 0xcb, 0x90, 0x0f, 0x05};
    struct rig *r = new_rig(_i);
    struct cpu_state *s = &r->cpu->s;
    struct cpu_stopped hit;

    rig_put64(r, 0x6008, 0x00af9b000000ffffull);
    s->gdtr = (struct table_reg){0x6000, 15};
    s->efer |= EFER_SCE;
    s->star = 8ull << 32;
    s->lstar = 0x2000;
    bus_write_block(r->memory, 0x2000, "\xeb\xfe", 2);
    load(r, code, sizeof(code));
    cpu_push(r->cpu);
    add(r, CPU_STOP_FAR, 0, UINT64_MAX);
    add(r, CPU_STOP_SYSCALL, 0, UINT64_MAX);
    hit = next_stop(r);
    ck_assert_int_eq(hit.stop.kind, CPU_STOP_FAR);
    ck_assert_uint_eq(hit.address, RIG_CODE + 10);
    ck_assert_uint_eq(hit.value, RIG_CODE + 7);
    ck_assert_uint_eq(s->rip, RIG_CODE + 10);
    hit = next_stop(r);
    ck_assert_int_eq(hit.stop.kind, CPU_STOP_SYSCALL);
    ck_assert(hit.write);
    ck_assert_uint_eq(hit.address, 0x2000);
    ck_assert_uint_eq(hit.value, RIG_CODE + 10);
    ck_assert_uint_eq(s->gpr[RCX], RIG_CODE + 12);
    ck_assert_int_eq(cpu_run(r->cpu, 100), CPU_EXIT_KICK);
    rig_free(r);
}
END_TEST

START_TEST(stops_at_nonsense)
{
    /* inc rdx; push rcx; jmp rbx */
    static const uint8_t code[] = {0x48, 0xff, 0xc2, 0x51, 0xff, 0xe3};
    struct rig *r = new_rig(_i);
    struct cpu_stopped hit;

    rig_put64(r, RIG_PT + 8 * (NOWHERE >> 12), 0x10000000 | 7);
    load(r, code, sizeof(code));
    r->cpu->s.gpr[RBX] = NOWHERE;
    r->cpu->s.gpr[RSP] = NOWHERE + 0x800;
    r->cpu->s.idtr.limit = 0;
    add(r, CPU_STOP_NONSENSE, 0, 2);
    hit = next_stop(r);
    ck_assert_uint_eq(hit.address, CPU_NONSENSE_STACK);
    ck_assert_uint_eq(hit.value, NOWHERE + 0x7f8);
    ck_assert_uint_eq(r->cpu->s.rip, RIG_CODE + 4);
    hit = next_stop(r);
    ck_assert_uint_eq(hit.address, CPU_NONSENSE_CODE);
    ck_assert_uint_eq(hit.value, NOWHERE);
    ck_assert_uint_eq(r->cpu->s.rip, NOWHERE);
    ck_assert_int_eq(cpu_run(r->cpu, 100), CPU_EXIT_SHUTDOWN); /* it goes on: FF FF is no instruction */
    rig_free(r);
}
END_TEST

START_TEST(mode_switch_stops)
{
    /* mov eax, cr0; or al, 1; mov cr0, eax; nop */
    static const uint8_t code[] = {0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0, 0x90};
    struct rig *r = new_rig(_i);

    rig_long_mode(r);
    cpu_reset(r->cpu, false);
    rig_real_mode(r);
    load(r, code, sizeof(code));
    add(r, CPU_STOP_MODE, 0, UINT64_MAX);
    ck_assert_int_eq(next_stop(r).stop.kind, CPU_STOP_MODE);
    ck_assert_uint_eq(r->cpu->s.rip, RIG_CODE + 8);
    ck_assert_uint_eq(r->cpu->s.cr0 & CR0_PE, 1);
    rig_free(r);
}
END_TEST

/* A debugger's step changes no flag of the guest's, and an interrupt waits. */
START_TEST(steps_leave_no_trace)
{
    static const uint8_t code[] = {0x9c, 0x58, 0x48, 0xff, 0xc2}; /* pushfq; pop rax; inc rdx */
    struct rig *r = new_rig(_i);

    load(r, code, sizeof(code));
    add(r, CPU_STOP_EXECUTE, RIG_CODE + 1, 1);
    r->cpu->s.rflags |= FLAG_IF;
    cpu_push(r->cpu);
    cpu_intr(r->cpu, true);
    cpu_kick(r->cpu);
    ck_assert_int_eq(cpu_step_over(r->cpu), CPU_EXIT_KICK);
    ck_assert_uint_eq(r->cpu->s.rip, RIG_CODE + 1);
    ck_assert_int_eq(cpu_step_over(r->cpu), CPU_EXIT_KICK); /* from the stop, too */
    ck_assert_uint_eq(r->cpu->s.rip, RIG_CODE + 2);
    ck_assert_uint_eq(r->cpu->s.gpr[RAX] & (FLAG_TF | FLAG_RF), 0);
    add(r, CPU_STOP_READ, RIG_CODE - 8, 8);
    r->cpu->s.rip = RIG_CODE;
    cpu_push(r->cpu);
    ck_assert_int_eq(cpu_step_over(r->cpu), CPU_EXIT_KICK);
    ck_assert_int_eq(cpu_step_over(r->cpu), CPU_EXIT_STOPPED);
    ck_assert_uint_eq(r->cpu->s.rip, RIG_CODE + 2);
    rig_free(r);
}
END_TEST

Suite *stop_suite(void)
{
    Suite *s = suite_create("stop");
    TCase *t = tcase_create("stop");

    tcase_add_loop_test(t, stops_before_an_instruction, 0, ENGINES);
    tcase_add_loop_test(t, stops_in_running_code, 0, ENGINES);
    tcase_add_loop_test(t, counts_are_exact_with_many, 0, ENGINES);
    tcase_add_loop_test(t, watches_stop_after_the_access, 0, ENGINES);
    tcase_add_loop_test(t, watches_physical_memory, 0, ENGINES);
    tcase_add_loop_test(t, watches_inside_strings, 0, ENGINES);
    tcase_add_loop_test(t, stops_before_an_exception, 0, ENGINES);
    tcase_add_loop_test(t, stops_at_ports_and_registers, 0, ENGINES);
    tcase_add_loop_test(t, stops_at_msrs_and_control_registers, 0, ENGINES);
    tcase_add_loop_test(t, stops_at_what_is_no_memory, 0, ENGINES);
    tcase_add_loop_test(t, stops_at_far_transfers_and_system_calls, 0, ENGINES);
    tcase_add_loop_test(t, stops_at_nonsense, 0, ENGINES);
    tcase_add_loop_test(t, mode_switch_stops, 0, ENGINES);
    tcase_add_loop_test(t, steps_leave_no_trace, 0, ENGINES);
    suite_add_tcase(s, t);
    return s;
}
