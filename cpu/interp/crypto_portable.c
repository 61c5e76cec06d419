/*
 * crypto_portable.c - the operations of crypto.h in C: the reference, and what hosts without the instructions
 * run.
 */
#include "cpu/interp/crypto.h"

/* --- The field GF(2^8), modulo x^8 + x^4 + x^3 + x + 1 ------------------------------------------- */

/* clang-format off */
/* FIPS 197 5.1.1: the inverse in the field, put through an affine transformation; and the way back. */
static const uint8_t sub_byte[256] = {
    0x63, 0x7c, 0x77, 0x7b, 0xf2, 0x6b, 0x6f, 0xc5, 0x30, 0x01, 0x67, 0x2b, 0xfe, 0xd7, 0xab, 0x76,
    0xca, 0x82, 0xc9, 0x7d, 0xfa, 0x59, 0x47, 0xf0, 0xad, 0xd4, 0xa2, 0xaf, 0x9c, 0xa4, 0x72, 0xc0,
    0xb7, 0xfd, 0x93, 0x26, 0x36, 0x3f, 0xf7, 0xcc, 0x34, 0xa5, 0xe5, 0xf1, 0x71, 0xd8, 0x31, 0x15,
    0x04, 0xc7, 0x23, 0xc3, 0x18, 0x96, 0x05, 0x9a, 0x07, 0x12, 0x80, 0xe2, 0xeb, 0x27, 0xb2, 0x75,
    0x09, 0x83, 0x2c, 0x1a, 0x1b, 0x6e, 0x5a, 0xa0, 0x52, 0x3b, 0xd6, 0xb3, 0x29, 0xe3, 0x2f, 0x84,
    0x53, 0xd1, 0x00, 0xed, 0x20, 0xfc, 0xb1, 0x5b, 0x6a, 0xcb, 0xbe, 0x39, 0x4a, 0x4c, 0x58, 0xcf,
    0xd0, 0xef, 0xaa, 0xfb, 0x43, 0x4d, 0x33, 0x85, 0x45, 0xf9, 0x02, 0x7f, 0x50, 0x3c, 0x9f, 0xa8,
    0x51, 0xa3, 0x40, 0x8f, 0x92, 0x9d, 0x38, 0xf5, 0xbc, 0xb6, 0xda, 0x21, 0x10, 0xff, 0xf3, 0xd2,
    0xcd, 0x0c, 0x13, 0xec, 0x5f, 0x97, 0x44, 0x17, 0xc4, 0xa7, 0x7e, 0x3d, 0x64, 0x5d, 0x19, 0x73,
    0x60, 0x81, 0x4f, 0xdc, 0x22, 0x2a, 0x90, 0x88, 0x46, 0xee, 0xb8, 0x14, 0xde, 0x5e, 0x0b, 0xdb,
    0xe0, 0x32, 0x3a, 0x0a, 0x49, 0x06, 0x24, 0x5c, 0xc2, 0xd3, 0xac, 0x62, 0x91, 0x95, 0xe4, 0x79,
    0xe7, 0xc8, 0x37, 0x6d, 0x8d, 0xd5, 0x4e, 0xa9, 0x6c, 0x56, 0xf4, 0xea, 0x65, 0x7a, 0xae, 0x08,
    0xba, 0x78, 0x25, 0x2e, 0x1c, 0xa6, 0xb4, 0xc6, 0xe8, 0xdd, 0x74, 0x1f, 0x4b, 0xbd, 0x8b, 0x8a,
    0x70, 0x3e, 0xb5, 0x66, 0x48, 0x03, 0xf6, 0x0e, 0x61, 0x35, 0x57, 0xb9, 0x86, 0xc1, 0x1d, 0x9e,
    0xe1, 0xf8, 0x98, 0x11, 0x69, 0xd9, 0x8e, 0x94, 0x9b, 0x1e, 0x87, 0xe9, 0xce, 0x55, 0x28, 0xdf,
    0x8c, 0xa1, 0x89, 0x0d, 0xbf, 0xe6, 0x42, 0x68, 0x41, 0x99, 0x2d, 0x0f, 0xb0, 0x54, 0xbb, 0x16,
};

