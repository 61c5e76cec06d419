/*
 * work.h - one benchmark workload: a function that does `count` rounds of something and returns a checksum.
 *
 * The checksum depends on nothing but `count`: no addresses, times, process ids or sizes of caches go into
 * it, so that the same program gives the same one on every machine, and a wrong one means a wrong machine.
 * Workloads exit through work_fail() when the system refuses them something.
 */
#ifndef BENCH_WORK_H
#define BENCH_WORK_H

#include <stddef.h>
#include <stdint.h>

struct workload {
    const char *name;
    uint64_t (*run)(unsigned long count);
    /* Rounds that make some 100 to 400 million instructions, the kernel's included; fewer where engines take
     * long over them. */
    unsigned long count;
    const char *about;
};

/* control.c */
uint64_t work_calls(unsigned long count);
uint64_t work_sort(unsigned long count);
uint64_t work_interp(unsigned long count);
uint64_t work_indirect(unsigned long count);
uint64_t work_patch(unsigned long count);

/* numbers.c */
uint64_t work_crc32(unsigned long count);
uint64_t work_sieve(unsigned long count);
uint64_t work_matrix(unsigned long count);
uint64_t work_modpow(unsigned long count);
uint64_t work_float(unsigned long count);

/* floating.c */
uint64_t work_packed(unsigned long count);
uint64_t work_dmatrix(unsigned long count);
uint64_t work_x87(unsigned long count);
uint64_t work_fsin(unsigned long count);
uint64_t work_libm(unsigned long count);

/* memory.c */
uint64_t work_chase(unsigned long count);
uint64_t work_copy(unsigned long count);
uint64_t work_strings(unsigned long count);
uint64_t work_tree(unsigned long count);

/* sha256.c, lz.c */
uint64_t work_sha256(unsigned long count);
uint64_t work_lz(unsigned long count);

/* kernel.c */
uint64_t work_syscall(unsigned long count);
uint64_t work_faults(unsigned long count);
uint64_t work_fork(unsigned long count);
uint64_t work_exec(unsigned long count);
uint64_t work_pipe(unsigned long count);
uint64_t work_signal(unsigned long count);

/* Says on stderr what failed, with errno's text, and exits with 1. */
_Noreturn void work_fail(const char *what);

/* malloc() that doesn't return without. */
void *work_alloc(size_t size);

/* A pseudo-random sequence (xorshift); the state is any number but 0. */
static inline uint64_t work_random(uint64_t *state)
{
    uint64_t x = *state;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

/* Stirs a value into a checksum. */
static inline uint64_t work_mix(uint64_t sum, uint64_t value)
{
    return (sum ^ value) * 0x9E3779B97F4A7C15 + (sum >> 29);
}

/* Keeps the compiler from seeing through a call, so that what is to be measured is done. */
#ifdef __clang__
#define WORK_OPAQUE __attribute__((noinline))
#else
#define WORK_OPAQUE __attribute__((noipa))
#endif

#endif
