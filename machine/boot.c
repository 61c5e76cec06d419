/*
 * boot.c - what firmware does between power-on and the kernel's first instruction: the files that are booted,
 * tables in guest memory, CMOS, and the CPU's state at entry as bios/boot.h defines it.
 */
#include <string.h>
#include <sys/stat.h>

#include "bios/acpi.h"
#include "bios/e820.h"
#include "bios/image.h"
#include "bios/smbios.h"
#include "config.h"
#include "devices/lapic.h"
#include "devices/rtc.h"
#include "machine/machine.h"

/* The demo guest, linked in by bios/demo/embed.S. */
extern const uint8_t oxbow_demo_start[], oxbow_demo_end[];

/* Whether the file's start is that of a disk or disc, which has to be said before all of it is read. */
static bool is_disk(const char *path, char *why, size_t why_size)
{
    uint8_t head[IMAGE_HEAD_SIZE];
    struct stat info;

    if (stat(path, &info) || !S_ISREG(info.st_mode))
        return false;
    FILE *file = fopen(path, "rb");
    if (!file)
        return false;
    size_t size = fread(head, 1, sizeof(head), file);
    fclose(file);
    enum image_kind kind = image_kind(head, size);
    if (kind < IMAGE_DISK_MBR || kind > IMAGE_VHDX)
        return false;
    snprintf(why, why_size,
             "%s: this is %s; booting from disks needs the PC firmware, which this version does not have; "
             "give a kernel "
             "with --kernel",
             path, image_kind_name(kind));
    return true;
}

int machine_read_files(struct machine *m, char *why, size_t why_size)
{
    const struct options *options = m->options;
    const char *kernel = options->kernel ? options->kernel : options->image;

    if (!kernel && (options->initrd || options->append)) {
        snprintf(why, why_size, "%s is for a kernel, but none is given; add --kernel FILE",
                 options->initrd ? "--initrd" : "--append");
        return EXIT_USAGE;
    }
    if (kernel && (is_disk(kernel, why, why_size) ||
                   !host_file_read(&m->kernel, kernel, options->memory, why, why_size)))
        return EXIT_USAGE;
    if (options->initrd && !host_file_read(&m->initrd, options->initrd, options->memory, why, why_size))
        return EXIT_USAGE;
    return 0;
}

/* ACPI and SMBIOS. *rsdp: where the OS begins to look, 0 when there is no room for the tables. */
static bool write_tables(struct machine *m, uint64_t *rsdp, char *why, size_t why_size)
{
    struct acpi_config config = {
        .base = e820_acpi_base(m->ram->size), .size = E820_ACPI_SIZE, .cpus = m->options->cpus};
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

/* Memory sizes where a BIOS leaves them in CMOS: KiB from 0, KiB from 1 MiB, and 64 KiB units from 16 MiB. */
static void write_cmos(struct machine *m)
{
    uint64_t low = e820_low_ram(m->ram->size), high = e820_high_ram(m->ram->size) >> 16;
    uint64_t above_1m = (low - (1 << 20)) >> 10, above_16m = low > 16 << 20 ? (low - (16 << 20)) >> 16 : 0;

    if (above_1m > 0xFFFF)
        above_1m = 0xFFFF;
    rtc_set_cmos(m->rtc, 0x15, (uint8_t)640);
    rtc_set_cmos(m->rtc, 0x16, 640 >> 8);
    rtc_set_cmos(m->rtc, 0x17, (uint8_t)above_1m);
    rtc_set_cmos(m->rtc, 0x18, (uint8_t)(above_1m >> 8));
    rtc_set_cmos(m->rtc, 0x30, (uint8_t)above_1m);
    rtc_set_cmos(m->rtc, 0x31, (uint8_t)(above_1m >> 8));
    rtc_set_cmos(m->rtc, 0x34, (uint8_t)above_16m);
    rtc_set_cmos(m->rtc, 0x35, (uint8_t)(above_16m >> 8));
    rtc_set_cmos(m->rtc, 0x5B, (uint8_t)high);
    rtc_set_cmos(m->rtc, 0x5C, (uint8_t)(high >> 8));
    rtc_set_cmos(m->rtc, 0x5D, (uint8_t)(high >> 16));
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
        .kernel = {options->kernel ? options->kernel : options->image, m->kernel.data, m->kernel.size},
        .initrd = {options->initrd, m->initrd.data, m->initrd.size},
        .command_line = options->append,
        .ram_size = m->ram->size,
        .cpus = options->cpus,
        .e820 = map,
        .e820_count = e820_build(m->ram->size, map),
    };

    if (!request.kernel.name)
        request.kernel = (struct boot_file){"the demo guest", oxbow_demo_start,
                                            (size_t)(oxbow_demo_end - oxbow_demo_start)};
    if (!write_tables(m, &request.rsdp, why, why_size))
        return false;
    write_cmos(m);
    if (!boot_load(m->memory, &request, &entry, why, why_size))
        return false;
    lapic_virtual_wire(m->lapic);
    enter(m->cpu, &entry);
    return true;
}
