/*
 * exceptions.c - every exception that an instruction can raise in 64-bit mode, with its error code, RIP, CR2
 * and what it leaves of the registers, from CPL 0 and CPL 3 (SDM 3A chapter 6).
 */
#include "lib.h"

static struct regs r;

/* A fault leaves RIP at the instruction, a trap after it. */
#define FAULT(name, s, cpl, vector, error)                                                                   \
    do {                                                                                                     \
        r = snippet_regs(&s, cpl);                                                                           \
        test_run(name, &r, vector, error, s.at);                                                             \
    } while (0)
#define TRAP(name, s, cpl, vector)                                                                           \
    do {                                                                                                     \
        r = snippet_regs(&s, cpl);                                                                           \
        test_run(name, &r, vector, NO_ERROR, s.next);                                                        \
    } while (0)
/* Runs through: ends with its own INT 0x80, which is two bytes long. */
#define THROUGH(name, s, cpl)                                                                                \
    do {                                                                                                     \
        r = snippet_regs(&s, cpl);                                                                           \
        test_run(name, &r, VEC_END, NO_ERROR, s.next + 2);                                                   \
    } while (0)
#define BOTH(name, s, vector, error)                                                                         \
    do {                                                                                                     \
        FAULT(name ", CPL 0", s, 0, vector, error);                                                          \
        FAULT(name ", CPL 3", s, 3, vector, error);                                                          \
    } while (0)

/* #DE */
SNIPPET(s_div0, "mov $5, %eax; xor %ecx, %ecx", "div %ecx", "");
SNIPPET(s_div_big, "mov $2, %edx; xor %eax, %eax; mov $2, %ecx", "div %ecx", "");
SNIPPET(s_idiv_min, "mov $0x80000000, %eax; cltd; mov $-1, %ecx", "idiv %ecx", "");
SNIPPET(s_idiv64_min, "mov $1, %eax; shl $63, %rax; cqto; mov $-1, %rcx", "idiv %rcx", "");
SNIPPET(s_div8_big, "mov $0x1000, %eax; mov $16, %cl", "div %cl", "");
SNIPPET(s_div8_fits, "mov $0xFFF, %eax; mov $16, %cl", "div %cl", "");

static void divide_errors(void)
{
    BOTH("#DE div by zero", s_div0, VEC_DE, NO_ERROR);
    BOTH("#DE div quotient too large", s_div_big, VEC_DE, NO_ERROR);
    BOTH("#DE idiv INT_MIN by -1", s_idiv_min, VEC_DE, NO_ERROR);
    BOTH("#DE idiv INT64_MIN by -1", s_idiv64_min, VEC_DE, NO_ERROR);
    FAULT("#DE div 8-bit quotient 256", s_div8_big, 0, VEC_DE, NO_ERROR);
    test_begin("#DE leaves the dividend");
    test_equal(r.rax, 0x1000, "RAX");
    test_end();
    THROUGH("div 8-bit quotient 255", s_div8_fits, 0);
    test_begin("div 8-bit result");
    test_equal(r.rax, 0xFFF, "RAX"); /* AH remainder 15, AL quotient 255 */
    test_end();
}

/* #DB, #BP */
SNIPPET(s_int1, "", ".byte 0xF1", "");
SNIPPET(s_int3, "", "int3", "");
SNIPPET(s_int_3, "", ".byte 0xCD, 3", "");
SNIPPET(s_nop, "", "nop", "");
SNIPPET(s_rep_tf, "mov $3, %ecx; mov %rsp, %rdi; sub $64, %rdi", "rep stosb", "");
SNIPPET(s_popf_tf, "pushfq; orl $0x100, (%rsp)", "popfq", "s_popf_tf_after: nop; s_popf_tf_end:");
SNIPPET(s_mov_ss_tf, "mov $0x10, %eax", "mov %eax, %ss", "nop; s_mov_ss_tf_end:");
SNIPPET(s_store, "mov %rsp, %rdi", "movl %eax, -16(%rdi)", "nop");
SNIPPET(s_load, "mov %rsp, %rdi", "movl -16(%rdi), %eax", "nop");
SNIPPET(s_mov_dr, "", "mov %dr0, %rax", "");
SNIPPET(s_dr4, "", "mov %dr4, %rax", "");
extern const uint8_t s_popf_tf_end[], s_mov_ss_tf_end[];

static uint64_t read_dr6(void)
{
    uint64_t value;
    __asm__ volatile("mov %%dr6, %0" : "=r"(value));
    return value;
}

static void write_dr6(uint64_t value)
{
    __asm__ volatile("mov %0, %%dr6" : : "r"(value));
}

static void set_breakpoint(uint64_t address, uint64_t dr7)
{
    __asm__ volatile("mov %0, %%dr0; mov %1, %%dr7" : : "r"(address), "r"(dr7));
}

static void test_dr6(const char *name, uint64_t want)
{
    test_begin(name);
    test_equal(read_dr6() & 0xE00F, want, "DR6");
    test_end();
    write_dr6(0xFFFF0FF0);
}

