/*
 * modes.c - everything below long mode: segmentation with its limits, privilege changes, gates, tasks,
 * virtual-8086 mode, real mode, 32-bit and PAE paging. Each test leaves long mode and comes back to it (SDM
 * 3A chapters 3-9, 20).
 */
#include "legacy.h"

static uint8_t area[0x3000] __attribute__((aligned(4096)));

/* ---- segments ---- */

S32(m_nop, "", "nop", "");
S32(m_read1, "", "movb %fs:(%esi), %al", "");
S32(m_read4, "", "movl %fs:(%esi), %eax", "");
S32(m_write4, "", "movl %eax, %fs:(%esi)", "");
S32(m_load_fs, "", "movl %ecx, %fs", "");
S32(m_ss_read, "", "movl (%ebp), %eax", "");
S32(m_push, "", "pushl %eax", "");
S32(m_ljmp, "", "ljmpl *(%esi)", "");
S32(m_lcall, "", "lcall *(%esi)", "");
S32(m_lret, "push %ecx; push %edx", "lret", "");
S32(m_iret, "pushfl; push %ecx; push %edx", "iretl", "");
S32(m_end, "", "nop", "");
S32(m_edge, "", "nop", "");

static void segment_access(const char *what, const struct snippet *s, uint32_t offset, bool allowed)
{
    prepare32(s, USER);
    r.fs = SEL_FREE | 3;
    r.esi = offset;
    go(what, allowed ? VEC_END : VEC_GP, 0);
}

static void limits(void)
{
    test_begin("byte-granular limit");
    set_descriptor(SEL_FREE, descriptor(low(area) + 0x100, 0xFF, 0xF2, 4));
    area[0x1FF] = 0x77;
    segment_access("last byte", &m_read1, 0xFF, true);
    test_equal(r.eax & 0xFF, 0x77, "AL");
    segment_access("beyond", &m_read1, 0x100, false);
    test_equal(r.eip, low(m_read1.at), "EIP");
    segment_access("last doubleword", &m_read4, 0xFC, true);
    segment_access("doubleword across the limit", &m_read4, 0xFD, false);
    segment_access("doubleword across 4 GiB", &m_read4, 0xFFFFFFFE, false);
    test_end();
    test_begin("page-granular limit");
    set_descriptor(SEL_FREE, descriptor(low(area), 0, 0xF2, 0xC));
    segment_access("last byte", &m_read1, 0xFFF, true);
    segment_access("beyond", &m_read1, 0x1000, false);
    test_end();
    test_begin("expand-down segment, 32-bit");
    set_descriptor(SEL_FREE, descriptor(low(area) - 0x1000, 0xFFF, 0xF6, 4));
    segment_access("at the limit", &m_read1, 0xFFF, false);
    segment_access("above the limit", &m_read1, 0x1000, true);
    segment_access("doubleword at the limit", &m_read4, 0xFFD, false);
    segment_access("far above", &m_read4, 0x2000, true);
    test_end();
    test_begin("expand-down segment, 16-bit");
    set_descriptor(SEL_FREE, descriptor(low(area) - 0xF000, 0xEFFF, 0xF6, 0));
    segment_access("at the limit", &m_read1, 0xEFFF, false);
    segment_access("above the limit", &m_read1, 0xF000, true);
    segment_access("at 64 KiB", &m_read1, 0x10000, false);
    segment_access("across 64 KiB", &m_read4, 0xFFFD, false);
    test_end();
    test_begin("segment types");
    set_descriptor(SEL_FREE, descriptor(low(area), 0xFFF, 0xF0, 4));
    segment_access("read of a read-only segment", &m_read4, 0, true);
    segment_access("write to a read-only segment", &m_write4, 0, false);
    set_descriptor(SEL_FREE, descriptor(low(area), 0xFFF, 0xFA, 4));
    segment_access("read of a readable code segment", &m_read4, 0, true);
    segment_access("write to a code segment", &m_write4, 0, false);
    prepare32(&m_read4, USER);
    r.fs = 0;
    go("read through a null selector", VEC_GP, 0);
    test_end();
}

static void stack_limits(void)
{
    test_begin("stack segment limits");
    set_descriptor(SEL_FREE, descriptor(low(area), 0xFFF, 0xF2, 4));
    prepare32(&m_ss_read, USER);
    r.ss = SEL_FREE | 3;
    r.ebp = 0xFFD;
    go("read across the limit", VEC_SS, 0);
    prepare32(&m_push, USER);
    r.ss = SEL_FREE | 3;
    r.esp = 0x1004;
    go("push above the limit", VEC_SS, 0);
    test_equal(r.esp, 0x1004, "ESP after the fault");
    prepare32(&m_push, USER);
    r.ss = SEL_FREE | 3;
    r.esp = 0x1000;
    go("push below the limit", VEC_END, 0);
    test_equal(r.esp, 0xFFC, "ESP");
    test_end();
    /* Of a 16-bit stack segment only SP counts; IRET to it loads no more than SP. */
    test_begin("16-bit stack segment");
    set_descriptor(SEL_FREE, descriptor(low(area), 0xFFF, 0xF2, 0));
    prepare32(&m_push, USER);
    r.ss = SEL_FREE | 3;
    r.esp = 0x12340800;
    r.eax = 0xCAFEBABE;
    go("push", VEC_END, 0);
    test_equal(r.esp & 0xFFFF, 0x7FC, "SP");
    test_equal(*(uint32_t *)(area + 0x7FC), 0xCAFEBABE, "pushed value");
    test_end();
}

