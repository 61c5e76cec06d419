/*
 * values.c - operands where something is likely to go wrong: at the ends of ranges, around powers of two,
 * halfway between representable numbers, and the special encodings.
 */
#include <string.h>

#include "tests/oracle/oracle.h"

#define COUNT(a) ((unsigned)(sizeof(a) / sizeof((a)[0])))

uint64_t edge_integer(struct random *r)
{
    uint64_t v = random64(r);

    switch (below(r, 9)) {
    case 0:
        return below(r, 4) - 1ull; /* -1, 0, 1, 2 */
    case 1:
        return (1ull << below(r, 64)) + below(r, 3) - 1;
    case 2: /* the ends of a signed 8-, 16-, 32-, 64-bit range, with anything above */
    {
        unsigned bits = 8u << below(r, 4);
        uint64_t low = (1ull << (bits - 1)) + below(r, 3) - 1;

        return bits == 64 || one_in(r, 2) ? low : low | v << bits;
    }
    case 3:
        return v >> below(r, 64);
    case 4:
        return (uint64_t)((int64_t)v >> below(r, 64));
    case 5:
        return below(r, 256);
    case 6: /* small ones of any size, under garbage */
        return (v & ~0xffull) | below(r, 4);
    default:
        return v;
    }
}

uint32_t edge_f32(struct random *r)
{
    static const uint32_t special[] = {
        0,          1,          2,          0x7fffff,   0x800000,   0x800001,   0x3f800000, 0x3f800001,
        0x3f7fffff, 0x3f000000, 0x3fc00000, 0x40200000, 0x4b000000, 0x4b7fffff, 0x4b000001, 0x4effffff,
        0x4f000000, 0x4f000001, 0x5effffff, 0x5f000000, 0x5f000001, 0x7f000000, 0x7f7fffff, 0x7f800000,
        0x7f800001, 0x7fa00000, 0x7fc00000, 0x7fffffff, 0x33800000, 0x00c00000,
    };
    uint32_t v = (uint32_t)random64(r), sign = v & 1u << 31;

    switch (below(r, 5)) {
    case 0:
        return special[below(r, COUNT(special))] | sign;
    case 1: /* not far from 1 */
        return sign | (127 - 16 + below(r, 48)) << 23 | (v & 0x7fffff & ~0u << below(r, 24));
    case 2: /* a small integer, or one and a half */
        return sign | (126 + below(r, 6)) << 23 | (v & 0x7c0000);
    case 3: /* halfway between two halves, and where they become denormal */
        return sign | (127 - 26 + below(r, 44)) << 23 | (v & 0x7ff000 & ~0u << below(r, 24)) | below(r, 2);
    default:
        return v;
    }
}

uint16_t edge_f16(struct random *r)
{
    static const uint16_t special[] = {0,      1,      2,      0x3ff,  0x400,  0x401,  0x3c00, 0x3c01,
                                       0x3bff, 0x7bff, 0x7c00, 0x7c01, 0x7d00, 0x7e00, 0x7fff, 0x200};
    uint16_t v = (uint16_t)random64(r);

    return one_in(r, 2) ? special[below(r, COUNT(special))] | (v & 0x8000) : v;
}

uint64_t edge_f64(struct random *r)
{
    static const uint64_t special[] = {
        0,
        1,
        0x000fffffffffffff,
        0x0010000000000000,
        0x0010000000000001,
        0x3ff0000000000000,
        0x3ff0000000000001,
        0x3fefffffffffffff,
        0x3fe0000000000000,
        0x3ff8000000000000,
        0x4004000000000000,
        0x41dfffffffc00000, /* 2^31 - 1, its halfway points, 2^31, and the next */
        0x41dfffffffe00000,
        0x41e0000000000000,
        0x41e0000000100000,
        0x4330000000000000,
        0x432fffffffffffff,
        0x43dfffffffffffff,
        0x43e0000000000000,
        0x7fefffffffffffff,
        0x7fe0000000000000,
        0x7ff0000000000000,
        0x7ff0000000000001,
        0x7ff8000000000000,
        0x7fffffffffffffff,
        0x47efffffe0000000, /* around the ends of single precision */
        0x47efffffefffffff,
        0x47effffff0000000,
        0x3810000000000000,
        0x380fffffffffffff,
        0x36a0000000000000,
        0x3690000000000000,
        0x36a8000000000000,
        0x3ff0000010000000, /* halfway between two singles */
        0x3ff0000030000000,
    };
    uint64_t v = random64(r), sign = v & 1ull << 63;

    switch (below(r, 4)) {
    case 0:
        return special[below(r, COUNT(special))] | sign;
    case 1:
        return sign | (uint64_t)(1023 - 32 + below(r, 100)) << 52 |
               (v & 0xfffffffffffffull & ~0ull << below(r, 53));
    case 2:
        return sign | (uint64_t)(1022 + below(r, 6)) << 52 | (v & 0xf800000000000ull);
    default:
        return v;
    }
}

