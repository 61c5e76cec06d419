/*
 * cpu.h - the public face of the software x86-64 processor.
 *
 * A cpu is created over a memory space and a port space (core/bus.h), plugged into a local interrupt
 * controller (core/intc.h) and run by one thread. No globals: start as many as wanted.
 *
 * Locking: cpu_run, cpu_reset, cpu_pull/push and everything that touches cpu_state belong to the CPU's own
 * thread (or to anyone while that thread is stopped). The wires (cpu_intr ... cpu_kick) may be called from
 * any thread.
 */
#ifndef CPU_CPU_H
#define CPU_CPU_H

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

#include "core/bus.h"
#include "core/clock.h"
#include "core/intc.h"
#include "core/irq.h"
#include "core/log.h"
#include "cpu/state.h"

struct cpu;

struct cpu_config {
    unsigned id;    /* APIC id */
    unsigned count; /* CPUs in the machine, for CPUID topology */
    struct bus *memory, *ports;
    struct clock *clock;
    pthread_mutex_t *lock; /* the machine lock: taken around intc calls and I/O */
    struct log *log;
    struct intc intc;
    const char *model; /* CPU model and feature changes ("qemu64,+avx"), NULL for the default */
    uint64_t tsc_hz;   /* 0: the default, 1 GHz */
    uint64_t (*random)(void *opaque); /* 64 bits for RDRAND and RDSEED; NULL: the same numbers in every run */
    void *random_opaque;
};

enum cpu_exit {
    CPU_EXIT_KICK,     /* cpu_kick() was called, or the budget is used up */
    CPU_EXIT_HALT,     /* HLT or waiting for SIPI; wait for a wire to change */
    CPU_EXIT_SHUTDOWN, /* triple fault: see cpu_chain() */
    CPU_EXIT_STOPPED,  /* something that cpu_stop_add() asked for: see cpu_stopped() */
};

/* NULL with a sentence in `why` when the model is unknown or memory ran out. */
struct cpu *cpu_new(const struct cpu_config *config, char *why, size_t why_size);
void cpu_free(struct cpu *cpu);

/* RESET# (init = false) or INIT# (true): SDM 3A table 10-1. */
void cpu_reset(struct cpu *cpu, bool init);

/* Runs about `budget` instructions at most (never fewer than one when it can run), until something needs the
 * machine. */
enum cpu_exit cpu_run(struct cpu *cpu, uint64_t budget);

/* Executes exactly one instruction or delivers one event, taking nothing from caches. */
enum cpu_exit cpu_step(struct cpu *cpu);

/*
 * The history: what the CPU went through last. Events are always kept, the last CPU_PAST_EVENTS of them; the near branches
 * between them when cpu_keep_branches() has said so. Engines other than this CPU leave nothing of what they run.
 */
enum cpu_past_kind {
    CPU_PAST_EXCEPTION,
    CPU_PAST_INTERRUPT, /* INTR, NMI */
    CPU_PAST_SOFTWARE,  /* INT n, INT3, INTO, INT1 */
    CPU_PAST_FAR,       /* far JMP, CALL and RET, task switches included */
    CPU_PAST_IRET,
    CPU_PAST_SYSCALL, /* or SYSENTER */
    CPU_PAST_SYSRET,  /* or SYSEXIT */
    CPU_PAST_OUTSIDE, /* the state was set: a reset, another engine, a debugger. Without `from` */
    CPU_PAST_CODE,    /* code began to run at `to`. That it runs again at once, in a loop, isn't said anew */
};

struct cpu_place {
    uint64_t rip, linear;
    uint16_t cs;
    uint8_t bits; /* 16, 32 or 64: how the code there decodes */
};

struct cpu_past {
    enum cpu_past_kind kind;
    uint8_t vector; /* of the first three */
    bool has_error;
    uint32_t error;
    uint64_t instructions;     /* as cpu_instructions() then; not of CODE */
    struct cpu_place from, to; /* from: the instruction, or where an interrupt came; not of CODE */
};

#define CPU_PAST_EVENTS   1024u
#define CPU_PAST_BRANCHES 65536u

/*
 * From now on so many entries are kept, near branches among them: up to CPU_PAST_BRANCHES, rounded up to a power of two; 0:
 * none. It costs translated code some percent. False when memory ran out. While the CPU is stopped.
 */
bool cpu_keep_branches(struct cpu *cpu, unsigned count);
bool cpu_keeps_branches(const struct cpu *cpu);

