/*
 * test_debug.c - traps and breakpoints (SDM 3B chapter 18): ports, repeated string instructions, RF, and what
 * a fault does to them; RDRAND, CLZERO and other small ones of the system instructions.
 */
#include "cpu/system.h"
#include "tests/unit/cpu_rig.h"

#define IDT     0x6000u
#define GDT     0x6800u
#define HANDLER 0x7000u /* of every vector: HLT */
#define STACK   0x5000u
#define DATA    0x30000u

#define RW_IO    2u
#define RW_WRITE 1u
/* DR7: breakpoint n on, of a kind and length (0: 1, 1: 2, 3: 4 bytes). */
#define ARMED(n, rw, len) (2u << 2 * (n) | (rw) << (16 + 4 * (n)) | (len) << (18 + 4 * (n)))

static struct rig *r;
static struct cpu *cpu;

/* 64-bit mode with an IDT whose handlers halt, so that RIP and RFLAGS can be read from the stack. */
static void setup(void)
{
    r = rig_new("max", 0);
    cpu = r->cpu;
    rig_long_mode(r);
    rig_put64(r, GDT + 8, 0x00af9b000000ffff);
    cpu->s.gdtr = (struct table_reg){.base = GDT, .limit = 15};
    cpu->s.idtr = (struct table_reg){.base = IDT, .limit = 32 * 16 - 1};
    for (unsigned n = 0; n < 32; n++) {
        rig_put64(r, IDT + 16 * n, HANDLER | 8u << 16 | 0x8eull << 40);
        rig_put64(r, IDT + 16 * n + 8, 0);
    }
    r->ram[HANDLER] = 0xf4;
    cpu->s.gpr[RSP] = STACK;
    cpu->s.cr4 |= CR4_DE;
    cpu_push(cpu);
}

static void teardown(void)
{
    rig_free(r);
}

/* Runs to the handler; the frame's word `n` (RIP, CS, RFLAGS, RSP, SS). */
static uint64_t frame(unsigned n)
{
    uint64_t v;

    memcpy(&v, r->ram + cpu->s.gpr[RSP] + 8 * n, 8);
    return v;
}

static void run(const uint8_t *code, unsigned size)
{
    cpu->s.activity = CPU_RUNNING;
    cpu->s.gpr[RSP] = STACK;
    cpu->s.rip = RIG_CODE;
    cpu_push(cpu);
    rig_run(r, code, size);
}
#define EXEC(...) run((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* Goes back from the handler, with the frame's RFLAGS. */
static enum cpu_exit resume(void)
{
    enum cpu_exit exit;

    cpu->s.activity = CPU_RUNNING;
    cpu->s.rflags = frame(2);
    cpu->s.rip = frame(0);
    cpu->s.gpr[RSP] = STACK;
    cpu_push(cpu);
    exit = cpu_run(cpu, 1000);
    cpu_pull(cpu);
    return exit;
}

#define HITS (cpu->s.dr[6] & 0xf)

START_TEST(ports_are_watched)
{
    cpu->s.dr[1] = RIG_PORT + 1;
    cpu->s.dr[7] = 0x400 | ARMED(1, RW_IO, 0);
    cpu->s.gpr[RDX] = RIG_PORT;
    EXEC(0xee, 0xec); /* out dx, al; in al, dx: the port beside it */
    ck_assert_uint_eq(cpu->s.activity, CPU_RUNNING);
    ck_assert_uint_eq(HITS, 0);
    EXEC(0x66, 0xed, 0x90); /* in ax, dx reaches it */
    ck_assert_uint_eq(cpu->s.activity, CPU_HALTED);
    ck_assert_uint_eq(HITS, 2);
    ck_assert_uint_eq(frame(0), RIG_CODE + 2); /* a trap: the instruction is done */
    cpu->s.gpr[RDX] = RIG_PORT + 1;
    r->written_count = 0;
    EXEC(0xee, 0x90);
    ck_assert_uint_eq(frame(0), RIG_CODE + 1);
    ck_assert_uint_eq(r->written_count, 1);
    EXEC(0xe4, 0x01); /* in al, 1 */
    ck_assert_uint_eq(cpu->s.activity, CPU_RUNNING);
}
END_TEST

START_TEST(lengths_of_port_ranges)
{
    cpu->s.dr[0] = RIG_PORT + 3; /* the low bits of an address of 4 bytes don't count */
    cpu->s.dr[7] = 0x400 | ARMED(0, RW_IO, 3);
    cpu->s.gpr[RDX] = RIG_PORT;
    EXEC(0xec, 0x90);
    ck_assert_uint_eq(HITS, 1);
    cpu->s.gpr[RDX] = RIG_PORT + 4;
    EXEC(0xec, 0x90);
    ck_assert_uint_eq(cpu->s.activity, CPU_RUNNING);
}
END_TEST