static void single_step(unsigned cpl)
{
    r = snippet_regs(&s_nop, cpl);
    r.rflags |= FLAG_TF;
    test_run(cpl ? "#DB single step, CPL 3" : "#DB single step, CPL 0", &r, VEC_DB, NO_ERROR, s_nop.next);
    test_dr6("DR6.BS after single step", 0x4000);
    r = snippet_regs(&s_rep_tf, cpl);
    r.rip = (uint64_t)s_rep_tf.at;
    r.rcx = 3;
    r.rdi = r.rsp - 64;
    r.rflags |= FLAG_TF;
    test_run("#DB single step within REP", &r, VEC_DB, NO_ERROR, s_rep_tf.at);
    test_begin("REP stopped after one round");
    test_equal(r.rcx, 2, "RCX");
    test_end();
    /* POPF sets TF: the first trap comes after the instruction that follows it. */
    r = snippet_regs(&s_popf_tf, cpl);
    test_run("#DB after POPF sets TF", &r, VEC_DB, NO_ERROR, s_popf_tf_end);
    write_dr6(0xFFFF0FF0);
}

static void breakpoints(void)
{
    write_dr6(0xFFFF0FF0);
    enum { EXECUTE_L0 = 0x402, WRITE4 = 0xD0402, READ_WRITE4 = 0xF0402 };
    set_breakpoint((uint64_t)s_nop.at, EXECUTE_L0);
    FAULT("#DB instruction breakpoint", s_nop, 0, VEC_DB, NO_ERROR);
    test_dr6("DR6.B0 after instruction breakpoint", 1);
    r = snippet_regs(&s_nop, 0);
    r.rflags |= FLAG_RF;
    test_run("RF holds off an instruction breakpoint", &r, VEC_END, NO_ERROR, s_nop.next + 2);
    write_dr6(0xFFFF0FF0);
    set_breakpoint((uint64_t)stack3_top - 16, WRITE4);
    TRAP("#DB data breakpoint on a write", s_store, 3, VEC_DB);
    test_dr6("DR6.B0 after data breakpoint", 1);
    r = snippet_regs(&s_load, 3);
    test_run("write breakpoint ignores a read", &r, VEC_END, NO_ERROR, s_load.next + 3);
    set_breakpoint((uint64_t)stack3_top - 16, READ_WRITE4);
    TRAP("#DB data breakpoint on a read", s_load, 3, VEC_DB);
    write_dr6(0xFFFF0FF0);
    set_breakpoint(0, 0x2400); /* DR7.GD */
    FAULT("#DB general detect", s_mov_dr, 0, VEC_DB, NO_ERROR);
    test_dr6("DR6.BD after general detect", 0x2000); /* the delivery cleared GD, so this can be read */
    set_breakpoint(0, 0x400);
    FAULT("#GP mov from DR at CPL 3", s_mov_dr, 3, VEC_GP, 0);
    THROUGH("DR4 is DR6 with CR4.DE = 0", s_dr4, 0);
    write_cr4(read_cr4() | 8);
    FAULT("#UD DR4 with CR4.DE = 1", s_dr4, 0, VEC_UD, NO_ERROR);
    write_cr4(read_cr4() & ~8ull);
}

static void debug_exceptions(void)
{
    write_dr6(0xFFFF0FF0);
    TRAP("#DB INT1, CPL 0", s_int1, 0, VEC_DB);
    TRAP("#DB INT1, CPL 3", s_int1, 3, VEC_DB);
    test_dr6("DR6 untouched by INT1", 0);
    TRAP("#BP INT3, CPL 0", s_int3, 0, VEC_BP);
    TRAP("#BP INT3, CPL 3", s_int3, 3, VEC_BP);
    TRAP("#BP INT 3 in two bytes, CPL 3", s_int_3, 3, VEC_BP);
    single_step(0);
    single_step(3);
    r = snippet_regs(&s_mov_ss_tf, 0);
    r.rip = (uint64_t)s_mov_ss_tf.at;
    r.rax = SEL_DATA;
    r.rflags |= FLAG_TF;
    test_run("MOV SS holds off the single step by one", &r, VEC_DB, NO_ERROR, s_mov_ss_tf_end);
    breakpoints();
}

