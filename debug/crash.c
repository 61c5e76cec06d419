/*
 * crash.c - the triple fault report; see crash.h.
 */
#include <inttypes.h>
#include <string.h>

#include <Zydis/Zydis.h>

#include "debug/crash.h"

#define CHAIN_MAX 8
#define CODE_MAX  15 /* longest instruction */

enum { VECTOR_DF = 8, VECTOR_TS = 10, VECTOR_NP, VECTOR_SS, VECTOR_GP, VECTOR_PF };

/* SDM 3A table 6-1. */
static const char *const meanings[] = {
    [0] = "divide error",
    [1] = "debug exception",
    [2] = "non-maskable interrupt",
    [3] = "breakpoint",
    [4] = "overflow",
    [5] = "bound range exceeded",
    [6] = "invalid opcode",
    [7] = "no FPU, or its state not loaded (CR0.TS or EM)",
    [8] = "double fault",
    [10] = "invalid task-state segment",
    [11] = "segment not present",
    [12] = "stack segment fault",
    [13] = "general protection",
    [14] = "page fault",
    [16] = "x87 error",
    [17] = "misaligned access",
    [18] = "machine check",
    [19] = "SIMD floating-point error",
};

static const char *meaning(unsigned vector)
{
    const char *text = vector < sizeof(meanings) / sizeof(*meanings) ? meanings[vector] : NULL;

    return text ? text : "interrupt";
}

/* SDM 3A 4.7. */
static void print_page_fault(const struct cpu_fault *fault, FILE *out)
{
    uint32_t error = fault->error;

    fprintf(out, "    %s %s %016" PRIx64 ", %s%s\n", error & 4 ? "user" : "supervisor",
            error & 16  ? "fetch from"
            : error & 2 ? "write to"
                        : "read from",
            fault->cr2, error & 1 ? "which its protection forbids" : "where no page is present",
            error & 8 ? " (a reserved bit is set in a paging entry)" : "");
}

/* SDM 3A 6.13: the selector that was at fault. */
static void print_selector(const struct cpu_fault *fault, FILE *out)
{
    uint32_t error = fault->error;

    if (!(error & 0xFFFF))
        return;
    if (error & 2)
        fprintf(out, "    at the gate of vector %" PRIu32 " in the IDT", error >> 3 & 0x1FFF);
    else
        fprintf(out, "    at selector %04" PRIx32 " in the %s", error & 0xFFF8, error & 4 ? "LDT" : "GDT");
    fprintf(out, "%s\n", error & 1 ? ", while delivering another event" : "");
}

static ZydisMachineMode machine_mode(unsigned bits)
{
    return bits == 64   ? ZYDIS_MACHINE_MODE_LONG_64
           : bits == 32 ? ZYDIS_MACHINE_MODE_LEGACY_32
                        : ZYDIS_MACHINE_MODE_LEGACY_16;
}

/* The instruction at a linear address, as bytes and as text. */
static void print_code(struct cpu *cpu, uint64_t linear, uint64_t rip, unsigned bits, FILE *out)
{
    ZydisDisassembledInstruction insn;
    uint8_t code[CODE_MAX];
    size_t size = cpu_peek(cpu, linear, code, sizeof(code));

    if (!size) {
        fprintf(out, "    code: not mapped\n");
        return;
    }
    bool known = ZYAN_SUCCESS(ZydisDisassembleIntel(machine_mode(bits), rip, code, size, &insn));
    if (known)
        size = insn.info.length;
    fprintf(out, "    code:");
    for (size_t i = 0; i < size; i++)
        fprintf(out, " %02x", code[i]);
    fprintf(out, "  %s\n", known ? insn.text : "(no instruction)");
}

static uint64_t linear_of(const struct cpu_fault *fault)
{
    uint64_t linear = fault->cs_base + fault->rip;

    return fault->bits == 64 ? linear : linear & UINT32_MAX;
}