static void accessed_bits(void)
{
    test_begin("accessed bit");
    set_descriptor(SEL_FREE, descriptor(low(area), 0xFFF, 0xF2, 4));
    prepare32(&m_load_fs, USER);
    r.ecx = SEL_FREE | 3;
    go("load", VEC_END, 0);
    test_equal(gdt[SEL_FREE / 8] >> 40 & 0xFF, 0xF3, "access byte");
    test_end();
}

/* ---- code limits and far transfers ---- */

struct far32 {
    uint32_t offset;
    uint16_t selector;
} __attribute__((packed));
static struct far32 far_pointer;

static void far(const char *what, const struct snippet *s, unsigned cpl, uint16_t selector, uint32_t offset,
                unsigned vector, uint32_t error)
{
    far_pointer = (struct far32){offset, selector};
    prepare32(s, cpl);
    r.esi = low(&far_pointer);
    r.ecx = selector;
    r.edx = offset;
    go(what, vector, error);
}

static void far_transfers(void)
{
    enum { CONFORMING = SEL_FREE, SMALL = SEL_FREE + 8, ABSENT = SEL_FREE + 16 };
    set_descriptor(CONFORMING, descriptor(0, 0xFFFFF, 0x9E, 0xC));
    set_descriptor(SMALL, descriptor(low(m_end.start), 0x0F, 0xFA, 4));
    set_descriptor(ABSENT, descriptor(0, 0xFFFFF, 0x7A, 0xC));
    test_begin("conforming code keeps the CPL");
    far("JMP from CPL 3", &m_ljmp, USER, CONFORMING, low(m_end.at), VEC_END, 0);
    test_equal(r.cs, CONFORMING | 3, "CS");
    far("CALL from CPL 0", &m_lcall, 0, CONFORMING | 3, low(m_end.at), VEC_END, 0);
    test_equal(r.cs, CONFORMING, "CS");
    test_end();
    test_begin("far transfers to the wrong privilege");
    far("JMP inward", &m_ljmp, USER, SEL_CODE32, low(m_end.at), VEC_GP, SEL_CODE32);
    far("JMP outward", &m_ljmp, 0, SEL_USER_CODE32, low(m_end.at), VEC_GP, SEL_USER_CODE32 & ~3);
    far("RET inward", &m_lret, USER, SEL_CODE32, low(m_end.at), VEC_GP, SEL_CODE32);
    far("IRET inward", &m_iret, USER, SEL_CODE32, low(m_end.at), VEC_GP, SEL_CODE32);
    far("JMP to a data segment", &m_ljmp, USER, SEL_USER_DATA, 0, VEC_GP, SEL_USER_DATA & ~3);
    far("JMP to the null selector", &m_ljmp, USER, 0, 0, VEC_GP, 0);
    far("JMP to code not present", &m_ljmp, USER, ABSENT | 3, 0, VEC_NP, ABSENT);
    test_end();
    test_begin("code segment limit");
    far("JMP within", &m_ljmp, USER, SMALL | 3, 0, VEC_END, 0);
    test_equal(r.cs, SMALL | 3, "CS");
    far("JMP beyond", &m_ljmp, USER, SMALL | 3, 0x10, VEC_GP, 0);
    test_equal(r.eip, low(m_ljmp.at), "EIP");
    far("RET beyond", &m_lret, USER, SMALL | 3, 0x10, VEC_GP, 0);
    test_end();
    test_begin("running over the code segment's limit");
    set_descriptor(SMALL, descriptor(low(m_edge.start), 0, 0xFA, 4)); /* the NOP alone */
    far("JMP", &m_ljmp, USER, SMALL | 3, 0, VEC_GP, 0);
    test_equal(r.cs, SMALL | 3, "CS");
    test_equal(r.eip, 1, "EIP");
    test_end();
}

S32(m_lret_out, "push %edi; push %ebx; push %ecx; push %edx", "lret", "");

