/*
 * elf.h - ELF executables, 32- and 64-bit, for x86: the program headers, bounds-checked, and loading by
 * physical address.
 *
 * Private to bios/. Section headers are used only to hand a kernel its own symbols.
 */
#ifndef BIOS_ELF_H
#define BIOS_ELF_H

#include "bios/loader.h"

enum { ELF_PT_LOAD = 1, ELF_PT_NOTE = 4 };

struct elf {
    const uint8_t *data;
    size_t size;
    bool is64;
    uint16_t machine; /* 3 is i386, 62 x86-64 */
    uint64_t entry;   /* virtual */
    uint64_t phoff, shoff;
    uint16_t phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf_segment {
    uint32_t type;
    uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

/*
 * Reads the ELF header. False when it isn't a little-endian ELF or the header is cut off; *problem (not NULL)
 * then says which.
 */
bool elf_open(struct elf *elf, const uint8_t *data, size_t size, const char **problem);

/* Program header number n; false when there is none, or it lies outside the file. */
bool elf_segment(const struct elf *elf, unsigned n, struct elf_segment *segment);

/*
 * Copies the PT_LOAD segments to their physical addresses and clears what the file doesn't fill. *entry_paddr
 * is the physical address of the entry point. *low and *high bound what was loaded.
 */
bool elf_load(struct loader *l, const struct elf *elf, uint64_t *entry_paddr, uint64_t *low, uint64_t *high);

/*
 * For kernels that print their own stack traces: copies the section headers into guest memory, and the symbol
 * and string tables, which no segment covers, with their new addresses filled in. A file without usable
 * section headers gives count 0 and true.
 */
struct elf_sections {
    uint32_t count, entry_size, string_index;
    uint64_t addr;
    uint8_t *headers; /* the same bytes, patched; to be freed */
};
bool elf_load_sections(struct loader *l, const struct elf *elf, struct elf_sections *sections);

/* The entry in the Xen note PHYS32_ENTRY; false when the file has none. */
bool elf_pvh_entry(const struct elf *elf, uint64_t *entry);

#endif
