/*
 * long.c - what long mode has of its own: SYSCALL and SYSENTER, SWAPGS and segment bases, 64-bit call gates,
 * compatibility mode, and how interrupts build their frames there (SDM 3A 5.8, 6.14; 2B SYSCALL).
 */
#include "lib.h"

enum {
    MSR_SYSENTER_CS = 0x174,
    MSR_SYSENTER_ESP = 0x175,
    MSR_SYSENTER_EIP = 0x176,
    MSR_EFER = 0xC0000080,
    MSR_STAR = 0xC0000081,
    MSR_LSTAR = 0xC0000082,
    MSR_FMASK = 0xC0000084,
    MSR_FS_BASE = 0xC0000100,
    MSR_GS_BASE = 0xC0000101,
    MSR_KERNEL_GS_BASE = 0xC0000102,
};

static struct regs r;

SNIPPET(l_end, "", "nop", "");
SNIPPET(l_syscall, "", "syscall", "");
SNIPPET(l_sysret, "", "sysretq", "");
SNIPPET(l_sysretl, "", "sysretl", "");
SNIPPET(l_sysenter, "", "sysenter", "");
SNIPPET(l_sysexit, "", "sysexitq", "");
SNIPPET_MODE(l_end32, ".code32", "", "nop", "");

static void run_to(unsigned vector, uint64_t rip)
{
    run(&r);
    test_equal(r.vector, vector, "vector");
    test_equal(r.rip, rip, "RIP");
}

/* SYSRET takes user selectors from STAR 63:48: CS + 16 and SS + 8, here 0x18 + 16 | 3 = 0x2B and 0x23. */
static void syscalls(void)
{
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~1ull);
    test_begin("#UD SYSCALL without EFER.SCE");
    r = snippet_regs(&l_syscall, 3);
    run_to(VEC_UD, (uint64_t)l_syscall.at);
    test_end();
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | 1);
    wrmsr(MSR_STAR, (uint64_t)SEL_CODE64 << 32 | (uint64_t)(0x18 | 3) << 48);
    wrmsr(MSR_LSTAR, (uint64_t)l_end.start);
    wrmsr(MSR_FMASK, FLAG_DF | FLAG_CF);
    test_begin("SYSCALL");
    r = snippet_regs(&l_syscall, 3);
    r.rflags |= FLAG_DF | FLAG_CF | FLAG_ZF;
    uint64_t rsp = r.rsp;
    run_to(VEC_END, (uint64_t)l_end.next + 2);
    test_equal(r.rcx, (uint64_t)l_syscall.next, "RCX");
    test_equal(r.r11 & ~(uint64_t)FLAG_RF, 2 | FLAG_DF | FLAG_CF | FLAG_ZF, "R11");
    test_equal(r.rflags & (FLAG_DF | FLAG_CF | FLAG_ZF), FLAG_ZF, "flags after the mask");
    test_equal(r.cs, SEL_CODE64, "CS");
    test_equal(r.ss, SEL_CODE64 + 8, "SS");
    test_equal(r.rsp, rsp, "RSP");
    test_end();
    test_begin("SYSRET to 64-bit code");
    r = snippet_regs(&l_sysret, 0);
    r.rcx = (uint64_t)l_end.start;
    r.r11 = FLAG_CF | FLAG_DF | FLAG_RF | FLAG_VM | 2;
    run_to(VEC_END, (uint64_t)l_end.next + 2);
    test_equal(r.cs, SEL_USER_CODE64, "CS");
    test_equal(r.ss, SEL_USER_DATA, "SS");
    test_equal(r.rflags & (FLAG_CF | FLAG_DF | FLAG_VM), FLAG_CF | FLAG_DF, "flags");
    test_end();
    /* 0x20 is data here, so the 32-bit user code segment must come from another STAR: 0x33 as base, itself.
     */
    test_begin("SYSRET to 32-bit code");
    wrmsr(MSR_STAR, (uint64_t)SEL_CODE64 << 32 | (uint64_t)SEL_USER_CODE32 << 48);
    r = snippet_regs(&l_sysretl, 0);
    r.rcx = 0xFFFFFFFF00000000 | (uint64_t)l_end32.start;
    r.r11 = 2;
    run_to(VEC_END, (uint64_t)l_end32.next + 2);
    test_equal(r.cs, SEL_USER_CODE32, "CS");
    test_end();
    test_begin("#UD SYSRET at CPL 0 without EFER.SCE");
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) & ~1ull);
    r = snippet_regs(&l_sysret, 0);
    run_to(VEC_UD, (uint64_t)l_sysret.at);
    test_end();
}

