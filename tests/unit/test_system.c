/*
 * test_system.c - control and debug registers (SDM 2B "MOV", 3A 2.5, 9.8.5, 17.2), descriptor table
 * registers, FS/GS base and ports, by their rules.
 */
#include "cpu/system.h"
#include "tests/unit/cpu_rig.h"

#define OK (-1)

static struct rig *r;
static struct cpu *cpu;

static void setup(void)
{
    r = rig_new(NULL, 0);
    cpu = r->cpu;
}

static void teardown(void)
{
    rig_free(r);
}

static int cr0(uint64_t value)
{
    return EXCEPTION(r, write_cr0(cpu, NULL, value));
}

static int cr3(uint64_t value)
{
    return EXCEPTION(r, write_cr3(cpu, NULL, value));
}

static int cr4(uint64_t value)
{
    return EXCEPTION(r, write_cr4(cpu, NULL, value));
}

START_TEST(cr0_combinations)
{
    uint64_t before = cpu->s.cr0;

    ck_assert_int_eq(cr0(CR0_PG), EX_GP);          /* paging without protection */
    ck_assert_int_eq(cr0(CR0_PE | CR0_NW), EX_GP); /* NW without CD */
    ck_assert_int_eq(cr0(1ull << 32), EX_GP);
    ck_assert_uint_eq(cpu->s.cr0, before);
    ck_assert_int_eq(cr0(CR0_PE | 1u << 6), OK); /* reserved bits are ignored, ET is fixed */
    ck_assert_uint_eq(cpu->s.cr0, CR0_PE | CR0_ET);
}
END_TEST

START_TEST(long_mode_entry)
{
    cpu->s.seg[CS].attr |= SEG_CODE;
    cpu->s.cr3 = RIG_PML4;
    cpu->s.efer = EFER_LME;
    ck_assert_int_eq(cr0(CR0_PE | CR0_PG), EX_GP); /* without PAE */
    ck_assert_int_eq(cr4(CR4_PAE), OK);
    cpu->s.seg[CS].attr |= SEG_L;
    ck_assert_int_eq(cr0(CR0_PE | CR0_PG), EX_GP); /* from a segment with L */
    cpu->s.seg[CS].attr &= ~SEG_L;
    cpu->s.tr.attr = SEG_P | 3;
    ck_assert_int_eq(cr0(CR0_PE | CR0_PG), EX_GP); /* with a 16-bit TSS */
    cpu->s.tr.attr = SEG_P | 11;
    ck_assert_uint_eq(cpu->s.efer, EFER_LME);
    ck_assert_int_eq(cr0(CR0_PE | CR0_PG), OK);
    ck_assert_uint_eq(cpu->s.efer, EFER_LME | EFER_LMA);
    ck_assert(!cpu->long64);
    ck_assert_int_eq(cr4(0), EX_GP);   /* PAE stays */
    ck_assert_int_eq(cr0(CR0_PE), OK); /* out again, from compatibility mode */
    ck_assert_uint_eq(cpu->s.efer, EFER_LME);
}
END_TEST

START_TEST(long_mode_exit)
{
    rig_long_mode(r);
    ck_assert_int_eq(cr0(CR0_PE), EX_GP); /* in 64-bit code */
    cpu->s.seg[CS].attr = (cpu->s.seg[CS].attr & ~SEG_L) | SEG_DB;
    update_mode(cpu);
    cpu->s.cr4 |= CR4_PCIDE;
    ck_assert_int_eq(cr0(CR0_PE), EX_GP); /* with PCIDs */
    cpu->s.cr4 &= ~(uint64_t)CR4_PCIDE;
    ck_assert_int_eq(cr0(CR0_PE), OK);
}
END_TEST

START_TEST(cr3_reserved_bits)
{
    rig_long_mode(r);
    ck_assert_int_eq(cr3(1ull << 40), EX_GP);
    ck_assert_int_eq(cr3(1ull << 63 | RIG_PML4), EX_GP); /* "no flush" needs PCIDE */
    ck_assert_int_eq(cr4(CR4_PAE | CR4_PCIDE), OK);
    ck_assert_int_eq(cr3(1ull << 63 | RIG_PML4 | 5), OK);
    ck_assert_uint_eq(cpu->s.cr3, RIG_PML4 | 5);
    ck_assert_int_eq(cr3(1ull << 62 | RIG_PML4), EX_GP);
}
END_TEST