static const uint8_t inverse_sub_byte[256] = {
    0x52, 0x09, 0x6a, 0xd5, 0x30, 0x36, 0xa5, 0x38, 0xbf, 0x40, 0xa3, 0x9e, 0x81, 0xf3, 0xd7, 0xfb,
    0x7c, 0xe3, 0x39, 0x82, 0x9b, 0x2f, 0xff, 0x87, 0x34, 0x8e, 0x43, 0x44, 0xc4, 0xde, 0xe9, 0xcb,
    0x54, 0x7b, 0x94, 0x32, 0xa6, 0xc2, 0x23, 0x3d, 0xee, 0x4c, 0x95, 0x0b, 0x42, 0xfa, 0xc3, 0x4e,
    0x08, 0x2e, 0xa1, 0x66, 0x28, 0xd9, 0x24, 0xb2, 0x76, 0x5b, 0xa2, 0x49, 0x6d, 0x8b, 0xd1, 0x25,
    0x72, 0xf8, 0xf6, 0x64, 0x86, 0x68, 0x98, 0x16, 0xd4, 0xa4, 0x5c, 0xcc, 0x5d, 0x65, 0xb6, 0x92,
    0x6c, 0x70, 0x48, 0x50, 0xfd, 0xed, 0xb9, 0xda, 0x5e, 0x15, 0x46, 0x57, 0xa7, 0x8d, 0x9d, 0x84,
    0x90, 0xd8, 0xab, 0x00, 0x8c, 0xbc, 0xd3, 0x0a, 0xf7, 0xe4, 0x58, 0x05, 0xb8, 0xb3, 0x45, 0x06,
    0xd0, 0x2c, 0x1e, 0x8f, 0xca, 0x3f, 0x0f, 0x02, 0xc1, 0xaf, 0xbd, 0x03, 0x01, 0x13, 0x8a, 0x6b,
    0x3a, 0x91, 0x11, 0x41, 0x4f, 0x67, 0xdc, 0xea, 0x97, 0xf2, 0xcf, 0xce, 0xf0, 0xb4, 0xe6, 0x73,
    0x96, 0xac, 0x74, 0x22, 0xe7, 0xad, 0x35, 0x85, 0xe2, 0xf9, 0x37, 0xe8, 0x1c, 0x75, 0xdf, 0x6e,
    0x47, 0xf1, 0x1a, 0x71, 0x1d, 0x29, 0xc5, 0x89, 0x6f, 0xb7, 0x62, 0x0e, 0xaa, 0x18, 0xbe, 0x1b,
    0xfc, 0x56, 0x3e, 0x4b, 0xc6, 0xd2, 0x79, 0x20, 0x9a, 0xdb, 0xc0, 0xfe, 0x78, 0xcd, 0x5a, 0xf4,
    0x1f, 0xdd, 0xa8, 0x33, 0x88, 0x07, 0xc7, 0x31, 0xb1, 0x12, 0x10, 0x59, 0x27, 0x80, 0xec, 0x5f,
    0x60, 0x51, 0x7f, 0xa9, 0x19, 0xb5, 0x4a, 0x0d, 0x2d, 0xe5, 0x7a, 0x9f, 0x93, 0xc9, 0x9c, 0xef,
    0xa0, 0xe0, 0x3b, 0x4d, 0xae, 0x2a, 0xf5, 0xb0, 0xc8, 0xeb, 0xbb, 0x3c, 0x83, 0x53, 0x99, 0x61,
    0x17, 0x2b, 0x04, 0x7e, 0xba, 0x77, 0xd6, 0x26, 0xe1, 0x69, 0x14, 0x63, 0x55, 0x21, 0x0c, 0x7d,
};
/* clang-format on */

static uint8_t rotate8(uint8_t v, unsigned n)
{
    return (uint8_t)(v << n | v >> (8 - n));
}

/* The S-box without its affine transformation; 0 stays 0. */
static uint8_t field_inverse(uint8_t v)
{
    uint8_t s = sub_byte[v];

    return rotate8(s, 1) ^ rotate8(s, 3) ^ rotate8(s, 6) ^ 0x05;
}

static uint8_t field_multiply(uint8_t a, uint8_t b)
{
    uint8_t r = 0;

    for (; b; b >>= 1) {
        if (b & 1)
            r ^= a;
        a = (uint8_t)(a << 1 ^ (a & 0x80 ? 0x1b : 0));
    }
    return r;
}

v128 portable_gf2p8mulb(v128 a, v128 b)
{
    union vec x = {.v = a}, y = {.v = b};

    for (unsigned n = 0; n < 16; n++)
        x.u8[n] = field_multiply(x.u8[n], y.u8[n]);
    return x.v;
}