/* #UD */
SNIPPET(u_ud2, "", "ud2", "");
SNIPPET(u_ud1, "", ".byte 0x0F, 0xB9, 0xC0", "");
SNIPPET(u_push_es, "", ".byte 0x06", "");
SNIPPET(u_daa, "", ".byte 0x27", "");
SNIPPET(u_aaa, "", ".byte 0x37", "");
SNIPPET(u_pusha, "", ".byte 0x60", "");
SNIPPET(u_82, "", ".byte 0x82, 0xC0, 0", "");
SNIPPET(u_callf, "", ".byte 0x9A, 0, 0, 0, 0, 8, 0", "");
SNIPPET(u_into, "", ".byte 0xCE", "");
SNIPPET(u_aam, "", ".byte 0xD4, 10", "");
SNIPPET(u_salc, "", ".byte 0xD6", "");
SNIPPET(u_jmpf, "", ".byte 0xEA, 0, 0, 0, 0, 8, 0", "");
SNIPPET(u_lock_reg, "", ".byte 0xF0, 0x01, 0xC0", "");
SNIPPET(u_lock_mov, "mov %rsp, %rdi", ".byte 0xF0, 0x89, 0x07", "");
SNIPPET(u_lock_cmp, "mov %rsp, %rdi", ".byte 0xF0, 0x39, 0x07", "");
SNIPPET(u_lock_nop, "", ".byte 0xF0, 0x90", "");
SNIPPET(u_lock_bt, "mov %rsp, %rdi", ".byte 0xF0, 0x0F, 0xA3, 0x07", "");
SNIPPET(u_lea_reg, "", ".byte 0x8D, 0xC0", "");
SNIPPET(u_mov_cs, "", ".byte 0x8E, 0xC8", "");
SNIPPET(u_mov_seg6, "", ".byte 0x8E, 0xF0", "");
SNIPPET(u_fe7, "", ".byte 0xFE, 0xF8", "");
SNIPPET(u_ff7, "", ".byte 0xFF, 0xF8", "");
SNIPPET(u_c6_1, "", ".byte 0xC6, 0xC8, 0", "");
SNIPPET(u_8f_1, "", ".byte 0x8F, 0xC8", "");
SNIPPET(u_cr1, "", ".byte 0x0F, 0x20, 0xC8", "");
SNIPPET(u_cmpxchg8b_reg, "", ".byte 0x0F, 0xC7, 0xC8", "");
SNIPPET(u_lidt_reg, "", ".byte 0x0F, 0x01, 0xD9 ^ 0xC0", "");
SNIPPET(g_15, "", ".fill 14, 1, 0x66\n.byte 0x90", "");
SNIPPET(g_16, "", ".fill 15, 1, 0x66\n.byte 0x90", "");

