/*
 * gdb_monitor.c - GDB's `monitor` commands: what a CPU has to say that GDB's own commands don't ask for.
 */
#include "debug/gdb_internal.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "debug/listing.h"

#define WORDS     6u
#define DUMP_MOST 4096u
#define CODE_MOST 64u /* instructions */
#define INSN_MAX  15u

struct words {
    char text[512];
    char *word[WORDS + 1]; /* NULL where there are no more */
    unsigned count;
};

static void split(struct words *w, const char *line)
{
    char *at = w->text;

    snprintf(w->text, sizeof(w->text), "%s", line);
    memset(w->word, 0, sizeof(w->word));
    w->count = 0;
    while (w->count < WORDS) {
        at += strspn(at, " \t");
        if (!*at)
            break;
        w->word[w->count++] = at;
        at += strcspn(at, " \t");
        if (*at)
            *at++ = 0;
    }
}

/* 0x, decimal or octal as C has it; the whole word. */
static bool number(const char *word, uint64_t *value)
{
    char *end;

    if (!word || !isdigit((unsigned char)*word))
        return false;
    *value = strtoull(word, &end, 0);
    return !*end;
}

/* --- What stops the CPU --------------------------------------------------------------------------- */

/* "#GP", "gp", "13"; -1: none. */
static int exception_named(const char *word)
{
    uint64_t n;

    if (number(word, &n))
        return n < 32 ? (int)n : -1;
    if (word)
        word += *word == '#';
    for (unsigned v = 0; word && v < 22; v++) {
        const char *name = cpu_exception_name(v);

        if (!strcasecmp(name + (*name == '#'), word))
            return (int)v;
    }
    return -1;
}

static const struct {
    const char *name, *usage, *about;
    enum cpu_stop_kind kind;
} events[] = {
    {"exception", "exception NAME|N",
     "before this exception is delivered (NAME like #GP; \"break-on #GP\" will do)", CPU_STOP_EXCEPTION},
    {"interrupt", "interrupt N|any", "at the handler of this vector: of an interrupt, NMI or INT n",
     CPU_STOP_INTERRUPT},
    {"cr3", "cr3", "after CR3 was loaded", CPU_STOP_CR3},
    {"mode", "mode", "after CR0.PE, CR0.PG or EFER.LMA changed", CPU_STOP_MODE},
    {"port", "port N [COUNT]", "after I/O ports were used", CPU_STOP_PORT},
    {"magic", "magic", "after XCHG BX,BX", CPU_STOP_MAGIC},
    {"phys-write", "phys-write ADDRESS [SIZE]", "after this physical memory was written", CPU_STOP_WRITE},
    {"phys-read", "phys-read ADDRESS [SIZE]", "after it was read", CPU_STOP_READ},
    {"phys-access", "phys-access ADDRESS [SIZE]", "after either", CPU_STOP_ACCESS},
};
#define EVENTS (sizeof(events) / sizeof(events[0]))

/* The stop that the words name, the first one at `word`; NULL or what is wrong. */
static const char *parse_stop(char **word, struct cpu_stop *stop)
{
    unsigned e = 0;
    int vector;

    if (!word[0])
        return "of what?";
    while (e < EVENTS && strcmp(events[e].name, word[0]))
        e++;
    if (e == EVENTS) {
        vector = exception_named(word[0]);
        if (vector < 0)
            return "there is no such event; see monitor help";
        *stop = (struct cpu_stop){.kind = CPU_STOP_EXCEPTION, .address = (unsigned)vector};
        return word[1] ? "there is a word too many" : NULL;
    }
    *stop = (struct cpu_stop){.kind = events[e].kind, .physical = !strncmp(word[0], "phys-", 5)};
    switch (stop->kind) {
    case CPU_STOP_CR3:
    case CPU_STOP_MODE:
    case CPU_STOP_MAGIC:
        stop->size = UINT64_MAX;
        return word[1] ? "there is a word too many" : NULL;
    case CPU_STOP_EXCEPTION:
        vector = exception_named(word[1]);
        stop->address = (unsigned)vector;
        return vector < 0 ? "which exception? a name like #GP, or 0 to 31"
               : word[2]  ? "there is a word too many"
                          : NULL;
    case CPU_STOP_INTERRUPT:
        if (word[1] && !strcmp(word[1], "any")) {
            stop->size = 256;
            return NULL;
        }
        return number(word[1], &stop->address) && stop->address < 256 ? NULL
                                                                      : "which vector? 0 to 255, or any";
    default:
        if (!number(word[1], &stop->address) || (word[2] && !number(word[2], &stop->size)))
            return "at which number? like 0x3f8, and how many behind it";
        return NULL;
    }
}

