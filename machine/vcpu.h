/*
 * vcpu.h - a virtual CPU: a processor, the engine that runs it, and the host thread in which it does.
 *
 * The thread sleeps while the processor is halted and wakes when one of its wires changes. Everybody else
 * starts and stops it: vcpu_hold() asks it to stand still, vcpu_wait() waits until it does, vcpu_release()
 * lets it go on. A CPU that shut down stands still by itself and says so. There may be several reasons to hold
 * it (enum vcpu_reason); it goes on when none is left.
 *
 * Locking: none of these takes the machine lock. vcpu_wait() and vcpu_free() must be called without it,
 * because the thread may need it to come to a stop.
 */
#ifndef MACHINE_VCPU_H
#define MACHINE_VCPU_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "accel/engine.h"
#include "cpu/cpu.h"

enum vcpu_reason {
    VCPU_HELD = 1,      /* vcpu_hold(): the machine is paused, ends or is reset; or the CPU shut down */
    VCPU_SWITCHING = 2, /* another engine takes over */
    VCPU_STOPPED = 8,   /* a debugger looks at it, or is to */
    VCPU_LOOKED_AT = 4, /* somebody reads its state */
};

struct vcpu {
    struct cpu *cpu;
    const struct engine *engine; /* changed by the event loop's thread, while the CPU stands still */
    void (*shutdown)(void *opaque); /* triple fault; called by the thread */
    void (*stopped)(void *opaque);  /* CPU_EXIT_STOPPED, or the step is made; it stands still; called by the thread */
    void *opaque;

    pthread_t thread;
    pid_t host_id; /* as the host numbers threads; once it stands still for the first time */
    bool started;
    pthread_mutex_t lock;   /* guards what follows; taken inside the machine lock, never around it */
    pthread_cond_t changed; /* any of these, or the CPU's wires */
    unsigned hold;          /* asked to stand still: enum vcpu_reason, or'ed */
    bool standing;          /* it does */
    bool quit;              /* asked to end */
    bool step;              /* asked to make a step, then to stand still for VCPU_STOPPED */
    uint64_t ran_since;     /* host ns when it last began to run */
    uint64_t wall;          /* host ns between release and standing still, halted or not */
};

/* How long the CPU has been let run, and what of this its thread spent on a host CPU. */
struct vcpu_times {
    double wall, busy; /* seconds */
};

/*
 * Starts the thread, standing still. `cpu` becomes the vcpu's to wake, not to free. False when the host has
 * no thread or lock to give.
 */
bool vcpu_start(struct vcpu *vcpu, struct cpu *cpu, const struct engine *engine,
                void (*shutdown)(void *opaque), void (*stopped)(void *opaque), void *opaque);

void vcpu_hold(struct vcpu *vcpu);
void vcpu_wait(struct vcpu *vcpu);
void vcpu_release(struct vcpu *vcpu);

/* The same for any reason. */
void vcpu_hold_for(struct vcpu *vcpu, enum vcpu_reason reason);
void vcpu_release_for(struct vcpu *vcpu, enum vcpu_reason reason);

/* In place of vcpu_release_for(VCPU_STOPPED): for one cpu_step_over(), or until something else stops it. */
void vcpu_step(struct vcpu *vcpu);

/* Host ns that the CPU has been let run so far. Call on its thread, or while it stands still. */
uint64_t vcpu_wall(const struct vcpu *vcpu);

/* Call while it stands still. */
struct vcpu_times vcpu_get_times(const struct vcpu *vcpu);

/* Ends the thread. Does nothing when vcpu_start() wasn't called or failed. */
void vcpu_stop(struct vcpu *vcpu);

#endif
