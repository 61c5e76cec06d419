/*
 * boot.c - what firmware does between power-on and the kernel's first instruction: the files that are booted,
 * tables in guest memory, CMOS, and the CPU's state at entry as bios/boot.h defines it.
 */
#include <string.h>

#include "bios/acpi.h"
#include "bios/e820.h"
#include "bios/smbios.h"
#include "config.h"
#include "devices/lapic.h"
#include "machine/machine.h"

/* The demo guest, linked in by bios/demo/embed.S. */
extern const uint8_t oxbow_demo_start[], oxbow_demo_end[];

/* Without a kernel, whatever only a BIOS can start or heed asks for one. */
static bool needs_firmware(const struct machine *m, const char *kernel)
{
    const struct options *options = m->options;

    return !kernel &&
           (options->bios || options->boot || options->boot_menu || m->disks || m->floppies || m->discs);
}

int machine_read_files(struct machine *m, char *why, size_t why_size)
{
    const struct options *options = m->options;
    int status = drives_choose(m, why, why_size);

    if (status)
        return status;
    m->kernel_name = options->kernel ? options->kernel : m->image_is_drive ? NULL : options->image;
    if (!m->kernel_name && !options->root.path && (options->initrd || options->append)) {
        snprintf(why, why_size, "%s is for a kernel, but none is given; add --kernel FILE",
                 options->initrd ? "--initrd" : "--append");
        return EXIT_USAGE;
    }
    if (options->modules && !options->root.path) {
        snprintf(why, why_size, "--modules is for --root, which isn't given; leave it out");
        return EXIT_USAGE;
    }
    if ((m->kernel_name || options->root.path) && (options->bios || options->boot || options->boot_menu)) {
        snprintf(why, why_size, "--%s is for a BIOS, but the kernel %.100s starts without one; leave one out",
                 options->bios   ? "bios"
                 : options->boot ? "boot"
                                 : "boot-menu",
                 m->kernel_name ? m->kernel_name : "of --root");
        return EXIT_USAGE;
    }
    if (options->root.path) {
        status = root_read(m, why, why_size);
        if (status)
            return status;
    } else if (needs_firmware(m, m->kernel_name)) {
        return firmware_read(m, why, why_size);
    } else if (m->kernel_name && !host_file_read(&m->kernel, m->kernel_name, options->memory, why, why_size)) {
        return EXIT_USAGE;
    }
    if (options->initrd && !host_file_read(&m->initrd, options->initrd, options->memory, why, why_size))
        return EXIT_USAGE;
    return 0;
}

/* ACPI and SMBIOS. *rsdp: where the OS begins to look, 0 when there is no room for the tables. */
static bool write_tables(struct machine *m, uint64_t *rsdp, char *why, size_t why_size)
{
    struct acpi_config config = {
        .base = e820_acpi_base(m->ram->size),
        .size = E820_ACPI_SIZE,
        .cpus = m->options->cpus,
        .vga = m->vga,
    };
    struct smbios_config inventory = {
        .ram_size = m->ram->size, .cpus = m->options->cpus, .version = PACKAGE_VERSION};
    struct acpi_tables acpi;
    struct smbios_tables smbios;

    *rsdp = 0;
    if (config.base) {
        if (!acpi_build(&config, &acpi)) {
            snprintf(why, why_size, "cannot build the ACPI tables: out of memory");
            return false;
        }
        bus_write_block(m->memory, acpi.base, acpi.data, acpi.size);
        bus_write_block(m->memory, acpi.rsdp_address, acpi.rsdp, sizeof(acpi.rsdp));
        *rsdp = acpi.rsdp_address;
        acpi_free(&acpi);
    }
    if (smbios_build(&inventory, &smbios))
        bus_write_block(m->memory, SMBIOS_ADDRESS, smbios.data, smbios.size);
    return true;
}

#define DATA_ATTR (SEG_P | SEG_S | SEG_WRITABLE | SEG_ACCESSED)
#define CODE_ATTR (SEG_P | SEG_S | SEG_CODE | SEG_READABLE | SEG_ACCESSED)
#define TSS_BUSY  0xB

