/*
 * avx_oracle.h - runs one VEX-encoded instruction on the host and by its body, from the same state, and
 * compares.
 *
 * A memory operand must be at [RSI + something]; RSI points into `data` of the state, in the guest at
 * ORACLE_DATA. A host exception arrives as SIGFPE and counts as vector 19. The native half is for x86-64
 * hosts with AVX2.
 */
#ifndef TESTS_UNIT_AVX_ORACLE_H
#define TESTS_UNIT_AVX_ORACLE_H

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
#define DATA_SIZE   512u

struct avx_state {
    uint8_t ymm[16][32];
    uint64_t rax, rcx, rdx, rsi, rflags; /* at 512 */
    void *code;                          /* at 552 */
    uint64_t mxcsr;                      /* at 560 */
    uint8_t data[DATA_SIZE] __attribute__((aligned(64)));
    int vector; /* -1: none */
};

struct avx_oracle {
    struct rig *rig;
    struct cpu *cpu; /* the rig's */
    uint8_t *code;   /* an executable page */
    struct avx_state start, native, body;
    uint64_t random;
};

static inline uint64_t oracle_random(struct avx_oracle *o)
{
    o->random ^= o->random << 13;
    o->random ^= o->random >> 7;
    o->random ^= o->random << 17;
    return o->random * 0x2545f4914f6cdd1du;
}

static inline void oracle_new(struct avx_oracle *o)
{
    memset(o, 0, sizeof(*o));
    o->rig = rig_new("max", 0);
    rig_long_mode(o->rig);
    o->cpu = o->rig->cpu;
    o->cpu->s.cr0 |= CR0_MP;
    o->cpu->s.cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
    o->cpu->s.xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX;
    o->start.mxcsr = MXCSR_DEFAULT;
    o->random = 0x9e3779b97f4a7c15u;
}

static inline void oracle_free(struct avx_oracle *o)
{
    rig_free(o->rig);
}

static inline void oracle_end(struct cpu *cpu, const struct insn *i)
{
    (void)cpu;
    (void)i;
}

/* Runs the body alone, in the trace mode given, from o->start; what is above YMM registers is set to show it.
 */
static inline void oracle_body_in(struct avx_oracle *o, uint32_t mode, const uint8_t *bytes, unsigned size)
{
    struct avx_state *s = &o->body;
    struct cpu *cpu = o->cpu;
    struct insn trace[2];
    unsigned attr;

    *s = o->start;
    s->rsi = ORACLE_DATA;
    s->vector = -1;
    memcpy(o->rig->ram + ORACLE_DATA, s->data, DATA_SIZE);
    for (unsigned n = 0; n < 16; n++) {
        memset(cpu->s.zmm[n].u8, 0x5a, sizeof(cpu->s.zmm[n]));
        memcpy(cpu->s.zmm[n].u8, s->ymm[n], 32);
    }
    cpu->s.mxcsr = (uint32_t)s->mxcsr;
    cpu->s.gpr[RAX] = s->rax;
    cpu->s.gpr[RCX] = s->rcx;
    cpu->s.gpr[RDX] = s->rdx;
    cpu->s.gpr[RSI] = s->rsi;
    cpu->s.rip = 0x1000;
    set_arith_flags(cpu, (uint32_t)s->rflags);
    ck_assert_uint_eq(decode(cpu, mode, bytes, size, 0, 0, &trace[0], &attr), size);
    trace[1] = (struct insn){.fn = oracle_end};
    s->vector = EXCEPTION(o->rig, trace[0].fn(cpu, &trace[0]));
    memcpy(s->data, o->rig->ram + ORACLE_DATA, DATA_SIZE);
    for (unsigned n = 0; n < 16; n++)
        memcpy(s->ymm[n], cpu->s.zmm[n].u8, 32);
    s->mxcsr = cpu->s.mxcsr;
    s->rax = cpu->s.gpr[RAX];
    s->rcx = cpu->s.gpr[RCX];
    s->rdx = cpu->s.gpr[RDX];
    s->rflags = get_arith_flags(cpu);
}

static inline void oracle_body(struct avx_oracle *o, const uint8_t *bytes, unsigned size)
{
    oracle_body_in(o, SIZE_Q, bytes, size);
}

/* --- The host ------------------------------------------------------------------------------------ */

