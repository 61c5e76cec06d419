/*
 * internal.h - struct cpu as the files of cpu/ see it: the canonical state, and what the software CPU caches.
 */
#ifndef CPU_INTERNAL_H
#define CPU_INTERNAL_H

#include <setjmp.h>
#include <stdatomic.h>

#include "cpu/cpu.h"
#include "cpu/insn.h"
#include "cpu/jit/tables.h"
#include "cpu/paging.h"

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* For what every instruction does: inlined however large the file that uses it. */
#define forced_inline inline __attribute__((always_inline))

/* Exception vectors */
enum {
    EX_DE,
    EX_DB,
    EX_NMI,
    EX_BP,
    EX_OF,
    EX_BR,
    EX_UD,
    EX_NM,
    EX_DF,
    EX_TS = 10,
    EX_NP,
    EX_SS,
    EX_GP,
    EX_PF,
    EX_MF = 16,
    EX_AC,
    EX_MC,
    EX_XM
};

enum access { ACCESS_READ, ACCESS_WRITE, ACCESS_FETCH };

enum cpu_feature {
#define FEATURE(id, name, leaf, subleaf, reg, bit) F_##id,
#include "cpu/features.def"
#undef FEATURE
    F_COUNT
};

/*
 * Software TLB, direct-mapped on the linear page number. A tag is the linear page with a generation (tlb_gen)
 * in its low 12 bits, which stands for the address space it was translated in; a tag that matches says: this
 * access is allowed and goes to plain memory at linear + addend. Comparing with (linear + size - 1)'s page
 * makes page crossing a miss.
 */
#define TLB_SIZE 2048u
#define TLB_NONE UINT64_MAX /* matches nothing: generation 0xfff is never used */

struct tlb_entry {
    uint64_t read, write, fetch;
    uint64_t addend; /* host address minus linear address, modulo 2^64 */
};

/* The translation behind an entry, also for pages that are no plain memory. */
struct tlb_side {
    uint64_t tag;
    uint64_t phys;
    struct region *region; /* NULL: nothing answers there */
    uint64_t offset;       /* of the page in the region */
    uint8_t allow;         /* bit per enum access */
};

/* Whose accesses: three TLBs, since the permissions differ. */
enum { TLB_SUPER, TLB_SUPER_AC, TLB_USER, TLB_COUNT };

struct tlb {
    struct tlb_entry entry[TLB_SIZE];
    struct tlb_side side[TLB_SIZE];
};

/*
 * A trace: instructions decoded from one place, run from the first to the last. It starts at a physical
 * address, in a mode (how bytes decode), and never leaves its page, except that a trace of a single
 * instruction may hang over the edge: then phys2 is the second page. After each instruction that can branch
 * comes a slot with a struct link.
 */
struct trace {
    uint64_t phys;
    uint64_t phys2; /* NO_PAGE, or the second page's address */
    uint32_t mode;
    uint16_t count; /* instructions */
    uint16_t bytes;
    uint16_t slots; /* in insn[], links included */
    struct trace *hash_next, *page_next, *page2_next;
    struct jit_block *block; /* its translation, or NULL */
    insn_fn *first;          /* the first instruction's own body, where insn[0] has body_warm or body_translated */
    uint32_t heat;
    uint32_t far; /* bit n: memory that instruction n accesses is all over the place (jit/address.c) */
    struct insn insn[];
};
#define NO_PAGE UINT64_MAX

/* Where a branch led last time: right while rip and the generation match. */
struct link {
    uint64_t rip;
    uint64_t gen;
    struct trace *trace;
    uint64_t pad[2];
};
_Static_assert(sizeof(struct link) == sizeof(struct insn), "a link fills an instruction's slot");

/* Where branches with several targets lead (returns, indirect jumps), hashed by RIP. */
#define TARGETS 1024u

struct target {
    uint64_t rip;
    uint64_t gen; /* as a link's */
    struct trace *trace;
};

/* Trace mode: what decoding and the choice of bodies depend on. */
#define MODE_BITS 0x03u /* SIZE_W, SIZE_D, SIZE_Q: 16-, 32-, 64-bit code */
#define MODE_SS32 0x04u /* stack pointer is ESP (in 64-bit mode it is always RSP) */
#define MODE_AC   0x08u /* alignment checks are on */
#define MODE_REAL 0x20u /* real or virtual-8086 mode */
#define MODE_SMAP_AC 0x40u /* supervisor with RFLAGS.AC under CR4.SMAP: data accesses have rights of their own */
#define MODE_USER 0x10u /* CPL 3: its links must not lead where only the supervisor may fetch */

