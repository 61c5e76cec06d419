/*
 * test_jit.c - translated code: the same programs on two CPUs, one of which translates all it runs.
 * Registers, flags and all of memory must be the same afterwards; exceptions leave their frames there.
 */
#include <check.h>
#include <string.h>

#include "accel/software.h"
#include "cpu/jit/jit.h"
#include "tests/unit/cpu_rig.h"
#include "tests/unit/jit_program.h"
#include "tests/unit/suites.h"

#if defined(__x86_64__)

struct twins {
    struct rig *soft, *hard; /* interpreted, translated */
    unsigned differences;    /* told by cpu_check() */
    char what[1500];         /* and the block's code */
};

/* --- Two CPUs ----------------------------------------------------------------------------------------- */

static void put_gate(struct rig *r, unsigned vector)
{
    uint32_t handler = AT_HANDLERS + 16 * vector;
    uint8_t code[3] = {0x6a, (uint8_t)vector, 0xf4};

    rig_put64(r, AT_IDT + 16 * vector,
              (handler & 0xffff) | 8 << 16 | 0x8e00ull << 32 | (uint64_t)(handler >> 16) << 48);
    memcpy(r->ram + handler, code, sizeof(code));
}

static struct rig *new_rig(bool translate)
{
    struct rig *r = rig_new(NULL, 0);
    char why[200];

    rig_long_mode(r);
    rig_put64(r, RIG_PT + 8 * (AT_ABSENT >> 12), 0);
    rig_put64(r, RIG_PT + 8 * (AT_READ_ONLY >> 12), AT_READ_ONLY | 5);
    rig_put64(r, AT_GDT + 8, 0x00af9b000000ffff);
    for (unsigned vector = 0; vector < 32; vector++)
        put_gate(r, vector);
    r->cpu->s.gdtr = (struct table_reg){AT_GDT, 15};
    r->cpu->s.idtr = (struct table_reg){AT_IDT, 16 * 32 - 1};
    r->cpu->s.cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT;
    if (translate) {
        ck_assert_msg(engine_jit.attach(r->cpu, NULL, why, sizeof(why)), "%s", why);
        r->cpu->jit->hot = 1;
    }
    return r;
}

static void differs(void *opaque, const struct cpu_difference *difference)
{
    struct twins *t = opaque;

    size_t length = (size_t)snprintf(t->what, sizeof(t->what), "%.600s", difference->what);

    t->differences++;
    for (size_t n = 0; n < difference->guest_size; n++)
        length += (size_t)snprintf(t->what + length, sizeof(t->what) - length, "%02x ", difference->guest[n]);
}

static struct twins *twins_new(bool check)
{
    struct twins *t = calloc(1, sizeof(*t));

    t->soft = new_rig(false);
    t->hard = new_rig(true);
    if (check) {
        ck_assert(cpu_check(t->hard->cpu, 1, differs, t));
        t->hard->cpu->jit->hot = 1;
    }
    return t;
}

static void twins_free(struct twins *t)
{
    rig_free(t->soft);
    rig_free(t->hard);
    free(t);
}

/* Runs `code` at `at` from the state in `from`, until it halts. */
static void run_one(struct rig *r, const struct cpu_state *from, uint32_t at, const uint8_t *code,
                    unsigned size)
{
    struct cpu_state *s = &r->cpu->s;
    enum cpu_exit exit;

    memset(r->ram + AT_DATA, 0x5a, 0x4000);
    memset(r->ram + AT_STACK - 0x2000, 0xa5, 0x4000);
    bus_write_block(r->memory, at, code, size);
    memcpy(s->gpr, from->gpr, sizeof(s->gpr));
    memcpy(s->zmm, from->zmm, sizeof(s->zmm));
    memset(s->st, 0, sizeof(s->st));
    s->mxcsr = 0x1f80;
    s->fcw = 0x37f;
    s->fsw = 0;
    s->fptag = 0;
    s->rip = at;
    s->rflags = FLAG_1;
    s->cr2 = 0;
    s->activity = CPU_RUNNING;
    cpu_push(r->cpu);
    exit = cpu_run(r->cpu, 100000);
    cpu_pull(r->cpu);
    ck_assert_msg(exit == CPU_EXIT_HALT, "it does not halt: RIP %llx", (unsigned long long)s->rip);
}

