/*
 * jit.h - translated code: what its passes share.
 *
 * A hot trace (interp/trace.c) is compiled into a block of host code. Between the instructions of a block the guest's
 * registers are in host registers: RAX, RCX, RDX, RBX, RBP, RSI, RDI, R8 to R11 in themselves, RSP in R12, R12 to R15
 * in struct cpu, which GS addresses; R13 and R14 are scratch, R15 counts instructions. XMM registers are loaded
 * when a block that uses them is entered and stay loaded until C code runs.
 *
 *     thunk.c      into translated code, out of it, and calls from it
 *     translate.c  a trace's instructions one by one, by the rules of alu.c, shift.c, move.c, muldiv.c, atomic.c, branch.c,
 *                  string.c, system.c, simd.c and x87.c, which share operands.c, address.c and flags.c
 *     segment.c    segments that are not flat; which block of a trace serves
 *     block.c      blocks, their links, and how they end
 *     runtime.c    what translated code calls
 *     check.c      blocks compared with the interpreter
 *     report.c     blocks for who prints them; counters
 *
 * Everything is the CPU's own thread's. RIP of a block is cpu->jt.code_page plus its offset in its page: code is
 * shared by all mappings of its page. Blocks of segmented code are made for one RIP of one code segment: they have it as
 * a constant, and a trace may have several.
 */
#ifndef CPU_JIT_JIT_H
#define CPU_JIT_JIT_H

#include "cpu/internal.h"
#include "cpu/jit/emit.h"

/* What a data access looks its page up in. */
enum jit_way { WAY_READ, WAY_WRITE, WAY_STACK_READ, WAY_STACK_WRITE, JIT_WAYS };
enum jit_table { JIT_READ, JIT_WRITE, JIT_FETCH, JIT_TARGET };

struct jit_block;

/* An instruction from which translated code calls C: a slow access, or a body to run. */
struct jit_site {
    const struct insn *insn;
    struct jit_block *block;
    const uint8_t *resume; /* with the operand's host address in r14 */
    const uint8_t *next;   /* after the instruction; NULL: leave, the block can't go on */
    int32_t near; /* its near entry, as a field of struct cpu */
    uint8_t size, way, seg; /* of the access: bytes, enum jit_way, segment */
    bool aligned;      /* it isn't aligned and should be */
    int32_t pop; /* what a branch adds to RSP when its target is not known yet */
};

/* A direct jump out of a block. */
struct jit_exit {
    struct jit_block *from, *to;
    struct jit_exit *next; /* of those that lead to `to` */
    int32_t offset;        /* of the target from the start of the block's page */
    uint8_t *rel;          /* the jump's displacement, as written */
    uint8_t *frame;        /* where the target's physical page is compared, or NULL: the same page */
    const uint8_t *stub;   /* where the jump goes while nothing is known */
};

#define JIT_BLOCK_TARGETS 2

struct jit_block {
    struct trace *trace;
    struct jit_block *other; /* of the same trace, for other segments */
    const uint8_t *code, *again; /* again: from itself, when its units are loaded */
    struct jit_exit *incoming;
    struct jit_block *next;         /* of all */
    struct jit_exit *exits;         /* an array */
    uint32_t size;                  /* bytes of code */
    uint16_t exit_count, count, page_offset;
    uint16_t cut;                   /* instructions of the trace that it leaves out */
    uint16_t target[JIT_BLOCK_TARGETS], target_count; /* slots of jt.targets that had it; more than these: any */
    uint8_t context;
    bool flat32;    /* 32-bit code: it relies on flat CS, SS, DS and ES */
    bool segmented; /* other segments, or 16-bit code: it relies on what follows */
    uint8_t cpl;
    uint16_t code_segment; /* jit_code_segment() */
    uint32_t rip, base, limit; /* of its first instruction; of CS */
    bool xmm, ymm, x87; /* uses XMM registers, AVX, the x87 */
    bool loops; /* its last instruction leads to the first */
};

#define JIT_CODE_SEGMENTS 4096u

