/*
 * crash.h - what to tell somebody whose guest died of a triple fault.
 */
#ifndef DEBUG_CRASH_H
#define DEBUG_CRASH_H

#include <stdio.h>

#include "cpu/cpu.h"

/*
 * Prints the exceptions that led to the triple fault, the original one first, each with the code it hit, and
 * then the registers. The CPU's thread must be stopped.
 */
void crash_report(struct cpu *cpu, FILE *out);

/* The registers alone, as the report ends with them. */
void crash_print_registers(const struct cpu_state *state, FILE *out);

#endif
