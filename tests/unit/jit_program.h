/*
 * jit_program.h - random 64-bit programs, made of the instructions that the translator knows, with operands
 * of all kinds. Flags that the manual leaves undefined are never read: the generator keeps account of them.
 */
#ifndef TESTS_UNIT_JIT_PROGRAM_H
#define TESTS_UNIT_JIT_PROGRAM_H

#include "cpu/internal.h"

enum {
    AT_GDT = 0x50000,
    AT_IDT = 0x51000,
    AT_HANDLERS = 0x52000, /* 16 bytes each: PUSH vector, HLT */
    AT_CODE = 0x60000,
    AT_DATA = 0x100000, /* RBP points to the middle of its first page, R13 to the end of its second */
    AT_STACK = 0x180000,
    AT_ABSENT = 0x1f0000,   /* a page that is not present, */
    AT_READ_ONLY = 0x1f1000 /* one that can't be written */
};

#define OSZAPC FLAGS_ARITH

struct program {
    uint8_t code[8192];
    unsigned size;
    uint32_t at;
    uint32_t undefined; /* flags */
    uint64_t random;
};

unsigned program_below(struct program *p, unsigned n); /* a random number */
void program_byte(struct program *p, unsigned value);
void program_bytes(struct program *p, uint64_t value, unsigned n);
void program_define_flags(struct program *p); /* all of them */
void program_need_flags(struct program *p, uint32_t flags);
void program_start(struct program *p, uint64_t seed); /* where it begins, and its numbers */
unsigned program_rounds(struct program *p,
                        unsigned rounds); /* what follows is done so often: where that begins */
void program_body(struct program *p, unsigned instructions);
void program_end(struct program *p,
                 unsigned start); /* of a round that began at `start`, and of the program */
void program_state(struct program *p, struct cpu_state *s); /* random registers */

#endif
