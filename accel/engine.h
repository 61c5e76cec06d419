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

#include "cpu/cpu.h"

struct engine_options {
    uint64_t code_size; /* bytes of memory for translated code; 0: ENGINE_CODE_SIZE */
    /*
     * Called in the signal handler, on the CPU's thread, which was in translated code and so holds no lock,
     * not even the C library's. The process must not go on: it is aborted if this returns. NULL: it dies of
     * the signal.
     */
    void (*broken)(void *opaque, const struct cpu_host_fault *fault);
    void *opaque;
};

#define ENGINE_CODE_SIZE (128ull << 20)

struct engine {
    const char *name;  /* as --accel spells it */
    const char *about; /* one line for listings */
    /* Whether it can serve on this host. When not, `why` says the reason and what to do about it, in a
     * sentence. */
    bool (*probe)(char *why, size_t why_size);
    /* Before the first run, and after the last; NULL: nothing to do. `why` as for probe. */
    bool (*attach)(struct cpu *cpu, const struct engine_options *options, char *why, size_t why_size);
    void (*detach)(struct cpu *cpu);
    /* As cpu_check(), once attached; NULL: this engine has nothing to compare. */
    bool (*check)(struct cpu *cpu, uint32_t often,
                  void (*differs)(void *opaque, const struct cpu_difference *difference), void *opaque);
    /* As cpu_watch_code(), likewise. */
    void (*watch)(struct cpu *cpu, const struct cpu_watch *watch);
    enum cpu_exit (*run)(struct cpu *cpu, uint64_t budget);
    void (*kick)(struct cpu *cpu);
    void (*pull)(struct cpu *cpu);
    void (*push)(struct cpu *cpu);
};

/* All engines this build knows of, NULL-terminated, in the order that `auto` tries them. */
extern const struct engine *const engines[];

/*
 * The engine for a name, or for "auto" the first that serves. NULL with a sentence in `why` when the name is
 * unknown or the engine can't serve here.
 */
const struct engine *engine_pick(const char *name, char *why, size_t why_size);

#endif
