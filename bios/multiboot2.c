/*
 * multiboot2.c - Multiboot2 Specification 2.0, the one with magic 0xE85250D6.
 *
 * The header is a list of tags; one that is not marked optional and that this loader can't serve is an error.
 * The information handed over is a list of tags as well, built in a buffer and written as one table.
 */
#include <stdlib.h>
#include <string.h>

#include "bios/bytes.h"
#include "bios/elf.h"
#include "bios/multiboot.h"
#include "core/bus.h"

#define HEADER_MAGIC  0xE85250D6
#define HEADER_SEARCH 32768
#define ENTRY_MAGIC   0x36D76289

enum header_tag {
    HEADER_END,
    HEADER_INFORMATION,
    HEADER_ADDRESSES,
    HEADER_ENTRY,
    HEADER_CONSOLE,
    HEADER_FRAMEBUFFER,
    HEADER_MODULE_ALIGN,
    HEADER_EFI_SERVICES,
    HEADER_EFI32_ENTRY,
    HEADER_EFI64_ENTRY,
    HEADER_RELOCATABLE,
};
#define HEADER_OPTIONAL 1

enum info_tag {
    INFO_END,
    INFO_CMDLINE,
    INFO_NAME,
    INFO_MODULE,
    INFO_MEMORY,
    INFO_BOOT_DEVICE,
    INFO_MMAP,
    INFO_VBE,
    INFO_FRAMEBUFFER,
    INFO_ELF,
    INFO_ACPI_OLD = 14,
    INFO_ACPI_NEW,
    INFO_LOAD_BASE = 21,
};

/* What the header asked for. */
struct wishes {
    bool has_addresses, has_entry, relocatable;
    struct multiboot_span span;
    uint64_t entry;
};

/* The information under construction, in a buffer that was made large enough for all of it. */
struct info {
    uint8_t *data;
    size_t size;
};

#define INFO_FIXED 512 /* more than all tags of fixed size together */

bool multiboot2_find(const uint8_t *data, size_t size, size_t *header)
{
    size_t limit = size < HEADER_SEARCH ? size : HEADER_SEARCH;
    for (size_t at = 0; at + 16 <= limit; at += 8) {
        const uint8_t *h = data + at;
        uint32_t length = get32(h + 8);
        if (get32(h) == HEADER_MAGIC &&
            (uint32_t)(HEADER_MAGIC + get32(h + 4) + length + get32(h + 12)) == 0 && length >= 16 &&
            length <= size - at) {
            *header = at;
            return true;
        }
    }
    return false;
}

/* Whether a whole tag lies at `at` within the header. */
static bool tag_fits(const uint8_t *h, uint32_t length, uint32_t at)
{
    return at <= length && length - at >= 8 && get32(h + at + 4) >= 8 && get32(h + at + 4) <= length - at;
}

static uint32_t tag_next(const uint8_t *h, uint32_t at)
{
    return at + ((get32(h + at + 4) + 7) & ~7u);
}

bool multiboot2_has_addresses(const uint8_t *data, size_t header)
{
    const uint8_t *h = data + header;
    uint32_t length = get32(h + 8);
    for (uint32_t at = 16; tag_fits(h, length, at) && get16(h + at) != HEADER_END; at = tag_next(h, at))
        if (get16(h + at) == HEADER_ADDRESSES)
            return true;
    return false;
}

/* A list of information tags that the kernel can't do without. */
static bool check_information(struct loader *l, const uint8_t *tag, uint32_t size)
{
    for (uint32_t at = 8; at + 4 <= size; at += 4) {
        uint32_t type = get32(tag + at);
        bool have = type == INFO_CMDLINE || type == INFO_NAME || type == INFO_MODULE || type == INFO_MEMORY ||
                    type == INFO_MMAP || type == INFO_ELF || type == INFO_LOAD_BASE ||
                    (type == INFO_FRAMEBUFFER && l->req->vga) ||
                    ((type == INFO_ACPI_OLD || type == INFO_ACPI_NEW) && l->req->rsdp);
        if (!have)
            return loader_fail(
                l,
                "%s: its Multiboot 2 header demands information tag %u, which isn't available here; mark the "
                "request as optional, or boot it through GRUB from a disk image",
                l->req->kernel.name, type);
    }
    return true;
}

