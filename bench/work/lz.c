/*
 * lz.c - dictionary compression (Lempel and Ziv, 1977) of text-like data, and decompression with a check.
 *
 * A packed stream is a row of items. A byte below 128 announces that many bytes and one more, which follow as
 * they are; a byte of 128 and more a copy of (byte - 124) bytes from what came before, at the distance in the
 * two bytes that follow, low byte first.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "work.h"

enum {
    SIZE = 256 << 10,
    HASH_BITS = 13,
    MATCH_MIN = 4,
    MATCH_MAX = 255 - 124,
    LITERALS_MAX = 128,
    DISTANCE_MAX = 65535,
};

static uint32_t load32(const uint8_t *data)
{
    uint32_t value;

    memcpy(&value, data, sizeof(value));
    return value;
}

static uint8_t *put_literals(uint8_t *out, const uint8_t *from, size_t size)
{
    while (size) {
        size_t part = size < LITERALS_MAX ? size : LITERALS_MAX;
        *out++ = (uint8_t)(part - 1);
        memcpy(out, from, part);
        out += part;
        from += part;
        size -= part;
    }
    return out;
}

static size_t match_length(const uint8_t *a, const uint8_t *b, const uint8_t *end)
{
    size_t length = 0;

    while (b + length < end && length < MATCH_MAX && a[length] == b[length])
        length++;
    return length;
}

/* Returns the packed size; `out` has room for the size and a 128th more. */
WORK_OPAQUE static size_t pack(const uint8_t *in, size_t size, uint8_t *out)
{
    uint32_t last[1 << HASH_BITS] = {0}; /* where this hash was seen, plus 1 */
    const uint8_t *at = in, *literals = in, *end = in + size;
    uint8_t *start = out;

    while (at + MATCH_MIN <= end) {
        uint32_t hash = load32(at) * 2654435761u >> (32 - HASH_BITS);
        const uint8_t *seen = last[hash] ? in + last[hash] - 1 : NULL;
        size_t length = seen && at - seen <= DISTANCE_MAX ? match_length(seen, at, end) : 0;
        last[hash] = (uint32_t)(at - in) + 1;
        if (length < MATCH_MIN) {
            at++;
            continue;
        }
        out = put_literals(out, literals, (size_t)(at - literals));
        *out++ = (uint8_t)(length + 124);
        *out++ = (uint8_t)(at - seen);
        *out++ = (uint8_t)((at - seen) >> 8);
        at += length;
        literals = at;
    }
    out = put_literals(out, literals, (size_t)(end - literals));
    return (size_t)(out - start);
}

WORK_OPAQUE static size_t unpack(const uint8_t *in, size_t size, uint8_t *out)
{
    const uint8_t *end = in + size;
    uint8_t *start = out;

    while (in < end) {
        unsigned item = *in++;
        if (item < 128) {
            memcpy(out, in, item + 1);
            in += item + 1;
            out += item + 1;
            continue;
        }
        const uint8_t *from = out - (in[0] | in[1] << 8);
        in += 2;
        for (unsigned length = item - 124; length; length--)
            *out++ = *from++;
    }
    return (size_t)(out - start);
}

/* Words of made-up syllables, short ones more often, as in a language. */
static void write_text(uint8_t *text, size_t size, uint64_t random)
{
    char words[512][12];
    size_t at = 0;

    for (unsigned i = 0; i < 512; i++) {
        unsigned length = 2 + (unsigned)(work_random(&random) % 9);
        for (unsigned j = 0; j < length; j++)
            words[i][j] =
                j & 1 ? "aeiou"[work_random(&random) % 5] : "bcdfghklmnprstvw"[work_random(&random) % 16];
        words[i][length] = 0;
    }
    while (at < size) {
        uint64_t number = work_random(&random);
        const char *word = words[(number & 511) * (number >> 9 & 511) >> 9];
        while (*word && at < size)
            text[at++] = (uint8_t)*word++;
        if (at < size)
            text[at++] = number >> 20 & 15 ? ' ' : '\n';
    }
}

/* `count` texts of 256 KiB are packed and unpacked. */
uint64_t work_lz(unsigned long count)
{
    uint8_t *text = work_alloc(SIZE), *back = work_alloc(SIZE), *packed = work_alloc(SIZE + SIZE / 64);
    uint64_t sum = 0;

    for (unsigned long i = 0; i < count; i++) {
        write_text(text, SIZE, 0x77777777 + i % 16);
        size_t size = pack(text, SIZE, packed);
        sum = work_mix(sum, size);
        for (size_t j = 0; j < size; j += 101)
            sum = work_mix(sum, packed[j]);
        if (unpack(packed, size, back) != SIZE || memcmp(text, back, SIZE)) {
            fprintf(stderr, "work: lz: what was unpacked is not what was packed\n");
            exit(1);
        }
    }
    free(text);
    free(back);
    free(packed);
    return sum;
}
