/*
 * boot.h - starting a guest without a BIOS: a file's bytes go into guest memory, and out comes the state the
 * first CPU starts in, as the file's own boot protocol defines it.
 *
 * The loaders know no CPU type and no file system: the machine reads the files, calls boot_load() after RAM,
 * the memory map and the ACPI tables are in place, and copies struct boot_entry into its CPU. At a reset it
 * calls boot_load() again, because the guest has overwritten what was there.
 *
 * Nothing in the files is trusted: every offset, size and address is checked against the file and the memory
 * map.
 *
 * Locking: bus_write_block() is the only access to the guest; the caller holds the machine lock or the CPUs
 * stand.
 */
#ifndef BIOS_BOOT_H
#define BIOS_BOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bios/e820.h"

struct bus;

/* Bytes of a file, and what to call it in messages. data is NULL when there is no such file. */
struct boot_file {
    const char *name;
    const uint8_t *data;
    size_t size;
};

struct boot_request {
    struct boot_file kernel;
    struct boot_file initrd;
    const char *command_line; /* NULL is as good as "" */
    uint64_t ram_size;        /* bytes; for messages. Where RAM is, the map says */
    unsigned cpus;
    const struct e820_entry *e820; /* non-overlapping, in ascending order */
    size_t e820_count;
    uint64_t rsdp; /* physical address of the ACPI RSDP, already in guest memory; 0 when there is none */
    bool vga;      /* there is a VGA adapter, in 80x25 text mode */
};

/*
 * How the first CPU starts. Whatever is not listed for a mode has its value from RESET (SDM 3A, table 9-1):
 * in all modes RFLAGS = 2 (so IF = 0), and DR6/DR7, FPU, MSRs, IDTR and LDTR as after reset. TR holds
 * selector 0 as a busy 32-bit TSS (64-bit in LONG64) of base 0 and limit 0x67.
 *
 * BOOT_RESET_VECTOR  Nothing to copy: the CPU starts at 0xFFFFFFF0 as after RESET and the BIOS ROM does the
 * rest.
 *
 * BOOT_REAL16        CR0 = 0x10 (ET). CS = cs, all data segments = ds, SS = ss, with base = selector * 16 and
 * limit 0xFFFF; rip and rsp are 16-bit offsets.
 *
 * BOOT_FLAT32        CR0 = 0x11 (PE, ET), CR3 = CR4 = EFER = 0. CS = cs: base 0, limit 0xFFFFFFFF, 32-bit
 * execute/read, accessed, DPL 0. DS = ES = FS = GS = ds and SS = ss: base 0, limit 0xFFFFFFFF, 32-bit
 *                    read/write, accessed, DPL 0. GDTR = gdt_base, gdt_limit; the descriptors there say the
 * same as the hidden parts above. A20 is open.
 *
 * BOOT_LONG64        CR0 = 0x80000011 (PG, PE, ET), CR3 = cr3, CR4 = 0x20 (PAE), EFER = 0x500 (LME, LMA). The
 * page tables at cr3 map the first 4 GiB to themselves, writable, supervisor, executable. CS = cs: a 64-bit
 * code segment; the data segments as in BOOT_FLAT32. GDTR likewise.
 *
 * The other general registers (r8-r15) are 0.
 */
enum boot_mode { BOOT_RESET_VECTOR, BOOT_REAL16, BOOT_FLAT32, BOOT_LONG64 };

struct boot_entry {
    enum boot_mode mode;
    uint64_t rip;
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp;
    uint64_t cr3;
    uint16_t cs, ds, ss; /* ds is for ES, FS and GS too */
    uint64_t gdt_base;
    uint16_t gdt_limit;
};

/*
 * Loads req->kernel by whatever protocol its contents ask for (bios/image.h). On success fills *entry.
 * Otherwise returns false with one line in `why` (of why_size bytes, always terminated) that names the file
 * or option, what is wrong with it and what to do; guest memory may then be partly written.
 */
bool boot_load(struct bus *bus, const struct boot_request *req, struct boot_entry *entry, char *why,
               size_t why_size);

#endif