static bool read_addresses(struct loader *l, const uint8_t *tag, size_t header, struct wishes *w)
{
    uint32_t header_addr = get32(tag + 8), load = get32(tag + 12);
    if (load == UINT32_MAX) /* "from the start of the file" */
        load = header_addr - (uint32_t)header;
    if (load > header_addr || header_addr - load > header)
        return loader_fail(
            l,
            "%s: its Multiboot 2 address tag (header 0x%x, load 0x%x) doesn't fit its place in the file; "
            "fix the header",
            l->req->kernel.name, header_addr, load);
    w->has_addresses = true;
    w->span = (struct multiboot_span){header - (header_addr - load), load, get32(tag + 16), get32(tag + 20)};
    return true;
}

static bool read_tag(struct loader *l, const uint8_t *tag, size_t header, struct wishes *w)
{
    static const uint8_t least[] = {[HEADER_ADDRESSES] = 24, [HEADER_ENTRY] = 12, [HEADER_FRAMEBUFFER] = 20};
    const char *name = l->req->kernel.name;
    uint16_t type = get16(tag);
    bool optional = get16(tag + 2) & HEADER_OPTIONAL;
    uint32_t size = get32(tag + 4);
    if (type < sizeof least && size < least[type])
        return loader_fail(l, "%s: tag %u of its Multiboot 2 header is too short; fix the header", name,
                           type);
    switch (type) {
    case HEADER_INFORMATION:
        return optional || check_information(l, tag, size);
    case HEADER_ADDRESSES:
        return read_addresses(l, tag, header, w);
    case HEADER_ENTRY:
        w->has_entry = true;
        w->entry = get32(tag + 8);
        return true;
    case HEADER_FRAMEBUFFER: /* depth 0 is text */
        if (optional || get32(tag + 16) == 0)
            return true;
        return loader_fail(
            l,
            "%s: its Multiboot 2 header demands a graphics mode, which only text mode is there for; mark "
            "the framebuffer tag as optional, or boot it through GRUB from a disk image",
            name);
    case HEADER_RELOCATABLE: /* loading it where it was linked is allowed */
        w->relocatable = true;
        return true;
    case HEADER_CONSOLE:
    case HEADER_MODULE_ALIGN: /* modules always are */
    case HEADER_EFI_SERVICES: /* these four matter to loaders on EFI only */
    case HEADER_EFI32_ENTRY:
    case HEADER_EFI64_ENTRY:
        return true;
    default:
        return optional ||
               loader_fail(
                   l,
                   "%s: its Multiboot 2 header demands feature %u, which Oxbow doesn't know; mark the tag as "
                   "optional",
                   name, type);
    }
}

static bool read_header(struct loader *l, size_t header, struct wishes *w)
{
    const uint8_t *h = l->req->kernel.data + header;
    uint32_t length = get32(h + 8), at = 16;
    if (get32(h + 4) != 0)
        return loader_fail(l,
                           "%s: its Multiboot 2 header is for another architecture (%u); build it for i386",
                           l->req->kernel.name, get32(h + 4));
    for (; tag_fits(h, length, at) && get16(h + at) != HEADER_END; at = tag_next(h, at))
        if (!read_tag(l, h + at, header, w))
            return false;
    return true;
}

/* Starts a tag with `size` bytes of contents and returns these. Tags are padded to 8 bytes. */
static uint8_t *add_tag(struct info *info, enum info_tag type, size_t size)
{
    uint8_t *tag = info->data + info->size;
    put32(tag, type);
    put32(tag + 4, (uint32_t)(8 + size));
    info->size += (8 + size + 7) & ~(size_t)7;
    return tag + 8;
}

static void add_string(struct info *info, enum info_tag type, const char *text)
{
    memcpy(add_tag(info, type, strlen(text) + 1), text, strlen(text) + 1);
}

static void add_memory(struct loader *l, struct info *info)
{
    const struct boot_request *req = l->req;
    uint8_t *p = add_tag(info, INFO_MEMORY, 8);
    put32(p, loader_mem_lower(l));
    put32(p + 4, loader_mem_upper(l));
    p = add_tag(info, INFO_MMAP, 8 + req->e820_count * 24);
    put32(p, 24);
    p += 8;
    for (size_t i = 0; i < req->e820_count; i++, p += 24) {
        put64(p, req->e820[i].base);
        put64(p + 8, req->e820[i].size);
        put32(p + 16, req->e820[i].type);
    }
}

/* A copy of the RSDP: the tag for ACPI 1.0 has its first 20 bytes, the other one all of it. */
static void add_rsdp(struct loader *l, struct info *info)
{
    uint8_t rsdp[36];
    bus_read_block(l->bus, l->req->rsdp, rsdp, sizeof rsdp);
    memcpy(add_tag(info, INFO_ACPI_OLD, 20), rsdp, 20);
    if (rsdp[15] >= 2)
        memcpy(add_tag(info, INFO_ACPI_NEW, sizeof rsdp), rsdp, sizeof rsdp);
}

