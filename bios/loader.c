/* loader.c - see loader.h. */
#include "bios/loader.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bios/bytes.h"
#include "bios/image.h"
#include "core/bus.h"

#define BOOT_CS 0x10
#define BOOT_DS 0x18

bool loader_fail(struct loader *l, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(l->why, l->why_size, format, args);
    va_end(args);
    return false;
}

struct loader_size_text loader_size(uint64_t bytes)
{
    struct loader_size_text t;
    if (bytes >= 1 << 20)
        snprintf(t.text, sizeof t.text, "%llu MiB",
                 (unsigned long long)((bytes >> 20) + !!(bytes & 0xFFFFF)));
    else
        snprintf(t.text, sizeof t.text, "%llu KiB", (unsigned long long)((bytes >> 10) + !!(bytes & 0x3FF)));
    return t;
}

bool loader_is_ram(const struct loader *l, uint64_t base, uint64_t size)
{
    const struct boot_request *req = l->req;
    if (size > UINT64_MAX - base)
        return false;
    uint64_t at = base, end = base + size;
    for (size_t i = 0; i < req->e820_count && at < end; i++) {
        const struct e820_entry *e = &req->e820[i];
        if (e->type == E820_RAM && at >= e->base && at - e->base < e->size)
            at = e->base + e->size;
    }
    return at >= end;
}

static void claim(struct loader *l, uint64_t base, uint64_t size)
{
    l->claim[l->claims++] = (struct loader_claim){base, base + size};
}

static uint64_t ram_end(const struct loader *l)
{
    uint64_t end = 0;
    for (size_t i = 0; i < l->req->e820_count; i++)
        if (l->req->e820[i].type == E820_RAM)
            end = l->req->e820[i].base + l->req->e820[i].size;
    return end;
}

bool loader_take(struct loader *l, uint64_t base, uint64_t size, const char *what)
{
    const char *name = l->req->kernel.name;
    if (l->claims >= LOADER_CLAIMS - 16)
        return loader_fail(l, "%s: has more than %d segments; link it with fewer", name, LOADER_CLAIMS - 16);
    if (loader_is_ram(l, base, size)) {
        claim(l, base, size);
        return true;
    }
    /* RAM starts at 0 and has its first hole at 640 KiB and the next one below 4 GiB. */
    if (size <= UINT64_MAX - base && base + size > ram_end(l) && base + size <= E820_LOW_RAM_MAX)
        return loader_fail(l, "%s: %s needs memory up to %s but the machine has %s; give it more with -m",
                           name, what, loader_size(base + size).text, loader_size(l->req->ram_size).text);
    return loader_fail(
        l,
        "%s: %s wants the addresses 0x%llx-0x%llx, which are not all RAM (firmware or devices are there); "
        "link it elsewhere, for example at 1 MiB",
        name, what, (unsigned long long)base, (unsigned long long)(base + size - 1));
}

/* The claim that [base, base + size) runs into, or NULL. */
static const struct loader_claim *collision(const struct loader *l, uint64_t base, uint64_t size)
{
    for (size_t i = 0; i < l->claims; i++)
        if (base < l->claim[i].end && l->claim[i].base < base + size)
            return &l->claim[i];
    return NULL;
}

bool loader_place_high(struct loader *l, uint64_t size, uint64_t align, uint64_t low, uint64_t high,
                       uint64_t *addr)
{
    for (size_t i = l->req->e820_count; i-- > 0;) {
        const struct e820_entry *e = &l->req->e820[i];
        uint64_t floor = e->base > low ? e->base : low;
        uint64_t top = e->base + e->size < high ? e->base + e->size : high;
        if (e->type != E820_RAM)
            continue;
        while (top > floor && size <= top - floor) {
            uint64_t base = (top - size) & ~(align - 1);
            if (base < floor)
                break;
            const struct loader_claim *c = collision(l, base, size);
            if (!c) {
                claim(l, base, size);
                *addr = base;
                return true;
            }
            top = c->base;
        }
    }
    return false;
}

