/*
 * oracle.h - the host processor as judge of the interpreter and of translated code.
 *
 * A case is a few instructions, made from rows of opcodes.def, and a state to start from. It is run by the
 * interpreter, at privilege level 3 behind page tables that look like this process, and by the host, in this
 * process with the same pages at the same addresses. What both end with - registers, memory, and the
 * exception that ended it - must agree. Behind the instructions lies INT3, so a case that meets no fault ends
 * with vector 3.
 *
 *     oracle.c report.c      options, workers; what they counted (tally.h)
 *     rows.c                 which rows can be judged, and what is odd about them
 *     generate.c             a number to a case
 *     encode.c operands.c    a row to bytes, with operands where they are found
 *     needs.c                what an instruction needs beyond its operands
 *     program.c              longer cases, with loops, branches and code that changes itself
 *     vex.c                  VEX prefixes and vectors of indices
 *     values.c random.h      numbers, those at edges above all
 *     ldt.c                  segments with limits, for both sides
 *     soft.c native.c        a case by the interpreter or by translated code, and by the host
 *     compare.c known.c      what differs, and what may
 *
 * The linear addresses that exist, for both sides; all else is not present:
 */
#ifndef TESTS_ORACLE_ORACLE_H
#define TESTS_ORACLE_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "cpu/cpu.h"
#include "cpu/insn.h"
#include "tests/oracle/random.h"

#define PAGE 4096ull

#define CODE      0x10001000ull /* two pages: read, write, execute */
#define CODE_SIZE (2 * PAGE)
#define DATA      0x10004000ull /* two pages: read, write */
#define DATA_SIZE (2 * PAGE)
#define CONST     0x10007000ull /* a page that can only be read */
/* DATA once more, where addresses do not fit 32 bits, where they end, and where they fit 16. */
#define DATA_HIGH 0x234567800000ull
#define DATA_TOP  0xffffe000ull
#define DATA_LOW  0x8000ull
#define GUARD     0x100000ull /* around each of these (but the last) nothing is mapped */

#define USER_END 0x7ffffffff000ull /* where Linux's own half begins, for error codes */

#define USER_CS64 0x33
#define USER_CS32 0x23
#define USER_DS   0x2b

/* The state of a program, as both sides load and report it. */
struct machine {
    uint8_t fx[512] __attribute__((aligned(64))); /* FXSAVE64's layout */
    uint64_t xsave_header[8];
    uint8_t ymm_high[256];
    uint64_t gpr[16];
    uint64_t rip, rflags;
    uint64_t fs_base, gs_base;
    uint16_t seg[SEG_COUNT];
};

#define FX_FCW   0
#define FX_FSW   2
#define FX_TAG   4
#define FX_FOP   6
#define FX_FIP   8
#define FX_FDP   16
#define FX_MXCSR 24
#define FX_ST    32
#define FX_XMM   160

enum end {
    END_EXCEPTION, /* as it must: INT3 if nothing else */
    END_NEVER,     /* it ran for too long */
    END_KERNEL,    /* it called the operating system, or set the trap flag: not for the host */
    END_SHUTDOWN,
};

struct outcome {
    enum end end;
    unsigned vector;
    uint32_t error;
    uint64_t cr2;
    uint64_t instructions;  /* executed; 0: by the host, which doesn't say */
    struct machine machine; /* all 0 unless an exception ended it */
    uint8_t code[CODE_SIZE], data[DATA_SIZE];
};

#define MAX_ROWS  48
#define MAX_BYTES 2048u
/* Instructions that a case may execute before it counts as endless. */
#define CASE_BUDGET    400u
#define PROGRAM_BUDGET 20000u
#define MAX_BLOCK      32u /* they are counted by traces of that length */

