/* elf.c - see elf.h. Field offsets are those of the System V gABI, chapters 4 and 5. */
#include "bios/elf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bios/bytes.h"

#define ELF32_HEADER 52
#define ELF64_HEADER 64
#define ELF32_PHENT  32
#define ELF64_PHENT  56

#define ELF32_SHENT 40
#define ELF64_SHENT 64

#define SHT_SYMTAB 2
#define SHT_STRTAB 3

#define EM_386    3
#define EM_X86_64 62

#define NOTE_XEN_PHYS32_ENTRY 18

/* Whether data[offset..offset+size) is inside the file, without overflow. */
static bool inside(const struct elf *elf, uint64_t offset, uint64_t size)
{
    return offset <= elf->size && size <= elf->size - offset;
}

bool elf_open(struct elf *elf, const uint8_t *data, size_t size, const char **problem)
{
    *elf = (struct elf){.data = data, .size = size};
    *problem = "is not an ELF file";
    if (size < 20 || memcmp(data, "\177ELF", 4) != 0)
        return false;
    *problem = "is an ELF file of an unknown class or byte order";
    if ((data[4] != 1 && data[4] != 2) || data[5] != 1)
        return false;
    elf->is64 = data[4] == 2;
    elf->machine = get16(data + 18);
    *problem = "is an ELF file cut off in its header";
    if (size < (elf->is64 ? ELF64_HEADER : ELF32_HEADER))
        return false;
    const uint8_t *counts;
    if (elf->is64) {
        elf->entry = get64(data + 24);
        elf->phoff = get64(data + 32);
        elf->shoff = get64(data + 40);
        counts = data + 54;
    } else {
        elf->entry = get32(data + 24);
        elf->phoff = get32(data + 28);
        elf->shoff = get32(data + 32);
        counts = data + 42;
    }
    elf->phentsize = get16(counts);
    elf->phnum = get16(counts + 2);
    elf->shentsize = get16(counts + 4);
    elf->shnum = get16(counts + 6);
    elf->shstrndx = get16(counts + 8);
    return true;
}

bool elf_segment(const struct elf *elf, unsigned n, struct elf_segment *segment)
{
    uint64_t need = elf->is64 ? ELF64_PHENT : ELF32_PHENT;
    if (n >= elf->phnum || elf->phentsize < need)
        return false;
    uint64_t offset = (uint64_t)n * elf->phentsize;
    if (elf->phoff > elf->size || !inside(elf, elf->phoff + offset, need))
        return false;
    const uint8_t *p = elf->data + elf->phoff + offset;
    segment->type = get32(p);
    if (elf->is64) {
        segment->offset = get64(p + 8);
        segment->vaddr = get64(p + 16);
        segment->paddr = get64(p + 24);
        segment->filesz = get64(p + 32);
        segment->memsz = get64(p + 40);
        segment->align = get64(p + 48);
    } else {
        segment->offset = get32(p + 4);
        segment->vaddr = get32(p + 8);
        segment->paddr = get32(p + 12);
        segment->filesz = get32(p + 16);
        segment->memsz = get32(p + 20);
        segment->align = get32(p + 28);
    }
    return true;
}

static bool load_segment(struct loader *l, const struct elf *elf, unsigned n, const struct elf_segment *s)
{
    const char *name = l->req->kernel.name;
    char what[32];
    snprintf(what, sizeof what, "segment %u", n);
    if (s->filesz > s->memsz)
        return loader_fail(
            l, "%s: %s is larger in the file (0x%llx bytes) than in memory (0x%llx); the file is damaged",
            name, what, (unsigned long long)s->filesz, (unsigned long long)s->memsz);
    if (!inside(elf, s->offset, s->filesz))
        return loader_fail(
            l, "%s: %s reaches past the end of the file; it is truncated or damaged, copy it again", name,
            what);
    if (s->memsz > UINT64_MAX - s->paddr)
        return loader_fail(l, "%s: %s wraps around the address space; the file is damaged", name, what);
    if (!loader_take(l, s->paddr, s->memsz, what))
        return false;
    loader_write(l, s->paddr, elf->data + s->offset, s->filesz);
    loader_zero(l, s->paddr + s->filesz, s->memsz - s->filesz);
    return true;
}

