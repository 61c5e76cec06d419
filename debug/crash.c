/*
 * crash.c - the triple fault report; see crash.h.
 */
#include <inttypes.h>
#include <string.h>

#include "cpu/paging.h"
#include "debug/crash.h"
#include "debug/history.h"
#include "debug/inspect_paging.h"
#include "debug/listing.h"
#include "debug/symbols.h"

#define CHAIN_MAX   8
#define CODE_MAX    15 /* longest instruction */
#define CODE_SHOWN  6
#define STACK_SHOWN 24 /* words */
#define PAST_SHOWN  16 /* control transfers */
#define PUSHED      64 /* bytes below RSP that delivering an exception may write */

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

    fprintf(out, "    %s %s %016" PRIx64 ", %s%s\n", error & PF_U ? "user" : "supervisor",
            error & PF_FETCH ? "fetch from"
            : error & PF_W ? "write to"
                        : "read from",
            fault->cr2, error & PF_P ? "which its protection forbids" : "where no page is present",
            error & PF_RSVD ? " (a reserved bit is set in a paging entry)" : "");
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

/* What is being reported on. */
struct crash {
    struct machine *machine;
    struct cpu *cpu;
    const struct cpu_state *state;
    struct symbols *symbols; /* NULL: none */
    FILE *out;
};

/* " <name+0x10 at file.c:12>", as far as that is known. */
static void print_place(const struct crash *crash, uint64_t linear)
{
    char name[200];
    const char *file;
    int line;

    if (!*symbols_format(crash->symbols, linear, name, sizeof(name)))
        return;
    fprintf(crash->out, " <%s", name);
    if (symbols_line(crash->symbols, linear, &file, &line))
        fprintf(crash->out, " at %s:%d", file, line);
    fprintf(crash->out, ">");
}

/* The instructions at a linear address. */
static void print_code(const struct crash *crash, uint64_t linear, unsigned bits, unsigned count)
{
    uint8_t code[CODE_SHOWN * CODE_MAX];
    size_t size = cpu_peek(crash->cpu, linear, code, count * CODE_MAX), at = 0;

    if (!size)
        fprintf(crash->out, "    no code is mapped at %016" PRIx64 "\n", linear);
    for (unsigned n = 0; n < count && at < size; n++) {
        fprintf(crash->out, "  ");
        at += listing_one(crash->out, bits, linear + at, code + at, size - at, NULL, crash->symbols);
    }
}

static uint64_t linear_of(const struct cpu_fault *fault)
{
    uint64_t linear = fault->cs_base + fault->rip;

    return fault->bits == 64 ? linear : linear & UINT32_MAX;
}

/* `before` is the fault whose delivery led to this one, NULL for the first. */
static void print_fault(const struct crash *crash, unsigned number, const struct cpu_fault *fault,
                        const struct cpu_fault *before)
{
    FILE *out = crash->out;

    fprintf(out, " %u. %s, %s, at %04x:%0*" PRIx64 " (%u-bit code)", number,
            cpu_exception_name(fault->vector), meaning(fault->vector), fault->cs, fault->bits == 64 ? 16 : 8,
            fault->rip, fault->bits);
    if (fault->has_error)
        fprintf(out, ", error code %04" PRIx32, fault->error);
    fprintf(out, ", rsp %016" PRIx64, fault->rsp);
    print_place(crash, linear_of(fault));
    fprintf(out, "\n");
    if (fault->vector == VECTOR_PF)
        print_page_fault(fault, out);
    else if (fault->has_error && fault->vector >= VECTOR_TS && fault->vector <= VECTOR_GP)
        print_selector(fault, out);
    if (!before || linear_of(before) != linear_of(fault))
        print_code(crash, linear_of(fault), fault->bits, 1);
}

/* Why the first exception's handler didn't run, by what the second one says. */
static void print_undelivered(const struct crash *crash, const struct cpu_fault *first,
                              const struct cpu_fault *second)
{
    const struct cpu_state *s = crash->state;
    unsigned entry = s->efer & EFER_LMA ? 16 : s->cr0 & CR0_PE ? 8 : 4, vector = second->error >> 3 & 0xFF;

    fprintf(crash->out, "Its handler did not run: ");
    if (second->vector == VECTOR_PF && second->cr2 < second->rsp && second->rsp - second->cr2 <= PUSHED)
        fprintf(crash->out,
                "the exception could not be pushed onto the stack at %016" PRIx64 " (a stack overflow?).\n",
                second->rsp);
    else if (second->vector == VECTOR_PF)
        fprintf(crash->out, "delivering it needed %016" PRIx64 ", which is not mapped for that.\n",
                second->cr2);
    else if ((second->error & 2) && !s->idtr.base && s->idtr.limit == 0xFFFF && (s->cr0 & CR0_PE))
        fprintf(crash->out, "there is no IDT (IDTR is as after a reset: LIDT was not executed).\n");
    else if ((second->error & 2) && (vector + 1) * entry - 1 > s->idtr.limit)
        fprintf(crash->out, "the IDT ends before vector %u (its limit is %04x).\n", vector, s->idtr.limit);
    else if (second->error & 2)
        fprintf(crash->out, "the IDT's gate of vector %u is %s.\n", vector,
                second->vector == VECTOR_NP ? "not present" : "no interrupt or trap gate that can be used");
    else if (second->vector >= VECTOR_TS && second->vector <= VECTOR_GP && (second->error & 0xFFFC))
        fprintf(crash->out, "selector %04" PRIx32 " of its code or stack can't be used.\n",
                second->error & 0xFFFC);
    else
        fprintf(crash->out, "delivering %s raised %s.\n", cpu_exception_name(first->vector),
                cpu_exception_name(second->vector));
}

