/*
 * loop.h - a loop of user code, the same in the guest and natively: RDI turns of it, from TSC R8 to TSC RAX.
 */
#ifndef BENCH_EXITS_LOOP_H
#define BENCH_EXITS_LOOP_H

#define LOOP_COUNT 200000000ull

#define LOOP_BEGIN "rdtsc; shlq $32, %rdx; orq %rdx, %rax; movq %rax, %r8; movl $3, %ebx; movl $7, %ecx"
#define LOOP_TURNS                                                                                           \
    "1: imulq %rcx, %rbx; addq %rdi, %rbx; rorq $13, %rbx; xorq %rbx, %rcx; orq $1, %rcx; decq %rdi; jnz "   \
    "1b;"                                                                                                    \
    "rdtsc; shlq $32, %rdx; orq %rdx, %rax"

#endif
