/*
 * smc.c - code that changes: whatever wrote it, however lately, the new instructions run. P6 and later notice
 * a store to what they have fetched, even the very next instruction; other linear addresses of the same
 * memory need a serialising instruction in between (SDM 3A 8.1.3, 11.6), and get one here.
 */
#include "lib.h"

typedef uint64_t function(uint64_t a, uint64_t b);

/* Code is writable: the linker script puts it all into one segment, and paging allows it. */
#define CODE(text) __asm__(".pushsection .text\n.balign 64\n" text "\n.popsection")
#define ROUNDS     300

static uint8_t code[4 * 4096] __attribute__((aligned(4096)));
#define CALL(at, a, b) (((function *)(uint64_t)(at))(a, b))

static void serialise(void)
{
    cpuid(0, 0);
}

/* MOV EAX, imm32; RET */
static void emit_return(uint8_t *at, uint32_t value)
{
    at[0] = 0xB8;
    memcpy(at + 1, &value, 4);
    at[5] = 0xC3;
}

/* ---- stores close to what they change ---- */

/* smc_next(a): writes `a` into the operand of the next instruction, which loads it. */
CODE("smc_next: movl %edi, smc_next_insn + 1\n"
     "smc_next_insn: movl $0, %eax\n"
     "ret");
/* smc_later: several instructions in between, all in one straight line. */
CODE("smc_later: xorl %eax, %eax; movl %edi, smc_later_insn + 1; incl %eax; incl %eax; incl %eax; nop; nop\n"
     "smc_later_insn: .byte 0x05, 0, 0, 0, 0\n" /* ADD EAX, imm32 */
     "ret");
/* smc_opcode: turns the next instruction from INC EAX into DEC EAX or back (FF C0, FF C8). */
CODE("smc_opcode: movl %esi, %eax; movb %dil, smc_opcode_insn + 1\n"
     "smc_opcode_insn: incl %eax\n"
     "ret");
/* smc_self: an instruction that overwrites itself with a RET-EAX pair for the next time: this time it must
 * still be the store. */
CODE("smc_self: movl $0x5A, %eax\n"
     "smc_self_insn: movl $0xC3C3C3C3, smc_self_insn\n"
     "movl $0xA5, %eax\n"
     "ret");
/* smc_loop(n): each round adds to EAX an operand that the round before incremented. */
CODE("smc_loop: xorl %eax, %eax; movl $1, smc_loop_insn + 1\n"
     "1:\n"
     "smc_loop_insn: .byte 0x05, 1, 0, 0, 0\n"
     "incl smc_loop_insn + 1; decl %edi; jnz 1b\n"
     "ret");
/* smc_back(a, n): a backward jump over an instruction that the loop's end rewrites on its last round. */
CODE("smc_back: xorl %eax, %eax; movl $1, smc_back_insn + 1\n"
     "1:\n"
     "smc_back_insn: .byte 0x05, 1, 0, 0, 0\n"
     "decl %esi; jz 2f; cmpl $1, %esi; jne 1b; movl %edi, smc_back_insn + 1; jmp 1b\n"
     "2: ret");
/* smc_length: the byte written decides whether what follows is one instruction (TEST EAX, imm32) or INC EAXs.
 */
CODE("smc_length: xorl %eax, %eax; movb %dil, smc_length_insn\n"
     "smc_length_insn: .byte 0x90, 0xFF, 0xC0, 0xFF, 0xC0\n"
     "ret");
extern function smc_next, smc_later, smc_opcode, smc_self, smc_loop, smc_back, smc_length;

static void close_stores(void)
{
    test_begin("store to the next instruction");
    for (unsigned i = 0; i < ROUNDS; i++)
        test_equal(smc_next(i * 3, 0), i * 3, "value");
    test_end();
    test_begin("store to a later instruction of the same run");
    for (unsigned i = 0; i < ROUNDS; i++)
        test_equal(smc_later(i, 0), i + 3, "value");
    test_end();
    test_begin("store that changes an opcode");
    for (unsigned i = 0; i < ROUNDS; i++)
        test_equal(smc_opcode(i & 1 ? 0xC8 : 0xC0, 100), i & 1 ? 99 : 101, "value");
    test_end();
    test_begin("store that changes where instructions begin");
    for (unsigned i = 0; i < ROUNDS; i++)
        test_equal(smc_length(i & 1 ? 0xA9 : 0x90, 0), i & 1 ? 0 : 2, "value");
    test_end();
    test_begin("an instruction that overwrites itself");
    test_equal(smc_self(0, 0), 0xA5, "first value");
    test_equal(smc_self(0, 0), 0x5A, "second value");
    test_end();
    test_begin("a loop that changes its body every round");
    test_equal(smc_loop(ROUNDS, 0), ROUNDS * (ROUNDS + 1) / 2, "sum");
    test_end();
    test_begin("a loop that changes its body at the end");
    for (unsigned i = 1; i < 20; i++)
        test_equal(smc_back(1000, i + 1), i + 1000, "sum");
    test_end();
}