struct jit {
    struct cpu_code code;
    uint8_t *write, *exec; /* the two mappings */
    size_t size, used, keep; /* keep: the thunks, which stay */
    struct jit_site *sites;
    struct jit_exit *exits;
    struct jit_block *blocks;
    uint32_t site_count, exit_count, block_count;
    struct jit_block *all;
    bool bmi2;              /* the host has it */
    bool ymm;               /* host and guest have AVX: all 256 bits are the guest's */
    bool host[F_COUNT];     /* features that the host has, among those with rules */
    uint64_t resets;

    uint32_t hot; /* runs in the interpreter before a trace is compiled */
    struct cpu_jit_stats stats; /* what only grows; jit_get_stats() adds the rest */
    bool inside;                /* translated code was entered, */
    uint64_t entered_at;        /* when so many instructions had been retired */
    uint64_t *body_runs;        /* by row, and behind the rows for instructions that only raise */
    struct cpu_watch watch;

    struct insn copy[4]; /* the instruction whose body runs alone */

    struct jit_code_segment { /* hashed */
        uint32_t base, limit, mode;
        bool used;
    } code_segments[JIT_CODE_SEGMENTS];
    unsigned code_segment_count;

    /* thunk.c */
    void (*enter)(struct cpu *cpu, const uint8_t *code);
    const uint8_t *leave;    /* to the caller of enter() */
    const uint8_t *slow;     /* r13: site; r14: linear address */
    const uint8_t *quick[JIT_CONTEXTS][JIT_WAYS]; /* the same, with a look at the interpreter's TLB first */
    const uint8_t *near[JIT_CONTEXTS][2]; /* r13: site; r14: linear address less the near entry's page. By way */
    const uint8_t *window;   /* r13: site; r14: offset */
    const uint8_t *useless;  /* as slow: the near entry changed often */
    const uint8_t *body;     /* r13: site */
    const uint8_t *resolve;  /* r13: exit */
    const uint8_t *indirect; /* r13: site; r14: RIP */
    const uint8_t *flags;    /* called: the guest's arithmetic flags to the host's */
    const uint8_t *xmm, *x87; /* at a block's start: loads XMM registers, the x87; or leaves. r13: site */

    /* Which slots of the tables are in use for addresses of the lower and the upper half, for flushing them. */
    struct jit_filled {
        uint32_t count;
        struct {
            uint8_t table, context;
            uint16_t slot;
        } slot[8192];
        /* Pages, hashed, in which there are entries of jt.targets. */
        uint64_t target_pages[64];
    } filled[2];
};

#define JT(field)    ((int32_t)(offsetof(struct cpu, jt) + offsetof(struct jit_tables, field)))
#define S(field)     ((int32_t)offsetof(struct cpu, s.field))
#define GUEST(n)     ((int32_t)(offsetof(struct cpu, s.gpr) + 8 * (n)))
#define MAX_SITES    (1u << 20)
#define MAX_EXITS    (1u << 19)
#define MAX_BLOCKS   (1u << 18)

/* Whether code of a mode is translated: that without alignment checks. */
static inline bool jit_mode(uint32_t mode)
{
    return !(mode & MODE_AC);
}

/* Which of jt.targets has a block: those of 16- and 32-bit code are apart. */
static inline unsigned jit_targets(const struct jit_block *block)
{
    return block->context + (block->flat32 || block->segmented ? JIT_CONTEXTS : 0);
}

/* What jt.targets has for RIP `rip` of this block's code segment. */
static inline uint64_t jit_target_key(const struct jit_block *block, uint64_t rip)
{
    return rip | (uint64_t)block->code_segment << 32;
}

/* Where the block is, or `rip` of its code segment. */
static inline uint64_t jit_block_rip(const struct cpu *cpu, const struct jit_block *block)
{
    return block->segmented ? block->rip : cpu->jt.code_page + block->page_offset;
}

static inline uint64_t jit_linear(const struct cpu *cpu, uint64_t rip)
{
    return cpu->long64 ? rip : (uint32_t)(cpu->s.seg[CS].base + rip);
}

/* Context of a mode, as TLB_*. */
static inline unsigned jit_context(uint32_t mode)
{
    return mode & MODE_USER ? TLB_USER : mode & MODE_SMAP_AC ? TLB_SUPER_AC : TLB_SUPER;
}

/* thunk.c */
void jit_make_thunks(struct jit *jit, struct emit *e);

