/*
 * history.h - the CPU's last control transfers, in words.
 */
#ifndef DEBUG_HISTORY_H
#define DEBUG_HISTORY_H

#include <stdio.h>

#include "cpu/cpu.h"
#include "debug/symbols.h"

/*
 * Prints the last `count` of them, a line each, the latest last; returns how many there were. A branch is
 * found by the code as it is now. While the CPU is stopped.
 */
unsigned history_print(struct cpu *cpu, const struct symbols *symbols, unsigned count, FILE *out);

#endif
