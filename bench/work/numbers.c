/*
 * numbers.c - workloads of arithmetic in loops: tables, bits, products, division.
 */
#include <stdlib.h>
#include <string.h>

#include "work.h"

WORK_OPAQUE static uint32_t crc32_of(const uint32_t *table, const uint8_t *data, size_t size, uint32_t crc)
{
    while (size--)
        crc = table[(crc ^ *data++) & 0xFF] ^ crc >> 8;
    return crc;
}

/* `count` times the CRC of 1 MiB, with the polynomial of Ethernet (reflected). */
uint64_t work_crc32(unsigned long count)
{
    enum { SIZE = 1 << 20 };
    uint8_t *data = work_alloc(SIZE);
    uint64_t random = 0x1357924680ACEBDF;
    uint32_t table[256], crc = 0xFFFFFFFF;

    for (uint32_t i = 0; i < 256; i++) {
        uint32_t entry = i;
        for (unsigned bit = 0; bit < 8; bit++)
            entry = entry & 1 ? entry >> 1 ^ 0xEDB88320 : entry >> 1;
        table[i] = entry;
    }
    for (size_t i = 0; i < SIZE; i++)
        data[i] = (uint8_t)(work_random(&random) >> 24);
    for (unsigned long i = 0; i < count; i++)
        crc = crc32_of(table, data, SIZE, crc);
    free(data);
    return ~crc;
}

WORK_OPAQUE static unsigned count_primes(uint8_t *composite, size_t limit)
{
    unsigned primes = 0;

    memset(composite, 0, limit);
    for (size_t n = 2; n < limit; n++) {
        if (composite[n])
            continue;
        primes++;
        for (size_t multiple = n * n; multiple < limit; multiple += n)
            composite[multiple] = 1;
    }
    return primes;
}

/* `count` times the primes below a few million, a byte for each number. */
uint64_t work_sieve(unsigned long count)
{
    enum { LIMIT = 3000000 };
    uint8_t *composite = work_alloc(LIMIT);
    uint64_t sum = 0;

    for (unsigned long i = 0; i < count; i++)
        sum = work_mix(sum, count_primes(composite, LIMIT - i % 1000));
    free(composite);
    return sum;
}

enum { ROWS = 128 };

WORK_OPAQUE static void multiply(uint32_t (*product)[ROWS], uint32_t (*a)[ROWS], uint32_t (*b)[ROWS])
{
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t j = 0; j < ROWS; j++) {
            uint32_t sum = 0;
            for (size_t k = 0; k < ROWS; k++)
                sum += a[i][k] * b[k][j];
            product[i][j] = sum;
        }
    }
}

/* `count` products of square matrices. */
uint64_t work_matrix(unsigned long count)
{
    uint32_t(*matrices)[ROWS][ROWS] = work_alloc(3 * sizeof(*matrices));
    uint64_t random = 0xA5A5A5A512345678, sum = 0;

    for (size_t m = 0; m < 2; m++)
        for (size_t i = 0; i < ROWS; i++)
            for (size_t j = 0; j < ROWS; j++)
                matrices[m][i][j] = (uint32_t)work_random(&random);
    for (unsigned long i = 0; i < count; i++) {
        multiply(matrices[(i + 2) % 3], matrices[i % 3], matrices[(i + 1) % 3]);
        sum = work_mix(sum, matrices[(i + 2) % 3][i % ROWS][i / 3 % ROWS]);
    }
    free(matrices);
    return sum;
}

WORK_OPAQUE static uint64_t power(uint64_t base, uint64_t exponent, uint64_t modulus)
{
    uint64_t result = 1;

    for (; exponent; exponent >>= 1) {
        /* Below 2^32, so that a product fits: DIV and MUL of 64 bits rather than a library call. */
        if (exponent & 1)
            result = result * base % modulus;
        base = base * base % modulus;
    }
    return result;
}

/* `count` times a hundred powers modulo a prime, and as many 128-bit products. */
uint64_t work_modpow(unsigned long count)
{
    uint64_t random = 0x31415926535897, sum = 0;

    for (unsigned long i = 0; i < count; i++) {
        for (unsigned j = 0; j < 100; j++) {
            uint64_t number = work_random(&random);
            sum = work_mix(sum, power(number >> 33, number | 1ull << 63, 4294967291));
            sum += (uint64_t)((unsigned __int128)number * sum >> 64);
        }
    }
    return sum;
}

/* The set's picture, `count` rows of it at a time; doubles are added and multiplied one by one, so that the
 * result is the same to the last bit wherever IEEE 754 holds. */
uint64_t work_float(unsigned long count)
{
    enum { WIDTH = 320, LIMIT = 256 };
    uint64_t sum = 0;

    for (unsigned long row = 0; row < count; row++) {
        double im = -1.25 + 2.5 * (double)(row * 37 % 240) / 240;
        for (unsigned column = 0; column < WIDTH; column++) {
            double re = -2 + 2.75 * column / WIDTH, x = 0, y = 0;
            unsigned n = 0;
            while (n < LIMIT && x * x + y * y < 4) {
                double next = x * x - y * y + re;
                y = 2 * x * y + im;
                x = next;
                n++;
            }
            sum = work_mix(sum, n);
        }
    }
    return sum;
}