/* ---- other ways to write ---- */

/* smc_rep(bytes, n): REP MOVSB puts `n` bytes over what follows it. */
CODE("smc_rep: movl %esi, %ecx; movq %rdi, %rsi; leaq smc_rep_insn(%rip), %rdi; rep movsb\n"
     "smc_rep_insn: movl $0, %eax; nop; nop\n"
     "ret");
/* smc_push(value): with the stack in the code, PUSH overwrites the operand of the next instruction. */
CODE("smc_push: movq %rsp, %rdx; leaq smc_push_insn + 10(%rip), %rsp; pushq %rdi\n"
     "smc_push_insn: movabsq $0, %rax\n"
     "movq %rdx, %rsp; ret");
CODE("smc_xchg: movl %edi, %ecx; lock cmpxchgl %ecx, smc_never; xchgl %edi, smc_xchg_insn + 1\n"
     "smc_xchg_insn: movl $0, %eax\n"
     "ret\n"
     "smc_never: .long 0");
CODE("smc_rmw: movl $0, smc_rmw_insn + 1; addl %edi, smc_rmw_insn + 1; orw $1, smc_rmw_insn + 3\n"
     "smc_rmw_insn: movl $0, %eax\n"
     "ret");
/* smc_call(at): a callee rewrites the instruction that it returns to. */
CODE("smc_call: call 1f\n"
     "smc_call_insn: movl $0, %eax\n"
     "ret\n"
     "1: movl %edi, smc_call_insn + 1; ret");
extern function smc_rep, smc_push, smc_xchg, smc_rmw, smc_call;

static void handler(struct frame *frame)
{
    /* The interrupted code goes on with MOV EAX, imm32, whose operand this replaces. */
    uint32_t *operand = (uint32_t *)(frame->rip + 1);
    *operand = *operand * 5 + 1;
}
CODE("smc_int: int $0x30\n"
     "smc_int_insn: movl $1, %eax\n"
     "ret");
extern function smc_int;

static void other_writers(void)
{
    test_begin("REP MOVSB over what follows");
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint8_t bytes[7] = {0xB8, 0, 0, 0, 0, 0x90, 0x90};
        if (i & 1) { /* MOV EAX, imm32; INC EAX */
            bytes[5] = 0xFF;
            bytes[6] = 0xC0;
        }
        memcpy(bytes + 1, &i, 4);
        test_equal(smc_rep((uint64_t)bytes, sizeof bytes), i + (i & 1), "value");
    }
    test_end();
    test_begin("PUSH into the next instruction");
    for (uint64_t i = 0; i < ROUNDS; i++)
        test_equal(smc_push(i << 32 | i, 0), i << 32 | i, "value");
    test_end();
    test_begin("XCHG and read-modify-write into an instruction");
    for (uint32_t i = 0; i < ROUNDS; i++) {
        test_equal(smc_xchg(i, 0), i, "value by XCHG");
        test_equal(smc_rmw(i, 0), i | 0x10000, "value by ADD and OR");
    }
    test_end();
    test_begin("a callee that changes where it returns to");
    for (uint32_t i = 0; i < ROUNDS; i++)
        test_equal(smc_call(i, 0), i, "value");
    test_end();
    test_begin("an interrupt handler that changes what it interrupted");
    handlers[0x30] = handler;
    uint32_t want = 1;
    for (unsigned i = 0; i < ROUNDS; i++) {
        want = want * 5 + 1;
        test_equal(smc_int(0, 0), want, "value");
    }
    handlers[0x30] = NULL;
    test_end();
}

/* ---- generated code ---- */

static void generated(void)
{
    test_begin("code generated again at one place");
    for (uint32_t i = 0; i < ROUNDS * 4; i++) {
        emit_return(code + 64, i);
        test_equal(CALL(code + 64, 0, 0), i, "value");
    }
    test_end();
    test_begin("code at every alignment");
    for (unsigned at = 0; at < 4096 + 40; at += 3) {
        emit_return(code + 2048 + at, at);
        test_equal(CALL(code + 2048 + at, 0, 0), at, "value");
        emit_return(code + 2048 + at, ~at);
        test_equal(CALL(code + 2048 + at, 0, 0), (uint32_t)~at, "changed value");
    }
    test_end();
    /* Two functions that jump into a third: the jumps must not outlive what they lead to. */
    test_begin("jumps to code that changes");
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint8_t *a = code + 100, *b = code + 5000, *target = code + 9000;
        int32_t to_target = (int32_t)(target - (a + 5));
        a[0] = 0xE9;
        memcpy(a + 1, &to_target, 4);
        to_target = (int32_t)(target - (b + 5));
        b[0] = 0xE9;
        memcpy(b + 1, &to_target, 4);
        for (unsigned k = 0; k < 5; k++) {
            emit_return(target, i * 10 + k);
            test_equal(CALL(a, 0, 0), i * 10 + k, "value through the first");
            test_equal(CALL(b, 0, 0), i * 10 + k, "value through the second");
        }
    }
    test_end();
    test_begin("a jump that changes its target");
    emit_return(code + 6000, 111);
    emit_return(code + 7000, 222);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        int32_t distance = (i & 1 ? 7000 : 6000) - (100 + 5);
        code[100] = 0xE9;
        memcpy(code + 101, &distance, 4);
        test_equal(CALL(code + 100, 0, 0), i & 1 ? 222 : 111, "value");
    }
    test_end();
}