enum attention {
    ATT_INTR = 1,
    ATT_NMI = 2,
    ATT_SMI = 4,
    ATT_INIT = 8,
    ATT_SIPI = 16,
    ATT_KICK = 32,
    ATT_CODE = 64, /* code pages were written behind this CPU's back: code_queue */
    ATT_MAP = 128, /* the memory map changed */
    ATT_A20 = 256,
    ATT_TRACK = 512, /* pages are watched for writes anew: forget which may be written unseen */
    ATT_STOP = 1024, /* stops changed or were hit, or `alone` */
};

struct cpu {
    struct cpu_state
        s; /* s.rip is the start of the running trace; s.rflags' arithmetic bits are stale: see lf_* */
    uint64_t small[16]; /* the constants 0 to 15; small[0] is the register that is not there */

    /* Lazy arithmetic flags: interp/flags.h */
    uint64_t lf_result, lf_aux;

    struct trace *trace;      /* the one running */
    const struct insn *insn;  /* the one that called a slow path, for faults */
    uint64_t retired;         /* instructions; the running trace is counted as a whole when entered */
    _Atomic uint64_t stop_at; /* trace chaining stops when retired gets here; 0 asks for attention */
    uint64_t link_gen; /* links out of a page made under another value are void: translations, CS or code
                          changed */
    uint64_t code_gen; /* the same for links within a page: code was dropped */
    uint32_t mode;     /* trace mode of what CS:RIP points at */
    bool long64;       /* in 64-bit mode */

    struct tlb_entry *tlb; /* the current one's entries */
    uint64_t tlb_gen[2];   /* low 12 bits of tags: of the lower and the upper half of the linear addresses */
    uint64_t fetch_page;   /* linear page that fetch_phys translates; NO_PAGE */
    uint64_t fetch_phys;
    uint64_t a20_mask;

    jmp_buf env;      /* cpu_run's, where faults land */
    pthread_t thread; /* the one in cpu_run */
    uint64_t budget_end;
    bool single;      /* executing one instruction only */
    bool alone;       /* so is the next to be, without interrupt or stop before it */
    bool trap_after;  /* which traps because TF was set before it */
    bool in_delivery; /* an event is being delivered */

    /* The exception on its way (exception.c). */
    struct {
        int vector; /* -1: none */
        uint32_t error;
        bool has_error, external, soft;
        bool resume; /* the flags image pushed has RF set (SDM 3B 17.3.1.1) */
    } fault;
    struct cpu_fault chain[6]; /* of the delivery under way; for crash reports */
    unsigned chain_length;
    struct {
        uint64_t base;
        uint32_t limit;
    } code_seen[128]; /* CS when a trace mode was last in use (update_mode) */

    /* Outside. */
    struct bus *memory, *ports;
    struct clock *clock;
    pthread_mutex_t *lock;
    struct log *log;
    struct intc intc;
    unsigned id, count;
    uint64_t tsc_hz;
    uint64_t tsc_base; /* s.tsc_offset after RESET */
    _Atomic uint32_t attention; /* enum attention */
    void (*wake)(void *opaque);
    void *wake_opaque;
    struct cpu_engine engine; /* one that runs the guest elsewhere */
    uint64_t (*random)(void *opaque);
    void *random_opaque;
    uint64_t random_count; /* calls so far, when nobody gave a source */
    _Atomic bool a20;
    _Atomic uint8_t sipi_vector;
    struct bus_listener listener;

    uint8_t feature[F_COUNT]; /* 1: this CPU has it */
    uint8_t model;            /* which of cpu_models.def */
    struct decoder *decoder;
    struct trace_cache *cache;
    struct target targets[TARGETS];
    struct tlb *tlbs; /* TLB_COUNT of them */
    struct pcid_table *pcids;
    struct cpu_stats stats;
    uint64_t invalidations; /* cpu_tlb_invalidations() */
    struct jit *jit; /* NULL: everything is interpreted */
    struct jit *resting_jit; /* waits for cpu_wake_jit(); NULL: none does */
    struct stops *stops;     /* stop.c; NULL: nobody ever asked for one */
    struct history *history;
    uint64_t *history_at;  /* history.h; NULL: branches aren't kept */
    uint64_t history_wrap; /* the bits of history_at that stay when it comes to the ring's end */
    struct cpu_cover cover;
    struct checker *checker; /* NULL: translated code isn't compared with the interpreter */
    struct jit_tables jt;
};

