/*
 * fpu_oracle.h - runs one x87, MMX or SSE instruction on the host and by its body, from the same state, and
 * compares.
 *
 * The instruction's memory operand, if any, must be [RSI]; RSI points at `data` of the state, in the guest at
 * ORACLE_DATA. A host exception of an SSE instruction arrives as SIGFPE and counts as vector 19. For x86-64
 * hosts only.
 */
#ifndef TESTS_UNIT_FPU_ORACLE_H
#define TESTS_UNIT_FPU_ORACLE_H

#include <check.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "cpu/fpu.h"
#include "cpu/interp/flags.h"
#include "tests/unit/cpu_rig.h"

#define ORACLE_DATA 0x10000u

struct oracle_state {
    uint8_t fx[512] __attribute__((aligned(64)));
    uint64_t rax, rcx, rdx, rsi, rdi, rflags;
    void *code;
    uint8_t data[512] __attribute__((aligned(64)));
    int vector; /* -1: none */
};

struct oracle {
    struct rig *rig;
    struct cpu *cpu; /* the rig's */
    uint8_t *code;   /* an executable page */
    struct oracle_state start, native, body;
    uint64_t random;
};

/* Loads everything from the state in RDI, calls its code, and stores everything back. */
void oracle_run(struct oracle_state *state);
__asm__(".pushsection .text\n"
        "oracle_run:\n"
        "    push %rbx\n"
        "    mov %rdi, %rbx\n"
        "    fxrstor64 (%rbx)\n"
        "    mov 512(%rbx), %rax\n"
        "    mov 520(%rbx), %rcx\n"
        "    mov 528(%rbx), %rdx\n"
        "    mov 536(%rbx), %rsi\n"
        "    mov 544(%rbx), %rdi\n"
        "    push 552(%rbx)\n"
        "    popf\n"
        "    call *560(%rbx)\n"
        "    pushf\n"
        "    pop 552(%rbx)\n"
        "    mov %rax, 512(%rbx)\n"
        "    mov %rcx, 520(%rbx)\n"
        "    mov %rdx, 528(%rbx)\n"
        "    fxsave64 (%rbx)\n"
        "    fninit\n"
        "    movl $0x1f80, -8(%rsp)\n"
        "    ldmxcsr -8(%rsp)\n"
        "    pop %rbx\n"
        "    ret\n"
        ".popsection\n");

_Static_assert(offsetof(struct oracle_state, rax) == 512 && offsetof(struct oracle_state, code) == 560,
               "oracle_run knows the layout");

/* Where SIGFPE leads; a signal handler has no other way to know. */
static sigjmp_buf oracle_env;
static struct oracle_state *oracle_current;

static void oracle_signal(int signal, siginfo_t *info, void *context)
{
    ucontext_t *c = context;

    (void)signal;
    (void)info;
    memcpy(oracle_current->fx, c->uc_mcontext.fpregs, 512);
    siglongjmp(oracle_env, 1);
}

static void oracle_end(struct cpu *cpu, const struct insn *i)
{
    (void)cpu;
    (void)i;
}

static void oracle_new(struct oracle *o)
{
    struct sigaction action = {.sa_sigaction = oracle_signal, .sa_flags = SA_SIGINFO | SA_NODEFER};

    memset(o, 0, sizeof(*o));
    o->rig = rig_new("max", 0);
    rig_long_mode(o->rig);
    o->cpu = o->rig->cpu;
    o->cpu->s.cr0 |= CR0_MP;
    o->cpu->s.cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT;
    o->code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(o->code, MAP_FAILED);
    o->random = 0x9e3779b97f4a7c15u;
    sigaction(SIGFPE, &action, NULL);
}

static void oracle_free(struct oracle *o)
{
    signal(SIGFPE, SIG_DFL);
    munmap(o->code, 4096);
    rig_free(o->rig);
}

static inline uint64_t oracle_random(struct oracle *o)
{
    o->random ^= o->random << 13;
    o->random ^= o->random >> 7;
    o->random ^= o->random << 17;
    return o->random * 0x2545f4914f6cdd1du;
}

static void oracle_native(struct oracle *o, const uint8_t *bytes, unsigned size)
{
    struct oracle_state *s = &o->native;

    *s = o->start;
    memcpy(o->code, bytes, size);
    o->code[size] = 0xc3;
    s->code = o->code;
    s->rsi = (uintptr_t)s->data;
    s->vector = -1;
    oracle_current = s;
    if (sigsetjmp(oracle_env, 0)) {
        s->vector = EX_XM;
        s->rflags = o->start.rflags;
    } else {
        oracle_run(s);
    }
}

