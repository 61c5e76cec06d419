/*
 * floating.c - workloads of floating point beyond scalar arithmetic: packed, matrices of doubles, the x87,
 * the C library's functions.
 *
 * IEEE 754 fixes sums, products, quotients and roots to the last bit. The functions are good to a bit or so,
 * which differs between processors and libraries, so that only their first 20 binary places go into the
 * checksum.
 */
#include <math.h>
#include <stdlib.h>

#include "work.h"

typedef float packed __attribute__((vector_size(16)));

enum { PACKED = 1024 };

/* y = y * a + x * x - b, four at a time; nothing grows. */
WORK_OPAQUE static void packed_step(packed *y, const packed *x, packed a, packed b)
{
    for (size_t i = 0; i < PACKED; i++)
        y[i] = y[i] * a + (x[i] * x[i] - b);
}

/* `count` passes over two arrays of 4096 floats, as packed single precision. */
uint64_t work_packed(unsigned long count)
{
    packed *x = work_alloc(PACKED * sizeof(*x)), *y = work_alloc(PACKED * sizeof(*y));
    uint64_t random = 0x1122334455667788, sum = 0;

    for (size_t i = 0; i < PACKED; i++) {
        for (size_t lane = 0; lane < 4; lane++) {
            x[i][lane] = (float)(work_random(&random) >> 40) * 0x1p-24f;
            y[i][lane] = 0;
        }
    }
    for (unsigned long i = 0; i < count; i++) {
        float a = 0.5f + (float)(i % 8) / 32, b = (float)(i % 5) / 8;
        packed_step(y, x, (packed){a, a, a, a}, (packed){b, b, b, b});
        sum = work_mix(sum, (uint64_t)(int64_t)(y[i % PACKED][i % 4] * 0x1p20f));
    }
    free(x);
    free(y);
    return sum;
}

enum { ORDER = 96 };

WORK_OPAQUE static void multiply(double (*product)[ORDER], double (*a)[ORDER], double (*b)[ORDER])
{
    for (size_t i = 0; i < ORDER; i++) {
        for (size_t j = 0; j < ORDER; j++) {
            double sum = 0;
            for (size_t k = 0; k < ORDER; k++)
                sum += a[i][k] * b[k][j];
            product[i][j] = sum;
        }
    }
}

/* `count` products of square matrices, scalar; their elements stay below 1. */
uint64_t work_dmatrix(unsigned long count)
{
    double(*matrices)[ORDER][ORDER] = work_alloc(3 * sizeof(*matrices));
    uint64_t random = 0x99AABBCCDDEEFF, sum = 0;

    for (size_t m = 0; m < 2; m++)
        for (size_t i = 0; i < ORDER; i++)
            for (size_t j = 0; j < ORDER; j++)
                matrices[m][i][j] = (double)(work_random(&random) >> 11) * (0x1p-53 / ORDER);
    for (unsigned long i = 0; i < count; i++) {
        multiply(matrices[2], matrices[0], matrices[1]);
        sum = work_mix(sum, (uint64_t)(matrices[2][i % ORDER][i / 3 % ORDER] * 0x1p60));
        matrices[0][i % ORDER][i / 7 % ORDER] = matrices[2][i % ORDER][i % 31];
    }
    free(matrices);
    return sum;
}

/* Extended precision: a continued fraction, and a root by its instruction. */
WORK_OPAQUE static long double extended(long double x)
{
    long double y = x;

    for (unsigned n = 1; n < 24; n++)
        y = x + n / (y + 1);
    __asm__("fsqrt" : "+t"(y));
    return y;
}

/* `count` times a polynomial, a continued fraction and a root in the x87's own precision. */
uint64_t work_x87(unsigned long count)
{
    long double coefficients[16], total = 0;
    uint64_t random = 0x2468ACE013579B, sum = 0;

    for (size_t i = 0; i < 16; i++)
        coefficients[i] = (long double)(work_random(&random) >> 1) * 0x1p-63L - 0.5L;
    for (unsigned long i = 0; i < count; i++) {
        long double x = (long double)(int64_t)(work_random(&random) >> 12) * 0x1p-52L, y = 0;
        for (size_t n = 0; n < 16; n++)
            y = y * x + coefficients[n];
        total = total * 0.75L + y + extended(x);
        sum = work_mix(sum, (uint64_t)(int64_t)(total * 0x1p55L));
    }
    return sum;
}

static int64_t places(long double x)
{
    return (int64_t)(x * 0x1p20L);
}

/* `count` times what the x87 has an instruction for: FSINCOS, FPATAN, FYL2X, F2XM1, FPTAN. */
uint64_t work_fsin(unsigned long count)
{
    uint64_t random = 0x13579BDF02468, sum = 0;

    for (unsigned long i = 0; i < count; i++) {
        uint64_t number = work_random(&random);
        long double x = (long double)(number >> 12) * 0x1p-50L - 2, sine, cosine, angle, log, power, tangent,
                    one;
        __asm__("fsincos" : "=t"(cosine), "=u"(sine) : "0"(x));
        __asm__("fpatan" : "=t"(angle) : "0"(cosine + 2), "u"(sine) : "st(1)");
        __asm__("fyl2x" : "=t"(log) : "0"(sine + 2), "u"(1.0L) : "st(1)");
        __asm__("f2xm1" : "=t"(power) : "0"(cosine * 0.5L));
        __asm__("fptan" : "=t"(one), "=u"(tangent) : "0"(sine));
        sum = work_mix(sum, (uint64_t)(places(sine) ^ places(cosine) << 7 ^ places(angle) << 14));
        sum = work_mix(sum, (uint64_t)(places(log) ^ places(power) << 9 ^ places(tangent * one) << 17));
    }
    return sum;
}

/* `count` times sin(), exp(), log(), pow() in double precision, of numbers all over their ranges. */
uint64_t work_libm(unsigned long count)
{
    uint64_t random = 0xFACEFEED5EED, sum = 0;

    for (unsigned long i = 0; i < count; i++) {
        uint64_t number = work_random(&random);
        double x = (double)(number >> 12) * 0x1p-48 - 8, y = (double)(number & 0xFFFFFF) * 0x1p-20;
        double of_log = log(y + 0x1p-10), of_exp = exp(x * 0.25), of_sin = sin(x),
               of_pow = pow(y + 0.5, x * 0.125);
        sum = work_mix(sum, (uint64_t)(places((long double)of_sin) ^ places((long double)of_exp) << 8));
        sum = work_mix(sum, (uint64_t)(places((long double)of_log) ^ places((long double)of_pow) << 8));
    }
    return sum;
}
