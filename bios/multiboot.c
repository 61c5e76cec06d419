/*
 * multiboot.c - Multiboot Specification 0.6.96, the one with magic 0x1BADB002.
 *
 * The command line starts with the kernel's name, as boot loaders have always passed it; kernels skip the
 * first word.
 */
#include "bios/multiboot.h"

#include <stdlib.h>
#include <string.h>

#include "bios/bytes.h"
#include "bios/elf.h"

#define HEADER_MAGIC  0x1BADB002
#define HEADER_SEARCH 8192
#define ENTRY_MAGIC   0x2BADB002

/* Header flags (3.1.2). Bits 0-15 are demands: a loader that doesn't know one must refuse. */
#define WANT_PAGE_ALIGN 0x00000001
#define WANT_MEMORY     0x00000002
#define WANT_VIDEO      0x00000004
#define WANT_UNKNOWN    0x0000FFF8
#define HAS_ADDRESSES   0x00010000

#define VIDEO_MODE_TEXT 1

/* Information flags (3.3). */
#define INFO_MEMORY      0x0001
#define INFO_CMDLINE     0x0004
#define INFO_MODULES     0x0008
#define INFO_ELF         0x0020
#define INFO_MMAP        0x0040
#define INFO_NAME        0x0200
#define INFO_FRAMEBUFFER 0x1000
#define INFO_SIZE        116

bool multiboot1_find(const uint8_t *data, size_t size, size_t *header)
{
    size_t limit = size < HEADER_SEARCH ? size : HEADER_SEARCH;
    for (size_t at = 0; at + 12 <= limit; at += 4) {
        uint32_t flags = get32(data + at + 4);
        size_t need = flags & WANT_VIDEO ? 48 : flags & HAS_ADDRESSES ? 32 : 12;
        if (get32(data + at) == HEADER_MAGIC &&
            (uint32_t)(HEADER_MAGIC + flags + get32(data + at + 8)) == 0 && at + need <= size) {
            *header = at;
            return true;
        }
    }
    return false;
}

bool multiboot1_has_addresses(const uint8_t *data, size_t header)
{
    return get32(data + header + 4) & HAS_ADDRESSES;
}

bool multiboot_load_span(struct loader *l, const struct multiboot_span *span)
{
    const struct boot_file *kernel = &l->req->kernel;
    if (span->offset > kernel->size)
        return loader_fail(
            l, "%s: its Multiboot header says that it starts outside the file; the file is damaged",
            kernel->name);
    uint64_t available = kernel->size - span->offset;
    uint64_t size = span->load_end ? span->load_end - span->load : available;
    if (span->load_end && span->load_end < span->load)
        return loader_fail(l,
                           "%s: its Multiboot header gives a load end below the load address; fix the header",
                           kernel->name);
    if (size > available)
        return loader_fail(
            l, "%s: is %s short of what its Multiboot header says; it is truncated, copy it again",
            kernel->name, loader_size(size - available).text);
    uint64_t end = span->load + size;
    if (span->bss_end > end)
        end = span->bss_end;
    if (!loader_take(l, span->load, end - span->load, "the kernel"))
        return false;
    loader_write(l, span->load, kernel->data + span->offset, size);
    loader_zero(l, span->load + size, end - span->load - size);
    return true;
}

/* Puts the kernel where its header or its ELF program headers say. */
static bool load_kernel(struct loader *l, size_t header, struct elf *elf, bool *is_elf, uint64_t *entry)
{
    const struct boot_file *kernel = &l->req->kernel;
    const uint8_t *h = kernel->data + header;
    const char *problem;
    uint64_t low, high;
    *is_elf = elf_open(elf, kernel->data, kernel->size, &problem);
    if (!multiboot1_has_addresses(kernel->data, header)) {
        if (!*is_elf)
            return loader_fail(l, "%s: %s, and its Multiboot header gives no load addresses", kernel->name,
                               problem);
        return elf_load(l, elf, entry, &low, &high);
    }
    uint32_t header_addr = get32(h + 12), load_addr = get32(h + 16);
    if (load_addr > header_addr || header_addr - load_addr > header)
        return loader_fail(
            l,
            "%s: its Multiboot header's addresses (header 0x%x, load 0x%x) don't fit its place in "
            "the file; fix the header",
            kernel->name, header_addr, load_addr);
    struct multiboot_span span = {header - (header_addr - load_addr), load_addr, get32(h + 20),
                                  get32(h + 24)};
    *entry = get32(h + 28);
    return multiboot_load_span(l, &span);
}

