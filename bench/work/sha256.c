/*
 * sha256.c - SHA-256 (FIPS 180-4) of 512 KiB, over and over: rotations, additions, many live values.
 *
 * The constants are computed rather than listed: the first 32 bits of the fractional parts of the square
 * roots (initial state) and cube roots (round constants) of the first primes (FIPS 180-4 4.2.2, 5.3.3).
 */
#include <stdlib.h>
#include <string.h>

#include "work.h"

struct sha256 {
    uint32_t state[8];
    uint32_t constants[64];
};

/* floor(root(n) * 2^32) mod 2^32 for the square (degree 2) or cube root, by bisection on integers. */
static uint32_t root_fraction(unsigned n, unsigned degree)
{
    unsigned __int128 goal = (unsigned __int128)n << (degree == 2 ? 64 : 96);
    uint64_t low = 0, high = (uint64_t)1 << (degree == 2 ? 37 : 35); /* of 311, the greatest n */

    while (high - low > 1) {
        uint64_t middle = low + (high - low) / 2;
        unsigned __int128 power = (unsigned __int128)middle * middle * (degree == 2 ? 1 : middle);
        if (power <= goal)
            low = middle;
        else
            high = middle;
    }
    return (uint32_t)low;
}

static int is_prime(unsigned n)
{
    for (unsigned divisor = 2; divisor * divisor <= n; divisor++)
        if (n % divisor == 0)
            return 0;
    return 1;
}

static void sha256_init(struct sha256 *sha)
{
    unsigned primes = 0;

    for (unsigned n = 2; primes < 64; n++) {
        if (!is_prime(n))
            continue;
        if (primes < 8)
            sha->state[primes] = root_fraction(n, 2);
        sha->constants[primes++] = root_fraction(n, 3);
    }
}

static uint32_t rotate(uint32_t x, unsigned bits)
{
    return x >> bits | x << (32 - bits);
}

WORK_OPAQUE static void sha256_block(struct sha256 *sha, const uint8_t *data)
{
    uint32_t w[64], s[8];

    for (unsigned i = 0; i < 16; i++) {
        memcpy(&w[i], data + 4 * i, 4);
        w[i] = __builtin_bswap32(w[i]);
    }
    for (unsigned i = 16; i < 64; i++) {
        uint32_t low = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t high = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + low + w[i - 7] + high;
    }
    memcpy(s, sha->state, sizeof(s));
    for (unsigned i = 0; i < 64; i++) {
        uint32_t e = rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25);
        uint32_t first = s[7] + e + ((s[4] & s[5]) ^ (~s[4] & s[6])) + sha->constants[i] + w[i];
        uint32_t a = rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22);
        uint32_t second = a + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        s[7] = s[6];
        s[6] = s[5];
        s[5] = s[4];
        s[4] = s[3] + first;
        s[3] = s[2];
        s[2] = s[1];
        s[1] = s[0];
        s[0] = first + second;
    }
    for (unsigned i = 0; i < 8; i++)
        sha->state[i] += s[i];
}

/* `count` times 512 KiB, without the padding at the end. The sum is the first 64 bits of the state. */
uint64_t work_sha256(unsigned long count)
{
    enum { SIZE = 512 << 10 };
    uint8_t *data = work_alloc(SIZE);
    uint64_t random = 0xABCDEF0123456789;
    struct sha256 sha;

    sha256_init(&sha);
    for (size_t i = 0; i < SIZE; i++)
        data[i] = (uint8_t)(work_random(&random) >> 17);
    for (unsigned long i = 0; i < count; i++)
        for (size_t at = 0; at < SIZE; at += 64)
            sha256_block(&sha, data + at);
    free(data);
    return (uint64_t)sha.state[0] << 32 | sha.state[1];
}
