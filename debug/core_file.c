/*
 * core_file.c - writes an ELF core file; see core_file.h.
 *
 * The file: header, program headers, a note with the registers (NT_PRSTATUS, as Linux writes it for a
 * process), then all of RAM. Mapped areas come first among the segments, because gdb takes the first that has
 * an address; those by physical address have the virtual address 0, which is how crash knows them.
 */
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "debug/core_file.h"
#include "debug/inspect_paging.h"

#define RAM_AT     0x100000u /* where in the file RAM begins: behind as many segments as there may be */
#define AREAS_MAX  16384u
#define STEPS_MAX  (1u << 22) /* of the walk: page tables may lead round in circles */
#define LOW_END    0xA0000u   /* video memory and what else is no RAM begins; see machine/memory.c */
#define HIGH_START 0x100000u
#define HOLE       0xC0000000ull /* RAM goes on at 4 GiB */
#define FOUR_GIB   0x100000000ull

_Static_assert(RAM_AT > sizeof(Elf64_Ehdr) + AREAS_MAX * sizeof(Elf64_Phdr) + 4096, "the headers fit");

/* struct elf_prstatus of x86-64, and of i386: how Linux's core files begin a thread; with their registers'
 * order. */
struct prstatus64 {
    uint32_t signo, code, error;
    uint16_t cursig, pad;
    uint64_t sigpend, sighold;
    uint32_t pid, ppid, pgrp, sid;
    uint64_t times[8];
    uint64_t reg[27];
    uint32_t fpvalid, pad2;
};

struct prstatus32 {
    uint32_t signo, code, error;
    uint16_t cursig, pad;
    uint32_t sigpend, sighold;
    uint32_t pid, ppid, pgrp, sid;
    uint32_t times[8];
    uint32_t reg[17];
    uint32_t fpvalid;
};

#define NOTE_NAME "CORE\0\0\0" /* 5 characters with the 0, padded to 8 */

struct area {
    uint64_t linear, physical, size;
};

struct core {
    struct machine *machine;
    FILE *out;
    bool wide; /* an ELF64 file; ELF32 for a CPU that is not in long mode, as its kernel's own file is */
    struct area area[AREAS_MAX];
    unsigned areas;
};

/* How far into RAM a physical address is; UINT64_MAX: it isn't there. *left: so many bytes follow. */
static uint64_t ram_offset(const struct core *core, uint64_t physical, uint64_t *left)
{
    uint64_t size = core->machine->ram->size, below = size < HOLE ? size : HOLE;

    if (physical < LOW_END || (physical >= HIGH_START && physical < below)) {
        *left = (physical < LOW_END ? LOW_END : below) - physical;
        return physical;
    }
    if (physical >= FOUR_GIB && physical - FOUR_GIB < size - below) {
        *left = size - below - (physical - FOUR_GIB);
        return physical - FOUR_GIB + below;
    }
    return UINT64_MAX;
}

static void add_area(struct core *core, uint64_t linear, uint64_t physical, uint64_t size)
{
    struct area *last = core->areas ? &core->area[core->areas - 1] : NULL;
    uint64_t left;

    while (size) {
        uint64_t offset = ram_offset(core, physical, &left), n = size < left ? size : left;
        if (offset == UINT64_MAX || (!core->wide && physical >= FOUR_GIB)) {
            n = size < BUS_PAGE ? size : BUS_PAGE;
        } else if (last && last->linear + last->size == linear && last->physical + last->size == physical) {
            last->size += n;
        } else if (core->areas < AREAS_MAX) {
            last = &core->area[core->areas++];
            *last = (struct area){linear, physical, n};
        }
        linear += n;
        physical += n;
        size -= n;
    }
}

static bool is_canonical(const struct paging_view *view, uint64_t linear)
{
    unsigned bits = view->state->cr4 & CR4_LA57 ? 57 : 48;

    return (uint64_t)((int64_t)(linear << (64 - bits)) >> (64 - bits)) == linear;
}