struct test_case {
    uint64_t seed, number;
    bool program;                  /* else a few instructions in a row */
    unsigned bits;                 /* 16, 32 or 64 */
    uint64_t code_base, data_base; /* of the segments at the start */
    struct machine start;
    uint64_t entry; /* where in CODE the instructions lie */
    unsigned length;
    uint8_t bytes[MAX_BYTES];
    unsigned row_count;
    uint16_t row[MAX_ROWS];
    uint16_t offset[MAX_ROWS];     /* of each in bytes */
    bool changed;                  /* bytes were: these may be other instructions */
    bool misfit;                   /* a VEX prefix was made that the row doesn't want */
    uint32_t undefined_flags;      /* that an instruction left undefined and none defined again */
    uint32_t undefined_on_the_way; /* or some did, for cases that end in the middle */
    uint8_t data[DATA_SIZE];
};

static inline unsigned budget_of(const struct test_case *c)
{
    return c->program ? PROGRAM_BUDGET : CASE_BUDGET;
}

/* --- rows.c -------------------------------------------------------------------------------------- */

/* What a row's instruction needs of its state, or does to it, beyond its operands. */
enum row_kind {
    KIND_PLAIN,
    KIND_DIVIDE,
    KIND_BIT_STRING, /* the register operand is part of the address */
    KIND_STRING,
    KIND_STACK,
    KIND_LEAVE,
    KIND_XLAT,
    KIND_LINE, /* its address is rAX */
    KIND_COMPARE_EXCHANGE,
    KIND_BRANCH, /* near, by register or memory */
    KIND_RETURN,
    KIND_FAR, /* by a far pointer in memory */
    KIND_FAR_RETURN,
    KIND_IRET,
    KIND_POP_FLAGS,
    KIND_SEGMENT, /* the operand is a selector */
    KIND_MASKED_STORE,
    KIND_LOOP,
    KIND_SHIFT,
    KIND_LOAD_MXCSR,
    KIND_FXRSTOR,
    KIND_XSAVE,
    KIND_GATHER,
    KIND_MASK, /* VEX.vvvv tells which elements count */
    KIND_COMPARE_TEXT,
};

#define XSAVE_SIZE 832u /* of x87, SSE and AVX */

enum value_kind { VALUE_INTEGER, VALUE_F32, VALUE_F64, VALUE_F80, VALUE_BCD, VALUE_F16, VALUE_TEXT };

struct row_facts {
    uint8_t kind;         /* enum row_kind */
    uint8_t values;       /* enum value_kind: what its operands hold */
    bool usable;          /* the generator may use it */
    const char *reason;   /* else, why it can't be judged by the host */
    bool any_prefix;      /* F2 and F3 do nothing */
    bool stores_pointers; /* the x87's FOP, FIP and FDP */
    bool last;            /* what it stores differs, so nothing may come behind it */
    uint8_t odds;         /* in programs, one in so many that come up is taken; 0: none */
};

struct features {
    bool *host; /* by enum cpu_feature: the host has it */
    bool *cpu;  /* the interpreter's model has it */
    bool avx, fsgsbase, ldt;
    uint64_t xcr0; /* the host's; 0 when it doesn't let programs see it */
    bool amd;      /* the host is of the model's vendor */
};

/* For all rows; `facts` holds opcode_row_count of them. */
void rows_examine(struct row_facts *facts, const struct features *features);
const char *feature_name(unsigned feature);
unsigned feature_count(void);
void features_find(struct features *features, const struct cpu *cpu);
/* The 32-bit or 64-bit mode exists for this row. */
bool row_in_mode(const struct opcode_row *row, unsigned bits);

/* --- ldt.c --- */

enum {
    LDT_CODE32,
    LDT_CODE16,
    LDT_DATA32,
    LDT_DATA16,
    LDT_CONST,
    LDT_DOWN32,
    LDT_DOWN16,
    LDT_EXECUTE,
    LDT_ABSENT,
    LDT_CONFORMING,
    LDT_PAGES,
    LDT_SMALL,
    LDT_COUNT
};
#define LDT_SELECTOR(n) ((uint16_t)((n) << 3 | 7))