START_TEST(cr4_rules)
{
    ck_assert_int_eq(cr4(1u << 30), EX_GP);
    ck_assert_int_eq(cr4(CR4_LA57), EX_GP); /* not offered */
    ck_assert_int_eq(cr4(CR4_OSXSAVE), EX_GP);
    ck_assert_int_eq(cr4(1ull << 32), EX_GP);
    ck_assert_int_eq(cr4(CR4_PAE | CR4_PCIDE), EX_GP); /* outside long mode */
    ck_assert_int_eq(cr4(CR4_PAE | CR4_PGE | CR4_SMEP | CR4_SMAP | CR4_UMIP | CR4_FSGSBASE), OK);
    rig_long_mode(r);
    cpu->s.cr3 |= 8;
    ck_assert_int_eq(cr4(CR4_PAE | CR4_PCIDE), EX_GP); /* CR3[11:0] not 0 */
    cpu->s.cr3 &= ~0xfffull;
    ck_assert_int_eq(cr4(CR4_PAE | CR4_PCIDE), OK);
}
END_TEST

START_TEST(pae_loads_pdptes)
{
    rig_put64(r, 0x20000, 0x21001);
    rig_put64(r, 0x20008, 1ull << 50 | 1); /* a reserved bit */
    cpu->s.cr3 = 0x20000;
    ck_assert_int_eq(cr0(CR0_PE), OK);
    ck_assert_int_eq(cr4(CR4_PAE), OK);
    ck_assert_int_eq(cr0(CR0_PE | CR0_PG), EX_GP);
    rig_put64(r, 0x20008, 0);
    ck_assert_int_eq(cr0(CR0_PE | CR0_PG), OK);
    ck_assert_uint_eq(cpu->s.pdpte[0], 0x21001);
    rig_put64(r, 0x20040, 1 << 1 | 1);
    ck_assert_int_eq(cr3(0x20040), EX_GP);
    ck_assert_uint_eq(cpu->s.cr3, 0x20000);
    ck_assert_uint_eq(cpu->s.pdpte[0], 0x21001);
}
END_TEST

START_TEST(features_make_cr4_bits)
{
    rig_free(r);
    r = rig_new("qemu64,-smap,-umip", 0);
    cpu = r->cpu;
    ck_assert_int_eq(cr4(CR4_SMAP), EX_GP);
    ck_assert_int_eq(cr4(CR4_UMIP), EX_GP);
    ck_assert_int_eq(cr4(CR4_SMEP), OK);
}
END_TEST

START_TEST(cr8_is_the_controllers)
{
    rig_long_mode(r);
    cpu->s.gpr[RAX] = 9;
    RUN(r, 0x44, 0x0f, 0x22, 0xc0, /* mov cr8, rax */
        0x44, 0x0f, 0x20, 0xc3);   /* mov rbx, cr8 */
    ck_assert_uint_eq(r->cr8, 9);
    ck_assert_uint_eq(cpu->s.gpr[RBX], 9);
    ck_assert_int_eq(EXCEPTION(r, write_cr8(cpu, NULL, 16)), EX_GP);
}
END_TEST

START_TEST(debug_registers)
{
    write_dr(cpu, NULL, 6, 0);
    ck_assert_uint_eq(cpu->s.dr[6], 0xffff0ff0);
    write_dr(cpu, NULL, 6, 0xffffffff);
    ck_assert_uint_eq(cpu->s.dr[6], 0xffffefff);
    write_dr(cpu, NULL, 7, 0);
    ck_assert_uint_eq(cpu->s.dr[7], 0x400);
    write_dr(cpu, NULL, 7, 0xffffffff & ~DR7_GD);
    ck_assert_uint_eq(cpu->s.dr[7], 0xffff07ff);
    ck_assert_int_eq(EXCEPTION(r, write_dr(cpu, NULL, 7, 1ull << 32)), EX_GP);
    ck_assert_int_eq(EXCEPTION(r, write_dr(cpu, NULL, 6, 1ull << 32)), EX_GP);
    ck_assert_int_eq(EXCEPTION(r, write_dr(cpu, NULL, 3, 1ull << 63)), OK);
    ck_assert_int_eq(EXCEPTION(r, read_dr(cpu, NULL, 8)), EX_UD);
}
END_TEST

START_TEST(debug_aliases_and_general_detect)
{
    write_dr(cpu, NULL, 4, 1);
    ck_assert_uint_eq(cpu->s.dr[6] & 15, 1);
    cpu->s.cr4 |= CR4_DE;
    ck_assert_int_eq(EXCEPTION(r, read_dr(cpu, NULL, 4)), EX_UD);
    ck_assert_int_eq(EXCEPTION(r, read_dr(cpu, NULL, 6)), OK);
    cpu->s.dr[6] |= DR6_BS | 2;
    write_dr(cpu, NULL, 7, DR7_GD);
    ck_assert_int_eq(EXCEPTION(r, read_dr(cpu, NULL, 0)), EX_DB);
    ck_assert_uint_eq(cpu->s.dr[6], 0xffff0ff0 | DR6_BD | DR6_BS); /* only B0 to B3 are cleared */
    ck_assert_uint_eq(cpu->s.dr[7] & DR7_GD, 0);
    cpu->s.dr[7] |= DR7_GD;
    cpu->s.cpl = 3;
    ck_assert_int_eq(EXCEPTION(r, read_dr(cpu, NULL, 0)), EX_GP); /* privilege comes first */
}
END_TEST