static void print_stop(const struct cpu_stop *stop, FILE *out)
{
    for (unsigned e = 0; e < EVENTS; e++) {
        if (events[e].kind != stop->kind)
            continue;
        if (stop->kind == CPU_STOP_EXCEPTION)
            fprintf(out, "%s", cpu_exception_name((unsigned)stop->address));
        else
            fprintf(out, "%s", events[e].name);
        if (stop->kind == CPU_STOP_INTERRUPT && stop->size == 256)
            fprintf(out, " any");
        else if (stop->kind == CPU_STOP_INTERRUPT || stop->kind == CPU_STOP_PORT || stop->physical)
            fprintf(out, " 0x%" PRIx64, stop->address);
        return;
    }
}

static void break_on(struct gdb *g, struct words *w, FILE *out)
{
    struct cpu_stop stop;
    const char *wrong = parse_stop(w->word + 1, &stop);

    stop.owner = gdb_owner(g, GDB_OWNER_MONITOR);
    if (wrong) {
        fprintf(out, "break-on: %s\n", wrong);
    } else if (!gdb_add_stop(g, &stop)) {
        fprintf(out, "break-on: out of memory\n");
    } else {
        fprintf(out, "stops at: ");
        print_stop(&stop, out);
        fprintf(out, "\n");
    }
}

static void break_off(struct gdb *g, struct words *w, FILE *out)
{
    struct cpu_stop stop;
    const char *wrong;

    if (w->word[1] && !strcmp(w->word[1], "all")) {
        for (unsigned n = 0; n < g->target->cpu_count; n++)
            cpu_stop_remove_all(g->target->cpus[n], gdb_owner(g, GDB_OWNER_MONITOR));
        return;
    }
    wrong = parse_stop(w->word + 1, &stop);
    stop.owner = gdb_owner(g, GDB_OWNER_MONITOR);
    if (wrong)
        fprintf(out, "break-off: %s\n", wrong);
    else if (!gdb_remove_stop(g, &stop))
        fprintf(out, "break-off: that was not set\n");
}

bool gdb_explain(struct gdb *g, const struct cpu_stopped *hit, FILE *out)
{
    const struct cpu_state *s = cpu_state(gdb_cpu(g));

    if (hit->stop.owner != gdb_owner(g, GDB_OWNER_MONITOR))
        return false;
    switch (hit->stop.kind) {
    case CPU_STOP_EXCEPTION:
        fprintf(out, "%s", cpu_exception_name((unsigned)hit->address));
        if (hit->has_error)
            fprintf(out, ", error code 0x%x", hit->error);
        if (hit->address == 14)
            fprintf(out, ", at address 0x%" PRIx64, s->cr2);
        fprintf(out, "; not delivered yet\n");
        break;
    case CPU_STOP_INTERRUPT:
        fprintf(out, "interrupt 0x%02" PRIx64 "\n", hit->address);
        break;
    case CPU_STOP_MODE:
        fprintf(out, "mode switch: CR0 0x%" PRIx64 ", EFER 0x%" PRIx64 "\n", s->cr0, s->efer);
        break;
    case CPU_STOP_CR3:
        fprintf(out, "CR3 loaded: 0x%" PRIx64 "\n", s->cr3);
        break;
    case CPU_STOP_PORT:
        fprintf(out, "port 0x%" PRIx64 " %s\n", hit->address, hit->write ? "written" : "read");
        break;
    case CPU_STOP_MAGIC:
        fprintf(out, "xchg bx,bx\n");
        break;
    default:
        fprintf(out, "physical memory watched at 0x%" PRIx64 " %s, by linear address 0x%" PRIx64 "\n",
                hit->stop.address, hit->write ? "written" : "read", hit->address);
    }
    return true;
}

/* --- Code ----------------------------------------------------------------------------------------- */

/* The first `count` lines of a listing, which goes on as far as there is code. */
static void print_lines(const char *listing, unsigned count, FILE *out)
{
    while (count-- && *listing) {
        size_t length = strcspn(listing, "\n") + 1;

        fwrite(listing, 1, length, out);
        listing += length;
    }
}

static void list_code(struct gdb *g, uint64_t address, unsigned count, FILE *out)
{
    const struct cpu_state *s = cpu_state(gdb_cpu(g));
    uint8_t code[CODE_MOST * INSN_MAX];
    size_t got = gdb_read_memory(g, address, code, count * INSN_MAX), size;
    uint64_t pc = gdb_pc(s);
    char *listing = NULL;
    FILE *lines = open_memstream(&listing, &size);

    if (!lines)
        return;
    listing_print(lines, cpu_code_bits(s), address, code, got,
                  pc - address < got ? code + (pc - address) : NULL);
    if (!fclose(lines) && got)
        print_lines(listing, count, out);
    else
        fprintf(out, "  no memory at 0x%" PRIx64 "\n", address);
    free(listing);
}