static void set_data_segments(struct cpu_state *state, const struct boot_entry *entry, struct segment data)
{
    for (int i = 0; i < SEG_COUNT; i++) {
        if (i == CS)
            continue;
        data.selector = i == SS ? entry->ss : entry->ds;
        if (entry->mode == BOOT_REAL16)
            data.base = (uint64_t)data.selector << 4;
        state->seg[i] = data;
    }
}

static void set_flat(struct cpu_state *state, const struct boot_entry *entry)
{
    const struct segment data = {.limit = UINT32_MAX, .attr = DATA_ATTR | SEG_DB | SEG_G};

    state->seg[CS] = (struct segment){
        .limit = UINT32_MAX,
        .attr = CODE_ATTR | SEG_G | (entry->mode == BOOT_LONG64 ? SEG_L : SEG_DB),
        .selector = entry->cs,
    };
    set_data_segments(state, entry, data);
    state->gdtr = (struct table_reg){entry->gdt_base, entry->gdt_limit};
    state->cr0 = CR0_PE | CR0_ET;
    if (entry->mode == BOOT_LONG64) {
        state->cr0 |= CR0_PG;
        state->cr3 = entry->cr3;
        state->cr4 = CR4_PAE;
        state->efer = EFER_LME | EFER_LMA;
    }
}

static void set_real(struct cpu_state *state, const struct boot_entry *entry)
{
    const struct segment data = {.limit = 0xFFFF, .attr = DATA_ATTR};

    state->seg[CS] = (struct segment){
        .base = (uint64_t)entry->cs << 4, .limit = 0xFFFF, .attr = CODE_ATTR, .selector = entry->cs};
    set_data_segments(state, entry, data);
    state->cr0 = CR0_ET;
}

/* The state from which bios/boot.h lets the kernel start; the rest is as after RESET. */
static void enter(struct cpu *cpu, const struct boot_entry *entry)
{
    if (entry->mode == BOOT_RESET_VECTOR)
        return;
    cpu_pull(cpu);
    struct cpu_state *state = cpu_state(cpu);
    if (entry->mode == BOOT_REAL16)
        set_real(state, entry);
    else
        set_flat(state, entry);
    memset(state->gpr, 0, sizeof(state->gpr));
    state->gpr[RAX] = entry->rax;
    state->gpr[RBX] = entry->rbx;
    state->gpr[RCX] = entry->rcx;
    state->gpr[RDX] = entry->rdx;
    state->gpr[RSI] = entry->rsi;
    state->gpr[RDI] = entry->rdi;
    state->gpr[RBP] = entry->rbp;
    state->gpr[RSP] = entry->rsp;
    state->rip = entry->rip;
    state->rflags = FLAG_1;
    state->cpl = 0;
    state->tr = (struct segment){.limit = 0x67, .attr = SEG_P | TSS_BUSY};
    cpu_push(cpu);
}

bool machine_boot(struct machine *m, char *why, size_t why_size)
{
    const struct options *options = m->options;
    struct e820_entry map[E820_MAX_ENTRIES];
    struct boot_entry entry = {0};
    struct boot_request request = {
        .kernel = {m->kernel_name, m->kernel.data, m->kernel.size},
        .initrd = {options->initrd ? options->initrd : "the RAM disk for --root", m->initrd.data, m->initrd.size},
        .command_line = m->root_line ? m->root_line : options->append,
        .ram_size = m->ram->size,
        .cpus = options->cpus,
        .e820 = map,
        .e820_count = e820_build(m->ram->size, map),
        .vga = m->vga,
    };

    firmware_set_cmos(m);
    if (m->bios.size)
        return true;
    firmware_set_board(m);
    screen_set_text_mode(m);
    if (!request.kernel.name)
        request.kernel = (struct boot_file){"the demo guest", oxbow_demo_start,
                                            (size_t)(oxbow_demo_end - oxbow_demo_start)};
    if (!write_tables(m, &request.rsdp, why, why_size))
        return false;
    if (!boot_load(m->memory, &request, &entry, why, why_size))
        return false;
    lapic_virtual_wire(m->lapic);
    enter(m->cpu, &entry);
    return true;
}
