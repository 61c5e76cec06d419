/*
 * core_file.h - the guest's memory and registers as an ELF core file, which gdb and crash open.
 */
#ifndef DEBUG_CORE_FILE_H
#define DEBUG_CORE_FILE_H

#include "machine/machine.h"

/*
 * Writes RAM once, sparsely, as segments by linear address as paging maps it (gdb) and as segments by physical address
 * (crash). The CPU stands still, its state pulled. False with a line in `why`; then there is no file.
 */
bool core_file_write(struct machine *machine, const char *path, char *why, size_t why_size);

#endif