START_TEST(ports_need_cr4_de)
{
    cpu->s.cr4 &= ~(uint64_t)CR4_DE;
    cpu->s.dr[0] = RIG_PORT;
    cpu->s.dr[7] = 0x400 | ARMED(0, RW_IO, 0);
    cpu->s.gpr[RDX] = RIG_PORT;
    EXEC(0xec, 0x90);
    ck_assert_uint_eq(cpu->s.activity, CPU_RUNNING);
    ck_assert_uint_eq(HITS, 0);
}
END_TEST

/* A trap after each element, with RF in its image. */
START_TEST(repeated_port_input)
{
    cpu->s.dr[0] = RIG_PORT;
    cpu->s.dr[7] = 0x400 | ARMED(0, RW_IO, 0);
    cpu->s.gpr[RDX] = RIG_PORT;
    cpu->s.gpr[RDI] = DATA;
    cpu->s.gpr[RCX] = 3;
    EXEC(0xf3, 0x6c, 0x90); /* rep insb */
    ck_assert_uint_eq(frame(0), RIG_CODE);
    ck_assert_uint_eq(cpu->s.gpr[RCX], 2);
    ck_assert_uint_eq(frame(2) & FLAG_RF, FLAG_RF);
    ck_assert_int_eq(resume(), CPU_EXIT_HALT);
    ck_assert_uint_eq(cpu->s.gpr[RCX], 1);
    ck_assert_int_eq(resume(), CPU_EXIT_HALT);
    ck_assert_uint_eq(cpu->s.gpr[RCX], 0);
    ck_assert_uint_eq(frame(0), RIG_CODE + 2);
    ck_assert_uint_eq(frame(2) & FLAG_RF, 0);
    ck_assert_int_eq(resume(), CPU_EXIT_KICK);
}
END_TEST

/* An instruction breakpoint on a repeated instruction hits once, not before each element. */
START_TEST(breakpoint_on_a_repeated_instruction)
{
    cpu->s.dr[2] = RIG_CODE;
    cpu->s.dr[7] = 0x400 | ARMED(2, 0u, 0);
    cpu->s.gpr[RSI] = DATA;
    cpu->s.gpr[RDI] = DATA + 0x1000;
    cpu->s.gpr[RCX] = 5;
    EXEC(0xf3, 0xa4, 0x90); /* rep movsb */
    ck_assert_uint_eq(HITS, 4);
    ck_assert_uint_eq(frame(0), RIG_CODE);
    ck_assert_uint_eq(cpu->s.gpr[RCX], 5);
    rig_put64(r, (uint32_t)cpu->s.gpr[RSP] + 16, frame(2) | FLAG_RF); /* what a handler does to go on */
    ck_assert_int_eq(resume(), CPU_EXIT_KICK);
    ck_assert_uint_eq(cpu->s.gpr[RCX], 0);
    ck_assert_uint_eq(cpu->s.rflags & FLAG_RF, 0);
}
END_TEST

START_TEST(single_steps_of_a_repeated_instruction)
{
    cpu->s.gpr[RSI] = DATA;
    cpu->s.gpr[RDI] = DATA + 0x1000;
    cpu->s.gpr[RCX] = 2;
    cpu->s.rflags |= FLAG_TF;
    EXEC(0xf3, 0xa4, 0x90); /* rep movsb */
    ck_assert_uint_eq(frame(0), RIG_CODE);
    ck_assert_uint_eq(cpu->s.gpr[RCX], 1);
    ck_assert_uint_eq(frame(2) & FLAG_RF, FLAG_RF);
    ck_assert_int_eq(resume(), CPU_EXIT_HALT);
    ck_assert_uint_eq(frame(0), RIG_CODE + 2);
    ck_assert_uint_eq(frame(2) & FLAG_RF, 0);
}
END_TEST

/* The source's breakpoint is hit, the destination faults: a page fault and no #DB. */
START_TEST(a_fault_discards_data_hits)
{
    rig_put64(r, RIG_PT + 8 * (0x40000 >> 12), 0);
    cpu->s.dr[0] = DATA;
    cpu->s.dr[7] = 0x400 | ARMED(0, 3u, 0);
    cpu->s.gpr[RSI] = DATA;
    cpu->s.gpr[RDI] = 0x40000;
    EXEC(0xa4, 0x90); /* movsb */
    ck_assert_uint_eq(cpu->s.cr2, 0x40000);
    ck_assert_uint_eq(cpu->s.pending_debug, 0);
    ck_assert_uint_eq(HITS, 0);
    ck_assert_uint_eq(frame(1), RIG_CODE);             /* behind the error code */
    ck_assert_uint_eq(cpu->s.gpr[RSP], STACK - 6 * 8); /* one frame only */
}
END_TEST

