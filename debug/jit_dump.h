/*
 * jit_dump.h - translated code for people: blocks printed (--jit-dump), named for Linux's perf (--perf-map),
 * and the report of a host signal in one of them.
 */
#ifndef DEBUG_JIT_DUMP_H
#define DEBUG_JIT_DUMP_H

#include "core/options.h"
#include "cpu/cpu.h"

struct jit_dump;

/* What the options ask for; NULL with a line in `why` when a file can't be used or memory ran out. */
struct jit_dump *jit_dump_open(const struct options *options, char *why, size_t why_size);
/* Not while the CPU that it watches runs. */
void jit_dump_close(struct jit_dump *dump);
/* What tells it of blocks; as long as it is open. */
struct cpu_watch jit_dump_watch(struct jit_dump *dump);

/* Prints what the host's signal hit: the block's guest code, the host code there, the host's registers. */
void jit_dump_fault(const struct cpu_host_fault *fault, FILE *out);

#endif