/* Bit n of the product is the parity of `v` and the matrix' row n; row 0 is the top byte. */
static uint8_t affine(uint64_t matrix, uint8_t v, uint8_t add)
{
    uint8_t r = 0;

    for (unsigned n = 0; n < 8; n++)
        r |= (uint8_t)(__builtin_parity((uint8_t)(matrix >> 8 * (7 - n)) & v) << n);
    return r ^ add;
}

v128 portable_gf2p8affineqb(v128 a, v128 b, unsigned imm)
{
    union vec x = {.v = a};

    for (unsigned n = 0; n < 16; n++)
        x.u8[n] = affine(b[n / 8], x.u8[n], (uint8_t)imm);
    return x.v;
}

v128 portable_gf2p8affineinvqb(v128 a, v128 b, unsigned imm)
{
    union vec x = {.v = a};

    for (unsigned n = 0; n < 16; n++)
        x.u8[n] = field_inverse(x.u8[n]);
    return portable_gf2p8affineqb(x.v, b, imm);
}

/* --- AES: FIPS 197, whose state's column n is dword n -------------------------------------------- */

static uint32_t rotate_right(uint32_t v, unsigned n)
{
    return v >> n | v << (32 - n);
}

/* Four field elements times x. */
static uint32_t times_x(uint32_t v)
{
    return (v & 0x7f7f7f7f) << 1 ^ (v >> 7 & 0x01010101) * 0x1b;
}

/* Row n of the result is 2, 3, 1, 1 times rows n, n + 1, n + 2, n + 3. */
static uint32_t mix_column(uint32_t v)
{
    uint32_t next = rotate_right(v, 8);

    return times_x(v ^ next) ^ next ^ rotate_right(v, 16) ^ rotate_right(v, 24);
}

/* 14, 11, 13, 9: what is to be multiplied by 4 first makes 2, 3, 1, 1 of them. */
static uint32_t inverse_mix_column(uint32_t v)
{
    return mix_column(v ^ times_x(times_x(v ^ rotate_right(v, 16))));
}

static uint32_t sub_word(uint32_t v)
{
    return (uint32_t)sub_byte[v & 0xff] | (uint32_t)sub_byte[v >> 8 & 0xff] << 8 |
           (uint32_t)sub_byte[v >> 16 & 0xff] << 16 | (uint32_t)sub_byte[v >> 24] << 24;
}

/* ShiftRows and SubBytes; `back` is -1 to undo them, else 1. */
static union vec shift_and_sub(v128 state, const uint8_t table[256], unsigned back)
{
    union vec from = {.v = state}, to;

    for (unsigned n = 0; n < 16; n++)
        to.u8[n] = table[from.u8[(n + back * 4 * (n & 3)) & 15]];
    return to;
}

v128 portable_aesenc(v128 state, v128 key)
{
    union vec s = shift_and_sub(state, sub_byte, 1);

    for (unsigned n = 0; n < 4; n++)
        s.u32[n] = mix_column(s.u32[n]);
    return s.v ^ key;
}

v128 portable_aesenclast(v128 state, v128 key)
{
    return shift_and_sub(state, sub_byte, 1).v ^ key;
}

v128 portable_aesdec(v128 state, v128 key)
{
    return portable_aesimc(shift_and_sub(state, inverse_sub_byte, -1u).v) ^ key;
}

v128 portable_aesdeclast(v128 state, v128 key)
{
    return shift_and_sub(state, inverse_sub_byte, -1u).v ^ key;
}

v128 portable_aesimc(v128 key)
{
    union vec k = {.v = key};

    for (unsigned n = 0; n < 4; n++)
        k.u32[n] = inverse_mix_column(k.u32[n]);
    return k.v;
}

v128 portable_aeskeygenassist(v128 key, unsigned imm)
{
    union vec k = {.v = key};
    uint32_t low = sub_word(k.u32[1]), high = sub_word(k.u32[3]);

    k.u32[0] = low;
    k.u32[1] = rotate_right(low, 8) ^ (uint8_t)imm;
    k.u32[2] = high;
    k.u32[3] = rotate_right(high, 8) ^ (uint8_t)imm;
    return k.v;
}

/* --- Carry-less multiplication ------------------------------------------------------------------- */

v128 portable_pclmulqdq(v128 a, v128 b, unsigned imm)
{
    unsigned __int128 x = a[imm & 1], r = 0;

    for (uint64_t y = b[imm >> 4 & 1]; y; y >>= 1, x <<= 1)
        if (y & 1)
            r ^= x;
    return (v128){(uint64_t)r, (uint64_t)(r >> 64)};
}

