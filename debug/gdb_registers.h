/*
 * gdb_registers.h - the registers as GDB sees them: one table for each of the two architectures that it can
 * be told, in the order of the `g` packet, and the target description that says the same in XML.
 *
 * The packet's layout never changes with the CPU's mode. What GDB takes for the program counter is the linear
 * address of the instruction, CS's base included: that is what it compares with breakpoints; register `ip`
 * has the offset.
 */
#ifndef DEBUG_GDB_REGISTERS_H
#define DEBUG_GDB_REGISTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cpu/cpu.h"

enum gdb_arch { GDB_X86_64, GDB_I386, GDB_ARCHS };

#define GDB_REGISTER_MAX 16 /* bytes */

unsigned gdb_register_count(enum gdb_arch arch);

/* Bytes of register n, little-endian, into `value`; how many. The state has been pulled. */
size_t gdb_register_get(enum gdb_arch arch, struct cpu *cpu, unsigned n, uint8_t value[GDB_REGISTER_MAX]);

size_t gdb_register_size(enum gdb_arch arch, unsigned n);

/*
 * Sets it; the state is to be pushed then. Bits that mean nothing are dropped. False: it can't be written
 * (control registers, but for CR2 and CR3, and descriptor tables: what goes with them would not change).
 */
bool gdb_register_set(enum gdb_arch arch, struct cpu *cpu, unsigned n, const uint8_t *value);

/* The target description; malloc'ed. NULL when memory ran out. */
char *gdb_target_description(enum gdb_arch arch);

/* The linear address of the next instruction. */
uint64_t gdb_pc(const struct cpu_state *state);
void gdb_set_pc(struct cpu_state *state, uint64_t linear);

#endif