uint64_t ldt_descriptor(unsigned n);
/* For Linux's GDT and this LDT. */
uint64_t selector_base(uint16_t selector);
unsigned selector_bits(uint16_t selector);
/* Gives it to this process; false when the kernel can't. */
bool ldt_install(void);

/* --- values.c ------------------------------------------------------------------------------------ */
uint64_t edge_integer(struct random *r);
uint32_t edge_f32(struct random *r);
uint64_t edge_f64(struct random *r);
uint16_t edge_f16(struct random *r);
void edge_f80(struct random *r, uint8_t image[10]);
void edge_bcd(struct random *r, uint8_t image[10]);
void edge_fill(struct random *r, enum value_kind kind, uint8_t *bytes, unsigned size);

/* --- encode.c, operands.c, needs.c
 * ------------------------------------------------------------------------------------ */

/* A case that is being made. */
struct builder {
    struct random random;
    struct test_case *c;
    const struct row_facts *facts;
    const struct features *features;
    uint64_t gpr[16];  /* what registers hold, as far as is known: at the start, or where a program is */
    uint16_t settled;  /* registers whose value something relies on */
    uint16_t dirty;    /* registers that an instruction before may have changed */
    uint64_t target;   /* of the last memory operand */
    unsigned imm_size; /* of the last instruction */
    bool x87;          /* an x87 instruction came before */
    bool calm;         /* no more faults than must be */
    struct program *program; /* NULL: values are given at the start */
};

/* Appends the row's instruction, and gives registers and memory what it needs. */
void encode(struct builder *b, const struct opcode_row *row);
/* Makes it so, unless the register is settled: at the start, or in a program by a MOV put before. */
void set_register(struct builder *b, unsigned reg, uint64_t value);
/* Writes what lies in DATA, by whichever of its addresses. */
void put_memory(struct builder *b, uint64_t linear, const void *bytes, unsigned size);
uint64_t pick_target(struct builder *b, unsigned asize, unsigned size, unsigned align);
uint64_t pick_code(struct builder *b);

/* --- program.c ----------------------------------------------------------------------------------- */

struct generator;
/* Fills a case, whose state at the start is there, with a program. */
void make_program(const struct generator *g, struct builder *b);
/* Appends MOV reg, value; returns where in the case's bytes the value lies, `size` of it. */
unsigned program_move(struct builder *b, unsigned reg, uint64_t value, bool full, unsigned *size);
/* A branch by register or memory, whose operand (reg < 16, or at `linear`) shall lead to an instruction
 * ahead. */
void program_branch(struct builder *b, unsigned reg, uint64_t linear);

/* --- generate.c ---------------------------------------------------------------------------------- */
struct generator {
    const struct row_facts *facts;
    const struct features *features;
    const char *only;    /* instruction names, NULL for all */
    const char *feature; /* of the feature that rows need, NULL for all */
    unsigned bits;       /* 16, 32 or 64 only, 0 for all */
    unsigned rows;       /* instructions in a case, 0 for any */
    uint16_t *list[2];   /* usable rows in 32-bit and in 64-bit mode */
    unsigned count[2];
    uint8_t *pool; /* what fills memory */
};
/* What both kinds of cases share. */
void start_floating(struct builder *b, enum value_kind kind);
/* The row reads a flag that was left undefined, or pointers that the processors note differently. */
bool reads_undefined(const struct builder *b, const struct opcode_row *row);
/* `certain`: the row's instruction is executed, whatever came before. */
void account_flags(struct builder *b, const struct opcode_row *row, bool certain);

bool generator_init(struct generator *g);
void generator_free(struct generator *g);
void generate(const struct generator *g, struct test_case *c, uint64_t seed, uint64_t number, bool program);
const uint8_t *generator_const_page(const struct generator *g);