/*
 * The last entries, at most `max`, the oldest first; how many. A piece of code ends where a branch in it leads to the next
 * piece, or where an event came; or it falls into the next. While the CPU is stopped.
 */
unsigned cpu_history(const struct cpu *cpu, struct cpu_past *past, unsigned max);

/*
 * Stops: what a debugger, or whoever else, wants the CPU to stop at. There may be any number, and while there are none
 * they cost nothing; code to stop at is interpreted. Not everything that reads and writes memory is seen by a watch: the
 * CPU's walks of page tables, and chips' DMA, aren't. Engines other than this CPU know no stops.
 */
enum cpu_stop_kind {
    CPU_STOP_EXECUTE, /* before the instruction at `address` (linear) */
    CPU_STOP_WRITE,   /* after an instruction, or an event's delivery, that wrote any of `size` bytes at `address` */
    CPU_STOP_READ,
    CPU_STOP_ACCESS,    /* read or wrote */
    CPU_STOP_PORT,      /* after one that used any of `size` ports at `address` */
    CPU_STOP_EXCEPTION, /* before exception `address` is delivered; RIP is at its cause. Not of INT n, INT3, INTO */
    CPU_STOP_INTERRUPT, /* at the handler of any of `size` vectors at `address`: of INTR, NMI and INT n, INT3, INTO */
    CPU_STOP_MODE,      /* after CR0.PE, CR0.PG, and with it EFER.LMA, changed */
    CPU_STOP_CR3,       /* after a MOV to CR3, or a task switch that loaded it */
    CPU_STOP_MAGIC,     /* after XCHG BX,BX */
    CPU_STOP_CR,        /* after a MOV to control register `address`, and of 0 LMSW and CLTS */
    CPU_STOP_MSR,       /* after RDMSR or WRMSR of any of `size` MSRs at `address` */
    CPU_STOP_CHIP,      /* after an access to any of `size` bytes at physical `address` that isn't memory */
    CPU_STOP_FAR,       /* at the target of a far JMP, CALL, RET or IRET */
    CPU_STOP_SYSCALL,   /* at the target of SYSCALL, SYSENTER (a write), SYSRET or SYSEXIT (a read) */
    CPU_STOP_NONSENSE,  /* what no program means to do: `address` is one of enum cpu_nonsense */
    CPU_STOP_KINDS,
};

enum cpu_nonsense {
    CPU_NONSENSE_CODE,  /* before an instruction is fetched from where there is no memory */
    CPU_NONSENSE_STACK, /* after the stack was accessed where there is no memory */
};

struct cpu_stop {
    enum cpu_stop_kind kind;
    bool physical; /* `address` of data is physical */
    uint64_t address;
    uint64_t size;     /* of data, ports, vectors; 0 counts as 1 */
    const void *owner; /* anything; the same place may be a stop of several */
};

/*
 * While the CPU is stopped, or on its thread. Adding what is there already, and removing what isn't, does nothing. add:
 * false when memory ran out; remove: whether it was there.
 */
bool cpu_stop_add(struct cpu *cpu, const struct cpu_stop *stop);
bool cpu_stop_remove(struct cpu *cpu, const struct cpu_stop *stop);
void cpu_stop_remove_all(struct cpu *cpu, const void *owner);
bool cpu_has_stops(const struct cpu *cpu);
/* At most `max` of them; how many. */
unsigned cpu_stops(const struct cpu *cpu, struct cpu_stop *list, unsigned max);

/* As if XCHG BX,BX were run: by what an OUT reaches, which is the last thing that runs. On the CPU's thread. */
void cpu_stop_magic(struct cpu *cpu);

#define CPU_STOP_HITS 16

/* Why the CPU stopped. */
struct cpu_stopped {
    struct cpu_stop stop;
    uint64_t address; /* what was hit: linear address (of CHIP physical), port, vector, register; new CR3 or CR0 */
    uint64_t value;   /* of ports, control registers, MSRs and chips: what was written or read; of FAR and SYSCALL: where the
                         instruction is, linear; of NONSENSE the linear address */
    bool write;       /* of data, ports, MSRs and chips */
    bool has_error;   /* of exceptions */
    uint32_t error;
};

/*
 * After cpu_run() or cpu_step_over() gave CPU_EXIT_STOPPED: all stops that were hit at once, at most `max`; how many.
 * The next cpu_run() goes on from there: it doesn't stop before the same instruction again, and delivers the exception,
 * unless cpu_push() said that the state was changed: then the instruction is tried again.
 */