#define REG_OFFSET(n)   ((uint16_t)(offsetof(struct cpu, s.gpr) + 8 * (n)))
#define RIP_OFFSET      ((uint16_t)offsetof(struct cpu, s.rip))
#define ZERO_OFFSET     ((uint16_t)offsetof(struct cpu, small))
#define SMALL_OFFSET(n) ((uint16_t)(offsetof(struct cpu, small) + 8 * (n)))
#define SEGBASE_OFFSET(n)                                                                                    \
    ((uint16_t)(offsetof(struct cpu, s.seg) + sizeof(struct segment) * (n) + offsetof(struct segment, base)))
#define XMM_OFFSET(n) ((uint16_t)(offsetof(struct cpu, s.zmm) + 64 * (n)))

static inline bool has_feature(const struct cpu *cpu, enum cpu_feature feature)
{
    return cpu->feature[feature];
}

static inline bool real_mode(const struct cpu *cpu)
{
    return !(cpu->s.cr0 & CR0_PE);
}

static inline bool vm86_mode(const struct cpu *cpu)
{
    return cpu->s.rflags & FLAG_VM;
}

static inline bool long_mode(const struct cpu *cpu)
{
    return cpu->s.efer & EFER_LMA;
}

/* --- exception.c: the only longjmp --------------------------------------------------------------- */

/*
 * Raises an exception at instruction `i` (NULL: at the instruction boundary s.rip); never returns. The state
 * must be as it was before the instruction. fault() is for exceptions with an error code, fault0() for those
 * without.
 */
_Noreturn void fault(struct cpu *cpu, const struct insn *i, int vector, uint32_t error);
_Noreturn void fault0(struct cpu *cpu, const struct insn *i, int vector);
_Noreturn void fault_page(struct cpu *cpu, const struct insn *i, uint64_t linear, uint32_t error);
/* Back to cpu_run's loop before instruction `i`, which has changed nothing yet; no exception. */
_Noreturn void begin_anew(struct cpu *cpu, const struct insn *i);
_Noreturn void begin_at_boundary(struct cpu *cpu); /* the same between instructions, RIP being exact */
void forget_fault(struct cpu *cpu); /* none is on its way */

#define gp0(cpu, i) fault(cpu, i, EX_GP, 0)
#define ud(cpu, i)  fault0(cpu, i, EX_UD)

/*
 * Delivers the exception in cpu->fault (called by cpu_run after the longjmp; may itself raise, which leads
 * back here and to #DF or shutdown), an external interrupt, or a software one (INT n, INT3, INTO, ICEBP:
 * `next` is the RIP to return to). s.rip is exact.
 */
void deliver_fault(struct cpu *cpu);
void deliver_interrupt(struct cpu *cpu, int vector); /* external, or EX_NMI */
void deliver_pending(struct cpu *cpu);               /* s.event_*, which there is */
void software_interrupt(struct cpu *cpu, const struct insn *i, int vector, uint64_t next, bool icebp);

/* --- segment.c ----------------------------------------------------------------------------------- */

/* MOV/POP/LxS to ES, SS, DS, FS, GS with all checks of the mode; raises #GP/#SS/#NP. */
void load_segment(struct cpu *cpu, const struct insn *i, unsigned seg, uint16_t selector);
/* LLDT and LTR. */
void load_ldtr(struct cpu *cpu, const struct insn *i, uint16_t selector);
void load_tr(struct cpu *cpu, const struct insn *i, uint16_t selector);
/* Sets a segment as real and virtual-8086 mode do: base = selector << 4; vm86 also sets limit and attributes.
 */
void load_segment_real(struct cpu *cpu, unsigned seg, uint16_t selector);
/*
 * Reads the 8-byte descriptor at `selector` (raises `vector` with the selector as error code when it lies
 * outside its table); set_accessed writes the accessed bit back.
 */
