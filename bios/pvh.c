/*
 * pvh.c - the x86/HVM direct boot ABI ("PVH"): an ELF file whose Xen note names a 32-bit entry point, which
 * gets the address of a struct hvm_start_info, version 1, in EBX.
 */
#include <stdlib.h>
#include <string.h>

#include "bios/bytes.h"
#include "bios/elf.h"

#define START_MAGIC 0x336EC578

/* struct hvm_start_info. */
#define START_MAGIC_AT    0
#define START_VERSION     4
#define START_NR_MODULES  12
#define START_MODLIST     16
#define START_CMDLINE     24
#define START_RSDP        32
#define START_MEMMAP      40
#define START_MEMMAP_SIZE 48
#define START_SIZE        56

#define MODULE_SIZE 32
#define MEMMAP_SIZE 24

static bool add_memory_map(struct loader *l, uint8_t *start)
{
    const struct boot_request *req = l->req;
    size_t size = req->e820_count * MEMMAP_SIZE;
    uint8_t *map = calloc(1, size ? size : 1);
    uint64_t addr = 0;
    if (!map)
        return loader_fail(l, "the host has no memory left for the memory map");
    for (size_t i = 0; i < req->e820_count; i++) {
        uint8_t *p = map + i * MEMMAP_SIZE;
        put64(p, req->e820[i].base);
        put64(p + 8, req->e820[i].size);
        put32(p + 16, req->e820[i].type);
    }
    bool ok = loader_add_table(l, map, size, "memory map", &addr);
    free(map);
    put64(start + START_MEMMAP, addr);
    put32(start + START_MEMMAP_SIZE, (uint32_t)req->e820_count);
    return ok;
}

static bool add_module(struct loader *l, uint8_t *start)
{
    uint8_t module[MODULE_SIZE] = {0};
    uint64_t initrd, addr;
    if (!loader_add_initrd(l, LOADER_4G, false, &initrd))
        return false;
    put64(module, initrd);
    put64(module + 8, l->req->initrd.size);
    if (!loader_add_table(l, module, sizeof module, "module list", &addr))
        return false;
    put32(start + START_NR_MODULES, 1);
    put64(start + START_MODLIST, addr);
    return true;
}

bool pvh_load(struct loader *l, struct boot_entry *entry)
{
    const struct boot_request *req = l->req;
    struct elf elf;
    const char *problem;
    uint8_t start[START_SIZE] = {0};
    uint64_t rip, unused, low, high, addr;

    if (!elf_open(&elf, req->kernel.data, req->kernel.size, &problem))
        return loader_fail(l, "%s: %s", req->kernel.name, problem);
    if (!elf_pvh_entry(&elf, &rip))
        return loader_fail(l, "%s: has no PVH entry note", req->kernel.name);
    if (!elf_load(l, &elf, &unused, &low, &high))
        return false;
    if (rip < low || rip >= high)
        return loader_fail(
            l,
            "%s: its PVH entry 0x%llx is outside what it loads (0x%llx-0x%llx); the note must give a "
            "physical address",
            req->kernel.name, (unsigned long long)rip, (unsigned long long)low,
            (unsigned long long)(high - 1));
    put32(start + START_MAGIC_AT, START_MAGIC);
    put32(start + START_VERSION, 1);
    put64(start + START_RSDP, req->rsdp);
    if (!loader_add_string(l, req->command_line ? req->command_line : "", "command line", &addr))
        return false;
    put64(start + START_CMDLINE, addr);
    if (!add_memory_map(l, start) || (req->initrd.data && !add_module(l, start)))
        return false;
    if (!loader_add_table(l, start, sizeof start, "start information", &addr) ||
        !loader_enter_flat32(l, entry, rip))
        return false;
    entry->rbx = addr;
    return true;
}