/* `before` is the fault whose delivery led to this one, NULL for the first. */
static void print_fault(struct cpu *cpu, unsigned number, const struct cpu_fault *fault,
                        const struct cpu_fault *before, FILE *out)
{
    fprintf(out, " %u. %s, %s, at %04x:%0*" PRIx64 " (%u-bit code)", number,
            cpu_exception_name(fault->vector), meaning(fault->vector), fault->cs, fault->bits == 64 ? 16 : 8,
            fault->rip, fault->bits);
    if (fault->has_error)
        fprintf(out, ", error code %04" PRIx32, fault->error);
    fprintf(out, ", rsp %016" PRIx64 "\n", fault->rsp);
    if (fault->vector == VECTOR_PF)
        print_page_fault(fault, out);
    else if (fault->has_error && fault->vector >= VECTOR_TS && fault->vector <= VECTOR_GP)
        print_selector(fault, out);
    if (!before || linear_of(before) != linear_of(fault))
        print_code(cpu, linear_of(fault), fault->rip, fault->bits, out);
}

static const char *mode_name(const struct cpu_state *state)
{
    if (state->efer & EFER_LMA)
        return state->seg[CS].attr & SEG_L ? "64-bit mode" : "compatibility mode";
    if (!(state->cr0 & CR0_PE))
        return "real mode";
    return state->rflags & FLAG_VM ? "virtual-8086 mode" : "protected mode";
}

static const char *paging_name(const struct cpu_state *state)
{
    if (!(state->cr0 & CR0_PG))
        return "no paging";
    if (state->efer & EFER_LMA)
        return state->cr4 & CR4_LA57 ? "5-level paging" : "4-level paging";
    return state->cr4 & CR4_PAE ? "PAE paging" : "32-bit paging";
}

static void print_segment(const char *name, const struct segment *segment, FILE *out)
{
    fprintf(out, "  %-4s %04x base %016" PRIx64 " limit %08" PRIx32 " attributes %05" PRIx32 "%s\n", name,
            segment->selector, segment->base, segment->limit, segment->attr,
            segment->attr & SEG_UNUSABLE ? " (unusable)" : "");
}

void crash_print_registers(const struct cpu_state *state, FILE *out)
{
    static const char *const names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                          "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    static const char *const segments[SEG_COUNT] = {"es", "cs", "ss", "ds", "fs", "gs"};

    fprintf(out, "Registers (%s, %u-bit code, CPL %u, %s):\n", mode_name(state), cpu_code_bits(state),
            state->cpl, paging_name(state));
    for (int i = 0; i < 16; i++)
        fprintf(out, "  %-3s %016" PRIx64 "%s", names[i], state->gpr[i], i % 4 == 3 ? "\n" : "");
    fprintf(out, "  rip %016" PRIx64 "  rflags %08" PRIx64 "\n", state->rip, state->rflags);
    for (int i = 0; i < SEG_COUNT; i++)
        print_segment(segments[i], &state->seg[i], out);
    print_segment("ldtr", &state->ldtr, out);
    print_segment("tr", &state->tr, out);
    fprintf(out, "  gdtr base %016" PRIx64 " limit %04x\n", state->gdtr.base, state->gdtr.limit);
    fprintf(out, "  idtr base %016" PRIx64 " limit %04x\n", state->idtr.base, state->idtr.limit);
    fprintf(out,
            "  cr0 %08" PRIx64 "  cr2 %016" PRIx64 "  cr3 %016" PRIx64 "  cr4 %08" PRIx64 "  efer %04" PRIx64
            "\n",
            state->cr0, state->cr2, state->cr3, state->cr4, state->efer);
    fprintf(out, "  dr6 %08" PRIx64 "  dr7 %08" PRIx64 "\n", state->dr[6], state->dr[7]);
}

void crash_report(struct cpu *cpu, FILE *out)
{
    struct cpu_fault chain[CHAIN_MAX];
    unsigned count = cpu_chain(cpu, chain, CHAIN_MAX);

    cpu_pull(cpu);
    const struct cpu_state *state = cpu_state(cpu);

    fprintf(out, "The guest crashed: a triple fault shut its processor down.\n");
    if (count)
        fprintf(out, "The exceptions that led there, the original one first:\n");
    for (unsigned i = 0; i < count; i++)
        print_fault(cpu, i + 1, &chain[i], i ? &chain[i - 1] : NULL, out);
    crash_print_registers(state, out);
    fprintf(out, "The code at CS:RIP:\n");
    uint64_t linear = state->seg[CS].base + state->rip;
    unsigned bits = cpu_code_bits(state);
    print_code(cpu, bits == 64 ? linear : linear & UINT32_MAX, state->rip, bits, out);
    fflush(out);
}