unsigned cpu_stopped(const struct cpu *cpu, struct cpu_stopped *hits, unsigned max);

/*
 * A debugger's step: exactly one instruction, with no interrupt taken before it unless the CPU is halted, and no stop
 * before it, or the delivery of one event. The guest's TF and RF serve the guest. CPU_EXIT_KICK, or what cpu_run() gives.
 */
enum cpu_exit cpu_step_over(struct cpu *cpu);

/* The canonical state: pull before reading it, push after changing it. */
struct cpu_state *cpu_state(struct cpu *cpu);
void cpu_pull(struct cpu *cpu);
void cpu_push(struct cpu *cpu);

/* Wires into the CPU; levels unless said otherwise. Any thread. */
void cpu_intr(struct cpu *cpu, bool level); /* INTR: asks intc.acknowledge for the vector when taken */
void cpu_nmi(struct cpu *cpu);              /* edges */
void cpu_smi(struct cpu *cpu);
void cpu_init(struct cpu *cpu);
void cpu_sipi(struct cpu *cpu, uint8_t vector);
void cpu_a20(struct cpu *cpu, bool enabled); /* A20M#: false masks address bit 20 */
void cpu_kick(struct cpu *cpu);              /* leave cpu_run soon */

/* Whether a halted CPU has something to do: a wire asserted that would wake it. Any thread. */
bool cpu_has_work(struct cpu *cpu);

/* Called (from any thread) when a wire changed, so that a sleeping vCPU thread can be woken. */
void cpu_on_wake(struct cpu *cpu, void (*fn)(void *opaque), void *opaque);

/*
 * Memory for translated code, mapped twice: written at `write`, run at `exec`. set_gs() sets the calling thread's GS
 * base, which no C code uses.
 */
struct cpu_code {
    void *write, *exec;
    size_t size;
    void (*set_gs)(void *base);
    uint64_t (*now)(void); /* the host's nanoseconds, for cpu_jit_stats; NULL: they stay 0 */
    void (*release)(struct cpu_code *code); /* when the CPU no longer needs it */
};

/*
 * From now on hot code is translated into `code`, which is released by cpu_end_jit() or cpu_free(). False when memory
 * ran out. Only on x86-64 hosts; while the CPU is stopped.
 */
bool cpu_use_jit(struct cpu *cpu, const struct cpu_code *code);
void cpu_end_jit(struct cpu *cpu);

/*
 * In place of the two, where translator and interpreter take turns: rest forgets all translations but keeps memory, counters
 * and who watches code; wake goes on with them, false when there are none. While the CPU is stopped.
 */
void cpu_rest_jit(struct cpu *cpu);
bool cpu_wake_jit(struct cpu *cpu);

/* A block of translated code, for who prints it. */
struct cpu_block {
    uint64_t linear;       /* where its guest code is; other mappings of the page share the block */
    unsigned bits;         /* 16, 32 or 64, as cpu_code_bits() */
    bool user;             /* translated for CPL 3 */
    unsigned instructions;
    uint8_t guest[512]; /* a block never leaves its page, nor is it longer */
    size_t guest_size;
    const uint8_t *host; /* where it runs, and can be read */
    size_t host_size;
};

/* Who wants to know of translated code; on the CPU's thread. Any may be NULL. */
struct cpu_watch {
    void *opaque;
    void (*translated)(void *opaque, const struct cpu_block *block); /* not linked to others yet */
    /* The pieces of code between blocks and C. */
    void (*thunk)(void *opaque, const char *name, const uint8_t *host, size_t size);
};

/* thunk() is called at once, translated() for each block from now on. After cpu_use_jit(), while the CPU is stopped. */
void cpu_watch_code(struct cpu *cpu, const struct cpu_watch *watch);

/*
 * Who wants to know which guest code runs, for coverage. ran() is called on the CPU's thread when code is about to run for
 * the first time since it was decoded: again, after it was written to or dropped for want of room. The stretch ends
 * at a branch; when an exception comes in the middle, its rest counts as well. Code that is mapped at several addresses
 * is named by the one where it ran first.
 */
struct cpu_cover {
    void (*ran)(void *opaque, uint64_t linear, uint32_t size, bool user); /* NULL: nobody */
    void *opaque;
};

/* While the CPU is stopped. The interpreter's and the translator's code only. */
void cpu_cover(struct cpu *cpu, const struct cpu_cover *cover);

