/*
 * encode.h - an instruction on its way from a row to bytes.
 */
#ifndef TESTS_ORACLE_ENCODE_H
#define TESTS_ORACLE_ENCODE_H

#include "tests/oracle/oracle.h"

#define NOTHING 16u /* no base, no index */

/* What is put together, in the order of the functions below, before it becomes bytes. */
struct parts {
    const struct opcode_row *row;
    const struct row_facts *facts;
    unsigned map, opcode;
    bool opsize, adsize, lock;
    unsigned rep; /* 0, F2, F3 */
    int segment;  /* override, -1: none */
    bool has_modrm, has_sib, is_mem, rip_relative;
    unsigned mod, reg, rm; /* reg and rm with their REX bits */
    unsigned scale, index, base;
    unsigned disp_size;
    int32_t disp;
    bool rex_w, force_rex; /* rex_w also VEX.W */
    bool vex, vex_l, has_vsib;
    unsigned vvvv, pp;     /* of VEX: the register, 0 when none is named; what stands for 66, F3, F2 */
    unsigned osize, asize; /* SIZE_* */
    unsigned imm_size;
    uint64_t imm;
};

/* --- operands.c --- */

/* ModRM, SIB and displacement, with base and index registers that lead to b->target, and what lies there. */
void choose_modrm(struct builder *b, struct parts *p);
void choose_immediates(struct builder *b, struct parts *p);
/* What is added to the effective address. */
uint64_t segment_base(const struct builder *b, const struct parts *p);

/* --- vex.c --- */

/* The prefix: W, L, vvvv and pp as the row wants them. */
void choose_vex(struct builder *b, struct parts *p);
/* Spoils it now and then; after all that looks at the fields. */
void adjust_vex(struct builder *b, struct parts *p);
/* In its form of two or of three bytes; returns how many. */
unsigned vex_bytes(struct builder *b, const struct parts *p, uint8_t bytes[3]);
/* Bytes `at` and on of a YMM register at the start. */
void set_vector(struct builder *b, unsigned reg, unsigned at, const void *bytes, unsigned size);
/* Masks of masked moves, and of gathers with their indices. */
void need_mask(struct builder *b, struct parts *p);
void need_indices(struct builder *b, struct parts *p);

/* --- needs.c --- */

/* Registers that the address must leave alone. */
void satisfy_first(struct builder *b, struct parts *p);
/* Registers and memory that the instruction uses beyond its operands, or wants in a certain way. */
void satisfy(struct builder *b, struct parts *p);

/* Whether an operand of the row is `operand`. */
static inline bool row_has(const struct opcode_row *row, unsigned operand)
{
    for (unsigned n = 0; n < 4; n++)
        if (row->operand[n] == operand)
            return true;
    return false;
}

static inline uint64_t truncate_to(uint64_t v, unsigned size)
{
    return size == SIZE_Q ? v : v & ((1ull << (8u << size)) - 1);
}

/* Sets only what the size covers. */
void set_low(struct builder *b, unsigned reg, unsigned size, uint64_t value);

#endif