static void undefined_opcodes(void)
{
    static const struct {
        const char *name;
        const struct snippet *s;
    } rows[] = {
        {"#UD UD2", &u_ud2},
        {"#UD UD1", &u_ud1},
        {"#UD PUSH ES", &u_push_es},
        {"#UD DAA", &u_daa},
        {"#UD AAA", &u_aaa},
        {"#UD PUSHA", &u_pusha},
        {"#UD opcode 82", &u_82},
        {"#UD direct far CALL", &u_callf},
        {"#UD INTO", &u_into},
        {"#UD AAM", &u_aam},
        {"#UD SALC", &u_salc},
        {"#UD direct far JMP", &u_jmpf},
        {"#UD LOCK ADD to a register", &u_lock_reg},
        {"#UD LOCK MOV", &u_lock_mov},
        {"#UD LOCK CMP", &u_lock_cmp},
        {"#UD LOCK NOP", &u_lock_nop},
        {"#UD LOCK BT", &u_lock_bt},
        {"#UD LEA of a register", &u_lea_reg},
        {"#UD MOV to CS", &u_mov_cs},
        {"#UD MOV to segment register 6", &u_mov_seg6},
        {"#UD FE /7", &u_fe7},
        {"#UD FF /7", &u_ff7},
        {"#UD C6 /1", &u_c6_1},
        {"#UD 8F /1", &u_8f_1},
        {"#UD MOV from CR1", &u_cr1},
        {"#UD CMPXCHG8B of a register", &u_cmpxchg8b_reg},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (unsigned cpl = 0; cpl <= 3; cpl += 3) {
            r = snippet_regs(rows[i].s, cpl);
            test_run(rows[i].name, &r, VEC_UD, NO_ERROR, rows[i].s->at);
        }
    THROUGH("15 bytes are an instruction", g_15, 3);
    BOTH("#GP 16 bytes are none", g_16, VEC_GP, 0);
}

/* #NM, #MF, #XM */
SNIPPET(n_fld, "", "fld1", "");
SNIPPET(n_wait, "", "fwait", "");
SNIPPET(n_sse, "", "xorps %xmm0, %xmm0", "");
SNIPPET(n_movaps, "mov %rsp, %rdi", "movaps %xmm0, -24(%rdi)", "");
SNIPPET(n_movups, "mov %rsp, %rdi", "movups %xmm0, -24(%rdi)", "");
SNIPPET(m_mf, "fninit; push $0x37B; fldcw (%rsp); fld1; fldz; fdivrp", "fwait", "");
SNIPPET(m_mf_ax, "fninit; push $0x37B; fldcw (%rsp); fld1; fldz; fdivrp; fnstsw %ax", "fld1", "");
SNIPPET(m_xm, "push $0x1D80; ldmxcsr (%rsp); mov $1, %eax; cvtsi2ss %eax, %xmm0; xorps %xmm1, %xmm1",
        "divss %xmm1, %xmm0", "");

static void fpu_exceptions(void)
{
    enum { MP = 2, EM = 4, TS = 8, NE = 0x20, OSFXSR = 0x200, OSXMMEXCPT = 0x400 };
    uint64_t cr0 = read_cr0() & ~(uint64_t)(MP | EM | TS | NE);
    write_cr4(read_cr4() | OSFXSR | OSXMMEXCPT);
    write_cr0(cr0 | TS);
    BOTH("#NM x87 with CR0.TS", n_fld, VEC_NM, NO_ERROR);
    BOTH("#NM SSE with CR0.TS", n_sse, VEC_NM, NO_ERROR);
    THROUGH("FWAIT with CR0.TS without MP", n_wait, 3);
    write_cr0(cr0 | TS | MP);
    BOTH("#NM FWAIT with CR0.TS and MP", n_wait, VEC_NM, NO_ERROR);
    write_cr0(cr0 | EM);
    BOTH("#NM x87 with CR0.EM", n_fld, VEC_NM, NO_ERROR);
    BOTH("#UD SSE with CR0.EM", n_sse, VEC_UD, NO_ERROR);
    write_cr0(cr0 | MP | NE);
    write_cr4(read_cr4() & ~(uint64_t)OSFXSR);
    BOTH("#UD SSE without CR4.OSFXSR", n_sse, VEC_UD, NO_ERROR);
    write_cr4(read_cr4() | OSFXSR);
    BOTH("#GP MOVAPS unaligned", n_movaps, VEC_GP, 0);
    THROUGH("MOVUPS unaligned", n_movups, 3);
    BOTH("#MF at FWAIT", m_mf, VEC_MF, NO_ERROR);
    BOTH("#MF at the next x87 instruction", m_mf_ax, VEC_MF, NO_ERROR);
    test_begin("status word before #MF");
    test_equal(r.rax & 0x84, 0x84, "AX"); /* ES and ZE */
    test_end();
    __asm__ volatile("fninit");
    BOTH("#XM divide by zero", m_xm, VEC_XM, NO_ERROR);
    write_cr4(read_cr4() & ~(uint64_t)OSXMMEXCPT);
    FAULT("#UD instead of #XM without OSXMMEXCPT", m_xm, 3, VEC_UD, NO_ERROR);
    write_cr4(read_cr4() | OSXMMEXCPT);
}

/* #GP */
SNIPPET(g_noncanonical, "mov $1, %eax; shl $63, %rax", "mov (%rax), %ecx", "");
SNIPPET(g_store_noncanonical, "mov $1, %eax; shl $47, %rax", "mov %ecx, (%rax)", "");
SNIPPET(g_straddle, "mov $1, %eax; shl $47, %rax", "mov %ecx, -2(%rax)", "");
SNIPPET(g_jmp_noncanonical, "mov $1, %eax; shl $63, %rax", "jmp *%rax", "");
SNIPPET(g_call_noncanonical, "mov $1, %eax; shl $63, %rax", "call *%rax", "");
SNIPPET(g_ret_noncanonical, "mov $1, %eax; shl $63, %rax; push %rax", "ret", "");
SNIPPET(g_hlt, "", "hlt", "");
SNIPPET(g_cli, "", "cli", "");
SNIPPET(g_sti, "", "sti", "");
SNIPPET(g_in, "", "in $0x80, %al", "");
SNIPPET(g_outl_dx, "mov $0x80, %edx", "out %eax, %dx", "");
SNIPPET(g_insb, "mov $0x80, %edx; mov %rsp, %rdi; sub $8, %rdi", "insb", "");
SNIPPET(g_cr0, "", "mov %cr0, %rax", "");
SNIPPET(g_cr8_16, "mov $16, %eax", "mov %rax, %cr8", "");
SNIPPET(g_lgdt, "mov %rsp, %rdi", "lgdt -16(%rdi)", "");
SNIPPET(g_ltr, "mov $0x38, %eax", "ltr %ax", "");
SNIPPET(g_lmsw, "xor %eax, %eax", "lmsw %ax", "");
SNIPPET(g_clts, "", "clts", "");
SNIPPET(g_invlpg, "", "invlpg (%rsp)", "");
SNIPPET(g_wbinvd, "", "wbinvd", "");
SNIPPET(g_rdmsr, "mov $0xC0000080, %ecx", "rdmsr", "");
SNIPPET(g_rdmsr_unknown, "mov $0x4FFFFFFF, %ecx", "rdmsr", "");
SNIPPET(g_wrmsr_efer, "mov $0xC0000080, %ecx; rdmsr; or $4, %edx", "wrmsr", "");
SNIPPET(g_wrmsr_efer_lme, "mov $0xC0000080, %ecx; rdmsr; btr $8, %eax", "wrmsr", "");
SNIPPET(g_wrmsr_lstar, "mov $0xC0000082, %ecx; xor %eax, %eax; mov $0x8000, %edx", "wrmsr", "");
SNIPPET(g_wrmsr_fsbase, "mov $0xC0000100, %ecx; xor %eax, %eax; mov $0x8000, %edx", "wrmsr", "");
SNIPPET(g_cr4_reserved, "mov %cr4, %rax; bts $31, %rax", "mov %rax, %cr4", "");
SNIPPET(g_cr4_pae, "mov %cr4, %rax; btr $5, %rax", "mov %rax, %cr4", "");
SNIPPET(g_cr0_pg_no_pe, "mov %cr0, %rax; btr $0, %rax", "mov %rax, %cr0", "");
SNIPPET(g_cr0_nw, "mov %cr0, %rax; bts $29, %rax; btr $30, %rax", "mov %rax, %cr0", "");
SNIPPET(g_cr0_high, "mov %cr0, %rax; bts $32, %rax", "mov %rax, %cr0", "");
SNIPPET(g_cr3_high, "mov %cr3, %rax; bts $62, %rax", "mov %rax, %cr3", "");
SNIPPET(g_int_dpl, "", "int $0x21", "");
SNIPPET(g_swapgs, "", "swapgs", "");
SNIPPET(g_sysret, "", "sysretl", "");
SNIPPET(g_ss_null, "xor %eax, %eax", "mov %eax, %ss", "");
SNIPPET(g_ds_null, "xor %eax, %eax", "mov %eax, %ds", "");
SNIPPET(g_ds_beyond, "mov $0x104, %eax", "mov %eax, %ds", "");
SNIPPET(g_ds_ldt, "mov $0x0C, %eax", "mov %eax, %ds", "");
SNIPPET(g_ds_execute, "mov $0x58, %eax", "mov %eax, %ds", "");
SNIPPET(g_ds_np, "mov $0x63, %eax", "mov %eax, %ds", "");
SNIPPET(g_ss_np, "mov $0x60, %eax; mov %cs, %ecx; and $3, %ecx; or %ecx, %eax", "mov %eax, %ss", "");
SNIPPET(g_ds_kernel, "mov $0x13, %eax", "mov %eax, %ds", "");
SNIPPET(g_ss_rpl, "mov $0x20, %eax; mov %cs, %ecx; not %ecx; and $3, %ecx; or %ecx, %eax", "mov %eax, %ss",
        "");
SNIPPET(g_ss_code, "mov $0x08, %eax", "mov %eax, %ss", "");
SNIPPET(g_iret_cs0, "mov %rsp, %rax; push $0x23; push %rax; pushfq; push $0; lea 1f(%rip), %rax; push %rax",
        "iretq", "1:");
SNIPPET(g_iret_cs_data,
        "mov %rsp, %rax; push $0x23; push %rax; pushfq; push $0x20; lea 1f(%rip), %rax; push %rax", "iretq",
        "1:");
SNIPPET(g_iret_nt,
        "mov %ss, %ecx; push %rcx; lea 8(%rsp), %rax; push %rax; pushfq; mov %cs, %ecx; push %rcx; "
        "lea g_iret_nt_next(%rip), %rax; push %rax; pushfq; orl $0x4000, (%rsp); popfq",
        "iretq", "");
SNIPPET(g_retf_np, "mov %cs, %ecx; and $3, %ecx; or $0x68, %ecx; push %rcx; lea 1f(%rip), %rax; push %rax",
        "lretq", "1:");
SNIPPET(g_retf_code32, "push $0x30; lea 1f(%rip), %rax; push %rax", "lretq", "1:");

static void test_segment_loads(void)
{
    gdt[SEL_FREE / 8] = descriptor(0, 0xFFFFF, 0xF9, 0xC);     /* 58 execute-only, DPL 3 */
    gdt[SEL_FREE / 8 + 1] = descriptor(0, 0xFFFFF, 0x73, 0xC); /* 60 data, DPL 3, not present */
    gdt[SEL_FREE / 8 + 2] = descriptor(0, 0xFFFFF, 0x7F, 0xA); /* 68 conforming code, DPL 3, not present */
    THROUGH("null DS is allowed", g_ds_null, 3);
    FAULT("#GP null SS at CPL 3", g_ss_null, 3, VEC_GP, 0);
    THROUGH("null SS at CPL 0", g_ss_null, 0);
    BOTH("#GP selector beyond the GDT", g_ds_beyond, VEC_GP, 0x104);
    BOTH("#GP selector in no LDT", g_ds_ldt, VEC_GP, 0x0C);
    BOTH("#GP execute-only code into DS", g_ds_execute, VEC_GP, 0x58);
    BOTH("#NP data segment", g_ds_np, VEC_NP, 0x60);
    FAULT("#GP privileged data into DS", g_ds_kernel, 3, VEC_GP, 0x10);
    BOTH("#GP wrong RPL into SS", g_ss_rpl, VEC_GP, 0x20);
    FAULT("#GP code into SS", g_ss_code, 0, VEC_GP, 0x08);
    gdt[SEL_FREE / 8 + 1] = descriptor(0, 0xFFFFF, 0x73, 0xC);
    FAULT("#SS stack segment not present, CPL 3", g_ss_np, 3, VEC_SS, 0x60);
    gdt[SEL_FREE / 8 + 1] = descriptor(0, 0xFFFFF, 0x13, 0xC);
    FAULT("#SS stack segment not present, CPL 0", g_ss_np, 0, VEC_SS, 0x60);
    gdt[SEL_FREE / 8 + 2] = descriptor(0, 0xFFFFF, 0x7B, 0xA);
    FAULT("#NP far return to code not present", g_retf_np, 3, VEC_NP, 0x68);
    FAULT("#GP far return inward", g_retf_code32, 3, VEC_GP, 0x30);
}

static void privileged(void)
{
    static const struct {
        const char *name;
        const struct snippet *s;
    } rows[] = {
        {"#GP HLT at CPL 3", &g_hlt},          {"#GP CLI at CPL 3", &g_cli},
        {"#GP STI at CPL 3", &g_sti},          {"#GP IN at CPL 3", &g_in},
        {"#GP OUT DX at CPL 3", &g_outl_dx},   {"#GP INSB at CPL 3", &g_insb},
        {"#GP MOV from CR0 at CPL 3", &g_cr0}, {"#GP LGDT at CPL 3", &g_lgdt},
        {"#GP LTR at CPL 3", &g_ltr},          {"#GP LMSW at CPL 3", &g_lmsw},
        {"#GP CLTS at CPL 3", &g_clts},        {"#GP INVLPG at CPL 3", &g_invlpg},
        {"#GP WBINVD at CPL 3", &g_wbinvd},    {"#GP RDMSR at CPL 3", &g_rdmsr},
        {"#GP SWAPGS at CPL 3", &g_swapgs},    {"#GP SYSRET at CPL 3", &g_sysret},
    };
    wrmsr(0xC0000080, rdmsr(0xC0000080) | 1); /* EFER.SCE, or SYSRET would be #UD */
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        r = snippet_regs(rows[i].s, 3);
        test_run(rows[i].name, &r, VEC_GP, 0, rows[i].s->at);
    }
    /* An open I/O bitmap makes the port accessible, bit by bit. */
    tss.io_map = offsetof(struct tss, io_bits);
    memset(tss.io_bits, 0xFF, sizeof tss.io_bits);
    tss.io_bits[0x80 / 8] = 0xFE;
    THROUGH("IN through the I/O bitmap", g_in, 3);
    FAULT("#GP 32-bit OUT with one port open", g_outl_dx, 3, VEC_GP, 0);
    tss.io_bits[0x80 / 8] = 0xF0;
    THROUGH("32-bit OUT with four ports open", g_outl_dx, 3);
    tss.io_map = sizeof tss;
    r = snippet_regs(&g_cli, 3);
    r.rflags |= FLAG_IOPL;
    test_run("CLI at CPL 3 with IOPL 3", &r, VEC_END, NO_ERROR, g_cli.next + 2);
}