#if defined(__x86_64__)
/* Loads everything from the state in RDI, calls its code, and stores everything back. */
void avx_oracle_run(struct avx_state *state);
__asm__(".pushsection .text\n"
        "avx_oracle_run:\n"
        "    push %rbx\n"
        "    mov %rdi, %rbx\n"
        "    .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
        "    vmovdqu 32*\\n(%rbx), %ymm\\n\n"
        "    .endr\n"
        "    vldmxcsr 560(%rbx)\n"
        "    mov 512(%rbx), %rax\n"
        "    mov 520(%rbx), %rcx\n"
        "    mov 528(%rbx), %rdx\n"
        "    mov 536(%rbx), %rsi\n"
        "    push 544(%rbx)\n"
        "    popf\n"
        "    call *552(%rbx)\n"
        "    pushf\n"
        "    pop 544(%rbx)\n"
        "    mov %rax, 512(%rbx)\n"
        "    mov %rcx, 520(%rbx)\n"
        "    mov %rdx, 528(%rbx)\n"
        "    .irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
        "    vmovdqu %ymm\\n, 32*\\n(%rbx)\n"
        "    .endr\n"
        "    vstmxcsr 560(%rbx)\n"
        "    movl $0x1f80, -8(%rsp)\n"
        "    vldmxcsr -8(%rsp)\n"
        "    vzeroupper\n"
        "    pop %rbx\n"
        "    ret\n"
        ".popsection\n");

_Static_assert(offsetof(struct avx_state, rax) == 512 && offsetof(struct avx_state, mxcsr) == 560,
               "avx_oracle_run knows the layout");

/* Where SIGFPE leads; a signal handler has no other way to know. */
static sigjmp_buf oracle_env;
static struct avx_state *oracle_current;

static void oracle_signal(int signal, siginfo_t *info, void *context)
{
    ucontext_t *c = context;

    (void)signal;
    (void)info;
    oracle_current->mxcsr = c->uc_mcontext.fpregs->mxcsr;
    siglongjmp(oracle_env, 1);
}

static inline bool oracle_host(struct avx_oracle *o)
{
    struct sigaction action = {.sa_sigaction = oracle_signal, .sa_flags = SA_SIGINFO | SA_NODEFER};

    if (!__builtin_cpu_supports("avx2"))
        return false;
    o->code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(o->code, MAP_FAILED);
    sigaction(SIGFPE, &action, NULL);
    return true;
}

static inline void oracle_native(struct avx_oracle *o, const uint8_t *bytes, unsigned size)
{
    struct avx_state *s = &o->native;

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
        avx_oracle_run(s);
    }
}

static inline void oracle_print(const char *title, const struct avx_state *s)
{
    printf("  %s: vector %d rax %016lx rcx %016lx rdx %016lx flags %04lx mxcsr %04lx\n", title, s->vector,
           s->rax, s->rcx, s->rdx, s->rflags & FLAGS_ARITH, s->mxcsr);
    for (unsigned n = 0; n < 16; n++) {
        uint64_t q[4];

        memcpy(q, s->ymm[n], 32);
        printf("    ymm%-2u %016lx %016lx %016lx %016lx\n", n, q[3], q[2], q[1], q[0]);
    }
    for (unsigned n = 0; n < 32; n++)
        printf("%s%02x", n ? " " : "    ", s->data[n]);
    printf("\n");
}

/* Runs the instruction both ways from o->start and fails the test when they differ. */
static inline void oracle_check(struct avx_oracle *o, const char *name, const uint8_t *bytes, unsigned size,
                                uint32_t mxcsr_mask)
{
    struct avx_state *a = &o->native, *b = &o->body;

    oracle_native(o, bytes, size);
    oracle_body(o, bytes, size);
    if (a->vector == b->vector && a->rax == b->rax && a->rcx == b->rcx && a->rdx == b->rdx &&
        !((a->rflags ^ b->rflags) & FLAGS_ARITH) && !((a->mxcsr ^ b->mxcsr) & mxcsr_mask) &&
        !memcmp(a->ymm, b->ymm, sizeof(a->ymm)) && !memcmp(a->data, b->data, DATA_SIZE))
        return;
    printf("%s:", name);
    for (unsigned n = 0; n < size; n++)
        printf(" %02x", bytes[n]);
    printf("\n");
    oracle_print("start", &o->start);
    oracle_print("host", a);
    oracle_print("body", b);
    fflush(stdout);
    ck_abort_msg("%s differs from the host", name);
}
#else
static inline bool oracle_host(struct avx_oracle *o)
{
    (void)o;
    return false;
}

static inline void oracle_check(struct avx_oracle *o, const char *name, const uint8_t *bytes, unsigned size,
                                uint32_t mxcsr_mask)
{
    (void)o, (void)name, (void)bytes, (void)size, (void)mxcsr_mask;
}
#endif

#endif