/* The same on both; all must be the same afterwards. */
static void run_both(struct twins *t, const struct cpu_state *from, uint32_t at, const uint8_t *code,
                     unsigned size, uint64_t seed)
{
    const struct cpu_state *a = &t->soft->cpu->s, *b = &t->hard->cpu->s;
    char where[80] = "";

    run_one(t->soft, from, at, code, size);
    run_one(t->hard, from, at, code, size);
    ck_assert_msg(!t->differences, "program %llu: %s", (unsigned long long)seed, t->what);
    if (!fields_equal(cpu_state_fields, a, b, where, sizeof(where)))
        ck_abort_msg("program %llu: %s differs; RIP %llx and %llx, RFLAGS %llx and %llx",
                     (unsigned long long)seed, where, (unsigned long long)a->rip, (unsigned long long)b->rip,
                     (unsigned long long)a->rflags, (unsigned long long)b->rflags);
    for (uint32_t n = 0; n < RIG_RAM; n++)
        if (t->soft->ram[n] != t->hard->ram[n])
            ck_abort_msg("program %llu: memory at %x differs: %02x and %02x", (unsigned long long)seed, n,
                         t->soft->ram[n], t->hard->ram[n]);
}

/* --- Tests -------------------------------------------------------------------------------------------- */

static void run_programs(bool check, uint64_t first, unsigned count)
{
    struct twins *t = twins_new(check);
    struct cpu_state from;
    struct program p;

    for (uint64_t seed = first; seed < first + count; seed++) {
        unsigned start;

        program_start(&p, seed);
        program_state(&p, &from);
        start = program_rounds(&p, 3);
        program_body(&p, 10 + program_below(&p, 50));
        program_end(&p, start);
        run_both(t, &from, p.at, p.code, p.size, seed);
    }
    if (check)
        ck_assert_uint_gt(t->hard->cpu->stats.check.blocks, 10 * count);
    twins_free(t);
}

START_TEST(random_programs)
{
    run_programs(false, 1, 400);
}
END_TEST

START_TEST(random_programs_in_lockstep)
{
    run_programs(true, 100001, 200);
}
END_TEST

/* What faults, after instructions that may have left their flags anywhere. */
static void gen_fault(struct program *p)
{
    program_need_flags(p, OSZAPC);
    switch (program_below(p, 7)) {
    case 0: /* ADD [absent], eax */
        program_bytes(p, 0x250401, 3);
        program_bytes(p, AT_ABSENT + 0x10, 4);
        break;
    case 1: /* ADC eax, [absent], across pages */
        program_bytes(p, 0x250413, 3);
        program_bytes(p, AT_ABSENT - 2, 4);
        break;
    case 2: /* MOV [read only], rdx */
        program_bytes(p, 0x25148948, 4);
        program_bytes(p, AT_READ_ONLY + 8, 4);
        break;
    case 3: /* XOR ebx, ebx; DIV ebx; flags defined in between */
        program_bytes(p, 0xdb31, 2);
        program_bytes(p, 0xc839, 2);
        program_bytes(p, 0xf3f7, 2);
        break;
    case 4: /* MOV rsi, not canonical; MOV eax, [rsi] */
        program_bytes(p, 0xbe48, 2);
        program_bytes(p, 0x8000000000000000ull, 8);
        program_bytes(p, 0x068b, 2);
        break;
    case 5: /* MOVAPS xmm1, [rbp + 1] */
        program_bytes(p, 0x014d280f, 4);
        break;
    default: /* MOV rdx, not canonical; CALL rdx; JMP rdx */
        program_bytes(p, 0xba48, 2);
        program_bytes(p, 0x0123456789abcdefull, 8);
        program_bytes(p, program_below(p, 2) ? 0xd2ff : 0xe2ff, 2);
    }
}

START_TEST(faults_in_the_middle)
{
    struct twins *t = twins_new(_i);
    struct cpu_state from;
    struct program p;

    for (uint64_t seed = 1; seed <= 300; seed++) {
        program_start(&p, seed + 1000000);
        program_state(&p, &from);
        program_body(&p, program_below(&p, 20));
        gen_fault(&p);
        program_body(&p, 3);
        program_define_flags(&p);
        program_byte(&p, 0xf4);
        run_both(t, &from, p.at, p.code, p.size, seed);
        ck_assert_uint_ge(t->hard->cpu->s.rip, AT_HANDLERS); /* it did fault */
        ck_assert_uint_lt(t->hard->cpu->s.rip, AT_HANDLERS + 0x200);
    }
    if (_i)
        ck_assert_uint_gt(t->hard->cpu->stats.check.faults, 250);
    twins_free(t);
}
END_TEST

#define RUN_BOTH(t, from, ...)                                                                               \
    run_both(t, from, AT_CODE, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), 0)

