/*
 * listing.h - machine code as text.
 */
#ifndef DEBUG_LISTING_H
#define DEBUG_LISTING_H

#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "debug/symbols.h"

/*
 * Prints the instructions at `code`, which decode as 16-, 32- or 64-bit ones and run at `address`, a line
 * each: where, bytes, text. The instruction that `mark` points into is marked; NULL: none.
 */
void listing_print(FILE *out, unsigned bits, uint64_t address, const uint8_t *code, size_t size,
                   const uint8_t *mark);

/* One of them, the first; names of what it refers to are behind it. Returns its length, at least 1. */
size_t listing_one(FILE *out, unsigned bits, uint64_t address, const uint8_t *code, size_t size,
                   const uint8_t *mark, const struct symbols *symbols);

/* Where an instruction leads. */
struct listing_branch {
    enum { LISTING_NONE, LISTING_DIRECT, LISTING_CONDITIONAL, LISTING_INDIRECT } kind;
    size_t length;
    uint64_t target; /* of direct and conditional ones, whole: EIP and IP wrap */
    char name[12];
};

/* False when it is no instruction. `rip` is where it runs. */
bool listing_branch(unsigned bits, uint64_t rip, const uint8_t *code, size_t size, struct listing_branch *branch);

#endif
