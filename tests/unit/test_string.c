/*
 * test_string.c - string instructions and their repeat prefixes (SDM 1 7.3.9, 2B "REP").
 */
#include "tests/unit/cpu_rig.h"

static struct rig *r;
static struct cpu_state *s;

static void setup(void)
{
    r = rig_new(NULL, 0);
    s = &r->cpu->s;
    rig_long_mode(r);
    for (unsigned n = 0; n < 0x10000; n++)
        r->ram[0x20000 + n] = (uint8_t)(n * 7 + (n >> 8));
}

static void teardown(void)
{
    rig_free(r);
}

static void registers(uint64_t rsi, uint64_t rdi, uint64_t rcx)
{
    s->gpr[RSI] = rsi;
    s->gpr[RDI] = rdi;
    s->gpr[RCX] = rcx;
}

/* Swaps two pages of the identity mapping, so that neighbours in linear memory are none in RAM. */
static void swap_pages(unsigned a, unsigned b)
{
    rig_put64(r, RIG_PT + 8 * a, b << 12 | 7);
    rig_put64(r, RIG_PT + 8 * b, a << 12 | 7);
    cpu_push(r->cpu);
}

START_TEST(rep_movs_copies_pages)
{
    swap_pages(0x22, 0x27);
    registers(0x20123, 0x40456, 0x2000 / 8);
    RUN(r, 0xf3, 0x48, 0xa5);
    ck_assert_uint_eq(s->gpr[RCX], 0);
    ck_assert_uint_eq(s->gpr[RSI], 0x22123);
    ck_assert_uint_eq(s->gpr[RDI], 0x42456);
    ck_assert_mem_eq(r->ram + 0x40456, r->ram + 0x20123, 0x22000 - 0x20123);
    ck_assert_mem_eq(r->ram + 0x40456 + 0x22000 - 0x20123, r->ram + 0x27000, 0x123);
}
END_TEST

START_TEST(rep_movs_repeats_what_overlaps)
{
    memcpy(r->ram + 0x40000, "abc", 3);
    registers(0x40000, 0x40003, 0x1100);
    RUN(r, 0xf3, 0xa4);
    for (unsigned n = 0; n < 0x1103; n++)
        ck_assert_uint_eq(r->ram[0x40000 + n], (unsigned)"abc"[n % 3]);
    ck_assert_uint_eq(r->ram[0x41103], 0);
}
END_TEST

START_TEST(rep_movs_words_that_overlap_by_halves)
{
    uint8_t expect[64];

    memcpy(expect, r->ram + 0x20000, sizeof(expect));
    for (unsigned n = 0; n < 10; n++) { /* element by element, 4 bytes each, 2 apart */
        uint8_t word[4];

        memcpy(word, expect + 4 * n, 4);
        memcpy(expect + 2 + 4 * n, word, 4);
    }
    registers(0x20000, 0x20002, 10);
    RUN(r, 0xf3, 0xa5);
    ck_assert_mem_eq(r->ram + 0x20000, expect, sizeof(expect));
}
END_TEST

START_TEST(rep_movs_downwards)
{
    uint8_t expect[0x1800];

    memcpy(expect, r->ram + 0x20000, sizeof(expect));
    s->rflags |= FLAG_DF;
    registers(0x20000 + sizeof(expect) - 2, 0x20004 + sizeof(expect) - 2, sizeof(expect) / 2);
    RUN(r, 0xf3, 0x66, 0xa5);
    ck_assert_mem_eq(r->ram + 0x20004, expect, sizeof(expect));
    ck_assert_uint_eq(s->gpr[RSI], 0x20000 - 2);
    ck_assert_uint_eq(s->gpr[RDI], 0x20004 - 2);
}
END_TEST

