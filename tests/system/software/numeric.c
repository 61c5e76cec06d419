/*
 * numeric.c - what compilers make of arithmetic, and what libm answers: sums of all results' bits, a line a
 * function.
 *
 * gcc.sh compiles it in the guest several ways. What is summed does not depend on time, memory or addresses.
 */
#include <fenv.h>
#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N 512

static uint64_t state;

static uint64_t next(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return state ^ state >> 29;
}

static uint64_t sum;

/* NaNs count as one: which of two operands' payloads comes out is the compiler's choice. */
static void add(const void *data, size_t size, int nan)
{
    const unsigned char *bytes = data;

    for (size_t i = 0; i < size; i++)
        sum = (sum ^ (nan ? 0x55 : bytes[i])) * 0x100000001b3u;
}

static void report(const char *name, const char *type)
{
    printf("%s %s %016llx\n", name, type, (unsigned long long)sum);
    sum = 0xcbf29ce484222325u;
}

static void add_f(float v)
{
    add(&v, 4, isnan(v));
}

static void add_d(double v)
{
    add(&v, 8, isnan(v));
}

static void add_l(long double v)
{
    add(&v, 10, isnan(v));
}

static double some_double(int i)
{
    static const double special[] = {
        0,    -0.0, 1,  -1,  0.5,   2,    1e-310, 5e-324,  DBL_MIN, DBL_MAX, INFINITY, -INFINITY, NAN,
        1e22, 3,    10, 100, 709.5, -745, 1e-5,   0.99999, 1.00001, M_PI,    M_PI_2,   1e10};
    double v;
    uint64_t bits;

    if (i < (int)(sizeof(special) / sizeof(*special)))
        return special[i];
    bits = next();
    if (i % 4 == 0) {
        memcpy(&v, &bits, 8);
        return v;
    }
    return ldexp((double)(int64_t)bits, -63 + (int)(next() % 16) - 4);
}

#define ONE(X)                                                                                               \
    X(sin)                                                                                                   \
    X(cos) X(tan) X(asin) X(acos) X(atan) X(sinh) X(cosh) X(tanh) X(asinh) X(acosh) X(atanh) X(exp) X(exp2)  \
        X(expm1) X(log) X(log2) X(log10) X(log1p) X(sqrt) X(cbrt) X(erf) X(erfc) X(tgamma) X(lgamma)         \
            X(floor) X(ceil) X(trunc) X(round) X(rint) X(nearbyint) X(fabs) X(logb) X(j0) X(y1)
#define TWO(X) X(pow) X(atan2) X(hypot) X(fmod) X(remainder) X(fmax) X(fmin) X(fdim) X(copysign) X(nextafter)

/* Each function in float, double and long double, with the exceptions that it raises. */
#define DECLARE_ONE(NAME)                                                                                    \
    static void one_##NAME(void)                                                                             \
    {                                                                                                        \
        int flags = 0;                                                                                       \
        for (int i = 0; i < N; i++) {                                                                        \
            double x = some_double(i);                                                                       \
            feclearexcept(FE_ALL_EXCEPT);                                                                    \
            add_f(NAME##f((float)x));                                                                        \
            flags = flags * 31 + fetestexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW);                      \
            add_d(NAME(x));                                                                                  \
            flags = flags * 31 + fetestexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW);                      \
            add_l(NAME##l((long double)x * 1.0000001L));                                                     \
            flags = (flags * 31 + fetestexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW)) & 0xFFFFFF;         \
        }                                                                                                    \
        add(&flags, sizeof(flags), 0);                                                                       \
        report(#NAME, "");                                                                                   \
    }