/*
 * The block that runs at `host`; false when there is none. On the CPU's thread, from a signal handler too, if translated
 * code is what the signal interrupted.
 */
bool cpu_block_at(struct cpu *cpu, const void *host, struct cpu_block *block);

/* A signal that the host raised in translated code: a mistake of the translator, or of the host. */
struct cpu_host_fault {
    struct cpu *cpu;
    int signal;               /* SIGSEGV, SIGBUS, SIGFPE or SIGILL */
    const void *address;      /* of what was accessed, if `addressed` */
    bool addressed;
    const uint8_t *pc;        /* the host instruction */
    uint64_t gpr[16], rflags; /* the host's, as struct cpu_state numbers them */
    const struct cpu_block *block; /* NULL: between blocks, or not known */
};

/* Why a block of translated code was not compared with the interpreter. */
#define CPU_UNCHECKED(X)                                                                                     \
    X(CHIP, "chips' memory")                                                                                 \
    X(PORT, "port I/O")                                                                                      \
    X(TIME, "time or random numbers")                                                                        \
    X(SYSTEM, "system instructions")                                                                         \
    X(CODE, "its own code overwritten")                                                                      \
    X(FLAGS, "undefined flags read")                                                                         \
    X(SSE, "SSE off or its exceptions unmasked")                                                             \
    X(LARGE, "too much written")                                                                             \
    X(OUTSIDE, "changed from outside")                                                                       \
    X(OFTEN, "seen often enough")

enum cpu_unchecked {
#define X(id, text) UNCHECKED_##id,
    CPU_UNCHECKED(X)
#undef X
        UNCHECKED_COUNT
};

struct cpu_check_stats {
    uint64_t blocks, instructions; /* run by both, and found equal */
    uint64_t faults;               /* of the blocks, those that raised an exception */
    uint64_t unchecked[UNCHECKED_COUNT];
};

/* A block of translated code that did something else than the interpreter. */
struct cpu_difference {
    const char *what; /* a line for each thing that differs */
    const struct cpu_state *before, *interpreted, *translated;
    const uint8_t *guest, *host; /* its code; the host's at the address where it runs */
    size_t guest_size, host_size;
};

/*
 * Translated code runs from now on only to be compared with the interpreter, block by block, from the same state;
 * what the guest sees is the interpreter's doing. A block is compared the first `often` times it runs, and then every
 * `often`th time. At the first difference differs() is called, on the CPU's thread; from then on all is interpreted.
 * False when memory ran out. After cpu_use_jit(), while the CPU is stopped; cpu_end_jit() ends it.
 */
bool cpu_check(struct cpu *cpu, uint32_t often, void (*differs)(void *opaque, const struct cpu_difference *difference),
               void *opaque);

/*
 * For engines that run the guest elsewhere than in cpu_run(); on the CPU's own thread unless said otherwise.
 */

/* What such an engine keeps beside the CPU; each may be NULL. */
struct cpu_engine {
    void *data;
    void (*poke)(void *data);    /* any thread: a wire changed, cpu_kick() included; cpu_requests() says which */
    void (*release)(void *data); /* by cpu_free() */
};

/* Sets and gets it. Set while the CPU is stopped; it stays until cpu_free(), also while another engine runs. */
void cpu_set_engine(struct cpu *cpu, const struct cpu_engine *engine);
struct cpu_engine *cpu_get_engine(struct cpu *cpu);

/* What the CPU was made with, defaults filled in; `model` is NULL. */
void cpu_get_config(const struct cpu *cpu, struct cpu_config *config);

/* What the wires ask for. */
enum cpu_request {
    CPU_REQUEST_INTR = 1,  /* while INTR is asserted */
    CPU_REQUEST_NMI = 2,   /* until cpu_take_request() */
    CPU_REQUEST_START = 4, /* INIT or a start-up message, which cpu_step() takes */
    CPU_REQUEST_A20 = 8,   /* while A20M# masks address bit 20 */
    CPU_REQUEST_KICK = 16, /* until cpu_take_request() */
};
unsigned cpu_requests(struct cpu *cpu);
void cpu_take_request(struct cpu *cpu, enum cpu_request request);