/* Its selectors must lie in a row: kernel code and data at 8, 10; SYSEXIT wants user code and data at CS + 32
 * and + 40. */
static void sysenter(void)
{
    if (!(cpuid(1, 0).d & 1 << 11)) {
        test_skip("SYSENTER", "the CPU lacks it");
        return;
    }
    if (cpuid(0, 0).b == 0x68747541) { /* "Auth", of AuthenticAMD */
        test_begin("#UD SYSENTER in long mode, on AMD");
        wrmsr(MSR_SYSENTER_CS, SEL_CODE64);
        r = snippet_regs(&l_sysenter, 3);
        run_to(VEC_UD, (uint64_t)l_sysenter.at);
        r = snippet_regs(&l_sysexit, 0);
        run_to(VEC_UD, (uint64_t)l_sysexit.at);
        test_end();
        return;
    }
    test_begin("#GP SYSENTER with a null CS");
    wrmsr(MSR_SYSENTER_CS, 0);
    r = snippet_regs(&l_sysenter, 3);
    run_to(VEC_GP, (uint64_t)l_sysenter.at);
    test_end();
    wrmsr(MSR_SYSENTER_CS, SEL_CODE64);
    wrmsr(MSR_SYSENTER_EIP, (uint64_t)l_end.start);
    wrmsr(MSR_SYSENTER_ESP, (uint64_t)stack0_top);
    test_begin("SYSENTER");
    r = snippet_regs(&l_sysenter, 3);
    r.rflags |= FLAG_CF;
    run_to(VEC_END, (uint64_t)l_end.next + 2);
    test_equal(r.cs, SEL_CODE64, "CS");
    test_equal(r.ss, SEL_DATA, "SS");
    test_equal(r.rsp, (uint64_t)stack0_top, "RSP");
    test_equal(r.rflags & FLAG_CF, FLAG_CF, "CF");
    test_end();
    test_begin("SYSEXIT to 64-bit code");
    r = snippet_regs(&l_sysexit, 0);
    r.rdx = (uint64_t)l_end.start;
    r.rcx = (uint64_t)stack3_top - 128;
    run_to(VEC_END, (uint64_t)l_end.next + 2);
    test_equal(r.cs, SEL_USER_CODE64, "CS");
    test_equal(r.ss, (SEL_CODE64 + 40) | 3, "SS");
    test_equal(r.rsp, (uint64_t)stack3_top - 128, "RSP");
    test_end();
    test_begin("#GP SYSEXIT at CPL 3");
    r = snippet_regs(&l_sysexit, 3);
    run_to(VEC_GP, (uint64_t)l_sysexit.at);
    test_end();
}

/* ---- segment bases ---- */

SNIPPET(b_fs, "", "mov %fs:8, %rax; mov %gs:8, %rbx", "");
SNIPPET(b_swapgs, "", "swapgs", "mov %gs:8, %rbx; swapgs; mov %gs:8, %rcx");
SNIPPET(b_load_fs, "mov $0x23, %eax", "mov %eax, %fs", "mov %fs:8(%rsi), %rbx");
SNIPPET(b_rdfsbase, "", "rdfsbase %rax; wrgsbase %rdi; rdgsbase %rbx", "");
SNIPPET(b_ds, "", "mov %ds:8(%rdi), %rax", "");