bool loader_place_low(struct loader *l, uint64_t size, uint64_t align, uint64_t low, uint64_t high,
                      uint64_t *addr)
{
    for (size_t i = 0; i < l->req->e820_count; i++) {
        const struct e820_entry *e = &l->req->e820[i];
        uint64_t base = e->base > low ? e->base : low;
        uint64_t top = e->base + e->size < high ? e->base + e->size : high;
        if (e->type != E820_RAM)
            continue;
        for (;;) {
            base = (base + align - 1) & ~(align - 1);
            if (base >= top || size > top - base)
                break;
            const struct loader_claim *c = collision(l, base, size);
            if (!c) {
                claim(l, base, size);
                *addr = base;
                return true;
            }
            base = c->end;
        }
    }
    return false;
}

bool loader_place_table(struct loader *l, uint64_t size, uint64_t align, const char *what, uint64_t *addr)
{
    if (loader_place_low(l, size, align, LOADER_LOW_MIN, LOADER_LOW_MAX, addr) ||
        loader_place_high(l, size, align, LOADER_LOW_MIN, LOADER_4G, addr))
        return true;
    return loader_fail(l, "%s: leaves no room in memory for the %s (%s); give the machine more with -m",
                       l->req->kernel.name, what, loader_size(size).text);
}

bool loader_add_table(struct loader *l, const void *data, size_t size, const char *what, uint64_t *addr)
{
    if (!loader_place_table(l, size, 16, what, addr))
        return false;
    loader_write(l, *addr, data, size);
    return true;
}

bool loader_add_string(struct loader *l, const char *text, const char *what, uint64_t *addr)
{
    return loader_add_table(l, text, strlen(text) + 1, what, addr);
}

char *loader_named_command_line(struct loader *l)
{
    const char *args = l->req->command_line ? l->req->command_line : "";
    const char *name = l->req->kernel.name;
    size_t size = strlen(name) + strlen(args) + 2;
    char *line = malloc(size);
    if (!line) {
        loader_fail(l, "the host has no memory left for the command line");
        return NULL;
    }
    snprintf(line, size, "%s%s%s", name, *args ? " " : "", args);
    return line;
}

bool loader_add_initrd(struct loader *l, uint64_t high, bool above_4g, uint64_t *addr)
{
    const struct boot_file *initrd = &l->req->initrd;
    *addr = 0;
    if (!initrd->data)
        return true;
    if (initrd->size == 0)
        return loader_fail(l, "%s: is empty; give a file with contents as the initrd, or none", initrd->name);
    if (!loader_place_high(l, initrd->size, 4096, 0x100000, high, addr) &&
        !(above_4g && loader_place_high(l, initrd->size, 4096, LOADER_4G, UINT64_MAX, addr)))
        return loader_fail(
            l, "%s: the initrd (%s) does not fit in memory beside the kernel; give more than %s with -m",
            initrd->name, loader_size(initrd->size).text, loader_size(l->req->ram_size).text);
    loader_write(l, *addr, initrd->data, initrd->size);
    return true;
}

void loader_write(struct loader *l, uint64_t addr, const void *data, size_t size)
{
    if (size)
        bus_write_block(l->bus, addr, data, size);
}

void loader_zero(struct loader *l, uint64_t addr, uint64_t size)
{
    static const uint8_t zeros[16384];
    while (size) {
        size_t chunk = size < sizeof zeros ? (size_t)size : sizeof zeros;
        bus_write_block(l->bus, addr, zeros, chunk);
        addr += chunk;
        size -= chunk;
    }
}

/* The GDT that Linux' boot protocol asks for (CS 0x10, data 0x18) serves the others too. */
static bool add_gdt(struct loader *l, struct boot_entry *entry, bool long_mode)
{
    uint8_t gdt[32] = {0};
    put64(gdt + BOOT_CS, long_mode ? 0x00AF9B000000FFFF : 0x00CF9B000000FFFF);
    put64(gdt + BOOT_DS, 0x00CF93000000FFFF);
    entry->cs = BOOT_CS;
    entry->ds = entry->ss = BOOT_DS;
    entry->gdt_limit = sizeof gdt - 1;
    return loader_add_table(l, gdt, sizeof gdt, "descriptor table", &entry->gdt_base);
}

bool loader_enter_flat32(struct loader *l, struct boot_entry *entry, uint64_t rip)
{
    *entry = (struct boot_entry){.mode = BOOT_FLAT32, .rip = rip};
    return add_gdt(l, entry, false);
}

