/*
 * check_compare.c - the interpreter's outcome of a block beside translated code's, and what is said of a
 * difference.
 */
#include <stdio.h>
#include <string.h>

#include "cpu/jit/check.h"

bool check_undefined_flags(const struct trace *t, uint64_t count, uint32_t *undefined)
{
    *undefined = 0;
    for (unsigned slot = 0; count--; slot += t->insn[slot].flags & INSN_LINKED ? 2 : 1) {
        const struct insn *i = &t->insn[slot];
        const struct opcode_row *row = &opcode_rows[i->row];
        bool shift = (row->map == 0 && (row->opcode & 0xee) == 0xc0) ||
                     (row->map == 0 && (row->opcode & 0xfe) == 0xd2) ||
                     (row->map == 1 && (row->opcode & 0xf6) == 0xa4);

        if (i->row == UINT16_MAX)
            continue;
        if (row->flags_read & *undefined)
            return false;
        if (!shift && !(i->flags & (INSN_REP | INSN_REPNE))) /* they may write none */
            *undefined &= ~row->flags_written;
        *undefined |= row->flags_undefined;
    }
    return true;
}

static void say(struct checker *c, const char *name, uint64_t interpreted, uint64_t translated)
{
    size_t length = strlen(c->text);

    snprintf(c->text + length, sizeof(c->text) - length, "%s: interpreted %016llx, translated %016llx\n",
             name, (unsigned long long)interpreted, (unsigned long long)translated);
}

static void compare_state(struct checker *c, uint32_t undefined)
{
    static const char *const names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                          "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    const struct outcome *a = &c->interpreted;
    struct outcome *b = &c->translated;
    uint64_t rflags = b->s.rflags;
    char name[80];

    if (((a->s.rflags ^ rflags) & ~(uint64_t)undefined))
        say(c, "rflags", a->s.rflags & ~(uint64_t)undefined, rflags & ~(uint64_t)undefined);
    if (a->retired != b->retired)
        say(c, "instructions", a->retired - c->before.retired, b->retired - c->before.retired);
    if (a->faulted != b->faulted || (a->faulted && a->fault.vector != b->fault.vector))
        say(c, "exception", (uint64_t)(a->faulted ? a->fault.vector : -1),
            (uint64_t)(b->faulted ? b->fault.vector : -1));
    else if (a->faulted && (a->fault.error != b->fault.error || a->fault.has_error != b->fault.has_error))
        say(c, "error code", a->fault.error, b->fault.error);
    b->s.rflags = a->s.rflags;
    if (memcmp(&a->s, &b->s, sizeof(a->s)) &&
        !fields_equal(cpu_state_fields, &a->s, &b->s, name, sizeof(name))) {
        size_t length;

        for (unsigned n = 0; n < 16; n++)
            if (a->s.gpr[n] != b->s.gpr[n])
                say(c, names[n], a->s.gpr[n], b->s.gpr[n]);
        if (a->s.rip != b->s.rip)
            say(c, "rip", a->s.rip, b->s.rip);
        if (a->s.mxcsr != b->s.mxcsr)
            say(c, "mxcsr", a->s.mxcsr, b->s.mxcsr);
        for (unsigned n = 0; n < 16 * 8; n++)
            if (a->s.zmm[n / 8].u64[n % 8] != b->s.zmm[n / 8].u64[n % 8]) {
                snprintf(name, sizeof(name), "xmm%u, quadword %u", n / 8, n % 8);
                say(c, name, a->s.zmm[n / 8].u64[n % 8], b->s.zmm[n / 8].u64[n % 8]);
            }
        length = strlen(c->text);
        fields_equal(cpu_state_fields, &a->s, &b->s, name, sizeof(name));
        if (!length || c->text[length - 1] == '\n')
            snprintf(c->text + length, sizeof(c->text) - length,
                     "the first field of the state that differs: %s\n", name);
    }
    b->s.rflags = rflags;
}

static void compare_memory(struct checker *c)
{
    unsigned said = 0;
    char name[80];

    for (unsigned n = 0; n < c->line_count; n++) {
        const struct line *l = &c->line[n];

        if (!memcmp(l->host, l->after, LINE))
            continue;
        for (unsigned b = 0; b < LINE; b += 8) {
            uint64_t want, got;

            memcpy(&want, l->after + b, 8);
            memcpy(&got, l->host + b, 8);
            snprintf(name, sizeof(name), "memory at %llx", (unsigned long long)(l->phys + b));
            if (want != got && said++ < MAX_SAID)
                say(c, name, want, got);
        }
    }
}

bool check_same(struct checker *c, uint32_t undefined)
{
    c->text[0] = '\0';
    compare_state(c, undefined);
    compare_memory(c);
    if (c->chip)
        snprintf(c->text + strlen(c->text), sizeof(c->text) - strlen(c->text),
                 "translated code accessed a chip\n");
    return !c->text[0];
}

void check_report(struct cpu *cpu, const struct trace *t)
{
    struct checker *c = cpu->checker;
    uint8_t guest[256];
    struct cpu_difference d = {.what = c->text,
                               .before = &c->before.s,
                               .interpreted = &c->interpreted.s,
                               .translated = &c->translated.s,
                               .guest = guest,
                               .host = t->block->code,
                               .guest_size = cpu_peek(cpu, c->before.s.rip, guest, t->bytes),
                               .host_size = t->block->size};

    c->ended = true;
    c->differs(c->opaque, &d);
}