static void general_protection(void)
{
    BOTH("#GP load from a non-canonical address", g_noncanonical, VEC_GP, 0);
    BOTH("#GP store to a non-canonical address", g_store_noncanonical, VEC_GP, 0);
    BOTH("#GP store into the canonical hole's edge", g_straddle, VEC_GP, 0);
    BOTH("#GP JMP to a non-canonical address", g_jmp_noncanonical, VEC_GP, 0);
    BOTH("#GP CALL to a non-canonical address", g_call_noncanonical, VEC_GP, 0);
    BOTH("#GP RET to a non-canonical address", g_ret_noncanonical, VEC_GP, 0);
    test_begin("a faulting RET leaves RSP");
    test_equal(r.rsp, (uint64_t)stack3_top - 8, "RSP");
    test_end();
    FAULT("#GP CR8 = 16", g_cr8_16, 0, VEC_GP, 0);
    FAULT("#GP RDMSR of an unknown MSR", g_rdmsr_unknown, 0, VEC_GP, 0);
    FAULT("#GP reserved EFER bit", g_wrmsr_efer, 0, VEC_GP, 0);
    FAULT("#GP EFER.LME cleared with paging on", g_wrmsr_efer_lme, 0, VEC_GP, 0);
    FAULT("#GP non-canonical LSTAR", g_wrmsr_lstar, 0, VEC_GP, 0);
    FAULT("#GP non-canonical FS base", g_wrmsr_fsbase, 0, VEC_GP, 0);
    FAULT("#GP reserved CR4 bit", g_cr4_reserved, 0, VEC_GP, 0);
    FAULT("#GP CR4.PAE cleared in long mode", g_cr4_pae, 0, VEC_GP, 0);
    FAULT("#GP CR0.PG without PE", g_cr0_pg_no_pe, 0, VEC_GP, 0);
    FAULT("#GP CR0.NW without CD", g_cr0_nw, 0, VEC_GP, 0);
    FAULT("#GP high CR0 bit", g_cr0_high, 0, VEC_GP, 0);
    FAULT("#GP reserved CR3 bit", g_cr3_high, 0, VEC_GP, 0);
    FAULT("#GP INT with gate DPL 0", g_int_dpl, 3, VEC_GP, 0x21 * 8 + 2);
    TRAP("INT 0x21 at CPL 0", g_int_dpl, 0, 0x21);
    FAULT("#GP IRET to null CS", g_iret_cs0, 0, VEC_GP, 0);
    FAULT("#GP IRET to a data segment", g_iret_cs_data, 0, VEC_GP, 0x20);
    BOTH("#GP IRET with NT in long mode", g_iret_nt, VEC_GP, 0);
    privileged();
    test_segment_loads();
}

