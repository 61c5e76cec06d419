/*
 * difference.h - what to tell somebody whose translated code did something else than the interpreter.
 */
#ifndef DEBUG_DIFFERENCE_H
#define DEBUG_DIFFERENCE_H

#include <stdio.h>

#include "cpu/cpu.h"

/* Prints what differs, the block's guest and host code, and the states before and after. */
void difference_report(const struct cpu_difference *difference, FILE *out);

#endif