static void add_text_screen(struct info *info)
{
    uint8_t *p = add_tag(info, INFO_FRAMEBUFFER, 24);
    put64(p, 0xB8000);
    put32(p + 8, 160);
    put32(p + 12, 80);
    put32(p + 16, 25);
    p[20] = 16;
    p[21] = 2; /* EGA text */
}

static void add_sections(struct info *info, const struct elf_sections *sections)
{
    size_t size = (size_t)sections->count * sections->entry_size;
    uint8_t *p = add_tag(info, INFO_ELF, 12 + size);
    put32(p, sections->count);
    put32(p + 4, sections->entry_size);
    put32(p + 8, sections->string_index);
    memcpy(p + 12, sections->headers, size);
}

static bool add_module(struct loader *l, struct info *info)
{
    const struct boot_file *initrd = &l->req->initrd;
    uint64_t start;
    if (!loader_add_initrd(l, LOADER_4G, false, &start))
        return false;
    uint8_t *p = add_tag(info, INFO_MODULE, 8 + strlen(initrd->name) + 1);
    put32(p, (uint32_t)start);
    put32(p + 4, (uint32_t)(start + initrd->size));
    memcpy(p + 8, initrd->name, strlen(initrd->name) + 1);
    return true;
}

/* Builds the information from all that is known by now and writes it. */
static bool add_information(struct loader *l, const struct wishes *w, const struct elf_sections *sections,
                            uint64_t load_base, uint64_t *addr)
{
    const struct boot_request *req = l->req;
    char *line = loader_named_command_line(l);
    if (!line)
        return false;
    size_t capacity = INFO_FIXED + strlen(line) + (req->initrd.data ? strlen(req->initrd.name) : 0) +
                      req->e820_count * 24 + (size_t)sections->count * sections->entry_size;
    struct info info = {calloc(1, capacity), 8};
    bool ok = info.data || loader_fail(l, "the host has no memory left for the Multiboot 2 information");
    if (ok) {
        add_string(&info, INFO_CMDLINE, line);
        add_string(&info, INFO_NAME, "Oxbow");
        add_memory(l, &info);
        if (req->rsdp)
            add_rsdp(l, &info);
        if (req->vga)
            add_text_screen(&info);
        if (sections->count)
            add_sections(&info, sections);
        if (w->relocatable)
            put32(add_tag(&info, INFO_LOAD_BASE, 4), (uint32_t)load_base);
        ok = !req->initrd.data || add_module(l, &info);
    }
    if (ok) {
        add_tag(&info, INFO_END, 0);
        put32(info.data, (uint32_t)info.size);
        ok = loader_add_table(l, info.data, info.size, "Multiboot 2 information", addr);
    }
    free(info.data);
    free(line);
    return ok;
}

bool multiboot2_load(struct loader *l, struct boot_entry *entry)
{
    const struct boot_file *kernel = &l->req->kernel;
    struct wishes w = {0};
    struct elf elf;
    struct elf_sections sections = {0};
    size_t header;
    const char *problem;
    uint64_t start = 0, low, high, addr;

    if (!multiboot2_find(kernel->data, kernel->size, &header))
        return loader_fail(l, "%s: has no Multiboot 2 header", kernel->name);
    if (!read_header(l, header, &w))
        return false;
    bool is_elf = elf_open(&elf, kernel->data, kernel->size, &problem);
    if (w.has_addresses) {
        low = w.span.load;
        if (!w.has_entry)
            return loader_fail(l, "%s: its Multiboot 2 header has an address tag but no entry tag; add one",
                               kernel->name);
        if (!multiboot_load_span(l, &w.span))
            return false;
    } else if (!is_elf) {
        return loader_fail(l, "%s: %s, and its Multiboot 2 header has no address tag", kernel->name, problem);
    } else if (!elf_load(l, &elf, &start, &low, &high)) {
        return false;
    }
    if (w.has_entry)
        start = w.entry;
    if (is_elf && !elf_load_sections(l, &elf, &sections))
        return false;
    bool ok = add_information(l, &w, &sections, low, &addr) && loader_enter_flat32(l, entry, start);
    free(sections.headers);
    if (!ok)
        return false;
    entry->rax = ENTRY_MAGIC;
    entry->rbx = addr;
    return true;
}
