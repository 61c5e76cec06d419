/*
 * inspect_cpu.c - info about the processor: registers, and the tables that they point to.
 */
#include <inttypes.h>
#include <string.h>

#include "debug/crash.h"
#include "debug/monitor_internal.h"

bool info_registers(struct monitor_call *call)
{
    static const char *const activities[] = {"running", "halted", "shut down",
                                             "waiting for a start-up message"};
    const struct cpu_state *s = cpu_state(call->machine->cpu);

    crash_print_registers(s, call->out);
    fprintf(call->out, "The processor is %s; %" PRIu64 " instructions so far.\n",
            s->activity < 4 ? activities[s->activity] : "?", cpu_instructions(call->machine->cpu));
    fprintf(call->out, "rip is %" PRIx64, s->rip);
    monitor_print_symbol(call, s->seg[CS].base + s->rip);
    fprintf(call->out, "\n");
    return true;
}

bool info_fpu(struct monitor_call *call)
{
    const struct cpu_state *s = cpu_state(call->machine->cpu);
    unsigned top = s->fsw >> 11 & 7;

    fprintf(call->out,
            "fcw %04x  fsw %04x  tags %02x (1: in use)  fop %03x  fip %04x:%" PRIx64 "  fdp %04x:%" PRIx64
            "\n",
            s->fcw, s->fsw, s->fptag, s->fop, s->fcs, s->fip, s->fds, s->fdp);
    for (unsigned n = 0; n < 8; n++) {
        const struct f80 *st = &s->st[(top + n) & 7];

        fprintf(call->out, "st%u %04x %016" PRIx64 "%s%s", n, st->exponent, st->mantissa,
                s->fptag >> ((top + n) & 7) & 1 ? "  " : " -", n % 2 ? "\n" : "  ");
    }
    fprintf(call->out, "mxcsr %08x\n", s->mxcsr);
    for (unsigned n = 0; n < 16; n++)
        fprintf(call->out, "ymm%-2u %016" PRIx64 " %016" PRIx64 " %016" PRIx64 " %016" PRIx64 "\n", n,
                s->zmm[n].u64[3], s->zmm[n].u64[2], s->zmm[n].u64[1], s->zmm[n].u64[0]);
    return true;
}

static const struct {
    uint32_t index;
    const char *name;
} msrs[] = {
    {0x0000001b, "IA32_APIC_BASE"},      {0x0000003b, "IA32_TSC_ADJUST"},  {0x00000048, "IA32_SPEC_CTRL"},
    {0x000000fe, "IA32_MTRRCAP"},        {0x00000174, "IA32_SYSENTER_CS"}, {0x00000175, "IA32_SYSENTER_ESP"},
    {0x00000176, "IA32_SYSENTER_EIP"},   {0x000001a0, "IA32_MISC_ENABLE"}, {0x00000277, "IA32_PAT"},
    {0x000002ff, "IA32_MTRR_DEF_TYPE"},  {0x00000da0, "IA32_XSS"},         {0xc0000080, "IA32_EFER"},
    {0xc0000081, "IA32_STAR"},           {0xc0000082, "IA32_LSTAR"},       {0xc0000083, "IA32_CSTAR"},
    {0xc0000084, "IA32_FMASK"},          {0xc0000100, "IA32_FS_BASE"},     {0xc0000101, "IA32_GS_BASE"},
    {0xc0000102, "IA32_KERNEL_GS_BASE"}, {0xc0000103, "IA32_TSC_AUX"},
};

bool info_msr(struct monitor_call *call)
{
    uint64_t index, value;

    if (call->argc > 1) {
        if (!monitor_value(call, call->argv[1], &index))
            return false;
        if (index > UINT32_MAX || !cpu_read_msr(call->machine->cpu, (uint32_t)index, &value))
            return monitor_fail(call, "there is no MSR %" PRIx64, index);
        fprintf(call->out, "%08" PRIx64 " %016" PRIx64 "\n", index, value);
        return true;
    }
    for (unsigned n = 0; n < sizeof(msrs) / sizeof(*msrs); n++)
        if (cpu_read_msr(call->machine->cpu, msrs[n].index, &value))
            fprintf(call->out, "%08" PRIx32 " %-20s %016" PRIx64 "\n", msrs[n].index, msrs[n].name, value);
    return true;
}

/* --- Descriptors (SDM 3A 3.4.5, 3.5) ------------------------------------------------------------- */