static void outward(void)
{
    test_begin("far RET to CPL 3 clears privileged data segments");
    set_descriptor(SEL_FREE, descriptor(0, 0xFFFFF, 0x9E, 0xC));
    prepare32(&m_lret_out, 0);
    r.ecx = SEL_USER_CODE32;
    r.edx = low(m_end.at);
    r.edi = SEL_USER_DATA;
    r.ebx = low(stack3_top) - 64;
    r.es = SEL_USER_DATA;
    r.fs = SEL_FREE;
    go("RET", VEC_END, 0);
    test_equal(r.cs, SEL_USER_CODE32, "CS");
    test_equal(r.esp, low(stack3_top) - 64, "ESP");
    test_equal(r.ss, SEL_USER_DATA, "SS");
    test_equal(r.ds, 0, "DS");
    test_equal(r.es, SEL_USER_DATA, "ES");
    test_equal(r.fs, SEL_FREE, "FS, conforming code");
    test_equal(r.gs, 0, "GS");
    test_end();
}

/* ---- gates ---- */

S32(m_gate_call, "pushl $0x11111111; pushl $0x22222222", "lcall *(%esi)", "");
S32(m_gate_target, "", "mov %esp, %ebx; mov %cs, %ecx; mov %ss, %edx", "lret $8");
S32(m_gate_end, "", "mov %esp, %ebx; mov %cs, %ecx", "");

static uint64_t call_gate(uint16_t selector, uint32_t offset, unsigned count, unsigned access)
{
    return (offset & 0xFFFF) | (uint64_t)selector << 16 | (uint64_t)count << 32 | (uint64_t)access << 40 |
           (uint64_t)(offset >> 16) << 48;
}

static void call_gates(void)
{
    enum { GATE = SEL_FREE, CODE1 = SEL_FREE + 8, DATA1 = SEL_FREE + 16 };
    uint32_t *inner = (uint32_t *)(legacy_stack0 + sizeof legacy_stack0);
    test_begin("call gate inward, with parameters, and back");
    set_descriptor(GATE, call_gate(SEL_CODE32, low(m_gate_target.start), 2, 0xEC));
    far("CALL", &m_gate_call, USER, GATE | 3, 0xDEAD, VEC_END, 0);
    test_equal(r.cs, SEL_USER_CODE32, "CS after the return");
    test_equal(r.eip, low(m_gate_call.next) + 2, "EIP after the return");
    test_equal(r.esp, low(stack3_top), "ESP after the return");
    test_equal(r.ebx, low(inner - 6), "inner ESP");
    test_equal(r.ecx, SEL_CODE32, "inner CS");
    test_equal(r.edx, SEL_DATA, "inner SS");
    test_end();
    /* The INT at the end overwrote the inner stack; look at it in a target that ends there. */
    test_begin("what a call gate pushes");
    set_descriptor(GATE, call_gate(SEL_CODE32, low(m_gate_end.start), 2, 0xEC));
    far("CALL", &m_gate_call, USER, GATE, 0, VEC_END, 0);
    test_equal(inner[-6], low(m_gate_call.next), "EIP");
    test_equal(inner[-5], SEL_USER_CODE32, "CS");
    test_equal(inner[-4], 0x22222222, "last parameter");
    test_equal(inner[-3], 0x11111111, "first parameter");
    test_equal(inner[-2], low(stack3_top) - 8, "ESP");
    test_equal(inner[-1], SEL_USER_DATA, "SS");
    test_end();
    test_begin("call gates that refuse");
    set_descriptor(GATE, call_gate(SEL_CODE32, low(m_gate_end.start), 0, 0x8C));
    far("gate's DPL", &m_lcall, USER, GATE, 0, VEC_GP, GATE);
    set_descriptor(GATE, call_gate(SEL_CODE32, low(m_gate_end.start), 0, 0x6C));
    far("not present", &m_lcall, USER, GATE, 0, VEC_NP, GATE);
    set_descriptor(GATE, call_gate(SEL_DATA, low(m_gate_end.start), 0, 0xEC));
    far("to a data segment", &m_lcall, USER, GATE, 0, VEC_GP, SEL_DATA);
    set_descriptor(GATE, call_gate(SEL_CODE32, low(m_gate_end.start), 0, 0xEC));
    far("JMP inward", &m_ljmp, USER, GATE, 0, VEC_GP, SEL_CODE32);
    set_descriptor(GATE, call_gate(0, low(m_gate_end.start), 0, 0xEC));
    far("to the null selector", &m_lcall, USER, GATE, 0, VEC_GP, 0);
    test_end();
    /* To ring 1, whose stack is bad, while the handlers' stack for ring 0 is good. */
    test_begin("#TS for a bad inner stack");
    set_descriptor(CODE1, descriptor(0, 0xFFFFF, 0xBA, 0xC));
    set_descriptor(DATA1, descriptor(0, 0xFFFFF, 0xB2, 0xC));
    set_descriptor(GATE, call_gate(CODE1 | 1, low(m_gate_end.start), 0, 0xEC));
    tss32.esp1 = low(area) + 0x1000;
    tss32.ss1 = SEL_DATA;
    far("wrong DPL", &m_lcall, USER, GATE, 0, VEC_TS, SEL_DATA);
    tss32.ss1 = 0;
    far("null selector", &m_lcall, USER, GATE, 0, VEC_TS, 0);
    tss32.ss1 = DATA1; /* RPL 0 is not 1 */
    far("wrong RPL", &m_lcall, USER, GATE, 0, VEC_TS, DATA1);
    tss32.ss1 = DATA1 | 1;
    set_descriptor(DATA1, descriptor(0, 0xFFFFF, 0x32, 0xC));
    far("not present", &m_lcall, USER, GATE, 0, VEC_SS, DATA1);
    set_descriptor(DATA1, descriptor(0, 0xFFFFF, 0xB2, 0xC));
    far("all good", &m_lcall, USER, GATE, 0, VEC_END, 0);
    test_equal(r.ecx, CODE1 | 1, "CS");
    test_end();
}