static void where(struct gdb *g, struct words *w, FILE *out)
{
    const struct cpu_state *s = cpu_state(gdb_cpu(g));
    const char *mode = s->efer & EFER_LMA    ? cpu_code_bits(s) == 64 ? "64-bit mode" : "compatibility mode"
                       : !(s->cr0 & CR0_PE)  ? "real mode"
                       : s->rflags & FLAG_VM ? "virtual-8086 mode"
                                             : "protected mode";

    (void)w;
    fprintf(out, "%s, %u-bit code, ring %u, paging %s; cs:ip %04x:%0*" PRIx64 ", linear 0x%" PRIx64 "\n",
            mode, cpu_code_bits(s), s->cpl, s->cr0 & CR0_PG ? "on" : "off", s->seg[CS].selector,
            (int)(cpu_code_bits(s) / 4), s->rip, gdb_pc(s));
    list_code(g, gdb_pc(s), 1, out);
}

static void disas(struct gdb *g, struct words *w, FILE *out)
{
    uint64_t address = gdb_pc(cpu_state(gdb_cpu(g))), count = 10;

    if ((w->word[1] && !number(w->word[1], &address)) || (w->word[2] && !number(w->word[2], &count))) {
        fprintf(out, "disas: takes an address and how many instructions; both as numbers\n");
        return;
    }
    list_code(g, address, count < CODE_MOST ? (unsigned)count : CODE_MOST, out);
}

/* --- Memory --------------------------------------------------------------------------------------- */

static void dump(const uint8_t *data, size_t size, uint64_t address, FILE *out)
{
    for (size_t line = 0; line < size; line += 16) {
        fprintf(out, "%016" PRIx64 " ", address + line);
        for (size_t n = line; n < line + 16; n++)
            n < size ? fprintf(out, " %02x", data[n]) : fprintf(out, "   ");
        fprintf(out, "  ");
        for (size_t n = line; n < size && n < line + 16; n++)
            fputc(isprint(data[n]) ? data[n] : '.', out);
        fprintf(out, "\n");
    }
}

static void phys(struct gdb *g, struct words *w, FILE *out)
{
    uint64_t address, size = 64;
    bool before = g->physical;
    uint8_t data[DUMP_MOST];
    size_t got;

    if (!w->word[1] || !strcmp(w->word[1], "on") || !strcmp(w->word[1], "off")) {
        if (w->word[1])
            g->physical = !strcmp(w->word[1], "on");
        fprintf(out, "addresses of memory are %s\n", g->physical ? "physical" : "linear");
        return;
    }
    if (!number(w->word[1], &address) || (w->word[2] && !number(w->word[2], &size))) {
        fprintf(out, "phys: takes on, off, or an address and a size\n");
        return;
    }
    g->physical = true;
    got = gdb_read_memory(g, address, data, size < sizeof(data) ? size : sizeof(data));
    g->physical = before;
    dump(data, got, address, out);
    if (got < size && got < sizeof(data))
        fprintf(out, "no memory at 0x%" PRIx64 "\n", address + got);
}

static void translate(struct gdb *g, struct words *w, FILE *out)
{
    uint64_t linear, physical;

    if (!number(w->word[1], &linear)) {
        fprintf(out, "translate: which linear address?\n");
        return;
    }
    physical = cpu_translate(gdb_cpu(g), linear);
    if (physical == UINT64_MAX)
        fprintf(out, "0x%" PRIx64 " is not mapped\n", linear);
    else
        fprintf(out, "0x%" PRIx64 " is at physical 0x%" PRIx64 "\n", linear, physical);
}

/* --- Model-specific registers --------------------------------------------------------------------- */

static const struct {
    uint32_t index;
    const char *name;
} msr_names[] = {
    {0x10, "TSC"},           {0x1b, "APIC_BASE"},     {0x174, "SYSENTER_CS"},  {0x175, "SYSENTER_ESP"},
    {0x176, "SYSENTER_EIP"}, {0x1a0, "MISC_ENABLE"},  {0x277, "PAT"},          {0x2ff, "MTRR_DEF_TYPE"},
    {0xc0000080, "EFER"},    {0xc0000081, "STAR"},    {0xc0000082, "LSTAR"},   {0xc0000083, "CSTAR"},
    {0xc0000084, "SFMASK"},  {0xc0000100, "FS_BASE"}, {0xc0000101, "GS_BASE"}, {0xc0000102, "KERNEL_GS_BASE"},
    {0xc0000103, "TSC_AUX"},
};
#define MSR_NAMES (sizeof(msr_names) / sizeof(msr_names[0]))