uint64_t read_descriptor(struct cpu *cpu, const struct insn *i, uint16_t selector, int vector);
void set_accessed(struct cpu *cpu, const struct insn *i, uint16_t selector, uint64_t *descriptor);
void unpack_descriptor(struct segment *segment, uint16_t selector, uint64_t descriptor);
/* LAR, LSL, VERR, VERW: whether the selector is visible, never faults for it; the descriptor in *descriptor.
 */
bool probe_descriptor(struct cpu *cpu, const struct insn *i, uint16_t selector, uint64_t *descriptor);

/* After CS, SS, CPL, CR0, CR4, EFER, RFLAGS.AC or RFLAGS.VM changed: recompute mode, long64, and which TLB is
 * used. */
void update_mode(struct cpu *cpu);
void set_cpl(struct cpu *cpu, unsigned cpl); /* does update_mode */

/* --- far.c: far transfers; each leaves s.rip at the target and the trace must end. `next` is the return RIP.
 * --- */
void far_jump(struct cpu *cpu, const struct insn *i, uint16_t selector, uint64_t offset);
void far_call(struct cpu *cpu, const struct insn *i, uint16_t selector, uint64_t offset, uint64_t next);
void far_return(struct cpu *cpu, const struct insn *i, unsigned pop_bytes);
void interrupt_return(struct cpu *cpu, const struct insn *i);

/* --- task.c -------------------------------------------------------------------------------------- */
enum task_reason { TASK_JUMP, TASK_CALL, TASK_GATE, TASK_IRET };
/* Switches to the TSS `selector` (its descriptor given, checked for type and presence by the caller); next:
 * RIP saved. */
void task_switch(struct cpu *cpu, const struct insn *i, uint16_t selector, uint64_t descriptor,
                 enum task_reason reason, uint64_t next, bool has_error, uint32_t error);
/* Ring `dpl`'s stack pointer from the TSS (SDM 3A 6.12.1 / 7.2.1); raises #TS. */
void tss_stack(struct cpu *cpu, const struct insn *i, unsigned dpl, uint16_t *ss, uint64_t *sp);
uint64_t tss_ist(struct cpu *cpu, const struct insn *i, unsigned ist);
/* Whether the I/O permission bitmap lets CPL > IOPL reach `size` ports at `port`; raises #GP(0) if not. */
void check_io(struct cpu *cpu, const struct insn *i, uint16_t port, unsigned size);

/* --- paging.c, tlb.c ----------------------------------------------------------------------------- */

/*
 * Memory by linear address, any size up to 8 (16 for the _block forms any length), with paging, as the
 * current CPL or (super) as the processor itself (descriptor tables, TSS). `seg` decides #SS or #GP for
 * non-canonical addresses. These are the slow paths too: they handle page crossing, chips, code pages.
 */
uint64_t linear_read(struct cpu *cpu, const struct insn *i, unsigned seg, uint64_t linear, unsigned size);
void linear_write(struct cpu *cpu, const struct insn *i, unsigned seg, uint64_t linear, uint64_t value,
                  unsigned size);
uint64_t super_read(struct cpu *cpu, const struct insn *i, uint64_t linear, unsigned size);
void super_write(struct cpu *cpu, const struct insn *i, uint64_t linear, uint64_t value, unsigned size);
void linear_read_block(struct cpu *cpu, const struct insn *i, unsigned seg, uint64_t linear, void *data,
                       unsigned size);
void linear_write_block(struct cpu *cpu, const struct insn *i, unsigned seg, uint64_t linear,
                        const void *data, unsigned size);
/* Raises what a write of `size` bytes would raise, and writes nothing. */
void probe_write(struct cpu *cpu, const struct insn *i, unsigned seg, uint64_t linear, unsigned size);
void probe_read(struct cpu *cpu, const struct insn *i, unsigned seg, uint64_t linear, unsigned size);
/*
 * Host address for a read-modify-write of `size` bytes at `linear` when it lies in one page of RAM, else NULL
 * (chip, page crossing: use read and write). All faults of a write are raised. The caller calls wrote_host()
 * after the write.
 */