/* What began it, in a sentence or two. */
static void print_cause(const struct crash *crash, const struct cpu_fault *chain, unsigned count)
{
    fprintf(crash->out, "The cause: %s (%s) at %016" PRIx64, meaning(chain[0].vector),
            cpu_exception_name(chain[0].vector), linear_of(&chain[0]));
    print_place(crash, linear_of(&chain[0]));
    fprintf(crash->out, ".\n");
    if (chain[0].vector == VECTOR_PF)
        print_page_fault(&chain[0], crash->out);
    if (count > 1)
        print_undelivered(crash, &chain[0], &chain[1]);
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

/* The top of the stack; what points to code has its name. */
static void print_stack(const struct crash *crash)
{
    const struct cpu_state *s = crash->state;
    unsigned bits = cpu_code_bits(s), size = bits == 64 ? 8 : s->seg[SS].attr & SEG_DB ? 4 : 2;
    uint64_t rsp = bits == 64 ? s->gpr[RSP] : s->gpr[RSP] & (size == 4 ? UINT32_MAX : UINT16_MAX);
    uint64_t linear = bits == 64 ? rsp : (s->seg[SS].base + rsp) & UINT32_MAX;
    uint8_t words[STACK_SHOWN * 8];
    size_t got = cpu_peek(crash->cpu, linear, words, (size_t)STACK_SHOWN * size) / size;

    fprintf(crash->out, "The stack at %016" PRIx64 "%s\n", linear, got ? ":" : ", where nothing is mapped.");
    for (size_t n = 0; n < got; n++) {
        uint64_t word = 0, offset;
        memcpy(&word, words + n * size, size);
        if (symbols_at(crash->symbols, word, &offset) && word > UINT16_MAX) {
            fprintf(crash->out, "  %016" PRIx64 "  %0*" PRIx64, linear + n * size, (int)size * 2, word);
            print_place(crash, word);
            fprintf(crash->out, "\n");
        } else if (n < 8) {
            fprintf(crash->out, "  %016" PRIx64 "  %0*" PRIx64 "\n", linear + n * size, (int)size * 2, word);
        }
    }
}

static void print_past(const struct crash *crash)
{
    fprintf(crash->out, "%s, the latest last:\n",
            cpu_keeps_branches(crash->cpu) ? "The last branches"
                                           : "The last exceptions, interrupts, far transfers and system calls");
    if (!history_print(crash->cpu, crash->symbols, PAST_SHOWN, crash->out))
        fprintf(crash->out, "  none\n");
}

static void print_all(const struct crash *crash, const char *reason)
{
    const struct cpu_state *s = crash->state;
    uint64_t linear = s->seg[CS].base + s->rip;
    struct cpu_fault chain[CHAIN_MAX];
    unsigned count = s->activity == CPU_SHUTDOWN ? cpu_chain(crash->cpu, chain, CHAIN_MAX) : 0;
    FILE *out = crash->out;

    if (*reason)
        fprintf(out, "The run was stopped: %s.\n", reason);
    else
        fprintf(out, "The guest crashed: a triple fault shut its processor down.\n");
    if (count) {
        print_cause(crash, chain, count);
        fprintf(out, "The exceptions that led there, the original one first:\n");
    }
    for (unsigned i = 0; i < count; i++)
        print_fault(crash, i + 1, &chain[i], i ? &chain[i - 1] : NULL);
    crash_print_registers(s, out);
    if (cpu_code_bits(s) != 64)
        linear &= UINT32_MAX;
    fprintf(out, "The code at CS:RIP:\n");
    print_code(crash, linear, cpu_code_bits(s), CODE_SHOWN);
    print_stack(crash);
    print_past(crash);
    if (count && chain[0].vector == VECTOR_PF) {
        struct paging_view view = paging_view_of(crash->cpu, crash->machine->memory);
        fprintf(out, "The address that could not be reached: ");
        paging_explain(&view, chain[0].cr2, out);
    }
    fflush(out);
}

void crash_report(struct machine *machine, const char *reason, FILE *out)
{
    const char *names = machine->options->symbols ? machine->options->symbols : machine->kernel_name;
    char why[300];
    struct crash crash = {.machine = machine, .cpu = machine->cpu, .out = out};

    machine->vcpu.engine->pull(machine->cpu);
    crash.state = cpu_state(machine->cpu);
    /* A kernel without names is no reason to complain now. */
    crash.symbols = names ? symbols_read(names, why, sizeof(why)) : NULL;
    print_all(&crash, reason);
    symbols_free(crash.symbols);
}
