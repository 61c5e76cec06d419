/*
 * tables.h - what translated code reads and writes besides the architectural state: part of struct cpu, addressed
 * through GS.
 */
#ifndef CPU_JIT_TABLES_H
#define CPU_JIT_TABLES_H

#include <stdint.h>

#include "cpu/state.h"

/* Whose code and data: contexts have tables of their own, so that a hit needs no look at the CPL. As TLB_*. */
#define JIT_CONTEXTS 3

#define JIT_TLB_SIZE 1024u /* entries of each data table */
#define JIT_FETCH_SIZE 256u
#define JIT_TARGETS 4096u
#define JIT_NEAR 64u         /* pages accessed lately, by where from */
#define JIT_NEAR_PAGES 512u
#define JIT_NEAR_WORTH 500u /* instructions from one change to the next if it is: a change comes unforeseen, and costs as
                             * much as several look-ups in the table */
#define JIT_NEAR_CHANGES 8u  /* of such an entry, until somebody asks whether it is any use */

/*
 * A page of plain memory: linear address of its first byte, and the host's. An entry matches when the access lies
 * within 4096 bytes of `page`; an empty one has a page that belongs to another slot.
 */
struct jit_page {
    uint64_t page, host;
};

/*
 * Addresses from `first` on that are plain memory, one behind the other on the host: 1 << n bytes may be accessed at the
 * first `count[n]` of them.
 */
struct jit_run {
    uint64_t first, host;
    uint64_t count[6];
};

/* Offsets of a segment that are so, within its reach. `first` is JIT_NO_WINDOW while there are none. */
struct jit_window {
    struct jit_run run;
    uint32_t left; /* accesses beside it before it is looked for anew */
};
#define JIT_NO_WINDOW      (1ull << 63)
#define JIT_WINDOW_LOADED  8u /* `left` when the segment was loaded */
#define JIT_WINDOW_MISSES  32u

/* Where a page of code is: its physical page number. */
struct jit_fetch {
    uint64_t page, frame;
};

/* Code for a RIP, for returns and indirect jumps; in slot jit_target_slot(). */
struct jit_target {
    uint64_t rip;
    const uint8_t *code;
};

#define JIT_TARGET_HASH 0x9e3779b1u /* the golden ratio: neighbours and what is alike in its low bits lie apart */

/*
 * `rip` is in its upper half what all targets of a block have in common: of 64-bit addresses their upper half, which is
 * not worth looking at, and of others the number of their code segment, which is constant in a block.
 */
static inline unsigned jit_target_slot(uint64_t rip)
{
    return (uint32_t)rip * JIT_TARGET_HASH >> 20; /* to 4096 */
}

/*
 * The arithmetic flags as translated code leaves them: the operation that made them and its operands, from which
 * they are computed when somebody asks. Then, because some instructions make only some flags: if `step` is not 0, all but
 * CF are those of an INC or DEC with result `stepped`; and if `own_carry` is 1, CF is `carry`. An operation that makes all
 * flags sets the four bytes at once.
 */
enum jit_flags {
    JF_LAZY,  /* they are in lf_result and lf_aux, as the interpreter has them */
    JF_ADD,   /* a + b */
    JF_SUB,   /* a - b */
    JF_ADC,   /* a + b + cf */
    JF_SBB,   /* a - b - cf */
    JF_NEG,   /* -a */
    JF_LOGIC, /* result a */
    JF_SHL,   /* a by count, 1 to operand size - 1 */
    JF_SHR,
    JF_SAR,
    JF_MUL,   /* CF and OF are cf, the others those of result a */
    JF_IMAGE, /* RFLAGS in a */
};

/* In `step`, beside the operand size in bits 7:4. */
enum jit_step { JF_INC = 1, JF_DEC = 2 };

struct jit_kind {
    uint8_t op;    /* enum jit_flags | operand size << 6 */
    uint8_t count; /* of shifts */
    uint8_t step;
    uint8_t own_carry;
};

struct jit_tables {
    uint64_t code_page; /* RIP where the page of the code that runs begins */
    uint64_t a, b;      /* see enum jit_flags */
    uint64_t stepped;
    struct jit_kind kind __attribute__((aligned(4)));
    uint8_t cf, carry;
    uint8_t xmm_live;  /* the host's XMM registers and MXCSR hold the guest's */
    uint8_t xmm_saved; /* ... and were put away for a call */
    uint8_t ymm_allowed; /* while xmm_live: AVX instructions don't fault */
    uint8_t x87_live, x87_saved; /* the same of the x87 */
    uint8_t x87_image;           /* its state is in `image`, and not in the struct cpu_state */
    uint8_t returned;  /* a body came to its end and did not leave */
    uint8_t stale;     /* the running block was dropped */
    uint64_t value;    /* r14 after a call to C */
    uint64_t reach[2][SEG_COUNT]; /* of segments, for reading and for writing: offsets below it are within; 0: ask (segment.c) */
    struct jit_window window[2][SEG_COUNT];
    struct segment seen[SEG_COUNT]; /* as they were when these were set, and the mode */
    uint32_t seen_mode;
    uint64_t branch;   /* an indirect call's target while its return address is pushed */
    const uint8_t *target;
    void *self; /* struct cpu */
    uint32_t x87_site; /* the last x87 instruction that counts for FIP and FOP; 0: none since they were set */
    uint32_t x87_data_site; /* the same for FDP: the last with a memory operand */
    uint64_t x87_page, x87_data;
    uint8_t image[112]; /* as FNSAVE's, 32-bit protected */
    uint8_t bounce[64] __attribute__((aligned(64))); /* what a read from a chip or across pages brought */

    struct jit_run stack[JIT_CONTEXTS]; /* the page that RSP pointed to lately; may be read and written */
    struct jit_near {
        struct jit_run page;
        uint64_t since; /* count of instructions when `left` was JIT_NEAR_CHANGES */
        uint32_t left;
    } near[JIT_CONTEXTS][2][JIT_NEAR]; /* for reading, for writing */
    uint64_t near_pages[JIT_NEAR_PAGES / 64]; /* bits of the page numbers, modulo JIT_NEAR_PAGES, that entries have */
    struct jit_page read[JIT_CONTEXTS][JIT_TLB_SIZE];
    struct jit_page write[JIT_CONTEXTS][JIT_TLB_SIZE];
    struct jit_fetch fetch[JIT_CONTEXTS][JIT_FETCH_SIZE];
    struct jit_target targets[2 * JIT_CONTEXTS][JIT_TARGETS];
};

#endif