START_TEST(random_numbers)
{
    uint64_t first;

    cpu->s.gpr[RAX] = cpu->s.gpr[RBX] = cpu->s.gpr[RCX] = UINT64_MAX;
    EXEC(0x48, 0x0f, 0xc7, 0xf0, /* rdrand rax */
         0x0f, 0xc7, 0xfb,       /* rdseed ebx */
         0x66, 0x0f, 0xc7, 0xf1, /* rdrand cx */
         0x49, 0x0f, 0xc7, 0xf8 /* rdseed r8 */);
    ck_assert_uint_eq(cpu->s.rflags & FLAGS_ARITH, FLAG_CF);
    first = cpu->s.gpr[RAX];
    ck_assert_uint_ne(first, UINT64_MAX);
    ck_assert_uint_eq(cpu->s.gpr[RBX] >> 32, 0);
    ck_assert_uint_eq(cpu->s.gpr[RCX] >> 16, UINT64_MAX >> 16);
    ck_assert_uint_ne(cpu->s.gpr[R8], first);
    teardown(); /* without a source they are the same in each run */
    setup();
    EXEC(0x48, 0x0f, 0xc7, 0xf0);
    ck_assert_uint_eq(cpu->s.gpr[RAX], first);
    EXEC(0xf3, 0x0f, 0xc7, 0xf0); /* another instruction, that doesn't exist here */
    ck_assert_uint_eq(cpu->s.activity, CPU_HALTED);
    ck_assert_uint_eq(frame(0), RIG_CODE);
}
END_TEST

static uint64_t three(void *opaque)
{
    (*(unsigned *)opaque)++;
    return 3;
}

START_TEST(random_numbers_come_from_outside)
{
    unsigned asked = 0;

    cpu->random = three;
    cpu->random_opaque = &asked;
    EXEC(0x48, 0x0f, 0xc7, 0xf0, 0x48, 0x0f, 0xc7, 0xfb); /* rdrand rax; rdseed rbx */
    ck_assert_uint_eq(asked, 2);
    ck_assert_uint_eq(cpu->s.gpr[RAX], 3);
    ck_assert_uint_eq(cpu->s.gpr[RBX], 3);
}
END_TEST

START_TEST(clzero_takes_a_line)
{
    memset(r->ram + DATA, 0xcc, 256);
    cpu->s.gpr[RAX] = DATA + 100;
    EXEC(0x0f, 0x01, 0xfc);
    for (unsigned n = 0; n < 256; n++)
        ck_assert_uint_eq(r->ram[DATA + n], n >= 64 && n < 128 ? 0 : 0xcc);
    ck_assert_uint_eq(cpu->s.gpr[RAX], DATA + 100);
}
END_TEST

START_TEST(cache_hints)
{
    cpu->s.gpr[RBX] = DATA;
    EXEC(0x66, 0x0f, 0xae, 0x33, /* clwb [rbx] */
         0xf3, 0x0f, 0x09,       /* wbnoinvd */
         0x0f, 0x1c, 0x03);      /* cldemote [rbx] */
    ck_assert_uint_eq(cpu->s.activity, CPU_RUNNING);
    cpu->s.gpr[RBX] = 0x400000; /* not mapped */
    EXEC(0x66, 0x0f, 0xae, 0x33);
    ck_assert_uint_eq(cpu->s.cr2, 0x400000);
}
END_TEST

/* 4 MiB pages: which bits above the page's are reserved follows the width of addresses (SDM 3A 4.3). */
START_TEST(large_pages_of_32_bit_paging)
{
    static const struct {
        const char *model;
        unsigned lowest;
    } rows[] = {{"max", 21}, {"max,-lm", 17}, {"max,-lm,-pse36", 13}};

    for (unsigned n = 0; n < sizeof(rows) / sizeof(rows[0]); n++) {
        rig_free(r);
        r = rig_new(rows[n].model, 0);
        cpu = r->cpu;
        cpu->s.cr0 = CR0_PE | CR0_PG | CR0_ET;
        cpu->s.cr4 = CR4_PSE;
        cpu->s.cr3 = 0x8000;
        for (volatile unsigned bit = 13; bit < 22; bit++) {
            rig_put64(r, 0x8000, 0x83 | 1u << bit);
            cpu_push(cpu);
            ck_assert_int_eq(EXCEPTION(r, linear_read(cpu, NULL, DS, 0x1000, 1)),
                             bit >= rows[n].lowest ? EX_PF : -1);
            if (bit >= rows[n].lowest)
                ck_assert_uint_eq(cpu->fault.error, PF_P | PF_RSVD);
            else
                ck_assert_uint_eq(cpu_translate(cpu, 0x1000), (1ull << (bit + 19)) + 0x1000);
        }
    }
}
END_TEST

Suite *debug_suite(void)
{
    Suite *suite = suite_create("debug");
    TCase *tc = tcase_create("debug");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, ports_are_watched);
    tcase_add_test(tc, lengths_of_port_ranges);
    tcase_add_test(tc, ports_need_cr4_de);
    tcase_add_test(tc, repeated_port_input);
    tcase_add_test(tc, breakpoint_on_a_repeated_instruction);
    tcase_add_test(tc, single_steps_of_a_repeated_instruction);
    tcase_add_test(tc, a_fault_discards_data_hits);
    tcase_add_test(tc, random_numbers);
    tcase_add_test(tc, random_numbers_come_from_outside);
    tcase_add_test(tc, clzero_takes_a_line);
    tcase_add_test(tc, cache_hints);
    tcase_add_test(tc, large_pages_of_32_bit_paging);
    suite_add_tcase(suite, tc);
    return suite;
}