/* --- soft.c -------------------------------------------------------------------------------------- */
/* What executes: the interpreter as it runs, or another engine of the processor that shall do the same. */
struct soft_engine {
    const char *name;
    /* How often a case, and a program, is run from its state, with all caches as the runs before left them.
     */
    unsigned runs[2];
    unsigned cases; /* for each program, where time is the limit */
    bool exact;     /* does all as the interpreter does, and is compared with it */
    /* Once, before anything runs; NULL: nothing to do. False when the host can't have it, with why. */
    bool (*prepare)(struct cpu *cpu, char *why, size_t size);
    /* Before a case's first run; NULL: nothing to do. */
    void (*begin)(struct cpu *cpu, const struct test_case *c);
    /* Runs until the processor halts or shuts down, or about `budget` instructions are done (CPU_EXIT_KICK).
     */
    enum cpu_exit (*run)(struct cpu *cpu, uint64_t budget);
};
/* By name; NULL when there is none. */
const struct soft_engine *soft_engine_find(const char *name);

/* Counters of all runs of cases in 16-, 32- and 64-bit code. uint64_t alone. */
#define CODE_SIZES 3
struct soft_work {
    uint64_t instructions;
    /* By translated code: of these, how many, and how many of them by their bodies; blocks made, entered,
     * dropped by what they stored; how often all were dropped. */
    uint64_t translated, bodies, blocks, entered, dropped, resets;
};

struct soft;
struct soft *soft_new(const struct soft_engine *engine, const uint8_t *const_page, bool low);
void soft_free(struct soft *s);
const struct cpu *soft_cpu(const struct soft *s);
const struct soft_work *soft_work(const struct soft *s); /* CODE_SIZES of them */
/* If a run ends otherwise than the first, `out` has its end. */
void soft_run(struct soft *s, const struct test_case *c, struct outcome *out);
/* Runs it in steps, and visits each instruction with the state before it until told to stop. Turns of a
 * repeated instruction are one. */
void soft_walk(struct soft *s, const struct test_case *c,
               bool (*visit)(void *opaque, const struct insn *i, const struct cpu_state *at), void *opaque);
/* The rows of the instructions that it executes so: at most `max`. */
unsigned soft_executed(struct soft *s, const struct test_case *c, uint16_t *rows, unsigned max);

/* --- native.c ------------------------------------------------------------------------------------ */
bool native_init(const uint8_t *const_page, const struct features *features, bool *low, char *why,
                 size_t why_size);
void native_run(const struct test_case *c, struct outcome *out);
/* Whether this process has something mapped near `linear`, other than the pages above. */
bool native_occupied(uint64_t linear);
bool native_has_fsgsbase(void);
bool native_has_ldt(void);
uint64_t native_xcr0(void);
bool native_has_la57(void);
/* The limit of the segment by which Linux tells programs what CPU they are on. */
uint64_t native_cpu_limit(void);

/* The instruction at the host's RIP; its fn is NULL when that lies elsewhere. */
void soft_decode(struct soft *s, const struct test_case *c, const struct outcome *at, struct insn *insn);

/* --- known.c --- */

#define KNOWN_COUNT 18

/* Which of the known differences this is, -1 when none. */
int known_difference(struct soft *s, const struct test_case *c, const struct outcome *soft,
                     const struct outcome *host, const struct row_facts *facts);
const char *known_reason(unsigned n);
/* Only because of flags that instructions left undefined, of which the generator doesn't know: by a jump or
 * changed bytes. */
bool engines_may_differ(struct soft *s, const struct test_case *c, const struct outcome *soft,
                        const struct outcome *interpreter, const struct row_facts *facts);

/* --- compare.c ----------------------------------------------------------------------------------- */

/* Says in `text` what differs; false when nothing does. */
bool differ(const struct test_case *c, const struct outcome *soft, const struct outcome *host, char *text,
            size_t size);
/* The same of two engines, the second of which is the interpreter: all must be the same. */
bool engines_differ(const struct test_case *c, const struct outcome *soft, const struct outcome *interpreter,
                    char *text, size_t size);
/* Flags that differ, the undefined ones included. */
uint32_t flag_differences(const struct outcome *soft, const struct outcome *host);
void print_case(FILE *f, const struct test_case *c);
void print_outcome(FILE *f, const char *title, const struct test_case *c, const struct outcome *o);

#endif