static void msrs(struct gdb *g, struct words *w, FILE *out)
{
    uint64_t value;

    (void)w;
    for (unsigned n = 0; n < MSR_NAMES; n++)
        if (cpu_read_msr(gdb_cpu(g), msr_names[n].index, &value))
            fprintf(out, "%08x %-15s 0x%016" PRIx64 "\n", msr_names[n].index, msr_names[n].name, value);
}

static void msr(struct gdb *g, struct words *w, FILE *out)
{
    uint64_t index = 0, value;
    bool known = number(w->word[1], &index) && index <= UINT32_MAX;

    for (unsigned n = 0; n < MSR_NAMES && w->word[1] && !known; n++)
        if (!strcasecmp(msr_names[n].name, w->word[1])) {
            index = msr_names[n].index;
            known = true;
        }
    if (!known) {
        fprintf(out, "msr: takes a number, or a name that monitor msrs lists, and maybe a value\n");
        return;
    }
    if (w->word[2]) {
        if (!number(w->word[2], &value) || !cpu_write_msr(gdb_cpu(g), (uint32_t)index, value)) {
            fprintf(out, "msr: the guest would get #GP for that\n");
            return;
        }
        if (g->target->changed)
            g->target->changed(g->target->opaque, g->cpu);
    }
    if (cpu_read_msr(gdb_cpu(g), (uint32_t)index, &value))
        fprintf(out, "%08" PRIx64 " 0x%016" PRIx64 "\n", index, value);
    else
        fprintf(out, "msr: the guest would get #GP for that\n");
}

/* --- The rest ------------------------------------------------------------------------------------- */

static void arch(struct gdb *g, struct words *w, FILE *out)
{
    static const char *const names[] = {"auto", "x86-64", "i386"};

    for (unsigned n = 0; w->word[1] && n < 3; n++)
        if (!strcmp(w->word[1], names[n])) {
            g->arch = n;
            fprintf(out, "in effect when GDB reads the description again: disconnect and connect, or "
                         "`unset tdesc filename`\n");
            return;
        }
    fprintf(out, "GDB was told: %s. Choose with arch auto, x86-64 or i386\n", names[1 + g->described]);
}

static void help(struct gdb *g, struct words *w, FILE *out);

static const struct {
    const char *name, *usage, *about;
    void (*run)(struct gdb *g, struct words *w, FILE *out);
} commands[] = {
    {"help", "help", "this list", help},
    {"where", "where", "the mode, CS:IP and the next instruction, decoded as the CPU will", where},
    {"disas", "disas [ADDRESS [N]]", "instructions, decoded in the CPU's present mode", disas},
    {"phys", "phys on|off", "GDB's memory commands take physical addresses from now on, or linear ones again",
     phys},
    {"phys", "phys ADDRESS [SIZE]", "shows physical memory", phys},
    {"translate", "translate ADDRESS", "where a linear address is", translate},
    {"msrs", "msrs", "model-specific registers", msrs},
    {"msr", "msr NAME|NUMBER [VALUE]", "one of them, read or written", msr},
    {"break-on", "break-on EVENT", "stops at an event:", break_on},
    {"break-off", "break-off EVENT|all", "no longer does", break_off},
    {"arch", "arch auto|x86-64|i386", "what GDB is told the processor to be", arch},
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void help(struct gdb *g, struct words *w, FILE *out)
{
    (void)w;
    for (unsigned n = 0; n < COMMANDS; n++) {
        fprintf(out, "monitor %-26s %s\n", commands[n].usage, commands[n].about);
        for (unsigned e = 0; commands[n].run == break_on && e < EVENTS; e++)
            fprintf(out, "        %-26s %s\n", events[e].usage, events[e].about);
    }
    if (g->target->commands)
        g->target->commands(g->target->opaque, out);
}

void gdb_monitor(struct gdb *g, const char *line, FILE *out)
{
    struct words w;

    split(&w, line);
    if (!w.count)
        return;
    for (unsigned n = 0; n < COMMANDS; n++)
        if (!strcmp(commands[n].name, w.word[0])) {
            commands[n].run(g, &w, out);
            return;
        }
    if (!g->target->command || !g->target->command(g->target->opaque, line, out))
        fprintf(out, "there is no command \"%s\"; monitor help lists them\n", w.word[0]);
}