static bool add_memory_map(struct loader *l, uint8_t *info)
{
    const struct boot_request *req = l->req;
    size_t size = req->e820_count * 24;
    uint8_t *map = malloc(size ? size : 1);
    uint64_t addr = 0;
    if (!map)
        return loader_fail(l, "the host has no memory left for the memory map");
    for (size_t i = 0; i < req->e820_count; i++) {
        uint8_t *p = map + i * 24;
        put32(p, 20); /* the size field doesn't count itself */
        put64(p + 4, req->e820[i].base);
        put64(p + 12, req->e820[i].size);
        put32(p + 20, req->e820[i].type);
    }
    bool ok = loader_add_table(l, map, size, "memory map", &addr);
    free(map);
    put32(info + 44, (uint32_t)size);
    put32(info + 48, (uint32_t)addr);
    return ok;
}

static bool add_module(struct loader *l, uint8_t *info)
{
    const struct boot_file *initrd = &l->req->initrd;
    uint8_t module[16] = {0};
    uint64_t start, name, addr;
    if (!loader_add_initrd(l, LOADER_4G, false, &start) ||
        !loader_add_string(l, initrd->name, "module's name", &name))
        return false;
    put32(module, (uint32_t)start);
    put32(module + 4, (uint32_t)(start + initrd->size));
    put32(module + 8, (uint32_t)name);
    put32(info + 20, 1);
    if (!loader_add_table(l, module, sizeof module, "module list", &addr))
        return false;
    put32(info + 24, (uint32_t)addr);
    return true;
}

static bool add_symbols(struct loader *l, const struct elf *elf, uint8_t *info, uint32_t *flags)
{
    struct elf_sections sections;
    if (!elf_load_sections(l, elf, &sections))
        return false;
    if (sections.count) {
        put32(info + 28, sections.count);
        put32(info + 32, sections.entry_size);
        put32(info + 36, (uint32_t)sections.addr);
        put32(info + 40, sections.string_index);
        *flags |= INFO_ELF;
    }
    free(sections.headers);
    return true;
}

static void describe_text_screen(uint8_t *info)
{
    put64(info + 88, 0xB8000);
    put32(info + 96, 160);
    put32(info + 100, 80);
    put32(info + 104, 25);
    info[108] = 16;
    info[109] = 2; /* EGA text */
}

static bool add_strings(struct loader *l, uint8_t *info)
{
    uint64_t addr;
    char *line = loader_named_command_line(l);
    bool ok = line && loader_add_string(l, line, "command line", &addr);
    free(line);
    if (!ok)
        return false;
    put32(info + 16, (uint32_t)addr);
    if (!loader_add_string(l, "Oxbow", "boot loader's name", &addr))
        return false;
    put32(info + 64, (uint32_t)addr);
    return true;
}

bool multiboot1_load(struct loader *l, struct boot_entry *entry)
{
    const struct boot_file *kernel = &l->req->kernel;
    size_t header;
    struct elf elf;
    bool is_elf;
    uint64_t start, addr;
    uint8_t info[INFO_SIZE] = {0};
    uint32_t flags = INFO_MEMORY | INFO_CMDLINE | INFO_MMAP | INFO_NAME;

    if (!multiboot1_find(kernel->data, kernel->size, &header))
        return loader_fail(l, "%s: has no Multiboot header", kernel->name);
    uint32_t want = get32(kernel->data + header + 4);
    if (want & WANT_UNKNOWN)
        return loader_fail(
            l,
            "%s: its Multiboot header demands features that the specification doesn't have (flags "
            "0x%x); fix the header",
            kernel->name, want & 0xFFFF);
    if ((want & WANT_VIDEO) && get32(kernel->data + header + 32) != VIDEO_MODE_TEXT)
        return loader_fail(
            l,
            "%s: its Multiboot header demands a graphics mode, which only text mode is there for; "
            "ask for text (mode_type 1) in the header, or boot it through GRUB from a disk image",
            kernel->name);
    if (!load_kernel(l, header, &elf, &is_elf, &start))
        return false;
    if (is_elf && !add_symbols(l, &elf, info, &flags))
        return false;
    if (l->req->initrd.data) {
        flags |= INFO_MODULES;
        if (!add_module(l, info))
            return false;
    }
    if (l->req->vga) {
        flags |= INFO_FRAMEBUFFER;
        describe_text_screen(info);
    }
    if (!add_strings(l, info) || !add_memory_map(l, info))
        return false;
    put32(info, flags);
    put32(info + 4, loader_mem_lower(l));
    put32(info + 8, loader_mem_upper(l));
    if (!loader_add_table(l, info, sizeof info, "Multiboot information", &addr) ||
        !loader_enter_flat32(l, entry, start))
        return false;
    entry->rax = ENTRY_MAGIC;
    entry->rbx = addr;
    return true;
}