static void bases(void)
{
    static uint64_t one[2] = {0, 0x1111}, two[2] = {0, 0x2222}, three[2] = {0, 0x3333};
    test_begin("FS and GS bases");
    wrmsr(MSR_FS_BASE, (uint64_t)one);
    wrmsr(MSR_GS_BASE, (uint64_t)two);
    wrmsr(MSR_KERNEL_GS_BASE, (uint64_t)three);
    r = snippet_regs(&b_fs, 3);
    run_to(VEC_END, (uint64_t)b_fs.next + 2);
    test_equal(r.rax, 0x1111, "through FS");
    test_equal(r.rbx, 0x2222, "through GS");
    test_end();
    test_begin("SWAPGS");
    r = snippet_regs(&b_swapgs, 0);
    run(&r);
    test_equal(r.rbx, 0x3333, "through GS, swapped");
    test_equal(r.rcx, 0x2222, "through GS, swapped back");
    test_equal(rdmsr(MSR_KERNEL_GS_BASE), (uint64_t)three, "KERNEL_GS_BASE");
    test_end();
    test_begin("loading FS replaces its base");
    r = snippet_regs(&b_load_fs, 3);
    r.rsi = (uint64_t)two;
    run(&r);
    test_equal(r.rbx, 0x2222, "through FS with base 0");
    test_equal(rdmsr(MSR_FS_BASE), 0, "FS_BASE");
    test_end();
    if (cpuid(7, 0).b & 1) {
        test_begin("RDFSBASE, WRGSBASE");
        wrmsr(MSR_FS_BASE, (uint64_t)one);
        r = snippet_regs(&b_rdfsbase, 3);
        run(&r);
        test_equal(r.vector, VEC_UD, "vector without CR4.FSGSBASE");
        write_cr4(read_cr4() | 1 << 16);
        r = snippet_regs(&b_rdfsbase, 3);
        r.rdi = (uint64_t)three;
        run_to(VEC_END, (uint64_t)b_rdfsbase.next + 2);
        test_equal(r.rax, (uint64_t)one, "FS base");
        test_equal(r.rbx, (uint64_t)three, "GS base");
        test_equal(rdmsr(MSR_GS_BASE), (uint64_t)three, "GS_BASE");
        write_cr4(read_cr4() & ~(1ull << 16));
        test_end();
    } else {
        test_skip("RDFSBASE, WRGSBASE", "the CPU lacks them");
    }
    wrmsr(MSR_GS_BASE, 0);
    wrmsr(MSR_FS_BASE, 0);
    __asm__ volatile("movl %0, %%fs" : : "r"(0));
}

/* ---- far transfers ---- */

SNIPPET(f_lcall, "", "lcall *(%rsi)", "");
SNIPPET(f_ljmp, "", "ljmp *(%rsi)", "");
SNIPPET(f_lret, "push %rcx; push %rdx", "lretq", "");
SNIPPET(f_target, "mov %rsp, %rbx; mov %cs, %ecx; mov %ss, %edx", "nop", "");
SNIPPET_MODE(f_back, ".code32", "", "ljmp $0x2B, $l_end_start", "");
SNIPPET_MODE(f_upper, ".code32", "mov $0x80000000, %eax; add %eax, %eax; adc $5, %eax", "inc %ebx", "");

struct far32 {
    uint32_t offset;
    uint16_t selector;
} __attribute__((packed));
static struct far32 pointer;

static void far_to(const struct snippet *s, unsigned cpl, uint16_t selector, const uint8_t *offset,
                   unsigned vector, uint64_t error)
{
    pointer = (struct far32){(uint32_t)(uint64_t)offset, selector};
    r = snippet_regs(s, cpl);
    r.rsi = (uint64_t)&pointer;
    r.rcx = selector;
    r.rdx = (uint64_t)offset;
    run(&r);
    test_equal(r.vector, vector, "vector");
    test_equal(r.error, error, "error code");
}

static void set_call_gate(uint64_t offset, uint16_t selector, unsigned access)
{
    gdt[SEL_FREE / 8] =
        (offset & 0xFFFF) | (uint64_t)selector << 16 | (uint64_t)access << 40 | (offset >> 16 & 0xFFFF) << 48;
    gdt[SEL_FREE / 8 + 1] = offset >> 32;
}