/* #SS, #TS, #NP, #DF */
SNIPPET(x_push, "", "push %rax", "");
SNIPPET(x_rbp, "mov $1, %ebp; shl $63, %rbp", "mov (%rbp), %eax", "");
SNIPPET(x_rbp_index, "mov $1, %eax; shl $63, %rax; xor %ebp, %ebp", "mov (%rbp,%rax), %ecx", "");
SNIPPET(x_rsp, "mov $1, %eax; shl $63, %rax", "mov (%rsp,%rax), %ecx", "");
SNIPPET(x_end, "", "nop", "");
SNIPPET(x_ud, "", "ud2", "");

static void test_stack_and_delivery(void)
{
    r = snippet_regs(&x_push, 3);
    r.rsp = 1ull << 63;
    test_run("#SS PUSH with non-canonical RSP, CPL 3", &r, VEC_SS, 0, x_push.at);
    r = snippet_regs(&x_push, 0);
    r.rsp = 1ull << 63;
    test_run("#SS PUSH with non-canonical RSP, CPL 0", &r, VEC_SS, 0, x_push.at);
    BOTH("#SS load through RBP", x_rbp, VEC_SS, 0);
    BOTH("#SS load through RBP with index", x_rbp_index, VEC_SS, 0);
    BOTH("#SS load through RSP with index", x_rsp, VEC_SS, 0);

    /* A gate that is not present: INT n itself gives EXT = 0, an exception's delivery EXT = 1. */
    idt[0x21].type = 0x6E;
    FAULT("#NP INT through a gate not present", g_int_dpl, 3, VEC_NP, 0x21 * 8 + 2);
    idt[0x21].type = 0x8E;
    idt[VEC_UD].type = 0x0E;
    FAULT("#NP while delivering #UD", x_ud, 3, VEC_NP, VEC_UD * 8 + 3);
    idt[VEC_UD].type = 0x8E;
    idt[VEC_UD].type = 0x85; /* a task gate, which 64-bit mode doesn't have */
    FAULT("#GP while delivering #UD through a task gate", x_ud, 3, VEC_GP, VEC_UD * 8 + 3);
    idt[VEC_UD].type = 0x8E;
    idt[0x21].selector = SEL_DATA;
    FAULT("#GP gate to a data segment", g_int_dpl, 0, VEC_GP, SEL_DATA);
    idt[0x21].selector = SEL_CODE32;
    FAULT("#GP gate to 32-bit code", g_int_dpl, 0, VEC_GP, SEL_CODE32);
    idt[0x21].selector = 0;
    FAULT("#GP gate to the null selector", g_int_dpl, 0, VEC_GP, 0);
    idt[0x21].selector = SEL_CODE64;

    /* Two contributory exceptions in a row make #DF with error code 0. */
    idt[VEC_DE].type = 0x0E;
    FAULT("#DF #NP while delivering #DE", s_div0, 3, VEC_DF, 0);
    idt[VEC_DE].type = 0x8E;
    idt[VEC_GP].type = 0x0E;
    FAULT("#DF #NP while delivering #GP", g_hlt, 3, VEC_DF, 0);
    idt[VEC_GP].type = 0x8E;

    /* RSP0 is bad. The new SS is null, so the error code is EXT alone. */
    set_gate(VEC_UD, lib_entries[VEC_UD], SEL_CODE64, 0, 0x8E);
    set_gate(0x21, lib_entries[0x21], SEL_CODE64, 0, 0xEE);
    uint64_t rsp0 = tss.rsp[0];
    tss.rsp[0] = 1ull << 63;
    FAULT("#SS non-canonical RSP0 for INT", g_int_dpl, 3, VEC_SS, 0);
    FAULT("#SS non-canonical RSP0 for #UD", x_ud, 3, VEC_SS, 1);
    tss.rsp[0] = rsp0;
    set_gate(VEC_UD, lib_entries[VEC_UD], SEL_CODE64, 1, 0x8E);
    /* The TSS ends after IST 1, which #TS itself needs. */
    set_gate(0x21, lib_entries[0x21], SEL_CODE64, 7, 0xEE);
    set_tss_limit(offsetof(struct tss, ist) + 8 - 1);
    FAULT("#TS TSS too short for the IST entry, INT", g_int_dpl, 3, VEC_TS, SEL_TSS);
    set_gate(VEC_UD, lib_entries[VEC_UD], SEL_CODE64, 7, 0x8E);
    FAULT("#TS TSS too short for the IST entry, #UD", x_ud, 3, VEC_TS, SEL_TSS + 1);
    set_gate(VEC_UD, lib_entries[VEC_UD], SEL_CODE64, 1, 0x8E);
    set_gate(0x21, lib_entries[0x21], SEL_CODE64, 0, 0x8E);
    set_tss_limit(sizeof tss - 1);

    /* A page fault while delivering a page fault. */
    uint64_t ist2 = tss.ist[1];
    tss.ist[1] = TEST_BASE + 0x1000;
    map_page(0, 0, 0);
    set_gate(VEC_PF, lib_entries[VEC_PF], SEL_CODE64, 2, 0x8E);
    SNIPPET(x_pf, "mov $1, %eax; shl $39, %rax; add $0x5000, %rax", "mov (%rax), %ecx", "");
    FAULT("#DF #PF while delivering #PF", x_pf, 3, VEC_DF, 0);
    test_begin("CR2 of the second #PF");
    test_equal(r.cr2, TEST_BASE + 0x1000 - 8, "CR2");
    test_end();
    set_gate(VEC_PF, lib_entries[VEC_PF], SEL_CODE64, 1, 0x8E);
    /* But #PF after a benign #UD is just that; EXT has no place in its error code. */
    set_gate(VEC_UD, lib_entries[VEC_UD], SEL_CODE64, 2, 0x8E);
    FAULT("#PF while delivering #UD", x_ud, 3, VEC_PF, 2);
    set_gate(VEC_UD, lib_entries[VEC_UD], SEL_CODE64, 1, 0x8E);
    tss.ist[1] = ist2;
}