/* CPUID, RDMSR and WRMSR in the present state; `out` is EAX EBX ECX EDX. False: #GP(0), and nothing has changed. */
void cpu_cpuid(struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
bool cpu_read_msr(struct cpu *cpu, uint32_t index, uint64_t *value);
bool cpu_write_msr(struct cpu *cpu, uint32_t index, uint64_t value);

/* The name of the feature with this bit in CPUID, as `model` spells it; register 0 to 3 is EAX to EDX. NULL: none. */
const char *cpu_feature_name(uint32_t leaf, uint32_t subleaf, unsigned reg, unsigned bit);

/* Whether the default model has the feature of this name. */
bool cpu_default_has(const char *name);

/*
 * Writes the guest's kvm-clock anew, if it has one, by state and clock: an engine other than this CPU has run, the TSC
 * has jumped, or kvm_clock_offset has changed.
 */
void cpu_renew_clock(struct cpu *cpu);

/*
 * The TSC shows `tsc` now, and after each RESET as if it had counted from there, for the sake of an engine under which it
 * can't be set. While the CPU is stopped.
 */
void cpu_start_tsc(struct cpu *cpu, uint64_t tsc);

/* RAM was written without the bus hearing of it: decoded and translated code is forgotten. */
void cpu_forget_code(struct cpu *cpu);

/* How often the guest has made this CPU forget translations of addresses: INVLPG, INVPCID, loads of control registers. */
uint64_t cpu_tlb_invalidations(const struct cpu *cpu);

/* Guest instructions retired since creation, for --stats. */
uint64_t cpu_instructions(const struct cpu *cpu);

#define CPU_BODIES 8

/* Counters of translated code, all counted in C: what it does by itself leaves no trace. */
struct cpu_jit_stats {
    bool active;                         /* cpu_use_jit() */
    uint64_t blocks, instructions;       /* translated so far; guest instructions in them */
    uint64_t guest_bytes, bytes;         /* the same as bytes of guest and host code */
    uint64_t nanoseconds;                /* spent translating */
    uint64_t size, used;                 /* code memory, and what of it is in use now */
    uint64_t dropped, resets;            /* blocks dropped because their code changed; all at once, mostly for want of room */
    uint64_t longest_reset;              /* nanoseconds that dropping all took at most */
    uint64_t entered;                    /* from the interpreter */
    uint64_t retired;                    /* instructions run since it was entered */
    uint64_t resolved, indirect;         /* exits that had to look for their block; returns and indirect jumps, likewise */
    uint64_t slow_plain, slow_walk;      /* slow accesses to plain memory, by whether its page was in the TLB */
    uint64_t slow_other;                 /* to chips, across pages, misaligned, to code; or they faulted */
    uint64_t bodies;                     /* instructions run by the interpreter's body */
    struct {
        const char *name;
        uint64_t count;
    } body[CPU_BODIES]; /* those run most often; name NULL: no more */
};

/* Counters of the interpreter's caches, for --stats. */
struct cpu_stats {
    uint64_t instructions;
    uint64_t traces, trace_bytes; /* decoded, and the arena's use */
    uint64_t trace_flushes;       /* whole-cache flushes */
    uint64_t trace_invalidations; /* traces dropped because their code was written */
    uint64_t tlb_misses, tlb_flushes;
    uint64_t interrupts, exceptions;
    struct cpu_check_stats check;
    struct cpu_jit_stats jit;
};
void cpu_get_stats(const struct cpu *cpu, struct cpu_stats *stats);

/*
 * The exceptions that led to a triple fault, the original one first: for crash reports. Returns how many of
 * `chain` (at most `max`) were filled in.
 */
struct cpu_fault {
    uint8_t vector;
    bool has_error;
    uint32_t error;
    uint64_t cs_base, rip, cr2, rsp; /* at the instruction that faulted */
    uint16_t cs;
    uint8_t bits; /* 16, 32 or 64: how the code there decodes */
};
unsigned cpu_chain(const struct cpu *cpu, struct cpu_fault *chain, unsigned max);

/* 16, 32 or 64: how the code at CS:RIP decodes. */
unsigned cpu_code_bits(const struct cpu_state *state);

/*
 * Reads guest memory by linear address as a debugger would: no faults, no A/D bits set. Returns the bytes
 * read before the first unmapped page.
 */
size_t cpu_peek(struct cpu *cpu, uint64_t linear, void *data, size_t size);

/* Physical address of a linear one, or UINT64_MAX; as a debugger would. */
uint64_t cpu_translate(struct cpu *cpu, uint64_t linear);

/* Prints the models that `model` knows, a line each. */
void cpu_list_models(FILE *out);

/* "#PF" for 14. */
const char *cpu_exception_name(unsigned vector);

#endif
