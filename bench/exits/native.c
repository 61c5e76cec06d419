/*
 * native.c - the host's side of bench/kvm: "hz N", cycles of the TSC a second, and "user N", hundredths of a
 * cycle that a turn of the guest's loop takes natively.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include "loop.h"

static uint64_t tsc(void)
{
    return __builtin_ia32_rdtsc();
}

static uint64_t nanoseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

/* void loop(uint64_t turns, uint64_t span[2]): the TSC before and after. */
void loop(uint64_t turns, uint64_t span[2]);
__asm__(".pushsection .text\n.globl loop\nloop: pushq %rbx\n" LOOP_BEGIN "\n" LOOP_TURNS
        "\nmovq %r8, (%rsi); movq %rax, 8(%rsi); popq %rbx; ret\n.popsection");

int main(void)
{
    uint64_t start = tsc(), ns = nanoseconds(), span[2];

    loop(LOOP_COUNT, span);
    printf("user %llu\n", (unsigned long long)((span[1] - span[0]) * 100 / LOOP_COUNT));
    ns = nanoseconds() - ns;
    printf("hz %.0f\n", (double)(tsc() - start) * 1e9 / (double)ns);
    return 0;
}