S32(m_int21, "", "int $0x21", "");

static void gates32(void)
{
    test_begin("interrupt and trap gates");
    set_gate32(0x21, legacy_entries[0x21], SEL_CODE32, 0x8E);
    prepare32(&m_int21, USER);
    go("gate's DPL", VEC_GP, 0x21 * 8 + 2);
    set_gate32(0x21, legacy_entries[0x21], SEL_CODE32, 0x6E);
    prepare32(&m_int21, USER);
    go("not present", VEC_NP, 0x21 * 8 + 2);
    set_gate32(0x21, low(m_end.start), SEL_CODE32, 0xEF);
    prepare32(&m_int21, USER);
    r.eflags |= FLAG_IF;
    go("trap gate", VEC_END, 0);
    test_equal(r.eflags & FLAG_IF, FLAG_IF, "IF through a trap gate");
    test_equal(r.cs, SEL_CODE32, "CS");
    set_gate32(0x21, low(m_end.start), SEL_CODE32, 0xEE);
    prepare32(&m_int21, USER);
    r.eflags |= FLAG_IF;
    go("interrupt gate", VEC_END, 0);
    test_equal(r.eflags & FLAG_IF, 0, "IF through an interrupt gate");
    test_end();
    set_gate32(0x21, legacy_entries[0x21], SEL_CODE32, 0xEE);
}

S32(m_lar, "", "lar %ecx, %eax; setz %dl", "");
S32(m_lsl, "", "lsl %ecx, %eax; setz %dl", "");
S32(m_verr, "", "verr %cx; setz %al; verw %cx; setz %ah", "");
S32(m_arpl, "", "arpl %cx, %ax; setz %dl", "");
S32(m_lsl_kernel, "lsl %ecx, %eax; setz %dl", "nop", "");
S32(m_lldt, "lldt %cx; movl %edx, %fs", "movl %fs:(%esi), %eax", "");

static void descriptor_queries(void)
{
    enum { DATA = SEL_FREE, LDT = SEL_FREE + 8 };
    static uint64_t ldt[2];
    test_begin("LAR, LSL, VERR, VERW, ARPL");
    set_descriptor(DATA, descriptor(0x12345678, 0x12345, 0xF2, 0xC));
    prepare32(&m_lar, USER);
    r.ecx = DATA;
    go("LAR", VEC_END, 0);
    test_equal(r.eax & 0xFFF0FFFF, 0x00C0F200, "access rights"); /* bits 19:16 are undefined */
    test_equal(r.edx & 1, 1, "ZF");
    prepare32(&m_lsl, USER);
    r.ecx = DATA;
    go("LSL", VEC_END, 0);
    test_equal(r.eax, 0x12345FFF, "limit");
    prepare32(&m_lsl, USER);
    r.ecx = SEL_DATA;
    r.eax = 0x5A;
    go("LSL of a privileged segment", VEC_END, 0);
    test_equal(r.edx & 1, 0, "ZF");
    test_equal(r.eax, 0x5A, "EAX");
    prepare32(&m_verr, USER);
    r.ecx = SEL_USER_CODE32;
    go("VERR, VERW of code", VEC_END, 0);
    test_equal(r.eax & 0xFFFF, 0x0001, "ZF of VERR and VERW");
    prepare32(&m_arpl, USER);
    r.eax = 0x28;
    r.ecx = 3;
    go("ARPL", VEC_END, 0);
    test_equal(r.eax, 0x2B, "selector");
    test_equal(r.edx & 1, 1, "ZF");
    test_end();
    test_begin("a segment of the LDT");
    ldt[1] = descriptor(low(area), 0xFFF, 0x92, 4);
    set_descriptor(LDT, descriptor(low(ldt), sizeof ldt - 1, 0x82, 0));
    *(uint32_t *)area = 0x600DF00D;
    prepare32(&m_lldt, 0);
    r.ecx = LDT;
    r.edx = 0x0C;
    go("LLDT", VEC_END, 0);
    test_equal(r.eax, 0x600DF00D, "EAX");
    prepare32(&m_lldt, 0);
    r.ecx = LDT;
    r.edx = 0x14;
    go("beyond the LDT's limit", VEC_GP, 0x14);
    prepare32(&m_lldt, 0);
    r.ecx = DATA;
    go("LLDT of a data segment", VEC_GP, DATA);
    test_end();
}