void *host_for_write(struct cpu *cpu, const struct insn *i, unsigned seg, uint64_t linear, unsigned size);
void wrote_host(struct cpu *cpu, const struct insn *i, uint64_t linear, unsigned size);
/* Physical address of the instruction byte at s.rip's linear address; raises #PF/#GP. */
uint64_t fetch_translate(struct cpu *cpu, const struct insn *i, uint64_t linear);

bool canonical(const struct cpu *cpu, uint64_t linear);
/*
 * The same by the width that the processor has, whatever CR4.LA57 says: what MSRs, descriptor tables and segment
 * bases may hold, and INVPCID takes (SDM 3A 4.5.2).
 */
bool canonical_value(const struct cpu *cpu, uint64_t linear);

bool tlb_new(struct cpu *cpu);
void tlb_free(struct cpu *cpu);

void tlb_flush_all(struct cpu *cpu); /* everything, global entries too */
void tlb_flush_page(struct cpu *cpu, uint64_t linear);
void tlb_new_cr3(struct cpu *cpu, bool keep); /* s.cr3 changed; keep: bit 63 was set (PCID, no flush) */
void tlb_flush_pcid(struct cpu *cpu, unsigned pcid);
/* Sets PKRU; translations that depend on what changed are forgotten. */
void write_pkru(struct cpu *cpu, uint32_t value);
/* PAE: loads s.pdpte from memory at `cr3`; false when reserved bits are set (#GP). */
bool load_pdptes(struct cpu *cpu, uint64_t cr3);
void tlb_code_page(struct cpu *cpu,
                   uint64_t phys); /* the page now holds code: writes must take the slow path */

/* --- breakpoint.c -------------------------------------------------------------------------------- */

/* Whether any of DR7's enable bits is set. */
static inline bool breakpoints_armed(const struct cpu *cpu)
{
    return cpu->s.dr[7] & 0xff;
}

#define DR6_BS (1u << 14)

/* DR6 for a #DB: B0 to B3 are this one's, the others stay until software clears them (SDM 3B 18.2.3). */
static inline void set_debug_status(struct cpu *cpu, uint64_t bits)
{
    cpu->s.dr[6] = (cpu->s.dr[6] & ~0xfull) | bits;
}

/* DR6 bits of the instruction breakpoints at `linear`. */
uint64_t breakpoint_execute(const struct cpu *cpu, uint64_t linear);
/* A data access: hits become pending_debug, a trap after the instruction. */
void breakpoint_access(struct cpu *cpu, uint64_t linear, unsigned size, bool write);
/* The same for `size` ports at `port` (CR4.DE). */
void breakpoint_io(struct cpu *cpu, uint16_t port, unsigned size);
/* Whether a data breakpoint watches something in the page: it gets no fast TLB entry. */
bool breakpoint_in_page(const struct cpu *cpu, uint64_t page);

/* --- trace cache: interp/trace.c ----------------------------------------------------------------- */
struct trace *trace_find(struct cpu *cpu);   /* for s.rip; decodes when new; raises fetch faults */
struct trace *trace_single(struct cpu *cpu); /* one instruction, nothing cached */
void trace_flush(struct cpu *cpu);
void trace_written(struct cpu *cpu, uint64_t phys, uint64_t size); /* on the CPU's own thread */
void trace_drop_offset(struct cpu *cpu, unsigned offset); /* those with code at this offset in its page */
bool trace_cache_new(struct cpu *cpu);
void trace_cache_free(struct cpu *cpu);

/* --- jit/block.c: called whether or not there is a translator ------------------------------------ */

#if defined(__x86_64__)
void jit_new_trace(struct cpu *cpu, struct trace *t); /* just decoded */
void jit_drop(struct cpu *cpu, struct trace *t);      /* its code was overwritten */
uint64_t jit_clock(const struct cpu *cpu);            /* nanoseconds, 0 without a translator */
void jit_reset(struct cpu *cpu, uint64_t since);      /* all traces are gone, which began at jit_clock() `since` */
/* Addresses are mapped otherwise: those of the lower or upper half, or one page. Pages may no longer be written unseen. */
void jit_forget_half(struct cpu *cpu, bool high);
void jit_forget_page(struct cpu *cpu, uint64_t linear);
void jit_forget_writes(struct cpu *cpu);
void jit_begin(struct cpu *cpu);                      /* this thread is going to run the CPU */
void jit_left(struct cpu *cpu);                       /* by an exception, maybe out of translated code */
void jit_get_stats(const struct cpu *cpu, struct cpu_jit_stats *stats);