bool elf_load(struct loader *l, const struct elf *elf, uint64_t *entry_paddr, uint64_t *low, uint64_t *high)
{
    const char *name = l->req->kernel.name;
    if (elf->machine != EM_386 && elf->machine != EM_X86_64)
        return loader_fail(l, "%s: is for another processor (ELF machine %u); build it for x86", name,
                           elf->machine);
    *entry_paddr = elf->entry;
    *low = UINT64_MAX;
    *high = 0;
    for (unsigned n = 0; n < elf->phnum; n++) {
        struct elf_segment s;
        if (!elf_segment(elf, n, &s))
            return loader_fail(l, "%s: program header %u lies outside the file; it is truncated or damaged",
                               name, n);
        if (s.type != ELF_PT_LOAD || s.memsz == 0)
            continue;
        if (!load_segment(l, elf, n, &s))
            return false;
        if (elf->entry >= s.vaddr && elf->entry - s.vaddr < s.memsz)
            *entry_paddr = elf->entry - s.vaddr + s.paddr;
        if (s.paddr < *low)
            *low = s.paddr;
        if (s.paddr + s.memsz > *high)
            *high = s.paddr + s.memsz;
    }
    if (*high == 0)
        return loader_fail(l, "%s: has no loadable segments; link it as an executable, not as an object",
                           name);
    return true;
}

/*
 * One PT_NOTE: a row of { namesz, descsz, type, name, desc }, name and desc each padded to 4 bytes, or to 8
 * in segments that are so aligned.
 */
static bool find_note(const struct elf *elf, const struct elf_segment *s, uint64_t *entry)
{
    uint64_t pad = s->align == 8 ? 7 : 3;
    uint64_t at = s->offset, end = s->offset + s->filesz;
    while (end - at >= 12) {
        const uint8_t *note = elf->data + at;
        uint64_t namesz = get32(note), descsz = get32(note + 4);
        uint64_t desc = (12 + namesz + pad) & ~pad;
        if (desc > end - at || descsz > end - at - desc)
            return false;
        if (get32(note + 8) == NOTE_XEN_PHYS32_ENTRY && namesz == 4 && memcmp(note + 12, "Xen", 4) == 0) {
            if (descsz != 4 && descsz != 8)
                return false;
            *entry = descsz == 8 ? get64(note + desc) : get32(note + desc);
            return true;
        }
        uint64_t next = desc + ((descsz + pad) & ~pad);
        if (next > end - at)
            return false;
        at += next;
    }
    return false;
}

bool elf_pvh_entry(const struct elf *elf, uint64_t *entry)
{
    for (unsigned n = 0; n < elf->phnum; n++) {
        struct elf_segment s;
        if (!elf_segment(elf, n, &s))
            return false;
        if (s.type == ELF_PT_NOTE && inside(elf, s.offset, s.filesz) && find_note(elf, &s, entry))
            return true;
    }
    return false;
}

/* Gives a symbol or string table its place in guest memory and writes that into its header. */
static bool load_table(struct loader *l, const struct elf *elf, uint8_t *header)
{
    uint32_t type = get32(header + 4);
    uint64_t addr = elf->is64 ? get64(header + 16) : get32(header + 12);
    uint64_t offset = elf->is64 ? get64(header + 24) : get32(header + 16);
    uint64_t size = elf->is64 ? get64(header + 32) : get32(header + 20);
    if ((type != SHT_SYMTAB && type != SHT_STRTAB) || addr != 0 || size == 0 || !inside(elf, offset, size))
        return true;
    /* In high memory: symbols are larger than all else a loader adds, and low memory is scarce. */
    if (!loader_place_high(l, size, 16, 0x100000, LOADER_4G, &addr))
        return loader_fail(l,
                           "%s: leaves no room in memory for its symbols (%s); give the machine more with -m",
                           l->req->kernel.name, loader_size(size).text);
    loader_write(l, addr, elf->data + offset, size);
    if (elf->is64)
        put64(header + 16, addr);
    else
        put32(header + 12, (uint32_t)addr);
    return true;
}

bool elf_load_sections(struct loader *l, const struct elf *elf, struct elf_sections *sections)
{
    size_t size = (size_t)elf->shnum * elf->shentsize;
    *sections = (struct elf_sections){0};
    if (elf->shnum == 0 || elf->shnum > 256 || elf->shentsize < (elf->is64 ? ELF64_SHENT : ELF32_SHENT) ||
        !inside(elf, elf->shoff, size))
        return true;
    uint8_t *headers = malloc(size);
    if (!headers)
        return loader_fail(l, "the host has no memory left for the kernel's symbols");
    memcpy(headers, elf->data + elf->shoff, size);
    /* Room for tables is limited; a kernel has a few, and whoever has dozens goes without the rest. */
    for (unsigned n = 0; n < elf->shnum && l->claims < LOADER_CLAIMS - 12; n++) {
        if (!load_table(l, elf, headers + (size_t)n * elf->shentsize)) {
            free(headers);
            return false;
        }
    }
    if (!loader_add_table(l, headers, size, "section headers", &sections->addr)) {
        free(headers);
        return false;
    }
    sections->count = elf->shnum;
    sections->entry_size = elf->shentsize;
    sections->string_index = elf->shstrndx;
    sections->headers = headers;
    return true;
}
