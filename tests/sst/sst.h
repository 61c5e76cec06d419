/*
 * sst.h - single instructions captured from an 80286, as judge of the interpreter in real mode.
 *
 * A file holds the tests of one opcode: registers and memory before, registers and memory after, and the
 * exception in between if there was one. Each is run by the interpreter from the same state, up to the HLT
 * that follows, and everything is compared: registers, flags, and all of memory.
 *
 *     sst80286.c   files, report
 *     moo.c        the format
 *     run.c        a test by the interpreter, and what differs
 *     differs.c    what an 80286 does otherwise than a processor of today
 */
#ifndef TESTS_SST_SST_H
#define TESTS_SST_SST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "cpu/insn.h"

/* Registers, in the order of the files. */
enum {
    SST_AX,
    SST_BX,
    SST_CX,
    SST_DX,
    SST_CS,
    SST_SS,
    SST_DS,
    SST_ES,
    SST_SP,
    SST_BP,
    SST_SI,
    SST_DI,
    SST_IP,
    SST_FLAGS,
    SST_REGS
};

extern const char *const sst_reg_names[SST_REGS];

/* --- moo.c --------------------------------------------------------------------------------------- */

struct sst_state {
    uint16_t reg[SST_REGS];
    const uint8_t *ram; /* entries of 5 bytes: sst_ram() */
    uint32_t ram_count;
};

struct sst_test {
    uint32_t index;
    char name[64];       /* the instruction, disassembled */
    char hash[41];       /* SHA-1 in hexadecimal: what the list of revoked tests calls it */
    const uint8_t *code; /* prefixes, instruction, HLT */
    uint32_t length;
    struct sst_state init, final; /* final has all registers; its RAM is what changed */
    uint16_t mask[SST_REGS];      /* bits of the final registers that count */
    bool exception;
    uint8_t vector;
    bool any_ram; /* RAM is not compared; no test of the files says so */
};

struct sst_file {
    uint8_t *data;
    size_t size, at;
    uint32_t count; /* as it says itself */
    uint16_t mask[SST_REGS];
};

/* Reads the file, uncompressed; false with a sentence in `why`. */
bool sst_open(struct sst_file *file, const char *path, char *why, size_t why_size);
void sst_close(struct sst_file *file);

/* The next test, valid until sst_close(): 1; 0 at the end; -1 when the file is malformed. */
int sst_next(struct sst_file *file, struct sst_test *test);

/* RAM entry n. */
uint8_t sst_ram(const struct sst_state *state, uint32_t n, uint32_t *address);

/* --- run.c --------------------------------------------------------------------------------------- */

struct sst_machine;

/* What came of it. */
struct sst_result {
    bool differs;
    bool undefined_differ; /* flags that the manual leaves undefined do; that doesn't count */
    uint16_t reg[SST_REGS];
    uint16_t undefined; /* the flags that this instruction, with these operands, leaves undefined */
    bool locked;        /* it has the LOCK prefix */
    struct insn insn;   /* it, without LOCK; its row is UINT16_MAX when it is none */
    char text[400];     /* what differs: "ax 0001, not 0002" */
};

struct sst_machine *sst_machine_new(void);
void sst_machine_free(struct sst_machine *m);
void sst_run(struct sst_machine *m, const struct sst_test *test, struct sst_result *result);

/*
 * What RAM holds where a test says nothing: HLTs, and at 0 a table of vectors to a HLT each, so that every
 * unexpected exception ends the test, at an address that says which it was.
 */
uint8_t sst_background(uint32_t address);

/* --- differs.c ----------------------------------------------------------------------------------- */

#define SST_MAX_REASONS 16
extern const unsigned sst_reason_count;

/* What a processor of today makes of a test. */
struct sst_modern {
    struct sst_test test;
    uint8_t frame[6 * 5]; /* RAM entries */
};

/*
 * Why the 80286 ends a test otherwise, or -1; `result` is ours. Then *modern is the test as a processor of
 * today must end it.
 */
int sst_reason(const struct sst_test *test, const struct sst_result *result, struct sst_modern *modern);
const char *sst_reason_text(unsigned reason);

#endif