START_TEST(table_registers_64)
{
    uint64_t base;

    rig_long_mode(r);
    memcpy(r->ram + 0x3000, "\x34\x12\x00\x50\x34\x12\x00\x80\xff\xff", 10);
    cpu->s.gpr[RBX] = 0x3000;
    cpu->s.gpr[RSI] = 0x4000;
    RUN(r, 0x0f, 0x01, 0x13, /* lgdt [rbx] */
        0x0f, 0x01, 0x06);   /* sgdt [rsi] */
    ck_assert_uint_eq(cpu->s.gdtr.limit, 0x1234);
    ck_assert_uint_eq(cpu->s.gdtr.base, 0xffff800012345000);
    memcpy(&base, r->ram + 0x4002, 8);
    ck_assert_uint_eq(base, 0xffff800012345000);
}
END_TEST

START_TEST(table_registers_16)
{
    rig_real_mode(r);
    memcpy(r->ram + 0x3000, "\xff\x03\x78\x56\x34\x12", 6);
    cpu->s.gpr[RBX] = 0x3000;
    RUN(r, 0x0f, 0x01, 0x1f,     /* lidt [bx]: 24 bits of base */
        0x66, 0x0f, 0x01, 0x17); /* lgdtd [bx]: all 32 */
    ck_assert_uint_eq(cpu->s.idtr.base, 0x345678);
    ck_assert_uint_eq(cpu->s.gdtr.base, 0x12345678);
    ck_assert_uint_eq(cpu->s.gdtr.limit, 0x3ff);
}
END_TEST

START_TEST(machine_status_word)
{
    rig_real_mode(r);
    cpu->s.gpr[RAX] = 0xffff000e;
    RUN(r, 0x0f, 0x01, 0xf0, /* lmsw ax: MP, EM, TS */
        0x0f, 0x01, 0xe3,    /* smsw bx */
        0x0f, 0x06);         /* clts */
    ck_assert_uint_eq(cpu->s.gpr[RBX], 0x1e);
    ck_assert_uint_eq(cpu->s.cr0 & 0xf, CR0_MP | CR0_EM);
}
END_TEST

START_TEST(fs_and_gs_base)
{
    rig_long_mode(r);
    cpu->s.cr4 |= CR4_FSGSBASE;
    cpu->s.gpr[RAX] = 0xffff800000001000;
    cpu->s.gpr[RCX] = 0xaaaaaaaa55555555;
    RUN(r, 0xf3, 0x48, 0x0f, 0xae, 0xd0, /* wrfsbase rax */
        0xf3, 0x0f, 0xae, 0xd9,          /* wrgsbase ecx */
        0xf3, 0x48, 0x0f, 0xae, 0xc3,    /* rdfsbase rbx */
        0xf3, 0x0f, 0xae, 0xc2);         /* rdfsbase edx */
    ck_assert_uint_eq(cpu->s.seg[FS].base, 0xffff800000001000);
    ck_assert_uint_eq(cpu->s.seg[GS].base, 0x55555555);
    ck_assert_uint_eq(cpu->s.gpr[RBX], 0xffff800000001000);
    ck_assert_uint_eq(cpu->s.gpr[RDX], 0x1000);
}
END_TEST

START_TEST(stac_picks_the_other_tlb)
{
    rig_long_mode(r);
    cpu->s.cr4 |= CR4_SMAP;
    cpu_push(cpu);
    cpu->s.gpr[RBX] = 0x3000; /* a user page */
    r->ram[0x3000] = 0x77;
    RUN(r, 0x0f, 0x01, 0xcb, /* stac */
        0x8a, 0x03,          /* mov al, [rbx] */
        0x0f, 0x01, 0xca);   /* clac */
    ck_assert_uint_eq(cpu->s.gpr[RAX] & 0xff, 0x77);
    ck_assert_uint_eq(cpu->s.rflags & FLAG_AC, 0);
    ck_assert_uint_eq(cpu->s.activity, CPU_RUNNING);
}
END_TEST