static const char *system_type(unsigned type, bool lm)
{
    static const char *const legacy[16] = {"reserved",
                                           "16-bit TSS",
                                           "LDT",
                                           "busy 16-bit TSS",
                                           "16-bit call gate",
                                           "task gate",
                                           "16-bit interrupt gate",
                                           "16-bit trap gate",
                                           "reserved",
                                           "32-bit TSS",
                                           "reserved",
                                           "busy 32-bit TSS",
                                           "32-bit call gate",
                                           "reserved",
                                           "32-bit interrupt gate",
                                           "32-bit trap gate"};
    static const char *const wide[16] = {[2] = "LDT",
                                         [9] = "64-bit TSS",
                                         [11] = "busy 64-bit TSS",
                                         [12] = "64-bit call gate",
                                         [14] = "64-bit interrupt gate",
                                         [15] = "64-bit trap gate"};

    return !lm ? legacy[type] : wide[type] ? wide[type] : "reserved";
}

static void print_segment(uint64_t d, FILE *out)
{
    uint64_t base = (d >> 16 & 0xffffff) | (d >> 56 & 0xff) << 24;
    uint32_t limit = (uint32_t)((d & 0xffff) | (d >> 32 & 0xf0000));
    unsigned type = d >> 40 & 15;
    bool code = type & 8, l = d >> 53 & 1, db = d >> 54 & 1;

    if (d >> 55 & 1)
        limit = limit << 12 | 0xfff;
    fprintf(out, "base %08" PRIx64 " limit %08" PRIx32 " ", base, limit);
    if (code)
        fprintf(out, "%s-bit code, execute%s%s",
                l    ? "64"
                : db ? "32"
                     : "16",
                type & 2 ? "/read" : "-only", type & 4 ? ", conforming" : "");
    else
        fprintf(out, "%s data, read%s%s", db ? "32-bit" : "16-bit", type & 2 ? "/write" : "-only",
                type & 4 ? ", expand-down" : "");
    fprintf(out, "%s", type & 1 ? ", accessed" : "");
}

/* A gate, or a system segment; `high` is the second half where there is one. */
static void print_system(struct monitor_call *call, uint64_t d, uint64_t high, bool lm)
{
    unsigned type = d >> 40 & 15;
    bool gate = (type >= 4 && type <= 7) || type == 12 || type >= 14;
    uint64_t offset = (d & 0xffff) | (d >> 32 & 0xffff0000) | (lm ? high << 32 : 0);
    uint64_t base = (d >> 16 & 0xffffff) | (d >> 56 & 0xff) << 24 | (lm ? high << 32 : 0);
    uint32_t limit = (uint32_t)((d & 0xffff) | (d >> 32 & 0xf0000));

    fprintf(call->out, "%s", system_type(type, lm));
    if (type == 5) {
        fprintf(call->out, " to TSS %04x", (unsigned)(d >> 16 & 0xffff));
    } else if (gate) {
        fprintf(call->out, " to %04x:%0*" PRIx64, (unsigned)(d >> 16 & 0xffff), lm ? 16 : 8, offset);
        if (lm && d >> 32 & 7)
            fprintf(call->out, ", IST %u", (unsigned)(d >> 32 & 7));
        monitor_print_symbol(call, offset);
    } else {
        fprintf(call->out, " base %0*" PRIx64 " limit %08" PRIx32, lm ? 16 : 8, base,
                d >> 55 & 1 ? limit << 12 | 0xfff : limit);
    }
}

static void print_rights(uint64_t d, FILE *out)
{
    fprintf(out, ", DPL %u%s\n", (unsigned)(d >> 45 & 3), d >> 47 & 1 ? "" : ", not present");
}

bool info_gdt(struct monitor_call *call)
{
    struct cpu *cpu = call->machine->cpu;
    const struct cpu_state *s = cpu_state(cpu);
    bool lm = s->efer & EFER_LMA;

    fprintf(call->out, "GDT at %" PRIx64 ", limit %04x\n", s->gdtr.base, s->gdtr.limit);
    for (unsigned at = 0; at + 7 <= s->gdtr.limit; at += 8) {
        uint64_t d, high = 0;

        if (cpu_peek(cpu, s->gdtr.base + at, &d, 8) != 8) {
            fprintf(call->out, "%04x not mapped\n", at);
            return true;
        }
        if (!d)
            continue;
        fprintf(call->out, "%04x %016" PRIx64 " ", at, d);
        if (d >> 44 & 1) {
            print_segment(d, call->out);
        } else {
            if (lm && at + 15 <= s->gdtr.limit) {
                cpu_peek(cpu, s->gdtr.base + at + 8, &high, 8);
                at += 8;
            }
            print_system(call, d, high, lm);
        }
        print_rights(d, call->out);
    }
    return true;
}