/* ---- tasks ---- */

S32(m_task, "", "mov $0x7777, %ebx; str %cx", "iretl; jmp m_task_start");
S32(m_task_call, "", "lcall *(%esi)", "str %dx");
S32(m_task_int, "", "int $0x22", "");

static void tasks(void)
{
    enum { TSS2 = SEL_FREE };
    static struct tss32 other;
    uint64_t busy = (uint64_t)2 << 40;
    test_begin("task switch by CALL, and back by IRET");
    other = (struct tss32){.eip = low(m_task.start),
                           .eflags = 2,
                           .esp = low(area) + 0x1000,
                           .cs = SEL_CODE32,
                           .ss = SEL_DATA,
                           .ds = SEL_DATA,
                           .es = SEL_DATA,
                           .ebx = 0x1234,
                           .io_map = sizeof other};
    set_descriptor(TSS2, descriptor(low(&other), sizeof other - 1, 0x89, 0));
    far("CALL", &m_task_call, 0, TSS2, 0, VEC_END, 0);
    test_equal(other.ebx, 0x7777, "EBX saved for the other task");
    test_equal(other.ecx & 0xFFFF, TSS2, "its TR");
    test_equal(other.link, SEL_TSS32, "its back link");
    test_equal(other.eflags & FLAG_NT, 0, "its NT after IRET");
    test_equal(other.eip, low(m_task.next) + 1, "its EIP");
    test_equal(gdt[TSS2 / 8] & busy, 0, "its busy bit");
    test_equal(r.edx, SEL_TSS32, "TR of the first task");
    test_equal(r.ebx, 0, "EBX of the first task");
    test_end();
    test_begin("task gate");
    other.eip = low(m_task.start);
    idt32[0x22] = (struct gate32){0, TSS2, 0, 0xE5, 0};
    prepare32(&m_task_int, USER);
    go("INT", VEC_END, 0);
    test_equal(r.cs, SEL_USER_CODE32, "CS");
    test_equal(r.eip, low(m_task_int.next) + 2, "EIP");
    test_equal(other.ebx, 0x7777, "EBX saved for the other task");
    set_descriptor(TSS2, descriptor(low(&other), sizeof other - 1, 0x8B, 0));
    far("CALL of a busy task", &m_task_call, 0, TSS2, 0, VEC_GP, TSS2);
    set_descriptor(TSS2, descriptor(low(&other), 0x66, 0x89, 0));
    far("CALL with a short TSS", &m_task_call, 0, TSS2, 0, VEC_TS, TSS2);
    set_descriptor(TSS2, descriptor(low(&other), sizeof other - 1, 0x09, 0));
    far("CALL of a task not present", &m_task_call, 0, TSS2, 0, VEC_NP, TSS2);
    test_end();
    set_gate32(0x22, legacy_entries[0x22], SEL_CODE32, 0x8E);
}

/* ---- 16-bit protected mode ---- */

S16(w_ops, "",
    "pushw %ax; movl $0x12345678, %ebx; movw $0x9ABC, %cx; callw 1f; 1:", "popw %dx; movb (%edi), %dl");

static void protected16(void)
{
    test_begin("16-bit code segment");
    set_descriptor(SEL_FREE, descriptor(low(w_ops.start), 0xFFFF, 0xFA, 0));
    prepare32(&w_ops, USER);
    r.cs = SEL_FREE | 3;
    r.eip = 0;
    r.ecx = 0x11111111;
    r.edi = low(area);
    area[0] = 0x42;
    go("run", VEC_END, 0);
    test_equal(r.esp, low(stack3_top) - 2, "ESP");
    test_equal(r.ebx, 0x12345678, "EBX");
    test_equal(r.ecx, 0x11119ABC, "ECX");
    test_equal(r.edx & 0xFF, 0x42, "DL");
    test_end();
}

/* ---- virtual-8086 mode ---- */

S16(v_mix, "", "movw $0x1234, %ax; movw %ax, %ds; movw (%bx), %cx; pushw %ax", "movw %ss, %dx");
S16(v_cli, "", "cli", "");
S16(v_pushf, "", "pushfw", "");
S16(v_int, "", "int $0x21", "");
S16(v_iret, "pushw $0x7202; pushw $0; pushw $0x9040", "iretw", "");
S16(v_hlt, "", "hlt", "");
S16(v_in, "", "inb $0x80, %al", "");
S16(v_ltr, "", "ltr %ax", "");
S16(v_mov_cr, "", "movl %cr0, %eax", "");
S16(v_word, "", "movw (%bx), %ax", "");