START_TEST(time_and_identity)
{
    rig_long_mode(r);
    r->now = 0x123456789;
    cpu->s.tsc_aux = 42;
    cpu->s.gpr[RAX] = cpu->s.gpr[RCX] = UINT64_MAX;
    RUN(r, 0x0f, 0x01, 0xf9); /* rdtscp */
    ck_assert_uint_eq(cpu->s.gpr[RAX], 0x23456789);
    ck_assert_uint_eq(cpu->s.gpr[RDX], 1);
    ck_assert_uint_eq(cpu->s.gpr[RCX], 42);
    cpu->s.rip = RIG_CODE;
    cpu->s.gpr[RAX] = 0x40000000;
    RUN(r, 0x0f, 0xa2, 0xf3, 0x0f, 0xc7, 0xff); /* cpuid; rdpid rdi */
    ck_assert_uint_eq(cpu->s.gpr[RBX], 0x4b4d564b); /* "KVMK": with kvm-clock */
    ck_assert_uint_eq(cpu->s.gpr[RDI], 42);
}
END_TEST

START_TEST(performance_counters_stand_still)
{
    static const uint8_t code[] = {0x0f, 0x33}; /* rdpmc */

    rig_long_mode(r);
    cpu->s.gpr[RAX] = cpu->s.gpr[RDX] = UINT64_MAX;
    cpu->s.gpr[RCX] = 3;
    rig_run(r, code, sizeof(code));
    ck_assert_uint_eq(cpu->s.gpr[RAX], 0);
    ck_assert_uint_eq(cpu->s.gpr[RDX], 0);
    cpu->s.rip = RIG_CODE;
    cpu->s.gpr[RCX] = 4;
    cpu_push(cpu);
    ck_assert_int_eq(rig_run(r, code, sizeof(code)), CPU_EXIT_SHUTDOWN); /* #GP, and no IDT to take it */
    ck_assert_uint_eq(cpu->s.gpr[RCX], 4);
}
END_TEST

START_TEST(ports)
{
    rig_real_mode(r);
    cpu->s.gpr[RAX] = 0xffffffffffffff5a;
    cpu->s.gpr[RDX] = RIG_PORT;
    r->next_read = 0x10;
    RUN(r, 0xee,    /* out dx, al */
        0xed,       /* in ax, dx */
        0x66, 0xef, /* out dx, eax */
        0xec);      /* in al, dx */
    ck_assert_uint_eq(r->written_count, 2);
    ck_assert_uint_eq(r->written[0], 0x5a);
    ck_assert_uint_eq(r->written[1], 0x10);
    ck_assert_uint_eq(cpu->s.gpr[RAX], 0xffffffffffff0011);
}
END_TEST

START_TEST(invpcid_rules)
{
    struct cpu_fault chain[4];

    rig_long_mode(r);
    rig_put64(r, 0x3000, 1);
    cpu->s.gpr[RBX] = 0x3000;
    cpu->s.gpr[RAX] = 2;
    RUN(r, 0x66, 0x0f, 0x38, 0x82, 0x03); /* invpcid rax, [rbx]: everything */
    ck_assert_uint_eq(cpu->s.activity, CPU_RUNNING);
    cpu->s.rip = RIG_CODE;
    cpu->s.gpr[RAX] = 1; /* one context, not 0, without PCIDE */
    ck_assert_int_eq(cpu_run(cpu, 10), CPU_EXIT_SHUTDOWN);
    ck_assert_uint_ge(cpu_chain(cpu, chain, 4), 1);
    ck_assert_uint_eq(chain[0].vector, EX_GP);
    ck_assert_uint_eq(chain[0].error, 0);
}
END_TEST

Suite *system_suite(void)
{
    Suite *suite = suite_create("system");
    TCase *tc = tcase_create("system");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, cr0_combinations);
    tcase_add_test(tc, long_mode_entry);
    tcase_add_test(tc, long_mode_exit);
    tcase_add_test(tc, cr3_reserved_bits);
    tcase_add_test(tc, cr4_rules);
    tcase_add_test(tc, pae_loads_pdptes);
    tcase_add_test(tc, features_make_cr4_bits);
    tcase_add_test(tc, cr8_is_the_controllers);
    tcase_add_test(tc, debug_registers);
    tcase_add_test(tc, debug_aliases_and_general_detect);
    tcase_add_test(tc, table_registers_64);
    tcase_add_test(tc, table_registers_16);
    tcase_add_test(tc, machine_status_word);
    tcase_add_test(tc, fs_and_gs_base);
    tcase_add_test(tc, stac_picks_the_other_tlb);
    tcase_add_test(tc, time_and_identity);
    tcase_add_test(tc, performance_counters_stand_still);
    tcase_add_test(tc, ports);
    tcase_add_test(tc, invpcid_rules);
    suite_add_tcase(suite, tc);
    return suite;
}