static void oracle_body(struct oracle *o, const uint8_t *bytes, unsigned size)
{
    struct oracle_state *s = &o->body;
    struct cpu *cpu = o->cpu;
    struct insn trace[2];
    unsigned attr;

    *s = o->start;
    s->rsi = ORACLE_DATA;
    s->vector = -1;
    memcpy(o->rig->ram + ORACLE_DATA, s->data, sizeof(s->data));
    fpu_fxrstor(&cpu->s, s->fx, true, 16);
    cpu->s.gpr[RAX] = s->rax;
    cpu->s.gpr[RCX] = s->rcx;
    cpu->s.gpr[RDX] = s->rdx;
    cpu->s.gpr[RSI] = s->rsi;
    cpu->s.gpr[RDI] = s->rdi;
    cpu->s.rip = 0x1000;
    set_arith_flags(cpu, (uint32_t)s->rflags);
    ck_assert_uint_eq(decode(cpu, SIZE_Q, bytes, size, 0, 0, &trace[0], &attr), size);
    trace[1] = (struct insn){.fn = oracle_end};
    s->vector = EXCEPTION(o->rig, trace[0].fn(cpu, &trace[0]));
    memcpy(s->data, o->rig->ram + ORACLE_DATA, sizeof(s->data));
    fpu_fxsave(&cpu->s, s->fx, true, 16);
    s->rax = cpu->s.gpr[RAX];
    s->rcx = cpu->s.gpr[RCX];
    s->rdx = cpu->s.gpr[RDX];
    s->rflags = get_arith_flags(cpu);
}

static void oracle_print(const char *title, const struct oracle_state *s)
{
    const uint64_t *q = (const void *)s->fx;

    printf("  %s: vector %d rax %016lx rcx %016lx rdx %016lx flags %04lx\n    fcw %04lx fsw %04lx tag %02lx "
           "mxcsr %04lx\n",
           title, s->vector, s->rax, s->rcx, s->rdx, s->rflags & FLAGS_ARITH, q[0] & 0xffff,
           q[0] >> 16 & 0xffff, q[0] >> 32 & 0xff, q[3] & 0xffff);
    for (unsigned n = 0; n < 8; n++)
        printf("    st%u %04lx %016lx   xmm%u %016lx %016lx\n", n, q[5 + 2 * n] & 0xffff, q[4 + 2 * n], n,
               q[21 + 2 * n], q[20 + 2 * n]);
    for (unsigned n = 0; n < 16; n++)
        printf("%s%02x", n ? " " : "    ", s->data[n]);
    printf("\n");
}

/* Whether the states agree, except in the bits of FSW and RFLAGS that are masked off. */
static bool oracle_equal(struct oracle *o, uint16_t fsw_mask, uint32_t flags_mask)
{
    struct oracle_state *a = &o->native, *b = &o->body;
    uint16_t sw_a, sw_b;

    memcpy(&sw_a, a->fx + 2, 2);
    memcpy(&sw_b, b->fx + 2, 2);
    return a->vector == b->vector && a->rax == b->rax && a->rcx == b->rcx && a->rdx == b->rdx &&
           !((a->rflags ^ b->rflags) & flags_mask) && !((sw_a ^ sw_b) & fsw_mask) &&
           !memcmp(a->fx, b->fx, 2) && a->fx[4] == b->fx[4] && !memcmp(a->fx + 24, b->fx + 24, 4) &&
           !memcmp(a->fx + 32, b->fx + 32, 416 - 32) && !memcmp(a->data, b->data, sizeof(a->data));
}

/* Runs the instruction both ways from o->start and fails the test when they differ. */
static void oracle_check(struct oracle *o, const char *name, const uint8_t *bytes, unsigned size,
                         uint16_t fsw_mask, uint32_t flags_mask)
{
    oracle_native(o, bytes, size);
    oracle_body(o, bytes, size);
    if (!oracle_equal(o, fsw_mask, flags_mask)) {
        printf("%s:", name);
        for (unsigned n = 0; n < size; n++)
            printf(" %02x", bytes[n]);
        printf("\n");
        oracle_print("start", &o->start);
        oracle_print("host", &o->native);
        oracle_print("body", &o->body);
        fflush(stdout);
        ck_abort_msg("%s differs from the host", name);
    }
}

#endif