/* All that is mapped. What is not present is stepped over as far as the table that says so reaches. */
static void add_mapped(struct core *core)
{
    struct paging_view view = paging_view_of(core->machine->cpu, core->machine->memory);
    bool long_mode = view.state->efer & EFER_LMA;
    uint64_t linear = 0, last = long_mode ? UINT64_MAX : UINT32_MAX;

    if (!(view.state->cr0 & CR0_PG)) {
        add_area(core, 0, 0, core->machine->ram->size < HOLE ? core->machine->ram->size : HOLE);
        return;
    }
    for (unsigned steps = 0; steps < STEPS_MAX && core->areas < AREAS_MAX; steps++) {
        struct paging_walk walk;
        uint64_t step;
        paging_walk(&view, linear, &walk);
        unsigned shift = walk.steps ? walk.step[walk.steps - 1].shift : 12;
        step = (1ull << shift) - (linear & ((1ull << shift) - 1));
        if (walk.end == PAGING_MAPPED)
            add_area(core, linear, walk.physical, step);
        if (last - linear < step)
            return;
        linear += step;
        if (long_mode && !is_canonical(&view, linear)) /* the upper half */
            linear = view.state->cr4 & CR4_LA57 ? 0xFF00000000000000 : 0xFFFF800000000000;
    }
}

static void add_physical(struct core *core)
{
    static const uint64_t starts[] = {0, HIGH_START, FOUR_GIB};

    for (unsigned n = 0; n < (core->wide ? 3 : 2) && core->areas < AREAS_MAX; n++) {
        uint64_t left;
        if (ram_offset(core, starts[n], &left) != UINT64_MAX)
            core->area[core->areas++] = (struct area){0, starts[n], left};
    }
}

static void fill_status64(const struct cpu_state *s, struct prstatus64 *status)
{
    static const uint8_t order[] = {15, 14, 13, 12, 5, 3, 11, 10, 9, 8, 0, 1, 2, 6, 7};
    const uint64_t rest[] = {UINT64_MAX /* orig_rax: no system call */,
                             s->rip,
                             s->seg[CS].selector,
                             s->rflags,
                             s->gpr[RSP],
                             s->seg[SS].selector,
                             s->seg[FS].base,
                             s->seg[GS].base,
                             s->seg[DS].selector,
                             s->seg[ES].selector,
                             s->seg[FS].selector,
                             s->seg[GS].selector};

    *status = (struct prstatus64){.pid = 1};
    for (unsigned n = 0; n < sizeof(order); n++)
        status->reg[n] = s->gpr[order[n]];
    memcpy(status->reg + sizeof(order), rest, sizeof(rest));
}

static void fill_status32(const struct cpu_state *s, struct prstatus32 *status)
{
    static const uint8_t order[] = {3, 1, 2, 6, 7, 5, 0};
    const uint32_t rest[] = {s->seg[DS].selector,
                             s->seg[ES].selector,
                             s->seg[FS].selector,
                             s->seg[GS].selector,
                             UINT32_MAX,
                             (uint32_t)(s->seg[CS].base + s->rip), /* gdb knows no segments */
                             s->seg[CS].selector,
                             (uint32_t)s->rflags,
                             (uint32_t)(s->seg[SS].base + s->gpr[RSP]),
                             s->seg[SS].selector};

    *status = (struct prstatus32){.pid = 1};
    for (unsigned n = 0; n < sizeof(order); n++)
        status->reg[n] = (uint32_t)s->gpr[order[n]];
    memcpy(status->reg + sizeof(order), rest, sizeof(rest));
}

static void write_header(const struct core *core)
{
    Elf64_Ehdr wide = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                       .e_type = ET_CORE,
                       .e_machine = EM_X86_64,
                       .e_version = EV_CURRENT,
                       .e_phoff = sizeof(wide),
                       .e_ehsize = sizeof(wide),
                       .e_phentsize = sizeof(Elf64_Phdr),
                       .e_phnum = (Elf64_Half)(core->areas + 1)};
    Elf32_Ehdr narrow = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS32, ELFDATA2LSB, EV_CURRENT},
                         .e_type = ET_CORE,
                         .e_machine = EM_386,
                         .e_version = EV_CURRENT,
                         .e_phoff = sizeof(narrow),
                         .e_ehsize = sizeof(narrow),
                         .e_phentsize = sizeof(Elf32_Phdr),
                         .e_phnum = (Elf32_Half)(core->areas + 1)};

    fwrite(core->wide ? (void *)&wide : &narrow, core->wide ? sizeof(wide) : sizeof(narrow), 1, core->out);
}