/* jit/check.c, when there is a cpu->checker: the interpreter is about to write RAM, or has set bits of a table entry */
void check_write(struct cpu *cpu, void *host, uint64_t phys, uint64_t linear, unsigned size);
void check_bits_set(struct cpu *cpu, const void *host, uint64_t bits, unsigned size);
void check_chip(struct cpu *cpu); /* a chip is about to be accessed */
#else
static inline void check_write(struct cpu *cpu, void *host, uint64_t phys, uint64_t linear, unsigned size)
{
    (void)cpu, (void)host, (void)phys, (void)linear, (void)size;
}
static inline void check_bits_set(struct cpu *cpu, const void *host, uint64_t bits, unsigned size)
{
    (void)cpu, (void)host, (void)bits, (void)size;
}
static inline void check_chip(struct cpu *cpu) { (void)cpu; }
static inline void jit_new_trace(struct cpu *cpu, struct trace *t) { (void)cpu, (void)t; }
static inline void jit_drop(struct cpu *cpu, struct trace *t) { (void)cpu, (void)t; }
static inline uint64_t jit_clock(const struct cpu *cpu) { (void)cpu; return 0; }
static inline void jit_reset(struct cpu *cpu, uint64_t since) { (void)cpu, (void)since; }
static inline void jit_forget_half(struct cpu *cpu, bool high) { (void)cpu, (void)high; }
static inline void jit_forget_page(struct cpu *cpu, uint64_t linear) { (void)cpu, (void)linear; }
static inline void jit_forget_writes(struct cpu *cpu) { (void)cpu; }
static inline void jit_begin(struct cpu *cpu) { (void)cpu; }
static inline void jit_left(struct cpu *cpu) { (void)cpu; }
static inline void jit_get_stats(const struct cpu *cpu, struct cpu_jit_stats *stats) { (void)cpu, (void)stats; }
#endif

/* --- interp/loop.c -------------------------------------------------------------------------------- */

/* Acts on requests that concern what this CPU caches, whatever engine runs it: `bits` are enum attention's. */
void cpu_take_attention(struct cpu *cpu, uint32_t bits);
/* Whether the loop would find nothing to do between two instructions; chains may run to the budget's end again. */
bool cpu_may_go_on(struct cpu *cpu);

/* --- decode.c ------------------------------------------------------------------------------------ */
struct decoder *decoder_new(const struct cpu *cpu);
void decoder_free(struct decoder *decoder);
/*
 * Decodes one instruction from bytes[0..size) into *i (off is the caller's). Returns its length; 0 when it
 * needs more bytes than given; bad encodings become an instruction whose body raises #UD (or #GP beyond 15
 * bytes). `off` is its distance from the trace's start, page_offset where in its page the trace starts.
 * `attr` gets the row's attributes.
 */
unsigned decode(const struct cpu *cpu, uint32_t mode, const uint8_t *bytes, unsigned size, unsigned off,
                unsigned page_offset, struct insn *i, unsigned *attr);

/* --- system.c, msr.c, cpuid.c, interp/flags.h ---------------------------------------------------- */
uint64_t get_rflags(struct cpu *cpu); /* with the arithmetic flags made exact */
void set_rflags(struct cpu *cpu,
                uint64_t value); /* all bits as given; does update_mode when AC, VM changed */
void write_cr0(struct cpu *cpu, const struct insn *i, uint64_t value);
void write_cr3(struct cpu *cpu, const struct insn *i, uint64_t value);
void write_cr4(struct cpu *cpu, const struct insn *i, uint64_t value);
uint64_t read_msr(struct cpu *cpu, const struct insn *i, uint32_t index); /* raises #GP */
bool get_msr(struct cpu *cpu, uint32_t index, uint64_t *value);           /* false: #GP(0) */
bool set_msr(struct cpu *cpu, uint32_t index, uint64_t value);            /* the same, and nothing was changed */
void write_msr(struct cpu *cpu, const struct insn *i, uint32_t index, uint64_t value);
uint64_t read_tsc(struct cpu *cpu);
void cpuid(struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4]); /* EAX EBX ECX EDX */
unsigned phys_bits(const struct cpu *cpu);

#endif