/* --- SHA: FIPS 180-4. The manual's A, W0 and so on come from the top dword down ------------------- */

static uint32_t rotate_left(uint32_t v, unsigned n)
{
    return v << n | v >> (32 - n);
}

static uint32_t choose(uint32_t x, uint32_t y, uint32_t z)
{
    return (x & y) ^ (~x & z);
}

static uint32_t majority(uint32_t x, uint32_t y, uint32_t z)
{
    return (x & y) ^ (x & z) ^ (y & z);
}

static uint32_t sha1_function(unsigned n, uint32_t x, uint32_t y, uint32_t z)
{
    return n == 0 ? choose(x, y, z) : n == 2 ? majority(x, y, z) : x ^ y ^ z;
}

v128 portable_sha1rnds4(v128 state, v128 words, unsigned imm)
{
    static const uint32_t constant[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
    union vec s = {.v = state}, w = {.v = words};
    uint32_t a = s.u32[3], b = s.u32[2], c = s.u32[1], d = s.u32[0],
             e = 0; /* E is in the first word already */

    for (unsigned n = 4; n--;) {
        uint32_t next =
            sha1_function(imm & 3, b, c, d) + rotate_left(a, 5) + w.u32[n] + e + constant[imm & 3];

        e = d;
        d = c;
        c = rotate_left(b, 30);
        b = a;
        a = next;
    }
    return (union vec){.u32 = {d, c, b, a}}.v;
}

v128 portable_sha1nexte(v128 state, v128 words)
{
    union vec s = {.v = state}, w = {.v = words};

    w.u32[3] += rotate_left(s.u32[3], 30);
    return w.v;
}

v128 portable_sha1msg1(v128 a, v128 b)
{
    return a ^ (v128) { b[1], a[0] };
}

v128 portable_sha1msg2(v128 a, v128 b)
{
    union vec x = {.v = a}, w = {.v = b}, r;

    r.u32[3] = rotate_left(x.u32[3] ^ w.u32[2], 1);
    r.u32[2] = rotate_left(x.u32[2] ^ w.u32[1], 1);
    r.u32[1] = rotate_left(x.u32[1] ^ w.u32[0], 1);
    r.u32[0] = rotate_left(x.u32[0] ^ r.u32[3], 1);
    return r.v;
}

v128 portable_sha256rnds2(v128 cdgh, v128 abef, v128 wk)
{
    union vec low = {.v = cdgh}, high = {.v = abef}, w = {.v = wk};
    uint32_t a = high.u32[3], b = high.u32[2], c = low.u32[3], d = low.u32[2];
    uint32_t e = high.u32[1], f = high.u32[0], g = low.u32[1], h = low.u32[0];

    for (unsigned n = 0; n < 2; n++) {
        uint32_t sum1 = rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25);
        uint32_t sum0 = rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22);
        uint32_t t = choose(e, f, g) + sum1 + w.u32[n] + h;

        h = g;
        g = f;
        f = e;
        e = t + d;
        d = c;
        t += majority(a, b, c) + sum0;
        c = b;
        b = a;
        a = t;
    }
    return (union vec){.u32 = {f, e, b, a}}.v;
}

static uint32_t sigma0(uint32_t v)
{
    return rotate_right(v, 7) ^ rotate_right(v, 18) ^ v >> 3;
}

static uint32_t sigma1(uint32_t v)
{
    return rotate_right(v, 17) ^ rotate_right(v, 19) ^ v >> 10;
}

v128 portable_sha256msg1(v128 a, v128 b)
{
    union vec x = {.v = a}, y = {.v = b}, r;

    for (unsigned n = 0; n < 4; n++)
        r.u32[n] = x.u32[n] + sigma0(n < 3 ? x.u32[n + 1] : y.u32[0]);
    return r.v;
}

v128 portable_sha256msg2(v128 a, v128 b)
{
    union vec x = {.v = a}, y = {.v = b}, r;

    r.u32[0] = x.u32[0] + sigma1(y.u32[2]);
    r.u32[1] = x.u32[1] + sigma1(y.u32[3]);
    r.u32[2] = x.u32[2] + sigma1(r.u32[0]);
    r.u32[3] = x.u32[3] + sigma1(r.u32[1]);
    return r.v;
}