static void write_segment(const struct core *core, uint32_t type, uint64_t offset, const struct area *area)
{
    uint32_t flags = type == PT_LOAD ? PF_R | PF_W | PF_X : 0;
    Elf64_Phdr wide = {type, flags, offset, area->linear, area->physical, area->size, area->size, 0};
    Elf32_Phdr narrow = {type,
                         (uint32_t)offset,
                         (uint32_t)area->linear,
                         (uint32_t)area->physical,
                         (uint32_t)area->size,
                         (uint32_t)area->size,
                         flags,
                         0};

    fwrite(core->wide ? (void *)&wide : &narrow, core->wide ? sizeof(wide) : sizeof(narrow), 1, core->out);
}

static void write_headers(struct core *core)
{
    struct prstatus64 wide;
    struct prstatus32 narrow;
    uint32_t status_size = core->wide ? sizeof(wide) : sizeof(narrow);
    Elf64_Nhdr note = {sizeof("CORE"), status_size, NT_PRSTATUS}; /* the same in both classes */
    uint64_t note_at = core->wide ? sizeof(Elf64_Ehdr) + (core->areas + 1) * sizeof(Elf64_Phdr)
                                  : sizeof(Elf32_Ehdr) + (core->areas + 1) * sizeof(Elf32_Phdr);

    write_header(core);
    write_segment(core, PT_NOTE, note_at,
                  &(struct area){.size = sizeof(note) + sizeof(NOTE_NAME) + status_size});
    for (unsigned n = 0; n < core->areas; n++) {
        uint64_t left;
        write_segment(core, PT_LOAD, RAM_AT + ram_offset(core, core->area[n].physical, &left),
                      &core->area[n]);
    }
    fwrite(&note, sizeof(note), 1, core->out);
    fwrite(NOTE_NAME, sizeof(NOTE_NAME), 1, core->out);
    fill_status64(cpu_state(core->machine->cpu), &wide);
    fill_status32(cpu_state(core->machine->cpu), &narrow);
    fwrite(core->wide ? (void *)&wide : &narrow, status_size, 1, core->out);
}

/* Pages of zeros become holes. */
static void write_memory(struct core *core)
{
    static const uint8_t zeros[BUS_PAGE];
    const struct host_ram *ram = core->machine->ram;

    for (uint64_t at = 0; at < ram->size && !ferror(core->out); at += BUS_PAGE)
        if (memcmp(ram->base + at, zeros, BUS_PAGE) && !fseeko(core->out, (off_t)(RAM_AT + at), SEEK_SET))
            fwrite(ram->base + at, BUS_PAGE, 1, core->out);
}

bool core_file_write(struct machine *machine, const char *path, char *why, size_t why_size)
{
    struct core *core = calloc(1, sizeof(*core));
    bool good;

    snprintf(why, why_size, "out of memory for %s", path);
    if (!core)
        return false;
    core->machine = machine;
    core->wide = cpu_state(machine->cpu)->efer & EFER_LMA;
    core->out = fopen(path, "wbe");
    good = core->out;
    if (good) {
        add_mapped(core);
        if (core->areas > AREAS_MAX - 4) /* room for the physical ones */
            core->areas = AREAS_MAX - 4;
        add_physical(core);
        write_headers(core);
        write_memory(core);
        good = !fflush(core->out) && !ferror(core->out) &&
               !ftruncate(fileno(core->out), (off_t)(RAM_AT + machine->ram->size));
    }
    if (!good)
        snprintf(why, why_size, "cannot write %s: %s", path, strerror(errno));
    if (core->out && fclose(core->out))
        good = false;
    if (!good && core->out)
        remove(path);
    free(core);
    return good;
}