static void call_gates(void)
{
    uint64_t *inner = (uint64_t *)tss.rsp[0];
    test_begin("64-bit call gate inward");
    set_call_gate((uint64_t)f_target.start, SEL_CODE64, 0xEC);
    far_to(&f_lcall, 3, SEL_FREE | 3, NULL, VEC_END, 0);
    test_equal(r.rbx, (uint64_t)(inner - 4), "inner RSP");
    test_equal(r.rcx, SEL_CODE64, "inner CS");
    test_equal(r.rdx, 0, "inner SS, null");
    test_equal(inner[-1], SEL_USER_DATA, "pushed SS");
    test_equal(inner[-2], (uint64_t)stack3_top, "pushed RSP");
    test_equal(inner[-3], SEL_USER_CODE64, "pushed CS");
    test_equal(inner[-4], (uint64_t)f_lcall.next, "pushed RIP");
    test_end();
    test_begin("64-bit call gates that refuse");
    set_call_gate((uint64_t)f_target.start, SEL_CODE64, 0x8C);
    far_to(&f_lcall, 3, SEL_FREE, NULL, VEC_GP, SEL_FREE);
    set_call_gate((uint64_t)f_target.start, SEL_CODE64, 0x6C);
    far_to(&f_lcall, 3, SEL_FREE, NULL, VEC_NP, SEL_FREE);
    set_call_gate((uint64_t)f_target.start, SEL_CODE32, 0xEC);
    far_to(&f_lcall, 3, SEL_FREE, NULL, VEC_GP, SEL_CODE32);
    set_call_gate((uint64_t)f_target.start, SEL_CODE64, 0xE4); /* a 16-bit gate */
    far_to(&f_lcall, 3, SEL_FREE, NULL, VEC_GP, SEL_FREE);
    set_call_gate((uint64_t)f_target.start, SEL_CODE64, 0xEC);
    gdt[SEL_FREE / 8 + 1] |= 0xFull << 40; /* a type in the upper half, which must be 0 */
    far_to(&f_lcall, 3, SEL_FREE, NULL, VEC_GP, SEL_FREE);
    far_to(&f_lcall, 0, SEL_TSS, NULL, VEC_GP, SEL_TSS);
    test_end();
}

static void compatibility(void)
{
    test_begin("far JMP into compatibility mode and back");
    far_to(&f_ljmp, 3, SEL_USER_CODE32, f_back.start, VEC_END, 0);
    test_equal(r.cs, SEL_USER_CODE64, "CS");
    test_equal(r.rip, (uint64_t)l_end.next + 2, "RIP");
    test_end();
    test_begin("far CALL and RET between 64-bit and 32-bit code");
    far_to(&f_lcall, 3, SEL_USER_CODE32, f_upper.start, VEC_END, 0);
    test_equal(r.cs, SEL_USER_CODE32, "CS");
    test_equal(*(uint32_t *)r.rsp, (uint32_t)(uint64_t)f_lcall.next, "pushed EIP");
    test_equal(*(uint32_t *)(r.rsp + 4), SEL_USER_CODE64, "pushed CS");
    test_equal(r.rax, 6, "EAX");
    far_to(&f_lret, 3, SEL_USER_CODE32, l_end32.start, VEC_END, 0);
    test_equal(r.cs, SEL_USER_CODE32, "CS after RET");
    test_end();
    test_begin("code segments with both L and D");
    gdt[SEL_FREE / 8] = descriptor(0, 0xFFFFF, 0xFA, 0xE);
    far_to(&f_ljmp, 3, SEL_FREE | 3, l_end.start, VEC_GP, SEL_FREE);
    test_end();
    /* Limits don't count in 64-bit mode, but do in compatibility mode. */
    test_begin("limits in compatibility mode only");
    gdt[SEL_FREE / 8] = descriptor((uint32_t)(uint64_t)l_end32.start, 0xF, 0xFA, 4);
    far_to(&f_ljmp, 3, SEL_FREE | 3, (uint8_t *)0x10, VEC_GP, 0);
    far_to(&f_ljmp, 3, SEL_FREE | 3, NULL, VEC_END, 0);
    gdt[SEL_FREE / 8] = descriptor(0x1000, 0xF, 0xFA, 2); /* L: base and limit are ignored */
    far_to(&f_ljmp, 3, SEL_FREE | 3, l_end.start, VEC_END, 0);
    test_equal(r.cs, SEL_FREE | 3, "CS");
    test_end();
}

/* ---- frames ---- */

static struct frame seen;
static uint64_t seen_at;