/* translate.c: the block's code; false when there is no room. Nothing of the block is linked yet. */
bool jit_translate(struct cpu *cpu, struct jit *jit, struct jit_block *block);

/* address.c */
void emit_table_index(struct emit *e, bool bmi2, unsigned reg); /* of the address in r14, in its table: in bytes */

/* block.c */
void jit_link(struct cpu *cpu, struct jit_exit *x, struct jit_block *to);
bool jit_may_enter(const struct cpu *cpu, const struct jit_block *block); /* segments are its, its units allowed */
void jit_add_target(struct cpu *cpu, struct jit_block *block, uint64_t rip); /* indirect branches to `rip` find it */
void jit_translate_again(struct cpu *cpu, struct jit_block *block); /* when it is due next; it may be running */
void jit_clear_near(struct cpu *cpu);
void jit_set_run(struct jit_run *run, uint64_t first, uint64_t host, uint64_t length);
void jit_clear_tables(struct cpu *cpu);
void jit_run_block(struct cpu *cpu, struct trace *t); /* in cpu->trace, and counted; and what it leads to */
/* A table's slot is in use for an address. */
void jit_filled(struct cpu *cpu, unsigned table, unsigned context, unsigned slot, uint64_t linear);

/* segment.c */
bool jit_segments_fit(const struct cpu *cpu, const struct jit_block *block); /* CS, CPL, and in flat code all */
struct jit_block *jit_block_of(const struct cpu *cpu, struct trace *t); /* that fits, now the trace's first; or NULL */
/* Makes a new block one for the segments as they are now; false when code so close to CS's limit isn't translated. */
bool jit_take_segments(const struct cpu *cpu, struct jit_block *block);
unsigned jit_code_segment(struct jit *jit, const struct jit_block *block); /* a number for it, not 0; 0: no room */
bool jit_loads_segment(const struct insn *i); /* ES, DS, FS, GS, and doesn't end its trace */
void jit_close_windows(struct cpu *cpu);
void jit_reach(struct cpu *cpu); /* sets jt.reach; before segmented or flat 32-bit code runs, and after a segment was loaded */

/* check.c, when there is a cpu->checker */
void check_block(struct cpu *cpu, struct trace *t);                  /* instead of running it */
bool check_stops(const struct cpu *cpu, const struct insn *i); /* the block ends before `i` */
void check_end(struct cpu *cpu);

/* report.c */
bool jit_report_new(struct jit *jit); /* false when memory ran out */
void jit_report_free(struct jit *jit);
uint64_t jit_now(const struct jit *jit);
void jit_translated(struct cpu *cpu, struct jit_block *block, uint64_t since); /* just now, begun at jit_now() `since` */

/* runtime.c: called by thunks. They return where to go on, NULL: leave. */
const uint8_t *jit_slow(struct cpu *cpu, uint32_t site, uint64_t linear);
const uint8_t *jit_useless(struct cpu *cpu, uint32_t site, uint64_t linear);
const uint8_t *jit_window(struct cpu *cpu, uint32_t site, uint64_t offset);
const uint8_t *jit_body(struct cpu *cpu, uint32_t site);
const uint8_t *jit_resolve(struct cpu *cpu, uint32_t exit);
const uint8_t *jit_indirect(struct cpu *cpu, uint32_t site, uint64_t rip);
uint64_t jit_flags_image(struct cpu *cpu);
bool jit_xmm_allowed(const struct cpu *cpu); /* SSE instructions don't fault, nor do floating-point exceptions */
bool jit_ymm_allowed(const struct cpu *cpu); /* AVX instructions don't fault */
bool jit_may_load_xmm(struct cpu *cpu, uint32_t site);
bool jit_x87_allowed(const struct cpu *cpu); /* the same of x87 instructions */
bool jit_may_load_x87(struct cpu *cpu, uint32_t site);
void jit_know_pages(struct cpu *cpu, const struct trace *t); /* trace_find() found it for s.rip: its pages are mapped so */
void jit_sync_x87(struct cpu *cpu); /* from jt.image to struct cpu_state */
void jit_sync_flags(struct cpu *cpu); /* to the interpreter's form */

#endif