static void v86(void)
{
    test_begin("virtual-8086 mode");
    *(uint16_t *)(0x12340 + 0x10) = 0xBEEF;
    prepare_v86(&v_mix, 3);
    r.ebx = 0x10;
    r.ss = 0x100;
    r.esp = 0x500;
    go("run", VEC_END, 0);
    test_equal(r.ecx, 0xBEEF, "CX");
    test_equal(r.ds, 0x1234, "DS");
    test_equal(r.esp, 0x4FE, "SP");
    test_equal(r.edx, 0x100, "SS");
    test_equal(*(uint16_t *)(0x1000 + 0x4FE), 0x1234, "pushed word");
    test_equal(r.eflags & FLAG_VM, FLAG_VM, "VM in the frame");
    test_end();
    test_begin("virtual-8086 mode: IOPL-sensitive instructions");
    static const struct snippet *const sensitive[] = {&v_cli, &v_pushf, &v_int, &v_iret};
    for (unsigned i = 0; i < 4; i++) {
        prepare_v86(sensitive[i], 0);
        go("IOPL 0", VEC_GP, 0);
        test_equal(r.eip, at16(sensitive[i]), "IP");
    }
    prepare_v86(&v_cli, 3);
    r.eflags |= FLAG_IF;
    go("CLI at IOPL 3", VEC_END, 0);
    test_equal(r.eflags & FLAG_IF, 0, "IF");
    prepare_v86(&v_int, 3);
    go("INT at IOPL 3", 0x21, 0);
    test_equal(r.eip, next16(&v_int), "IP");
    test_end();
    test_begin("virtual-8086 mode: privileged instructions");
    prepare_v86(&v_hlt, 3);
    go("HLT", VEC_GP, 0);
    prepare_v86(&v_mov_cr, 3);
    go("MOV from CR0", VEC_GP, 0);
    prepare_v86(&v_ltr, 3);
    go("LTR", VEC_UD, 0);
    prepare_v86(&v_in, 3);
    go("IN without a bitmap", VEC_GP, 0);
    tss32.io_map = TSS32_BITS;
    prepare_v86(&v_in, 0);
    go("INT after IN with an open bitmap, at IOPL 0", VEC_GP, 0);
    test_equal(r.eip, next16(&v_in), "IP");
    tss32.io_map = sizeof tss32;
    prepare_v86(&v_word, 3);
    r.ebx = 0xFFFF;
    go("word at 0xFFFF", VEC_GP, 0);
    test_end();
}

/* ---- real mode ---- */

S16(q_basic, "", "movw $0x1234, %ax; movw %ax, %es; movb %es:(%bx,%si), %cl; movl $0x89ABCDEF, %edx",
    "smsw %di");
S16(q_div, "xorb %cl, %cl", "divb %cl", "");
S16(q_ud, "", "ud2", "");
S16(q_int, "", "int $0x60", "");
S16(q_into, "", "into", "");
S16(q_word, "", "movw (%bx), %ax", "");
S16(q_stack, "", "movw (%bp), %ax", "");
S16(q_push, "", "pushw %ax", "");
S16(q_push32, "", "pushl %eax", "");
S16(q_arpl, "", ".byte 0x63, 0xC0", "");
S16(q_lldt, "", "lldt %ax", "");
S16(q_call, "", "lcallw *(%bx)", "");
S16(q_far_ret, "pushw $0x0800; pushw $0x1040", "lretw", "");
S16(q_wrap, "", "movb (%bx,%si), %al", "");
S16(q_addr32, "", "movb (%ebx), %al", "");
S16(q_unreal, "",
    "movl %cr0, %eax; orb $1, %al; movl %eax, %cr0; movw $0x10, %cx; movw %cx, %ds; andb $0xFE, %al; "
    "movl %eax, %cr0; movl (%ebx), %edx",
    "xorw %cx, %cx");
S16(q_lmsw, "",
    "smsw %ax; orb $1, %al; lmsw %ax; xorw %ax, %ax; lmsw %ax; smsw %bx; movl %cr0, %eax; andb $0xFE, %al; "
    "movl %eax, %cr0",
    "smsw %cx");
S16(q_rep, "", "rep movsw", "");

