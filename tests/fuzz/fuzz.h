/*
 * fuzz.h - anything at all as code, for the decoder and the interpreter.
 *
 *     machine.c   a processor with a little memory, put into one of many modes
 *     target.c    LLVMFuzzerTestOneInput: an input, run for a bounded time
 *     driver.c    main() where there is no libFuzzer: inputs from a seed
 *
 * An input is a header of FUZZ_HEADER bytes, patches of memory, and code:
 *
 *     0      mode (enum fuzz_mode, modulo FUZZ_MODES)
 *     1      enum fuzz_option
 *     2, 3   bits of CR0, CR4, RFLAGS and others to change (machine.c)
 *     4      what the registers hold
 *     5      how many patches there are (modulo 16), 4 bytes each: address / 4 (two bytes), offset in that,
 * value
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "cpu/internal.h"

#define FUZZ_HEADER   6u
#define FUZZ_MAX_CODE 1024u

enum fuzz_mode {
    FUZZ_REAL,
    FUZZ_PROT16,
    FUZZ_PROT32,
    FUZZ_PROT32_LIMITS, /* segments that end early, grow down, can't be read */
    FUZZ_PAGED32,
    FUZZ_PAGED32_USER,
    FUZZ_PAE,
    FUZZ_VM86,
    FUZZ_LONG,
    FUZZ_LONG_USER,
    FUZZ_COMPAT32,
    FUZZ_COMPAT16_USER,
    FUZZ_LA57,
    FUZZ_MODES
};

enum fuzz_option {
    FUZZ_AT_END = 1,    /* the code ends where its page ends, and behind it is none */
    FUZZ_RETURN = 2,    /* exception handlers return, others halt */
    FUZZ_STEPS = 4,     /* an instruction at a time */
    FUZZ_EVENTS = 8,    /* interrupts, NMIs, A20, INIT now and then */
    FUZZ_TASK_GATE = 16 /* some exceptions switch tasks */
};

struct fuzz_machine;

/* NULL when memory ran out. */
struct fuzz_machine *fuzz_machine_new(void);
void fuzz_machine_free(struct fuzz_machine *m);
struct cpu *fuzz_cpu(const struct fuzz_machine *m);
/* As the input says: memory, state and code. `size` is at least FUZZ_HEADER. */
void fuzz_prepare(struct fuzz_machine *m, const uint8_t *input, size_t size);
/* Where the code begins in an input. */
size_t fuzz_code_start(const uint8_t *input, size_t size);
/* Wires change, as `n` says. */
void fuzz_event(struct fuzz_machine *m, unsigned n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