static void on_interrupt(struct frame *frame)
{
    seen = *frame;
    seen_at = (uint64_t)&frame->ss + 8;
}

SNIPPET(t_int, "", "int $0x31", "");
SNIPPET_MODE(t_int32, ".code32", "", "int $0x31", "");

static void frames(void)
{
    handlers[0x31] = on_interrupt;
    set_gate(0x31, lib_entries[0x31], SEL_CODE64, 0, 0xEE);
    test_begin("an interrupt at CPL 0 aligns the stack");
    for (unsigned i = 0; i < 16; i++) {
        r = snippet_regs(&t_int, 0);
        r.rsp -= 256 + i;
        uint64_t rsp = r.rsp;
        run_to(VEC_END, (uint64_t)t_int.next + 2);
        test_equal(seen.rsp, rsp, "pushed RSP");
        test_equal(seen_at, rsp & ~15ull, "where the frame begins");
        test_equal(r.rsp, rsp, "RSP after IRET");
    }
    test_end();
    test_begin("an interrupt from CPL 3 takes RSP0");
    r = snippet_regs(&t_int, 3);
    run_to(VEC_END, (uint64_t)t_int.next + 2);
    test_equal(seen_at, tss.rsp[0], "where the frame begins");
    test_equal(seen.ss, SEL_USER_DATA, "pushed SS");
    test_equal(seen.cs, SEL_USER_CODE64, "pushed CS");
    test_end();
    test_begin("an interrupt takes its IST entry at any CPL");
    static uint8_t stack[1024] __attribute__((aligned(16)));
    tss.ist[2] = (uint64_t)stack + sizeof stack - 5; /* aligned downwards */
    set_gate(0x31, lib_entries[0x31], SEL_CODE64, 3, 0xEE);
    for (unsigned cpl = 0; cpl <= 3; cpl += 3) {
        r = snippet_regs(&t_int, cpl);
        run_to(VEC_END, (uint64_t)t_int.next + 2);
        test_equal(seen_at, tss.ist[2] & ~15ull, "where the frame begins");
    }
    set_gate(0x31, lib_entries[0x31], SEL_CODE64, 0, 0xEE);
    test_end();
    test_begin("an interrupt from compatibility mode");
    r = snippet_regs(&t_int32, 3);
    r.cs = SEL_USER_CODE32;
    run_to(VEC_END, (uint64_t)t_int32.next + 2);
    test_equal(seen.cs, SEL_USER_CODE32, "pushed CS");
    test_equal(seen.rip, (uint64_t)t_int32.next, "pushed RIP");
    test_end();
    handlers[0x31] = NULL;
}

SNIPPET(c_cr8, "mov $9, %eax", "mov %rax, %cr8; mov %cr8, %rbx", "xor %eax, %eax; mov %rax, %cr8");
SNIPPET(c_umip, "", "sgdt -16(%rsp); sidt -16(%rsp); sldt %eax; str %ebx; smsw %ecx", "");

static void system_registers(void)
{
    test_begin("CR8");
    r = snippet_regs(&c_cr8, 0);
    run(&r);
    test_equal(r.rbx, 9, "CR8");
    test_end();
    test_begin("SGDT, SLDT, STR, SMSW at CPL 3");
    r = snippet_regs(&c_umip, 3);
    run_to(VEC_END, (uint64_t)c_umip.next + 2);
    test_equal(r.rbx, SEL_TSS, "TR");
    test_equal(r.rcx, read_cr0() & 0xFFFFFFFF, "MSW");
    test_end();
    if (cpuid(7, 0).c & 4) {
        test_begin("#GP for these with CR4.UMIP");
        write_cr4(read_cr4() | 1 << 11);
        r = snippet_regs(&c_umip, 3);
        run_to(VEC_GP, (uint64_t)c_umip.at);
        r = snippet_regs(&c_umip, 0);
        run_to(VEC_END, (uint64_t)c_umip.next + 2);
        write_cr4(read_cr4() & ~(1ull << 11));
        test_end();
    } else {
        test_skip("#GP for these with CR4.UMIP", "the CPU lacks it");
    }
}

void guest_main(void)
{
    syscalls();
    sysenter();
    bases();
    call_gates();
    compatibility();
    frames();
    system_registers();
}
