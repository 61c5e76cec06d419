/*
 * coverage.h - which guest code ran: for lcov by the lines of an ELF file with debug information, or as a
 * list of basic blocks in drcov's format, which disassemblers' plug-ins read.
 */
#ifndef DEBUG_COVERAGE_H
#define DEBUG_COVERAGE_H

#include "cpu/cpu.h"

struct coverage;

/*
 * Writes to `path` when it is closed: drcov's format if the name ends in ".drcov", lcov's otherwise. `image`
 * is the ELF file whose code counts, at the linear addresses it is linked to. NULL with a line in `why`.
 */
struct coverage *coverage_open(const char *path, const char *image, char *why, size_t why_size);

/* What tells it what runs, for cpu_cover(). */
struct cpu_cover coverage_watch(struct coverage *coverage);

/* Writes the file and frees all. False with a line in `why`. Not while the CPU runs; NULL does nothing. */
bool coverage_close(struct coverage *coverage, char *why, size_t why_size);

#endif