START_TEST(rep_stos_fills)
{
    s->gpr[RAX] = 0xffffffff12345678;
    registers(0, 0x40ffd, 0x500);
    RUN(r, 0xf3, 0xab);
    for (unsigned n = 0; n < 0x500; n++)
        ck_assert_mem_eq(r->ram + 0x40ffd + 4 * n, "\x78\x56\x34\x12", 4);
    ck_assert_uint_eq(r->ram[0x40ffc], 0);
    ck_assert_uint_eq(r->ram[0x40ffd + 0x1400], 0);
    ck_assert_uint_eq(s->gpr[RDI], 0x40ffd + 0x1400);
    ck_assert_uint_eq(s->gpr[RCX], 0);
}
END_TEST

START_TEST(nothing_to_do)
{
    registers(UINT64_MAX << 40, 1ull << 62, 0); /* no access, so no fault */
    ck_assert_int_eq(RUN(r, 0xf3, 0xa4, 0xf3, 0xab, 0xf2, 0xae, 0xf3, 0xa6), CPU_EXIT_KICK);
    ck_assert_uint_eq(s->gpr[RSI], UINT64_MAX << 40);
}
END_TEST

START_TEST(fault_in_the_middle)
{
    struct cpu_fault chain[4];

    rig_put64(r, RIG_PT + 8 * 0x42, 0);
    cpu_push(r->cpu);
    registers(0x20000, 0x41f00, 0x200 / 4);
    ck_assert_int_eq(RUN(r, 0x90, 0xf3, 0xa5), CPU_EXIT_SHUTDOWN); /* there is no IDT */
    ck_assert_uint_ge(cpu_chain(r->cpu, chain, 4), 1);
    ck_assert_uint_eq(chain[0].vector, EX_PF);
    ck_assert_uint_eq(chain[0].error, PF_W);
    ck_assert_uint_eq(chain[0].cr2, 0x42000);
    ck_assert_uint_eq(chain[0].rip, RIG_CODE + 1);
    ck_assert_uint_eq(s->gpr[RCX], 0x100 / 4);
    ck_assert_uint_eq(s->gpr[RSI], 0x20100);
    ck_assert_uint_eq(s->gpr[RDI], 0x42000);
}
END_TEST

START_TEST(source_faults_before_destination)
{
    struct cpu_fault chain[4];

    rig_put64(r, RIG_PT + 8 * 0x42, 0);
    rig_put64(r, RIG_PT + 8 * 0x43, 0);
    cpu_push(r->cpu);
    registers(0x42010, 0x43010, 1);
    ck_assert_int_eq(RUN(r, 0xf3, 0xa4), CPU_EXIT_SHUTDOWN);
    ck_assert_uint_ge(cpu_chain(r->cpu, chain, 4), 1);
    ck_assert_uint_eq(chain[0].cr2, 0x42010);
    ck_assert_uint_eq(chain[0].error, 0);
}
END_TEST

START_TEST(scas_finds)
{
    r->ram[0x41234] = 0x5a;
    s->gpr[RAX] = 0x5a;
    registers(0, 0x40000, UINT64_MAX);
    RUN(r, 0xf2, 0xae);
    ck_assert_uint_eq(s->gpr[RDI], 0x41235);
    ck_assert_uint_eq(s->gpr[RCX], UINT64_MAX - 0x1235);
    ck_assert_uint_eq(s->rflags & (FLAG_ZF | FLAG_CF), FLAG_ZF);
}
END_TEST

START_TEST(scas_ends_unequal)
{
    s->gpr[RAX] = 0;
    memset(r->ram + 0x40000, 0, 32);
    r->ram[0x40010] = 1;
    registers(0, 0x40000, 100);
    RUN(r, 0xf3, 0xaf); /* repe scasd */
    ck_assert_uint_eq(s->gpr[RDI], 0x40014);
    ck_assert_uint_eq(s->gpr[RCX], 95);
    ck_assert_uint_eq(s->rflags & (FLAG_ZF | FLAG_CF | FLAG_SF), FLAG_CF | FLAG_SF); /* 0 - 1 */
}
END_TEST