static void real_mode(void)
{
    test_begin("real mode");
    *(uint8_t *)(0x12340 + 5) = 0x5C;
    prepare16(&q_basic);
    r.ebx = 0xFFFF;
    r.esi = 6; /* 16-bit offsets wrap */
    go("run", VEC_END, 0);
    test_equal(r.ecx & 0xFF, 0x5C, "CL");
    test_equal(r.edx, 0x89ABCDEF, "EDX");
    test_equal(r.edi & 1, 0, "PE");
    test_end();
    test_begin("real mode: interrupts and exceptions");
    prepare16(&q_int);
    r.eflags |= FLAG_IF | FLAG_CF;
    go("INT", 0x60, 0);
    test_equal(r.eip, next16(&q_int), "IP");
    test_equal(r.eflags & 0xFFFF, 2 | FLAG_IF | FLAG_CF, "FLAGS");
    test_equal(r.entry_esp, LOW_STACK - 6, "SP in the handler");
    prepare16(&q_div);
    go("#DE", VEC_DE, 0);
    test_equal(r.eip, at16(&q_div), "IP");
    prepare16(&q_ud);
    go("#UD", VEC_UD, 0);
    prepare16(&q_into);
    r.eflags |= FLAG_OF;
    go("INTO", VEC_OF, 0);
    test_equal(r.eip, next16(&q_into), "IP");
    prepare16(&q_arpl);
    go("ARPL", VEC_UD, 0);
    prepare16(&q_lldt);
    go("LLDT", VEC_UD, 0);
    test_end();
    test_begin("real mode: the 64 KiB limit");
    prepare16(&q_word);
    r.ebx = 0xFFFF;
    go("word at 0xFFFF", VEC_GP, 0);
    test_equal(r.entry_esp, LOW_STACK - 6, "SP in the handler: no error code");
    prepare16(&q_stack);
    r.ebp = 0xFFFF;
    go("word on the stack at 0xFFFF", VEC_SS, 0);
    prepare16(&q_addr32);
    r.ebx = 0x10000;
    go("32-bit offset", VEC_GP, 0);
    prepare16(&q_push);
    r.ss = 0x1000;
    r.esp = 6; /* IRET's frame takes these six */
    r.eax = 0xABCD;
    go("PUSH", VEC_END, 0);
    test_equal(r.esp, 4, "SP");
    prepare16(&q_push);
    r.ss = 0x1000;
    r.esp = 0x10000; /* SP is 0 */
    r.eax = 0xABCD;
    go("PUSH at SP = 0", VEC_END, 0);
    test_equal(*(uint16_t *)0x1FFFE, 0xABCD, "word at the top");
    test_end();
    test_begin("real mode: far transfers, strings, A20");
    static const uint16_t target[2] = {0x1040, 0x0800};
    memcpy((void *)0x5000, target, sizeof target);
    memcpy((void *)0x9040, "\xCD\x80", 2);
    prepare16(&q_call);
    r.ebx = 0x5000;
    go("CALL", VEC_END, 0);
    test_equal(r.cs, 0x0800, "CS");
    test_equal(r.eip, 0x1042, "IP");
    test_equal(*(uint16_t *)(LOW_STACK - 4), next16(&q_call), "pushed IP");
    prepare16(&q_far_ret);
    go("RET", VEC_END, 0);
    test_equal(r.cs, 0x0800, "CS");
    prepare16(&q_rep);
    r.ecx = 0xFFFF0004;
    r.esi = 0x5000;
    r.edi = 0x5100;
    r.eflags |= FLAG_DF;
    go("REP MOVSW", VEC_END, 0);
    test_equal(r.ecx, 0xFFFF0000, "ECX");
    test_equal(r.esi, 0x4FF8, "SI");
    prepare16(&q_wrap);
    r.ds = 0xFFFF;
    r.ebx = 0x10;
    go("read above 1 MiB", VEC_END, 0);
    test_equal(r.eax & 0xFF, *(volatile uint8_t *)0x100000, "byte at 1 MiB");
    test_end();
    test_begin("real mode with a 4 GiB data segment");
    prepare16(&q_unreal);
    r.ebx = low(area);
    *(uint32_t *)area = 0xFEEDC0DE;
    go("run", VEC_END, 0);
    test_equal(r.edx, 0xFEEDC0DE, "EDX");
    test_end();
    test_begin("LMSW sets PE and can't clear it");
    prepare16(&q_lmsw);
    go("run", VEC_END, 0);
    test_equal(r.ebx & 1, 1, "PE after LMSW 0");
    test_equal(r.ecx & 1, 0, "PE after MOV to CR0");
    test_end();
}

/* ---- paging without long mode ---- */

static uint32_t directory32[1024] __attribute__((aligned(4096)));
static uint32_t table32[1024] __attribute__((aligned(4096)));
static uint64_t pae_pdpt[4] __attribute__((aligned(4096)));
static uint64_t pae_directory[512] __attribute__((aligned(4096)));
static uint64_t pae_table[512] __attribute__((aligned(4096)));

S32(g_read, "", "movl (%esi), %eax", "");
S32(g_write, "", "movl %eax, (%esi)", "");
S32(g_cr3, "", "movl %ecx, %cr3", "");

enum { WINDOW = 0x40000000 };

static void paged(const char *what, const struct snippet *s, unsigned cpl, uint32_t cr3, uint32_t cr4,
                  int error)
{
    prepare32(s, cpl);
    r.cr0 |= CR0_PG;
    r.cr3 = cr3;
    r.cr4 = cr4;
    r.esi = WINDOW + 0x10;
    r.eax = 0xABCD1234;
    go(what, error < 0 ? VEC_END : VEC_PF, error < 0 ? 0 : (uint32_t)error);
    if (error >= 0)
        test_equal(r.cr2, WINDOW + 0x10, "CR2");
}