/* A loop that changes the immediate of an instruction further on in the same block, each time round. */
START_TEST(running_block_changes_itself)
{
    struct twins *t = twins_new(_i);
    struct cpu_state from = {0};

    from.gpr[RSP] = AT_STACK;
    from.gpr[RCX] = 50;
    RUN_BOTH(t, &from,                           /* again: */
             0x88, 0x0d, 0x03, 0x00, 0x00, 0x00, /* MOV [immediate], cl */
             0x01, 0xd3,                         /* ADD ebx, edx */
             0x05, 0x00, 0x00, 0x00, 0x00,       /* ADD eax, immediate */
             0xff, 0xc9,                         /* DEC ecx */
             0x75, 0xef,                         /* JNZ again */
             0xf4);
    ck_assert_uint_eq(t->hard->cpu->s.gpr[RAX], 50 * 51 / 2);
    twins_free(t);
}
END_TEST

/* INC and DEC leave CF to be used later, across a block's end too; a shift by 0 leaves all. */
START_TEST(flags_outlive_blocks)
{
    struct twins *t = twins_new(_i);
    struct cpu_state from = {0};

    from.gpr[RSP] = AT_STACK;
    from.gpr[RCX] = 40;
    RUN_BOTH(t, &from,               /* again: */
             0xf9,                   /* STC */
             0x48, 0xff, 0xc0,       /* INC rax */
             0x48, 0xff, 0xcb,       /* DEC rbx */
             0xeb, 0x00,             /* JMP to a block of its own */
             0x49, 0x11, 0xc4,       /* ADC r12, rax */
             0x9c, 0x41, 0x5e,       /* PUSHF; POP r14 */
             0x49, 0xff, 0xc7,       /* INC r15 */
             0x88, 0xca, 0xb1, 0x00, /* MOV dl, cl; MOV cl, 0 */
             0xd3, 0xe0,             /* SHL eax, cl */
             0x88, 0xd1,             /* MOV cl, dl */
             0x72, 0x04,             /* JC over what follows */
             0x49, 0x83, 0xc3, 0x01, /* ADD r11, 1 */
             0x00, 0xf4,             /* ADD ah, dh */
             0xff, 0xc9,             /* DEC ecx */
             0x75, 0xda,             /* JNZ again */
             0xf4);
    ck_assert_uint_eq(t->hard->cpu->s.gpr[R11], 40); /* ADC left no carry, and what follows it kept that */
    ck_assert_uint_eq(t->hard->cpu->s.gpr[R15], 40);
    twins_free(t);
}
END_TEST

/* A block that is not what it should be is found. */
START_TEST(lockstep_finds_a_difference)
{
    static const uint8_t code[] = {0xb8, 0x78, 0x56, 0x34, 0x12, 0xff, 0xc9, 0x75, 0xf7, 0xf4};
    struct twins *t = twins_new(true);
    struct cpu_state from = {0};
    const uint8_t *at;
    unsigned found = 0;

    from.gpr[RSP] = AT_STACK;
    from.gpr[RCX] = 20;
    run_one(t->hard, &from, AT_CODE, code, sizeof(code));
    ck_assert_uint_eq(t->differences, 0);
    ck_assert_uint_gt(t->hard->cpu->stats.check.blocks, 10);
    /* Its immediate in the code memory. */
    at = t->hard->cpu->jit->write + t->hard->cpu->jit->keep;
    for (; at + 4 <= t->hard->cpu->jit->write + t->hard->cpu->jit->used; at++)
        if (!memcmp(at, code + 1, 4)) {
            *(uint8_t *)(uintptr_t)at = 0x79;
            found++;
        }
    ck_assert_uint_gt(found, 0);
    memcpy(t->hard->cpu->s.gpr, from.gpr, sizeof(from.gpr));
    t->hard->cpu->s.rip = AT_CODE;
    t->hard->cpu->s.activity = CPU_RUNNING;
    cpu_push(t->hard->cpu);
    cpu_run(t->hard->cpu, 1000);
    ck_assert_uint_eq(t->differences, 1);
    ck_assert_msg(strstr(t->what, "rax: interpreted 0000000012345678, translated 0000000012345679") != NULL,
                  "%s", t->what);
    ck_assert_uint_eq(t->hard->cpu->s.gpr[RAX], 0x12345678); /* what goes on is the interpreter's */
    twins_free(t);
}
END_TEST

Suite *jit_suite(void)
{
    Suite *suite = suite_create("jit");
    TCase *c = tcase_create("translated code");

    tcase_set_timeout(c, 120);
    tcase_add_test(c, random_programs);
    tcase_add_test(c, random_programs_in_lockstep);
    tcase_add_loop_test(c, faults_in_the_middle, 0, 2);
    tcase_add_loop_test(c, running_block_changes_itself, 0, 2);
    tcase_add_loop_test(c, flags_outlive_blocks, 0, 2);
    tcase_add_test(c, lockstep_finds_a_difference);
    suite_add_tcase(suite, c);
    return suite;
}

#else

/* There is no translator for this host. */
Suite *jit_suite(void)
{
    return suite_create("jit");
}

#endif