START_TEST(cmps_compares)
{
    memcpy(r->ram + 0x40ff8, r->ram + 0x20000, 32);
    r->ram[0x40ff8 + 20] = (uint8_t)(r->ram[0x20000 + 20] + 1);
    registers(0x20000, 0x40ff8, 32);
    RUN(r, 0xf3, 0xa6);
    ck_assert_uint_eq(s->gpr[RCX], 11);
    ck_assert_uint_eq(s->gpr[RSI], 0x20015);
    ck_assert_uint_eq(s->gpr[RDI], 0x40ff8 + 21);
    ck_assert_uint_eq(s->rflags & FLAG_ZF, 0);
    ck_assert_uint_eq(s->rflags & FLAG_CF, FLAG_CF); /* first operand minus second: below */
}
END_TEST

START_TEST(lods_and_single_forms)
{
    s->gpr[RAX] = 0x1111111111111111;
    registers(0x20000, 0x40000, 7);
    RUN(r, 0xac, 0xaa, 0x66, 0xad, 0x66, 0xab, 0xad, 0xa4);
    ck_assert_uint_eq(s->gpr[RSI], 0x20008);
    ck_assert_uint_eq(s->gpr[RDI], 0x40004);
    ck_assert_uint_eq(s->gpr[RCX], 7);
    ck_assert_mem_eq(r->ram + 0x40000, r->ram + 0x20000, 3);
    ck_assert_uint_eq(r->ram[0x40003], r->ram[0x20007]);
    ck_assert_mem_eq(&s->gpr[RAX], r->ram + 0x20003, 4);
    ck_assert_uint_eq(s->gpr[RAX] >> 32, 0);
}
END_TEST

START_TEST(segment_base_of_the_source)
{
    s->seg[FS].base = 0x1000;
    registers(0x20000, 0x40000, 4);
    RUN(r, 0xf3, 0x64, 0xa4); /* rep movs byte es:[rdi], fs:[rsi] */
    ck_assert_mem_eq(r->ram + 0x40000, r->ram + 0x21000, 4);
}
END_TEST

START_TEST(sixteen_bit_registers_wrap)
{
    rig_free(r);
    r = rig_new(NULL, 0);
    s = &r->cpu->s;
    rig_real_mode(r);
    load_segment_real(r->cpu, ES, 0x2000);
    s->gpr[RAX] = 0xab;
    registers(0, 0xdead0000fff0, 0xbeef00000020);
    RUN(r, 0xf3, 0xaa);
    ck_assert_uint_eq(r->ram[0x2fff0], 0xab);
    ck_assert_uint_eq(r->ram[0x2ffff], 0xab);
    ck_assert_uint_eq(r->ram[0x30000], 0);
    ck_assert_uint_eq(r->ram[0x20000], 0xab);
    ck_assert_uint_eq(r->ram[0x2000f], 0xab);
    ck_assert_uint_eq(r->ram[0x20010], 0);
    ck_assert_uint_eq(s->gpr[RDI], 0xdead00000010);
    ck_assert_uint_eq(s->gpr[RCX], 0xbeef00000000);
}
END_TEST

START_TEST(limit_in_the_middle)
{
    struct cpu_fault chain[4];

    rig_free(r);
    r = rig_new(NULL, 0);
    s = &r->cpu->s;
    rig_real_mode(r);
    s->seg[ES].limit = 0x8003;
    s->idtr.limit = 0;
    registers(0x2000, 0x8000, 8);
    ck_assert_int_eq(RUN(r, 0xf3, 0xa4), CPU_EXIT_SHUTDOWN);
    ck_assert_uint_ge(cpu_chain(r->cpu, chain, 4), 1);
    ck_assert_uint_eq(chain[0].vector, EX_GP);
    ck_assert_uint_eq(s->gpr[RCX], 4);
    ck_assert_uint_eq(s->gpr[RDI], 0x8004);
}
END_TEST

