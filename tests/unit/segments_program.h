/*
 * segments_program.h - random programs in 16-bit code and in segments of all kinds, for test_jit_segments.c.
 *
 * They are made of instructions that any mode has, with operand and address sizes of both kinds and all
 * segments, among them branches, loops, calls, far jumps to the same code in another code segment, loads of
 * segment registers, and code that changes itself. Flags that the manual leaves undefined are defined at
 * once, by CMP eAX, eCX (39 C8), but AF's. A program ends with HLT.
 */
#ifndef TESTS_UNIT_SEGMENTS_PROGRAM_H
#define TESTS_UNIT_SEGMENTS_PROGRAM_H

#include "cpu/internal.h"

enum {
    AT_GDT = 0x5000,
    AT_PD = 0x6000,
    AT_PT = 0x7000,
    AT_CODE = 0x20000,
    AT_DATA = 0x40000, /* segments begin here and in the 320 KiB behind */
    AT_END = 0xb0000,
    AT_READ_ONLY = 0x8e000, /* with paging */
    AT_ABSENT = 0x8f000,
};

enum kind { REAL, UNREAL, V86, CODE16, CODE32, FLAT32, KINDS };

#define DATA_SELECTORS 8u /* of the GDT, from its third entry on; before them two of code */

struct program {
    enum kind kind;
    uint8_t code[4096];
    unsigned size, bits;
    uint32_t linear; /* where it is */
    uint64_t random;
    bool quiet; /* ECX and ESP stay as they are */
    struct cpu_state s;
    uint64_t gdt[2 + 1 + DATA_SELECTORS];
    uint16_t selectors[DATA_SELECTORS], other_code;
    uint32_t other_shift; /* what is to be added to offsets there */
};

uint64_t segments_random(struct program *p);
void segments_make(struct program *p, enum kind kind, uint64_t seed); /* all but the registers */
void segments_registers(struct program *p);                           /* random ones, each time others */

#endif