void edge_f80(struct random *r, uint8_t image[10])
{
    static const uint16_t exponents[] = {0,
                                         1,
                                         2,
                                         0x3fff,
                                         0x3ffe,
                                         0x3ffd,
                                         0x4000,
                                         0x400e,
                                         0x401e,
                                         0x403d,
                                         0x403e,
                                         0x403f,
                                         0x7ffe,
                                         0x7fff,
                                         0x3fff - 126,
                                         0x3fff - 149,
                                         0x3fff + 127,
                                         0x3fff - 1022,
                                         0x3fff - 1074,
                                         0x3fff + 1023};
    static const uint64_t mantissas[] = {
        0,
        1ull << 63,
        3ull << 62,
        5ull << 61,
        (1ull << 63) | 1,
        UINT64_MAX,
        1,
        1ull << 62,
        0xffffff8000000000,
        0xffffff0000000000,
        0x8000008000000000,
        0xfffffffffffffc00,
        0xfffffffffffff800,
        0x8000000000000400,
        0xc90fdaa22168c235,
    };
    uint64_t v = random64(r), mantissa;
    uint16_t exponent;

    exponent = one_in(r, 2)   ? exponents[below(r, COUNT(exponents))]
               : one_in(r, 3) ? (uint16_t)(v & 0x7fff)
                              : (uint16_t)(0x3fff - 40 + below(r, 110));
    mantissa = one_in(r, 2) ? mantissas[below(r, COUNT(mantissas))] : random64(r) << below(r, 64);
    if (exponent && !one_in(r, 16))
        mantissa |= 1ull << 63;
    else if (!exponent && !one_in(r, 16))
        mantissa &= ~(1ull << 63);
    exponent |= (uint16_t)(v >> 63 << 15);
    memcpy(image, &mantissa, 8);
    memcpy(image + 8, &exponent, 2);
}

void edge_bcd(struct random *r, uint8_t image[10])
{
    unsigned digits = below(r, 19);

    memset(image, 0, 10);
    for (unsigned n = 0; n < digits; n++)
        image[n / 2] |= (uint8_t)(below(r, 10) << (n & 1 ? 4 : 0));
    image[9] = one_in(r, 2) ? 0x80 : 0;
    if (one_in(r, 8)) /* no number, or garbage beside the sign */
        image[below(r, 10)] = (uint8_t)random64(r);
}

void edge_fill(struct random *r, enum value_kind kind, uint8_t *bytes, unsigned size)
{
    for (unsigned n = 0; n < size;) {
        uint8_t image[16];
        unsigned length = 8;
        uint64_t q;
        uint32_t d;
        uint16_t h;

        switch (kind) {
        case VALUE_F32:
            d = edge_f32(r);
            length = 4;
            memcpy(image, &d, 4);
            break;
        case VALUE_F64:
            q = edge_f64(r);
            memcpy(image, &q, 8);
            break;
        case VALUE_F16:
            h = edge_f16(r);
            length = 2;
            memcpy(image, &h, 2);
            break;
        case VALUE_TEXT: /* few letters, so that some are found; some of both signs, some zero */
            image[0] = image[1] = (uint8_t)(one_in(r, 12)  ? 0
                                            : one_in(r, 8) ? random64(r)
                                                           : 'a' + below(r, 4));
            length = 1 + below(r, 2);
            break;
        case VALUE_F80:
            edge_f80(r, image);
            length = 10;
            break;
        case VALUE_BCD:
            edge_bcd(r, image);
            length = 10;
            break;
        default:
            q = edge_integer(r);
            memcpy(image, &q, 8);
            length = 1u << below(r, 4);
            break;
        }
        if (length > size - n)
            length = size - n;
        memcpy(bytes + n, image, length);
        n += length;
    }
}
