/*
 * engine.h - the yoke: what an engine must offer to pull the machine.
 *
 * The machine never knows which engine runs a vCPU. The canonical state is cpu/state.h's; an engine that
 * keeps part of it elsewhere while it runs brings it home in pull() and takes it back in push(), both at an
 * instruction boundary.
 *
 * Locking: run, pull and push belong to the vCPU's thread; kick may come from any thread.
 */
#ifndef ACCEL_ENGINE_H
#define ACCEL_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "cpu/cpu.h"

struct engine_options {
    uint64_t code_size; /* bytes of memory for translated code; 0: ENGINE_CODE_SIZE */
    /*
     * Called in the signal handler, on the CPU's thread, which was in translated code and so holds no lock,
     * not even the C library's. The process must not go on: it is aborted if this returns. NULL: it dies of
     * the signal.
     */
    void (*broken)(void *opaque, const struct cpu_host_fault *fault);
    /*
     * Called on the CPU's thread when the engine can't go on with the guest; `why` has a line or several. The CPU is to
     * stand still soon. NULL: only the log hears of it.
     */
    void (*failed)(void *opaque, const char *why);
    void *opaque;
    const char *code; /* which code an engine runs that may leave some to the software CPU (as --kvm-code); NULL: all */
    /* For engines with interrupt controllers of their own: which to use (as --kvm-irqchip), NULL: none; and the machine's. */
    const char *irqchip;
    const struct irqchips *irqchips;
};

#define ENGINE_CODE_SIZE (128ull << 20)

struct engine {
    const char *name;  /* as --accel spells it */
    const char *about; /* one line for listings */
    /* Whether it can serve on this host. When not, `why` says the reason and what to do about it, in a
     * sentence. */
    bool (*probe)(char *why, size_t why_size);
    /* What the host offers it or lacks, in sentences, a line each; NULL: nothing that probe doesn't say. */
    void (*report)(FILE *out);
    /* Whether only code at CPL 3 is worth its while here: then `auto` doesn't take it. NULL: all code is. */
    bool (*user_only)(void);
    /* The features, as --cpu spells them and separated by spaces, that no guest can have under it here. NULL: none. */
    void (*lacking)(char *names, size_t size);
    /* The one frequency at which a guest's TSC can go under it here; NULL, or 0: any. */
    uint64_t (*tsc_hz)(void);
    /* What a guest's TSC shows under it now, where that can't be chosen either; NULL, or 0: it can. */
    uint64_t (*tsc_now)(void);
    /* Before the first run, and after the last; NULL: nothing to do. `why` as for probe. */
    bool (*attach)(struct cpu *cpu, const struct engine_options *options, char *why, size_t why_size);
    void (*detach)(struct cpu *cpu);
    /* As cpu_check(), once attached; NULL: this engine has nothing to compare. */
    bool (*check)(struct cpu *cpu, uint32_t often,
                  void (*differs)(void *opaque, const struct cpu_difference *difference), void *opaque);
    /* As cpu_watch_code(), likewise. */
    void (*watch)(struct cpu *cpu, const struct cpu_watch *watch);
    /* Whether it stops by itself at all that cpu_stop_add() has named; NULL: at none. While the CPU stands still. */
    bool (*stops)(struct cpu *cpu);
    enum cpu_exit (*run)(struct cpu *cpu, uint64_t budget);
    void (*kick)(struct cpu *cpu);
    void (*pull)(struct cpu *cpu);
    void (*push)(struct cpu *cpu);
    /* Counters for --stats, a line each; NULL: none of its own. */
    void (*print_stats)(struct cpu *cpu, FILE *out);
};

/* All engines this build knows of, NULL-terminated, in the order that `auto` tries them. */
extern const struct engine *const engines[];

/*
 * The engine for a name, or for "auto" the first that serves. NULL with a sentence in `why` when the name is
 * unknown or the engine can't serve here.
 */
const struct engine *engine_pick(const char *name, char *why, size_t why_size);

/* The frequency that a guest's TSC must have so that any engine which serves here can run it; 0: any. */
uint64_t engine_tsc_hz(void);

/* What it must show now for the same reason; 0: anything. */
uint64_t engine_tsc_now(void);

/* The host's monotonic time, for engines. */
uint64_t engine_host_ns(void);

/* All engines with what the host offers them or lacks, and which one "auto" takes. */
void engine_report(FILE *out);

#endif