/* #PF */
SNIPPET(p_read, "mov $1, %eax; shl $39, %rax", "mov 0xFFE(%rax), %ecx", "");
SNIPPET(p_write, "mov $1, %eax; shl $39, %rax", "mov %ecx, 0xFFE(%rax)", "");
SNIPPET(p_rmw, "mov $1, %eax; shl $39, %rax", "addl $1, 8(%rax)", "");
SNIPPET(p_cmpxchg, "mov $1, %edx; shl $39, %rdx; mov $1, %eax", "cmpxchg %ecx, 8(%rdx)", "");
SNIPPET(p_push, "mov $1, %esp; shl $39, %rsp; add $0x800, %rsp", "push %rax", "");
SNIPPET(p_jump, "mov $1, %eax; shl $39, %rax; jmp *%rax", "nop", "");

static void test_pf(const char *name, const struct snippet *s, unsigned cpl, uint64_t error, uint64_t cr2)
{
    r = snippet_regs(s, cpl);
    r.rcx = 0x1234;
    test_begin(name);
    run(&r);
    test_equal(r.vector, VEC_PF, "vector");
    test_equal(r.error, error, "error code");
    test_equal(r.cr2, cr2, "CR2");
    test_equal(r.rip, s == &p_jump ? TEST_BASE : (uint64_t)s->at, "RIP");
    test_equal(r.rcx, 0x1234, "RCX");
    test_end();
}