bool loader_enter_long64(struct loader *l, struct boot_entry *entry, uint64_t rip)
{
    enum { PRESENT_WRITABLE = 3, LARGE = 0x80 };
    *entry = (struct boot_entry){.mode = BOOT_LONG64, .rip = rip};
    /* PML4, one PDPT, and four page directories of 2 MiB pages: 4 GiB. */
    if (!add_gdt(l, entry, true) || !loader_place_table(l, 6 * 4096, 4096, "page tables", &entry->cr3))
        return false;
    uint8_t page[4096] = {0};
    put64(page, (entry->cr3 + 4096) | PRESENT_WRITABLE);
    loader_write(l, entry->cr3, page, sizeof page);
    for (unsigned i = 0; i < 4; i++)
        put64(page + i * 8, (entry->cr3 + (2 + i) * 4096) | PRESENT_WRITABLE);
    loader_write(l, entry->cr3 + 4096, page, sizeof page);
    for (unsigned i = 0; i < 4; i++) {
        for (unsigned j = 0; j < 512; j++)
            put64(page + j * 8, ((uint64_t)i << 30 | (uint64_t)j << 21) | PRESENT_WRITABLE | LARGE);
        loader_write(l, entry->cr3 + (2 + i) * 4096, page, sizeof page);
    }
    return true;
}

/* The end of the run of RAM that `from` lies in; `from` itself when it lies in none. */
static uint64_t run_end(const struct loader *l, uint64_t from)
{
    for (size_t i = 0; i < l->req->e820_count; i++) {
        const struct e820_entry *e = &l->req->e820[i];
        if (e->type == E820_RAM && from >= e->base && from - e->base < e->size)
            from = e->base + e->size;
    }
    return from;
}

uint32_t loader_mem_lower(const struct loader *l)
{
    uint64_t kib = run_end(l, 0) >> 10;
    return (uint32_t)(kib < 640 ? kib : 640);
}

uint32_t loader_mem_upper(const struct loader *l)
{
    uint64_t end = run_end(l, 0x100000);
    return (uint32_t)((end < LOADER_4G ? end - 0x100000 : LOADER_4G - 0x100000) >> 10);
}

static bool refuse(struct loader *l, enum image_kind kind)
{
    const char *name = l->req->kernel.name;
    const char *what = image_kind_name(kind);
    switch (kind) {
    case IMAGE_UNKNOWN:
        return loader_fail(
            l,
            "%s: is not a kernel that can be started directly; give a Linux bzImage, or an ELF file with a "
            "Multiboot header or PVH note",
            name);
    case IMAGE_ELF:
        return loader_fail(
            l,
            "%s: is %s, so nothing says how to start it; for Linux give arch/x86/boot/bzImage or "
            "build with CONFIG_PVH=y",
            name, what);
    case IMAGE_EFI:
        return loader_fail(l, "%s: is %s, which only UEFI firmware starts; give a bzImage or an ELF kernel",
                           name, what);
    case IMAGE_GZIP:
    case IMAGE_XZ:
    case IMAGE_BZIP2:
    case IMAGE_ZSTD:
        return loader_fail(l, "%s: is %s; unpack it first", name, what);
    default:
        return loader_fail(l, "%s: is %s, not a kernel; boot it as a disk", name, what);
    }
}

bool boot_load(struct bus *bus, const struct boot_request *req, struct boot_entry *entry, char *why,
               size_t why_size)
{
    struct loader l = {.bus = bus, .req = req, .why = why, .why_size = why_size};
    if (why_size)
        why[0] = 0;
    if (!req->kernel.data || req->kernel.size == 0)
        return loader_fail(&l, "%s: is empty; give a kernel file with contents",
                           req->kernel.name ? req->kernel.name : "kernel");
    enum image_kind kind = image_kind(req->kernel.data, req->kernel.size);
    switch (kind) {
    case IMAGE_LINUX:
        return linux_load(&l, entry);
    case IMAGE_MULTIBOOT1:
        return multiboot1_load(&l, entry);
    case IMAGE_MULTIBOOT2:
        return multiboot2_load(&l, entry);
    case IMAGE_PVH:
        return pvh_load(&l, entry);
    default:
        return refuse(&l, kind);
    }
}