START_TEST(ports_in_and_out)
{
    registers(0x20000, 0x40000, 8);
    s->gpr[RDX] = RIG_PORT;
    r->next_read = 0x30;
    RUN(r, 0xf3, 0x6c); /* rep insb */
    ck_assert_mem_eq(r->ram + 0x40000, "\x30\x31\x32\x33\x34\x35\x36\x37", 8);
    ck_assert_uint_eq(s->gpr[RDI], 0x40008);
    s->rip = RIG_CODE;
    s->gpr[RCX] = 5;
    RUN(r, 0xf3, 0x6e); /* rep outsb */
    ck_assert_uint_eq(r->written_count, 5);
    ck_assert_mem_eq(r->written, r->ram + 0x20000, 5);
}
END_TEST

START_TEST(ins_checks_memory_before_the_port)
{
    rig_put64(r, RIG_PT + 8 * 0x42, 0x42005); /* read-only */
    cpu_push(r->cpu);
    registers(0, 0x42000, 1);
    s->gpr[RDX] = RIG_PORT;
    r->next_read = 7;
    ck_assert_int_eq(RUN(r, 0x6c), CPU_EXIT_SHUTDOWN);
    ck_assert_uint_eq(r->next_read, 7);
}
END_TEST

START_TEST(wanted_elsewhere)
{
    r->kick_on_write = true;
    registers(0x20000, 0, 5);
    s->gpr[RDX] = RIG_PORT;
    ck_assert_int_eq(RUN(r, 0x90, 0xf3, 0x6e), CPU_EXIT_KICK);
    ck_assert_uint_eq(r->written_count, 1);
    ck_assert_uint_eq(s->gpr[RCX], 4);
    ck_assert_uint_eq(s->gpr[RSI], 0x20001);
    ck_assert_uint_eq(s->rip, RIG_CODE + 1); /* to go on with */
    r->kick_on_write = false;
    cpu_run(r->cpu, 100);
    ck_assert_uint_eq(r->written_count, 5);
    ck_assert_uint_eq(s->gpr[RCX], 0);
}
END_TEST

START_TEST(one_iteration_a_step)
{
    memcpy(r->ram + RIG_CODE, "\xf3\xa4", 2);
    registers(0x20000, 0x40000, 3);
    cpu_step(r->cpu);
    ck_assert_uint_eq(s->gpr[RCX], 2);
    ck_assert_uint_eq(s->rip, RIG_CODE);
    cpu_step(r->cpu);
    cpu_step(r->cpu);
    ck_assert_uint_eq(s->gpr[RCX], 0);
    ck_assert_uint_eq(s->rip, RIG_CODE + 2);
    ck_assert_mem_eq(r->ram + 0x40000, r->ram + 0x20000, 3);
}
END_TEST

Suite *string_suite(void)
{
    Suite *suite = suite_create("string");
    TCase *tc = tcase_create("string");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, rep_movs_copies_pages);
    tcase_add_test(tc, rep_movs_repeats_what_overlaps);
    tcase_add_test(tc, rep_movs_words_that_overlap_by_halves);
    tcase_add_test(tc, rep_movs_downwards);
    tcase_add_test(tc, rep_stos_fills);
    tcase_add_test(tc, nothing_to_do);
    tcase_add_test(tc, fault_in_the_middle);
    tcase_add_test(tc, source_faults_before_destination);
    tcase_add_test(tc, scas_finds);
    tcase_add_test(tc, scas_ends_unequal);
    tcase_add_test(tc, cmps_compares);
    tcase_add_test(tc, lods_and_single_forms);
    tcase_add_test(tc, segment_base_of_the_source);
    tcase_add_test(tc, sixteen_bit_registers_wrap);
    tcase_add_test(tc, limit_in_the_middle);
    tcase_add_test(tc, ports_in_and_out);
    tcase_add_test(tc, ins_checks_memory_before_the_port);
    tcase_add_test(tc, wanted_elsewhere);
    tcase_add_test(tc, one_iteration_a_step);
    suite_add_tcase(suite, tc);
    return suite;
}
