/*
 * crash.h - what to tell somebody whose guest died, or was stopped by --stop-on.
 */
#ifndef DEBUG_CRASH_H
#define DEBUG_CRASH_H

#include <stdio.h>

#include "machine/machine.h"

/*
 * Prints the exceptions that led to a triple fault, the original one first and explained, each with the code
 * it hit; then registers, code, stack and the page walk of the address that could not be reached. `reason` is
 * why the run was stopped, "" for a triple fault. Names are those of --symbols or of the kernel. The CPU
 * stands still.
 */
void crash_report(struct machine *machine, const char *reason, FILE *out);

/* The registers alone. */
void crash_print_registers(const struct cpu_state *state, FILE *out);

#endif