static void page_faults(void)
{
    static uint8_t page[8192] __attribute__((aligned(4096)));
    uint64_t a = (uint64_t)page, b = a + 4096;
    enum { RO_U = PTE_P | PTE_U, RW_U = PTE_P | PTE_W | PTE_U, RW_S = PTE_P | PTE_W };
    map_page(0, 0, 0);
    map_page(1, 0, 0);
    test_pf("#PF read, not present, CPL 0", &p_read, 0, 0, TEST_BASE + 0xFFE);
    test_pf("#PF read, not present, CPL 3", &p_read, 3, 4, TEST_BASE + 0xFFE);
    test_pf("#PF write, not present, CPL 0", &p_write, 0, 2, TEST_BASE + 0xFFE);
    test_pf("#PF write, not present, CPL 3", &p_write, 3, 6, TEST_BASE + 0xFFE);
    test_pf("#PF read-modify-write counts as write", &p_rmw, 3, 6, TEST_BASE + 8);
    test_pf("#PF push, not present", &p_push, 3, 6, TEST_BASE + 0x7F8);
    test_pf("#PF fetch, not present, without NX", &p_jump, 3, 4, TEST_BASE);
    map_page(0, a, RW_U);
    test_pf("#PF read's second page", &p_read, 3, 4, TEST_BASE + 0x1000);
    page[0xFFE] = 0x99;
    test_pf("#PF write's second page", &p_write, 3, 6, TEST_BASE + 0x1000);
    test_begin("a split write that faults writes nothing");
    test_equal(page[0xFFE], 0x99, "byte");
    test_end();
    map_page(1, b, RO_U);
    test_pf("#PF write's second page read-only", &p_write, 3, 7, TEST_BASE + 0x1000);
    map_page(0, a, RO_U);
    test_pf("#PF write, read-only, CPL 3", &p_rmw, 3, 7, TEST_BASE + 8);
    test_pf("#PF CMPXCHG that fails is a write", &p_cmpxchg, 3, 7, TEST_BASE + 8);
    map_page(0, a, RW_S);
    test_pf("#PF read of a supervisor page, CPL 3", &p_read, 3, 5, TEST_BASE + 0xFFE);
    test_pf("#PF write to a supervisor page, CPL 3", &p_write, 3, 7, TEST_BASE + 0xFFE);
    test_pf("#PF fetch from a supervisor page, CPL 3", &p_jump, 3, 5, TEST_BASE);
    map_page(0, 0, 0);
    map_page(1, 0, 0);
}

/* #AC */
SNIPPET(a_load, "mov %rsp, %rdi", "movl -15(%rdi), %eax", "");
SNIPPET(a_load_aligned, "mov %rsp, %rdi", "movl -16(%rdi), %eax", "");
SNIPPET(a_store2, "mov %rsp, %rdi", "movw %ax, -15(%rdi)", "");
SNIPPET(a_push, "dec %rsp", "push %rax", "");
SNIPPET(a_byte, "mov %rsp, %rdi", "movb -15(%rdi), %al", "");

static void test_ac(const char *name, const struct snippet *s, unsigned cpl, bool faults)
{
    r = snippet_regs(s, cpl);
    r.rflags |= FLAG_AC;
    if (faults)
        test_run(name, &r, VEC_AC, 0, s->at);
    else
        test_run(name, &r, VEC_END, NO_ERROR, s->next + 2);
}

static void alignment_checks(void)
{
    test_ac("no #AC without CR0.AM", &a_load, 3, false);
    write_cr0(read_cr0() | 1 << 18);
    test_ac("#AC 32-bit load", &a_load, 3, true);
    test_ac("no #AC aligned load", &a_load_aligned, 3, false);
    test_ac("#AC 16-bit store", &a_store2, 3, true);
    test_ac("#AC push", &a_push, 3, true);
    test_ac("no #AC byte", &a_byte, 3, false);
    test_ac("no #AC at CPL 0", &a_load, 0, false);
    write_cr0(read_cr0() & ~(1ull << 18));
}

void guest_main(void)
{
    divide_errors();
    debug_exceptions();
    undefined_opcodes();
    fpu_exceptions();
    general_protection();
    test_stack_and_delivery();
    page_faults();
    alignment_checks();
}
