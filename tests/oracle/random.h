/*
 * random.h - numbers that a seed determines.
 */
#ifndef TESTS_ORACLE_RANDOM_H
#define TESTS_ORACLE_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct random {
    uint64_t state;
};

/* SplitMix64 */
static inline uint64_t random64(struct random *r)
{
    uint64_t z = r->state += 0x9e3779b97f4a7c15ull;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

/* 0 to n - 1 */
static inline unsigned below(struct random *r, unsigned n)
{
    return (unsigned)((random64(r) >> 32) * n >> 32);
}

static inline bool one_in(struct random *r, unsigned n)
{
    return below(r, n) == 0;
}

#endif