/* ---- pages ---- */

static void across_pages(void)
{
    uint8_t *edge = code + 4096;
    for (unsigned split = 1; split < 6; split++) {
        test_begin(split == 1   ? "an instruction across pages, 1 byte in the first"
                   : split == 2 ? "an instruction across pages, 2 bytes in the first"
                   : split == 3 ? "an instruction across pages, 3 bytes in the first"
                   : split == 4 ? "an instruction across pages, 4 bytes in the first"
                                : "a RET in the second page");
        emit_return(edge - split, 0);
        for (uint32_t i = 0; i < ROUNDS; i++) {
            /* Only the operand's last byte changes, in the second page, then only its first one. */
            edge[-(int)split + 4] = (uint8_t)i;
            test_equal(CALL(edge - split, 0, 0), (uint32_t)(uint8_t)i << 24, "value, last byte changed");
            edge[-(int)split + 4] = 0;
            edge[-(int)split + 1] = (uint8_t)i;
            test_equal(CALL(edge - split, 0, 0), (uint8_t)i, "value, first byte changed");
            edge[-(int)split + 1] = 0;
        }
        test_end();
    }
    test_begin("a store across pages into code of both");
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint64_t bytes = 0xC300000000B8 | (uint64_t)i << 8;
        memset(edge - 8, 0x90, 16);
        *(volatile uint64_t *)(edge - 3) = bytes | 0x9090ull << 48;
        test_equal(CALL(edge - 8, 0, 0), i, "value");
    }
    test_end();
}

static void aliases(void)
{
    enum { RW = PTE_P | PTE_W | PTE_U };
    uint8_t *alias = (uint8_t *)map_page(0, (uint64_t)code, RW);
    test_begin("code changed through another address");
    for (uint32_t i = 0; i < ROUNDS; i++) {
        emit_return(alias + 256, i);
        serialise();
        test_equal(CALL(code + 256, 0, 0), i, "value");
        emit_return(code + 256, ~i);
        serialise();
        test_equal(CALL(alias + 256, 0, 0), (uint32_t)~i, "value at the other address");
    }
    test_end();
    test_begin("another page under the same address");
    emit_return(code + 512, 1);
    emit_return(code + 4096 + 512, 2);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        map_page(0, (uint64_t)code + (i & 1) * 4096, RW);
        test_equal(CALL(alias + 512, 0, 0), 1 + (i & 1), "value");
    }
    test_end();
    /* An instruction whose second half lies in a page that is exchanged. */
    test_begin("another page under an instruction's second half");
    map_page(0, (uint64_t)code, RW);
    code[4094] = 0xB8;
    code[4095] = 0x11;
    memcpy(code + 4096, "\x22\x22\x22\xC3", 4);
    memcpy(code + 8192, "\x33\x33\x33\xC3", 4);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        map_page(1, (uint64_t)code + 4096 * (1 + (i & 1)), RW);
        test_equal(CALL(alias + 4094, 0, 0), i & 1 ? 0x33333311 : 0x22222211, "value");
    }
    test_end();
    map_page(0, 0, 0);
    map_page(1, 0, 0);
}

/* Data beside code, in one page and one cache line: nothing changes but the data. */
CODE("smc_neighbour: movl smc_data, %eax; addl %edi, %eax; movl %eax, smc_data; ret\n"
     "smc_data: .long 0");
extern function smc_neighbour;

static void neighbours(void)
{
    uint32_t sum = 0;
    test_begin("data beside code");
    for (uint32_t i = 0; i < ROUNDS * 10; i++) {
        sum += i;
        test_equal(smc_neighbour(i, 0), sum, "sum");
    }
    test_end();
}

/* The same from CPL 3. */
SNIPPET(u_next, "movl %ebx, u_next_insn + 1; u_next_insn: movl $0, %eax", "nop", "");

static void user_mode(void)
{
    test_begin("store to the next instruction at CPL 3");
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct regs r = snippet_regs(&u_next, 3);
        r.rbx = i * 7;
        run(&r);
        test_equal(r.rax, i * 7, "value");
    }
    test_end();
}

void guest_main(void)
{
    close_stores();
    other_writers();
    generated();
    across_pages();
    aliases();
    neighbours();
    user_mode();
}
