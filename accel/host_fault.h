/*
 * host_fault.h - signals that the host raises in translated code.
 *
 * Translated code is not supposed to fault on the host: what the guest may do wrong is found before. So a
 * SIGSEGV, SIGBUS, SIGFPE or SIGILL there is reported with all that is known rather than ending the process
 * silently. The same signals elsewhere go to the handlers that were there before.
 */
#ifndef ACCEL_HOST_FAULT_H
#define ACCEL_HOST_FAULT_H

#include "accel/engine.h"

/* From now on signals in `code`, which `cpu` runs, go to options->broken. False when memory ran out. */
bool host_fault_watch(struct cpu *cpu, const struct cpu_code *code, const struct engine_options *options);
/* The memory that runs at `exec` is no longer watched; when it was not, nothing happens. */
void host_fault_forget(const void *exec);
/* The calling thread is going to run `cpu`: gives it a stack for the handler, unless it has one. */
void host_fault_thread(const struct cpu *cpu);

#endif
