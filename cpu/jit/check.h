/*
 * check.h - what check.c, check_memory.c and check_compare.c share.
 */
#ifndef CPU_JIT_CHECK_H
#define CPU_JIT_CHECK_H

#include "cpu/jit/jit.h"

#define LINE      64u
#define MAX_LINES 2048u
#define BUCKETS   4096u
#define MAX_PAGES 16u
#define MAX_SAID  16u
#define TRIES     3u
#define NO_REASON UNCHECKED_COUNT

/* A line of memory that was written. */
struct line {
    uint8_t *host;
    uint64_t phys;
    uint64_t written;                  /* bit n: byte n, by a body of the interpreter */
    uint8_t before[LINE], after[LINE]; /* interpreted */
};

/* A page that was written, and its entry in translated code's table for writing. */
struct page {
    uint64_t linear;
    uint8_t *host; /* NULL: it isn't plain memory */
    struct jit_page *entry, old;
};

struct outcome {
    struct cpu_state s;
    uint64_t lf_result, lf_aux, retired;
    __typeof__(((struct cpu *)0)->fault) fault;
    bool faulted;
};

struct checker {
    void (*differs)(void *opaque, const struct cpu_difference *difference);
    void *opaque;
    uint32_t often;
    bool ended;    /* a difference was found */
    uint8_t *once; /* by row: why an instruction must not be executed twice, or NO_REASON */

    enum { PASS_NONE, PASS_INTERPRETED, PASS_TRANSLATED } pass;
    unsigned reason; /* why this block can't be compared */
    bool chip;       /* translated code accessed one */
    jmp_buf outer;   /* cpu_run's */
    struct outcome before, interpreted, translated;

    struct line line[MAX_LINES];
    unsigned line_count;
    uint16_t bucket[BUCKETS]; /* a line's number plus 1 */
    struct page page[MAX_PAGES];
    unsigned page_count;
    uint8_t *stack; /* the page that RSP points to, as a struct page's `host` */
    bool stack_known;
    unsigned context;
    struct jit_run old_stack;
    char text[4096];
};

/* check_memory.c */
void check_forget_lines(struct checker *c);
void check_undo_writes(struct checker *c);
/* Lets translated code store to the pages that the interpreter wrote; and no more. */
void check_open_pages(struct cpu *cpu, unsigned context);
void check_close_pages(struct cpu *cpu);

/* check_compare.c */
/*
 * Flags that nobody can rely on after the first `count` instructions of the trace. False when one of these
 * reads such a flag, so that everything may depend on it.
 */
bool check_undefined_flags(const struct trace *t, uint64_t count, uint32_t *undefined);
bool check_same(struct checker *c, uint32_t undefined); /* else the differences are in c->text */
void check_report(struct cpu *cpu, const struct trace *t);

#endif