#define DECLARE_TWO(NAME)                                                                                    \
    static void two_##NAME(void)                                                                             \
    {                                                                                                        \
        for (int i = 0; i < N; i++) {                                                                        \
            double x = some_double(i), y = some_double(i * 7 % N);                                           \
            add_f(NAME##f((float)x, (float)y));                                                              \
            add_d(NAME(x, y));                                                                               \
            add_l(NAME##l(x, y));                                                                            \
        }                                                                                                    \
        report(#NAME, "");                                                                                   \
    }
ONE(DECLARE_ONE)
TWO(DECLARE_TWO)

/* Loops that compilers turn into vectors. */
#define LOOPS(T, NAME, ADD)                                                                                  \
    __attribute__((noinline)) static void loops_##NAME(T *restrict a, const T *restrict b,                   \
                                                       const T *restrict c)                                  \
    {                                                                                                        \
        T least = b[0], most = b[0], total = 0;                                                              \
        for (int i = 0; i < N; i++)                                                                          \
            a[i] = (T)(b[i] * c[i] + a[i]);                                                                  \
        for (int i = 0; i < N; i++)                                                                          \
            a[i] = (T)(b[i] > c[i] ? a[i] - b[i] : a[i] + c[N - 1 - i]);                                     \
        for (int i = 0; i < N; i++) {                                                                        \
            least = b[i] < least ? b[i] : least;                                                             \
            most = a[i] > most ? a[i] : most;                                                                \
        }                                                                                                    \
        for (int i = 0; i < N / 2; i++)                                                                      \
            a[i] = (T)(a[i] + b[2 * i] - b[2 * i + 1]);                                                      \
        for (int i = 0; i < N; i++)                                                                          \
            total = (T)(total + (b[i] / (T)(c[i] == 0 ? 1 : c[i])));                                         \
        ADD(least);                                                                                          \
        ADD(most);                                                                                           \
        ADD(total);                                                                                          \
        for (int i = 0; i < N; i++)                                                                          \
            ADD(a[i]);                                                                                       \
    }
#define ADD_INTEGER(v) add(&(v), sizeof(v), 0)
LOOPS(uint8_t, u8, ADD_INTEGER)
LOOPS(int8_t, s8, ADD_INTEGER)
LOOPS(uint16_t, u16, ADD_INTEGER)
LOOPS(int16_t, s16, ADD_INTEGER)
LOOPS(uint32_t, u32, ADD_INTEGER)
LOOPS(int32_t, s32, ADD_INTEGER)
LOOPS(uint64_t, u64, ADD_INTEGER)
LOOPS(int64_t, s64, ADD_INTEGER)
LOOPS(float, f32, add_f)
LOOPS(double, f64, add_d)

__attribute__((noinline)) static void bits(const uint64_t *b)
{
    for (int i = 0; i < N; i++) {
        uint64_t v = b[i], n = v & 63;
        uint64_t r[] = {(uint64_t)__builtin_popcountll(v),
                        (uint64_t)__builtin_ctzll(v | 1),
                        (uint64_t)__builtin_clzll(v | 1),
                        v << n | v >> (63 & -n),
                        __builtin_bswap64(v),
                        v & -v,
                        v & (v - 1),
                        v & ~(v >> 7),
                        v >> n,
                        (uint64_t)((int64_t)v >> n),
                        v << n,
                        v & ((1ull << n) - 1),
                        (uint64_t)__builtin_bswap32((uint32_t)v)};
        add(r, sizeof(r), 0);
    }
    report("bits", "");
}

#ifdef __SIZEOF_INT128__
__attribute__((noinline)) static void wide(const uint64_t *b)
{
    for (int i = 1; i < N; i++) {
        unsigned __int128 v = (unsigned __int128)b[i] << 64 | b[i - 1],
                          w = (unsigned __int128)b[i] * b[i - 1];
        __int128 s = (__int128)v;
        unsigned __int128 r[] = {v / (b[i - 1] | 1),
                                 w % (v >> (b[i] & 63) | 1),
                                 v * w,
                                 w - v,
                                 (unsigned __int128)(s / 1000003),
                                 v << (b[i] & 127),
                                 (unsigned __int128)(s >> (b[i] & 127))};
        add(r, sizeof(r), 0);
        add_d((double)v);
        add_f((float)s);
    }
    report("int128", "");
}
#endif

static void conversions(const uint64_t *b)
{
    for (int i = 0; i < N; i++) {
        double d = some_double(i);
        float f = (float)b[i], g = (float)(int64_t)b[i], h = (float)(uint32_t)b[i];
        double e = (double)b[i], s = (double)(int64_t)b[i];
        add_f(f), add_f(g), add_f(h), add_f((float)d), add_d(e), add_d(s), add_d((double)(float)d);
        if (fabs(d) < 1e9) {
            int32_t i32 = (int32_t)d;
            int64_t i64 = (int64_t)(d * 1e9), r64 = llrint(d), l64 = lround(d);
            uint64_t u64 = (uint64_t)(fabs(d) * 1.8e10);
            add(&i32, 4, 0), add(&i64, 8, 0), add(&r64, 8, 0), add(&l64, 8, 0), add(&u64, 8, 0);
        }
        add_l((long double)b[i] * 3), add_l((long double)d / 3), add_d(fma(d, e, s)), add_f(fmaf(f, g, h));
    }
    report("conversions", "");
}

/* Basic arithmetic in all rounding modes, with all exceptions. */
static void rounding(void)
{
    static const int modes[] = {FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO};

    for (int m = 0; m < 4; m++) {
        fesetround(modes[m]);
        for (int i = 0; i < N; i++) {
            volatile double x = some_double(i), y = some_double(i * 11 % N);
            volatile float xf = (float)x, yf = (float)y;
            volatile long double xl = x * 1.0001L, yl = y;
            feclearexcept(FE_ALL_EXCEPT);
            add_d(x + y), add_d(x * y), add_d(x / y), add_d(sqrt(fabs(x))), add_d(rint(x));
            int flags = fetestexcept(FE_ALL_EXCEPT);
            feclearexcept(FE_ALL_EXCEPT);
            add_f(xf - yf), add_f(xf * yf), add_f(xf / yf), add_f(sqrtf(fabsf(xf)));
            flags = flags << 8 | fetestexcept(FE_ALL_EXCEPT);
            feclearexcept(FE_ALL_EXCEPT);
            add_l(xl + yl), add_l(xl * yl), add_l(xl / yl), add_l(sqrtl(fabsl(xl))), add_l(rintl(xl));
            flags = flags << 8 | fetestexcept(FE_ALL_EXCEPT);
            add(&flags, sizeof(flags), 0);
        }
    }
    fesetround(FE_TONEAREST);
    report("rounding", "");
}

#define RUN_ONE(f) one_##f();
#define RUN_TWO(f) two_##f();
#define RUN_LOOPS(T, NAME)                                                                                   \
    {                                                                                                        \
        static T a[N], b[N], c[N];                                                                           \
        for (int i = 0; i < N; i++)                                                                          \
            a[i] = (T)(next() >> 11), b[i] = (T)(next() >> 20), c[i] = (T)(next() >> 31);                    \
        for (int i = 0; i < 20; i++)                                                                         \
            loops_##NAME(a, b, c);                                                                           \
        report("loops", #NAME);                                                                              \
    }

int main(void)
{
    static uint64_t numbers[N];

    sum = 0xcbf29ce484222325u;
    state = 1;
    ONE(RUN_ONE)
    TWO(RUN_TWO)
    RUN_LOOPS(uint8_t, u8)
    RUN_LOOPS(int8_t, s8)
    RUN_LOOPS(uint16_t, u16)
    RUN_LOOPS(int16_t, s16)
    RUN_LOOPS(uint32_t, u32)
    RUN_LOOPS(int32_t, s32)
    RUN_LOOPS(uint64_t, u64)
    RUN_LOOPS(int64_t, s64)
    RUN_LOOPS(float, f32)
    RUN_LOOPS(double, f64)
    for (int i = 0; i < N; i++)
        numbers[i] = next() >> (i % 5 * 12);
    bits(numbers);
#ifdef __SIZEOF_INT128__
    wide(numbers);
#endif
    conversions(numbers);
    rounding();
    for (int i = 0; i < 40; i++)
        printf("%.17g %a %.3Lf %Lg\n", some_double(i), some_double(i * 3), (long double)some_double(i),
               expl(i));
    return 0;
}
