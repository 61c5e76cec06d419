/*
 * symbols.h - names of what is at an address in the guest, from an ELF file (a kernel's vmlinux) or from a
 * list as nm and System.map have it; from ELF files with debug information, source lines too.
 */
#ifndef DEBUG_SYMBOLS_H
#define DEBUG_SYMBOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct symbols;

/* NULL with a line in `why`. */
struct symbols *symbols_read(const char *path, char *why, size_t why_size);
void symbols_free(struct symbols *symbols);

/* All that follows takes symbols that are NULL: nothing has a name then. */

/* The nearest name at or before the address, and how far behind it the address is; NULL when none is near. */
const char *symbols_at(const struct symbols *symbols, uint64_t address, uint64_t *offset);

/* The same of names of code alone. */
const char *symbols_code_at(const struct symbols *symbols, uint64_t address, uint64_t *offset);

/* "name+0x12" or "name"; an empty text when there is none. Returns `text`. */
const char *symbols_format(const struct symbols *symbols, uint64_t address, char *text, size_t size);

bool symbols_find(const struct symbols *symbols, const char *name, uint64_t *address);

/* Calls found() with each name that begins so, at most `most`. */
void symbols_complete(const struct symbols *symbols, const char *start, unsigned most,
                      void (*found)(void *opaque, const char *name), void *opaque);

/* The source file and line of an address; false when they are not known. */
bool symbols_line(struct symbols *symbols, uint64_t address, const char **file, int *line);

#endif