static void print_real_vectors(struct monitor_call *call)
{
    const struct cpu_state *s = cpu_state(call->machine->cpu);

    for (unsigned n = 0; n < 256 && n * 4 + 3 <= s->idtr.limit; n++) {
        uint16_t vector[2];

        if (cpu_peek(call->machine->cpu, s->idtr.base + n * 4, vector, 4) == 4 && (vector[0] || vector[1]))
            fprintf(call->out, "%02x  %04x:%04x\n", n, vector[1], vector[0]);
    }
}

bool info_idt(struct monitor_call *call)
{
    struct cpu *cpu = call->machine->cpu;
    const struct cpu_state *s = cpu_state(cpu);
    bool lm = s->efer & EFER_LMA;
    unsigned size = lm ? 16 : 8;

    fprintf(call->out, "IDT at %" PRIx64 ", limit %04x\n", s->idtr.base, s->idtr.limit);
    if (!(s->cr0 & CR0_PE)) {
        print_real_vectors(call);
        return true;
    }
    for (unsigned n = 0; n < 256 && n * size + size - 1 <= s->idtr.limit; n++) {
        uint64_t d[2] = {0};

        if (cpu_peek(cpu, s->idtr.base + n * size, d, size) != size) {
            fprintf(call->out, "%02x  not mapped\n", n);
            return true;
        }
        if (!d[0])
            continue;
        fprintf(call->out, "%02x %-4s ", n, n < 32 ? cpu_exception_name(n) : "");
        print_system(call, d[0], d[1], lm);
        print_rights(d[0], call->out);
    }
    return true;
}

/* --- The task-state segment (SDM 3A 7.2.1, 7.7) -------------------------------------------------- */

static void print_tss_64(struct monitor_call *call, const uint8_t *tss)
{
    uint64_t value;

    for (unsigned n = 0; n < 3; n++) {
        memcpy(&value, tss + 4 + 8 * n, 8);
        fprintf(call->out, "rsp%u %016" PRIx64 "\n", n, value);
    }
    for (unsigned n = 1; n < 8; n++) {
        memcpy(&value, tss + 0x1c + 8 * n, 8);
        fprintf(call->out, "ist%u %016" PRIx64 "\n", n, value);
    }
}

static void print_tss_32(struct monitor_call *call, const uint8_t *tss)
{
    static const char *const names[] = {"cr3", "eip", "eflags", "eax", "ecx", "edx", "ebx", "esp", "ebp",
                                        "esi", "edi", "es",     "cs",  "ss",  "ds",  "fs",  "gs",  "ldt"};
    uint32_t value[2];

    for (unsigned n = 0; n < 3; n++) {
        memcpy(value, tss + 4 + 8 * n, 8);
        fprintf(call->out, "ss%u:esp%u %04x:%08" PRIx32 "\n", n, n, value[1] & 0xffff, value[0]);
    }
    for (unsigned n = 0; n < sizeof(names) / sizeof(*names); n++) {
        memcpy(value, tss + 0x1c + 4 * n, 4);
        fprintf(call->out, "%-6s %08" PRIx32 "%s", names[n], value[0], n % 4 == 3 ? "\n" : "  ");
    }
    fprintf(call->out, "\n");
}

bool info_tss(struct monitor_call *call)
{
    const struct cpu_state *s = cpu_state(call->machine->cpu);
    unsigned type = s->tr.attr & SEG_TYPE;
    uint8_t tss[104];
    uint16_t map;

    fprintf(call->out, "TR %04x: %s at %" PRIx64 ", limit %08" PRIx32 "\n", s->tr.selector,
            system_type(type, s->efer & EFER_LMA), s->tr.base, s->tr.limit);
    if (!(s->tr.attr & SEG_P) || !(type & 8)) {
        fprintf(call->out, "(no 32- or 64-bit TSS to show)\n");
        return true;
    }
    if (cpu_peek(call->machine->cpu, s->tr.base, tss, sizeof(tss)) != sizeof(tss))
        return monitor_fail(call, "the TSS is not mapped");
    if (s->efer & EFER_LMA)
        print_tss_64(call, tss);
    else
        print_tss_32(call, tss);
    memcpy(&map, tss + 102, 2);
    fprintf(call->out,
            map <= s->tr.limit ? "I/O permission bitmap at offset %04x\n"
                               : "no I/O permission bitmap (offset %04x is beyond the limit)\n",
            map);
    return true;
}