static void paging32(void)
{
    test_begin("32-bit paging");
    directory32[0] = 0x87; /* 4 MiB, to itself */
    directory32[WINDOW >> 22] = low(table32) | 7;
    table32[0] = low(area) | 7;
    *(uint32_t *)(area + 0x10) = 0x11223344;
    paged("read", &g_read, USER, low(directory32), CR4_PSE, -1);
    test_equal(r.eax, 0x11223344, "EAX");
    test_equal(table32[0] & 0x60, 0x20, "A and D after a read");
    test_equal(directory32[WINDOW >> 22] & 0x20, 0x20, "A of the directory entry");
    paged("write", &g_write, USER, low(directory32), CR4_PSE, -1);
    test_equal(*(uint32_t *)(area + 0x10), 0xABCD1234, "memory");
    test_equal(table32[0] & 0x60, 0x60, "A and D after a write");
    table32[0] = low(area) | 5;
    paged("write, read-only", &g_write, USER, low(directory32), CR4_PSE, 7);
    paged("write at CPL 0, read-only", &g_write, 0, low(directory32), CR4_PSE, -1);
    table32[0] = low(area) | 3;
    paged("read of a supervisor page", &g_read, USER, low(directory32), CR4_PSE, 5);
    table32[0] = 0;
    paged("write, not present", &g_write, 0, low(directory32), CR4_PSE, 2);
    directory32[WINDOW >> 22] = 0;
    paged("read, no table", &g_read, USER, low(directory32), CR4_PSE, 4);
    directory32[WINDOW >> 22] = 0x200087;
    paged("read, reserved bit of a 4 MiB page", &g_read, USER, low(directory32), CR4_PSE, 13);
    test_end();
}

static void paging_pae(void)
{
    test_begin("PAE paging");
    pae_pdpt[0] = low(pae_directory) | 1;
    pae_pdpt[WINDOW >> 30] = low(pae_directory) | 1;
    pae_directory[0] = 0x87;
    pae_directory[1] = 0x200087;
    paged("2 MiB page", &g_read, USER, low(pae_pdpt), CR4_PAE, -1);
    pae_directory[1] = low(pae_table) | 7;
    static uint64_t window_directory[512] __attribute__((aligned(4096)));
    window_directory[0] = low(pae_table) | 7;
    pae_pdpt[WINDOW >> 30] = low(window_directory) | 1;
    pae_table[0] = low(area) | 7;
    *(uint32_t *)(area + 0x10) = 0x55667788;
    paged("read", &g_read, USER, low(pae_pdpt), CR4_PAE, -1);
    test_equal(r.eax, 0x55667788, "EAX");
    test_equal(pae_table[0] & 0x60, 0x20, "A and D after a read");
    pae_table[0] = low(area) | 5;
    paged("write, read-only", &g_write, USER, low(pae_pdpt), CR4_PAE, 7);
    pae_table[0] = low(area) | 7 | 1ull << 62;
    paged("read, reserved bit", &g_read, USER, low(pae_pdpt), CR4_PAE, 13);
    window_directory[0] = 0;
    paged("read, not present", &g_read, USER, low(pae_pdpt), CR4_PAE, 4);
    pae_pdpt[WINDOW >> 30] = 0;
    paged("read, no directory", &g_read, USER, low(pae_pdpt), CR4_PAE, 4);
    test_end();
    /* The four entries are loaded with CR3 and checked there. */
    test_begin("#GP reserved bits of a PAE PDPT entry");
    static uint64_t bad[4] __attribute__((aligned(32)));
    bad[0] = pae_pdpt[0];
    bad[1] = low(pae_directory) | 3; /* W is reserved here */
    prepare32(&g_cr3, 0);
    r.cr0 |= CR0_PG;
    r.cr3 = low(pae_pdpt);
    r.cr4 = CR4_PAE;
    r.ecx = low(bad);
    go("MOV to CR3", VEC_GP, 0);
    bad[1] &= ~1ull; /* not present: anything goes */
    prepare32(&g_cr3, 0);
    r.cr0 |= CR0_PG;
    r.cr3 = low(pae_pdpt);
    r.cr4 = CR4_PAE;
    r.ecx = low(bad);
    go("MOV to CR3, not present", VEC_END, 0);
    test_end();
}

static void there_and_back(void)
{
    test_begin("long mode to protected mode and back");
    for (unsigned i = 0; i < 20; i++) {
        prepare32(&m_nop, i & 1 ? USER : 0);
        r.ebx = i * 0x01010101;
        go("run", VEC_END, 0);
        test_equal(r.ebx, i * 0x01010101, "EBX");
        test_equal(r.eip, low(m_nop.next) + 2, "EIP");
    }
    test_end();
}

void guest_main(void)
{
    legacy_init();
    there_and_back();
    limits();
    stack_limits();
    accessed_bits();
    far_transfers();
    outward();
    call_gates();
    gates32();
    descriptor_queries();
    tasks();
    protected16();
    v86();
    real_mode();
    paging32();
    paging_pae();
}
